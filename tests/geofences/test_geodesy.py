"""Degrees and metres agree with an independent geodesic."""

import numpy as np
import pymap3d.vincenty
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.geodesy import LocalFrame, bearing_deg
from wire.units import GroundPosition

frames = st.builds(LocalFrame, st.floats(-70, 70), st.floats(-179, 179))
offsets = st.floats(-20_000, 20_000)


@given(frames, offsets, offsets)
def test_there_and_back_is_the_same_place_to_a_millimetre(frame, east, north):
    lat, lon = frame.from_enu([[east, north]])[0]
    np.testing.assert_allclose(frame.to_enu(lat, lon)[0], [east, north], atol=1e-3)


@given(frames, st.floats(-5_000, 5_000), st.floats(-5_000, 5_000))
def test_distances_agree_with_vincenty_on_the_ellipsoid(frame, east, north):
    lat, lon = frame.from_enu([[east, north]])[0]
    truth, _ = pymap3d.vincenty.vdist(frame.lat_deg, frame.lon_deg, lat, lon)
    assert np.hypot(east, north) == pytest.approx(float(np.squeeze(truth)), abs=0.05, rel=2e-6)


def test_bearings_are_clockwise_from_north():
    assert bearing_deg([0, 0], [0, 10]) == pytest.approx(0)
    assert bearing_deg([0, 0], [10, 0]) == pytest.approx(90)
    assert bearing_deg([0, 0], [-10, -10]) == pytest.approx(225)


def test_single_points_go_both_ways():
    frame = LocalFrame(16.62, 106.6)
    point = frame.point(GroundPosition(16.63, 106.61))
    back = frame.position(float(point[0]), float(point[1]))
    assert back.lat_deg == pytest.approx(16.63, abs=1e-9)
    assert back.lon_deg == pytest.approx(106.61, abs=1e-9)
