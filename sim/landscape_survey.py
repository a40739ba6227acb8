"""The map that a station and its nodes have of a simulated landscape: coarser than the ground, and with its error measured.

Nobody in the field knows the ground as it is; nodes that did would place people better than real ones can.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from geofences.sector import Sector
from geofences.terrain import GridTerrain
from geofences.terrain_file import QUANTUM_M, write_terrain
from sim.landscape_lines import near
from sim.landscape_noise import smooth_noise
from sim.world_state import Landscape

SURVEY_STEP_M = 15.0
SURVEY_ERROR_M = 0.25           # one deviation: what a good airborne survey leaves under trees; our own assumption
SURVEY_ERROR_OVER_M = 60.0      # over this length it is the same error
WITHIN_M = 300.0                # of a corridor: where the nodes look, and where the error is measured
SOURCE = "made up for exercises by Trailwatch (sim/landscape.py, seed {seed}); posts {step:g} m apart"


def survey(landscape: Landscape, sector: Sector, step_m: float = SURVEY_STEP_M) -> GridTerrain:
    """A coarser copy of the terrain. sigma_m: the root mean square of its error within WITHIN_M of the corridors."""
    ground = landscape.terrain
    rows, columns = (int((n - 1) * ground.step_m / step_m) + 1 for n in ground.heights_msl_m.shape)
    west, south = ground.south_west_enu_m
    east, north = np.meshgrid(west + np.arange(columns) * step_m, south + np.arange(rows) * step_m)
    heights = ground.height_msl_m(np.column_stack([east.ravel(), north.ravel()])).reshape(rows, columns)
    rng = np.random.default_rng([landscape.seed, 77])
    heights += smooth_noise((rows, columns), step_m, SURVEY_ERROR_OVER_M, rng) * SURVEY_ERROR_M
    heights = np.round(heights / QUANTUM_M) * QUANTUM_M
    copy = GridTerrain(heights, (west, south), step_m, 0.0, synthetic=True)
    lines = [np.array(g.centre_line.coords) for g in sector.corridors.grounds]
    every = np.vstack(lines)
    points = rng.uniform(every.min(axis=0) - WITHIN_M, every.max(axis=0) + WITHIN_M, (20_000, 2))
    points = points[near(points, lines, 5.0, WITHIN_M)[0] < WITHIN_M]
    error = copy.height_msl_m(points) - ground.height_msl_m(points)
    # Rounded up to a centimetre, so that the figure in a settings file is never below the one in the terrain file.
    copy.sigma_m = math.ceil(float(np.sqrt(np.nanmean(error**2))) * 100.0) / 100.0
    return copy


def write_survey(path: Path, landscape: Landscape, sector: Sector, step_m: float = SURVEY_STEP_M) -> float:
    """Write the copy as a terrain file for the sector's settings; returns the sigma_m that they have to give."""
    copy = survey(landscape, sector, step_m)
    write_terrain(path, copy, sector.frame, SOURCE.format(seed=landscape.seed, step=step_m))
    return copy.sigma_m
