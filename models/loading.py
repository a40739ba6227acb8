"""Opening what others made (weights, checkpoints, OpenVINO): in words when it cannot be used, and without calling anybody.

torch and ultralytics are imported inside the functions: a node that runs an exported graph has neither in its process.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from wire.settings import SettingsError
from wire.units import ObjectClass

CLASSES = tuple(ObjectClass)
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


def our_classes(names: Mapping[int, str], path: Path) -> dict[int, int]:
    """From a network's own class numbers to indices into CLASSES, by name. Raises SettingsError where it knows none."""
    by_name = {c.value: i for i, c in enumerate(CLASSES)}
    ours = {theirs: by_name[name] for theirs, name in names.items() if name in by_name}
    if not ours:
        raise SettingsError(f"{path}: knows none of {', '.join(by_name)}; give weights trained on COCO or on these")
    return ours


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """ultralytics' model, ready to predict. ours: its class numbers to indices into CLASSES. names: all that it knows."""

    model: Any
    ours: dict[int, int]
    names: dict[int, str]


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
