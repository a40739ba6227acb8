"""Runs an exported graph through OpenVINO, from a picture to boxes, with neither torch nor ultralytics in the process.

The processor's time goes into convolutions: bytes become numbers inside the graph, the border of the letterbox is drawn
once, the input and the outputs stay where they are in memory, and only of cells that pass the threshold the boxes are
worked out (models/box_branch.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from geofences.geodesy import Array
from models.box_branch import BoxBranch, BoxLayers, split
from models.decode import Floats, Ints, boxes_of, grid_of, passing, suppress
from models.graph_joins import join_whole
from models.graphs import Graph, Precision
from models.letterbox import PADDING, WIDE, Fit, Image, as_bgr, fit, fit_into
from models.loading import import_openvino, in_words, our_classes

SHAPES_MOST = 3                 # compiled at once, 40 to 50 MB each: a camera's pictures need one, and its crops share it
ROUNDED_PX = 1                  # so much larger than a shape that there is, a picture is made smaller: no shape of its own
HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}      # for what 8 bits leave over
NOTHING = (np.empty((0, 4)), np.empty(0), np.empty(0, np.int64))


@dataclass(slots=True, eq=False)
class _Lane:
    """One picture at a time through the graph for one shape. canvas: (1, height, width, 3) its input; fitted: how the last
    picture lies in it. features, one of each grid, and logits: its outputs, a row for each cell. branches: what makes sides
    of the features. grid: see models.decode.
    """

    request: Any
    canvas: Image
    features: tuple[Floats, ...]
    logits: Floats
    branches: tuple[BoxBranch, ...]
    grid: Array
    fitted: Fit | None = None
    ends: Ints = field(init=False)                      # of each grid's cells, counted through all grids

    def __post_init__(self) -> None:
        self.ends = np.cumsum([len(f) for f in self.features])

    def show(self, image: Image, fitted: Fit) -> None:
        if self.fitted != fitted:
            self.canvas.fill(PADDING)
            self.fitted = fitted
        fitted.draw(image, self.canvas[0])

    def sides(self, cells: Ints) -> Floats:
        """(n, 4 * distances) of cells (n,), counted through all grids, ascending."""
        ends = [0, *np.searchsorted(cells, self.ends).tolist()]
        return np.concatenate([
            self.branches[k].sides(self.features[k], cells[low:high] - (self.ends[k] - len(self.features[k])))
            for k, (low, high) in enumerate(pairwise(ends)) if high > low
        ])


@dataclass(frozen=True, slots=True)
class Limits:
    """Of what is told: no score at or below lowest_score, no box that a surer one of its class overlaps (IoU) by more than
    overlap, and at most `most` of them.
    """

    lowest_score: float
    overlap: float
    most: int


class GraphNetwork:
    """A graph in a precision. input_size_px: longer side of the picture that the network is shown. threads: of it. picture:
    height and width, or their ratio, of most pictures to come: they and crops of `shape` then share one compiled graph.

    Raises SettingsError for a graph that cannot be loaded or knows none of our classes.
    """

    def __init__(
        self, graph: Graph, precision: Precision, input_size_px: int, threads: int, limits: Limits,
        picture: tuple[int, int] = WIDE,
    ) -> None:
        self._graph, self._precision, self._threads = graph, precision, threads
        self._input_size_px, self._limits = input_size_px, limits
        self.shape = fit(picture, input_size_px).shape
        ours = our_classes(graph.card.names, graph.xml)
        self._to_ours = np.array([ours.get(k, -1) for k in range(max(graph.card.names) + 1)], np.int64)
        self._is_ours = self._to_ours >= 0
        self._lanes: dict[tuple[int, int], _Lane] = {}
        self._abreast: dict[tuple[int, int], list[_Lane]] = {}
        self._layers: tuple[BoxLayers, ...] = ()
        self._shown: tuple[Image, Image] | None = None      # the last picture, and how it was shown
        # Idle threads of numpy's products spin, for longer than these take; for the whole process, as torch's are.
        threadpool_limits(threads, user_api="blas")
        # Loads all the rest, and fails here and not at the first frame.
        self.find(np.zeros((*self.shape, 3), np.uint8))

    def find(self, image: Image) -> tuple[Array, Array, Ints]:
        """Boxes (n, 4) in pixels of the picture, scores (n,), classes (n,) as indices into CLASSES, the surest first.

        image: (height, width, 3) blue, green, red, or grey; of any size, and nothing is in one of no size. Raises ValueError
        for what is no picture.
        """
        image = as_bgr(image)
        if not image.size:
            return NOTHING
        fitted = self._fit(image, self._lanes)
        lane = self._lanes.get(fitted.shape)
        if lane is None:
            lane = self._lanes[fitted.shape] = self._compile(fitted.shape, 1)[0]
        lane.show(image, fitted)
        self._shown = image, fitted.inside(lane.canvas[0])
        lane.request.infer(share_outputs=True)
        return self._read(lane)

    def shown(self, image: Image) -> Image | None:
        """The picture that find was handed last, as it was shown: a view that holds until the next one. None of others."""
        return self._shown[1] if self._shown is not None and self._shown[0] is image else None

    def find_many(self, images: Sequence[Image]) -> list[tuple[Array, Array, Ints]]:
        """As find, of each. With several threads each takes a picture of its own, which wastes less than sharing one."""
        if self._threads == 1 or len(images) < 2:
            return [self.find(image) for image in images]
        out = [NOTHING] * len(images)
        waiting: list[tuple[int, _Lane]] = []
        for k, image in enumerate(map(as_bgr, images)):
            if not image.size:
                continue
            fitted = self._fit(image, self._abreast)
            lanes = self._abreast.get(fitted.shape)
            if lanes is None:
                lanes = self._abreast[fitted.shape] = self._compile(fitted.shape, self._threads)
            busy = [lane for _, lane in waiting]
            if len(waiting) == self._threads or all(lane in busy for lane in lanes):
                first, done = waiting.pop(0)
                done.request.wait()
                out[first] = self._read(done)
                busy = [lane for _, lane in waiting]
            lane = next(lane for lane in lanes if lane not in busy)
            lane.show(image, fitted)
            lane.request.start_async(share_inputs=True)
            waiting.append((k, lane))
        for k, lane in waiting:
            lane.request.wait()
            out[k] = self._read(lane)
        return out

    def _read(self, lane: _Lane) -> tuple[Array, Array, Ints]:
        assert lane.fitted is not None      # a picture was shown
        limits = self._limits
        cells, scores, classes = passing(lane.logits, limits.lowest_score, self._is_ours)
        if not len(cells):
            return NOTHING
        classes = self._to_ours[classes]
        boxes = boxes_of(lane.sides(cells), lane.grid, cells)
        kept = suppress(boxes, scores, classes, limits.overlap, limits.most)
        return lane.fitted.back(boxes[kept]), scores[kept], classes[kept]

    def _fit(self, image: Image, there: Collection[tuple[int, int]]) -> Fit:
        """The smallest rectangle for a picture; where that would be one shape too many, the one that shows it largest."""
        of = (image.shape[0], image.shape[1])
        best = fit(of, self._input_size_px)
        over = [side - ours for side, ours in zip(best.inner, self.shape, strict=True)]
        if 0 < max(over) <= ROUNDED_PX:
            best = fit_into(of, self.shape)
        if best.shape not in there and len(there) >= SHAPES_MOST:
            best = max((fit_into(of, shape) for shape in there), key=lambda f: f.scale)
        return best

    def _compile(self, shape: tuple[int, int], lanes: int) -> list[_Lane]:
        grids = len(self._graph.card.strides)
        with _in_words(self._graph):
            model, layers = split(_core().read_model(self._graph.xml), grids)
            join_whole(model)
            compiled = _compiled(model, self._precision, shape, self._threads, lanes)
        self._layers = self._layers or layers
        made = []
        for _ in range(lanes):
            request, canvas = compiled.create_infer_request(), np.full((1, *shape, 3), PADDING, np.uint8)
            request.set_input_tensor(import_openvino().Tensor(canvas, shared_memory=True))
            features = tuple(_in_one(request, range(k, k + 1)) for k in range(grids))
            logits = _in_one(request, range(grids, 2 * grids))
            shapes = [tuple(request.get_output_tensor(k).shape[1:3]) for k in range(grids)]
            branches = tuple(BoxBranch(one, of) for one, of in zip(self._layers, shapes, strict=True))
            made.append(_Lane(request, canvas, features, logits, branches, grid_of(shapes, self._graph.card.strides)))
        return made


def _in_one(request: Any, outputs: range) -> Floats:
    """(cells, channels) where a request will leave these outputs, (1, rows, columns, channels) each, one after the other."""
    shapes = [tuple(request.get_output_tensor(k).shape) for k in outputs]
    all_cells = np.empty((sum(rows * columns for _, rows, columns, _ in shapes), shapes[0][3]), np.float32)
    first = 0
    for k, shape in zip(outputs, shapes, strict=True):
        count = shape[1] * shape[2]
        part = all_cells[first : first + count].reshape(shape)
        request.set_output_tensor(k, import_openvino().Tensor(part, shared_memory=True))
        first += count
    return all_cells


def compile_graph(graph: Graph, precision: Precision, shape: tuple[int, int], threads: int) -> Any:
    """OpenVINO's compiled model of a whole graph, for bytes (1, height, width, 3). Raises SettingsError."""
    with _in_words(graph):
        return _compiled(_core().read_model(graph.xml), precision, shape, threads, 1)


