"""For the cells that pass, the branch that was taken out of the graph says what it said inside; whatever their place."""

import numpy as np
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.box_branch import BoxBranch, BoxLayers, split
from models.graph_making import make_graph
from models.graph_network import compile_graph, with_pictures
from models.graphs import Precision
from models.registry import manifest, shipped_file

OURS = shipped_file(manifest()["trailwatch7n"])
SHAPE = (96, 160)
GRIDS = 3


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return make_graph(OURS, Precision.FP32, tmp_path_factory.mktemp("graphs"))


def of_chance(seed, channels=5, hidden=4, out=8):
    chance = np.random.default_rng(seed)

    def some(*shape):
        return chance.normal(0, 0.5, shape).astype(np.float32)

    return BoxLayers(
        some(9 * channels, hidden), some(hidden), some(9 * hidden, hidden), some(hidden), some(hidden, out), some(out)
    )


def plain(layers, features):
    """(rows, columns, out): the same three convolutions over a whole grid, written out."""
    def swish(x):
        return x / (1 + np.exp(-x))

    def over_nine(x, weights, bias):
        rows, columns, _ = x.shape
        wide = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        around = [wide[y : y + rows, z : z + columns] for y in range(3) for z in range(3)]
        return swish(np.concatenate(around, axis=2) @ weights + bias)

    hidden = over_nine(over_nine(features.astype(float), layers.first, layers.first_bias), layers.second, layers.second_bias)
    return hidden @ layers.last + layers.last_bias


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 9), st.floats(0.0, 1.0))
def test_any_cells_of_any_grid_say_what_the_whole_grid_says(seed, rows, columns, share):
    chance = np.random.default_rng(seed)
    layers = of_chance(seed)
    features = chance.normal(0, 1, (rows, columns, 5)).astype(np.float32)
    cells = np.flatnonzero(chance.random(rows * columns) < share)
    before = features.copy()
    said = BoxBranch(layers, (rows, columns)).sides(features.reshape(-1, 5), cells)
    expected = plain(layers, features).reshape(-1, 8)[cells]
    assert said.shape == (len(cells), 8)
    assert np.allclose(said, expected, atol=1e-4)
    assert np.array_equal(features, before), "the graph's own outputs are only read"


def test_what_was_taken_out_of_a_real_graph_says_what_openvino_says_of_every_cell(graph):
    picture = np.random.default_rng(5).integers(0, 256, (1, *SHAPE, 3), np.uint8)
    whole = list(compile_graph(graph, Precision.FP32, SHAPE, 1)(picture).values())
    core = openvino.Core()
    rest, layers = split(core.read_model(graph.xml), GRIDS)
    said = list(core.compile_model(with_pictures(rest, SHAPE), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(picture).values())
    for k in range(GRIDS):
        rows, columns, channels = said[k].shape[1:]
        sides = BoxBranch(layers[k], (rows, columns)).sides(said[k].reshape(-1, channels), np.arange(rows * columns))
        assert np.abs(sides - whole[k].reshape(rows * columns, -1)).max() < 1e-3
        assert np.abs(said[GRIDS + k] - whole[GRIDS + k]).max() < 1e-3, "what is in the cells stays in the graph"


def test_a_graph_whose_branches_are_others_is_refused_and_not_decoded_wrongly(graph):
    model = openvino.Core().read_model(graph.xml)
    results = model.get_results()
    wrong = openvino.Model(results[GRIDS:] + results[:GRIDS], model.get_parameters(), "turned round")
    with pytest.raises(ValueError, match="box branches are not those of a YOLO11"):
        split(wrong, GRIDS)
