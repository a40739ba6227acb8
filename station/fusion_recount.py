"""More contacts than people: where no sensor sees as many as there are contacts, they are counted anew.

Two who walk together may become three contacts: a sensor whose own error was not yet known gave the first of them to the
second's contact, and the second found none left. Each sensor then sees two of the three in one picture, so that no two of
them may be merged; yet nobody sees three. Who stands where is then asked of all sensors at once: of all ways to give the
tracks of each sensor to as many people as one of them sees, the one that fits best, with one offset a sensor, which cancels
between its tracks. Bar-Shalom and Li, Multitarget-Multisensor Tracking (1995), chapter 8, call it track-to-track association
with common errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import permutations, product
from math import perm, prod

import numpy as np
from scipy.special import chdtri

from station.contacts import FOREVER, Contact, Sight
from station.fusion_filter import SLOTS
from station.fusion_joining import track_sensor
from station.fusion_lag import Step
from station.fusion_offsets import Offsets
from station.kalman import Array
from wire.clock import NS_PER_S

HOLDS_NS = 5 * NS_PER_S // 2        # it must be so for this long: people are hidden for a moment all the time
LATELY_NS = NS_PER_S                # what is said of where somebody is now
NEAR_M = 4.0                        # from one contact to the next: farther apart nobody is taken for the other
FLOOR_M2 = 0.25**2                  # a gait's and a box's
FITS = 0.99                         # share of true countings that are not refused
WAYS_LIMIT = 600                    # of giving tracks to people: a crowd is left as it is
FORGOTTEN_NS = 20 * NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What one sensor now sees of one contact: its steps of the last three seconds, its tracks, and its place now."""

    sensor: str
    contact: Contact
    steps: tuple[Step, ...]
    tracks: tuple[str, ...]
    sight: Sight
    place_m: Array
    noise_m2: Array
    lever_m: Array


@dataclass(frozen=True, slots=True)
class Counted:
    """One person. heir: the contact that goes on as this one. items: all that is seen of them. absorbed: go into it."""

    heir: Contact
    items: tuple[Item, ...]
    absorbed: tuple[Contact, ...]