def _in_words(graph: Graph) -> contextlib.AbstractContextManager[None]:
    return in_words(graph.xml, "an OpenVINO graph that can be run", "Delete its folder: it is made anew.")


def _compiled(model: Any, precision: Precision, shape: tuple[int, int], threads: int, lanes: int) -> Any:
    """lanes: pictures at a time."""
    return _core().compile_model(with_pictures(model, shape), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": lanes,
        "PERFORMANCE_HINT": "LATENCY" if lanes == 1 else "THROUGHPUT", "INFERENCE_PRECISION_HINT": HINTS[precision],
        "ENABLE_CPU_PINNING": False,        # several nodes share the cores, and none knows of the others
    })


def with_pictures(model: Any, shape: tuple[int, int] | None = None) -> Any:
    """A graph whose input is bytes (1, height, width, 3) in blue, green, red, and whose outputs have their channels last."""
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    if shape is not None:
        model.reshape([1, 3, *shape])
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(ColorFormat.BGR)
    steps.input().model().set_layout(Layout("NCHW"))
    steps.input().preprocess().convert_element_type(Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
    for k in range(len(model.outputs)):
        # As the convolutions leave them: turning them round costs a millisecond.
        steps.output(k).model().set_layout(Layout("NCHW"))
        steps.output(k).tensor().set_layout(Layout("NHWC"))
    return steps.build()


def able() -> frozenset[Precision]:
    """The precisions by which this processor gains."""
    said = set(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return frozenset(p for p in (Precision.FP32, Precision.BF16, Precision.INT8) if p.name in said)


@cache
def _core() -> Any:
    return import_openvino().Core()
