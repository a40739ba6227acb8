"""A view is found again in other light, with a part of it hidden, and where it lies shifted."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.view_match import WIDTH_PX, View, edge_field, load_view, save_view

SIZE = (640, 360)
SAME = 25.0


def scene(seed, size=SIZE):
    """Something with edges at every scale."""
    chance = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for cell in (80, 20, 5):
        coarse = chance.uniform(0, 60, (size[1] // cell + 2, size[0] // cell + 2, 3)).astype(np.float32)
        picture += cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)[: size[1], : size[0]]
    return picture.astype(np.uint8)


@pytest.fixture(scope="module")
def view():
    return View(edge_field(scene(1)))


def score_and_shift(view, picture):
    match = view.match(edge_field(picture))
    return match.score, match.shift


@given(st.integers(-60, 60), st.integers(-40, 40))
def test_a_shift_is_measured_to_a_pixel_of_the_small_picture(right, down):
    larger = scene(1, (SIZE[0] + 160, SIZE[1] + 120))
    cut = lambda x, y: larger[y : y + SIZE[1], x : x + SIZE[0]]     # noqa: E731
    match = View(edge_field(cut(80, 60))).match(edge_field(cut(80 - right, 60 - down)))
    assert match.score > SAME
    assert np.array(match.shift) * SIZE[0] == pytest.approx((right, down), abs=1.6 * SIZE[0] / WIDTH_PX)


@pytest.mark.parametrize("change", [
    lambda p: p // 4 + 10, lambda p: 255 - p, lambda p: np.clip(p * 1.6, 0, 255).astype(np.uint8),
    lambda p: (p * 0.25 + 150).astype(np.uint8), lambda p: cv2.GaussianBlur(p, (0, 0), 2.0),
], ids=["dark", "negative", "bright", "haze", "soft"])
def test_other_light_is_the_same_view(view, change):
    score, shift = score_and_shift(view, change(scene(1)))
    assert score > SAME and shift == (0.0, 0.0)


def test_half_of_a_view_is_enough_and_another_view_is_not(view):
    half = scene(1)
    half[:, : SIZE[0] // 2] = scene(9)[:, : SIZE[0] // 2]
    assert score_and_shift(view, half)[0] > SAME
    assert max(score_and_shift(view, scene(k))[0] for k in range(2, 12)) < SAME / 2


def test_the_cameras_own_writing_holds_no_view_in_place(view):
    """It stands above and below, and does not move when the camera does."""
    other = scene(5)
    for picture in (written := scene(1)), other:
        cv2.putText(picture, "GATE 2  2026-11-25 02:30", (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
        cv2.putText(picture, "CAM 7 1080P", (400, 350), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
    assert View(edge_field(written)).match(edge_field(other)).score < SAME / 2


@pytest.mark.parametrize("flat", [0, 90, 255])
def test_a_picture_of_nothing_matches_nothing(view, flat):
    assert score_and_shift(view, np.full((SIZE[1], SIZE[0], 3), flat, np.uint8)) == (0.0, (0.0, 0.0))


def test_a_view_is_kept_and_is_of_one_survey_only(view, tmp_path):
    file = tmp_path / "view.npz"
    assert load_view(file, "survey 1") is None
    save_view(file, view, 0.8, 0.9, "survey 1")
    again, sharpness, texture = load_view(file, "survey 1")
    assert (sharpness, texture) == (0.8, 0.9)
    assert again.match(edge_field(scene(1))).score == pytest.approx(view.match(edge_field(scene(1))).score, rel=0.02)
    assert load_view(file, "survey 2") is None
    assert [p.name for p in tmp_path.iterdir()] == ["view.npz"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_file_is_an_error_in_words(tmp_path, content):
    file = tmp_path / "view.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"view\.npz: cannot be read"):
        load_view(file, "survey 1")
