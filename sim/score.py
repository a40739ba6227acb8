"""The score of an exercise: what the machine made of it, and what the people did, against what really was.

Detection is counted as sim.truth counts it. An *event* (i-LIDS) begins when a crossing is first in sight; its alarms are
those that stand for somebody of it. A nuisance alarm (a farmer on the trail, by the rules right) is neither true nor false
there, and is counted for itself. A *decision* is right when its reason is one that fits who it really was (RIGHT_REASONS).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import shapely

from geofences.geodesy import Array
from geofences.sector import Sector
from sim.exercise_log import ended_early, read_log
from sim.exercise_scenario import Exercise
from sim.exercise_settings import GoalEntry
from sim.gospa import gospa
from sim.score_asked import was_asked
from sim.score_drones import Beat, DroneScore, judge_drones, read_flights
from sim.score_events import EventScore, Proportion, proportion, score_events
from sim.score_misses import NOTHING_TOLD, Miss, Told, Traces, read_told, why_missed
from sim.score_reading import all_alarms, all_matches, reading, trails
from sim.score_teams import TeamScore, judge_teams, read_teams
from sim.truth import (
    Crossing,
    Positions,
    StationAlarm,
    TruthScore,
    alarm_time_ns,
    contact_owners,
    find_crossings,
    match_positions,
    read_alarms,
    score_of,
    who_crosses,
)
from sim.truth_log import POSTURES, Course, read_courses
from sim.truth_sight import Sensors, Sight, middle_of, read_sensors
from sim.world import ids_by_name
from sim.world_state import DETECTED_AS, Kind, Landscape, Role
from station.alarms import SYSTEM, TEAM_SENT, TECHNICAL_RULES, UNANSWERED, Alarm
from station.matching import Match
from station.picture import MatchState
from station.subjects import WELFARE_CATEGORIES
from station.teams import Team
from wire.clock import NS_PER_S

GOSPA_EVERY = 5                 # of the pictures in the log: every so many seconds
CAMERA_DAY_S = 86_400.0
TEN_MINUTES_S = 600.0
_WELFARE = ("asks_for_protection", "trafficking_suspected", "missing_found", "rescue", "medical", "referral", "child")
RIGHT_REASONS: dict[str, tuple[str, ...]] = {
    Role.CROSSER: ("crossing", "turned_back", "handed_over", *_WELFARE),
    Role.SUBJECT: ("crossing", "turned_back", "handed_over", "match_rejected", *_WELFARE),
    Role.FARMER: ("lawful", "known_person"),
    Role.CHILD: ("child", "lawful", "known_person", "missing_found"),
    Role.PATROL: ("own_patrol",),
    Role.TRAFFIC: ("lawful", "known_person"),
    Role.ANIMAL: ("animal", "false_detection"),
    "": ("false_detection", "animal", "technical"),     # nobody
    "technical": ("technical",),
}
ALWAYS_RIGHT = ("exercise", "duplicate", "other")       # says nothing about who it was, and is left out


class CrossingScore(msgspec.Struct, frozen=True):
    """One crossing. Times: seconds of the exercise; None for what did not happen. error_m: of the alarm's place then.

    missed: why there was no alarm; None where there was one. asked: whether anybody was asked; None without an alarm.
    """

    who: tuple[int, int]
    people: int
    corridor: str
    began_s: float
    ended_s: float
    in_sight_s: float | None
    alarmed_s: float | None
    wait_s: float | None
    alarm: str
    error_m: float | None
    answered_s: float | None
    closed_as: str
    reason_is_right: bool | None
    missed: Miss | None = None
    asked: bool | None = None


class PersonScore(msgspec.Struct, frozen=True):
    """What one person did. answered: alarms taken first by this person; answer_p50_s: how long they had waited."""

    name: str
    answered: int
    answer_p50_s: float | None
    escalated: int
    teams_sent: int
    closed: int
    right_reasons: int
    wrong_reasons: int
    matches_answered: int
    matches_right: int


class SubjectScore(msgspec.Struct, frozen=True):
    """One record of the watchlist that an actor of the world is about. asked: a question named this actor's contact."""

    subject: str
    actor: str
    was_there: bool
    asked: bool
    asked_s: float | None
    lane: str
    lane_is_right: bool | None
    answer: str


class LoadScore(msgspec.Struct, frozen=True):
    """Alarm load, against EEMUA 191: at most one in ten minutes on average, ten in ten minutes are a flood."""

    alarms: int
    technical: int
    per_10_min: float
    most_10_min: int
    escalated_unanswered: int


