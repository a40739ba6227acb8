"""Matching: identifiers name, circumstance only adjusts, and an answer is kept."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from station.contacts import Contact, Sight
from station.kalman import Estimate
from station.matching import (
    CIRCUMSTANCE_CAP_BITS,
    EQUIVALENT_CHARACTERS,
    EQUIVALENTS_LIMIT,
    PLATE_POPULATION,
    Circumstances,
    Match,
    canonical_plate,
    decide_match,
    plate_bits,
    score,
)
from station.picture import MatchState
from station.sentences import SENTENCES
from station.subjects import Category, KnownVehicle, Report, Subject
from wire.clock import NS_PER_S
from wire.units import ObjectClass

T0 = 1_780_000_000 * NS_PER_S
GROUPS = {c: g for g in EQUIVALENT_CHARACTERS for c in g}
plates = st.text(string.ascii_uppercase + string.digits, min_size=5, max_size=9)


def contact(plates: dict[str, int], object_class: ObjectClass = ObjectClass.CAR, corridors=("khe-da",)) -> Contact:
    made = Contact(1, "person" if object_class is ObjectClass.PERSON else "vehicle",
                   Estimate(np.zeros(4), np.eye(4), T0), T0, T0, T0, True)
    made.plates, made.votes, made.corridors = plates, {object_class.value: 1.0}, corridors
    made.sights = {"gate-1": Sight(1, T0, (1.0, 0.0, 1.0))}
    return made


def subject(**changes: Any) -> Subject:
    fields: dict[str, Any] = {
        "id": "S-000001", "category": Category.COURIER, "label": "x", "plates": (), "vehicles": (), "corridors": (),
        "hours": None, "party_size": None, "reason": "r", "lawful_basis": "l", "what_to_do": "w",
        "expires_ns": T0 * 2, "nominated_by": "lan", "nominated_ns": T0, "approved_by": "minh", "approved_ns": T0,
    }
    return Subject(**(fields | changes))


def report(**changes: Any) -> Report:
    fields: dict[str, Any] = {
        "id": "R-000001", "subject": "S-000001", "reported_by": "Binh", "corridor": "khe-da", "position": None,
        "radius_m": 100.0, "from_ns": T0 - 3600 * NS_PER_S, "until_ns": T0 + 3600 * NS_PER_S, "made_ns": T0,
    }
    return Report(**(fields | changes))


AROUND = Circumstances(minute=23 * 60, party=3, corridors_total=4)


def test_the_readings_of_the_design_page() -> None:
    exact, similar = plate_bits("74C-123.45", "74C12345"), plate_bits("74C-123.45", "74C-I23.45")
    assert exact is not None and similar is not None
    assert (exact[1], similar[1]) == (0, 1)
    assert similar[0] == pytest.approx(14.1, abs=0.2)
    assert exact[0] > similar[0]


@given(plates)
def test_a_plate_read_as_itself_is_the_best_reading(plate: str) -> None:
    found = plate_bits(plate, plate)
    assert found is not None and found[1] == 0
    assert found[0] <= math.log2(PLATE_POPULATION)


@given(plates, st.data())
def test_look_alikes_cost_bits_and_more_than_two_are_another_plate(plate: str, data: st.DataObject) -> None:
    confusable = [i for i, c in enumerate(plate) if c in GROUPS]
    assume(confusable)
    changed = data.draw(st.lists(st.sampled_from(confusable), unique=True, min_size=1))
    read = list(plate)
    for i in changed:
        read[i] = data.draw(st.sampled_from([c for c in GROUPS[plate[i]] if c != plate[i]]))
    found, exact = plate_bits(plate, "".join(read)), plate_bits(plate, plate)
    assert canonical_plate("".join(read)) == canonical_plate(plate)
    if len(changed) > EQUIVALENTS_LIMIT:
        assert found is None
    else:
        assert found is not None and exact is not None
        assert found[1] == len(changed)
        assert found[0] < exact[0]


@given(plates, plates)
def test_plates_that_do_not_look_alike_never_agree(a: str, b: str) -> None:
    assume(canonical_plate(a) != canonical_plate(b))
    assert plate_bits(a, b) is None


@given(plates, st.data())
def test_what_a_node_is_unsure_of_weighs_less(plate: str, data: st.DataObject) -> None:
    sure = data.draw(st.lists(st.floats(0.3, 1.0), min_size=len(plate), max_size=len(plate)).map(tuple))
    at = data.draw(st.integers(0, len(plate) - 1))
    less = (*sure[:at], sure[at] * 0.5, *sure[at + 1 :])
    found, lower = plate_bits(plate, plate, sure), plate_bits(plate, plate, less)
    assert found is not None and lower is not None
    assert lower[0] < found[0] <= math.log2(PLATE_POPULATION)


def test_a_look_alike_that_a_node_is_sure_of_weighs_less_than_one_in_doubt() -> None:
    usual = plate_bits("74C12345", "74CI2345")
    doubtful, sure = (plate_bits("74C12345", "74CI2345", (0.99,) * 3 + (c,) + (0.99,) * 4) for c in (0.5, 0.98))
    assert usual is not None and doubtful is not None and sure is not None
    assert doubtful[0] > usual[0] > sure[0]
    # Confidences at the usual values change nothing but the plain characters' share.
    same = plate_bits("0000", "OOOO", (0.85,) * 4)
    assert same == plate_bits("0000", "OOOO") is None
    assert plate_bits("0018", "OO18", (0.85,) * 4) == pytest.approx(plate_bits("0018", "OO18"))


@pytest.mark.parametrize("confidence", [(0.0,) * 8, (1.0,) * 8, (0.5,) * 7, (0.5,) * 9, ()])
def test_no_confidence_that_may_arrive_breaks_the_sum_or_names_anybody_for_certain(confidence) -> None:
    found = plate_bits("74C12345", "74C12345", confidence)
    assert found is not None
    assert -20.0 < found[0] < math.log2(PLATE_POPULATION)


def test_the_confidence_of_a_contacts_plate_reaches_the_bits_of_the_question() -> None:
    listed, seen = subject(plates=("74C12345",)), contact({"74C-123.45": 3})
    usual = score(listed, seen, [], {}, AROUND)
    seen.plate_confidence["74C-123.45"] = (0.9,) * 3 + (0.4,) + (0.9,) * 4
    assert score(listed, seen, [], {}, AROUND).bits < usual.bits


@pytest.mark.parametrize(("seen", "listed", "key"), [
    ("blue", "blue", "colour_agrees"), ("blue", "Blue", "colour_agrees"), ("white", "blue", "colour_differs"),
    ("white", "grey", None), ("blue", "sky with stars", None), ("blue", "", None), (None, "blue", None),
])
def test_a_colour_is_circumstance_of_a_known_vehicle(seen, listed, key) -> None:
    made = contact({"75A11111": 2})
    if seen:
        made.colours[seen] = 4
    found = score(subject(vehicles=(KnownVehicle("75A11111", ObjectClass.CAR, listed),)), made, [], {}, AROUND)
    told = [e for e in found.evidence if e.signal == "colour"]
    assert [e.says.key for e in told] == ([f"match.evidence.{key}"] if key else [])
    assert all((e.bits > 0) is (key == "colour_agrees") for e in told)
    # A colour alone names nobody.
    nameless = contact({})
    nameless.colours["blue"] = 9
    owner = subject(vehicles=(KnownVehicle("75A11111", ObjectClass.CAR, "blue"),))
    assert score(owner, nameless, [], {}, AROUND).identifier is None


habits = st.fixed_dictionaries(
    {
        "corridors": st.sampled_from([(), ("khe-da",), ("ben-song",), ("khe-da", "ben-song")]),
        "hours": st.one_of(st.none(), st.tuples(st.integers(0, 1440), st.integers(0, 1440))),
        "party_size": st.one_of(st.none(), st.integers(1, 20)),
    }
)
arounds = st.builds(Circumstances, st.integers(0, 1439), st.integers(1, 20), st.integers(1, 50))


@given(habits, arounds, st.sampled_from([{}, {"99X99999": 9}]), st.sampled_from(list(ObjectClass)))
def test_circumstance_alone_names_nobody(habit, around, read, kind) -> None:
    listed = subject(plates=("74C12345",), vehicles=(KnownVehicle("75A11111", ObjectClass.CAR),), **habit)
    found = score(listed, contact(read, kind), [], {}, around)
    assert found.identifier is None
    assert found.evidence == ()
    assert found.bits == 0.0


@given(habits, arounds)
def test_circumstance_moves_an_identifier_within_its_cap(habit, around) -> None:
    bare = score(subject(plates=("74C12345",)), contact({"74C12345": 3}), [], {}, around)
    found = score(subject(plates=("74C12345",), **habit), contact({"74C12345": 3}), [], {}, around)
    assert abs(found.bits - bare.bits) <= CIRCUMSTANCE_CAP_BITS + 0.02
    assert sum(e.bits for e in found.evidence) == pytest.approx(found.bits, abs=0.05), "what is shown adds up"


@given(habits, arounds, st.sampled_from(["74C12345", "74CI2345", "75A11111"]))
def test_every_evidence_has_a_sentence_with_all_its_words(habit, around, read) -> None:
    listed = subject(plates=("74C12345",), vehicles=(KnownVehicle("75A11111", ObjectClass.TRUCK),), **habit)
    found = score(listed, contact({read: 2}), [report()], {}, around)
    assert found.identifier is not None
    for evidence in found.evidence:
        SENTENCES[evidence.says.key].format(**evidence.says.params)


def test_a_known_vehicles_class_counts_as_circumstance() -> None:
    listed = subject(vehicles=(KnownVehicle("75A11111", ObjectClass.TRUCK),))
    same = score(listed, contact({"75A11111": 2}, ObjectClass.TRUCK), [], {}, AROUND)
    other = score(listed, contact({"75A11111": 2}, ObjectClass.CAR), [], {}, AROUND)
    assert same.bits > other.bits
    assert same.evidence[0].signal == "known_vehicle"


def test_a_reading_that_was_outvoted_does_not_count() -> None:
    listed = subject(plates=("74C12345",))
    assert score(listed, contact({"74C12345": 1, "74C12395": 9}), [], {}, AROUND).identifier is None
    assert score(listed, contact({"74C12345": 5, "74C12395": 9}), [], {}, AROUND).identifier is not None


@pytest.mark.parametrize(
    ("change", "distance_m", "names"),
    [
        ({}, None, True),
        ({"corridor": "ben-song"}, None, False),
        ({"until_ns": T0 - 1}, None, False),
        ({"from_ns": T0 + 1}, None, False),
        ({"corridor": None}, 99.0, True),
        ({"corridor": None}, 101.0, False),
    ],
)
def test_a_report_names_only_in_its_place_and_time(change, distance_m, names) -> None:
    made = report(**change)
    distances = {} if distance_m is None else {made.id: distance_m}
    found = score(subject(), contact({}, ObjectClass.PERSON), [made], distances, AROUND)
    assert (found.identifier is not None) is names


@given(st.floats(0.5, 71.0), st.floats(1.01, 5.0))
def test_a_wider_window_says_less(hours: float, times: float) -> None:
    def bits(h: float) -> float:
        made = report(from_ns=T0 - 1, until_ns=T0 + round(h * 3.6e12))
        return score(subject(), contact({}, ObjectClass.PERSON), [made], {}, AROUND).bits

    assert bits(hours * times) <= bits(hours)


# ------------------------------------------------------------------------------------------------------- the answers


def question(needed: int) -> Match:
    return Match(1, "C-000001", "S-000001", "welfare", needed, T0, 12.0, "plate x", ())


def test_a_grave_yes_needs_two_different_persons() -> None:
    match = question(2)
    assert decide_match(match, MatchState.CONFIRMED, "lan", "", T0) is None
    assert match.state is MatchState.QUESTION
    refused = decide_match(match, MatchState.CONFIRMED, "lan", "", T0)
    assert refused is not None and refused.key == "match.refused.second_person"
    assert decide_match(match, MatchState.CONFIRMED, "minh", "", T0) is None
    assert (match.state, match.confirmed_by) == (MatchState.CONFIRMED, ("lan", "minh"))


@given(st.lists(st.tuples(st.sampled_from(list(MatchState)), st.sampled_from(["a", "b", "c"])), max_size=12),
       st.sampled_from([1, 2]))
def test_whatever_is_answered_a_decided_question_stays_decided(answers, needed) -> None:
    match = question(needed)
    decided: MatchState | None = None
    for answer, person in answers:
        refused = decide_match(match, answer, person, "", T0)
        if decided is not None:
            assert refused is not None and match.state is decided
        elif match.state is not MatchState.QUESTION:
            decided = match.state
    yes = set(match.confirmed_by)
    assert (match.state is MatchState.CONFIRMED) == (
        len(yes) >= needed and not any(d.answer is MatchState.REJECTED for d in match.decisions)
    )
