"""The process that reads plates: takes crops on a socket that it was given, and answers each with a reading, or with none.

    python -m edge.plate_process FD

It is nice to everybody else, uses one thread, and leaves when the other end of its socket is closed, whatever closed it.
"""

from __future__ import annotations

import math
import os
import socket
import struct
import sys

import cv2
import msgspec
import numpy as np

from edge.plate_votes import ALPHABET, Reading
from wire.units import ObjectClass, is_vehicle

NICENESS = 5
MESSAGE_LIMIT_BYTES = 8 * 1024 * 1024       # a crop is at most CROP_LIMIT_PX squared, three bytes a pixel
CROP_LIMIT_PX = 1280
PLACES_LIMIT = 64               # of one reading; a plate has nine at most
_LENGTH = struct.Struct("<I")


class ReadThis(msgspec.Struct, frozen=True, array_like=True):
    """A crop of a vehicle. pixels: height x width x 3 bytes, blue, green, red."""

    vehicle: ObjectClass
    height: int
    width: int
    pixels: bytes


class WasRead(msgspec.Struct, frozen=True, array_like=True):
    """chances: n x 36 float32 of edge.plate_votes.Reading; empty for no plate. ready: said once, at the start."""

    chances: bytes = b""
    area_px: float = 0.0
    sharpness: float = 0.0
    ready: bool = False

    @property
    def reading(self) -> Reading | None:
        """None for no plate. Raises ValueError for what are no chances: a process that has gone wrong can say anything."""
        if not self.chances:
            return None
        rows = np.frombuffer(self.chances, np.float32).reshape(-1, len(ALPHABET)).astype(float)
        # Written so that NaN is outside.
        if len(rows) > PLACES_LIMIT or not (rows.min() >= 0.0 and rows.sum(axis=1).max() <= 1.001):
            raise ValueError(f"{len(rows)} places of chances that are none")
        if not (math.isfinite(self.area_px) and math.isfinite(self.sharpness)):
            raise ValueError("an area or a sharpness that is no number")
        return Reading(rows, self.area_px, self.sharpness)


class ClosedError(OSError):
    """The other end of the socket is gone."""


def send(link: socket.socket, message: ReadThis | WasRead) -> None:
    """Raises OSError: the other end is gone, or takes nothing."""
    data = msgspec.msgpack.encode(message)
    link.sendall(_LENGTH.pack(len(data)) + data)


def receive(link: socket.socket) -> bytes:
    """The next message. Raises OSError: the other end is gone (ClosedError), silent, or talks nonsense."""
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    if length > MESSAGE_LIMIT_BYTES:
        raise OSError(f"a message of {length} bytes; the limit is {MESSAGE_LIMIT_BYTES}")
    return _exactly(link, length)


def _exactly(link: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = link.recv(min(length - len(data), 1 << 20))
        if not part:
            raise ClosedError("closed")
        data += part
    return bytes(data)


def serve(link: socket.socket) -> None:
    """Read crops until the link is closed."""
    from edge.plate_ocr import PlateOcr

    ocr = PlateOcr(threads=1)
    takes = msgspec.msgpack.Decoder(ReadThis)
    try:
        send(link, WasRead(ready=True))
        while True:
            asked = takes.decode(receive(link))
            if not is_vehicle(asked.vehicle):
                raise ValueError(f"plates are read of vehicles alone, and this is a crop of: {asked.vehicle}")
            crop = np.frombuffer(asked.pixels, np.uint8).reshape(asked.height, asked.width, 3)
            reading = ocr.read(crop)
            if reading is None:
                send(link, WasRead())
            else:
                send(link, WasRead(reading.chances.astype(np.float32).tobytes(), reading.area_px, reading.sharpness))
    except (ClosedError, BrokenPipeError, ConnectionResetError):
        return


def main() -> int:
    os.nice(NICENESS)
    cv2.setNumThreads(1)
    serve(socket.socket(fileno=int(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
