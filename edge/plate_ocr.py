"""Finds and reads the licence plate on the crop of a vehicle, by rapidocr's own networks (PP-OCRv6, in its wheel).

rapidocr gives the likeliest text of a line; a vote between readings needs the probability of every character at every
place. So the lines are found by its detector, and its recogniser is asked for what it thinks before it decides. Runs in a
process of its own (edge.plate_process): nothing here is imported by a node.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rapidocr
from rapidocr import EngineType, RapidOCR
from rapidocr.utils.process_img import get_rotate_crop_image

from edge.plate_votes import ALPHABET, Reading, form_of
from edge.sources import Image
from geofences.geodesy import Array

DETECT_NETWORK, READ_NETWORK = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
SHORT_SIDE_PX = 320             # a smaller crop is enlarged to it before lines are sought in it
LONG_SIDE_PX = 960              # a larger one is reduced to it: its plate is large enough
PLATE_LEAST_PX2 = 1_000.0       # the smallest plate that is read: characters some 8 px high
SHARPNESS_LEAST = 0.25          # see `sharpness`; nothing below it was ever read right (benchmarks/plates.py)
ROW_OVERLAP = 0.5               # of the narrower of two lines: they are one above the other
ROW_GAP = 0.9                   # of their height, between their middles less their mean height
ROW_HEIGHTS = 2.0               # times the one's height the other's may be
SHAPES = (0.9, 7.5)             # width over height of a plate: motorcycles' (190 x 140 mm) to a long one's text alone
LINES_LIMIT = 8                 # that are read of one crop, the surest ones
EDGE_PX = 3.0                   # a line that comes so near to the crop's edge may go on beyond it

_BLANK = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """corners: (4, 2) in pixels of the crop, clockwise from top left. chances: as of Reading."""

    corners: Array
    chances: Array
    sharpness: float

    @property
    def height(self) -> float:
        c = self.corners
        return float(np.linalg.norm(c[3] - c[0]) + np.linalg.norm(c[2] - c[1])) / 2.0


class PlateOcr:
    """Reads plates. threads: of the processor, for the networks."""

    def __init__(self, threads: int = 1) -> None:
        folder = Path(rapidocr.__file__).parent / "models"
        ocr = RapidOCR(params={
            "Global.log_level": "critical",
            "EngineConfig.openvino.inference_num_threads": threads,
            "Det.engine_type": EngineType.OPENVINO, "Rec.engine_type": EngineType.OPENVINO,
            # Named, so that it looks for nothing elsewhere.
            "Det.model_path": str(folder / DETECT_NETWORK), "Rec.model_path": str(folder / READ_NETWORK),
            "Det.limit_side_len": SHORT_SIDE_PX,
        })
        self._detector = ocr._load_det_model()
        self._recogniser = ocr._load_rec_model()
        self._folds = _folds(self._recogniser.postprocess_op.character)

    def read(self, crop: Image) -> Reading | None:
        """What the plate on a vehicle says; None where there is none, or none that is large and sharp enough.

        crop: (h, w, 3) blue, green, red.
        """
        scale = min(1.0, LONG_SIDE_PX / max(crop.shape[:2]))
        picture = crop if scale == 1.0 else cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        h, w = picture.shape[:2]
        lines = self._lines(np.ascontiguousarray(picture, np.uint8))
        best: Reading | None = None
        for rows in _candidates(lines):
            corners = np.concatenate([line.corners for line in rows]).astype(np.float32)
            area_px = cv2.contourArea(cv2.convexHull(corners)) / scale**2
            (_, (one, other), _) = cv2.minAreaRect(corners)
            reading = Reading(
                np.concatenate([line.chances for line in rows]), area_px, min(line.sharpness for line in rows)
            )
            shape = max(one, other) / max(min(one, other), 1.0)
            is_plate = form_of(reading.text) is not None and SHAPES[0] <= shape <= SHAPES[1]
            whole = corners.min() > EDGE_PX and (corners.max(axis=0) < [w - EDGE_PX, h - EDGE_PX]).all()
            if not is_plate or not whole or area_px < PLATE_LEAST_PX2 or reading.sharpness < SHARPNESS_LEAST:
                continue
            if best is None or reading.worth > best.worth:
                best = reading
        return best

    def _lines(self, picture: Image) -> list[_Line]:
        found = self._detector(picture)
        if found.boxes is None:
            return []
        surest = sorted(zip(found.scores, found.boxes, strict=True), key=lambda f: -float(f[0]))[:LINES_LIMIT]
        corners = [np.asarray(box, np.float32) for _, box in surest]
        cuts = [get_rotate_crop_image(picture, c.copy()) for c in corners]
        kept = [(c, cut) for c, cut in zip(corners, cuts, strict=True) if min(cut.shape[:2]) >= 4]
        return [
            _Line(c.astype(float), chances, sharpness(cut))
            for (c, cut), chances in zip(kept, self._read([cut for _, cut in kept]), strict=True)
        ]

    def _read(self, cuts: list[Image]) -> list[Array]:
        """(n, 36) for each line."""
        if not cuts:
            return []
        net = self._recogniser
        widest = max(net.rec_image_shape[2] / net.rec_image_shape[1], *(c.shape[1] / c.shape[0] for c in cuts))
        batch = np.stack([net.resize_norm_img(c, widest) for c in cuts]).astype(np.float32)
        return [self._decoded(np.asarray(steps, float)) for steps in net.session(batch)]

    def _decoded(self, steps: Array) -> Array:
        """(t, classes) probabilities along a line to (n, 36): one row for each letter or digit, as CTC has it."""
        best = steps.argmax(axis=1)
        rows = []
        start = 0
        for end in range(1, len(best) + 1):
            if end < len(best) and best[end] == best[start]:
                continue
            if best[start] != _BLANK and self._folds[best[start]].any():
                step = steps[start + int(steps[start:end, best[start]].argmax())]
                rows.append(step @ self._folds / max(1.0 - float(step[_BLANK]), 1e-6))
            start = end
        return np.array(rows).reshape(-1, len(ALPHABET))


def sharpness(cut: Image) -> float:
    """How sharp the edges of a line of text are, in terms of its height and contrast: about 1 for a sharp one."""
    grey = cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY) if cut.ndim == 3 else cut
    scaled = cv2.resize(grey, (max(1, round(grey.shape[1] * 32 / grey.shape[0])), 32), interpolation=cv2.INTER_AREA)
    level = scaled.astype(np.float32)
    return float(cv2.Laplacian(level, cv2.CV_32F).std() / max(float(level.std()), 4.0))


def _candidates(lines: list[_Line]) -> list[tuple[_Line, ...]]:
    """Plates of one row and of two."""
    found: list[tuple[_Line, ...]] = [(line,) for line in lines]
    found += [(a, b) for a in lines for b in lines if a is not b and _stands_on(a, b)]
    return found


def _stands_on(upper: _Line, lower: _Line) -> bool:
    """Whether two lines are the rows of one plate. Seen along the lines, so that a slanting plate is no obstacle."""
    along = lower.corners[1] - lower.corners[0]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    across = np.array([-along[1], along[0]])
    a, b = upper.corners @ along, lower.corners @ along
    shared = min(a.max(), b.max()) - max(a.min(), b.min())
    apart = float((lower.corners @ across).mean() - (upper.corners @ across).mean())
    mean_height = (upper.height + lower.height) / 2.0
    return bool(
        shared >= ROW_OVERLAP * min(np.ptp(a), np.ptp(b))
        and 0.4 * mean_height < apart < (1.0 + ROW_GAP) * mean_height
        and max(upper.height, lower.height) <= ROW_HEIGHTS * min(upper.height, lower.height)
    )


def _folds(characters: list[str]) -> Array:
    """(classes, 36): which character of ours each of theirs is. Small letters are large ones; Đ is D; the rest is none."""
    folds = np.zeros((len(characters), len(ALPHABET)))
    for i, c in enumerate(characters):
        ours = "D" if c in "Đđ" else c.upper()
        if len(ours) == 1 and ours in ALPHABET:
            folds[i, ALPHABET.index(ours)] = 1.0
    return folds
