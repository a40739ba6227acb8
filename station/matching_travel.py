"""Who came with a listed vehicle: people that get out of it where it stopped, and whoever goes along with it.

Only vehicles whose plate may lead to a record are followed, for as long as their passengers may still appear; of everybody
else nothing is kept here. A tie holds for the rest of a contact's way: a known vehicle by its plate, earlier on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from station.contacts import Contact
from station.kalman import Array
from station.matching_score import Travel
from station.picture import TrailPoint
from wire.clock import NS_PER_S

FOLLOWED_NS = 15 * 60 * NS_PER_S        # after a vehicle's last sight
LEFT_WITHIN_M = 12.0                    # of where it stood: the length of a bus, and two sigma of a camera's place
LEFT_AFTER_NS = 120 * NS_PER_S          # since it was last there
LEFT_BEFORE_NS = 10 * NS_PER_S          # it is seen to arrive a little after its passengers, on another camera
STOOD_M_S = 2.0
WITH_WITHIN_M = 15.0
WITH_FOR_NS = 20 * NS_PER_S
WITH_MOVED_M = 30.0                     # standing beside each other is no travelling
TIES_KEPT_NS = 12 * 3600 * NS_PER_S

ToMetres = Callable[[list[float], list[float]], Array]


class Tie(msgspec.Struct, frozen=True):
    """vehicle, contact: numbers. how: left or with. seen_ns: when. plates and plate_confidence: the vehicle's, so far."""

    contact: int
    vehicle: int
    vehicle_id: str
    how: str
    seen_ns: int
    plates: dict[str, int]
    plate_confidence: dict[str, tuple[float, ...]]


class Companions:
    """Ties of contacts to listed vehicles. changed: since the state was last taken."""

    def __init__(self, to_metres: ToMetres, ties: Iterable[Tie] = ()) -> None:
        self._to_metres = to_metres
        self._vehicles: dict[int, Contact] = {}
        self.ties: dict[int, Tie] = {t.contact: t for t in ties}
        self.changed = False

    @property
    def is_idle(self) -> bool:
        return not self._vehicles and not self.ties

    def follow(self, vehicle: Contact) -> None:
        """A vehicle whose plate may be a listed one; its ties learn what has been read of it since."""
        self._vehicles[vehicle.number] = vehicle
        for tie in [t for t in self.ties.values() if t.vehicle in (vehicle.number, *vehicle.absorbed)]:
            if tie.plates != vehicle.plates:
                self._keep(tie.contact, vehicle, tie.how, tie.seen_ns)

    def tie(self, contact: Contact) -> Travel | None:
        """How this contact came, if it came with a followed vehicle."""
        known = next((self.ties[n] for n in (contact.number, *contact.absorbed) if n in self.ties), None)
        if known is None and self._vehicles and contact.number not in self._vehicles:
            known = self._find(contact)
        if known is None:
            return None
        people = sum(1 for t in self.ties.values() if t.vehicle == known.vehicle and t.how == known.how)
        return Travel(known.vehicle_id, known.how, max(1, people), dict(known.plates), dict(known.plate_confidence))

    def forget(self, now_ns: int) -> None:
        """Vehicles that left long ago, and ties of yesterday."""
        self._vehicles = {n: v for n, v in self._vehicles.items() if now_ns - v.last_seen_ns < FOLLOWED_NS}
        old = [n for n, t in self.ties.items() if now_ns - t.seen_ns > TIES_KEPT_NS]
        for number in old:
            del self.ties[number]
            self.changed = True

    def _find(self, contact: Contact) -> Tie | None:
        for vehicle in sorted(self._vehicles.values(), key=lambda v: v.number):
            if vehicle.merged_into is not None or not contact.trail or not vehicle.trail:
                continue
            if contact.group == "person" and self._left(contact, vehicle):
                return self._keep(contact.number, vehicle, "left", contact.first_seen_ns)
            if self._goes_with(contact, vehicle):
                return self._keep(contact.number, vehicle, "with", contact.last_seen_ns)
        return None

    def _keep(self, contact: int, vehicle: Contact, how: str, seen_ns: int) -> Tie:
        tie = Tie(
            contact, vehicle.number, vehicle.id, how, seen_ns, dict(vehicle.plates), dict(vehicle.plate_confidence)
        )
        self.ties[contact] = tie
        self.changed = True
        return tie

    def _left(self, contact: Contact, vehicle: Contact) -> bool:
        """Its first place is where the vehicle stood, and the vehicle was there just before (or was lost there)."""
        first = contact.trail[0]
        if abs(first.at_ns - contact.first_seen_ns) > 10 * NS_PER_S:
            return False        # the beginning of its trail is forgotten: it did not begin here
        times = np.array([p.at_ns for p in vehicle.trail], float)
        near = (times >= first.at_ns - LEFT_AFTER_NS) & (times <= first.at_ns + LEFT_BEFORE_NS)
        if vehicle.last_seen_ns <= first.at_ns:
            near[-1] = near[-1] or first.at_ns - vehicle.last_seen_ns <= LEFT_AFTER_NS
        if not near.any():
            return False
        places = self._metres(vehicle.trail)
        start = self._metres([first])[0]
        slow = _speeds(places, times) <= STOOD_M_S
        close = np.hypot(*(places - start).T) <= LEFT_WITHIN_M
        return bool((near & slow & close).any())

    def _goes_with(self, contact: Contact, vehicle: Contact) -> bool:
        """Beside it for long enough, on the move."""
        times = np.array([p.at_ns for p in vehicle.trail], float)
        own = np.array([p.at_ns for p in contact.trail], float)
        both = (own >= times[0]) & (own <= times[-1])
        if both.sum() < 3 or own[both][-1] - own[both][0] < WITH_FOR_NS:
            return False
        places, mine = self._metres(vehicle.trail), self._metres(contact.trail)[both]
        there = np.stack([np.interp(own[both], times, places[:, i]) for i in (0, 1)], axis=1)
        moved = float(np.hypot(*(there[-1] - there[0])))
        return moved >= WITH_MOVED_M and bool((np.hypot(*(there - mine).T) <= WITH_WITHIN_M).all())

    def _metres(self, trail: list[TrailPoint]) -> Array:
        return self._to_metres([p.lat_deg for p in trail], [p.lon_deg for p in trail])


def _speeds(places: Array, times: Array) -> Array:
    """(n,) metres a second, around each point of a trail; 0 where there is one point alone."""
    if len(times) < 2:
        return np.zeros(len(times))
    steps = np.hypot(*np.diff(places, axis=0).T) / np.maximum(np.diff(times) / NS_PER_S, 0.1)
    # Standing before or after is standing: whoever gets out does so at either end of it.
    around: Array = np.minimum(np.append(steps, steps[-1]), np.insert(steps, 0, steps[0]))
    return around
