"""The plan's check once more, in the air: each second, against where the drone really is and how fast it goes.

First it warns, then it has the drone come home: before the buffer is entered, not after. A drone that flies its plan as
checked comes to neither. The straight way home from where it may be is clear, because the plan was refused otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import shapely

from fleet.airspace_traffic import AHEAD_S, SEPARATION_M, Aircraft, meetings
from fleet.checker import CheckLimits
from fleet.checker_energy import RETURN_M_S, way_home
from fleet.checker_ground import GroundRules
from fleet.checker_route import Route, route_of
from fleet.checker_words import finding
from fleet.energy import EnergyModel
from fleet.wind import POSITION_MARGIN_M, REACTION_S, Wind, needed_now_m
from geofences.geodesy import Array
from geofences.sector import Sector
from wire.clock import NS_PER_S
from wire.flying import CheckFinding, Plan
from wire.units import Position

WARN_M = 8.0                    # before the return; less than the planner's stand-off
LOW_SHARE = 0.5                 # of the clearance, at which it is called up and home
NEAR_HOME_M = 15.0              # where it takes off and lands, and may be low
WARN_PERCENT = 3.0              # above the reserve
TRAFFIC_RETURN_M = 200.0


class Level(IntEnum):
    FINE = 0
    WARN = 1
    RETURN = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What a drone tells of itself. height_m: above home. charge_percent: None when it is not known. at_ns: UTC."""

    position: Position
    speed_m_s: float
    height_m: float
    charge_percent: float | None
    at_ns: int
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    findings: tuple[CheckFinding, ...] = ()


