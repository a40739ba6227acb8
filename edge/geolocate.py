"""From foot points in a picture to places on the ground, with honest errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cameras.camera import Camera
from cameras.pose import Pose, PoseEstimate, turned
from cameras.project import directions
from edge.bodies import BodyDepth
from geofences.geodesy import Array
from geofences.terrain import Terrain, march

CHI2_90_2DOF = 4.605170185988092        # scipy.stats.chi2.ppf(0.90, 2)
ANGLE_STEP_DEG = 0.02                   # of numeric derivatives: far above the marching's error, far below any curvature
LENGTH_STEP_M = 0.05
PIXEL_STEP_PX = 0.5
TIME_STEP_S = 0.005
MARCH_STEP_M = 5.0

VERTICAL_PIXEL = 7              # its place among _variations

BEYOND_REACH = "beyond the sensor's reach"
ABOVE_GROUND = "the ray meets no ground within reach"
TOO_UNSURE = "predicted error above the sensor's limit"


@dataclass(frozen=True, slots=True)
class GroundEstimate:
    """Where the foot points of n detections meet the terrain.

    position_enu_m: (n, 2) east, north in metres from the sector's origin (WGS 84 tangent plane); NaN where no ground is met.
    covariance_m2:  (n, 2, 2), one sigma squared, same axes; NaN where there is no position.
    refused:        (n,) bool; True where the predicted error exceeds the sensor's limit and only the bearing holds.
    reasons:        n sentences, empty where not refused.
    bearing_deg, bearing_sigma_deg: (n,) from the camera, clockwise from north, and one sigma.
    """

    position_enu_m: Array
    covariance_m2: Array
    refused: npt.NDArray[np.bool_]
    reasons: tuple[str, ...]
    bearing_deg: Array
    bearing_sigma_deg: Array


@dataclass(frozen=True, slots=True)
class _Variation:
    """One source of error: a pose moved by plus and minus one step, or the pixels; `sigmas` is its sigma in steps."""

    plus: Pose
    minus: Pose
    pixel_step: tuple[float, float]
    sigmas: float


def geolocate(
    foot_px: npt.ArrayLike, camera: Camera, estimate: PoseEstimate, terrain: Terrain, depth: BodyDepth | None = None
) -> GroundEstimate:
    """March the rays of foot_px (n, 2; pixels as the sensor gave them, still distorted) against terrain.

    depth: how far the middles of the n objects lie behind these points, to be placed instead; None places the points.

    First-order error propagation as in Hartley & Zisserman (2004), 5.2.6. The Jacobian is numeric, because the terrain is,
    over yaw, pitch, roll, position, height, pixel, terrain height, and the moment of exposure, which moves all of the pose
    at once along its rates. A terrain that is wrong by one height everywhere moves the hit as the opposite error of the
    camera's height does, so the two add in one column. Raises nothing for rays that miss: they come back refused.
    """
    feet = np.asarray(foot_px, float).reshape(-1, 2)
    n = len(feet)
    if n == 0:
        none = np.empty(0)
        return GroundEstimate(np.empty((0, 2)), np.empty((0, 2, 2)), none.astype(bool), (), none, none)
    variations = _variations(camera, estimate, terrain)
    poses = [estimate.pose, *(p for v in variations for p in (v.plus, v.minus))]
    shifts = [(0.0, 0.0), *(s for v in variations for s in (v.pixel_step, (-v.pixel_step[0], -v.pixel_step[1])))]
    looks = np.concatenate([
        directions(camera.lens.to_ideal(feet + shift), pose) for pose, shift in zip(poses, shifts, strict=True)
    ])
    origins = np.repeat(np.stack([p.position for p in poses]), n, axis=0)
    hits = march(origins, looks, terrain, reach_m=2.0 * camera.reach_m, step_m=MARCH_STEP_M)[:, :2].reshape(-1, n, 2)
    bearings = np.degrees(np.arctan2(looks[:, 0], looks[:, 1])).reshape(-1, n)
    sigmas = np.array([v.sigmas for v in variations])

    position = hits[0]
    columns = (hits[1::2] - hits[2::2]) / 2.0 * sigmas[:, None, None]          # (errors, n, 2), metres a sigma
    covariance = np.einsum("kni,knj->nij", columns, columns)
    if depth is not None:
        # Away from the camera is where the ground goes that lies higher in the picture; that holds straight down too.
        away = hits[2 * VERTICAL_PIXEL + 2] - hits[2 * VERTICAL_PIXEL + 1]
        away = away / np.linalg.norm(away, axis=1, keepdims=True)
        position = position + away * depth.mean_m[:, None]
        along = np.einsum("ni,nj->nij", away, away)
        covariance = covariance + along * depth.sigma_m[:, None, None] ** 2
        covariance = covariance + (np.eye(2) - along) * depth.aside_sigma_m[:, None, None] ** 2
    turns = (bearings[1::2] - bearings[2::2] + 180.0) % 360.0 - 180.0
    bearing_sigma = np.sqrt((((turns / 2.0) * sigmas[:, None]) ** 2).sum(axis=0))
    reasons = _reasons(position, covariance, camera, estimate.pose)
    return GroundEstimate(
        position, covariance, np.array([bool(r) for r in reasons]), reasons, bearings[0] % 360.0, bearing_sigma
    )


def _variations(camera: Camera, estimate: PoseEstimate, terrain: Terrain) -> list[_Variation]:
    pose, sigma = estimate.pose, estimate.sigma

    def of(step: float, one_sigma: float, field: str) -> _Variation:
        value = getattr(pose, field)
        return _Variation(
            replace(pose, **{field: value + step}), replace(pose, **{field: value - step}), (0.0, 0.0), one_sigma / step
        )

    pixel_sigmas = camera.pixel_sigma_px / PIXEL_STEP_PX
    return [
        of(ANGLE_STEP_DEG, sigma.yaw_deg, "yaw_deg"),
        of(ANGLE_STEP_DEG, sigma.pitch_deg, "pitch_deg"),
        of(ANGLE_STEP_DEG, sigma.roll_deg, "roll_deg"),
        of(LENGTH_STEP_M, sigma.position_m, "east_m"),
        of(LENGTH_STEP_M, sigma.position_m, "north_m"),
        of(LENGTH_STEP_M, float(np.hypot(sigma.height_m, terrain.sigma_m)), "height_msl_m"),
        _Variation(pose, pose, (PIXEL_STEP_PX, 0.0), pixel_sigmas),
        _Variation(pose, pose, (0.0, PIXEL_STEP_PX), pixel_sigmas),
        _Variation(
            turned(pose, estimate.rates, TIME_STEP_S), turned(pose, estimate.rates, -TIME_STEP_S), (0.0, 0.0),
            estimate.time_sigma_s / TIME_STEP_S,
        ),
    ]


def _reasons(position: Array, covariance: Array, camera: Camera, pose: Pose) -> tuple[str, ...]:
    """Why each is refused: by the longer semi-axis of the 90 % ellipse, never by an angle. Empty where it is not."""
    away = np.hypot(position[:, 0] - pose.east_m, position[:, 1] - pose.north_m)
    known = np.isfinite(covariance).all(axis=(1, 2))
    largest = np.full(len(position), np.nan)
    largest[known] = np.linalg.eigvalsh(covariance[known])[:, -1]
    semi_axis = np.sqrt(np.maximum(largest, 0.0) * CHI2_90_2DOF)
    reasons = []
    for distance, axis in zip(away, semi_axis, strict=True):
        if not np.isfinite(distance):
            reasons.append(ABOVE_GROUND)
        elif distance > camera.reach_m:
            reasons.append(f"{BEYOND_REACH}: {distance:.0f} m, {camera.reach_m:.0f} m allowed")
        elif not axis <= camera.error_limit_m:
            size = f"{axis:.0f} m" if np.isfinite(axis) else "unbounded"
            reasons.append(f"{TOO_UNSURE}: {size}, {camera.error_limit_m:.0f} m allowed")
        else:
            reasons.append("")
    return tuple(reasons)
