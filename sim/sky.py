"""Sun, moon and weather of a simulated world at a moment.

Sun: NOAA Global Monitoring Laboratory, "General Solar Position Calculations" (the equations behind its solar calculator),
good to about a quarter of a degree between 1950 and 2050. Moon: mean orbit after Meeus (1998), "Astronomical Algorithms",
chapter 47, first terms only: a few degrees, and the illuminated share to a few per cent. Gusts are a sum of sines with
seeded phases: a function of time alone, so that no step size changes them.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from sim.world_state import Sky

GUST_PERIODS_S = (3.1, 5.3, 9.7, 17.0, 31.0, 58.0)      # spread over the energetic end of a wind spectrum near the ground
TURBULENCE = 0.25                       # deviation over mean in a gentle wind near the ground, as IEC 61400-1 has it
J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


class Weather(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The weather from at_s seconds after the start; between two of these it changes evenly."""

    at_s: float = 0.0
    cloud: float = 0.3
    rain_mm_h: float = 0.0
    visibility_m: float = 20_000.0
    wind_mps: float = 2.0
    wind_from_deg: float = 90.0


@dataclass(frozen=True, slots=True)
class SkyScript:
    """Where and when a world is, and its weather. starts: an aware date; weather: in order of at_s, one at least."""

    lat_deg: float
    lon_deg: float
    starts: datetime
    weather: tuple[Weather, ...]
    seed: int

    def at(self, t_s: float) -> Sky:
        when = self.starts + timedelta(seconds=t_s)
        azimuth, elevation = sun_position(when, self.lat_deg, self.lon_deg)
        now = _between(self.weather, t_s)
        gust = gust_factor(t_s, self.seed)
        return Sky(
            sun_azimuth_deg=azimuth,
            sun_elevation_deg=elevation,
            moonlight=moonlight(when, self.lat_deg, self.lon_deg),
            cloud=now.cloud,
            rain_mm_h=now.rain_mm_h,
            visibility_m=now.visibility_m,
            wind_mps=now.wind_mps * gust,
            wind_from_deg=now.wind_from_deg,
        )


def sun_position(when: datetime, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """Azimuth (clockwise from north) and elevation (with refraction) of the sun in degrees at an aware date."""
    utc = when.astimezone(UTC)
    hours = utc.hour + utc.minute / 60.0 + (utc.second + utc.microsecond / 1e6) / 3600.0
    days = 366.0 if _is_leap(utc.year) else 365.0
    year = 2.0 * math.pi / days * (utc.timetuple().tm_yday - 1 + (hours - 12.0) / 24.0)
    equation_min = 229.18 * (
        0.000075 + 0.001868 * math.cos(year) - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year) - 0.040849 * math.sin(2 * year)
    )
    declination = (
        0.006918 - 0.399912 * math.cos(year) + 0.070257 * math.sin(year) - 0.006758 * math.cos(2 * year)
        + 0.000907 * math.sin(2 * year) - 0.002697 * math.cos(3 * year) + 0.00148 * math.sin(3 * year)
    )
    hour_angle = math.radians((hours * 60.0 + equation_min + 4.0 * lon_deg) / 4.0 - 180.0)
    azimuth, elevation = _horizontal(math.radians(lat_deg), declination, hour_angle)
    return azimuth, elevation + _refraction_deg(elevation)


def moonlight(when: datetime, lat_deg: float, lon_deg: float) -> float:
    """Light of the moon on level ground, 0 to 1 (full, overhead, clear)."""
    days = (when.astimezone(UTC) - J2000).total_seconds() / 86_400.0
    mean = math.radians(218.316 + 13.176396 * days)
    anomaly = math.radians(134.963 + 13.064993 * days)
    node_distance = math.radians(93.272 + 13.229350 * days)
    longitude = mean + math.radians(6.289) * math.sin(anomaly)
    latitude = math.radians(5.128) * math.sin(node_distance)
    sun_anomaly = math.radians(357.529 + 0.98560028 * days)
    sun_longitude = math.radians(
        280.459 + 0.98564736 * days + 1.915 * math.sin(sun_anomaly) + 0.020 * math.sin(2 * sun_anomaly)
    )
    apart = math.acos(max(-1.0, min(1.0, math.cos(latitude) * math.cos(longitude - sun_longitude))))
    illuminated = (1.0 - math.cos(apart)) / 2.0
    tilt = math.radians(23.439 - 4e-7 * days)
    declination = math.asin(
        math.sin(latitude) * math.cos(tilt) + math.cos(latitude) * math.sin(tilt) * math.sin(longitude)
    )
    right_ascension = math.atan2(
        math.sin(longitude) * math.cos(tilt) - math.tan(latitude) * math.sin(tilt), math.cos(longitude)
    )
    sidereal = math.radians((280.46061837 + 360.98564736629 * days + lon_deg) % 360.0)
    _, elevation = _horizontal(math.radians(lat_deg), declination, sidereal - right_ascension)
    return illuminated * max(0.0, math.sin(math.radians(elevation)))


def gust_factor(t_s: float, seed: int) -> float:
    """What the mean wind is multiplied with; mean 1, deviation TURBULENCE, never below a fifth."""
    phases = random.Random(f"gusts/{seed}")
    swing = sum(math.sin(2 * math.pi * (t_s / period + phases.random())) for period in GUST_PERIODS_S)
    return max(0.2, 1.0 + TURBULENCE * swing / math.sqrt(len(GUST_PERIODS_S) / 2.0))


def _between(weather: tuple[Weather, ...], t_s: float) -> Weather:
    later = next((i for i, w in enumerate(weather) if w.at_s > t_s), len(weather))
    if later == 0 or later == len(weather):
        return weather[max(0, later - 1)]
    a, b = weather[later - 1], weather[later]
    f = (t_s - a.at_s) / (b.at_s - a.at_s)
    turn = (b.wind_from_deg - a.wind_from_deg + 180.0) % 360.0 - 180.0
    return Weather(
        at_s=t_s,
        cloud=a.cloud + (b.cloud - a.cloud) * f,
        rain_mm_h=a.rain_mm_h + (b.rain_mm_h - a.rain_mm_h) * f,
        # Fog thickens by extinction, which is the inverse of how far one sees (Koschmieder).
        visibility_m=1.0 / ((1 - f) / a.visibility_m + f / b.visibility_m),
        wind_mps=a.wind_mps + (b.wind_mps - a.wind_mps) * f,
        wind_from_deg=(a.wind_from_deg + turn * f) % 360.0,
    )


def _horizontal(lat: float, declination: float, hour_angle: float) -> tuple[float, float]:
    """Azimuth clockwise from north and elevation, degrees, from radians."""
    up = math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.sin(declination) * math.cos(lat) - math.cos(declination) * math.sin(lat) * math.cos(hour_angle)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def _refraction_deg(elevation_deg: float) -> float:
    """Saemundsson's formula as in Meeus (1998), 16.4, for a body not below the horizon's dip."""
    if elevation_deg < -1.0:
        return 0.0
    return 1.02 / 60.0 / math.tan(math.radians(elevation_deg + 10.3 / (elevation_deg + 5.11)))


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
