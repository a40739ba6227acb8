"""What moves is said to move, what sways and what is masked is not, and a flash is one alarm at most."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.motion import SWITCH_SHARE, Mask, MotionGate, Profile, small

SECOND = 1_000_000_000
HEIGHT, WIDTH = 324, 576        # cells of 3 by 3 pixels
DAY = Profile("day", 5.0)


def with_walker(picture, x, y, high=12, wide=5, darker=45):
    picture = picture.copy()
    picture[int(y) : int(y) + high, int(x) : int(x) + wide] -= darker
    return picture


class Camera:
    """Shows grey pictures to a gate, ten a second: coarse texture, as of ground and leaves, and a sensor's noise."""

    def __init__(self, *profiles, size=(HEIGHT, WIDTH)):
        rng = np.random.default_rng(1)
        self.gate = MotionGate(profiles or [DAY], (profiles or [DAY])[0].name)
        self.now_ns = 1_700_000_000 * SECOND
        coarse = rng.normal(110.0, 15.0, (size[0] // 6, size[1] // 6))
        self.background = np.kron(coarse, np.ones((6, 6))).astype(np.int16)
        self.noise = [rng.normal(0.0, 3.0, size).astype(np.int16) for _ in range(7)]
        self.shown = 0

    def show(self, picture=None, unlearnt=None, image=None):
        self.now_ns += SECOND // 10
        self.shown += 1
        if image is None:
            bare = self.background if picture is None else picture
            image = np.clip(bare + self.noise[self.shown % len(self.noise)], 0, 255).astype(np.uint8)
        return self.gate.moving(image, self.now_ns, unlearnt)

    def settle(self, pictures=30):
        for _ in range(pictures):
            self.show()


def holds(motion, x, y):
    b = motion.boxes
    return bool(((b[:, 0] <= x) & (x <= b[:, 2]) & (b[:, 1] <= y) & (y <= b[:, 3])).any())


def test_the_first_picture_is_calibrating_and_says_that_nothing_moves():
    motion = Camera().show()
    assert motion.calibrating and len(motion.boxes) == 0 and not motion.cells.any()


def test_a_still_scene_with_a_noisy_sensor_moves_nowhere():
    camera = Camera()
    camera.settle()
    assert sum(len(camera.show().boxes) for _ in range(100)) == 0


def test_a_slow_walker_of_12_pixels_in_1080_lines_is_caught_within_a_second_and_on_most_of_the_way():
    camera = Camera(size=(1080, 1920))
    camera.settle(10)
    caught = []
    for k in range(40):
        x = 900 + 0.8 * k
        motion = camera.show(with_walker(camera.background, x, 505))
        caught.append(holds(motion, x + 2.5, 511))
    assert any(caught[:10]) and np.mean(caught) > 0.5


def test_a_flash_is_calibrating_and_leaves_no_alarm_behind():
    camera = Camera()
    camera.settle()
    lightning = camera.show(camera.background + 80)
    assert lightning.calibrating and len(lightning.boxes) == 0
    walker = with_walker(camera.background, 300, 200, 24, 10)
    assert all(holds(camera.show(walker), 305, 212) for _ in range(10))        # not half forgotten at once
    camera.settle(100)
    assert camera.show(camera.background + 80).calibrating
    after = [camera.show() for _ in range(20)]
    assert not any(m.calibrating or len(m.boxes) for m in after)


def test_a_switch_to_the_infra_red_lamp_is_calibrating_for_as_long_as_it_takes():
    camera = Camera()
    camera.settle()
    states = [camera.show((camera.background * (1.0 - 0.12 * k)).astype(np.int16)).calibrating for k in range(1, 6)]
    assert all(states)
    dark = (camera.background * 0.4).astype(np.int16)
    assert not any(camera.show(dark).calibrating for _ in range(10))


def test_a_camera_that_is_knocked_is_calibrating_and_then_sees_again():
    camera = Camera()
    camera.settle()
    assert camera.show(np.roll(camera.background, (18, 40), axis=(0, 1))).calibrating
    camera.background = np.roll(camera.background, (18, 40), axis=(0, 1))
    camera.settle(5)
    assert holds(camera.show(with_walker(camera.background, 400, 200, 40, 16)), 408, 220)


def test_a_mast_that_shakes_without_end_is_learnt_and_a_great_change_still_seen():
    camera = Camera()
    camera.settle(100)
    rng = np.random.default_rng(3)

    def shaken():
        return np.roll(camera.background, tuple(rng.integers(-4, 5, 2)), axis=(0, 1))

    states = [camera.show(shaken()).calibrating for _ in range(300)]
    assert sum(states[:20]) > 10 and sum(states[-50:]) == 0
    picture = shaken()
    picture[90:180, 330:390] = 250
    assert holds(camera.show(picture), 360, 135)


def test_a_large_vehicle_is_not_taken_for_a_change_of_the_light():
    camera = Camera()
    camera.settle()
    picture = camera.background.copy()
    picture[90:270, 120:420] = 30
    motion = camera.show(picture)
    assert 0.2 < motion.cells.mean() < SWITCH_SHARE
    assert not motion.calibrating and holds(motion, 270, 180)


def swaying(camera, k, bush=np.s_[60:180, 300:480]):
    """Three pixels to and fro, in two rhythms."""
    picture = camera.background.copy()
    sway = 2.0 * np.sin(k / 10 * 2 * np.pi * 0.31) + np.sin(k / 10 * 2 * np.pi * 0.83)
    picture[bush] = np.roll(camera.background, round(sway), axis=1)[bush]
    return picture


def test_a_bush_that_sways_is_learnt_within_a_minute_and_a_walker_beside_it_still_caught():
    camera = Camera()
    early = sum(bool(len(camera.show(swaying(camera, k)).boxes)) for k in range(50))
    for k in range(50, 500):
        camera.show(swaying(camera, k))
    late = sum(bool(len(camera.show(swaying(camera, k)).boxes)) for k in range(500, 600))
    assert early >= 5 and late < early
    assert holds(camera.show(with_walker(swaying(camera, 600), 180, 100, 30, 12)), 186, 115)


def test_a_great_change_is_seen_however_restless_a_place_was():
    camera = Camera()
    for k in range(300):
        picture = camera.background.copy()
        picture[60:180, 300:480] += 40 * (k % 2)
        camera.show(picture)
    picture = camera.background.copy()
    assert len(camera.show(picture).boxes) == 0
    picture[90:150, 330:420] = 250
    assert holds(camera.show(picture), 375, 120)


def test_people_who_are_known_are_not_learnt_as_noise():
    def after_passers_by(unlearnt):
        camera = Camera()
        camera.settle()
        for k in range(300):            # one after the other, to and fro
            camera.show(with_walker(camera.background, 200 + abs(k % 40 - 20), 200, 24, 10), unlearnt)
        camera.settle(150)              # nobody, until the average has forgotten them
        return holds(camera.show(with_walker(camera.background, 208, 200, 24, 10, darker=14)), 213, 212)

    assert after_passers_by(np.array([[195.0, 195.0, 240.0, 230.0]]))
    assert not after_passers_by(None)


def test_a_mask_hides_what_moves_inside_and_nothing_beside_it():
    masked = Profile("day", 5.0, masks=(Mask("road", np.array([[0.5, 0.0], [1.0, 0.0], [1.0, 0.5], [0.5, 0.5]])),))
    camera = Camera(masked)
    camera.settle()
    both = with_walker(with_walker(camera.background, 400, 60, 40, 16), 200, 60, 40, 16)
    motion = camera.show(both)
    assert not holds(motion, 408, 80) and holds(motion, 208, 80)


def test_a_masked_share_of_the_picture_does_not_hide_a_change_of_the_light():
    masked = Profile("day", 5.0, masks=(Mask("sky", np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.7], [0.0, 0.7]])),))
    camera = Camera(masked)
    camera.settle()
    assert camera.show(camera.background + 60).calibrating


