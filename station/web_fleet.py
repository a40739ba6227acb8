"""Orders to drones: plan, launch, pause, resume, return, land; and what became of each. Offers come with the feed."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from geofences.sector import load_sector
from station.access import Session
from station.coverage_runs import debt_of
from station.fleet_orders import FleetOrderBook, FleetOrderView
from station.fleet_picture import FleetView
from station.fleet_requests import DropOffer, FollowContact
from station.fleet_roles import may_order
from station.guard import RefusedRequest, answer_json, read_body
from station.orders import TooManyOrdersError
from station.picture import Picture, Sentence
from station.web_api import ApiRoute, Who
from station.web_door import Door
from wire.codec import NAME_LIMIT
from wire.coverage import CoverageDebt
from wire.tasking import FleetAction, FleetOrder, FlightKind, FlightWish, Offer

PLACES_LIMIT = 100                  # corners of an area
OF_CONTACTS = (FlightKind.INVESTIGATE, FlightKind.RELIEF)
# Where the fleet is not heard, these wait for it all the same, as long as they hold: they make nothing fly.
TAKEN_IN_SILENCE = (FleetAction.RETURN, FleetAction.LAND, FleetAction.PAUSE, FleetAction.WITHDRAW)
# field of a wish -> least, most; what lies beyond is a slip of the finger, and what lies within is the fleet's to judge
BOUNDS: dict[str, tuple[float, float]] = {
    "height_m": (0, 1000), "speed_m_s": (0, 50), "from_m": (0, 100_000), "reach_m": (0, 100_000), "rounds": (1, 50),
    "overlap": (0, 0.9), "radius_m": (0, 255), "turns": (0, 100), "hold_s": (0, 3600),
}

Name = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]


class FleetWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """drone: whom it is for; may be empty with PLAN of INVESTIGATE and RELIEF. plan_id: of LAUNCH and WITHDRAW, as offered.

    wait: LAUNCH may wait in the queue until its drone is free. priority: in that queue. fit: PLAN may shorten the wish
    until the plan passes its checks.
    """

    action: FleetAction
    drone: Name = ""
    wish: FlightWish | None = None
    plan_id: Name = ""
    priority: Annotated[int, msgspec.Meta(ge=1, le=3)] = 2
    wait: bool = False
    fit: bool = False


class GivenFleetOrder(msgspec.Struct, frozen=True):
    """node: the fleet service that is to carry it out."""

    id: str
    node: str


class FleetRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._sector = load_sector(door.settings.sector)
        self._orders = FleetOrderBook(door.settings, door.clock)
        self._orders.make_ready()

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/fleet/orders", self.list_orders, "The newest orders to drones.",
                     answer=tuple[FleetOrderView, ...]),
            ApiRoute("/api/fleet/orders", self.give_order, "Order something of a drone, or an offer for a contact.",
                     method="POST", who=Who.PILOTS, body=FleetWanted, answer=GivenFleetOrder),
            ApiRoute("/api/fleet/orders/{id}", self.read_order, "What became of an order to a drone.",
                     answer=FleetOrderView),
            ApiRoute("/api/fleet", self.fleets, "Each fleet service: what it offers, what waits, whom it looks at.",
                     answer=tuple[FleetView, ...]),
        ]

    async def fleets(self, request: Request) -> Response:
        await self._door.known(request)
        return answer_json(self._door.feed.picture().fleets)

    async def list_orders(self, request: Request) -> Response:
        await self._door.known(request)
        picture = self._door.feed.picture()
        return answer_json(await anyio.to_thread.run_sync(self._orders.newest, picture.fleets, picture.drones))

    async def read_order(self, request: Request) -> Response:
        await self._door.known(request)
        picture = self._door.feed.picture()
        order = await anyio.to_thread.run_sync(
            self._orders.find, request.path_params["id"], picture.fleets, picture.drones
        )
        if order is None:
            raise RefusedRequest(404, Sentence("refused.no_such_order"))
        return answer_json(order)

    async def give_order(self, request: Request) -> Response:
        session = await self._door.changing(request)
        wanted = await read_body(request, FleetWanted)
        picture = self._door.feed.picture()
        if wanted.action is FleetAction.PLAN:
            node, order = await self._planned(session, wanted, picture)
        elif wanted.action in (FleetAction.LAUNCH, FleetAction.WITHDRAW):
            node, order = await self._offered(session, wanted, picture)
        else:
            node, order = self._commanded(session, wanted, picture)
        if wanted.action not in TAKEN_IN_SILENCE:
            check_heard(picture, node)
        try:
            given = await anyio.to_thread.run_sync(self._orders.give, session.person.name, node, order)
        except TooManyOrdersError:
            raise RefusedRequest(429, Sentence("refused.too_many_orders")) from None
        return answer_json(GivenFleetOrder(given, node))

    # ---------------------------------------------------------------------------------------------------- what is meant

    async def _planned(self, session: Session, w: FleetWanted, picture: Picture) -> tuple[str, FleetOrder]:
        if w.wish is None:
            raise RefusedRequest(400, Sentence("fleet.refused.wish"))
        self._check_role(session, w.action, w.wish.kind)
        check_wish(w.wish)
        node = node_of(picture, w.drone, chosen_by_fleet=w.wish.kind in OF_CONTACTS)
        debt: CoverageDebt | None = None
        if w.wish.kind in OF_CONTACTS:
            check_heard(picture, node)
            if not any(c.id == w.wish.contact for c in picture.contacts):
                raise RefusedRequest(404, Sentence("contact.refused.not_live", {"contact": w.wish.contact}))
            await self._door.ask(FollowContact(node, w.wish.contact))       # which knows whether anybody may fly there
        elif w.wish.kind is FlightKind.DEBT:
            debt = debt_of(picture.coverage, self._sector, self._door.clock.utc_ns())
        return node, FleetOrder("", w.action.value, "", w.drone, w.wish, "", w.priority, debt=debt, fit=w.fit)

    async def _offered(self, session: Session, w: FleetWanted, picture: Picture) -> tuple[str, FleetOrder]:
        """An offer is taken as it was made: for its drone, and while it holds."""
        found = find_offer(picture, w.plan_id)
        if found is None:
            if w.action is FleetAction.LAUNCH:
                raise RefusedRequest(409, Sentence("fleet.refused.offer_over"))
            return self._waiting_task(session, w, picture)
        node, offer = found
        self._check_role(session, w.action, offer.wish.kind)
        if w.drone != offer.drone:
            raise RefusedRequest(409, Sentence("fleet.refused.other_drone", {"drone": offer.drone}))
        if w.action is FleetAction.LAUNCH:
            if offer.check is None or not offer.check.passed:
                raise RefusedRequest(409, Sentence("fleet.refused.not_passed", {"drone": offer.drone}))
            if offer.wish.contact:
                contact = next((c for c in picture.contacts if c.id == offer.wish.contact), None)
                if contact is not None:
                    await self._door.ask(FollowContact(node, contact.id))
        else:
            await self._door.ask(DropOffer(node, offer.plan_id))
        return node, FleetOrder("", w.action.value, "", offer.drone, None, offer.plan_id, w.priority, w.wait)

    def _waiting_task(self, session: Session, w: FleetWanted, picture: Picture) -> tuple[str, FleetOrder]:
        """A task that waits in the queue, to be withdrawn."""
        for fleet in picture.fleets:
            for task in fleet.dispatch.waiting if fleet.dispatch else ():
                if task.plan_id == w.plan_id:
                    self._check_role(session, w.action, task.kind)
                    return fleet.node, FleetOrder("", w.action.value, "", task.drone, None, w.plan_id)
        raise RefusedRequest(409, Sentence("fleet.refused.offer_over"))

    def _commanded(self, session: Session, w: FleetWanted, picture: Picture) -> tuple[str, FleetOrder]:
        node = node_of(picture, w.drone)
        self._check_role(session, w.action, flown_kind(picture, w.drone))
        return node, FleetOrder("", w.action.value, "", w.drone)

    def _check_role(self, session: Session, action: FleetAction, kind: FlightKind | None) -> None:
        if not may_order(session.person.role, self._door.settings.realm, action, kind):
            raise RefusedRequest(403, Sentence("refused.role"))


def check_wish(wish: FlightWish) -> None:
    """Raises RefusedRequest 400 for what no person can have meant."""
    within = all(least <= getattr(wish, name) <= most for name, (least, most) in BOUNDS.items())
    places = all(-90 <= p.lat_deg <= 90 and -180 <= p.lon_deg <= 180 for p in wish.places)
    needed = {
        FlightKind.CORRIDOR: bool(wish.corridor), FlightKind.SHARE: bool(wish.corridor) and bool(wish.drones),
        FlightKind.AREA: len(wish.places) >= 3, FlightKind.ORBIT: len(wish.places) == 1,
        FlightKind.POINT: len(wish.places) == 1, FlightKind.INVESTIGATE: bool(wish.contact),
        FlightKind.RELIEF: bool(wish.contact),
    }.get(wish.kind, True)
    names = all(len(n) <= NAME_LIMIT for n in (wish.corridor, wish.contact, *wish.drones))
    few = len(wish.places) <= PLACES_LIMIT and len(wish.drones) <= PLACES_LIMIT
    if not (within and places and needed and names and few):
        raise RefusedRequest(400, Sentence("fleet.refused.wish"))


def node_of(picture: Picture, drone: str, chosen_by_fleet: bool = False) -> str:
    """The fleet service that has this drone; with no drone named, one that has any and is heard. Raises RefusedRequest."""
    known = {n.node: n for n in picture.nodes if n.kind == "fleet"}
    if not known and not picture.fleets:
        raise RefusedRequest(409, Sentence("fleet.refused.no_fleet"))
    if not drone and chosen_by_fleet:
        having = [f.node for f in picture.fleets if f.drones]
        heard = [node for node in having if node in known and not known[node].silent]
        if not having:
            raise RefusedRequest(409, Sentence("fleet.refused.no_drones"))
        return (heard or having)[0]
    for fleet in picture.fleets:
        if drone and drone in fleet.drones:
            return fleet.node
    raise RefusedRequest(404, Sentence("fleet.refused.no_such_drone", {"drone": drone}))


def check_heard(picture: Picture, node: str) -> None:
    """Raises RefusedRequest 409 where this fleet service is silent: what would fly is not asked of nobody."""
    if any(n.node == node and not n.silent for n in picture.nodes):
        return
    raise RefusedRequest(409, Sentence("fleet.refused.silent", {"node": node}))


def find_offer(picture: Picture, plan_id: str) -> tuple[str, Offer] | None:
    return next(((f.node, o) for f in picture.fleets for o in f.offers if plan_id and o.plan_id == plan_id), None)


def flown_kind(picture: Picture, drone: str) -> FlightKind | None:
    """What a drone flies, as far as it was wished for here."""
    for fleet in picture.fleets:
        if fleet.dispatch is not None and drone in fleet.dispatch.looking:
            return FlightKind.INVESTIGATE
    view = next((d for d in picture.drones if d.drone == drone), None)
    if view is None or view.task is None:
        return None
    wish = next((f.wishes[view.task.plan_id] for f in picture.fleets if view.task.plan_id in f.wishes), None)
    return wish.kind if wish is not None else None
