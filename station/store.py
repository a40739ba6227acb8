"""The station's SQLite files: opened, checked, and brought to the newest schema.

One file for each process that writes. Every file has a table `meta` with its realm, its schema version and its birth; a
file of the other realm, of another purpose or of a newer schema is refused in words. Journals are write-ahead, so that
readers never block the writer. Connections are in autocommit mode: a transaction begins where the code says BEGIN.

A file that is damaged, locked, full or not ours to write refuses no process: `open_or_read` gives what can be read of it,
with the trouble in words, and every write fails until the trouble is over. Nothing is acknowledged that was not written.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec
from sqlite_utils import Database

from station.retention_schema import index_alarms, make_retention
from station.shift_log import create_shift_log
from wire.clock import Clock
from wire.private_files import keep_private
from wire.settings import SettingsError
from wire.units import Realm

BUSY_TIMEOUT_S = 2.0
JOURNAL_TRIES = 50


CHECK_WITHIN_S = 3.0            # of a start; a file of 1 GB takes about that. What is left over, the backup checks whole.
CHECK_LOOKS_EVERY = 10_000      # SQLite instructions between two looks at the time

NOTICE_TROUBLE = b"!"           # begins a notice of the inbox that says why it can store nothing; others are a number

RESTORE_ADVICE = "put it back from a backup: `./trailwatch restore --config FILE --from BACKUP --aside`"

log = logging.getLogger("trailwatch.store")


class StoreError(SettingsError):
    """A database file that cannot be used; the text says which, why, and what to do."""


class UnusableError(StoreError):
    """SQLite or the disk refuses the file. code: SQLite's primary error code; the other refusals are ours, and final."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class OldSchemaError(StoreError):
    """The process that owns the file has not brought it up to date yet."""


class StoreConnection(sqlite3.Connection):
    """trouble: why nothing can be written here, in words; empty where all is well. stand_in: an empty database in memory
    stands in for a file of which nothing can be read. See `open_or_read`.
    """

    trouble: str = ""
    stand_in: bool = False


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
) -> StoreConnection:
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
        keep_private(path)
    except sqlite3.Error as error:
        conn.close()
        raise UnusableError(
            f"{path}: {error}. Check the disk and the file's owner; a damaged file must be restored: {RESTORE_ADVICE}.",
            code_of(error),
        ) from None
    except BaseException:
        conn.close()
        raise
    return conn


def open_or_read(
    path: Path,
    schema: Schema,
    realm: Realm,
    clock: Clock,
    synchronous: Synchronous = Synchronous.FULL,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    check_within_s: float = CHECK_WITHIN_S,
) -> StoreConnection:
    """Open a file for writing as a process of the station starts; where that cannot be, for reading, with its trouble.

    - damaged (quick_check within check_within_s, none for 0; or SQLite's word): for reading alone; if not even its schema
      can be read, an empty database in memory stands in, so that the process runs, and it takes nothing either;
    - locked by somebody: as usual, and writes fail as long as it is; its schema must be the newest;
    - full, read-only, unreadable: for reading alone.
    Raises StoreError where the file is another realm's, another purpose's, or a newer program's.
    """
    trouble = ""
    try:
        conn = open_store(path, schema, realm, clock, synchronous, busy_timeout_s)
    except UnusableError as error:
        trouble = str(error)
        conn = _open_as_it_is(path, schema, realm, clock)
        if error.code == sqlite3.SQLITE_BUSY and not conn.trouble:
            log.error("%s; going on, and nothing is acknowledged that cannot be written", trouble)
            conn.trouble = trouble
            conn.execute("PRAGMA query_only = OFF")
            return conn
    else:
        found = quick_check(conn, clock, check_within_s) if check_within_s else ""
        if found:
            trouble = f"{path}: damaged: {found}; {RESTORE_ADVICE}."
            conn.execute("PRAGMA query_only = ON")
    if trouble:
        conn.trouble = trouble
        log.error("%s Opened for reading alone; nothing is acknowledged that cannot be written.", trouble)
    return conn


