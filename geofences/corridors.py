"""Corridors on the ground: which of them a position, with its error, may lie in."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString

from geofences.geodesy import Array, LocalFrame
from geofences.prepared import prepared
from wire.messages import Corridor, CorridorSet

CHI2_99_2DOF = 9.210340371976184        # scipy.stats.chi2.ppf(0.99, 2)
ELLIPSE_SIDES = 32

_ANGLES = np.arange(ELLIPSE_SIDES + 1) % ELLIPSE_SIDES * (2.0 * np.pi / ELLIPSE_SIDES)     # closed: the first comes again
_CIRCLE = np.array([np.cos(_ANGLES), np.sin(_ANGLES)]) / np.cos(np.pi / ELLIPSE_SIDES)
# Deviations along an axis within which all of a 99 % ellipse's polygon lies, and a rounding more.
ELLIPSE_REACH = math.sqrt(CHI2_99_2DOF) / math.cos(math.pi / ELLIPSE_SIDES) * (1.0 + 1e-9)


def make_corridor_set(sector: str, corridors: tuple[Corridor, ...]) -> CorridorSet:
    """A set whose version is a digest of its content, so that equal content has an equal version everywhere."""
    digest = hashlib.sha256(msgspec.msgpack.encode((sector, corridors))).hexdigest()[:12]
    return CorridorSet(sector=sector, version=digest, corridors=corridors)


@dataclass(frozen=True, slots=True)
class CorridorGround:
    """One corridor in a LocalFrame: its centre line, and the strip around it (metres, east and north)."""

    corridor: Corridor
    centre_line: LineString
    strip: shapely.Polygon


class CorridorMap:
    """The corridors of one set on a frame, indexed."""

    def __init__(self, corridors: CorridorSet, frame: LocalFrame) -> None:
        self.version = corridors.version
        self.frame = frame
        grounds = []
        for corridor in corridors.corridors:
            line = LineString(
                frame.to_enu([p.lat_deg for p in corridor.centre_line], [p.lon_deg for p in corridor.centre_line])
            )
            grounds.append(CorridorGround(corridor, line, line.buffer(corridor.width_m / 2.0)))
        self.grounds = tuple(grounds)
        self._strips = np.array([g.strip for g in grounds], dtype=object)
        self._tree = shapely.STRtree(self._strips)
        bounds = shapely.bounds(self._strips).reshape(-1, 4)
        self._low, self._high = bounds[:, :2], bounds[:, 2:]
        self._by_id = {g.corridor.id: g for g in grounds}

    def ground(self, corridor_id: str) -> CorridorGround:
        return self._by_id[corridor_id]

    def touched(self, enu_m: npt.ArrayLike, covariance_m2: npt.ArrayLike) -> list[tuple[str, ...]]:
        """For n positions (n, 2) with covariances (n, 2, 2): ids of the corridors that each 99 % ellipse touches."""
        positions, covariances = np.atleast_2d(np.asarray(enu_m, float)), np.asarray(covariance_m2, float)
        found: list[list[str]] = [[] for _ in positions]
        for i, j in self._touching(positions, covariances):
            found[i].append(self.grounds[j].corridor.id)
        return [tuple(sorted(ids)) for ids in found]

    def _touching(self, positions: Array, covariances: Array) -> list[tuple[int, int]]:
        """(position, corridor) of each ellipse and each strip that have something in common.

        Nothing, where their rectangles have nothing; something, where the middle of the ellipse lies in the strip. Polygons
        are made for the others alone: one of them costs as much as all that.
        """
        if len(positions) == 0 or not self.grounds:
            return []
        reach = np.sqrt(np.maximum(covariances[:, [0, 1], [0, 1]], 0.0)) * ELLIPSE_REACH
        near = ((positions + reach)[:, None] >= self._low) & ((positions - reach)[:, None] <= self._high)
        rows, columns = np.nonzero(near.all(axis=2))
        inside = shapely.intersects_xy(prepared(self._strips)[columns], positions[rows, 0], positions[rows, 1])
        touching = list(zip(rows[inside].tolist(), columns[inside].tolist(), strict=True))
        if not inside.all():
            rows, columns = rows[~inside], columns[~inside]
            which, back = np.unique(rows, return_inverse=True)
            shapes = ellipses(positions[which], covariances[which])
            meets = shapely.intersects(prepared(self._strips)[columns], shapes[back])
            touching += zip(rows[meets].tolist(), columns[meets].tolist(), strict=True)
        return touching

    def containing(self, point_enu_m: npt.ArrayLike) -> tuple[str, ...]:
        """Ids of the corridors whose strip holds one point (2,), sorted."""
        if not self.grounds:
            return ()
        found = self._tree.query(shapely.Point(np.asarray(point_enu_m, float)), predicate="intersects")
        return tuple(sorted(self.grounds[i].corridor.id for i in found))

    def containing_each(self, points_enu_m: npt.ArrayLike) -> list[tuple[str, ...]]:
        """The same for each of n points (n, 2)."""
        points = np.asarray(points_enu_m, float).reshape(-1, 2)
        found: list[list[str]] = [[] for _ in points]
        if self.grounds:
            for i, j in self._tree.query(shapely.points(points), predicate="intersects").T.tolist():
                found[i].append(self.grounds[j].corridor.id)
        return [tuple(sorted(ids)) for ids in found]


def ellipse(centre_enu_m: npt.ArrayLike, covariance_m2: npt.ArrayLike, chi2: float = CHI2_99_2DOF) -> shapely.Polygon:
    """The error ellipse that holds the truth with the probability of `chi2` (two degrees of freedom; 99 % unless told)."""
    shape: shapely.Polygon = ellipses(np.asarray(centre_enu_m, float)[None], np.asarray(covariance_m2, float)[None], chi2)[0]
    return shape


def ellipses(centres_enu_m: Array, covariances_m2: Array, chi2: float = CHI2_99_2DOF) -> npt.NDArray[np.object_]:
    """(n,) polygons as of `ellipse`, for (n, 2) centres with (n, 2, 2) covariances."""
    # A root of the covariance (Cholesky's, lower left) makes the ellipse of a circle, and of a polygon around the circle one
    # around the ellipse: an approximation may find too much and never too little.
    a = np.sqrt(np.maximum(covariances_m2[:, 0, 0], 0.0))
    b = covariances_m2[:, 0, 1] / np.where(a > 0.0, a, np.inf)
    c = np.sqrt(np.maximum(covariances_m2[:, 1, 1] - b**2, 0.0))
    x, y = _CIRCLE * math.sqrt(chi2)
    corners = np.empty((len(centres_enu_m), ELLIPSE_SIDES + 1, 2))
    corners[:, :, 0] = centres_enu_m[:, 0, None] + a[:, None] * x
    corners[:, :, 1] = centres_enu_m[:, 1, None] + b[:, None] * x + c[:, None] * y
    return np.asarray(shapely.polygons(corners))


def alarms_now(corridor: Corridor, utc_ns: int, utc_offset_min: int) -> bool:
    """Whether being in `corridor` at this time raises an alarm, by its schedule in the sector's local time."""
    start, end = corridor.alarm_minutes
    local = datetime.fromtimestamp(utc_ns / 1e9, UTC) + timedelta(minutes=utc_offset_min)
    minute = local.hour * 60 + local.minute
    if start <= end:
        return start <= minute < end
    return minute >= start or minute < end
