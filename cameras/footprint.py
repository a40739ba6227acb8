"""The ground that a camera can see."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from cameras.camera import Camera
from cameras.pose import Pose
from cameras.project import project, rays
from geofences.geodesy import Array
from geofences.terrain import Terrain, march

EDGE_SAMPLES = 12           # points along each edge of the picture
LIMIT_STEPS = 12            # a 4096th of the distance between two samples: a fiftieth of a pixel
SIMPLER_BY_M = 0.2          # points on a straight edge say nothing
INSIDE_MARGIN_PX = 1.0      # a point on the picture's edge, after two projections, is still in it


def footprint(camera: Camera, pose: Pose, terrain: Terrain) -> Array:
    """Outline of the ground in the picture and within camera.reach_m: (m, 2) east, north in metres; (0, 2) if none.

    The rays of the picture's border are marched to the ground. One that ends in the sky or beyond the reach is turned
    down, in its own vertical plane, to the ground at the reach, and counts if that ground is in the picture. Holes (a dip
    behind a ridge) are not cut out.
    """
    around = np.linspace(0.0, 4.0, 4 * EDGE_SAMPLES, endpoint=False)
    around = np.sort(np.concatenate([around, _limits(around, camera, pose, terrain)]))
    border, hits, near = _reached(around, camera, pose, terrain)
    hits[~near] = _at_reach(border[~near], camera, pose, terrain)
    hits = hits[np.isfinite(hits).all(axis=1)]
    outline = hits[camera.lens.holds(project(hits, pose, camera.lens), INSIDE_MARGIN_PX), :2]
    return _without_knots(outline)


def _without_knots(outline: Array) -> Array:
    """A ring that never crosses itself: rays turned down to the reach may walk back over ground that others gave."""
    if len(outline) < 3:
        return np.empty((0, 2))
    # Twice: a collection may hold several polygons as one member.
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shapely.Polygon(outline))))
    areas = shapely.area(parts)
    if areas.max() <= 0:
        return np.empty((0, 2))
    largest = shapely.simplify(parts[int(areas.argmax())], SIMPLER_BY_M)
    ring: Array = shapely.get_coordinates(shapely.get_exterior_ring(largest))[:-1]
    return ring


def _reached(around: Array, camera: Camera, pose: Pose, terrain: Terrain) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """For n places around the picture: rays (n, 3), ground hits (n, 3), and whether each hit is within reach (n,)."""
    border = rays(_border_pixels(around, camera), pose, camera.lens)
    hits = march(pose.position, border, terrain, reach_m=2.0 * camera.reach_m)
    flat: Array = np.hypot(hits[:, 0] - pose.east_m, hits[:, 1] - pose.north_m)
    return border, hits, np.less_equal(flat, camera.reach_m)        # a NaN is not


def _limits(around: Array, camera: Camera, pose: Pose, terrain: Terrain) -> Array:
    """Places around the picture just before the ground on it leaves the reach: between a hit and a miss, by bisection."""
    near = _reached(around, camera, pose, terrain)[2]
    other = np.roll(near, -1)
    changing = near != other
    step = 4.0 / len(around)
    seen = around[changing] + np.where(near[changing], 0.0, step)
    lost = around[changing] + np.where(near[changing], step, 0.0)
    for _ in range(LIMIT_STEPS):
        middle = (seen + lost) / 2
        reached = _reached(middle % 4.0, camera, pose, terrain)[2]
        seen, lost = np.where(reached, middle, seen), np.where(reached, lost, middle)
    limits: Array = seen % 4.0
    return limits


def _border_pixels(around: Array, camera: Camera) -> Array:
    """(n, 2) pixels; `around` counts edges from 0 to 4, clockwise from the lower left corner."""
    right, bottom = camera.lens.width_px - 0.5, camera.lens.height_px - 0.5
    corners = np.array([[-0.5, bottom], [-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
    edge = np.minimum(around.astype(int), 3)
    pixels: Array = corners[edge] + (corners[edge + 1] - corners[edge]) * (around - edge)[:, None]
    return pixels


def _at_reach(directions: Array, camera: Camera, pose: Pose, terrain: Terrain) -> Array:
    """(n, 3) ground at the reach in the vertical planes of (n, 3) directions, or what hides it; NaN where there is none."""
    if len(directions) == 0:
        return np.empty((0, 3))
    flat = directions[:, :2] / np.linalg.norm(directions[:, :2], axis=1, keepdims=True)
    target = np.array([pose.east_m, pose.north_m]) + flat * camera.reach_m
    down = np.column_stack([target, terrain.height_msl_m(target)]) - pose.position
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    return march(pose.position, down, terrain, reach_m=2.0 * camera.reach_m)
