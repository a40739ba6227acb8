"""Contacts made one or two by a person; positions of our own patrols, as JSON or as Cursor on Target."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.contact_requests import MergeContacts, NotePatrol, PatrolPosition, SplitContact
from station.cot import LIMIT_BYTES, CotError, read_cot
from station.guard import RefusedRequest, read_body
from station.picture import Sentence
from station.web_api import ApiRoute, Who
from station.web_door import Door


class MergeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """other: the contact that is the same."""

    other: str


class SplitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sensor: what this one sees is somebody else."""

    sensor: str


class ContactRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/contacts/{id}/merge", self.merge, "Say that two contacts are one; it stays so.", method="POST",
                     who=Who.DECIDERS, body=MergeRequest, answer=None),
            ApiRoute("/api/contacts/{id}/split", self.split, "Say that what one sensor sees is somebody else; it stays so.",
                     method="POST", who=Who.DECIDERS, body=SplitRequest, answer=None),
            ApiRoute("/api/patrols", self.note_patrol, "Say where a patrol of ours is: contacts are labelled, not hidden.",
                     method="POST", who=Who.DECIDERS, body=PatrolPosition, answer=None),
            ApiRoute("/api/patrols/cot", self.note_cot, "The same as one Cursor on Target event (XML), friendly units only.",
                     method="POST", who=Who.DECIDERS, answer=None),
        ]

    async def merge(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        wanted = await read_body(request, MergeRequest)
        return await self._door.ask_mind(MergeContacts(request.path_params["id"], wanted.other, session.person.name))

    async def split(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        wanted = await read_body(request, SplitRequest)
        return await self._door.ask_mind(SplitContact(request.path_params["id"], wanted.sensor, session.person.name))

    async def note_patrol(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        return await self._door.ask_mind(NotePatrol(await read_body(request, PatrolPosition), session.person.name))

    async def note_cot(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        text = b""
        async for piece in request.stream():
            text += piece
            if len(text) > LIMIT_BYTES:
                break
        try:
            position = read_cot(text)
        except CotError as error:
            raise RefusedRequest(400, Sentence("patrol.refused.cot", {"why": str(error)})) from None
        return await self._door.ask_mind(NotePatrol(position, session.person.name))
