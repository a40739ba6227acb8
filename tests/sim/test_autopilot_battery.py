"""The battery of a simulated drone is swapped on the ground only: by order, and after a flight where the settings say so."""

from pathlib import Path

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from sim.autopilot import AutopilotSettings, BatterySettings, load, make_autopilot
from wire.clock import SteppedClock
from wire.settings import SettingsError, load_settings

CONFIGS = Path(__file__).parents[2] / "configs"
STEP_S = 0.05
GUIDED, LAND = 4, 9


def drone(**battery):
    s = AutopilotSettings(1, "a1", (16.62225, 106.60230), 165.0, settle_s=1.0, battery=BatterySettings(**battery))
    autopilot = make_autopilot(s, SteppedClock(), 1)
    autopilot.channels[0].open = True
    passed(autopilot, 3.0)
    return autopilot


def passed(autopilot, seconds):
    for _ in range(round(seconds / STEP_S)):
        autopilot.step(STEP_S)


def percent(autopilot):
    return 100.0 * autopilot.flight.body.battery.remaining()


def order(autopilot, batteries=1.0, charge=100.0):
    """The result of a MAV_CMD_BATTERY_RESET."""
    message = mavlink.MAVLink_command_long_message(1, 1, mavlink.MAV_CMD_BATTERY_RESET, 0, batteries, charge, 0, 0, 0, 0, 0)
    packed = message.pack(mavlink.MAVLink(None, 255, 190))
    autopilot.take(mavlink.MAVLink(None).parse_buffer(packed)[0], 0)
    answers = [m for m in autopilot.channels[0].out if m.get_type() == "COMMAND_ACK"]
    return answers[-1].result


def take_off(autopilot):
    flight = autopilot.flight
    flight.set_mode(GUIDED)
    assert flight.arm(force=False) and flight.take_off(10.0)
    passed(autopilot, 15.0)
    assert not flight.body.on_ground


def land(autopilot):
    autopilot.flight.set_mode(LAND)
    for _ in range(60):
        passed(autopilot, 1.0)
        if not autopilot.flight.armed:
            return
    raise AssertionError("it has not landed")


def test_a_battery_is_swapped_by_order_on_the_ground_and_not_in_the_air():
    autopilot = drone(charge_percent=44.0)
    assert order(autopilot, batteries=2.0) == mavlink.MAV_RESULT_FAILED, "it has one battery"
    assert order(autopilot, charge=0.0) == mavlink.MAV_RESULT_FAILED
    assert percent(autopilot) < 44.1
    assert order(autopilot) == mavlink.MAV_RESULT_ACCEPTED and percent(autopilot) == 100.0
    take_off(autopilot)
    left = percent(autopilot)
    assert order(autopilot) == mavlink.MAV_RESULT_FAILED and percent(autopilot) == left < 100.0
    texts = [m.text for m in autopilot.channels[0].out if m.get_type() == "STATUSTEXT"]
    assert "Battery 1 swapped: 100%" in texts and "Battery swap: land and disarm first" in texts


def test_a_flown_battery_is_swapped_by_itself_after_standing_for_a_while():
    autopilot = drone(charge_percent=60.0, swap_after_s=15.0)
    passed(autopilot, 60.0)
    assert percent(autopilot) < 60.0, "one that has not flown keeps its battery"
    take_off(autopilot)
    land(autopilot)
    autopilot.flight.failsafe = "battery"
    passed(autopilot, 10.0)
    assert percent(autopilot) < 60.0
    passed(autopilot, 8.0)
    assert percent(autopilot) > 99.0 and autopilot.flight.failsafe == ""


def test_without_a_wish_for_it_no_battery_is_swapped():
    autopilot = drone(charge_percent=60.0)
    take_off(autopilot)
    land(autopilot)
    passed(autopilot, 120.0)
    assert percent(autopilot) < 60.0


def test_a_time_that_cannot_be_is_refused_and_the_shift_swaps_batteries(tmp_path):
    text = (CONFIGS / "demo/shift/drone.toml").read_text(encoding="utf-8")
    assert load_settings(CONFIGS / "demo/shift/drone.toml", AutopilotSettings).battery.swap_after_s > 0
    file = tmp_path / "drone.toml"
    file.write_text(text.replace("swap_after_s = 30.0", "swap_after_s = -1.0"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"battery.swap_after_s: -1: give 0 \(never\) to 3600 seconds"):
        load(file)
