"""Telling people who are not in front of a screen: what has to be told, kept on the disk until it is told.

A process of its own, because a mail server that hangs must hold up nothing else. It reads the events of alarms from mind.db
and moves its place there in one transaction with the notices that it makes of them, so that killing it loses none and makes
none twice; each notifier then works through its own notices, tries again with growing pauses, and gives up after a day (a
crash between telling and noting it tells a second time, never not at all). What somebody has answered meanwhile is not told
any more. Every try is kept, and what was told or given up goes to the record.

A notice names an alarm, its rule and its times. It never says what is on a watchlist record, nor whom a question is about.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import dataclass
from typing import Protocol

from sqlite_utils import Database

from station.alarms import SYSTEM, UNANSWERED
from station.notifier_health import (
    ALIVE_EVERY_S,
    CHECK_EVERY_S,
    CHECK_FAILING_EVERY_S,
    Health,
    health_table,
    note_health,
)
from station.notifier_settings import EmailSettings, NotifierSettings, Tells
from station.picture import AlarmState
from station.record import Record
from station.settings import StationSettings
from station.store import MIND, Schema, StoreError, Synchronous, open_reader, open_store, transaction
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import log_to_stderr, stop_on_signals

LOOK_EVERY_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
GIVE_UP_NS = 24 * 3600 * NS_PER_S
FIRST_LOOK_BACK_NS = 600 * NS_PER_S     # a notifier that is new here tells nothing that is older
TECHNICAL = {"nobody_watching": Tells.NOBODY_WATCHING, "team_overdue": Tells.TEAM_OVERDUE}

_log = logging.getLogger("trailwatch.notify")


class NotifyError(Exception):
    """It was not told; the text says why."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told. what: a Tells, or "test". raised_ns, told_ns: station time. rule, priority, state: of the alarm."""

    number: int
    what: str
    alarm: str
    rule: str
    priority: int
    state: str
    raised_ns: int
    told_ns: int


class Notifier(Protocol):
    """One way of telling people."""

    def tell(self, notice: Notice) -> None:
        """Tell it, and return when it is told. Raises NotifyError."""

    def check(self) -> None:
        """Whether somebody could be told now, without telling anybody. Raises NotifyError."""


def _notices_1(db: Database) -> None:
    db["place"].create({"id": int, "event": int}, pk="id")
    # AUTOINCREMENT: a number is never used twice, since the record names it.
    db.execute(
        """CREATE TABLE notices (
            number INTEGER PRIMARY KEY AUTOINCREMENT, notifier TEXT NOT NULL, what TEXT NOT NULL, alarm TEXT NOT NULL,
            made_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, tries INTEGER NOT NULL, done TEXT)"""
    )
    db["notices"].create_index(["notifier", "done"])
    db["tries"].create({"notice": int, "number": int, "at_ns": int, "error": str}, pk=("notice", "number"))
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER tries_no_{verb.lower()} BEFORE {verb} ON tries "
            "BEGIN SELECT RAISE(ABORT, 'tries is append-only'); END"
        )


NOTICES = Schema("notices", (_notices_1, health_table))


class Collector:
    """Makes notices of what happens to alarms."""

    def __init__(self, settings: StationSettings, clock: Clock, db: sqlite3.Connection) -> None:
        self._settings = settings
        self._clock = clock
        self._db = db
        self._mind: sqlite3.Connection | None = None

    def look(self) -> int:
        """Take the events that are new. Returns how many notices were made of them."""
        try:
            mind = self._mind = self._mind or open_reader(self._settings.mind_db, MIND, self._settings.realm)
        except (FileNotFoundError, StoreError):
            return 0            # the mind has not made it yet, or is about to bring it up to date
        now_ns = self._clock.utc_ns()
        row = self._db.execute("SELECT event FROM place WHERE id = 1").fetchone()
        if row is None:
            row = mind.execute(
                "SELECT coalesce(max(rowid), 0) FROM alarm_events WHERE at_ns <= ?", (now_ns - FIRST_LOOK_BACK_NS,)
            ).fetchone()
        place = int(row[0])
        events = mind.execute(
            "SELECT e.rowid, e.alarm, e.number, e.state, e.person, e.reason, a.rule FROM alarm_events e "
            "JOIN alarms a ON a.id = e.alarm WHERE e.rowid > ? ORDER BY e.rowid LIMIT 1000", (place,),
        ).fetchall()
        made = 0
        with transaction(self._db):
            for event, alarm, number, state, person, reason, rule in events:
                place = event
                what = _what(rule, number, state, person, reason)
                for notifier in self._settings.notifiers if what is not None else ():
                    if what in notifier.tells:
                        self._db.execute(
                            "INSERT INTO notices(notifier, what, alarm, made_ns, due_ns, tries) VALUES (?, ?, ?, ?, ?, 0)",
                            (notifier.name, what, alarm, now_ns, now_ns),
                        )
                        made += 1
            self._db.execute("INSERT OR REPLACE INTO place(id, event) VALUES (1, ?)", (place,))
        return made

    def close(self) -> None:
        if self._mind is not None:
            self._mind.close()


