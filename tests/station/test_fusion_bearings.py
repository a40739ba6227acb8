"""Lines of sight that cross: in the right place, as sure as it is, and nowhere else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geofences.sector import Sector, load_sector
from station.fusion_bearings import STANDS_SIGMA_M, Bearing, Bearings, cross, on_trail
from wire.clock import NS_PER_S
from wire.units import ObjectClass

T0 = 1_780_000_000 * NS_PER_S
metres = st.floats(-800, 800)
places = st.tuples(metres, metres)


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def towards(stands, place, sigma_deg: float = 1.0, track: str = "n/1/a/1", off_deg: float = 0.0) -> Bearing:
    east, north = np.subtract(place, stands)
    bearing = math.degrees(math.atan2(east, north)) + off_deg
    return Bearing(track, ObjectClass.PERSON, 0.7, np.array(stands, float), bearing % 360.0, sigma_deg)


def angle_deg(one, other, place) -> float:
    a, b = np.subtract(place, one), np.subtract(place, other)
    return math.degrees(abs(math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))))


@given(places, places, places)
def test_lines_cross_where_the_object_is(one, other, place) -> None:
    assume(min(np.hypot(*np.subtract(place, one)), np.hypot(*np.subtract(place, other))) > 5)
    assume(15 < angle_deg(one, other, place) < 165)
    found = cross(towards(one, place, 0.3), towards(other, place, 0.3))
    assert found is not None
    assert np.allclose(found.place_m, place, atol=1e-3)


@given(places, places, places, st.floats(0.05, 3.0), st.floats(0.05, 3.0))
def test_a_crossing_is_symmetric_and_its_covariance_positive_definite(one, other, place, sigma_a, sigma_b) -> None:
    assume(min(np.hypot(*np.subtract(place, one)), np.hypot(*np.subtract(place, other))) > 5)
    a, b = towards(one, place, sigma_a), towards(other, place, sigma_b)
    found, again = cross(a, b), cross(b, a)
    assert (found is None) == (again is None)
    if found is not None and again is not None:
        assert np.allclose(found.place_m, again.place_m, atol=1e-3)
        assert np.allclose(found.covariance_m2, again.covariance_m2, rtol=1e-6)
        assert np.linalg.eigvalsh(found.covariance_m2)[0] > 0


@given(places, st.floats(0, 360), st.floats(-9, 9), st.floats(1, 500))
def test_lines_that_are_nearly_one_cross_nowhere(stands, bearing, differs, apart) -> None:
    a = Bearing("n/1/a/1", ObjectClass.PERSON, 0.7, np.array(stands), bearing, 1.0)
    b = Bearing("n/1/b/1", ObjectClass.PERSON, 0.7, np.add(stands, (apart, 0.0)), (bearing + differs) % 360, 1.0)
    assert cross(a, b) is None


@given(places, places, places)
def test_nothing_crosses_behind_a_sensor(one, other, place) -> None:
    assume(min(np.hypot(*np.subtract(place, one)), np.hypot(*np.subtract(place, other))) > 5)
    assert cross(towards(one, place, off_deg=180.0), towards(other, place)) is None


@given(places, places, st.sampled_from([float("nan"), float("inf"), -float("inf")]))
def test_a_bearing_that_is_none_makes_no_place(one, place, nothing) -> None:
    bad = Bearing("n/1/b/1", ObjectClass.PERSON, 0.7, np.array(one), nothing, 1.0)
    assert cross(bad, towards(one, place)) is None


@pytest.mark.parametrize("other", [(150.0, 20.0), (-60.0, 120.0), (40.0, -160.0)])
def test_the_ellipse_of_a_crossing_holds_the_truth_as_often_as_it_says(other) -> None:
    rng, place, sigma = np.random.default_rng(4), (60.0, 90.0), 1.5
    inside = 0
    for _ in range(2000):
        a, b = (
            towards(np.add(s, rng.normal(0, STANDS_SIGMA_M, 2)), np.add(place, 0), sigma, off_deg=rng.normal(0, sigma))
            for s in ((0.0, 0.0), other)
        )
        # It stands elsewhere than it says: the bearing is from the true place, the line from the told one.
        a, b = (
            Bearing(x.track, x.object_class, x.score, np.array(s, float), y, sigma)
            for x, s, y in ((a, (0.0, 0.0), a.bearing_deg), (b, other, b.bearing_deg))
        )
        found = cross(a, b)
        assert found is not None
        off = found.place_m - place
        inside += float(off @ np.linalg.solve(found.covariance_m2, off)) <= 9.21
    assert 0.975 <= inside / 2000 <= 1.0


def test_two_sensors_that_see_one_make_a_frame_of_both(sector) -> None:
    bearings, place = Bearings(sector.corridors), (1500.0, 1500.0)
    stands = {"a": (1300.0, 1500.0), "b": (1500.0, 1300.0)}
    assert bearings.frames("a", T0, T0, True, [towards(stands["a"], place)]) == []
    (frame,) = bearings.frames("b", T0 + NS_PER_S // 5, T0, True, [towards(stands["b"], place, track="m/2/b/7")])
    assert frame.sensor == "a × b"
    assert frame.seen[0].track == "m/2/a × b/7"
    assert np.allclose(frame.seen[0].position_m, place, atol=1e-3)
    assert bearings.frames("b", T0 + 5 * NS_PER_S, T0, True, [towards(stands["b"], place)]) == [], "a looked long ago"


@settings(deadline=None)
@given(st.tuples(st.floats(1450, 1550), st.floats(1450, 1550)), st.tuples(st.floats(1450, 1550), st.floats(1450, 1550)))
def test_two_people_and_two_sensors_are_not_guessed_at(sector, one, other) -> None:
    assume(np.hypot(*np.subtract(one, other)) > 20)
    stands = ((1300.0, 1500.0), (1500.0, 1300.0))
    a = [towards(stands[0], p, track=f"n/1/a/{i}") for i, p in enumerate((one, other))]
    b = [towards(stands[1], p, track=f"n/1/b/{i}") for i, p in enumerate((one, other))]
    crossings = sum(cross(x, y) is not None for x in a for y in b)
    assume(crossings == 4)
    bearings = Bearings(sector.corridors)
    bearings.frames("a", T0, T0, True, a)
    assert bearings.frames("b", T0, T0, True, b) == []


@settings(deadline=None)
@given(st.floats(100, 1000), st.floats(20, 120), st.sampled_from([-1, 1]), st.floats(0.1, 2.0))
def test_a_bearing_over_a_trail_places_on_it_or_says_nothing(sector, along_m, aside_m, side, sigma) -> None:
    ground = sector.corridors.ground("khe-da")
    p, q = ground.centre_line.interpolate(along_m), ground.centre_line.interpolate(along_m + 1.0)
    way = np.array([q.x - p.x, q.y - p.y]) / np.hypot(q.x - p.x, q.y - p.y)
    stands = np.array([p.x, p.y]) + side * aside_m * np.array([-way[1], way[0]])
    found = on_trail(towards(stands, (p.x, p.y), sigma), sector.corridors)
    if found is not None:
        crossing, corridor = found
        assert sector.corridors.ground(corridor).centre_line.distance(shapely.Point(crossing.place_m)) < 0.01
        assert np.linalg.eigvalsh(crossing.covariance_m2)[0] > 0
        # Never surer across the trail than that somebody is on it.
        width = sector.corridors.ground(corridor).corridor.width_m
        assert np.trace(crossing.covariance_m2) <= 2 * (60.0**2) + width**2
