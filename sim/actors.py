"""Bodies that move along ways: what is true of an actor from step to step, and how fast each kind can be.

A body is moved by its behaviour, one step at a time, along a Path; where it joins a way from beside it, it comes over
evenly. Nobody jumps: the place is a continuous function of the way gone.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Protocol

from sim.world_paths import Path
from sim.world_state import Actor, Kind, Posture, Sky

# Comfortable walking, mean and deviation, metres a second: Bohannon (1997), Age and Ageing 26, 15-19 (men of twenty to
# sixty 1.39 to 1.46, women 1.29 to 1.41, both above seventy 1.27 to 1.33). Children are our own assumption.
COMFORTABLE_MPS = {"young": (1.38, 0.12), "old": (1.25, 0.12), "child": (1.15, 0.10)}
# Above this people run: Hreljac (1995), Medicine & Science in Sports & Exercise 27, 604: 2.07 m/s.
RUN_FROM_MPS = 2.1
RUN_MPS = 3.0                   # a jog over rough ground; our own assumption, as are the next two
CROUCH_WALK_MPS = 0.55
OFF_TRAIL = 0.6                 # Tobler (1993): off paths, 0.6 of the pace
WALK_RATIO = 0.0065             # step length over cadence, m min: Sekiya et al. (1996), Gait & Posture 5, 85
ACCELERATION_MPS2 = {Kind.PERSON: 1.2, Kind.DOG: 2.5, Kind.BUFFALO: 0.5, Kind.BIRD: 3.0, Kind.BOAT: 0.35}

STRIDES_M = {Kind.BUFFALO: 1.5, Kind.DOG: 0.8, Kind.BIRD: 2.5, Kind.BOAT: 3.0}    # vehicles: 2.0, a turn of the wheel

JOIN_M = 5.0                    # over which a body comes onto a way, at the least; three times its distance at the most
TURN_DEG_S = {Kind.PERSON: 160.0, Kind.DOG: 200.0, Kind.BIRD: 90.0, Kind.BUFFALO: 50.0, Kind.BOAT: 25.0}   # vehicles: 70


class Scene(Protocol):
    """What a behaviour may know of the world round it."""

    t_s: float
    step_s: float

    def sky(self) -> Sky: ...

    def path(self, name: str) -> Path:
        """A trail or road by its name."""
        ...

    def named(self, name: str) -> list[Body]:
        """The bodies that are there now and go by this name in the scenario."""
        ...

    def drone_distance_m(self, body: Body) -> float:
        """To the nearest drone in the air, along the ground; infinite when there is none."""
        ...

    def ahead_on_road(self, body: Body) -> tuple[float, float] | None:
        """Gap in metres to the vehicle ahead on the same road in the same direction, and its speed; None for a free road."""
        ...


@dataclass(frozen=True, slots=True)
class Gait:
    """A way of walking: its posture, and speed as a function of a person's own pace."""

    posture: Posture
    share: float = 1.0          # of the comfortable pace
    least_mps: float = 0.0
    most_mps: float = 9.0

    def speed_mps(self, pace_mps: float) -> float:
        return min(max(pace_mps * self.share, self.least_mps), self.most_mps)


GAITS = {
    "walk": Gait(Posture.WALK, most_mps=1.9),
    "stroll": Gait(Posture.WALK, 0.7, most_mps=1.2),
    "hurry": Gait(Posture.WALK, 1.3, most_mps=1.95),
    "run": Gait(Posture.RUN, RUN_MPS / 1.38, RUN_FROM_MPS, 4.0),
    "crouch_walk": Gait(Posture.CROUCH_WALK, CROUCH_WALK_MPS / 1.38, 0.3, 0.7),
}


