"""The watchlist as matching holds it: an index in memory, and each record opened only when it is a candidate.

Once a second it looks whether another process has written, and takes what has changed; approval and expiry are read from
the record at the moment it matters. Where the file cannot be read any more, a list of up to HELD_RECORDS is still there,
sealed in memory as it last was; `trouble` says in words what is wrong, and a technical alarm is raised from it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from geofences.geodesy import LocalFrame
from station.kalman import Array
from station.matching_plates import canonical_neighbours, canonical_plate, clean_plate
from station.matching_weights import Weights
from station.settings import StationSettings
from station.store import StoreError
from station.subjects import Report, Subject
from station.watchlist_file import Watchlist
from station.watchlist_index import WatchlistIndex
from wire.clock import NS_PER_S, Clock
from wire.settings import SettingsError

LOOKED_EVERY_NS = NS_PER_S
OPENED_EVERY_NS = 10 * NS_PER_S         # a file that could not be opened
REPORT_LATE_NS = 72 * 3600 * NS_PER_S   # what a node without a link delivers so late is still held against a report
CELL_M = 500.0
TEXTS_REMEMBERED = 20_000
HELD_RECORDS = 20_000                   # sealed, about 0.6 kB each

_log = logging.getLogger("trailwatch.mind")


class ListReader:
    """weights: those in force. trouble: what is wrong with the file, in words; empty where nothing is."""

    def __init__(self, settings: StationSettings, clock: Clock, frame: LocalFrame) -> None:
        self._settings = settings
        self._clock = clock
        self._frame = frame
        self._list: Watchlist | None = None
        self._sealer: Watchlist | None = None       # the last that was open: its key, whatever became of the file
        self._version = self._deletions = -1
        self._looked_ns = self._opened_ns = 0
        self._forget()
        self.weights = Weights()
        self.trouble = ""
        self._unopened: set[int] = set()

    def _forget(self) -> None:
        self.index = WatchlistIndex()
        self._held: dict[int, bytes] | None = {}
        self._reports: dict[int, Report] = {}
        self._by_corridor: dict[str, list[Report]] = {}
        self._by_cell: dict[tuple[int, int], list[Report]] = {}
        self._numbers_of_text = lru_cache(TEXTS_REMEMBERED)(self._find_text)

    @property
    def has_reports(self) -> bool:
        return bool(self._reports)

    def look(self, now_ns: int) -> bool:
        """Take what has changed, once a second at most. Returns whether anything has."""
        if 0 <= now_ns - self._looked_ns < LOOKED_EVERY_NS:
            return False
        self._looked_ns = now_ns
        changed = False
        try:
            changed = self._take_changes(now_ns)
        except (sqlite3.Error, SettingsError) as error:
            self._note_trouble(str(error))
            self._close()
        self._drop_reports(now_ns)
        return changed

    def look_again(self) -> None:
        """At the next `look`, whatever the time."""
        self._looked_ns = -LOOKED_EVERY_NS

    def numbers_of(self, plates: Iterable[str]) -> set[int]:
        """Numbers of the records that these readings may be of; a record decides itself whether they are."""
        found: set[int] = set()
        for text in plates:
            found.update(self._numbers_of_text(clean_plate(text)))
        return found

    def find(self, number: int) -> Subject | None:
        """A record as it is now, or as it last was where the file cannot be read; None where there is none to be had."""
        try:
            if self._list is not None and not self._list.trouble:
                found = self._list.find(number)
                self._unopened.discard(number)
                return found
        except StoreError as error:
            # Somebody has tampered with it; that must not stop the alarms of the corridors.
            self._unopened.add(number)
            self._note_trouble(str(error))
        except sqlite3.Error as error:
            self._note_trouble(f"{self._settings.watchlist_db}: {error}")
        return self._held_subject(number)

    def reports_near(self, corridors: Iterable[str], place_m: Array) -> list[Report]:
        """Reports of these corridors, or of a place around this one (metres, east and north)."""
        found = [r for c in corridors for r in self._by_corridor.get(c, ())]
        found += self._by_cell.get((math.floor(place_m[0] / CELL_M), math.floor(place_m[1] / CELL_M)), ())
        return found

    def distance_m(self, report: Report, place_m: Array) -> float | None:
        if report.position is None:
            return None
        return float(np.hypot(*(self._frame.point(report.position) - place_m)))

    def plate_key(self, text: str) -> int:
        return 0 if self._sealer is None else self._sealer.plate_key(text)

    def close(self) -> None:
        self._close()

    # ---------------------------------------------------------------------------------------------------- changes

    def _take_changes(self, now_ns: int) -> bool:
        if self._list is None or self._list.trouble:
            if not self._may_open(now_ns):
                return False
            self._open()
        assert self._list is not None
        version = self._list.version()
        if version == self._version and not self._unopened:
            return False
        if self._unopened:
            self._try_unopened()
        if version == self._version:
            return False
        deletions = self._list.deletions()
        if deletions != self._deletions and not self._list.trouble:
            self._forget()
        since = self.index.change
        self.index.take(self._list.changed_since(since))
        self._numbers_of_text.cache_clear()
        self._hold(since)
        self._take_reports()
        self.weights = self._list.weights_in_force()
        self._version, self._deletions = version, deletions
        if not self._unopened and not self._list.trouble:
            self.trouble = ""
        return True

    def _may_open(self, now_ns: int) -> bool:
        if 0 <= now_ns - self._opened_ns < OPENED_EVERY_NS and self._opened_ns:
            return False
        self._opened_ns = now_ns
        return True

    def _open(self) -> None:
        self._close()
        self._list = self._sealer = Watchlist(self._settings, self._clock, as_far_as_it_goes=True)
        self._version = -1
        if self._list.trouble:
            self._note_trouble(self._list.trouble)

    def _hold(self, since: int) -> None:
        """Keep short lists sealed in memory, for the day on which the file cannot be read."""
        assert self._list is not None
        if self._held is None or self.index.records > HELD_RECORDS:
            self._held = None
            return
        self._held.update(self._list.sealed_since(since))

    def _held_subject(self, number: int) -> Subject | None:
        if self._held is None or self._sealer is None or number not in self._held:
            return None
        with contextlib.suppress(StoreError):
            return self._sealer.unseal(number, self._held[number])
        return None

    def _try_unopened(self) -> None:
        assert self._list is not None
        for number in list(self._unopened):
            with contextlib.suppress(StoreError):
                self._list.find(number)
                self._unopened.discard(number)
        if not self._unopened:
            self.trouble = self._list.trouble

    def _find_text(self, text: str) -> tuple[int, ...]:
        key = self.plate_key
        if not text or not self.index.records:
            return ()
        # One character lost or put in leads to others, also where the plate as it was read is somebody's: bits decide.
        return tuple(self.index.find([key(canonical_plate(text)), *(key(c) for c in canonical_neighbours(text))]))

    # ---------------------------------------------------------------------------------------------------- reports

    def _take_reports(self) -> None:
        assert self._list is not None
        for number, report in self._list.reports(max(self._reports, default=0)):
            self._reports[number] = report
            for where in self._places(report):
                where.append(report)

    def _places(self, report: Report) -> Iterator[list[Report]]:
        if report.corridor is not None:
            yield self._by_corridor.setdefault(report.corridor, [])
        if report.position is not None:
            east, north = self._frame.point(report.position)
            reach = report.radius_m
            for i in range(math.floor((east - reach) / CELL_M), math.floor((east + reach) / CELL_M) + 1):
                for j in range(math.floor((north - reach) / CELL_M), math.floor((north + reach) / CELL_M) + 1):
                    yield self._by_cell.setdefault((i, j), [])

    def _drop_reports(self, now_ns: int) -> None:
        """Long over: nothing that still arrives can be about them. Their numbers stay, so that they are not read again."""
        for reports in (*self._by_corridor.values(), *self._by_cell.values()):
            if reports:
                reports[:] = [r for r in reports if now_ns <= r.until_ns + REPORT_LATE_NS]

    # ---------------------------------------------------------------------------------------------------- trouble

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("%s Going on with the list of before, of %d records.", trouble, self.index.records)
        self.trouble = trouble

    def _close(self) -> None:
        if self._list is not None:
            with contextlib.suppress(sqlite3.Error):
                self._list.close()
        self._list = None
