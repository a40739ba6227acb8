"""From light on a pinhole's plane to what a camera delivers: bent by the lens, rained on, blurred, noisy, compressed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from cameras.lens import Lens
from geofences.geodesy import Array
from sim.raster_gl import Image
from sim.renderer_light import Palette, Weather

NOISE_SIGMA = 24.0              # of the stored noise, around 128
NOISE_FIELDS = 3
NOISE_SPARE_PX = 48             # the field is larger than the picture by this, and laid at another place each time
VIGNETTE = 0.17                 # light lost in the corners
JPEG_QUALITY = 82
JPEG_QUALITY_DARK = 68          # noise eats the bits of a stream with a fixed rate
THERMAL_BLUR_PX = 1.1           # at 720 lines; the sensor has fewer pixels than the picture
LENS_BLUR_PX = 0.55
RAIN_LENGTH_PX = 34             # at 720 lines
WIDEST = 2.2                    # a pinhole picture is at most this much larger than the real one, each way


def pinhole_for(lens: Lens) -> Lens:
    """A lens without distortion, of the same focal length, whose picture holds all that the real one sees."""
    if not lens.distortion.any():
        return lens
    w, h = lens.width_px, lens.height_px
    x, y = np.linspace(-0.5, w - 0.5, 33), np.linspace(-0.5, h - 0.5, 33)
    rim = np.concatenate([np.column_stack([x, np.full(33, v)]) for v in (-0.5, h - 0.5)]
                         + [np.column_stack([np.full(33, v), y]) for v in (-0.5, w - 0.5)])
    ideal = lens.to_ideal(rim)
    seen = ideal * [lens.fx, lens.fy] + [lens.cx, lens.cy]
    seen = np.vstack([seen[np.isfinite(seen).all(axis=1)], rim])
    low = np.maximum(np.floor(seen.min(axis=0)) - 2, [-w * (WIDEST - 1) / 2, -h * (WIDEST - 1) / 2]).astype(int)
    high = np.minimum(np.ceil(seen.max(axis=0)) + 3, [w * (WIDEST + 1) / 2, h * (WIDEST + 1) / 2]).astype(int)
    return replace(
        lens, width_px=int(high[0] - low[0]), height_px=int(high[1] - low[1]), cx=lens.cx - low[0], cy=lens.cy - low[1],
        k1=0.0, k2=0.0, p1=0.0, p2=0.0, k3=0.0,
    )


class Bend:
    """Takes pictures of a pinhole to those of a real lens, exactly as cameras.Lens says."""

    def __init__(self, lens: Lens, pinhole: Lens) -> None:
        self.lens = lens
        self.pinhole = pinhole
        self.straight = lens == pinhole
        w, h = lens.width_px, lens.height_px
        x, y = np.meshgrid(np.arange(w, dtype=float), np.arange(h, dtype=float))
        if self.straight:
            self.map_x, self.map_y = x.astype(np.float32), y.astype(np.float32)
            return
        ideal = lens.to_ideal(np.column_stack([x.ravel(), y.ravel()]))
        at = (ideal * [pinhole.fx, pinhole.fy] + [pinhole.cx, pinhole.cy]).reshape(h, w, 2)
        # What no direction reaches is black, as at the rim of a fish-eye.
        at = np.where(np.isfinite(at), at, -10.0)
        self.map_x, self.map_y = (np.ascontiguousarray(at[..., k], np.float32) for k in (0, 1))

    def place_of(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Pixels of the real picture that a box of the pinhole's may fall on: left, top, right, bottom; may be empty."""
        left, top, right, bottom = box
        if not self.straight:
            x, y = np.linspace(left - 0.5, right - 0.5, 9), np.linspace(top - 0.5, bottom - 0.5, 9)
            rim = np.concatenate([np.column_stack([x, np.full(9, v)]) for v in (top - 0.5, bottom - 0.5)]
                                 + [np.column_stack([np.full(9, v), y]) for v in (left - 0.5, right - 0.5)])
            p = self.pinhole
            real = self.lens.to_pixels((rim - [p.cx, p.cy]) / [p.fx, p.fy])
            real = real[np.isfinite(real).all(axis=1)]
            if len(real) == 0:
                return (0, 0, 0, 0)
            low, high = np.floor(real.min(axis=0)) - 1, np.ceil(real.max(axis=0)) + 2
            left, top, right, bottom = int(low[0]), int(low[1]), int(high[0]), int(high[1])
        return max(left, 0), max(top, 0), min(right, self.lens.width_px), min(bottom, self.lens.height_px)

    def patch(self, picture: Image, box: tuple[int, int, int, int], place: tuple[int, int, int, int]) -> Image:
        """A piece of the pinhole's picture, cut at box, as it lies at `place` in the real one; nought outside the piece."""
        left, top, right, bottom = place
        if self.straight:
            return picture[top - box[1]:bottom - box[1], left - box[0]:right - box[0]]
        map_x = self.map_x[top:bottom, left:right] - np.float32(box[0])
        map_y = self.map_y[top:bottom, left:right] - np.float32(box[1])
        return np.asarray(cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Fields:
    """What does not change from picture to picture of one size."""

    noise: list[Image]
    vignette: Image
    streaks: list[Image]


class Film:
    """The sensor and what comes after it. seed: of its noise; the same seed and number of pictures give the same noise."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self._size = (width, height)
        self._chance = np.random.default_rng(seed)
        self._fields = _make_fields(width, height, self._chance)

    def expose(self, picture: Image, weather: Weather, palette: Palette) -> Image:
        """Blur, rain, falling off of light to the corners, noise."""
        width, height = self._size
        scale = height / 720
        blur = (THERMAL_BLUR_PX if palette is Palette.THERMAL else LENS_BLUR_PX) * scale
        size = (3, 3) if blur < 0.8 else (0, 0)
        out = np.asarray(cv2.GaussianBlur(picture, size, max(blur, 0.3)), np.uint8)
        if weather.rain > 0 and palette is not Palette.THERMAL:
            out = self._rain(out, weather)
        if palette is not Palette.THERMAL:
            out = np.asarray(cv2.multiply(out, self._fields.vignette, scale=1 / 255), np.uint8)
        field = self._fields.noise[int(self._chance.integers(len(self._fields.noise)))]
        x, y = self._chance.integers(0, NOISE_SPARE_PX, 2)
        noise = field[y:y + height, x:x + width]
        if palette is not Palette.DAY:
            noise = np.dstack([noise[..., 1]] * 3)
        share = weather.noise / NOISE_SIGMA
        return np.asarray(cv2.addWeighted(out, 1.0, noise, share, -128.0 * share), np.uint8)

    def _rain(self, picture: Image, weather: Weather) -> Image:
        height, width = picture.shape[:2]
        level = float(np.mean(picture[::16, ::16]))
        for k, streaks in enumerate(self._fields.streaks):
            if weather.rain * 3.0 <= k * 0.7:
                break
            x, y = self._chance.integers(0, [streaks.shape[1] - width + 1, streaks.shape[0] - height + 1])
            strength = min(1.0, weather.rain * 3.0 - k * 0.7) * (0.25 + level / 255) * 0.55
            piece = streaks[y:y + height, x:x + width]
            picture = np.asarray(cv2.addWeighted(picture, 1.0, piece, strength, 0.0), np.uint8)
        return picture


def motion_blurred(image: Image, pixels: tuple[float, float]) -> Image:
    """Smeared along a way of so many pixels, alpha with it."""
    x, y = (int(np.clip(round(abs(v)), 0, 15)) for v in pixels)
    return np.asarray(cv2.blur(image, (max(x, 1), max(y, 1))), np.uint8) if max(x, y) >= 2 else image


def compressed(picture: Image, weather: Weather) -> tuple[Image, bytes]:
    """The picture as it comes out of a JPEG, and the JPEG."""
    dark = float(np.clip((weather.noise - 2.0) / 6.0, 0.0, 1.0))
    quality = round(JPEG_QUALITY + (JPEG_QUALITY_DARK - JPEG_QUALITY) * dark)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "a picture in memory can always be encoded"
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), data.tobytes()


def exposure_s(weather: Weather) -> float:
    """Shutter time: short by day, a whole frame in the dark."""
    return float(np.interp(weather.noise, [1.4, 3.0, 9.0], [1 / 250, 1 / 60, 1 / 25]))


def _make_fields(width: int, height: int, chance: np.random.Generator) -> _Fields:
    noise = []
    for _ in range(NOISE_FIELDS):
        shape = (height + NOISE_SPARE_PX, width + NOISE_SPARE_PX)
        grey = cv2.GaussianBlur(chance.standard_normal((*shape, 1)).astype(np.float32), (3, 3), 0.55)[..., None]
        small = chance.standard_normal((shape[0] // 2 + 1, shape[1] // 2 + 1, 3)).astype(np.float32)
        colour = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)
        both = grey / grey.std() * 0.9 + colour / colour.std() * 0.45
        noise.append(np.clip(128 + both / both.std() * NOISE_SIGMA, 0, 255).astype(np.uint8))
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height) * height / width)
    off: Array = (x**2 + y**2) / (1 + (height / width) ** 2)
    vignette = (255 * (1 - VIGNETTE * off**1.3)).astype(np.uint8)
    return _Fields(noise, np.dstack([vignette] * 3), [_streaks(width, height, chance, k) for k in range(3)])


def _streaks(width: int, height: int, chance: np.random.Generator, layer: int) -> Image:
    """Falling drops in one layer of depth, bright on black, on a field larger than the picture."""
    wide, high = width + 200, height + 200
    scale = height / 720
    field = np.zeros((high, wide), np.uint8)
    count = round(wide * high / (2600.0 * scale**2) / (1 + layer) * 0.8)
    slant = 0.10 + 0.02 * layer
    for x, y, long, bright in zip(
        chance.uniform(0, wide, count), chance.uniform(0, high, count), chance.gamma(4.0, 0.25, count),
        chance.uniform(60, 190, count), strict=True,
    ):
        reach = RAIN_LENGTH_PX * scale * long * (0.6 + 0.5 * layer)
        end = (int(x + reach * slant), int(y + reach))
        cv2.line(field, (int(x), int(y)), end, float(bright), 1 + layer // 2, cv2.LINE_AA)
    soft = cv2.GaussianBlur(field, (0, 0), 0.6 + 0.5 * layer)
    return np.dstack([soft, soft, soft])
