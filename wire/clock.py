"""The one place that knows what time it is. Everybody else is handed a Clock.

Replay, exercises and lockstep tests run on a time that is not the wall's; a single call of time.time anywhere else would
tie the product to the wall for good. ruff refuses such calls outside this file.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """UTC for what is written down, a monotonic count for what is waited for; both in nanoseconds.

    utc_ns may step (GPS time arrives, an administrator sets it); monotonic_ns never goes back and says nothing about dates.
    """

    def utc_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...

    def sleep(self, seconds: float) -> None: ...


class WallClock:
    """The machine's own time."""

    def utc_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class SteppedClock:
    """A time that moves only when told to: for tests, lockstep simulation and replay.

    sleep() moves the time itself when `sleep_advances` (one thread, as in a test), and otherwise blocks until another
    thread has advanced the clock far enough (lockstep).
    """

    def __init__(self, utc_ns: int = 1_700_000_000 * NS_PER_S, *, sleep_advances: bool = True) -> None:
        self._utc_ns = utc_ns
        self._monotonic_ns = 0
        self._sleep_advances = sleep_advances
        self._moved = threading.Condition()

    def utc_ns(self) -> int:
        with self._moved:
            return self._utc_ns

    def monotonic_ns(self) -> int:
        with self._moved:
            return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"a clock is advanced by {seconds} s; time goes forward. Use step_utc for a clock that jumps.")
        with self._moved:
            self._utc_ns += round(seconds * NS_PER_S)
            self._monotonic_ns += round(seconds * NS_PER_S)
            self._moved.notify_all()

    def step_utc(self, seconds: float) -> None:
        """Jump the date without letting time pass, as NTP or a person does to a real clock."""
        with self._moved:
            self._utc_ns += round(seconds * NS_PER_S)
            self._moved.notify_all()

    def sleep(self, seconds: float) -> None:
        if self._sleep_advances:
            self.advance(max(0.0, seconds))
            return
        with self._moved:
            until_ns = self._monotonic_ns + round(seconds * NS_PER_S)
            self._moved.wait_for(lambda: self._monotonic_ns >= until_ns)
