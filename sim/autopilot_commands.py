"""The simulated autopilot as its links see it: messages in, messages out. No sockets: bytes are the caller's business.

A command is acknowledged before the reason of a refusal is spoken, as ArduPilot does; what is not addressed to this
system gets silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from sim.autopilot_battery import GroundCrew
from sim.autopilot_flight import SEVERITY_WARNING, Flight, Place
from sim.autopilot_mission import MissionStore
from sim.autopilot_modes import Target
from sim.autopilot_parameters import NAME_LIMIT
from sim.autopilot_reports import BUILDERS, STREAMS, boot_ms, home_position

HEARTBEAT_S = 1.0
FORCE = 21196.0                 # the magic number of ARM_DISARM's second parameter
FASTEST_S = 0.02
VERSION = (4, 7, 0)             # of ArduCopter, whose behaviour this is modelled on
CAPABILITIES = (
    mavlink.MAV_PROTOCOL_CAPABILITY_MISSION_FLOAT
    | mavlink.MAV_PROTOCOL_CAPABILITY_MISSION_INT
    | mavlink.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
    | mavlink.MAV_PROTOCOL_CAPABILITY_MISSION_FENCE
    | mavlink.MAV_PROTOCOL_CAPABILITY_MISSION_RALLY
    | mavlink.MAV_PROTOCOL_CAPABILITY_MAVLINK2
    | mavlink.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_GLOBAL_INT
)
ACCEPTED, DENIED, UNSUPPORTED, FAILED = 0, 2, 3, 4     # MAV_RESULT
POSITION_IGNORED, YAW_IGNORED = 0b111, 1 << 10          # of SET_POSITION_TARGET_GLOBAL_INT's type_mask


@dataclass(slots=True)
class Channel:
    """One link. due_s: when each asked-for message is next sent, simulated time. out: what waits to be written."""

    interval_s: dict[int, float] = field(default_factory=dict)
    due_s: dict[int, float] = field(default_factory=dict)
    out: list[Any] = field(default_factory=list)
    open: bool = False


class Autopilot:
    """Flight, missions, parameters and streams behind MAVLink messages.

    utc_ns: what the satellites would say. After a reboot was accepted `rebooting` is True, and the process starts anew.
    swap_after_s: of its battery, see GroundCrew.
    """

    def __init__(
        self, flight_of: Callable[[Autopilot], Flight], hardware_id: bytes, utc_ns: Callable[[], int], channels: int,
        swap_after_s: float = 0.0,
    ) -> None:
        self.channels = [Channel() for _ in range(channels)]
        self.rebooting = False
        self.signing: tuple[bytes, int] | None = None       # key and time that SETUP_SIGNING stored; it survives a reboot
        self._spoken: list[tuple[int, str]] = []
        self._hardware_id = hardware_id.ljust(18, b"\0")[:18]
        self._utc_ns = utc_ns
        self._heartbeat_due_s = HEARTBEAT_S
        self.flight = flight_of(self)
        self.store = MissionStore(self._send, self.flight.home_item, self.flight.items_changed, self._may_clear)
        self.flight.store = self.store
        self._crew = GroundCrew(self.flight, swap_after_s, self.announce)
        self._commands: dict[int, Callable[[Any, int], int]] = {
            mavlink.MAV_CMD_COMPONENT_ARM_DISARM: self._arm_disarm,
            mavlink.MAV_CMD_NAV_TAKEOFF: lambda m, _: _result(self.flight.take_off(m.param7)),
            mavlink.MAV_CMD_DO_SET_MODE: lambda m, _: _result(self.flight.set_mode(int(m.param2))),
            mavlink.MAV_CMD_NAV_RETURN_TO_LAUNCH: lambda *_: _result(self.flight.set_mode(6)),
            mavlink.MAV_CMD_NAV_LAND: lambda *_: _result(self.flight.set_mode(9)),
            mavlink.MAV_CMD_MISSION_START: self._mission_start,
            mavlink.MAV_CMD_DO_SET_MISSION_CURRENT: lambda m, _: _result(self.flight.set_current(int(m.param1))),
            mavlink.MAV_CMD_DO_CHANGE_SPEED: self._change_speed,
            mavlink.MAV_CMD_DO_SET_HOME: self._set_home,
            mavlink.MAV_CMD_GET_HOME_POSITION: self._get_home,
            mavlink.MAV_CMD_SET_MESSAGE_INTERVAL: self._set_interval,
            mavlink.MAV_CMD_GET_MESSAGE_INTERVAL: self._get_interval,
            mavlink.MAV_CMD_REQUEST_MESSAGE: self._request_message,
            mavlink.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES: self._capabilities,
            mavlink.MAV_CMD_PREFLIGHT_REBOOT_SHUTDOWN: self._reboot,
            mavlink.MAV_CMD_BATTERY_RESET: lambda m, _: _result(self._crew.reset(m.param1, m.param2)),
            mavlink.MAV_CMD_DO_FENCE_ENABLE: self._fence_enable,
            mavlink.MAV_CMD_DO_REPOSITION: self._reposition,
            mavlink.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW: lambda m, _: self._point(m.param1, m.param2),
            mavlink.MAV_CMD_DO_MOUNT_CONTROL: lambda m, _: self._point(m.param1, m.param3),
            mavlink.MAV_CMD_DO_SET_ROI_LOCATION: self._look_at,
            mavlink.MAV_CMD_DO_SET_ROI: self._look_at,
            mavlink.MAV_CMD_DO_SET_ROI_NONE: lambda *_: self._look_ahead(),
        }
        self._handlers: dict[str, Callable[[Any, int], None]] = {
            "COMMAND_LONG": self._on_command,
            "COMMAND_INT": self._on_command,
            "SET_MODE": lambda m, _: self._told(self.flight.set_mode(m.custom_mode)),
            "PARAM_REQUEST_READ": self._on_parameter_read,
            "PARAM_REQUEST_LIST": self._on_parameter_list,
            "PARAM_SET": self._on_parameter_set,
            "REQUEST_DATA_STREAM": self._on_data_stream,
            "MISSION_SET_CURRENT": lambda m, _: self._told(self.flight.set_current(m.seq)),
            "SET_POSITION_TARGET_GLOBAL_INT": self._on_position_target,
            "TIMESYNC": self._on_timesync,
            "HEARTBEAT": self._on_heartbeat,
            "SETUP_SIGNING": self._on_setup_signing,
        }

    # --------------------------------------------------------------------------------------------------------- in, out

    def take(self, m: Any, channel: int) -> None:
        """One parsed message from a link."""
        target = getattr(m, "target_system", 0)
        if target not in (0, self.system_id()):
            return
        if not self.store.take(m, channel, self.flight.t_s):
            handler = self._handlers.get(m.get_type())
            if handler is not None:
                handler(m, channel)
        self._speak()

    def step(self, dt_s: float) -> None:
        flight = self.flight
        flight.step(dt_s)
        self._crew.step(dt_s)
        self.store.tick(flight.t_s)
        self._speak()
        if flight.t_s >= self._heartbeat_due_s:
            self._heartbeat_due_s += HEARTBEAT_S
            self._send_all(BUILDERS[mavlink.MAVLINK_MSG_ID_HEARTBEAT](flight, self._utc_ns()))
        for number, channel in enumerate(self.channels):
            if not channel.open:
                continue
            for message_id, due_s in channel.due_s.items():
                if flight.t_s >= due_s:
                    # Behind by more than an interval (a slow machine): leave out, do not catch up in a burst.
                    channel.due_s[message_id] = max(due_s + channel.interval_s[message_id], flight.t_s)
                    self._send(number, BUILDERS[message_id](flight, self._utc_ns()))

    def system_id(self) -> int:
        return int(self.flight.p["MAV_SYSID"])

    def announce(self, severity: int, text: str) -> None:
        """A STATUSTEXT on every open link, after the acknowledgement that is being made."""
        self._spoken.append((severity, text))

    def reached(self, seq: int) -> None:
        self._send_all(mavlink.MAVLink_mission_item_reached_message(seq))

    def _speak(self) -> None:
        for severity, text in self._spoken:
            self._send_all(mavlink.MAVLink_statustext_message(severity, text.encode("ascii", "replace")[:50]))
        self._spoken.clear()

    def _send(self, channel: int, message: Any) -> None:
        if self.channels[channel].open:
            self.channels[channel].out.append(message)

    def _send_all(self, message: Any) -> None:
        for number in range(len(self.channels)):
            self._send(number, message)

    def _told(self, _done: bool) -> None:
        """For messages that are not acknowledged: what follows shows in the heartbeat or in a text."""

    def _may_clear(self) -> bool:
        return not (self.flight.armed and self.flight.mission is not None and not self.flight.body.on_ground)

    # -------------------------------------------------------------------------------------------------------- commands

    def _on_command(self, m: Any, channel: int) -> None:
        if m.get_type() == "COMMAND_INT":
            m = _as_long(m)
        handler = self._commands.get(m.command)
        result = handler(m, channel) if handler is not None else UNSUPPORTED
        self._send(
            channel,
            mavlink.MAVLink_command_ack_message(m.command, result, 0, 0, m.get_srcSystem(), m.get_srcComponent()),
        )

    def _arm_disarm(self, m: Any, _channel: int) -> int:
        force = m.param2 == FORCE
        return _result(self.flight.arm(force=force) if m.param1 == 1.0 else self.flight.disarm(force=force))

    def _mission_start(self, _m: Any, _channel: int) -> int:
        if not self.flight.armed:
            return FAILED
        return _result(self.flight.set_mode(3) and self.flight.start_mission())

    def _change_speed(self, m: Any, _channel: int) -> int:
        if not m.param2 > 0:
            return DENIED
        self.flight.change_speed(m.param2)
        return ACCEPTED

    def _set_home(self, m: Any, _channel: int) -> int:
        here = self.flight.place()
        place = here if m.param1 == 1.0 else Place(m.param5, m.param6, m.param7)
        if not self.flight.position_ok() or not (abs(place.lat_deg) <= 90.0 and abs(place.lon_deg) <= 180.0):
            return FAILED
        self.flight.set_home(place)
        self._send_all(home_position(self.flight, self._utc_ns()))
        return ACCEPTED

    def _get_home(self, _m: Any, channel: int) -> int:
        if not self.flight.home_set:
            return FAILED
        self._send(channel, home_position(self.flight, self._utc_ns()))
        return ACCEPTED

    def _set_interval(self, m: Any, channel: int) -> int:
        message_id = int(m.param1)
        if message_id not in BUILDERS:
            return DENIED
        self._stream(channel, message_id, m.param2 / 1e6)
        return ACCEPTED

    def _stream(self, channel: int, message_id: int, interval_s: float) -> None:
        link = self.channels[channel]
        if interval_s <= 0 or message_id == mavlink.MAVLINK_MSG_ID_HEARTBEAT:
            link.interval_s.pop(message_id, None)
            link.due_s.pop(message_id, None)
        else:
            link.interval_s[message_id] = max(FASTEST_S, interval_s)
            link.due_s[message_id] = self.flight.t_s

    def _get_interval(self, m: Any, channel: int) -> int:
        message_id = int(m.param1)
        interval_s = self.channels[channel].interval_s.get(message_id)
        us = round(interval_s * 1e6) if interval_s is not None else (-1 if message_id in BUILDERS else 0)
        self._send(channel, mavlink.MAVLink_message_interval_message(message_id, us))
        return ACCEPTED

    def _request_message(self, m: Any, channel: int) -> int:
        message_id = int(m.param1)
        if message_id == mavlink.MAVLINK_MSG_ID_AUTOPILOT_VERSION:
            return self._capabilities(m, channel)
        if message_id == mavlink.MAVLINK_MSG_ID_HOME_POSITION:
            return self._get_home(m, channel)
        if message_id not in BUILDERS:
            return FAILED
        self._send(channel, BUILDERS[message_id](self.flight, self._utc_ns()))
        return ACCEPTED

    def _capabilities(self, _m: Any, channel: int) -> int:
        major, minor, patch = VERSION
        version = major << 24 | minor << 16 | patch << 8
        uid = int.from_bytes(self._hardware_id[:8], "little")
        self._send(
            channel,
            mavlink.MAVLink_autopilot_version_message(
                CAPABILITIES, version, 0, 0, 0, [0] * 8, [0] * 8, [0] * 8, 0, 0, uid, list(self._hardware_id)
            ),
        )
        return ACCEPTED

    def _reboot(self, m: Any, _channel: int) -> int:
        if int(m.param1) not in (1, 3):
            return FAILED
        if self.flight.armed or not self.flight.body.on_ground:
            return FAILED
        self.rebooting = True
        return ACCEPTED

    def _fence_enable(self, m: Any, _channel: int) -> int:
        if m.param1 not in (0.0, 1.0):
            return FAILED
        self.flight.fence_on = m.param1 == 1.0
        return ACCEPTED

    def _reposition(self, m: Any, _channel: int) -> int:
        flight = self.flight
        if int(m.param2) & 1 and not flight.set_mode(4):
            return FAILED
        return self._fly_to(m.param5, m.param6, m.param7, absolute=getattr(m, "frame", 3) in (0, 5), speed=m.param1)

    def _fly_to(
        self, lat_deg: float, lon_deg: float, height_m: float, *, absolute: bool, speed: float, yaw_deg: float | None = None
    ) -> int:
        if not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0 and math.isfinite(height_m)):
            return DENIED
        target = self._target(lat_deg, lon_deg, height_m, absolute=absolute)
        return _result(self.flight.fly_to(target, speed if speed > 0 else None, yaw_deg))

    def _target(self, lat_deg: float, lon_deg: float, height_m: float, *, absolute: bool) -> Target:
        flight = self.flight
        east, north = flight.earth.to_local(lat_deg, lon_deg)
        return Target(east, north, height_m - flight.start.msl_m if absolute else flight.home_target().up + height_m)

    def _point(self, pitch_deg: float, yaw_deg: float) -> int:
        """Both angles, or nothing: one of them unknown asks for rates, which a mount without them refuses."""
        if not (math.isfinite(pitch_deg) and math.isfinite(yaw_deg)):
            return FAILED
        self.flight.point(pitch_deg, yaw_deg)
        return ACCEPTED

    def _look_at(self, m: Any, _channel: int) -> int:
        """DO_SET_ROI_LOCATION: heights in the frame of a COMMAND_INT; of a COMMAND_LONG above home."""
        if (m.param5, m.param6, m.param7) == (0.0, 0.0, 0.0):
            return self._look_ahead()
        if not (abs(m.param5) <= 90.0 and abs(m.param6) <= 180.0 and math.isfinite(m.param7)):
            return FAILED
        self.flight.look_at(self._target(m.param5, m.param6, m.param7, absolute=getattr(m, "frame", 3) in (0, 5)))
        return ACCEPTED

    def _look_ahead(self) -> int:
        self.flight.look_at(None)
        return ACCEPTED

    # -------------------------------------------------------------------------------------------------- other messages

    def _on_heartbeat(self, m: Any, _channel: int) -> None:
        if m.get_srcSystem() == int(self.flight.p["MAV_GCS_SYSID"]):
            self.flight.heard_station()

    def _on_setup_signing(self, m: Any, _channel: int) -> None:
        """A key of zeros and a time of zero switch signing off."""
        if self.flight.armed:
            self.announce(SEVERITY_WARNING, "ERROR: Won't setup signing when armed")
            return
        key = bytes(m.secret_key)
        self.signing = (key, m.initial_timestamp) if any(key) or m.initial_timestamp else None

    def _on_timesync(self, m: Any, channel: int) -> None:
        if m.tc1 == 0:
            self._send(channel, mavlink.MAVLink_timesync_message(boot_ms(self.flight) * 1_000_000, m.ts1))

    def _on_data_stream(self, m: Any, channel: int) -> None:
        for message_id in STREAMS.get(m.req_stream_id, ()):
            rate = m.req_message_rate if m.start_stop else 0
            self._stream(channel, message_id, 1.0 / rate if rate > 0 else 0.0)

    def _on_parameter_read(self, m: Any, channel: int) -> None:
        names = self.flight.p.names
        name = names[m.param_index] if 0 <= m.param_index < len(names) else m.param_id
        if name in self.flight.p:
            self._send(channel, self._parameter(name))

    def _on_parameter_list(self, _m: Any, channel: int) -> None:
        for name in self.flight.p.names:
            self._send(channel, self._parameter(name))

    def _on_parameter_set(self, m: Any, _channel: int) -> None:
        if m.param_id in self.flight.p and math.isfinite(m.param_value):
            self.flight.p.set(m.param_id, m.param_value)
            self._send_all(self._parameter(m.param_id))

    def _parameter(self, name: str) -> Any:
        p = self.flight.p
        return mavlink.MAVLink_param_value_message(
            name.encode("ascii")[:NAME_LIMIT], p[name], mavlink.MAV_PARAM_TYPE_REAL32, len(p.names), p.names.index(name)
        )

    def _on_position_target(self, m: Any, _channel: int) -> None:
        """A place, with or without a yaw; a place with a velocity is flown to all the same. Anything else stops it."""
        if m.type_mask & POSITION_IGNORED:
            self.flight.stop_there()        # velocities alone are not modelled
            return
        lat_deg, lon_deg = m.lat_int / 1e7, m.lon_int / 1e7
        if self.flight.fence_enabled() and self.flight.is_outside_fence(lat_deg, lon_deg):
            return          # as ArduCopter: no word, and it stays where it is (ModeGuided, check_destination_within_fence)
        absolute = m.coordinate_frame in (0, 5)
        yaw_deg = None if m.type_mask & YAW_IGNORED else math.degrees(m.yaw)
        self._fly_to(lat_deg, lon_deg, m.alt, absolute=absolute, speed=0.0, yaw_deg=yaw_deg)


def _result(done: bool) -> int:
    return ACCEPTED if done else FAILED


def _as_long(m: Any) -> Any:
    """A COMMAND_INT in COMMAND_LONG's terms (degrees in param5 and 6), keeping its sender and its frame."""
    long = mavlink.MAVLink_command_long_message(
        m.target_system, m.target_component, m.command, 0,
        m.param1, m.param2, m.param3, m.param4, m.x / 1e7, m.y / 1e7, m.z,
    )
    long._header = m._header
    long.frame = m.frame
    return long
