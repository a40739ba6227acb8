"""A node's eyes without pixels: who is found comes from the detector model, and everything after that is the edge's own.

A camera truly stands a draw of its survey's errors away from where it believes to stand. Boxes that the model finds go
through the edge's tracker, its geolocation against the surveyed terrain, and its judgement of corridors, and come out as the
messages that a node sends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cameras.footprint import footprint
from cameras.pose import Pose, PoseEstimate, PoseSigma
from edge.byte_track import LOST_S
from edge.camera_settings import survey_of
from edge.detector import CLASSES, LOWEST_SCORE, Found
from edge.optics import optics_of
from edge.settings import Look
from edge.sightings import Sighting, place
from edge.tracker import Tracker
from geofences.geodesy import Array
from geofences.sector import Sector
from sim.camera_head import MISTAKE_LIMIT
from sim.detector_model import BENT, DetectorModel, FalseFinds, GroupModel, Luck, Sights, chances, group_in
from sim.exercise_bodies import Seen, Viewer, is_low
from sim.exercise_looks import Looks
from sim.exercise_scenario import Eye
from sim.renderer_light import DARKEST_LUX, GREYEST_LUX, lux
from sim.truth_sight import Sight
from sim.world_state import DETECTED_AS, ActorState, Kind, Landscape, Moment
from station.contacts import group_of
from wire.clock import NS_PER_S
from wire.messages import NodeHealth, SensorReport, SensorState, UpBody
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.optics import SensorKind
from wire.units import GroundPosition, HeightMsl, ObjectClass, Position, TimeQuality

MOVED_DEG = 4.0                 # that a knock turns a camera by
MOVES_MPS = 0.25                # slower, and the motion gate takes it for still
LEAST_HIGH_PX = 5.0
ANIMALS = (Kind.BUFFALO, Kind.DOG)
PERSON = CLASSES.index(ObjectClass.PERSON)


@dataclass(slots=True)
class _Known:
    """What an eye keeps about one actor."""

    luck: Luck
    found_s: float = -math.inf


@dataclass(frozen=True, slots=True)
class Stand:
    """Where an eye is at a moment: truly, and as it believes. None believed: it does not know, and places nothing."""

    true: Pose
    believed: PoseEstimate | None


@dataclass(slots=True)
class Fault:
    """What is wrong with a camera, since when."""

    state: SensorState = SensorState.SEEING
    since_ns: int = 0
    detail: NodeText = NO_TEXT


@dataclass(slots=True)
class EyeTally:
    """frames; found: of these, objects; told: detections sent."""

    frames: int = 0
    found: int = 0
    told: int = 0
    since_health: int = 0


class SimulatedEye:
    """One camera on a mast, or the camera of a drone when `stand_at` is replaced (sim.exercise_drone)."""

    def __init__(
        self, eye: Eye, landscape: Landscape, sight: Sight, surveyed: Sector, model: DetectorModel, seed: int
    ) -> None:
        self.eye = eye
        self.id = eye.id
        self.tally = EyeTally()
        self.fault = Fault()
        self._sector = surveyed
        self._camera = eye.camera
        self._model = model
        self._chance = np.random.default_rng([seed, 11, *eye.id.encode()])
        self._viewer = Viewer(sight, self._camera.lens, self._camera.reach_m)
        self._tracker = Tracker(eye.id, eye.node.detector.score_threshold)
        self._false = FalseFinds(model, self._chance)
        self._looks = Looks(self._camera.lens, np.random.default_rng([seed, 12, *eye.id.encode()]))
        self._known: dict[int, _Known] = {}
        self._full_s = -math.inf
        self._frozen: tuple[Moment, Stand] | None = None
        self._outline: tuple[Pose, tuple[GroundPosition, ...]] | None = None
        self._stand = self._set_down(landscape) if not eye.is_flying else None

    @property
    def _is_thermal(self) -> bool:
        return self.eye.settings.kind is SensorKind.THERMAL

    @property
    def fps(self) -> float:
        return self.eye.entry.fps

    def stand_at(self, at_s: float) -> Stand | None:
        """Where it is; None while it is not there at all."""
        return self._stand

    def _set_down(self, landscape: Landscape) -> Stand:
        c = self.eye.settings
        sigma = PoseSigma(c.sigma.position_m, c.sigma.height_m, c.sigma.yaw_deg, c.sigma.pitch_deg, c.sigma.roll_deg)
        survey = survey_of(self.eye.file, c, self._sector, sigma)
        p = survey.pose
        assert c.height_agl_m is not None
        z = np.clip(self._chance.standard_normal(6), -MISTAKE_LIMIT, MISTAKE_LIMIT)
        east, north = p.east_m + float(z[0]) * sigma.position_m, p.north_m + float(z[1]) * sigma.position_m
        ground = float(landscape.terrain.height_msl_m([[east, north]])[0])     # it stands where it is, not where it believes
        true = Pose(
            east, north, ground + c.height_agl_m + float(z[2]) * sigma.height_m, p.yaw_deg + float(z[3]) * sigma.yaw_deg,
            p.pitch_deg + float(z[4]) * sigma.pitch_deg, p.roll_deg + float(z[5]) * sigma.roll_deg,
        )
        return Stand(true, survey)

    # -------------------------------------------------------------------------------------------------------- one frame

    def look(self, moment: Moment) -> list[UpBody]:
        """What a node says of the picture that it took at this moment: detections and news of tracks."""
        stand = self.stand_at(moment.t_s)
        state = self.fault.state
        if stand is None or state in (SensorState.BLIND, SensorState.COVERED, SensorState.DARK, SensorState.DEFOCUSED):
            return []
        if state is SensorState.MOVED:
            stand = replace(stand, true=replace(stand.true, yaw_deg=stand.true.yaw_deg + MOVED_DEG))
        if state is SensorState.FROZEN:
            self._frozen = self._frozen or (moment, stand)
            moment, stand = replace(self._frozen[0], t_s=moment.t_s, utc_ns=moment.utc_ns), self._frozen[1]
        else:
            self._frozen = None
        self.tally.frames += 1
        self.tally.since_health += 1
        found, shown = self._find(moment, stand.true)
        tracked = self._tracker.update(found, moment.utc_ns)
        if stand.believed is None:
            return [*tracked.news]
        if not len(tracked.ids):
            return [*tracked.news]
        sighting = Sighting(moment.utc_ns, TimeQuality.SIMULATED, tracked, self._camera, stand.believed)
        placed = place(self.id, [sighting], self._sector.terrain, self._sector.corridors)[0]
        batch = self._looks.tell(placed.batch, tracked, found, shown, moment)
        self.tally.told += len(batch.detections)
        return [batch, *tracked.news]

    def _find(self, moment: Moment, pose: Pose) -> tuple[Found, list[ActorState | None]]:
        """What the detector finds, and of each whose it is."""
        light = lux(moment.sky)
        grey = light < GREYEST_LUX and not self._is_thermal
        if self.is_in_the_dark(light):
            return Found(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64)), []
        seen = self._viewer.look(moment.actors, pose)
        everywhere = self.eye.node.gate.look in (Look.WHOLE, Look.TILES) or self.eye.is_flying
        if everywhere or moment.t_s - self._full_s >= self.eye.node.gate.full_look_s:
            self._full_s, everywhere = moment.t_s, True
        boxes: list[Array] = []
        scores: list[float] = []
        classes: list[int] = []
        whose: list[ActorState | None] = []
        for i, p, group in self._looked_at(seen, moment, grey, everywhere):
            state = seen.states[i]
            known = self._known_of(state.actor.id)
            if not known.luck.draw(p, moment.t_s, group.persistence):
                continue
            known.found_s = moment.t_s
            boxes.append(known.luck.box(group, seen.boxes[i]))
            scores.append(known.luck.score(group, p))
            what = DETECTED_AS[state.actor.kind]
            assert what is not None
            classes.append(CLASSES.index(what))
            whose.append(state)
        for box, score in self._animals(seen):
            boxes.append(box)
            scores.append(score)
            classes.append(PERSON)
            whose.append(None)
        sides = np.array([self._camera.lens.width_px, self._camera.lens.height_px] * 2, float)
        for find in self._false.draw(grey, moment.sky.rain_mm_h > 0.5, self._is_thermal):
            boxes.append(np.array(find.box) * sides)
            scores.append(find.score)
            classes.append(find.object_class)
            whose.append(None)
        self.tally.found += len(boxes)
        if not boxes:
            return Found(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64)), []
        clipped = np.clip(np.array(boxes), 0.0, sides)
        good = (clipped[:, 2] - clipped[:, 0] > 2.0) & (clipped[:, 3] - clipped[:, 1] > 3.0)
        return (
            Found(clipped[good], np.array(scores)[good], np.array(classes, np.int64)[good]),
            [w for w, g in zip(whose, good.tolist(), strict=True) if g],
        )

    def is_in_the_dark(self, light_lux: float) -> bool:
        """A camera for the day, at night."""
        return light_lux < DARKEST_LUX and self.eye.settings.kind is SensorKind.DAY

    def _looked_at(self, seen: Seen, moment: Moment, grey: bool, everywhere: bool) -> list[tuple[int, float, GroupModel]]:
        """Index, chance and group of everybody at whom the detector looks in this picture."""
        n = len(seen.states)
        if n == 0:
            return []
        high = seen.boxes[:, 3] - seen.boxes[:, 1]
        sights = Sights(
            high, seen.visible, np.full(n, grey), seen.distance_m, np.full(n, moment.sky.visibility_m),
            np.full(n, moment.sky.rain_mm_h), seen.depression_deg, np.array([is_low(s) for s in seen.states], bool),
            np.array([s.posture in BENT for s in seen.states], bool),
        )
        groups = {name: group_in(self._model, name, self._is_thermal) for name in ("person", "vehicle")}
        by_group = {name: chances(group, sights) for name, group in groups.items()}
        out = []
        for i, state in enumerate(seen.states):
            what = DETECTED_AS[state.actor.kind]
            if what is None or seen.visible[i] <= 0.05 or high[i] < LEAST_HIGH_PX:
                continue
            name = "person" if group_of(what) == "person" else "vehicle"
            moves = math.hypot(*state.velocity_mps) > MOVES_MPS
            fresh = moment.t_s - self._known_of(state.actor.id).found_s <= LOST_S
            if everywhere or moves or fresh:
                out.append((i, float(by_group[name][i]), groups[name]))
        return out

    def _animals(self, seen: Seen) -> list[tuple[Array, float]]:
        often, mean, sigma = self._model.animal
        out = []
        for i, state in enumerate(seen.states):
            if state.actor.kind in ANIMALS and seen.visible[i] > 0.3 and self._chance.random() < often:
                score = 1.0 / (1.0 + math.exp(-self._chance.normal(mean, sigma)))
                out.append((seen.boxes[i], max(score, LOWEST_SCORE)))
        return out

    def _known_of(self, actor: int) -> _Known:
        known = self._known.get(actor)
        if known is None:
            known = self._known[actor] = _Known(Luck(self._model, self._chance))
        return known

    # ---------------------------------------------------------------------------------------------------------- reports

    def report(self, moment: Moment) -> list[UpBody]:
        """Where it stands, what it can see, and whether it sees."""
        stand = self.stand_at(moment.t_s)
        estimate = stand.believed if stand is not None else None
        if estimate is None:
            return []
        state, since_ns, detail = self.fault.state, self.fault.since_ns, self.fault.detail
        if state is SensorState.SEEING and self.is_in_the_dark(lux(moment.sky)):
            state, detail = SensorState.DARK, node_text("night")
        lat, lon = (float(v) for v in self._sector.frame.from_enu(estimate.pose.position[None, :2])[0])
        return [SensorReport(
            sensor=self.id, at_ns=moment.utc_ns, position=Position(lat, lon, HeightMsl(estimate.pose.height_msl_m)),
            footprint=self._draw(estimate.pose), state=state, state_since_ns=since_ns, simulated=True,
            detail=str(detail), detail_words=detail.worded,
            optics=optics_of(self._camera, estimate, self.eye.settings),
        )]

    def health(self, moment: Moment, every_s: float) -> UpBody:
        frames, self.tally.since_health = self.tally.since_health, 0
        return NodeHealth(
            at_ns=moment.utc_ns, uptime_s=moment.t_s, frames_in=self.tally.frames, frames_dropped=0,
            frames_per_s=frames / every_s, stage_ms={}, outbox_depth=0, outbox_dropped=0, detections_sent=self.tally.told,
            disk_free_mb=10_000.0, memory_mb=300.0, time_quality=TimeQuality.SIMULATED,
            position_trusted=self.stand_at(moment.t_s) is not None, problems=(),
        )

    def end(self) -> list[UpBody]:
        return [*self._tracker.end_all().news]

    def _draw(self, pose: Pose) -> tuple[GroundPosition, ...]:
        if self._outline is None or self._outline[0] != pose:
            ground = footprint(self._camera, pose, self._sector.terrain)
            degrees = self._sector.frame.from_enu(ground) if len(ground) else ground
            outline = tuple(GroundPosition(round(float(lat), 7), round(float(lon), 7)) for lat, lon in degrees)
            self._outline = (pose, outline)
        return self._outline[1]


def frame_times(eyes: list[SimulatedEye], seconds: float) -> list[tuple[float, int]]:
    """When each eye takes its pictures; in order. Those of one rate do so together: a moment of the world serves all."""
    return sorted((k / eye.fps, i) for i, eye in enumerate(eyes) for k in range(1, int(seconds * eye.fps)))


def to_ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
