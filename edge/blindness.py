"""Whether a camera that sends pictures also sees: covered, dark, defocused, frozen, moved.

Once a second one picture is looked at, for one or two milliseconds: as long as all is well, in turns at how sharp it is and
at whether the view is there, and else at both. What must hold for each verdict:

    dark        nothing of the view is left, and nothing in the picture is bright
    covered     nothing of the view is left, and no texture is there: a cloth, paint, a wall of fog, the sun in the lens
    defocused   fine detail is weak beside coarse detail, against what it was; or what is in sight is close to the lens
    frozen      the picture does not change at all, not even by noise; but for the strips where cameras write, and masks
    moved       the view is there and shifted; or there is texture, sharp and bright, and the view is not there

The view is a reference that the camera learns from its first good half minute and keeps on the disk, for as long as the
survey of the camera is the same. Every verdict needs seconds of nearly nothing else: lightning, a lamp, a passing truck, a
gust are none.

What it cannot do: a cover of less than about four fifths of the picture; a shift of less than 0.6 % of the width (a third of
a degree for a usual lens) or a roll of less than about two degrees; a slow creep while the reference is learnt; a blur that
is hidden in the noise of a dark picture; a frozen picture with a running clock in its middle; a view that is nothing but a
regular pattern, which looks the same when it is shifted, and is not learnt.
A view that changes for good (a tree felled, a house built) reads as moved: delete the reference, and it is learnt anew.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.motion import Mask
from edge.sources import Image
from edge.view_match import WIDTH_PX, WRITING, Field, Floats, Match, View, edge_field, load_view, save_view
from wire.clock import NS_PER_S
from wire.messages import SensorState
from wire.node_words import NO_TEXT, NodeText, node_text

LOOK_EVERY_S = 1.0
FOCUS_EVERY = 2                 # looks
LEARN_LOOKS = 30
LEAST_PX = 120                  # a smaller picture is not judged
# Measured on rendered views (day, dusk, night with and without lamp, rain, fog of 80 m, wind, thermal) and on CCTV video:
# the same view scores 55 to 165 against a daylight reference, half of it hidden 29 to 140, another view or a roll of
# three degrees 3 to 17.
SAME_VIEW = 25.0
MOVED_SHARE = 1.5 / WIDTH_PX
STEADY_SHARE = 1.1 / WIDTH_PX   # a shift is one when it stays; a mast in the wind comes back
DARK_LEVEL = 40.0               # grey level that a hundredth of the picture passes; moonless and lampless: 24, moonlit: 87
WASHED_LEVEL = 240.0            # of the median
FROZEN_LEVELS = 2               # in any sampled pixel; JPEG and H.264 change more from key frame to key frame
FROZEN_S, FROZEN_LOOKS = 30.0, 10
# Fine over coarse detail, 90th percentile of the tiles: sharp 0.68 to 3.6 (noise adds), blurred by 2 pixels (sigma) 0.18 to
# 0.29, beyond 0.05 to 0.28. Against the reference, which counts as 0.8 at the most, because noise by night adds to it too.
SHARPNESS_MOST = 0.8
BLURRED_SHARE = 0.4
BLURRED_ALWAYS = 0.3            # without a reference
BLURRED_FLOWN = 0.2
SHARPNESS_LEARNT = 0.4          # less is no reference
TEXTURE_SHARE = 0.4             # of the reference's share of tiles with texture
TEXTURE_LEAST = 0.1             # without a reference
TEXTURE_LEAST_FLOWN = 0.03      # one tile of sixty
TEXTURE_LEARNT = 0.3            # less in sight is no reference

NEEDED_S = {                    # of a verdict, nearly without a break, before it is one
    SensorState.DARK: 10.0, SensorState.COVERED: 10.0, SensorState.DEFOCUSED: 15.0, SensorState.MOVED: 20.0,
    SensorState.FROZEN: 0.0,    # has waited already
}
UNMATCHED_S = 60.0              # before a view that is merely not there is called moved
UNMATCHED_KNOWN_S = 58.0        # what a minute of looks covers for certain
ANY_S = 30.0                    # of verdicts that change
NEARLY = 0.8
CLEAR_S = 5.0

FINE_PX = 2                     # detail of four pixels
COARSE_PX = 32
ROWS_STEP = 16                  # of the full picture, each with the one below it
TILES = (6, 10)
TEXTURE_LEVELS2 = 9.0           # coarse detail that counts as texture, grey levels squared

_log = logging.getLogger("trailwatch.edge")


@dataclass(frozen=True, slots=True)
class Verdict:
    """state: SEEING, or what is wrong. reason: in words, empty when it sees."""

    state: SensorState
    reason: NodeText = NO_TEXT


SEES = Verdict(SensorState.SEEING)
UNMATCHED = Verdict(SensorState.MOVED, node_text("other_view"))


@dataclass(frozen=True, slots=True)
class Reference:
    """What the camera showed when all was well."""

    view: View
    sharpness: float
    texture: float


class Blindness:
    """Looks at the pictures of one camera. `verdict` holds until the next look.

    file: where the reference is kept. of: what it is of (the survey and lens of the camera); another text makes it learn
    anew. focal_share: focal length over picture width, which turns a shift into degrees. None for file: a camera whose view
    always changes, on a drone or a turning head; nothing is learnt then, and moved is no verdict. masks: what changes
    in them (the camera's own clock) does not show that it sees.
    """

    def __init__(self, file: Path | None, of: str, focal_share: float, masks: tuple[Mask, ...] = ()) -> None:
        self._file = file
        self._of = of
        self._focal_share = focal_share
        self._masks = masks
        self._reference = self._load()
        self._learning: list[tuple[Field, float, float]] = []
        self._looked_ns: int | None = None
        self._looks = 0
        self._has_complained = False
        self._sharpness = float("nan")
        self._texture = 1.0
        self._shifts: deque[tuple[float, float]] = deque(maxlen=15)
        self._still: tuple[int, int, Image] | None = None       # since when, for how many looks, and the picture
        self._said: deque[tuple[int, Verdict]] = deque()
        self.stands = False         # the view was there at the last look, unshifted
        self.verdict = SEES

    def look(self, image: Image, now_ns: int) -> Verdict:
        """image: (height, width, 3). now_ns: monotonic. Does nothing within a second of the last look."""
        if self._looked_ns is not None and now_ns - self._looked_ns < LOOK_EVERY_S * NS_PER_S:
            return self.verdict
        if min(image.shape[:2]) < LEAST_PX:
            return self.verdict
        self._looked_ns = now_ns
        self._said.append((now_ns, self._judge(image, now_ns)))
        while now_ns - self._said[0][0] > UNMATCHED_S * NS_PER_S:
            self._said.popleft()
        self.verdict = self._settle(now_ns)
        return self.verdict

    # ----------------------------------------------------------------------------------------------------- one picture

    def _judge(self, image: Image, now_ns: int) -> Verdict:
        """What this picture alone says."""
        is_at_focus = self._looks % FOCUS_EVERY == 0
        if is_at_focus:
            self._sharpness, self._texture = sharpness_and_texture(image)
        self._looks += 1
        frozen_s = self._frozen_s(image, now_ns)
        if frozen_s is not None:
            return Verdict(SensorState.FROZEN, node_text("frozen", seconds=round(frozen_s)))
        if self._file is None:
            return self._alone(image)
        if is_at_focus and self._is_well():
            return SEES
        field = edge_field(image)
        if self._reference is None or not self._reference.view.fits(field):
            self.stands = False
            alone = self._alone(image)
            if alone is SEES:
                self._learn(field, image)
            else:
                self._learning = []
            return alone
        return self._against(self._reference, self._reference.view.match(field), image)

    def _is_well(self) -> bool:
        """Whether the view was there a second ago, unshifted, and nothing is blurred now."""
        sharp = self._reference is not None and self._sharpness >= BLURRED_SHARE * self._reference.sharpness
        return sharp and self.stands and bool(self._said) and self._said[-1][1] is SEES

    def _alone(self, image: Image) -> Verdict:
        """Without a reference only what is plain; from the air less is, where water and sky have little texture."""
        least, blurred = (TEXTURE_LEAST, BLURRED_ALWAYS) if self._file else (TEXTURE_LEAST_FLOWN, BLURRED_FLOWN)
        if self._texture < (TEXTURE_LEARNT if self._file else least) and _bright(image) < DARK_LEVEL:
            return Verdict(SensorState.DARK, node_text("dark"))
        if self._texture < least:
            return _covered(image)
        if self._sharpness < blurred:
            return Verdict(SensorState.DEFOCUSED, node_text("unsharp"))
        return SEES

    def _against(self, reference: Reference, match: Match, image: Image) -> Verdict:
        blurred = self._sharpness < BLURRED_SHARE * reference.sharpness
        self.stands = match.score >= SAME_VIEW and match.shift == (0.0, 0.0)
        if match.score < SAME_VIEW:
            self._shifts.clear()
            if _bright(image) < DARK_LEVEL:
                return Verdict(SensorState.DARK, node_text("too_dark"))
            if self._texture < TEXTURE_SHARE * reference.texture:
                return _covered(image)
            if not blurred:
                return UNMATCHED
        if blurred:
            return Verdict(SensorState.DEFOCUSED, node_text("out_of_focus"))
        self._shifts.append(match.shift)
        return self._shifted()

    def _shifted(self) -> Verdict:
        """Whether the last shifts are one and the same, away from nought."""
        shifts = np.array(self._shifts)
        middle = np.median(shifts, axis=0)
        away = float(np.hypot(*middle))
        steady = np.hypot(*(shifts - middle).T) <= STEADY_SHARE
        if away < MOVED_SHARE or steady.mean() < NEARLY:
            return SEES
        turned_deg = float(np.degrees(np.arctan(away / self._focal_share)))
        right, down = (float(v) for v in middle)
        sides = [w for w, there in (("left", right > 0), ("right", right < 0)) if there and abs(right) > abs(down) / 3]
        sides += [w for w, there in (("up", down > 0), ("down", down < 0)) if there and abs(down) > abs(right) / 3]
        where = node_text("_".join(["side", *sides]))
        return Verdict(SensorState.MOVED, node_text("turned", degrees=round(turned_deg, 1), sides=where))

    def _frozen_s(self, image: Image, now_ns: int) -> float | None:
        """For how long nothing has changed, once that is long. Against the first of the run, so that a drift is a change."""
        step, band = max(1, image.shape[1] // WIDTH_PX), round(image.shape[0] * WRITING)
        sampled = np.ascontiguousarray(image[band : image.shape[0] - band : step, ::step, 1])
        for mask in self._masks:
            corners = mask.polygon * [image.shape[1], image.shape[0]] - [0, band]
            cv2.fillPoly(sampled, [np.round(corners / step).astype(np.int32)], (0,))
        if self._masks and not sampled.any():
            return None                         # all is masked, or dark
        if self._still is not None:
            since_ns, looks, first = self._still
            if first.shape == sampled.shape and cv2.norm(first, sampled, cv2.NORM_INF) <= FROZEN_LEVELS:
                self._still = since_ns, looks + 1, first
                still_s = (now_ns - since_ns) / NS_PER_S
                return still_s if still_s >= FROZEN_S and looks + 1 >= FROZEN_LOOKS else None
        self._still = now_ns, 1, sampled
        return None

    # ------------------------------------------------------------------------------------------------------- over time

    def _settle(self, now_ns: int) -> Verdict:
        """The verdict of the last seconds, of which a single picture says nothing."""
        newest = self._said[-1][1]
        for state, needed_s in NEEDED_S.items():
            needed = UNMATCHED_KNOWN_S if newest is UNMATCHED else needed_s
            if newest.state is state and self._share(lambda v: v.state is newest.state, needed, now_ns) >= NEARLY:
                return newest
        bad = self._share(lambda v: v is not SEES and v is not UNMATCHED, ANY_S, now_ns)
        bad_or_unknown = self._share(lambda v: v is not SEES, UNMATCHED_KNOWN_S, now_ns)
        if newest is not SEES and max(bad, bad_or_unknown) >= NEARLY and self.verdict is SEES:
            # Something is wrong, and it looks now like this, now like that: what it looks like most often.
            common = Counter(v.state for _, v in self._said if v is not SEES).most_common(1)[0][0]
            return next(v for _, v in reversed(self._said) if v.state is common)
        if self.verdict is not SEES and self._share(lambda v: v is SEES, CLEAR_S, now_ns) < NEARLY:
            return self.verdict
        return SEES

    def _share(self, is_so: Callable[[Verdict], bool], seconds: float, now_ns: int) -> float:
        """Of the looks of the last seconds; nought where there are not so many seconds yet."""
        since_ns = now_ns - round(seconds * NS_PER_S)
        if self._said[0][0] > since_ns:
            return 0.0
        recent = [is_so(v) for at_ns, v in self._said if at_ns >= since_ns]
        return sum(recent) / len(recent)

    # ------------------------------------------------------------------------------------------------------ the reference

    def _learn(self, field: Field, image: Image) -> None:
        good = self._texture >= TEXTURE_LEARNT and self._sharpness >= SHARPNESS_LEARNT and _bright(image) >= DARK_LEVEL
        if not good:
            return
        if self._learning and self._learning[0][0].shape != field.shape:
            self._learning = []
        self._learning.append((field, self._sharpness, self._texture))
        if len(self._learning) < LEARN_LOOKS:
            return
        fields = [f for f, _, _ in self._learning]
        view = View(np.asarray(np.mean(fields, axis=0), np.float32))
        first = View(fields[0])
        scores = [first.match(f) for f in (*fields[5::5], fields[-1])]
        sharpness, texture = (float(np.median([look[k] for look in self._learning])) for k in (1, 2))
        self._learning = []
        if min(m.score for m in scores) < SAME_VIEW or any(m.shift != (0.0, 0.0) for m in scores):
            # It turned meanwhile, or was a crowd, or is all fence; the next half minute may be better.
            if not self._has_complained:
                self._has_complained = True
                _log.warning("no reference view could be learnt: what the camera shows is not steady, or all one pattern")
            return
        self._reference = Reference(view, min(SHARPNESS_MOST, sharpness), texture)
        self._save(self._reference)

    def _save(self, reference: Reference) -> None:
        assert self._file is not None
        try:
            save_view(self._file, reference.view, reference.sharpness, reference.texture, self._of)
            _log.info("what the camera shows is kept as its reference in %s", self._file)
        except OSError as error:
            _log.warning("the reference view cannot be kept, and will be learnt again at the next start: %s", error)

    def _load(self) -> Reference | None:
        if self._file is None:
            return None
        try:
            stored = load_view(self._file, self._of)
        except ValueError as error:
            _log.warning("the reference view is learnt anew: %s", error)
            return None
        return Reference(*stored) if stored else None


def sharpness_and_texture(image: Image) -> tuple[float, float]:
    """Fine over coarse detail in the sharper tiles, and the share of tiles that have texture. NaN with hardly any texture.

    Each row is multiplied with the one below it before it is summed: texture goes on there, a sensor's noise does not.
    """
    height = image.shape[0]
    rows = range(round(0.1 * height), round(0.9 * height) - 1, ROWS_STEP)
    (fine, coarse), (fine_below, coarse_below) = (
        _details(image[rows.start + k : rows.stop + k : ROWS_STEP, :, 1]) for k in (0, 1)
    )
    fine2, coarse2 = _tiles(fine * fine_below), _tiles(coarse * coarse_below)
    textured = coarse2 > TEXTURE_LEVELS2
    texture = float(textured.mean())
    if textured.sum() < TILES[0]:
        return float("nan"), texture
    return float(np.percentile(np.sqrt(np.maximum(fine2[textured], 0.0) / coarse2[textured]), 90)), texture


def _details(rows: Image) -> tuple[Floats, Floats]:
    """Second differences along (n, width) rows: of neighbours FINE_PX away, and of means over COARSE_PX."""
    levels = np.ascontiguousarray(rows).astype(np.float32)
    fine = 2 * levels[:, FINE_PX:-FINE_PX] - levels[:, : -2 * FINE_PX] - levels[:, 2 * FINE_PX :]
    means = cv2.blur(levels, (COARSE_PX, 1))
    coarse = 2 * means[:, COARSE_PX:-COARSE_PX] - means[:, : -2 * COARSE_PX] - means[:, 2 * COARSE_PX :]
    return fine[:, COARSE_PX - FINE_PX : -(COARSE_PX - FINE_PX)], coarse


def _tiles(values: Floats) -> Floats:
    """Means over TILES of (n, width) values; what does not divide is left out."""
    down, across = TILES
    height, width = values.shape[0] // down, values.shape[1] // across
    tiles: Floats = values[: height * down, : width * across].reshape(down, height, across, width).mean(axis=(1, 3))
    return tiles


def _bright(image: Image) -> float:
    return float(np.percentile(image[::8, ::8, 1], 99))


def _covered(image: Image) -> Verdict:
    if float(np.median(image[::8, ::8, 1])) > WASHED_LEVEL:
        return Verdict(SensorState.COVERED, node_text("washed_out"))
    return Verdict(SensorState.COVERED, node_text("covered"))
