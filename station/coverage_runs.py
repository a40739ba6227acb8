"""From numbers a metre to runs of metres: what the map draws, and what a planner of patrols reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geofences.sector import Sector
from station.coverage_grades import Grades
from station.coverage_ledger import Ledger
from station.coverage_picture import CoverageRun, CoverageView
from station.coverage_trail import TrailPart
from wire.clock import NS_PER_S
from wire.coverage import CoverageDebt, DebtSegment

AGES_S = (900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)      # steps of how long a metre has not been seen
NEVER = len(AGES_S) + 2                                   # 0: seen now; 1: less than AGES_S[0]; ...; 6: more than the last
GRADES = 6


@dataclass(slots=True)
class Now:
    """How each metre is seen now.

    grade, by: (n,) by the best sensor (0: none), which counts in `names`. width: (n,) the share of the corridor's width that
    is seen well enough to count.
    """

    grade: Grades
    by: npt.NDArray[np.uint16]
    width: npt.NDArray[np.float32]
    names: list[str]


def ages(ledger: Ledger, now: Now, least: int, now_s: int) -> npt.NDArray[np.uint8]:
    """(n,) the step of each metre: 0 for what is seen now, NEVER for what nobody has seen."""
    step = np.searchsorted(AGES_S, ledger.waiting_s(now_s), side="right").astype(np.uint8) + np.uint8(1)
    step[ledger.seen_s == 0] = NEVER
    step[now.grade >= least] = 0
    return step


def corridor_view(
    part: TrailPart, number: int, ledger: Ledger, now: Now, age: npt.NDArray[np.uint8], now_ns: int, weight: float
) -> CoverageView:
    """One corridor, the number-th of the trail; age: of all metres."""
    m = part.metres
    grade, by, step, seen_s, width = now.grade[m], now.by[m], age[m], ledger.seen_s[m], now.width[m]
    by = np.where(grade > 0, by, 0)
    starts = np.concatenate([[0], np.flatnonzero((np.diff(grade) != 0) | (np.diff(step) != 0) | (np.diff(by) != 0)) + 1])
    ends = np.append(starts[1:], part.count)
    oldest, wide = np.minimum.reduceat(seen_s, starts), np.add.reduceat(width, starts) / (ends - starts)
    runs = tuple(
        CoverageRun(
            int(a), int(b), int(grade[a]), int(step[a]), now.names[by[a]], 0 if step[a] == 0 else int(old) * NS_PER_S,
            round(float(w), 1),
        )
        for a, b, old, w in zip(starts, ends, oldest, wide, strict=True)
    )
    is_watched = step == 0
    waiting = np.where(is_watched, 0, np.maximum(now_ns // NS_PER_S - np.maximum(seen_s, ledger.since_s[number]), 0))
    return CoverageView(
        corridor=part.id, priority=part.priority, length_m=part.count, at_ns=now_ns, runs=runs,
        grades_m=tuple(int(n) for n in np.bincount(grade, minlength=GRADES)),
        watched_m=int(is_watched.sum()), never_m=int((step == NEVER).sum()),
        seen_ns=now_ns if is_watched.any() else int(seen_s.max()) * NS_PER_S,
        oldest_ns=now_ns if is_watched.all() else int(seen_s[~is_watched].min()) * NS_PER_S,
        since_ns=int(ledger.since_s[number]) * NS_PER_S, debt_mh=round(float(waiting.sum()) / 3600.0, 2), weight=weight,
    )


def debt_of(views: tuple[CoverageView, ...], sector: Sector, now_ns: int) -> CoverageDebt:
    """What a planner reads, from what the map shows: the segments that nobody sees now, the heaviest first."""
    segments = [
        _segment(view, run, sector, now_ns)
        for view in views if _is_known(view, sector) for run in view.runs if run.age != 0
    ]
    segments.sort(key=lambda s: -s.debt_mh * s.weight)
    return CoverageDebt(sector.id, sector.corridors.version, now_ns, tuple(segments))


def _is_known(view: CoverageView, sector: Sector) -> bool:
    return any(g.corridor.id == view.corridor for g in sector.corridors.grounds)


def _segment(view: CoverageView, run: CoverageRun, sector: Sector, now_ns: int) -> DebtSegment:
    line = sector.corridors.ground(view.corridor).centre_line
    ends = [line.interpolate(min(d, line.length)) for d in (run.from_m, run.to_m)]
    start, end = (sector.frame.position(p.x, p.y) for p in ends)
    unseen_s = max(0.0, (now_ns - max(run.oldest_ns, view.since_ns)) / NS_PER_S)
    return DebtSegment(
        view.corridor, run.from_m, run.to_m, start, end, run.oldest_ns, round(unseen_s, 1),
        round((run.to_m - run.from_m) * unseen_s / 3600.0, 3), view.weight,
    )
