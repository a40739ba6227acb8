"""Attempts to break the alarm state machine: whatever persons, rules, faults, clocks and crashes do, nothing is lost.

The machine below drives a real desk and keeps a model of its own that knows nothing of the desk's fields; the properties
after it each try one thing in every order that hypothesis can think of.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from geofences.sector import load_sector
from station.alarm_settings import AlarmSettings, EscalationSettings, RuleKind, RuleSettings
from station.alarms import (
    CLOCK_SLACK_NS,
    CLOSE_REASONS,
    LEGAL,
    SHELVE_MINUTES,
    SHELVE_TOTAL_NS,
    SYSTEM,
    WELFARE_REASONS,
    Alarm,
    Decision,
    decide,
    join_contact,
    note_fault,
    pass_time,
    raise_alarm,
    worsen,
)
from station.contacts import Contact, ContactState, contact_from
from station.found_again import FOUND_WITHIN_M
from station.kalman import Estimate
from station.picture import AlarmState, Sentence
from station.rules import AlarmDesk
from wire.clock import NS_PER_S

SECTOR = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")
T0 = 1_780_000_000 * NS_PER_S
A = AlarmState
RULES = (
    RuleSettings("entry", RuleKind.CORRIDOR_ENTRY, 3),
    RuleSettings("party", RuleKind.PARTY, 2, party_at_least=3),
    RuleSettings("crossing", RuleKind.BORDER_CROSSING, 1, asks_again=True),
)
SETTINGS = AlarmSettings(rules=RULES, escalation=EscalationSettings((60.0, 180.0), (300.0,), ()))
PERSONS = st.sampled_from(["lan", "minh"])
REASONS = st.sampled_from(
    ["", "5", "15 tree in the wind", "60", "90", "lawful", "child", "asks_for_protection", "rescue", "no"]
)
DECISIONS = st.tuples(st.sampled_from(list(A)), PERSONS, REASONS)
WAITS_S = st.sampled_from([0.0, 0.5, 1.0, 30.0, 59.0, 61.0, 181.0, 299.0, 301.0, 901.0, 3601.0, 50_000.0])
JUMPS_S = st.sampled_from([-1e6, -86_400.0, -3600.0, -61.0, -3.0, 3.0, 61.0, 3600.0, 1e6])


def through_the_disk(alarms: Iterable[Alarm]) -> list[Alarm]:
    """As mind.db has them: encoded, and decoded by a program that starts."""
    return [msgspec.msgpack.decode(msgspec.msgpack.encode(a), type=Alarm) for a in alarms]


def an_alarm(priority: int, rule: str = "corridor_entry") -> Alarm:
    return raise_alarm(Alarm(1, rule, priority, T0, Sentence("alarm.corridor_entry", {}), True, rules=[rule]), T0)


def on_trail(along_m: float) -> tuple[float, float]:
    p = SECTOR.corridors.ground("khe-da").centre_line.interpolate(along_m)
    return p.x, p.y


@dataclass
class Known:
    """What an observer with a notebook would have written of one alarm."""

    events: list = field(default_factory=list)
    priority: int = 9


class Night(RuleBasedStateMachine):
    """Contacts walk, faults come and go, persons decide, the clock is set, the mind is killed; in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = AlarmDesk(SECTOR, settings=SETTINGS, party_of=lambda c: self.party)
        self.now_ns, self.party = T0, 1
        self.contacts: dict[int, Contact] = {}
        self.faults: dict[str, bool] = {}
        self.notes: dict[int, Known] = {}
        self.persons: dict[tuple[int, int], str] = {}       # (alarm, number of the event) -> who did it, as we know

    # -------------------------------------------------------------------------------------------------- what happens

    @rule(which=st.integers(0, 3), along_m=st.floats(20, 600), party=st.integers(1, 5))
    def a_contact_is_seen(self, which: int, along_m: float, party: int) -> None:
        at_ns, (east, north) = self.now_ns, on_trail(along_m)
        mean = np.array([east, north, 0.0, 0.0])
        known = self.contacts.get(which)
        if known is None:
            known = self.contacts[which] = Contact(
                which + 1, "person", Estimate(mean, np.eye(4), at_ns), at_ns, at_ns, at_ns, simulated=True
            )
        known.estimate = Estimate(mean, np.eye(4), at_ns)
        known.last_seen_ns = max(known.last_seen_ns, at_ns)
        known.detections, known.corridors, self.party = known.detections + 3, ("khe-da",), party
        self.desk.judge(known, self.now_ns)
        open_about = [a for a in self.desk.open.values() if a.is_open and known.number in a.contacts]
        assert len(open_about) <= 1

    @rule(node=st.sampled_from(["gate-1", "gate-2"]), wrong=st.booleans())
    def a_fault_comes_or_goes(self, node: str, wrong: bool) -> None:
        self.faults[node] = wrong
        self.desk.node_fault(node, wrong, True, self.now_ns)

    @rule(which=st.integers(0, 40), asked=DECISIONS)
    def a_person_decides(self, which: int, asked: tuple[A, str, str]) -> None:
        if not self.desk.open:
            return
        alarm = self.desk.open[sorted(self.desk.open)[which % len(self.desk.open)]]
        before, count = copy.deepcopy(alarm), len(alarm.events)
        if decide(alarm, Decision(*asked), self.now_ns) is None:
            self.persons[(alarm.number, count)] = asked[1]
        else:
            assert alarm == before, "what is refused changes nothing"

    @rule(wait_s=WAITS_S)
    def time_passes(self, wait_s: float) -> None:
        self.now_ns += round(wait_s * NS_PER_S)
        self.desk.pass_time(self.now_ns)

    @rule(jump_s=JUMPS_S)
    def the_clock_is_set(self, jump_s: float) -> None:
        self.now_ns += round(jump_s * NS_PER_S)
        self.desk.pass_time(self.now_ns)

    @rule()
    def the_mind_is_killed(self) -> None:
        """What was committed comes back; the same desk goes on with it."""
        states = [msgspec.msgpack.decode(msgspec.msgpack.encode(c.to_state()), type=ContactState)
                  for c in self.contacts.values()]
        self.contacts = {which: contact_from(s, []) for which, s in zip(self.contacts, states, strict=True)}
        before = {n: a.view() for n, a in self.desk.open.items()}
        self.desk = AlarmDesk(
            SECTOR, through_the_disk(self.desk.open.values()), self.desk.next_number, SETTINGS, lambda c: self.party
        )
        self.desk.recall(self.contacts.values())
        assert {n: a.view() for n, a in self.desk.open.items()} == before, "a restart changes nothing that anybody sees"

    # -------------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def nothing_that_was_written_is_ever_changed_or_lost(self) -> None:
        assert set(self.notes) <= set(self.desk.open), "an alarm is lost"
        for number, alarm in self.desk.open.items():
            known = self.notes.setdefault(number, Known())
            assert alarm.events[: len(known.events)] == known.events
            known.events = copy.deepcopy(alarm.events)
            assert alarm.priority <= known.priority, "the priority fell"
            known.priority = alarm.priority

    @invariant()
    def every_step_is_in_the_table_and_nothing_follows_a_closed_alarm(self) -> None:
        for alarm in self.desk.open.values():
            states = [e.state for e in alarm.events]
            assert states[0] is A.ACTIVE
            for a, b in itertools.pairwise(states):
                asks_again = b is A.ACTIVE and a in (A.ACKNOWLEDGED, A.SHELVED)     # the system's: worse, shelving over
                assert a is b or b in LEGAL[a] or asks_again, states
            assert A.CLOSED not in states[:-1]

    @invariant()
    def who_did_what_is_always_on_the_record(self) -> None:
        for number, alarm in self.desk.open.items():
            for i, event in enumerate(alarm.events):
                assert event.person == self.persons.get((number, i), SYSTEM)
                taken = event.state in (A.ACKNOWLEDGED, A.SHELVED) and event.state is not alarm.events[i - 1].state
                assert not (taken and event.person == SYSTEM), "the system takes no alarm off anybody"

    @invariant()
    def no_two_open_alarms_stand_for_one_contact_and_none_for_one_fault(self) -> None:
        about = [n for a in self.desk.open.values() if a.is_open and a.is_about_contacts for n in a.contacts]
        assert len(about) == len(set(about))
        faults = [(a.rule, a.node) for a in self.desk.open.values() if a.is_open and a.node]
        assert len(faults) == len(set(faults))

    @invariant()
    def a_fault_that_is_there_has_an_open_alarm(self) -> None:
        for node, wrong in self.faults.items():
            current = [a for a in self.desk.open.values() if a.is_open and a.node == node]
            if wrong and not self._was_closed_by_a_person(node):
                assert [a.fault_over for a in current] == [False]
            if not wrong:
                assert all(a.fault_over for a in current)

    def _was_closed_by_a_person(self, node: str) -> bool:
        """Then the next look at the fault raises it anew; until then nobody has looked."""
        last = max((a for a in self.desk.open.values() if a.node == node), key=lambda a: a.number)
        return not last.is_open and last.events[-1].person != SYSTEM

    @invariant()
    def priority_1_is_never_put_away_without_an_answer(self) -> None:
        for alarm in self.desk.open.values():
            if alarm.priority == 1 and alarm.state is A.SHELVED:
                raise AssertionError("a priority 1 is shelved")


