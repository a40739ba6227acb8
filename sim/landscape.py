"""A landscape for a sector, made up from a seed: relief, river, trails, roads, what covers the ground and what grows on it.

Everything follows from (sector, seed, plan), so every process that is given the same three has the same ground under it. It
is synthetic and says so. Relief is gentle along the corridors, where cameras look, and hilly away from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import distance_transform_edt

from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import GridTerrain
from sim.landscape_lines import MAIN_ROAD, RIVER_WIDTH_M, Lines, make_lines, near, resample
from sim.landscape_noise import resampled, smooth_noise
from sim.landscape_plants import make_plants
from sim.world_state import COVER_CODES, Cover, Landscape

TERRAIN_STEP_M = 5.0
COVER_STEP_M = 2.5
COARSE_M = 20.0             # posts on which distances and hills are worked out before they are refined
MARGIN_M = 60.0             # the ground goes on beyond the sector's box by this much

WATER_MSL_M = 151.0         # the Sepon at Lao Bao, roughly; over some kilometres it is drawn level
EXACT_M = 300.0             # distances from lines are exact up to half of this, and rough to COARSE_M beyond
RIVER_DEPTH_M = 2.2
BANK_M = 1.6                # height of the bank over the water
HILLS_M = 120.0             # one deviation of the relief far away from trails, before it is made to rise only
GENTLE_M = 140.0            # from a trail or road, up to here the ground is gentle; hills grow over HILLS_WITHIN_M beyond
HILLS_WITHIN_M = 900.0


@dataclass(frozen=True, slots=True, eq=False)
class Clearing:
    """A round place in which nothing taller than a metre grows: where a mast was put up, somebody cut its view free."""

    east_m: float
    north_m: float
    radius_m: float


@dataclass(frozen=True, slots=True, eq=False)
class LandscapePlan:
    """What a scenario wants to be there. roads: dirt tracks, polylines (n, 2), by name. fields: outlines of tilled land."""

    clearings: tuple[Clearing, ...] = ()
    roads: dict[str, Array] = field(default_factory=dict)
    fields: dict[str, shapely.Polygon] = field(default_factory=dict)


def make_landscape(sector: Sector, seed: int, plan: LandscapePlan | None = None) -> Landscape:
    """The landscape of a sector from a seed; some seconds of work. The same arguments give the same landscape."""
    plan = plan or LandscapePlan()
    line_rng, relief_rng, cover_rng, plant_rng = np.random.default_rng(seed).spawn(4)
    lines = make_lines(sector, plan.roads, line_rng)
    ground = _Ground(sector, lines)
    water_msl_m = np.full(len(lines.river), WATER_MSL_M)
    terrain = GridTerrain(_heights(ground, lines, relief_rng), ground.south_west_m, TERRAIN_STEP_M, 0.0,
                          synthetic=True)
    cover = _cover(ground, lines, sector, plan, cover_rng)
    plants = make_plants(sector, lines, cover, ground.south_west_m, COVER_STEP_M,
                         [(c.east_m, c.north_m, c.radius_m) for c in plan.clearings], plant_rng)
    return Landscape(
        seed=seed,
        terrain=terrain,
        cover=cover,
        cover_south_west_m=ground.south_west_m,
        cover_step_m=COVER_STEP_M,
        plants=plants,
        trails=lines.trails,
        roads=lines.roads,
        river=lines.river,
        river_width_m=RIVER_WIDTH_M,
        water_msl_m=water_msl_m,
    )


class _Ground:
    """The grid of a landscape, and distances from its lines on coarse posts."""

    def __init__(self, sector: Sector, lines: Lines) -> None:
        west, south, east, north = sector.box.bounds
        corner = np.floor((np.array([west, south]) - MARGIN_M) / COARSE_M) * COARSE_M
        self.south_west_m = (float(corner[0]), float(corner[1]))
        columns, rows = (int(v) for v in np.ceil((np.array([east, north]) + MARGIN_M - corner) / COARSE_M))
        self.coarse_shape = (rows + 1, columns + 1)
        e, n = np.meshgrid(corner[0] + np.arange(columns + 1) * COARSE_M, corner[1] + np.arange(rows + 1) * COARSE_M)
        self.coarse_points = np.column_stack([e.ravel(), n.ravel()])
        self.ways_m = self.distance([*lines.trails.values(), *lines.roads.values()])
        self.river_m = self.distance([lines.river])

    def distance(self, lines: list[Array]) -> Array:
        """Metres from polylines, on the coarse posts: exact near by, to a post far away, and one into the other between."""
        marked = np.ones(self.coarse_shape, bool)
        for line in lines:
            c, r = np.round((resample(line, COARSE_M / 2) - np.array(self.south_west_m)) / COARSE_M).astype(int).T
            inside = (c >= 0) & (r >= 0) & (c < marked.shape[1]) & (r < marked.shape[0])
            marked[r[inside], c[inside]] = False
        rough: Array = np.asarray(distance_transform_edt(marked), dtype=float) * COARSE_M
        exact = near(self.coarse_points, lines, 5.0, EXACT_M)[0].reshape(self.coarse_shape)
        share = _ramp((rough - 0.5 * EXACT_M) / (0.4 * EXACT_M))
        return np.where(np.isfinite(exact), np.where(np.isfinite(exact), exact, 0.0) * (1 - share) + rough * share, rough)

    def shape(self, step_m: float) -> tuple[int, int]:
        factor = COARSE_M / step_m
        return (int((self.coarse_shape[0] - 1) * factor) + 1, int((self.coarse_shape[1] - 1) * factor) + 1)

    def fine(self, coarse: Array, step_m: float) -> Array:
        return resampled(coarse, COARSE_M, self.shape(step_m), step_m)

    def refine(self, distance: Array, line: Array | list[Array], step_m: float, within_m: float) -> None:
        """Replace a distance, read from coarse posts, by the exact one from `line` where it is below within_m.

        The coarse one may be from more than this line: what it takes for near and is not becomes within_m at the least.
        """
        close = np.nonzero(distance < within_m + COARSE_M)
        points = np.column_stack([close[1], close[0]]) * step_m + np.array(self.south_west_m)
        exact = near(points, line, 1.0, within_m + COARSE_M)[0]
        distance[close] = np.where(np.isfinite(exact), exact, np.maximum(distance[close], within_m))


def _heights(ground: _Ground, lines: Lines, rng: np.random.Generator) -> Array:
    """(rows, columns) metres above mean sea level on posts TERRAIN_STEP_M apart."""
    shape, step = ground.coarse_shape, COARSE_M
    river, ways = ground.river_m, ground.ways_m
    wild = _ramp((ways - GENTLE_M) / HILLS_WITHIN_M) * _ramp((river - 60.0) / 500.0)
    octaves = ((2400.0, 0.8), (1100.0, 0.5), (480.0, 0.22), (220.0, 0.09))
    hills = np.sum([smooth_noise(shape, step, wavelength, rng) * share for wavelength, share in octaves], axis=0)
    hills = np.log1p(np.exp((hills + 0.6) * 2.0)) / 2.0 * HILLS_M       # rises, and hardly ever falls below the valley
    valley = 3.0 * (1 - np.exp(-river / 40.0)) + 11.0 * (1 - np.exp(-river / 700.0))
    swell = smooth_noise(shape, step, 260.0, rng) * 1.3 + smooth_noise(shape, step, 110.0, rng) * 0.5
    coarse = WATER_MSL_M + BANK_M + valley + wild * hills + swell * _ramp((river - 20.0) / 150.0)

    heights = ground.fine(coarse, TERRAIN_STEP_M)
    fine_shape = ground.shape(TERRAIN_STEP_M)
    rough = ground.fine(0.1 + wild, TERRAIN_STEP_M)
    heights += smooth_noise(fine_shape, TERRAIN_STEP_M, 36.0, rng) * (0.10 + 0.5 * rough)
    heights += smooth_noise(fine_shape, TERRAIN_STEP_M, 14.0, rng) * (0.03 + 0.2 * rough)
    # The bed of the river, and a bank that slopes over six metres, from exact distances.
    from_river = ground.fine(river, TERRAIN_STEP_M)
    ground.refine(from_river, lines.river, TERRAIN_STEP_M, 40.0)
    half = RIVER_WIDTH_M / 2
    bank = _ramp((from_river - half + 1.0) / 7.0)
    bed = WATER_MSL_M - RIVER_DEPTH_M * np.clip(1.0 - (from_river / half) ** 2, 0.0, 1.0) - 0.15
    return np.asarray(np.where(from_river < half + 6.0, bed + (heights - bed) * bank, heights), dtype=float)


def _cover(
    ground: _Ground, lines: Lines, sector: Sector, plan: LandscapePlan, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """(rows, columns) of codes on posts COVER_STEP_M apart."""
    step, shape = COVER_STEP_M, ground.shape(COVER_STEP_M)
    coarse = ground.coarse_shape
    from_corridor = ground.distance([np.array(g.centre_line.coords) for g in sector.corridors.grounds])
    patches = smooth_noise(coarse, COARSE_M, 90.0, rng)
    open_land = np.maximum(36.0 - from_corridor, (34.0 - ground.ways_m) * 0.6) + patches * 5.0
    meadow = smooth_noise(coarse, COARSE_M, 300.0, rng) - 1.35
    cover = np.full(shape, _code(Cover.FOREST_FLOOR), np.uint8)
    cover[ground.fine(np.maximum(open_land, meadow * 40.0), step) > 0] = _code(Cover.GRASS)
    stony = ground.fine(smooth_noise(coarse, COARSE_M, 60.0, rng) - 2.6, step)
    cover[stony > 0] = _code(Cover.ROCK)
    for keep_out in sector.keep_outs:
        _fill(cover, ground, keep_out.outline, step, _code(Cover.DIRT))
    for outline in plan.fields.values():
        _fill(cover, ground, outline, step, _code(Cover.FIELD))
    from_river = ground.fine(ground.river_m, step)
    ground.refine(from_river, lines.river, step, 40.0)
    from_trail = ground.fine(ground.ways_m, step)
    from_track, from_road = from_trail.copy(), from_trail.copy()
    ground.refine(from_trail, list(lines.trails.values()), step, 12.0)
    ground.refine(from_road, [lines.roads[MAIN_ROAD]], step, 12.0)
    cover[from_trail < 1.3] = _code(Cover.DIRT)
    if len(lines.roads) > 1:
        ground.refine(from_track, [line for name, line in lines.roads.items() if name != MAIN_ROAD], step, 12.0)
        cover[from_track < 2.2] = _code(Cover.DIRT)
    cover[from_river < RIVER_WIDTH_M / 2 + 3.5] = _code(Cover.SAND)
    cover[from_road < 3.2] = _code(Cover.ROAD)
    cover[from_river < RIVER_WIDTH_M / 2] = _code(Cover.WATER)
    return cover


def _fill(cover: npt.NDArray[np.uint8], ground: _Ground, outline: shapely.Polygon, step_m: float, code: int) -> None:
    west, south, east, north = outline.bounds
    c0, r0 = (max(0, int((v - o) / step_m)) for v, o in zip((west, south), ground.south_west_m, strict=True))
    c1, r1 = (int((v - o) / step_m) + 2 for v, o in zip((east, north), ground.south_west_m, strict=True))
    part = cover[r0:r1, c0:c1]
    e = ground.south_west_m[0] + (c0 + np.arange(part.shape[1])) * step_m
    n = ground.south_west_m[1] + (r0 + np.arange(part.shape[0])) * step_m
    part[shapely.contains_xy(outline, *np.meshgrid(e, n))] = code


def _code(cover: Cover) -> int:
    return COVER_CODES.index(cover)


def _ramp(x: Array) -> Array:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(x, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=float)
