"""The mind as a process: its sockets and its loop, around station.mind, which does the thinking."""

from __future__ import annotations

import logging
import sqlite3

import msgspec
import zmq

from geofences.sector import load_sector
from station.mind import Mind
from station.picture import Answer, Refused, Request, Sentence
from station.settings import StationSettings
from station.store import NOTICE_TROUBLE, OldSchemaError, UnusableError
from station.trails import TrailTeller
from wire.clock import Clock, WallClock
from wire.codec import encode_down
from wire.process import log_to_stderr, stop_on_signals
from wire.settings import SettingsError

POLL_MS = 100                       # looks at the inbox this often even when no notice comes
DELTA_EVERY_NS = 100_000_000
DOWN_LIMIT_MESSAGES = 200          # places of contacts that wait for an inbox that is away; the next ones say it better

_log = logging.getLogger("trailwatch.mind")


class MindServer:
    """The mind's sockets: woken by the inbox, asked by the web server, heard by whoever listens to the feed."""

    def __init__(self, settings: StationSettings, mind: Mind, clock: Clock) -> None:
        self._mind = mind
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._notice = self._context.socket(zmq.SUB)
        self._feed = self._context.socket(zmq.PUB)
        self._ask = self._context.socket(zmq.ROUTER)
        self._down = self._context.socket(zmq.PUSH)
        self._down.linger = 0
        self._down.sndhwm = DOWN_LIMIT_MESSAGES
        self._down.connect(settings.inbox_down)
        self._notice.conflate = True        # only the newest: it says that there is something, and the disk says what
        self._notice.subscribe(b"")
        self._notice.connect(settings.inbox_notice)
        for socket, where in ((self._feed, settings.mind_feed), (self._ask, settings.mind_ask)):
            try:
                socket.bind(where)
            except zmq.ZMQError as error:
                self.close()
                raise SettingsError(f"{settings.file}: data_dir: {where}: {error.strerror}") from None
        self._poller = zmq.Poller()
        self._poller.register(self._notice, zmq.POLLIN)
        self._poller.register(self._ask, zmq.POLLIN)
        self._decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
        self._trails = TrailTeller()
        self._told_ns = 0
        self._more = False
        self._failing = self._unread = ""
        for file, words in mind.troubles.items():
            mind.store_trouble(file, words)

    def turn(self) -> None:
        """One round: wait for news or a question, think, commit, tell."""
        events = dict(self._poller.poll(0 if self._more else self._wait_ms()))
        if self._notice in events:
            notice = self._notice.recv()
            inbox_trouble = notice[1:].decode(errors="replace") if notice.startswith(NOTICE_TROUBLE) else ""
            self._mind.store_trouble("inbox.db", inbox_trouble)
        self._read()
        try:
            self._mind.pass_time()
            self._mind.commit()
            if self._failing:
                self._failing = ""
                self._mind.store_trouble("mind.db", "")
        except sqlite3.Error as error:
            # What was read stays in memory, and the next commit takes it along.
            if self._failing != str(error):
                _log.error("the disk takes no results: %s. Trying again; nothing is lost, it is all in inbox.db.", error)
            self._failing = str(error)
            self._more = False
            self._mind.store_trouble("mind.db", str(error))
            self._mind.tell_unsaved()
        if self._ask in events:
            self._answer()
        self._tell_places()
        if self._clock.monotonic_ns() - self._told_ns >= DELTA_EVERY_NS:
            delta = self._mind.delta()
            if delta is not None:
                self._told_ns = self._clock.monotonic_ns()
                self._feed.send(msgspec.msgpack.encode(self._trails.told(delta)))

    def _read(self) -> None:
        """What the inbox has stored. A file that cannot be read is an alarm, and is tried again."""
        try:
            self._more = self._mind.read()
        except (sqlite3.Error, UnusableError, OldSchemaError) as error:
            self._more = False
            self._mind.store_trouble("inbox.db", str(error))
            if self._unread != str(error):
                _log.error("what the inbox has stored cannot be read: %s. Trying again.", error)
            self._unread = str(error)
        else:
            if self._unread:
                self._unread = ""
                self._mind.store_trouble("inbox.db", "")

    def _tell_places(self) -> None:
        """Of contacts that drones look at, by way of the inbox, which nobody waits for."""
        for node, target in self._mind.targets():
            try:
                self._down.send_multipart([node.encode(), encode_down(target)], zmq.NOBLOCK)
            except zmq.ZMQError as error:
                _log.debug("a contact's place was not told: %s", error)

    def _wait_ms(self) -> int:
        due_ms = (DELTA_EVERY_NS - (self._clock.monotonic_ns() - self._told_ns)) // 1_000_000
        return max(1, min(POLL_MS, due_ms)) if due_ms > 0 else POLL_MS

    def _answer(self) -> None:
        while True:
            try:
                *road, payload = self._ask.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._ask.send_multipart([*road, msgspec.msgpack.encode(self._reply(payload))], zmq.NOBLOCK)
            except zmq.ZMQError as error:
                _log.debug("an answer was not sent: %s", error)

    def _reply(self, payload: bytes) -> Answer:
        try:
            request = self._decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refused(Sentence("ask.refused.not_understood", {}))
        try:
            return self._mind.answer(request)
        except sqlite3.Error as error:
            _log.error("a decision could not be stored: %s", error)
            return Refused(Sentence("ask.refused.not_stored", {"error": str(error)}))

    def close(self) -> None:
        self._context.destroy(linger=0)


def run_mind(settings: StationSettings, clock: Clock | None = None) -> int:
    """The mind process. Returns 0 after SIGTERM or SIGINT."""
    log_to_stderr()
    stop = stop_on_signals()
    clock = clock or WallClock()
    settings.make_folders()
    mind = Mind(settings, load_sector(settings.sector), clock)
    server = MindServer(settings, mind, clock)
    _log.info("thinking from arrival %d on, realm %s", mind.place, settings.realm.value)
    try:
        while not stop.is_set():
            server.turn()
        try:
            mind.commit(force=True)
        except sqlite3.Error as error:
            _log.error("the last results could not be written: %s. The next start computes them again from inbox.db.", error)
    finally:
        server.close()
        mind.close()
    return 0
