"""What lies behind the objects of a training frame: a photograph, ground in perspective, or shapes that mean nothing.

`--backgrounds DIR` holds folders `photo`, `texture` and `cutout`, made by models/training/backgrounds.py from free Debian
packages; without it, frames have the ground tiles of sim/assets and drawn shapes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.frames_camera import View
from sim.ground_textures import TILE_M, ground_texture
from sim.mesh import Mesh
from sim.raster import Light, Placed, Raster
from sim.renderer_light import Palette
from sim.world_state import Cover
from wire.settings import SettingsError

Image = npt.NDArray[np.uint8]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
PHOTO_SHARE, GROUND_SHARE = 0.46, 0.42      # the rest is shapes
MIXED_SHARE = 0.15                          # of the grounds, that blend two tiles along smooth noise
GRID = 48                                   # squares of the ground mesh, each way
NEUTRAL_HEAT = 0.30                         # of ground in the thermal palette


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """Files, sorted, so that a seed means the same on every machine."""

    photos: tuple[Path, ...] = ()
    textures: tuple[Path, ...] = ()
    cutouts: tuple[Path, ...] = ()


def find_backgrounds(folder: Path | None) -> Backgrounds:
    """What a folder holds. Raises SettingsError where it holds nothing that can be used."""
    if folder is None:
        return Backgrounds()
    found = Backgrounds(*(
        tuple(sorted(p for p in (folder / kind).glob("*") if p.suffix.lower() in PICTURES))
        for kind in ("photo", "texture", "cutout")
    ))
    if not found.photos and not found.textures:
        raise SettingsError(
            f"--backgrounds {folder}: holds neither photo/*.jpg nor texture/*.jpg. "
            "Make it with: python -m models.training.backgrounds --out DIR"
        )
    return found


@lru_cache(maxsize=48)
def _photo(path: Path) -> Image:
    return _read(path)


# Kept, because the raster knows its textures by the array that they are.
@lru_cache(maxsize=150)
def _tile(path: Path) -> Image:
    return _opaque(np.asarray(cv2.resize(_read(path), (512, 512), interpolation=cv2.INTER_AREA), np.uint8))


@lru_cache(maxsize=len(Cover))
def _cover_tile(cover: Cover) -> Image:
    return _opaque(ground_texture(cover))


def _opaque(picture: Image) -> Image:
    return np.ascontiguousarray(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))


@lru_cache(maxsize=400)
def cutout(path: Path) -> Image:
    """(h, w, 4) blue, green, red, alpha."""
    return _read(path, cv2.IMREAD_UNCHANGED)


def _read(path: Path, how: int = cv2.IMREAD_COLOR) -> Image:
    picture = cv2.imread(str(path), how)
    if picture is None:
        raise SettingsError(f"{path}: not a picture that can be read. Make the folder of backgrounds anew.")
    return np.asarray(picture, np.uint8)


def draw_background(
    chance: np.random.Generator, found: Backgrounds, view: View, raster: Raster, light: Light, palette: Palette
) -> Image:
    """(side, side, 3) uint8 in the light of the frame."""
    kind = chance.random()
    if found.photos and kind < PHOTO_SHARE:
        picture = lit(_crop(chance, _photo(found.photos[int(chance.integers(len(found.photos)))]), view.lens.width_px),
                      chance, view, light, palette)
    elif kind < PHOTO_SHARE + GROUND_SHARE or not found.photos:
        picture = _ground(chance, found, view, raster, light, palette)
    else:
        picture = lit(shapes(chance, view.lens.width_px), chance, view, light, palette)
    if chance.random() < 0.22:
        picture = _scribbled(chance, picture)
    return picture


def _crop(chance: np.random.Generator, picture: Image, side: int) -> Image:
    """A square piece at a scale of its own, turned over by chance."""
    height, width = picture.shape[:2]
    most = min(height, width)
    wanted = int(np.exp(chance.uniform(np.log(min(side * 0.55, most)), np.log(min(most, side * 4)) + 1e-6)))
    top, left = int(chance.integers(height - wanted + 1)), int(chance.integers(width - wanted + 1))
    piece = picture[top:top + wanted, left:left + wanted]
    how = cv2.INTER_AREA if wanted > side else cv2.INTER_LINEAR
    piece = np.asarray(cv2.resize(piece, (side, side), interpolation=how), np.uint8)
    if chance.random() < 0.5:
        piece = piece[:, ::-1]
    return np.ascontiguousarray(np.rot90(piece, int(chance.integers(4))) if chance.random() < 0.15 else piece)


def lit(picture: Image, chance: np.random.Generator, view: View, light: Light, palette: Palette) -> Image:
    """A picture taken by day as it might look in the frame's light; by day, half of them as they are."""
    if palette is Palette.THERMAL:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
        grey = (grey - grey.mean()) * float(chance.uniform(-0.35, 0.35)) + float(chance.uniform(0.18, 0.42))
        return np.asarray(np.clip(np.dstack([grey] * 3) * 255, 0, 255), np.uint8)
    level = float(np.mean(light.sun) * 0.6 + np.mean(light.sky)) * light.exposure
    if palette is Palette.DAY and level > 0.6 and light.fog_per_m < 1e-3 and chance.random() < 0.5:
        return picture
    albedo = (picture.astype(np.float32) / 255) ** 2
    lamp = light.lamp[0] / max(view.distance_m, 1.0) ** 2
    falling_on = np.array(light.sun) * 0.6 + np.array(light.sky) + lamp
    out = albedo * falling_on.astype(np.float32) * float(chance.uniform(0.8, 1.4))
    haze = 1.0 - np.exp(-_distances(view) * light.fog_per_m)
    out = (out * (1 - haze[..., None]) + haze[..., None] * np.array(light.fog, np.float32)) * light.exposure
    # the renderer's own tone curve, see sim/raster_shaders.py
    out = np.sqrt(np.clip(out * (1 + out * 0.16) / (1 + out * 0.75), 0, 1)) * 255
    if palette is Palette.LOW_LIGHT:
        out = np.dstack([out @ np.array([0.114, 0.587, 0.299], np.float32)] * 3)
    return np.asarray(out, np.uint8)


