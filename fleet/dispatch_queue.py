"""What waits for its drone: by priority, and among equals by how long. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet.choice import Chosen
from wire.tasking import FleetOrder, Offer, QueuedTask


@dataclass(frozen=True, slots=True)
class Waiting:
    """An offer that was taken, and waits. since_ns: UTC. chosen: of one for a contact."""

    offer: Offer
    order: FleetOrder
    since_ns: int
    chosen: Chosen | None = None


class Queue:
    """In the order of their turn."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, one: Waiting) -> int:
        """How many are before it for the same drone."""
        self._waiting.append(one)
        self._waiting.sort(key=lambda w: (w.order.priority, w.since_ns))        # stable: equals stay as they came
        before = self._waiting[: self._waiting.index(one)]
        return sum(w.offer.drone == one.offer.drone for w in before)

    def withdraw(self, plan_id: str) -> Waiting | None:
        found = next((w for w in self._waiting if w.offer.plan_id == plan_id), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def withdraw_all(self, drone: str) -> list[Waiting]:
        found = [w for w in self._waiting if w.offer.drone == drone]
        self._waiting = [w for w in self._waiting if w.offer.drone != drone]
        return found

    def due(self, may: Callable[[Offer, int], bool]) -> list[Waiting]:
        """Those whose turn it is: of each drone only the first, and only when it may."""
        found: list[Waiting] = []
        asked: set[str] = set()
        for w in self._waiting:
            if w.offer.drone not in asked:
                asked.add(w.offer.drone)
                if may(w.offer, w.order.priority):
                    found.append(w)
        for w in found:
            self._waiting.remove(w)
        return found

    def told(self) -> tuple[QueuedTask, ...]:
        return tuple(
            QueuedTask(
                w.offer.plan_id, w.offer.drone, w.offer.wish.kind, w.order.priority, w.since_ns, w.order.person,
                w.offer.wish.contact,
            )
            for w in self._waiting
        )
