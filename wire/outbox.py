"""Store and forward: what a node has to say is on its disk before it is sent, and leaves it when the station has it.

One SQLite file a node, written by one process. A message gets its identity (node, boot, sequence) here, once. The ledger
in the same file moves in the same transaction as the messages, so that after a power cut an independent reader of the
file can still add up: put = acknowledged + refused + dropped + waiting.

Threads: the node's loop puts, the uplink's thread reads and deletes; one connection under one lock serves both.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from wire.clock import NS_PER_S, Clock
from wire.codec import RefusedError, encode_envelope
from wire.messages import (
    DetectionBatch,
    DroneTelemetry,
    Envelope,
    NodeHealth,
    PlacementBearing,
    Refusal,
    SensorReport,
    Snapshot,
    UpBody,
)
from wire.settings import SettingsError
from wire.units import Realm

SCHEMA_VERSION = 1
LIMIT_BYTES = 3_000_000_000         # 10 Hz x 3 objects x 400 bytes x 72 h
ROW_OVERHEAD_BYTES = 64             # what SQLite adds to a message: row, primary key and queue index
HELD_LIMIT_BYTES = 32_000_000       # kept in memory while the disk refuses; half an hour of one busy camera
DISK_RETRY_S = 1.0                  # between attempts on a disk that refuses
REASONS_LIMIT = 100                 # different reasons of refusal that are counted apart

# Lower goes first. Within one priority: by boot, then sequence.
URGENT, STATE, OUTSIDE, PICTURE = 0, 1, 2, 3

Identity = tuple[int, int]          # boot, sequence; the node is the file's

_log = logging.getLogger("trailwatch.outbox")

_SCHEMA = """
create table if not exists meta (key text primary key, value text not null) without rowid;
create table if not exists queue (
    id integer primary key, boot integer not null, sequence integer not null, priority integer not null,
    detections integer not null, size integer not null, data blob not null
);
create unique index if not exists queue_identity on queue (boot, sequence);
create index if not exists queue_order on queue (priority, boot, sequence);
create table if not exists ledger (
    only_row integer primary key check (only_row = 1),
    messages_put integer not null default 0, detections_put integer not null default 0,
    messages_acknowledged integer not null default 0, detections_acknowledged integer not null default 0,
    messages_refused integer not null default 0, detections_refused integer not null default 0,
    messages_dropped integer not null default 0, detections_dropped integer not null default 0
);
create table if not exists refusals (reason text primary key, count integer not null) without rowid;
insert or ignore into ledger (only_row) values (1);
"""


class Ledger(msgspec.Struct, frozen=True):
    """All that ever went through one outbox, over all boots.

    At any commit: messages_put = acknowledged + refused + dropped + waiting in the queue; the same for detections.
    """

    messages_put: int
    detections_put: int
    messages_acknowledged: int
    detections_acknowledged: int
    messages_refused: int
    detections_refused: int
    messages_dropped: int
    detections_dropped: int


@dataclass(frozen=True, slots=True)
class Pending:
    """One message that waits for its acknowledgement. data: the encoded envelope."""

    boot: int
    sequence: int
    priority: int
    data: bytes

    @property
    def identity(self) -> Identity:
        return self.boot, self.sequence


@dataclass(frozen=True, slots=True)
class _Row:
    boot: int
    sequence: int
    priority: int
    detections: int
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + ROW_OVERHEAD_BYTES


def priority_of(body: UpBody) -> int:
    """What goes ahead of what: sightings and tasks, then states, then what lies outside all corridors, then pictures."""
    match body:
        case Snapshot():
            return PICTURE
        case NodeHealth() | SensorReport() | DroneTelemetry():
            return STATE
        case DetectionBatch(detections=detections) if not any(
            d.corridors or isinstance(d.placement, PlacementBearing) for d in detections
        ):
            return OUTSIDE
        case _:
            return URGENT


class Outbox:
    """The messages of one node on their way to the station.

    limit_bytes bounds what waits: beyond it the oldest messages of the least priority are dropped, and counted.
    Raises wire.settings.SettingsError where the file cannot be opened, belongs to another node, or to another realm.
    Once open nothing raises for a disk that refuses: messages are held in memory (bounded), `problem` says so, and each
    put tries again.
    """

    def __init__(self, path: Path, node: str, realm: Realm, clock: Clock, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._node = node
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._held: list[_Row] = []
        self._held_bytes = 0
        self._lost_messages = self._lost_detections = 0     # of the held ones; into the ledger as soon as the disk takes it
        self._retry_ns = 0
        self._sequence = 0
        self._waiting = self._bytes = 0
        self.problem = ""
        self.on_put: Callable[[], None] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._claim_file = self._claim()
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._prepare(node, realm)
        except (sqlite3.Error, OSError) as error:
            raise SettingsError(
                f"{path}: the outbox cannot be opened: {error}. Give a writable data_dir with free space; if the file is "
                "damaged, move it away and start again."
            ) from None

    def _claim(self) -> IO[str]:
        """One process an outbox; the claim goes with the process, however it ends."""
        file = self._path.with_name(self._path.name + ".lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise SettingsError(
                f"{self._path}: another process has this outbox open. Is node \"{self._node}\" running already?"
            ) from None
        return file

    def _prepare(self, node: str, realm: Realm) -> None:
        db = self._db
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        known = db.execute("select count(*) from sqlite_master where name = 'meta'").fetchone()[0]
        meta = dict(db.execute("select key, value from meta").fetchall()) if known else {}
        found: dict[str, str] = {"schema": str(SCHEMA_VERSION), "realm": realm.value, "node": node} | meta
        if found["realm"] != realm.value:
            raise SettingsError(
                f"{self._path}: this outbox belongs to the {found['realm']} realm and the node's key to {realm.value}. "
                "A store never changes its realm: give this node a data_dir of its own."
            )
        if found["node"] != node:
            raise SettingsError(
                f'{self._path}: this outbox belongs to node "{found["node"]}", and the key to "{node}". '
                "Give each node a data_dir of its own."
            )
        if found["schema"] != str(SCHEMA_VERSION):
            raise SettingsError(
                f"{self._path}: schema version {found['schema']}, this program knows {SCHEMA_VERSION}: update Trailwatch"
            )
        db.executescript("begin immediate;" + _SCHEMA)      # one commit with the boot: no reader sees half a schema
        self.boot = int(meta.get("boot", "0")) + 1
        found["boot"] = str(self.boot)
        db.executemany("insert or replace into meta values (?, ?)", list(found.items()))
        db.execute("commit")
        self._waiting, self._bytes = db.execute(
            "select count(*), coalesce(sum(size), 0) from queue"
        ).fetchone()
        self._ledger = self._read_ledger()

    # ------------------------------------------------------------------------------------------------ the node's side

    def put(self, *bodies: UpBody) -> tuple[Identity, ...]:
        """Give each body its identity and write them all in one commit, durable on return unless `problem` is set.

        A body too large for the wire is not taken: it is logged, counted as refused, and has no identity in the result.
        """
        with self._lock:
            rows = self._encode(bodies)
            self._hold(rows)
            self._write_held(force=False)
        if self.on_put is not None:
            self.on_put()
        return tuple((r.boot, r.sequence) for r in rows)

    def _encode(self, bodies: Iterable[UpBody]) -> list[_Row]:
        rows = []
        for body in bodies:
            try:
                data = encode_envelope(Envelope(self._node, self.boot, self._sequence, body))
            except RefusedError as error:
                _log.error("%s of node %s cannot be sent: %s", type(body).__name__, self._node, error)
                continue
            detections = len(body.detections) if isinstance(body, DetectionBatch) else 0
            rows.append(_Row(self.boot, self._sequence, priority_of(body), detections, data))
            self._sequence += 1
        return rows

    def _hold(self, rows: list[_Row]) -> None:
        """Keep rows until the disk has them; while it refuses, memory is bounded as the disk is."""
        self._held.extend(rows)
        self._held_bytes += sum(r.size for r in rows)
        while self._held_bytes > HELD_LIMIT_BYTES:
            least = max(r.priority for r in self._held)
            gone = self._held.pop(next(i for i, r in enumerate(self._held) if r.priority == least))
            self._held_bytes -= gone.size
            self._lost_messages += 1
            self._lost_detections += gone.detections

    def _write_held(self, *, force: bool) -> None:
        if not self._held:
            return
        now_ns = self._clock.monotonic_ns()
        if self.problem and not force and now_ns < self._retry_ns:
            return
        try:
            waiting, size = self._commit_held()
        except sqlite3.Error as error:
            self._roll_back()
            if not self.problem:
                _log.error(
                    "%s: the disk takes no messages: %s. Free some space or make it writable; the node goes on seeing, "
                    "holds up to %d MB in memory and tries again every second.",
                    self._path, error, HELD_LIMIT_BYTES // 1_000_000,
                )
            self.problem = f"outbox: the disk takes no messages ({error})"
            self._retry_ns = now_ns + round(DISK_RETRY_S * NS_PER_S)
            return
        if self.problem:
            _log.warning("%s: the disk takes messages again, %d held ones are written", self._path, len(self._held))
        self.problem = ""
        self._held, self._held_bytes, self._lost_messages, self._lost_detections = [], 0, 0, 0
        self._waiting, self._bytes = waiting, size
        self._ledger = self._read_ledger()

    def _commit_held(self) -> tuple[int, int]:
        """One transaction: held rows in, ledger moved, the limit kept. Returns messages and bytes that wait afterwards."""
        db, rows = self._db, self._held
        db.execute("begin immediate")
        db.executemany(
            "insert into queue (boot, sequence, priority, detections, size, data) values (?, ?, ?, ?, ?, ?)",
            [(r.boot, r.sequence, r.priority, r.detections, r.size, r.data) for r in rows],
        )
        self._move(
            messages_put=len(rows) + self._lost_messages,
            detections_put=sum(r.detections for r in rows) + self._lost_detections,
            messages_dropped=self._lost_messages,
            detections_dropped=self._lost_detections,
        )
        waiting, size = self._waiting + len(rows), self._bytes + sum(r.size for r in rows)
        if size > self._limit_bytes:
            gone = []
            for key, row_size, detections in db.execute(
                "select id, size, detections from queue order by priority desc, boot, sequence"
            ):
                if size <= self._limit_bytes:
                    break
                gone.append((key, detections))
                size -= row_size
            db.executemany("delete from queue where id = ?", [(key,) for key, _ in gone])
            self._move(messages_dropped=len(gone), detections_dropped=sum(d for _, d in gone))
            waiting -= len(gone)
        db.execute("commit")
        return waiting, size

    # ---------------------------------------------------------------------------------------------- the uplink's side

    def pending(self, limit: int, skip: Collection[Identity] = ()) -> list[Pending]:
        """The next messages to send, most urgent and oldest first, without those in `skip` (already on their way)."""
        with self._lock:
            try:
                self._write_held(force=False)
                # Keys first, from the index alone: the data of what is on its way is not read again and again.
                keys = [
                    (boot, sequence)
                    for boot, sequence in self._db.execute(
                        "select boot, sequence from queue order by priority, boot, sequence limit ?", (limit + len(skip),)
                    )
                    if (boot, sequence) not in skip
                ][:limit]
                found = []
                for key in keys:
                    row = self._db.execute(
                        "select boot, sequence, priority, data from queue where boot = ? and sequence = ?", key
                    ).fetchone()
                    found.append(Pending(*row))
                return found
            except sqlite3.Error as error:
                self._note_failure("cannot be read", error)
                return []

    def acknowledge(self, identities: Iterable[Identity]) -> int:
        """The station has these on its disk: delete them. Returns how many were still waiting here."""
        return self._remove([(identity, None) for identity in identities])

    def refuse(self, refusals: Iterable[Refusal]) -> int:
        """The station will never take these: count the reasons and delete them. Returns how many were waiting here."""
        return self._remove([((r.boot, r.sequence), r.reason) for r in refusals])

    def _remove(self, what: list[tuple[Identity, str | None]]) -> int:
        if not what:
            return 0
        with self._lock:
            db = self._db
            try:
                # Not worth a flush of the disk: a power cut that undoes it causes a resend, which the station knows.
                db.execute("pragma synchronous = normal")
                db.execute("begin immediate")
                removed, size, detections, refused, refused_detections = 0, 0, 0, 0, 0
                for identity, reason in what:
                    row = db.execute(
                        "delete from queue where boot = ? and sequence = ? returning size, detections", identity
                    ).fetchone()
                    if reason is not None:
                        self._count_reason(reason)
                    if row is None:
                        continue
                    removed += 1
                    size += row[0]
                    if reason is None:
                        detections += row[1]
                    else:
                        refused += 1
                        refused_detections += row[1]
                self._move(
                    messages_acknowledged=removed - refused, detections_acknowledged=detections,
                    messages_refused=refused, detections_refused=refused_detections,
                )
                db.execute("commit")
            except sqlite3.Error as error:
                self._roll_back()
                self._note_failure("takes no deletion", error)
                return 0
            finally:
                self._flush_every_commit()
            self._waiting -= removed
            self._bytes -= size
            self._ledger = self._read_ledger()
        return int(removed)

    def _count_reason(self, reason: str) -> None:
        known = self._db.execute("select count(*) from refusals").fetchone()[0]
        key = reason[:200] if known < REASONS_LIMIT else "other"
        self._db.execute(
            "insert into refusals values (?, 1) on conflict (reason) do update set count = count + 1", (key,)
        )

    # -------------------------------------------------------------------------------------------------------- reading

    @property
    def depth(self) -> int:
        """Messages that wait here, on disk or in memory."""
        return self._waiting + len(self._held)

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def refusals(self) -> dict[str, int]:
        """How often the station refused, by reason."""
        with self._lock:
            return dict(self._db.execute("select reason, count from refusals").fetchall())

    def close(self) -> None:
        with self._lock:
            self._write_held(force=True)
            self._db.close()
            self._claim_file.close()

    # ----------------------------------------------------------------------------------------------------------- parts

    def _move(self, **by: int) -> None:
        terms = ", ".join(f"{name} = {name} + {count:d}" for name, count in by.items() if count)
        if terms:
            self._db.execute(f"update ledger set {terms}")

    def _read_ledger(self) -> Ledger:
        return Ledger(*self._db.execute(f"select {', '.join(Ledger.__struct_fields__)} from ledger").fetchone())

    def _note_failure(self, what: str, error: sqlite3.Error) -> None:
        if not self.problem:
            _log.error("%s: the disk %s: %s", self._path, what, error)
        self.problem = f"outbox: the disk {what} ({error})"

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("rollback")
            except sqlite3.Error as error:
                _log.error("%s: cannot roll back: %s", self._path, error)

    def _flush_every_commit(self) -> None:
        try:
            self._db.execute("pragma synchronous = full")
        except sqlite3.Error as error:
            _log.error("%s: cannot return to flushed commits: %s", self._path, error)
