"""What two masts and a drone say of walkers whose truth is known, without a picture being drawn: food for fusion.

Walkers and ground are the simulated world's; boxes are their outlines through the true pose, with a detector's misses,
wobble, occlusion and ghosts; from there on everything is the edge's own: its tracker gives the numbers and confirms, its
geolocation places the feet with the pose as surveyed (or, on the drone, as the autopilot believes it), and says how sure it
is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseSigma
from cameras.project import project
from edge.bodies import depth_of
from edge.detector import CLASSES, Found
from edge.geolocate import geolocate
from edge.tracker import Tracker
from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import Terrain
from sim.landscape_survey import survey
from sim.world import World
from sim.world_scenario import Scenario
from sim.world_settings import ActorSettings, FollowTrail, Repeat, Spot, Wait
from sim.world_state import Kind, Landscape, Role
from station.fusion_frames import Seen, SensorFrame
from wire.clock import NS_PER_S
from wire.units import ObjectClass

TRAIL, MIDDLE_M = "khe-da", 330.0       # what is watched, along the demo's trail
REACH_M = 55.0          # from there to where they turn: out of everybody's sight
# Everybody keeps to his right, and who dawdles farther so, to be overtaken: nobody walks through anybody.
ASIDE_M, DAWDLES_ASIDE_M = 0.6, 1.5
MAST_LENS = Lens(1280, 720, 1333.0, 1333.0, 639.5, 359.5)       # angles of view of configs/demo/world's cameras
DRONE_LENS = Lens(1280, 720, 2133.0, 2133.0, 639.5, 359.5)
PIXEL_SIGMA_PX = 2.0
WOBBLE_SHARE, WOBBLE_S = 0.7, 0.3       # of the pixel noise's variance: a gait's, and how long it lasts; the rest is white
MISSED = 0.07
HIDDEN_EVERY_S, HIDDEN_S = 25.0, 1.5    # behind a bush, each walker for each sensor
OVERLAP_HIDES = 0.55                    # of the farther one's box
GHOSTS_EVERY_S, GHOST_S = 60.0, 0.9     # long enough to be confirmed
HEIGHT_M, WIDTH_M = 1.68, 0.5
DRONE_WANDERS_S = 20.0                  # sim.multirotor.NOISE_TIME_S
MAST_SIGMA = PoseSigma(0.2, 0.1, 0.3, 0.15, 0.15)       # configs/demo: a survey's, and an autopilot's
DRONE_SIGMA = PoseSigma(0.6, 0.6, 0.5, 0.3, 0.3)
BEGIN_NS = 1_800_000_000 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Watcher:
    """A sensor. fps: frames a second. latency_s: least and mean extra time until the station has a frame."""

    name: str
    pose: Pose
    sigma: PoseSigma
    lens: Lens
    flying: bool
    fps: float
    latency_s: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Truth:
    """Who was where at one moment. walkers: number to (2,) metres, those in some sensor's picture."""

    at_ns: int
    walkers: dict[int, Array]


@dataclass(frozen=True, slots=True)
class Film:
    """frames: in the order of arrival. owners: by (track, capture time) of a detection, whose it is; -1 for a ghost's."""

    frames: tuple[SensorFrame, ...]
    truths: tuple[Truth, ...]
    owners: dict[tuple[str, int], int]


def watched_scenario(scenario: Scenario) -> Scenario:
    """The scenario with nobody in it but two who walk together, two who come towards them, and one who dawdles."""
    low, high = MIDDLE_M - REACH_M, MIDDLE_M + REACH_M

    def walks(
        name: str, count: int, spacing_m: float, first_m: float, enters_s: float, waits: Wait, at_m: float,
        aside_m: float = ASIDE_M,
    ) -> ActorSettings:
        other = low if first_m > MIDDLE_M else high
        script = Repeat(
            script=[
                FollowTrail(trail=TRAIL, to_m=at_m, aside_m=aside_m), waits,
                FollowTrail(trail=TRAIL, to_m=other, aside_m=aside_m), Wait(seconds=3.0),
                FollowTrail(trail=TRAIL, to_m=first_m, aside_m=aside_m),
            ]
        )
        return ActorSettings(
            name=name, kind=Kind.PERSON, role=Role.CROSSER, at=Spot(on=TRAIL, at_m=first_m, aside_m=aside_m), count=count,
            spacing_m=spacing_m, enters_s=enters_s, script=[script],
        )

    actors = [
        walks("together", 2, 2.0, low, 0.0, Wait(seconds=4.0, spread_s=4.0), MIDDLE_M + 6.0),
        walks("towards", 2, 3.0, high, 5.0, Wait(seconds=2.0, spread_s=2.0), MIDDLE_M - 9.0),
        walks("dawdler", 1, 1.0, low, 12.0, Wait(seconds=15.0, spread_s=15.0), MIDDLE_M - 1.0, DAWDLES_ASIDE_M),
    ]
    settings = msgspec.structs.replace(scenario.settings, actors=actors)
    return Scenario(scenario.file, settings, scenario.landscape, scenario.sector, scenario.plan, scenario.lines)


