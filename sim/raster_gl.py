"""The graphics library: one context without a display, the meshes and textures that lie in it, and sheets to draw on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import moderngl
import numpy as np
import numpy.typing as npt

from sim.mesh import Mesh
from sim.raster_shaders import INSTANCE_FLOATS, INSTANCE_LAYOUT, INSTANCE_NAMES

KEPT_MESHES = 400           # the least recently drawn is forgotten beyond; a walker has some 16 poses of 1 MB
KEPT_TEXTURES = 200

Image = npt.NDArray[np.uint8]


class RasterError(RuntimeError):
    """Nothing can be drawn on this machine. The text says what to install."""


def open_context() -> moderngl.Context:
    """An OpenGL 3.3 context that needs neither display nor GPU. Raises RasterError."""
    try:
        return moderngl.create_context(
            require=330, standalone=True, backend="egl", libegl="libEGL.so.1", libgl="libGL.so.1",  # type: ignore[arg-type]
        )
    # moderngl raises a bare Exception for whatever the driver says.
    except Exception as error:
        raise RasterError(
            f"no OpenGL 3.3 can be opened off-screen ({error}). Install it: apt-get install libegl1 libgl1 libgl1-mesa-dri"
        ) from error


@dataclass(slots=True)
class _Loaded:
    """A mesh in the graphics memory. source keeps the arrays alive, so that their identity stays theirs."""

    source: Mesh
    vertices: moderngl.Buffer
    triangles: moderngl.Buffer


class Store:
    """Meshes and textures, uploaded once for as long as they are in use."""

    def __init__(self, context: moderngl.Context) -> None:
        self._context = context
        self._meshes: OrderedDict[int, _Loaded] = OrderedDict()
        self._textures: OrderedDict[int, tuple[Image, moderngl.Texture]] = OrderedDict()
        self.white = context.texture((1, 1), 4, b"\xff\xff\xff\xff")

    def mesh(self, mesh: Mesh) -> _Loaded:
        loaded = self._meshes.get(id(mesh))
        if loaded is None:
            n = len(mesh.vertices)
            uv = mesh.uv if mesh.uv is not None else np.zeros((n, 2), np.float32)
            packed = np.concatenate(
                [mesh.vertices, mesh.normals, mesh.colours.astype(np.float32) / 255.0, uv], axis=1, dtype=np.float32,
            )
            loaded = _Loaded(
                mesh, self._context.buffer(np.ascontiguousarray(packed).tobytes()),
                self._context.buffer(np.ascontiguousarray(mesh.triangles, np.int32).tobytes()),
            )
            self._meshes[id(mesh)] = loaded
            if len(self._meshes) > KEPT_MESHES:
                _, old = self._meshes.popitem(last=False)
                old.vertices.release()
                old.triangles.release()
        self._meshes.move_to_end(id(mesh))
        return loaded

    def texture(self, image: Image | None) -> moderngl.Texture:
        if image is None:
            return self.white
        held = self._textures.get(id(image))
        if held is None:
            height, width = image.shape[:2]
            texture = self._context.texture((width, height), 4, np.ascontiguousarray(image).tobytes())
            texture.build_mipmaps()
            texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            held = (image, texture)
            self._textures[id(image)] = held
            if len(self._textures) > KEPT_TEXTURES:
                _, (_, old) = self._textures.popitem(last=False)
                old.release()
        self._textures.move_to_end(id(image))
        return held[1]

    def draw(self, program: moderngl.Program, mesh: Mesh, instances: npt.NDArray[np.float32]) -> None:
        """Draw (n, INSTANCE_FLOATS) copies of a mesh with a program that has the mesh's attributes, or some of them."""
        loaded = self.mesh(mesh)
        self.texture(mesh.texture).use(0)
        set_uniform(program, "textured", int(mesh.texture is not None))
        copies = self._context.buffer(np.ascontiguousarray(instances).tobytes())
        array = self._context.vertex_array(
            program,
            [
                (loaded.vertices, *_used(program, "3f 3f 3f 2f", ("position", "normal", "colour", "uv"))),
                (copies, *_used(program, INSTANCE_LAYOUT, INSTANCE_NAMES)),
            ],
            loaded.triangles, 4,
        )
        array.render(instances=len(instances))
        array.release()
        copies.release()


def _used(program: moderngl.Program, layout: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """A buffer's layout with what the program does not read turned into padding."""
    parts = layout.split()
    rate = parts.pop() if parts[-1].startswith("/") else ""
    kept = [n for n in names if n in program]
    body = " ".join(p if n in program else f"{int(p[:-1]) * 4}x" for p, n in zip(parts, names, strict=True))
    return (f"{body} {rate}".strip(), *kept)


def set_uniform(program: moderngl.Program, name: str, value: object) -> None:
    """Set a uniform, if the compiler has not found that the program does without it."""
    if name in program:
        program[name] = value


def set_matrix(program: moderngl.Program, name: str, matrix: npt.NDArray[np.floating]) -> None:
    """A row-major (4, 4) matrix into a column-major uniform."""
    write_uniform(program, name, matrix.T)


def write_uniform(program: moderngl.Program, name: str, values: npt.ArrayLike) -> None:
    """Set a uniform that is an array, or a matrix given column by column, if the program has it."""
    if name in program:
        uniform = program[name]
        assert isinstance(uniform, moderngl.Uniform)
        uniform.write(np.ascontiguousarray(values, np.float32).tobytes())


class Sheet:
    """Something to draw on: colour (8 bits, blue green red alpha), id and depth (float32, two channels), z-buffer.

    Row 0 is the top of the picture: the projection turns it, so that nothing has to be flipped when it is read.
    """

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self.size = (width, height)
        self.colour = context.texture(self.size, 4)
        self.id_depth = context.texture(self.size, 2, dtype="f4")
        self.id_depth.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self.zbuffer = context.depth_renderbuffer(self.size)
        self.frame = context.framebuffer([self.colour, self.id_depth], self.zbuffer)

    def release(self) -> None:
        """Give its memory back."""
        for part in (self.frame, self.colour, self.id_depth, self.zbuffer):
            part.release()

    def read_colour(self, box: tuple[int, int, int, int] | None = None) -> Image:
        """(h, w, 4) uint8 of the whole sheet, or of (left, top, width, height)."""
        left, top, width, height = box or (0, 0, *self.size)
        data = self.frame.read((left, top, width, height), components=4, attachment=0, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)

    def read_id_depth(self, box: tuple[int, int, int, int] | None = None) -> npt.NDArray[np.float32]:
        """(h, w, 2) float32: id, and metres along the optical axis; 0, 0 where nothing was drawn."""
        left, top, width, height = box or (0, 0, *self.size)
        data = self.frame.read((left, top, width, height), components=2, attachment=1, dtype="f4", alignment=1)
        return np.frombuffer(data, np.float32).reshape(height, width, 2)


class ShadowMap:
    """Depths as the sun sees them, square, compared in hardware."""

    def __init__(self, context: moderngl.Context, side_px: int) -> None:
        self.side_px = side_px
        self.depth = context.depth_texture((side_px, side_px))
        self.depth.compare_func = "<="
        self.depth.repeat_x = self.depth.repeat_y = False
        self.frame = context.framebuffer(depth_attachment=self.depth)


assert len(INSTANCE_LAYOUT.split()) - 1 == len(INSTANCE_NAMES)
assert sum(int(p[0]) for p in INSTANCE_LAYOUT.split()[:-1]) == INSTANCE_FLOATS
