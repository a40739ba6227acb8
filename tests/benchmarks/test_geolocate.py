"""Ellipses hold what they say, in every band of depression; and the benchmark would notice if they did not."""

import math

import numpy as np
import pytest

from benchmarks.geolocate import BANDS_DEG, DISHONEST, LEVELS, TOLERANCE_POINTS, astray_points, judged, make_trials
from cameras.camera import Camera
from cameras.pose import PoseEstimate, PoseSigma
from edge.geolocate import geolocate

TRIALS, GROUNDS = 400, 10
DEVIATIONS = 3.5                # of a binomial draw; one in two thousand


@pytest.fixture(scope="module", params=BANDS_DEG, ids=lambda band: f"{band[0]}-{band[1]}")
def trials(request):
    return make_trials(3, request.param, TRIALS, GROUNDS)


def test_the_ellipses_hold_the_share_of_truths_that_they_promise(trials):
    outcome = judged(trials)
    given = int(outcome.given.sum())
    assert given > TRIALS / 5
    for level in LEVELS:
        chance = 100.0 * math.sqrt(level / 100 * (1 - level / 100) / given)
        assert outcome.held_percent(level) == pytest.approx(level, abs=TOLERANCE_POINTS + DEVIATIONS * chance)


def test_sigmas_stated_too_small_are_noticed(trials):
    assert astray_points(judged(trials, 1.0 / DISHONEST)) > 2 * TOLERANCE_POINTS + 4.0


def test_without_errors_the_place_is_the_truth_of_the_other_libraries(trials):
    """pymap3d's ray, scipy's root and OpenCV's pixel against our lens, pose and march, far from the frame's origin."""
    off = []
    for t in trials[:80]:
        camera = Camera(t.camera.lens, 0.0, 100.0, t.camera.reach_m * 1.5)
        found = geolocate(t.true_px, camera, PoseEstimate(t.true_pose, PoseSigma(0, 0, 0, 0, 0)), t.ground)
        away = np.hypot(*(t.truth_enu_m - t.true_pose.position[:2]))
        off.append(np.hypot(*(found.position_enu_m[0] - t.truth_enu_m)) / away)
    assert np.median(off) < 5e-4
    assert np.mean(np.array(off) < 0.02) > 0.95             # a ray that grazes a crest is the rest
