"""From an autopilot's time since its boot to UTC, and how sure that is."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from wire.clock import NS_PER_S

CLOCK_DRIFT = 1e-4              # an autopilot's crystal, ten times worse than its data sheet
BACKWARDS_MS = 1000             # time_boot_ms that goes back further than this: the autopilot started again
EXCHANGES = 60                  # that are remembered; at one a second the best of a minute
ROUND_TRIP_LIMIT_S = 2.0        # an answer that comes later than this says nothing
LATE_LIMIT_S = 5.0              # a message that seems to come later than this, or early: the exchanges are of another clock
EARLY_LIMIT_S = 0.05
HEARD_SIGMA_S = 0.05            # without exchanges: what even the quickest message took; our assumption of a telemetry radio
SET_S = 0.5                     # so early, or so late for so many messages in a row: no delay, but a clock that was set
LATE_COUNT, CONTRARY_COUNT = 20, 3
ANSWERED_S = 5.0                # after an answer; the next ones, one a second, find by themselves a clock that was set
GRAIN_S = 0.02                  # an autopilot may answer with the time at which its loop began; this is a slow one


@dataclass(frozen=True, slots=True)
class Exchange:
    """One TIMESYNC question and its answer. boot_ns: the autopilot's clock when it answered; UTC ns of ours around it."""

    sent_ns: int
    boot_ns: int
    received_ns: int

    @property
    def round_trip_ns(self) -> int:
        return self.received_ns - self.sent_ns

    @property
    def offset_ns(self) -> int:
        """UTC less boot time, if both ways took equally long; it cannot be further off than half the round trip."""
        return (self.sent_ns + self.received_ns) // 2 - self.boot_ns

    def doubt_ns(self, now_ns: int) -> float:
        """The most by which offset_ns can be wrong now, after some drift."""
        return self.round_trip_ns / 2.0 + GRAIN_S * NS_PER_S + abs(now_ns - self.received_ns) * CLOCK_DRIFT

    def agrees(self, later: Exchange) -> bool:
        """Whether both can be true of the same two clocks."""
        now_ns = later.received_ns
        return abs(self.offset_ns - later.offset_ns) <= self.doubt_ns(now_ns) + later.doubt_ns(now_ns)


class BootClock:
    """An autopilot's milliseconds since boot as UTC.

    With TIMESYNC exchanges: the one with the shortest round trip counts, because jitter only ever lengthens it (the minimum
    filter of NTP, RFC 5905, 10). Without them: a message may come late and never early, so the least difference of reception
    and boot time is the truest, and still late by what the quickest message took. Messages that are late for long are of a
    clock that was set where nothing else can say so, and were held up where exchanges go on.
    """

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES)
        self._contrary: list[Exchange] = []
        self._heard_ns: int | None = None       # UTC less boot time, from messages alone
        self._last_ms = 0
        self._late = 0
        self._least_late_ns = 0
        self._sigma_s = HEARD_SIGMA_S
        self.begun_anew = 0                     # how often a clock turned out to have been set: times before are of another

    @property
    def sigma_s(self) -> float:
        """One sigma of what `utc_ns` last gave."""
        return self._sigma_s

    def exchanged(self, exchange: Exchange) -> None:
        """Take one answer to TIMESYNC.

        One that contradicts the best by much, or some in a row that do it by little and agree with each other, mean that a
        clock was set, and what was before is forgotten. A single one may be of an autopilot that was held up.
        """
        if not 0 <= exchange.round_trip_ns <= ROUND_TRIP_LIMIT_S * NS_PER_S:
            return
        best = self._best(exchange.received_ns)
        if best is None or best.agrees(exchange):
            self._contrary.clear()
            self._exchanges.append(exchange)
            return
        if self._contrary and not self._contrary[0].agrees(exchange):
            self._contrary.clear()
        self._contrary.append(exchange)
        if abs(exchange.offset_ns - best.offset_ns) > SET_S * NS_PER_S or len(self._contrary) >= CONTRARY_COUNT:
            believed = list(self._contrary)
            self._begin_anew()
            self._exchanges.extend(believed)

    def utc_ns(self, boot_ms: int, received_ns: int) -> int:
        """When a message was made that came at received_ns (UTC) and says boot_ms."""
        if boot_ms < self._last_ms - BACKWARDS_MS:
            self._begin_anew()
        heard_ns = self._heard(boot_ms, received_ns)
        self._last_ms = boot_ms
        best = self._fitting(boot_ms, received_ns)
        if best is not None:
            # Anywhere within that with equal chance: a uniform distribution's sigma.
            self._sigma_s = best.doubt_ns(received_ns) / NS_PER_S / math.sqrt(3.0)
            return boot_ms * 1_000_000 + best.offset_ns
        self._sigma_s = HEARD_SIGMA_S
        return boot_ms * 1_000_000 + heard_ns

    def _begin_anew(self) -> None:
        self._exchanges.clear()
        self._contrary.clear()
        self._heard_ns = None
        self.begun_anew += 1

    def _best(self, now_ns: int) -> Exchange | None:
        return min(self._exchanges, key=lambda e: e.doubt_ns(now_ns), default=None)

    def _fitting(self, boot_ms: int, received_ns: int) -> Exchange | None:
        """The best exchange, if this message can be of the clock that it is about."""
        best = self._best(received_ns)
        if best is None:
            return None
        late_s = (received_ns - boot_ms * 1_000_000 - best.offset_ns) / NS_PER_S
        return best if -EARLY_LIMIT_S - best.doubt_ns(received_ns) / NS_PER_S <= late_s <= LATE_LIMIT_S else None

    def _is_answered(self, boot_ms: int, received_ns: int) -> bool:
        """Whether TIMESYNC is answered at this time, about the clock of this message: then late is late."""
        if self._fitting(boot_ms, received_ns) is None:
            return False
        return abs(received_ns - self._exchanges[-1].received_ns) <= ANSWERED_S * NS_PER_S

    def _heard(self, boot_ms: int, received_ns: int) -> int:
        """UTC less boot time, from when messages came."""
        candidate_ns = received_ns - boot_ms * 1_000_000
        if self._heard_ns is not None and candidate_ns < self._heard_ns - SET_S * NS_PER_S:
            self._begin_anew()                  # no message comes so early
        if self._heard_ns is None:
            self._heard_ns, self._late = candidate_ns, 0
            return candidate_ns
        # Let it creep up, so that drift is followed after a while.
        passed_ns = max(0, boot_ms - self._last_ms) * 1_000_000
        offset_ns = min(self._heard_ns + round(passed_ns * CLOCK_DRIFT), candidate_ns)
        if candidate_ns - offset_ns > SET_S * NS_PER_S and not self._is_answered(boot_ms, received_ns):
            self._least_late_ns = min(candidate_ns, self._least_late_ns) if self._late else candidate_ns
            self._late += 1
            if self._late >= LATE_COUNT:
                self._begin_anew()
                offset_ns, self._late = self._least_late_ns, 0
        else:
            self._late = 0
        self._heard_ns = offset_ns
        return offset_ns
