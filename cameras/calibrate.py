"""A camera's pose from points clicked on its picture and on the map.

The directions to the points alone give a first turn without any guess (Wahba's problem, by scipy's align_vectors). From
there least squares over the pixels: with a robust loss first, so that one wrong click does not bend the others, then a
plain one, whose Jacobian is the covariance. Where the camera stands is an observation too, with the sigma of its survey.

A fit is judged as a whole, and by the point that fits least, each against the scatter that its own part in the fit leaves it
(Baarda 1968, "A testing procedure for use in geodetic networks"): seven good points hide an eighth from the sum of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from cameras.calibrate_words import Told, refusal
from cameras.lens import Lens
from cameras.pose import Pose, PoseSigma, pose_from_rotation
from cameras.project import project, rays
from geofences.geodesy import Array
from geofences.terrain import Terrain

LEAST_POINTS = 4
CLICK_SIGMA_PX = 1.5            # one sigma of a careful click on a corner of something; our own assumption
CHANCE_LIMIT = 1e-3             # residuals that honest clicks reach more rarely than this are refused
DISTINCT = 30.0                 # so much likelier must the others be without the one that is blamed than without any other
UNCHECKED = 0.01                # of its variance left to a residual: less, and no other point says anything about it
ROBUST_SCALE = 2.0              # deviations beyond which a point counts less (scipy's f_scale)
BEHIND = 1e3                    # deviations, for a point that a trial pose has behind the camera
NARROW_SHARE = 0.02             # of the picture's diagonal: points that spread less than this across their line are a line
CORNER_SHARE = 0.08             # likewise along it: all in one corner
ANGLE_SIGMA_LIMIT_DEG = 1.0     # of yaw and pitch; a pose that is worse than this is none: a compass does as well
ROLL_SIGMA_LIMIT_DEG = 2.0      # roll turns about the picture's middle, and moves nothing far
FOCAL_SIGMA_LIMIT = 0.05        # of the focal length
K1_SIGMA_LIMIT = 0.1
K1_STEP = 0.05                  # how far from nothing k1 may well be: the scale of its search


@dataclass(frozen=True, slots=True)
class MarkedPoint:
    """One thing that is seen in the picture and known on the map.

    pixel: x, y of the picture for which the lens is given. place: east, north, metres above mean sea level.
    sigma_m, height_sigma_m: one sigma of the place, each axis, and of its height.
    """

    name: str
    pixel: tuple[float, float]
    place: tuple[float, float, float]
    sigma_m: float
    height_sigma_m: float


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known before. position: east, north, metres above mean sea level, with one sigma each; 0 holds it fast.

    free_focal, free_k1: solve for these too, from those of the lens.
    terrain: whose height at `position` is in that of the camera, so that a camera beside it stands as much higher or lower
    as the ground does, and height_sigma_m is of its height above the ground; None for a height of its own.
    """

    position: tuple[float, float, float]
    position_sigma_m: float
    height_sigma_m: float
    lens: Lens
    free_focal: bool = False
    free_k1: bool = False
    click_sigma_px: float = CLICK_SIGMA_PX
    terrain: Terrain | None = None

    def rise_m(self, east_m: float, north_m: float) -> float:
        """How much higher the ground is there than where the survey has the camera; NaN in a hole."""
        if self.terrain is None:
            return 0.0
        here, there = self.terrain.height_msl_m([self.position[:2], (east_m, north_m)])
        return float(there - here)


@dataclass(frozen=True, slots=True)
class Calibration:
    """off_px, off_m: (n,) from each click to where the point should be, in the picture and across the line of sight.

    deviations: (n,) the same in sigmas. chance: with which honest clicks leave residuals as large as these or larger, all
    together or in the one of them that fits least, whichever is rarer.
    covariance: of yaw, pitch, roll (degrees) and then those of east, north, height (metres), focal length (share) and k1
    that were free, in this order. Its height, and sigma's, is that above the ground where the survey has a terrain.
    """

    pose: Pose
    sigma: PoseSigma
    lens: Lens
    off_px: Array
    off_m: Array
    deviations: Array
    chance: float
    covariance: Array
    focal_sigma: float
    k1_sigma: float


