"""Exported graphs on this machine: which there are, whether they are whole, and which of them a node may run.

A graph lives in a folder of its own, named by the SHA-256 of its weights, how its numbers are stored, and the version of
OpenVINO that made it:

    GRAPHS/4f1c2d3e4a5b6c7d-fp32-openvino2026.4.1/graph.xml, graph.bin, card.json, check-bf16.json

It is made beside that name and then renamed, and its card holds the hashes of its files: what was cut off by a kill or a
power cut is no graph, and is made anew. Height and width of the picture are free: whoever runs it says them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import msgspec

from models.registry import cache_folder, digest_of

GRAPH, CARD = "graph.xml", "card.json"
FILES = (GRAPH, "graph.bin")
LOSS_LIMIT_POINTS = 1.0         # of mAP50, in hundredths: the default is the fastest precision that loses less
REFERENCE_LEAST = 0.1           # mAP50 of the weights themselves: of less, a point is more than a tenth
OBJECTS_LEAST = 100             # labelled objects of a check: by fewer, one point is a single find

_log = logging.getLogger("trailwatch.models")


class Precision(StrEnum):
    """bf16: stored as fp32, and run in half of it. fp16: a form for other programs; nodes do not use it."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"

    @property
    def stored(self) -> Precision:
        return Precision.FP32 if self is Precision.BF16 else self


FASTEST_FIRST = (Precision.INT8, Precision.BF16, Precision.FP32)


class GraphCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a graph was made of. names: the network's own classes. strides: pixels of a cell, of each of its grids.

    calibration: of 8 bits, the pictures that set its ranges. files: SHA-256 of each.
    """

    weights: str
    weights_sha256: str
    precision: Precision
    openvino: str
    ultralytics: str
    names: dict[int, str]
    strides: tuple[int, ...]
    files: dict[str, str]
    calibration: str = ""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a precision loses on labelled pictures: the mAP50 of ultralytics with the weights, and of this road.

    graph_sha256: of graph.bin, so that the check of one graph is never taken for another's.
    """

    precision: Precision
    graph_sha256: str
    weights: str
    folder: str
    pictures: int
    objects: int
    input_size_px: int
    map50_reference: float
    map50: float

    @property
    def loss_points(self) -> float:
        """Hundredths of mAP50; below 0 where the faster one happens to do better."""
        return round(100.0 * (self.map50_reference - self.map50), 2)

    @property
    def objection(self) -> str:
        """Why a node does not run this precision by itself; empty where it does."""
        if self.objects < OBJECTS_LEAST:
            return f"checked on {self.objects} labelled objects, and {OBJECTS_LEAST} are the least that say anything"
        if self.map50_reference < REFERENCE_LEAST:
            return (
                f"the weights themselves reach a mAP50 of {self.map50_reference:g} on {self.folder}, and below "
                f"{REFERENCE_LEAST:g} no loss can be judged: look at the class numbers of its labels, or take other pictures"
            )
        if self.loss_points >= LOSS_LIMIT_POINTS:
            return f"it loses {self.loss_points:g} points of mAP50 on {self.folder}, and {LOSS_LIMIT_POINTS:g} is the limit"
        return ""


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole graph in its folder."""

    folder: Path
    card: GraphCard

    @property
    def xml(self) -> Path:
        return self.folder / GRAPH

    @property
    def digest(self) -> str:
        return self.card.files["graph.bin"]

    def check_file(self, precision: Precision) -> Path:
        return self.folder / f"check-{precision.value}.json"


def graph_folders(data_dir: Path | None = None) -> tuple[Path, ...]:
    """Where graphs are looked for, and made in the first of them that can be written: the cache that all nodes of a machine
    share, and then a node's own data folder.
    """
    shared = cache_folder().parent / "graphs"
    return (shared,) if data_dir is None else (shared, data_dir / "graphs")


def writable(folders: Iterable[Path]) -> Path | None:
    """The first folder that is there or can be made, and be written to."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def folder_name(weights_sha256: str, stored: Precision) -> str:
    return f"{weights_sha256[:16]}-{stored.value}-openvino{version('openvino')}"


def read_graph(folder: Path) -> Graph | None:
    """The graph in a folder, or None for one that is not there or not whole: which is said in the log."""
    try:
        card = msgspec.json.decode((folder / CARD).read_bytes(), type=GraphCard)
        broken = [name for name in FILES if digest_of(folder / name) != card.files.get(name)]
    except FileNotFoundError as error:
        if folder.exists():
            _log.warning("%s: no whole graph, %s is missing", folder, Path(str(error.filename)).name)
        return None
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("%s: no whole graph: %s", folder, error)
        return None
    if broken:
        _log.warning("%s: no whole graph, %s is not what its card says", folder, " and ".join(broken))
        return None
    return Graph(folder, card)


def find_graph(weights_sha256: str, precision: Precision, folders: Iterable[Path]) -> Graph | None:
    """The whole graph by which these weights are run in this precision, made by the OpenVINO that is installed."""
    stored = precision.stored
    for folder in folders:
        graph = read_graph(folder / folder_name(weights_sha256, stored))
        if graph is not None and graph.card.weights_sha256 == weights_sha256 and graph.card.precision is stored:
            return graph
    return None


def read_check(graph: Graph, precision: Precision) -> Check | None:
    """The check of a graph in a precision; None where there is none that can be read, or it is another graph's."""
    path = graph.check_file(precision)
    try:
        check = msgspec.json.decode(path.read_bytes(), type=Check)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("%s: not a check that can be read: %s", path, error)
        return None
    return check if check.precision is precision and check.graph_sha256 == graph.digest else None


def objection_to(weights_sha256: str, precision: Precision, folders: Collection[Path]) -> str:
    """Why these weights may not be run in this precision; empty where they may. fp32 needs no check: it loses nothing."""
    if precision is Precision.FP32:
        return ""
    graph = find_graph(weights_sha256, precision, folders)
    if graph is None:
        return f"there is no whole {precision.stored.value} graph of these weights"
    check = read_check(graph, precision)
    return "nobody has checked what it loses" if check is None else check.objection


def fastest(weights_sha256: str, folders: Collection[Path], able: Collection[Precision]) -> Precision:
    """The fastest precision that this processor is `able` to gain by and whose check allows it; fp32 where none is."""
    for precision in FASTEST_FIRST:
        if precision in able and not objection_to(weights_sha256, precision, folders):
            return precision
    return Precision.FP32
