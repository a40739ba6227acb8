"""The mark that says, in the pixels themselves, that a picture was rendered and not taken.

A word in a corner can be cropped away. So the word SIM is also laid faintly over the whole picture, again and again, on a
grid that scales with the picture's width. A person sees it on a second look; `simulated_likeness` finds it by folding the
picture on that grid: whatever else is in it averages out, and the mark adds up. The idea is that of the spread-spectrum
watermark (Cox et al., 1997); here it hides nothing, and is no defence against somebody who works to remove it.

Renderers write it, nodes of the live realm look for it: that is why it lies in a room that both may enter.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

CANON_PX = 640                  # pictures are brought to this width before they are folded
TILE_PX = (32, 64)              # rows, columns of one tile at that width
STRENGTH = 3.0                  # grey levels by which the mark lightens, and its surroundings darken
CORNER_SHARE = 0.052            # height of the word in the corner, of the picture's
CLIP_LEVELS = 10.0              # an edge in the picture counts as this much at the most
LIKENESS_LIMIT = 5.5            # deviations: above it the mark is there; its test says what was measured
LEAST_SIDE_PX = 96


@lru_cache(maxsize=1)
def _tile() -> npt.NDArray[np.float32]:
    """(rows, columns) at CANON_PX: the word, light on dark, of mean nought and greatest value 1."""
    rows, columns = TILE_PX
    big = np.zeros((rows * 4, columns * 4), np.uint8)
    cv2.putText(big, "SIM", (26, 92), cv2.FONT_HERSHEY_SIMPLEX, 3.1, 255, 15, cv2.LINE_AA)
    tile = cv2.resize(big, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    tile -= tile.mean()
    return np.asarray(tile / tile.max(), np.float32)


@lru_cache(maxsize=8)
def _pattern(width: int, height: int) -> Image:
    """(height, width, 3) the repeated mark around 128, for pictures of one size."""
    rows, columns = TILE_PX
    scale = width / CANON_PX
    high, wide = int(np.ceil(height / scale / rows)) + 1, CANON_PX // columns
    plane = np.tile(_tile(), (high, wide))
    canon_height = round(plane.shape[0] * scale)
    way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    sized = cv2.resize(plane, (width, canon_height), interpolation=way)[:height]
    grey = np.clip(128 + sized * STRENGTH, 0, 255).round().astype(np.uint8)
    return np.dstack([grey, grey, grey])


def burn(picture: Image, line: str) -> Image:
    """The picture with the mark all over it, and in its upper left corner the word SIM with a line of text beside it."""
    height, width = picture.shape[:2]
    out = cv2.addWeighted(picture, 1.0, _pattern(width, height), 1.0, -128.0)
    tall = max(9, round(height * CORNER_SHARE))
    scale, thick = tall / 30.0, max(1, round(tall / 11))
    margin = max(2, tall // 4)
    (word, _), _ = cv2.getTextSize("SIM", cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    cv2.rectangle(out, (margin, margin), (margin * 3 + word, margin * 3 + tall), (20, 20, 20), -1)
    corner = (margin * 2, margin * 2 + tall)
    cv2.putText(out, "SIM", corner, cv2.FONT_HERSHEY_DUPLEX, scale, (90, 200, 255), thick, cv2.LINE_AA)
    at = (margin * 4 + word, margin * 2 + round(tall * 0.82))
    (long, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale * 0.6, max(1, thick - 1))
    cv2.rectangle(out, (margin * 3 + word, margin), (margin * 5 + word + long, margin * 3 + tall), (20, 20, 20), -1)
    cv2.putText(out, line, at, cv2.FONT_HERSHEY_SIMPLEX, scale * 0.6, (225, 225, 225), max(1, thick - 1), cv2.LINE_AA)
    return np.asarray(out, np.uint8)


def folded(picture: Image) -> npt.NDArray[np.float32] | None:
    """One tile, the mean of all of a picture's; None for what is too small. Means over many pictures are sharper."""
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE_PX:
        return None
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    rows, columns = TILE_PX
    small = cv2.resize(grey, (CANON_PX, max(rows, round(height * CANON_PX / width))),
                       interpolation=cv2.INTER_AREA if width > CANON_PX else cv2.INTER_LINEAR)
    fine = cv2.subtract(small, cv2.blur(small, (15, 15)), dtype=cv2.CV_32F)
    np.clip(fine, -CLIP_LEVELS, CLIP_LEVELS, out=fine)
    high = fine.shape[0] // rows * rows
    tiles = fine[:high].reshape(high // rows, rows, CANON_PX // columns, columns)
    return np.asarray(tiles.mean(axis=(0, 2)), np.float32)


def likeness(tile: npt.NDArray[np.float32]) -> float:
    """How many deviations the mark stands out of a folded tile, wherever in it the mark begins (pictures may be cropped)."""
    spectrum = np.fft.rfft2(tile - tile.mean())
    # Every frequency counts alike: or one strong stripe in the picture would look like anything.
    spectrum /= np.maximum(np.abs(spectrum), 1e-6)
    wanted = np.conj(np.fft.rfft2(_tile()))
    found = np.fft.irfft2(spectrum * wanted, TILE_PX)
    peak = float(found.max())
    spread = float(found.std())
    return (peak - float(found.mean())) / spread if spread > 0 else 0.0


def simulated_likeness(picture: Image) -> float:
    """Of a single picture; above LIKENESS_LIMIT it was rendered. 0 for what is too small to say."""
    tile = folded(picture)
    return 0.0 if tile is None else likeness(tile)
