"""Orders to the fleet: on the same road as those to cameras (station.orders), and as durable.

The web server writes them to orders.db; the inbox sends each to its fleet service, again and again until the answer is in
inbox.db or its time is over. An order holds no longer than somebody may still mean it: nobody wants a launch of a minute
ago, and everybody still wants the return.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec
import zmq

from station.fleet_order_state import what_became
from station.fleet_picture import FleetView
from station.orders import ORDERS, OrderState, Sender, TooManyOrdersError, answer_of, new_id, read_orders
from station.picture import DroneView
from station.record import Record
from station.settings import StationSettings
from station.store import open_store, transaction
from wire.clock import NS_PER_S, Clock
from wire.tasking import FleetAction, FleetOrder, FlightWish

VALID_S: dict[FleetAction, int] = {
    FleetAction.PLAN: 30, FleetAction.LAUNCH: 15, FleetAction.WITHDRAW: 60, FleetAction.PAUSE: 30, FleetAction.RESUME: 15,
    FleetAction.RETURN: 120, FleetAction.LAND: 30, FleetAction.SWAP_BATTERY: 30,
}
LONGEST_VALID_S = max(VALID_S.values())
AGAIN_NS = NS_PER_S                 # between two sendings
LISTED = 50
WAITING_LIMIT = 200                 # orders of one station within LONGEST_VALID_S


class FleetOrderView(msgspec.Struct, frozen=True):
    """detail, key, params: the fleet's own words, of its answer or of the task that the order has begun. wish: of a PLAN."""

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
    key: str = ""
    params: dict[str, str | float | int] = {}


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
        order_id = new_id(now_ns)
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

    def newest(self, fleets: Sequence[FleetView] = (), drones: Sequence[DroneView] = ()) -> tuple[FleetOrderView, ...]:
        """The newest orders first, with what became of them as far as fleets and drones say so now."""
        return self._views("ORDER BY given_ns DESC, rowid DESC LIMIT ?", (LISTED,), fleets, drones)

    def find(
        self, order_id: str, fleets: Sequence[FleetView] = (), drones: Sequence[DroneView] = ()
    ) -> FleetOrderView | None:
        return next(iter(self._views("WHERE id = ?", (order_id,), fleets, drones)), None)

    def _views(
        self, which: str, values: Sequence[object], fleets: Sequence[FleetView], drones: Sequence[DroneView]
    ) -> tuple[FleetOrderView, ...]:
        now_ns = self._clock.utc_ns()

        def view(row: Sequence[object], inbox: sqlite3.Connection | None) -> FleetOrderView:
            order_id, node, given_ns, body = str(row[0]), str(row[1]), int(str(row[2])), row[3]
            assert isinstance(body, bytes)
            order = msgspec.msgpack.decode(body, type=FleetOrder)
            stored = answer_of(inbox, order_id, node, order.expires_ns, now_ns)
            became = what_became(order, given_ns, stored, fleets, drones, now_ns)
            return FleetOrderView(
                order_id, node, order.drone, FleetAction(order.action), order.plan_id, order.person, given_ns,
                order.expires_ns, became.state, became.detail, became.at_ns, order.wish, became.key, became.params,
            )

        return read_orders(self._settings, f"SELECT id, node, given_ns, body FROM fleet_orders {which}", values, view)


class FleetOrderSender(Sender[FleetOrder]):
    """Of orders to fleet services, in the order in which they were given."""

    def __init__(self, settings: StationSettings, answered: sqlite3.Connection, clock: Clock) -> None:
        super().__init__(settings, answered, clock, AGAIN_NS)

    def _open(self, orders: sqlite3.Connection, now_ns: int) -> list[tuple[str, FleetOrder]]:
        rows = orders.execute(
            "SELECT node, body FROM fleet_orders WHERE given_ns > ? AND expires_ns > ? ORDER BY given_ns, rowid",
            (now_ns - LONGEST_VALID_S * NS_PER_S, now_ns),
        ).fetchall()
        return [(str(node), msgspec.msgpack.decode(body, type=FleetOrder)) for node, body in rows]
