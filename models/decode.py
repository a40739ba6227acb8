"""From what a YOLO11's last convolutions say to boxes: thresholds first, so that only what passes is worked out.

The head is ultralytics' Detect: each cell of three grids says 4 distributions over 16 distances to the box's sides (Li et
al. 2020, "Generalized Focal Loss") and a logit for each class. Suppression is theirs too: by class, the surest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array

ANY_SCORE = -1.0                # below all of them: thresholds are applied before

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def passing(logits: Floats, lowest_score: float, ours: Bools) -> tuple[Ints, Array, Ints]:
    """Cells (n,) in which something of ours is, ascending; their scores (n,), and classes (n,) of the network's numbering.

    logits: (cells, classes) of all grids, one after the other. ours: (classes,) which of them are looked for. A cell's class
    is the surest of all; where that is none of ours, nothing is there.
    """
    least = math.log(lowest_score / (1.0 - lowest_score))
    # Logits of others are not read: most of the time this takes. Few and long columns: by rows it takes twice the time.
    surest = np.full(len(logits), -np.inf, np.float32)
    for k in ours.nonzero()[0].tolist():
        np.maximum(surest, logits[:, k], out=surest)
    cells = (surest > least).nonzero()[0]
    if not len(cells):                                      # most pictures
        return np.zeros(0, np.int64), np.empty(0), np.zeros(0, np.int64)
    logit = logits[cells]
    classes = logit.argmax(axis=1)
    wanted = ours[classes]
    cells, logit, classes = cells[wanted], logit[wanted], classes[wanted]
    return cells, 1.0 / (1.0 + np.exp(-logit[np.arange(len(cells)), classes].astype(float))), classes


def boxes_of(sides: Floats, grid: Array, cells: Ints) -> Array:
    """Boxes (n, 4) left, top, right, bottom in network pixels.

    sides: (n, 4 * distances) of the cells (n,). grid: (3, all cells), see grid_of.
    """
    x, y, stride = grid[:, cells]
    left, top, right, bottom = _expected(sides.reshape(len(cells), 4, sides.shape[1] // 4)).T
    boxes = np.array([x - left, y - top, x + right, y + bottom]) * stride
    return np.ascontiguousarray(boxes.T)


def grid_of(shapes: Sequence[tuple[int, int]], strides: Sequence[int]) -> Array:
    """(3, cells) of grids of (rows, columns): x and y of each cell's middle, in strides, and the stride in pixels."""
    parts = []
    for (rows, columns), stride in zip(shapes, strides, strict=True):
        y, x = np.divmod(np.arange(rows * columns), columns)
        parts.append(np.array([x + 0.5, y + 0.5, np.full(rows * columns, stride, float)]))
    return np.concatenate(parts, axis=1)


def _expected(distributions: Floats) -> Array:
    """(n, 4) mean of softmaxed (n, 4, d) over 0 to d - 1, in strides."""
    weights = distributions.astype(float)
    weights -= distributions.max(axis=2, keepdims=True, initial=-np.inf)
    np.exp(weights, out=weights)
    steps = np.ones((distributions.shape[2], 2))
    steps[:, 0] = np.arange(len(steps))
    sums = weights @ steps                                  # of distances, and of weights
    mean: Array = sums[..., 0] / sums[..., 1]
    return mean


def suppress(boxes: Array, scores: Array, classes: Ints, overlap_limit: float, most: int) -> Ints:
    """Which of n boxes stay, the surest first and at most `most`: none that a surer one of its class overlaps (IoU) more."""
    if not len(boxes):
        return np.zeros(0, np.int64)
    rectangles = boxes.copy()
    rectangles[:, 2:] -= boxes[:, :2]
    # OpenCV puts the boxes of each class beside those of the one before, which keeps them apart where nothing is negative.
    rectangles[:, :2] -= rectangles[:, :2].min(axis=0)
    nms: Any = cv2.dnn.NMSBoxesBatched          # takes arrays; its stubs know lists alone
    return np.asarray(nms(rectangles, scores, classes, ANY_SCORE, overlap_limit)[:most], np.int64)
