"""Pictures in pieces: a sighting stands behind one of them at most, and the whole comes in whatever the line does."""

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire.clock import NS_PER_S, WallClock
from wire.codec import MAGIC, RefusedError, encode_down, encode_envelope
from wire.messages import (
    Box,
    CorridorSet,
    Detection,
    DetectionBatch,
    Envelope,
    PlacementPoint,
    Snapshot,
)
from wire.outbox import Outbox
from wire.pieces import (
    FIRST_BYTES,
    LEAST_BYTES,
    MARK,
    MOST_BYTES,
    PIECE_S,
    SENDERS_LIMIT,
    WHOLE_LIMIT_BYTES,
    Piece,
    PieceSender,
    PieceTaker,
    decode_piece,
    encode_piece,
    is_piece,
)
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality
from wire.uplink import Uplink

CLOCK = WallClock()
GREETING = [MAGIC, encode_down(CorridorSet("laobao", "v", (), takes_pieces=True))]


def batch():
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1, 0, 1))
    one = Detection(1, ObjectClass.PERSON, 0.9, Box(1, 2, 3, 4), place, True, ("khe-da",))
    return DetectionBatch("cam", 1, TimeQuality.NTP, "v", (one,) * 3)


def snapshot(size):
    return Snapshot("cam", 1, 1, bytes(k * 7 % 251 for k in range(size)), Box(0, 0, 1, 1))


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, CLOCK)
    yield outbox
    outbox.close()


# ----------------------------------------------------------------------------------------------------------- by themselves


@given(
    st.binary(min_size=1, max_size=60_000),
    st.lists(st.sampled_from(["goes", "lost", "again", "new station", "new line", "station killed"])),
    st.integers(1, 5 * NS_PER_S),
)
@example(b"a picture", ["station killed"], 1)
def test_whatever_is_lost_the_whole_comes_in_as_it_was(data, fates, step_ns):
    sender, taker, now_ns = PieceSender(), PieceTaker(), 0
    sender.begin((3, 9), data)
    whole = None
    for fate in [*fates, *["goes"] * 200]:
        now_ns += step_ns
        if fate == "new station":
            taker = PieceTaker()
        frame = sender.next()
        if frame is None:
            break
        sender.sent(now_ns)
        assert sender.next() is None, "one at a time"
        if fate in ("lost", "new line"):
            sender.begin((3, 9), data)      # the uplink, when the line was lost or nothing was heard
            continue
        piece = decode_piece(frame)
        assert is_piece(frame) and LEAST_BYTES <= sender.piece_bytes <= MOST_BYTES
        had, whole = taker.take("key", piece)
        if fate == "station killed":            # it has answered the piece, and put nothing on its disk yet
            assert sender.heard((3, 9), had, now_ns + step_ns)
            taker, whole = PieceTaker(), None
            sender.begin((3, 9), data)
            continue
        if fate == "again" and whole is None:
            had, whole = taker.take("key", piece)
        if whole is not None:
            break
        assert sender.heard((3, 9), had, now_ns + step_ns)
    assert whole == data


def test_a_piece_is_as_long_as_the_line_carries_in_its_time():
    """64 kbit/s, then 8, then as fast as it goes."""
    sender, now_ns, number = PieceSender(), 0, 0

    def run(bytes_per_s, pieces):
        nonlocal now_ns, number
        for _ in range(pieces):
            number += 1
            sender.begin((1, number), bytes(500_000))
            length = len(decode_piece(sender.next()).data)
            sender.sent(now_ns)
            now_ns += round(length / bytes_per_s * NS_PER_S)
            sender.heard((1, number), length, now_ns)
        return sender.piece_bytes

    assert FIRST_BYTES <= 8000 * PIECE_S * 1.1
    assert run(8000, 4) == pytest.approx(8000 * PIECE_S, rel=0.01)
    assert run(1000, 3) == LEAST_BYTES
    assert run(1e7, 12) == MOST_BYTES


def test_answers_that_do_not_belong_change_nothing():
    sender = PieceSender()
    assert not sender.heard((1, 1), 5, 0)
    sender.begin((1, 1), bytes(50_000))
    assert not sender.heard((1, 1), 5, 0), "nothing is on its way"
    sender.next()
    sender.sent(0)
    for identity, had in (((1, 2), 10), ((1, 1), -1), ((1, 1), 50_001)):
        assert not sender.heard(identity, had, 1)
    assert sender.next() is None
    sender.end((1, 2))
    sender.end((1, 1))
    assert sender.next() is None


