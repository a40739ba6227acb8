"""What a network takes apart and joins again is joined whole, and not a bit of what it says is another."""

import numpy as np
import openvino
import pytest

from models.graph_joins import join_whole
from models.graph_making import make_graph
from models.graph_network import with_pictures
from models.graphs import Precision
from models.registry import manifest, shipped_file

op = openvino.opset13
OURS = shipped_file(manifest()["trailwatch7n"])
PICTURE = np.random.default_rng(5).integers(0, 256, (1, 96, 160, 3), np.uint8)


def block(join, lengths=(3, 5), axis=1):
    """A layer of 8 channels, apart; `join` gets its parts and what comes of the last."""
    layer = op.parameter([1, 8, -1, -1], np.float32)
    whole = op.relu(layer)
    parts = op.variadic_split(whole, op.constant(np.int64(axis)), op.constant(np.array(lengths, np.int64))).outputs()
    return openvino.Model([op.result(join(parts, op.exp(parts[-1]).output(0)))], [layer], "block")


def said(model):
    layer = np.random.default_rng(3).normal(0, 1, (1, 8, 4, 6)).astype(np.float32)
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(layer)[0]


def kinds(model):
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize("lengths", [(3, 5), (4, 4), (2, 1, 5)])
def test_parts_that_are_joined_again_are_taken_whole(lengths):
    def again(parts, more):
        return op.concat([*parts, more], 1)

    model = block(again, lengths)
    assert join_whole(model) == 1
    assert "VariadicSplit" not in kinds(model)
    assert np.array_equal(said(model), said(block(again, lengths)))


@pytest.mark.parametrize("join", [
    lambda parts, more: op.concat([parts[0], more], 1),                     # the last part itself is not in it
    lambda parts, more: op.concat([parts[1], parts[0], more], 1),           # the other way round
    lambda parts, more: op.concat([parts[0], more, parts[1]], 1),           # not at its beginning
], ids=["in part", "turned", "mixed"])
def test_what_is_joined_otherwise_stays_as_it_is(join):
    model = block(join)
    before = kinds(model)
    assert join_whole(model) == 0
    assert kinds(model) == before
    assert np.array_equal(said(model), said(block(join)))


def test_parts_along_another_axis_are_not_joined():
    def aside(parts, more):
        return op.concat([*parts, more], 1)

    assert join_whole(block(aside, (4, 4), axis=1)) == 1
    layer = op.parameter([1, 8, 4, 8], np.float32)
    parts = op.variadic_split(layer, op.constant(np.int64(3)), op.constant(np.array([4, 4], np.int64))).outputs()
    model = openvino.Model([op.result(op.concat([*parts, op.exp(parts[1])], 1))], [layer], "aside")
    assert join_whole(model) == 0


def test_a_networks_every_number_stays_what_it_was(tmp_path):
    core = openvino.Core()
    graph = make_graph(OURS, Precision.FP32, tmp_path)
    before, after = (core.read_model(graph.xml) for _ in range(2))
    assert join_whole(after) >= 8           # of C3k2 blocks
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    outputs = [
        core.compile_model(with_pictures(model, PICTURE.shape[1:3]), "CPU", exact)(PICTURE).values()
        for model in (before, after)
    ]
    assert all(np.array_equal(one, other) for one, other in zip(*outputs, strict=True))
