"""Everything that does not move by itself: ground, plants and sky, as one picture with its depths."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.geodesy import Array
from sim.raster import Light, Placed, Raster, clip_matrix, shadow_matrix
from sim.raster_gl import Image, ShadowMap, Sheet, set_matrix, set_uniform
from sim.renderer_ground import Ground
from sim.renderer_light import Weather
from sim.renderer_plants import PlantStock
from sim.renderer_shaders import SCREEN_VERTEX, SKY_FRAGMENT
from sim.world_state import Landscape

SHADE_RADIUS_M = 70.0           # plants throw shadows within this ball; beyond, nobody would see them
SHADE_SIDE_PX = 2048
SHADE_AHEAD_M = 45.0            # the ball's middle lies this far ahead on the ground
SHADE_TURNS_DEG = 1.2           # the sun may move this far before shadows are drawn anew
SHADE_MOVES_M = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """image: (h, w, 3) uint8. share: (h, w) uint8, how much of a pixel's light is the sun's. sheet: holds the depths, with
    `samples` of its pixels to one of ours in each direction. bend: (h, w) float32, pixels by which a wind of one metre
    bends what is seen there; None where the plants have been drawn bent.
    """

    image: Image
    share: npt.NDArray[np.uint8]
    sheet: Sheet
    samples: int
    bend: npt.NDArray[np.float32] | None


class Scenery:
    """Draws backdrops of one landscape."""

    def __init__(self, raster: Raster, landscape: Landscape) -> None:
        self._raster = raster
        self.ground = Ground(raster.context, landscape)
        self._plants = PlantStock(raster, landscape)
        self._landscape = landscape
        context = raster.context
        self._sky = context.program(SCREEN_VERTEX, SKY_FRAGMENT)
        corners = np.array([[-1, -1], [3, -1], [-1, 3]], np.float32)
        self._screen = context.vertex_array(self._sky, [(context.buffer(corners.tobytes()), "2f", "corner")])
        self.shade_map = ShadowMap(context, SHADE_SIDE_PX)
        self._shade: tuple[Array, Array, Array] | None = None       # middle, matrix relative to middle, sun

    def shade(self, eye: Array) -> Array | None:
        """Matrix of the plants' shadow map, from places relative to the lens; None when there is no sun."""
        if self._shade is None:
            return None
        middle, matrix, _ = self._shade
        moved = np.eye(4)
        moved[:3, 3] = eye - middle
        return np.asarray(matrix @ moved)

    def draw(self, sheet: Sheet, samples: int, pose: Pose, lens: Lens, weather: Weather, seconds: float) -> Backdrop:
        """Draw what a pinhole sees. lens: of the sheet's size, which is `samples` times the picture's in each direction."""
        eye, context = pose.position, self._raster.context
        # What is kept is drawn in calm air: it is swayed afterwards.
        light = weather.light if samples == 1 else replace(weather.light, wind=(0.0, 0.0, 0.0))
        self.ground.lay(eye)
        # All that may draw on other sheets, as a plant's first card does, comes before this one is taken up.
        plants = self._plants.seen(pose, lens)
        if samples > 1:
            plants += self._plants.clutter(pose, lens)
        self._throw_shade(pose, light)
        clip = clip_matrix(pose, lens)
        shade = self.shade(eye)
        sheet.frame.use()
        sheet.frame.viewport = (0, 0, *sheet.size)
        sheet.frame.clear(0.0, 0.0, 0.0, 0.0)
        context.enable_only(moderngl.DEPTH_TEST)
        program = self._raster.mesh_program
        self._raster.set_light(program, light, clip, shade, self.shade_map)
        set_uniform(program, "opaque", 0)
        set_uniform(program, "backdrop_samples", 0)
        for placed in plants:
            self._raster.store.draw(program, placed.mesh, placed.packed(eye))
        self._raster.set_light(self.ground.program, light, clip, shade, self.shade_map)
        self.ground.draw(eye, weather, seconds, fine=samples > 1)
        self._draw_sky(weather, clip, seconds)
        return self._read(sheet, samples, lens)

    def _throw_shade(self, pose: Pose, light: Light) -> None:
        """Draw the shadow map of the plants around where the camera looks, unless the one there still holds."""
        if not light.shadows:
            self._shade = None
            return
        sun = np.asarray(light.sun_direction)
        forward = pose.rotation()[:, 2]
        middle = pose.position + forward * [1, 1, 0] * SHADE_AHEAD_M
        middle[2] = self._landscape.terrain.height_msl_m([middle[:2]])[0]
        if not np.isfinite(middle[2]):
            middle[2] = pose.height_msl_m - 10.0
        if self._shade is not None:
            before, _, was = self._shade
            if np.linalg.norm(before - middle) < SHADE_MOVES_M and was @ sun > np.cos(np.radians(SHADE_TURNS_DEG)):
                return
        matrix = shadow_matrix(sun, np.zeros(3), SHADE_RADIUS_M)
        casters: list[Placed] = self._plants.around(middle, SHADE_RADIUS_M + 15.0)
        self._raster.draw_shadow_map(self.shade_map, casters, middle, matrix, light)
        self._shade = (middle, matrix, sun)

    def _draw_sky(self, weather: Weather, clip: Array, seconds: float) -> None:
        program = self._sky
        self._raster.set_light(program, weather.light, clip, None, self.shade_map)
        set_matrix(program, "world_from_clip", np.linalg.inv(clip))
        for name, value in (
            ("zenith", weather.zenith), ("horizon", weather.horizon), ("glow", weather.glow), ("cloud", weather.cloud),
            ("cloud_drift", (seconds * 2e-4, seconds * 1e-4)), ("noise", 2),
        ):
            set_uniform(program, name, value)
        self.ground.noise.use(2)
        self._screen.render(vertices=3)

    def _read(self, sheet: Sheet, samples: int, lens: Lens) -> Backdrop:
        size = (sheet.size[0] // samples, sheet.size[1] // samples)
        focal_px = lens.fx / samples
        colour = sheet.read_colour()
        if samples > 1:
            colour = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), np.uint8)
        return Backdrop(
            image=np.ascontiguousarray(colour[..., :3]), share=np.ascontiguousarray(colour[..., 3]), sheet=sheet,
            samples=samples, bend=_bend(sheet, samples, focal_px) if samples > 1 else None,
        )


def _bend(sheet: Sheet, samples: int, focal_px: float) -> npt.NDArray[np.float32]:
    """(h, w) pixels by which a wind of one metre bends what was drawn there."""
    id_depth = sheet.read_id_depth()[samples - 1::samples, samples - 1::samples]
    bend_px = np.where(id_depth[..., 0] < 0, -id_depth[..., 0] * focal_px / np.maximum(id_depth[..., 1], 1.0), 0.0)
    # Spread beyond the leaf's edge, or the leaf would move behind a window of its own outline.
    spread = cv2.GaussianBlur(cv2.dilate(bend_px.astype(np.float32), np.ones((5, 5))), (0, 0), 2.5)
    return np.asarray(spread, np.float32)
