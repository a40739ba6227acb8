"""MAVLink messages to pose samples: what autopilots really send, with their ways of saying "unknown" taken out."""

from __future__ import annotations

import math
from typing import Protocol

from scipy.spatial.transform import Rotation

from edge.drone_pose import AttitudeSample, GimbalSample, PositionSample, Quaternion, Sample

# common.xml, GIMBAL_DEVICE_FLAGS
YAW_LOCK = 16
YAW_IN_VEHICLE_FRAME = 32
YAW_IN_EARTH_FRAME = 64

NORM_TOLERANCE = 0.1            # a quaternion this far from length one was never one
CLOCK_DRIFT = 1e-4              # an autopilot's crystal, ten times worse than its data sheet
BACKWARDS_MS = 1000             # time_boot_ms that goes back further than this: the autopilot started again


class Message(Protocol):
    """What a pymavlink message can do; its fields are attributes."""

    def get_type(self) -> str: ...


class BootClock:
    """From an autopilot's milliseconds since boot to UTC.

    A message may come late and never early: the least difference of reception and boot time is the truest.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._last_ms = 0

    def utc_ns(self, boot_ms: int, received_ns: int) -> int:
        candidate = received_ns - boot_ms * 1_000_000
        if self._offset_ns is None or boot_ms < self._last_ms - BACKWARDS_MS:
            self._offset_ns = candidate
        else:
            # Let it creep up, so that drift or a stepped clock is followed after a while.
            passed_ns = max(0, boot_ms - self._last_ms) * 1_000_000
            self._offset_ns = min(self._offset_ns + round(passed_ns * CLOCK_DRIFT), candidate)
        self._last_ms = boot_ms
        return boot_ms * 1_000_000 + self._offset_ns


class PoseReader:
    """Turns the messages of one drone into samples; counts those that say nothing usable."""

    def __init__(self) -> None:
        self._clock = BootClock()
        self.unusable = 0

    def begin_anew(self) -> None:
        """On a new connection: it may be to an autopilot that was started again, whose count of time is another."""
        self._clock = BootClock()

    def sample(self, message: Message, received_ns: int) -> Sample | None:
        """The sample in a message; None for a message of another kind, or one whose values are unknown."""
        try:
            match message.get_type():
                case "ATTITUDE":
                    found: Sample | None = self._attitude(message, received_ns)
                case "GLOBAL_POSITION_INT":
                    found = self._position(message, received_ns)
                case "GIMBAL_DEVICE_ATTITUDE_STATUS":
                    found = self._gimbal(message, received_ns)
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
        x, y, z, w = (float(v) for v in Rotation.from_euler("ZYX", angles[::-1]).as_quat())
        return AttitudeSample(self._utc_ns(m, received_ns), (w, x, y, z))

    def _position(self, m: Message, received_ns: int) -> PositionSample | None:
        lat, lon = _number(m, "lat") / 1e7, _number(m, "lon") / 1e7
        # (0, 0) is how an autopilot says that it has no fix; no sector lies in the Gulf of Guinea.
        if (lat, lon) == (0.0, 0.0) or not (-90 <= lat <= 90 and -180 <= lon <= 180):
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
        if flags & (YAW_IN_EARTH_FRAME | YAW_IN_VEHICLE_FRAME):
            earth_frame = bool(flags & YAW_IN_EARTH_FRAME)
        else:
            earth_frame = bool(flags & YAW_LOCK)            # before the two flags existed, a locked yaw meant the earth's
        return GimbalSample(self._utc_ns(m, received_ns), quaternion, earth_frame)

    def _utc_ns(self, m: Message, received_ns: int) -> int:
        return self._clock.utc_ns(int(_number(m, "time_boot_ms")), received_ns)


def _number(message: Message, field: str) -> float:
    return float(getattr(message, field))
