"""Weights learned from decided questions and counted traffic: proposed by one person, accepted by another, never by itself.

Every number is the mean of a Beta distribution: the assumed value counts as some observations, and every confirmed question
adds to m, every rejected one to u. All decided questions are counted anew each time, so that learning twice is learning
once. What questions cannot tell stays as it is, and is said: a reading that looks like no listed plate is never asked about.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from scipy.special import betaincinv

from geofences.sector import load_sector
from station.matching import Match, with_answer
from station.matching_habits import Background
from station.matching_plates import EQUIVALENT_CHARACTERS, Crowd, clean_plate
from station.matching_score import NOTHING_KNOWN, Known, Scale, Score, score
from station.matching_traffic import TrafficState, traffic_of
from station.matching_weights import ASSUMED, Pair, Traffic, Weights
from station.picture import Evidence, MatchState
from station.settings import StationSettings
from station.store import MIND, open_reader
from station.subjects import Subject
from station.watchlist import Office, office
from station.watchlist_file import WatchlistError, WeightsEvent
from wire.clock import Clock

ASSUMED_COUNTS = 20.0           # observations that an assumed value is worth
ASSUMED_PLATES = 300.0          # of a slip, which is rare
ASSUMED_CONTACTS = 2000.0       # of the share of subjects in the traffic
CALIBRATED_FROM = 200           # decided questions; fewer cannot tell whether probabilities are right
BINS = 10
KEPT_ROUNDS = 30                # of expectation and maximisation; the share of a mixture of two settles in ten
LEAST, MOST = 0.001, 0.999      # no probability is learned to be impossible or certain
_ALIKE = {c for group in EQUIVALENT_CHARACTERS for c in group}


@dataclass(frozen=True, slots=True)
class Learned:
    """One number. yes, no: what was counted for and against it. low, high: the middle 95 % of its Beta distribution."""

    name: str
    old: float
    new: float
    yes: float
    no: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Decided:
    """An answered question with all that is needed to weigh it again. known: answers from before it was asked."""

    match: Match
    subject: Subject
    known: Known

    @property
    def is_right(self) -> bool:
        return self.match.state is MatchState.CONFIRMED


@dataclass(slots=True)
class Proposal:
    """calibration_error: of probabilities that were learned from one half of the questions, on the other."""

    old: Weights
    new: Weights
    rows: list[Learned]
    decided: list[Decided]
    skipped: int
    calibration_error: float | None = None
    effects: list[tuple[Decided, Score, Score]] = field(default_factory=list)


MakeScale = Callable[[Weights, int], Scale]


def propose_weights(settings: StationSettings, person: str, clock: Clock | None = None) -> str:
    """Work out the next version, keep it as a proposal, and say everything about it. It changes nothing yet."""
    with office(settings, person, clock) as desk:
        matches, traffic = _read_mind(settings)
        proposal = make_proposal(desk, settings, matches, traffic)
        kept = desk.list.propose_weights(
            proposal.new, person,
            lambda version: desk.note(
                "weights_proposed", version=version, questions=len(proposal.decided), contacts=traffic.contacts
            ),
        )
        return describe(proposal, kept.version, settings)


def accept_weights(settings: StationSettings, person: str, version: int, clock: Clock | None = None) -> str:
    """Put a proposal into force. Raises WatchlistError for one's own, one that is no more open, or none."""
    with office(settings, person, clock) as desk:
        events = [e for e in desk.list.weights_events() if e.version == version]
        desk.list.weights(version)
        if events[-1].event != "proposed":
            raise WatchlistError(f"Version {version} was {_word(events[-1])} already; propose a new one.")
        if events[0].person == person:
            raise WatchlistError(f"Version {version} was proposed by {person}; a second person has to accept it.")
        desk.list.note_weights(version, "accepted", person, lambda: desk.note("weights_accepted", version=version))
        return f"Version {version} is in force from now on. `watchlist learn --take-back {version}` takes it back."


def take_back_weights(
    settings: StationSettings, person: str, version: int, reason: str, clock: Clock | None = None
) -> str:
    """Back to what was in force before. Raises WatchlistError when that version is not in force, or without a reason."""
    with office(settings, person, clock) as desk:
        in_force = desk.list.weights_in_force().version
        if version != in_force or version == 0:
            raise WatchlistError(f"Version {version} is not in force; version {in_force} is.")
        if not reason.strip():
            raise WatchlistError("Say why with --reason; it goes into the record.")
        desk.list.note_weights(
            version, "taken_back", person, lambda: desk.note("weights_taken_back", version=version, reason=reason.strip())
        )
        return f"Version {version} is taken back; version {desk.list.weights_in_force().version} is in force."


