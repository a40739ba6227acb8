"""Why a crossing raised no alarm: how far what was seen of it came on its way to a person's screen.

The reasons stand in the order of the way of the data, and a crossing is missed for the first stage that nothing of it got
past. A detection is a crossing's own when it lies in the direction of one of its people, and of nobody else: places are
what is asked about, so they cannot decide, and of two who pass one another nobody knows whose it was. Single finds never
leave a node (edge.tracker), so "not found" means that no two pictures in a row of its track showed anybody.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from geofences.sector import Sector
from sim.truth import GATE_M, Crossing, StationAlarm, detectable_at, who_crosses
from sim.truth_log import Course
from sim.truth_sight import Sensors
from station.contacts import group_of
from wire.units import ObjectClass

SHORT_VIEW_S = 5.0              # a walker's seven metres; three hits in a row need a second of it at three pictures a second
ASIDE_M = 2.0                   # from a body's middle to where its foot is taken to be, across the line of sight
ASIDE_DEG = 1.0                 # of a survey: three sigmas
LATE_NS = 60_000_000_000        # as sim.truth has it: so long after the last of them an alarm is still theirs


class Missed(StrEnum):
    """In the order of the way of the data."""

    UNCOVERED = "uncovered"             # no camera's ground, or always behind something
    BLIND = "blind"                     # a camera looks there, and said that it does not see
    GLIMPSE = "glimpse"                 # in sight for less than counts as seen
    SHORT_VIEW = "short_view"           # in sight for less than SHORT_VIEW_S, and not confirmed
    NOT_FOUND = "not_found"             # the detector found nobody, twice in a row
    NOT_CONFIRMED = "not_confirmed"     # found, and too seldom or with too low a score to be believed
    BEARING_ONLY = "bearing_only"       # believed, and nowhere certain enough for a place
    MISPLACED = "misplaced"             # placed, more than GATE_M from all of them
    OUTSIDE = "outside"                 # placed rightly, and judged to be outside the corridor
    NO_CONTACT = "no_contact"           # told to the station, which made no contact of it
    NO_RULE = "no_rule"                 # a contact about which no rule raised an alarm: hours, class, direction
    SHARED = "shared"                   # an alarm stands for a contact that was somebody else most of its time
    ELSEWHERE = "elsewhere"             # an alarm of another corridor
    LATE = "late"                       # an alarm when it was over


class Miss(msgspec.Struct, frozen=True):
    """found, confirmed, placed, inside: detections of its people that came so far. in_sight_s: seconds, over all."""

    because: Missed
    in_sight_s: float
    found: int = 0
    confirmed: int = 0
    placed: int = 0
    inside: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The n detections that a station was told, by time. place_m: (n, 2), NaN where there was only a bearing."""

    sensor: tuple[str, ...]
    at_ns: npt.NDArray[np.int64]
    group: tuple[str, ...]
    confirmed: npt.NDArray[np.bool_]
    place_m: Array
    bearing_deg: Array
    sigma_deg: Array
    corridors: tuple[str, ...]


NOTHING_TOLD = Told(
    (), np.empty(0, np.int64), (), np.empty(0, bool), np.empty((0, 2)), np.empty(0), np.empty(0), (),
)


