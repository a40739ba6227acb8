"""Objects in one picture, by YOLO through ultralytics: the reference that faster roads are measured against."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.sources import Image
from geofences.geodesy import Array
from wire.settings import SettingsError
from wire.units import ObjectClass

# Before the first import of ultralytics anywhere in this process: it installs nothing, and it calls nobody.
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")

LOWEST_SCORE = 0.1          # what the tracker may still use to hold a track; ByteTrack's lower threshold
OVERLAP_LIMIT = 0.6         # of two boxes of one class (IoU); the greater hides the lesser
BOXES_LIMIT = 200           # in one picture: an envelope of 64 KiB holds them
STRIDE_PX = 32              # of YOLO's coarsest layer; a picture's sides are multiples of it
CLASSES = tuple(ObjectClass)


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


class UltralyticsDetector(Detector):
    """A YOLO network that knows the seven classes by their COCO names.

    input_size_px: longer side of the picture it is shown. threads: of torch, for the whole process.
    Raises wire.settings.SettingsError for weights that cannot be loaded or know none of our classes.
    """

    def __init__(self, weights: Path, input_size_px: int, threads: int) -> None:
        import torch
        from ultralytics import YOLO

        torch.set_num_threads(threads)
        self._input_size_px = input_size_px
        try:
            self._model = YOLO(str(weights), task="detect", verbose=False)
            names: dict[int, str] = dict(self._model.names)
            # Loads all the rest, and fails here and not at the first frame.
            self._model.predict(np.zeros((64, 64, 3), np.uint8), imgsz=input_size_px, verbose=False, device="cpu")
        except Exception as error:  # noqa: BLE001 -- a broken file fails in unpickling, zip, or torch, each in its own way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise SettingsError(
                f"{weights}: not YOLO weights that can be loaded ({reason}). Fetch them again, or name others in [detector]."
            ) from None
        by_name = {c.value: i for i, c in enumerate(CLASSES)}
        self._ours = {theirs: by_name[name] for theirs, name in names.items() if name in by_name}
        if not self._ours:
            raise SettingsError(f"{weights}: knows none of {', '.join(by_name)}; give weights trained on COCO or on these")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels of a picture that the network sees as it is; others are scaled to it."""
        step, size = STRIDE_PX, self._input_size_px
        return -(-size * 9 // (16 * step)) * step, size

    def find(self, image: Image) -> Found:
        """(height, width, 3) blue, green, red to what is in it, boxes in the picture's own pixels."""
        result = self._model.predict(
            image, imgsz=self._input_size_px, conf=LOWEST_SCORE, iou=OVERLAP_LIMIT, classes=list(self._ours),
            max_det=BOXES_LIMIT, device="cpu", verbose=False,
        )[0]
        boxes = result.boxes.cpu().numpy()
        return Found(
            np.asarray(boxes.xyxy, float).reshape(-1, 4),
            np.asarray(boxes.conf, float),
            np.array([self._ours[int(c)] for c in boxes.cls], dtype=np.int64),
        )
