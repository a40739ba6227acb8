"""Trailwatch's command line, and nothing else: it reads arguments, calls the room that does the work, prints its words."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from wire.process import die_with_parent
from wire.settings import SettingsError

ROOT = Path(__file__).resolve().parent


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


def _test(a: argparse.Namespace) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *a.arguments], cwd=ROOT)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="trailwatch", description="Eyes on forest trails along a land border.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def with_config(name: str, does: str, call: object) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=does, description=does)
        p.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings file (TOML)")
        p.set_defaults(call=call)
        return p

    with_config("edge", "run a node beside a camera or on a drone", _edge)
    serve = with_config("serve", "run a ground station: inbox, mind and web server", _serve)
    serve.add_argument("--only", choices=["inbox", "mind", "web"], help="start one of its processes alone")
    with_config("fleet", "run the fleet service, which commands the drones", _fleet)
    with_config("autopilot", "run a simulated drone behind real MAVLink", _autopilot)
    test = commands.add_parser("test", help="run every test")
    test.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to pytest")
    test.set_defaults(call=_test)
    return top


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
