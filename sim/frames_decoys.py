"""Things that are none of the seven classes and stand where somebody might: posts, stumps, sacks, bushes, trees.

They teach a network what is nobody. Shapes are rough on purpose and always different; pictures cut out of photographs
(`cutout` of the backgrounds) stand between them as upright cards.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.mesh import Mesh
from sim.raster import Placed

Image = npt.NDArray[np.uint8]

SIDES = 9
# blue, green, red
EARTHS = np.array([(60, 85, 110), (90, 110, 125), (120, 125, 130), (45, 60, 75), (150, 160, 165), (70, 100, 140)])
LEAVES = np.array([(40, 90, 60), (35, 110, 85), (50, 75, 55), (60, 120, 110), (45, 100, 130), (30, 60, 45)])
PAINTS = np.array([(40, 40, 200), (200, 120, 40), (60, 190, 220), (220, 220, 220), (40, 40, 45), (90, 160, 60)])


def decoy_mesh(chance: np.random.Generator) -> Mesh:
    """One thing, at its natural size, standing on the ground at the origin."""
    kind = int(chance.integers(9))
    if kind == 0:       # post, pole or trunk without a crown
        thick, tall = chance.uniform(0.04, 0.16), chance.uniform(0.7, 4.0)
        return _turned(chance, [(1.0, 0.0), (1.0, 0.5), (0.9, 1.0)], thick, tall, EARTHS)
    if kind == 1:       # stump, barrel, jar
        return _turned(chance, [(0.9, 0.0), (1.1, 0.35), (1.0, 0.8), (0.7, 1.0), (0.0, 1.0)], chance.uniform(0.15, 0.5),
                       chance.uniform(0.3, 1.2), EARTHS if chance.random() < 0.6 else PAINTS)
    if kind == 2:       # boulder, termite hill, heap
        return _turned(chance, [(1.0, 0.0), (1.05, 0.3), (0.8, 0.65), (0.4, 0.92), (0.0, 1.0)], chance.uniform(0.2, 1.4),
                       chance.uniform(0.2, 1.8), EARTHS, rough=0.22)
    if kind == 3:       # crate, block, hut
        return _box(chance, chance.uniform(0.2, 1.4, 3), PAINTS if chance.random() < 0.4 else EARTHS)
    if kind == 4:       # sack or pack that somebody has dropped
        return _turned(chance, [(0.8, 0.0), (1.15, 0.3), (1.0, 0.7), (0.35, 1.0), (0.0, 1.0)], chance.uniform(0.14, 0.3),
                       chance.uniform(0.25, 0.6), PAINTS if chance.random() < 0.5 else EARTHS, rough=0.15)
    if kind == 5:       # log, beam, lying
        thick, long = chance.uniform(0.05, 0.25), chance.uniform(0.8, 4.0)
        return _laid_down(_turned(chance, [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], thick, long, EARTHS))
    if kind == 6:       # bush
        return foliage(chance, chance.uniform(0.3, 1.3), chance.uniform(0.4, 2.0), 0.0)
    if kind == 7:       # sapling or tree
        tall = chance.uniform(1.5, 7.0)
        return joined([_turned(chance, [(1.0, 0.0), (0.6, 1.0)], tall * 0.025, tall * 0.7, EARTHS),
                       foliage(chance, tall * chance.uniform(0.2, 0.4), tall * chance.uniform(0.35, 0.7), tall * 0.4)])
    return _box(chance, np.array([chance.uniform(0.03, 0.1), chance.uniform(1.0, 6.0), chance.uniform(0.5, 2.0)]), EARTHS)


def foliage(chance: np.random.Generator, radius_m: float, height_m: float, rise_m: float) -> Mesh:
    """Loose leaves in a ball: thin ones and broad ones, one can see through between them."""
    count = int(chance.integers(70, 260))
    middle = chance.normal(0, 1, (count, 3))
    middle *= (chance.random(count) ** 0.4 / np.linalg.norm(middle, axis=1))[:, None]
    middle = middle * np.array([radius_m, radius_m, height_m / 2]) + np.array([0.0, 0.0, height_m / 2 + rise_m])
    long = radius_m * float(chance.uniform(0.1, 0.5))
    axis = chance.normal(0, 1, (count, 3))
    axis /= np.linalg.norm(axis, axis=1)[:, None]
    side = np.cross(axis, chance.normal(0, 1, (count, 3)))
    side /= np.maximum(np.linalg.norm(side, axis=1), 1e-6)[:, None]
    wide = long * float(chance.uniform(0.12, 0.5))
    corners = np.stack([middle - axis * long, middle + side * wide, middle + axis * long, middle - side * wide], axis=1)
    corners[..., 2] = np.maximum(corners[..., 2], 0.0)
    normal = np.cross(axis, side)
    normal = np.where(normal[:, 2:] < 0, -normal, normal) + np.array([0.0, 0.0, 0.3])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    colour = LEAVES[int(chance.integers(len(LEAVES)))] * chance.uniform(0.6, 1.4) * chance.normal(1, 0.14, (count, 1))
    first = np.arange(count)[:, None] * 4
    triangles = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32), triangles.astype(np.int32),
        np.repeat(np.clip(colour, 0, 255), 4, axis=0).astype(np.uint8), np.repeat(normal, 4, axis=0).astype(np.float32),
    )


def card(picture: Image, height_m: float) -> Mesh:
    """A (h, w, 4) picture standing upright, facing -y."""
    half = height_m * picture.shape[1] / picture.shape[0] / 2
    corners = np.array([[-half, 0, 0], [half, 0, 0], [half, 0, height_m], [-half, 0, height_m]], np.float32)
    return Mesh(
        corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.full((4, 3), 255, np.uint8),
        np.broadcast_to(np.array([0, -0.7, 0.7], np.float32), (4, 3)).copy(),
        np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32), picture,
    )


def place(mesh: Mesh, east_m: float, north_m: float, heading_deg: float, scale: float, heat: float) -> Placed:
    """A decoy on the ground; it has no id, because nobody asks for it."""
    return Placed.one(mesh, (east_m, north_m, 0.0), heading_deg, scale, heat=heat)


def joined(parts: list[Mesh]) -> Mesh:
    """Several meshes without textures as one."""
    starts = np.cumsum([0, *(len(p.vertices) for p in parts[:-1])])
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.triangles + s for p, s in zip(parts, starts, strict=True)]).astype(np.int32),
        np.concatenate([p.colours for p in parts]), np.concatenate([p.normals for p in parts]),
    )


def _turned(
    chance: np.random.Generator, profile: list[tuple[float, float]], radius_m: float, height_m: float, colours: Array,
    rough: float = 0.06,
) -> Mesh:
    """What a lathe makes of a profile of (radius, height) shares, roughened."""
    angle = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    rings = np.array(profile)
    squash = chance.uniform(0.65, 1.0)
    r = rings[:, :1] * radius_m * (1 + chance.normal(0, rough, (len(rings), SIDES)))
    at = np.stack([r * np.cos(angle), r * np.sin(angle) * squash,
                   np.broadcast_to(rings[:, 1:] * height_m, r.shape)], axis=2).reshape(-1, 3)
    slope = np.gradient(rings[:, 0], np.maximum(np.arange(len(rings)), 0)) if len(rings) > 1 else np.zeros(1)
    normal = np.stack([np.broadcast_to(np.cos(angle), r.shape), np.broadcast_to(np.sin(angle), r.shape),
                       np.broadcast_to((-slope * 1.5)[:, None], r.shape)], axis=2).reshape(-1, 3)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    lower = (np.arange(len(rings) - 1)[:, None] * SIDES + np.arange(SIDES)).ravel()
    beside = (np.arange(len(rings) - 1)[:, None] * SIDES + (np.arange(SIDES) + 1) % SIDES).ravel()
    triangles = np.concatenate([np.column_stack([lower, beside, beside + SIDES]),
                                np.column_stack([lower, beside + SIDES, lower + SIDES])])
    return Mesh(
        at.astype(np.float32), triangles.astype(np.int32), _paint(chance, colours, len(at)), normal.astype(np.float32),
    )


def _box(chance: np.random.Generator, size_m: Array, colours: Array) -> Mesh:
    corners: list[Array] = []
    normals: list[Array] = []
    triangles: list[list[int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            a, b = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            face = np.eye(3)[axis] * sign
            first = len(corners) * 4
            corners.append(np.array([face + u * a + v * b for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))]))
            normals.append(np.broadcast_to(face, (4, 3)))
            triangles += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    at = (np.concatenate(corners) + np.array([0.0, 0.0, 1.0])) * size_m / 2
    return Mesh(at.astype(np.float32), np.array(triangles, np.int32), _paint(chance, colours, len(at)),
                np.concatenate(normals).astype(np.float32))


def _laid_down(mesh: Mesh) -> Mesh:
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)
    at = mesh.vertices @ turn.T
    at[:, 2] -= at[:, 2].min()
    return Mesh(at, mesh.triangles, mesh.colours, mesh.normals @ turn.T)


def _paint(chance: np.random.Generator, colours: Array, count: int) -> npt.NDArray[np.uint8]:
    base = colours[int(chance.integers(len(colours)))] * chance.uniform(0.5, 1.4)
    return np.asarray(np.clip(base * chance.normal(1, 0.09, (count, 1)) * chance.normal(1, 0.05, 3), 0, 255), np.uint8)
