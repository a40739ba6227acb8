"""Replay for the page: under an address of its own, with a feed of its own, without the secret that a change would need.

The page under /replay is the live page; a style sheet of its own frames and marks it before any script runs, and its scripts
ask /replay/feed. /api/me?replay=yes gives it a person who decides nothing and no CSRF secret, so that no press can change
anything, whatever the page does. That somebody looks at the past is on the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Annotated

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from station.access import Session
from station.feed import Beat
from station.guard import answer_json, is_own_origin
from station.journal import Block, JournalReader, reading
from station.picture import Counts, Delta, Picture
from station.queries import EVER_NS
from station.record import Record
from station.replay import FASTEST, SLOWEST, Player
from station.shelf import HTML, page
from station.store import StoreError
from station.web_api import ApiRoute
from station.web_door import Door, to_login
from station.web_feed import SESSION_CHECK_S
from wire.clock import NS_PER_S

TICK_S = 0.1                        # as station.feed.BATCH_S
BEAT_TICKS = 10
BEFORE_NS = 300 * NS_PER_S          # what is replayed where nobody says what
REPLAYS_LIMIT = 8                   # at the same moment


class Span(msgspec.Struct, frozen=True):
    """What can be replayed; null before there is anything. now_ns: the station's clock."""

    first_ns: int | None
    last_ns: int | None
    now_ns: int


class Where(msgspec.Struct, frozen=True, tag="replay"):
    """With each beat of a replay: the moment that is shown, and how it goes on. empty: nothing was kept of the interval."""

    at_ns: int
    from_ns: int
    to_ns: int
    speed: float
    paused: bool
    ended: bool
    empty: bool = False


class Control(msgspec.Struct, frozen=True):
    """What the page says. Words of the live page (how it watches) come here too, and are none of these."""

    paused: bool | None = None
    speed: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] | None = None
    seek_ns: Annotated[int, msgspec.Meta(ge=0, le=EVER_NS)] | None = None


class Asked(msgspec.Struct, frozen=True):
    """from: where it begins, UTC nanoseconds; without it five minutes before the end. to: where it ends."""

    from_ns: Annotated[int, msgspec.Meta(ge=0, le=EVER_NS)] | None = msgspec.field(default=None, name="from")
    to_ns: Annotated[int, msgspec.Meta(ge=0, le=EVER_NS)] | None = msgspec.field(default=None, name="to")
    speed: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] = 1.0


class ReplayRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._running = 0
        self._page = page("index.html", door.settings.realm, is_replay=True)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/replay", self.page),
            ApiRoute("/api/replay", self.span, "What can be replayed.", answer=Span),
            WebSocketRoute("/replay/feed", self.feed),
        ]

    async def page(self, request: Request) -> Response:
        if await self._door.entered(request) is None:
            return to_login(request)
        return Response(self._page, media_type=HTML)

    async def span(self, request: Request) -> Response:
        await self._door.known(request)
        first, last = await anyio.to_thread.run_sync(self._read_span) or (None, None)
        return answer_json(Span(first, last, self._door.clock.utc_ns()))

    def _read_span(self) -> tuple[int, int] | None:
        with reading(self._door.settings) as reader:
            return reader.span() if reader is not None else None

    async def feed(self, websocket: WebSocket) -> None:
        session = await self._door.session(websocket)
        if not is_own_origin(websocket) or session is None or session.person.must_change_password:
            await websocket.close(code=4401)
            return
        try:
            asked = msgspec.convert(dict(websocket.query_params), Asked, strict=False)
        except msgspec.ValidationError:
            await websocket.close(code=4400)
            return
        if self._running >= REPLAYS_LIMIT:
            await websocket.close(code=4429)
            return
        self._running += 1
        try:
            await self._replay(websocket, session, asked)
        except* (WebSocketDisconnect, RuntimeError, OSError):
            pass        # the page is gone; Starlette says so with any of these, depending on the moment
        finally:
            self._running -= 1

    async def _replay(self, websocket: WebSocket, session: Session, asked: Asked) -> None:
        span = await anyio.to_thread.run_sync(self._read_span)
        await websocket.accept()
        now_ns = self._door.clock.utc_ns()
        first_ns, last_ns = span or (now_ns, now_ns)
        to_ns = min(asked.to_ns if asked.to_ns is not None else last_ns, last_ns)
        from_ns = min(max(asked.from_ns if asked.from_ns is not None else to_ns - BEFORE_NS, first_ns), to_ns)
        await anyio.to_thread.run_sync(self._note, session.person.name, from_ns, to_ns)
        replaying = _Replaying(self._door, session, from_ns, to_ns, asked.speed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(websocket, replaying))
                tasks.create_task(self._while_it_lasts(websocket, session))
                await replaying.run(websocket)
        finally:
            await anyio.to_thread.run_sync(replaying.close)

    def _note(self, person: str, from_ns: int, to_ns: int) -> None:
        record = Record(self._door.settings, self._door.clock)
        with contextlib.closing(record):
            record.append(person, "replay.opened", {"from_ns": from_ns, "to_ns": to_ns})

    async def _while_it_lasts(self, websocket: WebSocket, session: Session) -> None:
        while await anyio.to_thread.run_sync(self._door.people.lasts, session):
            await asyncio.sleep(SESSION_CHECK_S)
        await websocket.close(code=4401)
        raise WebSocketDisconnect(4401)

    async def _listen(self, websocket: WebSocket, replaying: _Replaying) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            with contextlib.suppress(msgspec.DecodeError):
                replaying.take(msgspec.json.decode(message.get("text") or b"", type=Control))


