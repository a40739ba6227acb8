"""`./trailwatch backup | restore | retention | people token`: words of the command line, and what is printed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from station.access import AccessError, open_people
from station.backup import back_up
from station.record import Record
from station.restore import restore
from station.retention_date import confirm_date
from station.retention_show import retention_text
from station.settings import StationSettings
from station.store_arguments import LABEL_MOST, TOKEN_DAYS_MOST
from wire.clock import Clock, WallClock
from wire.settings import SettingsError


def run_backup(settings: StationSettings, person: str, a: argparse.Namespace) -> str:
    return str(back_up(settings, person, a.to, WallClock(), a.keys_to))


def run_restore(settings: StationSettings, person: str, a: argparse.Namespace) -> str:
    return str(restore(settings, person, a.backup, WallClock(), a.keys_from, a.aside))


def run_retention(settings: StationSettings, person: str, a: argparse.Namespace, clock: Clock | None = None) -> str:
    if a.today:
        confirm_date(settings, person, a.today, clock or WallClock())
        return "The date is believed, and that is on the record. What is over is erased once it has run on for an hour."
    return retention_text(settings)


def run_token(settings: StationSettings, person: str, a: argparse.Namespace, clock: Clock | None = None) -> str:
    """Raises SettingsError in words."""
    clock = clock or WallClock()
    act: Callable[[StationSettings, str, argparse.Namespace, Clock], str]
    act = {"new": _new_token, "list": _list_tokens, "revoke": _revoke_token}[a.token]
    try:
        return act(settings, person, a, clock)
    except AccessError as error:
        raise SettingsError(f"people token: {error}") from None


def _new_token(settings: StationSettings, person: str, a: argparse.Namespace, clock: Clock) -> str:
    if not 0 < a.days <= TOKEN_DAYS_MOST:
        raise SettingsError(f"people token: --days {a.days:g}: give more than 0, and {TOKEN_DAYS_MOST:g} at most")
    if not 0 < len(a.label) <= LABEL_MOST or not a.label.isprintable():
        raise SettingsError(f"people token: a label has 1 to {LABEL_MOST} characters")
    people = open_people(settings, clock)
    try:
        token = people.make_token(a.name, a.label, a.days)
    finally:
        people.close()
    _note(settings, clock, person, "token.made", {"account": a.name, "label": a.label, "days": a.days})
    return (
        f"{token}\nIt reads what {a.name} may read, and changes nothing, for {a.days:g} days; in the header\n"
        f"Authorization: Bearer {token[:6]}...  It is a secret, and is not shown again."
    )


def _list_tokens(settings: StationSettings, _person: str, _a: argparse.Namespace, clock: Clock) -> str:
    people = open_people(settings, clock)
    try:
        found = people.tokens()
    finally:
        people.close()
    if not found:
        return "There are none."
    now_ns = clock.utc_ns()
    return "\n".join(
        f"{name:24} {label:32} {'ended' if ends <= now_ns else 'until ' + _day(ends):22} "
        f"{'never used' if not used else 'last used ' + _day(used)}"
        for name, label, ends, used in found
    )


def _revoke_token(settings: StationSettings, person: str, a: argparse.Namespace, clock: Clock) -> str:
    people = open_people(settings, clock)
    try:
        count = people.revoke_tokens(a.name, a.label)
    finally:
        people.close()
    if not count:
        raise SettingsError(f'people token: {a.name} has none that is called "{a.label}"; `people token list` shows all')
    _note(settings, clock, person, "token.revoked", {"account": a.name, "label": a.label})
    return f"{a.name}, {a.label}: ended. Whoever shows it is refused from now on."


def _note(settings: StationSettings, clock: Clock, person: str, action: str, details: dict[str, str | int | float]) -> None:
    record = Record(settings, clock)
    try:
        record.append(person, action, details)
    finally:
        record.close()


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
