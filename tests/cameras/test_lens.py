"""A lens against OpenCV's own mathematics, and its way back."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cameras.lens import Lens


def lenses():
    small = st.floats(-0.02, 0.02)
    return st.builds(
        Lens, st.just(768), st.just(576), st.floats(800, 2000), st.floats(800, 2000), st.floats(350, 420),
        st.floats(260, 320), st.floats(-0.25, 0.2), st.floats(-0.1, 0.1), small, small, small,
    )


def pixels(lens, n=50, seed=0):
    return np.random.default_rng(seed).uniform([0, 0], [lens.width_px, lens.height_px], (n, 2))


@given(lenses(), st.integers(0, 1000))
def test_undistorting_and_distorting_returns_the_pixel(lens, seed):
    p = pixels(lens, seed=seed)
    ideal = lens.to_ideal(p)
    assert np.isfinite(ideal).all()
    np.testing.assert_allclose(lens.to_pixels(ideal), p, atol=1e-5)


@given(lenses(), st.integers(0, 1000))
def test_distortion_is_that_of_opencv(lens, seed):
    ideal = lens.to_ideal(pixels(lens, seed=seed))
    theirs, _ = cv2.projectPoints(
        np.column_stack([ideal, np.ones(len(ideal))]), np.zeros(3), np.zeros(3), lens.matrix, lens.distortion
    )
    np.testing.assert_allclose(lens.to_pixels(ideal), theirs[:, 0], atol=1e-6)


@given(lenses(), st.integers(0, 1000))
def test_slopes_are_what_a_pixel_more_or_less_changes(lens, seed):
    p = pixels(lens, seed=seed)
    ideal, slopes = lens.to_ideal_with_slopes(p)
    np.testing.assert_array_equal(ideal, lens.to_ideal(p))
    for column, step in enumerate(([0.25, 0.0], [0.0, 0.25])):
        change = (lens.to_ideal(p + step) - lens.to_ideal(p - step)) / 0.5
        np.testing.assert_allclose(slopes[:, :, column], change, atol=2e-7, rtol=2e-3)


def test_a_lens_without_distortion_has_the_same_slopes_everywhere():
    _, slopes = Lens(768, 576, 1000, 800, 384, 288).to_ideal_with_slopes([[10.0, 20.0], [700.0, 500.0]])
    np.testing.assert_array_equal(slopes, [np.diag([1 / 1000, 1 / 800])] * 2)


def test_a_direction_beyond_the_fold_of_a_barrel_lens_has_no_pixel():
    lens = Lens(768, 576, 500, 500, 384, 288, k1=-0.3)
    assert np.isfinite(lens.to_pixels([[0.9, 0.0]])).all()
    assert np.isnan(lens.to_pixels([[1.5, 0.0]])).all()
    assert np.isnan(lens.to_ideal([[384 + 500 * 0.8, 288.0]])).all()       # the fold is at 0.703


def test_the_same_lens_at_half_the_resolution_sees_the_same_directions():
    lens = Lens(768, 576, 1000, 1010, 380, 290, k1=-0.2, p1=0.001)
    half = lens.scaled(384, 288)
    p = pixels(lens)
    np.testing.assert_allclose(half.to_ideal((p + 0.5) / 2 - 0.5), lens.to_ideal(p), atol=1e-9)
