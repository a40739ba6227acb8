"""Pictures that wait go by bytes and by days, the oldest first, and counted; no sighting does, whatever the date says."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.clock import SteppedClock
from wire.codec import decode_envelope
from wire.messages import Box, Detection, DetectionBatch, PlacementPoint, Snapshot, TrackState, TrackUpdate
from wire.outbox import Outbox
from wire.outbox_bounds import DAY_NS, PictureBounds
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality

HOUR_S = 3600.0
NOW_S = 1_795_000_000.0         # 2026


def batch():
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1, 0, 1))
    one = Detection(1, ObjectClass.PERSON, 0.9, Box(1, 2, 3, 4), place, True, ("khe-da",))
    return DetectionBatch("cam", 1, TimeQuality.NTP, "v", (one,))


def track():
    return TrackUpdate("cam", 1, TrackState.CONFIRMED, ObjectClass.PERSON, 1, 2, 3, 0.8)


def picture(number, size=10_000):
    return Snapshot("cam", number, 1, b"x" * size, Box(0, 0, 1, 1))


class Bench:
    """An outbox without a station, on a clock that is moved by hand."""

    def __init__(self, path, **bounds):
        self.path, self.bounds = path, PictureBounds(**bounds)
        self.clock = SteppedClock()
        self.clock.step_utc(NOW_S - self.clock.utc_ns() / 1e9)
        self.open()

    def open(self):
        self.outbox = Outbox(self.path, "gate-1", Realm.TRAINING, self.clock, pictures=self.bounds)

    def hours(self, hours):
        """Time goes on, and once an hour something is put, as it is each second."""
        for _ in range(round(hours)):
            self.clock.advance(HOUR_S)
            self.outbox.put(track())

    def waiting(self, kind):
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            bodies = [decode_envelope(d).body for (d,) in db.execute("select data from queue order by boot, sequence")]
        return [b for b in bodies if isinstance(b, kind)]

    def numbers(self):
        return [s.track for s in self.waiting(Snapshot)]

    def adds_up(self):
        at = self.outbox.ledger
        return at.messages_put == at.messages_acknowledged + at.messages_refused + at.messages_dropped + self.outbox.depth


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(**bounds):
        made.append(Bench(tmp_path / "outbox.db", **bounds))
        return made[-1]

    yield make
    for b in made:
        b.outbox.close()


def test_pictures_beyond_their_bytes_go_oldest_first_and_are_counted_and_no_sighting_goes(bench):
    b = bench(limit_bytes=35_000)
    for k in range(6):
        b.outbox.put(batch(), picture(k))
    assert b.numbers() == [3, 4, 5]
    assert len(b.waiting(DetectionBatch)) == 6
    assert b.outbox.ledger.messages_dropped == 3 and b.outbox.ledger.detections_dropped == 0 and b.adds_up()


def test_what_the_station_took_makes_room_again(bench):
    b = bench(limit_bytes=35_000)
    first = [b.outbox.put(picture(k))[0] for k in range(3)]
    b.outbox.acknowledge(first)
    for k in range(3, 6):
        b.outbox.put(picture(k))
    assert b.numbers() == [3, 4, 5] and b.outbox.ledger.messages_dropped == 0 and b.adds_up()


def test_the_bound_holds_over_a_restart(bench):
    b = bench(limit_bytes=35_000)
    b.outbox.put(*[picture(k) for k in range(3)])
    b.outbox.close()
    b.open()
    b.outbox.put(picture(3))
    assert b.numbers() == [1, 2, 3]


def test_pictures_older_than_their_days_go_and_sightings_stay(bench):
    b = bench(days=2.0)
    b.outbox.put(batch(), picture(1))
    b.hours(24)
    b.outbox.put(picture(2))
    b.hours(23)
    assert b.numbers() == [1, 2], "not before its days are over"
    b.hours(4)
    assert b.numbers() == [2]
    b.hours(24)
    assert b.numbers() == []
    assert len(b.waiting(DetectionBatch)) == 1 and b.outbox.ledger.messages_dropped == 2 and b.adds_up()


def test_days_in_which_the_node_was_off_count_once_its_date_has_been_steady_for_an_hour(bench):
    b = bench(days=2.0)
    b.outbox.put(picture(1))
    b.hours(3)
    b.outbox.close()
    b.clock.advance(60 * 24 * HOUR_S)
    b.open()
    b.outbox.put(picture(2))
    assert b.numbers() == [1, 2]
    b.hours(2)
    assert b.numbers() == [2]


@pytest.mark.parametrize("days", [400, -400])
def test_a_date_that_jumps_and_comes_back_costs_nothing(bench, days):
    b = bench(days=2.0)
    b.outbox.put(picture(1))
    b.hours(5)
    b.clock.step_utc(days * 86_400.0)
    for _ in range(50):
        b.clock.advance(60.0)
        b.outbox.put(track())
    b.clock.step_utc(-days * 86_400.0)
    b.hours(5)
    assert b.numbers() == [1]


def test_a_clock_that_was_never_set_makes_nothing_old(bench):
    b = bench(days=2.0)
    b.clock.step_utc(-NOW_S + 86_400.0)         # 1970, as a board without a battery says
    b.outbox.put(picture(1))
    b.hours(10)
    b.clock.step_utc(NOW_S)
    b.hours(10)
    assert b.numbers() == [1]


STEPS = st.lists(st.one_of(
    st.tuples(st.just("picture"), st.integers(500, 20_000)), st.tuples(st.just("hours"), st.integers(1, 30)),
    st.tuples(st.just("step"), st.integers(-500, 500)), st.tuples(st.just("taken"), st.integers(0, 50)),
    st.sampled_from([("sighting", 0), ("restart", 0)]),
), max_size=30)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_happens_no_sighting_goes_the_bound_holds_and_the_ledger_adds_up(tmp_path_factory, steps):
    b = Bench(tmp_path_factory.mktemp("outbox") / "outbox.db", limit_bytes=50_000, days=3.0)
    sightings, given_ = 0, []
    for what, value in steps:
        match what:
            case "picture":
                given_ += b.outbox.put(picture(0, value))
            case "sighting":
                b.outbox.put(batch())
                sightings += 1
            case "hours":
                b.hours(value)
            case "step":
                b.clock.step_utc(value * DAY_NS / 1e9)
            case "restart":
                b.outbox.close()
                b.open()
            case "taken" if given_:
                b.outbox.acknowledge([given_[value % len(given_)]])
        assert b.adds_up()
    b.outbox.put(track())
    b.outbox.close()
    assert len(b.waiting(DetectionBatch)) == sightings
    assert sum(len(p.jpeg) for p in b.waiting(Snapshot)) <= 50_000
