"""What a node tells of vehicles beside their place: kind, colour, plate. Of vehicles alone: whatever was once taken for a
person gets nothing of this for as long as it is tracked, and where people are seen nobody looks.

The plate is read elsewhere (edge.plate_reader) and comes when it comes: what is known is put on the next detection of its
track that has a place, when it is news, and again every few seconds, because a contact may have changed hands meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

import cv2
import msgspec
import numpy as np

from cameras.camera import Camera
from cameras.pose import Pose
from cameras.project import directions
from edge.detector import CLASSES, Found
from edge.geolocate import GroundEstimate
from edge.plate_reader import PlateReader, VehicleCrop
from edge.plate_votes import READINGS_LIMIT, Plate, Reading, vote
from edge.sources import Image
from edge.tracker import Tracked
from edge.vehicle_colour import KINDS_TOLD, Light, colour_of, light_of
from edge.vehicle_kind import Extent, kind_of
from geofences.geodesy import Array
from wire.clock import NS_PER_S
from wire.messages import Detection, DetectionBatch, PlacementPoint, TrackState
from wire.node_words import NO_TEXT, NodeText
from wire.units import Colour, ObjectClass, VehicleClass, VehicleKind, is_vehicle

LOOKS_LEAST, AGREE = 3, 0.6         # looks before kind or colour is told, and the share of them that must say so
LOOKS_LIMIT = 20                    # that are remembered of a track
LOOK_EVERY_S = 0.4                  # of one track, for its colour; for its kind, after KNOWN_LOOKS
KNOWN_LOOKS, KNOWN_EVERY_S = 8, 2.0     # so many looks, and it is looked at less often
LIGHT_EVERY_S = 1.0                 # of the whole picture, which costs as much as a vehicle's colour
OFFER_EVERY_S = 0.3                 # crops of one track for its plate
OFFERS_LIMIT = 24                   # in vain: then only a clearly better one
BETTER = 1.5                        # times the worth of the best one so far
SURE, SURE_READINGS = 0.98, 3       # every character this sure, by so many readings: only a clearly better one
TELL_AGAIN_S = 10.0
FORGET_S = 60.0                     # a track unseen for this long; those never confirmed end without a word
# Height of a vehicle's box by which metres in the picture are judged, and the area of its smaller plate (Circular
# 79/2024/TT-BCA: 330 x 165 mm, motorcycles 190 x 140 mm).
SCALES: dict[VehicleClass, tuple[float, float]] = {
    ObjectClass.CAR: (1.5, 0.0545), ObjectClass.MOTORCYCLE: (1.4, 0.0266), ObjectClass.BUS: (3.0, 0.0545),
    ObjectClass.TRUCK: (2.3, 0.0545),
}
PLATE_MAY_HAVE_PX2 = 700.0          # by that judgement, which is rough; the reader measures the plate itself
MARGIN = 0.05                       # of the box, around a crop
RIDER_ABOVE = 0.4                   # of a motorcycle's box that is not handed on: above its plate there is the rider
BLANK = 127

T = TypeVar("T", VehicleKind, Colour)


@dataclass(slots=True, eq=False)
class _Known:
    """What is known of one track. worth: of the best crop that was offered."""

    seen_ns: int = 0
    is_person: bool = False
    kinds: list[VehicleKind | None] = field(default_factory=list)
    colours: list[Colour | None] = field(default_factory=list)
    kind: VehicleKind | None = None         # what these agree on
    colour: Colour | None = None
    readings: list[Reading] = field(default_factory=list)
    plate: Plate | None = None
    plate_is_news: bool = False
    told: tuple[VehicleKind | None, Colour | None] = (None, None)
    told_ns: int = 0
    looked_ns: int = 0
    measured_ns: int = 0
    judged_ns: int = 0
    offers: int = 0
    worth: float = 0.0

    def kind_is_due(self, at_ns: int) -> bool:
        """Whether it is time for a look: in every picture until enough are there."""
        return len(self.kinds) < KNOWN_LOOKS or at_ns - self.measured_ns >= LOOK_EVERY_S * NS_PER_S

    def colour_is_due(self, at_ns: int) -> bool:
        """Whether it is time for a look, and there is a colour to be told of such a kind."""
        known = len(self.colours) >= KNOWN_LOOKS and self.colour is not None
        waited = at_ns - self.looked_ns >= (KNOWN_EVERY_S if known else LOOK_EVERY_S) * NS_PER_S
        return waited and self.kind in KINDS_TOLD

    def add_kind(self, kind: VehicleKind | None, at_ns: int) -> None:
        self.measured_ns = at_ns
        self.kinds = [*self.kinds, kind][-LOOKS_LIMIT:]
        self.kind = _agreed(self.kinds)

    def add_colour(self, colour: Colour | None, at_ns: int) -> None:
        self.looked_ns = at_ns
        self.colours = [*self.colours, colour][-LOOKS_LIMIT:]
        self.colour = _agreed(self.colours)


class VehicleLooks:
    """Looks at the vehicles of one sensor. reader: None reads no plates."""

    def __init__(self, reader: PlateReader | None) -> None:
        self._reader = reader
        self._known: dict[int, _Known] = {}
        self._light: tuple[int, Light] | None = None        # of the pictures from then on

    @property
    def problem(self) -> NodeText:
        return self._reader.problem if self._reader is not None else NO_TEXT

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def follow(self, tracked: Tracked, at_ns: int) -> bool:
        """Take note of what is tracked in a picture; whether that picture should be looked at, by `look`.

        To be called for every picture: what was once taken for a person is one from then on.
        """
        self._hear()
        due = False
        rows = zip(tracked.ids.tolist(), tracked.classes.tolist(), tracked.confirmed.tolist(), tracked.boxes, strict=True)
        for track, k, confirmed, box in rows:
            known = self._known.get(track)
            if known is None:
                known = self._known[track] = _Known()
            seen_as = CLASSES[k]
            known.seen_ns = at_ns
            known.is_person = known.is_person or seen_as is ObjectClass.PERSON
            if not _has_looks(seen_as, known, confirmed):
                continue
            kind_is_due = known.kind_is_due(at_ns)
            if kind_is_due and seen_as is not ObjectClass.TRUCK:
                # Of the others the detector's class is all there is to a kind.
                known.add_kind(kind_of(seen_as, None), at_ns)
                kind_is_due = False
            due = due or kind_is_due or known.colour_is_due(at_ns) or self._plate_is_due(known, seen_as, box, at_ns)
        for update in tracked.news:
            if update.state is TrackState.ENDED:
                self._known.pop(update.track, None)
        long_ago_ns = at_ns - round(FORGET_S * NS_PER_S)
        for track in [t for t, known in self._known.items() if known.seen_ns < long_ago_ns]:
            del self._known[track]
        return due

    def look(
        self, image: Image, found: Found, tracked: Tracked, placed: GroundEstimate, camera: Camera, pose: Pose, at_ns: int,
    ) -> None:
        """At the vehicles of a picture for which that is due. placed: row by row as they are tracked."""
        people = found.boxes[found.classes == CLASSES.index(ObjectClass.PERSON)]
        for i, track in enumerate(tracked.ids.tolist()):
            known, seen_as, box = self._known[track], CLASSES[tracked.classes[i]], tracked.boxes[i]
            if not _has_looks(seen_as, known, bool(tracked.confirmed[i])):
                continue
            if seen_as is ObjectClass.TRUCK and known.kind_is_due(at_ns):
                known.add_kind(kind_of(seen_as, _extent(box, image, placed, i, camera, pose)), at_ns)
            if known.colour_is_due(at_ns):
                known.add_colour(colour_of(image, box, known.kind, people, self._light_of(image, at_ns)), at_ns)
            if self._plate_is_due(known, seen_as, box, at_ns):
                self._offer(known, track, image, box, seen_as, people, at_ns)

    def tell(self, batch: DetectionBatch) -> DetectionBatch:
        """The batch, with what is known of its vehicles. `follow` has heard of its picture before."""
        detections = tuple(self._told(seen, batch.captured_ns) for seen in batch.detections)
        if all(told is seen for told, seen in zip(detections, batch.detections, strict=True)):
            return batch
        return msgspec.structs.replace(batch, detections=detections)

    def _light_of(self, image: Image, at_ns: int) -> Light:
        if self._light is None or not 0 <= at_ns - self._light[0] < LIGHT_EVERY_S * NS_PER_S:
            self._light = at_ns, light_of(image)
        return self._light[1]

    def _hear(self) -> None:
        """Take what was read meanwhile."""
        for track, reading in self._reader.take() if self._reader is not None else ():
            known = self._known.get(track)
            if known is None or known.is_person:
                continue        # its track has ended
            known.readings = sorted([*known.readings, reading], key=lambda r: -r.worth)[:READINGS_LIMIT]
            known.plate = vote(known.readings)
            known.plate_is_news = known.plate is not None

    def _plate_is_due(self, known: _Known, vehicle: VehicleClass, box: Array, at_ns: int) -> bool:
        """Whether it may be large enough, and was not looked at a moment ago."""
        if self._reader is None or at_ns - known.judged_ns < OFFER_EVERY_S * NS_PER_S:
            return False
        return _plate_px2(vehicle, box) >= PLATE_MAY_HAVE_PX2

    def _offer(
        self, known: _Known, track: int, image: Image, box: Array, vehicle: VehicleClass, people: Array, at_ns: int
    ) -> None:
        """Hand a crop on where more is to be learned from it."""
        assert self._reader is not None
        known.judged_ns = at_ns
        crop = plate_crop(image, box, vehicle, people)
        worth = _plate_px2(vehicle, box) ** 0.5 * _edges(crop)
        sure = known.plate is not None and known.plate.readings >= SURE_READINGS and min(known.plate.confidence) >= SURE
        if (sure or known.offers >= OFFERS_LIMIT) and worth < BETTER * known.worth:
            return
        known.offers, known.worth = known.offers + 1, max(known.worth, worth)
        self._reader.offer(VehicleCrop(track, vehicle, crop, worth))

    def _told(self, seen: Detection, at_ns: int) -> Detection:
        """The detection with what is news, or is to be said again."""
        known = self._known.get(seen.track)
        if known is None or not _has_looks(seen.object_class, known, seen.confirmed):
            return seen
        if not isinstance(seen.placement, PlacementPoint):
            return seen         # a bearing makes no contact, and the news would be lost
        kind, colour, plate = known.kind, known.colour, known.plate
        again = at_ns - known.told_ns >= TELL_AGAIN_S * NS_PER_S
        if not (known.plate_is_news or (kind, colour) != known.told or again) or (kind, colour, plate) == (None,) * 3:
            return seen
        told_plate = plate if known.plate_is_news or again else None
        known.told, known.told_ns, known.plate_is_news = (kind, colour), at_ns, False
        return msgspec.structs.replace(
            seen, kind=kind, colour=colour, plate=None if told_plate is None else told_plate.text,
            plate_confidence=() if told_plate is None else told_plate.confidence,
        )


def _has_looks(seen_as: ObjectClass, known: _Known, confirmed: bool) -> TypeGuard[VehicleClass]:
    """Whether it is a vehicle that may be told of, and was never taken for a person."""
    return confirmed and not known.is_person and is_vehicle(seen_as)


def _plate_px2(vehicle: VehicleClass, box: Array) -> float:
    """Pixels of a vehicle's plate, judged by its height."""
    height_m, plate_m2 = SCALES[vehicle]
    return plate_m2 * (float(box[3] - box[1]) / height_m) ** 2


