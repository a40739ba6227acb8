"""Whether a contact may be a subject: evidence in bits, each with its sentence.

Fellegi and Sunter, "A Theory for Record Linkage" (1969): a signal weighs log2(m / u), m its probability when the contact is
the subject, u when it is anybody else. Two kinds of signal are kept apart. An identifier (a plate, a known vehicle by its
plate earlier on the way, or an attributed report of place and time) can name somebody; circumstance (corridor, hour of the
week, vehicle class, colour, party) only moves the sum within a cap, and names nobody alone: that would be profiling. Nothing
here looks at the pixels of a person. Everything it knows of a contact is in a `Sighting`, which is kept with the question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from station.matching_habits import Background, Sighted, density_bits, habit_corridor, habit_hours
from station.matching_plates import Crowd, Reading, clean_plate, plate_bits
from station.matching_weights import (
    CIRCUMSTANCE_CAP_BITS,
    CONTACTS_PER_CORRIDOR_HOUR,
    Pair,
    Weights,
    log_odds_bits,
    probability,
)
from station.picture import Evidence, Sentence
from station.subjects import KnownVehicle, Report, Subject
from wire.units import Colour, ObjectClass

MINORITY_SHARE = 0.25           # a reading counts when it was read at least this often as the most frequent one, for less
NEVER_SURE = 0.999              # no piece of evidence alone makes more than this of a question
LEAST_REPORT_HOURS = 0.5

# Neither agree nor differ: light, dust and the one who listed it decide between them.
CLOSE_COLOURS = tuple(frozenset(pair) for pair in (
    ("white", "grey"), ("grey", "black"), ("brown", "orange"), ("brown", "yellow"), ("orange", "yellow"), ("orange", "red"),
    ("brown", "grey"), ("brown", "red"),
))


class Travel(msgspec.Struct, frozen=True):
    """A contact came with a vehicle whose plate was read. how: "left" it, or goes "with" it. people: that did, together.

    vehicle: the contact's id. plates, plate_confidence: as in Sighting, the vehicle's.
    """

    vehicle: str
    how: str
    people: int
    plates: dict[str, int]
    plate_confidence: dict[str, tuple[float, ...]] = {}


class Fit(msgspec.Struct, frozen=True):
    """A report whose place and time a contact fits. fits: contacts that do, seen or to be expected, this one included."""

    report: str
    reported_by: str
    where: str
    hours: float
    fits: float


class Sighting(msgspec.Struct, frozen=True):
    """A contact as matching sees it. minute: of the sector's local week, from Monday 00:00. party: with this one.

    plates: how often each text was read; plate_confidence: of each letter or digit. reports: of the subject in question.
    """

    contact: str
    object_class: ObjectClass
    at_ns: int
    minute: int
    corridors: tuple[str, ...] = ()
    party: int = 1
    plates: dict[str, int] = {}
    plate_confidence: dict[str, tuple[float, ...]] = {}
    colour: Colour | None = None
    travel: Travel | None = None
    reports: tuple[Fit, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """What evidence is weighed with. listed: how many records may match; the prior is the share of subjects over that."""

    weights: Weights
    background: Background
    crowd: Crowd
    listed: int

    @property
    def prior_odds(self) -> float:
        return self.weights.prior_odds(self.listed)


@dataclass(frozen=True, slots=True)
class Score:
    """bits: identifiers plus capped circumstance. identifier: what names the subject, or None, and then nothing is asked.

    probability: what the bits make of the prior; as good as the weights are.
    """

    bits: float
    identifier: str | None
    evidence: tuple[Evidence, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class Known:
    """What officers have said about a subject. sighted: where and when it was confirmed. told_no: by the text that was read,
    how often it was another vehicle."""

    sighted: tuple[Sighted, ...] = ()
    told_no: Mapping[str, int] = field(default_factory=dict)


NOTHING_KNOWN = Known()


def score(subject: Subject, seen: Sighting, scale: Scale, known: Known = NOTHING_KNOWN) -> Score:
    """Weigh one contact against one subject.

    Identifiers add up; circumstance is added within its cap, and only where an identifier speaks.
    """
    named: list[tuple[str, Evidence]] = []
    plate = _plate_evidence(subject, seen, scale, known.told_no)
    travel = _travel_evidence(subject, seen.travel, scale, known.told_no)
    vehicle = plate.vehicle if plate is not None else None
    if plate is not None and (travel is None or plate.bits >= travel[1].bits):
        named += [(f"plate {plate.read}", e) for e in plate.evidence]
    elif travel is not None:
        named.append(travel)
    report = _report_evidence(seen.reports, scale)
    if report is not None:
        named.append(report)
    if not named:
        return Score(0.0, None, (), probability(0.0, scale.prior_odds))
    circumstance = _circumstance(subject, vehicle, seen, scale, known.sighted)
    total = sum(e.bits for e in circumstance)
    capped = max(-CIRCUMSTANCE_CAP_BITS, min(CIRCUMSTANCE_CAP_BITS, total))
    evidence_all = [e for _, e in named] + circumstance
    if capped != total:
        evidence_all.append(
            Evidence(
                "cap", round(capped - total, 2),
                Sentence("match.evidence.cap", {"cap_bits": CIRCUMSTANCE_CAP_BITS, "total_bits": round(total, 1)}),
            )
        )
    bits = round(sum(e.bits for _, e in named) + capped, 2)
    return Score(bits, named[0][0], tuple(evidence_all), probability(bits, scale.prior_odds))


def report_place(report: Report, seen: Sighting, distance_m: float | None) -> str | None:
    """Where a contact fits a report, in words; None when it does not. distance_m: from a reported position."""
    if not report.from_ns <= seen.at_ns <= report.until_ns:
        return None
    if report.corridor is not None:
        return report.corridor if report.corridor in seen.corridors else None
    if distance_m is None or distance_m > report.radius_m:
        return None
    return f"{distance_m:.0f} m"


def fit(report: Report, where: str, seen_so_far: int, background: Background) -> Fit:
    """A report that a contact fits. In a long window more will fit than have been seen so far."""
    hours = max((report.until_ns - report.from_ns) / 3.6e12, LEAST_REPORT_HOURS)
    expected = hours * background.contacts_an_hour(report.corridor or "", CONTACTS_PER_CORRIDOR_HOUR)
    return Fit(report.id, report.reported_by, where, round(hours, 1), round(max(1.0, float(seen_so_far), expected), 1))


# ------------------------------------------------------------------------------------------------------- identifiers


@dataclass(frozen=True, slots=True)
class _PlateFound:
    """bits: with what officers have said of this reading. told_no: how often that was a no."""

    bits: float
    bits_alone: float
    reading: Reading
    listed: str
    read: str
    vehicle: KnownVehicle | None
    told_no: int
    evidence: tuple[Evidence, ...] = ()


def _best_reading(
    subject: Subject, plates: Mapping[str, int], confidence: Mapping[str, tuple[float, ...]], scale: Scale,
    told_no: Mapping[str, int],
) -> _PlateFound | None:
    """The best agreement between what was read, often enough, and the subject's own plates and known vehicles."""
    most = max(plates.values(), default=0)
    listed: list[tuple[str, KnownVehicle | None]] = [(p, None) for p in subject.plates]
    listed += [(v.plate, v) for v in subject.vehicles]
    best: _PlateFound | None = None
    for read, count in sorted(plates.items()):
        if count < most * MINORITY_SHARE:
            continue
        outvoted = math.log2(count / most)
        times = told_no.get(clean_plate(read), 0)
        for plate, vehicle in listed:
            of = (plate, read, scale.weights.plate, scale.crowd, scale.prior_odds, confidence.get(read, ()))
            alone = plate_bits(*of)
            if alone is None:
                continue
            told = plate_bits(*of, told_no=times) if times else alone
            if told is not None and told[0] + outvoted > 0.0 and (best is None or told[0] + outvoted > best.bits):
                best = _PlateFound(told[0] + outvoted, alone[0] + outvoted, alone[1], plate, read, vehicle, times)
    return best


