"""When a drone will be there, how long it is away, and what it takes of its battery, as a person is told it.

The check reckons every way against the wind and in its strong stretches, for it has to hold whatever comes. This here is
what is to be expected: with the wind from every side that it may come from, and with how far it may be off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleet.checker import CheckLimits
from fleet.checker_air import FLOWN_LEGS, from_here, left_of
from fleet.checker_energy import GROUND_S, PATH_M_S2, SPEED_UP_M_S, Course, circle_s, course_of, stretch
from fleet.checker_route import Route, route_of
from fleet.energy import EnergyModel, Need, Work
from fleet.standing import Standing
from fleet.wind import Wind
from geofences.geodesy import Array
from geofences.sector import Sector
from wire.flying import Plan, WaypointKind

FROM_DEG = tuple(range(0, 360, 45))     # of a wind whose direction nobody has said
CALM_M_S = 0.3
PREPARED_S = 0.8                # from the launch to arming, on a clean link: upload, read back, pre-flight
TAKEN_UP_S = 2.5                # likewise in the air, from its stop until it flies the new plan
DIVERTED_S = 0.6                # until it flies to a contact
CLIMBED_SHARE = 0.8             # of the take-off height, from where it flies to a contact
AT_M = 2.0                      # of a place where it stops: it is there, and creeps up to it (WPNAV_RADIUS)
SETTLING_S = 0.8                # at the top of a climb, which who flies to a contact does not wait for
THERE_M = 15.0                  # of the place from which it looks at a contact: it is taken to be there
SHARE_SIGMA, LEAST_SIGMA_S = 0.03, 1.0      # of what is left out: over 16 flights of the model and an ArduCopter
SIGMAS = 2.0                    # of a spread


@dataclass(frozen=True, slots=True)
class Promise:
    """arrives_s: from the launch to the first place that was wanted, or until a contact is looked at. duration_s: from
    arming, or from here, to the ground. spreads: either way, and held nineteen times in twenty.
    """

    arrives_s: float = 0.0
    arrives_spread_s: float = 0.0
    duration_s: float = 0.0
    duration_spread_s: float = 0.0
    energy_percent: float = 0.0
    energy_spread_percent: float = 0.0


def promise(plan: Plan, standing: Standing, sector: Sector, *, to_look: bool) -> Promise:
    """Of a plan whose shape has passed its check. to_look: it is flown to in GUIDED, as a contact is."""
    limits, here = standing.limits, standing.here if standing.airborne else None
    if here is not None:
        at = sector.frame.position(*(float(v) for v in here))
        plan = from_here(plan, at, standing.height_m)
    route = route_of(plan, sector)
    winds = _winds(limits.wind)
    courses = [_course(plan, route, replace(limits, wind=w), in_air=here is not None) for w in winds]
    if not all(math.isfinite(c.total_s) for c in courses):
        return Promise()
    if to_look:
        arrivals_s = [_there_s(plan, route, standing, wind) for wind in winds]
    else:
        arrivals_s = [_arrives_s(plan, course, in_air=here is not None) for course in courses]
    arrives_s, arrives_spread_s = _spread(arrivals_s)
    duration_s, duration_spread_s = _spread([c.total_s for c in courses])
    need = _need([sum(c.work, Work()) for c in courses], limits)
    return Promise(arrives_s, arrives_spread_s, duration_s, duration_spread_s, need.percent, SIGMAS * need.sigma_percent)


def _winds(wind: Wind) -> list[Wind]:
    if wind.from_deg is not None or wind.speed_m_s < CALM_M_S:
        return [replace(wind, from_deg=wind.from_deg or 0.0)]
    return [replace(wind, from_deg=float(d)) for d in FROM_DEG]


def _course(plan: Plan, route: Route, limits: CheckLimits, *, in_air: bool) -> Course:
    if in_air:
        return left_of(plan, route, limits, sigmas=0.0)
    return course_of(route, plan, limits.wind, limits.airspeed_m_s, sigmas=0.0)


def _arrives_s(plan: Plan, course: Course, *, in_air: bool) -> float:
    """At the first place, before what it does there."""
    leg = FLOWN_LEGS if in_air else 1
    w = plan.waypoints[leg]
    there_s = w.hold_s + (circle_s(w) if w.kind is WaypointKind.ORBIT else 0.0)
    if w.kind is not WaypointKind.WAYPOINT:
        there_s += min(math.sqrt(2.0 * AT_M / PATH_M_S2), course.leg_s[leg] - there_s)
    return (TAKEN_UP_S if in_air else PREPARED_S) + sum(course.leg_s[: leg + 1]) - there_s


def _there_s(plan: Plan, route: Route, standing: Standing, wind: Wind) -> float:
    """To a contact: from where it is, at the speed that it has already; or from 0.8 of its take-off height on."""
    if standing.airborne:
        a, b = route.path[FLOWN_LEGS], route.path[FLOWN_LEGS + 1]
        rise = float(route.heights_m[FLOWN_LEGS + 1] - route.heights_m[FLOWN_LEGS])
        begins_s, begin_m_s = DIVERTED_S, _towards_m_s(b - a, standing.velocity_m_s)
    else:
        a, b = route.path[1], route.path[2]
        top = float(route.heights_m[1])
        rise = float(route.heights_m[2]) - CLIMBED_SHARE * top
        begins_s, begin_m_s = PREPARED_S + GROUND_S - SETTLING_S + CLIMBED_SHARE * top / SPEED_UP_M_S, 0.0
    away_m = float(np.linalg.norm(b - a))
    if away_m <= THERE_M:
        return begins_s
    to = a + (b - a) * (away_m - THERE_M) / away_m
    speed = plan.waypoints[1].speed_m_s
    end_m_s = min(speed, math.sqrt(2.0 * PATH_M_S2 * THERE_M))
    way = stretch(a, to, speed, wind, standing.limits.airspeed_m_s, begin_m_s=begin_m_s, end_m_s=end_m_s)
    return begins_s + max(way.seconds, rise / SPEED_UP_M_S * (1.0 - THERE_M / away_m))


def _towards_m_s(way: Array, velocity: tuple[float, float]) -> float:
    return max(0.0, float(np.dot(way, velocity)) / max(float(np.linalg.norm(way)), 1e-6))


def _spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Mean, and two sigma of it: of the wind's direction, and of what is left out."""
    values = np.array(seconds)
    mean = float(values.mean())
    sigma = math.hypot(float(values.std()), SHARE_SIGMA * mean)
    return mean, SIGMAS * math.hypot(sigma, LEAST_SIGMA_S)


def _need(works: Sequence[Work], limits: CheckLimits) -> Need:
    model = limits.energy or EnergyModel.of_endurance(limits.endurance_s)
    needs = [model.need(w, limits.charge_percent) for w in works]
    percents, sigmas = np.array([n.percent for n in needs]), np.array([n.sigma_percent for n in needs])
    return Need(float(percents.mean()), math.hypot(float(percents.std()), float(np.sqrt((sigmas**2).mean()))))
