"""One vehicle, one box: a network often calls one vehicle a car and a truck at once, or boxes its cabin beside all of it."""

from __future__ import annotations

from edge.detector import CLASSES, OVERLAP_LIMIT, Found
from wire.units import ObjectClass

INSIDE = 0.85                       # of the smaller box in the larger one
SAME_GROUND = 0.12                  # of the larger box's height, from one lower edge to the other
NEARLY_AS_HIGH = 0.6                # of the larger box's height, as a cabin is; a car has 0.42 of a lorry (1.5 m of 3.6)
# Which of these it is, a network of seven classes says of one body in turn. A rider and the motorcycle are two bodies.
ALIKE = ({ObjectClass.CAR, ObjectClass.BUS, ObjectClass.TRUCK}, {ObjectClass.BICYCLE, ObjectClass.MOTORCYCLE})
_KINDS = [next((k for k, alike in enumerate(ALIKE) if c in alike), -1) for c in CLASSES]


def one_box_each(found: Found) -> Found:
    """Without the boxes of a body that a surer box has already.

    Suppression by class leaves them (models.decode, and ultralytics). A box is another one's body where both overlap as much
    as would be suppressed within a class; or where it lies inside the other, or around it, is nearly as high, and both end
    on the same ground: there is no room for two vehicles on one place. One that stands behind or before another ends higher
    or lower; but far from a low mast by so little that only their heights tell a car from the cabin of a lorry behind it.
    """
    kinds = [_KINDS[c] for c in found.classes.tolist()]
    alike = [i for i, kind in enumerate(kinds) if kind >= 0]
    if len(alike) < 2:
        return found
    # Number by number, which is quicker for a handful.
    boxes, scores = found.boxes.tolist(), found.scores.tolist()
    bodies: list[int] = []
    for i in sorted(alike, key=lambda i: -scores[i]):
        if not any(kinds[i] == kinds[k] and _same_body(boxes[i], boxes[k]) for k in bodies):
            bodies.append(i)
    if len(bodies) == len(alike):                       # each is its own body
        return found
    stays = sorted({*range(len(found))} - {*alike} | {*bodies})
    return Found(found.boxes[stays], found.scores[stays], found.classes[stays])


def _same_body(a: list[float], b: list[float]) -> bool:
    """Whether two boxes cannot be two bodies."""
    both = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    size, other = ((max(x2 - x1, 0.0) * max(y2 - y1, 0.0)) for x1, y1, x2, y2 in (a, b))
    if both / max(size + other - both, 1e-12) > OVERLAP_LIMIT:
        return True
    higher, lower = max(a[3] - a[1], b[3] - b[1]), min(a[3] - a[1], b[3] - b[1])
    same_ground = abs(a[3] - b[3]) <= SAME_GROUND * higher and lower >= NEARLY_AS_HIGH * higher
    return both >= INSIDE * min(size, other) and same_ground
