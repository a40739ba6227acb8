"""What people order of the fleet, on its way in: heard in the uplink's thread, carried out once in the fleet's own loop.

An order is in the journal before anything is done and its answer in the outbox before it counts as answered. So one that
comes again does nothing, and one that was in hand when the service died is answered at the next start and not flown late.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable

import msgspec

from fleet.commands import Outcome
from fleet.dispatch_words import Said, said
from fleet.order_journal import OrderJournal
from wire.clock import Clock
from wire.codec import NAME_LIMIT
from wire.messages import CorridorSet, Order, OrderResult, UpBody
from wire.tasking import FleetAction, FleetOrder, FlightKind, Target

TARGETS_LIMIT = 200             # contacts that are remembered; a fleet looks at a few
DETAIL_LIMIT = 1000

Down = Order | CorridorSet | FleetOrder | Target
FOR_A_CONTACT = (FlightKind.INVESTIGATE, FlightKind.RELIEF)
WITH_PLAN = (FleetAction.LAUNCH, FleetAction.WITHDRAW)
WITH_DRONE = (FleetAction.PAUSE, FleetAction.RESUME, FleetAction.RETURN, FleetAction.LAND, FleetAction.SWAP_BATTERY)

_log = logging.getLogger("trailwatch.fleet")


class FleetOrders:
    """hear() is for the uplink; everything else happens in the loop in which `listen` was called.

    targets: by contact, the newest that was heard.
    """

    def __init__(self, journal: OrderJournal, clock: Clock, report: Callable[[UpBody], None]) -> None:
        self.targets: dict[str, Target] = {}
        self._journal, self._clock, self._report = journal, clock, report
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: asyncio.Queue[FleetOrder] = asyncio.Queue()

    def listen(self) -> None:
        """From now on, in this loop. What an earlier start left in hand is answered."""
        self._loop = asyncio.get_running_loop()
        for order_id in self._journal.in_hand():
            again = said("dispatch.restarted")
            self._answered(OrderResult(order_id, False, again.sentence, again.key))

    def hear(self, body: Down) -> None:
        """In any thread. What comes before the fleet listens is not heard: the station sends it again."""
        if self._loop is None or not isinstance(body, FleetOrder | Target):
            return
        try:
            self._loop.call_soon_threadsafe(self.take, body)
        except RuntimeError:        # the loop has ended: the service stops
            _log.info("an order came while the service stops, and is left to its next start")

    def take(self, body: FleetOrder | Target) -> None:
        if isinstance(body, Target):
            self._take_target(body)
            return
        order_id = body.order_id
        if not (0 < len(order_id) <= NAME_LIMIT and order_id.isprintable()):
            self._report(OrderResult(order_id[:NAME_LIMIT], False, said("dispatch.bad_id", most=NAME_LIMIT).sentence))
            return
        try:
            if self._journal.knows(order_id):
                _log.info('order "%s" came again, and is not carried out again', order_id)
                return
            self._journal.take(order_id)
        except sqlite3.Error as error:
            self._report(OrderResult(order_id, False, said("dispatch.disk", error=str(error)).sentence))
            return
        refusal = why_not(body, self._clock.utc_ns())
        if refusal is not None:
            self.answer(body, Outcome(False, refusal.sentence, refusal.key, refusal.params))
            return
        _log.info('order "%s" of %s: %s %s %s', order_id, body.person, body.action, body.drone, body.plan_id)
        self._waiting.put_nowait(body)

    async def next(self) -> FleetOrder:
        return await self._waiting.get()

    def answer(self, order: FleetOrder, outcome: Outcome) -> None:
        """The one answer to an order."""
        _log.info('order "%s": %s: %s', order.order_id, "done" if outcome.done else "not done", outcome.sentence)
        self._answered(
            OrderResult(order.order_id, outcome.done, outcome.sentence[:DETAIL_LIMIT], outcome.key, outcome.params)
        )

    def _answered(self, result: OrderResult) -> None:
        self._report(result)
        try:
            self._journal.note_answered(result.order_id)
        except sqlite3.Error as error:
            _log.error("the disk takes no note of an answered order: %s", error)

    def _take_target(self, target: Target) -> None:
        known = self.targets.get(target.contact)
        if target.gone:         # its last word need not say where: it is gone from where it was
            if known is not None:
                self.targets[target.contact] = msgspec.structs.replace(known, gone=True)
            return
        if not _has_a_place(target) or (known is not None and known.at_ns > target.at_ns):
            return              # no numbers, or overtaken on its way
        self.targets.pop(target.contact, None)
        self.targets[target.contact] = target
        while len(self.targets) > TARGETS_LIMIT:
            self.targets.pop(next(iter(self.targets)))


def _has_a_place(target: Target) -> bool:
    p, c = target.position, target.covariance
    numbers = (p.lat_deg, p.lon_deg, c.ee_m2, c.en_m2, c.nn_m2, *target.velocity_m_s)
    return all(math.isfinite(v) for v in numbers) and abs(p.lat_deg) <= 89.0 and abs(p.lon_deg) <= 180.0


def why_not(order: FleetOrder, now_ns: int) -> Said | None:
    """Why an order cannot be carried out whatever the drones do; None when it can be tried."""
    if order.expires_ns and now_ns > order.expires_ns:
        return said("dispatch.late", until_ns=order.expires_ns)
    try:
        action = FleetAction(order.action)
    except ValueError:
        return said("dispatch.unknown_action", action=order.action[:NAME_LIMIT])
    if action is FleetAction.PLAN:
        if order.wish is None:
            return said("dispatch.no_wish")
        for_contact = order.wish.kind in FOR_A_CONTACT
        if for_contact and not order.wish.contact:
            return said("dispatch.no_contact")
        if not for_contact and not order.drone:
            return said("dispatch.no_drone")
    if action in WITH_PLAN and not order.plan_id:
        return said("dispatch.no_plan")
    if action in WITH_DRONE and not order.drone:
        return said("dispatch.no_drone")
    return None
