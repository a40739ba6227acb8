"""A plan as the items of its mission, fence and rally points, and whether what an autopilot gives back is what it got."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.dispatch_words import Said, said
from wire.flying import Plan, RallyPoint, WaypointKind
from wire.units import GroundPosition

PLACE_TOLERANCE_E7 = 2          # of 1e-7 degrees: 2 cm
PLACE_TOLERANCE_FLOAT_E7 = 100  # of a place that came back as a float: 7.6e-6 degrees is one step near 107 degrees
HEIGHT_TOLERANCE_M = 0.02       # ArduPilot keeps centimetres
PARAMETER_TOLERANCE = 0.01
HOME_TOLERANCE_E7 = 3000        # item 0 is the autopilot's own home: some 30 m from the planned one is the same place

FRAME_ABSOLUTE = int(mavlink.MAV_FRAME_GLOBAL)
FRAME_ABOVE_HOME = int(mavlink.MAV_FRAME_GLOBAL_RELATIVE_ALT)
FRAMES_ALIKE = {5: 0, 6: 3, 11: 10}     # the _INT twins of MAV_FRAME
PLACELESS = 100                 # DO and CONDITION commands stand above this; their place and frame mean nothing
RETURN_COMMAND = int(mavlink.MAV_CMD_NAV_RETURN_TO_LAUNCH)
FENCE_VERTEX = int(mavlink.MAV_CMD_NAV_FENCE_POLYGON_VERTEX_INCLUSION)
RALLY_COMMAND = int(mavlink.MAV_CMD_NAV_RALLY_POINT)
MISSION, FENCE, RALLY = (int(mavlink.MAV_MISSION_TYPE_MISSION), int(mavlink.MAV_MISSION_TYPE_FENCE),
                         int(mavlink.MAV_MISSION_TYPE_RALLY))
KIND_NAMES = {MISSION: "mission", FENCE: "fence", RALLY: "rally points"}
ORBIT_RADIUS_MOST_M = 2550      # ArduPilot keeps one byte: metres up to 255, above that tens of metres


@dataclass(frozen=True, slots=True)
class MissionItem:
    """One item. lat_e7, lon_e7: 1e-7 degrees. height_m: in `frame`. exact: False when the place came as a float."""

    seq: int
    frame: int
    command: int
    p1: float = 0.0
    p2: float = 0.0
    p3: float = 0.0
    p4: float = 0.0
    lat_e7: int = 0
    lon_e7: int = 0
    height_m: float = 0.0
    exact: bool = True


def mission_items(plan: Plan, home_msl_m: float) -> tuple[MissionItem, ...]:
    """A plan as ArduPilot flies it: item 0 is home, then take-off, speed, waypoints, return."""
    items: list[MissionItem] = []

    def add(frame: int, command: int, *p: float, lat_deg: float = 0.0, lon_deg: float = 0.0, height_m: float = 0.0) -> None:
        p1, p2, p3, p4 = (*p, 0.0, 0.0, 0.0, 0.0)[:4]
        place = round(lat_deg * 1e7), round(lon_deg * 1e7)
        items.append(MissionItem(len(items), frame, command, p1, p2, p3, p4, *place, height_m))

    add(
        FRAME_ABSOLUTE, mavlink.MAV_CMD_NAV_WAYPOINT,
        lat_deg=plan.home.lat_deg, lon_deg=plan.home.lon_deg, height_m=home_msl_m,
    )
    speed_m_s: float | None = None
    for w in plan.waypoints:
        if speed_m_s != w.speed_m_s and w.kind is not WaypointKind.TAKEOFF:
            speed_m_s = w.speed_m_s
            add(FRAME_ABSOLUTE, mavlink.MAV_CMD_DO_CHANGE_SPEED, 1.0, w.speed_m_s, -1.0)
        if w.kind is WaypointKind.RETURN:
            add(FRAME_ABSOLUTE, RETURN_COMMAND)
            continue
        command, p = {
            WaypointKind.TAKEOFF: (mavlink.MAV_CMD_NAV_TAKEOFF, (0.0,)),
            # ArduPilot keeps whole seconds and cuts the rest off: never shorter than planned.
            WaypointKind.WAYPOINT: (mavlink.MAV_CMD_NAV_WAYPOINT, (math.ceil(w.hold_s),)),
            # The third is the direction of the circle: a copter hovers, and ArduPilot gives back 1 or -1, never 0.
            WaypointKind.LOITER_TIME: (mavlink.MAV_CMD_NAV_LOITER_TIME, (math.ceil(w.hold_s), 0.0, 1.0)),
            WaypointKind.ORBIT: (
                mavlink.MAV_CMD_NAV_LOITER_TURNS, (kept_turns(w.turns), 0.0, kept_radius_m(w.radius_m)),
            ),
        }[w.kind]
        add(
            FRAME_ABOVE_HOME, command, *p,
            lat_deg=w.position.lat_deg, lon_deg=w.position.lon_deg, height_m=w.height_above_home_m,
        )
    return tuple(items)


def kept_turns(turns: float) -> float:
    """Turns as ArduPilot keeps them: whole ones in a byte, and fractions of one in 256ths."""
    return max(1.0, round(turns * 256.0)) / 256.0 if turns < 1.0 else float(min(255, math.ceil(turns)))


def kept_radius_m(radius_m: float) -> float:
    """The radius of an orbit as ArduPilot keeps it: a byte of metres, or of tens of metres; never less than was asked."""
    if radius_m <= 255.0:
        return float(math.ceil(radius_m))
    return float(min(ORBIT_RADIUS_MOST_M, 10 * math.ceil(radius_m / 10.0)))


def fence_items(ring: Sequence[GroundPosition]) -> tuple[MissionItem, ...]:
    """The polygon that the autopilot itself keeps to; none of it for an empty ring. Three corners or more, not closed."""
    count = float(len(ring))
    return tuple(
        MissionItem(i, FRAME_ABSOLUTE, FENCE_VERTEX, count, lat_e7=round(p.lat_deg * 1e7), lon_e7=round(p.lon_deg * 1e7))
        for i, p in enumerate(ring)
    )


def rally_items(points: Sequence[RallyPoint]) -> tuple[MissionItem, ...]:
    """Places to return to instead of home. ArduPilot keeps whole metres and cuts the rest off: rounded up here."""
    return tuple(
        MissionItem(
            i, FRAME_ABOVE_HOME, RALLY_COMMAND, lat_e7=round(p.position.lat_deg * 1e7),
            lon_e7=round(p.position.lon_deg * 1e7), height_m=float(math.ceil(p.height_above_home_m)),
        )
        for i, p in enumerate(points)
    )


def plan_items(plan: Plan, home_msl_m: float) -> dict[int, tuple[MissionItem, ...]]:
    """All that a plan puts into its drone, by MAV_MISSION_TYPE, the mission last: with it the plan is complete.

    A plan without a fence or without rally points has an empty one of each, for a drone may still hold another plan's.
    """
    return {FENCE: fence_items(plan.fence), RALLY: rally_items(plan.rally), MISSION: mission_items(plan, home_msl_m)}


def item_message(item: MissionItem, system_id: int, component_id: int, kind: int) -> Any:
    """A MISSION_ITEM_INT."""
    return mavlink.MAVLink_mission_item_int_message(
        system_id, component_id, item.seq, item.frame, item.command, 0, 1,
        item.p1, item.p2, item.p3, item.p4, item.lat_e7, item.lon_e7, item.height_m, kind,
    )


def item_of(message: Any) -> MissionItem:
    """From a MISSION_ITEM_INT, or from the older MISSION_ITEM in degrees."""
    exact = message.get_type() == "MISSION_ITEM_INT"
    if exact:
        x, y = message.x, message.y
    else:
        x, y = (round(v * 1e7) if math.isfinite(v) else 0 for v in (message.x, message.y))
    return MissionItem(
        message.seq, message.frame, message.command, message.param1, message.param2, message.param3, message.param4,
        x, y, message.z, exact,
    )


def differences(
    sent: tuple[MissionItem, ...], back: tuple[MissionItem, ...], kind: int = MISSION, *, item_0_is_home: bool = True
) -> tuple[Said, ...]:
    """What differs between items sent and items read back; nothing when they are the same flight.

    Allowed: rounding of single-precision floats, of heights to centimetres, frames and places of DO items, and a home that
    the autopilot has set itself near the planned one, or not set yet.
    """
    found = []
    if len(sent) != len(back):
        found.append(said("differs.count", sent=len(sent), back=len(back)))
    for a, b in zip(sent, back, strict=False):
        home = kind == MISSION and item_0_is_home and a.seq == 0
        found += [
            said("differs.item", item=a.seq, what=what)
            for what in (_home_differences(a, b) if home else _differences(a, b, kind))
        ]
    return tuple(found)


def _home_differences(a: MissionItem, b: MissionItem) -> list[Said]:
    if b.lat_e7 == 0 and b.lon_e7 == 0:
        return []               # no home yet: the autopilot sets it when it is armed
    if abs(a.lat_e7 - b.lat_e7) > HOME_TOLERANCE_E7 or abs(a.lon_e7 - b.lon_e7) > HOME_TOLERANCE_E7:
        return [said("differs.home", back=_place(b, 5), sent=_place(a, 5))]
    return []


def _differences(a: MissionItem, b: MissionItem, kind: int) -> list[Said]:
    found = []
    if a.command != b.command or a.seq != b.seq:
        return [said("differs.command", back=b.command, sent=a.command)]
    for name, left, right in (("1", a.p1, b.p1), ("2", a.p2, b.p2), ("3", a.p3, b.p3), ("4", a.p4, b.p4)):
        if not abs(left - right) <= PARAMETER_TOLERANCE * max(1.0, abs(left)):
            found.append(said("differs.parameter", name=name, back=f"{right:g}", sent=f"{left:g}"))
    if kind == MISSION and (a.command >= PLACELESS or a.command == RETURN_COMMAND):
        return found
    if kind != FENCE and FRAMES_ALIKE.get(a.frame, a.frame) != FRAMES_ALIKE.get(b.frame, b.frame):
        found.append(said("differs.frame", back=b.frame, sent=a.frame))
    allowed = PLACE_TOLERANCE_E7 if b.exact else PLACE_TOLERANCE_FLOAT_E7
    if abs(a.lat_e7 - b.lat_e7) > allowed or abs(a.lon_e7 - b.lon_e7) > allowed:
        found.append(said("differs.place", back=_place(b, 7), sent=_place(a, 7)))
    if kind != FENCE and not abs(a.height_m - b.height_m) <= HEIGHT_TOLERANCE_M + 1e-6 * abs(a.height_m):
        found.append(said("differs.height", back=f"{b.height_m:g}", sent=f"{a.height_m:g}"))
    return found


def _place(item: MissionItem, digits: int) -> str:
    """Latitude and longitude, degrees."""
    return f"{item.lat_e7 / 1e7:.{digits}f}, {item.lon_e7 / 1e7:.{digits}f}"
