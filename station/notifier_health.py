"""Whether each notifier could tell anybody now: noted by its own process, read by the mind, which makes an alarm of it.

A way of telling that is found dead when it is needed is found too late. So each is tried without telling anything, every
CHECK_EVERY_S, and notes meanwhile that its process lives.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlite_utils import Database

from station.notifier_settings import NotifierSettings, SirenSettings
from station.settings import StationSettings
from station.store import Schema, StoreError, open_reader
from wire.clock import NS_PER_S, Clock

CHECK_EVERY_S = 600.0           # while all is well: a mail server on a thin link, a relay on a cable
CHECK_FAILING_EVERY_S = 60.0
ALIVE_EVERY_S = 30.0            # each is a commit
ALIVE_WITHIN_S = 90.0           # two of them missed
LOOK_EVERY_NS = 5 * NS_PER_S
SLACK_NS = 2 * NS_PER_S         # processes of one machine share its clock
COMMANDS_EACH_SLOW = 4          # of a mail server, each of which may take as long as its timeout


@dataclass(frozen=True, slots=True)
class Health:
    """alive_ns: when its process last said so. error: why nobody can be told; empty where it could."""

    alive_ns: int
    error: str


def health_table(db: Database) -> None:
    """The table in notices.db."""
    db["health"].create({"notifier": str, "alive_ns": int, "error": str}, pk="notifier")


def note_health(db: sqlite3.Connection, notifier: str, health: Health) -> None:
    db.execute(
        "INSERT OR REPLACE INTO health(notifier, alive_ns, error) VALUES (?, ?, ?)",
        (notifier, health.alive_ns, health.error),
    )


def patience_ns(wanted: NotifierSettings) -> int:
    """How long a notifier may be busy telling before it counts as dead."""
    busy_s = wanted.seconds if isinstance(wanted, SirenSettings) else COMMANDS_EACH_SLOW * wanted.timeout_s
    return round((ALIVE_WITHIN_S + busy_s) * NS_PER_S)


class NotifierWatch:
    """The mind's side."""

    def __init__(self, settings: StationSettings, schema: Schema, clock: Clock) -> None:
        self._settings = settings
        self._schema = schema
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._due_ns = 0
        self._heard: dict[str, Health] = {}

    def look(self, now_ns: int) -> dict[str, tuple[bool, str]]:
        """Of each notifier of the settings: whether its process lives, and why it can tell nobody; empty where it can."""
        monotonic_ns = self._clock.monotonic_ns()
        if self._settings.notifiers and monotonic_ns >= self._due_ns:
            self._due_ns = monotonic_ns + LOOK_EVERY_NS
            self._heard = self._read()
        found = {}
        for wanted in self._settings.notifiers:
            health = self._heard.get(wanted.name)
            # A word from the future is one from before the clock was set back: the next one will be of now.
            lives = health is not None and -SLACK_NS <= now_ns - health.alive_ns <= patience_ns(wanted)
            found[wanted.name] = (lives, health.error if health is not None else "")
        return found

    def _read(self) -> dict[str, Health]:
        """What is in the file; nothing while it is not there, or cannot be read: then nobody is told either."""
        try:
            self._db = self._db or open_reader(self._settings.notices_db, self._schema, self._settings.realm)
            rows = self._db.execute("SELECT notifier, alive_ns, error FROM health").fetchall()
        except (FileNotFoundError, StoreError, sqlite3.Error):
            self.close()
            return {}
        return {name: Health(int(alive_ns), error) for name, alive_ns, error in rows}

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
