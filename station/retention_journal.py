"""Retention of journal.db and orders.db, in the web server, which owns both.

A block goes as a whole after journal_days. Long before that, when the time of the unmatched is over, the contacts that the
mind has erased are taken out of it: what then can be replayed is the alarms, and who they were about.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3

import msgspec

from station.journal import Block, pack, unpack
from station.orders import ORDERS
from station.retention import DAY_NS, ERASE_AT_ONCE, Eraser
from station.retention_date import MindsWord
from station.settings import StationSettings
from station.store import Synchronous, open_store
from wire.clock import Clock

BLOCKS_AT_ONCE = 4                  # unpacked and packed again in one step: some tens of milliseconds in a thread
SWEEP_MARGIN_NS = DAY_NS            # beyond unmatched_days, so that the mind has erased its contacts first

log = logging.getLogger("trailwatch.web")


class JournalRetention:
    """Does nothing but `step`, from a thread of the web server."""

    def __init__(self, db: sqlite3.Connection, settings: StationSettings, clock: Clock) -> None:
        self._db = db
        self._settings = settings
        self._clock = clock
        self._eraser = Eraser(db, clock, Synchronous.NORMAL)
        self._word = MindsWord(settings, clock, log)

    def step(self) -> None:
        """Look at the next few, where it is time. Raises nothing: what cannot be erased now is erased later."""
        self._word.step(self._look)

    def _look(self, mind: sqlite3.Connection) -> bool:
        found_work = self._whole_blocks()
        found_work = self._sweep(mind) or found_work
        return self._orders() or found_work

    def _whole_blocks(self) -> bool:
        until_ns = self._clock.utc_ns() - round(self._settings.retention.journal_days * DAY_NS)
        over = self._db.execute("SELECT id FROM blocks WHERE first_ns < ? LIMIT ?", (until_ns, ERASE_AT_ONCE)).fetchall()
        if over:
            self._eraser.erase([("DELETE FROM blocks WHERE id = ?", over)], {"journal": len(over)})
        return bool(over)

    def _sweep(self, mind: sqlite3.Connection) -> bool:
        """Take the contacts that the mind has erased out of old blocks; those of alarms and questions stay."""
        until_ns = self._clock.utc_ns() - round(self._settings.retention.unmatched_days * DAY_NS) - SWEEP_MARGIN_NS
        rows = self._db.execute(
            "SELECT id, content FROM blocks WHERE swept = 0 AND last_ns < ? ORDER BY last_ns LIMIT ?",
            (until_ns, BLOCKS_AT_ONCE),
        ).fetchall()
        if not rows:
            return False
        fresh: list[tuple[object, ...]] = []
        unmatched = 0
        row = mind.execute("SELECT looked_until FROM retention WHERE kind = 'contacts'").fetchone()
        if (int(row[0]) if row else 0) == 0 and mind.execute("SELECT 1 FROM contacts LIMIT 1").fetchone():
            return False                    # the mind has not begun to erase
        for number, content in rows:
            try:
                block = unpack(content)
            except ValueError as error:
                log.error("block %d: %s", number, error)
                fresh.append((content, number))
                continue
            gone = {c for c in contacts_of(block) if not self._is_needed(mind, c)}
            unmatched += len(gone)
            fresh.append((pack(without(block, gone)) if gone else content, number))
        self._eraser.erase([("UPDATE blocks SET content = ?, swept = 1 WHERE id = ?", fresh)], {"unmatched": unmatched})
        return len(rows) == BLOCKS_AT_ONCE

    @staticmethod
    def _is_needed(mind: sqlite3.Connection, contact: str) -> bool:
        return mind.execute("SELECT 1 FROM contacts WHERE id = ?", (contact,)).fetchone() is not None

    def _orders(self) -> bool:
        if not self._settings.orders_db.exists():
            return False
        until_ns = self._clock.utc_ns() - round(self._settings.retention.orders_days * DAY_NS)
        db = open_store(self._settings.orders_db, ORDERS, self._settings.realm, self._clock)
        with contextlib.closing(db):
            eraser = Eraser(db, self._clock, Synchronous.FULL)
            most = 0
            for table in ("orders", "fleet_orders"):
                over = db.execute(
                    f"SELECT id FROM {table} WHERE given_ns < ? LIMIT ?", (until_ns, ERASE_AT_ONCE)
                ).fetchall()
                if over:
                    eraser.erase([(f"DELETE FROM {table} WHERE id = ?", over)], {"orders": len(over)})
                most = max(most, len(over))
        return most == ERASE_AT_ONCE


def contacts_of(block: Block) -> set[str]:
    found = {c.id for c in block.picture.contacts}
    for frame in block.frames:
        found |= {c.id for c in frame.delta.contacts}
    return found


def without(block: Block, gone: set[str]) -> Block:
    """A block as if these contacts had never been there."""
    replace = msgspec.structs.replace
    picture = replace(block.picture, contacts=tuple(c for c in block.picture.contacts if c.id not in gone))
    frames = tuple(
        replace(
            f, moved=tuple(m for m in f.moved if m.id not in gone),
            delta=replace(
                f.delta, contacts=tuple(c for c in f.delta.contacts if c.id not in gone),
                contacts_gone=tuple(c for c in f.delta.contacts_gone if c not in gone),
            ),
        )
        for f in block.frames
    )
    return Block(picture, frames)
