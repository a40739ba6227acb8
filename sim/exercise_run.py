"""An exercise in one process and in lockstep: world, eyes, station and time go step by step, and nobody waits for anybody.

The same file and seed give the same messages, the same decisions and the same score, bit for bit, however fast the machine
is. The clock of the station is the date of the simulated sky, so that alarm hours mean what they say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from sim.detector_model import detector_model
from sim.exercise_drone import DroneEye
from sim.exercise_eyes import Fault, SimulatedEye, frame_times, to_ns
from sim.exercise_injects import FAULTS, Done, Injects, Over
from sim.exercise_kept import keep_exercise
from sim.exercise_log import ExerciseLog, MapMoment
from sim.exercise_operator import DrilledOperator
from sim.exercise_scenario import Exercise
from sim.exercise_settings import (
    CameraInject,
    DroneInject,
    MessageInject,
    ReportInject,
    SplitInject,
    WeatherInject,
)
from sim.exercise_station import (
    LockstepStation,
    hear_report,
    set_the_station,
    surveyed_sector,
    write_watchlist,
)
from sim.exercise_words import report_for_trainees
from sim.landscape_cache import cached_landscape
from sim.sky import Weather
from sim.truth_log import TruthLog
from sim.truth_sight import Sight
from sim.world import World
from sim.world_scenario import Scenario
from sim.world_state import Landscape, Moment
from station.alarms import TECHNICAL_RULES
from station.picture import Picture
from wire.clock import NS_PER_S, SteppedClock
from wire.keys import NodeKind
from wire.messages import UpBody
from wire.node_words import node_text
from wire.settings import SettingsError

REPORT_EVERY_S = 3.0            # edge.node.SENSOR_EVERY_S, and HEALTH_EVERY_S
HEALTH_EVERY_S = 1.0
TICK_S = 0.5                    # injects, and the truth is written down
THINK_EVERY_S = 1.0             # of the mind, when nothing arrives
# From the exposure to the station's disk: at the least, and the mean of what comes on top. The demo of three cameras on two
# cores took 237 ms in the middle of 430 s, feed included (sim/camera_server.py).
LATENCY_S = (0.12, 0.08)
GROUP_S = 0.025                 # as the inbox commits (station.inbox.COMMIT_EVERY_NS)
PICTURE_EVERY_S = 1.0           # of the map, for the score of the picture


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where the files of one run lie."""

    folder: Path

    @property
    def truth(self) -> Path:
        return self.folder / "truth.db"

    @property
    def log(self) -> Path:
        return self.folder / "exercise.jsonl"

    @property
    def exercise(self) -> Path:
        return self.folder / "exercise.toml"

    @property
    def inbox(self) -> Path:
        return self.folder / "station" / "inbox.db"

    @property
    def mind(self) -> Path:
        return self.folder / "station" / "mind.db"


