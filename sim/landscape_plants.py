"""What grows along the trails, and the still things there that can be taken for somebody.

Trails have clear margins: nothing stands on them, little that is tall stands near them, and the forest closes in beyond the
corridor. Plants are drawn on jittered cells, so that none stands inside another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from geofences.geodesy import Array
from geofences.sector import Sector
from sim.landscape_lines import Lines, near, resample
from sim.world_state import COVER_CODES, Cover, Plants, Species

CLEAR_M = 1.5               # from a trail's middle: nothing stands here
ROAD_CLEAR_M = 3.6          # from a road's
OPEN_M = 38.0               # from a corridor's middle: few trees up to here
TREES_FROM_M = 6.0          # and none nearer than this
THICK_M = 130.0             # undergrowth is drawn up to here, trees alone beyond
FAR_M = 450.0               # and nothing beyond: from there the forest is a texture
LOW_M = 1.0                 # what may grow in a clearing

_CODES = {s: i for i, s in enumerate(Species)}


@dataclass(frozen=True, slots=True)
class Growth:
    """A kind of plant: heights (low, high), crown radius as a share of height (low, high), and its least crown, metres."""

    species: Species
    height_m: tuple[float, float]
    crown: tuple[float, float]
    least_crown_m: float = 0.1


# Ordinary sizes of lowland forest in the Annamite range, rounded; nothing depends on their being exact.
GROWTHS = {
    g.species: g for g in (
        Growth(Species.BROADLEAF, (7.0, 19.0), (0.20, 0.30), 1.2),
        Growth(Species.BAMBOO, (6.0, 11.0), (0.16, 0.24), 1.0),
        Growth(Species.PALM, (5.0, 10.0), (0.20, 0.26), 1.2),
        Growth(Species.BANANA, (2.2, 4.0), (0.40, 0.55), 0.8),
        Growth(Species.BUSH, (0.6, 2.0), (0.40, 0.65), 0.3),
        Growth(Species.FERN, (0.35, 0.9), (0.60, 0.90), 0.25),
        Growth(Species.GRASS_TUFT, (0.25, 0.8), (0.35, 0.60), 0.12),
        Growth(Species.DEAD_TREE, (3.0, 8.0), (0.10, 0.16), 0.4),
        Growth(Species.STUMP, (0.35, 0.8), (0.35, 0.60), 0.2),
        Growth(Species.BOULDER, (0.35, 1.5), (0.50, 0.80), 0.25),
        Growth(Species.POST, (1.1, 1.7), (0.05, 0.06), 0.06),
    )
}
TREES = ((Species.BROADLEAF, 0.70), (Species.BAMBOO, 0.16), (Species.PALM, 0.05), (Species.BANANA, 0.05),
         (Species.DEAD_TREE, 0.04))
UNDERGROWTH = ((Species.BUSH, 0.38), (Species.FERN, 0.40), (Species.GRASS_TUFT, 0.18), (Species.STUMP, 0.02),
               (Species.BOULDER, 0.02))
MEADOW = ((Species.GRASS_TUFT, 0.70), (Species.FERN, 0.12), (Species.BUSH, 0.14), (Species.STUMP, 0.02),
          (Species.BOULDER, 0.02))
BESIDE_TRAIL = ((Species.BUSH, 0.45), (Species.POST, 0.2), (Species.BOULDER, 0.2), (Species.STUMP, 0.15))


def make_plants(
    sector: Sector,
    lines: Lines,
    cover: npt.NDArray[np.uint8],
    south_west_m: tuple[float, float],
    cover_step_m: float,
    clearings: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> Plants:
    """Plants within FAR_M of the corridors. clearings: east, north, radius in metres."""
    corridors = [np.array(g.centre_line.coords) for g in sector.corridors.grounds]
    sown = [
        # spacing of cells, mixture, share of cells that hold one, by distance from a corridor's middle
        _sow(corridors, 5.5, TREES, lambda d: np.where(d > OPEN_M, np.where(d > THICK_M, 0.38, 0.75), 0.022), FAR_M, rng),
        _sow(corridors, 3.2, UNDERGROWTH, lambda d: np.where(d > OPEN_M - 6.0, 0.62, 0.0), THICK_M, rng),
        _sow(corridors, 3.6, MEADOW, lambda d: np.where(d <= OPEN_M, 0.55, 0.0), OPEN_M, rng),
        _beside(lines, rng),
    ]
    points = np.vstack([p for p, _ in sown])
    species = np.concatenate([s for _, s in sown])
    low, high, crown_low, crown_high, least = (np.array([v[i] for v in _sizes()])[species] for i in range(5))
    height = low + (high - low) * rng.beta(1.6, 2.2, len(points))
    crown = np.maximum(least, height * rng.uniform(crown_low, crown_high))
    keep = _may_stand(points, species, height, crown, lines, clearings)
    for keep_out in sector.keep_outs:        # a market, a town: trodden ground
        keep &= ~shapely.contains_xy(keep_out.outline, points[:, 0], points[:, 1])
    keep &= _on_land(points, species, cover, south_west_m, cover_step_m)
    seeds = rng.integers(0, 2**32, len(points), dtype=np.uint32)
    return Plants(
        species=species[keep].astype(np.uint8), east_m=points[keep, 0], north_m=points[keep, 1], height_m=height[keep],
        crown_m=crown[keep], seed=seeds[keep],
    )


def _sizes() -> list[tuple[float, float, float, float, float]]:
    grown = [GROWTHS[s] for s in Species]
    return [(*g.height_m, *g.crown, g.least_crown_m) for g in grown]


def _sow(
    lines: list[Array],
    spacing_m: float,
    mixture: tuple[tuple[Species, float], ...],
    share: Callable[[Array], Array],
    within_m: float,
    rng: np.random.Generator,
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Points (n, 2), one at most to a cell of spacing_m, and their species; share says how many cells at a distance."""
    every = np.vstack(lines)
    low, high = every.min(axis=0) - within_m, every.max(axis=0) + within_m
    columns, rows = (int(v) for v in np.ceil((high - low) / spacing_m))
    c, r = np.meshgrid(np.arange(columns), np.arange(rows))
    cells = np.column_stack([c.ravel(), r.ravel()])
    points = low + (cells + rng.uniform(0.12, 0.88, cells.shape)) * spacing_m
    chance = rng.random(len(points))
    distance = near(points, lines, 2.0, within_m)[0]
    kept = points[(distance <= within_m) & (chance < share(distance))]
    return kept, _species(mixture, len(kept), rng)


