"""What `./trailwatch backup | restore | retention | people token | export` may be told.

Apart from what does it, because every process of the program reads the words of all its commands when it starts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from station.export_kinds import ExportFormat, ExportKind

TOKEN_DAYS, TOKEN_DAYS_MOST = 90.0, 366.0
LABEL_MOST = 64                 # characters of a machine's name
FILTERS = ("box", "circle", "corridor", "object_class", "plate", "contact", "node", "sensor", "rule")


def add_backup(p: argparse.ArgumentParser) -> None:
    p.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder is made in it")
    p.add_argument("--keys-to", type=Path, metavar="DIR", help="copy the secret keys there, which are in no backup")


def add_restore(p: argparse.ArgumentParser) -> None:
    p.add_argument("--from", dest="backup", type=Path, required=True, metavar="DIR", help="a folder that `backup` made")
    p.add_argument("--keys-from", type=Path, metavar="DIR", help="the folder of `backup --keys-to`")
    p.add_argument("--aside", action="store_true", help="move the files that are there away first; nothing is deleted")


def add_retention(p: argparse.ArgumentParser) -> None:
    p.add_argument("--today", default="", metavar="DATE", help="which day it is, where the station is not sure: 2026-11-25")


def add_token(p: argparse.ArgumentParser) -> None:
    actions = p.add_subparsers(dest="token", required=True, metavar="TOKEN_ACTION")
    new = actions.add_parser("new", help="make one; it is shown once")
    new.add_argument("name", help="the account whose role it has")
    new.add_argument("label", help="which machine it is for")
    new.add_argument("--days", type=float, default=TOKEN_DAYS, help=f"how long it lasts, {TOKEN_DAYS_MOST:g} at most")
    actions.add_parser("list", help="all there are, and when each was last used")
    end = actions.add_parser("revoke", help="end one now")
    end.add_argument("name")
    end.add_argument("label")


def add_export(p: argparse.ArgumentParser) -> None:
    p.add_argument("what", choices=[k.value for k in ExportKind])
    p.add_argument("--format", required=True, choices=[f.value for f in ExportFormat], help="of the file")
    p.add_argument("--out", required=True, type=Path, metavar="FILE", help="is not overwritten")
    p.add_argument("--since", default="", metavar="TIME", help="2026-11-25T04:00Z, or 90m, 12h, 3d ago")
    p.add_argument("--until", default="", metavar="TIME")
    for name in FILTERS:
        p.add_argument(f"--{name.replace('_', '-')}", default="", help=f"only of this {name.replace('_', ' ')}")
