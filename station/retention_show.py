"""What retention has done, for those who want to know: the page, the command line, and the record."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from station.journal_schema import JOURNAL
from station.orders import ORDERS
from station.record import Record
from station.retention import ErasedView, erased_counts
from station.retention_date import date_off_days
from station.settings import StationSettings
from station.store import INBOX, MIND, Schema, StoreError, open_reader
from wire.clock import NS_PER_S, Clock

NOTE_EVERY_NS = 3600 * NS_PER_S
SYSTEM = "system"

log = logging.getLogger("trailwatch.mind")

# kind as it is shown, file, its setting, the kinds that are counted in it, and the question for the oldest that is there.
_KINDS: tuple[tuple[str, str, str | None, tuple[str, ...], str], ...] = (
    ("detections", "inbox", "unmatched_days", ("detections", "track"),
     "SELECT received_ns FROM arrivals WHERE kind = 'detections' ORDER BY id LIMIT 1"),
    ("snapshots", "inbox", "unmatched_days", ("snapshot",), "SELECT min(captured_ns) FROM snapshots"),
    ("contacts", "mind", "unmatched_days", ("contacts",), "SELECT min(last_seen_ns) FROM contacts"),
    ("states", "inbox", "states_days",
     ("sensor", "health", "telemetry", "plan", "check", "preflight", "task", "offer", "dispatch"),
     "SELECT received_ns FROM arrivals WHERE kind NOT IN ('detections', 'track', 'snapshot', 'footage', 'order_result') "
     "ORDER BY id LIMIT 1"),
    ("footage", "inbox", "footage_days", ("footage", "order_result"),
     "SELECT min(a.received_ns) FROM footage f JOIN arrivals a ON a.id = f.id"),
    ("alarms", "mind", "alarms_days", ("alarms",), "SELECT min(raised_ns) FROM alarms"),
    ("matches", "mind", "matches_days", ("matches",), "SELECT min(asked_ns) FROM matches"),
    ("journal", "journal", "journal_days", ("journal",), "SELECT min(first_ns) FROM blocks"),
    ("journal of the unmatched", "journal", "unmatched_days", ("unmatched",), "SELECT NULL"),
    ("orders", "orders", "orders_days", ("orders",),
     "SELECT min(given_ns) FROM (SELECT given_ns FROM orders UNION ALL SELECT given_ns FROM fleet_orders)"),
)
KINDS = (*(kind for kind, *_ in _KINDS), "record")      # in the order in which they are shown


def read_retention(settings: StationSettings) -> tuple[ErasedView, ...]:
    """Every kind of data: how long it is kept, the oldest that is there, and what was erased. Raises nothing."""
    views, off_days = [], _date_off_days(settings)
    for kind, file, setting, counted, oldest in _KINDS:
        days = getattr(settings.retention, setting) if setting else None
        oldest_ns, erased, last_ns = None, 0, None
        with contextlib.suppress(sqlite3.Error, StoreError, FileNotFoundError), _reader(settings, file) as db:
            oldest_ns = next(iter(db.execute(oldest)), (None,))[0]
            counts = erased_counts(db)
            found = [counts[k] for k in counted if k in counts]
            erased, last_ns = sum(c for c, _ in found), max((at for c, at in found if c), default=None)
        views.append(ErasedView(kind, days, oldest_ns, erased, last_ns, off_days))
    views.append(ErasedView("record", None, None, 0, None))
    return tuple(views)


def retention_text(settings: StationSettings) -> str:
    """For the command line."""
    lines = [f"{'kind':26}{'kept, days':>12}{'oldest':>22}{'erased':>12}  last"]
    for v in read_retention(settings):
        days = "for ever" if v.days is None else f"{v.days:g}"
        lines.append(f"{v.kind:26}{days:>12}{_day(v.oldest_ns):>22}{v.erased:>12}  {_day(v.last_ns)}")
    off_days = _date_off_days(settings)
    if off_days:
        lines.append(
            f"NOTHING IS ERASED: the date is {abs(off_days)} days {'behind' if off_days < 0 else 'ahead of'} the last time "
            "that this station ran: is it right? Then say which day it is: --today 2026-11-25"
        )
    lines.append("What an open alarm, incident or question needs stays as long as that is open.")
    return "\n".join(lines)


def _date_off_days(settings: StationSettings) -> int:
    with contextlib.suppress(sqlite3.Error, StoreError, FileNotFoundError), _reader(settings, "mind") as db:
        return date_off_days(db)
    return 0


class ErasedNotes:
    """Puts on the record, each hour in which something was erased, how much of what; in the mind."""

    def __init__(self, db: sqlite3.Connection, record: Record, settings: StationSettings, clock: Clock) -> None:
        self._db = db
        self._record = record
        self._settings = settings
        self._clock = clock
        self._due_ns = clock.monotonic_ns() + NOTE_EVERY_NS // 60

    def step(self) -> None:
        """Raises nothing: what cannot be noted now is noted in the next hour, counted from the last note."""
        if self._clock.monotonic_ns() < self._due_ns:
            return
        self._due_ns = self._clock.monotonic_ns() + NOTE_EVERY_NS
        try:
            now, fresh = self._counts(), {}
            for name, count in now.items():
                row = self._db.execute("SELECT looked_until FROM retention WHERE kind = ?", (f"noted {name}",)).fetchone()
                before = int(row[0]) if row else 0
                if count > before:
                    fresh[name] = count - before
            if not fresh:
                return
            self._record.append(SYSTEM, "retention.erased", dict(sorted(fresh.items())))
            self._db.executemany(
                "INSERT OR REPLACE INTO retention(kind, looked_until) VALUES (?, ?)",
                [(f"noted {name}", now[name]) for name in fresh],
            )
        except (sqlite3.Error, StoreError) as error:
            log.warning("what was erased is not yet on the record: %s", error)

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for file in _FILES:
            with contextlib.suppress(FileNotFoundError, StoreError), _reader(self._settings, file) as db:
                counts |= {f"{file}.{kind}": count for kind, (count, _) in erased_counts(db).items()}
        return counts


_FILES: dict[str, tuple[str, Schema]] = {
    "inbox": ("inbox_db", INBOX), "mind": ("mind_db", MIND), "journal": ("journal_db", JOURNAL),
    "orders": ("orders_db", ORDERS),
}


@contextlib.contextmanager
def _reader(settings: StationSettings, file: str) -> Iterator[sqlite3.Connection]:
    attribute, schema = _FILES[file]
    db = open_reader(getattr(settings, attribute), schema, settings.realm)
    try:
        yield db
    finally:
        db.close()


def _day(at_ns: int | None) -> str:
    return "-" if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
