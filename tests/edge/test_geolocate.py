"""Places on the ground: right for known geometry, as unsure as they ought to be, refused by error and never by angle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseRates, PoseSigma, turned
from cameras.project import project, rays
from edge.bodies import depth_of
from edge.camera_settings import CameraSettings, LensSettings, SigmaSettings, camera_of, survey_of
from edge.geolocate import ABOVE_GROUND, BEYOND_REACH, BROKEN, CHI2_90_2DOF, TOO_UNSURE, _rays, geolocate
from geofences.sector import load_sector
from geofences.terrain import FlatTerrain, GridTerrain

LENS = Lens(768, 576, 1000, 1000, 384, 288, k1=-0.15, p1=0.001)
CENTRE = [[384.0, 288.0]]
EXACT = PoseSigma(0, 0, 0, 0, 0)
MAST = PoseSigma(0.2, 0.1, 0.1, 0.1, 0.1)
FLAT = FlatTerrain(165.0, 0.5, synthetic=True)
SECTOR = Path(__file__).resolve().parents[2] / "configs/sectors/laobao/sector.toml"


def camera(limit=15.0, reach=200.0, pixel_sigma=1.0, lens=LENS):
    return Camera(lens, pixel_sigma, limit, reach)


def circle_90_m(covariance):
    """Radius of the circle that holds 90 % of a centred normal, by integrating over angle (exact to 1e-6)."""
    a, b = np.linalg.eigvalsh(covariance)

    def outside(radius):
        def at(angle):
            k = np.cos(angle) ** 2 / a + np.sin(angle) ** 2 / b
            return np.exp(-radius**2 * k / 2) / k

        return quad(at, 0, 2 * np.pi)[0] / (2 * np.pi * np.sqrt(a * b))

    return brentq(lambda r: outside(r) - 0.1, 0.01, 1000)


# DESIGN.md's reference table, 90 % circle in metres: flat ground, sigma pitch 0.5, yaw 1.5 degrees, GPS 2.1 m an axis,
# height 3 m, terrain 2.4 m.
REFERENCE = {
    60: {90: 4.6, 60: 5.9, 45: 8.0, 30: 12.5, 20: 20.0, 10: 47.0},
    120: {90: 4.8, 60: 6.6, 45: 9.4, 30: 15.0, 20: 26.0, 10: 71.0},
}


@pytest.mark.parametrize("height", REFERENCE)
@pytest.mark.parametrize("depression", [90, 60, 45, 30, 20, 10])
def test_a_drones_errors_are_those_of_the_reference_table(height, depression):
    sigma = PoseSigma(position_m=2.1, height_m=3.0, yaw_deg=1.5, pitch_deg=0.5, roll_deg=0.0)
    pose = Pose(0, 0, 165.0 + height, 30.0, -depression)
    lens = Lens(768, 576, 1000, 1000, 384, 288)
    found = geolocate(
        CENTRE, camera(1000, 3000, 0.0, lens), PoseEstimate(pose, sigma), FlatTerrain(165.0, 2.4, synthetic=True)
    )
    assert circle_90_m(found.covariance_m2[0]) == pytest.approx(REFERENCE[height][depression], rel=0.1)


def test_at_120_m_and_20_degrees_the_ellipse_is_14_by_9():
    sigma = PoseSigma(2.1, 3.0, 1.5, 0.5, 0.0)
    found = geolocate(
        CENTRE, camera(1000, 3000, 0.0, Lens(768, 576, 1000, 1000, 384, 288)),
        PoseEstimate(Pose(0, 0, 285, 0, -20), sigma), FlatTerrain(165.0, 2.4, synthetic=True),
    )
    np.testing.assert_allclose(np.sqrt(np.linalg.eigvalsh(found.covariance_m2[0])), [9, 14], rtol=0.05)


def hills(seed):
    heights = np.random.default_rng(seed).uniform(160, 165, (60, 60))
    return GridTerrain(heights, (-600.0, -600.0), 20.0, 0.5, synthetic=True)


@given(
    st.floats(0, 360), st.floats(-60, -10), st.floats(-5, 5), st.floats(4, 60), st.integers(0, 1000),
    st.floats(0, 767), st.floats(0, 575),
)
def test_projecting_a_geolocated_point_returns_its_pixel(yaw, pitch, roll, height, seed, x, y):
    pose, terrain = Pose(10, -20, 165 + height, yaw, pitch, roll), hills(seed)
    found = geolocate([[x, y]], camera(1e9, 250.0), PoseEstimate(pose, MAST), terrain)
    assume(np.isfinite(found.position_enu_m).all())
    ground = np.column_stack([found.position_enu_m, terrain.height_msl_m(found.position_enu_m)])
    np.testing.assert_allclose(project(ground, pose, LENS), [[x, y]], atol=0.01)


def test_the_covariance_is_that_of_many_disturbed_cameras():
    """Monte Carlo: the pose really is moved, the pixel really shaken; the cloud's covariance is the predicted one."""
    rng = np.random.default_rng(1)
    sigma = PoseSigma(0.3, 0.2, 0.3, 0.2, 0.3)
    pose = Pose(0, 0, 173.0, 40.0, -18.0, 2.0)
    rates, time_sigma = PoseRates(east_m_s=3.0, yaw_deg_s=8.0), 0.05
    foot = np.array([[500.0, 350.0]])
    predicted = geolocate(foot, camera(), PoseEstimate(pose, sigma, rates, time_sigma), FLAT).covariance_m2[0]
    cloud = []
    for _ in range(700):
        dt = rng.normal(0, time_sigma)
        moved = Pose(
            rng.normal(0, sigma.position_m) + 3.0 * dt, rng.normal(0, sigma.position_m),
            173.0 + rng.normal(0, np.hypot(sigma.height_m, FLAT.sigma_m)), 40.0 + rng.normal(0, sigma.yaw_deg) + 8.0 * dt,
            -18.0 + rng.normal(0, sigma.pitch_deg), 2.0 + rng.normal(0, sigma.roll_deg),
        )
        one = geolocate(foot + rng.normal(0, 1.0, (1, 2)), camera(), PoseEstimate(moved, EXACT), FLAT)
        cloud.append(one.position_enu_m[0])
    np.testing.assert_allclose(np.cov(np.array(cloud).T), predicted, rtol=0.2, atol=0.05)


