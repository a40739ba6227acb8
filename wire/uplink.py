"""The road from a node's outbox to the station, and the orders that come back on it.

One thread owns one DEALER socket. It sends what waits, keeps a bounded amount on its way, sends again what is not
acknowledged, and lets go from the outbox what is. Pictures go when nothing else is to be sent, in pieces, within a budget.
Whatever arrives is parsed or counted; nothing ends the loop but stop().
"""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from wire.budget import Budget
from wire.clock import NS_PER_S, Clock
from wire.codec import MAGIC, TRANSPORT_LIMIT_BYTES, RefusedError, decode_down, split_transport
from wire.flights import Flights
from wire.keys import NodeKey
from wire.messages import Acknowledgement, CorridorSet, Order
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.outbox import Outbox, Pending
from wire.outbox_bounds import OUTSIDE, PICTURE
from wire.outbox_order import Identity
from wire.pieces import PieceSender
from wire.tasking import FleetOrder, Target

BATCH_LIMIT = 32                # envelopes in one message; 30 times the throughput of one by one (DESIGN.md)
BATCH_LIMIT_BYTES = 512 * 1024
READ_LIMIT = 256                # envelopes read from the outbox at once
PICTURES_LIMIT = 1              # on their way: on a thin line a picture must not hold up a sighting
SOCKET_HWM = 64                 # messages queued in the socket, each way
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 2_000, 12_000     # the station's own come every 5 s, whatever stands in the way up
# How long the station waits for the end of a frame. A picture of 512 KB on a line of 64 kbit/s takes a minute; taken for
# dead in the middle of it, the node would begin again, and never be done.
STATION_PATIENCE_MS = 90_000
HANDSHAKE_MS = 15_000           # it takes nearly four round trips, of which one over a satellite may take seconds
RECONNECT_MS = (150, 400)       # drawn at random, so that nodes do not return in step after a power cut
RECONNECT_LONGEST_MS = 2_000
RENEW_S, RENEW_LONGEST_S = 3.0, 60.0    # a socket whose handshake was refused is dead for libzmq: a new one, after a wait
RENEW_JITTER = (0.5, 1.0)       # that doubles with each refusal; of it, a share drawn at random
UNHEARD_S = 20.0                # without a handshake: start over with a new socket
POLL_MS = 100                   # a put wakes the thread at once; this bounds only how late a resend is
LOG_AGAIN_S = 60.0              # the same complaint again
REFUSAL_SAID_S = 60.0           # how long what the station refused as a whole stays a problem of the node

NAMELESS = (-1, -1)             # the identity in a refusal of something that could not be read so far

Down = Order | CorridorSet | FleetOrder | Target

_log = logging.getLogger("trailwatch.uplink")


class UplinkState(StrEnum):
    CONNECTING = "connecting"       # nobody there yet, or not any more
    UP = "up"                       # the handshake succeeded
    REFUSED = "refused"             # the station does not have our key on its list
    UNANSWERED = "unanswered"       # something is there and breaks off the handshake
    STOPPED = "stopped"


class UplinkCounts(msgspec.Struct, frozen=True):
    """Since the start. odd: messages from the station's side that did not parse. stray: answers to what was never sent."""

    sent: int
    resent: int
    acknowledged: int
    refused: int
    odd: int
    connections: int
    stray: int


@dataclass(slots=True)
class _Counting:
    sent: int = 0
    resent: int = 0
    acknowledged: int = 0
    refused: int = 0
    odd: int = 0
    connections: int = 0
    stray: int = 0
    said_ns: dict[str, int] = field(default_factory=dict)


