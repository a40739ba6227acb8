"""Whether a plan may fly: every leg and circle, home, rally points, the straight way home from every point of every leg.

Distances are exact between outlines (shapely), heights over a terrain grid are proven (fleet.airspace_ground); nothing is
sampled. Each refusal names its rule, the leg and the place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import MultiLineString, Point
from shapely.geometry.base import BaseGeometry

from fleet.airspace_ground import lowest_each_m, over_legs, refuted_ways
from fleet.airspace_traffic import AHEAD_S, SEPARATION_M, Aircraft, meetings
from fleet.checker_energy import Course, course_of, energy_findings
from fleet.checker_ground import KEEP_OUT_MARGIN_M, Geometries, GroundRules, Parts, signed_distance_m
from fleet.checker_route import Route, route_of
from fleet.checker_words import finding
from fleet.energy import EnergyModel
from fleet.permit import Flight, Permit, permit_findings
from fleet.wind import ASSUMED, Wind, demanded_buffer, too_strong
from geofences.geodesy import Array
from geofences.sector import Sector
from wire.clock import NS_PER_S
from wire.flying import Buffer, CheckFinding, CheckResult, Plan, WaypointKind
from wire.units import GroundPosition, Realm

CLEARANCE_M = 15.0              # least height over the terrain, beyond three sigma of the terrain's heights
CEILING_M = 120.0               # above the ground: what most authorities allow without asking; a permit may say less or more
AIRSPEED_M_S = 10.0             # that a drone makes against the wind; ArduPilot's default copter: 10.2
RESERVE_PERCENT = 30.0          # of a full battery that must be left after landing
ORBIT_RADIUS_MOST_M = 255.0     # beyond it ArduPilot rounds to tens of metres
FINDINGS_LIMIT = 60             # a message has to carry them
LOWEST_M = -1000.0              # under any ground


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """What holds for this drone, this day and this hour.

    endurance_s: how long it flies on a battery, for as long as there is no `energy`. charge_percent: what is in it now.
    airspeed_m_s: the most that it makes. ceiling_m: above the ground, where no permit says otherwise. at_ns: when it is to
    take off, None: not asked. traffic: as heard up to now_ns (monotonic).
    """

    endurance_s: float
    clearance_m: float = CLEARANCE_M
    wind: Wind = ASSUMED
    airspeed_m_s: float = AIRSPEED_M_S
    energy: EnergyModel | None = None
    charge_percent: float = 100.0
    reserve_percent: float = RESERVE_PERCENT
    ceiling_m: float = CEILING_M
    keep_out_margin_m: float = KEEP_OUT_MARGIN_M
    at_ns: int | None = None
    permits: tuple[Permit, ...] = ()
    traffic: tuple[Aircraft, ...] = ()
    now_ns: int = 0


def check_plan(plan: Plan, sector: Sector, realm: Realm, limits: CheckLimits) -> CheckResult:
    """Every reason why `plan` must not fly over `sector`; it has passed when there is none."""
    findings = [*_realm_findings(sector, realm, limits), *_shape_findings(plan)]
    if any(f.rule == "shape" for f in findings):
        return CheckResult(plan.plan_id, False, tuple(findings), 0.0, 0.0, math.nan)
    route = route_of(plan, sector)
    buffers = _buffers(route, plan, sector, limits)
    findings += ground_findings(route, sector, limits, np.array([b.total_m for b in buffers]))
    findings += _fence_findings(route, sector, buffers)
    findings += _terrain_findings(route, plan, sector, limits)
    course = course_of(route, plan, limits.wind, limits.airspeed_m_s)
    findings += _wind_findings(course, limits)
    need, spent = energy_findings(
        course, limits.energy or EnergyModel.of_endurance(limits.endurance_s), limits.charge_percent, limits.reserve_percent,
        sector.frame, route,
    )
    findings += spent
    permit, against = _permit(plan, route, course, sector, realm, limits)
    findings += against
    findings += _ceiling_findings(route, sector, permit.ceiling_m if permit is not None else limits.ceiling_m)
    findings += _traffic_findings(route, sector, limits)
    if len(findings) > FINDINGS_LIMIT:
        count = len(findings) - FINDINGS_LIMIT + 1
        findings = [*findings[: FINDINGS_LIMIT - 1], finding("more", "check.more", None, None, count=count)]
    return CheckResult(
        plan.plan_id, not findings, tuple(findings),
        length_m=float(np.linalg.norm(np.diff(route.path, axis=0), axis=1).sum()),
        duration_s=course.total_s if math.isfinite(course.total_s) else 0.0,
        smallest_border_distance_m=_smallest_m(route, sector),
        buffer=max(buffers, key=lambda b: (b.total_m, b.drift_m)),
        energy_percent=need.percent,
        energy_sigma_percent=need.sigma_percent,
    )


def ground_findings(route: Route, sector: Sector, limits: CheckLimits, needed_m: Array) -> list[CheckFinding]:
    """Border, keep-outs, fence and box. needed_m: (n,) from the border line, of each leg and its ways home.

    A leg that goes wrong itself is not reported again for its way home.
    """
    rules = GroundRules(sector, route.fence, limits.keep_out_margin_m)
    n, most = len(route.legs), float(needed_m.max())
    numbers = range(n)
    points = _together([Point(p) for p in (route.home, *route.rally)])
    where = rules.findings(Parts("rally", [None, *range(len(route.rally))], points, np.full(len(points), most)))
    at_home = rules.findings(Parts("home", [None], points[:1], np.array([most]))).get(0, [])
    findings = [*at_home, *(f for i, said in where.items() if i > 0 for f in said)]
    legs = rules.findings(Parts("leg", numbers, route.legs, needed_m))
    discs = list(route.discs)
    circles = rules.findings(
        Parts("orbit", discs, _together([route.discs[i] for i in discs]), needed_m[np.asarray(discs, int)])
    )
    by_circle = {discs[i]: said for i, said in circles.items()}
    fans = rules.findings(Parts("way_home", numbers, route.fans, needed_m))
    to_rally = [
        rules.findings(Parts("way_rally", numbers, route.rally_fans(k), needed_m)) for k in range(len(route.rally))
    ]
    for i in numbers:
        own = legs.get(i, []) + by_circle.get(i, [])
        findings += own or fans.get(i, []) or next((said[i] for said in to_rally if i in said), [])
    return findings


def _together(areas: Sequence[BaseGeometry]) -> Geometries:
    return np.fromiter(areas, dtype=object, count=len(areas))


def _realm_findings(sector: Sector, realm: Realm, limits: CheckLimits) -> list[CheckFinding]:
    if realm is not Realm.LIVE:
        return []
    findings = []
    if sector.border.advisory:
        source, as_of = sector.border.source, sector.border.as_of
        findings.append(finding("border line", "check.border_line", None, None, source=source, as_of=as_of))
    if sector.terrain.synthetic:
        findings.append(finding("terrain", "check.terrain_synthetic", None, None))
    if limits.wind.assumed:
        findings.append(finding("wind", "check.wind.assumed", None, None))
    return findings


def _shape_findings(plan: Plan) -> list[CheckFinding]:
    """Plans that are no plans, so that what follows can rely on their numbers."""
    findings = []
    kinds = [w.kind for w in plan.waypoints]
    last = WaypointKind.RETURN
    if len(kinds) < 3 or kinds[0] is not WaypointKind.TAKEOFF or kinds[-1] is not last or last in kinds[:-1]:
        findings.append(finding("shape", "check.shape.order", None, None))
    for i, w in enumerate(plan.waypoints):
        values = (w.height_above_home_m, w.speed_m_s, w.hold_s, w.radius_m, w.turns)
        if not all(math.isfinite(v) for v in values) or not _is_place(w.position):
            findings.append(finding("shape", "check.shape.number", i, None))
        elif w.height_above_home_m <= 0 or w.speed_m_s <= 0 or w.hold_s < 0:
            findings.append(finding("shape", "check.shape.positive", i, w.position))
        elif w.kind is WaypointKind.ORBIT and not (1.0 <= w.radius_m <= ORBIT_RADIUS_MOST_M and w.turns > 0):
            findings.append(finding("shape", "check.shape.orbit", i, w.position))
    if not _is_place(plan.home):
        findings.append(finding("shape", "check.shape.home", None, None))
    places = [*plan.fence, *(r.position for r in plan.rally)]
    numbers = [plan.return_height_m, *(r.height_above_home_m for r in plan.rally)]
    if not all(map(_is_place, places)) or not all(math.isfinite(v) and v >= 0 for v in numbers) or len(plan.fence) in (1, 2):
        findings.append(finding("shape", "check.shape.extra", None, None))
    return findings


def _is_place(p: GroundPosition) -> bool:
    return abs(p.lat_deg) <= 89 and abs(p.lon_deg) <= 180        # a NaN is not


def _buffers(route: Route, plan: Plan, sector: Sector, limits: CheckLimits) -> list[Buffer]:
    """What each leg, with its ways home, has to keep: by the height from which it may come down there, and its speed."""
    bounds = shapely.bounds(route.fans)
    ground = lowest_each_m(bounds[:, :2], bounds[:, 2:], sector.terrain)
    top = np.maximum(np.maximum(route.heights_m[:-1], route.heights_m[1:]), route.return_m) + route.home_msl_m
    # Over a hole nobody knows from how high; such a leg is refused for that.
    agl = np.where(np.isfinite(ground), top - ground, top - LOWEST_M)
    if not math.isfinite(route.home_msl_m):
        agl = np.full(len(top), limits.ceiling_m)
    return [
        demanded_buffer(limits.wind, float(h), w.speed_m_s, sector.border_buffer_m)
        for h, w in zip(agl, plan.waypoints, strict=True)
    ]


def _fence_findings(route: Route, sector: Sector, buffers: list[Buffer]) -> list[CheckFinding]:
    """The fence is where the drone's own autopilot turns it round: from there the wind may still take it."""
    if route.fence is None:
        return []
    if not route.fence.is_valid:
        return [finding("shape", "check.shape.extra", None, None)]
    distance_m = signed_distance_m(route.fence, sector)
    needed_m = max(b.drift_m for b in buffers)
    if distance_m >= needed_m:
        return []
    return [finding(
        "fence", "check.fence.near", None, None, distance_m=int(max(0.0, distance_m)), needed_m=math.ceil(needed_m)
    )]


