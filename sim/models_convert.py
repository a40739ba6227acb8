"""Converts plants and animals of 0 A.D. to sim/assets/plants.npz and animals.npz; runs once, on a developer's machine.

    python -m sim.models_convert path/to/public

The folder is 0 A.D.'s public.zip, unpacked, from Debian's 0ad-data 0.27.0-1 (CC BY-SA 3.0, Wildfire Games). Its meshes are
in PMD, a dump of vertices and faces that the game caches; the layout is in its source's graphics/ModelDef.cpp.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from geofences.geodesy import Array
from sim.mesh import Mesh
from sim.stored_meshes import ASSETS, write_meshes
from sim.world_state import Kind, Species

MESHES, SKINS = Path("art/meshes"), Path("art/textures/skins")
LARGEST_PX = 256            # of a texture's side
SUNK = 0.03                 # share of the height that may be below ground
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Piece:
    """A mesh of the game with its skin. leafy: lit as a crown is, not as the cards are."""

    mesh: str
    skin: str
    leafy: bool = True
    at: tuple[float, float] = (0.0, 0.0)
    turn_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one model is made of. keep, light: how much of its colour stays, and how bright it is."""

    name: str
    pieces: tuple[Piece, ...]
    keep: float = 0.8
    light: float = 1.0


def _trunk(mesh: str, skin: str) -> Piece:
    return Piece(mesh, skin, leafy=False)


PLANTS: tuple[Recipe, ...] = (
    # crowns are doubled, half a turn apart, or there would be more sky than leaves in them
    Recipe(f"{Species.BROADLEAF}.0", (_trunk("gaia/tree_teak_1", "gaia/teak_trunk.png"),
                                      Piece("gaia/tree_teak_1_leaves", "gaia/teak.png"),
                                      Piece("gaia/tree_teak_2_leaves", "gaia/teak.png", turn_deg=100.0))),
    Recipe(f"{Species.BROADLEAF}.1", (_trunk("gaia/tree_tropic", "gaia/trunk_deciduous_b.dds"),
                                      Piece("gaia/tree_tropic_top", "gaia/poplar_a.dds"),
                                      Piece("gaia/tree_tropic_top_b", "gaia/poplar_a.dds", turn_deg=75.0)), light=1.1),
    Recipe(f"{Species.BROADLEAF}.2", (_trunk("gaia/tree_tropic_c", "gaia/trunk_deciduous_b.dds"),
                                      Piece("gaia/tree_tropic_top_c", "gaia/poplar_b.dds"),
                                      Piece("gaia/tree_tropic_top_c", "gaia/poplar_b.dds", turn_deg=140.0),
                                      Piece("gaia/tree_tropic_top", "gaia/poplar_b.dds", turn_deg=40.0)), light=1.0),
    Recipe(f"{Species.BAMBOO}.0", (Piece("gaia/bamboo_1", "gaia/bamboo_1.png"),)),
    Recipe(f"{Species.BAMBOO}.1", (Piece("gaia/bamboo_2", "gaia/bamboo_1.png"),)),
    Recipe(f"{Species.BAMBOO}.2", (Piece("gaia/bamboo_single_1", "gaia/bamboo_1.png"),
                                   Piece("gaia/bamboo_single_2", "gaia/bamboo_1.png", at=(1.6, 0.8), turn_deg=120.0),
                                   Piece("gaia/bamboo_single_3", "gaia/bamboo_1.png", at=(-0.8, 1.5), turn_deg=230.0))),
    Recipe(f"{Species.PALM}.0", (Piece("gaia/palm_areca_1", "gaia/palm_areca.png"),)),
    Recipe(f"{Species.PALM}.1", (Piece("gaia/palm_areca_2", "gaia/palm_areca.png"),)),
    Recipe(f"{Species.PALM}.2", (Piece("gaia/palm_areca_3", "gaia/palm_areca.png"),)),
    Recipe(f"{Species.BANANA}.0", (Piece("gaia/banana", "gaia/banana.png"),)),
    Recipe(f"{Species.BANANA}.1", (Piece("gaia/banana_2", "gaia/banana.png"),)),
    Recipe(f"{Species.BANANA}.2", (Piece("gaia/fern_tropical_b", "gaia/fern_e.png"),), light=1.15),
    Recipe(f"{Species.BUSH}.0", (Piece("gaia/bush_la_1", "gaia/bush_medit_a.dds"),
                                 Piece("gaia/bush_la_2", "gaia/bush_medit_a.dds", turn_deg=50.0)), light=1.35),
    Recipe(f"{Species.BUSH}.1", (Piece("gaia/bush_la_4", "gaia/bush_medit_a.dds"),
                                 Piece("gaia/bush_la_5", "gaia/bush_medit_a.dds", turn_deg=40.0)), light=1.35),
    Recipe(f"{Species.BUSH}.2", (Piece("gaia/wrld_plant_bush_dry2", "gaia/bush_tropic_b.dds"),
                                 Piece("gaia/bush_la_7", "gaia/bush_medit_a.dds")), keep=0.7),
    Recipe(f"{Species.FERN}.0", (Piece("gaia/ferns_sm_a", "gaia/ferns_a.png"),
                                 Piece("gaia/ferns_sm_a", "gaia/ferns_a.png", turn_deg=70.0)), light=1.1),
    Recipe(f"{Species.FERN}.1", (Piece("gaia/fern_tropical_a", "gaia/fern_b.png"),)),
    Recipe(f"{Species.FERN}.2", (Piece("gaia/bush_dese_a_1", "gaia/bush_tropic_a.dds"),), keep=0.65, light=0.9),
    Recipe(f"{Species.GRASS_TUFT}.0", (Piece("gaia/grass_la_tall_a", "gaia/grass_tropic_a.png"),), keep=0.7),
    Recipe(f"{Species.GRASS_TUFT}.1", (Piece("gaia/grass_la_tall_a", "gaia/grass_field_temperate.dds"),),
           keep=0.7, light=0.85),
    Recipe(f"{Species.GRASS_TUFT}.2", (Piece("gaia/wrld_fol_grasscluster_a_1", "gaia/wrld_grasstuft.dds"),), light=1.2),
    Recipe(f"{Species.DEAD_TREE}.0", (_trunk("gaia/tree_dead_a_1", "gaia/tree_dead.dds"),), light=1.25),
    Recipe(f"{Species.DEAD_TREE}.1", (_trunk("gaia/tree_dead_a_2", "gaia/tree_dead.dds"),), light=1.25),
)
ANIMALS: tuple[Recipe, ...] = (
    Recipe(f"{Kind.BUFFALO}.0", (_trunk("skeletal/sanga_cattle_a", "skeletal/animal_zebu_black.png"),), light=1.25),
    Recipe(f"{Kind.BUFFALO}.1", (_trunk("skeletal/sanga_cattle_b", "skeletal/animal_zebu_black.png"),), light=1.5),
    Recipe(f"{Kind.DOG}.0", (_trunk("skeletal/wolf", "skeletal/animal_wolf.png"),)),
    Recipe(f"{Kind.DOG}.1", (_trunk("skeletal/mastiff_no_spikes", "skeletal/brit/mastiff_b_01.png"),)),
    Recipe(f"{Kind.DOG}.2", (_trunk("skeletal/mastiff_no_spikes", "skeletal/brit/mastiff_b_02.png"),)),
    Recipe(f"{Kind.BIRD}.0", (_trunk("skeletal/crow", "skeletal/animal_crow.png"),)),
    Recipe(f"{Kind.BIRD}.1", (_trunk("skeletal/hawk", "skeletal/animal_hawk.png"),), keep=0.6),
)


