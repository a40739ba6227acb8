"""That a session was sent a match, which names a watchlist subject: on the record once for each session and match."""

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
    """What each session has had since this server started. A match that is told again is not noted again."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._had: dict[str, tuple[int, set[str]]] = {}      # token -> when its session ends at the latest, ids of matches

    async def note(self, session: Session, matches: Iterable[MatchView]) -> bool:
        """Put on the record what is about to be sent. False when the record takes nothing: then it must not be sent."""
        had = self._had.get(session.token, (0, set[str]()))[1]
        fresh = [m for m in matches if m.id not in had]
        if not fresh:
            return True
        return await anyio.to_thread.run_sync(self.note_now, session, fresh)

    def note_now(self, session: Session, matches: Iterable[MatchView]) -> bool:
        """The same from a thread."""
        with self._lock:
            now_ns = self._clock.utc_ns()
            self._had = {t: kept for t, kept in self._had.items() if kept[0] > now_ns or t == session.token}
            had = self._had.get(session.token, (0, set[str]()))[1]
            fresh = [m for m in matches if m.id not in had]
            if not fresh:
                return True
            try:
                with contextlib.closing(Record(self._settings, self._clock)) as record:
                    record.append_all(
                        session.person.name, "match.delivered", [{"match": m.id, "subject": m.subject} for m in fresh]
                    )
            except (StoreError, SettingsError, sqlite3.Error) as error:
                log.error("a match is withheld, for the record takes nothing: %s", error)
                return False
            self._had[session.token] = (session.ends_ns, had | {m.id for m in fresh})
            return True
