"""Sun and moon stand where an ephemeris has them; weather changes evenly; gusts depend on the time alone."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.sky import TURBULENCE, SkyScript, Weather, gust_factor, moonlight, sun_position

LAT, LON = 16.62, 106.60
# PyEphem 4.2 at this place, without refraction: UTC, azimuth and elevation of the sun.
SUN = [
    ("2026-11-24T10:00", 247.40, 3.22), ("2026-11-24T05:00", 187.63, 52.52), ("2026-06-21T05:00", 351.10, 83.10),
    ("2026-03-20T23:30", 91.95, 7.01), ("2026-09-01T08:15", 266.72, 40.26), ("2027-01-15T00:10", 115.39, 8.91),
]
# And illuminated share times the sine of the moon's elevation.
MOON = [
    ("2026-11-24T15:00", 0.908), ("2026-12-24T15:00", 0.798), ("2026-12-09T12:00", 0.0), ("2026-06-30T14:00", 0.391),
    ("2027-02-14T13:00", 0.451), ("2026-10-03T20:00", 0.332),
]


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("when", "azimuth", "elevation"), SUN)
def test_the_sun_stands_where_an_ephemeris_has_it(when, azimuth, elevation):
    found_azimuth, found_elevation = sun_position(utc(when), LAT, LON)
    refraction = 0.23 if elevation < 5 else 0.12 if elevation < 10 else 0.01
    # Near the zenith a degree of azimuth is little: compare along the sky.
    across = (found_azimuth - azimuth + 180) % 360 - 180
    assert across * np.cos(np.radians(elevation)) == pytest.approx(0.0, abs=0.03)
    assert found_elevation == pytest.approx(elevation + refraction, abs=0.05)


def test_the_sun_sets_at_lao_bao_when_an_ephemeris_says():
    # 17:18:29 local by PyEphem, for the upper limb; its centre is then 0.833 degrees below; refraction gives 0.4 back.
    sets = datetime(2026, 11, 24, 10, 18, 29, tzinfo=UTC)
    minute = timedelta(seconds=60)
    assert sun_position(sets - minute, LAT, LON)[1] > -0.44 > sun_position(sets + minute, LAT, LON)[1]


@given(st.floats(0, 86_400))
def test_the_sun_never_jumps(seconds):
    before = sun_position(datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=seconds), LAT, LON)
    after = sun_position(datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=seconds + 1), LAT, LON)
    assert abs(after[1] - before[1]) < 0.02


@pytest.mark.parametrize(("when", "light"), MOON)
def test_the_moon_gives_the_light_an_ephemeris_says(when, light):
    assert moonlight(utc(when), LAT, LON) == pytest.approx(light, abs=0.05)


def test_weather_changes_evenly_and_the_wind_turns_the_short_way():
    script = SkyScript(LAT, LON, utc("2026-11-24T05:00"), (
        Weather(at_s=0, cloud=0.2, rain_mm_h=0.0, visibility_m=20_000, wind_mps=0.0, wind_from_deg=350),
        Weather(at_s=100, cloud=0.8, rain_mm_h=10.0, visibility_m=500, wind_mps=0.0, wind_from_deg=30),
    ), seed=1)
    middle, after = script.at(50), script.at(500)
    assert (middle.cloud, middle.rain_mm_h, middle.wind_from_deg) == pytest.approx((0.5, 5.0, 10.0))
    assert 500 < middle.visibility_m < 1100        # extinctions are averaged, not distances
    assert (after.cloud, after.visibility_m) == (0.8, 500)
    assert script.at(-5).cloud == 0.2


def test_gusts_swing_about_the_mean_and_are_the_same_at_the_same_time():
    factors = np.array([gust_factor(t, 4) for t in np.arange(0, 3600, 0.5)])
    assert factors.mean() == pytest.approx(1.0, abs=0.03)
    assert factors.std() == pytest.approx(TURBULENCE, rel=0.15)
    assert factors.min() >= 0.2
    assert gust_factor(123.4, 5) != gust_factor(123.4, 4)
