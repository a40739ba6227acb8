"""A border road's traffic with known truth, for the watchlist's benchmark: who passes, what is read, who is listed.

Nothing here is taken from the matcher: plates are misread by a table, rates and confidences of their own (KINDS_OF_SIGHT,
CONFUSED), habits are kept and broken at other rates, reports are wrong at another. Every number is an assumption, written
here once. Cameras read eight characters wrong in a thousand, twice what docs/edge.md measured on drawn vehicles, and a
quarter of these become something that the matcher does not take for a look-alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from geofences.geodesy import LocalFrame
from station.contacts import Contact
from station.kalman import Estimate
from station.picture import TrailPoint
from station.subjects import Category, KnownVehicle
from station.watchlist_file import Draft
from wire.clock import NS_PER_S
from wire.units import Colour, ObjectClass

T = TypeVar("T")

CORRIDORS = tuple(f"loi-{i}" for i in range(8))
HOUR_NS = 3600 * NS_PER_S
GROUPS_PER_HOUR = 5.0           # of all corridors, at the busiest
LOCAL_VEHICLES = 20_000
LOCAL_SHARE = 0.7               # of vehicles that pass, those that pass again and again; the others come once
SUBJECT_GROUPS = 0.01           # of all groups, those with a listed subject
SUBJECTS_HERE = 400             # of those listed, who ever come
KEEPS_HABIT = 0.62
LENT = 0.02                     # a listed vehicle comes with somebody else
REPORT_WRONG = 0.25
UNREAD = 0.1                    # vehicles of which no camera read a plate
WAYS = (("drives", 0.88), ("gets_out", 0.03), ("reported", 0.02), ("walks", 0.07))
DECOY_GROUPS = 0.001            # neighbours who come again and again, with plates one look-alike from a listed one
DECOYS = 12
# Share of sights, and the chance that a character is read wrong.
KINDS_OF_SIGHT = ((0.78, 0.003), (0.17, 0.015), (0.05, 0.06))
P_DROPPED, P_INSERTED = 0.005, 0.002        # of a whole plate
P_ALIKE = 0.8                               # of wrong characters, those that end at one of the table's
CONFUSED = {
    "0": "DOQ8", "O": "0DQ", "D": "0O", "Q": "0O", "1": "I7L", "I": "1L", "2": "Z", "Z": "2", "5": "S", "S": "5", "8": "B3",
    "B": "8", "6": "G", "G": "6C", "3": "8", "7": "1", "4": "A", "A": "4", "C": "G",
}
PROVINCES = (("74", 0.5), ("75", 0.15), ("73", 0.1), ("43", 0.05), ("29", 0.05), ("51", 0.05), ("15", 0.05), ("92", 0.05))
SERIES = "ABCDEFGHKLMNPSTUVXYZ"
KINDS = ((ObjectClass.MOTORCYCLE, 0.55), (ObjectClass.CAR, 0.25), (ObjectClass.TRUCK, 0.15), (ObjectClass.BUS, 0.05))


@dataclass(frozen=True, slots=True)
class Vehicle:
    plate: str
    kind: ObjectClass
    colour: Colour


@dataclass(slots=True)
class Here:
    """A subject that comes here. hour: of the local day around which it usually comes; day: of the week, or None."""

    number: int
    vehicle: Vehicle
    corridor: int
    hour: int
    day: int | None
    party: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report to be made before its hours: subject's number, corridor, hours from now."""

    number: int
    corridor: int
    hours: int


@dataclass(slots=True)
class Group:
    """Contacts that come together, in the order in which they are seen.

    truth: for each, the number of the subject that it is, or 0. named: whether an identifier was in view.
    """

    contacts: list[Contact]
    truth: list[int]
    named: list[bool]


@dataclass(slots=True)
class Hour:
    reports: list[Wanted] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


