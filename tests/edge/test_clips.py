"""The last seconds of a camera are there when a clip is ordered, marked, and take no more memory than they may."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge.clips
from edge.clips import (
    BEFORE_S,
    ENCODED_AT_ONCE,
    JPEG_LIMIT_BYTES,
    KEPT_FPS,
    PLANES_LIMIT_BYTES,
    Ring,
    small_picture,
)
from edge.sources import Frame
from models.letterbox import PADDING, fit
from tests.edge.test_orders import NOISE, PLAIN, WIDE, HandClock, decoded, is_marked

S = 1_000_000_000


class Camera:
    """A ring, and pictures for it."""

    def __init__(self, **limits):
        self.clock = HandClock()
        self.ring = Ring(self.clock, **limits)

    def run(self, seconds, image=WIDE, marking="", fps=10):
        for _ in range(round(seconds * fps)):
            self.clock.sleep(1 / fps)
            self.ring.keep(Frame(image, self.clock.now_ns), marking)

    def clip(self, seconds=1e6):
        """Of the last seconds, and how many calls it took."""
        for calls in range(1, 1000):
            kept = self.ring.between(self.clock.now_ns - round(seconds * S), self.clock.now_ns)
            if kept is not None:
                return kept, calls
        raise AssertionError("never there")


@pytest.fixture
def encoded(monkeypatch):
    """A list that gets an entry for each picture that is encoded."""
    done, real = [], edge.clips._encoded
    monkeypatch.setattr(edge.clips, "_encoded", lambda *a: done.append(1) or real(*a))
    return done


def test_nothing_is_encoded_before_it_is_ordered_and_then_a_few_at_a_time(encoded):
    camera = Camera()
    camera.run(20)
    assert encoded == []
    assert camera.ring.between(0, camera.clock.now_ns) is None
    assert len(encoded) == ENCODED_AT_ONCE
    kept, calls = camera.clip()
    assert len(kept) == len(encoded) == pytest.approx(BEFORE_S * KEPT_FPS, abs=2)
    assert calls == -(-len(kept) // ENCODED_AT_ONCE) - 1
    assert camera.clip() == (kept, 1) and len(encoded) == len(kept)     # no picture twice


def test_what_is_forgotten_and_what_is_held_for_a_clip():
    camera = Camera()
    camera.run(60)
    kept, _ = camera.clip()
    assert kept[-1].captured_ns - kept[0].captured_ns <= BEFORE_S * S
    held_ns = camera.clock.now_ns - 10 * S
    camera.ring.hold(held_ns)
    for _ in range(30):
        camera.run(1)
        camera.ring.between(held_ns, camera.clock.now_ns)       # as the orders do while a clip waits
    kept, _ = camera.clip()
    assert 0 <= kept[0].captured_ns - held_ns < 0.3 * S and len(kept) == pytest.approx(40 * KEPT_FPS, abs=2)
    camera.ring.hold(None)
    camera.run(1)
    assert len(camera.clip()[0]) == pytest.approx(BEFORE_S * KEPT_FPS, abs=2)


def test_a_clips_pictures_are_as_good_as_if_they_had_been_encoded_at_once():
    street = cv2.GaussianBlur(cv2.resize(NOISE, (1280, 720)), (0, 0), 6)
    street = np.asarray(cv2.normalize(street, None, 0, 255, cv2.NORM_MINMAX), np.uint8)
    lazy, at_once = Camera(), Camera(planes_limit_bytes=0)
    for camera in (lazy, at_once):
        camera.run(1, street)
    shown = small_picture(street).astype(float)
    off = [np.abs(decoded(c.clip()[0][0].jpeg) - shown).mean() for c in (lazy, at_once)]
    assert off[0] < 1.2 * off[1] < 8


@pytest.mark.parametrize("image", [WIDE, PLAIN, WIDE[:719, :1279]], ids=["16:9", "4:3", "odd"])
def test_each_picture_is_marked_as_it_was_when_it_was_taken(image):
    camera = Camera()
    camera.run(1, image, "TRAINING / SIM")
    camera.run(1, image, "")
    kept, _ = camera.clip()
    marked = [is_marked(f.jpeg) for f in kept]
    assert marked == sorted(marked, reverse=True) and 4 <= sum(marked) <= 5 and len(marked) == 9


def test_pictures_of_which_too_many_are_needed_are_encoded_at_once(encoded):
    camera = Camera()
    camera.run(5, PLAIN)            # 640 x 480: 28 MB in 15 s
    assert len(encoded) == pytest.approx(20, abs=1) and camera.ring.planes_bytes == 0
    assert camera.clip()[1] == 1


def test_a_picture_of_any_size_is_kept():
    camera = Camera()
    for shape in ((1, 1), (1, 700), (700, 1), (2, 2), (3, 5), (90, 120), (2160, 3840)):
        camera.clock.sleep(1)
        camera.ring.keep(Frame(np.full((*shape, 3), 120, np.uint8), camera.clock.now_ns), "SIM")
    kept, _ = camera.clip()
    sizes = [decoded(f.jpeg).shape[:2] for f in kept]
    assert sizes == [(1, 1), (1, 640), (700, 1), (2, 2), (2, 4), (90, 120), (360, 640)]


def test_the_memory_of_planes_is_used_again_and_that_of_another_shape_is_given_back():
    camera = Camera()
    camera.run(60)
    before = camera.ring.planes_bytes
    assert before == pytest.approx(640 * 540 * BEFORE_S * KEPT_FPS, rel=0.04) and before <= PLANES_LIMIT_BYTES
    camera.clip()
    assert camera.ring.planes_bytes == before
    camera.run(1, WIDE[:, :1000])
    assert camera.ring.planes_bytes < 0.1 * before


def test_a_ring_is_bounded_in_bytes_whatever_it_is_shown():
    camera = Camera(jpeg_limit_bytes=300_000)
    for _ in range(40):
        camera.run(0.3, NOISE)
        camera.clip()
        assert 0 < camera.ring.jpeg_bytes <= 300_000


SHAPES = [(720, 1280), (1080, 1920), (480, 640), (360, 640), (241, 321), (40, 30)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from(SHAPES), st.floats(0.1, 12.0), st.sampled_from([1, 4, 10]),
    st.sampled_from(["hold", "let go", "ask", ""]),
), max_size=8))
def test_whatever_comes_a_ring_is_bounded_and_has_what_one_has_that_encodes_at_once(steps):
    camera = Camera()
    at_once = Ring(camera.clock, planes_limit_bytes=0)
    held_ns = None
    for shape, seconds, fps, what in steps:
        if (what == "hold" and held_ns is None) or what == "let go":
            held_ns = camera.clock.now_ns if what == "hold" else None
            camera.ring.hold(held_ns)
            at_once.hold(held_ns)
        image = np.zeros((*shape, 3), np.uint8)
        for _ in range(round(seconds * fps)):
            camera.run(1 / fps, image, fps=fps)
            at_once.keep(Frame(image, camera.clock.now_ns), "")
            assert camera.ring.planes_bytes <= PLANES_LIMIT_BYTES and camera.ring.jpeg_bytes <= JPEG_LIMIT_BYTES
            if held_ns is not None:
                camera.ring.between(held_ns, camera.clock.now_ns)
        if what == "ask":
            kept, _ = camera.clip()
            assert [f.captured_ns for f in kept] == [f.captured_ns for f in at_once.between(0, camera.clock.now_ns)]
            assert all(decoded(f.jpeg).shape[1] <= 640 for f in kept)


def test_a_picture_that_was_scaled_for_the_network_already_is_the_clips_and_is_left_as_it_was():
    picture = np.ascontiguousarray(cv2.resize(NOISE, (1280, 720)))
    fitted = fit((720, 1280), 640)
    canvas = np.full((*fitted.shape, 3), PADDING, np.uint8)
    fitted.draw(picture, canvas)
    shown, before = fitted.inside(canvas), canvas.copy()
    assert small_picture(picture, shown) is shown and np.array_equal(small_picture(picture), shown)
    # One of another width, or of a picture that is smaller than a clip's, is not taken.
    assert np.array_equal(small_picture(picture, shown[:, :320]), shown)
    little = np.ascontiguousarray(picture[:180, :320])
    assert np.array_equal(small_picture(little, shown), little)
    camera = Camera()
    camera.clock.sleep(1)
    camera.ring.keep(Frame(picture, 1), "TRAINING", shown)
    assert np.array_equal(canvas, before)
    canvas[:] = 0                   # the next picture is drawn there
    (kept,), _ = camera.clip()
    assert decoded(kept.jpeg).mean() == pytest.approx(NOISE.mean(), abs=15)
