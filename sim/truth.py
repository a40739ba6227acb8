"""Scoring: what the station made of it, against what really was.

A *crossing* is people who cross together (one party, or one alone) inside one corridor; away for CROSSING_OVER_NS, and it
is another one. It counts when a sensor could have seen it: some member inside the corridor, inside the footprint of a
sensor that said it sees, and in its line of sight (sim.truth_sight), for SEEN_FOR_NS in all. The others are
`crossings_never_in_sight`.

It is *alarmed* when an alarm about contacts, of that corridor or of the border, stands for a contact that is one of them.
Whose contact it is, the truth decides at each point of the contact's trail: the nearest detectable actor of its group
within GATE_M; the most frequent answer holds. *Time to alarm* runs from the first instant in sight to the first such
alarm's entry at the station, or to the contact's joining an alarm that stood already.

A *false alarm* stands for contacts where nobody detectable was: a shadow, a bush, an animal. An alarm about a farmer on
the trail is right by the rules and still a nuisance: counted apart.

*Positions* are the confirmed detections that were given a place. Those of one frame are assigned to the actors of that
time and group one to one, by the least sum of distances, each within GATE_M. The gate does not look at the error that a
detection claims, or claims could not be tested by it. In a party that walks closer than the error, the assignment
flatters; the error of those who walk alone (nobody detectable within ALONE_M) is given as well.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import shapely
from scipy.optimize import linear_sum_assignment

from geofences.geodesy import Array
from geofences.sector import Sector
from sim.truth_log import POSTURES, Course, read_courses
from sim.truth_sight import Report, Sensors, Sight, middle_of, read_sensors
from sim.world_state import DETECTED_AS, Kind, Landscape, Role
from station.alarms import CONTACT_RULES, JOINED, Alarm
from station.contacts import group_of
from wire.clock import NS_PER_S
from wire.units import ObjectClass

CROSSING_OVER_NS = 600 * NS_PER_S       # as long as the station takes a contact's stay in a corridor for the same one
SEEN_FOR_NS = 2 * NS_PER_S              # a glimpse is no sight: a track is confirmed by three hits at the least
GATE_M = 15.0                           # no demo sensor places anything whose 90 % ellipse is longer
ALONE_M = 10.0
CHI2_90_2DOF = 4.605170185988092        # scipy.stats.chi2.ppf(0.90, 2)
OPEN_VEHICLES = (Kind.MOTORCYCLE, Kind.BICYCLE, Kind.BOAT)


class GroupScore(msgspec.Struct, frozen=True):
    """Positions of one group: people, vehicles or boats."""

    positions: int
    position_error_p50_m: float | None
    position_error_p90_m: float | None
    ellipse90_share: float | None


class TruthScore(msgspec.Struct, frozen=True):
    """What `score` found. Counts; times in seconds, errors in metres, None where there was nothing to measure.

    ellipse90_share: share of positions whose 90 % ellipse holds the actor. positions_doubled: a second position, in a frame,
    of an actor that has one. positions_of_nobody: nobody within GATE_M. groups: the same for "person", "vehicle", "boat".
    """

    crossings: int
    crossings_alarmed: int
    crossings_never_in_sight: int
    false_alarms: int
    nuisance_alarms: int
    time_to_alarm_p50_s: float | None
    position_error_p50_m: float | None
    position_error_p90_m: float | None
    position_error_alone_p50_m: float | None
    ellipse90_share: float | None
    positions: int
    positions_doubled: int
    positions_of_nobody: int
    groups: dict[str, GroupScore]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One party in one corridor. first_ns, last_ns: inside it. in_sight_ns: first instant in sight; None for never.

    in_sight_s: seconds in sight, over all; less than counts as seen where in_sight_ns is None. behind_blind: never in sight,
    and would have been for a camera that said that it does not see.
    """

    who: tuple[int, int]
    corridor: str
    first_ns: int
    last_ns: int
    in_sight_ns: int | None
    in_sight_s: float = 0.0
    behind_blind: bool = False


