"""Whether a place's ellipse holds what it says: random cameras, ground and errors, against truth from other people's code.

A trial is drawn the way a node's life goes. A camera stands somewhere (pymap3d, WGS 84) over ground made of waves; a ray
of a random depression leaves it (pymap3d) and first meets that ground where a dense profile and scipy's root finding say;
OpenCV projects that point into the picture. Then errors are drawn from the stated sigmas: of pose, time, pixel, and of the
map, which is a grid with posts 10 m apart and a wandering error. The node's geolocate gets the wrong pixel, pose and map.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import pymap3d
from scipy.optimize import elementwise
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from benchmarks.form import Figure, figure
from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseRates, PoseSigma
from edge.geolocate import geolocate
from geofences.geodesy import Array
from geofences.terrain import GridTerrain, Terrain, slope_at

BANDS_DEG = ((2, 5), (5, 15), (15, 30), (30, 60), (60, 90))
LEVELS = (50, 90, 99)
TRIALS = 10_000                 # in each band
DISHONEST_TRIALS = 3_000        # in each band, of the same, with sigmas stated too small
DISHONEST = 1.5
TOLERANCE_POINTS = 1.5
ORIGIN_DEG = (16.62, 106.60)
AWAY_M = 5_000.0                # of the ground's middle from the frame's origin: so far the frame's plane is put to the test
GROUNDS = 40                    # each with room for thousands of trials whose map errors have nothing to do with each other
GROUND_M = 4_000.0
EDGE_M = 650.0                  # no camera stands nearer to the map's edge
POST_M = 10.0
WAVES = 30
WAVELENGTHS_M = (120.0, 1_500.0)
SLOPES = (0.0, 0.03, 0.1, 0.2, 0.35)        # root mean square along any line: from a river plain to the Annamites
MAP_SIGMAS_M = (0.3, 0.5, 1.0, 2.4)         # an airborne survey to a satellite's
MAP_ERROR_OVER_M = (60.0, 150.0)            # over this length it is the same error
BY_PHONE, PHONE_SIGMA_M = 0.4, (1.0, 4.0)   # the share of the masts whose place a phone gave, and how well
PROFILE_STEP_M = 2.0            # what it may jump over is a centimetre high
FALL_LIMIT_M = 250.0            # of a ray; what lies deeper below a camera is no place to look at
ERROR_LIMIT_M = 15.0            # that of every settings file that is shipped
COST_RUNS = 7
COST_FEET = 5                   # in one picture

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Waves:
    """A sum of cosines: sum of amplitude * cos(vectors . place + phases), place (n, 2) in metres."""

    vectors: Array
    amplitudes: Array
    phases: Array

    def at(self, place: Array) -> Array:
        # Single precision for the sum: a tenth of a millimetre, at half the time.
        turns = place @ self.vectors.T + self.phases
        values: Array = np.cos(turns.astype(np.float32)) @ self.amplitudes.astype(np.float32)
        return values.astype(float)


@dataclass(slots=True)
class Ground:
    """True ground around `middle` (east, north), a Terrain without error; and the chart of it that the node has."""

    middle: Array
    truth: Waves
    chart: GridTerrain
    sigma_m: float = 0.0
    synthetic: bool = True

    def height_msl_m(self, enu_m: npt.ArrayLike) -> Array:
        return 150.0 + self.truth.at(np.asarray(enu_m, float) - self.middle)


@dataclass(frozen=True, slots=True)
class Trial:
    """Where the object (2,), its pixel (2,), the camera and the ground really are; and what the node is told of it all."""

    truth_enu_m: Array
    true_px: Array
    true_pose: Pose
    ground: Ground
    foot_px: Array
    camera: Camera
    estimate: PoseEstimate
    chart: Terrain


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of n trials. distance2: (n,) squared Mahalanobis distance of the truth, NaN where only a bearing is given."""

    distance2: Array
    off_m: Array

    @property
    def given(self) -> _Mask:
        return np.isfinite(self.distance2)

    def held_percent(self, level: int) -> float:
        """Of the places that were given, how many ellipses of that level hold the truth."""
        inside = self.distance2[self.given] <= chi2.ppf(level / 100.0, 2)
        return float(inside.mean() * 100.0)


