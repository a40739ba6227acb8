"""What was: contacts, detections, alarms and matches of the past, in pages; and files of them. Both are on the record."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from geofences.sector import load_sector
from station.access import Role, Session
from station.archive import QUERY_OF, Archive
from station.export_kinds import ExportFormat, ExportKind
from station.exports import MEDIA
from station.guard import RefusedRequest, answer_json
from station.lanes import lanes_of
from station.picture import AlarmView, MatchView, Sentence
from station.queries import (
    EVER_NS,
    AlarmQuery,
    ContactHistory,
    ContactQuery,
    ContactRow,
    DetectionQuery,
    DetectionRow,
    MatchQuery,
    Page,
)
from station.queries_area import QueryError
from station.store import StoreError
from station.web_api import ApiRoute, Handler, Who, read_query
from station.web_door import Door

SEARCHERS = 2                   # searches at the same moment; more wait, and the feed goes on
EXPORTERS = 1
WHO_EXPORTS = frozenset({Role.SUPERVISOR, Role.AUDITOR, Role.ADMINISTRATOR})

log = logging.getLogger("trailwatch.web")
T = TypeVar("T")


class TrailQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since_ns: Annotated[int, msgspec.Meta(ge=0, le=EVER_NS)] = 0


class HistoryRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._archive = Archive(door.settings, load_sector(door.settings.sector), door.clock)
        self._searchers = anyio.CapacityLimiter(SEARCHERS)
        self._exporters = anyio.CapacityLimiter(EXPORTERS)

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/history/contacts", self.contacts, "Contacts of the past; the search is recorded.",
                     query=ContactQuery, answer=Page[ContactRow]),
            ApiRoute("/api/history/contacts/{id}", self.contact, "A contact with its trail; the look is recorded.",
                     query=TrailQuery, answer=ContactHistory),
            ApiRoute("/api/history/detections", self.detections, "Detections of the past; the search is recorded.",
                     query=DetectionQuery, answer=Page[DetectionRow]),
            ApiRoute("/api/history/alarms", self.alarms, "Alarms, open and closed, with all that became of them.",
                     query=AlarmQuery, answer=Page[AlarmView]),
            ApiRoute("/api/history/matches", self.matches, "Questions about watchlist subjects; the search is recorded.",
                     query=MatchQuery, answer=Page[MatchView]),
            *(
                ApiRoute(
                    f"/api/export/{kind.value}.{form.value}", self._exporting(kind, form),
                    f"All {kind.value} of a search as {form.name}; recorded. X-Trailwatch-Rows, -Whole: how many, and all?",
                    who=Who.READERS_OF_RECORD, query=QUERY_OF[kind], media=MEDIA[form].partition(";")[0],
                )
                for kind in ExportKind for form in ExportFormat
            ),
        ]

    async def _ask(self, question: Callable[[], T], limiter: anyio.CapacityLimiter) -> T:
        """The answer of a question to the files, from a thread. Raises RefusedRequest."""
        try:
            return await anyio.to_thread.run_sync(question, limiter=limiter)
        except QueryError as error:
            raise RefusedRequest(400, error.says) from None
        except (StoreError, sqlite3.Error) as error:
            log.error("a question to the store failed: %s", error)
            raise RefusedRequest(503, Sentence("refused.store", {"error": str(error)})) from None

    async def _search(
        self, session: Session, request: Request, kind: type[msgspec.Struct], find: Callable[..., object]
    ) -> Response:
        query = read_query(request, kind)

        def question() -> object:
            self._archive.note_search(session.person.name, request.url.path.rpartition("/")[2], query)
            return find(query)

        return answer_json(await self._ask(question, self._searchers))

    async def contacts(self, request: Request) -> Response:
        return await self._search(await self._door.known(request), request, ContactQuery, self._archive.contacts)

    async def detections(self, request: Request) -> Response:
        return await self._search(await self._door.known(request), request, DetectionQuery, self._archive.detections)

    async def alarms(self, request: Request) -> Response:
        session = await self._door.known(request)
        lanes = lanes_of(session.person.role)
        return await self._search(session, request, AlarmQuery, lambda query: self._archive.alarms(query, lanes))

    async def matches(self, request: Request) -> Response:
        session = await self._door.known(request)
        lanes = lanes_of(session.person.role)

        def find(query: MatchQuery) -> Page[MatchView]:
            found = self._archive.matches(query, lanes)
            if not self._door.deliveries.record_now(session, found.rows):
                raise RefusedRequest(503, Sentence("refused.store", {"error": "record.db cannot be written"}))
            return found

        return await self._search(session, request, MatchQuery, find)

    async def contact(self, request: Request) -> Response:
        session = await self._door.known(request)
        query, name = read_query(request, TrailQuery), request.path_params["id"]

        def question() -> ContactHistory | None:
            self._archive.note_search(session.person.name, "contact", ContactQuery(contact=name))
            return self._archive.contact(name, query.since_ns)

        history = await self._ask(question, self._searchers)
        if history is None:
            raise RefusedRequest(404, Sentence("refused.no_such_contact"))
        return answer_json(history)

    def _exporting(self, kind: ExportKind, form: ExportFormat) -> Handler:
        async def export(request: Request) -> Response:
            session = await self._door.known(request, roles=WHO_EXPORTS)
            query = read_query(request, QUERY_OF[kind])
            lanes = lanes_of(session.person.role)
            made = await self._ask(
                lambda: self._archive.export(session.person.name, kind, form, query, lanes), self._exporters
            )
            stamp = datetime.fromtimestamp(self._door.clock.utc_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
            name = f"trailwatch-{self._door.settings.realm.value}-{kind.value}-{stamp}.{form.value}"
            return Response(made.content, media_type=MEDIA[form], headers={
                "Content-Disposition": f'attachment; filename="{name}"', "X-Trailwatch-Rows": str(made.rows),
                "X-Trailwatch-Whole": str(made.is_whole).lower(),
            })

        return export
