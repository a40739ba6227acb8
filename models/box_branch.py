"""The last layers that say where a box's sides are, worked out for the cells that pass alone.

A YOLO11's head has two branches on each of its three grids: one says what is in a cell, the other where its box ends. The
second is a sixth of the whole network's work, and only a handful of 5,040 cells is ever asked for it: nothing else depends
on it. So it is taken out of the graph. The graph then ends in what both branches begin with, and for the cells in which
something is, the branch (two convolutions over 3 x 3 cells, and one over a single cell) is done here, in single precision
whatever the graph's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.decode import Floats, Ints
from models.loading import import_openvino

KERNELS = (3, 3, 1)             # of a box branch, from the features on


@dataclass(frozen=True, slots=True)
class BoxLayers:
    """One grid's branch, as matrices that a cell's surroundings (rows) are multiplied by.

    first, second: (9 * channels in, channels out), by row, then column of the 3 x 3, then channel. last: (channels in,
    sides). Each with its bias (channels out,).
    """

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    last: Floats
    last_bias: Floats


def split(model: Any, grids: int) -> tuple[Any, tuple[BoxLayers, ...]]:
    """A graph as models.graph_making.cut leaves it, whose first `grids` outputs are sides, without its box branches.

    Outputs of the new one: the features of each grid, then what followed the sides. Raises ValueError for a graph of another
    build.
    """
    openvino = import_openvino()
    results = model.get_results()
    features, weights = [], []
    for result in results[:grids]:
        begins, parts = _branch(result.input_value(0))
        features.append(begins)
        weights += parts
    # In 8 bits they are stored as such, and brought to numbers by some layers: OpenVINO does that, once.
    constant = openvino.Model([openvino.opset13.result(w) for w in weights], [], "weights")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    values = [np.array(v, np.float32) for v in openvino.Core().compile_model(constant, "CPU", exact)({}).values()]
    each = 2 * len(KERNELS)
    layers = tuple(_layers(values[k : k + each]) for k in range(0, len(values), each))
    outputs = [openvino.opset13.result(f) for f in features] + list(results[grids:])
    return openvino.Model(outputs, model.get_parameters(), "trailwatch"), layers


def _branch(end: Any) -> tuple[Any, list[Any]]:
    """From the end of a branch upwards: what it begins with, and the weights and bias of each layer in order."""
    parts: list[Any] = []
    for kernel in reversed(KERNELS):
        add = end.get_node()
        convolution = add.input_value(0).get_node()
        if add.get_type_name() != "Add" or not _is_plain(convolution, kernel):
            raise ValueError("its box branches are not those of a YOLO11")
        parts = [convolution.input_value(1), add.input_value(1), *parts]
        end = convolution.input_value(0)
        if end.get_node().get_type_name() == "FakeQuantize":    # before each convolution of 8 bits
            end = end.get_node().input_value(0)
        if len(parts) == 2 * len(KERNELS):
            break
        swish = end.get_node()
        if swish.get_type_name() != "Swish" or swish.get_input_size() != 1:
            raise ValueError("its box branches are not those of a YOLO11")
        end = swish.input_value(0)
    return end, parts


def _is_plain(node: Any, kernel: int) -> bool:
    if node.get_type_name() != "Convolution":
        return False
    a = node.get_attributes()
    around = [kernel // 2] * 2
    plain = (list(a["strides"]), list(a["dilations"]), list(a["pads_begin"]), list(a["pads_end"]))
    shape = node.input_value(1).get_shape()
    return plain == ([1, 1], [1, 1], around, around) and list(shape[2:]) == [kernel, kernel]


def _layers(values: Sequence[Floats]) -> BoxLayers:
    matrices = [
        np.ascontiguousarray(w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0])) if k % 2 == 0 else w.ravel()
        for k, w in enumerate(values)
    ]
    return BoxLayers(*matrices)


class BoxBranch:
    """The branch of one grid of (rows, columns). Cells are counted row by row; beyond its edge is the margin, one number for
    all of it, where everything is zero, as convolutions pad it.
    """

    def __init__(self, layers: BoxLayers, shape: tuple[int, int]) -> None:
        rows, columns = shape
        self._layers = layers
        self._margin = rows * columns
        wide = np.pad(np.arange(self._margin).reshape(shape), 1, constant_values=self._margin)
        near = [wide[y : y + rows, x : x + columns].ravel() for y in range(3) for x in range(3)]
        self._around = np.column_stack(near)        # (cells, 9)
        self._at_edge = (self._around == self._margin).any(axis=1)

    def sides(self, features: Floats, cells: Ints) -> Floats:
        """(n, 4 * distances) of the cells (n,). features: (rows * columns, channels) of the whole grid."""
        w = self._layers
        around = self._around[cells]
        wanted = np.zeros(self._margin + 1, bool)
        wanted[around] = True
        wanted[self._margin] = False
        places = wanted.nonzero()[0]
        source = self._around[places]
        patches = features.take(source, axis=0, mode="clip")
        if self._at_edge[places].any():
            patches[source == self._margin] = 0.0
        hidden = np.empty((len(places) + 1, w.first.shape[1]), np.float32)
        hidden[-1] = 0.0                            # the last row is the margin
        _swish(np.matmul(patches.reshape(len(places), len(w.first)), w.first, out=hidden[:-1]), w.first_bias)
        row = np.empty(self._margin + 1, np.intp)
        row[places], row[self._margin] = np.arange(len(places)), len(places)
        second = hidden.take(row[around], axis=0).reshape(len(cells), len(w.second)) @ w.second
        out: Floats = _swish(second, w.second_bias) @ w.last
        out += w.last_bias
        return out


def _swish(x: Floats, bias: Floats) -> Floats:
    """y / (1 + exp(-y)) of y = x + bias; writes over x."""
    x += bias
    with np.errstate(over="ignore"):            # of what is so far below zero nothing is left
        turned = np.negative(x)
        np.exp(turned, out=turned)
        turned += 1.0
        x /= turned
    return x
