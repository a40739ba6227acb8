"""Which detection belongs to which track: ByteTrack in real time, vectorised, without a network's libraries in the process.

Zhang et al. (2022), "ByteTrack: Multi-Object Tracking by Associating Every Detection Box". Boxes move in a constant-velocity
Kalman filter over centre x, centre y, width / height and height. Its matrices couple a coordinate with its own speed alone,
so that the filter of eight states is four filters of two, in closed form. At steps of REFERENCE_STEP_S it is the filter of
the paper's program (and of ultralytics, which the tests hold it to); at other steps its noise grows with time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import lap
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from models.boxes import areas, overlaps, shared
from wire.clock import NS_PER_S

HIGH_SCORE = 0.25               # ultralytics' bytetrack.yaml, 8.4: first association, and the start of a track
MATCH_LIMIT = 0.8               # the same file: of 1 - IoU x score, in the first association
LOW_MATCH_LIMIT = 0.5           # of 1 - IoU, in the second, over detections of a low score (the paper, 3.2)
NEW_MATCH_LIMIT = 0.7           # of 1 - IoU x score, for tracks of one hit (ultralytics' byte_tracker.py)
LOST_S = 3.0                    # a track that looks missed for this long has ended: the file's 30 frames at 10 a second

REFERENCE_STEP_S = 0.1
POSITION_SIGMA = 1.0 / 20       # of the box's height, in one reference step; also the measurement's (ByteTrack's own)
SPEED_SIGMA = 1.0 / 160         # the same, for speeds in a reference step
ASPECT_SIGMA, ASPECT_SPEED_SIGMA, ASPECT_MEASURED_SIGMA = 1e-2, 1e-5, 1e-1
COURSE_S = 1.5                  # so long after it was last seen, a track is also looked for where its course leads
COURSE_LIMIT = 9.4877           # of the squared Mahalanobis distance: chi-square, 4 degrees of freedom, 95 % (DeepSORT)
FAST_SIGMA = 0.4                # of the box's height in a reference step: 32 km/h of a motorcycle 40 m away are 0.43
SAME_SIZE = 0.3                 # of logarithms of height and aspect: what is fast looks the same a picture later
LOOKED_SHARE = 0.5              # of a track's box: with less of it inside what was looked at, finding nothing says nothing

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NEW, _HELD, _LOST = 0, 1, 2    # of one hit so far; seen by the last look; missed by it
_NOBODY: Ints = np.zeros(0, np.int64)
_OF_A_TRACK = ("ids", "state", "good_ns", "seen_ns", "fast")


@dataclass(frozen=True, slots=True)
class Associated:
    """n detections of one frame with the tracks they belong to, and the tracks that are over.

    ids: (n,). which: (n,) their rows among the detections that were handed in, ascending. first: (n,) the track begins with
    this one, and may be a moment's noise. alive: the ids of all tracks that go on, seen or not.
    """

    ids: Ints
    which: Ints
    first: Bools
    alive: frozenset[int]


@dataclass(slots=True)
class _Bank:
    """All tracks, one a row. good_ns: on the tracker's own count of time, when the track was last seen, or held at a place
    that nobody looked at. seen_ns: when it was last seen. fast: it began as something that may be fast.

    filtered: (5, n, 4) of centre x, y, aspect, height in pixels: their place; their speed, in a reference step; the
    covariances of place with itself, of place with speed, and of speed. In one, because every picture reads and writes all.
    """

    ids: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    state: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    good_ns: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    seen_ns: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    fast: Bools = field(default_factory=lambda: np.zeros(0, bool))
    filtered: Array = field(default_factory=lambda: np.zeros((5, 0, 4)))

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, which: Bools) -> None:
        for name in _OF_A_TRACK:
            setattr(self, name, getattr(self, name)[which])
        self.filtered = self.filtered[:, which]

    def add(self, others: _Bank) -> None:
        for name in _OF_A_TRACK:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(others, name)]))
        self.filtered = np.concatenate([self.filtered, others.filtered], axis=1)

    @property
    def places(self) -> Array:
        """(n, 4) centre x, y, aspect, height."""
        return np.asarray(self.filtered[0])

    @property
    def boxes(self) -> Array:
        """(n, 4) left, top, right, bottom."""
        place = self.places
        half = place[:, 3:] / 2.0 * np.where([True, False], place[:, 2:3], 1.0)
        return np.concatenate([place[:, :2] - half, place[:, :2] + half], axis=1)

    def predict(self, steps: float, held_still: Bools) -> None:
        """Move on by so many reference steps. held_still: nobody looked there, because nothing moved there."""
        place, speed, pp, ps, ss = self.filtered
        # An object behind a trunk does not shrink with it (ByteTrack's own rule).
        speed[self.state == _LOST, 3] = 0.0
        place += speed * np.where(held_still, 0.0, steps)[:, None]
        height = place[:, 3:]
        pp += 2.0 * steps * ps + steps**2 * ss + steps * _squares(height, *_PLACE_NOISE)
        ps += steps * ss
        ss += steps * _squares(height, *_SPEED_NOISE)

    def spread(self, rows: Ints) -> Array:
        """(..., 4) variances of what will be measured of the tracks in `rows` (...)."""
        return np.asarray(self.filtered[2, rows] + _squares(self.filtered[0, rows, 3:], *_MEASURED_NOISE))

    def distances(self, rows: Ints, places: Array) -> Array:
        """Squared Mahalanobis distances of the tracks in `rows` (...) and places (..., 4), broadcast against each other."""
        return np.asarray(((self.places[rows] - places) ** 2 / self.spread(rows)).sum(axis=-1))

    def fast_spread(self, rows: Ints, steps: float) -> Array:
        """The same, of tracks of one hit that may have been fast since then."""
        return self.spread(rows) + _FAST * (steps * FAST_SIGMA * self.filtered[0, rows, 3:]) ** 2

    def be_fast(self, rows: Ints, steps: float) -> None:
        """Believe of the tracks in `rows` that since so many steps their speed was known no better than that."""
        speed = _FAST * (FAST_SIGMA * self.filtered[0, rows, 3:]) ** 2
        self.filtered[2:, rows] += np.array([steps**2 * speed, steps * speed, speed])

    def measure(self, rows: Ints, places: Array, now_ns: int) -> None:
        """Correct the tracks in `rows` by the places of their boxes, in the same order."""
        were = self.filtered[:, rows]
        place, pp, ps = were[0], were[2], were[3]
        spread = pp + _squares(place[:, 3:], *_MEASURED_NOISE)
        off, by_place, by_speed = places - place, pp / spread, ps / spread
        were += np.array([by_place * off, by_speed * off, -pp * by_place, -ps * by_place, -ps * by_speed])
        self.filtered[:, rows] = were
        self.state[rows] = _HELD
        self.good_ns[rows] = self.seen_ns[rows] = now_ns


class ByteTrack:
    """Associates the detections of one sensor, frame by frame. Ids count from 1 and are never given twice.

    Boxes of somebody who walks across the picture do not overlap any more after a third of a second, so that overlap alone
    finds no walker at three frames a second, and loses far ones in a moment's gap. Where the paper's three associations
    left a track and a detection over, a fourth one joins them by the filter's own prediction and its uncertainty. Its first
    guess of a speed is a walker's; a fifth one joins what may be fast (vehicles) to a track of one hit of the same size.
    by_course: with these two; without them this is the paper's program.
    """

    def __init__(self, by_course: bool = True) -> None:
        self._by_course = by_course
        self._bank = _Bank()
        self._next_id = 1
        self._captured_ns: int | None = None
        self._now_ns = 0                        # adds up the steps between frames: a clock that is set back ends no track

    def update(
        self, boxes: Array, scores: Array, captured_ns: int, looked: Array | None = None, fast: Bools | None = None
    ) -> Associated:
        """boxes: (n, 4) left, top, right, bottom; scores: (n,). captured_ns, looked: see edge.tracker.Tracker.update.

        fast: (n,) which of them may be fast; None for nobody.
        """
        step_ns = 0 if self._captured_ns is None else max(0, captured_ns - self._captured_ns)
        self._captured_ns = captured_ns
        self._now_ns += step_ns
        bank = self._bank
        if not len(bank) and not len(boxes):        # most pictures of a quiet camera
            return Associated(bank.ids, np.empty(0, np.int64), np.empty(0, bool), frozenset())
        unlooked = np.zeros(len(bank), bool) if looked is None else ~_covered(bank.boxes, looked)
        bank.predict(min(step_ns / NS_PER_S, LOST_S) / REFERENCE_STEP_S, unlooked)

        order = np.lexsort((scores, *boxes.T))      # one of its own: how a detector lists them decides nothing
        usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(scores)
        if not usable.all():
            order = order[usable[order]]
        high = scores[order] >= HIGH_SCORE
        strong, weak = order[high], order[~high]
        predicted = bank.boxes
        with np.errstate(all="ignore"):            # of boxes that are none
            places = _places(boxes)
        settled = bank.state != _NEW
        free = np.ones(len(bank), bool)
        pairs: list[tuple[Ints, Ints]] = []

        def pair(tracks: Bools, found: Ints, far: Callable[[Ints, Ints], Array], limit: float) -> Ints:
            """Associate where tracks that are still free meet detections; returns the detections that stay free."""
            rows = (tracks & free).nonzero()[0] if len(found) else _NOBODY
            if not len(rows):                       # of four associations most pictures need one
                return found
            hit, by = _assign(far(rows, found), limit)
            pairs.append((rows[hit], found[by]))
            free[rows[hit]] = False
            left = np.ones(len(found), bool)
            left[by] = False
            return found[left]

        def apart(rows: Ints, found: Ints) -> Array:
            return 1.0 - overlaps(predicted[rows], boxes[found])

        def apart_and_doubtful(rows: Ints, found: Ints) -> Array:
            return 1.0 - overlaps(predicted[rows], boxes[found]) * scores[found]

        def off_course(rows: Ints, found: Ints) -> Array:
            return bank.distances(rows[:, None], places[found])

        def giving_way(rows: Ints, found: Ints) -> Array:
            """By overlap, but for boxes that lie where one track stands and are like another one's, which has none."""
            cost = apart_and_doubtful(rows, found)
            near = cost <= MATCH_LIMIT
            of, by = near.nonzero()
            if (bank.distances(rows[of], places[found[by]]) <= COURSE_LIMIT).all():     # as in most pictures
                return cost
            off = off_course(rows, found)
            idle = near.sum(axis=1)[:, None] == near
            fits = (off <= COURSE_LIMIT) & idle & (self._now_ns - bank.seen_ns[rows] <= COURSE_S * NS_PER_S)[:, None]
            cost[(off > COURSE_LIMIT) & fits.any(axis=0)] = np.inf
            return cost

        strong = pair(settled, strong, giving_way if self._by_course else apart_and_doubtful, MATCH_LIMIT)
        pair(bank.state == _HELD, weak, apart, LOW_MATCH_LIMIT)
        strong = pair(~settled, strong, apart_and_doubtful, NEW_MATCH_LIMIT)
        if self._by_course:
            recent = self._now_ns - bank.seen_ns <= COURSE_S * NS_PER_S
            strong = pair(recent, strong, off_course, COURSE_LIMIT)
            if fast is not None and fast[strong].any():
                steps = min(step_ns / NS_PER_S, LOST_S) / REFERENCE_STEP_S

                def off_fast(rows: Ints, found: Ints) -> Array:
                    off = bank.places[rows, None] - places[found]
                    far = np.asarray((off**2 / bank.fast_spread(rows, steps)[:, None]).sum(axis=2))
                    larger = np.abs(np.log(places[found, 2:] / bank.places[rows, None, 2:])).max(axis=2)
                    return np.where(larger <= SAME_SIZE, far, np.inf)

                known = len(pairs)
                slow, quick = strong[~fast[strong]], strong[fast[strong]]
                quick = pair(~settled & bank.fast, quick, off_fast, COURSE_LIMIT)
                for joined, _ in pairs[known:]:
                    bank.be_fast(joined, steps)
                strong = np.concatenate([slow, quick])

        rows, which = (np.concatenate([_NOBODY, *side]) for side in zip((_NOBODY, _NOBODY), *pairs, strict=True))
        ids = bank.ids[rows]
        bank.measure(rows, places[which], self._now_ns)
        self._miss(free, unlooked)
        begun = self._begin(places[strong], np.zeros(len(strong), bool) if fast is None else fast[strong])
        first = np.repeat([False, True], [len(ids), len(begun)])
        if len(begun):
            ids, which = np.concatenate([ids, begun]), np.concatenate([which, strong])
        listed = np.argsort(which)
        return Associated(ids[listed], which[listed], first[listed], frozenset(bank.ids.tolist()))

    def clear(self) -> None:
        """End all tracks; their ids are not given again."""
        self._bank = _Bank()

    def _miss(self, missed: Bools, unlooked: Bools) -> None:
        """What becomes of the tracks without a detection."""
        bank = self._bank
        bank.good_ns[missed & unlooked & (bank.state == _HELD)] = self._now_ns
        looked_for = missed & ~unlooked
        over = self._now_ns - bank.good_ns > LOST_S * NS_PER_S
        gone = looked_for & ((bank.state == _NEW) | over)
        bank.state[looked_for] = _LOST
        if gone.any():
            bank.keep(~gone)

    def _begin(self, places: Array, fast: Bools) -> Ints:
        n = len(places)
        ids = np.arange(self._next_id, self._next_id + n)
        self._next_id += n
        if n:
            height = places[:, 3:]
            none = np.zeros((n, 4))
            self._bank.add(_Bank(
                ids, np.full(n, _NEW, np.int8), np.full(n, self._now_ns), np.full(n, self._now_ns), fast,
                np.array([places, none, _squares(height, *_PLACE_AT_FIRST), none, _squares(height, *_SPEED_AT_FIRST)]),
            ))
        return ids


