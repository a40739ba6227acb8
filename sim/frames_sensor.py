"""From what a lens sees to what a file holds: gain, blur, rain, noise, banding, colour, compression, and the mark SIM."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from cameras.sim_mark import burn
from sim.renderer_light import Palette, Weather

Image = npt.NDArray[np.uint8]

WHOLE_MARK_SHARE = 0.5      # of the frames that carry the mark all over, as the renderer's do; all have it in the corner
WORD_SCALE = 0.32
SMALL_PX = 26.0             # people smaller than this do not outlive a poor lens, and are spared it
DARK_LEVEL = 34.0           # a mean grey level below which a camera turns its gain up


def develop(
    chance: np.random.Generator, picture: Image, weather: Weather, palette: Palette, person_px: float, text: str
) -> tuple[Image, int]:
    """The frame as a camera delivers it, and the quality of the JPEG it is to be written with. picture: (h, w, 3)."""
    kind = float(np.clip(person_px / SMALL_PX, 0.25, 1.0))     # how much the smallest of interest can bear
    out = picture.astype(np.float32)
    gain = min(float(DARK_LEVEL * chance.uniform(0.6, 1.6)) / max(float(out.mean()), 1.0), 4.5)
    noise = weather.noise * float(chance.uniform(0.4, 1.5)) * kind**0.5
    if gain > 1.0 and palette is not Palette.THERMAL:
        out *= gain
        noise += (gain - 1.0) * 1.2 * kind
    out = _blurred(chance, out, kind)
    if weather.rain > 0 and palette is not Palette.THERMAL:
        out = _rained(chance, out, weather.rain)
    out = _coloured(chance, out, palette)
    out += _noise(chance, out.shape[0], noise, grey=palette is not Palette.DAY)
    if chance.random() < 0.06:
        rows = np.arange(out.shape[0], dtype=np.float32)
        bands = np.sin(rows * 2 * np.pi / chance.uniform(6, 120) + chance.uniform(0, 6)) * chance.uniform(1, 5)
        out += bands[:, None, None].astype(np.float32)
    done = np.clip(out, 0, 255).astype(np.uint8)
    if chance.random() < WHOLE_MARK_SHARE:
        done = burn(done, text)
    else:
        at = (4, 12)
        cv2.putText(done, "SIM", at, cv2.FONT_HERSHEY_SIMPLEX, WORD_SCALE, (20, 20, 20), 3, cv2.LINE_AA)
        cv2.putText(done, "SIM", at, cv2.FONT_HERSHEY_SIMPLEX, WORD_SCALE, (90, 200, 255), 1, cv2.LINE_AA)
    quality = int(chance.integers(45 + int(25 * (1 - kind)), 97))
    return done, quality


def _blurred(chance: np.random.Generator, picture: npt.NDArray[np.float32], kind: float) -> npt.NDArray[np.float32]:
    side = picture.shape[0]
    if chance.random() < 0.25:
        small = round(side / float(chance.uniform(1.1, 1.0 + kind)))
        fewer = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        how = int(chance.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        picture = np.asarray(cv2.resize(fewer, (side, side), interpolation=how), np.float32)
    if chance.random() < 0.6:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(chance.uniform(0.3, 0.35 + 0.95 * kind))), np.float32)
    if chance.random() < 0.12:
        length = int(chance.integers(2, 3 + int(7 * kind)))
        kernel = np.zeros((length, length), np.float32)
        angle = chance.uniform(0, np.pi)
        half = (length - 1) / 2
        for t in np.linspace(-half, half, length * 3):
            kernel[round(half + t * np.sin(angle)), round(half + t * np.cos(angle))] = 1
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.float32)
    if chance.random() < 0.12:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
        picture = picture + (picture - soft) * float(chance.uniform(0.3, 1.5))       # a camera's own sharpening
    return np.asarray(picture, np.float32)


def _rained(chance: np.random.Generator, picture: npt.NDArray[np.float32], rain: float) -> npt.NDArray[np.float32]:
    side = picture.shape[0]
    layer = np.zeros((side, side), np.uint8)
    slant = float(chance.normal(0.08, 0.12))
    for _ in range(int(rain * chance.uniform(40, 160))):
        x, y = chance.uniform(-20, side + 20, 2)
        long = float(chance.gamma(4.0, 4.0))
        end = (int(x + long * slant), int(y + long))
        cv2.line(layer, (int(x), int(y)), end, float(chance.uniform(50, 190)), 1, cv2.LINE_AA)
    strength = float(chance.uniform(0.15, 0.5)) * (0.25 + float(picture.mean()) / 255)
    soft = cv2.GaussianBlur(layer, (0, 0), float(chance.uniform(0.5, 1.2)))
    return np.asarray(picture + soft[..., None].astype(np.float32) * strength, np.float32)


def _coloured(chance: np.random.Generator, picture: npt.NDArray[np.float32], palette: Palette) -> npt.NDArray[np.float32]:
    if palette is Palette.THERMAL:
        if chance.random() < 0.25:
            picture = 255 - picture       # black hot
        return picture
    if palette is Palette.DAY and picture.mean() > 20 and chance.random() < 0.6:
        # automatic exposure
        picture = picture * np.float32(np.clip(chance.uniform(65, 150) / float(picture.mean()), 0.6, 2.2))
    out = (picture - 110) * float(chance.uniform(0.75, 1.2)) + 110 + float(chance.normal(0, 10))
    if palette is Palette.DAY:
        grey = out.mean(axis=2, keepdims=True)
        saturation = 0.0 if chance.random() < 0.06 else float(chance.uniform(0.5, 1.3))
        out = grey + (out - grey) * saturation
        out = out * (1 + chance.normal(0, 0.045, 3)).astype(np.float32) if saturation > 0 else out
    if chance.random() < 0.3:
        y, x = np.mgrid[-1:1:complex(out.shape[0]), -1:1:complex(out.shape[1])].astype(np.float32)
        out *= (1 - float(chance.uniform(0.05, 0.4)) * (x**2 + y**2) / 2)[..., None]
    return np.asarray(out, np.float32)


def _noise(chance: np.random.Generator, side: int, sigma: float, *, grey: bool) -> npt.NDArray[np.float32]:
    """Fine noise of brightness and coarser noise of colour, as demosaicing leaves it."""
    fine = chance.standard_normal((side, side, 1), dtype=np.float32)
    if chance.random() < 0.5:
        fine = cv2.GaussianBlur(fine, (3, 3), 0.6)[..., None] * 1.8
    fine = fine * np.float32(sigma * 0.85)
    if grey:
        return np.repeat(fine, 3, axis=2)
    small = chance.standard_normal((side // 2 + 1, side // 2 + 1, 3), dtype=np.float32) * np.float32(sigma * 0.6)
    return np.asarray(fine + cv2.resize(small, (side, side)), np.float32)
