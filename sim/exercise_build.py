"""Building an exercise: an exercise file as data that a page can change, and back, with the file's comments kept.

The file is the truth, and the loader is the judge: what is saved is what `load_exercise` takes, and what it refuses is not
saved, with its own words (line and key of the file as it would be). A value that did not change keeps its text, so a file
that is opened and saved again is the same file. Comments beside what was taken out go with it; whoever saves is told which.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import AoT, Array, InlineTable, Item, Table

from sim.exercise_kept import with_whole_paths
from sim.exercise_scenario import LIBRARY, Exercise, library, load_exercise
from wire.settings import SettingsError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
NEEDED = ("actors", "cameras")
WHO = ("name", "id", "measure")     # what an entry of a list of tables is known by
Data: TypeAlias = "dict[str, Any]"
_WHERE = re.compile(r"\.toml:(\d+): ([\w.\-\[\]]+): ")


class Opened(msgspec.Struct, frozen=True):
    """An exercise to be worked at. state: of the file, so that nobody saves over what somebody else saved since."""

    name: str
    is_own: bool
    data: Data
    text: str
    state: str


class Checked(msgspec.Struct, frozen=True):
    """text: the file as it would be. refused: why it would not be taken, empty where it would; with its line and key."""

    text: str
    refused: str
    line: int | None
    key: str
    lost_comments: tuple[str, ...]


def open_exercise(file: Path, is_own: bool) -> Opened:
    """Raises SettingsError."""
    text = _read(file)
    document = _parse(text, file)
    if not is_own:
        with_whole_paths(document, file.parent)     # it will be saved somewhere else
    return Opened(file.stem, is_own, _plain(document.unwrap()), tomlkit.dumps(document), state_of(text))


def data_of(text: str) -> Data | None:
    """What a file says; None for what is no TOML."""
    try:
        data: Data = _plain(tomlkit.parse(text).unwrap())
    except ParseError:
        return None
    return data


def blank() -> Opened:
    """An afternoon in which nothing happens, with the cameras of the demo."""
    configs = LIBRARY.parent
    text = "\n".join([
        "# An exercise built on the map. Its keys: docs/trainer.md; places along trails are metres from the border's end.",
        'name = "new-exercise"', "seed = 1", f'sector = "{configs}/sectors/laobao/sector.toml"',
        f'landscape = "{configs}/worlds/landscapes/laobao.toml"', "starts = 2026-11-24T14:30:00+07:00", "lasts_s = 600.0",
        "actors = []", "", "[exercise]", 'title = "A new exercise"', 'teaches = "Say what it teaches."', "seconds = 600.0",
        "nothing_to_find = true", "", "[trainees]", 'may_use = ["orders", "teams"]', 'brief = ""', "",
        *(line for n in (1, 2) for line in (
            "[[cameras]]", f'id = "camera-{n}"', f'like = "{configs}/demo/world/camera-{n}.toml"', "",
        )),
        "[[goals]]", 'measure = "false_alarms"', "at_most = 0.0", "",
    ])
    return Opened("", True, _plain(_parse(text, Path("new.toml")).unwrap()), text, "")


def check(folder: Path, name: str, base: Path | None, data: Data) -> tuple[Checked, Exercise | None]:
    """What would be saved, and whether the loader takes it. base: the file that was opened; None for a new one."""
    before = _base_text(folder, base)
    document = _parse(before, base or Path("new.toml"))
    if base is not None and base.parent != folder:
        with_whole_paths(document, base.parent)
    # A page has an empty list for what a file does not mention.
    said = {k: v for k, v in data.items() if v != [] or k in NEEDED}
    merge(document, said | {"name": name})
    return _judge(folder, name, without_gaps(tomlkit.dumps(document)), before)


def check_text(folder: Path, name: str, text: str, before: str = "") -> tuple[Checked, Exercise | None]:
    """The same of a file that somebody has written by hand."""
    try:
        document = tomlkit.parse(text)
    except ParseError as error:
        return Checked(text, f"{name}.toml:{error.line}: not valid TOML: {error}", error.line, "", ()), None
    if document.get("name") != name:
        document["name"] = name
    return _judge(folder, name, tomlkit.dumps(document), before)


def save(folder: Path, checked: Checked, name: str, state: str) -> Path:
    """Write what was checked. state: of the own file of this name when it was opened, empty where there was none.

    Raises SettingsError for a name that cannot be, a file that has changed since, and what the loader refused.
    """
    if not NAME.fullmatch(name):
        raise SettingsError(f'"{name}": a name has small letters, digits and -, 40 at the most, for example night-party-2')
    if name in {f.stem for f in library()}:
        raise SettingsError(f'"{name}" is an exercise of the library, which stays as it is; give yours another name')
    if checked.refused:
        raise SettingsError(checked.refused)
    file = folder / f"{name}.toml"
    if file.exists() and state_of(_read(file)) != state:
        raise SettingsError(f"{file.name}: is there already, and not as you opened it; open it again, or give another name")
    fresh = folder / f".{name}.{secrets.token_hex(4)}"
    try:
        fresh.write_text(checked.text, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror}") from None
    return file


def state_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]


def comments_of(text: str) -> list[str]:
    """Every comment of a TOML file, in order."""
    found = []
    for line in text.splitlines():
        quote = ""
        for i, letter in enumerate(line):
            if quote:
                if letter == quote and not (quote == '"' and line[i - 1] == "\\"):
                    quote = ""
            elif letter in "\"'":
                quote = letter
            elif letter == "#":
                found.append(line[i:].strip())
                break
    return found


# ------------------------------------------------------------------------------------------------------------- the file


def _judge(folder: Path, name: str, text: str, before: str) -> tuple[Checked, Exercise | None]:
    left = Counter(comments_of(before)) - Counter(comments_of(text))
    lost = tuple(left.elements())
    trial = folder / f".check-{secrets.token_hex(6)}.toml"
    try:
        trial.write_text(text, encoding="utf-8")
        return Checked(text, "", None, "", lost), load_exercise(trial)
    except SettingsError as error:
        words = str(error).replace(str(trial.resolve()), f"{name}.toml").replace(str(trial), f"{name}.toml")
        where = _WHERE.search(words)
        return Checked(text, words, int(where[1]) if where else None, where[2] if where else "", lost), None
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        trial.unlink(missing_ok=True)


def _base_text(folder: Path, base: Path | None) -> str:
    return _read(base) if base is not None else blank().text


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from None


def _parse(text: str, file: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except ParseError as error:
        raise SettingsError(f"{file}:{error.line}: not valid TOML: {error}") from None


def _plain(value: Any) -> Any:
    """For JSON: a date as its text, everything else as it is."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, datetime) else value


