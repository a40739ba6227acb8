"""Tracks of one sensor that were given to the wrong one of two contacts, and given back.

Where two people come into a sensor's picture one after the other, its own error may be larger than the space between
them: the first may be taken for the second. Once it sees both, where one stands from the other tells: within one frame the
sensor's offset cancels, and another sensor has seen the same two. If what one sees is what the other sees mirrored, the
tracks of one of them are crossed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from station.contacts import Contact
from station.fusion_filter import inverse2
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
        for a, b in combinations(sorted(touched, key=lambda c: c.number), 2):
            if a.group != b.group or np.abs(a.estimate.mean[:2] - b.estimate.mean[:2]).max() > NEAR_M:
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
    here, there = mine[1].raw_m - mine[0].raw_m, theirs[1].raw_m - theirs[0].raw_m
    noise = np.eye(2) * (4.0 * FLOOR_M2)
    for first, second in (mine, theirs):
        # Two places side by side have nearly the same offset: what differs is the part that does from place to place.
        share = min(1.0, float(np.hypot(*(second.raw_m - first.raw_m))) / 10.0)
        for step in (first, second):
            noise += step.noise_m2 + step.lever_m @ step.lever_m.T * (PLACES_DIFFER * share) ** 2
    inverse, _ = inverse2(noise)
    straight, turned = here - there, here + there
    return float(straight @ inverse @ straight - turned @ inverse @ turned)
