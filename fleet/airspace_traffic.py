"""Other aircraft, as their transponders say (ADSB_VEHICLE), and how near to a plan they may come within the next minute.

An aircraft is taken to fly on straight for that minute; what it may have done since it was last heard is taken off the
distance from its track.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from geofences.geodesy import LocalFrame
from wire.clock import NS_PER_S

AHEAD_S = 60.0
SEPARATION_M = 500.0            # level; a helicopter that works along the border flies low and turns at once
SEPARATION_UP_M = 150.0
OLD_S = 15.0                    # a transponder speaks twice a second; after this an aircraft's place is a guess
SPREAD_M_S = 5.0                # by which its track may differ, each second that it was not heard
COORDS, ALTITUDE, VELOCITY = 1, 2, 8        # ADSB_FLAGS_VALID_*: coordinates, altitude, velocity
SIMULATED = 64                  # ADSB_FLAGS_SIMULATED


@dataclass(frozen=True, slots=True)
class Aircraft:
    """One aircraft in a LocalFrame.

    height_msl_m: None when it does not say. velocity_m_s: east, north. heard_ns: monotonic.
    """

    name: str
    east_m: float
    north_m: float
    height_msl_m: float | None
    velocity_m_s: tuple[float, float]
    heard_ns: int

    def track(self, now_ns: int) -> BaseGeometry | None:
        """Where it may be from now until AHEAD_S; None when it was not heard for too long."""
        age_s = (now_ns - self.heard_ns) / NS_PER_S
        if age_s > OLD_S:
            return None
        (ve, vn), until_s = self.velocity_m_s, age_s + AHEAD_S
        ends = [(self.east_m + ve * t, self.north_m + vn * t) for t in (age_s, until_s)]
        return Point(ends[0]) if math.hypot(ve, vn) < 0.1 else LineString(ends)


def aircraft_of(message: Any, frame: LocalFrame, heard_ns: int) -> Aircraft | None:
    """From an ADSB_VEHICLE; None when it says no place."""
    flags = message.flags
    if not flags & COORDS or (message.lat == 0 and message.lon == 0):
        return None
    east, north = frame.to_enu(message.lat / 1e7, message.lon / 1e7)[0]
    if not (abs(east) < 1e6 and abs(north) < 1e6):
        return None
    speed = message.hor_velocity / 100.0 if flags & VELOCITY else 0.0
    heading = math.radians(message.heading / 100.0)
    callsign = message.callsign
    text = callsign.decode("ascii", "replace") if isinstance(callsign, bytes) else str(callsign)
    name = text.rstrip("\0 ") or f"{message.ICAO_address:06X}"
    height = message.altitude / 1000.0 if flags & ALTITUDE else None
    return Aircraft(
        name, float(east), float(north), height, (speed * math.sin(heading), speed * math.cos(heading)), heard_ns
    )


@dataclass(frozen=True, slots=True)
class Meeting:
    """An aircraft that comes too near to one of some areas: which, how near, metres."""

    aircraft: Aircraft
    area: int
    distance_m: float


def meetings(
    traffic: tuple[Aircraft, ...], areas: npt.NDArray[np.object_], low_msl_m: float, high_msl_m: float, now_ns: int
) -> list[Meeting]:
    """Which aircraft may come within SEPARATION_M of areas (n,) that are flown between two heights.

    One that does not tell its height is taken to fly at ours; one that climbs or sinks is not thought to, beyond
    SEPARATION_UP_M.
    """
    found = []
    for aircraft in traffic:
        track = aircraft.track(now_ns)
        if track is None:
            continue
        height = aircraft.height_msl_m
        if height is not None and not low_msl_m - SEPARATION_UP_M <= height <= high_msl_m + SEPARATION_UP_M:
            continue
        distances = np.atleast_1d(shapely.distance(areas, track)) - SPREAD_M_S * (now_ns - aircraft.heard_ns) / NS_PER_S
        nearest = int(distances.argmin())
        if distances[nearest] < SEPARATION_M:
            found.append(Meeting(aircraft, nearest, max(0.0, float(distances[nearest]))))
    return found
