"""The rows of a batch of messages, gathered in Python and written in a few statements; and which messages were here before.

The table `detections` says nothing that is not in the arrivals' payloads: it is there to be searched. So when messages pour
in, they are acknowledged first, and their detections get their rows when there is air again (`Index`).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

import msgspec

from station.admission import Admitted
from wire.codec import decode_envelope
from wire.keys import AllowedNode
from wire.messages import DetectionBatch, Footage, OrderResult, PlacementPoint, Snapshot, UpBody

CORRIDOR_TEXTS_LIMIT = 10_000           # distinct tuples of corridors whose JSON is kept
BOOTS_LIMIT = 10_000                    # starts of nodes of which the newest sequence is kept
AT_ONCE_LIMIT = 400                     # messages of one commit (16,000/s) that get the rows of their detections at once
CATCH_UP_AT_ONCE = 500                  # arrivals; with three detections each that is 8 ms of a transaction

_ARRIVAL = (
    "INSERT INTO arrivals(id, node, boot, sequence, kind, received_ns, suspect, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_DETECTION = f"INSERT INTO detections VALUES ({', '.join('?' * 17)})"
_SNAPSHOT = "INSERT INTO snapshots(id, node, sensor, track, captured_ns, box, jpeg) VALUES (?, ?, ?, ?, ?, ?, ?)"
_RESULT = "INSERT INTO order_results VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_FOOTAGE = "INSERT INTO footage VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

_INDEXED = "detections_until"

_corridor_texts: dict[tuple[str, ...], str] = {}


@dataclass(slots=True)
class Waiting:
    """A message that was admitted and waits for the commit. body: None for detections, of which `seen` is the count.

    Thousands may wait. Decoded detections take four times the room of their bytes, and what that costs in fresh memory is
    more than decoding them once more, so they are let go of.
    """

    peer: bytes
    sender: AllowedNode
    boot: int
    sequence: int
    kind: str
    suspect: str | None
    seen: int
    body: UpBody | None
    data: bytes
    received_ns: int


def waiting(
    peer: bytes, sender: AllowedNode, admitted: Admitted, suspect: str | None, data: bytes, received_ns: int
) -> Waiting:
    envelope = admitted.envelope
    body: UpBody | None = envelope.body
    seen = 0
    if type(body) is DetectionBatch:
        seen, body = len(body.detections), None
    return Waiting(
        peer, sender, envelope.boot, envelope.sequence, admitted.kind, suspect, seen, body, data, received_ns
    )


class Identities:
    """Which messages are new, without asking the disk about each.

    Nodes count upwards, so a sequence above the newest stored of that node's start was never here. Whatever is not above it
    has to be looked up: it was sent again, or overtaken. next: the next arrival's id.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._newest: dict[tuple[str, int], int] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self.next = 1
        self.forget()

    def is_new(self, m: Waiting) -> bool:
        key = (m.sender.node, m.boot)
        newest = self._newest.get(key)
        if newest is None:
            row = self._db.execute(
                "SELECT max(sequence) FROM arrivals WHERE node = ? AND boot = ?", key
            ).fetchone()
            newest = -1 if row[0] is None else int(row[0])
            if len(self._newest) >= BOOTS_LIMIT:
                self._newest.clear()
                self._committed.clear()
            self._committed[key] = newest
        is_new = m.sequence > newest
        self._newest[key] = m.sequence if is_new else newest
        return is_new

    def is_waiting(self, m: Waiting) -> bool:
        """Whether one with this identity may be among what is gathered and not written."""
        return m.sequence > self._committed.get((m.sender.node, m.boot), -1)

    def settle(self) -> None:
        """Everything gathered is in the database."""
        self._committed.update(self._newest)

    def forget(self) -> None:
        """After a failed commit, or at the start: believe nothing but the disk."""
        self._newest.clear()
        self._committed.clear()
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'arrivals'").fetchone()
        self.next = (int(row[0]) if row else 0) + 1


