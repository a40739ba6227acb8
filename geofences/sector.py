"""One sector from its settings file: frame, border line, corridors, keep-outs, terrain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geofences.border import BorderLine, split_sides
from geofences.corridors import CorridorMap, make_corridor_set
from geofences.geodesy import LocalFrame
from geofences.terrain import FlatTerrain, Terrain
from geofences.terrain_file import read_terrain
from wire.messages import Corridor, CorridorSet
from wire.settings import load_settings, refuse
from wire.units import GroundPosition


class BorderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """file: GeoJSON with a feature of kind "border", relative to the sector file. own_side: a point surely ours."""

    file: str
    own_side: tuple[float, float]
    buffer_m: float
    advisory: bool
    source: str
    as_of: str


class TerrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """file: a terrain grid (geofences.terrain_file), relative to the sector file; empty for a flat one at height_msl_m.

    sigma_m and synthetic must not claim more than the file does.
    """

    height_msl_m: float
    sigma_m: float
    synthetic: bool
    file: str = ""


class CorridorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str
    centre_line: list[tuple[float, float]]
    width_m: float
    priority: int
    alarm_hours: tuple[str, str] = ("00:00", "24:00")


class KeepOutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str
    outline: list[tuple[float, float]]


class SectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str
    origin: tuple[float, float]
    box: tuple[float, float, float, float]
    utc_offset_min: int
    geoid_undulation_m: float
    border: BorderSettings
    terrain: TerrainSettings
    corridors: list[CorridorSettings]
    keep_outs: list[KeepOutSettings] = []


@dataclass(frozen=True, slots=True)
class KeepOut:
    """Where no drone may fly. outline: metres, east and north."""

    id: str
    name: str
    outline: shapely.Polygon


@dataclass(frozen=True, slots=True)
class Sector:
    """What one ground station watches.

    box: outline of the sector. border_buffer_m: the least distance that a drone keeps from the line.
    geoid_undulation_m: height of the geoid above the ellipsoid, metres; one number for a sector.
    border_geojson: the border as it is drawn, degrees.
    """

    id: str
    name: str
    frame: LocalFrame
    box: shapely.Polygon
    utc_offset_min: int
    geoid_undulation_m: float
    border: BorderLine
    border_buffer_m: float
    border_geojson: dict[str, object]
    terrain: Terrain
    corridor_set: CorridorSet
    corridors: CorridorMap
    keep_outs: tuple[KeepOut, ...]


def load_sector(path: Path) -> Sector:
    """Read and check a sector file. Raises wire.settings.SettingsError with file, line and key."""
    s = load_settings(path, SectorSettings)
    frame = LocalFrame(*s.origin)
    south, west, north, east = s.box
    if not (south < north and west < east):
        raise refuse(path, ["box"], f"{list(s.box)}: give south, west, north, east in degrees, south below north")
    corners = frame.to_enu([south, south, north, north], [west, east, east, west])
    box = shapely.Polygon(corners)
    border, drawn = _load_border(path, s, frame, box)
    corridor_set = _load_corridors(path, s)
    corridors = CorridorMap(corridor_set, frame)
    for i, ground in enumerate(corridors.grounds):
        if not box.covers(ground.centre_line):
            raise refuse(path, ["corridors", i, "centre_line"], f'"{ground.corridor.id}" leaves the sector\'s box')
    return Sector(
        id=s.id,
        name=s.name,
        frame=frame,
        box=box,
        utc_offset_min=s.utc_offset_min,
        geoid_undulation_m=s.geoid_undulation_m,
        border=border,
        border_buffer_m=s.border.buffer_m,
        border_geojson=drawn,
        terrain=_load_terrain(path, s, frame),
        corridor_set=corridor_set,
        corridors=corridors,
        keep_outs=_load_keep_outs(path, s, frame),
    )


def _load_terrain(path: Path, s: SectorSettings, frame: LocalFrame) -> Terrain:
    t = s.terrain
    if t.sigma_m < 0:
        raise refuse(path, ["terrain", "sigma_m"], f"{t.sigma_m}: an error is 0 m or more")
    if not t.file:
        return FlatTerrain(t.height_msl_m, t.sigma_m, synthetic=t.synthetic)
    try:
        grid = read_terrain(path.parent / t.file, frame).terrain
    except (OSError, ValueError) as error:
        raise refuse(path, ["terrain", "file"], f"{path.parent / t.file}: {error}") from None
    if grid.synthetic and not t.synthetic:
        raise refuse(path, ["terrain", "synthetic"], f"false, and {t.file} says that its heights are made up. Say true.")
    if t.sigma_m < grid.sigma_m:
        raise refuse(path, ["terrain", "sigma_m"], f"{t.sigma_m}, and {t.file} says {grid.sigma_m:.2f}. Give that, or more.")
    grid.sigma_m, grid.synthetic = t.sigma_m, t.synthetic
    return grid


def _load_border(
    path: Path, s: SectorSettings, frame: LocalFrame, box: shapely.Polygon
) -> tuple[BorderLine, dict[str, object]]:
    file = path.parent / s.border.file
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        features = [f for f in document["features"] if f["properties"].get("kind") == "border"]
        degrees: BaseGeometry = shapely.union_all([shape(f["geometry"]) for f in features])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(path, ["border", "file"], f"{file}: not a readable GeoJSON border: {error}") from None
    if degrees.is_empty:
        raise refuse(path, ["border", "file"], f'{file}: holds no feature with "kind": "border" in its properties')
    line = shapely.transform(degrees, lambda c: frame.to_enu(c[:, 1], c[:, 0]))
    own = frame.to_enu(s.border.own_side[0], s.border.own_side[1])[0]
    try:
        own_side = split_sides(line.intersection(box), box, (float(own[0]), float(own[1])))
    except ValueError as error:
        raise refuse(path, ["border"], str(error)) from None
    if s.border.buffer_m < 0:
        raise refuse(path, ["border", "buffer_m"], f"{s.border.buffer_m}: a buffer is 0 m or more")
    drawn: dict[str, object] = {"type": "FeatureCollection", "features": features}
    return BorderLine(line, own_side, s.border.advisory, s.border.source, s.border.as_of), drawn


def _load_corridors(path: Path, s: SectorSettings) -> CorridorSet:
    corridors: list[Corridor] = []
    for i, c in enumerate(s.corridors):
        if len(c.centre_line) < 2:
            raise refuse(path, ["corridors", i, "centre_line"], "needs at least two points, each [latitude, longitude]")
        if c.width_m <= 0:
            raise refuse(path, ["corridors", i, "width_m"], f"{c.width_m}: a corridor is wider than 0 m, for example 30.0")
        if c.priority not in (1, 2, 3):
            raise refuse(path, ["corridors", i, "priority"], f"{c.priority}: give 1 (first), 2 or 3")
        if c.id in {other.id for other in corridors}:
            raise refuse(path, ["corridors", i, "id"], f'"{c.id}" is taken by an earlier corridor')
        minutes = (_minutes(path, i, c.alarm_hours[0]), _minutes(path, i, c.alarm_hours[1]))
        line = tuple(GroundPosition(lat, lon) for lat, lon in c.centre_line)
        corridors.append(Corridor(c.id, c.name, line, c.width_m, c.priority, minutes))
    return make_corridor_set(s.id, tuple(corridors))


def _minutes(path: Path, corridor: int, text: str) -> int:
    hours, _, minutes = text.partition(":")
    if hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) * 60 + int(minutes) <= 1440:
        return int(hours) * 60 + int(minutes)
    raise refuse(path, ["corridors", corridor, "alarm_hours"], f'"{text}": give local time as "HH:MM", up to "24:00"')


def _load_keep_outs(path: Path, s: SectorSettings, frame: LocalFrame) -> tuple[KeepOut, ...]:
    keep_outs = []
    for i, k in enumerate(s.keep_outs):
        outline = shapely.Polygon(frame.to_enu([p[0] for p in k.outline], [p[1] for p in k.outline]))
        if len(k.outline) < 3 or not outline.is_valid:
            raise refuse(path, ["keep_outs", i, "outline"], "give three points or more, of a ring that never crosses itself")
        keep_outs.append(KeepOut(k.id, k.name, outline))
    return tuple(keep_outs)
