"""The desk's questions about building: opening an exercise, checking and saving it; a past incident that becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge.settings import NodeSettings, SourceKind
from geofences.sector import load_sector
from sim.actors import COMFORTABLE_MPS, GAITS, OFF_TRAIL
from sim.behaviours_wheels import CRUISE_MPS
from sim.desk_words import refused
from sim.exercise_build import Checked, Opened, blank, check, check_text, data_of, open_exercise, save
from sim.exercise_desk_web import changing_trainer, in_thread, trainer
from sim.exercise_from_past import Past, Wanted, from_past, read_past, record_taking, write_exercise
from sim.exercise_ground import EyeView, GroundView, ground_of
from sim.exercise_scenario import LIBRARY, Exercise, load_exercise
from sim.world_state import Kind, Role
from station.guard import answer_json, read_body
from station.settings import StationSettings, load_station_settings
from station.web_door import Door
from wire.settings import SettingsError, load_settings

BODY_LIMIT = 512 * 1024
NodeFile = tuple[str, str, bool]        # path, name, whether it is a drone's


class BuildOpened(msgspec.Struct, frozen=True):
    """nodes: settings files that a camera or drone may be `like`. pace_mps: of gaits, on a trail; off_trail: share of it."""

    opened: Opened
    ground: GroundView
    refused: str
    nodes: tuple[NodeFile, ...]
    kinds: tuple[str, ...]
    roles: tuple[str, ...]
    pace_mps: dict[str, float]
    off_trail: float
    cruise_mps: dict[str, float]


class BuildRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """base: name of the exercise that was opened, empty for a new one. Either data, or the whole file as text."""

    name: Annotated[str, msgspec.Meta(max_length=80)]
    base: Annotated[str, msgspec.Meta(max_length=80)] = ""
    data: dict[str, Any] | None = None
    text: str | None = None
    state: str = ""


class BuildAnswer(msgspec.Struct, frozen=True):
    """eyes: the cameras with their footprints; empty while the file is refused. data: what a file written by hand says."""

    checked: Checked
    eyes: tuple[EyeView, ...]
    data: dict[str, Any] | None = None


class Saved(msgspec.Struct, frozen=True):
    opened: Opened
    lost_comments: tuple[str, ...]


class PastRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """source: as PastSource has it. Either an incident, or a time from and to."""

    source: str
    name: Annotated[str, msgspec.Meta(max_length=80)]
    incident: str = ""
    from_ns: int = 0
    to_ns: int = 0
    invent_plates: bool = False


class PastSource(msgspec.Struct, frozen=True):
    """A station whose past may be taken: one that the desk was started with, or the station of a run."""

    source: str
    realm: str
    past: Past


class PastSaved(msgspec.Struct, frozen=True):
    name: str
    left_out: tuple[str, ...]


class BuildRoutes:
    def __init__(self, door: Door, folder: Path, runs: Path, stations: tuple[Path, ...]) -> None:
        self._door = door
        self._folder = folder
        self._runs = runs
        self._stations = stations

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/desk/build", self.new),
            Route("/api/desk/build/{name}", self.open),
            Route("/api/desk/check", self.check, methods=["POST"]),
            Route("/api/desk/save", self.save, methods=["POST"]),
            Route("/api/desk/past", self.past),
            Route("/api/desk/past/take", self.take, methods=["POST"]),
        ]

    def _file(self, name: str) -> Path:
        for folder in (self._folder, LIBRARY):
            if name in {f.stem for f in folder.glob("*.toml")}:
                return folder / f"{name}.toml"
        raise refused("no_exercise", before="exercise: ", name=name)

    async def new(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(self._open, ""))

    async def open(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(self._open, request.path_params["name"]))

    def _open(self, name: str) -> BuildOpened:
        file = self._file(name) if name else None
        opened = open_exercise(file, file.parent == self._folder) if file is not None else blank()
        checked, exercise = check_text(self._folder, name or "new-exercise", opened.text)
        if exercise is None:        # it is shown all the same, on the ground of the library, to be put right
            exercise = load_exercise(LIBRARY / "single-walker.toml")
        pace = COMFORTABLE_MPS["young"][0]
        return BuildOpened(
            opened, ground_of(exercise), checked.refused, _nodes(), tuple(Kind), tuple(Role),
            {name: round(gait.speed_mps(pace), 2) for name, gait in GAITS.items()}, OFF_TRAIL,
            {kind.value: mps for kind, mps in CRUISE_MPS.items()},
        )

    async def check(self, request: Request) -> Response:
        await changing_trainer(self._door, request)
        wanted = await read_body(request, BuildRequest, BODY_LIMIT)
        return answer_json(await in_thread(lambda _: self._answer(wanted), ""))

    def _answer(self, wanted: BuildRequest) -> BuildAnswer:
        checked, exercise = self._check(wanted)
        data = data_of(checked.text) if wanted.text is not None else None
        return BuildAnswer(checked, ground_of(exercise).eyes if exercise is not None else (), data)

    def _check(self, wanted: BuildRequest) -> tuple[Checked, Exercise | None]:
        base = self._file(wanted.base) if wanted.base else None
        if wanted.text is not None:
            before = base.read_text(encoding="utf-8") if base is not None else ""
            return check_text(self._folder, wanted.name, wanted.text, before)
        return check(self._folder, wanted.name, base, wanted.data or {})

    async def save(self, request: Request) -> Response:
        await changing_trainer(self._door, request)
        wanted = await read_body(request, BuildRequest, BODY_LIMIT)
        return answer_json(await in_thread(lambda _: self._save(wanted), ""))

    def _save(self, wanted: BuildRequest) -> Saved:
        checked, _ = self._check(wanted)
        file = save(self._folder, checked, wanted.name, wanted.state if wanted.base == wanted.name else "")
        return Saved(open_exercise(file, True), checked.lost_comments)

    # ---------------------------------------------------------------------------------------------------- the past

    async def past(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(lambda _: self._sources(), ""))

    def _sources(self) -> list[PastSource]:
        found = []
        for source, settings in self._settings().items():
            try:
                found.append(PastSource(source, settings.realm.value, read_past(settings)))
            except SettingsError:
                continue            # a run that ended before its station had thought of anything
        return [s for s in found if s.past.first_ns is not None]

    def _settings(self) -> dict[str, StationSettings]:
        files = {str(f): f for f in self._stations}
        files |= {f.parent.name: f for f in sorted(self._runs.glob("*/station.toml"), reverse=True)[:30]}
        return {name: load_station_settings(file) for name, file in files.items()}

    async def take(self, request: Request) -> Response:
        session = await changing_trainer(self._door, request)
        wanted = await read_body(request, PastRequest)
        return answer_json(await in_thread(lambda name: self._take(wanted, name), session.person.name))

    def _take(self, wanted: PastRequest, person: str) -> PastSaved:
        settings = self._settings().get(wanted.source)
        if settings is None:
            raise refused("no_station", before="exercise: ", name=wanted.source)
        what = Wanted(wanted.incident, wanted.from_ns, wanted.to_ns, wanted.invent_plates)
        made = from_past(settings, what, wanted.name)
        checked, _ = check_text(self._folder, wanted.name, write_exercise(made, self._folder / f"{wanted.name}.toml"))
        record_taking(settings, f"{person} (trainer's desk)", what, made, self._door.clock)
        save(self._folder, checked, wanted.name, "")
        return PastSaved(wanted.name, made.left_out)


def _nodes() -> tuple[NodeFile, ...]:
    """Settings files of the program's simulated nodes, for a camera or a drone to be like."""
    found = []
    for file in sorted([*LIBRARY.glob("nodes/*.toml"), *LIBRARY.parent.glob("demo/world/*.toml")]):
        try:
            node = load_settings(file, NodeSettings)
        except SettingsError:
            continue
        if node.source.kind is SourceKind.SIMULATOR:
            found.append((str(file), file.stem, node.drone is not None))
    return tuple(found)


def stations_of(files: list[Path]) -> tuple[Path, ...]:
    """Checked at the start, and not when somebody presses a button. Raises SettingsError."""
    for file in files:
        load_sector(load_station_settings(file).sector)
    return tuple(f.resolve() for f in files)
