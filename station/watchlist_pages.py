"""What the watchlist's page shows: a lane's records, and one record with its reports and its traces. Every look is recorded.

A lane is never shown to who has no access to it: records of another lane are not in the list, and do not open.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from station.matching_plates import clean_plate
from station.record_read import Trace, traces_of_subject
from station.sentences import Sentence
from station.settings import StationSettings
from station.subjects import Category, Lane, Report, Subject
from station.watchlist import Office, WatchlistError, office
from wire.clock import NS_PER_S, Clock

SOON_NS = 14 * 86_400 * NS_PER_S    # an end that is nearer wants somebody's decision
LOOKED_AT_MOST = 5_000              # records for one page: opening one takes some 15 us; what is left is asked for again
FROM_THE_NEWEST = 2**62
TRACES = 100
FIND_MOST = 100


class Shown(StrEnum):
    """Which records of a lane."""

    ALL = "all"
    WAITING = "waiting"             # for a second person: a nomination, or an extension
    IN_FORCE = "in_force"
    SOON = "soon"                   # in force, and over within SOON_NS
    OVER = "over"


class RowState(StrEnum):
    WAITING = "waiting"
    IN_FORCE = "in_force"
    OVER = "over"


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """find: in labels, plates and ids. before: `next` of the page before; 0: from the newest."""

    lane: Lane = Lane.ENFORCEMENT
    shown: Shown = Shown.ALL
    find: Annotated[str, msgspec.Meta(max_length=FIND_MOST)] = ""
    before: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ListedSubject(msgspec.Struct, frozen=True):
    """A record as it stands in the list. soon: its end is near. extension: that it lasts longer waits for somebody."""

    id: str
    category: Category
    label: str
    plates: tuple[str, ...]
    state: RowState
    expires_ns: int
    soon: bool
    extension: bool
    nominated_by: str
    nominated_ns: int
    approved_by: str | None
    approved_ns: int | None


class Listing(msgspec.Struct, frozen=True):
    """next: more may be there, ask for what is before it; None: this was all. waiting: by lane, among the newest records;
    only lanes that one may read. unopened: records that do not open with the station's key.
    """

    rows: tuple[ListedSubject, ...]
    next: int | None
    waiting: dict[Lane, int]
    unopened: int


class OpenedRecord(msgspec.Struct, frozen=True):
    """A record, with the look at it as the newest of its traces. may_approve: a nomination of somebody else waits;
    may_agree: somebody else's wish that it last longer does.
    """

    subject: Subject
    lane: Lane
    state: RowState
    soon: bool
    reports: tuple[Report, ...]
    traces: tuple[Trace, ...]
    may_approve: bool
    may_agree: bool


class LaneError(WatchlistError):
    """The record is of a lane that this person has no access to."""


def state_of(subject: Subject, now_ns: int) -> RowState:
    if now_ns >= subject.expires_ns:
        return RowState.OVER
    return RowState.IN_FORCE if subject.matches_at(now_ns) else RowState.WAITING


def list_lane(
    settings: StationSettings, person: str, query: ListQuery, lanes: frozenset[Lane], clock: Clock
) -> Listing:
    """lanes: which this person may read. Raises LaneError for another one."""
    if query.lane not in lanes:
        raise _no_access()
    with office(settings, person, clock) as desk:
        rows, following, unopened = _rows(desk, query)
        waiting = _waiting(desk, lanes) if not query.before else {}
        desk.note(
            "listed", lane=query.lane.value, shown=query.shown.value, subjects=len(rows),
            searched=int(bool(query.find.strip())),
        )
    return Listing(tuple(rows), following or None, waiting, unopened)


def _rows(desk: Office, query: ListQuery) -> tuple[list[ListedSubject], int, int]:
    now_ns = desk.clock.utc_ns()
    rows: list[ListedSubject] = []
    before, looked, unopened = query.before or FROM_THE_NEWEST, 0, 0
    while looked < LOOKED_AT_MOST:
        subjects, strange, following = desk.list.newest(before, 200)
        looked, unopened = looked + 200, unopened + strange
        for subject in subjects:
            if _is_shown(subject, query, now_ns):
                rows.append(_row(subject, now_ns))
                if len(rows) == query.limit:
                    return rows, int(subject.id[2:]), unopened
        if not following:
            return rows, 0, unopened
        before = following
    return rows, before, unopened


def _is_shown(subject: Subject, query: ListQuery, now_ns: int) -> bool:
    if subject.lane is not query.lane or not _is_found(subject, query.find.strip()):
        return False
    state = state_of(subject, now_ns)
    match query.shown:
        case Shown.WAITING:
            return state is RowState.WAITING or (state is RowState.IN_FORCE and subject.extension is not None)
        case Shown.SOON:
            return state is RowState.IN_FORCE and _ends_soon(subject, now_ns)
        case Shown.IN_FORCE | Shown.OVER:
            return state.value == query.shown.value
        case Shown.ALL:
            return True


def _is_found(subject: Subject, find: str) -> bool:
    if not find:
        return True
    plate = clean_plate(find)
    return (
        find.casefold() in subject.label.casefold() or find.upper() in subject.id
        or (len(plate) >= 3 and any(plate in clean_plate(p) for p in subject.all_plates))
    )


def _ends_soon(subject: Subject, now_ns: int) -> bool:
    return now_ns < subject.expires_ns <= now_ns + SOON_NS


def _row(s: Subject, now_ns: int) -> ListedSubject:
    state = state_of(s, now_ns)
    return ListedSubject(
        s.id, s.category, s.label, s.all_plates, state, s.expires_ns, _ends_soon(s, now_ns),
        s.extension is not None and state is RowState.IN_FORCE, s.nominated_by, s.nominated_ns, s.approved_by, s.approved_ns,
    )


def _waiting(desk: Office, lanes: frozenset[Lane]) -> dict[Lane, int]:
    now_ns = desk.clock.utc_ns()
    subjects, _, _ = desk.list.newest(FROM_THE_NEWEST, LOOKED_AT_MOST)
    counts = {lane: 0 for lane in Lane if lane in lanes}
    for subject in subjects:
        state = state_of(subject, now_ns)
        if subject.lane in counts and (state is RowState.WAITING or (state is RowState.IN_FORCE and subject.extension)):
            counts[subject.lane] += 1
    return counts


def open_record(
    settings: StationSettings, person: str, subject: str, lanes: frozenset[Lane], may_change: bool, clock: Clock
) -> OpenedRecord:
    """The look is on the record before anything is returned. Raises LaneError, and WatchlistError when there is none."""
    with office(settings, person, clock) as desk:
        found = desk.list.subject(subject)
        if found.lane not in lanes:
            raise _no_access()
        desk.note("looked", subject=subject, why="page")
        reports = tuple(r for _, r in desk.list.reports() if r.subject == subject)
        now_ns = desk.clock.utc_ns()
    state = state_of(found, now_ns)
    return OpenedRecord(
        found, found.lane, state, _ends_soon(found, now_ns), reports[::-1],
        tuple(traces_of_subject(settings, subject, TRACES)),
        may_approve=may_change and state is RowState.WAITING and found.nominated_by != person and found.approved_by is None,
        may_agree=may_change and state is RowState.IN_FORCE and found.extension is not None
        and found.extension.asked_by != person,
    )


def _no_access() -> LaneError:
    return LaneError("This lane is for operators and supervisors alone.", Sentence("refused.role"))
