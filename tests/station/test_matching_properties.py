"""What must hold of matching whatever comes: pure properties of the weights, and a station that is worked by chance.

The station is real (sealed list, signed record, index, questions); its contacts are made here, and its clock is stepped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from benchmarks.watchlist import NOW_NS, station
from benchmarks.watchlist_population import CORRIDORS
from station.contacts import Contact
from station.kalman import Estimate
from station.matching import Match
from station.matching_habits import Background, habit_hours
from station.matching_plates import EQUIVALENT_CHARACTERS, Crowd, PlateCounts, PlateRates, clean_plate, plate_reading
from station.matching_score import NOTHING_KNOWN, Known, Scale, Travel, score
from station.matching_weights import ASSUMED, PLATE_SPACE, Pair, Weights
from station.picture import MatchState
from station.questions import Questions
from station.record import Record, public_key_file, verify
from station.rules import AlarmDesk
from station.subjects import Category, KnownVehicle, Subject
from station.watchlist import WatchlistError
from station.watchlist_file import Draft, Watchlist, subject_id
from station.watchlist_learning import BINS, accept_weights, calibration_error, propose_weights, take_back_weights
from station.watchlist_reader import ListReader
from tests.station.test_matching_score import a_fit, habits, scale, scales, sighteds, sighting, subject
from wire.clock import NS_PER_S, SteppedClock
from wire.units import Colour, ObjectClass

GROUPS = {c: g for g in EQUIVALENT_CHARACTERS for c in g}
# Few characters, nearly all of them alike, so that plates are close to each other.
close_plates = st.text("01IO7B8", min_size=4, max_size=6)
shares = st.floats(0.001, 0.999)
pairs = st.builds(Pair, shares, shares)
any_weights = st.builds(
    lambda plain, confusable, slip, **rest: Weights(
        plate=PlateRates(plain, confusable, (1.0 - confusable) * 0.8, slip, slip / 2, rest.pop("lent")), **rest
    ),
    shares, shares, st.floats(0.0001, 0.3), lent=shares, subject_share=st.floats(1e-6, 0.5), corridor_kept=shares,
    hour_kept=shares, report_right=shares, left_vehicle=shares, vehicle_class=pairs, colour=pairs, party=pairs,
)
counted = st.builds(
    PlateCounts, st.integers(1, 10**6), st.integers(0, 10**6), st.dictionaries(st.integers(0, 9), st.integers(0, 10**6)),
    st.dictionaries(st.text("0123456789AB", max_size=4), st.integers(0, 10**6)),
)
surroundings = st.fixed_dictionaries({
    "minute": st.integers(0, 10079), "party": st.integers(1, 300),
    "corridors": st.lists(st.sampled_from(["khe-da", "ben-song"]), unique=True).map(tuple),
    "colour": st.none() | st.sampled_from(list(Colour)), "object_class": st.sampled_from(list(ObjectClass)),
})
readings = st.dictionaries(close_plates, st.integers(1, 50), max_size=4)
vehicles = st.lists(
    st.builds(KnownVehicle, close_plates, st.none() | st.just(ObjectClass.CAR), st.sampled_from(["", "blue", "BLUE"])),
    max_size=3,
).map(tuple)
told = st.dictionaries(close_plates, st.integers(1, 10**6), max_size=4)
fits = st.lists(
    st.builds(a_fit, report=st.sampled_from(["R-1", "R-2", "R-3"]), fits=st.floats(1.0, 1e9), hours=st.floats(0.5, 72.0)),
    max_size=3,
).map(tuple)
travels = st.none() | st.builds(Travel, st.just("C-000009"), st.sampled_from(["left", "with"]), st.integers(1, 60), readings)


def scale_of(weights: Weights, plates: PlateCounts, listed: int) -> Scale:
    return Scale(weights, Background(weights.traffic, 4), Crowd(PLATE_SPACE, plates, lambda t: len(t) + ord(t[0])), listed)


# ------------------------------------------------------------------------------------------------------------- the sum


@hypothesis_settings(deadline=None, max_examples=200)
@given(
    any_weights, counted, st.integers(1, 10**9), readings, vehicles, habits, surroundings, sighteds, told, fits, travels,
    st.lists(st.floats(allow_nan=False) | st.just(0.0), min_size=4, max_size=6).map(tuple),
)
def test_bits_are_finite_and_probabilities_are_some(
    weights, plates, listed, read, owned, habit, around, sighted, no, reports, travel, confidence
) -> None:
    """For all weights that learning can come to, all traffic, and all that a node may send."""
    seen = sighting(
        plates=read, plate_confidence=dict.fromkeys(read, confidence), reports=reports, travel=travel, **around
    )
    who = subject(plates=tuple(read), vehicles=owned, **habit)
    found = score(who, seen, scale_of(weights, plates, listed), Known(sighted, no))
    assert math.isfinite(found.bits) and all(math.isfinite(e.bits) for e in found.evidence)
    assert 0.0 <= found.probability <= 1.0


@hypothesis_settings(deadline=None)
@given(readings, vehicles, habits, surroundings, st.integers(2, 40), fits, scales)
def test_one_sighting_counts_once_however_often_it_is_told(read, owned, habit, around, times, reports, with_scale) -> None:
    """Read more often, reported twice, listed as its own plate and as a known vehicle's: the same news, the same bits."""
    who = subject(plates=tuple(v.plate for v in owned), **habit)
    once = score(who, sighting(plates=read, reports=reports, **around), with_scale)
    often = score(who, sighting(plates={t: n * times for t, n in read.items()}, reports=reports * 2, **around), with_scale)
    assert often.bits == once.bits and often.identifier == once.identifier
    twice = score(
        subject(plates=tuple(v.plate for v in owned) * 2, vehicles=tuple(KnownVehicle(v.plate) for v in owned), **habit),
        sighting(plates=read, reports=reports, **around), with_scale,
    )
    assert twice.bits == pytest.approx(once.bits, abs=1e-9)


