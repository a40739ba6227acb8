"""Store and forward: what a node has to say is on its disk before it is sent, and leaves it when the station has it.

One SQLite file a node, written by one process. A message gets its identity (node, boot, sequence) here, once. The ledger
in the same file moves in the same transaction as the messages, so that after a power cut an independent reader of the
file can still add up: put = acknowledged + refused + dropped + waiting.

Disks at border posts are SD cards, which wear by commits. So an acknowledgement costs none of its own: the deletion goes
with the next put, or after a second; until then it is remembered. And states, of which the next one comes in a second, are
committed without a flush.

A disk that refuses ends nothing: messages are held in memory (bounded) and sent from there, and each put tries again.

Threads: the node's loop puts, the uplink's thread reads and settles; one connection under one lock serves both.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from wire.clock import NS_PER_S, Clock
from wire.codec import RefusedError, encode_envelope
from wire.flying import DroneTelemetry
from wire.messages import (
    DetectionBatch,
    Envelope,
    Footage,
    NodeHealth,
    PlacementBearing,
    Refusal,
    SensorReport,
    Snapshot,
    UpBody,
)
from wire.node_words import NO_TEXT, NodeText, all_of, node_text
from wire.outbox_bounds import OUTSIDE, PICTURE, STATE, URGENT, Bounds, PictureBounds, picture_bytes
from wire.outbox_file import (
    FIRST_BOOT_LIMIT,
    ROW_OVERHEAD_BYTES,
    DiskError,
    claim,
    damage_found,
    is_damage,
    is_whole,
    open_file,
)
from wire.outbox_order import FRESH_S, Freshness, Identity, next_keys, rank
from wire.outbox_space import Space
from wire.settings import SettingsError
from wire.units import Realm

LIMIT_BYTES = 3_000_000_000         # 10 Hz x 3 objects x 400 bytes x 72 h
HELD_LIMIT_BYTES = 32_000_000       # kept in memory while the disk refuses; half an hour of one busy camera
DISK_RETRY_S = 1.0                  # between attempts on a disk that refuses
SETTLE_S, SETTLE_LIMIT = 1.0, 512   # how long, and how many, answered messages may wait for their deletion
SETTLED_LIMIT = 50_000              # of them in memory, while the disk takes no deletion
DAMAGE_SAID_S = 3600.0              # how long a damaged file stays a problem of the node: until somebody has read it
REASONS_LIMIT = 100                 # different reasons of refusal that are counted apart

NO_BOUNDS = PictureBounds()

# One text whatever moves, so that sqlite3 finds it prepared.
_LEDGER_COLUMNS = (
    "messages_put", "detections_put", "messages_acknowledged", "detections_acknowledged", "messages_refused",
    "detections_refused", "messages_dropped", "detections_dropped", "bytes_waiting",
)
_MOVE_LEDGER = "update ledger set " + ", ".join(f"{name} = {name} + ?" for name in _LEDGER_COLUMNS)

_MESSAGE = "select boot, sequence, priority, data from queue where boot = ? and sequence = ?"

_log = logging.getLogger("trailwatch.outbox")


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


class Wear(msgspec.Struct, frozen=True):
    """What the disk had to do since the start. flushes: those of the commits that waited for it."""

    commits: int
    flushes: int


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
    """A message that the disk does not have yet."""

    message: Pending
    detections: int

    @property
    def size(self) -> int:
        return len(self.message.data) + ROW_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class _Settled:
    """A message on the disk that is answered for and not deleted yet."""

    how: str                        # "acknowledged" or "refused"
    detections: int
    size: int
    priority: int


def priority_of(body: UpBody) -> int:
    """What goes ahead of what: sightings and tasks, then states, then what lies outside all corridors, then pictures."""
    match body:
        case Snapshot() | Footage():
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

    limit_bytes bounds what waits: beyond it the oldest messages of the least priority are dropped, and counted; `pictures`
    bounds those in bytes and days besides, and what is left on the disk bounds all (wire.outbox_space). fresh_s: see
    wire.outbox_order.
    Raises wire.settings.SettingsError where the file may not be written, belongs to another node, or to another realm.
    Nothing raises for a disk that refuses: `problem` says so.
    """

    def __init__(
        self, path: Path, node: str, realm: Realm, clock: Clock, limit_bytes: int = LIMIT_BYTES,
        pictures: PictureBounds = NO_BOUNDS, fresh_s: float = FRESH_S,
    ) -> None:
        self._path = path
        self._node = node
        self._realm = realm
        self._clock = clock
        self._bounds = Bounds(limit_bytes, pictures, clock)
        self._space = Space(path, clock)
        self._picture_bytes = 0                         # of those on the disk
        self._lock = threading.Lock()
        self._held: dict[Identity, _Row] = {}
        self._held_bytes = 0
        self._settled: dict[Identity, _Settled] = {}
        self._settle_ns = 0                             # when the oldest of them is due
        self._on_disk: Counter[str] = Counter()         # the ledger as the last commit left it
        self._moved: Counter[str] = Counter()           # what it has to move by with the next one
        self._reasons: Counter[str] = Counter()         # of refusals, the same
        self._sequence = 0
        self._freshness = Freshness(clock, fresh_s)
        self._retry_ns = 0
        self._refusal = self._damage = NO_TEXT
        self._broken = ""
        self._damage_until_ns = 0
        self._commits = self._flushes = 0
        self._claim_file: IO[str] | None = None
        self._db: sqlite3.Connection | None = None
        self.boot = 0
        self.on_put: Callable[[], None] | None = None
        try:
            self._open()
        except DiskError as error:
            # It sees all the same. Its boot is one that nobody had; the file gets to know it when the disk takes it.
            self.boot = 1 + secrets.randbelow(FIRST_BOOT_LIMIT)
            self._note_refusal(error)

    def _open(self) -> sqlite3.Connection:
        if self._claim_file is None:
            self._claim_file = claim(self._path, self._node)
        try:
            file = open_file(self._path, self._node, self._realm, self.boot or None, damage=self._broken)
        except SettingsError:
            if not self.boot:
                self._claim_file.close()
            raise
        self.boot = file.boot
        if file.damage:
            self._damage = file.damage
            self._damage_until_ns = self._clock.monotonic_ns() + round(DAMAGE_SAID_S * NS_PER_S)
        self._broken = ""
        self._on_disk = _read_ledger(file.db)
        self._picture_bytes = picture_bytes(file.db)
        self._db = file.db
        self._space.tend(file.db, self._on_disk["bytes_waiting"])
        return file.db

    # ------------------------------------------------------------------------------------------------ the node's side

    def put(self, *bodies: UpBody) -> tuple[Identity, ...]:
        """Give each body its identity and write them all in one commit, on the disk on return unless `problem` is set.

        Then they survive a power cut; states alone (NodeHealth, SensorReport, DroneTelemetry) only the death of the process.
        A body too large for the wire is not taken: it is logged and has no identity in the result.
        """
        with self._lock:
            self._freshness.note_put((self.boot, self._sequence))
            rows = self._encode(bodies)
            self._hold(rows)
            self._write(flush=any(r.message.priority != STATE for r in rows))
        if self.on_put is not None:
            self.on_put()
        return tuple(r.message.identity for r in rows)

    def _encode(self, bodies: Iterable[UpBody]) -> list[_Row]:
        rows = []
        for body in bodies:
            try:
                data = encode_envelope(Envelope(self._node, self.boot, self._sequence, body))
            except RefusedError as error:
                _log.error("%s of node %s cannot be sent: %s", type(body).__name__, self._node, error)
                continue
            detections = len(body.detections) if isinstance(body, DetectionBatch) else 0
            rows.append(_Row(Pending(self.boot, self._sequence, priority_of(body), data), detections))
            self._sequence += 1
        return rows

    def _hold(self, rows: list[_Row]) -> None:
        """Keep rows until the disk has them; while it refuses, memory is bounded as the disk is."""
        for row in rows:
            self._held[row.message.identity] = row
            self._held_bytes += row.size
            self._move("put", row.detections)
        while self._held_bytes > HELD_LIMIT_BYTES:
            least = max(r.message.priority for r in self._held.values())
            gone = next(i for i, r in self._held.items() if r.message.priority == least)
            self._move("dropped", self._let_go(gone).detections)

    def _let_go(self, identity: Identity) -> _Row:
        row = self._held.pop(identity)
        self._held_bytes -= row.size
        return row

    # ---------------------------------------------------------------------------------------------- the uplink's side

    def pending(self, limit: int, skip: Collection[Identity] = (), least: int = PICTURE) -> list[Pending]:
        """The next messages to send, in the order of wire.outbox_order, down to the priority `least`.

        Without those in `skip`, which are already on their way.
        """
        with self._lock:
            self._write(flush=True)
            fresh = self._freshness.first_fresh((self.boot, self._sequence))
            held = (r.message for r in self._held.values())
            found = [m for m in held if m.priority <= least and m.identity not in skip]
            try:
                found += self._pending_on_disk(limit, skip, least, fresh)
            except sqlite3.Error as error:
                self._note_failure(error)
            if self._held:
                found.sort(key=lambda p: rank(p.priority, p.identity, fresh))
            return found[:limit]

    def _pending_on_disk(
        self, limit: int, skip: Collection[Identity], least: int, fresh: Identity
    ) -> list[Pending]:
        if self._db is None or len(self._settled) >= SETTLED_LIMIT:
            return []
        # Keys first, from the index alone: the data of what is on its way is not read again and again.
        keys = next_keys(self._db, fresh, least, limit + len(skip) + len(self._settled))
        keys = [k for k in keys if k not in skip and k not in self._settled][:limit]
        return [_read_message(self._db, key) for key in keys]

    def acknowledge(self, identities: Iterable[Identity]) -> int:
        """The station has these on its disk: they may go. Returns how many were still waiting here."""
        with self._lock:
            return self._settle(identities, "acknowledged")

    def refuse(self, refusals: Iterable[Refusal]) -> int:
        """The station will never take these: count the reasons; they may go. Returns how many were waiting here."""
        with self._lock:
            refusals = list(refusals)
            for refusal in refusals:
                self._reasons[refusal.reason[:200]] += 1
            return self._settle([(r.boot, r.sequence) for r in refusals], "refused")

    def weed(self, identities: Iterable[Identity]) -> int:
        """Take out those that are no whole messages any more, as refused: a disk can lose bits without a word.

        For when the station refuses something that it cannot name: sent again and again it would stand in front for ever.
        """
        with self._lock:
            broken = [i for i in identities if (p := self._find(i)) is not None and not is_whole(p.data, self._node, i)]
            if broken:
                _log.error("%s: %d messages are damaged on the disk and cannot be sent", self._path, len(broken))
                self._reasons["damaged on the node's disk"] += len(broken)
            return self._settle(broken, "refused")

    def _find(self, identity: Identity) -> Pending | None:
        if identity in self._held:
            return self._held[identity].message
        if self._db is None or identity in self._settled:
            return None
        try:
            row = self._db.execute(_MESSAGE, identity).fetchone()
        except sqlite3.Error as error:
            self._note_failure(error)
            return None
        return Pending(*row) if row else None

    def tend(self) -> None:
        """What is due with time alone: deletions, and another attempt on a disk that refused. Cheap when nothing is."""
        with self._lock:
            self._write(flush=True)

    def _settle(self, identities: Iterable[Identity], how: str) -> int:
        count = 0
        for identity in identities:
            if identity in self._held:
                row = self._let_go(identity)
                self._move(how, row.detections)
                count += 1
                continue
            if self._db is None or identity in self._settled:
                continue
            try:
                found = self._db.execute(
                    "select detections, size, priority from queue where boot = ? and sequence = ?", identity
                ).fetchone()
            except sqlite3.Error as error:
                self._note_failure(error)
                break               # not settled: it is sent again, and answered again
            if found is None:
                continue
            if not self._settled:
                self._settle_ns = self._clock.monotonic_ns() + round(SETTLE_S * NS_PER_S)
            self._settled[identity] = _Settled(how, *found)
            self._move(how, found[0])
            count += 1
        if len(self._settled) >= SETTLE_LIMIT:
            self._write(flush=False)
        return count

    # -------------------------------------------------------------------------------------------------------- reading

    @property
    def problem(self) -> NodeText:
        """What a person should know about the disk, as sentences; empty when all is well."""
        damage = self._damage if self._clock.monotonic_ns() < self._damage_until_ns else NO_TEXT
        return all_of(self._refusal, damage)

    @property
    def depth(self) -> int:
        """Messages that wait here, on disk or in memory."""
        with self._lock:
            at = self._on_disk + self._moved
        return at["messages_put"] - sum(at[f"messages_{k}"] for k in ("acknowledged", "refused", "dropped"))

    @property
    def ledger(self) -> Ledger:
        """As it stands now; the file's own is behind by what the next commit writes."""
        with self._lock:
            at = self._on_disk + self._moved
        return Ledger(*(at[name] for name in Ledger.__struct_fields__))

    @property
    def wear(self) -> Wear:
        return Wear(self._commits, self._flushes)

    def refusals(self) -> dict[str, int]:
        """How often the station refused, by reason."""
        with self._lock:
            known = dict(self._db.execute("select reason, count from refusals").fetchall()) if self._db else {}
            return dict(Counter(known) + self._reasons)

    def close(self) -> None:
        with self._lock:
            self._write(flush=True, force=True)
            if self._db is not None:
                self._db.close()
            if self._claim_file is not None:
                self._claim_file.close()

    # -------------------------------------------------------------------------------------------------- to the disk

    def _move(self, how: str, detections: int) -> None:
        self._moved[f"messages_{how}"] += 1
        self._moved[f"detections_{how}"] += detections

    def _write(self, *, flush: bool, force: bool = False) -> None:
        """Commit what is held, and what is settled if that goes along or is due."""
        now_ns = self._clock.monotonic_ns()
        due = len(self._settled) >= SETTLE_LIMIT or (self._settled and now_ns >= self._settle_ns)
        if not (self._held or due or (force and (self._settled or self._moved)) or self._db is None):
            return
        if self._refusal and not force and now_ns < self._retry_ns:
            return
        try:
            self._commit(self._db or self._open(), flush=flush and bool(self._held))
        except (sqlite3.Error, DiskError, SettingsError) as error:
            self._note_failure(error)
            if self._space.give_up(error):
                self._write(flush=flush, force=True)
            return
        if self._refusal:
            _log.warning("%s: the disk takes messages again", self._path)
            self._refusal = NO_TEXT
        if self._db is not None:
            self._space.tend(self._db, self._on_disk["bytes_waiting"])

    def _commit(self, db: sqlite3.Connection, *, flush: bool) -> None:
        """One transaction: held rows in, settled ones out, the limit kept, the ledger moved."""
        # Without a flush a power cut may undo it: of deletions that costs a second sending, which the station knows.
        db.execute(f"pragma synchronous = {'full' if flush else 'normal'}")
        moved = Counter(self._moved)
        db.execute("begin immediate")
        db.executemany(
            "insert into queue (boot, sequence, priority, detections, size, data) values (?, ?, ?, ?, ?, ?)",
            [(*(m := r.message).identity, m.priority, r.detections, r.size, m.data) for r in self._held.values()],
        )
        moved["bytes_waiting"] += self._held_bytes
        pictures = sum(r.size for r in self._held.values() if r.message.priority == PICTURE)
        for identity, s in self._settled.items():
            if db.execute("delete from queue where boot = ? and sequence = ?", identity).rowcount:
                moved["bytes_waiting"] -= s.size
                pictures -= s.size if s.priority == PICTURE else 0
            else:                   # lost with a damaged file, and counted as dropped there
                moved[f"messages_{s.how}"] -= 1
                moved[f"detections_{s.how}"] -= s.detections
        pictures -= self._trim(db, moved, pictures)
        db.execute(_MOVE_LEDGER, [moved[name] for name in _LEDGER_COLUMNS])
        self._write_reasons(db)
        db.execute("commit")
        self._on_disk.update(moved)
        self._picture_bytes += pictures
        self._held, self._held_bytes = {}, 0
        for kept in (self._settled, self._moved, self._reasons):
            kept.clear()
        self._commits += 1
        self._flushes += flush

    def _trim(self, db: sqlite3.Connection, moved: Counter[str], pictures: int) -> int:
        """Keep the bounds. Returns the bytes of the pictures that went. pictures: that the transaction added, bytes."""
        waiting = self._on_disk["bytes_waiting"] + moved["bytes_waiting"]
        room = self._space.limit_bytes(db, waiting, self._held_bytes)
        gone = self._bounds.trim(db, waiting, self._picture_bytes + pictures, (self.boot, self._sequence - 1), room)
        moved.update(messages_dropped=gone.messages, detections_dropped=gone.detections, bytes_waiting=-gone.size)
        return gone.picture_size

    def _write_reasons(self, db: sqlite3.Connection) -> None:
        for reason, count in self._reasons.items():
            known = db.execute("select count(*) from refusals").fetchone()[0]
            db.execute(
                "insert into refusals values (?, ?) on conflict (reason) do update set count = count + excluded.count",
                (reason if known < REASONS_LIMIT else "other", count),
            )

    # -------------------------------------------------------------------------------------------- a disk that refuses

    def _note_failure(self, error: Exception) -> None:
        """The transaction is undone and all is still held. A broken file is given up; the next attempt replaces it."""
        db = self._db
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("rollback")
            if isinstance(error, sqlite3.Error) and is_damage(error):
                with contextlib.suppress(sqlite3.Error):
                    db.close()
                self._db, self._broken = None, str(error)
        self._note_refusal(error)

    def _note_refusal(self, error: Exception) -> None:
        if not self._refusal:
            _log.error(
                "%s: the disk takes no messages: %s. Free some space or make it writable; the node goes on seeing, sends "
                "from memory, holds up to %d MB there and tries again every second.",
                self._path, error, HELD_LIMIT_BYTES // 1_000_000,
            )
        self._refusal = node_text("outbox_refused", error=str(error))
        self._retry_ns = self._clock.monotonic_ns() + round(DISK_RETRY_S * NS_PER_S)


def _read_message(db: sqlite3.Connection, key: Identity) -> Pending:
    row = db.execute(_MESSAGE, key).fetchone()
    if row is None:
        raise damage_found(f"an index names the message {key}, and there is none")
    return Pending(*row)


def _read_ledger(db: sqlite3.Connection) -> Counter[str]:
    cursor = db.execute("select * from ledger")
    return Counter(dict(zip((c[0] for c in cursor.description), cursor.fetchone(), strict=True)))
