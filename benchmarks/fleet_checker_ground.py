"""Made-up sectors and plans for the checker's benchmark, and a brute-force sampler that judges the same plans otherwise.

The sampler shares nothing with fleet/: places by series round the origin instead of the tangent plane's exact form, sides by
the line's own function of east, distances by plain arithmetic over segments, polygons by crossing numbers, ground by its own
interpolation. It looks at places every few metres, and so misses what is smaller than that: it can only ever find fault.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import shapely

from fleet.wind import Wind
from geofences.border import BorderLine, split_sides
from geofences.corridors import CorridorMap, make_corridor_set
from geofences.geodesy import Array, LocalFrame
from geofences.sector import KeepOut, Sector
from geofences.terrain import GridTerrain
from wire.flying import Plan, RallyPoint, Waypoint, WaypointKind
from wire.messages import Corridor
from wire.units import GroundPosition

ORIGIN = (16.62, 106.60)
HALF_M = 3000.0
POST_M = 20.0
LEG_STEP_M, HOME_STEP_M, HOMES_EVERY_M = 5.0, 12.0, 30.0
SLACK_M = 0.02                  # of places: 1e-7 degrees and the two ways to metres


@dataclass(frozen=True, slots=True)
class MadeSector:
    """A sector and what the sampler needs of it: the line (k, 2), keep-outs as rings, heights with their grid."""

    sector: Sector
    line: Array
    rings: list[Array]
    heights: Array


def made_sector(chance: np.random.Generator, polygons: int, *, hilly: bool = True, buffer_m: float = 60.0) -> MadeSector:
    frame = LocalFrame(*ORIGIN)
    box = shapely.box(-HALF_M, -HALF_M, HALF_M, HALF_M)
    east = np.linspace(-HALF_M - 500.0, HALF_M + 500.0, 160)
    north = -800.0 + sum(
        chance.uniform(20.0, 300.0) / k * np.sin(east / 900.0 * k + chance.uniform(0.0, 6.3)) for k in (1, 2, 3, 5, 8)
    )
    line = np.column_stack([east, north])
    border = shapely.LineString(line)
    own = split_sides(border.intersection(box), box, (0.0, 2500.0))
    rings, keep_outs = [], []
    for i in range(polygons):
        centre = chance.uniform(-HALF_M, HALF_M, 2)
        count = int(chance.integers(3, 9))
        angles = np.sort(chance.uniform(0.0, 2.0 * np.pi, count))
        radii = chance.uniform(8.0, 45.0, count)
        ring = centre + radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
        shape = shapely.Polygon(ring)
        if not shape.is_valid or shape.area < 10.0:
            continue
        rings.append(ring)
        keep_outs.append(KeepOut(f"k{i}", f"K{i}", shape))
    posts = int(2 * (HALF_M + 200.0) / POST_M) + 1
    y, x = np.mgrid[0:posts, 0:posts] * POST_M
    heights = np.full((posts, posts), 200.0)
    if hilly:
        for k in (1, 2, 4, 8):
            px, py = chance.uniform(0.0, 6.3, 2)
            heights += chance.uniform(6.0, 22.0) / k * np.sin(x / 700.0 * k + px) * np.cos(y / 700.0 * k + py)
    terrain = GridTerrain(heights, (-HALF_M - 200.0, -HALF_M - 200.0), POST_M, 0.5, synthetic=True)
    centre_line = tuple(frame.position(float(e), 1500.0) for e in (-500.0, 500.0))
    corridors = make_corridor_set("made", (Corridor("c", "C", centre_line, 40.0, 1, (0, 1440)),))
    sector = Sector(
        id="made", name="made", frame=frame, box=box, utc_offset_min=420, geoid_undulation_m=-30.0,
        border=BorderLine(border, own, True, "made up", "2026"), border_buffer_m=buffer_m, border_geojson={},
        terrain=terrain, corridor_set=corridors, corridors=CorridorMap(corridors, frame), keep_outs=tuple(keep_outs),
    )
    return MadeSector(sector, line, rings, heights)


def random_plan(made: MadeSector, chance: np.random.Generator, legs: int) -> Plan:
    """Anything: near the line or far from it, with circles, rally points and return heights now and then."""
    frame = made.sector.frame
    home_enu = np.array([chance.uniform(-2200.0, 2200.0), chance.uniform(-300.0, 2200.0)])
    reach = chance.uniform(60.0, 900.0)
    height, speed = float(chance.uniform(25.0, 90.0)), float(chance.uniform(3.0, 12.0))

    def place() -> GroundPosition:
        return frame.position(*(float(v) for v in home_enu + chance.normal(0.0, reach, 2)))

    home = frame.position(float(home_enu[0]), float(home_enu[1]))
    waypoints = [Waypoint(WaypointKind.TAKEOFF, home, height, speed)]
    for _ in range(legs):
        h = height + float(chance.uniform(-8.0, 8.0))
        if chance.random() < 0.1:
            w = Waypoint(WaypointKind.ORBIT, place(), h, speed, radius_m=float(chance.uniform(5.0, 80.0)), turns=1.0)
        else:
            w = Waypoint(WaypointKind.WAYPOINT, place(), h, speed)
        waypoints.append(w)
    waypoints.append(Waypoint(WaypointKind.RETURN, home, height, speed))
    rally = (RallyPoint(place(), height),) if chance.random() < 0.15 else ()
    back = float(chance.uniform(0.0, 60.0)) if chance.random() < 0.5 else 0.0
    return Plan("p", "d", 1, "00", "c", home, tuple(waypoints), 0, return_height_m=back, rally=rally)


def fault(plan: Plan, made: MadeSector, wind: Wind, clearance_m: float, keep_out_m: float) -> str | None:
    """What is wrong with a plan, by looking at many places of it; None where nothing was found."""
    home = _metres(plan.home)
    places = [_metres(w.position) for w in plan.waypoints[:-1]]
    heights = [w.height_above_home_m for w in plan.waypoints[:-1]]
    speed = max(w.speed_m_s for w in plan.waypoints)
    floor = float(_ground(made, home[None])[0])
    flown, above = [home[None]], [np.array([heights[0]])]
    for i in range(1, len(places)):
        a, b = places[i - 1], places[i]
        n = max(2, int(np.hypot(*(b - a)) / LEG_STEP_M) + 2)
        t = np.linspace(0.0, 1.0, n)
        flown.append(a + t[:, None] * (b - a))
        above.append(heights[i - 1] + t * (heights[i] - heights[i - 1]))
        if plan.waypoints[i].kind is WaypointKind.ORBIT:
            turn = np.linspace(0.0, 2.0 * np.pi, max(16, int(6.3 * plan.waypoints[i].radius_m / LEG_STEP_M)))
            ring = b + plan.waypoints[i].radius_m * np.column_stack([np.sin(turn), np.cos(turn)])
            flown.append(ring)
            above.append(np.full(len(turn), heights[i]))
            if i + 1 < len(places):
                for leaves in ring[::4]:
                    s = np.linspace(0.0, 1.0, 24)
                    flown.append(leaves + s[:, None] * (places[i + 1] - leaves))
                    above.append(heights[i] + s * (heights[i + 1] - heights[i]))
    at, up = np.vstack(flown), np.concatenate(above)
    wrong = _wrong(made, at, up + floor, wind, speed, clearance_m, keep_out_m)
    if wrong:
        return f"leg: {wrong}"
    every = max(1, int(HOMES_EVERY_M / LEG_STEP_M))
    targets = [(home, plan.return_height_m or 15.0)]
    targets += [(_metres(r.position), max(plan.return_height_m or 15.0, r.height_above_home_m)) for r in plan.rally]
    for target, climb in targets:
        lines, levels = [], []
        for p, h in zip(at[::every], up[::every], strict=True):
            far = float(np.hypot(*(p - target)))
            s = np.linspace(0.0, 1.0, max(2, int(far / HOME_STEP_M) + 2))
            lines.append(p + s[:, None] * (target - p))
            levels.append(np.full(len(s), max(h, min(climb, 3.0 * far)) + floor))
        wrong = _wrong(made, np.vstack(lines), np.concatenate(levels), wind, speed, clearance_m, keep_out_m)
        if wrong:
            return f"way home: {wrong}"
    return None


def _wrong(
    made: MadeSector, at: Array, level: Array, wind: Wind, speed: float, clearance_m: float, keep_out_m: float
) -> str | None:
    if (np.abs(at) > HALF_M + SLACK_M).any():
        return "outside the sector"
    if (at[:, 1] < np.interp(at[:, 0], made.line[:, 0], made.line[:, 1]) - SLACK_M).any():
        return "across the line"
    ground = _ground(made, at)
    over = level - ground
    if (over < clearance_m + 1.5 - SLACK_M).any():
        return f"{over.min():.1f} m over the ground"
    needed = np.maximum(made.sector.border_buffer_m, _drift(wind, over, speed))
    apart = _to_line(at, _near(made.line, at, float(needed.max())))
    if (apart < needed - SLACK_M).any():
        return f"{(apart - needed).min():.1f} m short of the buffer"
    for ring in made.rings:
        near = (np.abs(at - ring.mean(axis=0)) < 120.0).all(axis=1)
        if near.any() and (_in_ring(at[near], ring).any() or (_to_ring(at[near], ring) < keep_out_m - SLACK_M).any()):
            return "in or near a keep-out"
    return None


def _drift(wind: Wind, over: Array, speed: float) -> Array:
    """Wind times (detection and descent), and the way flown until a look in the air; plain words, plain numbers."""
    seconds = 8.0 + 2.0 + np.maximum(0.0, over - 10.0) / 1.5 + np.minimum(over, 10.0) / 0.5
    calm = np.exp(-seconds / 4.0)
    share = np.sqrt(2.0 * 4.0 / seconds * (1.0 - 4.0 / seconds * (1.0 - calm)))
    drift: Array = (wind.speed_m_s + 3.0 * wind.gust_m_s * share) * seconds + 1.5 * speed + 5.0
    return drift


def _metres(p: GroundPosition) -> Array:
    """East, north from the origin by the radii of curvature; over 3 km within a centimetre or two of the tangent plane."""
    lat0 = math.radians(ORIGIN[0])
    dlat, dlon = math.radians(p.lat_deg - ORIGIN[0]), math.radians(p.lon_deg - ORIGIN[1])
    e2 = 6.69437999014e-3
    w2 = 1.0 - e2 * math.sin(lat0) ** 2
    n_radius, m_radius = 6_378_137.0 / math.sqrt(w2), 6_378_137.0 * (1.0 - e2) / w2**1.5
    east = n_radius * dlon * (math.cos(lat0) - math.sin(lat0) * dlat)
    north = m_radius * dlat + n_radius * math.sin(lat0) * math.cos(lat0) * dlon**2 / 2.0
    north += 1.5 * m_radius * e2 * math.sin(lat0) * math.cos(lat0) / w2 * dlat**2
    return np.array([east, north])


def _ground(made: MadeSector, at: Array) -> Array:
    fx, fy = ((at[:, k] + HALF_M + 200.0) / POST_M for k in (0, 1))
    i, j = np.floor(fy).astype(int), np.floor(fx).astype(int)
    u, v = fy - i, fx - j
    z = made.heights
    found: Array = (
        z[i, j] * (1 - u) * (1 - v) + z[i, j + 1] * (1 - u) * v + z[i + 1, j] * u * (1 - v) + z[i + 1, j + 1] * u * v
    )
    return found


def _near(line: Array, at: Array, within_m: float) -> Array:
    """The stretch of a line that runs from west to east which can be so near to some places."""
    first = np.searchsorted(line[:, 0], at[:, 0].min() - within_m) - 1
    last = np.searchsorted(line[:, 0], at[:, 0].max() + within_m) + 1
    return line[max(0, first) : last + 1]


def _to_line(at: Array, line: Array) -> Array:
    found = np.full(len(at), np.inf)
    for (ax, ay), (bx, by) in itertools.pairwise(line):
        dx, dy = bx - ax, by - ay
        t = np.clip(((at[:, 0] - ax) * dx + (at[:, 1] - ay) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        np.minimum(found, np.hypot(at[:, 0] - ax - t * dx, at[:, 1] - ay - t * dy), out=found)
    return found


def _to_ring(at: Array, ring: Array) -> Array:
    return _to_line(at, np.vstack([ring, ring[:1]]))


def _in_ring(at: Array, ring: Array) -> Array:
    inside = np.zeros(len(at), bool)
    for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (ay > at[:, 1]) != (by > at[:, 1])
        if by != ay:
            inside ^= crosses & (at[:, 0] < ax + (at[:, 1] - ay) * (bx - ax) / (by - ay))
    return inside