def test_a_picture_that_is_masked_whole_moves_nowhere():
    camera = Camera(Profile("day", 5.0, masks=(Mask("all", np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])),)))
    camera.settle(5)
    motion = camera.show(camera.background + 60)
    assert not motion.calibrating and len(motion.boxes) == 0


def test_a_profile_is_changed_while_it_runs_and_an_unknown_one_is_refused_by_name():
    camera = Camera(DAY, Profile("rain", 40.0, 4))
    camera.settle()
    drop = with_walker(camera.background, 300, 200, 12, 5)
    assert len(camera.show(drop).boxes)
    camera.gate.profile = "rain"
    camera.settle(60)
    assert camera.gate.profile == "rain" and len(camera.show(drop).boxes) == 0
    with pytest.raises(ValueError, match='no profile "snow"; there are day, rain'):
        camera.gate.profile = "snow"
    assert camera.gate.profile == "rain"


def test_a_thing_of_too_few_cells_does_not_count_and_a_greater_one_beside_it_does():
    camera = Camera(Profile("day", 5.0, least_cells=6))
    camera.settle()
    picture = with_walker(with_walker(camera.background, 402, 102, 3, 3, 90), 200, 100, 40, 16)
    motion = camera.show(picture)
    assert holds(motion, 208, 120) and not holds(motion, 403, 103)
    assert not motion.cells[34, 134]


