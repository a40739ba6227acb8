"""What the fleet's settings file says of the weather, of permits, and of a drone's camera; and what may not be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import shapely

from cameras.lens import Lens
from fleet.permit import Permit
from fleet.routes_camera import CameraView
from fleet.wind import ASSUMED, Wind
from geofences.sector import Sector
from wire.clock import NS_PER_S
from wire.settings import refuse


class WeatherSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The forecast at the height of the patrols, as somebody has read it. gust_m_s: one sigma on top of the mean.

    wind_from_deg: where it comes from; left out when it may turn: then every way is reckoned against it.
    """

    wind_m_s: float
    gust_m_s: float
    wind_from_deg: float | None = None


class PermitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One permit. begins, ends: local time, "2026-11-01 06:00". hours: of each day, local. ceiling_m: above the ground.

    night: whether it holds when the sun is down. drones: none stands for all. area: [latitude, longitude] of its corners;
    none for all of the sector.
    """

    number: str
    begins: str
    ends: str
    ceiling_m: float = 120.0
    night: bool = False
    hours: tuple[str, str] = ("00:00", "24:00")
    drones: list[str] = []
    area: list[tuple[float, float]] = []


class ViewSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A drone's camera, for passes beside each other and for the speed. pitch_deg: of its axis in flight, negative is down.

    pixels_per_m: wanted of a person. seen_s: for how long a place stays in the picture. exposure_s: of a frame.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    pitch_deg: float
    reach_m: float
    pixels_per_m: float
    seen_s: float = 2.0
    exposure_s: float = 0.004


def wind_of(config: Path, s: WeatherSettings | None) -> Wind:
    """Raises SettingsError."""
    if s is None:
        return ASSUMED
    if not (0.0 <= s.wind_m_s <= 60.0 and 0.0 <= s.gust_m_s <= 20.0):
        raise refuse(config, ["weather"], f"{s.wind_m_s:g} with {s.gust_m_s:g} m/s: give metres a second, 0 or more")
    if s.wind_from_deg is not None and not 0.0 <= s.wind_from_deg <= 360.0:
        raise refuse(config, ["weather", "wind_from_deg"], f"{s.wind_from_deg:g}: give 0 to 360, where it comes from")
    return Wind(s.wind_m_s, s.gust_m_s, s.wind_from_deg, assumed=False)


def permits_of(config: Path, settings: list[PermitSettings], sector: Sector, drones: set[str]) -> tuple[Permit, ...]:
    """Raises SettingsError."""
    return tuple(_permit(config, i, s, sector, drones) for i, s in enumerate(settings))


def _permit(config: Path, i: int, s: PermitSettings, sector: Sector, drones: set[str]) -> Permit:
    from_ns = _moment(config, ["permits", i, "begins"], s.begins, sector.utc_offset_min)
    until_ns = _moment(config, ["permits", i, "ends"], s.ends, sector.utc_offset_min)
    if until_ns <= from_ns:
        raise refuse(config, ["permits", i, "ends"], f'"{s.ends}" is not after "{s.begins}"')
    if not 0.0 < s.ceiling_m <= 1000.0:
        raise refuse(config, ["permits", i, "ceiling_m"], f"{s.ceiling_m:g}: metres above the ground, above 0")
    unknown = sorted(set(s.drones) - drones)
    if unknown:
        raise refuse(config, ["permits", i, "drones"], f'no drone is called "{unknown[0]}" in this file')
    area = None
    if s.area:
        corners = sector.frame.to_enu([p[0] for p in s.area], [p[1] for p in s.area])
        area = shapely.Polygon(corners) if len(corners) > 2 else None
        if area is None or not area.is_valid:
            raise refuse(config, ["permits", i, "area"], "give three points or more, of a ring that never crosses itself")
    begin, end = (_minutes(config, i, text) for text in s.hours)
    return Permit(s.number, from_ns, until_ns, s.ceiling_m, s.night, tuple(s.drones), (begin, end), area)


def _moment(config: Path, keys: list[str | int], text: str, utc_offset_min: int) -> int:
    try:
        local = datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise refuse(config, keys, f'"{text}": give local time as "2026-11-01 06:00"') from None
    return round((local - timedelta(minutes=utc_offset_min)).timestamp()) * NS_PER_S


def _minutes(config: Path, i: int, text: str) -> int:
    hours, _, minutes = text.partition(":")
    if hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) * 60 + int(minutes) <= 1440:
        return int(hours) * 60 + int(minutes)
    raise refuse(config, ["permits", i, "hours"], f'"{text}": give local time as "HH:MM", up to "24:00"')


def view_of(config: Path, i: int, s: ViewSettings | None) -> CameraView | None:
    """Raises SettingsError."""
    if s is None:
        return None
    if min(s.width_px, s.height_px, s.fx_px, s.fy_px, s.reach_m, s.pixels_per_m, s.seen_s, s.exposure_s) <= 0:
        raise refuse(config, ["drones", i, "camera"], "its numbers are above 0, but for pitch_deg")
    if not -90.0 <= s.pitch_deg <= 0.0:
        raise refuse(config, ["drones", i, "camera", "pitch_deg"], f"{s.pitch_deg:g}: give -90 (straight down) to 0")
    lens = Lens(s.width_px, s.height_px, s.fx_px, s.fy_px, (s.width_px - 1) / 2.0, (s.height_px - 1) / 2.0)
    return CameraView(lens, s.pitch_deg, s.reach_m, s.pixels_per_m, s.seen_s, s.exposure_s)
