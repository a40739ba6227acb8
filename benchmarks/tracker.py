"""What tracking 50 objects costs, beside ultralytics' ByteTrack on the same frames in the same run; and what it keeps.

Both get the same detections, frame by frame in turn, with one thread. What counts is the processor's time: on a busy
machine the clock would measure who is interrupted more often.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.form import Figure, Peer, figure
from edge.byte_track import HIGH_SCORE, LOST_S, MATCH_LIMIT, ByteTrack
from edge.detector import LOWEST_SCORE, Found
from edge.tracker import Tracker
from geofences.geodesy import Array
from wire.clock import NS_PER_S

OBJECTS = 50
FRAMES = 150                    # a run: 15 s at FPS
RUNS = 5
FPS = 10
WARM_UP = 20                    # frames, not counted
SIZE_PX = (1920, 1080)
WALKERS = 40                    # of each rate and height, each unseen for one second
WALK = 0.82                     # heights a second: 1.4 m/s of somebody 1.7 m tall


@dataclass(frozen=True, slots=True)
class _Settings:
    """What ultralytics' BYTETracker reads; names and values are those of its bytetrack.yaml."""

    track_high_thresh: float = HIGH_SCORE
    track_low_thresh: float = LOWEST_SCORE
    new_track_thresh: float = HIGH_SCORE
    track_buffer: int = round(LOST_S * FPS)
    match_thresh: float = MATCH_LIMIT
    fuse_score: bool = True


@dataclass(frozen=True, slots=True)
class _Boxes:
    """What ultralytics' BYTETracker expects of detections."""

    xyxy: Array
    conf: Array
    cls: npt.NDArray[np.int64]

    @property
    def xywh(self) -> Array:
        return np.column_stack([(self.xyxy[:, :2] + self.xyxy[:, 2:]) / 2.0, self.xyxy[:, 2:] - self.xyxy[:, :2]])

    def __getitem__(self, which: npt.NDArray[np.bool_]) -> _Boxes:
        return _Boxes(self.xyxy[which], self.conf[which], self.cls[which])

    def __len__(self) -> int:
        return len(self.conf)


def measure() -> dict[str, Figure]:
    # Read once, when numpy is loaded: so in a process of its own.
    os.environ.update({"YOLO_AUTOINSTALL": "false", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        runs = list(alone.map(_run, range(RUNS)))
    ours, theirs = [ms for ms, _ in runs], [ms for _, ms in runs]
    how = f"median of {FRAMES - WARM_UP} frames with {OBJECTS} people walking, 3 % unseen; {RUNS} films"
    figures = {
        "frame_ms": figure(
            ours, "ms", f"processor time of the whole stage (edge.tracker), {how}", "< 1.0",
            Peer("ultralytics ByteTrack", float(f"{statistics.median(theirs):.3g}")),
        ),
        "times_faster": figure([b / a for a, b in runs], "ratio", "ultralytics' time over ours, frames in turn"),
    }
    for fps in (3, 5, 10, 15):
        figures[f"keep_{fps}fps_share"] = figure(
            [_kept(fps, True)], "share", f"walkers at {fps} frames/s with one id for 9 s, of which 1 s unseen", ">= 0.99",
            Peer("the paper's associations alone", _kept(fps, False)),
        )
    return figures


def _crowd(seed: int) -> list[Found]:
    """People who walk about, 40 to 140 px tall."""
    chance = np.random.default_rng(seed)
    at = chance.uniform((50, 100), (SIZE_PX[0] - 50, SIZE_PX[1] - 50), (OBJECTS, 2))
    speed = chance.normal(0, 2, (OBJECTS, 2))
    height, sure = chance.uniform(40, 140, OBJECTS), chance.uniform(0.3, 0.9, OBJECTS)
    half = np.column_stack([height * 0.2, height / 2])
    film = []
    for _ in range(FRAMES):
        at = at + speed
        speed = np.where((at < 50) | (at > np.array(SIZE_PX) - 50), -speed, speed)
        middle, seen = at + chance.normal(0, 1, (OBJECTS, 2)), chance.random(OBJECTS) > 0.03
        scores = np.clip(sure + chance.normal(0, 0.05, OBJECTS), 0.11, 0.95)
        boxes = np.hstack([middle - half, middle + half])[seen]
        film.append(Found(boxes, scores[seen], np.zeros(len(boxes), np.int64)))
    return film


def _run(seed: int) -> tuple[float, float]:
    """Milliseconds of processor time a frame, median: ours, theirs."""
    from ultralytics.trackers.byte_tracker import BYTETracker

    film = _crowd(seed)
    ours, theirs = Tracker("bench", 0.4), BYTETracker(_Settings())
    spent: list[tuple[int, int]] = []
    for k, found in enumerate(film):
        began = time.process_time_ns()
        ours.update(found, round(k / FPS * NS_PER_S))
        between = time.process_time_ns()
        _theirs(theirs, found)
        spent.append((between - began, time.process_time_ns() - between))
    return (
        statistics.median(a for a, _ in spent[WARM_UP:]) / 1e6,
        statistics.median(b for _, b in spent[WARM_UP:]) / 1e6,
    )


def _theirs(tracker: Any, found: Found) -> None:
    tracker.update(_Boxes(found.boxes, found.scores, found.classes))


def _kept(fps: int, by_course: bool) -> float:
    """Of walkers across the picture, how many have one id from the second look to the last, and have one at all."""
    kept = [_walk(fps, height, by_course, seed) for seed in range(WALKERS) for height in (15.0, 60.0)]
    return float(np.mean(kept))


def _walk(fps: int, height: float, by_course: bool, seed: int) -> bool:
    chance, tracker, ids = np.random.default_rng(seed), ByteTrack(by_course), set()
    for k in range(9 * fps):
        x, width = 50 + WALK * height * k / fps, 0.35 * height
        box = np.array([[x - width / 2, 300 - height, x + width / 2, 300]])
        box += chance.normal(0, 0.04 * height, (1, 4)) * [0.5, 1, 0.5, 1]
        box = box[: 0 if 4 <= k / fps < 5 else 1]
        got = tracker.update(box, chance.uniform(0.35, 0.8, len(box)), round(k / fps * NS_PER_S))
        ids |= set(got.ids[~got.first].tolist())
    return len(ids) == 1