Night.TestCase.settings = hypothesis_settings(max_examples=120, stateful_step_count=40, deadline=None)
test_a_night_of_anything = Night.TestCase


# ------------------------------------------------------------------------------------------------------- one thing each

quick = hypothesis_settings(max_examples=150, deadline=None)


@given(st.integers(1, 3), st.lists(st.tuples(DECISIONS, WAITS_S), max_size=12))
@quick
def test_a_restart_between_any_two_steps_ends_the_same(priority, steps) -> None:
    plain, killed = an_alarm(priority), an_alarm(priority)
    now_ns = T0
    for asked, wait_s in steps:
        now_ns += round(wait_s * NS_PER_S)
        (killed,) = through_the_disk([killed])
        for alarm in (plain, killed):
            pass_time(alarm, now_ns, SETTINGS.escalation)
            decide(alarm, Decision(*asked), now_ns)
        assert plain == killed


@given(st.sampled_from(SHELVE_MINUTES), st.integers(2, 3), st.lists(JUMPS_S, max_size=6))
@quick
def test_whatever_is_shelved_comes_back_however_the_clock_is_set(minutes, priority, jumps) -> None:
    """Back by the time that was told, counted in the time that really passed; a jump may only bring it back early."""
    alarm, now_ns, real_s = an_alarm(priority), T0, 0.0
    assert decide(alarm, Decision(A.SHELVED, "lan", str(minutes)), now_ns) is None
    step_s = minutes * 60 / (len(jumps) + 1)
    for jump_s in [*jumps, 0.0]:
        now_ns += round((step_s + jump_s) * NS_PER_S)
        real_s += step_s
        pass_time(alarm, now_ns, SETTINGS.escalation)
    assert real_s >= minutes * 60 - 1e-6
    later_ns = now_ns
    while alarm.state is A.SHELVED:         # a jump back within the slack leaves it shelved by as much at the most
        later_ns += NS_PER_S
        pass_time(alarm, later_ns, SETTINGS.escalation)
        assert later_ns - now_ns <= minutes * 60 * NS_PER_S + CLOCK_SLACK_NS
    assert alarm.state is A.ACTIVE or alarm.is_unanswered
    assert "shelving_over" in [e.reason for e in alarm.events]


