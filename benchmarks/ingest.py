"""What comes in: from ZeroMQ with CURVE to a commit that survives a power cut, judged; and a station under full load.

Throughput: a real inbox in a process of its own, and beside it a reader that takes what was committed as the mind does,
tests each detection against 200 corridors, and looks each plate up in a list; the run is over when both are. Two programs
that a good programmer would write get the same bytes (benchmarks/ingest_peers.py), by turns with ours.

Load: a whole station, five minutes, 1,000 detections a second, an order a second on the record. TRAILWATCH_BENCH_INGEST_S
shortens the five minutes, and the figures say so.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import statistics
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from benchmarks.form import Figure, Peer, figure
from benchmarks.ingest_load import under_load
from benchmarks.ingest_peers import PeerRun, corridors_of, in_chunks, one_by_one, run_peer
from benchmarks.ingest_stage import (
    ENVELOPES,
    OBJECTS,
    WINDOW,
    Sent,
    clock,
    cpu_s,
    frames_of,
    public_of,
    running,
    send_all,
    write_sector,
    write_station,
)
from geofences.sector import load_sector
from station.matching_plates import canonical_plate
from station.settings import StationSettings, load_station_settings
from station.store import INBOX, open_reader
from wire.clock import NS_PER_S
from wire.codec import decode_envelope
from wire.messages import DetectionBatch, PlacementPoint

MESSAGES = 60_000                   # of one run of ours; three detections each
PEER_MESSAGES, PEER_S = 60_000, 5.0
RUNS = 3
LISTED = 10_000                     # plates of the list that is looked up
READ_LIMIT = 400                    # arrivals at once, as station.mind reads them
LOAD_S = float(os.environ.get("TRAILWATCH_BENCH_INGEST_S", "300"))


@dataclass(frozen=True, slots=True)
class _Run:
    """seconds: until all is acknowledged and judged. indexed_s: until each detection has its row as well."""

    sent: Sent
    seconds: float
    indexed_s: float
    inbox_us: float
    judge_us: float


def measure() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="tw-bench-") as name:
        folder = Path(name)
        figures = _throughput(folder)
        return figures | under_load(folder / "load", LOAD_S)


def _throughput(folder: Path) -> dict[str, Figure]:
    sector = write_sector(folder / "sector")
    plates = {f"74C-{k % 900 + 100}.{k // 900:02d}": f"S-{k:06d}" for k in range(LISTED)}
    ours, singles, chunks = [], [], []
    for k in range(RUNS):
        ours.append(_ours(folder / f"ours-{k}", plates))
        singles.append(_single(folder / f"single-{k}", sector, plates))
        chunks.append(_chunk(folder / f"chunk-{k}", sector, plates))
    per_s = [r.sent.messages / r.seconds for r in ours]
    single = Peer("one message, one upsert, one commit, one answer", statistics.median(r.per_s for r in singles))
    chunk = Peer("sqlite-utils insert_all, 1,000 a chunk", statistics.median(r.per_s for r in chunks))
    what = (
        f"messages a second, {OBJECTS} detections each: CURVE, FULL, 200 corridors, {LISTED} plates; acknowledged and judged"
    )
    acks = sorted(ms for r in ours for ms in r.sent.ack_ms)
    core = [r.inbox_us + r.judge_us for r in ours]
    chunk_core = statistics.median(r.core_us for r in chunks)
    single_core = statistics.median(r.core_us for r in singles)
    return {
        "ingest_per_s": figure(per_s, "1/s", what, None, single),
        "to_one_by_one": figure(
            [o / r.per_s for o, r in zip(per_s, singles, strict=True)], "ratio", "of wall time; runs by turns", ">= 30",
            single,
        ),
        "to_insert_all": figure(
            [o / r.per_s for o, r in zip(per_s, chunks, strict=True)], "ratio", "of wall time; runs by turns", ">= 3",
            chunk,
        ),
        "inbox_core_us": figure([r.inbox_us for r in ours], "us", "processor time a message of the inbox, rows included"),
        "judge_core_us": figure([r.judge_us for r in ours], "us", "processor time a message: corridors and list"),
        "core_to_one_by_one": figure(
            [single_core / c for c in core], "ratio", "of processor time a message, all processes that receive",
            None, Peer("processor time a message", single_core),
        ),
        "core_to_insert_all": figure(
            [chunk_core / c for c in core], "ratio", "of processor time a message, all processes that receive",
            None, Peer("processor time a message", chunk_core),
        ),
        "indexed_per_s": figure(
            [r.sent.messages / r.indexed_s for r in ours], "1/s", "messages, until each detection has its row too"
        ),
        "flood_ack_p99_ms": figure(
            [acks[int(len(acks) * 0.99)]], "ms", f"of a transport message of {ENVELOPES}, {WINDOW} messages ahead"
        ),
    }


def _ours(folder: Path, plates: dict[str, str]) -> _Run:
    settings, (key,) = write_station(folder, 1)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with running(settings, "inbox") as processes:
        inbox = processes["inbox"]
        judge = context.Process(target=_judge, args=(there, settings.file, MESSAGES, plates), daemon=True)
        judge.start()
        here.recv()
        frames = frames_of(key.node, MESSAGES)
        before_s = cpu_s(inbox)
        began_ns = clock.monotonic_ns()
        sent = send_all(settings.inbox.bind, public_of(settings), key, frames, ENVELOPES, WINDOW, None)
        judged_ns, judge_s = here.recv()
        starting_s = (clock.monotonic_ns() - began_ns) / NS_PER_S - sent.seconds
        until_s = max(sent.seconds, (judged_ns - began_ns) / NS_PER_S - max(0.0, starting_s))
        done_ns = _await_rows(settings)
        inbox_s = cpu_s(inbox) - before_s
        judge.join(10)
    late_s = max(0.0, (done_ns - judged_ns) / NS_PER_S)
    return _Run(sent, until_s, until_s + late_s, inbox_s / MESSAGES * 1e6, judge_s / MESSAGES * 1e6)


def _await_rows(settings: StationSettings) -> int:
    """When every detection has its row."""
    with contextlib.closing(sqlite3.connect(settings.inbox_db)) as db:
        while db.execute("SELECT count(*) FROM retention WHERE kind = 'detections_until'").fetchone()[0]:
            clock.sleep(0.02)
        done_ns = clock.monotonic_ns()
        rows, arrivals = (db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("detections", "arrivals"))
    if (rows, arrivals) != (MESSAGES * OBJECTS, MESSAGES):
        raise RuntimeError(f"{arrivals} arrivals and {rows} detections of {MESSAGES} messages are stored")
    return done_ns


def _judge(pipe: Connection, file: Path, count: int, plates: dict[str, str]) -> None:
    """Reads what the inbox has committed, as the mind does, and judges it."""
    from wire.process import die_with_parent

    die_with_parent()
    settings = load_station_settings(file)
    sector = load_sector(settings.sector)
    listed = {canonical_plate(text): subject for text, subject in plates.items()}
    corridors_of(sector, [16.6], [106.6])
    while True:
        with contextlib.suppress(FileNotFoundError):
            db = open_reader(settings.inbox_db, INBOX, settings.realm)
            break
        clock.sleep(0.05)
    pipe.send(True)
    process, place, hits = psutil.Process(), 0, 0
    while not place:
        place = int(db.execute("SELECT coalesce(min(id), 1) - 1 FROM arrivals").fetchone()[0] or 0)
        if db.execute("SELECT 1 FROM arrivals LIMIT 1").fetchone():
            break
        clock.sleep(0.002)
    began_s = cpu_s(process)
    while place < count:
        rows = db.execute(
            "SELECT id, payload FROM arrivals WHERE id > ? ORDER BY id LIMIT ?", (place, READ_LIMIT)
        ).fetchall()
        if not rows:
            clock.sleep(0.002)          # the mind sleeps until the inbox's notice
            continue
        lats: list[float] = []
        lons: list[float] = []
        for _, payload in rows:
            body = decode_envelope(payload).body
            assert isinstance(body, DetectionBatch)
            for d in body.detections:
                assert isinstance(d.placement, PlacementPoint)
                lats.append(d.placement.position.lat_deg)
                lons.append(d.placement.position.lon_deg)
                if d.plate is not None and canonical_plate(d.plate) in listed:
                    hits += 1
        corridors_of(sector, lats, lons)
        place = int(rows[-1][0])
    pipe.send((clock.monotonic_ns(), cpu_s(process) - began_s))
    pipe.close()


def _single(folder: Path, sector: Path, plates: dict[str, str]) -> PeerRun:
    return run_peer(one_by_one, folder, sector, plates, lambda node: frames_of(node, PEER_MESSAGES), 1, 64, PEER_S)


def _chunk(folder: Path, sector: Path, plates: dict[str, str]) -> PeerRun:
    return run_peer(
        in_chunks, folder, sector, plates, lambda node: frames_of(node, PEER_MESSAGES), ENVELOPES, WINDOW, PEER_S
    )
