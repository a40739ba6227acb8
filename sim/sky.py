"""Sun, moon and weather of a simulated world at a moment.

Sun: Meeus (1998), "Astronomical Algorithms", chapters 12, 13 and 25, as NOAA's solar calculator does, to some hundredths of
a degree; refraction as that calculator approximates it. Moon: its mean orbit, chapter 47, first terms only: half a degree or
so, and the illuminated share to a per cent. Gusts are a sum of sines with seeded phases: a function of time alone, so that
no step size changes them.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

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

    def turning(self, t_s: float, weather: Weather, over_s: float) -> SkyScript:
        """The same until t_s; from there evenly to another weather, which then stays."""
        now = _between(self.weather, t_s)
        before = tuple(w for w in self.weather if w.at_s < t_s)
        then = msgspec.structs.replace(weather, at_s=t_s + max(over_s, 0.001))
        return replace(self, weather=(*before, msgspec.structs.replace(now, at_s=t_s), then))


def sun_position(when: datetime, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """Azimuth (clockwise from north) and elevation (with refraction) of the sun in degrees at an aware date."""
    days = _days(when)
    azimuth, elevation = _seen_from(lat_deg, lon_deg, days, _sun_longitude(days), 0.0)
    return azimuth, elevation + _refraction_deg(elevation)


def moonlight(when: datetime, lat_deg: float, lon_deg: float) -> float:
    """Light of the moon on level ground, 0 to 1 (full, overhead, clear)."""
    days = _days(when)
    anomaly = math.radians(134.963 + 13.064993 * days)
    longitude = math.radians(218.316 + 13.176396 * days) + math.radians(6.289) * math.sin(anomaly)
    latitude = math.radians(5.128) * math.sin(math.radians(93.272 + 13.229350 * days))
    apart = math.acos(math.cos(latitude) * math.cos(longitude - _sun_longitude(days)))
    illuminated = (1.0 - math.cos(apart)) / 2.0
    _, elevation = _seen_from(lat_deg, lon_deg, days, longitude, latitude)
    return illuminated * max(0.0, math.sin(math.radians(elevation)))


def gust_factor(t_s: float, seed: int) -> float:
    """What the mean wind is multiplied with; mean 1, deviation TURBULENCE, never below a fifth."""
    swing = sum(
        math.sin(2 * math.pi * (t_s / period + phase)) for period, phase in zip(GUST_PERIODS_S, _phases(seed), strict=True)
    )
    return max(0.2, 1.0 + TURBULENCE * swing / math.sqrt(len(GUST_PERIODS_S) / 2.0))


@cache
def _phases(seed: int) -> tuple[float, ...]:
    rng = random.Random(f"gusts/{seed}")
    return tuple(rng.random() for _ in GUST_PERIODS_S)


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


def _days(when: datetime) -> float:
    """Since noon of 1 January 2000."""
    return (when.astimezone(UTC) - J2000).total_seconds() / 86_400.0


def _sun_longitude(days: float) -> float:
    """Ecliptic, radians; Meeus (1998), chapter 25, without aberration and nutation."""
    anomaly = math.radians(357.529 + 0.98560028 * days)
    centre = 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    return math.radians(280.459 + 0.98564736 * days + centre)


def _seen_from(lat_deg: float, lon_deg: float, days: float, longitude: float, latitude: float) -> tuple[float, float]:
    """Azimuth clockwise from north and elevation, degrees, of a body at an ecliptic longitude and latitude in radians.

    Meeus (1998), 13.3 and 13.4 to the equator, 12.4 for the sidereal time, 13.5 and 13.6 to the horizon.
    """
    tilt = math.radians(23.439 - 4e-7 * days)
    declination = math.asin(
        math.sin(latitude) * math.cos(tilt) + math.cos(latitude) * math.sin(tilt) * math.sin(longitude)
    )
    ascension = math.atan2(
        math.sin(longitude) * math.cos(tilt) - math.tan(latitude) * math.sin(tilt), math.cos(longitude)
    )
    hour_angle = math.radians((280.46061837 + 360.98564736629 * days + lon_deg) % 360.0) - ascension
    lat = math.radians(lat_deg)
    up = math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.sin(declination) * math.cos(lat) - math.cos(declination) * math.sin(lat) * math.cos(hour_angle)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def _refraction_deg(elevation_deg: float) -> float:
    """As NOAA's calculator approximates it, in four pieces; it has no jump, not even below the horizon."""
    h = elevation_deg
    tangent = math.tan(math.radians(h))
    if h > 85.0:
        seconds = 0.0
    elif h > 5.0:
        seconds = 58.1 / tangent - 0.07 / tangent**3 + 0.000086 / tangent**5
    elif h > -0.575:
        seconds = 1735.0 + h * (-518.2 + h * (103.4 + h * (-12.79 + h * 0.711)))
    else:
        seconds = -20.774 / tangent
    return seconds / 3600.0

