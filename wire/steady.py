"""Whether the date has run on for an hour without a step: nothing is thrown away by its age before."""

from __future__ import annotations

from wire.clock import NS_PER_S, Clock

STEADY_NS = 3600 * NS_PER_S
STEP_NS = 60 * NS_PER_S         # by which date and monotonic clock part at a step; slewing does not reach it in an hour
EARLIEST_NS = 1_735_689_600 * NS_PER_S      # 2025: a clock that says less was never set


class SteadyDate:
    """Of one process, from its start on. A step that was taken back between two looks is none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns = clock.utc_ns() - clock.monotonic_ns()
        self._since_ns = clock.monotonic_ns()

    def has_run_an_hour(self) -> bool:
        """Since the start, or since the last step."""
        now_ns = self._clock.monotonic_ns()
        offset_ns = self._clock.utc_ns() - now_ns
        if abs(offset_ns - self._offset_ns) > STEP_NS:
            self._offset_ns, self._since_ns = offset_ns, now_ns
        return now_ns - self._since_ns >= STEADY_NS
