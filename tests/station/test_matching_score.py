"""Matching: identifiers name, circumstance only adjusts, within its cap, whatever is thrown at it."""

from __future__ import annotations

import itertools
import string
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from station.matching_habits import Background, Sighted
from station.matching_plates import canonical_plate, even_crowd
from station.matching_score import Fit, Known, Scale, Sighting, Travel, fit, report_place, score
from station.matching_weights import ASSUMED, CIRCUMSTANCE_CAP_BITS, PLATE_SPACE, Traffic, Weights
from station.sentences import SENTENCES
from station.subjects import Category, KnownVehicle, Report, Subject
from wire.clock import NS_PER_S
from wire.units import Colour, GroundPosition, ObjectClass

T0 = 1_780_000_000 * NS_PER_S
CORRIDORS = ("khe-da", "ben-song", "deo-mu", "cau-treo")
plates = st.text(string.ascii_uppercase + string.digits, min_size=5, max_size=9)


def sighting(**changes: Any) -> Sighting:
    fields: dict[str, Any] = {
        "contact": "C-000001", "object_class": ObjectClass.CAR, "at_ns": T0, "minute": 2 * 1440 + 23 * 60,
        "corridors": ("khe-da",), "party": 3,
    }
    return Sighting(**(fields | changes))


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


def scale(weights: Weights = ASSUMED, listed: int = 100) -> Scale:
    return Scale(weights, Background(weights.traffic, len(CORRIDORS)), even_crowd(PLATE_SPACE), listed)


def a_fit(**changes: Any) -> Fit:
    return Fit(**({"report": "R-000001", "reported_by": "Binh", "where": "khe-da", "hours": 2.0, "fits": 2.0} | changes))


SCALE = scale()
habits = st.fixed_dictionaries({
    "corridors": st.sampled_from([(), ("khe-da",), ("ben-song",), ("khe-da", "ben-song")]),
    "hours": st.one_of(st.none(), st.tuples(st.integers(0, 1440), st.integers(0, 1440))),
    "days": st.lists(st.integers(0, 6), unique=True, max_size=3).map(tuple),
    "party_size": st.one_of(st.none(), st.integers(1, 20)),
})
arounds = st.fixed_dictionaries({
    "minute": st.integers(0, 7 * 1440 - 1), "party": st.integers(1, 20),
    "corridors": st.lists(st.sampled_from(CORRIDORS), unique=True, max_size=2).map(tuple),
    "colour": st.one_of(st.none(), st.sampled_from(list(Colour))), "object_class": st.sampled_from(list(ObjectClass)),
})
sighteds = st.lists(
    st.builds(Sighted, st.integers(0, 7 * 1440 - 1), st.just(("khe-da",)) | st.just(())), max_size=6
).map(tuple)
scales = st.builds(
    lambda counts, listed, cap: scale(
        msgspec.structs.replace(ASSUMED, traffic=Traffic(500, 2000.0, {"khe-da": tuple(counts)})), listed
    ),
    st.lists(st.integers(0, 50), min_size=168, max_size=168), st.integers(1, 10**6), st.none(),
)


# --------------------------------------------------------------------------------------------- no identifier, no name


@given(habits, arounds, sighteds, scales, st.sampled_from([{}, {"99X99999": 9}]))
def test_circumstance_alone_names_nobody(habit, around, sighted, with_scale, read) -> None:
    listed = subject(plates=("74C12345",), vehicles=(KnownVehicle("75A11111", ObjectClass.CAR, "blue"),), **habit)
    found = score(listed, sighting(plates=read, **around), with_scale, Known(sighted))
    assert (found.identifier, found.evidence, found.bits) == (None, (), 0.0)


@given(habits, arounds, sighteds, scales, plates, plates)
def test_a_name_always_has_an_identifier_in_its_evidence(habit, around, sighted, with_scale, listed, read) -> None:
    found = score(subject(plates=(listed,), **habit), sighting(plates={read: 2}, **around), with_scale, Known(sighted))
    signals = {e.signal for e in found.evidence}
    named = {"plate", "known_vehicle", "left_vehicle", "with_vehicle", "report"}
    assert bool(signals & named) is (found.identifier is not None)
    if found.identifier is None:
        assert found.bits == 0.0


@given(habits, arounds, sighteds, scales)
def test_circumstance_moves_an_identifier_within_its_cap(habit, around, sighted, with_scale) -> None:
    around = around | {"object_class": ObjectClass.CAR}
    bare = score(subject(plates=("74C12345",)), sighting(plates={"74C12345": 3}, **around), with_scale)
    who = subject(plates=("74C12345",), **habit)
    found = score(who, sighting(plates={"74C12345": 3}, **around), with_scale, Known(sighted))
    if bare.identifier is None:
        return
    assert abs(found.bits - bare.bits) <= CIRCUMSTANCE_CAP_BITS + 0.02
    assert sum(e.bits for e in found.evidence) == pytest.approx(found.bits, abs=0.05), "what is shown adds up"