def plate_crop(image: Image, box: Array, vehicle: VehicleClass, people: Array) -> Image:
    """A copy of what may be handed to the reader: the vehicle, with people blanked out.

    Of a motorcycle only the lower part, where its plate is: its rider sits above, and cannot be blanked without the plate.
    """
    height, width = image.shape[:2]
    size = box[2:] - box[:2]
    low, high = box[:2] - MARGIN * size, box[2:] + MARGIN * size
    if vehicle is ObjectClass.MOTORCYCLE:
        low[1] = box[1] + RIDER_ABOVE * size[1]
    left, top = np.clip(np.floor(low), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(high).astype(int), [left + 1, top + 1], [width, height])
    crop = image[top:bottom, left:right].copy()
    for person in people:
        if vehicle is ObjectClass.MOTORCYCLE and _rides(person, box):
            continue
        x1, y1 = np.floor(person[:2]).astype(int) - [left, top]
        x2, y2 = np.ceil(person[2:]).astype(int) - [left, top]
        crop[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = BLANK
    return crop


def _rides(person: Array, box: Array) -> bool:
    """Whether a person sits on what the box holds: as wide as half of him over it, and begins above its middle."""
    shared = min(person[2], box[2]) - max(person[0], box[0])
    return bool(shared >= 0.5 * (person[2] - person[0]) and person[1] < (box[1] + box[3]) / 2.0 < person[3])


def _edges(crop: Image) -> float:
    """How sharp a crop is: strength of its finest details."""
    grey = cv2.cvtColor(crop[crop.shape[0] // 3 :], cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


def _extent(box: Array, image: Image, placed: GroundEstimate, row: int, camera: Camera, pose: Pose) -> Extent | None:
    """How large a vehicle is seen; None where it has no place, or the picture's edge cuts it off."""
    if placed.refused[row] or box[1] <= 2 or box[3] >= image.shape[0] - 2:
        return None
    ray = directions(camera.lens.to_ideal([[(box[0] + box[2]) / 2.0, box[3]]]), pose)[0]
    depression = float(np.degrees(np.arcsin(np.clip(-ray[2], -1.0, 1.0))))
    flat = placed.position_enu_m[row] - [pose.east_m, pose.north_m]
    flat_m = float(np.hypot(*flat))
    along = flat / max(flat_m, 1e-6)
    sigma_m = float(np.sqrt(along @ placed.covariance_m2[row] @ along))
    down = max(float(np.cos(np.radians(depression))), 0.1)
    width_px, height_px = (float(v) for v in box[2:] - box[:2])
    return Extent(width_px, height_px, camera.lens.fy, flat_m / down, sigma_m / down, depression)


def _agreed(looks: list[T | None]) -> T | None:
    """What enough looks say; None where they say nothing, or not the same."""
    if len(looks) < LOOKS_LEAST:
        return None
    return next((one for one in set(looks) if looks.count(one) >= AGREE * len(looks)), None)
