"""An exercise, read and checked: what cannot be is refused before anything starts, with file, line, key and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import shapely

from cameras.camera import Camera
from edge.camera_settings import CameraSettings, camera_of
from edge.settings import NodeSettings, SourceKind
from geofences.sector import Sector, load_sector
from sim.exercise_settings import (
    AnyInject,
    CameraEntry,
    CameraInject,
    DroneEntry,
    DroneInject,
    ExerciseSettings,
    Inject,
    ReportInject,
    SplitInject,
    WeatherInject,
)
from sim.exercise_words import check_words
from sim.landscape_lines import lengths_along
from sim.world_scenario import Scenario, load_scenario, wrong_script
from sim.world_state import Kind, Role
from wire.settings import SettingsError, load_settings, refuse

LONGEST_S = 12 * 3600.0
MAST_M = (1.0, 80.0)            # above ground: what is lower looks into grass, what is higher is no mast
DRONE_M = (10.0, 120.0)
SPEED_M_S = (1.0, 15.0)
FPS = (0.2, 30.0)
LIBRARY = Path(__file__).resolve().parents[1] / "configs" / "exercises"


@dataclass(frozen=True, slots=True)
class Eye:
    """A camera of an exercise. node: its file with the entry's own values in it. entry: as the exercise has it."""

    entry: CameraEntry | DroneEntry
    file: Path
    node: NodeSettings

    @property
    def id(self) -> str:
        return self.entry.id if isinstance(self.entry, CameraEntry) else f"{self.entry.id}-eye"

    @property
    def settings(self) -> CameraSettings:
        return self.node.camera

    @property
    def camera(self) -> Camera:
        return camera_of(self.node.camera)

    @property
    def is_flying(self) -> bool:
        return isinstance(self.entry, DroneEntry)


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise file with what it names loaded."""

    file: Path
    settings: ExerciseSettings
    scenario: Scenario
    sector: Sector
    sector_file: Path
    eyes: tuple[Eye, ...]

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def seconds(self) -> float:
        return self.settings.exercise.seconds

    @property
    def has_drones(self) -> bool:
        return bool(self.settings.drones) and "drones" in self.settings.trainees.may_use


def find_exercise(name: str | Path) -> Path:
    """A file, or the name of one in the library. Raises SettingsError that lists what there is."""
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return path
    shelf = LIBRARY / f"{name}.toml"
    if not shelf.is_file():
        there = ", ".join(p.stem for p in library())
        raise SettingsError(f"exercise: {name}: no such file, and not in the library, which has {there}")
    return shelf


def library() -> list[Path]:
    """The exercises that come with the program, in order of their names."""
    return sorted(LIBRARY.glob("*.toml"))


def load_exercise(file: Path) -> Exercise:
    """Read and check. Raises SettingsError."""
    file = file.resolve()
    s = load_settings(file, ExerciseSettings)
    _check_numbers(file, [], msgspec.to_builtins(s))
    sector_file = (file.parent / s.sector).resolve()
    if not sector_file.is_file():
        raise refuse(file, ["sector"], f"{sector_file}: there is no such file")
    sector = load_sector(sector_file)
    _check_about(file, s)
    scenario = load_scenario(file, sector)
    eyes = [_camera(file, i, c, sector) for i, c in enumerate(s.cameras)]
    eyes += [_drone(file, i, d, sector) for i, d in enumerate(s.drones)]
    if not eyes:
        raise refuse(file, ["cameras"], "nobody sees: give one [[cameras]] or [[drones]] at least")
    _one_name_each(file, "cameras", [c.id for c in s.cameras])
    _one_name_each(file, "drones", [d.id for d in s.drones])
    _check_watchlist(file, s, sector)
    _check_injects(file, s, scenario)
    _check_goals(file, s)
    check_words(file, s)
    return Exercise(file, s, scenario, sector, sector_file, tuple(eyes))


def _check_numbers(file: Path, keys: list[str | int], value: object) -> None:
    """TOML knows nan and inf; nan passes each comparison that asks whether a value is too small or too large."""
    if isinstance(value, float) and not math.isfinite(value):
        raise refuse(file, keys, f"{value}: give a number")
    if isinstance(value, dict):
        for key, part in value.items():
            _check_numbers(file, [*keys, str(key)], part)
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            _check_numbers(file, [*keys, i], part)


def _check_about(file: Path, s: ExerciseSettings) -> None:
    if s.seed < 0:
        raise refuse(file, ["seed"], f"{s.seed}: give 0 or more")
    seconds = s.exercise.seconds
    if not 10 <= seconds <= LONGEST_S:
        raise refuse(file, ["exercise", "seconds"], f"{seconds:g}: give 10 to {LONGEST_S:g}")
    for i, actor in enumerate(s.actors):
        if actor.enters_s > seconds:
            raise refuse(file, ["actors", i, "enters_s"], f'"{actor.name}" enters at {actor.enters_s:g} s, and the exercise '
                         f"ends at {seconds:g} s")
    crossers = [a.name for a in s.actors if a.role is Role.CROSSER and a.kind is Kind.PERSON]
    if s.exercise.nothing_to_find and crossers:
        raise refuse(file, ["exercise", "nothing_to_find"], f'true, and "{crossers[0]}" crosses')
    # A crossing is people; a rider is one.
    if not s.exercise.nothing_to_find and not any(a.role is Role.CROSSER for a in s.actors):
        raise refuse(file, ["exercise", "nothing_to_find"], "false, and nobody crosses: give an actor the role \"crosser\", "
                     "or say true")


def _one_name_each(file: Path, kind: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if not name or not all(c.isalnum() or c in "-_" for c in name) or len(name) > 40:
            raise refuse(file, [kind, i, "id"], f'"{name}": letters, digits, - and _, 40 at the most')
        if names.index(name) != i:
            raise refuse(file, [kind, i, "id"], f'"{name}" is taken by an earlier one')


def _node(file: Path, kind: str, i: int, like: str) -> tuple[Path, NodeSettings]:
    node_file = (file.parent / like).resolve()
    if not node_file.is_file():
        raise refuse(file, [kind, i, "like"], f"{node_file}: there is no such file. Name a node's settings file.")
    node = load_settings(node_file, NodeSettings)
    if node.source.kind is not SourceKind.SIMULATOR:
        raise refuse(file, [kind, i, "like"], f'{node_file.name}: its source is "{node.source.kind.value}"; in an exercise '
                     'cameras are simulated: "simulator"')
    return node_file, node


def _camera(file: Path, i: int, c: CameraEntry, sector: Sector) -> Eye:
    node_file, node = _node(file, "cameras", i, c.like)
    if node.drone is not None:
        raise refuse(file, ["cameras", i, "like"], f"{node_file.name}: is a drone's; a camera here stands on a mast")
    given = {k: v for k in ("position", "height_agl_m", "yaw_deg", "pitch_deg", "kind", "lamp_reach_m")
             if (v := getattr(c, k)) is not None}
    camera = msgspec.structs.replace(node.camera, id=c.id, **given)

    def no(key: str, sentence: str) -> SettingsError:
        return refuse(file, ["cameras", i, key], f'"{c.id}": {sentence}')

    height = camera.height_agl_m
    if height is None or not math.isfinite(height) or height <= 0:
        raise no("height_agl_m", f"{height}: that is under the ground. Give metres above it, for example 8.0.")
    if not MAST_M[0] <= height <= MAST_M[1]:
        raise no("height_agl_m", f"{height:g}: a mast is {MAST_M[0]:g} to {MAST_M[1]:g} metres high")
    _check_inside(file, ["cameras", i, "position"], c.id, camera.position, sector)
    if not -90 <= (camera.pitch_deg if camera.pitch_deg is not None else 999.0) <= 90:
        raise no("pitch_deg", f"{camera.pitch_deg}: give -90 (straight down) to 90 degrees")
    if camera.yaw_deg is None or not math.isfinite(camera.yaw_deg):
        raise no("yaw_deg", f"{camera.yaw_deg}: give degrees clockwise from north")
    if camera.lamp_reach_m < 0:
        raise no("lamp_reach_m", f"{camera.lamp_reach_m:g}: give metres, or 0 for no lamp")
    if not FPS[0] <= c.fps <= FPS[1]:
        raise no("fps", f"{c.fps:g}: pictures a second, {FPS[0]:g} to {FPS[1]:g}")
    return Eye(c, node_file, msgspec.structs.replace(node, camera=camera))


def _drone(file: Path, i: int, d: DroneEntry, sector: Sector) -> Eye:
    node_file, node = _node(file, "drones", i, d.like)
    if node.drone is None:
        raise refuse(file, ["drones", i, "like"], f"{node_file.name}: has no [drone]; it is a mast's")

    def no(key: str, sentence: str) -> SettingsError:
        return refuse(file, ["drones", i, key], f'"{d.id}": {sentence}')

    known = [c.id for c in sector.corridor_set.corridors]
    if d.corridor not in known:
        raise no("corridor", f'there is no "{d.corridor}"; there are {", ".join(known)}')
    _check_inside(file, ["drones", i, "home"], d.id, d.home, sector)
    for key, (low, high) in (("height_m", DRONE_M), ("speed_m_s", SPEED_M_S), ("fps", FPS), ("reach_m", (0.0, 10_000.0))):
        if not low <= getattr(d, key) <= high:
            raise no(key, f"{getattr(d, key):g}: give {low:g} to {high:g}")
    return Eye(d, node_file, msgspec.structs.replace(node, camera=msgspec.structs.replace(node.camera, id=f"{d.id}-eye")))


def _check_inside(file: Path, keys: list[str | int], who: str, place: tuple[float, float] | None, sector: Sector) -> None:
    if place is None:
        raise refuse(file, keys, f'"{who}": where is it? Give latitude and longitude.')
    if not sector.box.covers(shapely.Point(sector.frame.to_enu(*place)[0])):
        raise refuse(file, keys, f'"{who}": {list(place)} is outside the box of sector "{sector.id}"')


def _check_watchlist(file: Path, s: ExerciseSettings, sector: Sector) -> None:
    _one_name_each(file, "watchlist", [w.id for w in s.watchlist])
    actors = {a.name for a in s.actors}
    corridors = {c.id for c in sector.corridor_set.corridors}
    for i, w in enumerate(s.watchlist):
        if w.actor and w.actor not in actors:
            raise refuse(file, ["watchlist", i, "actor"], f'"{w.id}": nobody here is called "{w.actor}"')
        for corridor in w.corridors:
            if corridor not in corridors:
                raise refuse(file, ["watchlist", i, "corridors"], f'"{w.id}": there is no corridor "{corridor}"')
        for j, r in enumerate(w.reports):
            _check_report(file, ["watchlist", i, "reports", j], r.by, r.corridor, r.position, corridors, sector)


def _check_report(
    file: Path, keys: list[str | int], by: str, corridor: str, position: tuple[float, float] | None, corridors: set[str],
    sector: Sector,
) -> None:
    if not by.strip():
        raise refuse(file, [*keys, "by"], "who says so? An anonymous report names nobody.")
    if bool(corridor) == (position is not None):
        raise refuse(file, [*keys, "corridor"], "give either a corridor or a position")
    if corridor and corridor not in corridors:
        there = ", ".join(sorted(corridors))
        raise refuse(file, [*keys, "corridor"], f'there is no corridor "{corridor}"; there are {there}')
    if position is not None:
        _check_inside(file, [*keys, "position"], by, position, sector)


def _check_injects(file: Path, s: ExerciseSettings, scenario: Scenario) -> None:
    _one_name_each(file, "injects", [j.id for j in s.injects])
    ids = [j.id for j in s.injects]
    for i, inject in enumerate(s.injects):
        keys: list[str | int] = ["injects", i]
        if inject.at_s is not None and inject.when is not None:
            raise refuse(file, [*keys, "when"], f'"{inject.id}": give at_s or when, not both')
        if inject.at_s is not None and inject.at_s < 0:
            raise refuse(file, [*keys, "at_s"], f'"{inject.id}": {inject.at_s:g}: seconds after the start')
        if inject.at_s is not None and inject.at_s >= s.exercise.seconds:
            raise refuse(file, [*keys, "at_s"], f'"{inject.id}" is at {inject.at_s:g} s, and the exercise ends at '
                         f"{s.exercise.seconds:g} s")
        _check_when(file, keys, inject, ids, s, scenario)
        _check_inject(file, keys, inject, s, scenario)
    _no_ring(file, s)


def _check_when(
    file: Path, keys: list[str | int], inject: Inject, ids: list[str], s: ExerciseSettings, scenario: Scenario
) -> None:
    w = inject.when
    if w is None:
        return
    here = [*keys, "when"]
    if sum((w.alarms > 0, bool(w.actor), bool(w.after))) != 1:
        raise refuse(file, here, f'"{inject.id}": give one of alarms, actor and after')
    if w.after and (w.after not in ids or w.after == inject.id):
        raise refuse(file, here, f'"{inject.id}": there is no other inject "{w.after}"')
    if w.actor:
        if w.actor not in {a.name for a in s.actors}:
            raise refuse(file, here, f'"{inject.id}": nobody here is called "{w.actor}"')
        if w.on not in scenario.lines:
            there = ", ".join(scenario.lines)
            raise refuse(file, here, f'"{inject.id}": there is no trail or road "{w.on}"; there are {there}')
        length_m = float(lengths_along(scenario.lines[w.on])[-1])
        if not 0 <= w.beyond_m <= length_m:
            raise refuse(file, here, f'"{inject.id}": {w.beyond_m:g} m: "{w.on}" goes from 0 to {length_m:.0f} m')


def _no_ring(file: Path, s: ExerciseSettings) -> None:
    after = {j.id: j.when.after for j in s.injects if j.when is not None and j.when.after}
    for i, inject in enumerate(s.injects):
        seen, at = set(), inject.id
        while at in after:
            if at in seen:
                raise refuse(file, ["injects", i, "when"], f'"{inject.id}" waits for itself, by way of "{after[at]}"')
            seen.add(at)
            at = after[at]


def _check_inject(file: Path, keys: list[str | int], inject: AnyInject, s: ExerciseSettings, scenario: Scenario) -> None:
    def no(key: str, sentence: str) -> SettingsError:
        return refuse(file, [*keys, key], f'"{inject.id}": {sentence}')

    match inject:
        case CameraInject():
            if inject.camera not in {c.id for c in s.cameras}:
                raise no("camera", f'there is no camera "{inject.camera}"; there are {", ".join(c.id for c in s.cameras)}')
        case DroneInject():
            if inject.drone not in {d.id for d in s.drones}:
                raise no("drone", f'there is no drone "{inject.drone}"; there are {", ".join(d.id for d in s.drones)}')
            if "drones" not in s.trainees.may_use:
                raise no("drone", 'the trainees may not use drones: add "drones" to may_use')
        case SplitInject():
            actor = next((a for a in s.actors if a.name == inject.actor), None)
            if actor is None or actor.kind is not Kind.PERSON:
                raise no("actor", f'"{inject.actor}" is no people of this exercise')
            if not 0 < inject.count <= actor.count:
                raise no("count", f"{inject.count}: the party has {actor.count}")
            wrong = wrong_script(scenario, actor, inject.script) if inject.script else "give them something to do"
            if wrong:
                raise no("script", wrong)
        case ReportInject():
            corridors = {c.id for c in scenario.sector.corridor_set.corridors}
            if inject.subject and inject.subject not in {w.id for w in s.watchlist}:
                raise no("subject", f'"{inject.subject}" is not in [[watchlist]]')
            _check_report(file, keys, inject.by, inject.corridor, inject.position, corridors, scenario.sector)
        case WeatherInject():
            for key, low, high in (("cloud", 0.0, 1.0), ("rain_mm_h", 0.0, 200.0), ("visibility_m", 20.0, 100_000.0),
                                   ("wind_mps", 0.0, 40.0), ("over_s", 0.0, 86_400.0)):
                value = getattr(inject, key)
                if value is not None and not low <= value <= high:
                    raise no(key, f"{value:g}: give {low:g} to {high:g}")
        case _:
            pass
    if isinstance(inject, CameraInject | DroneInject) and inject.for_s < 0:
        raise no("for_s", f"{inject.for_s:g}: seconds; 0 is to the end")


def _check_goals(file: Path, s: ExerciseSettings) -> None:
    for i, goal in enumerate(s.goals):
        if (goal.at_least is None) == (goal.at_most is None):
            raise refuse(file, ["goals", i, "measure"], f'"{goal.measure}": give at_least or at_most')
