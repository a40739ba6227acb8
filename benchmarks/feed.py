"""The live feed: a web server with 50 browsers on it, 500 updates of contacts a second, and some that stop reading.

The server is the real one, in a process of its own; a mind with nothing to think tells it what the real one tells, at the
real one's pace (a delta each 100 ms), with whole trails; the browsers are WebSockets that offer compression, as browsers do,
in another process. Processor time is the server's alone, all its threads, the journal's included. Late is an update from the
telling by the mind to its arrival at a browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import multiprocessing
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import psutil
import zmq
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_browser
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from benchmarks.form import Figure, figure
from benchmarks.ingest_load import session_headers
from benchmarks.ingest_stage import METRES_A_DEGREE, clock, cpu_s, running, write_station
from station.access import Role, add_person
from station.contacts import TRAIL_LIMIT
from station.picture import ContactState, ContactView, Counts, Delta, Done, GetPicture, Picture, Request, TrailPoint
from station.settings import StationSettings
from station.trails import TrailTeller
from wire.clock import NS_PER_S
from wire.units import Covariance2, GroundPosition, ObjectClass

BROWSERS, STUCK = 50, 10
UPDATES_PER_S, DELTAS_PER_S = 500, 10
CONTACTS = 250                      # each is updated twice a second
RUN_S = float(os.environ.get("TRAILWATCH_BENCH_FEED_S", "12"))
RUNS = 3
WARM_UP_S = 3.0
EARS_BYTES = 4096                   # what a browser that stops reading takes: nothing is hidden in its buffers
PASSWORD = "mot cau de do"


class _Late(msgspec.Struct):
    """type: of the message. at_ns: when the mind told it; of a browser that is only counted nothing more is read."""

    type: str
    at_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """late_ms: one value a message and browser, times its updates left out: all of a message come together."""

    late_ms: list[float]
    bytes: int
    messages: int


def measure() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="tw-bench-") as name:
        settings, _ = write_station(Path(name) / "feed", 0)
        add_person(settings, "lan", Role.OPERATOR, PASSWORD)
        with _telling(settings), running(settings, "web") as processes:
            web = processes["web"]
            clock.sleep(WARM_UP_S)
            alone = _core_percent(web, RUN_S / 2)
            cores, lates, volumes, stuck_cores, stuck_lates, memory = [], [], [], [], [], []
            for _ in range(RUNS):
                core, seen, _rss = _with_browsers(settings, web, 0)
                cores.append(core)
                lates.append(seen.late_ms)
                volumes.append(seen.bytes / RUN_S / BROWSERS / 1e3)
                rss_before = web.memory_info().rss
                core, seen, rss = _with_browsers(settings, web, STUCK)
                stuck_cores.append(core)
                stuck_lates.append(seen.late_ms)
                memory.append((rss - rss_before) / 1e6 / STUCK)
    how = (
        f"of one core: {BROWSERS} browsers, {UPDATES_PER_S} updates a second of {CONTACTS} contacts with trails of "
        f"{TRAIL_LIMIT} points, {RUN_S:g} s; load {psutil.getloadavg()[0]:.1f}"
    )
    extra = [b - a for a, b in zip(cores, stuck_cores, strict=True)]
    return {
        "core_percent": figure(cores, "%", how, "< 10"),
        "late_p99_ms": figure([_quantile(x, 0.99) for x in lates], "ms", "from the mind's telling to a browser", "< 150"),
        "late_p50_ms": figure([_quantile(x, 0.5) for x in lates], "ms", "the same"),
        "no_browser_core_percent": figure([alone], "%", "the same server without browsers: reading, gathering, journal"),
        "browser_kb_s": figure(volumes, "kB/s", "to each browser, as its WebSocket gives it"),
        "stuck_core_percent": figure(extra, "%", f"more, with {STUCK} further browsers that stop reading", "< 1"),
        "stuck_late_p99_ms": figure([_quantile(x, 0.99) for x in stuck_lates], "ms", "of the others, beside these", "< 150"),
        "stuck_memory_mb": figure(memory, "MB", "more resident memory for each of these"),
    }


def _quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)] if ordered else math.inf


def _core_percent(process: psutil.Process, seconds: float) -> float:
    before_s, began_ns = cpu_s(process), clock.monotonic_ns()
    clock.sleep(seconds)
    return (cpu_s(process) - before_s) / ((clock.monotonic_ns() - began_ns) / NS_PER_S) * 100


def _with_browsers(settings: StationSettings, web: psutil.Process, stuck: int) -> tuple[float, _Seen, int]:
    """Core percent, what the browsers saw, and the server's memory, once all are connected and have their picture."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    browsers = context.Process(target=_browse, args=(there, settings.file, BROWSERS, stuck), daemon=True)
    browsers.start()
    here.recv()
    core = _core_percent(web, RUN_S)
    rss = web.memory_info().rss
    here.send("enough")
    seen: _Seen = here.recv()
    browsers.join(20)
    return core, seen, rss


# ------------------------------------------------------------------------------------------------------------ browsers


def _browse(pipe: Connection, file: Path, count: int, stuck: int) -> None:
    from station.settings import load_station_settings
    from wire.process import die_with_parent

    die_with_parent()
    asyncio.run(_all_browsers(pipe, load_station_settings(file), count, stuck))


