"""How the drones of an exercise were handled: launched, home with a reserve, kept off people, and what was lost heard of.

From what drones told of themselves (telemetry in the station's inbox), the truth, and what people did. In lockstep a drone
is a path and tells nothing: there is nothing to score then.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import shapely

from fleet.stand_off import HEIGHT_LEAST_M, LEAST_M
from geofences.sector import Sector
from sim.exercise_scenario import Exercise
from sim.exercise_settings import DroneInject
from sim.truth import who_crosses
from sim.world_state import Kind
from station.alarms import SYSTEM, TECHNICAL_RULES
from wire.clock import NS_PER_S
from wire.codec import decode_envelope
from wire.flying import DroneTelemetry

if TYPE_CHECKING:
    from sim.score import Evidence

AIRBORNE_M = 2.0                # above home
HOME_M = 15.0                   # level: it came down where it stood
RESERVE_PERCENT = 20.0          # charge at landing; the fleet calls back at 25, and the way home costs some
HEARD_WITHIN_S = 120.0          # an alarm of the station after a fault is about it
BEATS_APART_NS = 5 * NS_PER_S   # telemetry comes each second or so: a longer silence is not flown time


class Beat(msgspec.Struct, frozen=True):
    """A drone at one moment. place: east, north, metres; None where it does not know."""

    at_ns: int
    armed: bool
    height_m: float | None
    battery_percent: float | None
    place: tuple[float, float] | None


class FaultScore(msgspec.Struct, frozen=True):
    """A fault that the trainer gave a drone. down_s: when it was on the ground again; heard_s: the station's alarm about it;
    answered_s: a person's answer to that. None for what did not happen.
    """

    inject: str
    fault: str
    at_s: float
    down_s: float | None
    heard_s: float | None
    answered_s: float | None


class DroneScore(msgspec.Struct, frozen=True):
    """One drone. Times in seconds of the exercise.

    waited_s: from the first alarm about somebody until it was in the air; 0 where it flew already. landed: how often;
    at_home: of these, where it had stood. battery_least_percent: of its landings. reserve_kept: none was below
    RESERVE_PERCENT. nearest_m: to a person, straight. too_near_s: inside the fleet's own stand-off, level and in height.
    """

    drone: str
    launched_s: float | None
    waited_s: float | None
    landed: int
    at_home: int
    battery_least_percent: float | None
    reserve_kept: bool | None
    nearest_m: float | None
    too_near_s: float
    too_near_first_s: float | None
    crossings_seen: int
    faults: tuple[FaultScore, ...]


def read_flights(inbox: sqlite3.Connection, sector: Sector) -> dict[str, list[Beat]]:
    """What each drone told of itself, in order of time."""
    found: dict[str, list[Beat]] = defaultdict(list)
    for (payload,) in inbox.execute("SELECT payload FROM arrivals WHERE kind = 'telemetry' ORDER BY id"):
        t = decode_envelope(payload).body
        if not isinstance(t, DroneTelemetry):
            continue
        place = None
        if t.position is not None:
            east, north = sector.frame.to_enu(t.position.lat_deg, t.position.lon_deg)[0]
            place = float(east), float(north)
        # What was not heard for long is told again as it was: it is no news of where the drone is.
        if t.heard_age_s <= BEATS_APART_NS / NS_PER_S:
            found[t.drone].append(Beat(t.at_ns, t.armed, t.height_above_home_m, t.battery_percent, place))
    return {drone: sorted(beats, key=lambda b: b.at_ns) for drone, beats in found.items()}


def judge_drones(e: Evidence, exercise: Exercise) -> tuple[DroneScore, ...]:
    return tuple(_judge(d.id, e.flights[d.id], e, exercise) for d in exercise.settings.drones if e.flights.get(d.id))


def _judge(drone: str, beats: list[Beat], e: Evidence, exercise: Exercise) -> DroneScore:
    flying = [b.armed and (b.height_m or 0.0) > AIRBORNE_M for b in beats]
    ups = [i for i in range(1, len(beats)) if flying[i] and not flying[i - 1]] + ([0] if flying and flying[0] else [])
    downs = [i for i in range(1, len(beats)) if flying[i - 1] and not flying[i]]
    launched = min((_s(beats[i].at_ns, e) for i in ups), default=None)
    alarms = [_s(at, e) for a in e.alarms for _, at in a.contacts[:1]]
    waited = None
    if alarms:
        first = min(alarms)
        in_air = [_s(b.at_ns, e) for b, up in zip(beats, flying, strict=True) if up]
        after = [at for at in in_air if at >= first]
        waited = round(max(min(after) - first, 0.0), 1) if after else None
    stood = next((b.place for b in beats if b.place is not None), None)
    left = [p for i in downs if (p := beats[i].battery_percent) is not None]
    near = _nearness(beats, flying, e)
    faults = tuple(
        _fault(i, beats, downs, e) for i in exercise.settings.injects if isinstance(i, DroneInject) and i.drone == drone
        and any(x["what"] == "inject" and x.get("id") == i.id for x in e.log)
    )
    return DroneScore(
        drone, launched, waited, len(downs), sum(_apart(beats[i].place, stood) <= HOME_M for i in downs),
        min(left, default=None), all(p >= RESERVE_PERCENT for p in left) if left else None, *near, _seen(drone, e), faults,
    )


def _nearness(beats: list[Beat], flying: list[bool], e: Evidence) -> tuple[float | None, float, float | None]:
    """Nearest to a person, for how long too near, and since when first."""
    people = [c for c in e.courses if c.kind is Kind.PERSON]
    nearest, too_near_ns, first = np.inf, 0, None
    for i, (b, up) in enumerate(zip(beats, flying, strict=True)):
        places = [p for c in people if (p := c.at(b.at_ns)) is not None]
        if not up or b.place is None or b.height_m is None or not places:
            continue
        level = np.hypot(*(np.array(places)[:, :2] - b.place).T)
        # Home and the people's ground are taken for one height: a few metres on these trails.
        nearest = min(nearest, float(np.hypot(level.min(), b.height_m)))
        if level.min() < LEAST_M and b.height_m < HEIGHT_LEAST_M:
            first = _s(b.at_ns, e) if first is None else first
            if i + 1 < len(beats):
                too_near_ns += min(beats[i + 1].at_ns - b.at_ns, BEATS_APART_NS)
    return (round(nearest, 1) if np.isfinite(nearest) else None), round(too_near_ns / NS_PER_S, 1), first


def _seen(drone: str, e: Evidence) -> int:
    """Crossings of which somebody was in the picture of this drone's camera, as it said itself."""
    reports = [r for r in e.sensors.of(f"{drone}-eye") if r.sees and not r.footprint.is_empty]
    found = 0
    for crossing in e.crossings:
        members = [c for c in e.courses if who_crosses(c) == crossing.who]
        found += any(
            (p := c.at(r.at_ns)) is not None and shapely.contains_xy(r.footprint, *p[:2]) for r in reports for c in members
        )
    return found


def _fault(inject: DroneInject, beats: list[Beat], downs: list[int], e: Evidence) -> FaultScore:
    at_s = min(float(str(x["at_s"])) for x in e.log if x["what"] == "inject" and x.get("id") == inject.id)
    down = min((s for i in downs if (s := _s(beats[i].at_ns, e)) >= at_s), default=None)
    about = [
        a for a in e.all_alarms if a.rule in TECHNICAL_RULES and at_s <= _s(a.events[0].at_ns, e) <= at_s + HEARD_WITHIN_S
    ]
    first = min(about, key=lambda a: a.events[0].at_ns, default=None)
    answered = next((x.at_ns for x in first.events if x.person != SYSTEM), None) if first is not None else None
    return FaultScore(
        inject.id, inject.fault, at_s, down, _s(first.events[0].at_ns, e) if first is not None else None,
        _s(answered, e) if answered is not None else None,
    )


def _apart(a: tuple[float, float] | None, b: tuple[float, float] | None) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1])) if a is not None and b is not None else np.inf


def _s(at_ns: int, e: Evidence) -> float:
    return round((at_ns - e.began_ns) / NS_PER_S, 1)
