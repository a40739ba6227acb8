"""What the detections of one message are to fusion: places with their errors, and bearings."""

from __future__ import annotations

import numpy as np

from geofences.geodesy import LocalFrame
from station.fusion_bearings import Bearing
from station.fusion_frames import Seen
from station.picture import SensorView
from wire.messages import DetectionBatch, PlacementPoint


def sights_of(batch: DetectionBatch, sensor: str, frame: LocalFrame) -> tuple[tuple[Seen, ...], list[Bearing]]:
    """Of the confirmed ones. sensor: names it among all nodes and their starts; the tracks are named after it."""
    seen: list[Seen] = []
    bearings: list[Bearing] = []
    for d in batch.detections:
        if not d.confirmed:
            continue
        track = f"{sensor}/{d.track}"
        if not isinstance(d.placement, PlacementPoint):
            b = d.placement
            bearings.append(
                Bearing(
                    track, d.object_class, d.score, frame.point(b.from_position), b.bearing_deg, b.sigma_deg, d.plate,
                    d.plate_confidence, d.kind, d.colour,
                )
            )
            continue
        place, c = d.placement.position, d.placement.covariance
        seen.append(
            Seen(
                track, d.object_class, d.score, frame.point(place), np.array([[c.ee_m2, c.en_m2], [c.en_m2, c.nn_m2]]),
                d.plate, d.plate_confidence, d.kind, d.colour,
            )
        )
    return tuple(seen), bearings


def stands_at(sensor: SensorView | None, frame: LocalFrame) -> tuple[float, float] | None:
    """Metres east and north, as it last told; None for one that has not told yet."""
    if sensor is None:
        return None
    east, north = frame.to_enu(sensor.position.lat_deg, sensor.position.lon_deg)[0]
    return float(east), float(north)
