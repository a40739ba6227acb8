"""Investigate: how soon a take-off is commanded, and whether somebody who walks stays in the middle of the picture.

The picture is measured in the simulated world: a walker on the trail Khe Đá over its relief, a drone of the autopilot model
in a gusting wind, its place and attitude reported with the errors of the demo's drone. The station knows where he is only by
what this drone's own camera finds of him (the detector model, the edge's tracker and geolocation, the station's fusion); if
it loses him, it has nothing to go by. What counts is where he truly is in what the camera truly sees.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from benchmarks.form import Figure, figure
from cameras.pose import Pose, PoseEstimate, PoseSigma
from cameras.project import project
from fleet.routes_camera import CameraView
from fleet.wind import Wind
from geofences.geodesy import Array
from geofences.sector import Sector, load_sector
from sim.autopilot import AutopilotSettings, WindSettings
from sim.autopilot_stage import Stage, drone_settings
from sim.detector_model import detector_model
from sim.exercise_eyes import SimulatedEye, Stand
from sim.exercise_scenario import Exercise, load_exercise
from sim.landscape_cache import cached_landscape
from sim.landscape_survey import survey
from sim.truth_sight import Sight
from sim.world import World
from sim.world_state import Kind, Moment
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from wire.clock import NS_PER_S
from wire.messages import DetectionBatch, PlacementPoint
from wire.tasking import FleetOrder, FlightKind, FlightWish, Target
from wire.units import Covariance2, GroundPosition, ObjectClass

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
HOME = (16.62225, 106.60230)
LAUNCHES = 10
RATE = 3.0                      # times the clock
FPS = 3.0
SECONDS = 240.0                 # measured of each run, from when the drone is there
SETTLE_S = 5.0                  # on station, before it counts
THIRD = 1.0 / 6.0               # of the picture, to each side of its middle
BODY_M = 0.9
WINDS = ((2.0, 0.5), (3.5, 0.9), (5.0, 1.2))        # mean at 60 m, one sigma of its gusts
SIGMA = {"position_noise_m": 0.6, "height_noise_m": 0.6, "lean_noise_deg": 0.3, "yaw_noise_deg": 0.5}   # configs/demo
WALK = """
name = "look"
seed = {seed}
sector = "{configs}/sectors/laobao/sector.toml"
landscape = "{configs}/worlds/landscapes/laobao.toml"
starts = 2026-11-24T09:00:00+07:00
lasts_s = 900.0
cameras = []

[exercise]
title = "Somebody walks"
teaches = "A benchmark."
seconds = 900.0

[trainees]
may_use = ["drones"]
brief = "None."

[[actors]]
name = "walker"
kind = "person"
role = "crosser"
enters_s = 1.0
at = {{ on = "khe-da", at_m = 620.0 }}
script = [
    {{ do = "follow_trail", trail = "khe-da", to_m = 1250.0, gait = "walk" }},
    {{ do = "follow_trail", trail = "khe-da-inland", to_m = 300.0 }},
]

