"""A backup of a running station, and a station put back from it.

Each file is copied as it is at one moment (VACUUM INTO: one read transaction, which holds up no writer), checked whole,
and listed with its SHA-256 in `manifest.json`. A backup that was cut off has no manifest, and is none. Files are copied in
the order of what refers to what: whoever counts on another file (the mind on its place in the inbox) is copied before it, so
that a restored mind never believes to have read what the restored inbox has yet to receive.

Keys stay out: who finds a backup shall not open the watchlist with it, nor sign in the station's name. They never change;
they are copied once, with `--keys-to`, to a place of their own. A manifest knows their digests, and a restore checks them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import msgspec

from station.access import PEOPLE
from station.coverage_ledger import COVERAGE
from station.journal_schema import JOURNAL
from station.notifier import NOTICES
from station.orders import ORDERS
from station.record import RECORD, Record, public_key_file, verify
from station.settings import StationSettings
from station.store import INBOX, MIND, Schema, StoreError
from station.watchlist_file import WATCHLIST
from wire.clock import Clock
from wire.units import Realm

MANIFEST = "manifest.json"
PARTIAL = ".partial"
SAME_SECOND_LIMIT = 100
ROOM_SPARE = 1.05                   # of the files' size: that much must be free
# The order is part of the promise: see above.
FILES: tuple[tuple[str, Schema], ...] = (
    ("coverage.db", COVERAGE), ("mind.db", MIND), ("journal.db", JOURNAL), ("orders.db", ORDERS), ("notices.db", NOTICES),
    ("people.db", PEOPLE), ("watchlist.db", WATCHLIST), ("inbox.db", INBOX), ("record.db", RECORD),
)
KEYS = ("station.key", "watchlist.key", "record.key")
PLAIN = ("nodes.toml", "places.toml", "record.pub")     # no secret stands in them
MAPS = "basemap"            # the base map, and the agency's own layers (station.layers_kept); what is only staged stays out
CHUNK_BYTES = 1 << 20


class BackedUp(msgspec.Struct, frozen=True):
    """One file. name: in the station's folder, with slashes. rows: of its tables. schema: None of what is no database."""

    name: str
    bytes: int
    sha256: str
    schema: int | None = None
    rows: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """keys: SHA-256 of each secret key, which is not here. head: of the record, for the auditor's note."""

    realm: Realm
    made_ns: int
    files: tuple[BackedUp, ...]
    keys: dict[str, str]
    record_entries: int
    record_head: str


@dataclass(frozen=True, slots=True)
class Backup:
    folder: Path
    manifest: Manifest

    def __str__(self) -> str:
        m = self.manifest
        size = sum(f.bytes for f in m.files) / 1e6
        return (
            f"{self.folder}: {len(m.files)} files, {size:.1f} MB, each checked whole; pictures are in inbox.db. Record: "
            f"{m.record_entries} entries, head {m.record_head}.\nThe keys ({', '.join(sorted(m.keys))}) are not in it: "
            "without them no node connects, no watchlist opens. Copy them once with --keys-to, to a place of their own."
        )


def back_up(settings: StationSettings, person: str, to: Path, clock: Clock, keys_to: Path | None = None) -> Backup:
    """Copy a station that may be running into a new folder in `to`. Raises StoreError; then there is no new backup there."""
    if not settings.data_dir.is_dir():
        raise StoreError(f"{settings.data_dir}: there is no station; nothing to back up")
    now_ns = clock.utc_ns()
    stamp = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        to.mkdir(parents=True, exist_ok=True)
        _check_room(settings, to)
        folder, partial = _begin(to, f"trailwatch-{settings.realm.value}-{stamp}")
    except OSError as error:
        raise StoreError(f"--to {error.filename}: {error.strerror}") from None
    try:
        made = _copy_all(settings, person, partial, folder.name, now_ns, clock)
        if keys_to is not None:
            copy_keys(settings, keys_to)
        partial.rename(folder)
        sync(to)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StoreError(f"{error.filename or to}: {error.strerror}; there is no new backup") from None
    except sqlite3.Error as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StoreError(f"{partial}: {error}; there is no new backup") from None
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Backup(folder, made)


def _begin(to: Path, name: str) -> tuple[Path, Path]:
    """The new backup's folder, and the one that it is made in, which is there. A second one in a second has a number, also
    where the first was cut off. Raises OSError."""
    for number in range(1, SAME_SECOND_LIMIT + 1):
        folder = to / (name if number == 1 else f"{name}-{number}")
        partial = folder.with_name(folder.name + PARTIAL)
        try:
            partial.mkdir(mode=0o700)
        except FileExistsError:
            continue
        if not folder.exists():
            return folder, partial
        partial.rmdir()
    raise FileExistsError(errno.EEXIST, f"{SAME_SECOND_LIMIT} backups of this second are there", str(to / name))


