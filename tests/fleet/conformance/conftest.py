"""One vehicle a test: the autopilot model; the real ArduCopter that TRAILWATCH_ARDUCOPTER names; one that runs already
(`--connect tcp:HOST:PORT`, its second port two further on), which is put back and rebooted after each test.

The model and the fleet are both held to what the real one does; nothing of ArduPilot is part of this repository.
"""

from __future__ import annotations

import asyncio
import math
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
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import read_parameter, until, write_parameter
from fleet.drone import Drone
from fleet.wind import Wind
from geofences.sector import Sector
from mavlink.link import Link
from mavlink.transports import parse_connection
from sim.autopilot_stage import Stage, drone_settings
from tests.fleet.conformance.asking import boot_s
from wire.clock import WallClock

SPEEDUP = 8.0
HOME = (16.62225, 106.60230)
FIRST_PORT, PORTS_AN_INSTANCE = 5760, 10
WORKERS = 8                     # of a test run, at most

# The least that an ArduCopter in SITL needs to be armed: a frame, a battery monitor, calibrated sensors and sticks. And a
# mount with servos that pans and tilts, as the model has one.
PARAMETERS = "\n".join(
    [
        "MNT1_TYPE 1", "MNT1_PITCH_MIN -90", "SERVO9_FUNCTION 6", "SERVO10_FUNCTION 7",
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


# What the tests set, put back on a vehicle that outlives them.
AS_IT_WAS = {
    "FENCE_ENABLE": 0.0, "FS_GCS_ENABLE": 0.0, "SIM_GPS1_ENABLE": 1.0, "SIM_RC_FAIL": 0.0, "BATT_LOW_VOLT": 0.0,
    "BATT_CRT_VOLT": 0.0, "BATT_FS_LOW_ACT": 0.0, "BATT_FS_CRT_ACT": 0.0, "FS_GCS_TIMEOUT": 5.0,
}
FORCE = 21196.0
WIND_FROM_DEG = 270.0


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
    """Each worker of a test run has numbers of its own: two that look at once find the same one free."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS
    for instance in range(10 + worker, 60, WORKERS):
        port = FIRST_PORT + PORTS_AN_INSTANCE * instance
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return instance
    pytest.skip("no free instance of arducopter: all ports are taken")


def _arducopter(folder: Path, speedup: float) -> tuple[subprocess.Popen[bytes], Vehicle]:
    named = os.environ.get("TRAILWATCH_ARDUCOPTER")
    if not named:
        pytest.skip("set TRAILWATCH_ARDUCOPTER to the path of an arducopter built for SITL")
    folder.mkdir()
    (folder / "defaults.parm").write_text(PARAMETERS)
    instance = _free_instance()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(named).resolve()), "--model", "+", "--speedup", f"{speedup:g}", "--defaults", "defaults.parm",
                f"-I{instance}", "--home", f"{HOME[0]},{HOME[1]},165,270",
            ],
            cwd=folder, stdout=log, stderr=log,
        )
    port = FIRST_PORT + PORTS_AN_INSTANCE * instance
    deadline = time.monotonic() + 20
    while "bind port" not in (text := (folder / "log").read_text(errors="replace")) or str(port) not in text:
        assert process.poll() is None and time.monotonic() < deadline, text
        time.sleep(0.05)
    return process, Vehicle("arducopter", port, port + 2, speedup)


async def _found(connection: str) -> Vehicle:
    """A vehicle that runs already: how fast its time goes, by its own word."""
    endpoint = parse_connection(connection)
    link = Link(connection, WallClock())
    owner = asyncio.create_task(link.run())
    with link.subscribe(("HEARTBEAT",)) as heard:
        beat = await heard.get(20.0)
    assert beat is not None, f"nothing is heard on {connection}: {link.problem}"
    speedup = await read_parameter(link, beat.get_srcSystem(), ("SIM_SPEEDUP",))
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)
    assert speedup is not None, "no simulated vehicle: the tests fly it, and break its sensors"
    return Vehicle("connected", endpoint.port, endpoint.port + 2, max(1.0, speedup[1]))


async def _put_back(vehicle: Vehicle) -> None:
    link = Link(vehicle.connection, WallClock())
    owner = asyncio.create_task(link.run())
    with link.subscribe(("HEARTBEAT",)) as heard:
        beat = await heard.get(20.0)
    assert beat is not None, "it is not heard any more"
    mine = beat.get_srcSystem()
    volts = await read_parameter(link, mine, ("SIM_BATT_VOLTAGE",))
    wanted = {**AS_IT_WAS, "SIM_BATT_VOLTAGE": 12.6 if volts is not None and volts[1] > 0 else 0.0}
    link.send(mavlink.MAVLink_command_long_message(mine, 1, 400, 0, 0, FORCE, 0, 0, 0, 0, 0))
    for name, value in wanted.items():
        now = await read_parameter(link, mine, (name,))
        if now is not None and now[1] != value:
            assert (await write_parameter(link, Drone("drone-1", WallClock()), mine, name, value)).done
    link.send(mavlink.MAVLink_setup_signing_message(mine, 1, [0] * 32, 0))
    for kind in range(3):
        link.send(mavlink.MAVLink_mission_clear_all_message(mine, 1, kind))
    await asyncio.sleep(2.0)        # what falls has come down
    connections = link.counts.connections
    link.send(mavlink.MAVLink_command_long_message(mine, 1, 246, 0, 1, FORCE, 0, 0, 0, 0, 0))
    assert await until(lambda: link.counts.connections > connections, 30.0), "it does not reboot"
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)


@pytest.fixture(
    params=["model", pytest.param("arducopter", marks=pytest.mark.arducopter),
            pytest.param("connected", marks=pytest.mark.arducopter)]
)
def vehicle(request: pytest.FixtureRequest, tmp_path: Path, start_autopilot: Callable[..., Any]) -> Iterator[Vehicle]:
    speedup = getattr(request.module, "SPEEDUP", SPEEDUP)
    if request.param == "model":
        autopilot = start_autopilot(settle_s=41.0, speedup=speedup)
        yield Vehicle("model", *autopilot.ports, speedup)
        return
    if request.param == "connected":
        connection = request.config.getoption("--connect")
        if not connection:
            pytest.skip("give --connect tcp:HOST:PORT of a simulated ArduCopter that runs")
        there = asyncio.run(_found(connection))
        yield there
        asyncio.run(_put_back(there))
        return
    process, found = _arducopter(tmp_path / "sitl", speedup)
    try:
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def fly(vehicle: Any, sector: Sector, tmp_path: Path) -> Callable[..., None]:
    """Run a play on a stage with this vehicle as its drone, its wind as wanted, and its station never silent for long."""
    def run(play: Callable[[Stage], Any], wind_m_s: float = 0.0, **settings: Any) -> None:
        async def whole(s: Stage) -> None:
            pilot = s.pilots["drone-1"]
            wanted = {"SIM_WIND_SPD": wind_m_s, "SIM_WIND_DIR": WIND_FROM_DEG, "SIM_WIND_TURB": 0.0, "FS_GCS_TIMEOUT": 60.0}
            for name, value in wanted.items():
                assert (await write_parameter(pilot.link, pilot.drone, 1, name, value)).done
            # A promise is of a drone that is ready: nobody knows how long another's estimate will still take.
            await s.until(lambda: pilot.drone.prearm_ok() and boot_s(pilot.drone) > 60.0, 120.0, "until it is ready")
            await play(s)

        Stage(
            sector, tmp_path, {"drone-1": drone_settings(1)}, rate=vehicle.rate, wind=Wind(
                wind_m_s * math.sqrt(40.0 / 60.0), 0.3, WIND_FROM_DEG, assumed=False,
            ), connections={"drone-1": vehicle.connection}, energy_folder=tmp_path / "energy", **settings,
        ).run(whole)

    return run
