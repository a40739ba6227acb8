"""In which order an outbox gives its messages to the line.

The most urgent first, and of one priority the oldest first; but what was put lately goes ahead of the older sightings and
states. After days without a link, on a thin line, nobody who crosses now waits behind those days.
"""

from __future__ import annotations

import sqlite3
from collections import deque

from wire.clock import NS_PER_S, Clock
from wire.outbox_bounds import STATE

# So long is lately. Not less: what comes within this time the station judges as it comes (station.arrivals.OLD_NS),
# and a trail is whole only where that is the order in which it was seen.
FRESH_S = 60.0

Identity = tuple[int, int]          # boot, sequence; the node is the file's

_FIRST: Identity = (-1, -1)
_FROM, _BEFORE = (
    f"select boot, sequence from queue where priority = ? and (boot, sequence) {side} (?, ?) order by boot, sequence limit ?"
    for side in (">=", "<")
)


class Freshness:
    """fresh_s: how long what was put goes ahead; 0: never, all goes in the order in which it was put."""

    def __init__(self, clock: Clock, fresh_s: float) -> None:
        self._clock = clock
        self._fresh_ns = round(fresh_s * NS_PER_S)
        self._puts: deque[tuple[int, Identity]] = deque()       # once a second: when, and the first identity from then on

    def note_put(self, following: Identity) -> None:
        """following: the first identity that this put will give."""
        now_ns = self._clock.monotonic_ns()
        if not self._puts or now_ns - self._puts[-1][0] >= NS_PER_S:
            self._puts.append((now_ns, following))
        self._forget(now_ns)

    def first_fresh(self, following: Identity) -> Identity:
        """From which one on they go ahead; `following`, the next to be given, where none does. None of earlier starts do."""
        self._forget(self._clock.monotonic_ns())
        return self._puts[0][1] if self._puts else following

    def _forget(self, now_ns: int) -> None:
        while self._puts and self._puts[0][0] <= now_ns - self._fresh_ns:
            self._puts.popleft()


def rank(priority: int, identity: Identity, fresh: Identity) -> tuple[int, bool, Identity]:
    """By which messages sort into their order; fresh: from which one on they go ahead."""
    return priority, priority <= STATE and identity < fresh, identity


def next_keys(db: sqlite3.Connection, fresh: Identity, least: int, limit: int) -> list[Identity]:
    """The first `limit` in that order, down to the priority `least`; from the index alone."""
    keys: list[Identity] = []
    for priority in range(least + 1):
        for question, bound in ((_FROM, fresh), (_BEFORE, fresh)) if priority <= STATE else ((_FROM, _FIRST),):
            if len(keys) < limit:
                keys += db.execute(question, (priority, *bound, limit - len(keys)))
    return keys
