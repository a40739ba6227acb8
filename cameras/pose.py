"""Where a camera is and where it looks, with its errors, and who can say so for a moment in time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from geofences.geodesy import Array
from wire.node_words import NodeText


@dataclass(frozen=True, slots=True)
class Pose:
    """A camera in a LocalFrame.

    east_m, north_m: metres; height_msl_m: metres above mean sea level.
    yaw_deg: clockwise from north; pitch_deg: positive looks up, so -90 looks straight down; roll_deg: positive lowers the
    picture's right side. Applied in this order: yaw, pitch, roll.
    """

    east_m: float
    north_m: float
    height_msl_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float = 0.0

    @property
    def position(self) -> Array:
        """(3,) east, north, height above mean sea level in metres."""
        return np.array([self.east_m, self.north_m, self.height_msl_m])

    def rotation(self) -> Array:
        """(3, 3) from camera axes (x right, y down, z forward) to east, north, up."""
        yaw, pitch, roll = math.radians(self.yaw_deg), math.radians(self.pitch_deg), math.radians(self.roll_deg)
        (sy, cy), (sp, cp), (sr, cr) = ((math.sin(a), math.cos(a)) for a in (yaw, pitch, roll))
        # Forward, and what would be right and down without roll; down is forward times right.
        forward, right, down = (sy * cp, cy * cp, sp), (cy, -sy, 0.0), (sp * sy, sp * cy, -cp)
        return np.array([
            (cr * r + sr * d, cr * d - sr * r, f) for f, r, d in zip(forward, right, down, strict=True)
        ])


def pose_from_rotation(position: Array, rotation: Array) -> Pose:
    """The Pose of (3,) east, north, height and (3, 3) camera axes to east, north, up; inverse of Pose.rotation.

    Looking straight up or down, yaw and roll turn about one axis; all of the turn is then given to yaw.
    """
    right, down, forward = rotation.T
    flat = float(np.hypot(forward[0], forward[1]))
    pitch = np.arctan2(forward[2], flat)
    if flat > 1e-9:
        yaw = np.arctan2(forward[0], forward[1])
        roll = np.arctan2(-right[2], -down[2])
    else:
        yaw, roll = np.arctan2(-right[1], right[0]), 0.0
    east, north, height = (float(v) for v in position)
    return Pose(east, north, height, float(np.degrees(yaw) % 360.0), float(np.degrees(pitch)), float(np.degrees(roll)))


@dataclass(frozen=True, slots=True)
class PoseSigma:
    """One sigma of each part of a pose. position_m: of east and of north, each; in metres and degrees.

    roll_deg: of the tilt to the side, a turn about the level line ahead. For a camera that looks level it is Pose's roll;
    for one that looks down that would be a turn about the vertical, and nothing would stand for the tilt.
    """

    position_m: float
    height_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


@dataclass(frozen=True, slots=True)
class PoseRates:
    """How fast a pose changes: metres and degrees a second. A camera on a mast stands still."""

    east_m_s: float = 0.0
    north_m_s: float = 0.0
    up_m_s: float = 0.0
    yaw_deg_s: float = 0.0
    pitch_deg_s: float = 0.0
    roll_deg_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PoseEstimate:
    """A pose with its errors. time_sigma_s: one sigma of the moment for which it holds; times `rates` it is an error too.

    slope: the ground's rise at the camera's foot, metres per metre east and per metre north, where the pose's height is that
    of the ground plus a measured one: an error of the position is then one of the height too, by so much, and
    sigma.height_m is of what was measured alone. Zeros for a height that does not come from the ground, as a drone's.
    """

    pose: Pose
    sigma: PoseSigma
    rates: PoseRates = PoseRates()
    time_sigma_s: float = 0.0
    slope: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class NoPose:
    """Nobody can say where the camera was at that moment, and why."""

    reason: NodeText


class PoseSource(Protocol):
    """Says where a camera was when a frame was taken."""

    def pose_at(self, captured_ns: int) -> PoseEstimate | NoPose:
        """captured_ns: UTC nanoseconds of capture."""
        ...


class FixedPose:
    """A surveyed camera on a mast: the same at any time."""

    def __init__(self, estimate: PoseEstimate) -> None:
        self.estimate = estimate

    def pose_at(self, captured_ns: int) -> PoseEstimate | NoPose:
        return self.estimate


def turned(pose: Pose, rates: PoseRates, seconds: float) -> Pose:
    """Where a pose is after `seconds` at these rates."""
    return replace(
        pose,
        east_m=pose.east_m + rates.east_m_s * seconds,
        north_m=pose.north_m + rates.north_m_s * seconds,
        height_msl_m=pose.height_msl_m + rates.up_m_s * seconds,
        yaw_deg=pose.yaw_deg + rates.yaw_deg_s * seconds,
        pitch_deg=pose.pitch_deg + rates.pitch_deg_s * seconds,
        roll_deg=pose.roll_deg + rates.roll_deg_s * seconds,
    )
