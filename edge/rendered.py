"""Pictures say themselves whether they were rendered: a live node takes none that were, whatever road they came by.

A node's settings know that a file or the simulator is no camera. A stream over RTSP tells nobody where its pictures come
from; the mark that every renderer of ours burns into them does (cameras.sim_mark).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cameras.sim_mark import LIKENESS_LIMIT, folded, likeness
from edge.sources import Frame, Image, Source, SourceError
from wire.node_words import NO_TEXT, node_text

PROBATION_FRAMES = 25           # of a stream, before a live node believes it: a weak mark needs some to add up
REMEMBERS = 0.96                # of what was folded before, with each further frame: some 25 frames


class RenderedWatch:
    """Looks for the mark in picture after picture. found: it was there once; that is not forgotten."""

    def __init__(self) -> None:
        self.found = False
        self._sum: npt.NDArray[np.float32] | None = None

    def look(self, image: Image) -> bool:
        """Whether this picture, or the last few together, carry the mark."""
        tile = folded(image)
        if tile is None:
            return self.found
        self._sum = tile if self._sum is None else self._sum * np.float32(REMEMBERS) + tile
        self.found = self.found or max(likeness(tile), likeness(self._sum)) > LIKENESS_LIMIT
        return self.found


class OnlyRealPictures:
    """A source for a live node: the first pictures of a stream are looked at and not given, and a rendered one ends it."""

    simulated = False

    def __init__(self, source: Source, called: str) -> None:
        self._source = source
        self._called = called
        self._watch = RenderedWatch()
        self._seen = 0
        self.held_back = NO_TEXT

    @property
    def dropped(self) -> int:
        return self._source.dropped

    @property
    def ended(self) -> bool:
        return self._source.ended

    def grab(self, timeout_s: float) -> Frame | None:
        """Raises SourceError for a rendered picture; nothing of it has gone anywhere."""
        self.held_back = NO_TEXT
        frame = self._source.grab(timeout_s)
        if frame is None:
            return None
        if self._watch.look(frame.image):
            raise SourceError(node_text("rendered", camera=self._called))
        self._seen += 1
        if self._seen > PROBATION_FRAMES:
            return frame
        self.held_back = node_text("held_back", number=PROBATION_FRAMES)
        return None

    def close(self) -> None:
        self._source.close()


class LabelledPictures:
    """A source for a training node: a stream that turns out to be rendered says so from then on."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._watch = RenderedWatch()

    @property
    def simulated(self) -> bool:
        return self._source.simulated or self._watch.found

    @property
    def dropped(self) -> int:
        return self._source.dropped

    @property
    def ended(self) -> bool:
        return self._source.ended

    def grab(self, timeout_s: float) -> Frame | None:
        frame = self._source.grab(timeout_s)
        if frame is not None and not self.simulated:
            self._watch.look(frame.image)
        return frame

    def close(self) -> None:
        self._source.close()
