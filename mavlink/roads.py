"""Several links to one drone, used as one: everything is heard from all of them, and said on the best.

The best is the first of the list on which the drone was heard lately: links are listed in the order of preference, a fast
radio before a thin one. Each link keeps its own heartbeat going, so that the drone's failsafe sees the station as long as
any of them holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from mavlink.link import LINK_LATE_S, QUEUE_LIMIT, Link, Message, Subscription
from wire.node_words import NodeText, all_of


class Roads:
    """The links to system_id; 0 as long as it is not known. It owns none of them: each is run by whoever made it."""

    def __init__(self, links: Sequence[Link], system_id: int = 0) -> None:
        self.links = tuple(links)
        self.system_id = system_id
        self._connections = 0
        for link in self.links:
            link.on_connected.append(partial(self._count, link))

    def subscribe(
        self, types: Collection[str] = (), system_id: int | None = None, limit: int = QUEUE_LIMIT
    ) -> Subscription:
        """As Link.subscribe, of all of them. What comes on two links comes twice."""
        return Subscription(self.links, types, system_id, limit)

    def send(self, message: Message) -> bool:
        """On the best link; False when there is none."""
        return self.best().send(message)

    def best(self) -> Link:
        """The link to speak on."""
        connected = [link for link in self.links if link.connected]
        for link in connected:
            if link.heard_age_of_s(self.system_id) < LINK_LATE_S:
                return link
        freshest = min(connected or self.links, key=lambda link: link.heard_age_of_s(self.system_id))
        return freshest

    @property
    def connected(self) -> bool:
        return any(link.connected for link in self.links)

    @property
    def connections(self) -> int:
        """How often there was a link again after there had been none."""
        return self._connections

    @property
    def problem(self) -> NodeText:
        return all_of(*(link.problem for link in self.links))

    def _count(self, link: Link) -> None:
        if not any(other.connected for other in self.links if other is not link):
            self._connections += 1
