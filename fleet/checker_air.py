"""The check of a plan that a drone in the air is to take up: from where it is, and not from home.

The way from its place to the plan's first one is a leg like all others. Its battery is asked about from here on: the
take-off is behind it, and the way from home to here too.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from fleet.checker import CheckLimits, check_plan
from fleet.checker_energy import Course, course_of, energy_findings
from fleet.checker_route import Route, route_of
from fleet.checker_words import in_english
from fleet.energy import EnergyModel, Work
from fleet.wind import PROGRESS_SIGMAS
from geofences.sector import Sector
from wire.flying import CheckFinding, CheckResult, Plan, Waypoint, WaypointKind
from wire.units import GroundPosition, Realm

FLOWN_LEGS = 2                  # of the longer plan: up from home, and from there to here


def from_here(plan: Plan, here: GroundPosition, height_m: float) -> Plan:
    """The plan with the drone's place as its first waypoint. height_m: above home."""
    first = plan.waypoints[1]
    start = Waypoint(WaypointKind.WAYPOINT, here, max(1.0, height_m), first.speed_m_s)
    return msgspec.structs.replace(plan, waypoints=(plan.waypoints[0], start, *plan.waypoints[1:]))


def check_from_here(
    plan: Plan, here: GroundPosition, height_m: float, sector: Sector, realm: Realm, limits: CheckLimits
) -> CheckResult:
    """As check_plan; leg 1 is the way from here to the plan's first place. length and duration are of what is left."""
    longer = from_here(plan, here, height_m)
    free = replace(limits, endurance_s=1e9, energy=None, charge_percent=100.0, reserve_percent=0.0)
    result = check_plan(longer, sector, realm, free)
    findings = [_as_planned(f) for f in result.findings if f.leg is None or f.leg >= FLOWN_LEGS]
    if any(f.rule == "shape" for f in result.findings):
        return msgspec.structs.replace(result, passed=False, findings=tuple(map(_as_planned, result.findings)))
    route = route_of(longer, sector)
    course = left_of(longer, route, limits)
    model = limits.energy or EnergyModel.of_endurance(limits.endurance_s)
    need, spent = energy_findings(course, model, limits.charge_percent, limits.reserve_percent, sector.frame, route)
    findings += [_as_planned(f) for f in spent]
    return msgspec.structs.replace(
        result, passed=not findings, findings=tuple(findings), duration_s=course.total_s, energy_percent=need.percent,
        energy_sigma_percent=need.sigma_percent,
    )


def left_of(longer: Plan, route: Route, limits: CheckLimits, sigmas: float = PROGRESS_SIGMAS) -> Course:
    """What is left to fly of a plan that begins here. sigmas: as in course_of."""
    course = course_of(route, longer, limits.wind, limits.airspeed_m_s, sigmas)
    skipped = (Work(),) * FLOWN_LEGS
    return Course(
        (0.0,) * FLOWN_LEGS + course.leg_s[FLOWN_LEGS:], skipped + course.work[FLOWN_LEGS:],
        skipped + course.home[FLOWN_LEGS:],
    )


def _as_planned(f: CheckFinding) -> CheckFinding:
    """With the leg as the plan itself counts it."""
    if f.leg is None or f.leg < FLOWN_LEGS:
        return f
    leg = f.leg - 1
    params = {**f.params, "leg": leg}
    return msgspec.structs.replace(f, leg=leg, params=params, sentence=in_english(f.key, params))
