"""Our own patrols: where they say they are, and which contacts they seem to be.

A label and nothing else: a contact that is called our own patrol stays on the map, raises its alarms and keeps its
reasons. A phone may lie in a car, and somebody may walk beside a patrol.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from geofences.geodesy import Array, LocalFrame
from station.contact_requests import PatrolPosition
from station.contacts import Contact
from station.picture import Sentence
from wire.clock import NS_PER_S

SIGMA_LIMITS_M = (2.0, 100.0)
FRESH_NS = 30 * NS_PER_S            # an older word says nothing about where it is now
AHEAD_NS = 10 * NS_PER_S            # a later word than that after its arrival is a wrong clock
PACE_M_S = 2.0                      # how fast a patrol may have gone since
GATE = 9.21                         # 99 % of 2 degrees of freedom
WORDS = 2                           # so many positions in a row before it is called so, or no longer
LEAST_DETECTIONS = 3
PATROLS_LIMIT = 200


def position_refusal(p: PatrolPosition, now_ns: int) -> Sentence | None:
    """Why a position is not taken; None where it is."""
    fits = (
        0 < len(p.patrol.strip()) <= 64 and p.patrol.isprintable()
        and -90.0 <= p.lat_deg <= 90.0 and -180.0 <= p.lon_deg <= 180.0
        and math.isfinite(p.sigma_m) and p.sigma_m > 0.0 and 1 <= p.people <= 50
    )
    if not fits:
        return Sentence("patrol.refused.values")
    if not now_ns - FRESH_NS <= p.at_ns <= now_ns + AHEAD_NS:
        return Sentence("patrol.refused.time", {"seconds": round(abs(p.at_ns - now_ns) / NS_PER_S)})
    return None


@dataclass(slots=True)
class _Heard:
    """The newest word of a patrol. streak: by contact, how many words in a row fitted (below 0: did not)."""

    place_m: Array
    at_ns: int
    sigma_m: float
    people: int
    streak: dict[int, int] = field(default_factory=dict)


class Patrols:
    def __init__(self, frame: LocalFrame) -> None:
        self._frame = frame
        self._heard: dict[str, _Heard] = {}

    def note(self, p: PatrolPosition, contacts: Iterable[Contact]) -> list[Contact]:
        """Take a position. Returns the contacts whose label it changed."""
        name = p.patrol.strip()
        heard = self._heard.get(name)
        if heard is not None and p.at_ns <= heard.at_ns:
            return []
        place = np.asarray(self._frame.to_enu(p.lat_deg, p.lon_deg), float).reshape(-1, 2)[0]
        sigma = min(max(p.sigma_m, SIGMA_LIMITS_M[0]), SIGMA_LIMITS_M[1])
        streak = {} if heard is None else heard.streak
        if heard is None and len(self._heard) >= PATROLS_LIMIT:
            del self._heard[min(self._heard, key=lambda n: self._heard[n].at_ns)]
        heard = self._heard[name] = _Heard(place, p.at_ns, sigma, p.people, streak)
        contacts = list(contacts)
        near = sorted(
            (square, c.number) for c in contacts
            if (square := _square(c, heard)) is not None and square <= GATE and c.own_patrol in (None, name)
        )
        his = {number for _, number in near[: heard.people]}
        changed = []
        for contact in contacts:
            if contact.number not in his and contact.number not in streak and contact.own_patrol != name:
                continue
            before = streak.get(contact.number, 0)
            streak[contact.number] = max(before, 0) + 1 if contact.number in his else min(before, 0) - 1
            if streak[contact.number] >= WORDS and contact.own_patrol is None:
                contact.own_patrol = name
                contact.note_why(Sentence("contact.why.own_patrol", _told(contact, heard, name)))
                changed.append(contact)
            elif streak[contact.number] <= -WORDS:
                del streak[contact.number]
                if contact.own_patrol == name:
                    contact.own_patrol = None
                    contact.note_why(Sentence("contact.why.no_patrol", _told(contact, heard, name)))
                    changed.append(contact)
        live = {c.number for c in contacts}
        heard.streak = {n: k for n, k in streak.items() if n in live}
        return changed


def _told(contact: Contact, heard: _Heard, name: str) -> dict[str, str | int | float]:
    apart_m = float(np.hypot(*(contact.estimate.mean[:2] - heard.place_m)))
    return {"patrol": name, "distance_m": round(apart_m), "seconds": round(abs(contact.estimate.at_ns - heard.at_ns) / 1e9)}


def _square(contact: Contact, heard: _Heard) -> float | None:
    """Square of the statistical distance of a contact from a patrol; None where they were not there at one time."""
    apart_ns = abs(contact.estimate.at_ns - heard.at_ns)
    if apart_ns > FRESH_NS or contact.group == "boat" or contact.detections < LEAST_DETECTIONS:
        return None
    way = contact.estimate.mean[:2] - heard.place_m
    spread = heard.sigma_m**2 + (PACE_M_S * apart_ns / 1e9) ** 2
    covariance = contact.estimate.covariance[:2, :2] + np.eye(2) * spread
    return float(way @ np.linalg.solve(covariance, way))
