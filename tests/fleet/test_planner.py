"""Patrols of every kind: what they cover, what they keep away from, and that the checks agree."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from fleet import routes
from fleet.airspace_ground import over_legs
from fleet.checker import CheckLimits, check_plan
from fleet.mission import mission_items
from fleet.planner import Maker, PatrolWish, PlanError, plan_area, plan_orbit, plan_patrol, plan_point, share_corridor
from fleet.planner_debt import plan_debt
from fleet.planner_heights import TOLERANCE_M, follow
from fleet.routes_camera import CameraView, best_height_m, strip
from fleet.wind import Wind
from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import GridTerrain
from mavlink.ardupilot import Identity
from wire.coverage import CoverageDebt, DebtSegment
from wire.flying import WaypointKind
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62225, 106.60230)
IDENTITY = Identity(1, "a1b2c3", "4.7.0", True)
CALM = Wind(0.0, 0.0, None, assumed=False)
ENDLESS = CheckLimits(1e9, reserve_percent=0.0)
VIEW = CameraView(Lens(960, 540, 700.0, 700.0, 479.5, 269.5), -45.0, 150.0, 12.0)
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

places = st.tuples(st.floats(-1500.0, 1500.0), st.floats(-1500.0, 1500.0))
winds = st.builds(Wind, st.floats(0.0, 6.0), st.floats(0.0, 1.0), st.none(), st.just(False))


def wish(**more: object) -> PatrolWish:
    return replace(PatrolWish("drone-1", "khe-da", HOME, 30.0, 9.0), **more)    # type: ignore[arg-type]


def maker(sector: Sector, limits: CheckLimits = ENDLESS) -> Maker:
    return Maker(sector, IDENTITY, 5, limits)


def hills(sector: Sector, seed: int, roughness: float = 1.0) -> Sector:
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:340, 0:340] * 10.0
    heights = np.full(x.shape, 165.0)
    for k in (1, 2, 4):
        px, py = chance.uniform(0.0, 6.3, 2)
        heights += roughness * chance.uniform(4.0, 14.0) / k * np.sin(x / 420.0 * k + px) * np.cos(y / 420.0 * k + py)
    return replace(sector, terrain=GridTerrain(heights, (-1700.0, -1700.0), 10.0, 0.5, synthetic=True))


def polygon(centre: tuple[float, float], radii: list[float]) -> shapely.Polygon:
    angles = np.arange(len(radii)) * (2.0 * np.pi / len(radii))
    return shapely.Polygon(np.array(centre) + np.array(radii)[:, None] * np.column_stack([np.cos(angles), np.sin(angles)]))


# ------------------------------------------------------------------------------------------------------------ the shapes


@FEW
@given(home=places, border_m=st.floats(100.0, 400.0), points=st.lists(places, min_size=20, max_size=20))
def test_the_room_holds_exactly_what_has_a_clear_way_home(
    sector: Sector, home: tuple[float, float], border_m: float, points: list[tuple[float, float]]
) -> None:
    """Against a plain question about each straight way; within a metre of its edges either may be right."""
    at = np.array(home)
    room = routes.reachable(sector, at, border_m, 20.0)
    assume(not room.is_empty)
    for p in points:
        way = shapely.LineString([at, p])
        spare = min(
            way.distance(sector.border.line) - border_m, *(way.distance(k.outline) - 20.0 for k in sector.keep_outs),
        )
        clear = spare > 1.0 and sector.border.own_side.covers(way)
        if room.covers(shapely.Point(p)):
            assert spare > -0.01
        elif shapely.Point(p).distance(room) > 1.0:
            assert not clear


@FEW
@given(home=places, passes=st.lists(st.tuples(places, places), min_size=1, max_size=5))
def test_what_is_joined_stays_inside_the_room(
    sector: Sector, home: tuple[float, float], passes: list[tuple[tuple[float, float], tuple[float, float]]]
) -> None:
    at = np.array(home)
    room = routes.reachable(sector, at, 200.0, 20.0)
    assume(not room.is_empty)
    cut = [np.asarray(p.coords) for a, b in passes for p in routes.inside(shapely.LineString([a, b]), room)]
    assume(cut)
    path = routes.joined(cut, room, at)
    assert room.buffer(2.0 * routes.INSIDE_M).covers(shapely.LineString(path) if len(path) > 1 else shapely.Point(path[0]))


@MANY
@given(width=st.floats(5.0, 300.0), swath=st.floats(4.0, 120.0), overlap=st.floats(0.0, 0.8))
def test_passes_cover_the_corridor_and_overlap_as_asked(width: float, swath: float, overlap: float) -> None:
    offsets = routes.pass_offsets_m(width, swath, overlap)
    left, right = max(offsets) + swath / 2.0, min(offsets) - swath / 2.0
    assert left >= width / 2.0 - 1e-9 and right <= -width / 2.0 + 1e-9
    for a, b in itertools.pairwise(sorted(offsets)):
        assert b - a <= swath * (1.0 - overlap) + 1e-9
    if len(offsets) > 1:        # and not one pass more than needed
        assert (len(offsets) - 2) * swath * (1.0 - overlap) + swath < width + 1e-6


@MANY
@given(
    radii=st.lists(st.floats(40.0, 250.0), min_size=3, max_size=9), spacing=st.floats(8.0, 60.0),
    direction=st.one_of(st.none(), st.floats(0.0, 360.0)),
)
def test_a_lawn_mower_leaves_no_place_further_than_half_a_pass(
    radii: list[float], spacing: float, direction: float | None
) -> None:
    area = polygon((100.0, -50.0), radii)
    assume(area.is_valid)
    passes = routes.lawn_mower(area, spacing, direction)
    assert passes
    lines = shapely.union_all(passes)
    chance = np.random.default_rng(len(radii))
    west, south, east, north = area.bounds
    for p in shapely.points(chance.uniform((west, south), (east, north), (60, 2))):
        # At sharp corners a pass may be too short to be flown, or end before the corner does.
        if area.buffer(-spacing).covers(p):
            assert lines.distance(p) <= spacing / 2.0 + 1e-6


@MANY
@given(
    points=st.lists(places, min_size=2, max_size=8, unique=True), drones=st.integers(1, 5), home=places,
)
def test_shares_of_a_corridor_leave_no_gap_and_are_equally_far(
    points: list[tuple[float, float]], drones: int, home: tuple[float, float]
) -> None:
    line, at = shapely.LineString(points), np.array(home)
    assume(line.length > 50.0)
    cuts = routes.shares(line, at, drones)
    assert len(cuts) == drones and cuts[0][0] == 0.0 and cuts[-1][1] == pytest.approx(line.length)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(cuts))
    whole = [2.0 * math.dist(line.interpolate(a).coords[0], home) + 2.0 * (b - a) for a, b in cuts]
    longest = max(whole)
    for (a, b), flown in zip(cuts[:-1], whole, strict=False):
        assert flown == pytest.approx(longest, rel=1e-6) or b - a == pytest.approx(0.0, abs=1e-3)


# ----------------------------------------------------------------------------------------------------------- the heights


@FEW
@given(seed=st.integers(0, 10**6), points=st.lists(places, min_size=2, max_size=6, unique=True), above=st.floats(20.0, 60.0))
def test_following_the_ground_keeps_its_height_everywhere_and_not_much_more(
    sector: Sector, seed: int, points: list[tuple[float, float]], above: float
) -> None:
    terrain = hills(sector, seed).terrain
    path, heights = follow(np.array(points), above, 165.0, terrain)
    for a, b, ha, hb in zip(path[:-1], path[1:], heights[:-1], heights[1:], strict=True):
        t = np.linspace(0.0, 1.0, 200)
        over = 165.0 + ha + t * (hb - ha) - terrain.height_msl_m(a + t[:, None] * (b - a))
        assert over.min() >= above - 1e-3
        assert over.max() <= above + 3.0 * TOLERANCE_M
    corners = {tuple(p) for p in points}
    assert corners <= {tuple(p) for p in path}


@FEW
@given(
    seed=st.integers(0, 10**6), a=places, b=places, heights=st.tuples(st.floats(180.0, 320.0), st.floats(180.0, 320.0)),
)
def test_the_height_over_a_leg_is_the_least_of_all_its_places(
    sector: Sector, seed: int, a: tuple[float, float], b: tuple[float, float], heights: tuple[float, float]
) -> None:
    terrain = hills(sector, seed, 3.0).terrain
    ends = np.array([a]), np.array([b])
    clear = over_legs(*ends, np.array([heights[0]]), np.array([heights[1]]), terrain)
    t = np.linspace(0.0, 1.0, 4000)
    over = heights[0] + t * (heights[1] - heights[0]) - terrain.height_msl_m(ends[0] + t[:, None] * (ends[1] - ends[0]))
    assert clear.least_m[0] <= over.min() + 1e-9 and clear.most_m[0] >= over.max() - 1e-9
    assert clear.least_m[0] >= over.min() - 0.5 and clear.most_m[0] <= over.max() + 0.5
    at = float(np.linalg.norm(clear.where[0] - ends[0])) / max(1e-9, float(np.linalg.norm(ends[1] - ends[0])))
    there = heights[0] + at * (heights[1] - heights[0]) - float(terrain.height_msl_m(clear.where)[0])
    assert there == pytest.approx(float(clear.least_m[0]), abs=0.05), "the place is where it is lowest"


# ----------------------------------------------------------------------------------------------------------- the cameras


@FEW
@given(height=st.floats(15.0, 45.0), speed=st.floats(3.0, 12.0), pitch=st.floats(-80.0, -35.0))
def test_a_strip_is_seen_with_the_wanted_pixels_for_as_long_as_asked(height: float, speed: float, pitch: float) -> None:
    """Somebody stands anywhere in the strip while the drone passes: counted frame by frame through the projection itself."""
    view = replace(VIEW, pitch_deg=pitch)
    seen = strip(view, height, speed)
    assume(seen.width_m > 0)
    assert seen.speed_m_s <= max(speed, 2.0)
    for beside in (0.0, seen.width_m / 4.0, seen.width_m / 2.0 - 1.0):
        frames = 0
        for along in np.arange(-160.0, 160.0, 0.5):
            foot, head = np.array([[beside, along, 0.0]]), np.array([[beside, along, 0.85]])
            body = np.vstack([foot, head]) + np.array([0.0, 0.0, 0.85])
            up = project(body, Pose(0.0, 0.0, height, 0.0, pitch), view.lens)
            tall = float(np.hypot(*(up[1] - up[0]))) / 0.85
            frames += bool(view.lens.holds(up).all() and tall >= view.pixels_per_m)
        # A place more or less at each end of the way.
        assert frames * 0.5 >= seen.speed_m_s * view.seen_s - 2.0 or seen.speed_m_s == 2.0


def test_a_camera_that_is_too_weak_is_a_reason_with_numbers(sector: Sector) -> None:
    with pytest.raises(PlanError, match="from 100 m this camera has less than 12 pixels a metre"):
        plan_patrol(wish(camera=VIEW, height_m=100.0), sector, IDENTITY, "p", 5)
    best = best_height_m(VIEW, 15.0, 100.0)
    assert best is not None and strip(VIEW, best, 3.0).width_m >= strip(VIEW, 20.0, 3.0).width_m


# ----------------------------------------------------------------------------------------------------------- the patrols


@FEW
@given(
    home=places, wind=winds, height=st.floats(20.0, 60.0), speed=st.floats(3.0, 12.0), rounds=st.integers(1, 3),
    camera=st.sampled_from([None, VIEW]), hilly=st.one_of(st.none(), st.integers(0, 1000)), ground=st.booleans(),
)
def test_every_corridor_patrol_passes_the_checks(
    sector: Sector, home: tuple[float, float], wind: Wind, height: float, speed: float, rounds: int,
    camera: CameraView | None, hilly: int | None, ground: bool,
) -> None:
    over = sector if hilly is None else hills(sector, hilly)
    limits = replace(ENDLESS, wind=wind)
    asked = wish(
        home=sector.frame.position(*home), height_m=height, speed_m_s=speed, repeats=rounds, camera=camera, reach_m=500.0,
        follow_ground=ground,
    )
    try:
        plan = plan_patrol(asked, over, IDENTITY, "p", 5, limits)
    except PlanError as error:
        assert len(str(error)) > 20
        return
    result = check_plan(plan, over, Realm.TRAINING, limits)
    assert result.passed, result.findings
    assert len(mission_items(plan, 165.0)) >= len(plan.waypoints)


@FEW
@given(home=places, wind=winds, centre=places, radii=st.lists(st.floats(60.0, 200.0), min_size=4, max_size=7))
def test_every_area_patrol_passes_the_checks(
    sector: Sector, home: tuple[float, float], wind: Wind, centre: tuple[float, float], radii: list[float]
) -> None:
    limits = replace(ENDLESS, wind=wind)
    ring = shapely.get_coordinates(polygon(centre, radii))[:-1]
    asked = wish(home=sector.frame.position(*home), camera=VIEW, height_m=25.0)
    try:
        plan = plan_area(asked, maker(sector, limits), "p", [sector.frame.position(float(e), float(n)) for e, n in ring])
    except PlanError:
        return
    result = check_plan(plan, sector, Realm.TRAINING, limits)
    assert result.passed, result.findings


@MANY
@given(at=places, radius=st.floats(5.0, 120.0), hold=st.floats(0.0, 60.0))
def test_every_orbit_and_every_point_passes_the_checks(
    sector: Sector, at: tuple[float, float], radius: float, hold: float
) -> None:
    place = sector.frame.position(*at)
    try:
        orbit = plan_orbit(wish(), maker(sector), "p", place, radius, 2.0)
        assert check_plan(orbit, sector, Realm.TRAINING, ENDLESS).passed
        assert [w.kind for w in orbit.waypoints] == [WaypointKind.TAKEOFF, WaypointKind.ORBIT, WaypointKind.RETURN]
    except PlanError:
        pass
    try:
        point = plan_point(wish(), maker(sector), "p", place, hold)
        assert check_plan(point, sector, Realm.TRAINING, ENDLESS).passed
    except PlanError:
        pass


def test_three_drones_share_a_corridor_each_in_its_own_stretch_and_layer(sector: Sector) -> None:
    wishes = share_corridor([wish(drone=f"drone-{i}", reach_m=700.0) for i in (1, 2, 3)], sector)
    plans = [plan_patrol(w, sector, IDENTITY, f"p{i}", 5, replace(ENDLESS, wind=CALM)) for i, w in enumerate(wishes)]
    heights = [p.waypoints[1].height_above_home_m for p in plans]
    assert heights == [30.0, 40.0, 50.0]
    grounds = [
        shapely.LineString([sector.frame.point(w.position) for w in p.waypoints[1:-1]]) for p in plans
    ]
    for a, b in itertools.combinations(grounds, 2):
        assert a.intersection(b).length < 1.0
    lengths = [check_plan(p, sector, Realm.TRAINING, ENDLESS).length_m for p in plans]
    assert max(lengths) - min(lengths) < 30.0
    with pytest.raises(PlanError, match="one and the same"):
        share_corridor([wish(), wish(corridor="ben-song")], sector)


def test_offset_passes_lie_as_far_apart_as_the_camera_s_strip(sector: Sector) -> None:
    narrow = replace(VIEW, reach_m=30.0)
    plan = plan_patrol(wish(camera=narrow, height_m=20.0, reach_m=300.0), sector, IDENTITY, "p", 5)
    seen = strip(narrow, 20.0, 9.0)
    path = np.array([sector.frame.point(w.position) for w in plan.waypoints[1:-1]])
    centre = sector.corridors.ground("khe-da").centre_line
    offsets = {round(centre.distance(shapely.Point(p))) for p in path}
    width = sector.corridors.ground("khe-da").corridor.width_m
    assert seen.width_m < width and len(offsets) >= 1
    covered = shapely.union_all([shapely.LineString(path).buffer(seen.width_m / 2.0)])
    along = routes.from_nearer_end(centre, sector.frame.point(HOME))
    strip_of_trail = routes.stretch(along, 20.0, 280.0).buffer(width / 2.0 - 1.0, cap_style="flat")
    assert covered.intersection(strip_of_trail).area > 0.97 * strip_of_trail.area
    assert plan.waypoints[1].speed_m_s == seen.speed_m_s


# -------------------------------------------------------------------------------------------------------------- the debt


def debt_of(sector: Sector, pieces: list[tuple[str, int, int, float]]) -> CoverageDebt:
    segments = []
    for corridor, from_m, to_m, hours in pieces:
        line = sector.corridors.ground(corridor).centre_line
        ends = [sector.frame.position(*line.interpolate(m).coords[0]) for m in (from_m, to_m)]
        segments.append(
            DebtSegment(corridor, from_m, to_m, ends[0], ends[1], 0, hours * 3600.0, hours * (to_m - from_m), 1.0)
        )
    return CoverageDebt(sector.id, sector.corridor_set.version, 0, tuple(segments))


@FEW
@given(
    pieces=st.lists(
        st.tuples(st.sampled_from(["khe-da", "ben-song"]), st.integers(0, 800), st.integers(20, 200), st.floats(0.1, 90.0)),
        min_size=1, max_size=6,
    ),
    endurance=st.floats(300.0, 2400.0),
)
def test_a_patrol_from_the_debt_never_asks_for_more_than_the_battery_has(
    sector: Sector, pieces: list[tuple[str, int, int, float]], endurance: float
) -> None:
    limits = CheckLimits(endurance, wind=CALM)
    debt = debt_of(sector, [(c, a, a + n, h) for c, a, n, h in pieces])
    try:
        plan, paid = plan_debt(wish(), maker(sector, limits), "p", debt)
    except PlanError as error:
        assert "debt" in str(error)
        return
    assert check_plan(plan, sector, Realm.TRAINING, limits).passed
    path = shapely.LineString([sector.frame.point(w.position) for w in plan.waypoints])
    for s in paid:      # it really flies along the first of them, at least where that may be flown
        line = routes.stretch(sector.corridors.ground(s.corridor).centre_line, s.from_m, s.to_m)
        assert path.buffer(1.0).intersection(line).length > 0.0
    assert set(paid) <= set(debt.segments)


def test_the_heavier_debt_is_paid_first_and_an_old_count_is_refused(sector: Sector) -> None:
    debt = debt_of(sector, [("khe-da", 700, 800, 1.0), ("khe-da", 900, 1000, 50.0)])
    short = CheckLimits(330.0, wind=CALM)
    plan, paid = plan_debt(wish(), maker(sector, short), "p", debt)
    assert paid[0].debt_mh == 5000.0 and plan.corridor == "khe-da"
    old = msgspec.structs.replace(debt, corridors_version="another")
    with pytest.raises(PlanError, match="another version"):
        plan_debt(wish(), maker(sector, short), "p", old)


def test_an_array_of_no_passes_is_no_path() -> None:
    nothing: list[Array] = []
    assert routes.joined(nothing, shapely.Polygon(), np.zeros(2)).shape == (0, 2)
