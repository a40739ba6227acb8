"""Ways that actors follow: a polyline by its length, with its slopes and bends, in plain numbers for the inner loop."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter1d

from geofences.geodesy import Array
from geofences.terrain import Terrain
from sim.landscape_lines import lengths_along, resample

SPACING_M = 2.0
LATERAL_ACCELERATION_MPS2 = 1.5     # with which a careful driver takes a bend on a dirt road; our own assumption


class Path:
    """A polyline (n, 2) with points SPACING_M apart (a little less or more, so that both ends are kept).

    tobler: factors on a walker's pace by slope, for walking forwards and backwards along it.
    bend_mps: the speed that each point's curvature allows.
    """

    __slots__ = ("bend_mps", "east", "length_m", "name", "north", "spacing_m", "tangent_e", "tangent_n", "tobler")

    def __init__(self, name: str, line: Array, terrain: Terrain | None = None) -> None:
        points = resample(line, SPACING_M)
        self.name = name
        self.length_m = float(lengths_along(line)[-1])
        self.spacing_m = self.length_m / (len(points) - 1)
        along = np.gradient(points, axis=0)
        along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        self.east, self.north = points[:, 0].tolist(), points[:, 1].tolist()
        self.tangent_e, self.tangent_n = along[:, 0].tolist(), along[:, 1].tolist()
        self.tobler: tuple[list[float], list[float]] = _tobler(points, self.spacing_m, terrain)
        heading = np.unwrap(np.arctan2(along[:, 0], along[:, 1]))
        bend = np.abs(np.gradient(gaussian_filter1d(heading, 1.5, mode="nearest"))) / self.spacing_m
        self.bend_mps: list[float] = np.sqrt(LATERAL_ACCELERATION_MPS2 / np.maximum(bend, 1e-3)).tolist()

    def at(self, s_m: float, aside_m: float) -> tuple[float, float]:
        """East and north of the point s_m along it and aside_m to its right."""
        x = min(max(s_m / self.spacing_m, 0.0), len(self.east) - 1.0)
        i = min(int(x), len(self.east) - 2)
        f = x - i
        te = self.tangent_e[i] + (self.tangent_e[i + 1] - self.tangent_e[i]) * f
        tn = self.tangent_n[i] + (self.tangent_n[i + 1] - self.tangent_n[i]) * f
        return (
            self.east[i] + (self.east[i + 1] - self.east[i]) * f + tn * aside_m,
            self.north[i] + (self.north[i + 1] - self.north[i]) * f - te * aside_m,
        )

    def pace_factor(self, s_m: float, forwards: bool) -> float:
        return self.tobler[0 if forwards else 1][min(max(int(s_m / self.spacing_m), 0), len(self.east) - 1)]

    def bend_limit_mps(self, s_m: float, forwards: bool, looking_m: float) -> float:
        """The least speed that a bend allows within looking_m ahead."""
        i = min(max(int(s_m / self.spacing_m), 0), len(self.east) - 1)
        count = int(looking_m / self.spacing_m) + 1
        ahead = self.bend_mps[i : i + count] if forwards else self.bend_mps[max(0, i - count) : i + 1]
        return min(ahead, default=99.0)

    def nearest_m(self, east_m: float, north_m: float) -> float:
        """Position along it of the point nearest to a place, to a fraction of SPACING_M."""
        e, n = np.asarray(self.east), np.asarray(self.north)
        i = int(np.argmin((e - east_m) ** 2 + (n - north_m) ** 2))
        along = (east_m - self.east[i]) * self.tangent_e[i] + (north_m - self.north[i]) * self.tangent_n[i]
        s_m: float = i * self.spacing_m + max(-self.spacing_m, min(self.spacing_m, along))
        return min(max(s_m, 0.0), self.length_m)


def straight(name: str, start: tuple[float, float], end: tuple[float, float]) -> Path | None:
    """A straight path between two places; None when they are the same (to 5 cm)."""
    if math.hypot(end[0] - start[0], end[1] - start[1]) < 0.05:
        return None
    return Path(name, np.array([start, end]))


def _tobler(points: Array, spacing_m: float, terrain: Terrain | None) -> tuple[list[float], list[float]]:
    """Tobler (1993), "Three presentations on geographical analysis and modeling": speed falls as exp(-3.5 |slope + 0.05|).

    Relative to level ground. Slopes are smoothed over some ten metres: nobody slows down for one post of the grid.
    """
    if terrain is None:
        return [1.0] * len(points), [1.0] * len(points)
    heights = np.nan_to_num(terrain.height_msl_m(points))
    slope = np.gradient(gaussian_filter1d(heights, 3.0, mode="nearest")) / spacing_m
    level = math.exp(-3.5 * 0.05)
    forwards = np.exp(-3.5 * np.abs(slope + 0.05)) / level
    backwards = np.exp(-3.5 * np.abs(-slope + 0.05)) / level
    return forwards.tolist(), backwards.tolist()