def _distances(view: View) -> npt.NDArray[np.float32]:
    """(side, side) metres to the ground, along each pixel's row; far above the horizon."""
    rows = np.arange(view.lens.height_px)
    down = np.radians(view.depression_deg) + np.arctan((rows - view.lens.cy) / view.lens.fy)
    metres = np.where(down > 0.01, view.pose.height_msl_m / np.sin(np.maximum(down, 0.01)), 3_000.0)
    return np.broadcast_to(np.clip(metres, 0, 3_000)[:, None], (view.lens.height_px, view.lens.width_px)).astype(np.float32)


def _ground(
    chance: np.random.Generator, found: Backgrounds, view: View, raster: Raster, light: Light, palette: Palette
) -> Image:
    """Level ground covered with tiles, as the camera sees it, and a sky over it."""
    texture, metres = _any_tile(chance, found)
    if chance.random() < MIXED_SHARE:
        other, _ = _any_tile(chance, found)
        mask = smooth(chance, 512, float(chance.uniform(40, 160)))[..., None] > float(chance.uniform(-0.6, 0.6))
        texture = np.ascontiguousarray(np.where(mask, texture, other))
    reach = float(np.clip(view.distance_m * 4, 12.0, 400.0))
    placed = [_ground_patch(chance, texture, metres, reach)]
    if view.depression_deg < 25:
        placed.append(_ground_patch(chance, texture, metres * 4, 3_000.0, sunk_m=max(0.05, 0.004 * view.distance_m)))
    drawn = raster.draw(placed, view.pose, view.lens, replace(light, shadows=False)).image
    alpha = drawn[..., 3:].astype(np.float32) / 255
    if alpha.min() > 0.99:
        return np.ascontiguousarray(drawn[..., :3])
    if found.photos and chance.random() < 0.6:
        behind = lit(_crop(chance, _photo(found.photos[int(chance.integers(len(found.photos)))]), view.lens.width_px),
                     chance, view, light, palette)
    else:
        behind = _sky(chance, view.lens.width_px, light, palette)
    return np.asarray(drawn[..., :3] + behind * (1 - alpha), np.uint8)


def _any_tile(chance: np.random.Generator, found: Backgrounds) -> tuple[Image, float]:
    """(512, 512, 4) and how many metres it covers."""
    if found.textures and chance.random() < 0.7:
        tile = _tile(found.textures[int(chance.integers(len(found.textures)))])
        return tile, float(np.exp(chance.uniform(np.log(1.5), np.log(40.0))))
    cover = tuple(Cover)[int(chance.integers(len(Cover)))]
    return _cover_tile(cover), TILE_M[cover] * float(chance.uniform(0.6, 1.6))


def _ground_patch(chance: np.random.Generator, tile: Image, metres: float, reach_m: float, sunk_m: float = 0.0) -> Placed:
    posts = np.linspace(-reach_m, reach_m, GRID + 1)
    e, n = (a.ravel() for a in np.meshgrid(posts, posts))
    turn = float(chance.uniform(0, 2 * np.pi))
    uv = np.column_stack([e * np.cos(turn) - n * np.sin(turn), e * np.sin(turn) + n * np.cos(turn)]) / metres
    shade = cv2.resize(smooth(chance, 64, 6.0), (GRID + 1, GRID + 1)).ravel()
    tint = chance.uniform(0.75, 1.1) * (1 + 0.13 * shade[:, None]) * chance.normal(1.0, 0.05, 3)
    corner = (np.arange(GRID)[:, None] * (GRID + 1) + np.arange(GRID)).ravel()
    triangles = np.column_stack([corner, corner + 1, corner + GRID + 2, corner, corner + GRID + 2, corner + GRID + 1])
    mesh = Mesh(
        vertices=np.column_stack([e, n, np.full(len(e), -sunk_m)]).astype(np.float32),
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        colours=np.clip(tint * 215, 0, 255).astype(np.uint8),
        normals=np.broadcast_to(np.array([0, 0, 1], np.float32), (len(e), 3)).copy(),
        uv=uv.astype(np.float32),
        texture=tile,
    )
    return Placed.one(mesh, (0.0, 0.0, 0.0), heat=float(chance.normal(NEUTRAL_HEAT, 0.05)))