def read_pmd(path: Path) -> tuple[Array, Array, Array, npt.NDArray[np.int64]]:
    """Vertices (n, 3), normals (n, 3), uv (n, 2), triangles (m, 3); x right, y ahead, z up, in the game's units."""
    data = path.read_bytes()
    if data[:4] != b"PSMD":
        raise ValueError(f"{path}: not a PMD file: it begins with {data[:4]!r}")
    version, _, count = struct.unpack_from("<III", data, 4)
    place, layers = 16, 1
    if version >= 4:
        (layers,) = struct.unpack_from("<I", data, place)
        place += 4
    record = np.dtype([
        ("at", "<f4", 3), ("normal", "<f4", 3), ("uv", "<f4", (layers, 2)), ("bones", "u1", 4), ("shares", "<f4", 4),
    ])
    rows = np.frombuffer(data, record, count, place)
    place += record.itemsize * count
    (faces,) = struct.unpack_from("<I", data, place)
    triangles = np.frombuffer(data, "<u2", faces * 3, place + 4).reshape(-1, 3).astype(np.int64)
    axes, uv = [0, 2, 1], rows["uv"][:, 0].astype(np.float64)
    uv[:, 1] = 1.0 - uv[:, 1]
    # the game is left-handed and its models look backwards: half a turn
    turn = np.array([-1.0, -1.0, 1.0])
    return rows["at"][:, axes] * turn, rows["normal"][:, axes] * turn, uv, triangles[:, [0, 2, 1]]


