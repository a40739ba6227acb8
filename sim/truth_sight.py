"""Who could have been seen: a sensor's footprint, and a line of sight past the ground and the plants.

A sensor's place and footprint are what it reported itself, at the newest report not older than REPORT_GOOD_FOR_NS; it must
have said that it sees. The line goes from the lens to the middle of the body. Crowns are taken for solid ellipsoids, so
a body that shows through a bush counts as hidden: nobody is blamed for not having seen it.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree

from geofences.geodesy import Array
from geofences.sector import Sector
from sim.world_state import Landscape, Posture, Species
from wire.clock import NS_PER_S
from wire.codec import decode_envelope
from wire.messages import SensorReport, SensorState
from wire.units import HeightAgl, HeightEllipsoid, HeightMsl, Position

REPORT_GOOD_FOR_NS = 15 * NS_PER_S
MIDDLE_M = {Posture.CROUCH: 0.45, Posture.CROUCH_WALK: 0.5, Posture.REST: 0.45, Posture.LIE: 0.2}   # else 0.9
TALL_M = 0.5                    # lower plants hide nobody
TRUNK_M = 0.2
GROUND_STEP_M = 2.0
# Where a crown begins, as a share of the plant's height: trees carry it high, everything else stands on the ground.
CROWN_FROM = {
    Species.BROADLEAF: 0.35, Species.PALM: 0.7, Species.BANANA: 0.3, Species.BAMBOO: 0.15, Species.DEAD_TREE: 0.5,
}


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Where a sensor was, and what it could see. lens_m: (3,) east, north, height above sea level. footprint: metres."""

    sensor: str
    at_ns: int
    lens_m: Array
    footprint: shapely.Polygon
    sees: bool


class Sensors:
    """All reports of all sensors, by time."""

    def __init__(self, reports: list[Report]) -> None:
        self._by_sensor: dict[str, list[Report]] = defaultdict(list)
        for report in sorted(reports, key=lambda r: r.at_ns):
            self._by_sensor[report.sensor].append(report)
        self._times = {s: np.array([r.at_ns for r in rs], np.int64) for s, rs in self._by_sensor.items()}

    def of(self, sensor: str) -> list[Report]:
        """All of one sensor, by time."""
        return self._by_sensor.get(sensor, [])

    def at(self, ns: int) -> list[Report]:
        """The report of every sensor that was seeing at a time."""
        return [r for r in self.standing(ns) if r.sees]

    def standing(self, ns: int) -> list[Report]:
        """The report of every sensor that was there at a time, whether it saw or not."""
        found = []
        for sensor, times in self._times.items():
            i = int(np.searchsorted(times, ns, side="right")) - 1
            if i >= 0 and ns - times[i] <= REPORT_GOOD_FOR_NS:
                found.append(self._by_sensor[sensor][i])
        return found


def read_sensors(inbox: sqlite3.Connection, sector: Sector) -> Sensors:
    """From the inbox of a station: every SensorReport that it stored."""
    reports = []
    for (payload,) in inbox.execute("SELECT payload FROM arrivals WHERE kind = 'sensor'"):
        body = decode_envelope(payload).body
        if isinstance(body, SensorReport):
            reports.append(_report(body, sector))
    return Sensors(reports)


def _report(r: SensorReport, sector: Sector) -> Report:
    outline = [(p.lat_deg, p.lon_deg) for p in r.footprint]
    footprint = shapely.Polygon()
    if len(outline) >= 3:
        footprint = shapely.Polygon(sector.frame.to_enu([p[0] for p in outline], [p[1] for p in outline]))
    return Report(r.sensor, r.at_ns, _lens(r.position, sector), footprint, r.state is SensorState.SEEING)


def _lens(position: Position, sector: Sector) -> Array:
    east, north = sector.frame.to_enu(position.lat_deg, position.lon_deg)[0]
    match position.height:
        case HeightMsl(m=m):
            up = m
        case HeightEllipsoid(m=m):
            up = m - sector.geoid_undulation_m
        case HeightAgl(m=m):
            up = m + float(sector.terrain.height_msl_m([[east, north]])[0])
    return np.array([east, north, up])


class Sight:
    """Lines of sight over a landscape."""

    def __init__(self, landscape: Landscape) -> None:
        self._terrain = landscape.terrain
        p = landscape.plants
        tall = p.height_m > TALL_M
        self._at = np.column_stack([p.east_m, p.north_m])[tall]
        self._height, self._crown = p.height_m[tall], p.crown_m[tall]
        share = np.array([CROWN_FROM.get(s, 0.0) for s in Species])
        self._crown_from = (share[p.species] * p.height_m)[tall]
        self._ground = landscape.terrain.height_msl_m(self._at) if len(self._at) else np.empty(0)
        self._tree = cKDTree(self._at) if len(self._at) else None
        self._widest = float(self._crown.max(initial=0.0))

    def is_clear(self, lens_m: Array, body_m: Array) -> bool:
        """Whether the straight line between two places (3,) touches neither ground nor plant."""
        across = float(np.hypot(*(body_m[:2] - lens_m[:2])))
        f = np.linspace(0.0, 1.0, max(2, int(across / GROUND_STEP_M) + 1))[1:-1, None]
        line = lens_m + (body_m - lens_m) * f
        if len(line) and (line[:, 2] < self._terrain.height_msl_m(line[:, :2])).any():
            return False
        return not self._hidden_by_plants(lens_m, body_m, across)

    def _hidden_by_plants(self, lens_m: Array, body_m: Array, across: float) -> bool:
        if self._tree is None or across < 0.5:
            return False
        stations = lens_m[:2] + (body_m[:2] - lens_m[:2]) * np.linspace(0, 1, max(2, int(across / 4.0) + 2))[:, None]
        near = self._tree.query_ball_point(stations, self._widest + 2.5)
        i = np.unique(np.concatenate([np.asarray(found, dtype=np.intp) for found in near]))
        # Where the line passes each plant's middle, and how high above that plant's ground.
        along = ((self._at[i] - lens_m[:2]) @ (body_m[:2] - lens_m[:2])) / across**2
        passing = (along > 0.0) & (along < 1.0)
        at = lens_m + (body_m - lens_m) * np.clip(along, 0, 1)[:, None]
        aside = np.hypot(*(at[:, :2] - self._at[i]).T)
        above = at[:, 2] - self._ground[i]
        half = (self._height[i] - self._crown_from[i]) / 2.0
        crown = (aside / self._crown[i]) ** 2 + ((above - self._crown_from[i] - half) / half) ** 2 < 1.0
        trunk = (aside < TRUNK_M) & (above > 0) & (above < self._height[i])
        return bool((passing & (crown | trunk)).any())


def middle_of(place_m: Array, posture: Posture) -> Array:
    """(3,) the middle of a body that stands (or crouches) at a place (3,)."""
    return np.asarray(place_m + np.array([0.0, 0.0, MIDDLE_M.get(posture, 0.9)]), dtype=float)
