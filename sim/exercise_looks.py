"""What a simulated eye tells of vehicles: kind, colour and plate, as often right as measured (docs/edge.md).

Of vehicles alone. A plate that is wide enough in the picture is read right, wrongly in one look-alike, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import msgspec
import numpy as np

from cameras.lens import Lens
from edge.detector import Found
from edge.plate_votes import LOOK_ALIKES
from edge.tracker import Tracked
from edge.vehicle_colour import KINDS_TOLD, name_of
from edge.vehicle_looks import LOOKS_LEAST, TELL_AGAIN_S
from geofences.geodesy import Array
from sim.exercise_bodies import height_of
from sim.world_state import ActorState, Kind, Moment
from wire.clock import NS_PER_S
from wire.messages import Detection, DetectionBatch, PlacementPoint
from wire.units import Colour, ObjectClass, VehicleKind, is_vehicle

# Measured on 72 drawn vehicles, three pictures each; plates of this width and more.
PLATE_LEAST_PX = 45.0
PLATE_WIDTH_M = {ObjectClass.MOTORCYCLE: 0.19}
PLATE_USUAL_M = 0.33
PLATE_RIGHT, PLATE_WRONG = 0.82, 0.028
SURE, UNSURE = 0.996, 0.6       # confidence of a character, and of one that was misread
COLOUR_RIGHT = 0.83
KINDS = {
    Kind.CAR: VehicleKind.CAR, Kind.PICKUP: VehicleKind.PICKUP, Kind.TRUCK: VehicleKind.TRUCK, Kind.BUS: VehicleKind.BUS,
    Kind.MOTORCYCLE: VehicleKind.MOTORCYCLE,
}

@dataclass(slots=True)
class _Track:
    looks: int = 0
    told_ns: int = 0
    plate: str = ""
    confidence: tuple[float, ...] = ()
    is_read: bool = False


class Looks:
    """Of one sensor."""

    def __init__(self, lens: Lens, chance: np.random.Generator) -> None:
        self._lens = lens
        self._chance = chance
        self._tracks: dict[int, _Track] = {}

    def tell(
        self, batch: DetectionBatch, tracked: Tracked, found: Found, shown: list[ActorState | None], moment: Moment
    ) -> DetectionBatch:
        """Put on each vehicle what is known of it and is news. shown: whose each of `found` is."""
        if not any(is_vehicle(d.object_class) for d in batch.detections):
            return batch
        told = []
        for detection, box in zip(batch.detections, tracked.boxes, strict=True):
            state = _whose(box, found, shown)
            placed = isinstance(detection.placement, PlacementPoint)
            if state is None or not placed or not is_vehicle(detection.object_class):
                told.append(detection)
                continue
            told.append(self._with_looks(detection, state, box, moment))
        return msgspec.structs.replace(batch, detections=tuple(told))

    def _with_looks(self, d: Detection, state: ActorState, box: Array, moment: Moment) -> Detection:
        track = self._tracks.setdefault(d.track, _Track())
        track.looks += 1
        if state.actor.looks.plate and not track.is_read and self._plate_px(state, box) >= PLATE_LEAST_PX:
            track.is_read = True
            track.plate, track.confidence = self._read(state.actor.looks.plate)
            track.told_ns = 0
        if track.looks < LOOKS_LEAST or moment.utc_ns - track.told_ns < TELL_AGAIN_S * NS_PER_S:
            return d
        track.told_ns = moment.utc_ns
        kind = KINDS.get(state.actor.kind)
        colour = None
        if kind in KINDS_TOLD and state.actor.looks.colour and moment.sky.sun_elevation_deg > 0.0:
            colour = colour_name(state.actor.looks.colour) if self._chance.random() < COLOUR_RIGHT else None
        return msgspec.structs.replace(
            d, kind=kind, colour=colour, plate=track.plate or None,
            plate_confidence=track.confidence if track.plate else (),
        )

    def _plate_px(self, state: ActorState, box: Array) -> float:
        """Width of the plate, by the height of the box."""
        per_m = float(box[3] - box[1]) / height_of(state)
        width = PLATE_WIDTH_M[ObjectClass.MOTORCYCLE] if state.actor.kind is Kind.MOTORCYCLE else PLATE_USUAL_M
        return per_m * width

    def _read(self, plate: str) -> tuple[str, tuple[float, ...]]:
        luck = float(self._chance.random())
        letters = [i for i, c in enumerate(plate) if c.isalnum()]
        confidence = [SURE] * len(letters)
        if luck < PLATE_RIGHT:
            return plate, tuple(confidence)
        if luck < PLATE_RIGHT + PLATE_WRONG:
            alike = {c: group for group in LOOK_ALIKES for c in group}
            doubtful = [i for i in letters if plate[i] in alike]
            if doubtful:
                i = doubtful[int(self._chance.integers(len(doubtful)))]
                others = [c for c in alike[plate[i]] if c != plate[i]]
                confidence[letters.index(i)] = UNSURE
                other = others[int(self._chance.integers(len(others)))]
                return plate[:i] + other + plate[i + 1:], tuple(confidence)
        return "", ()


def colour_name(bgr: tuple[int, int, int]) -> Colour:
    """What a watchlist calls a paint."""
    return name_of(np.asarray(cv2.cvtColor(np.array([[bgr]], np.float32) / 255.0, cv2.COLOR_BGR2LAB)[0, 0], float))


def _whose(box: Array, found: Found, shown: list[ActorState | None]) -> ActorState | None:
    same = np.flatnonzero((found.boxes == box).all(axis=1))
    return shown[int(same[0])] if len(same) else None
