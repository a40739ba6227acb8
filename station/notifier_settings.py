"""The notifiers of a station, `[[notifiers]]` in station.toml: who is told outside of the screen, of what, and how.

Two kinds are there: e-mail over SMTP, and a siren on a relay that listens on a serial port. docs/administrator.md says how a
GSM modem or a relay of another make would be added.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from wire.settings import refuse


class Tells(StrEnum):
    """What is told. UNANSWERED: an alarm was escalated, by time or by a person; each stage again."""

    NOBODY_WATCHING = "nobody_watching"
    UNANSWERED = "unanswered"
    TEAM_OVERDUE = "team_overdue"


EVERYTHING = tuple(Tells)


class EmailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="email"):
    """tls: "starttls", "tls" or "none" (only to this machine itself). password_file: relative to station.toml."""

    name: str
    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    tls: str = "starttls"
    user: str = ""
    password_file: str = ""
    tells: tuple[Tells, ...] = EVERYTHING
    timeout_s: float = 20.0


class SirenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="siren"):
    """A relay on a serial port. on, off: the bytes that switch it, in hex; those of the usual one-channel USB relay (LCUS-1)
    unless told.
    """

    name: str
    port: str
    seconds: float = 10.0
    baud: int = 9600
    on: str = "A00101A2"
    off: str = "A00100A1"
    tells: tuple[Tells, ...] = EVERYTHING


NotifierSettings = EmailSettings | SirenSettings


def check_notifiers(path: Path, notifiers: tuple[NotifierSettings, ...]) -> None:
    """Raises SettingsError with file, line and key."""
    taken: set[str] = set()
    for i, n in enumerate(notifiers):
        if not n.name or n.name in taken:
            raise refuse(path, ["notifiers", i, "name"], f'"{n.name}": give each notifier a name of its own')
        taken.add(n.name)
        if not n.tells:
            raise refuse(path, ["notifiers", i, "tells"], f"empty; name some of {', '.join(EVERYTHING)}, or leave it out")
        if isinstance(n, EmailSettings):
            _check_email(path, i, n)
        else:
            _check_siren(path, i, n)


def _check_email(path: Path, i: int, n: EmailSettings) -> None:
    if n.tls not in ("starttls", "tls", "none"):
        raise refuse(path, ["notifiers", i, "tls"], f'"{n.tls}": give "starttls", "tls" or "none"')
    if n.tls == "none" and n.host not in ("localhost", "127.0.0.1", "::1"):
        raise refuse(path, ["notifiers", i, "tls"], f'"none" to {n.host}: only to this machine itself; give "starttls"')
    if not 0 < n.port < 65536:
        raise refuse(path, ["notifiers", i, "port"], f"{n.port}: a port is 1 to 65535, for example 587")
    if not n.to or any("@" not in a or any(c in a for c in "\r\n") for a in (*n.to, n.sender)):
        raise refuse(path, ["notifiers", i, "to"], "give one or more e-mail addresses, and one as the sender")
    if bool(n.user) != bool(n.password_file):
        raise refuse(path, ["notifiers", i, "user"], "user and password_file go together")


def _check_siren(path: Path, i: int, n: SirenSettings) -> None:
    for key in ("on", "off"):
        try:
            good = len(bytes.fromhex(getattr(n, key))) > 0
        except ValueError:
            good = False
        if not good:
            raise refuse(path, ["notifiers", i, key], f'"{getattr(n, key)}": give the bytes in hex, for example "A00101A2"')
    if not 0 < n.seconds <= 600:
        raise refuse(path, ["notifiers", i, "seconds"], f"{n.seconds}: give up to 600 seconds")
