"""Weights learned from answers: each between what was assumed and what was counted, twice is once, and never silently."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmarks.watchlist import NOW_NS
from station.matching import Match, MatchDecision
from station.matching_score import NOTHING_KNOWN, score
from station.matching_weights import ASSUMED, Traffic
from station.mind import Mind
from station.picture import MatchState
from station.subjects import KnownVehicle
from station.watchlist import WatchlistError
from station.watchlist_learning import (
    ASSUMED_COUNTS,
    CALIBRATED_FROM,
    Decided,
    accept_weights,
    learn,
    propose_weights,
    show_weights,
    take_back_weights,
)
from tests.station.test_matching_properties import Desk, contact, draft, open_desk
from tests.station.test_matching_score import SCALE, a_fit, sighting, subject
from wire.units import Colour, ObjectClass

TRAFFIC = Traffic(contacts=5000, hours=700.0)


@st.composite
def answered(draw: st.DrawFn) -> Decided:
    """A question about a known vehicle, or from a report, with its answer."""
    vehicle = KnownVehicle("74C12345", ObjectClass.TRUCK, "blue")
    who = subject(vehicles=(vehicle,), corridors=("khe-da",), hours=(1320, 240), party_size=3)
    by_report = draw(st.booleans())
    seen = sighting(
        plates={} if by_report else {draw(st.sampled_from(["74C12345", "74CI2345", "74C1234"])): 2},
        reports=(a_fit(report=draw(st.sampled_from(["R-1", "R-2"])), fits=2.0),) if by_report else (),
        object_class=draw(st.sampled_from([ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.PERSON])),
        colour=draw(st.sampled_from([Colour.BLUE, Colour.RED, None])), minute=draw(st.integers(0, 10079)),
        corridors=draw(st.sampled_from([("khe-da",), ("ben-song",)])),
    )
    found = score(who, seen, SCALE)
    answer = draw(st.sampled_from([MatchState.CONFIRMED, MatchState.REJECTED]))
    match = Match(
        1, "C-000001", who.id, "enforcement", 1, NOW_NS, found.bits, found.identifier or "", found.evidence,
        [MatchDecision(answer, NOW_NS, "lan", "asked")], None, seen, 0, 100, found.probability,
    )
    return Decided(match, who, NOTHING_KNOWN)


questions = st.lists(answered(), max_size=30)


@hypothesis_settings(deadline=None)
@given(questions, st.randoms())
def test_learning_twice_is_learning_once_and_the_order_of_answers_is_irrelevant(decided, chance) -> None:
    once, _ = learn(decided, TRAFFIC, ASSUMED)
    twice, _ = learn(chance.sample(decided, len(decided)), TRAFFIC, msgspec.structs.replace(once, version=0))
    for a, b in zip(*(_numbers(msgspec.to_builtins(w)) for w in (once, twice)), strict=True):
        assert a == pytest.approx(b)


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in _numbers(v)]
    return [float(value)] if isinstance(value, int | float) else []


@hypothesis_settings(deadline=None)
@given(questions)
def test_every_number_stays_between_what_was_assumed_and_what_was_counted(decided) -> None:
    _, rows = learn(decided, TRAFFIC, ASSUMED)
    assumed = {r.name: r.old for r in rows}
    for r in rows:
        assert 0.0 < r.new < 1.0 and r.low <= r.high
        if r.yes + r.no == 0:
            assert r.new == pytest.approx(assumed[r.name], abs=1e-9), "nothing was counted, and nothing changes"
        else:
            low, high = sorted((assumed[r.name], r.yes / (r.yes + r.no)))
            assert low - 0.0011 <= r.new <= high + 0.0011


def test_nothing_answered_is_nothing_learned() -> None:
    new, _ = learn([], Traffic(), ASSUMED)
    for a, b in zip(*(_numbers(msgspec.to_builtins(w)) for w in (new, ASSUMED)), strict=True):
        assert a == pytest.approx(b)


def test_enough_answers_outweigh_what_was_assumed() -> None:
    """Reports that were always wrong: after a hundred of them the assumed 0.7 is nearly gone."""
    seen = sighting(reports=(a_fit(),), object_class=ObjectClass.PERSON)
    decided = []
    for i in range(100):
        who = subject(id=f"S-{i:06d}")
        found = score(who, seen, SCALE)
        match = Match(
            i, f"C-{i:06d}", who.id, "welfare", 1, NOW_NS, found.bits, "report", found.evidence,
            [MatchDecision(MatchState.REJECTED, NOW_NS, "lan", "asked")], None, seen, 0, 100, found.probability,
        )
        decided.append(Decided(match, who, NOTHING_KNOWN))
    new, _ = learn(decided, TRAFFIC, ASSUMED)
    assert new.report_right == pytest.approx(0.7 * ASSUMED_COUNTS / (ASSUMED_COUNTS + 100))


def keep(desk: Desk) -> None:
    """What the mind would have written of the answers so far."""
    Mind(desk.settings, desk.sector, desk.clock).close()
    conn = sqlite3.connect(desk.settings.mind_db)
    with conn:
        for m in desk.questions.matches.values():
            columns = {c[1] for c in conn.execute("PRAGMA table_info(matches)")}
            row = {
                "id": m.number, "contact": m.contact, "subject": m.subject, "state": msgspec.msgpack.encode(m),
                "asked_ns": m.asked_ns, "decided_ns": NOW_NS, "lane": m.lane,
            }
            row = {k: v for k, v in row.items() if k in columns}
            conn.execute(f"INSERT INTO matches({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    conn.close()


def test_answers_change_nothing_until_a_second_person_accepts_and_it_can_be_taken_back() -> None:
    with open_desk() as desk:
        desk.approve(*(draft(f"74C1234{i}") for i in range(6)))
        for i in range(6):
            desk.contacts[i + 1] = contact(i + 1, desk.clock.utc_ns(), {f"74C1234{i}": 3})
            desk.look(i + 1)
        asked = list(desk.questions.matches.values())
        assert len(asked) == 6
        before = desk.questions._scale.weights
        for match in asked:
            desk.questions.decide(match.id, MatchState.REJECTED, "lan", "another car", desk.clock.utc_ns())
        desk.look(*desk.contacts)
        assert desk.questions._scale.weights == before == ASSUMED
        keep(desk)
        said = propose_weights(desk.settings, "lan", desk.clock)
        assert "From 6 decided questions (0 yes, 6 no)" in said and "somebody else came with it" in said
        assert f"Fewer than {CALIBRATED_FROM} decided questions" in said
        desk.look(1)
        assert desk.questions._scale.weights == ASSUMED, "proposed is not accepted"
        with pytest.raises(WatchlistError, match="a second person has to accept it"):
            accept_weights(desk.settings, "lan", 1, desk.clock)
        accept_weights(desk.settings, "minh", 1, desk.clock)
        desk.look(1)
        in_force = desk.questions._scale.weights
        assert in_force.version == 1 and in_force.plate.vehicle_lent > ASSUMED.plate.vehicle_lent
        with pytest.raises(WatchlistError, match="Say why"):
            take_back_weights(desk.settings, "minh", 1, " ", desk.clock)
        take_back_weights(desk.settings, "minh", 1, "a bad week", desk.clock)
        desk.look(1)
        assert desk.questions._scale.weights == ASSUMED
        said = show_weights(desk.settings, "minh", desk.clock)
        assert "In force: version 0 (assumed)." in said and "version 1 taken back by minh" in said
