"""The rules that raise alarms, and what keeps them from flooding the screen.

corridor_entry: a contact of three detections or more whose place (the centre of its ellipse) is inside a corridor in that
corridor's alarm hours. The centre is the sensitive choice: no convex strip holds half of the probability without it. One
alarm for a contact and its stay; two things keep a walker from becoming many alarms, both noted on the alarm they join:
- a contact lost and found again (same kind, same corridor, where the lost one could have walked to within two minutes);
- a flood (10 corridor alarms in 10 minutes, EEMUA 191): a further contact joins an alarm of its corridor that nobody has
  answered yet and that is not older than 10 minutes. An alarm that was answered never swallows a new contact this way.

watchlist_match: a question about a subject and a contact. One report of a corridor and some hours makes a candidate of
everybody who walks there: while nobody has answered, a further candidate of the same subject, seen within 10 minutes of the
last one, joins the alarm with a question of its own. An answered alarm takes no more of them; the next one is a new alarm.

Technical: sensor_blind (no picture, or one that shows nothing, or is placed wrongly) after 10 s, node_silent after 10 s,
clock_wrong at the first message with an impossible time, position_untrusted as soon as a node says so, which has waited.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from geofences.corridors import alarms_now
from geofences.sector import Sector
from station.alarms import Alarm, join_candidate, join_contact, note_fault, pass_time, raise_alarm
from station.contacts import Contact, Visit
from station.picture import AlarmState, Sentence
from wire.clock import NS_PER_S
from wire.messages import Corridor, SensorState
from wire.units import GroundPosition

DETECTIONS_FOR_ALARM = 3
SAME_STAY_NS = 600 * NS_PER_S           # the same contact, back in the same corridor, is the same visit
LOST_AFTER_NS = 3 * NS_PER_S
FOUND_WITHIN_NS = 120 * NS_PER_S
FOUND_WITHIN_M = 15.0
FOUND_SPEED_M_S = {"person": 2.5, "vehicle": 15.0, "boat": 6.0}
FLOOD_ALARMS, FLOOD_NS = 10, 600 * NS_PER_S         # EEMUA 191
CANDIDATES_WITHIN_NS = 600 * NS_PER_S   # as a flood's; from the newest sight of any candidate that the alarm has
FAULT_AFTER_NS = 10 * NS_PER_S
BLIND_PRIORITY, SILENT_PRIORITY, CLOCK_PRIORITY = 3, 2, 3     # a silent node may take several cameras with it
POSITION_PRIORITY = 3


class AlarmDesk:
    """Holds the open alarms. `changed` collects what the last calls touched; whoever commits it empties it."""

    def __init__(self, sector: Sector, alarms: Iterable[Alarm] = (), next_number: int = 1) -> None:
        self._sector = sector
        self._corridors: dict[str, Corridor] = {c.id: c for c in sector.corridor_set.corridors}
        self.open: dict[int, Alarm] = {a.number: a for a in alarms}
        self.next_number = next_number
        self.changed: dict[int, Alarm] = {}

    def recall(self, contacts: Iterable[Contact]) -> None:
        """After a restart: when and where the contacts of the open alarms were last seen. Contacts are on the disk with the
        place in the inbox; an alarm is written only when it changes."""
        for contact in contacts:
            self._saw_candidate(contact)
            for visit in contact.visits.values():
                alarm = self.open.get(visit.alarm)
                if alarm is not None and visit.last_inside_ns >= alarm.last_seen_ns:
                    alarm.last_seen_ns = visit.last_inside_ns
                    alarm.last_m = (float(contact.estimate.mean[0]), float(contact.estimate.mean[1]))

    def judge(self, contact: Contact, now_ns: int) -> None:
        """Raise, or join to an alarm, the corridors that a contact is in now."""
        self._saw_candidate(contact)
        if contact.detections < DETECTIONS_FOR_ALARM:
            return
        at_ns = contact.last_seen_ns
        for corridor_id in contact.corridors:
            visit = contact.visits.get(corridor_id)
            if visit is not None and at_ns - visit.last_inside_ns <= SAME_STAY_NS:
                visit.last_inside_ns = max(visit.last_inside_ns, at_ns)
                self._saw(visit.alarm, contact)
                continue
            corridor = self._corridors[corridor_id]
            if not alarms_now(corridor, at_ns, self._sector.utc_offset_min):
                continue
            alarm = self._found_again(contact, corridor_id) or self._in_flood(corridor_id, contact)
            if alarm is not None:
                join_contact(alarm, contact.number, contact.id, now_ns)
            else:
                alarm = self._enter(contact, corridor, now_ns)
            self.changed[alarm.number] = alarm
            contact.visits[corridor_id] = Visit(at_ns, alarm.number)
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

    def note_snapshot(self, contact: Contact) -> None:
        """A contact's picture has come; alarms about it that have none yet show it."""
        for alarm in self.open.values():
            if alarm.contacts and contact.number in alarm.contacts and alarm.snapshot is None:
                alarm.snapshot = contact.snapshot
                self.changed[alarm.number] = alarm

    def sensor_fault(
        self, sensor: str, node: str, is_blind: bool, simulated: bool, detail: str, now_ns: int,
        state: SensorState = SensorState.BLIND,
    ) -> None:
        """state: what is wrong, where something is."""
        says = Sentence(f"alarm.sensor_{state.value}", {"sensor": sensor, "detail": detail})
        self._fault("sensor_blind", BLIND_PRIORITY, says, is_blind, now_ns, simulated, sensor=sensor, node=node)

    def node_fault(self, node: str, is_silent: bool, simulated: bool, now_ns: int) -> None:
        says = Sentence("alarm.node_silent", {"node": node, "seconds": FAULT_AFTER_NS // NS_PER_S})
        self._fault("node_silent", SILENT_PRIORITY, says, is_silent, now_ns, simulated, node=node)

    def clock_fault(self, node: str, is_wrong: bool, simulated: bool, offset_s: float, now_ns: int) -> None:
        says = Sentence("alarm.clock_wrong", {"node": node, "offset_s": round(offset_s)})
        self._fault("clock_wrong", CLOCK_PRIORITY, says, is_wrong, now_ns, simulated, node=node)

    def position_fault(self, node: str, is_wrong: bool, simulated: bool, detail: str, now_ns: int) -> None:
        says = Sentence("alarm.position_untrusted", {"node": node, "detail": detail})
        self._fault("position_untrusted", POSITION_PRIORITY, says, is_wrong, now_ns, simulated, node=node)

    def pass_time(self, now_ns: int) -> None:
        for alarm in self.open.values():
            if pass_time(alarm, now_ns):
                self.changed[alarm.number] = alarm

    # ------------------------------------------------------------------------------------------------------- corridors

    def _enter(self, contact: Contact, corridor: Corridor, now_ns: int) -> Alarm:
        says = Sentence(
            "alarm.corridor_entry",
            {
                "corridor": corridor.name, "corridor_id": corridor.id, "object_class": contact.object_class.value,
                "contact": contact.id, "contacts": 1,
            },
        )
        alarm = self._new("corridor_entry", corridor.priority, contact.last_seen_ns, now_ns, contact.simulated, says)
        alarm.contacts, alarm.contact_ids, alarm.group = [contact.number], [contact.id], contact.group
        alarm.corridor = corridor.id
        alarm.position, alarm.snapshot = self._position(contact), contact.snapshot
        return alarm

    def _saw(self, number: int, contact: Contact) -> None:
        alarm = self.open.get(number)
        if alarm is not None and contact.last_seen_ns >= alarm.last_seen_ns:
            alarm.last_seen_ns = contact.last_seen_ns
            alarm.last_m = (float(contact.estimate.mean[0]), float(contact.estimate.mean[1]))

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

    def _found_again(self, contact: Contact, corridor: str) -> Alarm | None:
        east, north = contact.estimate.mean[:2]
        best: tuple[float, Alarm] | None = None
        for alarm in self.open.values():
            if alarm.corridor != corridor or alarm.group != contact.group or not alarm.is_open:
                continue
            # Measured at the contact's first sight: by now it has walked on, and the lost one may be seen again as well.
            lost_ns = contact.first_seen_ns - alarm.last_seen_ns
            if not LOST_AFTER_NS < lost_ns <= FOUND_WITHIN_NS:
                continue
            walked_s = (contact.last_seen_ns - alarm.last_seen_ns) / 1e9
            distance_m = math.hypot(east - alarm.last_m[0], north - alarm.last_m[1])
            reach_m = FOUND_WITHIN_M + FOUND_SPEED_M_S[contact.group] * walked_s
            if distance_m <= reach_m and (best is None or distance_m < best[0]):
                best = (distance_m, alarm)
        return best[1] if best else None

    def _in_flood(self, corridor: str, contact: Contact) -> Alarm | None:
        # By capture time: the hours that an offline node delivers in a minute are no flood.
        at_ns = contact.last_seen_ns
        recent = [a for a in self.open.values() if a.rule == "corridor_entry" and abs(at_ns - a.raised_ns) <= FLOOD_NS]
        if len(recent) < FLOOD_ALARMS:
            return None
        joinable = [a for a in recent if a.corridor == corridor and a.group == contact.group and a.is_unanswered]
        return max(joinable, key=lambda a: a.number) if joinable else None

    def _position(self, contact: Contact) -> GroundPosition:
        return self._sector.frame.position(float(contact.estimate.mean[0]), float(contact.estimate.mean[1]))

    # ------------------------------------------------------------------------------------------------------- technical

    def _fault(
        self, rule: str, priority: int, says: Sentence, is_wrong: bool, now_ns: int, simulated: bool,
        sensor: str | None = None, node: str | None = None,
    ) -> None:
        known = next(
            (
                a for a in self.open.values()
                if a.rule == rule and a.sensor == sensor and a.node == node and a.state is not AlarmState.CLOSED
            ),
            None,
        )
        if known is None:
            if is_wrong:
                alarm = self._new(rule, priority, now_ns, now_ns, simulated, says)
                alarm.sensor, alarm.node = sensor, node
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
        return alarm
