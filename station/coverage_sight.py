"""What one sensor has in its sight: which metres of trail, how large a person is there, and at what distance.

Light and weather come later (coverage_grades): this changes only when the sensor moves, turns or zooms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cameras.density import FREE_SHARE, PERSON_M, UP, person_density
from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from geofences.geodesy import Array
from geofences.line_of_sight import clear_sight
from geofences.sector import Sector
from station.coverage_settings import Growth
from station.coverage_trail import ACROSS, Indices, Trail
from wire.messages import SensorReport
from wire.optics import Optics
from wire.units import HeightAgl, HeightEllipsoid, Position

REACH_LIMIT_M = 3000.0          # whatever a node claims: beyond it the frame's plane and the ground part by a metre
NARROWEST_DEG = 0.5             # a picture narrower than this is no lens but a wrong number
OUTLINE_MARGIN = 0.05           # of the picture's sides: a drone moves while its outline is drawn
OUTLINE_REACH = 1.2
OUTLINE_WRONG = 0.1             # of an outline's corners, that its lens cannot see: then it is not this sensor's outline


@dataclass(frozen=True, slots=True)
class Sight:
    """metres: (m,) of a Trail. density, distance_m: (m, places) across it, pixels a metre (0: not seen) and metres."""

    metres: Indices
    density: Array
    distance_m: Array

    @property
    def is_empty(self) -> bool:
        return len(self.metres) == 0


NO_SIGHT = Sight(np.empty(0, np.intp), np.empty((0, len(ACROSS))), np.empty((0, len(ACROSS))))


def lens_of(o: Optics) -> Lens:
    return Lens(o.width_px, o.height_px, o.fx, o.fy, o.cx, o.cy, o.k1, o.k2, o.p1, o.p2, o.k3)


def pose_of(optics: Optics, position: Position, sector: Sector) -> Pose:
    """Where a sensor is in the sector's frame; its height above mean sea level is NaN where the ground's is not known."""
    east, north = (float(v) for v in sector.frame.to_enu(position.lat_deg, position.lon_deg)[0])
    height = position.height
    if isinstance(height, HeightAgl):
        msl_m = float(sector.terrain.height_msl_m([[east, north]])[0]) + height.m
    elif isinstance(height, HeightEllipsoid):
        msl_m = height.m - sector.geoid_undulation_m
    else:
        msl_m = height.m
    return Pose(east, north, msl_m, optics.yaw_deg, optics.pitch_deg, optics.roll_deg)


def is_plausible(optics: Optics) -> bool:
    """Whether there are such lenses."""
    return bool(optics.width_px / optics.fx >= 2.0 * np.tan(np.radians(NARROWEST_DEG / 2.0)))


def sight_of(
    optics: Optics, pose: Pose, sector: Sector, trail: Trail, growth: dict[str, Growth], places: int = len(ACROSS)
) -> Sight:
    """All that a sensor could see of the trail in full light and clear air. places: how many of ACROSS to look at."""
    reach_m = min(optics.reach_m, REACH_LIMIT_M)
    metres = trail.near(pose.position[:2], reach_m)
    if not len(metres) or not np.isfinite(pose.height_msl_m):
        return NO_SIGHT
    metres = metres[_ahead(trail.feet_m[metres], pose, lens_of(optics))]
    feet = trail.feet_m[metres, :places]
    flat = feet.reshape(-1, 3)
    seen = person_density(flat, pose, lens_of(optics))
    density, distance_m = seen.of_person, seen.distance_m
    density[~(distance_m <= reach_m)] = 0.0
    owner = np.repeat(trail.part_of[metres], places)
    for corridor, grown in growth.items():
        density[(owner == _part_number(trail, corridor)) & _overgrown(flat, pose, distance_m, grown)] = 0.0
    candidates = np.flatnonzero(density)
    if len(candidates):
        body = flat[candidates] + UP * PERSON_M * (1.0 - FREE_SHARE)
        density[candidates[~clear_sight(pose.position, body, sector.terrain)]] = 0.0
    shape = feet.shape[:2]
    density, distance_m = density.reshape(shape), distance_m.reshape(shape)
    some = density.any(axis=1)
    return Sight(metres[some], density[some], distance_m[some])


def _ahead(feet: Array, pose: Pose, lens: Lens) -> npt.NDArray[np.bool_]:
    """(m,) whether anybody on a metre (m, 5, 3) may be in the picture: what is surely beside it costs no projection."""
    centre = feet[:, 0] + UP * PERSON_M / 2.0
    away = centre - pose.position
    distance = np.maximum(np.linalg.norm(away, axis=1), 1e-6)
    angle = np.arccos(np.clip(away @ pose.rotation()[:, 2] / distance, -1.0, 1.0))
    aside = np.linalg.norm(feet[:, 1] - feet[:, 0], axis=1) + PERSON_M
    beside = angle - np.arcsin(np.minimum(aside / distance, 1.0)) > _half_angle(lens)
    return np.asarray(~beside)      # ground of unknown height is not surely beside it


@lru_cache(maxsize=256)
def _half_angle(lens: Lens) -> float:
    """From the axis to the farthest corner, radians; half a turn where the distortion reaches no corner."""
    right, bottom = lens.width_px - 0.5, lens.height_px - 0.5
    corners = lens.to_ideal([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
    angles = np.arctan(np.hypot(corners[:, 0], corners[:, 1]))
    return float(angles.max()) if np.isfinite(angles).all() else float(np.pi)


def between(a: Pose, b: Pose) -> tuple[float, float]:
    """How far apart two poses are: metres, and degrees of the shortest turn."""
    turn = a.rotation().T @ b.rotation()
    degrees = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))))
    return float(np.linalg.norm(b.position - a.position)), degrees


def on_the_way(a: Pose, b: Pose, part: float) -> Pose:
    """From a (0) to b (1), each angle the shorter way round: good enough for the few degrees of a second."""

    def angle(x: float, y: float) -> float:
        return x + ((y - x + 180.0) % 360.0 - 180.0) * part

    east, north, height = a.position + (b.position - a.position) * part
    return Pose(
        float(east), float(north), float(height), angle(a.yaw_deg, b.yaw_deg), angle(a.pitch_deg, b.pitch_deg),
        angle(a.roll_deg, b.roll_deg),
    )


def _part_number(trail: Trail, corridor: str) -> int:
    return next((i for i, p in enumerate(trail.parts) if p.id == corridor), -1)


def _overgrown(feet: Array, pose: Pose, distance_m: Array, growth: Growth) -> npt.NDArray[np.bool_]:
    """Whether more of a line of sight lies in the growth than hides half a person."""
    rise = np.maximum(pose.height_msl_m - feet[:, 2] - PERSON_M * (1.0 - FREE_SHARE), 1e-6)
    inside_m = distance_m * np.minimum(growth.height_m / rise, 1.0)
    return np.asarray(inside_m > growth.sight_m)


def contradicts_itself(report: SensorReport, pose: Pose, sector: Sector) -> bool:
    """Whether the outline that a sensor draws is not the one that its lens, place and attitude give."""
    optics = report.optics
    if optics is None or len(report.footprint) < 3:
        return False
    outline = sector.frame.to_enu([p.lat_deg for p in report.footprint], [p.lon_deg for p in report.footprint])
    ground = np.column_stack([outline, sector.terrain.height_msl_m(outline)])
    margin_px = OUTLINE_MARGIN * max(optics.width_px, optics.height_px)
    inside = lens_of(optics).holds(project(ground, pose, lens_of(optics)), margin_px)
    inside &= np.hypot(outline[:, 0] - pose.east_m, outline[:, 1] - pose.north_m) <= optics.reach_m * OUTLINE_REACH
    return bool(np.mean(~inside) > OUTLINE_WRONG)
