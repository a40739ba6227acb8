"""Nobody is lost: who moves, who stops, who stands still, and whoever a crop's edge cuts through."""

from dataclasses import replace
from itertools import pairwise

import cv2
import msgspec
import numpy as np
import pytest

from edge.detector import Detector, Found
from edge.gaze import SETTLE_S, STILL_EVERY_S, Gaze, Seen, gaze_of
from edge.motion import MotionGate, Profile
from edge.settings import DroneSettings, GateSettings, Look, load_setup
from edge.sources import Frame
from edge.tracker import Tracker
from wire.messages import TrackState

SECOND = 1_000_000_000
SIZE = (540, 960)
FULL_LOOK_S = 2.5


class Blocks(Detector):
    """Finds white blocks that it sees well enough: at least 8 pixels high as the network is shown them."""

    shape = (192, 320)

    def find(self, image):
        scale = min(1.0, self.shape[0] / image.shape[0], self.shape[1] / image.shape[1])
        _, _, stats, _ = cv2.connectedComponentsWithStats((image.max(axis=2) > 200).astype(np.uint8))
        boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:] if h * scale >= 8]
        return Found(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9), np.zeros(len(boxes), np.int64))


class Watch:
    """A camera whose pictures go the node's way, ten a second."""

    def __init__(self, look=Look.MOTION):
        self.gaze = Gaze(look, MotionGate([Profile("day", 5.0)], "day"), Blocks(), FULL_LOOK_S, 4)
        self.tracker = Tracker("gate-1", 0.4)
        self.now_ns = 1_700_000_000 * SECOND
        self.seen, self.tracked, self.news = [], [], []
        self.background = np.random.default_rng(5).integers(60, 100, (*SIZE, 3), dtype=np.uint8)

    def show(self, *blocks, size=None):
        """blocks: left, top, width, height."""
        self.now_ns += SECOND // 10
        image = self.background.copy() if size is None else np.full((*size, 3), 80, np.uint8)
        for x, y, w, h in blocks:
            image[y : y + h, x : x + w] = 255
        frame = Frame(image, self.now_ns)
        where = self.gaze.where(frame)
        found = self.gaze.find(image, where)
        tracked = self.tracker.update(found, self.now_ns)
        self.gaze.hold(found, tracked, self.now_ns)
        self.seen.append(where.seen)
        self.tracked.append(tracked)
        self.news += tracked.news
        return where, found


def test_an_empty_scene_is_looked_at_as_often_as_the_floor_says_and_no_more():
    watch = Watch()
    for _ in range(101):
        watch.show()
    full = [k for k, seen in enumerate(watch.seen) if seen is Seen.FULL]
    assert [b - a for a, b in pairwise(full)] == [25] * 4
    assert watch.seen.count(Seen.NONE) == 101 - 5


def test_a_person_who_has_always_stood_still_is_found_within_the_floor_and_confirmed():
    watch = Watch()
    man = (400, 200, 16, 40)
    for _ in range(60):             # long part of the background
        watch.show(man)
    assert [u.state for u in watch.news] == [TrackState.CONFIRMED]


def test_a_far_walker_is_seen_pixel_for_pixel_though_the_whole_picture_would_not_show_him():
    watch = Watch()
    for _ in range(5):
        watch.show()
    walker = [(300 + 2 * k, 200, 5, 12) for k in range(15)]
    assert len(watch.gaze.find(watch.background, watch.gaze.where(Frame(watch.background, watch.now_ns)))) == 0
    found = [watch.show(w)[1] for w in walker]
    assert [f.boxes.tolist() for f in found[1:]] == [[[x, y, x + w, y + h]] for x, y, w, h in walker[1:]]
    assert [u.state for u in watch.news] == [TrackState.CONFIRMED]


def test_a_person_who_stops_keeps_the_track_for_as_long_as_he_stands_and_walks_on_with_it():
    watch = Watch()
    for _ in range(5):
        watch.show()
    places = [(200 + 4 * k, 200, 16, 40) for k in range(20)]
    places += [places[-1]] * 300
    places += [(276 + 4 * k, 200, 16, 40) for k in range(20)]
    for place in places:
        watch.show(place)
    assert [u.state for u in watch.news] == [TrackState.CONFIRMED]
    ids = {int(i) for t in watch.tracked for i in t.ids}
    assert len(ids) == 1
    looked = [k for k, t in enumerate(watch.tracked) if len(t.ids)]
    assert max(b - a for a, b in pairwise(looked)) <= round(STILL_EVERY_S * 10)
    standing = watch.seen[60:300]
    assert standing.count(Seen.NONE) > len(standing) / 2            # and not in every picture


def test_a_person_who_stops_is_looked_at_in_every_picture_for_a_while():
    watch = Watch()
    for _ in range(5):
        watch.show()
    for k in range(20):
        watch.show((200 + 4 * k, 200, 16, 40))
    stopped = [watch.show((276, 200, 16, 40))[0].seen for _ in range(round(SETTLE_S * 10))]
    assert Seen.NONE not in stopped


