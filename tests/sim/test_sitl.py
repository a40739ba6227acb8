"""A real ArduPilot in the model's place: what it is started with, what is refused, and that all who need it hear it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymavlink import mavutil

from sim.autopilot import load
from sim.demo_settings import filled
from sim.demo_stage import CONFIGS
from sim.director_stage import set_the_exercise
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.sitl import OFFSETS, Flown, parameters_of
from wire.clock import WallClock
from wire.settings import SettingsError

ROOT = Path(__file__).parents[2]


def test_an_exercise_without_drones_and_a_path_that_is_no_program_are_refused_before_anything_starts(tmp_path):
    with pytest.raises(SettingsError, match="single-walker has no drone that flies"):
        set_the_exercise(tmp_path / "run", load_exercise(LIBRARY / "single-walker.toml"), None, tmp_path, WallClock(),
                         Flown(connect="tcp:127.0.0.1:5760"))
    assert not (tmp_path / "run").exists()
    for flown, says in ((Flown(sitl=tmp_path), "no program"), (Flown(connect="tcp:10.0.0.1:5760"), "on this machine"),
                        (Flown(connect="udpin:127.0.0.1:5760"), "on this machine"),
                        (Flown(connect="nonsense"), "--connect")):
        with pytest.raises(SettingsError, match=says):
            flown.ports()
    assert Flown(connect="tcp:127.0.0.1:5760").ports() == [5760, 5762, 5763, 5765]


def test_it_gets_the_wind_and_the_battery_of_the_exercise():
    text = parameters_of(load(CONFIGS / "demo/drone-1.toml"))
    assert "BATT_CAPACITY 5200\n" in text and "SIM_WIND_SPD 3\n" in text and "SERIAL5_PROTOCOL 2\n" in text


@pytest.mark.arducopter
@pytest.mark.slow
def test_a_real_arducopter_speaks_on_all_four_ports(tmp_path):
    named = os.environ.get("TRAILWATCH_ARDUCOPTER")
    if not named:
        pytest.skip("set TRAILWATCH_ARDUCOPTER to the path of an arducopter built for SITL")
    ports = Flown(sitl=Path(named)).ports()
    assert [p - ports[0] for p in ports] == list(OFFSETS)
    config = tmp_path / "drone.toml"
    config.write_text(filled(CONFIGS / "demo/drone-1.toml", {("ports",): ports}), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "autopilot", "--config", str(config), "--sitl", named],
        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )
    links = []
    try:
        for port in ports:
            links.append(connected(port))
            assert links[-1].recv_match(type="HEARTBEAT", blocking=True, timeout=60) is not None, port
    finally:
        for link in links:
            link.close()
        process.terminate()
        process.wait(20)


def connected(port):
    until = time.monotonic() + 60
    while True:
        try:
            return mavutil.mavlink_connection(f"tcp:127.0.0.1:{port}", retries=0)
        except OSError:
            assert time.monotonic() < until, f"nothing listens on {port}"
            time.sleep(0.3)