def read_told(inbox: sqlite3.Connection, sector: Sector) -> Told:
    """All of a station's inbox."""
    rows = inbox.execute(
        "SELECT sensor, captured_ns, object_class, confirmed, lat_deg, lon_deg, bearing_deg, sigma_deg, corridors "
        "FROM detections ORDER BY captured_ns, arrival, idx"
    ).fetchall()
    if not rows:
        return NOTHING_TOLD
    sensor, at_ns, object_class, confirmed, lat, lon, bearing, sigma, corridors = zip(*rows, strict=True)
    place = np.full((len(rows), 2), np.nan)
    has = np.array([v is not None for v in lat], bool)
    if has.any():
        place[has] = sector.frame.to_enu([v for v in lat if v is not None], [v for v in lon if v is not None])
    return Told(
        sensor, np.array(at_ns, np.int64), tuple(group_of(ObjectClass(c)) for c in object_class), np.array(confirmed, bool),
        place, np.array([math.nan if v is None else v for v in bearing], float),
        np.array([0.0 if v is None else v for v in sigma], float), tuple(c or "" for c in corridors),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """What the station made of it. trails: of each contact, (at_ns, east, north) in metres. owners: as in sim.truth."""

    told: Told
    trails: dict[str, list[tuple[int, float, float]]]
    alarms: Sequence[StationAlarm]
    owners: dict[str, Course | None]


def why_missed(c: Crossing, courses: list[Course], sensors: Sensors, traces: Traces) -> Miss:
    """Of a crossing that is known to be without an alarm, or to have never been in sight."""
    if c.in_sight_ns is None:
        if c.in_sight_s > 0:
            return Miss(Missed.GLIMPSE, c.in_sight_s)
        return Miss(Missed.BLIND if c.behind_blind else Missed.UNCOVERED, 0.0)
    mine = _own_detections(c, courses, sensors, traces.told)
    told = traces.told
    confirmed = [(k, place) for k, place in mine if told.confirmed[k]]
    placed = [(k, place) for k, place in confirmed if not math.isnan(told.place_m[k, 0])]
    right = [k for k, place in placed if float(np.hypot(*(told.place_m[k] - place))) <= GATE_M]
    inside = [k for k in right if c.corridor in told.corridors[k]]
    miss = Miss(Missed.NOT_FOUND, c.in_sight_s, len(mine), len(confirmed), len(placed), len(inside))
    return msgspec.structs.replace(miss, because=_stage(c, miss, len(right), courses, traces))


def _stage(c: Crossing, m: Miss, right: int, courses: list[Course], traces: Traces) -> Missed:
    if not m.confirmed and m.in_sight_s < SHORT_VIEW_S:
        return Missed.SHORT_VIEW
    for count, stage in (
        (m.found, Missed.NOT_FOUND), (m.confirmed, Missed.NOT_CONFIRMED), (m.placed, Missed.BEARING_ONLY),
        (right, Missed.MISPLACED), (m.inside, Missed.OUTSIDE),
    ):
        if not count:
            return stage
    return _at_the_station(c, courses, traces)


def _at_the_station(c: Crossing, courses: list[Course], traces: Traces) -> Missed:
    standing: dict[str, list[tuple[int, str]]] = {}
    for alarm in traces.alarms:
        for contact, at_ns in alarm.contacts:
            standing.setdefault(contact, []).append((at_ns, alarm.corridor))
    theirs = [i for i, o in traces.owners.items() if o is not None and who_crosses(o) == c.who and _meets(traces, i, c)]
    for contact in theirs:
        for at_ns, corridor in standing.get(contact, []):
            if corridor in (c.corridor, ""):
                return Missed.LATE
            if c.first_ns <= at_ns <= c.last_ns + LATE_NS:
                return Missed.ELSEWHERE
    if theirs:
        return Missed.NO_RULE
    members = [x for x in courses if who_crosses(x) == c.who]
    beside = [i for i in traces.trails if _meets(traces, i, c) and _was_beside(traces.trails[i], members)]
    if any(i in standing for i in beside):
        return Missed.SHARED
    return Missed.NO_RULE if beside else Missed.NO_CONTACT


def _meets(traces: Traces, contact: str, c: Crossing) -> bool:
    return any(c.first_ns <= at_ns <= c.last_ns for at_ns, _, _ in traces.trails.get(contact, []))


def _was_beside(trail: list[tuple[int, float, float]], members: list[Course]) -> bool:
    return any(
        float(np.hypot(east - p[0], north - p[1])) <= GATE_M
        for at_ns, east, north in trail for m in members if (p := m.at(at_ns)) is not None
    )


def _own_detections(c: Crossing, courses: list[Course], sensors: Sensors, told: Told) -> list[tuple[int, Array]]:
    """Index of each detection in the direction of one of its people, and where that one was (2,)."""
    first, last = np.searchsorted(told.at_ns, [c.first_ns, c.last_ns + 1])
    found = []
    for k in range(int(first), int(last)):
        at_ns = int(told.at_ns[k])
        lens = next((r.lens_m[:2] for r in sensors.standing(at_ns) if r.sensor == told.sensor[k]), None)
        if lens is None:
            continue
        toward = told.bearing_deg[k] if math.isnan(told.place_m[k, 0]) else _azimuth(told.place_m[k] - lens)
        candidates = [(i, place[:2]) for i, place in detectable_at(courses, told.group[k], at_ns)]
        if not candidates:
            continue
        aside = [abs((_azimuth(place - lens) - toward + 180.0) % 360.0 - 180.0) for _, place in candidates]
        slack = ASIDE_DEG + 2.0 * float(told.sigma_deg[k])
        near = [
            (who_crosses(courses[i]) == c.who, a, place) for (i, place), a in zip(candidates, aside, strict=True)
            if a <= slack + math.degrees(math.atan2(ASIDE_M, max(float(np.hypot(*(place - lens))), 1.0)))
        ]
        if near and all(mine for mine, _, _ in near):
            found.append((k, min(near, key=lambda n: n[1])[2]))
    return found


def _azimuth(way: Array) -> float:
    return math.degrees(math.atan2(float(way[0]), float(way[1])))