class Recount:
    """Where there are more contacts than any sensor sees, and since when."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, ...], tuple[int, int]] = {}

    def look(
        self, pairs: Iterable[tuple[Contact, Contact]], frame: AbstractSet[int], at_ns: int, offsets: Offsets
    ) -> list[tuple[Counted, ...]]:
        """After a frame, with the contacts in it. pairs: contacts of one place that are not one.

        Returns for each place that is to be put right who is there.
        """
        found = []
        for cluster in _clusters(pairs):
            if all(c.number in frame for c in cluster):
                continue            # here is one who sees them all
            items = [item for c in cluster for item in _items(c, at_ns)]
            seen = {item.contact.number for item in items}
            most = _most_at_once(cluster, seen)
            if len(seen) <= most or most == 0 or _is_decided(cluster):
                continue
            key = tuple(sorted(seen))
            since_ns, _ = self._since.get(key, (at_ns, 0))
            self._since[key] = (since_ns, at_ns)
            if at_ns - since_ns < HOLDS_NS:
                continue
            people = count(items, most, offsets)
            if people:
                del self._since[key]
                found.append(people)
        self._since = {k: v for k, v in self._since.items() if at_ns - v[1] <= FORGOTTEN_NS}
        return found


def count(items: Sequence[Item], most: int, offsets: Offsets) -> tuple[Counted, ...]:
    """Give the items to `most` people; empty where no way to do so fits."""
    sensors = sorted({i.sensor for i in items})
    each = [[k for k, i in enumerate(items) if i.sensor == s] for s in sensors]
    ways = prod(perm(most, len(mine)) for mine in each)
    if len(sensors) > SLOTS or any(len(mine) > most for mine in each) or ways > WAYS_LIMIT * perm(most, most):
        return ()
    full = next((mine for mine in each if len(mine) == most), None)
    if full is None:
        return ()
    z, inverse = _stacked(items, sensors, offsets)
    best, which = np.inf, None
    choices = [[tuple(range(most))] if mine is full else list(permutations(range(most), len(mine))) for mine in each]
    for way in product(*choices):
        person_of = np.empty(len(items), np.intp)
        for mine, people in zip(each, way, strict=True):
            person_of[mine] = people
        square = _misfit(z, inverse, person_of, most)
        if square < best:
            best, which = square, person_of
    if which is None or best > float(chdtri(2 * (len(items) - most), 1.0 - FITS)):
        return ()
    return _named(items, which, most)


def _stacked(items: Sequence[Item], sensors: list[str], offsets: Offsets) -> tuple[Array, Array]:
    """(2 n,) places and the inverse of their covariance, errors that one sensor's places share included."""
    n = len(items)
    shared = offsets.block(np.array([[offsets.knows(s) for s in sensors]]))[0]
    levers = np.zeros((2 * n, 2 * len(sensors)))
    own = np.zeros((2 * n, 2 * n))
    for k, item in enumerate(items):
        s = sensors.index(item.sensor)
        levers[2 * k : 2 * k + 2, 2 * s : 2 * s + 2] = item.lever_m
        own[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = item.noise_m2 + np.eye(2) * FLOOR_M2
    z: Array = np.concatenate([i.place_m for i in items])
    return z - np.tile(z[:2], n), np.linalg.inv(own + levers @ shared @ levers.T)


def _misfit(z: Array, inverse: Array, person_of: np.ndarray, people: int) -> float:
    """Squared distance of the places from the best place of each person: generalised least squares."""
    at = np.kron(np.eye(people)[person_of], np.eye(2))
    weighed = inverse @ at
    return float(z @ inverse @ z - z @ weighed @ np.linalg.solve(at.T @ weighed, weighed.T @ z))


def _named(items: Sequence[Item], person_of: np.ndarray, people: int) -> tuple[Counted, ...]:
    """Who goes on as which contact: who keeps most of what is seen of him, and of those the oldest."""
    contacts = sorted({i.contact.number: i.contact for i in items}.values(), key=lambda c: c.number)
    shares = [
        (sum(i.sight.count for i, p in zip(items, person_of, strict=True) if p == person and i.contact is c), person, c)
        for person in range(people) for c in contacts
    ]
    heirs: dict[int, Contact] = {}
    for share, person, contact in sorted(shares, key=lambda s: (-s[0], s[2].number, s[1])):
        if share and person not in heirs and all(contact is not h for h in heirs.values()):
            heirs[person] = contact
    if len(heirs) < people:
        return ()                   # somebody would be new: leave it
    into: dict[int, list[Contact]] = {p: [] for p in heirs}
    for contact in contacts:
        if all(contact is not h for h in heirs.values()):
            _, person, _ = max((s for s in shares if s[2] is contact), key=lambda s: (s[0], -s[1]))
            into[person].append(contact)
    return tuple(
        Counted(
            heirs[person], tuple(i for i, p in zip(items, person_of, strict=True) if p == person), tuple(into[person])
        )
        for person in sorted(heirs)
    )


def _clusters(pairs: Iterable[tuple[Contact, Contact]]) -> list[list[Contact]]:
    """People of one place: whoever is near enough to anybody of it."""
    of: dict[int, dict[int, Contact]] = {}
    for a, b in pairs:
        way = a.estimate.mean[:2] - b.estimate.mean[:2]
        if a.group != "person" or abs(way[0]) > NEAR_M or abs(way[1]) > NEAR_M:
            continue
        joined = of.get(a.number, {a.number: a}) | of.get(b.number, {b.number: b})
        for number in joined:
            of[number] = joined
    return list({id(c): [c[n] for n in sorted(c)] for c in of.values()}.values())


def _items(contact: Contact, at_ns: int) -> list[Item]:
    velocity = contact.estimate.mean[2:]
    found = []
    for sensor, sight in sorted(contact.sights.items()):
        steps = tuple(s for s in contact.steps if s.sensor == sensor and s.slot >= 0)
        late = [s for s in steps if at_ns - s.at_ns <= LATELY_NS]
        tracks = tuple(
            t for t, last_ns in contact.tracks.items() if track_sensor(t) == sensor and at_ns - last_ns <= 3 * NS_PER_S
        )
        if not late or not tracks:
            continue
        place: Array = np.mean([s.place_m + velocity * ((at_ns - s.at_ns) / NS_PER_S) for s in late], axis=0)
        noise: Array = np.mean([s.noise_m2 for s in late], axis=0)
        found.append(Item(sensor, contact, steps, tracks, sight, place, noise, late[-1].lever_m))
    return found


def _most_at_once(cluster: list[Contact], seen: set[int]) -> int:
    """The most of them that any sensor had in one frame of the last three seconds."""
    frames: dict[tuple[str, int], int] = {}
    for contact in cluster:
        for step in contact.steps:
            if step.slot >= 0 and contact.number in seen:
                frames[step.sensor, step.at_ns] = frames.get((step.sensor, step.at_ns), 0) + 1
    return max(frames.values(), default=0)


def _is_decided(cluster: list[Contact]) -> bool:
    """A person has said who of them is who."""
    numbers = {c.number for c in cluster}
    return any(
        c.joined or c.kept_from or any(ns == FOREVER and n in numbers for n, ns in c.apart.items()) for c in cluster
    )
