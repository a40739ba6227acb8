"""One object over time: ByteTrack as ultralytics has it, and the rule by which a track is believed.

Zhang et al. (2022), "ByteTrack: Multi-Object Tracking by Associating Every Detection Box".
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt

from edge.detector import CLASSES, LOWEST_SCORE, Found
from geofences.geodesy import Array
from wire.messages import TrackState, TrackUpdate
from wire.units import ObjectClass

HITS_LEAST = 3              # before a track is reported at all
HISTORY = 10                # scores whose median is taken
HIGH_SCORE = 0.25           # ultralytics' bytetrack.yaml, 8.4: first association, and the start of a track
MATCH_LIMIT = 0.8           # the same file
LOST_FRAMES = 15            # a track unseen for this many frames has ended; 3 s at 5 frames a second


@dataclass(frozen=True, slots=True)
class Tracked:
    """n detections of one frame that belong to a track.

    ids: (n,), stable within one boot. boxes, scores, classes: as the detector gave them, not smoothed: fusion wants
    measurements, and smoothed ones are correlated in time. confirmed: (n,) bool. news: tracks confirmed or ended just now.
    """

    ids: npt.NDArray[np.int64]
    boxes: Array
    scores: Array
    classes: npt.NDArray[np.int64]
    confirmed: npt.NDArray[np.bool_]
    news: tuple[TrackUpdate, ...]

    @property
    def foot_px(self) -> Array:
        """(n, 2) middle of each box's lower edge: where the object stands."""
        feet: Array = np.column_stack([(self.boxes[:, 0] + self.boxes[:, 2]) / 2.0, self.boxes[:, 3]])
        return feet


@dataclass(slots=True)
class _Track:
    first_ns: int
    last_ns: int
    hits: int = 0
    confirmed: bool = False
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    classes: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _ByteTrackSettings:
    """What ultralytics' BYTETracker reads; names are its own."""

    track_high_thresh: float = HIGH_SCORE
    track_low_thresh: float = LOWEST_SCORE
    new_track_thresh: float = HIGH_SCORE
    track_buffer: int = LOST_FRAMES
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
        both: Array = np.column_stack([
            (self.xyxy[:, :2] + self.xyxy[:, 2:]) / 2.0, self.xyxy[:, 2:] - self.xyxy[:, :2],
        ])
        return both

    def __getitem__(self, which: npt.NDArray[np.bool_]) -> _Boxes:
        return _Boxes(self.xyxy[which], self.conf[which], self.cls[which])

    def __len__(self) -> int:
        return len(self.conf)


class Tracker:
    """Tracks of one sensor. score_threshold: the median of a track's last scores must reach it."""

    def __init__(self, sensor: str, score_threshold: float) -> None:
        from ultralytics.trackers.byte_tracker import BYTETracker

        self._sensor = sensor
        self._threshold = score_threshold
        self._tracks: dict[int, _Track] = {}
        self._byte_track = BYTETracker(_ByteTrackSettings())

    def update(self, found: Found, captured_ns: int) -> Tracked:
        """Hand over all detections of the next frame, in order of time; also when there are none."""
        rows = np.asarray(self._byte_track.update(_Boxes(found.boxes, found.scores, found.classes)), float).reshape(-1, 8)
        ids, which = rows[:, 4].astype(np.int64), rows[:, 7].astype(np.int64)
        news = []
        for track_id, i in zip(ids, which, strict=True):
            track = self._tracks.setdefault(int(track_id), _Track(captured_ns, captured_ns))
            track.last_ns = captured_ns
            track.hits += 1
            track.scores.append(float(found.scores[i]))
            track.classes[int(found.classes[i])] += 1
            if not track.confirmed and track.hits >= HITS_LEAST and median(track.scores) >= self._threshold:
                track.confirmed = True
                news.append(self._told(int(track_id), track, TrackState.CONFIRMED))
        alive = {int(t.track_id) for t in (*self._byte_track.tracked_stracks, *self._byte_track.lost_stracks)}
        news += self._end([t for t in self._tracks if t not in alive])
        confirmed = np.array([self._tracks[int(t)].confirmed for t in ids], dtype=bool)
        return Tracked(ids, found.boxes[which], found.scores[which], found.classes[which], confirmed, tuple(news))

    def end_all(self) -> tuple[TrackUpdate, ...]:
        """The sensor stops: every track ends."""
        return tuple(self._end(list(self._tracks)))

    def _end(self, ids: list[int]) -> list[TrackUpdate]:
        ended = [(t, self._tracks.pop(t)) for t in ids]
        return [self._told(t, track, TrackState.ENDED) for t, track in ended if track.confirmed]

    def _told(self, track_id: int, track: _Track, state: TrackState) -> TrackUpdate:
        object_class: ObjectClass = CLASSES[track.classes.most_common(1)[0][0]]
        return TrackUpdate(
            self._sensor, track_id, state, object_class, track.first_ns, track.last_ns, track.hits, median(track.scores)
        )
