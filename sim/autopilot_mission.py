"""The vehicle's side of MAVLink's mission protocol, as ArduPilot plays it: missions, fences and rally points.

No sockets and no clock: it is handed messages and the time, and calls back with what to send.

Observed on ArduCopter 4.7: an upload of a mission is not atomic. Its count cuts the old mission to that length, and each
item replaces the old one as it arrives, so that one which ends half-way leaves a mixture of both. A fence is kept whole.
An upload belongs to the station that began it, by its system and component id and not by its link: it outlives a cut
connection for as long as any other silence, and its station may begin it anew at once.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

ITEM_RETRY_S = 1.0              # ArduPilot asks for a missing item again each second (GCS_MAVLINK/MissionItemProtocol)
UPLOAD_SILENCE_S = 8.0          # and gives up after this
ITEM_LIMIT = 650                # what its default storage holds
FENCE_VERTEX_LIMIT = 69         # and of these
STORAGE_READY_S = 1.5           # after a boot; until then every count gets NO_SPACE
HEIGHT_LIMIT_M = 83_000.0       # LOCATION_ALT_MAX_M

# GLOBAL; MISSION, which is taken for the same; GLOBAL_RELATIVE_ALT; their _INT twins; GLOBAL_TERRAIN_ALT.
POSITION_FRAMES = (0, 2, 3, 5, 6, 10, 11)
NAV_COMMANDS = (16, 17, 18, 19, 20, 21, 22, 82, 92, 93, 94)
DO_COMMANDS = (112, 114, 115, 177, 178, 179, 181, 183, 195, 197, 201, 203, 205, 206, 207, 211, 212, 1000, 2000)
PLACED_COMMANDS = (16, 17, 18, 19, 21, 22, 82, 94, 195, 201, *range(5000, 5005), 5100)
FENCE_COMMANDS = tuple(range(5000, 5005))
RALLY_COMMAND = 5100

MISSION, FENCE, RALLY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Item:
    """One item as it is stored: x, y in 1e-7 degrees, z in metres of `frame`, params as MAVLink numbers them."""

    seq: int
    frame: int
    command: int
    p1: float = 0.0
    p2: float = 0.0
    p3: float = 0.0
    p4: float = 0.0
    x: int = 0
    y: int = 0
    z: float = 0.0

    def lat_deg(self) -> float:
        return self.x / 1e7

    def lon_deg(self) -> float:
        return self.y / 1e7


def refuse_item(item: Item, kind: int) -> int | None:
    """The MAV_MISSION_RESULT to refuse `item` with, or None."""
    known = {MISSION: NAV_COMMANDS + DO_COMMANDS, FENCE: FENCE_COMMANDS, RALLY: (RALLY_COMMAND,)}[kind]
    if item.command not in known:
        return int(mavlink.MAV_MISSION_UNSUPPORTED)
    if item.command not in PLACED_COMMANDS:
        return None
    if item.frame not in POSITION_FRAMES:
        return int(mavlink.MAV_MISSION_UNSUPPORTED_FRAME)
    if kind == FENCE and item.command in (5001, 5002) and item.p1 > 255:
        return int(mavlink.MAV_MISSION_INVALID_PARAM1)
    if abs(item.x) > 900_000_000:
        return int(mavlink.MAV_MISSION_INVALID_PARAM5_X)
    if abs(item.y) > 1_800_000_000:
        return int(mavlink.MAV_MISSION_INVALID_PARAM6_Y)
    limit_m = {MISSION: HEIGHT_LIMIT_M, FENCE: math.inf, RALLY: 32_767.0}[kind]     # a rally point's is 16 bits of metres
    if kind != FENCE and not abs(item.z) <= limit_m:
        return int(mavlink.MAV_MISSION_INVALID_PARAM7)
    return None


def refuse_fence(items: list[Item]) -> int | None:
    """MAV_MISSION_ERROR unless the items make whole polygons, each vertex naming the same count."""
    i = 0
    while i < len(items):
        command = items[i].command
        if command in (5001, 5002):
            count = int(items[i].p1)
            ring = items[i : i + count]
            if count < 3 or len(ring) < count or any(v.command != command or int(v.p1) != count for v in ring):
                return int(mavlink.MAV_MISSION_ERROR)
            i += count
        elif items[i].command in (5003, 5004) and not items[i].p1 > 0:
            return int(mavlink.MAV_MISSION_ERROR)
        else:
            i += 1
    return None


@dataclass(slots=True)
class Upload:
    channel: int
    system: int
    component: int
    kind: int
    count: int
    fresh: list[Item]
    heard_s: float
    asked_s: float

    def is_of(self, m: Any) -> bool:
        """Whether a message comes from the station that began it."""
        return bool(self.system == m.get_srcSystem() and self.component == m.get_srcComponent())


class MissionStore:
    """Items of each kind, and the transfer that is under way.

    send(channel, message): puts a message on a link. home(): item 0 of a download. changed(kind, items): after a commit.
    may_clear(): False while a mission is being flown.
    """

    def __init__(
        self,
        send: Callable[[int, Any], None],
        home: Callable[[], Item],
        changed: Callable[[int], None],
        may_clear: Callable[[], bool],
    ) -> None:
        self.items: dict[int, list[Item]] = {MISSION: [], FENCE: [], RALLY: []}
        self._send = send
        self._home = home
        self._changed = changed
        self._may_clear = may_clear
        self._uploads: dict[int, Upload] = {}

    def take(self, m: Any, channel: int, now_s: float) -> bool:
        """Handle one message; False when it is not of this protocol. Its target was checked by the caller."""
        handlers: dict[str, Callable[[Any, int, float], None]] = {
            "MISSION_COUNT": self._on_count,
            "MISSION_ITEM_INT": self._on_item,
            "MISSION_ITEM": self._on_item,
            "MISSION_REQUEST_LIST": self._on_request_list,
            "MISSION_REQUEST_INT": self._on_request,
            "MISSION_REQUEST": self._on_request,
            "MISSION_CLEAR_ALL": self._on_clear,
            "MISSION_ACK": lambda *_: None,
        }
        handler = handlers.get(m.get_type())
        if handler is None:
            return False
        if m.mission_type not in self.items:
            self._ack(channel, m, mavlink.MAV_MISSION_UNSUPPORTED, m.mission_type)
        else:
            handler(m, channel, now_s)
        return True

    def tick(self, now_s: float) -> None:
        for up in list(self._uploads.values()):
            if now_s - up.heard_s > UPLOAD_SILENCE_S:
                del self._uploads[up.kind]
                self._send(
                    up.channel,
                    mavlink.MAVLink_mission_ack_message(
                        up.system, up.component, mavlink.MAV_MISSION_OPERATION_CANCELLED, up.kind
                    ),
                )
            elif now_s - up.asked_s >= ITEM_RETRY_S:
                self._ask(up, now_s)

    def _on_count(self, m: Any, channel: int, now_s: float) -> None:
        if not self._cancel(m, channel):
            return
        limit = FENCE_VERTEX_LIMIT if m.mission_type == FENCE else ITEM_LIMIT
        if m.count > limit or now_s < STORAGE_READY_S:
            self._ack(channel, m, mavlink.MAV_MISSION_NO_SPACE, m.mission_type)
            return
        if m.count == 0:
            self.items[m.mission_type] = []
            self._changed(m.mission_type)
            self._ack(channel, m, mavlink.MAV_MISSION_ACCEPTED, m.mission_type)
            return
        if m.mission_type == MISSION:
            del self.items[MISSION][m.count :]
        up = Upload(channel, m.get_srcSystem(), m.get_srcComponent(), m.mission_type, m.count, [], now_s, now_s)
        self._uploads[up.kind] = up
        self._ask(up, now_s)

    def _cancel(self, m: Any, channel: int) -> bool:
        """Make way for something new of this kind; False, and it is told, while another station uploads it."""
        up = self._uploads.get(m.mission_type)
        if up is not None and not up.is_of(m):
            self._ack(channel, m, mavlink.MAV_MISSION_DENIED, m.mission_type)
            return False
        self._uploads.pop(m.mission_type, None)
        return True

    def _on_item(self, m: Any, channel: int, now_s: float) -> None:
        up = self._uploads.get(m.mission_type)
        if up is None:
            self._ack(channel, m, mavlink.MAV_MISSION_ERROR, m.mission_type)
            return
        if m.seq != len(up.fresh):
            self._ack(up.channel, m, mavlink.MAV_MISSION_INVALID_SEQUENCE, m.mission_type)
            return
        if not up.is_of(m):
            self._ack(up.channel, m, mavlink.MAV_MISSION_DENIED, m.mission_type)
            return
        item = _item_of(m)
        refusal = refuse_item(item, up.kind) if not (up.kind == MISSION and item.seq == 0) else None
        if refusal is not None:
            del self._uploads[up.kind]
            self._ack(up.channel, m, refusal, m.mission_type)
            return
        up.fresh.append(_as_stored(item, up.kind))
        up.heard_s = now_s
        if up.kind == MISSION:
            self.items[MISSION][item.seq : item.seq + 1] = up.fresh[-1:]
        if len(up.fresh) < up.count:
            self._ask(up, now_s)
            return
        del self._uploads[up.kind]
        refusal = refuse_fence(up.fresh) if up.kind == FENCE else None
        if refusal is None:
            self.items[up.kind] = up.fresh
            self._changed(up.kind)
        self._ack(up.channel, m, mavlink.MAV_MISSION_ACCEPTED if refusal is None else refusal, up.kind)

    def _on_request_list(self, m: Any, channel: int, now_s: float) -> None:
        del now_s
        if m.mission_type in self._uploads:
            self._ack(channel, m, mavlink.MAV_MISSION_DENIED, m.mission_type)
            return
        self._send(channel, self._count_message(m))

    def _on_request(self, m: Any, channel: int, now_s: float) -> None:
        del now_s
        by_integer = m.get_type() == "MISSION_REQUEST_INT"
        if by_integer and m.mission_type in self._uploads:
            self._ack(channel, m, mavlink.MAV_MISSION_DENIED, m.mission_type)
            return
        if m.seq >= self.count(m.mission_type):
            if by_integer:
                self._send(channel, self._count_message(m))
            self._ack(channel, m, mavlink.MAV_MISSION_INVALID_SEQUENCE, m.mission_type)
            return
        first = m.mission_type == MISSION and m.seq == 0
        item = self._home() if first else self.items[m.mission_type][m.seq]
        where = (m.get_srcSystem(), m.get_srcComponent(), item.seq, item.frame, item.command, 0, 1)
        params = (item.p1, item.p2, item.p3, item.p4)
        if by_integer:
            answer = mavlink.MAVLink_mission_item_int_message(*where, *params, item.x, item.y, item.z, m.mission_type)
        else:
            answer = mavlink.MAVLink_mission_item_message(
                *where, *params, item.lat_deg(), item.lon_deg(), item.z, m.mission_type
            )
        self._send(channel, answer)

    def _on_clear(self, m: Any, channel: int, now_s: float) -> None:
        del now_s
        if not self._cancel(m, channel) or (m.mission_type == MISSION and not self._may_clear()):
            self._ack(channel, m, mavlink.MAV_MISSION_ERROR, m.mission_type)
            return
        self.items[m.mission_type] = []
        self._changed(m.mission_type)
        self._ack(channel, m, mavlink.MAV_MISSION_ACCEPTED, m.mission_type)

    def count(self, kind: int) -> int:
        """Items that a download of `kind` has; a mission always holds home."""
        return max(1, len(self.items[kind])) if kind == MISSION else len(self.items[kind])

    def _count_message(self, m: Any) -> Any:
        return mavlink.MAVLink_mission_count_message(
            m.get_srcSystem(), m.get_srcComponent(), self.count(m.mission_type), m.mission_type
        )

    def _ask(self, up: Upload, now_s: float) -> None:
        up.asked_s = now_s
        self._send(
            up.channel, mavlink.MAVLink_mission_request_message(up.system, up.component, len(up.fresh), up.kind)
        )

    def _ack(self, channel: int, m: Any, result: int, kind: int) -> None:
        self._send(
            channel, mavlink.MAVLink_mission_ack_message(m.get_srcSystem(), m.get_srcComponent(), result, kind)
        )


def _item_of(m: Any) -> Item:
    if m.get_type() == "MISSION_ITEM_INT":
        x, y = m.x, m.y
    else:
        x, y = (round(v * 1e7) if math.isfinite(v) and abs(v) < 214.0 else 2_000_000_000 for v in (m.x, m.y))
    return Item(m.seq, m.frame, m.command, m.param1, m.param2, m.param3, m.param4, x, y, m.z)


def _as_stored(item: Item, kind: int) -> Item:
    """What ArduPilot keeps, and so what it gives back; everything is cut off, not rounded.

    A mission: heights to the centimetre, waiting times to the second, the radius of a circle in a byte; items without a
    place lose frame and position. A fence: its place and its count or radius. A rally point: its height to the metre.
    """
    if kind == FENCE:
        count = float(int(item.p1)) if item.command in (5001, 5002) else item.p1
        return Item(item.seq, 0, item.command, 0.0 if item.command == 5000 else count, x=item.x, y=item.y)
    frame = {2: 0, 5: 0, 6: 3, 11: 10}.get(item.frame, item.frame)
    if kind == RALLY:
        return Item(item.seq, frame, item.command, x=item.x, y=item.y, z=float(int(item.z)))
    if item.command not in PLACED_COMMANDS:
        return replace(item, frame=0, x=0, y=0, z=0.0)
    return _params_as_stored(replace(item, z=_centimetres(item.z), frame=frame))


def _params_as_stored(item: Item) -> Item:
    if item.command in (16, 82):
        return replace(item, p1=_whole(item.p1), p2=0.0, p3=0.0, p4=0.0)
    if item.command == 17:
        return replace(item, p1=0.0, p2=0.0, p3=math.copysign(_whole(abs(item.p3)), item.p3), p4=0.0)
    if item.command == 18:
        turns = int(item.p1 * 256.0) / 256.0 if 0 < item.p1 < 1 else float(min(255, int(item.p1)))
        size = abs(item.p3)
        radius = float(int(size)) if size <= 255 else 10.0 * min(255, int(size * 0.1))
        return replace(item, p1=turns, p2=0.0, p3=math.copysign(radius, item.p3), p4=float(item.p4 > 0))
    if item.command == 19:
        return replace(item, p1=_whole(item.p1), p2=0.0, p3=-1.0 if item.p3 < 0 else 1.0, p4=float(item.p4 > 0))
    if item.command == 22:
        return replace(item, p1=_whole(item.p1), p2=0.0, p3=0.0, p4=0.0)
    return item


def _whole(value: float) -> float:
    """As an unsigned 16-bit number keeps it."""
    return float(int(value) & 0xFFFF) if math.isfinite(value) else 0.0


def _centimetres(height_m: float) -> float:
    """height_m * 100 in single precision, cut off to an integer, and back."""
    single = struct.unpack("<f", struct.pack("<f", struct.unpack("<f", struct.pack("<f", height_m))[0] * 100.0))[0]
    return int(single) / 100.0

def in_ring(lat_deg: float, lon_deg: float, ring: list[Item]) -> bool:
    """Whether a point lies in a polygon (crossing number)."""
    inside = False
    for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (a.lat_deg() > lat_deg) != (b.lat_deg() > lat_deg):
            across = a.lon_deg() + (lat_deg - a.lat_deg()) / (b.lat_deg() - a.lat_deg()) * (b.lon_deg() - a.lon_deg())
            inside ^= lon_deg < across
    return inside


def item_name(items: list[Item], seq: int) -> str:
    """As ArduPilot's texts call it."""
    names = {
        16: "WP", 17: "LoitUnlim", 18: "LoitTurns", 19: "LoitTime", 20: "RTL", 21: "Land", 22: "Takeoff", 178: "ChangeSpeed",
    }
    return names.get(items[seq].command, str(items[seq].command)) if seq < len(items) else ""
