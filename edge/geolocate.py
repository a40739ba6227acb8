"""From foot points in a picture to places on the ground, with honest errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cameras.camera import Camera
from cameras.pose import Pose, PoseEstimate
from edge.bodies import BodyDepth
from geofences.geodesy import Array
from geofences.terrain import Terrain, march

CHI2_90_2DOF = 4.605170185988092        # scipy.stats.chi2.ppf(0.90, 2)
MARCH_STEP_M = 5.0

NODE = math.sqrt(3.0)           # deviations; the outer nodes of Gauss-Hermite's rule with three
FAR_SIGMAS = 2.8                # where a ridge is looked for; the 99 % ellipse ends at 3.03
SIDES = np.array([-FAR_SIGMAS, -NODE, NODE, FAR_SIGMAS])
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

    def rows(self, low: int, high: int) -> GroundEstimate:
        """Of the detections from `low` on, without `high`."""
        return GroundEstimate(
            self.position_enu_m[low:high], self.covariance_m2[low:high], self.refused[low:high], self.reasons[low:high],
            self.bearing_deg[low:high], self.bearing_sigma_deg[low:high],
        )


def geolocate(
    foot_px: npt.ArrayLike, camera: Camera, estimate: PoseEstimate, terrain: Terrain, depth: BodyDepth | None = None
) -> GroundEstimate:
    """March the rays of foot_px (n, 2; pixels as the sensor gave them, still distorted) against terrain.

    depth: how far the middles of the n objects lie behind these points, to be placed instead; None places the points.

    Yaw, pitch, roll, position, height, pixel, the terrain's height and the moment of exposure (which moves all of the pose
    at once along its rates) err each for itself; where a height is that of the ground below plus a measured one, an error
    of the position runs along the slope of that ground. All that they can do to a ray is to shift it sideways and up where
    it meets the ground, so two directions in the space of errors hold what matters to first order. Along these, rays at plus
    and minus sqrt(3) deviations are marched too, the nodes of Gauss-Hermite's rule and of the unscented transform (Julier &
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
        along, aside = depth.sigma_m**2, depth.aside_sigma_m**2
        covariance = covariance + away[:, :, None] * away[:, None, :] * (along - aside)[:, None, None]
        covariance[:, [0, 1], [0, 1]] += aside[:, None]
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

    def aside(self, range_m: Array) -> tuple[Array, Array]:
        """Origins and looks, (2 * sides * n, 3) each, SIDES deviations along both of the `axes`."""
        axes = self.axes(range_m)
        starts = np.matmul(axes.transpose(0, 2, 1), self.origin_errors)                     # (2, n, 3)
        turns = np.einsum("amn,mni->ani", axes, self.look_errors)
        sides = SIDES[:, None, None]
        looks = self.looks + sides * turns[:, None]
        looks /= _long(looks)[..., None]
        return (self.origin + sides * starts[:, None]).reshape(-1, 3), looks.reshape(-1, 3)

    def bearing_sigma_deg(self) -> Array:
        """(n,) from the turning alone: where the camera is does not turn a ray."""
        east, north = self.looks[:, 0], self.looks[:, 1]
        flat = np.maximum(east**2 + north**2, TINY)
        turns = (self.look_errors[:, :, 0] * north - self.look_errors[:, :, 1] * east) / flat
        sigma: Array = np.minimum(np.degrees(np.sqrt((turns**2).sum(axis=0))), 180.0)
        return sigma

    def axes(self, range_m: Array) -> Array:
        """(2, m, n) two orthonormal directions in the space of errors, for (n,) range_m.

        The first lifts the ray most, the second is what is left of moving it sideways. Nothing else moves it across itself.
        """
        east, north, up = self.looks.T
        flat = np.hypot(east, north)
        level = flat >= STRAIGHT_DOWN
        flat = np.where(level, flat, 1.0)
        right_e, right_n = np.where(level, north / flat, 1.0), np.where(level, -east / flat, 0.0)
        # Across the ray: level to the right, and that times the ray, which points up.
        across = np.array([
            [right_e, right_n, np.zeros_like(east)], [right_n * up, -right_e * up, right_e * north - right_n * east],
        ])
        moved = self.origin_errors[:, None, :] + self.look_errors * range_m[:, None]
        sideways, lifted = np.einsum("mni,cin->cmn", moved, across)
        lifting = lifted / np.maximum(np.sqrt((lifted**2).sum(axis=0)), TINY)
        rest = sideways - lifting * (sideways * lifting).sum(axis=0)
        return np.stack([lifting, rest / np.maximum(np.sqrt((rest**2).sum(axis=0)), TINY)])