def make_ground(rng: np.random.Generator, slope: float) -> Ground:
    middle = rng.uniform(-AWAY_M, AWAY_M, 2)
    lengths = np.exp(rng.uniform(math.log(WAVELENGTHS_M[0]), math.log(WAVELENGTHS_M[1]), WAVES))
    headings = rng.uniform(0.0, 2.0 * np.pi, WAVES)
    vectors = 2.0 * np.pi / lengths[:, None] * np.column_stack([np.cos(headings), np.sin(headings)])
    # Slopes alike at every length; along any one line each wave has half of its own.
    amplitudes = slope * lengths / (2.0 * np.pi) * math.sqrt(4.0 / WAVES)
    truth = Waves(vectors, amplitudes, rng.uniform(0.0, 2.0 * np.pi, WAVES))
    over_m, sigma_m = rng.choice(MAP_ERROR_OVER_M), rng.choice(MAP_SIGMAS_M)
    # A Gaussian field whose correlation falls with distance as exp(-d^2 / 2 over^2): Rahimi & Recht (2007).
    error = Waves(
        rng.normal(0.0, 1.0 / over_m, (WAVES, 2)), np.full(WAVES, sigma_m * math.sqrt(2.0 / WAVES)),
        rng.uniform(0.0, 2.0 * np.pi, WAVES),
    )
    axis = np.arange(-GROUND_M / 2.0, GROUND_M / 2.0 + POST_M, POST_M)
    east, north = np.meshgrid(axis, axis)
    posts = np.column_stack([east.ravel(), north.ravel()])
    heights = (150.0 + truth.at(posts) + error.at(posts)).reshape(east.shape)
    corner = middle + axis[0]
    chart = GridTerrain(heights, (float(corner[0]), float(corner[1])), POST_M, 0.0, synthetic=True)
    ground = Ground(middle, truth, chart)
    # As a map's error is found in practice: measured at places of its own, what lies between the posts included.
    places = middle + rng.uniform(-GROUND_M / 2.0, GROUND_M / 2.0, (20_000, 2))
    chart.sigma_m = float(np.sqrt(np.mean((chart.height_msl_m(places) - ground.height_msl_m(places)) ** 2)))
    return ground


def make_trials(seed: int, band_deg: tuple[float, float], count: int, grounds: int = GROUNDS) -> list[Trial]:
    """`count` trials whose true rays look down by an angle within band_deg."""
    rng = np.random.default_rng([seed, *(int(b) for b in band_deg)])
    trials: list[Trial] = []
    each = math.ceil(count / grounds)
    for i in range(grounds):
        ground = make_ground(rng, SLOPES[i % len(SLOPES)])
        made: list[Trial] = []
        while len(made) < each:
            made += _some_trials(rng, ground, band_deg, each)
        trials += made[:each]
    order = rng.permutation(len(trials))[:count]
    return [trials[i] for i in order]


def _some_trials(rng: np.random.Generator, ground: Ground, band_deg: tuple[float, float], tries: int) -> list[Trial]:
    """Up to `tries`: rays that meet no ground within reach, or points that fall beside the picture, are none."""
    flying = rng.random(tries) < 0.4
    reach_m = np.where(flying, rng.uniform(150.0, 600.0, tries), rng.uniform(80.0, 300.0, tries))
    above_m = np.where(flying, rng.uniform(25.0, 120.0, tries), rng.uniform(4.0, 15.0, tries))
    enu = ground.middle + rng.uniform(-1.0, 1.0, (tries, 2)) * (GROUND_M / 2.0 - EDGE_M)
    lat, lon, _ = pymap3d.enu2geodetic(enu[:, 0], enu[:, 1], _plane_up_m(enu), *ORIGIN_DEG, 0.0)
    enu = np.column_stack(pymap3d.geodetic2enu(lat, lon, np.zeros(tries), *ORIGIN_DEG, 0.0)[:2])
    eye = np.column_stack([lat, lon, ground.height_msl_m(enu) + above_m])
    azimuth, depression = rng.uniform(0.0, 360.0, tries), rng.uniform(*band_deg, tries)
    range_m = _first_hit(ground, eye, azimuth, depression, reach_m)
    seen = np.flatnonzero(np.isfinite(range_m))
    target = np.column_stack(pymap3d.aer2geodetic(azimuth, -depression, range_m, *eye.T))
    target_enu = np.column_stack(pymap3d.geodetic2enu(target[:, 0], target[:, 1], np.zeros(tries), *ORIGIN_DEG, 0.0)[:2])
    offset = np.column_stack(pymap3d.geodetic2enu(*target.T, *eye.T))
    trials = []
    for i in seen:
        lens = _lens(rng)
        half = np.degrees(np.arctan([lens.width_px / 2 / lens.fx, lens.height_px / 2 / lens.fy]))
        yaw, pitch = azimuth[i] + rng.uniform(-1, 1) * half[0], -depression[i] + rng.uniform(-1, 1) * half[1]
        pose = Pose(*(float(v) for v in (*enu[i], eye[i, 2], yaw % 360.0, max(pitch, -90.0), rng.normal(0.0, 3.0))))
        pixel = _projected(offset[i], pose, lens)
        if not (0 <= pixel[0] <= lens.width_px - 1 and 0 <= pixel[1] <= lens.height_px - 1):
            continue
        trials.append(_told(rng, target_enu[i], pixel, pose, lens, ground, bool(flying[i]), float(reach_m[i])))
    return trials