def _sky(chance: np.random.Generator, side: int, light: Light, palette: Palette) -> Image:
    if palette is Palette.THERMAL:
        return np.full((side, side, 3), int(chance.uniform(5, 70)), np.uint8)
    clouds = smooth(chance, side, side / 6) * 0.12 * chance.random() + 1.0
    fade = np.linspace(0.8, 1.15, side)[:, None, None]
    out = np.sqrt(np.clip(np.array(light.fog) * light.exposure * fade * clouds[..., None], 0, 1)) * 250
    if palette is Palette.LOW_LIGHT:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    return np.asarray(out, np.uint8)


def smooth(chance: np.random.Generator, side: int, wave_px: float) -> Array:
    """(side, side) noise of mean 0 and deviation 1, that changes over wave_px pixels."""
    small = max(2, round(side / max(wave_px, 1.0)) + 1)
    coarse = chance.standard_normal((small, small)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / max(float(field.std()), 1e-6), float)


def shapes(chance: np.random.Generator, side: int) -> Image:
    """Noise of several waves, stripes, grids, checks: what is in no photograph, and in no object."""
    colour, other = chance.uniform(20, 235, 3), chance.uniform(20, 235, 3)
    kind = int(chance.integers(5))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle, period = float(chance.uniform(0, np.pi)), float(np.exp(chance.uniform(np.log(4), np.log(90))))
    along = (x * np.cos(angle) + y * np.sin(angle)) / period
    across = (-x * np.sin(angle) + y * np.cos(angle)) / (period * chance.uniform(0.4, 2.5))
    if kind == 0:
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * along)
    elif kind == 1:
        mix = ((along % 1 < chance.uniform(0.05, 0.4)) | (across % 1 < chance.uniform(0.05, 0.4))).astype(np.float32)
    elif kind == 2:
        mix = ((np.floor(along) + np.floor(across)) % 2).astype(np.float32)
    else:
        mix = np.zeros((side, side), np.float32)
        for wave in (2.0, 6.0, 20.0, 70.0):
            mix = mix + smooth(chance, side, wave) * chance.random() * wave**0.3
        mix = 0.5 + 0.5 * mix / max(float(np.abs(mix).max()), 1e-6)
    out = colour + (other - colour) * np.asarray(mix)[..., None]
    out = out + smooth(chance, side, 3.0)[..., None] * chance.uniform(0, 18)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _scribbled(chance: np.random.Generator, picture: Image) -> Image:
    """Lines, polygons, discs and words on a picture: edges that belong to nothing."""
    out = picture.copy()
    side = out.shape[0]
    for _ in range(int(chance.integers(1, 7))):
        b, g, r = (float(v) for v in (chance.uniform(0, 255, 3) if chance.random() < 0.5 else [chance.uniform(0, 255)] * 3))
        colour = (b, g, r)
        at = chance.uniform(0, side, 2)
        size = float(np.exp(chance.uniform(np.log(6), np.log(side / 2))))
        kind = int(chance.integers(4))
        layer = out.copy()
        if kind == 0:
            end = at + chance.normal(0, size, 2)
            cv2.line(layer, _px(at), _px(end), colour, int(chance.integers(1, max(2, int(size / 6) + 2))), cv2.LINE_AA)
        elif kind == 1:
            corners = at + chance.normal(0, size / 2, (int(chance.integers(3, 7)), 2))
            cv2.fillPoly(layer, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        elif kind == 2:
            axes = (max(1, int(size / 3)), max(1, int(size / 3 * chance.uniform(0.2, 1))))
            cv2.ellipse(layer, _px(at), axes, float(chance.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            word = "".join(chr(int(c)) for c in chance.integers(33, 90, int(chance.integers(2, 16))))
            face, thick = int(chance.integers(0, 5)), int(chance.integers(1, 4))
            cv2.putText(layer, word, _px(at), face, size / 60 + 0.25, colour, thick, cv2.LINE_AA)
        share = float(chance.uniform(0.35, 1.0))
        out = np.asarray(cv2.addWeighted(layer, share, out, 1 - share, 0), np.uint8)
    return out


def _px(at: Array) -> tuple[int, int]:
    return (int(at[0]), int(at[1]))
