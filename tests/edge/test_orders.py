"""What is ordered of a node is done once and answered once, whatever is ordered, and whenever the node dies."""

import signal
import sqlite3
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clips import PART_LIMIT_BYTES, PICTURE_LIMIT_BYTES, RING_S, Ring, full_picture, in_parts, small_picture
from edge.order_journal import OrderJournal
from edge.orders import HEARD_LIMIT, IN_HAND_LIMIT, PICTURE_WAIT_S, Orders
from edge.sources import Frame
from models.letterbox import PADDING, fit
from wire.codec import NAME_LIMIT, SNAPSHOT_LIMIT_BYTES, encode_envelope
from wire.messages import Envelope, Footage, FootageFrame, Order, OrderAction, OrderResult, Snapshot
from wire.outbox import PICTURE, URGENT, priority_of

NOISE = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
PLAIN = np.full((480, 640, 3), 120, np.uint8)


class HandClock:
    """Moves when it is told to."""

    def __init__(self):
        self.now_ns = 1_800_000_000_000_000_000

    def utc_ns(self):
        return self.now_ns

    monotonic_ns = utc_ns

    def sleep(self, seconds):
        self.now_ns += round(seconds * 1e9)


class Gate:
    profile = "day"
    profiles = ("day", "night", "rain")


class Bench:
    """Orders of one node, its loop run by hand, and an outbox that keeps what is put."""

    def __init__(self, folder, on_drone=False):
        self.folder, self.on_drone = folder, on_drone
        self.clock, self.put, self.fps = HandClock(), [], 10
        self.start()

    def start(self):
        self.gate = Gate()
        self.journal = OrderJournal(self.folder / "orders.db")
        self.orders = Orders("gate-1", self.on_drone, self.gate, self.journal, self.clock)

    def turn(self, image=PLAIN, noted=True):
        frame = None if image is None else Frame(image, self.clock.now_ns)
        self.put += self.orders.turn(frame, "TRAINING / SIM")
        if noted:
            self.orders.note_put()

    def run(self, seconds, image=PLAIN):
        for _ in range(round(seconds * self.fps)):
            self.clock.sleep(1 / self.fps)
            self.turn(image)

    def die(self):
        """As by kill -9: nothing is said, nothing is noted."""
        self.orders.close()

    def results(self):
        return [(r.order_id, r.done) for r in self.put if isinstance(r, OrderResult)]

    def said(self):
        return [r.detail for r in self.put if isinstance(r, OrderResult)]

    def footage(self):
        return [f for f in self.put if isinstance(f, Footage)]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.orders.close()


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def is_marked(jpeg):
    """Red letters on the strip at its foot."""
    picture = decoded(jpeg).astype(int)
    return bool(((picture[:, :, 2] - picture[:, :, 0]) > 80).any())


# --------------------------------------------------------------------------------------------------------- each order


def test_a_snapshot_is_the_next_full_picture_marked(bench):
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.SNAPSHOT))
    bench.turn(None)
    assert bench.put == []
    bench.clock.sleep(1)
    bench.turn()
    (footage,) = bench.footage()
    (frame,) = footage.frames
    assert (footage.order_id, footage.sensor, footage.part, footage.parts) == ("o-1", "gate-1", 0, 1)
    assert frame.captured_ns == bench.clock.now_ns
    assert decoded(frame.jpeg).shape == PLAIN.shape and is_marked(frame.jpeg)
    assert bench.results() == [("o-1", True)]


def test_a_snapshot_of_a_camera_that_gives_no_picture_fails_after_its_time(bench):
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.SNAPSHOT))
    bench.run(PICTURE_WAIT_S - 1, None)
    assert bench.put == []
    bench.run(2, None)
    assert bench.results() == [("o-1", False)] and "no picture" in bench.said()[0]