class LockstepRun:
    """One run. seed: instead of the file's. answers: whether a drilled operator answers alarms."""

    def __init__(
        self, exercise: Exercise, folder: Path, seed: int | None = None, answers: bool = True,
        landscape: Landscape | None = None, sight: Sight | None = None,
    ) -> None:
        if folder.exists() and any(folder.iterdir()):
            raise SettingsError(f"{folder}: is not empty; an earlier run may be kept there. Name another folder.")
        folder.mkdir(parents=True, exist_ok=True)
        self.files = RunFiles(folder)
        self.exercise = exercise
        self.seed = exercise.settings.seed if seed is None else seed
        scenario = _seeded(exercise.scenario, self.seed)
        self._landscape = landscape or cached_landscape(scenario)
        sight = sight or Sight(self._landscape)
        starts_ns = round(exercise.settings.starts.timestamp()) * NS_PER_S
        self._clock = SteppedClock(starts_ns)
        self._begin_ns = starts_ns
        settings = set_the_station(folder, exercise, self._landscape)
        keep_exercise(exercise, folder)
        self.subjects = write_watchlist(settings, exercise, self._clock)
        self._station = LockstepStation(settings, self._clock)
        surveyed = surveyed_sector(settings, exercise)
        model = detector_model()
        self._world = World(scenario, self._landscape, starts_ns)
        flying = {e.id for e in exercise.eyes if e.is_flying and exercise.has_drones}
        self._eyes = [
            (DroneEye if e.is_flying else SimulatedEye)(e, self._landscape, sight, surveyed, model, self.seed)
            for e in exercise.eyes if not e.is_flying or e.id in flying
        ]
        self._injects = Injects(exercise.settings, {n: self._world.path(n) for n in scenario.lines})
        self._operator = DrilledOperator(self.seed) if answers else None
        self._truth = TruthLog(self.files.truth, scenario, self._clock)
        self._log = ExerciseLog(self.files.log)
        self._chance = np.random.default_rng([self.seed, 21])
        self._under_way: list[tuple[float, int, str, NodeKind, UpBody]] = []
        self._now: Moment | None = None
        self._sent = 0
        self._raised: set[str] = set()      # alarms about contacts, so far

    def run(self) -> RunFiles:
        """To the end. Returns where everything lies."""
        e = self.exercise
        self._log.write("began", 0.0, exercise=e.name, seed=self.seed, mode="lockstep", starts_ns=self._begin_ns)
        frames = iter([*frame_times([*self._eyes], e.seconds), (e.seconds + 1.0, -1)])
        frame_s, which = next(frames)
        tick = 0
        try:
            while tick * TICK_S <= e.seconds:
                tick_s = tick * TICK_S
                while frame_s < tick_s and which >= 0:
                    self._frame(frame_s, self._eyes[which])
                    frame_s, which = next(frames)
                self._tick(tick_s, tick)
                tick += 1
            self._arrive(e.seconds + 5.0)
            self._log.write("ended", e.seconds, why="time")
        finally:
            self._truth.close()
            self._station.close()
            self._log.close()
        return self.files

    def _frame(self, at_s: float, eye: SimulatedEye) -> None:
        self._arrive(at_s)
        self._send(at_s, eye, eye.look(self._moment_at(at_s)))

    def _moment_at(self, at_s: float) -> Moment:
        if self._now is None or self._now.t_s != at_s:
            self._now = self._world.moment_at(at_s)
        return self._now

    def _send(self, at_s: float, eye: SimulatedEye, said: list[UpBody]) -> None:
        if not said:
            return
        arrives = at_s + LATENCY_S[0] + float(self._chance.exponential(LATENCY_S[1]))
        kind = NodeKind.DRONE if eye.eye.is_flying else NodeKind.CAMERA
        for body in said:
            self._sent += 1
            self._under_way.append((arrives, self._sent, eye.id, kind, body))

    def _arrive(self, now_s: float) -> None:
        """Everything that is due by now comes in, each at its time."""
        while self._under_way and (first := min(m[0] for m in self._under_way)) <= now_s:
            until = min(first + GROUP_S, now_s)
            together = sorted((m for m in self._under_way if m[0] <= until), key=lambda m: (m[0], m[1]))
            self._under_way = [m for m in self._under_way if m[0] > until]
            self._set_clock(together[-1][0])
            self._station.take([(node, kind, body) for _, _, node, kind, body in together])
            self._station.think()
        self._set_clock(now_s)

    def _set_clock(self, at_s: float) -> None:
        ahead_ns = self._begin_ns + to_ns(at_s) - self._clock.utc_ns()
        if ahead_ns > 0:
            self._clock.advance(ahead_ns / NS_PER_S)

    def _tick(self, at_s: float, tick: int) -> None:
        self._arrive(at_s)
        moment = self._moment_at(at_s)
        self._truth.note(moment)
        for eye in self._eyes:
            if isinstance(eye, DroneEye):
                stand = eye.stand_at(at_s)
                if stand is not None:
                    self._world.tell_drone(eye.id, stand.true.east_m, stand.true.north_m, stand.true.height_msl_m)
            if tick % round(REPORT_EVERY_S / TICK_S) == 0:
                self._send(at_s, eye, eye.report(moment))
            if tick % round(HEALTH_EVERY_S / TICK_S) == 0:
                self._send(at_s, eye, [eye.health(moment, HEALTH_EVERY_S)])
        if tick % round(THINK_EVERY_S / TICK_S) == 0:
            self._station.think()
        self._inject(at_s, moment)
        if tick % round(PICTURE_EVERY_S / TICK_S) == 0:
            self._look_at(at_s, moment)

    def _look_at(self, at_s: float, moment: Moment) -> None:
        self._station.mind.delta()          # as the feed would: nobody is told, and nothing piles up
        picture = self._station.mind.picture()
        self._raised.update(a.id for a in picture.alarms if a.rule not in TECHNICAL_RULES)
        if self._operator is not None:
            self._operator.look(self._station.mind, picture, self._clock.utc_ns())
        self._log.picture(_moment_of(at_s, moment.utc_ns, picture))

    # ---------------------------------------------------------------------------------------------------------- injects

    def _inject(self, at_s: float, moment: Moment) -> None:
        names = {a.name: [b.actor.id for b in self._world.named(a.name)] for a in self.exercise.settings.actors}
        for over in self._injects.over(at_s):
            self._lift(over)
        for done in self._injects.due(at_s, len(self._raised), moment.actors, names):
            self._do(done)

    def _do(self, done: Done) -> None:
        inject, at_s = done.inject, done.at_s
        match inject:
            case WeatherInject():
                self._world.change_weather(_weather(self._world, inject), inject.over_s)
            case SplitInject():
                self._world.split(inject.actor, inject.count, inject.script)
            case CameraInject():
                self._eye(inject.camera).fault = Fault(
                    FAULTS[inject.fault], self._begin_ns + to_ns(at_s), node_text(f"exercise_{inject.fault}")
                )
            case DroneInject():
                eye = self._eye(f"{inject.drone}-eye")
                assert isinstance(eye, DroneEye)
                eye.has_gps, eye.has_link = inject.fault != "gps" and eye.has_gps, inject.fault != "link" and eye.has_link
            case ReportInject():
                if inject.subject in self.subjects:
                    report = report_for_trainees(self.exercise.settings, inject)
                    hear_report(self._station.settings, self.subjects[inject.subject], report, self._clock)
            case MessageInject():
                pass        # it is in the log, which is all that a run with nobody at the screen has
        self._log.write("inject", at_s, id=inject.id, by=done.by, inject=msgspec.to_builtins(inject))

    def _lift(self, over: Over) -> None:
        match over.inject:
            case CameraInject():
                self._eye(over.inject.camera).fault = Fault(since_ns=self._begin_ns + to_ns(over.at_s))
            case DroneInject():
                eye = self._eye(f"{over.inject.drone}-eye")
                assert isinstance(eye, DroneEye)
                eye.has_gps = eye.has_link = True
        self._log.write("inject_over", over.at_s, id=over.inject.id)

    def _eye(self, name: str) -> SimulatedEye:
        return next(e for e in self._eyes if e.id == name)


def _seeded(scenario: Scenario, seed: int) -> Scenario:
    return replace(scenario, settings=msgspec.structs.replace(scenario.settings, seed=seed))


def _weather(world: World, inject: WeatherInject) -> Weather:
    """The weather of now, with what the inject changes."""
    sky = world.sky()
    given = {k: v for k in ("cloud", "rain_mm_h", "visibility_m", "wind_mps") if (v := getattr(inject, k)) is not None}
    now = Weather(0.0, sky.cloud, sky.rain_mm_h, sky.visibility_m, sky.wind_mps, sky.wind_from_deg)
    return msgspec.structs.replace(now, **given)


def _moment_of(at_s: float, utc_ns: int, picture: Picture) -> MapMoment:
    return MapMoment(
        at_s, utc_ns,
        tuple((c.id, c.position.lat_deg, c.position.lon_deg, c.state.value, c.object_class.value) for c in picture.contacts
              if c.state.value != "ended"),
        sum(1 for a in picture.alarms if a.state.value in ("active", "escalated")),
    )
