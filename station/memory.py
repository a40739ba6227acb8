"""What the mind keeps on the disk: contacts, alarms, matches, the latest of every sensor, node and drone, and its place.

All of it moves in one transaction with the place in the inbox, so that killing the mind loses no alarm and raises none
twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from station.alarm_rate import SHIFT_NS
from station.alarms import Alarm
from station.contacts import TRAIL_LIMIT, Contact, ContactState, contact_from
from station.matching import Match
from station.picture import AlarmEventView, AlarmState, DroneView, NodeView, SensorView, TrailPoint
from station.shift_log import Entry, read_entries, write_entries
from station.store import Synchronous, set_synchronous, transaction
from wire.clock import NS_PER_S
from wire.flying import CheckResult, DroneTelemetry, Plan, Preflight, TaskState

TRACK_SAVED_NS = 2 * NS_PER_S       # tracks that were seen so lately are written with their contact; all are when it ends


class Numbers(msgspec.Struct):
    """The next free ones."""

    contact: int = 1
    alarm: int = 1
    match: int = 1


class DroneMemory(msgspec.Struct):
    """A drone as it was last heard of; shown once its telemetry has come."""

    telemetry: DroneTelemetry | None = None
    trail: list[TrailPoint] = []
    plan: Plan | None = None
    preflight: Preflight | None = None
    task: TaskState | None = None
    check: CheckResult | None = None

    def view(self, drone: str) -> DroneView | None:
        if self.telemetry is None:
            return None
        return DroneView(drone, self.telemetry, tuple(self.trail), self.plan, self.preflight, self.task, self.check)


@dataclass(slots=True)
class Remembered:
    """Everything that a mind starts with."""

    place: int
    numbers: Numbers
    contacts: list[Contact]
    alarms: list[Alarm]
    matches: list[Match]
    sensors: list[SensorView]
    nodes: list[NodeView]
    drones: dict[str, DroneMemory]
    log: list[Entry]
    states: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Changes:
    """What one commit writes. states: what a part of the mind remembers by itself, by name."""

    contacts: dict[int, Contact] = field(default_factory=dict)
    alarms: dict[int, Alarm] = field(default_factory=dict)
    matches: dict[int, Match] = field(default_factory=dict)
    sensors: dict[str, SensorView] = field(default_factory=dict)
    nodes: dict[str, NodeView] = field(default_factory=dict)
    drones: dict[str, DroneMemory] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)


def load(db: sqlite3.Connection, ended_after_ns: int, closed_after_ns: int) -> Remembered:
    """Read the mind's memory: all that is open, and what ended or was closed after the times given."""
    numbers = db.execute("SELECT state FROM memory WHERE name = 'numbers'").fetchone()
    return Remembered(
        place=int(db.execute("SELECT arrival FROM place WHERE id = 1").fetchone()[0]),
        numbers=msgspec.msgpack.decode(numbers[0], type=Numbers) if numbers else Numbers(),
        contacts=list(_contacts(db, ended_after_ns)),
        alarms=list(_alarms(db, closed_after_ns)),
        matches=[
            msgspec.msgpack.decode(row[0], type=Match) for row in db.execute("SELECT state FROM matches ORDER BY id")
        ],
        sensors=[msgspec.msgpack.decode(s, type=SensorView) for _, s in _latest(db, "sensor")],
        nodes=[msgspec.msgpack.decode(s, type=NodeView) for _, s in _latest(db, "node")],
        drones={name: msgspec.msgpack.decode(s, type=DroneMemory) for name, s in _latest(db, "drone")},
        states={name: bytes(s) for name, s in db.execute("SELECT name, state FROM memory WHERE name != 'numbers'")},
        log=read_entries(db),
    )


