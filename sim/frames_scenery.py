"""Pictures of the exercise's own landscape with nobody in it, as photographs for training frames.

    python -m sim.frames_scenery --out BACKGROUNDS/train/photo --count 120 --seed 1

What a network is to be quiet about in an exercise is what an exercise looks like. Another seed is another landscape: hold
one out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.sector import load_sector
from sim.frames_camera import draw_sky
from sim.landscape import make_landscape
from sim.renderer import Renderer
from sim.world_state import Landscape, Moment
from wire.settings import SettingsError

SECTOR = Path(__file__).parents[1] / "configs" / "sectors" / "laobao" / "sector.toml"
SIZE_PX = (960, 640)
HEIGHTS_M = (2.5, 110.0)
AWAY_M = 45.0               # from a trail or road, at the most
DAY_SHARE = 0.75            # the frames have their own light, and make night of day


def draw_scenery(landscape: Landscape, folder: Path, count: int, seed: int) -> None:
    """Write `count` pictures from places along the landscape's trails and roads."""
    folder.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(landscape, seed)
    lines = [*landscape.trails.values(), *landscape.roads.values()]
    for number in range(count):
        path = folder / f"scenery-{seed:04d}-{number:04d}.jpg"
        if path.exists():
            continue
        chance = np.random.default_rng([seed, number, 31])
        sky, palette, _ = draw_sky(chance, "day" if chance.random() < DAY_SHARE else None)
        pose, lens = _view(chance, landscape, lines)
        picture = renderer.render(Moment(float(number), 0, sky), pose, lens, palette)
        path.write_bytes(picture.jpeg)
    renderer.close()


def _view(chance: np.random.Generator, landscape: Landscape, lines: list[np.ndarray]) -> tuple[Pose, Lens]:
    line = lines[int(chance.integers(len(lines)))]
    place = line[int(chance.integers(len(line)))] + chance.normal(0, AWAY_M / 3, 2)
    ground = float(np.nan_to_num(landscape.terrain.height_msl_m(place[None, :])[0]))
    height = float(np.exp(chance.uniform(*np.log(HEIGHTS_M))))
    down = float(chance.choice([chance.uniform(3, 20), chance.uniform(20, 60), chance.uniform(60, 90)]))
    focal = float(np.exp(chance.uniform(np.log(600), np.log(1800))))
    width, tall = SIZE_PX
    lens = Lens(width, tall, focal, focal, width / 2 - 0.5, tall / 2 - 0.5)
    return Pose(float(place[0]), float(place[1]), ground + height, float(chance.uniform(0, 360)), -down), lens


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.frames_scenery", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1, help="of landscape, places and skies")
    parser.add_argument("--sector", type=Path, default=SECTOR)
    a = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        draw_scenery(make_landscape(load_sector(a.sector), a.seed), a.out, a.count, a.seed)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
