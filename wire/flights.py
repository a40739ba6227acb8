"""What is on its way to the station: how much of it may be, and when it is sent again.

The line is a TCP connection, which loses nothing while it stands. So a message without an answer is nearly always one that
still stands in a queue, and sending it again would only make that queue longer: on a thin line, until nothing else moves.
Hence two rules. The window follows the time that answers take, as in LEDBAT (RFC 6817): it grows while they come quickly and
shrinks when they take longer than QUEUE_GOAL_S, so that what is urgent never stands behind much. And the time-out follows it
too, as in TCP (RFC 6298): it runs anew with each answer, for then the line moves; and messages that were sent twice are left
out of the measure (Karn's algorithm).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wire.clock import NS_PER_S

MESSAGES_LIMIT = 1024           # on their way; the inbox takes 20,000/s in commits of 25 ms
BYTES_LIMIT = 2_000_000
BYTES_FIRST, BYTES_LEAST = 16_000, 8_000
QUEUE_GOAL_S = 1.0              # longer answers than this: the line is full
SHRINK = 0.7
RESEND_S = 5.0                  # before any answer was timed
RESEND_LEAST_S = 2.0            # well above a commit of the station that is held up by its disk
RESEND_LONGEST_S = 30.0
PICTURE_BYTES_PER_S = 1000      # the least that a line is thought to do, while a picture is on it
FORGET_S = 60.0                 # overdue for so long and not sent again: the outbox has dropped it

Identity = tuple[int, int]      # boot, sequence


@dataclass(slots=True)
class _Flight:
    size: int
    picture: bool
    attempts: int
    sent_ns: int
    wait_ns: int
    due_since_ns: int = 0           # 0: not due


class Flights:
    """The messages on their way. All times are of one monotonic clock, in nanoseconds."""

    def __init__(self) -> None:
        self._flights: dict[Identity, _Flight] = {}
        self._window = float(BYTES_FIRST)
        self._smooth_ns = self._spread_ns = 0.0     # of the answers' times; 0 while none was timed
        self._shrunk_ns = 0
        self._late_noted_ns = 0
        self._progress_ns = 0       # the newest answer
        self._picture_wait_ns = 0   # of the pictures on their way, the longest; behind them everything is silent
        self._reached_ns = 0        # when the newest of the answered ones was sent

    @property
    def window_bytes(self) -> int:
        return int(self._window)

    @property
    def resend_after_s(self) -> float:
        if not self._smooth_ns:
            return RESEND_S
        return min(RESEND_LONGEST_S, max(RESEND_LEAST_S, (self._smooth_ns + 4 * self._spread_ns) / NS_PER_S))

    def knows(self, identity: Identity) -> bool:
        """Whether it was sent, and is not answered yet."""
        return identity in self._flights

    def all(self) -> list[Identity]:
        return list(self._flights)

    def on_way(self, now_ns: int) -> set[Identity]:
        """What was sent and is not due again. Forgets what nobody will ever send again."""
        on_way, forgotten = set(), []
        pictures = (f.wait_ns for f in self._flights.values() if f.picture and not f.due_since_ns)
        self._picture_wait_ns = max(pictures, default=0)
        for identity, flight in self._flights.items():
            if not flight.due_since_ns and not self._is_due(flight, now_ns):
                on_way.add(identity)
                continue
            flight.due_since_ns = flight.due_since_ns or now_ns
            if now_ns - flight.due_since_ns >= FORGET_S * NS_PER_S:
                forgotten.append(identity)
        for identity in forgotten:
            del self._flights[identity]
        if len(on_way) < len(self._flights) and now_ns >= self._late_noted_ns:
            # Answers that do not come say the same as answers that come late; once in the time they are given.
            self._late_noted_ns = now_ns + round(self.resend_after_s * NS_PER_S)
            self._window = max(BYTES_LEAST, self._window / 2)
        return on_way

    def _is_due(self, flight: _Flight, now_ns: int) -> bool:
        """Nothing was heard for too long; or only of what was sent well after it, and one connection keeps the order."""
        silent_ns = now_ns - max(flight.sent_ns, self._progress_ns)
        silence_ns = max(flight.wait_ns, self._picture_wait_ns)
        return silent_ns >= silence_ns or self._reached_ns - flight.sent_ns >= flight.wait_ns

    def room(self, on_way: Iterable[Identity]) -> tuple[int, int]:
        """How many more messages, and bytes, may be sent, pictures left out; the last message may exceed the bytes."""
        flights = [f for i in on_way if not (f := self._flights[i]).picture]
        return MESSAGES_LIMIT - len(flights), int(self._window) - sum(f.size for f in flights)

    def pictures(self, on_way: Iterable[Identity]) -> int:
        return sum(self._flights[i].picture for i in on_way)

    def sent(self, identity: Identity, size: int, *, picture: bool, now_ns: int) -> bool:
        """Note a sending. Returns whether it was not the first of this message."""
        before = self._flights.get(identity)
        attempts = before.attempts + 1 if before else 1
        wait_s = min(RESEND_LONGEST_S, self.resend_after_s * 2 ** min(attempts - 1, 10))
        if picture:
            wait_s = max(RESEND_LONGEST_S, size / PICTURE_BYTES_PER_S)
        self._flights[identity] = _Flight(size, picture, attempts, now_ns, round(wait_s * NS_PER_S))
        return before is not None

    def answered(self, identities: Iterable[Identity], now_ns: int) -> None:
        """The station has answered for these; what was never sent is passed over."""
        flights = [f for i in identities if (f := self._flights.pop(i, None)) is not None]
        if not flights:
            return
        self._progress_ns = now_ns
        self._reached_ns = max(self._reached_ns, *(f.sent_ns for f in flights))
        timed = [now_ns - f.sent_ns for f in flights if f.attempts == 1 and not f.picture]
        if timed:
            self._time(max(timed))
        if self._smooth_ns > QUEUE_GOAL_S * NS_PER_S:
            if now_ns - self._shrunk_ns > self._smooth_ns:      # once a round trip: until then old answers come in
                self._shrunk_ns = now_ns
                self._window = max(BYTES_LEAST, self._window * SHRINK)
        else:
            # Twofold each round trip until the line was full for the first time, then by one step (RFC 5681, 3.1).
            share = BYTES_LEAST / self._window if self._shrunk_ns else 1.0
            self._window = min(BYTES_LIMIT, self._window + share * sum(f.size for f in flights if not f.picture))

    def heard(self, identity: Identity, now_ns: int) -> None:
        """The station has taken a piece of this picture: the line moves, and the picture with it."""
        self._progress_ns = now_ns
        if identity in self._flights:
            self._flights[identity].sent_ns = now_ns

    def line_lost(self, now_ns: int) -> None:
        """The connection is a new one: what was on its way went down with the old one, and is due at once."""
        for flight in self._flights.values():
            flight.attempts, flight.due_since_ns = 0, now_ns
        self._window, self._shrunk_ns = min(self._window, BYTES_FIRST), 0
        self._late_noted_ns = now_ns + round(self.resend_after_s * NS_PER_S)

    def _time(self, sample_ns: float) -> None:
        """RFC 6298, 2.2 and 2.3."""
        if not self._smooth_ns:
            self._smooth_ns, self._spread_ns = sample_ns, sample_ns / 2
            return
        self._spread_ns += (abs(self._smooth_ns - sample_ns) - self._spread_ns) / 4
        self._smooth_ns += (sample_ns - self._smooth_ns) / 8
