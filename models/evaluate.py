"""How good weights are on a labelled folder (YOLO format): precision, recall by height and by depression, false finds.

Average precision is ultralytics' own (`ap_per_class`: 101-point interpolation, IoU 0.50 to 0.95), predictions matched to
labels from the surest down, each to the label it overlaps most that is still free, as COCO does. Where sim.frames_write has
left its sidecar, recall is given by the depression at which each person is seen as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from models.boxes import overlaps
from models.label_numbers import Numbering, numbering_of
from models.loading import CLASSES, PICTURE_ENDINGS, load_network, told
from wire.settings import SettingsError
from wire.units import ObjectClass

Ints = npt.NDArray[np.int64]
Image = npt.NDArray[np.uint8]

PERSON = CLASSES.index(ObjectClass.PERSON)
IOUS = np.linspace(0.50, 0.95, 10)
SIDECAR = "frames.jsonl"
HEIGHTS_PX = (0.0, 16.0, 24.0, 32.0, 48.0, 96.0, 192.0, np.inf)
DEPRESSIONS_DEG = (-90.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.1)
THRESHOLDS = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LOWEST_SCORE = 0.001            # average precision hears of finds down to this; with the next two, as ultralytics val
OVERLAP_LIMIT = 0.7
BOXES_LIMIT = 300
TALL_ENOUGH_PX = 24.0           # recall by depression counts people whose longer side is at least this


class Found(Protocol):
    """What a detector says about one picture: edge.detector.Found is one."""

    @property
    def boxes(self) -> Array: ...
    @property
    def scores(self) -> Array: ...
    @property
    def classes(self) -> Ints: ...


class SeenObject(msgspec.Struct, frozen=True):
    """Of the sidecar: one object of a frame, in the order of the labels. Its other fields are not needed here."""

    depression_deg: float
    visible: float = float("nan")


class SeenFrame(msgspec.Struct, frozen=True):
    name: str
    objects: tuple[SeenObject, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture with its labels. boxes: (n, 4) left, top, right, bottom as shares of the picture. depressions_deg: (n,),
    and visible, the share of each that nothing hides: (n,), NaN where nobody knows.
    """

    picture: Path
    boxes: Array
    classes: Ints
    depressions_deg: Array
    visible: Array


@dataclass(frozen=True, slots=True)
class AskedFor:
    """Which objects are to be found. The others may be found or not: neither counts (as the "reasonable" pedestrians of
    Dollar et al. 2012, "Pedestrian Detection: An Evaluation of the State of the Art").

    least_visible: share of an object that nothing hides, where a sidecar says so. least_px: of the box's longer side.
    """

    least_visible: float = 0.0
    least_px: float = 0.0

    def of(self, sample: Sample, boxes: Array) -> npt.NDArray[np.bool_]:
        """(n,) of a sample's objects. boxes: (n, 4) theirs, in pixels."""
        return np.asarray(~(sample.visible < self.least_visible) & (longer_sides(boxes) >= self.least_px))


EVERYTHING = AskedFor()


