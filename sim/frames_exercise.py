"""Labelled crops of pictures of the exercise itself: its landscape, trees, light and sensor, with a cast set down by chance.

    python -m sim.frames_exercise --out DIR --views 200 --seed 0
    python -m sim.frames_exercise --out DIR --views 60 --seed 900000 --condition night
    python -m sim.frames_exercise --out DIR --views 80 --seed 30000 --side 256 --fools models/trailwatch7n.pt

Frames of sim.frames vary more than any exercise does, and are right for learning what a person is. These have what those
lack: people behind the trunks of this forest, at its edges, in its shade. Each view gives several crops with somebody in
them, and one of the same place with nobody: anywhere in it, or, with --fools, around what those weights take for somebody
(a post, a boulder, a shrub on open grass), and then more than one. Every LANDSCAPE_VIEWS seeds have another landscape; the
demo's own is never among them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cameras.pose import Pose
from geofences.geodesy import Array
from geofences.sector import load_sector
from sim.frames import (
    LEAST_CONTRAST,
    LEAST_HIGH_PX,
    LEAST_LONG_PX,
    LEAST_VISIBLE,
    LEAST_WIDE_PX,
    Frame,
    Label,
)
from sim.frames_arguments import CONDITIONS
from sim.frames_camera import View, depression_at, draw_sky, draw_view, ground_at
from sim.frames_cast import OBJECTS, RIDDEN_SHARE, draw_looks, draw_posture, kind_shares
from sim.frames_write import write_data_files, write_frame
from sim.landscape import make_landscape
from sim.renderer import Renderer
from sim.world_state import DETECTED_AS, Actor, ActorState, Kind, Landscape, Moment, Posture, Role
from wire.settings import SettingsError

Image = npt.NDArray[np.uint8]

SECTOR = Path(__file__).parents[1] / "configs" / "sectors" / "laobao" / "sector.toml"
FIRST_LANDSCAPE = 5_000         # the scenarios' are below
LANDSCAPE_VIEWS = 80            # that share a landscape: making one takes seconds
PICTURE_PX = 640                # side of what is rendered; crops are cut from it at its own scale
PEOPLE_PX = (13.0, 170.0)
PEOPLE_SHARE = 0.5              # of those set down; the machines share the rest as OBJECTS says
CAST = (7, 18)
CROPS = 5                       # with somebody in them, of one picture, at the most
FOOLED_CROPS = 3                # with nobody in them, around what is taken for somebody
FOOLED_SCORE = 0.2              # at the least
AWAY_M = 5.0                    # from the middle of a trail or road, one sigma
ALONG_SHARE = 0.6               # of low cameras look along their trail, as masts do
LOW_DEG = 30.0
LENS_ABOVE_M = 2.0              # the ground below it, at the least
WHOLE_SHARE = 0.55              # of a box must be inside a crop to be labelled; nobody is cut so that less than this is
QUALITY = 94                    # of the JPEG; the picture has been through the camera's own already
SIGHT_STEPS = 24
SKY_MARGIN = 3.0                # visibility, in distances to the middle of the picture
SETTLE_PX = 1.2                 # of blur before two pictures are compared, so that noise is not taken for contrast


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """One view with its cast and without. labels: in pixels of the picture."""

    view: View
    condition: str
    rain: bool
    fog: bool
    image: Image
    nobody: Image
    labels: tuple[Label, ...]


class ExerciseFrames:
    """Makes crops from seeds. It belongs to the thread that made it.

    fooled: what finds boxes (n, 4) in pixels, the surest first; around these the crops with nobody are laid.
    """

    def __init__(
        self, landscape: Landscape, side_px: int, condition: str, fooled: Callable[[Image], Array] | None = None
    ) -> None:
        self._landscape = landscape
        self._side = side_px
        self._condition = condition
        self._fooled = fooled
        self._renderer = Renderer(landscape, landscape.seed)
        self._ways = [*landscape.trails.values(), *landscape.trails.values(), *landscape.roads.values()]

    def close(self) -> None:
        """Give the graphics memory back."""
        self._renderer.close()

    def make(self, seed: int) -> list[Frame]:
        """The crops of one view; their seeds are 10 times the view's and up."""
        chance = np.random.default_rng([seed, 57])
        shot = self._shoot(chance, seed)
        frames: list[Frame] = []
        for box, labels in self._crops(chance, shot):
            frames.append(self._frame(10 * seed + len(frames), shot, shot.image, box, labels))
        for corner in self._corners_of_nobody(chance, shot.nobody):
            frames.append(self._frame(10 * seed + len(frames), shot, shot.nobody, corner, ()))
        return frames

    def _corners_of_nobody(self, chance: np.random.Generator, nobody: Image) -> list[tuple[int, int]]:
        """One anywhere; or around each of the surest finds that no crop has yet."""
        anywhere = chance.integers(0, PICTURE_PX - self._side + 1, 2)
        corners: list[tuple[int, int]] = []
        for box in self._fooled(nobody) if self._fooled is not None else ():
            middle = (box[:2] + box[2:]) / 2
            if any((middle > corner).all() and (middle < np.add(corner, self._side)).all() for corner in corners):
                continue
            left, top = np.clip(middle - chance.uniform(0.2, 0.8, 2) * self._side, 0, PICTURE_PX - self._side).astype(int)
            corners.append((int(left), int(top)))
        return corners[:FOOLED_CROPS] or [(int(anywhere[0]), int(anywhere[1]))]

    def _frame(self, seed: int, shot: _Shot, image: Image, corner: tuple[int, int], labels: tuple[Label, ...]) -> Frame:
        left, top = corner
        crop = np.ascontiguousarray(image[top:top + self._side, left:left + self._side])
        v = shot.view
        return Frame(
            seed, crop, QUALITY, labels, v.depression_deg, float(v.pose.height_msl_m), shot.condition, shot.rain, shot.fog,
            v.person_px,
        )

    def _crops(self, chance: np.random.Generator, shot: _Shot) -> list[tuple[tuple[int, int], tuple[Label, ...]]]:
        """Corners of crops, each around somebody whom no other crop has yet, and the labels inside."""
        out: list[tuple[tuple[int, int], tuple[Label, ...]]] = []
        left_over = list(range(len(shot.labels)))
        while left_over and len(out) < CROPS:
            around = shot.labels[left_over[int(chance.integers(len(left_over)))]]
            middle = np.array([around.box_px[0] + around.box_px[2], around.box_px[1] + around.box_px[3]]) / 2
            found = None
            for _ in range(12):
                corner = np.clip(middle - chance.uniform(0.12, 0.88, 2) * self._side, 0, PICTURE_PX - self._side).astype(int)
                inside = self._inside(shot.labels, corner)
                if inside is not None and around in inside[1]:
                    found = ((int(corner[0]), int(corner[1])), inside)
                    break
            left_over.remove(shot.labels.index(around))
            if found is not None:
                out.append((found[0], found[1][0]))
                left_over = [k for k in left_over if shot.labels[k] not in found[1][1]]
        return out

    def _inside(self, labels: tuple[Label, ...], corner: Array) -> tuple[tuple[Label, ...], list[Label]] | None:
        """Labels of a crop in its own pixels, and whose they are; None where it cuts somebody down to a scrap."""
        cut, whole = [], []
        for label in labels:
            box = np.array(label.box_px) - np.tile(corner, 2)
            seen = np.clip(box, 0, self._side)
            share = (seen[2] - seen[0]) * (seen[3] - seen[1]) / ((box[2] - box[0]) * (box[3] - box[1]))
            if 0.02 < share < WHOLE_SHARE:
                return None
            if share >= WHOLE_SHARE:
                left, top, right, bottom = (float(v) for v in seen)
                cut.append(replace(label, box_px=(left, top, right, bottom), visible=label.visible * float(share)))
                whole.append(label)
        return tuple(cut), whole

    def _shoot(self, chance: np.random.Generator, seed: int) -> _Shot:
        view = self._view(chance)
        sky, palette, condition = draw_sky(chance, self._condition or None)
        fog = sky.visibility_m < 10_000.0
        sky = replace(sky, visibility_m=max(sky.visibility_m, SKY_MARGIN * view.distance_m))
        actors = self._cast(chance, view)
        exposure = float(chance.uniform(0.8, 1.25))
        there = Moment(float(seed % 4_000), 0, sky, actors)
        nobody = replace(there, actors=())
        # What the renderer is shown first it draws as for a camera that flies, and then as for one on a mast.
        if chance.random() < 0.5:
            empty = self._renderer.render(nobody, view.pose, view.lens, palette, exposure)
            full = self._renderer.render(there, view.pose, view.lens, palette, exposure)
        else:
            full = self._renderer.render(there, view.pose, view.lens, palette, exposure)
            empty = self._renderer.render(nobody, view.pose, view.lens, palette, exposure)
        contrast = _contrast(full.image, empty.image)
        labels = []
        for box in full.truth:
            object_class = DETECTED_AS[box.kind]
            left, top, right, bottom = box.box_px
            high, wide = bottom - top, right - left
            if object_class is None or box.visible < LEAST_VISIBLE or high < LEAST_HIGH_PX or wide < LEAST_WIDE_PX:
                continue
            patch = contrast[max(0, int(top)):int(bottom) + 1, max(0, int(left)):int(right) + 1]
            if max(high, wide) < LEAST_LONG_PX or patch.size == 0 or np.percentile(patch, 75) < LEAST_CONTRAST:
                continue
            at = np.array([box.east_m, box.north_m, box.height_msl_m + 0.8])
            labels.append(Label(
                box.kind, object_class, (left, top, right, bottom), box.visible, depression_at(view, at), max(high, wide),
            ))
        return _Shot(view, condition, sky.rain_mm_h > 0, fog, full.image, empty.image, tuple(labels))

    def _view(self, chance: np.random.Generator) -> View:
        """A camera that sees a place on or beside a trail or road, over no hill."""
        terrain = self._landscape.terrain
        while True:
            view = draw_view(chance, PICTURE_PX)
            if not PEOPLE_PX[0] < view.person_px < PEOPLE_PX[1]:
                continue
            way = self._ways[int(chance.integers(len(self._ways)))]
            k = int(chance.integers(1, len(way)))
            place = way[k] + chance.normal(0, AWAY_M, 2)
            yaw = float(chance.uniform(0, 360))
            if view.depression_deg < LOW_DEG and chance.random() < ALONG_SHARE:
                e, n = way[k] - way[k - 1]
                yaw = float(np.degrees(np.arctan2(e, n)) + chance.normal(0, 8) + 180 * chance.integers(2))
            d, turn = np.radians(view.depression_deg), np.radians(yaw)
            lens_at = place - view.distance_m * np.cos(d) * np.array([np.sin(turn), np.cos(turn)])
            line = lens_at + np.linspace(0, 1, SIGHT_STEPS)[:, None] * (place - lens_at)
            ground = np.asarray(terrain.height_msl_m(line), float)
            if not np.isfinite(ground).all():
                continue
            height = ground[-1] + view.distance_m * np.sin(d)
            ray = height + np.linspace(0, 1, SIGHT_STEPS) * (ground[-1] - height)
            if height < ground[0] + LENS_ABOVE_M or (ray[:-2] < ground[:-2] + 0.5).any():
                continue
            pose = Pose(float(lens_at[0]), float(lens_at[1]), float(height), yaw % 360, -view.depression_deg,
                        float(chance.normal(0, 1.5)))
            return replace(view, pose=pose)

    def _cast(self, chance: np.random.Generator, view: View) -> tuple[ActorState, ...]:
        """People, machines and animals where the picture's ground is, not in each other."""
        pose = view.pose
        floor = pose.height_msl_m - view.distance_m * np.sin(np.radians(view.depression_deg))
        places = ground_at(view, chance.uniform(0.03, 0.97, (80, 2)) * PICTURE_PX, floor)
        away = np.hypot(np.hypot(*(places - pose.position[:2]).T), pose.height_msl_m - floor)
        places = places[(away > 0.45 * view.distance_m) & (away < 1.8 * view.distance_m)]      # false for NaN
        kinds, shares = list(OBJECTS), kind_shares(PEOPLE_SHARE)
        wanted = int(chance.integers(*CAST))
        party = chance.random() < 0.35
        out: list[ActorState] = []
        taken: list[Array] = []
        for place in places:
            if len(out) >= wanted:
                break
            kind = kinds[int(chance.choice(len(kinds), p=shares))]
            if chance.random() < 0.06:
                kind = Kind(str(chance.choice([Kind.DOG, Kind.BUFFALO])))
            room = 0.9 if kind is Kind.PERSON else 4.0
            if party and kind is Kind.PERSON and out and chance.random() < 0.7:
                place = taken[-1] + chance.normal(0, 1.1, 2)
                room = 0.6
            if any(np.hypot(*(place - t)) < room for t in taken):
                continue
            ground = float(self._landscape.terrain.height_msl_m(place[None, :])[0])
            if not np.isfinite(ground):
                continue
            taken.append(place)
            out += _set_down(chance, len(out) + 1, kind, place, ground)
        return tuple(out)


