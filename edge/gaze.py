"""Where the detector looks in each picture: everywhere, at the regions where something is, or nowhere.

A camera that stands still looks where something moves, and at what it knows of. Four rules see to it that nobody is lost:

- Every full_look_s seconds, and while the gate is calibrating, the whole picture is looked at. So a still person is found.
- What was found and is no track yet is looked at again in the next picture; a track needs that to begin.
- A track is looked at in every picture while something moves in its box, and SETTLE_S longer. So a person who stops is seen
  standing for a while before anybody looks away.
- After that, a track is looked at every STILL_EVERY_S, and once that misses it, in every picture, until LOST_S have passed
  without it or the tracker has ended it. So a person who stopped keeps the track however long he stands; between two looks
  the tracker hears that nobody looked there, and holds the track in its place.

What moves is seen pixel for pixel, in crops of the network's shape: far people are 10 to 40 pixels high. A moving camera is
another matter: everything moves in its pictures, and all of each is looked at, as a whole or in tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from edge.byte_track import HIGH_SCORE, LOST_S
from edge.detector import NOTHING, Detector, Found
from edge.doubles import one_box_each
from edge.motion import Mask, Motion, MotionGate, Profile
from edge.regions import Crops, cut_out, pieced, plan_crops, tiles
from edge.settings import GateSettings, Look, MaskSettings, Setup
from edge.sources import Frame, Image
from edge.tracker import Tracked
from geofences.geodesy import Array
from models.boxes import overlaps
from wire.clock import NS_PER_S
from wire.messages import TrackState

SETTLE_S = 1.5                  # a track is not still before this long after the last movement in it
STILL_EVERY_S = 0.5             # a still track is looked at this often
SAME_BOX = 0.5                  # IoU of a detection with a track that it went into
MOTION_MARGIN_PX = 24.0         # around moving cells, and MOTION_MARGIN of their size: legs move before a body does
MOTION_MARGIN = 0.5
TRACK_MARGIN_PX = 16.0          # around a box that is known, and TRACK_MARGIN of its size: it goes on, and shows some ground
TRACK_MARGIN = 0.35
CUT_MARGIN = 1.0                # of the size of what a crop's edge cut through: so much more of it may be there


class Seen(StrEnum):
    """How much of a picture was looked at."""

    FULL = "full"
    CROPS = "crops"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Where:
    """Where to look in one picture. crops: (m, 4) pixels; None for the whole as one. whole_too: and that beside them."""

    crops: Crops | None
    whole_too: bool = False

    @property
    def seen(self) -> Seen:
        if self.crops is None or self.whole_too:
            return Seen.FULL
        return Seen.CROPS if len(self.crops) else Seen.NONE

    @property
    def looked(self) -> Array | None:
        """(m, 4) the parts that are looked at; None for all of it."""
        return None if self.crops is None or self.whole_too else self.crops.astype(float)


@dataclass(slots=True)
class _Known:
    """One track. box: where it was seen last."""

    box: Array
    seen_ns: int
    moved_ns: int
    confirmed: bool


class Gaze:
    """Of one camera. For each picture: where, then find, then hold what the tracker made of it."""

    def __init__(self, look: Look, gate: MotionGate, detector: Detector, full_look_s: float, crops_most: int) -> None:
        self._look = look
        self.gate = gate
        self._detector = detector
        self._full_look_ns = round(full_look_s * NS_PER_S)
        self._crops_most = crops_most
        self._full_ns: int | None = None
        self._known: dict[int, _Known] = {}
        self._once = np.empty((0, 4))       # boxes to look at in the next picture, and then no more
        self._cut = np.empty((0, 4))

    def where(self, frame: Frame) -> Where:
        """Decide for the next picture."""
        size, shape = (frame.image.shape[0], frame.image.shape[1]), self._detector.shape
        if self._look is Look.WHOLE:
            return Where(None)
        if self._look is Look.TILES:
            return Where(tiles(size, shape), whole_too=True)
        confirmed = np.array([k.box for k in self._known.values() if k.confirmed]).reshape(-1, 4)
        motion = self.gate.moving(frame.image, frame.captured_ns, confirmed)
        crops = None
        if not motion.calibrating and not self._full_look_due(frame.captured_ns):
            crops = plan_crops(self._worth_a_look(motion, frame.captured_ns), size, shape, self._crops_most)
        if crops is None:
            self._full_ns = frame.captured_ns
        return Where(crops)

    def find(self, image: Image, where: Where) -> Found:
        """Look there. What the edge of a crop cuts through is left out, and looked at whole in the next picture."""
        self._cut = np.empty((0, 4))
        if where.crops is None:
            return one_box_each(self._detector.find(image))
        crops, height, width = where.crops, image.shape[0], image.shape[1]
        if where.whole_too:
            crops = np.vstack([crops, [0, 0, width, height]])
        if not len(crops):
            return NOTHING
        both = pieced(self._detector.find_many(cut_out(image, crops)), crops, (height, width), self._detector.shape)
        self._cut = both.cut
        return one_box_each(both.found)

    def shown(self, image: Image) -> Image | None:
        """A picture that was looked at whole just now, as the network saw it; see Detector.shown."""
        return self._detector.shown(image)

    def hold(self, found: Found, tracked: Tracked, captured_ns: int) -> None:
        """Remember what has to be looked at again: the tracks, what may become one, and what was cut."""
        if self._look is not Look.MOTION:       # all of every picture is looked at, whatever is known
            return
        for update in tracked.news:
            if update.state is TrackState.ENDED:
                self._known.pop(update.track, None)
        for track, box, confirmed in zip(tracked.ids.tolist(), tracked.boxes, tracked.confirmed.tolist(), strict=True):
            known = self._known.get(track)
            moved_ns = known.moved_ns if known else captured_ns
            self._known[track] = _Known(box, captured_ns, moved_ns, confirmed)
        self._known = {t: k for t, k in self._known.items() if captured_ns - k.seen_ns <= LOST_S * NS_PER_S}
        sure = found.boxes[found.scores >= HIGH_SCORE]
        begins = sure[~(overlaps(sure, tracked.boxes) > SAME_BOX).any(axis=1)]
        self._once = np.vstack([grown(begins, TRACK_MARGIN, TRACK_MARGIN_PX), grown(self._cut, CUT_MARGIN, 0.0)])

    def _full_look_due(self, now_ns: int) -> bool:
        """Also after a step back of the clock."""
        return self._full_ns is None or not 0 <= now_ns - self._full_ns < self._full_look_ns

    def _worth_a_look(self, motion: Motion, now_ns: int) -> Array:
        """(n, 4) boxes with their margins."""
        due = []
        for known in self._known.values():
            box = grown(known.box[None], TRACK_MARGIN, TRACK_MARGIN_PX)[0]
            if _moves_in(motion, box):
                known.moved_ns = now_ns
            if now_ns - known.moved_ns <= SETTLE_S * NS_PER_S or now_ns - known.seen_ns >= STILL_EVERY_S * NS_PER_S:
                due.append(box)
        moving = grown(motion.boxes, MOTION_MARGIN, MOTION_MARGIN_PX)
        return np.vstack([moving, np.array(due).reshape(-1, 4), self._once])


def gaze_of(setup: Setup, detector: Detector) -> Gaze:
    """What the settings say. A drone's camera moves, so all of each picture is looked at, unless they say otherwise."""
    s = setup.settings.gate
    look = s.look or (Look.MOTION if setup.settings.drone is None else Look.WHOLE)
    return Gaze(look, gate_of(s, setup), detector, s.full_look_s, s.crops_most)


