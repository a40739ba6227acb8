"""What is kept how long, and what was erased: for everybody who wants to know."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.guard import answer_json
from station.retention import ErasedView
from station.retention_show import read_retention
from station.web_api import ApiRoute
from station.web_door import Door


class RetentionRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/retention", self.retention, "How long each kind of data is kept, and what was erased.",
                     answer=tuple[ErasedView, ...]),
        ]

    async def retention(self, request: Request) -> Response:
        await self._door.known(request)
        return answer_json(await anyio.to_thread.run_sync(read_retention, self._door.settings))
