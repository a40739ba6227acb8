"""What fusion takes: the detections of one frame of one sensor."""

from __future__ import annotations

from dataclasses import dataclass

from station.kalman import Array
from wire.units import Colour, ObjectClass, VehicleKind


@dataclass(frozen=True, slots=True)
class Seen:
    """One confirmed point detection. position_m: (2,) east, north; covariance_m2: (2, 2). track: unique over all nodes.

    plate, plate_confidence, kind, colour: as in wire.messages.Detection.
    """

    track: str
    object_class: ObjectClass
    score: float
    position_m: Array
    covariance_m2: Array
    plate: str | None
    plate_confidence: tuple[float, ...] = ()
    kind: VehicleKind | None = None
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class SensorFrame:
    """All confirmed point detections of one frame of one sensor. received_ns: when the station got it.

    from_m: where the sensor stands, east and north, if that is known. flying: its errors change within seconds.
    """

    sensor: str
    captured_ns: int
    received_ns: int
    simulated: bool
    seen: tuple[Seen, ...]
    from_m: tuple[float, float] | None = None
    flying: bool = False
