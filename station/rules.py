"""The alarm desk: makes alarms of what the rules find and of what is broken, and keeps them from flooding the screen.

The rules about contacts are the sector's (station.alarm_rules). A contact of three detections or more for which one holds is
**one alarm**, however many rules hold for it: the first raises it, further ones are noted on it, the gravest leads, and the
priority only rises. A watchlist question about the same contact stays an alarm of its own, because its answers close it, and
is linked. Three more things keep a screen from filling with one event, all noted on the alarm that is joined:
- who walks with somebody (station.parties) joins that one's alarm while nobody has answered it: a party is one alarm;
- a contact lost and found again within two minutes (station.found_again);
- a flood (10 alarms of contacts in 10 minutes, EEMUA 191): a further contact joins an alarm of its corridor that nobody has
  answered yet and that is not older than 10 minutes. An alarm that was answered never swallows a new contact this way.

The place of a contact is the centre of its ellipse. That is the sensitive choice: no convex strip holds half of the
probability without it.

watchlist_match: a question about a subject and a contact. One report of a corridor and some hours makes a candidate of
everybody who walks there: while nobody has answered, a further candidate of the same subject, seen within 10 minutes of the
last one, joins the alarm with a question of its own. An answered alarm takes no more of them; the next one is a new alarm.

Technical alarms are about a sensor, a node, a corridor or a team; each fault is one alarm while it is open, and notes when
the fault is over and when it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from geofences.sector import Sector
from station.alarm_rules import ContactRules, Finding, PartyOf
from station.alarm_settings import DEFAULT_ALARMS, AlarmSettings, FaultSettings
from station.alarms import (
    CANDIDATE_MERGED,
    MATCH_REJECTED,
    SYSTEM,
    Alarm,
    Decision,
    decide,
    join_candidate,
    join_contact,
    note_candidate,
    note_fault,
    pass_time,
    raise_alarm,
    worsen,
)
from station.contacts import Contact, Visit
from station.doubt_words import DOUBTS
from station.found_again import found_off_m, note_place
from station.picture import AlarmState, MatchState, Sentence
from wire.clock import NS_PER_S
from wire.messages import SensorState
from wire.node_words import Worded, nested
from wire.units import GroundPosition

CompanionsOf = Callable[[Contact], Iterable[int]]

DETECTIONS_FOR_ALARM = 3
SAME_STAY_NS = 600 * NS_PER_S           # the same contact, back in the same corridor, is the same visit
CANDIDATES_WITHIN_NS = 600 * NS_PER_S   # as a flood's; from the newest sight of any candidate that the alarm has
NOBODY_WATCHING = FaultSettings(1, 60.0)
WATCHLIST_UNREADABLE = FaultSettings(2, 0.0)    # nobody on the list may be found any more
STORE_TROUBLE = FaultSettings(2, 0.0)           # nothing more is kept, and no decision can be taken
NODE_ELSEWHERE = FaultSettings(2, 0.0)          # its key may be in somebody else's hands
NODE_OVER_BUDGET = FaultSettings(2, 0.0)        # its key may be stolen, or the node is broken


class AlarmDesk:
    """Holds the open alarms. `changed` collects what the last calls touched; whoever commits it empties it."""

    def __init__(
        self, sector: Sector, alarms: Iterable[Alarm] = (), next_number: int = 1, settings: AlarmSettings = DEFAULT_ALARMS,
        party_of: PartyOf = lambda contact: contact.party_size,
        companions_of: CompanionsOf = lambda contact: contact.party,
    ) -> None:
        """party_of: how many go together with a contact, itself included. companions_of: numbers of who walks with it."""
        self._sector = sector
        self._settings = settings
        self._rules = ContactRules(settings, sector)
        self._party_of = party_of
        self._companions_of = companions_of
        self._flood_ns = round(settings.flood.minutes * 60 * NS_PER_S)
        self.open: dict[int, Alarm] = {a.number: a for a in alarms}
        self.next_number = next_number
        self.changed: dict[int, Alarm] = {}
        self.raised: list[int] = []         # station times, since somebody last emptied it

    def linked(self, alarm: Alarm) -> tuple[str, ...]:
        """Other open alarms about one of its contacts: a watchlist question beside what the contact does."""
        if not alarm.contacts:
            return ()
        numbers = set(alarm.contacts)
        return tuple(
            a.id for a in self.open.values() if a is not alarm and a.is_open and not numbers.isdisjoint(a.contacts)
        )

    def recall(self, contacts: Iterable[Contact]) -> None:
        """After a restart: when and where the contacts of the open alarms were last seen. Contacts are on the disk with the
        place in the inbox; an alarm is written only when it changes."""
        for contact in contacts:
            self._saw_candidate(contact)
            for visit in contact.visits.values():
                alarm = self.open.get(visit.alarm)
                if alarm is not None and visit.last_inside_ns >= alarm.last_seen_ns:
                    alarm.last_seen_ns = visit.last_inside_ns
                    note_place(alarm, contact)

    def judge(self, contact: Contact, now_ns: int) -> None:
        """Raise, or join to an alarm, what the rules find about a contact now."""
        self._saw_candidate(contact)
        if contact.detections < DETECTIONS_FOR_ALARM:
            return
        for finding in self._rules.findings(contact, self._party_of, lambda key: self._goes_on(contact, key)):
            alarm = self._alarm_about(contact)
            if alarm is None:
                alarm = (
                    self._found_again(contact, finding.corridor) or self._of_its_party(contact, finding.corridor)
                    or self._in_flood(finding.corridor, contact)
                )
                if alarm is not None:
                    join_contact(alarm, contact.number, contact.id, now_ns)
                    if contact.course.side == 0:
                        contact.course.side = alarm.side
            if alarm is None:
                alarm = self._raise(contact, finding, now_ns)
            else:
                worsen(
                    alarm, finding.rule.id, finding.rule.kind.value, finding.priority, finding.says, finding.why,
                    finding.rule.asks_again, now_ns,
                )
                alarm.corridor = alarm.corridor or finding.corridor
            self.changed[alarm.number] = alarm
            contact.visits[finding.key] = Visit(contact.last_seen_ns, alarm.number)
            self._saw(alarm.number, contact)

    def match_question(
        self, match: str, subject: str, contact: Contact, lane: str, priority: int, now_ns: int
    ) -> Alarm:
        """A watchlist question is open. The alarm names the match; what is on the record, only whoever opens it reads."""
        alarm = self._waiting_for_candidates(subject, contact)
        if alarm is not None:
            join_candidate(alarm, match, contact.number, contact.id, now_ns)
            self.changed[alarm.number] = alarm
        else:
            alarm = self._new(
                "watchlist_match", priority, contact.last_seen_ns, now_ns, contact.simulated,
                Sentence("alarm.watchlist_match", {"match": match, "contact": contact.id, "lane": lane}),
            )
            alarm.match, alarm.matches, alarm.subject = match, [match], subject
            alarm.contacts, alarm.contact_ids = [contact.number], [contact.id]
            alarm.position = self._position(contact)
        alarm.snapshot = alarm.snapshot or contact.snapshot
        alarm.last_seen_ns = max(alarm.last_seen_ns, contact.last_seen_ns)
        return alarm

    def match_merged(
        self, match: str, contact: Contact, states: Callable[[Iterable[str]], set[MatchState]], now_ns: int
    ) -> None:
        """The question is asked by an older one about the same contact; an alarm without any other is over.

        states: in which the matches of these ids are.
        """
        for alarm in self.open.values():
            if not alarm.is_open or match not in alarm.matches:
                continue
            note_candidate(alarm, CANDIDATE_MERGED, contact.id, SYSTEM, now_ns)
            left = states(alarm.matches)
            if left <= {MatchState.REJECTED, MatchState.MERGED}:
                reason = MATCH_REJECTED if MatchState.REJECTED in left else "duplicate"
                decide(alarm, Decision(AlarmState.CLOSED, SYSTEM, reason), now_ns)
            self.changed[alarm.number] = alarm

    def note_snapshot(self, contact: Contact) -> None:
        """A contact's picture has come; alarms about it that have none yet show it."""
        for alarm in self.open.values():
            if alarm.contacts and contact.number in alarm.contacts and alarm.snapshot is None:
                alarm.snapshot = contact.snapshot
                self.changed[alarm.number] = alarm

    def sensor_fault(
        self, sensor: str, node: str, is_blind: bool, simulated: bool, detail: str, now_ns: int,
        state: SensorState = SensorState.BLIND, words: Worded | None = None,
    ) -> None:
        """state: what is wrong, where something is. words: detail as the node's key and values."""
        says = Sentence(f"alarm.sensor_{state.value}", {"sensor": sensor, **nested("detail", detail, words)})
        fault = self._settings.technical.sensor_blind
        self._fault("sensor_blind", fault, says, is_blind, now_ns, simulated, sensor=sensor, node=node)

    def node_fault(self, node: str, is_silent: bool, simulated: bool, now_ns: int) -> None:
        fault = self._settings.technical.node_silent
        says = Sentence("alarm.node_silent", {"node": node, "seconds": round(fault.after_s)})
        self._fault("node_silent", fault, says, is_silent, now_ns, simulated, node=node)

    def clock_fault(self, node: str, is_wrong: bool, simulated: bool, offset_s: float, now_ns: int) -> None:
        says = Sentence("alarm.clock_wrong", {"node": node, "offset_s": round(offset_s)})
        self._fault("clock_wrong", self._settings.technical.clock_wrong, says, is_wrong, now_ns, simulated, node=node)

    def position_fault(
        self, node: str, is_wrong: bool, simulated: bool, detail: str, now_ns: int, words: Worded | None = None
    ) -> None:
        says = Sentence("alarm.position_untrusted", {"node": node, **nested("detail", detail, words)})
        fault = self._settings.technical.position_untrusted
        self._fault("position_untrusted", fault, says, is_wrong, now_ns, simulated, node=node)

    def coverage_fault(
        self, corridor: str, name: str, unseen_s: float, is_wrong: bool, simulated: bool, now_ns: int
    ) -> None:
        """unseen_s: how long no sensor has seen this corridor."""
        coverage = self._settings.technical.no_coverage
        says = Sentence("alarm.no_coverage", {"corridor": name, "corridor_id": corridor, "minutes": int(unseen_s // 60)})
        fault = FaultSettings(coverage.priority, coverage.after_s, coverage.enabled)
        self._fault("no_coverage", fault, says, is_wrong, now_ns, simulated, about=corridor)

    def notifier_fault(
        self, notifier: str, is_wrong: bool, lives: bool, error: str, simulated: bool, now_ns: int
    ) -> None:
        """lives: whether its process does. error: why it told nobody, as that says."""
        says = (
            Sentence("alarm.notifier_failing", {"notifier": notifier, "detail": error}) if lives
            else Sentence("alarm.notifier_silent", {"notifier": notifier})
        )
        fault = self._settings.technical.notifier_dead
        self._fault("notifier_dead", fault, says, is_wrong, now_ns, simulated, about=notifier)

    def drone_fault(self, drone: str, trouble: str, simulated: bool, now_ns: int) -> None:
        """trouble: "lost" or "no_position" while it is in the air; empty when it is well, or on the ground."""
        says = Sentence(f"alarm.drone_{trouble or 'lost'}", {"drone": drone})
        self._fault(
            "drone_trouble", self._settings.technical.drone_trouble, says, bool(trouble), now_ns, simulated, about=drone
        )

    def team_fault(self, team: str, who: str, alarm: str, is_overdue: bool, simulated: bool, now_ns: int) -> None:
        says = Sentence("alarm.team_overdue", {"team": team, "who": who, "alarm": alarm})
        self._fault("team_overdue", self._settings.technical.team_overdue, says, is_overdue, now_ns, simulated, about=team)

    def watchlist_fault(self, is_wrong: bool, simulated: bool, detail: str, now_ns: int) -> None:
        says = Sentence("alarm.watchlist_unreadable", {"detail": detail})
        self._fault("watchlist_unreadable", WATCHLIST_UNREADABLE, says, is_wrong, now_ns, simulated)

    def store_fault(self, file: str, is_wrong: bool, simulated: bool, detail: str, now_ns: int) -> None:
        says = Sentence("alarm.store_trouble", {"file": file, "detail": detail})
        self._fault("store_trouble", STORE_TROUBLE, says, is_wrong, now_ns, simulated, about=file)

    def date_fault(self, off_days: int, simulated: bool, now_ns: int) -> None:
        """off_days: by which the station's own date is ahead of the last time that it ran, or behind it; 0: all is well."""
        says = Sentence(f"alarm.date_{'behind' if off_days < 0 else 'ahead'}", {"days": abs(off_days)})
        fault = self._settings.technical.clock_wrong
        self._fault("clock_wrong", fault, says, bool(off_days), now_ns, simulated, about="date")

    def place_fault(self, node: str, is_wrong: bool, simulated: bool, detail: str, now_ns: int) -> None:
        says = Sentence("alarm.node_elsewhere", {"node": node, **DOUBTS.within("detail", detail)})
        self._fault("node_elsewhere", NODE_ELSEWHERE, says, is_wrong, now_ns, simulated, node=node)

    def budget_fault(self, node: str, is_over: bool, simulated: bool, now_ns: int) -> None:
        """is_over: the node sends more than station.node_budgets allows, so the inbox does not accept everything."""
        says = Sentence("alarm.node_over_budget", {"node": node})
        self._fault("node_over_budget", NODE_OVER_BUDGET, says, is_over, now_ns, simulated, node=node)

    def watch_fault(self, is_unwatched: bool, simulated: bool, after_s: float, now_ns: int) -> None:
        says = Sentence("alarm.nobody_watching", {"seconds": round(after_s)})
        self._fault("nobody_watching", NOBODY_WATCHING, says, is_unwatched, now_ns, simulated)

    def pass_time(self, now_ns: int) -> None:
        for alarm in self.open.values():
            if pass_time(alarm, now_ns, self._settings.escalation):
                self.changed[alarm.number] = alarm

    # ------------------------------------------------------------------------------------------------------- corridors

    def _goes_on(self, contact: Contact, key: str) -> bool:
        """Whether a rule has held for this contact a while ago already; if so, it goes on."""
        at_ns, visit = contact.last_seen_ns, contact.visits.get(key)
        if visit is None or at_ns - visit.last_inside_ns > SAME_STAY_NS:
            return False
        visit.last_inside_ns = max(visit.last_inside_ns, at_ns)
        self._saw(visit.alarm, contact)
        return True

    def _alarm_about(self, contact: Contact) -> Alarm | None:
        """The newest open alarm that stands for this contact, or for one that it has absorbed."""
        numbers = {contact.number, *contact.absorbed}
        known = [
            a for a in self.open.values() if a.is_about_contacts and a.is_open and not numbers.isdisjoint(a.contacts)
        ]
        return max(known, key=lambda a: a.number) if known else None

    def _raise(self, contact: Contact, finding: Finding, now_ns: int) -> Alarm:
        alarm = self._new(
            finding.rule.kind.value, finding.priority, contact.last_seen_ns, now_ns, contact.simulated, finding.says
        )
        alarm.contacts, alarm.contact_ids, alarm.group = [contact.number], [contact.id], contact.group
        alarm.rules, alarm.why, alarm.corridor = [finding.rule.id], list(finding.why), finding.corridor
        alarm.position, alarm.snapshot = self._position(contact), contact.snapshot
        return alarm

    def _saw(self, number: int, contact: Contact) -> None:
        alarm = self.open.get(number)
        if alarm is not None and contact.last_seen_ns >= alarm.last_seen_ns:
            alarm.last_seen_ns = contact.last_seen_ns
            note_place(alarm, contact)
            alarm.side = contact.course.side or alarm.side

    def _saw_candidate(self, contact: Contact) -> None:
        for alarm in self.open.values():
            if alarm.subject is not None and contact.number in alarm.contacts:
                alarm.last_seen_ns = max(alarm.last_seen_ns, contact.last_seen_ns)

    def _waiting_for_candidates(self, subject: str, contact: Contact) -> Alarm | None:
        # By capture time, as a flood: what an offline node delivers late is compared with what was seen at that hour.
        at_ns = contact.last_seen_ns
        joinable = [
            a for a in self.open.values()
            if a.rule == "watchlist_match" and a.subject == subject and a.is_unanswered
            and a.raised_ns - CANDIDATES_WITHIN_NS <= at_ns <= a.last_seen_ns + CANDIDATES_WITHIN_NS
        ]
        return max(joinable, key=lambda a: a.number) if joinable else None

    def _found_again(self, contact: Contact, corridor: str | None) -> Alarm | None:
        """The alarm whose lost one this is most likely: the least metres off from where he is looked for."""
        best: tuple[float, Alarm] | None = None
        for alarm in self.open.values():
            off_m = found_off_m(alarm, contact, corridor, self._sector)
            if off_m is not None and (best is None or off_m < best[0]):
                best = (off_m, alarm)
        return best[1] if best else None

    def _of_its_party(self, contact: Contact, corridor: str | None) -> Alarm | None:
        """The newest alarm that nobody has answered yet of somebody who walks with it."""
        beside = set(self._companions_of(contact))
        joinable = [
            a for a in self.open.values()
            if a.is_about_contacts and a.is_unanswered and not beside.isdisjoint(a.contacts)
            and (corridor is None or a.corridor in (None, corridor))
        ]
        return max(joinable, key=lambda a: a.number) if joinable else None

    def _in_flood(self, corridor: str | None, contact: Contact) -> Alarm | None:
        # By capture time: the hours that an offline node delivers in a minute are no flood.
        at_ns = contact.last_seen_ns
        recent = [a for a in self.open.values() if a.is_about_contacts and abs(at_ns - a.raised_ns) <= self._flood_ns]
        if len(recent) < self._settings.flood.alarms:
            return None
        joinable = [a for a in recent if a.corridor == corridor and a.group == contact.group and a.is_unanswered]
        return max(joinable, key=lambda a: a.number) if joinable else None

    def _position(self, contact: Contact) -> GroundPosition:
        return self._sector.frame.position(float(contact.estimate.mean[0]), float(contact.estimate.mean[1]))

    # ------------------------------------------------------------------------------------------------------- technical

    def _fault(
        self, rule: str, fault: FaultSettings, says: Sentence, is_wrong: bool, now_ns: int, simulated: bool,
        sensor: str | None = None, node: str | None = None, about: str = "",
    ) -> None:
        """One alarm for a fault and what it is about, while it is open. A fault that is switched off raises none."""
        known = next(
            (
                a for a in self.open.values()
                if a.rule == rule and a.sensor == sensor and a.node == node and a.about == about and a.is_open
            ),
            None,
        )
        if known is None:
            if is_wrong and fault.enabled:
                alarm = self._new(rule, fault.priority, now_ns, now_ns, simulated, says)
                alarm.sensor, alarm.node, alarm.about = sensor, node, about
            return
        if is_wrong and known.says.key != says.key:
            known.says = says           # another fault of the same sensor: the alarm is about what is wrong now
            self.changed[known.number] = known
        if known.fault_over == is_wrong:
            note_fault(known, is_over=not is_wrong, now_ns=now_ns)
            self.changed[known.number] = known

    def _new(self, rule: str, priority: int, raised_ns: int, now_ns: int, simulated: bool, says: Sentence) -> Alarm:
        alarm = raise_alarm(Alarm(self.next_number, rule, priority, raised_ns, says, simulated), now_ns)
        self.next_number += 1
        self.open[alarm.number] = alarm
        self.changed[alarm.number] = alarm
        self.raised.append(now_ns)
        return alarm
