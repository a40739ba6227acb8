"""Records in the audit record that a session received a match, once for each session and match.

A match names a watchlist subject, so its delivery is a look at the watchlist.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterable

import anyio.to_thread

from station.access import Session
from station.picture import MatchView
from station.record import Record
from station.settings import StationSettings
from station.store import StoreError
from wire.clock import Clock
from wire.settings import SettingsError

log = logging.getLogger("trailwatch.web")


class Deliveries:
    """Remembers which matches each session received since this web server started, so that repeats are not recorded."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        # Session token -> UTC end of the session in nanoseconds, and the ids of the matches that it has received.
        self._received: dict[str, tuple[int, set[str]]] = {}

    async def record(self, session: Session, matches: Iterable[MatchView]) -> bool:
        """Record matches before they are sent. Returns False if the record cannot be written; then do not send them."""
        received = self._received.get(session.token, (0, set[str]()))[1]
        fresh = [m for m in matches if m.id not in received]
        if not fresh:
            return True
        return await anyio.to_thread.run_sync(self.record_now, session, fresh)

    def record_now(self, session: Session, matches: Iterable[MatchView]) -> bool:
        """The same as `record`, but it blocks: call it from a worker thread."""
        with self._lock:
            now_ns = self._clock.utc_ns()
            self._received = {t: kept for t, kept in self._received.items() if kept[0] > now_ns or t == session.token}
            received = self._received.get(session.token, (0, set[str]()))[1]
            fresh = [m for m in matches if m.id not in received]
            if not fresh:
                return True
            try:
                with contextlib.closing(Record(self._settings, self._clock)) as record:
                    record.append_all(
                        session.person.name, "match.delivered", [{"match": m.id, "subject": m.subject} for m in fresh]
                    )
            except (StoreError, SettingsError, sqlite3.Error) as error:
                log.error("matches are withheld, because the audit record cannot be written: %s", error)
                return False
            self._received[session.token] = (session.ends_ns, received | {m.id for m in fresh})
            return True
