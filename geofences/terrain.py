"""The height of the ground, with its error, and where a ray meets it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array


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
        self._height_msl_m = height_msl_m
        self.sigma_m = sigma_m
        self.synthetic = synthetic

    def height_msl_m(self, enu_m: npt.ArrayLike) -> Array:
        return np.full(len(np.atleast_2d(np.asarray(enu_m, float))), self._height_msl_m)


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
        self._heights = heights_msl_m
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
        at = (np.atleast_2d(np.asarray(enu_m, float)) - self._south_west) / self._step_m
        rows, columns = self._heights.shape
        inside = (at[:, 0] >= 0) & (at[:, 1] >= 0) & (at[:, 0] <= columns - 1) & (at[:, 1] <= rows - 1)
        column = np.clip(np.nan_to_num(at[:, 0]).astype(int), 0, columns - 2)
        row = np.clip(np.nan_to_num(at[:, 1]).astype(int), 0, rows - 2)
        fx, fy = at[:, 0] - column, at[:, 1] - row
        h = self._heights
        south = h[row, column] * (1 - fx) + h[row, column + 1] * fx
        north = h[row + 1, column] * (1 - fx) + h[row + 1, column + 1] * fx
        return np.where(inside, south * (1 - fy) + north * fy, np.nan)


def march(
    origin_m: npt.ArrayLike, directions: npt.ArrayLike, terrain: Terrain, reach_m: float = 3000.0, step_m: float = 10.0
) -> Array:
    """Where rays first meet the ground.

    origin_m: (3,) or (n, 3) east, north, metres above mean sea level. directions: (n, 3) unit vectors, up positive.
    Returns (n, 3); NaN for a ray that meets nothing within reach_m, or runs into a hole. Steps of step_m along the ray
    find the first sign change, bisection then refines it to a millimetre; a ridge thinner than a step may be jumped.
    """
    rays = np.atleast_2d(np.asarray(directions, float))
    origins = np.broadcast_to(np.asarray(origin_m, float), rays.shape)
    near = np.zeros(len(rays))
    far = np.full(len(rays), np.nan)
    open_ = np.isfinite(rays).all(axis=1) & np.isfinite(origins).all(axis=1)

    def clearance(t: Array, which: npt.NDArray[np.bool_]) -> Array:
        at = origins[which] + rays[which] * t[which, None]
        return np.asarray(at[:, 2] - terrain.height_msl_m(at[:, :2]), dtype=float)

    t = np.zeros(len(rays))
    while open_.any() and t.max() < reach_m:
        t = np.where(open_, np.minimum(t + step_m, reach_m), t)
        above = np.full(len(rays), np.nan)
        above[open_] = clearance(t, open_)
        hit = open_ & (above <= 0)
        far[hit] = t[hit]
        open_ &= (above > 0) & (t < reach_m)
        near[open_] = t[open_]
    found = np.isfinite(far)
    for _ in range(24):
        if not found.any():
            break
        middle = (near + far) / 2
        above = np.full(len(rays), np.nan)
        above[found] = clearance(middle, found)
        near = np.where(found & (above > 0), middle, near)
        far = np.where(found & ~(above > 0), middle, far)
    return np.where(found[:, None], origins + rays * np.where(found, far, 0.0)[:, None], np.nan)
