"""Every message that crosses a process boundary.

One envelope carries one body. The identity of a message is (node, boot, sequence): the node's name, the number of the
start in which the message was made, and a count within that start; it is given once, before the message is written to the
outbox, and never changes. No message says which realm it belongs to, nor which node may be believed: both come from the
key that sent it.

Times are UTC nanoseconds, of capture where there is a picture. Angles are degrees, bearings clockwise from true north.
Pixels count from the top left corner of the full picture.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wire.flying import CheckResult, DroneTelemetry, Plan, Preflight, TaskState
from wire.node_words import Worded
from wire.optics import Optics
from wire.tasking import Dispatch, FleetOrder, Offer, Target
from wire.units import (
    Colour,
    Covariance2,
    GroundPosition,
    ObjectClass,
    Position,
    TimeQuality,
    VehicleKind,
    is_vehicle,
)

PROTOCOL_VERSION = 1

# ---------------------------------------------------------------------------------------------------- what a node saw


class PlacementPoint(msgspec.Struct, frozen=True, tag="point"):
    """The foot of an object on the ground, with its error."""

    position: GroundPosition
    covariance: Covariance2


class PlacementBearing(msgspec.Struct, frozen=True, tag="bearing"):
    """Only the direction holds: the predicted error of a point was larger than the sensor's limit."""

    from_position: GroundPosition
    bearing_deg: float
    sigma_deg: float
    reason: str


Placement = PlacementPoint | PlacementBearing


class Box(msgspec.Struct, frozen=True, array_like=True):
    """Pixels in the full picture: left, top, right, bottom."""

    x1: float
    y1: float
    x2: float
    y2: float


