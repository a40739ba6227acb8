"""A plan as geometry: its legs, circles and ways home on the ground, and the heights at which they are flown.

Leg i ends at waypoint i and begins where the one before ends; leg 0 is the take-off, straight up. The straight ways home
from all points of a leg fill the hull of the leg and home, so that hull is what is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from fleet.airspace_ground import Ways
from geofences.geodesy import Array
from geofences.sector import Sector
from wire.flying import Plan, WaypointKind

ROUND_M = 2.0                   # a copter flies a circle some two metres wide of it (WPNAV_RADIUS)
SIDES = 32                      # of the polygon round a circle
RTL_LEAST_M = 15.0              # RTL_ALT, as ArduCopter ships; a plan that says nothing gets it

Geometries = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Route:
    """path: (n + 1, 2) home and the end of each leg, metres. heights_m: (n + 1,) above home, at the same places.

    legs, fans: (n,) the ground under each leg, and under the ways home from it. discs: by leg, the circle at its end.
    rally: (k, 2). fence: None where the plan asks for none. return_m: above home, the height at which it comes home.
    """

    path: Array
    heights_m: Array
    legs: Geometries
    fans: Geometries
    discs: dict[int, BaseGeometry]
    rally: Array
    rally_heights_m: Array
    fence: BaseGeometry | None
    return_m: float
    home_msl_m: float

    @property
    def home(self) -> Array:
        first: Array = self.path[0]
        return first

    def rally_fans(self, k: int) -> Geometries:
        """(n,) the ground under the straight ways from each leg to rally point k."""
        return _hulls_with(self.legs, self.rally[k])

    def ways(self, apex: Array, climb_to_m: float) -> tuple[Ways, npt.NDArray[np.intp]]:
        """The ways from every leg and circle to a place, above mean sea level, and the leg that each belongs to."""
        a, b, ha, hb, leg = self.stretches()
        n = len(a)
        return Ways(
            np.broadcast_to(apex, (n, 2)), a, b, ha, hb,
            np.full(n, self.home_msl_m + climb_to_m), np.full(n, self.home_msl_m),
        ), leg

    def stretches(self) -> tuple[Array, Array, Array, Array, npt.NDArray[np.intp]]:
        """Straight stretches of legs, and of the polygons round circles: a, b (m, 2), heights above mean sea level, leg.

        The last leg, which is the return, is a way home and no stretch of its own.
        """
        n = len(self.path) - 2
        a, b = [self.path[:n]], [self.path[1 : n + 1]]
        ha, hb = [self.heights_m[:n].copy()], [self.heights_m[1 : n + 1]]
        ha[0][0] = hb[0][0]         # straight up from home: nothing below its end is flown over other ground
        leg = [np.arange(n)]
        for i, disc in self.discs.items():
            ring = shapely.get_coordinates(disc)
            a.append(ring[:-1])
            b.append(ring[1:])
            ha.append(np.full(len(ring) - 1, self.heights_m[i + 1]))
            hb.append(ha[-1])
            leg.append(np.full(len(ring) - 1, i))
        return (
            np.vstack(a), np.vstack(b), np.concatenate(ha) + self.home_msl_m, np.concatenate(hb) + self.home_msl_m,
            np.concatenate(leg),
        )

    def departures(self) -> tuple[Ways, npt.NDArray[np.intp]]:
        """From every point of a circle straight to the end of the next leg, at the lower of the two heights."""
        nowhere = np.empty((0, 2))
        apex, a, b, level, leg = [nowhere], [nowhere], [nowhere], [np.empty(0)], [np.empty(0, int)]
        for i, disc in self.discs.items():
            if i + 1 >= len(self.path) - 2:
                continue
            ring = shapely.get_coordinates(disc)
            m = len(ring) - 1
            a.append(ring[:-1])
            b.append(ring[1:])
            apex.append(np.broadcast_to(self.path[i + 2], (m, 2)))
            level.append(np.full(m, min(self.heights_m[i + 1], self.heights_m[i + 2]) + self.home_msl_m))
            leg.append(np.full(m, i + 1))
        heights = np.concatenate(level)
        never = np.full(len(heights), -np.inf)
        ways = Ways(np.vstack(apex), np.vstack(a), np.vstack(b), heights, heights, never, never)
        return ways, np.concatenate(leg)


def route_of(plan: Plan, sector: Sector) -> Route:
    """A plan whose numbers are numbers."""
    home = plan.home
    places = [home, *[home if w.kind is WaypointKind.RETURN else w.position for w in plan.waypoints]]
    enu = sector.frame.to_enu(
        [p.lat_deg for p in places] + [r.position.lat_deg for r in plan.rally] + [p.lat_deg for p in plan.fence],
        [p.lon_deg for p in places] + [r.position.lon_deg for r in plan.rally] + [p.lon_deg for p in plan.fence],
    )
    path, rest = enu[: len(places)], enu[len(places) :]
    rally, ring = rest[: len(plan.rally)], rest[len(plan.rally) :]
    heights = np.array([0.0, *[w.height_above_home_m for w in plan.waypoints]])
    discs = {
        i: circle(path[i + 1], w.radius_m + ROUND_M)
        for i, w in enumerate(plan.waypoints) if w.kind is WaypointKind.ORBIT
    }
    legs = legs_of(path)
    for i in discs:         # the circle is left anywhere
        if i + 1 < len(legs):
            legs[i + 1] = shapely.convex_hull(shapely.union_all([legs[i + 1], discs[i]]))
    home_msl_m = float(sector.terrain.height_msl_m(path[:1])[0])
    fans = _hulls_with(legs, path[0])
    for i, disc in discs.items():
        fans[i] = shapely.convex_hull(shapely.union_all([fans[i], disc]))
    return Route(
        path, heights, legs, fans, discs, rally, np.array([r.height_above_home_m for r in plan.rally]),
        shapely.Polygon(ring) if len(ring) >= 3 else None, plan.return_height_m or RTL_LEAST_M, home_msl_m,
    )


def legs_of(path: Array) -> Geometries:
    """(n + 1, 2) places to (n,) the straight lines between them; a point where two are the same."""
    lines = np.asarray(shapely.linestrings(np.stack([path[:-1], path[1:]], axis=1)), dtype=object)
    same = (path[:-1] == path[1:]).all(axis=1)
    lines[same] = shapely.points(path[:-1][same])
    return lines


def fans_of(path: Array, apex: Array) -> Geometries:
    """(n,) the ground under the straight ways from each leg of a path to a place."""
    corners = np.stack([path[:-1], path[1:], np.broadcast_to(apex, (len(path) - 1, 2))], axis=1)
    return np.asarray(shapely.convex_hull(shapely.multipoints(corners)), dtype=object)


def circle(centre: Array, radius_m: float) -> BaseGeometry:
    """A polygon that holds the whole circle."""
    angles = np.arange(SIDES) * (2.0 * np.pi / SIDES)
    ring = centre + radius_m / math.cos(np.pi / SIDES) * np.column_stack([np.cos(angles), np.sin(angles)])
    return shapely.Polygon(ring)


def _hulls_with(areas: Geometries, apex: Array) -> Geometries:
    tip = shapely.points(apex)
    lines = shapely.geometrycollections(np.stack([areas, np.full(len(areas), tip)], axis=1))
    return np.asarray(shapely.convex_hull(lines), dtype=object)
