"""The height of the ground, with its error, and where a ray meets it."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array

STEPS_AT_ONCE = 32              # of a march: fewer calls for all rays, at the price of some steps beyond the ground
REFINEMENTS = 2                 # a step of 10 m in 24 parts, twice: 2 cm, across which the ground is a straight line
TINY_M = 1e-12
SLOPE_OVER_M = 3.0              # to each side, at the least: what is smaller is a furrow or a fault of the map, and no slope
_PARTS = np.linspace(1.0, 0.0, 25)


class Terrain(Protocol):
    """Ground heights over a LocalFrame.

    synthetic: made up; a live launch is refused over it and the screen says so.
    sigma_m: one sigma of a height, metres.
    """

    synthetic: bool
    sigma_m: float

    def height_msl_m(self, enu_m: npt.ArrayLike) -> Array:
        """(n, 2) east, north to (n,) metres above mean sea level; NaN where the terrain has a hole or ends."""
        ...


class FlatTerrain:
    """One height everywhere."""

    def __init__(self, height_msl_m: float, sigma_m: float, *, synthetic: bool) -> None:
        self.level_msl_m = height_msl_m
        self.sigma_m = sigma_m
        self.synthetic = synthetic

    def height_msl_m(self, enu_m: npt.ArrayLike) -> Array:
        return np.full(len(np.atleast_2d(np.asarray(enu_m, float))), self.level_msl_m)


class GridTerrain:
    """A regular grid, bilinear between its posts.

    heights_msl_m: (rows, columns); row 0 is the southernmost, column 0 the westernmost; NaN marks a hole.
    south_west_enu_m: east, north of post (0, 0). step_m: distance of posts.
    """

    def __init__(
        self, heights_msl_m: Array, south_west_enu_m: tuple[float, float], step_m: float, sigma_m: float, *, synthetic: bool
    ) -> None:
        if heights_msl_m.ndim != 2 or min(heights_msl_m.shape) < 2:
            raise ValueError(f"a terrain grid of shape {heights_msl_m.shape}; at least 2 x 2 posts are needed")
        if step_m <= 0:
            raise ValueError(f"a terrain grid with {step_m} m between its posts; it must be above 0")
        self._heights = np.ascontiguousarray(heights_msl_m)
        self._south_west = np.asarray(south_west_enu_m, float)
        self._step_m = step_m
        self.sigma_m = sigma_m
        self.synthetic = synthetic

    @property
    def heights_msl_m(self) -> Array:
        """(rows, columns) of the posts; not to be changed."""
        return self._heights

    @property
    def south_west_enu_m(self) -> tuple[float, float]:
        return float(self._south_west[0]), float(self._south_west[1])

    @property
    def step_m(self) -> float:
        return self._step_m

    def height_msl_m(self, enu_m: npt.ArrayLike) -> Array:
        # Few and plain steps over (2, n): a march asks for thousands of points in every picture of a camera.
        at = (np.atleast_2d(np.asarray(enu_m, float)).T - self._south_west[:, None]) / self._step_m
        rows, columns = self._heights.shape
        cell = np.fmin(np.fmax(at, 0.0), [[columns - 2], [rows - 2]]).astype(np.intp)       # NaN becomes 0 here
        part = at - cell
        inside = ((part >= 0.0) & (part <= 1.0)).all(axis=0)
        four = np.array([[0], [columns], [1], [columns + 1]])      # south-west, north-west, south-east, north-east
        corners = self._heights.reshape(-1).take(cell[1] * columns + cell[0] + four)
        south, north = corners[:2] + (corners[2:] - corners[:2]) * part[0]
        return np.where(inside, south + (north - south) * part[1], np.nan)


def slope_at(terrain: Terrain, enu_m: npt.ArrayLike, sigma_m: float) -> tuple[float, float]:
    """Rise per metre east and per metre north around (2,) enu_m, for something that stands there with one sigma an axis.

    Taken sqrt(3) sigmas to each side, which is the mean slope of where it may stand for ground up to the third order. Zero
    along an axis on which a hole, or the terrain's end, is so near.
    """
    over_m = max(SLOPE_OVER_M, math.sqrt(3.0) * sigma_m)
    heights = terrain.height_msl_m(np.asarray(enu_m, float) + over_m * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]))
    east, north = np.nan_to_num((heights[::2] - heights[1::2]) / (2.0 * over_m)).tolist()
    return east, north


def march(
    origin_m: npt.ArrayLike, directions: npt.ArrayLike, terrain: Terrain, reach_m: float = 3000.0, step_m: float = 10.0
) -> Array:
    """Where rays first meet the ground.

    origin_m: (3,) or (n, 3) east, north, metres above mean sea level. directions: (n, 3) unit vectors, up positive.
    Returns (n, 3); NaN for a ray that meets nothing within reach_m, or runs into a hole. Steps of step_m along the ray
    find the first sign change, ever finer parts of that step the place to a millimetre; a ridge thinner than a step may be
    jumped.
    """
    rays = np.atleast_2d(np.asarray(directions, float))
    if isinstance(terrain, FlatTerrain):
        return _on_the_level(np.asarray(origin_m, float), rays, terrain, reach_m)
    origins = np.broadcast_to(np.asarray(origin_m, float), rays.shape)
    ways, starts = np.ascontiguousarray(rays.T), np.ascontiguousarray(origins.T)

    def clearance(which: npt.NDArray[np.intp], t: Array) -> Array:
        """(m, k) of the rays `which` (m,), each at its own k distances t (m, k)."""
        at = starts[:, which, None] + ways[:, which, None] * t
        return np.asarray(at[2] - terrain.height_msl_m(at[:2].reshape(2, -1).T).reshape(t.shape), dtype=float)

    far = np.full(len(rays), np.nan)
    open_ = np.flatnonzero(np.isfinite(rays).all(axis=1) & np.isfinite(origins).all(axis=1))
    steps = np.minimum(np.arange(1, math.ceil(reach_m / step_m) + 1) * step_m, reach_m)
    for begin in range(0, len(steps), STEPS_AT_ONCE):
        if not len(open_):
            break
        t = steps[begin : begin + STEPS_AT_ONCE]
        above = clearance(open_, np.broadcast_to(t, (len(open_), len(t))))
        ended = ~(above > 0)                                # at the ground, or in a hole
        first = ended.argmax(axis=1)
        stops = ended.any(axis=1)
        hit = stops & (above[np.arange(len(open_)), first] <= 0)
        far[open_[hit]] = t[first[hit]]
        open_ = open_[~stops]
    found = np.flatnonzero(np.isfinite(far))
    width = step_m
    for round_ in range(REFINEMENTS):
        if not len(found):
            break
        t = np.maximum(far[found, None] - width * _PARTS, 0.0)
        above = clearance(found, t)
        last = np.maximum((above <= 0).argmax(axis=1), 1)
        rows = np.arange(len(found))
        over, under = above[rows, last - 1], above[rows, last]
        # A straight line between the two: by the last round there is nothing else left.
        back = np.where((over > 0) & (under <= 0), -under / np.maximum(over - under, TINY_M), 0.0)
        width /= len(_PARTS) - 1
        far[found] = t[rows, last] - (back * width if round_ == REFINEMENTS - 1 else 0.0)
    hits: Array = origins + rays * far[:, None]
    return hits


def _on_the_level(origins: Array, rays: Array, terrain: FlatTerrain, reach_m: float) -> Array:
    """As march. A falling ray that begins below the ground meets it where it begins, as it does on any other terrain."""
    falls = rays[:, 2] < 0.0
    far = np.maximum(origins[..., 2] - terrain.level_msl_m, 0.0) / np.where(falls, -rays[:, 2], np.nan)
    far[~(far <= reach_m)] = np.nan
    far += 0.0 * (rays[:, 0] + rays[:, 1])          # a ray that is no number in one part meets nothing at all
    hits: Array = origins + rays * far[:, None]
    return hits
