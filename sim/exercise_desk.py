"""The trainer's desk: a web server of its own, on this machine, from which exercises are chosen, led, debriefed and built.

It is no part of any station. It starts a director (sim.director), speaks to it over the socket in the run's folder, and has
its own accounts; no station knows that it is there, so that the truth has no road to a trainee. An exercise outlives its
desk: a desk that is started again finds what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from sim.director_stage import MODEL_FLIES
from sim.exercise_desk_build import BuildRoutes, stations_of
from sim.exercise_desk_runs import Runs
from sim.exercise_desk_web import DeskRoutes
from sim.exercise_scenario import LIBRARY, library, load_exercise
from sim.landscape_cache import cached_landscape
from sim.landscape_map import cached_basemap
from sim.sitl import Flown
from station.access import People, Role, open_people
from station.guard import SecurityHeaders, show_fault, show_problem, show_store_trouble
from station.settings import StationSettings, load_station_settings
from station.store import StoreError
from station.web import listen, serve_on
from station.web_basemap import BaseMapRoutes
from station.web_door import Door
from station.web_login import LoginRoutes
from wire.clock import Clock, WallClock
from wire.process import log_to_stderr
from wire.settings import SettingsError

FIRST_TRAINER = "trainer"
log = logging.getLogger("trailwatch.desk")
SECTOR = LIBRARY.parent / "sectors" / "laobao" / "sector.toml"


@dataclass(frozen=True, slots=True)
class DeskFolder:
    """Where a desk keeps what is its own. exercises: files that a trainer has built. runs: one folder each."""

    folder: Path

    @property
    def exercises(self) -> Path:
        return self.folder / "exercises"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def settings(self) -> Path:
        return self.folder / "desk.toml"

    def make(self, port: int) -> StationSettings:
        """Make what is missing, and read its settings: a web server's, of the training realm, on this machine alone."""
        try:
            for folder in (self.folder, self.exercises, self.runs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.settings.write_text(
                f'sector = {json.dumps(str(SECTOR))}\nrealm = "training"\ndata_dir = "data"\n'
                f'[inbox]\nbind = "tcp://127.0.0.1:1"          # a desk has none\n'
                f'[web]\nhost = "127.0.0.1"\nport = {port}\n', encoding="utf-8",
            )
        except OSError as error:
            raise SettingsError(f"--folder {self.folder}: cannot be used: {error.strerror}") from None
        return load_station_settings(self.settings)


class Desk:
    """All routes of a desk behind one door."""

    def __init__(
        self, settings: StationSettings, folder: DeskFolder, people: People, stations: tuple[Path, ...], clock: Clock,
        flown: Flown = MODEL_FLIES,
    ) -> None:
        door = Door(settings, people, clock)
        self._settings = settings
        self.runs = Runs(folder.runs, folder.exercises, clock, flown)
        self._routes = [
            *DeskRoutes(door, self.runs).routes(),
            *BuildRoutes(door, folder.exercises, folder.runs, stations).routes(),
            *LoginRoutes(door).routes(),
            *BaseMapRoutes(door).routes(),
        ]

    def application(self) -> ASGIApp:
        handlers = {
            HTTPException: show_problem, StoreError: show_store_trouble, sqlite3.Error: show_store_trouble, 500: show_fault,
        }
        return SecurityHeaders(Starlette(routes=self._routes, lifespan=self._lifespan, exception_handlers=handlers))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        drawing = asyncio.create_task(anyio.to_thread.run_sync(self.draw_basemap))
        try:
            yield
        finally:
            await drawing
            self.runs.close_review()

    def draw_basemap(self) -> None:
        """Of the library's landscape, which takes some seconds the first time; without it the map is plainer."""
        try:
            exercise = load_exercise(library()[0])
            cached_basemap(self._settings.basemap_dir, exercise.scenario, cached_landscape(exercise.scenario))
        except (SettingsError, OSError) as error:
            log.warning("the desk has no base map: %s", error)


def run_desk(folder: Path, port: int, add: str, stations: list[Path], flown: Flown) -> tuple[str, int]:
    """Serve until SIGTERM or SIGINT; with `add`, make a trainer's account instead. Raises SettingsError.

    stations: settings files of stations whose past may become an exercise. flown: by what drones are flown.
    """
    known = stations_of(stations)
    where = DeskFolder(folder.expanduser().resolve())
    settings = where.make(port)
    clock = WallClock()
    people = open_people(settings, clock)
    try:
        if add:
            return f"{add} may log in to the desk with the one-time password {people.add(add, Role.TRAINER)}", 0
        log_to_stderr()
        listener = listen(settings)
        if not people.everyone():
            word = people.add(FIRST_TRAINER, Role.TRAINER)
            # The one line a person must read at the first start; it is never shown again.
            _say(f"First start: log in as {FIRST_TRAINER} with the one-time password {word}")
        try:
            _say(f"The trainer's desk is at http://127.0.0.1:{listener.getsockname()[1]}/ (Ctrl-C ends it)")
            serve_on(listener, settings, Desk(settings, where, people, known, clock, flown).application(), "trainer's desk")
        finally:
            listener.close()
    finally:
        people.close()
    return "", 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
