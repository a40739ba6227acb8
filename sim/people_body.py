"""A body of a given sex, age and build at rest, and its skin following its bones.

The data are MakeHuman's (CC0), reduced by sim/people_convert.py. Frame: x right, y ahead, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.people_convert import AGES, BONES, PARTS, SEXES, UNIT_M, WEIGHTS
from sim.people_pose import SEAT_AHEAD_M, SEAT_UP_M, Pose, bone_turns

ASSET = Path(__file__).parent / "assets" / "people.npz"
PARENTS = {
    "spine_01": "pelvis", "spine_02": "spine_01", "spine_03": "spine_02", "neck_01": "spine_03", "head": "neck_01",
    **{f"clavicle_{s}": "spine_03" for s in "lr"}, **{f"upperarm_{s}": f"clavicle_{s}" for s in "lr"},
    **{f"lowerarm_{s}": f"upperarm_{s}" for s in "lr"}, **{f"hand_{s}": f"lowerarm_{s}" for s in "lr"},
    **{f"thigh_{s}": "pelvis" for s in "lr"}, **{f"calf_{s}": f"thigh_{s}" for s in "lr"},
    **{f"foot_{s}": f"calf_{s}" for s in "lr"}, **{f"ball_{s}": f"foot_{s}" for s in "lr"},
}
HANGING = tuple(f"{bone}_{side}" for side in "lr" for bone in ("upperarm", "lowerarm", "hand", "thigh", "calf"))
PART = {part.name: number for number, part in enumerate(PARTS)}


@dataclass(frozen=True, slots=True, eq=False)
class BodyData:
    """The asset as it is stored, in metres. skin: (n, 22) weights; near, far: (m, 3) triangles, with the part of each."""

    shapes: Array
    joints: Array
    tails: Array
    skin: Array
    near: npt.NDArray[np.int64]
    near_part: npt.NDArray[np.uint8]
    far: npt.NDArray[np.int64]
    far_part: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One body at rest. vertices: (n, 3). joints, tails: (22, 3), of BONES. All metres."""

    vertices: Array
    joints: Array
    tails: Array

    def joint(self, bone: str) -> Array:
        """Where a bone begins, (3,)."""
        return np.asarray(self.joints[BONES.index(bone)])


@cache
def body_data() -> BodyData:
    """The asset, read once."""
    with np.load(ASSET) as stored:
        count = stored["shapes"].shape[1]
        skin = np.zeros((count, len(BONES)))
        np.put_along_axis(skin, stored["bones"].astype(np.int64), stored["weights"] / 255.0, axis=1)
        return BodyData(
            shapes=stored["shapes"] * UNIT_M,
            joints=stored["joints"].astype(np.float64),
            tails=stored["tails"].astype(np.float64),
            skin=skin / skin.sum(axis=1, keepdims=True),
            near=stored["near"].astype(np.int64),
            near_part=stored["near_part"],
            far=stored["far"].astype(np.int64),
            far_part=stored["far_part"],
        )


def body(sex: str, age: str, weight: float, youth: float, height_m: float) -> Body:
    """A body at rest.

    weight: -1 (thin) to 1 (heavy). youth: 0 is the body of that age, 1 that of a young adult. height_m: heel to crown.
    """
    data = body_data()
    mixed = []
    for values in (data.shapes, data.joints, data.tails):
        row = SEXES.index(sex) * len(AGES) * len(WEIGHTS)
        extreme = "max" if weight > 0 else "min"

        def of(which: str, values: Array = values, row: int = row, extreme: str = extreme) -> Array:
            start = row + AGES.index(which) * len(WEIGHTS)
            middle = values[start + WEIGHTS.index("average")]
            return np.asarray(middle + abs(weight) * (values[start + WEIGHTS.index(extreme)] - middle))

        mixed.append((1.0 - youth) * of(age) + youth * of("young"))
    vertices, joints, tails = mixed
    head = np.unique(data.near[data.near_part == PART["head"]])
    sole = vertices[np.unique(data.near[data.near_part == PART["body"]]), 2].min()
    scale = height_m / (vertices[head, 2].max() - sole)
    return Body(vertices * scale, joints * scale, tails * scale)


def _aligning(direction: Array) -> Array:
    """The smallest rotation that lets direction hang straight down."""
    d = direction / np.linalg.norm(direction)
    down = np.array([0.0, 0.0, -1.0])
    v = np.cross(d, down)
    cross = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1.0 + d @ down))


def bone_transforms(rest: Body, pose: Pose) -> Array:
    """(22, 3, 4): what takes a point of the body at rest along with each bone."""
    turns = bone_turns(pose)
    out = np.zeros((len(BONES), 3, 4))
    placed: dict[str, Array] = {}
    for number, bone in enumerate(BONES):
        turn = turns[bone]
        if bone in HANGING:
            turn = turn @ _aligning(rest.tails[number] - rest.joints[number])
        head = rest.joints[number]
        if bone == "pelvis":
            placed[bone] = head
        else:
            parent = BONES.index(PARENTS[bone])
            placed[bone] = placed[BONES[parent]] + out[parent, :, :3] @ (head - rest.joints[parent])
        out[number, :, :3] = turn
        out[number, :, 3] = placed[bone] - turn @ head
    return out


def follow(vertices: Array, skin: Array, transforms: Array) -> Array:
    """Linear blend skinning: vertices (n, 3) with weights (n, 22) taken along by transforms (22, 3, 4)."""
    blended = (skin @ transforms.reshape(len(BONES), 12)).reshape(-1, 3, 4)
    moved: Array = np.einsum("nij,nj->ni", blended[:, :, :3], vertices) + blended[:, :, 3]
    return moved


def put_down(vertices: Array, pose: Pose, pelvis: Array) -> Array:
    """Vertices (n, 3) moved so that the body stands, lies or sits where its origin says. pelvis: (3,), posed."""
    if pose.seated:
        near = vertices[np.abs(vertices[:, :2] - pelvis[:2]).max(axis=1) < 0.12]
        saddle = np.array([-pelvis[0], SEAT_AHEAD_M - pelvis[1], SEAT_UP_M - near[:, 2].min()])
        return np.asarray(vertices + saddle)
    lowest = vertices[:, 2].min()
    if pose.tip:
        middle = (vertices[:, :2].min(axis=0) + vertices[:, :2].max(axis=0)) / 2.0
    else:
        middle = pelvis[:2]
    return np.asarray(vertices - np.array([middle[0], middle[1], lowest - pose.rise_m]))
