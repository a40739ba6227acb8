"""The inbox: takes messages from nodes, puts them on the disk, and only then says that it has them.

One loop and one thread read the socket, authenticate, and write; ZeroMQ's own thread buffers meanwhile. An acknowledgement
leaves after the commit that holds its message has returned, and that commit survives a power cut. A message that was
stored before (same node, boot, sequence) is acknowledged again and not stored.
Orders to nodes (station.orders) go out on the same socket.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

import msgspec
import zmq

from geofences.sector import Sector, load_sector
from station.admission import REASON_OF, AllowList, admit, answer_zap, identity_of, open_zap
from station.doubts import Doubts
from station.fleet_orders import FleetOrderSender
from station.inbox_rows import AT_ONCE_LIMIT, Identities, Index, Rows, Waiting, waiting
from station.node_budgets import OVER_BUDGET, NodeBudgets
from station.orders import OrderSender
from station.own_key import ensure_station_key
from station.retention_inbox import InboxRetention
from station.sessions import Sessions
from station.settings import StationSettings
from station.store import INBOX, NOTICE_TROUBLE, Synchronous, open_or_read, set_synchronous, transaction
from wire.clock import NS_PER_S, Clock, WallClock
from wire.codec import MAGIC, TEXT_LIMIT, TRANSPORT_LIMIT_BYTES, RefusedError, encode_down, split_transport
from wire.keys import AllowedNode, StationKey
from wire.messages import (
    Acknowledgement,
    CorridorSet,
    DetectionBatch,
    Refusal,
    Snapshot,
)
from wire.pieces import PieceTaker, decode_piece, is_piece
from wire.process import log_to_stderr, stop_on_signals
from wire.settings import SettingsError

COMMIT_EVERY_NS = 25_000_000        # group commit: 20 to 50 ms; counts commits, not rows, for the sake of SD cards
BATCH_LIMIT_MESSAGES = 2000
BATCH_LIMIT_BYTES = 32 * 1024 * 1024
RECEIVE_LIMIT = 500                 # messages in a row before the commit time is looked at again
IDLE_POLL_MS = 250
# A half-open connection is dropped after the second; until then a large picture on a thin line must have come in whole.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 5_000, 90_000
RECEIVE_QUEUE_MESSAGES = 500        # of one peer, in memory; beyond that TCP holds it back
GREETED_LIMIT = 10_000
GREET_AGAIN_NS = 10 * NS_PER_S      # of silence; a node says how it is each second
ORDERS_EVERY_NS = NS_PER_S // 4     # how late an order leaves of which nobody has told
DOWN_LIMIT_MESSAGES = 200
COUNTS_EVERY_NS = NS_PER_S          # refused connections alone are no reason to wear the disk
SAID_EVERY_NS = 60 * NS_PER_S       # the same refusal of the same node goes to the log no more often

_TWO_SESSIONS = "two machines speak with the key of this node: was its card copied? Give each machine a key of its own"
_REUSED = "another message was stored under this identity before: was the node's data_dir put back from a copy?"

_ADD_TOTAL = (
    "INSERT INTO totals(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value"
)
_log = logging.getLogger("trailwatch.inbox")


@dataclass(slots=True)
class Batch:
    """What was received since the last commit. peers: who is owed an answer about which message."""

    messages: list[Waiting] = field(default_factory=list)
    refusals: list[tuple[bytes, Refusal]] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)      # (reason, node) -> how often
    details: dict[tuple[str, str], str] = field(default_factory=dict)
    size: int = 0
    since_ns: int = 0

    def __bool__(self) -> bool:
        return bool(self.messages or self.counted)


class Inbox:
    """The sockets and the database of one station. `turn` is one round of its loop; `close` gives everything back."""

    def __init__(
        self, settings: StationSettings, corridors: CorridorSet, clock: Clock, sector: Sector | None = None
    ) -> None:
        """sector: that of the settings, where somebody has it already."""
        self._clock = clock
        self._corridors = encode_down(msgspec.structs.replace(corridors, takes_pieces=True))
        self._pieces = PieceTaker()
        key = ensure_station_key(settings)
        self._allowed = AllowList(settings.nodes_file, settings.realm)
        self._db = open_or_read(settings.inbox_db, INBOX, settings.realm, clock, Synchronous.FULL)
        self._ids = Identities(self._db)
        self._index = Index(self._db)
        self._retention = InboxRetention(self._db, settings, clock)
        self._doubts = Doubts(
            self._db, sector or load_sector(settings.sector), settings.places_file, settings.retention.unmatched_days, clock
        )
        self._budgets = NodeBudgets(settings.inbox.detections_per_s, settings.inbox.bytes_per_s, clock)
        self._batch = Batch()
        self._failing = ""
        self._trouble_told_ns = 0
        self._looked_ns = 0
        self._said_ns: dict[tuple[str, str], int] = {}
        self._sessions = Sessions()
        self._orders = (OrderSender(settings, self._db, clock), FleetOrderSender(settings, self._db, clock))
        self._orders_looked_ns = 0
        self._orders_failing = ""
        self._peers: dict[str, bytes] = {}      # node to the connection that it was last heard on
        self._greeted: OrderedDict[tuple[bytes, int], int] = OrderedDict()      # when it was last heard
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zap = open_zap(self._context)
        self._router = self._context.socket(zmq.ROUTER)
        self._notice = self._context.socket(zmq.PUB)
        self._down = self._context.socket(zmq.PULL)
        try:
            self._bind(settings, key)
        except BaseException:
            self.close()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._zap, zmq.POLLIN)
        self._poller.register(self._router, zmq.POLLIN)
        self._poller.register(self._down, zmq.POLLIN)

    def _bind(self, settings: StationSettings, key: StationKey) -> None:
        router = self._router
        router.linger = 0
        router.curve_server = True
        router.curve_secretkey = key.secret.encode("ascii")
        router.zap_domain = b"trailwatch"
        router.maxmsgsize = TRANSPORT_LIMIT_BYTES
        router.rcvhwm = RECEIVE_QUEUE_MESSAGES
        # A node that names its own routing id must not be locked out by its own half-open connection of before. What is
        # believed is the key of the connection, never the routing id, so taking one over wins nobody anything.
        router.router_handover = True
        router.heartbeat_ivl = HEARTBEAT_MS
        router.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        self._notice.linger = self._down.linger = 0
        self._down.rcvhwm = DOWN_LIMIT_MESSAGES
        for socket, name, where in (
            (router, "inbox.bind", settings.inbox.bind), (self._notice, "data_dir", settings.inbox_notice),
            (self._down, "data_dir", settings.inbox_down),
        ):
            try:
                socket.bind(where)
            except zmq.ZMQError as error:
                in_use = error.errno == zmq.EADDRINUSE
                hint = "another program has it; stop that one or choose another port" if in_use else "choose another address"
                raise SettingsError(f"{settings.file}: {name}: {where}: {error.strerror}: {hint}.") from None

    @property
    def endpoint(self) -> str:
        """Where the router is bound, with the port that was found when the settings said any."""
        return bytes(self._router.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode("ascii")

    def turn(self) -> None:
        """Wait a little, take what has come, commit when it is time. Raises nothing for anything that arrives."""
        events = dict(self._poller.poll(self._wait_ms()))
        if self._zap in events:
            self._authenticate()
        if self._router in events:
            self._receive()
        if self._down in events:
            self._send_down()
        self._allowed_tick()
        self._send_orders()
        self._tell_trouble()
        batch = self._batch
        if batch and (
            self._left_ns() <= 0 or len(batch.messages) >= BATCH_LIMIT_MESSAGES or batch.size >= BATCH_LIMIT_BYTES
        ):
            self.commit()
        elif not events:
            if self._index.behind:
                self._catch_up()
            else:
                self._retention.step()

    def _catch_up(self) -> None:
        """Give detections their rows while nothing else is to be done. Those that a power cut takes are made anew."""
        try:
            set_synchronous(self._db, Synchronous.NORMAL)
            with transaction(self._db):
                self._index.catch_up(self._ids.next - 1)
        except sqlite3.Error as error:
            _log.debug("detections get their rows later: %s", error)
            self._index.recall()
        finally:
            set_synchronous(self._db, Synchronous.FULL)

    def _left_ns(self) -> int:
        """Until the batch is due."""
        owed = self._batch.messages or self._batch.refusals
        return self._batch.since_ns + (COMMIT_EVERY_NS if owed else COUNTS_EVERY_NS) - self._clock.monotonic_ns()

    def _wait_ms(self) -> int:
        if self._index.behind:
            return 0
        return min(IDLE_POLL_MS, max(0, -(-self._left_ns() // 1_000_000))) if self._batch else IDLE_POLL_MS

    def _allowed_tick(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._looked_ns > NS_PER_S:
            self._looked_ns = now_ns
            self._allowed.refresh()

    def _tell_trouble(self) -> None:
        """To the mind, which raises an alarm; over the socket, because the disk may take nothing."""
        trouble, now_ns = self._failing or self._db.trouble, self._clock.monotonic_ns()
        if trouble and now_ns - self._trouble_told_ns >= NS_PER_S:
            self._trouble_told_ns = now_ns
            self._notice.send(NOTICE_TROUBLE + trouble.encode())

    def _send_orders(self) -> None:
        """To the nodes that are there; to the others when they come, as long as the orders hold."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._orders_looked_ns < ORDERS_EVERY_NS:
            return
        self._orders_looked_ns = now_ns
        try:
            for sender in self._orders:
                for node, order in sender.due():
                    peer = self._peers.get(node)
                    if peer is not None:
                        self._send(peer, encode_down(order))
                        sender.sent(order.order_id)
        except (sqlite3.Error, SettingsError) as error:
            if self._orders_failing != str(error):
                _log.error("orders to nodes cannot be read: %s. Trying again; what nodes say is taken meanwhile.", error)
            self._orders_failing = str(error)
            return
        self._orders_failing = ""

    def _send_down(self) -> None:
        """What the station's other processes have for nodes at this moment; what does not fit is not kept."""
        for _ in range(DOWN_LIMIT_MESSAGES):
            try:
                frames = self._down.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(frames) == 2:
                peer = self._peers.get(frames[0].decode(errors="replace"))
                if peer is not None:
                    self._send(peer, frames[1])
            else:
                self._orders_looked_ns = 0

    # ------------------------------------------------------------------------------------------------- what comes in

    def _authenticate(self) -> None:
        while True:
            try:
                request = self._zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            reply, refused = answer_zap(request, self._allowed)
            self._zap.send_multipart(reply)
            if refused is not None:
                self._count("unknown_key", "", f"key {refused}")

    def _receive(self) -> None:
        for _ in range(RECEIVE_LIMIT):
            try:
                # The first as an object, because it knows whose connection it came over; the others as what they are.
                peer = self._router.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._take(peer, self._router.recv_multipart() if self._router.rcvmore else [])
            if self._batch.size >= BATCH_LIMIT_BYTES or len(self._batch.messages) >= BATCH_LIMIT_MESSAGES:
                return

    def _take(self, head: zmq.Frame, frames: list[bytes]) -> None:
        peer = head.bytes
        received_ns = self._clock.utc_ns()
        sender = self._sender(head)
        if sender is None:
            self._refuse(peer, "", Refusal(-1, -1, "this key is no longer on the station's list"), "unknown_key")
            return
        try:
            envelopes = split_transport(frames)
        except RefusedError as error:
            self._refuse(peer, sender.node, Refusal(-1, -1, str(error)[:TEXT_LIMIT]), error.reason)
            return
        if not self._sessions.heard(sender.public, peer, self._clock.monotonic_ns()):
            # Not acknowledged and not refused by name: it keeps what it has, until somebody has looked after it.
            self._refuse(peer, sender.node, Refusal(-1, -1, _TWO_SESSIONS), "two_sessions")
            return
        if self._sessions.is_contested(sender.public):      # taken, and told all the same
            self._refuse(peer, sender.node, Refusal(-1, -1, _TWO_SESSIONS), "two_sessions")
        boot = -1
        for frame in envelopes:
            data: bytes | None = frame
            if is_piece(frame):
                data, boot = self._take_piece(peer, sender, frame)
            if data is None:
                continue
            try:
                admitted = admit(data, sender, received_ns)
            except RefusedError as error:
                self._refuse(peer, sender.node, Refusal(*identity_of(data), str(error)[:TEXT_LIMIT]), error.reason)
                continue
            body = admitted.envelope.body
            detections = len(body.detections) if isinstance(body, DetectionBatch) else None
            if not self._budgets.try_spend(sender.node, detections, len(data)):
                self._count(OVER_BUDGET, sender.node, self._budgets.describe())
                self._peers[sender.node] = peer
                continue
            self._begin(owed=True)
            suspect = admitted.suspect or self._doubts.judge(sender, body, received_ns)
            message = waiting(peer, sender, admitted, suspect, data, received_ns)
            self._batch.messages.append(message)
            self._batch.size += len(data)
            boot = message.boot
            self._peers[sender.node] = peer
        self._greet(peer, boot)

    def _take_piece(self, peer: bytes, sender: AllowedNode, frame: bytes) -> tuple[bytes | None, int]:
        """The message that has become whole with this piece of it, if any, and its boot. The answer promises nothing."""
        try:
            piece = decode_piece(frame)
        except RefusedError as error:
            self._refuse(peer, sender.node, Refusal(-1, -1, str(error)[:TEXT_LIMIT]), error.reason)
            return None, -1
        had, whole = self._pieces.take(sender.public, piece)
        self._peers[sender.node] = peer
        self._send(peer, encode_down(Acknowledgement((), (), ((piece.boot, piece.sequence, had),))))
        return whole, piece.boot

    def _sender(self, head: zmq.Frame) -> AllowedNode | None:
        try:
            public = head.get("User-Id")
        except zmq.ZMQError:
            return None
        return self._allowed.by_key(str(public))

    def _refuse(self, peer: bytes, node: str, refusal: Refusal, reason: str) -> None:
        self._begin(owed=True)
        self._count(reason, node, refusal.reason)
        self._batch.refusals.append((peer, refusal))

    def _count(self, reason: str, node: str, detail: str) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._said_ns.get((reason, node), -SAID_EVERY_NS) >= SAID_EVERY_NS:
            self._said_ns[(reason, node)] = now_ns
            _log.warning("refused (%s) from %s: %s", reason, node or "an unknown node", detail)
        self._begin(owed=False)
        self._batch.counted[(reason, node)] += 1
        self._batch.details[(reason, node)] = detail
        self._batch.size += 200

    def _begin(self, owed: bool) -> None:
        """Start the time of a batch; it starts anew with the first message that is owed an answer."""
        batch = self._batch
        if not batch or (owed and not (batch.messages or batch.refusals)):
            batch.since_ns = self._clock.monotonic_ns()

    # ------------------------------------------------------------------------------------------- to the disk, and back

    def commit(self) -> None:
        """Write the batch in one transaction, then answer for it. When the disk refuses, nobody is answered."""
        batch, self._batch = self._batch, Batch()
        answers: dict[bytes, tuple[list[tuple[int, int]], list[Refusal]]] = {}
        for peer, refusal in batch.refusals:
            answers.setdefault(peer, ([], []))[1].append(refusal)
        try:
            with transaction(self._db):
                newest = self._store(batch, answers)
        except sqlite3.Error as error:
            self._ids.forget()
            self._index.recall()
            self._doubts.forget_fresh()
            if self._failing != str(error):
                _log.error(
                    "the disk takes no messages: %s. Nothing is acknowledged; nodes keep what they have and send it again.",
                    error,
                )
            self._failing = str(error)
            return
        self._ids.settle()
        self._doubts.fresh.clear()
        if self._failing:
            _log.warning("the disk takes messages again")
            self._failing = ""
        for peer, (acknowledged, refused) in answers.items():
            self._send(peer, encode_down(Acknowledgement(tuple(acknowledged), tuple(refused))))
        self._notice.send(b"%d" % newest)

    def _store(self, batch: Batch, answers: dict[bytes, tuple[list[tuple[int, int]], list[Refusal]]]) -> int:
        """Write a batch; the transaction is open. Fills `answers`. Returns the newest arrival's id."""
        is_flood = len(batch.messages) > AT_ONCE_LIMIT
        if is_flood:
            self._index.fall_behind(self._ids.next - 1)
        db, rows = self._db, Rows(self._ids.next, with_detections=not self._index.behind)
        last_heard: dict[str, tuple[AllowedNode, int]] = {}
        for m in batch.messages:
            node = m.sender.node
            answer = answers.get(m.peer)
            if answer is None:
                answer = answers[m.peer] = ([], [])
            last_heard[node] = (m.sender, m.received_ns)
            identity = (m.boot, m.sequence)
            if not self._ids.is_new(m):
                if rows.arrivals and self._ids.is_waiting(m):
                    rows.write(db)          # the first of the two came in this very batch
                known = self._stored(m)
                if known is not None:
                    if known == m.data or (not known and self._is_same_picture(m)):
                        rows.duplicates += 1
                        answer[0].append(identity)
                    else:
                        answer[1].append(Refusal(*identity, _REUSED))
                        batch.counted[("identity_reused", node)] += 1
                        batch.details[("identity_reused", node)] = _REUSED
                    continue
            answer[0].append(identity)
            if m.suspect is not None:
                key = (REASON_OF[m.suspect.partition(":")[0]], node)
                batch.counted[key] += 1
                batch.details[key] = f"{m.kind}: {m.suspect}; stored, and left out of fusion"
            rows.add(m)
        rows.write(db)
        db.executemany("INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?, ?)", self._doubts.fresh)
        if self._index.behind and not is_flood:
            self._index.catch_up(rows.next_id - 1)
        db.executemany(_ADD_TOTAL, [(name, n) for name, n in rows.totals() if n])
        now_ns = self._clock.utc_ns()
        db.executemany(
            "INSERT INTO refusals(reason, node, count, last_ns, last_detail) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT(reason, node) DO UPDATE SET count = count + excluded.count, last_ns = excluded.last_ns, "
            "last_detail = excluded.last_detail",
            [(reason, node, n, now_ns, batch.details[(reason, node)]) for (reason, node), n in batch.counted.items()],
        )
        db.executemany(
            "INSERT INTO nodes(node, kind, public, first_ns, last_ns) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT(node) DO UPDATE SET kind = excluded.kind, public = excluded.public, last_ns = excluded.last_ns",
            [(n.node, n.kind.value, n.public, at_ns, at_ns) for n, at_ns in last_heard.values()],
        )
        self._ids.next = rows.next_id
        return rows.next_id - 1

    def _stored(self, m: Waiting) -> bytes | None:
        """The payload that is stored under this identity; None when there is none."""
        row = self._db.execute(
            "SELECT payload FROM arrivals WHERE node = ? AND boot = ? AND sequence = ?",
            (m.sender.node, m.boot, m.sequence),
        ).fetchone()
        return bytes(row[0]) if row else None

    def _is_same_picture(self, m: Waiting) -> bool:
        """Whether a snapshot that came with a known identity is the one that is stored under it."""
        if not isinstance(m.body, Snapshot):
            return False
        row = self._db.execute(
            "SELECT s.jpeg FROM arrivals a JOIN snapshots s ON s.id = a.id "
            "WHERE a.node = ? AND a.boot = ? AND a.sequence = ?",
            (m.sender.node, m.boot, m.sequence),
        ).fetchone()
        return row is None or bytes(row[0]) == m.body.jpeg

    def _greet(self, peer: bytes, boot: int) -> None:
        """Send the sector's corridors with the first message of a connection, or of a start of the node.

        A node keeps its session over connections; after a pause this may be a new one, and the greeting was perhaps lost.
        """
        now_ns = self._clock.monotonic_ns()
        heard_ns = self._greeted.get((peer, boot), -GREET_AGAIN_NS)
        self._greeted[(peer, boot)] = now_ns
        if now_ns - heard_ns < GREET_AGAIN_NS:
            return
        if len(self._greeted) > GREETED_LIMIT:
            self._greeted.popitem(last=False)
        self._send(peer, self._corridors)

    def _send(self, peer: bytes, data: bytes) -> None:
        # A peer that has gone, or reads nothing, misses its answer: it sends again, and is answered again.
        try:
            self._router.send_multipart([peer, MAGIC, data], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            _log.debug("an answer was not sent: %s", error)

    def close(self) -> None:
        self._context.destroy(linger=0)
        for sender in self._orders:
            sender.close()
        self._db.close()


def run_inbox(settings: StationSettings, clock: Clock | None = None) -> int:
    """The inbox process. Returns 0 after SIGTERM or SIGINT, when everything received is on the disk and answered."""
    log_to_stderr()
    stop = stop_on_signals()
    sector = load_sector(settings.sector)
    inbox = Inbox(settings, sector.corridor_set, clock or WallClock(), sector)
    _log.info("listening on %s, realm %s", inbox.endpoint, settings.realm.value)
    try:
        while not stop.is_set():
            inbox.turn()
        inbox.commit()
    finally:
        inbox.close()
    return 0
