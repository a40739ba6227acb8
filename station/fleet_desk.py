"""The fleet as the mind keeps it: offers until they are taken or over, the dispatcher's word, answers, and who is followed.

What is offered and what is flown are told apart here. A plan that came with an offer becomes the drone's plan with the
first word of its task, and not before; so nobody takes a proposal for what is in the air.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from station.contacts import Contact
from station.fleet_picture import FleetAnswer, FleetView
from station.fleet_requests import DropOffer, FleetRequest, FollowContact
from station.picture import Answer, ContactState, ContactView, Done, Refused, Sentence
from station.situation import Situation
from wire.clock import NS_PER_S
from wire.flying import CheckResult, Plan, Preflight, TaskState
from wire.messages import OrderResult
from wire.tasking import Dispatch, FlightWish, Offer, Target
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm

FleetWord = Plan | CheckResult | Preflight | TaskState

TARGET_EVERY_NS = NS_PER_S          # wire.tasking.Target: once or twice a second
ASKED_NS = 30 * NS_PER_S            # a contact is followed so long for an offer that does not come
OFFER_NS = 60 * NS_PER_S            # an offer that does not say how long it holds
ANSWERS_NS = 300 * NS_PER_S
ANSWERS_LIMIT, OFFERS_LIMIT, WISHES_LIMIT = 40, 20, 30
HELD_NS = 3 * NS_PER_S              # seen by a drone so lately: it holds the contact
LAST_WORDS = 3                      # how often it is told that a contact is gone; each may be lost
STATE = "fleet"                     # its name in the mind's memory


class FleetDesk:
    """Values in, views out; without disk and sockets. `state` is what a restart needs of it."""

    def __init__(self, realm: Realm, state: bytes | None = None) -> None:
        self._realm = realm
        views = msgspec.msgpack.decode(state, type=tuple[FleetView, ...]) if state else ()
        self._views: dict[str, FleetView] = {v.node: v for v in views}
        self._changed: set[str] = set()
        self._unsaved = False
        self._held: dict[str, list[Plan | CheckResult]] = {}        # by plan: came before its task, with an open offer
        self._asked: dict[tuple[str, str], int] = {}                # (node, contact) -> until when
        self._farewells: dict[tuple[str, str], int] = {}            # how often it was told that it is gone
        self._last: dict[tuple[str, str], Target] = {}
        self._told_ns = 0
        self._hurry = False

    # ------------------------------------------------------------------------------------------------- what it is told

    def offer(self, node: str, offer: Offer) -> None:
        view = self._view(node)
        kept = tuple(o for o in view.offers if o.order_id != offer.order_id)[-OFFERS_LIMIT + 1 :]
        self._put(msgspec.structs.replace(view, offers=(*kept, offer)))

    def dispatch(self, node: str, dispatch: Dispatch) -> None:
        view = self._view(node)
        if view.dispatch is None or dispatch.at_ns >= view.dispatch.at_ns:
            self._put(msgspec.structs.replace(view, dispatch=dispatch))

    def answered(self, node: str, result: OrderResult, received_ns: int) -> None:
        view = self._view(node)
        if any(a.order_id == result.order_id for a in view.answers):
            return                      # the first is the answer
        answer = FleetAnswer(result.order_id, result.done, result.detail, received_ns, result.key, result.params)
        self._put(msgspec.structs.replace(view, answers=(*view.answers[-ANSWERS_LIMIT + 1 :], answer)))

    def heard_of(self, node: str, drone: str) -> None:
        view = self._view(node)
        if drone not in view.drones:
            self._put(msgspec.structs.replace(view, drones=tuple(sorted((*view.drones, drone)))))

    def flown(self, node: str, word: FleetWord) -> list[FleetWord]:
        """What of this, and of what was held back, is about something that flies."""
        match word:
            case Plan() | CheckResult():
                if any(o.plan_id == word.plan_id for o in self._view(node).offers):
                    self._held.setdefault(word.plan_id, []).append(word)
                    return []
                return [word]
            case TaskState():
                self._take_offer(node, word.plan_id)
                held: list[FleetWord] = list(self._held.pop(word.plan_id, []))
                return [*held, word]
            case Preflight():
                return [word]

    def _take_offer(self, node: str, plan_id: str) -> None:
        view = self._view(node)
        taken = next((o for o in view.offers if plan_id and o.plan_id == plan_id), None)
        if taken is None:
            return
        wishes: dict[str, FlightWish] = {**dict(list(view.wishes.items())[-WISHES_LIMIT + 1 :]), plan_id: taken.wish}
        self._put(msgspec.structs.replace(view, offers=tuple(o for o in view.offers if o is not taken), wishes=wishes))

    # --------------------------------------------------------------------------------------------------- what is asked

    def answer(self, request: FleetRequest, find: Callable[[str], Contact | None], now_ns: int) -> Answer:
        """find: a contact that may still be seen, by any of its ids."""
        match request:
            case FollowContact(node, contact):
                found = find(contact)
                if found is None:
                    return Refused(Sentence("contact.refused.not_live", {"contact": contact}))
                if self.is_out_of_bounds(found.simulated):
                    return Refused(Sentence("fleet.refused.simulated", {"contact": contact}))
                self._asked[(node, contact)] = now_ns + ASKED_NS
                self._farewells.pop((node, contact), None)
                self._hurry = True
                return Done()
            case DropOffer(node, plan_id):
                view = self._view(node)
                self._put(msgspec.structs.replace(view, offers=tuple(o for o in view.offers if o.plan_id != plan_id)))
                self._held.pop(plan_id, None)
                return Done()

    def is_out_of_bounds(self, simulated: bool) -> bool:
        """Whether no drone may be sent to such a contact: nobody flies in earnest to what is not there."""
        return simulated and self._realm is Realm.LIVE

    # --------------------------------------------------------------------------------------------------- time passes

    def pass_time(self, now_ns: int) -> None:
        for view in list(self._views.values()):
            offers = tuple(o for o in view.offers if now_ns < ends_ns(o))
            answers = tuple(a for a in view.answers if now_ns - a.at_ns < ANSWERS_NS)
            if len(offers) != len(view.offers) or len(answers) != len(view.answers):
                for gone in view.offers:
                    if gone not in offers:
                        self._held.pop(gone.plan_id, None)
                self._put(msgspec.structs.replace(view, offers=offers, answers=answers))
        self._asked = {pair: until for pair, until in self._asked.items() if now_ns < until}

    def targets(
        self, find: Callable[[str], Contact | None], view: Callable[[Contact], ContactView],
        drone_of: Callable[[str], str | None], now_ns: int,
    ) -> Iterator[tuple[str, Target]]:
        """Once a second, and at once for what was just asked: node, and where a contact is. drone_of: of a sensor."""
        if not self._hurry and 0 <= now_ns - self._told_ns < TARGET_EVERY_NS:
            return
        self._told_ns, self._hurry = now_ns, False
        pairs = sorted({*self._asked, *self._followed()})
        self._last = {pair: target for pair, target in self._last.items() if pair in pairs}
        self._farewells = {pair: said for pair, said in self._farewells.items() if pair in pairs}
        for pair in pairs:
            node, name = pair
            contact = find(name)
            if contact is not None and not self.is_out_of_bounds(contact.simulated):
                self._farewells.pop(pair, None)
                self._last[pair] = target_of(name, contact, view(contact), drone_of, now_ns)
                yield node, self._last[pair]
            elif (said := self._farewells.get(pair, 0)) < LAST_WORDS:
                self._farewells[pair] = said + 1
                known = self._last.get(pair)
                yield node, gone_target(name, now_ns) if known is None else msgspec.structs.replace(known, gone=True)

    def _followed(self) -> Iterator[tuple[str, str]]:
        """Whom drones look at, are to look at, or would by an open offer."""
        for node, view in self._views.items():
            names = {o.wish.contact for o in view.offers}
            if view.dispatch is not None:
                d = view.dispatch
                names |= {*d.looking.values(), *d.avoiding.values()}
                names |= {*(t.contact for t in d.waiting), *(contact for contact, _, _ in d.reliefs)}
            yield from ((node, name) for name in names if name)

    # ------------------------------------------------------------------------------------------------------- and out

    def views(self) -> tuple[FleetView, ...]:
        return tuple(view for _, view in sorted(self._views.items()))

    def take_news(self) -> tuple[FleetView, ...]:
        changed, self._changed = sorted(self._changed), set()
        return tuple(self._views[node] for node in changed)

    def states(self) -> dict[str, bytes]:
        """What the next commit has to write; nothing where nothing has changed since the last."""
        if not self._unsaved:
            return {}
        self._unsaved = False
        return {STATE: msgspec.msgpack.encode(self.views())}

    def _view(self, node: str) -> FleetView:
        return self._views.get(node) or FleetView(node)

    def _put(self, view: FleetView) -> None:
        if self._views.get(view.node) != view:
            self._views[view.node] = view
            self._changed.add(view.node)
            self._unsaved = True


def ends_ns(offer: Offer) -> int:
    """Until when it may be taken."""
    return offer.expires_ns if offer.expires_ns > offer.made_ns else offer.made_ns + OFFER_NS


def target_of(
    name: str, contact: Contact, view: ContactView, drone_of: Callable[[str], str | None], now_ns: int
) -> Target:
    """name: by which the fleet knows it; fusion may have found since that it is another's.

    While a contact is seen its place is that of its newest detection; later it is where it is thought to be now.
    """
    drones = {drone_of(sensor) for sensor, sight in contact.sights.items() if now_ns - sight.last_ns < HELD_NS}
    return Target(
        name, contact.estimate.at_ns if view.state is ContactState.LIVE else now_ns, view.object_class, view.position,
        view.covariance, view.velocity_m_s, contact.last_seen_ns, contact.simulated,
        tuple(sorted(d for d in drones if d is not None)),
    )


def gone_target(name: str, now_ns: int) -> Target:
    """Of a contact that was never there while anybody was told of it: no place of it means anything."""
    return Target(
        name, now_ns, ObjectClass.PERSON, GroundPosition(0.0, 0.0), Covariance2(0.0, 0.0, 0.0), (0.0, 0.0), 0, False,
        gone=True,
    )


def drone_of_node(node: str, drones: Iterable[str]) -> str | None:
    """Whose eye a node is: it is called as the drone is, or so and a dash more; `drone-1-eye` is of `drone-1`."""
    named = [d for d in drones if node == d or node.startswith(f"{d}-")]
    return max(named, key=len, default=None)


def drones_by_sensor(situation: Situation) -> Callable[[str], str | None]:
    """Which drone carries a sensor; None for one that stands on the ground, or is not known."""
    def drone_of(sensor: str) -> str | None:
        seen_by = situation.sensors.get(sensor)
        return None if seen_by is None else drone_of_node(seen_by.node, situation.drones)

    return drone_of
