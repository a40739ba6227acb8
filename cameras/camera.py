"""What geolocation has to know of one sensor beside its pose."""

from __future__ import annotations

from dataclasses import dataclass

from cameras.lens import Lens


@dataclass(frozen=True, slots=True)
class Camera:
    """pixel_sigma_px: one sigma of a foot point in the picture, each axis.
    error_limit_m: a ground position whose 90 % ellipse has a longer semi-axis than this is refused, and the bearing kept.
    reach_m: beyond this distance nothing is placed, and the footprint ends.
    """

    lens: Lens
    pixel_sigma_px: float
    error_limit_m: float
    reach_m: float
