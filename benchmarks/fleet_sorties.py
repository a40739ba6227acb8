"""Sorties that break: whether the buffer that the checker demands keeps a drone on its own side, whatever fails in the wind.

Each sortie is flown by the autopilot model and the physics of its copter, step by step and without sockets: a patrol as near
to the line as the checks allow, a wind of up to 12 m/s (at 60 m, as ArduPilot's simulation has it) that blows towards the
line more often than not, and one fault at some moment. Where it really is, not where it believes to be, is held against the
line.
"""

from __future__ import annotations

import math
import os
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from benchmarks.fleet_checker_ground import made_sector
from benchmarks.form import Figure, figure
from fleet.airspace_watch import Level, Seen, Watch
from fleet.checker import CheckLimits, check_plan
from fleet.mission import FENCE, MISSION, plan_items
from fleet.planner import PatrolWish, PlanError, plan_patrol
from fleet.wind import Wind
from geofences.corridors import CorridorMap, make_corridor_set
from geofences.geodesy import Array
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from sim.autopilot_flight import FULL_WIND_M, Flight, Place
from sim.autopilot_mission import Item, MissionStore
from sim.autopilot_modes import Mode
from sim.autopilot_parameters import Parameters
from sim.multirotor import Battery, FlatEarth, Multirotor, MultirotorLimits
from sim.multirotor import Wind as SimWind
from wire.flying import Plan
from wire.messages import Corridor
from wire.units import HeightMsl, Position, Realm

SORTIES, CHUNK = 1_400, 10      # asked for: a good quarter is refused before take-off, and a thousand are to fly
STEP_S = 0.1
LONGEST_S = 1800.0
WIND_MOST_M_S = 12.0
TOWARD_SHARE = 0.7              # of the sorties whose wind blows towards the line, within 30 degrees
FREE_DRIFT = 1.0                # of the wind, without a position: the model's own LAND holds half of it, a real one may not


class Fault(StrEnum):
    NONE = "none"
    GPS = "gps"
    MOTOR = "motor"
    LINK = "link"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class Outcome:
    """grounded: refused before take-off, with the rule. nearest_m: to the line, true place; negative beyond it."""

    fault: Fault
    grounded: str
    nearest_m: float
    wind_m_s: float
    landed: bool
    called_back: bool


