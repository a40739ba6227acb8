"""The ground as it is drawn: a mesh that is fine where one stands, and what covers it."""

from __future__ import annotations

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.ground_textures import SIDE_PX, TILE_M, ground_texture
from sim.raster_gl import set_uniform, write_uniform
from sim.renderer_light import Weather
from sim.renderer_shaders import GROUND_FRAGMENT, GROUND_VERTEX
from sim.world_state import COVER_CODES, Landscape

RINGS = ((60.0, 0.75), (240.0, 3.0), (1000.0, 10.0), (4500.0, 60.0))    # half a side and step of each grid, metres
SINK_M = 0.06                   # a coarser ring lies this much lower where the finer one overlaps it, per ring
WAYS_HALF_M, WAYS_PX = 150.0, 1200
TALL_M = 4.0                    # a plant that is part of a forest's crowns
WAYS_REACH_M = 10.0             # distances to trails are kept up to here
MOVES_M = 25.0                  # the patch is laid anew when the lens has gone this far from its middle


class Ground:
    """Draws the ground of a landscape around wherever the lens is."""

    def __init__(self, context: moderngl.Context, landscape: Landscape) -> None:
        self._context = context
        self._landscape = landscape
        self.program = context.program(GROUND_VERTEX, GROUND_FRAGMENT)
        self._cover = _cover_textures(context, landscape)
        self._wild = _wild_texture(context, landscape)
        self._textures = _layers(context)
        self.noise = noise_texture(context)
        tiles = np.array([TILE_M[c] for c in COVER_CODES])
        write_uniform(self.program, "tile_m", tiles)
        self._middle: Array | None = None
        self._mesh: moderngl.VertexArray | None = None
        self._ways: moderngl.Texture | None = None

    def lay(self, eye: Array) -> None:
        """Make sure that the patch lies under the lens. eye: (3,) east, north, height."""
        if self._middle is not None and np.hypot(*(eye[:2] - self._middle)) < MOVES_M:
            return
        self._middle = np.round(eye[:2] / 10.0) * 10.0
        for old in (self._mesh, self._ways):
            if old is not None:
                old.release()
        vertices, triangles = ground_mesh(self._landscape, self._middle)
        self._mesh = self._context.vertex_array(
            self.program, [(self._context.buffer(vertices.tobytes()), "3f 3f", "position", "normal")],
            self._context.buffer(triangles.tobytes()), 4,
        )
        ways = np.dstack([
            _distances(list(lines.values()), self._middle) for lines in (self._landscape.trails, self._landscape.roads)
        ])
        self._ways = self._context.texture((WAYS_PX, WAYS_PX), 2, np.ascontiguousarray(ways).tobytes())
        self._ways.repeat_x = self._ways.repeat_y = False

    def draw(self, eye: Array, weather: Weather, seconds: float, *, fine: bool) -> None:
        """Draw; the caller has set light and projection on self.program. fine: for a picture that is kept."""
        assert self._mesh is not None and self._middle is not None and self._ways is not None
        program, middle = self.program, self._middle
        set_uniform(program, "origin", (*(middle - eye[:2]), -eye[2]))
        extent = np.array(self._landscape.cover.shape[::-1]) * self._landscape.cover_step_m
        # A post is the middle of its texel.
        corner = np.array(self._landscape.cover_south_west_m) - self._landscape.cover_step_m / 2 - middle
        set_uniform(program, "cover_frame", (*corner, *(1.0 / extent)))
        set_uniform(program, "ways_frame", (-WAYS_HALF_M, -WAYS_HALF_M, 0.5 / WAYS_HALF_M, 0.5 / WAYS_HALF_M))
        set_uniform(program, "drift", tuple(middle))
        for name, value in (
            ("wetness", weather.wetness), ("zenith", weather.zenith), ("horizon", weather.horizon), ("ripple_s", seconds),
            ("least", 0.04 if fine else 0.15),
        ):
            set_uniform(program, name, value)
        self._textures.anisotropy = 4.0 if fine else 1.0
        # Between two sizes of a texture the finer way costs half as much again, and noise hides the seam.
        between = moderngl.LINEAR_MIPMAP_LINEAR if fine else moderngl.LINEAR_MIPMAP_NEAREST
        for texture in (self._textures, self.noise):
            texture.filter = (between, moderngl.LINEAR)
        bound: tuple[tuple[str, moderngl.Texture | moderngl.TextureArray], ...] = (
            ("cover_a", self._cover[0]), ("cover_b", self._cover[1]), ("ways", self._ways), ("noise", self.noise),
            ("wild", self._wild), ("textures", self._textures),
        )
        for unit, (name, texture) in enumerate(bound, start=2):
            texture.use(unit)
            set_uniform(program, name, unit)
        self._mesh.render()