def without_gaps(text: str) -> str:
    """One empty line where tables were moved or taken out, and none of a text inside the file."""
    closer = re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"
    return closer if tomlkit.parse(closer).unwrap() == tomlkit.parse(text).unwrap() else text


# ----------------------------------------------------------------------------------------------------- data into the file


def merge(target: Any, data: Data) -> None:
    """Make a document, or a table of it, say what `data` says, and keep the text of what says so already."""
    for key in [k for k in target if k not in data or data[k] is None]:
        del target[key]
    for key, value in data.items():
        if value is None:
            continue
        there = target.get(key)
        if there is not None and _plain(there.unwrap() if isinstance(there, Item) else there) == value:
            continue
        if isinstance(there, Table) and isinstance(value, dict):
            merge(there, value)
        elif isinstance(there, AoT) and _are_tables(value):
            _merge_tables(there, value)
        elif there is None and isinstance(value, dict) and isinstance(target, tomlkit.TOMLDocument):
            table = tomlkit.table()
            merge(table, value)
            target[key] = table
        elif there is None and _are_tables(value) and isinstance(target, tomlkit.TOMLDocument):
            tables = tomlkit.aot()
            _merge_tables(tables, value)
            target[key] = tables
        elif isinstance(there, Array) and _are_tables(value) and isinstance(target, tomlkit.TOMLDocument):
            del target[key]         # `actors = []`: tables of their own from now on, after the plain keys
            tables = tomlkit.aot()
            _merge_tables(tables, value)
            target.append(key, tables)
        else:
            fresh = _item(value, there)
            if isinstance(there, Item) and not isinstance(fresh, AoT):
                fresh.trivia.comment, fresh.trivia.comment_ws = there.trivia.comment, there.trivia.comment_ws
            target[key] = fresh


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _merge_tables(there: AoT, wanted: list[Data]) -> None:
    """In the order that is wanted; an entry goes on in the table of the one that it was, and keeps its comments."""
    old = list(there)
    taken: set[int] = set()
    tables: list[Table] = []
    for n, value in enumerate(wanted):
        match = next((i for i, t in enumerate(old) if i not in taken and _same(t, value)), None)
        if match is None and not any(k in value for k in WHO) and n < len(old) and n not in taken:
            match = n
        if match is None:
            table = tomlkit.table()
        else:
            taken.add(match)
            table = old[match]
        merge(table, value)
        tables.append(table)
    while len(there):
        del there[0]
    for table in tables:
        if not table.as_string().endswith("\n\n"):
            table.add(tomlkit.nl())
        there.append(table)


def _same(table: Table, value: Data) -> bool:
    return any(k in value and table.get(k) == value[k] for k in WHO)


def _item(value: Any, there: Any) -> Any:
    """An item for a value; a date where there was one; lists of acts over several lines, one a line."""
    if isinstance(value, str) and isinstance(there, datetime):
        try:
            return tomlkit.item(datetime.fromisoformat(value))
        except ValueError:
            return tomlkit.item(value)
    if _are_tables(value):
        array = tomlkit.array()
        for entry in value:
            array.append(_inline(entry))
        return array.multiline(True)
    if isinstance(value, dict):
        return _inline(value)
    return tomlkit.item(value)


def _inline(value: Data) -> InlineTable:
    table = tomlkit.inline_table()
    for key, entry in value.items():
        if entry is None:
            continue
        if _are_tables(entry):
            array = tomlkit.array()
            for e in entry:
                array.append(_inline(e))
            table.append(key, array)
        else:
            table.append(key, _inline(entry) if isinstance(entry, dict) else tomlkit.item(entry))
    return table
