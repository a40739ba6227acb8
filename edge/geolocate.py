"""From foot points in a picture to places on the ground, with honest errors."""

from __future__ import annotations

import math
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
ANGLE_STEP_DEG = 0.02                   # of numeric derivatives
PIXEL_STEP_PX = 0.5
TIME_STEP_S = 0.005
MARCH_STEP_M = 5.0

NODE = math.sqrt(3.0)           # deviations; the outer nodes of Gauss-Hermite's rule with three
FAR_SIGMAS = 2.8                # where a ridge is looked for; the 99 % ellipse ends at 3.03
SIDES = (-FAR_SIGMAS, -NODE, NODE, FAR_SIGMAS)
CURVE_LIMIT = 0.1               # deviations, for a deviation squared: beyond it no ellipse is true (benchmarks/geolocate.py)
ASTRAY_LIMIT = 0.4              # deviations that a far ray may be from where the nearer ones point
BENT_M = 2.0                    # and either must be as long as this: a crease of the map under a near foot is nothing
STRAIGHT_DOWN = 1e-3            # of a unit vector's flat part
TINY = 1e-12

BEYOND_REACH = "beyond the sensor's reach"
ABOVE_GROUND = "the ray meets no ground within reach"
TOO_UNSURE = "predicted error above the sensor's limit"
BROKEN = "the ground there is too broken, or too nearly along the ray, for one place"


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


def geolocate(
    foot_px: npt.ArrayLike, camera: Camera, estimate: PoseEstimate, terrain: Terrain, depth: BodyDepth | None = None
) -> GroundEstimate:
    """March the rays of foot_px (n, 2; pixels as the sensor gave them, still distorted) against terrain.

    depth: how far the middles of the n objects lie behind these points, to be placed instead; None places the points.

    Yaw, pitch, roll, position, height, pixel, the terrain's height and the moment of exposure (which moves all of the pose
    at once along its rates) err each for itself. All that they can do to a ray is to shift it sideways and up where it meets
    the ground, so two directions in the space of errors hold what matters to first order. Along these, rays at plus and
    minus sqrt(3) deviations are marched too, the nodes of Gauss-Hermite's rule and of the unscented transform (Julier &
    Uhlmann (1997), kappa = 3 - n): the covariance is then right to second order where the ground is curved or seen at a
    grazing angle. More rays, FAR_SIGMAS away, look for a ridge, or ground that turns away: a little of that widens the
    ellipse; much of it leaves no ellipse true, and the place is refused. A terrain that is wrong by one height everywhere
    moves the hit as the opposite error of the camera's height does, so the two are one. Raises nothing for rays that miss:
    they come back refused.
    """
    feet = np.asarray(foot_px, float).reshape(-1, 2)
    if len(feet) == 0:
        none = np.empty(0)
        return GroundEstimate(np.empty((0, 2)), np.empty((0, 2, 2)), none.astype(bool), (), none, none)
    rays = _rays(feet, camera, estimate, terrain)
    position, covariance, bend = _placed(rays, terrain, 2.0 * camera.reach_m)
    if depth is not None:
        away = rays.away
        position = position + away * depth.mean_m[:, None]
        along = np.einsum("ni,nj->nij", away, away)
        covariance = covariance + along * depth.sigma_m[:, None, None] ** 2
        covariance = covariance + (np.eye(2) - along) * depth.aside_sigma_m[:, None, None] ** 2
    reasons = _reasons(position, covariance, bend, camera, estimate.pose)
    bearing = np.degrees(np.arctan2(rays.looks[:, 0], rays.looks[:, 1])) % 360.0
    return GroundEstimate(
        position, covariance, np.array([bool(r) for r in reasons]), reasons, bearing, rays.bearing_sigma_deg()
    )


