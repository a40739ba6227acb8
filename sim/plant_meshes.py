"""Plants, and still things that can be taken for somebody: a few variants of each species, a metre high.

Crowns are textured cards, converted from 0 A.D. by sim/models_convert.py; stump, boulder and post are made here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.ground_textures import ground_texture
from sim.mesh import Mesh
from sim.people_clothes import Rgb, noise, paint
from sim.shapes import gathering, lathe, normals_of
from sim.stored_meshes import read_meshes
from sim.world_state import Cover, Species

VARIANTS = 3
STONE_PX = 128
# sides of a stump's or boulder's rings, and how rough it is
STUMP_SIDES, BOULDER_SIDES, POST_SIDES = 9, 10, 7


def plant_mesh(species: Species, variant: int) -> Mesh:
    """One plant, 1 m high, rooted at the origin; its roots may reach a little below the ground.

    variant: any number; there are VARIANTS of a species. Stretch it to the height and crown that is wanted. The same
    arguments give the same object, so that a renderer uploads it once.
    """
    return _made(species, variant % VARIANTS)


@cache
def _made(species: Species, variant: int) -> Mesh:
    match species:
        case Species.STUMP:
            return _stump(variant)
        case Species.BOULDER:
            return _boulder(variant)
        case Species.POST:
            return _post(variant)
        case _:
            return _grown(species, variant)


def _grown(species: Species, variant: int) -> Mesh:
    stock = read_meshes("plants")
    stored = stock.get(f"{species}.{variant}")
    mirrored = stored is None
    if stored is None:          # fewer variants than asked for: a mirror image is one more
        stored = stock[f"{species}.0"]
    flip = np.array([-1.0 if mirrored else 1.0, 1.0, 1.0], np.float32)
    return Mesh(
        vertices=(stored.vertices * flip / np.float32(stored.vertices[:, 2].max())).astype(np.float32),
        triangles=np.ascontiguousarray(stored.triangles[:, ::-1]) if mirrored else stored.triangles,
        colours=stored.colours,
        normals=stored.normals * flip,
        uv=stored.uv,
        texture=stored.texture,
    )


def _solid(vertices: Array, triangles: npt.NDArray[np.int64], colours: Array) -> Mesh:
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colours=np.clip(colours, 0, 255).astype(np.uint8),
        normals=normals_of(vertices, triangles, gathering(triangles, len(vertices))).astype(np.float32),
    )


def _stump(variant: int) -> Mesh:
    """A felled trunk: flared roots, dark bark, pale wood on top, cut aslant."""
    seed = 900 + variant
    profile = [(0.75, -0.03), (0.52, 0.10), (0.44, 0.45), (0.42, 0.94), (0.40, 0.95), (0.003, 0.95)]
    points, triangles = lathe(profile, STUMP_SIDES)
    points[:, :2] *= (1.0 + 0.16 * noise(points, seed, 0.9))[:, None]
    top = points[:, 2] > 0.9
    points[top, 2] += 0.05 + 0.13 * points[top, 0] * (1 if variant != 1 else -1)
    bark: Rgb = ((74, 60, 46), (62, 54, 44), (88, 78, 64))[variant]
    colours = paint(points, bark, seed, 0.22)
    wood = np.hypot(points[:, 0], points[:, 1]) < 0.41
    colours[top & wood] = paint(points, (150, 126, 92), seed + 1, 0.12)[top & wood]
    return _solid(points, triangles, colours)


def _boulder(variant: int) -> Mesh:
    """A rock of the ground's own stone, half sunk."""
    seed = 920 + variant
    angles = np.linspace(-0.35, np.pi / 2, 7)
    profile = [(max(0.004, float(np.cos(a)) ** 0.7), float(np.sin(a))) for a in angles]
    points, triangles = lathe(profile, BOULDER_SIDES)
    rough = 1.0 + 0.20 * noise(points, seed, 1.3) + 0.09 * noise(points, seed + 1, 0.45)
    points = points * rough[:, None] * [1.0, (0.8, 1.0, 0.7)[variant], 1.0]
    points /= points[:, 2].max()
    points[:, 2] = np.maximum(points[:, 2], -0.12)
    stone = cv2.resize(ground_texture(Cover.ROCK), (STONE_PX, STONE_PX), interpolation=cv2.INTER_AREA)
    texture = np.concatenate([stone, np.full((STONE_PX, STONE_PX, 1), 255, np.uint8)], axis=2).astype(np.uint8)
    solid = _solid(points, triangles, np.array([225.0, 228.0, 230.0]) * (1.0 + 0.10 * noise(points, seed + 2, 0.8))[:, None])
    # looked at from two sides, the seam hidden in the roughness
    uv = np.stack([points[:, 0] * 0.5 + points[:, 2] * 0.35, points[:, 1] * 0.5 - points[:, 2] * 0.6], axis=1)
    return replace(solid, uv=uv.astype(np.float32), texture=np.ascontiguousarray(texture))


def _post(variant: int) -> Mesh:
    """A post of wood or concrete as they mark trails and fields: as tall and as narrow as a person far away."""
    seed = 940 + variant
    points, triangles = lathe([(1.0, -0.03), (0.95, 0.5), (0.92, 0.97), (0.7, 1.0), (0.003, 1.0)], POST_SIDES)
    colour: Rgb = ((92, 76, 58), (150, 148, 140), (70, 62, 52))[variant]
    colours = paint(points * [0.1, 0.1, 1.0], colour, seed, 0.16)
    if variant == 1:            # a painted head, as boundary stones have
        colours[points[:, 2] > 0.9] = [48.0, 44.0, 150.0]
    return _solid(points, triangles, colours)
