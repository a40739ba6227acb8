"""The road from a node's outbox to the station, and the orders that come back on it.

One thread owns one DEALER socket. It sends what waits, keeps a bounded number on their way, sends again what is not
acknowledged, and deletes from the outbox what is. Whatever arrives is parsed or counted; nothing ends the loop but stop().
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from wire.clock import NS_PER_S, Clock
from wire.codec import MAGIC, TRANSPORT_LIMIT_BYTES, RefusedError, decode_down, split_transport
from wire.keys import NodeKey
from wire.messages import Acknowledgement, CorridorSet, Order
from wire.outbox import PICTURE, Identity, Outbox, Pending

BATCH_LIMIT = 32                # envelopes in one message; 30 times the throughput of one by one (DESIGN.md)
BATCH_LIMIT_BYTES = 512 * 1024
WINDOW_LIMIT = 256              # envelopes on their way
PICTURES_LIMIT = 1              # of these, snapshots: on a thin line a picture must not hold up a sighting
RESEND_S = 2.0                  # first; doubles with every attempt
RESEND_LONGEST_S = 30.0
FORGET_S = 60.0
SOCKET_HWM = 64                 # messages queued in the socket, each way
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 2_000, 6_000
HANDSHAKE_MS = 5_000
RECONNECT_MS = (150, 400)       # drawn at random, so that nodes do not return in step after a power cut
RECONNECT_LONGEST_MS = 2_000
RENEW_S = (3.0, 5.0)            # a socket whose handshake was refused is dead for libzmq: a new one, after a random wait
UNHEARD_S = 20.0                # without a handshake: start over with a new socket
POLL_MS = 100                   # a put wakes the thread at once; this bounds only how late a resend is
LOG_AGAIN_S = 60.0              # the same complaint again

Down = Order | CorridorSet

_log = logging.getLogger("trailwatch.uplink")


class UplinkState(StrEnum):
    CONNECTING = "connecting"       # nobody there yet, or not any more
    UP = "up"                       # the handshake succeeded
    REFUSED = "refused"             # the station does not have our key on its list
    UNANSWERED = "unanswered"       # something is there and breaks off the handshake
    STOPPED = "stopped"


class UplinkCounts(msgspec.Struct, frozen=True):
    """Since the start. odd: messages from the station's side that did not parse."""

    sent: int
    resent: int
    acknowledged: int
    refused: int
    odd: int
    connections: int


@dataclass(slots=True)
class _Flight:
    attempts: int
    due_ns: int
    picture: bool


@dataclass(slots=True)
class _Counting:
    sent: int = 0
    resent: int = 0
    acknowledged: int = 0
    refused: int = 0
    odd: int = 0
    connections: int = 0
    said_ns: dict[str, int] = field(default_factory=dict)


