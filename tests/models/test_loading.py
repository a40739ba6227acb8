"""What cannot be opened is refused in one line that says what it is not, why, and what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.loading import CLASSES, in_words, our_classes, told
from wire.settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]


def test_whatever_goes_wrong_becomes_one_line():
    with pytest.raises(SettingsError) as caught, in_words(Path("w.pt"), "weights", "Fetch them again."):
        raise RuntimeError("the first line\nand a page of others")
    assert str(caught.value) == "w.pt: not weights (the first line). Fetch them again."


def test_an_error_without_words_is_named_by_its_kind():
    with pytest.raises(SettingsError, match=r"^w\.pt: not weights \(KeyError\)\.$"), in_words(Path("w.pt"), "weights", ""):
        raise KeyError


def test_what_is_in_words_already_stays_as_it_is():
    with pytest.raises(SettingsError, match=r"^plain$"), in_words(Path("w.pt"), "weights"):
        raise SettingsError("plain")


def test_classes_are_known_by_their_names_and_not_by_their_numbers():
    assert our_classes({0: "kite", 7: "truck", 9: "person"}, Path("w.pt")) == {
        7: [c.value for c in CLASSES].index("truck"), 9: [c.value for c in CLASSES].index("person"),
    }
    with pytest.raises(SettingsError, match=r"knows none of person, .*, but kite; "):
        our_classes({0: "kite"}, Path("w.pt"))


VISDRONE = (
    "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor",
)


@pytest.mark.parametrize(("names", "known"), [
    (VISDRONE, {
        "pedestrian": "person", "people": "person", "bicycle": "bicycle", "car": "car", "truck": "truck", "bus": "bus",
        "motor": "motorcycle",
    }),
    (("Person", "CAR", "motorbike", " lorry"), {
        "Person": "person", "CAR": "car", "motorbike": "motorcycle", " lorry": "truck",
    }),
])
def test_classes_are_known_by_what_others_call_them(names, known):
    ours = our_classes(dict(enumerate(names)), Path("w.pt"))
    assert {names[theirs]: CLASSES[k].value for theirs, k in ours.items()} == known


def test_of_many_names_the_first_are_told():
    assert told(["a", "b"]) == "a, b"
    assert told(str(k) for k in range(80)).endswith(", 11 and 68 more")


def test_openvino_is_used_without_the_package_that_tells_of_its_use():
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from models.loading import import_openvino
import_openvino().Core()
import openvino.tools.ovc.telemetry_utils as told
print(sys.modules["openvino_telemetry"], told.tm.__name__)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["None", "openvino.tools.ovc.telemetry_stub"]
