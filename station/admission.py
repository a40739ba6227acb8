"""Who and what the inbox lets in: keys against the allow list, messages against their sender and against sense."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq
from zmq.utils import z85

from wire.codec import NAME_LIMIT, TEXT_LIMIT, RefusedError, decode_envelope
from wire.flying import CheckResult, DroneTelemetry, Plan, Preflight, TaskState
from wire.keys import AllowedNode, NodeKind, load_allow_list
from wire.messages import (
    Box,
    Detection,
    DetectionBatch,
    Envelope,
    Footage,
    NodeHealth,
    OrderResult,
    PlacementPoint,
    SensorReport,
    Snapshot,
    TrackUpdate,
    UpBody,
)
from wire.optics import Optics
from wire.settings import SettingsError
from wire.tasking import Dispatch, Offer
from wire.units import GroundPosition, Realm

FUTURE_LIMIT_NS = 10_000_000_000            # a capture later than this after its arrival: that node's clock is wrong
EARLIEST_NS = 1_577_836_800_000_000_000     # 2020-01-01 UTC; before that no Trailwatch ran: a clock that lost its battery
INT64_LIMIT = 2**63
PARTS_LIMIT = 1000                          # of one order's pictures
SIDE_LIMIT_PX = 100_000                     # of a picture
OUTSIDE_LIMIT_PX = 2_000.0                  # how far a detector's box may reach beyond the picture's border
DETECTIONS_LIMIT = 300                      # in one frame; edge.detector returns at most 200
CORRIDORS_LIMIT = 100                       # that one detection can be inside
PLATE_LIMIT = 32                            # characters
SIGMA_LIMIT_M = 10_000.0                    # a position that is worse says nothing
VARIANCE_LIMIT_M2 = SIGMA_LIMIT_M**2
REASONS = (
    "unknown_key", "other_protocol", "other_version", "does_not_parse", "too_large", "bad_identity", "other_node",
    "kind_not_allowed", "impossible_content", "impossible_time", "two_sessions", "identity_reused",
    "stale", "elsewhere", "over_budget",
)
# What an arrival is marked with, and what it is counted as.
REASON_OF = {"future": "impossible_time", "past": "impossible_time", "stale": "stale", "elsewhere": "elsewhere"}

_EYES = (DetectionBatch, TrackUpdate, Snapshot, Footage, SensorReport, NodeHealth, OrderResult)
_FLEET = (DroneTelemetry, Plan, CheckResult, Preflight, TaskState, NodeHealth, OrderResult, Offer, Dispatch)
MAY_SEND: dict[NodeKind, tuple[type, ...]] = {NodeKind.CAMERA: _EYES, NodeKind.DRONE: _EYES, NodeKind.FLEET: _FLEET}

_log = logging.getLogger("trailwatch.inbox")


class AllowList:
    """The node keys of nodes.toml, read again when the file changes.

    A file that cannot be used is said once, and the last good list stays: a slip of the pen must not silence a border.
    """

    def __init__(self, path: Path, realm: Realm) -> None:
        self._path = path
        self._realm = realm
        self._stamp: tuple[int, int, int] | None = None
        self._nodes: dict[str, AllowedNode] = {}
        self.refresh()

    def refresh(self) -> None:
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            stamp = (0, 0, 0)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp == (0, 0, 0):
            _log.warning("%s: not there yet, so no node may connect. Add one with `trailwatch keys`.", self._path)
            self._nodes = {}
            return
        try:
            self._nodes = load_allow_list(self._path, self._realm)
        except SettingsError as error:
            _log.error("%s; going on with the %d keys of before", error, len(self._nodes))
            return
        _log.info("%s: %d nodes may connect", self._path, len(self._nodes))

    def by_key(self, public: str) -> AllowedNode | None:
        return self._nodes.get(public)


def answer_zap(request: list[bytes], allowed: AllowList) -> tuple[list[bytes], str | None]:
    """One authentication request of libzmq (ZeroMQ RFC 27, ZAP) to its reply, and the public key when it is refused.

    A key that is let in becomes the connection's User-Id, so that each message carries it.
    """
    if len(request) < 6 or request[0] != b"1.0":
        return [b"1.0", request[1] if len(request) > 1 else b"", b"400", b"not ZAP 1.0", b"", b""], "unknown"
    if request[5] != b"CURVE" or len(request) != 7 or len(request[6]) != 32:
        return [b"1.0", request[1], b"400", b"CURVE only", b"", b""], "unknown"
    public = z85.encode(request[6]).decode("ascii")
    allowed.refresh()
    if allowed.by_key(public) is None:
        return [b"1.0", request[1], b"400", b"unknown key", b"", b""], public
    return [b"1.0", request[1], b"200", b"OK", public.encode("ascii"), b""], None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message that is taken. suspect: "future" or "past" when its time is impossible; None when it is fine."""

    envelope: Envelope
    kind: str
    suspect: str | None


