"""The watchlist's page: a lane's records, one record, nominations, second persons, ends, reports, and files of records.

Records of people who may need help are read by operators and supervisors alone, as questions about them are; records of the
other lane by all who decide. To change a list is for operators and supervisors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, TypeVar

import anyio
import anyio.to_process
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from geofences.sector import load_sector
from station.access import WHO_DECIDES
from station.guard import REASON_LIMIT, RefusedRequest, answer_json, read_body, read_file
from station.lanes import WHO_HELPS, lanes_of
from station.nomination import COLUMNS, Problem, make_draft, read_expiry
from station.sentences import Sentence
from station.settings import StationSettings
from station.store import StoreError
from station.subjects import Category
from station.watchlist import (
    WatchlistError,
    add_subject,
    agree_extension,
    approve_subjects,
    ask_extension,
    expire_subject,
    report_subject,
)
from station.watchlist_import import NAMED_LIMIT, Imported, Preview, import_content, preview_content
from station.watchlist_pages import LaneError, Listing, ListQuery, OpenedRecord, list_lane, open_record
from station.web_api import ApiRoute, Who, read_query
from station.web_door import Door
from wire.clock import NS_PER_S

NOMINATION_LIMIT_BYTES = 64 * 1024      # six texts of 2,000 characters, three bytes each
FILE_LIMIT_BYTES = 20_000_000           # some 60,000 records; what is larger is for the command line
IN_THE_SERVER_BYTES = 200_000           # what is larger is read in a process of its own, and holds no page up
APPROVED_AT_ONCE = 500
REPORT_HOURS_MOST = 72
T = TypeVar("T")

Reason = Annotated[str, msgspec.Meta(max_length=REASON_LIMIT)]


class NominateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of an imported file: several values in one are parted by ";", see station.nomination.make_draft."""

    category: str = ""
    label: str = ""
    reason: str = ""
    lawful_basis: str = ""
    what_to_do: str = ""
    expires: str = ""
    plates: str = ""
    vehicles: str = ""
    corridors: str = ""
    hours: str = ""
    days: str = ""
    party_size: str = ""


class FieldProblem(msgspec.Struct, frozen=True):
    """line: of a file; 0 of what was typed. column: "" when it is the line as a whole."""

    line: int
    column: str
    says: Sentence


class Nominated(msgspec.Struct, frozen=True):
    """The new record's id; or what is wrong with which field, and then nothing was taken."""

    subject: str | None
    problems: tuple[FieldProblem, ...]


class ApproveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subjects: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=APPROVED_AT_ONCE)]


class EndRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class ExtendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """expires: YYYY-MM-DD, to the end of that day."""

    expires: str
    reason: Reason


class ReportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The window: from hours ago to hours ahead. reported_by: who says so, by name."""

    corridor: str
    reported_by: Annotated[str, msgspec.Meta(max_length=100)]
    hours_ago: Annotated[float, msgspec.Meta(ge=0, le=REPORT_HOURS_MOST)] = 0.0
    hours_ahead: Annotated[float, msgspec.Meta(ge=0, le=REPORT_HOURS_MOST)] = 2.0
    says: Reason = ""


class FileQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: of the file; its ending says the form. sha256: of the preview that a person confirms. whole: "yes" takes all
    lines or none.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    sha256: str = ""
    whole: str = ""


class FileReport(msgspec.Struct, frozen=True):
    """Of a preview: good, by category, and nothing is taken. Of an import: added, from id first to id last, and they wait
    for a second person. bad: how many lines were or would be left out. problems, notes: the first of them; *_more: the rest.
    """

    name: str
    sha256: str
    lines: int
    good: dict[Category, int]
    bad: int
    problems: tuple[FieldProblem, ...]
    problems_more: int
    notes: tuple[FieldProblem, ...]
    notes_more: int
    added: int = 0
    first: str = ""
    last: str = ""


class WatchlistRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._one_file = anyio.CapacityLimiter(1)       # a long file takes memory: one after the other

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/watchlist", self.list, "Records of one lane, the newest first; the look is recorded.",
                     who=Who.DECIDERS, query=ListQuery, answer=Listing),
            ApiRoute("/api/watchlist", self.nominate, "Nominate a subject; a second person has to approve it.",
                     method="POST", who=Who.HELPERS, body=NominateRequest, answer=Nominated),
            ApiRoute("/api/watchlist/approve", self.approve, "Approve what somebody else nominated, all or none.",
                     method="POST", who=Who.HELPERS, body=ApproveRequest, answer=None),
            ApiRoute("/api/watchlist/preview", self.preview, "Check a file of records (the body, as it is); takes nothing.",
                     method="POST", who=Who.HELPERS, query=FileQuery, answer=FileReport),
            ApiRoute("/api/watchlist/import", self.import_, "Nominate the records of a file that was checked before.",
                     method="POST", who=Who.HELPERS, query=FileQuery, answer=FileReport),
            ApiRoute("/api/watchlist/{id}", self.open, "A record with its reports and traces; the look is recorded.",
                     who=Who.DECIDERS, answer=OpenedRecord),
            ApiRoute("/api/watchlist/{id}/end", self.end, "End a record now, with a reason; it matches nothing any more.",
                     method="POST", who=Who.HELPERS, body=EndRequest, answer=None),
            ApiRoute("/api/watchlist/{id}/extend", self.extend, "Ask that a record last longer; a second person agrees.",
                     method="POST", who=Who.HELPERS, body=ExtendRequest, answer=None),
            ApiRoute("/api/watchlist/{id}/agree", self.agree, "Agree that a record last longer, as somebody else asked.",
                     method="POST", who=Who.HELPERS, answer=None),
            ApiRoute("/api/watchlist/{id}/reports", self.report, "Note that a person reports this subject in a corridor.",
                     method="POST", who=Who.HELPERS, body=ReportRequest, answer=None),
        ]

    # ------------------------------------------------------------------------------------------------------------ looks

    async def list(self, request: Request) -> Response:
        session = await self._door.known(request, roles=WHO_DECIDES)
        query, lanes = read_query(request, ListQuery), lanes_of(session.person.role)
        return answer_json(await self._do(
            lambda: list_lane(self._door.settings, session.person.name, query, lanes, self._door.clock)
        ))

    async def open(self, request: Request) -> Response:
        session = await self._door.known(request, roles=WHO_DECIDES)
        person, lanes, name = session.person, lanes_of(session.person.role), request.path_params["id"]
        return answer_json(await self._do(lambda: open_record(
            self._door.settings, person.name, name, lanes, person.role in WHO_HELPS, self._door.clock
        )))

    # ---------------------------------------------------------------------------------------------------------- changes

    async def nominate(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        wanted = await read_body(request, NominateRequest, NOMINATION_LIMIT_BYTES)
        settings, clock = self._door.settings, self._door.clock

        def do() -> Nominated:
            fields = {c: str(getattr(wanted, c)) for c in COLUMNS}
            draft, problems = make_draft(fields, load_sector(settings.sector), clock.utc_ns())
            if draft is None:
                return Nominated(None, _said(problems))
            return Nominated(add_subject(settings, session.person.name, draft, clock).id, ())

        return answer_json(await self._do(do))

    async def approve(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        wanted = await read_body(request, ApproveRequest)
        await self._do(lambda: approve_subjects(
            self._door.settings, session.person.name, list(wanted.subjects), self._door.clock
        ))
        return answer_json(None)

    async def end(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        wanted, name = await read_body(request, EndRequest), request.path_params["id"]
        if not wanted.reason.strip():
            raise RefusedRequest(400, Sentence("watchlist.refused.reason_needed"))
        await self._do(lambda: expire_subject(
            self._door.settings, session.person.name, name, wanted.reason.strip(), self._door.clock
        ))
        return answer_json(None)

    async def extend(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        wanted, name = await read_body(request, ExtendRequest), request.path_params["id"]
        settings, clock = self._door.settings, self._door.clock

        def do() -> None:
            offset = load_sector(settings.sector).utc_offset_min
            expires_ns, problems = read_expiry(wanted.expires, offset, clock.utc_ns())
            if expires_ns is None:
                raise WatchlistError(str(problems[0]), problems[0].says)
            ask_extension(settings, session.person.name, name, expires_ns, wanted.reason, clock)

        await self._do(do)
        return answer_json(None)

    async def agree(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        name = request.path_params["id"]
        await self._do(lambda: agree_extension(self._door.settings, session.person.name, name, self._door.clock))
        return answer_json(None)

    async def report(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        wanted, name = await read_body(request, ReportRequest), request.path_params["id"]
        now_ns = self._door.clock.utc_ns()
        from_ns, until_ns = (now_ns + round(h * 3600) * NS_PER_S for h in (-wanted.hours_ago, wanted.hours_ahead))
        await self._do(lambda: report_subject(
            self._door.settings, session.person.name, name, from_ns, until_ns, wanted.reported_by,
            corridor=wanted.corridor, says=wanted.says.strip(), clock=self._door.clock,
        ))
        return answer_json(None)

    # ------------------------------------------------------------------------------------------------------------ files

    async def preview(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        query = read_query(request, FileQuery)
        content = await read_file(request, FILE_LIMIT_BYTES)
        found = await self._with_file(preview_file, session.person.name, query.name, content)
        good = {Category(c): n for c, n in found.good.items()}
        return answer_json(_report(query.name, found.sha256, found.lines, good, found))

    async def import_(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=WHO_HELPS)
        query = read_query(request, FileQuery)
        content = await read_file(request, FILE_LIMIT_BYTES)
        digest = hashlib.sha256(content).hexdigest()
        if digest != query.sha256:
            raise RefusedRequest(409, Sentence("import.changed"))
        take = import_whole_file if query.whole == "yes" else import_file
        found = await self._with_file(take, session.person.name, query.name, content)
        report = _report(query.name, digest, found.lines, {}, found)
        return answer_json(msgspec.structs.replace(report, added=found.added, first=found.first, last=found.last))

    async def _with_file(
        self, work: Callable[[StationSettings, str, str, bytes], T], person: str, name: str, content: bytes
    ) -> T:
        small = len(content) <= IN_THE_SERVER_BYTES
        settings = self._door.settings
        async with self._one_file:
            if small:
                return await self._do(lambda: work(settings, person, name, content))
            try:
                return await anyio.to_process.run_sync(work, settings, person, name, content)
            except WatchlistError as error:
                raise _refused(error) from None

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work)
        except WatchlistError as error:
            raise _refused(error) from None


# Functions of the module, not of the class: they are sent to another process.


def preview_file(settings: StationSettings, person: str, name: str, content: bytes) -> Preview:
    return _plainly(lambda: preview_content(settings, person, name, content))


def import_file(settings: StationSettings, person: str, name: str, content: bytes) -> Imported:
    return _plainly(lambda: import_content(settings, person, name, content))


def import_whole_file(settings: StationSettings, person: str, name: str, content: bytes) -> Imported:
    return _plainly(lambda: import_content(settings, person, name, content, all_or_nothing=True))


def _plainly(work: Callable[[], T]) -> T:
    """Its errors as those that travel between processes."""
    try:
        return work()
    except StoreError as error:
        raise StoreError(str(error)) from None


def _refused(error: WatchlistError) -> RefusedRequest:
    if isinstance(error, LaneError):
        return RefusedRequest(403, Sentence("refused.role"))
    says = error.says or Sentence("refused.watchlist", {"detail": str(error)})
    return RefusedRequest(404 if says.key == "refused.no_such_subject" else 409, says)


def _said(problems: tuple[Problem, ...] | list[Problem]) -> tuple[FieldProblem, ...]:
    return tuple(
        FieldProblem(p.line, p.column, p.says or Sentence("import.other", {"detail": p.sentence}))
        for p in problems[:NAMED_LIMIT]
    )


def _report(name: str, digest: str, lines: int, good: dict[Category, int], found: Preview | Imported) -> FileReport:
    return FileReport(
        name, digest, lines, good, len({p.line for p in found.problems}), _said(found.problems),
        max(0, len(found.problems) - NAMED_LIMIT), _said(found.notes), max(0, len(found.notes) - NAMED_LIMIT),
    )
