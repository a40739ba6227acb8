"""One MAVLink connection and its single owner.

One asyncio task reads, writes and sends the station's heartbeat; everybody else subscribes to messages and hands messages
over. The heartbeat comes from the event loop in which the drones are flown, so that a loop that hangs falls silent and the
drones' own failsafe takes over; a thread would hide the hang.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.framing import messages_in
from wire.clock import NS_PER_S, Clock
from wire.messages import LinkState

Message = Any                   # a MAVLink message of the dialect; pymavlink has no types

HEARTBEAT_S = 1.0               # MAVLink's heartbeat protocol
LINK_LATE_S = 3.5               # QGroundControl declares a link lost after this; ArduPilot's own failsafe follows at 5 s
LINK_LOST_S = 10.0
BACK_OFF_S = (0.5, 1.0)         # between attempts to connect: a drone may be in the air, whose patience is 5 s
SILENT_S = 20.0                 # a stream on which nothing comes for so long is dead on one side only: begun anew
CONNECT_S = 5.0
STALLED_BYTES = 64 * 1024       # waiting to be written: the other side does not read
QUEUE_LIMIT = 256               # messages that wait for one subscriber
READ_BYTES = 16 * 1024
STATION_SYSTEM = 255            # the system id that autopilots take for their station unless told otherwise
STATION_COMPONENT = 190         # MAV_COMP_ID_MISSIONPLANNER, as ground stations use it
COMPANION_COMPONENT = 191       # MAV_COMP_ID_ONBOARD_COMPUTER

_log = logging.getLogger("trailwatch.link")


class ConnectionTextError(ValueError):
    """A connection text that names nothing which can be opened. Its text is fit to be shown."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a connection text says. kind: "tcp", "udpin" (listen) or "udpout" (speak first)."""

    kind: str
    host: str
    port: int


def parse_connection(text: str) -> Endpoint:
    """A connection text as pymavlink writes them: "tcp:HOST:PORT", "udpin:HOST:PORT" or "udpout:HOST:PORT"."""
    kind, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if kind == "udp":
        kind = "udpin"
    if kind not in ("tcp", "udpin", "udpout") or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConnectionTextError(f'"{text}": give tcp:HOST:PORT, udpin:HOST:PORT or udpout:HOST:PORT')
    return Endpoint(kind, host, int(port))


def link_state(age_s: float) -> LinkState:
    """How a link stands whose last heartbeat is age_s old."""
    if age_s < LINK_LATE_S:
        return LinkState.CONNECTED
    return LinkState.LATE if age_s < LINK_LOST_S else LinkState.LOST


class _Transport(Protocol):
    async def read(self) -> bytes:
        """Some bytes; empty when the connection has ended."""
        ...

    def write(self, data: bytes) -> None: ...

    def waiting_bytes(self) -> int: ...

    def close(self) -> None: ...