class _Head(msgspec.Struct):
    """What names an envelope, read where the rest does not parse."""

    boot: int = -1
    sequence: int = -1


_head = msgspec.msgpack.Decoder(_Head)


def identity_of(data: bytes) -> tuple[int, int]:
    """(boot, sequence) of an envelope that was refused, as far as it can be read; (-1, -1) otherwise."""
    try:
        head = _head.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return -1, -1
    if 0 <= head.boot < INT64_LIMIT and 0 <= head.sequence < INT64_LIMIT:
        return head.boot, head.sequence
    return -1, -1


def admit(data: bytes, sender: AllowedNode, received_ns: int) -> Admitted:
    """Judge one envelope frame. Raises RefusedError with its reason, and nothing else.

    An impossible time is not refused: what was seen was seen, and a second sending would be no better. The message is kept
    and marked; the mind leaves marked detections out of fusion and raises an alarm about that node's clock.
    """
    envelope = decode_envelope(data)
    if envelope.node != sender.node:
        raise RefusedError(f'says it is from "{envelope.node}", and its key belongs to "{sender.node}"', "other_node")
    body = envelope.body
    kind = str(body.__struct_config__.tag)
    if not isinstance(body, MAY_SEND[sender.kind]):
        raise RefusedError(f'a node of kind {sender.kind.value} does not send "{kind}"', "kind_not_allowed")
    check_content(body)
    return Admitted(envelope, kind, suspect_time(body, received_ns))


def suspect_time(body: UpBody, received_ns: int) -> str | None:
    at_ns = captured_ns(body)
    if at_ns is None:
        return None
    if at_ns > received_ns + FUTURE_LIMIT_NS:
        return "future"
    return "past" if at_ns < EARLIEST_NS else None


def captured_ns(body: UpBody) -> int | None:
    match body:
        case DetectionBatch() | Snapshot():
            return body.captured_ns
        case Footage():
            return body.frames[-1].captured_ns
        case TrackUpdate():
            return body.last_ns
        case SensorReport() | NodeHealth() | DroneTelemetry() | Preflight() | TaskState() | Dispatch():
            return body.at_ns
        case Plan() | Offer():
            return body.made_ns
        case _:
            return None


