"""The direction of an exercise: world, cameras, drone and a training station as processes, and a trainer who leads it.

start -> (pause | resume | faster | slower | freeze | inject ID)* -> end. A pause stops the world: people stand where they
are, cameras go on filming. A freeze is a pause that is noted as one for talking, so that a debrief does not blame the time.
Where it waits for the trainer's word, the world stands at its first moment, and no drone takes off, until `start`.
When any process dies the exercise ends, with what was recorded; nothing is started again behind the trainees' backs. The
station is of the training realm, with keys, stores and ports of its own: sim.director_stage.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
from pymavlink import mavutil

from models.registry import resolve_weights
from sim.crew import Crew
from sim.debrief_sentences import ending
from sim.demo_settings import is_free, port_of
from sim.desk_words import refused
from sim.director_orders import OrderSocket
from sim.director_stage import AUTOPILOT, DIRECTION, MODEL_FLIES, ExerciseStage, set_the_exercise
from sim.director_view import (
    AlarmNow,
    DirectorView,
    MapContact,
    Phase,
    ProcessView,
    SaidView,
    TruthNow,
    inject_view,
    truth_of,
)
from sim.exercise_debrief import debrief, summary
from sim.exercise_injects import BY_HAND, Done, Injects, Over
from sim.exercise_log import ExerciseLog, MapMoment
from sim.exercise_scenario import Exercise
from sim.exercise_settings import (
    CameraInject,
    DroneInject,
    MessageInject,
    ReportInject,
    SplitInject,
    WeatherInject,
)
from sim.exercise_station import hear_report
from sim.exercise_words import about, in_languages, report_for_trainees
from sim.landscape_cache import cached_landscape
from sim.sitl import Flown
from sim.world import ids_by_name
from sim.world_feed import WorldFeed
from sim.world_orders import Pace, Split, TurnWeather, WorldOrders
from sim.world_paths import Path as WorldPath
from sim.world_process import WorldProcessSettings
from station.alarms import TECHNICAL_RULES
from station.picture import AlarmState, ContactState, Picture
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import log_to_stderr, stop_on_signals
from wire.settings import SettingsError, load_settings

UP_WITHIN_S = 300.0             # a process that dies says so at once; one on a busy machine is waited for
EYES_WITHIN_S = 300.0
DRAIN_S = 8.0
TURN_MS = 200
PICTURE_EVERY_S = 1.0
SAID_KEPT = 20
PACES = (0.25, 0.5, 1.0, 2.0, 4.0)

_log = logging.getLogger("trailwatch.exercise")


@dataclass(frozen=True, slots=True)
class DirectorRequest:
    """What was asked for on the command line."""

    exercise: Exercise
    folder: Path
    weights: Path | None
    headless: bool
    waits: bool = False         # for the trainer's word, when everybody sees
    flown: Flown = MODEL_FLIES


def direct(request: DirectorRequest) -> int:
    """Run an exercise to its end, and print what came of it. Returns 0, or 1 when a process died."""
    log_to_stderr()
    weights = resolve_weights("yolo11n", request.weights, training=True).resolve()
    clock = WallClock()
    stop = stop_on_signals()
    landscape = cached_landscape(request.exercise.scenario)
    stage = set_the_exercise(request.folder, request.exercise, landscape, weights, clock, request.flown)
    lines = {n: WorldPath(n, line, landscape.terrain) for n, line in (landscape.trails | landscape.roads).items()}
    director = Director(stage, request.exercise, lines, clock, request.headless, request.waits)
    crashed = director.run(stop)
    if not director.has_begun:
        print(f"the exercise did not begin; {crashed or 'it was ended before'}; logs: {stage.folder / 'logs'}", flush=True)
        return 1
    print(summary(debrief(stage.folder)), flush=True)
    print(f"\neverything of this run is in {stage.folder}\n./trailwatch exercise debrief {stage.folder}", flush=True)
    return 1 if crashed else 0


class Director:
    """Leads one exercise. `run` from the first process to the last; orders come over the run's socket."""

    def __init__(
        self, stage: ExerciseStage, exercise: Exercise, lines: dict[str, WorldPath], clock: Clock, headless: bool,
        waits: bool = False,
    ) -> None:
        self._stage = stage
        self._exercise = exercise
        self._clock = clock
        self._headless = headless
        self._waits = waits
        self._phase = Phase.STARTING
        self._missing: list[str] = []
        self._starts_ns = 0
        self._picture: Picture | None = None
        self._crew = Crew(stage.folder / "logs", clock)
        self._log = ExerciseLog(stage.folder / "exercise.jsonl")
        self._injects = Injects(exercise.settings, lines)
        self._names = ids_by_name(exercise.scenario)
        self._name_of = {i: name for name, ids in self._names.items() for i in ids}
        self._world: WorldOrders | None = None
        self._feed: WorldFeed | None = None
        self._web = httpx.Client(base_url=stage.address, timeout=5.0)
        self._raised: set[str] = set()
        self._pace = 1.0
        self._standing = False
        self._frozen = False
        self._ended = ""
        self._at_s = 0.0
        self._turned_ns = 0
        self._pictured_s = -PICTURE_EVERY_S
        self._said: list[SaidView] = []
        self._orders = OrderSocket(stage.folder)

    def run(self, stop: threading.Event) -> str:
        """To the end. Returns why it ended early, empty where it did not."""
        crashed = ""
        try:
            self._start(stop)
            while not stop.is_set() and not self._ended:
                self._hear()
                dead = self._dead()
                if dead:
                    crashed = dead["detail"]
                    self._log.write("crashed", self._at_s, **dead)
                    break
                self._turn()
                if self._at_s >= self._exercise.seconds:
                    self._ended = "time"
            if not crashed and self._starts_ns:
                self._log.write("ended", self._at_s, why=self._ended or "interrupted")
        except SettingsError as error:
            self._log.write("crashed", self._at_s, detail=str(error))        # the list of runs says why
            raise
        finally:
            self._phase = Phase.ENDING
            self._stop_all()
            self._orders.close()
        return crashed

    @property
    def has_begun(self) -> bool:
        return self._starts_ns > 0

    def _hear(self) -> None:
        self._orders.turn(TURN_MS, self.order)

    # --------------------------------------------------------------------------------------------------- start and stop

    def _start(self, stop: threading.Event) -> None:
        s = self._stage
        name, *arguments = s.station
        self._crew.start(name, *arguments)
        self._wait_for_page(stop)
        for name, *arguments in (*s.views, *s.nodes):
            self._crew.start(name, *arguments)
        if not self._headless:
            self._welcome()
        self._wait_for_eyes(stop)
        if stop.is_set() or self._ended:
            return
        # An aircraft needs most of a minute to know where it is; what commands it begins with the exercise.
        for name, *arguments in (s.world, *(f for f in s.flight if f[0] == AUTOPILOT)):
            self._crew.start(name, *arguments)
        self._world = WorldOrders(s.world_orders)
        if self._waits:
            self._world.send(Pace(0.0))     # it waits in the socket until the world is there
        world = load_settings(s.folder / "world.toml", WorldProcessSettings)
        self._feed = WorldFeed(world.endpoint)
        until_ns = self._clock.monotonic_ns() + round(UP_WITHIN_S * NS_PER_S)
        while not self._feed.wait(self._clock, 0.5) and not stop.is_set():
            dead = self._dead()
            if dead or self._clock.monotonic_ns() > until_ns:
                raise SettingsError(f"exercise: {dead or f'the world said nothing in {UP_WITHIN_S:.0f} s'}")
        self._log_in()
        self._phase = Phase.READY
        if not self._waits:
            self._begin()

    def _begin(self) -> None:
        """The trainer's word, or at once: what is counted begins now, not with the machine's start."""
        assert self._world is not None
        if self._waits:
            self._world.send(Pace(self._pace))
        for name, *arguments in self._stage.flight:
            if not self._crew.has(name):
                self._crew.start(name, *arguments)
        self._starts_ns = self._clock.utc_ns()
        self._log.write(
            "began", 0.0, exercise=self._exercise.name, seed=self._exercise.settings.seed, mode="processes",
            starts_ns=self._starts_ns,
        )
        self._turned_ns = self._clock.monotonic_ns()
        self._phase = Phase.GOING

    def _wait_for_page(self, stop: threading.Event) -> None:
        until_ns = self._clock.monotonic_ns() + round(UP_WITHIN_S * NS_PER_S)
        while self._clock.monotonic_ns() < until_ns and not stop.is_set() and not self._ended:
            words = self._crew.failed_at_start("station")
            if words is not None:
                raise SettingsError(f"exercise: the station did not start: {words}")
            dead = self._dead()
            if dead:
                raise SettingsError(f"exercise: {dead} before it began; see {self._crew.log_file('station')}")
            try:
                if self._web.get("/login").status_code == 200:
                    return
            except httpx.HTTPError:
                self._hear()
        if stop.is_set() or self._ended:
            return
        log = self._crew.log_file("station")
        raise SettingsError(f"exercise: the page at {self._stage.address} did not answer in {UP_WITHIN_S:.0f} s; see {log}")

    def _wait_for_eyes(self, stop: threading.Event) -> None:
        """Until every node has reported and every camera publishes: before that nothing should happen."""
        until_ns = self._clock.monotonic_ns() + round(EYES_WITHIN_S * NS_PER_S)
        while not stop.is_set() and not self._ended:
            dead = self._dead()
            if dead:
                raise SettingsError(f"exercise: {dead} before it began")
            heard = self._heard()
            missing = [e for e in self._stage.eyes if e not in heard]
            missing += [f"the camera of {n}" for n, at in self._stage.frames.items() if is_free(port_of(at))]
            self._missing = missing
            if not missing:
                return
            if self._clock.monotonic_ns() > until_ns:
                logs = self._stage.folder / "logs"
                raise SettingsError(f"exercise: not there in {EYES_WITHIN_S:.0f} s: {', '.join(missing)}; see {logs}")
            self._hear()

    def _heard(self) -> set[str]:
        try:
            with sqlite3.connect(f"file:{self._stage.settings.inbox_db}?mode=ro", uri=True) as inbox:
                return {node for (node,) in inbox.execute("select distinct node from arrivals where kind = 'health'")}
        except sqlite3.OperationalError:
            return set()

    def _stop_all(self) -> None:
        """Nodes first, so that what they saw is stored; then everybody."""
        members = self._crew
        try:
            for name in self._stage.eyes:
                if members.has(name):
                    members.stop(name)
            if members.has("station") and members.pid("station") is not None:
                self._drain()
        finally:
            self._continue_autopilot()
            members.stop()
            self._log.close()
            self._web.close()
            if self._world is not None:
                self._world.close()
            if self._feed is not None:
                self._feed.close()

    def _drain(self) -> None:
        until_ns = self._clock.monotonic_ns() + round(DRAIN_S * NS_PER_S)
        while self._clock.monotonic_ns() < until_ns:
            try:
                with sqlite3.connect(f"file:{self._stage.settings.inbox_db}?mode=ro", uri=True) as inbox:
                    newest = inbox.execute("select coalesce(max(id), 0) from arrivals").fetchone()[0]
                with sqlite3.connect(f"file:{self._stage.settings.mind_db}?mode=ro", uri=True) as mind:
                    place = mind.execute("select arrival from place").fetchone()[0]
            except sqlite3.OperationalError:
                return
            if place >= newest:
                return
            self._clock.sleep(0.2)

    def _dead(self) -> dict[str, str]:
        """Who has died, for the log; empty while all live. The station starts its own processes again: that counts too."""
        for name in self._crew.names:
            if self._crew.pid(name) is None:
                words = self._crew.failed_at_start(name) or "said nothing"
                return ending("debrief.process_ended", name=name, said=words[-200:])
        try:
            restarts = json.loads(self._stage.settings.restarts_file.read_text(encoding="utf-8"))
            fallen = [name for name, count in restarts.items() if count]
        except (OSError, ValueError, AttributeError):
            fallen = []
        return ending("debrief.process_restarted", name=fallen[0]) if fallen else {}

    # ------------------------------------------------------------------------------------------------------------ course

    def _turn(self) -> None:
        if self._phase is Phase.READY:
            return
        now_ns = self._clock.monotonic_ns()
        if not self._standing:
            self._at_s += (now_ns - self._turned_ns) / NS_PER_S * self._pace
        self._turned_ns = now_ns
        if self._at_s - self._pictured_s >= PICTURE_EVERY_S:
            self._pictured_s = self._at_s
            self._look()
        moment = self._feed.moment_at(self._clock.utc_ns()) if self._feed is not None else None
        for over in self._injects.over(self._at_s):
            self._lift(over)
        states = moment.actors if moment is not None else ()
        for done in self._injects.due(self._at_s, len(self._raised), states, self._names):
            self._do(done)

    def _log_in(self) -> None:
        password = self._stage.passwords[DIRECTION]
        answer = self._web.post("/api/login", json={"name": DIRECTION, "password": password})
        if answer.status_code != 200:
            raise SettingsError(f"exercise: the direction may not look at the map: {answer.text[:200]}")

    def _look(self) -> None:
        """What the map shows, for the score of the picture."""
        try:
            answer = self._web.get("/api/picture")
            picture = msgspec.json.decode(answer.content, type=Picture)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            _log.debug("no picture of the map: %s", error)
            return
        self._picture = picture
        self._raised.update(a.id for a in picture.alarms if a.rule not in TECHNICAL_RULES)
        contacts = tuple(
            (c.id, c.position.lat_deg, c.position.lon_deg, c.state.value, c.object_class.value)
            for c in picture.contacts if c.state.value != "ended"
        )
        waiting = sum(1 for a in picture.alarms if a.state.value in ("active", "escalated"))
        self._log.picture(MapMoment(round(self._at_s, 3), picture.at_ns, contacts, waiting))

    # ------------------------------------------------------------------------------------------------------------ orders

    def order(self, text: str) -> str:
        """Do what a trainer says, and answer in a line. Raises SettingsError for what cannot be."""
        word, _, rest = text.partition(" ")
        match word:
            case "state":
                return self._state()
            case "look":
                return msgspec.json.encode(self.view()).decode("utf-8")
            case "truth":
                return msgspec.json.encode(self._truth()).decode("utf-8")
            case "start" if self._phase is Phase.READY:
                self._begin()
            case "pause" | "freeze":
                self._stand(True, "frozen" if word == "freeze" else "paused")
            case "resume" | "start":
                self._stand(False, "resumed")
            case "faster" | "slower":
                self._change_pace(1 if word == "faster" else -1)
            case "inject":
                self._do(self._injects.by_hand(rest.strip(), self._at_s, BY_HAND))
            case "end":
                self._ended = BY_HAND
            case _:
                raise SettingsError(f'"{word}": say pause, resume, faster, slower, freeze, inject ID, end or state')
        return self._state()

    def _state(self) -> str:
        how = "stands still" if self._standing else f"goes on at {self._pace:g} times"
        waiting = ", ".join(i.id for i in self._injects.waiting()) or "none"
        said = f"; last word: {self._said[-1].says}" if self._said else ""
        if self._phase is Phase.READY:
            how = "everybody sees; say start"
        return (
            f"{self._exercise.name}: {self._at_s:.0f} of {self._exercise.seconds:.0f} s, {how}; "
            f"{len(self._raised)} alarms; injects to come: {waiting}{said}"
        )

    def view(self) -> DirectorView:
        """Everything that a trainer leads by, except the truth."""
        picture, e, began = self._picture, self._exercise, self._starts_ns
        alarms = picture.alarms if picture is not None else ()
        contacts = picture.contacts if picture is not None else ()
        return DirectorView(
            e.name, self._phase, round(self._at_s, 1), e.seconds, self._pace, self._frozen, not e.has_drones,
            self._stage.address, {n: p for n, p in self._stage.passwords.items() if n != DIRECTION}, tuple(self._missing),
            tuple(inject_view(i, about(e.settings, i), self._injects.done.get(i.id)) for i in e.settings.injects),
            tuple(ProcessView(n, self._crew.pid(n) is not None) for n in self._crew.names), tuple(self._said[-SAID_KEPT:]),
            tuple(AlarmNow(a.id, a.rule, a.priority, a.state.value, a.corridor or "",
                           round((a.raised_ns - began) / NS_PER_S, 1)) for a in alarms if a.state is not AlarmState.CLOSED),
            tuple(MapContact(c.id, c.position.lat_deg, c.position.lon_deg, c.object_class.value)
                  for c in contacts if c.state is not ContactState.ENDED),
            began, e.settings.exercise.title, e.settings.words,
        )

    def _truth(self) -> TruthNow:
        moment = self._feed.moment_at(self._clock.utc_ns()) if self._feed is not None else None
        return truth_of(moment, self._at_s, self._name_of, self._exercise.sector)

    def _stand(self, still: bool, what: str) -> None:
        if self._world is None or self._phase not in (Phase.GOING, Phase.STANDING):
            raise refused("not_begun")
        self._phase = Phase.STANDING if still else Phase.GOING
        self._frozen = what == "frozen"
        self._standing = still
        self._world.send(Pace(0.0 if still else self._pace))
        self._log.write(what, self._at_s, utc_ns=self._clock.utc_ns())

    def _change_pace(self, step: int) -> None:
        if self._exercise.has_drones:
            raise refused("own_pace")
        if self._world is None or self._phase not in (Phase.GOING, Phase.STANDING):
            raise refused("not_begun")
        index = PACES.index(self._pace) + step
        if not 0 <= index < len(PACES):
            raise refused("fastest" if step > 0 else "slowest", pace=f"{self._pace:g}")
        self._pace = PACES[index]
        if not self._standing:
            self._world.send(Pace(self._pace))
        self._log.write("pace", self._at_s, pace=self._pace, utc_ns=self._clock.utc_ns())

    # ----------------------------------------------------------------------------------------------------------- injects

    def _do(self, done: Done) -> None:
        inject = done.inject
        if self._world is None or not self._starts_ns:
            raise refused("not_begun")
        match inject:
            case WeatherInject():
                self._world.send(TurnWeather(
                    inject.over_s, inject.cloud, inject.rain_mm_h, inject.visibility_m, inject.wind_mps
                ))
            case SplitInject():
                self._world.send(Split(inject.actor, inject.count, inject.script))
            case CameraInject():
                self._stage.fault_file(inject.camera).write_text(inject.fault, encoding="utf-8")
            case DroneInject():
                self._fail_drone(inject.fault, True)
            case ReportInject():
                if inject.subject in self._stage.subjects:
                    subject = self._stage.subjects[inject.subject]
                    report = report_for_trainees(self._exercise.settings, inject)
                    hear_report(self._stage.settings, subject, report, self._clock)
                self._say(about(self._exercise.settings, inject))
            case MessageInject():
                self._say(about(self._exercise.settings, inject))
        self._log.write("inject", done.at_s, id=inject.id, by=done.by, inject=msgspec.to_builtins(inject))

    def _lift(self, over: Over) -> None:
        match over.inject:
            case CameraInject():
                self._stage.fault_file(over.inject.camera).unlink(missing_ok=True)
            case DroneInject():
                self._fail_drone(over.inject.fault, False)
        self._log.write("inject_over", over.at_s, id=over.inject.id)

    def _fail_drone(self, fault: str, fails: bool) -> None:
        """gps: the simulation's own switch, as with ArduPilot SITL. link: the aircraft falls silent."""
        if fault == "gps":
            link = mavutil.mavlink_connection(f"tcp:127.0.0.1:{self._stage.autopilot_port}", source_system=254)
            try:
                for _ in range(3):
                    link.mav.param_set_send(
                        1, 1, b"SIM_GPS1_ENABLE", 0.0 if fails else 1.0, mavutil.mavlink.MAV_PARAM_TYPE_REAL32
                    )
                    self._clock.sleep(0.1)
            finally:
                link.close()
            return
        pid = self._crew.pid(AUTOPILOT) if self._crew.has(AUTOPILOT) else None
        if pid is None:
            self._say(in_languages("trainer.link_not_cut"))
            return
        os.kill(pid, signal.SIGSTOP if fails else signal.SIGCONT)

    def _continue_autopilot(self) -> None:
        """One that was stopped hears no SIGTERM."""
        pid = self._crew.pid(AUTOPILOT) if self._crew.has(AUTOPILOT) else None
        if pid is not None:
            os.kill(pid, signal.SIGCONT)

    def _say(self, words: dict[str, str]) -> None:
        """In the languages of the screen; the terminal's is English."""
        self._said.append(SaidView(round(self._at_s, 1), words["en"], words))
        print(f"  direction: {words['en']}", file=sys.stderr, flush=True)

    def _welcome(self) -> None:
        s = self._stage
        accounts = "\n".join(
            f"             {name} / {password}" for name, password in s.passwords.items() if name != DIRECTION
        )
        print(
            f"\n  {self._exercise.settings.exercise.title}: {self._exercise.settings.trainees.brief}\n"
            f"  map        {s.address}\n"
            f"  log in as  (one-time passwords)\n{accounts}\n"
            f"  lead it    ./trailwatch exercise say {s.folder} pause|resume|faster|slower|freeze|inject ID|end|state\n"
            f"  may use    map, alarms, {', '.join(self._exercise.settings.trainees.may_use) or 'nothing else'}\n",
            file=sys.stderr, flush=True,
        )