class Uplink:
    """Sends one outbox to one station, from a thread of its own.

    endpoint: "tcp://host:port" of the station's inbox. station_public_key: Z85, 40 characters.
    on_down: called in the uplink's thread with every Order and CorridorSet; it should hand over quickly.
    `with Uplink(...)` or start() and stop(). Raises ValueError for a key or an endpoint that cannot be one.
    """

    def __init__(
        self,
        endpoint: str,
        station_public_key: str,
        node_key: NodeKey,
        outbox: Outbox,
        clock: Clock,
        on_down: Callable[[Down], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._station_public = station_public_key.encode("ascii")
        self._key = node_key
        self._outbox = outbox
        self._clock = clock
        self._on_down = on_down
        self._flights: dict[Identity, _Flight] = {}
        self._counting = _Counting()
        self._state = UplinkState.CONNECTING
        self._complaint = ""
        self._stopping = threading.Event()
        self._waker, self._wake_signal = socket.socketpair()
        self._waker.setblocking(False)
        self._wake_signal.setblocking(False)
        self._random = random.Random()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._renew_at_ns: int | None = None
        try:
            self._open()        # here, so that a wrong key or address is the caller's error and not the thread's
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise ValueError(f'"{endpoint}" with the station key "{station_public_key}": {error}') from None
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    # --------------------------------------------------------------------------------------- for the node, any thread

    def start(self) -> Uplink:
        self._outbox.on_put = self.wake
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread and close its socket. What was not acknowledged stays in the outbox."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._outbox.on_put = None

    def __enter__(self) -> Uplink:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wake(self) -> None:
        """Something new waits in the outbox."""
        with contextlib.suppress(OSError):      # full: it is awake already; closed: it has stopped
            self._wake_signal.send(b"\0")

    @property
    def state(self) -> UplinkState:
        return self._state

    @property
    def problem(self) -> str:
        """Why nothing goes through, as a sentence; empty while the line is up."""
        if self._state is UplinkState.UP:
            return ""
        return self._complaint or f"the station at {self._endpoint} is not reached"

    @property
    def counts(self) -> UplinkCounts:
        c = self._counting
        return UplinkCounts(c.sent, c.resent, c.acknowledged, c.refused, c.odd, c.connections)

    # ------------------------------------------------------------------------------------------------ the thread

    def _open(self) -> None:
        s: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        s.linger = 0
        s.setsockopt(zmq.SNDHWM, SOCKET_HWM)
        s.setsockopt(zmq.RCVHWM, SOCKET_HWM)
        s.setsockopt(zmq.IMMEDIATE, 1)          # nothing is queued for a station that is not there: the outbox is the queue
        s.setsockopt(zmq.MAXMSGSIZE, TRANSPORT_LIMIT_BYTES)
        s.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        s.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        s.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
        s.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        s.setsockopt(zmq.RECONNECT_IVL, self._random.randint(*RECONNECT_MS))
        s.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_LONGEST_MS)
        try:
            s.curve_serverkey = self._station_public
            s.curve_publickey = self._key.public.encode("ascii")
            s.curve_secretkey = self._key.secret.encode("ascii")
            self._monitor = s.get_monitor_socket(
                zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
                | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED
            )
            s.connect(self._endpoint)
        except zmq.ZMQError:
            s.close(linger=0)
            raise
        self._socket = s
        self._poller = zmq.Poller()
        self._poller.register(s, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._poller.register(self._waker.fileno(), zmq.POLLIN)
        self._opened_ns = self._clock.monotonic_ns()

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except zmq.ContextTerminated:
                    break
                except Exception as error:  # noqa: BLE001 -- the line to the station outlives any single surprise
                    self._counting.odd += 1
                    self._complain("turn", f"the uplink stumbled and goes on: {type(error).__name__}: {error}")
                    self._stopping.wait(0.2)
        finally:
            self._state = UplinkState.STOPPED
            self._close()
            self._context.destroy(linger=0)
            self._waker.close()
            self._wake_signal.close()

    def _turn(self) -> None:
        """Hear what has come, then send what is due."""
        ready = dict(self._poller.poll(POLL_MS))
        if self._waker.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._waker.recv(4096)
        if self._monitor in ready:
            self._hear_monitor()
        if self._socket in ready:
            self._hear_station()
        self._renew_if_dead()
        if self._state is UplinkState.UP:
            self._send_due()

    def _hear_station(self) -> None:
        for _ in range(SOCKET_HWM):     # bounded, so that a flood from outside cannot stop the sending
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                bodies = [decode_down(bytes(frame)) for frame in split_transport(frames)]
            except RefusedError as error:
                self._counting.odd += 1
                self._complain("odd", f"a message from {self._endpoint} is not taken: {error}")
                continue
            for body in bodies:
                if isinstance(body, Acknowledgement):
                    self._take_acknowledgement(body)
                elif self._on_down is not None:
                    self._on_down(body)

    def _take_acknowledgement(self, answer: Acknowledgement) -> None:
        self._counting.acknowledged += self._outbox.acknowledge(answer.acknowledged)
        self._counting.refused += self._outbox.refuse(answer.refused)
        for identity in answer.acknowledged:
            self._flights.pop(identity, None)
        for refusal in answer.refused:
            self._flights.pop((refusal.boot, refusal.sequence), None)
            self._complain(refusal.reason, f"the station refused a message: {refusal.reason}")

    def _send_due(self) -> None:
        while True:
            now_ns = self._clock.monotonic_ns()
            # Long overdue and still not sent again: the outbox has dropped it.
            self._flights = {i: f for i, f in self._flights.items() if now_ns - f.due_ns < FORGET_S * NS_PER_S}
            on_way = {i: f for i, f in self._flights.items() if f.due_ns > now_ns}
            room = min(BATCH_LIMIT, WINDOW_LIMIT - len(on_way))
            if room <= 0:
                return
            batch = self._choose(
                self._outbox.pending(room, skip=on_way.keys()), sum(f.picture for f in on_way.values())
            )
            if not batch:
                return
            try:
                self._socket.send_multipart([MAGIC, *[p.data for p in batch]], zmq.NOBLOCK)
            except zmq.Again:
                return
            for p in batch:
                self._note_sent(p, now_ns)

    def _choose(self, pending: list[Pending], pictures_on_way: int) -> list[Pending]:
        """The head of the queue that fits one message; a picture only when nothing else waits to be sent."""
        rest = [p for p in pending if p.priority != PICTURE]
        if not rest:
            return pending[: max(0, PICTURES_LIMIT - pictures_on_way)]
        size = 0
        batch: list[Pending] = []
        for p in rest:
            size += len(p.data)
            if batch and size > BATCH_LIMIT_BYTES:
                break
            batch.append(p)
        return batch

    def _note_sent(self, p: Pending, now_ns: int) -> None:
        flight = self._flights.get(p.identity)
        attempts = flight.attempts + 1 if flight else 1
        wait_s = min(RESEND_LONGEST_S, RESEND_S * 2 ** (attempts - 1))
        self._flights[p.identity] = _Flight(attempts, now_ns + round(wait_s * NS_PER_S), p.priority == PICTURE)
        self._counting.sent += 1
        self._counting.resent += attempts > 1

    # -------------------------------------------------------------------------------------------- how the line stands

    def _hear_monitor(self) -> None:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            match event["event"]:
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self._state, self._complaint = UplinkState.UP, ""
                    self._renew_at_ns = None
                    self._counting.connections += 1
                    # What was on its way went down with the old connection; sent again at once, with the same identity.
                    for flight in self._flights.values():
                        flight.attempts, flight.due_ns = 1, self._clock.monotonic_ns()
                    _log.info("connected to the station at %s", self._endpoint)
                case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self._fail(
                        UplinkState.REFUSED,
                        f'the station at {self._endpoint} refused our key (node "{self._key.node}", public '
                        f"{self._key.public}): add it to nodes.toml of that station",
                    )
                case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                    self._fail(
                        UplinkState.UNANSWERED,
                        f"the station at {self._endpoint} breaks off the handshake: is station_public the key that this "
                        "station printed, and does its nodes.toml hold ours?",
                    )
                case zmq.EVENT_DISCONNECTED if self._state is UplinkState.UP:
                    self._state = UplinkState.CONNECTING
                    self._opened_ns = self._clock.monotonic_ns()
                    _log.warning("lost the station at %s; messages wait in the outbox", self._endpoint)

    def _fail(self, state: UplinkState, sentence: str) -> None:
        self._state, self._complaint = state, sentence
        self._complain(state.value, sentence)
        if self._renew_at_ns is None:
            wait_s = self._random.uniform(*RENEW_S)
            self._renew_at_ns = self._clock.monotonic_ns() + round(wait_s * NS_PER_S)

    def _renew_if_dead(self) -> None:
        now_ns = self._clock.monotonic_ns()
        unheard = self._state is not UplinkState.UP and now_ns - self._opened_ns > UNHEARD_S * NS_PER_S
        if unheard or (self._renew_at_ns is not None and now_ns >= self._renew_at_ns):
            self._renew_at_ns = None
            self._close()
            self._open()

    def _complain(self, about: str, sentence: str) -> None:
        """Log, and the same again at most once a minute."""
        now_ns = self._clock.monotonic_ns()
        said = self._counting.said_ns
        if about not in said or now_ns - said[about] > LOG_AGAIN_S * NS_PER_S:
            if len(said) > 100:
                said.clear()
            said[about] = now_ns
            _log.warning("%s", sentence)