# --------------------------------------------------------------------------------------------------------- monotone


@given(arounds, st.data())
def test_more_agreement_never_weighs_less(around, data) -> None:
    """Each circumstance that agrees, added to a record, cannot lower the sum; each that differs cannot raise it."""
    minute, party, corridors = around["minute"], around["party"], around["corridors"] or ("khe-da",)
    seen = sighting(plates={"75A11111": 3}, **(around | {"object_class": ObjectClass.CAR, "corridors": corridors}))
    bare = subject(vehicles=(KnownVehicle("75A11111"),))
    hour = minute % 1440 // 60 * 60
    agreeing = {
        "corridors": corridors, "hours": (hour, hour + 60), "days": (minute // 1440,), "party_size": party,
        "vehicles": (KnownVehicle("75A11111", ObjectClass.CAR),),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(agreeing)), unique=True))
    changes = {k: agreeing[k] for k in chosen}
    if "days" in changes:
        changes["hours"] = agreeing["hours"]
    assert score(msgspec.structs.replace(bare, **changes), seen, SCALE).bits >= score(bare, seen, SCALE).bits - 0.011
    other = next(c for c in CORRIDORS if c not in corridors)
    differing = {"corridors": (other,), "vehicles": (KnownVehicle("75A11111", ObjectClass.BUS),)}
    key = data.draw(st.sampled_from(sorted(differing)))
    worse = msgspec.structs.replace(bare, **{key: differing[key]})
    assert score(worse, seen, SCALE).bits <= score(bare, seen, SCALE).bits + 0.011


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_longer_list_makes_the_same_plate_less_probable(a: int, b: int) -> None:
    seen = sighting(plates={"74CI2345": 2})
    few, many = (score(subject(plates=("74C12345",)), seen, scale(listed=n)).probability for n in sorted((a, b)))
    assert many <= few + 1e-9


@given(st.floats(1.0, 500.0), st.floats(1.0, 500.0))
def test_a_report_that_more_contacts_fit_weighs_less(a: float, b: float) -> None:
    few, many = (
        score(subject(), sighting(object_class=ObjectClass.PERSON, reports=(a_fit(fits=n),)), SCALE) for n in sorted((a, b))
    )
    assert many.bits <= few.bits
    assert few.probability <= 0.71, "a report is right seven times in ten, and no more"


def test_a_report_that_everybody_fits_names_nobody() -> None:
    found = score(subject(), sighting(reports=(a_fit(fits=5000.0),)), scale(listed=1))
    assert found.identifier is None


# ------------------------------------------------------------------------------------------------ order and sameness


@given(st.dictionaries(st.sampled_from(["74C12345", "74CI2345", "74C1Z345", "99X99999"]), st.integers(1, 9), min_size=1),
       st.permutations(["khe-da", "ben-song"]), st.permutations([a_fit(), a_fit(report="R-000002", fits=5.0)]))
def test_the_order_of_evidence_is_irrelevant(read, corridors, fits) -> None:
    def found(texts: dict[str, int], places: Any, reports: Any):
        seen = sighting(plates=texts, corridors=tuple(sorted(places)), reports=tuple(reports))
        return score(subject(plates=("74C12345", "74C99999"), corridors=("khe-da",)), seen, SCALE)

    backwards = dict(reversed(list(read.items())))
    assert found(read, corridors, fits) == found(backwards, corridors[::-1], fits[::-1])


@given(plates, st.lists(plates, max_size=4))
def test_other_plates_of_a_record_take_nothing_from_a_plate(listed, others) -> None:
    seen = sighting(plates={listed: 3})
    alone = score(subject(plates=(listed,)), seen, SCALE)
    for order in itertools.islice(itertools.permutations([listed, *others]), 6):
        assert score(subject(plates=tuple(order)), seen, SCALE).bits >= alone.bits


@given(plates, plates)
def test_plates_that_are_alike_in_nothing_name_nobody(listed, read) -> None:
    assume(abs(len(listed) - len(read)) != 1 and canonical_plate(listed) != canonical_plate(read))
    assert score(subject(plates=(listed,)), sighting(plates={read: 5}), SCALE).identifier is None


# --------------------------------------------------------------------------------------------------- hostile records


hostile = st.text(max_size=40)


@given(hostile, hostile, hostile, st.sampled_from(CORRIDORS))
def test_no_text_in_a_record_or_on_a_plate_breaks_the_sum(plate, read, colour, corridor) -> None:
    listed = subject(
        plates=(plate,), vehicles=(KnownVehicle(plate, ObjectClass.CAR, colour),), corridors=(corridor, plate), label=read
    )
    seen = sighting(plates={read: 1, plate: 1}, plate_confidence={read: (0.5,)}, colour=Colour.BLUE)
    found = score(listed, seen, SCALE)
    assert abs(found.bits) < 200 and 0.0 <= found.probability <= 1.0
    for e in found.evidence:
        SENTENCES[e.says.key].format(**e.says.params)


