"""The file of an outbox: opened, checked, brought to the newest schema; and what is done when it is damaged.

A damaged file is never mended in place and never thrown away: it is put aside under a name of its own, what can still be
read of it goes into a new one, and what cannot is counted as dropped, so that the ledger goes on adding up.

Boots. A message's identity must never be given twice, or the station takes the second message for a repetition of the
first. So a boot is not simply the next number: each start adds a random step, and a new file begins at a random place. Two
cards cloned from one image, a backup put back, a new card with the old key, a file whose last pages were lost: all of them
go on with boots that nobody had before.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wire.codec import RefusedError, decode_envelope
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.private_files import PRIVATE_FOLDER, keep_private, open_private
from wire.settings import SettingsError
from wire.units import Realm

SCHEMA_VERSION = 2
ROW_OVERHEAD_BYTES = 64             # what SQLite adds to a message: row, primary key and queue index
FIRST_BOOT_LIMIT = 2**40            # with BOOT_STEP_LIMIT: room for a hundred million starts below 2**53
BOOT_STEP_LIMIT = 2**16
BUSY_TIMEOUT_S = 5.0
JOURNALS = ("-wal", "-shm")
NEW = ".new"
DAMAGED_KEPT = 5                    # the first ones, and the newest

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DISK = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PROTOCOL,
)
_DISK_ERRNO = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)

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
    messages_dropped integer not null default 0, detections_dropped integer not null default 0,
    bytes_waiting integer not null default 0
);
create table if not exists refusals (reason text primary key, count integer not null) without rowid;
insert or ignore into ledger (only_row) values (1);
"""

_HOW = ("put", "acknowledged", "refused", "dropped")
_LEDGER = tuple(f"{what}_{how}" for how in _HOW for what in ("messages", "detections"))


class DiskError(OSError):
    """The disk does not take or give what it should; it may again later. The text says what it said."""


