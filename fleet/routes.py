"""Where a patrol goes over the ground: along a corridor, over an area, round a place. Lines in metres, and no aircraft yet.

Where a drone may be at all is one shape: all places that it can come home from straight, without touching the border's
buffer or a keep-out. Each leg that stays inside that shape has all its ways home inside it too, for from each of its points
the way home is part of the shape; so a route has to be kept inside, and nothing else has to be asked of the ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from geofences.geodesy import Array
from geofences.sector import Sector

FAR = 1e3                       # times the distance of an obstacle: where its shadow ends, beyond any sector
INSIDE_M = 0.05                 # by which the shape is drawn in, for what rounding does
SHORTEST_M = 5.0                # of a pass over an area that is worth flying
DETOURS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)


def reachable(
    sector: Sector, home: Array, border_m: float, keep_out_m: float, fence: BaseGeometry | None = None
) -> Polygon:
    """All places with a straight way home that keeps these distances; empty when home itself does not."""
    free = sector.border.own_side.intersection(sector.box)
    if fence is not None:
        free = free.intersection(fence)
    free = free.difference(sector.border.line.buffer(border_m * _outer(32), quad_segs=32))
    kept_out = [k.outline.buffer(keep_out_m * _outer(8), quad_segs=8) for k in sector.keep_outs]
    free = free.difference(shapely.union_all(kept_out))
    here = [p for p in shapely.get_parts(free) if isinstance(p, Polygon) and p.contains(Point(home))]
    if not here:
        return Polygon()
    room = here[0]
    shadows = [_shadow(ring, home) for ring in (room.exterior, *room.interiors)]
    seen = room.difference(shapely.union_all(np.concatenate(shadows)).buffer(INSIDE_M))
    parts = [p for p in shapely.get_parts(seen) if isinstance(p, Polygon) and p.contains(Point(home))]
    return parts[0] if parts else Polygon()


def _outer(quad_segs: int) -> float:
    """A circle's polygon lies inside it, by this factor at the most."""
    return 1.0 / math.cos(math.pi / (4 * quad_segs))


def _shadow(ring: BaseGeometry, home: Array) -> Array:
    """(n,) what lies behind each edge of a ring, as seen from home."""
    corners = shapely.get_coordinates(ring)
    a, b = corners[:-1], corners[1:]
    quads = np.stack([a, b, home + FAR * (b - home), home + FAR * (a - home)], axis=1)
    (ax, ay), (bx, by) = (a - home).T, (b - home).T
    across = np.abs(ax * by - ay * bx) > 1e-9       # an edge that points at home hides nothing
    hidden: Array = np.asarray(shapely.convex_hull(shapely.multipoints(quads[across])))
    return hidden


def from_nearer_end(line: LineString, home: Array) -> LineString:
    first, last = np.asarray(line.coords[0]), np.asarray(line.coords[-1])
    if np.linalg.norm(first - home) <= np.linalg.norm(last - home):
        return line
    return LineString(list(line.coords)[::-1])


def stretch(line: LineString, from_m: float, to_m: float) -> LineString:
    """Part of a line by distance along it; at least a tenth of a metre of it."""
    part = substring(line, from_m, max(to_m, from_m + 0.1))
    return part if isinstance(part, LineString) else LineString([part, part])


def inside(line: LineString, room: Polygon) -> list[LineString]:
    """The parts of a line that lie in a shape, in its order."""
    parts = [p for p in shapely.get_parts(line.intersection(room)) if isinstance(p, LineString) and p.length > 0]
    joined = shapely.line_merge(shapely.multilinestrings(parts)) if len(parts) > 1 else None
    if joined is not None:
        parts = [p for p in shapely.get_parts(joined) if isinstance(p, LineString)]
    return sorted((_as_line(p, line) for p in parts), key=lambda p: line.project(Point(p.coords[0])))


def _as_line(part: LineString, line: LineString) -> LineString:
    """The part in the direction of the line that it was cut from."""
    begins, ends = (line.project(Point(part.coords[i])) for i in (0, -1))
    return part if begins <= ends else LineString(list(part.coords)[::-1])


def pass_offsets_m(width_m: float, swath_m: float, overlap: float) -> list[float]:
    """Offsets from the centre line (left positive) at which strips of swath_m cover width_m, each overlapping the next.

    overlap: share of a strip, 0 to less than 1. One strip in the middle where it suffices.
    """
    if swath_m >= width_m:
        return [0.0]
    count = math.ceil((width_m - swath_m) / (swath_m * (1.0 - overlap)) - 1e-9) + 1
    edge = (width_m - swath_m) / 2.0
    return [edge - i * 2.0 * edge / (count - 1) for i in range(count)]


