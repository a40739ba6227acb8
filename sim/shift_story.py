"""The story of the shift: what the scripted pilot does, and which faults come when.

Each step is done when the drones themselves have said so; a step that does not come within its time is noted as missing, and
the drones are called home. As soon as a person orders anything of a drone, the script orders nothing any more: it is theirs.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import msgspec
import numpy as np
from pymavlink import mavutil

from sim.crew import Crew
from sim.shift_pilot import Given, ShiftPilot, is_answered
from sim.shift_radio import Radio
from sim.shift_settings import ShiftDrone
from sim.shift_stage import ShiftStage
from station.fleet_orders import FleetOrderView
from station.orders import OrderState
from station.picture import ContactView
from wire.clock import NS_PER_S, Clock
from wire.flying import LinkState
from wire.tasking import FleetAction, FlightKind, FlightWish, Offer
from wire.units import GroundPosition, ObjectClass

LOOK_S = 0.2
ANSWER_S = 60.0                 # a launch is answered when the drone is in the air
READY_S, CLIMB_S, CONTACT_S, ARRIVE_S, RELIEF_S, HOME_S = 60.0, 60.0, 60.0, 90.0, 120.0, 180.0
ROUND_S = 60.0                  # until who was relieved has gone round the contact, and flies its patrol again
LOOK_PLANNED_S = 60.0           # for which the battery is reckoned
THERE_M = 20.0                  # over the level distance of a look
DETECTIONS_LEAST = 5            # of a contact, before the pilot sends anybody to it
PATROL_PRIORITY, CONTACT_PRIORITY = 3, 1
ORDERS_AGAIN_S = 1.0            # between two looks whether a person has ordered something
T = TypeVar("T")

_log = logging.getLogger("trailwatch.shift")


class Step(msgspec.Struct, frozen=True):
    """One step of the story. at_s: since the shift began. says: in a sentence, with the drones' own words."""

    name: str
    done: bool
    at_s: float
    says: str


class StepMissedError(Exception):
    """What did not come in time."""


class TakenOverError(Exception):
    """A person leads now. Its text says who, and by what."""


@dataclass(slots=True)
class Launched:
    """An offer that the pilot has launched. given: the press."""

    offer: Offer
    given: Given
    answer: FleetOrderView | None = None


@dataclass(slots=True)
class Told:
    """What the story leaves for the report. began_ns: UTC."""

    began_ns: int
    steps: list[Step] = field(default_factory=list)
    launched: list[Launched] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    contact: str = ""
    first: str = ""
    second: str = ""
    cut_ns: tuple[int, int] = (0, 0)
    gps_lost_ns: int = 0
    taken_over: str = ""


