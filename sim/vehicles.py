"""Vehicles and boats to be drawn: a mesh for a kind and its looks, with its licence plates.

All are made by rule here and beside: the free game data that were looked at hold rally cars and airport vehicles, not what
drives along this border.
"""

from __future__ import annotations

from functools import cache, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from sim.mesh import Mesh
from sim.solids import WEAR_UV, Rgb, Solid
from sim.vehicles_cars import Plates, bus, car, pickup, truck
from sim.vehicles_light import bicycle, boat, motorcycle
from sim.world_state import Kind, Looks

PAINTS: dict[Kind, tuple[Rgb, ...]] = {
    Kind.CAR: (
        (214, 214, 212),
        (160, 164, 168),
        (34, 36, 40),
        (122, 26, 26),
        (40, 62, 104),
        (96, 100, 104),
        (150, 132, 104),
    ),
    Kind.PICKUP: ((206, 206, 202), (60, 64, 68), (32, 34, 36), (44, 66, 104), (122, 34, 26), (92, 98, 84), (168, 96, 40)),
    Kind.TRUCK: ((204, 206, 206), (44, 82, 138), (60, 110, 84), (168, 50, 36), (200, 160, 60)),
    Kind.BUS: ((216, 216, 212), (206, 196, 168), (150, 176, 196), (190, 60, 44)),
    Kind.MOTORCYCLE: ((130, 22, 24), (28, 30, 34), (34, 58, 120), (170, 172, 174), (60, 84, 60)),
    Kind.BICYCLE: ((40, 70, 120), (120, 30, 30), (46, 48, 50), (60, 100, 72)),
    Kind.BOAT: ((104, 78, 54), (78, 62, 48), (40, 92, 140), (120, 98, 70), (44, 112, 96)),
}
LONG_MM, SHORT_MM, SMALL_MM = (520, 110), (330, 165), (190, 140)  # Circular 79/2024/TT-BCA: cars front, rear; motorcycles
TEXTURE_PX = (256, 512)  # height, width


@lru_cache(maxsize=128)
def vehicle_mesh(kind: Kind, looks: Looks) -> Mesh:
    """A vehicle without its rider, facing +y, metres, the origin on the ground (a boat's on the water) below its middle.

    looks.plate is painted on rear and front (motorcycles: rear only). looks.colour is the paint, or else it follows from
    seed, as the variant of the body does. Raises ValueError for what is no vehicle.
    """
    if kind not in PAINTS:
        raise ValueError(f"{kind} is no vehicle: ask for one of {', '.join(sorted(PAINTS))}")
    chance = np.random.default_rng([looks.seed & 0xFFFFFFFF, 17])
    paints = PAINTS[kind]
    base = paints[int(chance.integers(len(paints)))]
    light = float(chance.uniform(0.9, 1.1))
    paint: Rgb = (base[0] * light, base[1] * light, base[2] * light)
    if looks.colour is not None:
        blue, green, red = looks.colour
        paint = (float(red), float(green), float(blue))
    variant = int(chance.integers(0, 9))
    solid = Solid()
    match kind:
        case Kind.CAR:
            plates = car(solid, paint, variant)
        case Kind.PICKUP:
            plates = pickup(solid, paint, variant)
        case Kind.TRUCK:
            plates = truck(solid, paint, variant)
        case Kind.BUS:
            plates = bus(solid, paint, variant)
        case Kind.MOTORCYCLE:
            rear = motorcycle(solid, paint, variant)
            if looks.plate:
                _mount(solid, rear, SMALL_MM, 2, (0.0, 0.0, 0.5, 0.75))
            return solid.finish(sheet(looks.plate, True))
        case Kind.BICYCLE:
            bicycle(solid, paint)
            return solid.finish(sheet("", True))
        case _:
            boat(solid, paint, variant)
            return solid.finish(sheet("", True))
    if looks.plate:
        _mount_both(solid, plates)
    return solid.finish(sheet(looks.plate, False))


def _mount_both(solid: Solid, plates: Plates) -> None:
    """The short plate behind, the long one in front."""
    _mount(solid, (0.0, plates.rear_y, plates.rear_z), SHORT_MM, 2, (0.0, 0.0, 0.5, 0.5))
    _mount(solid, (0.0, plates.front_y, plates.front_z), LONG_MM, 1, (0.0, 0.55, 0.95, 0.95))


