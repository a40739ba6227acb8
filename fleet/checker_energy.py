"""How long each leg takes in the wind, what it takes from the battery, and whether enough is left to come home from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fleet.checker_route import Route
from fleet.checker_words import finding
from fleet.energy import EnergyModel, Need, Work, level
from fleet.wind import CORNER_M_S, PROGRESS_OVER_S, PROGRESS_SIGMAS, Wind, descent_s, ground_speed_m_s
from geofences.geodesy import Array, LocalFrame
from wire.flying import CheckFinding, Plan, Waypoint, WaypointKind

SPEED_UP_M_S, SPEED_DOWN_M_S = 2.5, 1.5     # ArduCopter's defaults, WPNAV_SPEED_UP and _DN
SPOOL_S = 3.3                   # from arming to leaving the ground, as measured on an ArduCopter
GROUND_S = 6.3                  # a take-off's time over its climb: spooling up, getting to speed, and settling at its top
DOWN_S = 3.0                    # after the landing until it disarms
HOVER_HOME_S = 5.0              # RTL_LOIT_TIME
RETURN_M_S = 10.0               # WPNAV_SPEED, at which a failsafe comes home
PATH_M_S2 = 1.3                 # up to speed and down from it, as measured on an ArduCopter
CIRCLE_M_S2, CIRCLE_RATE_DEG_S = 1.25, 20.0     # half of WPNAV_ACCEL, and CIRCLE_RATE, bound it on a circle (AC_Circle)


@dataclass(frozen=True, slots=True)
class Course:
    """leg_s: seconds, infinite where the wind is stronger than the drone. work: of each leg. home: from the end of each."""

    leg_s: tuple[float, ...]
    work: tuple[Work, ...]
    home: tuple[Work, ...]

    @property
    def total_s(self) -> float:
        return sum(self.leg_s)


def course_of(
    route: Route, plan: Plan, wind: Wind, airspeed_m_s: float, sigmas: float = PROGRESS_SIGMAS
) -> Course:
    """Along the legs as planned, from arming to landing. sigmas: how strong a stretch of the wind the ways home meet.

    It stops where it holds, circles or turns for home, and takes every other corner at the speed that its angle lets.
    """
    seconds, work, home = [], [], []
    ends = _end_speeds(route, plan)
    for i, w in enumerate(plan.waypoints):
        a, b = route.path[i], route.path[i + 1]
        rise = float(route.heights_m[i + 1] - route.heights_m[i])
        if w.kind is WaypointKind.RETURN:
            back = way_home(route.path[i], float(route.heights_m[i]), route, wind, airspeed_m_s, sigmas)
            seconds.append(back.seconds)
            work.append(back)
            home.append(Work())
            continue
        leg = stretch(a, b, w.speed_m_s, wind, airspeed_m_s, begin_m_s=ends[i - 1] if i > 0 else 0.0, end_m_s=ends[i])
        up_s = rise / SPEED_UP_M_S if rise > 0 else -rise / SPEED_DOWN_M_S
        if w.kind is WaypointKind.ORBIT:
            leg += level(circle_s(w), w.speed_m_s + wind.speed_m_s)
        still_s = w.hold_s + max(0.0, up_s - leg.seconds) + (GROUND_S if i == 0 else 0.0)
        leg += level(still_s, wind.speed_m_s) + Work(climb_m=max(0.0, rise))
        seconds.append(leg.seconds)
        work.append(leg)
        home.append(way_home(b, float(route.heights_m[i + 1]), route, wind, airspeed_m_s, sigmas))
    return Course(tuple(seconds), tuple(work), tuple(home))


def circle_s(w: Waypoint) -> float:
    """Round a circle: at its own speed, which is no faster than its radius lets."""
    speed = min(math.radians(CIRCLE_RATE_DEG_S) * w.radius_m, math.sqrt(CIRCLE_M_S2 * w.radius_m))
    return 2.0 * math.pi * w.radius_m * w.turns / max(speed, 0.1) + speed / PATH_M_S2 / 2.0


def _end_speeds(route: Route, plan: Plan) -> list[float]:
    """(n,) m/s over the ground at the end of each leg."""
    speeds = []
    for i, w in enumerate(plan.waypoints):
        after = plan.waypoints[i + 1] if i + 1 < len(plan.waypoints) else None
        straight_on = after is not None and after.kind in (WaypointKind.WAYPOINT, WaypointKind.LOITER_TIME)
        if i == 0 or w.kind is not WaypointKind.WAYPOINT or w.hold_s > 0 or not straight_on:
            speeds.append(0.0)
            continue
        before, then = route.path[i + 1] - route.path[i], route.path[i + 2] - route.path[i + 1]
        sizes = float(np.linalg.norm(before) * np.linalg.norm(then))
        cosine = float(before @ then) / sizes if sizes > 1e-6 else 0.0
        speeds.append(max(CORNER_M_S, w.speed_m_s * max(0.0, cosine) ** 2))
    return speeds


def travel_s(length_m: float, speed_m_s: float, begin_m_s: float, end_m_s: float) -> float:
    """Up to a speed, along, and down from it, all at PATH_M_S2."""
    begin, end = min(begin_m_s, speed_m_s), min(end_m_s, speed_m_s)
    top = min(speed_m_s, math.sqrt(PATH_M_S2 * length_m + (begin * begin + end * end) / 2.0))
    top = max(top, begin, end)
    changing_m = (2.0 * top * top - begin * begin - end * end) / (2.0 * PATH_M_S2)
    return (2.0 * top - begin - end) / PATH_M_S2 + max(0.0, length_m - changing_m) / top


def stretch(
    a: Array, b: Array, speed_m_s: float, wind: Wind, airspeed_m_s: float, sigmas: float = 0.0, *, begin_m_s: float = 0.0,
    end_m_s: float = 0.0,
) -> Work:
    """Straight and level from a to b."""
    east, north = (float(v) for v in b - a)
    length = math.hypot(east, north)
    if length < 1e-6:
        return Work()
    direction = (east / length, north / length)
    over_ground = ground_speed_m_s(speed_m_s, direction, wind, airspeed_m_s, sigmas=sigmas)
    if over_ground < 0.1:
        return level(math.inf, airspeed_m_s)
    air = wind.velocity()
    if air is None:
        through = min(airspeed_m_s, over_ground + wind.over_m_s(PROGRESS_OVER_S, sigmas))
    else:
        through = math.hypot(direction[0] * over_ground - air[0], direction[1] * over_ground - air[1])
    return level(travel_s(length, over_ground, begin_m_s, end_m_s), through)


def way_home(
    here: Array, height: float, route: Route, wind: Wind, airspeed_m_s: float, sigmas: float = PROGRESS_SIGMAS
) -> Work:
    """From a place and a height above home straight home and down, in a strong stretch of the wind."""
    top = max(height, route.return_m)
    down = level(HOVER_HOME_S + descent_s(top) + DOWN_S + (top - height) / SPEED_UP_M_S, wind.speed_m_s)
    climb = Work(climb_m=top - height)
    return stretch(here, route.home, RETURN_M_S, wind, airspeed_m_s, sigmas) + down + climb


def energy_findings(
    course: Course, model: EnergyModel, charge_percent: float, reserve_percent: float, frame: LocalFrame, route: Route
) -> tuple[Need, list[CheckFinding]]:
    """What the whole plan takes, and the first leg from whose end it would not come home with its reserve."""
    done = Work()
    if not math.isfinite(course.total_s):
        return Need(0.0, 0.0), []       # refused for its wind
    findings: list[CheckFinding] = []
    for leg, (work, home) in enumerate(zip(course.work, course.home, strict=True)):
        done += work
        if findings:
            continue
        need = model.need(done + home, charge_percent)
        left = charge_percent - need.surely_percent
        if left < reserve_percent:
            place = frame.position(*(float(v) for v in route.path[leg + 1]))
            findings = [finding(
                "energy", "check.energy", leg, place, left_percent=max(0, math.floor(left)),
                reserve_percent=round(reserve_percent),
            )]
    return model.need(done, charge_percent), findings