def watchers(world: World, landscape: Landscape) -> tuple[Watcher, ...]:
    """A mast on either side of the trail, and a drone that hangs 60 m above."""
    east, north = world.path(TRAIL).at(MIDDLE_M, 0.0)
    found = []
    for name, aside_m, along_m, up_m, sigma, lens, fps, latency_s in (
        ("mast-a", 26.0, -10.0, 7.0, MAST_SIGMA, MAST_LENS, 6.0, (0.1, 0.05)),
        ("mast-b", -30.0, 14.0, 8.0, MAST_SIGMA, MAST_LENS, 5.0, (0.15, 0.1)),
        ("drone", 40.0, 25.0, 60.0, DRONE_SIGMA, DRONE_LENS, 3.0, (0.3, 0.3)),
    ):
        e, n = world.path(TRAIL).at(MIDDLE_M + along_m, aside_m)
        up = float(landscape.terrain.height_msl_m([[e, n]])[0]) + up_m
        aim = float(landscape.terrain.height_msl_m([[east, north]])[0])
        away = math.hypot(east - e, north - n)
        yaw = math.degrees(math.atan2(east - e, north - n)) % 360.0
        pose = Pose(e, n, up, yaw, math.degrees(math.atan2(aim - up, away)))
        found.append(Watcher(name, pose, sigma, lens, lens is DRONE_LENS, fps, latency_s))
    return tuple(found)


def film(scenario: Scenario, landscape: Landscape, sector: Sector, seed: int, seconds: float) -> Film:
    """One survey, one set of walkers, some minutes of sightings."""
    chance = np.random.default_rng(seed)
    s = msgspec.structs.replace(scenario.settings, seed=seed)
    world = World(replace(scenario, settings=s), landscape, BEGIN_NS)
    chart = survey(replace(landscape, seed=seed), sector)
    eyes = [
        _Eye(w, chart, landscape, np.random.default_rng([seed, i])) for i, w in enumerate(watchers(world, landscape))
    ]
    due = sorted((k / e.watcher.fps + 0.013 * i, i) for i, e in enumerate(eyes) for k in range(int(seconds * e.watcher.fps)))
    owners: dict[tuple[str, int], int] = {}
    frames, truths, next_truth_s = [], [], 5.0
    for t, i in due:
        places = _places(world, t)
        while t >= next_truth_s:
            inside = {n: p[:2] for n, p in places.items() if any(e.sees(p) for e in eyes)}
            truths.append(Truth(BEGIN_NS + round(t * NS_PER_S), inside))
            next_truth_s += 1.0
        frame = eyes[i].look(t, places, owners)
        least, more = eyes[i].watcher.latency_s
        frames.append(replace(frame, received_ns=frame.captured_ns + round((least + chance.exponential(more)) * NS_PER_S)))
    return Film(tuple(sorted(frames, key=lambda f: (f.received_ns, f.sensor))), tuple(truths), owners)


def _places(world: World, t: float) -> dict[int, Array]:
    return {a.actor.id: np.array([a.east_m, a.north_m, a.height_msl_m]) for a in world.moment_at(t).actors}


