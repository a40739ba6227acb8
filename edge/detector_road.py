"""Which way a node runs its weights: OpenVINO in the fastest precision that has proved itself, or else ultralytics."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from edge.detector import CLASSES, Detector, UltralyticsDetector
from edge.detector_openvino import OpenVinoDetector
from edge.settings import DetectorSettings, PrecisionChoice, Road
from models.graph_making import make_graph_apart
from models.graph_network import able
from models.graphs import Precision, fastest, find_graph, graph_folders, objection_to, writable
from models.letterbox import WIDE
from models.loading import our_classes, told
from models.processor import take_vnni
from models.registry import digest_of
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.settings import SettingsError, refuse
from wire.units import ObjectClass

_log = logging.getLogger("trailwatch.edge")


def open_detector(
    config: Path, settings: DetectorSettings, weights: Path, data_dir: Path, picture: tuple[int, int] = WIDE,
) -> tuple[Detector, NodeText]:
    """A detector for these weights, and what is wrong with the way it is run: words for the node's health, or nothing.

    config: the node's settings file, for errors to name. data_dir: the node's, for graphs where the cache is closed to it.
    picture: height and width of its camera's pictures. Raises SettingsError where no way is left,
    and for weights that know no people.
    """
    detector, problem = _opened(config, settings, weights, data_dir, picture)
    _refuse_without_people(config, weights, detector.names)
    return detector, problem


def _refuse_without_people(config: Path, weights: Path, names: Mapping[int, str]) -> None:
    known = {CLASSES[k] for k in our_classes(names, weights).values()}
    if ObjectClass.PERSON not in known:
        raise refuse(
            config, ["detector", "weights"], f"{weights.name} finds no people: it knows {told(names.values())}, and none of "
            "these is a person. Give weights trained on COCO, or on people whose class is called person.",
        )
    absent = [c.value for c in CLASSES if c not in known]
    if absent:
        _log.warning("%s never finds %s: it knows %s", weights.name, ", ".join(absent), told(names.values()))


def _opened(
    config: Path, settings: DetectorSettings, weights: Path, data_dir: Path, picture: tuple[int, int],
) -> tuple[UltralyticsDetector | OpenVinoDetector, NodeText]:
    if settings.road is not Road.ULTRALYTICS:
        try:
            return _through_openvino(settings, weights, data_dir, picture)
        except SettingsError as error:
            if settings.road is Road.OPENVINO:
                raise refuse(config, ["detector", "road"], f'{error} "auto" lets ultralytics run it.') from None
            problem = node_text("slow_detector", error=str(error))
            _log.warning("%s", problem)
            return UltralyticsDetector(weights, settings.input_size_px, settings.threads), problem
    return UltralyticsDetector(weights, settings.input_size_px, settings.threads), NO_TEXT


def _through_openvino(
    settings: DetectorSettings, weights: Path, data_dir: Path, picture: tuple[int, int],
) -> tuple[OpenVinoDetector, NodeText]:
    digest, folders = digest_of(weights), graph_folders(data_dir)
    precision, problem = _precision(settings.precision, digest, folders)
    graph = find_graph(digest, precision, folders)
    if graph is None:
        folder = writable(folders)
        reason = "neither the cache nor data_dir can be written to" if folder is None else make_graph_apart(weights, folder)
        graph = find_graph(digest, precision, folders)
        if graph is None:
            raise SettingsError(f"{weights.name} was not exported for OpenVINO: {reason or 'no whole graph came of it'}.")
    detector = OpenVinoDetector(graph, precision, settings.input_size_px, settings.threads, picture)
    _log.info("%s runs through OpenVINO in %s, from %s", weights.name, precision.value, graph.folder)
    return detector, problem


def _precision(choice: PrecisionChoice, digest: str, folders: tuple[Path, ...]) -> tuple[Precision, NodeText]:
    if choice in (PrecisionChoice.AUTO, PrecisionChoice.INT8) and not objection_to(digest, Precision.INT8, folders):
        take_vnni()             # before OpenVINO is asked for the first time
    if choice is PrecisionChoice.AUTO:
        return fastest(digest, folders, able()), NO_TEXT
    wanted = Precision(choice.value)
    objection = objection_to(digest, wanted, folders)
    if not objection:
        return wanted, NO_TEXT
    problem = node_text("full_precision", wanted=wanted.value, error=objection)
    _log.warning("%s", problem)
    return Precision.FP32, problem
