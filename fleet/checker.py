"""Whether a plan may fly: every leg, home, and the straight way home from every point of every leg.

Distances are exact between segments and outlines (shapely), not sampled. The straight ways home from all points of a leg
fill the triangle between the leg and home, so that triangle is what is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geofences.geodesy import Array
from geofences.sector import Sector
from wire.messages import CheckFinding, CheckResult, Plan, WaypointKind
from wire.units import GroundPosition, Realm

CLEARANCE_M = 15.0              # least height over the terrain on a leg, beyond three sigma of the terrain's heights
TERRAIN_STEP_M = 5.0            # between the places where terrain is looked up
SPEED_UP_M_S, SPEED_DOWN_M_S = 2.5, 0.7     # ArduCopter's defaults; down is a mean of fast above 10 m and slow below
GROUND_S = 6.0                  # spooling up before a take-off, and down after a landing
HOVER_HOME_S = 5.0              # RTL_LOIT_TIME
PATH_M_S2 = 1.3                 # up to speed and down from it, as measured on an ArduCopter
RESERVE = 0.3                   # of the endurance that must be left after landing: a wind of 8 m/s took a third more time
FURTHEST_M = 50_000.0           # a plan that reaches further than any sector is a mistake in its numbers


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """endurance_s: how long this drone flies on its battery."""

    endurance_s: float
    clearance_m: float = CLEARANCE_M


def check_plan(plan: Plan, sector: Sector, realm: Realm, limits: CheckLimits) -> CheckResult:
    """Every reason why `plan` must not fly over `sector`; it has passed when there is none."""
    findings = [*_rule_findings(plan, sector, realm), *_shape_findings(plan)]
    length_m = duration_s = 0.0
    smallest_m = math.nan
    if not any(f.rule == "shape" for f in findings):
        path = _path(plan, sector)
        findings += ground_findings(path, sector)
        findings += _terrain_findings(path, plan, sector, limits)
        length_m = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        duration_s = _duration_s(path, plan)
        smallest_m = _signed_distance_m(LineString(path), sector)
        allowed_s = limits.endurance_s * (1.0 - RESERVE)
        if duration_s > allowed_s:
            findings.append(
                CheckFinding(
                    "energy", None, None,
                    f"needs {duration_s:.0f} s in the air; this drone has {limits.endurance_s:.0f} s, of which "
                    f"{RESERVE:.0%} stay in reserve: at most {allowed_s:.0f} s",
                )
            )
    return CheckResult(plan.plan_id, not findings, tuple(findings), length_m, duration_s, smallest_m)


def ground_findings(path_enu_m: Array, sector: Sector) -> list[CheckFinding]:
    """What is wrong with a path over the ground (n, 2; east, north in metres) that starts at home: border, keep-outs, box.

    Leg i runs from point i to point i + 1. A leg that goes wrong itself is not reported again for its way home.
    """
    findings: list[CheckFinding] = []
    home = path_enu_m[0]
    findings += _area_findings(Point(home), sector, None, "home")
    for i in range(len(path_enu_m) - 1):
        a, b = path_enu_m[i], path_enu_m[i + 1]
        leg = _area_findings(_segment(a, b), sector, i, f"leg {i}")
        findings += leg or _area_findings(_triangle(home, a, b), sector, i, f"the straight way home from leg {i}")
    return findings


def _rule_findings(plan: Plan, sector: Sector, realm: Realm) -> list[CheckFinding]:
    findings = []
    if realm is Realm.LIVE and sector.border.advisory:
        findings.append(
            CheckFinding(
                "border line", None, None,
                f"the border line is advisory ({sector.border.source}, {sector.border.as_of}); a live launch needs the "
                "agency's own line, with its source and date",
            )
        )
    if realm is Realm.LIVE and sector.terrain.synthetic:
        findings.append(
            CheckFinding("terrain", None, None, "the terrain is synthetic; a live launch needs measured heights")
        )
    return findings


def _shape_findings(plan: Plan) -> list[CheckFinding]:
    """Plans that are no plans, so that what follows can rely on their numbers."""
    findings = []
    kinds = [w.kind for w in plan.waypoints]
    if len(kinds) < 3 or kinds[0] is not WaypointKind.TAKEOFF or kinds[-1] is not WaypointKind.RETURN:
        sentence = "a plan starts with a take-off, goes somewhere and ends with a return"
        findings.append(CheckFinding("shape", None, None, sentence))
    for i, w in enumerate(plan.waypoints):
        values = (w.position.lat_deg, w.position.lon_deg, w.height_above_home_m, w.speed_m_s, w.hold_s)
        if not all(math.isfinite(v) for v in values) or abs(w.position.lat_deg) > 89 or abs(w.position.lon_deg) > 180:
            sentence = f"waypoint {i} has a position, height or speed that is no number"
            findings.append(CheckFinding("shape", i, None, sentence))
        elif w.height_above_home_m <= 0 or w.speed_m_s <= 0 or w.hold_s < 0:
            findings.append(CheckFinding("shape", i, w.position, f"waypoint {i}: height and speed are above 0"))
    if not (abs(plan.home.lat_deg) <= 89 and abs(plan.home.lon_deg) <= 180):
        findings.append(CheckFinding("shape", None, None, "home has a position that is no number"))
    return findings


def _path(plan: Plan, sector: Sector) -> Array:
    """Home, every waypoint, and home again where the drone returns to it."""
    places = [plan.home]
    places += [plan.home if w.kind is WaypointKind.RETURN else w.position for w in plan.waypoints]
    path: Array = sector.frame.to_enu([p.lat_deg for p in places], [p.lon_deg for p in places])
    return path


def _area_findings(area: BaseGeometry, sector: Sector, leg: int | None, what: str) -> list[CheckFinding]:
    findings = []
    where = _worst_place(area, sector)
    distance_m = _signed_distance_m(area, sector)
    if not sector.box.covers(area):
        findings.append(CheckFinding("sector", leg, where, f"{what} leaves the sector"))
    elif distance_m < 0:
        findings.append(CheckFinding("border", leg, where, f"{what} crosses the border line"))
    elif distance_m < sector.border_buffer_m:
        findings.append(
            CheckFinding(
                "border", leg, where,
                f"{what} comes within {distance_m:.0f} m of the border line; {sector.border_buffer_m:.0f} m are kept",
            )
        )
    for keep_out in sector.keep_outs:
        if area.intersects(keep_out.outline):
            near = sector.frame.position(*shapely.get_coordinates(keep_out.outline.centroid)[0])
            findings.append(CheckFinding("keep-out", leg, near, f"{what} enters the keep-out {keep_out.name}"))
    return findings


def _signed_distance_m(area: BaseGeometry, sector: Sector) -> float:
    """Least distance of an area from the border line; negative when any of it lies on the line or beyond it."""
    distance_m = float(area.distance(sector.border.line))
    if distance_m > 0.0 and sector.border.own_side.covers(area):
        return distance_m
    if not sector.border.own_side.covers(area) and sector.box.covers(area):
        return -max(distance_m, 1e-9)
    return distance_m if distance_m > 0.0 else -1e-9


def _worst_place(area: BaseGeometry, sector: Sector) -> GroundPosition | None:
    """Where the area is nearest to the border line."""
    if sector.border.line.is_empty:
        return None
    east, north = shapely.get_coordinates(shapely.shortest_line(area, sector.border.line))[0]
    if not (abs(east) < FURTHEST_M and abs(north) < FURTHEST_M):
        return None
    return sector.frame.position(float(east), float(north))


def _terrain_findings(path: Array, plan: Plan, sector: Sector, limits: CheckLimits) -> list[CheckFinding]:
    """Least height over the ground along the legs between take-off and return, and over the straight ways home."""
    home_msl_m = float(sector.terrain.height_msl_m(path[:1])[0])
    if not math.isfinite(home_msl_m):
        return [CheckFinding("terrain", None, plan.home, "there is no terrain height at home")]
    heights = [plan.waypoints[0].height_above_home_m, *[w.height_above_home_m for w in plan.waypoints]]
    margin_m = limits.clearance_m + 3.0 * sector.terrain.sigma_m
    findings = []
    for i in range(1, len(path) - 1):
        at = _places_between(path[i], path[i + 1])
        share = np.linspace(0.0, 1.0, len(at))
        flown_m = home_msl_m + heights[i] + share * (heights[i + 1] - heights[i])
        home_fan = np.vstack([_places_between(path[0], p) for p in at[:: max(1, len(at) // 8)]])
        ground_m = sector.terrain.height_msl_m(at)
        fan_m = sector.terrain.height_msl_m(home_fan)
        if not (np.isfinite(ground_m).all() and np.isfinite(fan_m).all()):
            sentence = f"leg {i} or the way home from it leaves the known terrain"
            findings.append(CheckFinding("terrain", i, plan.home, sentence))
            continue
        least_m = min(float((flown_m - ground_m).min()), float(flown_m.min() - fan_m.max()))
        if least_m < margin_m:
            worst = at[int(np.argmin(flown_m - ground_m))]
            findings.append(
                CheckFinding(
                    "terrain", i, sector.frame.position(float(worst[0]), float(worst[1])),
                    f"leg {i} or the way home from it is {least_m:.0f} m over the ground; {margin_m:.0f} m are asked for",
                )
            )
    return findings


def _places_between(a: Array, b: Array) -> Array:
    count = max(2, math.ceil(min(float(np.linalg.norm(b - a)), FURTHEST_M) / TERRAIN_STEP_M) + 1)
    places: Array = a + np.linspace(0.0, 1.0, count)[:, None] * (b - a)
    return places


def _duration_s(path: Array, plan: Plan) -> float:
    """From arming to landing, without wind: level and climbing parts of a leg one after the other.

    The whole of khe-da at 9 m/s and 30 m up: 326 s; an ArduCopter in SITL took 330.
    """
    stops = 1 + sum(w.hold_s > 0 for w in plan.waypoints)
    stopping_s = stops * max(w.speed_m_s for w in plan.waypoints) / PATH_M_S2
    level_s = sum(
        float(np.linalg.norm(path[i + 1] - path[i])) / w.speed_m_s + w.hold_s for i, w in enumerate(plan.waypoints)
    )
    heights = [0.0, *[w.height_above_home_m for w in plan.waypoints], 0.0]
    steps = np.diff(heights)
    level_s += GROUND_S + HOVER_HOME_S + stopping_s
    return level_s + float(steps[steps > 0].sum()) / SPEED_UP_M_S - float(steps[steps < 0].sum()) / SPEED_DOWN_M_S


def _segment(a: Array, b: Array) -> BaseGeometry:
    return Point(a) if np.array_equal(a, b) else LineString([a, b])


def _triangle(home: Array, a: Array, b: Array) -> BaseGeometry:
    """All straight ways from the points of a leg to home: a triangle, or what is left of one whose corners lie in line."""
    hull = Polygon([home, a, b]).convex_hull
    return hull if not hull.is_empty else _segment(a, b)
