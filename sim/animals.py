"""Animals that walk or fly through the pictures: dog, buffalo, bird.

The meshes are 0 A.D.'s, converted by sim/models_convert.py; legs and wings are moved here.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from geofences.geodesy import Array
from sim.mesh import Mesh
from sim.stored_meshes import read_meshes
from sim.world_state import Kind, Looks

LENGTH_M = {Kind.DOG: 0.95, Kind.BUFFALO: 2.6}      # nose to rump
SPAN_M = {0: 0.95, 1: 1.25}                         # of the wings of crow and hawk
STRIDE_DEG = {Kind.DOG: 26.0, Kind.BUFFALO: 17.0}
FLAP_DEG = 38.0
# shares of the stride by which left hind, left fore, right hind and right fore lag: a walk in four beats
LAG = {(-1, -1): 0.0, (-1, 1): 0.25, (1, -1): 0.5, (1, 1): 0.75}
COATS = {
    Kind.DOG: ((1.0, 1.0, 1.0), (0.55, 0.62, 0.72), (0.32, 0.33, 0.36), (0.75, 0.92, 1.1)),
    Kind.BUFFALO: ((1.0, 1.0, 1.0), (1.05, 1.1, 1.2), (0.85, 0.87, 0.9)),
    Kind.BIRD: ((1.0, 1.0, 1.0), (0.7, 0.7, 0.72)),
}
VARIANTS = {Kind.DOG: 3, Kind.BUFFALO: 2, Kind.BIRD: 2}
PHASES = 16


def animal_mesh(kind: Kind, looks: Looks, phase: float) -> Mesh:
    """A dog, buffalo or bird, facing +y, metres; a bird's origin is in its body. phase: of the stride or wing beat, 0 to 1.

    Raises ValueError for what is not an animal. Phases are rounded to sixteenths, so that a renderer may keep the meshes.
    """
    if kind not in VARIANTS:
        raise ValueError(f"{kind} is no animal: ask for one of {', '.join(sorted(VARIANTS))}")
    return _posed(kind, looks.seed % VARIANTS[kind], looks.seed // 7 % len(COATS[kind]), round(phase * PHASES) % PHASES)


@lru_cache(maxsize=256)
def _posed(kind: Kind, variant: int, coat: int, step: int) -> Mesh:
    stored = read_meshes("animals")[f"{kind}.{variant}"]
    at, normals = stored.vertices.astype(np.float64), stored.normals.astype(np.float64)
    turn = 2.0 * math.pi * step / PHASES
    if kind is Kind.BIRD:
        at, normals = _flapped(at * (SPAN_M[variant] / np.ptp(at[:, 0])), normals, math.sin(turn))
    else:
        at = at * (LENGTH_M[kind] / np.ptp(at[:, 1]))
        at[:, 1] -= (at[:, 1].min() + at[:, 1].max()) / 2.0
        at, normals = _stepped(at, normals, turn, STRIDE_DEG[kind])
        at[:, 2] -= at[:, 2].min()
    tint = np.clip(np.array(COATS[kind][coat]) * 205.0, 0, 255)
    return Mesh(
        vertices=at.astype(np.float32),
        triangles=stored.triangles,
        colours=np.broadcast_to(tint, (len(at), 3)).astype(np.uint8),
        normals=normals.astype(np.float32),
        uv=stored.uv,
        texture=stored.texture,
    )


def _stepped(at: Array, normals: Array, turn: float, stride_deg: float) -> tuple[Array, Array]:
    """Legs swung about hips and shoulders, the more the lower down a vertex is; the feet lift as they come forward."""
    tall = at[:, 2].max()
    hip = 0.50 * tall
    fore = 0.20 * np.ptp(at[:, 1])
    out, faced = at.copy(), normals.copy()
    give = np.clip((hip - at[:, 2]) / (0.30 * tall), 0.0, 1.0)
    give = give * give * (3.0 - 2.0 * give)
    for (side, end), lag in LAG.items():
        mine = (np.sign(at[:, 0]) == side) & ((at[:, 1] > 0.0) == (end > 0)) & (give > 0.0)
        swing = math.radians(stride_deg) * math.cos(turn - 2.0 * math.pi * lag)
        lift = max(0.0, -math.sin(turn - 2.0 * math.pi * lag)) * 0.06 * tall
        angle = swing * give[mine]
        y, z = at[mine, 1] - end * fore, at[mine, 2] - hip
        out[mine, 1] = end * fore + y * np.cos(angle) - z * np.sin(angle)
        out[mine, 2] = hip + y * np.sin(angle) + z * np.cos(angle) + lift * give[mine] ** 2
        n = normals[mine]
        faced[mine, 1] = n[:, 1] * np.cos(angle) - n[:, 2] * np.sin(angle)
        faced[mine, 2] = n[:, 1] * np.sin(angle) + n[:, 2] * np.cos(angle)
    return out, faced


def _flapped(at: Array, normals: Array, beat: float) -> tuple[Array, Array]:
    """Wings turned up and down about the shoulders."""
    shoulder = 0.09 * np.ptp(at[:, 0])
    out, faced = at.copy(), normals.copy()
    for side in (-1.0, 1.0):
        wing = at[:, 0] * side > shoulder
        angle = -side * math.radians(FLAP_DEG) * beat
        x, z = at[wing, 0] - side * shoulder, at[wing, 2]
        out[wing, 0] = side * shoulder + x * math.cos(angle) + z * math.sin(angle)
        out[wing, 2] = -x * math.sin(angle) + z * math.cos(angle)
        n = normals[wing]
        faced[wing, 0] = n[:, 0] * math.cos(angle) + n[:, 2] * math.sin(angle)
        faced[wing, 2] = -n[:, 0] * math.sin(angle) + n[:, 2] * math.cos(angle)
    return out, faced
