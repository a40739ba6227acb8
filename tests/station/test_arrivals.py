"""Judged is all that came, each once: what is new at once, and old news when there is time for it."""

import contextlib
import itertools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.arrivals import NEW_PLACE, OLD_NS, READ_NS, Arrivals
from station.inbox import Inbox
from station.mind import COUNTS_EVERY_NS, Mind
from station.situation import SILENT_AFTER_NS
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.codec import encode_envelope
from wire.messages import DetectionBatch, Envelope
from wire.units import TimeQuality

ROOT = Path(__file__).resolve().parents[2]
HOUR_NS = 3600 * NS_PER_S
NOW_NS = 1_800_000_000 * NS_PER_S


# ------------------------------------------------------------------------------------------- the order, by itself


def store(late: list[bool]) -> sqlite3.Connection:
    """Arrivals 1 to n, pictures and snapshots in turns, each seen just now or long ago."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE arrivals (id, node, boot, kind, received_ns, suspect, payload)")
    db.execute("CREATE TABLE snapshots (id, captured_ns)")
    for number, is_old in enumerate(late, 1):
        seen_ns = NOW_NS - (OLD_NS + 1 if is_old else OLD_NS)
        kind = "snapshot" if number % 3 == 0 else "detections"
        batch = DetectionBatch("gate-1", seen_ns, TimeQuality.NTP, "v", ())
        payload = encode_envelope(Envelope("cam-1", 1, number, batch)) if kind == "detections" else b""
        db.execute("INSERT INTO arrivals VALUES (?, ?, ?, ?, ?, ?, ?)", (number, "cam-1", 1, kind, NOW_NS, None, payload))
        if kind == "snapshot":
            db.execute("INSERT INTO snapshots VALUES (?, ?)", (number, seen_ns))
    return db


class CostlyClock(SteppedClock):
    """On which each look takes a part of a step."""

    def monotonic_ns(self) -> int:
        self.advance(READ_NS / 4 / NS_PER_S)
        return super().monotonic_ns()


@given(st.lists(st.booleans(), max_size=60), st.sets(st.integers(0, 40)))
@how(deadline=None)
def test_each_arrival_is_judged_once_and_in_order_whatever_dies_in_between(late, crashes):
    """Between two steps there is a commit, and a crash takes all that is not on the disk."""
    db, clock, judged, heard = store(late), CostlyClock(NOW_NS), [], []
    arrivals = Arrivals(0, None, clock)

    def judge(arrival):
        assert arrival.node in heard, "whoever judges knows the node"
        judged.append((arrival.id, arrival.received_ns))

    for step in itertools.count():
        more = arrivals.read(db, lambda node, at_ns: heard.append(node), judge)
        if step in crashes:
            arrivals = Arrivals(arrivals.place, arrivals.state[NEW_PLACE], clock)
            heard.clear()
        if not more:
            break
    numbers = [number for number, _ in judged]
    new = [n for n in numbers if not late[n - 1]]
    assert sorted(numbers) == list(range(1, len(late) + 1))
    assert numbers == [*new, *(n for n in numbers if late[n - 1])], "what is new comes first"
    assert numbers == sorted(new) + sorted(n for n in numbers if late[n - 1])
    assert all((at_ns > NOW_NS) == late[n - 1] for n, at_ns in judged), "old news counts from when its turn came"
    assert arrivals.new_place == arrivals.place == len(late)


def test_what_comes_while_old_news_is_judged_goes_before_the_rest_of_it():
    db, judged, heard = store([True] * 20), [], []
    arrivals = Arrivals(0, None, CostlyClock(NOW_NS))

    def read():
        return arrivals.read(db, lambda node, at_ns: heard.append(node), lambda a: judged.append(a.id))

    assert read()
    assert heard and not judged, "a node that brings old news is heard before that is judged"
    assert arrivals.old_news == len(heard)
    while len(judged) < 5:
        assert read()
    before = list(judged)
    new = DetectionBatch("gate-2", NOW_NS, TimeQuality.NTP, "v", ())
    db.execute("INSERT INTO arrivals VALUES (21, 'cam-2', 1, 'detections', ?, NULL, ?)",
               (NOW_NS, encode_envelope(Envelope("cam-2", 1, 1, new))))
    while read():
        pass
    assert judged[len(before)] == 21 and sorted(judged) == list(range(1, 22))
    assert arrivals.old_news == 0


def test_what_is_not_believed_is_judged_at_once_and_with_its_own_time():
    """A clock that is hours behind is an alarm now, and its error is not that plus the time in which old news was judged."""
    db, judged = store([True, True]), []
    db.execute("UPDATE arrivals SET suspect = 'clock' WHERE id = 2")
    arrivals = Arrivals(0, None, CostlyClock(NOW_NS))
    while arrivals.read(db, lambda node, at_ns: None, lambda a: judged.append((a.id, a.received_ns == NOW_NS))):
        pass
    assert judged == [(2, True), (1, False)]


def test_an_arrival_that_cannot_be_read_or_judged_holds_up_nobody(caplog):
    db, judged = store([False, False, True, False]), []
    db.execute("UPDATE arrivals SET payload = X'00' WHERE id = 2")

    def judge(arrival):
        if arrival.id == 1:
            raise ValueError("a fault of the program")
        judged.append((arrival.id, arrival.body is None))

    assert not Arrivals(0, None, SteppedClock(NOW_NS)).read(db, lambda node, at_ns: None, judge)
    assert judged == [(2, True), (4, False), (3, True)]
    assert "arrival 1 of node cam-1 could not be judged" in caplog.text
    assert "arrival 2 of node cam-1 was stored and cannot be read" in caplog.text


def test_a_disk_that_cannot_be_read_is_no_reason_to_go_on():
    def judge(arrival):
        raise sqlite3.OperationalError("disk I/O error")

    arrivals = Arrivals(0, None, SteppedClock(NOW_NS))
    with pytest.raises(sqlite3.OperationalError):
        arrivals.read(store([False]), lambda node, at_ns: None, judge)
    assert arrivals.place == 0, "it is tried again"


# ------------------------------------------------------------------------------------------------ with inbox and mind


class SlowClock(WallClock):
    """shift_ns ahead of the wall. step_ns: each look at the monotonic time takes so long, if it is not nought."""

    shift_ns = step_ns = spent_ns = 0

    def utc_ns(self) -> int:
        return super().utc_ns() + self.shift_ns

    def monotonic_ns(self) -> int:
        self.spent_ns += self.step_ns
        return super().monotonic_ns() + self.spent_ns


class Station:
    """Inbox and mind in this process."""

    def __init__(self, settings):
        self.clock = SlowClock()
        self.settings, self.sector = settings, load_sector(ROOT / "configs/sectors/laobao/sector.toml")
        self.inbox = Inbox(settings, self.sector.corridor_set, self.clock)
        self.mind = Mind(settings, self.sector, self.clock)
        self.line = self.sector.corridors.ground("khe-da").centre_line

    def at(self, along_m):
        p = self.line.interpolate(along_m)
        return self.sector.frame.position(p.x, p.y)

    def deliver(self, *nodes):
        for _ in range(5000):
            self.inbox.turn()
            for node in nodes:
                node.listen(0.001)
            if not any(node.waiting for node in nodes):
                return
        raise AssertionError("not all was delivered")

    def step(self):
        more = self.mind.read()
        self.mind.pass_time()
        self.mind.commit()
        return more

    def start_again(self):
        self.mind.close()
        self.mind = Mind(self.settings, self.sector, self.clock)

    def contacts(self):
        return {c.id: c for c in self.mind.picture().contacts}


@pytest.fixture
def station(settings):
    made = Station(settings)
    with contextlib.closing(made.inbox):
        yield made
    made.mind.close()


def walk(node, station, frame, detection, sensor, began_ns, seconds, track=1, along_m=30.0):
    for i in range(seconds * 2):
        node.send(frame(sensor, began_ns + i * NS_PER_S // 2, detection(station.at(along_m + 0.7 * i), track=track)))


def test_somebody_who_crosses_now_does_not_wait_for_what_a_node_saw_hours_ago(station, sender, frame, detection) -> None:
    back, live = sender("cam-1"), sender("cam-2")
    walk(back, station, frame, detection, "gate-1", station.clock.utc_ns() - 3 * HOUR_NS, 60)
    station.deliver(back)
    walk(live, station, frame, detection, "gate-2", station.clock.utc_ns() - 4 * NS_PER_S, 4, along_m=300.0)
    station.deliver(live)
    station.clock.step_ns = READ_NS // 10
    while not station.contacts():
        assert station.step()
    assert next(iter(station.contacts().values())).sensors == ("gate-2",), "who crosses now is judged first"
    station.clock.shift_ns += COUNTS_EVERY_NS
    assert station.step() and station.mind.picture().counts.old_news > 0, "and how much of the other waits is told"
    while station.step():
        if len(station.contacts()) == 2:
            station.start_again()           # dies once more, in the middle of it
            break
    while station.step():
        pass
    (old,) = [c for c in station.contacts().values() if c.sensors == ("gate-1",)]
    assert old.detections == 120, "one walker of a minute is one contact, however many steps and starts that took"
    station.clock.shift_ns += COUNTS_EVERY_NS
    station.step()
    assert station.mind.picture().counts.old_news == 0


def test_a_node_is_not_silent_while_what_it_said_still_waits_to_be_read(station, sender, frame, detection) -> None:
    node = sender("cam-1")
    walk(node, station, frame, detection, "gate-1", station.clock.utc_ns() - 20 * NS_PER_S, 20)
    station.deliver(node)
    station.clock.step_ns = READ_NS // 4
    while station.step():
        station.clock.shift_ns += 4 * NS_PER_S      # a machine on which it takes for ever
        assert not station.mind.picture().nodes[0].silent
    (walker,) = station.contacts().values()
    assert walker.detections == 40, "nor is he somebody else at each step"
    station.clock.shift_ns += SILENT_AFTER_NS + NS_PER_S
    station.step()
    assert station.mind.picture().nodes[0].silent, "all is read, and it says nothing more"
