"""What is erased when its time is over: the common part. Each file's owner erases in it, and nobody else.

- small transactions (`ERASE_AT_ONCE`), one a second at most, when nothing else is to be done: never in a message's way;
- what was erased is counted in the file itself, in the same transaction, and told on the record by the mind each hour;
- SQLite overwrites what it erases (secure_delete), so that erased means gone; the file does not shrink, its room is reused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from station.store import Synchronous, set_synchronous, transaction
from wire.clock import NS_PER_S, Clock

DAY_NS = 86_400 * NS_PER_S
STEP_EVERY_NS = NS_PER_S
REST_NS = 60 * NS_PER_S             # after a round that found nothing
ERASE_AT_ONCE = 200                 # rows that a step looks at: some milliseconds


class ErasedView(msgspec.Struct, frozen=True):
    """Of one kind of data. days: how long it is kept, None: for ever. oldest_ns: of what is there. last_ns: of erasing.

    date_off_days: while nothing is erased because the station's date is so far ahead of the last time that it ran (behind it
    where negative), and nobody has said that it is right; else 0.
    """

    kind: str
    days: float | None
    oldest_ns: int | None
    erased: int
    last_ns: int | None
    date_off_days: int = 0


class Pace:
    """When the next step may be taken: one a second while there is work, one a minute while there is none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_ns = clock.monotonic_ns() + STEP_EVERY_NS

    @property
    def is_due(self) -> bool:
        return self._clock.monotonic_ns() >= self._due_ns

    def done(self, found_work: bool) -> None:
        self._due_ns = self._clock.monotonic_ns() + (STEP_EVERY_NS if found_work else REST_NS)


class Eraser:
    """Cursors, counts and transactions of one file's retention."""

    def __init__(self, db: sqlite3.Connection, clock: Clock, then: Synchronous) -> None:
        """then: what the file's other commits promise. An erasing that a power cut takes back is done again."""
        self._db = db
        self._clock = clock
        self._then = then
        db.execute("PRAGMA secure_delete = ON")

    def looked_until(self, kind: str) -> int:
        row = self._db.execute("SELECT looked_until FROM retention WHERE kind = ?", (kind,)).fetchone()
        return int(row[0]) if row else 0

    def erase(self, statements: Iterable[tuple[str, list[tuple[object, ...]]]], erased: Mapping[str, int],
              looked: tuple[str, int] | None = None) -> None:
        """Carry out, count, and note how far it looked, in one transaction. Raises sqlite3.Error; then nothing was done."""
        set_synchronous(self._db, Synchronous.NORMAL)
        try:
            with transaction(self._db):
                for sql, rows in statements:
                    self._db.executemany(sql, rows)
                self._db.executemany(
                    "INSERT INTO erased(kind, count, last_ns) VALUES (?, ?, ?) ON CONFLICT(kind) DO UPDATE SET "
                    "count = count + excluded.count, last_ns = excluded.last_ns",
                    [(kind, count, self._clock.utc_ns()) for kind, count in erased.items() if count],
                )
                if looked is not None:
                    self._db.execute("INSERT OR REPLACE INTO retention(kind, looked_until) VALUES (?, ?)", looked)
        finally:
            set_synchronous(self._db, self._then)


def erased_counts(db: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """kind to (how many were erased since the file's birth, when last)."""
    return {kind: (count, last_ns) for kind, count, last_ns in db.execute("SELECT kind, count, last_ns FROM erased")}
