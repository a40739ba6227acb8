"""One report and everybody who walks by: one alarm with a question for each, until a person has answered it."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from geofences.sector import Sector, load_sector
from station.alarms import Decision, decide
from station.contacts import Contact
from station.kalman import Estimate
from station.nomination import make_draft
from station.own_key import ensure_station_key
from station.picture import AlarmState, ChangeAlarm, DecideMatch, Done, GetPicture, MatchState
from station.rules import CANDIDATES_WITHIN_NS, AlarmDesk
from station.settings import load_station_settings
from station.watchlist import add_subject, approve_subject, report_subject
from tests.station.conftest import write_station
from tests.station.test_mind import on_trail, picture_when, wait_until_read
from tests.station.test_questions import Station
from wire.clock import NS_PER_S

T0 = 1_780_000_000 * NS_PER_S
SECTOR = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")
FIELDS = {
    "category": "at_risk", "label": "A girl of 15", "reason": "r", "lawful_basis": "l", "what_to_do": "w",
    "expires": "2090-01-31", "plates": "",
}


@pytest.fixture(scope="module")
def sector() -> Sector:
    return SECTOR


@pytest.fixture
def settings(station_folder):
    """Asks about each who fits a report: by the usual threshold the fourth is one too many to be worth a question."""
    file = write_station(station_folder)
    with file.open("a") as f:
        f.write("[matching]\nthreshold_bits = 5.0\n")
    loaded = load_station_settings(file)
    loaded.make_folders()
    ensure_station_key(loaded)
    return loaded


@pytest.fixture
def station(settings, sector):
    made = Station(settings, sector)
    yield made
    made.close()


def a_contact(number: int, at_ns: int) -> Contact:
    contact = Contact(number, "person", Estimate(np.zeros(4), np.eye(4), at_ns), at_ns, at_ns, at_ns, simulated=True)
    contact.detections = 5
    return contact


@dataclass
class Expected:
    """What an officer would say of one alarm: the model is a list of these, and knows nothing of the desk's fields."""

    subject: str
    first_ns: int
    seen_ns: int
    takes_more: bool = True
    candidates: list[str] = field(default_factory=list)