def _terrain_findings(route: Route, plan: Plan, sector: Sector, limits: CheckLimits) -> list[CheckFinding]:
    """Least height over the ground along the legs between take-off and return, and over the straight ways home."""
    terrain = sector.terrain
    if not math.isfinite(route.home_msl_m):
        return [finding("terrain", "check.terrain.home", None, plan.home)]
    margin_m = limits.clearance_m + 3.0 * terrain.sigma_m
    a, b, height_a, height_b, legs = route.stretches()
    clear = over_legs(a, b, height_a, height_b, terrain)
    found: dict[int, tuple[str, float, Array]] = {}
    for k in np.flatnonzero(clear.least_m < margin_m - 1e-6).tolist():
        leg = int(legs[k])
        if leg not in found or clear.least_m[k] < found[leg][1]:
            found[leg] = ("orbit" if k >= len(route.path) - 2 else "leg", float(clear.least_m[k]), clear.where[k])
    ways, of_leg = route.departures()
    everywhere = [("leg", ways, of_leg), ("way_home", *route.ways(route.home, route.return_m))]
    everywhere += [
        ("way_rally", *route.ways(place, max(route.return_m, float(height))))
        for place, height in zip(route.rally, route.rally_heights_m, strict=True)
    ]
    for part, some, numbers in everywhere:
        unsaid = np.flatnonzero(~np.isin(numbers, list(found)))
        for k, (over, at) in refuted_ways(some.take(unsaid), margin_m, terrain).items():
            found.setdefault(int(numbers[unsaid[k]]), (part, over, at))
    findings = []
    for leg in sorted(found):
        part, least_m, at = found[leg]
        where = sector.frame.position(float(at[0]), float(at[1]))
        if not math.isfinite(least_m):
            findings.append(finding("terrain", "check.terrain.unknown", leg, where, part=part))
            continue
        findings.append(finding(
            "terrain", "check.terrain.low", leg, where, part=part, height_m=math.floor(least_m), needed_m=math.ceil(margin_m)
        ))
    return findings


