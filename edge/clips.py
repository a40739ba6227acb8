"""The last seconds of a camera, kept small in memory, and the pictures that the station orders made of them.

A clip is a row of small pictures and no video: pictures come at uneven times and each keeps its own; a part that is lost on
the way takes no other with it. Hardly any picture is ever ordered, and encoding is what costs: so they wait as planes, and
are encoded when a clip wants them, a few in each round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.snapshots import PICTURE_LIMIT_BYTES, burn
from edge.sources import Frame, Image
from wire.clock import NS_PER_S, Clock
from wire.messages import Footage, FootageFrame

BEFORE_S, AFTER_S = 15.0, 30.0  # an order: the longest clip
KEPT_FPS = 4.0                  # of the ring
PLANES_LIMIT_BYTES = 22_000_000     # of the 300 MB that a node may take; BEFORE_S of 640 x 360 are 21 MB
JPEG_LIMIT_BYTES = 8_000_000    # what a clip wants and is encoded; 45 s of a busy scene are 6 MB
ENCODED_AT_ONCE = 6             # 1 ms each; all 60 before an order at once would cost the camera's next picture
CLIP_WIDTH_PX = 640
CLIP_QUALITY = 60               # of JPEG: 27 kB for a picture of vtest.avi
PART_LIMIT_BYTES = 256 * 1024   # of one message: on a line of 256 kbit/s a part takes 8 s
PICTURE_QUALITIES = (85, 60, 40)
SHRINK = 0.7                    # of a full picture, again and again, when no quality brings it under the limit


@dataclass(slots=True)
class _Kept:
    """One picture. kept_ns: of the monotonic clock, which no correction of the time of day moves. planes: (1.5 * height,
    width), I420, until it is encoded: brightness for each pixel and colour for each four, as the JPEG keeps them.
    """

    kept_ns: int
    captured_ns: int
    marking: str
    planes: Image | None = None
    jpeg: bytes = b""


class Ring:
    """The newest pictures of one camera, oldest first: those of the last BEFORE_S, and what is held for a clip."""

    def __init__(
        self, clock: Clock, planes_limit_bytes: int = PLANES_LIMIT_BYTES, jpeg_limit_bytes: int = JPEG_LIMIT_BYTES,
    ) -> None:
        self._clock = clock
        self._planes_limit, self._jpeg_limit = planes_limit_bytes, jpeg_limit_bytes
        self._kept: deque[_Kept] = deque()
        self._free: list[Image] = []        # planes to be used again: filling fresh memory costs twice as much
        self._due_ns = clock.monotonic_ns()
        self._held_ns: int | None = None

    @property
    def planes_bytes(self) -> int:
        """Those that wait for another picture counted in."""
        return sum(p.nbytes for p in (*self._free, *(k.planes for k in self._kept)) if p is not None)

    @property
    def jpeg_bytes(self) -> int:
        return sum(len(k.jpeg) for k in self._kept)

    def hold(self, since_ns: int | None) -> None:
        """Forget nothing that was kept since then, by the monotonic clock; None: no clip waits."""
        self._held_ns = since_ns

    def keep(self, frame: Frame, marking: str, small: Image | None = None) -> None:
        """Take a picture, unless the last one was taken a moment ago. small: the same in less pixels, if that is at hand."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns:
            return
        # From when it was due, so that a source of 10 frames a second gives 4 and not 3.
        self._due_ns = max(self._due_ns + round(NS_PER_S / KEPT_FPS), now_ns - round(NS_PER_S / KEPT_FPS))
        long_ago_ns = now_ns - round(BEFORE_S * NS_PER_S)
        self._forget(long_ago_ns if self._held_ns is None else min(long_ago_ns, self._held_ns))
        kept = _Kept(now_ns, frame.captured_ns, marking)
        picture = small_picture(frame.image, small)
        planes = self._planes(picture)
        if planes is None:
            kept.jpeg = _encoded(picture, marking, CLIP_QUALITY)
        else:
            height, width = planes.shape[0] * 2 // 3, planes.shape[1]
            cv2.cvtColor(picture[:height, :width], cv2.COLOR_BGR2YUV_I420, dst=planes)
            kept.planes = planes
        self._kept.append(kept)
        self._bound()

    def between(self, from_ns: int, to_ns: int) -> list[FootageFrame] | None:
        """What was kept in that time of the monotonic clock, both ends included. None while some of it is still to be
        encoded, as a few are with each call.
        """
        wanted = [k for k in self._kept if from_ns <= k.kept_ns <= to_ns]
        unencoded = [k for k in wanted if k.planes is not None]
        for kept in unencoded[:ENCODED_AT_ONCE]:
            self._encode(kept)
        self._bound()
        return None if len(unencoded) > ENCODED_AT_ONCE else [FootageFrame(k.captured_ns, k.jpeg) for k in wanted]

    def _planes(self, picture: Image) -> Image | None:
        """Memory for a picture's planes; None where BEFORE_S of so large ones are too many."""
        height, width = (side // 2 * 2 for side in picture.shape[:2])      # colour is of two rows and two columns
        shape = (height * 3 // 2, width)
        size = shape[0] * shape[1]
        if not size or size * BEFORE_S * KEPT_FPS > self._planes_limit:
            self._free.clear()
            return None
        self._free = [p for p in self._free if p.shape == shape]
        while not self._free and self.planes_bytes + size > self._planes_limit:
            self._encode(next(k for k in self._kept if k.planes is not None))
            self._free = [p for p in self._free if p.shape == shape]
        return self._free.pop() if self._free else np.empty(shape, np.uint8)

    def _encode(self, kept: _Kept) -> None:
        assert kept.planes is not None
        picture = np.asarray(cv2.cvtColor(kept.planes, cv2.COLOR_YUV2BGR_I420), np.uint8)
        kept.jpeg = _encoded(picture, kept.marking, CLIP_QUALITY)
        self._free.append(kept.planes)
        kept.planes = None

    def _forget(self, before_ns: int) -> None:
        while self._kept and self._kept[0].kept_ns < before_ns:
            planes = self._kept.popleft().planes
            if planes is not None:
                self._free.append(planes)

    def _bound(self) -> None:
        """The oldest go first."""
        while self._kept and self.jpeg_bytes > self._jpeg_limit:
            self._forget(self._kept[0].kept_ns + 1)


def small_picture(image: Image, small: Image | None = None) -> Image:
    """At most CLIP_WIDTH_PX wide. small: the same picture, taken where it is just so wide."""
    if small is not None and small.shape[1] == CLIP_WIDTH_PX <= image.shape[1]:
        return small
    return _scaled(image, min(1.0, CLIP_WIDTH_PX / image.shape[1]))


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