def test_a_clip_is_what_was_before_and_what_comes_after_in_order_of_time_and_marked(bench):
    bench.run(20)
    ordered_ns = bench.clock.now_ns
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.CLIP, before_s=6.0, after_s=4.0))
    bench.run(3.5)
    assert bench.put == []
    bench.run(1)
    assert bench.results() == [("o-1", True)]
    frames = [f for part in bench.footage() for f in part.frames]
    times = [(f.captured_ns - ordered_ns) / 1e9 for f in frames]
    assert times == sorted(times)
    assert -6.1 <= times[0] <= -5.6 and 3.6 <= times[-1] <= 4.2
    assert len(frames) == pytest.approx(40, abs=3)          # four a second
    assert all(is_marked(f.jpeg) for f in frames)


def test_a_profile_is_changed_at_once_and_survives_a_restart(bench):
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.PROFILE, "night"))
    bench.turn()
    assert bench.results() == [("o-1", True)] and bench.gate.profile == "night"
    bench.die()
    bench.start()
    assert bench.gate.profile == "night"


def test_a_profile_that_the_settings_no_longer_have_is_left(bench, monkeypatch):
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.PROFILE, "rain"))
    bench.turn()
    bench.die()
    monkeypatch.setattr(Gate, "profiles", ("day",))
    bench.start()
    assert bench.gate.profile == "day"


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (Order("o", "gate-9", OrderAction.SNAPSHOT), 'this node\'s sensor is "gate-1", not "gate-9"'),
        (Order("o", "gate-1", "reboot"), 'does not know the order "reboot"'),
        (Order("o", "gate-1", OrderAction.PROFILE, "fog"), 'there is no profile "fog"; there are day, night, rain'),
        (Order("o", "gate-1", OrderAction.PTZ_PRESET, "bridge"), "this camera has no presets"),
        (Order("o", "gate-1", OrderAction.SNAPSHOT, expires_ns=1_700_000_000_000_000_000), "too late"),
        (Order("o", "gate-1", OrderAction.CLIP, before_s=3600.0), "at most 15 s before"),
        (Order("o", "gate-1", OrderAction.CLIP, after_s=-1.0), "at most 15 s before"),
        (Order("o", "gate-1", OrderAction.CLIP, before_s=float("nan")), "at most 15 s before"),
        (Order("", "gate-1", OrderAction.SNAPSHOT), "1 to 64 printable characters"),
        (Order("\x1b[2J", "gate-1", OrderAction.SNAPSHOT), "1 to 64 printable characters"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(bench, order, says):
    bench.orders.hear(order)
    bench.turn()
    ((_, done),) = bench.results()
    assert not done and says in bench.said()[0]
    assert bench.footage() == []


def test_a_drones_gimbal_is_not_the_nodes_to_move(tmp_path):
    bench = Bench(tmp_path, on_drone=True)
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.PTZ_PRESET, "down"))
    bench.turn()
    assert bench.results() == [("o-1", False)] and "by the fleet alone" in bench.said()[0]


def test_too_many_at_a_time_are_refused_and_the_others_done(bench):
    for k in range(IN_HAND_LIMIT + 2):
        bench.orders.hear(Order(f"o-{k}", "gate-1", OrderAction.CLIP))
    bench.run(6)
    assert sorted(done for _, done in bench.results()) == [False] * 2 + [True] * IN_HAND_LIMIT


def test_a_flood_between_two_rounds_is_bounded(bench):
    for k in range(HEARD_LIMIT * 10):
        bench.orders.hear(Order(f"o-{k}", "gate-1", OrderAction.PROFILE, "night"))
    bench.turn()
    assert len(bench.results()) == HEARD_LIMIT


# ----------------------------------------------------------------------------------------------------- once, and once only


def test_an_order_that_comes_again_is_neither_done_nor_answered_again(bench):
    order = Order("o-1", "gate-1", OrderAction.SNAPSHOT)
    for _ in range(3):
        bench.orders.hear(order)
        bench.run(0.5)
    bench.die()
    bench.start()
    bench.orders.hear(order)
    bench.run(0.5)
    assert bench.results() == [("o-1", True)] and len(bench.footage()) == 1


def test_what_was_in_hand_when_the_node_died_is_answered_at_its_next_start(bench):
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.CLIP))
    bench.run(1)
    bench.die()
    bench.start()
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.CLIP))       # the station has no answer yet
    bench.run(10)
    assert bench.results() == [("o-1", False)] and "started anew" in bench.said()[0]


