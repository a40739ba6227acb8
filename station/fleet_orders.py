"""Orders to the fleet: on the same road as those to cameras (station.orders), and as durable.

The web server writes them to orders.db; the inbox sends each to its fleet service, again and again until the answer is in
inbox.db or its time is over. An order holds no longer than somebody may still mean it: nobody wants a launch of a minute
ago, and everybody still wants the return.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence

import msgspec
import zmq

from station.orders import ID_BYTES, ORDERS, OrderState, TooManyOrdersError
from station.record import Record
from station.settings import StationSettings
from station.store import INBOX, open_reader, open_store, transaction
from wire.clock import NS_PER_S, Clock
from wire.tasking import FleetAction, FleetOrder, FlightWish

VALID_S: dict[FleetAction, int] = {
    FleetAction.PLAN: 30, FleetAction.LAUNCH: 15, FleetAction.WITHDRAW: 60, FleetAction.PAUSE: 30, FleetAction.RESUME: 15,
    FleetAction.RETURN: 120, FleetAction.LAND: 30,
}
LONGEST_VALID_S = max(VALID_S.values())
AGAIN_NS = NS_PER_S                 # between two sendings
LISTED = 50
WAITING_LIMIT = 200                 # orders of one station within LONGEST_VALID_S


class FleetOrderView(msgspec.Struct, frozen=True):
    """detail: the fleet's own words. wish: of a PLAN."""

    id: str
    node: str
    drone: str
    action: FleetAction
    plan_id: str
    person: str
    given_ns: int
    expires_ns: int
    state: OrderState
    detail: str
    answered_ns: int | None
    wish: FlightWish | None = None


class FleetOrderBook:
    """The web server's side. Raises StoreError for files that cannot be used, sqlite3.Error for a disk that refuses."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def make_ready(self) -> None:
        """Bring a file of an older program up to date, which the inbox only reads."""
        if self._settings.orders_db.exists():
            open_store(self._settings.orders_db, ORDERS, self._settings.realm, self._clock).close()

    def give(self, person: str, node: str, order: FleetOrder) -> str:
        """Record that this person ordered it, then order it; returns its id. Raises TooManyOrdersError.

        Of `order` everything counts but its id, its person and its end.
        """
        now_ns = self._clock.utc_ns()
        order_id = f"{now_ns // NS_PER_S:x}-{secrets.token_urlsafe(ID_BYTES)}"
        action = FleetAction(order.action)
        whole = msgspec.structs.replace(
            order, order_id=order_id, person=person, expires_ns=now_ns + VALID_S[action] * NS_PER_S
        )
        db = open_store(self._settings.orders_db, ORDERS, self._settings.realm, self._clock)
        try:
            since_ns = now_ns - LONGEST_VALID_S * NS_PER_S
            given = db.execute("SELECT count(*) FROM fleet_orders WHERE given_ns > ?", (since_ns,)).fetchone()[0]
            if given >= WAITING_LIMIT and action not in (FleetAction.RETURN, FleetAction.LAND):
                raise TooManyOrdersError(f"{given} orders of the last {LONGEST_VALID_S} s")
            self._record(person, node, whole)
            with transaction(db):
                db.execute(
                    "INSERT INTO fleet_orders VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (order_id, node, action.value, person, now_ns, whole.expires_ns, msgspec.msgpack.encode(whole)),
                )
        finally:
            db.close()
        self._tell_inbox()
        return order_id

    def _record(self, person: str, node: str, order: FleetOrder) -> None:
        wish = order.wish
        told = {
            "order": order.order_id, "node": node, "action": order.action, "drone": order.drone, "plan": order.plan_id,
            "flight": wish.kind.value if wish else "", "corridor": wish.corridor if wish else "",
            "contact": wish.contact if wish else "",
        }
        record = Record(self._settings, self._clock)
        try:
            record.append(person, "fleet.ordered", {name: value for name, value in told.items() if value})
        finally:
            record.close()

    def _tell_inbox(self) -> None:
        """That there is something to send; where this fails, it looks by itself a moment later."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        try:
            with context.socket(zmq.PUSH) as socket:
                socket.linger = 500
                socket.connect(self._settings.inbox_down)
                socket.send(b"", zmq.NOBLOCK)
        except zmq.ZMQError:
            pass

    def newest(self) -> tuple[FleetOrderView, ...]:
        """The newest orders first."""
        return self._views("ORDER BY given_ns DESC, rowid DESC LIMIT ?", (LISTED,))

    def find(self, order_id: str) -> FleetOrderView | None:
        return next(iter(self._views("WHERE id = ?", (order_id,))), None)

    def _views(self, which: str, values: Sequence[object]) -> tuple[FleetOrderView, ...]:
        try:
            orders = open_reader(self._settings.orders_db, ORDERS, self._settings.realm)
        except FileNotFoundError:
            return ()
        try:
            rows = orders.execute(f"SELECT id, node, given_ns, body FROM fleet_orders {which}", values).fetchall()
        finally:
            orders.close()
        try:
            inbox = open_reader(self._settings.inbox_db, INBOX, self._settings.realm)
        except FileNotFoundError:
            return tuple(self._view(row, None) for row in rows)
        try:
            return tuple(self._view(row, inbox) for row in rows)
        finally:
            inbox.close()

    def _view(self, row: Sequence[object], inbox: sqlite3.Connection | None) -> FleetOrderView:
        order_id, node, given_ns, body = row
        order = msgspec.msgpack.decode(bytes(body), type=FleetOrder)        # type: ignore[call-overload]
        answer = None
        if inbox is not None:
            answer = inbox.execute(
                "SELECT done, detail, received_ns FROM order_results WHERE order_id = ? AND node = ?", (order_id, node)
            ).fetchone()
        if answer is not None:
            state = OrderState.DONE if answer[0] else OrderState.FAILED
        else:
            state = OrderState.WAITING if order.expires_ns > self._clock.utc_ns() else OrderState.EXPIRED
        return FleetOrderView(
            str(order_id), str(node), order.drone, FleetAction(order.action), order.plan_id, order.person,
            int(str(given_ns)), order.expires_ns, state, answer[1] if answer else "", answer[2] if answer else None,
            order.wish,
        )


