"""What a drone's state makes of its messages; time is stepped by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.drone import Drone
from wire.clock import SteppedClock


def heard(message: Any) -> Any:
    """As the link hands it over: packed by system 1, and parsed."""
    return mavlink.MAVLink(None).parse_buffer(message.pack(mavlink.MAVLink(None, 1, 1)))[0]


def attitude(boot_ms: int) -> Any:
    return heard(mavlink.MAVLink_attitude_message(boot_ms, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("first_ms", "silence_s", "then_ms", "boots"),
    [
        (60_000, 0.2, 60_200, 0),
        (60_000, 0.2, 59_500, 0),           # out of order on a datagram link
        (60_000, 5.0, 2_000, 1),
        (60_000, 300.0, 360_000, 0),        # a cut link, the same boot
        (60_000, 300.0, 290_000, 1),        # longer silent than it had run: its boot time is higher, and another boot's
        (60_000, 300.0, 335_000, 0),        # a simulated vehicle on a busy machine runs late
        (60_000, 10.0, 140_000, 0),         # and one whose time runs eight times faster does not start anew
    ],
)
def test_another_boot_is_told_from_a_silence(first_ms: int, silence_s: float, then_ms: int, boots: int) -> None:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)
    drone.take(attitude(first_ms))
    clock.advance(silence_s)
    drone.take(attitude(then_ms))
    assert drone.boots == boots


@settings(max_examples=200, deadline=None)
@given(
    rate=st.floats(0.92, 12.0), start_ms=st.integers(1_000, 10_000_000),
    gaps_s=st.lists(st.floats(0.02, 400.0), min_size=1, max_size=30),
)
def test_one_boot_is_never_taken_for_two(rate: float, start_ms: int, gaps_s: list[float]) -> None:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)
    boot_ms = float(start_ms)
    drone.take(attitude(round(boot_ms)))
    for gap_s in gaps_s:
        clock.advance(gap_s)
        boot_ms += gap_s * 1000.0 * rate
        drone.take(attitude(round(boot_ms)))
    assert drone.boots == 0


def test_a_place_of_zero_and_zero_is_none() -> None:
    drone = Drone("drone-1", SteppedClock())
    drone.take(heard(mavlink.MAVLink_global_position_int_message(1000, 0, 0, 0, 0, 0, 0, 0, 65535)))
    assert drone.position is None and drone.telemetry().position is None
    there = mavlink.MAVLink_global_position_int_message(1200, 166_222_500, 1_066_023_000, 165_000, 20, 0, 0, 0, 9000)
    drone.take(heard(there))
    assert drone.position is not None and drone.position.value.lat_deg == pytest.approx(16.62225)
    blind = mavlink.MAVLink_global_position_int_message(1400, 0, 0, 0, 12_000, 0, 0, 0, 9000)
    drone.take(heard(blind))
    assert drone.position.value.lat_deg == pytest.approx(16.62225), "its last place"
    assert drone.height_m is not None and drone.height_m.value == 12.0, "and the height at which it lands without one"
    # As an ArduCopter tells it: the last place that it had, over and over, as if it were there.
    drone.take(heard(mavlink.MAVLink_gps_raw_int_message(0, 1, 0, 0, 0, 0, 0, 0, 0, 0)))
    drone.take(heard(mavlink.MAVLink_ekf_status_report_message(0b10100111, 0, 0, 0, 0, 0)))
    place = drone.position
    drone.take(heard(mavlink.MAVLink_global_position_int_message(1600, 166_222_536, 1_066_023_121, 0, 9_000, 0, 0, 0, 9000)))
    assert drone.position is place and drone.height_m.value == 9.0
    assert {"ground_speed_m_s", "height_above_home_m"} <= drone.ages_s().keys(), "each value that is shown has an age"


def test_values_too_old_are_not_acted_on_and_are_still_shown() -> None:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)
    drone.take(heard(mavlink.MAVLink_gps_raw_int_message(0, 3, 0, 0, 0, 0, 0, 0, 0, 12)))
    assert drone.fresh(drone.gps_fix) == 3
    clock.advance(4.0)
    assert drone.fresh(drone.gps_fix) is None
    assert drone.telemetry().gps_fix == 3


def test_reasons_not_to_arm_are_kept_in_its_own_words_and_go_when_the_checks_pass() -> None:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)
    unhealthy = mavlink.MAVLink_sys_status_message(0, 0, 0, 0, 12000, 0, 80, 0, 0, 0, 0, 0, 0)
    drone.take(heard(unhealthy))
    drone.take(heard(mavlink.MAVLink_statustext_message(2, b"PreArm: GPS 1: Bad fix")))
    drone.take(heard(mavlink.MAVLink_statustext_message(2, b"Arm: Need Position Estimate")))
    drone.take(heard(mavlink.MAVLink_statustext_message(2, b"PreArm: GPS 1: Bad fix")))
    drone.take(heard(mavlink.MAVLink_statustext_message(6, b"EKF3 IMU0 initialised")))
    assert drone.arming_reasons() == ("PreArm: GPS 1: Bad fix", "Arm: Need Position Estimate")
    assert drone.telemetry().arming_reasons == drone.arming_reasons()
    drone.take(heard(mavlink.MAVLink_sys_status_message(0, 0, 1 << 28, 0, 12000, 0, 80, 0, 0, 0, 0, 0, 0)))
    assert drone.arming_reasons() == ()
    drone.take(heard(unhealthy))
    clock.advance(40.0)
    assert drone.arming_reasons() == (), "said again each 30 s while they hold"


def test_satellites_and_wind_come_with_their_age_and_unknown_stays_unknown() -> None:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)
    drone.take(heard(mavlink.MAVLink_gps_raw_int_message(0, 3, 0, 0, 0, 121, 9999, 0, 0, 11, h_acc=800)))
    drone.take(heard(mavlink.MAVLink_wind_message(-90.0, 6.5, 0.0)))
    clock.advance(2.5)
    t = drone.telemetry()
    assert (t.gps_satellites, t.gps_hdop, t.gps_accuracy_m) == (11, pytest.approx(1.21), pytest.approx(0.8))
    assert (t.wind_m_s, t.wind_from_deg) == (6.5, 270.0)
    assert t.ages_s == {"gps_fix": 2.5, "wind": 2.5}
    drone.take(heard(mavlink.MAVLink_gps_raw_int_message(0, 1, 0, 0, 0, 65535, 65535, 0, 0, 255)))
    t = drone.telemetry()
    assert (t.gps_satellites, t.gps_hdop, t.gps_accuracy_m) == (None, None, None)


def test_a_place_that_leaps_is_told_and_one_that_flies_is_not() -> None:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)

    def at(north_m: float) -> None:
        lat = 166_222_500 + round(north_m / 111_195.0 * 1e7)
        there = mavlink.MAVLink_global_position_int_message(1000, lat, 1_066_023_000, 165_000, 20, 0, 0, 0, 9000)
        drone.take(heard(there))
        clock.advance(0.2)

    for north_m in range(0, 60, 3):     # 15 m/s
        at(float(north_m))
    assert drone.jump_m is None
    at(400.0)
    assert drone.jump_m is not None and drone.jump_m.value == pytest.approx(343.0, abs=2.0)


@pytest.mark.parametrize(
    ("autopilot", "custom_mode", "mode"),
    [
        (3, 3, "AUTO"), (3, 6, "RTL"), (12, 4 << 16 | 4 << 24, "AUTO"), (12, 4 << 16 | 5 << 24, "RTL"),
        (12, 3 << 16, "POSCTL"),
    ],
)
def test_a_mode_has_the_name_that_its_kind_of_autopilot_gives_it(autopilot: int, custom_mode: int, mode: str) -> None:
    drone = Drone("drone-1", SteppedClock())
    drone.take(heard(mavlink.MAVLink_heartbeat_message(2, autopilot, 1, custom_mode, 4, 3)))
    assert drone.mode() == mode
    parameters = drone.quirks.mode_parameters(mode)
    assert parameters is not None
    of_px4 = (1.0, float(custom_mode >> 16 & 255), float(custom_mode >> 24))
    assert parameters == ((1.0, float(custom_mode)) if autopilot == 3 else of_px4)
    assert drone.quirks.mode_parameters("NO SUCH MODE") is None
    assert drone.quirks.flown is (autopilot == 3)