def _plane_up_m(enu: Array) -> Array:
    """How far the frame's plane lies below its origin's height at sea level there: near enough to stand on it."""
    up: Array = -(enu**2).sum(axis=1) / (2.0 * 6_371_000.0)
    return up


def _first_hit(ground: Ground, eye: Array, azimuth: Array, depression: Array, reach_m: Array) -> Array:
    """(n,) slant range in metres at which rays of pymap3d first meet the true ground; NaN for none within reach."""

    def clearance(slant: Array, which: npt.NDArray[np.intp]) -> Array:
        lat, lon, height = pymap3d.aer2geodetic(azimuth[which], -depression[which], slant, *eye[which].T)
        east, north, _ = pymap3d.geodetic2enu(lat, lon, np.zeros_like(lat), *ORIGIN_DEG, 0.0)
        gap: Array = height - ground.height_msl_m(np.column_stack([east, north]))
        return gap

    found = np.full(len(eye), np.nan)
    far_m = np.minimum(reach_m / np.cos(np.radians(depression)), FALL_LIMIT_M / np.sin(np.radians(depression)))
    profiles = [np.arange(PROFILE_STEP_M, far, PROFILE_STEP_M) for far in far_m]
    which = np.repeat(np.arange(len(eye)), [len(p) for p in profiles])
    slant = np.concatenate(profiles)
    below = np.flatnonzero(clearance(slant, which) <= 0.0)
    first = below[np.unique(which[below], return_index=True)[1]]
    found[which[first]] = slant[first]
    hit = np.flatnonzero(np.isfinite(found))
    if len(hit):
        bracket = (found[hit] - PROFILE_STEP_M, found[hit])

        def at(slant: Array, ray: Array) -> Array:
            return clearance(slant, ray.astype(int))

        found[hit] = elementwise.find_root(at, bracket, args=(hit.astype(float),)).x
    flat = found * np.cos(np.radians(depression))
    return np.where(flat <= reach_m, found, np.nan)


def _lens(rng: np.random.Generator) -> Lens:
    width = int(rng.choice([960, 1280, 1920]))
    height = width * 9 // 16
    focal = width * rng.uniform(0.8, 2.0)
    bend = rng.uniform(-0.18, 0.05)
    return Lens(
        width, height, focal, focal * rng.uniform(0.99, 1.01), width / 2 + rng.normal(0, 4), height / 2 + rng.normal(0, 4),
        bend, -0.2 * bend, rng.normal(0, 3e-4), rng.normal(0, 3e-4),
    )


def _projected(offset_enu: Array, pose: Pose, lens: Lens) -> Array:
    """(2,) pixel by OpenCV of a place east, north, up of the camera. The turn is scipy's, in the words of aircraft."""
    body_to_ned = Rotation.from_euler("ZYX", [pose.yaw_deg, pose.pitch_deg, pose.roll_deg], degrees=True)
    forward, right, down = body_to_ned.inv().apply([offset_enu[1], offset_enu[0], -offset_enu[2]])
    if forward <= 0.0:
        return np.full(2, -1.0)
    pixels, _ = cv2.projectPoints(
        np.array([[[right, down, forward]]]), np.zeros(3), np.zeros(3), lens.matrix, lens.distortion
    )
    pixel: Array = np.asarray(pixels, float).reshape(2)
    return pixel


