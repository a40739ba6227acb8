"""Positions of what several sensors, or one sensor and a trail, see in a direction only.

Two lines of sight cross in one place; how sure that is follows from both angles' errors, the distances and the angle
between them, to first order. Lines that hardly differ in direction cross nowhere that is worth a name. Where more than one
pairing is possible, as with two people and two sensors, none is taken: of the crossings that there are, half are nobody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from geofences.corridors import CorridorMap
from geofences.geodesy import Array
from station.contacts import group_of
from station.fusion_frames import Seen, SensorFrame
from wire.clock import NS_PER_S
from wire.units import Colour, ObjectClass, VehicleKind

REACH_M = 3000.0            # nobody is made out farther away
LEAST_ANGLE_DEG = 10.0      # between two lines; less, and they are one line with an error
LEAST_SIGMA_DEG = 0.05
STANDS_SIGMA_M = 2.0        # of where a sensor says that it stands
SIGMA_LIMIT_M = 60.0        # a crossing that is worse says nothing
AT_ONCE_NS = NS_PER_S // 2
PACE_M_S = 2.0              # how far the object may have gone between the two looks
IN_TRAIL = 1.0 / math.sqrt(12.0)        # deviation of somebody anywhere within a width of 1


@dataclass(frozen=True, slots=True)
class Bearing:
    """One confirmed detection without a place. from_m: (2,) of the sensor. bearing_deg: clockwise from true north."""

    track: str
    object_class: ObjectClass
    score: float
    from_m: Array
    bearing_deg: float
    sigma_deg: float
    plate: str | None = None
    plate_confidence: tuple[float, ...] = ()
    kind: VehicleKind | None = None
    colour: Colour | None = None

    @property
    def way(self) -> Array:
        angle = math.radians(self.bearing_deg) if math.isfinite(self.bearing_deg) else math.nan
        return np.array([math.sin(angle), math.cos(angle)])


@dataclass(frozen=True, slots=True)
class Crossing:
    """place_m: (2,) east, north. covariance_m2: (2, 2)."""

    place_m: Array
    covariance_m2: Array


def cross(a: Bearing, b: Bearing, apart_s: float = 0.0) -> Crossing | None:
    """Where two lines of sight meet, ahead of both; None where they do not, or too badly. apart_s: between the looks."""
    way_a, way_b = a.way, b.way
    sine = float(way_a[0] * way_b[1] - way_a[1] * way_b[0])
    if not math.isfinite(sine) or abs(sine) < math.sin(math.radians(LEAST_ANGLE_DEG)):
        return None
    between = b.from_m - a.from_m
    along_a = float(between[0] * way_b[1] - between[1] * way_b[0]) / sine
    along_b = float(between[0] * way_a[1] - between[1] * way_a[0]) / sine
    if not (0.0 < along_a <= REACH_M and 0.0 < along_b <= REACH_M):
        return None
    moved_m2 = (PACE_M_S * apart_s) ** 2
    lines = [(way_a, across_m2(a, along_a) + moved_m2), (way_b, across_m2(b, along_b) + moved_m2)]
    return _meeting(a.from_m + way_a * along_a, lines)


def across_m2(bearing: Bearing, along_m: float) -> float:
    """Variance of a line of sight to its side, at a distance."""
    sigma = math.radians(max(bearing.sigma_deg, LEAST_SIGMA_DEG))
    return (along_m * math.tan(min(sigma, 1.0))) ** 2 + STANDS_SIGMA_M**2


def on_trail(bearing: Bearing, corridors: CorridorMap) -> tuple[Crossing, str] | None:
    """Where a line of sight meets the one trail that it meets, once; and the corridor's id."""
    end = bearing.from_m + bearing.way * REACH_M
    if not np.isfinite(end).all():
        return None
    sight = shapely.LineString([bearing.from_m, end])
    found: list[tuple[Crossing, str]] = []
    for ground in corridors.grounds:
        for point in shapely.get_parts(sight.intersection(ground.centre_line)):
            if not isinstance(point, shapely.Point):
                return None                 # along the trail: anywhere on it
            place = np.array([point.x, point.y])
            at = ground.centre_line.project(point)
            before, after = (ground.centre_line.interpolate(max(0.0, at + d)) for d in (-5.0, 5.0))
            trail = np.array([after.x - before.x, after.y - before.y])
            trail /= max(float(np.hypot(*trail)), 1e-9)
            way = bearing.way
            if abs(float(way[0] * trail[1] - way[1] * trail[0])) < math.sin(math.radians(LEAST_ANGLE_DEG)):
                return None
            across = across_m2(bearing, float(np.hypot(*(place - bearing.from_m))))
            lines = [(way, across), (trail, (ground.corridor.width_m * IN_TRAIL) ** 2)]
            meeting = _meeting(place, lines)
            if meeting is None:
                return None
            found.append((meeting, ground.corridor.id))
    return found[0] if len(found) == 1 else None


def _meeting(place: Array, lines: list[tuple[Array, float]]) -> Crossing | None:
    information = np.zeros((2, 2))
    for way, across in lines:
        side = np.array([-way[1], way[0]])
        information += np.outer(side, side) / across
    covariance = np.linalg.inv(information)
    if float(np.linalg.eigvalsh(covariance)[-1]) > SIGMA_LIMIT_M**2:
        return None
    return Crossing(place, (covariance + covariance.T) / 2.0)


class Bearings:
    """The newest bearings of each sensor, and the frames that can be made of them."""

    def __init__(self, corridors: CorridorMap) -> None:
        self._corridors = corridors
        self._newest: dict[str, tuple[int, tuple[Bearing, ...]]] = {}

    def frames(
        self, sensor: str, captured_ns: int, received_ns: int, simulated: bool, bearings: Sequence[Bearing]
    ) -> list[SensorFrame]:
        """What a frame's bearings place: with another sensor's of the same moment, else on the one trail that they meet."""
        self._newest[sensor] = captured_ns, tuple(bearings)
        made: list[SensorFrame] = []
        for bearing in bearings:
            pairs = [
                (other, theirs, crossing)
                for other, (at_ns, seen) in sorted(self._newest.items())
                if other != sensor and abs(captured_ns - at_ns) <= AT_ONCE_NS
                for theirs in seen
                if group_of(theirs.object_class) == group_of(bearing.object_class)
                and (crossing := cross(bearing, theirs, abs(captured_ns - at_ns) / 1e9)) is not None
            ]
            if len(pairs) > 1:
                continue
            if pairs:
                other, theirs, found = pairs[0]
                mine = [b for b in bearings if group_of(b.object_class) == group_of(bearing.object_class)]
                if sum(cross(b, theirs) is not None for b in mine) > 1:
                    continue
                name = f"{min(sensor, other)} × {max(sensor, other)}"
            else:
                trail = on_trail(bearing, self._corridors)
                if trail is None:
                    continue
                found, name = trail[0], f"{sensor} × {trail[1]}"
            node, boot = bearing.track.split("/")[:2]
            seen_there = Seen(
                f"{node}/{boot}/{name}/{bearing.track.rsplit('/', 1)[-1]}", bearing.object_class, bearing.score,
                found.place_m, found.covariance_m2, bearing.plate, bearing.plate_confidence, bearing.kind, bearing.colour,
            )
            made.append(SensorFrame(name, captured_ns, received_ns, simulated, (seen_there,)))
        return made
