"""Border, keep-outs, fence and the sector's outline, against everything that a plan may fly over. Exact distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from fleet.checker_words import finding
from geofences.geodesy import Array
from geofences.prepared import prepared
from geofences.sector import Sector
from wire.flying import CheckFinding
from wire.units import GroundPosition

KEEP_OUT_MARGIN_M = 5.0         # a copter's own error and the 2 m by which it cuts a corner
FURTHEST_M = 50_000.0           # a plan that reaches further than any sector is a mistake in its numbers
TINY_M = 1e-9

Geometries = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Parts:
    """Some areas of one kind, and the leg (or rally point) that each belongs to. needed_m: (n,) from the border line."""

    part: str
    numbers: Sequence[int | None]
    areas: Geometries
    needed_m: Array


@dataclass(frozen=True, slots=True)
class GroundRules:
    """Where a drone may be. fence: None where there is none; no other thread may ask it anything."""

    sector: Sector
    fence: BaseGeometry | None = None
    keep_out_margin_m: float = KEEP_OUT_MARGIN_M
    _keep_outs: shapely.STRtree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.fence is not None:
            shapely.prepare(self.fence)         # of one plan, and of one thread
        tree = shapely.STRtree([k.outline for k in self.sector.keep_outs])
        object.__setattr__(self, "_keep_outs", tree)

    def bad(self, parts: Parts) -> npt.NDArray[np.bool_]:
        """(n,) which of the areas break a rule; nothing is said about them yet."""
        sector, areas = self.sector, parts.areas
        wrong = ~shapely.covers(prepared(sector.box), areas) | ~shapely.covers(prepared(sector.border.own_side), areas)
        wrong |= shapely.dwithin(prepared(sector.border.line), areas, parts.needed_m)  # type: ignore[call-overload]
        if self.fence is not None:
            wrong |= ~shapely.covers(self.fence, areas)
        if len(sector.keep_outs):
            wrong[self._keep_outs.query(areas, predicate="dwithin", distance=self.keep_out_margin_m)[0]] = True
        return np.asarray(wrong, dtype=bool)

    def findings(self, parts: Parts) -> dict[int, list[CheckFinding]]:
        """By place in `parts`: every rule that an area breaks."""
        return {
            int(i): list(self._say(parts, int(i))) for i in np.flatnonzero(self.bad(parts))
        }

    def _say(self, parts: Parts, i: int) -> Iterator[CheckFinding]:
        sector, area, leg, part = self.sector, parts.areas[i], parts.numbers[i], parts.part
        where = _worst_place(area, sector)
        distance_m, needed_m = signed_distance_m(area, sector), float(parts.needed_m[i])
        if not sector.box.covers(area):
            yield finding("sector", "check.sector", leg, where, part=part)
        elif distance_m < 0:
            yield finding("border", "check.border.crosses", leg, where, part=part)
        elif distance_m <= needed_m:
            # Rounded apart, so that no sentence says that 150 m are less than 150 m.
            yield finding(
                "border", "check.border.near", leg, where,
                part=part, distance_m=int(distance_m), needed_m=int(np.ceil(needed_m)),
            )
        if self.fence is not None and not self.fence.covers(area):
            yield finding("fence", "check.fence.leaves", leg, where, part=part)
        for k in sorted(self._keep_outs.query(area, predicate="dwithin", distance=self.keep_out_margin_m)):
            keep_out = sector.keep_outs[k]
            near = shapely.get_coordinates(shapely.shortest_line(area, keep_out.outline))[0]
            distance_m = float(area.distance(keep_out.outline))
            place = sector.frame.position(float(near[0]), float(near[1]))
            if distance_m <= TINY_M:
                yield finding("keep-out", "check.keep_out.enters", leg, place, part=part, name=keep_out.name)
            else:
                yield finding(
                    "keep-out", "check.keep_out.near", leg, place, part=part, name=keep_out.name,
                    distance_m=int(distance_m), needed_m=int(np.ceil(self.keep_out_margin_m)),
                )


def signed_distance_m(area: BaseGeometry, sector: Sector) -> float:
    """Least distance of an area from the border line; negative when any of it lies on the line or beyond it."""
    distance_m = float(area.distance(sector.border.line))
    if distance_m > 0.0 and sector.border.own_side.covers(area):
        return distance_m
    if not sector.border.own_side.covers(area) and sector.box.covers(area):
        return -max(distance_m, TINY_M)
    return distance_m if distance_m > 0.0 else -TINY_M


def _worst_place(area: BaseGeometry, sector: Sector) -> GroundPosition | None:
    """Where the area is nearest to the border line."""
    if sector.border.line.is_empty:
        return None
    east, north = shapely.get_coordinates(shapely.shortest_line(area, sector.border.line))[0]
    if not (abs(east) < FURTHEST_M and abs(north) < FURTHEST_M):
        return None
    return sector.frame.position(float(east), float(north))
