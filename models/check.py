"""How much mAP50 a precision loses on labelled pictures, against ultralytics with the weights themselves."""

from __future__ import annotations

from pathlib import Path

import msgspec

from models.evaluate import BOXES_LIMIT, LOWEST_SCORE, OVERLAP_LIMIT, FoundBoxes, Image, YoloFinder, evaluate, load_samples
from models.graph_network import GraphNetwork, Limits
from models.graphs import Check, Graph, Precision
from wire.settings import SettingsError

LIMITS = Limits(LOWEST_SCORE, OVERLAP_LIMIT, BOXES_LIMIT)
THRESHOLD = 0.4                 # of an evaluation's precision and recall; the mAP50 does not depend on it


class GraphFinder:
    """An exported graph down to the lowest scores, as average precision wants it. Raises SettingsError."""

    def __init__(self, graph: Graph, precision: Precision, input_size_px: int, threads: int) -> None:
        self._network = GraphNetwork(graph, precision, input_size_px, threads, LIMITS)

    def __call__(self, image: Image) -> FoundBoxes:
        return FoundBoxes(*self._network.find(image))


def check_precision(
    graph: Graph, precision: Precision, weights: Path, folder: Path, input_size_px: int, threads: int,
) -> Check:
    """Evaluate both on `folder`, and write what came of it beside the graph, where nodes look. Raises SettingsError."""
    samples = load_samples(folder)
    reference, ours = (
        evaluate(
            samples, find, threshold=THRESHOLD, folder=str(folder), weights=weights.name, input_size_px=input_size_px,
        )
        for find in (
            YoloFinder(weights, input_size_px, threads), GraphFinder(graph, precision, input_size_px, threads),
        )
    )
    if reference.map50 is None or ours.map50 is None:
        raise SettingsError(f"{folder}: nothing is labelled in it, so nothing can be measured. Give labelled pictures.")
    check = Check(
        precision, graph.digest, weights.name, str(folder), reference.pictures, reference.objects, input_size_px,
        round(reference.map50, 5), round(ours.map50, 5),
    )
    beside = graph.check_file(precision).with_suffix(".new")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(check)))
    beside.replace(graph.check_file(precision))
    return check
