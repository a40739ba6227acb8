"""Past somebody who was looked at: where a patrol is taken up again, and by which way, so that nobody is flown over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Point, box

from fleet.checker import CheckLimits
from fleet.passing import CLEAR_M, NO_WAY_S, OTHER_S, ROUND_M, WIDE_M, Stop, beyond, is_clear, patience_s, way_round
from fleet.stand_off import AWAY_M, LEAST_M, RADIUS_M, Room, point_at
from geofences.sector import Sector

places = st.tuples(st.floats(-300.0, 300.0), st.floats(-300.0, 300.0)).map(np.array)


def room(sector: Sector, half_m: float = 2000.0) -> Room:
    return Room(box(-half_m, -half_m, half_m, half_m), sector, 165.0, CheckLimits(1200.0), 80.0, 8.0)


def stops(*at: tuple[float, float]) -> list[Stop]:
    return [Stop(i + 3, np.array(a), 30.0) for i, a in enumerate(at)]


def test_a_patrol_is_taken_up_again_beyond_him_on_its_own_leg() -> None:
    found = beyond(stops((0.0, 0.0), (400.0, 0.0), (400.0, 300.0)), np.array([200.0, 0.0]))
    assert found is not None and found.seq == 4
    assert found.at == pytest.approx([200.0 + CLEAR_M, 0.0], abs=6.0)
    assert found.left_out_m == pytest.approx(2 * CLEAR_M, abs=10.0)
    beside_a_corner = beyond(stops((0.0, 0.0), (400.0, 0.0), (400.0, 300.0)), np.array([395.0, 10.0]))
    assert beside_a_corner is not None and beside_a_corner.seq == 5, "round the corner it goes on with the next leg"
    assert beside_a_corner.at == pytest.approx([400.0, 60.0], abs=6.0)


def test_where_he_stands_at_its_far_end_it_turns_before_him_and_where_nothing_is_left_it_says_so() -> None:
    out_and_back = stops((0.0, 0.0), (300.0, 0.0), (0.0, 0.0))
    found = beyond(out_and_back, np.array([300.0, 0.0]))
    assert found is not None and (found.seq, found.at[0]) == (5, pytest.approx(300.0 - CLEAR_M, abs=6.0))
    assert beyond(out_and_back[:2], np.array([300.0, 0.0])) is None


@given(here=places, to=places)
def test_a_way_round_never_comes_nearer_than_the_stand_off_and_ends_where_it_is_to(sector, here, to) -> None:
    contact = np.zeros(2)
    if np.linalg.norm(here) < CLEAR_M or np.linalg.norm(to) < CLEAR_M + 1.0:
        return
    found = way_round(here, to, contact, room(sector))
    assert found is not None and np.allclose(found[-1], to)
    way = LineString([here, *found]) if not np.allclose(here, found[0]) or len(found) > 1 else Point(here)
    assert way.distance(Point(contact)) > LEAST_M


def test_the_side_that_may_not_be_flown_is_not_taken_and_where_none_may_there_is_no_way(sector: Sector) -> None:
    contact, here, to = np.zeros(2), np.array([-100.0, 0.0]), np.array([100.0, 0.0])
    north_shut = Room(box(-500, -500, 500, 30), sector, 165.0, CheckLimits(1200.0), 80.0, 8.0)
    found = way_round(here, to, contact, north_shut)
    assert found is not None and all(p[1] <= 30.0 for p in found)
    assert way_round(here, to, contact, Room(box(-500, -30, 500, 30), sector, 165.0, CheckLimits(1200.0), 80.0, 8.0)) is None
    in_the_way = [point_at(contact, bearing, radius_m) for bearing in (0.0, 180.0) for radius_m in (ROUND_M, WIDE_M)]
    assert way_round(here, to, contact, room(sector), in_the_way) is None, "nor through another drone"


@given(bearing=st.floats(0.0, 360.0), from_m=st.floats(75.0, 300.0))
def test_another_drone_that_circles_him_where_this_one_comes_from_is_gone_round_too(sector, bearing, from_m) -> None:
    """Both ways on the nearer circle begin beside it: the drone that came back from its patrol flew home, over him."""
    contact, to = np.zeros(2), np.array([CLEAR_M + 2.0, 0.0])
    other, here = point_at(contact, bearing, RADIUS_M), point_at(contact, 270.0, from_m)
    found = way_round(here, to, contact, room(sector), [other])
    if np.linalg.norm(other - to) < AWAY_M:
        assert found is None, "the place where it is to go on is the other's for now"
    else:
        assert found is not None and all(np.linalg.norm(p - other) >= AWAY_M for p in found)
        assert LineString([here, *found]).distance(Point(contact)) > LEAST_M


def test_for_another_drone_in_the_way_it_waits_longer_than_for_a_way_that_there_is_not(sector: Sector) -> None:
    contact, here, to = np.zeros(2), np.array([-100.0, 0.0]), np.array([100.0, 0.0])
    assert patience_s(here, to, contact, room(sector)) == OTHER_S
    shut = Room(box(-500, -30, 500, 30), sector, 165.0, CheckLimits(1200.0), 80.0, 8.0)
    assert patience_s(here, to, contact, shut) == NO_WAY_S


def test_who_is_near_already_may_leave_and_not_come_nearer() -> None:
    contact = np.zeros(2)
    assert is_clear(np.array([30.0, 0.0]), np.array([200.0, 0.0]), contact)
    assert not is_clear(np.array([30.0, 0.0]), np.array([-200.0, 0.0]), contact)
    assert not is_clear(np.array([-200.0, CLEAR_M - 5.0]), np.array([200.0, CLEAR_M - 5.0]), contact)
