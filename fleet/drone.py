"""What is known about one drone: from its own messages only, each value with its age."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from cameras.turn import Turn
from mavlink.ardupilot import Identity, ekf_ready
from mavlink.autopilots import ARDUPILOT, Quirks, quirks_of
from mavlink.link import link_state
from wire.clock import NS_PER_S, Clock
from wire.flying import DroneTelemetry, LinkState
from wire.units import HeightMsl, Position

T = TypeVar("T")

FRESH_S = 3.0                   # older values are not acted on
TEXTS_KEPT, TEXTS_FOR_S = 20, 30.0
TEXTS_SHOWN = 5
REASONS_FOR_S = 35.0            # ArduPilot says its failing pre-arm checks again every 30 s
REASON_WORDS = ("PreArm: ", "Arm: ")
JUMP_M, JUMP_SPEED_M_S = 15.0, 30.0     # a place further from the last than any flight explains
UNKNOWN_U8 = 255                # and in 8-bit ones
UNKNOWN_U16 = 65535             # MAVLink's "not known" in unsigned 16-bit fields
REBOOT_STEP_MS = 1000           # a boot time that falls by more than this, or lags so far, is another boot
SLOWEST_RATE = 0.9              # of a simulated vehicle's time on a busy machine
QUATERNION_TOLERANCE = 0.1      # one this far from length one was never one
METRES_A_DEGREE = 111_195.0     # near enough for a leap
ON_GROUND = int(mavlink.MAV_LANDED_STATE_ON_GROUND)
PREARM_BIT = int(mavlink.MAV_SYS_STATUS_PREARM_CHECK)
FENCE_BIT = int(mavlink.MAV_SYS_STATUS_GEOFENCE)


AGED = (
    "heartbeat", "position", "battery_percent", "gps_fix", "ekf_flags", "sensors_healthy", "landed_state", "mission_item",
    "wind", "attitude_deg", "ground_speed_m_s",
)


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """A value and when it was heard (monotonic nanoseconds)."""

    value: T
    at_ns: int


class Drone:
    """The state of one drone. take() is fed every message of its system; nothing else changes it.

    boots: how often it has started anew, by its own boot time, as last heard in boot_ms. reached: mission items that it
    said it has completed, since the last forget_progress().
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.identity: Identity | None = None
        self.boots = 0
        self.reached: set[int] = set()
        self.highest_item = 0
        self.heartbeat: Heard[Any] | None = None
        self.heartbeats = 0                                         # how many came
        self.position: Heard[Position] | None = None
        self.height_m: Heard[float] | None = None
        self.ground_speed_m_s: Heard[float] | None = None
        self.heading_deg: Heard[float] | None = None
        self.battery_percent: Heard[float | None] | None = None
        self.battery_v: Heard[float | None] | None = None
        self.gps_fix: Heard[int] | None = None
        self.ekf_flags: Heard[int] | None = None
        self.sensors_healthy: Heard[int] | None = None
        self.landed_state: Heard[int] | None = None
        self.mission_item: Heard[int] | None = None
        self.mission_total: Heard[int] | None = None
        self.gps_satellites: Heard[int | None] | None = None
        self.gps_hdop: Heard[float | None] | None = None
        self.gps_accuracy_m: Heard[float | None] | None = None
        self.wind: Heard[tuple[float, float]] | None = None         # m/s, and degrees where it comes from
        self.attitude_deg: Heard[tuple[float, float, float]] | None = None      # roll, pitch, yaw
        self.gimbal_deg: Heard[tuple[float, float]] | None = None   # pitch against the horizon, yaw against north
        self.velocity_m_s: Heard[tuple[float, float]] | None = None # east, north
        self.fence_on: Heard[bool] | None = None
        self.jump_m: Heard[float] | None = None                     # the last leap of its place, and when
        self.links: tuple[str, ...] = ()                            # what its pilot says of the links to it
        self.quirks: Quirks = ARDUPILOT
        self._clock = clock
        self.boot_ms: Heard[int] | None = None
        self._texts: deque[Heard[str]] = deque(maxlen=TEXTS_KEPT)
        self._last_heartbeat_in: dict[str, int] = {}                # of each mode, its number

    # ------------------------------------------------------------------------------------------------------- heard

    def take(self, m: Any) -> None:
        now_ns = self._clock.monotonic_ns()
        handler = _HANDLERS.get(m.get_type())
        if handler is not None:
            handler(self, m, now_ns)
        boot_ms = getattr(m, "time_boot_ms", None)
        if boot_ms is not None and m.get_srcComponent() == mavlink.MAV_COMP_ID_AUTOPILOT1:
            self.boots += self.boot_ms is not None and _is_another_boot(self.boot_ms, Heard(boot_ms, now_ns))
            self.boot_ms = Heard(boot_ms, now_ns)

    def forget_progress(self) -> None:
        """Before a new mission is flown."""
        self.reached = set()
        self.highest_item = 0

    def _heartbeat(self, m: Any, now_ns: int) -> None:
        if m.get_srcComponent() == mavlink.MAV_COMP_ID_AUTOPILOT1 and m.autopilot != mavlink.MAV_AUTOPILOT_INVALID:
            self.heartbeat = Heard(m, now_ns)
            self.quirks = quirks_of(m.autopilot)
            self.heartbeats += 1
            self._last_heartbeat_in[self.mode()] = self.heartbeats

    def _global_position(self, m: Any, now_ns: int) -> None:
        nowhere = m.lat == 0 and m.lon == 0     # a missing value, not a place in the Gulf of Guinea
        if nowhere or (self.position is not None and self._is_blind()):
            if self.position is not None:       # its height over home is the barometer's: it may be landing
                self.height_m = Heard(m.relative_alt / 1000.0, now_ns)
            return
        before = self.position
        self.position = Heard(Position(m.lat / 1e7, m.lon / 1e7, HeightMsl(m.alt / 1000.0)), now_ns)
        if before is not None:
            leap_m = _leap_m(before, self.position)
            if leap_m > 0.0:
                self.jump_m = Heard(leap_m, now_ns)
        self.height_m = Heard(m.relative_alt / 1000.0, now_ns)
        self.ground_speed_m_s = Heard(math.hypot(m.vx, m.vy) / 100.0, now_ns)
        self.velocity_m_s = Heard((m.vy / 100.0, m.vx / 100.0), now_ns)
        if m.hdg != UNKNOWN_U16:
            self.heading_deg = Heard(m.hdg / 100.0, now_ns)

    def _is_blind(self) -> bool:
        """Without satellites, and its estimate has given up: an ArduCopter goes on telling the last place that it had."""
        flags, fix = self.ekf_flags, self.gps_fix
        return flags is not None and fix is not None and fix.value < 3 and not ekf_ready(flags.value)

    def _sys_status(self, m: Any, now_ns: int) -> None:
        self.sensors_healthy = Heard(m.onboard_control_sensors_health, now_ns)
        self.fence_on = Heard(bool(m.onboard_control_sensors_enabled & FENCE_BIT), now_ns)
        self.battery_percent = Heard(float(m.battery_remaining) if m.battery_remaining >= 0 else None, now_ns)
        volts = m.voltage_battery / 1000.0 if m.voltage_battery not in (0, UNKNOWN_U16) else None
        self.battery_v = Heard(volts, now_ns)

    def _gps_raw(self, m: Any, now_ns: int) -> None:
        self.gps_fix = Heard(m.fix_type, now_ns)
        self.gps_satellites = Heard(m.satellites_visible if m.satellites_visible != UNKNOWN_U8 else None, now_ns)
        self.gps_hdop = Heard(m.eph / 100.0 if m.eph not in (UNKNOWN_U16, 9999) else None, now_ns)
        self.gps_accuracy_m = Heard(m.h_acc / 1000.0 if m.h_acc else None, now_ns)

    def _wind(self, m: Any, now_ns: int) -> None:
        self.wind = Heard((float(m.speed), float(m.direction) % 360.0), now_ns)

    def _attitude(self, m: Any, now_ns: int) -> None:
        roll, pitch, yaw = (math.degrees(a) for a in (m.roll, m.pitch, m.yaw))
        self.attitude_deg = Heard((roll, pitch, yaw % 360.0), now_ns)

    def _gimbal(self, m: Any, now_ns: int) -> None:
        """Its quaternion can be all zero, which says nothing; its yaw is against the nose unless it says otherwise."""
        q = tuple(float(v) for v in m.q)
        if not abs(math.hypot(*q) - 1.0) < QUATERNION_TOLERANCE:
            return
        north, east, down = Turn.of(q).matrix()[:, 0]       # where its axis points
        yaw, pitch = math.degrees(math.atan2(east, north)), -math.degrees(math.asin(max(-1.0, min(1.0, down))))
        if not m.flags & mavlink.GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME:
            if self.attitude_deg is None:
                return
            yaw += self.attitude_deg.value[2]
        self.gimbal_deg = Heard((pitch, yaw % 360.0), now_ns)

    def _ekf(self, m: Any, now_ns: int) -> None:
        self.ekf_flags = Heard(m.flags, now_ns)

    def _extended(self, m: Any, now_ns: int) -> None:
        if m.landed_state != mavlink.MAV_LANDED_STATE_UNDEFINED:
            self.landed_state = Heard(m.landed_state, now_ns)

    def _mission_current(self, m: Any, now_ns: int) -> None:
        self.mission_item = Heard(m.seq, now_ns)
        if m.total != UNKNOWN_U16:
            self.mission_total = Heard(m.total, now_ns)
        if self.airborne() and self.mode() == "AUTO":
            self.highest_item = max(self.highest_item, m.seq)

    def _item_reached(self, m: Any, now_ns: int) -> None:
        del now_ns
        self.reached.add(m.seq)

    def _statustext(self, m: Any, now_ns: int) -> None:
        text = m.text.decode("utf-8", "replace") if isinstance(m.text, bytes) else m.text
        self._texts.append(Heard(text.rstrip("\0"), now_ns))

    # ------------------------------------------------------------------------------------------------------- asked

    def age_s(self, heard: Heard[Any] | None) -> float:
        return (self._clock.monotonic_ns() - heard.at_ns) / NS_PER_S if heard is not None else math.inf

    def fresh(self, heard: Heard[T] | None) -> T | None:
        """The value when it is young enough to act on."""
        return heard.value if heard is not None and self.age_s(heard) <= FRESH_S else None

    def link(self) -> LinkState:
        return link_state(self.age_s(self.heartbeat))

    def armed(self) -> bool:
        return bool(self.heartbeat and self.heartbeat.value.base_mode & mavlink.MAV_MODE_FLAG_SAFETY_ARMED)

    def mode(self) -> str:
        return self.quirks.mode_name(self.heartbeat.value.custom_mode) if self.heartbeat else ""

    def was_in(self, mode: str, since: int) -> bool:
        """Whether it is in this mode, or has said so after its heartbeat number `since`: a failsafe's may follow at once."""
        return self.mode() == mode or self._last_heartbeat_in.get(mode, 0) > since

    def airborne(self) -> bool:
        """As it last said itself; an armed drone that does not say is judged by its height."""
        if self.landed_state is not None:
            return self.armed() and self.landed_state.value != ON_GROUND
        return self.armed() and self.height_m is not None and self.height_m.value > 1.0

    def ready(self) -> bool:
        """Whether its position estimate is good enough for GUIDED."""
        flags = self.fresh(self.ekf_flags)
        return flags is not None and ekf_ready(flags)

    def prearm_ok(self) -> bool:
        healthy = self.fresh(self.sensors_healthy)
        return healthy is not None and bool(healthy & PREARM_BIT)

    def arming_reasons(self) -> tuple[str, ...]:
        """Why it would not arm, in its own words, newest last; none when its checks pass or it has not said."""
        if self.prearm_ok():
            return ()
        since_ns = self._clock.monotonic_ns() - round(REASONS_FOR_S * NS_PER_S)
        said = [word + t.partition(word)[2] for t in self.texts_since(since_ns) for word in REASON_WORDS[:1] if word in t]
        said += [t for t in self.texts_since(since_ns) if t.startswith(REASON_WORDS[1])]
        return tuple(dict.fromkeys(said))

    def ages_s(self) -> dict[str, float]:
        """How old each value is that was ever heard."""
        values = {name: getattr(self, name) for name in AGED} | {"height_above_home_m": self.height_m}
        return {name: round(self.age_s(heard), 2) for name, heard in values.items() if heard is not None}

    def texts_since(self, at_ns: int) -> tuple[str, ...]:
        return tuple(t.value for t in self._texts if t.at_ns >= at_ns)

    def telemetry(self) -> DroneTelemetry:
        """All of it as one message for the station."""
        identity = self.identity
        position, height, speed, heading = self.position, self.height_m, self.ground_speed_m_s, self.heading_deg
        percent, volts = self.battery_percent, self.battery_v
        now_ns = self._clock.monotonic_ns()
        return DroneTelemetry(
            drone=self.name,
            at_ns=self._clock.utc_ns(),
            link=self.link(),
            heard_age_s=min(self.age_s(self.heartbeat), 1e6),
            system_id=identity.system_id if identity else 0,
            hardware_id=identity.hardware_id if identity else "",
            simulated=identity.simulated if identity else False,
            armed=self.armed(),
            mode=self.mode(),
            position=position.value if position else None,
            height_above_home_m=height.value if height else None,
            ground_speed_m_s=speed.value if speed else None,
            heading_deg=heading.value if heading else None,
            battery_percent=percent.value if percent else None,
            battery_v=volts.value if volts else None,
            gps_fix=self.gps_fix.value if self.gps_fix else None,
            mission_item=self.mission_item.value if self.mission_item else None,
            mission_total=self.mission_total.value if self.mission_total else None,
            texts=self.texts_since(now_ns - round(TEXTS_FOR_S * NS_PER_S))[-TEXTS_SHOWN:],
            ages_s=self.ages_s(),
            arming_reasons=self.arming_reasons(),
            gps_satellites=self.gps_satellites.value if self.gps_satellites else None,
            gps_hdop=self.gps_hdop.value if self.gps_hdop else None,
            gps_accuracy_m=self.gps_accuracy_m.value if self.gps_accuracy_m else None,
            wind_m_s=self.wind.value[0] if self.wind else None,
            wind_from_deg=self.wind.value[1] if self.wind else None,
            autopilot=f"{self.quirks.name} {identity.version}" if identity else "",
            links=self.links,
        )


