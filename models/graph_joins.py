"""Where a network takes a layer apart and puts it together again, what was taken apart is taken as it was.

A YOLO11's blocks split a layer in two, go on from the second half, and join both halves with what came of it. Copying both
halves out and in again is a hundredth of the network's time and says nothing new: the join can begin with the whole layer,
and what goes on from a half gets that half alone. Every number stays what it was.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from models.loading import import_openvino


def join_whole(model: Any) -> int:
    """Changes the model so. Returns how many joins there were; a graph without any stays as it is."""
    joins = 0
    for apart in model.get_ordered_ops():
        if apart.get_type_name() != "VariadicSplit":
            continue
        join = _join_of(apart)
        if join is not None:
            _go_on_from(apart, join)
            joins += 1
    if joins:
        model.validate_nodes_and_infer_types()
    return joins


def _join_of(apart: Any) -> Any:
    """The concatenation that begins with all parts of a split, in order and along its axis; None where there is none."""
    parts, axis = apart.outputs(), _axis(apart)
    for target in parts[0].get_target_inputs():
        join = target.get_node()
        if join.get_type_name() == "Concat" and join.get_attributes()["axis"] == axis and join.get_input_size() > len(parts):
            begins = [join.input_value(k) for k in range(len(parts))]
            if all(b == p for b, p in zip(begins, parts, strict=True)):
                return join
    return None


def _axis(apart: Any) -> int:
    return int(np.asarray(apart.input_value(1).get_node().data))


def _go_on_from(apart: Any, join: Any) -> None:
    op = import_openvino().opset13
    whole, parts, axis = apart.input_value(0), apart.outputs(), _axis(apart)
    rest = [join.input_value(k) for k in range(len(parts), join.get_input_size())]
    ends = list(accumulate(p.partial_shape[axis].get_length() for p in parts))
    joined = op.concat([whole, *rest], axis)
    for target in join.output(0).get_target_inputs():
        target.replace_source_output(joined.output(0))
    for part, begin, end in zip(parts, [0, *ends], ends, strict=False):
        others = [t for t in part.get_target_inputs() if t.get_node() != join]
        if others:
            cut = op.slice(whole, *(op.constant(np.array([n], np.int64)) for n in (begin, end, 1, axis)))
            for target in others:
                target.replace_source_output(cut.output(0))
