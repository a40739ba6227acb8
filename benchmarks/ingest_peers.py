"""The two programs that ingest is compared with, as a good programmer writes them with sqlite-utils.

Both take the very same bytes over the same sockets with the same keys, parse them with the same typed decoder, test each
detection against the same 200 corridors, look its plate up in the same list, and acknowledge what a commit with
synchronous=FULL holds. A message that comes twice is stored once.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import shapely
import zmq
from sqlite_utils import Database

from benchmarks.ingest_stage import clock, cpu_s, free_port, send_all
from geofences.sector import Sector, load_sector
from wire.codec import decode_envelope
from wire.keys import NodeKind, make_node_key, make_station_key
from wire.messages import DetectionBatch, Envelope, PlacementPoint
from wire.units import Realm

CHUNK = 1000                        # messages of one insert_all
CHUNK_WAIT_NS = 50_000_000
Program = Callable[[zmq.Socket[bytes], Database, Sector, dict[str, str]], None]


@dataclass(frozen=True, slots=True)
class PeerRun:
    """per_s: messages acknowledged a second. core_us: processor time of the receiving process a message."""

    per_s: float
    core_us: float


def run_peer(
    program: Program, folder: Path, sector: Path, plates: dict[str, str], make_frames: Callable[[str], list[bytes]],
    envelopes: int, window: int, for_s: float,
) -> PeerRun:
    folder.mkdir(parents=True)
    key, station = make_node_key("node-0", NodeKind.CAMERA, Realm.TRAINING), make_station_key(Realm.TRAINING)
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_serve, args=(there, program, endpoint, station.secret, folder / "peer.db", sector, plates), daemon=True
    )
    process.start()
    here.recv()                     # its sector is loaded
    try:
        before_s = cpu_s(psutil.Process(process.pid))
        sent = send_all(endpoint, station.public, key, make_frames(key.node), envelopes, window, for_s)
        core_us = (cpu_s(psutil.Process(process.pid)) - before_s) / sent.messages * 1e6
    finally:
        process.terminate()
        process.join(10)
    return PeerRun(sent.messages / sent.seconds, core_us)


def _serve(
    ready: Connection, program: Program, endpoint: str, secret: str, file: Path, sector: Path, plates: dict[str, str]
) -> None:
    from wire.process import die_with_parent

    die_with_parent()
    db = Database(file)
    db.enable_wal()
    db.execute("pragma synchronous = full")
    # upsert and insert_all would find the table missing, and its key unknown, at their first call.
    db["detections"].create(
        {"node": str, "boot": int, "sequence": int, "idx": int, "sensor": str, "captured_ns": int, "object_class": str,
         "score": float, "lat_deg": float, "lon_deg": float, "ee_m2": float, "en_m2": float, "nn_m2": float,
         "corridors": str, "plate": str, "subject": str},
        pk=("node", "boot", "sequence", "idx"),
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.curve_server, router.curve_secretkey = True, secret.encode()
    router.bind(endpoint)
    loaded = load_sector(sector)
    ready.send(True)
    program(router, db, loaded, plates)


def one_by_one(router: zmq.Socket[bytes], db: Database, sector: Sector, plates: dict[str, str]) -> None:
    """One message, one upsert (of its detections, in one commit), one acknowledgement."""
    while True:
        peer, _, data = router.recv_multipart()
        rows = _rows(decode_envelope(data), sector, plates)
        db["detections"].upsert_all(rows, pk=("node", "boot", "sequence", "idx"))
        router.send_multipart([peer, b"1"])


def in_chunks(router: zmq.Socket[bytes], db: Database, sector: Sector, plates: dict[str, str]) -> None:
    """As many messages as come within 50 ms, 1,000 at most; one insert_all; then their acknowledgements."""
    while True:
        rows: list[dict[str, object]] = []
        owed: dict[bytes, int] = {}
        envelopes: list[Envelope] = []
        until_ns = 0
        while len(envelopes) < CHUNK:
            left_ms = max(0, (until_ns - clock.monotonic_ns()) // 1_000_000) if envelopes else None
            if not router.poll(left_ms):
                break
            peer, _, *frames = router.recv_multipart()
            envelopes += [decode_envelope(data) for data in frames]
            owed[peer] = owed.get(peer, 0) + len(frames)
            until_ns = until_ns if len(envelopes) > len(frames) else clock.monotonic_ns() + CHUNK_WAIT_NS
        rows = _rows_of_many(envelopes, sector, plates)
        db["detections"].insert_all(rows, pk=("node", "boot", "sequence", "idx"), batch_size=CHUNK, ignore=True)
        for peer, count in owed.items():
            router.send_multipart([peer, b"%d" % count])


def _rows(envelope: Envelope, sector: Sector, plates: dict[str, str]) -> list[dict[str, object]]:
    """One message's; its points are looked for in the tree one by one, as they come."""
    batch = envelope.body
    assert isinstance(batch, DetectionBatch)
    rows = []
    for idx, d in enumerate(batch.detections):
        assert isinstance(d.placement, PlacementPoint)
        inside = sector.corridors.containing(sector.frame.point(d.placement.position))
        rows.append(_row(envelope, batch, idx, inside, plates))
    return rows