def test_a_mast_is_not_refused_at_an_angle_at_which_a_drone_is():
    pose = Pose(0, 0, 171.5, 0, -6.0)
    mast = geolocate(CENTRE, camera(), PoseEstimate(pose, MAST), FlatTerrain(165.0, 0.3, synthetic=True))
    drone = geolocate(CENTRE, camera(), PoseEstimate(pose, PoseSigma(2.1, 3.0, 1.5, 0.5, 0.5)), FLAT)
    assert not mast.refused[0]
    assert np.sqrt(np.linalg.eigvalsh(mast.covariance_m2[0])[-1]) < 4.0
    assert drone.refused[0] and TOO_UNSURE in drone.reasons[0]


def test_what_meets_no_ground_or_lies_beyond_reach_keeps_its_bearing():
    feet = [[384.0, 0.0], [384.0, 288.0], [384.0, 575.0]]
    found = geolocate(feet, camera(reach=30.0), PoseEstimate(Pose(0, 0, 173, 90.0, -8.0), MAST), FLAT)
    assert list(found.refused) == [True, True, False]
    assert found.reasons[0] == ABOVE_GROUND and found.reasons[1].startswith(BEYOND_REACH) and found.reasons[2] == ""
    np.testing.assert_allclose(found.bearing_deg, 90.0, atol=0.1)
    assert (found.bearing_sigma_deg > 0.1).all() and (found.bearing_sigma_deg < 0.5).all()


def test_a_bearing_across_north_has_no_error_of_half_a_turn():
    found = geolocate(CENTRE, camera(), PoseEstimate(Pose(0, 0, 173, 0.0, 10.0), MAST), FLAT)
    assert found.refused[0]
    assert found.bearing_sigma_deg[0] < 0.5


