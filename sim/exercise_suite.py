"""The product measures itself: crossings of many seeds in each condition of light, weather and range, pooled.

Every row says where it comes from. "detector model": detections drawn from truth by sim.detector_model, and everything after
the detector real. The model was checked against pixels (sim.detector_model_fit, and the table in docs/performance.md).
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from sim.debrief_sentences import why_in_english
from sim.detector_model import detector_model
from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, Exercise, load_exercise
from sim.landscape_cache import cached_landscape
from sim.score import Evidence, gather, judge
from sim.score_events import none_in, proportion
from sim.score_misses import Missed
from sim.truth import CHI2_90_2DOF, who_crosses
from sim.truth_sight import Sight
from sim.world import ids_by_name
from sim.world_state import Landscape
from wire.settings import SettingsError

FOLDER = LIBRARY / "suite"
SHORT_FILE = FOLDER / "short.json"
CROSSINGS = 200                 # of each condition, at the least
SEEDS_MOST = 40                 # a condition in which nobody is ever in sight must end
SHORT_SEEDS = (1,)
QUIET_RUNS = 36                 # of ten minutes with two cameras: half a camera-day, by day and by night each
SOURCE = "detector model"
# Of a recorded result: how much worse a short suite may be before its test fails. The runs are the same bit for bit on one
# machine; another processor's rounding may move a crossing or two.
SLACK = {"pd": 0.03, "time_to_alarm_p50_s": 0.5, "position_error_p50_m": 0.2}
GOALS = {
    "day": 0.95, "night": 0.90, "night-thermal": 0.90, "night-thermal-long": 0.90, "rain": 0.90, "rain-night": 0.90,
    "rain-night-thermal": 0.90, "rain-night-thermal-long": 0.90,
}
TIME_GOAL_S = 5.0

_log = logging.getLogger("trailwatch.exercise")


class Condition(msgspec.Struct, frozen=True):
    """One row. pd_low, pd_high: Clopper-Pearson, 95 %. false_alarms_per_camera_day_high: the upper end of what so few hours
    allow, by Poisson's law. camera_hours: of cameras that saw. missed: how many crossings for which reason
    (sim.score_misses.Missed), those included that nobody could have seen. actors: by name in the file, alarmed and in sight.
    unasked: of those detected, how many joined an alarm that somebody had taken, so that nobody was asked about them.
    """

    title: str
    crossings: int
    detected: int
    pd: float | None
    pd_low: float | None
    pd_high: float | None
    false_alarms: int
    false_alarms_per_camera_day: float | None
    false_alarms_per_camera_day_high: float | None
    nuisance_alarms: int
    time_to_alarm_p50_s: float | None
    time_to_alarm_p90_s: float | None
    position_error_p50_m: float | None
    position_error_p90_m: float | None
    ellipse90_share: float | None
    gospa_mean_m: float | None
    camera_hours: float
    seeds: int
    source: str
    goal: str = ""
    met: bool | None = None
    missed: dict[str, int] = {}
    actors: dict[str, tuple[int, int]] = {}
    unasked: int = 0


class SuiteResult(msgspec.Struct, frozen=True):
    """What `exercise suite --json` prints. detector: which measured model."""

    suite: str
    detector: str
    conditions: dict[str, Condition]


@dataclass(slots=True)
class _Pool:
    hits: int = 0
    of: int = 0
    false: int = 0
    nuisance: int = 0
    waits_s: list[float] = field(default_factory=list)
    errors_m: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    gospa_m: list[float] = field(default_factory=list)
    hours: float = 0.0
    seeds: int = 0
    unasked: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    actors: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))


def conditions() -> list[Path]:
    return sorted(FOLDER.glob("*.toml"))


def run_suite(short: bool = False, only: Sequence[str] = (), crossings: int = CROSSINGS) -> SuiteResult:
    """Run every condition until it has enough crossings; short: SHORT_SEEDS and no more. only: names of conditions."""
    files = [f for f in conditions() if not only or f.stem in only]
    if not files:
        raise SettingsError(f"exercise suite: no such condition; there are {', '.join(f.stem for f in conditions())}")
    model = detector_model()
    landscape: Landscape | None = None
    sight: Sight | None = None
    rows: dict[str, Condition] = {}
    for file in files:
        exercise = load_exercise(file)
        if landscape is None or sight is None:
            landscape = cached_landscape(exercise.scenario)
            sight = Sight(landscape)
        rows[file.stem] = _condition(file.stem, exercise, landscape, sight, short, crossings)
    return SuiteResult("short" if short else "full", f"{model.weights}: {model.measured}", rows)


def _condition(
    name: str, exercise: Exercise, landscape: Landscape, sight: Sight, short: bool, crossings: int
) -> Condition:
    pool = _Pool()
    quiet = exercise.settings.exercise.nothing_to_find
    seeds = SHORT_SEEDS if short else range(1, SEEDS_MOST + 1)
    for seed in seeds:
        if not short and (pool.seeds >= QUIET_RUNS if quiet else pool.of >= crossings):
            break
        folder = Path(tempfile.mkdtemp(prefix="trailwatch-suite-"))
        try:
            LockstepRun(exercise, folder / "run", seed=seed, landscape=landscape, sight=sight).run()
            _add(pool, gather(folder / "run", exercise.sector, landscape, sight), exercise)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _log.info("%s: seed %d, %d of %d crossings", name, seed, pool.hits, pool.of)
    return _row(name, exercise.settings.exercise.title, pool)


def _add(pool: _Pool, evidence: Evidence, exercise: Exercise) -> None:
    score = judge(evidence, exercise)
    pool.seeds += 1
    pool.hits += score.truth.crossings_alarmed
    pool.of += score.truth.crossings
    pool.false += score.truth.false_alarms
    pool.nuisance += score.truth.nuisance_alarms
    pool.waits_s += [c.wait_s for c in score.crossings if c.wait_s is not None]
    pool.errors_m += evidence.positions.error_m.tolist()
    pool.held += (evidence.positions.square <= CHI2_90_2DOF).tolist()
    pool.gospa_m += [score.gospa_mean_m] if score.gospa_mean_m is not None else []
    pool.hours += score.camera_hours
    pool.unasked += sum(c.asked is False for c in score.crossings)
    pool.missed.update(c.missed.because.value for c in score.crossings if c.missed is not None)
    names = {actor: name for name, ids in ids_by_name(exercise.scenario).items() for actor in ids}
    people = {who_crosses(c): c.actor for c in reversed(evidence.courses)}
    for c in score.crossings:
        if c.in_sight_s is not None:
            pool.actors[names.get(people[c.who], "")].append(c.missed is None)


def _row(name: str, title: str, p: _Pool) -> Condition:
    pd = proportion(p.hits, p.of)
    least = GOALS.get(name)
    days = p.hours / 24.0
    return Condition(
        title=title, crossings=p.of, detected=p.hits, pd=_round(pd.share, 4), pd_low=_round(pd.low, 4),
        pd_high=_round(pd.high, 4), false_alarms=p.false,
        false_alarms_per_camera_day=_round(p.false / days, 2) if days else None,
        false_alarms_per_camera_day_high=_round(none_in(p.hours), 1) if p.hours and not p.false else None,
        nuisance_alarms=p.nuisance, time_to_alarm_p50_s=_percentile(p.waits_s, 50),
        time_to_alarm_p90_s=_percentile(p.waits_s, 90), position_error_p50_m=_percentile(p.errors_m, 50),
        position_error_p90_m=_percentile(p.errors_m, 90),
        ellipse90_share=round(float(np.mean(p.held)), 3) if p.held else None,
        gospa_mean_m=round(float(np.mean(p.gospa_m)), 3) if p.gospa_m else None, camera_hours=round(p.hours, 3),
        seeds=p.seeds, source=SOURCE, goal=f"pd_low >= {least:g}, median time < {TIME_GOAL_S:g} s" if least else "",
        met=_met(pd.low, least, p.waits_s) if least else None,
        missed={m.value: p.missed[m.value] for m in Missed if p.missed[m.value]},
        actors={name: (sum(hits), len(hits)) for name, hits in sorted(p.actors.items())}, unasked=p.unasked,
    )


def _met(low: float | None, least: float, waits_s: list[float]) -> bool:
    return low is not None and low >= least and bool(waits_s) and float(np.median(waits_s)) < TIME_GOAL_S


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None or math.isnan(value) else round(value, digits)


def _percentile(values: list[float], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 2) if values else None


def worse_than(recorded: SuiteResult, now: SuiteResult) -> list[str]:
    """What is worse now than it was recorded, in words; empty when nothing is."""
    out = []
    for name, then in recorded.conditions.items():
        row = now.conditions.get(name)
        if row is None:
            out.append(f"{name}: is not measured any more")
            continue
        if then.pd is not None and (row.pd is None or row.pd < then.pd - SLACK["pd"]):
            out.append(f"{name}: pd is {row.pd}, and was {then.pd}")
        if row.false_alarms > then.false_alarms:
            out.append(f"{name}: {row.false_alarms} false alarms, and there were {then.false_alarms}")
        if row.unasked > then.unasked:
            out.append(f"{name}: about {row.unasked} nobody was asked, and it was {then.unasked}")
        for key in ("time_to_alarm_p50_s", "position_error_p50_m"):
            before, after = getattr(then, key), getattr(row, key)
            if before is not None and (after is None or after > before + SLACK[key]):
                out.append(f"{name}: {key} is {after}, and was {before}")
    return out


def read_short() -> SuiteResult:
    """The recorded result of the short suite."""
    return msgspec.json.decode(SHORT_FILE.read_bytes(), type=SuiteResult)


def as_table(result: SuiteResult) -> str:
    """In Markdown, as docs/performance.md has it."""
    lines = [
        "| condition | crossings | detected | Pd (95 %) | false alarms a camera-day | time to alarm, p50 / p90 s | "
        "position error, p50 / p90 m | in the 90 % ellipse | source |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, c in result.conditions.items():
        pd = "" if c.pd is None else f"{c.pd:.3f} ({c.pd_low:.3f} to {c.pd_high:.3f})"
        false = "" if c.false_alarms_per_camera_day is None else f"{c.false_alarms_per_camera_day:g}"
        if c.false_alarms_per_camera_day_high is not None:
            false += f" in {c.camera_hours:.1f} h (at most {c.false_alarms_per_camera_day_high:g})"
        times = "" if c.time_to_alarm_p50_s is None else f"{c.time_to_alarm_p50_s:g} / {c.time_to_alarm_p90_s:g}"
        errors = "" if c.position_error_p50_m is None else f"{c.position_error_p50_m:g} / {c.position_error_p90_m:g}"
        share = "" if c.ellipse90_share is None else f"{c.ellipse90_share:.3f}"
        lines.append(
            f"| {name}: {c.title} | {c.crossings} | {c.detected} | {pd} | {false} | {times} | {errors} | {share} | "
            f"{c.source} |"
        )
    return "\n".join(lines)


def as_miss_table(result: SuiteResult) -> str:
    """Why crossings of each condition raised no alarm, and who they were; in Markdown."""
    lines = [
        "| condition | no alarm | because | an alarm, and nobody asked | alarmed of those in sight, by who they were |",
        "|---|---|---|---|---|",
    ]
    for name, c in result.conditions.items():
        if c.crossings:
            because = ", ".join(f"{why_in_english(Missed(m))}: {n}" for m, n in c.missed.items())
            who = ", ".join(f"{a}: {hits} of {of}" for a, (hits, of) in c.actors.items())
            lines.append(f"| {name} | {c.crossings - c.detected} | {because} | {c.unasked} | {who} |")
    return "\n".join(lines)
