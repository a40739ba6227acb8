"""Replay: an interval of the past through the same messages as the live feed, at another speed, with pause and seek.

It shows what the screens showed then: the journal's pictures and changes, none of it worked out anew, so that a replay is
evidence of what an operator could know at a moment, and knows no plate before it was read. What no web server was there to
show is not in it; where two blocks do not meet, the picture jumps, and the clock with it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from station.feed import Gathered, PictureKeeper
from station.journal import Block, Frame, moved_view
from station.picture import ContactView, Delta, Picture, TrailPoint
from station.trails import joined

SLOWEST, FASTEST = 0.5, 60.0
GAP_NS = 20_000_000_000             # of nothing between two blocks: the station was off, and the clock jumps
Following = Callable[[Block], Block | None]


class Player:
    """The past as a page sees it. No clock, no disk: `advance` says how far the past goes on, and gets what changed.

    at_ns: the moment that is shown. ended: there is nothing after it, or the interval is over.
    """

    def __init__(self, block: Block, from_ns: int, to_ns: int, following: Following) -> None:
        """Begin at from_ns, or where the block begins. following: the block after one; None at the end."""
        self._following = following
        self._to_ns = to_ns
        self.ended = False
        self._gathered = Gathered()
        self._enter(block)
        self.at_ns = max(from_ns, block.picture.at_ns)
        self._through(self.at_ns)
        self._gathered = Gathered()

    def picture(self) -> Picture:
        return msgspec.structs.replace(self._keeper.picture(), at_ns=self.at_ns)

    def advance(self, by_ns: int) -> Picture | Delta | None:
        """Go on by so long. Returns what a page gets: a whole picture after a gap, else what changed, or nothing."""
        if self.ended:
            return None
        until_ns = min(self.at_ns + by_ns, self._to_ns)
        jumped = False
        self._through(until_ns)
        while self._is_through(until_ns):
            block = self._following(self._block)
            if block is None:
                self.ended = True
                break
            begins_ns = block.picture.at_ns
            if begins_ns > self._to_ns:
                self.ended = True
                break
            if begins_ns > until_ns and begins_ns - self._last_ns < GAP_NS:
                break                               # nothing happened up to there
            if begins_ns > until_ns:
                until_ns = begins_ns                # the station was off: nobody waits for an hour of nothing
            jumped = jumped or begins_ns - self._last_ns >= GAP_NS or self._differs(block)
            self._enter(block)
            self._through(until_ns)
        self.at_ns = until_ns
        self.ended = self.ended or until_ns >= self._to_ns
        gathered, self._gathered = self._gathered, Gathered()
        if jumped:
            return self.picture()
        return gathered.delta(self._keeper.turn, self.at_ns) if gathered.any else None

    def _enter(self, block: Block) -> None:
        self._block, self._next = block, 0
        self._keeper = PictureKeeper(block.picture)

    @property
    def _last_ns(self) -> int:
        frames = self._block.frames
        return frames[-1].at_ns if frames else self._block.picture.at_ns

    def _is_through(self, until_ns: int) -> bool:
        return self._next >= len(self._block.frames) and until_ns > self._last_ns

    def _differs(self, block: Block) -> bool:
        """Whether a block's first picture is not simply where the one before has got to."""
        now, then = self._keeper, block.picture
        return (
            now.contacts.keys() != {c.id for c in then.contacts} or now.alarms != {a.id: a for a in then.alarms}
            or now.matches != {m.id: m for m in then.matches}
        )

    def _through(self, until_ns: int) -> None:
        """Lay every frame up to a moment over the picture."""
        frames = self._block.frames
        while self._next < len(frames) and frames[self._next].at_ns <= until_ns:
            delta = self._whole(frames[self._next])
            self._gathered.add(delta, self._keeper.contacts)
            self._keeper.lay(delta)
            self._next += 1

    def _whole(self, frame: Frame) -> Delta:
        """A frame as the feed told it."""
        k, d = self._keeper, frame.delta
        contacts = {
            c.id: msgspec.structs.replace(c, trail=joined(_trail(k.contacts.get(c.id)), c.trail)) for c in d.contacts
        }
        for m in frame.moved:
            before = contacts.get(m.id) or k.contacts.get(m.id)
            if before is not None:
                contacts[m.id] = moved_view(before, m)
        sensors = {s.id: s for s in d.sensors}
        for sensor, at_ns in frame.seen.items():
            if sensor in k.sensors and sensor not in sensors:
                sensors[sensor] = msgspec.structs.replace(k.sensors[sensor], last_frame_ns=at_ns)
        nodes = {n.node: n for n in d.nodes}
        for node, at_ns in frame.heard.items():
            if node in k.nodes and node not in nodes:
                nodes[node] = msgspec.structs.replace(k.nodes[node], last_heard_ns=at_ns)
        return msgspec.structs.replace(
            d, contacts=tuple(contacts.values()), sensors=tuple(sensors.values()), nodes=tuple(nodes.values())
        )


def _trail(contact: ContactView | None) -> tuple[TrailPoint, ...]:
    return contact.trail if contact else ()
