"""How many requests a person may make: a bucket that refills. Pages need a few a minute; a wild script is slowed."""

from __future__ import annotations

import math

from station.guard import RefusedRequest
from station.picture import Sentence

BURST, PER_S = 300.0, 30.0
PERSONS_LIMIT = 10_000


class RateLimit:
    def __init__(self, burst: float = BURST, per_s: float = PER_S) -> None:
        self._burst, self._per_s = burst, per_s
        self._left: dict[str, tuple[float, int]] = {}           # person to what was left, and when

    def spend(self, person: str, now_ns: int) -> None:
        """Count a request, or raise RefusedRequest 429 with the seconds to wait. now_ns: monotonic."""
        left, at_ns = self._left.get(person, (self._burst, now_ns))
        left = min(self._burst, left + (now_ns - at_ns) / 1e9 * self._per_s)
        if left < 1.0:
            wait_s = max(1, math.ceil((1.0 - left) / self._per_s))
            self._left[person] = (left, now_ns)
            raise RefusedRequest(429, Sentence("refused.rate", {"seconds": wait_s}), wait_s)
        if len(self._left) >= PERSONS_LIMIT:
            self._left.clear()
        self._left[person] = (left - 1.0, now_ns)
