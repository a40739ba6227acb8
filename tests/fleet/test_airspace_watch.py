"""The check in the air: silent on a flight as planned, it warns of one that strays, and calls it back before the buffer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.airspace_traffic import Aircraft
from fleet.airspace_watch import Level, Seen, Watch
from fleet.checker import CheckLimits
from fleet.permit import Permit
from fleet.planner import PatrolWish, plan_patrol
from fleet.wind import Wind, drift_m
from geofences.geodesy import Array
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from wire.clock import NS_PER_S
from wire.flying import Plan
from wire.units import GroundPosition, HeightMsl, Position

HOME = GroundPosition(16.62225, 106.60230)
LIMITS = CheckLimits(1e5, wind=Wind(3.0, 0.5, None, assumed=False))


@pytest.fixture
def plan(sector: Sector) -> Plan:
    wish = PatrolWish("drone-1", "khe-da", HOME, 30.0, 9.0)
    return plan_patrol(wish, sector, Identity(1, "a1", "", True), "p", 0, LIMITS)


def seen(sector: Sector, at: Array, speed: float = 9.0, height: float = 30.0, percent: float | None = 90.0) -> Seen:
    p = sector.frame.position(float(at[0]), float(at[1]))
    return Seen(Position(p.lat_deg, p.lon_deg, HeightMsl(165.0 + height)), speed, height, percent, 0, 0)


def test_a_flight_as_planned_is_never_warned_of(sector: Sector, plan: Plan) -> None:
    """Along the whole patrol, braking for its far end as ArduPilot does, with a position that wanders."""
    watch, chance = Watch(plan, sector, LIMITS), np.random.default_rng(4)
    path = shapely.LineString([sector.frame.point(w.position) for w in plan.waypoints[:-1]])
    out = path.length / 2.0
    for along in np.arange(0.0, path.length, 6.0):
        speed = min(9.0, float(np.sqrt(1.0 + 2.6 * abs(out - along))))
        at = np.asarray(path.interpolate(along).coords[0]) + chance.normal(0.0, 0.6, 2)
        verdict = watch.look(seen(sector, at, speed))
        assert verdict.level is Level.FINE, (along, verdict.findings)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(speed=st.floats(1.0, 12.0), wind=st.floats(0.0, 8.0), height=st.floats(15.0, 60.0))
def test_a_drone_that_flies_at_the_line_is_warned_of_and_then_called_back_in_time(
    sector: Sector, plan: Plan, speed: float, wind: float, height: float
) -> None:
    """Called back with the drift and its braking way still before it, one second between two looks."""
    limits = replace(LIMITS, wind=Wind(wind, 0.5, None, assumed=False))
    watch = Watch(plan, sector, limits)
    start, line = np.array([700.0, 250.0]), sector.border.line
    target = shapely.get_coordinates(shapely.shortest_line(shapely.Point(start), line))[-1]
    toward = (target - start) / np.linalg.norm(target - start)
    levels = []
    for second in range(2000):
        at = start + toward * speed * second
        verdict = watch.look(seen(sector, at, speed, height))
        border = [f for f in verdict.findings if f.rule == "border"]
        if border:
            levels.append(verdict.level)
        if verdict.level is Level.RETURN and border:
            left = float(sector.border.signed_distance_m(at)[0])
            assert left >= drift_m(limits.wind, height, speed) + speed**2 / 2.6 - speed, "one look before there was more"
            break
    else:
        raise AssertionError("it was never called back")


def test_a_drone_over_a_keep_out_low_over_the_ground_or_with_too_little_is_called_back(sector: Sector, plan: Plan) -> None:
    watch = Watch(plan, sector, LIMITS)
    market = np.array([200.0, -200.0])
    assert {f.rule for f in watch.look(seen(sector, market)).findings} == {"keep-out"}
    away = sector.frame.point(HOME) + np.array([-150.0, 0.0])
    watch = Watch(plan, sector, LIMITS)
    assert watch.look(seen(sector, away, 0.0, height=12.0)).level is Level.WARN
    assert watch.look(seen(sector, away, 0.0, height=5.0)).level is Level.RETURN
    assert watch.look(seen(sector, sector.frame.point(HOME), 0.0, height=1.0)).level is Level.FINE, "it takes off"
    hungry = Watch(plan, sector, replace(LIMITS, endurance_s=600.0))
    percents = (90.0, 48.0, 47.0, 46.0, 45.0, 44.0, 43.0, 40.0)
    levels = [hungry.look(seen(sector, away, 0.0, percent=p)).level for p in percents]
    assert levels[0] is Level.FINE and levels[-1] is Level.RETURN and levels == sorted(levels) and Level.WARN in levels
    assert hungry.look(seen(sector, away, 0.0, percent=None)).level is Level.FINE, "what it does not tell is no reason"


def test_traffic_and_the_end_of_a_permit_call_it_back(sector: Sector, plan: Plan) -> None:
    away = sector.frame.point(HOME) + np.array([-150.0, 0.0])
    watch = Watch(plan, sector, LIMITS)
    one = Aircraft("VN-1", float(away[0]) + 1500.0, float(away[1]) + 350.0, 220.0, (-40.0, 0.0), 0)
    assert watch.look(seen(sector, away), (one,)).level is Level.WARN
    assert watch.look(seen(sector, away), (replace(one, north_m=float(away[1])),)).level is Level.RETURN
    assert watch.look(seen(sector, away), (replace(one, height_msl_m=1000.0),)).level is Level.FINE
    timed = Watch(plan, sector, replace(LIMITS, at_ns=1, permits=(Permit("1", 0, 1000 * NS_PER_S, 120.0),)))
    at_s = [replace(seen(sector, away, 0.0), at_ns=s * NS_PER_S) for s in (600, 880, 960)]
    assert [timed.look(s).level for s in at_s] == [Level.FINE, Level.WARN, Level.RETURN]