def check_content(body: UpBody) -> None:
    """Refuse what parses and cannot be: numbers that are none, places off the Earth, counts beyond the database."""
    _check_names(body)
    match body:
        case DetectionBatch():
            _within_int64(body.captured_ns)
            if len(body.detections) > DETECTIONS_LIMIT:
                raise RefusedError(
                    f"detections: {len(body.detections)} in one frame; the limit is {DETECTIONS_LIMIT}", "impossible_content"
                )
            for detection in body.detections:
                _check_detection(detection)
        case Snapshot():
            _within_int64(body.captured_ns, body.track)
            _check_box(body.box, may_be_empty=True)     # it is clipped to the snapshot, and the object may lie outside
            if not body.jpeg.startswith(b"\xff\xd8"):
                raise RefusedError("a snapshot that is no JPEG", "impossible_content")
        case Footage():
            _check_order_id(body.order_id)
            if not 0 <= body.part < body.parts <= PARTS_LIMIT or not body.frames:
                raise RefusedError(f"part {body.part} of {body.parts}, {len(body.frames)} pictures", "impossible_content")
            for frame in body.frames:
                _within_int64(frame.captured_ns)
                if not frame.jpeg.startswith(b"\xff\xd8"):
                    raise RefusedError("a picture that is no JPEG", "impossible_content")
        case OrderResult():
            _check_order_id(body.order_id)
        case TrackUpdate():
            _within_int64(body.first_ns, body.last_ns, body.track, body.hits)
            _check_score("median_score", body.median_score)
        case SensorReport():
            _within_int64(body.at_ns, body.state_since_ns)
            _check_place(body.position.lat_deg, body.position.lon_deg)
            _check_finite(body.position.height.m)
            _check_places(body.footprint)
            if body.optics is not None:
                _check_optics(body.optics)
        case DroneTelemetry():
            _within_int64(body.at_ns)
            if body.position is not None:
                _check_place(body.position.lat_deg, body.position.lon_deg)
                _check_finite(body.position.height.m)
        case Plan():
            _check_plan(body)
        case Offer():
            _check_order_id(body.order_id)
            _within_int64(body.made_ns, body.expires_ns)
            _check_places(body.wish.places)
            if body.plan is not None:
                _check_plan(body.plan)
        case NodeHealth() | Preflight() | TaskState() | Dispatch():
            _within_int64(body.at_ns)
        case _:
            pass


def _check_plan(plan: Plan) -> None:
    _within_int64(plan.made_ns)
    _check_places((plan.home, *(w.position for w in plan.waypoints), *plan.fence, *(r.position for r in plan.rally)))


def _check_detection(d: Detection) -> None:
    """This runs for every detection, so a valid detection costs no further function call for its score and box."""
    if not -INT64_LIMIT <= d.track < INT64_LIMIT:
        _within_int64(d.track)
    box, placement = d.box, d.placement
    if not 0.0 <= d.score <= 1.0:
        _check_score("score", d.score)
    if not (
        -OUTSIDE_LIMIT_PX <= box.x1 < box.x2 <= SIDE_LIMIT_PX + OUTSIDE_LIMIT_PX
        and -OUTSIDE_LIMIT_PX <= box.y1 < box.y2 <= SIDE_LIMIT_PX + OUTSIDE_LIMIT_PX
    ):
        _check_box(box)
    if d.corridors or d.plate is not None:
        if len(d.corridors) > CORRIDORS_LIMIT:
            raise RefusedError(
                f"corridors: {len(d.corridors)} of one detection; the limit is {CORRIDORS_LIMIT}", "impossible_content"
            )
        for corridor in d.corridors:
            _check_length("corridors", corridor, NAME_LIMIT)
        _check_length("plate", d.plate or "", PLATE_LIMIT)
    if isinstance(placement, PlacementPoint):
        position, c = placement.position, placement.covariance
        ee, en, nn = c.ee_m2, c.en_m2, c.nn_m2
        if not (-90.0 <= position.lat_deg <= 90.0 and -180.0 <= position.lon_deg <= 180.0):
            _check_place(position.lat_deg, position.lon_deg)
        # A number that is none compares as false with everything.
        if not (0.0 < ee < VARIANCE_LIMIT_M2 and 0.0 < nn < VARIANCE_LIMIT_M2 and ee * nn - en * en > 0.0):
            _check_finite(ee, en, nn)
            raise RefusedError("a covariance that no position error can have", "impossible_content")
    else:
        _check_place(placement.from_position.lat_deg, placement.from_position.lon_deg)
        _check_finite(placement.bearing_deg, placement.sigma_deg)
        if not (-360.0 <= placement.bearing_deg <= 360.0 and placement.sigma_deg >= 0.0):
            raise RefusedError(
                f"bearing_deg {placement.bearing_deg}, sigma_deg {placement.sigma_deg}: not a bearing", "impossible_content"
            )
        _check_length("reason", placement.reason, TEXT_LIMIT)


