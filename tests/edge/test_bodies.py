"""Boxes of bodies that are really there: the middle is placed, and its ellipse holds it as often as it says."""

import numpy as np
import pytest

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseSigma
from cameras.project import project
from edge.bodies import PLAN_M, depth_of
from edge.detector import CLASSES
from edge.geolocate import CHI2_90_2DOF, geolocate
from geofences.terrain import FlatTerrain
from wire.units import ObjectClass

GROUND = FlatTerrain(0.0, 0.0, synthetic=True)
CAMERA = Camera(Lens(1280, 720, 1000.0, 1000.0, 639.5, 359.5), 0.3, 50.0, 500.0)
EXACT = PoseSigma(0.0, 0.0, 0.0, 0.0, 0.0)
HEIGHT_M = 1.5


def feet_of(kind, pose, chance, n=400):
    """Foot points of n boxes around a kind's plan at random headings, in sight: (n, 2) pixels and (n, 2) middles."""
    length, width, size_sigma = PLAN_M[kind]
    feet, middles = [], []
    while len(feet) < n:
        size = np.array([length, width]) * chance.normal(1.0, size_sigma)
        turn, middle = chance.uniform(0, 2 * np.pi), chance.uniform([-12, 8], [12, 60])
        plan = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * size
        plan = plan @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + middle
        corners = np.vstack([np.column_stack([plan, np.full(4, h)]) for h in (0.0, HEIGHT_M)])
        px = project(corners, pose, CAMERA.lens)
        if CAMERA.lens.holds(px).all():
            feet.append([(px[:, 0].min() + px[:, 0].max()) / 2, px[:, 1].max()])
            middles.append(middle)
    return np.array(feet), np.array(middles)


@pytest.mark.parametrize("kind", [ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BOAT, ObjectClass.MOTORCYCLE])
@pytest.mark.parametrize(("height_m", "pitch_deg"), [(8.0, -15.0), (30.0, -45.0)])
def test_the_middle_is_placed_without_bias_and_as_surely_as_is_said(kind, height_m, pitch_deg):
    pose = Pose(0.0, 0.0, height_m, 0.0, pitch_deg)
    feet, middles = feet_of(kind, pose, np.random.default_rng(1))
    classes = np.full(len(feet), CLASSES.index(kind))
    placed = geolocate(feet, CAMERA, PoseEstimate(pose, EXACT), GROUND, depth_of(classes))
    error = placed.position_enu_m - middles
    bare = geolocate(feet, CAMERA, PoseEstimate(pose, EXACT), GROUND).position_enu_m - middles
    square = np.einsum("ni,nij,nj->n", error, np.linalg.inv(placed.covariance_m2), error)
    mean_depth = depth_of(classes[:1]).mean_m[0]
    assert np.linalg.norm(error.mean(axis=0)) < 0.2 * mean_depth
    assert np.linalg.norm(bare.mean(axis=0)) > 0.8 * mean_depth, "the correction is there for a reason"
    assert np.median(np.linalg.norm(error, axis=1)) < 0.7 * np.median(np.linalg.norm(bare, axis=1))
    # The distribution of the depth is no bell: a rectangle has a longest and a shortest side. Close to 90 % is what counts.
    assert 0.8 < (square <= CHI2_90_2DOF).mean() <= 1.0


def test_straight_down_the_middle_lies_up_the_picture():
    pose = Pose(0.0, 0.0, 40.0, 90.0, -90.0)
    car = depth_of(np.array([CLASSES.index(ObjectClass.CAR)]))
    placed = geolocate([[639.5, 359.5]], CAMERA, PoseEstimate(pose, EXACT), GROUND, car)
    assert placed.position_enu_m[0] == pytest.approx([6.2 / np.pi, 0.0], abs=0.01)


def test_nothing_found_is_nothing_placed():
    pose = PoseEstimate(Pose(0.0, 0.0, 40.0, 90.0, -45.0), EXACT)
    placed = geolocate(np.empty((0, 2)), CAMERA, pose, GROUND, depth_of(np.empty(0, np.int64)))
    assert placed.position_enu_m.shape == (0, 2)
