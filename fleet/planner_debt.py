"""A patrol from the coverage debt: which unseen stretches of trail are worth flying to with what is in the battery.

The orienteering problem, by greedy insertion (Golden, Levy and Vohra 1987): again and again the stretch that pays the most
debt for each metre that it adds to the way, where it adds least, for as long as the battery allows it all with its reserve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet.checker import check_plan
from fleet.planner import Maker, PatrolWish, PlanError, plan_stretches
from fleet.planner_words import refused
from geofences.geodesy import Array
from wire.coverage import CoverageDebt, DebtSegment
from wire.flying import Plan
from wire.units import Realm

STRETCHES_LIMIT = 12            # of one sortie: beyond that a pilot sees no pattern in it
LEAST_M = 10.0                  # shorter stretches are seen in passing


@dataclass(frozen=True, slots=True)
class _Candidate:
    """ends: (2, 2) in metres. worth: metre-hours times the corridor's weight."""

    segment: DebtSegment
    ends: Array
    worth: float


def plan_debt(wish: PatrolWish, maker: Maker, plan_id: str, debt: CoverageDebt) -> tuple[Plan, tuple[DebtSegment, ...]]:
    """The patrol, and the segments of which it flies all that may be flown.

    Raises PlanError, also where the debt counts along other corridors.
    """
    sector = maker.sector
    if debt.corridors_version != sector.corridor_set.version:
        raise refused("debt_version")
    home = sector.frame.point(wish.home)
    left = [_candidate(s, maker) for s in debt.segments if s.to_m - s.from_m >= LEAST_M and s.debt_mh > 0]
    chosen: list[_Candidate] = []
    plan: Plan | None = None
    last_error = "there is no debt that is worth a flight"
    while left and len(chosen) < STRETCHES_LIMIT:
        best = max(left, key=lambda c: c.worth / max(1.0, _added_m(c, chosen, home)))
        left.remove(best)
        longer = _inserted(best, chosen, home)
        try:
            tried = plan_stretches(wish, maker, plan_id, [_stretch(c) for c in longer])
        except PlanError as error:
            last_error = str(error)
            continue            # out of reach from this home; another may not be
        result = check_plan(tried, sector, Realm.TRAINING, maker.limits)
        if not result.passed:
            last_error = "; ".join(f.sentence for f in result.findings[:2])
            continue
        chosen, plan = longer, tried
    if plan is None:
        raise refused("debt", why=last_error)
    return plan, tuple(c.segment for c in chosen)


def _candidate(segment: DebtSegment, maker: Maker) -> _Candidate:
    frame = maker.sector.frame
    ends = np.array([frame.point(segment.start), frame.point(segment.end)])
    return _Candidate(segment, ends, segment.debt_mh * segment.weight)


def _stretch(c: _Candidate) -> tuple[str, float, float]:
    return c.segment.corridor, float(c.segment.from_m), float(c.segment.to_m)


def _way_m(order: list[_Candidate], home: Array) -> float:
    """Home, each stretch from its nearer end, and home again."""
    here, total = home, 0.0
    for c in order:
        to = np.linalg.norm(c.ends - here, axis=1)
        first = int(to.argmin())
        total += float(to[first] + np.linalg.norm(c.ends[1] - c.ends[0]))
        here = c.ends[1 - first]
    return total + float(np.linalg.norm(home - here))


def _inserted(c: _Candidate, order: list[_Candidate], home: Array) -> list[_Candidate]:
    ways = [[*order[:i], c, *order[i:]] for i in range(len(order) + 1)]
    return min(ways, key=lambda way: _way_m(way, home))


def _added_m(c: _Candidate, order: list[_Candidate], home: Array) -> float:
    return _way_m(_inserted(c, order, home), home) - _way_m(order, home)
