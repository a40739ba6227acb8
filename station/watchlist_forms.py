"""The forms of a list in a file, CSV, JSON and JSON lines: from bytes to fields by column, a line at a time, and back.

UTF-8 with or without a mark is read, and UTF-16 with one. Bytes that are no UTF-8 are never guessed at, since a guess would
change names: their line is told, and the others are read. A file in which nobody can say where a line ends is refused whole.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator

from station.nomination import COLUMNS, REQUIRED, visible
from station.sentences import Sentence
from station.watchlist_file import WatchlistError

DELIMITERS = (",", ";", "\t")       # spreadsheets write the one that their language is used to
FORMULA_BEGINS = "=+-@＝＋－＠\t\r"  # OWASP, "CSV Injection"

Line = tuple[int, dict[str, str] | str]     # number, and the fields by column or why it is none

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_NO_UTF8 = re.compile("[\udc80-\udcff]")    # what "surrogateescape" makes of bytes that are none
_FORMULA = re.compile(f"'*[{re.escape(FORMULA_BEGINS)}]")
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(name: str, content: bytes) -> Iterator[Line]:
    """The lines of a file by its ending. Raises WatchlistError, before or between lines, when it is of no use as a whole."""
    form = name.rpartition(".")[2].lower()
    if form not in FORMS:
        raise WatchlistError(
            f"{name}: a file ends in .csv, .json or .jsonl; this one's form cannot be told.", Sentence("import.no_form")
        )
    text, is_whole = decode(name, content)
    lines = FORMS[form](name, text)
    return lines if is_whole else _without_strange_bytes(lines)


def decode(name: str, content: bytes) -> tuple[str, bool]:
    """The text, and whether all of it could be read; where not, strange bytes stand in it as surrogates."""
    if content.startswith(_UTF32):
        raise WatchlistError(f"{name}: is UTF-32; save it as UTF-8.")
    if content.startswith(_UTF16):
        try:
            return content.decode("utf-16"), True
        except UnicodeDecodeError as error:
            raise WatchlistError(
                f"{name}: begins as UTF-16 and is none ({error.reason} at byte {error.start}); save it as UTF-8."
            ) from None
    zero = content.find(b"\0")
    if zero >= 0:
        raise WatchlistError(f"{name}: is no text, or UTF-16 without its mark (byte {zero} is zero); save it as UTF-8.")
    try:
        return content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return content.decode("utf-8-sig", "surrogateescape"), False


def write_rows(out: io.TextIOBase, form: str, rows: list[dict[str, str]]) -> None:
    """Fields by column, so that `read_lines` gives them again. In CSV no text is left that a spreadsheet would calculate."""
    if form == "csv":
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows({c: f"'{v}" if _FORMULA.match(v) else v for c, v in row.items()} for row in rows)
    elif form == "json":
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        out.write(f"[\n{lines}\n]\n")
    else:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _without_strange_bytes(lines: Iterator[Line]) -> Iterator[Line]:
    for number, fields in lines:
        if isinstance(fields, dict):
            strange = next(((c, m) for c, v in fields.items() if (m := _NO_UTF8.search(v))), None)
            if strange is not None:
                column, found = strange
                byte = ord(found.group()) - 0xDC00
                yield number, f"{column} is no UTF-8 text (byte 0x{byte:02X}); save the file as UTF-8"
                continue
        yield number, fields


# --------------------------------------------------------------------------------------------------------------- CSV


def _csv(name: str, text: str) -> Iterator[Line]:
    head = _LINE.match(text)
    delimiter = max(DELIMITERS, key=(head.group() if head else "").count)
    reader = csv.reader((m.group() for m in _LINE.finditer(text)), delimiter=delimiter, strict=True)
    try:
        names = [n.strip().lower() for n in next(reader, [])]
    except csv.Error as error:
        raise WatchlistError(f"{name}:1: not readable as CSV: {error}.") from None
    _check_columns(name, names)
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # From an open quote on nobody can say where a line ends.
            raise WatchlistError(f"{name}:{begins}: not readable as CSV from here on: {error}. Nothing was taken.") from None
        if len(row) > len(names):
            yield begins, "has more fields than there are columns; put quotes around text with commas"
        elif any(v.strip() for v in row):
            yield begins, {c: _as_text(v) for c, v in zip(names, row, strict=False)}


def _as_text(value: str) -> str:
    """Without the mark by which a spreadsheet, or `write_rows`, makes text of what it would calculate."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def _check_columns(name: str, names: list[str]) -> None:
    missing = [c for c in REQUIRED if c not in names]
    unknown = [n for n in names if n not in COLUMNS]
    if missing:
        raise WatchlistError(
            f"{name}:1: the column {', '.join(missing)} is missing. The columns are {', '.join(COLUMNS)}.",
            Sentence("import.no_column", {"column": ", ".join(missing), "known": ", ".join(COLUMNS)}),
        )
    if unknown:
        name_of = visible(unknown[0][:40])
        raise WatchlistError(
            f'{name}:1: the column "{name_of}" is unknown. The columns are {", ".join(COLUMNS)}.',
            Sentence("import.strange_column", {"column": name_of, "known": ", ".join(COLUMNS)}),
        )
    if len(set(names)) != len(names):
        raise WatchlistError(f"{name}:1: a column stands there twice.")


# -------------------------------------------------------------------------------------------------------------- JSON


class _Twice(str):
    """In place of an object: the key that stands there twice, of which a reader would silently keep the last."""


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object] | _Twice:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    keys = [k for k, _ in pairs]
    return _Twice(next(k for k in keys if keys.count(k) > 1))


def _jsonl(name: str, text: str) -> Iterator[Line]:
    for number, found in enumerate(_LINE.finditer(text), 1):
        line = found.group()
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_pairs)
        except (ValueError, RecursionError) as error:
            yield number, f"is not JSON: {error}"
            continue
        yield number, _fields(value)


def _json(name: str, text: str) -> Iterator[Line]:
    """An array of objects, each reported by the line that it begins in."""
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise WatchlistError(f"{name}: is no JSON array; write [ {{...}}, {{...}} ], or one object a line in a .jsonl file.")
    decoder, line, counted = json.JSONDecoder(object_pairs_hook=_pairs), 1, 0
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
    rest = _skip(text, at + 1)
    if rest < len(text):
        where = 1 + text.count("\n", 0, rest)
        raise WatchlistError(f"{name}:{where}: something stands after the end of the list. Nothing was taken.")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _fields(value: object) -> dict[str, str] | str:
    """The fields of an object as text, lists joined by ";", vehicles as objects too; or why it is none."""
    if isinstance(value, _Twice):
        return f'has the key "{visible(value[:40])}" twice; take one of them out'
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
    if isinstance(part, _Twice):
        return None
    if isinstance(part, str):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return str(part) if abs(part) < 10**12 else None
    if key == "vehicles" and isinstance(part, dict) and set(part) <= {"plate", "class", "colour"}:
        return "/".join(str(part.get(k) or "") for k in ("plate", "class", "colour")).rstrip("/")
    return None


FORMS: dict[str, Callable[[str, str], Iterator[Line]]] = {"csv": _csv, "json": _json, "jsonl": _jsonl}