def _plate_evidence(subject: Subject, seen: Sighting, scale: Scale, told_no: Mapping[str, int]) -> _PlateFound | None:
    best = _best_reading(subject, seen.plates, seen.plate_confidence, scale, told_no)
    if best is None:
        return None
    key = f"match.evidence.plate_{best.reading.slip}" if best.reading.slip else (
        "match.evidence.plate_exact" if best.reading.equivalents == 0 else "match.evidence.plate_similar"
    )
    says = Sentence(
        key,
        {
            "listed": best.listed, "read": best.read, "times": seen.plates[best.read],
            "equivalents": best.reading.equivalents,
        },
    )
    told = [Evidence("plate" if best.vehicle is None else "known_vehicle", round(best.bits_alone, 2), says)]
    if best.bits < best.bits_alone:
        says = Sentence("match.evidence.told_no", {"read": best.read, "times": best.told_no})
        told.append(Evidence("told_no", round(best.bits - best.bits_alone, 2), says))
    return replace(best, evidence=tuple(told))


def _travel_evidence(
    subject: Subject, travel: Travel | None, scale: Scale, told_no: Mapping[str, int]
) -> tuple[str, Evidence] | None:
    """A known vehicle by its plate, earlier on the way: as sure as the plate is, shared among those who came with it."""
    if travel is None:
        return None
    best = _best_reading(subject, travel.plates, travel.plate_confidence, scale, told_no)
    if best is None:
        return None
    is_this_one = scale.weights.left_vehicle * probability(best.bits, scale.prior_odds) / max(1, travel.people)
    bits = _bits_of(is_this_one, scale)
    if bits <= 0.0:
        return None
    says = Sentence(
        f"match.evidence.{travel.how}_vehicle",
        {"vehicle": travel.vehicle, "listed": best.listed, "read": best.read, "people": travel.people},
    )
    return f"vehicle {travel.vehicle}, plate {best.read}", Evidence(f"{travel.how}_vehicle", round(bits, 2), says)


