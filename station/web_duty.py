"""Teams, incidents, notes, the shift log, and the hand-over of a shift as page and as paper."""

from __future__ import annotations

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geofences.sector import load_sector
from station.access import WHO_DECIDES, Session
from station.duty import (
    AddToIncident,
    CloseIncident,
    Duty,
    DutyRequest,
    GetDuty,
    HandoverView,
    Made,
    NoteIncident,
    NoteShift,
    OpenHandover,
    OpenIncident,
    SendTeam,
    Sheet,
    SignHandover,
    TeamState,
    TellTeam,
)
from station.guard import RefusedRequest, answer_json, read_body
from station.handover_page import handover_page
from station.lanes import lanes_of, redact_duty
from station.language import Words, words
from station.picture import Sentence
from station.web_api import ApiRoute, Who
from station.web_door import Door, to_login


class TeamWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """expected_min: minutes from now until it should be there."""

    who: str
    expected_min: int
    note: str = ""


class TeamWord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """reason: of an end, an outcome code first (station.teams.OUTCOMES), then free text."""

    to: TeamState
    reason: str = ""


class IncidentWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    alarms: tuple[str, ...] = ()


class AlarmNamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: str


class TextGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str


class NoteGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """alarm: the one it is about; empty for the shift."""

    text: str
    alarm: str = ""


class HandoverWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str
    note: str = ""


class DutyRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        sector = load_sector(door.settings.sector)
        self._names = {c.id: c.name for c in sector.corridor_set.corridors}
        self._utc_offset_min = sector.utc_offset_min

    def routes(self) -> list[BaseRoute]:
        deciders = Who.DECIDERS
        return [
            ApiRoute("/api/duty", self.duty, "Incidents, shift log, hand-overs, and how things stand now.", answer=Duty),
            ApiRoute("/api/alarms/{id}/teams", self.send_team, "Send a team to an alarm; takes the alarm as well.",
                     method="POST", who=deciders, body=TeamWanted, answer=Made),
            ApiRoute("/api/teams/{id}", self.tell_team, "Say that a team is there, is done or was recalled.",
                     method="POST", who=deciders, body=TeamWord, answer=None),
            ApiRoute("/api/incidents", self.open_incident, "Open an incident.", method="POST", who=deciders,
                     body=IncidentWanted, answer=Made),
            ApiRoute("/api/incidents/{id}/alarms", self.add_to_incident, "Put an alarm into an incident.", method="POST",
                     who=deciders, body=AlarmNamed, answer=None),
            ApiRoute("/api/incidents/{id}/notes", self.note_incident, "Note something in an incident.", method="POST",
                     who=deciders, body=TextGiven, answer=None),
            ApiRoute("/api/incidents/{id}/close", self.close_incident, "Close an incident, with its outcome.",
                     method="POST", who=deciders, body=TextGiven, answer=None),
            ApiRoute("/api/notes", self.note_shift, "Write a line into the shift log.", method="POST", who=deciders,
                     body=NoteGiven, answer=None),
            ApiRoute("/api/handovers", self.open_handover, "Make out a hand-over sheet; signs it for whoever goes.",
                     method="POST", who=deciders, body=HandoverWanted, answer=Made),
            ApiRoute("/api/handovers/{id}/sign", self.sign_handover, "Sign a hand-over as the one who takes over.",
                     method="POST", who=deciders, answer=None),
            Route("/handover", self.page),
            Route("/handover.pdf", self.pdf),
            Route("/handover/{id}.pdf", self.pdf),
            Route("/handover/{id}", self.page),
        ]

    # -------------------------------------------------------------------------------------------------------- requests

    async def _done(self, wanted: DutyRequest) -> Response:
        answer = await self._door.ask(wanted)
        return answer_json(answer if isinstance(answer, Made) else None)

    async def send_team(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, TeamWanted)
        return await self._done(SendTeam(request.path_params["id"], w.who, w.expected_min, session.person.name, w.note))

    async def tell_team(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, TeamWord)
        return await self._done(TellTeam(request.path_params["id"], w.to, session.person.name, w.reason))

    async def open_incident(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, IncidentWanted)
        return await self._done(OpenIncident(w.title, session.person.name, w.alarms))

    async def add_to_incident(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, AlarmNamed)
        return await self._done(AddToIncident(request.path_params["id"], w.alarm, session.person.name))

    async def note_incident(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, TextGiven)
        return await self._done(NoteIncident(request.path_params["id"], session.person.name, w.text))

    async def close_incident(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, TextGiven)
        return await self._done(CloseIncident(request.path_params["id"], session.person.name, w.text))

    async def note_shift(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, NoteGiven)
        return await self._done(NoteShift(session.person.name, w.text, w.alarm))

    async def open_handover(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        w = await read_body(request, HandoverWanted)
        if w.to not in await self._receivers():
            raise RefusedRequest(409, Sentence("refused.no_such_person", {"name": w.to}))
        return await self._done(OpenHandover(session.person.name, w.to, w.note))

    async def sign_handover(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        return await self._done(SignHandover(request.path_params["id"], session.person.name))

    async def duty(self, request: Request) -> Response:
        session = await self._door.known(request)
        return answer_json(await self._duty(session))

    # ----------------------------------------------------------------------------------------------------------- pages

    async def page(self, request: Request) -> Response:
        session = await self._door.entered(request)
        if session is None:
            return to_login(request)
        duty = await self._duty(session)
        handover = self._named(request, duty)
        html = handover_page(
            self._words(request), self._door.settings.realm.value, handover.sheet if handover else duty.sheet, handover,
            duty, session.person.name, await self._receivers(),
        )
        return Response(html, media_type="text/html; charset=utf-8")

    async def pdf(self, request: Request) -> Response:
        session = await self._door.known(request)
        duty = await self._duty(session)
        handover = self._named(request, duty)
        sheet = handover.sheet if handover else duty.sheet
        content = await anyio.to_thread.run_sync(
            _printed, self._words(request), self._door.settings.realm.value, sheet, handover
        )
        name = handover.id if handover else "now"
        return Response(
            content, media_type="application/pdf",
            headers={"Content-Disposition": f'inline; filename="trailwatch-handover-{name}.pdf"'},
        )

    async def _duty(self, session: Session) -> Duty:
        answer = await self._door.ask(GetDuty())
        if not isinstance(answer, Duty):
            raise RefusedRequest(503, Sentence("refused.mind_silent"))
        return redact_duty(lanes_of(session.person.role), answer)

    def _named(self, request: Request, duty: Duty) -> HandoverView | None:
        """The hand-over that the path names; None where it names none. Raises RefusedRequest 404."""
        wanted = request.path_params.get("id")
        found = next((h for h in duty.handovers if h.id == wanted), None)
        if wanted is not None and found is None:
            raise RefusedRequest(404, Sentence("handover.refused.unknown", {"handover": wanted}))
        return found

    def _words(self, request: Request) -> Words:
        return words(request.query_params.get("lang", "vi"), self._names, self._utc_offset_min)

    async def _receivers(self) -> list[str]:
        everyone = await anyio.to_thread.run_sync(self._door.people.everyone)
        return [p.name for p in everyone if p.role in WHO_DECIDES]


def _printed(w: Words, realm: str, sheet: Sheet, handover: HandoverView | None) -> bytes:
    """The sheet as a PDF. Raises RefusedRequest where there is no font for it."""
    # What it takes to print is 27 MB and a quarter of this process's start, and few ask for it.
    from station.handover_pdf import FontMissingError, handover_pdf

    try:
        return handover_pdf(w, realm, sheet, handover)
    except FontMissingError as error:
        raise RefusedRequest(503, Sentence("handover.refused.no_font", {"detail": str(error)})) from None
