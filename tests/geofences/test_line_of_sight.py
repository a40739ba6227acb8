"""What a ridge hides, and what it does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geofences.line_of_sight import clear_sight
from geofences.terrain import FlatTerrain, GridTerrain, march


def ridge(height_m: float) -> GridTerrain:
    """Level at 100 m, with a wall of 20 m width from 40 to 60 m north."""
    heights = np.full((41, 41), 100.0)
    heights[14:17] += height_m          # rows of 10 m from -100: 40, 50, 60
    return GridTerrain(heights, (-100.0, -100.0), 10.0, 0.5, synthetic=True)


def test_a_ridge_hides_what_is_behind_it_and_nothing_before_it() -> None:
    before, behind = [0.0, 30.0, 101.0], [0.0, 90.0, 101.0]
    assert clear_sight([0, 0, 108], [before, behind], ridge(15.0), 5.0).tolist() == [True, False]
    assert clear_sight([0, 0, 108], [before, behind], ridge(1.0), 5.0).tolist() == [True, True]


def test_a_head_above_the_ridge_is_seen_and_feet_are_not() -> None:
    feet, head = [0.0, 90.0, 100.1], [0.0, 90.0, 101.7]
    # From 8 m over 90 m the line to the feet passes the ridge's back, 60 m away, at 2.7 m; the one to the head at 3.8 m.
    assert clear_sight([0, 0, 108], [feet, head], ridge(3.2), 2.0).tolist() == [False, True]


def test_unknown_ground_hides() -> None:
    assert clear_sight([0, 0, 108], [[0.0, 900.0, 200.0]], ridge(0.0), 5.0).tolist() == [False]


def test_a_camera_under_the_ground_sees_nothing() -> None:
    assert clear_sight([0, 0, 99], [[0.0, 30.0, 101.0]], FlatTerrain(100, 0.5, synthetic=True)).tolist() == [False]
    assert clear_sight([0, 0, 99], [[0.0, 30.0, 101.0]], ridge(0.0)).tolist() == [False]


@given(st.integers(0, 2**32 - 1))
def test_whatever_a_ray_reaches_first_is_in_clear_sight_and_what_lies_beyond_is_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Slopes of at most one in five, so that neither step jumps a ridge.
    coarse = rng.uniform(0, 25, (6, 6))
    grid = GridTerrain(coarse + 100.0, (-250.0, -250.0), 125.0, 0.5, synthetic=True)
    origin = np.array([0.0, 0.0, float(grid.height_msl_m([[0.0, 0.0]])[0]) + 12.0])
    azimuth, down = rng.uniform(0, 2 * np.pi, 40), rng.uniform(0.05, 0.4, 40)
    rays = np.column_stack([np.sin(azimuth) * np.cos(down), np.cos(azimuth) * np.cos(down), -np.sin(down)])
    hits = march(origin, rays, grid, 400.0)
    hits = hits[np.isfinite(hits).all(axis=1)]
    assert clear_sight(origin, hits + np.array([0, 0, 0.3]), grid, 1.0).all()
    below = hits - np.array([0, 0, 1.0])
    assert not clear_sight(origin, below + (below - origin) * 0.1, grid, 0.5).any()
