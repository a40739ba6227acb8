"""What light, air and movement leave of a sensor's pixels, against the laws that are cited for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.coverage_grades import (
    FULL_LUX,
    LIMIT_CONTRAST,
    PIXELS_A_METRE,
    cloud_leaves,
    extinction_per_m,
    grades_of,
    present_density,
)
from station.coverage_picture import Grade, Weather
from tests.station.coverage_stage import optics_of
from wire.optics import SensorKind

CLEAR = Weather(100_000.0, 0.0, 0.0)
WEATHERS = st.builds(Weather, st.floats(10, 100_000), st.floats(0, 300), st.floats(0, 1))
KINDS = st.sampled_from(list(SensorKind))


def left(density: float, distance_m: float, kind: SensorKind, lux: float, weather: Weather = CLEAR, **other: float) -> float:
    turning = other.pop("turning", 0.0)
    optics = optics_of(0.0, 0.0, kind=kind, **other)
    return float(present_density(np.array([density]), np.array([distance_m]), optics, lux, weather, turning)[0])


def test_the_ladder_is_that_of_the_standard() -> None:
    at = np.array([0.0, 12.4, 12.5, 25.0, 61.9, 62.0, 125.0, 249.9, 250.0, 9000.0])
    assert [Grade(g).name for g in grades_of(at)] == [
        "NONE", "NONE", "MONITOR", "DETECT", "DETECT", "OBSERVE", "RECOGNISE", "RECOGNISE", "IDENTIFY", "IDENTIFY",
    ]


@given(st.floats(50, 50_000))
def test_at_the_visibility_a_twentieth_of_contrast_is_left_and_beyond_it_nothing_is_seen(visibility_m: float) -> None:
    weather = Weather(visibility_m, 0.0, 0.0)
    assert np.exp(-extinction_per_m(weather, SensorKind.DAY) * visibility_m) == pytest.approx(LIMIT_CONTRAST)
    near = left(100.0, visibility_m * 0.999, SensorKind.DAY, 1e5, weather)
    assert near == pytest.approx(100 * np.sqrt(LIMIT_CONTRAST), rel=0.01)
    assert left(100.0, visibility_m * 1.001, SensorKind.DAY, 1e5, weather) == 0.0


def test_rain_takes_what_the_recommendation_says() -> None:
    # ITU-R P.1814 by Carbonneau: 50 mm/h, 1.076 * 50^0.67 = 14.8 dB/km, beside the air's own.
    dry, wet = (extinction_per_m(Weather(20_000, r, 1.0), SensorKind.DAY) for r in (0.0, 50.0))
    assert (wet - dry) * 1000 * 10 / np.log(10) == pytest.approx(14.8, abs=0.05)


@pytest.mark.parametrize(("visibility_m", "share"), [(300, 1.0), (800, 0.42), (20_000, 0.023)])
def test_heat_goes_through_haze_and_not_through_dense_fog(visibility_m: float, share: float) -> None:
    weather = Weather(visibility_m, 0.0, 1.0)
    ratio = extinction_per_m(weather, SensorKind.THERMAL) / extinction_per_m(weather, SensorKind.DAY)
    assert ratio == pytest.approx(share, rel=0.03)


@given(st.floats(1e-4, 1e5))
def test_detail_goes_with_the_root_of_light_until_there_is_none(lux: float) -> None:
    got = left(100.0, 20.0, SensorKind.DAY, lux)
    full = left(100.0, 20.0, SensorKind.DAY, 1e5)
    full_lux = FULL_LUX[SensorKind.DAY]
    wanted = 0.0 if lux < full_lux / 100 else full * min(1.0, (lux / full_lux) ** 0.5)
    assert got == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_a_lamp_lights_as_far_as_its_settings_say_and_then_less_with_the_distance() -> None:
    by_distance = [left(100.0, d, SensorKind.LOW_LIGHT, 0.0, CLEAR, lamp_reach_m=60.0) for d in (10, 59, 120, 240, 700)]
    assert by_distance[0] == pytest.approx(100, rel=0.01) and by_distance[1] == pytest.approx(100, rel=0.01)
    assert by_distance[2] == pytest.approx(50, rel=0.02) and by_distance[3] == pytest.approx(25, rel=0.02)
    assert by_distance[4] == 0.0


def test_a_thermal_picture_never_recognises_anybody() -> None:
    assert grades_of([left(5000.0, 20.0, SensorKind.THERMAL, 0.0)]) == [Grade.OBSERVE]
    assert grades_of([left(5000.0, 20.0, SensorKind.DAY, 1e5)]) == [Grade.IDENTIFY]


def test_clouds_leave_what_kasten_and_czeplak_measured() -> None:
    assert [round(cloud_leaves(n), 2) for n in (0.0, 0.5, 1.0)] == [1.0, 0.93, 0.25]


def test_a_turn_smears_by_what_it_covers_while_the_shutter_is_open() -> None:
    # No light but a lamp: the shutter is open for 40 ms; 10 degrees a second at 50 m are 0.35 m.
    got = left(100.0, 50.0, SensorKind.LOW_LIGHT, 0.0, CLEAR, lamp_reach_m=100.0, turning=10.0)
    assert got == pytest.approx(1 / (np.radians(10) * 0.04 * 50), rel=1e-3)
    assert left(100.0, 50.0, SensorKind.LOW_LIGHT, 1e5, turning=10.0) == pytest.approx(100, rel=0.01)


@given(st.floats(0, 1000), st.floats(0.1, 3000), KINDS, st.floats(0, 1e5), WEATHERS, st.floats(0, 90))
def test_nothing_gives_a_sensor_more_than_its_pixels(
    density: float, distance_m: float, kind: SensorKind, lux: float, weather: Weather, turning: float
) -> None:
    got = left(density, distance_m, kind, lux, weather, turning=turning, lamp_reach_m=40.0)
    assert 0.0 <= got <= density


@given(st.floats(30, 1000), st.floats(1, 500), KINDS, st.floats(1e-4, 1e5), WEATHERS)
def test_worse_weather_less_light_and_more_distance_never_help(
    density: float, distance_m: float, kind: SensorKind, lux: float, weather: Weather
) -> None:
    now = left(density, distance_m, kind, lux, weather)
    assert left(density, distance_m * 1.5, kind, lux, weather) <= now
    assert left(density, distance_m, kind, lux / 2, weather) <= now
    assert left(density, distance_m, kind, lux, Weather(weather.visibility_m / 2, weather.rain_mm_h, weather.cloud)) <= now
    assert left(density, distance_m, kind, lux, Weather(weather.visibility_m, weather.rain_mm_h + 5, weather.cloud)) <= now


def test_the_ladder_has_five_rungs() -> None:
    assert len(PIXELS_A_METRE) == len(Grade) - 1
