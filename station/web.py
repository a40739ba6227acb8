"""The web server: the families of routes put together, and the process that serves them. Of its own it
writes people.db and orders.db; with persons' changes also the watchlist and the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from station.access import People, open_people
from station.feed import following
from station.guard import SecurityHeaders, show_fault, show_problem, show_store_trouble
from station.journal_keeper import keeping
from station.openapi import OpenApiRoutes
from station.settings import StationSettings
from station.store import StoreError
from station.web_admin import AdminRoutes
from station.web_alarms import AlarmRoutes
from station.web_basemap import BaseMapRoutes
from station.web_contacts import ContactRoutes
from station.web_coverage import CoverageRoutes
from station.web_door import Door
from station.web_duty import DutyRoutes
from station.web_feed import FeedRoutes
from station.web_fleet import FleetRoutes
from station.web_history import HistoryRoutes
from station.web_layers import LayerRoutes
from station.web_login import LoginRoutes
from station.web_matches import MatchRoutes
from station.web_orders import OrderRoutes
from station.web_pages import PageRoutes
from station.web_replay import ReplayRoutes
from station.web_retention import RetentionRoutes
from station.web_watch import telling_who_watches
from station.web_watchlist import WatchlistRoutes
from wire.clock import Clock, WallClock
from wire.settings import refuse

SHUTDOWN_S = 3
log = logging.getLogger("trailwatch.web")


class Web:
    """All routes behind one door. Handlers run in one event loop; password hashing and SQLite in threads."""

    def __init__(self, settings: StationSettings, people: People, clock: Clock) -> None:
        self._door = door = Door(settings, people, clock)
        self.routes: list[BaseRoute] = [
            *PageRoutes(door).routes(),
            *LoginRoutes(door).routes(),
            *AlarmRoutes(door).routes(),
            *MatchRoutes(door).routes(),
            *WatchlistRoutes(door).routes(),
            *AdminRoutes(door).routes(),
            *ContactRoutes(door).routes(),
            *DutyRoutes(door).routes(),
            *OrderRoutes(door).routes(),
            *FleetRoutes(door).routes(),
            *HistoryRoutes(door).routes(),
            *RetentionRoutes(door).routes(),
            *ReplayRoutes(door).routes(),
            *CoverageRoutes(door).routes(),
            *BaseMapRoutes(door).routes(),
            *LayerRoutes(door).routes(),
            *FeedRoutes(door).routes(),
        ]
        self.routes += OpenApiRoutes(door, self.routes).routes()

    def application(self) -> ASGIApp:
        handlers = {
            HTTPException: show_problem, StoreError: show_store_trouble, sqlite3.Error: show_store_trouble, 500: show_fault,
        }
        app = Starlette(routes=self.routes, lifespan=self._lifespan, exception_handlers=handlers)
        return SecurityHeaders(app)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        door = self._door
        async with following(door.feed), telling_who_watches(door), keeping(door.settings, door.feed, door.clock):
            yield


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
    check_tls(settings)
    listener = listen(settings)
    people = open_people(settings, clock)
    try:
        serve_on(listener, settings, Web(settings, people, clock).application(), "map")
    finally:
        people.close()
        listener.close()
    return 0


def serve_on(listener: socket.socket, settings: StationSettings, application: ASGIApp, what: str) -> None:
    """Serve pages until SIGTERM or SIGINT. what: is at that address, for the log."""
    tls = settings.web
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_per_message_deflate=False,       # for each page anew: fifty pages would cost a core (bench feed)
        ws_ping_interval=10.0,
        ws_ping_timeout=10.0,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ssl_certfile=_beside(settings, tls.tls_certificate),
        ssl_keyfile=_beside(settings, tls.tls_key),
    )
    scheme = "https" if tls.tls_certificate else "http"
    address, port = listener.getsockname()[:2]
    log.info("the %s is at %s://%s:%d/", what, scheme, f"[{address}]" if ":" in address else address, port)
    asyncio.run(_Server(config).serve(sockets=[listener]))


def listen(settings: StationSettings) -> socket.socket:
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


def check_tls(settings: StationSettings) -> None:
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
