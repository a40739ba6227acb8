"""The simulated world: it steps its actors through time and says how everything stands at a moment.

Time runs in fixed steps of STEP_S; a moment between two steps is interpolated. So the same scenario gives the same moments
however often, and at whatever times, somebody asks. The one thing that comes from outside is where the drones are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim import behaviours_wheels as wheels
from sim.actors import Body
from sim.behaviours import Script, perform
from sim.sky import Weather
from sim.world_paths import Path
from sim.world_scenario import Scenario
from sim.world_settings import ActorSettings, AnyAct, Fly
from sim.world_state import Actor, ActorState, Kind, Landscape, Looks, Moment, Posture, Sky
from wire.clock import NS_PER_S

STEP_S = 0.1
DRONE_STALE_S = 3.0             # a drone that has not been heard of for so long is not there
ROOM_M = 14.0                   # a vehicle does not enter the world on top of another
SKY_EVERY_S = 1.0
COLOURS = (                     # blue, green, red: what vehicles on country roads are painted in, roughly
    (235, 235, 235), (40, 40, 42), (150, 150, 150), (40, 40, 160), (130, 70, 30), (60, 90, 40), (190, 190, 195),
)


@dataclass(frozen=True, slots=True)
class DronePlace:
    """Where a drone is: metres in the sector's frame, height above mean sea level; at_s on the world's time."""

    east_m: float
    north_m: float
    height_msl_m: float
    at_s: float


@dataclass(slots=True)
class _Entrance:
    """Actors who enter together. first_id: of the first of them."""

    at_s: float
    settings: ActorSettings
    party: int
    first_id: int
    seed: str


@dataclass(frozen=True, slots=True)
class _Then:
    """What of a body is interpolated."""

    east_m: float
    north_m: float
    heading_deg: float
    phase: float
    above_m: float


class World:
    """A scenario on its landscape, from its start on. utc_ns: what the clocks of the stations say at its start."""

    def __init__(self, scenario: Scenario, landscape: Landscape, utc_ns: int) -> None:
        self.scenario = scenario
        self.landscape = landscape
        self.utc_ns = utc_ns
        self.t_s = 0.0
        self.step_s = STEP_S
        self.bodies: list[Body] = []
        self._steps = 0
        self._scripts: dict[int, Script] = {}
        self._before: dict[int, _Then] = {}
        self._paths = {n: Path(n, line, landscape.terrain) for n, line in (landscape.trails | landscape.roads).items()}
        self._by_name: dict[str, list[Body]] = {}
        self._drones: dict[str, DronePlace] = {}
        self._water_msl_m = float(landscape.water_msl_m.mean())
        self._sky_script = scenario.sky
        self._sky = self._sky_script.at(0.0)
        self._entrances = _entrances(scenario)
        self._enter_who_is_due()

    # ------------------------------------------------------------------------------------------- what behaviours ask

    def sky(self) -> Sky:
        return self._sky

    def path(self, name: str) -> Path:
        return self._paths[name]

    def named(self, name: str) -> list[Body]:
        return self._by_name.get(name, [])

    def drone_distance_m(self, body: Body) -> float:
        best = math.inf
        for drone in self._drones.values():
            if self.t_s - drone.at_s <= DRONE_STALE_S:
                best = min(best, math.hypot(drone.east_m - body.east_m, drone.north_m - body.north_m))
        return best

    def ahead_on_road(self, body: Body) -> tuple[float, float] | None:
        best: tuple[float, float] | None = None
        for other in self.bodies:
            if not other.on_road or other is body or other.path is not body.path or other.direction != body.direction:
                continue
            gap = (other.s_m - body.s_m) * body.direction
            if gap > 0.0 and (best is None or gap < best[0]):
                best = (gap, other.speed_mps)
                length = (wheels.LENGTH_M.get(body.actor.kind, 4.0) + wheels.LENGTH_M.get(other.actor.kind, 4.0)) / 2
        return (best[0] - length, best[1]) if best is not None else None

    # ------------------------------------------------------------------------------------------------------ its course

    def tell_drone(self, name: str, east_m: float, north_m: float, height_msl_m: float) -> None:
        """Where a drone in the air is now; who avoids drones hears it."""
        self._drones[name] = DronePlace(east_m, north_m, height_msl_m, self.t_s)

    def change_weather(self, weather: Weather, over_s: float) -> None:
        """From now on the sky turns to this within over_s seconds, and what the scenario had in mind for later is off."""
        self._sky_script = self._sky_script.turning(self.t_s, weather, over_s)

    def split(self, name: str, count: int, script: list[AnyAct]) -> list[int]:
        """The last `count` of those of this name who are there go their own way, as a party of their own; their ids."""
        leaving = [b for b in self.named(name) if not b.aboard][-count:] if count > 0 else []
        for body in leaving:
            if body in body.party:
                body.party.remove(body)
        party = list(leaving)
        for order, body in enumerate(leaving):
            body.party, body.order, body.path = party, order, None
            self._scripts[body.actor.id] = perform(script, body, self, self.scenario)
        return [body.actor.id for body in leaving]

    def advance_to(self, t_s: float) -> None:
        """Run on to t_s seconds after the start, or just past it. Going back is not possible, and does nothing."""
        while self.t_s < t_s - 1e-9:
            self._step()

    def moment_at(self, t_s: float) -> Moment:
        """The world at t_s seconds after its start, which is not before the last step. Raises ValueError for the past."""
        self.advance_to(t_s)
        share = 1.0 - (self.t_s - t_s) / STEP_S
        if share < -1e-6:
            raise ValueError(f"the world is at {self.t_s:.1f} s and does not go back to {t_s:.1f} s")
        share = 1.0 if share > 1.0 - 1e-6 else share
        return Moment(t_s, self.utc_ns + round(t_s * NS_PER_S), self._sky_script.at(t_s), self._states(share))

    def _step(self) -> None:
        self._before = {
            b.actor.id: _Then(b.east_m, b.north_m, b.heading_deg, b.phase, b.above_m) for b in self.bodies
        }
        self._steps += 1
        self.t_s = self._steps * STEP_S
        if self._steps % round(SKY_EVERY_S / STEP_S) == 0:
            self._sky = self._sky_script.at(self.t_s)
        gone = [body for body in self.bodies if next(self._scripts[body.actor.id], _OVER) is _OVER]
        for body in gone:
            self._leave(body)
        self._enter_who_is_due()

    def _states(self, share: float) -> tuple[ActorState, ...]:
        if not self.bodies:
            return ()
        now: Sequence[_Then | Body] = self.bodies if share == 1.0 else [self._between(b, share) for b in self.bodies]
        places = np.array([(t.east_m, t.north_m) for t in now])
        heights = self.landscape.terrain.height_msl_m(places).tolist()
        water = self._water_msl_m
        boats = {b.actor.id for b in self.bodies if b.actor.kind is Kind.BOAT}
        return tuple(
            ActorState(
                actor=b.actor,
                east_m=t.east_m,
                north_m=t.north_m,
                height_msl_m=water if b.actor.id in boats or b.aboard in boats else ground + t.above_m,
                heading_deg=t.heading_deg,
                velocity_mps=b.velocity,
                posture=b.posture,
                phase=t.phase,
                carries_pack=b.carries_pack,
                aboard=b.aboard,
            )
            for b, t, ground in zip(self.bodies, now, heights, strict=True)
        )

    def _between(self, body: Body, share: float) -> _Then:
        now = _Then(body.east_m, body.north_m, body.heading_deg, body.phase, body.above_m)
        before = self._before.get(body.actor.id)
        if before is None or share >= 1.0:
            return now
        return _Then(
            before.east_m + (now.east_m - before.east_m) * share,
            before.north_m + (now.north_m - before.north_m) * share,
            (before.heading_deg + ((now.heading_deg - before.heading_deg + 180.0) % 360.0 - 180.0) * share) % 360.0,
            (before.phase + ((now.phase - before.phase) % 1.0) * share) % 1.0,
            before.above_m + (now.above_m - before.above_m) * share,
        )

    # ------------------------------------------------------------------------------------------------ coming and going

    def _enter_who_is_due(self) -> None:
        waiting = []
        while self._entrances and self._entrances[-1].at_s <= self.t_s + 1e-9:
            entrance = self._entrances.pop()
            if self._has_room(entrance.settings):
                self._enter(entrance)
            else:
                waiting.append(entrance)
        self._entrances += waiting[::-1]

    def _has_room(self, a: ActorSettings) -> bool:
        if a.kind not in wheels.LENGTH_M:
            return True
        east, north = self.scenario.metres(a.at)
        return all(
            math.hypot(b.east_m - east, b.north_m - north) > ROOM_M * a.count
            for b in self.bodies if b.actor.kind in wheels.LENGTH_M
        )

    def _enter(self, entrance: _Entrance) -> None:
        a = entrance.settings
        members: list[Body] = []
        for i in range(a.count):
            place, heading_deg, on = self._start(a, i)
            seed = f"{entrance.seed}/{i}"
            party = entrance.party if a.count > 1 else 0
            actor = Actor(entrance.first_id + i, a.kind, a.role, _looks(a, seed), party)
            body = Body(actor, a.name, place, heading_deg, seed)
            body.order, body.spacing_m = i, a.spacing_m
            if isinstance(a.script[0], Fly):
                body.above_m = a.script[0].height_m         # a bird comes flying
            if on is not None:
                body.path, body.s_m = on
            body.party = members
            members.append(body)
        for body in members:
            self._add(body, perform(a.script, body, self, self.scenario))
        if a.kind in (Kind.MOTORCYCLE, Kind.BICYCLE):
            for i, vehicle in enumerate(members):
                seed = f"{entrance.seed}/rider/{i}"
                looks = _looks(a, seed, is_rider=True)
                actor = Actor(entrance.first_id + a.count + i, Kind.PERSON, a.role, looks, vehicle.actor.party)
                rider = Body(actor, f"{a.name}'s rider", vehicle.place, vehicle.heading_deg, seed)
                rider.aboard, rider.posture = vehicle.actor.id, Posture.RIDE
                self._add(rider, wheels.ride(rider, self, a.name))

    def _start(self, a: ActorSettings, i: int) -> tuple[tuple[float, float], float, tuple[Path, float] | None]:
        """Place, heading, and path with the position on it, of the i-th of those who enter together."""
        if not a.at.on:
            east, north = self.scenario.metres(a.at)
            return (east + i * a.spacing_m, north), a.heading_deg, None
        path = self._paths[a.at.on]
        # One behind the other, so that the first is where the scenario says; at a trail's very start, beside it.
        forwards = a.at.at_m < path.length_m / 2 or a.at.at_m - (a.count - 1) * a.spacing_m >= 0
        s_m = a.at.at_m - i * a.spacing_m * (1 if forwards else -1)
        aside_m = a.at.aside_m + (max(0.0, -s_m) if i else 0.0)
        s_m = min(max(s_m, 0.0), path.length_m)
        place = path.at(s_m, aside_m)
        ahead = path.at(s_m + 1.0, aside_m) if s_m + 1.0 <= path.length_m else place
        behind = path.at(s_m - 1.0, aside_m)
        heading = math.degrees(math.atan2(ahead[0] - behind[0], ahead[1] - behind[1])) % 360.0
        return place, a.heading_deg or heading, (path, s_m)

    def _add(self, body: Body, script: Script) -> None:
        self.bodies.append(body)
        self._by_name.setdefault(body.name, []).append(body)
        self._scripts[body.actor.id] = script

    def _leave(self, body: Body) -> None:
        self.bodies.remove(body)
        self._by_name[body.name].remove(body)
        del self._scripts[body.actor.id]
        if body in body.party:
            body.party.remove(body)


_OVER = object()


def _entrances(scenario: Scenario) -> list[_Entrance]:
    """Who enters when, the last first; ids are given in order of the file, so that they never depend on the course."""
    entrances = []
    next_id = next_party = 1
    s = scenario.settings
    for a in s.actors:
        times = [a.enters_s]
        while a.every_s > 0 and times[-1] + a.every_s <= s.lasts_s:
            times.append(times[-1] + a.every_s)
        for n, at_s in enumerate(times):
            entrances.append(_Entrance(at_s, a, next_party, next_id, f"{s.seed}/{a.name}/{n}"))
            next_party += 1
            next_id += a.count * (2 if a.kind in (Kind.MOTORCYCLE, Kind.BICYCLE) else 1)
    return sorted(entrances, key=lambda e: (e.at_s, e.first_id), reverse=True)


def ids_by_name(scenario: Scenario) -> dict[str, list[int]]:
    """The ids of everybody who will ever enter, by the name in the file; a rider goes by the name of what he rides."""
    found: dict[str, list[int]] = {}
    for e in _entrances(scenario):
        count = e.settings.count * (2 if e.settings.kind in (Kind.MOTORCYCLE, Kind.BICYCLE) else 1)
        found.setdefault(e.settings.name, []).extend(range(e.first_id, e.first_id + count))
    return found


def _looks(a: ActorSettings, seed: str, is_rider: bool = False) -> Looks:
    rng = random.Random(f"looks/{seed}")
    number = rng.getrandbits(32)
    sex = a.looks.sex if a.looks.sex != "any" else rng.choice(("female", "male"))
    colour = a.looks.colour
    if colour is None and a.kind in wheels.LENGTH_M and not is_rider:
        colour = rng.choice(COLOURS)
    return Looks(
        seed=number, sex=sex, age=a.looks.age, pack=a.looks.pack and not is_rider, uniform=a.looks.uniform,
        hat=a.looks.hat, plate="" if is_rider else a.looks.plate, colour=None if is_rider else colour,
    )
