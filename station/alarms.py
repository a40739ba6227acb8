"""Alarms: what asks for a person's decision, and what became of each.

An alarm is a list of events that only grows; its state is the state of its last event. Rules raise alarms, persons move them
through the table below, and the system itself does three things: it escalates what nobody answered, it wakes what was
shelved, and it notes that a technical fault is over.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from station.picture import AlarmEventView, AlarmState, AlarmView, Sentence
from wire.clock import NS_PER_S
from wire.units import GroundPosition

SYSTEM = "system"
UNANSWERED_NS = 60 * NS_PER_S           # priority 1 goes to the supervisor after this
SHELVE_MINUTES = (5, 15, 60)
SHELVE_TOTAL_NS = 12 * 3600 * NS_PER_S  # one shift
CLOSE_REASONS = ("crossing", "lawful", "known_person", "animal", "false_detection", "duplicate", "technical", "other")
TECHNICAL_RULES = ("sensor_blind", "node_silent", "clock_wrong", "position_untrusted")

# Events of the system that leave the state as it is.
JOINED, RECOVERED, AGAIN, UNANSWERED, SHELVING_OVER = "joined", "recovered", "again", "unanswered", "shelving_over"
# What a person's answer to one of several candidates says in the alarm's history; a contact's id follows.
CANDIDATE_NO, CANDIDATE_YES = "candidate_no", "candidate_yes"
CANDIDATES_NAMED = 6                    # more than these in one sentence and nobody reads it; all stand in `contacts`

_A = AlarmState
LEGAL: dict[AlarmState, frozenset[AlarmState]] = {
    _A.ACTIVE: frozenset({_A.ACKNOWLEDGED, _A.ESCALATED, _A.SHELVED, _A.CLOSED}),
    _A.ESCALATED: frozenset({_A.ACKNOWLEDGED, _A.SHELVED, _A.CLOSED}),
    _A.ACKNOWLEDGED: frozenset({_A.ESCALATED, _A.SHELVED, _A.CLOSED}),
    _A.SHELVED: frozenset({_A.ACTIVE, _A.ACKNOWLEDGED, _A.ESCALATED, _A.CLOSED}),
    _A.CLOSED: frozenset(),
}


class Alarm(msgspec.Struct):
    """An alarm as it stands in mind.db; its events lie in a table of their own and are put back on loading.

    contacts: numbers, the first raised it, the others joined. last_seen_ns, last_m: when and where (metres, east and north)
    the newest of them was last inside the corridor. fault_over: a technical alarm's fault is over. matches: the questions of
    a watchlist alarm, one for each of `contacts` and in their order, all about `subject`; `match` is the first of them.
    """

    number: int
    rule: str
    priority: int
    raised_ns: int
    says: Sentence
    simulated: bool
    contacts: list[int] = []
    contact_ids: list[str] = []
    group: str = ""
    corridor: str | None = None
    sensor: str | None = None
    node: str | None = None
    match: str | None = None
    matches: list[str] = []
    subject: str | None = None
    position: GroundPosition | None = None
    snapshot: str | None = None
    last_seen_ns: int = 0
    last_m: tuple[float, float] = (0.0, 0.0)
    fault_over: bool = False
    shelved_until_ns: int = 0
    shelved_total_ns: int = 0
    events: list[AlarmEventView] = []

    @property
    def id(self) -> str:
        return f"A-{self.number:06d}"

    @property
    def state(self) -> AlarmState:
        return self.events[-1].state

    @property
    def is_open(self) -> bool:
        return self.state is not AlarmState.CLOSED

    @property
    def is_unanswered(self) -> bool:
        return self.state in (AlarmState.ACTIVE, AlarmState.ESCALATED)

    def view(self) -> AlarmView:
        return AlarmView(
            id=self.id, rule=self.rule, priority=self.priority, state=self.state, raised_ns=self.raised_ns, says=self.says,
            contact=self.contact_ids[0] if self.contact_ids else None, corridor=self.corridor, sensor=self.sensor,
            match=self.match, position=self.position, snapshot=self.snapshot, simulated=self.simulated,
            events=tuple(self.events), contacts=tuple(self.contact_ids), node=self.node,
            matches=tuple(self.matches),
        )


def alarm_number(alarm_id: str) -> int | None:
    """The number in an id like "A-000123"; None for anything else."""
    digits = alarm_id.removeprefix("A-")
    return int(digits) if digits != alarm_id and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person asks for. minutes: of shelving."""

    to: AlarmState
    person: str
    reason: str


