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
from models.boxes import shared, unions

BLOCK = 256                     # boxes that are compared with each other at once: their table is half a megabyte

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def candidates(sides: Sequence[Floats], logits: Sequence[Floats], strides: Sequence[int], lowest_score: float) -> tuple[
    Array, Array, Ints,
]:
    """Boxes (n, 4) left, top, right, bottom in network pixels, scores (n,), classes (n,) of the network's own numbering.

    sides: of each grid (rows, columns, 4 * distances). logits: (rows, columns, classes). A cell's class is its surest one.
    """
    least = math.log(lowest_score / (1.0 - lowest_score))
    middles, sizes, away, said = [], [], [], []
    for side, logit, stride in zip(sides, logits, strides, strict=True):
        rows, columns, kinds = logit.shape
        flat = logit.reshape(-1, kinds)
        passed = np.flatnonzero(flat > least) // kinds
        cells = passed[np.diff(passed, prepend=-1) > 0]         # each once: they come in order
        middles.append(np.column_stack([cells % columns, cells // columns]))
        sizes.append(np.full((len(cells), 1), stride))
        away.append(side.reshape(rows * columns, 4, -1)[cells])
        said.append(flat[cells])
    logit, middle, distance = np.concatenate(said), np.concatenate(middles) + 0.5, _expected(np.concatenate(away))
    classes = logit.argmax(axis=1)
    scores = 1.0 / (1.0 + np.exp(-logit[np.arange(len(logit)), classes].astype(float)))
    boxes = np.hstack([middle - distance[:, :2], middle + distance[:, 2:]]) * np.concatenate(sizes)
    return boxes, scores, classes


def _expected(distributions: Floats) -> Array:
    """(n, 4) mean of softmaxed (n, 4, d) over 0 to d - 1, in strides."""
    weights = np.exp(distributions.astype(float) - distributions.max(axis=2, keepdims=True, initial=-np.inf))
    mean: Array = weights @ np.arange(distributions.shape[2]) / weights.sum(axis=2)
    return mean


def suppress(boxes: Array, scores: Array, classes: Ints, overlap_limit: float, most: int) -> Ints:
    """Which of n boxes stay, the surest first and at most `most`: none that a surer one of its class overlaps (IoU) more."""
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < most:
        block, rest = left[:BLOCK], left[BLOCK:]
        hidden = _hides(boxes, classes, block, block, overlap_limit)
        alive = np.ones(len(block), bool)
        for k in range(len(block)):
            if alive[k]:
                alive[k + 1:] &= ~hidden[k, k + 1:]
        stay = block[alive]
        kept += stay.tolist()
        left = rest[~_hides(boxes, classes, stay, rest, overlap_limit).any(axis=0)] if len(rest) else rest
    return np.array(kept[:most], np.int64)


def _hides(boxes: Array, classes: Ints, one: Ints, other: Ints, overlap_limit: float) -> npt.NDArray[np.bool_]:
    """(n, m) whether each of `one` overlaps each of `other`, of the same class, by more than the limit."""
    a, b = boxes[one], boxes[other]
    both = shared(a, b)
    hides: npt.NDArray[np.bool_] = (classes[one][:, None] == classes[other]) & (both > overlap_limit * unions(a, b, both))
    return hides