@pytest.mark.parametrize("piece", [
    Piece(1, 1, 0, 0, b"x"), Piece(1, 1, WHOLE_LIMIT_BYTES + 1, 0, b"x"), Piece(1, 1, 10, 0, b""), Piece(1, 1, 10, -1, b"x"),
    Piece(1, 1, 10, 8, b"xyz"), Piece(-1, 1, 10, 0, b"x"), Piece(1, -1, 10, 0, b"x"),
])
def test_pieces_that_cannot_be_are_refused(piece):
    with pytest.raises(RefusedError):
        decode_piece(encode_piece(piece))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(data):
    with contextlib.suppress(RefusedError):
        decode_piece(MARK + data)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_no_envelope_is_taken_for_a_piece(boot, sequence):
    assert not is_piece(encode_envelope(Envelope("gate-1", boot, sequence, batch())))


def test_what_is_half_there_is_bounded():
    taker = PieceTaker()
    for k in range(SENDERS_LIMIT + 5):
        taker.take(f"key-{k}", Piece(1, 1, 100, 0, b"x"))
    assert len(taker._half) == SENDERS_LIMIT
    assert taker.take("key-0", Piece(1, 1, 100, 1, b"x")) == (0, None), "forgotten: it begins again"
    taker.take("key-9", Piece(1, 2, 100, 0, b"xy"))
    assert taker.take("key-9", Piece(1, 1, 100, 1, b"x")) == (0, None), "one picture at a time"


# ------------------------------------------------------------------------------------------------------ on a real thin line


def test_on_64_kbit_a_sighting_stands_behind_one_piece_of_a_picture_and_not_behind_the_picture(
    station, node_key, outbox, bad_link
):
    station.greeting = [GREETING]
    link = bad_link(station.endpoint, kbit_per_s=64)
    picture = snapshot(80_000)
    outbox.put(batch())
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: len(station.received) == 1)
        outbox.put(picture)
        wait_for(lambda: len(station.events) > 4)       # it is in the middle of the picture
        assert len(station.received) == 1
        before = len(station.events)
        outbox.put(batch())
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent == 0 and uplink.counts.stray == 0
    after = station.events[before:]
    ahead = after.index("message")
    assert ahead <= 2, "more than the piece on its way, and one that the station was just about to take, went ahead"
    assert after.count("piece") >= 3, "the picture went on behind it"
    assert [e.body for e in station.received if isinstance(e.body, Snapshot)] == [picture]
    sizes = station.piece_sizes
    assert max(sizes[2:-1]) < 8000 * PIECE_S * 1.6, "they follow the rate that was measured"


def test_a_line_that_breaks_in_every_picture_gets_it_over_piece_by_piece(station, node_key, outbox, bad_link):
    """Whole, 200 kB would begin again from nothing each time, and never be done."""
    station.greeting = [GREETING]
    link = bad_link(station.endpoint, [30_000] * 12, piece=1448)
    pictures = [snapshot(200_000)]
    outbox.put(batch(), *pictures)
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK):
        wait_for(lambda: outbox.depth == 0)
    assert link.cut >= 4
    assert [e.body for e in station.received if isinstance(e.body, Snapshot)] == pictures


def test_a_station_that_died_between_the_last_piece_and_its_commit_is_sent_the_picture_again(
    station, small_station, node_key, outbox
):
    station.greeting, station.forgetful = [GREETING], True
    picture = snapshot(20_000)
    outbox.put(batch())
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK):
        wait_for(lambda: outbox.depth == 0)         # it has said that it takes pieces
        outbox.put(picture)
        wait_for(lambda: sum(station.piece_sizes) > 20_000)
        time.sleep(0.3)         # its answer has come
        station.stop()
        fresh = small_station([node_key.public], key=station.key, endpoint=station.endpoint)
        fresh.greeting = [GREETING]
        wait_for(lambda: outbox.depth == 0, 25)
    assert [e.body for e in fresh.received if isinstance(e.body, Snapshot)] == [picture]


def test_a_station_that_does_not_speak_of_pieces_gets_pictures_whole(station, node_key, outbox):
    outbox.put(batch(), snapshot(80_000))
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK):
        wait_for(lambda: outbox.depth == 0)
    assert "piece" not in station.events and len(station.received) == 2
