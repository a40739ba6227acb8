"""A match: a grave yes needs two, and what is decided stays decided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from station.matching import Match, decide_match
from station.picture import MatchState
from wire.clock import NS_PER_S

T0 = 1_780_000_000 * NS_PER_S


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


def test_a_question_that_is_asked_elsewhere_takes_no_answer() -> None:
    match = question(1)
    match.merged_into = 7
    refused = decide_match(match, MatchState.REJECTED, "lan", "", T0)
    assert refused is not None and refused.key == "match.refused.merged"
    assert match.state is MatchState.MERGED and match.view().merged_into == "M-000007"


@given(st.floats(0.0, 1.0), st.booleans())
def test_a_probability_is_shown_only_where_it_is_calibrated(p: float, calibrated: bool) -> None:
    match = question(1)
    match.probability, match.calibrated = p, calibrated
    assert (match.view().probability is not None) is calibrated
    assert match.view().strength in ("weak", "fair", "strong")
