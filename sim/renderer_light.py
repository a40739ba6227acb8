"""From sun, moon and weather to light, air and the camera's gain.

Illuminance over the sun's elevation follows the table in Seidelmann (1992), Explanatory Supplement to the Astronomical
Almanac, 9.34, to the nearest third of an octave; the rest is what looks right beside photographs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from sim.raster import Light, Rgb
from sim.world_state import Sky

# degrees over the horizon, log10 of lux on level ground under a clear sky, without moon
ELEVATIONS_DEG = (-18.0, -12.0, -9.0, -6.0, -4.0, -2.0, 0.0, 3.0, 6.0, 15.0, 30.0, 60.0, 90.0)
LOG_LUX = (-3.1, -2.1, -0.9, 0.53, 1.45, 2.2, 2.85, 3.4, 3.8, 4.35, 4.7, 5.0, 5.08)
FULL_MOON_LUX = 0.25
CLOUD_TAKES = 0.75              # of the light, when the sky is full
AIR = np.array([0.30, 0.15, 0.085])     # optical depth of the zenith's air: blue, green, red (with some haze)

METERED, METERING = 0.95, 0.8    # the light for which a camera is set, and how far it follows another
DARKEST_LUX = 1.5               # a camera with a bright lens sees in this much light, noisily
GREYEST_LUX = 8.0               # below this a camera that may switches to grey and its infra-red lamp
READ_NOISE = 1.4                # grey levels, in full light
DARK_NOISE = 9.0                # grey levels, at the highest gain
CONTRAST = 3.912                # meteorological visibility times extinction (Koschmieder)
RAIN_VISIBILITY_M = 6_000.0     # at 10 mm an hour
LAMP_AT_1_M = 1_100.0           # of an infra-red lamp that lights some 60 m
THERMAL_FOG = 0.35              # long waves pass thin fog better


class Palette(StrEnum):
    """How a camera shows light. LOW_LIGHT is grey, with an infra-red lamp at the lens."""

    DAY = "day"
    LOW_LIGHT = "low_light"
    THERMAL = "thermal"


@dataclass(frozen=True, slots=True)
class Weather:
    """What the camera makes of a sky. light: for the raster. noise: one sigma, in grey levels.

    zenith, horizon: colours of the sky, linear, blue green red. glow: of the sun's own disc and its surroundings.
    wetness: 0 to 1. rain: 0 to 1, how many streaks. cloud: 0 to 1.
    """

    light: Light
    noise: float
    zenith: Rgb
    horizon: Rgb
    glow: Rgb
    wetness: float
    rain: float
    cloud: float


def lux(sky: Sky) -> float:
    """Illuminance of level ground."""
    clear = 10.0 ** float(np.interp(sky.sun_elevation_deg, ELEVATIONS_DEG, LOG_LUX)) + FULL_MOON_LUX * sky.moonlight
    return float(clear * (1.0 - CLOUD_TAKES * sky.cloud))


def sun_direction(sky: Sky) -> tuple[float, float, float]:
    """Unit vector to the sun, or to where a moon would be when the sun is down: east, north, up."""
    azimuth, elevation = sky.sun_azimuth_deg, sky.sun_elevation_deg
    if elevation < -1.0:
        azimuth, elevation = azimuth + 140.0, 48.0
    a, e = np.radians([azimuth, max(elevation, 2.0)])
    return (float(np.sin(a) * np.cos(e)), float(np.cos(a) * np.cos(e)), float(np.sin(e)))


def weather(sky: Sky, palette: Palette, exposure: float = 1.0, wind_s: float = 0.0) -> Weather:
    """Light and gain under a sky. exposure multiplies what the camera chooses; wind_s: seconds, for the swing of plants."""
    elevation = sky.sun_elevation_deg
    haze = 1.0 / max(float(np.sin(np.radians(max(elevation, 0.0)))) + 0.025, 0.025)
    direct = np.exp(-AIR * haze) * (1.0 - 0.97 * sky.cloud**1.5)
    up = float(np.clip(np.sin(np.radians(max(elevation, 0.0))) * 3.0 + 0.12, 0.0, 1.0)) if elevation > -1.0 else 0.0
    sun = direct * up * np.array([1.0, 1.03, 1.06])
    blue_hour = float(np.clip((6.0 - elevation) / 14.0, 0.0, 1.0))
    overcast = np.array([0.46, 0.46, 0.45])
    clear = np.array([0.40, 0.32, 0.25]) * (1 - blue_hour) + np.array([0.62, 0.42, 0.30]) * blue_hour
    above = clear * (1 - sky.cloud) + overcast * sky.cloud
    # By the light of the moon there are shadows, too, if faint ones.
    if elevation < -6.0:
        sun = np.array([0.5, 0.46, 0.42]) * sky.moonlight * (1 - sky.cloud)
    bounce = above * np.array([0.22, 0.30, 0.32]) + sun * 0.05

    dark, gain = _gain(lux(sky), palette)
    on_ground = float((above + sun * max(float(np.sin(np.radians(elevation))), 0.06)).mean())
    level = dark * exposure * float(np.clip((METERED / on_ground) ** METERING, 0.4, 3.5))
    metres = max(sky.visibility_m, 20.0)
    if sky.rain_mm_h > 0:
        metres = min(metres, RAIN_VISIBILITY_M * (10.0 / sky.rain_mm_h) ** 0.6)
    warm = float(np.clip(1.0 - abs(elevation - 1.0) / 9.0, 0.0, 1.0)) * (1 - sky.cloud)
    reddened = np.array([1.0 - 0.55 * warm, 1.0 - 0.12 * warm, 1.0 + 0.35 * warm])
    horizon = above * (1.5 - 0.55 * sky.cloud) * reddened + sun * 0.28
    light = Light(
        sun_direction=sun_direction(sky), sun=_rgb(sun), sky=_rgb(above), bounce=_rgb(bounce), fog=_rgb(horizon * 0.85),
        fog_per_m=CONTRAST / metres, exposure=1.6 * level, palette=list(Palette).index(palette), shadows=sun.max() > 0.04,
        wind=_wind(sky, wind_s),
    )
    if palette is Palette.LOW_LIGHT:
        lamp = LAMP_AT_1_M * float(np.clip(1.2 - lux(sky) / 60.0, 0.0, 1.0)) / max(level, 0.02)
        light = replace(light, lamp=(lamp, lamp, lamp), fog=_rgb(horizon * 0.85 + (0.03 / max(level, 0.02))))
    if palette is Palette.THERMAL:
        light = replace(light, fog_per_m=light.fog_per_m * THERMAL_FOG)
    return Weather(
        light=light, noise=READ_NOISE + (DARK_NOISE - READ_NOISE) * gain, zenith=_rgb(above * 0.9), horizon=_rgb(horizon),
        glow=_rgb(sun), wetness=float(np.clip(sky.rain_mm_h / 5.0, 0.0, 1.0)),
        rain=float(np.clip(sky.rain_mm_h / 30.0, 0.0, 1.0)), cloud=sky.cloud,
    )


def _gain(lux_now: float, palette: Palette) -> tuple[float, float]:
    """How bright the picture comes out (1 is right), and how much of the gain it takes (0 to 1)."""
    if palette is Palette.THERMAL:
        return 1.0, 0.25
    octaves = float(np.log2(max(lux_now, 1e-4) / DARKEST_LUX))
    bright = float(np.clip(2.0 ** (octaves * 0.8), 0.0, 1.0))
    # Even an honest camera lets dusk look a little like dusk.
    dusk = float(np.clip(0.55 + 0.45 * (np.log10(max(lux_now, 1e-4)) - 0.3) / 2.2, 0.55, 1.0))
    gain = float(np.clip(1.0 - (octaves + 1.0) / 8.0, 0.0, 1.0))
    if palette is Palette.LOW_LIGHT and lux_now < GREYEST_LUX:
        gain *= 0.7
    return bright * dusk, gain


def _wind(sky: Sky, seconds: float) -> tuple[float, float, float]:
    """Metres by which what is 10 m high bends at the most, towards where the wind goes."""
    toward = np.radians(sky.wind_from_deg + 180.0)
    bend = 0.010 * min(sky.wind_mps, 25.0) ** 1.5
    return (float(np.sin(toward) * bend), float(np.cos(toward) * bend), seconds)


def _rgb(values: np.ndarray) -> Rgb:
    blue, green, red = (float(v) for v in values)
    return (blue, green, red)
