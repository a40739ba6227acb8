"""How much of a line pictures may have: a bucket that fills at the allowed rate, and is emptied by what is sent."""

from __future__ import annotations

from wire.clock import NS_PER_S, Clock

SAVED_S = 5.0       # a quiet spell saves up this much, and no more: afterwards the line is not the pictures' alone


class Budget:
    """bytes_per_s of a line on average; 0: no limit. Counts by the monotonic clock, so a step of the date gives nothing.

    What is sent may exceed what is left; the debt is waited off. Otherwise a picture larger than the bucket would never go.
    """

    def __init__(self, bytes_per_s: float, clock: Clock) -> None:
        if bytes_per_s < 0:
            raise ValueError(f"a budget of {bytes_per_s} bytes/s; give 0 for no limit, or more")
        self._rate = bytes_per_s
        self._clock = clock
        self._left = bytes_per_s * SAVED_S
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
