"""A whole station under load: 1,000 detections a second in, an order a second on the record, a page on the feed."""

from __future__ import annotations

import math
import multiprocessing
import random
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import psutil
import zmq
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from benchmarks.form import Figure, figure
from benchmarks.ingest_stage import METRES_A_DEGREE, cpu_s, dealer, public_of, running, write_station
from benchmarks.ingest_stage import clock as wall
from station.access import Role, add_person, open_people
from station.orders import OrderBook
from station.settings import StationSettings
from wire.clock import NS_PER_S
from wire.codec import MAGIC, decode_down, encode_envelope
from wire.keys import NodeKey
from wire.messages import (
    Acknowledgement,
    Box,
    Detection,
    DetectionBatch,
    Envelope,
    Order,
    PlacementPoint,
    SensorReport,
    SensorState,
    Snapshot,
    UpBody,
)
from wire.units import Covariance2, GroundPosition, HeightMsl, ObjectClass, Position, TimeQuality

NODES, FRAMES_PER_S, OBJECTS = 10, 10, 10       # 1,000 detections a second, of a hundred walkers
SNAPSHOT_BYTES = 30_000
WARM_UP_S = 8.0
LANE_M, LENGTH_M, WALK_M_S, SIGMA_M = 14.0, 300.0, 1.4, 1.0
PASSWORD = "mot cau de do"


class _Contact(msgspec.Struct, array_like=False):
    id: str
    last_seen_ns: int


class _Message(msgspec.Struct):
    type: str
    contacts: tuple[_Contact, ...] = ()


@dataclass(slots=True)
class _Page:
    """What a page on the live feed sees. late_ms: from the capture of a contact's newest detection to its arrival here."""

    late_ms: list[float] = field(default_factory=list)
    newest_ns: dict[str, int] = field(default_factory=dict)
    counts: bool = False

    def take(self, data: str | bytes) -> None:
        message = msgspec.json.decode(data, type=_Message)
        now_ns = wall.utc_ns()
        for c in message.contacts:
            if c.last_seen_ns > self.newest_ns.get(c.id, 0):
                self.newest_ns[c.id] = c.last_seen_ns
                if self.counts and message.type == "delta":
                    self.late_ms.append((now_ns - c.last_seen_ns) / 1e6)


def under_load(folder: Path, seconds: float) -> dict[str, Figure]:
    settings, keys = write_station(folder, NODES)
    add_person(settings, "lan", Role.OPERATOR, PASSWORD)
    page, stop = _Page(), threading.Event()
    with running(settings, "inbox", "mind", "web") as processes:
        wall.sleep(WARM_UP_S / 2)
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        sender = context.Process(
            target=_send, args=(there, settings.inbox.bind, public_of(settings), keys, seconds + WARM_UP_S), daemon=True
        )
        threads = [
            threading.Thread(target=_watch, args=(settings, page, stop), daemon=True),
            threading.Thread(target=_order, args=(settings, stop), daemon=True),
        ]
        sender.start()
        for thread in threads:
            thread.start()
        wall.sleep(WARM_UP_S)
        page.counts = True
        before = {name: cpu_s(p) for name, p in processes.items()}
        began_ns = wall.monotonic_ns()
        sent, ack_ms = here.recv()
        passed_s = (wall.monotonic_ns() - began_ns) / NS_PER_S
        page.counts = False
        cores = {name: (cpu_s(p) - before[name]) / passed_s * 100 for name, p in processes.items()}
        memory = {name: p.memory_info().rss / 1e6 for name, p in processes.items()}
        stop.set()
        sender.join(10)
    return _figures(seconds, sent, ack_ms, page, cores, memory)


def _figures(
    seconds: float, sent: int, ack_ms: list[float], page: _Page, cores: dict[str, float], memory: dict[str, float]
) -> dict[str, Figure]:
    acks, late = sorted(ack_ms), sorted(page.late_ms)
    how = (
        f"{seconds:g} s of {NODES * FRAMES_PER_S * OBJECTS} detections a second from {NODES} nodes, a snapshot and an "
        f"order a second; inbox, mind, web and record all write; load {psutil.getloadavg()[0]:.1f}"
    )
    figures = {
        "load_ack_p50_ms": figure([_quantile(acks, 0.5)], "ms", how),
        "load_ack_p99_ms": figure([_quantile(acks, 0.99)], "ms", "of the same, from sending to the acknowledgement"),
        "load_ack_max_ms": figure([acks[-1]], "ms", "of the same"),
        "load_unacknowledged": figure([float(sent - len(acks))], "", f"of {sent} messages", "<= 0"),
        "capture_to_feed_p50_ms": figure([_quantile(late, 0.5)], "ms", f"{len(late)} updates of contacts, at a page"),
        "capture_to_feed_p99_ms": figure([_quantile(late, 0.99)], "ms", "the same; captured is sent here", "< 250"),
    }
    for name, percent in cores.items():
        figures[f"load_{name}_core_percent"] = figure([percent], "%", "of one core, all its threads")
        figures[f"load_{name}_memory_mb"] = figure([memory[name]], "MB", "resident at the end")
    return figures


def _quantile(values: list[float], q: float) -> float:
    return values[min(len(values) - 1, math.ceil(q * len(values)) - 1)] if values else math.inf


# ------------------------------------------------------------------------------------------------------------ the page