class Flood(RuleBasedStateMachine):
    """Candidates of two subjects come at any time and in any order; persons answer, or do not; the mind starts again."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = AlarmDesk(SECTOR)
        self.model: dict[int, Expected] = {}
        self.now_ns = T0
        self.contacts: dict[int, Contact] = {}
        self.asked = 0

    @rule(subject=st.sampled_from(["S-1", "S-2"]), wait_s=st.sampled_from([0, 1, 30, 599, 600, 601, 2000]),
          late_s=st.sampled_from([0, 0, 0, 700, 3600]))
    def a_candidate_comes(self, subject: str, wait_s: int, late_s: int) -> None:
        self.now_ns += wait_s * NS_PER_S
        at_ns = self.now_ns - late_s * NS_PER_S
        self.asked += 1
        contact = self.contacts[self.asked] = a_contact(self.asked, at_ns)
        fitting = [
            n for n, e in self.model.items()
            if e.subject == subject and e.takes_more
            and e.first_ns - CANDIDATES_WITHIN_NS <= at_ns <= e.seen_ns + CANDIDATES_WITHIN_NS
        ]
        alarm = self.desk.match_question(f"M-{self.asked:06d}", subject, contact, "welfare", 1, self.now_ns)
        if fitting:
            assert alarm.number == max(fitting)
            known = self.model[alarm.number]
            known.seen_ns = max(known.seen_ns, at_ns)
        else:
            assert alarm.number not in self.model
            known = self.model[alarm.number] = Expected(subject, at_ns, at_ns)
        known.candidates.append(f"M-{self.asked:06d}")

    @rule(which=st.integers(0, 30), walks_s=st.sampled_from([1, 120, 500]))
    def a_candidate_walks_on(self, which: int, walks_s: int) -> None:
        if not self.contacts:
            return
        contact = self.contacts[1 + which % len(self.contacts)]
        contact.last_seen_ns += walks_s * NS_PER_S
        self.now_ns = max(self.now_ns, contact.last_seen_ns)
        self.desk.judge(contact, self.now_ns)
        for known in self.model.values():
            if f"M-{contact.number:06d}" in known.candidates:
                known.seen_ns = max(known.seen_ns, contact.last_seen_ns)

    @rule(which=st.integers(0, 30), to=st.sampled_from([AlarmState.ACKNOWLEDGED, AlarmState.CLOSED, AlarmState.ESCALATED]))
    def a_person_decides(self, which: int, to: AlarmState) -> None:
        if not self.model:
            return
        number = sorted(self.model)[which % len(self.model)]
        if decide(self.desk.open[number], Decision(to, "lan", "lawful"), self.now_ns) is None:
            self.model[number].takes_more = to is AlarmState.ESCALATED

    @rule()
    def the_mind_starts_again(self) -> None:
        """An alarm is on the disk as of its last change, a contact as of its last sight."""
        for alarm in self.desk.open.values():
            alarm.last_seen_ns = min(alarm.last_seen_ns, alarm.raised_ns)
        self.desk = AlarmDesk(SECTOR, self.desk.open.values(), self.desk.next_number)
        self.desk.recall(self.contacts.values())

    @invariant()
    def every_question_is_asked_by_one_alarm_that_names_its_contact(self) -> None:
        asked: list[str] = []
        for number, alarm in self.desk.open.items():
            assert alarm.matches == self.model[number].candidates
            assert alarm.contact_ids == [f"C-{m.removeprefix('M-')}" for m in alarm.matches]
            assert alarm.match == alarm.matches[0]
            for contact in alarm.contact_ids[:6]:
                assert contact in str(alarm.says.params)
            asked += alarm.matches
        assert sorted(asked) == [f"M-{i:06d}" for i in range(1, self.asked + 1)]


Flood.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
test_flood_of_candidates = Flood.TestCase


def test_seven_walkers_in_a_reported_corridor_are_one_alarm_with_seven_questions(station, sender, frame, detection) -> None:
    node = a_report_and_its_node(station, sender)
    for walker in range(7):
        walk(station, node, frame, detection, walker)
    picture = station.mind.picture()
    (alarm,) = [a for a in picture.alarms if a.rule == "watchlist_match"]
    assert len(picture.matches) == 7
    assert alarm.matches == tuple(m.id for m in picture.matches)
    assert alarm.contacts == tuple(m.contact for m in picture.matches)
    assert alarm.says.key == "alarm.watchlist_candidates"
    assert alarm.says.params["candidates"] == ", ".join(alarm.contacts[:6]) + " …"
    assert alarm.says.params["contacts"] == 7
    assert [e.reason.split()[0] for e in alarm.events[1:]] == ["joined"] * 6


def test_a_no_is_about_one_candidate_and_the_last_no_closes_the_alarm(station, sender, frame, detection) -> None:
    node = a_report_and_its_node(station, sender)
    for walker in range(3):
        walk(station, node, frame, detection, walker)
    first, second, third = (m.id for m in station.mind.picture().matches)
    assert station.mind.answer(DecideMatch(second, MatchState.REJECTED, "lan", "an old man")) == Done()
    alarm = question_alarm(station)
    assert alarm.state is AlarmState.ACTIVE
    assert (alarm.events[-1].person, alarm.events[-1].reason) == ("lan", f"candidate_no {alarm.contacts[1]}")
    station.restart_mind()
    walk(station, node, frame, detection, 1, count=4)
    states = {m.id: m.state for m in station.mind.picture().matches}
    question = MatchState.QUESTION
    assert states == {first: question, second: MatchState.REJECTED, third: question}, "and nothing is asked again"
    station.mind.answer(DecideMatch(first, MatchState.REJECTED, "lan", "a neighbour"))
    station.mind.answer(DecideMatch(third, MatchState.REJECTED, "minh", "a woman of 40"))
    closed = question_alarm(station)
    last = closed.events[-1]
    assert (closed.state, last.person, last.reason) == (AlarmState.CLOSED, "minh", "match_rejected")
    walk(station, node, frame, detection, 5)
    new = [a for a in station.mind.picture().alarms if a.rule == "watchlist_match" and a.state is AlarmState.ACTIVE]
    assert [len(a.matches) for a in new] == [1]


def test_after_a_yes_a_further_contact_is_a_new_alarm(station, sender, frame, detection) -> None:
    node = a_report_and_its_node(station, sender, category="courier")
    for walker in range(2):
        walk(station, node, frame, detection, walker)
    first, second = (m.id for m in station.mind.picture().matches)
    assert station.mind.answer(DecideMatch(second, MatchState.CONFIRMED, "lan", "his jacket")) == Done()
    taken = question_alarm(station)
    assert taken.state is AlarmState.ACKNOWLEDGED
    assert taken.events[-1].reason == f"match_confirmed {taken.contacts[1]}"
    walk(station, node, frame, detection, 2)
    both = [a for a in station.mind.picture().alarms if a.rule == "watchlist_match"]
    assert [(a.state, len(a.matches)) for a in both] == [(AlarmState.ACKNOWLEDGED, 2), (AlarmState.ACTIVE, 1)]
    assert station.mind.answer(DecideMatch(first, MatchState.REJECTED, "lan", "not he")) == Done()
    kept = next(a for a in station.mind.picture().alarms if a.id == taken.id)
    assert kept.state is AlarmState.ACKNOWLEDGED, "one candidate was the one: the alarm stays until somebody closes it"


def test_a_yes_that_needs_a_second_person_leaves_the_alarm_waiting(station, sender, frame, detection) -> None:
    node = a_report_and_its_node(station, sender)
    walk(station, node, frame, detection, 0)
    walk(station, node, frame, detection, 1)
    first = station.mind.picture().matches[0].id
    station.mind.answer(DecideMatch(first, MatchState.CONFIRMED, "lan", "her scarf"))
    alarm = question_alarm(station)
    assert (alarm.state, alarm.events[-1].reason) == (AlarmState.ACTIVE, f"candidate_yes {alarm.contacts[0]}")
    station.mind.answer(DecideMatch(first, MatchState.CONFIRMED, "minh", "her face, with binoculars"))
    assert question_alarm(station).state is AlarmState.ACKNOWLEDGED


def test_an_answer_that_the_disk_refuses_changes_neither_the_question_nor_its_alarm(
    station, sender, frame, detection, monkeypatch
) -> None:
    node = a_report_and_its_node(station, sender, category="courier")
    walk(station, node, frame, detection, 0)
    match = station.mind.picture().matches[0].id
    before = question_alarm(station)

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(station.mind, "commit", full)
    for answer in (MatchState.CONFIRMED, MatchState.REJECTED):
        with pytest.raises(sqlite3.OperationalError):
            station.mind.answer(DecideMatch(match, answer, "lan", "his jacket"))
    monkeypatch.undo()
    station.mind.commit(force=True)
    station.restart_mind()
    assert question_alarm(station) == before
    assert station.mind.picture().matches[0].state is MatchState.QUESTION


def test_the_picture_of_a_candidate_stays_with_its_question_when_the_contact_has_gone(
    station, sender, frame, detection
) -> None:
    from wire.messages import Box, Snapshot

    node = a_report_and_its_node(station, sender)
    walk(station, node, frame, detection, 0)
    walk(station, node, frame, detection, 1)
    node.send(Snapshot("gate-1", 101, time.time_ns(), b"\xff\xd8\xff", Box(0, 0, 1, 1)))
    station.deliver(node)
    first, second = station.mind.picture().matches
    assert (first.snapshot, second.snapshot is not None) == (None, True)
    station.restart_mind()
    assert station.mind.picture().matches == (first, second)


def test_a_killed_mind_asks_each_question_once_and_in_one_alarm(
    settings, process, sender, frame, detection, sector, ask
) -> None:
    """Candidates come one after the other while the mind is killed again and again; then one is answered, then more come."""
    subject = a_subject(settings, sector, category="courier")
    now_ns = time.time_ns()
    report_subject(settings, "lan", subject, now_ns - 7200 * NS_PER_S, now_ns + 3600 * NS_PER_S, "teacher Mai", "khe-da")
    process("inbox")
    mind = process("mind")
    node = sender()
    start_ns = time.time_ns() - 1800 * NS_PER_S

    def candidate(number: int) -> None:
        for i in range(12):
            at_ns = start_ns + number * 10 * NS_PER_S + i * 100_000_000
            node.send(frame("gate-1", at_ns, detection(on_trail(sector, 30 + 90 * number + 0.14 * i), track=number)))
            node.listen(0.01)

    for number in range(6):
        candidate(number)
        if number % 2:
            ask(GetPicture())       # it runs, and has some of them and not all
            mind.kill()
            mind.start()
    node.listen(5)
    picture = picture_when(ask, lambda p: len(p.matches) == 6)
    (alarm,) = [a for a in picture.alarms if a.rule == "watchlist_match"]
    assert ask(DecideMatch(picture.matches[0].id, MatchState.CONFIRMED, "lan", "his cap")) == Done()
    mind.kill()
    mind.start()
    for number in (6, 7):
        candidate(number)
    node.listen(5)
    picture = picture_when(ask, lambda p: len(p.matches) == 8)
    wait_until_read(settings)
    mind.kill()
    conn = sqlite3.connect(settings.mind_db)
    asked = conn.execute("SELECT contact, count(*) FROM matches GROUP BY contact").fetchall()
    raised = conn.execute("SELECT count(*) FROM alarms WHERE rule = 'watchlist_match'").fetchone()
    firsts = conn.execute(
        "SELECT count(*) FROM alarm_events JOIN alarms ON alarms.id = alarm WHERE rule = 'watchlist_match' AND number = 0"
    ).fetchone()
    conn.close()
    assert [n for _, n in asked] == [1] * 8
    assert (raised, firsts) == ((2,), (2,))
    alarms = {a.id: a for a in picture.alarms if a.rule == "watchlist_match"}
    assert [len(a.matches) for _, a in sorted(alarms.items())] == [6, 2]
    assert alarms[alarm.id].state is AlarmState.ACKNOWLEDGED
    assert len({m for a in alarms.values() for m in a.matches}) == 8


def test_a_lost_walker_is_found_again_by_a_mind_that_was_started_in_between(settings, sector, station, sender, frame,
                                                                            detection) -> None:
    """The alarm was written when it was raised; where its contact was last seen comes back with the contact."""
    node = sender()
    now_ns = time.time_ns()
    for quarters in (range(40), range(40, 400)):
        for i in quarters:
            at_ns = now_ns - 200 * NS_PER_S + i * NS_PER_S // 4
            node.send(frame("gate-1", at_ns, detection(on_trail(sector, 30 + 0.25 * i))))
        station.deliver(node)
    station.mind.commit(force=True)
    station.restart_mind()
    for i in range(10):
        node.send(frame("gate-1", now_ns - (55 - i) * NS_PER_S, detection(on_trail(sector, 170.0 + i), track=2)))
    station.deliver(node)
    picture = station.mind.picture()
    assert len(picture.contacts) == 2
    assert [a.contacts for a in picture.alarms] == [("C-000001", "C-000002")]


def a_subject(settings, sector, **changes: str) -> str:
    draft, problems = make_draft(FIELDS | changes, sector, time.time_ns())
    assert draft is not None, problems
    subject = add_subject(settings, "lan", draft)
    approve_subject(settings, "minh", subject.id)
    return subject.id


def a_report_and_its_node(station: Station, sender, **changes: str):
    subject = a_subject(station.settings, station.sector, **changes)
    now_ns = time.time_ns()
    report_subject(
        station.settings, "lan", subject, now_ns - 3600 * NS_PER_S, now_ns + 1800 * NS_PER_S, "teacher Mai", "khe-da"
    )
    return sender()


def walk(station: Station, node, frame, detection, walker: int, count: int = 5) -> None:
    """A walker of their own, 80 m from the others."""
    start_ns = time.time_ns()
    for i in range(count):
        place = on_trail(station.sector, 40 + 80 * walker + 0.1 * i)
        node.send(frame("gate-1", start_ns + i * 10_000_000, detection(place, track=100 + walker)))
    station.deliver(node)


def question_alarm(station: Station):
    return next(a for a in station.mind.picture().alarms if a.rule == "watchlist_match")


def test_the_mind_reads_what_it_wrote_of_a_grouped_alarm(station, sender, frame, detection) -> None:
    node = a_report_and_its_node(station, sender)
    for walker in range(3):
        walk(station, node, frame, detection, walker)
    before = station.mind.picture().alarms
    station.restart_mind()
    assert station.mind.picture().alarms == before
    kept = station.mind._desk.open[int(question_alarm(station).id.removeprefix("A-"))]
    assert kept.subject is not None
    assert station.mind.answer(ChangeAlarm(kept.id, AlarmState.ACKNOWLEDGED, "lan")) == Done()