def bled(picture: Picture) -> Picture:
    """The same with the colour of leaves carried into the holes, so that no rim shows when it is drawn small."""
    alpha = picture[..., 3:].astype(np.float64) / 255.0
    colour, weight = picture[..., :3] * alpha, alpha
    around, total = colour.copy(), weight.copy()
    for size in (3, 7, 15, 31, 63):
        wide = cv2.blur(colour, (size, size))
        share = cv2.blur(weight, (size, size))[..., None]
        empty = total < 0.02
        around, total = np.where(empty, wide, around), np.where(empty, share, total)
    mean = colour.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    whole = np.where(total > 1e-4, around / np.maximum(total, 1e-4), mean)
    return np.concatenate([np.clip(whole, 0, 255), picture[..., 3:]], axis=2).astype(np.uint8)


def skin(public: Path, name: str, recipe: Recipe) -> Picture:
    """A skin, (h, w, 4) blue, green, red, alpha, made smaller and toned."""
    with Image.open(public / SKINS / f"{name}.cached.dds") as stored:
        picture = np.asarray(stored.convert("RGBA"))[..., [2, 1, 0, 3]]
    picture = bled(np.ascontiguousarray(picture))
    largest = max(picture.shape[:2])
    if largest > LARGEST_PX:
        share = LARGEST_PX / largest
        size = (round(picture.shape[1] * share), round(picture.shape[0] * share))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    colour = picture[..., :3].astype(np.float64)
    grey = (colour @ np.array([0.114, 0.587, 0.299]))[..., None]
    toned = np.clip((grey + recipe.keep * (colour - grey)) * recipe.light, 0, 255)
    return np.concatenate([toned, picture[..., 3:]], axis=2).astype(np.uint8)


def domed(vertices: Array, normals: Array) -> Array:
    """Normals of a crown: away from its middle, so that leaves on cards are lit as a mass of leaves is."""
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2.0
    middle[2] = vertices[:, 2].min() + 0.35 * np.ptp(vertices[:, 2])
    away = (vertices - middle) / np.maximum(np.ptp(vertices, axis=0), 1e-6)
    away = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    mixed = 0.25 * normals + away + [0.0, 0.0, 0.35]
    return np.asarray(mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-6))


def build(public: Path, recipe: Recipe, sheets: dict[str, Picture]) -> Mesh:
    """One model. Skins of its pieces lie side by side in one texture; sheets keeps those that were made."""
    names = list(dict.fromkeys(piece.skin for piece in recipe.pieces))
    repeats = dict.fromkeys(names, 1)
    read = []
    for piece in recipe.pieces:
        vertices, normals, uv, triangles = read_pmd(public / MESHES / f"{piece.mesh}.dae.cached.pmd")
        angle = np.radians(piece.turn_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
        vertices, normals = vertices @ turn.T + np.array([*piece.at, 0.0]), normals @ turn.T
        uv = uv - np.floor(uv.min(axis=0) + 1e-3)
        repeats[piece.skin] = max(repeats[piece.skin], min(4, int(np.ceil(uv.max() - 1e-2))))
        read.append((piece, vertices, domed(vertices, normals) if piece.leafy else normals, uv, triangles))
    key = "|".join([*names, *(str(n) for n in repeats.values()), str(recipe.keep), str(recipe.light)])
    tiles = [np.tile(skin(public, name, recipe), (repeats[name], repeats[name], 1)) for name in names]
    side = min(LARGEST_PX * (2 if max(repeats.values()) > 1 else 1), max(max(tile.shape[:2]) for tile in tiles))
    if key not in sheets:
        fitted = [np.asarray(cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8) for tile in tiles]
        sheets[key] = np.ascontiguousarray(np.hstack(fitted))
    starts = np.cumsum([0] + [len(entry[1]) for entry in read[:-1]])
    at = np.concatenate([entry[1] for entry in read])
    at[:, 2] = np.maximum(at[:, 2], -SUNK * at[:, 2].max())
    placed = []
    for piece, _, _, uv, _ in read:
        column = names.index(piece.skin)
        within = np.clip(uv / repeats[piece.skin], 0.002, 0.998)
        placed.append(np.column_stack([(within[:, 0] + column) / len(names), within[:, 1]]))
    return Mesh(
        vertices=at.astype(np.float32),
        triangles=np.concatenate([entry[4] + start for entry, start in zip(read, starts, strict=True)]).astype(np.int32),
        colours=np.full((len(at), 3), 255, np.uint8),
        normals=np.concatenate([entry[2] for entry in read]).astype(np.float32),
        uv=np.concatenate(placed).astype(np.float32),
        texture=sheets[key],
    )


def convert(public: Path, folder: Path) -> None:
    """Write both files into folder."""
    for name, recipes in (("plants", PLANTS), ("animals", ANIMALS)):
        sheets: dict[str, Picture] = {}
        write_meshes(folder / f"{name}.npz", {recipe.name: build(public, recipe, sheets) for recipe in recipes})


if __name__ == "__main__":
    convert(Path(sys.argv[1]), ASSETS)