class _Eye:
    """One sensor with its mistakes."""

    def __init__(self, watcher: Watcher, chart: Terrain, landscape: Landscape, chance: np.random.Generator) -> None:
        self.watcher = watcher
        self._chance, self._terrain = chance, chart
        self._tracker = Tracker(watcher.name, 0.4)
        self._camera = Camera(watcher.lens, PIXEL_SIGMA_PX, 15.0, 150.0)
        s = watcher.sigma
        self._sigmas = np.array([s.position_m, s.position_m, s.height_m, s.yaw_deg, s.pitch_deg, s.roll_deg])
        self._mistake = chance.normal(0, 1, 6)
        self._wobble: dict[int, Array] = {}
        self._hidden_until: dict[int, float] = {}
        self._ghost: tuple[Array, float] = np.zeros(3), 0.0
        self._ground = landscape
        self._t = 0.0

    def sees(self, place: Array) -> bool:
        box, lens = self._box(place), self.watcher.lens
        return bool(box[0] > 0 and box[1] > 0 and box[2] < lens.width_px and box[3] < lens.height_px)

    def look(self, t: float, places: dict[int, Array], owners: dict[tuple[str, int], int]) -> SensorFrame:
        dt, self._t = t - self._t, t
        if self.watcher.flying:
            keeps = math.exp(-dt / DRONE_WANDERS_S)
            self._mistake = keeps * self._mistake + math.sqrt(1 - keeps**2) * self._chance.normal(0, 1, 6)
        shown = self._shown(t, dt, places)
        boxes = np.array([b for _, b in shown]).reshape(-1, 4)
        scores = np.clip(self._chance.normal(0.7, 0.1, len(shown)), 0.3, 0.95)
        captured_ns = BEGIN_NS + round(t * NS_PER_S)
        tracked = self._tracker.update(Found(boxes, scores, np.zeros(len(shown), np.int64)), captured_ns)
        believed = self._believed()
        placed = geolocate(
            tracked.foot_px, self._camera, PoseEstimate(believed, self.watcher.sigma), self._terrain,
            depth_of(tracked.classes),
        )
        seen = []
        for i in np.flatnonzero(tracked.confirmed & ~placed.refused):
            track = f"{self.watcher.name}/1/{self.watcher.name}/{tracked.ids[i]}"
            (which,) = np.flatnonzero((boxes == tracked.boxes[i]).all(axis=1))[:1]
            owners[track, captured_ns] = shown[which][0]
            seen.append(
                Seen(
                    track, ObjectClass(CLASSES[tracked.classes[i]]), float(tracked.scores[i]), placed.position_enu_m[i],
                    placed.covariance_m2[i], None,
                )
            )
        return SensorFrame(
            self.watcher.name, captured_ns, captured_ns, True, tuple(seen), (believed.east_m, believed.north_m),
            self.watcher.flying,
        )

    def _shown(self, t: float, dt: float, places: dict[int, Array]) -> list[tuple[int, Array]]:
        """Who is found, near ones first, each with its box."""
        chance, found = self._chance, []
        self._haunt(t, dt)
        there = [*places.items(), *([(-1, self._ghost[0])] if t < self._ghost[1] else [])]
        there.sort(key=lambda item: float(np.linalg.norm(item[1] - self.watcher.pose.position)))
        before: list[Array] = []
        for walker, place in there:
            if not self.sees(place):
                continue
            box = self._box(place)
            if t >= self._hidden_until.get(walker, 0.0) and chance.random() < dt / HIDDEN_EVERY_S:
                self._hidden_until[walker] = t + chance.exponential(HIDDEN_S)
            covered = any(_covered(box, b) > OVERLAP_HIDES for b in before)
            before.append(box)
            keeps = math.exp(-dt / WOBBLE_S)
            fresh = chance.normal(0, PIXEL_SIGMA_PX * math.sqrt(WOBBLE_SHARE), 2)
            wobble = keeps * self._wobble.get(walker, fresh) + math.sqrt(1 - keeps**2) * fresh
            self._wobble[walker] = wobble
            if covered or t < self._hidden_until.get(walker, 0.0) or chance.random() < MISSED:
                continue
            off = wobble + chance.normal(0, PIXEL_SIGMA_PX * math.sqrt(1 - WOBBLE_SHARE), 2)
            found.append((walker, box + np.array([off[0], 0.0, off[0], off[1]])))
        return found

    def _haunt(self, t: float, dt: float) -> None:
        if t >= self._ghost[1] and self._chance.random() < dt / GHOSTS_EVERY_S:
            lens = self.watcher.lens
            at = np.array([[self._chance.uniform(200, lens.width_px - 200), self._chance.uniform(300, lens.height_px - 20)]])
            place = geolocate(at, self._camera, PoseEstimate(self.watcher.pose, self.watcher.sigma), self._terrain)
            east, north = place.position_enu_m[0]
            if np.isfinite(east):
                up = float(self._ground.terrain.height_msl_m([[east, north]])[0])
                self._ghost = np.array([east, north, up]), t + GHOST_S

    def _believed(self) -> Pose:
        off, p = self._mistake * self._sigmas, self.watcher.pose
        return Pose(
            p.east_m + off[0], p.north_m + off[1], p.height_msl_m + off[2], p.yaw_deg + off[3], p.pitch_deg + off[4],
            p.roll_deg + off[5],
        )

    def _box(self, place: Array) -> Array:
        """Of somebody who stands there: left, top, right, bottom, in pixels; the nearest point of the feet is the lowest."""
        p = self.watcher.pose
        towards = np.array([p.east_m - place[0], p.north_m - place[1], 0.0])
        towards /= max(float(np.linalg.norm(towards)), 1e-9)
        across = np.array([-towards[1], towards[0], 0.0]) * WIDTH_M / 2.0
        foot, head = place + towards * _FOOT_M, place + np.array([0.0, 0.0, HEIGHT_M])
        px = project(np.array([foot, head, place - across, place + across]), p, self.watcher.lens)
        if not np.isfinite(px).all():
            return np.full(4, -1.0)
        half = abs(px[3, 0] - px[2, 0]) / 2.0
        return np.array([px[0, 0] - half, min(px[1, 1], px[0, 1] - 1.0), px[0, 0] + half, px[0, 1]])


_FOOT_M = float(depth_of(np.zeros(1, np.int64)).mean_m[0])


def _covered(box: Array, by: Array) -> float:
    """Share of a box that lies behind a nearer one."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    return float(max(width, 0.0) * max(height, 0.0) / max((box[2] - box[0]) * (box[3] - box[1]), 1e-9))


