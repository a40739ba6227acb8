"""The runs of a desk: which there are, which goes on, starting one, and the pages of one that is over, for its replay."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sim.debrief_sentences import ended_because
from sim.demo_settings import filled, free_port, is_free
from sim.desk_words import refused
from sim.director_orders import LINK, tell
from sim.director_stage import MODEL_FLIES, TRAINER
from sim.director_view import DirectorView, TruthNow
from sim.exercise_debrief import Debrief, debrief, read_earlier
from sim.exercise_log import NO_END, read_log
from sim.exercise_scenario import library, load_exercise
from sim.exercise_settings import InLanguages
from sim.sitl import Flown
from station.access import set_password
from station.sentences import Sentence
from station.settings import load_station_settings
from wire.clock import NS_PER_S, Clock
from wire.process import DIE_WITH_PARENT
from wire.settings import SettingsError

COMMAND_LINE = Path(__file__).resolve().parents[1] / "ground_station.py"
KEPT_DEBRIEF = "debrief.json"
STATION = "station.toml"
SCORED_EVERY_S = 10.0           # of a running exercise: a score takes a second or two of a core


class RunView(msgspec.Struct, frozen=True):
    """A run that lies in the desk's folder. state: running, over, crashed, not_begun. began_ns: 0 before.

    says: of one that broke off, why, as a sentence of the language files.
    """

    id: str
    exercise: str
    title: str
    state: str
    began_ns: int
    seconds: float
    detail: str
    words: InLanguages
    says: Sentence | None = None


class _Title(msgspec.Struct, frozen=True):
    title: str = ""


class _Told(msgspec.Struct, frozen=True):
    """What the list says of a run, of all that its exercise's file has."""

    exercise: _Title = _Title()
    words: InLanguages = InLanguages()


class Running(msgspec.Struct, frozen=True):
    """The run that goes on. view: None while the director prepares, or stops."""

    id: str
    exercise: str
    preparing: bool
    view: DirectorView | None


class Review(msgspec.Struct, frozen=True):
    """The station of a run that is over, as far as it shows what was. password: one-time, of the account."""

    address: str
    account: str
    password: str


