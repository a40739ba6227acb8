"""Our pictures of people are pictures of people: a network that was trained on photographs finds them, and nothing else."""

import numpy as np
import pytest

from cameras.pose import Pose
from edge.detector import UltralyticsDetector
from sim.renderer import Renderer
from sim.world_state import Posture, Sky
from tests.small_world import LENS, moment, person, small_landscape

VIEWS = ((7.0, 12.0), (12.0, 25.0), (20.0, 40.0))       # metres up, degrees of depression
LEAST_PX = 48
SCORE = 0.25


def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = np.prod(np.maximum(high - low, 0.0))
    return both / (np.prod(np.subtract(a[2:], a[:2])) + np.prod(np.subtract(b[2:], b[:2])) - both)


@pytest.mark.slow
@pytest.mark.weights
def test_a_network_of_photographs_finds_our_people_in_daylight_and_nobody_where_nobody_is(real_weights):
    detector = UltralyticsDetector(real_weights, 1280, 1)
    land = small_landscape()
    renderer = Renderer(land, 1)
    chance = np.random.default_rng(4)
    found = wanted = ghosts = 0
    for k, (up, depression) in enumerate(VIEWS * 3):
        sky = Sky(float(chance.uniform(90, 270)), float(chance.uniform(25, 65)), cloud=float(chance.random()), wind_mps=1.0)
        away = up / np.tan(np.radians(depression))
        pose = Pose(0.0, 0.0, 100.0 + up, float(chance.uniform(-8, 8)), -depression)
        people = [
            person(land, 10 * k + i + 1, float(chance.uniform(-0.35, 0.35)) * away + 1.5 * i - 3.0,
                   away * float(chance.uniform(0.75, 1.1)), float(chance.uniform(0, 360)), posture, float(chance.random()),
                   sex=("male", "female")[i % 2], hat=i == 1, pack=i == 2)
            for i, posture in enumerate((Posture.WALK, Posture.STAND, Posture.WALK, Posture.RUN))
        ]
        for actors in (people, []):
            picture = renderer.render(moment(*actors, sky=sky), pose, LENS)
            seen = detector.find(picture.image)
            boxes = [b for b, s, c in zip(seen.boxes, seen.scores, seen.classes, strict=True) if c == 0 and s >= SCORE]
            ghosts += sum(all(overlap(b, t.box_px) < 0.2 for t in picture.truth) for b in boxes)
            for t in picture.truth:
                left, top, right, bottom = t.box_px
                if bottom - top >= LEAST_PX and t.visible > 0.9 and left > 1 and right < 1278 and top > 1 and bottom < 718:
                    wanted += 1
                    found += any(overlap(b, t.box_px) > 0.4 for b in boxes)
    renderer.close()
    assert wanted >= 15
    assert found / wanted >= 0.85, f"{found} of {wanted}"
    assert ghosts == 0
