"""What the checks ask beyond legs: circles, rally points, fences, ceilings, permits, daylight, other aircraft."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.airspace_ground import Ways, refuted_ways
from fleet.airspace_traffic import COORDS, VELOCITY, Aircraft, aircraft_of
from fleet.checker import CheckLimits, check_plan
from fleet.permit import Permit, first_dark_ns
from fleet.wind import Wind, demanded_buffer
from geofences.sector import Sector
from geofences.terrain import GridTerrain
from wire.clock import NS_PER_S
from wire.flying import CheckResult, Plan, RallyPoint, Waypoint, WaypointKind
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62225, 106.60230)
CALM = Wind(0.0, 0.0, None, assumed=False)
LIMITS = CheckLimits(1e6, wind=CALM)
NOON_NS = round(datetime(2026, 11, 29, 5, 0, tzinfo=UTC).timestamp()) * NS_PER_S       # 12:00 at Lao Bao
HASTY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plan_of(sector: Sector, *waypoints: Waypoint, **more: object) -> Plan:
    flown = (
        Waypoint(WaypointKind.TAKEOFF, HOME, 30.0, 9.0), *waypoints, Waypoint(WaypointKind.RETURN, HOME, 30.0, 9.0),
    )
    return Plan("p", "drone-1", 1, "a1b2c3", "khe-da", HOME, flown, 0, **more)     # type: ignore[arg-type]


def at(sector: Sector, east: float, north: float, height: float = 30.0, **more: object) -> Waypoint:
    return msgspec.structs.replace(
        Waypoint(WaypointKind.WAYPOINT, sector.frame.position(east, north), height, 9.0), **more
    )


def check(plan: Plan, sector: Sector, limits: CheckLimits = LIMITS) -> CheckResult:
    return check_plan(plan, sector, Realm.TRAINING, limits)


def rules(result: CheckResult) -> set[str]:
    return {f.rule for f in result.findings}


@HASTY
@given(
    east=st.floats(-900.0, 900.0), north=st.floats(-800.0, 900.0), radius=st.floats(2.0, 200.0), part=st.floats(0.0, 6.28)
)
def test_a_circle_that_passed_keeps_its_distance_all_round(
    sector: Sector, east: float, north: float, radius: float, part: float
) -> None:
    orbit = at(sector, east, north, kind=WaypointKind.ORBIT, radius_m=radius, turns=1.0)
    result = check(plan_of(sector, orbit), sector)
    p = np.array([east + radius * math.sin(part), north + radius * math.cos(part)])
    if result.passed:
        assert result.buffer is not None
        assert sector.border.signed_distance_m(p)[0] >= result.buffer.total_m - 0.01
        assert not any(k.outline.covers(shapely.Point(p)) for k in sector.keep_outs)


def test_a_circle_is_refused_by_its_edge_though_its_middle_is_fine(sector: Sector) -> None:
    small, large = (
        check(plan_of(sector, at(sector, 560.0, 160.0, kind=WaypointKind.ORBIT, radius_m=r, turns=1.0)), sector)
        for r in (20.0, 250.0)
    )
    assert small.passed
    assert any(f.rule == "keep-out" and "the circle at the end of leg 1" in f.sentence for f in large.findings)


def test_a_rally_point_and_the_way_to_it_are_checked_like_home(sector: Sector) -> None:
    out = at(sector, 600.0, 200.0)
    near = RallyPoint(sector.frame.position(500.0, 300.0), 30.0)
    assert check(plan_of(sector, out, rally=(near,)), sector).passed
    behind = RallyPoint(sector.frame.position(200.0, -700.0), 30.0)       # the market lies between
    found = check(plan_of(sector, out, rally=(behind,)), sector).findings
    assert {f.rule for f in found} == {"keep-out"} and any("to a rally point from leg" in f.sentence for f in found)
    inside = RallyPoint(sector.frame.position(200.0, -200.0), 30.0)
    assert any(f.sentence == "rally point 0 enters the keep-out Chợ Lao Bảo" for f in
               check(plan_of(sector, out, rally=(inside,)), sector).findings)


def test_a_fence_holds_the_plan_and_keeps_the_drift_from_the_line(sector: Sector) -> None:
    out = at(sector, 100.0, 260.0)
    ring = [sector.frame.position(e, n) for e, n in ((-100.0, 150.0), (500.0, 150.0), (500.0, 400.0), (-100.0, 400.0))]
    assert check(plan_of(sector, out, fence=tuple(ring)), sector).passed
    small = (ring[0], sector.frame.position(200.0, 150.0), sector.frame.position(200.0, 400.0), ring[3])
    assert rules(check(plan_of(sector, out, fence=small), sector)) == {"fence"}
    corners = ((-1500.0, 100.0), (500.0, 150.0), (500.0, 400.0), (-1500.0, 400.0))
    wide = tuple(sector.frame.position(e, n) for e, n in corners)
    found = check(plan_of(sector, out, fence=wide), sector, replace(LIMITS, wind=Wind(3.0, 0.5, None, False))).findings
    assert [f.key for f in found] == ["check.fence.near"]


def test_the_ceiling_counts_from_the_ground_below(sector: Sector) -> None:
    posts = np.full((400, 400), 165.0)
    posts[:, :190] = 130.0          # it falls away in the west
    cliff = replace(sector, terrain=GridTerrain(posts, (-2000.0, -2000.0), 10.0, 0.5, synthetic=True))
    result = check(plan_of(sector, at(sector, -200.0, 240.0, 95.0)), cliff)
    assert rules(result) == {"ceiling"}
    assert "130 m over the ground; 120 m are allowed" in result.findings[0].sentence
    permit = Permit("12/2026", NOON_NS - 1, NOON_NS + 10**15, 60.0)
    low = check(plan_of(sector, at(sector, 100.0, 260.0, 70.0)), sector, replace(LIMITS, at_ns=NOON_NS, permits=(permit,)))
    assert rules(low) == {"ceiling"} and "60 m are allowed" in low.findings[0].sentence


@pytest.mark.parametrize(
    ("permit", "key"),
    [
        (Permit("1", NOON_NS, NOON_NS + 3600 * NS_PER_S, 120.0), None),
        (Permit("2", NOON_NS, NOON_NS + 20 * NS_PER_S, 120.0), "check.permit.window"),
        (Permit("3", NOON_NS + 1, NOON_NS + 3600 * NS_PER_S, 120.0), "check.permit.window"),
        (Permit("4", 0, 2 * NOON_NS, 120.0, drones=("drone-2",)), "check.permit.drone"),
        (Permit("5", 0, 2 * NOON_NS, 120.0, hours_min=(6 * 60, 12 * 60 + 1)), "check.permit.hours"),
        (Permit("6", 0, 2 * NOON_NS, 120.0, hours_min=(22 * 60, 13 * 60)), None),
        (Permit("7", 0, 2 * NOON_NS, 120.0, area_enu=shapely.box(0.0, 0.0, 200.0, 1000.0)), "check.permit.area"),
        (Permit("8", 0, 2 * NOON_NS, 120.0, area_enu=shapely.box(-9e3, -9e3, 9e3, 9e3)), None),
    ],
)
def test_a_permit_covers_a_flight_or_says_what_is_missing(sector: Sector, permit: Permit, key: str | None) -> None:
    limits = replace(LIMITS, at_ns=NOON_NS, permits=(permit,))
    found = check(plan_of(sector, at(sector, 100.0, 260.0)), sector, limits).findings
    assert [f.key for f in found] == ([key] if key else [])
    another = Permit("9", 0, 2 * NOON_NS, 120.0)
    assert check(plan_of(sector, at(sector, 100.0, 260.0)), sector, replace(limits, permits=(permit, another))).passed


def test_a_permit_for_daylight_ends_when_the_sun_sets(sector: Sector) -> None:
    plan, day = plan_of(sector, at(sector, 100.0, 260.0)), Permit("d", 0, 2 * NOON_NS, 120.0)
    sunset_ns = first_dark_ns(NOON_NS, NOON_NS + 12 * 3600 * NS_PER_S, HOME)
    assert sunset_ns is not None
    local = datetime.fromtimestamp(sunset_ns / 1e9, UTC)
    assert (local.hour, local.minute // 20) == (10, 0), "17:1x at Lao Bao at the end of November"
    late = replace(LIMITS, at_ns=sunset_ns - 30 * NS_PER_S, permits=(day,))
    assert rules(check(plan, sector, late)) == {"daylight"}
    assert check(plan, sector, replace(late, at_ns=sunset_ns - 900 * NS_PER_S)).passed
    assert check(plan, sector, replace(late, permits=(replace(day, night=True),))).passed


def test_an_aircraft_that_comes_near_within_a_minute_is_a_reason(sector: Sector) -> None:
    plan = plan_of(sector, at(sector, 100.0, 260.0))

    def with_one(**more: object) -> CheckResult:
        one = Aircraft("VN-8651", 3000.0, 250.0, 200.0, (-50.0, 0.0), 0)
        return check(plan, sector, replace(LIMITS, traffic=(replace(one, **more),), now_ns=NS_PER_S))   # type: ignore[arg-type]

    found = with_one().findings
    assert [f.rule for f in found] == ["traffic"] and "VN-8651" in found[0].sentence
    assert with_one(velocity_m_s=(50.0, 0.0)).passed, "it flies away"
    assert with_one(height_msl_m=900.0).passed, "it is far above"
    assert not with_one(height_msl_m=None).passed, "its height is not known"
    assert with_one(heard_ns=-60 * NS_PER_S).passed, "it was not heard for a minute"


def test_a_transponder_without_a_place_is_no_aircraft(sector: Sector) -> None:
    def told(flags: int, lat: int = 166200000) -> Aircraft | None:
        rest = (0, 300000, 9000, 5000, 0, b"HVN1\0", 1, 1, flags, 0)
        m = mavlink.MAVLink_adsb_vehicle_message(0x888123, lat, 1066000000, *rest)
        return aircraft_of(m, sector.frame, 0)

    one = told(COORDS | VELOCITY)
    assert one is not None and one.name == "HVN1" and one.velocity_m_s == pytest.approx((50.0, 0.0), abs=1e-9)
    assert one.height_msl_m is None and abs(one.north_m) < 1.0
    assert told(0) is None and told(COORDS, 0) is None


def test_a_wind_that_is_too_strong_is_refused_with_its_numbers(sector: Sector) -> None:
    result = check(plan_of(sector, at(sector, 100.0, 260.0)), sector, replace(LIMITS, wind=Wind(9.5, 1.0, None, False)))
    assert "wind" in rules(result)
    assert any("a wind of 9.5 m/s with gusts of 1.0 m/s" in f.sentence for f in result.findings)


def test_a_return_height_lifts_the_way_home_over_a_hill_between(sector: Sector) -> None:
    posts = np.full((400, 400), 165.0)
    posts[:, 195:199] = 205.0
    hill = replace(sector, terrain=GridTerrain(posts, (-2000.0, -2000.0), 10.0, 0.5, synthetic=True))
    around = [at(sector, 100.0, 260.0, 75.0), at(sector, -150.0, 250.0, 75.0), at(sector, -160.0, 240.0, 30.0)]
    low = check(plan_of(sector, *around, return_height_m=15.0), hill)
    assert rules(low) == {"terrain"}
    assert check(plan_of(sector, *around, at(sector, -150.0, 250.0, 75.0), return_height_m=75.0), hill).passed


@HASTY
@given(
    seed=st.integers(0, 10**6), apex=st.tuples(st.floats(-800.0, 800.0), st.floats(-800.0, 800.0)),
    a=st.tuples(st.floats(-800.0, 800.0), st.floats(-800.0, 800.0)),
    b=st.tuples(st.floats(-800.0, 800.0), st.floats(-800.0, 800.0)), height=st.floats(20.0, 90.0),
)
def test_ways_home_that_are_proven_are_clear_and_those_refuted_are_not(
    seed: int, apex: tuple[float, float], a: tuple[float, float], b: tuple[float, float], height: float
) -> None:
    """Against many ways of the fan, each looked at every few metres."""
    chance = np.random.default_rng(seed)
    terrain = GridTerrain(chance.uniform(0.0, 60.0, (90, 90)), (-900.0, -900.0), 20.3, 0.5, synthetic=True)
    one = np.ones(1)
    ways = Ways(
        np.array([apex]), np.array([a]), np.array([b]), one * (height + 10.0), one * height, -np.inf * one, -np.inf * one
    )
    refuted = refuted_ways(ways, 10.0, terrain)
    t, s = (v.ravel() for v in np.meshgrid(np.linspace(0.0, 1.0, 60), np.linspace(0.0, 1.0, 150)))
    from_leg = np.array(a) + t[:, None] * (np.array(b) - np.array(a))
    over = ways.height_a_m[0] - 10.0 * t - terrain.height_msl_m(np.array(apex) + s[:, None] * (from_leg - np.array(apex)))
    if not refuted:
        assert over.min() >= 10.0 - 1e-6
    else:
        assert refuted[0][0] <= 10.0 + 3.0, "it is refuted by a place that is too low, or all but"
    if over.min() < 10.0 - 1e-6:
        assert refuted


@HASTY
@given(speed=st.floats(0.0, 8.0), height=st.floats(20.0, 80.0))
def test_the_buffer_that_is_shown_is_the_one_that_is_kept(sector: Sector, speed: float, height: float) -> None:
    wind = Wind(speed, 0.5, None, assumed=False)
    result = check(plan_of(sector, at(sector, 100.0, 260.0, height)), sector, replace(LIMITS, wind=wind, airspeed_m_s=15.0))
    assert result.buffer is not None
    own = demanded_buffer(wind, max(height, 30.0), 9.0, sector.border_buffer_m)
    shown, asked = (msgspec.structs.astuple(b) for b in (result.buffer, own))
    assert shown == pytest.approx(asked)
    distance = result.smallest_border_distance_m
    assert ("border" in rules(result)) == (distance <= own.total_m)
