"""A ray meets the ground where the ground is."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geofences.geodesy import LocalFrame
from geofences.terrain import FlatTerrain, GridTerrain, march, slope_at
from geofences.terrain_file import QUANTUM_M, read_terrain, write_terrain


def plane(slope_east, slope_north, base=100.0, size=41, step=50.0):
    """A tilted plane as a grid: bilinear posts hold it exactly."""
    axis = (np.arange(size) - size // 2) * step
    east, north = np.meshgrid(axis, axis)
    return GridTerrain(base + slope_east * east + slope_north * north, (axis[0], axis[0]), step, 1.0, synthetic=True)


@given(
    st.floats(-0.3, 0.3),
    st.floats(-0.3, 0.3),
    st.floats(0, 2 * np.pi),
    st.floats(-1.5, -0.35),
    st.floats(2, 150),
)
def test_on_a_tilted_plane_the_ray_meets_it_where_algebra_says(a, b, azimuth, elevation, above):
    d = np.array([np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth), np.sin(elevation)])
    origin = np.array([0.0, 0.0, 100.0 + above])
    closing = a * d[0] + b * d[1] - d[2]
    assume(closing > 0.02)
    t = above / closing
    truth = origin + t * d
    assume(np.abs(truth[:2]).max() < 900)
    np.testing.assert_allclose(march(origin, d, plane(a, b))[0], truth, atol=0.01)


@given(st.floats(-900, 900), st.floats(-900, 900))
def test_between_posts_heights_are_bilinear(east, north):
    assert plane(0.1, -0.2).height_msl_m([[east, north]])[0] == pytest.approx(100 + 0.1 * east - 0.2 * north, abs=1e-6)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-800, 800), st.floats(-800, 800), st.floats(0, 50))
def test_the_slope_of_a_plane_is_its_own_wherever_one_stands_and_however_sure(a, b, east, north, sigma):
    assert slope_at(plane(a, b), (east, north), sigma) == pytest.approx((a, b), abs=1e-9)


def test_the_slope_is_that_of_where_one_may_stand_and_not_of_one_furrow():
    """A ditch of 2 m, 20 m wide: whoever knows his place to 0.1 m stands on its side, whoever to 30 m on the level."""
    axis = np.arange(-200.0, 201.0, 5.0)
    east, _ = np.meshgrid(axis, axis)
    ditch = GridTerrain(100.0 - 2.0 * np.clip(1.0 - abs(east) / 10.0, 0.0, 1.0), (-200.0, -200.0), 5.0, 0.3, synthetic=True)
    assert slope_at(ditch, (5.0, 0.0), 0.1) == pytest.approx((0.2, 0.0))
    assert slope_at(ditch, (5.0, 0.0), 30.0) == pytest.approx((0.0, 0.0), abs=0.01)


def test_beside_a_hole_or_the_terrains_end_there_is_no_slope_along_that_axis():
    heights = 100.0 + 0.3 * np.add.outer(np.arange(11.0), np.arange(11.0)) * 10.0
    heights[:, 7] = np.nan
    holed = GridTerrain(heights, (0.0, 0.0), 10.0, 0.3, synthetic=True)
    assert slope_at(holed, (58.0, 50.0), 3.0) == pytest.approx((0.0, 0.3))
    assert slope_at(holed, (50.0, 99.0), 3.0) == pytest.approx((0.3, 0.0))
    assert slope_at(holed, (500.0, 500.0), 3.0) == (0.0, 0.0)


def test_a_ray_to_the_sky_meets_nothing():
    up = np.array([[0.0, 0.6, 0.8], [0.0, 1.0, 0.0]])
    assert np.isnan(march([0, 0, 110.0], up, FlatTerrain(100.0, 1.0, synthetic=True))).all()


def test_a_ray_into_a_hole_or_off_the_edge_meets_nothing():
    terrain = plane(0.0, 0.0, size=5)
    terrain._heights[:] = np.nan
    assert np.isnan(march([0, 0, 110.0], [[0.0, 0.8, -0.6]], terrain)).all()
    assert np.isnan(march([0, 0, 150.0], [[0.0, 0.9988, -0.0489]], plane(0.0, 0.0, size=5))).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 40.0))
def test_level_ground_is_met_where_a_level_grid_is(seed, above):
    """One is answered by algebra, the other by marching."""
    ways = np.random.default_rng(seed).normal(size=(20, 3)) * [1.0, 1.0, 0.2]
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    origin = [3.0, -4.0, 100.0 + above]
    level, grid = FlatTerrain(100.0, 1.0, synthetic=True), plane(0.0, 0.0)
    np.testing.assert_allclose(march(origin, ways, level, 400.0, 5.0), march(origin, ways, grid, 400.0, 5.0), atol=0.01)


def test_a_ray_that_is_not_a_number_comes_back_as_none():
    found = march([0, 0, 110.0], [[np.nan, 0.0, -1.0], [0.0, 0.0, -1.0]], FlatTerrain(100.0, 1.0, synthetic=True))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], [0, 0, 100.0], atol=0.01)


def test_a_hill_hides_what_is_behind_it():
    axis = np.arange(41) * 10.0 - 200.0
    heights = np.zeros((41, 41))
    heights[30, :] = 40.0  # a ridge 100 m north
    terrain = GridTerrain(heights, (axis[0], axis[0]), 10.0, 1.0, synthetic=True)
    hit = march([0, 0, 20.0], [[0.0, 0.9950, -0.0998]], terrain)[0]
    assert 90 < hit[1] < 100


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_a_grid_without_area_is_refused(shape):
    with pytest.raises(ValueError, match="at least 2 x 2"):
        GridTerrain(np.zeros(shape), (0, 0), 10.0, 1.0, synthetic=True)


def test_a_grid_is_read_from_its_file_as_it_was_written(tmp_path):
    frame = LocalFrame(16.62, 106.6)
    heights = plane(0.1, -0.2)._heights.copy()
    heights[3, 4] = np.nan
    before = GridTerrain(heights, (-1000.0, -1000.0), 50.0, 0.4, synthetic=True)
    write_terrain(tmp_path / "t.npz", before, frame, "a test")
    read = read_terrain(tmp_path / "t.npz", frame)
    np.testing.assert_allclose(read.terrain.heights_msl_m, heights, atol=QUANTUM_M / 2 + 1e-9)
    assert (read.terrain.south_west_enu_m, read.terrain.step_m) == ((-1000.0, -1000.0), 50.0)
    assert (read.terrain.sigma_m, read.terrain.synthetic, read.source) == (0.4, True, "a test")


def test_a_grid_of_another_origin_is_refused(tmp_path):
    write_terrain(tmp_path / "t.npz", plane(0, 0), LocalFrame(16.62, 106.6), "a test")
    with pytest.raises(ValueError, match="made for another origin"):
        read_terrain(tmp_path / "t.npz", LocalFrame(16.63, 106.6))


def test_heights_too_far_apart_for_the_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="too far apart"):
        write_terrain(tmp_path / "t.npz", plane(2.0, 0.0), LocalFrame(0, 0), "a test")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY"])
def test_a_file_that_is_no_terrain_is_refused_in_words(tmp_path, content):
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(ValueError, match="terrain file"):
        read_terrain(tmp_path / "t.npz", LocalFrame(0, 0))


def test_a_pickled_archive_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "t.npz", **{k: np.array([{"a": 1}], dtype=object) for k in
                                    ("heights", "lowest_m", "quantum_m", "south_west_m", "step_m", "frame_deg", "sigma_m",
                                     "synthetic", "source")})
    with pytest.raises(ValueError, match="pickle"):
        read_terrain(tmp_path / "t.npz", LocalFrame(0, 0))