class _Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(READ_BYTES)

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def waiting_bytes(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    def close(self) -> None:
        self._writer.close()


class _Udp(asyncio.DatagramProtocol):
    """Datagrams; one that listens answers whoever spoke last."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        self._peer = peer
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_LIMIT)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._peer = (addr[0], addr[1])
        with contextlib.suppress(asyncio.QueueFull):
            self._arrived.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the peer (yet); the heartbeats go on."""

    async def read(self) -> bytes:
        return await self._arrived.get()

    def write(self, data: bytes) -> None:
        if self._transport is not None and self._peer is not None:
            self._transport.sendto(data, self._peer)

    def waiting_bytes(self) -> int:
        return 0                    # the kernel drops a datagram that it has no room for

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _open(endpoint: Endpoint) -> _Transport:
    if endpoint.kind == "tcp":
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Tcp(reader, writer)
    loop = asyncio.get_running_loop()
    address = (endpoint.host, endpoint.port)
    if endpoint.kind == "udpin":
        _, listening = await loop.create_datagram_endpoint(lambda: _Udp(None), local_addr=address)
        return listening
    _, speaking = await loop.create_datagram_endpoint(lambda: _Udp(address), local_addr=("0.0.0.0", 0))
    return speaking


class Subscription:
    """Messages of some types from one system (or any), in order. A reader that lags loses the oldest; `lost` counts them.

    Use it as a context manager, and open it before sending what it is to hear the answer of.
    """

    def __init__(self, link: Link, types: Collection[str], system_id: int | None, limit: int) -> None:
        self._link = link
        self._types = frozenset(types)
        self._system_id = system_id
        self._queue: deque[Message] = deque(maxlen=limit)
        self._arrived = asyncio.Event()
        self.lost = 0

    def __enter__(self) -> Subscription:
        self._link._subscriptions.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._link._subscriptions.discard(self)

    def offer(self, message: Message) -> None:
        if self._types and message.get_type() not in self._types:
            return
        if self._system_id is not None and message.get_srcSystem() != self._system_id:
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


@dataclass(slots=True)
class LinkCounts:
    """Since the link was made. unreadable: bytes that were no MAVLink; stalled: writes given up on a full connection."""

    received: int = 0
    sent: int = 0
    unreadable: int = 0
    stalled: int = 0
    connections: int = 0


class Link:
    """The owner of one connection: `run` until cancelled, in the event loop of whoever flies the drones.

    heartbeat_s: 1 Hz unless the vehicle's time runs faster than ours. silent_s: after so much silence a TCP connection is
    closed and opened again, because a peer that lost its power or its route never says that it is gone.
    """

    def __init__(
        self, connection: str, clock: Clock, *, speaker: Speaker = STATION, heartbeat_s: float = HEARTBEAT_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self.connection = connection
        self.counts = LinkCounts()
        self.problem = "not connected yet"
        self._endpoint = parse_connection(connection)
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._silent_s = silent_s if self._endpoint.kind == "tcp" else float("inf")
        self._subscriptions: set[Subscription] = set()
        self._transport: _Transport | None = None
        self._heard_ns: int | None = None
        self._mav = mavlink.MAVLink(self, srcSystem=speaker.system_id, srcComponent=speaker.component_id)
        self._mav.robust_parsing = True
        self._heartbeat = mavlink.MAVLink_heartbeat_message(
            speaker.vehicle_type, mavlink.MAV_AUTOPILOT_INVALID, 0, 0, mavlink.MAV_STATE_ACTIVE, 3
        )

    # ------------------------------------------------------------------------------------------------- for everybody

    def subscribe(
        self, types: Collection[str] = (), system_id: int | None = None, limit: int = QUEUE_LIMIT
    ) -> Subscription:
        """Messages of these types (none given: all) from that system (None: any)."""
        return Subscription(self, types, system_id, limit)

    def send(self, message: Message) -> bool:
        """Hand a message to the connection; False when there is none, or the other side does not read."""
        if self._transport is None:
            return False
        self.counts.sent += 1
        self._mav.send(message)
        return True

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def heard_age_s(self) -> float:
        """Since any message; infinite before the first."""
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
                    self._transport = await _open(self._endpoint)
            except (OSError, TimeoutError) as error:
                self.problem = f"{self.connection}: no connection: {_reason(error)}"
            else:
                self.counts.connections += 1
                self.problem = ""
                served_ns = self._clock.monotonic_ns()
                try:
                    await self._serve(self._transport)
                finally:
                    self._transport.close()
                    self._transport = None
                self.problem = self.problem or f"{self.connection}: the connection was closed"
                if self._clock.monotonic_ns() - served_ns > LINK_LOST_S * NS_PER_S:
                    attempt = 0     # it had held: a fresh start, and not a step further in a row of failures
            await asyncio.sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    async def _serve(self, transport: _Transport) -> None:
        parser = mavlink.MAVLink(None)      # a fresh one: half a message of the last connection must not spoil the first
        parser.robust_parsing = True
        parser.signing = self._mav.signing
        loop = asyncio.get_running_loop()
        due_s = heard_s = loop.time()
        while True:
            if loop.time() - heard_s > self._silent_s:
                self.problem = f"{self.connection}: nothing came for {self._silent_s:g} s"
                return
            if loop.time() >= due_s:
                due_s = loop.time() + self._heartbeat_s
                self.send(self._heartbeat)
            try:
                async with asyncio.timeout_at(due_s):
                    data = await transport.read()
            except TimeoutError:
                continue
            except OSError as error:
                self.problem = f"{self.connection}: {_reason(error)}"
                return
            if not data:
                return
            heard_s = loop.time()
            self._take(parser, data)

    def _take(self, parser: Any, data: bytes) -> None:
        for message in messages_in(parser, data):
            if message.get_msgId() < 0:
                self.counts.unreadable += 1
                continue
            self.counts.received += 1
            self._heard_ns = self._clock.monotonic_ns()
            for subscription in tuple(self._subscriptions):
                subscription.offer(message)

    def write(self, data: bytes) -> None:
        """For the MAVLink packer alone."""
        transport = self._transport
        if transport is None:
            return
        if transport.waiting_bytes() > STALLED_BYTES:
            self.counts.stalled += 1
            return
        transport.write(bytes(data))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