@dataclass(frozen=True, slots=True)
class _Rays:
    """The rays of n feet, and what one deviation of each of the m errors adds to them.

    origin: (3,) metres. looks: (n, 3) unit vectors. origin_errors: (m, 3) metres. look_errors: (m, n, 3).
    away: (n, 2) unit vectors; where on the ground that lies which is higher in the picture.
    """

    origin: Array
    looks: Array
    origin_errors: Array
    look_errors: Array
    away: Array

    def disturbed(self, errors: Array) -> tuple[Array, Array]:
        """Origins and looks, (n, 3) each, with (m, n) errors, in deviations."""
        looks = self.looks + np.einsum("mn,mni->ni", errors, self.look_errors)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        return self.origin + np.einsum("mn,mi->ni", errors, self.origin_errors), looks

    def bearing_sigma_deg(self) -> Array:
        """(n,) from the turning alone: where the camera is does not turn a ray."""
        east, north = self.looks[:, 0], self.looks[:, 1]
        flat = np.maximum(east**2 + north**2, TINY)
        turns = (self.look_errors[:, :, 0] * north - self.look_errors[:, :, 1] * east) / flat
        sigma: Array = np.minimum(np.degrees(np.sqrt((turns**2).sum(axis=0))), 180.0)
        return sigma

    def axes(self, range_m: Array) -> tuple[Array, Array]:
        """Two orthonormal directions in the space of errors, (m, n) each, for (n,) range_m.

        The first lifts the ray most, the second is what is left of moving it sideways. Nothing else moves it across itself.
        """
        across = np.column_stack([self.looks[:, 1], -self.looks[:, 0], np.zeros(len(self.looks))])
        across[np.linalg.norm(across, axis=1) < STRAIGHT_DOWN] = [1.0, 0.0, 0.0]
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        up = np.cross(across, self.looks)
        moved = self.origin_errors[:, None, :] + self.look_errors * range_m[None, :, None]
        sideways, lifted = np.einsum("mni,ni->mn", moved, across), np.einsum("mni,ni->mn", moved, up)
        lifting = lifted / np.maximum(np.linalg.norm(lifted, axis=0), TINY)
        rest = sideways - lifting * (sideways * lifting).sum(axis=0)
        return lifting, rest / np.maximum(np.linalg.norm(rest, axis=0), TINY)


def _placed(rays: _Rays, terrain: Terrain, reach_m: float) -> tuple[Array, Array, Array]:
    """Positions (n, 2), covariances (n, 2, 2), (n,) how far the ground is from what an ellipse can say: 1 is the limit."""
    n = len(rays.looks)
    hits = march(rays.origin, rays.looks, terrain, reach_m, MARCH_STEP_M)
    errors = [side * axis for axis in rays.axes(np.linalg.norm(hits - rays.origin, axis=1)) for side in SIDES]
    origins, looks = (np.concatenate(parts) for parts in zip(*(rays.disturbed(e) for e in errors), strict=True))
    around = march(origins, looks, terrain, reach_m, MARCH_STEP_M)[:, :2].reshape(2, len(SIDES), n, 2)
    middle = hits[:, :2]
    far_minus, minus, plus, far_plus = around.swapaxes(0, 1)                # (2 axes, n, 2) each
    slope = (plus - minus) / (2.0 * NODE)                                   # metres a deviation
    curve = (plus + minus - 2.0 * middle) / (2.0 * NODE**2)                 # metres a deviation squared
    belongs = middle + curve * FAR_SIGMAS**2
    astray = np.stack([far_plus - belongs - slope * FAR_SIGMAS, far_minus - belongs + slope * FAR_SIGMAS])
    longer = (np.linalg.norm(astray[0], axis=2) > np.linalg.norm(astray[1], axis=2))[..., None]
    worst = np.where(longer, astray[0], astray[1])                          # metres
    covariance = (
        np.einsum("ani,anj->nij", slope, slope)
        + 2.0 * np.einsum("ani,anj->nij", curve, curve)
        + np.einsum("ani,anj->nij", worst, worst) / FAR_SIGMAS**2
    )
    length = np.maximum(np.linalg.norm(slope, axis=2), TINY)
    worst_m, curve_m = np.linalg.norm(worst, axis=2), np.linalg.norm(curve, axis=2)
    bend = np.maximum(
        np.minimum(worst_m / length / ASTRAY_LIMIT, worst_m / BENT_M),
        np.minimum(curve_m / length / CURVE_LIMIT, curve_m * FAR_SIGMAS**2 / BENT_M),
    )
    return middle, covariance, bend.max(axis=0)


