"""The live feed: the mind's picture kept up to date in the web server, and handed to every open page.

A page gets the full picture when it comes, then what changed, gathered for at most BATCH_S; news of an alarm or a
question waits for nothing and takes with it what was gathered. A page that lags gets a fresh
picture instead of a growing queue; so does every page when a turn of the mind was missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import zmq
import zmq.asyncio

from station.coverage_picture import CoverageView, CoverageWhole
from station.fleet_picture import FleetView
from station.lanes import EVERY_LANE, redact
from station.picture import (
    AlarmView,
    Answer,
    ContactState,
    ContactView,
    Counts,
    Delta,
    DroneView,
    GetPicture,
    MatchView,
    NodeView,
    Picture,
    Request,
    SensorView,
)
from station.settings import StationSettings
from station.subjects import Lane
from station.trails import TrailTeller, whole
from wire.beside import beside
from wire.clock import Clock

BATCH_S = 0.1               # changes are gathered this long at most
BEAT_S = 1.0                # a page that heard nothing for some of these knows that the feed is gone
QUEUE_LIMIT = 30            # messages that wait for one page: 3 s of changes; more and it gets a picture instead
PROBE_AFTER_S = 2.0         # no delta for so long: ask the mind whether it is there
ASK_TIMEOUT_S = 2.0

log = logging.getLogger("trailwatch.web")


class MindSilentError(Exception):
    """The mind gave no answer in time; it is away, or starting."""


class FeedFigures(msgspec.Struct, frozen=True):
    """latency_*: from the capture of a frame to the sending of the contact's update to the pages, milliseconds."""

    latency_p50_ms: float | None
    latency_p99_ms: float | None
    latency_max_ms: float | None
    contact_updates: int
    deltas_received: int
    gaps: int
    messages_sent: int
    pictures_resent: int
    pages: int
    mind_silent_since_ns: int | None
    counts: Counts


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Once a second, and after each picture: the feed lives, what time the station has, and whether the mind is heard."""

    sent_ns: int
    mind_silent_since_ns: int | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None


FeedMessage = Picture | Delta | Beat        # what travels over /feed, as JSON


class LatencyHistogram:
    """Counts in buckets 2 % wide from 1 ms to 10 min, so that a month of updates takes the room of a minute."""

    _RATIO = 1.02
    _BUCKETS = math.ceil(math.log(600_000.0) / math.log(_RATIO)) + 2

    def __init__(self) -> None:
        self._counts = [0] * self._BUCKETS
        self.total = 0
        self.max_ms = 0.0

    def add(self, milliseconds: float) -> None:
        ms = max(milliseconds, 0.0)
        bucket = 0 if ms < 1.0 else min(int(math.log(ms) / math.log(self._RATIO)) + 1, self._BUCKETS - 1)
        self._counts[bucket] += 1
        self.total += 1
        self.max_ms = max(self.max_ms, ms)

    def quantile_ms(self, q: float) -> float | None:
        """The upper edge of the bucket in which the q-quantile lies (at most 2 % too much); None before the first value."""
        if self.total == 0:
            return None
        rank, seen = math.ceil(q * self.total), 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return round(min(self._RATIO**bucket, self.max_ms), 1)
        return self.max_ms


class PictureKeeper:
    """The picture of now: the mind's last full one with every delta since laid over it."""

    def __init__(self, empty: Picture) -> None:
        self.replace(empty)

    def replace(self, picture: Picture) -> None:
        self._picture = picture
        self.turn, self.at_ns = picture.turn, picture.at_ns
        self.counts = picture.counts
        self.contacts = {c.id: c for c in picture.contacts}
        self.alarms = {a.id: a for a in picture.alarms}
        self.matches = {m.id: m for m in picture.matches}
        self.sensors = {s.id: s for s in picture.sensors}
        self.nodes = {n.node: n for n in picture.nodes}
        self.drones = {d.drone: d for d in picture.drones}
        self.coverage = {c.corridor: c for c in picture.coverage}
        self.coverage_whole = picture.coverage_whole
        self.fleets = {f.node: f for f in picture.fleets}

    def follows(self, delta: Delta) -> bool:
        """Whether this delta is the next one. A mind that started again counts its turns from the beginning."""
        return delta.turn == self.turn + 1

    def is_old(self, delta: Delta) -> bool:
        """Whether the picture holds this delta already: it was on its way while the picture was asked for."""
        return delta.turn <= self.turn and delta.at_ns <= self.at_ns

    def lay(self, delta: Delta) -> None:
        self.turn, self.at_ns = delta.turn, delta.at_ns
        self.counts = delta.counts or self.counts
        self.contacts.update((c.id, c) for c in delta.contacts)
        for gone in delta.contacts_gone:
            self.contacts.pop(gone, None)
        self.alarms.update((a.id, a) for a in delta.alarms)
        self.matches.update((m.id, m) for m in delta.matches)
        self.sensors.update((s.id, s) for s in delta.sensors)
        self.nodes.update((n.node, n) for n in delta.nodes)
        self.drones.update((d.drone, d) for d in delta.drones)
        self.coverage.update((c.corridor, c) for c in delta.coverage)
        self.coverage_whole = delta.coverage_whole or self.coverage_whole
        self.fleets.update((f.node, f) for f in delta.fleets)

    def picture(self) -> Picture:
        return Picture(
            realm=self._picture.realm,
            turn=self.turn,
            at_ns=self.at_ns,
            contacts=tuple(self.contacts.values()),
            alarms=tuple(self.alarms.values()),
            matches=tuple(self.matches.values()),
            sensors=tuple(self.sensors.values()),
            nodes=tuple(self.nodes.values()),
            drones=tuple(self.drones.values()),
            counts=self.counts,
            coverage=tuple(self.coverage.values()),
            coverage_whole=self.coverage_whole,
            fleets=tuple(self.fleets.values()),
        )