def _leap_m(before: Heard[Position], now: Heard[Position]) -> float:
    """By how much a place is further from the last than a flight explains; 0 for one that is not."""
    north = (now.value.lat_deg - before.value.lat_deg) * METRES_A_DEGREE
    east = (now.value.lon_deg - before.value.lon_deg) * METRES_A_DEGREE * math.cos(math.radians(now.value.lat_deg))
    moved_m = math.hypot(east, north)
    allowed_m = JUMP_M + JUMP_SPEED_M_S * (now.at_ns - before.at_ns) / NS_PER_S
    return moved_m if moved_m > allowed_m else 0.0


def _is_another_boot(before: Heard[int], now: Heard[int]) -> bool:
    """Whether a vehicle has started anew between two of its boot times (milliseconds).

    A boot time that falls says so. One that does not can still be another boot's, after a silence longer than the first
    had lasted: then it fits into the silence, and lags behind the first one's time.
    """
    if now.value < before.value - REBOOT_STEP_MS:
        return True
    silence_ms = (now.at_ns - before.at_ns) / 1e6
    return now.value <= silence_ms and now.value < before.value + SLOWEST_RATE * silence_ms - REBOOT_STEP_MS


_HANDLERS: dict[str, Any] = {
    "HEARTBEAT": Drone._heartbeat,
    "GLOBAL_POSITION_INT": Drone._global_position,
    "SYS_STATUS": Drone._sys_status,
    "GPS_RAW_INT": Drone._gps_raw,
    "EKF_STATUS_REPORT": Drone._ekf,
    "EXTENDED_SYS_STATE": Drone._extended,
    "MISSION_CURRENT": Drone._mission_current,
    "MISSION_ITEM_REACHED": Drone._item_reached,
    "STATUSTEXT": Drone._statustext,
    "WIND": Drone._wind,
    "ATTITUDE": Drone._attitude,
    "GIMBAL_DEVICE_ATTITUDE_STATUS": Drone._gimbal,
}