def _rows_of_many(envelopes: list[Envelope], sector: Sector, plates: dict[str, str]) -> list[dict[str, object]]:
    """Many messages': their points go to the tree together."""
    named: list[tuple[Envelope, DetectionBatch, int]] = []
    lats: list[float] = []
    lons: list[float] = []
    for envelope in envelopes:
        batch = envelope.body
        assert isinstance(batch, DetectionBatch)
        for idx, d in enumerate(batch.detections):
            assert isinstance(d.placement, PlacementPoint)
            named.append((envelope, batch, idx))
            lats.append(d.placement.position.lat_deg)
            lons.append(d.placement.position.lon_deg)
    inside = corridors_of(sector, lats, lons)
    return [_row(e, b, i, inside.get(k, ()), plates) for k, (e, b, i) in enumerate(named)]


def corridors_of(sector: Sector, lats: list[float], lons: list[float]) -> dict[int, tuple[str, ...]]:
    """The corridors that each of many points lies in, by its number; the fastest way that shapely has."""
    grounds = sector.corridors.grounds
    points = shapely.points(sector.frame.to_enu(lats, lons))
    found: dict[int, tuple[str, ...]] = {}
    for point, ground in zip(*_tree(sector).query(points, predicate="within"), strict=True):
        found[int(point)] = (*found.get(int(point), ()), grounds[ground].corridor.id)
    return found


_trees: dict[int, shapely.STRtree] = {}


def _tree(sector: Sector) -> shapely.STRtree:
    if id(sector) not in _trees:
        strips = [g.strip for g in sector.corridors.grounds]
        shapely.prepare(strips)
        _trees[id(sector)] = shapely.STRtree(strips)
    return _trees[id(sector)]


def _row(
    envelope: Envelope, batch: DetectionBatch, idx: int, inside: tuple[str, ...], plates: dict[str, str]
) -> dict[str, object]:
    d = batch.detections[idx]
    assert isinstance(d.placement, PlacementPoint)
    position, c = d.placement.position, d.placement.covariance
    return {
        "node": envelope.node, "boot": envelope.boot, "sequence": envelope.sequence, "idx": idx, "sensor": batch.sensor,
        "captured_ns": batch.captured_ns, "object_class": d.object_class.value, "score": d.score,
        "lat_deg": position.lat_deg, "lon_deg": position.lon_deg, "ee_m2": c.ee_m2, "en_m2": c.en_m2, "nn_m2": c.nn_m2,
        "corridors": ",".join(inside), "plate": d.plate, "subject": plates.get(d.plate) if d.plate else None,
    }


__all__ = ["PeerRun", "corridors_of", "in_chunks", "one_by_one", "run_peer"]
