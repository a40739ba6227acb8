"""Decisions about alarms."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.guard import check_reason, read_body
from station.picture import AlarmState, ChangeAlarm
from station.web_api import ApiRoute, Who
from station.web_door import Door


class AlarmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: AlarmState
    reason: str = ""


class AlarmRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/alarms/{id}", self.change_alarm, "Acknowledge, escalate, shelve or close an alarm.",
                     method="POST", who=Who.DECIDERS, body=AlarmRequest, answer=None),
        ]

    async def change_alarm(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        wanted = await read_body(request, AlarmRequest)
        check_reason(wanted.reason)
        return await self._door.ask_mind(
            ChangeAlarm(request.path_params["id"], wanted.to, session.person.name, wanted.reason.strip())
        )
