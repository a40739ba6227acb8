"""Who may sit in front of this station: accounts, their roles, their sessions, and the brake on guessing.

Passwords are kept as argon2id hashes, session tokens as SHA-256 digests: who copies the file can log in with neither.
Everything is in people.db, so that a restart forgets no session and no failed attempt.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import argon2
from sqlite_utils import Database

from station.picture import Sentence
from station.settings import StationSettings
from station.store import RESTORE_ADVICE, Schema, StoreError, open_or_read, transaction
from wire.clock import NS_PER_S, Clock, WallClock
from wire.units import Realm

PASSWORD_MIN_CHARACTERS = 12        # NIST SP 800-63B: length counts, rules about letters do not
PASSWORD_MAX_CHARACTERS = 256       # argon2 reads all of it
NAME_MAX_CHARACTERS = 64
ONE_TIME_PASSWORD_BYTES = 12        # 16 characters, 96 bits
SESSION_TOKEN_BYTES = 32
TOKEN_PREFIX = "tw_"                # so that a leaked one is recognised
IDLE_S = 60 * 60                    # an open live feed counts as use: a watched map is never logged out for being quiet
ABSOLUTE_S = 13 * 60 * 60           # a shift of 12 h, and the hand-over
TOUCH_S = 60                        # "last used" is written this often at most
FAILURE_WINDOW_S = 10 * 60
FAILURES_HERE = 5                   # of one account from one address, within the window
FAILURES_OF_ADDRESS = 30            # of all accounts from one address
FAILURES_OF_ACCOUNT = 60            # of one account from everywhere; high, or strangers could lock out a person at will


class Role(StrEnum):
    OPERATOR = "operator"
    PILOT = "pilot"
    TRAINER = "trainer"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


WHO_DECIDES = frozenset({Role.OPERATOR, Role.PILOT, Role.TRAINER, Role.SUPERVISOR, Role.ADMINISTRATOR})


class AccessError(ValueError):
    """Not allowed, or not possible. `says` is for the screen, the text for the command line."""

    def __init__(self, says: Sentence, text: str, retry_after_s: int = 0) -> None:
        super().__init__(text)
        self.says = says
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: Role
    must_change_password: bool
    created_ns: int
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A login. `csrf` must stand in the header of every request that changes something."""

    person: Person
    token: str
    csrf: str
    ends_ns: int


def _people_1(db: Database) -> None:
    db["people"].create({"name": str, "role": str, "hash": str, "must_change": int, "created_ns": int}, pk="name")
    db["sessions"].create({"digest": bytes, "person": str, "address": str, "created_ns": int, "used_ns": int}, pk="digest")
    db["failures"].create({"person": str, "address": str, "at_ns": int})
    db["failures"].create_index(["at_ns"])


def _people_2(db: Database) -> None:
    # Of machines, as digests; each in the name of an account, and reads what that account may.
    db["tokens"].create(
        {"digest": bytes, "person": str, "label": str, "created_ns": int, "expires_ns": int, "used_ns": int}, pk="digest"
    )


def _people_3(db: Database) -> None:
    # An account is never deleted: the record names it. One that is disabled opens nothing.
    db.execute("ALTER TABLE people ADD COLUMN disabled_ns INTEGER NOT NULL DEFAULT 0")


PEOPLE = Schema("people", (_people_1, _people_2, _people_3))


