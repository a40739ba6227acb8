"""When each metre of trail was last seen, by whom and how well.

In memory that is one row of numbers a metre; on the disk it is runs of metres that were seen in the same second by the same
sensor: one for what a fixed camera watches, one every few metres for what a drone flew over.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlite_utils import Database

from geofences.geodesy import Array, LocalFrame
from station.coverage_grades import Grades
from station.coverage_trail import Indices, Trail
from station.coverage_walks import create_walks
from station.store import Schema, Synchronous, set_synchronous, transaction

SAME_PLACE_M = 10.0             # a corridor was drawn anew: what lies so near to the old line keeps its time
SENSORS_LIMIT = 60_000          # names fit into 16 bits

_log = logging.getLogger("trailwatch.mind")

Seconds = npt.NDArray[np.int64]
_RUN = np.dtype([("metres", "<u4"), ("seen_s", "<i8"), ("by", "<u2"), ("grade", "u1")])


def _coverage_1(db: Database) -> None:
    # line: JSON, latitudes and longitudes of the centre line that the runs count along. runs: zlib of _RUN rows.
    db["corridors"].create({"id": str, "line": str, "since_s": int, "runs": bytes}, pk="id")
    db["memory"].create({"name": str, "state": str}, pk="name")


COVERAGE = Schema("coverage", (_coverage_1, create_walks))


@dataclass(slots=True)
class Kept:
    """What a file says beside the runs. place: of the inbox, up to which everything is in them. saved_s: when."""

    place: int = 0
    saved_s: int = 0


class Ledger:
    """seen_s: (n,) Unix seconds, 0 for never. since_s: (corridors,) since when it is counted. by, grade: of the last sight;
    `by` counts in `names`.
    """

    def __init__(self, trail: Trail, now_s: int) -> None:
        self.trail = trail
        self.seen_s: Seconds = np.zeros(trail.size, np.int64)
        self.by = np.zeros(trail.size, np.uint16)
        self.grade: Grades = np.zeros(trail.size, np.uint8)
        self.since_s: Seconds = np.full(len(trail.parts), now_s, np.int64)
        self.names = [""]
        self._numbers = {"": 0}
        self.changed: set[int] = set(range(len(trail.parts)))

    def saw(self, sensor: str, metres: Indices, grades: Grades, at_s: int) -> None:
        """A sensor saw these metres (m,) at these grades (m,). What was seen later already stays."""
        newer = self.seen_s[metres] <= at_s
        if not newer.any():
            return
        metres, grades = metres[newer], grades[newer]
        self.seen_s[metres], self.grade[metres], self.by[metres] = at_s, grades, self._number(sensor)
        self.changed.update(np.unique(self.trail.part_of[metres]).tolist())

    def _number(self, sensor: str) -> int:
        number = self._numbers.get(sensor)
        if number is None:
            if len(self.names) >= SENSORS_LIMIT:
                return 0
            number = self._numbers[sensor] = len(self.names)
            self.names.append(sensor)
        return number

    def shift(self, seconds: int) -> None:
        """The clock was set: what was so old before is as old after."""
        self.seen_s[self.seen_s > 0] += seconds
        self.since_s += seconds
        self.changed.update(range(len(self.trail.parts)))

    def waiting_s(self, now_s: int) -> Seconds:
        """(n,) for how long each metre has not been seen; from the beginning of the count where it never was."""
        waiting: Seconds = np.maximum(now_s - np.maximum(self.seen_s, self.since_s[self.trail.part_of]), 0)
        return waiting

    # ------------------------------------------------------------------------------------------------------- on the disk

    def save(self, db: sqlite3.Connection, kept: Kept) -> None:
        """What has changed, with the place, in one transaction. Raises sqlite3.Error; the next time tries it again."""
        set_synchronous(db, Synchronous.NORMAL)
        changed = sorted(self.changed)
        rows = []
        for number in changed:
            part = self.trail.parts[number]
            rows.append((part.id, json.dumps(part.line_deg), int(self.since_s[number]), self._encode(part.metres)))
        with transaction(db):
            db.executemany("INSERT OR REPLACE INTO corridors(id, line, since_s, runs) VALUES (?, ?, ?, ?)", rows)
            said = {"place": kept.place, "saved_s": kept.saved_s, "names": self.names}
            db.executemany(
                "INSERT OR REPLACE INTO memory(name, state) VALUES (?, ?)", [(k, json.dumps(v)) for k, v in said.items()]
            )
        self.changed.difference_update(changed)

    def load(self, db: sqlite3.Connection, frame: LocalFrame, now_s: int) -> Kept:
        """Take over what a file has. Corridors that it does not know begin now; those that are gone stay in the file."""
        said = {name: json.loads(state) for name, state in db.execute("SELECT name, state FROM memory")}
        self.names = [str(n) for n in said.get("names", [""])]
        self._numbers = {name: i for i, name in enumerate(self.names)}
        stored = {row[0]: row[1:] for row in db.execute("SELECT id, line, since_s, runs FROM corridors")}
        self.changed.clear()
        known = np.zeros(len(self.trail.parts), bool)
        for number, part in enumerate(self.trail.parts):
            if part.id not in stored:
                self.changed.add(number)
                continue
            known[number] = True
            line, since_s, runs = stored[part.id]
            self.since_s[number] = int(since_s)
            old = np.frombuffer(zlib.decompress(runs), _RUN)
            metres = np.repeat(old, old["metres"])
            if json.loads(line) == [list(p) for p in part.line_deg] and len(metres) == part.count:
                self._take(part.metres, metres)
            else:
                self._take_near(number, metres, json.loads(line), frame)
                self.changed.add(number)
        kept = Kept(int(said.get("place", 0)), int(said.get("saved_s", 0)))
        ahead_s = kept.saved_s - now_s
        if ahead_s > 0:
            # Written by a clock that ran ahead. How long we were off nobody knows: what was so old then is so old now.
            _log.warning("coverage was last written %d s in the future; ages are kept as they were then", ahead_s)
            self.seen_s[self.seen_s > 0] -= ahead_s
            self.since_s[known] -= ahead_s
            self.changed.update(np.flatnonzero(known).tolist())
        return kept

    def _encode(self, metres: slice) -> bytes:
        seen, by, grade = self.seen_s[metres], self.by[metres], self.grade[metres]
        ends = np.flatnonzero((np.diff(seen) != 0) | (np.diff(by) != 0) | (np.diff(grade) != 0))
        starts = np.concatenate([[0], ends + 1])
        runs = np.empty(len(starts), _RUN)
        runs["metres"] = np.diff(np.concatenate([starts, [len(seen)]]))
        runs["seen_s"], runs["by"], runs["grade"] = seen[starts], by[starts], grade[starts]
        return zlib.compress(runs.tobytes())

    def _take(self, metres: slice, rows: npt.NDArray[np.void]) -> None:
        self.seen_s[metres] = rows["seen_s"]
        self.grade[metres] = rows["grade"]
        self.by[metres] = np.where(rows["by"] < len(self.names), rows["by"], 0)

    def _take_near(self, number: int, rows: npt.NDArray[np.void], line_deg: list[list[float]], frame: LocalFrame) -> None:
        """The corridor was drawn anew: each metre takes the time of the old metre next to it, if that is near enough."""
        part = self.trail.parts[number]
        if not len(rows) or len(line_deg) < 2:
            return
        old = _each_metre(frame.to_enu([p[0] for p in line_deg], [p[1] for p in line_deg]), len(rows))
        new = self.trail.feet_m[part.metres, 0, :2]
        nearest = np.empty(len(new), np.intp)
        apart = np.empty(len(new))
        for begin in range(0, len(new), 500):
            away = np.hypot(*(new[begin : begin + 500, None] - old).transpose(2, 0, 1))
            nearest[begin : begin + 500], apart[begin : begin + 500] = away.argmin(axis=1), away.min(axis=1)
        taken = rows[nearest]
        taken["seen_s"][apart > SAME_PLACE_M] = 0
        taken["grade"][apart > SAME_PLACE_M] = 0
        taken["by"][apart > SAME_PLACE_M] = 0
        self._take(part.metres, taken)


def _each_metre(corners: Array, count: int) -> Array:
    """(count, 2) the middles of the metres along a line through corners (m, 2)."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    at = np.minimum(np.arange(count) + 0.5, along[-1])
    return np.column_stack([np.interp(at, along, corners[:, 0]), np.interp(at, along, corners[:, 1])])