def offset(line: LineString, offset_m: float) -> LineString:
    """A line beside a line, in the same direction; its longest part where bends cut it up."""
    if offset_m == 0.0:
        return line
    # Mitred: a round corner would be dozens of waypoints.
    beside = shapely.offset_curve(line, offset_m, join_style="mitre", mitre_limit=2.0)
    parts = [p for p in shapely.get_parts(beside) if isinstance(p, LineString) and p.length > 0]
    return max(parts, key=lambda p: p.length) if parts else line


def to_and_fro(lines: Sequence[LineString]) -> list[Array]:
    """Passes one after the other, every other one backwards; (n, 2) each."""
    return [np.asarray(p.coords if i % 2 == 0 else p.coords[::-1]) for i, p in enumerate(lines)]


def lawn_mower(area: BaseGeometry, spacing_m: float, direction_deg: float | None = None) -> list[LineString]:
    """Parallel passes over an area, spacing_m apart, half of it from its edges; in the order of flying.

    direction_deg: of the passes, clockwise from north; left out it is the longer side of the smallest rectangle round the
    area, which makes the fewest turns.
    """
    if area.is_empty:
        return []
    if direction_deg is None:
        corners = shapely.get_coordinates(shapely.oriented_envelope(area))
        sides = np.diff(corners[:3], axis=0) if len(corners) >= 3 else np.array([[0.0, 1.0], [0.0, 0.0]])
        longer = sides[int(np.argmax(np.linalg.norm(sides, axis=1)))]
        direction_deg = math.degrees(math.atan2(longer[0], longer[1]))
    centre = area.centroid
    level = affinity.rotate(area, direction_deg - 90.0, origin=centre)     # passes run east to west now
    west, south, east, north = level.bounds
    count = max(1, math.ceil((north - south) / spacing_m - 1e-9))
    step = (north - south) / count
    rows: list[list[LineString]] = []
    for i in range(count):
        y = south + (i + 0.5) * step
        cut = level.intersection(LineString([(west - 1.0, y), (east + 1.0, y)]))
        row = [p for p in shapely.get_parts(cut) if isinstance(p, LineString) and p.length >= SHORTEST_M]
        rows.append(sorted(row, key=lambda p: p.bounds[0]))
    ordered = _in_order(rows)
    return [affinity.rotate(p, 90.0 - direction_deg, origin=centre) for p in ordered]


def _in_order(rows: list[list[LineString]]) -> list[LineString]:
    """Row by row, each from the end that is nearer to where the last one was left."""
    ordered: list[LineString] = []
    for row in rows:
        left = list(row)
        while left:
            here = Point(ordered[-1].coords[-1]) if ordered else Point(left[0].coords[0])
            best = min(left, key=lambda p: min(here.distance(Point(p.coords[0])), here.distance(Point(p.coords[-1]))))
            left.remove(best)
            near_first = here.distance(Point(best.coords[0])) <= here.distance(Point(best.coords[-1]))
            ordered.append(best if near_first else LineString(list(best.coords)[::-1]))
    return ordered


def joined(passes: Sequence[Array], room: Polygon, home: Array) -> Array:
    """Passes (n, 2) made one path; where the straight way between two leaves the room, by way of places nearer to home."""
    if not len(passes):
        return np.empty((0, 2))
    path = [passes[0]]
    for after in passes[1:]:
        path += [between(path[-1][-1], after[0], room, home), after]
    whole = np.vstack(path)
    moved = np.linalg.norm(np.diff(whole, axis=0), axis=1) > 1e-6
    kept: Array = whole[np.concatenate([[True], moved])]
    return kept


def between(a: Array, b: Array, room: Polygon, home: Array) -> Array:
    """(0 or 2, 2) places to fly over on the way from a to b; the room has a straight way home from everywhere."""
    for share in DETOURS:
        via_a, via_b = home + share * (a - home), home + share * (b - home)
        if room.covers(LineString([via_a, via_b]) if not np.allclose(via_a, via_b) else Point(via_a)):
            return np.empty((0, 2)) if share == 1.0 else np.array([via_a, via_b])
    return np.array([home, home])


def shares(line: LineString, home: Array, drones: int) -> list[tuple[float, float]]:
    """Stretches of a line for several drones from one home, so that all have the same way to fly: there, along and back.

    The farther stretches are shorter by what their transit is longer. Found by bisection on the common length.
    """
    total = line.length

    def cut(budget_m: float) -> list[tuple[float, float]]:
        found, at = [], 0.0
        for _ in range(drones):
            there = float(np.linalg.norm(np.asarray(line.interpolate(at).coords[0]) - home))
            length = max(0.0, (budget_m - 2.0 * there) / 2.0)
            found.append((at, min(total, at + length)))
            at = found[-1][1]
        return found

    low, high = 0.0, 2.0 * (total + float(np.linalg.norm(shapely.get_coordinates(line) - home, axis=1).max()) * 2.0)
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if cut(middle)[-1][1] >= total else (middle, high)
    return [(a, b) for a, b in cut(high)]
