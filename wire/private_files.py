"""Keeps data folders and their files readable by their owner only, because they hold detections, orders and pictures."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path

FOR_OTHERS = 0o077              # the permission bits of a file's group and of everybody else
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700

_log = logging.getLogger("trailwatch.files")


def keep_private(database: Path) -> None:
    """Set mode 0600 on a SQLite file and its -wal and -shm files. A mode that cannot be changed is left as it is."""
    for name in (database, database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")):
        # The file may be gone, foreign or on a read-only disk; the first write reports a disk that takes nothing.
        with contextlib.suppress(OSError):
            name.chmod(PRIVATE_FILE)


def open_private(path: str, flags: int) -> int:
    """An opener for `open`: a new file gets mode 0600, and so does an existing one if it is ours. Raises OSError."""
    descriptor = os.open(path, flags, PRIVATE_FILE)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, PRIVATE_FILE)
    return descriptor


def make_folder_private(folder: Path) -> None:
    """Make a data folder with mode 0700, or take the rights of other accounts from it and from all that is in it.

    For the start of a process. Symbolic links are not followed. What cannot be changed is logged as a warning with the
    command that changes it, and nothing is raised: the process must run from a disk that is read-only for a while.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        if folder.stat().st_mode & stat.S_ISVTX:
            _log.warning("%s: others may read this folder, because accounts share it: give data_dir one of its own", folder)
            return
        _close_to_others(folder)
    except OSError as error:
        _log.warning("%s: others may read this folder, because of its mode: %s. %s", folder, error, _advice(folder))
        return
    left = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                _close_to_others(Path(place, name))
            except FileNotFoundError:
                continue            # another process deleted it since the folder was listed
            except OSError:
                left += 1
    if left:
        _log.warning("%s: %d files in this folder could not be closed to others. %s", folder, left, _advice(folder))


def _close_to_others(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode) and mode & FOR_OTHERS:
        path.chmod(stat.S_IMODE(mode) & ~FOR_OTHERS)


def _advice(folder: Path) -> str:
    return f'Run "chmod -R go-rwx {folder}" as its owner'
