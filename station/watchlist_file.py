"""The watchlist's file: records and reports sealed on the disk, found by keyed hashes, with what changed since a look.

Records are sealed with AES-256-GCM under a key in the station's data folder, so that a stolen database or backup without
the key says nothing but how many records there are, which of them are approved, and which share a plate. Every row carries
the number of its last change: whoever holds an index reads only what is new.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlite_utils import Database

from station.matching_plates import canonical_plate
from station.matching_weights import Weights
from station.record import write_once
from station.sentences import Sentence
from station.settings import StationSettings
from station.store import Schema, StoreError, Synchronous, open_or_read, open_store, transaction
from station.subjects import Category, KnownVehicle, Report, Subject
from wire.clock import Clock
from wire.settings import SettingsError

NONCE_BYTES = 12            # NIST SP 800-38D recommends 96 bits
KEY_BYTES = 32
PLATE_KEY_BYTES = 8
READ_AT_ONCE = 5_000

T = TypeVar("T", Subject, Report, Weights)


class WatchlistError(SettingsError):
    """What a person asked of the watchlist cannot be; the text says why and what to do, `says` the same on a screen."""

    def __init__(self, text: str, says: Sentence | None = None) -> None:
        super().__init__(text)
        self.says = says


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person nominates; checked by station.nomination. Fields as in Subject."""

    category: Category
    label: str
    reason: str
    lawful_basis: str
    what_to_do: str
    expires_ns: int
    plates: tuple[str, ...] = ()
    vehicles: tuple[KnownVehicle, ...] = ()
    corridors: tuple[str, ...] = ()
    hours: tuple[int, int] | None = None
    party_size: int | None = None
    days: tuple[int, ...] = ()


class WeightsEvent(msgspec.Struct, frozen=True):
    """What became of a version of the weights. event: proposed, accepted or taken_back."""

    version: int
    event: str
    person: str
    at_ns: int


def _watchlist_1(db: Database) -> None:
    db["subjects"].create({"id": str, "sealed": bytes, "changed_ns": int}, pk="id")
    db["reports"].create({"id": str, "subject": str, "sealed": bytes, "made_ns": int}, pk="id")


