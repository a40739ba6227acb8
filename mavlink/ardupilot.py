"""What is particular to ArduPilot's copters: the names of modes, what to ask for, how to read what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

MODE_NAMES: dict[int, str] = {
    number: entry.name.removeprefix("COPTER_MODE_")
    for number, entry in mavlink.enums["COPTER_MODE"].items()
    if not entry.name.endswith("_END")
}
MODE_NUMBERS: dict[str, int] = {name: number for number, name in MODE_NAMES.items()}

# One of these answers on a simulated autopilot; a real one keeps silent about all of them. Names come and go between
# versions (SIM_GPS_DISABLE became SIM_GPS1_ENABLE), so several are tried.
SIMULATION_PARAMETERS = ("SIM_SPEEDUP", "SIM_WIND_SPD", "SIM_GPS1_ENABLE", "SIM_GPS_DISABLE")

STATION_ID_PARAMETERS = ("MAV_GCS_SYSID", "SYSID_MYGCS")        # 4.7, and before
FORCE_MAGIC = 21196.0           # of MAV_CMD_COMPONENT_ARM_DISARM's second parameter
TAKE_OFF_SEQ = 1                # item 0 of a mission is home

# Hz, of what the fleet and the drone's node need. A link streams almost nothing but HEARTBEAT until asked.
MESSAGE_RATES_HZ: dict[int, float] = {
    mavlink.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: 5.0,
    mavlink.MAVLINK_MSG_ID_ATTITUDE: 5.0,
    mavlink.MAVLINK_MSG_ID_VFR_HUD: 2.0,
    mavlink.MAVLINK_MSG_ID_SYS_STATUS: 2.0,
    mavlink.MAVLINK_MSG_ID_GPS_RAW_INT: 2.0,
    mavlink.MAVLINK_MSG_ID_EKF_STATUS_REPORT: 2.0,
    mavlink.MAVLINK_MSG_ID_MISSION_CURRENT: 2.0,
    mavlink.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: 2.0,
    mavlink.MAVLINK_MSG_ID_BATTERY_STATUS: 1.0,
    mavlink.MAVLINK_MSG_ID_HOME_POSITION: 0.5,
    mavlink.MAVLINK_MSG_ID_WIND: 0.5,
    mavlink.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: 5.0,
}

EKF_READY = (
    mavlink.EKF_ATTITUDE | mavlink.EKF_VELOCITY_HORIZ | mavlink.EKF_POS_HORIZ_ABS | mavlink.EKF_POS_VERT_ABS
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which aircraft answers. hardware_id: hex of uid2, or of uid where that is empty; "" when it says neither."""

    system_id: int
    hardware_id: str
    version: str
    simulated: bool


def mode_name(custom_mode: int) -> str:
    return MODE_NAMES.get(custom_mode, f"MODE {custom_mode}")


def hardware_id(uid2: Sequence[int], uid: int) -> str:
    """The autopilot's own number as hex, without the zeros that fill it up."""
    data = bytes(uid2).rstrip(b"\0")
    if not data and uid:
        data = uid.to_bytes(8, "little").rstrip(b"\0")
    return data.hex()


def version_text(flight_sw_version: int) -> str:
    return ".".join(str(flight_sw_version >> shift & 0xFF) for shift in (24, 16, 8))


def ekf_ready(flags: int) -> bool:
    """Whether the estimate is good enough for GUIDED and AUTO."""
    return flags & EKF_READY == EKF_READY and not flags & mavlink.EKF_CONST_POS_MODE


def set_interval(system_id: int, component_id: int, message_id: int, rate_hz: float) -> Any:
    """The command that asks for one message at rate_hz."""
    return mavlink.MAVLink_command_long_message(
        system_id, component_id, mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, 0, message_id, 1e6 / rate_hz, 0, 0, 0, 0, 0
    )
