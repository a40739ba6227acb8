"""Adding up a demo from the databases at both ends, each read for itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from sim.demo_feed import Heard
from sim.demo_stage import Stage
from sim.truth import TruthScore, score
from wire.codec import decode_envelope
from wire.flying import TaskPhase, TaskState
from wire.messages import NodeHealth


class DemoReport(msgspec.Struct, frozen=True):
    """The one object that `demo --json` prints last.

    detections_sent: what the nodes' outboxes were ever given. detections_stored: rows at the station.
    detections_duplicated: rows beyond the first of one (node, boot, sequence, index).
    latency: capture to feed, milliseconds; None when nothing came over the feed. frames_per_s: of each sensor's node, mean.
    truth: the score against the simulated world; None for a recording, of which nobody knows the truth.
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
    frames_per_s: dict[str, float]
    truth: TruthScore | None


def add_up(stage: Stage, heard: Heard, restarts: int, seconds: float) -> DemoReport:
    """Count both ends. Call it when all processes have left."""
    inbox_db, mind_db = stage.settings.inbox_db, stage.settings.mind_db
    sent = waiting = 0
    for node in stage.nodes:
        with _reading(stage.outbox(node)) as db:
            sent += _number(db, "select detections_put from ledger")
            waiting += _number(db, "select coalesce(sum(detections), 0) from queue")
    health = _last_health(inbox_db)
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
        frames=sum(h.frames_in for _, h in health),
        frames_dropped=sum(h.frames_dropped for _, h in health),
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
        frames_per_s=_rates(health),
        truth=_truth(stage),
    )


def _truth(stage: Stage) -> TruthScore | None:
    world = stage.world
    if world is None:
        return None
    return score(world.truth, stage.settings.inbox_db, stage.settings.mind_db, world.sector, world.landscape)


def _last_health(inbox_db: Path) -> list[tuple[str, NodeHealth]]:
    """Each node's last word on its health in each of its boots."""
    with _reading(inbox_db) as db:
        last = db.execute(
            "select node, payload from arrivals where id in "
            "(select max(id) from arrivals where kind = 'health' group by node, boot)"
        ).fetchall()
    return [(node, body) for node, payload in last if isinstance(body := decode_envelope(payload).body, NodeHealth)]


def _rates(health: list[tuple[str, NodeHealth]]) -> dict[str, float]:
    """Frames a second of each node, over all its boots together."""
    rates = {}
    for node in sorted({name for name, _ in health}):
        boots = [h for name, h in health if name == node]
        lived_s = sum(h.uptime_s for h in boots)
        rates[node] = round(sum(h.frames_in for h in boots) / lived_s, 2) if lived_s else 0.0
    return rates


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)


def _number(db: sqlite3.Connection, query: str) -> int:
    row = db.execute(query).fetchone()
    return int(row[0])
