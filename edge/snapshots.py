"""The best picture of a track: one when it is confirmed, and a clearly better one in its place later.

Better is larger, surer, whole, and sharper. What is better too soon after the last one waits, and the best of those goes
when its time comes, or with the track's end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.sources import Frame, Image
from edge.tracker import Tracked
from geofences.geodesy import Array
from wire.clock import NS_PER_S
from wire.codec import SNAPSHOT_LIMIT_BYTES
from wire.messages import Box, Snapshot, TrackState, TrackUpdate

WIDTH_LIMIT_PX, HEIGHT_LIMIT_PX = 320, 480
CONTEXT = 0.6               # of the box's size, added on every side: a person alone says little about where
NARROWEST = 0.75            # the shorter side of a crop, in terms of the longer: a person stands in a place
SMALLEST_SIDE_PX = 96       # of the crop, however far away the object is
BETTER = 1.6                # times the worth of the last picture sent
BETTER_WAITING = 1.1        # times the worth of the one that waits: each costs an encoding
REPLACE_S = 3.0             # between two pictures of one track, at the least
LOOK_EVERY_S = 0.25         # at the sharpness of one track, which costs more than all else here
LOOK_SELDOM_S = 1.0         # at most between two looks, each of which in vain makes the next wait longer
PER_TRACK_LIMIT = 3
SHARPNESS_SIDE_PX = 64      # the object is measured at this height at most: far and near ones alike, and noise averaged out
SHARP = 0.4                 # nine of ten people in vtest.avi are above; blurred by a pixel of sigma, all are below 0.21
LEAST_SHARPNESS = 0.02      # of SHARP: a blurred picture of a track is better than none, and comparable to others
PICTURE_LIMIT_BYTES = SNAPSHOT_LIMIT_BYTES - 4096       # the message's other fields come on top
QUALITIES = (85, 60, 30)    # of JPEG, until it fits
MARK_COLOUR = (58, 82, 255)     # blue, green, red: the screen's priority-1 red


@dataclass(slots=True)
class _Kept:
    """Of one track: the worth of the last picture sent, how many were, when, and the better one that waits."""

    worth: float
    sent: int
    sent_ns: int
    waiting: Snapshot | None = None
    waiting_worth: float = 0.0
    looked_ns: int = -NS_PER_S
    in_vain: int = 0            # looks since the last one that found it better

    def send(self, at_ns: int) -> Snapshot | None:
        snapshot, self.waiting = self.waiting, None
        if snapshot is not None:
            self.worth, self.sent, self.sent_ns = self.waiting_worth, self.sent + 1, at_ns
            self.waiting_worth = 0.0
        return snapshot

    def is_looked_at(self, now_ns: int) -> bool:
        """Whether it is time for another look at how sharp the object is."""
        return not 0 <= now_ns - self.looked_ns < min((1 + self.in_vain) * LOOK_EVERY_S, LOOK_SELDOM_S) * NS_PER_S

    def is_due(self, now_ns: int) -> bool:
        """Also where the clock was set back."""
        return not 0 <= now_ns - self.sent_ns < REPLACE_S * NS_PER_S


class SnapshotTaker:
    """Takes the snapshots of one sensor."""

    def __init__(self, sensor: str) -> None:
        self._sensor = sensor
        self._kept: dict[int, _Kept] = {}

    def take(self, frame: Frame, tracked: Tracked, marking: str) -> tuple[Snapshot, ...]:
        """Snapshots worth sending, of this frame's confirmed tracks and of those that waited.

        marking is burnt into every one of them; empty marks none (realm live, real camera).
        """
        now_ns = frame.captured_ns
        ended = self.of_ended(tracked.news, now_ns)
        for i in np.flatnonzero(tracked.confirmed):
            self._consider(frame, int(tracked.ids[i]), tracked.boxes[i], float(tracked.scores[i]), marking)
        due = [kept.send(now_ns) for kept in self._kept.values() if kept.waiting is not None and kept.is_due(now_ns)]
        return ended + tuple(snapshot for snapshot in due if snapshot is not None)

    def of_ended(self, news: Sequence[TrackUpdate], now_ns: int) -> tuple[Snapshot, ...]:
        """What still waited of tracks that have ended, which are forgotten."""
        ended = [self._kept.pop(u.track, None) for u in news if u.state is TrackState.ENDED]
        taken = [kept.send(now_ns) for kept in ended if kept is not None]
        return tuple(snapshot for snapshot in taken if snapshot is not None)

    def _consider(self, frame: Frame, track: int, box: Array, score: float, marking: str) -> None:
        kept = self._kept.get(track)
        needed = 0.0
        if kept is not None:
            if kept.sent >= PER_TRACK_LIMIT or not kept.is_looked_at(frame.captured_ns):
                return
            needed = max(BETTER * kept.worth, BETTER_WAITING * kept.waiting_worth)
        worth = _worth(box, score, frame.image)
        if worth < needed:          # sharpness is looked at last: it takes from the worth alone, and costs the most
            return
        worth *= max(LEAST_SHARPNESS, min(1.0, sharpness(frame.image, box) / SHARP))
        if kept is not None:
            kept.looked_ns, kept.in_vain = frame.captured_ns, kept.in_vain + 1 if worth < needed else 0
        if worth < needed:
            return
        snapshot = self._snapshot(frame, track, box, marking)
        if snapshot is None:
            return
        if kept is None:
            # Nothing sent yet: due whatever the time.
            kept = self._kept[track] = _Kept(0.0, 0, frame.captured_ns - round(REPLACE_S * NS_PER_S))
        kept.waiting, kept.waiting_worth = snapshot, worth

    def _snapshot(self, frame: Frame, track: int, box: Array, marking: str) -> Snapshot | None:
        picture, in_picture = crop(frame.image, box)
        burn(picture, marking)
        jpeg = _encoded(picture)
        if jpeg is None:
            return None
        return Snapshot(self._sensor, track, frame.captured_ns, jpeg, Box(*(float(v) for v in in_picture)))


def sharpness(image: Image, box: Array) -> float:
    """Variance of the Laplacian over the object, over the variance of its brightness; 0 for nothing to see.

    The variance of the Laplacian is the measure of focus that Pertuz et al. (2013) call LAPV. Divided by the brightness's,
    dusk counts as sharp as noon.
    """
    height, width = image.shape[:2]
    x, y, right, bottom = box.tolist()
    left, top = min(max(math.floor(x), 0), width - 1), min(max(math.floor(y), 0), height - 1)
    part = image[top : min(max(math.ceil(bottom), top + 1), height), left : min(max(math.ceil(right), left + 1), width)]
    grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    scale = SHARPNESS_SIDE_PX / grey.shape[0]
    if scale < 1.0:
        grey = cv2.resize(grey, (max(1, round(grey.shape[1] * scale)), SHARPNESS_SIDE_PX), interpolation=cv2.INTER_AREA)
    contrast = _variance(grey)
    # One grey level of variance: of a wall without any texture nobody can say whether it is sharp.
    return _variance(cv2.Laplacian(grey, cv2.CV_32F)) / contrast if contrast > 1.0 else 0.0


def _variance(levels: cv2.typing.MatLike) -> float:
    return float(cv2.meanStdDev(levels)[1][0, 0]) ** 2


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
        if done and data.nbytes <= PICTURE_LIMIT_BYTES:
            return data.tobytes()
    return None


def _worth(box: Array, score: float, image: Image) -> float:
    """Larger and surer is better; an object cut off by the picture's edge shows less than it should."""
    height, width = image.shape[:2]
    left, top, right, bottom = (float(v) for v in box.tolist())
    whole = left > 2 and top > 2 and right < width - 2 and bottom < height - 2
    return (right - left) * (bottom - top) * score * (1.0 if whole else 0.5)