def _places(boxes: Array) -> Array:
    """(n, 4) left, top, right, bottom to centre x, y, width / height, height."""
    places = np.empty((len(boxes), 4))
    size = boxes[:, 2:] - boxes[:, :2]
    places[:, :2] = boxes[:, :2] + size / 2.0
    places[:, 2], places[:, 3] = size[:, 0] / size[:, 1], size[:, 1]
    return places


def _noise(of_height: float, of_aspect: float) -> tuple[Array, Array]:
    """For _squares, (4,) each: of the height squared, and by itself. Sigmas go with the height, but for the aspect's."""
    return np.array([of_height**2, of_height**2, 0.0, of_height**2]), np.array([0.0, 0.0, of_aspect**2, 0.0])


def _squares(height: Array, of_height2: Array, alone: Array) -> Array:
    """(n, 4) variances for (n, 1) heights."""
    return np.asarray(height**2 * of_height2 + alone)


_PLACE_NOISE, _SPEED_NOISE = _noise(POSITION_SIGMA, ASPECT_SIGMA), _noise(SPEED_SIGMA, ASPECT_SPEED_SIGMA)
_MEASURED_NOISE = _noise(POSITION_SIGMA, ASPECT_MEASURED_SIGMA)
_PLACE_AT_FIRST = _noise(2.0 * POSITION_SIGMA, ASPECT_SIGMA)
_SPEED_AT_FIRST = _noise(10.0 * SPEED_SIGMA, ASPECT_SPEED_SIGMA)
_FAST = np.array([1.0, 1.0, 0.0, 0.0])      # places are fast, sizes are not


def _assign(cost: Array, limit: float) -> tuple[Ints, Ints]:
    """The pairing of rows and columns of the least cost in which nobody pays more than limit to avoid staying alone."""
    near = (cost <= limit).nonzero()
    if all(len(set(side.tolist())) == len(side) for side in near):
        rows, columns = near            # nobody has a choice, as in most pictures
        return rows, columns
    _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=limit)
    rows = np.flatnonzero(column_of >= 0)
    return rows, np.asarray(column_of[rows], np.int64)


def _covered(boxes: Array, looked: Array) -> Bools:
    """(n,) whether enough of each box lies in one of the places that were looked at."""
    return np.asarray(shared(boxes, looked).max(axis=1, initial=0.0) >= LOOKED_SHARE * areas(boxes))
