"""One picture of a track when it is confirmed, a better one later, each marked, none too large."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.snapshots import HEIGHT_LIMIT_PX, PER_TRACK_LIMIT, WIDTH_LIMIT_PX, SnapshotTaker, burn, crop
from edge.sources import Frame
from edge.tracker import Tracked
from wire.codec import SNAPSHOT_LIMIT_BYTES, encode_envelope
from wire.messages import Envelope, TrackState, TrackUpdate
from wire.units import ObjectClass

NOISE = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)


def tracked(box=(300, 300, 340, 400), score=0.8, confirmed=True, track=7, news=()):
    return Tracked(
        np.array([track]), np.array([box], float), np.array([score]), np.zeros(1, np.int64), np.array([confirmed]), news
    )


def frame(image=NOISE):
    return Frame(image, 123)


def decoded(snapshot):
    return cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_one_at_confirmation_and_none_before_or_after_while_nothing_gets_better():
    taker = SnapshotTaker("gate-1")
    assert taker.take(frame(), tracked(confirmed=False), "TRAINING") == ()
    first = taker.take(frame(), tracked(), "TRAINING")
    assert [s.track for s in first] == [7] and first[0].captured_ns == 123
    assert [taker.take(frame(), tracked(score=s), "TRAINING") for s in (0.7, 0.9, 0.8)] == [(), (), ()]


def test_a_clearly_better_view_is_sent_and_the_number_is_bounded():
    taker = SnapshotTaker("gate-1")
    sizes = [40, 60, 90, 130, 200, 300]
    taken = [len(taker.take(frame(), tracked(box=(300, 300, 300 + s, 300 + 2 * s)), "TRAINING")) for s in sizes]
    assert taken == [1] * PER_TRACK_LIMIT + [0] * (len(sizes) - PER_TRACK_LIMIT)


def test_a_track_that_has_ended_is_forgotten():
    taker = SnapshotTaker("gate-1")
    taker.take(frame(), tracked(), "TRAINING")
    ended = TrackUpdate("gate-1", 7, TrackState.ENDED, ObjectClass.PERSON, 1, 2, 3, 0.8)
    assert len(taker.take(frame(), tracked(news=(ended,)), "TRAINING")) == 1


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
