"""Draws meshes as a camera sees them, off-screen: colour, whose pixel it is, and how far away.

    raster = Raster()
    drawing = raster.draw([Placed.one(body, (east, north, height), heading_deg=30.0, id=7)], pose, lens, Light())

The lens is taken as a pinhole (cameras.Lens without its distortion); sim.optics bends the picture afterwards. A Raster
belongs to the thread that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.geodesy import Array
from sim.mesh import Mesh
from sim.raster_gl import Image, ShadowMap, Sheet, Store, open_context, set_matrix, set_uniform
from sim.raster_shaders import (
    CATCHER_FRAGMENT,
    CATCHER_VERTEX,
    INSTANCE_FLOATS,
    MESH_FRAGMENT,
    MESH_VERTEX,
    SHADOW_FRAGMENT,
    SHADOW_VERTEX,
)

NEAREST_M = 0.25
FARTHEST_M = 6_000.0
SUPERSAMPLING = 2               # in each direction: four samples a pixel
SHADOW_SIDE_PX = 1024
CATCHER_HALF_M = 60.0
KEPT_SHEETS = 6

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """n copies of one mesh in the world.

    position_m: (n, 3) east, north, height. turn: (n, 3, 3) from the mesh's axes to east, north, up, scale included.
    tint: (n, 3) blue, green, red, multiplies the colours. id: (n,) below 2**24; 0 belongs to nobody. heat: (n,) 0 to 1 in
    the thermal palette. sway: (n,) how far the wind bends it, 0 stands still, 1 is a young tree.
    """

    mesh: Mesh
    position_m: Array
    turn: Array
    tint: Array
    id: npt.NDArray[np.int64]
    heat: Array
    sway: Array

    @staticmethod
    def one(
        mesh: Mesh, position_m: tuple[float, float, float], heading_deg: float = 0.0,
        scale: float | tuple[float, float, float] = 1.0, tint: Rgb = (1.0, 1.0, 1.0), id: int = 0, heat: float = 0.3,
        sway: float = 0.0, up: tuple[float, float, float] = (0.0, 0.0, 1.0),
    ) -> Placed:
        """One copy. scale: of all axes, or of x, y, z. up: where the mesh's z points, for what stands on a slope."""
        return Placed.many(
            mesh, np.array([position_m]), np.array([heading_deg]), np.array([np.broadcast_to(scale, 3)]),
            tint=np.array([tint]), id=np.array([id]), heat=np.array([heat]), sway=np.array([sway]), up=np.array([up]),
        )

    @staticmethod
    def many(
        mesh: Mesh, position_m: Array, heading_deg: Array, scale: Array, *, tint: Array | None = None,
        id: npt.NDArray[np.int64] | None = None, heat: Array | None = None, sway: Array | None = None,
        up: Array | None = None,
    ) -> Placed:
        """n copies: (n, 3) places, (n,) headings in degrees clockwise from north, (n,) or (n, 3) scales."""
        n = len(position_m)
        scales = np.broadcast_to(scale[:, None] if scale.ndim == 1 else scale, (n, 3))
        return Placed(
            mesh=mesh,
            position_m=np.asarray(position_m, float),
            turn=turns(heading_deg, up) * scales[:, None, :],
            tint=np.ones((n, 3)) if tint is None else tint,
            id=np.zeros(n, np.int64) if id is None else id,
            heat=np.full(n, 0.3) if heat is None else heat,
            sway=np.zeros(n) if sway is None else sway,
        )

    def __len__(self) -> int:
        return len(self.position_m)

    def only(self, which: npt.NDArray[np.bool_]) -> Placed:
        """Those of (n,) that are True."""
        return replace(
            self, position_m=self.position_m[which], turn=self.turn[which], tint=self.tint[which], id=self.id[which],
            heat=self.heat[which], sway=self.sway[which],
        )

    def packed(self, origin_m: Array) -> npt.NDArray[np.float32]:
        """(n, INSTANCE_FLOATS), places relative to origin_m."""
        out = np.empty((len(self), INSTANCE_FLOATS), np.float32)
        out[:, 0:9] = self.turn.transpose(0, 2, 1).reshape(-1, 9)       # column after column
        out[:, 9:12] = self.position_m - origin_m
        out[:, 12:15] = self.tint
        out[:, 15], out[:, 16], out[:, 17] = self.id, self.heat, self.sway
        return out