def longer_sides(boxes: Array) -> Array:
    """(n,) of boxes (n, 4) left, top, right, bottom, in their unit."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0))


@dataclass(frozen=True, slots=True)
class Band:
    """Recall of people in one band. low, high: pixels or degrees."""

    low: float
    high: float
    people: int
    found: int

    @property
    def recall(self) -> float | None:
        return self.found / self.people if self.people else None


@dataclass(frozen=True, slots=True)
class Point:
    """What another threshold would give: precision and recall over all classes, false finds per empty picture."""

    threshold: float
    precision: float | None
    recall: float | None
    false_finds_per_empty: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """map50, map50_95: mean over the classes that are labelled; None where nothing is. ap50: by class. precision, recall: at
    `threshold`, IoU 0.5, all classes together. false_finds: per empty picture; empty_with_false_find: how many had any.
    points: the same at other thresholds. curves: by class, (recall, precision). objects: of those that are asked for.
    """

    folder: str
    weights: str
    input_size_px: int
    threshold: float
    asked_for: AskedFor
    pictures: int
    empty_pictures: int
    objects: int
    map50: float | None
    map50_95: float | None
    ap50: dict[str, float]
    precision: float | None
    recall: float | None
    false_finds_per_empty: float | None
    empty_with_false_find: int
    by_height: tuple[Band, ...]
    by_depression: tuple[Band, ...]
    points: tuple[Point, ...]
    curves: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]


def load_samples(folder: Path) -> list[Sample]:
    """Pictures of `folder/images` with `folder/labels`. Labels of what is none of ours are left out.

    Raises SettingsError with the file and line that is wrong.
    """
    pictures = sorted(p for p in (folder / "images").glob("*") if p.suffix.lower() in PICTURE_ENDINGS)
    if not pictures:
        raise SettingsError(f"{folder / 'images'}: no pictures. Give a folder with images/ and labels/ (YOLO format).")
    numbering, seen = numbering_of(folder), _sidecar(folder / SIDECAR)
    samples = []
    for picture in pictures:
        boxes, classes = _labels(folder / "labels" / f"{picture.stem}.txt", numbering)
        said = seen.get(picture.stem)
        if said is None or len(said) != len(boxes):
            said = np.full((len(boxes), 2), np.nan)
        ours = classes >= 0
        samples.append(Sample(picture, boxes[ours], classes[ours], said[ours, 0], said[ours, 1]))
    return samples


def _labels(path: Path, numbering: Numbering) -> tuple[Array, Ints]:
    """Boxes (n, 4) as shares, and classes (n,), -1 of what is none of ours."""
    if not path.exists():
        return np.empty((0, 4)), np.empty(0, np.int64)
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            kind, x, y, w, h = (float(v) for v in line.split())
        except ValueError:
            raise SettingsError(f"{path}:{number}: not class, middle x, middle y, width, height: {line[:60]!r}") from None
        if kind not in numbering.names:
            raise SettingsError(
                f"{path}:{number}: class {kind:g}; there are {len(numbering.names)}: {told(numbering.names.values())}"
            )
        if not all(0 <= v <= 1 for v in (x, y, w, h)):
            raise SettingsError(f"{path}:{number}: middle and size are shares of the picture, from 0 to 1")
        rows.append((numbering.ours.get(int(kind), -1), x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    table = np.array(rows).reshape(-1, 5)
    return table[:, 1:], table[:, 0].astype(np.int64)


def _sidecar(path: Path) -> dict[str, Array]:
    if not path.exists():
        return {}
    out = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            frame = msgspec.json.decode(line, type=SeenFrame)
        except msgspec.DecodeError as error:
            raise SettingsError(f"{path}:{number}: {error}") from None
        out[frame.name] = np.array([(o.depression_deg, o.visible) for o in frame.objects], float).reshape(-1, 2)
    return out


def match(boxes: Array, classes: Ints, scores: Array, true_boxes: Array, true_classes: Ints) -> npt.NDArray[np.int64]:
    """(n, 10): which label each prediction hits at each of IOUS, -1 for none. No label is hit twice at one overlap."""
    hit = np.full((len(boxes), len(IOUS)), -1, np.int64)
    if not len(boxes) or not len(true_boxes):
        return hit
    shared = overlaps(boxes, true_boxes) * (classes[:, None] == true_classes[None, :])
    for t, least in enumerate(IOUS):
        free = np.ones(len(true_boxes), bool)
        for k in np.argsort(-scores, kind="stable"):
            best = int(np.argmax(np.where(free, shared[k], -1.0)))
            if free[best] and shared[k, best] >= least:
                hit[k, t] = best
                free[best] = False
    return hit


def evaluate(
    samples: Sequence[Sample], find: Callable[[Image], Found], *, threshold: float, folder: str, weights: str,
    input_size_px: int, asked_for: AskedFor = EVERYTHING,
) -> Evaluation:
    """Run a detector over all samples. find: (h, w, 3) blue, green, red to what it sees, down to very low scores."""
    from ultralytics.utils.metrics import ap_per_class

    hits, scores, kinds, truths = [], [], [], []
    heights, angles, people_found, on_empty = [], [], [], []
    right = wrong = false_finds = empty = empty_wrong = 0
    for sample in samples:
        picture = cv2.imread(str(sample.picture))
        if picture is None:
            raise SettingsError(f"{sample.picture}: not a picture that can be read")
        size = np.array([picture.shape[1], picture.shape[0]] * 2, float)
        found = find(np.asarray(picture, np.uint8))
        boxes = np.asarray(found.boxes, float).reshape(-1, 4)
        score, kind = np.asarray(found.scores), np.asarray(found.classes)
        all_boxes = sample.boxes * size
        asked = asked_for.of(sample, all_boxes)
        true_boxes, true_classes = all_boxes[asked], sample.classes[asked]
        hit = match(boxes, kind, score, true_boxes, true_classes)
        if not asked.all():
            others = overlaps(boxes, all_boxes[~asked]) * (kind[:, None] == sample.classes[~asked])
            counts = (hit[:, 0] >= 0) | (others.max(axis=1, initial=0.0) < IOUS[0])
            hit, score, kind = hit[counts], score[counts], kind[counts]
        hits.append(hit >= 0)
        scores.append(score)
        kinds.append(kind)
        truths.append(true_classes)
        on_empty.append(np.full(len(score), not len(all_boxes)))
        sure = score >= threshold
        right += int((hit[sure, 0] >= 0).sum())
        wrong += int((hit[sure, 0] < 0).sum())
        if not len(all_boxes):
            empty += 1
            false_finds += int(sure.sum())
            empty_wrong += bool(sure.any())
        people = np.nonzero(true_classes == PERSON)[0]
        heights.append(longer_sides(true_boxes[people]))
        angles.append(sample.depressions_deg[asked][people])
        people_found.append(np.isin(people, hit[sure, 0]))
    truth = np.concatenate(truths)
    ap: Array = np.zeros((0, len(IOUS)))
    named: list[str] = []
    curves: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    if len(truth):
        result = ap_per_class(np.concatenate(hits), np.concatenate(scores), np.concatenate(kinds), truth)
        ap, named = result[5], [CLASSES[int(k)].value for k in result[6]]
        at = np.linspace(0, 999, 101).astype(int)
        recalls = tuple(float(v) for v in result[10][at])
        curves = {name: (recalls, tuple(float(v) for v in result[11][k][at])) for k, name in enumerate(named)}
    tall, angle, seen = np.concatenate(heights), np.concatenate(angles), np.concatenate(people_found).astype(bool)
    large = np.isfinite(angle) & (tall >= TALL_ENOUGH_PX)
    return Evaluation(
        folder=folder, weights=weights, input_size_px=input_size_px, threshold=threshold, asked_for=asked_for,
        pictures=len(samples), empty_pictures=empty, objects=len(truth),
        map50=float(ap[:, 0].mean()) if len(ap) else None, map50_95=float(ap.mean()) if len(ap) else None,
        ap50={name: float(ap[k, 0]) for k, name in enumerate(named)},
        precision=right / (right + wrong) if right + wrong else None, recall=right / len(truth) if len(truth) else None,
        false_finds_per_empty=false_finds / empty if empty else None, empty_with_false_find=empty_wrong,
        by_height=_bands(HEIGHTS_PX, tall, seen),
        by_depression=_bands(DEPRESSIONS_DEG, angle[large], seen[large]),
        points=_points(np.concatenate(scores), np.concatenate(hits)[:, 0], np.concatenate(on_empty), len(truth), empty),
        curves=curves,
    )


def _bands(edges: tuple[float, ...], values: Array, found: npt.NDArray[np.bool_]) -> tuple[Band, ...]:
    out = []
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        out.append(Band(float(low), float(high), int(inside.sum()), int(found[inside].sum())))
    return tuple(out)


def _points(
    scores: Array, hit: npt.NDArray[np.bool_], on_empty: npt.NDArray[np.bool_], labels: int, empty: int,
) -> tuple[Point, ...]:
    """Labels go to the surest first, so what counts at one threshold counts the same at every lower one."""
    out = []
    for threshold in THRESHOLDS:
        sure = scores >= threshold
        right, said = int(hit[sure].sum()), int(sure.sum())
        out.append(Point(
            threshold, right / said if said else None, right / labels if labels else None,
            float((sure & on_empty).sum()) / empty if empty else None,
        ))
    return tuple(out)


class YoloFinder:
    """Ultralytics' network down to the lowest scores, as average precision wants it. Raises SettingsError."""

    def __init__(self, weights: Path, input_size_px: int, threads: int, lowest_score: float = LOWEST_SCORE) -> None:
        network = load_network(weights, input_size_px, threads)
        self._network, self._size, self._lowest = network, input_size_px, lowest_score
        self.classes = tuple(CLASSES[i] for i in sorted(set(network.ours.values())))

    def __call__(self, image: Image) -> Found:
        return FoundBoxes(*self._network.find(image, self._size, self._lowest, OVERLAP_LIMIT, BOXES_LIMIT))


@dataclass(frozen=True, slots=True, eq=False)
class FoundBoxes:
    """boxes: (n, 4) pixels. scores: (n,). classes: (n,) index into CLASSES."""

    boxes: Array
    scores: Array
    classes: Ints
