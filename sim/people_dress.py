"""Dresses a body at rest: cuts the layers of an outfit, and puts hair, hat and load on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geofences.geodesy import Array
from sim.people_body import PART, Body, body_data
from sim.people_clothes import Outfit, Rgb, cloth, noise, paint
from sim.people_convert import BONES
from sim.shapes import Ints, gathering, lathe, normals_of

Bools = npt.NDArray[np.bool_]
OVERLAP = 0.18          # of a limb's segment that a layer runs on under the next
OVERLAP_M = 0.06        # the same on the trunk


@dataclass(frozen=True, slots=True, eq=False)
class Dressed:
    """A person at rest, ready to be posed.

    vertices (n, 3) metres, skin (n, 22) weights, triangles (m, 3), colours (n, 3) uint8 BGR. gather: (n, m) sparse, adds up
    the normals of the triangles at each vertex.
    """

    vertices: Array
    skin: Array
    triangles: Ints
    colours: npt.NDArray[np.uint8]
    gather: sparse.csr_array
    pelvis: Array


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One surface: vertices (n, 3), skin (n, 22), triangles (m, 3) into them, colours (n, 3) float BGR."""

    vertices: Array
    skin: Array
    triangles: Ints
    colours: Array


class Tailor:
    """Measures one body once, and cuts layers from it."""

    def __init__(self, body: Body, detail: str) -> None:
        data = body_data()
        self.body = body
        self.skin = data.skin
        self.faces = data.near if detail == "near" else data.far
        self.part = data.near_part if detail == "near" else data.far_part
        self.gather = gathering(self.faces, len(body.vertices))
        self.normals = normals_of(body.vertices, self.faces, self.gather)
        v, share = body.vertices, data.skin

        def owned(*names: str) -> Array:
            return np.asarray(share[:, [BONES.index(name) for name in names]].sum(axis=1))

        self.left = v[:, 0] < 0.0
        arms = np.maximum(owned("upperarm_l", "lowerarm_l", "hand_l"), owned("upperarm_r", "lowerarm_r", "hand_r"))
        legs = np.maximum(owned("thigh_l", "calf_l"), owned("thigh_r", "calf_r"))
        self.is_arm = arms > 0.5
        self.is_foot = np.maximum(owned("foot_l", "ball_l"), owned("foot_r", "ball_r")) > 0.5
        self.is_leg = (legs > 0.5) | self.is_foot
        self.neck = owned("neck_01", "head")
        self.along_arm, self.arm_way = self._along("upperarm", "lowerarm", "hand")
        self.along_leg, _ = self._along("thigh", "calf", "foot")
        self.hip_m = float(body.joint("thigh_l")[2])
        self.knee_m = float(body.joint("calf_l")[2])
        self.ankle_m = float(body.joint("foot_l")[2])

    def _along(self, first: str, second: str, end: str) -> tuple[Array, Array]:
        """How far down its limb each vertex is, 0 to 2, and the direction of its segment (n, 3) per unit of that."""
        v = self.body.vertices
        place, way = np.zeros(len(v)), np.zeros_like(v)
        for side, mine in (("l", self.left), ("r", ~self.left)):
            a, b, c = (self.body.joint(f"{bone}_{side}") for bone in (first, second, end))
            upper = (v - a) @ (b - a) / float((b - a) @ (b - a))
            lower = (v - b) @ (c - b) / float((c - b) @ (c - b))
            beyond = lower > 0.0
            place[mine] = np.where(beyond, 1.0 + lower, np.minimum(upper, 1.0))[mine]
            way[mine] = np.where(beyond[:, None], c - b, b - a)[mine]
        return place, way

    def cut(self, which: Bools, vertices: Array, colours: Array) -> Layer:
        """A layer of the triangles in which, over moved vertices (all n, 3)."""
        faces = self.faces[which]
        used, inverse = np.unique(faces, return_inverse=True)
        return Layer(vertices[used], self.skin[used], inverse.reshape(-1, 3), colours[used])

    def smooth(self, vertices: Array, rounds: int) -> Array:
        """Vertices averaged with their neighbours: cloth does not show every muscle."""
        edges = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        n = len(vertices)
        link = sparse.csr_array((np.ones(2 * len(edges)), (edges.ravel(), edges[:, ::-1].ravel())), shape=(n, n))
        total = np.maximum(np.asarray(link.sum(axis=1)).reshape(-1, 1), 1.0)
        for _ in range(rounds):
            vertices = 0.5 * vertices + 0.5 * (link @ vertices) / total
        return vertices


