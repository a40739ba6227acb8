"""How many pixels a camera spends on a metre of a person who stands somewhere.

IEC 62676-4 grades a picture by the pixels on a metre at the target, across the line of sight. A person is also upright: seen
from above, height is foreshortened, and straight from above there is none left. So the density of a person is the smaller of
two that are both taken from the picture itself, lens distortion and all: across a level bar as wide as a body, square to the
line of sight, and along the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from geofences.geodesy import Array

PERSON_M = 1.7          # as IEC 62676-4 and its test target have it
BODY_M = 0.5            # the bar; short against the distance, so that it samples the place and not its surroundings
FREE_SHARE = 0.5        # of a person, from the head down, that has to be in the picture and free
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Density:
    """Of n persons, each (n,).

    across, upright: pixels a metre, NaN behind the camera. inside: in the picture, from the head down to FREE_SHARE of the
    height. distance_m: along the line of sight.
    """

    across: Array
    upright: Array
    inside: npt.NDArray[np.bool_]
    distance_m: Array

    @property
    def of_person(self) -> Array:
        """(n,) the smaller of the two; 0 outside the picture."""
        smaller = np.fmin(self.across, self.upright)
        return np.where(self.inside & np.isfinite(smaller), smaller, 0.0)


def person_density(feet_m: npt.ArrayLike, pose: Pose, lens: Lens) -> Density:
    """feet_m: (n, 3) east, north, metres above mean sea level."""
    feet = np.atleast_2d(np.asarray(feet_m, float))
    waist, head = feet + UP * PERSON_M * (1.0 - FREE_SHARE), feet + UP * PERSON_M
    away = waist - pose.position
    flat = np.hypot(away[:, 0], away[:, 1])
    # Straight below every level direction is square to the line of sight; east will do.
    with np.errstate(invalid="ignore", divide="ignore"):
        square = np.where(flat[:, None] > 1e-9, np.column_stack([away[:, 1], -away[:, 0]]) / flat[:, None], [1.0, 0.0])
    bar = np.column_stack([square * BODY_M / 2.0, np.zeros(len(feet))])
    n = len(feet)
    pixels = project(np.vstack([waist, head, waist - bar, waist + bar]), pose, lens)
    at_waist, at_head, left, right = pixels[:n], pixels[n : 2 * n], pixels[2 * n : 3 * n], pixels[3 * n :]
    return Density(
        across=np.hypot(*(right - left).T) / BODY_M,
        upright=np.hypot(*(at_head - at_waist).T) / (PERSON_M * FREE_SHARE),
        inside=lens.holds(at_waist) & lens.holds(at_head),
        distance_m=np.linalg.norm(away, axis=1),
    )