def measure() -> dict[str, Figure]:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        outcomes = [o for some in pool.map(sorties, range(SORTIES // CHUNK)) for o in some]
    return figures_of(outcomes)


def figures_of(outcomes: list[Outcome]) -> dict[str, Figure]:
    flown = [o for o in outcomes if not o.grounded]
    crossed = sum(o.nearest_m <= 0.0 for o in flown)
    faults = ", ".join(f"{f.value} {sum(o.fault is f for o in flown)}" for f in Fault)
    how = (
        f"{len(flown)} sorties flown of {len(outcomes)} asked for in wind up to {WIND_MOST_M_S:g} m/s, {faults}; "
        f"{len(outcomes) - len(flown)} were refused before take-off; autopilot model at {STEP_S:g} s a step, drifting with "
        f"{FREE_DRIFT:.0%} of the wind where it has no position"
    )
    nearest = "least distance of the true place from the line, of all sorties"
    return {
        "sorties_across_the_line": figure([float(crossed)], "sorties", how, "<= 0"),
        "sorties_nearest_m": figure([min((o.nearest_m for o in flown), default=0.0)], "m", nearest),
        "sorties_grounded": figure(
            [(len(outcomes) - len(flown)) / max(1, len(outcomes))], "share", "refused by the checks before take-off"
        ),
    }


def sorties(chunk: int) -> list[Outcome]:
    return [sortie(chunk * CHUNK + i) for i in range(CHUNK)]


def sortie(seed: int) -> Outcome:
    """One, always the same for one seed."""
    chance = random.Random(seed)
    made = made_sector(np.random.default_rng([seed // 20, 77]), 0, hilly=False, buffer_m=50.0)
    speed_60 = chance.uniform(0.0, WIND_MOST_M_S)
    height = chance.uniform(20.0, 60.0)
    gust = chance.uniform(0.0, 1.2)
    toward = chance.random() < TOWARD_SHARE
    from_deg = chance.uniform(-30.0, 30.0) % 360.0 if toward else chance.uniform(0.0, 360.0)    # the line is in the south
    # The forecast is of the patrol's own height.
    wind = Wind(speed_60 * math.sqrt(min(1.0, height / FULL_WIND_M)), gust, None, assumed=False)
    limits = CheckLimits(1500.0, wind=wind, airspeed_m_s=10.2, reserve_percent=20.0, ceiling_m=500.0)
    fault = chance.choice(list(Fault))
    frame = made.sector.frame

    def southward(east: float, metres: float) -> tuple[float, float]:
        return east, float(np.interp(east, made.line[:, 0], made.line[:, 1])) + metres

    # A trail that runs to the line and beyond it: the planner goes as near as the checks allow.
    east = chance.uniform(-1200.0, 1200.0)
    way = ((0.0, 1300.0), (60.0, 700.0), (0.0, 300.0), (-40.0, 20.0))
    trail = tuple(frame.position(*southward(east + e, n)) for e, n in way)
    corridors = make_corridor_set("made", (Corridor("c", "C", trail, 40.0, 1, (0, 1440)),))
    sector = replace(made.sector, corridor_set=corridors, corridors=CorridorMap(corridors, frame))
    home = frame.position(*southward(east + chance.uniform(-100.0, 100.0), chance.uniform(900.0, 1300.0)))
    wish = PatrolWish("d", "c", home, height, chance.uniform(5.0, 10.0))
    try:
        plan = plan_patrol(wish, sector, Identity(1, "00", "", True), "p", 0, limits)
    except PlanError as error:
        return Outcome(fault, str(error), math.inf, speed_60, True, False)
    result = check_plan(plan, sector, Realm.TRAINING, limits)
    if not result.passed:
        return Outcome(fault, result.findings[0].rule, math.inf, speed_60, True, False)
    fault_at_s = chance.uniform(0.05, 0.95) * result.duration_s
    world = _World(speed_60, from_deg, gust, fault, fault_at_s, seed, chance.random() < 0.5)
    return _fly(plan, sector, made.line, limits, world)


@dataclass(frozen=True, slots=True)
class _World:
    wind_60_m_s: float
    from_deg: float
    gust_m_s: float
    fault: Fault
    fault_at_s: float
    seed: int
    hard: bool                  # a battery that is critical, and not only low


def _fly(plan: Plan, sector: Sector, line: Array, limits: CheckLimits, world: _World) -> Outcome:
    home_msl = float(sector.terrain.height_msl_m(sector.frame.point(plan.home))[0])
    chance = random.Random(world.seed + 1)
    body = Multirotor(
        MultirotorLimits(), SimWind(world.wind_60_m_s, world.from_deg, world.gust_m_s), Battery(6500.0, 4), 0.6, chance
    )
    parameters = Parameters({
        "SIM_WIND_SPD": world.wind_60_m_s, "SIM_WIND_DIR": world.from_deg, "SIM_WIND_TURB": world.gust_m_s,
        "FS_GCS_ENABLE": 1.0, "BATT_LOW_VOLT": 13.6, "BATT_FS_LOW_ACT": 2.0, "BATT_CRT_VOLT": 13.2, "BATT_FS_CRT_ACT": 1.0,
        "RTL_ALT": max(15.0, plan.return_height_m) * 100.0, "WPNAV_SPEED": 1000.0, "FENCE_ENABLE": float(bool(plan.fence)),
    })
    start = Place(plan.home.lat_deg, plan.home.lon_deg, home_msl)
    flight = Flight(body, start, parameters, 1.0, lambda *_: None, lambda _: None)
    store = MissionStore(lambda *_: None, lambda: flight.home_item(), flight.items_changed, lambda: True)
    parts = plan_items(plan, home_msl)
    for kind in (FENCE, MISSION):
        store.items[kind] = [
            Item(i.seq, i.frame, i.command, i.p1, i.p2, i.p3, i.p4, i.lat_e7, i.lon_e7, i.height_m) for i in parts[kind]
        ]
    flight.store = store
    watch = Watch(plan, sector, limits)
    earth = FlatEarth(start.lat_deg, start.lon_deg)
    flight.heard_station()
    nearest, motors, called, next_look = math.inf, True, False, 0.0
    link = True
    while flight.t_s < LONGEST_S:
        if flight.t_s > 5.0 and not flight.armed and flight.mode is Mode.STABILIZE:
            flight.set_mode(int(Mode.GUIDED))
            flight.arm(force=False)
            flight.take_off(plan.waypoints[0].height_above_home_m)
        high = body.up_m >= 0.8 * plan.waypoints[0].height_above_home_m
        if flight.mode is Mode.GUIDED and flight.armed and high and not called:
            flight.set_mode(int(Mode.AUTO))
        if flight.t_s >= world.fault_at_s and body.up_m > 1.0:
            if world.fault is Fault.GPS:
                parameters.set("SIM_GPS1_ENABLE", 0.0)
            elif world.fault is Fault.MOTOR:
                motors = False
            elif world.fault is Fault.LINK:
                link = False
            elif world.fault is Fault.BATTERY:
                parameters.set("SIM_BATT_VOLTAGE", 13.0 if world.hard else 13.4)
        if link:
            flight.heard_station()
        if motors:
            flight.step(STEP_S)
            if not flight.position_ok() and not body.on_ground:
                _blown(body, STEP_S)
        else:
            flight.armed = False        # nothing turns any more
            body.wind.step(STEP_S, chance)
            body.step(STEP_S, (0.0, 0.0, 0.0), None, motors=False)
        if link and motors and flight.t_s >= next_look and body.up_m > 2.0:
            next_look = flight.t_s + 1.0
            lat, lon = earth.to_degrees(*body.reported())
            seen = Seen(
                Position(lat, lon, HeightMsl(home_msl + body.up_m)), body.ground_speed_m_s(), body.up_m,
                100.0 * body.battery.remaining(), 0, round(flight.t_s * 1e9),
            )
            if watch.look(seen).level is Level.RETURN and flight.mode in (Mode.AUTO, Mode.GUIDED):
                called = flight.set_mode(int(Mode.RTL)) or called
        lat, lon = earth.to_degrees(body.east_m, body.north_m)
        at = sector.frame.to_enu(lat, lon)[0] if int(flight.t_s / STEP_S) % 5 == 0 or body.on_ground else None
        if at is not None:
            nearest = min(nearest, _signed_m(at, line))
        if flight.t_s > 15.0 and body.on_ground and (not flight.armed or not motors):
            break
    return Outcome(world.fault, "", nearest, world.wind_60_m_s, bool(body.on_ground), called)


def _blown(body: Multirotor, dt_s: float) -> None:
    """What the model's LAND holds of the wind without a position, taken back: it goes with the air."""
    east, north = body.wind.velocity()
    body.east_m += (FREE_DRIFT - 0.5) * east * dt_s
    body.north_m += (FREE_DRIFT - 0.5) * north * dt_s


def _signed_m(at: Array, line: Array) -> float:
    """Distance from the line by plain arithmetic; negative in the south of it."""
    a, d = line[:-1], np.diff(line, axis=0)
    t = np.clip(((at - a) * d).sum(axis=1) / (d * d).sum(axis=1), 0.0, 1.0)
    distance = float(np.hypot(*(at - a - t[:, None] * d).T).min())
    return distance if at[1] > np.interp(at[0], line[:, 0], line[:, 1]) else -distance
