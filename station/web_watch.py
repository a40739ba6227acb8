"""Tells the mind how many screens are watched: what the open pages say of themselves, counted every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager

from station.alarm_watch import SCREEN_EVERY_S
from station.duty import NoteWatch
from station.feed import MindSilentError
from station.web_door import Door
from wire.beside import beside


def telling_who_watches(door: Door) -> AbstractAsyncContextManager[None]:
    """Runs beside the server. A mind that is away is told the next time: it counts silence as nobody."""
    return beside(_tell(door))


async def _tell(door: Door) -> None:
    while True:
        with contextlib.suppress(MindSilentError):
            await door.feed.ask(NoteWatch(door.screens.watched(door.clock.monotonic_ns())))
        await asyncio.sleep(SCREEN_EVERY_S)