def _ceiling_findings(route: Route, sector: Sector, allowed_m: float) -> list[CheckFinding]:
    if not math.isfinite(route.home_msl_m):
        return []
    a, b, height_a, height_b, legs = route.stretches()
    most = over_legs(a, b, height_a, height_b, sector.terrain).most_m
    said: set[int] = set()
    findings = []
    for k in np.flatnonzero(np.isfinite(most) & (most > allowed_m + 1e-6)):
        leg = int(legs[k])
        if leg not in said:
            said.add(leg)
            where = sector.frame.position(float(b[k][0]), float(b[k][1]))
            findings.append(finding(
                "ceiling", "check.ceiling", leg, where, part="leg", height_m=math.ceil(most[k]), allowed_m=int(allowed_m)
            ))
    return findings


def _wind_findings(course: Course, limits: CheckLimits) -> list[CheckFinding]:
    wind = limits.wind
    if not too_strong(wind, limits.airspeed_m_s) and math.isfinite(course.total_s):
        return []
    leg = next((i for i, s in enumerate(course.leg_s) if not math.isfinite(s)), None)
    return [finding(
        "wind", "check.wind.strong", leg, None,
        wind_m_s=round(wind.speed_m_s, 1), gust_m_s=round(wind.gust_m_s, 1), airspeed_m_s=round(limits.airspeed_m_s, 1),
    )]