def test_another_resolution_in_mid_stream_begins_anew():
    camera = Camera()
    camera.settle()
    rng = np.random.default_rng(2)
    for shape in ((720, 1280), (1080, 1920), (576, 768)):
        picture = rng.integers(90, 130, (*shape, 3), dtype=np.uint8)
        assert camera.show(image=picture).calibrating
        still = camera.show(image=picture)
        assert not still.calibrating and len(still.boxes) == 0


@settings(deadline=None)
@given(
    height=st.integers(1, 300), width=st.integers(1, 300), colours=st.sampled_from([None, 3]), seed=st.integers(0, 99),
    steps_ns=st.lists(st.integers(-10 * SECOND, 10 * SECOND), min_size=1, max_size=5),
)
def test_pictures_of_any_size_and_times_that_jump_give_boxes_inside_the_picture_that_hold_every_moving_cell(
    height, width, colours, seed, steps_ns
):
    rng = np.random.default_rng(seed)
    gate = MotionGate([DAY], "day")
    now_ns = 1_700_000_000 * SECOND
    still = rng.integers(0, 256, (height, width, colours) if colours else (height, width), dtype=np.uint8)
    gate.moving(still, now_ns)
    for step_ns in steps_ns:
        now_ns += step_ns
        picture = still.copy()
        y, x = rng.integers(0, height), rng.integers(0, width)
        picture[y : y + height // 4 + 1, x : x + width // 4 + 1] ^= 128
        motion = gate.moving(picture, now_ns)
        assert np.isfinite(motion.boxes).all()
        b = motion.boxes
        assert (b[:, :2] >= 0).all() and (b[:, 2:] <= [width, height]).all() and (b[:, 2:] > b[:, :2]).all()
        for row, column in np.argwhere(motion.cells):
            assert holds(motion, (column + 0.5) * motion.cell_px, (row + 0.5) * motion.cell_px)


@settings(deadline=None)
@given(cell_px=st.integers(1, 12), rows=st.integers(1, 20), columns=st.integers(1, 20), level=st.integers(0, 255))
def test_a_plain_picture_is_plain_in_the_small(cell_px, rows, columns, level):
    image = np.full((rows * cell_px, columns * cell_px, 3), level, np.uint8)
    grey = small(image, cell_px)
    assert grey.shape == (rows, columns) and (np.abs(grey - level) <= 1).all()
