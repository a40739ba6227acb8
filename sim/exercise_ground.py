"""An exercise as a map of the trainer's desk draws it: its sector, its trails and roads, its cameras' footprints."""

from __future__ import annotations

import msgspec
import numpy as np

from cameras.footprint import footprint
from cameras.pose import Pose
from edge.camera_settings import CameraSettings, camera_of
from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import Terrain
from sim.exercise_scenario import Exercise
from sim.exercise_settings import DroneEntry
from sim.landscape_cache import cached_landscape, digest
from sim.landscape_lines import lengths_along
from station.geography import Geography, draw_geography
from wire.units import GroundPosition

POINT_EVERY_M = 6.0             # of a line that is drawn, and that a way is laid along

LatLon = tuple[float, float]


class LineView(msgspec.Struct, frozen=True):
    """A trail or a road: points as latitude, longitude and metres from its start. is_road: only wheels drive there."""

    name: str
    is_road: bool
    length_m: float
    points: tuple[tuple[float, float, float], ...]


class EyeView(msgspec.Struct, frozen=True):
    """A camera of an exercise. footprint: ring of places; empty for one that flies, and for one that sees no ground."""

    id: str
    position: LatLon
    yaw_deg: float
    is_flying: bool
    footprint: tuple[LatLon, ...]


class GroundView(msgspec.Struct, frozen=True):
    geography: Geography
    lines: tuple[LineView, ...]
    eyes: tuple[EyeView, ...]


def ground_of(exercise: Exercise) -> GroundView:
    """May take some seconds where the landscape was never made on this machine."""
    terrain, roads = _terrain(exercise)
    eyes = []
    for eye in exercise.eyes:
        if eye.is_flying:
            assert isinstance(eye.entry, DroneEntry)
            eyes.append(EyeView(eye.id, eye.entry.home, 0.0, True, ()))
            continue
        c = eye.settings
        assert c.position is not None and c.yaw_deg is not None
        eyes.append(EyeView(eye.id, c.position, c.yaw_deg, False, footprint_of(c, exercise.sector, terrain)))
    lines = [_line(name, line, name in roads, exercise.sector) for name, line in exercise.scenario.lines.items()]
    return GroundView(draw_geography(exercise.sector, exercise.sector_file), tuple(lines), tuple(eyes))


def terrain_of(exercise: Exercise) -> Terrain:
    return _terrain(exercise)[0]


def footprint_of(c: CameraSettings, sector: Sector, terrain: Terrain) -> tuple[LatLon, ...]:
    """The ground that a camera on a mast sees, as far as its settings say where it looks."""
    if c.position is None or c.height_agl_m is None or c.yaw_deg is None or c.pitch_deg is None:
        return ()
    east, north = (float(v) for v in sector.frame.point(GroundPosition(*c.position)))
    height = float(terrain.height_msl_m([[east, north]])[0]) + c.height_agl_m
    ring = footprint(camera_of(c), Pose(east, north, height, c.yaw_deg, c.pitch_deg, c.roll_deg), terrain)
    if not len(ring):
        return ()
    return tuple((round(float(lat), 7), round(float(lon), 7)) for lat, lon in sector.frame.from_enu(ring))


_kept: dict[str, tuple[Terrain, frozenset[str]]] = {}


def _terrain(exercise: Exercise) -> tuple[Terrain, frozenset[str]]:
    """Of the landscape, which is 60 MB as a whole: only this is kept."""
    key = digest(exercise.scenario)
    if key not in _kept:
        landscape = cached_landscape(exercise.scenario)
        _kept.clear()
        _kept[key] = landscape.terrain, frozenset(landscape.roads)
    return _kept[key]


def _line(name: str, line: Array, is_road: bool, sector: Sector) -> LineView:
    along = lengths_along(line)
    at = np.linspace(0.0, along[-1], max(2, round(float(along[-1]) / POINT_EVERY_M) + 1))
    points = np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
    degrees = sector.frame.from_enu(points)
    return LineView(name, is_road, round(float(along[-1]), 1), tuple(
        (round(float(lat), 7), round(float(lon), 7), round(float(s), 1)) for (lat, lon), s in zip(degrees, at, strict=True)
    ))
