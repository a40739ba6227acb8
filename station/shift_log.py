"""The shift log: everything that persons on duty did beside answering alarms, one entry after the other, for good.

Teams, incidents and hand-overs are folded from these entries and from nothing else, so that what a restart reads is what was
there. The table takes no UPDATE, no DELETE and no REPLACE. An entry that the disk did not take is not in it, and nobody was
told of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec
from sqlite_utils import Database

from station.duty import LogLine, Sheet, TeamState
from station.sentences import Sentence


class TeamSent(msgspec.Struct, frozen=True, tag="team_sent"):
    team: int
    alarm: str
    who: str
    expected_ns: int
    simulated: bool
    note: str


class TeamTold(msgspec.Struct, frozen=True, tag="team_told"):
    team: int
    to: TeamState
    reason: str


class IncidentOpened(msgspec.Struct, frozen=True, tag="incident_opened"):
    incident: int
    title: str
    alarms: tuple[str, ...]


class IncidentAlarm(msgspec.Struct, frozen=True, tag="incident_alarm"):
    incident: int
    alarm: str


class IncidentNote(msgspec.Struct, frozen=True, tag="incident_note"):
    incident: int
    text: str


class IncidentClosed(msgspec.Struct, frozen=True, tag="incident_closed"):
    incident: int
    reason: str


class ShiftNote(msgspec.Struct, frozen=True, tag="shift_note"):
    """alarm: the one it is about; empty for the shift as a whole."""

    text: str
    alarm: str


class HandoverOpened(msgspec.Struct, frozen=True, tag="handover_opened"):
    """Signed by whoever gives the shift away, by opening it. The sheet stays as it was at that moment."""

    handover: int
    receiver: str
    note: str
    sheet: Sheet


class HandoverSigned(msgspec.Struct, frozen=True, tag="handover_signed"):
    handover: int


Body = (
    TeamSent | TeamTold | IncidentOpened | IncidentAlarm | IncidentNote | IncidentClosed | ShiftNote | HandoverOpened
    | HandoverSigned
)


class Entry(msgspec.Struct, frozen=True):
    """number: from 1, without a gap. at_ns: the station's clock."""

    number: int
    at_ns: int
    person: str
    body: Body


def create_shift_log(db: Database) -> None:
    """The migration of mind.db that brings the table, and closes the door that REPLACE leaves open to older ones."""
    db["shift_log"].create({"number": int, "at_ns": int, "person": str, "kind": str, "body": str}, pk="number")
    db["shift_log"].create_index(["at_ns"])
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER shift_log_no_{verb.lower()} BEFORE {verb} ON shift_log "
            "BEGIN SELECT RAISE(ABORT, 'shift_log is append-only'); END"
        )
    # INSERT OR REPLACE deletes without firing a delete trigger (unless recursive_triggers is on): refused on its own.
    for table, key in (
        ("shift_log", ("number",)), ("alarm_events", ("alarm", "number")), ("match_decisions", ("match", "number")),
    ):
        same = " AND ".join(f"{column} = NEW.{column}" for column in key)
        db.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def read_entries(db: sqlite3.Connection) -> list[Entry]:
    """All of them, in their order."""
    return [
        Entry(number, at_ns, person, msgspec.json.decode(body, type=Body))
        for number, at_ns, person, body in db.execute("SELECT number, at_ns, person, body FROM shift_log ORDER BY number")
    ]


def write_entries(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """To be called inside the transaction that holds what they go with."""
    db.executemany(
        "INSERT INTO shift_log(number, at_ns, person, kind, body) VALUES (?, ?, ?, ?, ?)",
        [
            (e.number, e.at_ns, e.person, str(type(e.body).__struct_config__.tag), msgspec.json.encode(e.body).decode())
            for e in entries
        ],
    )


def log_line(entry: Entry) -> LogLine:
    """As a person reads it."""
    match entry.body:
        case TeamSent(team, alarm, who, _, _, note):
            return _line(entry, alarm, "log.team_sent", {"team": team_id(team), "who": who, "alarm": alarm, "note": note})
        case TeamTold(team, to, reason):
            return _line(entry, team_id(team), "log.team_told", {"team": team_id(team), "to": to.value, "reason": reason})
        case IncidentOpened(incident, title, alarms):
            return _line(entry, incident_id(incident), "log.incident_opened", {
                "incident": incident_id(incident), "title": title, "alarms": ", ".join(alarms)})
        case IncidentAlarm(incident, alarm):
            return _line(entry, incident_id(incident), "log.incident_alarm", {
                "incident": incident_id(incident), "alarm": alarm})
        case IncidentNote(incident, text):
            return _line(entry, incident_id(incident), "log.note", {"text": text})
        case IncidentClosed(incident, reason):
            return _line(entry, incident_id(incident), "log.incident_closed", {
                "incident": incident_id(incident), "reason": reason})
        case ShiftNote(text, alarm):
            return _line(entry, alarm, "log.note", {"text": text})
        case HandoverOpened(handover, receiver, _, _):
            return _line(entry, handover_id(handover), "log.handover_opened", {
                "handover": handover_id(handover), "receiver": receiver})
        case HandoverSigned(handover):
            return _line(entry, handover_id(handover), "log.handover_signed", {"handover": handover_id(handover)})


def _line(entry: Entry, about: str, key: str, params: dict[str, str | float | int]) -> LogLine:
    return LogLine(entry.at_ns, entry.person, about, Sentence(key, params))


def team_id(number: int) -> str:
    return f"T-{number:06d}"


def incident_id(number: int) -> str:
    return f"I-{number:06d}"


def handover_id(number: int) -> str:
    return f"H-{number:06d}"


def number_of(text: str, prefix: str) -> int | None:
    """The number in an id like "T-000012"; None for anything else."""
    digits = text.removeprefix(f"{prefix}-")
    return int(digits) if digits != text and digits.isascii() and digits.isdigit() and len(digits) < 19 else None
