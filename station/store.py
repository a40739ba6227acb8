"""The station's SQLite files: opened, checked, and brought to the newest schema.

One file for each process that writes. Every file has a table `meta` with its realm, its schema version and its birth; a
file of the other realm, of another purpose or of a newer schema is refused in words. Journals are write-ahead, so that
readers never block the writer. Connections are in autocommit mode: a transaction begins where the code says BEGIN.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlite_utils import Database

from wire.clock import Clock
from wire.settings import SettingsError
from wire.units import Realm

BUSY_TIMEOUT_S = 2.0
JOURNAL_TRIES = 50


class StoreError(SettingsError):
    """A database file that cannot be used; the text says which, why, and what to do."""


class Synchronous(StrEnum):
    """What a commit promises. FULL: survives a power cut. NORMAL: survives a crash of the process."""

    FULL = "FULL"
    NORMAL = "NORMAL"


Migration = Callable[[Database], None]


@dataclass(frozen=True, slots=True)
class Schema:
    """purpose: what the file holds, one word. migrations: in order; the n-th brings schema version n-1 to n. Append only."""

    purpose: str
    migrations: tuple[Migration, ...]


def open_store(
    path: Path,
    schema: Schema,
    realm: Realm,
    clock: Clock,
    synchronous: Synchronous = Synchronous.FULL,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> sqlite3.Connection:
    """Open a file for writing, making or migrating it first. Raises StoreError.

    Several processes may open the same new file at once: the migrations run in one exclusive transaction.
    """
    conn = _connect(path, busy_timeout_s)
    try:
        _keep_a_write_ahead_journal(conn)
        conn.execute(f"PRAGMA synchronous = {synchronous.value}")
        conn.execute("PRAGMA foreign_keys = ON")
        with transaction(conn):
            _check_or_begin(path, conn, schema, realm, clock)
        _for_owner_only(path)
    except sqlite3.Error as error:
        conn.close()
        raise StoreError(
            f"{path}: {error}. Check the disk and the file's owner; a damaged file must be restored."
        ) from None
    except BaseException:
        conn.close()
        raise
    return conn


def _keep_a_write_ahead_journal(conn: sqlite3.Connection) -> None:
    """Where several turn a new file to its journal at once, SQLite refuses some of them at once instead of waiting."""
    for _ in range(JOURNAL_TRIES):
        try:
            conn.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        # For the write lock it does wait, and whoever holds that is about to be done.
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("ROLLBACK")
    conn.execute("PRAGMA journal_mode = WAL")


def open_reader(path: Path, schema: Schema, realm: Realm) -> sqlite3.Connection:
    """Open a file of another process for reading alone. Raises StoreError; FileNotFoundError while it is not there yet."""
    if not path.exists():
        raise FileNotFoundError(path)
    # Not mode=ro: when its owner is not running, a write-ahead journal may have to be set up just to read.
    conn = _connect(path, BUSY_TIMEOUT_S)
    conn.execute("PRAGMA query_only = ON")
    try:
        found = dict(conn.execute("SELECT key, value FROM meta")) if _has_meta(conn) else {}
        if not found:
            raise FileNotFoundError(path)       # its owner is about to write the schema
        _check_meta(path, found, schema, realm)
        if int(found["schema"]) < len(schema.migrations):
            raise StoreError(
                f"{path}: schema {found['schema']}, this program reads {len(schema.migrations)}: start the process that "
                "owns the file first, it brings the file up to date"
            )
    except sqlite3.Error as error:
        conn.close()
        raise StoreError(f"{path}: {error}") from None
    except BaseException:
        conn.close()
        raise
    return conn


@contextlib.contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE to COMMIT; rolled back when anything raises."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield conn
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise
    try:
        conn.execute("COMMIT")
    except sqlite3.Error:
        # A full disk shows at COMMIT, and leaves the transaction open.
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def set_synchronous(conn: sqlite3.Connection, synchronous: Synchronous) -> None:
    """What the next commits promise; to be called outside a transaction."""
    conn.execute(f"PRAGMA synchronous = {synchronous.value}")


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, timeout=busy_timeout_s, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened: {error}. Is its folder there, and ours to write?") from None


def _check_or_begin(path: Path, conn: sqlite3.Connection, schema: Schema, realm: Realm, clock: Clock) -> None:
    db = Database(conn)
    if not _has_meta(conn):
        if conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"{path}: a database that is not a Trailwatch station's. Move it away.")
        db["meta"].create({"key": str, "value": str}, pk="key")
        rows = {"purpose": schema.purpose, "realm": realm.value, "schema": "0", "born_ns": str(clock.utc_ns())}
        conn.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", list(rows.items()))
    found = dict(conn.execute("SELECT key, value FROM meta"))
    _check_meta(path, found, schema, realm)
    for version in range(int(found["schema"]), len(schema.migrations)):
        schema.migrations[version](db)
        conn.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(version + 1),))


def _check_meta(path: Path, found: dict[str, str], schema: Schema, realm: Realm) -> None:
    if found.get("purpose") != schema.purpose:
        raise StoreError(f"{path}: holds {found.get('purpose', 'something else')}, not {schema.purpose}. Move it away.")
    if found.get("realm") != realm.value:
        raise StoreError(
            f"{path}: was born in the {found.get('realm')} realm, and these settings say {realm.value}. A store never "
            "changes its realm: give this station a data_dir of its own."
        )
    if int(found.get("schema", "0")) > len(schema.migrations):
        raise StoreError(
            f"{path}: schema {found['schema']} is newer than this program, which knows {len(schema.migrations)}. "
            "Start the newer Trailwatch that wrote it."
        )


def _has_meta(conn: sqlite3.Connection) -> bool:
    return conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").fetchone() is not None


def _for_owner_only(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        # Another process may have checkpointed the journal away between two looks.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            name.chmod(0o600)


# ---------------------------------------------------------------------------------------------------------- inbox.db


def _inbox_1(db: Database) -> None:
    # AUTOINCREMENT, which sqlite-utils does not spell: an id must never come back after retention has deleted the newest
    # rows, or the mind would take new arrivals for old ones.
    db.execute(
        """CREATE TABLE arrivals (
            id INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL, boot INTEGER NOT NULL, sequence INTEGER NOT NULL,
            kind TEXT NOT NULL, received_ns INTEGER NOT NULL, suspect TEXT, payload BLOB NOT NULL,
            UNIQUE (node, boot, sequence))"""
    )
    db["detections"].create(
        {
            "arrival": int, "idx": int, "sensor": str, "captured_ns": int, "track": int, "object_class": str, "score": float,
            "confirmed": int, "lat_deg": float, "lon_deg": float, "ee_m2": float, "en_m2": float, "nn_m2": float,
            "bearing_deg": float, "sigma_deg": float, "corridors": str, "plate": str,
        },
        pk=("arrival", "idx"),
        foreign_keys=[("arrival", "arrivals", "id")],
    )
    db["snapshots"].create(
        {"id": int, "node": str, "sensor": str, "track": int, "captured_ns": int, "box": str, "jpeg": bytes},
        pk="id",
        foreign_keys=[("id", "arrivals", "id")],
    )
    db["refusals"].create(
        {"reason": str, "node": str, "count": int, "last_ns": int, "last_detail": str}, pk=("reason", "node")
    )
    db["nodes"].create({"node": str, "kind": str, "public": str, "first_ns": int, "last_ns": int}, pk="node")
    db["totals"].create({"name": str, "value": int}, pk="name")
    db["totals"].insert_all([{"name": "messages", "value": 0}, {"name": "detections", "value": 0}])


def _inbox_2(db: Database) -> None:
    # Of each node the first answer to an order stands; by node too, so that none can answer for another.
    db["order_results"].create(
        {"order_id": str, "node": str, "done": int, "detail": str, "received_ns": int}, pk=("order_id", "node")
    )
    # What stands in an arrival's payload; the pictures stay there. times: capture times, JSON.
    db["footage"].create(
        {"id": int, "order_id": str, "node": str, "sensor": str, "part": int, "parts": int, "times": str},
        pk="id",
        foreign_keys=[("id", "arrivals", "id")],
    )
    db["footage"].create_index(["order_id", "node", "part"], unique=True)


INBOX = Schema("inbox", (_inbox_1, _inbox_2))


def read_snapshot(conn: sqlite3.Connection, snapshot_id: str) -> bytes | None:
    """The JPEG of a snapshot by the id that stands in a ContactView or AlarmView; None when there is none."""
    if not (snapshot_id.isascii() and snapshot_id.isdigit() and len(snapshot_id) < 19):
        return None
    row = conn.execute("SELECT jpeg FROM snapshots WHERE id = ?", (int(snapshot_id),)).fetchone()
    return bytes(row[0]) if row else None


# ----------------------------------------------------------------------------------------------------------- mind.db


def _mind_1(db: Database) -> None:
    db["place"].create({"id": int, "arrival": int}, pk="id")
    db["place"].insert({"id": 1, "arrival": 0})
    db["memory"].create({"name": str, "state": bytes}, pk="name")
    db["contacts"].create(
        {
            "id": str, "state": bytes, "ended": int, "object_class": str, "first_seen_ns": int, "last_seen_ns": int,
            "lat_deg": float, "lon_deg": float, "detections": int, "merged_into": str,
        },
        pk="id",
    )
    db["contacts"].create_index(["ended"])
    db["trail"].create({"contact": str, "at_ns": int, "lat_deg": float, "lon_deg": float}, pk=("contact", "at_ns"))
    db["alarms"].create(
        {
            "id": str, "state": bytes, "rule": str, "priority": int, "raised_ns": int, "contact": str, "corridor": str,
            "sensor": str, "node": str, "match": str, "open": int,
        },
        pk="id",
    )
    db["alarms"].create_index(["open"])
    db["alarm_events"].create(
        {"alarm": str, "number": int, "state": str, "at_ns": int, "person": str, "reason": str}, pk=("alarm", "number")
    )
    db["matches"].create(
        {"id": str, "state": bytes, "contact": str, "subject": str, "answer": str, "asked_ns": int}, pk="id"
    )
    db["matches"].create_index(["subject", "contact"], unique=True)
    db["match_decisions"].create(
        {"match": str, "number": int, "answer": str, "at_ns": int, "person": str, "reason": str}, pk=("match", "number")
    )
    db["latest"].create({"kind": str, "id": str, "state": bytes}, pk=("kind", "id"))
    for table in ("alarm_events", "match_decisions"):
        for verb in ("UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


MIND = Schema("mind", (_mind_1,))
