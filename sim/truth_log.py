"""What really was: the place of every actor over time, in a database beside the station's.

Times are the same UTC that nodes and station use, so that a detection's capture time finds the truth of that instant. Each
start of the world is a run of its own; ids of actors are unique within a run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from sqlite_utils import Database

from geofences.geodesy import Array
from sim.world_scenario import Scenario
from sim.world_state import Kind, Moment, Posture, Role
from wire.clock import NS_PER_S, Clock
from wire.settings import SettingsError

EVERY_NS = NS_PER_S // 2        # between two entries; walkers deviate from a straight line by millimetres in that time
COMMIT_EVERY_NS = 2 * NS_PER_S
GAP_NS = 2 * EVERY_NS + NS_PER_S // 2       # a longer silence about an actor, and nobody knows where it was
POSTURES = tuple(Posture)


class TruthLog:
    """The writer; one for each start of a world."""

    def __init__(self, path: Path, scenario: Scenario, clock: Clock) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            _make(Database(self._db))
            self._db.execute(
                "INSERT INTO runs(began_ns, scenario, seed, sky_starts) VALUES (?, ?, ?, ?)",
                (clock.utc_ns(), scenario.settings.name, scenario.settings.seed, scenario.settings.starts.isoformat()),
            )
        except sqlite3.Error as error:
            raise SettingsError(f"{path}: the truth cannot be written: {error}. Name another file in `truth`.") from None
        self._run = int(self._db.execute("SELECT max(run) FROM runs").fetchone()[0])
        self._known: set[int] = set()
        self._noted_ns = self._committed_ns = 0

    def note(self, moment: Moment) -> None:
        """Write a moment down when the last one is EVERY_NS old; called more often, it does nothing."""
        if 0 <= moment.utc_ns - self._noted_ns < EVERY_NS:
            return
        self._noted_ns = moment.utc_ns
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        for state in moment.actors:
            a = state.actor
            if a.id not in self._known:
                self._known.add(a.id)
                self._db.execute(
                    "INSERT INTO actors VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (self._run, a.id, a.kind.value, a.role.value, a.party, a.looks.plate,
                     msgspec.json.encode(a.looks).decode("utf-8")),
                )
        self._db.executemany(
            "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (self._run, s.actor.id, moment.utc_ns, s.east_m, s.north_m, s.height_msl_m, s.velocity_mps[0],
                 s.velocity_mps[1], POSTURES.index(s.posture), s.aboard)
                for s in moment.actors
            ],
        )
        if not 0 <= moment.utc_ns - self._committed_ns < COMMIT_EVERY_NS:
            self._committed_ns = moment.utc_ns
            self._db.execute("COMMIT")

    def close(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")
        self._db.close()


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One actor's whole way. at_ns: (n,) rising. place_m: (n, 3) east, north, height. posture: (n,) index into POSTURES.

    aboard: (n,) id of what carries it, 0 for nothing. party: unique over runs, 0 for alone.
    """

    run: int
    actor: int
    kind: Kind
    role: Role
    party: int
    plate: str
    at_ns: npt.NDArray[np.int64]
    place_m: Array
    posture: npt.NDArray[np.int64]
    aboard: npt.NDArray[np.int64]

    def at(self, ns: int) -> Array | None:
        """(3,) where it was at a time, evenly between two entries; None when it was not there."""
        i = int(np.searchsorted(self.at_ns, ns))
        if i < len(self.at_ns) and self.at_ns[i] == ns:
            return np.asarray(self.place_m[i], dtype=float)
        if i == 0 or i == len(self.at_ns) or self.at_ns[i] - self.at_ns[i - 1] > GAP_NS:
            return None
        f = float(ns - self.at_ns[i - 1]) / float(self.at_ns[i] - self.at_ns[i - 1])
        return np.asarray(self.place_m[i - 1] + (self.place_m[i] - self.place_m[i - 1]) * f, dtype=float)


def read_courses(path: Path) -> list[Course]:
    """Everybody's way, of all runs. Raises SettingsError for a file that is no truth."""
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)
        try:
            return list(_courses(db))
        finally:
            db.close()
    except sqlite3.Error as error:
        raise SettingsError(f"{path}: is not the truth of a simulated world: {error}") from None


def _courses(db: sqlite3.Connection) -> Iterator[Course]:
    actors = db.execute("SELECT run, actor, kind, role, party, plate FROM actors ORDER BY run, actor").fetchall()
    for run, actor, kind, role, party, plate in actors:
        rows = db.execute(
            "SELECT at_ns, east_m, north_m, height_m, posture, aboard FROM states "
            "WHERE run = ? AND actor = ? ORDER BY at_ns",
            (run, actor),
        ).fetchall()
        if rows:
            times, *columns = zip(*rows, strict=True)
            yield Course(
                run, actor, Kind(kind), Role(role), run * 1_000_000 + party if party else 0, plate,
                np.array(times, np.int64), np.column_stack([np.array(c, float) for c in columns[:3]]),
                np.array(columns[3], np.int64), np.array(columns[4], np.int64),
            )


def _make(db: Database) -> None:
    """WITHOUT ROWID keeps an actor's states together, which is how they are read; sqlite-utils does not spell it."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, began_ns INTEGER NOT NULL, scenario TEXT NOT NULL, "
        "seed INTEGER NOT NULL, sky_starts TEXT NOT NULL, realm TEXT NOT NULL DEFAULT 'training')"
    )
    db.execute(
        "CREATE TABLE IF NOT EXISTS actors (run INTEGER, actor INTEGER, kind TEXT NOT NULL, role TEXT NOT NULL, "
        "party INTEGER NOT NULL, plate TEXT NOT NULL, looks TEXT NOT NULL, PRIMARY KEY (run, actor))"
    )
    db.execute(
        "CREATE TABLE IF NOT EXISTS states (run INTEGER, actor INTEGER, at_ns INTEGER, east_m REAL, north_m REAL, "
        "height_m REAL, ve_mps REAL, vn_mps REAL, posture INTEGER, aboard INTEGER, PRIMARY KEY (run, actor, at_ns)) "
        "WITHOUT ROWID"
    )
