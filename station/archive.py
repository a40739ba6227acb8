"""What is stored, open for reading, for one question: web server and command line look into other processes' files."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from geofences.sector import Sector
from station.export_kinds import ExportFormat, ExportKind
from station.exports import Thing, alarm_things, contact_things, detection_things, write_export
from station.lanes import EVERY_LANE, redact_alarm
from station.picture import AlarmView, MatchView
from station.queries import (
    AlarmQuery,
    ContactHistory,
    ContactQuery,
    ContactRow,
    DetectionQuery,
    DetectionRow,
    MatchQuery,
    Page,
    all_pages,
    find_alarms,
    find_contacts,
    find_detections,
    find_matches,
    read_contact,
)
from station.record import Record
from station.settings import StationSettings
from station.store import INBOX, MIND, open_reader
from station.subjects import Lane
from wire.clock import Clock
from wire.units import Realm

Q = TypeVar("Q", bound=msgspec.Struct)

EXPORT_LIMIT = 50_000               # rows of one file; contacts bring their trails along


@dataclass(frozen=True, slots=True)
class Export:
    """rows: how many things are in it. is_whole: False where EXPORT_LIMIT cut it short."""

    content: bytes
    rows: int
    is_whole: bool


class Archive:
    """Each question opens the files it needs and closes them. Raises QueryError, StoreError, or sqlite3.Error."""

    def __init__(self, settings: StationSettings, sector: Sector, clock: Clock) -> None:
        self._settings = settings
        self._sector = sector
        self._clock = clock
        self._simulated = settings.realm is Realm.TRAINING

    @contextlib.contextmanager
    def _mind(self) -> Iterator[sqlite3.Connection | None]:
        """None before there is a mind's file."""
        try:
            db = open_reader(self._settings.mind_db, MIND, self._settings.realm)
        except FileNotFoundError:
            yield None
            return
        with contextlib.closing(db):
            yield db

    def contacts(self, q: ContactQuery) -> Page[ContactRow]:
        with self._mind() as mind:
            return find_contacts(mind, self._sector, q) if mind else Page((), None)

    def contact(self, contact: str, since_ns: int) -> ContactHistory | None:
        with self._mind() as mind:
            return read_contact(mind, contact, since_ns) if mind else None

    def detections(self, q: DetectionQuery) -> Page[DetectionRow]:
        try:
            inbox = open_reader(self._settings.inbox_db, INBOX, self._settings.realm)
        except FileNotFoundError:
            return Page((), None)
        with contextlib.closing(inbox), self._mind() as mind:
            return find_detections(inbox, mind, self._sector, q, self._simulated)

    def alarms(self, q: AlarmQuery, lanes: frozenset[Lane] = EVERY_LANE) -> Page[AlarmView]:
        """Alarms that match the query. Matches of other lanes are removed from them."""
        with self._mind() as mind:
            found = find_alarms(mind, self._sector, q) if mind else Page[AlarmView]((), None)
        return Page(tuple(redact_alarm(lanes, a) for a in found.rows), found.next)

    def matches(self, q: MatchQuery, lanes: frozenset[Lane] = EVERY_LANE) -> Page[MatchView]:
        with self._mind() as mind:
            return find_matches(mind, q, lanes) if mind else Page((), None)

    # ------------------------------------------------------------------------------------------------------ on the record

    def note_search(self, person: str, what: str, query: msgspec.Struct) -> None:
        """On the record before the answer is given: who searched for what. Pages after the first are the same search."""
        if not getattr(query, "after", ""):
            self._append(person, "history.searched", {"what": what, "query": _told(query)})

    def export(
        self, person: str, kind: ExportKind, form: ExportFormat, query: ContactQuery | DetectionQuery | AlarmQuery,
        lanes: frozenset[Lane] = EVERY_LANE,
    ) -> Export:
        """A whole file; that it left, with what filter and how many rows, is on the record before this returns."""
        things = list(self._things(kind, query, lanes))
        kept = things[:EXPORT_LIMIT]
        title = f"Trailwatch {self._settings.realm.value} {kind.value}"
        content = write_export(kept, form, title, self._clock.utc_ns())
        is_whole = len(things) <= EXPORT_LIMIT
        self._append(person, "export.made", {
            "what": kind.value, "format": form.value, "query": _told(query), "rows": len(kept), "whole": int(is_whole),
            "bytes": len(content),
        })
        return Export(content, len(kept), is_whole)

    def _things(
        self, kind: ExportKind, query: ContactQuery | DetectionQuery | AlarmQuery, lanes: frozenset[Lane]
    ) -> Iterator[Thing]:
        most = EXPORT_LIMIT + 1
        match query:
            case ContactQuery():
                rows = all_pages(lambda after: self.contacts(_page_of(query, after)), most)
                return contact_things(self._histories(rows))
            case DetectionQuery():
                return detection_things(all_pages(lambda after: self.detections(_page_of(query, after)), most))
            case AlarmQuery():
                return alarm_things(all_pages(lambda after: self.alarms(_page_of(query, after), lanes), most))

    def _histories(self, rows: Iterator[ContactRow]) -> Iterator[ContactHistory]:
        with self._mind() as mind:
            for row in rows:
                history = read_contact(mind, row.id) if mind else None
                if history is not None:
                    yield history

    def _append(self, person: str, action: str, details: dict[str, str | int | float]) -> None:
        record = Record(self._settings, self._clock)
        try:
            record.append(person, action, details)
        finally:
            record.close()


QUERY_OF: dict[ExportKind, type[ContactQuery] | type[DetectionQuery] | type[AlarmQuery]] = {
    ExportKind.CONTACTS: ContactQuery, ExportKind.DETECTIONS: DetectionQuery, ExportKind.ALARMS: AlarmQuery,
}

def _page_of(query: Q, after: str) -> Q:
    return msgspec.structs.replace(query, after=after, limit=1000)


def _told(query: msgspec.Struct) -> str:
    """A query as the record tells it: what was asked, without what was left at its default."""
    given = {
        f.name: getattr(query, f.name) for f in msgspec.structs.fields(query)
        if f.name not in ("after", "limit") and getattr(query, f.name) != f.default
    }
    return msgspec.json.encode(given).decode("utf-8")
