"""What a node's detector costs: ultralytics with the weights, ultralytics with its own OpenVINO export, and ours.

All on the same pictures, at the same shape, on one thread: one core is set aside for them, and their own processor time
counted, so that others' work on the machine is not in it. They take turns, a few pictures each, and are compared turn by
turn. Each precision of ours has a process of its own, as in a node: what OpenVINO decides once in a process, it decides for
it alone. What a faster precision loses is measured beside it, on labelled pictures that were not used to calibrate it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.form import Figure, Peer, figure
from cameras.pose import FixedPose
from edge.detector import BOXES_LIMIT, LOWEST_SCORE, OVERLAP_LIMIT, UltralyticsDetector
from edge.detector_openvino import OpenVinoDetector
from edge.gaze import gaze_of
from edge.node import Node
from edge.settings import load_setup
from edge.sightings import Sighting, place
from edge.sources import Frame, Image
from edge.tracker import Tracker
from models.check import check_precision
from models.export import INSTALL, Form, calibration_pictures, export_weights, missing_packages
from models.graph_making import make_graph
from models.graph_network import able, compile_graph
from models.graphs import LOSS_LIMIT_POINTS, Check, Graph, Precision, find_graph, read_check
from models.processor import take_vnni
from models.registry import cache_folder, digest_of, resolve_weights
from sim.demo_settings import filled
from sim.frames import FrameSettings
from sim.frames_write import Order, write_frames
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.keys import NodeKind, make_node_key, make_station_key, write_private
from wire.outbox import Outbox
from wire.settings import SettingsError
from wire.units import Realm, TimeQuality
from wire.uplink import Uplink

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
CACHE = cache_folder().parent / "bench-edge"        # labelled frames and graphs: made once, minutes

INPUT_PX, SHAPE = 640, (384, 640)
SIZE = (1280, 720)
TURNS, PICTURES = 11, 6
FRAMES_SIDE_PX = 384            # shown as they are: people of 10 to 300 px
CHECK_FRAMES, CALIBRATION_FRAMES = 300, 120
CHECK_SEED, CALIBRATION_SEED = 9_200_000, 9_300_000
FPS = 10
PASSES, PASS_PICTURES = 25, 24  # of the pipeline, and of the whole node
BLUR_PX = (61, 61)              # nobody is left in a picture
START_S = 120.0                 # a node may take so long to start: it exports its graph, once
MEMORY_S, SETTLED_S = 45.0, 10.0        # of a node's life, from when it has something to tell; its end, which counts
FASTER = (Precision.INT8, Precision.BF16)
GOALS = {Precision.INT8: (">= 4.0", ">= 1.5"), Precision.BF16: (">= 3.0", ">= 1.1"), Precision.FP32: (">= 3.0", ">= 1.1")}

_clock = WallClock()


def measure() -> dict[str, Figure]:
    _as_in_a_node()
    given = SHARED / "models/yolo11n.pt"
    weights = resolve_weights("yolo11n", given if given.is_file() else None, download=False, training=True)
    graphs = {Precision.FP32: make_graph(weights, Precision.FP32, CACHE / "graphs")}
    graphs[Precision.BF16] = graphs[Precision.FP32]
    graphs[Precision.INT8] = _eight_bits(weights)
    checks = {p: _checked(graphs[p], p, weights) for p in FASTER}
    taken = next((p for p in FASTER if p in able() and not checks[p].objection), Precision.FP32)
    with _one_core():
        figures = _stage(weights, graphs, taken) | _losses(checks)
        with _apart(_as_in_a_node, taken) as node:
            figures |= node.submit(_pipeline, graphs[taken], taken).result()
            figures |= node.submit(_node, graphs[taken], taken).result()
    # In full precision too, in which a node runs weights whose graph of eight bits nobody has made.
    return figures | _memory("node_memory_mb", weights, taken) | _memory("node_memory_fp32_mb", weights, Precision.FP32)


# ---------------------------------------------------------------------------------------------------------- the material


def _pictures() -> list[Image]:
    """A street with people where the recording is at hand, and otherwise labelled frames, put together; 1280 x 720."""
    capture = cv2.VideoCapture(str(SHARED / "media/vtest.avi"))
    found = [capture.read()[1] for _ in range(PICTURES)] if capture.isOpened() else []
    capture.release()
    if not found:
        paths = sorted((_frames("check", CHECK_SEED, CHECK_FRAMES) / "images").glob("*.jpg"))[:2 * PICTURES]
        read = [np.asarray(cv2.imread(str(p)), np.uint8) for p in paths]
        found = [np.hstack([a, b]) for a, b in zip(read[::2], read[1::2], strict=True)]
    return [np.asarray(cv2.resize(picture, SIZE), np.uint8) for picture in found]


def _frames(name: str, seed: int, count: int) -> Path:
    """Labelled frames by day; those that are there already are not drawn again."""
    settings = FrameSettings(side_px=FRAMES_SIDE_PX, empty_share=0.1, busy_share=0.6, condition="day")
    write_frames(Order(CACHE / name, seed, count, settings, None), 1)
    return CACHE / name


def _eight_bits(weights: Path) -> Graph:
    there = find_graph(digest_of(weights), Precision.INT8, [CACHE / "graphs"])
    if there is not None:
        return there
    if missing := missing_packages(Form.OPENVINO, Precision.INT8):
        raise SettingsError(f"bench edge: eight bits need {' and '.join(missing)}. Install: {INSTALL} {' '.join(missing)}")
    frames = _frames("calibration", CALIBRATION_SEED, CALIBRATION_FRAMES)
    return make_graph(weights, Precision.INT8, CACHE / "graphs", calibration_pictures(frames))


def _checked(graph: Graph, precision: Precision, weights: Path) -> Check:
    there = read_check(graph, precision)
    if there is not None:
        return there
    folder = _frames("check", CHECK_SEED, CHECK_FRAMES)
    return check_precision(graph, precision, weights, folder, FRAMES_SIDE_PX, 1)


def _losses(checks: Mapping[Precision, Check]) -> dict[str, Figure]:
    return {
        f"map50_loss_{p.value}": figure(
            [check.loss_points], "points", f"mAP50 {check.map50:.4f} on {check.pictures} labelled frames, {check.objects} "
            f"objects, drawn by models frames, at {check.input_size_px} px", f"< {LOSS_LIMIT_POINTS:g}",
            Peer("ultralytics .pt, mAP50", check.map50_reference),
        ) for p, check in checks.items()
    }


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Torch and OpenVINO both take as many threads as they see cores; ultralytics lets nobody tell OpenVINO."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


# --------------------------------------------------------------------------------------------------- the detector's stage


_roads: dict[str, Callable[[Image], object]] = {}       # of a process of ours, and the pictures that it was given
_shown: list[Image] = []


def _as_in_a_node(precision: Precision = Precision.FP32) -> None:
    cv2.setNumThreads(1)
    logging.getLogger("trailwatch").setLevel(logging.ERROR)     # that there is no station here is no news
    if precision is Precision.INT8:
        take_vnni()


def _ready(graph: Graph, precision: Precision) -> None:
    """To be asked for both of its roads."""
    _as_in_a_node(precision)
    _shown[:] = _pictures()
    _roads["ours"], _roads["raw"] = OpenVinoDetector(graph, precision, INPUT_PX, 1).find, _raw(graph, precision)


def _apart(begin: Callable[..., None], *given: object) -> ProcessPoolExecutor:
    """A process of its own, which begins so."""
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=begin, initargs=given)


def _spent_there(name: str, k: int) -> float:
    return _spent_ms(_roads[name], _shown[k])


def _spent_ms(find: Callable[[Image], object], picture: Image) -> float:
    """Of the processor."""
    began_s = time.process_time()
    find(picture)
    return (time.process_time() - began_s) * 1e3


def _stage(weights: Path, graphs: Mapping[Precision, Graph], taken: Precision) -> dict[str, Figure]:
    pictures = _pictures()
    reference = UltralyticsDetector(weights, INPUT_PX, 1)
    with contextlib.ExitStack() as open_, tempfile.TemporaryDirectory() as folder:
        finds = {"reference": reference.find, "own_export": _own_export(weights, Path(folder), reference)}
        roads = {name: (lambda k, find=find: _spent_ms(find, pictures[k])) for name, find in finds.items()}
        for precision, graph in graphs.items():
            process = open_.enter_context(_apart(_ready, graph, precision))
            for name, one in ((precision.value, "ours"), (f"raw_{precision.value}", "raw")):
                roads[name] = partial(_asked, process, one)
        ms = _turns(roads)
    told = {
        "reference": "ultralytics with the weights, from a picture to boxes",
        "own_export": "ultralytics running the OpenVINO export that it wrote (OpenVINO's default: bf16 where there is that)",
        **{p.value: f"ours in {p.value}, from a picture to boxes" for p in graphs},
        **{f"raw_{p.value}": f"the whole network, as exported, by OpenVINO alone in {p.value}, on a picture that is in place"
           for p in graphs},
    }
    how = f"{PICTURES} pictures of {SIZE[0]} x {SIZE[1]} a turn, {TURNS} turns, shown at {SHAPE[1]} x {SHAPE[0]}, one thread"
    figures = {f"{name}_core_ms": figure(ms[name], "ms", f"{told[name]}; median of {how}") for name in roads}
    goals = GOALS[taken]
    for name, peer, goal in zip(("reference", "own_export"), ("the weights", "its own OpenVINO export"), goals, strict=True):
        figures[f"times_{name}"] = figure(
            [theirs / ours for theirs, ours in zip(ms[name], ms[taken.value], strict=True)], "ratio",
            f"processor time of {peer} through ultralytics to ours in {taken.value}, turn by turn", goal,
            Peer(f"{peer}, ms", statistics.median(ms[name])),
        )
    figures["stage_overhead"] = figure(
        [100 * (whole / raw - 1) for whole, raw in zip(ms[taken.value], ms[f"raw_{taken.value}"], strict=True)], "%",
        f"what letterbox, decoding and suppression add to OpenVINO's {taken.value} inference of the whole network, whose "
        "box branches we work out for the cells that pass alone", "<= 10",
    )
    return figures


def _own_export(weights: Path, folder: Path, reference: UltralyticsDetector) -> Callable[[Image], object]:
    from ultralytics import YOLO

    with contextlib.redirect_stdout(sys.stderr):
        model: Any = YOLO(str(export_weights(weights, Form.OPENVINO, Precision.FP32, SHAPE, folder)), task="detect")
        model.predict(np.zeros((*SHAPE, 3), np.uint8), imgsz=SHAPE, device="cpu", verbose=False)    # while the file is there
    ours = list(reference.ours)

    def find(picture: Image) -> object:
        return model.predict(
            picture, imgsz=SHAPE, conf=LOWEST_SCORE, iou=OVERLAP_LIMIT, classes=ours, max_det=BOXES_LIMIT, device="cpu",
            verbose=False,
        )

    return find


def _raw(graph: Graph, precision: Precision) -> Callable[[Image], object]:
    request = compile_graph(graph, precision, SHAPE, 1).create_infer_request()
    seen = np.full((1, *SHAPE, 3), 90, np.uint8)
    return lambda picture: request.infer({0: seen}, share_inputs=True, share_outputs=True)


def _asked(process: ProcessPoolExecutor, name: str, k: int) -> float:
    return process.submit(_spent_there, name, k).result()


def _turns(roads: Mapping[str, Callable[[int], float]]) -> dict[str, list[float]]:
    """Milliseconds of the processor a picture: of each turn the median. Roads take the number of a picture."""
    ms: dict[str, list[float]] = {name: [] for name in roads}
    for turn in range(TURNS + 1):
        for name, spent_ms in roads.items():
            spent = [spent_ms(k) for k in range(PICTURES)]
            if turn:                    # the first warms up
                ms[name].append(statistics.median(spent))
    return ms


# -------------------------------------------------------------------------------------- the pipeline, and the whole node


class _Film:
    """Pictures in memory, on a time of their own: what is counted is who takes them, and not their source. Between two
    passes the same count of inferences is run alone.
    """

    simulated = True
    dropped = 0

    def __init__(self, pictures: Sequence[Image], clock: SteppedClock, raw: Callable[[Image], object]) -> None:
        self._pictures, self._clock, self._raw = pictures, clock, raw
        self.given = 0
        self._began_s = 0.0
        self.ended = False
        self.node_ms: list[float] = []
        self.raw_ms: list[float] = []

    def grab(self, timeout_s: float) -> Frame | None:
        if self.given % PASS_PICTURES == 0:
            self._reckon()
        self.given += 1
        self._clock.advance(1.0 / FPS)
        return None if self.ended else Frame(self._pictures[self.given % len(self._pictures)], self._clock.utc_ns())

    def close(self) -> None: ...

    @property
    def over(self) -> list[float]:
        """Percent by which each pass took more than the inferences after it."""
        return [100 * (node / raw - 1) for node, raw in zip(self.node_ms, self.raw_ms, strict=True)]

    def _reckon(self) -> None:
        if self.given > PASS_PICTURES:         # the first pass warms up
            self.node_ms.append((time.process_time() - self._began_s) / PASS_PICTURES * 1e3)
            began_s = time.process_time()
            for picture in islice(cycle(self._pictures), PASS_PICTURES):
                self._raw(picture)
            self.raw_ms.append((time.process_time() - began_s) / PASS_PICTURES * 1e3)
        self.ended = len(self.node_ms) == PASSES
        self._began_s = time.process_time()


def _pipeline(graph: Graph, precision: Precision) -> dict[str, Figure]:
    pictures = _pictures()
    jumping, jumpers = _tracked_and_placed(graph, precision, pictures)
    walking, walkers = _tracked_and_placed(graph, precision, [*pictures, *pictures[-2:0:-1]])
    added = (
        "what the pipeline (letterbox, decoding, suppression, tracker, places with their errors, corridors) adds to "
        f"{precision.value} inference of the whole network, each picture for itself"
    )
    return {
        "pipeline_overhead": figure(
            jumping, "%", f"{added}; tracks end and begin twice a second; {jumpers:.1f} objects in a picture", "<= 10",
        ),
        "pipeline_overhead_walking": figure(
            walking, "%", f"{added}; people walk on; {walkers:.1f} objects in a picture", "<= 10",
        ),
    }


def _tracked_and_placed(graph: Graph, precision: Precision, pictures: Sequence[Image]) -> tuple[list[float], float]:
    """Percent over inference of each pass, and how many objects were told of in a picture."""
    film = _Film(pictures, SteppedClock(1_800_000_000 * NS_PER_S), _raw(graph, precision))
    with tempfile.TemporaryDirectory() as folder:
        setup = load_setup(_settings(Path(folder), {}))
    assert setup.survey is not None         # a camera on a mast
    sensor, told = setup.settings.camera.id, 0
    gaze = gaze_of(setup, OpenVinoDetector(graph, precision, INPUT_PX, 1))
    tracker = Tracker(sensor, setup.settings.detector.score_threshold)
    while (frame := film.grab(0.0)) is not None:
        where = gaze.where(frame)
        found = gaze.find(frame.image, where)
        tracked = tracker.update(found, frame.captured_ns, where.looked)
        gaze.hold(found, tracked, frame.captured_ns)
        sighting = Sighting(frame.captured_ns, TimeQuality.NTP, tracked, setup.camera, setup.survey)
        (placed,) = place(sensor, [sighting], setup.sector.terrain, setup.sector.corridors)
        told += len(placed.batch.detections)
    return film.over, told / film.given


def _node(graph: Graph, precision: Precision) -> dict[str, Figure]:
    pictures = _pictures()
    film, objects = _passes(graph, precision, pictures)
    walking, walkers = _passes(graph, precision, [*pictures, *pictures[-2:0:-1]])
    nobody, none = _passes(graph, precision, [np.asarray(cv2.blur(p, BLUR_PX), np.uint8) for p in pictures])
    whole, empty = statistics.median(film.node_ms), statistics.median(nobody.node_ms)
    return {
        "node_overhead": figure(
            film.over, "%", "what a whole node (that pipeline, snapshots, clips, outbox, self-check, health) adds to "
            f"{precision.value} inference of the whole network; the same pictures, each looked at whole, {PASS_PICTURES} a "
            f"pass; {objects:.1f} objects in a picture", "<= 10",
        ),
        "node_overhead_walking": figure(
            walking.over, "%",
            "the same of the same pictures forth and back: nobody jumps from the last to the first, which ends tracks and "
            f"begins others twice a second; {walkers:.1f} objects in a picture", "<= 10",
        ),
        "node_core_ms": figure(film.node_ms, "ms", "the whole node, a picture", peer=Peer(
            "inference alone, ms", statistics.median(film.raw_ms))),
        "node_overhead_nobody": figure(
            nobody.over, "%", f"the same of the same pictures blurred, {none:.1f} objects in each",
        ),
        "node_object_ms": figure(
            [(whole - empty) / max(objects - none, 1.0)], "ms", "what each object in a picture adds, these two apart",
        ),
    }


def _passes(graph: Graph, precision: Precision, pictures: Sequence[Image]) -> tuple[_Film, float]:
    """A whole node on pictures, and how many objects it told of in each."""
    clock = SteppedClock(1_800_000_000 * NS_PER_S)
    film = _Film(pictures, clock, _raw(graph, precision))
    with tempfile.TemporaryDirectory() as folder:
        config = _settings(Path(folder), {})
        setup = load_setup(config)
        assert setup.survey is not None         # a camera on a mast
        detector = OpenVinoDetector(graph, precision, INPUT_PX, 1)
        with contextlib.closing(Outbox(setup.outbox, setup.key.node, setup.key.realm, clock, 10_000_000)) as outbox:
            node = Node(setup, film, detector, FixedPose(setup.survey), outbox, clock)
            s = setup.settings.station
            with Uplink(s.endpoint, s.public_key, setup.key, outbox, WallClock(), node.hear) as uplink:
                node.run(uplink, threading.Event())
            return film, outbox.ledger.detections_put / film.given


def _settings(folder: Path, more: dict[tuple[str | int, ...], str | int | float | bool]) -> Path:
    """Of a node whose station is not there."""
    write_private(folder / "camera-1.key", make_node_key("camera-1", NodeKind.CAMERA, Realm.TRAINING))
    config = folder / "camera-1.toml"
    config.write_text(filled(ROOT / "configs/demo/camera-1.toml", {
        ("key",): "camera-1.key", ("data_dir",): "node", ("sector",): str(ROOT / "configs/sectors/laobao/sector.toml"),
        ("station", "endpoint"): "tcp://127.0.0.1:9", ("station", "public_key"): make_station_key(Realm.TRAINING).public,
        ("camera", "lens", "width_px"): SIZE[0], ("camera", "lens", "height_px"): SIZE[1],
        ("detector", "input_size_px"): INPUT_PX, ("gate", "look"): "whole", **more,
    }), encoding="utf-8")
    return config


def _memory(name: str, weights: Path, precision: Precision) -> dict[str, Figure]:
    """Of a real node's process that plays a video."""
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        (folder / "node").mkdir()
        (folder / "node/graphs").symlink_to(CACHE / "graphs")
        writer = cv2.VideoWriter(str(folder / "street.avi"), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
        for picture in _pictures() * 10:
            writer.write(picture)
        writer.release()
        config = _settings(folder, {
            ("source", "path"): "street.avi", ("source", "loop"): True, ("detector", "weights"): str(weights),
            ("detector", "precision"): precision.value,
        })
        command = [sys.executable, str(ROOT / "ground_station.py"), "edge", "--config", str(config)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            resident = _watched(process, folder / "node/outbox.db")
            mapped = Path(f"/proc/{process.pid}/maps")
            torch = "torch is in it" if mapped.exists() and "libtorch" in mapped.read_text() else "torch is not in it"
        finally:
            process.terminate()
            words = process.communicate()[1]
    told = re.findall(r"runs through (.+?),", words)
    return {
        name: figure(
            resident, "MB", f"resident memory of a node after {MEMORY_S:.0f} s on a video of {SIZE[0]} x {SIZE[1]}, "
            f"through {told[0] if told else 'something else'}; {torch}", "<= 300",
        ),
    }


def _watched(process: subprocess.Popen[str], outbox: Path) -> list[float]:
    """Megabytes, twice a second, once it has all that it will have."""
    node, mb = psutil.Process(process.pid), []
    until_ns = _clock.monotonic_ns() + round(START_S * NS_PER_S)
    while not outbox.exists() or node.num_threads() < 2:
        if process.poll() is not None or _clock.monotonic_ns() > until_ns:
            ended = process.poll() is not None
            words = process.stderr.read() if process.stderr and ended else "nothing in all that time"
            raise SettingsError(f"bench edge: the node did not start: {words[-300:]}")
        _clock.sleep(0.2)
    until_ns = _clock.monotonic_ns() + round(MEMORY_S * NS_PER_S)
    while _clock.monotonic_ns() < until_ns:
        mb.append(node.memory_info().rss / 1e6)
        _clock.sleep(0.5)
    return mb[-round(SETTLED_S / 0.5):]
