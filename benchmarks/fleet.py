"""The fleet: plans that are checked, links that lose, drones that are watched, and sorties that break in the wind."""

from __future__ import annotations

import importlib
from pathlib import Path

from benchmarks.form import Figure

# Each has a `measure`; in this order, where it is there.
PARTS = ("fleet_checker", "fleet_sorties", "fleet_link", "fleet_investigate")


def measure() -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for part in PARTS:
        if (Path(__file__).parent / f"{part}.py").exists():
            figures |= importlib.import_module(f"benchmarks.{part}").measure()
    return figures