def show_weights(settings: StationSettings, person: str, clock: Clock | None = None) -> str:
    with office(settings, person, clock) as desk:
        in_force = desk.list.weights_in_force()
        lines = [f"In force: version {in_force.version}{' (assumed)' if in_force.version == 0 else ''}."]
        lines += [f"  version {e.version} {_word(e)}, {utc_text(e.at_ns)}" for e in desk.list.weights_events()]
        return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------- the learning


def make_proposal(desk: Office, settings: StationSettings, matches: list[Match], traffic: Traffic) -> Proposal:
    """Learn from what was decided. Questions whose record is gone are counted as skipped."""
    corridors = len(load_sector(settings.sector).corridor_set.corridors)
    old = desk.list.weights_in_force()
    decided, skipped = _decided(desk, matches)

    def scale(weights: Weights, listed: int) -> Scale:
        return Scale(
            weights, Background(weights.traffic, corridors),
            Crowd(weights.plate_space, weights.traffic.plates, desk.list.plate_key), max(1, listed),
        )

    new, rows = learn(decided, traffic, old)
    error = None
    if len(decided) >= CALIBRATED_FROM:
        error = cross_calibration(decided, traffic, old, scale)
        new = msgspec.structs.replace(new, calibration_error=round(error, 4))
    effects = [
        (d, weigh_again(d, scale(old, d.match.listed)), weigh_again(d, scale(new, d.match.listed))) for d in decided
    ]
    return Proposal(old, new, rows, decided, skipped, error, effects)


def weigh_again(d: Decided, scale: Scale) -> Score:
    assert d.match.sighting is not None
    return score(d.subject, d.match.sighting, scale, d.known)


def cross_calibration(decided: list[Decided], traffic: Traffic, old: Weights, scale: MakeScale) -> float:
    """Learned from every second question and tried on the others, both ways."""
    tried: list[tuple[float, bool]] = []
    for k in (0, 1):
        weights, _ = learn(decided[k::2], traffic, old)
        tried += [(weigh_again(d, scale(weights, d.match.listed)).probability, d.is_right) for d in decided[1 - k :: 2]]
    return calibration_error(tried)


def calibration_error(tried: Iterable[tuple[float, bool]]) -> float:
    """Expected calibration error: over bins of the probability, how far it is from how often it was right.

    Naeini, Cooper, Hauskrecht (2015), with BINS bins of equal width, each by its share of the questions.
    """
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for p, right in tried:
        bins[min(BINS - 1, int(p * BINS))].append((p, right))
    total = sum(len(b) for b in bins)
    return sum(abs(sum(p for p, _ in b) - sum(r for _, r in b)) for b in bins) / total if total else 0.0


def learn(decided: list[Decided], traffic: Traffic, old: Weights) -> tuple[Weights, list[Learned]]:
    """New weights, and how each of their numbers came about. old: only to show what changes."""
    a, rows = ASSUMED, list[Learned]()

    def row(name: str, assumed: float, before: float, yes: float, no: float, worth: float = ASSUMED_COUNTS) -> float:
        up, down = assumed * worth + yes, (1.0 - assumed) * worth + no
        new = min(MOST, max(LEAST / 10, up / (up + down)))
        low, high = (float(betaincinv(up, down, share)) for share in (0.025, 0.975))
        rows.append(Learned(name, before, new, yes, no, low, high))
        return new

    right = [d for d in decided if d.is_right]
    wrong = [d for d in decided if not d.is_right]
    same, alike = _characters(right)
    others = 1.0 - a.plate.confusable - a.plate.equivalent
    as_alike = row("plate: read as a look-alike", a.plate.equivalent / (1.0 - others),
                   old.plate.equivalent / (old.plate.confusable + old.plate.equivalent), alike, same)
    plates = [e for d in right for e in d.match.evidence if e.says.key.startswith("match.evidence.plate_")]
    slips = {s: sum(e.says.key.endswith(s) for e in plates) for s in ("missing", "extra")}
    missing = row("plate: a character lost", a.plate.missing, old.plate.missing, slips["missing"],
                  len(plates) - slips["missing"], ASSUMED_PLATES)
    extra = row("plate: a character put in", a.plate.extra, old.plate.extra, slips["extra"],
                len(plates) - slips["extra"], ASSUMED_PLATES)
    lent = row("plate: somebody else came with it", a.plate.vehicle_lent, old.plate.vehicle_lent,
               *_with_key(wrong, right, "match.evidence.plate_exact"))
    rates = msgspec.structs.replace(
        a.plate, confusable=(1.0 - others) * (1.0 - as_alike), equivalent=(1.0 - others) * as_alike, missing=missing,
        extra=extra, vehicle_lent=lent,
    )
    return msgspec.structs.replace(
        a,
        version=old.version, plate=rates, traffic=traffic, questions=len(decided),
        report_right=row("a report is right", a.report_right, old.report_right,
                         *_by_source(decided, ("match.evidence.report",), "report")),
        left_vehicle=row("one of those with the vehicle", a.left_vehicle, old.left_vehicle,
                         *_by_source(decided, ("match.evidence.left_vehicle", "match.evidence.with_vehicle"), "vehicle")),
        corridor_kept=row("keeps to its corridor", a.corridor_kept, old.corridor_kept, *_kept(right, "corridor")),
        hour_kept=row("keeps to its hours", a.hour_kept, old.hour_kept, *_kept(right, "hour")),
        vehicle_class=_pair(row, "class", a.vehicle_class, old.vehicle_class, right, wrong),
        colour=_pair(row, "colour", a.colour, old.colour, right, wrong),
        party=_pair(row, "party", a.party, old.party, right, wrong),
        subject_share=row("share of subjects in the traffic", a.subject_share, old.subject_share, len(right),
                          max(0, traffic.contacts - len(right)), ASSUMED_CONTACTS),
    ), rows


