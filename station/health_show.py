"""How the station is, for whoever looks after it: its disk, its files and what is wrong with them, and its processes."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import msgspec

from station.backup import FILES
from station.settings import StationSettings
from station.store import Schema, open_reader
from wire.settings import SettingsError

LOW_SHARE = 0.1                     # of the disk left free: less wants somebody
JOURNALS = ("", "-wal", "-shm")


class DiskView(msgspec.Struct, frozen=True):
    """The disk that the data folder lies on. low: less than a tenth is free."""

    folder: str
    free_bytes: int
    total_bytes: int
    low: bool


class FileView(msgspec.Struct, frozen=True):
    """A database with its journals. trouble: why it cannot be read, in words; empty where all is well. there: it exists."""

    name: str
    bytes: int
    there: bool
    trouble: str


class ProcessView(msgspec.Struct, frozen=True):
    """restarts: how often `serve` had to start it again since it runs."""

    name: str
    restarts: int


class StoreHealth(msgspec.Struct, frozen=True):
    disk: DiskView
    files: tuple[FileView, ...]
    processes: tuple[ProcessView, ...]


def read_health(settings: StationSettings) -> StoreHealth:
    """Raises nothing: what cannot be read is said of that file."""
    usage = shutil.disk_usage(settings.data_dir)
    disk = DiskView(str(settings.data_dir), usage.free, usage.total, usage.free < usage.total * LOW_SHARE)
    files = tuple(_file(settings, settings.data_dir / name, schema) for name, schema in FILES)
    return StoreHealth(disk, files, _processes(settings))


def _file(settings: StationSettings, path: Path, schema: Schema) -> FileView:
    size = 0
    for journal in JOURNALS:
        with contextlib.suppress(OSError):
            size += path.with_name(path.name + journal).stat().st_size
    trouble = ""
    try:
        open_reader(path, schema, settings.realm).close()
    except FileNotFoundError:
        pass                        # its process has not made it yet
    except (SettingsError, sqlite3.Error) as error:
        trouble = str(error)
    return FileView(path.name, size, path.exists(), trouble)


def _processes(settings: StationSettings) -> tuple[ProcessView, ...]:
    """None where the processes were started one by one: then nobody counts."""
    try:
        found = msgspec.json.decode(settings.restarts_file.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        return ()
    return tuple(ProcessView(name, count) for name, count in sorted(found.items()))
