"""How much boxes have in common. A box is left, top, right, bottom, in pixels or in shares of a picture."""

from __future__ import annotations

import numpy as np

from geofences.geodesy import Array


def areas(boxes: Array) -> Array:
    """(n,) of (n, 4) boxes; 0 for one that is turned inside out. In square pixels where the boxes are in pixels."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def shared(a: Array, b: Array) -> Array:
    """(n, m) area that each of (n, 4) has in common with each of (m, 4)."""
    width = np.minimum(a[:, 2, None], b[:, 2]) - np.maximum(a[:, 0, None], b[:, 0])
    height = np.minimum(a[:, 3, None], b[:, 3]) - np.maximum(a[:, 1, None], b[:, 1])
    return np.asarray(np.maximum(width, 0.0) * np.maximum(height, 0.0))


def unions(a: Array, b: Array, both: Array) -> Array:
    """(n, m) area that either covers. both: what they share."""
    return np.asarray(areas(a)[:, None] + areas(b) - both)


def overlaps(a: Array, b: Array) -> Array:
    """(n, m) intersection over union of (n, 4) and (m, 4) boxes."""
    both = shared(a, b)
    return np.asarray(both / np.maximum(unions(a, b, both), 1e-12))