class _Replaying:
    """One page's replay: its player, and its clock."""

    def __init__(self, door: Door, session: Session, from_ns: int, to_ns: int, speed: float) -> None:
        self._door, self._session = door, session
        self._from_ns, self._to_ns = from_ns, to_ns
        self._speed, self._paused = speed, False
        self._seek_ns: int | None = from_ns
        self._player: Player | None = None
        self._reader: JournalReader | None = None

    def take(self, control: Control) -> None:
        if control.paused is not None:
            self._paused = control.paused
        if control.speed is not None:
            self._speed = control.speed
        if control.seek_ns is not None:
            self._seek_ns = min(max(control.seek_ns, self._from_ns), self._to_ns)

    async def run(self, websocket: WebSocket) -> None:
        clock, tick = self._door.clock, 0
        last_ns = clock.monotonic_ns()
        while True:
            now_ns = clock.monotonic_ns()
            passed_ns, last_ns = now_ns - last_ns, now_ns
            told: Picture | Delta | None = None
            if self._seek_ns is not None:
                seek_ns, self._seek_ns = self._seek_ns, None
                self._player = await anyio.to_thread.run_sync(self._start, seek_ns)
                told = self._player.picture() if self._player else self._nothing()
                tick = 0
            elif self._player is not None and not self._paused:
                told = await anyio.to_thread.run_sync(self._player.advance, round(passed_ns * self._speed))
            if told is not None:
                told = await self._door.permitted(self._session, told)
                await websocket.send_text(msgspec.json.encode(told).decode())
            if tick % BEAT_TICKS == 0:
                await self._beat(websocket)
            tick += 1
            await asyncio.sleep(TICK_S)

    async def _beat(self, websocket: WebSocket) -> None:
        player = self._player
        at_ns = player.at_ns if player else self._to_ns
        await websocket.send_text(msgspec.json.encode(Beat(at_ns, None, None, None)).decode())
        where = Where(
            at_ns, self._from_ns, self._to_ns, self._speed, self._paused, player is None or player.ended, player is None
        )
        await websocket.send_text(msgspec.json.encode(where).decode())

    def _start(self, at_ns: int) -> Player | None:
        """A player at a moment; None where there is nothing from it on, or the journal cannot be read."""
        try:
            if self._reader is None:
                self._reader = JournalReader(self._door.settings)
            found = self._reader.at(at_ns)
            if found is None or found[1].picture.at_ns > self._to_ns:
                return None
            return Player(found[1], at_ns, self._to_ns, self._following)
        except (FileNotFoundError, StoreError, sqlite3.Error):
            return None

    def _following(self, block: Block) -> Block | None:
        try:
            found = self._reader.after(block) if self._reader else None
        except sqlite3.Error:
            return None
        return found[1] if found else None

    def _nothing(self) -> Picture:
        nothing = Counts(messages_stored=0, detections_stored=0, refused={})
        return Picture(self._door.settings.realm, 0, self._to_ns, (), (), (), (), (), (), nothing)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
