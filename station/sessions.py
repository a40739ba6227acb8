"""One session a node key: notices two machines that speak with one, and hears the one that was there first.

A session is a routing id. A node keeps its own for as long as it runs, over every reconnection, so a new one is a new
process. When a node was started anew, its old session is never heard again. When the old one is heard after the new one, by
more than what may still have stood in a queue, both are alive: a card was cloned, or a key was stolen.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from wire.clock import NS_PER_S

LEFTOVER_NS = 3 * NS_PER_S          # of a dead process, read by us after the first message of its successor
SILENT_NS = 15 * NS_PER_S           # of whom was there first: then the other one is the node
KEYS_LIMIT = 10_000


@dataclass(slots=True)
class _Key:
    session: bytes
    heard_ns: int
    rival: bytes = b""              # another session, that began later
    rival_began_ns: int = 0
    rival_heard_ns: int = 0
    both_alive: bool = False


class Sessions:
    """By key: who speaks with it. Times are of a monotonic clock, in nanoseconds."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, _Key] = OrderedDict()

    def heard(self, key: str, session: bytes, now_ns: int) -> bool:
        """Note a message of a session. Returns False when it is not to be taken: the key is another's, who is alive."""
        known = self._keys.get(key)
        if known is None or (session != known.session and now_ns - known.heard_ns > SILENT_NS):
            self._keys[key] = _Key(session, now_ns)
            if len(self._keys) > KEYS_LIMIT:
                self._keys.popitem(last=False)
            return True
        if session == known.session:
            known.heard_ns = now_ns
            if known.rival and now_ns - known.rival_heard_ns > SILENT_NS:
                known.rival, known.both_alive = b"", False
            elif known.rival and now_ns - known.rival_began_ns > LEFTOVER_NS:
                known.both_alive = True
            return True
        if session != known.rival:
            known.rival, known.rival_began_ns, known.both_alive = session, now_ns, False
        known.rival_heard_ns = now_ns
        return not known.both_alive

    def is_contested(self, key: str) -> bool:
        """Whether two are alive with this key; then both have to be told."""
        known = self._keys.get(key)
        return known is not None and known.both_alive
