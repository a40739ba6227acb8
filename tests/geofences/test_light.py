"""Sun and moon against published examples and against the simulation's own sky; light against the circular's figures."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.light import J2000_UNIX_S, light_at, moon_place, sun_longitude_deg
from sim.sky import sun_position

LAO_BAO = (16.62, 106.60)


def ns(when: datetime) -> int:
    return round(when.timestamp() * 1e9)


def test_the_sun_of_the_worked_example_of_the_solar_position_algorithm() -> None:
    # Reda & Andreas (2008), NREL/TP-560-34302, appendix A.5: topocentric zenith 50.11162 degrees with 0.0114 of refraction.
    when = datetime(2003, 10, 17, 12, 30, 30, tzinfo=timezone(timedelta(hours=-7)))
    elevation = light_at(ns(when), 39.742476, -105.1786).sun_elevation_deg
    assert elevation == pytest.approx(90.0 - 50.11162, abs=0.03)


def test_the_sun_of_meeus_example_25a() -> None:
    days = (datetime(1992, 10, 13, tzinfo=UTC).timestamp() - J2000_UNIX_S) / 86_400
    assert sun_longitude_deg(days) == pytest.approx(199.90895, abs=0.002)


def test_the_moon_of_meeus_examples_47a_and_48a() -> None:
    when = datetime(1992, 4, 12, tzinfo=UTC)
    longitude, latitude, distance_km = moon_place((when.timestamp() - J2000_UNIX_S) / 86_400)
    assert longitude == pytest.approx(133.162655, abs=0.1)
    assert latitude == pytest.approx(-3.229126, abs=0.05)
    assert distance_km == pytest.approx(368_409.7, rel=0.003)
    assert light_at(ns(when), *LAO_BAO).moon_lit == pytest.approx(0.6786, abs=0.004)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)), st.floats(-60, 60), st.floats(-180, 180))
def test_the_sun_is_where_the_simulated_sky_has_it(when: datetime, lat: float, lon: float) -> None:
    when = when.replace(tzinfo=UTC)
    _, with_refraction = sun_position(when, lat, lon)
    elevation = light_at(ns(when), lat, lon).sun_elevation_deg
    assert elevation == pytest.approx(with_refraction, abs=0.13 if elevation > 10 else 0.65)


@pytest.mark.parametrize(
    ("when", "least", "most"),
    [
        (datetime(2026, 6, 11, 5, tzinfo=UTC), 90_000, 140_000),        # noon, the sun in the zenith
        (datetime(2026, 6, 11, 11, 25, tzinfo=UTC), 300, 2_000),        # sunset
        (datetime(2026, 6, 14, 17, tzinfo=UTC), 4e-4, 1e-3),            # midnight, new moon
        (datetime(2026, 6, 29, 17, tzinfo=UTC), 0.05, 0.4),             # midnight, full moon
    ],
)
def test_there_is_as_much_light_as_the_hour_has(when: datetime, least: float, most: float) -> None:
    assert least <= light_at(ns(when), *LAO_BAO).lux <= most


@given(st.integers(1_600_000_000, 2_000_000_000), st.floats(-65, 65), st.floats(-180, 180))
def test_light_has_no_jump_from_one_minute_to_the_next(second: int, lat: float, lon: float) -> None:
    before, after = (light_at(s * 10**9, lat, lon).lux for s in (second, second + 60))
    assert abs(math.log10(after / before)) < 0.45
