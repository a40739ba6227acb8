"""What a camera in the world sees at a moment, and the truth about it.

    renderer = Renderer(landscape, seed=7)
    picture = renderer.render(moment, pose, lens, Palette.DAY)

Everything that stands still is drawn once for a camera that stands still, with four samples a pixel and shadows, and kept;
each picture then bends what sways, adds who moves, and passes through lens and sensor. A camera that moves has the whole
drawn anew for every picture, with one sample a pixel.

Every picture carries the mark of cameras.sim_mark. There is no parameter for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import cv2
import numpy as np
import numpy.typing as npt

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.sim_mark import burn
from geofences.geodesy import Array
from sim.optics import Bend, Film, compressed, exposure_s, motion_blurred, pinhole_for
from sim.raster import Raster
from sim.raster_gl import Image, Sheet
from sim.renderer_actors import SAMPLES, Cast, Patch
from sim.renderer_backdrop import Backdrop, Scenery
from sim.renderer_light import Palette, Weather, weather
from sim.renderer_meshes import actor_mesh
from sim.world_state import Landscape, Moment, Sky, TruthBox
from wire.clock import NS_PER_S

STILL_SAMPLES = 2               # of a backdrop that is kept, each way
KEPT_S = 90.0                   # of world time; then it is drawn anew, because sun and clouds have moved
KEPT_TURN_DEG = 0.4             # or the sun has moved this far
MOVED_M, MOVED_DEG = 0.002, 0.002
SWING_HZ = (0.31, 0.83)         # of crowns, of leaves
BENT_MOST_PX = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """image: (h, w, 3) uint8 blue, green, red, with the mark in it. jpeg: the same, encoded. truth: of every actor in it,
    near ones first, hidden ones too.
    """

    image: Image
    jpeg: bytes
    truth: tuple[TruthBox, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A backdrop and for what it holds."""

    pose: Pose
    lens: Lens
    palette: Palette
    exposure: float
    sky: Sky
    at_s: float
    backdrop: Backdrop
    swing: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


class Renderer:
    """Draws one landscape. It belongs to the thread that made it. seed: of noise and rain.

    Raises sim.raster_gl.RasterError where the machine has no OpenGL at all.
    """

    def __init__(self, landscape: Landscape, seed: int = 0) -> None:
        self._landscape = landscape
        self._seed = seed
        self._raster = Raster()
        self._scenery = Scenery(self._raster, landscape)
        self._cast = Cast(self._raster, actor_mesh, self._slope_at)
        self._bends: dict[Lens, Bend] = {}
        self._films: dict[tuple[int, int], Film] = {}
        self._kept: _Kept | None = None
        self._last_pose: Pose | None = None

    def close(self) -> None:
        """Give the graphics memory back."""
        self._raster.close()

    def render(
        self, moment: Moment, pose: Pose, lens: Lens, palette: Palette = Palette.DAY, exposure: float = 1.0,
    ) -> Picture:
        """The picture of a camera at `pose`. exposure multiplies what the camera chooses by itself.

        A camera that was at the same pose in the last call is taken to stand still.
        """
        self._raster.take_over()
        bend = self._bend(lens)
        air = weather(moment.sky, palette, exposure, moment.t_s)
        backdrop, swing = self._backdrop(moment, pose, lens, bend.pinhole, palette, exposure, air)
        sheet = self._actor_sheet(bend.pinhole)
        drawn = self._cast.place(moment.actors, pose, bend.pinhole)
        patches, seen = self._cast.draw(
            drawn, sheet, backdrop, pose, bend.pinhole, air.light, self._scenery.shade(pose.position),
            self._scenery.shade_map,
        )
        truth = self._cast.truth(drawn, seen, sheet, pose, lens, bend.pinhole)
        picture = _bent(backdrop, bend, swing, moment)
        for patch in patches:
            _lay(picture, patch, backdrop, bend, exposure_s(air))
        picture = self._film(lens).expose(picture, air, palette)
        picture, jpeg = compressed(burn(picture, _time(moment)), air)
        return Picture(picture, jpeg, truth)

    def _backdrop(
        self, moment: Moment, pose: Pose, lens: Lens, pinhole: Lens, palette: Palette, exposure: float, air: Weather
    ) -> tuple[Backdrop, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None]:
        kept = self._kept
        if kept is not None and _holds(kept, moment, pose, lens, palette, exposure):
            return kept.backdrop, kept.swing
        still = self._last_pose is not None and _same_pose(self._last_pose, pose)
        first = self._last_pose is None
        self._last_pose = pose
        samples = STILL_SAMPLES if still or first else 1
        size = (pinhole.width_px * samples, pinhole.height_px * samples)
        sheet = self._raster.sheet(*size, name="backdrop")
        backdrop = self._scenery.draw(sheet, samples, pose, pinhole.scaled(*size), air, moment.t_s)
        if samples == 1:
            self._kept = None
            return backdrop, None
        swing = _swing(backdrop, self._bend(lens))
        self._kept = _Kept(pose, lens, palette, exposure, moment.sky, moment.t_s, backdrop, swing)
        return backdrop, swing

    def _actor_sheet(self, pinhole: Lens) -> Sheet:
        return self._raster.sheet(pinhole.width_px * SAMPLES, pinhole.height_px * SAMPLES, name="actors")

    def _bend(self, lens: Lens) -> Bend:
        if lens not in self._bends:
            self._bends[lens] = Bend(lens, pinhole_for(lens))
        return self._bends[lens]

    def _film(self, lens: Lens) -> Film:
        size = (lens.width_px, lens.height_px)
        if size not in self._films:
            self._films[size] = Film(*size, self._seed)
        return self._films[size]

    def _slope_at(self, enu_m: Array) -> Array:
        """(3,) unit normal of the ground, over a metre."""
        steps = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
        east, west, north, south = np.nan_to_num(self._landscape.terrain.height_msl_m(enu_m + steps))
        normal = np.array([west - east, south - north, 1.0])
        return np.asarray(normal / np.linalg.norm(normal), dtype=float)


