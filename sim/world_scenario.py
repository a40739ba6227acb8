"""A scenario file, read, checked against its sector, and its places turned into metres."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import shapely

from geofences.geodesy import Array
from geofences.sector import Sector
from sim import world_settings as do
from sim.exercise_settings import ExerciseSettings
from sim.landscape import Clearing, LandscapePlan, make_landscape
from sim.landscape_lines import lengths_along, make_lines
from sim.sky import SkyScript
from sim.world_settings import ActorSettings, LandscapeSettings, Spot, WorldSettings
from sim.world_state import Kind, Landscape
from wire.settings import SettingsError, load_settings, refuse

WHEELS = (Kind.MOTORCYCLE, Kind.BICYCLE, Kind.CAR, Kind.PICKUP, Kind.TRUCK, Kind.BUS)
_MAY: dict[type[do.Act], tuple[Kind, ...]] = {
    do.Drive: WHEELS,
    do.Fly: (Kind.BIRD,),
    do.Graze: (Kind.BUFFALO, Kind.DOG),
    do.WaitFor: (Kind.BOAT,),
    do.Land: (Kind.BOAT,),
    do.Wait: tuple(Kind),
    do.Repeat: tuple(Kind),
    do.GoTo: (Kind.PERSON, Kind.BOAT, Kind.DOG, Kind.BUFFALO),
}
_RANGES: dict[str, tuple[float, float]] = {
    "seconds": (0.0, 86_400.0), "spread_s": (0.0, 86_400.0), "metres": (0.5, 2000.0), "speed_kmh": (1.0, 120.0),
    "speed_mps": (0.5, 25.0), "radius_m": (0.5, 500.0), "height_m": (0.0, 500.0), "times": (1, 100_000),
    "rounds": (1, 10_000),    "within_m": (1.0, 2000.0), "pause_s": (0.0, 86_400.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """A scenario and what it plays on. lines: its trails and roads, polylines (n, 2), by name."""

    file: Path
    settings: WorldSettings
    landscape: LandscapeSettings
    sector: Sector
    plan: LandscapePlan
    lines: dict[str, Array]

    def make_landscape(self) -> Landscape:
        """The landscape of this scenario; some seconds of work, the same in every process."""
        return make_landscape(self.sector, self.landscape.seed, self.plan)

    @property
    def sky(self) -> SkyScript:
        s = self.settings
        return SkyScript(self.sector.frame.lat_deg, self.sector.frame.lon_deg, s.starts, tuple(s.weather), s.seed)

    def metres(self, spot: Spot) -> tuple[float, float]:
        """East and north of a place of the scenario."""
        if spot.position is not None:
            at = self.sector.frame.to_enu(*spot.position)[0]
            return float(at[0]), float(at[1])
        line = self.lines[spot.on]
        along = lengths_along(line)
        i = min(max(int(np.searchsorted(along, spot.at_m)), 1), len(line) - 1)
        de, dn = (line[i] - line[i - 1]) / max(along[i] - along[i - 1], 1e-9)
        f = spot.at_m - along[i - 1]
        return float(line[i - 1, 0] + de * f + dn * spot.aside_m), float(line[i - 1, 1] + dn * f - de * spot.aside_m)


def load_scenario(file: Path, sector: Sector) -> Scenario:
    """Read and check a scenario, or the world of an exercise. Raises SettingsError with file, line and key."""
    s: WorldSettings = load_settings(file, ExerciseSettings if is_exercise(file) else WorldSettings)
    ground_file = file.parent / s.landscape
    if not ground_file.is_file():
        raise refuse(file, ["landscape"], f"{ground_file}: there is no such file. Name a landscape file beside this one.")
    ground = load_settings(ground_file, LandscapeSettings)
    plan = landscape_plan(ground_file, ground, sector)
    made = make_lines(sector, plan.roads, np.random.default_rng(ground.seed).spawn(4)[0])
    scenario = Scenario(file, s, ground, sector, plan, made.trails | made.roads)
    if s.starts.tzinfo is None:
        raise refuse(file, ["starts"], f"{s.starts}: say the offset from UTC as well, for example 2026-11-24T17:00:00+07:00")
    _check_weather(file, s)
    names: dict[str, ActorSettings] = {}
    for i, actor in enumerate(s.actors):
        if actor.name in names:
            raise refuse(file, ["actors", i, "name"], f'"{actor.name}" is taken by an earlier actor')
        names[actor.name] = actor
    for i, actor in enumerate(s.actors):
        _check_actor(scenario, i, actor, names)
    return scenario


def is_exercise(file: Path) -> bool:
    """Whether a scenario is the world of an exercise: it has a table of that name."""
    try:
        return "exercise" in tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False        # whoever reads it says what is wrong


def wrong_script(scenario: Scenario, actor: ActorSettings, script: list[do.AnyAct]) -> str:
    """What is wrong with a script that an actor is to perform, in words; empty when nothing is."""
    names = {a.name: a for a in scenario.settings.actors}
    for j, act in enumerate(_flat(script)):
        wrong = _wrong_with(scenario, actor, act, names)
        if wrong:
            return f"act {j + 1}, {_word(act)}: {wrong}"
    return ""


def landscape_plan(file: Path, s: LandscapeSettings, sector: Sector) -> LandscapePlan:
    def metres(kind: str, i: int, points: list[do.LatLon], least: int) -> Array:
        if len(points) < least:
            raise refuse(file, [kind, i], f"give {least} points or more, each [latitude, longitude]")
        line = sector.frame.to_enu([p[0] for p in points], [p[1] for p in points])
        if not sector.box.covers(shapely.MultiPoint(line)):
            raise refuse(file, [kind, i], f'leaves the box of sector "{sector.id}"')
        return line

    clearings = []
    for i, c in enumerate(s.clearings):
        east, north = metres("clearings", i, [c.position], 1)[0]
        if c.radius_m <= 0:
            raise refuse(file, ["clearings", i, "radius_m"], f"{c.radius_m}: give metres, above 0")
        clearings.append(Clearing(float(east), float(north), c.radius_m))
    roads = {r.name: metres("roads", i, r.line, 2) for i, r in enumerate(s.roads)}
    fields = {f.name: shapely.Polygon(metres("fields", i, f.line, 3)) for i, f in enumerate(s.fields)}
    return LandscapePlan(tuple(clearings), roads, fields)


def _check_weather(file: Path, s: WorldSettings) -> None:
    for i, w in enumerate(s.weather):
        rules = (
            ("at_s", i == 0 or w.at_s > s.weather[i - 1].at_s, "must come after the one before"),
            ("cloud", 0 <= w.cloud <= 1, "give 0 (clear) to 1 (overcast)"),
            ("rain_mm_h", 0 <= w.rain_mm_h <= 200, "give 0 to 200 millimetres an hour"),
            ("visibility_m", 20 <= w.visibility_m <= 100_000, "give 20 (thick fog) to 100000 metres"),
            ("wind_mps", 0 <= w.wind_mps <= 40, "give 0 to 40 metres a second"),
        )
        for key, holds, sentence in rules:
            if not holds:
                raise refuse(file, ["weather", i, key], f"{getattr(w, key)}: {sentence}")
    if not s.weather:
        raise refuse(file, ["weather"], "give one [[weather]] at least, or none at all for fair weather")


def _check_actor(scenario: Scenario, i: int, a: ActorSettings, names: dict[str, ActorSettings]) -> None:
    file = scenario.file

    def no(key: str, sentence: str) -> SettingsError:
        return refuse(file, ["actors", i, key], f'"{a.name}": {sentence}')

    if not 1 <= a.count <= 40:
        raise no("count", f"{a.count}: give 1 to 40")
    if a.count > 1 and a.spacing_m < 0.8:
        raise no("spacing_m", f"{a.spacing_m}: bodies need 0.8 m at the least")
    if a.enters_s < 0 or (a.every_s != 0 and a.every_s < 5):
        raise no("every_s" if a.every_s else "enters_s", "give 0 or more; every_s is 0 for once, or 5 s and more")
    if not a.script:
        raise no("script", "give it something to do, for example [{do = \"wait\", seconds = 600}]")
    wrong_place = _wrong_spot(scenario, a.at)
    if wrong_place:
        raise no("at", wrong_place)
    for j, act in enumerate(_flat(a.script)):
        wrong = _wrong_with(scenario, a, act, names)
        if wrong:
            raise no("script", f"act {j + 1}, {_word(act)}: {wrong}")


def _wrong_with(scenario: Scenario, a: ActorSettings, act: do.AnyAct, names: dict[str, ActorSettings]) -> str:
    """What is wrong with an act, in words; empty when nothing is."""
    may = _MAY.get(type(act), (Kind.PERSON,))
    if a.kind not in may:
        return f"a {a.kind.value} cannot do that; it is for {', '.join(k.value for k in may)}"
    for key, value in msgspec.structs.asdict(act).items():
        low, high = _RANGES.get(key, (float("-inf"), float("inf")))
        if isinstance(value, int | float) and not low <= value <= high:
            return f"{key} is {value:g}; give {low:g} to {high:g}"
    match act:
        case do.FollowTrail():
            return _wrong_way(scenario, act.trail, act.to_m)
        case do.Drive():
            return _wrong_way(scenario, act.road, act.to_m)
        case do.Patrol():
            return _wrong_way(scenario, act.trail, act.from_m) or _wrong_way(scenario, act.trail, act.to_m)
        case do.GoTo():
            return _wrong_spot(scenario, act.to)
        case do.Board(boat=name) | do.WaitFor(party=name) | do.Herd(animals=name) if name not in names:
            return f'"{name}" is the name of nobody here'
        case do.Board(boat=name) if names[name].kind is not Kind.BOAT:
            return f'"{name}" is a {names[name].kind.value}, not a boat'
        case do.Repeat(script=[]) | do.AvoidDrone(script=[]):
            return "its script is empty"
    return ""


def _wrong_way(scenario: Scenario, name: str, at_m: float) -> str:
    if name not in scenario.lines:
        return f'there is no trail or road "{name}"; there are {", ".join(scenario.lines)}'
    length_m = float(lengths_along(scenario.lines[name])[-1])
    if not 0 <= at_m <= length_m:
        return f"{at_m:g} m: \"{name}\" goes from 0 to {length_m:.0f} m"
    return ""


def _wrong_spot(scenario: Scenario, spot: Spot) -> str:
    if (spot.position is None) == (not spot.on):
        return 'a place is either position = [latitude, longitude] or on = "TRAIL OR ROAD" with at_m'
    if spot.position is None:
        return _wrong_way(scenario, spot.on, spot.at_m)
    if not scenario.sector.box.covers(shapely.Point(scenario.sector.frame.to_enu(*spot.position)[0])):
        return f'{list(spot.position)} lies outside the box of sector "{scenario.sector.id}"'
    return ""


def _flat(script: list[do.AnyAct]) -> Iterator[do.AnyAct]:
    """All acts, those inside Repeat and AvoidDrone after the act that holds them."""
    for act in script:
        yield act
        if isinstance(act, do.Repeat | do.AvoidDrone):
            yield from _flat(act.script)


def _word(act: do.AnyAct) -> str:
    return str(type(act).__struct_config__.tag)
