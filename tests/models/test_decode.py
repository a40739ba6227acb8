"""Suppression is torchvision's; decoding is the head's, cell by cell."""

import math

import numpy as np
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decode import boxes_of, grid_of, passing, suppress

STRIDES = (8, 16)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 5, 60, 257, 768]), st.sampled_from([0.3, 0.6, 0.7]),
       st.sampled_from([1, 10, 10_000]))
def test_the_same_boxes_stay_as_with_torchvision(seed, count, limit, most):
    chance = np.random.default_rng(seed)
    corner, side = chance.uniform(-40, 200, (count, 2)), chance.uniform(1, 90, (count, 2))
    boxes = np.hstack([corner, corner + side])
    scores, classes = chance.permutation(count) / max(1, count), chance.integers(0, 3, count)
    apart = torch.tensor(boxes + classes[:, None] * 10_000.0)
    theirs = torchvision.ops.nms(apart, torch.tensor(scores), limit)[:most].numpy()
    assert np.array_equal(suppress(boxes, scores, classes, limit, most), theirs)


def heads(seed, rows=3, columns=4, kinds=5, distances=16):
    chance = np.random.default_rng(seed)
    shapes = [(rows, columns), ((rows + 1) // 2, columns // 2)]
    sides = [chance.normal(0, 3, (*s, 4 * distances)).astype(np.float32) for s in shapes]
    return sides, [chance.normal(-2, 2, (*s, kinds)).astype(np.float32) for s in shapes]


def decoded(sides, logits, lowest_score, ours=(True,) * 5):
    together = [np.concatenate([v.reshape(-1, v.shape[-1]) for v in part]) for part in (sides, logits)]
    cells, scores, classes = passing(together[1], lowest_score, np.array(ours))
    return boxes_of(together[0][cells], grid_of([v.shape[:2] for v in sides], STRIDES), cells), scores, classes


def test_each_cell_that_passes_is_decoded_and_no_other():
    sides, logits = heads(3)
    boxes, scores, classes = decoded(sides, logits, 0.3)
    expected = []
    for side, logit, stride in zip(sides, logits, STRIDES, strict=True):
        for y, x in np.ndindex(logit.shape[:2]):
            score = 1 / (1 + math.exp(-float(logit[y, x].max())))
            if score <= 0.3:
                continue
            left, top, right, bottom = (
                sum(math.exp(v) * k for k, v in enumerate(part)) / sum(math.exp(v) for v in part)
                for part in side[y, x].astype(float).reshape(4, -1)
            )
            box = np.array([x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom]) * stride
            expected.append((box, score, int(logit[y, x].argmax())))
    assert 3 < len(expected) < sum(s.shape[0] * s.shape[1] for s in sides)
    assert np.allclose(boxes, [e[0] for e in expected])
    assert np.allclose(scores, [e[1] for e in expected])
    assert list(classes) == [e[2] for e in expected]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=5, max_size=5))
def test_a_cell_counts_where_the_surest_class_of_all_is_one_of_ours(seed, wanted):
    sides, logits = heads(seed)
    boxes, scores, classes = decoded(sides, logits, 0.3)
    kept = np.array(wanted)[classes]
    ours = decoded(sides, logits, 0.3, wanted)
    for got, expected in zip(ours, (boxes[kept], scores[kept], classes[kept]), strict=True):
        assert np.array_equal(got, expected)


def test_where_nothing_passes_nothing_comes_and_logits_of_any_size_are_borne():
    sides, logits = heads(4)
    boxes, scores, classes = decoded(sides, [np.full_like(v, -20.0) for v in logits], 0.1)
    assert boxes.shape == (0, 4) and len(scores) == len(classes) == 0
    boxes, scores, _ = decoded([v * 1000 for v in sides], [np.full_like(v, 800.0) for v in logits], 0.1)
    assert np.isfinite(boxes).all() and (scores == 1.0).all()
