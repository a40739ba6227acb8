"""The main job, start to end, on this machine: two cameras, one drone, a ground station, all as separate processes.

Everything here is training: the keys, the store, the pictures' marks. The cameras watch the simulated world, whose truth the
result is scored against, or play a recording.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import msgspec

from models.registry import resolve_weights
from sim.crew import Crew
from sim.demo_feed import FeedListener
from sim.demo_progress import Progress
from sim.demo_report import DemoReport, add_up
from sim.demo_settings import is_free, port_of
from sim.demo_stage import LISTENER, Stage, set_the_stage
from station.settings import StationSettings
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import log_to_stderr, stop_on_signals
from wire.settings import SettingsError

UP_WITHIN_S = 120.0             # a cold start of Python, torch and three databases on two busy cores
EYES_WITHIN_S = 240.0           # three nodes load torch and three cameras compile shaders, side by side
DRAIN_WITHIN_S = 10.0

_log = logging.getLogger("trailwatch.demo")


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """What was asked for on the command line. video: None watches the world. seconds: None runs until interrupted."""

    video: Path | None
    weights: Path | None
    headless: bool
    seconds: float | None
    as_json: bool
    keep: Path | None


def run(request: DemoRequest) -> int:
    """Run the demo and print what it did. Raises SettingsError when there is nothing to watch, or nothing to watch with."""
    log_to_stderr()
    video = _video(request.video) if request.video else None
    clock = WallClock()
    progress = Progress(clock)
    progress.stage("looking for detector weights")
    weights = resolve_weights("yolo11n", request.weights, training=True).resolve()
    progress.stage(f"using {weights.name}; making keys and settings")
    folder = request.keep.resolve() if request.keep else Path(tempfile.mkdtemp(prefix="trailwatch-"))
    stop = stop_on_signals()
    crew = Crew(folder / "logs", clock)
    try:
        stage = set_the_stage(folder, video, weights, clock)
        listener = FeedListener(stage.address, LISTENER, stage.listener_password, clock)
        began = clock.monotonic_ns()
        progress.stage("starting the ground station")
        crew.start("station", "serve", "--config", str(stage.settings.file))
        wait_for_page(crew, stage.address, clock)
        listener.start()
        progress.stage(f"the map answers at {stage.address}; starting cameras and detectors (up to a minute on two cores)")
        for name, *arguments in stage.eyes:
            crew.start(name, *arguments)
        _wait_for_eyes(crew, stage, stop, clock)
        progress.stage("every camera sends frames")
        for name, *arguments in stage.scene:
            crew.start(name, *arguments)
        _welcome(request, stage, progress)
        watching = clock.monotonic_ns()
        while not stop.is_set():
            if request.seconds is not None and clock.monotonic_ns() - watching >= request.seconds * NS_PER_S:
                break
            crew.watch()
            stop.wait(0.2)
        crew.stop(*stage.nodes)
        drain(stage.settings, clock)
        crew.stop(*(name for name, *_ in (*stage.eyes, *stage.scene)))
        listener.stop()
        restarts = crew.restarts + station_restarts(stage.settings)
        seconds = (clock.monotonic_ns() - began) / NS_PER_S
        crew.stop("station")
        report = add_up(stage, listener.heard, restarts, seconds)
        _tell(request, report, folder)
    finally:
        crew.stop()
        if request.keep is None and (request.headless or request.as_json):
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _video(given: Path) -> Path:
    if not given.is_file():
        raise SettingsError(f"demo: --video {given}: there is no such file.")
    capture = cv2.VideoCapture(str(given))
    readable = capture.isOpened() and capture.read()[0]
    capture.release()
    if not readable:
        raise SettingsError(f"demo: --video {given}: no picture can be read from it. Give a video that OpenCV can decode.")
    return given.resolve()


def wait_for_page(crew: Crew, address: str, clock: Clock, within_s: float = UP_WITHIN_S) -> None:
    until_ns = clock.monotonic_ns() + round(within_s * NS_PER_S)
    while clock.monotonic_ns() < until_ns:
        last_words = crew.failed_at_start("station")
        if last_words is not None:
            raise SettingsError(f"demo: the station did not start: {last_words}")
        try:
            if httpx.get(f"{address}/login", timeout=2.0).status_code == 200:
                return
        except httpx.HTTPError:
            clock.sleep(0.2)
    log = crew.log_file("station")
    raise SettingsError(f"demo: the page at {address} did not answer within {within_s:.0f} s; see {log}")


def _wait_for_eyes(crew: Crew, stage: Stage, stop: threading.Event, clock: Clock) -> None:
    """Until every node has reported to the station and every camera of the world can be looked through.

    Before that nothing should happen that they are there to see: what is counted begins here.
    """
    until_ns = clock.monotonic_ns() + round(EYES_WITHIN_S * NS_PER_S)
    while not stop.is_set():
        crew.watch()
        heard = _heard(stage.settings)
        frames = stage.world.frames if stage.world else {}
        missing = [node for node in stage.nodes if node not in heard]
        missing += [f"the camera of {node}" for node, endpoint in frames.items() if is_free(port_of(endpoint))]
        if not missing:
            return
        if clock.monotonic_ns() > until_ns:
            raise SettingsError(
                f"demo: not everybody who sees was there within {EYES_WITHIN_S:.0f} s: {', '.join(missing)}. Their words "
                f"are in {crew.log_file('station').parent}."
            )
        stop.wait(0.2)


def _heard(settings: StationSettings) -> set[str]:
    """Nodes that have told of their health; none while the inbox is still making its database."""
    try:
        with sqlite3.connect(f"file:{settings.inbox_db}?mode=ro", uri=True) as inbox:
            return {node for (node,) in inbox.execute("select distinct node from arrivals where kind = 'health'")}
    except sqlite3.OperationalError:
        return set()


def _welcome(request: DemoRequest, stage: Stage, progress: Progress) -> None:
    progress.ready(
        "Trailwatch demo: training realm, sector Lao Bảo. Everything in it is simulated.", stage.address, "admin",
        stage.administrator_password, str(stage.folder),
    )
    if not request.headless and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(stage.address)


def drain(settings: StationSettings, clock: Clock) -> None:
    """Let the mind catch up with the inbox, so that what is counted is what was seen."""
    until_ns = clock.monotonic_ns() + round(DRAIN_WITHIN_S * NS_PER_S)
    while clock.monotonic_ns() < until_ns:
        with sqlite3.connect(f"file:{settings.inbox_db}?mode=ro", uri=True) as inbox:
            newest = inbox.execute("select coalesce(max(id), 0) from arrivals").fetchone()[0]
        with sqlite3.connect(f"file:{settings.mind_db}?mode=ro", uri=True) as mind:
            place = mind.execute("select arrival from place").fetchone()[0]
        if place >= newest:
            return
        clock.sleep(0.2)


def station_restarts(settings: StationSettings) -> int:
    try:
        return sum(json.loads(settings.restarts_file.read_text(encoding="utf-8")).values())
    except (OSError, ValueError, AttributeError, TypeError):
        return 0        # nothing was ever restarted, or the file is being written


def _tell(request: DemoRequest, report: DemoReport, folder: Path) -> None:
    if request.as_json:
        print(msgspec.json.encode(report).decode("utf-8"), flush=True)
        return
    for name, value in msgspec.structs.asdict(report).items():
        print(f"  {name:24} {value}", flush=True)
    if not request.headless:
        print(f"  everything of this run is in {folder}", flush=True)
