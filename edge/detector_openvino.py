"""Objects in one picture, by the exported graph through OpenVINO: what nodes run, without torch in their process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.detector import BOXES_LIMIT, LOWEST_SCORE, OVERLAP_LIMIT, Detector, Found
from edge.sources import Image
from models.graph_network import GraphNetwork, Limits
from models.graphs import Graph, Precision
from models.letterbox import WIDE

LIMITS = Limits(LOWEST_SCORE, OVERLAP_LIMIT, BOXES_LIMIT)


class OpenVinoDetector(Detector):
    """A graph in a precision. input_size_px: longer side of the picture it is shown. threads: of the network.

    picture: height and width of the camera's pictures, whose shape crops should have as well.

    Several pictures are looked at one after the other on one thread, where a batch takes as long; on more, one a thread.
    Raises wire.settings.SettingsError for a graph that cannot be run or knows none of our classes.
    """

    def __init__(
        self, graph: Graph, precision: Precision, input_size_px: int, threads: int, picture: tuple[int, int] = WIDE,
    ) -> None:
        self.precision = precision
        self._names = graph.card.names
        self._network = GraphNetwork(graph, precision, input_size_px, threads, LIMITS, picture)

    @property
    def names(self) -> Mapping[int, str]:
        """All that the network knows, by its own numbers."""
        return self._names

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels of a picture that the network sees as it is; others are scaled to it."""
        return self._network.shape

    def find(self, image: Image) -> Found:
        """(height, width, 3) blue, green, red to what is in it, boxes in the picture's own pixels."""
        return Found(*self._network.find(image))

    def shown(self, image: Image) -> Image | None:
        """The picture that find was handed last, scaled as the network saw it; see edge.detector.Detector."""
        return self._network.shown(image)

    def find_many(self, images: Sequence[Image]) -> list[Found]:
        """Of each picture what is in it, as find does."""
        return [Found(*said) for said in self._network.find_many(images)]
