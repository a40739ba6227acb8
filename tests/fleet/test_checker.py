from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.checker import CheckLimits, check_plan
from fleet.planner import PatrolWish, PlanError, plan_patrol
from fleet.wind import Wind
from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import GridTerrain
from mavlink.ardupilot import Identity
from wire.flying import CheckResult, Plan, Waypoint, WaypointKind
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62225, 106.60230)
IDENTITY = Identity(1, "a1b2c3", "4.7.0", True)
CALM = Wind(0.0, 0.0, None, assumed=False)
LIMITS = CheckLimits(1200.0, wind=CALM)
HASTY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plan_over(
    sector: Sector, points_enu_m: list[tuple[float, float]], height_m: float = 30.0, home: GroundPosition = HOME
) -> Plan:
    places = [sector.frame.position(e, n) for e, n in points_enu_m]
    return Plan(
        "p", "drone-1", 1, "a1b2c3", "khe-da", home,
        (
            Waypoint(WaypointKind.TAKEOFF, home, height_m, 9.0),
            *[Waypoint(WaypointKind.WAYPOINT, p, height_m, 9.0) for p in places],
            Waypoint(WaypointKind.RETURN, home, height_m, 9.0),
        ),
        0,
    )


def rules(result: CheckResult) -> set[str]:
    return {f.rule for f in result.findings}


def border_distance_m(points: Array, sector: Sector) -> Array:
    """The oracle: own side by the sector's box cut, distance by brute force over the line's own vertices and segments."""
    line = sector.border.line
    found = np.full(len(points), np.inf)
    for part in shapely.get_parts(line):
        c = shapely.get_coordinates(part)
        a, b = c[:-1], c[1:]
        d = b - a
        for i, p in enumerate(points):
            t = np.clip(((p - a) * d).sum(1) / np.maximum((d * d).sum(1), 1e-12), 0.0, 1.0)
            found[i] = min(found[i], float(np.hypot(*(p - (a + t[:, None] * d)).T).min()))
    return found


def dense(a: Array, b: Array, count: int = 15) -> Array:
    return a + np.linspace(0.0, 1.0, count)[:, None] * (b - a)


places = st.tuples(st.floats(-1500.0, 1500.0), st.floats(-1500.0, 1500.0))


@HASTY
@given(points=st.lists(places, min_size=1, max_size=4))
def test_a_plan_that_passed_never_comes_nearer_the_border_than_the_buffer(
    sector: Sector, points: list[tuple[float, float]]
) -> None:
    """Legs, and the straight way home from places all along them, measured by an independent sampler."""
    plan = plan_over(sector, points)
    result = check_plan(plan, sector, Realm.TRAINING, LIMITS)
    if not result.passed:
        return
    home = sector.frame.point(HOME)
    path = [home, *[sector.frame.point(w.position) for w in plan.waypoints], home]
    for a, b in itertools.pairwise(path):
        on_leg = dense(np.asarray(a), np.asarray(b))
        ways_home = np.vstack([on_leg, *[dense(p, home, 8) for p in on_leg[::3]]])
        assert border_distance_m(ways_home, sector).min() >= sector.border_buffer_m - 0.01
        assert sector.border.signed_distance_m(ways_home).min() > 0
        for keep_out in sector.keep_outs:
            assert not shapely.intersects(shapely.points(ways_home), keep_out.outline).any()


@HASTY
@given(points=st.lists(places, min_size=1, max_size=4))
def test_a_plan_refused_for_the_border_really_comes_too_near(sector: Sector, points: list[tuple[float, float]]) -> None:
    """The other half: the checker does not refuse what is fine. Only where a dense sampling is far away from trouble."""
    plan = plan_over(sector, points)
    home = sector.frame.point(HOME)
    path = [home, *[np.asarray(p) for p in points], home]
    legs = np.vstack([dense(np.asarray(a), np.asarray(b), 40) for a, b in itertools.pairwise(path)])
    ways = np.vstack([legs, *[dense(p, home, 20) for p in legs[::4]]])
    if sector.border.signed_distance_m(ways).min() < sector.border_buffer_m + 60.0:
        return
    assert "border" not in rules(check_plan(plan, sector, Realm.TRAINING, LIMITS))


