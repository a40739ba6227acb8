"""A permit to fly, and whether a flight lies within it: its drones, dates, hours of the day, area and height."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fleet.checker_words import finding
from geofences.light import light_at
from wire.clock import NS_PER_S
from wire.flying import CheckFinding
from wire.units import GroundPosition

SUNSET_DEG = -0.833             # of the sun's middle, with refraction, when its upper edge is on the horizon
LOOK_S = 60.0                   # between the moments of a flight at which the sun is looked up


@dataclass(frozen=True, slots=True)
class Permit:
    """What an authority allows. Times are UTC nanoseconds; minutes count in the sector's local day.

    drones: none stands for all. area_enu: the ground that it is for, in the sector's frame; None for all of the sector.
    ceiling_m: above the ground. night: whether it may be flown when the sun is down.
    """

    number: str
    from_ns: int
    until_ns: int
    ceiling_m: float
    night: bool = False
    drones: tuple[str, ...] = ()
    hours_min: tuple[int, int] = (0, 1440)
    area_enu: shapely.Polygon | None = None


@dataclass(frozen=True, slots=True)
class Flight:
    """What is to be flown: when, by whom, where. areas: the ground under each leg."""

    drone: str
    from_ns: int
    until_ns: int
    place: GroundPosition
    utc_offset_min: int
    areas: tuple[BaseGeometry, ...]


def permit_findings(permits: tuple[Permit, ...], flight: Flight) -> tuple[Permit | None, list[CheckFinding]]:
    """The permit that covers the flight; or None, with what speaks against the one that comes nearest."""
    best: list[CheckFinding] | None = None
    for permit in permits:
        against = list(_against(permit, flight))
        if not against:
            return permit, []
        if best is None or len(against) < len(best):
            best = against
    return None, best or []


def _against(permit: Permit, flight: Flight) -> Iterator[CheckFinding]:
    number = permit.number
    if permit.drones and flight.drone not in permit.drones:
        yield finding("permit", "check.permit.drone", None, None, permit=number, drone=flight.drone)
    if flight.from_ns < permit.from_ns or flight.until_ns > permit.until_ns:
        yield finding(
            "permit", "check.permit.window", None, None, permit=number, from_ns=permit.from_ns, until_ns=permit.until_ns
        )
    if not _within_hours(permit.hours_min, flight):
        begin, end = (f"{m // 60:02d}:{m % 60:02d}" for m in permit.hours_min)
        yield finding("permit", "check.permit.hours", None, None, permit=number, begin=begin, end=end)
    if not permit.night:
        dark_ns = first_dark_ns(flight.from_ns, flight.until_ns, flight.place)
        if dark_ns is not None:
            yield finding("daylight", "check.permit.night", None, None, permit=number, at_ns=dark_ns)
    if permit.area_enu is not None:
        outside = ~shapely.covers(permit.area_enu, np.asarray(flight.areas, dtype=object))
        for leg in np.flatnonzero(outside)[:1]:
            yield finding("permit", "check.permit.area", int(leg), None, permit=number)


def _within_hours(hours_min: tuple[int, int], flight: Flight) -> bool:
    begin, end = hours_min
    if (begin, end) == (0, 1440):
        return True
    offset = timedelta(minutes=flight.utc_offset_min)
    start = datetime.fromtimestamp(flight.from_ns / 1e9, UTC) + offset
    minute = start.hour * 60 + start.minute + start.second / 60.0
    minutes = (flight.until_ns - flight.from_ns) / NS_PER_S / 60.0
    length = (end - begin) % 1440 or 1440       # "22:00" to "05:00" goes through midnight
    return bool((minute - begin) % 1440 + minutes <= length)


def first_dark_ns(from_ns: int, until_ns: int, place: GroundPosition) -> int | None:
    """The first moment of a flight at which the sun is down; None when it is up all the time."""
    count = max(2, int((until_ns - from_ns) / NS_PER_S / LOOK_S) + 2)
    for at_ns in np.linspace(from_ns, until_ns, count):
        if light_at(int(at_ns), place.lat_deg, place.lon_deg).sun_elevation_deg < SUNSET_DEG:
            return int(at_ns)
    return None
