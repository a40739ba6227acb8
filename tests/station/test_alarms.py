"""Alarms: the table of transitions, what time does, and how a walker stays one alarm."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from geofences.sector import Sector, load_sector
from station.alarms import (
    LEGAL,
    SHELVE_TOTAL_NS,
    SYSTEM,
    UNANSWERED_NS,
    Alarm,
    Decision,
    decide,
    note_fault,
    pass_time,
    raise_alarm,
)
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from station.picture import AlarmState, Sentence
from station.rules import AlarmDesk
from wire.clock import NS_PER_S
from wire.units import ObjectClass

T0 = 1_780_000_000 * NS_PER_S


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def an_alarm(priority: int = 1, rule: str = "corridor_entry") -> Alarm:
    return raise_alarm(Alarm(1, rule, priority, T0, Sentence("alarm.corridor_entry", {}), True), T0)


class AlarmLife(RuleBasedStateMachine):
    """Any person does anything at any time: events only grow, and each step is in the table or nothing happens."""

    @initialize(priority=st.sampled_from([1, 2, 3]), technical=st.booleans())
    def begin(self, priority: int, technical: bool) -> None:
        self.alarm = an_alarm(priority, "node_silent" if technical else "corridor_entry")
        self.now_ns = T0
        self.before = copy.deepcopy(self.alarm.events)

    @rule(
        to=st.sampled_from(list(AlarmState)), person=st.sampled_from(["lan", "minh", SYSTEM]),
        reason=st.sampled_from(["", " ", "5", "15 tree", "60", "90", "lawful"]), wait_s=st.integers(0, 4000),
    )
    def somebody_decides(self, to: AlarmState, person: str, reason: str, wait_s: int) -> None:
        self.now_ns += wait_s * NS_PER_S
        state, count = self.alarm.state, len(self.alarm.events)
        untouched = copy.deepcopy(self.alarm)
        refused = decide(self.alarm, Decision(to, person, reason), self.now_ns)
        if refused is not None:
            assert self.alarm == untouched, "what is refused changes nothing"
            return
        assert to in LEGAL[state]
        event = self.alarm.events[count]
        assert (event.state, event.person, event.at_ns) == (to, person, self.now_ns)
        if to is AlarmState.CLOSED:
            assert event.reason
        if to is AlarmState.SHELVED:
            assert self.alarm.priority != 1
            assert self.alarm.shelved_total_ns <= SHELVE_TOTAL_NS

    @rule(wait_s=st.integers(0, 4000))
    def time_passes(self, wait_s: int) -> None:
        self.now_ns += wait_s * NS_PER_S
        was_open = self.alarm.is_open
        pass_time(self.alarm, self.now_ns)
        if self.alarm.priority == 1 and self.alarm.state is AlarmState.ACTIVE:
            assert self.now_ns - self.alarm.events[-1].at_ns < UNANSWERED_NS or not was_open

    @rule(over=st.booleans())
    def the_fault_changes(self, over: bool) -> None:
        if self.alarm.is_open and self.alarm.rule == "node_silent" and self.alarm.fault_over != over:
            note_fault(self.alarm, over, self.now_ns)

    @invariant()
    def events_only_grow(self) -> None:
        if not hasattr(self, "alarm"):
            return
        assert self.alarm.events[: len(self.before)] == self.before
        self.before = copy.deepcopy(self.alarm.events)
        assert all(a.at_ns <= b.at_ns for a, b in zip(self.before, self.before[1:], strict=False))
        closed = [i for i, e in enumerate(self.before) if e.state is AlarmState.CLOSED]
        assert closed in ([], [len(self.before) - 1]), "nothing follows on a closed alarm"


AlarmLife.TestCase.settings = hypothesis_settings(max_examples=80, stateful_step_count=25, deadline=None)
test_alarm_life = AlarmLife.TestCase


def test_priority_1_unanswered_for_a_minute_is_escalated_once() -> None:
    alarm = an_alarm(1)
    assert not pass_time(alarm, T0 + UNANSWERED_NS - 1)
    assert pass_time(alarm, T0 + UNANSWERED_NS)
    assert (alarm.state, alarm.events[-1].person, alarm.events[-1].reason) == (AlarmState.ESCALATED, SYSTEM, "unanswered")
    assert not pass_time(alarm, T0 + 2 * UNANSWERED_NS)


@pytest.mark.parametrize("priority", [2, 3])
def test_lower_priorities_are_not_escalated(priority: int) -> None:
    assert not pass_time(an_alarm(priority), T0 + 100 * UNANSWERED_NS)


def test_a_shelved_alarm_comes_back_when_its_time_is_over() -> None:
    alarm = an_alarm(2)
    assert decide(alarm, Decision(AlarmState.SHELVED, "lan", "5 wind"), T0) is None
    assert not pass_time(alarm, T0 + 299 * NS_PER_S)
    assert pass_time(alarm, T0 + 300 * NS_PER_S)
    assert alarm.state is AlarmState.ACTIVE


def test_an_alarm_is_shelved_for_one_shift_at_most() -> None:
    alarm, now_ns = an_alarm(2), T0
    for _ in range(12):
        assert decide(alarm, Decision(AlarmState.SHELVED, "lan", "60"), now_ns) is None
        now_ns += 3600 * NS_PER_S
        pass_time(alarm, now_ns)
    refused = decide(alarm, Decision(AlarmState.SHELVED, "lan", "60"), now_ns)
    assert refused is not None and refused.key == "alarm.refused.shelve_one_shift"


# -------------------------------------------------------------------------------------------------------- the rules


class Watch:
    """Fusion and desk; walkers are put where the test wants them."""

    def __init__(self, sector: Sector) -> None:
        self.sector = sector
        self.fusion = Fusion(sector.corridors)
        self.desk = AlarmDesk(sector)

    def see(self, at_s: float, track: str, along_m: float, corridor: str = "khe-da", aside_m: float = 0.0,
            kind: ObjectClass = ObjectClass.PERSON, count: int = 5) -> None:
        p = self.sector.corridors.ground(corridor).centre_line.interpolate(along_m)
        for i in range(count):
            at_ns = T0 + round((at_s + i * 0.1) * NS_PER_S)
            place = np.array([p.x, p.y + aside_m])
            seen = Seen(track, kind, 0.8, place, np.eye(2) * 2.0, None)
            touched, _ = self.fusion.observe(SensorFrame("a", at_ns, at_ns, True, (seen,)))
            for contact in touched:
                self.desk.judge(contact, at_ns)

    @property
    def alarms(self) -> list[Alarm]:
        return [a for _, a in sorted(self.desk.open.items())]


def test_a_contact_in_a_corridor_raises_one_alarm_however_long_it_stays(sector) -> None:
    watch = Watch(sector)
    for i in range(100):
        watch.see(i * 5.0, "1", 30 + i)
    (alarm,) = watch.alarms
    assert (alarm.corridor, alarm.priority) == ("khe-da", 1)


def test_outside_the_corridor_or_with_too_few_detections_there_is_no_alarm(sector) -> None:
    watch = Watch(sector)
    watch.see(0, "1", 100, aside_m=60.0)
    watch.see(100, "2", 100, count=2)
    assert watch.alarms == []


def test_a_contact_lost_and_found_again_joins_its_alarm(sector) -> None:
    watch = Watch(sector)
    watch.see(0, "1", 100)
    watch.see(60, "2", 160)     # 60 s later, 60 m on: the same walker, as far as anybody can tell
    (alarm,) = watch.alarms
    assert alarm.contact_ids == ["C-000001", "C-000002"]
    assert alarm.says.params["contacts"] == 2
    assert alarm.events[-1].reason == "joined C-000002"


@pytest.mark.parametrize(
    ("at_s", "along_m", "kind"),
    [(60, 700, ObjectClass.PERSON), (200, 110, ObjectClass.PERSON), (60, 130, ObjectClass.MOTORCYCLE)],
    ids=["too far to have walked", "too long ago", "another kind"],
)
def test_another_one_in_the_corridor_is_another_alarm(sector, at_s, along_m, kind) -> None:
    watch = Watch(sector)
    watch.see(0, "1", 100)
    watch.see(at_s, "2", along_m, kind=kind)
    assert len(watch.alarms) == 2


def test_a_second_walker_while_the_first_is_seen_is_a_second_alarm(sector) -> None:
    watch = Watch(sector)
    for i in range(4):
        watch.see(i, "1", 100, count=3)
        watch.see(i + 0.5, "2", 140, count=3)
    assert [a.contact_ids for a in watch.alarms] == [["C-000001"], ["C-000002"]]


def test_one_who_follows_after_a_closed_alarm_is_a_new_alarm(sector) -> None:
    watch = Watch(sector)
    watch.see(0, "1", 100)
    assert decide(watch.alarms[0], Decision(AlarmState.CLOSED, "lan", "lawful"), T0) is None
    watch.see(60, "2", 130)
    assert len(watch.alarms) == 2


def test_in_a_flood_further_contacts_join_an_unanswered_alarm_and_never_an_answered_one(sector) -> None:
    watch = Watch(sector)
    for k in range(10):
        watch.see(k * 10.0, f"t{k}", 50 + k * 70, count=4)
    assert len(watch.alarms) == 10
    watch.see(130.0, "t10", 1100)
    assert len(watch.alarms) == 10
    assert watch.alarms[-1].contact_ids == ["C-000010", "C-000011"]
    for alarm in watch.alarms:
        assert decide(alarm, Decision(AlarmState.ACKNOWLEDGED, "lan", ""), T0 + 150 * NS_PER_S) is None
    watch.see(160.0, "t11", 900)
    assert len(watch.alarms) == 11


def test_outside_its_hours_a_corridor_raises_nothing(sector) -> None:
    import dataclasses

    import msgspec

    closed = tuple(
        msgspec.structs.replace(c, alarm_minutes=(0, 1)) for c in sector.corridor_set.corridors
    )
    quiet = dataclasses.replace(sector, corridor_set=msgspec.structs.replace(sector.corridor_set, corridors=closed))
    watch = Watch(quiet)
    watch.see(0, "1", 100)
    assert watch.alarms == []


def test_every_sentence_of_a_rule_is_in_the_catalogue(sector) -> None:
    from station.sentences import SENTENCES

    watch = Watch(sector)
    watch.see(0, "1", 100)
    watch.desk.sensor_fault("s", "n", True, True, "", T0)
    watch.desk.node_fault("n", True, True, T0)
    watch.desk.clock_fault("n", True, True, 3.0, T0)
    watch.desk.position_fault("n", True, True, "moved", T0)
    watch.desk.match_question("M-1", "S-1", watch.fusion.contacts[1], "welfare", 1, T0)
    watch.desk.match_question("M-2", "S-2", watch.fusion.contacts[1], "welfare", 1, T0)
    watch.desk.match_question("M-3", "S-1", watch.fusion.contacts[1], "welfare", 1, T0)
    assert len(watch.alarms) == 7
    for alarm in watch.alarms:
        SENTENCES[alarm.says.key].format(**alarm.says.params)
