"""Drones that look at contacts: who is sent, who relieves whom, and what they have in view.

Relief is make before break: the first goes when the second is there and has held the same contact for a while. It is
ordered by a person, or planned by itself when the battery of the first will soon call it home; a live fleet then only offers
it, for a launch is a person's act.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.choice import Chosen, choose, target_refusal
from fleet.commands import Outcome
from fleet.dispatch_words import Said, reasons, said
from fleet.energy import EnergyModel, level
from fleet.look import Look
from fleet.look_terms import LookTerms
from fleet.offers import Ground, WishError, checked
from fleet.orders import FleetOrders
from fleet.pilot import Flight, Pilot, PilotTerms
from fleet.settings import DroneSettings
from fleet.sortie_terms import STARTED_LOOK_S
from fleet.standing import Standing
from geofences.geodesy import Array
from wire.flying import TaskPhase, TaskState
from wire.tasking import FleetOrder, FlightKind, FlightWish, Offer
from wire.units import GroundPosition, Realm

LAYER_M = 10.0                  # of the second over the first
RELIEF_LOOK_S = 300.0           # before the first has to go: who could take over is looked for
RELIEF_SLACK_S = 45.0           # that the second is to be there earlier
RELIEF_AGAIN_S = 15.0
TAKEN_UP_WITHIN_S = 30.0
THE_FLEET = "the fleet"

_log = logging.getLogger("trailwatch.fleet")


@dataclass(slots=True)
class Relief:
    """first leaves the contact when second has held it for a while (fleet.look.OVERLAP_S)."""

    contact: str
    first: str
    second: str
    first_look: Look
    second_look: Look


class Contacts:
    """Of one fleet's dispatcher. standings: as they are now."""

    def __init__(
        self, pilots: Mapping[str, Pilot], terms: PilotTerms, orders: FleetOrders,
        standings: Callable[[], dict[str, Standing]],
    ) -> None:
        self.reliefs: list[Relief] = []
        self._pilots, self._terms, self._orders, self._standings = pilots, terms, orders, standings
        self._asked_s: dict[str, float] = {}
        self._unrelieved: dict[str, str] = {}       # why not, as said last

    # ------------------------------------------------------------------------------------------------------- what is

    def looks(self) -> dict[str, Look]:
        """By drone: what each looks at now."""
        return {name: look for name, pilot in self._pilots.items() if (look := look_of(pilot)) is not None}

    def avoiding(self) -> dict[str, str]:
        """By drone: whom each has looked at and does not fly over; of them too it has to hear where they are."""
        found = {name: pilot.sortie.passing for name, pilot in self._pilots.items() if pilot.sortie is not None}
        return {name: passing.contact for name, passing in found.items() if passing is not None}

    def holder(self, contact: str) -> str:
        """Who looks at it; the first of two."""
        second = {r.second for r in self.reliefs if r.contact == contact}
        looking = [name for name, look in self.looks().items() if look.contact == contact]
        return next((n for n in looking if n not in second), looking[0] if looking else "")

    # ------------------------------------------------------------------------------------------------------- planning

    async def choose(self, order: FleetOrder, ground: Ground, plan_id: str) -> Chosen:
        """Raises WishError."""
        wish = order.wish
        assert wish is not None
        target = self._orders.targets.get(wish.contact)
        refusal = target_refusal(wish.contact, target, self._terms.realm, ground.made_ns)
        if refusal is not None or target is None:
            raise WishError(refusal or said("dispatch.unknown_contact", contact=wish.contact))
        drones = self._standings()
        layer_m = 0.0
        if wish.kind is FlightKind.RELIEF:
            first = self.holder(wish.contact)
            if not first:
                raise WishError(said("dispatch.not_held", contact=wish.contact))
            if order.drone == first:
                raise WishError(said("dispatch.looks", drone=first, contact=wish.contact))
            if any(r.contact == wish.contact for r in self.reliefs):
                raise WishError(said("dispatch.relieved_already", contact=wish.contact))
            layer_m = self._layer_m(first)
        able = {n: s for n, s in drones.items() if wish.kind is not FlightKind.RELIEF or n != first}
        if not able:
            raise WishError(said("dispatch.no_other", drone=first))
        return await asyncio.to_thread(
            choose, wish, target, able, order.drone, order.priority, ground, plan_id, layer_m,
            {n: s.here for n, s in drones.items() if s.airborne and s.here is not None},
        )

    def _layer_m(self, first: str) -> float:
        """Over the first one, or under it where that is over another one already."""
        look = self.looks().get(first)
        return 0.0 if look is not None and look.layer_m > 0 else LAYER_M

    # ------------------------------------------------------------------------------------------------------ launching

    async def launch(self, offer: Offer, chosen: Chosen, order: FleetOrder) -> Outcome:
        """Send it; answered when it has taken off, or has left what it flew."""
        pilot = self._pilots[offer.drone]
        contact = offer.wish.contact
        refusal = target_refusal(contact, self._orders.targets.get(contact), self._terms.realm, self._terms.clock.utc_ns())
        if refusal is not None:
            return Outcome(False, refusal.sentence, refusal.key, refusal.params)
        relieves = offer.wish.kind is FlightKind.RELIEF
        first_name = self.holder(contact) if relieves else ""
        first = self.looks().get(first_name)
        if relieves and (first is None or first_name == offer.drone):
            lost = said("dispatch.not_held", contact=contact)
            return Outcome(False, lost.sentence, lost.key, lost.params)
        task_id = self._terms.name_task(offer.drone)
        look = self._look(pilot, offer, chosen, order, task_id)
        if pilot.drone.airborne():
            outcome = await self._divert(pilot, look, offer, task_id)
        else:
            assert offer.plan is not None
            flight = Flight(offer.plan, task_id, offer.wish.kind, order.priority, order.person, look)
            pilot.assign(flight)
            if first is not None:
                self.reliefs.append(Relief(contact, first_name, offer.drone, first, look))
            outcome = await pilot.started(flight)
            return outcome
        if outcome.done and first is not None:
            self.reliefs.append(Relief(contact, first_name, offer.drone, first, look))
        return outcome

    def _look(self, pilot: Pilot, offer: Offer, chosen: Chosen, order: FleetOrder, task_id: str) -> Look:
        assert offer.plan is not None
        airborne = pilot.drone.airborne()

        def tell(phase: TaskPhase, what: Said) -> None:
            _log.info("%s: %s: %s", task_id, phase.value, what.sentence)
            self._terms.report(TaskState(
                task_id, pilot.drone.name, offer.plan_id, phase, self._terms.clock.utc_ns(), what.sentence, key=what.key,
                params=what.params,
            ))

        def others() -> tuple[Array, ...]:
            found = []
            for other in self._pilots.values():
                position = other.drone.fresh(other.drone.position)
                if other is not pilot and other.drone.airborne() and position is not None:
                    found.append(self._terms.sector.frame.point(GroundPosition(position.lat_deg, position.lon_deg)))
            return tuple(found)

        terms = LookTerms(
            self._terms.clock, self._terms.realm, self._orders.targets, pilot.limits, others,
            self._terms.views.get(pilot.drone.name), chosen.radius_m, chosen.height_m, mount_of(pilot.settings),
        )
        return Look(
            offer.wish.contact, offer.plan, pilot.drone, pilot.link, chosen.room, terms, tell, tell if airborne else None,
            priority=order.priority, layer_m=chosen.layer_m,
        )

    async def _divert(self, pilot: Pilot, look: Look, offer: Offer, task_id: str) -> Outcome:
        """From what it flies, which waits in the drone and goes on where it was."""
        sortie = pilot.sortie
        assert offer.plan is not None
        if sortie is None or not sortie.under_way:
            none = said("dispatch.no_sortie", drone=offer.drone)
            return Outcome(False, none.sentence, none.key, none.params)
        again = checked(offer.plan, self._standings()[offer.drone], self._ground(), to_look=True)
        if not again.check.passed:
            why = said("dispatch.check", why=reasons(again.check.findings[:3]))
            return Outcome(False, why.sentence, why.key, why.params)
        clock = self._terms.clock
        self._terms.report(offer.plan)
        self._terms.report(again.check)
        words = said("task.looks", drone=offer.drone, contact=look.contact)
        self._terms.report(TaskState(
            task_id, offer.drone, offer.plan_id, TaskPhase.CREATED, clock.utc_ns(), words.sentence, key=words.key,
            params=words.params,
        ))
        sortie.divert(look)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + TAKEN_UP_WITHIN_S
        while loop.time() < until_s and not look.begun and not look.over:
            await asyncio.sleep(STARTED_LOOK_S)
        if look.begun:
            taken = said("look.begins", drone=offer.drone, contact=look.contact)
            return Outcome(True, taken.sentence, taken.key, taken.params)
        look.end(said("look.not_taken", drone=offer.drone))
        assert look.over is not None
        return Outcome(False, look.over.sentence, look.over.key, look.over.params)

    # ---------------------------------------------------------------------------------------------------- as time goes

    def tend(self) -> None:
        """Let go of those who are relieved, and of reliefs that came to nothing."""
        looks = self.looks()
        for relief in list(self.reliefs):
            first_left = relief.first_look.over or looks.get(relief.first) is not relief.first_look
            second = self._pilots[relief.second]
            second_lost = relief.second_look.over or (
                looks.get(relief.second) is not relief.second_look and not second.is_assigned and second.sortie is None
            )
            if relief.second_look.takes_over and not first_left:
                relief.first_look.end(said("look.relieved", second=relief.second, contact=relief.contact))
            elif not first_left and not second_lost:
                continue
            self.reliefs.remove(relief)
            if second_lost:
                _log.warning("%s does not relieve %s: %s", relief.second, relief.first, relief.second_look.over and
                         relief.second_look.over.sentence)

    def due_for_relief(self) -> list[tuple[str, Look, float]]:
        """Drones whose battery soon calls them from a contact, and in how many seconds; each asked about now and then."""
        found = []
        loop = asyncio.get_running_loop()
        for name, look in self.looks().items():
            if any(name in (r.first, r.second) for r in self.reliefs):
                continue
            left_s = self.seconds_left(name)
            if left_s is None or left_s > RELIEF_LOOK_S or loop.time() - self._asked_s.get(name, -1e9) < RELIEF_AGAIN_S:
                continue
            self._asked_s[name] = loop.time()
            found.append((name, look, left_s))
        return found

    def seconds_left(self, name: str) -> float | None:
        """Until the battery of a drone that hovers will have it called home; None where it does not say."""
        pilot = self._pilots[name]
        percent = pilot.drone.fresh(pilot.drone.battery_percent)
        if percent is None:
            return None
        limits = pilot.limits()
        model = limits.energy or EnergyModel.of_endurance(limits.endurance_s)
        a_minute = model.need(level(60.0, limits.wind.speed_m_s), percent).percent
        spare = percent - pilot.settings.battery_return_percent
        home_percent = self._home_percent(pilot, percent)
        if home_percent is not None:
            spare = min(spare, percent - home_percent - limits.reserve_percent)
        return max(0.0, spare) / max(a_minute, 1e-3) * 60.0

    def _home_percent(self, pilot: Pilot, percent: float) -> float | None:
        """What the way home takes for sure, as the watch in the air reckons it."""
        sortie = pilot.sortie
        return sortie.home_percent(percent) if sortie is not None else None

    async def relieve(
        self, name: str, look: Look, left_s: float, ground: Ground, plan_id: str
    ) -> tuple[FleetOrder, Chosen] | None:
        """Who takes over by itself, and as which order; None when nobody can, or it is too early yet."""
        wish = FlightWish(FlightKind.RELIEF, contact=look.contact)
        order = FleetOrder(f"relief-{plan_id}", "plan", THE_FLEET, wish=wish, priority=look.priority)
        try:
            chosen = await self.choose(order, ground, plan_id)
        except WishError as error:
            if self._unrelieved.get(name) != str(error):
                self._unrelieved[name] = str(error)
                _log.warning("%s has %.0f s left at contact %s, and is not relieved: %s", name, left_s, look.contact, error)
            return None
        return (order, chosen) if left_s <= chosen.drawn.arrives_s + RELIEF_SLACK_S + RELIEF_AGAIN_S else None

    def _ground(self) -> Ground:
        return Ground(self._terms.sector, self._terms.realm, self._terms.clock.utc_ns())

    @property
    def may_launch_itself(self) -> bool:
        return self._terms.realm is Realm.TRAINING


def look_of(pilot: Pilot) -> Look | None:
    errand = pilot.sortie.errand if pilot.sortie is not None else None
    return errand if isinstance(errand, Look) else None


def mount_of(settings: DroneSettings) -> float | None:
    """Of a camera without a gimbal, degrees against the nose."""
    return None if settings.gimbal else settings.mount_pitch_deg
