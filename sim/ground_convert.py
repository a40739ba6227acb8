"""Makes the ground tiles of sim/assets/ground; runs once, on a developer's machine.

    python -m sim.ground_convert path/to/public

The folder is 0 A.D.'s public.zip, unpacked, from Debian's 0ad-data 0.27.0-1 (CC BY-SA 3.0, Wildfire Games). Its tiles are
halved and toned down to daylight under haze; road and water are synthesised here, because no tile of it is asphalt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from geofences.geodesy import Array
from sim.ground_textures import FOLDER, SIDE_PX
from sim.world_state import Cover

TYPES = Path("art/textures/terrain/types")
# file; how much of its colour is kept; light; target hue that it is mixed with (blue, green, red) and by how much
SOURCES: dict[Cover, tuple[str, float, float, tuple[int, int, int], float]] = {
    Cover.FOREST_FLOOR: ("tropic_forestfloor_a.png", 0.75, 0.72, (40, 62, 74), 0.25),
    Cover.GRASS: ("tropic_plants.png", 0.5, 0.9, (56, 92, 86), 0.3),
    Cover.FIELD: ("tropic_farmland.png", 0.8, 0.85, (60, 84, 104), 0.2),
    Cover.DIRT: ("savanna_dirt_rocks_c.png", 0.55, 0.82, (78, 104, 134), 0.15),
    Cover.ROCK: ("tropic_cliff_a.png", 0.7, 1.0, (96, 100, 102), 0.1),
    Cover.SAND: ("tropic_beach_wet.png", 0.8, 0.92, (120, 150, 166), 0.1),
}


def ripple(rng: np.random.Generator, low: float, high: float, stretch: float = 1.0) -> Array:
    """Seamless noise (512, 512) of unit deviation, of low to high waves across a tile; stretch favours one direction."""
    f = np.fft.fftfreq(SIDE_PX, 1.0 / SIDE_PX)
    radius = np.hypot(f[:, None], f[None, :] * stretch)
    band = np.exp(-((np.log(np.maximum(radius, 1e-9)) - np.log(np.sqrt(low * high))) / np.log(high / low)) ** 2 * 4.0)
    spectrum = np.fft.fft2(rng.normal(size=(SIDE_PX, SIDE_PX))) * band
    out = np.fft.ifft2(spectrum).real
    return np.asarray(out / out.std())


def tone(picture: Array, keep: float, light: float, hue: tuple[int, int, int], share: float) -> Array:
    """A picture (h, w, 3) with less colour, other light, and a hue in it."""
    grey = np.asarray(picture @ np.array([0.114, 0.587, 0.299]))
    muted = grey[..., None] + keep * (picture - grey[..., None])
    tinted = muted * (1.0 - share) + share * np.array(hue) * (grey / grey.mean())[..., None]
    return np.asarray(tinted * light)


def road() -> Array:
    """Worn asphalt: grains of many sizes, patches, dust, a few cracks."""
    rng = np.random.default_rng(71)
    grain = 5.0 * ripple(rng, 90, 250) + 3.0 * ripple(rng, 30, 90) + 4.0 * ripple(rng, 2, 6)
    dust = np.clip(ripple(rng, 3, 20), 0.0, 2.5)[..., None] * np.array([2.5, 4.5, 6.0])
    crack = np.abs(ripple(rng, 3, 12) + 0.25 * ripple(rng, 20, 60)) < 0.02
    base = np.array([96.0, 99.0, 101.0]) + grain[..., None] + dust
    return np.asarray(np.where(crack[..., None], base * 0.72, base))


def water() -> Array:
    """A brown-green river's surface from above: silt, ripples and the sky's light on them."""
    rng = np.random.default_rng(72)
    wave = 0.6 * ripple(rng, 6, 24, 0.35) + 0.5 * ripple(rng, 20, 80, 0.5)
    silt = ripple(rng, 1, 4)
    glint = np.clip(wave - 1.0, 0.0, 2.0)[..., None] * np.array([26.0, 24.0, 20.0])
    return np.asarray(np.array([74.0, 92.0, 88.0]) + 5.0 * wave[..., None] + 5.0 * silt[..., None] + glint)


def convert(public: Path, folder: Path) -> None:
    """Read 0 A.D.'s tiles below public and write one JPEG for each cover into folder."""
    tiles: dict[Cover, Array] = {Cover.ROAD: road(), Cover.WATER: water()}
    for cover, (name, keep, light, hue, share) in SOURCES.items():
        with Image.open(public / TYPES / f"{name}.cached.dds") as stored:
            picture = np.asarray(stored.convert("RGB"), dtype=np.float64)[..., ::-1]
        halved = cv2.resize(np.ascontiguousarray(picture), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        tiles[cover] = tone(np.asarray(halved, dtype=np.float64), keep, light, hue, share)
    folder.mkdir(parents=True, exist_ok=True)
    for cover, tile in tiles.items():
        eight_bit: npt.NDArray[np.uint8] = np.clip(tile, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{cover.value}.jpg"), eight_bit, [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    convert(Path(sys.argv[1]), FOLDER)
