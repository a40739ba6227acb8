"""Who travels together: people who keep near each other and go the same way for a while."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from station.contacts import Contact
from wire.clock import NS_PER_S

NEAR_M = 8.0                        # from one to the next; a file of walkers is as long as it likes
PACE_M_S = 0.8                      # difference of velocities
TOGETHER_NS = 6 * NS_PER_S          # this long, and they are a party
PARTED_M = 15.0                     # farther apart, they are none at once ...
PARTED_NS = 8 * NS_PER_S            # ... and after this long of being apart or going another way
SEEN_NS = 5 * NS_PER_S              # who was not seen for longer is asked about no more, and stays what he was
LOOK_EVERY_NS = NS_PER_S
LEAST_DETECTIONS = 3
SURELY_OTHER_WAY = 5.99             # chi-squared, two degrees of freedom, 95 %


class Parties:
    """Keeps `Contact.party` of all contacts. Goes by capture times alone, so that a replay says the same."""

    def __init__(self, contacts: Iterable[Contact]) -> None:
        self._near_since: dict[tuple[int, int], int] = {}
        self._together: dict[tuple[int, int], int] = {}         # to when they were last seen so
        self._looked_ns = 0
        for contact in contacts:
            for number in contact.party:
                self._together[_pair(contact.number, number)] = contact.last_seen_ns

    def look(self, contacts: dict[int, Contact], at_ns: int) -> None:
        if at_ns - self._looked_ns < LOOK_EVERY_NS:
            return
        self._looked_ns = at_ns
        seen = [
            c for c in contacts.values()
            if c.group == "person" and c.detections >= LEAST_DETECTIONS and at_ns - c.last_seen_ns <= SEEN_NS
        ]
        if seen:
            self._compare(seen, at_ns)
        self._together = {p: t for p, t in self._together.items() if p[0] in contacts and p[1] in contacts}
        self._near_since = {p: t for p, t in self._near_since.items() if p[0] in contacts and p[1] in contacts}
        self._tell(contacts)

    def _compare(self, seen: list[Contact], at_ns: int) -> None:
        mean = np.array([c.estimate.mean for c in seen])
        ahead = mean[:, :2] + mean[:, 2:] * np.array([[(at_ns - c.estimate.at_ns) / 1e9] for c in seen])
        apart = np.hypot(*(ahead[:, None] - ahead[None]).transpose(2, 0, 1))
        pace = np.hypot(*(mean[:, None, 2:] - mean[None, :, 2:]).transpose(2, 0, 1))
        fits = (apart <= NEAR_M) & (pace <= PACE_M_S)
        near = {(seen[i].number, seen[j].number) for i, j in zip(*np.nonzero(fits), strict=True) if i < j}
        near = {_pair(*p) for p in near}
        at = {c.number: i for i, c in enumerate(seen)}
        for pair in near:
            if at_ns - self._near_since.setdefault(pair, at_ns) >= TOGETHER_NS or pair in self._together:
                self._together[pair] = at_ns
        for pair, last_ns in list(self._together.items()):
            if pair in near or pair[0] not in at or pair[1] not in at:
                continue
            if apart[at[pair[0]], at[pair[1]]] > PARTED_M or at_ns - last_ns > PARTED_NS:
                del self._together[pair]
        for pair in [p for p in self._near_since if p not in near and p[0] in at and p[1] in at]:
            del self._near_since[pair]

    def _tell(self, contacts: dict[int, Contact]) -> None:
        beside: dict[int, set[int]] = {}
        for a, b in self._together:
            beside.setdefault(a, set()).add(b)
            beside.setdefault(b, set()).add(a)
        done: set[int] = set()
        for number, contact in contacts.items():
            if number in done:
                continue
            whole, waiting = {number}, [number]
            while waiting:
                fresh = beside.get(waiting.pop(), set()) - whole
                whole |= fresh
                waiting += fresh
            done |= whole
            replaced = _replaced([contacts[n] for n in whole])
            there = whole - set(replaced)
            for one in whole:
                contacts[one].party = tuple(sorted(there - {one, replaced.get(one, one)}))
            if len(whole) == 1:
                contact.party = ()


def companions(contact: Contact, contacts: Iterable[Contact]) -> set[int]:
    """Numbers of its party, and of those who may be: in sight within NEAR_M, and not surely going another way.

    A party is known after TOGETHER_NS; whoever has to say now whether two belong together asks here.
    """
    found = set(contact.party)
    at_ns = contact.last_seen_ns
    for other in contacts:
        if other is contact or other.group != "person" or contact.group != "person":
            continue
        if abs(at_ns - other.last_seen_ns) > SEEN_NS:
            continue
        ahead = other.estimate.mean[:2] + other.estimate.mean[2:] * ((at_ns - other.estimate.at_ns) / 1e9)
        if np.hypot(*(ahead - contact.estimate.mean[:2])) > NEAR_M:
            continue
        pace = other.estimate.mean[2:] - contact.estimate.mean[2:]
        doubt = other.estimate.covariance[2:, 2:] + contact.estimate.covariance[2:, 2:] + np.eye(2) * PACE_M_S**2
        if pace @ np.linalg.solve(doubt, pace) <= SURELY_OTHER_WAY:
            found.add(other.number)
    return found


def _replaced(members: list[Contact]) -> dict[int, int]:
    """Who is out of sight while somebody walks with the others who came after he was lost, and who that is: very likely
    himself, and nobody is counted twice. Who is lost without a successor is counted on."""
    newest_ns = max(c.last_seen_ns for c in members)
    lost = sorted((c for c in members if newest_ns - c.last_seen_ns > SEEN_NS), key=lambda c: (c.last_seen_ns, c.number))
    fresh = sorted((c for c in members if newest_ns - c.last_seen_ns <= SEEN_NS), key=lambda c: (c.first_seen_ns, c.number))
    gone = {}
    for contact in lost:
        successor = next((c for c in fresh if c.first_seen_ns >= contact.last_seen_ns), None)
        if successor is not None:
            fresh.remove(successor)
            gone[contact.number] = successor.number
    return gone


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)
