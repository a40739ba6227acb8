"""From what a person typed, or a line of a CSV file, to a checked nomination, with every problem named."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from geofences.sector import Sector, load_sector
from station.matching import clean_plate
from station.settings import StationSettings
from station.subjects import Category, KnownVehicle, Subject
from station.watchlist import Draft, WatchlistError, add_subjects
from wire.clock import NS_PER_S, Clock, WallClock
from wire.codec import TEXT_LIMIT
from wire.units import ObjectClass

REQUIRED = ("category", "label", "reason", "lawful_basis", "what_to_do", "expires")
OPTIONAL = ("plates", "vehicles", "corridors", "hours", "party_size")
COLUMNS = REQUIRED + OPTIONAL
CSV_LIMIT_BYTES = 5_000_000
PLATE_CHARACTERS = (4, 12)
PARTY_LIMIT = 200
Wrong = Callable[[str, str], None]       # column, sentence
VEHICLE_CLASSES = tuple(c for c in ObjectClass if c is not ObjectClass.PERSON)


@dataclass(frozen=True, slots=True)
class Problem:
    """line: in the file, from 1; 0 for what was typed. column: "" when it is the line as a whole."""

    line: int
    column: str
    sentence: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.column + ': ' if self.column else ''}{self.sentence}"


@dataclass(frozen=True, slots=True)
class Imported:
    """added: nominations now waiting for approval. problems: line by line; with any, nothing was added unless asked to."""

    added: tuple[Subject, ...]
    problems: tuple[Problem, ...]
    lines: int

    def __str__(self) -> str:
        head = f"{len(self.added)} of {self.lines} lines added; a second person has to approve each."
        if self.problems and not self.added:
            head = f"Nothing added: {len({p.line for p in self.problems})} of {self.lines} lines have problems."
        return "\n".join([head, *(f"  {p}" for p in self.problems)])


def import_csv(
    settings: StationSettings, person: str, file: Path, take_good_lines: bool = False, clock: Clock | None = None
) -> Imported:
    """Nominate the subjects of a CSV file (UTF-8, first line the column names, see COLUMNS).

    All lines or none, unless take_good_lines. Several values in one field are parted by ";"; a vehicle is
    PLATE or PLATE/class or PLATE/class/colour; hours are HH:MM-HH:MM; expires is YYYY-MM-DD, to the end of that day.
    Raises WatchlistError when the file as a whole cannot be used.
    """
    clock = clock or WallClock()
    sector = load_sector(settings.sector)
    drafts: list[Draft] = []
    problems: list[Problem] = []
    lines = 0
    for line, fields in _read(file):
        lines += 1
        if fields is None:
            problems.append(Problem(line, "", "has more fields than there are columns; put quotes around text with commas"))
            continue
        draft, found = make_draft(fields, sector, clock.utc_ns(), line)
        problems += found
        if draft is not None:
            drafts.append(draft)
    if problems and not take_good_lines:
        drafts = []
    return Imported(tuple(add_subjects(settings, person, drafts, clock)) if drafts else (), tuple(problems), lines)


def make_draft(
    fields: Mapping[str, str], sector: Sector, now_ns: int, line: int = 0
) -> tuple[Draft | None, list[Problem]]:
    """Check the fields of one nomination, by column name. Returns the draft, or None and every problem."""
    problems: list[Problem] = []

    def wrong(column: str, sentence: str) -> None:
        problems.append(Problem(line, column, sentence))

    text = {c: (fields.get(c) or "").strip() for c in COLUMNS}
    for column in REQUIRED:
        if not text[column]:
            wrong(column, "is empty; every record needs one")
    for column in COLUMNS:
        if len(text[column]) > TEXT_LIMIT:
            wrong(column, f"{len(text[column])} characters; the limit is {TEXT_LIMIT}")
    category = next((c for c in Category if c.value == text["category"]), None)
    if category is None and text["category"]:
        wrong("category", f'"{text["category"]}" is none of {", ".join(c.value for c in Category)}')
    expires_ns = _expires(text["expires"], sector.utc_offset_min, now_ns, wrong) if text["expires"] else None
    plates = tuple(p for p in _split(text["plates"]) if _is_plate(p, "plates", wrong))
    vehicles = tuple(v for p in _split(text["vehicles"]) if (v := _vehicle(p, wrong)) is not None)
    known = {c.id for c in sector.corridor_set.corridors}
    corridors = tuple(_split(text["corridors"]))
    for corridor in corridors:
        if corridor not in known:
            wrong("corridors", f'"{corridor}" is no corridor of this sector; there are {", ".join(sorted(known))}')
    hours = _hours(text["hours"], wrong) if text["hours"] else None
    party_size = _party(text["party_size"], wrong) if text["party_size"] else None
    if problems or category is None or expires_ns is None:
        return None, problems
    return Draft(
        category, text["label"], text["reason"], text["lawful_basis"], text["what_to_do"], expires_ns, plates, vehicles,
        corridors, hours, party_size,
    ), []


def describe(subjects: list[Subject], now_ns: int) -> str:
    """A table of subjects for a terminal: id, lane, category, state, expiry, identifiers, label."""
    rows = [("id", "lane", "category", "state", "expires", "identifiers", "label")]
    for s in subjects:
        if now_ns >= s.expires_ns:
            state = "expired"
        else:
            state = "approved" if s.approved_by else "waits for approval"
        expires = datetime.fromtimestamp(s.expires_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")
        identifiers = ", ".join([*s.plates, *(v.plate for v in s.vehicles)]) or "-"
        rows.append((s.id, s.lane.value, s.category.value, state, expires, identifiers, s.label))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _read(file: Path) -> list[tuple[int, dict[str, str] | None]]:
    try:
        if file.stat().st_size > CSV_LIMIT_BYTES:
            raise WatchlistError(f"{file}: larger than {CSV_LIMIT_BYTES // 1_000_000} MB; part it into several files.")
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise WatchlistError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise WatchlistError(f"{file}: cannot be read: {error.strerror}.") from None
    reader = csv.DictReader(content.splitlines(keepends=True), restkey="", strict=True)
    try:
        names = [n.strip() for n in reader.fieldnames or []]
        _check_columns(file, names)
        reader.fieldnames = names
        return [
            (reader.line_num, None if "" in row else dict(row))
            for row in reader
            if any((v or "").strip() for k, v in row.items() if k)
        ]
    except csv.Error as error:
        raise WatchlistError(f"{file}:{reader.line_num}: not readable as CSV: {error}.") from None


def _check_columns(file: Path, names: list[str]) -> None:
    missing = [c for c in REQUIRED if c not in names]
    unknown = [n for n in names if n not in COLUMNS]
    if missing:
        raise WatchlistError(f"{file}:1: the column {', '.join(missing)} is missing. The columns are {', '.join(COLUMNS)}.")
    if unknown:
        raise WatchlistError(f'{file}:1: the column "{unknown[0]}" is unknown. The columns are {", ".join(COLUMNS)}.')
    if len(set(names)) != len(names):
        raise WatchlistError(f"{file}:1: a column stands there twice.")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _is_plate(text: str, column: str, wrong: Wrong) -> bool:
    least, most = PLATE_CHARACTERS
    if least <= len(clean_plate(text)) <= most:
        return True
    wrong(column, f'"{text}": a plate has {least} to {most} letters and digits, for example 74C-123.45')
    return False


def _vehicle(text: str, wrong: Wrong) -> KnownVehicle | None:
    plate, _, rest = text.partition("/")
    kind, _, colour = rest.partition("/")
    if not _is_plate(plate, "vehicles", wrong):
        return None
    if kind.strip() and kind.strip() not in [c.value for c in VEHICLE_CLASSES]:
        wrong("vehicles", f'"{kind}" is none of {", ".join(c.value for c in VEHICLE_CLASSES)}')
        return None
    return KnownVehicle(plate.strip(), ObjectClass(kind.strip()) if kind.strip() else None, colour.strip())


def _expires(text: str, utc_offset_min: int, now_ns: int, wrong: Wrong) -> int | None:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        wrong("expires", f'"{text}" is no date; write it as YYYY-MM-DD')
        return None
    end = day + timedelta(days=1) - timedelta(minutes=utc_offset_min)
    expires_ns = round(end.timestamp()) * NS_PER_S
    if expires_ns <= now_ns:
        wrong("expires", f"{text} is over; a record that has expired matches nothing")
        return None
    return expires_ns


def _hours(text: str, wrong: Wrong) -> tuple[int, int] | None:
    start, _, end = text.partition("-")
    minutes = (_minute(start), _minute(end))
    if minutes[0] is None or minutes[1] is None:
        wrong("hours", f'"{text}": write local hours as HH:MM-HH:MM, for example 22:00-04:30')
        return None
    return minutes[0], minutes[1]


def _minute(text: str) -> int | None:
    hours, _, minutes = text.strip().partition(":")
    if hours.isdigit() and minutes.isdigit() and len(minutes) == 2 and int(minutes) < 60:
        total = int(hours) * 60 + int(minutes)
        return total if total <= 1440 else None
    return None


def _party(text: str, wrong: Wrong) -> int | None:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= PARTY_LIMIT:
        return int(text)
    wrong("party_size", f'"{text}": give a whole number from 1 to {PARTY_LIMIT}')
    return None

