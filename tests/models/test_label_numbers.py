"""Whoever labels numbers classes in his own way: what a number means is what the folder says, and the answer says so."""

import json

import cv2
import numpy as np
import pytest

from models.evaluate import FoundBoxes, evaluate, load_samples
from models.graphs import OBJECTS_LEAST, Check, Precision
from models.label_numbers import numbering_of
from models.loading import CLASSES
from wire.settings import SettingsError
from wire.units import ObjectClass

OURS = tuple(c.value for c in CLASSES)
BY_THE_ALPHABET = ("bicycle", "bus", "car", "motorcycle", "person", "truck")
COCO = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 4: "airplane", 5: "bus", 6: "train", 7: "truck", 8: "boat"}
BOX = "0.5 0.5 0.2 0.4"


@pytest.fixture
def labelled(tmp_path):
    """A folder in another one, with one picture: its labels are of these numbers."""
    folder = tmp_path / "around/valid"

    def go(*numbers):
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images/a.png"), np.zeros((100, 200, 3), np.uint8))
        (folder / "labels/a.txt").write_text("".join(f"{n} {BOX}\n" for n in numbers))
        return folder

    return go


def kinds(folder):
    return [CLASSES[k].value for k in load_samples(folder)[0].classes]


@pytest.mark.parametrize("beside", [".", ".."], ids=["in the folder", "around it"])
@pytest.mark.parametrize(("said", "numbers", "meant"), [
    (f"names: [{', '.join(BY_THE_ALPHABET)}]", (4, 1, 0), ["person", "bus", "bicycle"]),
    (f"nc: 9\nnames: {json.dumps({str(k): name for k, name in COCO.items()})}", (5, 7, 8), ["bus", "truck", "boat"]),
    ("names:\n  0: Pedestrian\n  1: motorbike\n", (1, 0), ["motorcycle", "person"]),
])
def test_a_number_means_what_data_yaml_says(labelled, beside, said, numbers, meant):
    folder = labelled(*numbers)
    (folder / beside / "data.yaml").write_text(said)
    assert kinds(folder) == meant
    said_by = (folder / beside).resolve() / "data.yaml"
    assert numbering_of(folder).words.startswith(f"classes of the labels, by {said_by}: 0 ")


def test_a_folders_own_numbers_are_taken_before_those_around_it(labelled):
    folder = labelled(0)
    (folder / "data.yaml").write_text("names: [truck]")
    (folder.parent / "data.yaml").write_text("names: [bus]")
    assert kinds(folder) == ["truck"]


def test_without_data_yaml_the_numbers_are_ours_and_the_words_say_that_this_is_assumed(labelled):
    folder = labelled(0, 6)
    assert kinds(folder) == ["person", "boat"]
    assert numbering_of(folder).words == (
        "classes of the labels: no data.yaml, so they are taken for 0 person, 1 bicycle, 2 car, 3 motorcycle, 4 bus, "
        "5 truck, 6 boat"
    )


def test_labels_of_what_is_none_of_ours_are_left_out_and_with_them_what_the_sidecar_says_of_them(labelled):
    folder = labelled(0, 1, 2)
    (folder / "data.yaml").write_text("names: [person, dog, car]")
    (folder / "frames.jsonl").write_text(json.dumps({"name": "a", "objects": [{"depression_deg": d} for d in (1, 2, 3)]}))
    sample = load_samples(folder)[0]
    assert kinds(folder) == ["person", "car"] and len(sample.boxes) == 2
    assert sample.depressions_deg.tolist() == [1, 3]
    assert numbering_of(folder).words.endswith("data.yaml: 0 person, 1 dog, 2 car; left out: dog")


def test_a_number_that_data_yaml_does_not_have_is_named_with_file_and_line(labelled):
    folder = labelled(0, 2)
    (folder / "data.yaml").write_text("names: [person, dog]")
    with pytest.raises(SettingsError, match=r"labels/a\.txt:2: class 2; there are 2: person, dog"):
        load_samples(folder)


@pytest.mark.parametrize(("said", "words"), [
    ("names: [kite, zebra]", "knows kite, zebra, and none of person, "),
    ("", "says no names"),
    ("nc: 7", "says no names"),
    ("names: []", "says no names"),
    ("names: person", "says no names"),
    ("names: {person: 0}", "not names by their numbers"),
    ("names: [person", "not YAML that can be read"),
    ("\0", "not YAML that can be read"),
])
def test_a_data_yaml_that_tells_nothing_of_ours_is_refused_in_one_line(labelled, said, words):
    folder = labelled(0)
    (folder / "data.yaml").write_text(said)
    with pytest.raises(SettingsError) as caught:
        load_samples(folder)
    assert f"{folder / 'data.yaml'}: {words}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [OURS, BY_THE_ALPHABET], ids=["ours", "by the alphabet"])
def test_however_the_labels_are_numbered_a_precision_that_finds_nobody_is_objected_to(labelled, names):
    of = (ObjectClass.PERSON, ObjectClass.CAR, ObjectClass.TRUCK)
    folder = labelled(*(names.index(c.value) for c in of))
    (folder / "data.yaml").write_text(f"names: [{', '.join(names)}]")
    box = np.array([80.0, 30.0, 120.0, 70.0])

    def finds(classes):
        said = np.array([CLASSES.index(c) for c in classes], np.int64)
        return lambda _: FoundBoxes(np.tile(box, (len(said), 1)), np.full(len(said), 0.9), said)

    sees, blind = (
        evaluate(load_samples(folder), finds(c), threshold=0.4, folder="f", weights="w.pt", input_size_px=640).map50
        for c in (of, of[1:])
    )
    assert sees == pytest.approx(0.995, abs=0.006)
    assert "points of mAP50" in Check(Precision.INT8, "x", "w.pt", "f", 50, OBJECTS_LEAST, 640, sees, blind).objection