def _told(
    rng: np.random.Generator, truth: Array, pixel: Array, pose: Pose, lens: Lens, ground: Ground, flying: bool,
    reach_m: float,
) -> Trial:
    """A trial's errors, each drawn from its own sigma."""
    pixel_sigma = rng.uniform(0.7, 3.0)
    if flying:
        sigma = PoseSigma(
            rng.uniform(0.3, 2.1), rng.uniform(0.3, 3.0), rng.uniform(0.3, 1.5), rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.5)
        )
        rates = PoseRates(*rng.normal(0.0, [6.0, 6.0, 1.0, 8.0, 2.0, 2.0]))
        time_sigma = rng.uniform(0.01, 0.1)
    else:
        sigma = PoseSigma(*rng.uniform([0.05, 0.03, 0.05, 0.03, 0.03], [0.3, 0.3, 0.5, 0.3, 0.3]))
        if rng.random() < BY_PHONE:
            sigma = replace(sigma, position_m=rng.uniform(*PHONE_SIGMA_M))
        rates, time_sigma = PoseRates(), 0.0
    late_s = rng.normal(0.0, time_sigma)
    yaw, pitch, roll = _mistaken(pose, *rng.normal(0.0, [sigma.yaw_deg, sigma.pitch_deg, sigma.roll_deg]))
    wrong = Pose(
        pose.east_m + rng.normal(0.0, sigma.position_m) + rates.east_m_s * late_s,
        pose.north_m + rng.normal(0.0, sigma.position_m) + rates.north_m_s * late_s,
        pose.height_msl_m + rng.normal(0.0, sigma.height_m) + rates.up_m_s * late_s,
        yaw + rates.yaw_deg_s * late_s,
        pitch + rates.pitch_deg_s * late_s,
        roll + rates.roll_deg_s * late_s,
    )
    slope = (0.0, 0.0)
    if not flying:      # a tape gave its height, above ground that is looked up where it is believed to stand
        here, there = ground.chart.height_msl_m([pose.position[:2], wrong.position[:2]])
        wrong = replace(wrong, height_msl_m=wrong.height_msl_m + float(there - here))
        slope = slope_at(ground.chart, wrong.position[:2], sigma.position_m)
    return Trial(
        truth, pixel, pose, ground, pixel + rng.normal(0.0, pixel_sigma, 2),
        Camera(lens, pixel_sigma, ERROR_LIMIT_M, reach_m),
        PoseEstimate(wrong, sigma, rates, time_sigma, slope), ground.chart,
    )


