"""The plants that a camera sees: which, and how finely.

A few meshes of each species stand for all plants of it, turned, stretched and tinted by each plant's own seed. Far plants
are two crossed pictures of such a mesh, taken by the raster itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.geodesy import Array
from sim.landscape_lines import near
from sim.mesh import Mesh
from sim.plant_meshes import VARIANTS, plant_mesh
from sim.raster import Light, Placed, Raster
from sim.world_state import COVER_CODES, Cover, Landscape, Species

MESH_WITHIN_M = 45.0            # times the plant's height over 6 m: a tree is looked at from farther away than a fern
LEAST_PX = 2.5                  # plants that would be lower in the picture are left out
MOST = 6_000                    # the nearest this many are drawn
CARD_PX = 160
CLUTTER_M, CLUTTER_CELL_M = 34.0, 0.42
CLUTTER_FROM_TRAIL_M = 0.9
GRASS = COVER_CODES.index(Cover.GRASS)
# the others have so few triangles that two crossed pictures would be no cheaper
COSTLY = frozenset({Species.BROADLEAF, Species.BAMBOO, Species.PALM, Species.BANANA, Species.DEAD_TREE})
SWAYING = {Species.BROADLEAF: 0.6, Species.BAMBOO: 1.3, Species.PALM: 0.9, Species.BANANA: 2.0, Species.BUSH: 3.0,
           Species.FERN: 5.0, Species.GRASS_TUFT: 9.0}
HEAT = {Species.STUMP: 0.32, Species.BOULDER: 0.40, Species.POST: 0.33, Species.DEAD_TREE: 0.31}


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """One variant of a species. height_m, reach_m (greatest distance from its axis): of the mesh as it came."""

    mesh: Mesh
    card: Mesh
    height_m: float
    reach_m: float


class PlantStock:
    """Picks and places the plants of a landscape."""

    def __init__(self, raster: Raster, landscape: Landscape) -> None:
        p = landscape.plants
        self._species = tuple(Species)
        self._models: dict[tuple[int, int], _Model] = {}
        self._raster = raster
        self._landscape = landscape
        self._plants = p
        heights = landscape.terrain.height_msl_m(np.column_stack([p.east_m, p.north_m])) if len(p) else np.empty(0)
        self._places = np.column_stack([p.east_m, p.north_m, np.nan_to_num(heights)])
        self._costly = np.isin(p.species, [i for i, s in enumerate(self._species) if s in COSTLY])
        chance = np.random.default_rng(landscape.seed)
        self._heading = (p.seed.astype(np.float64) * 0.61803398875) % 1.0 * 360.0
        self._variant = (p.seed % VARIANTS).astype(int)
        yellow = chance.normal(0.0, 0.05, (len(p), 1)) * [-1.0, 0.35, 1.0]
        self._tint = (1.0 + yellow) * chance.uniform(0.74, 1.06, (len(p), 1))

    def seen(self, pose: Pose, lens: Lens) -> list[Placed]:
        """What may be in the picture, near ones first."""
        eye = pose.position
        away = self._places - eye
        metres = np.linalg.norm(away, axis=1)
        tall = self._plants.height_m
        middle = away + np.column_stack([np.zeros((len(away), 2)), tall / 2])
        size = np.maximum(tall, 2 * self._plants.crown_m) * 0.75
        which = _in_view(middle, size, pose, lens) & (tall * lens.fy / np.maximum(metres, 1.0) > LEAST_PX)
        chosen = np.nonzero(which)[0]
        chosen = chosen[np.argsort(metres[chosen])][:MOST]
        whole = (metres[chosen] < MESH_WITHIN_M * np.clip(tall[chosen] / 6.0, 0.35, 1.6)) | ~self._costly[chosen]
        return [*self._placed(chosen[whole], card=False), *self._placed(chosen[~whole], card=True)]

    def clutter(self, pose: Pose, lens: Lens) -> list[Placed]:
        """Short grass near the lens, for a camera that stands: the same at the same place, and nothing in any truth."""
        cells = np.arange(-CLUTTER_M, CLUTTER_M, CLUTTER_CELL_M)
        corner = np.floor(pose.position[:2] / CLUTTER_CELL_M)
        e, n = np.meshgrid(corner[0] + np.round(cells / CLUTTER_CELL_M), corner[1] + np.round(cells / CLUTTER_CELL_M))
        cell = np.column_stack([e.ravel(), n.ravel()])
        draw = _hashed(cell)
        points = (cell + draw[:, :2]) * CLUTTER_CELL_M
        land = self._landscape
        at = np.round((points - np.array(land.cover_south_west_m)) / land.cover_step_m).astype(int)
        at = np.clip(at, 0, np.array(land.cover.shape[::-1]) - 1)
        waves = np.sin(points[:, 0] * 0.55 + 1.3 * np.sin(points[:, 1] * 0.31))
        patchy = waves + np.sin(points[:, 1] * 0.47 + points[:, 0] * 0.21)
        kept = (land.cover[at[:, 1], at[:, 0]] == GRASS) & (draw[:, 2] * 2.4 < 0.9 + 0.5 * patchy)
        places = np.column_stack([points, np.nan_to_num(land.terrain.height_msl_m(points))])
        kept &= _in_view(places - pose.position, np.full(len(places), 0.4), pose, lens)
        kept[kept] &= near(points[kept], [*land.trails.values(), *land.roads.values()], 0.5, 3.0)[0] > CLUTTER_FROM_TRAIL_M
        out = []
        for variant in range(VARIANTS):
            which = kept & ((draw[:, 3] * VARIANTS).astype(int) == variant)
            if not which.any():
                continue
            model = self._model(self._species.index(Species.GRASS_TUFT), variant)
            d = draw[which]
            high = (0.07 + 0.20 * d[:, 2] * d[:, 3]) / model.height_m
            wide = (0.12 + 0.16 * d[:, 0]) / model.reach_m
            out.append(Placed.many(
                model.mesh, places[which], d[:, 1] * 360.0, np.column_stack([wide, wide, high]),
                tint=np.clip(0.62 + 0.3 * d[:, :1], 0, 1) * [0.75, 0.95, 0.92], sway=np.full(len(d), 9.0),
            ))
        return out

    def around(self, middle: Array, radius_m: float) -> list[Placed]:
        """What stands within a radius: it may throw its shadow into the picture."""
        near = np.nonzero(np.hypot(*(self._places[:, :2] - middle[:2]).T) < radius_m)[0]
        return self._placed(near, card=False)

    def _placed(self, chosen: npt.NDArray[np.intp], *, card: bool) -> list[Placed]:
        out = []
        p = self._plants
        kinds = p.species[chosen].astype(int) * VARIANTS + self._variant[chosen]
        for kind in np.unique(kinds):
            which = chosen[kinds == kind]
            species = self._species[kind // VARIANTS]
            model = self._model(kind // VARIANTS, kind % VARIANTS)
            wide = p.crown_m[which] / model.reach_m
            high = p.height_m[which] / model.height_m
            out.append(Placed.many(
                model.card if card else model.mesh, self._places[which], self._heading[which],
                np.column_stack([wide, wide, high]), tint=self._tint[which],
                heat=np.full(len(which), HEAT.get(species, 0.30)), sway=np.full(len(which), SWAYING.get(species, 0.0)),
            ))
        return out

    def _model(self, species: int, variant: int) -> _Model:
        if (species, variant) not in self._models:
            mesh = plant_mesh(self._species[species], variant)
            height = float(mesh.vertices[:, 2].max())
            reach = float(np.percentile(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]), 98))
            self._models[species, variant] = _Model(mesh, _card(self._raster, mesh), height, max(reach, 0.02))
        return self._models[species, variant]


def _hashed(cell: Array) -> Array:
    """(n, 4) numbers from 0 to 1 that follow from the cell alone."""
    mixed = np.sin(cell @ np.array([[12.9898, 39.3468, 73.156, 4.1414], [78.233, 11.135, 52.235, 26.651]])) * 43758.5453
    return np.asarray(mixed - np.floor(mixed), dtype=float)


def _in_view(middle: Array, radius: Array, pose: Pose, lens: Lens) -> npt.NDArray[np.bool_]:
    """Whether balls (n, 3), (n,) reach into the picture's pyramid."""
    seen = middle @ pose.rotation()
    which = seen[:, 2] > -radius
    edges = (
        (lens.fx, (lens.cx + 0.5), 0), (lens.fx, lens.width_px - lens.cx - 0.5, 0),
        (lens.fy, (lens.cy + 0.5), 1), (lens.fy, lens.height_px - lens.cy - 0.5, 1),
    )
    for k, (focal, half, axis) in enumerate(edges):
        sign = 1.0 if k % 2 == 0 else -1.0
        # Distance to the plane through the lens and this edge of the picture.
        inside = (seen[:, axis] * sign * focal + seen[:, 2] * half) / np.hypot(focal, half)
        which &= inside > -radius
    return np.asarray(which)


