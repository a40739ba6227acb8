"""The watchlist from and to a file, CSV or JSON: every line checked, every bad one named, and the good ones offered.

What is good is nominated in one transaction, and waits for a second person like any other nomination; what is bad is
reported by line, key, and what to do. Nothing is ever half in: not a line, and not the file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from geofences.sector import load_sector
from station.nomination import COLUMNS, REQUIRED, Problem, fields_of, make_draft
from station.settings import StationSettings
from station.subjects import Subject
from station.watchlist import add_subjects, export_subjects
from station.watchlist_file import Draft, WatchlistError
from wire.clock import Clock, WallClock

FILE_LIMIT_BYTES = 64_000_000       # about 200,000 records; a longer list is parted
NAMED_LIMIT = 200                   # problems that a report names one by one
FORMATS = ("csv", "json", "jsonl")

Line = tuple[int, dict[str, str] | str]     # number, and the fields by column or why it is none


@dataclass(frozen=True, slots=True)
class Imported:
    """added: nominations now waiting for approval. problems: line by line. lines: records that the file has."""

    added: tuple[Subject, ...]
    problems: tuple[Problem, ...]
    lines: int

    @property
    def bad_lines(self) -> int:
        return len({p.line for p in self.problems})

    def __str__(self) -> str:
        if self.problems and not self.added:
            head = f"Nothing added: {self.bad_lines} of {self.lines} lines have problems."
        else:
            head = f"{len(self.added)} of {self.lines} lines added"
            head += f" ({self.added[0].id} to {self.added[-1].id})" if self.added else ""
            head += "; a second person has to approve each."
        said = [f"  {p}" for p in self.problems[:NAMED_LIMIT]]
        if len(self.problems) > NAMED_LIMIT:
            said.append(f"  and {len(self.problems) - NAMED_LIMIT} more problems; put these right first")
        return "\n".join([head, *said])


class ImportReport(msgspec.Struct, frozen=True):
    """An import as the web answers it. added: how many; first, last: their ids."""

    lines: int
    added: int
    first: str
    last: str
    problems: tuple[tuple[int, str, str], ...]

    @classmethod
    def of(cls, found: Imported) -> ImportReport:
        first, last = (found.added[0].id, found.added[-1].id) if found.added else ("", "")
        problems = tuple((p.line, p.column, p.sentence) for p in found.problems[:NAMED_LIMIT])
        return cls(found.lines, len(found.added), first, last, problems)


def import_file(
    settings: StationSettings, person: str, file: Path, all_or_nothing: bool = False, clock: Clock | None = None
) -> Imported:
    """Nominate the subjects of a file; its ending says which form it has (.csv, .json, .jsonl).

    all_or_nothing: with one bad line nothing is taken. Raises WatchlistError when the file as a whole cannot be used.
    """
    try:
        if file.stat().st_size > FILE_LIMIT_BYTES:
            raise WatchlistError(f"{file}: larger than {FILE_LIMIT_BYTES // 1_000_000} MB; part it into several files.")
        content = file.read_bytes()
    except OSError as error:
        raise WatchlistError(f"{file}: cannot be read: {error.strerror}.") from None
    return import_content(settings, person, file.name, content, all_or_nothing, clock)


def import_content(
    settings: StationSettings, person: str, name: str, content: bytes, all_or_nothing: bool = False,
    clock: Clock | None = None,
) -> Imported:
    """As import_file, from what was sent. name: of the file; its ending says the form."""
    clock = clock or WallClock()
    form = name.rpartition(".")[2].lower()
    if form not in FORMATS:
        raise WatchlistError(f"{name}: a file ends in .csv, .json or .jsonl; this one's form cannot be told.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WatchlistError(f"{name}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    sector, now_ns = load_sector(settings.sector), clock.utc_ns()
    drafts: list[Draft] = []
    problems: list[Problem] = []
    first_line_of: dict[Draft, int] = {}
    lines = 0
    for line, fields in {"csv": _csv, "json": _json, "jsonl": _jsonl}[form](name, text):
        lines += 1
        if isinstance(fields, str):
            problems.append(Problem(line, "", fields))
            continue
        draft, found = make_draft(fields, sector, now_ns, line)
        problems += found
        if draft is None:
            continue
        if draft in first_line_of:
            problems.append(Problem(line, "", f"says the same as line {first_line_of[draft]}; take one of them out"))
            continue
        first_line_of[draft] = line
        drafts.append(draft)
    if problems and all_or_nothing:
        drafts = []
    digest = hashlib.sha256(content).hexdigest()
    added = add_subjects(settings, person, drafts, name, digest, clock) if drafts else []
    return Imported(tuple(added), tuple(problems), lines)


def export_file(
    settings: StationSettings, person: str, file: Path, why: str, clock: Clock | None = None
) -> int:
    """Write the whole list, for its owner alone; `import_file` takes it again. Returns how many records.

    Raises WatchlistError without a reason, for a form that is none, or when the file is there already.
    """
    form = file.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise WatchlistError(f"{file}: give a name that ends in .csv, .json or .jsonl.")
    if file.exists():
        raise WatchlistError(f"{file}: is there already, and is not overwritten; name another file.")
    offset = load_sector(settings.sector).utc_offset_min
    subjects = export_subjects(settings, person, why, clock)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            _write(out, form, [fields_of(s, offset) for s in subjects])
    except OSError as error:
        raise WatchlistError(f"{file}: cannot be written: {error.strerror}.") from None
    return len(subjects)


def _write(out: io.TextIOBase, form: str, rows: list[dict[str, str]]) -> None:
    if form == "csv":
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    elif form == "json":
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        out.write(f"[\n{lines}\n]\n")
    else:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# --------------------------------------------------------------------------------------------------------- the forms


def _csv(name: str, text: str) -> Iterator[Line]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        names = [n.strip() for n in reader.fieldnames or []]
    except csv.Error as error:
        raise WatchlistError(f"{name}:{reader.line_num}: not readable as CSV: {error}.") from None
    _check_columns(name, names)
    reader.fieldnames = names
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # From an open quote on nobody can say where a line ends.
            raise WatchlistError(f"{name}:{begins}: not readable as CSV from here on: {error}. Nothing was taken.") from None
        if "" in row:
            yield reader.line_num, "has more fields than there are columns; put quotes around text with commas"
        elif any((v or "").strip() for v in row.values()):
            yield reader.line_num, dict(row)


def _check_columns(name: str, names: list[str]) -> None:
    missing = [c for c in REQUIRED if c not in names]
    unknown = [n for n in names if n not in COLUMNS]
    if missing:
        raise WatchlistError(f"{name}:1: the column {', '.join(missing)} is missing. The columns are {', '.join(COLUMNS)}.")
    if unknown:
        raise WatchlistError(f'{name}:1: the column "{unknown[0]}" is unknown. The columns are {", ".join(COLUMNS)}.')
    if len(set(names)) != len(names):
        raise WatchlistError(f"{name}:1: a column stands there twice.")


def _jsonl(name: str, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"is not JSON: {error}"
            continue
        yield number, _fields(value)


def _json(name: str, text: str) -> Iterator[Line]:
    """An array of objects, each reported by the line that it begins in."""
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise WatchlistError(f"{name}: is no JSON array; write [ {{...}}, {{...}} ], or one object a line in a .jsonl file.")
    decoder, line, counted = json.JSONDecoder(), 1, 0
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line += text.count("\n", counted, at)
        counted = at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            where = line + text.count("\n", counted, getattr(error, "pos", counted))
            raise WatchlistError(f"{name}:{where}: not readable as JSON: {reason}. Nothing was taken.") from None
        yield line, _fields(value)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            where = 1 + text.count("\n", 0, at)
            raise WatchlistError(f"{name}:{where}: a comma or the end of the list is missing. Nothing was taken.")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _fields(value: object) -> dict[str, str] | str:
    """The fields of an object as text, lists joined by ";", vehicles as objects too; or why it is none."""
    if not isinstance(value, dict):
        return "is no object with the columns as its keys"
    unknown = [str(k) for k in value if k not in COLUMNS]
    if unknown:
        return f'the key "{unknown[0][:40]}" is unknown; the keys are {", ".join(COLUMNS)}'
    fields: dict[str, str] = {}
    for key, entry in value.items():
        parts: Iterable[object] = entry if isinstance(entry, list) else [entry]
        texts = [_text(key, part) for part in parts]
        if any(t is None for t in texts):
            return f'"{key}" is neither text nor a number nor a list of texts'
        fields[key] = "; ".join(t for t in texts if t)
    return fields


def _text(key: str, part: object) -> str | None:
    if part is None:
        return ""
    if isinstance(part, str):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return str(part) if abs(part) < 10**12 else None
    if key == "vehicles" and isinstance(part, dict) and set(part) <= {"plate", "class", "colour"}:
        return "/".join(str(part.get(k) or "") for k in ("plate", "class", "colour")).rstrip("/")
    return None
