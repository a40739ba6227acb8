"""A sector, a time that is told when to move, and sensors that report: what the tests of coverage share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from cameras.camera import Camera
from cameras.footprint import footprint
from cameras.lens import Lens
from cameras.pose import Pose
from geofences.corridors import CorridorMap, make_corridor_set
from geofences.sector import Sector, load_sector
from geofences.terrain import GridTerrain
from wire.messages import Corridor, SensorReport, SensorState
from wire.optics import Optics, SensorKind
from wire.units import GroundPosition, HeightMsl, Position

SECTOR = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")
NOON = round(datetime(2026, 11, 25, 5, tzinfo=UTC).timestamp() * 1e9)           # 12:00 at Lao Bảo
MIDNIGHT = round(datetime(2026, 12, 8, 17, tzinfo=UTC).timestamp() * 1e9)       # 00:00, new moon
S = 1_000_000_000


def optics_of(
    yaw_deg: float, pitch_deg: float, focal: float = 1500.0, kind: SensorKind = SensorKind.DAY, **other: float
) -> Optics:
    return Optics(kind, 1920, 1080, focal, focal, 959.5, 539.5, yaw_deg, pitch_deg, other.pop("reach_m", 150.0), **other)


def beside(
    corridor: str, at_m: float, *, away_m: float = 40.0, height_m: float = 8.0, name: str = "gate-1", at_ns: int = NOON,
    sector: Sector = SECTOR, **optics: float,
) -> SensorReport:
    """A camera beside a corridor that looks straight at the metre at_m of its centre line."""
    line = sector.corridors.ground(corridor).centre_line
    here, ahead = (np.array(line.interpolate(d).coords[0]) for d in (at_m, at_m + 1.0))
    along = (ahead - here) / np.linalg.norm(ahead - here)
    mast = here + np.array([along[1], -along[0]]) * away_m
    look = here - mast
    ground = float(sector.terrain.height_msl_m([mast])[0])
    pitch = float(np.degrees(np.arctan2(float(sector.terrain.height_msl_m([here])[0]) + 0.85 - ground - height_m, away_m)))
    kind = SensorKind(optics.pop("kind", SensorKind.DAY))
    o = optics_of(float(np.degrees(np.arctan2(*look)) % 360.0), pitch, kind=kind, **optics)
    return report_of(name, mast, ground + height_m, o, at_ns, sector)


def report_of(
    name: str, place: np.ndarray, height_msl_m: float, optics: Optics | None, at_ns: int, sector: Sector = SECTOR
) -> SensorReport:
    ground = sector.frame.position(float(place[0]), float(place[1]))
    position = Position(ground.lat_deg, ground.lon_deg, HeightMsl(height_msl_m))
    return SensorReport(name, at_ns, position, (), SensorState.SEEING, at_ns, False, "", optics)


def with_outline(r: SensorReport, sector: Sector = SECTOR) -> SensorReport:
    """The same with the outline that its lens really has."""
    o = r.optics
    lens = Lens(o.width_px, o.height_px, o.fx, o.fy, o.cx, o.cy)
    east, north = sector.frame.to_enu(r.position.lat_deg, r.position.lon_deg)[0]
    pose = Pose(east, north, r.position.height.m, o.yaw_deg, o.pitch_deg, o.roll_deg)
    ring = footprint(Camera(lens, 2.0, 15.0, o.reach_m), pose, sector.terrain)
    degrees = sector.frame.from_enu(ring)
    return msgspec.structs.replace(r, footprint=tuple(GroundPosition(float(a), float(b)) for a, b in degrees))


def straight_sector(length_m: float = 400.0, ridge_m: float = 0.0, width_m: float = 20.0) -> Sector:
    """One corridor "east" along the parallel of the origin, over level ground at 165 m with a ridge 50 m south of it."""
    frame = SECTOR.frame
    heights = np.full((201, 201), 165.0)
    heights[94:97] += ridge_m           # posts of 10 m from -1000: 60, 50, 40 m south
    terrain = GridTerrain(heights, (-1000.0, -1000.0), 10.0, 0.5, synthetic=True)
    ends = tuple(frame.position(e, 0.0) for e in (-length_m / 2, length_m / 2))
    corridors = make_corridor_set("test", (Corridor("east", "East", ends, width_m, 1),))
    return replace(SECTOR, terrain=terrain, corridor_set=corridors, corridors=CorridorMap(corridors, frame))
