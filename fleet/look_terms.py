"""What a drone goes by that looks at somebody, or passes him: where he is taken to be, and where it may be sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.checker import CheckLimits
from fleet.checker_air import check_from_here
from fleet.drone import Drone
from fleet.routes_camera import CameraView
from fleet.stand_off import HEIGHT_M, RADIUS_M, Room
from geofences.geodesy import Array, LocalFrame
from wire.clock import NS_PER_S, Clock
from wire.flying import CheckResult, Plan, Waypoint, WaypointKind
from wire.tasking import Target
from wire.units import GroundPosition, Realm

PREDICT_S = 10.0                # so long a velocity is believed
MASK_PLACE = 0b110111111000     # of SET_POSITION_TARGET_GLOBAL_INT: no velocities, no yaw: it turns to where it goes
MASK_PLACE_AND_YAW = 0b100111111000
FRAME_ABOVE_HOME = int(mavlink.MAV_FRAME_GLOBAL_RELATIVE_ALT_INT)


@dataclass(frozen=True, slots=True)
class LookTerms:
    """What a look goes by. targets: of the station, by contact. limits: for a check now. others: places of other drones.

    mount_pitch_deg: of a camera without a gimbal, against the nose.
    """

    clock: Clock
    realm: Realm
    targets: Mapping[str, Target]
    limits: Callable[[], CheckLimits]
    others: Callable[[], tuple[Array, ...]]
    view: CameraView | None = None
    radius_m: float = RADIUS_M
    height_m: float = HEIGHT_M
    mount_pitch_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where somebody is taken to be. seen_s: since the newest detection."""

    at: Array
    velocity: Array
    seen_s: float


def estimate_of(target: Target, now_ns: int, point: Callable[[GroundPosition], Array]) -> Estimate:
    """Now, at a constant velocity for as long as that is believed."""
    age_s = max(0.0, min(PREDICT_S, (now_ns - target.at_ns) / NS_PER_S))
    velocity = np.array(target.velocity_m_s)
    return Estimate(point(target.position) + velocity * age_s, velocity, max(0.0, (now_ns - target.last_seen_ns) / NS_PER_S))


def place_now(drone: Drone, frame: LocalFrame) -> Array | None:
    """(2,) metres: as it last said, carried on."""
    position = drone.fresh(drone.position)
    if position is None:
        return None
    at = frame.point(GroundPosition(position.lat_deg, position.lon_deg))
    velocity = drone.velocity_m_s.value if drone.velocity_m_s is not None else (0.0, 0.0)
    return np.asarray(at + np.array(velocity) * min(1.0, drone.age_s(drone.position)))


def check_place(
    plan: Plan, drone: Drone, room: Room, terms: LookTerms, here: Array, at: Array, height_m: float
) -> CheckResult:
    """The plan's own check of the way from here to a place, and home again from there."""
    frame = room.sector.frame
    first, last = plan.waypoints[0], plan.waypoints[-1]
    position = frame.position(*(float(v) for v in at))
    there = Waypoint(WaypointKind.WAYPOINT, position, height_m, plan.waypoints[1].speed_m_s)
    home = msgspec.structs.replace(last, height_above_home_m=max(last.height_above_home_m, height_m))
    height = drone.height_m.value if drone.height_m is not None else height_m
    return check_from_here(
        msgspec.structs.replace(plan, waypoints=(first, there, home)), frame.position(*(float(v) for v in here)), height,
        room.sector, terms.realm, terms.limits(),
    )


def go_to(system_id: int, place: GroundPosition, height_m: float, yaw_deg: float | None = None) -> Any:
    """In GUIDED. yaw_deg: None to look where it goes."""
    return mavlink.MAVLink_set_position_target_global_int_message(
        0, system_id, 1, FRAME_ABOVE_HOME, MASK_PLACE if yaw_deg is None else MASK_PLACE_AND_YAW,
        round(place.lat_deg * 1e7), round(place.lon_deg * 1e7), height_m, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        math.radians(yaw_deg or 0.0), 0.0,
    )
