"""Whether a fixed camera stands where its survey says, by the word of a GNSS receiver behind gpsd.

The survey places the camera; the receiver only contradicts it. A contradiction (the camera was moved, the survey is of
another mast, or somebody spoofs the signal) makes the position untrusted: ellipses are widened by the distance, and the
station raises an alarm. A receiver that is lost for long makes it untrusted too, with a small widening: nobody checks.

A thread asks gpsd; the node reads the last verdict and never waits.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import numpy as np

from cameras.pose import PoseEstimate
from edge.gpsd_link import Fix, GpsdError, GpsdLink, NoFix
from geofences.geodesy import Array, LocalFrame, bearing_deg
from wire.clock import NS_PER_S, Clock
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.units import GroundPosition

POLL_S = 1.0                    # receivers measure once a second
RECONNECT_S = (1.0, 30.0)       # doubles from the first to the last, and is spread by half
MOVED_FIXES = 5                 # in a row, new ones: what a single reflection does is no move
JUMP_HELD_S = 60.0              # after a jump the position stays untrusted for so long
DATE_LIMIT_S = 86_400.0         # a fix of another day is a replay, or its week number has rolled over
OFFSET_FIXES = 10               # the smallest age of so many fixes is the clock's offset; ages hold the receiver's delay
COMPASS = ("north", "north_east", "east", "south_east", "south", "south_west", "west", "north_west")


@dataclass(frozen=True, slots=True)
class PositionLimits:
    """moved_m: a fix farther from the survey, beyond its own error, contradicts it. jump_m: from one fix to the next.

    stale_after_s: a fix that does not move on in time is none. lost_after_s: without a fix, until nobody trusts the place.
    untrusted_sigma_m: one sigma of the position (east, north, each) while untrusted; the distance to the fix where larger.
    """

    moved_m: float = 30.0
    jump_m: float = 50.0
    stale_after_s: float = 10.0
    lost_after_s: float = 60.0
    untrusted_sigma_m: float = 5.0


@dataclass(frozen=True, slots=True)
class PositionVerdict:
    """sigma_m: of east and north, each, that the position has at the least; 0 while it is trusted.

    problem: in words; may be there while the position is still trusted, as in the first seconds without a fix.
    """

    trusted: bool
    sigma_m: float
    problem: NodeText

    def widened(self, estimate: PoseEstimate, most_m: float | None = None) -> PoseEstimate:
        """The estimate with a position at least as unsure as this says; by most_m at the most, where that is given.

        On sloping ground the height becomes as much less sure as the estimate's slope says: a mast that was moved stands on
        the ground of another place, while its settings speak of the ground of the old one.
        """
        sigma_m = self.sigma_m if most_m is None else min(self.sigma_m, most_m)
        if sigma_m <= estimate.sigma.position_m:
            return estimate
        return replace(estimate, sigma=replace(estimate.sigma, position_m=sigma_m))


TRUSTED = PositionVerdict(True, 0.0, NO_TEXT)


class PositionCheck:
    """Judges fixes against a survey; no threads, no sockets. surveyed: where the camera stands, in `frame`."""

    def __init__(self, surveyed: GroundPosition, frame: LocalFrame, limits: PositionLimits, clock: Clock) -> None:
        self._frame = frame
        self._surveyed_m = frame.point(surveyed)
        self._limits = limits
        self._clock = clock
        self._measured_ns: int | None = None            # of the last fix that gpsd gave, usable or not
        self._good_ns = clock.monotonic_ns()            # when the last usable one came; at the start: now, with patience
        self._place_m: Array | None = None              # of the last usable one
        self._away: list[float] = []                    # how far the last fixes in a row were off, while all were
        self._moved = NO_TEXT
        self._moved_m = 0.0
        self._jump = NO_TEXT
        self._jump_m = 0.0
        self._jumped_ns = 0
        self._missing = node_text("no_fix_yet")
        self._ages_s: list[float] = []

    def hear(self, said: Fix | NoFix) -> None:
        """What gpsd says now."""
        if isinstance(said, NoFix):
            self._missing = said.reason
            return
        now_ns, utc_ns = self._clock.monotonic_ns(), self._clock.utc_ns()
        known_ns, self._measured_ns = self._measured_ns, said.measured_ns
        if known_ns is None or said.measured_ns <= known_ns:
            # The first may be years old, for all we know: gpsd repeats the last one for ever. The next tells.
            if now_ns - self._good_ns > self._limits.stale_after_s * NS_PER_S:
                self._missing = node_text("fix_repeated", at=_moment(said.measured_ns))
            return
        age_s = (utc_ns - said.measured_ns) / NS_PER_S
        if abs(age_s) > DATE_LIMIT_S:
            self._missing = node_text("fix_of_another_day", at=_moment(said.measured_ns), now=_moment(utc_ns))
            return
        self._ages_s = [*self._ages_s, age_s][-OFFSET_FIXES:]
        self._place(said, now_ns)

    def unheard(self, why: NodeText) -> None:
        """gpsd cannot be asked."""
        self._missing = why

    def _place(self, fix: Fix, now_ns: int) -> None:
        place_m = self._frame.point(GroundPosition(fix.lat_deg, fix.lon_deg))
        if self._place_m is not None:
            step_m = float(np.hypot(*(place_m - self._place_m)))
            if step_m > self._limits.jump_m:
                self._jump, self._jump_m = node_text("gnss_jumped", metres=round(step_m)), step_m
                self._jumped_ns = now_ns
        self._place_m, self._good_ns, self._missing = place_m, now_ns, NO_TEXT
        off_m = float(np.hypot(*(place_m - self._surveyed_m)))
        if off_m <= self._limits.moved_m + fix.error_m:
            self._away, self._moved = [], NO_TEXT
            return
        self._away = [*self._away, off_m][-MOVED_FIXES:]
        if len(self._away) == MOVED_FIXES:
            side = COMPASS[round(bearing_deg(self._surveyed_m, place_m) / 45.0) % 8]
            self._moved_m = float(np.median(self._away))
            self._moved = node_text("gnss_moved", metres=round(self._moved_m), side=node_text(f"compass_{side}"))

    @property
    def verdict(self) -> PositionVerdict:
        limits, now_ns = self._limits, self._clock.monotonic_ns()
        silent_s = (now_ns - self._good_ns) / NS_PER_S
        missing = self._missing
        if not missing and silent_s > limits.stale_after_s:
            missing = node_text("no_new_fix", seconds=round(silent_s))
        if self._moved:
            return PositionVerdict(False, max(limits.untrusted_sigma_m, self._moved_m), self._moved)
        if self._jump and now_ns - self._jumped_ns <= JUMP_HELD_S * NS_PER_S:
            return PositionVerdict(False, max(limits.untrusted_sigma_m, self._jump_m), self._jump)
        if missing and silent_s > limits.lost_after_s:
            unchecked = node_text("position_unchecked", seconds=round(silent_s), why=missing)
            return PositionVerdict(False, limits.untrusted_sigma_m, unchecked)
        is_worth_saying = bool(missing) and silent_s > POLL_S * 2
        return PositionVerdict(True, 0.0, node_text("position_not_checked", why=missing) if is_worth_saying else NO_TEXT)

    @property
    def clock_offset_s(self) -> float | None:
        """This machine's clock against GNSS time, positive when ahead; None without recent fixes.

        It holds the receiver's delay, some tenths of a second: fit to contradict a clock, not to set one.
        """
        fresh = self._clock.monotonic_ns() - self._good_ns <= self._limits.stale_after_s * NS_PER_S
        return min(self._ages_s, key=abs) if self._ages_s and fresh and not self._missing else None


class PositionWatch:
    """Asks gpsd in a thread of its own, for as long as it is entered, and hands what it says to a PositionCheck."""

    def __init__(
        self, host: str, port: int, check: PositionCheck, clock: Clock, *, poll_s: float = POLL_S,
        chance: random.Random | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._check = check
        self._clock = clock
        self._poll_s = poll_s
        self._chance = chance or random.Random()
        self._lock = threading.Lock()       # of the check, held for microseconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpsd", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()

    @property
    def verdict(self) -> PositionVerdict:
        with self._lock:
            return self._check.verdict

    @property
    def clock_offset_s(self) -> float | None:
        with self._lock:
            return self._check.clock_offset_s

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                with contextlib.closing(GpsdLink(self._host, self._port, self._clock)) as link:
                    while not self._stop.is_set():
                        said = link.poll()
                        failures = 0
                        with self._lock:
                            self._check.hear(said)
                        self._stop.wait(self._poll_s)
            except GpsdError as error:
                with self._lock:
                    self._check.unheard(error.text)
            first_s, longest_s = RECONNECT_S
            self._stop.wait(min(longest_s, first_s * 2**failures) * self._chance.uniform(0.5, 1.5))
            failures = min(failures + 1, math.ceil(math.log2(longest_s / first_s)))


def _moment(utc_ns: int) -> str:
    """A time as a person reads it, whatever it is."""
    try:
        return f"{datetime.fromtimestamp(utc_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{utc_ns} ns"