def _mount(
    solid: Solid, at: tuple[float, float, float], size_mm: tuple[int, int], rows: int, uv: tuple[float, float, float, float]
) -> None:
    """A plate's picture on a rectangle; two rows face backwards, one faces forward."""
    half, high = size_mm[0] / 2000.0, size_mm[1] / 1000.0
    x, y, z = at
    out = 1.0 if rows == 2 else -1.0  # its left edge, seen by whoever reads it
    solid.picture(
        [
            (x - out * half, y, z - high / 2),
            (x + out * half, y, z - high / 2),
            (x + out * half, y, z + high / 2),
            (x - out * half, y, z + high / 2),
        ],
        uv,
    )


def plate_rows(text: str) -> tuple[str, str]:
    """A plate's text in two rows, as on short plates: the province and series, then the number."""
    head, _, tail = text.partition("-")
    if tail.count("-"):  # motorcycles: 74-C1 123.45
        series, _, number = tail.partition("-")
        return f"{head}-{series}", number
    if " " in text:
        first, _, second = text.partition(" ")
        return first, second
    return (head, tail) if tail else (text, "")


def _row(text: str, height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    """Black letters on white that fill a row."""
    canvas = np.full((160, 60 + 90 * max(len(text), 1)), 255, np.uint8)
    cv2.putText(canvas, text, (30, 120), cv2.FONT_HERSHEY_DUPLEX, 3.6, 0, 9, cv2.LINE_AA)
    used = np.argwhere(canvas < 128)
    if len(used) == 0:
        return np.full((height_px, width_px), 255, np.uint8)
    (top, left), (bottom, right) = used.min(axis=0), used.max(axis=0) + 1
    inner = cv2.resize(
        canvas[top:bottom, left:right], (int(width_px * 0.9), int(height_px * 0.8)), interpolation=cv2.INTER_AREA
    )
    out = np.full((height_px, width_px), 255, np.uint8)
    y, x = (height_px - inner.shape[0]) // 2, (width_px - inner.shape[1]) // 2
    out[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return out


@cache
def _wear() -> npt.NDArray[np.uint8]:
    """Dust, streaks and scratches as a picture (256, 512) that darkens what it lies on."""
    chance = np.random.default_rng(29)
    height, width = TEXTURE_PX
    cloud = cv2.resize(chance.normal(0.0, 1.0, (14, 28)), (width, height), interpolation=cv2.INTER_CUBIC)
    streak = cv2.resize(chance.normal(0.0, 1.0, (6, 170)), (width, height), interpolation=cv2.INTER_LINEAR)
    grain = chance.normal(0.0, 1.0, (height, width))
    level = 236.0 + 7.0 * cloud + 4.5 * streak + 3.0 * grain
    # the lower a panel, the more of the road is on it
    rows = np.arange(height)[:, None] / (height * WEAR_UV[3])
    return np.clip(level - 40.0 * np.clip(rows - 0.72, 0.0, 0.28), 150, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def sheet(text: str, small: bool) -> npt.NDArray[np.uint8]:
    """The texture (256, 512, 4): wear, and over it the plate of two rows top left and that of one row below it."""
    height, width = TEXTURE_PX
    grey = _wear().copy()
    if text:
        _write_plates(grey, text, small)
    return np.ascontiguousarray(np.dstack([grey, grey, grey, np.full((height, width), 255, np.uint8)]))


def _write_plates(grey: npt.NDArray[np.uint8], text: str, small: bool) -> None:
    height, width = TEXTURE_PX
    upper, lower = plate_rows(text)
    tall, half = (int(height * 0.75) if small else height // 2), width // 2
    grey[:tall, :half] = 255
    upper_px = int(half * (0.62 if len(upper) < 5 else 0.9))
    for row, y in ((_row(upper, tall // 2, upper_px), 0), (_row(lower, tall - tall // 2, half), tall // 2)):
        x = (half - row.shape[1]) // 2
        grey[y : y + row.shape[0], x : x + row.shape[1]] = row
    cv2.rectangle(grey, (2, 2), (half - 3, tall - 3), 0, 3)
    if not small:
        y0, y1, x1 = int(height * 0.55), int(height * 0.95), int(width * 0.95)
        grey[y0:y1, :x1] = _row(text.replace(" ", "-"), y1 - y0, x1)
        cv2.rectangle(grey, (2, y0 + 2), (x1 - 3, y1 - 3), 0, 3)