def _copy_all(settings: StationSettings, person: str, partial: Path, name: str, now_ns: int, clock: Clock) -> Manifest:
    files: list[BackedUp] = []
    with contextlib.closing(Record(settings, clock)) as record:
        record.append(person, "store.backed_up", {"backup": name})
    for file, schema in FILES:
        if (settings.data_dir / file).exists() and _is_born(settings.data_dir / file):
            files.append(_copy_database(settings.data_dir / file, partial / file, schema, settings.realm))
    for file in PLAIN:
        if (settings.data_dir / file).exists():
            shutil.copyfile(settings.data_dir / file, partial / file)
            files.append(_of_file(partial / file))
    for path in _map_files(settings):
        copy = partial / path.relative_to(settings.data_dir)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):        # a layer that was removed meanwhile
            shutil.copyfile(path, copy)
            files.append(_of_file(copy, partial))
    _check_places(partial)
    verdict = verify(partial / "record.db", public_key_file(settings))
    if verdict.broken is not None:
        raise StoreError(f"{settings.record_db}: {verdict.broken}. Nothing is backed up as if its record were whole.")
    keys = {key: file_sha256(settings.data_dir / key) for key in KEYS if (settings.data_dir / key).exists()}
    manifest = Manifest(settings.realm, now_ns, tuple(files), keys, verdict.entries, verdict.head)
    (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    for path in partial.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        sync(path)
    sync(partial)
    return manifest


def _map_files(settings: StationSettings) -> list[Path]:
    found = [p for p in settings.basemap_dir.rglob("*") if p.is_file() and not p.is_symlink()]
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(settings.data_dir).parts))


def is_inside(name: str) -> bool:
    """Whether a manifest's name is one of a file in the station's folder, or of its maps, and nowhere else."""
    parts = PurePosixPath(name).parts
    if name != "/".join(parts) or any(part.startswith(".") for part in parts):
        return False
    return len(parts) == 1 or (len(parts) > 1 and parts[0] == MAPS)


def copy_keys(settings: StationSettings, to: Path) -> None:
    """The secret keys, for the owner alone. A key that is there already must be the same. Raises StoreError, OSError."""
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    for key in KEYS:
        source, copy = settings.data_dir / key, to / key
        if not source.exists():
            continue
        if copy.exists() and copy.read_bytes() != source.read_bytes():
            raise StoreError(f"{copy}: is the key of another station; give --keys-to a folder of its own")
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o600)
        sync(copy)
    sync(to)


def _is_born(path: Path) -> bool:
    """Whether anything is in it: a process that starts for the first time makes the file before its tables."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30.0)) as conn:
            return bool(conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; it cannot be backed up. Is the disk full, or the file damaged?") from None


def _copy_database(source: Path, copy: Path, schema: Schema, realm: Realm) -> BackedUp:
    """One moment of a file that others write. Raises StoreError for what the copy's check finds."""
    conn = sqlite3.connect(source, isolation_level=None, timeout=30.0)
    try:
        conn.execute("VACUUM INTO ?", (str(copy),))
    except sqlite3.Error as error:
        raise StoreError(f"{source}: {error}; it cannot be backed up. Is the disk full, or the file damaged?") from None
    finally:
        conn.close()
    return check_database(copy, schema, realm)


def check_database(path: Path, schema: Schema, realm: Realm) -> BackedUp:
    """Whole, of this realm, of this purpose, and not newer than this program. Raises StoreError."""
    try:
        with _reading(path) as conn:
            found = [str(row[0]) for row in conn.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise StoreError(f"{path}: damaged: {'; '.join(found)}")
            meta = dict(conn.execute("SELECT key, value FROM meta"))
            tables = [r[0] for r in conn.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'")]
            rows = sum(int(conn.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0]) for t in tables)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; it is damaged") from None
    version = int(meta.get("schema", "0"))
    if meta.get("purpose") != schema.purpose or meta.get("realm") != realm.value:
        raise StoreError(
            f"{path}: holds {meta.get('purpose')} of the {meta.get('realm')} realm, not {schema.purpose} of {realm.value}"
        )
    if version > len(schema.migrations):
        raise StoreError(
            f"{path}: schema {version} is newer than this program, which knows {len(schema.migrations)}. Restore it with "
            "the newer Trailwatch that wrote it."
        )
    return msgspec.structs.replace(_of_file(path), schema=version, rows=rows)


def _check_places(folder: Path) -> None:
    """The mind of a backup has read nothing that its inbox does not hold. Raises StoreError."""
    if not ((folder / "mind.db").exists() and (folder / "inbox.db").exists()):
        return
    with _reading(folder / "mind.db") as mind, _reading(folder / "inbox.db") as inbox:
        place = int(mind.execute("SELECT arrival FROM place WHERE id = 1").fetchone()[0])
        row = inbox.execute("SELECT seq FROM sqlite_sequence WHERE name = 'arrivals'").fetchone()
    if place > (int(row[0]) if row else 0):
        raise StoreError(f"{folder}: the mind has read up to arrival {place}, and the inbox ends at {row[0] if row else 0}")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        yield conn
    finally:
        conn.close()


def _check_room(settings: StationSettings, to: Path) -> None:
    size = sum(f.stat().st_size for name, _ in FILES for f in settings.data_dir.glob(f"{name}*"))
    size += sum(f.stat().st_size for f in _map_files(settings))
    free = shutil.disk_usage(to).free
    if free < size * ROOM_SPARE:
        raise StoreError(f"--to {to}: {free / 1e6:.0f} MB are free, and the station has {size / 1e6:.0f} MB")


def _of_file(path: Path, folder: Path | None = None) -> BackedUp:
    name = path.relative_to(folder or path.parent).as_posix()
    return BackedUp(name, path.stat().st_size, file_sha256(path))


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
