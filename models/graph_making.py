"""Makes the graph that nodes run: exported by ultralytics, cut where the network ends, checked against what was cut off.

What ultralytics exports goes on after the last convolutions: it works out all 5,040 boxes of a picture, of which a handful
pass. models/decode.py does that for the handful. A graph is only kept once both ways give the same boxes.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from models.box_branch import BoxBranch, split
from models.decode import boxes_of, grid_of, passing
from models.graph_activations import without_exponentials
from models.graph_joins import join_whole
from models.graph_network import with_pictures
from models.graphs import CARD, FILES, GRAPH, Graph, GraphCard, Precision, folder_name, read_graph
from models.letterbox import PADDING, fit
from models.loading import import_openvino, in_words, keep_ultralytics_quiet
from models.registry import digest_of
from wire.process import DIE_WITH_PARENT
from wire.settings import SettingsError

MAKING_S = 300.0                # for a process of its own: seconds here, a minute or two on a small machine
CALIBRATION_MOST = 300          # pictures; nncf's own default
CURVES_MOST = 40                # of them, for the curves of activations
NICE = 5                        # the nodes beside it see on
PROBE = (160, 256)              # height and width of the picture on which both ways are compared
PROBE_BOX_PX, PROBE_SCORE = 0.01, 1e-5      # how far they may differ
WHOLE_GRID = 1e-30              # a score that every cell passes
_COMMAND_LINE = Path(__file__).resolve().parents[1] / "ground_station.py"

_log = logging.getLogger("trailwatch.models")


def make_graph_apart(weights: Path, folder: Path) -> str:
    """Make the fp32 graph of weights in a process of its own, which takes torch with it when it ends. Returns why not."""
    command = [
        sys.executable, str(_COMMAND_LINE), "models", "export", "--weights", str(weights.resolve()),
        "--graphs", str(folder.resolve()),
    ]
    environment = {**os.environ, DIE_WITH_PARENT: str(os.getpid())}
    _log.info("exporting %s for OpenVINO, once; this takes a few seconds", weights.name)
    try:
        told = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=told, text=True) as child:
            with contextlib.suppress(OSError):      # it may have ended already
                os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
            try:
                words = child.communicate(timeout=MAKING_S)[1]
            except subprocess.TimeoutExpired:
                child.kill()
                return f"not done after {MAKING_S:.0f} s"
    except OSError as error:
        return str(error)
    if child.returncode == 0:
        return ""
    lines = words.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {child.returncode} and said nothing"


def make_graph(weights: Path, precision: Precision, folder: Path, calibration: Sequence[Path] = ()) -> Graph:
    """The whole graph of weights among the graphs in `folder`: the one that is there, or a new one.

    calibration: pictures that set the ranges of 8 bits; with them it is made anew in any case. Raises SettingsError.
    """
    digest = digest_of(weights)
    name = folder_name(digest, precision.stored)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f"{name}.lock"):
            there = None if calibration else read_graph(folder / name)
            if there is not None:
                return there
            if precision.stored is Precision.INT8 and not calibration:
                raise SettingsError("export in int8 needs --calibration: pictures like those to come")
            for left_over in folder.glob(f".{name}.*"):
                shutil.rmtree(left_over, ignore_errors=True)
            made = folder / f".{name}.{os.getpid()}"
            made.mkdir()
            try:
                card = _export(weights, digest, precision.stored, made, calibration)
                _keep(made, card)
                shutil.rmtree(folder / name, ignore_errors=True)
                made.rename(folder / name)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise SettingsError(f"{folder}: no graph can be written there ({error}). Make room, or give --graphs.") from None
    return Graph(folder / name, card)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Several nodes that start at once: one makes the graph, the others find it made."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep(folder: Path, card: GraphCard) -> None:
    """The card last, and all of it on the disk before it gets its name."""
    (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card)))
    for path in (*(folder / name for name in (*FILES, CARD)), folder):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def _export(weights: Path, digest: str, stored: Precision, folder: Path, calibration: Sequence[Path]) -> GraphCard:
    keep_ultralytics_quiet()
    openvino = import_openvino()
    import ultralytics

    copy = folder / "weights.pt"        # the exporter writes beside the weights
    shutil.copyfile(weights, copy)
    # Progress bars and praise go where a person may read them, and not into a program's answer.
    with in_words(weights, "weights that can be exported to OpenVINO"), contextlib.redirect_stdout(sys.stderr):
        network = ultralytics.YOLO(str(copy), task="detect", verbose=False)
        names: dict[int, str] = dict(network.names)
        strides = tuple(int(s) for s in network.model.stride)
        exported = Path(str(network.export(format="openvino", dynamic=True, imgsz=list(PROBE))))
        core = openvino.Core()
        whole = core.read_model(next(exported.glob("*.xml")))
        ours = cut(core.read_model(next(exported.glob("*.xml"))))
        apart = difference(core, whole, ours, strides)
        if apart[0] > PROBE_BOX_PX or apart[1] > PROBE_SCORE:
            raise ValueError(f"cut off at the last convolutions it differs by {apart[0]:.3g} px and {apart[1]:.3g} of score")
        if stored is Precision.INT8:
            seen = calibration[:: -(-len(calibration) // CURVES_MOST)]
            without_exponentials(ours, len(strides), [_as_tensor(path) for path in seen])
            ours = _quantized(ours, calibration)
        openvino.save_model(ours, folder / GRAPH, compress_to_fp16=False)
        shutil.rmtree(exported)
        copy.unlink()
    return GraphCard(
        weights.name, digest, stored, folder_name("", stored).rpartition("openvino")[2], str(ultralytics.__version__), names,
        strides, {name: digest_of(folder / name) for name in FILES},
        f"{len(calibration)} pictures of {calibration[0].parent}" if calibration else "",
    )


def cut(model: Any) -> Any:
    """An exported YOLO11, cut at its last convolutions: outputs are the sides of each grid, then the logits of each.

    Raises ValueError for a graph of another build.
    """
    openvino = import_openvino()
    last = model.get_results()[0].input_value(0).get_node()
    logits = next((n for n in _inputs(last) if n.get_type_name() == "Sigmoid"), None)
    softmax = [n for n in model.get_ordered_ops() if n.get_type_name() in ("Softmax", "SoftMax")]
    if logits is None or not softmax or last.get_type_name() != "Concat":
        raise ValueError("its last layers are not those of a YOLO11")
    grids = [_grids(softmax[-1]), _grids(logits)]
    if len(grids[0]) != len(grids[1]) or any(g.partial_shape.rank.get_length() != 4 for g in (*grids[0], *grids[1])):
        raise ValueError("its grids are not those of a YOLO11")
    results = [openvino.opset13.result(g) for g in (*grids[0], *grids[1])]
    return openvino.Model(results, model.get_parameters(), "trailwatch")


def _inputs(node: Any) -> list[Any]:
    return [node.input_value(k).get_node() for k in range(node.get_input_size())]


def _grids(node: Any) -> list[Any]:
    """Upwards from what is worked out of all cells at once to where the grids are flattened and put together."""
    while node.get_type_name() != "Concat":
        if not node.get_input_size():
            raise ValueError("its grids are not those of a YOLO11")
        node = node.input_value(0).get_node()
    return [flat.input_value(0) for flat in _inputs(node)]


def difference(core: Any, whole: Any, ours: Any, strides: tuple[int, ...]) -> tuple[float, float]:
    """Between an exported graph and ours, over all cells of a picture of noise: the farthest side, pixels, and score."""
    picture = np.random.default_rng(7).integers(0, 256, (1, *PROBE, 3), np.uint8)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    whole.reshape([1, 3, *PROBE])
    theirs = core.compile_model(whole, "CPU", exact)(
        np.ascontiguousarray(picture[..., ::-1].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    )[0][0]
    grids = len(strides)
    probe, layers = split(ours.clone(), grids)
    join_whole(probe)
    said = list(core.compile_model(with_pictures(probe, PROBE), "CPU", exact)(picture).values())
    shapes = [s.shape[1:3] for s in said[:grids]]
    features, logits = ([s.reshape(-1, s.shape[-1]) for s in part] for part in (said[:grids], said[grids:]))
    cells, scores, classes = passing(np.concatenate(logits), WHOLE_GRID, np.ones(logits[0].shape[1], bool))
    sides = [
        BoxBranch(one, shape).sides(f, np.arange(len(f))) for one, shape, f in zip(layers, shapes, features, strict=True)
    ]
    boxes = boxes_of(np.concatenate(sides)[cells], grid_of(shapes, strides), cells)
    middle, size = theirs[:2].T, theirs[2:4].T
    apart = np.abs(boxes - np.hstack([middle - size / 2, middle + size / 2])).max()
    return float(apart), float(np.abs(scores - theirs[4 + classes, cells]).max())


def _quantized(model: Any, calibration: Sequence[Path]) -> Any:
    import nncf

    nncf.set_log_level(logging.ERROR)
    dataset = nncf.Dataset(list(calibration[:CALIBRATION_MOST]), _as_tensor)
    return nncf.quantize(
        model, dataset, preset=nncf.QuantizationPreset.MIXED, subset_size=min(len(calibration), CALIBRATION_MOST),
    )


def _as_tensor(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(1, 3, height, width) red, green, blue from 0 to 1, of a picture at its own scale."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise SettingsError(f"{path}: not a picture that can be read")
    height, width = picture.shape[:2]
    fitted = fit((height, width), -(-max(height, width) // 32) * 32)
    canvas = np.full((*fitted.shape, 3), PADDING, np.uint8)
    fitted.draw(np.asarray(picture, np.uint8), canvas)
    return np.ascontiguousarray(canvas[None, ..., ::-1].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
