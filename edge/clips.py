"""The last seconds of a camera, kept small in memory, and the pictures that the station orders made of them.

A clip is a row of small pictures and no video: pictures come at uneven times and each keeps its own; a part that is lost on
the way takes no other with it; and nothing has to be encoded anew when a clip is ordered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from edge.snapshots import PICTURE_LIMIT_BYTES, burn
from edge.sources import Frame, Image
from wire.clock import NS_PER_S, Clock
from wire.messages import Footage, FootageFrame

RING_S = 45.0                   # the longest clip: 15 s before an order and 30 s after it
RING_LIMIT_BYTES = 8_000_000    # of the 300 MB that a node may take; 45 s of a busy scene are 6 MB
KEPT_FPS = 4.0                  # of the ring: each costs 0.8 ms of one core
CLIP_WIDTH_PX = 640
CLIP_QUALITY = 60               # of JPEG: 27 kB for a picture of vtest.avi
PART_LIMIT_BYTES = 256 * 1024   # of one message: on a line of 256 kbit/s a part takes 8 s
PICTURE_QUALITIES = (85, 60, 40)
SHRINK = 0.7                    # of a full picture, again and again, when no quality brings it under the limit


@dataclass(frozen=True, slots=True)
class Kept:
    """kept_ns: of the monotonic clock, which no correction of the time of day moves."""

    kept_ns: int
    frame: FootageFrame


class Ring:
    """The newest pictures of one camera, marked and encoded, oldest first; bounded in time and in bytes."""

    def __init__(self, clock: Clock, limit_bytes: int = RING_LIMIT_BYTES) -> None:
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._kept: deque[Kept] = deque()
        self._due_ns = clock.monotonic_ns()
        self.bytes = 0

    def keep(self, frame: Frame, marking: str, small: Image | None = None) -> None:
        """Take a picture, unless the last one was taken a moment ago. small: the same in less pixels, if that is at hand."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns:
            return
        # From when it was due, so that a source of 10 frames a second gives 4 and not 3.
        self._due_ns = max(self._due_ns + round(NS_PER_S / KEPT_FPS), now_ns - round(NS_PER_S / KEPT_FPS))
        jpeg = small_picture(frame.image, marking, small)
        self._kept.append(Kept(now_ns, FootageFrame(frame.captured_ns, jpeg)))
        self.bytes += len(jpeg)
        while self.bytes > self._limit_bytes or now_ns - self._kept[0].kept_ns > RING_S * NS_PER_S:
            self.bytes -= len(self._kept.popleft().frame.jpeg)
            if not self._kept:
                return

    def between(self, from_ns: int, to_ns: int) -> list[FootageFrame]:
        """What was kept in that time of the monotonic clock, both ends included."""
        return [k.frame for k in self._kept if from_ns <= k.kept_ns <= to_ns]


def small_picture(image: Image, marking: str, small: Image | None = None) -> bytes:
    """At most CLIP_WIDTH_PX wide, marked in its pixels. small: the same picture, taken where it is just so wide."""
    if small is None or small.shape[1] != CLIP_WIDTH_PX or image.shape[1] < CLIP_WIDTH_PX:
        small = _scaled(image, min(1.0, CLIP_WIDTH_PX / image.shape[1]))
    return _encoded(small, marking, CLIP_QUALITY)


def full_picture(image: Image, marking: str) -> bytes:
    """As large and as good as fits one message, marked in its pixels."""
    scale = 1.0
    while True:
        picture = _scaled(image, scale)
        for quality in PICTURE_QUALITIES:
            jpeg = _encoded(picture, marking, quality)
            if len(jpeg) <= PICTURE_LIMIT_BYTES:
                return jpeg
        scale *= SHRINK


def in_parts(order_id: str, sensor: str, frames: Sequence[FootageFrame]) -> tuple[Footage, ...]:
    """Messages that are small enough each, in order of time."""
    parts: list[list[FootageFrame]] = []
    size = 0
    for frame in frames:
        size += len(frame.jpeg) + 32        # its time, and what msgpack adds
        if not parts or size > PART_LIMIT_BYTES:
            parts.append([])
            size = len(frame.jpeg) + 32
        parts[-1].append(frame)
    return tuple(Footage(order_id, sensor, k, len(parts), tuple(part)) for k, part in enumerate(parts))


def _scaled(image: Image, scale: float) -> Image:
    if scale >= 1.0:
        return image.copy()
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype("uint8", copy=False)


def _encoded(picture: Image, marking: str, quality: int) -> bytes:
    marked = picture.copy() if marking else picture
    burn(marked, marking)
    done, data = cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of {picture.shape[1]} x {picture.shape[0]} pixels is not encoded")
    return data.tobytes()