def _set_down(chance: np.random.Generator, number: int, kind: Kind, place: Array, ground: float) -> list[ActorState]:
    heading = float(chance.uniform(0, 360))
    posture = Posture.STAND
    if kind is Kind.PERSON:
        posture = draw_posture(chance)
    speed = {Posture.WALK: 1.3, Posture.RUN: 3.2, Posture.CROUCH_WALK: 0.7}.get(posture, 0.0)
    velocity = (float(speed * np.sin(np.radians(heading))), float(speed * np.cos(np.radians(heading))))
    e, n = float(place[0]), float(place[1])

    def state(number: int, kind: Kind, posture: Posture, aboard: int = 0) -> ActorState:
        looks = draw_looks(chance)
        return ActorState(
            Actor(number, kind, Role.TRAFFIC, looks), e, n, ground, heading, velocity, posture, float(chance.random()),
            looks.pack, aboard,
        )

    out = [state(number, kind, posture)]
    if kind in (Kind.MOTORCYCLE, Kind.BICYCLE) and chance.random() < RIDDEN_SHARE:
        out.append(state(number + 1, Kind.PERSON, Posture.RIDE, aboard=number))
    return out


def _contrast(a: Image, b: Image) -> npt.NDArray[np.float32]:
    """(h, w) grey levels by which two pictures differ, noise smoothed away, the largest of the three colours."""
    soft = [cv2.GaussianBlur(p, (0, 0), SETTLE_PX).astype(np.float32) for p in (a, b)]
    return np.asarray(np.abs(soft[0] - soft[1]).max(axis=2), np.float32)


