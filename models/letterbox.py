"""A picture of any size as the network sees it, and the way back: ultralytics' LetterBox and scale_boxes, in numbers.

The picture is scaled until its longer side fits, stands in the middle, and is padded with grey to whole strides of the
network, so that a 16:9 picture at 640 costs 384 x 640 pixels and not 640 x 640.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array

Image = npt.NDArray[np.uint8]
PADDING = 114                   # grey of the border, as in training (ultralytics' LetterBox)
STRIDE_PX = 32                  # of the coarsest of a YOLO11's three grids
WIDE = (9, 16)                  # height to width of most cameras' pictures


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture of (height, width) `of` lies in one of `shape`: scaled to `inner`, from `left`, `top`. All in pixels."""

    of: tuple[int, int]
    shape: tuple[int, int]
    inner: tuple[int, int]
    left: int
    top: int

    @property
    def scale(self) -> float:
        """Network pixels to one of the picture."""
        return max(self.inner) / max(self.of)

    def draw(self, image: Image, canvas: Image) -> None:
        """Put `image` into `canvas` (height, width, 3), whose border has PADDING in it already."""
        place = self.inside(canvas)
        if self.inner == self.of:
            place[...] = image
        else:
            cv2.resize(image, self.inner[::-1], dst=place, interpolation=cv2.INTER_LINEAR)

    def inside(self, canvas: Image) -> Image:
        """The part of a canvas that holds the picture: a view."""
        height, width = self.inner
        return canvas[self.top:self.top + height, self.left:self.left + width]

    def back(self, boxes: Array) -> Array:
        """(n, 4) left, top, right, bottom in network pixels to the picture's own, cut off at its edges."""
        high = np.array([self.of[1], self.of[0]] * 2, float)
        gain = np.array([self.inner[1], self.inner[0]] * 2) / high
        out: Array = np.clip((boxes - np.array([self.left, self.top] * 2)) / gain, 0.0, high)
        return out


@lru_cache(maxsize=64)
def fit(of: tuple[int, int], longest_px: int) -> Fit:
    """Into the smallest rectangle of whole strides whose longer side is `longest_px`."""
    inner = _scaled(of, min(longest_px / of[0], longest_px / of[1]))
    height, width = (-(-side // STRIDE_PX) * STRIDE_PX for side in inner)
    return _centred(of, inner, (height, width))


def wide_shape(longest_px: int) -> tuple[int, int]:
    """(height, width) of the rectangle for a 16:9 picture."""
    return fit(WIDE, longest_px).shape


def fit_into(of: tuple[int, int], shape: tuple[int, int]) -> Fit:
    """Into a rectangle that is given."""
    return _centred(of, _scaled(of, min(shape[0] / of[0], shape[1] / of[1])), shape)


def _scaled(of: tuple[int, int], ratio: float) -> tuple[int, int]:
    return max(round(of[0] * ratio), 1), max(round(of[1] * ratio), 1)


def _centred(of: tuple[int, int], inner: tuple[int, int], shape: tuple[int, int]) -> Fit:
    # An odd remainder goes below and to the right: round(x - 0.1), as ultralytics has it.
    top, left = (round((whole - part) / 2 - 0.1) for whole, part in zip(shape, inner, strict=True))
    return Fit(of, shape, inner, left, top)


def as_bgr(image: Image) -> Image:
    """(height, width, 3) of what may be grey: (height, width) or (height, width, 1). Raises ValueError for anything else."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise ValueError(f"a picture is (height, width, 3) or (height, width) of bytes, not {image.shape} of {image.dtype}")
    if image.ndim == 2 or image.shape[2] == 1:
        return np.ascontiguousarray(np.broadcast_to(image.reshape(*image.shape[:2], 1), (*image.shape[:2], 3)))
    return image