[[drones]]
id = "drone-1"
like = "{configs}/demo/world/drone-1-eye.toml"
corridor = "khe-da"
home = [16.62225, 106.60230]
height_m = 45.0
speed_m_s = 6.0
fps = {fps}
"""


def measure() -> dict[str, Figure]:
    launches = [launch_s() for _ in range(LAUNCHES)]
    sector = load_sector(CONFIGS / "sectors/laobao/sector.toml")
    runs = [_walk(sector, seed, *wind) for seed, wind in enumerate(WINDS, 1)]
    winds = ", ".join(f"{mean:g}+-{gust:g}" for mean, gust in WINDS)
    how = f"{len(runs)} walks of {SECONDS:.0f} s in the world, wind {winds} m/s"
    return {
        "investigate_to_takeoff_s": figure(
            launches, "s", "launch order heard to take-off commanded, plan sent and read back, clean link, real time", "< 2",
        ),
        "investigate_middle_third": figure(
            [100.0 * r.middle for r in runs], "%", f"{how}: he is in the middle third of width and of height", ">= 95",
        ),
        "investigate_off_middle": figure(
            [100.0 * r.off for r in runs], "%", f"{how}: of width or height, whichever is more; 95 % of the time no more",
        ),
        "investigate_in_picture": figure([100.0 * r.inside for r in runs], "%", f"{how}: he is in the picture"),
        "investigate_nearest_m": figure([r.nearest_m for r in runs], "m", f"{how}: least level distance", ">= 40"),
        "investigate_detected": figure(
            [100.0 * r.detected for r in runs], "%", f"{how}: pictures in which the detector model finds him",
        ),
    }


# ------------------------------------------------------------------------------------------------------------- the launch


def launch_s() -> float:
    """From the order, as the uplink hands it over, to the take-off command on the link."""
    sector = load_sector(CONFIGS / "sectors/laobao/sector.toml")

    async def play(s: Stage) -> float:
        sent: list[float] = []
        loop = asyncio.get_running_loop()

        def tap(message: Any, _frame: bytes, sending: bool) -> None:
            if sending and getattr(message, "command", 0) == mavlink.MAV_CMD_NAV_TAKEOFF:
                sent.append(loop.time())

        s.links["drone-1"].taps.append(tap)
        now_ns = s.clock.utc_ns()
        s.target(Target(
            "c1", now_ns, ObjectClass.PERSON, GroundPosition(16.62075, 106.59560), Covariance2(4.0, 0.0, 4.0), (1.0, 0.0),
            now_ns, simulated=True,
        ))
        await s.ordered(FleetOrder("p", "plan", "bench", wish=FlightWish(FlightKind.INVESTIGATE, contact="c1")))
        offer = s.offer("p")
        assert offer is not None and offer.plan is not None, "nothing was offered"
        begun = loop.time()
        answer = await s.ordered(FleetOrder("l", "launch", "bench", plan_id=offer.plan_id))
        assert answer.done and sent, answer
        return sent[0] - begun

    with tempfile.TemporaryDirectory() as folder:
        return float(Stage(sector, Path(folder), {"drone-1": drone_settings(1)}, rate=1.0).run(play))


# --------------------------------------------------------------------------------------------------------------- the walk


class LiveEye(SimulatedEye):
    """The camera under the gimbal of a drone that flies. stand: where it is now, truly and by its own word."""

    stand: Stand | None = None

    def stand_at(self, at_s: float) -> Stand | None:
        del at_s
        return self.stand


@dataclass(slots=True)
class Run:
    """Shares of the measured pictures. off: from the middle, as a share of the picture, 95 % of the time no more."""

    middle: float = 0.0
    inside: float = 0.0
    detected: float = 0.0
    off: float = 0.0
    nearest_m: float = float("inf")


@dataclass(slots=True)
class Station:
    """What it knows of the walker: from a mast until the drone's own camera finds him, and from that alone from then on."""

    sector: Sector
    fusion: Fusion = field(init=False)
    number: int | None = None

    def __post_init__(self) -> None:
        self.fusion = Fusion(self.sector.corridors)

    def take(self, batch: DetectionBatch, stands: tuple[float, float]) -> None:
        seen = [
            Seen(
                f"eye/1/eye/{d.track}", d.object_class, d.score, self.sector.frame.point(d.placement.position),
                np.array([[c.ee_m2, c.en_m2], [c.en_m2, c.nn_m2]]), None,
            )
            for d in batch.detections
            if d.confirmed and isinstance(d.placement, PlacementPoint) and (c := d.placement.covariance) is not None
        ]
        self.fusion.observe(SensorFrame("eye", batch.captured_ns, batch.captured_ns, True, tuple(seen), stands, flying=True))

    def target(self, last: Target | None, now_ns: int) -> Target | None:
        """Of the contact that is followed; the one nearest to where he was told to be, when that is found first or anew."""
        contacts = [c for c in self.fusion.contacts.values() if c.last_seen_ns > now_ns - 20 * NS_PER_S]
        if self.number not in {c.number for c in contacts}:
            self.number = None
            near = [c for c in contacts if last is not None and np.linalg.norm(
                c.estimate.mean[:2] - self.sector.frame.point(last.position)) < 25.0]
            if near:
                self.number = min(near, key=lambda c: -c.detections).number
        contact = next((c for c in contacts if c.number == self.number), None)
        if contact is None:
            return None
        mean, p = contact.estimate.mean, contact.estimate.covariance
        return Target(
            "c1", contact.estimate.at_ns, ObjectClass.PERSON, self.sector.frame.position(float(mean[0]), float(mean[1])),
            Covariance2(float(p[0, 0]), float(p[0, 1]), float(p[1, 1])), (float(mean[2]), float(mean[3])),
            contact.last_seen_ns, simulated=True, held_by=("drone-1",),
        )