def test_waypoints_may_be_fine_and_the_leg_between_them_not(sector: Sector) -> None:
    line = np.asarray(shapely.get_coordinates(sector.border.line))
    plan = plan_over(sector, [(400.0, 400.0), (400.0, -1200.0), (600.0, 300.0)])
    ends = np.array([sector.frame.point(w.position) for w in plan.waypoints])
    assert line.shape[1] == 2 and sector.border.signed_distance_m(ends).min() > sector.border_buffer_m
    result = check_plan(plan, sector, Realm.TRAINING, LIMITS)
    assert "keep-out" in rules(result)
    leg = next(f for f in result.findings if f.rule == "keep-out")
    assert leg.leg == 2 and "Chợ Lao Bảo" in leg.sentence


def test_the_way_home_over_a_keep_out_is_refused_though_no_leg_enters_it(sector: Sector) -> None:
    """Round the market in a wide bow: every leg is clear of it, and a failsafe half-way would fly straight over it."""
    plan = plan_over(sector, [(700.0, 200.0), (700.0, -700.0), (250.0, -700.0), (700.0, -700.0), (700.0, 200.0)])
    result = check_plan(plan, sector, Realm.TRAINING, LIMITS)
    assert {f.rule for f in result.findings} == {"keep-out"}
    assert all(f.sentence.startswith("the straight way home from leg") for f in result.findings)


def test_across_the_border_and_out_of_the_sector_are_told_apart(sector: Sector) -> None:
    across = check_plan(plan_over(sector, [(-1100.0, 100.0)]), sector, Realm.TRAINING, LIMITS)
    assert any("crosses the border line" in f.sentence for f in across.findings), across.findings
    assert across.smallest_border_distance_m <= 0
    away = check_plan(plan_over(sector, [(9000.0, 0.0)]), sector, Realm.TRAINING, LIMITS)
    assert "sector" in rules(away)
    near = check_plan(plan_over(sector, [(-840.0, 110.0)]), sector, Realm.TRAINING, LIMITS)
    assert any("m of the border line; 150 m are kept" in f.sentence and f.position is not None for f in near.findings)


def test_a_live_launch_is_refused_on_an_advisory_border_and_over_synthetic_terrain(sector: Sector) -> None:
    plan = plan_over(sector, [(100.0, 260.0)])
    assert check_plan(plan, sector, Realm.TRAINING, LIMITS).passed
    live = check_plan(plan, sector, Realm.LIVE, LIMITS)
    assert not live.passed and rules(live) == {"border line", "terrain", "permit"}
    assumed = check_plan(plan, sector, Realm.LIVE, CheckLimits(1200.0))
    assert rules(assumed) == {"border line", "terrain", "permit", "wind"}, "and where nobody has asked about the wind"


def test_a_hill_between_two_waypoints_is_seen(sector: Sector) -> None:
    """30 m over home everywhere, and a ridge of 25 m crosses the leg half-way."""
    posts = np.full((300, 300), 165.0)
    posts[:, 145:150] = 190.0
    hilly = replace(sector, terrain=GridTerrain(posts, (-1500.0, -1500.0), 10.0, 0.5, synthetic=True))
    plan = plan_over(hilly, [(100.0, 260.0), (-200.0, 240.0)])
    result = check_plan(plan, hilly, Realm.TRAINING, LIMITS)
    assert rules(result) == {"terrain"}
    assert "5 m over the ground" in result.findings[0].sentence
    assert check_plan(plan_over(hilly, [(100.0, 260.0)]), hilly, Realm.TRAINING, LIMITS).passed
    assert check_plan(plan_over(hilly, [(100.0, 260.0), (-200.0, 240.0)], 60.0), hilly, Realm.TRAINING, LIMITS).passed


