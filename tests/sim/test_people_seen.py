"""Whether our pictures of people are pictures of people: a detector that only ever saw photographs has to find them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cameras.lens import Lens
from cameras.pose import Pose
from sim.ground_textures import ground_texture
from sim.people import person_mesh
from sim.raster import Light, Placed, Raster
from sim.world_state import Cover, Looks, Posture

RECALL = 0.85               # of people 48 px and taller, in daylight, seen from 0 to 45 degrees above
CONFIDENCE = 0.25
LENS = Lens(960, 640, 1100.0, 1100.0, 479.5, 319.5)
TALL_M = 1.6
PERSON = 0                  # COCO's number for it


def ground(pose: Pose, cover: Cover) -> np.ndarray:
    """(640, 960, 3) of level ground at height 0 under a pale sky."""
    rays = np.stack(np.meshgrid(np.arange(960), np.arange(640)), axis=-1).reshape(-1, 2)
    ahead = np.column_stack([(rays - [LENS.cx, LENS.cy]) / LENS.fx, np.ones(len(rays))]) @ pose.rotation().T
    down = ahead[:, 2] < -0.004
    metres = np.where(down, -pose.height_msl_m / np.minimum(ahead[:, 2], -0.004), 0.0)
    # a tile so small that one of its pixels is about one of the picture's where the people stand
    side = int(np.clip(5.0 * LENS.fx / np.median(metres[down]), 32, 512))
    tile = cv2.resize(ground_texture(cover), (side, side), interpolation=cv2.INTER_AREA)
    at = ((pose.position[:2] + ahead[:, :2] * metres[:, None]) / 5.0 * side).astype(np.float32) % side
    x, y = (at[:, k].reshape(640, 960) for k in (0, 1))
    picture = cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8)
    picture[~down.reshape(640, 960)] = (225, 212, 198)
    return picture


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = float(np.prod(np.maximum(high - low, 0.0)))
    return both / (float(np.prod(one[2:] - one[:2])) + float(np.prod(other[2:] - other[:2])) - both)


@pytest.mark.weights
@pytest.mark.slow
def test_a_detector_trained_on_photographs_finds_our_people(real_weights: Path) -> None:
    from ultralytics import YOLO

    model, raster, chance = YOLO(real_weights), Raster(), np.random.default_rng(4)
    covers = (Cover.GRASS, Cover.DIRT, Cover.FIELD, Cover.ROAD)
    found = shown = 0
    for pixels in (48, 64, 100):
        for degrees in (0, 15, 30, 45):
            away = LENS.fx * TALL_M * float(np.cos(np.radians(degrees))) / pixels
            height = max(1.8, away * float(np.sin(np.radians(degrees))))
            pose = Pose(0.0, -away * float(np.cos(np.radians(degrees))), height, 0.0, -max(degrees, 2.0))
            placed = []
            for i in range(5):
                looks = Looks(
                    int(chance.integers(1_000_000)), sex=("male", "female")[i % 2], pack=bool(chance.random() < 0.4),
                    uniform=bool(chance.random() < 0.1), hat=bool(chance.random() < 0.1),
                )
                posture = (Posture.WALK, Posture.STAND, Posture.WALK, Posture.RUN, Posture.WALK)[i]
                mesh = person_mesh(looks, posture, float(chance.random()))
                place = ((i - 2) * away * 0.15, float(chance.uniform(-0.03, 0.03)) * away, 0.0)
                placed.append(Placed.one(mesh, place, float(chance.uniform(0, 360)), id=i + 1))
            drawing = raster.draw(placed, pose, LENS, Light(), ground_msl_m=0.0)
            solid = drawing.image[..., 3:].astype(float) / 255.0
            picture = ground(pose, covers[degrees // 15]) * (1.0 - solid) + drawing.image[..., :3]
            seen = model.predict(
                picture.astype(np.uint8), imgsz=960, conf=CONFIDENCE, classes=[PERSON], device="cpu", verbose=False,
            )
            boxes = seen[0].boxes.xyxy.numpy()
            for i in range(5):
                rows, columns = np.nonzero(drawing.ids == i + 1)
                truth = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
                shown += 1
                found += any(overlap(truth, box) > 0.45 for box in boxes)
    raster.close()
    assert shown == 60
    assert found / shown >= RECALL, f"{found} of {shown} found"
