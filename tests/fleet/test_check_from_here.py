"""A plan that a drone in the air is to take up is checked from where it is: the way there, and the battery that is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.checker import CheckLimits, check_plan
from fleet.checker_air import check_from_here, from_here
from fleet.planner import PatrolWish, plan_patrol
from fleet.wind import Wind
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from wire.flying import Plan, WaypointKind
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62225, 106.60230)
LIMITS = CheckLimits(1200.0, wind=Wind(2.0, 0.5, None, assumed=False))
NEAR_BORDER = GroundPosition(16.6207, 106.5915)


@pytest.fixture(scope="module")
def plan(sector: Sector) -> Plan:
    wish = PatrolWish("drone-1", "khe-da", HOME, 30.0, 8.0, reach_m=400.0)
    return plan_patrol(wish, sector, Identity(1, "a1", "4.7.0", simulated=True), "plan-1", 0, LIMITS)


def test_from_over_home_it_is_the_same_plan(plan: Plan, sector: Sector) -> None:
    from_ground = check_plan(plan, sector, Realm.TRAINING, LIMITS)
    here = check_from_here(plan, HOME, 30.0, sector, Realm.TRAINING, LIMITS)
    assert from_ground.passed and here.passed
    assert here.duration_s < from_ground.duration_s and here.energy_percent < from_ground.energy_percent, "no take-off"
    assert here.energy_percent == pytest.approx(from_ground.energy_percent, rel=0.25)


def test_the_way_to_its_first_place_is_a_leg_of_it(plan: Plan, sector: Sector) -> None:
    result = check_from_here(plan, NEAR_BORDER, 30.0, sector, Realm.TRAINING, LIMITS)
    assert not result.passed
    border = next(f for f in result.findings if f.rule == "border")
    assert border.leg == 1 and "leg 1 " in border.sentence + " ", "counted as the plan itself counts"
    assert [w.kind for w in from_here(plan, HOME, 30.0).waypoints[:2]] == [WaypointKind.TAKEOFF, WaypointKind.WAYPOINT]
    low = check_from_here(plan, GroundPosition(16.6222, 106.6000), 2.0, sector, Realm.TRAINING, LIMITS)
    assert any(f.rule == "terrain" and f.leg == 1 for f in low.findings)


def test_the_battery_is_asked_about_from_here_on(plan: Plan, sector: Sector) -> None:
    def passed(charge: float, here: GroundPosition | None) -> bool:
        limits = replace(LIMITS, charge_percent=charge)
        if here is None:
            return check_plan(plan, sector, Realm.TRAINING, limits).passed
        return check_from_here(plan, here, 30.0, sector, Realm.TRAINING, limits).passed

    first = plan.waypoints[1].position
    least_from_ground = next(c for c in range(30, 100) if passed(float(c), None))
    least_from_there = next(c for c in range(30, 100) if passed(float(c), first))
    assert least_from_there < least_from_ground
    assert not passed(31.0, first)
