"""Training frames: the same from the same seed, labelled by what is seen, and empty where they say so."""

import json

import cv2
import numpy as np
import pytest

from models.label_numbers import numbering_of
from sim.frames import LEAST_VISIBLE, FrameMaker, FrameSettings
from sim.frames_camera import depression_at, draw_sky, draw_view, ground_at, pixels_of
from sim.frames_grounds import Backgrounds, find_backgrounds, shapes
from sim.frames_write import Order, contact_sheet, write_data_files, write_frames
from wire.settings import SettingsError
from wire.units import ObjectClass

pytestmark = pytest.mark.together(30)

SIDE = 160
FRAMES = 24


@pytest.fixture(scope="module")
def frames():
    maker = FrameMaker(FrameSettings(side_px=SIDE), Backgrounds())
    made = [maker.make(seed) for seed in range(FRAMES)]
    maker.close()
    return made


def test_the_same_seed_gives_the_same_frame(frames):
    maker = FrameMaker(FrameSettings(side_px=SIDE), Backgrounds())
    again = maker.make(5)
    assert np.array_equal(again.image, frames[5].image)
    assert again.labels == frames[5].labels


def test_other_seeds_give_other_frames(frames):
    means = {round(float(f.image.mean()), 3) for f in frames}
    assert len(means) == FRAMES


def test_labels_lie_in_the_frame_and_around_something_that_is_seen(frames):
    labels = [label for f in frames for label in f.labels]
    assert len(labels) > FRAMES / 2
    for label in labels:
        left, top, right, bottom = label.box_px
        assert 0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE
        assert LEAST_VISIBLE <= label.visible <= 1.0
        assert -5.0 < label.depression_deg <= 90.0


def test_some_frames_are_empty_and_all_are_when_that_is_asked_for(frames):
    assert 0 < sum(not f.labels for f in frames) < FRAMES
    assert all(not f.labels for f in _frames(FrameSettings(side_px=SIDE, empty_share=1.0), 3))


def test_condition_and_rain_can_be_fixed():
    made = _frames(FrameSettings(side_px=SIDE, condition="night", rain=True), 3)
    assert {(f.condition, f.rain) for f in made} == {("night", True)}


def test_depressions_reach_from_the_horizon_to_straight_down():
    chance = np.random.default_rng(1)
    views = [draw_view(chance, SIDE) for _ in range(400)]
    angles = np.array([v.depression_deg for v in views])
    assert angles.min() < 8 and (angles > 85).mean() > 0.05
    heights = np.array([v.pose.height_msl_m for v in views])
    assert heights.max() <= 120.001
    assert all(v.distance_m > 0 for v in views)


def test_a_pixel_and_the_ground_under_it_are_one(frames):
    view = draw_view(np.random.default_rng(4), SIDE)
    pixel = np.array([[40.0, 120.0]])
    place = ground_at(view, pixel)
    back = pixels_of(view, np.column_stack([place, [0.0]]))
    assert back == pytest.approx(pixel, abs=1e-6)


def test_the_middle_of_the_frame_is_seen_at_the_depression_that_is_said():
    view = draw_view(np.random.default_rng(8), SIDE)
    assert depression_at(view, np.zeros(3)) == pytest.approx(view.depression_deg, abs=1e-6)


def test_every_condition_is_drawn():
    chance = np.random.default_rng(2)
    assert {draw_sky(chance)[2] for _ in range(200)} == {"day", "dusk", "night", "low_light", "thermal"}


def test_every_frame_has_the_word_sim_in_its_corner(frames):
    # Orange on dark, whatever lies behind it; grey and thermal frames too.
    for frame in frames:
        corner = frame.image[:16, :32].astype(int)
        orange = (corner[..., 2] - corner[..., 0]) > 60
        assert orange.sum() >= 8, f"frame {frame.seed} does not say that it is simulated"


def test_shapes_are_pictures_of_nothing_in_many_colours():
    pictures = [shapes(np.random.default_rng(k), 64) for k in range(12)]
    assert all(p.shape == (64, 64, 3) and p.dtype == np.uint8 for p in pictures)
    assert np.std([p.mean() for p in pictures]) > 5


def test_what_a_written_folder_says_of_its_numbers_is_what_an_evaluation_reads(tmp_path):
    folder = tmp_path / "day: khe gió #1"
    (folder / "meta").mkdir(parents=True)
    write_data_files(folder)
    numbering = numbering_of(folder)
    assert numbering.said_by == folder / "data.yaml"
    assert numbering.ours == {k: k for k in range(len(ObjectClass))}


def test_a_written_folder_is_what_yolo_reads_and_is_gone_on_with(tmp_path):
    order = Order(tmp_path, 40, 6, FrameSettings(side_px=SIDE), None)
    write_frames(order, 1)
    pictures = sorted((tmp_path / "images").glob("*.jpg"))
    assert [p.stem for p in pictures] == [f"sim-{s:09d}" for s in range(40, 46)]
    lines = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == [p.stem for p in pictures]
    for picture, line in zip(pictures, lines, strict=True):
        rows = [row.split() for row in (tmp_path / "labels" / f"{picture.stem}.txt").read_text().splitlines()]
        assert [tuple(ObjectClass)[int(r[0])].value for r in rows] == [o["class"] for o in line["objects"]]
        assert all(0 <= float(v) <= 1 for r in rows for v in r[1:])
    assert f"names:\n  0: {next(iter(ObjectClass)).value}" in (tmp_path / "data.yaml").read_text()
    before = [p.stat().st_mtime_ns for p in pictures[1:]]
    (tmp_path / "meta" / f"{pictures[0].stem}.json").unlink()
    write_frames(order, 1)
    assert [p.stat().st_mtime_ns for p in pictures[1:]] == before, "only the missing frame is made again"
    contact_sheet(tmp_path, 6, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_a_folder_without_backgrounds_says_how_to_make_one(tmp_path):
    with pytest.raises(SettingsError, match=r"python -m models\.training\.backgrounds --out DIR"):
        find_backgrounds(tmp_path)


def _frames(settings, count):
    maker = FrameMaker(settings, Backgrounds())
    made = [maker.make(seed) for seed in range(count)]
    maker.close()
    return made
