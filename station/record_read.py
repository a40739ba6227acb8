"""The record, read for a screen: its newest entries, and what became of one subject. The caller checks who may read."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from station.record import RECORD
from station.settings import StationSettings
from station.store import open_reader
from station.watchlist_file import subject_number

# Actions that have words in the language files, under "trace."; others are shown as they stand in the record.
ACTIONS = (
    "watchlist.nominated", "watchlist.approved", "watchlist.looked", "watchlist.listed", "watchlist.exported",
    "watchlist.imported", "watchlist.import_previewed", "watchlist.expired", "watchlist.extension_asked",
    "watchlist.extended", "watchlist.deleted", "watchlist.reported", "match.asked", "match.confirmed", "match.rejected",
    "match.merged",
    "alarm.acknowledged", "alarm.escalated", "alarm.shelved", "alarm.closed", "people.added", "people.password",
    "people.disabled", "people.enabled", "people.role", "node.added", "node.revoked", "token.made", "token.revoked",
    "store.backed_up", "store.restored", "retention.erased", "retention.date_confirmed",
    "record.read", "record.verified", "replay.opened",
    "history.searched", "export.made", "order.given", "fleet.ordered", "handover.opened", "handover.signed", "team.sent",
    "layer.added", "layer.removed", "exercise.taken", "coverage.walked", "coverage.weather", "team.arrived", "team.done",
    "team.recalled", "incident.opened", "incident.alarm", "incident.note", "incident.closed", "shift.note",
    "contact.merge", "contact.split", "contact.patrol", "notice.settled", "notice.told", "notice.given_up", "notice.test",
    "watchlist.weights_proposed", "watchlist.weights_accepted", "watchlist.weights_taken_back",
)


_Row = tuple[int, int, str, str, str]


class Trace(msgspec.Struct, frozen=True):
    """An entry of the record. details: ids, numbers and the reason that a person gave."""

    number: int
    at_ns: int
    person: str
    action: str
    details: dict[str, str | float | int]


def newest_entries(settings: StationSettings, before: int | None, at_most: int) -> list[Trace]:
    """The newest first, below the number `before`. Raises StoreError."""
    with _reader(settings) as db:
        rows = db.execute(
            "SELECT number, at_ns, person, action, details FROM entries WHERE number < ? ORDER BY number DESC LIMIT ?",
            (2**62 if before is None else before, at_most),
        ).fetchall() if db else []
    return [_trace(row) for row in rows]


def traces_of_subject(settings: StationSettings, subject: str, at_most: int) -> list[Trace]:
    """Who nominated, approved, looked at, reported and ended it, and what was asked about it; the newest first."""
    with _reader(settings) as db:
        rows: Iterable[_Row] = db.execute(
            "SELECT number, at_ns, person, action, details FROM entries WHERE (action GLOB 'watchlist.*' OR action GLOB "
            "'match.*') AND (action = 'watchlist.imported' OR instr(details, ?)) ORDER BY number DESC",
            (subject,),
        ) if db else ()
        found: list[Trace] = []
        for row in rows:
            trace = _trace(row)
            if _is_about(trace, subject):
                found.append(trace)
                if len(found) == at_most:
                    break
    return found


def _is_about(trace: Trace, subject: str) -> bool:
    if trace.action == "watchlist.imported":
        first, last, number = (subject_number(str(n)) for n in (trace.details["first"], trace.details["last"], subject))
        return first is not None and last is not None and number is not None and first <= number <= last
    named = re.compile(rf"\b{re.escape(subject)}\b")
    return any(named.search(str(trace.details.get(key, ""))) for key in ("subject", "ids"))


def _trace(row: _Row) -> Trace:
    return Trace(*row[:4], msgspec.json.decode(row[4], type=dict[str, str | float | int]))


@contextlib.contextmanager
def _reader(settings: StationSettings) -> Iterator[sqlite3.Connection | None]:
    """None while there is no record yet."""
    try:
        db = open_reader(settings.record_db, RECORD, settings.realm)
    except FileNotFoundError:
        yield None
        return
    try:
        yield db
    finally:
        db.close()
