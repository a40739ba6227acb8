"""Forecast, permits, cameras and patrols in the fleet's settings: what they become, and how they are refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleet.permit_settings import PermitSettings, ViewSettings, WeatherSettings, permits_of, view_of, wind_of
from fleet.settings import FleetSettings
from fleet.wind import ASSUMED
from geofences.sector import Sector
from wire.clock import NS_PER_S
from wire.settings import SettingsError, load_settings

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs/demo/fleet.toml"
GOOD = PermitSettings("12/2026", "2026-11-01 06:00", "2026-11-01 18:00", 100.0, hours=("06:00", "17:30"))


def test_a_permit_is_read_in_the_sector_s_own_time(sector: Sector) -> None:
    (permit,) = permits_of(CONFIG, [GOOD], sector, {"drone-1"})
    assert (permit.until_ns - permit.from_ns) // NS_PER_S == 12 * 3600
    assert permit.from_ns == 1793487600 * NS_PER_S, "2026-10-31 23:00 UTC"
    assert permit.hours_min == (360, 1050) and permit.area_enu is None and not permit.night


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"begins": "1 November"}, 'give local time as "2026-11-01 06:00"'),
        ({"ends": "2026-11-01 05:00"}, "is not after"),
        ({"ceiling_m": 0.0}, "metres above the ground"),
        ({"drones": ["drone-9"]}, 'no drone is called "drone-9"'),
        ({"hours": ("6", "17:30")}, 'give local time as "HH:MM"'),
        ({"area": [(16.6, 106.6), (16.7, 106.6)]}, "three points or more"),
    ],
)
def test_a_permit_that_cannot_be_is_refused_with_its_key(sector: Sector, change: dict[str, object], said: str) -> None:
    broken = msgspec.structs.replace(GOOD, **change)
    with pytest.raises(SettingsError, match=r"permits\.0") as refused:
        permits_of(CONFIG, [broken], sector, {"drone-1"})
    assert said in str(refused.value)


def test_a_wind_that_nobody_names_is_assumed_and_one_that_is_named_is_not() -> None:
    assert wind_of(CONFIG, None) is ASSUMED and ASSUMED.assumed
    wind = wind_of(CONFIG, WeatherSettings(4.0, 1.0, 240.0))
    assert not wind.assumed and wind.velocity() == pytest.approx((3.464, 2.0), abs=0.001)
    for broken in (WeatherSettings(-1.0, 0.0), WeatherSettings(4.0, 99.0), WeatherSettings(4.0, 1.0, 400.0)):
        with pytest.raises(SettingsError, match="weather"):
            wind_of(CONFIG, broken)


def test_a_camera_becomes_a_lens_or_is_refused() -> None:
    good = ViewSettings(960, 540, 700.0, 700.0, -45.0, 150.0, 12.0)
    view = view_of(CONFIG, 0, good)
    assert view is not None and view.lens.cx == 479.5 and view_of(CONFIG, 0, None) is None
    for change in ({"pitch_deg": 10.0}, {"fx_px": 0.0}):
        with pytest.raises(SettingsError, match=r"drones\.0\.camera"):
            view_of(CONFIG, 0, msgspec.structs.replace(good, **change))


def test_the_repository_s_settings_name_a_forecast() -> None:
    assert load_settings(CONFIG, FleetSettings).weather is not None
