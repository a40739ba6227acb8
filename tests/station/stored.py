"""Stores filled the way their owners fill them: contacts through the mind's memory, messages through the inbox's rows."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np

from station.admission import admit
from station.alarms import Alarm, raise_alarm
from station.contacts import Contact
from station.inbox_rows import Identities, Rows, waiting
from station.kalman import Estimate
from station.memory import Changes, Numbers, save
from station.picture import Sentence, TrailPoint
from station.settings import StationSettings
from station.store import INBOX, MIND, open_store, transaction
from wire.clock import NS_PER_S, SteppedClock
from wire.codec import encode_envelope
from wire.keys import AllowedNode, NodeKind
from wire.messages import Envelope, UpBody

DAY_NS = 86_400 * NS_PER_S
NOW_NS = 1_800_000_000 * NS_PER_S


def a_contact(
    number: int, points, *, at_ns: int = NOW_NS, group: str = "person", plate: str | None = None, corridors=(), tracks=(),
    ended: bool = True, simulated: bool = True, snapshot: str | None = None,
) -> Contact:
    """points: (lat, lon) a second apart, from at_ns on."""
    trail = [TrailPoint(lat, lon, at_ns + i * NS_PER_S) for i, (lat, lon) in enumerate(points)]
    last_ns = trail[-1].at_ns if trail else at_ns
    contact = Contact(
        number, group, Estimate(np.zeros(4), np.eye(4), last_ns), at_ns, last_ns, last_ns, simulated, detections=5,
        score_sum=4.0, votes={"person" if group == "person" else "car": 4.0}, corridors=tuple(corridors), trail=trail,
        snapshot=snapshot,
        tracks=dict.fromkeys(tracks, last_ns), ended_ns=last_ns if ended else None,
    )
    contact.fresh_trail = list(trail)
    if plate:
        contact.note_plate(plate)
    return contact


def an_alarm(number: int, contact: Contact | None = None, at_ns: int = NOW_NS, rule: str = "corridor_entry") -> Alarm:
    alarm = Alarm(number, rule, 1, at_ns, Sentence("alarm.corridor_entry", {}), True)
    if contact is not None:
        alarm.contacts, alarm.contact_ids = [contact.number], [contact.id]
    return raise_alarm(alarm, at_ns)


def fill_mind(settings: StationSettings, contacts=(), alarms=(), matches=(), place: int = 0) -> None:
    conn = open_store(settings.mind_db, MIND, settings.realm, SteppedClock())
    changes = Changes(
        contacts={c.number: c for c in contacts}, alarms={a.number: a for a in alarms},
        matches={m.number: m for m in matches},
    )
    save(conn, place, Numbers(), changes, durable=True)
    conn.close()


def believe_date(settings: StationSettings, at_ns: int) -> None:
    """As a mind does whose date has run on for an hour: until it has, nobody erases."""
    with contextlib.closing(open_store(settings.mind_db, MIND, settings.realm, SteppedClock())) as conn:
        conn.execute("INSERT OR REPLACE INTO retention VALUES ('date', ?)", (at_ns,))


def fill_inbox(settings: StationSettings, *messages: tuple[int, UpBody], node: str = "cam-1", boot: int = 1) -> list[int]:
    """(received_ns, body) each, numbered as they stand. Returns the ids of the arrivals."""
    conn = open_store(settings.inbox_db, INBOX, settings.realm, SteppedClock())
    sender = AllowedNode(node, NodeKind.CAMERA, settings.realm, "k" * 40)
    first = conn.execute("SELECT coalesce(max(sequence) + 1, 0) FROM arrivals WHERE node = ?", (node,)).fetchone()[0]
    rows = Rows(Identities(conn).next)
    begin = rows.next_id
    for sequence, (received_ns, body) in enumerate(messages, first):
        data = encode_envelope(Envelope(node, boot, sequence, body))
        rows.add(waiting(b"", sender, admit(data, sender, received_ns), None, data, received_ns))
    with transaction(conn):
        rows.write(conn)
    conn.close()
    return list(range(begin, rows.next_id))


def look(path, question: str, *values: object) -> list[tuple]:
    with sqlite3.connect(path) as conn:
        return conn.execute(question, values).fetchall()
