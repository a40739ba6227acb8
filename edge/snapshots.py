"""The best picture of a track: one when it is confirmed, another when a clearly better one comes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.sources import Frame, Image
from edge.tracker import Tracked
from geofences.geodesy import Array
from wire.codec import SNAPSHOT_LIMIT_BYTES
from wire.messages import Box, Snapshot, TrackState

WIDTH_LIMIT_PX, HEIGHT_LIMIT_PX = 320, 480
CONTEXT = 0.6               # of the box's size, added on every side: a person alone says little about where
NARROWEST = 0.75            # the shorter side of a crop, in terms of the longer: a person stands in a place
SMALLEST_SIDE_PX = 96       # of the crop, however far away the object is
BETTER = 1.6                # times the worth of the last picture sent
PER_TRACK_LIMIT = 3
QUALITIES = (85, 60, 30)    # of JPEG, until it fits
MARK_COLOUR = (58, 82, 255)     # blue, green, red: the screen's priority-1 red


@dataclass(slots=True)
class _Kept:
    worth: float
    sent: int


class SnapshotTaker:
    """Takes the snapshots of one sensor."""

    def __init__(self, sensor: str) -> None:
        self._sensor = sensor
        self._kept: dict[int, _Kept] = {}

    def take(self, frame: Frame, tracked: Tracked, marking: str) -> tuple[Snapshot, ...]:
        """Snapshots worth sending of this frame's confirmed tracks.

        marking is burnt into every one of them; empty marks none (realm live, real camera).
        """
        for update in tracked.news:
            if update.state is TrackState.ENDED:
                self._kept.pop(update.track, None)
        taken = []
        for i in np.flatnonzero(tracked.confirmed):
            track, box = int(tracked.ids[i]), tracked.boxes[i]
            worth = _worth(box, float(tracked.scores[i]), frame.image)
            kept = self._kept.get(track)
            if kept is None:
                self._kept[track] = _Kept(worth, 1)
            elif kept.sent < PER_TRACK_LIMIT and worth >= BETTER * kept.worth:
                kept.worth, kept.sent = worth, kept.sent + 1
            else:
                continue
            snapshot = self._snapshot(frame, track, box, marking)
            if snapshot is not None:
                taken.append(snapshot)
        return tuple(taken)

    def _snapshot(self, frame: Frame, track: int, box: Array, marking: str) -> Snapshot | None:
        picture, in_picture = crop(frame.image, box)
        burn(picture, marking)
        jpeg = _encoded(picture)
        if jpeg is None:
            return None
        return Snapshot(self._sensor, track, frame.captured_ns, jpeg, Box(*(float(v) for v in in_picture)))


def crop(image: Image, box: Array) -> tuple[Image, Array]:
    """The object with its surroundings, at most WIDTH_LIMIT_PX by HEIGHT_LIMIT_PX, and (4,) its box in that picture."""
    height, width = image.shape[:2]
    centre = (box[:2] + box[2:]) / 2.0
    half = np.maximum((box[2:] - box[:2]) * (0.5 + CONTEXT), SMALLEST_SIDE_PX / 2.0)
    half = np.maximum(half, half[::-1] * NARROWEST)
    low = np.clip(np.floor(centre - half), 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(centre + half), low + 1, [width, height]).astype(int)
    cut = image[low[1] : high[1], low[0] : high[0]]
    scale = min(1.0, WIDTH_LIMIT_PX / cut.shape[1], HEIGHT_LIMIT_PX / cut.shape[0])
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    picture = cv2.resize(cut, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else cut.copy()
    inside = np.clip((box - np.tile(low, 2)) * scale, 0.0, np.tile(size, 2))
    return np.asarray(picture, np.uint8), inside


def burn(picture: Image, marking: str) -> None:
    """Write `marking` across the foot of the picture, on a dark strip, as wide as it fits. Changes the picture."""
    if not marking:
        return
    height, width = picture.shape[:2]
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, 1
    (text_width, text_height), below = cv2.getTextSize(marking, font, 1.0, thickness)
    scale = min(0.6, (width - 4) / max(text_width, 1))
    strip = min(height, round((text_height + below) * scale) + 4)
    picture[height - strip :] = picture[height - strip :] // 4
    at = (2, height - 2 - round(below * scale))
    cv2.putText(picture, marking, at, font, scale, MARK_COLOUR, thickness, cv2.LINE_AA)


def _encoded(picture: Image) -> bytes | None:
    for quality in QUALITIES:
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        # The envelope's other fields come on top of the picture.
        if done and data.nbytes <= SNAPSHOT_LIMIT_BYTES - 4096:
            return data.tobytes()
    return None


def _worth(box: Array, score: float, image: Image) -> float:
    """Larger and surer is better; an object cut off by the picture's edge shows less than it should."""
    height, width = image.shape[:2]
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    whole = box[0] > 2 and box[1] > 2 and box[2] < width - 2 and box[3] < height - 2
    return area * score * (1.0 if whole else 0.5)
