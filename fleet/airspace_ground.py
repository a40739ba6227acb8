"""How far legs, and the ways home from every point of every leg, stay above the ground; exact, not sampled.

Between its posts a terrain grid is bilinear. Along a straight leg the height over it is a parabola in each cell, whose
least and greatest value are known. The ways home from all points of a leg fill a triangle: it is cut into ever smaller
pieces, each of which is proven by the highest ground that it may touch, refuted by the ground at its middle, or cut again
(branch and bound; Land and Doig 1960). What is still open at a quarter of a metre is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from geofences.terrain import FlatTerrain, GridTerrain, Terrain

SMALLEST_M = 0.25               # of a piece that is neither proven nor refuted: refused
PIECES_LIMIT = 400_000          # at once; more than any plan needs that is not a flight along the limit
TINY_M = 1e-6
CONE = 3.0                      # RTL_CONE_SLOPE: nearer to home than a third of the return height it does not climb to it

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.intp]


class Ground:
    """Highest and lowest ground under rectangles: a pyramid of the grid's posts. Holes are infinitely high."""

    def __init__(self, terrain: GridTerrain) -> None:
        heights = terrain.heights_msl_m
        self.step_m = terrain.step_m
        self._south_west = np.asarray(terrain.south_west_enu_m)
        self._rows, self._columns = heights.shape
        high = np.where(np.isfinite(heights), heights, np.inf)
        low = np.where(np.isfinite(heights), heights, -np.inf)
        self._levels = [(high, low)]
        while min(high.shape) > 1 or max(high.shape) > 2:
            high, low = _halved(high, np.maximum, -np.inf), _halved(low, np.minimum, np.inf)
            self._levels.append((high, low))

    def bounds(self, least: Array, most: Array) -> tuple[Array, Array]:
        """(n, 2) corners of n rectangles to (n,) highest and (n,) lowest ground that may lie under each.

        Never less than the highest nor more than the lowest; infinite where a rectangle touches a hole or leaves the grid.
        """
        first = np.floor((least - self._south_west) / self.step_m)
        last = np.ceil((most - self._south_west) / self.step_m)
        outside = (first < 0).any(axis=1) | (last[:, 0] > self._columns - 1) | (last[:, 1] > self._rows - 1)
        outside |= ~np.isfinite(first).all(axis=1) | ~np.isfinite(last).all(axis=1)
        top = [self._columns - 1, self._rows - 1]
        i0 = np.where(outside[:, None], 0, np.clip(first, 0, top)).astype(np.intp)
        i1 = np.where(outside[:, None], 0, np.clip(last, 0, top)).astype(np.intp)
        # The level at which a rectangle covers two blocks at most, each way.
        span = (i1 - i0).max(axis=1) + 1
        level = np.minimum(np.ceil(np.log2(np.maximum(span, 1))).astype(np.intp), len(self._levels) - 1)
        high, low = np.empty(len(i0)), np.empty(len(i0))
        for k in np.unique(level):
            chosen = level == k
            above, below = self._levels[k]
            a, b = i0[chosen] >> k, i1[chosen] >> k
            corners = [(a[:, 1], a[:, 0]), (a[:, 1], b[:, 0]), (b[:, 1], a[:, 0]), (b[:, 1], b[:, 0])]
            high[chosen] = np.maximum.reduce([above[c] for c in corners])
            low[chosen] = np.minimum.reduce([below[c] for c in corners])
        return np.where(outside, np.inf, high), np.where(outside, -np.inf, low)


def _halved(values: Array, join: np.ufunc, filler: float) -> Array:
    rows, columns = values.shape
    padded = np.pad(values, ((0, rows % 2), (0, columns % 2)), constant_values=filler)
    halved: Array = join.reduce([padded[0::2, 0::2], padded[1::2, 0::2], padded[0::2, 1::2], padded[1::2, 1::2]])
    return halved


_grounds: WeakKeyDictionary[GridTerrain, Ground] = WeakKeyDictionary()


def ground_of(terrain: GridTerrain) -> Ground:
    """The pyramid of a grid, made once."""
    found = _grounds.get(terrain)
    if found is None:
        found = _grounds[terrain] = Ground(terrain)
    return found


@dataclass(frozen=True, slots=True)
class Clearance:
    """Of n legs. least_m, most_m: (n,) height over the ground; least_m is -inf over a hole. where: (n, 2) of the least."""

    least_m: Array
    most_m: Array
    where: Array


