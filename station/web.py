"""The web server: login, the live page, and its questions to the mind. It writes nobody's database but people.db."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import signal
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio.to_thread
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from geofences.sector import load_sector
from station.access import ABSOLUTE_S, WHO_DECIDES, AccessError, People, Role, Session, open_people
from station.feed import Feed, MindSilentError, following
from station.geography import draw_geography
from station.guard import (
    RefusedRequest,
    SecurityHeaders,
    address_of,
    answer_json,
    check_origin,
    check_reason,
    is_own_origin,
    read_body,
    show_fault,
    show_problem,
)
from station.orders import OrderBook, TooManyOrdersError
from station.picture import AlarmState, ChangeAlarm, DecideMatch, MatchState, MatchView, Refused, Sentence
from station.settings import StationSettings
from station.shelf import STATIC, Shelf
from station.store import INBOX, StoreError, open_reader, read_snapshot
from station.subjects import Category
from station.watchlist import WatchlistError, look_at_subject
from wire.clock import Clock, WallClock
from wire.codec import NAME_LIMIT
from wire.messages import Order, OrderAction
from wire.settings import refuse

HASHERS = 2                     # passwords checked at the same moment: each takes 64 MB and a core
SESSION_CHECK_S = 20.0          # an open feed looks this often whether its session still lasts
SHUTDOWN_S = 3
log = logging.getLogger("trailwatch.web")


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    password: str


class PasswordRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: str
    new: str


class AlarmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: AlarmState
    reason: str = ""


class MatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: MatchState
    reason: str = ""


class OrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sensor: its id on the map. before_s, after_s: of a clip; the node bounds them further."""

    sensor: str
    action: OrderAction
    argument: Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)] = ""
    before_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 10.0
    after_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0


class GivenOrder(msgspec.Struct, frozen=True):
    id: str


class Me(msgspec.Struct, frozen=True):
    """csrf: to be sent as X-CSRF-Token with whatever changes something. decides: may answer alarms and matches."""

    name: str
    role: Role
    must_change_password: bool
    decides: bool
    csrf: str
    realm: str


class OpenedMatch(msgspec.Struct, frozen=True):
    """A match with what its subject's record tells an officer. The look was recorded before this was sent."""

    match: MatchView
    category: Category
    label: str
    reason: str
    what_to_do: str