def test_a_moving_camera_with_an_unsure_clock_is_less_sure_along_its_way():
    pose = Pose(0, 0, 225, 0, -45)
    still = geolocate(CENTRE, camera(100), PoseEstimate(pose, MAST), FLAT).covariance_m2[0]
    flying = geolocate(
        CENTRE, camera(100), PoseEstimate(pose, MAST, PoseRates(east_m_s=10.0), 0.1), FLAT
    ).covariance_m2[0]
    assert flying[0, 0] - still[0, 0] == pytest.approx(1.0, rel=1e-3)       # (10 m/s x 0.1 s)^2
    assert flying[1, 1] == pytest.approx(still[1, 1], rel=1e-6)


def poses(low_deg=-90.0):
    return st.builds(
        Pose, st.just(10.0), st.just(-20.0), st.floats(169, 230), st.floats(0, 360), st.floats(low_deg, 5), st.floats(-8, 8)
    )


@given(poses(), st.integers(0, 2**32 - 1), st.booleans(), st.integers(2, 9))
def test_all_feet_of_a_picture_at_once_have_the_places_of_one_by_one(pose, seed, is_level, count):
    chance = np.random.default_rng(seed)
    feet, classes = chance.uniform(0, [768, 576], (count, 2)), chance.integers(0, 7, count)
    estimate = PoseEstimate(pose, PoseSigma(*chance.uniform(0, 1, 5)), PoseRates(*chance.normal(0, 5, 6)), 0.05)
    terrain = FLAT if is_level else hills(seed % 1000)
    together = geolocate(feet, camera(), estimate, terrain, depth_of(classes))
    alone = [geolocate(feet[[i]], camera(), estimate, terrain, depth_of(classes[[i]])) for i in range(count)]
    for name in ("position_enu_m", "covariance_m2", "bearing_deg", "bearing_sigma_deg"):
        expected = np.concatenate([getattr(a, name) for a in alone])
        np.testing.assert_allclose(getattr(together, name), expected, rtol=1e-7, atol=1e-7)
    assert together.reasons == tuple(a.reasons[0] for a in alone)
    assert together.refused.tolist() == [bool(r) for r in together.reasons]


@given(poses(), st.integers(0, 2**32 - 1))
def test_what_each_error_does_to_a_ray_is_what_a_camera_with_that_error_sees(pose, seed):
    """Our derivatives are algebra; here the camera really is turned, the pixel moved, and time goes by."""
    chance = np.random.default_rng(seed)
    sigma, rates, slope = PoseSigma(*chance.uniform(0.1, 1, 5)), PoseRates(*chance.normal(0, 5, 6)), (0.3, -0.2)
    feet, lens, step = chance.uniform(0, [768, 576], (6, 2)), LENS, 1e-3
    found = _rays(feet, camera(pixel_sigma=1.5), PoseEstimate(pose, sigma, rates, 0.2, slope), FLAT)

    def change(after):
        (there, then), (back, before) = after(step), after(-step)
        return (there - back) / (2 * step), (then - before) / (2 * step)

    def of_pose(field, one_sigma, rise=0.0):
        at, up = getattr(pose, field), pose.height_msl_m
        moved = {s: replace(pose, **{"height_msl_m": up + s * one_sigma * rise, field: at + s * one_sigma})
                 for s in (step, -step)}
        return change(lambda s: (rays(feet, moved[s], lens), moved[s].position))

    def of_pixel(aside):
        return change(lambda s: (rays(feet + np.multiply(aside, s * 1.5), pose, lens), pose.position))

    def of_tilt(s):
        ahead = np.array([np.sin(np.radians(pose.yaw_deg)), np.cos(np.radians(pose.yaw_deg)), 0.0])
        turn = Rotation.from_rotvec(ahead * np.radians(sigma.roll_deg) * s)
        return turn.apply(rays(feet, pose, lens)), pose.position

    def of_time(s):
        later = turned(pose, rates, 0.2 * s)
        return rays(feet, later, lens), later.position

    height = np.hypot(sigma.height_m, FLAT.sigma_m)
    expected = [
        of_pose("east_m", sigma.position_m, slope[0]), of_pose("north_m", sigma.position_m, slope[1]),
        of_pose("height_msl_m", height),
        of_pose("yaw_deg", sigma.yaw_deg), of_pose("pitch_deg", sigma.pitch_deg), change(of_tilt),
        of_pixel([1.0, 0.0]), of_pixel([0.0, 1.0]), change(of_time),
    ]
    for k, (looks, origin) in enumerate(expected):
        np.testing.assert_allclose(found.look_errors[k], looks, atol=1e-6)
        np.testing.assert_allclose(found.origin_errors[k], origin, atol=1e-6)


