"""Whether a contact may be a subject: evidence in bits, each with its sentence, and the questions that come of it.

Fellegi and Sunter, "A Theory for Record Linkage" (1969): a signal that agrees weighs log2(m / u), m its probability when the
contact is the subject, u when it is anybody else. Two kinds of signal are kept apart. An identifier (a plate, or an
attributed report of place and time) can name somebody; circumstance (corridor, hour, vehicle class, party) only moves the
sum within a cap, and names nobody alone: that would be profiling. Nothing here looks at the pixels of a person.

Every m and u below is an assumption of the authors and not a measurement. They are round on purpose, and are to be replaced
by counts from the sector's own decided questions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from station.contacts import Contact
from station.picture import Evidence, MatchState, MatchView, Sentence
from station.subjects import KnownVehicle, Report, Subject
from wire.units import Colour, ObjectClass

PLATE_POPULATION = 200_000      # plates that might pass here: cars and motorbikes of the province and its neighbours
P_READ_PLAIN = 0.99             # a character without look-alikes is read right
P_READ_CONFUSABLE = 0.85        # one with look-alikes is read right ...
P_READ_AS_EQUIVALENT = 0.12     # ... or as one of them, each equally likely
# A node that says how sure it is of a character replaces these by that, within limits: it saw the light of that day.
CONFIDENCE_LIMITS = (0.2, 0.99)
EQUIVALENT_SHARE = 0.8          # of all errors, those that end at a look-alike: 0.12 of 0.15
EQUIVALENTS_LIMIT = 2           # more of them, and it is another plate
EQUIVALENT_CHARACTERS = ("0ODQ", "1I", "2Z", "5S", "8B", "6G")
MINORITY_SHARE = 0.5            # a reading counts when it was read at least this often as the most frequent one
P_REPORT_RIGHT = 0.7            # a report by name, of place and time, is right, and the one seen there is the one meant
REPORT_REFERENCE_H = 720.0      # without the report the subject could come at any hour of 30 days
P_HABIT_KEPT = 0.7              # a subject with a known corridor, hour or party keeps to it
P_CLASS_RIGHT = 0.9             # the detector names a known vehicle's class
P_CLASS_CHANCE = 0.3            # share of one class in the traffic
P_COLOUR_RIGHT = 0.75           # a colour is named as it was listed, or as one close to it (see docs/edge.md)
P_COLOUR_CHANCE = 0.25          # share of one colour in the traffic, half of which is white, grey or black
P_PARTY_CHANCE = 0.25           # share of parties within one of any given size
CIRCUMSTANCE_CAP_BITS = 3.0     # all circumstance together, for or against

# Neither agree nor differ: light, dust and the one who listed it decide between them.
CLOSE_COLOURS = tuple(frozenset(pair) for pair in (
    ("white", "grey"), ("grey", "black"), ("brown", "orange"), ("brown", "yellow"), ("orange", "yellow"), ("orange", "red"),
    ("brown", "grey"), ("brown", "red"),
))

_EQUIVALENTS = {c: group for group in EQUIVALENT_CHARACTERS for c in group}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What surrounds a contact. minute: of the sector's local day. party: contacts together, this one included."""

    minute: int
    party: int
    corridors_total: int


@dataclass(frozen=True, slots=True)
class Score:
    """bits: identifiers plus capped circumstance. identifier: what names the subject, or None, and then nothing is asked."""

    bits: float
    identifier: str | None
    evidence: tuple[Evidence, ...]


class MatchDecision(msgspec.Struct, frozen=True):
    answer: MatchState
    at_ns: int
    person: str
    reason: str


class Match(msgspec.Struct):
    """A question to an officer, as it stands in mind.db. needed: how many persons must say yes."""

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

    @property
    def id(self) -> str:
        return f"M-{self.number:06d}"

    @property
    def confirmed_by(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.person for d in self.decisions if d.answer is MatchState.CONFIRMED))

    @property
    def state(self) -> MatchState:
        if any(d.answer is MatchState.REJECTED for d in self.decisions):
            return MatchState.REJECTED
        return MatchState.CONFIRMED if len(self.confirmed_by) >= self.needed else MatchState.QUESTION

    def view(self) -> MatchView:
        return MatchView(
            self.id, self.contact, self.subject, self.lane, self.state, self.asked_ns, self.bits, self.evidence,
            self.confirmed_by, self.needed, self.snapshot,
        )


