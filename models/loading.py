"""Opening what others made (weights, checkpoints, OpenVINO): in words when it cannot be used, and without calling anybody.

torch and ultralytics are imported inside the functions: a node that runs an exported graph has neither in its process.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wire.settings import SettingsError
from wire.units import ObjectClass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from geofences.geodesy import Array

CLASSES = tuple(ObjectClass)
# What others call ours: VisDrone's and BDD100K's names, and other common words. No van: COCO calls some cars, some trucks.
ALSO_CALLED = {
    "pedestrian": ObjectClass.PERSON, "people": ObjectClass.PERSON, "human": ObjectClass.PERSON,
    "motorbike": ObjectClass.MOTORCYCLE, "motor": ObjectClass.MOTORCYCLE,
    "lorry": ObjectClass.TRUCK,
}
NAMES_TOLD = 12                 # COCO has 80
EVERY_BOX = 30_000              # ultralytics itself looks at no more
ANOTHER = "Fetch them again, or name others in [detector]."
REASON_CHARACTERS = 200
PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})     # of folders to measure with and to calibrate by


def keep_ultralytics_quiet() -> None:
    """Before its first import in a process: it installs nothing, calls nobody, and keeps out of a program's answer."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")


def import_openvino() -> ModuleType:
    """OpenVINO without the package by which it tells its maker of its use: with that missing, it has a stub of its own.

    Raises SettingsError where it is not installed, or not for this processor.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: an import of it fails at once
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"OpenVINO cannot be used ({_reason(error)}). Install it: .venv/bin/python -m pip install openvino"
        ) from None


@contextmanager
def in_words(path: Path, what: str, remedy: str = ANOTHER) -> Iterator[None]:
    """Whatever goes wrong inside becomes a SettingsError: `path` is not `what`, why, and the remedy."""
    try:
        yield
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001 -- a broken file fails in unpickling, zip, XML or torch, each in its own way
        raise SettingsError(f"{path}: not {what} ({_reason(error)}). {remedy}".rstrip()) from None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:REASON_CHARACTERS]


def our_class(name: str) -> int | None:
    """Index into CLASSES of what somebody else calls so; None for what is none of ours."""
    called = name.strip().lower()
    known = ALSO_CALLED.get(called, called)
    return CLASSES.index(ObjectClass(known)) if known in CLASSES else None


def told(names: Iterable[str]) -> str:
    """Names for a sentence, the first of many."""
    all_names = list(names)
    more = len(all_names) - NAMES_TOLD
    return ", ".join(all_names[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


def our_classes(names: Mapping[int, str], path: Path) -> dict[int, int]:
    """From a network's own class numbers to indices into CLASSES, by name; several may be one of ours.

    Raises SettingsError where it knows none.
    """
    ours = {theirs: k for theirs, name in names.items() if (k := our_class(name)) is not None}
    if not ours:
        raise SettingsError(
            f"{path}: knows none of {', '.join(CLASSES)}, but {told(names.values())}; give weights trained on COCO"
        )
    return ours


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """ultralytics' model, ready to predict. ours: its class numbers to indices into CLASSES. names: all that it knows."""

    model: Any
    ours: dict[int, int]
    names: dict[int, str]

    def find(
        self, image: npt.NDArray[np.uint8], input_size_px: int, lowest_score: float, overlap: float, most: int,
    ) -> tuple[Array, Array, npt.NDArray[np.int64]]:
        """Boxes (n, 4) in pixels, scores (n,), classes (n,) as indices into CLASSES. The limits are those of
        models.graph_network.Limits.
        """
        import numpy as np

        from models.decode import suppress

        # Ultralytics suppresses by its own classes. Where two of them are one of ours, a body would have a box of each.
        several = len(set(self.ours.values())) < len(self.ours)
        said = self.model.predict(
            image, imgsz=input_size_px, conf=lowest_score, iou=1.0 if several else overlap, classes=list(self.ours),
            max_det=EVERY_BOX if several else most, device="cpu", verbose=False,
        )[0].boxes.cpu().numpy()
        boxes, scores = np.asarray(said.xyxy, float).reshape(-1, 4), np.asarray(said.conf, float)
        classes = np.array([self.ours[int(c)] for c in said.cls], np.int64)
        if several:
            kept = suppress(boxes, scores, classes, overlap, most)
            boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
        return boxes, scores, classes


def load_network(weights: Path, input_size_px: int, threads: int) -> Network:
    """Weights (.pt) through ultralytics. threads: of torch, for the whole process. Raises SettingsError."""
    keep_ultralytics_quiet()
    import numpy as np
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(threads)
    with in_words(weights, "YOLO weights that can be loaded"):
        model = YOLO(str(weights), task="detect", verbose=False)
        names: dict[int, str] = dict(model.names)
        # Loads all the rest, and fails here and not at the first frame.
        model.predict(np.zeros((64, 64, 3), np.uint8), imgsz=input_size_px, verbose=False, device="cpu")
    return Network(model, our_classes(names, weights), names)