@dataclass(frozen=True, slots=True)
class StationAlarm:
    """An alarm about contacts. corridor: empty for one of the border. contacts: id and when it stood for each, in order."""

    id: str
    corridor: str
    contacts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Placed detections against the truth. error_m, square (Mahalanobis), alone, group: (n,), of those that were matched.

    doubled: beside one that was matched to the same actor. nobody: all others.
    """

    error_m: Array
    square: Array
    alone: npt.NDArray[np.bool_]
    group: npt.NDArray[np.str_]
    doubled: int
    nobody: int


def score(truth_db: Path, inbox_db: Path, mind_db: Path, sector: Sector, landscape: Landscape) -> TruthScore:
    """Compare a station's databases with the truth. Raises SettingsError for a truth that cannot be read."""
    courses = read_courses(truth_db)
    inbox, mind = _reading(inbox_db), _reading(mind_db)
    try:
        crossings = find_crossings(courses, sector, read_sensors(inbox, sector), Sight(landscape))
        alarms = read_alarms(mind)
        owners = contact_owners(mind, courses, sector)
        positions = match_positions(inbox, courses, sector)
    finally:
        inbox.close()
        mind.close()
    return score_of(crossings, alarms, owners, positions)


def score_of(
    crossings: list[Crossing], alarms: list[StationAlarm], owners: dict[str, Course | None], positions: Positions
) -> TruthScore:
    """The same, of what was read already."""
    alarmed = {c: alarm_time_ns(c, alarms, owners) for c in crossings if c.in_sight_ns is not None}
    waits = [(at - (c.in_sight_ns or 0)) / NS_PER_S for c, at in alarmed.items() if at is not None]
    judged = [_judge(a, owners) for a in alarms]
    groups = {str(g): _group_score(positions, positions.group == g) for g in np.unique(positions.group)}
    every = _group_score(positions, np.ones(len(positions.group), bool))
    return TruthScore(
        crossings=len(alarmed),
        crossings_alarmed=len(waits),
        crossings_never_in_sight=len(crossings) - len(alarmed),
        false_alarms=judged.count("false"),
        nuisance_alarms=judged.count("nuisance"),
        time_to_alarm_p50_s=_percentile(np.array(waits), 50),
        position_error_p50_m=every.position_error_p50_m,
        position_error_p90_m=every.position_error_p90_m,
        position_error_alone_p50_m=_percentile(positions.error_m[positions.alone], 50),
        ellipse90_share=every.ellipse90_share,
        positions=len(positions.error_m) + positions.doubled + positions.nobody,
        positions_doubled=positions.doubled,
        positions_of_nobody=positions.nobody,
        groups=groups,
    )


def _group_score(positions: Positions, which: npt.NDArray[np.bool_]) -> GroupScore:
    errors, hits = positions.error_m[which], positions.square[which] <= CHI2_90_2DOF
    return GroupScore(
        len(errors), _percentile(errors, 50), _percentile(errors, 90), round(float(hits.mean()), 3) if len(hits) else None
    )


# -------------------------------------------------------------------------------------------------------- the crossings


def find_crossings(courses: list[Course], sector: Sector, sensors: Sensors, sight: Sight) -> list[Crossing]:
    """Every crossing of the truth, in order of time."""
    carriers = {(c.run, c.actor): c.kind for c in courses}
    inside: dict[tuple[tuple[int, int], str], list[tuple[int, Course, int]]] = defaultdict(list)
    for course in courses:
        if course.role is Role.CROSSER and course.kind is Kind.PERSON:
            for i, at_ns in enumerate(course.at_ns.tolist()):
                for corridor in sector.corridors.containing(course.place_m[i, :2]):
                    inside[who_crosses(course), corridor].append((at_ns, course, i))
    found = []
    for (who, corridor), samples in inside.items():
        samples.sort(key=lambda s: s[0])
        visit: list[tuple[int, Course, int]] = []
        for sample in samples:
            if visit and sample[0] - visit[-1][0] > CROSSING_OVER_NS:
                found.append(_crossing(who, corridor, visit, sensors, sight, carriers))
                visit = []
            visit.append(sample)
        found.append(_crossing(who, corridor, visit, sensors, sight, carriers))
    return sorted(found, key=lambda c: (c.first_ns, c.who, c.corridor))


