"""What the ground looks like from above: one seamless tile for each cover.

The tiles in sim/assets/ground are made by sim/ground_convert.py; where they come from is in sim/assets/LICENCES.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sim.world_state import Cover

FOLDER = Path(__file__).parent / "assets" / "ground"
SIDE_PX = 512
# metres of ground that a tile shows, by the size of the leaves, tufts and stones in it
TILE_M: dict[Cover, float] = {
    Cover.FOREST_FLOOR: 4.0,
    Cover.GRASS: 5.0,
    Cover.FIELD: 6.0,
    Cover.DIRT: 4.0,
    Cover.ROCK: 7.0,
    Cover.ROAD: 6.0,
    Cover.WATER: 12.0,
    Cover.SAND: 6.0,
}


@cache
def ground_texture(cover: Cover) -> npt.NDArray[np.uint8]:
    """(512, 512, 3) uint8 blue, green, red; left meets right and top meets bottom. TILE_M says how much ground it is.

    Raises FileNotFoundError where the package was installed without its assets.
    """
    path = FOLDER / f"{cover.value}.jpg"
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{path}: no ground tile. Install Trailwatch from its repository, with sim/assets.")
    tile = np.ascontiguousarray(picture, dtype=np.uint8)
    tile.setflags(write=False)
    return tile