def _what(rule: str, number: int, state: str, person: str, reason: str) -> Tells | None:
    """What an event of an alarm is to somebody who is not there; None for most."""
    code = reason.split(maxsplit=1)[0] if reason else ""
    if rule in TECHNICAL and (number == 0 or (person == SYSTEM and code == "again")):
        return TECHNICAL[rule]
    if state == AlarmState.ESCALATED and (code.startswith(UNANSWERED) if person == SYSTEM else "candidate" not in code):
        return Tells.UNANSWERED
    return None


class Teller:
    """Works through the notices of one notifier."""

    def __init__(
        self, settings: StationSettings, clock: Clock, db: sqlite3.Connection, record: Record, name: str, notifier: Notifier
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._db = db
        self._record = record
        self._name = name
        self._notifier = notifier
        self._error = ""
        self._check_due_ns = self._alive_due_ns = clock.monotonic_ns()

    def look_after(self) -> None:
        """Try now and then whether anybody could be told, and note that we live."""
        if self._clock.monotonic_ns() >= self._check_due_ns:
            error = ""
            try:
                self._notifier.check()
            except NotifyError as failed:
                error = str(failed)
            self._tried(error)
        elif self._clock.monotonic_ns() >= self._alive_due_ns:
            self._note()

    def _tried(self, error: str) -> None:
        """error: why nobody could be told, whatever was tried; empty where somebody could."""
        if error and not self._error:
            _log.warning("%s can tell nobody: %s", self._name, error)
        self._error = error
        pause_s = CHECK_FAILING_EVERY_S if error else CHECK_EVERY_S
        self._check_due_ns = self._clock.monotonic_ns() + round(pause_s * NS_PER_S)
        self._note()

    def _note(self) -> None:
        self._alive_due_ns = self._clock.monotonic_ns() + round(ALIVE_EVERY_S * NS_PER_S)
        note_health(self._db, self._name, Health(self._clock.utc_ns(), self._error))

    def work(self) -> bool:
        """Tell what is due first. Returns whether anything was."""
        now_ns = self._clock.utc_ns()
        row = self._db.execute(
            # A due time far ahead is a clock that was set back since: due at once.
            "SELECT number, what, alarm, made_ns, tries FROM notices WHERE notifier = ? AND done IS NULL "
            "AND (due_ns <= ? OR due_ns > ?) ORDER BY number LIMIT 1",
            (self._name, now_ns, now_ns + round(2 * LONGEST_PAUSE_S * NS_PER_S)),
        ).fetchone()
        if row is None:
            return False
        number, what, alarm, made_ns, tries = row
        notice = self._notice(number, what, alarm, now_ns)
        if notice is None:
            self._done(number, "settled", what, alarm)
            return True
        error = ""
        try:
            self._notifier.tell(notice)
        except NotifyError as failed:
            error = str(failed)
        after_ns = self._clock.utc_ns()
        pause_s = min(FIRST_PAUSE_S * 2 ** min(tries, 20), LONGEST_PAUSE_S)
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO tries(notice, number, at_ns, error) VALUES (?, ?, ?, ?)", (number, tries + 1, after_ns, error)
            )
            self._db.execute(
                "UPDATE notices SET tries = ?, due_ns = ? WHERE number = ?",
                (tries + 1, after_ns + round(pause_s * NS_PER_S), number),
            )
        self._tried(error)
        if not error:
            self._done(number, "told", what, alarm)
        elif after_ns - made_ns > GIVE_UP_NS:
            self._done(number, "given_up", what, alarm)
        else:
            _log.warning(
                "%s: notice %d (%s, %s) was not told: %s. Again in %.0f s.", self._name, number, what, alarm, error, pause_s
            )
        return True

    def _notice(self, number: int, what: str, alarm: str, now_ns: int) -> Notice | None:
        """The alarm as it is now; None when nobody has to be told any more."""
        mind = open_reader(self._settings.mind_db, MIND, self._settings.realm)
        try:
            row = mind.execute(
                "SELECT a.rule, a.priority, (SELECT at_ns FROM alarm_events WHERE alarm = a.id AND number = 0), "
                "(SELECT state FROM alarm_events WHERE alarm = a.id ORDER BY number DESC LIMIT 1) FROM alarms a "
                "WHERE a.id = ?", (alarm,),
            ).fetchone()
        finally:
            mind.close()
        if row is None or row[3] not in (AlarmState.ACTIVE, AlarmState.ESCALATED):
            return None
        return Notice(number, what, alarm, row[0], int(row[1]), row[3], int(row[2]), now_ns)

    def _done(self, number: int, how: str, what: str, alarm: str) -> None:
        # Recorded first: a crash between here and the commit leaves a line too many, never one too few.
        told: dict[str, str | int | float] = {"notice": number, "notifier": self._name, "what": what, "alarm": alarm}
        self._record.append(SYSTEM, f"notice.{how}", told)
        self._db.execute("UPDATE notices SET done = ? WHERE number = ?", (how, number))