def test_a_hole_in_the_terrain_is_no_flat_ground(sector: Sector) -> None:
    posts = np.full((300, 300), 165.0)
    posts[170:180, 120:130] = np.nan
    holed = replace(sector, terrain=GridTerrain(posts, (-1500.0, -1500.0), 10.0, 0.5, synthetic=True))
    result = check_plan(plan_over(holed, [(100.0, 260.0), (-400.0, 240.0)]), holed, Realm.TRAINING, LIMITS)
    assert any("known terrain" in f.sentence for f in result.findings)


def test_a_battery_too_small_for_the_way_is_a_finding_with_numbers(sector: Sector) -> None:
    result = check_plan(plan_over(sector, [(-400.0, 150.0)]), sector, Realm.TRAINING, CheckLimits(100.0))
    assert rules(result) == {"energy"}
    assert "12 % of its battery" in result.findings[0].sentence and result.findings[0].leg == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -5.0, 0.0])
def test_numbers_that_are_none_are_refused_and_do_not_raise(sector: Sector, bad: float) -> None:
    good = plan_over(sector, [(100.0, 260.0)])
    broken = msgspec.structs.replace(good.waypoints[1], height_above_home_m=bad)
    plan = msgspec.structs.replace(good, waypoints=(good.waypoints[0], broken, good.waypoints[2]))
    assert rules(check_plan(plan, sector, Realm.TRAINING, LIMITS)) == {"shape"}
    nowhere = msgspec.structs.replace(good.waypoints[1], position=GroundPosition(bad * 1e9, 106.0))
    plan = msgspec.structs.replace(good, waypoints=(good.waypoints[0], nowhere, good.waypoints[2]))
    assert not check_plan(plan, sector, Realm.TRAINING, LIMITS).passed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    home=places, corridor=st.sampled_from(["khe-da", "ben-song"]), height_m=st.floats(20.0, 80.0),
    speed=st.floats(3.0, 12.0),
    reach_m=st.one_of(st.just(0.0), st.floats(40.0, 900.0)),
)
def test_every_patrol_that_the_planner_makes_passes_the_ground_checks(
    sector: Sector, home: tuple[float, float], corridor: str, height_m: float, speed: float, reach_m: float
) -> None:
    wish = PatrolWish("drone-1", corridor, sector.frame.position(*home), height_m, speed, reach_m)
    try:
        plan = plan_patrol(wish, sector, IDENTITY, "p", 0)
    except PlanError as error:
        assert corridor in str(error)
        return
    result = check_plan(plan, sector, Realm.TRAINING, CheckLimits(1e6))
    assert result.passed, result.findings


def test_the_demo_s_patrol_stops_short_of_the_buffer_and_comes_back(sector: Sector) -> None:
    whole = plan_patrol(PatrolWish("drone-1", "khe-da", HOME, 30.0, 9.0), sector, IDENTITY, "p", 5)
    assert whole.waypoints[0].kind is WaypointKind.TAKEOFF and whole.waypoints[-1].kind is WaypointKind.RETURN
    out = [w.position for w in whole.waypoints[1:-1]]
    assert out == out[::-1], "it comes back the way it went"
    distances = sector.border.signed_distance_m([sector.frame.point(p) for p in out])
    checked = check_plan(whole, sector, Realm.TRAINING, CheckLimits(1200.0))
    assert checked.passed and checked.buffer is not None
    assert checked.buffer.total_m > sector.border_buffer_m, "the assumed breeze asks for more than the sector's file"
    assert checked.buffer.total_m < distances.min() < checked.buffer.total_m + 40.0
    short = plan_patrol(PatrolWish("drone-1", "khe-da", HOME, 30.0, 9.0, reach_m=400.0), sector, IDENTITY, "p", 5)
    result = check_plan(short, sector, Realm.TRAINING, LIMITS)
    assert result.passed and 780.0 < result.length_m < 820.0
    assert (short.system_id, short.hardware_id) == (1, "a1b2c3")


def test_the_repository_s_fleet_settings_say_what_they_mean() -> None:
    """The committed demo settings parse, but for the key that each installation makes itself."""
    from fleet.settings import FleetSettings
    from wire.settings import load_settings

    s = load_settings(Path(__file__).resolve().parents[2] / "configs/demo/fleet.toml", FleetSettings)
    assert s.patrols[0].drone == s.drones[0].id
