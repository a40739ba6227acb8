"""A contact: one object on the ground, with everything that is known about it, and how it is kept on the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from station.fusion_filter import WIDTH, Motions
from station.kalman import Array, Estimate, Motion
from station.picture import Sentence, TrailPoint
from wire.units import Colour, ObjectClass, VehicleKind

if TYPE_CHECKING:
    from station.fusion_lag import Step

PLATES_LIMIT = 8
TRACKS_LIMIT = 40
WHY_LIMIT = 12
TRAIL_EVERY_NS = 2_000_000_000
TRAIL_EVERY_M = 3.0
TRAIL_LIMIT = 90                # three minutes on screen; the whole trail is in the table of that name

# Walkers go on steadily for a quarter of a minute at a time and take a few seconds to stop or turn, at about 0.4 m/s^2;
# drivers brake and turn at 1 to 2; boats are in between. Speeds: walking and running people; traffic on dirt roads; boats.
MOTIONS: dict[str, Motions] = {
    "person": Motions(intensity=(0.02, 0.5), leave_per_s=(1 / 15, 1 / 4), speed_sigma_m_s=1.5),
    "vehicle": Motions(intensity=(0.3, 4.0), leave_per_s=(1 / 15, 1 / 4), speed_sigma_m_s=8.0),
    "boat": Motions(intensity=(0.1, 1.0), leave_per_s=(1 / 30, 1 / 8), speed_sigma_m_s=4.0),
}

# Looks at one object that follow each other are much the same look: they weigh as one in this time.
LOOKS_APART_NS = 2_000_000_000
SCORE_LIMITS = (0.25, 0.9)      # of what a detector's score may claim to be worth
P_KIND_RIGHT = 0.8              # a kind or a colour is named right (docs/edge.md), independent looks
P_COLOUR_RIGHT = 0.75
# What a detector calls a vehicle of that kind. A node tells a kind from its first looks, and takes it back by no more than
# telling none: "truck, 99 % sure" and "car" beside it would be an answer that contradicts itself.
CALLED: dict[VehicleKind, frozenset[ObjectClass]] = {
    VehicleKind.CAR: frozenset({ObjectClass.CAR}), VehicleKind.PICKUP: frozenset({ObjectClass.CAR, ObjectClass.TRUCK}),
    VehicleKind.TRUCK: frozenset({ObjectClass.TRUCK}), VehicleKind.BUS: frozenset({ObjectClass.BUS}),
    VehicleKind.MOTORCYCLE: frozenset({ObjectClass.MOTORCYCLE}),
}
FOREVER = 2**62                 # later than any time in nanoseconds
COUSINS = 5                     # classes of the vehicle group that may be taken for each other


def group_of(object_class: ObjectClass) -> str:
    """What a detector may confuse with each other; contacts never change their group."""
    if object_class is ObjectClass.PERSON:
        return "person"
    return "boat" if object_class is ObjectClass.BOAT else "vehicle"


class Sight(msgspec.Struct):
    """What one sensor contributed. last_ns: capture of its newest detection. covariance: of that one, ee, en, nn in m^2."""

    count: int
    last_ns: int
    covariance: tuple[float, float, float]


class Visit(msgspec.Struct):
    """A stay in a corridor. alarm: number of the alarm that it raised or joined."""

    last_inside_ns: int
    alarm: int


class Course(msgspec.Struct):
    """What the alarm rules remember of a contact's way; metres east and north in the sector's frame, capture times.

    judged_ns: when the rules last looked. steps: places every few seconds, for the direction. anchors: by rule, since when
    and around where it has stayed. fast_since: by rule. side: 1 on our side of the border line, -1 beyond it, 0 while the
    error leaves it open.
    """

    judged_ns: int = 0
    steps: list[tuple[int, float, float]] = []
    anchors: dict[str, tuple[int, float, float]] = {}
    fast_since: dict[str, int] = {}
    side: int = 0


class ContactState(msgspec.Struct):
    """A contact as it stands in mind.db. mean: 4 numbers, covariance: 16, row by row; units as in kalman.Estimate."""

    number: int
    group: str
    mean: list[float]
    covariance: list[float]
    at_ns: int
    first_seen_ns: int
    last_seen_ns: int
    last_received_ns: int
    detections: int
    score_sum: float
    simulated: bool
    votes: dict[str, float]
    plates: dict[str, int]
    sights: dict[str, Sight]
    tracks: dict[str, int]
    apart: list[int]
    why: list[Sentence]
    visits: dict[str, Visit]
    corridors: list[str]
    snapshot: str | None
    ended_ns: int | None
    merged_into: int | None
    absorbed: list[int] = []
    plate_confidence: dict[str, tuple[float, ...]] = {}
    kinds: dict[str, int] = {}
    colours: dict[str, int] = {}
    course: Course = msgspec.field(default_factory=Course)
    row: bytes = b""
    slots: list[str] = []
    kept_from: dict[str, int] = {}
    joined: list[str] = []
    why_apart: list[Sentence] = []
    own_patrol: str | None = None
    party: list[int] = []
    apart_ns: list[int] = []


@dataclass(slots=True)
class Contact:
    """A contact as fusion works on it.

    votes: evidence for each class, natural logarithm of the odds against any other of its group.
    tracks: "node/boot/sensor/track" to the last capture time. apart: numbers of contacts that one sensor saw beside this one
    in a single frame, to when it last did; FOREVER where a person told them apart. absorbed: of those merged into this one.
    plates: how often each text was told. plate_confidence: of each letter or digit, as last told; empty where nobody said.
    kinds, colours: how often each was told.
    row, slots: the filter's belief (fusion_filter) and the sensors in its slots. steps: the last three seconds (fusion_lag).
    kept_from: a person split this contact: detections of these sensors go to that contact first. joined: tracks that a
    person joined to it, even where one sensor saw them beside each other. why_apart: who is near and somebody else, and why.
    own_patrol: the patrol of ours that it seems to be. party: numbers of the contacts it travels with.
    learned_ns: when a sensor was last learned about from it.
    last_received_ns: when its newest detection reached the station. ended_ns: station time; None while it may be seen again.
    """

    number: int
    group: str
    estimate: Estimate
    first_seen_ns: int
    last_seen_ns: int
    last_received_ns: int
    simulated: bool
    detections: int = 0
    score_sum: float = 0.0
    votes: dict[str, float] = field(default_factory=dict)
    plates: dict[str, int] = field(default_factory=dict)
    sights: dict[str, Sight] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)
    apart: dict[int, int] = field(default_factory=dict)
    why: list[Sentence] = field(default_factory=list)
    trail: list[TrailPoint] = field(default_factory=list)
    visits: dict[str, Visit] = field(default_factory=dict)
    corridors: tuple[str, ...] = ()
    snapshot: str | None = None
    ended_ns: int | None = None
    merged_into: int | None = None
    absorbed: list[int] = field(default_factory=list)
    trail_m: Array = field(default_factory=lambda: np.full(2, np.inf))      # where the last trail point is
    fresh_trail: list[TrailPoint] = field(default_factory=list)             # not yet on the disk
    plate_confidence: dict[str, tuple[float, ...]] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    colours: dict[str, int] = field(default_factory=dict)
    course: Course = field(default_factory=Course)
    row: Array | None = None
    slots: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    kept_from: dict[str, int] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    why_apart: list[Sentence] = field(default_factory=list)
    own_patrol: str | None = None
    party: tuple[int, ...] = ()
    learned_ns: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return contact_id(self.number)

    @property
    def ids(self) -> tuple[str, ...]:
        """Its own id, and those of the contacts that it has absorbed."""
        return (self.id, *(contact_id(n) for n in self.absorbed))

    @property
    def motion(self) -> Motion:
        """On average over the models of its group: good enough to say where it may be by now."""
        motions = MOTIONS[self.group]
        return Motion(motions.mean_intensity, motions.speed_sigma_m_s)

    @property
    def party_size(self) -> int:
        return len(self.party) + 1

    @property
    def object_class(self) -> ObjectClass:
        # Equal votes: the class that comes first in the enumeration, so that a replay says the same.
        return max(ObjectClass, key=lambda c: self.votes.get(c.value, 0.0))

    @property
    def class_probability(self) -> float:
        """Of `object_class`, among those that a detector may confuse with it."""
        most = max(self.votes.values(), default=0.0)
        others = sum(math.exp(v - most) for v in self.votes.values()) - 1.0
        unseen = max(0, (COUSINS if self.group == "vehicle" else 1) - len(self.votes)) * math.exp(-most)
        return 1.0 / (1.0 + others + unseen)

    @property
    def kind_probability(self) -> float | None:
        kinds = self._kinds_of_its_class
        return _share(kinds, P_KIND_RIGHT, len(VehicleKind)) if kinds else None

    @property
    def colour_probability(self) -> float | None:
        return _share(self.colours, P_COLOUR_RIGHT, len(Colour)) if self.colours else None

    @property
    def plate(self) -> str | None:
        """The plate text read most often."""
        return max(self.plates, key=lambda text: (self.plates[text], text)) if self.plates else None

    @property
    def kind(self) -> VehicleKind | None:
        """What it was called most often, among the kinds of its class; the first of the enumeration where they are equal."""
        kinds = self._kinds_of_its_class
        return max(VehicleKind, key=lambda k: kinds.get(k.value, 0)) if kinds else None

    @property
    def _kinds_of_its_class(self) -> dict[str, int]:
        if not self.kinds:          # of a person, and of most vehicles
            return self.kinds
        of_class = self.object_class
        return {kind: n for kind, n in self.kinds.items() if of_class in CALLED[VehicleKind(kind)]}

    @property
    def colour(self) -> Colour | None:
        return max(Colour, key=lambda c: self.colours.get(c.value, 0)) if self.colours else None

    def note_plate(self, text: str, confidence: tuple[float, ...] = ()) -> None:
        self.plates[text] = self.plates.get(text, 0) + 1
        self.plate_confidence[text] = confidence
        if len(self.plates) > PLATES_LIMIT:
            least = min(self.plates, key=lambda t: (self.plates[t], t))
            del self.plates[least]
            self.plate_confidence.pop(least, None)

    def note_class(self, object_class: ObjectClass, score: float, since_ns: int | None) -> None:
        """A look says what it is. since_ns: since the same sensor's last look at it; None for its first."""
        likely = min(SCORE_LIMITS[1], max(SCORE_LIMITS[0], score))
        weight = 1.0 if since_ns is None else min(1.0, max(since_ns, 0) / LOOKS_APART_NS)
        evidence = math.log(likely * (COUSINS - 1) / (1.0 - likely))
        name = object_class.value
        self.votes[name] = self.votes.get(name, 0.0) + weight * max(evidence, 0.0)

    def note_why(self, sentence: Sentence) -> None:
        if len(self.why) < WHY_LIMIT:
            self.why.append(sentence)

    def note_apart(self, sentence: Sentence) -> None:
        if len(self.why_apart) < WHY_LIMIT and sentence not in self.why_apart:
            self.why_apart.append(sentence)

    def to_state(self) -> ContactState:
        """For the disk; without the trail, which has a table of its own."""
        e = self.estimate
        return ContactState(
            self.number, self.group, e.mean.tolist(), e.covariance.ravel().tolist(), e.at_ns, self.first_seen_ns,
            self.last_seen_ns, self.last_received_ns, self.detections, self.score_sum, self.simulated, self.votes,
            self.plates, self.sights, self.tracks, list(self.apart), self.why, self.visits, list(self.corridors),
            self.snapshot, self.ended_ns, self.merged_into, self.absorbed, self.plate_confidence, self.kinds, self.colours,
            self.course, self._belief(), self.slots, self.kept_from, self.joined, self.why_apart, self.own_patrol,
            list(self.party), list(self.apart.values()),
        )

    def _belief(self) -> bytes:
        row = self.steps[-1].row if self.steps else self.row
        return b"" if row is None else row.astype("<f8").tobytes()