def make_notifier(settings: StationSettings, wanted: NotifierSettings, clock: Clock) -> Notifier:
    """The notifier that a section of the settings describes."""
    if isinstance(wanted, EmailSettings):
        from station.notifier_email import EmailNotifier

        return EmailNotifier(settings, wanted)
    from station.notifier_siren import Siren

    return Siren(wanted, clock)


def run_notifiers(settings: StationSettings, clock: Clock | None = None) -> int:
    """The notifiers' process. Returns 0 after SIGTERM or SIGINT."""
    log_to_stderr()
    stop = stop_on_signals()
    clock = clock or WallClock()
    settings.make_folders()
    db = open_store(settings.notices_db, NOTICES, settings.realm, clock)
    collector = Collector(settings, clock, db)
    threads = [
        threading.Thread(target=_tell_on, args=(settings, wanted, clock, stop), name=f"notify {wanted.name}")
        for wanted in settings.notifiers
    ]
    for thread in threads:
        thread.start()
    names = ", ".join(n.name for n in settings.notifiers)
    _log.info("telling through %s", names or "nobody: there are no [[notifiers]] in the settings")
    try:
        while not stop.is_set():
            try:
                collector.look()
            except sqlite3.Error as error:
                _log.error("the disk takes no notices: %s. Trying again; nothing is lost, it is all in mind.db.", error)
            stop.wait(LOOK_EVERY_S)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        collector.close()
        db.close()
    return 0


def _tell_on(settings: StationSettings, wanted: NotifierSettings, clock: Clock, stop: threading.Event) -> None:
    """One notifier's thread, with connections of its own."""
    db = open_store(settings.notices_db, NOTICES, settings.realm, clock, Synchronous.FULL)
    record = Record(settings, clock)
    teller = Teller(settings, clock, db, record, wanted.name, make_notifier(settings, wanted, clock))
    try:
        while not stop.is_set():
            try:
                busy = teller.work()
                teller.look_after()
            except sqlite3.Error as error:
                _log.error("%s: the disk refuses: %s. Trying again.", wanted.name, error)
                busy = False
            except StoreError as error:
                _log.warning("%s: %s", wanted.name, error)
                busy = False
            if not busy:
                stop.wait(LOOK_EVERY_S)
    finally:
        db.close()
        record.close()


def try_notifiers(settings: StationSettings, person: str, clock: Clock | None = None) -> dict[str, str]:
    """Tell a test through each notifier. Returns by name why it was not told, empty where it was; recorded."""
    clock = clock or WallClock()
    record = Record(settings, clock)
    told = {}
    try:
        for wanted in settings.notifiers:
            now_ns = clock.utc_ns()
            error = ""
            try:
                make_notifier(settings, wanted, clock).tell(Notice(0, "test", "", "", 0, "", now_ns, now_ns))
            except NotifyError as failed:
                error = str(failed)
            record.append(person, "notice.test", {"notifier": wanted.name, "error": error})
            told[wanted.name] = error
    finally:
        record.close()
    return told


def waiting_notices(settings: StationSettings, clock: Clock | None = None) -> list[tuple[str, int, str]]:
    """What waits: notifier, how many notices, and the newest error of the one that waits longest."""
    db = open_store(settings.notices_db, NOTICES, settings.realm, clock or WallClock())
    try:
        rows = db.execute(
            "SELECT notifier, waiting, (SELECT error FROM tries WHERE notice = first ORDER BY number DESC LIMIT 1) FROM "
            "(SELECT notifier, count(*) AS waiting, min(number) AS first FROM notices WHERE done IS NULL GROUP BY notifier) "
            "ORDER BY notifier"
        ).fetchall()
    finally:
        db.close()
    return [(name, count, error or "") for name, count, error in rows]