class CalibrationRefused(ValueError):
    """No pose can be had from these points. Its text says why and what to do; found: the fit that was refused, if any.

    key: of calibrate_words.REFUSALS, in which `told` is put.
    """

    def __init__(self, key: str, found: Calibration | None = None, **told: Told) -> None:
        super().__init__(refusal(key, "en", told))
        self.found = found
        self._key, self._told = key, told

    def text(self, language: str) -> str:
        return refusal(self._key, language, self._told)


def calibrate(points: Sequence[MarkedPoint], survey: Survey) -> Calibration:
    """The pose that explains the points best, and how sure it is. Raises CalibrationRefused."""
    _check_points(points, survey.lens)
    found = _fit(points, survey)
    _check_fit(found, points, survey)
    return found


def _check_points(points: Sequence[MarkedPoint], lens: Lens) -> None:
    if len(points) < LEAST_POINTS:
        raise CalibrationRefused("few", count=len(points), least=LEAST_POINTS)
    pixels = np.array([p.pixel for p in points])
    numbers = np.column_stack([pixels, [p.place for p in points]])
    for point, good in zip(points, np.isfinite(numbers).all(axis=1), strict=True):
        if not good:
            raise CalibrationRefused("no_number", name=point.name)
    for point, inside in zip(points, lens.holds(pixels), strict=True):
        if not inside:
            (x, y), width, height = point.pixel, lens.width_px, lens.height_px
            raise CalibrationRefused("outside", name=point.name, x=x, y=y, width=width, height=height)
    for i, point in enumerate(points):
        for other in points[:i]:
            if point.pixel == other.pixel or point.place == other.place:
                raise CalibrationRefused("same", name=point.name, other=other.name)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(pixels.T)), 0.0)) / np.hypot(lens.width_px, lens.height_px)
    if spread[1] < CORNER_SHARE:
        raise CalibrationRefused("close_together")
    if spread[0] < NARROW_SHARE:
        raise CalibrationRefused("one_line")


# ------------------------------------------------------------------------------------------------------- the fit


@dataclass(frozen=True, slots=True)
class _Unknowns:
    """Which numbers are solved for, as one vector. kinds: of each, "yaw", "pitch", "roll", "east" and so on."""

    survey: Survey
    kinds: tuple[str, ...]

    def pose(self, values: Array) -> Pose:
        v = dict(zip(self.kinds, values.tolist(), strict=True))
        east, north, height = self.survey.position
        east, north = east + v.get("east", 0.0), north + v.get("north", 0.0)
        # In a hole of the terrain this is no number and fits nothing, so that no camera is put there.
        height += self.survey.rise_m(east, north) + v.get("height", 0.0)
        return Pose(east, north, height, v["yaw"], v["pitch"], v["roll"])

    def lens(self, values: Array) -> Lens:
        v = dict(zip(self.kinds, values.tolist(), strict=True))
        lens, scale = self.survey.lens, float(np.exp(v.get("focal", 0.0)))
        return replace(lens, fx=lens.fx * scale, fy=lens.fy * scale, k1=lens.k1 + v.get("k1", 0.0))

    def prior(self, values: Array) -> Array:
        """What the survey says of the position, in sigmas."""
        sigmas = {"east": self.survey.position_sigma_m, "north": self.survey.position_sigma_m,
                  "height": self.survey.height_sigma_m}
        return np.array([v / sigmas[k] for k, v in zip(self.kinds, values.tolist(), strict=True) if k in sigmas])

    def scales(self) -> Array:
        """How far each may well be from its start."""
        s = self.survey
        of = {"east": s.position_sigma_m, "north": s.position_sigma_m, "height": s.height_sigma_m, "focal": 0.05,
              "k1": K1_STEP}
        return np.array([of.get(k, 1.0) for k in self.kinds])


def _unknowns(survey: Survey) -> _Unknowns:
    kinds = ["yaw", "pitch", "roll"]
    kinds += ["east", "north"] if survey.position_sigma_m > 0 else []
    kinds += ["height"] if survey.height_sigma_m > 0 else []
    kinds += ["focal"] if survey.free_focal else []
    kinds += ["k1"] if survey.free_k1 else []
    return _Unknowns(survey, tuple(kinds))