def _species(mixture: tuple[tuple[Species, float], ...], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    codes = np.array([_CODES[s] for s, _ in mixture])
    return codes[rng.choice(len(codes), size=count, p=[w for _, w in mixture])]


def _beside(lines: Lines, rng: np.random.Generator) -> tuple[Array, npt.NDArray[np.intp]]:
    """Bushes, posts, boulders and stumps at the sides of the trails: what a tired eye takes for somebody crouching."""
    points = []
    for trail in (t for name, t in lines.trails.items() if not name.endswith(("-beyond", "-inland"))):
        at = resample(trail, 9.0)[1:-1]
        along = np.gradient(at, axis=0)
        normal = np.column_stack([along[:, 1], -along[:, 0]]) / np.hypot(*along.T)[:, None]
        side = rng.choice([-1.0, 1.0], len(at)) * rng.uniform(CLEAR_M + 0.6, 6.0, len(at))
        points.append((at + normal * side[:, None] + rng.uniform(-2.0, 2.0, at.shape))[rng.random(len(at)) < 0.7])
    kept = np.vstack(points) if points else np.empty((0, 2))
    return kept, _species(BESIDE_TRAIL, len(kept), rng)


def _may_stand(
    points: Array, species: npt.NDArray[np.intp], height: Array, crown: Array, lines: Lines,
    clearings: list[tuple[float, float, float]],
) -> npt.NDArray[np.bool_]:
    from_trail = near(points, list(lines.trails.values()), 0.5, 12.0)[0]
    from_road = near(points, list(lines.roads.values()), 0.5, 12.0)[0]
    is_tree = np.isin(species, [_CODES[s] for s, _ in TREES])
    aside = np.where(is_tree, np.maximum(TREES_FROM_M - CLEAR_M, crown * 0.8), crown)
    keep = (from_trail > CLEAR_M + aside) & (from_road > ROAD_CLEAR_M + aside)
    for east, north, radius in clearings:
        keep &= (np.hypot(points[:, 0] - east, points[:, 1] - north) > radius + crown) | (height <= LOW_M)
    return keep


def _on_land(
    points: Array, species: npt.NDArray[np.intp], cover: npt.NDArray[np.uint8], south_west_m: tuple[float, float],
    step_m: float,
) -> npt.NDArray[np.bool_]:
    at = np.round((points - np.array(south_west_m)) / step_m).astype(int)
    inside = (at >= 0).all(axis=1) & (at[:, 0] < cover.shape[1]) & (at[:, 1] < cover.shape[0])
    code = np.full(len(points), -1)
    code[inside] = cover[at[inside, 1], at[inside, 0]]
    bare = [COVER_CODES.index(c) for c in (Cover.WATER, Cover.ROAD, Cover.SAND, Cover.FIELD, Cover.ROCK)]
    return np.asarray(inside & ~np.isin(code, bare))
