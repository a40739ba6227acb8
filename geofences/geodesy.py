"""Degrees to local metres and back.

A LocalFrame is the tangent plane of the WGS 84 ellipsoid at a sector's origin: east, north in metres. pymap3d does the
transformation exactly, and the way back, which every picture needs, is exact in a few lines here. Within 20 km of the origin
the plane differs from distances along the ground by less than 0.02 %.
Heights do not pass through here: over 5 km the plane rises 2 m above the ellipsoid, so heights stay in their own datum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pymap3d

from wire.units import GroundPosition

Array = npt.NDArray[np.float64]

SEMI_MAJOR_M, ECCENTRICITY2 = 6_378_137.0, 6.69437999014e-3     # NIMA TR8350.2 (2000), table 3.1 and 3.3
STRETCH2 = np.array([1.0, 1.0, 1.0 / (1.0 - ECCENTRICITY2)])    # (a / b) squared of z, none of x and y


@dataclass(frozen=True, slots=True)
class LocalFrame:
    """East, north in metres from an origin (WGS 84, degrees)."""

    lat_deg: float
    lon_deg: float

    def to_enu(self, lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike) -> Array:
        """(n,) latitudes and longitudes to (n, 2) east, north in metres."""
        lat, lon = np.atleast_1d(np.asarray(lat_deg, float)), np.atleast_1d(np.asarray(lon_deg, float))
        east, north, _ = pymap3d.geodetic2enu(lat, lon, np.zeros_like(lat), self.lat_deg, self.lon_deg, 0.0)
        return np.column_stack([east, north])

    def from_enu(self, enu_m: npt.ArrayLike) -> Array:
        """(n, 2) east, north in metres to (n, 2) latitude, longitude in degrees; inverse of to_enu."""
        enu = np.atleast_2d(np.asarray(enu_m, float))
        at = _tangent(self.lat_deg, self.lon_deg)
        # Drop a perpendicular from the plane. With z stretched by a / b the ellipsoid is a sphere of radius a, met where a
        # quadratic in `up` says; the plane touches at the origin, so that its last term has no part of the origin.
        aside = enu @ at.axes[:2]
        a, b, c = at.up2, (aside * STRETCH2) @ at.axes[2] + at.lift, np.einsum("ni,ni,i->n", aside, aside, STRETCH2)
        with np.errstate(invalid="ignore"):
            up = -c / (b + np.sqrt(b * b - a * c))
        x, y, z = (at.origin + aside + up[:, None] * at.axes[2]).T
        # Of a point on the ellipsoid itself the geodetic latitude needs no iteration.
        lat, lon = np.arctan2(z, (1.0 - ECCENTRICITY2) * np.hypot(x, y)), np.arctan2(y, x)
        return np.asarray(np.degrees(np.column_stack([lat, lon])))

    def point(self, position: GroundPosition) -> Array:
        """(2,) east, north in metres of one ground position."""
        enu: Array = self.to_enu(position.lat_deg, position.lon_deg)[0]
        return enu

    def position(self, east_m: float, north_m: float) -> GroundPosition:
        lat, lon = self.from_enu([[east_m, north_m]])[0]
        return GroundPosition(float(lat), float(lon))


def bearing_deg(from_enu_m: npt.ArrayLike, to_enu_m: npt.ArrayLike) -> float:
    """Direction in degrees clockwise from the frame's north, 0 to 360."""
    d = np.asarray(to_enu_m, float) - np.asarray(from_enu_m, float)
    return math.degrees(math.atan2(d[0], d[1])) % 360.0


@dataclass(frozen=True, slots=True)
class _Tangent:
    """A plane's place in earth-centred axes, metres. origin: (3,). axes: (3, 3) rows east, north, up.

    up2, lift: of up with itself, and with the origin, where z is stretched by STRETCH2.
    """

    origin: Array
    axes: Array
    up2: float
    lift: float


@lru_cache(maxsize=16)
def _tangent(lat_deg: float, lon_deg: float) -> _Tangent:
    (slat, clat), (slon, clon) = ((math.sin(v), math.cos(v)) for v in (math.radians(lat_deg), math.radians(lon_deg)))
    normal_m = SEMI_MAJOR_M / math.sqrt(1.0 - ECCENTRICITY2 * slat**2)
    origin = normal_m * np.array([clat * clon, clat * slon, (1.0 - ECCENTRICITY2) * slat])
    axes = np.array([[-slon, clon, 0.0], [-slat * clon, -slat * slon, clat], [clat * clon, clat * slon, slat]])
    return _Tangent(origin, axes, float(STRETCH2 @ axes[2] ** 2), float((STRETCH2 * origin) @ axes[2]))