class Index:
    """How far `detections` has got. behind: arrivals above `until` have no rows there yet; it survives a kill."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.recall()

    def recall(self) -> None:
        """Believe the disk: at the start, and after a failed commit."""
        row = self._db.execute("SELECT looked_until FROM retention WHERE kind = ?", (_INDEXED,)).fetchone()
        self.until = int(row[0]) if row else 0
        self.behind = row is not None

    def fall_behind(self, until: int) -> None:
        """The batch that is being written comes without rows, from the arrival after `until` on; in its transaction."""
        if not self.behind:
            self.behind, self.until = True, until
            self._db.execute("INSERT OR REPLACE INTO retention VALUES (?, ?)", (_INDEXED, until))

    def catch_up(self, newest: int) -> int:
        """Write the rows of the next arrivals; the transaction is open. Returns how many arrivals were looked at."""
        found = self._db.execute(
            "SELECT id, kind, payload FROM arrivals WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (self.until, newest, CATCH_UP_AT_ONCE),
        ).fetchall()
        rows: list[tuple[object, ...]] = []
        for arrival, kind, payload in found:
            if kind == "detections":
                body = decode_envelope(payload).body
                assert isinstance(body, DetectionBatch)
                rows += detection_rows(arrival, body)
        self._db.executemany(_DETECTION, rows)
        if len(found) < CATCH_UP_AT_ONCE:
            self.behind = False
            self._db.execute("DELETE FROM retention WHERE kind = ?", (_INDEXED,))
        else:
            self.until = int(found[-1][0])
            self._db.execute("UPDATE retention SET looked_until = ? WHERE kind = ?", (self.until, _INDEXED))
        return len(found)


@dataclass(slots=True)
class Rows:
    """What one transaction inserts. next_id: of the next arrival. with_detections: at once; else `Index` does it later."""

    next_id: int
    arrivals: list[tuple[object, ...]] = field(default_factory=list)
    detections: list[tuple[object, ...]] = field(default_factory=list)
    snapshots: list[tuple[object, ...]] = field(default_factory=list)
    results: list[tuple[object, ...]] = field(default_factory=list)
    footage: list[tuple[object, ...]] = field(default_factory=list)
    stored: int = 0
    seen: int = 0
    duplicates: int = 0
    with_detections: bool = True

    def add(self, m: Waiting) -> None:
        arrival, body, node = self.next_id, m.body, m.sender.node
        self.next_id += 1
        self.stored += 1
        self.seen += m.seen
        self.arrivals.append((
            arrival, node, m.boot, m.sequence, m.kind, m.received_ns, m.suspect,
            b"" if type(body) is Snapshot else m.data,      # its JPEG goes to the table of its own, and once is enough
        ))
        if m.seen and self.with_detections:
            batch = decode_envelope(m.data).body
            assert isinstance(batch, DetectionBatch)
            self.detections += detection_rows(arrival, batch)
        match body:
            case None:
                pass
            case Snapshot():
                self.snapshots.append((arrival, node, body.sensor, body.track, body.captured_ns, _json(body.box), body.jpeg))
            case OrderResult():
                self.results.append(
                    (body.order_id, node, int(body.done), body.detail, m.received_ns, body.key, _json(body.params))
                )
            case Footage():
                self.footage.append(
                    (arrival, body.order_id, node, body.sensor, body.part, body.parts,
                     _json([frame.captured_ns for frame in body.frames]))
                )
            case _:
                pass

    def write(self, db: sqlite3.Connection) -> None:
        """Insert what has gathered; the transaction is open."""
        for sql, rows in (
            (_ARRIVAL, self.arrivals), (_DETECTION, self.detections), (_SNAPSHOT, self.snapshots),
            (_RESULT, self.results), (_FOOTAGE, self.footage),
        ):
            if rows:
                db.executemany(sql, rows)
                rows.clear()

    def totals(self) -> list[tuple[str, int]]:
        return [("messages", self.stored), ("detections", self.seen), ("duplicates", self.duplicates)]


def detection_rows(arrival: int, batch: DetectionBatch) -> list[tuple[object, ...]]:
    """One row a detection, in the order of the table's columns; a place or a bearing, the other empty."""
    rows: list[tuple[object, ...]] = []
    sensor, captured_ns = batch.sensor, batch.captured_ns
    for i, d in enumerate(batch.detections):
        p = d.placement
        text = _corridor_texts.get(d.corridors) or _corridor_text(d.corridors)
        if type(p) is PlacementPoint:
            position, c = p.position, p.covariance
            rows.append((
                arrival, i, sensor, captured_ns, d.track, d.object_class._value_, d.score, int(d.confirmed),
                position.lat_deg, position.lon_deg, c.ee_m2, c.en_m2, c.nn_m2, None, None, text, d.plate,
            ))
        else:
            assert not isinstance(p, PlacementPoint)
            rows.append((
                arrival, i, sensor, captured_ns, d.track, d.object_class._value_, d.score, int(d.confirmed),
                None, None, None, None, None, p.bearing_deg, p.sigma_deg, text, d.plate,
            ))
    return rows


def _corridor_text(corridors: tuple[str, ...]) -> str:
    if len(_corridor_texts) >= CORRIDOR_TEXTS_LIMIT:
        _corridor_texts.clear()
    text = _corridor_texts[corridors] = _json(corridors)
    return text


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode("utf-8")