class Web:
    """The routes and what they share. Handlers run in one event loop; password hashing and SQLite in threads."""

    def __init__(self, settings: StationSettings, people: People, clock: Clock) -> None:
        self._settings = settings
        self._people = people
        self._clock = clock
        self._feed = Feed(settings, clock)
        self._orders = OrderBook(settings, clock)
        self._shelf = Shelf(STATIC, settings.realm)
        self._geography = msgspec.json.encode(draw_geography(load_sector(settings.sector), settings.sector))
        self._hashers = anyio.CapacityLimiter(HASHERS)
        self._inbox: sqlite3.Connection | None = None
        self._secure = settings.web.secure_cookie or settings.web.tls_certificate is not None
        # Browsers keep cookies by host, not by port: two stations on one machine must not log each other out.
        self._cookie = f"{'__Host-' if self._secure else ''}trailwatch-{settings.realm.value}-{settings.web.port}"

    def application(self) -> ASGIApp:
        routes = [
            Route("/", self.page),
            Route("/login", self.login_page),
            Route("/static/{name:path}", self.static),
            Route("/api/login", self.log_in, methods=["POST"]),
            Route("/api/logout", self.log_out, methods=["POST"]),
            Route("/api/password", self.change_password, methods=["POST"]),
            Route("/api/me", self.me),
            Route("/api/geography", self.geography),
            Route("/api/picture", self.picture),
            Route("/api/figures", self.figures),
            Route("/api/alarms/{id}", self.change_alarm, methods=["POST"]),
            Route("/api/matches/{id}", self.read_match, methods=["GET"]),
            Route("/api/matches/{id}", self.decide_match, methods=["POST"]),
            Route("/api/snapshots/{id}", self.snapshot),
            Route("/api/orders", self.list_orders, methods=["GET"]),
            Route("/api/orders", self.give_order, methods=["POST"]),
            Route("/api/orders/{id}", self.read_order),
            Route("/api/orders/{id}/pictures/{number:int}", self.order_picture),
            WebSocketRoute("/feed", self.feed),
        ]
        handlers = {HTTPException: show_problem, 500: show_fault}
        app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers)
        return SecurityHeaders(app)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with following(self._feed):
            yield

    # ---------------------------------------------------------------------------------------------------- who is it

    async def _session(self, connection: HTTPConnection) -> Session | None:
        token = connection.cookies.get(self._cookie)
        return await anyio.to_thread.run_sync(self._people.session, token) if token else None

    async def _known(self, request: Request, *, may_be_new: bool = False) -> Session:
        """The session, or a refusal. may_be_new: also before the one-time password was changed."""
        session = await self._session(request)
        if session is None:
            raise RefusedRequest(401, Sentence("refused.not_logged_in"))
        if session.person.must_change_password and not may_be_new:
            raise RefusedRequest(403, Sentence("refused.change_password_first"))
        return session

    async def _changing(self, request: Request, *, may_be_new: bool = False, decides: bool = False) -> Session:
        """The session of a request that changes something: from our own page, with the session's second secret."""
        check_origin(request)
        session = await self._known(request, may_be_new=may_be_new)
        if not hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), session.csrf.encode()):
            raise RefusedRequest(403, Sentence("refused.csrf"))
        if decides and session.person.role not in WHO_DECIDES:
            raise RefusedRequest(403, Sentence("refused.role"))
        return session

    def _with_cookie(self, response: Response, session: Session | None) -> Response:
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

    def _me(self, session: Session) -> Response:
        p = session.person
        decides = p.role in WHO_DECIDES
        return answer_json(Me(p.name, p.role, p.must_change_password, decides, session.csrf, self._settings.realm.value))

    async def log_in(self, request: Request) -> Response:
        check_origin(request)
        wanted = await read_body(request, LoginRequest)
        try:
            session = await anyio.to_thread.run_sync(
                self._people.log_in, wanted.name, wanted.password, address_of(request), limiter=self._hashers
            )
        except AccessError as error:
            log.warning("refused login from %s: %s", address_of(request), error)
            raise RefusedRequest(429 if error.retry_after_s else 401, error.says, error.retry_after_s) from None
        return self._with_cookie(self._me(session), session)

    async def log_out(self, request: Request) -> Response:
        session = await self._changing(request, may_be_new=True)
        await anyio.to_thread.run_sync(self._people.log_out, session.token)
        return self._with_cookie(answer_json(None), None)

    async def change_password(self, request: Request) -> Response:
        session = await self._changing(request, may_be_new=True)
        wanted = await read_body(request, PasswordRequest)
        try:
            fresh = await anyio.to_thread.run_sync(
                self._people.change_password, session, wanted.old, wanted.new, address_of(request), limiter=self._hashers
            )
        except AccessError as error:
            raise RefusedRequest(429 if error.retry_after_s else 400, error.says, error.retry_after_s) from None
        return self._with_cookie(self._me(fresh), fresh)

    async def me(self, request: Request) -> Response:
        """Null before the login: asking who one is, is no error."""
        session = await self._session(request)
        return self._me(session) if session else answer_json(None)

    # ------------------------------------------------------------------------------------------------------ the page

    async def page(self, request: Request) -> Response:
        session = await self._session(request)
        if session is None or session.person.must_change_password:
            return RedirectResponse("/login", status_code=303, headers={"Cache-Control": "no-store"})
        return self._shelf.response(request, "index.html")

    async def login_page(self, request: Request) -> Response:
        return self._shelf.response(request, "login.html")

    async def static(self, request: Request) -> Response:
        return self._shelf.response(request, request.path_params["name"])

    async def geography(self, request: Request) -> Response:
        await self._known(request)
        return Response(self._geography, media_type="application/json")

    async def picture(self, request: Request) -> Response:
        await self._known(request)
        return answer_json(self._feed.picture())

    async def figures(self, request: Request) -> Response:
        # Open before the password was changed: they say how the station runs, and nothing about anybody.
        await self._known(request, may_be_new=True)
        return answer_json(self._feed.figures())

    async def snapshot(self, request: Request) -> Response:
        await self._known(request)
        jpeg = await anyio.to_thread.run_sync(self._read_snapshot, request.path_params["id"])
        if jpeg is None:
            raise RefusedRequest(404, Sentence("refused.no_such_snapshot"))
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600, immutable"})

    def _read_snapshot(self, snapshot: str) -> bytes | None:
        try:
            if self._inbox is None:
                self._inbox = open_reader(self._settings.inbox_db, INBOX, self._settings.realm)
            return read_snapshot(self._inbox, snapshot)
        except FileNotFoundError:
            return None         # the inbox has not made its file yet
        except (sqlite3.Error, StoreError) as error:
            log.warning("snapshot %s cannot be read: %s", snapshot, error)
            self._inbox = None
            return None

    # ---------------------------------------------------------------------------------------------------- orders

    async def give_order(self, request: Request) -> Response:
        session = await self._changing(request, decides=True)
        wanted = await read_body(request, OrderRequest)
        sensor = next((s for s in self._feed.picture().sensors if s.id == wanted.sensor), None)
        if sensor is None:
            raise RefusedRequest(404, Sentence("refused.no_such_sensor"))
        # Where two nodes call a sensor the same, the map puts the node's name before it; the node knows its own alone.
        name = sensor.id.removeprefix(f"{sensor.node}/")
        order = Order("", name, wanted.action, wanted.argument, wanted.before_s, wanted.after_s)
        try:
            given = await anyio.to_thread.run_sync(self._orders.give, session.person.name, sensor.node, order)
        except TooManyOrdersError:
            raise RefusedRequest(429, Sentence("refused.too_many_orders")) from None
        return answer_json(GivenOrder(given))

    async def list_orders(self, request: Request) -> Response:
        await self._known(request)
        return answer_json(await anyio.to_thread.run_sync(self._orders.newest))

    async def read_order(self, request: Request) -> Response:
        await self._known(request)
        order = await anyio.to_thread.run_sync(self._orders.find, request.path_params["id"])
        if order is None:
            raise RefusedRequest(404, Sentence("refused.no_such_order"))
        return answer_json(order)

    async def order_picture(self, request: Request) -> Response:
        await self._known(request)
        jpeg = await anyio.to_thread.run_sync(
            self._orders.picture, request.path_params["id"], request.path_params["number"]
        )
        if jpeg is None:
            raise RefusedRequest(404, Sentence("refused.no_such_snapshot"))
        # Numbers shift while parts are still coming in.
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})

    # ----------------------------------------------------------------------------------------------------- decisions

    async def _ask_mind(self, request: ChangeAlarm | DecideMatch) -> Response:
        try:
            answer = await self._feed.ask(request)
        except MindSilentError:
            raise RefusedRequest(503, Sentence("refused.mind_silent")) from None
        if isinstance(answer, Refused):
            raise RefusedRequest(409, answer.says)
        return answer_json(None)

    async def change_alarm(self, request: Request) -> Response:
        session = await self._changing(request, decides=True)
        wanted = await read_body(request, AlarmRequest)
        check_reason(wanted.reason)
        return await self._ask_mind(
            ChangeAlarm(request.path_params["id"], wanted.to, session.person.name, wanted.reason.strip())
        )

    async def decide_match(self, request: Request) -> Response:
        session = await self._changing(request, decides=True)
        wanted = await read_body(request, MatchRequest)
        check_reason(wanted.reason)
        return await self._ask_mind(
            DecideMatch(request.path_params["id"], wanted.to, session.person.name, wanted.reason.strip())
        )

    async def read_match(self, request: Request) -> Response:
        session = await self._known(request)
        if session.person.role not in WHO_DECIDES:
            raise RefusedRequest(403, Sentence("refused.role"))
        match = self._feed.match(request.path_params["id"])
        if match is None:
            raise RefusedRequest(404, Sentence("refused.no_such_match"))
        try:
            subject = await anyio.to_thread.run_sync(
                look_at_subject, self._settings, session.person.name, match.subject, f"match {match.id}", self._clock
            )
        except WatchlistError:
            raise RefusedRequest(404, Sentence("refused.no_such_subject")) from None
        return answer_json(OpenedMatch(match, subject.category, subject.label, subject.reason, subject.what_to_do))

    # ---------------------------------------------------------------------------------------------------- live feed

    async def feed(self, websocket: WebSocket) -> None:
        session = await self._session(websocket)
        if not is_own_origin(websocket) or session is None or session.person.must_change_password:
            await websocket.close(code=4401)
            return
        await websocket.accept()
        page = self._feed.join()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(websocket, session.token))
                while True:
                    message = await page.next(self._feed)
                    await websocket.send_text(message.decode())
        except* (WebSocketDisconnect, RuntimeError, OSError):
            pass        # the page is gone; Starlette says so with any of these, depending on the moment
        finally:
            self._feed.leave(page)

    async def _watch(self, websocket: WebSocket, token: str) -> None:
        """Ends the feed when the page goes away, or when its session does."""
        while True:
            try:
                async with asyncio.timeout(SESSION_CHECK_S):
                    message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1000))
            except TimeoutError:
                if await anyio.to_thread.run_sync(self._people.session, token) is None:
                    await websocket.close(code=4401)
                    raise WebSocketDisconnect(4401) from None


