"""Where and how sure: positions with the datum in their type, time with its quality.

A height above the ellipsoid, above mean sea level and above ground differ by tens of metres in the same place. They are
three types here, and no operator joins them: going from one to the other needs a geoid or a terrain, and says so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeGuard, get_args

import msgspec


class HeightEllipsoid(msgspec.Struct, frozen=True, tag="ellipsoid", array_like=True):
    """Metres above the WGS 84 ellipsoid, as GNSS receivers compute it."""

    m: float


class HeightMsl(msgspec.Struct, frozen=True, tag="msl", array_like=True):
    """Metres above mean sea level (EGM geoid), as maps and autopilots give it."""

    m: float


class HeightAgl(msgspec.Struct, frozen=True, tag="agl", array_like=True):
    """Metres above the ground right below."""

    m: float


Height = HeightEllipsoid | HeightMsl | HeightAgl


class GroundPosition(msgspec.Struct, frozen=True, array_like=True):
    """A point on the ground. WGS 84, degrees."""

    lat_deg: float
    lon_deg: float


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A point in space. WGS 84, degrees; the height carries its datum."""

    lat_deg: float
    lon_deg: float
    height: Height


class Covariance2(msgspec.Struct, frozen=True, array_like=True):
    """One sigma squared of a ground position, square metres, in local east and north.

    Symmetric, so three numbers: [[ee, en], [en, nn]].
    """

    ee_m2: float
    en_m2: float
    nn_m2: float


class TimeQuality(StrEnum):
    """How far a capture time can be believed."""

    GPS = "gps"                     # disciplined by GNSS: microseconds to milliseconds
    NTP = "ntp"                     # disciplined by a network: tens of milliseconds
    FREE = "free_running"           # nobody has corrected it for a while
    SIMULATED = "simulated"         # the time of a simulated world


class Realm(StrEnum):
    """Real life or a rehearsal. Fixed at birth for every store and every key; never read from a message."""

    LIVE = "live"
    TRAINING = "training"


class ObjectClass(StrEnum):
    """What the detector tells apart."""

    PERSON = "person"
    BICYCLE = "bicycle"
    CAR = "car"
    MOTORCYCLE = "motorcycle"
    BUS = "bus"
    TRUCK = "truck"
    BOAT = "boat"


VehicleClass = Literal[ObjectClass.CAR, ObjectClass.MOTORCYCLE, ObjectClass.BUS, ObjectClass.TRUCK]
_VEHICLES = frozenset(get_args(VehicleClass))


def is_vehicle(object_class: ObjectClass) -> TypeGuard[VehicleClass]:
    """Whether it may have attributes: what carries a licence plate. Never a person, nor a bicycle, which is its rider."""
    return object_class in _VEHICLES


class VehicleKind(StrEnum):
    """What a vehicle is, as a person would say it. The detector has one class, truck, for two of these."""

    CAR = "car"
    PICKUP = "pickup"
    TRUCK = "truck"
    BUS = "bus"
    MOTORCYCLE = "motorcycle"


class Colour(StrEnum):
    """Colours that are told apart; silver is grey, and maroon red. station.subjects names known vehicles with the same."""

    WHITE = "white"
    GREY = "grey"
    BLACK = "black"
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    BROWN = "brown"
    GREEN = "green"
    BLUE = "blue"