class Runs:
    """One desk's. Methods block (sockets, SQLite): call them from a thread. One exercise runs at a time."""

    def __init__(self, folder: Path, exercises: Path, clock: Clock, flown: Flown = MODEL_FLIES) -> None:
        self._folder = folder
        self._exercises = exercises
        self._clock = clock
        self._flown = flown
        self._lock = threading.Lock()
        self._scoring = threading.Lock()
        self._director: subprocess.Popen[bytes] | None = None
        self._started: tuple[str, str] = ("", "")           # run and exercise, of the director above
        self._starter = ThreadPoolExecutor(1, "trailwatch-review")
        self._review: subprocess.Popen[bytes] | None = None
        self._so_far: tuple[str, int, Debrief] | None = None

    def files(self) -> list[Path]:
        """The trainer's own exercises, then the library's."""
        return [*sorted(self._exercises.glob("*.toml")), *library()]

    def file(self, name: str) -> Path:
        """Of an exercise, by its file's name. Raises SettingsError."""
        found = next((f for f in self.files() if f.stem == name), None)
        if found is None:
            raise refused("no_exercise", before="exercise: ", name=name)
        return found

    def is_own(self, file: Path) -> bool:
        return file.parent == self._exercises

    # ------------------------------------------------------------------------------------------------------ what runs

    def start(self, exercise: str) -> str:
        """Start a director; the id of its run. Raises SettingsError where one runs, or the exercise is none."""
        file = self.file(exercise)
        with self._lock:
            going = self._going()
            if going:
                raise refused("running", before="exercise: ", run=going)
            at = datetime.fromtimestamp(self._clock.utc_ns() / NS_PER_S, UTC)
            run = at.strftime("%Y%m%d-%H%M%S")
            log = (self._folder / f"{run}.log").open("wb")
            try:
                self._director = subprocess.Popen(
                    [sys.executable, str(COMMAND_LINE), "exercise", "run", str(file), "--keep", str(self._folder / run),
                     "--headless", "--wait", *self._flown_by(file)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                    env={k: v for k, v in os.environ.items() if k != DIE_WITH_PARENT} | {"YOLO_AUTOINSTALL": "false"},
                )
            finally:
                log.close()
            self._started = run, exercise
        return run

    def _flown_by(self, file: Path) -> tuple[str, ...]:
        if not self._flown.is_real or not load_exercise(file).has_drones:
            return ()
        return ("--connect", self._flown.connect) if self._flown.connect else ("--sitl", str(self._flown.sitl))

    def _going(self) -> str:
        """The run that goes on, started here or by a desk before this one; empty for none."""
        if self._director is not None:
            if self._director.poll() is None:
                return self._started[0]
            self._director = None
        for link in self._folder.glob(f"*/{LINK}"):
            with contextlib.suppress(SettingsError):
                tell(link.parent, "state", 1_000)
                return link.parent.name
        return ""

    def running(self) -> Running | None:
        with self._lock:
            run = self._going()
        if not run:
            return None
        started, exercise = self._started
        try:
            view = msgspec.json.decode(tell(self._folder / run, "look"), type=DirectorView)
        except (SettingsError, msgspec.DecodeError):
            is_preparing = not (self._folder / run / "exercise.jsonl").exists()
            return Running(run, exercise if started == run else "", is_preparing, None)
        return Running(run, view.exercise, False, view)

    def order(self, order: str) -> str:
        """Tell the running exercise something. Raises SettingsError."""
        with self._lock:
            run = self._going()
        if not run:
            raise refused("none_running", before="exercise: ")
        if order == "end" and not (self._folder / run / LINK).exists() and self._director is not None:
            self._director.terminate()      # it still prepares, and hears nobody
            return ""
        return tell(self._folder / run, order)

    def truth(self) -> TruthNow:
        return msgspec.json.decode(self.order("truth"), type=TruthNow)

    def so_far(self) -> Debrief | None:
        """The score of the running exercise up to now, a few seconds old at the most; None before there is any."""
        with self._lock:
            run = self._going()
        if not run:
            return None
        with self._scoring:
            now_ns, kept = self._clock.monotonic_ns(), self._so_far
            if kept is not None and kept[0] == run and now_ns - kept[1] < SCORED_EVERY_S * NS_PER_S:
                return kept[2]
            try:
                if not any(e["what"] == "began" for e in read_log(self._folder / run / "exercise.jsonl")):
                    return None
                found = debrief(self._folder / run, goes_on=True)
            except SettingsError:
                return None
            self._so_far = run, self._clock.monotonic_ns(), found
            return found

    # ------------------------------------------------------------------------------------------------------- what was

    def folder_of(self, run: str) -> Path:
        """Raises SettingsError for a run that is none of ours: no name climbs out of the folder."""
        if run not in {f.name for f in self._folder.iterdir() if f.is_dir()}:
            raise refused("no_run", before="exercise: ", run=run)
        return self._folder / run

    def all(self) -> list[RunView]:
        """Newest first."""
        with self._lock:
            going = self._going()
        folders = sorted((f for f in self._folder.iterdir() if f.is_dir()), key=lambda f: f.name, reverse=True)
        return [view for f in folders if (view := self._view(f, f.name == going)) is not None]

    def _view(self, run: Path, is_going: bool) -> RunView | None:
        # Thousands of lines of pictures lie between the first and the last: they are read past, not decoded.
        try:
            lines = (run / "exercise.jsonl").read_bytes().splitlines()
        except OSError:
            return None
        began = next((e for line in lines[:20] if (e := _entry(line)).get("what") == "began"), {})
        last = next((e for line in reversed(lines) if (e := _entry(line))), {})     # a crash may have cut a line short
        state = "running" if is_going else "not_begun" if not began else "over" if last.get("what") == "ended" else "crashed"
        name = str(began.get("exercise", ""))
        told = _told(run / "exercise.toml")
        detail = str(last.get("detail") or last.get("why") or (NO_END if state == "crashed" else ""))
        return RunView(
            run.name, name, told.exercise.title or name, state, int(str(began.get("starts_ns", 0))),
            float(str(last.get("at_s", 0.0))), detail, told.words,
            Sentence("debrief.crash", ended_because([last], detail)) if state == "crashed" else None,
        )

    def debrief(self, run: str, compare: tuple[str, ...] = ()) -> Debrief:
        """Of a run that is over: worked out once, and kept. Raises SettingsError."""
        folder = self.folder_of(run)
        with self._lock:
            if self._going() == run:
                raise refused("not_over", before="exercise: ")
        kept = folder / KEPT_DEBRIEF
        if compare:
            return debrief(folder, [read_earlier(self.folder_of(r)) for r in compare])
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(kept.read_bytes(), type=Debrief)
        with self._scoring:
            found = debrief(folder)
        kept.write_bytes(msgspec.json.encode(found))
        return found

    def review(self, run: str) -> Review:
        """Serve the pages of a run's station, and nothing else of it: no mind that could raise alarms about what is over."""
        config = self.folder_of(run) / STATION
        settings = load_station_settings(config)
        with self._lock:
            if self._going():
                raise refused("another", before="exercise: ")
            self._close_review()
            if not is_free(settings.web.port):
                config.write_text(filled(config, {("web", "port"): free_port()}), encoding="utf-8")
                settings = load_station_settings(config)
            word = set_password(settings, TRAINER)
            # A child dies with the thread that started it, and the threads of requests come and go.
            self._review = self._starter.submit(_serve_pages, config).result()
        until_ns = self._clock.monotonic_ns() + 30 * NS_PER_S
        while is_free(settings.web.port) and self._clock.monotonic_ns() < until_ns:
            self._clock.sleep(0.1)
        return Review(f"http://127.0.0.1:{settings.web.port}", TRAINER, word)

    def close_review(self) -> None:
        with self._lock:
            self._close_review()
        self._starter.shutdown()

    def _close_review(self) -> None:
        if self._review is not None and self._review.poll() is None:
            self._review.terminate()
            self._review.wait(15)
        self._review = None


def _serve_pages(config: Path) -> subprocess.Popen[bytes]:
    with (config.parent / "logs" / "review.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(COMMAND_LINE), "serve", "--only", "web", "--config", str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env=os.environ | {DIE_WITH_PARENT: str(os.getpid())},
        )


def _entry(line: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


def _told(file: Path) -> _Told:
    """Nothing of a run that has no such file, or one that is no exercise any more: it is listed all the same."""
    try:
        return msgspec.toml.decode(file.read_bytes(), type=_Told)
    except (OSError, ValueError, msgspec.MsgspecError):
        return _Told()
