"""What a drone's camera asks of a patrol: how wide a strip it sees well enough, from which height, and how fast it may go.

"Well enough" is pixels a metre of an upright person (cameras.density). A place has to stay in the picture for a while, so
that a detection can be confirmed, and must not smear by more than a pixel while the shutter is open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cameras.density import person_density
from cameras.lens import Lens
from cameras.pose import Pose
from geofences.geodesy import Array

STEP_M = 1.0                    # of the ground ahead that is looked at
FULL_SHARE = 0.8                # of the widest strip that could be had by flying slower
SLOWEST_M_S = 2.0               # below this a copter spends its battery on hovering


@dataclass(frozen=True, slots=True)
class CameraView:
    """A camera as it is carried. pitch_deg: of its axis in flight, negative looks down. reach_m: beyond it nothing counts.

    pixels_per_m: wanted of a person on the ground. seen_s: for which a place stays in the picture. exposure_s: of a frame.
    smear_px: the most that the ground may move while the shutter is open.
    """

    lens: Lens
    pitch_deg: float
    reach_m: float
    pixels_per_m: float
    seen_s: float = 2.0
    exposure_s: float = 0.004
    smear_px: float = 1.0


@dataclass(frozen=True, slots=True)
class Strip:
    """What is seen well in passing. width_m: across the track. speed_m_s: as wished or slower. why: what limits it."""

    width_m: float
    speed_m_s: float
    why: str


def strip(view: CameraView, height_m: float, wish_m_s: float) -> Strip:
    """From height_m above level ground. width_m 0: from here nobody would have the wanted pixels."""
    lateral, length, density = seen_lengths(view, height_m)
    if not (length > 0).any():
        return Strip(0.0, wish_m_s, "pixels")
    speed, why = wish_m_s, "wish"
    smear = view.smear_px / (view.exposure_s * density)
    if smear < speed:
        speed, why = max(SLOWEST_M_S, smear), "smear"
    # As fast as wished, unless that costs more than a fifth of the strip.
    widest = float(lateral[length > 0].max())
    at_edge = length[lateral <= FULL_SHARE * widest].min()
    if at_edge / view.seen_s < speed:
        speed, why = max(SLOWEST_M_S, float(at_edge / view.seen_s)), "seen"
    enough = length >= min(speed * view.seen_s, float(length.max()))
    # A strip has no holes: up to the first place that is seen for too short.
    count = int(np.argmin(enough)) if not enough.all() else len(enough)
    return Strip(2.0 * float(lateral[max(0, count - 1)]), speed, why)


def seen_lengths(view: CameraView, height_m: float) -> tuple[Array, Array, float]:
    """(n,) metres beside the track; (n,) metres of track along which a person there has the pixels; most pixels a metre."""
    ahead = np.arange(-view.reach_m, view.reach_m + STEP_M, STEP_M)
    beside = np.arange(0.0, view.reach_m + STEP_M, STEP_M)
    east, north = np.meshgrid(beside, ahead, indexing="ij")
    feet = np.column_stack([east.ravel(), north.ravel(), np.zeros(east.size)])
    pose = Pose(0.0, 0.0, height_m, 0.0, view.pitch_deg)
    density = person_density(feet, pose, view.lens)
    good = (density.of_person >= view.pixels_per_m) & (np.hypot(feet[:, 0], feet[:, 1]) <= view.reach_m)
    seen = good.reshape(east.shape)
    most = float(np.nanmax(np.where(good, density.across, 0.0), initial=0.0))
    return beside, seen.sum(axis=1) * STEP_M, most


def best_height_m(view: CameraView, least_m: float, most_m: float) -> float | None:
    """The height between two at which the strip is widest; None when the camera is too weak for all of them."""
    heights = np.linspace(least_m, most_m, 12)
    widths = [strip(view, float(h), SLOWEST_M_S).width_m for h in heights]
    best = int(np.argmax(widths))
    return float(heights[best]) if widths[best] > 0 else None
