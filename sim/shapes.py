"""Surfaces made by rule: of revolution, of boxes; and the normals of any surface. Frame and units are those of Mesh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geofences.geodesy import Array

Ints = npt.NDArray[np.int64]


def gathering(triangles: Ints, count: int) -> sparse.csr_array:
    """(count, m) of ones where a triangle touches a vertex: adds up their normals at each vertex."""
    m = len(triangles)
    return sparse.csr_array((np.ones(3 * m), (triangles.ravel(), np.repeat(np.arange(m), 3))), shape=(count, m))


def normals_of(vertices: Array, triangles: Ints, gather: sparse.csr_array) -> Array:
    """Unit normals (n, 3), by the area of the triangles around each vertex."""
    a, b, c = vertices[triangles[:, 0]], vertices[triangles[:, 1]], vertices[triangles[:, 2]]
    summed = np.asarray(gather @ np.cross(b - a, c - a))
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-12, summed / np.maximum(length, 1e-12), [0.0, 0.0, 1.0]))


def lathe(profile: list[tuple[float, float]], sides: int) -> tuple[Array, Ints]:
    """A surface of revolution about z through (radius, height) points that go upward outside."""
    angle = np.arange(sides) * (2.0 * np.pi / sides)
    rings = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(sides, z)], axis=1) for r, z in profile]
    triangles = []
    for ring in range(len(profile) - 1):
        for i in range(sides):
            j = (i + 1) % sides
            a, b, c, d = ring * sides + i, ring * sides + j, (ring + 1) * sides + i, (ring + 1) * sides + j
            triangles += [(a, b, d), (a, d, c)]
    return np.concatenate(rings), np.array(triangles, dtype=np.int64)
