"""What a sensor's pixels are worth in the present light and weather, as a class of the DORI ladder.

The pixels that lens and distance give hold in full light and clear air. Three things take from them; each is a factor on
the pixels a metre, so that the ladder stays the same:

- Contrast. Air, fog and rain leave exp(-extinction times distance) of it (Koschmieder 1924; the meteorological optical range
  is where a twentieth is left, WMO-No. 8, 9.1). The detail that an observer resolves goes with the square root of contrast
  (the targeting task performance metric: Vollmerhausen, Jacobs & Driggers 2004, Opt. Eng. 43(11)). Below a twentieth nothing
  is seen. Rain: 1.076 R^0.67 dB/km (Carbonneau & Wisely 1998, as ITU-R P.1814 has it). At 10 micrometres fog takes less the
  thinner it is (Kim, McArthur & Korevaar 2001, Proc. SPIE 4214), and as much when one sees less than 500 m.
- Light. Where light is scarce the smallest visible detail goes with the inverse square root of it (Rose 1948, J. Opt. Soc.
  Am. 38; de Vries 1943). Clouds leave 1 - 0.75 N^3.4 of it (Kasten & Czeplak 1980). A lamp's light falls with the square of
  the distance, and crosses the air twice.
- Turning. A picture smears by the turn within its exposure; what is finer than the smear is not seen. The exposure is as
  long as the light asks for (reciprocity), between that of bright daylight and one frame of 25 a second.

A thermal picture never counts for more than "observe": the ladder's two upper classes speak of detail that it does not have.
What is not counted: leaves and shade of trees (see coverage_sight), glare, dirt on the glass, light thrown back by fog
before a lamp, and the minutes in which a person is as warm as the ground.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from station.coverage_picture import Grade, Weather
from wire.optics import Optics, SensorKind

Grades = npt.NDArray[np.uint8]


PIXELS_A_METRE = (12.5, 25.0, 62.0, 125.0, 250.0)   # IEC EN 62676-4:2015, table 2, rounded as there
LIMIT_CONTRAST = 0.05                               # WMO-No. 8, 9.1
RAIN_DB_A_KM, RAIN_EXPONENT = 1.076, 0.67
DB_A_NEPER = 10.0 / np.log(10.0)
VISIBLE_UM, THERMAL_UM = 0.55, 10.0
CLOUD_TAKES, CLOUD_EXPONENT = 0.75, 3.4

# Lux on the ground from which a sensor shows all that its pixels hold. A hundredth of that is a tenth of the detail, and the
# least at which makers' data sheets still speak of a picture (IEC 62676-5, 50 IRE: 0.2 to 0.5 lx in colour, 0.01 in grey).
FULL_LUX = {SensorKind.DAY: 30.0, SensorKind.LOW_LIGHT: 1.0, SensorKind.THERMAL: 0.0}
LEAST_SHARE = 0.01
EXPOSURE_S, DARK_EXPOSURE_S = 0.0005, 0.04
STILL_DEG_S = 0.001
THERMAL_EXPOSURE_S = 0.01                           # time constant of a microbolometer


def grades_of(pixels_a_metre: npt.ArrayLike) -> Grades:
    """The class of each density."""
    return np.searchsorted(PIXELS_A_METRE, np.asarray(pixels_a_metre, float), side="right").astype(np.uint8)


def present_density(
    density: Array, distance_m: Array, optics: Optics, clear_lux: float, weather: Weather, turning_deg_s: float = 0.0
) -> Array:
    """What is left of densities in pixels a metre (any shape), at distances in metres (the same shape).

    clear_lux: on the ground under a clear sky. turning_deg_s: how fast the sensor turns.
    """
    transmitted = np.exp(-extinction_per_m(weather, optics.kind) * distance_m)
    left = density * np.sqrt(transmitted)
    left[transmitted < LIMIT_CONTRAST] = 0.0
    exposure_s = THERMAL_EXPOSURE_S
    full_lux = FULL_LUX[optics.kind]
    if full_lux > 0.0:
        sky_lux = clear_lux * cloud_leaves(weather.cloud)
        exposure_s = max(EXPOSURE_S, DARK_EXPOSURE_S * min(1.0, full_lux / max(sky_lux, 1e-9)))
        lux = np.full(distance_m.shape, sky_lux)
        if optics.lamp_reach_m > 0.0:
            lux += full_lux * (optics.lamp_reach_m / np.maximum(distance_m, 1.0)) ** 2 * transmitted
        left *= np.sqrt(np.minimum(lux / full_lux, 1.0))
        left[lux < full_lux * LEAST_SHARE] = 0.0
    if turning_deg_s > STILL_DEG_S:
        smear_m = np.radians(turning_deg_s) * exposure_s * np.maximum(distance_m, 1e-3)
        left = np.minimum(left, 1.0 / smear_m)
    if optics.kind is SensorKind.THERMAL:
        left = np.minimum(left, np.nextafter(PIXELS_A_METRE[Grade.RECOGNISE - 1], 0.0))
    return np.asarray(left, float)


def extinction_per_m(weather: Weather, kind: SensorKind) -> float:
    air = -np.log(LIMIT_CONTRAST) / max(weather.visibility_m, 1.0)
    if kind is SensorKind.THERMAL:
        air *= (VISIBLE_UM / THERMAL_UM) ** _kim_exponent(weather.visibility_m / 1000.0)
    rain = RAIN_DB_A_KM * max(weather.rain_mm_h, 0.0) ** RAIN_EXPONENT / DB_A_NEPER / 1000.0
    return float(air + rain)


def cloud_leaves(cloud: float) -> float:
    return float(1.0 - CLOUD_TAKES * min(max(cloud, 0.0), 1.0) ** CLOUD_EXPONENT)


def _kim_exponent(visibility_km: float) -> float:
    """How extinction falls with wavelength. Kim et al. (2001); Kruse (1962) above 6 km."""
    if visibility_km > 50.0:
        return 1.6
    if visibility_km > 6.0:
        return 1.3
    if visibility_km > 1.0:
        return 0.16 * visibility_km + 0.34
    return max(0.0, visibility_km - 0.5)
