"""What this processor can do, before any library has been asked: OpenVINO decides once in a process what it uses of it."""

from __future__ import annotations

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
ISA = "ONEDNN_MAX_CPU_ISA"          # oneDNN's own variable: nothing newer than what it names is taken
VNNI = "AVX512_CORE_VNNI"


def flags() -> frozenset[str]:
    """As Linux tells them; none elsewhere, and none on ARM, which calls them otherwise."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else ""
    lines = (line.partition(":") for line in text.splitlines())
    return next((frozenset(value.split()) for name, _, value in lines if name.strip() == "flags"), frozenset())


def has_bfloat16() -> bool:
    """Whether it multiplies in bfloat16 itself; where it only pretends to, full precision is faster."""
    return not flags().isdisjoint({"avx512_bf16", "amx_bf16"})


def take_vnni() -> None:
    """Keep eight bits from AMX in this process, unless its environment says what to take.

    Where there is AMX, oneDNN takes it; a YOLO11n's layers are too narrow for it, and by VNNI they take three quarters of
    the time (docs/decisions/0007-the-detectors-fast-road.md). bfloat16 takes three times as long then. Too late once
    OpenVINO has been asked for anything.
    """
    if "amx_int8" in flags():
        os.environ.setdefault(ISA, VNNI)
