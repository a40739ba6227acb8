"""A line between browser and station: so many bytes a second each way, and a delay that each byte has once.

Chromium's own emulation (Network.emulateNetworkConditions) has each small piece of a WebSocket wait for the delay anew: a
picture of 2.4 MB took 1.1 to 2.7 s on an idle page that had it in 0.08 to 0.19 s without, and more where the page was busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from queue import Queue

PIECE = 64 * 1024
PIECES_ON_THE_WAY = 32


class _Way:
    """One direction, shared by all connections."""

    def __init__(self, bytes_per_s: float, delay_s: float) -> None:
        self._bytes_per_s, self._delay_s = bytes_per_s, delay_s
        self._free_at = 0.0

    async def carry(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_ON_THE_WAY)
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._arrive(on_the_way, to))
                now = asyncio.get_running_loop().time
                while True:
                    piece = await source.read(PIECE)
                    self._free_at = max(self._free_at, now()) + len(piece) / self._bytes_per_s
                    await on_the_way.put((self._free_at + self._delay_s, piece))
                    if not piece:
                        return

    async def _arrive(self, on_the_way: asyncio.Queue[tuple[float, bytes]], to: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time
        while True:
            at, piece = await on_the_way.get()
            await asyncio.sleep(max(0.0, at - now()))
            if not piece:
                to.close()
                return
            to.write(piece)
            await to.drain()


@contextlib.contextmanager
def line_to(host: str, port: int, bytes_per_s: float, delay_s: float) -> Iterator[int]:
    """The port of 127.0.0.1 at which the line begins that ends at host and port, as long as the block runs."""
    begun: Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Queue()
    up, down = _Way(bytes_per_s, delay_s), _Way(bytes_per_s, delay_s)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A handler that is cancelled, as each is at the end, is reported by Python 3.11 as an exception that nobody caught.
        with contextlib.suppress(OSError, ExceptionGroup, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(up.carry(reader, far_writer), down.carry(far_reader, writer))

    async def serve() -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        begun.put((asyncio.get_running_loop(), over, server.sockets[0].getsockname()[1]))
        await over.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)     # which ends what is still on its way
    thread.start()
    loop, over, port_here = begun.get(timeout=10)
    try:
        yield port_here
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(5)
