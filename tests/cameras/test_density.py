"""Pixels on a metre of a person, against OpenCV's own projection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cameras.density import BODY_M, FREE_SHARE, PERSON_M, UP, person_density
from cameras.lens import Lens
from cameras.pose import Pose

ANGLE = st.floats(-180, 180)


def by_opencv(points: np.ndarray, pose: Pose, lens: Lens) -> np.ndarray:
    world_to_camera = pose.rotation().T
    turn = Rotation.from_matrix(world_to_camera).as_rotvec()       # cv2.Rodrigues is off by 1e-5 near half a turn
    shift = -world_to_camera @ pose.position
    pixels, _ = cv2.projectPoints(points.reshape(-1, 1, 3), turn, shift, lens.matrix, lens.distortion)
    return pixels.reshape(-1, 2)


@given(
    yaw=ANGLE, pitch=st.floats(-80, 10), roll=st.floats(-20, 20), focal=st.floats(400, 4000), k1=st.floats(-0.15, 0.05),
    height=st.floats(3, 120), east=st.floats(-300, 300), north=st.floats(-300, 300),
)
@example(180.0, -79.0, 0.00390625, 400.0, 0.0, 25.0, 5.0, 0.0)
def test_density_is_what_opencv_measures_between_two_ends_of_a_bar_and_of_a_body(
    yaw: float, pitch: float, roll: float, focal: float, k1: float, height: float, east: float, north: float
) -> None:
    lens = Lens(1920, 1080, focal, focal * 1.01, 950.0, 545.0, k1, 0.01, 0.0003, -0.0002)
    pose = Pose(10.0, -20.0, 165.0 + height, yaw, pitch, roll)
    foot = np.array([east, north, 165.0])
    density = person_density(foot, pose, lens)
    assume(bool(density.inside[0]))
    waist, head = foot + UP * PERSON_M * (1 - FREE_SHARE), foot + UP * PERSON_M
    sight = waist - pose.position
    side = np.cross(sight, [0, 0, 1.0])
    assume(np.linalg.norm(side) > 1e-3)
    side *= BODY_M / 2 / np.linalg.norm(side)
    ends = by_opencv(np.array([waist - side, waist + side, waist, head]), pose, lens)
    assert lens.holds(ends[2:]).all()
    assert density.across[0] == pytest.approx(np.linalg.norm(ends[1] - ends[0]) / BODY_M, rel=1e-6)
    assert density.upright[0] == pytest.approx(np.linalg.norm(ends[3] - ends[2]) / (PERSON_M * FREE_SHARE), rel=1e-6)
    assert density.distance_m[0] == pytest.approx(np.linalg.norm(sight))


def test_on_the_axis_of_a_level_camera_it_is_focal_length_by_distance() -> None:
    lens = Lens(1920, 1080, 2000.0, 2000.0, 959.5, 539.5)
    density = person_density([[0.0, 100.0, 100.0]], Pose(0, 0, 100.85, 0, 0), lens)
    assert density.of_person[0] == pytest.approx(20.0, rel=1e-3)


def test_straight_from_above_nothing_is_left_of_a_person() -> None:
    lens = Lens(1920, 1080, 2000.0, 2000.0, 959.5, 539.5)
    density = person_density([[0.0, 0.0, 100.0]], Pose(0, 0, 160, 0, -90), lens)
    assert density.inside[0]
    assert density.across[0] > 30
    assert density.of_person[0] < 0.5


def test_outside_the_picture_and_behind_the_camera_there_is_none() -> None:
    lens = Lens(1920, 1080, 2000.0, 2000.0, 959.5, 539.5)
    places = [[0.0, -100.0, 100.0], [90.0, 100.0, 100.0], [0.0, 100.0, 160.0]]
    assert person_density(places, Pose(0, 0, 101, 0, 0), lens).of_person.tolist() == [0.0, 0.0, 0.0]
