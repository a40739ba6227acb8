"""Carries out what people order of the fleet: makes offers, flies the ones that are taken, and keeps those that wait.

Nothing flies that was not offered, nothing is put in the place of something else without a person who ordered it, and an
order is answered when the drone itself has said what became of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.choice import Chosen, busy
from fleet.commands import Outcome
from fleet.dispatch_contacts import Contacts, look_of, mount_of
from fleet.dispatch_queue import Queue, Waiting
from fleet.dispatch_words import Said, reasons, said
from fleet.look import Look
from fleet.offers import Drawn, Ground, WishError, draw
from fleet.offers_fit import draw_to_fit
from fleet.orders import FOR_A_CONTACT, FleetOrders
from fleet.pilot import Flight, Pilot, PilotTerms
from fleet.sortie_terms import IN_HAND
from fleet.standing import Standing
from wire.clock import NS_PER_S
from wire.flying import LinkState
from wire.tasking import Dispatch, FleetAction, FleetOrder, FlightWish, NotChosen, Offer
from wire.units import GroundPosition

OFFER_S = 180.0                 # for which an offer stands; the launch checks it again in any case
OFFERS_LIMIT = 100
TEND_S = 0.25
IN_HAND_TOLD = 50               # orders of which it is told that they are being carried out
WORDS_OF = {FleetAction.RETURN: "RTL", FleetAction.LAND: "LAND"}

_log = logging.getLogger("trailwatch.fleet")


@dataclass(frozen=True, slots=True)
class Kept:
    """An offer that may be launched. chosen: of one for a contact."""

    offer: Offer
    order: FleetOrder
    chosen: Chosen | None = None


class Dispatcher:
    """Of one fleet. `run` ends only by being cancelled."""

    def __init__(self, pilots: Sequence[Pilot], terms: PilotTerms, orders: FleetOrders) -> None:
        self._pilots = {p.drone.name: p for p in pilots}
        self._terms = terms
        self._orders = orders
        self._offers: dict[str, Kept] = {}
        self._queue = Queue()
        self._contacts = Contacts(self._pilots, terms, orders, self.standings)
        self._spawned: set[asyncio.Task[None]] = set()
        self._in_hand: list[str] = []
        self._told: Dispatch | None = None
        self._last_offer: Offer | None = None

    async def run(self) -> None:
        self._orders.listen()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tend())
            while True:
                order = await self._orders.next()
                tasks.create_task(self._carry_out(order))

    # --------------------------------------------------------------------------------------------------------- orders

    def _spawn(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_guarded(doing))
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    async def _carry_out(self, order: FleetOrder) -> None:
        self._in_hand.append(order.order_id)
        self._tell()
        try:
            outcome = await self._do(order)
        except Exception as error:  # a fault in our own code: this order fails, and all others go on  # noqa: BLE001
            _log.exception('order "%s" failed', order.order_id)
            outcome = Outcome.of(False, said("dispatch.fault", error=type(error).__name__))
        self._orders.answer(order, outcome)
        self._in_hand.remove(order.order_id)

    async def _do(self, order: FleetOrder) -> Outcome:
        action = FleetAction(order.action)
        if order.drone and order.drone not in self._pilots:
            return _refused(said("dispatch.unknown_drone", drone=order.drone))
        match action:
            case FleetAction.PLAN:
                return await self._plan(order)
            case FleetAction.LAUNCH:
                return await self._launch(order)
            case FleetAction.WITHDRAW:
                return self._withdraw(order)
            case FleetAction.PAUSE:
                return await self._pause(order)
            case FleetAction.RESUME:
                return await self._resume(order)
            case FleetAction.RETURN | FleetAction.LAND:
                return await self._end(order, WORDS_OF[action])
            case FleetAction.SWAP_BATTERY:
                return await self._pilots[order.drone].swap_battery()

    async def _plan(self, order: FleetOrder) -> Outcome:
        assert order.wish is not None
        plan_id = f"plan-{self._terms.name_task(order.drone)}"
        drones = self.standings()
        try:
            if order.wish.kind in FOR_A_CONTACT:
                chosen = await self._contacts.choose(order, self._ground(), plan_id)
                return self._offer(order, chosen.drawn, chosen.standing, chosen)
            wanted = (order.wish, drones, order.drone, self._ground(), plan_id, order.debt)
            if not order.fit:
                return self._offer(order, await asyncio.to_thread(draw, *wanted), drones[order.drone])
            drawn, fitting = await asyncio.to_thread(draw_to_fit, *wanted)
        except WishError as error:
            return self._offer_nothing(order, plan_id, error.why, error.others)
        asked = order.wish if fitting != order.wish else None
        return self._offer(msgspec.structs.replace(order, wish=fitting), drawn, drones[order.drone], asked=asked)

    def _offer(
        self, order: FleetOrder, drawn: Drawn, standing: Standing, chosen: Chosen | None = None,
        asked: FlightWish | None = None,
    ) -> Outcome:
        assert order.wish is not None
        check, told = drawn.check, drawn.promise
        why = reasons(check.findings[:3])
        words = said("dispatch.check", why=why) if not check.passed else said(
            "dispatch.offered", drone=standing.drone, count=len(drawn.plan.waypoints),
            minutes=round(told.duration_s / 60.0, 1), energy_percent=round(told.energy_percent),
        )
        now_ns = self._terms.clock.utc_ns()
        offer = self._last_offer = Offer(
            order.order_id, drawn.plan.plan_id, standing.drone, order.wish, now_ns, now_ns + round(OFFER_S * NS_PER_S),
            plan=drawn.plan, check=check, arrives_s=round(told.arrives_s, 1), energy_percent=round(told.energy_percent, 1),
            left_percent=round(drawn.left_percent, 1), airborne=standing.airborne, resumes=_resumes(standing, chosen),
            others=chosen.others if chosen is not None else (),
            sentence=words.sentence, key=words.key, params=words.params, findings=check.findings,
            arrives_spread_s=round(told.arrives_spread_s, 1), duration_s=round(told.duration_s, 1),
            duration_spread_s=round(told.duration_spread_s, 1), energy_spread_percent=round(told.energy_spread_percent, 1),
            asked=asked,
        )
        self._keep(Kept(offer, order, chosen))
        return _done(words) if check.passed else _refused(words)

    def _offer_nothing(
        self, order: FleetOrder, plan_id: str, why: Said, others: tuple[NotChosen, ...] = ()
    ) -> Outcome:
        """What was wanted cannot be: told as an offer of nothing, which nobody can launch."""
        assert order.wish is not None
        now_ns = self._terms.clock.utc_ns()
        self._terms.report(Offer(
            order.order_id, plan_id, order.drone, order.wish, now_ns, now_ns, sentence=why.sentence, key=why.key,
            params=why.params, others=others,
        ))
        return _refused(why)

    def _keep(self, kept: Kept) -> None:
        self._terms.report(kept.offer)
        self._offers[kept.offer.plan_id] = kept
        while len(self._offers) > OFFERS_LIMIT:
            self._offers.pop(next(iter(self._offers)))

    async def _launch(self, order: FleetOrder) -> Outcome:
        kept = self._offers.get(order.plan_id)
        if kept is None:
            return _refused(said("dispatch.no_offer", plan=order.plan_id))
        offer = kept.offer
        if self._terms.clock.utc_ns() > offer.expires_ns:
            return _refused(said("dispatch.expired"))
        if offer.check is None or not offer.check.passed:
            return _refused(said("dispatch.check", why=reasons(offer.findings)))
        why = self._why_not_now(offer, order.priority)
        if why is not None:
            if not order.wait:
                return _refused(why)
            self._offers.pop(order.plan_id)
            ahead = self._queue.put(Waiting(offer, order, self._terms.clock.utc_ns(), kept.chosen))
            self._tell()
            waits = said("dispatch.waits", drone=offer.drone, priority=order.priority, ahead=ahead)
            return _done(waits)
        self._offers.pop(order.plan_id)
        return await self._start(offer, order, kept.chosen)

    def _why_not_now(self, offer: Offer, priority: int) -> Said | None:
        return busy(self.standing(self._pilots[offer.drone]), priority)

    def _is_free(self, offer: Offer, priority: int) -> bool:
        """For what waits: it has come home, or flies but a patrol by its settings, which a contact may interrupt."""
        standing = self.standing(self._pilots[offer.drone])
        if busy(standing, priority) is not None:
            return False
        return not standing.airborne or (offer.wish.kind in FOR_A_CONTACT and standing.kind is None and not standing.contact)

    async def _start(self, offer: Offer, order: FleetOrder, chosen: Chosen | None) -> Outcome:
        """Flies an offer; the answer comes when the drone has taken off, or taken it up in the air."""
        assert offer.plan is not None
        if chosen is not None:
            return await self._contacts.launch(offer, chosen, order)
        pilot = self._pilots[offer.drone]
        task_id = self._terms.name_task(offer.drone)
        flight = Flight(offer.plan, task_id, offer.wish.kind, order.priority, order.person)
        pilot.assign(flight)
        self._tell()
        return await pilot.started(flight)

    def _withdraw(self, order: FleetOrder) -> Outcome:
        if self._queue.withdraw(order.plan_id) is not None or self._offers.pop(order.plan_id, None) is not None:
            self._tell()
            return _done(said("dispatch.withdrawn"))
        if any(p.flight is not None and p.flight.plan.plan_id == order.plan_id for p in self._pilots.values()):
            return _refused(said("dispatch.flown", plan=order.plan_id))
        return _refused(said("dispatch.no_offer", plan=order.plan_id))

    async def _pause(self, order: FleetOrder) -> Outcome:
        pilot = self._pilots[order.drone]
        why = self._why_not_commanded(pilot)
        if why is not None:
            return _refused(why)
        if pilot.sortie is None or not pilot.sortie.under_way:
            return _refused(said("dispatch.no_sortie", drone=order.drone))
        return await pilot.sortie.pause(order.person)

    async def _resume(self, order: FleetOrder) -> Outcome:
        pilot = self._pilots[order.drone]
        why = self._why_not_commanded(pilot)
        if why is not None and pilot.drone.airborne():
            return _refused(why)
        if pilot.sortie is not None and pilot.sortie.under_way:
            return await pilot.sortie.resume(order.person)
        if pilot.patrols_held:
            pilot.patrols_held = False
            return _done(said("dispatch.patrols", drone=order.drone))
        return _refused(said("dispatch.no_sortie", drone=order.drone))

    async def _end(self, order: FleetOrder, mode: str) -> Outcome:
        """RTL or LAND. It needs no sortie of ours: whoever has the drone in the air may have lost it."""
        pilot = self._pilots[order.drone]
        why = self._why_not_commanded(pilot)
        if pilot.sortie is not None:
            outcome = await pilot.sortie.end(mode, order.person)
        elif why is not None:
            return _refused(why)
        else:
            outcome = await pilot.set_mode(mode)
        if outcome.done:        # what is called home does not take off again by itself
            pilot.patrols_held = True
            dropped = self._queue.withdraw_all(order.drone)
            if dropped:
                plans = ", ".join(w.offer.plan_id for w in dropped)
                outcome = Outcome(True, outcome.sentence + "; " + said("dispatch.no_longer_waits", plans=plans).sentence)
        return outcome

    def _why_not_commanded(self, pilot: Pilot) -> Said | None:
        drone = pilot.drone
        if drone.identity is None:
            return said("dispatch.unknown_aircraft", drone=drone.name)
        refusal = pilot.refusal()
        if refusal is not None:
            return refusal
        return None if drone.airborne() else said("dispatch.not_flying", drone=drone.name)

    # ---------------------------------------------------------------------------------------------------- as time goes

    async def _tend(self) -> None:
        while True:
            self._contacts.tend()
            self._tell()
            for name, look, left_s in self._contacts.due_for_relief():
                self._spawn(self._relieve(name, look, left_s))
            for waiting in self._queue.due(self._is_free):
                self._spawn(self._take_up(waiting))
            await asyncio.sleep(TEND_S)

    async def _relieve(self, name: str, look: Look, left_s: float) -> None:
        """By itself, before the first has to leave: launched in training, and offered to a person in a live fleet."""
        found = await self._contacts.relieve(name, look, left_s, self._ground(), f"plan-{self._terms.name_task('')}")
        if found is None:
            return
        order, chosen = found
        self._offer(order, chosen.drawn, chosen.standing, chosen)
        plan_id = chosen.drawn.plan.plan_id
        if self._contacts.may_launch_itself and self._offers.pop(plan_id, None) is not None:
            offer = self._last_offer
            assert offer is not None
            outcome = await self._contacts.launch(offer, chosen, order)
            _log.info("%s relieves %s: %s", chosen.standing.drone, name, outcome.sentence)

    async def _take_up(self, waiting: Waiting) -> None:
        """What waited is flown as it was offered; that it no longer may is told by its task."""
        outcome = await self._start(waiting.offer, waiting.order, waiting.chosen)
        _log.info("%s waited and is taken up: %s", waiting.offer.plan_id, outcome.sentence)

    def _tell(self) -> None:
        """The dispatch, whenever it has changed."""
        looks = self._contacts.looks()
        now = Dispatch(
            at_ns=0, waiting=self._queue.told(), looking={name: look.contact for name, look in looks.items()},
            in_view={name: look.in_view for name, look in looks.items()},
            reliefs=tuple((r.contact, r.first, r.second) for r in self._contacts.reliefs),
            in_hand=tuple(self._in_hand[-IN_HAND_TOLD:]), avoiding=self._contacts.avoiding(),
        )
        if now != self._told:
            self._told = now
            self._terms.report(msgspec.structs.replace(now, at_ns=self._terms.clock.utc_ns()))

    def looks(self) -> dict[str, Look]:
        """By drone: what each looks at now."""
        return self._contacts.looks()

    # ------------------------------------------------------------------------------------------------------- standings

    def standings(self) -> dict[str, Standing]:
        return {name: self.standing(pilot) for name, pilot in self._pilots.items()}

    def standing(self, pilot: Pilot) -> Standing:
        drone, settings = pilot.drone, pilot.settings
        position, height = drone.fresh(drone.position), drone.fresh(drone.height_m)
        velocity = drone.fresh(drone.velocity_m_s)
        here = None
        if position is not None:
            here = self._terms.sector.frame.point(GroundPosition(position.lat_deg, position.lon_deg))
        flight, look = pilot.flight, look_of(pilot)
        # Who climbs, comes home or lands is planned for as from home: there it will be when it can be had.
        airborne = drone.airborne() and pilot.sortie is not None and pilot.sortie.under_way and drone.mode() in IN_HAND
        priority = min(3, flight.priority if flight is not None else 3, look.priority if look is not None else 3)
        return Standing(
            drone=drone.name, home=GroundPosition(*settings.home), identity=drone.identity, limits=pilot.limits(),
            view=self._terms.views.get(drone.name), habit=pilot.habit(), refusal=self._refusal(pilot),
            airborne=airborne, here=here, height_m=height or 0.0, percent=drone.fresh(drone.battery_percent),
            battery_least_percent=settings.battery_least_percent, battery_return_percent=settings.battery_return_percent,
            plan=flight.plan if flight is not None else None, kind=flight.kind if flight is not None else None,
            priority=priority, contact=look.contact if look is not None else "", mount_pitch_deg=mount_of(settings),
            paused_by=pilot.sortie.paused_by if pilot.sortie is not None else "", velocity_m_s=velocity or (0.0, 0.0),
        )

    def _refusal(self, pilot: Pilot) -> Said | None:
        """Why this drone is not to be sent anywhere now."""
        drone, sortie, flight = pilot.drone, pilot.sortie, pilot.flight
        if drone.link() is not LinkState.CONNECTED:
            return said("dispatch.link", drone=drone.name, link=drone.link().value)
        if drone.identity is None:
            return said("dispatch.unknown_aircraft", drone=drone.name)
        refusal = pilot.refusal()
        if refusal is not None:
            return refusal
        if drone.airborne() and sortie is not None and sortie.is_called_home:
            return said("dispatch.called_home", drone=drone.name)
        if drone.airborne() and (sortie is None or drone.mode() not in IN_HAND):
            return said("dispatch.mode", drone=drone.name, mode=drone.mode())
        if sortie is not None and flight is not None and not (sortie.under_way and drone.airborne()):
            return said("dispatch.starting", drone=drone.name, plan=flight.plan.plan_id)
        if pilot.is_assigned:
            return said("dispatch.starting", drone=drone.name, plan="another plan")
        if drone.fresh(drone.position) is None:
            return said("dispatch.position", drone=drone.name)
        return None

    def _ground(self) -> Ground:
        return Ground(self._terms.sector, self._terms.realm, self._terms.clock.utc_ns())


async def _guarded(doing: Coroutine[Any, Any, None]) -> None:
    try:
        await doing
    except Exception:  # a fault in our own code: what it was about comes to nothing, and all else goes on  # noqa: BLE001
        _log.exception("the dispatcher failed at something of its own")


def _resumes(standing: Standing, chosen: Chosen | None) -> str:
    """What waits in the drone meanwhile."""
    return standing.plan.plan_id if chosen is not None and standing.airborne and standing.plan is not None else ""


def _refused(why: Said) -> Outcome:
    return Outcome(False, why.sentence, why.key, why.params)


def _done(what: Said) -> Outcome:
    return Outcome(True, what.sentence, what.key, what.params)

