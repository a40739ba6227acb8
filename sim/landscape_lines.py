"""The lines of a landscape: trails along the corridors, the river along the border, roads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from geofences.geodesy import Array
from geofences.sector import Sector

RIVER_WIDTH_M = 26.0
RIVER_BESIDE_BORDER_M = 10.0        # the line that is drawn on maps is not the middle of the water; ours lies beyond it
MAIN_ROAD = "main"                  # the one that is paved
TRAIL_STEP_M = 2.0                  # between the points of a trail
BEYOND_M = 260.0                    # how far a trail goes on at the other bank
SMOOTH_M = 8.0                      # people cut corners over about this length
WANDER_M = 0.5                      # a trail is nowhere straight


@dataclass(frozen=True, slots=True)
class Lines:
    """Polylines (n, 2) in metres, by name. trails and roads run from the border inwards."""

    trails: dict[str, Array]
    roads: dict[str, Array]
    river: Array


def make_lines(sector: Sector, extra_roads: dict[str, Array], rng: np.random.Generator) -> Lines:
    """Lay trails, river and roads for a sector. A trail NAME lies along the corridor NAME; NAME-beyond is its way to the
    river on the other side, NAME-inland goes on from its inner end to the road."""
    river = _river(sector)
    road = _main_road(sector, rng)
    roads = {MAIN_ROAD: road} | {name: _drawn(line, SMOOTH_M, 0.0, rng) for name, line in extra_roads.items()}
    trails: dict[str, Array] = {}
    for ground in sector.corridors.grounds:
        name = ground.corridor.id
        points = np.array(ground.centre_line.coords)
        if _distance(points[-1], river) < _distance(points[0], river):
            points = points[::-1]
        ends_at_river = _distance(points[0], river) < 150.0
        if ends_at_river:
            points = np.vstack([_bank(points[0], river), points])
            trails[f"{name}-beyond"] = _beyond(points[0], river, rng)
        trails[name] = _drawn(points, SMOOTH_M, WANDER_M, rng)
        join = shapely.LineString(road)
        end = shapely.Point(points[-1])
        onto = np.array(join.interpolate(join.project(end)).coords[0])
        trails[f"{name}-inland"] = _drawn(np.vstack([trails[name][-1], onto]), SMOOTH_M, WANDER_M * 3, rng)
    return Lines(trails, roads, river)


def near(points: Array, line: Array | list[Array], spacing_m: float = 1.0, within_m: float = np.inf) -> tuple[Array, Array]:
    """(n, 2) points to (n,) distances from a polyline or several, and (n,) positions along the nearest one, metres.

    Exact to half of spacing_m squared over the distance. What is farther than within_m comes back as infinitely far, sooner.
    """
    dense = [resample(part, spacing_m) for part in (line if isinstance(line, list) else [line])]
    along = np.concatenate([np.arange(len(part)) * spacing_m for part in dense] + [[0.0]])
    distance, index = cKDTree(np.vstack(dense)).query(points, distance_upper_bound=within_m)
    return np.asarray(distance, dtype=float), np.asarray(along[index], dtype=float)


def resample(line: Array, spacing_m: float) -> Array:
    """(n, 2) polyline with points `spacing_m` apart along it; the ends stay."""
    along = lengths_along(line)
    count = max(2, round(along[-1] / spacing_m) + 1)
    at = np.linspace(0.0, along[-1], count)
    return np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])


def lengths_along(line: Array) -> Array:
    """(n, 2) polyline to the (n,) metres from its start."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def _drawn(points: Array, smooth_m: float, wander_m: float, rng: np.random.Generator) -> Array:
    """A line with its corners cut, wandering a little; its ends stay where they are."""
    line = resample(points, TRAIL_STEP_M)
    if len(line) < 8:
        return line
    wander = gaussian_filter1d(rng.standard_normal(len(line)), 6.0, mode="nearest")
    fade = np.minimum(1.0, np.minimum(np.arange(len(line)), np.arange(len(line))[::-1]) / 8.0)
    along = np.gradient(line, axis=0)
    normal = np.column_stack([along[:, 1], -along[:, 0]]) / TRAIL_STEP_M
    line = line + normal * (wander / 0.2 * fade * wander_m)[:, None]     # 0.2: what the filter leaves of a deviation of 1
    # A window that shrinks to nothing at the ends would bend them: smooth the whole, and blend the ends back in.
    smooth = gaussian_filter1d(line, smooth_m / TRAIL_STEP_M, axis=0, mode="nearest")
    return resample(line * (1 - fade[:, None]) + smooth * fade[:, None], TRAIL_STEP_M)


