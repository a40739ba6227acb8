"""How high a route is flown: over a hill as far above the ground as over flat land, and a height to come home at."""

from __future__ import annotations

import itertools
import math

import numpy as np

from fleet.airspace_ground import highest_m, over_legs
from geofences.geodesy import Array
from geofences.terrain import FlatTerrain, GridTerrain, Terrain

SAMPLE_M = 10.0                 # between the places where a route's ground is looked up; the checks do not sample
TOLERANCE_M = 4.0               # a route may be this much higher than wished, for fewer waypoints
LIFT_STEP_M = 1.0
LIFTS = 60
ROOM_M = 2.0                    # of the return height over the highest ground


def follow(path: Array, above_m: float, home_msl_m: float, terrain: Terrain) -> tuple[Array, Array]:
    """(n, 2) path to (m, 2) path and (m,) heights above home, nowhere less than above_m above the ground.

    Corners stay where they are; between them come as few places as keep the height within TOLERANCE_M of the wish. Raises
    ValueError over a hole in the terrain.
    """
    if isinstance(terrain, FlatTerrain) or len(path) < 2:
        ground = terrain.height_msl_m(path)
        return path, np.full(len(path), above_m) + ground - home_msl_m
    places, wanted, corner = _sampled(path, above_m, terrain)
    if not np.isfinite(wanted).all():
        raise ValueError("the route leaves the known terrain")
    keep = _fewest(_distances(places), wanted, corner)
    places, heights = places[keep], wanted[keep].copy()
    for _ in range(LIFTS):
        clear = over_legs(places[:-1], places[1:], heights[:-1], heights[1:], terrain)
        low = np.flatnonzero(clear.least_m < above_m - 1e-6)
        if not len(low):
            break
        # Both ends of a leg that is too low, by what it lacks, so that nothing oscillates.
        lack = np.zeros(len(heights))
        np.maximum.at(lack, low, above_m - clear.least_m[low])
        np.maximum.at(lack, low + 1, above_m - clear.least_m[low])
        heights += lack
    return places, heights - home_msl_m


def _sampled(path: Array, above_m: float, terrain: Terrain) -> tuple[Array, Array, Array]:
    """Places every SAMPLE_M, the height wanted at each, and which of them are corners."""
    places, corner = [path[:1]], [True]
    for a, b in itertools.pairwise(path):
        count = max(1, math.ceil(float(np.linalg.norm(b - a)) / SAMPLE_M))
        places += [a + (np.arange(1, count) / count)[:, None] * (b - a), b[None]]
        corner += [False] * (count - 1) + [True]
    at = np.vstack(places)
    return at, terrain.height_msl_m(at) + above_m, np.array(corner)


def _distances(places: Array) -> Array:
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    along: Array = np.concatenate([[0.0], np.cumsum(steps)])
    return along


def _fewest(along: Array, wanted: Array, corner: Array) -> Array:
    """Which places keep the straight height between them within TOLERANCE_M (Douglas and Peucker 1973)."""
    keep = np.array(corner, dtype=bool)
    corners = np.flatnonzero(keep)
    todo = list(zip(corners[:-1].tolist(), corners[1:].tolist(), strict=True))
    while todo:
        i, j = todo.pop()
        if j - i < 2:
            continue
        straight = np.interp(along[i : j + 1], [along[i], along[j]], [wanted[i], wanted[j]])
        off = np.abs(straight - wanted[i : j + 1])
        k = i + int(off.argmax())
        if off.max() > TOLERANCE_M and i < k < j:
            keep[k] = True
            todo += [(i, k), (k, j)]
    return keep


def return_height_m(
    path: Array, home: Array, clearance_m: float, home_msl_m: float, terrain: Terrain, least_m: float
) -> float:
    """Above home, so that the ways home from a whole route clear the highest ground near them. Infinite over a hole."""
    if not isinstance(terrain, GridTerrain):
        return least_m
    # By stretches: one rectangle round a long bent route would reach over mountains that no way home crosses.
    highest = -math.inf
    for a, b in itertools.pairwise(path):
        length = float(np.linalg.norm(b - a))
        cuts = np.linspace(0.0, 1.0, max(2, math.ceil(length / (4 * SAMPLE_M)) + 1))
        ends = a + cuts[:, None] * (b - a)
        for p, q in itertools.pairwise(ends):
            for s in np.linspace(0.0, 1.0, 9)[:-1]:
                t = s + 0.125
                corners = np.array([home + k * (e - home) for k in (s, t) for e in (p, q)])
                highest = max(highest, highest_m(corners, terrain))
    return max(least_m, math.ceil(highest + clearance_m + ROOM_M - home_msl_m))

