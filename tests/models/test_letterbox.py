"""The letterbox is ultralytics' own, pixel for pixel, and leads back to where it came from."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ultralytics.data.augment import LetterBox

from models.letterbox import PADDING, as_bgr, fit, fit_into, wide_shape

SIDES = st.integers(1, 700)


def noise(height, width):
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.sampled_from([64, 320, 416]))
@example(1, 1, 320)
@example(10, 4000, 320)
@example(4000, 10, 320)
def test_a_picture_of_any_size_is_drawn_as_ultralytics_draws_it(height, width, longest):
    picture = noise(height, width)
    fitted = fit((height, width), longest)
    canvas = np.full((*fitted.shape, 3), PADDING, np.uint8)
    fitted.draw(picture, canvas)
    theirs = LetterBox((longest, longest), auto=True, stride=32)(image=picture)
    assert np.array_equal(canvas, theirs)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_into_a_given_rectangle_it_is_drawn_as_ultralytics_draws_it(height, width):
    picture = noise(height, width)
    fitted = fit_into((height, width), (192, 320))
    canvas = np.full((192, 320, 3), PADDING, np.uint8)
    fitted.draw(picture, canvas)
    assert np.array_equal(canvas, LetterBox((192, 320), auto=False, stride=32)(image=picture))


@settings(deadline=None)
@given(SIDES, SIDES)
def test_the_corners_of_the_drawn_picture_lead_back_to_its_own(height, width):
    fitted = fit((height, width), 640)
    drawn = np.array([[fitted.left, fitted.top, fitted.left + fitted.inner[1], fitted.top + fitted.inner[0]]], float)
    assert np.allclose(fitted.back(drawn), [[0, 0, width, height]])
    beyond = np.array([[-50.0, -50.0, 9999.0, 9999.0]])
    assert np.allclose(fitted.back(beyond), [[0, 0, width, height]])


def test_a_wide_picture_costs_no_square():
    assert fit((720, 1280), 640).shape == wide_shape(640) == (384, 640)
    assert fit((576, 768), 640).shape == (480, 640)
    assert fit((1920, 1080), 640).shape == (640, 384)


def test_grey_is_made_of_three_equal_parts_and_nonsense_is_refused():
    grey = noise(4, 5)[..., 0]
    assert np.array_equal(as_bgr(grey), np.dstack([grey] * 3))
    assert np.array_equal(as_bgr(grey[..., None]), np.dstack([grey] * 3))
    for nonsense in (np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5, 3), float), np.zeros(7, np.uint8)):
        with pytest.raises(ValueError, match="a picture is"):
            as_bgr(nonsense)