def _watchlist_2(db: Database) -> None:
    for table in ("subjects", "reports"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN number INTEGER")
        db.execute(f"UPDATE {table} SET number = CAST(substr(id, 3) AS INTEGER)")
        db.execute(f"CREATE UNIQUE INDEX {table}_number ON {table}(number)")
    db.execute("ALTER TABLE subjects ADD COLUMN change INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE subjects ADD COLUMN approved INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE subjects ADD COLUMN keys BLOB")     # NULL until somebody with the key has opened the file
    db.execute("UPDATE subjects SET change = number")
    # Holds all that an index asks for, so that its loading reads no sealed record.
    db.execute("CREATE INDEX subjects_changes ON subjects(change, number, approved, keys)")
    db["weights"].create({"version": int, "sealed": bytes}, pk="version")
    db["weights_events"].create(
        {"number": int, "version": int, "event": str, "person": str, "at_ns": int}, pk="number"
    )
    db.execute("INSERT INTO meta(key, value) VALUES ('deletions', '0')")


WATCHLIST = Schema("watchlist", (_watchlist_1, _watchlist_2))


def subject_id(number: int) -> str:
    return f"S-{number:06d}"


def subject_number(text: str) -> int | None:
    """The number in an id like "S-000123"; None for anything else."""
    digits = text.removeprefix("S-")
    return int(digits) if digits != text and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


class Watchlist:
    """The sealed file, open. It records nothing itself: station.watchlist does for persons, and matching for matches."""

    def __init__(self, settings: StationSettings, clock: Clock, as_far_as_it_goes: bool = False) -> None:
        """as_far_as_it_goes: a damaged or locked file opens for reading, see station.store.open_or_read and `trouble`.

        Raises StoreError or SettingsError.
        """
        settings.make_folders()
        key = _ensure_key(settings)
        self._cipher = AESGCM(key)
        secret = hashlib.blake2b(b"trailwatch plates", key=key).digest()[:32]
        self._plate_hash = hashlib.blake2b(digest_size=PLATE_KEY_BYTES, key=secret)
        self._clock = clock
        self._path = settings.watchlist_db
        opened = open_or_read if as_far_as_it_goes else open_store
        self._db = opened(settings.watchlist_db, WATCHLIST, settings.realm, clock, Synchronous.FULL)
        self.trouble = self._db.trouble
        if not self.trouble:
            self._key_old_records()

    # --------------------------------------------------------------------------------------------------- what is there

    def version(self) -> int:
        """A number that changes when another process has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def deletions(self) -> int:
        """A number that changes when records or reports were deleted."""
        return int(self._db.execute("SELECT value FROM meta WHERE key = 'deletions'").fetchone()[0])

    def changed_since(self, change: int) -> list[tuple[int, int, int, bytes]]:
        """(number, change, approved, keys) of the records changed after `change`, in the order of their changes."""
        rows = self._db.execute(
            "SELECT number, change, approved, keys FROM subjects INDEXED BY subjects_changes WHERE change > ? "
            "ORDER BY change, number", (change,),
        )
        return [(n, c, a, k or b"") for n, c, a, k in rows]

    def sealed_since(self, change: int) -> list[tuple[int, bytes]]:
        return self._db.execute("SELECT number, sealed FROM subjects WHERE change > ?", (change,)).fetchall()

    def subjects(self) -> list[Subject]:
        return list(self.each_subject())

    def each_subject(self) -> Iterator[Subject]:
        """All of them by their numbers; a long list is never held whole."""
        last = 0
        while True:
            rows = self._db.execute(
                "SELECT number, id, sealed FROM subjects WHERE number > ? ORDER BY number LIMIT ?", (last, READ_AT_ONCE)
            ).fetchall()
            if not rows:
                return
            for last, name, sealed in rows:     # noqa: B007 - the next query begins after it
                yield self._open(name, sealed, Subject)

    def newest(self, before: int, at_most: int) -> tuple[list[Subject], int, int]:
        """Records below the number `before`, the newest first. Then how many of these rows did not open (somebody tampered
        with them; that must not hide the others), and the number to go on before (0: there are no more).
        """
        rows = self._db.execute(
            "SELECT number, id, sealed FROM subjects WHERE number < ? ORDER BY number DESC LIMIT ?", (before, at_most)
        ).fetchall()
        found, unopened = [], 0
        for _, name, sealed in rows:
            try:
                found.append(self._open(name, sealed, Subject))
            except StoreError:
                unopened += 1
        return found, unopened, int(rows[-1][0]) if len(rows) == at_most else 0

    def reports(self, after: int = 0) -> list[tuple[int, Report]]:
        """With their numbers, those above `after`."""
        rows = self._db.execute("SELECT number, id, sealed FROM reports WHERE number > ? ORDER BY number", (after,))
        return [(n, self._open(i, s, Report)) for n, i, s in rows]

    def find(self, number: int) -> Subject | None:
        row = self._db.execute("SELECT id, sealed FROM subjects WHERE number = ?", (number,)).fetchone()
        return None if row is None else self._open(row[0], row[1], Subject)

    def unseal(self, number: int, sealed: bytes) -> Subject:
        return self._open(subject_id(number), sealed, Subject)

    def subject(self, subject: str) -> Subject:
        """Raises WatchlistError when there is none."""
        number = subject_number(subject)
        found = None if number is None else self.find(number)
        if found is None:
            raise WatchlistError(
                f'There is no subject "{subject}". `trailwatch watchlist list` shows those there are.',
                Sentence("refused.no_such_subject"),
            )
        return found

    def plate_key(self, text: str) -> int:
        """Where a plate (as it is to be compared) is found: 64 bits, worth nothing without the station's key."""
        digest = self._plate_hash.copy()        # keyed once: hundreds are asked for each plate that is new
        digest.update(text.encode("ascii", "replace"))
        return int.from_bytes(digest.digest(), "little")

    # -------------------------------------------------------------------------------------------------------- writing

    def add(self, drafts: Iterable[Draft], person: str, note: Callable[[int, int], None] | None = None) -> list[Subject]:
        """Store all of them or none, and return them; else as `take`."""
        subjects: list[Subject] = []
        self.take(drafts, person, note, subjects.append)
        return subjects

    def take(
        self, drafts: Iterable[Draft], person: str, note: Callable[[int, int], None] | None = None,
        each: Callable[[Subject], None] | None = None,
    ) -> tuple[int, int]:
        """Store all of them or none. Returns the first and the last number; the last is less where there were none.

        note: called with both before it is committed; whatever it raises takes everything back. each: given every record.
        """
        now_ns = self._clock.utc_ns()
        with transaction(self._db):
            number = first = _next(self._db, "subjects")
            change = self._next_change()
            for d in drafts:
                subject = Subject(
                    subject_id(number), d.category, d.label, d.plates, d.vehicles, d.corridors, d.hours, d.party_size,
                    d.reason, d.lawful_basis, d.what_to_do, d.expires_ns, person, now_ns, days=d.days,
                )
                self._write(number, subject, change)
                if each is not None:
                    each(subject)
                number += 1
            if note is not None and number > first:
                note(first, number - 1)
        return first, number - 1

    def replace(self, subject: Subject) -> None:
        number = subject_number(subject.id)
        assert number is not None
        with transaction(self._db):
            self._write(number, subject, self._next_change())

    def approve(self, subjects: Iterable[Subject], person: str, note: Callable[[int], None]) -> list[Subject]:
        """Approve all of them or none. note: called with how many before it is committed."""
        now_ns = self._clock.utc_ns()
        approved = []
        with transaction(self._db):
            change = self._next_change()
            for subject in subjects:
                number = subject_number(subject.id)
                assert number is not None
                approved.append(msgspec.structs.replace(subject, approved_by=person, approved_ns=now_ns))
                self._write(number, approved[-1], change)
            note(len(approved))
        return approved

    def add_report(self, report: Report) -> Report:
        with transaction(self._db):
            number = _next(self._db, "reports")
            report = msgspec.structs.replace(report, id=f"R-{number:06d}")
            self._db.execute(
                "INSERT INTO reports(id, number, subject, sealed, made_ns) VALUES (?, ?, ?, ?, ?)",
                (report.id, number, report.subject, self._seal(report.id, report), report.made_ns),
            )
        return report

    def delete(self, subjects: list[str], reports: list[str], note: Callable[[], None]) -> None:
        """Delete records and reports for good. note: called before it is committed."""
        with transaction(self._db):
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executemany("DELETE FROM subjects WHERE id = ?", [(s,) for s in subjects])
            self._db.executemany("DELETE FROM reports WHERE id = ?", [(r,) for r in reports])
            self._db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'deletions'")
            note()

    # -------------------------------------------------------------------------------------------------------- weights

    def weights_events(self) -> list[WeightsEvent]:
        rows = self._db.execute("SELECT version, event, person, at_ns FROM weights_events ORDER BY number")
        return [WeightsEvent(*row) for row in rows]

    def weights(self, version: int) -> Weights:
        """Raises WatchlistError when there is no such version."""
        row = self._db.execute("SELECT sealed FROM weights WHERE version = ?", (version,)).fetchone()
        if row is None:
            raise WatchlistError(f"There are no weights of version {version}.")
        return self._open(f"weights {version}", row[0], Weights)

    def weights_in_force(self) -> Weights:
        """The newest version that was accepted and not taken back; version 0, the assumed ones, where there is none."""
        standing: list[int] = []
        for e in self.weights_events():
            if e.event == "accepted":
                standing.append(e.version)
            elif e.event == "taken_back":
                standing = [v for v in standing if v != e.version]
        return self.weights(standing[-1]) if standing else Weights()

    def propose_weights(self, weights: Weights, person: str, note: Callable[[int], None]) -> Weights:
        """Keep them under the next version. note: called with it before it is committed."""
        with transaction(self._db):
            version = int(self._db.execute("SELECT coalesce(max(version), 0) + 1 FROM weights").fetchone()[0])
            weights = msgspec.structs.replace(weights, version=version)
            self._db.execute(
                "INSERT INTO weights(version, sealed) VALUES (?, ?)", (version, self._seal(f"weights {version}", weights))
            )
            self._event(version, "proposed", person)
            note(version)
        return weights

    def note_weights(self, version: int, event: str, person: str, note: Callable[[], None]) -> None:
        with transaction(self._db):
            self._event(version, event, person)
            note()

    def _event(self, version: int, event: str, person: str) -> None:
        self._db.execute(
            "INSERT INTO weights_events(version, event, person, at_ns) VALUES (?, ?, ?, ?)",
            (version, event, person, self._clock.utc_ns()),
        )

    # ------------------------------------------------------------------------------------------------------- the seal

    def _write(self, number: int, subject: Subject, change: int) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO subjects(id, number, sealed, changed_ns, change, approved, keys) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                subject.id, number, self._seal(subject.id, subject), self._clock.utc_ns(), change,
                int(subject.approved_by is not None and subject.approved_by != subject.nominated_by), self._keys(subject),
            ),
        )

    def _keys(self, subject: Subject) -> bytes:
        canonical = dict.fromkeys(canonical_plate(p) for p in subject.all_plates)
        return b"".join(self.plate_key(p).to_bytes(PLATE_KEY_BYTES, "little") for p in canonical)

    def _next_change(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(change), 0) + 1 FROM subjects").fetchone()[0])

    def _key_old_records(self) -> None:
        """Records from before there were keys get theirs, once."""
        rows = self._db.execute("SELECT number, id, sealed FROM subjects WHERE keys IS NULL").fetchall()
        if not rows:
            return
        with transaction(self._db):
            change = self._next_change()
            for number, name, sealed in rows:
                try:
                    self._write(number, self._open(name, sealed, Subject), change)
                except StoreError:
                    continue        # does not open: said when it is looked at, and it keeps nobody else from being found

    def _seal(self, name: str, value: Subject | Report | Weights) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        # The id is authenticated with it: a sealed record cannot be put in another one's place.
        return nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(value), name.encode("utf-8"))

    def _open(self, name: str, sealed: bytes, kind: type[T]) -> T:
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode("utf-8"))
            return msgspec.msgpack.decode(plain, type=kind)
        except (InvalidTag, TypeError, ValueError, msgspec.DecodeError):
            raise StoreError(
                f"{self._path}: record {name} does not open with this station's key: it was changed, or the key is another. "
                "Restore both from the same backup."
            ) from None

    def close(self) -> None:
        self._db.close()


def _next(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT coalesce(max(number), 0) + 1 FROM {table}").fetchone()[0])


def _ensure_key(settings: StationSettings) -> bytes:
    path = settings.watchlist_key
    if not path.exists():
        # Looked at again: whoever made the list's file made the key before it.
        if settings.watchlist_db.exists() and not path.exists():
            raise SettingsError(
                f"{path}: is gone, and the watchlist it opens is not. Put the key back from the backup, or move the list "
                "away."
            )
        write_once(path, os.urandom(KEY_BYTES))
    try:
        key = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise SettingsError(f"{path}: a key of {len(key)} bytes; it has {KEY_BYTES}. Put it back from the backup.")
    return key