def _crossing(
    who: tuple[int, int], corridor: str, visit: list[tuple[int, Course, int]], sensors: Sensors, sight: Sight,
    carriers: dict[tuple[int, int], Kind],
) -> Crossing:
    seen = [
        at_ns for at_ns, course, i in visit
        if carriers.get((course.run, int(course.aboard[i])), Kind.BOAT) in OPEN_VEHICLES
        and _in_sight(course, i, at_ns, sensors.at(at_ns), sight)
    ]
    # Members are written down at the same instants: in sight for so long means at so many different ones.
    instants = sorted(set(seen))
    steps = np.diff(np.unique(visit[0][1].at_ns))
    usual_ns = int(np.median(steps)) if len(steps) else NS_PER_S
    in_sight_ns = len(instants) * usual_ns
    is_seen = in_sight_ns >= SEEN_FOR_NS
    blind = not instants and any(
        _in_sight(course, i, at_ns, [r for r in sensors.standing(at_ns) if not r.sees], sight) for at_ns, course, i in visit
    )
    return Crossing(
        who, corridor, visit[0][0], visit[-1][0], instants[0] if is_seen else None, round(in_sight_ns / NS_PER_S, 3), blind
    )


def _in_sight(course: Course, i: int, at_ns: int, reports: list[Report], sight: Sight) -> bool:
    body = middle_of(course.place_m[i], POSTURES[course.posture[i]])
    return any(
        shapely.contains_xy(report.footprint, *course.place_m[i, :2]) and sight.is_clear(report.lens_m, body)
        for report in reports
    )


def who_crosses(course: Course) -> tuple[int, int]:
    """Who crosses together: (0, party), or (run, actor) of one alone."""
    return (0, course.party) if course.party else (course.run, course.actor)


# ----------------------------------------------------------------------------------------------------------- the alarms


def read_alarms(mind: sqlite3.Connection) -> list[StationAlarm]:
    """All alarms about contacts, in order: a contact is one alarm, whichever of its rules leads."""
    found = []
    for alarm_id, rule, state in mind.execute("SELECT id, rule, state FROM alarms ORDER BY id"):
        if rule not in CONTACT_RULES:
            continue
        alarm = msgspec.msgpack.decode(state, type=Alarm)
        events = mind.execute(
            "SELECT at_ns, reason FROM alarm_events WHERE alarm = ? ORDER BY number", (alarm_id,)
        ).fetchall()
        raised_ns = int(events[0][0]) if events else alarm.raised_ns
        joined = {reason.removeprefix(f"{JOINED} "): int(at) for at, reason in events if reason.startswith(f"{JOINED} ")}
        contacts = tuple((c, joined.get(c, raised_ns)) for c in alarm.contact_ids)
        found.append(StationAlarm(alarm_id, alarm.corridor or "", contacts))
    return found


def contact_owners(mind: sqlite3.Connection, courses: list[Course], sector: Sector) -> dict[str, Course | None]:
    """Which actor each contact really was; None where nobody detectable was near most of its trail."""
    groups = {i: group_of(ObjectClass(c)) for i, c in mind.execute("SELECT id, object_class FROM contacts")}
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    trail = mind.execute("SELECT contact, at_ns, lat_deg, lon_deg FROM trail ORDER BY contact, at_ns").fetchall()
    places = sector.frame.to_enu([row[2] for row in trail], [row[3] for row in trail])
    for (contact, at_ns, _, _), place in zip(trail, places, strict=True):
        there = detectable_at(courses, groups.get(contact, ""), int(at_ns))
        distances = [float(np.hypot(*(at[:2] - place))) for _, at in there]
        nearest = int(np.argmin(distances)) if distances else -1
        votes[contact][there[nearest][0] if nearest >= 0 and distances[nearest] <= GATE_M else -1] += 1
    # The counter keeps insertion order, and equal counts fall to an actor rather than to nobody.
    winners = {c: max(v, key=lambda k: (v[k], k >= 0)) for c, v in votes.items()}
    return {contact: courses[i] if i >= 0 else None for contact, i in winners.items()}


