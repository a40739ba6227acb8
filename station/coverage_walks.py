"""Walk tests of the live system: each pass of a person through a corridor, whether an alarm stood for it, and who told it.

Nothing is taken back: a pass is told once, by its corridor and the time of its entry, and what is told again is left out.
What a corridor is worth is the share of its passes of the last COUNTS_FOR_NS, with Clopper and Pearson's 95 % interval
(1934, Biometrika 26, 404-413): older ones were made with other leaves on the trees.
"""

from __future__ import annotations

import math
import sqlite3
import statistics
from collections import defaultdict

from sqlite_utils import Database

from station.coverage_picture import TellWalk, Walked, WalkedPass
from station.proportion import clopper_pearson
from station.sentences import Sentence
from station.store import Synchronous, set_synchronous, transaction
from wire.clock import NS_PER_S

COUNTS_FOR_NS = 180 * 86_400 * NS_PER_S
TAIL = 0.025
PASSES_LIMIT = 500              # of one telling; a day's walking has a few dozen
SECONDS_LIMIT = 86_400.0
ALARM_LIMIT = 20                # characters


def create_walks(db: Database) -> None:
    """The migration of coverage.db that brings the table."""
    db["walks"].create({
        "corridor": str, "entered_ns": int, "seconds": float, "alarm": str, "wait_s": float, "error_m": float,
        "told_ns": int, "person": str,
    }, pk=("corridor", "entered_ns"))
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER walks_no_{verb.lower()} BEFORE {verb} ON walks "
            "BEGIN SELECT RAISE(ABORT, 'walks is append-only'); END"
        )
    # INSERT OR REPLACE deletes without firing a delete trigger (unless recursive_triggers is on): refused on its own.
    db.execute(
        "CREATE TRIGGER walks_no_replace BEFORE INSERT ON walks WHEN EXISTS "
        "(SELECT 1 FROM walks WHERE corridor = NEW.corridor AND entered_ns = NEW.entered_ns) "
        "BEGIN SELECT RAISE(IGNORE); END"
    )


def walk_refusal(told: TellWalk, corridors: frozenset[str], now_ns: int) -> Sentence | None:
    """Why a person's walk cannot be taken; None where it can."""
    if not 0 < len(told.passes) <= PASSES_LIMIT:
        return Sentence("coverage.refused.walk_count", {"most": PASSES_LIMIT})
    for p in told.passes:
        if p.corridor not in corridors:
            return Sentence("coverage.refused.walk_corridor", {"corridor": p.corridor[:60]})
        numbers = [p.seconds, *(v for v in (p.wait_s, p.error_m) if v is not None)]
        good = all(math.isfinite(v) and 0 <= v <= SECONDS_LIMIT for v in numbers) and len(p.alarm) <= ALARM_LIMIT
        if not good or not 0 < p.entered_ns <= now_ns or bool(p.alarm) != (p.wait_s is not None):
            return Sentence("coverage.refused.walk_pass", {"corridor": p.corridor})
    return None


class Walks:
    """All passes that were told, in memory and in the file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._by_corridor: dict[str, dict[int, tuple[WalkedPass, str]]] = defaultdict(dict)
        for corridor, entered_ns, seconds, alarm, wait_s, error_m, person in db.execute(
            "SELECT corridor, entered_ns, seconds, alarm, wait_s, error_m, person FROM walks ORDER BY told_ns, entered_ns"
        ):
            self._by_corridor[corridor][entered_ns] = (
                WalkedPass(corridor, entered_ns, seconds, alarm, wait_s, error_m), person
            )

    def add(self, told: TellWalk, now_ns: int) -> int:
        """Keep what is new, on the disk before this returns; how many. After sqlite3.Error nothing has changed."""
        fresh = {
            (p.corridor, p.entered_ns): p for p in told.passes
            if p.entered_ns not in self._by_corridor.get(p.corridor, {})
        }
        set_synchronous(self._db, Synchronous.FULL)
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO walks(corridor, entered_ns, seconds, alarm, wait_s, error_m, told_ns, person) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(p.corridor, p.entered_ns, p.seconds, p.alarm, p.wait_s, p.error_m, now_ns, told.person)
                 for p in fresh.values()],
            )
        for (corridor, entered_ns), p in fresh.items():
            self._by_corridor[corridor][entered_ns] = (p, told.person)
        return len(fresh)

    def of(self, corridor: str, now_ns: int) -> Walked | None:
        """What a corridor's passes of the last COUNTS_FOR_NS say; None where nobody has walked."""
        known = self._by_corridor.get(corridor, {})
        counted = [(p, person) for p, person in known.values() if p.entered_ns >= now_ns - COUNTS_FOR_NS]
        if not counted:
            return None
        waits = [p.wait_s for p, _ in counted if p.wait_s is not None]
        hits, of = len(waits), len(counted)
        last, by = max(counted, key=lambda c: c[0].entered_ns)
        low, high = clopper_pearson(hits, of, TAIL)
        return Walked(
            hits, of, round(low, 4), round(high, 4),
            round(statistics.median(waits), 2) if waits else None, last.entered_ns, by,
        )
