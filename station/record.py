"""The record: who looked at what and decided what, so that an auditor can tell whether a line was changed or taken out.

Append-only. Each entry carries the SHA-256 of the entry before it and is signed with the station's Ed25519 key; several
processes append, one at a time. `verify` needs the file and the public key alone. What no chain can show is that its newest
entries were cut off: whoever audits notes the head (number and hash) and looks for it the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlite_utils import Database

from station.settings import StationSettings
from station.store import Schema, StoreError, Synchronous, open_or_read, transaction
from wire.clock import Clock
from wire.settings import SettingsError

FIRST_PREVIOUS = "0" * 64


class Entry(msgspec.Struct, frozen=True):
    """One line of the record. hash: SHA-256 over all before it in this struct, in hex. signature: Ed25519 over the hash."""

    number: int
    at_ns: int
    person: str
    action: str
    details: str
    previous: str
    hash: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """entries: how many were found good, from the first on. broken: what is wrong with the next one; None when all hold."""

    entries: int
    head: str
    broken: str | None

    def __str__(self) -> str:
        if self.broken is None:
            return f"{self.entries} entries, unbroken; head {self.head}. Note it, and look for it the next time."
        return f"Broken after {self.entries} good entries: {self.broken}"


def _record_1(db: Database) -> None:
    db["entries"].create(
        {
            "number": int, "at_ns": int, "person": str, "action": str, "details": str, "previous": str, "hash": str,
            "signature": bytes,
        },
        pk="number",
    )
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER entries_no_{verb.lower()} BEFORE {verb} ON entries "
            "BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END"
        )


RECORD = Schema("record", (_record_1,))


class Record:
    """The record, open for appending. Raises StoreError or SettingsError when file or key cannot be used."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        settings.make_folders()
        self._clock = clock
        self._key = _ensure_key(settings)
        # Not checked here: it is opened for single entries too, and `verify` looks deeper than SQLite does.
        self._db = open_or_read(
            settings.record_db, RECORD, settings.realm, clock, Synchronous.FULL, busy_timeout_s=10.0, check_within_s=0
        )

    @property
    def trouble(self) -> str:
        """Why nothing can be appended, in words; then nothing that must be recorded can be done. Empty: all is well."""
        return self._db.trouble

    def append(self, person: str, action: str, details: dict[str, str | int | float] | None = None) -> Entry:
        """Add one entry; on the disk when this returns. details: no content of a watchlist record, ids alone."""
        return self.append_all(person, action, [details or {}])[0]

    def append_all(self, person: str, action: str, lines: Sequence[Mapping[str, str | int | float]]) -> list[Entry]:
        """Add an entry for each of these details, all or none; on the disk, with one commit, when this returns."""
        entries: list[Entry] = []
        with transaction(self._db):
            last = self._db.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
            number, previous = (int(last[0]) + 1, str(last[1])) if last else (1, FIRST_PREVIOUS)
            at_ns = self._clock.utc_ns()
            for details in lines:
                text = json.dumps(details, sort_keys=True, ensure_ascii=False)
                digest = _digest(number, at_ns, person, action, text, previous)
                entries.append(Entry(number, at_ns, person, action, text, previous, digest.hex(), self._key.sign(digest)))
                number, previous = number + 1, entries[-1].hash
            rows = [msgspec.structs.astuple(e) for e in entries]
            self._db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return entries

    def close(self) -> None:
        self._db.close()


def verify(record_db: Path, public_key: Path) -> Verdict:
    """Walk the record of any station offline. Raises SettingsError when a file cannot be read."""
    try:
        key = serialization.load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{public_key}: not a readable public key: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"{public_key}: not an Ed25519 key")
    if not record_db.exists():
        raise SettingsError(f"{record_db}: there is no such file")
    conn = sqlite3.connect(record_db, isolation_level=None)
    good, previous = 0, FIRST_PREVIOUS
    try:
        conn.execute("PRAGMA query_only = ON")
        for row in conn.execute("SELECT * FROM entries ORDER BY number"):
            entry = Entry(*row)
            broken = _fault(entry, good + 1, previous, key)
            if broken is not None:
                return Verdict(good, previous, broken)
            good, previous = entry.number, entry.hash
    except sqlite3.Error as error:
        raise StoreError(f"{record_db}: {error}") from None
    finally:
        conn.close()
    return Verdict(good, previous, None)


def public_key_file(settings: StationSettings) -> Path:
    return settings.record_key.with_suffix(".pub")


def _fault(entry: Entry, number: int, previous: str, key: Ed25519PublicKey) -> str | None:
    where = f"entry {entry.number}"
    if entry.number != number:
        return f"entry {number} is missing (the next one found is {entry.number})"
    if entry.previous != previous:
        return f"{where} does not follow on the one before it: one of the two was exchanged"
    digest = _digest(entry.number, entry.at_ns, entry.person, entry.action, entry.details, entry.previous)
    if digest.hex() != entry.hash:
        return f"{where} was changed: its content does not give its hash"
    try:
        key.verify(bytes(entry.signature), digest)
    except InvalidSignature:
        return f"{where} was not signed by this station's key"
    return None


def _digest(number: int, at_ns: int, person: str, action: str, details: str, previous: str) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode((number, at_ns, person, action, details, previous))).digest()


def _ensure_key(settings: StationSettings) -> Ed25519PrivateKey:
    path = settings.record_key
    if not path.exists():
        # Looked at again: whoever made the record's file made the key before it.
        if settings.record_db.exists() and not path.exists():
            raise SettingsError(
                f"{path}: is gone, and the record it signs is not. Put the key back from the backup, or move the record "
                "away."
            )
        made = Ed25519PrivateKey.generate()
        secret = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_once(path, secret)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not a readable private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: not an Ed25519 key")
    if not public_key_file(settings).exists():
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_once(public_key_file(settings), public)
    return key


def write_once(path: Path, content: bytes) -> bool:
    """Write a file for the owner alone, whole or not at all, and only if it is not there yet; False when it is.

    Of several processes, or threads of one, that try at once one wins, and the others find its whole file.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True