def decide(alarm: Alarm, decision: Decision, now_ns: int) -> Sentence | None:
    """Move an alarm as a person asks. Returns None when done, or why not, and then nothing has changed."""
    state, last = alarm.state, alarm.events[-1]
    if decision.to is state:
        by = _first_of(alarm, state)
        return Sentence("alarm.refused.already", {"state": state.value, "person": by.person, "at_ns": by.at_ns})
    if decision.to not in LEGAL[state]:
        return Sentence(
            "alarm.refused.not_from_here", {"state": state.value, "to": decision.to.value, "person": last.person}
        )
    if decision.to is AlarmState.CLOSED and not decision.reason.strip():
        return Sentence("alarm.refused.reason_needed", {})
    if decision.to is AlarmState.SHELVED:
        refused = _shelve(alarm, decision.reason, now_ns)
        if refused is not None:
            return refused
    _append(alarm, decision.to, now_ns, decision.person, decision.reason.strip())
    if decision.to is AlarmState.ACKNOWLEDGED and alarm.fault_over:
        _append(alarm, AlarmState.CLOSED, now_ns, SYSTEM, RECOVERED)
    return None


def _shelve(alarm: Alarm, reason: str, now_ns: int) -> Sentence | None:
    """Check and note a shelving. Its reason begins with the minutes: "15" or "15 tree in the wind"."""
    minutes = reason.split(maxsplit=1)[0] if reason.strip() else ""
    if alarm.priority == 1:
        return Sentence("alarm.refused.shelve_priority_1", {})
    if minutes not in {str(m) for m in SHELVE_MINUTES}:
        return Sentence("alarm.refused.shelve_minutes", {"allowed": ", ".join(str(m) for m in SHELVE_MINUTES)})
    length_ns = int(minutes) * 60 * NS_PER_S
    if alarm.shelved_total_ns + length_ns > SHELVE_TOTAL_NS:
        return Sentence("alarm.refused.shelve_one_shift", {})
    alarm.shelved_until_ns = now_ns + length_ns
    alarm.shelved_total_ns += length_ns
    return None


def raise_alarm(alarm: Alarm, now_ns: int) -> Alarm:
    """Give a new alarm its first event."""
    alarm.events = [AlarmEventView(AlarmState.ACTIVE, now_ns, SYSTEM, "")]
    return alarm


def join_contact(alarm: Alarm, number: int, contact: str, now_ns: int) -> None:
    """One more contact that this alarm stands for; a person sees the count grow, and is not asked twice."""
    alarm.contacts.append(number)
    alarm.contact_ids.append(contact)
    alarm.says = Sentence(alarm.says.key, {**alarm.says.params, "contacts": len(alarm.contacts)})
    _append(alarm, alarm.state, now_ns, SYSTEM, f"{JOINED} {contact}")


def join_candidate(alarm: Alarm, match: str, number: int, contact: str, now_ns: int) -> None:
    """One more contact that may be the subject this alarm is about, with its own question."""
    join_contact(alarm, number, contact, now_ns)
    alarm.matches.append(match)
    named = ", ".join(alarm.contact_ids[:CANDIDATES_NAMED]) + (" …" if len(alarm.contact_ids) > CANDIDATES_NAMED else "")
    alarm.says = Sentence("alarm.watchlist_candidates", {**alarm.says.params, "candidates": named})


def note_candidate(alarm: Alarm, answer: str, contact: str, person: str, now_ns: int) -> None:
    """A person has answered about one candidate and others wait; the alarm stays as it is. answer: CANDIDATE_NO or _YES."""
    _append(alarm, alarm.state, now_ns, person, f"{answer} {contact}")


def note_fault(alarm: Alarm, is_over: bool, now_ns: int) -> None:
    """A technical fault is over, or is back. What a person has acknowledged is then closed; the rest stays listed."""
    alarm.fault_over = is_over
    _append(alarm, alarm.state, now_ns, SYSTEM, RECOVERED if is_over else AGAIN)
    if is_over and alarm.state is AlarmState.ACKNOWLEDGED:
        _append(alarm, AlarmState.CLOSED, now_ns, SYSTEM, RECOVERED)


def pass_time(alarm: Alarm, now_ns: int) -> bool:
    """What time alone does to an alarm. Returns whether something changed."""
    if alarm.state is AlarmState.SHELVED and now_ns >= alarm.shelved_until_ns:
        if alarm.fault_over:
            _append(alarm, AlarmState.CLOSED, now_ns, SYSTEM, RECOVERED)
        else:
            _append(alarm, AlarmState.ACTIVE, now_ns, SYSTEM, SHELVING_OVER)
        return True
    if alarm.state is AlarmState.ACTIVE and alarm.priority == 1:
        since_ns = _first_of(alarm, AlarmState.ACTIVE).at_ns
        if now_ns - since_ns >= UNANSWERED_NS:
            _append(alarm, AlarmState.ESCALATED, now_ns, SYSTEM, UNANSWERED)
            return True
    return False


def _first_of(alarm: Alarm, state: AlarmState) -> AlarmEventView:
    """The event by which the alarm came into the state it is in now."""
    first = alarm.events[-1]
    for event in reversed(alarm.events):
        if event.state is not state:
            break
        first = event
    return first


def _append(alarm: Alarm, state: AlarmState, at_ns: int, person: str, reason: str) -> None:
    alarm.events.append(AlarmEventView(state, at_ns, person, reason))