def test_a_track_ends_when_its_person_is_gone_and_the_looking_with_it():
    watch = Watch()
    for _ in range(5):
        watch.show()
    for k in range(20):
        watch.show((200 + 4 * k, 200, 16, 40))
    for _ in range(150):
        watch.show()
    assert [u.state for u in watch.news] == [TrackState.CONFIRMED, TrackState.ENDED]
    assert watch.seen[-50:].count(Seen.CROPS) == 0


def test_lightning_is_looked_at_whole_and_once():
    watch = Watch()
    for _ in range(10):
        watch.show()
    watch.background += 90
    assert watch.show()[0].seen is Seen.FULL
    watch.background -= 90
    assert [watch.show()[0].seen for _ in range(10)] == [Seen.NONE] * 10


def test_while_most_of_the_picture_changes_nothing_is_left_unseen():
    watch = Watch()
    for k in range(20):
        watch.background = np.random.default_rng(k).integers(0, 40, (*SIZE, 3), dtype=np.uint8) + np.uint8(30 * (k % 4))
        assert watch.show((400, 200, 30, 80))[0].seen is Seen.FULL


def test_what_an_edge_cuts_through_is_looked_at_whole_in_the_next_picture():
    watch = Watch()
    low = (458, 190, 16, 13)                    # stands still, and too small for the first look, which is at the whole
    assert len(watch.show(low)[1]) == 0
    where, found = watch.show(low, (300, 200, 10, 20))
    assert where.crops[:, 2].tolist() == [465] and len(found) == 1
    _, found = watch.show(low, (302, 200, 10, 20))
    assert len(found) == 2


def test_another_resolution_in_mid_stream_is_looked_at_whole():
    watch = Watch()
    for _ in range(5):
        watch.show()
    assert watch.show((20, 20, 16, 40), size=(240, 320))[0].seen is Seen.FULL
    assert watch.show((24, 20, 16, 40), size=(240, 320))[0].seen is not Seen.NONE
    assert watch.show(size=SIZE)[0].seen is Seen.FULL


def test_a_clock_that_is_set_back_does_not_stop_the_looking():
    watch = Watch()
    for _ in range(5):
        watch.show()
    watch.now_ns -= 3600 * SECOND
    for _ in range(30):
        watch.show()
    assert watch.seen[5:].count(Seen.FULL) >= 2


@pytest.mark.parametrize(("look", "least"), [(Look.WHOLE, 40), (Look.TILES, 12)])
def test_a_moving_camera_has_every_picture_looked_at(look, least):
    watch = Watch(look)
    heights = [h for h in (12, 20, 40) if h >= least]
    where, found = watch.show(*[(150 * k + 60, 200, 16, h) for k, h in enumerate(heights)])
    assert where.seen is Seen.FULL and where.looked is None
    assert sorted(found.boxes[:, 3] - found.boxes[:, 1]) == heights
    assert all(watch.show()[0].seen is Seen.FULL for _ in range(3))


def test_a_drones_camera_looks_at_the_whole_unless_its_settings_say_otherwise(settings):
    camera = load_setup(settings())
    flown = replace(camera, settings=msgspec.structs.replace(camera.settings, drone=DroneSettings("tcp:127.0.0.1:5762")))
    tiled = replace(flown, settings=msgspec.structs.replace(flown.settings, gate=GateSettings(look=Look.TILES)))
    background = np.full((480, 640, 3), 80, np.uint8)
    looks = {}
    for name, setup in {"mast": camera, "drone": flown, "tiled drone": tiled}.items():
        gaze = gaze_of(setup, Blocks())
        gaze.where(Frame(background, SECOND))
        where = gaze.where(Frame(background, SECOND + 1))
        looks[name] = (where.seen, 0 if where.crops is None else len(where.crops))
    assert looks == {"mast": (Seen.NONE, 0), "drone": (Seen.FULL, 0), "tiled drone": (Seen.FULL, 9)}


def test_the_settings_masks_are_in_pixels_of_the_calibrated_picture_and_hold_for_every_profile(settings):
    setup = load_setup(settings([("[detector]", """
        [gate]
        full_look_s = 60.0
        masks = [{ name = "flag", polygon = [[160, 0], [320, 0], [320, 240], [160, 240]] }]
        [[gate.profiles]]
        name = "day"
        [[gate.profiles]]
        name = "rain"
        masks = [{ name = "gutter", polygon = [[0, 0], [160, 0], [160, 120], [0, 120]] }]
        [detector]""")]))
    background = np.full((480, 640, 3), 80, np.uint8)       # twice the size
    moves = {}
    for profile in ("day", "rain"):
        for name, (x, y) in {"flag": (500, 300), "gutter": (60, 60), "trail": (60, 400)}.items():
            gate = gaze_of(setup, Blocks()).gate
            gate.profile = profile
            gate.moving(background, SECOND)
            picture = background.copy()
            picture[y : y + 40, x : x + 16] = 255
            moves[profile, name] = gate.moving(picture, 2 * SECOND).cells.any()
    assert {k for k, moved in moves.items() if moved} == {("day", "gutter"), ("day", "trail"), ("rain", "trail")}
