"""The debrief of an exercise: truth and alarms on one line of time, the moments that mattered, and how it went before.

Moments are found by rule, each from the score: what was missed, late or closed with a wrong reason, what nobody answered, a
question in the wrong lane or about the wrong one, alarms about nobody; and the best catch, so that there is one to show.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec

from geofences.sector import load_sector
from sim.debrief_sentences import (
    Says,
    about_nobody,
    asked,
    best_says,
    comes,
    crossing_says,
    directed,
    drone_says,
    ended_because,
    event_says,
    in_english,
    missed_says,
    subject_says,
)
from sim.exercise_kept import read_kept
from sim.exercise_log import NO_END
from sim.exercise_scenario import Exercise
from sim.exercise_settings import InLanguages
from sim.landscape_cache import cached_landscape
from sim.score import CrossingScore, Evidence, ExerciseScore, PersonScore, gather, judge, measures
from sim.score_teams import TeamScore
from station.alarms import SYSTEM
from station.sentences import Sentence
from wire.clock import NS_PER_S
from wire.settings import SettingsError

DIRECTED = ("inject", "inject_over", "paused", "resumed", "frozen", "pace", "crashed", "ended")     # of an exercise's log
TOGETHER = "all together"       # in tables and on a terminal: what all people did as one
COMPARED = (
    "pd", "time_to_alarm_p50_s", "false_alarms", "nuisance_alarms", "f1", "acknowledged_p50_s", "right_reason_share",
    "lane_share", "position_error_p50_m", "alarms_most_10_min", "gospa_mean_m",
)


class TimelineEntry(msgspec.Struct, frozen=True):
    """track: "truth", "alarm", "person" or "direction". says: in English, for terminal and tables; sentences: the same."""

    at_s: float
    track: str
    says: str
    sentences: Says = ()


class MomentThatMattered(msgspec.Struct, frozen=True):
    """kind: missed, late, unanswered, wrong_reason, false_alarm, wrong_lane, not_asked, best_catch, crash, and of drones
    too_near, no_reserve, drone_fault. says, sentences: as in TimelineEntry.
    """

    at_s: float
    kind: str
    says: str
    sentences: Says = ()


class Compared(msgspec.Struct, frozen=True):
    """One measure now, and in each earlier run."""

    measure: str
    now: float | None
    before: tuple[float | None, ...]


class Debrief(msgspec.Struct, frozen=True):
    title: str
    teaches: str
    score: ExerciseScore
    timeline: tuple[TimelineEntry, ...]
    moments: tuple[MomentThatMattered, ...]
    earlier: tuple[str, ...]
    compared: tuple[Compared, ...]
    words: InLanguages = InLanguages()


class Earlier(msgspec.Struct, frozen=True):
    """A run that this one is compared with."""

    name: str
    score: ExerciseScore


def debrief(run: Path, earlier: Sequence[Earlier] = (), goes_on: bool = False) -> Debrief:
    """Read a run's folder and work it out. goes_on: its direction lives, so it has no end yet. Raises SettingsError for a
    folder that is no run."""
    exercise, evidence = read_run(run)
    score = judge(evidence, exercise)
    if goes_on and score.crashed == NO_END:
        score = msgspec.structs.replace(score, crashed="")
    now = measures(score)
    before = [measures(e.score) for e in earlier]
    about = exercise.settings.exercise
    return Debrief(
        about.title, about.teaches, score, timeline(score, evidence), moments(score, evidence),
        tuple(e.name for e in earlier), tuple(Compared(m, now[m], tuple(b[m] for b in before)) for m in COMPARED),
        exercise.settings.words,
    )


def read_run(run: Path) -> tuple[Exercise, Evidence]:
    """The exercise as it was run, and all that it left."""
    if not (run / "exercise.jsonl").is_file():
        raise SettingsError(f"{run}: holds no run of an exercise. Give the folder that `exercise run --keep` was given.")
    exercise = read_kept(run)
    surveyed = load_sector(run / "sector" / exercise.sector_file.name)
    assert surveyed.id == exercise.sector.id
    return exercise, gather(run, exercise.sector, cached_landscape(exercise.scenario))


def read_earlier(run: Path) -> Earlier:
    exercise, evidence = read_run(run)
    return Earlier(run.name, judge(evidence, exercise))


# --------------------------------------------------------------------------------------------------------- what happened


def timeline(score: ExerciseScore, e: Evidence) -> tuple[TimelineEntry, ...]:
    """Everything in order of time."""
    out: list[TimelineEntry] = []
    for c in score.crossings:
        out.append(_entry(c.began_s, "truth", comes(c)))
        if c.in_sight_s is not None:
            out.append(_entry(c.in_sight_s, "truth", (Sentence("debrief.in_sight", {"corridor": c.corridor}),)))
    for alarm in e.all_alarms:
        for n, event in enumerate(alarm.events):
            track = "alarm" if event.person == SYSTEM else "person"
            out.append(_entry(_at_s(event.at_ns, e), track, event_says(alarm, event, n == 0)))
    for m in e.matches:
        out.append(_entry(_at_s(m.asked_ns, e), "alarm", asked(m)))
        for d in m.decisions:
            answer = {"match": m.id, "answer": d.answer.value, "person": d.person}
            out.append(_entry(_at_s(d.at_ns, e), "person", (Sentence("debrief.answered", {**answer}),)))
    out += [
        _entry(float(str(x["at_s"])), "direction", directed(x)) for x in e.log if x["what"] in DIRECTED
    ]
    return tuple(sorted(out, key=lambda t: (t.at_s, t.track)))


def moments(score: ExerciseScore, e: Evidence) -> tuple[MomentThatMattered, ...]:
    """The ones to talk about, in order of time."""
    out: list[MomentThatMattered] = []
    for c in score.crossings:
        if c.in_sight_s is not None and c.missed is not None:
            out.append(_moment(c.in_sight_s, "missed", missed_says(c, c.missed)))
        elif c.alarmed_s is not None:
            out += [_moment(c.alarmed_s, kind, says) for kind, says in crossing_says(c)]
    caught = [c for c in score.crossings if c.wait_s is not None and c.alarmed_s is not None]
    if caught:
        best = min(caught, key=lambda c: (c.wait_s or 0.0) + (c.answered_s if c.answered_s is not None else 600.0))
        out.append(_moment(best.alarmed_s or 0.0, "best_catch", best_says(best)))
    for alarm in e.alarms:
        if all(e.owners.get(contact) is None for contact, _ in alarm.contacts):
            at_s = _at_s(alarm.contacts[0][1], e) if alarm.contacts else 0.0
            out.append(_moment(at_s, "false_alarm", about_nobody(alarm.id, alarm.corridor)))
    out += [_moment(*found) for found in subject_says(score)]
    for d in score.drones:
        out += [_moment(*found) for found in drone_says(d)]
    if score.crashed:
        out.append(_moment(score.seconds, "crash", (Sentence("debrief.crash", ended_because(e.log, score.crashed)),)))
    return tuple(sorted(out, key=lambda m: m.at_s))


def _entry(at_s: float, track: str, sentences: Says) -> TimelineEntry:
    return TimelineEntry(at_s, track, in_english(sentences), sentences)


def _moment(at_s: float, kind: str, sentences: Says) -> MomentThatMattered:
    return MomentThatMattered(at_s, kind, in_english(sentences), sentences)


def _at_s(at_ns: int, e: Evidence) -> float:
    return round((at_ns - e.began_ns) / NS_PER_S, 1)


# -------------------------------------------------------------------------------------------------------------- in words


def summary(d: Debrief) -> str:
    """The score in a dozen lines."""
    s = d.score
    share = "nobody crossed in sight"
    if s.pd.share is not None:
        interval = f"(95 %: {s.pd.low:.2f} to {s.pd.high:.2f})"
        share = f"{s.pd.hits} of {s.pd.of} crossings in sight raised an alarm: {s.pd.share:.2f} {interval}"
    t = s.truth
    lines = [
        f"{d.title} (seed {s.seed}, {s.mode}, {s.seconds:.0f} s)" + (f"  ENDED EARLY: {s.crashed}" if s.crashed else ""),
        f"  {share}",
        f"  time to alarm {_n(t.time_to_alarm_p50_s)} s in the middle; F1 {_n(s.f1)} (alarm within 10 s)",
        f"  {t.false_alarms} false alarms, {t.nuisance_alarms} about the innocent, in {s.camera_hours:.2f} camera-hours",
        f"  position error {_n(t.position_error_p50_m)} m in the middle, {_n(t.ellipse90_share)} in the 90 % ellipse",
        f"  GOSPA of the map {_n(s.gospa_mean_m)} m",
        f"  {s.load.alarms} alarms, {s.load.most_10_min} at most in ten minutes, {s.load.escalated_unanswered} unanswered",
    ]
    for x in s.subjects:
        asked = f"asked about after {x.asked_s:.0f} s, {x.lane}" if x.asked_s is not None else "never asked about"
        lines.append(f"  {x.subject} ({x.actor}): {asked}")
    lines += [
        f"  {p.name or TOGETHER}: {p.answered} alarms answered after {_n(p.answer_p50_s)} s, {p.closed} closed "
        f"({p.right_reasons} right, {p.wrong_reasons} wrong), {p.teams_sent} teams sent"
        for p in everybody(s)
    ]
    lines += [f"  {x.team} ({x.who}) to {x.alarm}: {_team_did(x)}" for x in s.teams]
    for v in s.drones:
        wait = "never in the air after the first alarm" if v.waited_s is None else f"in the air {v.waited_s:.0f} s after it"
        lines.append(
            f"  {v.drone}: {wait}, saw {v.crossings_seen} crossings, landed {v.landed} times ({v.at_home} at home, "
            f"{_n(v.battery_least_percent)} % left), nearest to a person {_n(v.nearest_m)} m"
        )
    for g in s.goals:
        word = "not measured" if g.met is None else "met" if g.met else "NOT met"
        lines.append(f"  goal {g.measure} {g.goal}: {_n(g.value)}, {word}")
    return "\n".join(lines)


def everybody(s: ExerciseScore) -> list[PersonScore]:
    """Each person, and behind more than one what they did as one."""
    return [*s.people, *([s.together] if s.together is not None and len(s.people) > 1 else [])]


def _team_did(x: TeamScore) -> str:
    there = "not there yet" if x.arrived_s is None else f"there {x.arrived_s - x.sent_s:.0f} s later"
    came = "recalled" if x.recalled else there
    after = "" if x.waited_s is None else f" {x.waited_s:.0f} s after it"
    meant = "" if x.right is None else ", after somebody who was meant" if x.right else ", after NOBODY who was meant"
    return f"sent{after}, {came}{f', {x.outcome}' if x.outcome else ''}{meant}"


def report(d: Debrief) -> str:
    """All of it, for a terminal."""
    lines = [summary(d), "", "What mattered"]
    lines += [f"  {clock(m.at_s)}  {m.kind:13} {m.says}" for m in d.moments] or ["  nothing stands out"]
    if d.earlier:
        lines += ["", f"Compared with {', '.join(d.earlier)}"]
        lines += [f"  {c.measure:22} {_n(c.now):>8}  before: {', '.join(_n(b) for b in c.before)}" for c in d.compared]
    lines += ["", "What happened"]
    lines += [f"  {clock(t.at_s)}  {t.track:9} {t.says}" for t in d.timeline]
    return "\n".join(lines)


def clock(at_s: float) -> str:
    return f"{int(at_s) // 60:3}:{int(at_s) % 60:02}"


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def csv_text(d: Debrief) -> dict[str, str]:
    """The tables crossings, timeline, moments, people and teams, each as the text of a CSV file."""
    tables: dict[str, tuple[list[str], list[list[object]]]] = {
        "crossings": (list(CrossingScore.__struct_fields__), [_crossing_row(c) for c in d.score.crossings]),
        "timeline": (["at_s", "track", "says"], [[t.at_s, t.track, t.says] for t in d.timeline]),
        "moments": (["at_s", "kind", "says"], [[m.at_s, m.kind, m.says] for m in d.moments]),
        "people": (
            list(PersonScore.__struct_fields__),
            [[p.name or TOGETHER, *msgspec.structs.astuple(p)[1:]] for p in everybody(d.score)],
        ),
        "teams": (list(TeamScore.__struct_fields__), [list(msgspec.structs.astuple(x)) for x in d.score.teams]),
    }
    texts = {}
    for name, (columns, rows) in tables.items():
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([["" if v is None else _safe(v) for v in row] for row in rows])
        texts[name] = text.getvalue()
    return texts


def write_csv(d: Debrief, folder: Path) -> list[Path]:
    """Each table of csv_text as a file. Raises SettingsError where the folder cannot be written."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in csv_text(d).items():
            path = folder / f"{name}.csv"
            path.write_text(text, encoding="utf-8", newline="")
            written.append(path)
    except OSError as error:
        raise SettingsError(f"--csv {folder}: cannot be written: {error.strerror}") from None
    return written


def _crossing_row(c: CrossingScore) -> list[object]:
    run, actor = c.who
    return [f"{run}-{actor}", *msgspec.structs.astuple(c)[1:-1], c.missed.because.value if c.missed is not None else ""]


def _safe(value: object) -> object:
    """No text that a spreadsheet takes for a formula: names and reasons are what people typed."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value[:1] else value
