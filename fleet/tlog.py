"""Telemetry logs as MAVProxy, QGroundControl and pymavlink write and open them: .tlog.

A record is eight bytes, the time in microseconds since 1970 and big-endian, and then one whole MAVLink frame as it was on
the line, its signature included.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.framing import messages_in

STAMP = struct.Struct(">Q")
FLUSH_US = 1_000_000            # a process that is killed loses less than a second of it
SYNC_US = 10_000_000            # and a power cut less than ten
MARKERS = {0xFD: (10, 2), 0xFE: (6, 2)}     # header bytes without the payload, check sum bytes


class TlogWriter:
    """One file, appended to until it is closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.records = 0
        self._file: BinaryIO = path.open("ab")
        self._flushed_us = self._synced_us = 0

    def write(self, utc_us: int, frame: bytes) -> None:
        self._file.write(STAMP.pack(utc_us) + frame)
        self.records += 1
        if utc_us - self._flushed_us >= FLUSH_US:
            self._file.flush()
            self._flushed_us = utc_us
        if utc_us - self._synced_us >= SYNC_US:
            os.fsync(self._file.fileno())
            self._synced_us = utc_us

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_tlog(path: Path) -> Iterator[tuple[int, Any]]:
    """(UTC microseconds, message) of each record; a torn one at the end, as after a power cut, ends it quietly."""
    parser = mavlink.MAVLink(None)
    parser.robust_parsing = True
    with path.open("rb") as file:
        while True:
            stamp = file.read(STAMP.size)
            head = file.read(3)
            if len(stamp) < STAMP.size or len(head) < 3 or head[0] not in MARKERS:
                return
            header, check = MARKERS[head[0]]
            signature = 13 if head[0] == 0xFD and head[2] & 1 else 0
            rest = header + head[1] + check + signature - 3
            body = file.read(rest)
            if len(body) < rest:
                return
            for message in messages_in(parser, head + body):
                if message.get_msgId() >= 0:
                    yield STAMP.unpack(stamp)[0], message
