"""The watchlist from and to a file: every line checked, every bad one named, and the good ones offered.

What is good is nominated in one transaction, and waits for a second person like any other nomination; what is bad is
reported by line, key, and what to do. Nothing is ever half in: not a line, and not the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from geofences.sector import load_sector
from station.matching_plates import canonical_plate, clean_plate
from station.nomination import Problem, fields_of, make_draft
from station.sentences import Sentence
from station.settings import StationSettings
from station.watchlist import Office, export_subjects, office
from station.watchlist_file import Draft, WatchlistError, subject_id
from station.watchlist_forms import FORMS, read_lines, write_rows
from station.watchlist_index import WatchlistIndex
from wire.clock import Clock, WallClock

FILE_LIMIT_BYTES = 200_000_000      # some 600,000 records; a longer list is parted
NAMED_LIMIT = 200                   # problems that a report names one by one
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Imported:
    """added: nominations now waiting for approval, from id `first` to `last`. problems, notes: line by line; a line with a
    problem was not taken, one with a note was. lines: records that the file has."""

    added: int
    first: str
    last: str
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    lines: int

    @property
    def bad_lines(self) -> int:
        return len({p.line for p in self.problems})

    def __str__(self) -> str:
        if self.problems and not self.added:
            head = f"Nothing added: {self.bad_lines} of {self.lines} lines have problems."
        else:
            head = f"{self.added} of {self.lines} lines added"
            head += f" ({self.first} to {self.last})" if self.added else ""
            head += "; a second person has to approve each."
        said = [head, *_named(self.problems, "more problems; put these right first")]
        if self.notes:
            said += ["Look at these; they do not keep a line out:", *_named(self.notes, "more of these")]
        return "\n".join(said)


def _named(found: tuple[Problem, ...], rest: str) -> list[str]:
    said = [f"  {p}" for p in found[:NAMED_LIMIT]]
    return [*said, f"  and {len(found) - NAMED_LIMIT} {rest}"] if len(found) > NAMED_LIMIT else said


@dataclass(slots=True)
class _Checked:
    """drafts: packed, so that a long list is not held as objects. plates: as they are compared, with all their lines."""

    drafts: list[bytes] = field(default_factory=list)
    lines_of: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """What `import_content` would do with a file: good lines by category, and what it would say of the others."""

    good: dict[str, int]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    lines: int
    sha256: str


def preview_content(
    settings: StationSettings, person: str, name: str, content: bytes, clock: Clock | None = None
) -> Preview:
    """Check a file and take nothing. Since it tells which plates are listed already, it is a look, and recorded as one.

    Raises WatchlistError when the file as a whole cannot be used.
    """
    clock = clock or WallClock()
    checked = _check(settings, name, content, clock.utc_ns())
    digest = hashlib.sha256(content).hexdigest()
    good: dict[str, int] = {}
    for draft in _unpacked(checked.drafts):
        good[draft.category.value] = good.get(draft.category.value, 0) + 1
    with office(settings, person, clock) as desk:
        desk.note("import_previewed", file=name, sha256=digest, subjects=len(checked.drafts), lines=checked.lines)
        known = _listed_already(desk, checked)
    notes = sorted([*checked.notes, *known], key=lambda p: p.line)
    return Preview(good, tuple(checked.problems), tuple(notes), checked.lines, digest)


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
    checked = _check(settings, name, content, clock.utc_ns())
    if not checked.drafts or (checked.problems and all_or_nothing):
        return Imported(0, "", "", tuple(checked.problems), tuple(checked.notes), checked.lines)
    digest = hashlib.sha256(content).hexdigest()
    del content
    with office(settings, person, clock) as desk:
        known = _listed_already(desk, checked)
        first, last = desk.list.take(
            _unpacked(checked.drafts), person,
            lambda first, last: desk.note(
                "imported", first=subject_id(first), last=subject_id(last), subjects=last - first + 1, file=name,
                sha256=digest, listed_already=len(known),
            ),
        )
    notes = sorted([*checked.notes, *known], key=lambda p: p.line)
    return Imported(
        last - first + 1, subject_id(first), subject_id(last), tuple(checked.problems), tuple(notes), checked.lines
    )


def _check(settings: StationSettings, name: str, content: bytes, now_ns: int) -> _Checked:
    """Every line of a file; it touches neither the list nor the record."""
    sector = load_sector(settings.sector)
    checked = _Checked()
    line_of_draft: dict[bytes, int] = {}
    line_of_plate: dict[str, int] = {}
    for line, fields in read_lines(name, content):
        checked.lines += 1
        if isinstance(fields, str):
            checked.problems.append(Problem(line, "", fields))
            continue
        draft, found = make_draft(fields, sector, now_ns, line)
        checked.problems += found
        if draft is None:
            continue
        packed = msgspec.msgpack.encode(draft)
        same = line_of_draft.setdefault(hashlib.blake2b(packed, digest_size=DIGEST_BYTES).digest(), line)
        if same != line:
            checked.problems.append(Problem(
                line, "", f"says the same as line {same}; take one of them out", Sentence("import.same", {"line": same})
            ))
            continue
        for plate in _plates(draft):
            before = line_of_plate.setdefault(clean_plate(plate), line)
            if before != line:
                checked.notes.append(Problem(
                    line, "plates", f"{plate} stands in line {before} as well",
                    Sentence("import.plate_again", {"plate": plate, "line": before}),
                ))
        checked.drafts.append(packed)
        checked.lines_of.append(line)
    return checked


def _listed_already(desk: Office, checked: _Checked) -> list[Problem]:
    """Plates that a record of the list has, which is not over yet."""
    rows = desk.list.changed_since(0)
    if not rows:
        return []
    index = WatchlistIndex()
    index.take(rows)
    now_ns = desk.clock.utc_ns()
    found = []
    for line, draft in zip(checked.lines_of, _unpacked(checked.drafts), strict=True):
        for plate in _plates(draft):
            for number in index.find([desk.list.plate_key(canonical_plate(plate))]):
                subject = desk.list.find(number)
                listed = {clean_plate(p) for p in subject.all_plates} if subject and now_ns < subject.expires_ns else set()
                if clean_plate(plate) in listed:
                    found.append(Problem(
                        line, "plates", f"{plate} is on the list already, with {subject_id(number)}",
                        Sentence("import.plate_listed", {"plate": plate, "subject": subject_id(number)}),
                    ))
    return found


def _plates(draft: Draft) -> tuple[str, ...]:
    by_text = {clean_plate(p): p for p in (*(v.plate for v in draft.vehicles), *draft.plates)}
    return tuple(by_text.values())


def _unpacked(drafts: list[bytes]) -> Iterator[Draft]:
    decoder = msgspec.msgpack.Decoder(Draft)
    return (decoder.decode(packed) for packed in drafts)


def export_file(
    settings: StationSettings, person: str, file: Path, why: str, clock: Clock | None = None
) -> int:
    """Write the whole list, for its owner alone; `import_file` takes it again. Returns how many records.

    Raises WatchlistError without a reason, for a form that is none, or when the file is there already.
    """
    form = file.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise WatchlistError(f"{file}: give a name that ends in .csv, .json or .jsonl.")
    if file.exists():
        raise WatchlistError(f"{file}: is there already, and is not overwritten; name another file.")
    offset = load_sector(settings.sector).utc_offset_min
    subjects = export_subjects(settings, person, why, clock)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            write_rows(out, form, [fields_of(s, offset) for s in subjects])
    except OSError as error:
        raise WatchlistError(f"{file}: cannot be written: {error.strerror}.") from None
    return len(subjects)