def _rays(feet: Array, camera: Camera, estimate: PoseEstimate, terrain: Terrain) -> _Rays:
    pose, sigma, rates = estimate.pose, estimate.sigma, estimate.rates
    shifts = np.array([[0.0, 0.0], [PIXEL_STEP_PX, 0.0], [-PIXEL_STEP_PX, 0.0], [0.0, PIXEL_STEP_PX], [0.0, -PIXEL_STEP_PX]])
    ideal = camera.lens.to_ideal((feet + shifts[:, None]).reshape(-1, 2))
    looks, right, left, lower, higher = directions(ideal, pose).reshape(5, -1, 3)
    seen = ideal[: len(feet)]

    def turning(plus: Pose, minus: Pose, sigmas: float) -> Array:
        return (directions(seen, plus) - directions(seen, minus)) / 2.0 * sigmas

    def of(field: str, one_sigma: float) -> Array:
        value = getattr(pose, field)
        plus, minus = (replace(pose, **{field: value + step}) for step in (ANGLE_STEP_DEG, -ANGLE_STEP_DEG))
        return turning(plus, minus, one_sigma / ANGLE_STEP_DEG)

    still = np.zeros_like(looks)
    # About the level line ahead, and not about the optical axis: a camera that looks down tilts too.
    ahead = np.array([math.sin(math.radians(pose.yaw_deg)), math.cos(math.radians(pose.yaw_deg)), 0.0])
    tilted = np.cross(ahead, looks) * math.radians(sigma.roll_deg)
    in_pixels = camera.pixel_sigma_px / PIXEL_STEP_PX / 2.0
    later, earlier = (turned(pose, rates, seconds) for seconds in (TIME_STEP_S, -TIME_STEP_S))
    height_sigma_m = float(np.hypot(sigma.height_m, terrain.sigma_m))
    speed = np.array([rates.east_m_s, rates.north_m_s, rates.up_m_s])
    return _Rays(
        origin=pose.position,
        looks=looks,
        origin_errors=np.vstack([
            np.diag([sigma.position_m, sigma.position_m, height_sigma_m]), np.zeros((5, 3)), speed * estimate.time_sigma_s,
        ]),
        look_errors=np.stack([
            still, still, still, of("yaw_deg", sigma.yaw_deg), of("pitch_deg", sigma.pitch_deg), tilted,
            (right - left) * in_pixels, (lower - higher) * in_pixels,
            turning(later, earlier, estimate.time_sigma_s / TIME_STEP_S),
        ]),
        away=_away(looks, higher - lower),
    )


def _away(looks: Array, higher: Array) -> Array:
    """(n, 2) unit vectors: the way of rays on level ground when they move `higher` (n, 3) in the picture.

    Away from the camera; it holds straight down too.
    """
    downwards = np.minimum(looks[:, 2], -TINY)
    level = higher[:, :2] - looks[:, :2] * (higher[:, 2] / downwards)[:, None]
    away: Array = level / np.maximum(np.linalg.norm(level, axis=1, keepdims=True), TINY)
    return away


def _reasons(position: Array, covariance: Array, bend: Array, camera: Camera, pose: Pose) -> tuple[str, ...]:
    """Why each is refused: by the longer semi-axis of the 90 % ellipse, never by an angle. Empty where it is not."""
    away = np.hypot(position[:, 0] - pose.east_m, position[:, 1] - pose.north_m)
    known = np.isfinite(covariance).all(axis=(1, 2))
    largest = np.full(len(position), np.nan)
    largest[known] = np.linalg.eigvalsh(covariance[known])[:, -1]
    semi_axis = np.sqrt(np.maximum(largest, 0.0) * CHI2_90_2DOF)
    reasons = []
    for distance, axis, bent in zip(away, semi_axis, bend, strict=True):
        if not np.isfinite(distance):
            reasons.append(ABOVE_GROUND)
        elif distance > camera.reach_m:
            reasons.append(f"{BEYOND_REACH}: {distance:.0f} m, {camera.reach_m:.0f} m allowed")
        elif not axis <= camera.error_limit_m:
            size = f"{axis:.0f} m" if np.isfinite(axis) else "unbounded"
            reasons.append(f"{TOO_UNSURE}: {size}, {camera.error_limit_m:.0f} m allowed")
        elif not bent <= 1.0:
            reasons.append(BROKEN)
        else:
            reasons.append("")
    return tuple(reasons)
