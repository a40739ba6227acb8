"""Retention of mind.db, in the mind: contacts that raised nothing, and alarms and matches whose time is over.

A contact stays while an alarm or a match is about it, and while the contact that it was merged into stays. An alarm stays
while it is open, lies in an open incident, or one of its questions is unanswered. Everything about one alarm goes at once.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable

import msgspec

from station.alarms import Alarm
from station.retention import DAY_NS, ERASE_AT_ONCE, Eraser, Pace
from station.retention_date import ErasingDate, date_off_days
from station.retention_settings import RetentionSettings
from station.store import Synchronous
from wire.clock import Clock

CASES_AT_ONCE = 20                  # alarms or matches of one step

log = logging.getLogger("trailwatch.mind")

_NOT_NEEDED = (
    "NOT EXISTS (SELECT 1 FROM alarm_contacts WHERE contact = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM matches WHERE contact = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM contacts p WHERE p.id = c.merged_into)"
)


class MindRetention:
    """Does nothing but `step`, from the mind's loop."""

    def __init__(self, db: sqlite3.Connection, retention: RetentionSettings, clock: Clock) -> None:
        self._db = db
        self._retention = retention
        self._clock = clock
        self._eraser = Eraser(db, clock, Synchronous.NORMAL)
        self._pace = Pace(clock)
        self._date = ErasingDate(clock)
        self.date_off_days = 0              # while nothing is erased until a person says that the date is right; see there

    def step(self, in_incidents: Iterable[str]) -> None:
        """in_incidents: alarms of open incidents. Raises nothing: what cannot be erased now is erased later."""
        if not self._pace.is_due:
            return
        found_work = False
        try:
            self._date.keep(self._db)
            self.date_off_days = date_off_days(self._db)
            if self._date.is_believed(self._db):
                found_work = self._contacts()
                found_work = self._alarms(frozenset(in_incidents)) or found_work
                found_work = self._matches() or found_work
        except sqlite3.Error as error:
            log.warning("retention waits: %s", error)
        self._pace.done(found_work)

    def _until_ns(self, days: float) -> int:
        return self._clock.utc_ns() - round(days * DAY_NS)

    def _contacts(self) -> bool:
        """In the order in which they ended; who stays for an alarm is looked at again when the alarm goes."""
        since, until_ns = self._eraser.looked_until("contacts"), self._until_ns(self._retention.unmatched_days)
        ended = self._db.execute(
            "SELECT id, ended FROM contacts WHERE ended >= ? AND ended > 0 AND ended < ? ORDER BY ended LIMIT ?",
            (since, until_ns, ERASE_AT_ONCE),
        ).fetchall()
        if not ended:
            return False
        last_ns = int(ended[-1][1])
        # Of one moment there may be several, and the limit may lie between them.
        together = self._db.execute("SELECT id FROM contacts WHERE ended = ?", (last_ns,)).fetchall()
        self._erase_contacts(sorted({c for c, *_ in (*ended, *together)}), [], {}, ("contacts", last_ns + 1))
        return True

    def _erase_contacts(
        self, candidates: list[str], before: list[tuple[str, list[tuple[object, ...]]]], erased: dict[str, int],
        looked: tuple[str, int] | None,
    ) -> None:
        """before: statements that go first, in the same transaction: they may end what protects a contact."""
        marks: list[tuple[object, ...]] = [(c,) for c in candidates]
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS over(id TEXT PRIMARY KEY)")
        self._db.execute("DELETE FROM temp.over")
        statements: list[tuple[str, list[tuple[object, ...]]]] = [
            *before,
            (
                "INSERT OR IGNORE INTO temp.over SELECT c.id FROM contacts c WHERE c.id = ? AND c.ended > 0 "
                f"AND c.ended < {self._until_ns(self._retention.unmatched_days)} AND {_NOT_NEEDED}", marks,
            ),
            ("DELETE FROM contact_place WHERE id IN (SELECT CAST(substr(id, 3) AS INTEGER) FROM temp.over)", [()]),
            ("DELETE FROM trail WHERE contact IN (SELECT id FROM temp.over)", [()]),
            ("DELETE FROM contact_corridors WHERE contact IN (SELECT id FROM temp.over)", [()]),
            ("DELETE FROM contact_tracks WHERE contact IN (SELECT id FROM temp.over)", [()]),
            ("DELETE FROM contacts WHERE id IN (SELECT id FROM temp.over)", [()]),
            (
                "INSERT INTO erased SELECT 'contacts', count(*), ? FROM temp.over WHERE 1 ON CONFLICT(kind) DO UPDATE SET "
                "count = count + excluded.count, "
                "last_ns = CASE excluded.count WHEN 0 THEN last_ns ELSE excluded.last_ns END",
                [(self._clock.utc_ns(),)],
            ),
        ]
        self._eraser.erase(statements, erased, looked)

    def _alarms(self, in_incidents: frozenset[str]) -> bool:
        until_ns = self._until_ns(self._retention.alarms_days)
        rows = self._db.execute(
            "SELECT a.id, a.state FROM alarms a WHERE a.open = 0 AND a.raised_ns < ?1 AND NOT EXISTS "
            "(SELECT 1 FROM alarm_events e WHERE e.alarm = a.id AND e.at_ns >= ?1) ORDER BY a.raised_ns LIMIT ?2",
            (until_ns, CASES_AT_ONCE + len(in_incidents)),
        ).fetchall()
        over = [
            (alarm, contacts) for alarm, state in rows
            if alarm not in in_incidents and (contacts := self._contacts_of_settled(state)) is not None
        ][:CASES_AT_ONCE]
        if not over:
            return False
        marks: list[tuple[object, ...]] = [(alarm,) for alarm, _ in over]
        self._erase_contacts(
            [c for _, contacts in over for c in contacts],
            [
                ("INSERT INTO erasing(id) VALUES (?)", marks),
                ("DELETE FROM alarm_events WHERE alarm = ?", marks),
                ("DELETE FROM alarm_contacts WHERE alarm = ?", marks),
                ("DELETE FROM alarms WHERE id = ?", marks),
                ("DELETE FROM erasing WHERE id = ?", marks),
            ],
            {"alarms": len(over)}, None,
        )
        return True

    def _contacts_of_settled(self, state: bytes) -> tuple[str, ...] | None:
        """Of an alarm all of whose questions are answered; None where one is not."""
        alarm = msgspec.msgpack.decode(state, type=Alarm)
        for match in {*alarm.matches, alarm.match}:
            row = self._db.execute("SELECT answer FROM matches WHERE id = ?", (match,)).fetchone()
            if row is not None and row[0] == "question":
                return None
        return tuple(alarm.contact_ids)

    def _matches(self) -> bool:
        until_ns = self._until_ns(self._retention.matches_days)
        rows = self._db.execute(
            "SELECT m.id, m.contact FROM matches m WHERE m.answer != 'question' AND m.asked_ns < ?1 AND NOT EXISTS "
            "(SELECT 1 FROM match_decisions d WHERE d.match = m.id AND d.at_ns >= ?1) AND NOT EXISTS "
            "(SELECT 1 FROM alarms a WHERE a.match = m.id) ORDER BY m.asked_ns LIMIT ?2",
            (until_ns, CASES_AT_ONCE),
        ).fetchall()
        if not rows:
            return False
        marks: list[tuple[object, ...]] = [(match,) for match, _ in rows]
        self._erase_contacts(
            [contact for _, contact in rows],
            [
                ("INSERT INTO erasing(id) VALUES (?)", marks),
                ("DELETE FROM match_decisions WHERE match = ?", marks),
                ("DELETE FROM matches WHERE id = ?", marks),
                ("DELETE FROM erasing WHERE id = ?", marks),
            ],
            {"matches": len(rows)}, None,
        )
        return True
