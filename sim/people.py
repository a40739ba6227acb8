"""People to be drawn: a mesh for somebody's looks, posture and phase of the stride."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sim.mesh import Mesh
from sim.people_body import Body, body, bone_transforms, follow, put_down
from sim.people_clothes import outfit_for
from sim.people_dress import Dressed, dress
from sim.people_pose import pose_for
from sim.shapes import normals_of
from sim.world_state import Looks, Posture

# heel to crown; Vietnam's nutrition census of 2019-2020 gives 168.1 and 156.2 cm for young adults
ADULT_HEIGHT_M = {"male": (1.655, 0.055), "female": (1.548, 0.05)}
CHILD_HEIGHT_M = (1.08, 1.42)
OLD_SHRINKS = 0.972


def height_m(looks: Looks) -> float:
    """Heel to crown of somebody who stands upright, without a hat."""
    chance = np.random.default_rng([looks.seed & 0xFFFFFFFF, 3])
    draw = float(np.clip(chance.normal(), -2.2, 2.2))
    if looks.age == "child":
        return float(chance.uniform(*CHILD_HEIGHT_M))
    mean, spread = ADULT_HEIGHT_M[looks.sex]
    return (mean + spread * draw) * (OLD_SHRINKS if looks.age == "old" else 1.0)


@lru_cache(maxsize=256)
def _dressed(looks: Looks, detail: str) -> tuple[Body, Dressed]:
    chance = np.random.default_rng([looks.seed & 0xFFFFFFFF, 5])
    weight = float(np.clip(chance.normal(-0.25, 0.35), -1.0, 0.8))
    tall = height_m(looks)
    youth = 0.0
    if looks.age == "child":
        low, high = CHILD_HEIGHT_M
        youth = 0.25 * (tall - low) / (high - low)
    elif looks.age == "old":
        youth = float(chance.uniform(0.2, 0.7))     # MakeHuman's old are ninety
    shape = body(looks.sex, looks.age, weight, youth, tall)
    return shape, dress(shape, outfit_for(looks), detail)


def person_mesh(looks: Looks, posture: Posture, phase: float, detail: str = "near") -> Mesh:
    """Somebody as the world sees them, in metres, facing +y, the origin on the ground below the pelvis (LIE: the middle).

    phase: of the stride or movement, 0 to 1. detail: "near", or "far" for people of a few dozen pixels. RIDE sits at the
    height of a saddle over the machine's origin (people_pose.SEAT_*). The same looks, posture and phase give the same mesh.
    """
    shape, dressed = _dressed(looks, detail)
    manner = float(np.random.default_rng([looks.seed & 0xFFFFFFFF, 13]).random())
    pose = pose_for(posture, phase, manner, looks.pack)
    transforms = bone_transforms(shape, pose)
    pelvis = transforms[0, :, :3] @ dressed.pelvis + transforms[0, :, 3]
    vertices = put_down(follow(dressed.vertices, dressed.skin, transforms), pose, pelvis)
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=dressed.triangles.astype(np.int32),
        colours=dressed.colours,
        normals=normals_of(vertices, dressed.triangles, dressed.gather).astype(np.float32),
    )
