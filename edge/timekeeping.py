"""Who keeps this machine's clock right, asked of whoever does; and when somebody sets it.

    chronyd locked to a reference clock (PPS, a receiver)         GPS
    chronyd, systemd-timesyncd or another NTP client in step      NTP
    nobody, or one that has lost its sources                      FREE_RUNNING
    a clock that GNSS time contradicts by seconds                 FREE_RUNNING, whatever the others say

That gpsd tells the time disciplines nothing: the quality is GPS only where a clock is really steered by it. A step is seen
where wall and monotonic clock part. A thread asks; the node never waits.
"""

from __future__ import annotations

import ipaddress
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from wire.clock import NS_PER_S, Clock
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.units import TimeQuality

ASK_EVERY_S = 30.0
ASK_TIMEOUT_S = 3.0
STEP_S = 0.25                   # chronyd slews by 0.083 s a second at most (its maxslewrate), adjtime by 0.0005
STEP_SHOWN_S = 60.0
LOOK_WITHIN_NS = 20_000_000     # the two clocks are read together; a reading that was interrupted for longer is no reading
GNSS_OFFSET_S = 2.0             # receivers tell the time some tenths of a second late, over a serial line up to a second
TIMESYNCD_STAMP = Path("/run/systemd/timesync/synchronized")    # touched at every correction; systemd-timesyncd.service(8)
TIMESYNCD_GOOD_FOR_S = 3 * 2048.0   # PollIntervalMaxSec is 2048 s by default; timesyncd.conf(5)
CHRONY_GOOD_FOR_S = 6 * 1024.0  # maxpoll is 10 (1024 s) by default, and some answers are lost; chrony.conf(5)

_log = logging.getLogger("trailwatch.edge")


class TimeKeeper:
    """The quality of the time that this node writes down, for as long as it is entered.

    simulated: pictures bring the time of a simulated world. gnss_offset_s: this clock against GNSS, positive when ahead;
    None where nobody knows. ask: who keeps the clock, as `ask_system` does.
    """

    def __init__(
        self, clock: Clock, *, simulated: bool = False, gnss_offset_s: Callable[[], float | None] = lambda: None,
        ask: Callable[[Clock], TimeQuality] | None = None,
    ) -> None:
        self._clock = clock
        self._simulated = simulated
        self._gnss_offset_s = gnss_offset_s
        self._ask = ask or ask_system
        self._kept = TimeQuality.FREE           # until somebody is known to keep it
        self._ahead_ns = self._read_ahead_ns()
        self._step = NO_TEXT
        self._stepped_ns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timekeeping", daemon=True)

    def __enter__(self) -> Self:
        if not self._simulated:
            self._kept = self._ask(self._clock)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()

    @property
    def quality(self) -> TimeQuality:
        if self._simulated:
            return TimeQuality.SIMULATED
        offset_s = self._gnss_offset_s()
        return TimeQuality.FREE if offset_s is not None and abs(offset_s) > GNSS_OFFSET_S else self._kept

    @property
    def problems(self) -> list[NodeText]:
        """In words. Call it every second or so: a step is seen between two calls."""
        self._look_for_step()
        said = []
        if self._step and self._clock.monotonic_ns() - self._stepped_ns <= STEP_SHOWN_S * NS_PER_S:
            said.append(self._step)
        offset_s = self._gnss_offset_s()
        if offset_s is not None and abs(offset_s) > GNSS_OFFSET_S:
            key = "clock_ahead" if offset_s > 0 else "clock_behind"
            said.append(node_text(key, seconds=round(abs(offset_s), 1)))
        return said

    def _look_for_step(self) -> None:
        ahead_ns = self._read_ahead_ns()
        if ahead_ns is None:
            return
        known_ns, self._ahead_ns = self._ahead_ns, ahead_ns
        if known_ns is None or abs(ahead_ns - known_ns) <= STEP_S * NS_PER_S:
            return
        at = datetime.fromtimestamp(self._clock.utc_ns() // NS_PER_S, UTC)
        self._step = node_text("clock_set", seconds=f"{(ahead_ns - known_ns) / NS_PER_S:+.1f}", at=f"{at:%H:%M:%S}")
        self._stepped_ns = self._clock.monotonic_ns()
        _log.warning("%s", self._step)

    def _read_ahead_ns(self) -> int | None:
        before_ns = self._clock.monotonic_ns()
        utc_ns = self._clock.utc_ns()
        return utc_ns - before_ns if self._clock.monotonic_ns() - before_ns <= LOOK_WITHIN_NS else None

    def _run(self) -> None:
        while not self._stop.wait(ASK_EVERY_S):
            self._kept = self._ask(self._clock)


def ask_system(clock: Clock) -> TimeQuality:
    """Ask chronyd, systemd-timesyncd, and whoever the kernel believes, in this order. Never raises."""
    tracking = _said("chronyc", "-c", "-n", "tracking")
    if tracking:
        return read_tracking(tracking, clock.utc_ns())
    try:
        age_s = clock.utc_ns() / NS_PER_S - TIMESYNCD_STAMP.stat().st_mtime
        return TimeQuality.NTP if age_s <= TIMESYNCD_GOOD_FOR_S else TimeQuality.FREE
    except OSError:
        pass        # it is not the one here
    # systemd answers this from the kernel's flag (adjtimex), which any NTP client keeps.
    said = _said("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return TimeQuality.NTP if said.strip() == "yes" else TimeQuality.FREE


def read_tracking(line: str, utc_ns: int) -> TimeQuality:
    """One line of `chronyc -c -n tracking`: reference id, its name or address, stratum, time of the last correction, ...,
    leap status. Nobody's name is there when it is chronyd's own clock ("local" in its settings), which nobody corrects.
    """
    fields = line.strip().split(",")
    if len(fields) < 14 or fields[-1] == "Not synchronised" or not fields[1]:
        return TimeQuality.FREE
    try:
        corrected_s = float(fields[3])
    except ValueError:
        return TimeQuality.FREE
    if not utc_ns / NS_PER_S - corrected_s <= CHRONY_GOOD_FOR_S:
        return TimeQuality.FREE
    try:
        ipaddress.ip_address(fields[1])
    except ValueError:
        return TimeQuality.GPS                  # a reference clock has a name (GPS, PPS, NMEA, PHC0), a server an address
    return TimeQuality.NTP


def _said(program: str, *arguments: str) -> str:
    """What a program prints; empty where it is not there, fails, or hangs."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
