"""Those who move: placed, drawn over a backdrop, and measured for the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from geofences.geodesy import Array
from sim.mesh import Mesh
from sim.raster import Light, Placed, Raster, axes_of, clip_matrix, shadow_matrix
from sim.raster_gl import Image, ShadowMap, Sheet, set_matrix, set_uniform, write_uniform
from sim.raster_shaders import SHADOW_VERTEX
from sim.renderer_backdrop import Backdrop
from sim.renderer_meshes import HEAT
from sim.renderer_shaders import FALLEN_FRAGMENT, FALLEN_VERTEX, OUTLINE_FRAGMENT
from sim.world_state import ActorState, Kind, Posture, TruthBox

SAMPLES = 2                     # of an actor to one pixel, in each direction
NEAREST_M = 0.6                 # whoever is nearer to the lens than this is not drawn: he would be all there is
LEAST_PX = 1.0
LARGEST_M = 12.0              # half a bus, and its shadow
FEET = 24                       # as many as the shader holds
SHADOW_SIDE_PX = 512
LONGEST_SHADOW = 6.0            # times the height: a low sun's shadow is cut there
ROOM_PX = 6                     # around an actor, for blur and for the dark at his feet
WIDE_M = {Kind.PERSON: 0.35, Kind.DOG: 0.35, Kind.BUFFALO: 0.8, Kind.MOTORCYCLE: 0.5, Kind.BICYCLE: 0.4, Kind.BIRD: 0.1}
ON_WHEELS = frozenset({Kind.BICYCLE, Kind.MOTORCYCLE, Kind.CAR, Kind.PICKUP, Kind.TRUCK, Kind.BUS})

Box = tuple[int, int, int, int]
MeshOf = Callable[[ActorState, float], Mesh]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One actor, ready to be drawn. corners: (8, 3) of a box around him, relative to the lens. box: left, top, right, bottom
    in pixels of the pinhole lens, rounded outwards; it may reach beyond the picture.
    """

    state: ActorState
    placed: Placed
    corners: Array
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A piece of picture to lay over the backdrop. box: left, top, right, bottom, pixels of the pinhole lens.

    image: (h, w, 4) uint8, already multiplied by alpha. fallen: (h, w, 2) uint8, shadow of the sun and of the sky.
    """

    box: Box
    image: Image
    fallen: npt.NDArray[np.uint8]
    fastest_px_s: tuple[float, float]


class Cast:
    """Draws the actors of a moment over a backdrop."""

    def __init__(self, raster: Raster, mesh_of: MeshOf, slope_at: Callable[[Array], Array]) -> None:
        self._raster = raster
        self._mesh_of = mesh_of
        self._slope_at = slope_at
        context = raster.context
        self._shadow = ShadowMap(context, SHADOW_SIDE_PX)
        self._fallen = context.program(FALLEN_VERTEX, FALLEN_FRAGMENT)
        self._outline_program = context.program(SHADOW_VERTEX, OUTLINE_FRAGMENT)
        corners = np.array([[-1, -1], [3, -1], [-1, 3]], np.float32)
        self._screen = context.vertex_array(self._fallen, [(context.buffer(corners.tobytes()), "2f", "corner")])
        self._fallen_sheet: tuple[tuple[int, int], moderngl.Framebuffer] | None = None

    def place(self, actors: Sequence[ActorState], pose: Pose, lens: Lens) -> list[Drawn]:
        """Those who may be in the picture, near ones first."""
        shown = [s for s in actors if not (s.aboard and s.actor.kind is Kind.PERSON and s.posture is not Posture.RIDE)]
        places = np.array([(s.east_m, s.north_m, s.height_msl_m) for s in shown]).reshape(-1, 3)
        drawn = []
        for k in np.nonzero(_may_be_seen(places - pose.position, pose, lens))[0]:
            state, at = shown[k], places[k]
            away = float(np.linalg.norm(at - pose.position))
            mesh = self._mesh_of(state, lens.fy / away)
            placed = Placed.one(
                mesh, (state.east_m, state.north_m, state.height_msl_m), state.heading_deg, id=state.actor.id,
                heat=HEAT[state.actor.kind], up=self._up(state),
            )
            corners = _corners(mesh) @ placed.turn[0].T + at - pose.position
            box = _box(corners, pose, lens)
            if box is not None:
                drawn.append((away, Drawn(state, placed, corners, box)))
        return [d for _, d in sorted(drawn, key=lambda pair: pair[0])]

    def _up(self, state: ActorState) -> tuple[float, float, float]:
        """What has wheels stands square on a slope; what has legs stands upright."""
        if state.actor.kind not in ON_WHEELS:
            return (0.0, 0.0, 1.0)
        normal = self._slope_at(np.array([state.east_m, state.north_m]))
        return (float(normal[0]), float(normal[1]), float(normal[2]))

    def draw(
        self, drawn: Sequence[Drawn], sheet: Sheet, backdrop: Backdrop, pose: Pose, lens: Lens, light: Light,
        shade: Array | None, shade_map: ShadowMap,
    ) -> tuple[list[Patch], dict[int, float]]:
        """Patches over the backdrop, and how many pixels of each actor are seen. sheet: SAMPLES times the lens's size."""
        program, s = self._raster.mesh_program, SAMPLES
        regions = _regions(drawn, light, pose, lens)
        patches, seen = [], {d.state.actor.id: 0.0 for d in drawn}
        for box, within in regions:
            fallen = self._fall(box, within, backdrop, pose, lens, light)
            left, top, right, bottom = box
            sheet.frame.use()
            sheet.frame.viewport = (left * s, top * s, (right - left) * s, (bottom - top) * s)
            sheet.frame.clear(0.0, 0.0, 0.0, 0.0, viewport=sheet.frame.viewport)
            self._raster.context.enable_only(moderngl.DEPTH_TEST)
            self._raster.set_light(program, light, clip_matrix(pose, _cropped(lens, box)), shade, shade_map)
            set_uniform(program, "opaque", 1)
            set_uniform(program, "backdrop_samples", s // backdrop.samples)
            set_uniform(program, "backdrop", 7)
            backdrop.sheet.id_depth.use(7)
            for d in within:
                self._raster.store.draw(program, d.placed.mesh, d.placed.packed(pose.position))
            area = (left * s, top * s, (right - left) * s, (bottom - top) * s)
            image = cv2.resize(sheet.read_colour(area), (right - left, bottom - top), interpolation=cv2.INTER_AREA)
            ids = sheet.read_id_depth(area)[..., 0]
            for i, c in zip(*np.unique(ids[ids > 0], return_counts=True), strict=True):
                seen[int(i)] += float(c) / s**2
            speeds = [_pixels_per_second(d, pose, lens) for d in within]
            fastest = max(speeds, key=lambda v: abs(v[0]) + abs(v[1]), default=(0.0, 0.0))
            patches.append(Patch(box, np.asarray(image, np.uint8), fallen, fastest))
        return patches, seen

    def _fall(
        self, box: Box, within: Sequence[Drawn], backdrop: Backdrop, pose: Pose, lens: Lens, light: Light
    ) -> npt.NDArray[np.uint8]:
        """(h, w, 2) what these actors keep from the backdrop in a box: the sun's light, and at their feet the sky's."""
        eye, program = pose.position, self._fallen
        matrix = np.eye(4)
        if light.shadows and within:
            corners = np.concatenate([d.corners for d in within])
            low, high = corners.min(axis=0), corners.max(axis=0)
            radius = float(np.linalg.norm(high - low)) / 2 + 0.3
            matrix = shadow_matrix(np.asarray(light.sun_direction), (low + high) / 2, radius)
            # Where the ground lies under the ball it must still be inside the map.
            matrix[2] *= 0.2
            self._raster.draw_shadow_map(self._shadow, [d.placed for d in within], eye, matrix, light)
        frame = self._fallen_on((lens.width_px, lens.height_px))
        left, top, right, bottom = box
        frame.use()
        frame.viewport = (left, top, right - left, bottom - top)
        self._raster.context.enable_only(moderngl.NOTHING)
        set_matrix(program, "shadow_from_world", matrix)
        write_uniform(program, "world_from_ray", axes_of(pose).T)
        feet = np.zeros((FEET, 4), np.float32)
        for k, d in enumerate(within[:FEET]):
            feet[k, :3] = d.placed.position_m[0] - eye
            feet[k, 3] = WIDE_M.get(d.state.actor.kind, 1.4)
        write_uniform(program, "feet", feet)
        for name, value in (
            ("standing", min(len(within), FEET)), ("backdrop", 7), ("backdrop_step", backdrop.samples), ("shadow_map", 1),
            ("shadow_texel", 1.0 / SHADOW_SIDE_PX if light.shadows and within else 0.0),
            ("fog_per_m", light.fog_per_m),
            ("pinhole", (1 / lens.fx, 1 / lens.fy, lens.cx, lens.cy)),
        ):
            set_uniform(program, name, value)
        self._shadow.depth.use(1)
        backdrop.sheet.id_depth.use(7)
        self._screen.render(vertices=3)
        data = frame.read((left, top, right - left, bottom - top), components=2, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(bottom - top, right - left, 2)

    def _fallen_on(self, size: tuple[int, int]) -> moderngl.Framebuffer:
        if self._fallen_sheet is None or self._fallen_sheet[0] != size:
            context = self._raster.context
            self._fallen_sheet = (size, context.framebuffer([context.texture(size, 2)]))
        return self._fallen_sheet[1]

    def truth(
        self, drawn: Sequence[Drawn], seen: dict[int, float], sheet: Sheet, pose: Pose, lens: Lens, pinhole: Lens
    ) -> tuple[TruthBox, ...]:
        """What an all-knowing eye would say of each, drawn once more, alone. lens: the real one, with its distortion."""
        out = []
        feet = project(np.array([d.placed.position_m[0] for d in drawn]).reshape(-1, 3), pose, lens)
        for d, foot, alone in zip(drawn, feet, self._silhouettes(drawn, sheet, pose, pinhole), strict=True):
            if not alone.any():
                continue
            outline = _outline(alone, d.box)
            pixels = lens.to_pixels((outline - [pinhole.cx, pinhole.cy]) / [pinhole.fx, pinhole.fy])
            low, high = np.nanmin(pixels, axis=0), np.nanmax(pixels, axis=0)
            left, top = np.maximum(low, -0.5)
            right, bottom = np.minimum(high, [lens.width_px - 0.5, lens.height_px - 0.5])
            if right - left < LEAST_PX or bottom - top < LEAST_PX:
                continue
            s = d.state
            out.append(TruthBox(
                actor=s.actor.id, kind=s.actor.kind, box_px=(float(left), float(top), float(right), float(bottom)),
                visible=float(np.clip(seen[s.actor.id] / (alone.sum() / SAMPLES**2), 0.0, 1.0)),
                foot_px=(float(foot[0]), float(foot[1])),
                distance_m=float(np.linalg.norm(d.placed.position_m[0] - pose.position)),
                east_m=s.east_m, north_m=s.north_m, height_msl_m=s.height_msl_m,
            ))
        return tuple(out)

    def _silhouettes(
        self, drawn: Sequence[Drawn], sheet: Sheet, pose: Pose, pinhole: Lens
    ) -> list[npt.NDArray[np.bool_]]:
        """(h, w) samples that each actor alone would cover in his box, in the picture or beyond its edge.

        They are drawn side by side and read together: asking for pixels costs more than drawing them.
        """
        s, found = SAMPLES, [np.zeros((0, 0), np.bool_)] * len(drawn)
        boxes = [d.box for d in drawn]
        areas = [(min((b[2] - b[0]) * s, sheet.size[0]), min((b[3] - b[1]) * s, sheet.size[1])) for b in boxes]
        for shelf in _shelves(areas, sheet.size):
            used = max(y + areas[k][1] for k, _, y in shelf)
            sheet.frame.use()
            sheet.frame.viewport = (0, 0, sheet.size[0], used)
            sheet.frame.clear(0.0, 0.0, 0.0, 0.0, viewport=sheet.frame.viewport)
            self._raster.context.enable_only(moderngl.NOTHING)
            for k, x, y in shelf:
                d, (width, height) = drawn[k], areas[k]
                sheet.frame.viewport = (x, y, width, height)
                whole = (d.box[0], d.box[1], d.box[0] + width // s, d.box[1] + height // s)
                set_matrix(self._outline_program, "shadow_from_world", clip_matrix(pose, _cropped(pinhole, whole)))
                self._raster.store.draw(self._outline_program, d.placed.mesh, d.placed.packed(pose.position))
            covered = sheet.read_colour((0, 0, sheet.size[0], used))[..., 3] > 0
            for k, x, y in shelf:
                found[k] = covered[y:y + areas[k][1], x:x + areas[k][0]]
        return found


def _shelves(areas: Sequence[tuple[int, int]], size: tuple[int, int]) -> list[list[tuple[int, int, int]]]:
    """Where rectangles (width, height) go on sheets of a size, in rows, the tallest first: (which, x, y), sheet by sheet."""
    sheets: list[list[tuple[int, int, int]]] = []
    x = y = tall = 0
    for k in sorted(range(len(areas)), key=lambda k: -areas[k][1]):
        width, height = areas[k]
        if sheets and x + width > size[0]:
            x, y, tall = 0, y + tall, 0
        if not sheets or y + height > size[1]:
            sheets.append([])
            x = y = tall = 0
        sheets[-1].append((k, x, y))
        x, tall = x + width, max(tall, height)
    return sheets


def _may_be_seen(away: Array, pose: Pose, lens: Lens) -> npt.NDArray[np.bool_]:
    """(n,) whether anything of the largest actor at (n, 3) places could be in the picture: a cheap no before it is made."""
    x, y, z = (away @ axes_of(pose)).T
    beyond = (
        (x * lens.fx + z * (lens.cx + 0.5)) / np.hypot(lens.fx, lens.cx),
        (-x * lens.fx + z * (lens.width_px - lens.cx)) / np.hypot(lens.fx, lens.width_px - lens.cx),
        (y * lens.fy + z * (lens.cy + 0.5)) / np.hypot(lens.fy, lens.cy),
        (-y * lens.fy + z * (lens.height_px - lens.cy)) / np.hypot(lens.fy, lens.height_px - lens.cy),
    )
    inside = (z > -LARGEST_M) & (np.min(beyond, axis=0) > -LARGEST_M)
    return np.asarray(inside & (np.linalg.norm(away, axis=1) >= NEAREST_M))


def _corners(mesh: Mesh) -> Array:
    low, high = _extent(mesh)
    return np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])


@lru_cache(maxsize=1024)
def _extent(mesh: Mesh) -> tuple[Array, Array]:
    return mesh.vertices.min(axis=0).astype(float), mesh.vertices.max(axis=0).astype(float)


def _cropped(lens: Lens, box: Box) -> Lens:
    """The part of a pinhole's picture in a box, as a lens of its own; the box may reach beyond the picture."""
    left, top, right, bottom = box
    return replace(lens, width_px=right - left, height_px=bottom - top, cx=lens.cx - left, cy=lens.cy - top)


def _box(corners: Array, pose: Pose, lens: Lens) -> Box | None:
    """Pixels around (n, 3) points relative to the lens, in a pinhole; None when that is outside the picture."""
    seen = corners @ axes_of(pose)
    if (seen[:, 2] < 0.2).all():
        return None
    depth = np.maximum(seen[:, 2], 0.2)
    x = np.clip(lens.fx * seen[:, 0] / depth + lens.cx, -1e5, 1e5)
    y = np.clip(lens.fy * seen[:, 1] / depth + lens.cy, -1e5, 1e5)
    left, top = int(np.floor(x.min())), int(np.floor(y.min()))
    right, bottom = int(np.ceil(x.max())) + 1, int(np.ceil(y.max())) + 1
    if right <= 0 or bottom <= 0 or left >= lens.width_px or top >= lens.height_px:
        return None
    return left, top, right, bottom


def _regions(drawn: Sequence[Drawn], light: Light, pose: Pose, lens: Lens) -> list[tuple[Box, list[Drawn]]]:
    """Boxes around actors with their shadows, in the picture, that do not overlap, each with those in it."""
    regions: list[tuple[Box, list[Drawn]]] = []
    for d in drawn:
        merged, within = _with_shadow(d, light, pose, lens), [d]
        changed = True
        while changed:
            changed = False
            for other in regions:
                if _overlap(merged, other[0]):
                    regions.remove(other)
                    merged = _around(merged, other[0])
                    within = other[1] + within
                    changed = True
                    break
        regions.append((merged, within))
    return [r for r in regions if r[0][2] > r[0][0] and r[0][3] > r[0][1]]


def _with_shadow(d: Drawn, light: Light, pose: Pose, lens: Lens) -> Box:
    """An actor's box with that of his shadow on level ground, and some room, clipped to the picture."""
    left, top, right, bottom = d.box
    if light.shadows and light.sun_direction[2] > 0.0:
        ground = d.corners[:, 2].min()
        high = d.corners[:, 2].max() - ground
        sun = np.asarray(light.sun_direction) / np.linalg.norm(light.sun_direction)
        flat = min(float(np.hypot(sun[0], sun[1])) / max(float(sun[2]), 0.02), LONGEST_SHADOW) * high
        way = -sun[:2] / max(float(np.hypot(sun[0], sun[1])), 1e-6) * flat
        fallen = _box(np.concatenate([d.corners, np.column_stack([d.corners[:, :2] + way, np.full(8, ground)])]), pose, lens)
        if fallen is not None:
            left, top, right, bottom = fallen
    return (
        max(left - ROOM_PX, 0), max(top - ROOM_PX, 0),
        min(right + ROOM_PX, lens.width_px), min(bottom + ROOM_PX, lens.height_px),
    )


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _around(a: Box, b: Box) -> Box:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def _outline(alone: npt.NDArray[np.bool_], box: Box) -> Array:
    """(n, 2) pixels of the pinhole on the rim of a silhouette: both ends of every row and of every column."""
    rows, columns = np.nonzero(alone.any(axis=1))[0], np.nonzero(alone.any(axis=0))[0]
    first, last = alone[rows].argmax(axis=1), alone.shape[1] - 1 - alone[rows, ::-1].argmax(axis=1)
    high, low = alone[:, columns].argmax(axis=0), alone.shape[0] - 1 - alone[::-1][:, columns].argmax(axis=0)
    # A sample is a square: its outer edges count.
    x = np.concatenate([first, last + 1, columns, columns + 1])
    y = np.concatenate([rows, rows + 1, high, low + 1])
    return np.column_stack([x, y]) / SAMPLES + [box[0] - 0.5, box[1] - 0.5]


def _pixels_per_second(d: Drawn, pose: Pose, lens: Lens) -> tuple[float, float]:
    at = d.placed.position_m[0] - pose.position
    seen = at @ axes_of(pose)
    moves = np.array([*d.state.velocity_mps, 0.0]) @ axes_of(pose)
    depth = max(float(seen[2]), 1.0)
    return (float(lens.fx * moves[0] / depth), float(lens.fy * moves[1] / depth))
