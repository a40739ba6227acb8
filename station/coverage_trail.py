"""The trails of a sector, metre by metre: where a person would stand on each, on the centre line and across the width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from geofences.corridors import CorridorMap
from geofences.geodesy import Array
from geofences.terrain import Terrain

Indices = npt.NDArray[np.intp]

ACROSS = (0.0, -1.0, -0.5, 0.5, 1.0)    # places across a corridor, in half widths; the first is the centre line
BLOCK_M = 64                            # metres that are looked up together


@dataclass(frozen=True, slots=True)
class TrailPart:
    """One corridor's metres: `first` and `count` among all. line_deg: its centre line, latitudes and longitudes."""

    id: str
    name: str
    priority: int
    first: int
    count: int
    line_deg: tuple[tuple[float, float], ...]

    @property
    def metres(self) -> slice:
        return slice(self.first, self.first + self.count)


class Trail:
    """All metres of all corridors. A metre stands for the piece of the centre line around its middle.

    feet_m: (n, 5, 3) east, north, height of the ground where a person stands, at ACROSS of each metre; the height is NaN
    where the terrain does not know it. part_of: (n,) which of `parts` a metre belongs to.
    """

    def __init__(self, corridors: CorridorMap, terrain: Terrain) -> None:
        parts, places, owners = [], [], []
        first = 0
        for number, ground in enumerate(corridors.grounds):
            line, c = ground.centre_line, ground.corridor
            count = max(1, int(np.ceil(line.length)))
            at = np.minimum(np.arange(count) + 0.5, line.length)
            degrees = tuple((p.lat_deg, p.lon_deg) for p in c.centre_line)
            parts.append(TrailPart(c.id, c.name, c.priority, first, count, degrees))
            places.append(_across(line, at, c.width_m))
            owners.append(np.full(count, number))
            first += count
        self.parts = tuple(parts)
        self.version = corridors.version
        self.size = first
        self.part_of = np.concatenate(owners) if owners else np.empty(0, int)
        flat = np.concatenate(places) if places else np.empty((0, len(ACROSS), 2))
        heights = terrain.height_msl_m(flat.reshape(-1, 2)).reshape(flat.shape[:2])
        self.feet_m: Array = np.concatenate([flat, heights[:, :, None]], axis=2)
        self._blocks = np.arange(0, first, BLOCK_M)
        centres = self.feet_m[:, 0, :2]
        self._low = np.array([centres[b : b + BLOCK_M].min(axis=0) for b in self._blocks]).reshape(-1, 2)
        self._high = np.array([centres[b : b + BLOCK_M].max(axis=0) for b in self._blocks]).reshape(-1, 2)
        self._by_id = {p.id: p for p in parts}

    def part(self, corridor: str) -> TrailPart:
        return self._by_id[corridor]

    def near(self, place_m: Array, reach_m: float) -> Indices:
        """(m,) the metres whose centre lies within reach of a place (2,), in their order."""
        beside = np.maximum(np.maximum(self._low - place_m, place_m - self._high), 0.0)
        blocks = self._blocks[np.hypot(beside[:, 0], beside[:, 1]) <= reach_m]
        if not len(blocks):
            return np.empty(0, np.intp)
        which = (blocks[:, None] + np.arange(BLOCK_M)).ravel()
        which = which[which < self.size]
        away = self.feet_m[which, 0, :2] - place_m
        return np.asarray(which[(away**2).sum(axis=1) <= reach_m**2], np.intp)


def _across(line: shapely.LineString, at_m: Array, width_m: float) -> Array:
    """(n, 5, 2) east, north across the line at n distances along it."""
    here = shapely.get_coordinates(shapely.line_interpolate_point(line, at_m))
    behind, ahead = (
        shapely.get_coordinates(shapely.line_interpolate_point(line, np.clip(at_m + step, 0.0, line.length)))
        for step in (-0.5, 0.5)
    )
    along = ahead - behind
    length = np.linalg.norm(along, axis=1, keepdims=True)
    along = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
    side = np.column_stack([along[:, 1], -along[:, 0]])
    places: Array = here[:, None, :] + side[:, None, :] * np.array(ACROSS)[:, None] * width_m / 2.0
    return places
