"""Objects in one picture, by YOLO through ultralytics: the reference that edge.detector_openvino is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.sources import Image
from geofences.geodesy import Array
from models.letterbox import as_bgr, wide_shape
from models.loading import CLASSES as CLASSES  # the order of Found.classes, for all of edge
from models.loading import load_network

LOWEST_SCORE = 0.1          # what the tracker may still use to hold a track; ByteTrack's lower threshold
OVERLAP_LIMIT = 0.6         # of two boxes of one class (IoU); the greater hides the lesser
BOXES_LIMIT = 200           # in one picture: an envelope of 64 KiB holds them


@dataclass(frozen=True, slots=True)
class Found:
    """n objects in one picture.

    boxes: (n, 4) left, top, right, bottom in pixels of the full picture. scores: (n,) 0 to 1.
    classes: (n,) index into CLASSES.
    """

    boxes: Array
    scores: Array
    classes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


NOTHING = Found(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64))


class Detector(Protocol):
    """Finds objects in one picture; faster roads than the reference come through the same door."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels of a picture that the network sees as it is; others are scaled to it."""
        ...

    def find(self, image: Image) -> Found:
        """(height, width, 3) blue, green, red to what is in it, boxes in the picture's own pixels."""
        ...

    def find_many(self, images: Sequence[Image]) -> list[Found]:
        """Of each picture what is in it, as find does. One by one here; a detector that can look at several at once does."""
        return [self.find(image) for image in images]

    def shown(self, image: Image) -> Image | None:
        """The very picture that find was handed last, as it was scaled for the network, where a detector still has that.

        A view that holds until find is handed the next one, and is not to be changed.
        """
        return None


class UltralyticsDetector(Detector):
    """A YOLO network that knows the seven classes, or some, by COCO's names or others (models.loading).

    input_size_px: longer side of the picture it is shown. threads: of torch, for the whole process.
    Raises wire.settings.SettingsError for weights that cannot be loaded or know none of our classes.
    """

    def __init__(self, weights: Path, input_size_px: int, threads: int) -> None:
        self._network = load_network(weights, input_size_px, threads)
        self._input_size_px = input_size_px

    @property
    def ours(self) -> tuple[int, ...]:
        """The network's own numbers of the classes that are looked for."""
        return tuple(self._network.ours)

    @property
    def names(self) -> Mapping[int, str]:
        """All that the network knows, by its own numbers."""
        return self._network.names

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels of a picture that the network sees as it is; others are scaled to it."""
        return wide_shape(self._input_size_px)

    def find(self, image: Image) -> Found:
        """(height, width, 3) blue, green, red to what is in it, boxes in the picture's own pixels."""
        image = as_bgr(image)
        if not image.size:
            return NOTHING
        return Found(*self._network.find(image, self._input_size_px, LOWEST_SCORE, OVERLAP_LIMIT, BOXES_LIMIT))