def test_no_feet_are_no_places():
    found = geolocate(np.empty((0, 2)), camera(), PoseEstimate(Pose(0, 0, 173, 0, -20), MAST), FLAT)
    assert found.position_enu_m.shape == (0, 2) and found.reasons == ()


def crest(height_m):
    """Level ground with a wall of earth across the way, 60 m to the north."""
    axis = np.arange(-10.0, 200.0, 2.0)
    heights = np.broadcast_to(165.0 + height_m * np.exp(-(((axis - 60.0) / 4.0) ** 2))[:, None], (len(axis), len(axis)))
    return GridTerrain(heights.copy(), (-100.0, -10.0), 2.0, 0.1, synthetic=True)


def test_just_over_a_ridge_there_is_no_ellipse_and_only_the_bearing():
    """The ray clears the crest by half a deviation: the object is 20 m behind it, or on it."""
    lens = Lens(768, 576, 1000, 1000, 384, 288)
    sigma = PoseSigma(0.1, 0.1, 0.1, 0.2, 0.1)
    over_crest = Pose(0, 0, 175.0, 0.0, -np.degrees(np.arctan2(10.0 - 4.0 - 0.15, 60.0)))
    found = geolocate(CENTRE, camera(50, 300, 1.0, lens), PoseEstimate(over_crest, sigma), crest(4.0))
    assert found.position_enu_m[0, 1] > 80.0
    assert found.refused[0] and found.reasons[0] == BROKEN
    level = geolocate(CENTRE, camera(50, 300, 1.0, lens), PoseEstimate(over_crest, sigma), crest(0.0))
    assert not level.refused[0]


def test_the_covariance_of_curved_ground_is_that_of_many_disturbed_cameras():
    """A bowl: its slope changes within the ellipse, and a straight line through one point would say something else."""
    axis = np.arange(-100.0, 101.0, 1.0)
    east, north = np.meshgrid(axis, axis)
    bowl = GridTerrain(165.0 + (east**2 + north**2) / 250.0, (-100.0, -100.0), 1.0, 0.0, synthetic=True)
    pose, sigma = Pose(0, -60, 192.0, 10.0, -25.0), PoseSigma(0.0, 0.0, 2.0, 2.0, 0.0)
    lens = Lens(768, 576, 1000, 1000, 384, 288)
    predicted = geolocate(CENTRE, camera(100, 300, 0.0, lens), PoseEstimate(pose, sigma), bowl).covariance_m2[0]
    rng = np.random.default_rng(4)
    cloud = [
        geolocate(
            CENTRE, camera(100, 300, 0.0, lens),
            PoseEstimate(Pose(0, -60, 192.0, 10.0 + rng.normal(0, 2), -25.0 + rng.normal(0, 2)), EXACT), bowl,
        ).position_enu_m[0]
        for _ in range(1500)
    ]
    np.testing.assert_allclose(np.cov(np.array(cloud).T), predicted, rtol=0.12, atol=0.15)


def test_a_hole_in_the_map_gives_no_place_and_a_hole_beside_it_no_ellipse():
    def ground(holes):
        heights = np.full((60, 60), 165.0)
        heights[holes] = np.nan
        return GridTerrain(heights, (-100.0, -100.0), 5.0, 0.3, synthetic=True)

    estimate = PoseEstimate(Pose(0, 0, 175.0, 0.0, -14.0), MAST)              # 40 m north
    whole, there, beside = (
        geolocate(CENTRE, camera(), estimate, ground(holes))
        for holes in (np.s_[:0], np.s_[28:29, 20:21], np.s_[29:30, 20:21])
    )
    assert not whole.refused[0]
    assert there.refused[0] and np.isnan(there.position_enu_m[0]).all() and there.reasons[0] == ABOVE_GROUND
    assert beside.refused[0] and beside.bearing_deg[0] == pytest.approx(0.0, abs=0.1)


