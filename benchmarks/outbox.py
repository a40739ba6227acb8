"""A camera's days without a link: what waits, how fast it drains into a real inbox, what is lost, and how a disk wears.

All is real but the clock of the days without a link: the outbox's file on this disk, ZeroMQ with CURVE, an inbox in a
process of its own. TRAILWATCH_BENCH_OUTBOX_HOURS shortens the 72 hours, and the figures say so.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import zmq
from sqlite_utils import Database

from benchmarks.form import Figure, Peer, figure
from station.own_key import ensure_station_key
from station.settings import StationSettings, load_station_settings
from wire.clock import NS_PER_S, Clock, SteppedClock, WallClock
from wire.keys import (
    AllowedNode,
    NodeKey,
    NodeKind,
    StationKey,
    append_allowed,
    load_station_key,
    make_node_key,
    make_station_key,
)
from wire.messages import Box, Detection, DetectionBatch, NodeHealth, PlacementPoint, SensorReport, SensorState, UpBody
from wire.outbox import LIMIT_BYTES, Outbox
from wire.outbox_file import ROW_OVERHEAD_BYTES
from wire.units import Covariance2, GroundPosition, HeightMsl, ObjectClass, Position, Realm, TimeQuality
from wire.uplink import Uplink

ROOT = Path(__file__).resolve().parents[1]
SECTOR = ROOT / "configs" / "sectors" / "laobao" / "sector.toml"
HOURS = float(os.environ.get("TRAILWATCH_BENCH_OUTBOX_HOURS", "72"))
FRAMES_PER_S, OBJECTS = 10, 3               # issue 4: 10 Hz x 3 objects
PUT_AT_ONCE = 3000                          # five minutes of frames a commit, to fill in minutes what takes days
PARTS = 10                                  # of the draining, each timed
STALLED_S = 120.0
BOUND_MESSAGES, BOUND_SHARE = 60_000, 0.6   # of the second case: as many are put, and the bound holds this share
PEER_S = 6.0                                # twice: before ours and after
WEAR_S = 60                                 # of a camera's life; 600 frames
WARM_UP_S = 20.0
HEALTH_EVERY, SENSOR_EVERY = 10, 30         # frames, as in edge/node.py

_clock = WallClock()


def measure() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="tw-bench-") as name:
        folder = Path(name)
        figures = _wear(folder)
        peer = _peer(folder / "peer-1")
        figures |= _days_without_a_link(folder, peer)
        return figures | _beyond_the_bound(folder)


# ------------------------------------------------------------------------------------------------- what a camera says


def _frame(number: int) -> DetectionBatch:
    """Three people on a trail, with as many digits as real ones have."""
    k = number % 1000
    return DetectionBatch(
        "gate-1", 1_800_000_000 * NS_PER_S + number * NS_PER_S // FRAMES_PER_S, TimeQuality.NTP, "9f2c41d07ab3",
        tuple(
            Detection(
                track, ObjectClass.PERSON, 0.8731 + k * 1e-5, Box(100.1 + k, 200.2, 130.7 + k, 290.5),
                PlacementPoint(GroundPosition(16.62114 + k * 1e-7, 106.59109), Covariance2(2.31, 0.12, 3.56)), True,
                ("khe-da",),
            )
            for track in range(OBJECTS)
        ),
    )


def _states(frame: int) -> list[UpBody]:
    """Of a frame: its health each second, what it sees every three."""
    at_ns = frame * NS_PER_S // FRAMES_PER_S
    bodies: list[UpBody] = []
    if frame % HEALTH_EVERY == 0:
        stages = {"detect": 21.5, "track": 0.4, "place": 0.3, "snapshot": 0.2, "outbox": 1.1}
        bodies.append(NodeHealth(at_ns, 1.0, 10, 0, 10.0, stages, 0, 0, 0, 1e4, 3e2, TimeQuality.NTP, True))
    if frame % SENSOR_EVERY == 0:
        place = GroundPosition(16.6, 106.5)
        bodies.append(SensorReport(
            "gate-1", at_ns, Position(16.6, 106.5, HeightMsl(181.0)), (place,) * 40, SensorState.SEEING, 0, False
        ))
    return bodies


# -------------------------------------------------------------------------------------------------------- the station


@dataclass(frozen=True, slots=True)
class _Station:
    settings: StationSettings
    key: NodeKey                    # of the node that may speak to it
    inbox: psutil.Process

    def uplink(self, outbox: Outbox) -> Uplink:
        public = load_station_key(self.settings.station_key).public
        return Uplink(self.settings.inbox.bind, public, self.key, outbox, _clock)

    def count(self, question: str) -> int:
        with contextlib.closing(sqlite3.connect(self.settings.inbox_db)) as db:
            return int(db.execute(question).fetchone()[0] or 0)


@contextlib.contextmanager
def _station(folder: Path) -> Iterator[_Station]:
    """A real inbox, in a process of its own."""
    folder.mkdir(parents=True)
    file = folder / "station.toml"
    file.write_text(
        f'sector = "{SECTOR}"\nrealm = "training"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:{_free_port()}"\n'
        "detections_per_s = 0\nbytes_per_s = 0\n"      # no limit, because the benchmark measures the outbox
        f'[web]\nhost = "127.0.0.1"\nport = {_free_port()}\n', encoding="utf-8",
    )
    settings = load_station_settings(file)
    ensure_station_key(settings)
    key = make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)
    append_allowed(settings.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    with subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "serve", "--only", "inbox", "--config", str(file)],
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield _Station(settings, key, psutil.Process(child.pid))
        finally:
            child.terminate()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _drain(station: _Station, outbox: Outbox, parts: int) -> list[float]:
    """Connect and send all. Returns messages a second, of each part; the first begins with the connection."""
    rates = []
    with station.uplink(outbox) as uplink:
        until_ns = _clock.monotonic_ns() + round(WARM_UP_S * NS_PER_S)
        while not uplink.counts.connections:
            if _clock.monotonic_ns() > until_ns:
                raise RuntimeError(f"no connection after {WARM_UP_S} s: {uplink.problem}")
            _clock.sleep(0.01)
        total = outbox.depth
        last_depth, last_ns = total, _clock.monotonic_ns()
        for k in range(1, parts + 1):
            goal = total * (parts - k) // parts
            while (depth := outbox.depth) > goal:
                if _clock.monotonic_ns() - last_ns > STALLED_S * NS_PER_S * max(1.0, total / parts / 20_000):
                    raise RuntimeError(f"{depth} messages still wait: {uplink.problem}, {uplink.counts}")
                _clock.sleep(0.01)
            now_ns = _clock.monotonic_ns()
            rates.append((last_depth - depth) / ((now_ns - last_ns) / NS_PER_S))
            last_depth, last_ns = depth, now_ns
    return rates


# ------------------------------------------------------------------------------------------------------- the figures


def _days_without_a_link(folder: Path, peer_before: float) -> dict[str, Figure]:
    count = round(HOURS * 3600 * FRAMES_PER_S)
    file = folder / "outbox.db"
    with _station(folder / "station") as station:
        put_per_s = _fill(file, station.key.node, count)
        megabytes = file.stat().st_size / 1e6
        began_ns = _clock.monotonic_ns()
        outbox = Outbox(file, station.key.node, Realm.TRAINING, _clock)
        opened_s = (_clock.monotonic_ns() - began_ns) / NS_PER_S
        size = len(outbox.pending(1)[0].data)
        cpu_before_s = _cpu_s(station)
        rates = _drain(station, outbox, PARTS)
        cpu_us = (_cpu_s(station) - cpu_before_s) / count * 1e6
        outbox.close()
        with contextlib.closing(sqlite3.connect(file)) as db:
            put, detections = db.execute("select messages_put, detections_put from ledger").fetchone()
            waiting = db.execute("select count(*) from queue").fetchone()[0]
        distinct = station.count("SELECT count(*) FROM (SELECT DISTINCT node, boot, sequence FROM arrivals)")
        lost = put - distinct + waiting
        lost_detections = detections - station.count("SELECT count(*) FROM detections")
        doubled = station.count("SELECT count(*) FROM arrivals") - distinct
        again = station.count("SELECT sum(value) FROM totals WHERE name = 'duplicates'")
    peers = [peer_before, _peer(folder / "peer-2")]
    peer = Peer("a row and a commit each, REQ/REP with an answer each, sqlite-utils", statistics.median(peers) * OBJECTS)
    per_s = [r * OBJECTS for r in rates]
    what = f"{HOURS:g} h x {FRAMES_PER_S} Hz x {OBJECTS} objects: {count} messages of {size} bytes"
    needs = 72 * 3600 * FRAMES_PER_S * (size + ROW_OVERHEAD_BYTES)
    return {
        "link_out_h": figure([HOURS], "h", f"{what}, {megabytes:.0f} MB of file; simulated clock, real file"),
        "bound_used_percent": figure([100 * needs / LIMIT_BYTES], "%", "of the default bound, by 72 h of these", "<= 100"),
        "put_per_s": figure([put_per_s], "1/s", f"messages put, {PUT_AT_ONCE} a commit"),
        "reopen_s": figure([opened_s], "s", "to open the outbox with all of that waiting"),
        "drained_detections_per_s": figure(
            per_s, "1/s", f"over ZeroMQ with CURVE into a real inbox; {PARTS} parts of the way", ">= 5000", peer,
        ),
        "drained_ratio": figure(
            [r / peer.value for r in per_s], "ratio", "to the peer, run before and after on the same disk", None, peer
        ),
        "message_core_us": figure([cpu_us], "us", "processor time a message, node and inbox, so without others' work"),
        "lost": figure([lost + lost_detections], "", f"messages and detections, by both databases; {put} put", "<= 0"),
        "duplicated": figure([doubled], "", f"in the station's store; {again} came twice and were told apart", "<= 0"),
    }


def _fill(file: Path, node: str, count: int) -> float:
    clock = SteppedClock()
    outbox = Outbox(file, node, Realm.TRAINING, clock)
    began_ns = _clock.monotonic_ns()
    for first in range(0, count, PUT_AT_ONCE):
        some = range(first, min(count, first + PUT_AT_ONCE))
        outbox.put(*(_frame(k) for k in some))
        clock.advance(len(some) / FRAMES_PER_S)
    per_s = count / ((_clock.monotonic_ns() - began_ns) / NS_PER_S)
    if outbox.ledger.messages_dropped or outbox.problem:
        raise RuntimeError(f"the bound does not hold {HOURS} h: {outbox.ledger}, {outbox.problem}")
    outbox.close()
    return per_s


def _beyond_the_bound(folder: Path) -> dict[str, Figure]:
    """More than the outbox holds: each drop is counted, and they are the oldest."""
    with _station(folder / "bound") as station:
        file = folder / "bounded.db"
        size = len(msgspec.msgpack.encode(_frame(999))) + 40 + ROW_OVERHEAD_BYTES
        outbox = Outbox(file, "gate-1", Realm.TRAINING, _clock, round(BOUND_MESSAGES * BOUND_SHARE * size))
        for first in range(0, BOUND_MESSAGES, PUT_AT_ONCE):
            outbox.put(*(_frame(k) for k in range(first, first + PUT_AT_ONCE)))
        dropped = outbox.ledger.messages_dropped
        _drain(station, outbox, 1)
        at = outbox.ledger
        outbox.close()
        stored = station.count("SELECT count(*) FROM arrivals")
        oldest = station.count("SELECT min(sequence) FROM arrivals")
    wrong = (
        abs(at.messages_put - at.messages_dropped - stored)
        + abs(at.detections_put - at.detections_dropped - stored * OBJECTS)
        + abs(at.messages_put - at.messages_acknowledged - at.messages_refused - at.messages_dropped)
        + abs(oldest - dropped)
    )
    return {"bound_uncounted": figure(
        [wrong], "", f"{at.messages_put} put, {at.messages_dropped} dropped (the oldest), {stored} in the station's store; "
        "what of it does not add up", "<= 0",
    )}


def _cpu_s(station: _Station) -> float:
    theirs, ours = station.inbox.cpu_times(), psutil.Process().cpu_times()
    return theirs.user + theirs.system + ours.user + ours.system


# --------------------------------------------------------------------------------------------------------------- wear


def _wear(folder: Path) -> dict[str, Figure]:
    figures = {}
    for name, what in (("quiet", "states alone"), ("busy", f"{OBJECTS} objects in each of {FRAMES_PER_S} frames a second")):
        clock = SteppedClock()
        outbox = Outbox(folder / f"{name}.db", "gate-1", Realm.TRAINING, clock)
        before = _written_bytes()
        for frame in range(WEAR_S * FRAMES_PER_S):
            bodies = _states(frame)
            if name == "busy":
                bodies.insert(0, _frame(frame))
            if bodies:
                outbox.put(*bodies)
            clock.advance(0.05)         # the station's answer comes before the next frame
            outbox.acknowledge([p.identity for p in outbox.pending(64)])
            clock.advance(0.05)
            outbox.tend()
        wear, written = outbox.wear, _written_bytes() - before
        outbox.close()
        hourly = 3600 / WEAR_S
        how = f"{what}, answered at once; {WEAR_S} s counted and scaled to an hour"
        figures[f"{name}_flushes_per_h"] = figure([wear.flushes * hourly], "1/h", f"commits that wait for the disk: {how}")
        figures[f"{name}_commits_per_h"] = figure([wear.commits * hourly], "1/h", how)
        figures[f"{name}_written_mb_per_h"] = figure([written * hourly / 1e6], "MB/h", f"handed to the disk: {how}")
    return figures


def _written_bytes() -> int:
    """By this process, as far as the kernel tells (Linux); what it counts is pages, not what a card makes of them."""
    try:
        text = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.partition("write_bytes:")[2].split()[0])


# ----------------------------------------------------------------------------------------------------------- the peer


def _peer(folder: Path) -> float:
    """The obvious program: a queue with a row and a commit a message, one on its way, and each waits for its answer.

    It has the same CURVE, the same journal (write-ahead) and the same promise: what is answered survives a power cut.
    Returns messages a second.
    """
    folder.mkdir(parents=True)
    node, station = make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING), make_station_key(Realm.TRAINING)
    endpoint = f"tcp://127.0.0.1:{_free_port()}"
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=_peer_station, args=(endpoint, station, folder / "station.db"), daemon=True)
    server.start()
    queue = Database(folder / "queue.db")
    queue.enable_wal()
    rows = [{"id": k, "data": json.dumps(msgspec.to_builtins(_frame(k)))} for k in range(20_000)]
    queue["queue"].insert_all(rows, pk="id")
    try:
        return _peer_sends(endpoint, node, station, queue, _clock)
    finally:
        server.terminate()
        server.join()
        queue.conn.close()


def _peer_sends(endpoint: str, node: NodeKey, station: StationKey, queue: Database, clock: Clock) -> float:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    request = context.socket(zmq.REQ)
    request.linger = 0
    request.curve_serverkey = station.public.encode()
    request.curve_publickey, request.curve_secretkey = node.public.encode(), node.secret.encode()
    request.connect(endpoint)
    sent, began_ns = 0, 0
    with contextlib.closing(request):
        for row in list(queue["queue"].rows_where(order_by="id", limit=20_000)):
            request.send_string(row["data"])
            request.recv()
            queue["queue"].delete(row["id"])
            if not began_ns:                # the first waited for its process to start
                began_ns = clock.monotonic_ns()
                continue
            sent += 1
            if clock.monotonic_ns() - began_ns > PEER_S * NS_PER_S:
                break
    context.destroy(linger=0)
    return sent / ((clock.monotonic_ns() - began_ns) / NS_PER_S)


def _peer_station(endpoint: str, key: StationKey, file: Path) -> None:
    store = Database(file)
    store.enable_wal()
    store.execute("pragma synchronous = full")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    reply = context.socket(zmq.REP)
    reply.curve_server, reply.curve_secretkey = True, key.secret.encode()
    reply.bind(endpoint)
    while True:
        message = json.loads(reply.recv_string())
        for detection in message["detections"]:
            store["detections"].insert(
                {"sensor": message["sensor"], "captured_ns": message["captured_ns"], **detection}
            )
        reply.send(b"ok")
