"""The form of every benchmark's result, and how it is shown.

    {"bench": NAME, "machine": {...}, "figures": {KEY: {"value", "unit", "spread", "goal", "met", "how", "peer"}}}

A goal is text like ">= 100"; whether it is met is worked out here and nowhere else. The exit status says that the benchmark
ran, not that goals were met.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from wire.settings import SettingsError

_GOAL = re.compile(r"(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)")


class Peer(msgspec.Struct, frozen=True):
    """What a figure is compared with: another program, or another way, measured beside it on the same machine."""

    name: str
    value: float


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured number. spread: least and greatest of its runs. how: one line. met: None where there is no goal."""

    value: float
    unit: str
    spread: tuple[float, float]
    how: str
    goal: str | None = None
    met: bool | None = None
    peer: Peer | None = None


class Result(msgspec.Struct, frozen=True):
    bench: str
    machine: dict[str, str | int | float]
    figures: dict[str, Figure]


def figure(runs: Sequence[float], unit: str, how: str, goal: str | None = None, peer: Peer | None = None) -> Figure:
    """The median of some runs, with their spread. Raises ValueError for no runs, or a goal that is none."""
    value = statistics.median(runs)
    met = None
    if goal is not None:
        parts = _GOAL.fullmatch(goal)
        if parts is None:
            raise ValueError(f'"{goal}" is no goal; write it like ">= 100"')
        limit = float(parts.group(2))
        met = {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}[parts.group(1)]
    return Figure(_short(value), unit, (_short(min(runs)), _short(max(runs))), how, goal, met, peer)


def machine() -> dict[str, str | int | float]:
    """What it ran on, and how busy that was: other people's work is in every figure of a shared machine."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "system": platform.system(),
        "python": platform.python_version(),
        "load_1_min": round(os.getloadavg()[0], 1),
    }


def names() -> list[str]:
    """The benchmarks that there are: modules with a function `measure`; parts of one have its name, "_" and more."""
    return sorted(p.stem for p in Path(__file__).parent.glob("*.py") if "_" not in p.stem and p.stem != "form")


def run(name: str) -> Result:
    """Run one benchmark. Raises SettingsError for a name that is none."""
    if name not in names():
        raise SettingsError(f'bench: there is no "{name}"; there are {", ".join(names())}')
    measure: Callable[[], dict[str, Figure]] = importlib.import_module(f"benchmarks.{name}").measure
    before = machine()
    return Result(name, before, measure())


def as_table(result: Result) -> str:
    """For a person."""
    lines = [f"{result.bench}: {', '.join(f'{k} {v}' for k, v in result.machine.items())}"]
    for key, f in result.figures.items():
        goal = "" if f.goal is None else f"  goal {f.goal}: {'met' if f.met else 'NOT MET'}"
        peer = "" if f.peer is None else f"  {f.peer.name}: {f.peer.value:g}"
        spread = f"({f.spread[0]:g} to {f.spread[1]:g})"
        lines.append(f"  {key:32} {f.value:>12g} {f.unit:8} {spread:24}{goal}{peer}")
        lines.append(f"  {'':32} {f.how}")
    return "\n".join(lines)


def _short(value: float) -> float:
    """Four digits that mean something."""
    return float(f"{value:.4g}")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
