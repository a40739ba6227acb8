"""The live feed over a WebSocket, as long as the page is there and its session lasts."""

from __future__ import annotations

import asyncio
import contextlib

import anyio.to_thread
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from station.access import WHO_DECIDES, Session
from station.guard import is_own_origin
from station.lanes import NO_LANE, lanes_of, redact
from station.web_door import Door
from wire.clock import NS_PER_S

SESSION_CHECK_S = 20.0          # an open feed looks this often whether its session still lasts


class FeedRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/feed", self.feed)]

    async def feed(self, websocket: WebSocket) -> None:
        session = await self._door.session(websocket)
        if not is_own_origin(websocket) or session is None or session.person.must_change_password:
            await websocket.close(code=4401)
            return
        await websocket.accept()
        feed = self._door.feed
        page = feed.join(lanes_of(session.person.role))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(websocket, session, id(page)))
                while True:
                    text, content = await page.next(feed)
                    if content is not None and not await self._door.deliveries.record(session, content.matches):
                        text = feed.encode(redact(NO_LANE, content))
                    await websocket.send_text(text)
        except* (WebSocketDisconnect, RuntimeError, OSError):
            pass        # the page is gone; Starlette says so with any of these, depending on the moment
        finally:
            feed.leave(page)
            self._door.screens.gone(id(page))

    async def _watch(self, websocket: WebSocket, session: Session, page: int) -> None:
        """Ends the feed when the page goes away, or when its session does. What the page says of itself is noted."""
        clock, may_decide = self._door.clock, session.person.role in WHO_DECIDES
        checked_ns = clock.monotonic_ns()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SESSION_CHECK_S):
                    message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1000))
                self._door.screens.heard(page, message.get("text"), may_decide, clock.monotonic_ns())
            # A page that speaks must not keep its session from being looked at.
            if clock.monotonic_ns() - checked_ns < SESSION_CHECK_S * NS_PER_S:
                continue
            checked_ns = clock.monotonic_ns()
            if not await anyio.to_thread.run_sync(self._door.people.lasts, session):
                await websocket.close(code=4401)
                raise WebSocketDisconnect(4401)