@given(st.lists(st.tuples(st.sampled_from([5, 15, 60]), WAITS_S), max_size=60))
@quick
def test_no_sequence_of_shelving_hides_an_alarm_for_longer_than_a_shift(steps) -> None:
    alarm, now_ns, hidden_ns = an_alarm(2), T0, 0
    for minutes, wait_s in steps:
        if decide(alarm, Decision(A.SHELVED, "lan", str(minutes)), now_ns) is None:
            before_ns = now_ns
            now_ns += round(wait_s * NS_PER_S)
            pass_time(alarm, now_ns, SETTINGS.escalation)
            hidden_ns += min(now_ns - before_ns, minutes * 60 * NS_PER_S)
            if alarm.state is A.SHELVED:
                decide(alarm, Decision(A.ACKNOWLEDGED, "lan", ""), now_ns)
    assert hidden_ns <= SHELVE_TOTAL_NS
    assert alarm.shelved_total_ns <= SHELVE_TOTAL_NS


@given(st.lists(WAITS_S, max_size=20), st.lists(JUMPS_S, max_size=3))
@quick
def test_nobody_answers_and_priority_1_is_with_the_supervisor_after_a_minute_of_any_clock(waits, jumps) -> None:
    alarm, now_ns, unanswered_s = an_alarm(1), T0, 0.0
    for wait_s in waits:
        now_ns += round(wait_s * NS_PER_S)
        unanswered_s += wait_s
        pass_time(alarm, now_ns, SETTINGS.escalation)
        if unanswered_s >= 60.0:
            assert alarm.state is A.ESCALATED
    for jump_s in jumps:
        now_ns += round(jump_s * NS_PER_S)
        pass_time(alarm, now_ns, SETTINGS.escalation)
    pass_time(alarm, now_ns + 61 * NS_PER_S, SETTINGS.escalation)
    assert alarm.state is A.ESCALATED


