"""From a plate read at a gate to a question, an alarm, two answers, and no second question."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geofences.sector import Sector, load_sector
from station.inbox import Inbox
from station.mind import Mind
from station.nomination import make_draft
from station.picture import AlarmState, DecideMatch, Done, MatchState, Refused
from station.settings import StationSettings
from station.watchlist import Draft, add_subject, approve_subject, report_subject
from wire.clock import NS_PER_S, WallClock
from wire.units import GroundPosition, ObjectClass

FIELDS = {
    "category": "courier", "label": "Blue van", "reason": "r", "lawful_basis": "l", "what_to_do": "w",
    "expires": "2090-01-31", "plates": "74C-123.45",
}


class Station:
    """Inbox and mind in this process, on the wall's time."""

    def __init__(self, settings: StationSettings, sector: Sector) -> None:
        self.settings, self.sector, self.clock = settings, sector, WallClock()
        self.inbox = Inbox(settings, sector.corridor_set, self.clock)
        self.mind = Mind(settings, sector, self.clock)

    def draft(self, fields: dict[str, str]) -> Draft:
        draft, problems = make_draft(fields, self.sector, self.clock.utc_ns())
        assert draft is not None, problems
        return draft

    def list_subject(self, **changes: str) -> str:
        subject = add_subject(self.settings, "lan", self.draft(FIELDS | changes))
        approve_subject(self.settings, "minh", subject.id)
        return subject.id

    def deliver(self, node) -> None:
        while node.waiting:
            self.inbox.turn()
            node.listen(0.001)
        self.think()

    def think(self) -> None:
        self.mind._questions.look_again()         # do not wait a second for the list to be looked at
        while self.mind.read():
            pass
        self.mind.pass_time()
        self.mind.commit()

    def restart_mind(self) -> None:
        self.mind.close()
        self.mind = Mind(self.settings, self.sector, self.clock)

    def close(self) -> None:
        self.inbox.close()
        self.mind.close()


@pytest.fixture
def station(settings: StationSettings) -> Iterator[Station]:
    sector = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")
    made = Station(settings, sector)
    yield made
    made.close()


def place(station: Station, along_m: float) -> GroundPosition:
    p = station.sector.corridors.ground("khe-da").centre_line.interpolate(along_m)
    return station.sector.frame.position(p.x, p.y)


def drive(station, node, frame, detection, plate: str | None, track: int = 1, count: int = 4, along_m: float = 50.0) -> None:
    for i in range(count):
        node.send(
            frame(
                "gate-1", time.time_ns() + i,
                detection(place(station, along_m), track=track, object_class=ObjectClass.CAR, plate=plate),
            )
        )
    station.deliver(node)


def test_a_plate_becomes_one_question_one_alarm_and_its_answer_is_kept(station, sender, frame, detection) -> None:
    subject = station.list_subject()
    node = sender()
    drive(station, node, frame, detection, "74C-I23.45")
    (match,) = station.mind.picture().matches
    assert (match.subject, match.contact, match.lane, match.state) == (
        subject, "C-000001", "enforcement", MatchState.QUESTION,
    )
    assert match.evidence[0].says.key == "match.evidence.plate_similar"
    (alarm,) = [a for a in station.mind.picture().alarms if a.rule == "watchlist_match"]
    assert (alarm.match, alarm.priority) == (match.id, 2)
    assert station.mind.answer(DecideMatch(match.id, MatchState.REJECTED, "lan", "another van")) == Done()
    closed = next(a for a in station.mind.picture().alarms if a.id == alarm.id)
    assert (closed.state, closed.events[-1].person) == (AlarmState.CLOSED, "lan")
    station.restart_mind()
    drive(station, node, frame, detection, "74C-I23.45")
    (kept,) = station.mind.picture().matches
    assert kept.state is MatchState.REJECTED
    assert isinstance(station.mind.answer(DecideMatch(match.id, MatchState.CONFIRMED, "minh")), Refused)
    actions = sqlite3.connect(station.settings.record_db).execute("SELECT action FROM entries").fetchall()
    assert [a for (a,) in actions][-2:] == ["match.asked", "match.rejected"]


def test_a_record_not_approved_or_a_plate_too_different_asks_nothing(station, sender, frame, detection) -> None:
    add_subject(station.settings, "lan", station.draft(FIELDS))
    station.list_subject(plates="74C-543.21")
    drive(station, sender(), frame, detection, "74C-123.45")
    assert station.mind.picture().matches == ()


def test_a_subject_listed_later_is_asked_about_contacts_that_are_still_there(station, sender, frame, detection) -> None:
    drive(station, sender(), frame, detection, "74C-123.45")
    assert station.mind.picture().matches == ()
    station.list_subject()
    station.think()
    assert len(station.mind.picture().matches) == 1


def test_a_report_makes_a_welfare_question_that_needs_two_persons(station, sender, frame, detection) -> None:
    subject = station.list_subject(category="at_risk", plates="")
    now_ns = time.time_ns()
    report_subject(
        station.settings, "lan", subject, now_ns - 1800 * NS_PER_S, now_ns + 1800 * NS_PER_S, "teacher Mai", "khe-da"
    )
    node = sender()
    for i in range(4):
        node.send(frame("gate-1", time.time_ns() + i, detection(place(station, 80))))
    station.deliver(node)
    (match,) = station.mind.picture().matches
    assert (match.lane, match.needed) == ("welfare", 2)
    assert match.evidence[0].says.params["person"] == "teacher Mai"
    assert station.mind.answer(DecideMatch(match.id, MatchState.CONFIRMED, "lan")) == Done()
    assert station.mind.picture().matches[0].state is MatchState.QUESTION
    assert isinstance(station.mind.answer(DecideMatch(match.id, MatchState.CONFIRMED, "lan")), Refused)
    assert station.mind.answer(DecideMatch(match.id, MatchState.CONFIRMED, "minh")) == Done()
    assert station.mind.picture().matches[0].state is MatchState.CONFIRMED


def test_nothing_of_a_subject_reaches_the_picture_but_its_id(station, sender, frame, detection) -> None:
    import msgspec

    station.list_subject(label="Nguyen Secret", reason="a secret reason", what_to_do="secret orders")
    drive(station, sender(), frame, detection, "74C-123.45")
    assert station.mind.picture().matches
    assert b"ecret" not in msgspec.msgpack.encode(station.mind.picture())