def turns(heading_deg: Array, up: Array | None = None) -> Array:
    """(n, 3, 3) rotations from x right, y forward, z up to east, north, up, for (n,) headings and (n, 3) unit up vectors."""
    heading = np.radians(np.asarray(heading_deg, float))
    forward = np.stack([np.sin(heading), np.cos(heading), np.zeros_like(heading)], axis=1)
    upward = np.broadcast_to([0.0, 0.0, 1.0], forward.shape) if up is None else np.asarray(up, float)
    forward = forward - upward * (forward * upward).sum(axis=1, keepdims=True)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    return np.stack([np.cross(forward, upward), forward, upward], axis=2)


@dataclass(frozen=True, slots=True)
class Light:
    """Light, air and film. Intensities are blue, green, red, linear; sun plus sky of about 1 is a bright day.

    sun_direction: unit vector *to* the sun, east, north, up. sky: from above; bounce: from below. lamp: at the lens, at 1 m.
    fog and fog_per_m: colour and extinction of the air. exposure multiplies all light. palette: 0 colours, 1 grey, 2 heat.
    shadow_darkness: how opaque a shadow is on the plane that catches it. wind: metres by which what stands 10 m high is bent
    at the most, east and north, and the seconds that say where in its swing it is.
    """

    sun_direction: tuple[float, float, float] = (0.35, 0.3, 0.89)
    sun: Rgb = (0.80, 0.90, 1.0)
    sky: Rgb = (0.42, 0.38, 0.34)
    bounce: Rgb = (0.10, 0.14, 0.15)
    lamp: Rgb = (0.0, 0.0, 0.0)
    fog: Rgb = (0.6, 0.58, 0.55)
    fog_per_m: float = 0.0
    exposure: float = 1.0
    palette: int = 0
    shadows: bool = True
    shadow_darkness: float = 0.55
    wind: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What was drawn. image: (h, w, 4) uint8, blue, green, red *already multiplied by* alpha: over a photograph it is
    `photo * (1 - alpha) + image`. ids: (h, w) int32, 0 where nobody is. depth_m: (h, w) float32 along the optical axis,
    infinite where nothing is. covered_px: pixels (in quarters, at 2 x 2 samples) that each id covers.
    """

    image: Image
    ids: npt.NDArray[np.int32]
    depth_m: npt.NDArray[np.float32]
    covered_px: dict[int, float]


@lru_cache(maxsize=16)
def axes_of(pose: Pose) -> Array:
    """pose.rotation(), kept: a picture asks for it a hundred times."""
    rotation = pose.rotation()
    rotation.setflags(write=False)
    return rotation


def clip_matrix(pose: Pose, lens: Lens) -> Array:
    """(4, 4) from east, north, up *relative to the lens* to clip space, so that pixels are those of cameras.project.

    The top row of the picture is the lowest of the clip space, as Sheet wants it.
    """
    w, h = lens.width_px, lens.height_px
    n, f = NEAREST_M, FARTHEST_M
    camera = np.array([
        [2 * lens.fx / w, 0.0, 2 * (lens.cx + 0.5) / w - 1.0, 0.0],
        [0.0, 2 * lens.fy / h, 2 * (lens.cy + 0.5) / h - 1.0, 0.0],
        [0.0, 0.0, (f + n) / (f - n), -2 * f * n / (f - n)],
        [0.0, 0.0, 1.0, 0.0],
    ])
    world = np.eye(4)
    world[:3, :3] = axes_of(pose).T
    return np.asarray(camera @ world)


def shadow_matrix(sun_direction: Array, middle: Array, radius_m: float) -> Array:
    """(4, 4) from east, north, up (relative to the lens) to the sun's own view of a ball."""
    toward = sun_direction / np.linalg.norm(sun_direction)
    side = np.cross([0.0, 0.0, 1.0] if abs(toward[2]) < 0.99 else [0.0, 1.0, 0.0], toward)
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(toward, side), -toward])
    out = np.eye(4)
    out[:3, :3] = axes / radius_m
    out[:3, 3] = -out[:3, :3] @ middle
    return out


