"""The tables of retention, for the migrations of each file that has one."""

from __future__ import annotations

import msgspec
from sqlite_utils import Database


def make_retention(db: Database) -> None:
    """What a file remembers of its own retention: how far it has looked, and what it has erased of each kind."""
    db["retention"].create({"kind": str, "looked_until": int}, pk="kind")
    db["erased"].create({"kind": str, "count": int, "last_ns": int}, pk="kind")


def index_alarms(db: Database) -> None:
    """The migration of mind.db that says which contacts an alarm is about, and finds a contact by its track."""
    db["alarm_contacts"].create({"alarm": str, "contact": str}, pk=("contact", "alarm"))
    db["alarm_contacts"].create_index(["alarm"])
    db["contact_tracks"].create_index(["track"])
    for alarm, state in db.execute("SELECT id, state FROM alarms").fetchall():
        contacts = msgspec.msgpack.decode(state).get("contact_ids", ())
        db.conn.executemany("INSERT OR IGNORE INTO alarm_contacts VALUES (?, ?)", [(alarm, c) for c in contacts])
