"""Two machines with one key are noticed and told; a node that was started anew is not taken for one."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from geofences.sector import load_sector
from station.inbox import Inbox
from station.sessions import LEFTOVER_NS, SILENT_NS, Sessions
from wire.clock import NS_PER_S, WallClock
from wire.keys import load_station_key
from wire.outbox import Outbox
from wire.uplink import Uplink


def test_a_node_that_was_started_anew_is_heard_at_once_and_contests_nothing() -> None:
    s = Sessions()
    assert s.heard("key", b"a", 0)
    for k in range(1, 40):
        assert s.heard("key", b"b", k * NS_PER_S)
        assert not s.is_contested("key")
    assert s.heard("key", b"c", 41 * NS_PER_S) and not s.is_contested("key")


def test_what_a_dead_process_left_in_the_queue_is_no_second_machine() -> None:
    s = Sessions()
    s.heard("key", b"a", 0)
    s.heard("key", b"b", NS_PER_S)
    assert s.heard("key", b"a", NS_PER_S + LEFTOVER_NS)
    assert not s.is_contested("key")


def test_two_that_go_on_are_told_apart_the_first_is_heard_and_the_other_after_its_silence() -> None:
    s = Sessions()
    taken = {b"a": 0, b"b": 0}
    for k in range(20):
        for session in (b"a", b"b"):
            taken[session] += s.heard("key", session, k * NS_PER_S)
    assert s.is_contested("key")
    assert taken[b"a"] == 20 and taken[b"b"] <= LEFTOVER_NS // NS_PER_S + 2
    quiet_ns = 19 * NS_PER_S + SILENT_NS
    assert not s.heard("key", b"b", quiet_ns)
    assert s.heard("key", b"b", quiet_ns + 1) and not s.is_contested("key")


def test_when_the_second_one_is_switched_off_the_first_is_told_no_longer() -> None:
    s = Sessions()
    for k in range(10):
        s.heard("key", b"a", k * NS_PER_S)
        s.heard("key", b"b", k * NS_PER_S)
    assert s.is_contested("key")
    s.heard("key", b"a", 10 * NS_PER_S + SILENT_NS)
    assert not s.is_contested("key")


def test_keys_do_not_meddle_with_each_other() -> None:
    s = Sessions()
    for k in range(10):
        assert s.heard("one", b"a", k * NS_PER_S) and s.heard("other", b"b", k * NS_PER_S)


@pytest.fixture
def running(settings, monkeypatch):
    monkeypatch.setattr("station.sessions.LEFTOVER_NS", NS_PER_S // 5)
    monkeypatch.setattr("station.sessions.SILENT_NS", NS_PER_S)
    inbox = Inbox(settings, load_sector(settings.sector).corridor_set, WallClock())
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            inbox.turn()
        inbox.commit()

    thread = threading.Thread(target=loop)
    thread.start()
    yield
    stop.set()
    thread.join()
    inbox.close()


def test_a_cloned_card_is_a_problem_of_both_and_costs_no_message(
    running, settings, allow_node, frame, station_folder: Path, monkeypatch
) -> None:
    """The clone keeps all that it saw, and hands it over when the first one is gone."""
    monkeypatch.setattr("wire.flights.RESEND_S", 0.3)
    monkeypatch.setattr("wire.flights.RESEND_LEAST_S", 0.3)
    monkeypatch.setattr("wire.flights.RESEND_LONGEST_S", 1.0)
    key, public, clock = allow_node("cam-1"), load_station_key(settings.station_key).public, WallClock()
    first, clone = (Outbox(station_folder / name / "outbox.db", "cam-1", settings.realm, clock) for name in ("a", "b"))
    put: set[tuple[int, int]] = set()

    def speak(*outboxes: Outbox, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not until():
            assert time.monotonic() < end
            for outbox in outboxes:
                put.update(outbox.put(frame("gate-1", time.time_ns())))
            time.sleep(0.05)

    one, other = (Uplink(settings.inbox.bind, public, key, outbox, clock) for outbox in (first, clone))
    with other:
        with one:
            speak(first, until=lambda: one.counts.acknowledged > 3)
            speak(first, clone, until=lambda: all("two machines" in u.problem for u in (one, other)))
            kept = clone.depth
            speak(first, clone, until=lambda: clone.depth > kept + 5)
            speak(first, until=lambda: first.depth == 0)
        end = time.monotonic() + 20
        while clone.depth:
            assert time.monotonic() < end
            time.sleep(0.05)
    for outbox in (first, clone):
        outbox.close()
        assert outbox.ledger.messages_refused == outbox.ledger.messages_dropped == 0
    with sqlite3.connect(settings.inbox_db) as db:
        assert set(db.execute("select boot, sequence from arrivals")) == put
        assert db.execute("select node from refusals where reason = 'two_sessions'").fetchall() == [("cam-1",)]


def test_another_message_under_a_known_identity_is_refused_and_counted_and_never_acknowledged(
    running, settings, sender, frame, detection
) -> None:
    node = sender()
    node.send(frame("gate-1", 1_700_000_000 * NS_PER_S))
    node.listen(5)
    node.sequence = 0
    node.send(frame("gate-1", 1_700_000_001 * NS_PER_S))
    node.listen(5)
    assert node.acknowledged == [(1, 0)]
    assert [(b, s) for b, s, _ in node.refused] == [(1, 0)] and "under this identity" in node.refused[0][2]
    with sqlite3.connect(settings.inbox_db) as db:
        assert db.execute("select count from refusals where reason = 'identity_reused'").fetchone() == (1,)
