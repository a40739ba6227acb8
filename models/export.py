"""Weights as a graph for other programs, whole as ultralytics writes it: ONNX or OpenVINO, in full precision or in 8 bits.

What nodes run is made by models.graph_making. The exporters are packages of their own (`onnx`; `nncf` for 8 bits). Nothing
is installed by itself: what is missing is named.
"""

from __future__ import annotations

import importlib.util
import shutil
from enum import StrEnum
from pathlib import Path

from models.graphs import Precision
from models.loading import PICTURE_ENDINGS, import_openvino, keep_ultralytics_quiet
from wire.settings import SettingsError


class Form(StrEnum):
    ONNX = "onnx"
    OPENVINO = "openvino"


BITS = {Precision.FP32: 32, Precision.FP16: 16, Precision.INT8: 8}
INSTALL = ".venv/bin/python -m pip install"
NEEDED = {Form.ONNX: ("onnx",), Form.OPENVINO: ("openvino",)}
NEEDED_FOR_INT8 = {Form.ONNX: ("onnxruntime",), Form.OPENVINO: ("nncf",)}


def missing_packages(form: Form, precision: Precision) -> tuple[str, ...]:
    """What has to be installed before this can be exported."""
    needed = NEEDED[form] + (NEEDED_FOR_INT8[form] if precision is Precision.INT8 else ())
    return tuple(name for name in needed if importlib.util.find_spec(name) is None)


def export_weights(
    weights: Path, form: Form, precision: Precision, size_px: tuple[int, int], out: Path, calibration: Path | None = None,
) -> Path:
    """Write the graph for pictures of (height, width) into the folder `out` and return it (a folder for OpenVINO).

    calibration: data.yaml of a labelled folder, whose pictures set the ranges of 8 bits. Raises SettingsError with what is
    missing or wrong.
    """
    missing = missing_packages(form, precision)
    if missing:
        raise SettingsError(
            f"export to {form.value} in {precision.value} needs {' and '.join(missing)}. "
            f"Install: {INSTALL} {' '.join(missing)}"
        )
    if precision is Precision.BF16:
        raise SettingsError("bf16 is a way to run fp32, and not one to write: give another precision with --out")
    if precision is Precision.INT8 and (calibration is None or not calibration.is_file()):
        raise SettingsError("export in int8 needs --calibration FILE: data.yaml of pictures like those to come")
    if any(side < 32 or side % 32 for side in size_px):
        raise SettingsError(f"--size {size_px[0]} {size_px[1]}: give multiples of 32, for example 384 640")
    keep_ultralytics_quiet()
    if form is Form.OPENVINO:
        import_openvino()       # before ultralytics does, so that it tells nobody
    from ultralytics import YOLO

    out.mkdir(parents=True, exist_ok=True)
    # The exporter writes beside the weights: it is given a copy, so that nobody's folder is written to.
    copy = out / weights.name
    if copy.resolve() != weights.resolve():
        shutil.copy2(weights, copy)
    settings: dict[str, object] = {"format": form.value, "imgsz": list(size_px), "quantize": BITS[precision]}
    if calibration is not None:
        settings["data"] = str(calibration)
    try:
        made = Path(str(YOLO(str(copy), task="detect", verbose=False).export(**settings)))
    except Exception as error:  # noqa: BLE001 -- exporters raise whatever their parts do; to a person it means "not exported"
        raise SettingsError(f"{weights}: the export to {form.value} failed: {str(error).splitlines()[0][:200]}") from None
    finally:
        if copy.resolve() != weights.resolve():
            copy.unlink(missing_ok=True)
    return made


def calibration_pictures(given: Path | None) -> tuple[Path, ...]:
    """The pictures of a folder, of images/ in it, or beside a data.yaml; none for None. Raises SettingsError."""
    if given is None:
        return ()
    folder = given.parent if given.is_file() else given
    folder = folder / "images" if (folder / "images").is_dir() else folder
    pictures = tuple(sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURE_ENDINGS))
    if not pictures:
        raise SettingsError(f"--calibration {given}: no pictures in {folder}. Give a folder of pictures like those to come.")
    return pictures
