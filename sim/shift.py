"""The demo's shift: three drones, the real fleet service and the real station, led by a scripted pilot in a simulated world.

Autopilots, fleet, station, world and eyes are processes of their own and speak over their real sockets. Everything is of the
training realm. A person may watch on the map, and lead instead of the script by ordering anything.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sim.crew import Crew
from sim.demo import drain, station_restarts, wait_for_page
from sim.shift_pilot import ShiftPilot
from sim.shift_radio import Radio
from sim.shift_report import ShiftReport, add_up_shift
from sim.shift_stage import PILOT, ShiftStage, set_the_shift
from sim.shift_story import Story
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import log_to_stderr, stop_on_signals

STATION_UP_S = 120.0            # beside many others on the same machine it has taken more than 45
MISSED_STATUS = 1               # a step of the story did not come


@dataclass(frozen=True, slots=True)
class ShiftRequest:
    """What was asked for on the command line. seconds: the shift is broken off then; None lets it come to its end."""

    headless: bool
    seconds: float | None
    as_json: bool
    keep: Path | None


def run_shift(request: ShiftRequest) -> int:
    """Fly the shift and print what came of it; 1 where a step of the story is missing."""
    log_to_stderr()
    clock = WallClock()
    folder = request.keep.resolve() if request.keep else Path(tempfile.mkdtemp(prefix="trailwatch-"))
    stop = stop_on_signals()
    crew = Crew(folder / "logs", clock)
    radios: dict[str, Radio] = {}
    pilot: ShiftPilot | None = None
    try:
        stage = set_the_shift(folder, usual_port=not request.headless)
        began_ns = clock.monotonic_ns()
        crew.start("station", "serve", "--config", str(stage.settings.file))
        wait_for_page(crew, stage.address, clock, STATION_UP_S)
        radios = {name: Radio(ports.radio, ports.autopilot).start() for name, ports in stage.drones.items()}
        for name, *arguments in stage.people:
            crew.start(name, *arguments)
        _welcome(request, stage)
        pilot = ShiftPilot(stage.address, PILOT, stage.pilot_password, clock)
        story = Story(stage, pilot, radios, crew, stop, clock)
        timer = _ends_after(request.seconds, stop)
        told = story.play()
        if timer is not None:
            timer.cancel()
        if told.taken_over or not (request.headless or request.seconds):
            _stay(crew, stop, clock, request.seconds, began_ns)
        crew.stop("eyes", "fleet")
        drain(stage.settings, clock)
        restarts = crew.restarts + station_restarts(stage.settings)
        seconds = (clock.monotonic_ns() - began_ns) / NS_PER_S
        report = add_up_shift(stage, told, complete=story.complete, seconds=seconds, restarts=restarts)
        (folder / "report.json").write_bytes(msgspec.json.encode(report))
        _tell(request, report, folder)
    finally:
        if pilot is not None:
            pilot.close()
        crew.stop()
        for radio in radios.values():
            radio.stop()
        if request.keep is None and (request.headless or request.as_json):
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if story.complete else MISSED_STATUS


def _ends_after(seconds: float | None, stop: threading.Event) -> threading.Timer | None:
    if seconds is None:
        return None
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    return timer


def _stay(crew: Crew, stop: threading.Event, clock: Clock, seconds: float | None, began_ns: int) -> None:
    """The script has ended, and a person may go on."""
    print("  the script has ended; the drones are yours until Ctrl-C", file=sys.stderr)
    while not stop.is_set():
        if seconds is not None and clock.monotonic_ns() - began_ns >= seconds * NS_PER_S:
            return
        crew.watch()
        stop.wait(0.2)


def _welcome(request: ShiftRequest, stage: ShiftStage) -> None:
    print(
        f"\n  Trailwatch, training realm, a shift of three drones\n"
        f"  map       {stage.address}\n"
        f"  log in    admin / {stage.administrator_password}   (a one-time password: you choose your own)\n"
        f"  a script flies as {PILOT}; order anything of a drone, and it stops and leaves all of them to you\n"
        f"  SIMULATED: drones, walker, and what cameras find; no picture is drawn\n"
        f"  folder    {stage.folder}\n"
        f"  stop      Ctrl-C\n",
        file=sys.stderr,
    )
    if not request.headless and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(stage.address)


def _tell(request: ShiftRequest, report: ShiftReport, folder: Path) -> None:
    if request.as_json:
        print(msgspec.json.encode(report).decode("utf-8"), flush=True)
        return
    print("\n".join(as_table(report)), flush=True)
    if not request.headless:
        print(f"  everything of this run is in {folder}", flush=True)


def as_table(r: ShiftReport) -> list[str]:
    """The report for a person in front of a terminal."""
    lines = [f"  {r.sees}", ""]
    lines += [f"  {s.at_s:7.1f} s  {'' if s.done else 'MISSING  '}{s.name:12} {s.says}" for s in r.steps]
    lines += ["", "  on the drones' own word"]
    lines += [f"  {e.at_s:7.1f} s  {e.drone:10} {e.says}" for e in r.events]
    for table, rows in (("looks", r.looks), ("drones", r.drones), ("relief", [r.relief] if r.relief else [])):
        for row in rows:
            lines += ["", f"  {table}"]
            lines += [f"    {name:22} {value}" for name, value in msgspec.structs.asdict(row).items()]
    lines += ["", "  refused", *(f"    {sentence}" for sentence in r.refused)]
    short = ("complete", "crossed", "in_buffer", "sector_buffer_m", "gps_lost_at_s", "link_cut_s", "taken_over", "restarts",
             "messages_refused", "detections_stored", "seconds")
    lines += ["", *(f"  {name:22} {getattr(r, name)}" for name in short)]
    return lines
