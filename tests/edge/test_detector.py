"""The real network on a real picture; weights that are none are refused in words."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.detector import CLASSES, UltralyticsDetector
from wire.settings import SettingsError
from wire.units import ObjectClass

SHARED = Path(__file__).resolve().parents[3] / "shared"
WEIGHTS, VTEST = SHARED / "models/yolo11n.pt", SHARED / "media/vtest.avi"
PERSON = CLASSES.index(ObjectClass.PERSON)


@pytest.fixture(scope="module")
def detector():
    if not (WEIGHTS.exists() and VTEST.exists()):
        pytest.skip("needs ../shared: the real weights and vtest.avi")
    return UltralyticsDetector(WEIGHTS, 640, threads=1)


@pytest.fixture(scope="module")
def picture():
    capture = cv2.VideoCapture(str(VTEST))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 100)
    image = capture.read()[1]
    capture.release()
    return image


@pytest.mark.weights
def test_real_people_are_found_where_they_are(detector, picture):
    found = detector.find(picture)
    people = found.boxes[(found.classes == PERSON) & (found.scores > 0.4)]
    assert 2 <= len(people) <= 12
    width, height = people[:, 2] - people[:, 0], people[:, 3] - people[:, 1]
    assert (height > 1.2 * width).all() and (height > 30).all()
    assert (found.boxes >= -1).all() and (found.boxes <= [769, 577, 769, 577]).all()


@pytest.mark.weights
def test_only_our_classes_come_out(detector, picture):
    found = detector.find(picture)
    assert set(found.classes) <= set(range(len(CLASSES)))
    assert found.scores.min() >= 0.1


@pytest.mark.weights
def test_an_empty_picture_holds_nothing(detector):
    found = detector.find(np.full((576, 768, 3), 90, np.uint8))
    assert len(found) == 0 and found.boxes.shape == (0, 4)


@pytest.mark.weights
def test_the_network_keeps_to_the_threads_it_was_given(detector):
    import torch

    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("content", [b"PK\x03\x04" + b"x" * 200_000, b"\x80\x02}q\x00." + b"y" * 200_000])
def test_a_file_that_is_no_network_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="not YOLO weights that can be loaded") as caught:
        UltralyticsDetector(path, 640, threads=1)
    assert "\n" not in str(caught.value)
