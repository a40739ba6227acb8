"""What vehicles, boats and animals do; see behaviours.py for how scripts compose.

Drivers follow the vehicle ahead by the Intelligent Driver Model: Treiber, Hennecke and Helbing (2000), Physical Review E 62,
1805, with its published values for time headway, jam distance and braking.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sim.actors import ACCELERATION_MPS2, Body, Scene
from sim.world_paths import Path, straight
from sim.world_state import Kind, Posture

Script = Iterator[None]

HEADWAY_S = 1.6                 # Treiber et al. (2000), table I, as are the next two
JAM_M = 2.0
BRAKING_MPS2 = 1.67
HARDEST_BRAKING_MPS2 = 6.0      # what tyres hold on gravel; our own assumption
PULLING_MPS2 = {Kind.CAR: 1.5, Kind.PICKUP: 1.3, Kind.TRUCK: 0.73, Kind.BUS: 0.73, Kind.MOTORCYCLE: 1.8, Kind.BICYCLE: 0.6}
LENGTH_M = {Kind.CAR: 4.4, Kind.PICKUP: 5.3, Kind.TRUCK: 8.0, Kind.BUS: 10.0, Kind.MOTORCYCLE: 2.0, Kind.BICYCLE: 1.8}
KEEPS_RIGHT_M = {Kind.MOTORCYCLE: 2.2, Kind.BICYCLE: 2.5}      # of the road's middle; everybody else 1.6
CRUISE_MPS = {Kind.BOAT: 1.6, Kind.BUFFALO: 0.7, Kind.DOG: 1.8, Kind.BIRD: 9.0}


def drive(me: Body, scene: Scene, path: Path, to_m: float, speed_mps: float, aside_m: float | None) -> Script:
    """Along a road to to_m, slower in bends, behind whoever is ahead, and gently to a stop."""
    kind = me.actor.kind
    right_m = KEEPS_RIGHT_M.get(kind, 1.6) if aside_m is None else aside_m
    start_m = me.s_m if me.path is path else path.nearest_m(*me.place)
    to_m = min(max(to_m, 0.0), path.length_m)
    direction = 1 if to_m >= start_m else -1
    me.enter(path, start_m, direction, right_m)
    me.on_road = True
    me.posture = Posture.STAND
    pull = PULLING_MPS2.get(kind, 1.0)
    there = abs(to_m - start_m) < 0.1
    while not there:
        v = me.speed_mps
        looking = v * v / (2 * BRAKING_MPS2) + 4.0
        free = min(speed_mps, path.bend_limit_mps(me.s_m, direction > 0, looking))
        stop = abs(to_m - me.s_m)
        free = min(free, math.sqrt(2 * BRAKING_MPS2 * stop) + 0.2)
        a = idm_mps2(v, max(free, 0.3), scene.ahead_on_road(me), pull)
        there = me.advance(max(0.0, v + a * scene.step_s), max(abs(a), 0.05), scene.step_s, to_m)
        yield
    # It stays on the road, standing: whoever comes behind must stop for it.


def idm_mps2(speed: float, wanted: float, ahead: tuple[float, float] | None, pull: float) -> float:
    """Acceleration by the Intelligent Driver Model. ahead: gap (bumper to bumper, metres) and speed of the one in front."""
    a = pull * (1.0 - (speed / wanted) ** 4)
    if ahead is not None:
        gap, other = ahead
        closing = speed * (speed - other) / (2.0 * math.sqrt(pull * BRAKING_MPS2))
        desired = JAM_M + max(0.0, speed * HEADWAY_S + closing)
        a -= pull * (desired / max(gap, 0.1)) ** 2
    return max(a, -HARDEST_BRAKING_MPS2)


def wait_for(me: Body, scene: Scene, party: str, seconds: float) -> Script:
    """A boat waits until all of a party are aboard."""
    me.has_landed = False
    until_s = scene.t_s + seconds
    while scene.t_s < until_s:
        waited = scene.named(party)
        if waited and all(b.aboard == me.actor.id for b in waited):
            return
        me.stand_still(Posture.STAND, scene.step_s)
        yield


def land(me: Body, scene: Scene) -> Script:
    """A boat lets everybody out, and lies still for two seconds."""
    me.has_landed = True
    until_s = scene.t_s + 2.0
    while scene.t_s < until_s:
        me.stand_still(Posture.STAND, scene.step_s)
        yield


def ride(me: Body, scene: Scene, vehicle: str) -> Script:
    """Astride a vehicle, as long as it is there."""
    while any(b.actor.id == me.aboard for b in scene.named(vehicle)):
        carrier = next(b for b in scene.named(vehicle) if b.actor.id == me.aboard)
        me.carried_by(carrier, -0.2, 0.0)
        me.posture = Posture.RIDE
        yield


def graze(me: Body, scene: Scene, seconds: float, radius_m: float) -> Script:
    """Here and there within radius_m of where it began, with long pauses (short ones for dogs)."""
    home = me.place
    until_s = scene.t_s + seconds
    longest = 6.0 if me.actor.kind is Kind.DOG else 25.0
    while scene.t_s < until_s:
        pause_until_s = scene.t_s + me.rng.uniform(0.2, 1.0) * longest
        while scene.t_s < min(pause_until_s, until_s):
            me.stand_still(Posture.STAND, scene.step_s)
            yield
        angle, far = me.rng.uniform(0.0, 2 * math.pi), radius_m * math.sqrt(me.rng.random())
        path = straight("", me.place, (home[0] + math.sin(angle) * far, home[1] + math.cos(angle) * far))
        if path is None:
            continue
        me.enter(path, 0.0, 1)
        me.posture = Posture.WALK
        speed = CRUISE_MPS.get(me.actor.kind, 1.0) * me.rng.uniform(0.6, 1.3)
        while not me.advance(speed, ACCELERATION_MPS2.get(me.actor.kind, 1.0), scene.step_s, path.length_m):
            yield
        yield


def fly(me: Body, scene: Scene, seconds: float, radius_m: float, height_m: float, speed_mps: float) -> Script:
    """Round and round; up and down a little."""
    angle = np.linspace(0.0, 2 * math.pi, max(16, int(radius_m)) + 1)
    start = me.rng.uniform(0.0, 2 * math.pi)
    centre = (me.east_m - math.sin(start) * radius_m, me.north_m - math.cos(start) * radius_m)
    circle = Path("", np.column_stack([
        centre[0] + np.sin(start + angle) * radius_m, centre[1] + np.cos(start + angle) * radius_m,
    ]))
    me.above_m = height_m
    until_s = scene.t_s + seconds
    me.posture = Posture.STAND
    while scene.t_s < until_s:
        me.enter(circle, 0.0, 1)
        me.off_e = me.off_n = 0.0
        there = False
        while not there and scene.t_s < until_s:
            there = me.advance(speed_mps, ACCELERATION_MPS2[Kind.BIRD], scene.step_s, circle.length_m)
            if there:
                me.speed_mps = speed_mps
            me.above_m = height_m * (1.0 + 0.15 * math.sin(scene.t_s / 3.7))
            yield