def test_what_is_in_hand_when_the_node_is_stopped_is_answered(bench):
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.CLIP))
    bench.run(1)
    bench.put += bench.orders.end()
    bench.orders.note_put()
    bench.die()
    bench.start()
    bench.run(1)
    assert bench.results() == [("o-1", False)] and "stopped" in bench.said()[0]


def test_an_answer_that_may_have_been_lost_is_given_and_never_changed_into_silence(bench):
    """Killed after the answer was made and before it was noted: said again, for the station to keep the first."""
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.SNAPSHOT))
    bench.turn(noted=False)
    assert bench.results() == [("o-1", True)]
    bench.die()
    bench.start()
    bench.run(1)
    assert bench.results() == [("o-1", True), ("o-1", False)]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.integers(0, 5), st.sampled_from(["snapshot", "clip", "profile", "dance"])),
        st.tuples(st.just("run"), st.floats(0.1, 8.0), st.booleans()),
        st.tuples(st.just("die"), st.none(), st.none()),
        st.tuples(st.just("stop"), st.none(), st.none()),
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_whatever_happens_each_order_that_was_heard_has_one_answer_in_the_end(tmp_path_factory, film):
    bench = Bench(tmp_path_factory.mktemp("orders"))
    bench.fps = 5
    taken, waiting = set(), set()
    for what, a, b in film:
        if what == "hear":
            bench.orders.hear(Order(f"o-{a}", "gate-1", b, "night"))
            waiting.add(f"o-{a}")
        elif what == "run":
            taken, waiting = taken | waiting, set()
            bench.run(a, PLAIN if b else None)
        else:
            if what == "stop":
                bench.put += bench.orders.end()
                bench.orders.note_put()
            bench.die()
            waiting = set()         # heard, and not yet taken: the station will send it again
            bench.start()
    bench.run(30)
    bench.die()
    ids = [order_id for order_id, _ in bench.results()]
    assert len(ids) == len(set(ids))
    assert set(ids) == taken | waiting


def test_a_journal_that_is_damaged_is_put_aside_and_orders_go_on(tmp_path):
    (tmp_path / "orders.db").write_bytes(b"no database at all" * 500)
    bench = Bench(tmp_path)
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.PROFILE, "night"))
    bench.turn()
    assert bench.results() == [("o-1", True)]
    assert (tmp_path / "orders.db.damaged").exists()


def test_without_a_place_for_a_journal_orders_are_still_carried_out(tmp_path):
    bench = Bench(tmp_path / "nowhere")
    bench.orders.hear(Order("o-1", "gate-1", OrderAction.SNAPSHOT))
    bench.turn()
    assert bench.results() == [("o-1", True)]


# --------------------------------------------------------------------------------------------------- pictures and limits


def test_even_noise_fits_a_message_and_pictures_wait_behind_everything_else():
    picture = FootageFrame(1, full_picture(NOISE, "TRAINING"))
    assert len(picture.jpeg) <= PICTURE_LIMIT_BYTES and is_marked(picture.jpeg)
    (footage,) = in_parts("o" * NAME_LIMIT, "s" * NAME_LIMIT, [picture])
    assert len(encode_envelope(Envelope("n" * NAME_LIMIT, 2**62, 2**62, footage))) <= SNAPSHOT_LIMIT_BYTES
    assert priority_of(footage) == PICTURE
    assert priority_of(OrderResult("o", True, "")) == URGENT


@given(st.lists(st.integers(10, PART_LIMIT_BYTES), max_size=40))
def test_parts_hold_every_picture_once_in_order_within_the_limit(sizes):
    frames = [FootageFrame(k, bytes(size)) for k, size in enumerate(sizes)]
    parts = in_parts("o", "s", frames)
    assert [f for p in parts for f in p.frames] == frames
    assert [(p.part, p.parts) for p in parts] == [(k, len(parts)) for k in range(len(parts))]
    for part in parts:
        assert len(part.frames) == 1 or sum(len(f.jpeg) for f in part.frames) <= PART_LIMIT_BYTES
        encode_envelope(Envelope("n", 1, 1, part))