@given(st.integers(1, 3), st.lists(st.one_of(WAITS_S, JUMPS_S), max_size=25))
@quick
def test_time_alone_neither_takes_nor_closes_nor_floods_an_alarm(priority, steps) -> None:
    alarm, now_ns = an_alarm(priority), T0
    for step_s in steps:
        now_ns += round(step_s * NS_PER_S)
        pass_time(alarm, now_ns, SETTINGS.escalation)
        assert alarm.is_unanswered
    assert len(alarm.events) <= 1 + len(SETTINGS.escalation.stages_s(priority)), "each stage is told once"


@given(st.lists(st.tuples(st.booleans(), st.one_of(st.none(), DECISIONS)), min_size=1, max_size=12))
@quick
def test_a_technical_alarm_closes_only_when_its_fault_is_over_or_a_person_closes_it(steps) -> None:
    alarm, now_ns, wrong = an_alarm(3, "node_silent"), T0, True
    for wanted, asked in steps:
        now_ns += NS_PER_S
        if alarm.is_open and wanted != wrong:
            note_fault(alarm, is_over=not wanted, now_ns=now_ns)
            wrong = wanted
        if asked is not None:
            decide(alarm, Decision(*asked), now_ns)
        pass_time(alarm, now_ns)
        if not alarm.is_open:
            assert alarm.events[-1].person != SYSTEM or not wrong
            return


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.one_of(st.none(), DECISIONS)), min_size=1, max_size=8))
@quick
def test_what_becomes_graver_never_sinks_and_asks_whoever_has_taken_it(steps) -> None:
    alarm, now_ns = an_alarm(3), T0
    for i, (priority, asks_again, asked) in enumerate(steps):
        now_ns += NS_PER_S
        if asked is not None:
            decide(alarm, Decision(*asked), now_ns)
        if not alarm.is_open:
            return
        before = alarm.priority
        worsen(alarm, f"r{i}", "border_crossing", priority, Sentence("alarm.border_crossing", {}), (), asks_again, now_ns)
        assert alarm.priority == min(before, priority)
        assert alarm.rules[-1] == f"r{i}"
        if priority < before or asks_again:
            assert alarm.is_unanswered
        count = len(alarm.events)
        worsen(alarm, f"r{i}", "border_crossing", 1, Sentence("alarm.border_crossing", {}), (), True, now_ns)
        assert len(alarm.events) == count, "one rule speaks once"


@given(st.text(max_size=40), st.sampled_from([A.ACTIVE, A.ESCALATED, A.ACKNOWLEDGED, A.SHELVED]))
@quick
def test_nothing_closes_without_a_reason_from_the_list_and_every_welfare_reason_does(text, state) -> None:
    alarm = an_alarm(2)
    if state is not A.ACTIVE:
        assert decide(alarm, Decision(state, "lan", "5" if state is A.SHELVED else ""), T0) is None
    before = copy.deepcopy(alarm)
    refused = decide(alarm, Decision(A.CLOSED, "lan", text), T0)
    code = text.split(maxsplit=1)[0] if text.strip() else ""
    assert (refused is None) == (code in (*CLOSE_REASONS, "match_rejected"))
    if refused is not None:
        assert alarm == before and refused.key == "alarm.refused.reason_needed"
    for reason in ("child", "asks_for_protection", "rescue", "referral", *WELFARE_REASONS):
        fresh = an_alarm(1)
        assert decide(fresh, Decision(A.CLOSED, "lan", f"{reason} taken to the centre"), T0) is None
        assert (fresh.events[-1].person, fresh.events[-1].reason) == ("lan", f"{reason} taken to the centre")