class Body:
    """One actor as it moves. Behaviours change it, through `enter` and `advance` wherever it moves.

    party: those who travel together, in their order. heading_deg clockwise from north. phase: of the stride, 0 to 1.
    """

    __slots__ = (
        "aboard", "above_m", "actor", "aside_m", "carries_pack", "direction", "east_m", "has_landed", "heading_deg",
        "home_m", "is_back", "joined_m", "name", "north_m", "off_e", "off_n", "on_road", "order", "pace_mps", "party",
        "path", "phase", "posture", "rng", "s_m", "spacing_m", "speed_mps", "turn_deg_s", "velocity",
    )

    def __init__(self, actor: Actor, name: str, place: tuple[float, float], heading_deg: float, seed: str) -> None:
        self.actor = actor
        self.name = name
        self.rng = random.Random(seed)
        self.east_m, self.north_m = place
        self.home_m = place
        self.heading_deg = heading_deg
        self.velocity = (0.0, 0.0)
        self.speed_mps = 0.0
        self.turn_deg_s = TURN_DEG_S.get(actor.kind, 70.0)
        self.posture = Posture.STAND
        self.phase = self.rng.random()
        self.carries_pack = actor.looks.pack and actor.kind is Kind.PERSON
        self.aboard = 0
        self.has_landed = False
        self.is_back = True             # with its party, and not scattered
        self.above_m = 0.0
        self.party: list[Body] = []
        self.order = 0
        self.spacing_m = 2.5
        mean, deviation = COMFORTABLE_MPS[actor.looks.age]
        self.pace_mps = mean + deviation * max(-2.0, min(2.0, self.rng.gauss(0.0, 1.0)))
        self.path: Path | None = None
        self.on_road = False
        self.direction = 1
        self.s_m = 0.0
        self.aside_m = 0.0
        self.off_e = self.off_n = 0.0
        self.joined_m = 0.0

    @property
    def place(self) -> tuple[float, float]:
        return self.east_m, self.north_m

    def enter(self, path: Path, s_m: float, direction: int, aside_m: float = 0.0) -> None:
        """Begin to move along `path` from s_m; wherever the body is, it comes over to it on its way."""
        self.path, self.s_m, self.direction, self.aside_m = path, s_m, direction, aside_m
        east, north = path.at(s_m, aside_m * direction)
        self.off_e, self.off_n = self.east_m - east, self.north_m - north
        self.joined_m = 0.0

    def advance(self, wanted_mps: float, acceleration_mps2: float, step_s: float, until_m: float) -> bool:
        """One step along the path towards until_m (position on it). True once there; the speed is then zero."""
        path = self.path
        if path is None:
            return True
        change = acceleration_mps2 * step_s
        v = self.speed_mps
        v += max(-2.0 * change, min(change, wanted_mps - v))       # anybody stops faster than he starts
        left = (until_m - self.s_m) * self.direction
        gone = min(v * step_s, left)
        there = gone >= left - 1e-6
        gone = max(gone, 0.0)
        self.s_m += gone * self.direction
        self.joined_m += gone
        east, north = path.at(self.s_m, self.aside_m * self.direction)
        off = math.hypot(self.off_e, self.off_n)
        if off > 0.0:
            share = 1.0 - self.joined_m / max(JOIN_M, 3.0 * off)
            if share <= 0.0:
                self.off_e = self.off_n = 0.0
            else:
                east += self.off_e * share
                north += self.off_n * share
        self._move_to(east, north, step_s)
        self.speed_mps = 0.0 if there else v
        return there

    def stand_still(self, posture: Posture, step_s: float) -> None:
        self.posture = posture
        self.speed_mps = 0.0
        self.velocity = (0.0, 0.0)
        if posture is Posture.WORK:
            self.phase = (self.phase + step_s * 0.4) % 1.0

    def seat(self, ahead_m: float, aside_m: float) -> tuple[float, float]:
        """East and north of a seat, by where it is from the middle of this vehicle or boat."""
        heading = math.radians(self.heading_deg)
        return (
            self.east_m + math.sin(heading) * ahead_m + math.cos(heading) * aside_m,
            self.north_m + math.cos(heading) * ahead_m - math.sin(heading) * aside_m,
        )

    def carried_by(self, carrier: Body, ahead_m: float, aside_m: float) -> None:
        """Sit where a seat of the carrier is now."""
        self.east_m, self.north_m = carrier.seat(ahead_m, aside_m)
        self.heading_deg = carrier.heading_deg
        self.velocity = carrier.velocity
        self.speed_mps = 0.0

    def _move_to(self, east_m: float, north_m: float, step_s: float) -> None:
        de, dn = east_m - self.east_m, north_m - self.north_m
        self.east_m, self.north_m = east_m, north_m
        self.velocity = (de / step_s, dn / step_s)
        moved = math.hypot(de, dn)
        if moved > 1e-4:
            turn = (math.degrees(math.atan2(de, dn)) - self.heading_deg + 180.0) % 360.0 - 180.0
            most = self.turn_deg_s * step_s
            self.heading_deg = (self.heading_deg + max(-most, min(most, turn))) % 360.0
            self.phase = (self.phase + moved / stride_m(self.actor.kind, moved / step_s)) % 1.0


def stride_m(kind: Kind, speed_mps: float) -> float:
    """Length of a full stride (two steps) at a speed; a turn of the wheel for vehicles; a beat of the wings."""
    if kind is Kind.PERSON:
        # step = ratio * cadence and speed = step * cadence: step = sqrt(ratio * 60 * speed), with cadence a minute.
        return 2.0 * math.sqrt(WALK_RATIO * 60.0 * max(speed_mps, 0.05))
    return STRIDES_M.get(kind, 2.0)