class Raster:
    """A drawing board without a display. Raises RasterError when the machine has no OpenGL at all."""

    def __init__(self) -> None:
        self.context = open_context()
        self.store = Store(self.context)
        self.mesh_program = self.context.program(MESH_VERTEX, MESH_FRAGMENT)
        self.shadow_program = self.context.program(SHADOW_VERTEX, SHADOW_FRAGMENT)
        self._catcher_program = self.context.program(CATCHER_VERTEX, CATCHER_FRAGMENT)
        self._sheets: dict[tuple[int, int, str], Sheet] = {}
        self._shadow = ShadowMap(self.context, SHADOW_SIDE_PX)

    def take_over(self) -> None:
        """Make this the raster that draws: another one of this process may have been the last to."""
        # Not as a context manager: leaving it would leave no context at all, in the middle of whoever called.
        self.context.__enter__()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Give the context back. Nothing can be drawn afterwards."""
        self.take_over()
        self.context.release()

    def sheet(self, width: int, height: int, name: str = "") -> Sheet:
        """A sheet of this size, kept for the next time under its name."""
        key = (width, height, name)
        if key not in self._sheets:
            if len(self._sheets) >= KEPT_SHEETS:
                self._sheets.pop(next(iter(self._sheets))).release()
            self._sheets[key] = Sheet(self.context, width, height)
        return self._sheets[key]

    def draw(
        self, placed: Sequence[Placed], pose: Pose, lens: Lens, light: Light, *, ground_msl_m: float | None = None,
    ) -> Drawing:
        """Draw on a transparent sheet of the lens's size, with four samples a pixel.

        ground_msl_m: height of a level plane that is not drawn, but catches the shadows.
        """
        self.take_over()
        s = SUPERSAMPLING
        big = lens.scaled(lens.width_px * s, lens.height_px * s)
        sheet = self.sheet(big.width_px, big.height_px)
        eye = pose.position
        clip = clip_matrix(pose, big)
        shadow = self._draw_shadow(placed, eye, light) if light.shadows else None
        sheet.frame.use()
        sheet.frame.clear(0.0, 0.0, 0.0, 0.0)
        self.context.enable_only(moderngl.DEPTH_TEST)
        self.set_light(self.mesh_program, light, clip, shadow, self._shadow)
        set_uniform(self.mesh_program, "opaque", 1)
        set_uniform(self.mesh_program, "backdrop_samples", 0)
        for p in placed:
            if len(p):
                self.store.draw(self.mesh_program, p.mesh, p.packed(eye))
        if ground_msl_m is not None and shadow is not None:
            self._catch_shadow(placed, eye, ground_msl_m, clip, shadow, light)
        return _read(sheet, s)

    def set_light(
        self, program: moderngl.Program, light: Light, clip: Array, shadow: Array | None, shadow_map: ShadowMap,
    ) -> None:
        """Hand light and projection to a program. shadow: the map's matrix, None for no shadows."""
        set_matrix(program, "clip_from_world", clip)
        set_matrix(program, "shadow_from_world", np.eye(4) if shadow is None else shadow)
        toward = np.asarray(light.sun_direction) / np.linalg.norm(light.sun_direction)
        for name, value in (
            ("sun_direction", tuple(toward)), ("sun", light.sun), ("sky", light.sky), ("bounce", light.bounce),
            ("lamp", light.lamp), ("fog", light.fog), ("fog_per_m", light.fog_per_m), ("exposure", light.exposure),
            ("palette", light.palette), ("wind", (*light.wind, 0.0)), ("picture", 0), ("shadow_map", 1),
            ("shadow_texel", 0.0 if shadow is None else 1.0 / shadow_map.side_px),
        ):
            set_uniform(program, name, value)
        shadow_map.depth.use(1)

    def draw_shadow_map(
        self, shadow_map: ShadowMap, placed: Sequence[Placed], eye: Array, matrix: Array, light: Light,
    ) -> None:
        """Fill a shadow map with what stands in the sun's way."""
        shadow_map.frame.use()
        shadow_map.frame.clear(depth=1.0)
        self.context.enable_only(moderngl.DEPTH_TEST)
        # Pushed away from the sun, by slope: or every face would shade itself in stripes.
        self.context.polygon_offset = (2.5, 4.0)
        set_matrix(self.shadow_program, "shadow_from_world", matrix)
        set_uniform(self.shadow_program, "wind", (*light.wind, 0.0))
        set_uniform(self.shadow_program, "picture", 0)
        for p in placed:
            if len(p):
                self.store.draw(self.shadow_program, p.mesh, p.packed(eye))
        self.context.polygon_offset = (0.0, 0.0)

    def _draw_shadow(self, placed: Sequence[Placed], eye: Array, light: Light) -> Array | None:
        corners = [_bounds(p) for p in placed if len(p)]
        if not corners or light.sun_direction[2] <= 0.02:
            return None
        low = np.min([c[0] for c in corners], axis=0) - eye
        high = np.max([c[1] for c in corners], axis=0) - eye
        radius_m = float(np.linalg.norm(high - low)) / 2 + 0.1
        matrix = shadow_matrix(np.asarray(light.sun_direction), (low + high) / 2, radius_m)
        self.draw_shadow_map(self._shadow, placed, eye, matrix, light)
        return matrix

    def _catch_shadow(
        self, placed: Sequence[Placed], eye: Array, ground_msl_m: float, clip: Array, shadow: Array, light: Light
    ) -> None:
        """Blend shadows onto a level plane around what is drawn, behind what is drawn."""
        middle = np.concatenate([p.position_m for p in placed]).mean(axis=0) - eye
        s, z = CATCHER_HALF_M, ground_msl_m - eye[2]
        quad = np.array([[-s, -s], [s, -s], [-s, s], [s, s]]) + middle[:2]
        corners = np.column_stack([quad, np.full(4, z)]).astype(np.float32)
        set_matrix(self._catcher_program, "clip_from_world", clip)
        set_matrix(self._catcher_program, "shadow_from_world", shadow)
        set_uniform(self._catcher_program, "shadow_texel", 1.0 / self._shadow.side_px)
        set_uniform(self._catcher_program, "darkest", light.shadow_darkness)
        set_uniform(self._catcher_program, "shadow_map", 1)
        self._shadow.depth.use(1)
        buffer = self.context.buffer(corners.tobytes())
        array = self.context.vertex_array(self._catcher_program, [(buffer, "3f", "position")])
        array.render(moderngl.TRIANGLE_STRIP)
        array.release()
        buffer.release()


def _bounds(placed: Placed) -> tuple[Array, Array]:
    """Low and high corner of a box around all copies: by the farthest vertex, whichever way each copy is turned."""
    reach = float(np.linalg.norm(placed.mesh.vertices, axis=1).max())
    largest = np.linalg.norm(placed.turn, axis=1).max(axis=1)[:, None] * reach
    return (placed.position_m - largest).min(axis=0), (placed.position_m + largest).max(axis=0)


def _read(sheet: Sheet, s: int) -> Drawing:
    width, height = sheet.size[0] // s, sheet.size[1] // s
    id_depth = sheet.read_id_depth()
    ids = id_depth[..., 0].astype(np.int32)
    near = id_depth[s - 1::s, s - 1::s]
    counted, counts = np.unique(ids[ids > 0], return_counts=True)
    return Drawing(
        image=np.asarray(cv2.resize(sheet.read_colour(), (width, height), interpolation=cv2.INTER_AREA), np.uint8),
        ids=np.ascontiguousarray(ids[s - 1::s, s - 1::s]),
        depth_m=np.where(near[..., 1] > 0, near[..., 1], np.float32(np.inf)),
        covered_px={int(i): float(c) / s**2 for i, c in zip(counted, counts, strict=True)},
    )