class Watch:
    """One sortie's. look() at every new position; wind and energy may be put in anew as they become known."""

    def __init__(self, plan: Plan, sector: Sector, limits: CheckLimits) -> None:
        self.wind: Wind = limits.wind
        self.energy = limits.energy or EnergyModel.of_endurance(limits.endurance_s)
        self.until_ns: int | None = None
        self._sector = sector
        self._limits = limits
        self._route: Route = route_of(plan, sector)
        self._rules = GroundRules(sector, None, limits.keep_out_margin_m)
        self._last: Array | None = None
        self._course = np.zeros(2)
        if limits.at_ns is not None and limits.permits:
            ends = [p.until_ns for p in limits.permits if p.from_ns <= limits.at_ns < p.until_ns]
            self.until_ns = max(ends, default=None)

    def look(self, seen: Seen, traffic: tuple[Aircraft, ...] = ()) -> Verdict:
        """What is wrong now. Levels come one after the other where there is time for it."""
        here = self._sector.frame.to_enu(seen.position.lat_deg, seen.position.lon_deg)[0]
        velocity = self._velocity(here, seen.speed_m_s)
        level_m = self._route.home_msl_m + max(0.0, seen.height_m)
        said = [
            *self._border(here, velocity, level_m), *self._keep_outs(here, velocity), *self._ground(here, level_m),
            *self._energy_home(here, seen), *self._time(here, seen), *self._traffic(here, velocity, level_m, seen, traffic),
        ]
        level = max((level for level, _ in said), default=Level.FINE)
        return Verdict(level, tuple(f for _, f in sorted(said, key=lambda s: -s[0])))

    def _velocity(self, here: Array, speed_m_s: float) -> Array:
        """Its own speed, in the direction in which its place has moved."""
        if self._last is not None:
            moved = here - self._last
            length = float(np.linalg.norm(moved))
            if length > 0.5:
                self._course = moved / length
        self._last = here
        course: Array = self._course * speed_m_s
        return course

    def _border(self, here: Array, velocity: Array, level_m: float) -> list[tuple[Level, CheckFinding]]:
        sector = self._sector
        distance_m = float(sector.border.signed_distance_m(here)[0])
        on_line = shapely.get_coordinates(shapely.shortest_line(shapely.Point(here), sector.border.line))[-1]
        away = on_line - here
        length = float(np.linalg.norm(away))
        toward = float(velocity @ away) / length if length > 1e-6 else float(np.linalg.norm(velocity))
        needed_m = needed_now_m(self.wind, self._agl(here, level_m), toward)
        ahead_m = distance_m - max(0.0, toward) * REACTION_S
        # The sector's own buffer holds no reckoning of speed: the error of a position is all that it forgives.
        spare_m = min(ahead_m - needed_m, distance_m - (sector.border_buffer_m - POSITION_MARGIN_M) + WARN_M)
        if spare_m >= WARN_M:
            return []
        level = Level.WARN if spare_m >= 0.0 else Level.RETURN
        place = sector.frame.position(float(here[0]), float(here[1]))
        shown_m = max(needed_m, sector.border_buffer_m)
        return [(level, finding(
            "border", "check.border.near", None, place, part="drone", distance_m=math.floor(distance_m),
            needed_m=math.ceil(shown_m),
        ))]

    def _agl(self, here: Array, level_m: float) -> float:
        ground = float(self._sector.terrain.height_msl_m(here)[0])
        return max(0.0, level_m - ground) if math.isfinite(ground) else self._limits.ceiling_m

    def _keep_outs(self, here: Array, velocity: Array) -> list[tuple[Level, CheckFinding]]:
        found = []
        soon = shapely.LineString([here, here + velocity * REACTION_S]) if velocity.any() else shapely.Point(here)
        for keep_out in self._sector.keep_outs:
            distance_m = float(soon.distance(keep_out.outline))
            if distance_m >= self._limits.keep_out_margin_m:
                continue
            place = self._sector.frame.position(float(here[0]), float(here[1]))
            inside = distance_m <= 0.0
            key = "check.keep_out.enters" if inside else "check.keep_out.near"
            found.append((Level.RETURN if inside else Level.WARN, finding(
                "keep-out", key, None, place, part="drone", name=keep_out.name, distance_m=math.floor(distance_m),
                needed_m=math.ceil(self._limits.keep_out_margin_m),
            )))
        return found

    def _ground(self, here: Array, level_m: float) -> list[tuple[Level, CheckFinding]]:
        if float(np.linalg.norm(here - self._route.home)) < NEAR_HOME_M:
            return []
        over_m = level_m - float(self._sector.terrain.height_msl_m(here)[0])
        if not math.isfinite(over_m) or over_m >= self._limits.clearance_m:
            return []
        level = Level.RETURN if over_m < LOW_SHARE * self._limits.clearance_m else Level.WARN
        place = self._sector.frame.position(float(here[0]), float(here[1]))
        return [(level, finding(
            "terrain", "check.terrain.low", None, place, part="drone", height_m=math.floor(over_m),
            needed_m=math.ceil(self._limits.clearance_m),
        ))]

    def home_percent(self, position: Position, height_m: float, percent: float) -> float | None:
        """What the way home takes of a battery that is so full, to be sure."""
        here = self._sector.frame.to_enu(position.lat_deg, position.lon_deg)[0]
        work = way_home(here, height_m, self._route, self.wind, self._limits.airspeed_m_s)
        return self.energy.need(work, percent).surely_percent if math.isfinite(work.seconds) else None

    def _energy_home(self, here: Array, seen: Seen) -> list[tuple[Level, CheckFinding]]:
        if seen.charge_percent is None:
            return []
        work = way_home(here, seen.height_m, self._route, self.wind, self._limits.airspeed_m_s)
        if not math.isfinite(work.seconds):
            return []       # what the wind is worth is known from its own finding, before take-off
        left = seen.charge_percent - self.energy.need(work, seen.charge_percent).surely_percent
        if left >= self._limits.reserve_percent + WARN_PERCENT:
            return []
        place = self._sector.frame.position(float(here[0]), float(here[1]))
        level = Level.WARN if left >= self._limits.reserve_percent else Level.RETURN
        return [(level, finding(
            "energy", "check.energy.now", None, place, left_percent=max(0, math.floor(left)),
            reserve_percent=round(self._limits.reserve_percent),
        ))]

    def _time(self, here: Array, seen: Seen) -> list[tuple[Level, CheckFinding]]:
        if self.until_ns is None:
            return []
        home_s = float(np.linalg.norm(here - self._route.home)) / RETURN_M_S
        left_s = (self.until_ns - seen.at_ns) / NS_PER_S - home_s
        if left_s > 120.0:
            return []
        level = Level.WARN if left_s > 60.0 else Level.RETURN
        return [(level, finding("permit", "check.permit.ends", None, None, until_ns=self.until_ns))]

    def _traffic(
        self, here: Array, velocity: Array, level_m: float, seen: Seen, traffic: tuple[Aircraft, ...]
    ) -> list[tuple[Level, CheckFinding]]:
        area = np.array([shapely.LineString([here, here + velocity * REACTION_S + 0.1])], dtype=object)
        found = []
        for m in meetings(traffic, area, level_m, level_m, seen.monotonic_ns):
            place = self._sector.frame.position(m.aircraft.east_m, m.aircraft.north_m)
            level = Level.RETURN if m.distance_m < TRAFFIC_RETURN_M else Level.WARN
            found.append((level, finding(
                "traffic", "check.traffic", None, place, part="drone", aircraft=m.aircraft.name,
                distance_m=math.floor(m.distance_m), seconds=round(AHEAD_S), needed_m=round(SEPARATION_M),
            )))
        return found
