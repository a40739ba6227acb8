"""Where pictures come from: one interface, and behind it a video file or a folder of images (cameras: edge.streams).

No source keeps a queue. Whoever asks late gets the newest picture and learns how many were dropped.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from wire.clock import NS_PER_S, Clock
from wire.node_words import NO_TEXT, NodeText, node_text

Image = npt.NDArray[np.uint8]

NO_FRAME_S = 20.0               # without a frame for this long, a source is closed and opened again
RESTART_FIRST_S = 1.0           # wait before the first restart; doubles, and is spread by half, so that nodes do not march
RESTART_LONGEST_S = 30.0
UNKNOWN_FPS = 10.0              # for a file that does not say
IMAGES_PER_S = 2.0              # of a folder, unless max_fps says otherwise
IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_log = logging.getLogger("trailwatch.edge")


class SourceError(ValueError):
    """A source that gives no pictures. The text says which and what to do."""

    def __init__(self, text: NodeText) -> None:
        super().__init__(str(text))
        self.text = text


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture. image: (height, width, 3) blue, green, red. captured_ns: UTC, when it was grabbed."""

    image: Image
    captured_ns: int


class Source(Protocol):
    """simulated: its pixels are rendered or replayed; a fact of the kind of source, no setting changes it.
    dropped: frames that were due and not taken, because whoever asks came late. ended: there will be no more.
    """

    @property
    def simulated(self) -> bool: ...

    @property
    def dropped(self) -> int: ...

    @property
    def ended(self) -> bool: ...

    def grab(self, timeout_s: float) -> Frame | None:
        """The next frame that is due, waiting for it at most timeout_s; None when none came. Raises SourceError."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Withholding(Protocol):
    """A source that looks at pictures before it gives any.

    held_back: why the picture that came at the last grab was not given; empty when it was, or when none came.
    """

    held_back: NodeText


class _Reader(Protocol):
    """Pictures one after the other, at a rate of their own."""

    fps: float

    def skip(self) -> bool: ...

    def read(self) -> Image | None: ...

    def close(self) -> None: ...


class _VideoReader:
    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(node_text("no_video_file", path=str(path)))
        if path.stat().st_size == 0:
            raise SourceError(node_text("empty_video", path=str(path)))
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(node_text("no_video", path=str(path)))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if np.isfinite(fps) and 0.1 <= fps <= 240.0 else UNKNOWN_FPS

    def skip(self) -> bool:
        return self._capture.grab()

    def read(self) -> Image | None:
        read, image = self._capture.read()
        return np.asarray(image, dtype=np.uint8) if read and image is not None else None

    def close(self) -> None:
        self._capture.release()


class _FolderReader:
    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise SourceError(node_text("no_folder", path=str(path)))
        self._files = sorted(f for f in path.iterdir() if f.suffix.lower() in IMAGE_ENDINGS)
        if not self._files:
            raise SourceError(node_text("no_images", path=str(path), endings=", ".join(sorted(IMAGE_ENDINGS))))
        self._next = 0
        self.fps = IMAGES_PER_S

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._files)

    def read(self) -> Image | None:
        while self._next < len(self._files):
            file = self._files[self._next]
            self._next += 1
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is not None:
                return np.asarray(image, dtype=np.uint8)
            _log.warning("%s: not an image that can be read; passed over", file)
        return None

    def close(self) -> None: ...


class ReplaySource:
    """A video file or a folder of images, played at its own rate or at most at max_fps. Always simulated.

    Playing goes on whether or not anybody looks: a frame that is not asked for in time is dropped, and counted, as it
    would be with a camera. loop: begin again at the end. Raises SourceError for what cannot be read at all.
    """

    simulated = True

    def __init__(self, path: Path, clock: Clock, *, loop: bool, max_fps: float | None = None) -> None:
        self._path = path
        self._clock = clock
        self._loop = loop
        self.dropped = 0
        self.ended = False
        self._reader = self._open()
        self.fps = min(self._reader.fps, max_fps) if max_fps else self._reader.fps
        self._begin_ns: int | None = None
        self._tick = 0              # of the playing, at self.fps
        self._read = 0              # pictures taken from the reader in this pass
        self._pass_tick = 0         # tick at which this pass began

    def _open(self) -> _Reader:
        return _FolderReader(self._path) if self._path.is_dir() else _VideoReader(self._path)

    def grab(self, timeout_s: float) -> Frame | None:
        if self.ended:
            return None
        now_ns = self._clock.monotonic_ns()
        if self._begin_ns is None:
            self._begin_ns = now_ns
        due_tick = int((now_ns - self._begin_ns) * self.fps / NS_PER_S)
        if due_tick < self._tick:
            wait_s = (self._begin_ns + self._tick * NS_PER_S / self.fps - now_ns) / NS_PER_S
            self._clock.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return None
        elif due_tick > self._tick:
            self.dropped += due_tick - self._tick
            self._tick = due_tick
        image = self._picture()
        self._tick += 1
        return Frame(image, self._clock.utc_ns()) if image is not None else None

    def _picture(self) -> Image | None:
        """The picture at the present tick; those before it are passed over undecoded where the format allows."""
        wanted = round((self._tick - self._pass_tick) * self._reader.fps / self.fps)
        while self._read < wanted and self._reader.skip():
            self._read += 1
        image = self._reader.read()
        self._read += 1
        if image is not None:
            return image
        if self._read <= 1 and self._tick == self._pass_tick:
            raise SourceError(node_text("damaged_video", path=str(self._path)))
        self._reader.close()
        if not self._loop:
            self.ended = True
            return None
        self._reader = self._open()
        self._read, self._pass_tick = 1, self._tick
        image = self._reader.read()
        if image is None:
            raise SourceError(node_text("video_gone", path=str(self._path)))
        return image

    def close(self) -> None:
        self._reader.close()


class RestartingSource:
    """Keeps a source going: no frame for no_frame_s, or an error, and it is closed and opened again after a wait.

    make opens the source; the first opening is the caller's, so that a wrong path is an error at the start and not a node
    that tries for ever.
    """

    def __init__(
        self, first: Source, make: Callable[[], Source], clock: Clock, no_frame_s: float = NO_FRAME_S,
        chance: random.Random | None = None,
    ) -> None:
        self._source: Source | None = first
        self._make = make
        self._clock = clock
        self._no_frame_s = no_frame_s
        self._chance = chance or random.Random()
        self._dropped_before = 0
        self._failures = 0
        self._open_again_ns = 0
        self._waiting_since_ns = clock.monotonic_ns()
        self._was_simulated = first.simulated
        self.restarts = 0
        self.complaint = NO_TEXT

    @property
    def simulated(self) -> bool:
        """Once it was, it stays so, whatever is opened next."""
        self._was_simulated = self._was_simulated or (self._source is not None and self._source.simulated)
        return self._was_simulated

    @property
    def dropped(self) -> int:
        return self._dropped_before + (self._source.dropped if self._source else 0)

    @property
    def ended(self) -> bool:
        return self._source is not None and self._source.ended

    def grab(self, timeout_s: float) -> Frame | None:
        if self._source is None and not self._reopen(timeout_s):
            return None
        if self._source is None:
            return None
        try:
            frame = self._source.grab(timeout_s)
        except SourceError as error:
            self._give_up(error.text)
            return None
        now_ns = self._clock.monotonic_ns()
        if frame is not None:
            self._waiting_since_ns = now_ns
            self._failures = 0
            self.complaint = NO_TEXT
        elif isinstance(self._source, Withholding) and self._source.held_back:
            self._waiting_since_ns = now_ns         # it sends; the failures stand until a picture is given
            self.complaint = self._source.held_back
        elif not self._source.ended and now_ns - self._waiting_since_ns > self._no_frame_s * NS_PER_S:
            self._give_up(node_text("no_frame", seconds=round(self._no_frame_s)))
        return frame

    def _give_up(self, why: NodeText) -> None:
        self._dropped_before = self.dropped
        if self._source is not None:
            self._source.close()
        self._source = None
        wait_s = min(RESTART_LONGEST_S, RESTART_FIRST_S * 2 ** min(self._failures, 10)) * self._chance.uniform(0.5, 1.5)
        self._failures += 1
        self._open_again_ns = self._clock.monotonic_ns() + round(wait_s * NS_PER_S)
        self.complaint = why
        _log.warning("the source is restarted in %.1f s: %s", wait_s, why)

    def _reopen(self, timeout_s: float) -> bool:
        wait_s = (self._open_again_ns - self._clock.monotonic_ns()) / NS_PER_S
        if wait_s > 0:
            self._clock.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return False
        self.restarts += 1
        self._waiting_since_ns = self._clock.monotonic_ns()
        try:
            self._source = self._make()
        except SourceError as error:
            self._give_up(error.text)
            return False
        return True

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
