"""A station put back from a backup: everything is checked first, and nothing that is there is overwritten.

The new data folder is built beside the old one and takes its place with a rename; what was there before stays, under another
name. A restore that is killed leaves either the old folder or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from station.backup import FILES, KEYS, MANIFEST, Manifest, check_database, file_sha256, is_inside, sync
from station.record import Record, verify
from station.settings import StationSettings
from station.store import StoreError
from wire.clock import Clock


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    data_dir: Path
    before: Path | None

    def __str__(self) -> str:
        made = _when(self.manifest.made_ns)
        old = f" What was there before is in {self.before}." if self.before else ""
        return (
            f"{self.data_dir}: as it was on {made}.{old}\nEverybody has to log in again. Accounts, tokens and watchlist are "
            f"those of {made}: take away again what was taken away since. What nodes sent since then and the old station "
            "acknowledged is only in the old station's files."
        )


def restore(
    settings: StationSettings, person: str, backup: Path, clock: Clock, keys_from: Path | None = None, aside: bool = False,
) -> Restored:
    """Put a station back. aside: move the files that are there away first. Raises StoreError; then nothing was changed."""
    manifest = read_manifest(backup)
    if manifest.realm is not settings.realm:
        raise StoreError(
            f"{backup}: of the {manifest.realm.value} realm, and {settings.file} says {settings.realm.value}. A store never "
            "changes its realm."
        )
    data_dir = settings.data_dir
    check_backup(backup, manifest)
    keys = _find_keys(settings, manifest, keys_from)
    there = [data_dir / name for name, _ in FILES if (data_dir / name).exists()]
    with _nobody_runs(settings, there):
        if there and not aside:
            raise StoreError(
                f"{data_dir}: there is a station's store already ({', '.join(p.name for p in there)}). Nothing is "
                "overwritten: with --aside the whole folder is moved away first."
            )
        fresh = data_dir.with_name(data_dir.name + ".restoring")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            _build(settings, backup, manifest, keys, fresh)
            before = _swap(fresh, data_dir, clock)
        except OSError as error:
            raise StoreError(f"{error.filename or data_dir}: {error.strerror}; nothing was restored") from None
    with contextlib.closing(Record(settings, clock)) as record:
        record.append(person, "store.restored", {"backup": backup.name, "made_ns": manifest.made_ns})
    return Restored(manifest, data_dir, before)


def read_manifest(backup: Path) -> Manifest:
    """Raises StoreError for a folder that is no backup, or one that was cut off."""
    try:
        return msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except OSError:
        raise StoreError(f"{backup}: no {MANIFEST}: this is no backup, or one that was cut off") from None
    except msgspec.DecodeError as error:
        raise StoreError(f"{backup / MANIFEST}: {error}") from None


def check_backup(backup: Path, manifest: Manifest) -> None:
    """Every file there, byte by byte as it was, whole, and known to this program; the record unbroken. Raises StoreError."""
    schemas = dict(FILES)
    for file in manifest.files:
        path = backup / file.name
        if not is_inside(file.name) or not path.is_file() or path.is_symlink():
            raise StoreError(f"{path}: is missing from the backup")
        if file_sha256(path) != file.sha256:
            raise StoreError(f"{path}: is not what was backed up: its SHA-256 is another. Take another backup.")
        if file.name in schemas:
            check_database(path, schemas[file.name], manifest.realm)
    verdict = verify(backup / "record.db", backup / "record.pub")
    if verdict.broken is not None or verdict.head != manifest.record_head:
        raise StoreError(f"{backup / 'record.db'}: {verdict.broken or 'its head is not the one of the manifest'}")


def _find_keys(settings: StationSettings, manifest: Manifest, keys_from: Path | None) -> dict[str, Path]:
    """Of each key that the backup's files need, where it is. Raises StoreError."""
    found: dict[str, Path] = {}
    for key, digest in manifest.keys.items():
        if key not in KEYS:
            continue
        places = [folder / key for folder in (keys_from, settings.data_dir) if folder is not None]
        fits = next((p for p in places if p.exists() and file_sha256(p) == digest), None)
        if fits is None:
            raise StoreError(
                f"{key}: the backup's is in none of {', '.join(str(p.parent) for p in places)}. Give the folder of "
                "`backup --keys-to` with --keys-from."
            )
        found[key] = fits
    return found


@contextlib.contextmanager
def _nobody_runs(settings: StationSettings, there: list[Path]) -> Iterator[None]:
    """Hold the lock of `serve`, and see that no process has one of the files open. Raises StoreError."""
    lock = settings.run_dir / "serve.lock"
    with contextlib.ExitStack() as held:
        if lock.exists():
            file = held.enter_context(lock.open("a+", encoding="ascii"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(f"{settings.data_dir}: the station is running. Stop it before a restore.") from None
        for path in there:
            if _is_in_use(path):
                raise StoreError(f"{path}: a process has it open. Stop the whole station before a restore.")
        yield


def _is_in_use(path: Path) -> bool:
    """Whether anybody has a database open: its write-ahead journal can then not be given up. A damaged one tells nothing."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0.2)) as conn:
            conn.execute("PRAGMA locking_mode = EXCLUSIVE")
            conn.execute("BEGIN EXCLUSIVE")
            conn.execute("ROLLBACK")
            conn.execute("PRAGMA journal_mode = DELETE")
            conn.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    except sqlite3.DatabaseError:
        return False
    return False


def _build(settings: StationSettings, backup: Path, manifest: Manifest, keys: dict[str, Path], fresh: Path) -> None:
    fresh.mkdir(mode=0o700, parents=True)
    sources = {f.name: backup / f.name for f in manifest.files} | {key.name: key for key in keys.values()}
    for name, source in sources.items():
        copy = fresh / name
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod(0o600)
        sync(copy)
    for file in manifest.files:
        if file_sha256(fresh / file.name) != file.sha256:
            raise StoreError(f"{fresh / file.name}: was not copied as it is: is this disk well?")
    _end_sessions(fresh / "people.db")
    sync(fresh)


def _end_sessions(people: Path) -> None:
    """A session that was open then is not taken up again."""
    if people.exists():
        with contextlib.closing(sqlite3.connect(people, isolation_level=None)) as conn:
            conn.execute("DELETE FROM sessions")


def _swap(fresh: Path, data_dir: Path, clock: Clock) -> Path | None:
    """The new folder in the place of the old one, which stays under another name; that name, or None."""
    before = None
    if data_dir.exists():
        before = data_dir.with_name(f"{data_dir.name}.before-{_when(clock.utc_ns()).replace(':', '').replace(' ', 'T')}")
        data_dir.rename(before)
    fresh.rename(data_dir)
    sync(data_dir.parent)
    return before


def _when(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


__all__ = ["Restored", "check_backup", "read_manifest", "restore"]
