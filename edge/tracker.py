"""One object over time: what belongs together (edge.byte_track), and the rule by which a track is believed."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt

from edge.byte_track import ByteTrack
from edge.detector import CLASSES, NOTHING, Found
from geofences.geodesy import Array
from wire.messages import TrackState, TrackUpdate
from wire.units import ObjectClass

FAST = np.array([c is not ObjectClass.PERSON for c in CLASSES])     # of the detector's classes
HITS_LEAST = 3              # before a track is reported at all
HISTORY = 10                # scores whose median is taken
# Of what has not moved since it was first found. A post that looks a little like somebody is found in each picture, and some
# three of its scores reach the threshold: in an exercise one of 0.35 in the middle was an alarm at 0.4 after three.
STILL_SURE = 0.15           # that its score must be above the threshold, to be believed as soon as what moves
STILL_HISTORY = 100         # or so many of its last scores decide, once there are HISTORY of them:
STILL_SIGMAS = 2.33         # more of them reach the threshold than of what does so in every second picture, but one in 100
MOVED_SHARE = 0.25          # of a box's height, from where its foot began; a still one's jitters by 0.05 (one sigma)


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
        feet = np.empty((len(self.boxes), 2))
        feet[:, 0] = (self.boxes[:, 0] + self.boxes[:, 2]) / 2.0
        feet[:, 1] = self.boxes[:, 3]
        return feet


def joined(several: Sequence[Tracked]) -> Tracked:
    """Of one picture or of several: all their rows, one after the other, and all their news."""
    if len(several) == 1:
        return several[0]
    return Tracked(
        np.concatenate([t.ids for t in several]), np.concatenate([t.boxes for t in several]),
        np.concatenate([t.scores for t in several]), np.concatenate([t.classes for t in several]),
        np.concatenate([t.confirmed for t in several]), tuple(n for t in several for n in t.news),
    )


@dataclass(slots=True)
class _Track:
    first_ns: int
    last_ns: int
    hits: int = 0
    confirmed: bool = False
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=STILL_HISTORY))
    classes: Counter[int] = field(default_factory=Counter)
    began: list[float] | None = None    # its first box
    moved: bool = False

    @property
    def score(self) -> float:
        """The median of the last HISTORY."""
        return median(list(self.scores)[-HISTORY:])

    def add(self, box: list[float], score: float, object_class: int) -> None:
        self.hits += 1
        self.scores.append(score)
        self.classes[object_class] += 1
        if self.began is None:
            self.began = box
        if not self.moved:
            left, top, right, bottom = self.began
            gone = max(abs((box[0] + box[2]) / 2.0 - (left + right) / 2.0), abs(box[3] - bottom))
            self.moved = gone > MOVED_SHARE * (bottom - top)

    def is_believed(self, threshold: float) -> bool:
        if self.hits < HITS_LEAST:
            return False
        score = self.score
        if self.moved or score >= threshold + STILL_SURE:
            return score >= threshold
        n, reach = len(self.scores), sum(s >= threshold for s in self.scores)
        return self.hits >= HISTORY and reach >= n / 2.0 + STILL_SIGMAS * math.sqrt(n) / 2.0    # the sign test


class Tracker:
    """Tracks of one sensor. score_threshold: the median of a track's last scores must reach it; what is still needs more."""

    def __init__(self, sensor: str, score_threshold: float) -> None:
        self._sensor = sensor
        self._threshold = score_threshold
        self._tracks: dict[int, _Track] = {}
        self._byte_track = ByteTrack()

    def update(self, found: Found, captured_ns: int, looked: Array | None = None) -> Tracked:
        """Hand over all detections of the next frame, in order of time; also when there are none.

        looked: (m, 4) the parts of the picture that the detector was shown, left, top, right, bottom; None for all of it,
        (0, 4) for nothing. A track elsewhere is not missed: it waits where it is, because nothing moved there.
        A detection in no track yet, or the first of one, is not among what comes back.
        """
        associated = self._byte_track.update(found.boxes, found.scores, captured_ns, looked, FAST[found.classes])
        news = []
        boxes, scores, classes = found.boxes.tolist(), found.scores.tolist(), found.classes.tolist()
        for track_id, i in zip(associated.ids.tolist(), associated.which.tolist(), strict=True):
            track = self._tracks.get(track_id)
            if track is None:
                track = self._tracks[track_id] = _Track(captured_ns, captured_ns)
            track.last_ns = captured_ns
            track.add(boxes[i], scores[i], classes[i])
            if not track.confirmed and track.is_believed(self._threshold):
                track.confirmed = True
                news.append(self._told(track_id, track, TrackState.CONFIRMED))
        news += self._end([t for t in self._tracks if t not in associated.alive])
        ids, which = associated.ids, associated.which
        if associated.first.any():
            ids, which = ids[~associated.first], which[~associated.first]
        confirmed = np.array([self._tracks[t].confirmed for t in ids.tolist()], dtype=bool)
        return Tracked(ids, found.boxes[which], found.scores[which], found.classes[which], confirmed, tuple(news))

    def end_all(self) -> Tracked:
        """Nobody follows them any more: every track ends, and what is found from now on is somebody else."""
        self._byte_track.clear()
        news = tuple(self._end(list(self._tracks)))
        return Tracked(np.empty(0, np.int64), NOTHING.boxes, NOTHING.scores, NOTHING.classes, np.empty(0, bool), news)

    def _end(self, ids: list[int]) -> list[TrackUpdate]:
        ended = [(t, self._tracks.pop(t)) for t in ids]
        return [self._told(t, track, TrackState.ENDED) for t, track in ended if track.confirmed]

    def _told(self, track_id: int, track: _Track, state: TrackState) -> TrackUpdate:
        object_class: ObjectClass = CLASSES[track.classes.most_common(1)[0][0]]
        return TrackUpdate(
            self._sensor, track_id, state, object_class, track.first_ns, track.last_ns, track.hits, track.score
        )