def _open_as_it_is(path: Path, schema: Schema, realm: Realm, clock: Clock) -> StoreConnection:
    """For reading, or an empty database in memory instead. Raises StoreError for a file that is not for us."""
    try:
        return open_reader(path, schema, realm)
    except (UnusableError, FileNotFoundError):
        pass
    except StoreError as error:
        if not isinstance(error, OldSchemaError):
            raise
    return _empty_in_memory(path, schema, realm, clock, f"{path}: cannot be read")


def stand_in(of: StoreConnection, path: Path, schema: Schema, realm: Realm, clock: Clock) -> StoreConnection:
    """An empty database in memory, that takes nothing, for one whose content turned out not to be readable; closes that."""
    of.close()
    log.error("%s: too damaged to be read: going on without what is in it", path)
    return _empty_in_memory(path, schema, realm, clock, of.trouble)


def _empty_in_memory(path: Path, schema: Schema, realm: Realm, clock: Clock, trouble: str) -> StoreConnection:
    conn = _connect(Path(":memory:"), 0.0)
    with transaction(conn):
        _check_or_begin(path, conn, schema, realm, clock)
    conn.execute("PRAGMA query_only = ON")
    conn.trouble, conn.stand_in = trouble, True
    return conn


def quick_check(conn: sqlite3.Connection, clock: Clock, within_s: float = CHECK_WITHIN_S) -> str:
    """What SQLite's quick_check finds first, within a time; empty when it finds nothing, or does not get to the end."""
    until_ns = clock.monotonic_ns() + round(within_s * 1e9)
    conn.set_progress_handler(lambda: clock.monotonic_ns() > until_ns, CHECK_LOOKS_EVERY)
    try:
        row = conn.execute("PRAGMA quick_check(1)").fetchone()
        return "" if row is None or row[0] == "ok" else " ".join(str(row[0]).split())
    except sqlite3.OperationalError as error:
        if code_of(error) == sqlite3.SQLITE_INTERRUPT:
            return ""
        return str(error)
    except sqlite3.Error as error:
        return str(error)
    finally:
        conn.set_progress_handler(None, 0)


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary error code; 0 where the module raised by itself."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


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


def open_reader(path: Path, schema: Schema, realm: Realm) -> StoreConnection:
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
            raise OldSchemaError(
                f"{path}: schema {found['schema']}, this program reads {len(schema.migrations)}: start the process that "
                "owns the file first, it brings the file up to date"
            )
    except sqlite3.Error as error:
        conn.close()
        back = f"; {RESTORE_ADVICE}" if code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else ""
        raise UnusableError(f"{path}: {error}{back}", code_of(error)) from None
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


def _connect(path: Path, busy_timeout_s: float) -> StoreConnection:
    try:
        return sqlite3.connect(
            path, isolation_level=None, timeout=busy_timeout_s, check_same_thread=False, factory=StoreConnection
        )
    except sqlite3.Error as error:
        raise UnusableError(
            f"{path}: cannot be opened: {error}. Is its folder there, and ours to write?", code_of(error)
        ) from None


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


def _inbox_3(db: Database) -> None:
    # By time of capture, and by plate: few detections have one.
    db["detections"].create_index(["captured_ns"])
    db.execute("CREATE INDEX detections_plate ON detections(plate) WHERE plate IS NOT NULL")
    make_retention(db)
    # Arrivals that were looked at and stay, because an alarm or a question needs them: looked at again, but not each time.
    db["kept"].create({"arrival": int}, pk="arrival")


def _inbox_4(db: Database) -> None:
    # Where each fixed sensor first said that it stands (station.doubts).
    db["places"].create(
        {"node": str, "sensor": str, "lat_deg": float, "lon_deg": float, "first_ns": int}, pk=("node", "sensor")
    )