def _holds(kept: _Kept, moment: Moment, pose: Pose, lens: Lens, palette: Palette, exposure: float) -> bool:
    before, now = kept.sky, moment.sky
    return (
        _same_pose(kept.pose, pose) and (kept.lens, kept.palette, kept.exposure) == (lens, palette, exposure)
        and abs(moment.t_s - kept.at_s) < KEPT_S
        and abs(before.sun_elevation_deg - now.sun_elevation_deg) < KEPT_TURN_DEG
        and abs(before.cloud - now.cloud) < 0.05 and abs(before.rain_mm_h - now.rain_mm_h) < 1.0
        and abs(np.log(before.visibility_m / now.visibility_m)) < 0.1 and abs(before.moonlight - now.moonlight) < 0.1
    )


def _same_pose(a: Pose, b: Pose) -> bool:
    moved = max(abs(a.east_m - b.east_m), abs(a.north_m - b.north_m), abs(a.height_msl_m - b.height_msl_m))
    turned = max(abs(a.yaw_deg - b.yaw_deg), abs(a.pitch_deg - b.pitch_deg), abs(a.roll_deg - b.roll_deg))
    return moved < MOVED_M and turned < MOVED_DEG


def _swing(backdrop: Backdrop, bend: Bend) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two fields over the real picture, pixels for a metre of wind: what bends as the sine and what as the cosine of time.

    Neighbours swing together and far ones do not: the phase comes from smooth noise.
    """
    assert backdrop.bend is not None, "a backdrop that is kept is drawn in calm air"
    at = cv2.remap(backdrop.bend, bend.map_x, bend.map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    height, width = at.shape
    chance = np.random.default_rng(3)
    coarse = chance.uniform(0, 2 * np.pi, (max(height // 40, 2), max(width // 40, 2))).astype(np.float32)
    phase = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(at * np.sin(phase), np.float32), np.asarray(at * np.cos(phase), np.float32)


def _bent(
    backdrop: Backdrop, bend: Bend, swing: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None, moment: Moment
) -> Image:
    """The backdrop through the lens, its plants where the wind has them now."""
    if swing is None:
        if bend.straight:
            return backdrop.image.copy()
        return np.asarray(cv2.remap(backdrop.image, bend.map_x, bend.map_y, cv2.INTER_LINEAR), np.uint8)
    wind = 0.010 * min(moment.sky.wind_mps, 25.0) ** 1.5
    t = 2 * np.pi * moment.t_s
    gust = 0.75 + 0.25 * np.sin(t * 0.07)
    slow, fast = SWING_HZ
    a = wind * gust * (np.sin(t * slow) + 0.45 * np.sin(t * fast))
    b = wind * gust * (np.cos(t * slow * 1.13) + 0.45 * np.cos(t * fast * 1.21))
    moved = cv2.addWeighted(swing[0], float(a), swing[1], float(b), 0.0)
    moved = np.clip(moved, -BENT_MOST_PX, BENT_MOST_PX)
    map_x = cv2.add(bend.map_x, moved)
    map_y = cv2.scaleAdd(moved, 0.2, bend.map_y)
    return np.asarray(cv2.remap(backdrop.image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _lay(picture: Image, patch: Patch, backdrop: Backdrop, bend: Bend, shutter_s: float) -> None:
    """Shadows, then bodies, onto the picture, in place."""
    place = bend.place_of(patch.box)
    left, top, right, bottom = place
    if right <= left or bottom <= top:
        return
    l0, t0, r0, b0 = patch.box
    under = picture[top:bottom, left:right]
    fallen = bend.patch(patch.fallen, patch.box, place)
    if fallen.any():
        share = bend.patch(backdrop.share[t0:b0, l0:r0], patch.box, place).astype(np.float32) / 255
        sun = fallen[..., 0].astype(np.float32) / 255
        sky = fallen[..., 1].astype(np.float32) / 255
        # Brightness is the root of light here, as in the shaders.
        left_over = np.sqrt((1 - share * sun) * (1 - sky))
        under[:] = cv2.multiply(under, np.dstack([left_over] * 3), dtype=cv2.CV_8U)
    moved = (patch.fastest_px_s[0] * shutter_s, patch.fastest_px_s[1] * shutter_s)
    body = bend.patch(motion_blurred(patch.image, moved), patch.box, place)
    keep = 255 - body[..., 3]
    if (keep < 255).any():
        kept = cv2.multiply(under, cv2.cvtColor(keep, cv2.COLOR_GRAY2BGR), scale=1 / 255)
        under[:] = cv2.add(kept, np.ascontiguousarray(body[..., :3]))


def _time(moment: Moment) -> str:
    return datetime.fromtimestamp(moment.utc_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


