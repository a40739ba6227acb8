"""Alarms: what asks for a person's decision, and what became of each.

An alarm is a list of events that only grows; its state is the state of its last event. Rules raise alarms, persons move
them through the table below, and the system itself does four things: it escalates what nobody answered, it wakes what was
shelved, it notes that a technical fault is over, and it asks again when what the alarm is about has become graver.

A contact is one alarm, whatever it does: further rules that hold for it are noted there, and the gravest one leads.

Times are the station's clock, which may be set. A clock that jumps errs to the side of asking a person: unanswered alarms
are escalated early rather than late, and shelved ones wake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from station.alarm_settings import DEFAULT_ALARMS, EscalationSettings, RuleKind
from station.duty import TeamView
from station.picture import AlarmEventView, AlarmState, AlarmView, Sentence
from wire.clock import NS_PER_S
from wire.units import GroundPosition

SYSTEM = "system"
UNANSWERED_NS = 60 * NS_PER_S           # priority 1 goes to the supervisor after this
SHELVE_MINUTES = (5, 15, 60)
SHELVE_TOTAL_NS = 12 * 3600 * NS_PER_S  # one shift
CLOCK_SLACK_NS = 2 * NS_PER_S           # clocks are slewed by so much without having jumped
CLOSE_REASONS = (
    "crossing", "turned_back", "handed_over", "lawful", "known_person", "own_patrol",
    "child", "asks_for_protection", "trafficking_suspected", "missing_found", "rescue", "medical", "referral",
    "animal", "false_detection", "duplicate", "technical", "exercise", "other",
)
WELFARE_REASONS = (
    "child", "asks_for_protection", "trafficking_suspected", "missing_found", "rescue", "medical", "referral",
)
CONTACT_RULES = frozenset(kind.value for kind in RuleKind)
TECHNICAL_RULES = (
    "sensor_blind", "node_silent", "clock_wrong", "position_untrusted", "no_coverage", "team_overdue", "nobody_watching",
    "watchlist_unreadable", "store_trouble", "node_elsewhere", "notifier_dead", "drone_trouble",
    "node_over_budget",
)

# Events of the system that leave the state as it is.
TEAM_SENT = "team_sent"                 # of a person: taken by sending a team, whose id follows
JOINED, RECOVERED, AGAIN, UNANSWERED, SHELVING_OVER = "joined", "recovered", "again", "unanswered", "shelving_over"
# A further stage of escalation (its number follows); a further rule, whose id follows: noted, or grave enough to ask again.
UNANSWERED_STILL, ALSO, WORSE = "unanswered_still", "also", "worse"
# What a person's answer to one of several candidates says in the alarm's history; a contact's id follows.
CANDIDATE_NO, CANDIDATE_YES = "candidate_no", "candidate_yes"
CANDIDATE_MERGED = "candidate_merged"   # it turned out to be one contact with another candidate, which is asked about
MATCH_REJECTED = "match_rejected"       # the last no: closes the alarm in the name of whoever said it
CANDIDATES_NAMED = 6                    # more than these in one sentence and nobody reads it; all stand in `contacts`

# Which of two rules of one priority leads.
_WEIGHT = {
    kind.value: weight for weight, kind in enumerate((
        RuleKind.BORDER_CROSSING, RuleKind.BORDER_APPROACH, RuleKind.PARTY, RuleKind.CORRIDOR_ENTRY, RuleKind.DIRECTION,
        RuleKind.SPEED, RuleKind.LOITERING,
    ))
}

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
    about: of a technical alarm, the corridor or the team; empty for none. rules, why: as in AlarmView. asked_ns: since when
    it asks with its present priority; 0 in files from before. stage: how often it was escalated since then.
    side: of the border line, where its newest contact surely was. last_m_s: its velocity there, metres a second.
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
    about: str = ""
    rules: list[str] = []
    why: list[Sentence] = []
    asked_ns: int = 0
    stage: int = 0
    side: int = 0
    last_m_s: tuple[float, float] = (0.0, 0.0)

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

    @property
    def is_about_contacts(self) -> bool:
        return self.rule in CONTACT_RULES

    def view(
        self, teams: tuple[TeamView, ...] = (), incident: str | None = None, linked: tuple[str, ...] = ()
    ) -> AlarmView:
        return AlarmView(
            id=self.id, rule=self.rule, priority=self.priority, state=self.state, raised_ns=self.raised_ns, says=self.says,
            contact=self.contact_ids[0] if self.contact_ids else None, corridor=self.corridor, sensor=self.sensor,
            match=self.match, position=self.position, snapshot=self.snapshot, simulated=self.simulated,
            events=tuple(self.events), contacts=tuple(self.contact_ids), node=self.node,
            matches=tuple(self.matches), rules=tuple(self.rules), why=tuple(self.why), teams=teams,
            incident=incident, linked=linked,
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
    state, by = alarm.state, state_entry(alarm.events)
    if decision.to is state:
        return Sentence("alarm.refused.already", {"state": state.value, "person": by.person, "at_ns": by.at_ns})
    if decision.to not in LEGAL[state]:
        return Sentence(
            "alarm.refused.not_from_here", {"state": state.value, "to": decision.to.value, "person": by.person}
        )
    code = decision.reason.split(maxsplit=1)[0] if decision.reason.strip() else ""
    if decision.to is AlarmState.CLOSED and code not in (*CLOSE_REASONS, MATCH_REJECTED):
        return Sentence("alarm.refused.reason_needed", {})
    if decision.to is AlarmState.SHELVED:
        refused = _shelve(alarm, decision.reason, now_ns)
        if refused is not None:
            return refused
    _append(alarm, decision.to, now_ns, decision.person, decision.reason.strip())
    if decision.to is AlarmState.ESCALATED:
        alarm.asked_ns, alarm.stage = now_ns, 1     # the first stage is this person's; the next ones count from here
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
    alarm.asked_ns = now_ns
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


def worsen(
    alarm: Alarm, rule: str, kind: str, priority: int, says: Sentence, why: tuple[Sentence, ...], asks_again: bool,
    now_ns: int,
) -> bool:
    """One more rule holds for what this alarm is about. Returns whether that was news.

    The priority never falls. What a person has taken or shelved asks again where the priority has risen or the rule says so.
    """
    if rule in alarm.rules:
        return False
    alarm.rules.append(rule)
    rises = priority < alarm.priority
    if (priority, _WEIGHT.get(kind, 9)) < (alarm.priority, _WEIGHT.get(alarm.rule, 9)):
        alarm.rule, alarm.why = kind, list(why)
        alarm.says = Sentence(says.key, {**says.params, "contacts": len(alarm.contacts)})
    alarm.priority = min(alarm.priority, priority)
    asks = (rises or asks_again) and not alarm.is_unanswered
    _append(alarm, AlarmState.ACTIVE if asks else alarm.state, now_ns, SYSTEM, f"{WORSE if asks else ALSO} {rule}")
    if rises or asks:
        alarm.asked_ns, alarm.stage = now_ns, 0 if asks else alarm.stage
    return True


def pass_time(alarm: Alarm, now_ns: int, escalation: EscalationSettings = DEFAULT_ALARMS.escalation) -> bool:
    """What time alone does to an alarm. Returns whether something changed."""
    if alarm.state is AlarmState.SHELVED:
        began_ns = state_entry(alarm.events).at_ns
        if began_ns - CLOCK_SLACK_NS <= now_ns < alarm.shelved_until_ns:
            return False
        if alarm.fault_over:
            _append(alarm, AlarmState.CLOSED, now_ns, SYSTEM, RECOVERED)
        else:
            _append(alarm, AlarmState.ACTIVE, now_ns, SYSTEM, SHELVING_OVER)
            alarm.asked_ns, alarm.stage = now_ns, 0
        return True
    stages_s = escalation.stages_s(alarm.priority)
    if alarm.state is AlarmState.ESCALATED:
        alarm.stage = max(alarm.stage, 1)       # by a person, or in a file from before stages were counted
    if not alarm.is_unanswered or alarm.stage >= len(stages_s):
        return False
    since_ns = alarm.asked_ns or state_entry(alarm.events).at_ns
    waited_ns = now_ns - since_ns
    if -CLOCK_SLACK_NS <= waited_ns < round(stages_s[alarm.stage] * NS_PER_S):
        return False
    if waited_ns < 0:
        alarm.asked_ns = now_ns     # the clock was set back: from now on by the new one
    alarm.stage += 1
    reason = UNANSWERED if alarm.stage == 1 else f"{UNANSWERED_STILL} {alarm.stage}"
    _append(alarm, AlarmState.ESCALATED, now_ns, SYSTEM, reason)
    return True


def state_entry(events: Sequence[AlarmEventView]) -> AlarmEventView:
    """The event that brought an alarm into its present state. events: oldest first, at least one.

    Its person is the one who decided. Later events without a change of state, such as another contact that joins, do not
    replace that person.
    """
    first = events[-1]
    for event in reversed(events):
        if event.state is not first.state:
            break
        first = event
    return first


def _append(alarm: Alarm, state: AlarmState, at_ns: int, person: str, reason: str) -> None:
    alarm.events.append(AlarmEventView(state, at_ns, person, reason))