async def _all_browsers(pipe: Connection, settings: StationSettings, count: int, stuck: int) -> None:
    headers = session_headers(settings, "lan")
    origin = Origin(headers.pop("Origin"))
    address = f"ws://{settings.web.host}:{settings.web.port}/feed"
    late_ms: list[float] = []
    total = [0, 0]
    counts = asyncio.Event()
    ready = asyncio.Semaphore(0)

    async def reads() -> None:
        decoder = msgspec.json.Decoder(_Late)
        async with connect_browser(address, additional_headers=headers, origin=origin, max_size=None) as line:
            ready.release()
            while True:
                data = await line.recv(decode=False)
                if not counts.is_set():
                    continue
                now_ns = clock.utc_ns()
                total[0] += len(data)
                total[1] += 1
                message = decoder.decode(data)
                if message.type == "delta":
                    late_ms.append((now_ns - message.at_ns) / 1e6)

    async def stops_reading() -> None:
        while True:
            line: ClientConnection = await connect_browser(
                address, additional_headers=headers, origin=origin, max_size=None, max_queue=1, sock=_small_ears(settings)
            )
            ready.release()
            await line.wait_closed()      # the server ends a line that answers no ping for 20 s

    tasks = [asyncio.create_task(reads()) for _ in range(count)]
    tasks += [asyncio.create_task(stops_reading()) for _ in range(stuck)]
    for _ in range(count + stuck):
        await ready.acquire()
    await asyncio.sleep(WARM_UP_S)
    counts.set()
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    counts.clear()
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
        await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send(_Seen(late_ms, total[0], total[1]))


def _small_ears(settings: StationSettings) -> socket.socket:
    it = socket.socket()
    it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, EARS_BYTES)
    it.connect((settings.web.host, settings.web.port))
    it.setblocking(False)
    return it


# ------------------------------------------------------------------------------------------------------------ the mind


@contextlib.contextmanager
def _telling(settings: StationSettings) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    mind = context.Process(target=_tell, args=(there, settings.file), daemon=True)
    mind.start()
    here.recv()
    try:
        yield
    finally:
        mind.terminate()
        mind.join(10)


def _tell(pipe: Connection, file: Path) -> None:
    """A mind's sockets: answers for its picture, and a delta each 100 ms."""
    from station.settings import load_station_settings
    from wire.process import die_with_parent

    die_with_parent()
    settings = load_station_settings(file)
    settings.make_folders()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    feed, ask = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
    feed.bind(settings.mind_feed)
    ask.bind(settings.mind_ask)
    decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
    now_ns = clock.utc_ns()
    ages_ns = [(TRAIL_LIMIT - i) * 2 * NS_PER_S for i in range(TRAIL_LIMIT)]
    contacts = {n: _contact(n, now_ns, tuple(_point(n, now_ns - age) for age in ages_ns)) for n in range(CONTACTS)}
    turn, next_one, trails = 0, 0, TrailTeller()
    each = UPDATES_PER_S // DELTAS_PER_S
    due_ns = clock.monotonic_ns()
    pipe.send("ready")
    while True:
        wait_ms = max(0, (due_ns - clock.monotonic_ns()) // 1_000_000)
        if ask.poll(wait_ms):
            *road, question = ask.recv_multipart()
            request = decoder.decode(question)
            answer: Picture | Done = Done()
            if isinstance(request, GetPicture):
                nothing = Counts(0, 0, {})
                answer = Picture(settings.realm, turn, clock.utc_ns(), tuple(contacts.values()), (), (), (), (), (), nothing)
            ask.send_multipart([*road, msgspec.msgpack.encode(answer)])
            continue
        if clock.monotonic_ns() < due_ns:
            continue
        due_ns += NS_PER_S // DELTAS_PER_S
        turn += 1
        now_ns = clock.utc_ns()
        told = []
        for _ in range(each):
            n, next_one = next_one, (next_one + 1) % CONTACTS
            trail = contacts[n].trail
            if now_ns - trail[-1].at_ns >= 2 * NS_PER_S:
                trail = (*trail, _point(n, now_ns))[-TRAIL_LIMIT:]
            contacts[n] = _contact(n, now_ns, trail)
            told.append(contacts[n])
        feed.send(msgspec.msgpack.encode(trails.told(Delta(turn, now_ns, tuple(told)))))


def _point(number: int, at_ns: int) -> TrailPoint:
    way_m = (1.4 * at_ns / NS_PER_S) % 600.0
    return TrailPoint(16.60 + number * 14.0 / METRES_A_DEGREE, 106.59 + way_m / METRES_A_DEGREE, at_ns)


def _contact(number: int, now_ns: int, trail: tuple[TrailPoint, ...]) -> ContactView:
    p = _point(number, now_ns)
    return ContactView(
        f"C-{number:06d}", ObjectClass.PERSON, ContactState.LIVE, GroundPosition(p.lat_deg, p.lon_deg),
        Covariance2(1.3217, 0.1034, 1.6421), (1.3811, -0.2213), now_ns - 200 * NS_PER_S, now_ns, 812 + number, 0.8712,
        (f"node-{number % 10}/mast",), ("khe-da",), 412.7, True, None, (), trail, None,
    )
