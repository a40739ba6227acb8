"""How long each leg takes in the wind, what it takes from the battery, and whether enough is left to come home from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleet.checker_route import Route
from fleet.checker_words import finding
from fleet.energy import EnergyModel, Need, Work, level
from fleet.wind import PROGRESS_OVER_S, PROGRESS_SIGMAS, Wind, descent_s, ground_speed_m_s
from geofences.geodesy import Array, LocalFrame
from wire.flying import CheckFinding, Plan, WaypointKind

SPEED_UP_M_S, SPEED_DOWN_M_S = 2.5, 1.5     # ArduCopter's defaults, WPNAV_SPEED_UP and _DN
GROUND_S = 6.0                  # spooling up before a take-off, and down after a landing
HOVER_HOME_S = 5.0              # RTL_LOIT_TIME
RETURN_M_S = 10.0               # WPNAV_SPEED, at which a failsafe comes home
PATH_M_S2 = 1.3                 # up to speed and down from it, as measured on an ArduCopter


@dataclass(frozen=True, slots=True)
class Course:
    """leg_s: seconds, infinite where the wind is stronger than the drone. work: of each leg. home: from the end of each."""

    leg_s: tuple[float, ...]
    work: tuple[Work, ...]
    home: tuple[Work, ...]

    @property
    def total_s(self) -> float:
        return sum(self.leg_s)


def course_of(route: Route, plan: Plan, wind: Wind, airspeed_m_s: float) -> Course:
    """Along the legs as planned, from arming to landing.

    The whole of khe-da at 9 m/s and 30 m up without wind: 320 s; an ArduCopter in SITL took 330.
    """
    seconds, work, home = [], [], []
    for i, w in enumerate(plan.waypoints):
        a, b = route.path[i], route.path[i + 1]
        rise = float(route.heights_m[i + 1] - route.heights_m[i])
        if w.kind is WaypointKind.RETURN:
            back = way_home(route.path[i], float(route.heights_m[i]), route, wind, airspeed_m_s)
            seconds.append(back.seconds)
            work.append(back)
            home.append(Work())
            continue
        leg = _stretch(a, b, w.speed_m_s, wind, airspeed_m_s)
        up_s = rise / SPEED_UP_M_S if rise > 0 else -rise / SPEED_DOWN_M_S
        stop_s = w.speed_m_s / PATH_M_S2 if w.hold_s > 0 else 0.0
        if w.kind is WaypointKind.ORBIT:
            leg += level(2.0 * math.pi * w.radius_m * w.turns / w.speed_m_s, w.speed_m_s + wind.speed_m_s)
        still_s = w.hold_s + stop_s + max(0.0, up_s - leg.seconds) + (GROUND_S if i == 0 else 0.0)
        leg += level(still_s, wind.speed_m_s) + Work(climb_m=max(0.0, rise))
        seconds.append(leg.seconds)
        work.append(leg)
        home.append(way_home(b, float(route.heights_m[i + 1]), route, wind, airspeed_m_s))
    return Course(tuple(seconds), tuple(work), tuple(home))


def _stretch(a: Array, b: Array, speed_m_s: float, wind: Wind, airspeed_m_s: float, sigmas: float = 0.0) -> Work:
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
    return level(length / over_ground, through)


def way_home(here: Array, height: float, route: Route, wind: Wind, airspeed_m_s: float) -> Work:
    """From a place and a height above home straight home and down, in a strong stretch of the wind."""
    top = max(height, route.return_m)
    down = level(HOVER_HOME_S + descent_s(top) + GROUND_S / 2.0 + (top - height) / SPEED_UP_M_S, wind.speed_m_s)
    climb = Work(climb_m=top - height)
    return _stretch(here, route.home, RETURN_M_S, wind, airspeed_m_s, PROGRESS_SIGMAS) + down + climb


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
                "energy", "check.energy", leg, place, left_percent=math.floor(left), reserve_percent=round(reserve_percent)
            )]
    return model.need(done, charge_percent), findings
