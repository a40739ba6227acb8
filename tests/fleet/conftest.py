"""Simulated drones as processes of their own, a network that loses packets, and links that listen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.drone import Drone
from geofences.sector import Sector, load_sector
from mavlink.link import STATION, Link, Speaker
from wire.clock import WallClock

ROOT = Path(__file__).resolve().parents[2]
HOME = (16.62225, 106.60230)

AUTOPILOT = """
system_id = {system_id}
hardware_id = "{hardware_id}"
ports = {ports}
home = [{home[0]}, {home[1]}]
home_msl_m = 165.0
settle_s = {settle_s}
speedup = {speedup}
seed = 3
udp_to = "{udp_to}"

[parameters]
{parameters}
"""


@pytest.fixture(scope="session")
def sector() -> Sector:
    return load_sector(ROOT / "configs/sectors/laobao/sector.toml")


@dataclass
class AutopilotUnderTest:
    """A running autopilot process and the ports that it said it has."""

    process: subprocess.Popen[bytes]
    ports: list[int]

    def connection(self, port: int = 0) -> str:
        return f"tcp:127.0.0.1:{self.ports[port]}"

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


def _start(
    folder: Path, *, settle_s: float = 3.0, speedup: float = 10.0, system_id: int = 1, hardware_id: str = "a1b2c3",
    parameters: str = "", ports: list[int] | None = None, udp_to: str = "",
) -> AutopilotUnderTest:
    config = folder / f"drone-{system_id}-{random.randrange(10**9)}.toml"
    if "FS_GCS_TIMEOUT" not in parameters:      # five seconds of the machine: one that is busy is no station that is lost
        parameters = f"FS_GCS_TIMEOUT = {5.0 * speedup}\n{parameters}"
    config.write_text(
        AUTOPILOT.format(
            system_id=system_id, hardware_id=hardware_id, home=HOME, settle_s=settle_s, speedup=speedup,
            parameters=parameters, ports=ports or [0, 0], udp_to=udp_to,
        )
    )
    log = config.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "ground_station.py", "autopilot", "--config", str(config)], cwd=ROOT, stdout=out, stderr=out
        )
    deadline = time.monotonic() + 20
    while "TCP" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    ports = [int(p) for p in log.read_text().split("TCP")[1].split("\n")[0].split(",")]
    return AutopilotUnderTest(process, ports)


@pytest.fixture
def start_autopilot(tmp_path: Path) -> Iterator[Callable[..., AutopilotUnderTest]]:
    """Starts simulated autopilots; they are stopped at the end, and have to end cleanly."""
    started: list[AutopilotUnderTest] = []

    def start(**settings: object) -> AutopilotUnderTest:
        started.append(_start(tmp_path, **settings))    # type: ignore[arg-type]
        return started[-1]

    yield start
    for autopilot in started:
        if autopilot.process.poll() is None:
            assert autopilot.stop() == 0


@dataclass
class Listening:
    """A link with a drone that hears it."""

    link: Link
    drone: Drone
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def _listening(
    connection: str, *, heartbeat_s: float = 0.05, speaker: Speaker = STATION
) -> AsyncIterator[Listening]:
    link = Link(connection, WallClock(), heartbeat_s=heartbeat_s, speaker=speaker)
    drone = Drone("drone-1", WallClock())

    async def listen() -> None:
        with link.subscribe(limit=2000) as heard:
            while True:
                m = await heard.get(1.0)
                if m is not None and m.get_srcSystem() != 255:
                    drone.take(m)

    both = Listening(link, drone)
    both.tasks = [asyncio.create_task(link.run()), asyncio.create_task(listen())]
    try:
        deadline = time.monotonic() + 20
        while drone.heartbeat is None:
            assert time.monotonic() < deadline, f"no heartbeat from {connection}: {link.problem}"
            await asyncio.sleep(0.02)
        yield both
    finally:
        for task in both.tasks:
            task.cancel()
        await asyncio.gather(*both.tasks, return_exceptions=True)


@pytest.fixture
def listening() -> Callable[..., contextlib.AbstractAsyncContextManager[Listening]]:
    return _listening


class LossyProxy:
    """A line between a client and a TCP autopilot on which whole MAVLink messages are lost, late and out of order.

    delay_s: each way; wander_s: more, at random for each message, so that they overtake each other.
    """

    def __init__(self, target_port: int, loss: float, seed: int, delay_s: float = 0.0, wander_s: float = 0.0) -> None:
        self._target_port = target_port
        self._loss = loss
        self._delay_s, self._wander_s = delay_s, wander_s
        self._chance = random.Random(seed)
        self.passed = self.lost = 0

    async def __aenter__(self) -> LossyProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers = [writer, up_writer]
        self._tasks = [
            asyncio.create_task(self._pump(reader, up_writer)), asyncio.create_task(self._pump(up_reader, writer))
        ]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A line that is taken up anew may begin in the middle of a message: what is none is left out.
        parser = mavlink.MAVLink(None)
        parser.robust_parsing = True
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                for message in parser.parse_buffer(data) or []:
                    if message.get_type() == "BAD_DATA":
                        continue
                    if self._chance.random() < self._loss:
                        self.lost += 1
                        continue
                    self.passed += 1
                    late_s = self._delay_s + self._wander_s * self._chance.random()
                    frame = bytes(message.get_msgbuf())
                    if late_s > 0:
                        asyncio.get_running_loop().call_later(late_s, writer.write, frame)
                    else:
                        writer.write(frame)
        writer.close()


@pytest.fixture
def lossy_proxy() -> type[LossyProxy]:
    return LossyProxy


class Relay:
    """A TCP connection that can be cut and mended, as a radio's is by a ridge. While cut, it closes whoever comes."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = True
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open = False
        for sock in tuple(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._open = True

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):      # the listener was closed
            while True:
                client, _ = self._listener.accept()
                if not self._open:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target_port))
                self._sockets |= {client, server}
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(8192):
                there.sendall(data)
        for sock in (here, there):
            self._sockets.discard(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def relay() -> Iterator[Callable[[int], Relay]]:
    made: list[Relay] = []

    def make(target_port: int) -> Relay:
        made.append(Relay(target_port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "YOLO_AUTOINSTALL": "false"}
