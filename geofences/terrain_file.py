"""A terrain grid as a file: heights in steps of some centimetres, with the place, the source and the error they came with.

A numpy archive (.npz, never pickled): heights (rows, columns) uint16, HOLE where there is none; lowest_m and quantum_m
turn them into metres above mean sea level; south_west_m and step_m place post (0, 0) and the others in the LocalFrame whose
origin is frame_deg; sigma_m is one sigma of a height, synthetic says that they are made up, source where they are from.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geofences.geodesy import LocalFrame
from geofences.terrain import GridTerrain

HOLE = 65535
QUANTUM_M = 0.05
POSTS_LIMIT = 60_000_000        # 480 MB in memory; a file that asks for more is a mistake or an attack
FRAME_TOLERANCE_DEG = 1e-7      # a centimetre
_KEYS = ("heights", "lowest_m", "quantum_m", "south_west_m", "step_m", "frame_deg", "sigma_m", "synthetic", "source")


@dataclass(frozen=True, slots=True)
class TerrainFile:
    """What a file holds. source: in words."""

    terrain: GridTerrain
    source: str


def write_terrain(path: Path, terrain: GridTerrain, frame: LocalFrame, source: str) -> None:
    """Write a grid; heights are rounded to QUANTUM_M. Raises ValueError for more than 3.2 km between lowest and highest."""
    heights = terrain.heights_msl_m
    lowest = float(np.floor(np.nanmin(heights)))
    steps = np.round((heights - lowest) / QUANTUM_M)
    if np.nanmax(steps) >= HOLE:
        highest = float(np.nanmax(heights))
        raise ValueError(f"heights from {lowest:.0f} to {highest:.0f} m are too far apart for steps of {QUANTUM_M} m")
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            heights=np.where(np.isfinite(steps), steps, HOLE).astype(np.uint16),
            lowest_m=lowest,
            quantum_m=QUANTUM_M,
            south_west_m=np.array(terrain.south_west_enu_m),
            step_m=terrain.step_m,
            frame_deg=np.array([frame.lat_deg, frame.lon_deg]),
            sigma_m=terrain.sigma_m,
            synthetic=terrain.synthetic,
            source=source,
        )


def read_terrain(path: Path, frame: LocalFrame) -> TerrainFile:
    """Read a grid for a frame. Raises ValueError that says what is wrong with the file, and OSError."""
    if not zipfile.is_zipfile(path):
        raise ValueError("is not a terrain file (a numpy archive, .npz)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive]
            if missing:
                raise ValueError(f"is not a terrain file: it has no {', '.join(missing)}")
            values = {key: archive[key] for key in _KEYS if key != "heights"}
            heights = _checked(archive["heights"])
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise ValueError(f"is not a terrain file: {error}") from None
    origin = values["frame_deg"].astype(float)
    if origin.shape != (2,) or np.abs(origin - [frame.lat_deg, frame.lon_deg]).max() > FRAME_TOLERANCE_DEG:
        ours = [frame.lat_deg, frame.lon_deg]
        raise ValueError(f"was made for another origin, {origin.tolist()}; this sector's is {ours}")
    metres = np.where(heights == HOLE, np.nan, float(values["lowest_m"]) + heights * float(values["quantum_m"]))
    south_west = values["south_west_m"].astype(float)
    sigma_m = float(values["sigma_m"])
    if not (np.isfinite(south_west).all() and south_west.shape == (2,) and np.isfinite(sigma_m) and sigma_m >= 0):
        raise ValueError("has a corner or an error that is not a number")
    terrain = GridTerrain(
        metres, (float(south_west[0]), float(south_west[1])), float(values["step_m"]), sigma_m,
        synthetic=bool(values["synthetic"]),
    )
    return TerrainFile(terrain, str(values["source"]))


def _checked(heights: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    if heights.ndim != 2 or heights.dtype != np.uint16:
        raise ValueError(f"holds {heights.dtype} heights, shape {heights.shape}; uint16 in rows and columns is read")
    if heights.size > POSTS_LIMIT:
        raise ValueError(f"holds {heights.size} posts, more than {POSTS_LIMIT}")
    return heights
