"""What is particular to each kind of autopilot, in one value each. Everything else in the fleet asks here.

ArduPilot's is held to by the conformance suite. PX4's is written down from PX4's own documentation of its modes and of the
mission protocol, and from nothing that was flown: no PX4 was to be had. Until one has passed the conformance suite the
fleet tells what a PX4 drone says, and does not command it (`flown` is False).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink import ardupilot

# PX4's custom mode: main mode in the third byte, sub mode in the fourth (px4_custom_mode.h).
PX4_MAIN = {1: "MANUAL", 2: "ALTCTL", 3: "POSCTL", 4: "AUTO", 5: "ACRO", 6: "OFFBOARD", 7: "STABILIZED", 8: "RATTITUDE"}
PX4_AUTO = {
    1: "AUTO.READY", 2: "AUTO.TAKEOFF", 3: "AUTO.LOITER", 4: "AUTO.MISSION", 5: "AUTO.RTL", 6: "AUTO.LAND",
    8: "AUTO.FOLLOW_TARGET", 9: "AUTO.PRECLAND",
}
# Our words for what both can do: the fleet asks for these, and each autopilot has its own name of them.
PX4_WORDS = {"AUTO": "AUTO.MISSION", "RTL": "AUTO.RTL", "LAND": "AUTO.LAND", "GUIDED": "AUTO.LOITER"}


@dataclass(frozen=True, slots=True)
class Quirks:
    """One kind of autopilot.

    mode_name(custom_mode): its name, in our words where there is one. mode_parameters(mode): of MAV_CMD_DO_SET_MODE,
    None for a mode that it does not have. item_0_is_home: of a mission. takes_items_unasked: an item that it did not ask for
    does not end an upload. read_ahead: how many items may be asked for at once. station_failsafe: the parameter that says
    what it does without a station. simulation_parameters: one of them answers on a simulated one only.
    flown: whether the conformance suite has been passed by one.
    """

    name: str
    autopilot: int
    mode_name: Callable[[int], str]
    mode_parameters: Callable[[str], tuple[float, ...] | None]
    item_0_is_home: bool
    takes_items_unasked: bool
    read_ahead: int
    station_failsafe: tuple[str, ...]
    simulation_parameters: tuple[str, ...]
    flown: bool
    message_rates_hz: Mapping[int, float] = field(default_factory=lambda: ardupilot.MESSAGE_RATES_HZ)


def _ardupilot_mode(mode: str) -> tuple[float, ...] | None:
    number = ardupilot.MODE_NUMBERS.get(mode)
    return None if number is None else (float(mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED), float(number))


def _px4_name(custom_mode: int) -> str:
    main, sub = custom_mode >> 16 & 0xFF, custom_mode >> 24 & 0xFF
    name = PX4_AUTO.get(sub, f"AUTO.{sub}") if main == 4 else PX4_MAIN.get(main, f"MODE {custom_mode}")
    return next((ours for ours, theirs in PX4_WORDS.items() if theirs == name), name)


def _px4_mode(mode: str) -> tuple[float, ...] | None:
    wanted = PX4_WORDS.get(mode, mode)
    flags = float(mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED)
    for sub, name in PX4_AUTO.items():
        if name == wanted:
            return flags, 4.0, float(sub)
    return next(((flags, float(main), 0.0) for main, name in PX4_MAIN.items() if name == wanted and main != 4), None)


ARDUPILOT = Quirks(
    name="ArduPilot", autopilot=int(mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA), mode_name=ardupilot.mode_name,
    mode_parameters=_ardupilot_mode, item_0_is_home=True, takes_items_unasked=True, read_ahead=4,
    station_failsafe=("FS_GCS_ENABLE",), simulation_parameters=ardupilot.SIMULATION_PARAMETERS, flown=True,
)
PX4 = Quirks(
    name="PX4", autopilot=int(mavlink.MAV_AUTOPILOT_PX4), mode_name=_px4_name, mode_parameters=_px4_mode,
    item_0_is_home=False, takes_items_unasked=False, read_ahead=1, station_failsafe=("NAV_DLL_ACT",),
    simulation_parameters=("SIM_BAT_DRAIN", "SIM_GPS_USED"), flown=False,
)
_KNOWN = {q.autopilot: q for q in (ARDUPILOT, PX4)}


def quirks_of(autopilot: int) -> Quirks:
    """Of a HEARTBEAT's autopilot field; one that is unknown is read as ArduPilot's, whose words are the widest."""
    return _KNOWN.get(autopilot, ARDUPILOT)
