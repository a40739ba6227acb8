"""Figures whose answers are known beforehand."""

import json

import cv2
import numpy as np
import pytest

from models.boxes import overlaps
from models.evaluate import EVERYTHING, AskedFor, FoundBoxes, evaluate, load_samples, match
from models.evaluate_report import as_json, as_table, draw_curves
from wire.settings import SettingsError
from wire.units import ObjectClass

PERSON, CAR = (tuple(ObjectClass).index(c) for c in (ObjectClass.PERSON, ObjectClass.CAR))
SIDE = 200


def folder_with(tmp_path, frames, sidecar=None):
    """frames: name to list of (class, left, top, right, bottom) in pixels of a picture of 200 by 200."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for value, (name, objects) in enumerate(frames.items()):
        # The grey level tells the detectors below which picture they look at.
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((SIDE, SIDE, 3), value, np.uint8))
        lines = [
            f"{k} {(a + c) / 2 / SIDE} {(b + d) / 2 / SIDE} {(c - a) / SIDE} {(d - b) / SIDE}" for k, a, b, c, d in objects
        ]
        (tmp_path / "labels" / f"{name}.txt").write_text("\n".join(lines))
    if sidecar:
        (tmp_path / "frames.jsonl").write_text("\n".join(json.dumps(line) for line in sidecar))
    return tmp_path


def saying(answers):
    """A detector that says answers[i] = list of (class, score, left, top, right, bottom) of the i-th picture."""
    def find(image):
        rows = answers[int(image[0, 0, 0])]
        return FoundBoxes(
            np.array([r[2:] for r in rows], float).reshape(-1, 4), np.array([r[1] for r in rows], float),
            np.array([r[0] for r in rows], np.int64),
        )
    return find


def judged(folder, answers, threshold=0.5, asked_for=EVERYTHING):
    return evaluate(
        load_samples(folder), saying(answers), threshold=threshold, folder="f", weights="w.pt", input_size_px=SIDE,
        asked_for=asked_for,
    )


def test_who_finds_everything_has_one_and_no_false_find(tmp_path):
    folder = folder_with(tmp_path, {"a": [(PERSON, 10, 10, 40, 90)], "b": [(CAR, 50, 50, 150, 100)], "c": []})
    e = judged(folder, [[(PERSON, 0.9, 10, 10, 40, 90)], [(CAR, 0.8, 50, 50, 150, 100)], []])
    # 101-point interpolation gives 0.995 for a single label, as in ultralytics
    assert e.map50 == pytest.approx(0.995, abs=0.006) and e.map50_95 == pytest.approx(0.995, abs=0.006)
    assert (e.precision, e.recall) == (1.0, 1.0)
    assert (e.empty_pictures, e.false_finds_per_empty, e.empty_with_false_find) == (1, 0.0, 0)


def test_who_finds_one_of_two_has_half_the_recall_and_half_the_average_precision(tmp_path):
    folder = folder_with(tmp_path, {"a": [(PERSON, 10, 10, 40, 90), (PERSON, 100, 10, 130, 90)]})
    e = judged(folder, [[(PERSON, 0.9, 10, 10, 40, 90)]])
    assert e.recall == 0.5 and e.precision == 1.0
    assert e.map50 == pytest.approx(0.5, abs=0.01)


def test_a_wrong_find_that_is_surer_than_the_right_one_halves_the_average_precision(tmp_path):
    folder = folder_with(tmp_path, {"a": [(PERSON, 10, 10, 40, 90)]})
    e = judged(folder, [[(PERSON, 0.95, 140, 10, 170, 90), (PERSON, 0.9, 10, 10, 40, 90)]])
    assert e.map50 == pytest.approx(0.5, abs=0.01)
    assert e.precision == 0.5


def test_a_box_with_an_overlap_of_0_72_counts_up_to_0_70_and_no_further(tmp_path):
    folder = folder_with(tmp_path, {"a": [(PERSON, 0, 0, 100, 100)]})
    e = judged(folder, [[(PERSON, 0.9, 0, 0, 100, 72)]])
    assert e.map50 == pytest.approx(0.995, abs=0.006)
    assert e.map50_95 == pytest.approx(0.995 * 5 / 10, abs=0.006)       # 0.50, 0.55, 0.60, 0.65, 0.70


def test_the_second_box_on_one_person_is_a_false_find():
    box = np.array([[0, 0, 10, 10.0]])
    hit = match(np.repeat(box, 2, axis=0), np.zeros(2, np.int64), np.array([0.3, 0.8]), box, np.zeros(1, np.int64))
    assert (hit[1] == 0).all() and (hit[0] == -1).all(), "the surer one has the label"


def test_a_car_does_not_match_a_person():
    box = np.array([[0, 0, 10, 10.0]])
    hit = match(box, np.array([CAR]), np.array([0.9]), box, np.array([PERSON]))
    assert (hit == -1).all()


def test_overlap_of_half_covered_boxes_is_a_third():
    assert overlaps(np.array([[0, 0, 2, 1.0]]), np.array([[1, 0, 3, 1.0]]))[0, 0] == pytest.approx(1 / 3)


def test_false_finds_are_counted_on_empty_pictures_at_the_threshold(tmp_path):
    folder = folder_with(tmp_path, {"a": [], "b": [], "c": [(PERSON, 0, 0, 50, 50)], "d": []})
    low, high = (PERSON, 0.2, 0, 0, 50, 50), (PERSON, 0.7, 0, 0, 50, 50)
    e = judged(folder, [[high, high], [low], [high], []])
    assert e.empty_pictures == 3
    assert e.false_finds_per_empty == pytest.approx(2 / 3)
    assert e.empty_with_false_find == 1
    by_threshold = {p.threshold: (p.recall, p.false_finds_per_empty) for p in e.points}
    assert by_threshold[0.2] == (1.0, 1.0)
    assert by_threshold[0.5] == (1.0, pytest.approx(2 / 3))
    assert by_threshold[0.8] == (0.0, 0.0)


def test_recall_by_height_and_by_depression_puts_everybody_in_their_band(tmp_path):
    folder = folder_with(
        tmp_path,
        {"a": [(PERSON, 0, 0, 10, 20), (PERSON, 100, 0, 130, 60)], "b": [(CAR, 0, 0, 90, 90), (PERSON, 100, 0, 130, 60)]},
        sidecar=[
            {"name": "a", "objects": [{"depression_deg": 10.0}, {"depression_deg": 88.0}]},
            {"name": "b", "objects": [{"depression_deg": 40.0}, {"depression_deg": 41.0}]},
        ],
    )
    e = judged(folder, [[(PERSON, 0.9, 100, 0, 130, 60)], []])
    heights = {(b.low, b.high): (b.people, b.found) for b in e.by_height if b.people}
    assert heights == {(16.0, 24.0): (1, 0), (48.0, 96.0): (2, 1)}
    angles = {b.low: (b.people, b.found) for b in e.by_depression if b.people}
    assert angles == {30.0: (1, 0), 75.0: (1, 1)}, "the small one is left out: 24 px and more count"


HIDDEN, PLAIN = (PERSON, 10, 10, 40, 90), (PERSON, 100, 10, 130, 90)


@pytest.fixture
def half_hidden(tmp_path):
    """Two people, one of whom is hidden for the most part."""
    objects = [{"depression_deg": 20.0, "visible": v} for v in (0.4, 1.0)]
    return folder_with(tmp_path, {"a": [HIDDEN, PLAIN]}, [{"name": "a", "objects": objects}])


@pytest.mark.parametrize("finds_the_hidden", [True, False])
def test_who_is_not_asked_for_may_be_found_or_not(half_hidden, finds_the_hidden):
    finds = [(PERSON, 0.9, *PLAIN[1:]), *([(PERSON, 0.95, *HIDDEN[1:])] if finds_the_hidden else [])]
    e = judged(half_hidden, [finds], asked_for=AskedFor(least_visible=0.65))
    assert (e.objects, e.precision, e.recall, e.empty_pictures) == (1, 1.0, 1.0, 0)
    assert e.map50 == pytest.approx(0.995, abs=0.006)
    assert sum(b.people for b in e.by_depression) == 1


def test_what_is_found_where_nothing_is_stays_a_false_find(half_hidden):
    e = judged(half_hidden, [[(PERSON, 0.9, 150, 100, 180, 190)]], asked_for=AskedFor(least_visible=0.65))
    assert (e.precision, e.recall) == (0.0, 0.0)


def test_one_who_is_asked_for_is_no_excuse_for_a_second_box(half_hidden):
    finds = [(PERSON, 0.9, *PLAIN[1:]), (PERSON, 0.8, 101, 10, 131, 90)]
    assert judged(half_hidden, [finds], asked_for=AskedFor(least_visible=0.65)).precision == 0.5


def test_small_ones_are_left_out_by_the_longer_side(tmp_path):
    folder = folder_with(tmp_path, {"a": [(PERSON, 10, 10, 15, 30), (PERSON, 100, 10, 130, 90)]})
    e = judged(folder, [[(PERSON, 0.9, 100, 10, 130, 90)]], asked_for=AskedFor(least_px=24.0))
    assert (e.objects, e.recall) == (1, 1.0)
    assert "that are asked for" in as_table(e) and as_json(e)["asked_for"] == {"least_visible": 0.0, "least_px": 24.0}


def test_a_folder_of_none_that_are_asked_for_measures_nothing_and_is_not_empty(half_hidden):
    e = judged(half_hidden, [[]], asked_for=AskedFor(least_px=150.0))
    assert (e.objects, e.recall, e.map50, e.empty_pictures) == (0, None, None, 0)


def test_the_table_and_the_json_say_the_same_and_the_curves_are_drawn(tmp_path):
    folder = folder_with(tmp_path, {"a": [(PERSON, 10, 10, 40, 90)], "b": []})
    e = judged(folder, [[(PERSON, 0.9, 10, 10, 40, 90)], [(CAR, 0.9, 0, 0, 9, 9)]])
    table, values = as_table(e), json.loads(json.dumps(as_json(e)))
    assert f"{e.map50:.3f}" in table and "1 of 1 have any" in table
    assert values["map50"] == e.map50 and values["by_height"][4] == {
        "from": 48.0, "to": 96.0, "people": 1, "found": 1, "recall": 1.0,
    }
    draw_curves(e, tmp_path / "curves.png")
    drawn = cv2.imread(str(tmp_path / "curves.png"))
    assert drawn is not None and drawn.std() > 10


@pytest.mark.parametrize(("line", "said"), [
    ("0 0.5 0.5 0.1", "not class, middle x"),
    ("9 0.5 0.5 0.1 0.1", "class 9; there are 7: person"),
    ("0 0.5 1.5 0.1 0.1", "shares of the picture"),
])
def test_a_bad_label_is_named_with_file_and_line(tmp_path, line, said):
    folder = folder_with(tmp_path, {"a": []})
    (folder / "labels/a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        load_samples(folder)
    assert "labels/a.txt:2: " in str(caught.value) and said in str(caught.value)


def test_a_folder_without_pictures_is_explained(tmp_path):
    with pytest.raises(SettingsError, match=r"no pictures\. Give a folder with images/ and labels/"):
        load_samples(tmp_path)
