"""The hand-over sheet: what whoever comes must know, made from what the mind knows at one moment, and signed by both.

Opening a hand-over freezes its sheet and is the signature of whoever goes; it is complete once the one it was made out to
has signed with a login of his own. A newer one takes the place of one that was not signed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from station.alarms import CANDIDATE_NO, CANDIDATE_YES, SYSTEM, TEAM_SENT, Alarm, state_entry
from station.duty import HandoverView, NoteView, Sheet, SheetItem
from station.incidents import TEXT_LIMIT, Incidents
from station.memory import DroneMemory
from station.picture import AlarmState, NodeView, SensorView
from station.sentences import Sentence
from station.shift_log import (
    Body,
    Entry,
    HandoverOpened,
    HandoverSigned,
    IncidentNote,
    ShiftNote,
    handover_id,
    incident_id,
    number_of,
)
from station.teams import Teams
from wire.node_words import nested

# What the system put beside a person's step; the sheet says it where it belongs.
SAID_ELSEWHERE = (TEAM_SENT, CANDIDATE_NO, CANDIDATE_YES, "match_confirmed")
NOTES_LIMIT = 100               # on one sheet, the newest


class Handovers:
    """All hand-overs that the log knows of."""

    def __init__(self) -> None:
        self.all: dict[int, HandoverView] = {}

    def take(self, entry: Entry) -> None:
        """Fold one entry of the log; others than a hand-over's change nothing."""
        match entry.body:
            case HandoverOpened(handover, receiver, note, sheet):
                self.all[handover] = HandoverView(
                    handover_id(handover), entry.person, receiver, entry.at_ns, None, note, sheet
                )
            case HandoverSigned(handover):
                v = self.all[handover]
                self.all[handover] = HandoverView(v.id, v.giver, v.receiver, v.opened_ns, entry.at_ns, v.note, v.sheet)
            case _:
                pass

    def begin(self, giver: str, receiver: str, note: str, sheet: Sheet) -> Body | Sentence:
        """The entry that opens one, or why not."""
        receiver, note = receiver.strip(), note.strip()
        if not receiver or receiver == giver:
            return Sentence("handover.refused.receiver", {})
        if len(note) > TEXT_LIMIT:
            return Sentence("note.refused.length", {"most": TEXT_LIMIT})
        return HandoverOpened(max(self.all, default=0) + 1, receiver, note, sheet)

    def sign(self, handover: str, person: str) -> Body | Sentence:
        """The entry by which the receiver signs, or why not."""
        known = self.all.get(number_of(handover, "H") or 0)
        if known is None:
            return Sentence("handover.refused.unknown", {"handover": handover})
        if known.signed_ns is not None:
            return Sentence("handover.refused.already", {"person": known.receiver, "at_ns": known.signed_ns})
        if known is not self.all[max(self.all)]:
            return Sentence("handover.refused.newer", {"handover": self.all[max(self.all)].id})
        if person != known.receiver:
            return Sentence("handover.refused.other", {"person": known.receiver})
        return HandoverSigned(max(self.all))

    def newest(self, count: int) -> tuple[HandoverView, ...]:
        return tuple(v for _, v in sorted(self.all.items(), reverse=True)[:count])

    @property
    def last_signed_ns(self) -> int:
        """When the last complete hand-over was opened: this shift counts from there."""
        return max((v.opened_ns for v in self.all.values() if v.signed_ns is not None), default=0)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a sheet is made of."""

    realm: str
    sector: str
    alarms: Iterable[Alarm]
    sensors: Iterable[SensorView]
    nodes: Iterable[NodeView]
    drones: dict[str, DroneMemory]
    teams: Teams
    incidents: Incidents
    entries: Iterable[Entry]


def make_sheet(standing: Standing, since_ns: int, db: sqlite3.Connection, now_ns: int) -> Sheet:
    """How things stand now. db: mind.db, for the counts since the hand-over before."""
    by_state: dict[AlarmState, list[SheetItem]] = {state: [] for state in AlarmState}
    for alarm in sorted(standing.alarms, key=lambda a: (a.priority, a.number)):
        by_state[alarm.state].append(_alarm_item(alarm))
    raised, closed = db.execute(
        "SELECT count(*) FILTER (WHERE number = 0), count(*) FILTER (WHERE state = 'closed') FROM alarm_events "
        "WHERE at_ns > ?",
        (since_ns,),
    ).fetchone()
    return Sheet(
        at_ns=now_ns,
        since_ns=since_ns,
        realm=standing.realm,
        sector=standing.sector,
        waiting=(*by_state[AlarmState.ESCALATED], *by_state[AlarmState.ACTIVE]),
        taken=tuple(by_state[AlarmState.ACKNOWLEDGED]),
        shelved=tuple(by_state[AlarmState.SHELVED]),
        blind=tuple(_blind(standing.sensors, standing.nodes)),
        airborne=tuple(_airborne(standing.drones)),
        teams=tuple(
            SheetItem(t.id, t.events[0].at_ns, Sentence("sheet.team", {
                "who": t.who, "alarm": t.alarm, "state": t.state.value, "expected_ns": t.expected_ns}))
            for t in standing.teams.out()
        ),
        incidents=tuple(
            SheetItem(i.id, i.opened_ns, Sentence("sheet.incident", {
                "title": i.title, "alarms": len(i.alarms), "person": i.opened_by}))
            for i in standing.incidents.open()
        ),
        notes=tuple(_notes(standing.entries, since_ns))[-NOTES_LIMIT:],
        raised=int(raised),
        closed=int(closed),
    )


def _alarm_item(alarm: Alarm) -> SheetItem:
    first = state_entry(alarm.events)
    detail = [] if alarm.state is AlarmState.ACTIVE else [Sentence("sheet.state", {
        "state": alarm.state.value, "person": first.person, "at_ns": first.at_ns})]
    words = first.reason
    if alarm.state is AlarmState.SHELVED:
        detail.append(Sentence("sheet.shelved_until", {"at_ns": alarm.shelved_until_ns}))
        words = words.partition(" ")[2]         # after the minutes
    if first.person != SYSTEM and words and not words.startswith(SAID_ELSEWHERE):
        detail.append(Sentence("log.note", {"text": words}))
    if alarm.fault_over:
        detail.append(Sentence("sheet.fault_over", {}))
    return SheetItem(alarm.id, alarm.raised_ns, alarm.says, alarm.priority, tuple(detail))


def _blind(sensors: Iterable[SensorView], nodes: Iterable[NodeView]) -> Iterable[SheetItem]:
    silent = {n.node for n in nodes if n.silent}
    for node in nodes:
        if node.silent:
            yield SheetItem(node.node, node.last_heard_ns, Sentence("sheet.node_silent", {"node": node.node}))
    for sensor in sensors:
        if sensor.state.is_blind and sensor.node not in silent:
            yield SheetItem(
                sensor.id, sensor.state_since_ns,
                Sentence("sheet.sensor", {
                    "sensor": sensor.id, "state": sensor.state.value, **nested("detail", sensor.detail, sensor.detail_words),
                }),
            )


def _airborne(drones: dict[str, DroneMemory]) -> Iterable[SheetItem]:
    for name, memory in sorted(drones.items()):
        t = memory.telemetry
        if t is None or not t.armed:
            continue
        yield SheetItem(name, t.at_ns, Sentence("sheet.drone", {
            "drone": name, "mode": t.mode,
            "height_m": "–" if t.height_above_home_m is None else round(t.height_above_home_m),
            "battery": "–" if t.battery_percent is None else round(t.battery_percent),
        }))


def _notes(entries: Iterable[Entry], since_ns: int) -> Iterable[NoteView]:
    for entry in entries:
        if entry.at_ns <= since_ns:
            continue
        match entry.body:
            case ShiftNote(text, alarm):
                yield NoteView(entry.at_ns, entry.person, f"{alarm}: {text}" if alarm else text)
            case IncidentNote(incident, text):
                yield NoteView(entry.at_ns, entry.person, f"{incident_id(incident)}: {text}")
            case _:
                pass
