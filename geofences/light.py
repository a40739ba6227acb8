"""How much light falls on the ground at a time and place, from sun, moon and stars.

Sun: Meeus (1998), "Astronomical Algorithms", chapters 12, 13 and 25 (low accuracy): 0.01 degrees. Moon: chapter 47, the
largest terms, and its parallax: about 0.1 degrees. Illuminance: Janiczek & DeYoung (1987), "Computer Programs for Sun and
Moon Illuminance", U.S. Naval Observatory Circular 171, whose polynomials stand in Seidelmann (1992) too: good to some tens
of per cent under a clear sky, which is a tenth of what clouds do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

J2000_UNIX_S = 946_728_000.0            # noon of 1 January 2000, UTC
SECONDS_A_DAY = 86_400.0
DYNAMICAL_TIME_AHEAD_S = 69.2           # TT - UTC since 2017; it shifts the moon by half an arc minute
NIGHT_SKY_LUX = 5e-4                    # stars and airglow; Circular 171

# From an elevation in degrees upwards: coefficients of log10(lux) over elevation / 90. Circular 171, table 1.
_SUN = (
    (20.0, (3.74, 3.97, -4.07, 1.47)),
    (5.0, (3.05, 13.28, -45.98, 64.33)),
    (-0.8, (2.88, 22.26, -207.64, 1034.30)),
    (-5.0, (2.88, 21.81, -258.11, -858.36)),
    (-12.0, (2.70, 12.17, -431.69, -1899.83)),
    (-18.0, (13.84, 262.72, 1447.42, 2797.93)),
)
_MOON = (
    (20.0, (-1.95, 4.06, -4.24, 1.56)),
    (5.0, (-2.58, 12.58, -42.58, 59.06)),
    (-0.8, (-2.79, 24.27, -252.95, 1321.29)),
)
MEAN_PARALLAX_DEG = 0.951               # of the moon, in Circular 171

# Meeus (1998), table 47.A and 47.B: multiples of D, M, M', F; longitude (1e-6 degrees, sine), distance (m, cosine).
_MOON_LONGITUDE = (
    (0, 0, 1, 0, 6_288_774, -20_905_355), (2, 0, -1, 0, 1_274_027, -3_699_111), (2, 0, 0, 0, 658_314, -2_955_968),
    (0, 0, 2, 0, 213_618, -569_925), (0, 1, 0, 0, -185_116, 48_888), (0, 0, 0, 2, -114_332, -3_149),
    (2, 0, -2, 0, 58_793, 246_158), (2, -1, -1, 0, 57_066, -152_138), (2, 0, 1, 0, 53_322, -170_733),
    (2, -1, 0, 0, 45_758, -204_586), (0, 1, -1, 0, -40_923, -129_620), (1, 0, 0, 0, -34_720, 108_743),
    (0, 1, 1, 0, -30_383, 104_755), (2, 0, 0, -2, 15_327, 10_321),
)
_MOON_LATITUDE = (
    (0, 0, 0, 1, 5_128_122), (0, 0, 1, 1, 280_602), (0, 0, 1, -1, 277_693), (2, 0, 0, -1, 173_237),
    (2, 0, -1, 1, 55_413), (2, 0, -1, -1, 46_271), (2, 0, 0, 1, 32_573), (0, 0, 2, 1, 17_198),
)


@dataclass(frozen=True, slots=True)
class Light:
    """At one time and place. *_elevation_deg: above the horizon. moon_lit: of its disc. lux: clear sky, level ground."""

    sun_elevation_deg: float
    moon_elevation_deg: float
    moon_lit: float
    lux: float


def light_at(utc_ns: int, lat_deg: float, lon_deg: float) -> Light:
    """Under a clear sky. utc_ns: any time between 1950 and 2100."""
    days = (utc_ns / 1e9 - J2000_UNIX_S) / SECONDS_A_DAY
    sun_longitude = sun_longitude_deg(days)
    sun = _elevation_deg(days, sun_longitude, 0.0, lat_deg, lon_deg)
    longitude, latitude, distance_km = moon_place(days)
    apart = math.degrees(math.acos(max(-1.0, min(1.0, _cos(latitude) * _cos(longitude - sun_longitude)))))
    parallax_deg = math.degrees(math.asin(6378.14 / distance_km))           # Meeus 47
    moon = _elevation_deg(days, longitude, latitude, lat_deg, lon_deg)
    moon -= parallax_deg * _cos(moon)
    phase_deg = 180.0 - apart
    lux = NIGHT_SKY_LUX + _lux(_SUN, sun)
    # Circular 171: the moon's light falls with its phase much faster than its lit share.
    dimmed = -8.68e-3 * phase_deg - 2.2e-9 * phase_deg**4 + 2.0 * math.log10(parallax_deg / MEAN_PARALLAX_DEG)
    lux += _lux(_MOON, moon) * 10.0**dimmed
    return Light(sun, moon, (1.0 + _cos(phase_deg)) / 2.0, lux)


def sun_longitude_deg(days: float) -> float:
    """Apparent, on the ecliptic; days since J2000. Meeus (1998), chapter 25, low accuracy."""
    t = days / 36_525.0
    anomaly = 357.52911 + t * (35_999.05029 - 0.0001537 * t)
    centre = ((1.914602 - t * (0.004817 + 0.000014 * t)) * _sin(anomaly) + (0.019993 - 0.000101 * t) * _sin(2 * anomaly)
              + 0.000289 * _sin(3 * anomaly))
    node = 125.04 - 1934.136 * t
    return (280.46646 + t * (36_000.76983 + 0.0003032 * t) + centre - 0.00569 - 0.00478 * _sin(node)) % 360.0


def moon_place(days: float) -> tuple[float, float, float]:
    """Longitude and latitude on the ecliptic in degrees, and distance in km; Meeus (1998), chapter 47, largest terms."""
    t = (days + DYNAMICAL_TIME_AHEAD_S / SECONDS_A_DAY) / 36_525.0
    mean = 218.3164477 + 481_267.88123421 * t
    arguments = (
        297.8501921 + 445_267.1114034 * t,          # D, elongation
        357.5291092 + 35_999.0502909 * t,           # M, the sun's anomaly
        134.9633964 + 477_198.8675055 * t,          # M', the moon's
        93.2720950 + 483_202.0175233 * t,           # F, from its node
    )

    def angle(multiples: tuple[int, ...]) -> float:
        return sum(m * a for m, a in zip(multiples, arguments, strict=False))

    longitude = mean + sum(term[4] * 1e-6 * _sin(angle(term)) for term in _MOON_LONGITUDE)
    distance_km = 385_000.56 + sum(term[5] * 1e-3 * _cos(angle(term)) for term in _MOON_LONGITUDE)
    latitude = sum(term[4] * 1e-6 * _sin(angle(term)) for term in _MOON_LATITUDE)
    return longitude % 360.0, latitude, distance_km


def _elevation_deg(days: float, longitude_deg: float, latitude_deg: float, lat_deg: float, lon_deg: float) -> float:
    """Geocentric, without refraction. Meeus (1998), 13.3 and 13.4 to the equator, 12.4 for the sidereal time, 13.6."""
    tilt = 23.439291 - 3.563e-7 * days
    sine = _sin(latitude_deg) * _cos(tilt) + _cos(latitude_deg) * _sin(tilt) * _sin(longitude_deg)
    ascension = math.degrees(math.atan2(
        _sin(longitude_deg) * _cos(tilt) - math.tan(math.radians(latitude_deg)) * _sin(tilt), _cos(longitude_deg)
    ))
    hour_angle = 280.46061837 + 360.98564736629 * days + lon_deg - ascension
    up = _sin(lat_deg) * sine + _cos(lat_deg) * math.sqrt(max(0.0, 1.0 - sine**2)) * _cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, up))))


def _lux(pieces: tuple[tuple[float, tuple[float, float, float, float]], ...], elevation_deg: float) -> float:
    for above_deg, (a, b, c, d) in pieces:
        if elevation_deg >= above_deg:
            x = elevation_deg / 90.0
            return float(10.0 ** (a + x * (b + x * (c + x * d))))
    return 0.0


def _sin(degrees: float) -> float:
    return math.sin(math.radians(degrees))


def _cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))
