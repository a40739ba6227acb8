"""What the benchmarks of the station stand on: a sector with 200 corridors, nodes with keys, frames, and a sender."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import zmq

from station.own_key import ensure_station_key
from station.settings import StationSettings, load_station_settings
from wire.clock import NS_PER_S, WallClock
from wire.codec import MAGIC, decode_down, encode_envelope
from wire.keys import AllowedNode, NodeKey, NodeKind, append_allowed, load_station_key, make_node_key
from wire.messages import Acknowledgement, Box, Detection, DetectionBatch, Envelope, PlacementPoint
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality

ROOT = Path(__file__).resolve().parents[1]
SECTOR = ROOT / "configs" / "sectors" / "laobao"
CORRIDORS = 200                     # issue 5
OBJECTS = 3                         # of a frame
PLATE_EVERY = 10                    # detections: a car with a plate
WINDOW = 4096                       # messages on their way: 256 KB to 2 MB, as an uplink's flights
ENVELOPES = 32                      # in one transport message, as wire.uplink sends them
METRES_A_DEGREE = 111_195.0

clock = WallClock()


def write_sector(folder: Path) -> Path:
    """The demo sector with so many further corridors that there are 200, each a bent trail of 400 m and 40 m wide."""
    shutil.copytree(SECTOR, folder)
    file = folder / "sector.toml"
    text = file.read_text(encoding="utf-8")
    dice = random.Random(5)
    parts = []
    for k in range(CORRIDORS - text.count("[[corridors]]")):
        lat, lon = dice.uniform(16.585, 16.650), dice.uniform(106.565, 106.635)
        heading, line = dice.uniform(0, 2 * math.pi), []
        for _ in range(5):
            line.append([round(lat, 6), round(lon, 6)])
            heading += dice.uniform(-0.5, 0.5)
            lat += 100 / METRES_A_DEGREE * math.cos(heading)
            lon += 100 / METRES_A_DEGREE * math.sin(heading)
        parts.append(
            f'[[corridors]]\nid = "trail-{k}"\nname = "Trail {k}"\ncentre_line = {line}\nwidth_m = 40.0\npriority = 3\n'
            'alarm_hours = ["00:00", "24:00"]\n'
        )
    head, marker, tail = text.partition("[[keep_outs]]")
    file.write_text(head + "\n".join(parts) + "\n" + marker + tail, encoding="utf-8")
    return file


def write_station(folder: Path, nodes: int) -> tuple[StationSettings, list[NodeKey]]:
    """Settings, keys and allow list of a station for so many nodes."""
    folder.mkdir(parents=True)
    sector = write_sector(folder / "sector")
    file = folder / "station.toml"
    file.write_text(
        f'sector = "{sector}"\nrealm = "training"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:{free_port()}"\n'
        "detections_per_s = 0\nbytes_per_s = 0\n"      # no limit, because the benchmark measures the station
        f'[web]\nhost = "127.0.0.1"\nport = {free_port()}\n', encoding="utf-8",
    )
    settings = load_station_settings(file)
    ensure_station_key(settings)
    keys = [make_node_key(f"node-{k}", NodeKind.CAMERA, Realm.TRAINING) for k in range(nodes)]
    for key in keys:
        append_allowed(settings.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    return settings, keys


@contextlib.contextmanager
def running(settings: StationSettings, *names: str) -> Iterator[dict[str, psutil.Process]]:
    """The station's processes by these names, each started alone, as an administrator may."""
    children = {}
    try:
        for name in names:
            with (settings.run_dir / f"{name}.log").open("wb") as log:
                child = subprocess.Popen(
                    [sys.executable, "ground_station.py", "serve", "--only", name, "--config", str(settings.file)], cwd=ROOT,
                    stderr=log, stdout=log, env=os.environ | {"OMP_NUM_THREADS": "1"},
                )
            children[name] = child
        yield {name: psutil.Process(child.pid) for name, child in children.items()}
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            child.wait(20)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process and its children so far, user and system, all threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def frames_of(node: str, count: int, objects: int = OBJECTS, seed: int = 0) -> list[bytes]:
    """So many envelopes of a node, with as many digits as real ones have; people, and now and then a car with a plate."""
    dice = random.Random(seed)
    frames = []
    for number in range(count):
        captured_ns = 1_790_000_000 * NS_PER_S + number * NS_PER_S // 10
        frames.append(encode_envelope(Envelope(node, 1, number, DetectionBatch(
            "gate", captured_ns, TimeQuality.NTP, "9f2c41d07ab3",
            tuple(_detection(dice, track, number * objects + track) for track in range(objects)),
        ))))
    return frames