def gate_of(s: GateSettings, setup: Setup) -> MotionGate:
    """The motion gate of these settings, each profile with the masks that hold for all."""
    profiles = [
        Profile(p.name, p.threshold, p.least_cells, masks_of((*s.masks, *p.masks), setup)) for p in s.profiles
    ]
    return MotionGate(profiles, s.profile)


def masks_of(masks: tuple[MaskSettings, ...], setup: Setup) -> tuple[Mask, ...]:
    """They are given in pixels of the pictures that the lens was calibrated with."""
    sides = np.array([setup.settings.camera.lens.width_px, setup.settings.camera.lens.height_px], float)
    return tuple(Mask(m.name, np.array(m.polygon) / sides) for m in masks)


def grown(boxes: Array, share: float, pixels: float) -> Array:
    """(n, 4) boxes with a margin on every side: a share of their own size, and pixels on top."""
    margin = (boxes[:, 2:] - boxes[:, :2]) * share + pixels
    return np.hstack([boxes[:, :2] - margin, boxes[:, 2:] + margin])


def _moves_in(motion: Motion, box: Array) -> bool:
    left, top, right, bottom = np.maximum(box, 0.0) / motion.cell_px
    cells: npt.NDArray[np.bool_] = motion.cells[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
    return bool(cells.any())
