"""The shift's pilot: an account of role pilot that does what the page does, over the station's own HTTP and feed.

It logs in, keeps its session and its CSRF token, sees the picture that pages get, and orders drones by offer and launch. It
knows nothing that a person in front of the map could not know.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import httpx
import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from station.feed import PictureKeeper
from station.fleet_orders import FleetOrderView
from station.orders import OrderState
from station.picture import AlarmView, ContactView, Delta, DroneView, Picture
from station.web_fleet import FleetWanted, GivenFleetOrder
from station.web_login import Me
from wire.clock import Clock
from wire.tasking import Dispatch, FleetAction, FlightWish, Offer

RETRY_S = 0.5
LISTED_AGAIN_S = 0.2

_log = logging.getLogger("trailwatch.shift")
_decoder: msgspec.json.Decoder[Picture | Delta] = msgspec.json.Decoder(Picture | Delta, strict=False)


@dataclass(frozen=True, slots=True)
class Given:
    """An order that was given, or what the station said when it would not take it. pressed_ns: UTC."""

    pressed_ns: int
    order_id: str = ""
    refused: str = ""


class ShiftPilot:
    """One person at the station. The feed has a thread; everything else is for one caller."""

    def __init__(self, address: str, name: str, password: str, clock: Clock) -> None:
        self.name = name
        self._address, self._clock = address, clock
        self._client = httpx.Client(base_url=address, timeout=10.0, headers={"Origin": address})
        self._client.post("/api/login", json={"name": name, "password": password}).raise_for_status()
        me = msgspec.json.decode(self._client.get("/api/me").raise_for_status().content, type=Me)
        self.me = me
        self._client.headers["X-CSRF-Token"] = me.csrf
        self._keeper: PictureKeeper | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shift-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)
        self._client.close()

    # -------------------------------------------------------------------------------------------------- what it sees

    def drone(self, name: str) -> DroneView | None:
        with self._lock:
            return self._keeper.drones.get(name) if self._keeper else None

    def contact(self, name: str) -> ContactView | None:
        with self._lock:
            return self._keeper.contacts.get(name) if self._keeper else None

    def alarms(self) -> list[AlarmView]:
        with self._lock:
            return list(self._keeper.alarms.values()) if self._keeper else []

    def dispatch(self) -> Dispatch:
        with self._lock:
            fleets = list(self._keeper.fleets.values()) if self._keeper else []
        return next((f.dispatch for f in fleets if f.dispatch is not None), Dispatch(0))

    def offer(self, order_id: str) -> Offer | None:
        with self._lock:
            fleets = list(self._keeper.fleets.values()) if self._keeper else []
        return next((o for f in fleets for o in f.offers if o.order_id == order_id), None)

    # ------------------------------------------------------------------------------------------------- what it orders

    def order(
        self, action: FleetAction, drone: str = "", wish: FlightWish | None = None, plan_id: str = "", priority: int = 2
    ) -> Given:
        pressed_ns = self._clock.utc_ns()
        wanted = FleetWanted(action, drone, wish, plan_id, priority)
        answer = self._client.post(
            "/api/fleet/orders", content=msgspec.json.encode(wanted), headers={"Content-Type": "application/json"}
        )
        if answer.status_code != 200:
            return Given(pressed_ns, refused=f"{answer.status_code} {answer.text}")
        return Given(pressed_ns, msgspec.json.decode(answer.content, type=GivenFleetOrder).id)

    def answer(self, order_id: str) -> FleetOrderView:
        """What became of it so far. Raises httpx.HTTPError."""
        found = self._client.get(f"/api/fleet/orders/{order_id}").raise_for_status()
        return msgspec.json.decode(found.content, type=FleetOrderView)

    def orders(self) -> tuple[FleetOrderView, ...]:
        """The newest, of everybody."""
        found = self._client.get("/api/fleet/orders").raise_for_status()
        return msgspec.json.decode(found.content, type=tuple[FleetOrderView, ...])

    # ------------------------------------------------------------------------------------------------------- the feed

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except (OSError, WebSocketException) as error:
                _log.debug("the feed is not there: %s", error)
            self._stop.wait(RETRY_S)

    def _listen(self) -> None:
        cookies = "; ".join(f"{k}={v}" for k, v in self._client.cookies.items())
        address = self._address.replace("http", "ws", 1) + "/feed"
        with connect(address, origin=Origin(self._address), additional_headers={"Cookie": cookies}, max_size=None) as feed:
            while not self._stop.is_set():
                try:
                    text = feed.recv(timeout=0.5)
                except TimeoutError:
                    continue
                try:
                    self._take(_decoder.decode(text))
                except msgspec.DecodeError:
                    continue        # the server's own beat

    def _take(self, news: Picture | Delta) -> None:
        with self._lock:
            if isinstance(news, Picture):
                self._keeper = PictureKeeper(news)
            elif self._keeper is not None and not self._keeper.is_old(news):
                self._keeper.lay(news)


def is_answered(view: FleetOrderView) -> bool:
    return view.state not in (OrderState.WAITING, OrderState.UNDER_WAY)
