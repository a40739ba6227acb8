"""The eyes of the demo's shift as a process: one mast and three drones, without pixels.

Pictures of four cameras are more than two cores can draw and look at beside three autopilots. So who is found in a picture
is drawn from the truth by the detector model (sim.detector_model), and each sensor says so. All else is real: where a camera
was comes from the autopilot over MAVLink (edge.drone_link), boxes go through the edge's tracker, places and corridors, and
each node has its key, its outbox and its uplink. The process also writes down what really was (sim.shift_truth).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from cameras.pose import NoPose, Pose, PoseEstimate, PoseSigma
from cameras.project import project
from edge.camera_settings import CameraSettings
from edge.drone_link import DroneLink
from edge.drone_pose import DronePoseLimits
from geofences.sector import Sector, load_sector
from sim.camera_drone import TrueDronePose
from sim.detector_model import DetectorModel, detector_model
from sim.exercise_eyes import SimulatedEye, Stand
from sim.exercise_scenario import Eye
from sim.landscape_cache import cached_landscape
from sim.shift_settings import SECTOR, load_shift
from sim.shift_truth import DroneTruth, TruthBook
from sim.truth_sight import MIDDLE_M, Sight
from sim.world_feed import WorldFeed
from sim.world_state import ActorState, Kind, Landscape, Moment, Role
from wire.clock import NS_PER_S, Clock, WallClock
from wire.keys import load_node_key
from wire.messages import SensorReport, UpBody
from wire.node_words import node_text
from wire.outbox import Outbox
from wire.process import die_with_parent, log_to_stderr, stop_on_signals
from wire.settings import SettingsError, load_settings, refuse
from wire.units import Realm
from wire.uplink import Uplink

UNDER_WAY_NS = NS_PER_S // 5            # a picture is looked at so long after it was taken: telemetry has come by then
REPORT_EVERY_S, MAST_EVERY_S = 1.0, 3.0
HEALTH_EVERY_S = 1.0
DRAWN = node_text("no_pixels")

StandAt = Callable[[int], tuple[Pose | None, Stand | None]]     # UTC ns -> the true pose, and it with what is believed

_log = logging.getLogger("trailwatch.eyes")


class EyesDrone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """node, truth: connections to the autopilot, for what the node believes and for what is."""

    id: str
    system_id: int
    node: str
    truth: str


class EyesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """shift: its file. sector: with the survey that nodes have. world, drones_to: sockets of the world's process.

    station, public_key: its inbox. truth: the file of what really was. Keys and outboxes lie beside this file.
    """

    shift: str
    sector: str
    world: str
    drones_to: str
    station: str
    public_key: str
    truth: str
    drones: list[EyesDrone]


class FlyingEye(SimulatedEye):
    """The camera of a drone that really flies: true by the simulation's word, believed by the autopilot's."""

    def __init__(
        self, eye: Eye, landscape: Landscape, sight: Sight, surveyed: Sector, model: DetectorModel, seed: int,
    ) -> None:
        super().__init__(eye, landscape, sight, surveyed, model, seed)
        self.now: Stand | None = None

    def stand_at(self, at_s: float) -> Stand | None:
        return self.now


def sigma_of(c: CameraSettings) -> PoseSigma:
    return PoseSigma(c.sigma.position_m, c.sigma.height_m, c.sigma.yaw_deg, c.sigma.pitch_deg, c.sigma.roll_deg)


class OpenEye:
    """One eye with its outbox, its uplink, and when it is due."""

    def __init__(self, eye: SimulatedEye, outbox: Outbox, uplink: Uplink, stand: StandAt) -> None:
        self.eye, self.outbox, self.uplink, self.stand = eye, outbox, uplink, stand
        self.due_ns = self.report_ns = self.health_ns = 0
        self.true: Pose | None = None

    def turn(self, moment: Moment, now_ns: int) -> None:
        """One picture at this moment, and what is due besides."""
        self.true, now = self.stand(moment.utc_ns)
        if isinstance(self.eye, FlyingEye):
            self.eye.now = now
        said: list[UpBody] = list(self.eye.look(moment)) if now is not None else []
        if now_ns >= self.report_ns:
            every_s = REPORT_EVERY_S if isinstance(self.eye, FlyingEye) else MAST_EVERY_S
            self.report_ns = now_ns + round(every_s * NS_PER_S)
            said += [msgspec.structs.replace(r, detail=str(DRAWN), detail_words=DRAWN.worded)
                     if isinstance(r, SensorReport) else r
                     for r in self.eye.report(moment)]
        if now_ns >= self.health_ns:
            self.health_ns = now_ns + round(HEALTH_EVERY_S * NS_PER_S)
            said.append(self.eye.health(moment, HEALTH_EVERY_S))
        if said:
            self.outbox.put(*said)
            self.uplink.wake()


def walker_of(moment: Moment) -> ActorState | None:
    """Whom the shift is about: the first crosser."""
    return next((a for a in moment.actors if a.actor.role is Role.CROSSER and a.actor.kind is Kind.PERSON), None)


def truth_of(eye: SimulatedEye, drone: str, pose: Pose, moment: Moment, sector: Sector, sight: Sight) -> DroneTruth:
    """sector: the world's own, for the line."""
    at = np.array([[pose.east_m, pose.north_m]])
    truth = DroneTruth(
        moment.utc_ns, drone, round(pose.east_m, 2), round(pose.north_m, 2), round(pose.height_msl_m, 2),
        round(float(sector.border.signed_distance_m(at)[0]), 2),
    )
    walker = walker_of(moment)
    if walker is None:
        return truth
    body = np.array([walker.east_m, walker.north_m, walker.height_msl_m + MIDDLE_M.get(walker.posture, 0.9)])
    lens = eye.eye.camera.lens
    pixel = project([body], pose, lens)[0]
    away = float(np.hypot(walker.east_m - pose.east_m, walker.north_m - pose.north_m))
    if not np.isfinite(pixel).all():
        return msgspec.structs.replace(truth, followed_m=round(away, 2))
    u, v = float(pixel[0]), float(pixel[1])
    inside = 0 <= u < lens.width_px and 0 <= v < lens.height_px
    middle = abs(u - lens.width_px / 2) <= lens.width_px / 6 and abs(v - lens.height_px / 2) <= lens.height_px / 6
    return msgspec.structs.replace(
        truth, followed_m=round(away, 2), at_px=(round(u, 1), round(v, 1)), in_picture=inside, in_middle=middle,
        clear=bool(inside and sight.is_clear(pose.position, body)),
    )


