"""Which way a camera looks, in words that a surveyor would use."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameras.pose import Pose, PoseRates, pose_from_rotation, turned


@pytest.mark.parametrize(
    ("yaw", "pitch", "forward"),
    [(0, 0, (0, 1, 0)), (90, 0, (1, 0, 0)), (180, 0, (0, -1, 0)), (0, -90, (0, 0, -1)), (90, 45, (0.5**0.5, 0, 0.5**0.5))],
)
def test_yaw_turns_clockwise_from_north_and_a_negative_pitch_looks_down(yaw, pitch, forward):
    np.testing.assert_allclose(Pose(0, 0, 0, yaw, pitch).rotation()[:, 2], forward, atol=1e-12)


def test_a_positive_roll_lowers_the_right_side():
    right = Pose(0, 0, 0, 0, 0, 10.0).rotation()[:, 0]
    assert right[2] < -0.1


@given(st.floats(0, 359.9), st.floats(-89.9, 89.9), st.floats(-179, 179))
def test_a_rotation_gives_its_angles_back(yaw, pitch, roll):
    pose = Pose(1, 2, 3, yaw, pitch, roll)
    rotation = pose.rotation()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    back = pose_from_rotation(pose.position, rotation)
    np.testing.assert_allclose(back.rotation(), rotation, atol=1e-9)
    assert back.pitch_deg == pytest.approx(pitch, abs=1e-6)


@given(st.floats(0, 360), st.sampled_from([-90.0, 90.0]), st.floats(-180, 180))
def test_straight_down_the_rotation_still_comes_back(yaw, pitch, roll):
    pose = Pose(0, 0, 0, yaw, pitch, roll)
    np.testing.assert_allclose(pose_from_rotation(pose.position, pose.rotation()).rotation(), pose.rotation(), atol=1e-7)


def test_rates_carry_a_pose_on():
    moved = turned(Pose(0, 0, 10, 350, -20), PoseRates(east_m_s=2, yaw_deg_s=10), 0.5)
    assert (moved.east_m, moved.yaw_deg) == (1.0, 355.0)