@hypothesis_settings(deadline=None)
@given(readings, vehicles, habits, surroundings, sighteds, fits, st.randoms(), scales)
def test_the_order_in_which_anything_is_listed_or_read_is_irrelevant(
    read, owned, habit, around, sighted, reports, chance, with_scale
) -> None:
    def shuffled(values: Any) -> Any:
        return tuple(chance.sample(list(values), len(values)))

    # Of two vehicles with one plate the record itself does not say which it is; such records are another matter.
    assume(len({clean_plate(v.plate) for v in owned}) == len(owned))
    seen = sighting(plates=read, reports=reports, **around)
    one = score(subject(vehicles=owned, **habit), seen, with_scale, Known(sighted))
    mixed = msgspec.structs.replace(
        seen, plates={t: read[t] for t in shuffled(read)}, reports=shuffled(reports), corridors=seen.corridors
    )
    other = score(subject(vehicles=shuffled(owned), **habit), mixed, with_scale, Known(shuffled(sighted)))
    assert other.bits == pytest.approx(one.bits, abs=0.02) or _is_a_tie(one, other)


def _is_a_tie(one: Any, other: Any) -> bool:
    """Two plates fit equally well, and which is told is either's right: their identifiers weigh the same."""
    return bool(one.evidence[0].bits == pytest.approx(other.evidence[0].bits, abs=0.011))


@hypothesis_settings(deadline=None)
@given(habits, surroundings, sighteds, scales, st.sampled_from(["corridors", "hours", "party_size", "vehicles", "seen"]))
def test_what_is_unknown_is_no_evidence_neither_for_nor_against(habit, around, sighted, with_scale, unknown) -> None:
    """Of the record or of the contact: the signal is simply not there."""
    listed = {"vehicles": (KnownVehicle("74C12345", ObjectClass.TRUCK, "blue"),), **habit}
    silent = {
        "corridors": {"corridor"}, "hours": {"hour"}, "party_size": {"party"}, "vehicles": {"class", "colour"},
        "seen": {"colour", "corridor"},
    }[unknown]
    known = Known(sighted)
    if unknown == "vehicles":
        listed["vehicles"] = (KnownVehicle("74C12345"),)
    elif unknown == "seen":
        around = around | {"colour": None, "corridors": ()}
    else:
        listed[unknown] = () if unknown == "corridors" else None
        listed["days"] = () if unknown == "hours" else listed["days"]
        known = NOTHING_KNOWN       # what was confirmed is known, whatever the record says
    found = score(subject(**listed), sighting(plates={"74C12345": 2}, **around), with_scale, known)
    assert found.identifier is not None
    assert not silent & {e.signal for e in found.evidence}


