"""Backups as the administration page lists them: where they go, which there are, and whether one is being made."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from station.backup import MANIFEST, PARTIAL, Manifest
from station.settings import StationSettings


class BackupView(msgspec.Struct, frozen=True):
    """made_ns, entries, head: of its manifest; None of a folder that has no readable one (cut off: it is no backup)."""

    name: str
    bytes: int
    files: int
    made_ns: int | None
    entries: int | None
    head: str | None


class BackupsView(msgspec.Struct, frozen=True):
    """same_disk: the folder lies on the disk of the data, and dies with it. running_since_ns: one is being made. failed: why
    the last one that was begun here was not made; empty: it was, or none was begun.
    """

    folder: str
    same_disk: bool
    free_bytes: int
    running_since_ns: int | None
    failed: str
    backups: tuple[BackupView, ...]


def backups_folder(settings: StationSettings) -> Path:
    return settings.backups_dir or settings.data_dir.with_name(f"{settings.data_dir.name}-backups")


def list_backups(settings: StationSettings, running_since_ns: int | None, failed: str) -> BackupsView:
    """The newest first. Raises OSError when the folder is there and cannot be read."""
    folder = backups_folder(settings)
    there = next(p for p in (folder, *folder.parents) if p.exists())
    found = []
    if folder.is_dir():
        mark = f"trailwatch-{settings.realm.value}-"
        for path in sorted(folder.iterdir(), reverse=True):
            half = path.name.endswith(PARTIAL)
            if path.name.startswith(mark) and path.is_dir() and not (half and running_since_ns is not None):
                found.append(_view(path, half))
    same = there.stat().st_dev == settings.data_dir.stat().st_dev
    return BackupsView(str(folder), same, shutil.disk_usage(there).free, running_since_ns, failed, tuple(found))


def _view(path: Path, half: bool) -> BackupView:
    try:
        if half:
            raise OSError
        m = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return BackupView(path.name, sum(f.stat().st_size for f in path.iterdir() if f.is_file()), 0, None, None, None)
    return BackupView(path.name, sum(f.bytes for f in m.files), len(m.files), m.made_ns, m.record_entries, m.record_head)