Row = Callable[[str, float, float, float, float], float]


def _pair(row: Row, signal: str, assumed: Pair, before: Pair, right: list[Decided], wrong: list[Decided]) -> Pair:
    return Pair(
        row(f"{signal}: agrees with a subject (m)", assumed.m, before.m, *_agrees(right, signal)),
        row(f"{signal}: agrees with anybody (u)", assumed.u, before.u, *_agrees(wrong, signal)),
    )


def _evidence(decided: Iterable[Decided], *keys: str) -> list[Evidence]:
    return [e for d in decided for e in d.match.evidence if e.says.key in keys]


def _agrees(decided: list[Decided], signal: str) -> tuple[int, int]:
    yes = len(_evidence(decided, f"match.evidence.{signal}_agrees"))
    return yes, len(_evidence(decided, f"match.evidence.{signal}_differs"))


def _with_key(yes: list[Decided], no: list[Decided], key: str) -> tuple[int, int]:
    return len(_evidence(yes, key)), len(_evidence(no, key))


def _characters(right: list[Decided]) -> tuple[int, int]:
    """Of the characters with look-alikes on confirmed plates: read right, and read as a look-alike."""
    same = alike = 0
    for e in _evidence(right, "match.evidence.plate_exact", "match.evidence.plate_similar"):
        listed, read = clean_plate(str(e.says.params["listed"])), clean_plate(str(e.says.params["read"]))
        for a, b in zip(listed, read, strict=False):
            same += a == b and a in _ALIKE
            alike += a != b
    return same, alike


def _by_source(decided: list[Decided], keys: tuple[str, ...], name: str) -> tuple[int, int]:
    """Of the reports, or the vehicles, that were asked about: one of those who fit was it, or none of them."""
    found: dict[str, bool] = {}
    for d in decided:
        for e in _evidence([d], *keys):
            source = f"{d.match.subject} {e.says.params[name]}"
            found[source] = found.get(source, False) or d.is_right
    return sum(found.values()), len(found) - sum(found.values())


def _kept(right: list[Decided], signal: str) -> tuple[float, float]:
    """How many of the confirmed kept to their habit: the share of a mixture, by expectation and maximisation."""
    ratios = []
    for e in _evidence(right, f"match.evidence.{signal}_agrees", f"match.evidence.{signal}_differs"):
        p = e.says.params
        ratios.append(float(p["times"]) if signal == "hour" else float(p["percent"]) / max(1.0, float(p["others"])))
    if not ratios:
        return 0.0, 0.0
    kept = 0.7
    for _ in range(KEPT_ROUNDS):
        kept = min(MOST, max(LEAST, sum(kept * r / (kept * r + 1.0 - kept) for r in ratios) / len(ratios)))
    return kept * len(ratios), (1.0 - kept) * len(ratios)


