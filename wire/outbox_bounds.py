"""What of an outbox has to go, oldest first: what exceeds its bound, and pictures that nobody needs on a node any more.

How old a picture is comes from marks: once an hour the newest identity is written down with the date. A node's date may be
wrong. So no mark is made, and none is gone by, before the date has run on without a step for an hour, and one before
EARLIEST_NS is no date. A step back and forth loses nothing; a date that is wrong for hours costs pictures, and never a
sighting.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from wire.clock import NS_PER_S, Clock
from wire.steady import EARLIEST_NS, SteadyDate

DAY_NS = 24 * 3600 * NS_PER_S
MARK_EVERY_NS = 3600 * NS_PER_S
MARKS_LIMIT = 20_000            # two years of hours

# Lower goes first to the station, and last from here. Within one priority: by boot, then sequence.
URGENT, STATE, OUTSIDE, PICTURE = 0, 1, 2, 3

_MARKS = "create table if not exists hours (at_ns integer not null, boot integer not null, sequence integer not null)"
_OLDEST = "select id, size, detections from queue where priority = ? order by boot, sequence"
_OLD_PICTURES = """
select id, size, detections from queue
where priority = ? and (boot, sequence) <= (
    select boot, sequence from hours where at_ns <= ? order by boot desc, sequence desc limit 1
)
"""


@dataclass(frozen=True, slots=True)
class PictureBounds:
    """limit_bytes: of the pictures that wait, within the outbox's own limit. days: that one may wait. 0: no bound."""

    limit_bytes: int = 0
    days: float = 0.0


@dataclass(slots=True)
class Gone:
    """What was deleted: messages, the detections in them, bytes of all and of the pictures among them."""

    messages: int = 0
    detections: int = 0
    size: int = 0
    picture_size: int = 0


class Bounds:
    """Of one outbox. Everything happens in the caller's transaction."""

    def __init__(self, limit_bytes: int, pictures: PictureBounds, clock: Clock) -> None:
        self._limit_bytes = limit_bytes
        self._pictures = pictures
        self._clock = clock
        self._date = SteadyDate(clock)
        self._marked_ns = clock.monotonic_ns()

    def trim(self, db: sqlite3.Connection, waiting: int, pictures: int, newest: tuple[int, int], room: int) -> Gone:
        """Delete what has to go. waiting, pictures: bytes in the file, of all and of pictures. newest: the last identity.

        room: bytes that may wait on this disk, where that is less than the limit.
        """
        gone = Gone()
        if self._hour_has_passed():
            self._let_go_of_old(db, newest, gone)
        if self._pictures.limit_bytes:
            _delete(db, _OLDEST, (PICTURE,), pictures - gone.size - self._pictures.limit_bytes, gone)
        gone.picture_size = gone.size
        for priority in (PICTURE, OUTSIDE, STATE, URGENT):
            _delete(db, _OLDEST, (priority,), waiting - gone.size - min(self._limit_bytes, room), gone)
            if priority == PICTURE:
                gone.picture_size = gone.size
        return gone

    def _hour_has_passed(self) -> bool:
        """Since the last mark, by a date that can be believed."""
        now_ns = self._clock.monotonic_ns()
        if not self._date.has_run_an_hour() or now_ns - self._marked_ns < MARK_EVERY_NS:
            return False
        self._marked_ns = now_ns
        return self._clock.utc_ns() >= EARLIEST_NS

    def _let_go_of_old(self, db: sqlite3.Connection, newest: tuple[int, int], gone: Gone) -> None:
        if not self._pictures.days:
            return
        now_ns = self._clock.utc_ns()
        db.execute(_MARKS)
        db.execute("insert into hours values (?, ?, ?)", (now_ns, *newest))
        db.execute("delete from hours where rowid <= (select max(rowid) from hours) - ?", (MARKS_LIMIT,))
        _delete(db, _OLD_PICTURES, (PICTURE, now_ns - round(self._pictures.days * DAY_NS)), None, gone)


def picture_bytes(db: sqlite3.Connection) -> int:
    """Of those that wait."""
    return int(db.execute("select coalesce(sum(size), 0) from queue where priority = ?", (PICTURE,)).fetchone()[0])


def _delete(db: sqlite3.Connection, question: str, values: tuple[int, ...], over: int | None, gone: Gone) -> None:
    """Delete what the question finds until `over` bytes are gone; None for all of it."""
    if over is not None and over <= 0:
        return
    keys = []
    for key, size, detections in db.execute(question, values):
        keys.append((key,))
        gone.messages += 1
        gone.detections += detections
        gone.size += size
        if over is not None:
            over -= size
            if over <= 0:
                break
    db.executemany("delete from queue where id = ?", keys)
