"""Logging in and out, the password, and who one is."""

from __future__ import annotations

import logging
from typing import Literal

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.access import WHO_DECIDES, AccessError, Role, Session
from station.client_address import client_of
from station.fleet_roles import flies, sends
from station.guard import RefusedRequest, answer_json, check_origin, read_body
from station.web_api import ApiRoute, Who, read_query
from station.web_door import Door

HASHERS = 2                     # passwords checked at the same moment: each takes 64 MB and a core
log = logging.getLogger("trailwatch.web")


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    password: str


class PasswordRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: str
    new: str


class Me(msgspec.Struct, frozen=True):
    """csrf: to be sent as X-CSRF-Token with whatever changes something. decides: may answer alarms and matches.

    flies: may command drones. sends: may have one look at a contact.
    """

    name: str
    role: Role
    must_change_password: bool
    decides: bool
    csrf: str
    realm: str
    flies: bool = False
    sends: bool = False


class MeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """replay: "yes" of a page that shows the past: it decides nothing, and gets no csrf to change anything with."""

    replay: Literal["", "yes"] = ""


class LoginRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._hashers = anyio.CapacityLimiter(HASHERS)

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/login", self.log_in, "Log in; sets the session's cookie.", method="POST", who=Who.ANYBODY,
                     body=LoginRequest, answer=Me),
            ApiRoute("/api/logout", self.log_out, "End the session.", method="POST", who=Who.NEWCOMERS, answer=None),
            ApiRoute("/api/password", self.change_password, "Set a password of one's own; all sessions of before end.",
                     method="POST", who=Who.NEWCOMERS, body=PasswordRequest, answer=Me),
            ApiRoute("/api/me", self.me, "Who one is; null before the login.", who=Who.ANYBODY,
                     query=MeQuery, answer=Me | None),
        ]

    def _me(self, session: Session) -> Response:
        p = session.person
        decides = p.role in WHO_DECIDES
        realm = self._door.settings.realm
        return answer_json(Me(
            p.name, p.role, p.must_change_password, decides, session.csrf, realm.value, flies(p.role, realm),
            sends(p.role, realm),
        ))

    async def log_in(self, request: Request) -> Response:
        check_origin(request)
        wanted = await read_body(request, LoginRequest)
        client = client_of(request, self._door.settings.web.trusted_proxies)
        try:
            session = await anyio.to_thread.run_sync(
                self._door.people.log_in, wanted.name, wanted.password, client.address, client.at_console,
                limiter=self._hashers,
            )
        except AccessError as error:
            log.warning("refused login from %s: %s", client.address, error)
            raise RefusedRequest(429 if error.retry_after_s else 401, error.says, error.retry_after_s) from None
        return self._door.with_cookie(self._me(session), session)

    async def log_out(self, request: Request) -> Response:
        session = await self._door.changing(request, may_be_new=True)
        await anyio.to_thread.run_sync(self._door.people.log_out, session.token)
        return self._door.with_cookie(answer_json(None), None)

    async def change_password(self, request: Request) -> Response:
        session = await self._door.changing(request, may_be_new=True)
        wanted = await read_body(request, PasswordRequest)
        client = client_of(request, self._door.settings.web.trusted_proxies)
        try:
            fresh = await anyio.to_thread.run_sync(
                self._door.people.change_password, session, wanted.old, wanted.new, client.address,
                client.at_console, limiter=self._hashers,
            )
        except AccessError as error:
            raise RefusedRequest(429 if error.retry_after_s else 400, error.says, error.retry_after_s) from None
        return self._door.with_cookie(self._me(fresh), fresh)

    async def me(self, request: Request) -> Response:
        """Null before the login: asking who one is, is no error."""
        session = await self._door.session(request)
        if session is None:
            return answer_json(None)
        if read_query(request, MeQuery).replay != "yes":
            return self._me(session)
        p, realm = session.person, self._door.settings.realm.value
        return answer_json(Me(p.name, p.role, p.must_change_password, False, "", realm))
