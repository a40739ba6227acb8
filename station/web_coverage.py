"""Coverage for pages and planners: how the trails are seen now, what is owed, and a person's word about the weather."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from geofences.sector import load_sector
from station.coverage_picture import CoverageView, CoverageWhole, SetWeather, TellWalk, WalkedPass
from station.coverage_runs import debt_of
from station.guard import answer_json, read_body
from station.web_api import ApiRoute, Who
from station.web_door import Door
from wire.coverage import CoverageDebt


class CoverageAnswer(msgspec.Struct, frozen=True):
    """whole: None until the mind has said something."""

    whole: CoverageWhole | None
    corridors: tuple[CoverageView, ...]


class WeatherRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    visibility_m: float
    rain_mm_h: float = 0.0
    cloud: float = 0.3
    hours: float = 3.0


class WalkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    passes: tuple[WalkedPass, ...]


class CoverageRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._sector = load_sector(door.settings.sector)

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/coverage", self.coverage,
                     "Each corridor in runs of metres: which sensor sees it now at which class, and since when nobody has.",
                     answer=CoverageAnswer),
            ApiRoute("/api/coverage/debt", self.debt, "What nobody sees now, the heaviest first; for planners of patrols.",
                     answer=CoverageDebt),
            ApiRoute("/api/coverage/weather", self.set_weather, "Say what the weather is, for some hours.", method="POST",
                     who=Who.DECIDERS, body=WeatherRequest, answer=None),
            ApiRoute("/api/coverage/walks", self.tell_walk,
                     "Keep what came of a walk test, pass by pass; a pass that is known already is left out.", method="POST",
                     who=Who.DECIDERS, body=WalkRequest, answer=None),
        ]

    async def coverage(self, request: Request) -> Response:
        await self._door.known(request)
        picture = self._door.feed.picture()
        return answer_json(CoverageAnswer(picture.coverage_whole, picture.coverage))

    async def debt(self, request: Request) -> Response:
        await self._door.known(request)
        return answer_json(debt_of(self._door.feed.picture().coverage, self._sector, self._door.clock.utc_ns()))

    async def set_weather(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        said = await read_body(request, WeatherRequest)
        return await self._door.ask_mind(
            SetWeather(session.person.name, said.visibility_m, said.rain_mm_h, said.cloud, said.hours)
        )

    async def tell_walk(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        said = await read_body(request, WalkRequest)
        return await self._door.ask_mind(TellWalk(session.person.name, said.passes))
