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


def machine_user() -> str:
    """The operating-system user of this process by its user id. LOGNAME and USER are not asked: anybody can set them."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def person_of(a: argparse.Namespace) -> str:
    """The name that a command is recorded under: a station account, or else the operating-system user.

    Raises SettingsError if --as names an account whose password is not given or is wrong.
    """
    return account_of(a) if a.account else f"{machine_user()} (command line)"


def account_of(a: argparse.Namespace) -> str:
    """The station account named by --as, after its password was checked.

    For commands that count as the decision of one person. Raises SettingsError if there is no --as, if there is no terminal
    to ask for the password, or if the password is wrong.
    """
    import getpass

    from station.access import AccessError, open_people

    if not a.account:
        raise SettingsError(
            "this command counts as one person's decision: name your station account with --as NAME before the action; "
            "its password is asked for"
        )
    people = open_people(station_of(a))
    try:
        session = people.log_in(a.account, getpass.getpass(f"password of {a.account}: "), "command line")
        people.log_out(session.token)
    except EOFError:
        raise SettingsError(
            f"--as {a.account}: there is no terminal to ask for the password. Run the command in a terminal, or use the web "
            "page."
        ) from None
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
