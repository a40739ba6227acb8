"""Where and when a subject usually comes, as densities over the corridors and the hours of the week, against the traffic's.

A habit is what the record says (corridors, hours, days) and what officers have confirmed, each sighting spread by a kernel.
Against it stands the density of all contacts that were counted on the corridor, smoothed in the same way, so that an hour in
which everybody passes says little. Both are mixed: a subject keeps to its habit with a given probability, and is like
everybody else otherwise; so one sighting out of habit weighs against it within bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from station.kalman import Array
from station.matching_weights import HOURS_OF_WEEK, Traffic
from station.subjects import Subject

KERNEL_SIGMA_H = 1.0            # how exactly people keep an hour
ANY_DAY_SHARE = 0.3             # of each sighting, what is spread over the same hour of all days
PSEUDO_CONTACTS = 24.0          # of an even week, given to every corridor before anything was counted
PSEUDO_CORRIDOR = 1.0           # contacts given to every corridor
DECLARED_AS_SIGHTINGS = 3.0     # what the record says weighs as so many confirmed sightings
LEAST_MINUTES = 30


@dataclass(frozen=True, slots=True)
class Sighted:
    """A confirmed sighting of a subject: minute of the local week from Monday 00:00, and the corridors it was in."""

    minute: int
    corridors: tuple[str, ...]


class Background:
    """The densities of the traffic. corridors_total: those of the sector, counted or not."""

    def __init__(self, traffic: Traffic, corridors_total: int) -> None:
        self._traffic = traffic
        self._corridors = max(1, corridors_total)
        self._hours: dict[str, Array] = {}
        self._all = sum(sum(h) for h in traffic.by_hour.values()) + PSEUDO_CORRIDOR * self._corridors

    def corridor_share(self, corridors: tuple[str, ...]) -> float:
        """Of all contacts in corridors, those in one of these."""
        counted = sum(sum(self._traffic.by_hour.get(c, ())) + PSEUDO_CORRIDOR for c in corridors)
        return min(0.999, counted / self._all)

    def hours(self, corridor: str) -> Array:
        """(168,) share of the corridor's contacts in each hour of the week; adds up to one, nowhere zero."""
        known = self._hours.get(corridor)
        if known is None:
            counts = np.array(self._traffic.by_hour.get(corridor) or (0,) * HOURS_OF_WEEK, float)
            smooth = _kernel_matrix() @ counts + PSEUDO_CONTACTS / HOURS_OF_WEEK
            known = self._hours[corridor] = smooth / smooth.sum()
        return known

    def contacts_an_hour(self, corridor: str, otherwise: float) -> float:
        """How many pass there in an hour, on average; `otherwise` where nothing was counted."""
        if self._traffic.hours < 24.0:
            return otherwise
        return max(sum(self._traffic.by_hour.get(corridor, ())) / self._traffic.hours, 1.0 / self._traffic.hours)


def habit_hours(subject: Subject, sighted: tuple[Sighted, ...]) -> Array | None:
    """(168,) density of a subject's hours; None where nothing is known of them."""
    if subject.hours is None and not subject.days and not sighted:
        return None
    return _habit_hours(subject.hours, subject.days, tuple(one.minute // 60 % HOURS_OF_WEEK for one in sighted))


@lru_cache(maxsize=2048)
def _habit_hours(declared_hours: tuple[int, int] | None, days: tuple[int, ...], sighted: tuple[int, ...]) -> Array:
    weights = np.zeros(HOURS_OF_WEEK)
    if declared_hours is not None or days:
        declared = _declared(declared_hours or (0, 1440), days)
        weights += DECLARED_AS_SIGHTINGS * declared / declared.sum()
    for hour in sighted:
        weights[hour] += 1.0
    # What is declared has sharp edges in the record and none in life: it goes through the kernel as well.
    density: Array = _kernel_matrix(any_day=ANY_DAY_SHARE if sighted else 0.0) @ weights
    density /= density.sum()
    density.flags.writeable = False     # the same array for all whose habit it is
    return density


def habit_corridor(subject: Subject, sighted: tuple[Sighted, ...], corridors: tuple[str, ...]) -> float | None:
    """Share of a subject's ways that go through one of these corridors; None where nothing is known of them."""
    mass: dict[str, float] = {c: DECLARED_AS_SIGHTINGS / len(subject.corridors) for c in subject.corridors}
    for one in sighted:
        for corridor in one.corridors:
            mass[corridor] = mass.get(corridor, 0.0) + 1.0 / len(one.corridors)
    total = sum(mass.values())
    return sum(mass.get(c, 0.0) for c in corridors) / total if total else None


def density_bits(habit: float, everybody: float, kept: float) -> float:
    """A subject keeps to its habit with probability `kept`, and is otherwise like everybody."""
    return math.log2((kept * habit + (1.0 - kept) * everybody) / everybody)


def _declared(hours: tuple[int, int], days: tuple[int, ...]) -> Array:
    start, end = hours
    length = (end - start) % 1440 or 1440
    minutes = np.zeros(HOURS_OF_WEEK * 60)
    for day in days or range(7):
        begin = day * 1440 + start
        minutes[np.arange(begin, begin + max(length, LEAST_MINUTES)) % len(minutes)] = 1.0
    counted: Array = minutes.reshape(HOURS_OF_WEEK, 60).sum(axis=1)
    return counted


@lru_cache(maxsize=4)
def _kernel_matrix(any_day: float = ANY_DAY_SHARE) -> Array:
    """(168, 168), columns add up to one: a normal kernel around each hour of the week, in part that of every day."""
    hours = np.arange(HOURS_OF_WEEK)
    apart = np.abs(hours[:, None] - hours[None, :])
    apart = np.minimum(apart, HOURS_OF_WEEK - apart)
    near = np.exp(-0.5 * (apart / KERNEL_SIGMA_H) ** 2)
    near /= near.sum(axis=0)
    apart_day = np.minimum(apart % 24, 24 - apart % 24)
    daily = np.exp(-0.5 * (apart_day / KERNEL_SIGMA_H) ** 2)
    daily /= daily.sum(axis=0)
    mixed: Array = (1.0 - any_day) * near + any_day * daily
    return mixed
