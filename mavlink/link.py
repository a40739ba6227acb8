"""One MAVLink connection and its single owner.

One asyncio task reads, writes and sends the station's heartbeat; everybody else subscribes to messages and hands messages
over. The heartbeat comes from the event loop in which the drones are flown, so that a loop that hangs falls silent and the
drones' own failsafe takes over; a thread would hide the hang.

Several drones may be on one connection (each subscriber says of which system), and several connections may lead to one
drone (mavlink/roads.py). What a drone with a signing key says counts only with its signature, and so does where it says it
from: anybody can send a datagram, and commands must not follow it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.framing import messages_in
from mavlink.signing import Signer, Verdict, is_signed
from mavlink.transports import ConnectionTextError, Origin, Transport, open_transport, parse_connection
from wire.clock import NS_PER_S, Clock
from wire.flying import LinkState
from wire.node_words import NO_TEXT, NodeText, node_text

Message = Any                   # a MAVLink message of the dialect; pymavlink has no types

HEARTBEAT_S = 1.0               # MAVLink's heartbeat protocol
LINK_LATE_S = 3.5               # QGroundControl declares a link lost after this; ArduPilot's own failsafe follows at 5 s
LINK_LOST_S = 10.0
BACK_OFF_S = (0.5, 1.0)         # between attempts to connect: a drone may be in the air, whose patience is 5 s
SILENT_S = 20.0                 # a stream on which nothing comes for so long is dead on one side only: begun anew
CONNECT_S = 5.0
STALLED_BYTES = 64 * 1024       # waiting to be written: the other side does not read
QUEUE_LIMIT = 256               # messages that wait for one subscriber
ORIGINS_KEPT = 256              # senders of datagrams on one listening connection, each with a parser of its own
ANSWERS_LIMIT = 16              # heartbeats between two of the regular ones, to senders whose signing time is behind
STATION_SYSTEM = 255            # the system id that autopilots take for their station unless told otherwise
STATION_COMPONENT = 190         # MAV_COMP_ID_MISSIONPLANNER, as ground stations use it
COMPANION_COMPONENT = 191       # MAV_COMP_ID_ONBOARD_COMPUTER

UNSIGNED_ACCEPTED = frozenset({mavlink.MAVLINK_MSG_ID_RADIO_STATUS, mavlink.MAVLINK_MSG_ID_RADIO})     # as ArduPilot does

Tap = Callable[[Message, bytes, bool], None]    # a message, its frame, and whether we sent it

__all__ = ["ConnectionTextError", "Link", "MessageLink", "Subscription", "link_state", "parse_connection"]
_log = logging.getLogger("trailwatch.link")


def link_state(age_s: float) -> LinkState:
    """How a link stands whose last heartbeat is age_s old."""
    if age_s < LINK_LATE_S:
        return LinkState.CONNECTED
    return LinkState.LATE if age_s < LINK_LOST_S else LinkState.LOST


class MessageLink(Protocol):
    """What hands messages over and brings them: one Link, or the Roads to one drone."""

    def subscribe(self, types: Collection[str] = (), system_id: int | None = None, limit: int = QUEUE_LIMIT) -> Subscription:
        ...

    def send(self, message: Message) -> bool: ...

    @property
    def connected(self) -> bool: ...

    @property
    def connections(self) -> int:
        """How often it was connected anew; while it stays the same, nothing was interrupted."""
        ...

    @property
    def problem(self) -> NodeText: ...


class Subscription:
    """Messages of some types from one system (or any), in order. A reader that lags loses the oldest; `lost` counts them.

    Use it as a context manager, and open it before sending what it is to hear the answer of.
    """

    def __init__(
        self, links: Collection[Link], types: Collection[str], system_id: int | None, limit: int
    ) -> None:
        self._links = tuple(links)
        self._types = frozenset(types)
        self._system_id = system_id
        self._queue: deque[Message] = deque(maxlen=limit)
        self._arrived = asyncio.Event()
        self.lost = 0

    def __enter__(self) -> Subscription:
        for link in self._links:
            link._subscriptions.setdefault(self._system_id, set()).add(self)
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links:
            link._subscriptions.get(self._system_id, set()).discard(self)

    def offer(self, message: Message) -> None:
        """A message of its system."""
        if self._types and message.get_type() not in self._types:
            return
        self.lost += len(self._queue) == self._queue.maxlen
        self._queue.append(message)
        self._arrived.set()

    async def get(self, timeout_s: float) -> Message | None:
        """The next message, or None when none came within timeout_s."""
        if not self._queue:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, timeout_s)):
                    await self._arrived.wait()
        return self._queue.popleft() if self._queue else None


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who we say we are. vehicle_type: a MAV_TYPE.

    Only a station's heartbeat may keep a drone's station failsafe from acting, so nobody else speaks as one.
    """

    system_id: int
    component_id: int
    vehicle_type: int


STATION = Speaker(STATION_SYSTEM, STATION_COMPONENT, mavlink.MAV_TYPE_GCS)