def _river(sector: Sector) -> Array:
    """The border line inside the sector's box, moved to its far side."""
    inside = shapely.line_merge(sector.border.line.intersection(sector.box.buffer(80.0)))
    longest = max(shapely.get_parts(inside), key=lambda part: part.length)
    line = resample(np.array(longest.coords), 10.0)
    line = np.column_stack([gaussian_filter1d(line[:, i], 3.0, mode="nearest") for i in (0, 1)])
    along = np.gradient(line, axis=0)
    normal = np.column_stack([along[:, 1], -along[:, 0]]) / np.hypot(*along.T)[:, None]
    middle = len(line) // 2
    to_our_side = sector.border.signed_distance_m(line[middle] + normal[middle] * 40.0)[0] > 0
    moved: Array = line + normal * (-RIVER_BESIDE_BORDER_M if to_our_side else RIVER_BESIDE_BORDER_M)
    return moved


def _main_road(sector: Sector, rng: np.random.Generator) -> Array:
    """From the border by the first keep-out (a market, a town) across the sector to its far side."""
    box = sector.box
    if sector.keep_outs:
        outline = sector.keep_outs[0].outline
        west, south, east, _ = outline.bounds
        via = [(west - 20.0, south - 12.0), (east + 20.0, south - 12.0)]
    else:
        own = sector.border.own_side.representative_point()
        via = [(own.x, own.y), (own.x + 1.0, own.y)]
    gate = np.array(shapely.shortest_line(sector.border.line, shapely.Point(via[0])).coords[0])
    if np.hypot(*(gate - via[1])) < np.hypot(*(gate - via[0])):
        via = via[::-1]
    inward = np.array(via[1]) - gate
    inward /= np.hypot(*inward)
    west, south, east, north = box.bounds
    far = np.array(via[1]) + inward * (np.hypot(east - west, north - south))
    out = shapely.LineString([via[1], far]).intersection(box)
    end = np.array(out.coords[-1])
    stations = np.linspace(np.array(via[1]), end, 7)
    normal = np.array([inward[1], -inward[0]])
    stations[1:-1] += normal * rng.uniform(-160.0, 160.0, (5, 1))
    points = np.vstack([gate, np.array(via), stations[1:]])
    line = resample(points, TRAIL_STEP_M)
    smooth = gaussian_filter1d(line, 30.0 / TRAIL_STEP_M, axis=0, mode="nearest")
    smooth[0], smooth[-1] = line[0], line[-1]
    return resample(smooth, TRAIL_STEP_M)


def _bank(point: Array, river: Array) -> Array:
    """Where the bank is nearest to a point: the water's edge on the point's side."""
    line = shapely.LineString(river)
    centre = np.array(line.interpolate(line.project(shapely.Point(point))).coords[0])
    out = point - centre
    return np.asarray(centre + out / np.hypot(*out) * (RIVER_WIDTH_M / 2 + 0.5))


def _beyond(bank: Array, river: Array, rng: np.random.Generator) -> Array:
    """A trail from the depth of the other side to the water opposite `bank`."""
    line = shapely.LineString(river)
    centre = np.array(line.interpolate(line.project(shapely.Point(bank))).coords[0])
    across = (centre - bank) / np.hypot(*(centre - bank))
    opposite = centre + across * (RIVER_WIDTH_M / 2 + 0.5)
    # Not through another bend of the river: as far as the land goes, and no farther than BEYOND_M.
    length = next(
        (d - 30.0 for d in np.arange(60.0, BEYOND_M, 10.0)
         if line.distance(shapely.Point(opposite + across * d)) < RIVER_WIDTH_M), BEYOND_M)
    return _drawn(np.vstack([opposite + across * length, opposite]), SMOOTH_M, WANDER_M * 2, rng)


def _distance(point: Array, line: Array) -> float:
    return float(shapely.LineString(line).distance(shapely.Point(point)))