def _shade(tailor: Tailor) -> Array:
    """How much light the body itself leaves each vertex, (n,): dark between the legs, under the arms and below the chin."""
    inner = np.where(tailor.left, 1.0, -1.0) * tailor.normals[:, 0]
    limb = np.where(tailor.is_leg, 0.30, np.where(tailor.is_arm, 0.18, 0.0))
    below = np.clip(-tailor.normals[:, 2], 0.0, 1.0)
    return np.asarray(1.0 - limb * np.clip(inner, 0.0, 1.0) - 0.22 * below * (tailor.neck > 0.3))


def dress(body: Body, outfit: Outfit, detail: str) -> Dressed:
    """A person at rest in an outfit; detail is "near" or "far"."""
    tailor = Tailor(body, detail)
    shade = _shade(tailor)[:, None]
    faces, part = tailor.faces, tailor.part
    on_body = part == PART["body"]
    v, normals = body.vertices, tailor.normals
    skin_colour = paint(v, outfit.skin, outfit.seed + 9, 0.05) * shade
    soft = tailor.smooth(v, 3 if detail == "near" else 0)
    folds = 0.6 * noise(v * [1.0, 1.0, 0.6], outfit.seed + 20, 0.14) + 0.4 * noise(v, outfit.seed + 21, 0.07)
    layers: list[Layer] = []

    hem_m = tailor.hip_m - outfit.hem * (tailor.hip_m - tailor.knee_m)

    def covered(allowed: Bools, inside: Bools) -> Bools:
        # a triangle across the hem belongs to the garment; its vertices are pulled back to the hem, so that it is straight
        return np.asarray(on_body & allowed[faces].all(axis=1) & inside[faces].any(axis=1))

    # skin and shoes
    shoe = 0.010 * tailor.is_foot[:, None] * normals if outfit.shoes is not None else 0.0
    bare = tailor.is_foot | (tailor.is_leg & (tailor.along_leg > (0.9 if outfit.skirt else outfit.trouser - OVERLAP)))
    bare = bare | (tailor.is_arm & (tailor.along_arm > outfit.sleeve - OVERLAP)) | (tailor.neck > 0.35)
    colours = skin_colour.copy()
    if outfit.shoes is not None:
        colours[tailor.is_foot] = paint(v, outfit.shoes, outfit.seed + 30)[tailor.is_foot]
    layers.append(tailor.cut(on_body & bare[faces].any(axis=1), v + shoe, colours))

    # trousers
    if not outfit.skirt:
        end = float(np.interp(outfit.trouser, [0.0, 1.0, 2.0], [tailor.hip_m, tailor.knee_m, tailor.ankle_m]))
        cut = covered(~tailor.is_arm & (tailor.neck < 0.5), (v[:, 2] < hem_m + OVERLAP_M) & (v[:, 2] > end))
        flare = 1.0 + 0.7 * np.clip((tailor.hip_m - v[:, 2]) / (tailor.hip_m - tailor.ankle_m), 0.0, 1.0)
        out = soft + normals * (outfit.lower_loose_m * flare * (1.0 + 0.5 * folds))[:, None]
        out[:, 2] = np.maximum(out[:, 2], end)
        layers.append(tailor.cut(cut, out, paint(v, outfit.lower, outfit.seed + 40) * shade))
    else:
        layers.append(_skirt(tailor, outfit))

    # shirt
    cut = covered(
        (tailor.neck < 0.5) & ~tailor.is_foot,
        np.where(tailor.is_arm, tailor.along_arm < outfit.sleeve, v[:, 2] > hem_m),
    )
    drop = np.clip((body.joint("spine_02")[2] - v[:, 2]) / 0.3, 0.0, 1.0)
    loose = outfit.upper_loose_m * (1.0 + 0.5 * folds + 0.9 * drop) + 0.012 * drop
    out = soft + normals * loose[:, None]
    past = np.where(tailor.is_arm, np.maximum(tailor.along_arm - outfit.sleeve, 0.0), 0.0)
    out = out - tailor.arm_way * past[:, None]
    out[:, 2] = np.where(tailor.is_arm, out[:, 2], np.maximum(out[:, 2], hem_m))
    layers.append(tailor.cut(cut, out, cloth(v, outfit) * shade))

    layers.extend(_head(tailor, outfit, skin_colour))
    layers.extend(tailor.cut(part == PART[hand], v, skin_colour) for hand in ("hand_l", "hand_r"))
    layers.extend(worn(body, outfit, 20 if detail == "near" else 10))
    return _sewn(layers, body)


def _skirt(tailor: Tailor, outfit: Outfit) -> Layer:
    """A tube skirt to the calf, with a woven border."""
    v = tailor.body.vertices
    end = tailor.ankle_m + 0.35 * (tailor.knee_m - tailor.ankle_m)
    out = v + tailor.normals * 0.006
    out[:, 2] = np.maximum(out[:, 2], end)
    colours = paint(v, outfit.lower, outfit.seed + 41)
    border = np.abs(v[:, 2] - end - 0.07) < 0.03
    colours[border] = paint(v, outfit.upper2, outfit.seed + 42)[border]
    return tailor.cut(tailor.part == PART["skirt"], out, colours)