def _mistaken(pose: Pose, yaw_deg: float, pitch_deg: float, tilt_deg: float) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees as a camera believes them that errs in pitch, in tilt to the side, and in heading."""
    ahead = np.array([math.cos(math.radians(pose.yaw_deg)), math.sin(math.radians(pose.yaw_deg)), 0.0])
    heading = Rotation.from_euler("Z", yaw_deg, degrees=True)
    tilt = Rotation.from_rotvec(ahead * tilt_deg, degrees=True)
    pitched = Rotation.from_euler("ZYX", [pose.yaw_deg, pose.pitch_deg + pitch_deg, pose.roll_deg], degrees=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)        # straight down, yaw and roll are one, and scipy says so
        yaw, pitch, roll = (float(v) for v in (heading * tilt * pitched).as_euler("ZYX", degrees=True))
    return yaw, pitch, roll


def judged(trials: Sequence[Trial], stated: float = 1.0) -> Outcome:
    """What geolocate makes of trials. stated: times the honest sigmas, what it is told that they are."""
    distance2, off = np.full(len(trials), np.nan), np.full(len(trials), np.nan)
    for i, t in enumerate(trials):
        camera, estimate, chart = (t.camera, t.estimate, t.chart) if stated == 1.0 else _restated(t, stated)
        found = geolocate(t.foot_px, camera, estimate, chart)
        if not found.refused[0]:
            error = t.truth_enu_m - found.position_enu_m[0]
            distance2[i] = error @ np.linalg.solve(found.covariance_m2[0], error)
            off[i] = math.hypot(error[0], error[1])
    return Outcome(distance2, off)


@dataclass(slots=True)
class _Restated:
    """A map that claims another error."""

    chart: Terrain
    sigma_m: float
    synthetic: bool = True

    def height_msl_m(self, enu_m: npt.ArrayLike) -> Array:
        return self.chart.height_msl_m(enu_m)


def _restated(t: Trial, stated: float) -> tuple[Camera, PoseEstimate, Terrain]:
    s = t.estimate.sigma
    sigma = PoseSigma(
        s.position_m * stated, s.height_m * stated, s.yaw_deg * stated, s.pitch_deg * stated, s.roll_deg * stated
    )
    return (
        replace(t.camera, pixel_sigma_px=t.camera.pixel_sigma_px * stated),
        replace(t.estimate, sigma=sigma, time_sigma_s=t.estimate.time_sigma_s * stated),
        _Restated(t.chart, t.chart.sigma_m * stated),
    )


def astray_points(outcome: Outcome) -> float:
    """How far the worst of the three levels is from what it promises, in points."""
    return max(abs(outcome.held_percent(level) - level) for level in LEVELS)


def measure() -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    worst, noticed = [], []
    for band in BANDS_DEG:
        name = f"{band[0]}_{band[1]}"
        trials = make_trials(1, band, TRIALS)
        honest, dishonest = judged(trials), judged(trials[:DISHONEST_TRIALS], 1.0 / DISHONEST)
        for level in LEVELS:
            figures[f"held_{level}_at_{name}_deg"] = figure(
                [honest.held_percent(level)], "%",
                f"truths in the {level} % ellipse, of {int(honest.given.sum())} places; {_spread_points(honest, level):.1f} "
                "points are two deviations of the draw",
            )
        figures[f"refused_at_{name}_deg"] = figure(
            [float(100.0 * (~honest.given).mean())], "%", f"of {TRIALS}: only the bearing, or nothing within reach"
        )
        figures[f"off_at_{name}_deg"] = figure(
            [float(np.nanmedian(honest.off_m))], "m", "median distance of the places from the truth"
        )
        worst.append(astray_points(honest))
        noticed.append(astray_points(dishonest))
    figures["astray"] = figure(
        worst, "points", "each band's worst level; its median, least and greatest",
    )
    figures["astray_at_most"] = figure(
        [max(worst)], "points", "the worst level of the worst band", f"<= {TOLERANCE_POINTS}"
    )
    figures["astray_if_dishonest"] = figure(
        [min(noticed)], "points", f"the least of any band with all sigmas stated {DISHONEST} times too small: it is noticed",
        f"> {TOLERANCE_POINTS}",
    )
    figures |= _cost()
    return figures


def _spread_points(outcome: Outcome, level: int) -> float:
    share = level / 100.0
    return 200.0 * math.sqrt(share * (1.0 - share) / max(int(outcome.given.sum()), 1))


def _cost() -> dict[str, Figure]:
    """Milliseconds of the processor, for a mast and hilly ground."""
    ground = make_ground(np.random.default_rng(1), 0.1)
    lens = Lens(960, 540, 1500, 1500, 481.5, 268, -0.12, 0.03, 0.0004, -0.0003)
    camera = Camera(lens, 2.0, ERROR_LIMIT_M, 110.0)
    east, north = (float(v) for v in ground.middle)
    height = float(ground.chart.height_msl_m(ground.middle)[0]) + 8.0
    estimate = PoseEstimate(Pose(east, north, height, 40.0, -12.0), PoseSigma(0.2, 0.1, 0.3, 0.15, 0.15))
    feet = np.random.default_rng(2).uniform([0, 250], [960, 540], (COST_FEET, 2))
    runs: dict[int, list[float]] = {1: [], COST_FEET: []}
    for _ in range(COST_RUNS):
        for n, taken in runs.items():
            began = time.process_time()
            for _ in range(40):
                geolocate(feet[:n], camera, estimate, ground.chart)
            taken.append((time.process_time() - began) / 40 * 1e3)
    return {
        "picture_with_one": figure(runs[1], "ms", "one detection in the picture, processor time of one core"),
        f"picture_with_{COST_FEET}": figure(runs[COST_FEET], "ms", f"{COST_FEET} detections in the picture"),
        "a_detection_more": figure(
            [(b - a) / (COST_FEET - 1) for a, b in zip(runs[1], runs[COST_FEET], strict=True)], "ms",
            "each one beyond the first",
        ),
    }
