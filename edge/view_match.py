"""Whether a picture shows the view that a reference shows, and if it is shifted, by how much.

Orientation correlation (Fitch, Kadyrov, Christmas, Kittler: "Orientation correlation", BMVC 2002): each pixel of a small
picture becomes the direction of its edge as a unit number in the complex plane, at double angle, so that a dark edge on
light and a light one on dark are the same; both pictures are then correlated over all shifts at once. How bright, how hazy,
and whether by sun or by infra-red lamp falls out; people and rain are few pixels that agree with nothing. What agrees is
counted in standard deviations of the correlation over all shifts, in which chance reaches about 7.

Pictures are taken as they come, of any size: a strip of a tenth is left out above and below, where cameras write their own
name and the time, which do not move when the camera does.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.sources import Image
from wire.private_files import open_private

WIDTH_PX = 320                  # of the small picture
WRITING = 0.1                   # of the height, above and below
EDGE_LEVELS = 2.0               # grey levels a pixel: an edge of this strength counts half, weaker ones fade into noise
LOCAL_PX = 15                   # what is the same all around (a wall's texture, rain) says nothing about where
CENTRE_PX = 1                   # within so much, there is no shift

Floats = npt.NDArray[np.float32]
Field = Floats                  # (height, width, 2) of the small picture: edge directions at double angle, real, imaginary


@dataclass(frozen=True, slots=True)
class Match:
    """score: standard deviations by which the best shift stands out. shift: right and down, in shares of the width."""

    score: float
    shift: tuple[float, float]


def edge_field(image: Image) -> Field:
    """image: (height, width, 3), of any size; its green channel, shrunk to WIDTH_PX."""
    height, width = image.shape[:2]
    step = max(1, width // (2 * WIDTH_PX))
    small = cv2.resize(
        np.ascontiguousarray(image[::step, ::step, 1]), (WIDTH_PX, max(8, round(WIDTH_PX * height / width))),
        interpolation=cv2.INTER_AREA,
    )
    x, y = (cv2.Sobel(small, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    xx, yy = x * x, y * y
    strength = xx + yy + np.float32(EDGE_LEVELS**2)
    return np.asarray(cv2.merge([(xx - yy) / strength, (x + x) * y / strength]), np.float32)


class View:
    """A view to compare with, from the mean edge field of several pictures: what moves has faded out of it."""

    def __init__(self, field: Field) -> None:
        self.field = field
        height, width = field.shape[:2]
        self._window = np.repeat(_window(height, width)[..., None], 2, axis=2)
        self._spectrum = self._spectrum_of(field)

    def match(self, field: Field) -> Match:
        """Where this view lies in another picture of the same shape."""
        product = cv2.mulSpectrums(self._spectrum_of(field), self._spectrum, 0, conjB=True)
        over_shifts = cv2.split(cv2.dft(product, flags=cv2.DFT_INVERSE))[0]
        spread = float(cv2.meanStdDev(over_shifts)[1][0, 0])
        if not spread > 0:
            return Match(0.0, (0.0, 0.0))
        height, width = over_shifts.shape
        _, best, _, (column, row) = cv2.minMaxLoc(over_shifts)
        down, right = _signed(row, height), _signed(column, width)
        score = best / spread
        if max(abs(right), abs(down)) > CENTRE_PX:
            return Match(score, (right / width, down / width))
        return Match(score, (0.0, 0.0))

    def fits(self, field: Field) -> bool:
        """Whether a picture has this view's shape at all."""
        return self.field.shape == field.shape

    def _spectrum_of(self, field: Field) -> Floats:
        telling = (field - cv2.blur(field, (LOCAL_PX, LOCAL_PX))) * self._window
        return np.asarray(cv2.dft(telling, flags=cv2.DFT_COMPLEX_OUTPUT), np.float32)


def save_view(path: Path, view: View, sharpness: float, texture: float, of: str) -> None:
    """of: what the view is of, as its reader asks for it. Written whole or not at all. Raises OSError."""
    planes = np.round(view.field * 127).astype(np.int8)
    packed = io.BytesIO()
    np.savez_compressed(packed, planes=planes, sharpness=sharpness, texture=texture, of=np.array(of))
    fresh = path.with_suffix(".new")
    with open(fresh, "wb", opener=open_private) as file:
        file.write(packed.getvalue())
    fresh.replace(path)


def load_view(path: Path, of: str) -> tuple[View, float, float] | None:
    """View, sharpness and texture as saved; None where there is none of this. Raises ValueError for a damaged file."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["of"]) != of:
                return None
            view = View(stored["planes"].astype(np.float32) / np.float32(127))
            return view, float(stored["sharpness"]), float(stored["texture"])
    except (OSError, ValueError, TypeError, LookupError, EOFError, zipfile.BadZipFile, cv2.error) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None


def _signed(index: int, size: int) -> int:
    return index if index < size / 2 else index - size


def _window(height: int, width: int) -> Floats:
    """Falls to nought at the borders, where a shifted picture has something else, and over the camera's own writing."""
    band = round(height * WRITING)
    down = np.zeros(height)
    down[band : height - band] = np.hanning(height - 2 * band)
    return np.outer(np.minimum(1.0, 2 * down), np.minimum(1.0, 2 * np.hanning(width))).astype(np.float32)
