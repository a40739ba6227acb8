"""Tells the mind how many screens are watched: what the open pages say of themselves, counted every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from station.alarm_watch import SCREEN_EVERY_S
from station.duty import NoteWatch
from station.feed import MindSilentError
from station.web_door import Door


@contextlib.asynccontextmanager
async def telling_who_watches(door: Door) -> AsyncIterator[None]:
    """Runs beside the server. A mind that is away is told the next time: it counts silence as nobody."""
    task = asyncio.create_task(_tell(door))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _tell(door: Door) -> None:
    while True:
        with contextlib.suppress(MindSilentError):
            await door.feed.ask(NoteWatch(door.screens.watched(door.clock.monotonic_ns())))
        await asyncio.sleep(SCREEN_EVERY_S)
