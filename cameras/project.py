"""From a place in the world to its pixel, and from a pixel to the ray it saw.

World coordinates are east, north (LocalFrame) and height above mean sea level, metres. Within the reach of a camera the
frame's plane and the sea's level differ by less than a centimetre.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.geodesy import Array

NEAREST_M = 1e-6        # in front of the camera; what is not is behind it


def project(points_m: npt.ArrayLike, pose: Pose, lens: Lens) -> Array:
    """(n, 3) places to (n, 2) pixels, in the picture or beside it; NaN for what is behind the camera."""
    points = np.atleast_2d(np.asarray(points_m, float))
    seen = (points - pose.position) @ pose.rotation()       # rows times R is R transposed times columns
    depth = np.where(seen[:, 2] > NEAREST_M, seen[:, 2], np.nan)
    return lens.to_pixels(seen[:, :2] / depth[:, None])


def rays(pixels: npt.ArrayLike, pose: Pose, lens: Lens) -> Array:
    """(n, 2) pixels to (n, 3) unit vectors, east, north, up; NaN for a pixel that no direction reaches."""
    return directions(lens.to_ideal(pixels), pose)


def directions(ideal: Array, pose: Pose) -> Array:
    """(n, 2) ideal coordinates of a lens to (n, 3) unit vectors, east, north, up."""
    forward = np.column_stack([ideal, np.ones(len(ideal))])
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    world: Array = forward @ pose.rotation().T
    return world