def _placed(rays: _Rays, terrain: Terrain, reach_m: float) -> tuple[Array, Array, Array]:
    """Positions (n, 2), covariances (n, 2, 2), (n,) how far the ground is from what an ellipse can say: 1 is the limit."""
    hits = march(rays.origin, rays.looks, terrain, reach_m, MARCH_STEP_M)
    around = march(*rays.aside(_long(hits - rays.origin)), terrain, reach_m, MARCH_STEP_M)
    middle = hits[:, :2]
    far_minus, minus, plus, far_plus = around[:, :2].reshape(2, len(SIDES), -1, 2).swapaxes(0, 1)       # (2 axes, n, 2) each
    slope = (plus - minus) / (2.0 * NODE)                                   # metres a deviation
    curve = (plus + minus - 2.0 * middle) / (2.0 * NODE**2)                 # metres a deviation squared
    belongs = middle + curve * FAR_SIGMAS**2
    straight = slope * FAR_SIGMAS
    one, other = far_plus - belongs - straight, far_minus - belongs + straight
    one_m, other_m = _long(one), _long(other)
    longer = one_m > other_m
    worst, worst_m = np.where(longer[..., None], one, other), np.where(longer, one_m, other_m)          # metres
    parts = np.concatenate([slope, curve * math.sqrt(2.0), worst / FAR_SIGMAS])
    covariance = np.einsum("kni,knj->nij", parts, parts)
    length, curve_m = np.maximum(_long(slope), TINY), _long(curve)
    bend = np.maximum(
        np.minimum(worst_m / length / ASTRAY_LIMIT, worst_m / BENT_M),
        np.minimum(curve_m / length / CURVE_LIMIT, curve_m * FAR_SIGMAS**2 / BENT_M),
    )
    return middle, covariance, bend.max(axis=0)


def _long(vectors: Array) -> Array:
    """Lengths of (..., k) vectors."""
    return np.asarray(np.sqrt(np.vecdot(vectors, vectors)))


@dataclass(frozen=True, slots=True)
class _Errors:
    """What a pose's own errors do, whatever pixel is looked at.

    rotation: (3, 3) of the pose. turns: (4, 3, 3) times a look (3,) is what one deviation of yaw, of pitch, of the tilt to
    the side and of time adds to it. origins: (9, 3) metres, of the three places, the three angles, two pixels and time.
    """

    position: Array
    rotation: Array
    turns: Array
    origins: Array


@lru_cache(maxsize=4)
def _errors(estimate: PoseEstimate, terrain_sigma_m: float) -> _Errors:
    """A camera that stands has the same ones in every picture.

    An angle that errs turns all looks about its own axis: yaw about the vertical, pitch about the level line to the right,
    a tilt to the side about the level line ahead (and not the optical axis: a camera that looks down tilts too), and time
    about all three at their rates, there by Pose's own roll, which is about the optical axis.
    """
    pose, sigma, rates = estimate.pose, estimate.sigma, estimate.rates
    rotation = pose.rotation()
    yaw = math.radians(pose.yaw_deg)
    down, right = np.array([0.0, 0.0, -1.0]), np.array([math.cos(yaw), -math.sin(yaw), 0.0])
    ahead = np.array([math.sin(yaw), math.cos(yaw), 0.0])
    spin = rates.yaw_deg_s * down + rates.pitch_deg_s * right + rates.roll_deg_s * rotation[:, 2]
    axes = np.array([down * sigma.yaw_deg, right * sigma.pitch_deg, ahead * sigma.roll_deg, spin * estimate.time_sigma_s])
    origins = np.zeros((9, 3))
    origins[[0, 1, 2], [0, 1, 2]] = sigma.position_m, sigma.position_m, math.hypot(sigma.height_m, terrain_sigma_m)
    origins[:2, 2] = np.multiply(estimate.slope, sigma.position_m)
    origins[8] = np.array([rates.east_m_s, rates.north_m_s, rates.up_m_s]) * estimate.time_sigma_s
    return _Errors(pose.position, rotation, np.cross(np.radians(axes)[:, None, :], np.eye(3)).transpose(0, 2, 1), origins)


