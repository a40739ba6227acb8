"""Runs an exported graph through OpenVINO, from a picture to boxes, with neither torch nor ultralytics in the process.

The processor's time goes into convolutions: bytes become numbers inside the graph, the border of the letterbox is drawn
once, the input and the outputs stay where they are in memory, and only cells that pass the threshold are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from geofences.geodesy import Array
from models.decode import Floats, Ints, candidates, suppress
from models.graphs import Graph, Precision
from models.letterbox import PADDING, Fit, Image, as_bgr, fit, fit_into, wide_shape
from models.loading import import_openvino, in_words, our_classes

SHAPES_MOST = 3                 # compiled at once, 15 to 45 MB each: a camera's picture, the gate's crops, one to spare
HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}      # for what 8 bits leave over
WHOLE_GRID = 1e-30              # a score that every cell passes


@dataclass(slots=True, eq=False)
class _Compiled:
    """The graph for one shape. canvas: (1, height, width, 3) its input; fitted: how the last picture lies in it."""

    request: Any
    canvas: Image
    sides: list[Floats]
    logits: list[Floats]
    fitted: Fit | None = None


class GraphNetwork:
    """A graph in a precision. input_size_px: longer side of the picture that the network is shown. threads: of it.

    Raises SettingsError for a graph that cannot be loaded or knows none of our classes.
    """

    def __init__(self, graph: Graph, precision: Precision, input_size_px: int, threads: int) -> None:
        self._graph, self._precision, self._threads = graph, precision, threads
        self._input_size_px = input_size_px
        self.ours = our_classes(graph.card.names, graph.xml)
        self._compiled: dict[tuple[int, int], _Compiled] = {}
        self._on_our_side = np.array([self.ours.get(k, -1) for k in range(max(graph.card.names) + 1)], np.int64)
        # Loads all the rest, and fails here and not at the first frame.
        self.find(np.zeros((*self.shape, 3), np.uint8), 0.5, 0.5, 1)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels of a picture that the network sees as it is; others are scaled to it."""
        return wide_shape(self._input_size_px)

    def find(self, image: Image, lowest_score: float, overlap_limit: float, most: int) -> tuple[Array, Array, Ints]:
        """Boxes (n, 4) in pixels of the picture, scores (n,), classes (n,) as indices into CLASSES, the surest first.

        image: (height, width, 3) blue, green, red, or grey; of any size, and nothing is in one of no size. Raises ValueError
        for what is no picture.
        """
        image = as_bgr(image)
        height, width = image.shape[:2]
        if not height or not width:
            return np.empty((0, 4)), np.empty(0), np.empty(0, np.int64)
        fitted, compiled = self._fitted((height, width))
        if compiled.fitted != fitted:
            compiled.canvas.fill(PADDING)
            compiled.fitted = fitted
        fitted.draw(image, compiled.canvas[0])
        compiled.request.infer(share_outputs=True)
        boxes, scores, classes = candidates(compiled.sides, compiled.logits, self._graph.card.strides, lowest_score)
        ours = self._on_our_side[classes] >= 0
        boxes, scores, classes = boxes[ours], scores[ours], classes[ours]
        kept = suppress(boxes, scores, classes, overlap_limit, most)
        return fitted.back(boxes[kept]), scores[kept], self._on_our_side[classes[kept]]

    def _fitted(self, of: tuple[int, int]) -> tuple[Fit, _Compiled]:
        """The smallest rectangle for a picture; where that would be one shape too many, the one that shows it largest."""
        best = fit(of, self._input_size_px)
        compiled = self._compiled.get(best.shape)
        if compiled is None:
            if len(self._compiled) < SHAPES_MOST:
                compiled = self._compiled[best.shape] = self._compile(best.shape)
            else:
                best = max((fit_into(of, shape) for shape in self._compiled), key=lambda f: f.scale)
                compiled = self._compiled[best.shape]
        return best, compiled

    def _compile(self, shape: tuple[int, int]) -> _Compiled:
        with in_words(self._graph.xml, "an OpenVINO graph that can be run", "Delete its folder: it is made anew."):
            model = with_pictures(_core().read_model(self._graph.xml), shape)
            request = _core().compile_model(model, "CPU", {
                "INFERENCE_NUM_THREADS": self._threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": HINTS[self._precision], "ENABLE_CPU_PINNING": False,
            }).create_infer_request()
            canvas = np.full((1, *shape, 3), PADDING, np.uint8)
            request.set_input_tensor(import_openvino().Tensor(canvas, shared_memory=True))
            out = [request.get_output_tensor(k).data[0] for k in range(2 * len(self._graph.card.strides))]
        return _Compiled(request, canvas, out[:len(out) // 2], out[len(out) // 2:])


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
