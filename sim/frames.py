"""Labelled pictures of nobody real, every one different: what a network is trained on, and measured with.

    maker = FrameMaker(FrameSettings(), find_backgrounds(Path("backgrounds")))
    frame = maker.make(seed=7)

A frame is drawn by the exercise's own raster and people over a photograph, over ground in perspective or over shapes that
mean nothing. Its labels come from the id buffer. The same seed, settings and backgrounds give the same frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.frames_camera import View, depression_at, draw_sky, draw_view, pixels_of
from sim.frames_cast import Standing, Stock, draw_animals, draw_decoys, draw_objects, make_stock
from sim.frames_grounds import Backgrounds, draw_background
from sim.frames_sensor import develop
from sim.raster import Drawing, Light, Placed, Raster
from sim.renderer_light import weather
from sim.world_state import DETECTED_AS, Kind
from wire.units import ObjectClass

Image = npt.NDArray[np.uint8]

BLOCK = 200                     # frames that share a stock of meshes
LEAST_VISIBLE = 0.3             # of somebody's pixels; who is hidden more is not labelled
LEAST_HIGH_PX, LEAST_WIDE_PX, LEAST_LONG_PX = 5, 3, 8
LEAST_CONTRAST = 7.0            # grey levels: who differs less from the ground cannot be seen by anybody
FOGGIEST = 3.0                  # visibility, in distances to the middle of the frame
BUSY_PX = (16.0, 110.0)         # sizes of people in busy frames
COUNTING_PX = 96                # side of the sheet on which an object is counted alone
_PLAIN = Light(shadows=False)   # for counting pixels


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """side_px: of the square frame. empty_share: frames with nobody in them. busy_share: of the others, with many in them
    at middling sizes, from which a network learns several times as much in a pass. people_share: of the objects, None for
    the usual one; less of it teaches the rarer classes faster. condition: one of CONDITIONS for all frames, or "" for the
    mixture. rain: True for all frames, None by chance.
    """

    side_px: int = 416
    empty_share: float = 0.30
    busy_share: float = 0.0
    people_share: float | None = None
    condition: str = ""
    rain: bool | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """One object that is seen. box_px: left, top, right, bottom of the pixels that are its own, none hidden ones among them.

    visible: share of its pixels that is seen. depression_deg: at which the lens sees its middle. long_px: the longer side of
    what the box would be if nothing stood before it and the frame did not end.
    """

    kind: Kind
    object_class: ObjectClass
    box_px: tuple[float, float, float, float]
    visible: float
    depression_deg: float
    long_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """image: (side, side, 3) uint8 blue, green, red. quality: of the JPEG it is to be written with."""

    seed: int
    image: Image
    quality: int
    labels: tuple[Label, ...]
    depression_deg: float
    height_m: float
    condition: str
    rain: bool
    fog: bool
    person_px: float


class FrameMaker:
    """Makes frames from seeds. It belongs to the thread that made it."""

    def __init__(self, settings: FrameSettings, backgrounds: Backgrounds) -> None:
        self._settings = settings
        self._backgrounds = backgrounds
        self._raster = Raster()
        self._block = -1
        self._stock: Stock | None = None

    def close(self) -> None:
        """Give the graphics memory back."""
        self._raster.close()

    def make(self, seed: int) -> Frame:
        """The frame of a seed."""
        if seed // BLOCK != self._block or self._stock is None:
            self._block = seed // BLOCK
            self._stock = make_stock(self._block, self._backgrounds)
        s, stock = self._settings, self._stock
        chance = np.random.default_rng([seed, 17])
        empty, busy = chance.random() < s.empty_share, chance.random() < s.busy_share
        view = draw_view(chance, s.side_px)
        while busy and not BUSY_PX[0] < view.person_px < BUSY_PX[1]:
            view = draw_view(chance, s.side_px)
        sky, palette, condition = draw_sky(chance, s.condition or None)
        if s.rain is not None:
            sky = replace(sky, rain_mm_h=max(sky.rain_mm_h, float(chance.uniform(2.0, 35.0))) if s.rain else 0.0)
        fog = sky.visibility_m < 10_000.0
        sky = replace(sky, visibility_m=max(sky.visibility_m, FOGGIEST * view.distance_m))
        air = weather(sky, palette, float(chance.uniform(0.8, 1.25)))
        light = replace(air.light, shadow_darkness=float(chance.uniform(0.35, 0.65)))
        ground = draw_background(chance, self._backgrounds, view, self._raster, light, palette)
        objects = [] if empty else draw_objects(chance, stock, view, busy=busy, people_share=s.people_share)
        animals = draw_animals(chance, stock, view) if chance.random() < (0.12 if objects else 0.35) else []
        decoys = draw_decoys(chance, stock, view, objects)
        labels: tuple[Label, ...] = ()
        picture = ground
        standing = [o.placed for o in [*objects, *animals]] + decoys
        if standing:
            drawing = self._raster.draw(standing, view.pose, view.lens, light, ground_msl_m=0.0)
            alpha = drawing.image[..., 3:].astype(np.float32) / 255
            picture = np.clip(ground * (1 - alpha) + drawing.image[..., :3], 0, 255).astype(np.uint8)
            labels = self._labels(objects, [a.placed for a in animals] + decoys, drawing, view, picture, ground)
        image, quality = develop(chance, picture, air, palette, view.person_px, f"{view.pose.height_msl_m:.0f} m")
        return Frame(
            seed, image, quality, labels, float(view.depression_deg), float(view.pose.height_msl_m), condition,
            bool(sky.rain_mm_h > 0), bool(fog), view.person_px,
        )

    def _labels(
        self, objects: list[Standing], others: list[Placed], drawing: Drawing, view: View, picture: Image, ground: Image
    ) -> tuple[Label, ...]:
        boxes = [_projected(o.placed, view) for o in objects]
        between = [_projected(p, view) for p in others]
        labels = []
        for k, (one, whole) in enumerate(zip(objects, boxes, strict=True)):
            object_class = DETECTED_AS[one.kind]
            number = int(one.placed.id[0])
            seen_px = drawing.covered_px.get(number, 0.0)
            if object_class is None or seen_px < 4:
                continue
            inside = np.array([*np.maximum(whole[:2], 0), *np.minimum(whole[2:], view.lens.width_px)])
            share_inside = _area(inside) / max(_area(whole), 1e-6)
            alone_px = seen_px
            if any(_touch(whole, other) for i, other in enumerate([*boxes, *between]) if i != k):
                alone_px = self._alone_px(one.placed, inside, view)
            visible = share_inside * min(seen_px / max(alone_px, 1.0), 1.0)
            mine = drawing.ids == number
            if visible < LEAST_VISIBLE or not mine.any():
                continue
            box = _around(mine)
            high, wide = box[3] - box[1], box[2] - box[0]
            if high < LEAST_HIGH_PX or wide < LEAST_WIDE_PX or max(high, wide) < LEAST_LONG_PX:
                continue
            contrast = np.abs(picture[mine].astype(np.float32) - ground[mine]).mean()
            if contrast < LEAST_CONTRAST:
                continue
            labels.append(Label(
                one.kind, object_class, box, float(visible), depression_at(view, one.placed.position_m[0] + [0, 0, 0.8]),
                float(max(whole[2] - whole[0], whole[3] - whole[1])),
            ))
        return tuple(labels)

    def _alone_px(self, placed: Placed, box: Array, view: View) -> float:
        """Pixels of one object inside a box of the frame if nothing stood before it, counted on a small sheet."""
        left, top, right, bottom = box
        scale = COUNTING_PX / max(right - left, bottom - top, 1.0)
        lens = view.lens
        small = replace(
            lens, width_px=COUNTING_PX, height_px=COUNTING_PX, fx=lens.fx * scale, fy=lens.fy * scale,
            cx=(lens.cx - left) * scale, cy=(lens.cy - top) * scale,
        )
        covered = self._raster.draw([placed], view.pose, small, _PLAIN).covered_px
        return float(covered.get(int(placed.id[0]), 0.0) / scale**2)


def _projected(placed: Placed, view: View) -> Array:
    """(4,) left, top, right, bottom around all vertices, beyond the frame too."""
    points = placed.mesh.vertices @ placed.turn[0].T + placed.position_m[0]
    at = pixels_of(view, points.astype(float))
    return np.concatenate([at.min(axis=0), at.max(axis=0)])


def _area(box: Array) -> float:
    return float(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0))


def _touch(a: Array, b: Array) -> bool:
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def _around(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
