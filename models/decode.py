"""From what a YOLO11's last convolutions say to boxes: thresholds first, so that only what passes is worked out.

The head is ultralytics' Detect: each cell of three grids says 4 distributions over 16 distances to the box's sides (Li et
al. 2020, "Generalized Focal Loss") and a logit for each class. Suppression is theirs too: by class, the surest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def candidates(sides: Sequence[Floats], logits: Sequence[Floats], strides: Sequence[int], lowest_score: float) -> tuple[
    Array, Array, Ints,
]:
    """Boxes (n, 4) left, top, right, bottom in network pixels, scores (n,), classes (n,) of the network's own numbering.

    sides: of each grid (rows, columns, 4 * distances). logits: (rows, columns, classes). A cell's class is its surest one.
    """
    least = math.log(lowest_score / (1.0 - lowest_score))
    boxes, scores, classes = [], [], []
    for side, logit, stride in zip(sides, logits, strides, strict=True):
        rows, columns, kinds = logit.shape
        flat = logit.reshape(-1, kinds)
        cells = np.unique(np.flatnonzero(flat > least) // kinds)
        said = flat[cells]
        best = said.argmax(axis=1)
        middle = np.column_stack([cells % columns, cells // columns]) + 0.5
        away = _expected(side.reshape(rows * columns, 4, -1)[cells])
        boxes.append(np.hstack([middle - away[:, :2], middle + away[:, 2:]]) * stride)
        scores.append(1.0 / (1.0 + np.exp(-said[np.arange(len(cells)), best].astype(float))))
        classes.append(best)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(classes)


def _expected(distributions: Floats) -> Array:
    """(n, 4) mean of softmaxed (n, 4, d) over 0 to d - 1, in strides."""
    weights = np.exp(distributions.astype(float) - distributions.max(axis=2, keepdims=True, initial=-np.inf))
    mean: Array = weights @ np.arange(distributions.shape[2]) / weights.sum(axis=2)
    return mean


def suppress(boxes: Array, scores: Array, classes: Ints, overlap_limit: float, most: int) -> Ints:
    """Which of n boxes stay, the surest first and at most `most`: none that a surer one of its class overlaps (IoU) more."""
    order = np.argsort(-scores, kind="stable")
    boxes, classes = boxes[order], classes[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(order))
    kept: list[int] = []
    while len(left) and len(kept) < most:
        first, rest = left[0], left[1:]
        kept.append(int(first))
        a, b = boxes[first], boxes[rest]
        shared = np.maximum(np.minimum(a[2], b[:, 2]) - np.maximum(a[0], b[:, 0]), 0.0)
        shared *= np.maximum(np.minimum(a[3], b[:, 3]) - np.maximum(a[1], b[:, 1]), 0.0)
        hidden = (classes[rest] == classes[first]) & (shared > overlap_limit * (area[first] + area[rest] - shared))
        left = rest[~hidden]
    return order[kept]
