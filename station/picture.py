"""What the mind tells the web server, and the web server tells the browser: the picture, and what changed in it.

No sentence stands in here: alarms and evidence carry the key of a sentence in the language files and its parameters, so
that the screen speaks the language of whoever looks. No watchlist record stands in here either: a match names the
subject's id; its content is fetched by whoever opens it, and that look is recorded.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from station.contact_requests import ContactRequest
from station.coverage_picture import CoverageView, CoverageWhole, SetWeather, TellWalk
from station.duty import Duty, DutyRequest, Made, TeamView
from station.fleet_picture import FleetView
from station.fleet_requests import FleetRequest
from station.sentences import Sentence as Sentence
from wire.flying import CheckResult, DroneTelemetry, Plan, Preflight, TaskState
from wire.messages import NodeHealth, SensorState
from wire.node_words import Worded
from wire.units import Colour, Covariance2, GroundPosition, ObjectClass, Position, Realm, VehicleKind


class ContactState(StrEnum):
    LIVE = "live"               # seen within the last 3 s
    COASTING = "coasting"       # predicted only
    ENDED = "ended"


class TrailPoint(msgspec.Struct, frozen=True, array_like=True):
    lat_deg: float
    lon_deg: float
    at_ns: int


class ContactView(msgspec.Struct, frozen=True):
    """One object on the ground. Velocity in metres a second, east and north. border_m: positive on our side.

    *_probability: 0 to 1, from all looks of all sensors, among what may be taken for each other.
    """

    id: str
    object_class: ObjectClass
    state: ContactState
    position: GroundPosition
    covariance: Covariance2
    velocity_m_s: tuple[float, float]
    first_seen_ns: int
    last_seen_ns: int
    detections: int
    score: float
    sensors: tuple[str, ...]
    corridors: tuple[str, ...]
    border_m: float
    simulated: bool
    plate: str | None
    why_merged: tuple[Sentence, ...]
    trail: tuple[TrailPoint, ...]
    snapshot: str | None        # id for /api/snapshots/{id}
    kind: VehicleKind | None = None
    colour: Colour | None = None
    why_apart: tuple[Sentence, ...] = ()
    own_patrol: str | None = None       # the patrol of ours that it seems to be; `why_merged` says why
    party: tuple[str, ...] = ()         # ids of those that it travels with
    class_probability: float | None = None      # None in what an older station told
    kind_probability: float | None = None
    colour_probability: float | None = None


class AlarmState(StrEnum):
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    SHELVED = "shelved"
    CLOSED = "closed"


class AlarmEventView(msgspec.Struct, frozen=True):
    state: AlarmState
    at_ns: int
    person: str
    reason: str


class AlarmView(msgspec.Struct, frozen=True):
    """rule: the kind of a rule (station.alarm_settings.RuleKind), watchlist_match, or one of station.alarms.TECHNICAL_RULES,
    which have no position.

    contacts: all that it stands for, the first (also in `contact`) raised it. raised_ns: capture time where there is one.
    rules: ids of the sector's rules that have spoken, in their order; why: what the gravest of them says.
    incident: the open case that it lies in. linked: other open alarms about one of its contacts (a watchlist question).
    """

    id: str
    rule: str
    priority: int
    state: AlarmState
    raised_ns: int
    says: Sentence
    contact: str | None
    corridor: str | None
    sensor: str | None
    match: str | None
    position: GroundPosition | None
    snapshot: str | None
    simulated: bool
    events: tuple[AlarmEventView, ...]
    contacts: tuple[str, ...] = ()
    node: str | None = None
    matches: tuple[str, ...] = ()   # of a watchlist alarm: one question for each of `contacts`, in their order
    rules: tuple[str, ...] = ()
    why: tuple[Sentence, ...] = ()
    teams: tuple[TeamView, ...] = ()
    incident: str | None = None
    linked: tuple[str, ...] = ()


class Evidence(msgspec.Struct, frozen=True):
    """One signal for or against, in bits (log2 of the likelihood ratio)."""

    signal: str
    bits: float
    says: Sentence


class MatchState(StrEnum):
    QUESTION = "question"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    MERGED = "merged"           # its contact turned out to be another candidate's; the older question goes on


class MatchView(msgspec.Struct, frozen=True):
    """A question to an officer: may this contact be that subject? lane: enforcement or welfare.

    confirmed_by: who has said yes so far; a grave category needs two persons before `state` is confirmed.
    strength: a word (station.matching.WORDS). probability: only where the weights are calibrated. merged_into: a match.
    """

    id: str
    contact: str
    subject: str
    lane: str
    state: MatchState
    asked_ns: int
    bits: float
    evidence: tuple[Evidence, ...]
    confirmed_by: tuple[str, ...] = ()
    needed: int = 1             # how many persons must say yes
    snapshot: str | None = None # the contact's, kept here because the contact leaves the picture before the question does
    strength: str = ""
    probability: float | None = None
    merged_into: str | None = None


class SensorView(msgspec.Struct, frozen=True):
    id: str
    node: str
    position: Position
    footprint: tuple[GroundPosition, ...]
    state: SensorState
    state_since_ns: int
    last_frame_ns: int
    simulated: bool
    detail: str
    detail_words: Worded | None = None


class NodeView(msgspec.Struct, frozen=True):
    """silent: nothing heard for 10 s."""

    node: str
    kind: str
    last_heard_ns: int
    silent: bool
    health: NodeHealth | None


class DroneView(msgspec.Struct, frozen=True):
    drone: str
    telemetry: DroneTelemetry
    trail: tuple[TrailPoint, ...]
    plan: Plan | None
    preflight: Preflight | None
    task: TaskState | None
    check: CheckResult | None = None


class FloodGroup(msgspec.Struct, frozen=True):
    """Waiting alarms of one corridor (empty: of none) within one stretch of time; what a flood is shown as."""

    corridor: str
    begins_ns: int
    ends_ns: int
    priority: int               # the most urgent one's
    alarms: tuple[str, ...]
    contacts: int


class AlarmRate(msgspec.Struct, frozen=True):
    """How many alarms a person was asked to look at, against EEMUA 191.

    per_10_min: in the last ten minutes. per_shift: in the last twelve hours. average_10_min: of these, for each ten minutes
    that the station has been running; the target is at most target_10_min. flood: whether one is on, and then `groups`.
    """

    per_10_min: int
    per_shift: int
    average_10_min: float
    most_10_min: int
    target_10_min: float
    flood: bool
    groups: tuple[FloodGroup, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """Since the store was born, so that nothing refused stays unseen. screens: watched, with sound; None while unknown.

    old_news: messages to go through for what was seen long before it came.
    """

    messages_stored: int
    detections_stored: int
    refused: dict[str, int]     # reason -> how often
    alarms: AlarmRate | None = None
    screens: int | None = None
    old_news: int = 0


class Picture(msgspec.Struct, frozen=True, tag="picture"):
    """Everything that is on the map now. `turn` counts deltas, so that a gap is noticed."""

    realm: Realm
    turn: int
    at_ns: int
    contacts: tuple[ContactView, ...]
    alarms: tuple[AlarmView, ...]
    matches: tuple[MatchView, ...]
    sensors: tuple[SensorView, ...]
    nodes: tuple[NodeView, ...]
    drones: tuple[DroneView, ...]
    counts: Counts
    coverage: tuple[CoverageView, ...] = ()
    coverage_whole: CoverageWhole | None = None
    fleets: tuple[FleetView, ...] = ()


class Delta(msgspec.Struct, frozen=True, tag="delta", omit_defaults=True):
    """What changed since turn - 1. Values replace the ones of the same id. grown: contacts whose trail is only what it has
    grown by (station.trails).
    """

    turn: int
    at_ns: int
    contacts: tuple[ContactView, ...] = ()
    contacts_gone: tuple[str, ...] = ()
    alarms: tuple[AlarmView, ...] = ()
    matches: tuple[MatchView, ...] = ()
    sensors: tuple[SensorView, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    drones: tuple[DroneView, ...] = ()
    counts: Counts | None = None
    coverage: tuple[CoverageView, ...] = ()
    coverage_whole: CoverageWhole | None = None
    grown: tuple[str, ...] = ()
    fleets: tuple[FleetView, ...] = ()


# ------------------------------------------------------------------------------- what the web server asks of the mind


class GetPicture(msgspec.Struct, frozen=True, tag="get_picture"):
    pass


class ChangeAlarm(msgspec.Struct, frozen=True, tag="change_alarm"):
    """A person's decision on an alarm. The mind answers when it is on the disk."""

    alarm: str
    to: AlarmState
    person: str
    reason: str = ""


class DecideMatch(msgspec.Struct, frozen=True, tag="decide_match"):
    match: str
    to: MatchState
    person: str
    reason: str = ""


Request = GetPicture | ChangeAlarm | DecideMatch | DutyRequest | SetWeather | TellWalk | ContactRequest | FleetRequest


class Done(msgspec.Struct, frozen=True, tag="done"):
    pass


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Not done. says: why, in a sentence of the language files."""

    says: Sentence


Answer = Picture | Done | Refused | Duty | Made
