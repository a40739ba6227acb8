"""The options of `models frames`, in a module that loads nothing: every command of the program reads them."""

from __future__ import annotations

import argparse
from pathlib import Path

CONDITIONS = ("day", "dusk", "night", "low_light", "thermal")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `models frames`."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where images, labels and data.yaml go")
    parser.add_argument("--count", type=int, default=1000, help="how many frames")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow it one by one")
    parser.add_argument("--side", type=int, default=416, metavar="PX", help="width and height of a frame")
    parser.add_argument("--empty", type=float, default=0.3, metavar="SHARE", help="of the frames, with nobody in them")
    parser.add_argument("--busy", type=float, default=0.0, metavar="SHARE", help="of the others, with many in them")
    parser.add_argument("--people", type=float, metavar="SHARE", help="of the objects, instead of the usual share")
    parser.add_argument("--condition", choices=CONDITIONS, default="", help="of all frames; a mixture when not given")
    parser.add_argument("--rain", choices=("yes", "no"), help="in all frames or in none; by chance when not given")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="made by models.training.backgrounds")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw a contact sheet of the first 40")
