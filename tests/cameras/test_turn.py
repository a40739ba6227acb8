"""Turns against scipy's, which is another's code."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cameras.turn import Turn, between

ANGLES = st.floats(-720.0, 720.0)
TURNS = st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 1e-3)


def scipys(q):
    return Rotation.from_quat([q[1], q[2], q[3], q[0]])


def apart_rad(ours, theirs):
    return (scipys(ours.q).inv() * theirs).magnitude()


@given(ANGLES, ANGLES, ANGLES)
def test_angles_of_an_aircraft_are_the_turn_that_scipy_makes_of_them(yaw, pitch, roll):
    theirs = Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True)
    assert apart_rad(Turn.by_degrees(yaw, pitch, roll), theirs) < 1e-7
    np.testing.assert_allclose(Turn.by_degrees(yaw, pitch, roll).matrix(), theirs.as_matrix(), atol=1e-12)


@given(TURNS, TURNS)
def test_a_product_turns_by_its_right_factor_first_and_back_undoes_it(a, b):
    one, other = Turn.of(a), Turn.of(b)
    np.testing.assert_allclose((one * other).matrix(), (scipys(a) * scipys(b)).as_matrix(), atol=1e-12)
    np.testing.assert_allclose((one * one.back()).matrix(), np.eye(3), atol=1e-12)


@given(TURNS, TURNS, st.floats(-1.0, 2.0))
def test_what_lies_between_two_turns_is_what_scipy_interpolates_and_extrapolates(a, b, part):
    way = scipys(a).inv() * scipys(b)
    if way.magnitude() > math.pi - 1e-6:
        return                          # half a turn apart both ways are as short
    theirs = scipys(a) * Rotation.from_rotvec(way.as_rotvec() * part)
    np.testing.assert_allclose(between(Turn.of(a), Turn.of(b), part).matrix(), theirs.as_matrix(), atol=1e-9)


def test_between_equal_turns_is_that_turn_whatever_its_sign():
    one = Turn.by_degrees(30.0, -20.0, 10.0)
    minus = Turn.of([-v for v in one.q])
    np.testing.assert_allclose(between(one, minus, 0.7).matrix(), one.matrix(), atol=1e-12)


@pytest.mark.parametrize("q", [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0), (math.inf, 0.0, 0.0, 0.0)])
def test_what_is_no_quaternion_is_refused_in_words(q):
    with pytest.raises(ValueError, match="no quaternion of a turn"):
        Turn.of(q)