def _check_names(body: UpBody) -> None:
    """Limit the length of names, because they are stored as keys and shown on screens."""
    for field in ("sensor", "drone", "corridors_version"):
        name = getattr(body, field, None)
        if name is not None:
            _check_length(field, name, NAME_LIMIT)


def _check_length(field: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise RefusedError(f"{field}: {len(text)} characters; the limit is {limit}", "impossible_content")


def _check_score(field: str, score: float) -> None:
    if not 0.0 <= score <= 1.0:
        raise RefusedError(f"{field} {score}: not within 0 to 1", "impossible_content")


def _check_box(box: Box, *, may_be_empty: bool = False) -> None:
    """Refuse a box (pixels) without a size or outside any frame. It may reach OUTSIDE_LIMIT_PX beyond the border."""
    _check_finite(box.x1, box.y1, box.x2, box.y2)
    if not (may_be_empty or (box.x1 < box.x2 and box.y1 < box.y2)):
        raise RefusedError(f"box {_corners(box)}: it has no size", "impossible_content")
    least, most = -OUTSIDE_LIMIT_PX, SIDE_LIMIT_PX + OUTSIDE_LIMIT_PX
    if not (least <= box.x1 and least <= box.y1 and box.x2 <= most and box.y2 <= most):
        raise RefusedError(f"box {_corners(box)}: outside of any picture", "impossible_content")


def _corners(box: Box) -> str:
    return f"{box.x1:g}, {box.y1:g}, {box.x2:g}, {box.y2:g}"


def _check_optics(o: Optics) -> None:
    _check_finite(
        o.fx, o.fy, o.cx, o.cy, o.yaw_deg, o.pitch_deg, o.roll_deg, o.k1, o.k2, o.p1, o.p2, o.k3, o.reach_m, o.turning_deg_s,
        o.lamp_reach_m,
    )
    sides = 0 < o.width_px <= SIDE_LIMIT_PX and 0 < o.height_px <= SIDE_LIMIT_PX
    if not (sides and o.fx > 0 and o.fy > 0 and o.reach_m >= 0 and o.lamp_reach_m >= 0 and o.turning_deg_s >= 0):
        raise RefusedError("a lens that cannot be", "impossible_content")


def _check_order_id(order_id: str) -> None:
    if not 0 < len(order_id) <= NAME_LIMIT:
        raise RefusedError(f"an order's id of {len(order_id)} characters", "impossible_content")


def _within_int64(*values: int) -> None:
    for value in values:
        if not -INT64_LIMIT <= value < INT64_LIMIT:
            raise RefusedError(f"{value}: beyond 64 bits", "impossible_content")


def _check_finite(*values: float) -> None:
    for value in values:
        if not math.isfinite(value):
            raise RefusedError(f"{value}: not a number that can be measured", "impossible_content")


def _check_place(lat_deg: float, lon_deg: float) -> None:
    if not (-90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0):
        raise RefusedError(f"latitude {lat_deg}, longitude {lon_deg}: not on the Earth", "impossible_content")


def _check_places(places: tuple[GroundPosition, ...]) -> None:
    for place in places:
        _check_place(place.lat_deg, place.lon_deg)


def open_zap(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Bind the ZAP endpoint of a context; before any CURVE server socket of it binds, or keys would not be asked for."""
    socket = context.socket(zmq.REP)
    socket.linger = 0
    socket.bind("inproc://zeromq.zap.01")
    return socket