def session_headers(settings: StationSettings, name: str) -> dict[str, str]:
    """A logged-in page's headers, made past the login page."""
    people = open_people(settings)
    try:
        token = people.log_in(name, PASSWORD, "127.0.0.1").token
    finally:
        people.close()
    web = settings.web
    return {"Cookie": f"trailwatch-{settings.realm.value}-{web.port}={token}", "Origin": f"http://{web.host}:{web.port}"}


def _watch(settings: StationSettings, page: _Page, stop: threading.Event) -> None:
    headers = session_headers(settings, "lan")
    address = f"ws://{settings.web.host}:{settings.web.port}/feed"
    origin = Origin(headers.pop("Origin"))
    with connect(address, additional_headers=headers, origin=origin, max_size=None, compression=None) as socket:
        while not stop.is_set():
            try:
                page.take(socket.recv(1.0))
            except TimeoutError:
                continue
            except ConnectionClosed:
                return


def _order(settings: StationSettings, stop: threading.Event) -> None:
    """A person's order a second: orders.db, and an entry in the record, both FULL."""
    book, number = OrderBook(settings, wall), 0
    while not stop.wait(1.0):
        number += 1
        book.give("lan", "node-x", Order("", "gate", "snapshot"))


# ----------------------------------------------------------------------------------------------------------- the nodes


class _Walkers:
    """A node's: each up and down a lane of its own, seen with an error."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._dice = random.Random(node)

    def frame(self, at_s: float, captured_ns: int) -> DetectionBatch:
        detections = []
        for track in range(OBJECTS):
            lane = self._node * OBJECTS + track
            way = (WALK_M_S * at_s + 37.0 * track) % (2 * LENGTH_M)
            east = -2500.0 + (way if way < LENGTH_M else 2 * LENGTH_M - way) + self._dice.gauss(0, SIGMA_M)
            north = -700.0 + lane * LANE_M + self._dice.gauss(0, SIGMA_M)
            place = GroundPosition(16.62 + north / METRES_A_DEGREE, 106.6 + east / (METRES_A_DEGREE * 0.9582))
            detections.append(Detection(
                track, ObjectClass.PERSON, 0.87, Box(100.0 + track, 200.0, 130.0 + track, 290.0),
                PlacementPoint(place, Covariance2(1.3, 0.1, 1.6)), True, (),
            ))
        return DetectionBatch(f"mast-{self._node}", captured_ns, TimeQuality.NTP, "v", tuple(detections))


def _send(pipe: Connection, endpoint: str, public: str, keys: list[NodeKey], seconds: float) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [dealer(context, endpoint, public, key) for key in keys]
    walkers = [_Walkers(k) for k in range(len(keys))]
    poller = zmq.Poller()
    for s in sockets:
        poller.register(s, zmq.POLLIN)
    sequence, sent = [0] * len(keys), 0
    on_way: dict[tuple[int, int], int] = {}
    ack_ms: list[float] = []
    began_ns = wall.monotonic_ns()
    measured_ns = began_ns + round(WARM_UP_S * NS_PER_S)

    def send(k: int, body: UpBody, now_ns: int) -> None:
        nonlocal sent
        sockets[k].send_multipart([MAGIC, encode_envelope(Envelope(keys[k].node, 1, sequence[k], body))])
        if now_ns >= measured_ns:
            on_way[(k, sequence[k])] = now_ns
            sent += 1
        sequence[k] += 1

    def listen(ms: int) -> None:
        for s, _ in poller.poll(ms):
            k = sockets.index(s)
            while s.poll(0):
                body = decode_down(s.recv_multipart()[1])
                now_ns = wall.monotonic_ns()
                for _, number in body.acknowledged if isinstance(body, Acknowledgement) else ():
                    at_ns = on_way.pop((k, number), None)
                    if at_ns is not None:
                        ack_ms.append((now_ns - at_ns) / 1e6)

    turns = round(seconds * FRAMES_PER_S)
    for turn in range(turns):
        for k in range(len(keys)):
            # Cameras are not in step: each node has its own moment within the tenth of a second.
            due_ns = began_ns + round((turn + k / len(keys)) / FRAMES_PER_S * NS_PER_S)
            while (left_ns := due_ns - wall.monotonic_ns()) > 0:
                listen(max(1, left_ns // 1_000_000))
            now_ns = wall.monotonic_ns()
            send(k, walkers[k].frame((now_ns - began_ns) / NS_PER_S, wall.utc_ns()), now_ns)
            if turn % (FRAMES_PER_S * 3) == 0:
                send(k, _report(k), now_ns)
        if turn % FRAMES_PER_S == 0:
            k = turn // FRAMES_PER_S % len(keys)
            jpeg = b"\xff\xd8" + random.Random(turn).randbytes(SNAPSHOT_BYTES)
            send(k, Snapshot(f"mast-{k}", 0, wall.utc_ns(), jpeg, Box(1.0, 1.0, 9.0, 9.0)), wall.monotonic_ns())
    until_ns = wall.monotonic_ns() + 5 * NS_PER_S
    while on_way and wall.monotonic_ns() < until_ns:
        listen(100)
    context.destroy(linger=0)
    pipe.send((sent, ack_ms))
    pipe.close()


def _report(k: int) -> SensorReport:
    now_ns = wall.utc_ns()
    return SensorReport(
        f"mast-{k}", now_ns, Position(16.62, 106.58, HeightMsl(180.0)), (), SensorState.SEEING, now_ns, simulated=True
    )