def _fit(points: Sequence[MarkedPoint], survey: Survey) -> Calibration:
    unknowns = _unknowns(survey)
    pixels, places = np.array([p.pixel for p in points]), np.array([p.place for p in points])
    start = np.zeros(len(unknowns.kinds))
    first = _turned_to(points, survey)
    start[:3] = first.yaw_deg, first.pitch_deg, first.roll_deg
    whiteners = _whiteners(points, first, survey.lens, survey.click_sigma_px)

    def residuals(values: Array) -> Array:
        at = project(places, unknowns.pose(values), unknowns.lens(values))
        each = np.einsum("nij,nj->ni", whiteners, at - pixels)
        return np.concatenate([np.nan_to_num(each, nan=BEHIND).ravel(), unknowns.prior(values)])

    values = start
    for loss in ("soft_l1", "soft_l1", "linear"):
        solved = least_squares(
            residuals, values, loss=loss, f_scale=ROBUST_SCALE, x_scale=unknowns.scales(), jac="3-point", max_nfev=200
        )
        values = solved.x
        if loss != "linear":        # how much a metre is in pixels depends on the pose: at last it stays as it is
            whiteners = _whiteners(points, unknowns.pose(values), unknowns.lens(values), survey.click_sigma_px)
    return _result(points, unknowns, values, np.asarray(solved.jac), residuals(values))


def _result(points: Sequence[MarkedPoint], unknowns: _Unknowns, values: Array, jacobian: Array, left: Array) -> Calibration:
    pixels, places = np.array([p.pixel for p in points]), np.array([p.place for p in points])
    pose, lens = unknowns.pose(values), unknowns.lens(values)
    covariance = np.asarray(np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-14), dtype=float)
    sigma = dict(zip(unknowns.kinds, np.sqrt(np.maximum(np.diag(covariance), 0.0)).tolist(), strict=True))
    to_points = places - pose.position
    along = rays(pixels, pose, lens)
    freedom = len(left) - len(values)
    return Calibration(
        pose=replace(pose, yaw_deg=pose.yaw_deg % 360.0, roll_deg=(pose.roll_deg + 180.0) % 360.0 - 180.0),
        sigma=PoseSigma(
            float(np.hypot(sigma.get("east", 0.0), sigma.get("north", 0.0)) / np.sqrt(2.0)), sigma.get("height", 0.0),
            sigma["yaw"], sigma["pitch"], sigma["roll"],
        ),
        lens=lens,
        off_px=np.linalg.norm(project(places, pose, lens) - pixels, axis=1),
        off_m=np.linalg.norm(np.cross(to_points, along), axis=1),
        deviations=np.linalg.norm(left[: 2 * len(points)].reshape(-1, 2), axis=1),
        chance=min(float(chi2.sf((left**2).sum(), freedom)), _chance_of_worst(left, jacobian, covariance, len(points))),
        covariance=covariance,
        focal_sigma=sigma.get("focal", 0.0),
        k1_sigma=sigma.get("k1", 0.0),
    )


def _chance_of_worst(left: Array, jacobian: Array, covariance: Array, n: int) -> float:
    """With which the worst of n honest clicks fits as badly as the worst of these."""
    least = 1.0
    for k in range(n):
        rows = slice(2 * k, 2 * k + 2)
        # Its residual's own covariance, in sigmas of the click: a point that draws the pose to itself leaves little.
        parts, axes = np.linalg.eigh(np.eye(2) - jacobian[rows] @ covariance @ jacobian[rows].T)
        told = parts > UNCHECKED
        if told.any():
            distance2 = float((((axes.T @ left[rows])[told]) ** 2 / parts[told]).sum())
            least = min(least, float(chi2.sf(distance2, int(told.sum()))))
    return min(1.0, n * least)


