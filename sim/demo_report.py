"""Adding up a demo from the databases at both ends, each read for itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from sim.demo_feed import Heard
from wire.codec import decode_envelope
from wire.messages import NodeHealth, TaskPhase, TaskState


class DemoReport(msgspec.Struct, frozen=True):
    """The one object that `demo --json` prints last.

    detections_sent: what the nodes' outboxes were ever given. detections_stored: rows at the station.
    detections_duplicated: rows beyond the first of one (node, boot, sequence, index).
    latency: capture to feed, milliseconds; None when nothing came over the feed.
    """

    frames: int
    frames_dropped: int
    detections_sent: int
    detections_stored: int
    detections_duplicated: int
    detections_waiting: int
    messages_refused: int
    contacts: int
    alarms: int
    matches: int
    sorties: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    feed_deltas: int
    restarts: int
    seconds: float


def add_up(
    outboxes: list[Path], inbox_db: Path, mind_db: Path, heard: Heard, restarts: int, seconds: float
) -> DemoReport:
    """Count both ends. Call it when the nodes have left; the station may still run."""
    sent = waiting = 0
    for outbox in outboxes:
        with _reading(outbox) as db:
            sent += _number(db, "select detections_put from ledger")
            waiting += _number(db, "select coalesce(sum(detections), 0) from queue")
    frames, dropped = _frames(inbox_db)
    with _reading(inbox_db) as db:
        stored = _number(db, "select count(*) from detections")
        distinct = _number(
            db,
            "select count(*) from (select distinct a.node, a.boot, a.sequence, d.idx from detections d "
            "join arrivals a on a.id = d.arrival)",
        )
        refused = _number(db, "select coalesce(sum(count), 0) from refusals")
        sorties = len(
            {
                task.task_id
                for (payload,) in db.execute("select payload from arrivals where kind = 'task'")
                if isinstance(task := decode_envelope(payload).body, TaskState) and task.phase is TaskPhase.EXECUTING
            }
        )
    with _reading(mind_db) as db:
        contacts, alarms, matches = (_number(db, f"select count(*) from {t}") for t in ("contacts", "alarms", "matches"))
    return DemoReport(
        frames=frames,
        frames_dropped=dropped,
        detections_sent=sent,
        detections_stored=stored,
        detections_duplicated=stored - distinct,
        detections_waiting=waiting,
        messages_refused=refused,
        contacts=contacts,
        alarms=alarms,
        matches=matches,
        sorties=sorties,
        latency_p50_ms=heard.percentile_ms(50),
        latency_p99_ms=heard.percentile_ms(99),
        feed_deltas=heard.deltas,
        restarts=restarts,
        seconds=round(seconds, 1),
    )


def _frames(inbox_db: Path) -> tuple[int, int]:
    """Frames taken and frames dropped, by each node's last word in each of its boots."""
    with _reading(inbox_db) as db:
        last = db.execute(
            "select payload from arrivals where id in "
            "(select max(id) from arrivals where kind = 'health' group by node, boot)"
        ).fetchall()
    reports = [body for (payload,) in last if isinstance(body := decode_envelope(payload).body, NodeHealth)]
    return sum(r.frames_in for r in reports), sum(r.frames_dropped for r in reports)


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)


def _number(db: sqlite3.Connection, query: str) -> int:
    row = db.execute(query).fetchone()
    return int(row[0])
