"""A match: a question to an officer about a contact and a subject, and the answers, as they stand in mind.db."""

from __future__ import annotations

import msgspec

from station.matching_habits import Sighted
from station.matching_plates import clean_plate
from station.matching_score import Known, Sighting
from station.picture import Evidence, MatchState, MatchView, Sentence

WORDS = ((0.7, "strong"), (0.2, "fair"), (0.0, "weak"))     # from this probability on; said where no number may be


class MatchDecision(msgspec.Struct, frozen=True):
    answer: MatchState
    at_ns: int
    person: str
    reason: str


class Match(msgspec.Struct):
    """A question to an officer. needed: how many persons must say yes.

    sighting: what was known of the contact when it was last weighed; weights: the version of the numbers, listed: how many
    records there were. probability: what the bits make of the prior; calibrated: whether an officer may be shown it.
    merged_into: number of the older question about the same contact, which is asked instead.
    """

    number: int
    contact: str
    subject: str
    lane: str
    needed: int
    asked_ns: int
    bits: float
    identifier: str
    evidence: tuple[Evidence, ...]
    decisions: list[MatchDecision] = []
    snapshot: str | None = None
    sighting: Sighting | None = None
    weights: int = 0
    listed: int = 0
    probability: float | None = None
    calibrated: bool = False
    merged_into: int | None = None

    @property
    def id(self) -> str:
        return match_id(self.number)

    @property
    def confirmed_by(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.person for d in self.decisions if d.answer is MatchState.CONFIRMED))

    @property
    def state(self) -> MatchState:
        if self.merged_into is not None:
            return MatchState.MERGED
        if any(d.answer is MatchState.REJECTED for d in self.decisions):
            return MatchState.REJECTED
        return MatchState.CONFIRMED if len(self.confirmed_by) >= self.needed else MatchState.QUESTION

    @property
    def strength(self) -> str:
        """A word for how much there is to it; empty for questions from before there was one."""
        return "" if self.probability is None else next(w for p, w in WORDS if self.probability >= p)

    def view(self) -> MatchView:
        return MatchView(
            self.id, self.contact, self.subject, self.lane, self.state, self.asked_ns, self.bits, self.evidence,
            self.confirmed_by, self.needed, self.snapshot, self.strength,
            round(self.probability, 2) if self.calibrated and self.probability is not None else None,
            None if self.merged_into is None else match_id(self.merged_into),
        )


def match_id(number: int) -> str:
    return f"M-{number:06d}"


def decide_match(match: Match, answer: MatchState, person: str, reason: str, now_ns: int) -> Sentence | None:
    """A person's yes or no. Returns None when noted, or why not; a decided question stays decided."""
    if match.merged_into is not None:
        return Sentence("match.refused.merged", {"match": match.id, "into": match_id(match.merged_into)})
    if match.state is not MatchState.QUESTION:
        last = match.decisions[-1]
        return Sentence(
            "match.refused.already", {"state": match.state.value, "person": last.person, "at_ns": last.at_ns}
        )
    if answer not in (MatchState.CONFIRMED, MatchState.REJECTED):
        return Sentence("match.refused.no_answer", {})
    if answer is MatchState.CONFIRMED and person in match.confirmed_by:
        return Sentence("match.refused.second_person", {"person": person})
    match.decisions.append(MatchDecision(answer, now_ns, person, reason.strip()))
    return None


def with_answer(known: Known, match: Match) -> Known:
    """What officers have said about a subject, and what this answered question adds."""
    seen = match.sighting
    if seen is None:
        return known
    if match.state is MatchState.CONFIRMED:
        return Known((*known.sighted, Sighted(seen.minute, seen.corridors)), known.told_no)
    if match.state is not MatchState.REJECTED:
        return known
    told_no = dict(known.told_no)
    for evidence in match.evidence:
        if evidence.signal in ("plate", "known_vehicle"):
            read = clean_plate(str(evidence.says.params["read"]))
            told_no[read] = told_no.get(read, 0) + 1
    return Known(known.sighted, told_no)