def test_without_any_error_there_is_a_place_and_no_ellipse():
    found = geolocate(CENTRE, camera(pixel_sigma=0.0), PoseEstimate(Pose(0, 0, 173, 0, -20), EXACT),
                      FlatTerrain(165.0, 0.0, synthetic=True))
    assert not found.refused[0]
    np.testing.assert_allclose(found.covariance_m2[0], 0.0, atol=1e-9)


def test_a_camera_that_looks_straight_down_is_unsure_to_the_side_by_its_tilt_as_well():
    sigma = PoseSigma(0.0, 0.0, 0.0, 0.5, 0.5)
    lens = Lens(768, 576, 1000, 1000, 384, 288)
    found = geolocate(CENTRE, camera(100, 300, 0.0, lens), PoseEstimate(Pose(0, 0, 285, 30.0, -90.0), sigma),
                      FlatTerrain(165.0, 0.0, synthetic=True))
    np.testing.assert_allclose(np.sqrt(np.linalg.eigvalsh(found.covariance_m2[0])), 120.0 * np.radians(0.5), rtol=0.01)


@pytest.mark.parametrize("way", ["uphill", "across", "downhill"])
def test_on_a_slope_a_mast_whose_place_a_phone_gave_is_as_unsure_as_it_says(way):
    """It stands where it stands, with its height above the ground there; its settings have both of somewhere beside it."""
    rng, lens = np.random.default_rng(1), LensSettings(1920, 1080, 1507.0, 1507.0, 959.5, 539.5)
    axis = np.arange(-500.0, 501.0, 10.0)
    rising_north = 165.0 + 0.3 * np.repeat(axis[:, None], len(axis), axis=1)
    hillside = replace(load_sector(SECTOR), terrain=GridTerrain(rising_north, (-500.0, -500.0), 10.0, 0.3, synthetic=True))
    spread = SigmaSettings(3.0, 0.1, 0.3, 0.2, 0.2, 2.0)
    yaw, slope = {"uphill": (0.0, 0.3), "across": (90.0, 0.0), "downhill": (180.0, -0.3)}[way]
    pitch = np.degrees(np.arctan(slope)) - 12.0

    def at(place, above=0.0):
        return [*place, float(hillside.terrain.height_msl_m([place])[0]) + above]

    inside, draws = 0, 400
    for _ in range(draws):
        foot = rng.normal(0, 60, 2)
        stated = hillside.frame.from_enu([foot + rng.normal(0, spread.position_m, 2)])[0]
        told = CameraSettings("gate", 15.0, 110.0, lens, spread, tuple(stated), 8.0, yaw, pitch)
        survey = survey_of(Path("gate.toml"), told, hillside, PoseSigma(3.0, 0.1, 0.3, 0.2, 0.2))
        # What the map is wrong by everywhere is as good as an error of the height.
        up = 8.0 + rng.normal(0, np.hypot(spread.height_m, hillside.terrain.sigma_m))
        true = Pose(*at(foot, up), yaw + rng.normal(0, 0.3), pitch + rng.normal(0, 0.2), rng.normal(0, 0.2))
        azimuth = np.radians(yaw + rng.uniform(-20, 20))
        there = foot + rng.uniform(25, 60) * np.array([np.sin(azimuth), np.cos(azimuth)])
        eye = camera_of(told)
        found = geolocate(project([at(there)], true, eye.lens) + rng.normal(0, 2.0, (1, 2)), eye, survey, hillside.terrain)
        error = found.position_enu_m[0] - there
        assert not found.refused[0]
        inside += error @ np.linalg.solve(found.covariance_m2[0], error) <= CHI2_90_2DOF
    assert 0.86 < inside / draws < 0.94