def over_legs(a: Array, b: Array, height_a_m: Array, height_b_m: Array, terrain: Terrain) -> Clearance:
    """Heights (above mean sea level at both ends, straight between) over the ground along n legs; a, b: (n, 2)."""
    if isinstance(terrain, FlatTerrain):
        low, high = np.minimum(height_a_m, height_b_m), np.maximum(height_a_m, height_b_m)
        where = np.where((height_a_m <= height_b_m)[:, None], a, b)
        return Clearance(low - terrain.level_msl_m, high - terrain.level_msl_m, where)
    if not isinstance(terrain, GridTerrain):
        raise TypeError(f"a terrain of kind {type(terrain).__name__}: only flat ones and grids can be proven to be clear")
    legs, t = _crossings(a, b, terrain)
    same = legs[1:] == legs[:-1]
    leg, t0, t1 = legs[:-1][same], t[:-1][same], t[1:][same]

    def over(share: Array) -> Array:
        at = a[leg] + share[:, None] * (b[leg] - a[leg])
        flown = height_a_m[leg] + share * (height_b_m[leg] - height_a_m[leg])
        return np.asarray(flown - terrain.height_msl_m(at), float)

    middle = (t0 + t1) / 2.0
    ends = np.array([over(t0), over(middle), over(t1)])
    # The parabola through three heights; its vertex counts where it lies between them.
    bend, rise = ends[0] - 2.0 * ends[1] + ends[2], ends[2] - ends[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(np.abs(bend) > 1e-12, -rise / (2.0 * bend), 0.0)
    u = np.where(np.abs(u) < 1.0, u, 0.0)
    vertex = ends[1] + rise / 2.0 * u + bend / 2.0 * u * u
    shares = np.array([t0, middle, t1, middle + u * (t1 - t0) / 2.0])
    values = np.vstack([ends, vertex])
    hole = ~np.isfinite(values).all(axis=0)
    values[:, hole] = -np.inf
    best = values.argmin(axis=0)
    least_piece, least_at = values.min(axis=0), shares[best, np.arange(len(best))]
    most_piece = np.where(hole, np.inf, values.max(axis=0))
    order = np.lexsort((least_piece, leg))
    first = np.searchsorted(leg[order], np.arange(len(a)))
    chosen = order[first]
    where = a + least_at[chosen][:, None] * (b - a)
    return Clearance(least_piece[chosen], np.maximum.reduceat(most_piece, np.searchsorted(leg, np.arange(len(a)))), where)


def _crossings(a: Array, b: Array, terrain: GridTerrain) -> tuple[Numbers, Array]:
    """Where legs cross the lines between posts: (m,) leg numbers, (m,) shares along each, sorted, with both ends."""
    n = len(a)
    legs, shares = [np.arange(n), np.arange(n)], [np.zeros(n), np.ones(n)]
    south_west = np.asarray(terrain.south_west_enu_m)
    for axis in (0, 1):
        p, q = ((v[:, axis] - south_west[axis]) / terrain.step_m for v in (a, b))
        first, last = np.ceil(np.minimum(p, q)), np.floor(np.maximum(p, q))
        most = max(terrain.heights_msl_m.shape)
        first, last = np.clip(first, 0, most), np.clip(last, -1, most)
        count = np.maximum(0, last - first + 1).astype(np.intp)
        count[np.abs(q - p) < 1e-12] = 0
        leg = np.repeat(np.arange(n), count)
        line = first[leg] + np.arange(len(leg)) - np.repeat(np.cumsum(count) - count, count)
        legs.append(leg)
        shares.append(np.clip((line - p[leg]) / (q - p)[leg], 0.0, 1.0))
    leg, share = np.concatenate(legs), np.concatenate(shares)
    order = np.lexsort((share, leg))
    return leg[order].astype(np.intp), share[order]


@dataclass(frozen=True, slots=True)
class Ways:
    """Straight ways from every point of n stretches to an apex each, level.

    apex, a, b: (n, 2). height_a_m, height_b_m: (n,) at the ends of the stretch. climb_to_m: (n,) the drone climbs to this
    before it leaves, or by CONE times the distance where that is less, above floor_m (n,); -inf: it does not climb.
    """

    apex: Array
    a: Array
    b: Array
    height_a_m: Array
    height_b_m: Array
    climb_to_m: Array
    floor_m: Array

    def take(self, which: Numbers | Bools) -> Ways:
        return Ways(
            self.apex[which], self.a[which], self.b[which], self.height_a_m[which], self.height_b_m[which],
            self.climb_to_m[which], self.floor_m[which],
        )

    def level_m(self, t: Array) -> Array:
        """Height of the way from the point at share t of each stretch."""
        away = np.linalg.norm(self.a + t[:, None] * (self.b - self.a) - self.apex, axis=1)
        flown = self.height_a_m + t * (self.height_b_m - self.height_a_m)
        level: Array = np.maximum(flown, np.minimum(self.climb_to_m, self.floor_m + CONE * away))
        return level

    def least_level_m(self, t0: Array, t1: Array) -> Array:
        """Of all ways between two shares, a height that none of them is below."""
        length = np.linalg.norm(self.b - self.a, axis=1) * (t1 - t0)
        d0, d1 = (np.linalg.norm(self.a + t[:, None] * (self.b - self.a) - self.apex, axis=1) for t in (t0, t1))
        away = np.maximum(0.0, (d0 + d1 - length) / 2.0)
        rise = self.height_b_m - self.height_a_m
        flown = np.minimum(self.height_a_m + t0 * rise, self.height_a_m + t1 * rise)
        level: Array = np.maximum(flown, np.minimum(self.climb_to_m, self.floor_m + CONE * away))
        return level


def refuted_ways(ways: Ways, margin_m: float, terrain: Terrain) -> dict[int, tuple[float, Array]]:
    """Which of the stretches have a way home that is not margin_m above the ground: the height over it there, and the place.

    A stretch that is not named is proven. -inf for a hole in the terrain, or for what could not be proven in time.
    """
    found: dict[int, tuple[float, Array]] = {}
    n = len(ways.a)
    if n == 0:
        return found
    if isinstance(terrain, FlatTerrain):
        over = ways.least_level_m(np.zeros(n), np.ones(n)) - terrain.level_msl_m
        return {int(i): (float(over[i]), ways.a[i]) for i in np.flatnonzero(over < margin_m - TINY_M)}
    if not isinstance(terrain, GridTerrain):
        raise TypeError(f"a terrain of kind {type(terrain).__name__}: only flat ones and grids can be proven to be clear")
    ground = ground_of(terrain)
    number = np.arange(n)
    t0, t1, s0, s1 = np.zeros(n), np.ones(n), np.zeros(n), np.ones(n)
    while len(number):
        w = ways.take(number)
        corners = np.array([
            w.apex + s[:, None] * (w.a + t[:, None] * (w.b - w.a) - w.apex) for t in (t0, t1) for s in (s0, s1)
        ])
        least, most = corners.min(axis=0), corners.max(axis=0)
        high, low = ground.bounds(least, most)
        reach = np.linalg.norm(corners - corners.mean(axis=0), axis=2).max(axis=0)
        middle_t, middle_s = (t0 + t1) / 2.0, (s0 + s1) / 2.0
        middle = w.apex + middle_s[:, None] * (w.a + middle_t[:, None] * (w.b - w.a) - w.apex)
        here = terrain.height_msl_m(middle)
        # The ground cannot rise faster than its posts allow.
        farthest = np.linalg.norm(corners - middle, axis=2).max(axis=0)
        with np.errstate(invalid="ignore"):
            slope = np.sqrt(2.0) * (high - low) / ground.step_m
            high = np.fmin(high, np.where(np.isfinite(slope), here + slope * farthest, np.inf))
        open_ = ~(w.least_level_m(t0, t1) - high >= margin_m - TINY_M)
        over = w.level_m(middle_t) - here
        bad = open_ & ~(over >= margin_m - TINY_M)
        bad |= open_ & (reach < SMALLEST_M)
        for i in np.flatnonzero(bad).tolist():
            value = float(over[i]) if np.isfinite(over[i]) else -np.inf
            leg = int(number[i])
            if leg not in found or value < found[leg][0]:
                found[leg] = (value, middle[i])
        keep = open_ & ~np.isin(number, list(found))
        if int(keep.sum()) > PIECES_LIMIT:
            for leg in np.unique(number[keep]).tolist():
                i = int(np.flatnonzero(keep & (number == leg))[0])
                found[leg] = (float(over[i]), middle[i])
            return found
        number, t0, t1, s0, s1, corners = number[keep], t0[keep], t1[keep], s0[keep], s1[keep], corners[:, keep]
        along = np.linalg.norm(corners[2:] - corners[:2], axis=2).max(axis=0)
        out = np.linalg.norm(corners[[1, 3]] - corners[[0, 2]], axis=2).max(axis=0)
        by_t = along >= out
        half_t, half_s = (t0 + t1) / 2.0, (s0 + s1) / 2.0
        number = np.concatenate([number, number])
        t0, t1 = np.concatenate([t0, np.where(by_t, half_t, t0)]), np.concatenate([np.where(by_t, half_t, t1), t1])
        s0, s1 = np.concatenate([s0, np.where(by_t, s0, half_s)]), np.concatenate([np.where(by_t, s1, half_s), s1])
    return found


def highest_m(points: Array, terrain: Terrain) -> float:
    """The highest ground under the rectangle round some points; a bound, never less."""
    if isinstance(terrain, FlatTerrain):
        return terrain.level_msl_m
    assert isinstance(terrain, GridTerrain)
    return float(ground_of(terrain).bounds(points.min(axis=0)[None], points.max(axis=0)[None])[0][0])


def lowest_each_m(least: Array, most: Array, terrain: Terrain) -> Array:
    """(n,) the lowest ground that may lie under n rectangles; -inf over a hole."""
    if isinstance(terrain, FlatTerrain):
        return np.full(len(least), terrain.level_msl_m)
    assert isinstance(terrain, GridTerrain)
    return ground_of(terrain).bounds(least, most)[1]
