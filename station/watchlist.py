"""The watchlist: subjects and reports about them, sealed on the disk, every look at them recorded.

Records are sealed with AES-256-GCM under a key in the station's data folder, so that a stolen database or backup without
the key says nothing but how many records there are. Whoever runs these functions is named by the caller; the command line
names the operating system's user.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlite_utils import Database

from geofences.sector import Sector, load_sector
from station.record import Record, write_once
from station.settings import StationSettings
from station.store import Schema, StoreError, Synchronous, open_store, transaction
from station.subjects import Category, KnownVehicle, Report, Subject
from wire.clock import NS_PER_S, Clock, WallClock
from wire.settings import SettingsError
from wire.units import GroundPosition

NONCE_BYTES = 12            # NIST SP 800-38D recommends 96 bits
KEY_BYTES = 32
REPORT_RADIUS_M = 100.0
REPORT_LONGEST_NS = 72 * 3600 * NS_PER_S

T = TypeVar("T", Subject, Report)


class WatchlistError(SettingsError):
    """What a person asked of the watchlist cannot be; the text says why and what to do."""


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


def _watchlist_1(db: Database) -> None:
    db["subjects"].create({"id": str, "sealed": bytes, "changed_ns": int}, pk="id")
    db["reports"].create({"id": str, "subject": str, "sealed": bytes, "made_ns": int}, pk="id")


WATCHLIST = Schema("watchlist", (_watchlist_1,))


class Watchlist:
    """The sealed file, open. It records nothing itself: the functions below do for persons, and matching for matches."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        settings.make_folders()
        self._cipher = AESGCM(_ensure_key(settings))
        self._clock = clock
        self._path = settings.watchlist_db
        self._db = open_store(settings.watchlist_db, WATCHLIST, settings.realm, clock, Synchronous.FULL)

    def version(self) -> int:
        """A number that changes when another process has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def subjects(self) -> list[Subject]:
        return [self._open(i, s, Subject) for i, s in self._db.execute("SELECT id, sealed FROM subjects ORDER BY id")]

    def reports(self) -> list[Report]:
        return [self._open(i, s, Report) for i, s in self._db.execute("SELECT id, sealed FROM reports ORDER BY id")]

    def subject(self, subject_id: str) -> Subject:
        """Raises WatchlistError when there is none."""
        row = self._db.execute("SELECT sealed FROM subjects WHERE id = ?", (subject_id,)).fetchone()
        if row is None:
            raise WatchlistError(f'There is no subject "{subject_id}". `trailwatch watchlist list` shows those there are.')
        return self._open(subject_id, row[0], Subject)

    def add(self, drafts: list[Draft], person: str) -> list[Subject]:
        """Store all of them or none."""
        now_ns = self._clock.utc_ns()
        subjects = []
        with transaction(self._db):
            number = _next(self._db, "subjects")
            for i, d in enumerate(drafts):
                subject = Subject(
                    f"S-{number + i:06d}", d.category, d.label, d.plates, d.vehicles, d.corridors, d.hours, d.party_size,
                    d.reason, d.lawful_basis, d.what_to_do, d.expires_ns, person, now_ns,
                )
                self._write(subject)
                subjects.append(subject)
        return subjects

    def replace(self, subject: Subject) -> None:
        with transaction(self._db):
            self._write(subject)

    def add_report(self, report: Report) -> Report:
        with transaction(self._db):
            report = msgspec.structs.replace(report, id=f"R-{_next(self._db, 'reports'):06d}")
            self._db.execute(
                "INSERT INTO reports(id, subject, sealed, made_ns) VALUES (?, ?, ?, ?)",
                (report.id, report.subject, self._seal(report.id, report), report.made_ns),
            )
        return report

    def _write(self, subject: Subject) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO subjects(id, sealed, changed_ns) VALUES (?, ?, ?)",
            (subject.id, self._seal(subject.id, subject), self._clock.utc_ns()),
        )

    def _seal(self, name: str, value: Subject | Report) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        # The id is authenticated with it: a sealed record cannot be put in another one's place.
        return nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(value), name.encode("utf-8"))

    def _open(self, name: str, sealed: bytes, kind: type[T]) -> T:
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode("utf-8"))
        except InvalidTag:
            raise StoreError(
                f"{self._path}: record {name} does not open with this station's key: it was changed, or the key is another. "
                "Restore both from the same backup."
            ) from None
        return msgspec.msgpack.decode(plain, type=kind)

    def close(self) -> None:
        self._db.close()


# ------------------------------------------------------------------------------------------- what a person does with it


def add_subject(settings: StationSettings, person: str, draft: Draft, clock: Clock | None = None) -> Subject:
    """Nominate one subject. It matches nothing until a second person approves it."""
    return add_subjects(settings, person, [draft], clock)[0]


def add_subjects(
    settings: StationSettings, person: str, drafts: list[Draft], clock: Clock | None = None
) -> list[Subject]:
    clock = clock or WallClock()
    watchlist, record = Watchlist(settings, clock), Record(settings, clock)
    try:
        added = watchlist.add(drafts, person)
        for subject in added:
            record.append(person, "watchlist.nominated", {"subject": subject.id, "category": subject.category.value})
        return added
    finally:
        watchlist.close()
        record.close()


def list_subjects(settings: StationSettings, person: str, clock: Clock | None = None) -> list[Subject]:
    """All subjects. That somebody listed them is recorded before they are returned."""
    clock = clock or WallClock()
    watchlist, record = Watchlist(settings, clock), Record(settings, clock)
    try:
        subjects = watchlist.subjects()
        record.append(person, "watchlist.listed", {"subjects": len(subjects)})
        return subjects
    finally:
        watchlist.close()
        record.close()


def look_at_subject(
    settings: StationSettings, person: str, subject_id: str, why: str = "", clock: Clock | None = None
) -> Subject:
    """One subject; the look is recorded before it is returned. Raises WatchlistError when there is none."""
    clock = clock or WallClock()
    watchlist, record = Watchlist(settings, clock), Record(settings, clock)
    try:
        subject = watchlist.subject(subject_id)
        record.append(person, "watchlist.looked", {"subject": subject_id, "why": why})
        return subject
    finally:
        watchlist.close()
        record.close()


def approve_subject(settings: StationSettings, person: str, subject_id: str, clock: Clock | None = None) -> Subject:
    """Approve a nomination. Raises WatchlistError when the same person nominated it, or it is approved or expired."""
    clock = clock or WallClock()
    watchlist, record = Watchlist(settings, clock), Record(settings, clock)
    try:
        subject = watchlist.subject(subject_id)
        if subject.nominated_by == person:
            raise WatchlistError(f"{subject_id} was nominated by {person}; a second person has to approve it.")
        if subject.approved_by is not None:
            raise WatchlistError(f"{subject_id} was approved by {subject.approved_by} already.")
        if subject.expires_ns <= clock.utc_ns():
            raise WatchlistError(f"{subject_id} has expired; nominate it anew, with a reason that holds today.")
        subject = msgspec.structs.replace(subject, approved_by=person, approved_ns=clock.utc_ns())
        watchlist.replace(subject)
        record.append(person, "watchlist.approved", {"subject": subject_id})
        return subject
    finally:
        watchlist.close()
        record.close()


def expire_subject(
    settings: StationSettings, person: str, subject_id: str, reason: str = "", clock: Clock | None = None
) -> Subject:
    """End a record now; from here on it matches nothing."""
    clock = clock or WallClock()
    watchlist, record = Watchlist(settings, clock), Record(settings, clock)
    try:
        subject = watchlist.subject(subject_id)
        now_ns = clock.utc_ns()
        if subject.expires_ns > now_ns:
            subject = msgspec.structs.replace(subject, expires_ns=now_ns)
            watchlist.replace(subject)
        record.append(person, "watchlist.expired", {"subject": subject_id, "reason": reason})
        return subject
    finally:
        watchlist.close()
        record.close()


def report_subject(
    settings: StationSettings,
    person: str,
    subject_id: str,
    from_ns: int,
    until_ns: int,
    reported_by: str,
    corridor: str | None = None,
    position: GroundPosition | None = None,
    radius_m: float = REPORT_RADIUS_M,
    says: str = "",
    clock: Clock | None = None,
) -> Report:
    """Note that somebody reports a subject at a place in a time window. reported_by: who says so, by name; never empty.

    Raises WatchlistError when the place is not one of this sector, or the window is empty or longer than three days.
    """
    clock = clock or WallClock()
    _check_report(load_sector(settings.sector), reported_by, corridor, position, radius_m, from_ns, until_ns)
    watchlist, record = Watchlist(settings, clock), Record(settings, clock)
    try:
        watchlist.subject(subject_id)
        report = watchlist.add_report(
            Report(
                "", subject_id, reported_by.strip(), corridor, position, radius_m, from_ns, until_ns, clock.utc_ns(), says
            )
        )
        record.append(person, "watchlist.reported", {"subject": subject_id, "report": report.id})
        return report
    finally:
        watchlist.close()
        record.close()


def _check_report(
    sector: Sector, reported_by: str, corridor: str | None, position: GroundPosition | None, radius_m: float,
    from_ns: int, until_ns: int,
) -> None:
    known = [c.id for c in sector.corridor_set.corridors]
    if not reported_by.strip():
        raise WatchlistError("A report needs the name of the person who gives it; an anonymous one names nobody.")
    if (corridor is None) == (position is None):
        raise WatchlistError("Give either a corridor or a position, with a radius in metres.")
    if corridor is not None and corridor not in known:
        raise WatchlistError(f'There is no corridor "{corridor}" in this sector. There are: {", ".join(known)}.')
    if position is not None and not 1.0 <= radius_m <= 2000.0:
        raise WatchlistError(f"A radius of {radius_m} m; give 1 to 2000.")
    if not 0 < until_ns - from_ns <= REPORT_LONGEST_NS:
        raise WatchlistError("The time window must end after it begins, and be no longer than 72 hours.")


def _next(db: sqlite3.Connection, table: str) -> int:
    row = db.execute(f"SELECT max(id) FROM {table}").fetchone()
    return int(str(row[0]).split("-")[1]) + 1 if row[0] else 1


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