def _rays(feet: Array, camera: Camera, estimate: PoseEstimate, terrain: Terrain) -> _Rays:
    errors = _errors(estimate, terrain.sigma_m)
    ideal, slopes = camera.lens.to_ideal_with_slopes(feet)
    n = len(feet)
    forward = np.ones((n, 3))
    forward[:, :2] = ideal
    length = _long(forward)
    forward /= length[:, None]
    # A pixel aside moves the end of the ray before it is brought to length one: what lies along the ray goes (n, 2, 3).
    moved = np.zeros((n, 2, 3))
    moved[:, :, :2] = slopes.transpose(0, 2, 1) * (camera.pixel_sigma_px / length)[:, None, None]
    moved -= np.matmul(moved, forward[:, :, None]) * forward[:, None, :]
    back = errors.rotation.T
    looks = forward @ back
    look_errors = np.zeros((9, n, 3))
    turned = np.matmul(looks, errors.turns.transpose(0, 2, 1))
    look_errors[3:6], look_errors[8] = turned[:3], turned[3]
    look_errors[6:8] = np.matmul(moved, back).transpose(1, 0, 2)
    return _Rays(errors.position, looks, errors.origins, look_errors, _away(looks, -look_errors[7]))


def _away(looks: Array, higher: Array) -> Array:
    """(n, 2) unit vectors: the way of rays on level ground when they move `higher` (n, 3) in the picture.

    Away from the camera; it holds straight down too.
    """
    downwards = np.minimum(looks[:, 2], -TINY)
    level = higher[:, :2] - looks[:, :2] * (higher[:, 2] / downwards)[:, None]
    away: Array = level / np.maximum(_long(level), TINY)[:, None]
    return away


def _reasons(position: Array, covariance: Array, bend: Array, camera: Camera, pose: Pose) -> tuple[str, ...]:
    """Why each is refused: by the longer semi-axis of the 90 % ellipse, never by an angle. Empty where it is not."""
    distance_m = np.hypot(position[:, 0] - pose.east_m, position[:, 1] - pose.north_m)
    ee, en, nn = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    largest = (ee + nn) / 2.0 + np.hypot((ee - nn) / 2.0, en)           # of the two eigenvalues
    semi_axis_m = np.sqrt(largest * CHI2_90_2DOF)
    good = (distance_m <= camera.reach_m) & (semi_axis_m <= camera.error_limit_m) & (bend <= 1.0)
    reasons = [""] * len(good)
    for i in (~good).nonzero()[0].tolist():
        distance, axis = float(distance_m[i]), float(semi_axis_m[i])
        if not math.isfinite(distance):
            reasons[i] = ABOVE_GROUND
        elif distance > camera.reach_m:
            reasons[i] = f"{BEYOND_REACH}: {distance:.0f} m, {camera.reach_m:.0f} m allowed"
        elif not axis <= camera.error_limit_m:
            size = f"{axis:.0f} m" if math.isfinite(axis) else "unbounded"
            reasons[i] = f"{TOO_UNSURE}: {size}, {camera.error_limit_m:.0f} m allowed"
        else:
            reasons[i] = BROKEN
    return tuple(reasons)
