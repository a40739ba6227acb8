"""Reading a TOML settings file into a typed struct, with errors that name file, line and key.

tomllib gives no line numbers, so on an error (and only then) the file is scanned for the line of the offending key.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")
_PATH_STEP = re.compile(r"\.([A-Za-z0-9_\-]+)|\[(\d+|\.\.\.)\]")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*("[^"]+"|'[^']+'|[A-Za-z0-9_\-]+)\s*=""")


class SettingsError(ValueError):
    """A settings file that cannot be used. The text says file, line, key, what was found and what was expected."""


def load_settings(path: Path, kind: type[T]) -> T:
    """Read `path` as `kind` (a msgspec struct that forbids unknown fields). Raises SettingsError, nothing else."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file. Give the path of a settings file with --config.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{path}:{line.group(1)}" if line else str(path)
        raise SettingsError(f"{where}: not valid TOML: {error}") from None
    try:
        return msgspec.convert(table, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, location = str(error).partition(" - at `$")
        steps = _steps(location.rstrip("`"))
        unknown = re.search(r"unknown field `([^`]+)`", message)
        missing = re.search(r"missing required field `([^`]+)`", message)
        named = (unknown or missing)
        key = ".".join(str(s) for s in [*steps, *( [named.group(1)] if named else [])])
        line_no = find_line(text, [*steps, unknown.group(1)] if unknown else steps)
        raise SettingsError(f"{path}:{line_no}: {key or 'the file'}: {message}") from None


def refuse(path: Path, keys: list[str | int], sentence: str) -> SettingsError:
    """An error for a value that parses and still cannot be: `raise refuse(path, ["cameras", 0, "height_agl_m"], ...)`."""
    try:
        line = find_line(path.read_text(encoding="utf-8"), keys)
    except OSError:
        line = 1
    return SettingsError(f"{path}:{line}: {'.'.join(str(k) for k in keys)}: {sentence}")


def find_line(text: str, keys: list[str | int]) -> int:
    """Line (from 1) where `keys` is set; the line of the nearest enclosing table when the key itself is not there."""
    best, best_depth = 1, 0
    counts: dict[tuple[str, ...], int] = {}
    here: list[str | int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            names = tuple(n.strip().strip("\"'") for n in header.group(2).split("."))
            if header.group(1) == "[[":
                counts[names] = counts.get(names, -1) + 1
            here = []
            for i in range(len(names)):
                here.append(names[i])
                if names[: i + 1] in counts:
                    here.append(counts[names[: i + 1]])
            candidate = here
        else:
            key = _KEY.match(line)
            if not key:
                continue
            candidate = [*here, key.group(1).strip("\"'")]
        depth = len(candidate)
        if depth > best_depth and candidate == keys[:depth]:
            best, best_depth = number, depth
    return best


def _steps(location: str) -> list[str | int]:
    steps: list[str | int] = []
    for name, index in _PATH_STEP.findall(location):
        if name:
            steps.append(name)
        elif index.isdigit():
            steps.append(int(index))
    return steps