def decide_match(match: Match, answer: MatchState, person: str, reason: str, now_ns: int) -> Sentence | None:
    """A person's yes or no. Returns None when noted, or why not; a decided question stays decided."""
    if match.state is not MatchState.QUESTION:
        last = match.decisions[-1]
        return Sentence(
            "match.refused.already", {"state": match.state.value, "person": last.person, "at_ns": last.at_ns}
        )
    if answer is MatchState.QUESTION:
        return Sentence("match.refused.no_answer", {})
    if answer is MatchState.CONFIRMED and person in match.confirmed_by:
        return Sentence("match.refused.second_person", {"person": person})
    match.decisions.append(MatchDecision(answer, now_ns, person, reason.strip()))
    return None


def clean_plate(text: str) -> str:
    """Letters and digits, upper case: how a plate is compared."""
    return "".join(c for c in text.upper() if c.isascii() and c.isalnum())


def canonical_plate(text: str) -> str:
    """Look-alikes made equal: two plates with different results cannot be readings of each other."""
    return "".join(_EQUIVALENTS.get(c, c)[0] for c in clean_plate(text))


def plate_bits(listed: str, read: str, confidence: tuple[float, ...] = ()) -> tuple[float, int] | None:
    """Weight of a reading for a listed plate, and how many characters are look-alikes; None when it is another plate.

    confidence: how sure the reader is of each letter or digit of `read`; without it, what is usual is taken.
    """
    listed, read = clean_plate(listed), clean_plate(read)
    if not listed or len(listed) != len(read):
        return None
    bits, equivalents = math.log2(PLATE_POPULATION), 0
    sure = [max(CONFIDENCE_LIMITS[0], min(CONFIDENCE_LIMITS[1], c)) for c in confidence]
    if len(sure) != len(read):
        sure = []
    for i, (a, b) in enumerate(zip(listed, read, strict=True)):
        group = _EQUIVALENTS.get(a, a)
        if a == b:
            bits += math.log2(sure[i] if sure else P_READ_PLAIN if len(group) == 1 else P_READ_CONFUSABLE)
        elif b in group:
            equivalents += 1
            as_equivalent = EQUIVALENT_SHARE * (1.0 - sure[i]) if sure else P_READ_AS_EQUIVALENT
            bits += math.log2(as_equivalent / (len(group) - 1))
        else:
            return None
    return (bits, equivalents) if equivalents <= EQUIVALENTS_LIMIT else None


def score(
    subject: Subject, contact: Contact, reports: list[Report], report_distance_m: dict[str, float], around: Circumstances
) -> Score:
    """Weigh one contact against one subject.

    reports: of this subject. report_distance_m: by report id, how far the contact is from the reported position; absent for
    reports of a corridor. The identifiers add up; circumstance is added within its cap, and only where an identifier speaks.
    """
    named: list[tuple[str, Evidence]] = []
    vehicle: KnownVehicle | None = None
    plate = _plate_evidence(subject, contact)
    if plate is not None:
        named.append((f"plate {plate[1].says.params['read']}", plate[1]))
        vehicle = plate[0]
    for report in reports:
        evidence = _report_evidence(report, contact, report_distance_m.get(report.id), around)
        if evidence is not None:
            named.append((f"report {report.id}", evidence))
            break       # two reports of one meeting are one piece of news
    circumstance = _circumstance(subject, vehicle, contact, around)
    if not named:
        return Score(0.0, None, ())
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
    bits = sum(e.bits for _, e in named) + capped
    return Score(round(bits, 2), named[0][0], tuple(evidence_all))


