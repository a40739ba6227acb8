"""The standard forms of a score: proportions with their intervals, and events as i-LIDS counts them.

Intervals are Clopper & Pearson's (1934, Biometrika 26, 404-413): they hold at least what they claim at any true value, and
err to the side of being wide. i-LIDS (UK Home Office CAST, Imagery Library for Intelligent Detection Systems): an alarm
within EVENT_WITHIN_S of an event's begin counts for it; further ones for the same event are left out; all others are false.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from station.proportion import clopper_pearson

CONFIDENCE = 0.95
EVENT_WITHIN_S = 10.0
# F1 = (alpha + 1) R P / (R + alpha P); alpha is i-LIDS' recall bias. 0.65 is the one of an operator who is alerted in a
# sterile zone, quoted from memory of the user guide: whoever compares with a certificate looks the value up there.
RECALL_BIAS = 0.65


class Proportion(msgspec.Struct, frozen=True):
    """hits of `of`, and the interval of the true share; None of 0."""

    hits: int
    of: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class EventScore:
    """true: events with an alarm in time; missed: without; false: alarms that are of no event."""

    true: int
    missed: int
    false: int

    @property
    def recall(self) -> float | None:
        return self.true / (self.true + self.missed) if self.true + self.missed else None

    @property
    def precision(self) -> float | None:
        return self.true / (self.true + self.false) if self.true + self.false else None

    def f1(self, recall_bias: float = RECALL_BIAS) -> float | None:
        """None where there was neither an event nor an alarm."""
        if self.true + self.missed + self.false == 0:
            return None
        recall, precision = self.recall, self.precision
        if not recall or not precision:
            return 0.0
        return (recall_bias + 1) * recall * precision / (recall + recall_bias * precision)


def proportion(hits: int, of: int, confidence: float = CONFIDENCE) -> Proportion:
    """Clopper-Pearson. Raises ValueError for more hits than tries."""
    if not 0 <= hits <= of:
        raise ValueError(f"{hits} of {of}")
    if of == 0:
        return Proportion(0, 0, None, None, None)
    low, high = clopper_pearson(hits, of, (1 - confidence) / 2)
    return Proportion(hits, of, hits / of, low, high)


def score_events(
    event_begins_s: Sequence[float], alarms_s: Sequence[float], within_s: float = EVENT_WITHIN_S
) -> EventScore:
    """Each event takes the first alarm within within_s of its begin that no earlier event has; an alarm in an event's window
    that has one already is left out.
    """
    events, waiting = sorted(event_begins_s), sorted(alarms_s)
    taken: set[int] = set()
    true = 0
    for begin in events:
        mine = [i for i, at in enumerate(waiting) if begin <= at <= begin + within_s and i not in taken]
        if mine:
            true += 1
            taken.add(mine[0])
    repeated = {i for i, at in enumerate(waiting) if any(b <= at <= b + within_s for b in events)} - taken
    return EventScore(true, len(events) - true, len(waiting) - len(taken) - len(repeated))


def none_in(hours: float, confidence: float = CONFIDENCE) -> float:
    """How often a day something may happen that did not happen in so many hours: the upper end, by Poisson's law."""
    return -math.log(1 - confidence) / (hours / 24.0)