class Gathered:
    """Deltas between two sendings, the newest value of each id."""

    def __init__(self) -> None:
        self.contacts: dict[str, ContactView] = {}
        self.gone: dict[str, None] = {}
        self.alarms: dict[str, AlarmView] = {}
        self.matches: dict[str, MatchView] = {}
        self.sensors: dict[str, SensorView] = {}
        self.nodes: dict[str, NodeView] = {}
        self.drones: dict[str, DroneView] = {}
        self.counts: Counts | None = None
        self.coverage: dict[str, CoverageView] = {}
        self.coverage_whole: CoverageWhole | None = None
        self.fleets: dict[str, FleetView] = {}
        self.captured_ns: list[int] = []
        self.any = False

    def add(self, delta: Delta, known: dict[str, ContactView]) -> None:
        self.any = True
        for contact in delta.contacts:
            self.contacts[contact.id] = contact
            self.gone.pop(contact.id, None)
            before = known.get(contact.id)
            if contact.state is ContactState.LIVE and (before is None or contact.last_seen_ns > before.last_seen_ns):
                self.captured_ns.append(contact.last_seen_ns)
        for gone in delta.contacts_gone:
            self.contacts.pop(gone, None)
            self.gone[gone] = None
        self.alarms.update((a.id, a) for a in delta.alarms)
        self.matches.update((m.id, m) for m in delta.matches)
        self.sensors.update((s.id, s) for s in delta.sensors)
        self.nodes.update((n.node, n) for n in delta.nodes)
        self.drones.update((d.drone, d) for d in delta.drones)
        self.coverage.update((c.corridor, c) for c in delta.coverage)
        self.coverage_whole = delta.coverage_whole or self.coverage_whole
        self.fleets.update((f.node, f) for f in delta.fleets)
        self.counts = delta.counts or self.counts

    def delta(self, turn: int, at_ns: int) -> Delta:
        return Delta(
            turn=turn,
            at_ns=at_ns,
            contacts=tuple(self.contacts.values()),
            contacts_gone=tuple(self.gone),
            alarms=tuple(self.alarms.values()),
            matches=tuple(self.matches.values()),
            sensors=tuple(self.sensors.values()),
            nodes=tuple(self.nodes.values()),
            drones=tuple(self.drones.values()),
            counts=self.counts,
            coverage=tuple(self.coverage.values()),
            coverage_whole=self.coverage_whole,
            fleets=tuple(self.fleets.values()),
        )


class Outgoing(NamedTuple):
    """One message for a page. text: JSON. content: what `text` was encoded from; None for a beat, which holds no match."""

    text: str
    content: Picture | Delta | None


