"""What became of an order to a drone: one answer for everybody who asks, the page too.

From four things that the station has: the fleet's answer, the task of the plan that was launched, the orders that the fleet
says it has in hand, and until when the order holds. That an order holds is about its delivery: what the fleet has in hand is
not over because a pre-flight takes longer than a launch may wait to be heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from station.fleet_picture import FleetView
from station.orders import Answered, OrderState
from station.picture import DroneView
from wire.clock import NS_PER_S
from wire.flying import TaskPhase, TaskState
from wire.tasking import FleetOrder

SAID_NS = 3 * NS_PER_S          # until the fleet's word that it has an order in hand, or its answer, is here
IN_HAND_NS = 330 * NS_PER_S     # longer than a fleet takes for any order (300 s until a take-off, and its answer's way)
FAILED = (TaskPhase.FAILED, TaskPhase.CANCELLED)


@dataclass(frozen=True, slots=True)
class WhatBecame:
    """detail, key, params: in the fleet's words, of its answer or of the task; none where it has said nothing."""

    state: OrderState
    detail: str = ""
    key: str = ""
    params: dict[str, str | float | int] = field(default_factory=dict)
    at_ns: int | None = None


def what_became(
    order: FleetOrder, given_ns: int, stored: Answered, fleets: Iterable[FleetView], drones: Iterable[DroneView], now_ns: int
) -> WhatBecame:
    """stored: of the answer as inbox.db has it. fleets, drones: as the picture shows them now."""
    known = list(fleets)
    for fleet in known:
        for a in fleet.answers:
            if a.order_id == order.order_id:
                return WhatBecame(OrderState.DONE if a.done else OrderState.FAILED, a.detail, a.key, a.params, a.at_ns)
    if stored.state in (OrderState.DONE, OrderState.FAILED):
        return WhatBecame(stored.state, stored.detail, stored.key, stored.params, stored.at_ns)
    task = _task_of(order, drones)
    if task is not None and task.phase in FAILED:
        return WhatBecame(OrderState.FAILED, task.sentence, task.key, task.params, task.at_ns)
    if task is not None and task.phase is TaskPhase.DONE:
        return WhatBecame(OrderState.DONE, task.sentence, task.key, task.params, task.at_ns)
    if now_ns - given_ns < IN_HAND_NS:
        if task is not None:
            return WhatBecame(OrderState.UNDER_WAY, task.sentence, task.key, task.params)
        if any(f.dispatch is not None and order.order_id in f.dispatch.in_hand for f in known):
            return WhatBecame(OrderState.UNDER_WAY)
    return WhatBecame(OrderState.WAITING if now_ns < order.expires_ns + SAID_NS else OrderState.EXPIRED)


def _task_of(order: FleetOrder, drones: Iterable[DroneView]) -> TaskState | None:
    """Of the plan that it launches, by whichever drone."""
    if order.action != "launch" or not order.plan_id:
        return None
    return next((d.task for d in drones if d.task is not None and d.task.plan_id == order.plan_id), None)