# ---------------------------------------------------------------------------------------------------------- process


class _Server(uvicorn.Server):
    """uvicorn, but a stop that was asked for ends with exit status 0 instead of dying of the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def run_web(settings: StationSettings) -> int:
    """Serve until SIGTERM or SIGINT. Raises SettingsError for a port in use or a certificate that cannot be read."""
    clock = WallClock()
    _check_tls(settings)
    listener = _listen(settings)
    people = open_people(settings, clock)
    try:
        web = Web(settings, people, clock)
        tls = settings.web
        config = uvicorn.Config(
            web.application(),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            ws="websockets-sansio",
            ws_max_size=4096,
            ws_ping_interval=10.0,
            ws_ping_timeout=10.0,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=SHUTDOWN_S,
            ssl_certfile=_beside(settings, tls.tls_certificate),
            ssl_keyfile=_beside(settings, tls.tls_key),
        )
        scheme = "https" if tls.tls_certificate else "http"
        address, port = listener.getsockname()[:2]
        log.info("the map is at %s://%s:%d/", scheme, f"[{address}]" if ":" in address else address, port)
        asyncio.run(_Server(config).serve(sockets=[listener]))
    finally:
        people.close()
        listener.close()
    return 0


def _listen(settings: StationSettings) -> socket.socket:
    host, port = settings.web.host, settings.web.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise refuse(settings.file, ["web", "host"], f'"{host}": no such address: {error.strerror}') from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise refuse(
            settings.file, ["web", "port"], f"{host}:{port} cannot be opened ({error.strerror}); stop what uses it, "
            "or choose another port"
        ) from None
    return listener


def _beside(settings: StationSettings, name: str | None) -> str | None:
    return str(settings.file.parent / name) if name else None


def _check_tls(settings: StationSettings) -> None:
    certificate, key = settings.web.tls_certificate, settings.web.tls_key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "tls_key" if key is None else "tls_certificate"
        raise refuse(settings.file, ["web"], f"{missing} is missing; a certificate and its key go together")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.file.parent / certificate, settings.file.parent / key)
    except (OSError, ssl.SSLError) as error:
        raise refuse(settings.file, ["web", "tls_certificate"], f"{certificate} with {key}: not usable: {error}") from None
