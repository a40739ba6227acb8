"""One vehicle, one box: a network often calls one vehicle a car and a truck at once, or boxes its cabin beside all of it."""

from __future__ import annotations

import numpy as np

from edge.detector import CLASSES, OVERLAP_LIMIT, Found
from geofences.geodesy import Array
from models.boxes import areas, shared, unions
from wire.units import ObjectClass

INSIDE = 0.85                       # of the smaller box in the larger one
SAME_GROUND = 0.12                  # of the larger box's height, from one lower edge to the other
# Which of these it is, a network of seven classes says of one body in turn. A rider and the motorcycle are two bodies.
ALIKE = ({ObjectClass.CAR, ObjectClass.BUS, ObjectClass.TRUCK}, {ObjectClass.BICYCLE, ObjectClass.MOTORCYCLE})
_KINDS = np.array([next((k for k, alike in enumerate(ALIKE) if c in alike), -1) for c in CLASSES])


def one_box_each(found: Found) -> Found:
    """Without the boxes of a body that a surer box has already.

    Suppression by class leaves them (models.decode, and ultralytics). A box is another one's body where both overlap as much
    as would be suppressed within a class; or where it lies inside the other, or around it, and both end on the same ground:
    there is no room for two vehicles on one place. One that stands behind or before another ends higher or lower.
    """
    kinds = _KINDS[found.classes]
    alike = (kinds >= 0).nonzero()[0]
    if len(alike) < 2:
        return found
    if not _touch(found.boxes[alike].tolist()):         # as in most pictures
        return found
    kinds = kinds[alike]
    same = _same_body(found.boxes[alike]) & (kinds[:, None] == kinds)
    if np.count_nonzero(same) == len(alike):            # each is its own body
        return found
    of = same.tolist()
    kept: list[int] = []
    for i in np.argsort(-found.scores[alike], kind="stable").tolist():
        if not any(of[i][k] for k in kept):
            kept.append(i)
    stays = np.ones(len(found), bool)
    stays[alike] = False
    stays[alike[kept]] = True
    return Found(found.boxes[stays], found.scores[stays], found.classes[stays])


def _touch(boxes: list[list[float]]) -> bool:
    """Whether any two do, or one has no area. From left to right, number by number: that is quicker for a handful."""
    boxes.sort()
    for k, (left, top, right, bottom) in enumerate(boxes):
        if not (left < right and top < bottom):
            return True
        for other_left, other_top, _, other_bottom in boxes[k + 1 :]:
            if other_left >= right:
                break
            if other_top < bottom and top < other_bottom:
                return True
    return False


def _same_body(boxes: Array) -> Array:
    """(n, n), true where two boxes (n, 4) cannot be two bodies; on the diagonal too."""
    both, size = shared(boxes, boxes), areas(boxes)
    height = boxes[:, 3] - boxes[:, 1]
    inside = both >= INSIDE * np.minimum(size[:, None], size)
    ground = np.abs(boxes[:, 3, None] - boxes[:, 3]) <= SAME_GROUND * np.maximum(height[:, None], height)
    overlap = both / np.maximum(unions(boxes, boxes, both), 1e-12)
    return np.asarray((overlap > OVERLAP_LIMIT) | (inside & ground))
