"""Keeps databases readable by their owner only, because they hold detections and orders."""

from __future__ import annotations

import contextlib
from pathlib import Path


def keep_private(database: Path) -> None:
    """Set mode 0600 on a SQLite file and its -wal and -shm files. A mode that cannot be changed is left as it is."""
    for name in (database, database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")):
        # The file may be gone, foreign or on a read-only disk; the first write reports a disk that takes nothing.
        with contextlib.suppress(OSError):
            name.chmod(0o600)
