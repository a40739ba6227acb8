"""A station in a temporary folder, and nodes that speak to it over real sockets with real keys."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from station.own_key import ensure_station_key
from station.picture import Answer
from station.settings import StationSettings, load_station_settings
from wire.codec import MAGIC, decode_down, encode_envelope
from wire.keys import AllowedNode, NodeKey, NodeKind, append_allowed, load_station_key, make_node_key
from wire.messages import Acknowledgement, Box, CorridorSet, Detection, DetectionBatch, Envelope, PlacementPoint, UpBody
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality

ROOT = Path(__file__).resolve().parents[2]
SECTOR = ROOT / "configs" / "sectors" / "laobao" / "sector.toml"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def write_station(folder: Path, realm: str = "training", port: int | None = None) -> Path:
    file = folder / "station.toml"
    file.write_text(
        f'sector = "{SECTOR}"\nrealm = "{realm}"\ndata_dir = "data"\n'
        f'[inbox]\nbind = "tcp://127.0.0.1:{port or free_port()}"\n[web]\nhost = "127.0.0.1"\nport = {free_port()}\n'
        "[watch]\nrequired = false\n"
    )
    return file


@pytest.fixture
def station_folder() -> Iterator[Path]:
    """Short, because local sockets have short names, and pytest's own folders are deep."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(station_folder: Path) -> StationSettings:
    loaded = load_station_settings(write_station(station_folder))
    loaded.make_folders()
    ensure_station_key(loaded)
    return loaded


def allow(settings: StationSettings, node: str, kind: NodeKind = NodeKind.CAMERA) -> NodeKey:
    key = make_node_key(node, kind, settings.realm)
    append_allowed(settings.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    return key


@dataclass
class Sender:
    """A node in its barest form: a CURVE DEALER that numbers what it sends and keeps what is not acknowledged."""

    settings: StationSettings
    key: NodeKey
    boot: int = 1
    sequence: int = 0
    waiting: dict[tuple[int, int], bytes] = field(default_factory=dict)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    refused: list[tuple[int, int, str]] = field(default_factory=list)
    corridors: list[CorridorSet] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = zmq.Context()
        self.connect()

    def connect(self) -> None:
        s = self.context.socket(zmq.DEALER)
        s.linger = 0
        s.sndhwm = s.rcvhwm = 100_000
        s.reconnect_ivl = 50
        s.curve_serverkey = load_station_key(self.settings.station_key).public.encode()
        s.curve_publickey = self.key.public.encode()
        s.curve_secretkey = self.key.secret.encode()
        s.connect(self.settings.inbox.bind)
        self.socket = s

    def send(self, *bodies: UpBody) -> None:
        frames = []
        for body in bodies:
            data = encode_envelope(Envelope(self.key.node, self.boot, self.sequence, body))
            self.waiting[(self.boot, self.sequence)] = data
            self.sequence += 1
            frames.append(data)
        self.raw(MAGIC, *frames)

    def raw(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames), zmq.NOBLOCK)

    def again(self) -> None:
        waiting = list(self.waiting.values())
        for i in range(0, len(waiting), 32):
            self.raw(MAGIC, *waiting[i : i + 32])

    def listen(self, seconds: float) -> None:
        """Take answers for at most so long; returns early when nothing waits any more."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.socket.poll(int(left * 1000) + 1):
                self._answer(self.socket.recv_multipart())
            if not self.waiting and not self.socket.poll(0):
                return

    def finish(self, seconds: float) -> None:
        """Take answers until nothing waits any more, for at most so long."""
        if self.waiting:
            self.listen(seconds)

    def _answer(self, frames: list[bytes]) -> None:
        assert frames[0] == MAGIC
        down = decode_down(frames[1])
        if isinstance(down, Acknowledgement):
            for identity in down.acknowledged:
                self.acknowledged.append(identity)
                self.waiting.pop(identity, None)
            for r in down.refused:
                self.refused.append((r.boot, r.sequence, r.reason))
                self.waiting.pop((r.boot, r.sequence), None)
        elif isinstance(down, CorridorSet):
            self.corridors.append(down)

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def sender(settings: StationSettings) -> Iterator[Callable[..., Sender]]:
    made: list[Sender] = []

    def make(node: str = "cam-1", kind: NodeKind = NodeKind.CAMERA, key: NodeKey | None = None) -> Sender:
        made.append(Sender(settings, key or allow(settings, node, kind)))
        return made[-1]

    yield make
    for s in made:
        s.close()


def point_detection(
    position: GroundPosition,
    track: int = 1,
    sigma_m: float = 1.5,
    object_class: ObjectClass = ObjectClass.PERSON,
    corridors: tuple[str, ...] = ("khe-da",),
    plate: str | None = None,
    confirmed: bool = True,
    score: float = 0.8,
) -> Detection:
    return Detection(
        track, object_class, score, Box(100.0, 100.0, 120.0, 160.0),
        PlacementPoint(position, Covariance2(sigma_m**2, 0.0, sigma_m**2)), confirmed, corridors, plate,
    )


def frame_of(sensor: str, captured_ns: int, *detections: Detection) -> DetectionBatch:
    return DetectionBatch(sensor, captured_ns, TimeQuality.NTP, "v", tuple(detections))


@dataclass
class Process:
    """One process of the station, started as an administrator would."""

    settings: StationSettings
    only: str | None
    child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        only = ["--only", self.only] if self.only else []
        self.child = subprocess.Popen(
            [sys.executable, str(ROOT / "ground_station.py"), "serve", *only, "--config", str(self.settings.file)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def kill(self) -> None:
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.communicate()

    def stop(self) -> tuple[int, str]:
        assert self.child is not None
        if self.child.poll() is None:
            self.child.terminate()
        output, _ = self.child.communicate(timeout=20)
        return self.child.returncode, output


@pytest.fixture
def process(settings: StationSettings) -> Iterator[Callable[[str | None], Process]]:
    made: list[Process] = []

    def make(only: str | None) -> Process:
        made.append(Process(settings, only))
        made[-1].start()
        return made[-1]

    yield make
    for p in made:
        if p.child is not None and p.child.poll() is None:
            p.child.kill()
            p.child.communicate()


@pytest.fixture
def training() -> Realm:
    return Realm.TRAINING


@pytest.fixture
def detection() -> Callable[..., Detection]:
    return point_detection


@pytest.fixture
def frame() -> Callable[..., DetectionBatch]:
    return frame_of


@pytest.fixture
def allow_node(settings: StationSettings) -> Callable[..., NodeKey]:
    return lambda node, kind=NodeKind.CAMERA: allow(settings, node, kind)


@pytest.fixture
def ask(settings: StationSettings) -> Iterator[Callable[[Any], Any]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def asking(request: Any, seconds: float = 60.0) -> Any:
        socket = context.socket(zmq.REQ)
        socket.linger = 0
        socket.connect(settings.mind_ask)
        socket.send(msgspec.msgpack.encode(request))
        assert socket.poll(int(seconds * 1000)), "the mind does not answer"
        answer = msgspec.msgpack.decode(socket.recv(), type=Answer)
        socket.close()
        return answer

    yield asking
    context.destroy(linger=0)
