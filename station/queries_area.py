"""Where a query looks: a box, a circle, or a corridor; as a shape on the sector's plane, and as a box for the R-tree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from geofences.sector import Sector
from station.picture import Sentence

CIRCLE_LIMIT_M = 50_000.0
METRES_A_DEGREE = 110_574.0         # of latitude at the equator, the least there is: boxes come out too large at most


class QueryError(ValueError):
    """A query that cannot be. `says` is for the screen."""

    def __init__(self, says: Sentence, text: str) -> None:
        super().__init__(text)
        self.says = says


@dataclass(frozen=True, slots=True)
class Area:
    """shape: on the sector's plane, metres. south, west, north, east: degrees, a box that holds it."""

    shape: shapely.Polygon
    south: float
    west: float
    north: float
    east: float
    sector: Sector

    def holds(self, lats: list[float], lons: list[float]) -> bool:
        """Whether a trail touches the area: its points, and the straight ways between them."""
        if not lats:
            return False
        enu = self.sector.frame.to_enu(lats, lons)
        way = shapely.Point(enu[0]) if len(enu) == 1 else shapely.LineString(enu)
        return bool(self.shape.intersects(way))

    def holds_each(self, lats: list[float], lons: list[float]) -> np.ndarray:
        """(n,) bool: which of n points lie in it."""
        if not lats:
            return np.zeros(0, bool)
        return np.asarray(shapely.intersects(self.shape, shapely.points(self.sector.frame.to_enu(lats, lons))))


def read_area(sector: Sector, box: str, circle: str, corridor: str) -> Area | None:
    """The area that at most one of three texts names: "south,west,north,east", "lat,lon,radius_m", or a corridor's id.

    Raises QueryError for more than one, for numbers that are none, and for a corridor that there is not.
    """
    if sum(map(bool, (box, circle, corridor))) > 1:
        raise _refused("box, circle and corridor: give one of them")
    if box:
        south, west, north, east = _numbers("box", box, 4)
        if not (south < north and west < east):
            raise _refused(f'box "{box}": give south,west,north,east in degrees, south below north and west below east')
        corners = sector.frame.to_enu([south, south, north, north], [west, east, east, west])
        return _area(sector, shapely.Polygon(corners), (south, west, north, east))
    if circle:
        lat, lon, radius_m = _numbers("circle", circle, 3)
        if not 0 < radius_m <= CIRCLE_LIMIT_M:
            raise _refused(f'circle "{circle}": a radius is more than 0 m and at most {CIRCLE_LIMIT_M:.0f} m')
        return _area(sector, shapely.Point(sector.frame.to_enu(lat, lon)[0]).buffer(radius_m, quad_segs=32))
    if corridor:
        try:
            strip = sector.corridors.ground(corridor).strip
        except KeyError:
            known = ", ".join(g.corridor.id for g in sector.corridors.grounds)
            raise _refused(f'corridor "{corridor}": there is none; there are {known}') from None
        return _area(sector, strip)
    return None


def _area(sector: Sector, shape: shapely.Polygon, degrees: tuple[float, float, float, float] | None = None) -> Area:
    west_m, south_m, east_m, north_m = shape.bounds
    if degrees is None:
        corners = sector.frame.from_enu([[west_m, south_m], [west_m, north_m], [east_m, south_m], [east_m, north_m]])
        degrees = (*corners.min(axis=0), *corners.max(axis=0))
    margin = 1.0 / METRES_A_DEGREE          # a metre: the plane is not the box of degrees
    south, west, north, east = map(float, degrees)
    return Area(shape, south - margin, west - 2 * margin, north + margin, east + 2 * margin, sector)


def _numbers(name: str, text: str, count: int) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise _refused(f'{name} "{text}": give {count} numbers with commas between them')
    if not (-90 <= values[0] <= 90 and -180 <= values[1] <= 180):
        raise _refused(f'{name} "{text}": not on the Earth; latitude comes first')
    return values


def _refused(text: str) -> QueryError:
    return QueryError(Sentence("refused.query", {"error": text}), text)
