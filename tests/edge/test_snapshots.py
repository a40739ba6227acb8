"""One picture of a track when it is confirmed, a better one later, each marked, none too large."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import snapshots
from edge.snapshots import (
    HEIGHT_LIMIT_PX,
    PER_TRACK_LIMIT,
    REPLACE_S,
    WIDTH_LIMIT_PX,
    SnapshotTaker,
    burn,
    crop,
    sharpness,
)
from edge.sources import Frame
from edge.tracker import Tracked
from wire.codec import SNAPSHOT_LIMIT_BYTES, encode_envelope
from wire.messages import Envelope, TrackState, TrackUpdate
from wire.units import ObjectClass

PEOPLE = Path(__file__).parent / "vtest_detections.npz"
NOISE = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)


def tracked(box=(300, 300, 340, 400), score=0.8, confirmed=True, track=7, news=()):
    return Tracked(
        np.array([track]), np.array([box], float), np.array([score]), np.zeros(1, np.int64), np.array([confirmed]), news
    )


def frame(image=NOISE, at_s=0.0):
    return Frame(image, 123 + round(at_s * 1e9))


def decoded(snapshot):
    return cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_one_at_confirmation_and_none_before_or_after_while_nothing_gets_better():
    taker = SnapshotTaker("gate-1")
    assert taker.take(frame(), tracked(confirmed=False), "TRAINING") == ()
    first = taker.take(frame(), tracked(), "TRAINING")
    assert [s.track for s in first] == [7] and first[0].captured_ns == 123
    assert [taker.take(frame(), tracked(score=s), "TRAINING") for s in (0.7, 0.9, 0.8)] == [(), (), ()]


def grown(side):
    return tracked(box=(300, 300, 300 + side, 300 + 2 * side))


def sides(snapshots):
    """Of the objects in them, in pixels of the snapshot."""
    return [round(s.box.x2 - s.box.x1) for s in snapshots]


def test_a_clearly_better_view_is_sent_when_its_time_has_come_and_the_number_is_bounded():
    taker = SnapshotTaker("gate-1")
    side = [40, 60, 90, 130, 200, 300]
    taken = [len(taker.take(frame(at_s=k * (REPLACE_S + 0.1)), grown(s), "TRAINING")) for k, s in enumerate(side)]
    assert taken == [1] * PER_TRACK_LIMIT + [0] * (len(side) - PER_TRACK_LIMIT)


def test_what_is_better_too_soon_waits_and_the_best_of_it_goes_and_no_more_often_than_every_few_seconds():
    taker = SnapshotTaker("gate-1")
    side = [20 + 2 * k for k in range(60)] + [20] * 100          # nears, then goes away; ten frames a second
    taken = [(k / 10, s) for k, w in enumerate(side) for s in taker.take(frame(at_s=k / 10), grown(w), "")]
    times = [at_s for at_s, _ in taken]
    assert len(taken) == PER_TRACK_LIMIT
    assert all(b - a >= REPLACE_S for a, b in pairwise(times))
    # The nearest moment, or one in the tenth part by which another must be better to be encoded.
    assert 5.5 <= (taken[-1][1].captured_ns - 123) / 1e9 <= 5.9


def test_how_sharp_a_track_is_is_looked_at_four_times_a_second_and_no_more_often(monkeypatch):
    looked = []
    monkeypatch.setattr(snapshots, "sharpness", lambda *args: looked.append(1) or sharpness(*args))
    taker = SnapshotTaker("gate-1")
    for k in range(1, 101):         # ever nearer, 20 frames a second, so that every picture might be the best
        taker.take(frame(at_s=k / 20), grown(20 + 8 * k), "")
    assert 15 <= len(looked) <= 22


def test_what_still_waits_goes_when_its_track_ends():
    taker = SnapshotTaker("gate-1")
    taker.take(frame(), grown(20), "")
    assert taker.take(frame(at_s=0.5), grown(60), "") == ()
    nobody = Tracked(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), np.zeros(0, bool), (ENDED,))
    assert sides(taker.take(frame(at_s=1.0), nobody, "")) == [60]


def test_a_clock_that_is_set_back_holds_no_picture_up():
    taker = SnapshotTaker("gate-1")
    taker.take(frame(at_s=5000), grown(20), "")
    assert sides(taker.take(frame(at_s=10), grown(60), "")) == [60]


ENDED = TrackUpdate("gate-1", 7, TrackState.ENDED, ObjectClass.PERSON, 1, 2, 3, 0.8)


def test_a_track_that_has_ended_is_forgotten():
    taker = SnapshotTaker("gate-1")
    taker.take(frame(), tracked(), "TRAINING")
    assert len(taker.take(frame(), tracked(news=(ENDED,)), "TRAINING")) == 1


def somebody(contrast=1.0, blur=0.0, noise=0.0):
    """Bright shirt, dark trousers, checked cloth: 50 by 100 pixels in a grey picture."""
    image = np.full((480, 640, 3), 90, np.float32)
    cloth = 40 * (np.indices((100, 50)).sum(axis=0) // 3 % 2 - 0.5)
    cloth[:50] += 60
    cloth[50:] -= 60
    image[200:300, 300:350] += contrast * cloth[:, :, None]
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image += np.random.default_rng(0).normal(0, noise, image.shape) if noise else 0
    return np.clip(image, 0, 255).astype(np.uint8)


THERE = (300, 200, 350, 300)


def test_a_sharp_view_replaces_a_blurred_one_and_a_blurred_one_of_the_same_size_no_sharp_one():
    taker = SnapshotTaker("gate-1")
    assert len(taker.take(frame(somebody(blur=4)), tracked(box=THERE), "")) == 1
    (better,) = taker.take(frame(somebody(), at_s=REPLACE_S), tracked(box=THERE), "")
    assert sharpness(decoded(better), np.array([getattr(better.box, k) for k in ("x1", "y1", "x2", "y2")])) > 0.1
    larger = (290, 190, 360, 310)
    assert taker.take(frame(somebody(blur=4), at_s=2 * REPLACE_S), tracked(box=larger), "") == ()


def test_who_stays_blurred_is_looked_at_once_a_second_and_is_taken_when_he_comes_out_sharp(monkeypatch):
    looked, blurred = [], somebody(blur=4)
    monkeypatch.setattr(snapshots, "sharpness", lambda image, box: looked.append(1) or sharpness(image, box))
    taker = SnapshotTaker("gate-1")
    assert len(taker.take(frame(blurred), tracked(box=THERE), "")) == 1
    for k in range(1, 120):         # ten pictures a second
        assert taker.take(frame(blurred, at_s=k / 10), tracked(box=THERE), "") == ()
    assert 10 <= len(looked) <= 16
    sharp = somebody()
    came_s = [k / 10 for k in range(120, 140) if taker.take(frame(sharp, at_s=k / 10), tracked(box=THERE), "")]
    assert len(came_s) == 1 and came_s[0] <= 13.1


def test_sharpness_falls_with_blur_and_neither_dusk_nor_noise_pass_for_it():
    box = np.array(THERE, float)
    blurred = [sharpness(somebody(blur=b), box) for b in (0, 1, 2, 4)]
    assert blurred == sorted(blurred, reverse=True) and blurred[0] > 10 * blurred[2]
    assert sharpness(somebody(contrast=0.2), box) == pytest.approx(blurred[0], rel=0.3)
    assert sharpness(somebody(blur=3, noise=2), box) < 0.3 * blurred[0]
    assert sharpness(np.full((100, 100, 3), 7, np.uint8), np.array([10.0, 10, 50, 90])) == 0.0


def test_of_real_people_every_blurred_picture_is_less_sharp(real_video):
    film, found = cv2.VideoCapture(str(real_video)), np.load(PEOPLE)
    compared = 0
    for k in range(60):
        _, image = film.read()
        if k % 20:
            continue
        soft = cv2.GaussianBlur(image, (0, 0), 2.0)
        for box in found["boxes_px"][(found["frame"] == k) & (found["scores"] > 0.5)].astype(float):
            assert sharpness(soft, box) < 0.5 * sharpness(image, box)
            compared += 1
    assert compared > 10


@given(
    st.integers(0, 1919), st.integers(0, 1079), st.floats(1, 1900), st.floats(1, 1070),
)
def test_a_crop_holds_the_object_and_keeps_to_its_limits(x, y, width, height):
    box = np.array([x, y, min(1920.0, x + width), min(1080.0, y + height)])
    picture, inside = crop(NOISE, box)
    assert 1 <= picture.shape[1] <= WIDTH_LIMIT_PX and 1 <= picture.shape[0] <= HEIGHT_LIMIT_PX
    assert (inside >= 0).all() and inside[2] <= picture.shape[1] and inside[3] <= picture.shape[0]
    scale = (inside[2] - inside[0]) / (box[2] - box[0])
    assert scale <= 1.0 + 1e-9


def test_the_box_lies_where_the_object_is_in_the_picture():
    image = np.full((480, 640, 3), 50, np.uint8)
    image[200:300, 400:440] = 255
    picture, (x1, y1, x2, y2) = crop(image, np.array([400.0, 200, 440, 300]))
    bright = np.argwhere(picture[:, :, 0] > 200)
    np.testing.assert_allclose([y1, x1], bright.min(axis=0), atol=1)
    np.testing.assert_allclose([y2, x2], bright.max(axis=0) + 1, atol=1)


@pytest.mark.parametrize("marking", ["TRAINING", "SIM"])
@pytest.mark.parametrize("box", [(300, 300, 303, 310), (300, 300, 340, 400), (0, 0, 1920, 1080)])
def test_the_marking_is_in_the_pixels_whatever_the_size(marking, box):
    image = np.full((1080, 1920, 3), 120, np.uint8)
    (marked,) = SnapshotTaker("gate-1").take(frame(image), tracked(box=box), marking)
    (plain,) = SnapshotTaker("gate-1").take(frame(image), tracked(box=box), "")
    different = np.abs(decoded(marked).astype(int) - decoded(plain)).max(axis=2) > 40
    rows, columns = np.flatnonzero(different.any(axis=1)), np.flatnonzero(different.any(axis=0))
    assert rows.min() > different.shape[0] / 2                                 # a strip at the foot
    assert len(columns) > 0.9 * different.shape[1]
    red = (decoded(marked)[:, :, 2].astype(int) - decoded(marked)[:, :, 0]) > 80
    assert red.sum() > 40                                                      # letters on it
    assert not ((decoded(plain)[:, :, 2].astype(int) - decoded(plain)[:, :, 0]) > 80).any()


def test_even_noise_fits_the_wire():
    (snapshot,) = SnapshotTaker("gate-1").take(frame(), tracked(box=(0, 0, 1920, 1080)), "TRAINING")
    assert len(encode_envelope(Envelope("gate-1", 1, 1, snapshot))) <= SNAPSHOT_LIMIT_BYTES


def test_an_empty_marking_changes_nothing():
    picture = NOISE[:50, :50].copy()
    burn(picture, "")
    np.testing.assert_array_equal(picture, NOISE[:50, :50])
