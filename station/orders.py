"""Orders to nodes: who gave which, what became of it, and the pictures that came of it.

The web server writes orders.db; the inbox reads it and sends each order to its node, again and again until the node's
answer is in inbox.db or the order's time is over. So neither waits for the other, and either may be killed at any moment:
an order's id makes the node carry it out once. The first answer of its node is the answer.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec
from sqlite_utils import Database

from station.record import Record
from station.retention_schema import make_retention
from station.settings import StationSettings
from station.store import INBOX, Schema, StoreError, open_reader, open_store, transaction
from wire.clock import NS_PER_S, Clock
from wire.codec import decode_envelope
from wire.messages import Footage, Order, OrderAction
from wire.tasking import FleetOrder

VALID_S = 120               # from the press to the node's ear: longer ago, nobody means "now" any more
AGAIN_NS = 5 * NS_PER_S     # between two sendings
LISTED = 50                 # the newest orders, on the page
WAITING_LIMIT = 200         # orders of one station within VALID_S
ID_BYTES = 9


def _orders_1(db: Database) -> None:
    db["orders"].create(
        {
            "id": str, "node": str, "sensor": str, "action": str, "argument": str, "before_s": float, "after_s": float,
            "person": str, "given_ns": int, "expires_ns": int,
        },
        pk="id",
    )
    db["orders"].create_index(["given_ns"])


def _orders_2(db: Database) -> None:
    """Orders to the fleet (station.fleet_orders); body: a wire.tasking.FleetOrder as msgpack."""
    db["fleet_orders"].create(
        {"id": str, "node": str, "action": str, "person": str, "given_ns": int, "expires_ns": int, "body": bytes}, pk="id",
    )
    db["fleet_orders"].create_index(["given_ns"])


def _orders_3(db: Database) -> None:
    """What was erased: without it nothing of this file could be."""
    make_retention(db)


ORDERS = Schema("orders", (_orders_1, _orders_2, _orders_3))


class OrderState(StrEnum):
    WAITING = "waiting"         # for the node's answer
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"         # its time is over, and the node has said nothing
    UNDER_WAY = "under_way"     # the node has it in hand, by its own word; of orders to drones


class OrderView(msgspec.Struct, frozen=True):
    """detail: the node's own words. pictures_ns: capture times of what has come so far, in order. parts: of how many
    messages the pictures come, and how many are here. key, params: detail as a sentence, where the node has one.
    """

    id: str
    node: str
    sensor: str
    action: OrderAction
    argument: str
    person: str
    given_ns: int
    state: OrderState
    detail: str
    answered_ns: int | None
    parts: int
    parts_here: int
    pictures_ns: tuple[int, ...]
    key: str = ""
    params: dict[str, str | float | int] = {}


class TooManyOrdersError(ValueError):
    """So many were given within VALID_S that one more would help nobody."""


class OrderBook:
    """The web server's side. Raises StoreError for files that cannot be used, sqlite3.Error for a disk that refuses."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def give(self, person: str, node: str, order: Order) -> str:
        """Record that this person ordered it, then order it; returns its id. Raises TooManyOrdersError."""
        now_ns = self._clock.utc_ns()
        order_id = new_id(now_ns)
        db = open_store(self._settings.orders_db, ORDERS, self._settings.realm, self._clock)
        try:
            since_ns = now_ns - VALID_S * NS_PER_S
            waiting = db.execute("SELECT count(*) FROM orders WHERE given_ns > ?", (since_ns,)).fetchone()[0]
            if waiting >= WAITING_LIMIT:
                raise TooManyOrdersError(f"{waiting} orders of the last {VALID_S} s")
            self._record(person, order_id, node, order)
            with transaction(db):
                db.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (order_id, node, order.sensor, order.action, order.argument, order.before_s, order.after_s, person,
                     now_ns, now_ns + VALID_S * NS_PER_S),
                )
        finally:
            db.close()
        return order_id

    def _record(self, person: str, order_id: str, node: str, order: Order) -> None:
        record = Record(self._settings, self._clock)
        try:
            record.append(person, "order.given", {
                "order": order_id, "node": node, "sensor": order.sensor, "action": order.action, "argument": order.argument,
            })
        finally:
            record.close()

    def newest(self) -> tuple[OrderView, ...]:
        """The newest orders first."""
        return self._views("ORDER BY given_ns DESC, id LIMIT ?", (LISTED,))

    def find(self, order_id: str) -> OrderView | None:
        return next(iter(self._views("WHERE id = ?", (order_id,))), None)

    def _views(self, which: str, values: Sequence[object]) -> tuple[OrderView, ...]:
        return read_orders(self._settings, f"SELECT * FROM orders {which}", values, self._view)

    def _view(self, row: Sequence[object], inbox: sqlite3.Connection | None) -> OrderView:
        order_id, node, sensor, action, argument, _, _, person, given_ns, expires_ns = row
        answer = answer_of(inbox, order_id, node, int(str(expires_ns)), self._clock.utc_ns())
        parts = []
        if inbox is not None:
            parts = inbox.execute(
                "SELECT parts, times FROM footage WHERE order_id = ? AND node = ? ORDER BY part", (order_id, node)
            ).fetchall()
        return OrderView(
            str(order_id), str(node), str(sensor), OrderAction(str(action)), str(argument), str(person), int(str(given_ns)),
            answer.state, answer.detail, answer.at_ns, parts[0][0] if parts else 0, len(parts),
            tuple(t for _, times in parts for t in msgspec.json.decode(times, type=list[int])),
            answer.key, answer.params,
        )

    def picture(self, order_id: str, number: int) -> bytes | None:
        """The JPEG of an order's picture, counted from 0 over the parts that are here; None where there is none."""
        order = self.find(order_id)
        if order is None or not 0 <= number < len(order.pictures_ns):
            return None
        inbox = open_reader(self._settings.inbox_db, INBOX, self._settings.realm)
        try:
            for payload, times in inbox.execute(
                "SELECT a.payload, f.times FROM footage f JOIN arrivals a ON a.id = f.id "
                "WHERE f.order_id = ? AND f.node = ? ORDER BY f.part", (order_id, order.node),
            ):
                count = len(msgspec.json.decode(times, type=list[int]))
                if number < count:
                    body = decode_envelope(payload).body
                    return body.frames[number].jpeg if isinstance(body, Footage) else None
                number -= count
        finally:
            inbox.close()
        return None