def companion(system_id: int) -> Speaker:
    """A computer on board of the aircraft system_id: it has the aircraft's own system id."""
    return Speaker(system_id, COMPANION_COMPONENT, mavlink.MAV_TYPE_ONBOARD_CONTROLLER)


class Trust(Enum):
    """How far a message is believed.

    PROVEN: also that its system is there and was heard now. HEARD: read, but anybody may have sent it. LATE: made with the
    system's key, but replayed or from a sender whose time stood still; not read. REFUSED: not read.
    """

    PROVEN = "proven"
    HEARD = "heard"
    LATE = "late"
    REFUSED = "refused"


@dataclass(slots=True)
class LinkCounts:
    """Since the link was made. unreadable: bytes that were no MAVLink; stalled: writes given up on a full connection.

    lost: datagrams that came and could not be kept. rejected: messages of a drone with a key, without a good signature.
    """

    received: int = 0
    sent: int = 0
    unreadable: int = 0
    stalled: int = 0
    connections: int = 0
    lost: int = 0
    rejected: int = 0


class Link:
    """The owner of one connection: `run` until cancelled, in the event loop of whoever flies the drones.

    heartbeat_s: 1 Hz unless the vehicle's time runs faster than ours. silent_s: after so much silence a TCP connection is
    closed and opened again, because a peer that lost its power or its route never says that it is gone.
    signers: by system id, of the drones that have a signing key. link_id: of this link in signatures; another one for each
    link to the same drone. open_too: whether drones without a key are on it, who get what is for all unsigned as well.
    """

    def __init__(
        self, connection: str, clock: Clock, *, speaker: Speaker = STATION, heartbeat_s: float = HEARTBEAT_S,
        silent_s: float = SILENT_S, signers: Mapping[int, Signer] | None = None, link_id: int = 0, open_too: bool = False,
    ) -> None:
        self.connection = connection
        self.counts = LinkCounts()
        self._problem = node_text("link_unconnected")
        self.taps: list[Tap] = []
        self.signers = dict(signers or {})
        self.link_id = link_id
        self.open_too = open_too
        self.on_connected: list[Callable[[], None]] = []
        self._heard_of: dict[int, int] = {}
        self._answered: set[tuple[int, Origin]] = set()
        self._endpoint = parse_connection(connection)
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._silent_s = silent_s if self._endpoint.kind in ("tcp", "serial") else float("inf")
        self._subscriptions: dict[int | None, set[Subscription]] = {}
        self._transport: Transport | None = None
        self._heard_ns: int | None = None
        self._mav = mavlink.MAVLink(None, srcSystem=speaker.system_id, srcComponent=speaker.component_id)
        self._heartbeat = mavlink.MAVLink_heartbeat_message(
            speaker.vehicle_type, mavlink.MAV_AUTOPILOT_INVALID, 0, 0, mavlink.MAV_STATE_ACTIVE, 3
        )

    # ------------------------------------------------------------------------------------------------- for everybody

    def subscribe(
        self, types: Collection[str] = (), system_id: int | None = None, limit: int = QUEUE_LIMIT
    ) -> Subscription:
        """Messages of these types (none given: all) from that system (None: any)."""
        return Subscription((self,), types, system_id, limit)

    def send(self, message: Message) -> bool:
        """Hand a message to the connection; False when there is none, or the other side does not read.

        What has no target goes to all: once for each key, and unsigned where somebody has none.
        """
        if self._transport is None:
            return False
        to = int(getattr(message, "target_system", 0))
        if to in self.signers:
            return self._write(message, to, self.signers[to])
        if to or not self.signers:
            return self._write(message, to, None)
        done = [self._write(message, system_id, signer) for system_id, signer in self.signers.items()]
        if self.open_too:
            done.append(self._write(message, 0, None))
        return all(done)

    @property
    def connections(self) -> int:
        return self.counts.connections

    @property
    def problem(self) -> NodeText:
        return self._problem

    def heard_age_of_s(self, system_id: int) -> float:
        """Since any message of one system came here; infinite before the first. With a key, only signed messages count."""
        heard_ns = self._heard_of.get(system_id)
        return float("inf") if heard_ns is None else (self._clock.monotonic_ns() - heard_ns) / NS_PER_S

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def heard_age_s(self) -> float:
        """Since any message that counts for an age; infinite before the first."""
        if self._heard_ns is None:
            return float("inf")
        return (self._clock.monotonic_ns() - self._heard_ns) / NS_PER_S

    # ----------------------------------------------------------------------------------------------------- the owner

    async def run(self) -> None:
        """Connect, serve, connect again; ends only by being cancelled."""
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    self._transport = await open_transport(self._endpoint)
            except (OSError, TimeoutError) as error:
                self._problem = node_text("link_refused", connection=self.connection, error=_reason(error))
            else:
                self.counts.connections += 1
                self._problem = NO_TEXT
                for tell in self.on_connected:
                    tell()
                served_ns = self._clock.monotonic_ns()
                try:
                    await self._serve(self._transport)
                finally:
                    self._transport.close()
                    self._transport = None
                self._problem = self._problem or node_text("link_closed", connection=self.connection)
                if self._clock.monotonic_ns() - served_ns > LINK_LOST_S * NS_PER_S:
                    attempt = 0     # it had held: a fresh start, and not a step further in a row of failures
            await asyncio.sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    async def _serve(self, transport: Transport) -> None:
        parsers: dict[Origin, Any] = {}     # fresh ones: half a message of the last connection must not spoil the first
        loop = asyncio.get_running_loop()
        due_s = heard_s = loop.time()
        lost_before = self.counts.lost
        while True:
            if loop.time() - heard_s > self._silent_s:
                self._problem = node_text("link_silent", connection=self.connection, seconds=f"{self._silent_s:g}")
                return
            if loop.time() >= due_s:
                due_s = loop.time() + self._heartbeat_s
                self._answered.clear()
                self.send(self._heartbeat)
            try:
                async with asyncio.timeout_at(due_s):
                    data, origin = await transport.read()
            except TimeoutError:
                continue
            except OSError as error:
                self._problem = node_text("link_broke", connection=self.connection, error=_reason(error))
                return
            if not data:
                return
            heard_s = loop.time()
            self.counts.lost = lost_before + transport.lost()
            self._take(self._parser_of(parsers, origin), data, origin, transport)

    @staticmethod
    def _parser_of(parsers: dict[Origin, Any], origin: Origin) -> Any:
        parser = parsers.get(origin)
        if parser is None:
            if len(parsers) >= ORIGINS_KEPT:
                parsers.clear()     # somebody sends from ever new ports; the true ones get theirs anew
            parser = parsers[origin] = mavlink.MAVLink(None)
            parser.robust_parsing = True
        return parser

    def _take(self, parser: Any, data: bytes, origin: Origin, transport: Transport) -> None:
        for message in messages_in(parser, data):
            if message.get_msgId() < 0:
                self.counts.unreadable += 1
                continue
            system_id = message.get_srcSystem()
            frame = bytes(message.get_msgbuf())
            trust = self._trust(message, frame, system_id)
            if trust in (Trust.LATE, Trust.REFUSED):
                self.counts.rejected += 1
                if trust is Trust.LATE:
                    self._answer(system_id, origin, transport)
                continue
            self.counts.received += 1
            if trust is Trust.PROVEN:
                self._heard_ns = self._heard_of[system_id] = self._clock.monotonic_ns()
                transport.learn(system_id, origin)
            for tap in self.taps:
                tap(message, frame, False)
            for of in (system_id, None):
                for subscription in tuple(self._subscriptions.get(of, ())):
                    subscription.offer(message)

    @property
    def _open(self) -> bool:
        """Whether a system without a key may be on this link."""
        return not self.signers or self.open_too

    def _trust(self, message: Message, frame: bytes, system_id: int) -> Trust:
        signer = self.signers.get(system_id)
        if signer is None:
            return Trust.PROVEN if self._open else Trust.HEARD
        if is_signed(frame):
            verdict = signer.classify(frame, system_id, message.get_srcComponent())
            return {Verdict.GOOD: Trust.PROVEN, Verdict.LATE: Trust.LATE, Verdict.FORGED: Trust.REFUSED}[verdict]
        if message.get_msgId() in UNSIGNED_ACCEPTED:
            return Trust.HEARD
        signer.counts.unsigned += 1
        return Trust.REFUSED

    def _answer(self, system_id: int, origin: Origin, transport: Transport) -> None:
        """Send a signed heartbeat, and nothing else, to where a late message with the system's key came from.

        ArduPilot's signing time stands still until it hears a later one, so a drone that was not spoken to for a minute is
        late for ever. The heartbeat brings its time forward, and its next message is proven. A replaying stranger learns
        nothing from it that the radio does not tell everybody.
        """
        if (system_id, origin) in self._answered or len(self._answered) >= ANSWERS_LIMIT:
            return
        self._answered.add((system_id, origin))
        frame = self._packed(self._heartbeat, self.signers[system_id])
        if transport.answer(frame, origin):
            self.counts.sent += 1
            for tap in self.taps:
                tap(self._heartbeat, frame, True)

    def _packed(self, message: Message, signer: Signer | None) -> bytes:
        frame = signer.pack(message, self._mav, self.link_id) if signer is not None else bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return frame

    def _write(self, message: Message, system_id: int, signer: Signer | None) -> bool:
        transport = self._transport
        if transport is None:
            return False
        self.counts.sent += 1
        if transport.waiting_bytes() > STALLED_BYTES:
            self.counts.stalled += 1
            return False
        frame = self._packed(message, signer)
        transport.write(frame, system_id, guess=signer is None and self._open)
        for tap in self.taps:
            tap(message, frame, True)
        return True


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return node_text("no_answer")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