def _detection(dice: random.Random, track: int, number: int) -> Detection:
    position = GroundPosition(dice.uniform(16.585, 16.650), dice.uniform(106.565, 106.635))
    placement = PlacementPoint(position, Covariance2(2.31 + dice.random(), 0.12, 3.56))
    box = Box(100.1 + track, 200.2, 130.7 + track, 290.5 + dice.random())
    if number % PLATE_EVERY == 0:
        plate = f"74C-{dice.randrange(100, 1000)}.{dice.randrange(10, 100)}"
        return Detection(track, ObjectClass.CAR, 0.91, box, placement, True, ("khe-da",), plate, (0.97,) * 8)
    return Detection(track, ObjectClass.PERSON, 0.8731 + dice.random() / 10, box, placement, True, ("khe-da",))


@dataclass(frozen=True, slots=True)
class Sent:
    """seconds: from the first message sent to the last one acknowledged. ack_ms: of each transport message, its wait too."""

    messages: int
    seconds: float
    ack_ms: list[float]


def send_all(
    endpoint: str, server_public: str, key: NodeKey, frames: list[bytes], envelopes: int, window: int, for_s: float | None
) -> Sent:
    """Send until all are acknowledged, or the time is over, at most `window` messages ahead; in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_sender, args=(there, endpoint, server_public, key, frames, envelopes, window, for_s), daemon=True
    )
    process.start()
    there.close()
    try:
        result = here.recv()
    finally:
        process.join(10)
    assert isinstance(result, Sent)
    return result


def dealer(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, server_public: str, key: NodeKey) -> zmq.Socket[bytes]:
    """A node's CURVE socket."""
    s = context.socket(zmq.DEALER)
    s.linger = 0
    s.sndhwm = s.rcvhwm = 100_000
    s.curve_serverkey = server_public.encode()
    s.curve_publickey, s.curve_secretkey = key.public.encode(), key.secret.encode()
    s.connect(endpoint)
    return s


def _sender(
    pipe: Connection, endpoint: str, server_public: str, key: NodeKey, frames: list[bytes], envelopes: int, window: int,
    for_s: float | None,
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    s = dealer(context, endpoint, server_public, key)
    transports = [[MAGIC, *frames[i : i + envelopes]] for i in range(0, len(frames), envelopes)]
    # The first goes alone: processes start, keys are exchanged, and none of that is measured.
    s.send_multipart(transports[0])
    done = _acknowledged(s.recv_multipart())
    while done < len(transports[0]) - 1:
        done += _acknowledged(s.recv_multipart())
    sent, answered, k = done, done, 1
    began_ns = clock.monotonic_ns()
    sent_ns: list[tuple[int, int]] = []
    ack_ms: list[float] = []
    while answered < sent or (k < len(transports) and not _is_over(began_ns, for_s)):
        while k < len(transports) and sent - answered < window and not _is_over(began_ns, for_s):
            s.send_multipart(transports[k])
            sent += len(transports[k]) - 1
            sent_ns.append((sent, clock.monotonic_ns()))
            k += 1
        if not s.poll(60_000):
            raise RuntimeError(f"no acknowledgement for a minute; {answered} of {sent} are acknowledged")
        while s.poll(0):
            answered += _acknowledged(s.recv_multipart())
        now_ns = clock.monotonic_ns()
        while sent_ns and sent_ns[0][0] <= answered:
            ack_ms.append((now_ns - sent_ns.pop(0)[1]) / 1e6)
    seconds = (clock.monotonic_ns() - began_ns) / NS_PER_S
    context.destroy(linger=0)
    pipe.send(Sent(answered - done, seconds, ack_ms))
    pipe.close()


def _acknowledged(answer: list[bytes]) -> int:
    """How many messages an answer acknowledges; a peer's program answers with a number."""
    if answer[0] != MAGIC:
        return int(answer[0])
    body = decode_down(answer[1])
    return len(body.acknowledged) if isinstance(body, Acknowledgement) else 0


def _is_over(began_ns: int, for_s: float | None) -> bool:
    return for_s is not None and clock.monotonic_ns() - began_ns > for_s * NS_PER_S


def public_of(settings: StationSettings) -> str:
    return load_station_key(settings.station_key).public
