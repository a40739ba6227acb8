"""What people do, as small scripts that compose: each is a generator that moves its body one step and yields.

A script calls another with `yield from`; AvoidDrone and Repeat hold whole scripts. What a behaviour needs to know of the
world it asks the Scene. All chance comes from the body's own generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

from sim import behaviours_wheels as wheels
from sim import world_settings as do
from sim.actors import ACCELERATION_MPS2, GAITS, OFF_TRAIL, Body, Gait, Scene
from sim.world_paths import Path, straight
from sim.world_state import Kind, Posture

Script = Iterator[None]

HIDE_AFTER_S = 1.2              # a person hears a drone, looks up, and jumps; our own assumption
HIDE_FOR_S = 12.0               # and stays down until it has been away for so long
HIDE_ASIDE_M = (4.0, 9.0)


class Places(Protocol):
    """Turns the places of a scenario into metres."""

    def metres(self, spot: do.Spot) -> tuple[float, float]: ...


def perform(acts: list[do.AnyAct], me: Body, scene: Scene, places: Places) -> Script:
    """A whole script, act by act."""
    for act in acts:
        yield from _one(act, me, scene, places)


def _one(act: do.AnyAct, me: Body, scene: Scene, places: Places) -> Script:
    match act:
        case do.FollowTrail():
            yield from follow_trail(me, scene, scene.path(act.trail), act.to_m, GAITS[act.gait], act.aside_m)
        case do.GoTo():
            yield from go_to(me, scene, places.metres(act.to), GAITS[act.gait])
        case do.Wait():
            yield from wait(me, scene, act.seconds + me.rng.random() * act.spread_s, Posture(act.posture))
        case do.WaitUntilDark():
            while scene.sky().sun_elevation_deg > act.sun_below_deg:
                me.stand_still(Posture(act.posture), scene.step_s)
                yield
        case do.DropPack():
            yield from wait(me, scene, 3.0, Posture.CROUCH)
            me.carries_pack = False
        case do.TurnBack():
            if me.path is not None:
                to_m = me.s_m - me.direction * act.metres
                yield from follow_trail(me, scene, me.path, to_m, GAITS[act.gait], me.aside_m)
        case do.Scatter():
            yield from scatter(me, scene, act.metres, act.seconds)
        case do.Regroup():
            yield from regroup(me, scene, act.seconds, GAITS[act.gait])
        case do.AvoidDrone():
            yield from avoid_drone(me, scene, perform(act.script, me, scene, places), act.within_m)
        case do.Repeat():
            for _ in range(act.times):
                yield from perform(act.script, me, scene, places)
                yield       # a script that is over at once must not hold the world
        case do.Patrol():
            for _ in range(act.rounds):
                for to_m in (act.to_m, act.from_m):
                    yield from follow_trail(me, scene, scene.path(act.trail), to_m, GAITS["walk"], 0.0)
                    yield from wait(me, scene, act.pause_s, Posture.STAND)
        case do.Herd():
            yield from herd(me, scene, act.animals, act.seconds)
        case do.Work():
            yield from work(me, scene, act.seconds, act.radius_m)
        case do.Board():
            yield from board(me, scene, act.boat)
        case do.Drive():
            yield from wheels.drive(me, scene, scene.path(act.road), act.to_m, act.speed_kmh / 3.6, act.aside_m)
        case do.WaitFor():
            yield from wheels.wait_for(me, scene, act.party, act.seconds)
        case do.Land():
            yield from wheels.land(me, scene)
        case do.Graze():
            yield from wheels.graze(me, scene, act.seconds, act.radius_m)
        case do.Fly():
            yield from wheels.fly(me, scene, act.seconds, act.radius_m, act.height_m, act.speed_mps)


def wait(me: Body, scene: Scene, seconds: float, posture: Posture) -> Script:
    until_s = scene.t_s + seconds
    while scene.t_s < until_s:
        me.stand_still(posture, scene.step_s)
        yield


def follow_trail(me: Body, scene: Scene, path: Path, to_m: float, gait: Gait, aside_m: float) -> Script:
    """Along a path to to_m, behind the member of the party that goes ahead."""
    if me.path is not path:
        me.enter(path, path.nearest_m(*me.place), 1, aside_m)
    direction = 1 if to_m >= me.s_m else -1
    me.enter(path, me.s_m, direction, aside_m)
    ahead = sum(1 for o in me.party if o is not me and o.path is path and (o.s_m - me.s_m) * direction > 0)
    until_m = min(max(to_m - direction * ahead * me.spacing_m, 0.0), path.length_m)
    if (until_m - me.s_m) * direction < 0:
        return
    slowest = min((o.pace_mps for o in me.party), default=me.pace_mps)       # a party goes as fast as its slowest
    own_mps = gait.speed_mps(slowest * (0.98 + 0.04 * me.rng.random()))
    acceleration = ACCELERATION_MPS2[Kind.PERSON]
    me.posture = gait.posture
    while True:
        wanted = own_mps * path.pace_factor(me.s_m, direction > 0)
        room, leader = _room_ahead(me, direction)
        if leader is not None:
            wanted *= min(max((room - 0.4 * me.spacing_m) / (0.5 * me.spacing_m), 0.0), 1.12)
            blocked = wanted < 0.05 and leader.speed_mps == 0.0
            if blocked and abs(until_m - me.s_m) < 2.0 * me.spacing_m * len(me.party):
                break           # the one ahead has stopped short of where this one would stand
        there = me.advance(wanted, acceleration, scene.step_s, until_m)
        me.posture = gait.posture if me.speed_mps > 0.1 else Posture.STAND
        yield
        if there:
            break
    me.speed_mps = 0.0


def _room_ahead(me: Body, direction: int) -> tuple[float, Body | None]:
    """Metres along the path to the nearest member of the party that goes ahead on it the same way, and who that is."""
    best, who = math.inf, None
    for other in me.party:
        if other is not me and other.path is me.path and other.direction == direction and not other.aboard:
            gap = (other.s_m - me.s_m) * direction
            if 0.0 < gap < best:
                best, who = gap, other
    return best, who


def go_to(me: Body, scene: Scene, to: tuple[float, float], gait: Gait) -> Script:
    """Straight to a place, off the trails."""
    path = straight("", me.place, to)
    if path is None:
        return
    me.enter(path, 0.0, 1)
    kind = me.actor.kind
    speed = gait.speed_mps(me.pace_mps) * OFF_TRAIL if kind is Kind.PERSON else wheels.CRUISE_MPS.get(kind, 1.0)
    there = False
    while not there:
        left = path.length_m - me.s_m
        wanted = speed if kind is Kind.PERSON else min(speed, math.sqrt(2 * ACCELERATION_MPS2.get(kind, 1.0) * left) + 0.1)
        there = me.advance(wanted, ACCELERATION_MPS2.get(kind, 1.0), scene.step_s, path.length_m)
        if kind is Kind.PERSON:
            me.posture = gait.posture if not there else Posture.STAND
        yield


def scatter(me: Body, scene: Scene, metres: float, seconds: float) -> Script:
    """Each in a direction of his own, away from the way; then down."""
    me.home_m = me.place
    me.is_back = False
    heading = math.radians(me.heading_deg) + (math.pi / 2 + me.rng.uniform(-0.7, 0.7)) * (1 if me.order % 2 else -1)
    far = metres * me.rng.uniform(0.7, 1.2)
    target = (me.east_m + math.sin(heading) * far, me.north_m + math.cos(heading) * far)
    yield from go_to(me, scene, target, GAITS["run"])
    yield from wait(me, scene, seconds * me.rng.uniform(0.8, 1.2), Posture.LIE if me.rng.random() < 0.5 else Posture.CROUCH)


def regroup(me: Body, scene: Scene, seconds: float, gait: Gait) -> Script:
    """Back to where the way was left; and on when everybody is back there, or it takes too long."""
    yield from go_to(me, scene, me.home_m, gait)
    me.is_back = True
    until_s = scene.t_s + seconds
    while scene.t_s < until_s and not all(o.is_back for o in me.party):
        me.stand_still(Posture.CROUCH, scene.step_s)
        yield


def avoid_drone(me: Body, scene: Scene, script: Script, within_m: float) -> Script:
    """Another script, broken off whenever a drone is near, and taken up again where it was left."""
    heard_s = math.inf
    for _ in script:
        yield
        if me.aboard or scene.drone_distance_m(me) > within_m:
            heard_s = math.inf
            continue
        heard_s = min(heard_s, scene.t_s)
        if scene.t_s - heard_s >= HIDE_AFTER_S:
            yield from _hide(me, scene, within_m)
            heard_s = math.inf


def _hide(me: Body, scene: Scene, within_m: float) -> Script:
    """Off the way to one side, down, and back to where the way was left."""
    path, s_m, direction, aside_m, back = me.path, me.s_m, me.direction, me.aside_m, me.place
    side = 1 if me.rng.random() < 0.5 else -1
    heading = math.radians(me.heading_deg) + side * math.pi / 2
    far = me.rng.uniform(*HIDE_ASIDE_M)
    yield from go_to(me, scene, (me.east_m + math.sin(heading) * far, me.north_m + math.cos(heading) * far), GAITS["run"])
    gone_s = scene.t_s
    while scene.t_s - gone_s < HIDE_FOR_S:
        if scene.drone_distance_m(me) <= within_m:
            gone_s = scene.t_s
        me.stand_still(Posture.CROUCH, scene.step_s)
        yield
    yield from go_to(me, scene, back, GAITS["walk"])
    if path is not None:
        me.enter(path, s_m, direction, aside_m)


def herd(me: Body, scene: Scene, animals: str, seconds: float) -> Script:
    """Some metres behind the animals; waits while they stand."""
    until_s = scene.t_s + seconds
    while scene.t_s < until_s:
        flock = scene.named(animals)
        if not flock:
            return
        east = sum(b.east_m for b in flock) / len(flock)
        north = sum(b.north_m for b in flock) / len(flock)
        away = math.hypot(me.east_m - east, me.north_m - north)
        if away > 9.0:
            share = 6.0 / away
            to = (east + (me.east_m - east) * share, north + (me.north_m - north) * share)
            yield from go_to(me, scene, to, GAITS["stroll"])
        else:
            yield from wait(me, scene, 2.0 + 3.0 * me.rng.random(), Posture.STAND)


def work(me: Body, scene: Scene, seconds: float, radius_m: float) -> Script:
    """Bent over the field, a few steps now and then, never farther than radius_m from where it began."""
    home = me.place
    until_s = scene.t_s + seconds
    while scene.t_s < until_s:
        yield from wait(me, scene, min(me.rng.uniform(6.0, 18.0), until_s - scene.t_s), Posture.WORK)
        angle, far = me.rng.uniform(0.0, 2 * math.pi), radius_m * math.sqrt(me.rng.random())
        yield from go_to(me, scene, (home[0] + math.sin(angle) * far, home[1] + math.cos(angle) * far), GAITS["stroll"])


def board(me: Body, scene: Scene, boat: str) -> Script:
    """Wait until the boat lies near, step in, sit until it has landed."""
    while True:
        near = [b for b in scene.named(boat) if math.hypot(b.east_m - me.east_m, b.north_m - me.north_m) < 14.0]
        carrier = next((b for b in near if b.speed_mps == 0.0 and not b.has_landed), None)
        if carrier is not None:
            break
        me.stand_still(Posture.CROUCH, scene.step_s)
        yield
    ahead = (me.order - (len(me.party) - 1) / 2) * 0.8
    yield from go_to(me, scene, carrier.seat(ahead, 0.0), GAITS["hurry"])
    me.aboard = carrier.actor.id
    me.path = None
    while not carrier.has_landed and carrier in scene.named(boat):
        me.carried_by(carrier, ahead, 0.0)
        me.posture = Posture.REST
        yield
    me.aboard = 0
    me.posture = Posture.STAND
