"""What an exercise's direction did, and what the map showed each second: a JSON object a line; a crash costs one line.

Every line has `what` and `at_s` (seconds of the exercise). "picture" lines hold the contacts that were on the map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wire.settings import SettingsError

NO_END = "the direction ended without a word; what was recorded until then is here"


class MapMoment(msgspec.Struct, frozen=True):
    """The map at one moment. contacts: id, latitude, longitude, state, class. unanswered: alarms that wait for a person."""

    at_s: float
    utc_ns: int
    contacts: tuple[tuple[str, float, float, str, str], ...]
    unanswered: int


class ExerciseLog:
    """The writer."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("ab")
        except OSError as error:
            raise SettingsError(f"{path}: the exercise's log cannot be written: {error}") from None

    def write(self, what: str, at_s: float, **more: Any) -> None:
        self._file.write(msgspec.json.encode({"what": what, "at_s": round(at_s, 3), **more}) + b"\n")
        self._file.flush()

    def picture(self, moment: MapMoment) -> None:
        self.write("picture", moment.at_s, utc_ns=moment.utc_ns, contacts=moment.contacts, unanswered=moment.unanswered)

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Every line that is whole. Raises SettingsError when there is no such file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: no log of an exercise: {error.strerror}") from None
    for line in data.splitlines():
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue        # a crash cut it short
        if isinstance(entry, dict) and "what" in entry:
            yield entry


def ended_early(log: Sequence[dict[str, Any]]) -> str:
    """Why a run that does not go on ended before its time, in words; empty where it came to its end."""
    why = next((str(e.get("detail", "")) for e in log if e["what"] == "crashed"), None)
    if why is not None:
        return why
    return "" if any(e["what"] == "ended" for e in log) else NO_END
