"""Whether the ground stands between two places."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geofences.terrain import FlatTerrain, Terrain

SAMPLES_AT_ONCE = 400_000


def clear_sight(
    origin_m: npt.ArrayLike, targets_m: npt.ArrayLike, terrain: Terrain, step_m: float = 5.0
) -> npt.NDArray[np.bool_]:
    """(n,) whether nothing of the ground hides targets (n, 3) from origin (3,); east, north, metres above mean sea level.

    The ground is looked at every step_m along each line at the least; what is thinner than that may be missed. Ground of
    which nobody knows the height (a hole, beyond the grid) hides what lies behind it.
    """
    origin, targets = np.asarray(origin_m, float), np.atleast_2d(np.asarray(targets_m, float))
    if not len(targets):
        return np.empty(0, bool)
    if isinstance(terrain, FlatTerrain):
        ground = float(terrain.height_msl_m(origin[None, :2])[0])
        return np.asarray((targets[:, 2] > ground) & (origin[2] > ground))
    away = targets - origin
    length = float(np.hypot(away[:, 0], away[:, 1]).max())
    # The first is the origin itself, which has to stand above the ground too; the last is just before the target.
    parts = np.linspace(0.0, 1.0, max(2, int(np.ceil(length / step_m)) + 1))[:-1]
    clear = np.empty(len(targets), bool)
    rows = max(1, SAMPLES_AT_ONCE // len(parts))
    for begin in range(0, len(targets), rows):
        piece = away[begin : begin + rows]
        places = origin + piece[:, None, :] * parts[:, None]
        heights = terrain.height_msl_m(places[:, :, :2].reshape(-1, 2)).reshape(places.shape[:2])
        clear[begin : begin + rows] = (places[:, :, 2] > heights).all(axis=1)
    return clear
