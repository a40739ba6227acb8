"""Objects in one picture, by the exported graph through OpenVINO: what nodes run, without torch in their process."""

from __future__ import annotations

from edge.detector import BOXES_LIMIT, LOWEST_SCORE, OVERLAP_LIMIT, Detector, Found
from edge.sources import Image
from models.graph_network import GraphNetwork
from models.graphs import Graph, Precision


class OpenVinoDetector(Detector):
    """A graph in a precision. input_size_px: longer side of the picture it is shown. threads: of the network.

    Several pictures are looked at one after the other: on one thread a batch takes as long, see benchmarks/edge.py.
    Raises wire.settings.SettingsError for a graph that cannot be run or knows none of our classes.
    """

    def __init__(self, graph: Graph, precision: Precision, input_size_px: int, threads: int) -> None:
        self.precision = precision
        self._network = GraphNetwork(graph, precision, input_size_px, threads)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels of a picture that the network sees as it is; others are scaled to it."""
        return self._network.shape

    def find(self, image: Image) -> Found:
        """(height, width, 3) blue, green, red to what is in it, boxes in the picture's own pixels."""
        return Found(*self._network.find(image, LOWEST_SCORE, OVERLAP_LIMIT, BOXES_LIMIT))