def contact_from(s: ContactState, trail: list[TrailPoint]) -> Contact:
    """A contact back from the disk, with the newest of its trail."""
    return Contact(
        s.number, s.group, Estimate(np.array(s.mean), np.array(s.covariance).reshape(4, 4), s.at_ns), s.first_seen_ns,
        s.last_seen_ns, s.last_received_ns, s.simulated, s.detections, s.score_sum, s.votes, s.plates, s.sights, s.tracks,
        dict(zip(s.apart, s.apart_ns or [s.last_seen_ns] * len(s.apart), strict=True)), s.why, trail, s.visits,
        tuple(s.corridors), s.snapshot, s.ended_ns, s.merged_into,
        s.absorbed, plate_confidence=s.plate_confidence, kinds=s.kinds, colours=s.colours,
        course=s.course, row=np.frombuffer(s.row, "<f8").copy() if len(s.row) == 8 * WIDTH else None,
        slots=s.slots if len(s.row) == 8 * WIDTH else [], kept_from=s.kept_from, joined=s.joined, why_apart=s.why_apart,
        own_patrol=s.own_patrol, party=tuple(s.party),
    )


def _share(counts: dict[str, int], right: float, words: int) -> float:
    """How likely the word told most often is right, where each telling is right with a probability of its own."""
    step = math.log(right * (words - 1) / (1.0 - right))
    most = max(counts.values())
    told = sum(math.exp(step * (n - most)) for n in counts.values())
    return 1.0 / (told + (words - len(counts)) * math.exp(-step * most))


def contact_id(number: int) -> str:
    return f"C-{number:06d}"
