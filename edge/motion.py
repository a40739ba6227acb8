"""What moves in the picture of a camera that stands still.

The picture is averaged to a small grey one of about a hundred rows. Each of its cells has a running average, from which a
moving thing differs, and a noise level, how far it usually differs: leaves that sway, rain, a clock in the corner. A cell
moves when it differs by more than the profile's threshold and by more than NOISE_TIMES its own noise.

When most cells differ at once (lightning, the infra-red lamp, a step of the exposure, a knock on the mast), nothing can be
said of any of them. The gate then says that it is calibrating, and compares each picture with the one before it, until that
settles; after a flash, with what there was before the flash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from edge.sources import Image
from geofences.geodesy import Array
from wire.clock import NS_PER_S

Cells = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.float32]

# Tried on rendered and recorded videos, see benchmarks/gate.py.
ROWS = 108                      # of the grey picture; a cell is a whole number of pixels each way, so rather fewer than more
AVERAGE_S = 3.0                 # how long the average remembers; what is put down moves for thrice that
NOISE_S = 20.0                  # how long the noise level does: a minute of wind is learnt, one walker is not
NOISE_TIMES = 5.0               # 4 sigma of a normal distribution: one cell in a picture; a swing's peak is 1.6
NOISE_MOST = 15.0               # grey levels: however restless a cell, a change of five times this is seen
SWITCH_SHARE = 0.4              # of the cells that are not masked; more than these at once is the light, or the camera
CALM_SHARE = 0.15               # calibrating ends when the next picture differs from the last in fewer
LONGEST_STEP_S = 2.0            # between two pictures, as far as the averages are concerned


@dataclass(frozen=True, slots=True)
class Mask:
    """A part of the picture whose movement does not count. polygon: (n, 2) x, y as shares of width and height, 0 to 1."""

    name: str
    polygon: Array


@dataclass(frozen=True, slots=True)
class Profile:
    """How to watch by day, by night, in rain. threshold: grey levels of 255. least_cells: of a thing that moves."""

    name: str
    threshold: float
    least_cells: int = 1
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True)
class Motion:
    """What moves in one picture.

    boxes: (n, 4) left, top, right, bottom in pixels, of cells that move and touch. cells: (rows, columns), True where one
    moves. cell_px: side of a cell; those of the last row and column reach to the picture's edge. calibrating: most of the
    picture changed at once, or it is the first; then nothing is said to move, and all has to be looked at.
    """

    boxes: Array
    cells: Cells
    cell_px: int
    calibrating: bool


@dataclass(slots=True)
class _Seen:
    """What is known of pictures of one size."""

    size: tuple[int, int]
    cell_px: int
    average: Grey
    noise: Grey
    averaged: int = 1               # pictures in the average
    learnt: int = 1                 # pictures in the noise level
    before: tuple[Grey, int] | None = None      # average and averaged as they were before the gate began to calibrate
    visible: dict[str, Cells] = field(default_factory=dict)     # by profile


class MotionGate:
    """Watches one camera. active: the name of the profile it begins with."""

    def __init__(self, profiles: Sequence[Profile], active: str) -> None:
        self._profiles = {p.name: p for p in profiles}
        self._active = self._named(active)
        self._seen: _Seen | None = None
        self._last_ns = 0

    @property
    def profile(self) -> str:
        """Name of the profile it watches with; may be set from another thread, and holds from the next picture on.

        Raises ValueError for a name that is none of `profiles`.
        """
        return self._active.name

    @profile.setter
    def profile(self, name: str) -> None:
        self._active = self._named(name)

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(self._profiles)

    def moving(self, image: Image, captured_ns: int, unlearnt: Array | None = None) -> Motion:
        """Take the next picture, (height, width, 3) or (height, width), of any size, also of another than the last.

        unlearnt: (k, 4) boxes in pixels where people and vehicles are known to be: their movement is no noise to get used
        to.
        """
        profile = self._active
        seen = self._seen
        if seen is None or seen.size != image.shape[:2]:
            return self._begin(image, captured_ns)
        step_s = min(max((captured_ns - self._last_ns) / NS_PER_S, 0.0), LONGEST_STEP_S)
        self._last_ns = captured_ns
        grey, visible = small(image, seen.cell_px), _visible(seen, profile)
        limit = np.maximum(profile.threshold, NOISE_TIMES * seen.noise)
        if seen.before is not None and _share(np.abs(grey - seen.before[0]) > limit, visible) <= CALM_SHARE:
            (seen.average, seen.averaged), seen.before = seen.before, None      # a flash is over
        apart: Grey = np.abs(grey - seen.average)
        moving = (apart > limit) & visible
        if _share(moving, visible) > (SWITCH_SHARE if seen.before is None else CALM_SHARE):
            if seen.before is None:
                seen.before = (seen.average, seen.averaged)
            seen.average, seen.averaged = grey, 1
            # Slowly, whatever is known so far: a storm that shakes the mast is learnt, an exposure that settles is not.
            _learn_noise(seen, apart, 1.0 - math.exp(-step_s / NOISE_S), unlearnt)
            return _nothing(grey.shape, seen.cell_px, calibrating=True)
        seen.before = None
        seen.averaged += 1
        seen.average += _rate(step_s, AVERAGE_S, seen.averaged) * (grey - seen.average)
        seen.learnt += 1
        _learn_noise(seen, apart, _rate(step_s, NOISE_S, seen.learnt), unlearnt)
        return self._grouped(moving, seen, profile)

    def _begin(self, image: Image, captured_ns: int) -> Motion:
        cell_px = max(1, image.shape[0] // ROWS)
        grey = small(image, cell_px)
        self._seen = _Seen((image.shape[0], image.shape[1]), cell_px, grey, np.zeros_like(grey))
        self._last_ns = captured_ns
        return _nothing(grey.shape, cell_px, calibrating=True)

    def _grouped(self, moving: Cells, seen: _Seen, profile: Profile) -> Motion:
        if not moving.any():
            return _nothing(moving.shape, seen.cell_px, calibrating=False)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(moving.view(np.uint8), connectivity=8)
        large = stats[:, cv2.CC_STAT_AREA] >= profile.least_cells
        large[0] = False            # what does not move
        left, top, wide, high = stats[large, :4].T
        (height, width), px = seen.size, seen.cell_px
        rows, columns = moving.shape
        right, bottom = left + wide, top + high
        right = np.where(right == columns, width, right * px)       # the last cells reach to the picture's edge
        bottom = np.where(bottom == rows, height, bottom * px)
        boxes = np.column_stack([left * px, top * px, right, bottom]).astype(float)
        return Motion(boxes, large[labels] if count - 1 > len(boxes) else moving, px, False)

    def _named(self, name: str) -> Profile:
        if name not in self._profiles:
            raise ValueError(f'there is no profile "{name}"; there are {", ".join(self._profiles)}')
        return self._profiles[name]


def small(image: Image, cell_px: int) -> Grey:
    """Means of cells of cell_px by cell_px pixels, grey levels 0 to 255; (rows, columns), both at least 1.

    Of large cells every second line of pixels is left out: half the work, and a cell is still a mean of many. Pixels that
    are left over at the right and the lower edge belong to no cell; the last one speaks for them.
    """
    rows, columns = max(1, image.shape[0] // cell_px), max(1, image.shape[1] // cell_px)
    whole = image[: rows * cell_px : 2 if cell_px % 2 == 0 and cell_px >= 6 else 1, : columns * cell_px]
    grey = cv2.cvtColor(whole, cv2.COLOR_BGR2GRAY) if whole.ndim == 3 else whole
    return np.asarray(cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _rate(step_s: float, remembered_s: float, count: int) -> float:
    """How much the newest counts in a running average; in a plain mean, until there is more than is remembered."""
    return max(1.0 - math.exp(-step_s / remembered_s), 1.0 / count)


def _learn_noise(seen: _Seen, apart: Grey, rate: float, unlearnt: Array | None) -> None:
    change = rate * (np.minimum(apart, NOISE_MOST) - seen.noise)
    for left, top, right, bottom in unlearnt if unlearnt is not None else ():
        # From the cell that holds the box's corner to the one that holds the other.
        px = seen.cell_px
        change[max(0, int(top // px)) : math.ceil(max(0.0, bottom) / px),
               max(0, int(left // px)) : math.ceil(max(0.0, right) / px)] = 0.0
    seen.noise += change


def _share(moving: Cells, visible: Cells) -> float:
    return int(np.count_nonzero(moving & visible)) / max(1, int(np.count_nonzero(visible)))


def _visible(seen: _Seen, profile: Profile) -> Cells:
    """The cells that no mask of the profile covers."""
    if profile.name not in seen.visible:
        rows, columns = seen.average.shape
        covered = np.zeros((rows, columns), np.uint8)
        for mask in profile.masks:
            # A cell is covered when its middle is inside.
            corners = np.round((mask.polygon * [seen.size[1], seen.size[0]] / seen.cell_px - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(covered, [corners], 1, shift=4)
        seen.visible[profile.name] = covered == 0
    return seen.visible[profile.name]


def _nothing(shape: tuple[int, ...], cell_px: int, *, calibrating: bool) -> Motion:
    return Motion(np.empty((0, 4)), np.zeros(shape, bool), cell_px, calibrating)