def _decided(desk: Office, matches: list[Match]) -> tuple[list[Decided], int]:
    found: list[Decided] = []
    skipped = 0
    known: dict[str, Known] = {}
    for match in sorted(matches, key=lambda m: m.number):
        if match.state not in (MatchState.CONFIRMED, MatchState.REJECTED):
            continue
        try:
            subject = desk.list.subject(match.subject)
        except WatchlistError:
            skipped += 1
            continue
        if match.sighting is None:
            skipped += 1
            continue
        found.append(Decided(match, subject, known.get(match.subject, NOTHING_KNOWN)))
        known[match.subject] = with_answer(found[-1].known, match)
    return found, skipped


def _read_mind(settings: StationSettings) -> tuple[list[Match], Traffic]:
    try:
        mind = open_reader(settings.mind_db, MIND, settings.realm)
    except FileNotFoundError:
        raise WatchlistError(f"{settings.mind_db}: is not there yet; there is nothing to learn from.") from None
    try:
        matches = [msgspec.msgpack.decode(r[0], type=Match) for r in mind.execute("SELECT state FROM matches ORDER BY id")]
        row = mind.execute("SELECT state FROM memory WHERE name = 'traffic'").fetchone()
    except sqlite3.Error as error:
        raise WatchlistError(f"{settings.mind_db}: cannot be read: {error}.") from None
    finally:
        mind.close()
    return matches, traffic_of(msgspec.msgpack.decode(row[0], type=TrafficState)) if row else Traffic()


# ------------------------------------------------------------------------------------------------------------- words


def describe(p: Proposal, version: int, settings: StationSettings) -> str:
    """Everything that whoever accepts it has to know."""
    right = sum(d.is_right for d in p.decided)
    lines = [
        f"Version {version}, proposed; version {p.old.version} stays in force until a second person accepts.",
        f"From {len(p.decided)} decided questions ({right} yes, {len(p.decided) - right} no), {p.skipped} skipped: their "
        f"record is gone, or they are older than their evidence. Traffic: {p.new.traffic.contacts} contacts in "
        f"{p.new.traffic.hours:.0f} h, {p.new.traffic.plates.contacts} of them with a plate.",
        "",
        f"  {'':34} {'now':>9} {'proposed':>9}   {'95 % of Beta':>19}   {'for':>7} {'against':>7}",
    ]
    lines += [
        f"  {r.name:34} {r.old:9.4f} {r.new:9.4f}   {r.low:9.4f} {r.high:9.4f}   {r.yes:7.1f} {r.no:7.1f}" for r in p.rows
    ]
    lines += [
        "",
        "  Not learned: how often a character is read as one that is not like it. Such a reading is never asked about.",
        "",
        *_effect_lines(p, settings.matching.threshold_bits, settings.matching.ask_from_probability),
    ]
    if p.calibration_error is None:
        lines.append(f"  Fewer than {CALIBRATED_FROM} decided questions: officers are shown bits and words, no probability.")
    else:
        lines.append(
            f"  Expected calibration error, learned from one half and tried on the other: {p.calibration_error:.3f}. "
            "Up to 0.05 officers are shown the probability."
        )
    lines += ["", f"To accept, as somebody else: trailwatch watchlist ... learn --accept {version}"]
    return "\n".join(lines)


def _effect_lines(p: Proposal, threshold_bits: float, ask_from: float) -> list[str]:
    def asked(s: Score) -> bool:
        return s.identifier is not None and s.bits >= threshold_bits and s.probability >= ask_from

    lines = ["  Of the questions that were asked:"]
    for word, is_right in (("answered with yes", True), ("answered with no", False)):
        of = [(b, n) for d, b, n in p.effects if d.is_right is is_right]
        if not of:
            continue
        moved = sorted(n.bits - b.bits for b, n in of)
        lines.append(
            f"  {word:18} {len(of):5}: {sum(asked(n) for _, n in of)} would still be asked; bits change by "
            f"{moved[len(moved) // 2]:+.1f} (median), {moved[0]:+.1f} to {moved[-1]:+.1f}"
        )
    changed = sorted(p.effects, key=lambda e: -abs(e[2].bits - e[1].bits))[:5]
    lines += [
        f"    {d.match.id} {d.match.subject} {'yes' if d.is_right else 'no ':3} {b.bits:+.1f} -> {n.bits:+.1f} bits"
        for d, b, n in changed if not math.isclose(b.bits, n.bits, abs_tol=0.05)
    ]
    return lines


def utc_text(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")


def _word(e: WeightsEvent) -> str:
    return f"{e.event.replace('_', ' ')} by {e.person}"
