"""Where a drone's camera was when a frame was exposed: its telemetry, interpolated to that moment."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from cameras.pose import NoPose, Pose, PoseEstimate, PoseRates, PoseSigma, pose_from_rotation
from cameras.turn import Quaternion, Turn, between
from geofences.geodesy import Array, LocalFrame
from wire.clock import NS_PER_S
from wire.node_words import node_text

KEPT_S = 20.0                   # of telemetry; a frame that comes later than this is lost anyway
ANGULAR_ACCELERATION_DEG_S2 = 60.0      # a multirotor in a brisk turn; bounds what happens between two samples
ACCELERATION_M_S2 = 3.0                 # likewise: a third of g is a bank of 17 degrees
RATE_STEP_S = 0.005
NED_TO_ENU = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True, slots=True)
class AttitudeSample:
    """quaternion: from the airframe (forward, right, down) to north, east, down. at_ns: UTC nanoseconds."""

    at_ns: int
    quaternion: Quaternion


@dataclass(frozen=True, slots=True)
class GimbalSample:
    """quaternion: from the camera (forward, right, down) to north, east, down where `earth_frame`; otherwise to a level
    frame that only turns with the aircraft's heading. Roll and pitch are against the horizon in both.
    """

    at_ns: int
    quaternion: Quaternion
    earth_frame: bool


@dataclass(frozen=True, slots=True)
class PositionSample:
    """WGS 84, degrees; metres above mean sea level; velocity in metres a second."""

    at_ns: int
    lat_deg: float
    lon_deg: float
    height_msl_m: float
    east_m_s: float
    north_m_s: float
    up_m_s: float


Sample = AttitudeSample | GimbalSample | PositionSample


TELEMETRY_SIGMA = PoseSigma(position_m=2.1, height_m=3.0, yaw_deg=1.5, pitch_deg=0.5, roll_deg=0.5)    # DESIGN.md, edge


@dataclass(frozen=True, slots=True)
class DronePoseLimits:
    """sigma: of the telemetry itself. time_sigma_s: how far frame times and telemetry times may disagree.

    extrapolation_s: how long after the newest sample (or before the oldest) a pose is still given. gap_s: between two
    samples, beyond which nothing is said about the time between them.
    """

    sigma: PoseSigma = TELEMETRY_SIGMA
    time_sigma_s: float = 0.02
    extrapolation_s: float = 0.1
    gap_s: float = 1.0


class _Timed(Protocol):
    @property
    def at_ns(self) -> int: ...


T = TypeVar("T", bound=_Timed)


@dataclass(frozen=True, slots=True)
class _Bracket(Generic[T]):
    """Two neighbouring samples; part: where the moment lies, 0 at `before`, 1 at `after`, outside them extrapolated."""

    before: T
    after: T
    part: float
    step_s: float

    @property
    def curvature_s2(self) -> float:
        """Half the product of the distances to both samples: times an acceleration, the largest error of a straight line."""
        return abs(self.part * (1.0 - self.part)) * self.step_s**2 / 2.0


@dataclass(frozen=True, slots=True)
class _Look:
    """Camera (forward, right, down) to north, east, down, some seconds after the moment that was asked for."""

    after: Callable[[float], Turn]
    curvature_s2: float


class DronePose:
    """A cameras.pose.PoseSource from a MAVLink stream's samples. add from one thread, pose_at from another.

    mount: how a camera without a gimbal sits on the airframe, as (forward, right, down) to (forward, right, down); with a
    gimbal (mount None) its own attitude is used, and the airframe's only for the heading of vehicle-frame gimbals.
    """

    def __init__(
        self, frame: LocalFrame, limits: DronePoseLimits = DronePoseLimits(), mount: Turn | None = None
    ) -> None:
        self._frame = frame
        self._limits = limits
        self._mount = mount
        self._lock = threading.Lock()
        self._attitudes: list[AttitudeSample] = []
        self._gimbals: list[GimbalSample] = []
        self._positions: list[PositionSample] = []

    def add(self, sample: Sample) -> None:
        """Keep one sample; one that is older than its predecessor is put where it belongs."""
        with self._lock:
            match sample:
                case AttitudeSample():
                    _keep(self._attitudes, sample)
                case GimbalSample():
                    _keep(self._gimbals, sample)
                case PositionSample():
                    _keep(self._positions, sample)

    def forget(self) -> None:
        """Everything that was told so far: its times are no longer ours."""
        with self._lock:
            for kept in (self._attitudes, self._gimbals, self._positions):
                kept.clear()

    def told_until_ns(self) -> int:
        """UTC ns up to which everything that a pose needs has been told; 0 before the first word of each kind."""
        with self._lock:
            looks = self._attitudes if self._mount else self._gimbals
            return min((kept[-1].at_ns if kept else 0) for kept in (self._positions, looks))

    def pose_at(self, captured_ns: int) -> PoseEstimate | NoPose:
        """The camera's pose at that moment (UTC ns), or why there is none. Its sigma grows with the gap it bridges."""
        with self._lock:
            attitudes, gimbals, positions = list(self._attitudes), list(self._gimbals), list(self._positions)
        position = self._bracket(positions, captured_ns, "drone_position")
        if isinstance(position, NoPose):
            return position
        look = self._mounted(attitudes, captured_ns) if self._mount else self._gimballed(gimbals, attitudes, captured_ns)
        if isinstance(look, NoPose):
            return look
        place, velocity = self._place(position)
        here = pose_from_rotation(place, _camera_axes(look.after(0.0)))
        ahead = pose_from_rotation(place, _camera_axes(look.after(RATE_STEP_S)))
        return PoseEstimate(
            here, self._sigma(position.curvature_s2, look.curvature_s2), _rates(here, ahead, velocity),
            self._limits.time_sigma_s,
        )

    def _bracket(self, samples: list[T], at_ns: int, called: str) -> _Bracket[T] | NoPose:
        if len(samples) < 2:
            return NoPose(node_text("drone_untold", what=node_text(called)))
        i = min(max(bisect_right(samples, at_ns, key=lambda s: s.at_ns), 1), len(samples) - 1)
        before, after = samples[i - 1], samples[i]
        late_s = max(at_ns - samples[-1].at_ns, samples[0].at_ns - at_ns) / NS_PER_S
        if late_s > self._limits.extrapolation_s:
            limit = self._limits.extrapolation_s
            return NoPose(node_text("drone_late", what=node_text(called), seconds=f"{late_s:.2f}", most=limit))
        step_s = (after.at_ns - before.at_ns) / NS_PER_S
        if step_s > self._limits.gap_s:
            return NoPose(node_text("drone_gap", what=node_text(called), seconds=f"{step_s:.2f}", most=self._limits.gap_s))
        return _Bracket(before, after, (at_ns - before.at_ns) / NS_PER_S / step_s, step_s)

    def _place(self, b: _Bracket[PositionSample]) -> tuple[Array, Array]:
        """(3,) east, north, height and (3,) velocity: the cubic through both positions with both velocities (Hermite)."""
        ends = []
        for s in (b.before, b.after):
            east, north = self._frame.to_enu(s.lat_deg, s.lon_deg)[0]
            ends.append((np.array([east, north, s.height_msl_m]), np.array([s.east_m_s, s.north_m_s, s.up_m_s])))
        (p0, v0), (p1, v1) = ends
        u, h = b.part, b.step_s
        if not 0.0 <= u <= 1.0:     # straight on: a cubic through two samples that came in one burst leaves the earth
            return (p0 + v0 * u * h, v0) if u < 0.0 else (p1 + v1 * (u - 1.0) * h, v1)
        place = (2 * u**3 - 3 * u**2 + 1) * p0 + (3 * u**2 - 2 * u**3) * p1
        place += h * ((u**3 - 2 * u**2 + u) * v0 + (u**3 - u**2) * v1)
        return place, v0 + (v1 - v0) * u

    def _mounted(self, attitudes: list[AttitudeSample], at_ns: int) -> _Look | NoPose:
        """A camera fixed to the airframe."""
        attitude, mount = self._bracket(attitudes, at_ns, "drone_attitude"), self._mount
        if isinstance(attitude, NoPose) or mount is None:
            return attitude if isinstance(attitude, NoPose) else NoPose(node_text("no_mount"))
        return _Look(lambda later_s: _between(_later(attitude, later_s)) * mount, attitude.curvature_s2)

    def _gimballed(self, gimbals: list[GimbalSample], attitudes: list[AttitudeSample], at_ns: int) -> _Look | NoPose:
        """A camera on a gimbal that tells its own attitude."""
        gimbal = self._bracket(gimbals, at_ns, "drone_gimbal")
        if isinstance(gimbal, NoPose):
            return gimbal
        before, after = gimbal.before, gimbal.after
        if before.earth_frame and after.earth_frame:
            a, b = Turn.of(before.quaternion), Turn.of(after.quaternion)
            return _Look(lambda later_s: between(a, b, _later(gimbal, later_s).part), gimbal.curvature_s2)
        attitude = self._bracket(attitudes, at_ns, "drone_attitude")
        if isinstance(attitude, NoPose):
            return attitude
        curvature_s2 = gimbal.curvature_s2 + attitude.curvature_s2
        if before.earth_frame != after.earth_frame:
            # The gimbal changed its frame between the two: bring each to the earth's at its own time.
            first, second = (_to_earth(s, attitudes) for s in (before, after))
            return _Look(lambda later_s: between(first, second, _later(gimbal, later_s).part), curvature_s2)
        a, b = Turn.of(before.quaternion), Turn.of(after.quaternion)
        return _Look(
            lambda later_s: _heading(_between(_later(attitude, later_s))) * between(a, b, _later(gimbal, later_s).part),
            curvature_s2,
        )

    def _sigma(self, position_curvature_s2: float, angle_curvature_s2: float) -> PoseSigma:
        s = self._limits.sigma
        metres = ACCELERATION_M_S2 * position_curvature_s2
        degrees = ANGULAR_ACCELERATION_DEG_S2 * angle_curvature_s2
        return PoseSigma(
            position_m=float(np.hypot(s.position_m, metres)),
            height_m=float(np.hypot(s.height_m, metres)),
            yaw_deg=float(np.hypot(s.yaw_deg, degrees)),
            pitch_deg=float(np.hypot(s.pitch_deg, degrees)),
            roll_deg=float(np.hypot(s.roll_deg, degrees)),
        )