class Page:
    """The queue of one open page, at most QUEUE_LIMIT messages. lanes: the page receives the matches of these lanes."""

    def __init__(self, lanes: frozenset[Lane]) -> None:
        self.lanes = lanes
        self._waiting: deque[Outgoing] = deque()
        self._something = asyncio.Event()
        self.needs_picture = True
        self._something.set()

    def put(self, message: Outgoing) -> bool:
        """Queue a message; False when the page lags so far that it will get a whole picture instead."""
        if self.needs_picture:
            return True
        if len(self._waiting) >= QUEUE_LIMIT:
            self.start_over()
            return False
        self._waiting.append(message)
        self._something.set()
        return True

    def start_over(self) -> None:
        self._waiting.clear()
        self.needs_picture = True
        self._something.set()

    async def next(self, feed: Feed) -> Outgoing:
        """The next message for this page; waits until there is one."""
        while True:
            if self.needs_picture:
                self.needs_picture = False
                self._waiting.append(Outgoing(feed.beat_message(), None))
                content = redact(self.lanes, feed.picture())
                return Outgoing(feed.encode(content), content)
            if self._waiting:
                return self._waiting.popleft()
            self._something.clear()
            await self._something.wait()


class Feed:
    """Follows the mind over its local sockets, and serves the open pages. One a web server; lives in its event loop."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._context: zmq.asyncio.Context = zmq.asyncio.Context()
        self._pages: set[Page] = set()
        self.listeners: list[Callable[[Picture | Delta], None]] = []     # hear what pages get, as it is sent
        nothing = Counts(messages_stored=0, detections_stored=0, refused={})
        self._kept = PictureKeeper(Picture(settings.realm, -1, 0, (), (), (), (), (), (), nothing))
        self._gathered = Gathered()
        self._gathered_something, self._is_urgent = asyncio.Event(), asyncio.Event()
        self._latency = LatencyHistogram()
        self._silent_since_ns: int | None = clock.utc_ns()
        self._heard_ns = clock.monotonic_ns()
        self._deltas = self._gaps = self._sent = self._resent = 0
        self._encoder = msgspec.json.Encoder()
        self._deltas_in = msgspec.msgpack.Decoder(Delta)
        self._answers_in: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)

    # ----------------------------------------------------------------------------------------------------- for pages

    def join(self, lanes: frozenset[Lane] = EVERY_LANE) -> Page:
        page = Page(lanes)
        self._pages.add(page)
        return page

    def leave(self, page: Page) -> None:
        self._pages.discard(page)

    def picture(self) -> Picture:
        return self._kept.picture()

    def match(self, match_id: str) -> MatchView | None:
        return self._kept.matches.get(match_id)

    def encode(self, content: Picture | Delta) -> str:
        return self._encoder.encode(content).decode()

    def beat_message(self) -> str:
        p50, p99 = self._latency.quantile_ms(0.50), self._latency.quantile_ms(0.99)
        return self._encoder.encode(Beat(self._clock.utc_ns(), self._silent_since_ns, p50, p99)).decode()

    def figures(self) -> FeedFigures:
        return FeedFigures(
            latency_p50_ms=self._latency.quantile_ms(0.50),
            latency_p99_ms=self._latency.quantile_ms(0.99),
            latency_max_ms=round(self._latency.max_ms, 1) if self._latency.total else None,
            contact_updates=self._latency.total,
            deltas_received=self._deltas,
            gaps=self._gaps,
            messages_sent=self._sent,
            pictures_resent=self._resent,
            pages=len(self._pages),
            mind_silent_since_ns=self._silent_since_ns,
            counts=self._kept.counts,
        )

    # --------------------------------------------------------------------------------------------------- to the mind

    async def ask(self, request: Request, timeout_s: float = ASK_TIMEOUT_S) -> Answer:
        """One question, one answer. Raises MindSilentError. A socket each: an answer that comes late meets nobody."""
        socket: Any = self._context.socket(zmq.REQ)
        socket.linger = 0
        try:
            socket.connect(self._settings.mind_ask)
            async with asyncio.timeout(timeout_s):
                await socket.send(msgspec.msgpack.encode(request))
                answer = await socket.recv()
            return self._answers_in.decode(answer)
        except (TimeoutError, zmq.ZMQError, msgspec.DecodeError) as error:
            raise MindSilentError(str(error) or "no answer") from None
        finally:
            socket.close()

    async def run(self) -> None:
        """Follow the mind until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._flush())
                tasks.create_task(self._beat())
        finally:
            self._context.destroy(linger=0)

    async def _follow(self) -> None:
        socket: Any = self._context.socket(zmq.SUB)
        socket.subscribe(b"")
        socket.connect(self._settings.mind_feed)
        await self._renew()
        while True:
            try:
                async with asyncio.timeout(PROBE_AFTER_S if self._silent_since_ns is None else BEAT_S):
                    data = await socket.recv()
            except TimeoutError:
                await self._renew()
                continue
            try:
                delta = self._deltas_in.decode(data)
            except msgspec.DecodeError as error:
                log.warning("the mind sent a delta that does not parse (%s); asking for the whole picture", error)
                await self._renew()
                continue
            self._heard()
            self._deltas += 1
            if self._kept.follows(delta):
                delta = whole(delta, self._kept.contacts)
                self._gathered.add(delta, self._kept.contacts)
                self._kept.lay(delta)
                self._gathered_something.set()
                if delta.alarms or delta.matches:
                    self._is_urgent.set()       # the mind has gathered already: no more than ten of these a second
            elif not self._kept.is_old(delta):
                self._gaps += 1
                await self._renew()

    async def _renew(self) -> None:
        """Ask for the whole picture; when it differs from the kept one, every page gets it."""
        try:
            answer = await self.ask(GetPicture())
        except MindSilentError:
            if self._silent_since_ns is None:
                quiet_ns = self._clock.monotonic_ns() - self._heard_ns
                self._silent_since_ns = self._clock.utc_ns() - quiet_ns
                log.warning("the mind is silent; pages keep the last picture and say so")
                self._send_beat()
            return
        if not isinstance(answer, Picture):
            return
        was_silent = self._silent_since_ns is not None
        self._heard()
        if answer.turn == self._kept.turn and not was_silent:
            return
        self._kept.replace(answer)
        self._gathered = Gathered()
        for listener in self.listeners:
            listener(self._kept.picture())
        for page in self._pages:
            page.start_over()
            self._resent += 1

    def _heard(self) -> None:
        self._heard_ns = self._clock.monotonic_ns()
        if self._silent_since_ns is not None:
            self._silent_since_ns = None
            self._send_beat()

    async def _flush(self) -> None:
        trails = TrailTeller()          # every page hears every delta, or gets a picture that is newer
        while True:
            await self._gathered_something.wait()
            self._gathered_something.clear()
            self._is_urgent.clear()
            gathered, self._gathered = self._gathered, Gathered()
            if gathered.any:
                now = self._clock.utc_ns()
                delta = gathered.delta(self._kept.turn, self._kept.at_ns)
                self._send_delta(trails.told(delta))
                for listener in self.listeners:
                    listener(delta)
                for captured in gathered.captured_ns:
                    self._latency.add((now - captured) / 1e6)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BATCH_S):
                    await self._is_urgent.wait()

    async def _beat(self) -> None:
        while True:
            self._send_beat()
            await asyncio.sleep(BEAT_S)

    def _send_beat(self) -> None:
        self._send(Outgoing(self.beat_message(), None))

    def _send_delta(self, delta: Delta) -> None:
        """Send each page the part of the delta that it may receive. Pages with the same lanes share one encoding."""
        if not (delta.alarms or delta.matches):
            self._send(Outgoing(self.encode(delta), delta))
            return
        for lanes in {page.lanes for page in self._pages}:
            content = redact(lanes, delta)
            self._send(Outgoing(self.encode(content), content), lanes)

    def _send(self, message: Outgoing, lanes: frozenset[Lane] | None = None) -> None:
        """Queue a message for the pages with exactly these lanes, or for every page."""
        for page in self._pages:
            if lanes is not None and page.lanes != lanes:
                continue
            if page.put(message):
                self._sent += 1
            else:
                self._resent += 1


@contextlib.asynccontextmanager
async def following(feed: Feed) -> Any:
    """The feed follows the mind as long as the block runs."""
    async with beside(feed.run()):
        yield feed


