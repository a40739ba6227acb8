"""Trailwatch's command line, and nothing else: reads arguments, calls the room that does the work, prints its words."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wire.process import die_with_parent
from wire.settings import SettingsError

if TYPE_CHECKING:
    from station.settings import StationSettings

ROOT = Path(__file__).resolve().parent
Call = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


# ------------------------------------------------------------------------------------------------------- processes


def _edge(a: argparse.Namespace) -> int:
    from edge.node import run

    return run(a.config)


def _serve(a: argparse.Namespace) -> int:
    from station.app import serve

    return serve(a.config, only=a.only)


def _fleet(a: argparse.Namespace) -> int:
    from fleet.service import run

    return run(a.config)


def _autopilot(a: argparse.Namespace) -> int:
    from sim.autopilot import run

    return run(a.config)


def _demo(a: argparse.Namespace) -> int:
    from sim.demo import DemoRequest, run

    return run(DemoRequest(a.video, a.weights, a.headless, a.seconds, a.json, a.keep))


def _test(a: argparse.Namespace) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *a.arguments], cwd=ROOT)


# ------------------------------------------------------------------------------------------------------- the station


def _keys_new(a: argparse.Namespace) -> int:
    from wire.keys import AllowedNode, NodeKind, append_allowed, load_station_key, make_node_key, write_private
    from wire.units import Realm

    if not NAME.fullmatch(a.node):
        raise SettingsError(f'--node "{a.node}": a name has letters, digits, - and _, and starts with a letter or a digit')
    key = make_node_key(a.node, NodeKind(a.kind), Realm(a.realm))
    try:
        write_private(a.out, key)
    except OSError as error:
        raise SettingsError(f"--out {a.out}: {error.strerror}. A key is never overwritten; name another file.") from None
    entry = AllowedNode(key.node, key.kind, key.realm, key.public)
    print(f"{a.out}: the key of {key.node}, realm {key.realm.value}. Move it to the node; it is a secret.")
    if a.allow:
        append_allowed(a.allow, entry)
        print(f"{a.allow}: {key.node} may connect.")
        station_key = a.allow.parent / "station.key"
        if station_key.exists():
            print(f'in the node\'s settings: station.public_key = "{load_station_key(station_key).public}"')
    else:
        print("for the station's nodes.toml:\n")
        print(f"[[nodes]]\nnode = '{entry.node}'\nkind = '{entry.kind.value}'\nrealm = '{entry.realm.value}'")
        print(f"public = '{entry.public}'")
    return 0


def _people_add(a: argparse.Namespace) -> int:
    from station.access import AccessError, Role, add_person

    try:
        password = add_person(_station(a), a.name, Role(a.role))
    except AccessError as error:
        raise SettingsError(str(error)) from None
    print(f"{a.name} may log in as {a.role}, once, with {password} and then chooses a password.")
    return 0


def _people_password(a: argparse.Namespace) -> int:
    from station.access import AccessError, set_password

    try:
        password = set_password(_station(a), a.name)
    except AccessError as error:
        raise SettingsError(str(error)) from None
    print(f"{a.name} may log in, once, with {password} and then chooses a password.")
    return 0


def _people_list(a: argparse.Namespace) -> int:
    from station.access import list_people

    for person in list_people(_station(a)):
        print(f"{person.name:32} {person.role.value:14} {'must choose a password' if person.must_change_password else ''}")
    return 0


def _models_list(_: argparse.Namespace) -> int:
    from models.registry import manifest, resolve_weights

    for weights in manifest().values():
        print(f"{weights.name}: {weights.file}, {weights.licence}, from {weights.source}")
        print(f"  classes {', '.join(c.value for c in weights.classes)}; input {weights.input_size_px} px")
        try:
            print(f"  here: {resolve_weights(weights.name, download=False)}")
        except SettingsError as error:
            print(f"  not here: {error}")
    return 0


def _station(a: argparse.Namespace) -> StationSettings:
    from station.settings import load_station_settings

    return load_station_settings(a.config)


# ------------------------------------------------------------------------------------------------------- the arguments


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="trailwatch", description="Eyes on forest trails along a land border.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_main_job(commands)
    _add_processes(commands)
    _add_station(commands)
    test = commands.add_parser("test", help="run every test")
    test.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to pytest")
    test.set_defaults(call=_test)
    return top


def _command(commands: Commands, name: str, does: str, call: Call) -> argparse.ArgumentParser:
    p = commands.add_parser(name, help=does, description=does)
    p.set_defaults(call=call)
    return p


def _with_config(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    p.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings file (TOML)")
    return p


def _add_main_job(commands: Commands) -> None:
    demo = _command(commands, "demo", "the main job on this machine: two cameras, one drone, a ground station", _demo)
    demo.add_argument("--video", type=Path, metavar="PATH", help="a recording that both cameras play in a loop")
    demo.add_argument("--weights", type=Path, metavar="PATH", help="detector weights; looked up by name when not given")
    demo.add_argument("--headless", action="store_true", help="open no browser, delete the run's folder at the end")
    demo.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds; without it, at Ctrl-C")
    demo.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    demo.add_argument("--keep", type=Path, metavar="DIR", help="put this run's files there and leave them")


def _add_processes(commands: Commands) -> None:
    _with_config(_command(commands, "edge", "run a node beside a camera or on a drone", _edge))
    serve = _with_config(_command(commands, "serve", "run a ground station: inbox, mind and web server", _serve))
    serve.add_argument("--only", choices=["inbox", "mind", "web"], help="start one of its processes alone")
    _with_config(_command(commands, "fleet", "run the fleet service, which commands the drones", _fleet))
    _with_config(_command(commands, "autopilot", "run a simulated drone behind real MAVLink", _autopilot))


def _add_station(commands: Commands) -> None:
    keys = commands.add_parser("keys", help="make the keys of nodes").add_subparsers(required=True, metavar="ACTION")
    new = _command(keys, "new", "make the key of one node, for one realm", _keys_new)
    new.add_argument("--node", required=True, help="the node's name")
    new.add_argument("--kind", required=True, choices=["camera", "drone", "fleet"])
    new.add_argument("--realm", required=True, choices=["live", "training"])
    new.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the key is written")
    new.add_argument("--allow", type=Path, metavar="FILE", help="a station's nodes.toml, to which the node is added")
    people = _with_config(commands.add_parser("people", help="accounts of the ground station"))
    actions = people.add_subparsers(required=True, metavar="ACTION")
    add = _command(actions, "add", "make an account with a one-time password", _people_add)
    add.add_argument("name")
    roles = ["operator", "pilot", "trainer", "supervisor", "auditor", "administrator"]
    add.add_argument("--role", required=True, choices=roles)
    _command(actions, "list", "list the accounts", _people_list)
    _command(actions, "password", "give a one-time password to somebody", _people_password).add_argument("name")
    models = commands.add_parser("models", help="detector weights").add_subparsers(required=True, metavar="ACTION")
    _command(models, "list", "what weights are known, and where they are", _models_list)


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}: give more than 0")
    return value


def main(arguments: list[str] | None = None) -> int:
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    die_with_parent()
    a = parser().parse_args(arguments)
    try:
        return int(a.call(a))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
