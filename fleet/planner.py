"""A patrol along a corridor: up at home, out along the centre line as far as the border's buffer lets, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from fleet.checker import ground_findings
from geofences.geodesy import Array
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from wire.messages import Plan, Waypoint, WaypointKind
from wire.units import GroundPosition

STAND_OFF_M = 10.0              # beyond what the checks ask for, so that wind and rounded corners do not use up the buffer
SHORTEST_M = 30.0               # of a patrol worth flying
SHORTEN_M = 20.0                # a step, while the straight way home from the far end does not pass
LOOK_S = 3.0                    # spent at the far end


class PlanError(ValueError):
    """No patrol can be made of this. Its text says why."""


@dataclass(frozen=True, slots=True)
class PatrolWish:
    """What is wanted. height_m: above home. reach_m: along the corridor, 0 for all of it that is allowed."""

    drone: str
    corridor: str
    home: GroundPosition
    height_m: float
    speed_m_s: float
    reach_m: float = 0.0


def plan_patrol(wish: PatrolWish, sector: Sector, identity: Identity, plan_id: str, made_ns: int) -> Plan:
    """Plan it, starting from the end of the corridor that is nearer to home. Raises PlanError."""
    frame = sector.frame
    home = frame.point(wish.home)
    line = _from_nearer_end(sector.corridors.ground(wish.corridor).centre_line, home)
    line = _allowed(line, sector, wish.corridor)
    if wish.reach_m > 0:
        line = _substring(line, min(wish.reach_m, line.length))
    line = _with_safe_way_home(line, home, sector, wish.corridor)
    out = [frame.position(float(e), float(n)) for e, n in line.coords]
    flying = [Waypoint(WaypointKind.WAYPOINT, p, wish.height_m, wish.speed_m_s) for p in out[:-1]]
    far = Waypoint(WaypointKind.LOITER_TIME, out[-1], wish.height_m, wish.speed_m_s, hold_s=LOOK_S)
    return Plan(
        plan_id=plan_id,
        drone=wish.drone,
        system_id=identity.system_id,
        hardware_id=identity.hardware_id,
        corridor=wish.corridor,
        home=wish.home,
        waypoints=(
            Waypoint(WaypointKind.TAKEOFF, wish.home, wish.height_m, wish.speed_m_s),
            *flying,
            far,
            *reversed(flying),
            Waypoint(WaypointKind.RETURN, wish.home, wish.height_m, wish.speed_m_s),
        ),
        made_ns=made_ns,
    )


def _from_nearer_end(line: LineString, home: Array) -> LineString:
    first, last = np.asarray(line.coords[0]), np.asarray(line.coords[-1])
    if np.linalg.norm(first - home) <= np.linalg.norm(last - home):
        return line
    return LineString(list(line.coords)[::-1])


def _allowed(line: LineString, sector: Sector, corridor: str) -> LineString:
    """The part of the line, from its start, that keeps its distance from border and keep-outs."""
    too_near: list[BaseGeometry] = [sector.border.line.buffer(sector.border_buffer_m + STAND_OFF_M, quad_segs=32)]
    too_near += [k.outline.buffer(STAND_OFF_M) for k in sector.keep_outs]
    good = line.intersection(sector.border.own_side).difference(shapely.union_all(too_near))
    start = shapely.Point(line.coords[0])
    parts = [p for p in shapely.get_parts(good) if isinstance(p, LineString) and p.distance(start) < 1e-6]
    if not parts or parts[0].length < SHORTEST_M:
        raise PlanError(
            f'the near end of corridor "{corridor}" lies within {sector.border_buffer_m + STAND_OFF_M:g} m of the border, '
            "in a keep-out or beyond the border; choose another corridor or home"
        )
    return _substring(line, parts[0].length)


def _with_safe_way_home(line: LineString, home: Array, sector: Sector, corridor: str) -> LineString:
    """Shorten the line until the legs and the straight way home from each of their points pass the checks."""
    while line.length >= SHORTEST_M:
        there = np.asarray(line.coords, float)
        path = np.vstack([home, there, there[-2::-1], home])
        if not ground_findings(path, sector):
            return line
        line = _substring(line, line.length - SHORTEN_M)
    raise PlanError(
        f'no part of corridor "{corridor}" can be flown from this home: the legs, or the straight way home from them, come '
        "too near to the border or a keep-out; choose another home"
    )


def _substring(line: LineString, length_m: float) -> LineString:
    part = substring(line, 0.0, max(0.1, length_m))
    assert isinstance(part, LineString)
    return part