def save(db: sqlite3.Connection, place: int, numbers: Numbers, changes: Changes, durable: bool) -> None:
    """Write everything, with the place, in one transaction. durable: it must survive a power cut, not only a crash."""
    encode = msgspec.msgpack.encode
    set_synchronous(db, Synchronous.FULL if durable else Synchronous.NORMAL)
    with transaction(db):
        _save_contacts(db, list(changes.contacts.values()))
        for alarm in changes.alarms.values():
            _save_alarm(db, alarm)
        for match in changes.matches.values():
            _save_match(db, match)
        for kind, latest in (("sensor", changes.sensors), ("node", changes.nodes), ("drone", changes.drones)):
            db.executemany(
                "INSERT OR REPLACE INTO latest(kind, id, state) VALUES (?, ?, ?)",
                [(kind, name, encode(value)) for name, value in latest.items()],
            )
        write_entries(db, changes.log)
        db.executemany(
            "INSERT OR REPLACE INTO memory(name, state) VALUES (?, ?)",
            [("numbers", encode(numbers)), *changes.states.items()],
        )
        db.execute("UPDATE place SET arrival = ? WHERE id = 1", (place,))
    for contact in changes.contacts.values():
        contact.fresh_trail.clear()


_CONTACT_COLUMNS = (
    "id", "state", "ended", "object_class", "first_seen_ns", "last_seen_ns", "lat_deg", "lon_deg", "detections",
    "merged_into", "plate", "simulated",
)
_UPSERT_CONTACT = (
    f"INSERT INTO contacts({', '.join(_CONTACT_COLUMNS)}) VALUES ({', '.join('?' * len(_CONTACT_COLUMNS))}) "
    f"ON CONFLICT(id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in _CONTACT_COLUMNS[1:])}"
)
# The box grows with the trail. An R-tree knows no ON CONFLICT DO UPDATE, and keeps 32 bits: see station.store.
_GROW_PLACE = (
    "INSERT OR REPLACE INTO contact_place SELECT :id, min(:south, coalesce(p.min_lat, :south)), "
    "max(:north, coalesce(p.max_lat, :north)), min(:west, coalesce(p.min_lon, :west)), "
    "max(:east, coalesce(p.max_lon, :east)) FROM (SELECT 1) LEFT JOIN contact_place p ON p.id = :id"
)


def _save_contacts(db: sqlite3.Connection, contacts: list[Contact]) -> None:
    db.executemany(_UPSERT_CONTACT, [_contact_row(c) for c in contacts])
    db.executemany(
        "INSERT OR IGNORE INTO trail(contact, at_ns, lat_deg, lon_deg) VALUES (?, ?, ?, ?)",
        [(c.id, p.at_ns, p.lat_deg, p.lon_deg) for c in contacts for p in c.fresh_trail],
    )
    boxes = []
    for contact in contacts:
        if contact.fresh_trail:
            lats, lons = [p.lat_deg for p in contact.fresh_trail], [p.lon_deg for p in contact.fresh_trail]
            boxes.append(
                {"id": contact.number, "south": min(lats), "north": max(lats), "west": min(lons), "east": max(lons)}
            )
    db.executemany(_GROW_PLACE, boxes)
    db.executemany(
        "INSERT OR IGNORE INTO contact_corridors(contact, corridor) VALUES (?, ?)",
        [(c.id, corridor) for c in contacts for corridor in {*c.corridors, *c.visits}],
    )
    # Fusion forgets the oldest tracks of a long life; what was written here stays, so that retention keeps their detections.
    db.executemany(
        "INSERT OR IGNORE INTO contact_tracks(contact, track) VALUES (?, ?)",
        [
            (c.id, track) for c in contacts for track, last_ns in c.tracks.items()
            if c.ended_ns is not None or c.last_seen_ns - last_ns < TRACK_SAVED_NS
        ],
    )


def _contact_row(c: Contact) -> tuple[object, ...]:
    where = c.trail[-1] if c.trail else None
    return (
        c.id, msgspec.msgpack.encode(c.to_state()), c.ended_ns or 0, c.object_class.value, c.first_seen_ns, c.last_seen_ns,
        where.lat_deg if where else None, where.lon_deg if where else None, c.detections,
        None if c.merged_into is None else f"C-{c.merged_into:06d}", c.plate, int(c.simulated),
    )


