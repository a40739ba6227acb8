"""MAVLink messages to pose samples: what autopilots really send, with their ways of saying "unknown" taken out."""

from __future__ import annotations

import math
from typing import Protocol

from cameras.turn import Quaternion, Turn
from edge.autopilot_clock import HEARD_SIGMA_S, BootClock, Exchange
from edge.drone_pose import AttitudeSample, GimbalSample, PositionSample, Sample

# common.xml, GIMBAL_DEVICE_FLAGS
YAW_LOCK = 16
YAW_IN_VEHICLE_FRAME = 32
YAW_IN_EARTH_FRAME = 64
# MAV_COMPONENT. A gimbal has a boot and so a clock of its own, and may tell its own ATTITUDE, under its own number.
AUTOPILOT = 1
BOTH_FRAMES = YAW_IN_VEHICLE_FRAME | YAW_IN_EARTH_FRAME

# ardupilotmega.xml, EKF_STATUS_FLAGS: of an estimate that has a place on the earth, and of one that only stands still
PLACE_KNOWN, STANDS_STILL = 16, 128

NORM_TOLERANCE = 0.1            # a quaternion this far from length one was never one
# common.xml, GIMBAL_DEVICE_ERROR_FLAGS: encoder, software, calibration running. The others are of limits, power and motors,
# in which a gimbal still knows where it points.
UNSURE_OF_ITSELF = 8 | 64 | 256


class Message(Protocol):
    """What a pymavlink message can do; its fields are attributes."""

    def get_type(self) -> str: ...


