"""The fleet: plans that are checked, links that lose, drones that are watched, and sorties that break in the wind."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import msgspec

from benchmarks.form import Figure
from wire.clock import NS_PER_S, WallClock

# Each has a `measure`; in this order, where it is there.
PARTS = ("fleet_checker", "fleet_sorties", "fleet_link", "fleet_investigate")


def measure() -> dict[str, Figure]:
    """All parts. What one of them gave is told on standard error at once: a later one may be killed by a limit of time."""
    figures: dict[str, Figure] = {}
    clock = WallClock()
    for part in PARTS:
        if (Path(__file__).parent / f"{part}.py").exists():
            began_ns = clock.monotonic_ns()
            found = importlib.import_module(f"benchmarks.{part}").measure()
            figures |= found
            took_s, load = (clock.monotonic_ns() - began_ns) / NS_PER_S, os.getloadavg()[0]
            told = {"part": part, "took_s": round(took_s), "load": round(load, 1), "figures": found}
            sys.stderr.write(msgspec.json.encode(told).decode("utf-8") + "\n")
            sys.stderr.flush()
    return figures
