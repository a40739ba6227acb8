"""Tracks of one sensor that were given to the wrong one of two contacts, and given back.

Where two people come into a sensor's picture one after the other, its own error may be larger than the space between
them: the first may be taken for the second. Once it sees both, where one stands from the other tells: within one frame the
sensor's offset cancels, and another sensor has seen the same two. If what one sees is what the other sees mirrored, the
tracks of one of them are crossed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from station.contacts import Contact
from station.fusion_lag import Step
from station.fusion_offsets import PLACES_DIFFER
from wire.clock import NS_PER_S

AT_ONCE_NS = 350_000_000        # two sensors' frames are of one moment
NEWS_NS = 3 * NS_PER_S // 10    # frames that follow each other err alike: this long makes one sample
CROSSED = 16.0                  # difference of squared distances (8 in logarithms of the odds) that settles it
STRAIGHT = -10.0                # how sure it may grow that all is well, so that it can turn
NEAR_M = 6.0
FLOOR_M2 = 0.25**2              # a gait's and a box's, of each of the four places
FORGOTTEN_NS = 20 * NS_PER_S


@dataclass(slots=True)
class _Doubt:
    score: float
    at_ns: int


class Crossed:
    """What speaks for it that two sensors see two contacts crosswise."""

    def __init__(self) -> None:
        self._doubts: dict[tuple[int, int, str, str], _Doubt] = {}

    def look(self, sensor: str, at_ns: int, touched: Iterable[Contact]) -> list[tuple[Contact, Contact, str]]:
        """After a frame: pairs of its contacts, and the sensor whose tracks of them are to be exchanged."""
        found = []
        there = [(c, *c.estimate.mean[:2].tolist()) for c in sorted(touched, key=lambda c: c.number)]
        for (a, east, north), (b, there_east, there_north) in combinations(there, 2):
            if abs(east - there_east) > NEAR_M or abs(north - there_north) > NEAR_M or a.group != b.group:
                continue
            mine = _pair(a, b, sensor, at_ns)
            if mine is None or mine[0].at_ns != at_ns:
                continue
            worst, with_whom = 0.0, ""
            for other in sorted(a.sights.keys() & b.sights.keys() - {sensor}):
                theirs = _pair(a, b, other, at_ns)
                if theirs is None:
                    continue
                score = self._note(a.number, b.number, sensor, other, at_ns, _mirrored(mine, theirs))
                if score > worst:
                    worst, with_whom = score, other
            if worst >= CROSSED:
                found.append((a, b, self._whose(a, b, sensor, with_whom)))
        return found

    def settle(self, a: Contact, b: Contact) -> None:
        """The two were put right, or one is gone: nothing is known of them."""
        self._doubts = {k: d for k, d in self._doubts.items() if not {a.number, b.number} & {k[0], k[1]}}

    def forget(self, number: int) -> None:
        self._doubts = {k: d for k, d in self._doubts.items() if number not in (k[0], k[1])}

    def _note(self, a: int, b: int, sensor: str, other: str, at_ns: int, evidence: float) -> float:
        key = (a, b, min(sensor, other), max(sensor, other))
        doubt = self._doubts.get(key)
        if doubt is None or at_ns - doubt.at_ns > FORGOTTEN_NS:
            doubt = self._doubts[key] = _Doubt(0.0, at_ns - NEWS_NS // 2)
        weight = min(1.0, max(0.0, (at_ns - doubt.at_ns) / NEWS_NS))
        doubt.score = max(STRAIGHT, doubt.score + weight * evidence)
        doubt.at_ns = max(doubt.at_ns, at_ns)
        return doubt.score

    def _whose(self, a: Contact, b: Contact, one: str, other: str) -> str:
        """Which of two that contradict each other is wrong: whom a third contradicts, else who has seen less of them."""
        def against(sensor: str) -> float:
            scores = [
                d.score for k, d in self._doubts.items()
                if k[:2] == (a.number, b.number) and sensor in k[2:] and {one, other} != set(k[2:])
            ]
            return sum(scores)

        def seen(sensor: str) -> int:
            return min(a.sights[sensor].count, b.sights[sensor].count)

        return max((one, other), key=lambda s: (against(s), -seen(s), s))


def _pair(a: Contact, b: Contact, sensor: str, at_ns: int) -> tuple[Step, Step] | None:
    """What a sensor saw of both in one frame, near a time; its newest."""
    one, other = _newest(a, sensor, at_ns), _newest(b, sensor, at_ns)
    return (one, other) if one is not None and other is not None and one.at_ns == other.at_ns else None


def _newest(contact: Contact, sensor: str, at_ns: int) -> Step | None:
    for step in reversed(contact.steps):
        if step.at_ns < at_ns - AT_ONCE_NS:
            return None
        if step.sensor == sensor and step.slot >= 0 and step.at_ns <= at_ns + AT_ONCE_NS:
            return step
    return None


def _mirrored(mine: tuple[Step, Step], theirs: tuple[Step, Step]) -> float:
    """By how much better one sensor's view fits the other's turned round than as it is; squares of 2 degrees of freedom."""
    (he, hn), (te, tn) = ((p[1].raw_m - p[0].raw_m).tolist() for p in (mine, theirs))
    ee = nn = 4.0 * FLOOR_M2
    en = 0.0
    for first, second, east, north in ((*mine, he, hn), (*theirs, te, tn)):
        # Two places side by side have nearly the same offset: what differs is the part that does from place to place.
        differs = (PLACES_DIFFER * min(1.0, math.hypot(east, north) / 10.0)) ** 2
        for step in (first, second):
            (a, b), (_, d) = step.noise_m2.tolist()
            (p, q), (r, s) = step.lever_m.tolist()
            ee += a + (p * p + q * q) * differs
            en += b + (p * r + q * s) * differs
            nn += d + (r * r + s * s) * differs
    det = ee * nn - en * en

    def square(e: float, n: float) -> float:
        return (e * e * nn - 2.0 * e * n * en + n * n * ee) / det

    return square(he - te, hn - tn) - square(he + te, hn + tn)