def _head(tailor: Tailor, outfit: Outfit, skin_colour: Array) -> list[Layer]:
    """Face and neck, with eyes, brows and mouth darkened, and the hair."""
    v, faces = tailor.body.vertices, tailor.faces
    mine = tailor.part == PART["head"]
    used = np.unique(faces[mine])
    middle, top = float(tailor.body.joint("head")[2]), float(v[used, 2].max())
    front, back = float(v[used, 1].max()), float(v[used][v[used, 2] > middle, 1].min())
    tall = top - middle
    up, ahead = (v[:, 2] - middle) / tall, (v[:, 1] - back) / (front - back)     # 0 to 1 over the skull
    aside = np.abs(v[:, 0]) / tall
    colours = skin_colour.copy()
    face = ahead > 0.62
    # places on a skull whose middle is nought and whose crown is one, measured on the base mesh
    socket = face & (np.hypot((up - 0.285) * 1.4, aside - 0.20) < 0.085)
    brow = face & (np.abs(up - 0.40) < 0.045) & (np.abs(aside - 0.20) < 0.12)
    lips = face & (np.abs(up + 0.17) < 0.05) & (aside < 0.14)
    colours[socket] *= 0.5
    colours[brow] *= 0.6
    colours[lips] *= [0.62, 0.62, 0.85]
    layers = [tailor.cut(mine, v, colours)]
    # the hairline falls from the forehead over the ear's top to the nape
    line = np.interp(ahead, [0.0, 0.22, 0.34, 0.44, 0.62, 0.80, 1.0], [-0.38, -0.24, 0.02, 0.36, 0.42, 0.70, 0.78])
    hairy = up > line
    thick = 0.004 if outfit.headgear else 0.006 + 0.007 * min(outfit.hair_length, 2.0)
    inset = np.clip((up - line) / 0.1, 0.25, 1.0)
    out = v + tailor.normals * (thick * inset * (1.0 + 0.35 * noise(v, outfit.seed + 50, 0.05)))[:, None]
    tone = paint(v, outfit.hair, outfit.seed + 51, 0.25)
    layers.append(tailor.cut(mine & hairy[faces].all(axis=1), out, tone))
    if outfit.hair_length >= 2.0:
        shoulder, chest = float(tailor.body.joint("upperarm_l")[2]), float(tailor.body.joint("spine_03")[2])
        end = {2: middle - 0.10, 3: shoulder - 0.01, 4: chest - 0.02}[int(outfit.hair_length)]
        fall = v.copy()
        fall[:, 2] = np.maximum(fall[:, 2], end)
        before_face = ((ahead > 0.66) & (up < 0.74))[faces].any(axis=1)
        if outfit.headgear:
            fall[:, :2] = np.where((up > 0.3)[:, None], fall[:, :2] * 0.9, fall[:, :2])
            before_face |= (up > 0.55)[faces].any(axis=1)
        locks = tailor.cut((tailor.part == PART["hair"]) & ~before_face, fall, tone)
        layers.append(_attached("head", locks.vertices, locks.triangles, locks.colours))
    return layers


def _attached(bone: str, vertices: Array, triangles: Ints, colours: Array) -> Layer:
    """A rigid thing that one bone carries."""
    skin = np.zeros((len(vertices), len(BONES)))
    skin[:, BONES.index(bone)] = 1.0
    return Layer(vertices, skin, triangles, colours)