class People:
    """people.db. Safe to use from several threads; argon2 runs outside the lock."""

    def __init__(
        self, path: Path, realm: Realm, clock: Clock, hasher: argon2.PasswordHasher | None = None
    ) -> None:
        """Open or create. hasher: argon2id as RFC 9106 recommends unless told.

        Raises StoreError when the file belongs to the other realm or cannot be used.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._hasher = hasher or argon2.PasswordHasher()
        self._conn = open_or_read(path, PEOPLE, realm, clock)
        self.trouble, self.stand_in = self._conn.trouble, self._conn.stand_in
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def close(self) -> None:
        with self._lock:
            self._conn.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._conn) as conn:
            yield conn

    # ------------------------------------------------------------------------------------------------------- accounts

    def add(self, name: str, role: Role, password: str | None = None) -> str:
        """Make an account. Returns its password, a one-time one when none was given (to be changed at first login)."""
        if not 0 < len(name) <= NAME_MAX_CHARACTERS or name != name.strip() or not name.isprintable():
            raise AccessError(
                Sentence("refused.name", {"most": NAME_MAX_CHARACTERS}),
                f'"{name}": a name has 1 to {NAME_MAX_CHARACTERS} visible characters and no space around it',
            )
        if password is not None:
            check_password(password)
        word = password or secrets.token_urlsafe(ONE_TIME_PASSWORD_BYTES)
        hashed = self._hasher.hash(word)
        try:
            with self._writing():
                self._conn.execute(
                    "INSERT INTO people(name, role, hash, must_change, created_ns) VALUES (?, ?, ?, ?, ?)",
                    [name, role.value, hashed, int(password is None), self._clock.utc_ns()],
                )
        except sqlite3.IntegrityError:
            raise AccessError(Sentence("refused.name_taken", {"name": name}), f'"{name}" has an account already') from None
        return word

    def set_password(self, name: str, password: str | None = None) -> str:
        """Set a password, or a one-time one when none is given, and end every session of that person."""
        if password is not None:
            check_password(password)
        word = password or secrets.token_urlsafe(ONE_TIME_PASSWORD_BYTES)
        hashed = self._hasher.hash(word)
        with self._writing():
            changed = self._conn.execute(
                "UPDATE people SET hash = ?, must_change = ? WHERE name = ?", [hashed, int(password is None), name]
            ).rowcount
            self._conn.execute("DELETE FROM sessions WHERE person = ?", [name])
            self._conn.execute("DELETE FROM tokens WHERE person = ?", [name])
            self._conn.execute("DELETE FROM failures WHERE person = ?", [_key(name)])
        if not changed:
            raise _no_account(name)
        return word

    def everyone(self) -> list[Person]:
        with self._lock:
            rows = self._conn.execute(
                "SELECT name, role, must_change, created_ns, disabled_ns FROM people ORDER BY name"
            ).fetchall()
        return [Person(name, Role(role), bool(must), born, bool(off)) for name, role, must, born, off in rows]

    def set_role(self, name: str, role: Role) -> None:
        """Raises AccessError for a name that is none, and for the last administrator. Every session of that person ends."""
        with self._writing():
            self._check_account(name, stays=role is Role.ADMINISTRATOR)
            self._conn.execute("UPDATE people SET role = ? WHERE name = ?", [role.value, name])
            self._conn.execute("DELETE FROM sessions WHERE person = ?", [name])

    def set_disabled(self, name: str, disabled: bool) -> None:
        """A disabled account logs in nowhere; its sessions and tokens end. Raises AccessError as set_role does."""
        with self._writing():
            self._check_account(name, stays=not disabled)
            off_ns = self._clock.utc_ns() if disabled else 0
            self._conn.execute("UPDATE people SET disabled_ns = ? WHERE name = ?", [off_ns, name])
            if disabled:
                self._conn.execute("DELETE FROM sessions WHERE person = ?", [name])
                self._conn.execute("DELETE FROM tokens WHERE person = ?", [name])

    def _check_account(self, name: str, stays: bool) -> None:
        """stays: an administrator who can log in, if it is one. Without any, nobody could let anybody in again."""
        there = self._conn.execute("SELECT 1 FROM people WHERE name = ?", [name]).fetchone()
        if there is None:
            raise _no_account(name)
        others = self._conn.execute(
            "SELECT count(*) FROM people WHERE role = ? AND disabled_ns = 0 AND name <> ?", [Role.ADMINISTRATOR.value, name]
        ).fetchone()[0]
        if not stays and not others:
            raise AccessError(Sentence("refused.last_administrator"), f'"{name}" is the last administrator')

    # ------------------------------------------------------------------------------------------------------- sessions

    def log_in(self, name: str, password: str, address: str, at_console: bool = False) -> Session:
        """Check a password. Takes as long for a name that does not exist. Raises AccessError.

        The attempt is counted before the password is looked at, so that many at the same moment are braked as well.
        """
        now = self._clock.utc_ns()
        self._brake(name, address, now, at_console)
        with self._lock:
            row = self._conn.execute("SELECT hash, disabled_ns FROM people WHERE name = ?", [name]).fetchone()
        fits = self._fits(row[0] if row else self._nobody, password)
        if not (row and fits):
            raise AccessError(Sentence("refused.login"), "name or password is wrong")
        if row[1]:
            raise AccessError(Sentence("refused.disabled"), f'the account "{name}" is disabled')
        with self._writing():
            self._conn.execute("DELETE FROM failures WHERE person = ? AND address = ?", [_key(name), address])
            if self._hasher.check_needs_rehash(row[0]):
                self._conn.execute("UPDATE people SET hash = ? WHERE name = ?", [self._hasher.hash(password), name])
            return self._open_session(name, address, now)

    def session(self, token: str) -> Session | None:
        """The session of a token while it lasts, and a note that it was used."""
        now = self._clock.utc_ns()
        digest = _digest(token)
        with self._lock:
            row = self._conn.execute(
                "SELECT p.name, p.role, p.must_change, p.created_ns, s.created_ns, s.used_ns FROM sessions s "
                "JOIN people p ON p.name = s.person WHERE s.digest = ? AND p.disabled_ns = 0",
                [digest],
            ).fetchone()
            if row is None:
                return None
            name, role, must, born, created, used = row
            ends = min(created + ABSOLUTE_S * NS_PER_S, used + IDLE_S * NS_PER_S)
            if not created <= now + TOUCH_S * NS_PER_S or now >= ends:
                with transaction(self._conn):
                    self._conn.execute("DELETE FROM sessions WHERE digest = ?", [digest])
                return None
            if now - used >= TOUCH_S * NS_PER_S:
                self._touch("UPDATE sessions SET used_ns = ? WHERE digest = ?", [now, digest])
        return Session(Person(name, Role(role), bool(must), born), token, csrf_of(token), ends)

    def lasts(self, session: Session) -> bool:
        """Whether a session, of a person or of a token, still holds; asking counts as use."""
        again = self.token_session if session.token.startswith(TOKEN_PREFIX) and not session.csrf else self.session
        return again(session.token) is not None

    # --------------------------------------------------------------------------------------------------------- tokens

    def make_token(self, name: str, label: str, days: float) -> str:
        """A machine's word for an account; it reads, and changes nothing. Raises AccessError for a name that is none."""
        now, token = self._clock.utc_ns(), TOKEN_PREFIX + secrets.token_urlsafe(SESSION_TOKEN_BYTES)
        with self._writing():
            found = self._conn.execute("SELECT disabled_ns FROM people WHERE name = ?", [name]).fetchone()
            if found is None:
                raise AccessError(Sentence("refused.no_such_person", {"name": name}), f'"{name}": there is no such account')
            if found[0]:
                raise AccessError(Sentence("refused.disabled"), f'the account "{name}" is disabled')
            self._conn.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, 0)",
                [_digest(token), name, label, now, now + round(days * 86_400 * NS_PER_S)],
            )
        return token

    def token_session(self, token: str) -> Session | None:
        """What a token stands for while it lasts: a session that can change nothing, for it has no csrf."""
        now = self._clock.utc_ns()
        with self._lock:
            row = self._conn.execute(
                "SELECT p.name, p.role, p.must_change, p.created_ns, t.expires_ns, t.used_ns FROM tokens t "
                "JOIN people p ON p.name = t.person WHERE t.digest = ? AND p.disabled_ns = 0", [_digest(token)],
            ).fetchone()
            if row is None or now >= row[4]:
                return None
            if now - row[5] >= TOUCH_S * NS_PER_S:
                self._touch("UPDATE tokens SET used_ns = ? WHERE digest = ?", [now, _digest(token)])
        name, role, must, born, expires, _ = row
        return Session(Person(name, Role(role), bool(must), born), token, "", expires)

    def tokens(self) -> list[tuple[str, str, int, int]]:
        """Of each token: account, label, when it ends, when it was last used (0: never)."""
        with self._lock:
            return self._conn.execute(
                "SELECT person, label, expires_ns, used_ns FROM tokens ORDER BY person, label"
            ).fetchall()

    def revoke_tokens(self, name: str, label: str) -> int:
        """Returns how many were ended."""
        with self._writing():
            return self._conn.execute("DELETE FROM tokens WHERE person = ? AND label = ?", [name, label]).rowcount

    def _touch(self, sql: str, values: list[object]) -> None:
        """Note that something was used; the lock is held. A disk that takes nothing must not end a watch."""
        with contextlib.suppress(sqlite3.Error), transaction(self._conn):
            self._conn.execute(sql, values)

    def log_out(self, token: str) -> None:
        with self._writing():
            self._conn.execute("DELETE FROM sessions WHERE digest = ?", [_digest(token)])

    def change_password(self, session: Session, old: str, new: str, address: str, at_console: bool = False) -> Session:
        """A person sets a password of their own; all their sessions end, and a new one begins."""
        now = self._clock.utc_ns()
        name = session.person.name
        self._brake(name, address, now, at_console)
        with self._lock:
            row = self._conn.execute("SELECT hash FROM people WHERE name = ?", [name]).fetchone()
        if row is None or not self._fits(row[0], old):
            raise AccessError(Sentence("refused.old_password"), "the present password is wrong")
        check_password(new)
        if hmac.compare_digest(old.encode(), new.encode()):
            raise AccessError(Sentence("refused.same_password"), "the new password is the present one")
        hashed = self._hasher.hash(new)
        with self._writing():
            self._conn.execute("UPDATE people SET hash = ?, must_change = 0 WHERE name = ?", [hashed, name])
            self._conn.execute("DELETE FROM sessions WHERE person = ?", [name])
            self._conn.execute("DELETE FROM failures WHERE person = ? AND address = ?", [_key(name), address])
            return self._open_session(name, address, now)

    def _open_session(self, name: str, address: str, now: int) -> Session:
        """A fresh token; the lock is held and the transaction open. Sessions that have ended go on this occasion."""
        token = secrets.token_urlsafe(SESSION_TOKEN_BYTES)
        self._conn.execute(
            "DELETE FROM sessions WHERE created_ns < ? OR used_ns < ?",
            [now - ABSOLUTE_S * NS_PER_S, now - IDLE_S * NS_PER_S],
        )
        self._conn.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", [_digest(token), name, address, now, now])
        role, must, born = self._conn.execute(
            "SELECT role, must_change, created_ns FROM people WHERE name = ?", [name]
        ).fetchone()
        return Session(Person(name, Role(role), bool(must), born), token, csrf_of(token), now + IDLE_S * NS_PER_S)

    def _brake(self, name: str, address: str, now: int, at_console: bool) -> None:
        """Count an attempt, or refuse it. Attempts in the future (the clock was set back) are forgotten.

        at_console: only the attempts on this account at the console count, so that nobody elsewhere can lock it.
        """
        window = now - FAILURE_WINDOW_S * NS_PER_S
        person = _key(name)
        with self._writing():
            self._conn.execute("DELETE FROM failures WHERE at_ns < ? OR at_ns > ?", [window, now])
            limits = [("person = :p AND address = :a", FAILURES_HERE)]
            if not at_console:
                limits += [("address = :a", FAILURES_OF_ADDRESS), ("person = :p", FAILURES_OF_ACCOUNT)]
            reached = []
            for counted, limit in limits:
                count, oldest = self._conn.execute(
                    f"SELECT count(*), min(at_ns) FROM failures WHERE {counted}", {"p": person, "a": address}
                ).fetchone()
                if count >= limit:
                    reached.append(oldest)
            if not reached:
                self._conn.execute("INSERT INTO failures VALUES (?, ?, ?)", [person, address, now])
                return
        wait_s = max(1, -(-(max(reached) - window) // NS_PER_S))
        minutes = -(-wait_s // 60)
        raise AccessError(
            Sentence("refused.too_many_attempts", {"minutes": minutes}),
            f"too many attempts; the next is allowed in {minutes} min",
            retry_after_s=int(wait_s),
        )

    def _fits(self, hashed: str, password: str) -> bool:
        if len(password) > PASSWORD_MAX_CHARACTERS:
            password = ""
        try:
            return self._hasher.verify(hashed, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _no_account(name: str) -> AccessError:
    return AccessError(Sentence("refused.no_such_person", {"name": name}), f'"{name}" has no account here')


def check_password(password: str) -> None:
    """Raises AccessError when a password is too short or absurdly long."""
    if not PASSWORD_MIN_CHARACTERS <= len(password) <= PASSWORD_MAX_CHARACTERS:
        raise AccessError(
            Sentence("refused.password_length", {"least": PASSWORD_MIN_CHARACTERS, "most": PASSWORD_MAX_CHARACTERS}),
            f"a password has {PASSWORD_MIN_CHARACTERS} to {PASSWORD_MAX_CHARACTERS} characters",
        )


def csrf_of(token: str) -> str:
    """The session's second secret, which a foreign page cannot read: derived, so that it needs no room of its own."""
    return hmac.new(token.encode(), b"trailwatch csrf", hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _key(name: str) -> str:
    """What a failed attempt is counted under. What people type as a name may be their password: it is not written down."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


# --------------------------------------------------------------------------------------- for the command line and start


def open_people(settings: StationSettings, clock: Clock | None = None) -> People:
    settings.make_folders()
    return People(settings.people_db, settings.realm, clock or WallClock())


@contextlib.contextmanager
def _accounts(settings: StationSettings) -> Iterator[People]:
    """Open people.db for a command or for the start, and close it afterwards. Raises StoreError if it cannot be used."""
    people = open_people(settings)
    try:
        if people.stand_in:
            raise StoreError(people.trouble)
        yield people
    except sqlite3.Error as error:
        raise StoreError(people.trouble or f"{settings.people_db}: {error}; if it is damaged, {RESTORE_ADVICE}.") from None
    finally:
        people.close()


def ensure_administrator(settings: StationSettings) -> str | None:
    """On a station without a single account: make "admin" and return its one-time password, to be shown once."""
    with _accounts(settings) as people:
        if people.everyone():
            return None
        return people.add("admin", Role.ADMINISTRATOR)


def add_person(settings: StationSettings, name: str, role: Role, password: str | None = None) -> str:
    """Returns the password (one-time when none was given). Raises AccessError with a text for the command line."""
    with _accounts(settings) as people:
        return people.add(name, role, password)


def set_password(settings: StationSettings, name: str, password: str | None = None) -> str:
    """Returns the password (one-time when none was given). Raises AccessError."""
    with _accounts(settings) as people:
        return people.set_password(name, password)


def list_people(settings: StationSettings) -> list[Person]:
    with _accounts(settings) as people:
        return people.everyone()
