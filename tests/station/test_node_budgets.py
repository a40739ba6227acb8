"""The budget of each node at the inbox: a flood is held back, its neighbours are not, and nothing is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import msgspec
import pytest

from geofences.sector import load_sector
from station.node_budgets import NodeBudgets
from station.picture import GetPicture
from station.rules import AlarmDesk
from station.settings import load_station_settings
from tests.station.conftest import SECTOR, allow, frame_of, point_detection
from wire.budget import SAVED_S
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.keys import load_station_key
from wire.outbox import Outbox
from wire.settings import SettingsError
from wire.units import GroundPosition, Realm
from wire.uplink import Uplink

PLACE = GroundPosition(16.6211, 106.5915)
PER_S = 200
NOW_NS = 1_800_000_000 * NS_PER_S


def limit(settings, per_s: int = PER_S):
    """The settings with that budget of detections, in the file that a process reads, too."""
    text = settings.file.read_text()
    settings.file.write_text(text.replace("[inbox]\n", f"[inbox]\ndetections_per_s = {per_s}\n"))
    return load_station_settings(settings.file)


def stored(settings, node: str) -> int:
    with sqlite3.connect(settings.inbox_db) as db:
        return int(db.execute("SELECT count(*) FROM arrivals WHERE node = ?", (node,)).fetchone()[0])


def test_a_budget_is_spent_by_each_node_alone_and_other_messages_pass_when_detections_do_not() -> None:
    clock = SteppedClock()
    budgets = NodeBudgets(10.0, 0.0, clock)
    assert budgets.try_spend("a", round(10 * SAVED_S), 100) and not budgets.try_spend("a", 1, 100)
    assert budgets.try_spend("b", 1, 100) and budgets.try_spend("a", None, 100)
    clock.advance(1)
    assert budgets.try_spend("a", 5, 100)
    pictures = NodeBudgets(0.0, 1000.0, clock)
    assert pictures.try_spend("a", None, 5001) and not pictures.try_spend("a", None, 1) and not pictures.try_spend("a", 0, 1)
    assert all(NodeBudgets(0.0, 0.0, clock).try_spend("a", 10**6, 10**9) for _ in range(3))


def test_a_flood_stays_within_its_budget_and_an_honest_node_beside_it_is_heard_promptly(settings, process, sender) -> None:
    settings = limit(settings)
    flooder, honest = sender("cam-1"), sender("cam-2")
    process("inbox")
    honest.send(frame_of("gate-2", time.time_ns(), point_detection(PLACE)))
    honest.finish(30)
    crowd = tuple(point_detection(PLACE, track=t) for t in range(20))
    began, late, sent = time.monotonic(), [], 0
    while time.monotonic() - began < 4:
        for _ in range(10):
            flooder.send(frame_of("gate-1", time.time_ns(), *crowd))
            sent += len(crowd)
        at = time.monotonic()
        honest.send(frame_of("gate-2", time.time_ns(), point_detection(PLACE)))
        honest.finish(10)
        late.append(time.monotonic() - at)
        time.sleep(0.05)
        flooder.listen(0.001)
    flooder.listen(1.0)
    passed_s = time.monotonic() - began
    assert not honest.waiting and not honest.refused and max(late) < 5
    assert stored(settings, "cam-2") == len(honest.acknowledged)
    budget = PER_S * (SAVED_S + passed_s) + len(crowd)
    assert len(crowd) * stored(settings, "cam-1") <= budget < sent
    assert not flooder.refused, "what is beyond the budget waits at the node, and is not lost"
    with sqlite3.connect(settings.inbox_db) as db:
        assert db.execute("SELECT DISTINCT node FROM refusals WHERE reason = 'over_budget'").fetchall() == [("cam-1",)]


def test_a_node_that_catches_up_beyond_its_budget_loses_nothing(settings, process, tmp_path) -> None:
    settings = limit(settings)
    key = allow(settings, "cam-1")
    public = load_station_key(settings.station_key).public
    process("inbox")
    with contextlib.closing(Outbox(tmp_path / "outbox.db", "cam-1", Realm.TRAINING, WallClock())) as outbox:
        crowd = tuple(point_detection(PLACE, track=t) for t in range(20))
        for _ in range(100):
            outbox.put(frame_of("gate-1", time.time_ns(), *crowd))
        with Uplink(settings.inbox.bind, public, key, outbox, WallClock()):
            until = time.monotonic() + 60
            while outbox.depth:
                assert time.monotonic() < until, "the rest does not drain"
                time.sleep(0.05)
    assert stored(settings, "cam-1") == 100
    with sqlite3.connect(settings.inbox_db) as db:
        assert db.execute("SELECT count(*) FROM refusals WHERE reason = 'over_budget'").fetchone() == (1,)


def test_an_alarm_names_the_node_that_exceeds_its_budget_and_no_other(settings, process, sender, ask) -> None:
    settings = limit(settings)
    flooder, honest = sender("cam-1"), sender("cam-2")
    process("inbox")
    process("mind")
    crowd = tuple(point_detection(PLACE, track=t) for t in range(20))
    for _ in range(200):
        flooder.send(frame_of("gate-1", time.time_ns(), *crowd))
    honest.send(frame_of("gate-2", time.time_ns(), point_detection(PLACE)))
    honest.finish(60)
    until = time.monotonic() + 60
    while not (told := [a for a in ask(GetPicture()).alarms if a.rule == "node_over_budget"]):
        assert time.monotonic() < until, "nobody is told"
        time.sleep(0.2)
    assert [(a.node, a.says.key, a.says.params) for a in told] == [("cam-1", "alarm.node_over_budget", {"node": "cam-1"})]
    assert ask(GetPicture()).counts.refused["over_budget"] > 0


def test_the_alarm_ends_when_the_node_keeps_within_its_budget_again() -> None:
    desk = AlarmDesk(load_sector(SECTOR))
    for is_over in (True, True, False):
        desk.budget_fault("cam-1", is_over, True, NOW_NS)
        desk.budget_fault("cam-2", False, True, NOW_NS)
    (alarm,) = desk.open.values()
    assert alarm.node == "cam-1" and alarm.fault_over


def test_a_budget_that_cannot_be_is_refused_by_its_key(settings) -> None:
    with pytest.raises(SettingsError, match="detections_per_s"):
        limit(settings, -1)
    assert msgspec.structs.asdict(settings.inbox)["detections_per_s"] >= 1000
