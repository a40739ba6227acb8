"""What carries a link's bytes: TCP, UDP or a serial line; and the text that names one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import termios
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol, cast

READ_BYTES = 16 * 1024
DATAGRAMS_KEPT = 4096           # that came and were not read yet: 1.6 s of 50 drones at 50 messages/s
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024      # asked of the kernel, which may give less
SO_RCVBUFFORCE = 33             # Linux; Python has no name for it
SERIAL_KEPT_BYTES = 256 * 1024
STREAM = ("", 0)                # the origin of all that a stream brings

Origin = tuple[str, int]


class ConnectionTextError(ValueError):
    """A connection text that names nothing which can be opened. Its text is fit to be shown."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a connection text says. kind: "tcp", "udpin" (listen), "udpout" (speak first) or "serial".

    host, port: of a serial line its device and its baud rate.
    """

    kind: str
    host: str
    port: int


def parse_connection(text: str) -> Endpoint:
    """A connection text as pymavlink writes them: "tcp:HOST:PORT", "udpin:HOST:PORT", "udpout:HOST:PORT", or
    "serial:DEVICE:BAUD"."""
    kind, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if kind == "udp":
        kind = "udpin"
    known = kind in ("tcp", "udpin", "udpout", "serial") and bool(host) and port.isdigit()
    if not known or not 0 < int(port) < (65536 if kind != "serial" else 10_000_000):
        raise ConnectionTextError(
            f'"{text}": give tcp:HOST:PORT, udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD'
        )
    if kind == "serial" and not hasattr(termios, f"B{port}"):
        raise ConnectionTextError(f'"{text}": {port} is no rate of a serial line; 57600 and 115200 are usual')
    return Endpoint(kind, host, int(port))


class Transport(Protocol):
    async def read(self) -> tuple[bytes, Origin]:
        """Some bytes and where from; empty when the connection has ended."""
        ...

    def write(self, data: bytes, system_id: int, guess: bool) -> None:
        """Send towards one system; 0 is all of them. guess: before a place is learned, whoever spoke last will do."""
        ...

    def answer(self, data: bytes, origin: Origin) -> bool:
        """Send once to an origin. False, and nothing is sent, where the connection leads to one place only."""
        ...

    def learn(self, system_id: int, origin: Origin) -> None:
        """Send what is for a system to this origin from now on."""
        ...

    def waiting_bytes(self) -> int: ...

    def lost(self) -> int:
        """Datagrams that came and were thrown away because nobody read them."""
        ...

    def close(self) -> None: ...


class _Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> tuple[bytes, Origin]:
        return await self._reader.read(READ_BYTES), STREAM

    def write(self, data: bytes, system_id: int, guess: bool) -> None:
        del system_id, guess
        self._writer.write(data)

    def answer(self, data: bytes, origin: Origin) -> bool:
        del data, origin
        return False

    def learn(self, system_id: int, origin: Origin) -> None:
        """All are on the one stream."""

    def waiting_bytes(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    def lost(self) -> int:
        return 0

    def close(self) -> None:
        self._writer.close()


class _Udp(asyncio.DatagramProtocol):
    """Datagrams. A listening socket sends to the place that was learned for each system.

    Anybody can send a datagram. Before a place is learned, only what may go to anybody (`guess`) goes to whoever spoke last.
    """

    def __init__(self, peer: Origin | None) -> None:
        self._fixed = peer is not None
        self._peer = peer
        self._places: dict[int, Origin] = {}
        self._arrived: deque[tuple[bytes, Origin]] = deque()
        self._some = asyncio.Event()
        self._lost = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            try:
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            except OSError:         # only an administrator of the network gets past net.core.rmem_max
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if len(self._arrived) >= DATAGRAMS_KEPT:
            self._lost += 1
            return
        self._arrived.append((data, (addr[0], addr[1])))
        self._some.set()

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the peer (yet); the heartbeats go on."""

    async def read(self) -> tuple[bytes, Origin]:
        while not self._arrived:
            self._some.clear()
            await self._some.wait()
        data, origin = self._arrived.popleft()
        if not self._fixed:
            self._peer = origin
        return data, origin

    def write(self, data: bytes, system_id: int, guess: bool) -> None:
        if self._transport is None:
            return
        to: set[Origin | None]
        if self._fixed:
            to = {self._peer}
        elif system_id == 0 and self._places:
            to = set(self._places.values())
        else:
            to = {self._places.get(system_id, self._peer if guess else None)}
        for peer in to:
            if peer is not None:
                self._transport.sendto(data, peer)

    def answer(self, data: bytes, origin: Origin) -> bool:
        if self._fixed or self._transport is None:
            return False
        self._transport.sendto(data, origin)
        return True

    def learn(self, system_id: int, origin: Origin) -> None:
        self._places[system_id] = origin

    def waiting_bytes(self) -> int:
        return 0                    # the kernel drops a datagram that it has no room for

    def lost(self) -> int:
        return self._lost

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Serial:
    """A serial line, raw, eight bits, without flow control. One that is pulled out ends the connection."""

    def __init__(self, device: str, baud: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            _make_raw(self._fd, baud)
        except termios.error as error:
            os.close(self._fd)
            raise OSError(f"{device} is no serial line: {error.args[-1]}") from None
        self._some = asyncio.Event()
        self._waiting = bytearray()
        self._loop.add_reader(self._fd, self._some.set)

    async def read(self) -> tuple[bytes, Origin]:
        while True:
            self._some.clear()
            with contextlib.suppress(BlockingIOError):
                return os.read(self._fd, READ_BYTES), STREAM
            await self._some.wait()

    def write(self, data: bytes, system_id: int, guess: bool) -> None:
        del system_id, guess
        empty = not self._waiting
        if len(self._waiting) < SERIAL_KEPT_BYTES:
            self._waiting += data
        if empty:
            self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                del self._waiting[: os.write(self._fd, self._waiting)]
            except BlockingIOError:
                raise
            except OSError:
                self._waiting.clear()       # pulled out: the read says so
        if self._waiting:
            self._loop.add_writer(self._fd, self._flush)
        else:
            self._loop.remove_writer(self._fd)

    def answer(self, data: bytes, origin: Origin) -> bool:
        del data, origin
        return False

    def learn(self, system_id: int, origin: Origin) -> None:
        """All are on the one line."""

    def waiting_bytes(self) -> int:
        return len(self._waiting)

    def lost(self) -> int:
        return 0

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)


def _make_raw(fd: int, baud: int) -> None:
    iflag, oflag, cflag, lflag, _, _, cc = termios.tcgetattr(fd)
    iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
               | termios.ICRNL | termios.IXON | termios.IXOFF)
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = cflag & ~(termios.CSIZE | termios.PARENB | termios.CSTOPB | termios.CRTSCTS) | termios.CS8 | termios.CREAD
    cflag |= termios.CLOCAL
    speed = getattr(termios, f"B{baud}")
    termios.tcsetattr(fd, termios.TCSANOW, [iflag, oflag, cflag, lflag, speed, speed, cc])


async def open_transport(endpoint: Endpoint) -> Transport:
    """Raises OSError when it cannot be opened."""
    if endpoint.kind == "serial":
        return _Serial(endpoint.host, endpoint.port)
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
