"""One vehicle a test: the autopilot model, and the real ArduCopter that TRAILWATCH_ARDUCOPTER names.

The model and the fleet are both held to what the real one does; nothing of ArduPilot is part of this repository.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SPEEDUP = 8.0
HOME = (16.62225, 106.60230)
FIRST_PORT, PORTS_AN_INSTANCE = 5760, 10

# The least that an ArduCopter in SITL needs to be armed: a frame, a battery monitor, calibrated sensors and sticks.
PARAMETERS = "\n".join(
    [
        "FRAME_CLASS 1", "FRAME_TYPE 0", "BATT_MONITOR 4", "FS_THR_ENABLE 1",
        "MOT_BAT_VOLT_MIN 9.6", "MOT_BAT_VOLT_MAX 12.8", "MOT_THST_EXPO 0.65", "MOT_THST_HOVER 0.39", "SIM_BARO_RND 0",
        *[f"COMPASS_OFS{n}_{a} {v}" for n in ("", "2", "3") for a, v in (("X", 5), ("Y", 13), ("Z", -18))],
        *[f"RC{i}_{what} {v}" for i in range(1, 9) for what, v in (("MIN", 1000), ("MAX", 2000), ("TRIM", 1500))],
        *[f"INS_ACC{n}OFFS_{a} 0.001" for n in ("", "2") for a in "XYZ"],
        *[f"INS_ACC{n}SCAL_{a} 1.001" for n in ("", "2") for a in "XYZ"],
        *[f"INS_ACC3OFFS_{a} 0" for a in "XYZ"],
        *[f"INS_ACC3SCAL_{a} 1" for a in "XYZ"],
    ]
)


@dataclass
class Vehicle:
    """Something that speaks MAVLink over TCP. rate: its seconds a second. second_port: of another station."""

    name: str
    port: int
    second_port: int
    rate: float

    @property
    def connection(self) -> str:
        return f"tcp:127.0.0.1:{self.port}"


def _free_instance() -> int:
    for instance in range(10, 60):
        port = FIRST_PORT + PORTS_AN_INSTANCE * instance
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return instance
    pytest.skip("no free instance of arducopter: all ports are taken")


def _arducopter(folder: Path) -> tuple[subprocess.Popen[bytes], Vehicle]:
    named = os.environ.get("TRAILWATCH_ARDUCOPTER")
    if not named:
        pytest.skip("set TRAILWATCH_ARDUCOPTER to the path of an arducopter built for SITL")
    folder.mkdir()
    (folder / "defaults.parm").write_text(PARAMETERS)
    instance = _free_instance()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(named).resolve()), "--model", "+", "--speedup", f"{SPEEDUP:g}", "--defaults", "defaults.parm",
                f"-I{instance}", "--home", f"{HOME[0]},{HOME[1]},165,270",
            ],
            cwd=folder, stdout=log, stderr=log,
        )
    port = FIRST_PORT + PORTS_AN_INSTANCE * instance
    deadline = time.monotonic() + 20
    while "bind port" not in (text := (folder / "log").read_text(errors="replace")) or str(port) not in text:
        assert process.poll() is None and time.monotonic() < deadline, text
        time.sleep(0.05)
    return process, Vehicle("arducopter", port, port + 2, SPEEDUP)


@pytest.fixture(params=["model", pytest.param("arducopter", marks=pytest.mark.arducopter)])
def vehicle(request: pytest.FixtureRequest, tmp_path: Path, start_autopilot: Callable[..., Any]) -> Iterator[Vehicle]:
    if request.param == "model":
        autopilot = start_autopilot(settle_s=41.0, speedup=SPEEDUP)
        yield Vehicle("model", *autopilot.ports, SPEEDUP)
        return
    process, found = _arducopter(tmp_path / "sitl")
    try:
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
