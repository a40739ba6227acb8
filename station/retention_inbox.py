"""Retention of inbox.db, in the inbox: arrivals with what came in them.

A detection stays as long as the mind has a contact that it made: the mind erases the contacts of who raised no alarm and no
question, and their detections follow. Nothing goes that the mind has not read.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable

from station.retention import DAY_NS, ERASE_AT_ONCE, Eraser
from station.retention_date import MindsWord
from station.retention_settings import RetentionSettings
from station.settings import StationSettings
from station.store import Synchronous
from wire.clock import Clock

SEEN = ("detections", "track", "snapshot")      # what is about persons
ORDERED = ("footage", "order_result")
AGAIN_NS = DAY_NS // 4                          # what was kept for an alarm is looked at again so often

log = logging.getLogger("trailwatch.inbox")


class InboxRetention:
    """Does nothing but `step`, from the inbox's loop."""

    def __init__(self, db: sqlite3.Connection, settings: StationSettings, clock: Clock) -> None:
        self._db = db
        self._settings = settings
        self._clock = clock
        self._eraser = Eraser(db, clock, Synchronous.FULL)
        self._word = MindsWord(settings, clock, log)
        self._kept_due_ns = 0
        r: RetentionSettings = settings.retention
        self._groups: dict[str, tuple[float, Callable[[str], bool]]] = {
            "seen": (r.unmatched_days, lambda kind: kind in SEEN),
            "ordered": (r.footage_days, lambda kind: kind in ORDERED),
            "states": (r.states_days, lambda kind: kind not in SEEN and kind not in ORDERED),
        }

    def step(self) -> None:
        """Look at the next few, where it is time. Raises nothing: what cannot be erased now is erased later."""
        self._word.step(self._look)

    def _look(self, mind: sqlite3.Connection) -> bool:
        found_work = False
        place = int(mind.execute("SELECT arrival FROM place WHERE id = 1").fetchone()[0])
        for group in self._groups:
            found_work = self._next(group, mind, place) or found_work
        return self._kept_again(mind) or found_work

    def _next(self, group: str, mind: sqlite3.Connection, place: int) -> bool:
        days, belongs = self._groups[group]
        until_ns = self._clock.utc_ns() - round(days * DAY_NS)
        since = self._eraser.looked_until(group)
        rows = self._db.execute(
            "SELECT id, kind, received_ns, node, boot FROM arrivals WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (since, place, ERASE_AT_ONCE),
        ).fetchall()
        over: list[tuple[int, str, str, int]] = []
        looked = since
        for arrival, kind, received_ns, node, boot in rows:
            if received_ns >= until_ns:
                break
            looked = int(arrival)
            if belongs(kind):
                over.append((looked, kind, node, boot))
        if looked == since:
            return False
        self._erase(over, mind, looked=(group, looked))
        return True

    def _kept_again(self, mind: sqlite3.Connection) -> bool:
        """The alarm for which something stayed may be gone by now."""
        if self._clock.monotonic_ns() < self._kept_due_ns:
            return False
        since = self._eraser.looked_until("kept")
        rows = self._db.execute(
            "SELECT a.id, a.kind, a.node, a.boot FROM kept k JOIN arrivals a ON a.id = k.arrival WHERE k.arrival > ? "
            "ORDER BY k.arrival LIMIT ?", (since, ERASE_AT_ONCE),
        ).fetchall()
        if len(rows) < ERASE_AT_ONCE:
            self._kept_due_ns = self._clock.monotonic_ns() + AGAIN_NS
        self._erase(rows, mind, looked=("kept", int(rows[-1][0]) if len(rows) == ERASE_AT_ONCE else 0))
        return len(rows) == ERASE_AT_ONCE

    def _erase(self, over: list[tuple[int, str, str, int]], mind: sqlite3.Connection, looked: tuple[str, int]) -> None:
        stays = {
            arrival for arrival, kind, node, boot in over if kind in SEEN and self._is_needed(mind, arrival, node, boot)
        }
        gone: list[tuple[object, ...]] = [(arrival,) for arrival, *_ in over if arrival not in stays]
        erased = Counter(kind for arrival, kind, *_ in over if arrival not in stays)
        self._eraser.erase(
            [
                ("DELETE FROM detections WHERE arrival = ?", gone),
                ("DELETE FROM snapshots WHERE id = ?", gone),
                ("DELETE FROM footage WHERE id = ?", gone),
                ("DELETE FROM kept WHERE arrival = ?", gone),
                ("DELETE FROM arrivals WHERE id = ?", gone),
                ("INSERT OR IGNORE INTO kept(arrival) VALUES (?)", [(arrival,) for arrival in sorted(stays)]),
            ],
            erased, looked,
        )

    def _is_needed(self, mind: sqlite3.Connection, arrival: int, node: str, boot: int) -> bool:
        """Whether the mind still has a contact that one of its tracks made. A track message names none: it goes."""
        seen = self._db.execute(
            "SELECT DISTINCT sensor, track FROM detections WHERE arrival = ?1 "
            "UNION SELECT sensor, track FROM snapshots WHERE id = ?1", (arrival,),
        ).fetchall()
        for sensor, track in seen:
            for name in (sensor, f"{node}/{sensor}"):           # as station.situation calls sensors
                known = mind.execute(
                    "SELECT 1 FROM contact_tracks WHERE track = ?", (f"{node}/{boot}/{name}/{track}",)
                ).fetchone()
                if known is not None:
                    return True
        return False