def alarm_time_ns(crossing: Crossing, alarms: list[StationAlarm], owners: dict[str, Course | None]) -> int | None:
    """When the first alarm stood for somebody of a crossing; None when none did while it went on."""
    times = [
        at_ns
        for alarm in alarms if alarm.corridor in (crossing.corridor, "")
        for contact, at_ns in alarm.contacts
        if (owner := owners.get(contact)) is not None and who_crosses(owner) == crossing.who
        and crossing.first_ns - 5 * NS_PER_S <= at_ns <= crossing.last_ns + 60 * NS_PER_S
    ]
    return min(times, default=None)


def _judge(alarm: StationAlarm, owners: dict[str, Course | None]) -> str:
    who = [owners.get(contact) for contact, _ in alarm.contacts]
    if all(course is None for course in who):
        return "false"
    meant = any(course is not None and course.role in (Role.CROSSER, Role.SUBJECT) for course in who)
    return "right" if meant else "nuisance"


# -------------------------------------------------------------------------------------------------------- the positions


def match_positions(inbox: sqlite3.Connection, courses: list[Course], sector: Sector) -> Positions:
    """Every confirmed detection with a place against the truth of its instant."""
    frames: dict[tuple[str, int], list[tuple[str, Array, Array]]] = defaultdict(list)
    rows = inbox.execute(
        "SELECT d.sensor, d.captured_ns, d.object_class, d.lat_deg, d.lon_deg, d.ee_m2, d.en_m2, d.nn_m2 FROM detections d "
        "WHERE d.confirmed = 1 AND d.lat_deg IS NOT NULL ORDER BY d.arrival, d.idx"
    ).fetchall()
    places = sector.frame.to_enu([r[3] for r in rows], [r[4] for r in rows])
    for (sensor, at_ns, object_class, _, _, ee, en, nn), place in zip(rows, places, strict=True):
        frames[sensor, int(at_ns)].append((group_of(ObjectClass(object_class)), place, np.array([[ee, en], [en, nn]])))
    errors: list[float] = []
    squares: list[float] = []
    alone: list[bool] = []
    of: list[str] = []
    doubled = nobody = 0
    for (_, at_ns), seen in frames.items():
        for group in {g for g, _, _ in seen}:
            placed = [(p, c) for g, p, c in seen if g == group]
            there = [at[:2] for _, at in detectable_at(courses, group, at_ns)]
            matched = assign([p for p, _ in placed], there)
            taken = {i for i, _ in matched}
            for i, (place, _) in enumerate(placed):
                if i not in taken:
                    is_double = any(np.hypot(*(place - there[j])) <= GATE_M for _, j in matched)
                    doubled, nobody = doubled + is_double, nobody + (not is_double)
            for i, j in matched:
                of.append(group)
                d = placed[i][0] - there[j]
                errors.append(float(np.hypot(*d)))
                squares.append(float(d @ np.linalg.solve(placed[i][1], d)))
                alone.append(all(np.hypot(*(there[j] - o)) > ALONE_M for k, o in enumerate(there) if k != j))
    return Positions(np.array(errors), np.array(squares), np.array(alone, bool), np.array(of, str), doubled, nobody)


def assign(placed: list[Array], there: list[Array]) -> list[tuple[int, int]]:
    """One to one, with the most pairs within GATE_M and then the least sum of distances; (index, index) of each pair."""
    if not placed or not there:
        return []
    distance = np.hypot(*(np.stack(placed)[:, None] - np.stack(there)[None]).transpose(2, 0, 1))
    # Beyond the gate costs more than any number of pairs within it, so that no such pair is ever given up for one without.
    cost = np.where(distance <= GATE_M, distance, GATE_M * (len(placed) + len(there) + 1))
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(cost), strict=True) if distance[i, j] <= GATE_M]


def detectable_at(courses: list[Course], group: str, at_ns: int) -> list[tuple[int, Array]]:
    """Index and place of everybody of a group who could be seen for what he is at a time; who sits inside a car cannot."""
    found = []
    for index, course in enumerate(courses):
        detected_as = DETECTED_AS[course.kind]
        if detected_as is None or group_of(detected_as) != group or not course.at_ns[0] <= at_ns <= course.at_ns[-1]:
            continue
        place = course.at(at_ns)
        if place is not None:
            found.append((index, place))
    return found


def _percentile(values: Array, q: float) -> float | None:
    return round(float(np.percentile(values, q)), 2) if len(values) else None


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)
