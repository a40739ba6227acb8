"""What a sensor has in its sight, against the same question asked metre by metre with OpenCV and a march over the ground."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cameras.density import PERSON_M, UP
from cameras.pose import Pose
from station.coverage_sight import between, lens_of, on_the_way, sight_of
from station.coverage_trail import ACROSS, Trail
from tests.station.coverage_stage import SECTOR, optics_of, straight_sector

FLAT = straight_sector()
TRAIL = Trail(FLAT.corridors, FLAT.terrain)


def seen_by_opencv(pose: Pose, optics: object) -> dict[int, float]:
    """metre -> pixels on the half of a person from the waist up, a metre; in the picture and within reach."""
    lens = lens_of(optics)
    world_to_camera = pose.rotation().T
    turn = Rotation.from_matrix(world_to_camera).as_rotvec()       # cv2.Rodrigues is off by 1e-5 near half a turn
    found = {}
    for metre in range(TRAIL.size):
        foot = TRAIL.feet_m[metre, 0]
        body = np.array([foot + UP * PERSON_M / 2, foot + UP * PERSON_M])
        depth = ((body - pose.position) @ pose.rotation())[:, 2] / np.linalg.norm(body - pose.position, axis=1)
        # OpenCV folds what lies far beside the axis back into the picture.
        if np.linalg.norm(body[0] - pose.position) > optics.reach_m or depth.min() < np.cos(np.radians(65.0)):
            continue
        shift = -world_to_camera @ pose.position
        pixels, _ = cv2.projectPoints(body.reshape(-1, 1, 3), turn, shift, lens.matrix, lens.distortion)
        waist, head = pixels.reshape(2, 2)
        if lens.holds(np.array([waist, head])).all():
            found[metre] = float(np.linalg.norm(head - waist)) / (PERSON_M / 2)
    return found


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    st.floats(-150, 150), st.floats(-90, 90), st.floats(4, 80), st.floats(0, 360), st.floats(-70, 0), st.floats(-8, 8),
    st.floats(800, 4000), st.floats(40, 250),
)
def test_the_metres_in_sight_are_those_that_opencv_has_in_the_picture(
    east: float, north: float, height: float, yaw: float, pitch: float, roll: float, focal: float, reach: float
) -> None:
    pose = Pose(east, north, 165.0 + height, yaw, pitch, roll)
    optics = optics_of(yaw, pitch, focal, roll_deg=roll, reach_m=reach, k1=-0.05)
    sight = sight_of(optics, pose, FLAT, TRAIL, {}, 1)
    mine = dict(zip(sight.metres.tolist(), sight.density[:, 0].tolist(), strict=True))
    wanted = seen_by_opencv(pose, optics)
    assert set(mine) == set(wanted)
    assert all(0 < mine[m] <= wanted[m] * 1.0001 for m in mine), "never more than a body's own pixels"


def test_the_middle_of_a_corridor_and_its_edges_are_where_they_belong() -> None:
    feet = TRAIL.feet_m[200]
    assert ACROSS[0] == 0.0
    assert np.allclose(feet[:, 0], feet[0, 0])
    assert np.allclose(sorted(feet[:, 1] - feet[0, 1]), [-10, -5, 0, 5, 10], atol=1e-3)
    assert (feet[:, 2] == 165.0).all()


def test_a_metre_that_lies_near_is_found_and_none_that_does_not() -> None:
    trail = Trail(SECTOR.corridors, SECTOR.terrain)
    rng = np.random.default_rng(3)
    for _ in range(30):
        place, reach = rng.uniform(-1500, 1500, 2), rng.uniform(10, 900)
        away = np.linalg.norm(trail.feet_m[:, 0, :2] - place, axis=1)
        assert trail.near(place, reach).tolist() == np.flatnonzero(away <= reach).tolist()


@given(st.floats(-720, 720), st.floats(-60, 0), st.floats(0.1, 30), st.floats(0, 1))
def test_on_the_way_a_camera_turns_the_shorter_way_round(yaw: float, pitch: float, turn: float, part: float) -> None:
    a, b = Pose(0, 0, 100, yaw % 360, pitch), Pose(9, 0, 100, (yaw + turn) % 360, pitch)
    metres, degrees = between(a, b)
    assert metres == 9.0 and degrees <= turn + 1e-6
    way = on_the_way(a, b, part)
    assert abs(between(a, way)[1] + between(way, b)[1] - degrees) < 0.2 * turn + 1e-6
