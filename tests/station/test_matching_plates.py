"""The reading model of plates: a channel that adds up, alike both ways, and weighed by how often each plate comes."""

from __future__ import annotations

import itertools
import math
import string

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from station.matching_plates import (
    CHARACTERS,
    EQUIVALENT_CHARACTERS,
    EQUIVALENTS_LIMIT,
    Crowd,
    PlateCounts,
    PlateRates,
    canonical_neighbours,
    canonical_plate,
    character_chance,
    clean_plate,
    crowd_chance,
    even_crowd,
    plate_bits,
    plate_parts,
    plate_reading,
)
from station.matching_weights import PLATE_SPACE

GROUPS = {c: g for g in EQUIVALENT_CHARACTERS for c in g}
RATES, CROWD, PRIOR = PlateRates(), even_crowd(PLATE_SPACE), 1e-7
plates = st.text(string.ascii_uppercase + string.digits, min_size=5, max_size=9)
rates = st.builds(
    lambda plain, right, alike, slip: PlateRates(plain, right, (1 - right) * alike, slip, slip / 2, 0.03),
    st.floats(0.5, 0.999), st.floats(0.3, 0.99), st.floats(0.1, 0.99), st.floats(0.0, 0.05),
)


def bits(listed: str, read: str, confidence: tuple[float, ...] = ()) -> float | None:
    found = plate_bits(listed, read, RATES, CROWD, PRIOR, confidence)
    return None if found is None else found[0]


def alike(data: st.DataObject, plate: str, most: int = 9) -> tuple[str, int]:
    confusable = [i for i, c in enumerate(plate) if c in GROUPS]
    assume(confusable)
    changed = data.draw(st.lists(st.sampled_from(confusable), unique=True, min_size=1, max_size=most))
    read = list(plate)
    for i in changed:
        read[i] = data.draw(st.sampled_from([c for c in GROUPS[plate[i]] if c != plate[i]]))
    return "".join(read), len(changed)


@given(st.sampled_from(CHARACTERS), rates)
def test_what_may_be_read_of_a_character_adds_up_to_one(true, r) -> None:
    assert sum(character_chance(read, true, r) for read in CHARACTERS) == pytest.approx(1.0)


@hypothesis_settings(deadline=None)     # 399 readings an example
@given(rates)
def test_what_may_be_read_of_a_plate_never_adds_up_to_more_than_one(r) -> None:
    """Over all readings of a short plate, slips included; what is missing are readings that count as other plates."""
    plate = "1B7"
    readings = ["".join(c) for n in (2, 3, 4) for c in itertools.product("1IB8724", repeat=n)]
    total = sum(found.p for read in readings if (found := plate_reading(plate, read, r)) is not None)
    assert total <= 1.0 + 1e-9


@given(plates, plates)
def test_being_a_reading_of_each_other_is_symmetrical(a: str, b: str) -> None:
    assert (plate_reading(a, b, RATES) is None) is (plate_reading(b, a, RATES) is None)


@given(plates, st.data())
def test_confusion_is_symmetrical(plate: str, data: st.DataObject) -> None:
    read, _ = alike(data, plate, EQUIVALENTS_LIMIT)
    there, back = plate_reading(plate, read, RATES), plate_reading(read, plate, RATES)
    assert there is not None and back is not None
    assert there.p == pytest.approx(back.p) and there.equivalents == back.equivalents


@given(plates, rates)
def test_a_plate_read_as_itself_is_the_best_reading(plate: str, r) -> None:
    exact = plate_reading(plate, plate, r)
    assert exact is not None and (exact.equivalents, exact.slip) == (0, "")
    assert exact.p <= 1.0


@given(plates, st.data())
def test_look_alikes_cost_bits_and_more_than_two_are_another_plate(plate: str, data: st.DataObject) -> None:
    read, changed = alike(data, plate)
    assert canonical_plate(read) == canonical_plate(plate)
    found = plate_bits(plate, read, RATES, CROWD, PRIOR)
    if changed > EQUIVALENTS_LIMIT:
        assert found is None
    else:
        assert found is not None and found[1].equivalents == changed
        assert found[0] < (bits(plate, plate) or 0.0)


@given(plates, plates)
def test_plates_that_do_not_look_alike_never_agree(a: str, b: str) -> None:
    assume(canonical_plate(a) != canonical_plate(b) and canonical_plate(b) not in set(canonical_neighbours(a)))
    assert plate_reading(a, b, RATES) is None