@hypothesis_settings(deadline=None)
@given(close_plates, st.data(), scales, st.floats(0.5, 0.98))
def test_the_more_of_a_plate_agrees_the_more_it_weighs(plate, data, with_scale, sure) -> None:
    """Exact, one look-alike, two, and then it is another plate; with and without what the reader says of itself.

    A reader that is less than half sure of a character says that it is another one; then a look-alike weighs more.
    """
    places = [i for i, c in enumerate(plate) if c in GROUPS]
    assume(len(places) >= 3)
    for confidence in ((), (sure,) * len(plate)):
        text, last = list(plate), math.inf
        for i in [None, *data.draw(st.permutations(places))[:3]]:
            if i is not None:
                text[i] = next(c for c in GROUPS[plate[i]] if c != plate[i])
            read = "".join(text)
            seen = sighting(plates={read: 1}, plate_confidence={read: confidence} if confidence else {})
            found = score(subject(plates=(plate,)), seen, with_scale)
            bits = found.bits if found.identifier else 0.0
            assert bits <= last + 1e-9
            last = bits
        assert last == 0.0, "three look-alikes are another plate"


@hypothesis_settings(deadline=None)
@given(readings, vehicles, surroundings, told, st.integers(1, 1000), scales)
def test_a_no_never_speaks_for_anybody(read, owned, around, no, more, with_scale) -> None:
    who, seen = subject(vehicles=owned), sighting(plates=read, **around)
    of = [score(who, seen, with_scale, Known((), n)).probability for n in ({}, no, {t: n + more for t, n in no.items()})]
    assert of[0] + 1e-12 >= of[1] >= of[2] - 1e-12


@given(habits, sighteds)
def test_a_habit_is_a_density(habit, sighted) -> None:
    hours = habit_hours(subject(**habit), sighted)
    if hours is not None:
        assert hours.shape == (168,) and float(hours.min()) >= 0.0 and float(hours.sum()) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), max_size=60), st.randoms())
def test_the_calibration_error_is_a_share_and_has_no_order(tried, chance) -> None:
    error = calibration_error(tried)
    assert 0.0 <= error <= 1.0
    assert calibration_error(chance.sample(tried, len(tried))) == pytest.approx(error)
    assert calibration_error([(float(right), right) for _, right in tried]) == 0.0
    # Being right half of the time at one half is perfect; always wrong and always sure is the worst.
    assert calibration_error([(0.5 + 0.5 / BINS, True), (0.5 + 0.5 / BINS, False)] * 9) < 0.06
    assert calibration_error([(1.0, False)] * 3) == 1.0


# ---------------------------------------------------------------------------------------------------------- the station


def draft(*plates: str, expires_ns: int = 4_000_000_000 * NS_PER_S, category: Category = Category.COURIER) -> Draft:
    return Draft(category, "label", "r", "l", "w", expires_ns, plates)


def contact(number: int, at_ns: int, plates: dict[str, int]) -> Contact:
    made = Contact(number, "vehicle", Estimate(np.zeros(4), np.eye(4), at_ns), at_ns, at_ns, at_ns, True)
    made.corridors, made.votes = (CORRIDORS[0],), {"car": 1.0}
    for text, times in plates.items():
        for _ in range(times):
            made.note_plate(text)
    return made


