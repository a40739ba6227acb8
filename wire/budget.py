"""A token bucket: it fills at the allowed rate, and each message takes its size out of it."""

from __future__ import annotations

from wire.clock import NS_PER_S, Clock

SAVED_S = 5.0       # seconds of unused rate that can be saved up; more would let one burst fill the whole line


class Budget:
    """rate_per_s: bytes or other units a second on average; 0: no limit.

    The bucket uses the monotonic clock, so a step of the date has no effect. A message may exceed what is left; nothing more
    goes until the debt is repaid. Otherwise an image larger than the bucket could never be sent.
    """

    def __init__(self, rate_per_s: float, clock: Clock) -> None:
        if rate_per_s < 0:
            raise ValueError(f"a budget of {rate_per_s} a second; give 0 for no limit, or more")
        self._rate = rate_per_s
        self._clock = clock
        self._left = rate_per_s * SAVED_S
        self._filled_ns = clock.monotonic_ns()

    @property
    def open(self) -> bool:
        """Whether anything may be sent now."""
        self._fill()
        return self._rate == 0 or self._left > 0

    def spend(self, size: int) -> None:
        self._fill()
        self._left -= size

    def _fill(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._left = min(self._rate * SAVED_S, self._left + self._rate * (now_ns - self._filled_ns) / NS_PER_S)
        self._filled_ns = now_ns
