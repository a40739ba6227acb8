"""Degrees to local metres and back.

A LocalFrame is the tangent plane of the WGS 84 ellipsoid at a sector's origin: east, north in metres. pymap3d does the
transformation exactly; within 20 km of the origin the plane differs from distances along the ground by less than 0.02 %.
Heights do not pass through here: over 5 km the plane rises 2 m above the ellipsoid, so heights stay in their own datum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pymap3d

from wire.units import GroundPosition

Array = npt.NDArray[np.float64]


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
        # The point of height zero below a point of the plane: one correction of `up` leaves less than 1 mm at 50 km.
        up = -(enu[:, 0] ** 2 + enu[:, 1] ** 2) / (2.0 * _mean_radius_m(self.lat_deg))
        lat, lon, height = pymap3d.enu2geodetic(enu[:, 0], enu[:, 1], up, self.lat_deg, self.lon_deg, 0.0)
        lat, lon, _ = pymap3d.enu2geodetic(enu[:, 0], enu[:, 1], up - height, self.lat_deg, self.lon_deg, 0.0)
        return np.column_stack([lat, lon])

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


def _mean_radius_m(lat_deg: float) -> float:
    """Gaussian mean radius of curvature of the WGS 84 ellipsoid."""
    a, e2 = 6_378_137.0, 6.69437999014e-3
    w2 = 1.0 - e2 * math.sin(math.radians(lat_deg)) ** 2
    return a * math.sqrt(1.0 - e2) / w2
