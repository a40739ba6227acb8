"""What really was in the shift, line by line: where each drone was, and where in its picture the walker was.

On the simulation's own word (SIM_STATE), not on what the drones believe of themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec


class DroneTruth(msgspec.Struct, frozen=True):
    """One drone at one moment. east_m, north_m: of the sector's frame. border_m: to the line, negative beyond it.

    followed_m: level distance to the walker; None where he is not in the world. at_px: of his middle in the drone's picture;
    None where he is behind the camera. in_picture, in_middle: whether that is inside, and inside the middle third of both
    sides. clear: whether the line of sight touches neither ground nor plant.
    """

    at_ns: int
    drone: str
    east_m: float
    north_m: float
    height_msl_m: float
    border_m: float
    followed_m: float | None = None
    at_px: tuple[float, float] | None = None
    in_picture: bool = False
    in_middle: bool = False
    clear: bool = False


class TruthBook:
    """Appends lines; one process writes."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("ab")

    def note(self, *truths: DroneTruth) -> None:
        for truth in truths:
            self._file.write(msgspec.json.encode(truth) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_truths(path: Path) -> Iterator[DroneTruth]:
    """All whole lines; the last one may be half written."""
    decoder = msgspec.json.Decoder(DroneTruth)
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield decoder.decode(line)
