"""The colour of a vehicle's body, in the words that a watchlist knows, or that it cannot be told.

The pixels of the body's part of a box are clustered in CIELAB; glass, tyres and shadow are left out unless the whole vehicle
is dark; the largest cluster that remains has its name by hue, chroma and lightness. No colour is told of a grey picture
(infra-red), of a dark one, of a box with few pixels, nor of a motorcycle: what is seen of that is mostly whoever rides it;
nor of a lorry, whose load is what is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.sources import Image
from geofences.geodesy import Array
from wire.units import Colour, VehicleKind

BODY = (0.14, 0.30, 0.86, 0.80)     # of a box, left, top, right, bottom: without roof rails, wheels and what is behind
LEAST_PX = 40                   # the shorter side of a box
SIDE_PX = 40                    # the body's part is reduced to this many pixels each way: details are no colour
CLUSTERS = 4
LIGHT_PX = (64, 36)            # width, height: the whole picture is reduced to so little to see its light
GREY_PICTURE = 2.5              # mean chroma; foliage by day has 8 to 20, infra-red below 1
DARK_PICTURE = 38.0             # lightness that a twentieth of the picture passes
SHADOW_L, SHADOW_CHROMA = 30.0, 12.0    # glass, tyres, shadow: darker and greyer than this
DARK_SHARE = 0.75               # of the body that is so: it is the paint
NEUTRAL_CHROMA = 10.0           # below it a colour is white, grey or black; dust and the sky's blue reach so far
WHITE_L, BLACK_L = 68.0, 32.0   # against a picture whose brightest twentieth is at BRIGHT_L
BRIGHT_L = 75.0
PALE_CHROMA = 20.0              # cream is white
KINDS_TOLD = (VehicleKind.CAR, VehicleKind.PICKUP, VehicleKind.BUS)

# Upper ends of hues, degrees in the plane of a* and b*, from -180; what lies between two of them has the later one's name.
_HUES: tuple[tuple[float, Colour], ...] = (
    (-150.0, Colour.GREEN), (-50.0, Colour.BLUE), (-20.0, Colour.RED), (42.0, Colour.RED), (68.0, Colour.ORANGE),
    (105.0, Colour.YELLOW), (180.0, Colour.GREEN),
)
BROWN_L, BROWN_CHROMA = 48.0, 30.0      # an orange or yellow darker than this, or with less chroma, is brown


@dataclass(frozen=True, slots=True)
class Light:
    """Of one picture. has_colours: whether light and camera allow to name any. bright_l: L* of its brightest twentieth."""

    has_colours: bool
    bright_l: float


def light_of(image: Image) -> Light:
    """Looks at the whole picture: once for all vehicles in it. One pixel of 16 stands for its neighbours."""
    few = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    lab = _lab(cv2.resize(few, LIGHT_PX, interpolation=cv2.INTER_AREA))
    chroma, bright_l = float(np.hypot(lab[..., 1], lab[..., 2]).mean()), float(np.percentile(lab[..., 0], 95))
    return Light(chroma >= GREY_PICTURE and bright_l >= DARK_PICTURE, bright_l)


def colour_of(image: Image, box: Array, kind: VehicleKind | None, people: Array, light: Light) -> Colour | None:
    """Of one vehicle in one picture.

    box: (4,), people: (n, 4) left, top, right, bottom in it. Pixels inside a person's box are not looked at.
    light: of this picture.
    """
    if not light.has_colours or kind not in KINDS_TOLD or min(box[2] - box[0], box[3] - box[1]) < LEAST_PX:
        return None
    pixels = _body_pixels(image, box, people)
    if len(pixels) < SIDE_PX * SIDE_PX // 4:
        return None
    centres, shares = _clusters(pixels)
    chroma = np.hypot(centres[:, 1], centres[:, 2])
    dark = (centres[:, 0] < SHADOW_L) & (chroma < SHADOW_CHROMA)
    if shares[dark].sum() >= DARK_SHARE:
        return Colour.BLACK
    paint = np.flatnonzero(~dark)
    return name_of(centres[paint[shares[paint].argmax()]], light.bright_l)


def name_of(lab: Array, bright_l: float = BRIGHT_L) -> Colour:
    """(3,) CIELAB (D65; L* 0 to 100) to a word. bright_l: L* of the picture's brightest parts."""
    lightness, a, b = (float(v) for v in lab)
    relative = lightness * BRIGHT_L / max(bright_l, 1.0)
    chroma, hue = float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)))
    if chroma < NEUTRAL_CHROMA:
        return Colour.WHITE if relative >= WHITE_L else Colour.BLACK if relative < BLACK_L else Colour.GREY
    colour = next(c for upper, c in _HUES if hue <= upper)
    if colour in (Colour.ORANGE, Colour.YELLOW) and relative >= WHITE_L and chroma < PALE_CHROMA:
        return Colour.WHITE
    if colour in (Colour.ORANGE, Colour.YELLOW) and (relative < BROWN_L or chroma < BROWN_CHROMA):
        return Colour.BROWN
    return colour


def _body_pixels(image: Image, box: Array, people: Array) -> npt.NDArray[np.float32]:
    """(n, 3) CIELAB of the body's part of a box, without what belongs to people."""
    size = box[2:] - box[:2]
    limits = np.tile([image.shape[1], image.shape[0]], 2)
    left, top, right, bottom = np.clip(np.tile(box[:2], 2) + np.tile(size, 2) * BODY, 0, limits).astype(int)
    if right - left < 2 or bottom - top < 2:
        return np.zeros((0, 3), np.float32)
    part = image[top:bottom, left:right]
    hidden = np.zeros(part.shape[:2], np.uint8)
    for person in people:
        x1, y1, x2, y2 = (int(v) for v in (np.floor(person[0]), np.floor(person[1]), np.ceil(person[2]), np.ceil(person[3])))
        hidden[max(0, y1 - top) : max(0, y2 - top), max(0, x1 - left) : max(0, x2 - left)] = 255
    reduced = cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    seen = cv2.resize(hidden, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) == 0
    return np.asarray(_lab(reduced)[seen], np.float32)


def _lab(image: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(np.asarray(image, np.float32) / np.float32(255.0), cv2.COLOR_BGR2LAB), np.float32)


def _clusters(pixels: npt.NDArray[np.float32]) -> tuple[Array, Array]:
    """(k, 3) centres and (k,) shares, by k-means; the same for the same pixels."""
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 1.0)
    start = np.zeros((len(pixels), 1), np.int32)        # not looked at; the stubs want one
    _, labels, centres = cv2.kmeans(pixels, CLUSTERS, start, criteria, 1, cv2.KMEANS_PP_CENTERS)
    shares = np.bincount(np.asarray(labels).ravel(), minlength=CLUSTERS) / len(pixels)
    return np.asarray(centres, float), shares
