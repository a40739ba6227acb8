"""Whether a vehicle is a car, a pickup, a truck, a bus or a motorcycle, as far as the detector's class and its height tell.

The detector's class truck holds pickups and lorries (COCO's annotators call most pickups so). What tells them apart is their
height, which follows from the box where the foot is placed on the ground: seen from d degrees above, a box shows the height
times cos d, and of what lies behind the nearest wheel, sin d. A truck whose height fits both (steep views, poor places,
boxes that are cut off) has no kind. A car stays what the detector says: a pickup that it calls a car is a car here, and vans
and cars are not told apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wire.units import ObjectClass, VehicleClass, VehicleKind

BETWEEN_M = 2.1                 # double-cab pickups: 1.75 to 1.87 m high; cabs of light lorries 2.2 m and more
# From the nearest wheel to the far edge of a cab's roof: from the side (vehicles seen 4.5 m wide) and from an end (2.2 m).
WIDE_M = (2.2, 4.5)
LEAST_BEHIND_M, MOST_BEHIND_M = (2.5, 1.4), 3.3
STEEPEST_DEG = 25.0             # from higher above, bonnet and bed are what makes a box high, and not the roof
DISTANCE_SIGMAS = 1.64          # how far the distance may be off: nine of ten times

_PLAIN: dict[ObjectClass, VehicleKind] = {
    ObjectClass.CAR: VehicleKind.CAR, ObjectClass.BUS: VehicleKind.BUS, ObjectClass.MOTORCYCLE: VehicleKind.MOTORCYCLE,
}


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a vehicle is seen. width_px, height_px: of its box; focal_px: of the lens. distance_m: with one sigma.

    depression_deg: of the line of sight.
    """

    width_px: float
    height_px: float
    focal_px: float
    distance_m: float
    distance_sigma_m: float
    depression_deg: float

    def height_m(self) -> tuple[float, float]:
        """The least and the greatest height that it may have."""
        down = math.radians(max(self.depression_deg, 0.0))
        across = [
            self.height_px / self.focal_px * max(self.distance_m + s * DISTANCE_SIGMAS * self.distance_sigma_m, 0.0)
            for s in (-1.0, 1.0)
        ]
        near_m = float(np.interp(self.width_px / self.focal_px * self.distance_m, WIDE_M, LEAST_BEHIND_M))
        least, most = across[0] - MOST_BEHIND_M * math.sin(down), across[1] - near_m * math.sin(down)
        return least / math.cos(down), most / math.cos(down)


def kind_of(vehicle: VehicleClass, extent: Extent | None) -> VehicleKind | None:
    """extent: None where the foot has no place, or the box is cut off."""
    if vehicle in _PLAIN:
        return _PLAIN[vehicle]
    if extent is None or extent.depression_deg > STEEPEST_DEG:
        return None
    least, most = extent.height_m()
    if most < BETWEEN_M:
        return VehicleKind.PICKUP
    return VehicleKind.TRUCK if least > BETWEEN_M else None