class Story:
    """Of one run. `play` returns when every drone is on the ground, or does not come there in time."""

    def __init__(
        self, stage: ShiftStage, pilot: ShiftPilot, radios: dict[str, Radio], crew: Crew, stop: threading.Event, clock: Clock
    ) -> None:
        self.told = Told(clock.utc_ns())
        self._stage, self._pilot, self._radios, self._crew = stage, pilot, radios, crew
        self._stop, self._clock = stop, clock
        self._settings = stage.shift.settings
        self._due: list[tuple[int, Callable[[], None]]] = []        # monotonic: what is to be done then
        self._looked_ns = 0

    def play(self) -> Told:
        try:
            try:
                self._get_ready()
                self._be_refused()
                self._patrol()
                self._look_at_walker()
                self._relieve()
                self._cut_link()
                self._send_home()
                self._see_link_lost()
            except StepMissedError as missed:
                self._note("missing", False, str(missed))
            self._account()
        except StepMissedError as missed:
            self._note("missing", False, str(missed))
        except TakenOverError as taken:
            self.told.taken_over = str(taken)
            self._note("taken_over", True, str(taken))
        for radio in self._radios.values():
            radio.mend()
        return self.told

    @property
    def complete(self) -> bool:
        return bool(self.told.steps) and all(s.done for s in self.told.steps)

    # ---------------------------------------------------------------------------------------------------- its steps

    def _get_ready(self) -> None:
        for drone in self._stage.drones:
            ready = functools.partial(self._is_ready, drone)
            self._until(ready, READY_S, f"{drone} is heard, with a position, and would arm")
        self._note("ready", True, f"{', '.join(self._stage.drones)} are heard, and stand on the ground")

    def _be_refused(self) -> None:
        """Somewhere that no drone may go: the fleet says why, and the station launches no such offer."""
        wanted = self._settings.refused
        wish = FlightWish(FlightKind.POINT, places=(GroundPosition(*wanted.place),), height_m=40.0)
        given = self._pilot.order(FleetAction.PLAN, wanted.drone, wish)
        answer = self._answered(given, "the plan that must be refused")
        if answer.state is OrderState.DONE:
            raise StepMissedError(f"{wanted.drone} was offered a flight to {list(wanted.place)}, which must be refused")
        self.told.refused.append(f"{wanted.drone} to {list(wanted.place)}: {answer.detail}")
        offer = self._pilot.offer(given.order_id)
        if offer is not None and offer.plan is not None:
            again = self._pilot.order(FleetAction.LAUNCH, wanted.drone, plan_id=offer.plan_id)
            if not again.refused:
                raise StepMissedError(f"the station took the launch of {offer.plan_id}, which had not passed its check")
            self.told.refused.append(f"its launch all the same: {again.refused}")
            self._pilot.order(FleetAction.WITHDRAW, wanted.drone, plan_id=offer.plan_id)
        self._note("refused", True, answer.detail)

    def _patrol(self) -> None:
        patrols = [d for d in self._settings.drones if d.corridor]
        launched = [self._offer_and_launch(self._wish_of(d), d.id, PATROL_PRIORITY) for d in patrols]
        for number, one in enumerate(launched):
            self._in_the_air(one)
            if number == 0:         # nobody walks before
                self._crew.start(*self._stage.world)
            self._note("patrol", True, f"{one.offer.drone} on {one.offer.wish.corridor}: {self._says(one)}")
            if one.offer.drone == self._settings.gps_loss.drone:
                self._after(self._settings.gps_loss.after_s, self._lose_gps)

        for one in launched:
            flies = functools.partial(self._is_in, one.offer.drone, "AUTO")
            self._until(flies, CLIMB_S, f"{one.offer.drone} has climbed and flies its patrol")
        self._note("on_patrol", True, f"{' and '.join(one.offer.drone for one in launched)} fly their patrols")

    def _look_at_walker(self) -> None:
        found = self._until(self._alarming, CONTACT_S, "an alarm about a person comes up, and his contact is seen")
        self.told.contact = found.id
        self._note("contact", True, f"{found.id}, {found.object_class.value}, seen by {', '.join(found.sensors)}")
        look = self._settings.look
        wish = FlightWish(
            FlightKind.INVESTIGATE, contact=found.id, radius_m=look.radius_m, height_m=look.height_m, hold_s=LOOK_PLANNED_S
        )
        one = self._offer_and_launch(wish, "", CONTACT_PRIORITY)
        first = self.told.first = one.offer.drone
        self._in_the_air(one)
        self._note("investigate", True, f"{first} goes to {found.id}: {self._says(one)}")
        self._until(lambda: self._holds(first), ARRIVE_S, f"{first} is there and has {found.id} in its picture")
        self._note("there", True, f"{first} is {self._away_m(first):.0f} m from {found.id} and has it in its picture")
        self._until(self._lasting(lambda: self._holds(first), look.held_s), ARRIVE_S,
                    f"{first} keeps {found.id} in its picture for {look.held_s:g} s")
        self._note("held", True, f"{first} has kept {found.id} in its picture for {look.held_s:g} s")

    def _relieve(self) -> None:
        look, contact, first = self._settings.look, self.told.contact, self.told.first
        wish = FlightWish(
            FlightKind.RELIEF, contact=contact, radius_m=look.radius_m, height_m=look.height_m, hold_s=LOOK_PLANNED_S
        )
        one = self._offer_and_launch(wish, "", CONTACT_PRIORITY)
        second = self.told.second = one.offer.drone
        self._in_the_air(one)
        self._note("relief", True, f"{second} is to relieve {first}: {self._says(one)}")
        self._until(lambda: self._pilot.dispatch().looking.get(first) != contact, RELIEF_S, f"{first} is relieved")
        if not self._holds(second):
            raise StepMissedError(f"{first} has left {contact} before {second} holds it")
        self._note("relieved", True, f"{first} has left {contact}, which {second} holds")
        self._until(lambda: self._mode(first) in ("AUTO", "RTL"), ROUND_S, f"{first} goes on with its patrol, or home")
        self._note("resumed", True, f"{first} is in {self._mode(first)} again")

    def _cut_link(self) -> None:
        loss, first = self._settings.link_loss, self.told.first
        self._sleep(loss.after_s)
        radio = self._radios[first]
        cut_ns = self._clock.utc_ns()
        self.told.cut_ns = (cut_ns, cut_ns + round(loss.for_s * NS_PER_S))
        radio.cut()
        self._after(loss.for_s, radio.mend)
        self._note("link_cut", True, f"nothing goes to {first} or comes from it any more")

    def _send_home(self) -> None:
        look, second, contact = self._settings.look, self.told.second, self.told.contact
        self._until(self._lasting(lambda: self._holds(second), look.alone_s), ARRIVE_S,
                    f"{second} alone keeps {contact} in its picture for {look.alone_s:g} s")
        self._note("held_alone", True, f"{second} alone has kept {contact} in its picture for {look.alone_s:g} s")
        given = self._pilot.order(FleetAction.RETURN, second)
        answer = self._answered(given, f"{second} is called home")
        if answer.state is not OrderState.DONE:
            raise StepMissedError(f"{second} does not come home: {answer.detail}")
        self._note("return", True, answer.detail)

    def _see_link_lost(self) -> None:
        first = self.told.first
        self._until(lambda: self._link(first) is LinkState.LOST, self._settings.link_loss.for_s,
                    f"the station calls the link of {first} lost")
        self._note("link_lost", True, f"the station calls the link of {first} lost")

    def _account(self) -> None:
        """Everybody down, and heard again."""
        if self._stop.is_set():
            raise StepMissedError("the shift was stopped before its end")
        first = self.told.first
        if first and self.told.cut_ns[0]:
            self._until(lambda: self._link(first) is LinkState.CONNECTED, 40.0, f"{first} is heard again")
            self._note("link_back", True, f"{first} is heard again, in {self._mode(first)}")
        if not self.complete:
            for drone in self._stage.drones:
                if self._is_up(drone):
                    self._pilot.order(FleetAction.RETURN, drone)
        for drone in self._stage.drones:
            self._until(functools.partial(self._is_down, drone), HOME_S, f"{drone} has landed and says so")
        self._note("all_down", True, f"{', '.join(self._stage.drones)} have landed and are disarmed")

    # ------------------------------------------------------------------------------------------------------ its parts

    def _wish_of(self, d: ShiftDrone) -> FlightWish:
        return FlightWish(
            FlightKind.CORRIDOR, corridor=d.corridor, height_m=d.height_m, speed_m_s=d.speed_m_s, from_m=d.from_m,
            reach_m=d.reach_m,
        )

    def _offer_and_launch(self, wish: FlightWish, drone: str, priority: int) -> Launched:
        what = f"{wish.kind.value} {wish.corridor or wish.contact}"
        given = self._pilot.order(FleetAction.PLAN, drone, wish, priority=priority)
        answer = self._answered(given, what)
        if answer.state is not OrderState.DONE:
            self.told.refused.append(f"{what}: {answer.detail}")
            raise StepMissedError(f"{what} is not offered: {answer.detail}")
        offer = self._until(lambda: self._pilot.offer(given.order_id), 10.0, f"the offer of {what} is on the screen")
        launch = self._pilot.order(FleetAction.LAUNCH, offer.drone, plan_id=offer.plan_id, priority=priority)
        one = Launched(offer, launch)
        self.told.launched.append(one)
        self.told.refused += [f"{what}, not by {o.drone}: {o.sentence}" for o in offer.others]
        return one

    def _in_the_air(self, one: Launched) -> None:
        one.answer = self._answered(one.given, f"{one.offer.drone} flies {one.offer.plan_id}")
        if one.answer.state is not OrderState.DONE:
            self.told.refused.append(f"{one.offer.drone}, {one.offer.wish.kind.value}: {one.answer.detail}")
            raise StepMissedError(f"{one.offer.drone} does not fly {one.offer.plan_id}: {one.answer.detail}")

    def _answered(self, given: Given, what: str) -> FleetOrderView:
        if given.refused:
            self.told.refused.append(f"{what}: {given.refused}")
            raise StepMissedError(f"{what}: the station refuses: {given.refused}")

        def answer() -> FleetOrderView | None:
            view = self._pilot.answer(given.order_id)
            return view if is_answered(view) else None

        return self._until(answer, ANSWER_S, f"{what} is answered")

    def _lose_gps(self) -> None:
        drone = self._settings.gps_loss.drone
        self.told.gps_lost_ns = self._clock.utc_ns()
        self._switch_gps(drone, on=False)
        self._note("gps_lost", True, f"{drone} has no satellites any more")

    def _switch_gps(self, drone: str, *, on: bool) -> None:
        """The simulation's own switch, as with ArduPilot SITL."""
        ports = self._stage.drones[drone]
        link = mavutil.mavlink_connection(f"tcp:127.0.0.1:{ports.faults}", source_system=254)
        try:
            for _ in range(3):
                kind = mavutil.mavlink.MAV_PARAM_TYPE_REAL32
                link.mav.param_set_send(ports.system_id, 1, b"SIM_GPS1_ENABLE", float(on), kind)
                self._clock.sleep(0.1)
        finally:
            link.close()

    # ------------------------------------------------------------------------------------------------- what it looks at

    def _alarming(self) -> ContactView | None:
        for alarm in self._pilot.alarms():
            for name in (alarm.contact, *alarm.contacts):
                contact = self._pilot.contact(name) if name else None
                if (contact is not None and contact.object_class is ObjectClass.PERSON
                        and contact.detections >= DETECTIONS_LEAST):
                    return contact
        return None

    def _holds(self, drone: str) -> bool:
        """It looks at the contact, has it in its picture, and is as near as it is to look from: all as on the map."""
        now = self._pilot.dispatch()
        looks = now.looking.get(drone) == self.told.contact and now.in_view.get(drone, False)
        return looks and self._away_m(drone) <= self._settings.look.radius_m + THERE_M

    def _away_m(self, drone: str) -> float:
        """Level distance from the contact."""
        view, contact = self._pilot.drone(drone), self._pilot.contact(self.told.contact)
        if view is None or contact is None or view.telemetry.position is None:
            return float("inf")
        at, frame = view.telemetry.position, self._stage.shift.sector.frame
        return float(np.linalg.norm(frame.point(GroundPosition(at.lat_deg, at.lon_deg)) - frame.point(contact.position)))

    def _is_ready(self, drone: str) -> bool:
        view = self._pilot.drone(drone)
        t = view.telemetry if view is not None else None
        return t is not None and t.link is LinkState.CONNECTED and t.position is not None and bool(t.hardware_id) and (
            t.battery_percent is not None and not t.arming_reasons
        )

    def _is_in(self, drone: str, mode: str) -> bool:
        return self._mode(drone) == mode

    def _mode(self, drone: str) -> str:
        view = self._pilot.drone(drone)
        return view.telemetry.mode if view is not None else ""

    def _link(self, drone: str) -> LinkState | None:
        view = self._pilot.drone(drone)
        return view.telemetry.link if view is not None else None

    def _is_up(self, drone: str) -> bool:
        view = self._pilot.drone(drone)
        return view is not None and view.telemetry.armed

    def _is_down(self, drone: str) -> bool:
        """It is disarmed, and the fleet has said how its flight ended."""
        view = self._pilot.drone(drone)
        has_ended = view is not None and (view.task is None or view.task.phase.is_over)
        return has_ended and self._link(drone) is LinkState.CONNECTED and not self._is_up(drone)

    def _see_who_leads(self) -> None:
        """Raises TakenOverError once anybody else has ordered something since the shift began."""
        for order in self._pilot.orders():
            if order.person != self._pilot.name and order.given_ns >= self.told.began_ns:
                raise TakenOverError(f"{order.person} leads now, by {order.action.value} {order.drone}".rstrip())

    # ------------------------------------------------------------------------------------------------------------ time

    def _until(self, true: Callable[[], T | None], seconds: float, what: str) -> T:
        """What `true` returns once that is neither None nor False. Raises StepMissedError, TakenOverError."""
        until_ns = self._clock.monotonic_ns() + round(seconds * NS_PER_S)
        while True:
            self._tick()
            try:
                found = true()
            except httpx.HTTPError as error:        # the web server was started again: the next look may find it
                _log.warning("the station does not answer: %s", error)
                found = None
            if found:
                return found
            if self._stop.is_set():
                raise StepMissedError(f"it was told to stop before {what}")
            if self._clock.monotonic_ns() >= until_ns:
                raise StepMissedError(f"within {seconds:g} s: {what}")
            self._stop.wait(LOOK_S)

    def _lasting(self, true: Callable[[], bool], seconds: float) -> Callable[[], bool]:
        since_ns: list[int] = []

        def lasting() -> bool:
            now_ns = self._clock.monotonic_ns()
            if not true():
                since_ns.clear()
                return False
            since_ns[:] = since_ns or [now_ns]
            return now_ns - since_ns[0] >= seconds * NS_PER_S

        return lasting

    def _sleep(self, seconds: float) -> None:
        until_ns = self._clock.monotonic_ns() + round(seconds * NS_PER_S)
        while self._clock.monotonic_ns() < until_ns and not self._stop.is_set():
            self._tick()
            self._stop.wait(LOOK_S)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._due.append((self._clock.monotonic_ns() + round(seconds * NS_PER_S), do))

    def _tick(self) -> None:
        """What goes on beside every wait: processes are watched, faults come when they are due."""
        self._crew.watch()
        now_ns = self._clock.monotonic_ns()
        due = [do for at_ns, do in self._due if at_ns <= now_ns]
        self._due = [(at_ns, do) for at_ns, do in self._due if at_ns > now_ns]
        for do in due:
            do()
        if now_ns - self._looked_ns >= ORDERS_AGAIN_S * NS_PER_S:
            self._looked_ns = now_ns
            try:
                self._see_who_leads()
            except httpx.HTTPError as error:
                _log.warning("the station does not answer: %s", error)

    def _says(self, one: Launched) -> str:
        return one.answer.detail if one.answer is not None else ""

    def _note(self, name: str, done: bool, says: str) -> None:
        at_s = (self._clock.utc_ns() - self.told.began_ns) / NS_PER_S
        self.told.steps.append(Step(name, done, round(at_s, 1), says))
        _log.info("%6.1f s  %s%s: %s", at_s, "" if done else "MISSING ", name, says)
