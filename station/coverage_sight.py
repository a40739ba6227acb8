"""What one sensor has in its sight: which metres of trail, how large a person is there, and at what distance.

Light and weather come later (coverage_grades): this changes only when the sensor moves, turns or zooms.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """metres: (m,) of a Trail. density, distance_m: (m, 5) at its ACROSS, pixels a metre (0: not seen) and metres."""

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


def sight_of(optics: Optics, pose: Pose, sector: Sector, trail: Trail, growth: dict[str, Growth]) -> Sight:
    """All that a sensor could see of the trail in full light and clear air."""
    reach_m = min(optics.reach_m, REACH_LIMIT_M)
    metres = trail.near(pose.position[:2], reach_m)
    if not len(metres) or not np.isfinite(pose.height_msl_m):
        return NO_SIGHT
    feet = trail.feet_m[metres]
    flat = feet.reshape(-1, 3)
    seen = person_density(flat, pose, lens_of(optics))
    density, distance_m = seen.of_person, seen.distance_m
    density[~(distance_m <= reach_m)] = 0.0
    owner = np.repeat(trail.part_of[metres], len(ACROSS))
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
