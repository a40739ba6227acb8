"""The ground that a camera sees: all of it is in the picture, and what is in the picture is in it."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cameras.camera import Camera
from cameras.footprint import footprint
from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from geofences.terrain import FlatTerrain, GridTerrain

FLAT = FlatTerrain(100.0, 0.5, synthetic=True)


def camera(reach_m=150.0):
    return Camera(Lens(768, 576, 1000, 1000, 384, 288), 1.0, 15.0, reach_m)


@given(st.floats(0, 360), st.floats(-80, 0), st.floats(-5, 5), st.floats(4, 30))
def test_the_footprint_is_the_ground_in_the_picture_within_reach(yaw, pitch, roll, height):
    c, pose = camera(), Pose(10, 20, 100.0 + height, yaw, pitch, roll)
    outline = footprint(c, pose, FLAT)
    axis = np.linspace(-160, 160, 41)
    grid = np.stack(np.meshgrid(axis + 10, axis + 20), axis=-1).reshape(-1, 2)
    pixels = project(np.column_stack([grid, np.full(len(grid), 100.0)]), pose, c.lens)
    distance = np.hypot(*(grid - [10, 20]).T)
    visible = c.lens.holds(pixels) & (distance <= c.reach_m)
    if len(outline) == 0:
        assert visible.sum() <= 2
        return
    area = shapely.Polygon(outline)
    assert area.is_valid
    # The arc at the reach is a chain of chords, so the outline may be short by their sagitta.
    assert shapely.contains_xy(area.buffer(3.0), *grid[visible].T).all()
    inside = shapely.contains_xy(area.buffer(-1.0), *grid.T)
    assert visible[inside].all()


def test_a_camera_that_looks_into_the_sky_sees_no_ground():
    assert len(footprint(camera(), Pose(0, 0, 110, 0, 40), FLAT)) == 0


def test_a_ridge_ends_the_footprint():
    heights = np.full((101, 101), 100.0)
    heights[58:61, :] = 130.0                           # 80 m to the north
    hills = GridTerrain(heights, (-500.0, -500.0), 10.0, 1.0, synthetic=True)
    free = footprint(camera(300.0), Pose(0, 0, 110, 0, -5), FLAT)
    stopped = footprint(camera(300.0), Pose(0, 0, 110, 0, -5), hills)
    assert free[:, 1].max() == pytest.approx(300.0, abs=5.0)
    assert stopped[:, 1].max() < 95.0
