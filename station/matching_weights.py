"""The numbers of matching: m and u of every signal, and the traffic they are measured against, with their version.

Version 0 is an assumption of the authors and not a measurement: round on purpose. `trailwatch watchlist learn` proposes the
next version from decided questions and counted traffic, and a second person accepts it; nothing here changes by itself.
"""

from __future__ import annotations

import math

import msgspec

from station.matching_plates import PlateCounts, PlateRates

PLATE_SPACE = 80_000_000.0      # plates in the country, to an order of magnitude
SUBJECT_SHARE = 0.001           # of all contacts, those that are any subject of the list
CONTACTS_PER_CORRIDOR_HOUR = 1.0
CIRCUMSTANCE_CAP_BITS = 3.0     # all circumstance together, for or against
HOURS_OF_WEEK = 168


class Pair(msgspec.Struct, frozen=True):
    """A signal that agrees or differs. m: it agrees when the contact is the subject; u: when it is anybody else."""

    m: float
    u: float

    def bits(self, agrees: bool) -> float:
        return math.log2(self.m / self.u) if agrees else math.log2((1.0 - self.m) / (1.0 - self.u))


class Traffic(msgspec.Struct, frozen=True):
    """What passes here, counted once a contact. by_hour: by corridor, 168 hours of the local week from Monday 00:00.

    hours: of counting. Nobody can be found in it: plates are counted by a keyed hash, and nothing has a time or a name.
    """

    contacts: int = 0
    hours: float = 0.0
    by_hour: dict[str, tuple[int, ...]] = {}
    plates: PlateCounts = PlateCounts()


class Weights(msgspec.Struct, frozen=True):
    """kept: P(a subject with a known corridor, hour, party keeps to it). report_right: a report by name, of place and time,
    is right. left_vehicle: of the people who come out of, or go along with, a subject's vehicle, one is the subject.

    calibration_error: of decided questions with these weights, None where there were too few to say; then no probability is
    shown to anybody.
    """

    version: int = 0
    plate: PlateRates = PlateRates()
    plate_space: float = PLATE_SPACE
    subject_share: float = SUBJECT_SHARE
    corridor_kept: float = 0.7
    hour_kept: float = 0.7
    report_right: float = 0.7
    left_vehicle: float = 0.6
    vehicle_class: Pair = Pair(0.9, 0.3)
    colour: Pair = Pair(0.75, 0.25)     # as listed, or close to it (docs/edge.md); half of the traffic is white, grey, black
    party: Pair = Pair(0.7, 0.25)
    traffic: Traffic = Traffic()
    calibration_error: float | None = None
    questions: int = 0

    def prior_odds(self, listed: int) -> float:
        """Odds that a contact of which nothing is known is one given subject of so many."""
        p = self.subject_share / max(1, listed)
        return p / (1.0 - p)


ASSUMED = Weights()


def log_odds_bits(p: float) -> float:
    return math.log2(p / (1.0 - p))


def probability(bits: float, prior_odds: float) -> float:
    """What the bits make of the prior."""
    return 1.0 / (1.0 + math.exp2(-max(-200.0, min(200.0, bits + math.log2(prior_odds)))))
