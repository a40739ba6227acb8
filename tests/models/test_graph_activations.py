"""Parabolas stand where exponentials were, a network says nearly the same, and what is small or cannot be followed stays."""

import numpy as np
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.box_branch import split
from models.graph_activations import fit_curves, hardswish, swish, without_exponentials
from models.graph_making import make_graph
from models.graphs import Precision
from models.registry import manifest, shipped_file

op = openvino.opset13
OURS = shipped_file(manifest()["trailwatch7n"])
PICTURES = [np.random.default_rng(k).random((1, 3, 48, 64)).astype(np.float32) for k in range(8)]


def bent(curves, channel, y):
    stretch, move = curves.stretch[channel], curves.move[channel]
    return hardswish(stretch * y + move) / stretch + curves.lift[channel]


def convolved(x, chance, channels, *, into, groups=False, strides=1, loud=1.0):
    """A convolution of 3 x 3 with a bias; groups: each channel by itself."""
    shape = (channels, 1, 1, 3, 3) if groups else (into, channels, 3, 3)
    weights = op.constant(chance.normal(0, loud / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32))
    make = op.group_convolution if groups else op.convolution
    there = make(x, weights, [strides] * 2, [1, 1], [1, 1], [1, 1])
    return op.add(there, op.constant(chance.normal(0, 0.3, (1, into, 1, 1)).astype(np.float32)))


def network(depth=4, loud=3.0):
    """Layers of 8 channels, one after the other, every second one channel by channel; the last has no activation."""
    chance = np.random.default_rng(11)
    picture = op.parameter([1, 3, -1, -1], np.float32)
    x = op.swish(convolved(picture, chance, 3, into=8, loud=loud))
    for k in range(depth - 1):
        x = op.swish(convolved(x, chance, 8, into=8, groups=k % 2 == 0, loud=loud))
    return openvino.Model([op.result(convolved(x, chance, 8, into=5))], [picture], "network")


def said(model, picture):
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(picture)[0]


def kinds(model):
    return [node.get_type_name() for node in model.get_ordered_ops()]


def apart(model, other, pictures):
    """What two networks say, as the mean square between them over the variance of the first."""
    first, second = (np.stack([said(m, p) for p in pictures]) for m in (model, other))
    return float(((first - second) ** 2).mean() / first.var())


@given(
    middle=st.floats(-6, 6), spread=st.floats(0.05, 4), seed=st.integers(0, 1_000),
)
@settings(max_examples=60, deadline=None)
def test_whatever_a_channel_has_seen_its_curve_is_near_and_nowhere_far(middle, spread, seed):
    y = np.random.default_rng(seed).normal(middle, spread, (1, 4_000))
    curves = fit_curves(y, swish(y))
    assert np.sqrt(((bent(curves, 0, y) - swish(y)) ** 2).mean()) < 0.12
    anything = np.linspace(-60, 60, 4_801)
    assert np.abs(bent(curves, 0, anything) - swish(anything)).max() < 1.1


def test_a_channel_of_its_own_range_is_followed_better_than_by_one_curve_for_all():
    y = np.random.default_rng(2).normal(-0.8, 0.6, (1, 20_000))
    left = ((bent(fit_curves(y, swish(y)), 0, y) - swish(y)) ** 2).mean()
    assert left < 0.15 * ((hardswish(y) - swish(y)) ** 2).mean()


def test_values_beyond_all_bins_count_as_what_they_are():
    """A first layer's go up to a hundred."""
    y = np.concatenate([np.random.default_rng(4).normal(0, 1, (1, 3_000)), np.full((1, 1_000), 80.0)], axis=1)
    curves = fit_curves(y, swish(y))
    assert abs(bent(curves, 0, np.array(80.0)) - 80.0) < 0.2 and curves.fit > 1_000


def test_a_network_without_exponentials_says_nearly_the_same():
    model = network()
    assert without_exponentials(model, 0, PICTURES) == 4
    assert kinds(model).count("HSwish") == 4 and "Swish" not in kinds(model)
    others = [np.random.default_rng(100 + k).random((1, 3, 48, 64)).astype(np.float32) for k in range(3)]
    left = apart(network(), model, others)
    plain = network()
    for node in plain.get_ordered_ops():
        if node.get_type_name() == "Swish":
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(op.hswish(node.input_value(0)).output(0))
    assert left < 0.02 and left < 0.2 * apart(network(), plain, others)


def test_what_is_small_keeps_its_exponential():
    chance = np.random.default_rng(11)
    picture = op.parameter([1, 3, -1, -1], np.float32)
    large = op.swish(convolved(picture, chance, 3, into=8, loud=3.0))
    small = op.swish(convolved(large, chance, 8, into=8, strides=16, loud=3.0))
    model = openvino.Model([op.result(convolved(small, chance, 8, into=2))], [picture], "network")
    assert without_exponentials(model, 0, PICTURES) == 1
    assert kinds(model).count("HSwish") == 1 and kinds(model).count("Swish") == 1


def test_what_is_no_convolutions_own_stays_as_it_is():
    """Of a sum of two layers, of a convolution that somebody else reads as well, with a slope of its own."""
    chance = np.random.default_rng(6)
    picture = op.parameter([1, 3, -1, -1], np.float32)
    one, two = (convolved(picture, chance, 3, into=8) for _ in range(2))
    read_twice, sloped = op.swish(one), op.swish(two, op.constant(np.float32(1.5)))
    added = op.swish(op.add(one, two))
    model = openvino.Model([op.result(n) for n in (read_twice, sloped, added)], [picture], "network")
    before = [said(model, PICTURES[0])]
    assert without_exponentials(model, 0, PICTURES) == 0
    assert np.array_equal(before[0], said(model, PICTURES[0])) and "HSwish" not in kinds(model)


def test_box_branches_keep_theirs_and_are_still_worked_out_beside_the_graph(tmp_path):
    core = openvino.Core()
    graph = make_graph(OURS, Precision.FP32, tmp_path)
    model, exact = core.read_model(graph.xml), core.read_model(graph.xml)
    pictures = [p[:, :, :32] for p in PICTURES[:2]]
    assert without_exponentials(model, 3, pictures) >= 5
    network, layers = split(model, 3)
    before = split(exact, 3)[1]
    assert "HSwish" in kinds(network)
    for mine, theirs in zip(layers, before, strict=True):
        assert np.array_equal(mine.first, theirs.first) and np.array_equal(mine.last_bias, theirs.last_bias)


@pytest.mark.parametrize("values", [(0.0,), (-3.0, 2.0)])
def test_a_channel_that_always_says_the_same_is_taken_for_what_it_is(values):
    y = np.repeat(np.array([values]), 500, axis=1)
    curves = fit_curves(y, swish(y))
    assert np.abs(bent(curves, 0, y) - swish(y)).max() < 0.1