def _save_alarm(db: sqlite3.Connection, alarm: Alarm) -> None:
    state = msgspec.structs.replace(alarm, events=[])
    db.execute(
        "INSERT OR REPLACE INTO alarms(id, state, rule, priority, raised_ns, contact, corridor, sensor, node, match, open) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            alarm.id, msgspec.msgpack.encode(state), alarm.rule, alarm.priority, alarm.raised_ns,
            alarm.contact_ids[0] if alarm.contact_ids else None, alarm.corridor, alarm.sensor, alarm.node, alarm.match,
            int(alarm.is_open),
        ),
    )
    db.executemany(
        "INSERT OR IGNORE INTO alarm_contacts(alarm, contact) VALUES (?, ?)", [(alarm.id, c) for c in alarm.contact_ids]
    )
    # Append-only: what stands there is never touched, only the new events are added.
    known = int(db.execute("SELECT count(*) FROM alarm_events WHERE alarm = ?", (alarm.id,)).fetchone()[0])
    db.executemany(
        "INSERT INTO alarm_events(alarm, number, state, at_ns, person, reason) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (alarm.id, known + i, e.state.value, e.at_ns, e.person, e.reason)
            for i, e in enumerate(alarm.events[known:])
        ],
    )


def _save_match(db: sqlite3.Connection, match: Match) -> None:
    db.execute(
        "INSERT OR REPLACE INTO matches(id, state, contact, subject, answer, asked_ns) VALUES (?, ?, ?, ?, ?, ?)",
        (match.id, msgspec.msgpack.encode(match), match.contact, match.subject, match.state.value, match.asked_ns),
    )
    known = int(db.execute("SELECT count(*) FROM match_decisions WHERE match = ?", (match.id,)).fetchone()[0])
    db.executemany(
        "INSERT INTO match_decisions(match, number, answer, at_ns, person, reason) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (match.id, known + i, d.answer.value, d.at_ns, d.person, d.reason)
            for i, d in enumerate(match.decisions[known:])
        ],
    )


def read_raised(db: sqlite3.Connection, now_ns: int) -> tuple[list[int], int]:
    """When alarms were raised within the last shift, and since when there is this store; station time."""
    born_ns = int(db.execute("SELECT value FROM meta WHERE key = 'born_ns'").fetchone()[0])
    rows = db.execute("SELECT at_ns FROM alarm_events WHERE number = 0 AND at_ns > ?", (now_ns - SHIFT_NS,))
    return [at_ns for (at_ns,) in rows], born_ns


def _contacts(db: sqlite3.Connection, ended_after_ns: int) -> Iterable[Contact]:
    for (state,) in db.execute("SELECT state FROM contacts WHERE ended = 0 OR ended > ? ORDER BY id", (ended_after_ns,)):
        decoded = msgspec.msgpack.decode(state, type=ContactState)
        if decoded.merged_into is not None:
            continue
        trail = [
            TrailPoint(lat, lon, at_ns)
            for at_ns, lat, lon in db.execute(
                "SELECT at_ns, lat_deg, lon_deg FROM trail WHERE contact = ? ORDER BY at_ns DESC LIMIT ?",
                (f"C-{decoded.number:06d}", TRAIL_LIMIT),
            )
        ]
        yield contact_from(decoded, trail[::-1])


def _alarms(db: sqlite3.Connection, closed_after_ns: int) -> Iterable[Alarm]:
    for (state,) in db.execute(
        "SELECT state FROM alarms WHERE open = 1 OR "
        "(SELECT max(at_ns) FROM alarm_events WHERE alarm = alarms.id) > ? ORDER BY id",
        (closed_after_ns,),
    ):
        alarm = msgspec.msgpack.decode(state, type=Alarm)
        alarm.events = [
            AlarmEventView(AlarmState(s), at_ns, person, reason)
            for s, at_ns, person, reason in db.execute(
                "SELECT state, at_ns, person, reason FROM alarm_events WHERE alarm = ? ORDER BY number", (alarm.id,)
            )
        ]
        yield alarm


def _latest(db: sqlite3.Connection, kind: str) -> list[tuple[str, bytes]]:
    return db.execute("SELECT id, state FROM latest WHERE kind = ? ORDER BY id", (kind,)).fetchall()