@dataclass(frozen=True, slots=True)
class OutboxFile:
    """An open file. damage: what became of a damaged one in its place, as a sentence; empty when there was none."""

    db: sqlite3.Connection
    boot: int
    damage: NodeText


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, against a disk that only refuses."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def damage_found(what: str) -> sqlite3.DatabaseError:
    """For what SQLite reads without a word, because it has no check of what it stores; it is as good as its own."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def claim(path: Path, node: str) -> IO[str]:
    """One process an outbox; the claim goes with the process, however it ends. Raises SettingsError, DiskError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        file = os.fdopen(open_private(str(path) + ".lock", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w")
    except OSError as error:
        raise _disk_or_settings(path, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SettingsError(f'{path}: another process has this outbox open. Is node "{node}" running already?') from None
    return file


def open_file(path: Path, node: str, realm: Realm, boot: int | None = None, *, damage: str = "") -> OutboxFile:
    """Open or make the file, with a boot of its own, or for the boot that a process has begun without it.

    damage: what is known to be wrong with it, when that came out only later. A damaged file is put aside, and what can be
    read of it is taken over. Raises SettingsError where the file belongs to another node, realm or program version, or may
    not be written by us; DiskError where the disk refuses.
    """
    try:
        _finish_replacement(path)
        try:
            if not damage:
                return OutboxFile(*_open(path, node, realm, boot), NO_TEXT)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            damage = str(error)
        _log.error("%s is damaged (%s). A new file is begun, and what can be read goes into it.", path, damage)
        sentence = _replace(path, node, realm)
        _log.error("%s", sentence)
        return OutboxFile(*_open(path, node, realm, boot), sentence)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _DISK and not path.is_dir():
            raise DiskError(str(error)) from None
        raise _no_use(path, error) from None
    except OSError as error:
        raise _disk_or_settings(path, error) from None


def _open(path: Path, node: str, realm: Realm, boot: int | None, above: int = 0) -> tuple[sqlite3.Connection, int]:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
    try:
        db.execute("pragma journal_mode = wal")
        keep_private(path)
        db.execute("pragma synchronous = full")
        known = db.execute("select count(*) from sqlite_master where name = 'meta'").fetchone()[0]
        meta: dict[str, str] = dict(db.execute("select key, value from meta").fetchall()) if known else {}
        check_owner(path, meta, node, realm)
        db.execute("begin immediate")       # one commit with the boot: no reader sees half a schema
        if meta.get("schema") == "1":
            db.execute("alter table ledger add column bytes_waiting integer not null default 0")
            db.execute("update ledger set bytes_waiting = (select coalesce(sum(size), 0) from queue)")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        last = _number(meta, "boot", above + secrets.randbelow(FIRST_BOOT_LIMIT))
        if boot is None:
            boot = last + 1 + secrets.randbelow(BOOT_STEP_LIMIT)
        found = {"realm": realm.value, "node": node, "schema": str(SCHEMA_VERSION), "boot": str(max(boot, last))}
        db.executemany("insert or replace into meta values (?, ?)", list(found.items()))
        db.execute("commit")
    except BaseException:
        db.close()
        raise
    return db, boot


def check_owner(path: Path, meta: dict[str, str], node: str, realm: Realm) -> None:
    """Raises SettingsError for what belongs to somebody else."""
    if meta.get("realm", realm.value) != realm.value:
        raise SettingsError(
            f"{path}: this outbox belongs to the {meta['realm']} realm and the node's key to {realm.value}. "
            "A store never changes its realm: give this node a data_dir of its own."
        )
    if meta.get("node", node) != node:
        raise SettingsError(
            f'{path}: this outbox belongs to node "{meta["node"]}", and the key to "{node}". '
            "Give each node a data_dir of its own."
        )
    if _number(meta, "schema", SCHEMA_VERSION) > SCHEMA_VERSION:
        raise SettingsError(
            f"{path}: schema version {meta['schema']}, this program knows {SCHEMA_VERSION}: update Trailwatch"
        )


def _number(meta: dict[str, str], key: str, default: int) -> int:
    try:
        return int(meta.get(key, default))
    except ValueError:
        raise damage_found(f"meta.{key} is {meta[key]!r}, and not a number") from None


# ------------------------------------------------------------------------------------------------------------ damage


def _replace(path: Path, node: str, realm: Realm) -> NodeText:
    """Build a new file beside the damaged one, then exchange them. Killed in between, the next start goes on or anew."""
    fresh = path.with_name(path.name + NEW)
    db, _ = _open(fresh, node, realm, None, _highest_boot(path))
    with contextlib.closing(db):
        waiting, lost = _salvage(path, db, node, realm)
    number = 1
    # Numbered and not dated: a node's date may be wrong. The last number is used again: a dying card must not fill itself.
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists() and number < DAMAGED_KEPT:
        number += 1
    for ending in JOURNALS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    path.rename(aside)
    fresh.rename(path)
    if lost is None:
        return node_text("outbox_damaged_unknown", aside=str(aside), waiting=waiting)
    return node_text("outbox_damaged", aside=str(aside), waiting=waiting, lost=lost)


def _finish_replacement(path: Path) -> None:
    fresh = path.with_name(path.name + NEW)
    if fresh.exists() and not path.exists():
        fresh.rename(path)
    for ending in ("", *JOURNALS):
        fresh.with_name(fresh.name + ending).unlink(missing_ok=True)


def _highest_boot(damaged: Path) -> int:
    """As far as it can still be read; 0 otherwise. What cannot be is why a new file begins at a random place."""
    boots = [0]
    with contextlib.closing(_read_only(damaged)) as old:
        for question in ("select value from meta where key = 'boot'", "select max(boot) from queue"):
            with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
                boots.append(int(old.execute(question).fetchone()[0]))
    return max(b for b in boots if b < 2**52)


def _salvage(damaged: Path, db: sqlite3.Connection, node: str, realm: Realm) -> tuple[int, int | None]:
    """Take over what can be read, whole messages of this node alone. Returns how many were saved, and how many are lost."""
    counts: dict[str, int] = {}
    reasons: list[tuple[str, int]] = []
    with contextlib.closing(_read_only(damaged)) as old:
        with contextlib.suppress(sqlite3.Error):
            check_owner(damaged, dict(old.execute("select key, value from meta").fetchall()), node, realm)
        with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
            row = old.execute(f"select {', '.join(_LEDGER)} from ledger").fetchone()
            counts = {k: int(v) for k, v in zip(_LEDGER, row, strict=True)}
        with contextlib.suppress(sqlite3.Error):
            reasons = old.execute("select reason, count from refusals").fetchall()
        db.execute("begin immediate")
        # From both ends: a damaged place in the middle costs what lies on that page, and not all that lies behind it.
        if not _copy(old, db, node, "asc"):
            _copy(old, db, node, "desc")
    waiting, detections, size = db.execute(
        "select count(*), coalesce(sum(detections), 0), coalesce(sum(size), 0) from queue"
    ).fetchone()
    lost = _balance(counts, waiting, detections)
    db.execute(f"update ledger set bytes_waiting = {size:d}, " + ", ".join(f"{k} = {v:d}" for k, v in counts.items()))
    db.executemany("insert or ignore into refusals values (?, ?)", reasons)
    db.execute("commit")
    return int(waiting), lost


def _copy(old: sqlite3.Connection, db: sqlite3.Connection, node: str, order: str) -> bool:
    """Copy messages in one direction until the end, or until the file cannot be read. Returns whether it was the end."""
    try:
        rows = old.execute(f"select boot, sequence, priority, detections, data from queue not indexed order by id {order}")
    except sqlite3.DatabaseError:
        return False
    while True:
        try:
            row = rows.fetchone()
        except sqlite3.DatabaseError:
            return False
        if row is None:
            return True
        boot, sequence, priority, detections, data = row
        if is_whole(data, node, (boot, sequence)):
            db.execute(
                "insert or ignore into queue (boot, sequence, priority, detections, size, data) values (?, ?, ?, ?, ?, ?)",
                (boot, sequence, priority, detections, len(data) + ROW_OVERHEAD_BYTES, data),
            )


def _read_only(damaged: Path) -> sqlite3.Connection:
    """It is evidence: whoever wants to save more of it than we could finds it as it was."""
    return sqlite3.connect(damaged.absolute().as_uri() + "?mode=ro", uri=True)


def is_whole(data: object, node: str, identity: tuple[int, int]) -> bool:
    """Whether what stands in the file is the message that it says it is."""
    try:
        envelope = decode_envelope(data) if isinstance(data, bytes) else None
    except RefusedError:
        return False
    return envelope is not None and (envelope.node, envelope.boot, envelope.sequence) == (node, *identity)


def _balance(counts: dict[str, int], waiting: int, detections: int) -> int | None:
    """Make a salvaged ledger add up: what is missing was dropped. Returns how many messages; None where it has no sense."""
    lost = counts.get("messages_put", -1) - waiting - sum(
        counts.get(f"messages_{k}", 0) for k in ("acknowledged", "refused", "dropped")
    )
    lost_detections = counts.get("detections_put", -1) - detections - sum(
        counts.get(f"detections_{k}", 0) for k in ("acknowledged", "refused", "dropped")
    )
    if lost < 0 or lost_detections < 0 or min(counts.values()) < 0:
        counts.clear()
        counts.update(messages_put=waiting, detections_put=detections)
        return None
    counts["messages_dropped"] += lost
    counts["detections_dropped"] += lost_detections
    return lost


def _disk_or_settings(path: Path, error: OSError) -> OSError | SettingsError:
    return DiskError(str(error)) if error.errno in _DISK_ERRNO else _no_use(path, error)


def _no_use(path: Path, error: Exception) -> SettingsError:
    return SettingsError(
        f"{path}: the outbox cannot be opened: {error}. Give a data_dir that this user may write, with free space."
    )