class Uplink:
    """Sends one outbox to one station, from a thread of its own.

    endpoint: "tcp://host:port" of the station's inbox. station_public_key: Z85, 40 characters.
    on_down: called in the uplink's thread with all but acknowledgements; it should hand over quickly.
    picture_kbit_per_s: what pictures may use of the line on average; 0: all that is left.
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
        picture_kbit_per_s: float = 0.0,
    ) -> None:
        self._endpoint = endpoint
        self._station_public = station_public_key.encode("ascii")
        self._key = node_key
        self._outbox = outbox
        self._clock = clock
        self._on_down = on_down
        self._budget = Budget(picture_kbit_per_s * 1000 / 8, clock)
        self._flights = Flights()
        self._pieces = PieceSender()
        self._takes_pieces = False      # the station, as it said in its greeting
        self._counting = _Counting()
        # One name for as long as we run, over all connections: two of them alive with one key are two machines. Not 0 first.
        self._session = b"T" + secrets.token_bytes(15)
        self._refusal, self._refused_until_ns = NO_TEXT, 0
        self._state = UplinkState.CONNECTING
        self._complaint = NO_TEXT
        self._stopping = threading.Event()
        self._waker, self._wake_signal = socket.socketpair()
        self._waker.setblocking(False)
        self._wake_signal.setblocking(False)
        self._random = random.Random()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._renew_at_ns: int | None = None
        self._renewals = 0
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
    def problem(self) -> NodeText:
        """Why nothing goes through, or what the station finds wrong with us, as a sentence; empty when all is well."""
        if self._state is UplinkState.UP:
            return self._refusal if self._clock.monotonic_ns() < self._refused_until_ns else NO_TEXT
        return self._complaint or node_text("station_unreached", endpoint=self._endpoint)

    @property
    def counts(self) -> UplinkCounts:
        c = self._counting
        return UplinkCounts(c.sent, c.resent, c.acknowledged, c.refused, c.odd, c.connections, c.stray)

    # ------------------------------------------------------------------------------------------------ the thread

    def _open(self) -> None:
        s: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        s.linger = 0
        s.routing_id = self._session
        s.setsockopt(zmq.SNDHWM, SOCKET_HWM)
        s.setsockopt(zmq.RCVHWM, SOCKET_HWM)
        s.setsockopt(zmq.IMMEDIATE, 1)          # nothing is queued for a station that is not there: the outbox is the queue
        s.setsockopt(zmq.MAXMSGSIZE, TRANSPORT_LIMIT_BYTES)
        s.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        s.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        s.setsockopt(zmq.HEARTBEAT_TTL, STATION_PATIENCE_MS)
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
        self._outbox.tend()
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
                    continue
                if isinstance(body, CorridorSet):
                    self._takes_pieces = body.takes_pieces
                if self._on_down is not None:
                    self._on_down(body)

    def _take_acknowledgement(self, answer: Acknowledgement) -> None:
        """Only what was sent can have been answered: whatever else stands there must not take anything from the outbox."""
        acknowledged = [i for i in answer.acknowledged if self._flights.knows(i)]
        refused = [r for r in answer.refused if self._flights.knows((r.boot, r.sequence))]
        whole = [r for r in answer.refused if (r.boot, r.sequence) == NAMELESS]
        self._counting.stray += (
            len(answer.acknowledged) - len(acknowledged) + len(answer.refused) - len(refused) - len(whole)
        )
        self._counting.acknowledged += self._outbox.acknowledge(acknowledged)
        self._counting.refused += self._outbox.refuse(refused)
        now_ns = self._clock.monotonic_ns()
        if whole:
            self._counting.refused += self._outbox.weed(self._flights.all())
            self._refusal = node_text("station_says", endpoint=self._endpoint, reason=whole[-1].reason)
            self._refused_until_ns = now_ns + round(REFUSAL_SAID_S * NS_PER_S)
        answered = [*acknowledged, *((r.boot, r.sequence) for r in refused)]
        self._flights.answered(answered, now_ns)
        for identity in answered:
            self._pieces.end(identity)
        for boot, sequence, had in answer.pieces:
            if self._pieces.heard((boot, sequence), had, now_ns):
                self._flights.heard((boot, sequence), now_ns)
            else:
                self._counting.stray += 1
        for refusal in (*refused, *whole):
            self._complain(refusal.reason, f"the station refused a message: {refusal.reason}")

    def _send_due(self) -> None:
        while True:
            now_ns = self._clock.monotonic_ns()
            on_way = self._flights.on_way(now_ns)
            room, room_bytes = self._flights.room(on_way)
            if room <= 0 or room_bytes <= 0:
                return
            pending = self._outbox.pending(min(READ_LIMIT, room), skip=on_way, least=OUTSIDE)
            if not pending:
                self._send_picture(on_way, now_ns)
                return
            for batch in _batches(pending, room_bytes):
                if not self._send(batch, now_ns):
                    return

    def _send_picture(self, on_way: Collection[Identity], now_ns: int) -> None:
        """One, when nothing else waits to be sent, and the budget has something left; only then is it read at all."""
        if not self._budget.open:
            return
        if self._flights.pictures(on_way) < PICTURES_LIMIT:
            pictures = self._outbox.pending(1, skip=on_way)
            if not (self._takes_pieces and pictures and pictures[0].priority == PICTURE):
                if pictures:
                    self._send(pictures, now_ns)
                return
            (picture,) = pictures
            self._note_sent(picture, now_ns)
            self._pieces.begin(picture.identity, picture.data)
        self._send_piece(now_ns)

    def _send_piece(self, now_ns: int) -> None:
        frame = self._pieces.next()
        if frame is None:
            return
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([MAGIC, frame], zmq.NOBLOCK)
            self._pieces.sent(now_ns)
            self._budget.spend(len(frame))

    def _send(self, batch: list[Pending], now_ns: int) -> bool:
        """Hand a message to the socket. Returns whether it took it."""
        try:
            self._socket.send_multipart([MAGIC, *[p.data for p in batch]], zmq.NOBLOCK)
        except zmq.Again:
            return False
        for p in batch:
            self._note_sent(p, now_ns)
            if p.priority == PICTURE:
                self._budget.spend(len(p.data))
        return True

    def _note_sent(self, p: Pending, now_ns: int) -> None:
        self._counting.sent += 1
        picture = p.priority == PICTURE
        self._counting.resent += self._flights.sent(p.identity, len(p.data), picture=picture, now_ns=now_ns)

    # -------------------------------------------------------------------------------------------- how the line stands

    def _hear_monitor(self) -> None:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            match event["event"]:
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self._state, self._complaint = UplinkState.UP, NO_TEXT
                    self._renew_at_ns, self._renewals = None, 0
                    self._counting.connections += 1
                    self._flights.line_lost(self._clock.monotonic_ns())
                    _log.info("connected to the station at %s", self._endpoint)
                case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self._fail(
                        UplinkState.REFUSED,
                        node_text(
                            "key_refused", endpoint=self._endpoint, node=self._key.node, public=self._key.public
                        ),
                    )
                case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                    self._fail(
                        UplinkState.UNANSWERED,
                        node_text("no_handshake", endpoint=self._endpoint),
                    )
                case zmq.EVENT_DISCONNECTED if self._state is UplinkState.UP:
                    self._state = UplinkState.CONNECTING
                    self._opened_ns = self._clock.monotonic_ns()
                    _log.warning("lost the station at %s; messages wait in the outbox", self._endpoint)

    def _fail(self, state: UplinkState, sentence: NodeText) -> None:
        self._state, self._complaint = state, sentence
        self._complain(state.value, sentence)
        if self._renew_at_ns is None:
            # After a power cut, or with a station that was set up anew, all nodes are refused at once: not in step again.
            wait_s = min(RENEW_LONGEST_S, RENEW_S * 2 ** min(self._renewals, 10)) * self._random.uniform(*RENEW_JITTER)
            self._renewals += 1
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


def _batches(pending: list[Pending], room_bytes: int) -> Iterator[list[Pending]]:
    """Messages as they go into one transport message each, until the room is used up; one message always goes."""
    batch: list[Pending] = []
    size = 0
    for p in pending:
        if batch and (len(batch) >= BATCH_LIMIT or size + len(p.data) > BATCH_LIMIT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(p)
        size += len(p.data)
        room_bytes -= len(p.data)
        if room_bytes <= 0:
            break
    if batch:
        yield batch