class Detection(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object in one frame.

    track: the sensor's own number for it, a hint for association and no more.
    confirmed: the track has passed confirmation; the station makes contacts of confirmed detections only.
    corridors: ids that the 99 % ellipse touches, judged by `DetectionBatch.corridors_version`; empty means outside.
    Vehicles only, and not with every detection: when they are new, or have not been told for a while. A person with any of
    them is no message. plate: as several readings voted. plate_confidence: how likely each letter or digit of it is right, 0
    to 1; signs between them have none. kind, colour: of the vehicle, None where they cannot be told.
    """

    track: int
    object_class: ObjectClass
    score: float
    box: Box
    placement: Placement
    confirmed: bool
    corridors: tuple[str, ...] = ()
    plate: str | None = None
    plate_confidence: tuple[float, ...] = ()
    kind: VehicleKind | None = None
    colour: Colour | None = None

    def __post_init__(self) -> None:
        told = self.plate is not None or self.kind is not None or self.colour is not None
        if told and not is_vehicle(self.object_class):
            raise ValueError(f"a {self.object_class.value} has no plate, kind or colour; only vehicles have them")
        confidences = self.plate_confidence
        if not confidences:
            return
        if len(confidences) != sum(c.isalnum() for c in self.plate or "") or not all(0.0 <= c <= 1.0 for c in confidences):
            raise ValueError(
                f'the plate "{self.plate}" needs a confidence of 0 to 1 for each letter or digit, not {confidences}'
            )


class DetectionBatch(msgspec.Struct, frozen=True, tag="detections"):
    """All detections of one frame of one sensor."""

    sensor: str
    captured_ns: int
    time_quality: TimeQuality
    corridors_version: str
    detections: tuple[Detection, ...]


class TrackState(StrEnum):
    CONFIRMED = "confirmed"
    ENDED = "ended"


class TrackUpdate(msgspec.Struct, frozen=True, tag="track"):
    """A track was confirmed, or has ended."""

    sensor: str
    track: int
    state: TrackState
    object_class: ObjectClass
    first_ns: int
    last_ns: int
    hits: int
    median_score: float


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """The best picture of a track so far. It waits behind detections, never ahead of them.

    jpeg: at most SNAPSHOT_LIMIT_BYTES; where the realm is training, its marking is burnt into the pixels.
    box: of the object, in pixels of this jpeg.
    """

    sensor: str
    track: int
    captured_ns: int
    jpeg: bytes
    box: Box


class SensorState(StrEnum):
    SEEING = "seeing"
    BLIND = "blind"                 # no fresh picture
    CALIBRATING = "calibrating"     # most of the picture changed at once
    # Pictures come, and cannot be believed; `detail` says why.
    COVERED = "covered"
    DARK = "dark"
    DEFOCUSED = "defocused"
    FROZEN = "frozen"
    MOVED = "moved"                 # it sees, and what it sees is placed wrongly

    @property
    def is_blind(self) -> bool:
        """Whether nobody may rely on this sensor now."""
        return self not in (SensorState.SEEING, SensorState.CALIBRATING)


class SensorReport(msgspec.Struct, frozen=True, tag="sensor"):
    """Where a sensor stands, what it can see, and whether it sees. Sent on change and every few seconds.

    footprint: outline of the ground it can see now; empty when none can be given. optics: lens and attitude, of the same
    moment as the position; coverage is worked out from them, and not from the footprint, which anybody can draw.
    state_since_ns: when `state` began.
    simulated: its pixels are rendered or replayed from a file. detail_words: `detail` as a key and its values; None of older
    nodes.
    """

    sensor: str
    at_ns: int
    position: Position
    footprint: tuple[GroundPosition, ...]
    state: SensorState
    state_since_ns: int
    simulated: bool
    detail: str = ""
    optics: Optics | None = None
    detail_words: Worded | None = None


class NodeHealth(msgspec.Struct, frozen=True, tag="health"):
    """How a node is. Stage times are milliseconds a frame, means since the last report.

    looks: frames since the last report by how much of the picture the detector was shown: "full", "crops", "none".
    stage_per_s: how often each stage ran, a second. temperature_c: of the hottest sensor inside, None where there is none.
    position_problem: why the position is not trusted.
    profile, profiles: of the motion gate, the one in force and all that may be ordered. preset, presets: likewise of a
    camera that turns; none is in force while it turns (turning_to says where to), or where nobody knows where it looks.
    problem_words, position_words: problems, one by one, and position_problem, as keys and values; empty of older nodes.
    """

    at_ns: int
    uptime_s: float
    frames_in: int
    frames_dropped: int
    frames_per_s: float
    stage_ms: dict[str, float]
    outbox_depth: int
    outbox_dropped: int
    detections_sent: int
    disk_free_mb: float
    memory_mb: float
    time_quality: TimeQuality
    position_trusted: bool
    problems: tuple[str, ...] = ()
    looks: dict[str, int] = {}
    stage_per_s: dict[str, float] = {}
    temperature_c: float | None = None
    position_problem: str = ""
    profile: str = ""
    profiles: tuple[str, ...] = ()
    preset: str = ""
    presets: tuple[str, ...] = ()
    turning_to: str = ""
    problem_words: tuple[Worded, ...] = ()
    position_words: Worded | None = None


# ------------------------------------------------------------------------------------------------ orders, and answers


class OrderAction(StrEnum):
    SNAPSHOT = "snapshot"
    CLIP = "clip"
    PROFILE = "profile"
    PTZ_PRESET = "ptz_preset"


class Order(msgspec.Struct, frozen=True, tag="order"):
    """Station to node: do this with that sensor. It is sent again until it is answered; its id makes it one order.

    action: an OrderAction's value; text, so that a node can refuse what only a newer station knows. argument: the profile's
    or the preset's name. before_s, after_s: of a clip, from the moment the order arrives. expires_ns: UTC; a node that hears
    it later refuses it; 0 for never.
    """

    order_id: str
    sensor: str
    action: str
    argument: str = ""
    before_s: float = 10.0
    after_s: float = 5.0
    expires_ns: int = 0


class OrderResult(msgspec.Struct, frozen=True, tag="order_result"):
    """A node's one answer to an order. Who dies between two commits may say it twice: the first is the answer.

    key, params: `detail` as a sentence of the station's language files, where the node has one; the fleet has, and newer
    nodes of cameras.
    """

    order_id: str
    done: bool
    detail: str
    key: str = ""
    params: dict[str, str | float | int] = {}


class FootageFrame(msgspec.Struct, frozen=True, array_like=True):
    captured_ns: int
    jpeg: bytes


class Footage(msgspec.Struct, frozen=True, tag="footage"):
    """Pictures that an order asked for: the one of a snapshot, or some of a clip's. They wait behind detections.

    part: from 0, of `parts`. frames: in order of time, each marked in its pixels where the realm is training. A clip is a
    row of pictures and no video: each keeps its own time, and a part that is lost takes no other with it. A station that
    does not know this message refuses it by itself and takes all others, so the protocol's version stays.
    """

    order_id: str
    sensor: str
    part: int
    parts: int
    frames: tuple[FootageFrame, ...]


class Refusal(msgspec.Struct, frozen=True):
    """A message that was not taken, and why. boot and sequence are -1 when it could not even be read that far."""

    boot: int
    sequence: int
    reason: str


class Acknowledgement(msgspec.Struct, frozen=True, tag="ack"):
    """Station to node: these are on the disk (the commit that holds them has returned), and these are refused.

    acknowledged: (boot, sequence) pairs. A refused message is not sent again either; the node counts it.
    pieces: (boot, sequence, bytes) of a picture that comes in pieces (wire.pieces), so many are here, in memory alone.
    """

    acknowledged: tuple[tuple[int, int], ...]
    refused: tuple[Refusal, ...] = ()
    pieces: tuple[tuple[int, int, int], ...] = ()


# ------------------------------------------------------------------------------------------------------ the geography


class Corridor(msgspec.Struct, frozen=True):
    """A trail's centre line with a width, a schedule and a priority.

    alarm_minutes: (start, end) in minutes of the local day in which being here raises an alarm; end may be below start (over
    midnight); (0, 1440) is always.
    """

    id: str
    name: str
    centre_line: tuple[GroundPosition, ...]
    width_m: float
    priority: int
    alarm_minutes: tuple[int, int] = (0, 1440)


class CorridorSet(msgspec.Struct, frozen=True, tag="corridors"):
    """All corridors of a sector; `version` is a digest of the content. It is the station's greeting to a node.

    takes_pieces: the station takes pictures in pieces (wire.pieces); an older one does not say so.
    """

    sector: str
    version: str
    corridors: tuple[Corridor, ...]
    takes_pieces: bool = False


# ------------------------------------------------------------------------------------------------------ the envelope

UpBody = (
    DetectionBatch | TrackUpdate | Snapshot | Footage | SensorReport | NodeHealth | OrderResult
    | DroneTelemetry | Plan | CheckResult | Preflight | TaskState | Offer | Dispatch
)
DownBody = Acknowledgement | Order | CorridorSet | FleetOrder | Target


class Envelope(msgspec.Struct, frozen=True):
    """What travels from a node (or the fleet) to the station."""

    node: str
    boot: int
    sequence: int
    body: UpBody