class PoseReader:
    """Turns the messages of one drone into samples; counts those that say nothing usable.

    Of several gimbals the first one that speaks is the camera's, and MOUNT_ORIENTATION, which is the older way to say the
    same, is heard only until one does. Each component of the aircraft counts milliseconds since a boot of its own.
    """

    def __init__(self) -> None:
        self._clocks: dict[int, BootClock] = {}
        self._gimbal_id: int | None = None
        self._is_lost = False
        self.unusable = 0

    def begin_anew(self) -> None:
        """On a new connection: it may be to an autopilot that was started again, whose count of time is another."""
        self._clocks = {}
        self._gimbal_id = None
        self._is_lost = False

    @property
    def clock_sigma_s(self) -> float:
        """One sigma of the times of samples, as far as the autopilot's clock goes."""
        return max((clock.sigma_s for clock in list(self._clocks.values())), default=HEARD_SIGMA_S)

    @property
    def clocks_set(self) -> int:
        """How often a clock turned out to have been set: samples from before are on another time."""
        return sum(clock.begun_anew for clock in self._clocks.values())

    def exchanged(self, message: Message, exchange: Exchange) -> None:
        """Take an answer to TIMESYNC, of the clock of whoever gave it."""
        self._clock_of(message).exchanged(exchange)

    def _clock_of(self, message: Message) -> BootClock:
        return self._clocks.setdefault(_component(message), BootClock())

    def sample(self, message: Message, received_ns: int) -> Sample | None:
        """The sample in a message; None for a message of another kind, or one whose values are unknown."""
        try:
            match message.get_type():
                case "EKF_STATUS_REPORT":
                    flags = int(_number(message, "flags"))
                    self._is_lost = not flags & PLACE_KNOWN or bool(flags & STANDS_STILL)
                    return None
                case "ATTITUDE" | "GLOBAL_POSITION_INT" if _component(message) != AUTOPILOT:
                    return None
                case "ATTITUDE":
                    found: Sample | None = self._attitude(message, received_ns)
                case "GLOBAL_POSITION_INT":
                    found = self._position(message, received_ns)
                case "GIMBAL_DEVICE_ATTITUDE_STATUS":
                    if self._gimbal_id not in (None, _gimbal_of(message)):
                        return None
                    found = self._gimbal(message, received_ns)
                case "MOUNT_ORIENTATION":
                    if self._gimbal_id is not None:
                        return None
                    found = self._mount(message, received_ns)
                case _:
                    return None
        except (AttributeError, TypeError, ValueError):     # a dialect with other fields
            found = None
        self.unusable += found is None
        return found

    def _attitude(self, m: Message, received_ns: int) -> AttitudeSample | None:
        angles = [_number(m, "roll"), _number(m, "pitch"), _number(m, "yaw")]
        if not all(math.isfinite(a) for a in angles):
            return None
        roll, pitch, yaw = angles
        return AttitudeSample(self._utc_ns(m, received_ns), Turn.by_angles(yaw, pitch, roll).q)

    def _position(self, m: Message, received_ns: int) -> PositionSample | None:
        lat, lon = _number(m, "lat") / 1e7, _number(m, "lon") / 1e7
        # (0, 0) is how an autopilot says that it has no fix; no sector lies in the Gulf of Guinea.
        # One that has lost its satellites goes on telling the last place that it had; its estimate says that it is none.
        if self._is_lost or (lat, lon) == (0.0, 0.0) or not (-90 <= lat <= 90 and -180 <= lon <= 180):
            return None
        return PositionSample(
            self._utc_ns(m, received_ns), lat, lon, _number(m, "alt") / 1e3,
            east_m_s=_number(m, "vy") / 1e2, north_m_s=_number(m, "vx") / 1e2, up_m_s=-_number(m, "vz") / 1e2,
        )

    def _gimbal(self, m: Message, received_ns: int) -> GimbalSample | None:
        w, x, y, z = (float(v) for v in getattr(m, "q"))    # noqa: B009 -- a field of the wire, not of the type
        quaternion: Quaternion = (w, x, y, z)
        norm = math.sqrt(sum(v * v for v in quaternion))
        if not abs(norm - 1.0) < NORM_TOLERANCE:            # NaN and zero fail too
            return None
        flags = int(_number(m, "flags"))
        if flags & BOTH_FRAMES == BOTH_FRAMES or int(_number(m, "failure_flags")) & UNSURE_OF_ITSELF:
            return None                                     # both at once are "not allowed"
        if flags & BOTH_FRAMES:
            earth_frame = bool(flags & YAW_IN_EARTH_FRAME)
        else:
            earth_frame = bool(flags & YAW_LOCK)            # before the two flags existed, a locked yaw meant the earth's
        self._gimbal_id = _gimbal_of(m)
        # delta_yaw would turn one frame into the other, but who leaves it out sends 0, which also means north: not used.
        return GimbalSample(self._utc_ns(m, received_ns), quaternion, earth_frame)

    def _mount(self, m: Message, received_ns: int) -> GimbalSample | None:
        """Roll and pitch against the horizon, yaw against the nose; or, where that is unknown, against north."""
        roll, pitch = _number(m, "roll"), _number(m, "pitch")
        yaw, from_north = _number(m, "yaw"), _number(m, "yaw_absolute")
        earth_frame = not math.isfinite(yaw)
        angles = [roll, pitch, from_north if earth_frame else yaw]
        if not all(math.isfinite(a) for a in angles):
            return None
        return GimbalSample(self._utc_ns(m, received_ns), Turn.by_degrees(angles[2], pitch, roll).q, earth_frame)

    def _utc_ns(self, m: Message, received_ns: int) -> int:
        return self._clock_of(m).utc_ns(int(_number(m, "time_boot_ms")), received_ns)


def _gimbal_of(message: Message) -> int:
    """Which gimbal speaks; 0 where it does not say, as before there could be several."""
    return int(getattr(message, "gimbal_device_id", 0))


def _component(message: Message) -> int:
    """Which component of the aircraft speaks; who does not say is the autopilot."""
    sender = getattr(message, "get_srcComponent", None)
    return max(int(sender()), 1) if callable(sender) else 1


def _number(message: Message, field: str) -> float:
    return float(getattr(message, field))
