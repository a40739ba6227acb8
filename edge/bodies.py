"""How far the middle of an object lies behind the lowest line of its box.

A box ends where the object's nearest point meets the ground: the near wheels of a truck, not its middle. For a plan of
length L and width W at an unknown heading, the nearest point is the support function of a rectangle away from the middle,
(L |cos a| + W |sin a|) / 2. Over all headings its mean is (L + W) / pi and its mean square (L^2 + W^2) / 8 + L W / (2 pi).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.detector import CLASSES
from geofences.geodesy import Array
from wire.units import ObjectClass

# Length, width and how much sizes differ (one sigma, as a share): what is usual on the roads and rivers of the region; our
# own assumption. A person is as long as half a stride, which differs most; a rider belongs to the machine.
PLAN_M: dict[ObjectClass, tuple[float, float, float]] = {
    ObjectClass.PERSON: (0.55, 0.45, 0.4),
    ObjectClass.BICYCLE: (1.75, 0.6, 0.1),
    ObjectClass.CAR: (4.4, 1.8, 0.12),
    ObjectClass.MOTORCYCLE: (1.95, 0.7, 0.1),
    ObjectClass.BUS: (9.0, 2.4, 0.2),
    ObjectClass.TRUCK: (5.8, 2.0, 0.2),     # from pickups of 5.2 m to lorries of 8 m
    ObjectClass.BOAT: (6.5, 1.3, 0.25),
}
ASIDE = 0.08    # of the mean depth; by perspective a box and its object do not share the middle (tests/edge/test_bodies.py)


@dataclass(frozen=True, slots=True)
class BodyDepth:
    """mean_m, sigma_m: (n,) from the lowest line of a box to the object's middle, along the ground, away from the camera.

    aside_sigma_m: (n,) across that.
    """

    mean_m: Array
    sigma_m: Array
    aside_sigma_m: Array


def depth_of(classes: npt.NDArray[np.int64]) -> BodyDepth:
    """Of n objects, by their index into edge.detector.CLASSES."""
    mean_m, sigma_m = _DEPTHS[classes].reshape(-1, 2).T
    return BodyDepth(mean_m, sigma_m, ASIDE * mean_m)


def _depth(length_m: float, width_m: float, size_sigma: float) -> tuple[float, float]:
    mean = (length_m + width_m) / math.pi
    square = (length_m**2 + width_m**2) / 8.0 + length_m * width_m / (2.0 * math.pi)
    return mean, math.hypot(math.sqrt(square - mean**2), size_sigma * mean)


_DEPTHS = np.array([_depth(*PLAN_M[c]) for c in CLASSES])
