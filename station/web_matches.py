"""Questions about watchlist subjects: opened, which is recorded, and answered."""

from __future__ import annotations

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.access import WHO_DECIDES, Session
from station.guard import RefusedRequest, answer_json, check_reason, read_body
from station.lanes import lanes_of, sees_match
from station.picture import DecideMatch, MatchState, MatchView, Sentence
from station.subjects import Category
from station.watchlist import WatchlistError, look_at_subject
from station.web_api import ApiRoute, Who
from station.web_door import Door


class MatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: MatchState
    reason: str = ""


class OpenedMatch(msgspec.Struct, frozen=True):
    """A match with what its subject's record tells an officer. The look was recorded before this was sent."""

    match: MatchView
    category: Category
    label: str
    reason: str
    what_to_do: str


class MatchRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/matches/{id}", self.read_match, "A question with its subject's record; the look is recorded.",
                     who=Who.DECIDERS, answer=OpenedMatch),
            ApiRoute("/api/matches/{id}", self.decide_match, "Answer a question.", method="POST", who=Who.DECIDERS,
                     body=MatchRequest, answer=None),
        ]

    async def decide_match(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        wanted = await read_body(request, MatchRequest)
        check_reason(wanted.reason)
        _check_lane(self._door.feed.match(request.path_params["id"]), session)
        return await self._door.ask_mind(
            DecideMatch(request.path_params["id"], wanted.to, session.person.name, wanted.reason.strip())
        )

    async def read_match(self, request: Request) -> Response:
        session = await self._door.known(request, roles=WHO_DECIDES)
        match = self._door.feed.match(request.path_params["id"])
        if match is None:
            raise RefusedRequest(404, Sentence("refused.no_such_match"))
        _check_lane(match, session)
        try:
            subject = await anyio.to_thread.run_sync(
                look_at_subject, self._door.settings, session.person.name, match.subject, f"match {match.id}",
                self._door.clock,
            )
        except WatchlistError:
            raise RefusedRequest(404, Sentence("refused.no_such_subject")) from None
        return answer_json(OpenedMatch(match, subject.category, subject.label, subject.reason, subject.what_to_do))


def _check_lane(match: MatchView | None, session: Session) -> None:
    if match is not None and not sees_match(lanes_of(session.person.role), match):
        raise RefusedRequest(403, Sentence("refused.role"))
