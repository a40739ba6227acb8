"""The mark is found in what was rendered, through what happens to pictures on their way, and in nothing else.

Measured when the limit was set, 2026-11: unmarked photographs and video 2.6 to 3.8; marked ones 6.8 and more at JPEG quality
20, 8.2 and more uncompressed.
"""

import cv2
import numpy as np
import pytest

from cameras.sim_mark import LIKENESS_LIMIT, burn, folded, likeness, simulated_likeness
from sim.ground_textures import ground_texture
from sim.world_state import Cover

SIZES = [(1280, 720), (768, 576), (640, 360)]


def textured(seed, size=(1280, 720)):
    """A picture with detail at every scale, as photographs have."""
    rng = np.random.default_rng(seed)
    out = np.zeros((size[1], size[0], 3), np.float32)
    for octave in range(1, 8):
        coarse = rng.standard_normal((max(2, size[1] >> octave), max(2, size[0] >> octave), 3)).astype(np.float32)
        out += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * 2.0**octave
    return np.clip(110 + out / out.std() * 40, 0, 255).astype(np.uint8)


def tiled(cover, size=(1280, 720)):
    """A photograph of ground, laid again and again: repeats itself, as the mark does, with another period."""
    tile = ground_texture(cover)
    across = -(-size[0] // tile.shape[1]), -(-size[1] // tile.shape[0])
    return np.tile(tile, (across[1], across[0], 1))[:size[1], :size[0]]


UNMARKED = [*(textured(s, size) for s in range(6) for size in SIZES), *(tiled(c) for c in Cover)]


def test_what_was_not_rendered_is_not_taken_for_it():
    found = [simulated_likeness(p) for p in UNMARKED]
    assert max(found) < LIKENESS_LIMIT - 0.5, found


def test_real_video_is_not_taken_for_rendered_alone_or_added_up(real_video):
    capture = cv2.VideoCapture(str(real_video))
    total = None
    for k in range(300):
        read, image = capture.read()
        assert read
        if k % 10:
            continue
        assert simulated_likeness(image) < LIKENESS_LIMIT - 0.5
        total = folded(image) if total is None else total * 0.96 + folded(image)
        assert likeness(total) < LIKENESS_LIMIT - 0.5


def jpeg(quality):
    return lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


WAYS = {
    "nothing": lambda p: p,
    "jpeg 40": jpeg(40),
    "jpeg 20": jpeg(20),
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda p: cv2.resize(p, None, fx=1.4, fy=1.4),
    "another shape": lambda p: p[:-90],
    "corner cut off": lambda p: p[80:],
    "some noise": lambda p: np.clip(p + np.random.default_rng(1).normal(0, 9, p.shape), 0, 255).astype(np.uint8),
    "darker": lambda p: (p * 0.6).astype(np.uint8),
    "grey": lambda p: cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_mark_survives_what_happens_to_a_picture(way):
    for picture in UNMARKED[:6]:
        assert simulated_likeness(WAYS[way](burn(picture, "2026-11-24 22:00:00 UTC"))) > LIKENESS_LIMIT


def test_a_weak_mark_adds_up_over_pictures():
    """As after a codec that spares nothing: what one picture does not show, twenty-five together do."""
    spoil = jpeg(8)
    marked = [folded(spoil(burn(textured(50 + k, (640, 360)), ""))) for k in range(25)]
    plain = [folded(spoil(textured(50 + k, (640, 360)))) for k in range(25)]
    assert likeness(np.mean(marked, axis=0)) > max(LIKENESS_LIMIT, float(np.median([likeness(m) for m in marked])))
    assert likeness(np.mean(plain, axis=0)) < LIKENESS_LIMIT


def test_a_person_sees_the_word_and_the_picture_stays_a_picture():
    grey = np.full((720, 1280, 3), 120, np.uint8)
    marked = burn(grey, "12:00")
    off = marked.astype(int) - grey.astype(int)
    below = off[80:]
    assert below.max() >= 2 and below.min() <= -1           # light on dark, all over
    assert np.abs(below).max() <= 6                         # and faint
    assert (np.abs(below).max(axis=2).reshape(5, 128, 1280) > 0).any(axis=(1, 2)).all()
    assert (marked[8:66, 8:96, 2].astype(int) - marked[8:66, 8:96, 0] > 60).sum() > 300
    assert (grey == 120).all()                              # the original is not drawn on


def test_what_is_too_small_says_nothing():
    assert simulated_likeness(burn(textured(1, (80, 60)), "")) == 0.0
