"""Which side of the line, and how far from it."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofences.border import BorderLine, split_sides

BOX = shapely.box(-1000, -1000, 1000, 1000)


def border(line, own):
    return BorderLine(line, split_sides(line, BOX, own), advisory=True, source="test", as_of="2026")


@given(st.floats(-900, 900), st.floats(-900, 900))
def test_a_straight_line_gives_the_signed_distance(east, north):
    line = shapely.LineString([(0, -2000), (0, 2000)])
    assert border(line, (500, 0)).signed_distance_m([[east, north]])[0] == pytest.approx(east, abs=1e-6)


def test_a_meander_puts_each_loop_on_its_own_side():
    wiggle = shapely.LineString([(-2000, 0), (-500, 0), (-500, 400), (0, 400), (0, -400), (500, -400), (500, 0), (2000, 0)])
    b = border(wiggle, (0, 900))
    # North is ours; the bulge north at -250 belongs to the south, the bulge south at +250 to the north.
    np.testing.assert_array_equal(
        np.sign(b.signed_distance_m([[-250, 200], [250, -200], [-800, 10], [-800, -10], [0.5, 0], [-0.5, 0]])),
        [-1, 1, 1, -1, 1, -1],
    )


def test_a_line_that_leaves_and_comes_back_makes_a_pocket_of_the_other_side():
    line = shapely.MultiLineString([[(-2000, 0), (2000, 0)], [(1100, 500), (700, 600), (1100, 700)]])
    b = border(line.intersection(BOX), (0, 200))
    np.testing.assert_array_equal(np.sign(b.signed_distance_m([[950, 600], [500, 600], [0, -5]])), [-1, 1, -1])


def test_a_line_that_ends_inside_the_sector_is_refused():
    with pytest.raises(ValueError, match="does not cut the sector's box"):
        split_sides(shapely.LineString([(-2000, 0), (0, 0)]), BOX, (0, 500))


def test_an_own_point_outside_the_sector_is_refused():
    with pytest.raises(ValueError, match="outside the sector's box"):
        split_sides(shapely.LineString([(-2000, 0), (2000, 0)]), BOX, (0, 5000))