class GoalScore(msgspec.Struct, frozen=True):
    measure: str
    goal: str
    value: float | None
    met: bool | None


class ExerciseScore(msgspec.Struct, frozen=True):
    """The whole score. pd: of crossings in sight. camera_hours: of cameras that saw. crashed: why it ended, if so.

    together: what all people did as one, where any did anything; its name is empty. teams: who was sent out.

    gospa_mean_m: of the map, every GOSPA_EVERY seconds, against everybody in some sensor's sight.
    """

    exercise: str
    seed: int
    mode: str
    seconds: float
    crashed: str
    truth: TruthScore
    pd: Proportion
    f1: float | None
    events: tuple[int, int, int]
    crossings: tuple[CrossingScore, ...]
    subjects: tuple[SubjectScore, ...]
    false_questions: int
    people: tuple[PersonScore, ...]
    load: LoadScore
    gospa_mean_m: float | None
    camera_hours: float
    goals: tuple[GoalScore, ...]
    drones: tuple[DroneScore, ...] = ()
    together: PersonScore | None = None
    teams: tuple[TeamScore, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a score is made of, read once."""

    courses: list[Course]
    sensors: Sensors
    sight: Sight
    crossings: list[Crossing]
    alarms: list[StationAlarm]
    owners: dict[str, Course | None]
    positions: Positions
    all_alarms: list[Alarm]
    matches: list[Match]
    began_ns: int
    seconds: float
    log: list[dict[str, object]]
    trails: dict[str, list[tuple[int, float, float]]]
    flights: dict[str, list[Beat]]
    told: Told = NOTHING_TOLD
    teams: Sequence[Team] = ()


def score_run(
    folder: Path, exercise: Exercise, landscape: Landscape, sight: Sight | None = None
) -> ExerciseScore:
    """Score what lies in a run's folder. Raises SettingsError for a run that cannot be read."""
    return judge(gather(folder, exercise.sector, landscape, sight), exercise)


def gather(folder: Path, sector: Sector, landscape: Landscape, sight: Sight | None = None) -> Evidence:
    log = list(read_log(folder / "exercise.jsonl"))
    courses = read_courses(folder / "truth.db")
    inbox, mind = reading(folder / "station/inbox.db"), reading(folder / "station/mind.db")
    sight = sight or Sight(landscape)
    try:
        sensors = read_sensors(inbox, sector)
        began = next((e for e in log if e["what"] == "began"), {})
        seconds = max((float(e["at_s"]) for e in log), default=0.0)
        began_ns = int(began.get("starts_ns", 0))
        # While the trainer's word is waited for, whoever stands in sight may raise an alarm: that is before it began.
        alarms = [a for a in read_alarms(mind) if any(at >= began_ns for _, at in a.contacts)]
        counted = {a.id for a in alarms}
        everything = [a for a in all_alarms(mind) if a.id in counted or a.events[0].at_ns >= began_ns]
        return Evidence(
            courses, sensors, sight, find_crossings(courses, sector, sensors, sight), alarms,
            contact_owners(mind, courses, sector), match_positions(inbox, courses, sector), everything,
            all_matches(mind), began_ns, seconds, log, trails(mind), read_flights(inbox, sector),
            read_told(inbox, sector), read_teams(mind),
        )
    finally:
        inbox.close()
        mind.close()


def judge(e: Evidence, exercise: Exercise) -> ExerciseScore:
    truth = score_of(e.crossings, e.alarms, e.owners, e.positions)
    traces = _traces(e, exercise.sector)
    crossings = tuple(_crossing(c, e, exercise.sector, traces) for c in e.crossings)
    seen = [c for c in crossings if c.in_sight_s is not None]
    events = _events(e, seen)
    subjects = _subjects(e, exercise)
    load = _load(e)
    began = next((x for x in e.log if x["what"] == "began"), {})
    half = ExerciseScore(
        exercise=exercise.name, seed=int(str(began.get("seed", 0))), mode=str(began.get("mode", "")), seconds=e.seconds,
        crashed=ended_early(e.log), truth=truth, pd=proportion(truth.crossings_alarmed, truth.crossings), f1=events.f1(),
        events=(events.true, events.missed, events.false), crossings=crossings, subjects=subjects,
        false_questions=_false_questions(e, exercise), people=_people(e, exercise), load=load,
        gospa_mean_m=_gospa(e, exercise.sector), camera_hours=_camera_hours(e), goals=(),
        drones=judge_drones(e, exercise), together=next(iter(_people(e, exercise, lambda _: "")), None),
        teams=judge_teams(e, _role_of),
    )
    return msgspec.structs.replace(half, goals=tuple(_goal(g, half) for g in exercise.settings.goals))


# -------------------------------------------------------------------------------------------------------- the crossings


def _traces(e: Evidence, sector: Sector) -> Traces:
    trails: dict[str, list[tuple[int, float, float]]] = {}
    for contact, trail in e.trails.items():
        places = sector.frame.to_enu([p[1] for p in trail], [p[2] for p in trail])
        trails[contact] = [(p[0], float(x), float(y)) for p, (x, y) in zip(trail, places, strict=True)]
    return Traces(e.told, trails, e.alarms, e.owners)


def _crossing(c: Crossing, e: Evidence, sector: Sector, traces: Traces) -> CrossingScore:
    at_ns = alarm_time_ns(c, e.alarms, e.owners) if c.in_sight_ns is not None else None
    alarm = _alarm_of(c, e) if at_ns is not None else None
    first = alarm.events[0].at_ns if alarm is not None else 0
    answered = next((x.at_ns for x in alarm.events if x.person != SYSTEM), None) if alarm is not None else None
    closed = _closing(alarm) if alarm is not None else None
    right = _is_right(closed, Role.CROSSER) if closed is not None else None
    members = [x for x in e.courses if who_crosses(x) == c.who]
    error = _place_error(at_ns, members, e, sector) if at_ns is not None else None
    return CrossingScore(
        c.who, sum(m.kind is Kind.PERSON for m in members), c.corridor, _s(c.first_ns, e), _s(c.last_ns, e),
        _s(c.in_sight_ns, e) if c.in_sight_ns is not None else None, _s(at_ns, e) if at_ns is not None else None,
        round((at_ns - c.in_sight_ns) / NS_PER_S, 3) if at_ns is not None and c.in_sight_ns is not None else None,
        alarm.id if alarm is not None else "", error,
        round((answered - first) / NS_PER_S, 3) if answered is not None else None, closed or "", right,
        why_missed(c, e.courses, e.sensors, traces) if at_ns is None else None,
        was_asked(c, e.all_alarms, e.owners) if at_ns is not None else None,
    )


def _place_error(at_ns: int, members: list[Course], e: Evidence, sector: Sector) -> float | None:
    """How far a contact of the party was from the nearest of them, at the point of its trail next to the alarm's time."""
    best: tuple[int, float] | None = None
    who = {(m.run, m.actor) for m in members}
    for contact, trail in e.trails.items():
        owner = e.owners.get(contact)
        if owner is None or (owner.run, owner.actor) not in who:
            continue
        when, lat, lon = min(trail, key=lambda point: abs(point[0] - at_ns))
        there = [p[:2] for m in members if (p := m.at(when)) is not None]
        if there:
            place = sector.frame.to_enu(lat, lon)[0]
            error = min(float(np.hypot(*(place - p))) for p in there)
            best = min(best or (abs(when - at_ns), error), (abs(when - at_ns), error))
    return round(best[1], 2) if best is not None else None


def _s(at_ns: int, e: Evidence) -> float:
    return round((at_ns - e.began_ns) / NS_PER_S, 3)


def _alarm_of(c: Crossing, e: Evidence) -> Alarm | None:
    """The alarm that stood for this crossing first."""
    best: tuple[int, str] | None = None
    for alarm in e.alarms:
        for contact, at_ns in alarm.contacts:
            owner = e.owners.get(contact)
            if alarm.corridor == c.corridor and owner is not None and who_crosses(owner) == c.who:
                best = min(best or (at_ns, alarm.id), (at_ns, alarm.id))
    return next((a for a in e.all_alarms if best is not None and a.id == best[1]), None)


def _closing(alarm: Alarm) -> str | None:
    """The reason that a person closed it with; None while nobody has."""
    for event in alarm.events:
        if event.state.value == "closed" and event.person != SYSTEM:
            return event.reason.split(maxsplit=1)[0] if event.reason else ""
    return None


def _is_right(reason: str, role: str) -> bool | None:
    if reason in ALWAYS_RIGHT:
        return None
    return reason in RIGHT_REASONS.get(role, ())


def _events(e: Evidence, seen: list[CrossingScore]) -> EventScore:
    """Each crossing with its own alarm, so that two at one time are not taken for one another; and alarms about nobody."""
    each = [
        score_events([c.in_sight_s], [c.alarmed_s] if c.alarmed_s is not None else [])
        for c in seen if c.in_sight_s is not None
    ]
    nobody = sum(1 for a in e.alarms if all(e.owners.get(c) is None for c, _ in a.contacts))
    return EventScore(sum(x.true for x in each), sum(x.missed for x in each), sum(x.false for x in each) + nobody)


# ------------------------------------------------------------------------------------------------- watchlist and people


def _actor_ids(e: Evidence, exercise: Exercise) -> dict[str, set[tuple[int, int]]]:
    """(run, id) of everybody by the name in the file. Ids are given in order of the file (sim.world)."""
    runs = {c.run for c in e.courses}
    return {name: {(run, i) for run in runs for i in ids} for name, ids in ids_by_name(exercise.scenario).items()}


def _subjects(e: Evidence, exercise: Exercise) -> tuple[SubjectScore, ...]:
    ids = _actor_ids(e, exercise)
    out = []
    for n, entry in enumerate(exercise.settings.watchlist, start=1):
        if not entry.actor:
            continue
        subject = f"S-{n:06d}"
        who = ids.get(entry.actor, set())
        mine = [
            m for m in e.matches
            if m.subject == subject and (o := e.owners.get(m.contact)) is not None and (o.run, o.actor) in who
        ]
        first = min(mine, key=lambda m: m.asked_ns, default=None)
        wanted = "welfare" if entry.category in WELFARE_CATEGORIES else "enforcement"
        out.append(SubjectScore(
            subject, entry.actor, any((c.run, c.actor) in who for c in e.courses), first is not None,
            _s(first.asked_ns, e) if first is not None else None, first.lane if first is not None else "",
            first.lane == wanted if first is not None else None,
            first.decisions[-1].answer.value if first is not None and first.decisions else "",
        ))
    return tuple(out)


def _false_questions(e: Evidence, exercise: Exercise) -> int:
    ids = _actor_ids(e, exercise)
    meant = {f"S-{n:06d}": ids.get(w.actor, set()) for n, w in enumerate(exercise.settings.watchlist, start=1)}
    count = 0
    for m in e.matches:
        owner = e.owners.get(m.contact)
        count += owner is None or (owner.run, owner.actor) not in meant.get(m.subject, set())
    return count


def _people(e: Evidence, exercise: Exercise, of: Callable[[str], str] = str) -> tuple[PersonScore, ...]:
    """of: under which name a person's doings are counted."""
    waits: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for alarm in e.all_alarms:
        first = alarm.events[0].at_ns
        is_first = True
        for event in alarm.events:
            if event.person == SYSTEM:
                continue
            tally = counts[of(event.person)]
            if is_first:
                waits[of(event.person)].append((event.at_ns - first) / NS_PER_S)
                is_first = False
            tally["escalated"] += event.state.value == "escalated"
            tally["teams"] += event.reason.startswith(TEAM_SENT)
            if event.state.value == "closed":
                tally["closed"] += 1
                right = _is_right(event.reason.split(maxsplit=1)[0] if event.reason else "", _role_of(alarm, e))
                tally["right"] += right is True
                tally["wrong"] += right is False
    meant = {f"S-{n:06d}": w.actor for n, w in enumerate(exercise.settings.watchlist, start=1)}
    ids = _actor_ids(e, exercise)
    for m in e.matches:
        owner = e.owners.get(m.contact)
        is_him = owner is not None and (owner.run, owner.actor) in ids.get(meant.get(m.subject, ""), set())
        for decision in m.decisions:
            counts[of(decision.person)]["matches"] += 1
            counts[of(decision.person)]["matches_right"] += (decision.answer is MatchState.CONFIRMED) == is_him
    return tuple(
        PersonScore(
            name, len(waits[name]), round(float(np.median(waits[name])), 2) if waits[name] else None, c["escalated"],
            c["teams"], c["closed"], c["right"], c["wrong"], c["matches"], c["matches_right"],
        )
        for name, c in sorted(counts.items())
    )


def _role_of(alarm: Alarm, e: Evidence) -> str:
    """Of whom an alarm was about: the gravest; "" for nobody, "technical" where it is about a machine."""
    if alarm.rule in TECHNICAL_RULES:
        return "technical"
    roles = [o.role.value for c in alarm.contact_ids if (o := e.owners.get(c)) is not None]
    order = [r.value for r in (Role.CROSSER, Role.SUBJECT, Role.CHILD, Role.FARMER, Role.PATROL, Role.TRAFFIC, Role.ANIMAL)]
    return min(roles, key=order.index, default="")


def _load(e: Evidence) -> LoadScore:
    times = sorted(_s(a.events[0].at_ns, e) for a in e.all_alarms)
    most = max((sum(1 for t in times if begin <= t < begin + TEN_MINUTES_S) for begin in times), default=0)
    unanswered = sum(any(x.reason == UNANSWERED for x in a.events) for a in e.all_alarms)
    technical = sum(a.rule in TECHNICAL_RULES for a in e.all_alarms)
    return LoadScore(
        len(times), technical, round(len(times) * TEN_MINUTES_S / max(e.seconds, 1.0), 3), most, unanswered
    )


# ---------------------------------------------------------------------------------------------------------- the picture


def _gospa(e: Evidence, sector: Sector) -> float | None:
    distances = []
    for n, entry in enumerate(x for x in e.log if x["what"] == "picture"):
        if n % GOSPA_EVERY:
            continue
        at_ns = int(str(entry["utc_ns"]))
        contacts = entry["contacts"]
        assert isinstance(contacts, list)
        found = sector.frame.to_enu([c[1] for c in contacts], [c[2] for c in contacts]) if contacts else np.empty((0, 2))
        truth = [p for c in e.courses if (p := _in_sight(c, at_ns, e)) is not None]
        if len(truth) or len(found):
            distances.append(gospa(np.array(truth), found).distance_m)
    return round(float(np.mean(distances)), 3) if distances else None


def _in_sight(course: Course, at_ns: int, e: Evidence) -> Array | None:
    if DETECTED_AS[course.kind] is None or course.kind is Kind.BIRD:
        return None
    place = course.at(at_ns)
    if place is None:
        return None
    i = min(int(np.searchsorted(course.at_ns, at_ns)), len(course.at_ns) - 1)
    if course.aboard[i]:
        return None         # counted as what carries it
    body = middle_of(place, POSTURES[course.posture[i]])
    for report in e.sensors.at(at_ns):
        if shapely.contains_xy(report.footprint, *place[:2]) and e.sight.is_clear(report.lens_m, body):
            return np.asarray(place[:2])
    return None


def _camera_hours(e: Evidence) -> float:
    seconds = sum(len(e.sensors.at(e.began_ns + round(s * NS_PER_S))) * 10.0 for s in np.arange(5.0, e.seconds, 10.0))
    return round(seconds / 3600.0, 4)


# ------------------------------------------------------------------------------------------------------------ the goals


def measures(s: ExerciseScore) -> dict[str, float | None]:
    """Every measure that a goal may name."""
    answers = [c.answered_s for c in s.crossings if c.answered_s is not None]
    # Of every alarm that was closed: where nobody crosses, those about the innocent are all that there is to judge.
    closed = (s.together.right_reasons, s.together.wrong_reasons) if s.together is not None else (0, 0)
    lanes = [x.lane_is_right for x in s.subjects if x.was_there]
    return {
        "pd": s.pd.share, "time_to_alarm_p50_s": s.truth.time_to_alarm_p50_s, "false_alarms": float(s.truth.false_alarms),
        "nuisance_alarms": float(s.truth.nuisance_alarms), "position_error_p50_m": s.truth.position_error_p50_m,
        "ellipse90_share": s.truth.ellipse90_share, "f1": s.f1, "alarms_most_10_min": float(s.load.most_10_min),
        "matches_asked": float(sum(x.asked for x in s.subjects)),
        "acknowledged_p50_s": round(float(np.median(answers)), 2) if answers else None,
        "right_reason_share": closed[0] / sum(closed) if sum(closed) else None,
        "lane_share": sum(x is True for x in lanes) / len(lanes) if lanes else None, "gospa_mean_m": s.gospa_mean_m,
    }


def _goal(goal: GoalEntry, s: ExerciseScore) -> GoalScore:
    value = measures(s)[goal.measure]
    words = f">= {goal.at_least:g}" if goal.at_least is not None else f"<= {goal.at_most:g}"
    met = None
    if value is not None:
        met = value >= goal.at_least if goal.at_least is not None else value <= (goal.at_most or 0.0)
    return GoalScore(goal.measure, words, value, met)
