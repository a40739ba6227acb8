"""Keeps the journal while the web server runs: hears what pages get, writes blocks, and erases what is over; in threads."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import anyio.to_thread

from station.feed import Feed
from station.journal import BLOCK_NS, WRITE_EVERY_NS, Block, Gatherer, JournalFile
from station.picture import Delta, Picture
from station.retention_journal import JournalRetention
from station.settings import StationSettings
from wire.beside import beside
from wire.clock import Clock

LOOK_EVERY_S = 1.0


class JournalKeeper:
    """Listens to a feed. `run` until cancelled; the block of now is then written."""

    def __init__(self, settings: StationSettings, feed: Feed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock
        self._gatherer = Gatherer()
        self._cut: list[Block] = []         # blocks that a whole picture has ended
        self._heard = False                 # anything since the block began
        self._file = JournalFile(settings, clock)
        self._retention = JournalRetention(self._file.db, settings, clock)
        self._began_ns = self._written_ns = clock.monotonic_ns()
        feed.listeners.append(self._take)

    def _take(self, told: Picture | Delta) -> None:
        if isinstance(told, Delta):
            if self._gatherer.block() is not None:
                self._gatherer.take(told)
                self._heard = True
            return
        # A whole picture: the mind was away, or a turn was missed. What was before it is a block of its own.
        block = self._gatherer.block()
        if block is not None and self._heard:
            self._cut.append(block)
        self._begin(told)

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                await self._look()
                await anyio.to_thread.run_sync(self._retention.step)
        finally:
            block = self._gatherer.block()
            for full in [*self._cut, *([block] if block is not None and self._heard else [])]:
                self._file.write(full, True)
            self._file.close()

    async def _look(self) -> None:
        # All that is to be written is taken before anything is awaited: a whole picture may come in between.
        due, self._cut = [(block, True) for block in self._cut], []
        now_ns, current = self._clock.monotonic_ns(), self._gatherer.block()
        is_full = now_ns - self._began_ns >= BLOCK_NS
        if current is not None and self._heard and (is_full or now_ns - self._written_ns >= WRITE_EVERY_NS):
            due.append((current, is_full))
            self._written_ns = now_ns
            if is_full:
                self._begin(self._feed.picture())
        for block, is_last in due:
            await anyio.to_thread.run_sync(self._file.write, block, is_last)

    def _begin(self, picture: Picture) -> None:
        self._gatherer.begin(picture)
        self._heard = False
        self._began_ns = self._written_ns = self._clock.monotonic_ns()


def keeping(settings: StationSettings, feed: Feed, clock: Clock) -> AbstractAsyncContextManager[None]:
    """The journal is kept as long as the block runs."""
    return beside(JournalKeeper(settings, feed, clock).run())
