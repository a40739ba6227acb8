"""The fleet of a station in a browser: simulated autopilots and the real fleet service, as processes; and who walks."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from geofences.sector import load_sector
from station.fleet_orders import FleetOrderBook, FleetOrderView
from station.settings import StationSettings
from tests.station.conftest import ROOT, SECTOR, Sender, allow, frame_of, point_detection
from tests.web_stage import Stage
from wire.clock import WallClock
from wire.keys import NodeKind, load_station_key, write_private
from wire.messages import SensorReport, SensorState
from wire.units import HeightMsl, Position

HOMES = ((16.62225, 106.60230), (16.62195, 106.60225))
SPEEDUP = 3.0                   # simulated seconds a second: the flights of a test are short

AUTOPILOT = """
system_id = {n}
hardware_id = "a1b2c{n}"
ports = [0, 0]
home = [{home[0]}, {home[1]}]
home_msl_m = 165.0
settle_s = 3.0
speedup = {speedup}
seed = {n}
udp_to = ""
# Five seconds of this machine without a heartbeat, as a drone that lives by the clock has them: browsers draw beside it.
[parameters]
FS_GCS_TIMEOUT = {silence_s}
"""
FLEET = """
key = "node.key"
sector = "{sector}"
data_dir = "fleet"
heartbeat_s = 0.1

[station]
endpoint = "{endpoint}"
public_key = '{key}'
"""
DRONE = """
[[drones]]
id = "drone-{n}"
connection = "tcp:127.0.0.1:{port}"
home = [{home[0]}, {home[1]}]
endurance_s = 3000.0
"""


@contextlib.contextmanager
def flying(settings: StationSettings, drones: int = 2) -> Iterator[Path]:
    """A fleet service with its drones on the ground, connected to the station. Gives the service's log file."""
    folder = settings.file.parent
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> Path:
        log = folder / f"{name}.log"
        with log.open("wb") as out:
            command = [sys.executable, "ground_station.py", *arguments]
            processes.append(subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out))
        return log

    try:
        text = FLEET.format(
            sector=SECTOR, endpoint=settings.inbox.bind, key=load_station_key(settings.station_key).public
        )
        logs = []
        for n in range(1, drones + 1):
            config = folder / f"autopilot-{n}.toml"
            config.write_text(AUTOPILOT.format(n=n, home=HOMES[n - 1], speedup=SPEEDUP, silence_s=5.0 * SPEEDUP))
            logs.append(start(f"autopilot-{n}", "autopilot", "--config", str(config)))
        for n, log in enumerate(logs, 1):
            until = time.monotonic() + 60
            while "TCP" not in log.read_text():
                assert time.monotonic() < until and processes[n - 1].poll() is None, log.read_text()
                time.sleep(0.05)
            port = int(log.read_text().split("TCP")[1].split("\n")[0].split(",")[0])
            text += DRONE.format(n=n, port=port, home=HOMES[n - 1])
        write_private(folder / "node.key", allow(settings, "fleet", NodeKind.FLEET))
        (folder / "fleet.toml").write_text(text)
        yield start("fleet", "fleet", "--config", str(folder / "fleet.toml"))
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def walking(settings: StationSettings, from_m: float, corridor: str = "khe-da") -> Iterator[None]:
    """Somebody walks along a corridor, as a camera beside it tells, as long as the block runs."""
    sector = load_sector(SECTOR)
    line = sector.corridors.ground(corridor).centre_line
    camera = Sender(settings, allow(settings, "cam-1"))
    stop = threading.Event()

    def walk() -> None:
        at = line.interpolate(from_m)
        stand = sector.frame.position(at.x, at.y + 40)
        mast = Position(stand.lat_deg, stand.lon_deg, HeightMsl(171.0))
        began = time.monotonic()
        while not stop.is_set():
            now_ns = time.time_ns()
            p = line.interpolate(from_m + 1.2 * (time.monotonic() - began))
            camera.send(
                SensorReport("gate-1", now_ns, mast, (), SensorState.SEEING, now_ns, False, ""),
                frame_of("gate-1", now_ns, point_detection(sector.frame.position(p.x, p.y), track=5)),
            )
            camera.listen(0.25)
            stop.wait(0.25)

    thread = threading.Thread(target=walk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        camera.close()


def orders(stage: Stage, count: int) -> list[FleetOrderView]:
    """The first given first, as soon as so many are there: the page says "sending" before the station has them."""
    book = FleetOrderBook(stage.settings, WallClock())
    until = time.monotonic() + 30
    while len(found := book.newest()) < count and time.monotonic() < until:
        time.sleep(0.05)
    assert len(found) == count, found
    return list(reversed(found))
