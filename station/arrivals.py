"""What the inbox has stored, in the order in which the mind judges it: first what is new, then what was seen long ago.

A node that was without a link for three days brings its pictures within minutes, and to judge them takes the mind hours.
Nobody who crosses elsewhere may wait for that. So what was seen long before it came is old news: passed over, and judged
when nothing new is waiting. Two numbers say how far that is: up to `place` everything is judged, up to `new_place` all
that was new when it came. Both are on the disk with what came of it, so that a crash loses nothing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from wire.clock import NS_PER_S, Clock
from wire.codec import RefusedError, decode_envelope
from wire.messages import DetectionBatch, UpBody

READ_LIMIT = 400                    # arrivals in one step, and
READ_NS = 200_000_000               # how long it may take: a question is answered, and the map moves, during a long catch-up
OLD_NS = 60 * NS_PER_S              # from a sight to its arrival, and it is judged after what is new
NEW_PLACE = "arrivals.new_place"    # in the mind's memory

_log = logging.getLogger("trailwatch.mind")


@dataclass(frozen=True, slots=True)
class Arrival:
    """received_ns: of what was passed over, when its turn came. body: None of a snapshot, whose picture stays where it is,
    and of what cannot be read.
    """

    id: int
    node: str
    boot: int
    kind: str
    received_ns: int
    suspect: str | None
    body: UpBody | None


class Arrivals:
    """place: up to which everything is judged. state: as `state` gave it before."""

    def __init__(self, place: int, state: bytes | None, clock: Clock) -> None:
        self.place = place
        self.new_place = place if state is None else max(int(state), place)
        self._clock = clock
        self._reached_ns: int | None = None

    @property
    def state(self) -> dict[str, bytes]:
        """For the mind's memory."""
        return {NEW_PLACE: str(self.new_place).encode()}

    @property
    def old_news(self) -> int:
        """Arrivals among which something that was seen long ago waits to be judged."""
        return self.new_place - self.place

    def reached_ns(self, now_ns: int) -> int:
        """Up to when all that is new has been heard: now, unless more of it is waiting."""
        return now_ns if self._reached_ns is None else min(now_ns, self._reached_ns)

    def read(
        self, inbox: sqlite3.Connection, hear: Callable[[str, int], None], judge: Callable[[Arrival], None]
    ) -> bool:
        """One step. Returns whether more may be waiting. hear: told of each arrival's node, and when it came, before it is
        judged or passed over.
        """
        until_ns = self._clock.monotonic_ns() + READ_NS
        rows = _rows(inbox, self.new_place, None)
        for row in rows:
            arrival = _arrival(*row)
            hear(arrival.node, arrival.received_ns)
            if not _is_old(inbox, arrival):
                _judge(arrival, judge)
                if self.place == self.new_place:
                    self.place = arrival.id
            self.new_place = arrival.id
            self._reached_ns = arrival.received_ns
            if self._clock.monotonic_ns() >= until_ns:
                break
        more = len(rows) == READ_LIMIT or bool(rows and self.new_place < rows[-1][0])
        if more:
            return True
        self._reached_ns = None
        return self._read_old(inbox, hear, judge, until_ns)

    def _read_old(
        self, inbox: sqlite3.Connection, hear: Callable[[str, int], None], judge: Callable[[Arrival], None], until_ns: int
    ) -> bool:
        """What was passed over, as far as there is time."""
        while self.place < self.new_place:
            if self._clock.monotonic_ns() >= until_ns:
                return True
            rows = _rows(inbox, self.place, self.new_place)
            for row in rows:
                arrival = _arrival(*row)
                if _is_old(inbox, arrival):
                    hear(arrival.node, arrival.received_ns)     # once more: since then there may have been a crash
                    _judge(replace(arrival, received_ns=self._clock.utc_ns()), judge)
                self.place = arrival.id
                if self._clock.monotonic_ns() >= until_ns:
                    break
            if not rows:
                self.place = self.new_place
        return False


_Row = tuple[int, str, int, str, int, str | None, bytes]


def _rows(inbox: sqlite3.Connection, after: int, until: int | None) -> list[_Row]:
    return inbox.execute(
        "SELECT id, node, boot, kind, received_ns, suspect, payload FROM arrivals WHERE id > ? AND id <= ? "
        "ORDER BY id LIMIT ?",
        (after, 2**63 - 1 if until is None else until, READ_LIMIT),
    ).fetchall()


def _arrival(number: int, node: str, boot: int, kind: str, received_ns: int, suspect: str | None, payload: bytes) -> Arrival:
    body: UpBody | None = None
    if kind != "snapshot":
        try:
            body = decode_envelope(payload).body
        except RefusedError as error:
            _log.error("arrival %d of node %s was stored and cannot be read: %s; going on without it", number, node, error)
    return Arrival(number, node, boot, kind, received_ns, suspect, body)


def _is_old(inbox: sqlite3.Connection, arrival: Arrival) -> bool:
    """Whether it is of something that was seen long before. What nodes say of themselves never is: newer words follow.
    Nor is what is not believed: nothing is made of it but an alarm, which tells by how much its time is off.
    """
    if arrival.suspect is not None:
        return False
    seen_ns: int | None = None
    if isinstance(arrival.body, DetectionBatch):
        seen_ns = arrival.body.captured_ns
    elif arrival.kind == "snapshot":
        row = inbox.execute("SELECT captured_ns FROM snapshots WHERE id = ?", (arrival.id,)).fetchone()
        seen_ns = None if row is None else int(row[0])
    return seen_ns is not None and arrival.received_ns - seen_ns > OLD_NS


def _judge(arrival: Arrival, judge: Callable[[Arrival], None]) -> None:
    try:
        judge(arrival)
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001 - see below
        # Whatever it is, the same arrival would end the next start as well, and the station would raise no alarm any more.
        # Said with all there is to find the fault; everything after it is judged.
        _log.exception("arrival %d of node %s could not be judged; going on without it", arrival.id, arrival.node)