def _walk(sector: Sector, seed: int, wind_m_s: float, gust_m_s: float) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "look.toml"
        file.write_text(WALK.format(seed=seed, configs=CONFIGS, fps=FPS), encoding="utf-8")
        exercise = load_exercise(file)
        landscape = cached_landscape(exercise.scenario)
        surveyed = replace(sector, terrain=survey(landscape, sector))
        ground = float(landscape.terrain.height_msl_m([sector.frame.point(GroundPosition(*HOME))])[0])
        drone = drone_settings(
            1, home=HOME, home_msl_m=ground, wind=WindSettings(wind_m_s, 240.0, gust_m_s), seed=seed, **SIGMA,
        )
        wind = Wind(wind_m_s, gust_m_s, None, assumed=False)
        return _Walk(exercise, surveyed, landscape, seed).fly(Path(folder), drone, wind)


class _Walk:
    """One walk: the world, the eye, the station, and what is counted."""

    def __init__(self, exercise: Exercise, surveyed: Sector, landscape: Any, seed: int) -> None:
        self._surveyed = surveyed
        self._world = World(exercise.scenario, landscape, seed)
        self._landscape = landscape
        (eye,) = exercise.eyes
        self._eye = LiveEye(eye, landscape, Sight(landscape), surveyed, detector_model(), seed)
        self._lens = eye.camera.lens
        s = eye.settings.sigma
        self._sigma = PoseSigma(s.position_m, s.height_m, s.yaw_deg, s.pitch_deg, s.roll_deg)
        self._station = Station(surveyed)
        self._chance = np.random.default_rng(seed)
        self._pixels: list[Array] = []
        self._found = 0
        self._nearest_m = float("inf")
        self._last: Target | None = None

    def fly(self, folder: Path, drone: AutopilotSettings, wind: Wind) -> Run:
        view = CameraView(self._lens, -39.0, 150.0, 20.0)
        stage = Stage(self._surveyed, folder, {"drone-1": drone}, rate=RATE, wind=wind, views={"drone-1": view})
        stage.run(self._play)
        pixels = np.array(self._pixels)
        size = np.array([self._lens.width_px, self._lens.height_px])
        off = np.abs(pixels - (size - 1) / 2.0) / size
        return Run(
            float((off < THIRD).all(axis=1).mean()), float((off < 0.5).all(axis=1).mean()), self._found / len(pixels),
            float(np.quantile(off.max(axis=1), 0.95)), self._nearest_m,
        )

    async def _play(self, s: Stage) -> None:
        begun_ns = s.clock.utc_ns()

        def passed_s() -> float:
            return (s.clock.utc_ns() - begun_ns) / NS_PER_S

        look_s: float | None = None
        frame, ordered = 10, False
        while look_s is None or passed_s() < look_s + SECONDS:
            await asyncio.sleep(max(0.0, frame / FPS - passed_s()))
            moment = self._world.moment_at(frame / FPS)
            moment = replace(moment, utc_ns=begun_ns + round(moment.t_s * NS_PER_S))
            frame = max(frame + 1, int(passed_s() * FPS))      # a machine that is too slow leaves pictures out
            if moment.t_s > 2.0 and not any(a.actor.kind is Kind.PERSON for a in moment.actors):
                raise RuntimeError(f"he has left the world after {moment.t_s:.0f} s, before the time was over")
            self._turn(s, moment, counts=look_s is not None and passed_s() > look_s + SETTLE_S)
            if not ordered:
                ordered = True
                asyncio.get_running_loop().create_task(self._send(s))
            look = s.dispatcher.looks().get("drone-1")
            if look_s is None and look is not None and look.on_station and self._station.number is not None:
                look_s = passed_s()
            assert passed_s() < 400.0 + SECONDS, "the drone never got there"

    async def _send(self, s: Stage) -> None:
        await s.ordered(FleetOrder("p", "plan", "bench", wish=FlightWish(FlightKind.INVESTIGATE, contact="c1")))
        offer = s.offer("p")
        assert offer is not None and offer.plan is not None and offer.check is not None, offer
        assert offer.check.passed, offer.sentence
        await s.ordered(FleetOrder("l", "launch", "bench", plan_id=offer.plan_id))

    def _turn(self, s: Stage, moment: Moment, *, counts: bool) -> None:
        walker = next(a for a in moment.actors if a.actor.kind is Kind.PERSON)
        true, believed = self._poses(s)
        self._eye.stand = Stand(true, PoseEstimate(believed, self._sigma))
        batch = next((b for b in self._eye.look(moment) if isinstance(b, DetectionBatch)), None)
        if batch is not None:
            self._station.take(batch, (believed.east_m, believed.north_m))
        self._last = self._station.target(self._last, moment.utc_ns) or self._mast(walker, moment)
        if self._last is not None:
            s.target(self._last)
        if counts:
            pixel = project([[walker.east_m, walker.north_m, walker.height_msl_m + BODY_M]], true, self._lens)[0]
            self._pixels.append(np.where(np.isfinite(pixel), pixel, 1e6))
            self._found += batch is not None and bool(batch.detections)
            away = np.array([true.east_m - walker.east_m, true.north_m - walker.north_m])
            self._nearest_m = min(self._nearest_m, float(np.linalg.norm(away)))

    def _mast(self, walker: Any, moment: Moment) -> Target | None:
        """A mast camera has him until the drone does; then nobody but the drone."""
        if self._station.fusion.contacts or self._pixels:
            return None if self._last is None else self._last
        east, north = np.array([walker.east_m, walker.north_m]) + self._chance.normal(0.0, 3.0, 2)
        return Target(
            "c1", moment.utc_ns, ObjectClass.PERSON, self._surveyed.frame.position(float(east), float(north)),
            Covariance2(9.0, 0.0, 9.0), walker.velocity_mps, moment.utc_ns, simulated=True,
        )

    def _poses(self, s: Stage) -> tuple[Pose, Pose]:
        """Of the camera: as the simulation has it, and as the autopilot tells it."""
        flight = s.autopilots["drone-1"].flight
        body = flight.body
        lat, lon = flight.earth.to_degrees(body.east_m, body.north_m)
        east, north = (float(v) for v in self._surveyed.frame.to_enu(lat, lon)[0])
        lat, lon = flight.earth.to_degrees(*body.reported())
        told_east, told_north = (float(v) for v in self._surveyed.frame.to_enu(lat, lon)[0])
        roll, pitch, yaw = body.reported_attitude_deg()
        lean = pitch - body.pitch_deg       # the mount levels by the attitude estimate, and takes its error on
        true = Pose(
            east, north, flight.start.msl_m + body.up_m, body.yaw_deg + flight.gimbal_yaw_deg,
            flight.gimbal_pitch_deg - lean, body.roll_deg - roll,
        )
        told = Pose(
            told_east, told_north, flight.start.msl_m + body.reported_up_m(), yaw + flight.gimbal_yaw_deg,
            flight.gimbal_pitch_deg,
        )
        return true, told