class Eyes:
    """All eyes of one shift, in turn. Raises SettingsError for keys that are not of the training realm."""

    def __init__(self, config: Path, s: EyesSettings, clock: Clock, open_: contextlib.ExitStack) -> None:
        folder = config.parent
        shift = load_shift(load_sector(SECTOR), Path(s.shift))
        landscape = cached_landscape(shift.scenario)
        self._sector, self._clock, self._config, self._settings = shift.sector, clock, config, s
        self._sight = Sight(landscape)
        self._step_ns = round(NS_PER_S / shift.settings.fps)
        self._feed = WorldFeed(s.world, s.drones_to)
        open_.callback(self._feed.close)
        self._book = TruthBook(folder / s.truth)
        open_.callback(self._book.close)
        surveyed = replace(shift.sector, terrain=load_sector(folder / s.sector).terrain)
        model, seed = detector_model(), shift.scenario.settings.seed
        mast = SimulatedEye(shift.mast, landscape, self._sight, surveyed, model, seed)
        stand = mast.stand_at(0.0)
        self._open = [self._ready(mast, lambda _: (None, stand), open_)]
        self._drones: list[tuple[str, OpenEye]] = []
        for eye, drone in zip(shift.eyes, s.drones, strict=True):
            flying = FlyingEye(eye, landscape, self._sight, surveyed, model, seed)
            ready = self._ready(flying, self._stands(eye, drone, surveyed, open_), open_)
            self._drones.append((drone.id, ready))
            self._open.append(ready)

    def serve(self, stop: threading.Event) -> None:
        """Look in turn until told to stop; what cannot be looked at in time is left out."""
        due_ns = self._clock.monotonic_ns()
        while not stop.is_set():
            self.turn()
            now_ns = self._clock.monotonic_ns()
            due_ns = max(due_ns + self._step_ns, now_ns - self._step_ns)
            self._clock.sleep(max(0.0, (due_ns - now_ns) / NS_PER_S))
        for eye in self._open:
            eye.outbox.put(*eye.eye.end())

    def turn(self) -> None:
        """One picture of each eye, and what really was."""
        moment = self._feed.moment_at(self._clock.utc_ns() - UNDER_WAY_NS)
        if moment is None:
            return              # the world has not begun
        now_ns = self._clock.monotonic_ns()
        for eye in self._open:
            eye.turn(moment, now_ns)
        for drone, eye in self._drones:
            if eye.true is not None:
                self._feed.tell_drone(drone, eye.true.east_m, eye.true.north_m, eye.true.height_msl_m)
                self._book.note(truth_of(eye.eye, drone, eye.true, moment, self._sector, self._sight))

    def _ready(self, eye: SimulatedEye, stand: StandAt, open_: contextlib.ExitStack) -> OpenEye:
        folder, s = self._config.parent, self._settings
        key = load_node_key(folder / f"{eye.id}.key")
        if key.realm is not Realm.TRAINING:
            raise SettingsError(f"{eye.id}.key is of the {key.realm.value} realm: what nobody saw is told in training alone")
        (folder / eye.id).mkdir(exist_ok=True)
        outbox = Outbox(folder / eye.id / "outbox.db", key.node, key.realm, self._clock)
        open_.callback(outbox.close)
        try:
            uplink = open_.enter_context(Uplink(s.station, s.public_key, key, outbox, self._clock))
        except ValueError as error:
            raise refuse(self._config, ["station"], str(error)) from None
        return OpenEye(eye, outbox, uplink, stand)

    def _stands(self, eye: Eye, drone: EyesDrone, surveyed: Sector, open_: contextlib.ExitStack) -> StandAt:
        frame, settings = surveyed.frame, eye.node.drone
        assert settings is not None
        true = open_.enter_context(TrueDronePose(drone.truth, drone.system_id, frame, None, self._clock))
        limits = DronePoseLimits(sigma_of(eye.settings), settings.time_sigma_s, extrapolation_s=0.3)
        link = DroneLink(drone.node, drone.system_id, Realm.TRAINING, frame, limits, None, self._clock)
        open_.enter_context(link)

        def stand(at_ns: int) -> tuple[Pose | None, Stand | None]:
            pose = true.pose_at(at_ns)
            if isinstance(pose, NoPose):
                return None, None
            believed = link.pose_at(at_ns)
            return pose, Stand(pose, believed if isinstance(believed, PoseEstimate) else None)

        return stand


def run(config: Path) -> int:
    """See until SIGTERM or SIGINT. Raises SettingsError for what a person has to put right."""
    die_with_parent()
    log_to_stderr()
    settings = load_settings(config, EyesSettings)
    stop = stop_on_signals()
    with contextlib.ExitStack() as open_:
        eyes = Eyes(config, settings, WallClock(), open_)
        _log.info("a mast and %d drones see (simulated; %s)", len(settings.drones), DRAWN)
        eyes.serve(stop)
    return 0
