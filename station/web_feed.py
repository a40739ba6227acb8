"""The live feed over a WebSocket, as long as the page is there and its session lasts."""

from __future__ import annotations

import asyncio

import anyio.to_thread
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from station.guard import is_own_origin
from station.web_door import Door

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
        page = feed.join()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(websocket, session.token))
                while True:
                    message = await page.next(feed)
                    await websocket.send_text(message.decode())
        except* (WebSocketDisconnect, RuntimeError, OSError):
            pass        # the page is gone; Starlette says so with any of these, depending on the moment
        finally:
            feed.leave(page)

    async def _watch(self, websocket: WebSocket, token: str) -> None:
        """Ends the feed when the page goes away, or when its session does."""
        while True:
            try:
                async with asyncio.timeout(SESSION_CHECK_S):
                    message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1000))
            except TimeoutError:
                if await anyio.to_thread.run_sync(self._door.people.session, token) is None:
                    await websocket.close(code=4401)
                    raise WebSocketDisconnect(4401) from None