class Desk:
    """A station's matching, which can be restarted."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self.settings, self.sector, self.clock = self._held.enter_context(station())
        self.list = Watchlist(self.settings, self.clock)
        self.record = Record(self.settings, self.clock)
        self.alarms = AlarmDesk(self.sector)
        self.contacts: dict[int, Contact] = {}
        self.questions = Questions(self.settings, self.sector, self.clock, self.record, (), 1)

    def approve(self, *drafts: Draft) -> list[Subject]:
        return self.list.approve(self.list.add(drafts, "lan"), "minh", lambda _: None)

    def look(self, *numbers: int) -> None:
        self.clock.advance(2.5)
        self.questions.look_again()
        for number in numbers:
            self.questions.consider(self.contacts[number])
        self.questions.ask(SimpleNamespace(contacts=self.contacts), self.alarms, self.clock.utc_ns())  # type: ignore[arg-type]

    def restart(self) -> None:
        """From what mind.db would hold: matches and states as bytes."""
        kept = [msgspec.msgpack.decode(msgspec.msgpack.encode(m), type=Match) for m in self.questions.matches.values()]
        states, following = self.questions.states(self.clock.utc_ns(), everything=True), self.questions.next_number
        self._states = {**getattr(self, "_states", {}), **states}
        self.questions.close()
        self.questions = Questions(self.settings, self.sector, self.clock, self.record, kept, following, self._states)

    def pairs(self) -> dict[tuple[str, str], Match]:
        return {(m.subject, m.contact): m for m in self.questions.matches.values()}

    def close(self) -> None:
        self.questions.close()
        self.record.close()
        self.list.close()
        self._held.close()


@contextmanager
def open_desk() -> Iterator[Desk]:
    desk = Desk()
    try:
        yield desk
    finally:
        desk.close()


@hypothesis_settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(close_plates, max_size=3), min_size=1, max_size=12), st.lists(close_plates, min_size=1, max_size=8))
def test_the_index_finds_whatever_holding_every_record_against_it_finds(listed, read) -> None:
    with station() as (settings, sector, clock):
        writer = Watchlist(settings, clock)
        subjects = writer.approve(writer.add([draft(*plates) for plates in listed], "lan"), "minh", lambda _: None)
        reader = ListReader(settings, clock, sector.frame)
        reader.look(clock.utc_ns())
        with_scale = scale()
        for text in read:
            found = {subject_id(n) for n in reader.numbers_of([text])}
            readings_of = {s.id for s in subjects if any(plate_reading(p, text, PlateRates()) for p in s.plates)}
            assert readings_of <= found
            seen = sighting(plates={text: 1})
            assert {s.id for s in subjects if score(s, seen, with_scale).identifier} <= found
        reader.close()
        writer.close()


@hypothesis_settings(deadline=None, max_examples=15)
@given(st.integers(-3, 3), st.integers(0, 5), st.booleans())
def test_a_record_asks_until_the_nanosecond_of_its_expiry_and_not_at_it(before_s, looks, approved) -> None:
    with open_desk() as desk:
        expires_ns = NOW_NS + (10 + before_s) * NS_PER_S
        (nominated,) = desk.list.add([draft("74C12345", expires_ns=expires_ns)], "lan")
        if approved:
            desk.list.approve([nominated], "minh", lambda _: None)
        desk.contacts[1] = contact(1, NOW_NS, {"74C12345": 3})
        for _ in range(looks):
            desk.look(1)
            asked = bool(desk.pairs())
            assert asked is (approved and NOW_NS + round(2.5 * NS_PER_S) < expires_ns)


class Officers(RuleBasedStateMachine):
    """Contacts are seen and seen again, officers answer, records end and are nominated anew, and the mind is restarted."""

    @initialize(plates=st.lists(close_plates, min_size=1, max_size=4))
    def begin(self, plates: list[str]) -> None:
        self.desk = Desk()
        self.answers: dict[tuple[str, str], MatchState] = {}
        self.bits: dict[tuple[str, str], float] = {}
        self.subjects = self.desk.approve(*(draft(p) for p in plates))

    @rule(which=st.integers(0, 99), twist=st.integers(0, 99), times=st.integers(1, 3))
    def somebody_comes(self, which: int, twist: int, times: int) -> None:
        plate = self.subjects[which % len(self.subjects)].plates[0]
        places = [i for i, c in enumerate(plate) if c in GROUPS]
        if twist % 2 and places:
            i = places[twist % len(places)]
            plate = plate[:i] + GROUPS[plate[i]][twist % len(GROUPS[plate[i]])] + plate[i + 1 :]
        number = len(self.desk.contacts) + 1
        self.desk.contacts[number] = contact(number, self.desk.clock.utc_ns(), {plate: times})
        self.desk.look(number)

    @precondition(lambda self: self.desk.contacts)
    @rule(which=st.integers(0, 99), times=st.integers(1, 4))
    def it_is_looked_at_again_and_again(self, which: int, times: int) -> None:
        """The same sighting told anew: no second question, and not a bit more."""
        number = 1 + which % len(self.desk.contacts)
        before = {p: m.bits for p, m in self.desk.pairs().items() if m.contact == self.desk.contacts[number].id}
        for _ in range(times):
            self.desk.look(number)
        pairs = self.desk.pairs()
        for pair, bits in before.items():
            assert pairs[pair].bits <= bits + 0.5 + 1e-9, "what changes is what is known of others, and that takes away"

    @precondition(lambda self: any(m.state is MatchState.QUESTION for m in self.desk.questions.matches.values()))
    @rule(which=st.integers(0, 99), yes=st.booleans())
    def an_officer_answers(self, which: int, yes: bool) -> None:
        waiting = [m for m in self.desk.questions.matches.values() if m.state is MatchState.QUESTION]
        match = waiting[which % len(waiting)]
        answer = MatchState.CONFIRMED if yes else MatchState.REJECTED
        self.desk.questions.decide(match.id, answer, "lan", "asked the patrol", self.desk.clock.utc_ns())
        self.answers[(match.subject, match.contact)] = match.state

    @precondition(lambda self: len(self.desk.contacts) >= 2)
    @rule(a=st.integers(0, 99), b=st.integers(0, 99))
    def two_turn_out_to_be_one(self, a: int, b: int) -> None:
        alive = [n for n, c in self.desk.contacts.items() if c.merged_into is None]
        stays, goes = alive[a % len(alive)], alive[b % len(alive)]
        if stays == goes:
            return
        kept, gone = self.desk.contacts[min(stays, goes)], self.desk.contacts[max(stays, goes)]
        gone.merged_into = kept.number
        kept.absorbed = (*kept.absorbed, gone.number, *gone.absorbed)
        for text, times in gone.plates.items():
            for _ in range(times):
                kept.note_plate(text)
        self.desk.look(kept.number)

    @rule(which=st.integers(0, 99))
    def a_record_ends_and_is_nominated_anew(self, which: int) -> None:
        old = self.subjects[which % len(self.subjects)]
        self.desk.list.replace(msgspec.structs.replace(old, expires_ns=self.desk.clock.utc_ns()))
        self.subjects.remove(old)
        self.subjects += self.desk.approve(draft(*old.plates))

    @rule()
    def the_mind_is_restarted(self) -> None:
        self.desk.restart()
        self.desk.look(*(n for n, c in self.desk.contacts.items() if c.merged_into is None))

    @invariant()
    def one_pair_is_one_question_and_its_answer_stands(self) -> None:
        if not hasattr(self, "desk"):
            return
        matches = list(self.desk.questions.matches.values())
        assert len(self.desk.pairs()) == len(matches)
        for pair, answer in self.answers.items():
            assert self.desk.pairs()[pair].state is answer

    @invariant()
    def nobody_is_asked_about_one_thing_on_the_ground_twice_after_a_no(self) -> None:
        """A contact and what it has absorbed: after a no about any of them no open question is left about the subject."""
        if not hasattr(self, "desk"):
            return
        for kept in (c for c in self.desk.contacts.values() if c.merged_into is None):
            of = [m for m in self.desk.questions.matches.values() if m.contact in kept.ids]
            for name in {m.subject for m in of}:
                states = [m.state for m in of if m.subject == name]
                assert states.count(MatchState.QUESTION) <= 1
                assert not (MatchState.REJECTED in states and MatchState.QUESTION in states)

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            verdict = verify(self.desk.settings.record_db, public_key_file(self.desk.settings))
            self.desk.close()
            assert verdict.broken is None


TestOfficers = Officers.TestCase
TestOfficers.settings = hypothesis_settings(max_examples=20, stateful_step_count=20, deadline=None)

PEOPLE = ("lan", "minh", "huong")


@hypothesis_settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["propose", "accept", "take back"]), st.sampled_from(PEOPLE), st.integers(1, 4)),
                max_size=10))
def test_weights_are_in_force_only_by_two_persons_and_never_by_themselves(doings) -> None:
    """Whatever three persons try in whatever order: in force is the newest version that somebody else has accepted."""
    with station() as (settings, sector, clock):
        with open_mind(settings, sector, clock):
            pass
        proposed: dict[int, str] = {}
        standing: list[int] = []
        over: set[int] = set()
        for what, person, version in doings:
            with suppress(WatchlistError):
                if what == "propose":
                    propose_weights(settings, person, clock)
                    proposed[len(proposed) + 1] = person
                elif what == "accept":
                    accept_weights(settings, person, version, clock)
                    assert version in proposed and proposed[version] != person and version not in {*standing, *over}
                    standing.append(version)
                else:
                    take_back_weights(settings, person, version, "wrong", clock)
                    assert standing[-1] == version
                    over.add(standing.pop())
            opened = Watchlist(settings, clock)
            in_force = opened.weights_in_force()
            opened.close()
            assert in_force.version == (standing[-1] if standing else 0)
            assert standing or in_force == ASSUMED


@contextmanager
def open_mind(settings: Any, sector: Any, clock: SteppedClock) -> Iterator[Any]:
    from station.mind import Mind

    mind = Mind(settings, sector, clock)
    try:
        yield mind
    finally:
        mind.close()


