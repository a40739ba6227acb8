"""Projection against OpenCV, and there and back over the ground."""

import cv2
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project, rays
from geofences.terrain import FlatTerrain, GridTerrain, march

LENS = Lens(768, 576, 1000, 990, 384, 288, k1=-0.2, k2=0.05, p1=0.001, p2=-0.0005, k3=0.01)


def poses():
    return st.builds(
        Pose, st.floats(-500, 500), st.floats(-500, 500), st.floats(170, 290), st.floats(0, 360), st.floats(-90, -15),
        st.floats(-10, 10),
    )


def terrains():
    def hills(seed):
        heights = np.random.default_rng(seed).uniform(150, 165, (60, 60))
        return GridTerrain(heights, (-3000.0, -3000.0), 100.0, 1.0, synthetic=True)

    return st.one_of(st.builds(lambda h: FlatTerrain(h, 1.0, synthetic=True), st.floats(100, 165)),
                     st.integers(0, 10_000).map(hills))


@given(poses(), terrains(), st.floats(0, 767), st.floats(0, 575))
def test_projecting_a_point_found_on_the_ground_returns_its_pixel(pose, terrain, x, y):
    pixel = np.array([[x, y]])
    ground = march(pose.position, rays(pixel, pose, LENS), terrain, reach_m=2500.0)
    assume(np.isfinite(ground).all())
    np.testing.assert_allclose(project(ground, pose, LENS), pixel, atol=1e-3)
    np.testing.assert_allclose(terrain.height_msl_m(ground[:, :2]), ground[:, 2], atol=0.01)


@given(poses(), st.integers(0, 10_000))
def test_projection_is_that_of_opencv(pose, seed):
    """OpenCV is given rotation vector and translation made on another road: angles chained as elementary rotations."""
    rng = np.random.default_rng(seed)
    distance = rng.uniform(5, 500, (30, 1))
    in_camera = np.column_stack([rng.uniform(-0.35, 0.35, (30, 2)), np.ones(30)]) * distance
    yaw, pitch, roll = np.radians([pose.yaw_deg, pose.pitch_deg, pose.roll_deg])
    level = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])     # east, north, up to x right, y down, z forward at yaw 0

    def about(axis, angle):
        return cv2.Rodrigues(np.array(axis, float) * angle)[0]

    world_to_camera = about([0, 0, 1], roll).T @ about([1, 0, 0], pitch).T @ about([0, 1, 0], yaw).T @ level
    world = in_camera @ world_to_camera + pose.position
    rotation_vector = Rotation.from_matrix(world_to_camera).as_rotvec()    # cv2.Rodrigues is off by 1e-5 near half a turn
    translation = -world_to_camera @ pose.position
    theirs, _ = cv2.projectPoints(world, rotation_vector, translation, LENS.matrix, LENS.distortion)
    np.testing.assert_allclose(project(world, pose, LENS), theirs[:, 0], atol=1e-4)


def test_what_is_behind_the_camera_has_no_pixel():
    pose = Pose(0, 0, 10, 0, 0)
    pixels = project([[0, 50, 10], [0, -50, 10]], pose, LENS)
    np.testing.assert_allclose(pixels[0], [384, 288], atol=1e-9)
    assert np.isnan(pixels[1]).all()