def _inbox_5(db: Database) -> None:
    # An answer's words as a sentence of the language files, where the node has one. params: JSON.
    db["order_results"].add_column("key", str, not_null_default="")
    db["order_results"].add_column("params", str, not_null_default="{}")


INBOX = Schema("inbox", (_inbox_1, _inbox_2, _inbox_3, _inbox_4, _inbox_5))


def read_snapshot(conn: sqlite3.Connection, snapshot_id: str) -> bytes | None:
    """The JPEG of a snapshot by the id that stands in a ContactView or AlarmView; None when there is none."""
    if not (snapshot_id.isascii() and snapshot_id.isdigit() and len(snapshot_id) < 19):
        return None
    row = conn.execute("SELECT jpeg FROM snapshots WHERE id = ?", (int(snapshot_id),)).fetchone()
    return bytes(row[0]) if row else None


def read_about_snapshot(conn: sqlite3.Connection, snapshot_id: str) -> tuple[str, str, int] | None:
    """Node, sensor and time of capture of a snapshot; None when there is none."""
    if not (snapshot_id.isascii() and snapshot_id.isdigit() and len(snapshot_id) < 19):
        return None
    row = conn.execute("SELECT node, sensor, captured_ns FROM snapshots WHERE id = ?", (int(snapshot_id),)).fetchone()
    return (str(row[0]), str(row[1]), int(row[2])) if row else None


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


def _mind_2(db: Database) -> None:
    """Contacts by plate, corridor and place; the detections that made them; what may be erased, and what was."""
    db["contacts"].add_column("plate", str)
    db["contacts"].add_column("simulated", int, not_null_default=0)
    db["contact_corridors"].create({"contact": str, "corridor": str}, pk=("corridor", "contact"))
    db["contact_corridors"].create_index(["contact"])
    # track: "node/boot/sensor/track", as fusion calls it.
    db["contact_tracks"].create({"contact": str, "track": str}, pk=("contact", "track"))
    # The box round a contact's whole trail; id: the contact's number. Degrees, 32 bits, rounded outwards by SQLite.
    db.execute("CREATE VIRTUAL TABLE contact_place USING rtree(id, min_lat, max_lat, min_lon, max_lon)")
    db.execute(
        "INSERT INTO contact_place SELECT CAST(substr(contact, 3) AS INTEGER), min(lat_deg), max(lat_deg), min(lon_deg), "
        "max(lon_deg) FROM trail GROUP BY contact"
    )
    for contact, state in db.execute("SELECT id, state FROM contacts").fetchall():
        s = msgspec.msgpack.decode(state)
        plates, corridors = s.get("plates", {}), {*s.get("corridors", ()), *s.get("visits", {})}
        plate = max((times, text) for text, times in plates.items())[1] if plates else None
        db.execute("UPDATE contacts SET plate = ?, simulated = ? WHERE id = ?", (plate, int(s["simulated"]), contact))
        db.conn.executemany("INSERT INTO contact_corridors VALUES (?, ?)", [(contact, c) for c in sorted(corridors)])
        db.conn.executemany("INSERT INTO contact_tracks VALUES (?, ?)", [(contact, t) for t in s.get("tracks", {})])
    db["contacts"].create_index(["last_seen_ns", "id"])
    db.execute("CREATE INDEX contacts_plate ON contacts(plate) WHERE plate IS NOT NULL")
    db["alarms"].create_index(["raised_ns", "id"])
    db["alarms"].create_index(["contact"])
    db["matches"].create_index(["contact"])
    make_retention(db)
    # Append-only to everybody but retention, which names the alarm or match here first, in the same transaction.
    db["erasing"].create({"id": str}, pk="id")
    for table, owner in (("alarm_events", "alarm"), ("match_decisions", "match")):
        db.execute(f"DROP TRIGGER {table}_no_delete")
        db.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            f"WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE id = OLD.{owner}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


MIND = Schema("mind", (_mind_1, _mind_2, create_shift_log, index_alarms))