class Population:
    """Repeatable by its seed. drafts: the list to be nominated, in the order of its numbers, from 1."""

    def __init__(self, seed: int, listed: int, frame: LocalFrame) -> None:
        self._chance = np.random.default_rng(seed)
        self._frame = frame
        self._number = 0
        self._issued: set[str] = set()
        self._locals = [self._vehicle() for _ in range(LOCAL_VEHICLES)]
        weights = 1.0 / np.arange(10, LOCAL_VEHICLES + 10)
        self._local_share = np.cumsum(weights / weights.sum())
        evening, morning = (np.exp(-0.5 * ((np.arange(24) - h) / w) ** 2) for h, w in ((17, 3.0), (7, 2.0)))
        week = np.tile(0.25 + evening + 0.7 * morning, 7)
        week[5 * 24 :] *= 1.5           # market days
        self._week = week / week.max()
        self._corridor_share = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.06, 0.05, 0.04])
        self._here = [self._subject(i + 1) for i in range(SUBJECTS_HERE)]
        self.drafts = [self._draft(h) for h in self._here]
        self.drafts += [self._draft(self._subject(n)) for n in range(SUBJECTS_HERE + 1, listed + 1)]
        self._decoys = [self._decoy() for _ in range(DECOYS)]

    # ---------------------------------------------------------------------------------------------------- the list

    def _subject(self, number: int) -> Here:
        c = self._chance
        day = int(c.integers(7)) if c.random() < 0.3 else None
        hour = int(c.choice([2, 4, 5, 20, 22, 23, 12]))
        return Here(number, self._vehicle(), int(c.integers(len(CORRIDORS))), hour, day, int(c.integers(1, 5)))

    def _draft(self, h: Here) -> Draft:
        c = self._chance
        colour = h.vehicle.colour.value if c.random() < 0.7 else ""
        kind = h.vehicle.kind if c.random() < 0.9 else None
        return Draft(
            list(Category)[h.number % 5], f"record {h.number}", "r", "l", "w", 4_000_000_000 * NS_PER_S, (),
            (KnownVehicle(h.vehicle.plate, kind, colour),), (CORRIDORS[h.corridor],) if c.random() < 0.8 else (),
            ((h.hour * 60 - 60) % 1440, (h.hour * 60 + 120) % 1440) if c.random() < 0.8 else None,
            h.party if c.random() < 0.5 else None, () if h.day is None else (h.day,),
        )

    def _vehicle(self) -> Vehicle:
        """A plate is issued once."""
        while True:
            made = self._maybe_vehicle()
            if made.plate not in self._issued:
                self._issued.add(made.plate)
                return made

    def _maybe_vehicle(self) -> Vehicle:
        c = self._chance
        kind = _pick(c, KINDS)
        if c.random() < 0.07:           # from across the border
            plate = "".join(c.choice(list("BDGIOSUZNKLMPTX"), 2)) + f"{c.integers(10_000):04d}"
        else:
            series = str(c.choice(list(SERIES)))
            if kind is ObjectClass.MOTORCYCLE:
                series += str(c.integers(1, 10))
            plate = _pick(c, PROVINCES) + series + f"{c.integers(100_000):05d}"
        return Vehicle(plate, kind, list(Colour)[c.integers(len(Colour))])

    def _decoy(self) -> Vehicle:
        """A vehicle of somebody else, with a plate one look-alike away from that of a subject that never comes."""
        c = self._chance
        while True:
            draft = self.drafts[int(c.integers(SUBJECTS_HERE, len(self.drafts)))]
            plate = draft.vehicles[0].plate
            places = [i for i, x in enumerate(plate) if x in "0O1I2Z5S8B6GD"]
            if places:
                i = int(c.choice(places))
                other = next(x for g in ("0ODQ", "1I", "2Z", "5S", "8B", "6G") if plate[i] in g for x in g if x != plate[i])
                kind = draft.vehicles[0].object_class or ObjectClass.CAR
                return Vehicle(plate[:i] + other + plate[i + 1 :], kind, Colour.WHITE)

    # -------------------------------------------------------------------------------------------------- the traffic

    def hours(self, start_ns: int, contacts: int, utc_offset_min: int) -> Iterator[Hour]:
        """Hour by hour from start_ns, until so many contacts have come."""
        made, at_ns = 0, start_ns
        while made < contacts:
            local_h = at_ns // HOUR_NS + utc_offset_min // 60
            of_week = int((local_h + 3 * 24) % 168)
            hour = Hour()
            for _ in range(self._chance.poisson(GROUPS_PER_HOUR * self._week[of_week])):
                group = self._group(at_ns + int(self._chance.integers(HOUR_NS)), of_week, hour)
                hour.groups.append(group)
                made += len(group.contacts)
            hour.groups.sort(key=lambda g: g.contacts[0].first_seen_ns)
            yield hour
            at_ns += HOUR_NS

    def _group(self, at_ns: int, of_week: int, hour: Hour) -> Group:
        c = self._chance
        draw = c.random()
        if draw < SUBJECT_GROUPS:
            return self._subject_group(at_ns, of_week, hour)
        if draw < SUBJECT_GROUPS + DECOY_GROUPS:
            return self._alone(self._drive(self._decoys[int(c.integers(DECOYS))], at_ns, self._corridor()))
        if c.random() < 0.55:
            own = self._vehicle()
            if c.random() < LOCAL_SHARE:
                own = self._locals[int(np.searchsorted(self._local_share, c.random()))]
            vehicle = self._drive(own, at_ns, self._corridor())
            if c.random() < 0.03:
                return self._with_passengers(vehicle, 0, at_ns)
            return self._alone(vehicle)
        walkers = self._walk(at_ns, self._corridor(), 1 + min(5, int(c.geometric(0.55)) - 1))
        return Group(walkers, [0] * len(walkers), [False] * len(walkers))

    def _subject_group(self, at_ns: int, of_week: int, hour: Hour) -> Group:
        c = self._chance
        who = self._who(of_week)
        corridor = who.corridor if c.random() < KEEPS_HABIT else self._corridor()
        way = _pick(c, WAYS)
        if way in ("drives", "gets_out"):
            vehicle = self._drive(who.vehicle, at_ns, corridor)
            number = 0 if c.random() < LENT else who.number
            if way == "gets_out":
                return self._with_passengers(vehicle, number, at_ns)
            return Group([vehicle], [number], [bool(vehicle.plates) and number > 0])
        walkers = self._walk(at_ns, corridor, who.party)
        truth = [0] * len(walkers)
        if way == "reported":
            hour.reports.append(Wanted(who.number, corridor, 1 + int(c.integers(2))))
            if c.random() < REPORT_WRONG:
                return Group(walkers, truth, [False] * len(walkers))
        me = int(c.integers(len(walkers)))
        truth[me] = who.number
        return Group(walkers, truth, [i == me and way == "reported" for i in range(len(walkers))])

    def _who(self, of_week: int) -> Here:
        """Those whose habit it is come rather than others."""
        day, hour = divmod(of_week, 24)
        usual = [h for h in self._here if h.day in (None, day) and min((hour - h.hour) % 24, (h.hour - hour) % 24) <= 1]
        if usual and self._chance.random() < KEEPS_HABIT:
            return usual[int(self._chance.integers(len(usual)))]
        return self._here[int(self._chance.integers(SUBJECTS_HERE))]

    def _with_passengers(self, vehicle: Contact, number: int, at_ns: int) -> Group:
        """It stops, and people get out; where it is a subject's, in two of three cases the subject is one of them."""
        c = self._chance
        place = vehicle.estimate.mean[:2]
        self._stand(vehicle, at_ns)
        people = self._walk(at_ns + 20 * NS_PER_S, CORRIDORS.index(vehicle.corridors[0]), int(c.integers(1, 4)), place)
        for one in people:
            self._stand(one, one.first_seen_ns)
        truth = [0] * len(people)
        if number and c.random() < 0.66:
            truth[int(c.integers(len(people)))] = number
        seen = bool(vehicle.plates)
        return Group([vehicle, *people], [number, *truth], [seen and number > 0, *(seen and t > 0 for t in truth)])

    def _alone(self, contact: Contact) -> Group:
        return Group([contact], [0], [False])

    def _corridor(self) -> int:
        return int(np.searchsorted(np.cumsum(self._corridor_share), self._chance.random()))

    # ------------------------------------------------------------------------------------------------ what is seen

    def _drive(self, v: Vehicle, at_ns: int, corridor: int) -> Contact:
        c = self._chance
        contact = self._contact("vehicle", v.kind, at_ns, corridor)
        if c.random() < 0.15:
            contact.votes = {_pick(c, KINDS).value: 1.0}
        colour = v.colour if c.random() < 0.78 else list(Colour)[c.integers(len(Colour))]
        contact.colours = {colour.value: 3}
        if c.random() >= UNREAD:
            wrong = _pick(c, tuple((p, share) for share, p in KINDS_OF_SIGHT))
            for _ in range(int(c.integers(1, 3))):      # one or two cameras
                text, sure = read_plate(c, v.plate, wrong)
                for _ in range(int(c.integers(1, 4))):
                    contact.note_plate(text, sure)
        return contact

    def _walk(self, at_ns: int, corridor: int, count: int, place: np.ndarray | None = None) -> list[Contact]:
        return [
            self._contact("person", ObjectClass.PERSON, at_ns + i * 2 * NS_PER_S, corridor, place) for i in range(count)
        ]

    def _contact(
        self, group: str, kind: ObjectClass, at_ns: int, corridor: int, place: np.ndarray | None = None
    ) -> Contact:
        self._number += 1
        near = self._chance.normal(0.0, 2.0, 2)
        mean = np.zeros(4)
        mean[:2] = (np.array([corridor * 700.0 - 2500.0, 0.0]) if place is None else place) + near
        made = Contact(self._number, group, Estimate(mean, np.eye(4), at_ns), at_ns, at_ns, at_ns, True)
        made.votes, made.corridors, made.detections = {kind.value: 1.0}, (CORRIDORS[corridor],), 9
        return made

    def _stand(self, contact: Contact, at_ns: int) -> None:
        lat, lon = self._frame.from_enu(contact.estimate.mean[None, :2])[0]
        contact.trail = [TrailPoint(float(lat), float(lon), at_ns + k * 2 * NS_PER_S) for k in range(4)]


def read_plate(c: np.random.Generator, plate: str, wrong: float) -> tuple[str, tuple[float, ...]]:
    """What a camera makes of a plate, and how sure it says it is of each character."""
    text, sure = "", []
    for true in plate:
        if c.random() < P_DROPPED / len(plate):
            continue
        read = true
        if c.random() < wrong:
            table = CONFUSED.get(true, "")
            if table and c.random() < P_ALIKE:
                read = str(c.choice(list(table)))
            else:
                read = str(c.choice(list("0123456789ABCDEFGHKLMNPSTUVXYZ")))
        text += read
        # Too sure of what is wrong, and not sure enough of what is right: as readers are.
        sure.append(float(np.clip(c.beta(18, 1.2) if read == true else c.beta(3, 2), 0.05, 0.999)))
        if c.random() < P_INSERTED / len(plate):
            text += str(c.choice(list("0123456789")))
            sure.append(0.6)
    return text, tuple(round(s, 3) for s in sure)


def _pick(c: np.random.Generator, shares: tuple[tuple[T, float], ...]) -> T:
    draw, total = c.random() * sum(s for _, s in shares), 0.0
    for what, share in shares:
        total += share
        if draw < total:
            return what
    return shares[-1][0]
