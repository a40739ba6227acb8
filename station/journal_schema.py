"""journal.db: what the screens showed, in blocks. The web server owns it; station.journal writes it, replay reads it."""

from __future__ import annotations

from sqlite_utils import Database

from station.retention_schema import make_retention
from station.store import Schema


def _journal_1(db: Database) -> None:
    # content: zlib over msgpack, see station.journal. swept: the contacts of who raised nothing are out of it.
    db["blocks"].create(
        {"id": int, "first_ns": int, "last_ns": int, "content": bytes, "swept": int}, pk="id", not_null={"content"}
    )
    db["blocks"].create_index(["first_ns"])
    db["blocks"].create_index(["swept", "last_ns"])
    make_retention(db)


JOURNAL = Schema("journal", (_journal_1,))