def _plate_evidence(subject: Subject, contact: Contact) -> tuple[KnownVehicle | None, Evidence] | None:
    """The best agreement between what was read, often enough, and the subject's own plates and known vehicles."""
    most = max(contact.plates.values(), default=0)
    listed: list[tuple[str, KnownVehicle | None]] = [(p, None) for p in subject.plates]
    listed += [(v.plate, v) for v in subject.vehicles]
    best: tuple[float, KnownVehicle | None, Evidence] | None = None
    for text, count in sorted(contact.plates.items()):
        if count < most * MINORITY_SHARE:
            continue
        for plate, vehicle in listed:
            found = plate_bits(plate, text, contact.plate_confidence.get(text, ()))
            if found is None or (best is not None and best[0] >= found[0]):
                continue
            key = "match.evidence.plate_exact" if found[1] == 0 else "match.evidence.plate_similar"
            says = Sentence(key, {"listed": plate, "read": text, "times": count, "equivalents": found[1]})
            signal = "plate" if vehicle is None else "known_vehicle"
            best = (found[0], vehicle, Evidence(signal, round(found[0], 2), says))
    return None if best is None else (best[1], best[2])


def _report_evidence(
    report: Report, contact: Contact, distance_m: float | None, around: Circumstances
) -> Evidence | None:
    if not report.from_ns <= contact.last_seen_ns <= report.until_ns:
        return None
    if report.corridor is not None:
        if report.corridor not in contact.corridors:
            return None
        where = report.corridor
    elif distance_m is None or distance_m > report.radius_m:
        return None
    else:
        where = f"{distance_m:.0f} m"
    hours = max((report.until_ns - report.from_ns) / 3.6e12, 0.5)
    chance = min(1.0, hours / REPORT_REFERENCE_H) / max(1, around.corridors_total)
    bits = math.log2(P_REPORT_RIGHT / min(chance, P_REPORT_RIGHT))
    if bits <= 0:
        return None         # "some time this month" names nobody
    says = Sentence(
        "match.evidence.report",
        {"report": report.id, "person": report.reported_by, "where": where, "hours": round(hours, 1)},
    )
    return Evidence("report", round(bits, 2), says)


def _circumstance(
    subject: Subject, vehicle: KnownVehicle | None, contact: Contact, around: Circumstances
) -> list[Evidence]:
    found: list[Evidence] = []
    if subject.corridors and contact.corridors:
        usual = bool(set(subject.corridors) & set(contact.corridors))
        chance = min(0.95, len(subject.corridors) / max(1, around.corridors_total))
        found.append(_weigh("corridor", usual, P_HABIT_KEPT, chance, {"corridor": ", ".join(contact.corridors)}))
    if subject.hours is not None:
        start, end = subject.hours
        inside = start <= around.minute < end if start <= end else (around.minute >= start or around.minute < end)
        chance = min(0.95, max(0.05, ((end - start) % 1440 or 1440) / 1440))
        clock = f"{around.minute // 60:02d}:{around.minute % 60:02d}"
        found.append(_weigh("hour", inside, P_HABIT_KEPT, chance, {"time": clock}))
    if vehicle is not None and vehicle.object_class is not None and contact.group != "person":
        same = contact.object_class is vehicle.object_class
        params: dict[str, str | float | int] = {"seen": contact.object_class.value, "listed": vehicle.object_class.value}
        found.append(_weigh("class", same, P_CLASS_RIGHT, P_CLASS_CHANCE, params))
    if vehicle is not None and contact.colour is not None and vehicle.colour.lower() in tuple(Colour):
        both = {"seen": contact.colour.value, "listed": vehicle.colour.lower()}
        if frozenset(both.values()) not in CLOSE_COLOURS:
            found.append(_weigh("colour", both["seen"] == both["listed"], P_COLOUR_RIGHT, P_COLOUR_CHANCE, {**both}))
    if subject.party_size is not None and contact.object_class is ObjectClass.PERSON:
        near = abs(around.party - subject.party_size) <= 1
        found.append(
            _weigh("party", near, P_HABIT_KEPT, P_PARTY_CHANCE, {"seen": around.party, "listed": subject.party_size})
        )
    return found


def _weigh(signal: str, agrees: bool, m: float, u: float, params: dict[str, str | float | int]) -> Evidence:
    bits = math.log2(m / u) if agrees else math.log2((1.0 - m) / (1.0 - u))
    return Evidence(signal, round(bits, 2), Sentence(f"match.evidence.{signal}_{'agrees' if agrees else 'differs'}", params))
