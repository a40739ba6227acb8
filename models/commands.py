"""What `./trailwatch models` does, as functions that return the words to print.

Every command of the program reads the options below: what is heavy is imported where it is used.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from models.export import INSTALL, Form, calibration_pictures, export_weights, missing_packages
from models.graphs import Precision, graph_folders, writable
from models.registry import digest_of, fetch_weights, manifest, resolve_weights
from wire.process import die_with_parent
from wire.settings import SettingsError


def listing() -> str:
    """Every set of weights that is known, and where it is."""
    lines = []
    for known in manifest().values():
        lines.append(f"{known.name}: {known.file}, {known.licence}, from {known.source}")
        lines.append(f"  classes {', '.join(c.value for c in known.classes)}; input {known.input_size_px} px")
        if known.simulation:
            lines.append("  for exercises: it was trained on rendered pictures alone")
        try:
            path = resolve_weights(known.name, download=False)
            lines.append(f"  here: {path}\n  SHA-256 {digest_of(path)}")
        except SettingsError as error:
            lines.append(f"  not here: {error}")
    return "\n".join(lines)


def fetch(name: str) -> str:
    """Fetch weights from their publisher. Raises SettingsError with the reason where that fails."""
    path = fetch_weights(name)
    return f"{path}\nSHA-256 {digest_of(path)}"


def check(name: str, given: Path | None) -> str:
    """Whether a file is what the manifest says, and knows the classes that it promises. Raises SettingsError."""
    from models.evaluate import YoloFinder

    path = resolve_weights(name, given, download=False)
    known = manifest()[name]
    digest = digest_of(path)
    finder = YoloFinder(path, known.input_size_px, threads=1)
    absent = [c.value for c in known.classes if c not in finder.classes]
    if known.sha256 and digest != known.sha256:
        raise SettingsError(f"{path}: SHA-256 {digest} is not the {known.sha256} of the manifest; not {name}")
    if absent:
        raise SettingsError(f"{path}: does not know {', '.join(absent)}, which the manifest promises")
    said = "as the manifest says" if known.sha256 else "the manifest has none to compare with"
    return f"{path}\nSHA-256 {digest}: {said}\nclasses: {', '.join(c.value for c in finder.classes)}"


def export(a: argparse.Namespace) -> str:
    """Make the graph that nodes run, and check it where --check says on what; or write one for others into --out."""
    die_with_parent()       # a node's own export goes with the node
    weights = resolve_weights(a.name, a.weights, download=False)
    precision = Precision(a.precision)
    if a.out is not None:
        made = export_weights(weights, Form(a.form), precision, (a.size[0], a.size[1]), a.out, a.calibration)
        return f"{made}: from {weights}, {a.precision}, for pictures of {a.size[1]}x{a.size[0]}"
    return _export_for_nodes(a, weights, precision)


def _export_for_nodes(a: argparse.Namespace, weights: Path, precision: Precision) -> str:
    from models.check import check_precision
    from models.graph_making import make_graph
    from models.label_numbers import numbering_of

    if precision is Precision.FP16 or a.form != Form.OPENVINO.value:
        raise SettingsError("nodes run OpenVINO in fp32, bf16 or int8: for another program give --out DIR")
    calibration = calibration_pictures(a.calibration)
    missing = missing_packages(Form.OPENVINO, precision)
    if missing:
        raise SettingsError(f"this needs {' and '.join(missing)}. Install: {INSTALL} {' '.join(missing)}")
    folder = a.graphs or writable(graph_folders())
    if folder is None:
        raise SettingsError(f"{graph_folders()[0]} cannot be written to: give --graphs DIR")
    graph = make_graph(weights, precision, folder, calibration)
    words = f"{graph.folder}: from {weights}, {precision.value}"
    if a.check is None:
        return words
    numbering = numbering_of(a.check)
    check = check_precision(graph, precision, weights, a.check, max(a.size), threads=1)
    verdict = check.objection or "nodes may run it"
    return (
        f"{words}\n{numbering.words}\nmAP50 on {check.pictures} pictures, {check.objects} objects: "
        f"{check.map50_reference:.3f} by ultralytics, {check.map50:.3f} in {precision.value}\n"
        f"it loses {check.loss_points:g} points: {verdict}"
    )


def evaluation(a: argparse.Namespace) -> str:
    """Figures of weights on a labelled folder, as a table or as JSON; curves where --curves says so."""
    from models.evaluate import AskedFor, YoloFinder, evaluate, load_samples
    from models.evaluate_report import as_json, as_table, draw_curves
    from models.label_numbers import numbering_of

    if not 0.0 <= a.visible <= 1.0:
        raise SettingsError(f"--visible {a.visible:g}: give a share from 0 to 1, for example 0.65")
    weights = resolve_weights(a.name, a.weights, download=False)
    samples, numbering = load_samples(a.folder), numbering_of(a.folder).words
    finder = YoloFinder(weights, a.size, threads=a.threads)
    result = evaluate(
        samples, finder, threshold=a.threshold, folder=str(a.folder), weights=weights.name, input_size_px=a.size,
        asked_for=AskedFor(a.visible, a.least_px),
    )
    if a.curves is not None:
        draw_curves(result, a.curves)
    return json.dumps(as_json(result) | {"numbering": numbering}) if a.json else f"{as_table(result)}\n\n{numbering}"


def add_arguments(models: argparse._SubParsersAction[argparse.ArgumentParser]) -> dict[str, argparse.ArgumentParser]:
    """The parsers of fetch, check, export and evaluate."""
    names = list(manifest())
    made = {}
    for name, does in (
        ("fetch", "fetch weights from their publisher into the cache"),
        ("check", "compare a file with the manifest, and look at its classes"),
        ("export", "make the graph that nodes run, and check what a precision loses; or write ONNX or OpenVINO for others"),
        ("evaluate", "measure weights on a labelled folder (YOLO format)"),
    ):
        made[name] = models.add_parser(name, help=does, description=does)
    made["fetch"].add_argument("name", choices=names)
    made["check"].add_argument("name", choices=names)
    for name in ("check", "export", "evaluate"):
        made[name].add_argument("--weights", type=Path, metavar="PATH", help="this file instead of the one that is found")
    for name in ("export", "evaluate"):
        made[name].add_argument("--name", choices=names, default="yolo11n", help="which weights (default: yolo11n)")
    p = made["export"]
    p.add_argument("--precision", choices=[f.value for f in Precision], default="fp32")
    p.add_argument("--calibration", type=Path, metavar="PATH",
                   help="pictures like those to come, for int8: a labelled folder, or its data.yaml")
    p.add_argument("--check", type=Path, metavar="FOLDER", help="labelled pictures, to measure what a precision loses")
    p.add_argument("--size", type=int, nargs=2, default=[384, 640], metavar=("HEIGHT", "WIDTH"),
                   help="of the pictures that the network is shown, for --check (its longer side) and --out")
    p.add_argument("--graphs", type=Path, metavar="DIR", help="where nodes look for graphs, instead of the cache")
    p.add_argument("--out", type=Path, metavar="DIR", help="write for another program, into this folder")
    p.add_argument("--form", choices=[f.value for f in Form], default="openvino", help="of what --out gets")
    p = made["evaluate"]
    p.add_argument("folder", type=Path, help="with images/ and labels/, numbered as its data.yaml says; "
                   "frames.jsonl of `models frames` adds the depression")
    p.add_argument("--size", type=int, default=640, metavar="PX", help="longer side of what the network is shown")
    p.add_argument("--threshold", type=float, default=0.4, help="score above which a find counts")
    p.add_argument("--visible", type=float, default=0.0, metavar="SHARE",
                   help="ask for objects of which so much is seen (frames.jsonl); others may be found or not")
    p.add_argument("--least-px", type=float, default=0.0, metavar="PX", help="the same by the longer side of the box")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    p.add_argument("--curves", type=Path, metavar="PNG", help="draw precision, recall by height and by depression")
    return made