def _card(raster: Raster, mesh: Mesh) -> Mesh:
    """Two crossed upright rectangles with the mesh's picture on them, and one lying flat for those who look from above."""
    low, high = mesh.vertices.min(axis=0).astype(float), mesh.vertices.max(axis=0).astype(float)
    reach = float(np.abs(np.array([low[:2], high[:2]])).max()) * 1.02
    top = float(high[2]) * 1.02
    even = Light(sun=(0.0, 0.0, 0.0), sky=(1.0, 1.0, 1.0), bounce=(0.72, 0.72, 0.72), shadows=False)
    pictures, corners, uv = [], [], []
    far = 400.0
    for k, (yaw, pitch) in enumerate(((0.0, 0.0), (90.0, 0.0), (0.0, -90.0))):
        wide, tall = 2 * reach, (top if pitch == 0.0 else 2 * reach)
        lens = Lens(CARD_PX, CARD_PX, far * CARD_PX / wide, far * CARD_PX / tall, CARD_PX / 2 - 0.5, CARD_PX / 2 - 0.5)
        y = np.radians(yaw)
        back = np.array([-np.sin(y) * far, -np.cos(y) * far, top / 2])
        if pitch != 0.0:
            back = np.array([0.0, 0.0, far + top / 2])
        pose = Pose(float(back[0]), float(back[1]), float(back[2]), yaw, pitch)
        image = raster.draw([Placed.one(mesh, (0.0, 0.0, 0.0))], pose, lens, even).image
        pictures.append(_opaque(image))
        right = np.array([np.cos(y), -np.sin(y), 0.0])
        up = np.array([0.0, 0.0, 1.0]) if pitch == 0.0 else np.array([0.0, 1.0, 0.0])
        base = np.array([0.0, 0.0, 0.0]) if pitch == 0.0 else np.array([0.0, -reach, top * 0.7])
        corners += [base + right * reach * side + up * tall * high for side, high in ((-1, 0), (1, 0), (1, 1), (-1, 1))]
        left, width = k / 3, 1 / 3
        uv += [(left, 1.0), (left + width, 1.0), (left + width, 0.0), (left, 0.0)]
    # Leaves face everywhere: lit as a dome is.
    at = np.array(corners)
    normals = at * [0.6, 0.6, 0.5] / max(reach, 1e-3) + [0.0, 0.0, 0.75]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    quads = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(
        vertices=at.astype(np.float32), triangles=np.concatenate([quads + 4 * k for k in range(3)]).astype(np.int32),
        colours=np.full((12, 3), 255, np.uint8), normals=normals.astype(np.float32), uv=np.array(uv, np.float32),
        texture=np.ascontiguousarray(np.hstack(pictures)),
    )


def _opaque(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colour no longer multiplied by alpha, and bled into the holes, so that no dark rim shows when it is made smaller."""
    alpha = image[..., 3:].astype(np.float32) / 255
    colour = image[..., :3].astype(np.float32)
    blurred, weight = colour.copy(), alpha.copy()
    for _ in range(4):
        blurred = np.stack([np.roll(blurred, s, (0, 1)) for s in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]).sum(axis=0)
        weight = np.stack([np.roll(weight, s, (0, 1)) for s in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]).sum(axis=0)
    mean = colour.sum(axis=(0, 1)) / max(float(alpha.sum()), 1e-3)
    around = np.where(weight > 1e-3, blurred / np.maximum(weight, 1e-3), mean)
    filled = np.where(alpha > 0.02, colour / np.maximum(alpha, 0.02), around)
    # A little wider than the mesh: thin leaves would vanish when the picture is drawn small.
    wider = np.clip(alpha * 1.5, 0, 1)
    return np.concatenate([np.clip(filled, 0, 255), wider * 255], axis=2).astype(np.uint8)