@given(st.lists(st.tuples(PERSONS, st.sampled_from(list(A))), min_size=2, max_size=8))
@quick
def test_of_two_who_decide_the_same_the_second_is_told_who_was_first(steps) -> None:
    alarm = an_alarm(1)
    for i, (person, to) in enumerate(steps):
        state, entered = alarm.state, alarm.events[-1]
        refused = decide(alarm, Decision(to, person, "lawful" if to is A.CLOSED else ""), T0 + i)
        if to is state:
            assert refused.key == "alarm.refused.already"
            assert (refused.params["person"], refused.params["at_ns"]) == (entered.person, entered.at_ns)


@given(st.lists(st.tuples(st.integers(0, 30), st.one_of(st.none(), DECISIONS)), min_size=1, max_size=15))
@quick
def test_joining_changes_neither_state_nor_who_has_it_and_every_contact_is_named_once(steps) -> None:
    alarm = an_alarm(2)
    alarm.contacts, alarm.contact_ids = [0], ["C-000000"]
    for i, (number, asked) in enumerate(steps):
        if asked is not None:
            decide(alarm, Decision(*asked), T0 + i)
        if not alarm.is_open or number in alarm.contacts:
            continue
        state = alarm.state
        join_contact(alarm, number, f"C-{number:06d}", T0 + i)
        assert alarm.state is state
        assert (alarm.says.params["contacts"], alarm.events[-1].reason) == (len(alarm.contacts), f"joined C-{number:06d}")
    assert alarm.contact_ids == [f"C-{n:06d}" for n in alarm.contacts] and len(set(alarm.contacts)) == len(alarm.contacts)


def a_walker(number: int, along_m: float, now_ns: int) -> Contact:
    mean = np.array([*on_trail(along_m), 0.0, 0.0])
    made = Contact(number, "person", Estimate(mean, np.eye(4) * 0.01, now_ns), now_ns, now_ns, now_ns, simulated=True)
    made.detections, made.corridors = 5, ("khe-da",)
    return made


@given(st.integers(1, 40), st.sampled_from([0, 1, 2, 3, 121]), st.sampled_from([None, A.ACKNOWLEDGED, A.SHELVED, A.CLOSED]))
@hypothesis_settings(max_examples=40, deadline=None)
def test_in_a_flood_every_contact_is_in_an_alarm_that_waits_or_has_its_own(count, apart_s, answer) -> None:
    """However many come and however fast: none of them is swallowed by an alarm that somebody has answered.

    25 m and such times apart, nobody may be taken for another who was lost.
    """
    desk = AlarmDesk(SECTOR, settings=AlarmSettings(rules=RULES[:1]))
    answered_before: set[int] = set()
    for i in range(count):
        now_ns = T0 + i * apart_s * NS_PER_S
        contact = a_walker(i + 1, 20 + 25 * i, now_ns)
        desk.judge(contact, now_ns)
        (alarm,) = [a for a in desk.open.values() if contact.number in a.contacts]
        assert alarm.number not in answered_before or alarm.is_unanswered
        if answer is not None and i % 3 == 0:
            decide(alarm, Decision(answer, "lan", "60" if answer is A.SHELVED else "lawful"), now_ns)
            answered_before.add(alarm.number)
    assert sorted(n for a in desk.open.values() for n in a.contacts) == list(range(1, count + 1))


@given(st.lists(st.tuples(st.floats(4, 110), st.floats(0, 900)), min_size=1, max_size=12))
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_shelved_alarm_swallows_what_is_seen_where_it_was_and_nobody_who_walks(steps) -> None:
    """A bush is lost and found all night, and that is what shelving is for. Who comes along meanwhile is asked about."""
    desk = AlarmDesk(SECTOR, settings=AlarmSettings(rules=RULES[:1]))
    now_ns = T0
    desk.judge(a_walker(1, 300.0, now_ns), now_ns)
    (shelved,) = desk.open.values()
    assert decide(shelved, Decision(A.SHELVED, "lan", "60 a bush"), now_ns) is None
    for number, (wait_s, along_m) in enumerate(steps, start=2):
        now_ns += round(wait_s * NS_PER_S)
        desk.judge(a_walker(number, along_m, now_ns), now_ns)
        away_m = float(np.hypot(*np.subtract(on_trail(along_m), on_trail(300.0))))
        assert number not in shelved.contacts or away_m <= FOUND_WITHIN_M
        assert [n for a in desk.open.values() for n in a.contacts].count(number) == 1
