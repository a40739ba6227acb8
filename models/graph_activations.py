"""Activations without their exponential, for a network of 8 bits: parabolas in their place, fitted to what each channel has.

A YOLO11 bends what every convolution says by y / (1 + e^-y). In 8 bits the convolutions are so quick that a quarter of
the network's time goes into the exponentials. hardswish, y * clip(y / 6 + 1/2, 0, 1), costs a fraction, and is another
curve: put in its place as it is, half of what the network finds is gone. So each channel gets one, stretched and moved,

    h(a * y + b) / a + d        h: hardswish; straight as the other curve is, for large y as for small

by least squares over the values that this channel has in the calibration's pictures. The layers are fitted from the picture
on, each to what the exact network says there, given what reaches it through those replaced before; what the others are given
is brought back to its mean and spread. So errors do not add up on the way.

Only large layers are replaced, where there is time to be gained, and only where the fit explains their output well. Whether
too much is lost is not decided here: an 8-bit network is run by a node after its check alone (models/check.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from models.decode import Floats
from models.loading import import_openvino

LEAST_SHARE = 0.02              # of all activations of the network: below it a layer is not worth a loss
LEAST_FIT = 200.0               # variance of a layer's output over what the fit leaves: 23 dB
POSITIONS = 200                 # of a layer in each picture, by chance
RANGE, BINS = 12.0, 960         # of values of which the curve is fitted; beyond 5 both curves are straight
STRETCHES = np.linspace(0.45, 1.7, 26)
MOVES = np.linspace(-0.9, 0.9, 25)
UNSEEN = 0.02                   # weight of values that no picture had: a network meets others than those of its calibration
SCALE_LIMITS = (0.7, 1.3)       # of what is given to a layer, for bringing it back to what the exact network gives it

Values = npt.NDArray[np.float64]

_log = logging.getLogger("trailwatch.models")


@dataclass(frozen=True, slots=True)
class Curves:
    """One layer's: stretch a, move b, lift d, (channels,) each. fit: variance of its output over what is left of it."""

    stretch: Values
    move: Values
    lift: Values
    fit: float


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A convolution, its bias and its activation. share: of all activations of the network."""

    activation: Any
    share: float

    @property
    def bias(self) -> Any:
        return self.activation.input_value(0).get_node()

    @property
    def convolution(self) -> Any:
        return self.bias.input_value(0).get_node()

    def scale(self, by: Values, more: Values) -> None:
        """What the activation is given becomes by * it + more, (channels,) each."""
        convolution, bias = self.convolution, self.bias
        weights = _numbers(convolution.input_value(1))
        per_channel = by.reshape(-1, *[1] * (weights.ndim - 1))
        if convolution.get_type_name() == "GroupConvolution":
            per_channel = by.reshape(*weights.shape[:2], *[1] * (weights.ndim - 2))
        convolution.input(1).replace_source_output(_constant(weights * per_channel))
        old = _numbers(bias.input_value(1)).reshape(1, -1, 1, 1)
        bias.input(1).replace_source_output(_constant(old * _across(by) + _across(more)))

    def replace(self, curves: Curves) -> None:
        """Take the activation out and put the curves in."""
        op = import_openvino().opset13
        self.scale(curves.stretch, curves.move)
        bent = op.multiply(op.hswish(self.bias.output(0)), _constant(_across(1.0 / curves.stretch)))
        lifted = op.add(bent, _constant(_across(curves.lift)))
        for target in self.activation.output(0).get_target_inputs():
            target.replace_source_output(lifted.output(0))


def without_exponentials(model: Any, kept: int, pictures: Sequence[Floats]) -> int:
    """Changes a graph as models.graph_making.cut leaves it. Returns how many layers were replaced.

    kept: its first outputs, whose last two activations stay as they are: models/box_branch.py works them out. pictures: of
    the calibration, (1, 3, height, width) from 0 to 1 each. A graph without such layers stays as it is.
    """
    layers = _layers(model, kept, pictures[0].shape)
    if not layers:
        return 0
    given = _given([layer.bias for layer in layers], model, pictures)
    replaced = 0
    for layer, kept_small in zip(layers, given, strict=True):
        exactly = has = kept_small.astype(float)
        if replaced:
            has = _given([layer.bias], model, pictures)[0].astype(float)
            by, more = _back(has, exactly)
            has = has * by[:, None] + more[:, None]
            layer.scale(by, more)
        # Whether the curve can be followed is asked of what the exact network sees, without the errors from before.
        if layer.share >= LEAST_SHARE and fit_curves(exactly, swish(exactly)).fit >= LEAST_FIT:
            layer.replace(fit_curves(has, swish(exactly)))
            replaced += 1
    model.validate_nodes_and_infer_types()
    _log.info("%d of %d activations are parabolas", replaced, len(layers))
    return replaced


def swish(y: Values) -> Values:
    """y / (1 + e^-y)."""
    return np.asarray(y / (1.0 + np.exp(-np.clip(y, -50.0, None))))


def hardswish(y: Values) -> Values:
    """y * clip(y / 6 + 1/2, 0, 1)."""
    return np.asarray(y * np.clip(y / 6.0 + 0.5, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class _Tried:
    """All curves that are tried. middles: (bins,) of the bins. stretch, move: (curves,). said: (curves, bins)."""

    middles: Values
    stretch: Values
    move: Values
    said: Values


@cache
def _tried() -> _Tried:
    middles = (np.arange(BINS).astype(float) + 0.5) * (2 * RANGE / BINS) - RANGE
    stretch, move = np.repeat(STRETCHES, len(MOVES)), np.tile(MOVES, len(STRETCHES))
    return _Tried(middles, stretch, move, hardswish(stretch[:, None] * middles + move[:, None]) / stretch[:, None])


def fit_curves(has: Values, wanted: Values) -> Curves:
    """The curves that make of `has` (channels, values) what is nearest to `wanted`, of the same shape; least squares."""
    tried, channels = _tried(), len(has)
    # There both curves are straight, and as far from each other as at the last bin.
    wanted = wanted - np.maximum(has - RANGE, 0.0)
    bins = np.clip(((has + RANGE) * (BINS / (2 * RANGE))).astype(int), 0, BINS - 1)
    flat = (np.arange(channels)[:, None] * BINS + bins).ravel()
    # Of each bin its weight, and its share of the mean of what is wanted.
    weight, mean = (
        np.bincount(flat, weights=w, minlength=channels * BINS).reshape(channels, BINS) / has.shape[1]
        for w in (None, wanted.ravel())
    )
    unseen = np.exp(-np.abs(tried.middles) / 2.0)
    unseen /= unseen.sum()
    there = swish(tried.middles)
    weight = (1 - UNSEEN) * weight + UNSEEN * unseen
    mean = (1 - UNSEEN) * mean + UNSEEN * unseen * there
    square = (1 - UNSEEN) * (wanted**2).mean(axis=1) + UNSEEN * float((unseen * there**2).sum())
    whole = mean.sum(axis=1)
    said, said_square, both = weight @ tried.said.T, weight @ (tried.said**2).T, mean @ tried.said.T
    lift = whole[:, None] - said
    left = square[:, None] - 2 * both + said_square - lift**2
    best = left.argmin(axis=1)
    each = np.arange(channels)
    varies = (square - whole**2).sum()
    return Curves(
        tried.stretch[best], tried.move[best], lift[each, best], float(varies / max(left[each, best].sum(), 1e-12)),
    )


def _back(has: Values, wanted: Values) -> tuple[Values, Values]:
    """The scale and the rest, (channels,) each, that bring `has` nearest to `wanted`, (channels, values) each."""
    has_mean, wanted_mean = has.mean(axis=1), wanted.mean(axis=1)
    by = np.clip(wanted.std(axis=1) / np.maximum(has.std(axis=1), 1e-9), *SCALE_LIMITS)
    return by, wanted_mean - by * has_mean


def _layers(model: Any, kept: int, shape: Sequence[int]) -> list[_Layer]:
    """Convolutions with a bias and an activation, from the picture on, without those that stay."""
    stay = {name for result in model.get_results()[:kept] for name in _last_two(result.input_value(0).get_node())}
    found = [n for n in model.get_ordered_ops() if _bends_a_convolution(n) and n.get_friendly_name() not in stay]
    if not found:
        return []
    fixed = model.clone()
    fixed.reshape(list(shape))
    sizes = {
        n.get_friendly_name(): int(np.prod(list(n.output(0).shape)))
        for n in fixed.get_ordered_ops() if n.get_type_name() == "Swish"
    }
    total = sum(sizes.values())
    return [_Layer(n, sizes[n.get_friendly_name()] / total) for n in found]


def _last_two(end: Any) -> list[str]:
    """Upwards from the end of a branch: its last two activations, or as many as there are in a row."""
    names: list[str] = []
    node = end
    while len(names) < 2 and node.get_input_size():
        if node.get_type_name() == "Swish":
            names.append(node.get_friendly_name())
        node = node.input_value(0).get_node()
    return names


def _bends_a_convolution(node: Any) -> bool:
    if node.get_type_name() != "Swish" or any(_slope(node.input_value(k)) != 1.0 for k in range(1, node.get_input_size())):
        return False
    bias = node.input_value(0).get_node()
    if bias.get_type_name() != "Add" or len(bias.output(0).get_target_inputs()) != 1:
        return False
    convolution = bias.input_value(0).get_node()
    constants = (bias.input_value(1), convolution.input_value(1)) if convolution.get_input_size() > 1 else ()
    return (
        convolution.get_type_name() in ("Convolution", "GroupConvolution")
        and len(convolution.output(0).get_target_inputs()) == 1
        and all(c.get_node().get_type_name() == "Constant" for c in constants)
    )


def _slope(output: Any) -> float | None:
    """Of an activation y / (1 + e^(-slope * y)); None where the network works it out."""
    return float(_numbers(output).reshape(())) if output.get_node().get_type_name() == "Constant" else None


def _given(nodes: Sequence[Any], model: Any, pictures: Sequence[Floats]) -> list[npt.NDArray[np.float16]]:
    """(channels, values) of what each node says to the pictures, at places by chance that are the same at every call."""
    openvino = import_openvino()
    watched = openvino.Model([openvino.opset13.result(n.output(0)) for n in nodes], model.get_parameters(), "watched")
    compiled = openvino.Core().compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    parts: list[list[npt.NDArray[np.float16]]] = [[] for _ in nodes]
    for k, picture in enumerate(pictures):
        for part, said in zip(parts, compiled(picture).values(), strict=True):
            cells = said.reshape(said.shape[1], -1)
            chance = np.random.default_rng([k, cells.shape[1]])
            chosen = chance.choice(cells.shape[1], min(POSITIONS, cells.shape[1]), replace=False)
            part.append(cells[:, chosen].astype(np.float16))
    return [np.concatenate(part, axis=1) for part in parts]


def _numbers(output: Any) -> Floats:
    return np.asarray(output.get_node().data, np.float32)


def _across(values: Values) -> Values:
    return values.reshape(1, -1, 1, 1)


def _constant(values: npt.ArrayLike) -> Any:
    return import_openvino().opset13.constant(np.ascontiguousarray(values, np.float32)).output(0)