def _permit(
    plan: Plan, route: Route, course: Course, sector: Sector, realm: Realm, limits: CheckLimits
) -> tuple[Permit | None, list[CheckFinding]]:
    if not limits.permits:
        none = [finding("permit", "check.permit.none", None, None)] if realm is Realm.LIVE else []
        return None, none
    if limits.at_ns is None or not math.isfinite(course.total_s):
        return None, []
    until_ns = limits.at_ns + round(course.total_s * NS_PER_S)
    flight = Flight(plan.drone, limits.at_ns, until_ns, plan.home, sector.utc_offset_min, tuple(route.legs))
    return permit_findings(limits.permits, flight)


def _traffic_findings(route: Route, sector: Sector, limits: CheckLimits) -> list[CheckFinding]:
    if not limits.traffic:
        return []
    heights = route.heights_m + (route.home_msl_m if math.isfinite(route.home_msl_m) else 0.0)
    near = meetings(limits.traffic, route.legs, float(heights.min()), float(heights.max()), limits.now_ns)
    return [
        finding(
            "traffic", "check.traffic", m.area, sector.frame.position(m.aircraft.east_m, m.aircraft.north_m), part="leg",
            aircraft=m.aircraft.name, distance_m=int(m.distance_m), seconds=int(AHEAD_S), needed_m=int(SEPARATION_M),
        )
        for m in near
    ]


def _smallest_m(route: Route, sector: Sector) -> float:
    """Of what the plan itself flies; negative where it crosses the line."""
    coordinates = [shapely.get_coordinates(leg) for leg in route.legs]
    lines = MultiLineString([c if len(c) > 1 else np.repeat(c, 2, axis=0) for c in coordinates])
    return signed_distance_m(lines.union(shapely.union_all(list(route.discs.values()))) if route.discs else lines, sector)