T = TypeVar("T")
Sent = TypeVar("Sent", Order, FleetOrder)


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an order. detail: the node's own words. at_ns: when they came.

    key, params: detail as a sentence of the language files, where the node has one.
    """

    state: OrderState
    detail: str
    at_ns: int | None
    key: str = ""
    params: dict[str, str | float | int] = field(default_factory=dict)


def new_id(now_ns: int) -> str:
    return f"{now_ns // NS_PER_S:x}-{secrets.token_urlsafe(ID_BYTES)}"


def read_orders(
    settings: StationSettings, sql: str, values: Sequence[object],
    view: Callable[[Sequence[object], sqlite3.Connection | None], T],
) -> tuple[T, ...]:
    """Rows of orders.db, each seen beside the answers in inbox.db; None before there is one. Raises StoreError."""
    try:
        orders = open_reader(settings.orders_db, ORDERS, settings.realm)
    except FileNotFoundError:
        return ()
    with contextlib.closing(orders):
        rows = orders.execute(sql, values).fetchall()
    try:
        inbox = open_reader(settings.inbox_db, INBOX, settings.realm)
    except FileNotFoundError:
        return tuple(view(row, None) for row in rows)
    with contextlib.closing(inbox):
        return tuple(view(row, inbox) for row in rows)


def answer_of(
    inbox: sqlite3.Connection | None, order_id: object, node: object, expires_ns: int, now_ns: int
) -> Answered:
    found = None if inbox is None else inbox.execute(
        "SELECT done, detail, received_ns, key, params FROM order_results WHERE order_id = ? AND node = ?", (order_id, node)
    ).fetchone()
    if found is not None:
        state = OrderState.DONE if found[0] else OrderState.FAILED
        return Answered(state, found[1], found[2], found[3], msgspec.json.decode(found[4]))
    return Answered(OrderState.WAITING if expires_ns > now_ns else OrderState.EXPIRED, "", None)


class Sender(ABC, Generic[Sent]):
    """The inbox's side: which orders are to be sent now. answered: the inbox's own connection. again_ns: between two
    sendings of one.
    """

    def __init__(
        self, settings: StationSettings, answered: sqlite3.Connection, clock: Clock, again_ns: int
    ) -> None:
        self._settings = settings
        self._answered = answered
        self._clock = clock
        self._again_ns = again_ns
        self._orders: sqlite3.Connection | None = None
        self._sent_ns: dict[str, int] = {}

    @abstractmethod
    def _open(self, orders: sqlite3.Connection, now_ns: int) -> list[tuple[str, Sent]]:
        """Node and order, for all whose time is not over at now_ns (UTC)."""

    def due(self) -> list[tuple[str, Sent]]:
        """Node and order, for all that is neither answered nor over, and was not sent a moment ago.

        Raises StoreError or sqlite3.Error where orders.db cannot be read; the next call tries again.
        """
        if self._orders is None:
            try:
                self._orders = open_reader(self._settings.orders_db, ORDERS, self._settings.realm)
            except FileNotFoundError:
                return []           # nobody has ordered anything yet
        try:
            rows = self._open(self._orders, self._clock.utc_ns())
        except sqlite3.Error:
            self.close()
            raise
        now_ns = self._clock.monotonic_ns()
        open_ids = {order.order_id for _, order in rows}
        self._sent_ns = {i: sent_ns for i, sent_ns in self._sent_ns.items() if i in open_ids}
        found = []
        for node, order in rows:
            if now_ns - self._sent_ns.get(order.order_id, now_ns - self._again_ns) < self._again_ns:
                continue
            known = self._answered.execute(
                "SELECT 1 FROM order_results WHERE order_id = ? AND node = ?", (order.order_id, node)
            ).fetchone()
            if known is None:
                found.append((node, order))
        return found

    def sent(self, order_id: str) -> None:
        self._sent_ns[order_id] = self._clock.monotonic_ns()

    def close(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None


class OrderSender(Sender[Order]):
    """Of orders to cameras."""

    def __init__(self, settings: StationSettings, answered: sqlite3.Connection, clock: Clock) -> None:
        super().__init__(settings, answered, clock, AGAIN_NS)

    def _open(self, orders: sqlite3.Connection, now_ns: int) -> list[tuple[str, Order]]:
        rows = orders.execute(
            "SELECT node, id, sensor, action, argument, before_s, after_s, expires_ns FROM orders "
            "WHERE given_ns > ? AND expires_ns > ?", (now_ns - VALID_S * NS_PER_S, now_ns)
        ).fetchall()
        return [(str(node), Order(*order)) for node, *order in rows]


__all__ = [
    "ORDERS", "OrderBook", "OrderSender", "OrderState", "OrderView", "Sender", "StoreError", "TooManyOrdersError",
    "answer_of", "new_id", "read_orders",
]