def _keep(samples: list[T], sample: T) -> None:
    i = bisect_right(samples, sample.at_ns, key=lambda s: s.at_ns)
    if i and samples[i - 1].at_ns == sample.at_ns:
        samples[i - 1] = sample         # told twice, as happens over two links
    else:
        samples.insert(i, sample)
    oldest_ns = samples[-1].at_ns - round(KEPT_S * NS_PER_S)
    while samples[0].at_ns < oldest_ns:
        samples.pop(0)


def _to_earth(sample: GimbalSample, attitudes: list[AttitudeSample]) -> Turn:
    """The camera to north, east, down at the sample's own time."""
    if sample.earth_frame:
        return Turn.of(sample.quaternion)
    i = min(max(bisect_right(attitudes, sample.at_ns, key=lambda s: s.at_ns), 1), len(attitudes) - 1)
    before, after = attitudes[i - 1], attitudes[i]
    step_s = (after.at_ns - before.at_ns) / NS_PER_S
    part = min(max((sample.at_ns - before.at_ns) / NS_PER_S / step_s, 0.0), 1.0)
    return _heading(_between(_Bracket(before, after, part, step_s))) * Turn.of(sample.quaternion)


def _later(b: _Bracket[T], seconds: float) -> _Bracket[T]:
    return replace(b, part=b.part + seconds / b.step_s)


def _between(b: _Bracket[AttitudeSample]) -> Turn:
    return between(Turn.of(b.before.quaternion), Turn.of(b.after.quaternion), b.part)


def _heading(airframe: Turn) -> Turn:
    """The turn about the vertical that points north to the airframe's nose."""
    nose = airframe.matrix()[:, 0]
    return Turn.by_angles(math.atan2(nose[1], nose[0]), 0.0, 0.0)


def _camera_axes(look: Turn) -> Array:
    """Camera (forward, right, down) to north, east, down -> camera axes (right, down, forward) to east, north, up."""
    axes: Array = (NED_TO_ENU @ look.matrix())[:, [1, 2, 0]]
    return axes


def _rates(here: Pose, ahead: Pose, velocity: Array) -> PoseRates:
    def rate(a: float, b: float) -> float:
        return ((b - a + 180.0) % 360.0 - 180.0) / RATE_STEP_S

    return PoseRates(
        float(velocity[0]), float(velocity[1]), float(velocity[2]),
        rate(here.yaw_deg, ahead.yaw_deg), rate(here.pitch_deg, ahead.pitch_deg), rate(here.roll_deg, ahead.roll_deg),
    )
