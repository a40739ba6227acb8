"""What the commands of a station share: its settings, in whose name somebody acts, and how an argument is read.

A command returns what is to be printed and the exit status; `ground_station.py` prints it. Rooms are imported when a command
is called: a machine that runs a node alone need not have all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from wire.settings import SettingsError

if TYPE_CHECKING:
    from station.settings import StationSettings

Said: TypeAlias = tuple[str, int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def station_of(a: argparse.Namespace) -> StationSettings:
    from station.settings import load_station_settings

    return load_station_settings(a.config)


def person_of(a: argparse.Namespace) -> str:
    """In whose name: an account of the station, proved by its password, or whoever is logged in to this machine.

    Every look and every change is recorded under it.
    """
    import getpass

    if not a.account:
        return f"{getpass.getuser()} (command line)"
    from station.access import AccessError, open_people

    people = open_people(station_of(a))
    try:
        session = people.log_in(a.account, getpass.getpass(f"password of {a.account}: "), "command line")
        people.log_out(session.token)
    except AccessError as error:
        raise SettingsError(f"--as {a.account}: {error}") from None
    finally:
        people.close()
    return session.person.name


def command(commands: Commands, name: str, does: str, says: Callable[[argparse.Namespace], Said]) -> argparse.ArgumentParser:
    p = commands.add_parser(name, help=does, description=does)
    p.set_defaults(says=says)
    return p


def with_config(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    p.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings file (TOML)")
    return p


class _ActionParser(argparse.ArgumentParser):
    """Of an action of a command: the settings may be named behind the action too, which is where people put them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _add_config(self, argparse.SUPPRESS)


def actions_with_config(p: argparse.ArgumentParser) -> Commands:
    """The actions of a command that needs `--config`, before or behind the action. `None` where it was not given."""
    _add_config(p, None)
    return p.add_subparsers(required=True, metavar="ACTION", parser_class=_ActionParser)


def _add_config(p: argparse.ArgumentParser, default: str | None) -> None:
    p.add_argument("--config", type=Path, default=default, metavar="FILE", help="settings file (TOML)")


def positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}: give more than 0")
    return value
