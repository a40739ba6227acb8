"""Patrols: from what is wanted to a plan that keeps every distance, from which each point has a straight way home.

All kinds of patrol are made in one way. The shape of all places that may be flown over (fleet.routes.reachable) is worked
out; the route is laid inside it; heights follow the ground; then the checks themselves are asked, and where they want a
wider berth for the height that it came to, it is laid once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from fleet import routes
from fleet.checker import CheckLimits, check_plan
from fleet.planner_heights import follow, return_height_m
from fleet.planner_words import PlanError as PlanError
from fleet.planner_words import refused
from fleet.routes_camera import CameraView, Strip, strip
from fleet.wind import demanded_buffer
from geofences.geodesy import Array
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from wire.flying import CheckResult, Plan, Waypoint, WaypointKind
from wire.units import GroundPosition, Realm

STAND_OFF_M = 10.0              # beyond what the checks ask for, so that wind and rounded corners do not use up the buffer
SHORTEST_M = 30.0               # of a patrol worth flying
STRETCH_LEAST_M = 5.0           # of a stretch that can be flown
LOOK_S = 3.0                    # spent at the far end, and over a point
RTL_LEAST_M = 15.0              # return height: RTL_ALT as ArduCopter ships it
WIDEN_TRIES = 4
WAYPOINTS_LIMIT = 300           # ArduCopter holds 650 items; each change of speed is one more
LAYER_M = 10.0                  # between the heights of drones that share a corridor
ENDLESS = CheckLimits(endurance_s=1e9)      # for plans whose battery is asked about later


@dataclass(frozen=True, slots=True)
class PatrolWish:
    """What is wanted.

    height_m: above home, or above the ground where follow_ground. reach_m: along the corridor, 0 for all of it that is
    allowed; from_m: where it begins. repeats: how often it is flown. camera: for offset passes and the speed that the
    wanted pixels ask for; without it one pass along the centre line.
    """

    drone: str
    corridor: str
    home: GroundPosition
    height_m: float
    speed_m_s: float
    reach_m: float = 0.0
    from_m: float = 0.0
    repeats: int = 1
    follow_ground: bool = False
    camera: CameraView | None = None
    overlap: float = 0.2


@dataclass(frozen=True, slots=True)
class Maker:
    """Where and for which aircraft plans are made. limits: by which they will be checked."""

    sector: Sector
    identity: Identity
    made_ns: int
    limits: CheckLimits = field(default=ENDLESS)


@dataclass(frozen=True, slots=True)
class _Ground:
    """A route on the ground, without home. path: (n, 2). holds: seconds, by place. orbit: radius and turns, at its end."""

    path: Array
    holds: dict[int, float] = field(default_factory=dict)
    orbit: tuple[float, float] | None = None


def plan_patrol(
    wish: PatrolWish, sector: Sector, identity: Identity, plan_id: str, made_ns: int, limits: CheckLimits = ENDLESS
) -> Plan:
    """Along a corridor out and back, starting from the end that is nearer to home. Raises PlanError."""
    maker = Maker(sector, identity, made_ns, limits)
    ground = sector.corridors.ground(wish.corridor)
    line = routes.from_nearer_end(ground.centre_line, sector.frame.point(wish.home))

    def lay(room: Polygon, home: Array, seen: Strip | None) -> _Ground:
        whole = routes.stretch(line, wish.from_m, line.length) if wish.from_m > 0 else line
        parts = routes.inside(whole, room)
        begins = Point(whole.coords[0])
        near = [p for p in parts if wish.from_m > 0 or Point(p.coords[0]).distance(begins) < 1e-6]
        if not near or near[0].length < SHORTEST_M:
            raise _unreachable(wish, sector, begins, room)
        centre = near[0]
        if wish.reach_m > 0:
            centre = routes.stretch(centre, 0.0, min(wish.reach_m, centre.length))
        offsets = [0.0] if seen is None else routes.pass_offsets_m(ground.corridor.width_m, seen.width_m, wish.overlap)
        return _passes(centre, offsets, wish.repeats, room, home)

    return _make(wish, maker, plan_id, lay)


def _passes(centre: LineString, offsets: list[float], repeats: int, room: Polygon, home: Array) -> _Ground:
    """Out and back along the centre, or on passes beside it, as often as wanted."""
    lines: list[LineString] = []
    for beside in offsets:
        cut = routes.inside(routes.offset(centre, beside), room)
        lines += [max(cut, key=lambda p: p.length)] if cut else []
    if len(lines) % 2:
        lines.append(lines[0] if len(lines) == 1 else centre)       # it comes back over the trail
    passes = routes.to_and_fro(lines)
    path = routes.joined(passes * repeats, room, home)
    far = centre.coords[-1]
    holds = {}
    if len(offsets) == 1:       # a look round at the far end, where there is one
        holds = dict.fromkeys(np.flatnonzero(np.hypot(*(path - np.asarray(far)).T) < 1e-06).tolist(), LOOK_S)
    return _Ground(path, holds)


def plan_area(wish: PatrolWish, maker: Maker, plan_id: str, area: Sequence[GroundPosition]) -> Plan:
    """Lawn-mower over an area, as far as it may be flown over. The corridor of the wish is its name. Raises PlanError."""
    corners = maker.sector.frame.to_enu([p.lat_deg for p in area], [p.lon_deg for p in area])
    outline = shapely.make_valid(Polygon(corners)) if len(corners) >= 3 else Polygon()
    if outline.area < 1.0:
        raise refused("corners")

    def lay(room: Polygon, home: Array, seen: Strip | None) -> _Ground:
        if seen is None:
            raise refused("camera")
        spacing = seen.width_m * (1.0 - wish.overlap)
        passes = [np.asarray(p.coords) for p in routes.lawn_mower(outline.intersection(room), spacing)]
        if not passes:
            raise refused("area")
        return _Ground(routes.joined(passes * wish.repeats, room, home))

    return _make(wish, maker, plan_id, lay)


def plan_orbit(wish: PatrolWish, maker: Maker, plan_id: str, centre: GroundPosition, radius_m: float, turns: float) -> Plan:
    """Circles round a place. Raises PlanError."""
    at = maker.sector.frame.point(centre)

    def lay(room: Polygon, home: Array, seen: Strip | None) -> _Ground:
        del seen, home
        if not room.covers(Point(at).buffer(radius_m + routes.INSIDE_M + 2.5, quad_segs=32)):
            raise refused("circle")
        return _Ground(at[None], orbit=(radius_m, turns))

    return _make(wish, maker, plan_id, lay)


def plan_point(wish: PatrolWish, maker: Maker, plan_id: str, place: GroundPosition, hold_s: float = LOOK_S) -> Plan:
    """To one place, look from there, and back. Raises PlanError."""
    at = maker.sector.frame.point(place)

    def lay(room: Polygon, home: Array, seen: Strip | None) -> _Ground:
        del seen, home
        if not room.covers(Point(at)):
            raise refused("place")
        return _Ground(at[None], holds={0: max(hold_s, 0.1)})

    return _make(wish, maker, plan_id, lay)


def plan_stretches(
    wish: PatrolWish, maker: Maker, plan_id: str, stretches: Sequence[tuple[str, float, float]]
) -> Plan:
    """Over stretches of corridors, one after the other: corridor, from_m, to_m along its centre line.

    Of each as much as may be flown; raises PlanError for one of which that is nothing.
    """
    if not stretches:
        raise refused("no_stretch")

    def lay(room: Polygon, home: Array, seen: Strip | None) -> _Ground:
        del seen
        passes: list[Array] = []
        here = home
        for corridor, from_m, to_m in stretches:
            line = routes.stretch(maker.sector.corridors.ground(corridor).centre_line, from_m, to_m)
            parts = routes.inside(line, room)
            if sum(p.length for p in parts) < STRETCH_LEAST_M:
                raise refused("stretch", from_m=round(from_m), to_m=round(to_m), corridor=corridor)
            for part in parts:
                points = np.asarray(part.coords)
                if np.linalg.norm(points[-1] - here) < np.linalg.norm(points[0] - here):
                    points = points[::-1]
                passes.append(points)
                here = points[-1]
        return _Ground(routes.joined(passes, room, home))

    return _make(wish, maker, plan_id, lay)


def share_corridor(wishes: Sequence[PatrolWish], sector: Sector) -> list[PatrolWish]:
    """One corridor for several drones: the same wishes, each with its own stretch and its own layer of height.

    Stretches are cut so that all fly equally far, the farthest drone's transit counted; the first drone takes the nearest.
    """
    if not wishes or len({w.corridor for w in wishes}) != 1:
        raise PlanError("drones that share a corridor have wishes for one and the same")
    first = wishes[0]
    home = sector.frame.point(first.home)
    line = routes.from_nearer_end(sector.corridors.ground(first.corridor).centre_line, home)
    if first.reach_m > 0:
        line = routes.stretch(line, 0.0, min(line.length, first.reach_m))
    cuts = routes.shares(line, home, len(wishes))
    return [
        replace(w, from_m=a, reach_m=b - a, height_m=w.height_m + i * LAYER_M)
        for i, (w, (a, b)) in enumerate(zip(wishes, cuts, strict=True))
    ]


# ------------------------------------------------------------------------------------------------------------- the making


def _make(
    wish: PatrolWish, maker: Maker, plan_id: str, lay: Callable[[Polygon, Array, Strip | None], _Ground]
) -> Plan:
    """Lay a route, give it heights, ask the checks about the ground; again with a wider berth where they ask for it."""
    sector, limits = maker.sector, maker.limits
    home = sector.frame.point(wish.home)
    seen = _strip(wish)
    if seen is not None:
        wish = replace(wish, speed_m_s=seen.speed_m_s)
    least = demanded_buffer(limits.wind, max(wish.height_m, RTL_LEAST_M), wish.speed_m_s, sector.border_buffer_m)
    border_m = least.total_m + STAND_OFF_M
    said = ""
    for _ in range(WIDEN_TRIES):
        room = routes.reachable(sector, home, border_m, limits.keep_out_margin_m + STAND_OFF_M)
        if room.is_empty:
            raise refused("home", corridor=wish.corridor, border_m=round(border_m))
        plan = _plan(wish, maker, plan_id, home, lay(room, home, seen))
        result = check_plan(plan, sector, Realm.TRAINING, _only_ground(limits))
        if result.passed:
            return plan
        said = "; ".join(f.sentence for f in result.findings[:3])
        needed = _needed_m(result)
        if needed + STAND_OFF_M <= border_m:
            break
        border_m = needed + STAND_OFF_M
    raise refused("checks", plan, corridor=wish.corridor, why=said)


def _plan(wish: PatrolWish, maker: Maker, plan_id: str, home: Array, ground: _Ground) -> Plan:
    sector, limits = maker.sector, maker.limits
    terrain = sector.terrain
    home_msl_m = float(terrain.height_msl_m(home)[0])
    if not math.isfinite(home_msl_m):
        raise refused("home_height")
    path, heights, holds = ground.path, np.full(len(ground.path), wish.height_m), ground.holds
    if wish.follow_ground:
        try:
            path, heights = follow(ground.path, wish.height_m, home_msl_m, terrain)
        except ValueError as error:
            raise PlanError(str(error)) from None
        holds = _moved(ground, path)
    if len(path) > WAYPOINTS_LIMIT:
        raise refused("waypoints", count=len(path), most=WAYPOINTS_LIMIT)
    margin_m = limits.clearance_m + 3.0 * terrain.sigma_m
    back_m = return_height_m(np.vstack([home, path]), home, margin_m, home_msl_m, terrain, RTL_LEAST_M)
    if not math.isfinite(back_m):
        raise refused("way_home")
    up_m = float(max(heights[0], _takeoff_m(home, path[0], margin_m, home_msl_m, sector)))
    waypoints = [Waypoint(WaypointKind.TAKEOFF, wish.home, up_m, wish.speed_m_s)]
    for i, ((east, north), height) in enumerate(zip(path, heights, strict=True)):
        place = sector.frame.position(float(east), float(north))
        kind = WaypointKind.LOITER_TIME if i in holds else WaypointKind.WAYPOINT
        w = Waypoint(kind, place, round(float(height), 2), wish.speed_m_s, holds.get(i, 0.0))
        if ground.orbit is not None and i == len(path) - 1:
            w = msgspec.structs.replace(w, kind=WaypointKind.ORBIT, radius_m=ground.orbit[0], turns=ground.orbit[1])
        waypoints.append(w)
    last_m = max(back_m, waypoints[-1].height_above_home_m)
    waypoints.append(Waypoint(WaypointKind.RETURN, wish.home, last_m, wish.speed_m_s))
    return Plan(
        plan_id=plan_id, drone=wish.drone, system_id=maker.identity.system_id, hardware_id=maker.identity.hardware_id,
        corridor=wish.corridor, home=wish.home, waypoints=tuple(waypoints), made_ns=maker.made_ns, return_height_m=back_m,
    )


def _takeoff_m(home: Array, first: Array, margin_m: float, home_msl_m: float, sector: Sector) -> float:
    """High enough over home to clear the ground on the level way to the first place."""
    steps = np.linspace(0.0, 1.0, max(2, math.ceil(float(np.linalg.norm(first - home)) / 5.0) + 1))
    ground = sector.terrain.height_msl_m(home + steps[:, None] * (first - home))
    return float(np.nanmax(ground)) + margin_m + 1.0 - home_msl_m


def _moved(ground: _Ground, path: Array) -> dict[int, float]:
    """Holds by place, on a path that has more places."""
    found = {}
    at = 0
    for i, hold in sorted(ground.holds.items()):
        while np.hypot(*(path[at] - ground.path[i])) > 1e-6:
            at += 1
        found[at] = hold
        at += 1
    return found


def _strip(wish: PatrolWish) -> Strip | None:
    if wish.camera is None:
        return None
    seen = strip(wish.camera, wish.height_m, wish.speed_m_s)
    if seen.width_m <= 0:
        raise refused("pixels", height_m=f"{wish.height_m:g}", pixels=f"{wish.camera.pixels_per_m:g}")
    return seen


def _only_ground(limits: CheckLimits) -> CheckLimits:
    """Battery, time and traffic are asked about when it is to fly, not when it is made."""
    return replace(
        limits, endurance_s=1e9, energy=None, charge_percent=100.0, reserve_percent=0.0, at_ns=None, traffic=(), permits=()
    )


def _needed_m(result: CheckResult) -> float:
    return result.buffer.total_m if result.buffer is not None else 0.0


def _unreachable(wish: PatrolWish, sector: Sector, begins: BaseGeometry, room: Polygon) -> PlanError:
    if not room.covers(begins):
        return refused("begins", corridor=wish.corridor)
    return refused("short", corridor=wish.corridor, least_m=f"{SHORTEST_M:g}")
