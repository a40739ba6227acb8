"""How far a set of estimated places is from a set of true ones: GOSPA.

Rahmathullah, García-Fernández & Svensson, "Generalized optimal sub-pattern assignment metric", 2017, with alpha = 2: the
best assignment's distances, and cut_off ** power / 2 for each place that is missed or made up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from geofences.geodesy import Array

CUT_OFF_M = 5.0
POWER = 2.0


@dataclass(frozen=True, slots=True)
class Gospa:
    """distance_m: the metric. localisation: sum of the assigned distances, each to the power. missed, false: how many."""

    distance_m: float
    localisation: float
    missed: int
    false: int


def gospa(truth_m: Array, found_m: Array, cut_off_m: float = CUT_OFF_M, power: float = POWER) -> Gospa:
    """truth_m: (n, 2), found_m: (m, 2), metres."""
    truth, found = np.reshape(truth_m, (-1, 2)), np.reshape(found_m, (-1, 2))
    apart = np.hypot(*(truth[:, None] - found[None]).transpose(2, 0, 1))
    costs = np.minimum(apart, cut_off_m) ** power
    rows, columns = linear_sum_assignment(costs)
    good = apart[rows, columns] < cut_off_m
    localisation = float(costs[rows, columns][good].sum())
    pairs = int(good.sum())
    missed, false = len(truth) - pairs, len(found) - pairs
    whole = localisation + cut_off_m**power / 2.0 * (missed + false)
    return Gospa(whole ** (1.0 / power), localisation, missed, false)