def test_a_picture_that_was_scaled_for_the_network_already_is_the_clips_and_is_left_as_it_was():
    picture = np.ascontiguousarray(cv2.resize(NOISE, (1280, 720)))
    fitted = fit((720, 1280), 640)
    canvas = np.full((*fitted.shape, 3), PADDING, np.uint8)
    fitted.draw(picture, canvas)
    shown, before = fitted.inside(canvas), canvas.copy()
    assert small_picture(picture, "TRAINING", shown) == small_picture(picture, "TRAINING")
    assert np.array_equal(canvas, before)
    # One of another width, or of a picture that is smaller than a clip's, is not taken.
    assert small_picture(picture, "TRAINING", shown[:, :320]) == small_picture(picture, "TRAINING")
    little = np.ascontiguousarray(picture[:180, :320])
    assert small_picture(little, "TRAINING", shown) == small_picture(little, "TRAINING")


def test_the_ring_is_bounded_in_time_and_in_bytes():
    clock = HandClock()
    ring = Ring(clock)
    for _ in range(600):
        clock.sleep(0.1)
        ring.keep(Frame(PLAIN, clock.now_ns), "")
    kept = ring.between(0, clock.now_ns)
    assert (kept[-1].captured_ns - kept[0].captured_ns) / 1e9 <= RING_S
    assert len(kept) == pytest.approx(4 * RING_S, rel=0.05)
    small = Ring(clock, limit_bytes=300_000)
    for _ in range(100):
        clock.sleep(0.3)
        small.keep(Frame(NOISE, clock.now_ns), "")
        assert small.bytes <= 300_000
        assert small.bytes == sum(len(f.jpeg) for f in small.between(0, clock.now_ns))


# -------------------------------------------------------------------------------------------------------- a real node


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_running_node_sends_picture_and_clip_and_answers_each_once(settings, station, start):
    orders = [
        Order("o-1", "gate-1", OrderAction.SNAPSHOT),
        Order("o-2", "gate-1", OrderAction.CLIP, before_s=2.0, after_s=2.0),
        Order("o-3", "gate-1", OrderAction.PROFILE, "night"),
        Order("o-4", "gate-1", "dance"),
    ]
    station.greeting = [*orders, *orders]
    node = start(settings())
    wait_for(lambda: len(station.bodies(OrderResult)) >= 4 and len({f.order_id for f in station.bodies(Footage)}) == 2)
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0
    results = {r.order_id: r.done for r in station.bodies(OrderResult)}
    assert results == {"o-1": True, "o-2": True, "o-3": True, "o-4": False}
    assert len(station.bodies(OrderResult)) == 4
    footage = station.bodies(Footage)
    assert sorted({f.order_id for f in footage}) == ["o-1", "o-2"]
    assert all(is_marked(frame.jpeg) for f in footage for frame in f.frames)
    assert len([frame for f in footage if f.order_id == "o-2" for frame in f.frames]) >= 6
    assert station.bodies(Snapshot)         # of tracks: those go on


def test_a_node_killed_with_an_order_in_hand_answers_it_at_its_next_start(settings, station, start):
    station.greeting = [Order("o-1", "gate-1", OrderAction.CLIP, after_s=30.0)]
    config = settings()
    node = start(config)
    journal = config.parent / "node/orders.db"

    def in_hand():
        if not journal.exists():
            return False
        try:
            with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
                return db.execute("select count(*) from orders where answered = 0").fetchone()[0] == 1
        except sqlite3.OperationalError:
            return False

    wait_for(in_hand)
    node.kill()
    node.wait()
    assert station.bodies(OrderResult) == []
    again = start(config)
    wait_for(lambda: station.bodies(OrderResult))
    time.sleep(1.0)
    again.send_signal(signal.SIGTERM)
    assert again.wait(20) == 0
    assert [(r.order_id, r.done) for r in station.bodies(OrderResult)] == [("o-1", False)]