def fooled_by(weights: Path) -> Callable[[Image], Array]:
    """What these weights take for somebody, the surest first. Raises SettingsError for a file that is none."""
    from models.evaluate import YoloFinder

    find = YoloFinder(weights, PICTURE_PX, 1, FOOLED_SCORE)
    return lambda picture: find(picture).boxes


def write_views(
    folder: Path, first: int, count: int, side_px: int, condition: str, fooled: Callable[[Image], Array] | None = None
) -> None:
    """Write the crops of `count` views as a YOLO folder."""
    for part in ("images", "labels", "meta"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    maker, block = None, -1
    for seed in range(first, first + count):
        if seed // LANDSCAPE_VIEWS != block:
            block = seed // LANDSCAPE_VIEWS
            if maker is not None:
                maker.close()
            maker = ExerciseFrames(make_landscape(load_sector(SECTOR), FIRST_LANDSCAPE + block), side_px, condition, fooled)
        assert maker is not None
        for frame in maker.make(seed):
            write_frame(folder, frame)
    if maker is not None:
        maker.close()
    write_data_files(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.frames_exercise", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--views", type=int, default=200, help="pictures; each gives some four crops")
    parser.add_argument("--seed", type=int, default=0, help="of the first view; the others follow it one by one")
    parser.add_argument("--side", type=int, default=320, metavar="PX", help="width and height of a crop")
    parser.add_argument("--condition", choices=CONDITIONS, default="", help="of all views; a mixture when not given")
    parser.add_argument("--fools", type=Path, metavar="PT", help="weights; crops of nobody are laid around what fools them")
    a = parser.parse_args()
    os.environ.setdefault("LP_NUM_THREADS", "0")    # of the software rasterizer: it draws in this thread
    cv2.setNumThreads(1)
    if not 96 <= a.side <= PICTURE_PX or a.side % 32:
        sys.stderr.write(f"--side {a.side}: give a multiple of 32 between 96 and {PICTURE_PX}, for example 320\n")
        return 2
    try:
        write_views(a.out, a.seed, a.views, a.side, a.condition, None if a.fools is None else fooled_by(a.fools))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