def ground_mesh(landscape: Landscape, middle: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """(n, 6) place relative to (middle, 0) and normal, (m, 3) triangles: rings of grids, the coarser outside the finer."""
    vertices, triangles, first, inner = [], [], 0, 0.0
    for ring, (half, step) in enumerate(RINGS):
        posts = np.arange(-half, half + step / 2, step)
        e, n = np.meshgrid(posts, posts)
        points = np.column_stack([e.ravel(), n.ravel()])
        height = _heights(landscape, points + middle)
        slope_e = (_heights(landscape, points + middle + [1.0, 0.0]) - _heights(landscape, points + middle - [1.0, 0.0])) / 2
        slope_n = (_heights(landscape, points + middle + [0.0, 1.0]) - _heights(landscape, points + middle - [0.0, 1.0])) / 2
        normal = np.column_stack([-slope_e, -slope_n, np.ones(len(points))])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        sunk = np.where(np.abs(points).max(axis=1) < inner + step, SINK_M * ring, 0.0)
        vertices.append(np.column_stack([points, height - sunk, normal]))
        k = len(posts)
        corner = (np.arange(k - 1)[:, None] * k + np.arange(k - 1)).ravel()
        # Squares wholly inside the finer ring are its own.
        low = points[corner]
        kept = corner[~((np.abs(low) < inner - step).all(axis=1) & (np.abs(low + step) < inner - step).all(axis=1))]
        # Near squares first: what is drawn later is mostly hidden.
        kept = kept[np.argsort(np.abs(points[kept]).max(axis=1), kind="stable")] + first
        triangles.append(np.column_stack([kept, kept + 1, kept + k, kept + 1, kept + k + 1, kept + k]).reshape(-1, 3))
        first += len(points)
        inner = half
    return np.concatenate(vertices).astype(np.float32), np.concatenate(triangles).astype(np.int32)


def _heights(landscape: Landscape, points: Array) -> Array:
    """(n,) heights; beyond the terrain's edge that of the edge."""
    terrain = landscape.terrain
    rows, columns = landscape.cover.shape
    low = np.array(landscape.cover_south_west_m) + 0.01
    high = low + np.array([columns - 1, rows - 1]) * landscape.cover_step_m - 0.02
    return np.nan_to_num(terrain.height_msl_m(np.clip(points, low, high)))


def _cover_textures(context: moderngl.Context, landscape: Landscape) -> tuple[moderngl.Texture, moderngl.Texture]:
    """Weights of the eight covers, four to a texture, softened over one post."""
    size = (landscape.cover.shape[1], landscape.cover.shape[0])
    weights = [
        cv2.GaussianBlur((landscape.cover == code).astype(np.uint8) * 255, (0, 0), 0.6) for code in range(len(COVER_CODES))
    ]
    made = []
    for part in (weights[:4], weights[4:]):
        texture = context.texture(size, 4, np.ascontiguousarray(np.dstack(part)).tobytes())
        texture.repeat_x = texture.repeat_y = False
        made.append(texture)
    return made[0], made[1]


def _wild_texture(context: moderngl.Context, landscape: Landscape) -> moderngl.Texture:
    """Over the extent of the cover: 1 where no tall plant stands within some 40 m."""
    rows, columns = landscape.cover.shape
    cell_m = 8 * landscape.cover_step_m
    size = (-(-columns // 8), -(-rows // 8))
    p = landscape.plants
    at = (np.column_stack([p.east_m, p.north_m])[p.height_m > TALL_M] - np.array(landscape.cover_south_west_m)) / cell_m
    trees = np.zeros((size[1], size[0]), np.uint8)
    inside = (at >= 0).all(axis=1) & (at[:, 0] < size[0]) & (at[:, 1] < size[1])
    trees[at[inside, 1].astype(int), at[inside, 0].astype(int)] = 255
    near = cv2.dilate(trees, np.ones((5, 5), np.uint8))
    wild = cv2.resize(255 - cv2.GaussianBlur(near, (0, 0), 1.0), (columns // 4, rows // 4))
    texture = context.texture((columns // 4, rows // 4), 1, np.ascontiguousarray(wild).tobytes(), alignment=1)
    texture.repeat_x = texture.repeat_y = False
    return texture


def _layers(context: moderngl.Context) -> moderngl.TextureArray:
    pictures = [ground_texture(c) for c in COVER_CODES]
    layers = np.stack([np.dstack([p, _relief(p)]) for p in pictures])
    array = context.texture_array((SIDE_PX, SIDE_PX, len(pictures)), 4, np.ascontiguousarray(layers).tobytes())
    array.build_mipmaps()
    return array


def _relief(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A height for each texel, from its brightness: what lies deep is dark."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    local = cv2.GaussianBlur(grey, (0, 0), 1.2) - cv2.GaussianBlur(grey, (0, 0), 24.0)
    return np.asarray(np.clip(128 + local * 60.0 / max(float(local.std()), 1.0), 0, 255), np.uint8)


def noise_texture(context: moderngl.Context) -> moderngl.Texture:
    """Two channels of noise that tiles, 0 to 1, over several octaves."""
    rng = np.random.default_rng(7)
    channels = []
    for _ in range(2):
        spectrum = np.fft.rfft2(rng.standard_normal((512, 512)))
        fy, fx = np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None, :]
        frequency = np.hypot(fy, fx)
        frequency[0, 0] = 1.0
        spectrum *= np.where(frequency < 3.0 / 512, 0.0, frequency**-1.25)
        field = np.fft.irfft2(spectrum, (512, 512))
        channels.append(np.clip(0.5 + field / field.std() * 0.18, 0, 1))
    texture = context.texture((512, 512), 2, (np.dstack(channels) * 255).astype(np.uint8).tobytes())
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    return texture


def _distances(lines: list[Array], middle: Array) -> npt.NDArray[np.uint8]:
    """(WAYS_PX, WAYS_PX) distance to the nearest line around middle, WAYS_REACH_M is 255. Row 0 is the southernmost."""
    free = np.full((WAYS_PX, WAYS_PX), 255, np.uint8)
    px_m = 2 * WAYS_HALF_M / WAYS_PX
    for line in lines:
        # Four more bits, as fillPoly and its kin want them.
        at = np.round(((line - middle + WAYS_HALF_M) / px_m - 0.5) * 16).astype(np.int32)
        cv2.polylines(free, [at.reshape(-1, 1, 2)], isClosed=False, color=0, thickness=1, lineType=cv2.LINE_8, shift=4)
    if free.all():
        return free
    metres = cv2.distanceTransform(free, cv2.DIST_L2, 5) * px_m
    return np.asarray(np.clip(metres / WAYS_REACH_M * 255, 0, 255), np.uint8)