def _report_evidence(fits: tuple[Fit, ...], scale: Scale) -> tuple[str, Evidence] | None:
    """The best of the reports that the contact fits: two reports of one meeting are one piece of news."""
    best: tuple[float, Fit] | None = None
    for one in sorted(fits, key=lambda f: f.report):
        bits = _bits_of(scale.weights.report_right / max(1.0, one.fits), scale)
        if bits > 0.0 and (best is None or bits > best[0]):     # "some time this month" names nobody
            best = (bits, one)
    if best is None:
        return None
    bits, one = best
    says = Sentence(
        "match.evidence.report",
        {"report": one.report, "person": one.reported_by, "where": one.where, "hours": one.hours, "fits": one.fits},
    )
    return f"report {one.report}", Evidence("report", round(bits, 2), says)


def _bits_of(p: float, scale: Scale) -> float:
    """The weight by which the prior becomes this probability."""
    return log_odds_bits(min(NEVER_SURE, p)) - math.log2(scale.prior_odds)


# ------------------------------------------------------------------------------------------------------ circumstance


def _circumstance(
    subject: Subject, vehicle: KnownVehicle | None, seen: Sighting, scale: Scale, sighted: tuple[Sighted, ...]
) -> list[Evidence]:
    found = _habit_evidence(subject, seen, scale, sighted)
    w = scale.weights
    if vehicle is not None and vehicle.object_class is not None and seen.object_class is not ObjectClass.PERSON:
        same = seen.object_class is vehicle.object_class
        both: dict[str, str | float | int] = {"seen": seen.object_class.value, "listed": vehicle.object_class.value}
        found.append(_weigh("class", same, w.vehicle_class, both))
    if vehicle is not None and seen.colour is not None and vehicle.colour.lower() in tuple(Colour):
        colours = {"seen": seen.colour.value, "listed": vehicle.colour.lower()}
        if frozenset(colours.values()) not in CLOSE_COLOURS:
            found.append(_weigh("colour", colours["seen"] == colours["listed"], w.colour, {**colours}))
    if subject.party_size is not None and seen.object_class is ObjectClass.PERSON:
        near = abs(seen.party - subject.party_size) <= 1
        found.append(_weigh("party", near, w.party, {"seen": seen.party, "listed": subject.party_size}))
    return found


def _habit_evidence(subject: Subject, seen: Sighting, scale: Scale, sighted: tuple[Sighted, ...]) -> list[Evidence]:
    found: list[Evidence] = []
    if seen.corridors:
        share = habit_corridor(subject, sighted, seen.corridors)
        everybody = scale.background.corridor_share(seen.corridors)
        if share is not None:
            bits = density_bits(share, everybody, scale.weights.corridor_kept)
            found.append(_density("corridor", bits, {
                "corridor": ", ".join(seen.corridors), "percent": round(share * 100), "others": round(everybody * 100),
            }))
    hours = habit_hours(subject, sighted)
    if hours is not None:
        hour = seen.minute // 60 % 168
        everybody = float(scale.background.hours(seen.corridors[0] if seen.corridors else "")[hour])
        bits = density_bits(float(hours[hour]), everybody, scale.weights.hour_kept)
        found.append(_density("hour", bits, {
            "day": str(hour // 24), "time": f"{seen.minute // 60 % 24:02d}:{seen.minute % 60:02d}",
            "times": round(float(hours[hour]) / everybody, 1),
        }))
    return found


def _density(signal: str, bits: float, params: dict[str, str | float | int]) -> Evidence:
    agrees = "agrees" if bits >= 0 else "differs"
    return Evidence(signal, round(bits, 2), Sentence(f"match.evidence.{signal}_{agrees}", params))


def _weigh(signal: str, agrees: bool, pair: Pair, params: dict[str, str | float | int]) -> Evidence:
    says = Sentence(f"match.evidence.{signal}_{'agrees' if agrees else 'differs'}", params)
    return Evidence(signal, round(pair.bits(agrees), 2), says)
