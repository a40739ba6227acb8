"""Readings vote: the form of plates helps where look-alikes are in doubt, and never against what was plainly read."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.plate_votes import ALPHABET, FORMS, LOOK_ALIKES, Reading, form_of, spelled, vote

PROVINCE = st.integers(11, 99).map(str)
SERIES = st.sampled_from("ABCDEFGHKLMNPSTUVXYZ")
NUMBER = st.text(string.digits, min_size=5, max_size=5)
plates = st.builds(lambda p, s, n: f"{p}{s}{n}", PROVINCE, SERIES, NUMBER)


def reading(text: str, sure: float = 0.95, **others: tuple[int, str, float]) -> Reading:
    """Of a text, each character this sure. others: (place, character, probability) taken from the one that was read."""
    chances = np.full((len(text), len(ALPHABET)), (1 - sure) / 35)
    for i, c in enumerate(text):
        chances[i, ALPHABET.index(c)] = sure
    for place, c, p in others.values():
        chances[place, ALPHABET.index(c)] += p
        chances[place, ALPHABET.index(text[place])] -= p
    return Reading(chances, 3000.0, 0.6)


def letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


@given(plates, st.integers(1, 6), st.floats(0.85, 0.999))
def test_readings_that_agree_are_told_with_a_confidence_for_each_character(text: str, count: int, sure: float) -> None:
    plate = vote([reading(text, sure)] * count)
    assert plate is not None
    assert letters(plate.text) == text
    assert len(plate.confidence) == len(text)
    assert all(0.0 <= c <= 1.0 for c in plate.confidence)
    assert plate.readings == count


@given(plates, st.integers(0, 7), st.sampled_from(ALPHABET), st.booleans())
def test_one_reading_that_lost_or_gained_a_character_is_outvoted(text: str, at: int, extra: str, gained: bool) -> None:
    other = text[:at] + extra + text[at:] if gained else text[:at] + text[at + 1 :]
    plate = vote([reading(text), reading(other, 0.9), reading(text)])
    assert plate is not None
    assert letters(plate.text) == text


@given(plates, st.integers(0, 7), st.sampled_from(ALPHABET))
def test_a_character_read_differently_is_outvoted_and_less_sure(text: str, at: int, other: str) -> None:
    wrong = text[:at] + other + text[at + 1 :]
    agreed, mixed = vote([reading(text)] * 3), vote([reading(text), reading(wrong, 0.8), reading(text)])
    assert agreed is not None and mixed is not None
    assert letters(mixed.text) == text
    if other != text[at]:
        assert mixed.confidence[at] < agreed.confidence[at]


def test_the_form_decides_between_characters_that_look_alike() -> None:
    plate = vote([reading("74CI2345", 0.96, a=(3, "1", 0.3))])
    assert plate is not None
    assert plate.text == "74C-123.45"
    assert plate.confidence[3] < plate.confidence[4]


def test_what_was_plainly_read_is_never_corrected_into_a_valid_plate() -> None:
    plate = vote([reading("74CI2345", 0.9999)])
    assert plate is not None
    assert plate.text == "74CI2345"
    # ... but the station is told that this character is in doubt.
    assert plate.confidence[3] < 0.9 < min(plate.confidence[:3])
    army = vote([reading("7KC12345", 0.9999)])
    assert army is not None and letters(army.text) == "7KC12345"


@pytest.mark.parametrize("text", ["HYUNDAI", "1500KG0", "2026", "0912345678", "SIM", "TRAINING", "ABCDEFGH", "", "74C"])
def test_other_writing_on_a_vehicle_is_no_plate(text: str) -> None:
    assert vote([reading(text, 0.999)] if text else []) is None
    assert form_of(text) is None


def test_what_nobody_is_sure_of_is_not_told() -> None:
    assert vote([reading("74C12345", 0.5)]) is None


@pytest.mark.parametrize(("text", "shown"), [
    ("74C12345", "74C-123.45"), ("74C1234", "74C-1234"), ("74C112345", "74C1-123.45"), ("29LD12345", "29LD-123.45"),
    ("29AA1234", "29AA-1234"), ("TM1234", "TM-1234"), ("7KC12345", "7KC12345"),
])
def test_plates_are_spelled_as_they_are_written(text: str, shown: str) -> None:
    assert spelled(text) == shown
    assert letters(spelled(text)) == text


@given(st.lists(st.text(ALPHABET, min_size=1, max_size=10), min_size=1, max_size=5), st.floats(0.5, 1.0))
def test_whatever_is_read_a_plate_has_a_form_and_as_many_confidences_as_characters(texts: list[str], sure: float) -> None:
    plate = vote([reading(t, sure) for t in texts])
    if plate is not None:
        assert form_of(letters(plate.text)) is not None
        assert len(plate.confidence) == len(letters(plate.text)) in {len(f) for f in FORMS}


def test_look_alikes_are_those_of_the_stations_matching() -> None:
    from station.matching_plates import EQUIVALENT_CHARACTERS

    assert LOOK_ALIKES == EQUIVALENT_CHARACTERS