@given(habits, arounds, st.sampled_from(["74C12345", "74CI2345", "75A11111", "74C1234", "74C1Z2345"]), st.booleans())
def test_every_evidence_has_a_sentence_with_all_its_words(habit, around, read, with_travel) -> None:
    listed = subject(plates=("74C12345",), vehicles=(KnownVehicle("75A11111", ObjectClass.TRUCK, "red"),), **habit)
    travel = Travel("C-000009", "left", 2, {read: 3}) if with_travel else None
    found = score(listed, sighting(plates={} if travel else {read: 2}, reports=(a_fit(),), travel=travel, **around), SCALE)
    assert found.identifier is not None
    for evidence in found.evidence:
        SENTENCES[evidence.says.key].format(**evidence.says.params)


# ------------------------------------------------------------------------------------------------------- the signals


def test_a_known_vehicles_class_and_colour_are_circumstance() -> None:
    listed = subject(vehicles=(KnownVehicle("75A11111", ObjectClass.TRUCK, "blue"),))
    read = {"75A11111": 2}
    same = score(listed, sighting(plates=read, object_class=ObjectClass.TRUCK, colour=Colour.BLUE), SCALE)
    other = score(listed, sighting(plates=read, colour=Colour.WHITE), SCALE)
    assert same.bits > other.bits
    assert [e.signal for e in same.evidence][:3] == ["known_vehicle", "class", "colour"]
    assert score(listed, sighting(object_class=ObjectClass.TRUCK, colour=Colour.BLUE), SCALE).identifier is None


@pytest.mark.parametrize(("seen", "listed", "key"), [
    ("blue", "blue", "colour_agrees"), ("blue", "Blue", "colour_agrees"), ("white", "blue", "colour_differs"),
    ("white", "grey", None), ("blue", "sky with stars", None), ("blue", "", None), (None, "blue", None),
])
def test_a_colour_agrees_differs_or_says_nothing(seen, listed, key) -> None:
    made = sighting(plates={"75A11111": 2}, colour=Colour(seen) if seen else None)
    found = score(subject(vehicles=(KnownVehicle("75A11111", ObjectClass.CAR, listed),)), made, SCALE)
    told = [e for e in found.evidence if e.signal == "colour"]
    assert [e.says.key for e in told] == ([f"match.evidence.{key}"] if key else [])


def test_a_reading_that_was_outvoted_does_not_count() -> None:
    listed = subject(plates=("74C12345",))
    assert score(listed, sighting(plates={"74C12345": 1, "74C12395": 9}), SCALE).identifier is None
    assert score(listed, sighting(plates={"74C12345": 5, "74C12395": 9}), SCALE).identifier is not None


@given(st.integers(1, 12), st.integers(1, 12))
def test_who_came_out_of_a_known_vehicle_shares_its_weight_with_the_others(a: int, b: int) -> None:
    listed = subject(vehicles=(KnownVehicle("75A11111"),))

    def found(people: int):
        travel = Travel("C-000009", "left", people, {"75A11111": 4})
        return score(listed, sighting(object_class=ObjectClass.PERSON, travel=travel), SCALE)

    few, many = sorted((a, b))
    assert found(many).bits <= found(few).bits
    assert found(1).identifier == "vehicle C-000009, plate 75A11111"
    direct = score(listed, sighting(plates={"75A11111": 4}), SCALE)
    assert found(1).probability < direct.probability, "the vehicle itself is surer than whoever came out of it"


def test_of_a_plate_of_its_own_and_a_vehicle_it_came_with_the_better_one_counts_once() -> None:
    listed = subject(plates=("74C12345",), vehicles=(KnownVehicle("75A11111"),))
    travel = Travel("C-000009", "with", 1, {"75A11111": 4})
    both = score(listed, sighting(plates={"74C12345": 3}, travel=travel), SCALE)
    alone = score(listed, sighting(plates={"74C12345": 3}), SCALE)
    assert both.bits == alone.bits


@pytest.mark.parametrize(
    ("change", "distance_m", "there"),
    [
        ({}, None, True),
        ({"corridor": "ben-song"}, None, False),
        ({"until_ns": T0 - 1}, None, False),
        ({"from_ns": T0 + 1}, None, False),
        ({"corridor": None, "position": GroundPosition(16.6, 106.6)}, 99.0, True),
        ({"corridor": None, "position": GroundPosition(16.6, 106.6)}, 101.0, False),
    ],
)
def test_a_report_names_only_in_its_place_and_time(change, distance_m, there) -> None:
    assert (report_place(report(**change), sighting(), distance_m) is not None) is there


@given(st.floats(0.5, 71.0), st.floats(1.01, 5.0), st.integers(0, 30))
def test_a_wider_window_says_less(hours: float, times: float, seen: int) -> None:
    background = Background(Traffic(), 4)

    def fits(h: float) -> float:
        return fit(report(from_ns=T0, until_ns=T0 + round(h * 3.6e12)), "khe-da", seen, background).fits

    assert fits(hours * times) >= fits(hours) >= max(1, seen)