@given(plates, st.data())
def test_a_lost_or_added_character_is_found_by_its_neighbours_and_weighs_less(plate: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(plate)))
    longer = plate[:at] + data.draw(st.sampled_from(CHARACTERS)) + plate[at:]
    for listed, read, slip in ((longer, plate, "missing"), (plate, longer, "extra")):
        assert canonical_plate(listed) in set(canonical_neighbours(read))
        found = plate_reading(listed, read, RATES)
        assert found is not None and found.slip == slip
        exact = plate_reading(listed, listed, RATES)
        assert exact is not None and found.p < exact.p


@given(plates, st.data())
def test_what_a_node_is_unsure_of_weighs_less(plate: str, data: st.DataObject) -> None:
    sure = data.draw(st.lists(st.floats(0.3, 1.0), min_size=len(plate), max_size=len(plate)).map(tuple))
    at = data.draw(st.integers(0, len(plate) - 1))
    less = (*sure[:at], sure[at] * 0.5, *sure[at + 1 :])
    found, lower = bits(plate, plate, sure), bits(plate, plate, less)
    assert found is not None and lower is not None and lower < found


def test_a_look_alike_that_a_node_is_sure_of_weighs_less_than_one_in_doubt() -> None:
    doubtful, sure = (bits("74C12345", "74CI2345", (0.99,) * 3 + (c,) + (0.99,) * 4) for c in (0.5, 0.98))
    assert doubtful is not None and sure is not None
    assert doubtful > sure


@pytest.mark.parametrize("confidence", [(0.0,) * 8, (1.0,) * 8, (0.5,) * 7, (0.5,) * 9, ()])
def test_no_confidence_that_may_arrive_breaks_the_sum(confidence) -> None:
    found = bits("74C12345", "74C12345", confidence)
    assert found is not None and 0.0 < found < 40.0


def test_the_readings_of_the_design_page_in_their_order() -> None:
    exact, similar, twice = (bits("74C-123.45", r) for r in ("74C12345", "74C-I23.45", "74C-IZ3.45"))
    assert exact is not None and similar is not None and twice is not None
    assert (round(exact, 1), round(similar, 1), round(twice, 1)) == (26.3, 22.7, 19.8)


# ------------------------------------------------------------------------------------------------- what comes often


def crowd(often: dict[str, int], contacts: int = 10_000, prefixes: dict[str, int] | None = None) -> Crowd:
    keys = {text: i for i, text in enumerate(often, 1)}
    counts = PlateCounts(contacts, contacts // 2, {keys[t]: n for t, n in often.items()}, prefixes or {"74C": contacts // 2})
    return Crowd(PLATE_SPACE, counts, lambda text: keys.get(text, 0))


def test_a_reading_that_is_a_common_plate_of_its_own_says_little_of_a_listed_one() -> None:
    rare, common = crowd({}), crowd({"B01234": 200}, prefixes={"B": 300})
    with_rare, with_common = (plate_bits("BO1234", "B01234", RATES, c, PRIOR) for c in (rare, common))
    assert with_rare is not None and with_common is not None
    assert with_common[0] < with_rare[0] - 6


def test_a_listed_plate_that_comes_often_and_is_misread_often_makes_no_plate_of_its_own() -> None:
    listed, read = "74C12345", "74C1Z345"
    p = plate_reading(listed, read, RATES)
    assert p is not None
    seen = crowd({listed: 100, read: round(100 * p.p)})
    never = crowd({})
    assert plate_bits(listed, read, RATES, seen, PRIOR) == pytest.approx(plate_bits(listed, read, RATES, never, PRIOR))


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_beginning_that_is_common_here_makes_a_chance_likeness_likelier(a: int, b: int) -> None:
    few, many = (crowd({}, prefixes={"74C": n}) for n in sorted((a, b)))
    assert crowd_chance("74C12345", "74C12345", RATES, many) >= crowd_chance("74C12345", "74C12345", RATES, few)


@given(plates, st.floats(1e-9, 1e-3))
def test_no_plate_is_surer_than_that_nobody_else_came_with_it(plate: str, prior: float) -> None:
    found = plate_bits(plate, plate, RATES, CROWD, prior)
    assert found is not None
    assert math.log2(prior) + found[0] <= math.log2((1 - RATES.vehicle_lent) / RATES.vehicle_lent) + 1e-9


@given(st.text(max_size=30))
def test_any_text_is_cleaned_to_what_can_be_compared(text: str) -> None:
    cleaned = clean_plate(text)
    assert set(cleaned) <= set(CHARACTERS)
    assert clean_plate(cleaned) == cleaned and canonical_plate(canonical_plate(text)) == canonical_plate(text)
    prefix, digits = plate_parts(cleaned)
    assert prefix == "?" or (cleaned.startswith(prefix) and len(prefix) + digits == len(cleaned))