def worn(body: Body, outfit: Outfit, sides: int) -> list[Layer]:
    """Hat, bun and load."""
    data = body_data()
    head = body.vertices[np.unique(data.near[data.near_part == PART["head"]])]
    crown = float(head[:, 2].max())
    skull = head[head[:, 2] > crown - 0.12 * (crown / 1.6)]
    middle = (skull.min(axis=0) + skull.max(axis=0)) / 2.0
    radius = float(np.ptp(skull[:, 1]) / 2.0)
    layers = []

    def put(profile: list[tuple[float, float]], colour: Rgb, centre: Array, mottle: float = 0.08) -> None:
        points, triangles = lathe(profile, sides)
        points = points + centre
        layers.append(_attached("head", points, triangles, paint(points, colour, outfit.seed + 60, mottle)))

    at_crown = np.array([0.0, middle[1], crown])
    r = radius + 0.012
    match outfit.headgear:
        case "cone":
            put([(0.21, -0.085), (0.20, -0.095), (0.10, -0.02), (0.004, 0.055)], outfit.headgear_colour, at_crown, 0.12)
            put([(0.10, -0.04), (0.205, -0.094)], (112, 96, 66), at_crown)
        case "cap":
            put([(r + 0.004, -0.095), (r + 0.002, -0.05), (r * 0.75, -0.004), (r * 0.35, 0.012), (0.003, 0.016)],
                outfit.headgear_colour, at_crown)
            peak, triangles = lathe([(0.8 * r, 0.0), (r + 0.075, -0.02), (0.8 * r, -0.012)], sides)
            peak[:, 1] = np.maximum(peak[:, 1], 0.0)
            points = peak * [0.8, 1.0, 1.0] + at_crown - np.array([0.0, 0.0, 0.085])
            layers.append(_attached("head", points, triangles, paint(points, outfit.headgear_colour, outfit.seed + 61)))
        case "brim":
            put([(r + 0.06, -0.112), (r + 0.062, -0.106), (r + 0.004, -0.082), (r, -0.03), (r * 0.8, 0.012), (0.003, 0.018)],
                outfit.headgear_colour, at_crown)
            put([(r - 0.01, -0.085), (r + 0.06, -0.112)], outfit.headgear_colour, at_crown)
        case "helmet":
            put([(r + 0.045, -0.105), (r + 0.045, -0.098), (r + 0.012, -0.075), (r + 0.006, -0.01), (r * 0.6, 0.032),
                 (0.003, 0.04)], outfit.headgear_colour, at_crown)
            put([(r - 0.01, -0.09), (r + 0.045, -0.105)], outfit.headgear_colour, at_crown)
        case "scarf":
            put([(r * 0.8, -0.20), (r + 0.012, -0.16), (r + 0.014, -0.08), (r * 0.8, 0.0), (0.003, 0.02)],
                outfit.headgear_colour, at_crown - np.array([0.0, 0.028, 0.0]))
    if outfit.bun and not outfit.headgear:
        put([(0.004, -0.035), (0.034, -0.02), (0.036, 0.012), (0.004, 0.032)], outfit.hair,
            np.array([0.0, middle[1] - radius - 0.012, crown - 0.11]))
    if outfit.load:
        layers.extend(_load(body, outfit, sides))
    return layers


def _load(body: Body, outfit: Outfit, sides: int) -> list[Layer]:
    """What hangs on the back, and its straps."""
    data = body_data()
    scale = float(body.joint("neck_01")[2] - body.joint("pelvis")[2]) / 0.55
    trunk = body.vertices[np.unique(data.near[data.near_part == PART["body"]])]
    chest = float(body.joint("spine_03")[2])
    back = trunk[(np.abs(trunk[:, 2] - chest) < 0.12) & (np.abs(trunk[:, 0]) < 0.1), 1].min()
    if outfit.load == "basket":
        profile = [(0.004, -0.26), (0.12, -0.26), (0.15, -0.05), (0.19, 0.20), (0.17, 0.20), (0.10, 0.0)]
        squash, depth = 0.85, 0.17
    elif outfit.load == "sack":
        profile = [(0.004, -0.26), (0.13, -0.25), (0.21, -0.12), (0.20, 0.12), (0.14, 0.24), (0.004, 0.26)]
        squash, depth = 0.72, 0.15
    else:
        profile = [(0.004, -0.25), (0.15, -0.25), (0.18, -0.18), (0.18, 0.12), (0.15, 0.22), (0.08, 0.26), (0.004, 0.26)]
        squash, depth = 0.66, 0.125
    points, triangles = lathe(profile, max(8, sides))
    if outfit.load == "backpack":       # squarer than round
        angle = np.arctan2(points[:, 1], points[:, 0])
        points[:, :2] *= (1.0 / np.maximum(np.abs(np.cos(angle)), np.abs(np.sin(angle))) ** 0.6)[:, None]
        points[:, :2] *= 0.82
    points = points * [scale, squash * scale, scale]
    points = points * (1.0 + 0.06 * noise(points, outfit.seed + 70, 0.2))[:, None]
    points = points + np.array([0.0, back - depth * scale, chest + 0.01])
    colours = paint(points, outfit.load_colour, outfit.seed + 71, 0.14)
    if outfit.load == "backpack":
        colours[np.abs(points[:, 2] - chest - 0.15 * scale) < 0.02] *= 0.6
    return [_attached("spine_03", points, triangles, colours)]


def _sewn(layers: list[Layer], body: Body) -> Dressed:
    """The layers as one."""
    starts = np.cumsum([0] + [len(layer.vertices) for layer in layers[:-1]])
    triangles = np.concatenate([layer.triangles + start for layer, start in zip(layers, starts, strict=True)])
    vertices = np.concatenate([layer.vertices for layer in layers])
    return Dressed(
        vertices=vertices,
        skin=np.concatenate([layer.skin for layer in layers]),
        triangles=triangles,
        colours=np.clip(np.concatenate([layer.colours for layer in layers]), 0, 255).astype(np.uint8),
        gather=gathering(triangles, len(vertices)),
        pelvis=body.joint("pelvis"),
    )
