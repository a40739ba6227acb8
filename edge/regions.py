"""From what is worth a look to the crops of the picture that hold it, and from what was found in these back to one picture.

A crop has the shape of the network's input, so that it is seen pixel for pixel; around something larger it is larger, and
scaled down by the detector. Whatever is worth a look lies whole in at least one crop, so crops need no overlap of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.detector import Found
from edge.sources import Image
from geofences.geodesy import Array
from models.boxes import areas, overlaps, shared

Crops = npt.NDArray[np.int64]   # (m, 4) left, top, right, bottom in whole pixels of the picture

ALMOST_ALL = 0.8                # of the picture's sides: a crop larger than this gains nothing over the whole
TILE_OVERLAP = 0.2              # of a tile's side, as SAHI has it by default
EDGE_PX = 2.0                   # of the network's input: a box that comes this near to a crop's edge is cut by it
SAME_OVERLAP = 0.45             # IoU of two boxes of one class in two crops that are one object; 0.7 is SORT's usual, within
                                # one picture, but a crop shows an object in another place of the network's grid
SAME_INSIDE = 0.7               # of a cut box that lies in another box: it is a part of that


@dataclass(frozen=True, slots=True)
class Pieced:
    """What was found in the whole picture, put together from its crops.

    found: boxes in pixels of the picture. cut: (k, 4) boxes of what a crop's edge cut through and no other crop holds whole;
    they are not in found, because their feet may be anywhere.
    """

    found: Found
    cut: Array


def plan_crops(boxes: Array, size: tuple[int, int], shape: tuple[int, int], most: int) -> Crops | None:
    """Crops that hold every one of boxes (n, 4), as few as a greedy search finds; None where the whole picture is as good.

    size: (height, width) of the picture; boxes beyond it are clipped. shape: (height, width) that the network sees pixel for
    pixel. A crop costs as much as the whole picture, so more than `most`, or more than it takes to tile the picture, are
    not planned; nor is one that is nearly as large as the picture.
    """
    height, width = size
    left_over = np.clip(boxes, 0.0, np.tile([width, height], 2).astype(float))
    left_over = left_over[np.argsort(-areas(left_over), kind="stable")]
    whole = max(height / shape[0], width / shape[1])    # scale at which the network sees the whole picture
    most = min(most, int(whole * whole))
    crops: list[list[int]] = []
    while len(left_over):
        if len(crops) >= most:
            return None
        held, scale = _grown(left_over, shape)
        if scale > ALMOST_ALL * whole:
            return None
        crop = _placed(held, scale, size, shape)
        crops.append(crop)
        left_over = left_over[~_inside(left_over, np.array(crop, float))]
    return np.array(crops, np.int64).reshape(-1, 4)


def tiles(size: tuple[int, int], shape: tuple[int, int]) -> Crops:
    """Crops of the network's shape that cover the picture, and overlap by TILE_OVERLAP at least."""
    rows, columns = (_steps(length, part) for length, part in zip(size, shape, strict=True))
    (height, width), (high, wide) = size, shape
    return np.array(
        [[x, y, min(x + wide, width), min(y + high, height)] for y in rows for x in columns], np.int64
    ).reshape(-1, 4)


def cut_out(image: Image, crops: Crops) -> list[Image]:
    """Views, not copies."""
    return [image[top:bottom, left:right] for left, top, right, bottom in crops]


