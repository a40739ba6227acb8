"""Who is it that asks, and may they: the session of a request, and the one road to the mind; shared by all routes."""

from __future__ import annotations

import hmac
from urllib.parse import quote

import anyio.to_thread
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from station.access import ABSOLUTE_S, WHO_DECIDES, People, Role, Session
from station.alarm_watch import Screens
from station.deliveries import Deliveries
from station.feed import Feed, MindSilentError
from station.guard import RefusedRequest, answer_json, check_origin
from station.lanes import NO_LANE, P, lanes_of, redact
from station.picture import Answer, Refused, Sentence
from station.picture import Request as MindRequest
from station.settings import StationSettings
from station.web_rate import RateLimit
from wire.clock import Clock


def to_login(request: Request) -> Response:
    """To the login, which leads back to the page that was asked for; login.js takes no place but one of our own."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    where = "/login" if asked == "/" else f"/login?to={quote(asked, safe='/')}"
    return RedirectResponse(where, status_code=303, headers={"Cache-Control": "no-store"})


class Door:
    """What the routes share: settings, clock, people, the feed, who watches, and the check at the door."""

    def __init__(self, settings: StationSettings, people: People, clock: Clock) -> None:
        self.settings = settings
        self.people = people
        self.clock = clock
        self.feed = Feed(settings, clock)
        self.deliveries = Deliveries(settings, clock)
        self._rate = RateLimit()
        self.screens = Screens()        # which of the open pages are watched
        self._secure = settings.web.secure_cookie or settings.web.tls_certificate is not None
        # Browsers keep cookies by host, not by port: two stations on one machine must not log each other out.
        self._cookie = f"{'__Host-' if self._secure else ''}trailwatch-{settings.realm.value}-{settings.web.port}"

    async def session(self, connection: HTTPConnection) -> Session | None:
        kind, _, bearer = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await anyio.to_thread.run_sync(self.people.token_session, bearer.strip())
        token = connection.cookies.get(self._cookie)
        return await anyio.to_thread.run_sync(self.people.session, token) if token else None

    async def entered(self, connection: HTTPConnection) -> Session | None:
        """The session of who may see pages; None before the login, and before the one-time password was changed."""
        session = await self.session(connection)
        return None if session is None or session.person.must_change_password else session

    async def known(
        self, request: Request, *, may_be_new: bool = False, roles: frozenset[Role] | None = None
    ) -> Session:
        """The session, or a refusal. may_be_new: also before the one-time password was changed. roles: only these."""
        session = await self.session(request)
        if session is None:
            raise RefusedRequest(401, Sentence("refused.not_logged_in"))
        self._rate.spend(session.person.name, self.clock.monotonic_ns())
        if session.person.must_change_password and not may_be_new:
            raise RefusedRequest(403, Sentence("refused.change_password_first"))
        if roles is not None and session.person.role not in roles:
            raise RefusedRequest(403, Sentence("refused.role"))
        return session

    async def changing(
        self, request: Request, *, may_be_new: bool = False, decides: bool = False, roles: frozenset[Role] | None = None
    ) -> Session:
        """The session of a request that changes something: from our own page, with the session's second secret."""
        check_origin(request)
        if "authorization" in request.headers:
            raise RefusedRequest(403, Sentence("refused.token_reads"))
        session = await self.known(request, may_be_new=may_be_new)
        if not hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), session.csrf.encode()):
            raise RefusedRequest(403, Sentence("refused.csrf"))
        if (decides and session.person.role not in WHO_DECIDES) or (roles is not None and session.person.role not in roles):
            raise RefusedRequest(403, Sentence("refused.role"))
        return session

    def with_cookie(self, response: Response, session: Session | None) -> Response:
        response.set_cookie(
            self._cookie,
            session.token if session else "",
            max_age=ABSOLUTE_S if session else 0,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )
        return response

    async def permitted(self, session: Session, content: P) -> P:
        """The part of a picture or a delta that this session may receive.

        The delivery of each match in it is recorded first. If the audit record cannot be written, all matches are left out.
        """
        content = redact(lanes_of(session.person.role), content)
        return content if await self.deliveries.record(session, content.matches) else redact(NO_LANE, content)

    async def ask(self, request: MindRequest) -> Answer:
        """The mind's answer. Raises RefusedRequest: 409 when the mind refuses, 503 when it is silent."""
        try:
            answer = await self.feed.ask(request)
        except MindSilentError:
            raise RefusedRequest(503, Sentence("refused.mind_silent")) from None
        if isinstance(answer, Refused):
            raise RefusedRequest(409, answer.says)
        return answer

    async def ask_mind(self, request: MindRequest) -> Response:
        """The same for a decision, of which there is nothing more to tell than that it is done."""
        await self.ask(request)
        return answer_json(None)
