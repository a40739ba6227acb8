"""The room that an outbox has on its disk, so that it can always be emptied again.

SQLite writes a deletion beside the file before it frees anything. On a disk without a free byte the acknowledgements of a
backlog can therefore not be noted, and the backlog never gets less. So a reserve of real blocks lies beside the file and is
given up when the disk is full; and the outbox stops growing before its disk is full.

The reserve is no data: half made after a power cut, or deleted by somebody, it costs nothing and is made anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from wire.clock import NS_PER_S, Clock
from wire.private_files import open_private

RESERVE = ".reserve"
RESERVE_BYTES = 8_000_000           # SQLite's journal grows to 4 MB, and then the file may by as many
CLEAR_BYTES = 2 * RESERVE_BYTES     # free, before a reserve is made of the half of it
AMPLE_BYTES = 100_000_000           # free: no transaction and no journal come near it, so nobody needs to count closely
COMPACT_BYTES = 2_000_000           # what may wait while a file that a full disk left large is made small
LOOK_S = 60.0                       # between looks at the reserve


class Space:
    """Of one outbox. Raises nothing: an outbox works without a reserve as well, until its disk is full."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._folder = str(path.parent)
        self._reserve = path.with_name(path.name + RESERVE)
        self._clock = clock
        self._look_ns = clock.monotonic_ns()

    def tend(self, db: sqlite3.Connection, waiting: int) -> None:
        """Once a minute: make the reserve if there is none and clearly room for it. waiting: bytes in the file."""
        if self._clock.monotonic_ns() < self._look_ns:
            return
        self._wait()
        with contextlib.suppress(OSError, sqlite3.Error):       # it is tried again; what is wrong shows at the next commit
            if self._stands():
                return
            if waiting <= COMPACT_BYTES and self._free() < CLEAR_BYTES:
                self._compact(db)
            if self._free() >= CLEAR_BYTES:
                self._make()

    def give_up(self, error: Exception) -> bool:
        """Free the reserve if the disk refused because it is full. Returns whether that made room."""
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        try:
            # SQLite has other codes for a full disk as well, such as that of its shared memory.
            if not full and self._free() >= RESERVE_BYTES:
                return False
            self._reserve.unlink()
        except OSError:
            return False
        self._wait()
        return True

    def limit_bytes(self, db: sqlite3.Connection, waiting: int, added: int) -> int:
        """How much may wait, for the sake of the disk. waiting: bytes in the file; added: by the open transaction.

        A reserve is kept for deletions, and as much is left free beside it. Where that is short, at most twice what comes
        in has to go, so that a disk that others fill for a while costs no backlog; and an outbox that is smaller than its
        reserve is not what fills the disk.
        """
        try:
            if (free := self._free()) >= AMPLE_BYTES:
                return waiting + free
            file_bytes = self._path.stat().st_size
            room = free - (RESERVE_BYTES if self._stands() else CLEAR_BYTES)
        except OSError:
            return waiting
        grows = max(0, _pages(db, "page_count") - file_bytes)       # once the journal has gone into the file
        return max(RESERVE_BYTES, waiting + max(room + _unused(db) - grows, -2 * added))

    def _wait(self) -> None:
        self._look_ns = self._clock.monotonic_ns() + round(LOOK_S * NS_PER_S)

    def _free(self) -> int:
        at = os.statvfs(self._folder)
        return at.f_bavail * at.f_frsize

    def _stands(self) -> bool:
        return self._reserve.exists() and self._reserve.stat().st_size >= RESERVE_BYTES

    def _compact(self, db: sqlite3.Connection) -> None:
        """Give the disk back what the file does not use. SQLite copies what is left, so there has to be little of it."""
        db.execute("pragma wal_checkpoint(truncate)")
        if self._free() < CLEAR_BYTES <= self._free() + _unused(db):
            db.execute("pragma temp_store = memory")
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)")

    def _make(self) -> None:
        with open(self._reserve, "wb", opener=open_private) as file:
            try:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            except OSError:
                self._reserve.unlink()
                raise


def _pages(db: sqlite3.Connection, which: str) -> int:
    """In bytes."""
    count, size = (int(db.execute(f"pragma {name}").fetchone()[0]) for name in (which, "page_size"))
    return count * size


def _unused(db: sqlite3.Connection) -> int:
    """Bytes within the file that new messages take before it grows."""
    return _pages(db, "freelist_count")
