"""The checker: what a long patrol costs, and whether it ever passes a plan that a brute-force sampler finds bad."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely

from benchmarks.fleet_checker_ground import MadeSector, fault, made_sector, random_plan
from benchmarks.form import Figure, figure
from fleet import routes
from fleet.checker import CheckLimits, check_plan
from fleet.wind import Wind
from wire.flying import Plan, Waypoint, WaypointKind
from wire.units import Realm

LEGS, POLYGONS = 200, 200
RUNS = 20
PLANS, CHUNK = 100_000, 1_000
PLANS_A_SECTOR = 100
CEILING_M = 1000.0              # no plan is refused for what the sampler does not look at


@dataclass(frozen=True, slots=True)
class Counts:
    """Of random plans. bad_passed: the checker passed what the sampler faults. strict: refused though it finds nothing."""

    plans: int = 0
    passed: int = 0
    faulted: int = 0
    bad_passed: int = 0
    strict: int = 0
    examples: tuple[str, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.plans + other.plans, self.passed + other.passed, self.faulted + other.faulted,
            self.bad_passed + other.bad_passed, self.strict + other.strict, (self.examples + other.examples)[:5],
        )


def measure() -> dict[str, Figure]:
    return {**cost(), **against_sampler(PLANS)}


def cost() -> dict[str, Figure]:
    """Processor time of one check, once the sector's terrain has been prepared."""
    made, plan = long_patrol()
    limits = CheckLimits(1e9, wind=Wind(3.0, 0.5, None, assumed=False), ceiling_m=CEILING_M)
    runs = []
    for _ in range(RUNS + 1):
        before = time.process_time()
        result = check_plan(plan, made.sector, Realm.TRAINING, limits)
        runs.append((time.process_time() - before) * 1e3)
        assert result.passed, result.findings[:3]
    how = (
        f"processor time of check_plan: {len(plan.waypoints)} legs, {len(made.rings)} keep-outs, a border of "
        f"{len(made.line)} points, a terrain of {made.heights.size} posts; everything passes, so that nothing is cut short"
    )
    return {"check_ms": figure(runs[1:], "ms", how, "< 50")}


def long_patrol() -> tuple[MadeSector, Plan]:
    """Passes over hills between keep-outs, as the planner lays them; LEGS legs that all pass."""
    made = made_sector(np.random.default_rng(5), POLYGONS + 25)
    frame = made.sector.frame
    home = frame.position(0.0, 1800.0)
    room = routes.reachable(made.sector, frame.point(home), 280.0, 16.0)
    passes = routes.lawn_mower(room.intersection(shapely.box(-1800.0, 600.0, 1800.0, 2900.0)), 18.0)
    path = routes.joined([np.asarray(p.coords) for p in passes], room, frame.point(home))[: LEGS - 2]
    waypoints = (
        Waypoint(WaypointKind.TAKEOFF, home, 70.0, 9.0),
        *(Waypoint(WaypointKind.WAYPOINT, frame.position(float(e), float(n)), 70.0, 9.0) for e, n in path),
        Waypoint(WaypointKind.RETURN, home, 70.0, 9.0),
    )
    return made, Plan("p", "d", 1, "00", "c", home, waypoints, 0, return_height_m=70.0)


def against_sampler(plans: int) -> dict[str, Figure]:
    """Random plans in random sectors, judged by both."""
    chunks = range(plans // CHUNK)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        total = sum(pool.map(judged, chunks), Counts())
    how = (
        f"{total.plans} random plans in {total.plans // PLANS_A_SECTOR} random sectors: {total.passed} passed, the sampler "
        f"faults {total.faulted}; and passes that it faults"
    )
    strict = "share of plans that are refused though the sampler, which does not reckon with coasting, finds nothing"
    return {
        "bad_plans_passed": figure([float(total.bad_passed)], "plans", how, "<= 0"),
        "refused_unfaulted": figure([total.strict / max(1, total.plans)], "share", strict),
    }


def judged(chunk: int) -> Counts:
    """CHUNK plans, always the same ones for one number."""
    total = Counts()
    for i in range(CHUNK // PLANS_A_SECTOR):
        chance = np.random.default_rng([chunk, i])
        made = made_sector(chance, int(chance.integers(5, 90)), hilly=bool(chance.random() < 0.8))
        wind = Wind(float(chance.uniform(0.0, 6.0)), float(chance.uniform(0.0, 1.5)), None, assumed=False)
        limits = CheckLimits(1e9, wind=wind, airspeed_m_s=20.0, ceiling_m=CEILING_M)
        for _ in range(PLANS_A_SECTOR):
            plan = random_plan(made, chance, int(chance.integers(1, 5)))
            passed = check_plan(plan, made.sector, Realm.TRAINING, limits).passed
            wrong = fault(plan, made, wind, limits.clearance_m, limits.keep_out_margin_m)
            total += Counts(
                1, passed, wrong is not None, passed and wrong is not None, not passed and wrong is None,
                (f"chunk {chunk}, sector {i}: {wrong}",) if passed and wrong is not None else (),
            )
    return total
