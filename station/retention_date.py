"""Whether anything may be erased by the station's date.

A date may be wrong for hours: a GPS receiver whose weeks rolled over, a year typed wrongly after a dead battery, a false
NTP. What was erased by it is gone for good. So nothing is erased before the date has run on for an hour without a step, and
nothing while it is further than MOST_OFF_NS from the last one that was believed; then a person says that it is right.
The mind keeps that last date, in mind.db; the inbox and the web server go by it.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime

from station.record import Record
from station.retention import DAY_NS, Pace
from station.settings import StationSettings
from station.store import MIND, StoreError, Synchronous, open_reader, open_store, transaction
from wire.clock import NS_PER_S, Clock
from wire.settings import SettingsError
from wire.steady import EARLIEST_NS, SteadyDate

# A station that was switched off for three weeks goes on by itself; a wrong month, 28 days at least, and a wrong year wait.
# What a date that is wrong by less can erase is what would have gone within these days anyhow.
MOST_OFF_NS = 27 * DAY_NS
KEEP_EVERY_NS = 3600 * NS_PER_S
LAST, OFF = "date", "date off"      # ns, in mind.db's table `retention`, beside the cursors. OFF: while a person is needed


class ErasingDate:
    """Of one process. mind: mind.db, which the mind alone opens for writing. All raise sqlite3.Error."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steady = SteadyDate(clock)
        self._last_ns: int | None = None
        self._known_ns = 0                  # monotonic: when this process first saw that last date

    def is_believed(self, mind: sqlite3.Connection) -> bool:
        off_ns, is_steady = self._off_ns(mind), self._steady.has_run_an_hour()
        return is_steady and off_ns is not None and abs(off_ns) <= MOST_OFF_NS and self._clock.utc_ns() >= EARLIEST_NS

    def keep(self, mind: sqlite3.Connection) -> None:
        """In the mind, before `is_believed`: note the date where it can be believed, and where only a person can tell."""
        off_ns, now_ns, is_steady = self._off_ns(mind), self._clock.utc_ns(), self._steady.has_run_an_hour()
        if off_ns is not None and abs(off_ns) > MOST_OFF_NS:
            if is_steady and date_off_days(mind) != whole_days(off_ns):
                _write(mind, OFF, off_ns)
            return
        if date_off_days(mind):
            _forget(mind, OFF)
        if not is_steady or now_ns < EARLIEST_NS:
            return
        if self._last_ns is None or not 0 <= now_ns - self._last_ns < KEEP_EVERY_NS:
            _write(mind, LAST, now_ns)

    def _off_ns(self, mind: sqlite3.Connection) -> int | None:
        """How far the date is ahead of the last that was believed, less what was really run since; None: there is none."""
        last_ns = _read(mind, LAST)
        if last_ns != self._last_ns:
            self._last_ns, self._known_ns = last_ns, self._clock.monotonic_ns()
        if last_ns is None:
            return None
        return self._clock.utc_ns() - last_ns - (self._clock.monotonic_ns() - self._known_ns)


class MindsWord:
    """When another process than the mind may erase: where it is time, and the mind is there and its date believed."""

    def __init__(self, settings: StationSettings, clock: Clock, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._pace = Pace(clock)
        self._date = ErasingDate(clock)

    def step(self, look: Callable[[sqlite3.Connection], bool]) -> None:
        """look: at the next few, by mind.db; it returns whether there was anything to erase.

        Raises nothing: what cannot be erased now is erased later.
        """
        if not self._pace.is_due:
            return
        found_work = False
        try:
            with contextlib.closing(open_reader(self._settings.mind_db, MIND, self._settings.realm)) as mind:
                found_work = self._date.is_believed(mind) and look(mind)
        except FileNotFoundError:
            pass                                # without the mind's word nothing goes
        except (sqlite3.Error, StoreError) as error:
            self._log.warning("retention waits: %s", error)
        self._pace.done(found_work)


def date_off_days(mind: sqlite3.Connection) -> int:
    """By how many days the date is ahead of the last that was believed, behind it where negative; 0: nobody is needed."""
    return whole_days(_read(mind, OFF) or 0)


def whole_days(ns: int) -> int:
    return round(ns / DAY_NS)


def confirm_date(settings: StationSettings, person: str, today: str, clock: Clock) -> None:
    """Somebody says which day it is: the station's date is believed from now on. Raises SettingsError in words.

    The day is asked for, so that nobody confirms a date without having looked at one.
    """
    now_ns = clock.utc_ns()
    here = datetime.fromtimestamp(now_ns / NS_PER_S, UTC)
    try:
        said = date.fromisoformat(today)
    except ValueError:
        raise SettingsError(f"retention: --today {today}: give it as year-month-day, for example 2026-11-25") from None
    if abs((said - here.date()).days) > 1 or now_ns < EARLIEST_NS:      # the local day may be another than that of UTC
        raise SettingsError(
            f"retention: --today {today}: this machine's date is {here:%Y-%m-%d}. Set that right first; nothing is erased"
        )
    if not settings.mind_db.exists():
        raise SettingsError(f"retention: {settings.mind_db} is not there yet: there is nothing to be confirmed")
    record = Record(settings, clock)
    try:
        mind = open_store(settings.mind_db, MIND, settings.realm, clock, Synchronous.NORMAL)
        try:
            last_ns = _read(mind, LAST)
            record.append(person, "retention.date_confirmed", {"off_days": whole_days(now_ns - (last_ns or now_ns))})
            with transaction(mind):
                _write(mind, LAST, now_ns)
                _forget(mind, OFF)
        finally:
            mind.close()
    except sqlite3.Error as error:
        raise SettingsError(f"retention: {settings.mind_db}: {error}. Not confirmed: try again") from None
    finally:
        record.close()


def _read(mind: sqlite3.Connection, kind: str) -> int | None:
    row = mind.execute("SELECT looked_until FROM retention WHERE kind = ?", (kind,)).fetchone()
    return None if row is None else int(row[0])


def _forget(mind: sqlite3.Connection, kind: str) -> None:
    mind.execute("DELETE FROM retention WHERE kind = ?", (kind,))


def _write(mind: sqlite3.Connection, kind: str, ns: int) -> None:
    mind.execute("INSERT OR REPLACE INTO retention(kind, looked_until) VALUES (?, ?)", (kind, ns))