def _turned_to(points: Sequence[MarkedPoint], survey: Survey) -> Pose:
    """Where it looks if it stands where the survey says: of all turns that leave one point out, the best for most."""
    position = np.array(survey.position)
    to_points = np.array([p.place for p in points]) - position
    to_points /= np.maximum(np.linalg.norm(to_points, axis=1, keepdims=True), 1e-9)
    seen = survey.lens.to_ideal([p.pixel for p in points])
    along = np.column_stack([seen, np.ones(len(seen))])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    best, least = Rotation.identity(), np.inf
    for left_out in range(len(points)):
        rest = np.arange(len(points)) != left_out
        turn, _ = Rotation.align_vectors(to_points[rest], along[rest])
        off = float(np.median(np.linalg.norm(turn.apply(along) - to_points, axis=1)))
        if off < least:
            best, least = turn, off
    return pose_from_rotation(position, best.as_matrix())


def _whiteners(points: Sequence[MarkedPoint], pose: Pose, lens: Lens, click_sigma_px: float) -> Array:
    """(n, 2, 2) that turn pixels into sigmas: the click's error, and the map's as it looks from there."""
    places = np.array([p.place for p in points])
    step = 0.05
    columns = [
        (project(places + step * axis, pose, lens) - project(places - step * axis, pose, lens)) / (2.0 * step)
        for axis in np.eye(3)
    ]
    spread = np.nan_to_num(np.stack(columns, axis=2))                           # (n, 2, 3) pixels a metre
    sigmas = np.array([[p.sigma_m, p.sigma_m, p.height_sigma_m] for p in points])
    covariance = np.einsum("nij,nj,nkj->nik", spread, sigmas**2, spread) + np.eye(2) * click_sigma_px**2
    whiteners: Array = np.linalg.inv(np.linalg.cholesky(covariance))
    return whiteners


# ------------------------------------------------------------------------------------------------------- judging it


def _check_fit(found: Calibration, points: Sequence[MarkedPoint], survey: Survey) -> None:
    if found.chance < CHANCE_LIMIT:
        wrong = _outlier(points, survey)
        if wrong is not None:
            others = _fit([p for i, p in enumerate(points) if i != wrong], survey)
            name, off_px = points[wrong].name, _off_px(points[wrong], others)
            if off_px is None:
                raise CalibrationRefused("does_not_fit_behind", found, name=name)
            raise CalibrationRefused("does_not_fit", found, name=name, px=off_px)
        worst = points[int(np.argmax(found.deviations))].name
        raise CalibrationRefused("disagree", found, name=worst, px=float(np.sqrt(np.mean(found.off_px**2))))
    behind = [p.name for p, off in zip(points, found.off_px, strict=True) if not np.isfinite(off)]
    if behind:
        raise CalibrationRefused("behind", found, names=", ".join(behind))
    s = found.sigma
    if max(s.yaw_deg, s.pitch_deg) > ANGLE_SIGMA_LIMIT_DEG or s.roll_deg > ROLL_SIGMA_LIMIT_DEG:
        raise CalibrationRefused(
            "too_little", found, yaw=s.yaw_deg, pitch=s.pitch_deg, roll=s.roll_deg, angle=ANGLE_SIGMA_LIMIT_DEG,
            most_roll=ROLL_SIGMA_LIMIT_DEG,
        )
    if found.focal_sigma > FOCAL_SIGMA_LIMIT or found.k1_sigma > K1_SIGMA_LIMIT:
        raise CalibrationRefused("too_little_of_lens", found)


def _outlier(points: Sequence[MarkedPoint], survey: Survey) -> int | None:
    """The one point without which the others agree; None where there is none, or another would do nearly as well."""
    rests = [[p for i, p in enumerate(points) if i != left_out] for left_out in range(len(points))]
    chances = [_fit(rest, survey).chance for rest in rests]
    second, best = np.sort(chances)[-2:]
    return int(np.argmax(chances)) if best >= CHANCE_LIMIT and best > DISTINCT * second else None


def _off_px(point: MarkedPoint, others: Calibration) -> float | None:
    """How far from its pixel the others put it; None for behind the camera."""
    at = project([point.place], others.pose, others.lens)[0]
    return float(np.hypot(*(at - np.array(point.pixel)))) if np.isfinite(at).all() else None