class FleetOrderSender:
    """The inbox's side: which orders are to be sent now. answered: the inbox's own connection."""

    def __init__(self, settings: StationSettings, answered: sqlite3.Connection, clock: Clock) -> None:
        self._settings = settings
        self._answered = answered
        self._clock = clock
        self._orders: sqlite3.Connection | None = None
        self._sent_ns: dict[str, int] = {}

    def due(self) -> list[tuple[str, FleetOrder]]:
        """Node and order, in the order in which they were given, for all that is neither answered nor over, and was not sent
        a moment ago.

        Raises StoreError or sqlite3.Error where orders.db cannot be read; the next call tries again.
        """
        if self._orders is None:
            try:
                self._orders = open_reader(self._settings.orders_db, ORDERS, self._settings.realm)
            except FileNotFoundError:
                return []           # nobody has ordered anything yet
        try:
            at_ns = self._clock.utc_ns()
            rows = self._orders.execute(
                "SELECT id, node, body FROM fleet_orders WHERE given_ns > ? AND expires_ns > ? ORDER BY given_ns, rowid",
                (at_ns - LONGEST_VALID_S * NS_PER_S, at_ns),
            ).fetchall()
        except sqlite3.Error:
            self.close()
            raise
        now_ns = self._clock.monotonic_ns()
        open_ids = {str(row[0]) for row in rows}
        self._sent_ns = {i: sent_ns for i, sent_ns in self._sent_ns.items() if i in open_ids}
        found = []
        for order_id, node, body in rows:
            if now_ns - self._sent_ns.get(order_id, now_ns - AGAIN_NS) < AGAIN_NS:
                continue
            known = self._answered.execute(
                "SELECT 1 FROM order_results WHERE order_id = ? AND node = ?", (order_id, node)
            ).fetchone()
            if known is None:
                found.append((str(node), msgspec.msgpack.decode(body, type=FleetOrder)))
        return found

    def sent(self, order_id: str) -> None:
        self._sent_ns[order_id] = self._clock.monotonic_ns()

    def close(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None
