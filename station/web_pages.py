"""The page itself, its files, and what it shows at its start: geography, picture, figures, snapshots."""

from __future__ import annotations

import gzip
import logging
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geofences.sector import load_sector
from station.feed import FeedFigures
from station.geography import draw_geography
from station.guard import RefusedRequest, accepts_gzip, answer_json
from station.picture import Picture, Sentence
from station.shelf import Shelf
from station.store import INBOX, StoreError, open_reader, read_about_snapshot, read_snapshot
from station.web_api import ApiRoute, Who
from station.web_door import Door, to_login

log = logging.getLogger("trailwatch.web")


T = TypeVar("T")


class SnapshotAbout(msgspec.Struct, frozen=True):
    node: str
    sensor: str
    captured_ns: int


class PageRoutes:
    def __init__(self, door: Door) -> None:
        settings = door.settings
        self._door = door
        self._shelf = Shelf(settings.realm)
        self._geography = msgspec.json.encode(draw_geography(load_sector(settings.sector), settings.sector))
        self._geography_packed = gzip.compress(self._geography)
        self._inbox: sqlite3.Connection | None = None

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.page),
            Route("/login", self.login_page),
            Route("/watchlist", self.desk_page),
            Route("/admin", self.desk_page),
            Route("/pilot", self.desk_page),
            Route("/static/{name:path}", self.static),
            ApiRoute("/api/geography", self.geography, "The sector: border line, corridors, keep-outs, terrain.",
                     answer=dict[str, Any]),
            ApiRoute("/api/picture", self.picture, "Everything that is on the map now.", answer=Picture),
            ApiRoute("/api/figures", self.figures, "How the station runs: delays, counts.", who=Who.NEWCOMERS,
                     answer=FeedFigures),
            ApiRoute("/api/snapshots/{id}/about", self.about_snapshot, "Whose snapshot it is, and of when.",
                     answer=SnapshotAbout),
            ApiRoute("/api/snapshots/{id}", self.snapshot, "A snapshot of a contact.", media="image/jpeg"),
        ]

    async def page(self, request: Request) -> Response:
        if await self._door.entered(request) is None:
            return to_login(request)
        return self._shelf.response(request, "index.html")

    async def desk_page(self, request: Request) -> Response:
        """A page of its own beside the map; what it may show is checked by the routes that it asks."""
        if await self._door.entered(request) is None:
            return to_login(request)
        return self._shelf.response(request, f"{request.url.path.removeprefix('/')}.html")

    async def login_page(self, request: Request) -> Response:
        return self._shelf.response(request, "login.html")

    async def static(self, request: Request) -> Response:
        return self._shelf.response(request, request.path_params["name"])

    async def geography(self, request: Request) -> Response:
        await self._door.known(request)
        if accepts_gzip(request):
            packed = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(self._geography_packed, media_type="application/json", headers=packed)
        return Response(self._geography, media_type="application/json")

    async def picture(self, request: Request) -> Response:
        session = await self._door.known(request)
        return answer_json(await self._door.permitted(session, self._door.feed.picture()))

    async def figures(self, request: Request) -> Response:
        # Open before the password was changed: they say how the station runs, and nothing about anybody.
        await self._door.known(request, may_be_new=True)
        return answer_json(self._door.feed.figures())

    async def snapshot(self, request: Request) -> Response:
        await self._door.known(request)
        jpeg = await anyio.to_thread.run_sync(self._read, read_snapshot, request.path_params["id"])
        if jpeg is None:
            raise RefusedRequest(404, Sentence("refused.no_such_snapshot"))
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600, immutable"})

    async def about_snapshot(self, request: Request) -> Response:
        await self._door.known(request)
        found = await anyio.to_thread.run_sync(self._read, read_about_snapshot, request.path_params["id"])
        if found is None:
            raise RefusedRequest(404, Sentence("refused.no_such_snapshot"))
        return answer_json(SnapshotAbout(*found))

    def _read(self, read: Callable[[sqlite3.Connection, str], T | None], snapshot: str) -> T | None:
        try:
            if self._inbox is None:
                self._inbox = open_reader(self._door.settings.inbox_db, INBOX, self._door.settings.realm)
            return read(self._inbox, snapshot)
        except FileNotFoundError:
            return None         # the inbox has not made its file yet
        except (sqlite3.Error, StoreError) as error:
            log.warning("snapshot %s cannot be read: %s", snapshot, error)
            self._inbox = None
            return None