def pieced(founds: Sequence[Found], crops: Crops, size: tuple[int, int], shape: tuple[int, int]) -> Pieced:
    """Put together what was found in each crop, boxes in the crop's pixels; one object in two crops becomes one.

    Boxes of one class in two crops are the same object when they overlap by SAME_OVERLAP, and the surer one is kept. Those
    of one crop are left as the detector gave them: that has done the same already, and knows better.
    """
    boxes = np.vstack([np.empty((0, 4)), *(f.boxes + np.tile(c[:2], 2) for f, c in zip(founds, crops, strict=True))])
    scores = np.concatenate([f.scores for f in founds] or [np.empty(0)])
    classes = np.concatenate([f.classes for f in founds] or [np.empty(0, np.int64)])
    of = np.repeat(np.arange(len(founds)), [len(f) for f in founds])
    cut = _cut(boxes, crops[of], size, shape)
    whole = np.flatnonzero(~cut)
    whole = whole[np.argsort(-scores[whole], kind="stable")]
    kept: list[int] = []
    for i in whole:
        rivals = [k for k in kept if classes[k] == classes[i] and of[k] != of[i]]
        if not (overlaps(boxes[i : i + 1], boxes[rivals]) >= SAME_OVERLAP).any():
            kept.append(int(i))
    parts: list[Array] = []
    for i in np.flatnonzero(cut):
        others = boxes[[k for k in kept if classes[k] == classes[i]]]
        this = boxes[i : i + 1]
        if not (shared(this, others) >= SAME_INSIDE * np.maximum(areas(this), 1e-9)).any():
            parts.append(boxes[i])
    return Pieced(Found(boxes[kept], scores[kept], classes[kept]), np.array(parts, float).reshape(-1, 4))


def _grown(boxes: Array, shape: tuple[int, int]) -> tuple[Array, float]:
    """The first box, and as many more as a crop of the same scale holds, nearest first: what they span, and the scale."""
    held = boxes[0].copy()
    scale = _scale(held, shape)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2.0
    for i in np.argsort(np.hypot(*(centres - centres[0]).T), kind="stable")[1:]:
        both = np.concatenate([np.minimum(held[:2], boxes[i, :2]), np.maximum(held[2:], boxes[i, 2:])])
        if _scale(both, shape) <= scale:
            held = both
    return held, scale


def _scale(box: Array, shape: tuple[int, int]) -> float:
    """How much larger than the network's input a crop has to be to hold the box in whole pixels."""
    wide, high = np.ceil(box[2:]) - np.floor(box[:2])
    return max(1.0, float(high) / shape[0], float(wide) / shape[1])


def _placed(held: Array, scale: float, size: tuple[int, int], shape: tuple[int, int]) -> list[int]:
    """The crop around `held`, with that in its middle as far as the picture's edges allow."""
    corners: list[tuple[int, int]] = []
    for axis in (1, 0):     # across, down
        length = size[axis]
        part = min(length, math.ceil(shape[axis] * scale - 1e-9))
        low, high = held[1 - axis], held[3 - axis]
        begin = math.floor((low + high - part) / 2.0)
        begin = min(max(begin, math.ceil(high) - part, 0), math.floor(low), length - part)
        corners.append((begin, begin + part))
    (left, right), (top, bottom) = corners
    return [left, top, right, bottom]


def _steps(length: int, part: int) -> list[int]:
    """Where parts begin that cover a length evenly."""
    if length <= part:
        return [0]
    count = 1 + math.ceil((length - part) / (part * (1.0 - TILE_OVERLAP)))
    return [round(k * (length - part) / (count - 1)) for k in range(count)]


def _cut(boxes: Array, crops: Crops, size: tuple[int, int], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(n,) whether the edge of its crop (n, 4) runs through a box; the picture's own edge does not count."""
    height, width = size
    scale = np.maximum((crops[:, 3] - crops[:, 1]) / shape[0], (crops[:, 2] - crops[:, 0]) / shape[1])
    near = EDGE_PX * np.maximum(scale, 1.0)[:, None]
    low = (boxes[:, :2] <= crops[:, :2] + near) & (crops[:, :2] > 0)
    high = (boxes[:, 2:] >= crops[:, 2:] - near) & (crops[:, 2:] < [width, height])
    return np.asarray((low | high).any(axis=1), bool)


def _inside(boxes: Array, crop: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(((boxes[:, :2] >= crop[:2]) & (boxes[:, 2:] <= crop[2:])).all(axis=1), bool)
