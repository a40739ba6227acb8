"""The demo's own operator: it logs in like anybody, listens to the live feed, and measures how old the news is.

Latency is capture to feed: from the capture time of the newest detection in a contact to the moment when the delta that
carries it has arrived over the WebSocket. Node, station and demo share one machine's clock here.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

import httpx
import msgspec
import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from station.picture import Delta, Picture
from wire.clock import NS_PER_S, Clock

RETRY_S = 0.5
STALE_NS = 10 * NS_PER_S        # a contact that is sent again long after its last detection tells nothing about latency

_log = logging.getLogger("trailwatch.demo")
_decoder: msgspec.json.Decoder[Picture | Delta] = msgspec.json.Decoder(Picture | Delta, strict=False)


@dataclass(slots=True)
class Heard:
    """What came over the feed. latencies_ms: one for each new detection time of a contact."""

    deltas: int = 0
    alarms: set[str] = field(default_factory=set)
    contacts: set[str] = field(default_factory=set)
    latencies_ms: list[float] = field(default_factory=list)

    def percentile_ms(self, q: float) -> float | None:
        return round(float(np.percentile(self.latencies_ms, q)), 1) if self.latencies_ms else None


class FeedListener:
    """A thread with a WebSocket of its own. Reconnects when the web server was restarted."""

    def __init__(self, address: str, name: str, password: str, clock: Clock) -> None:
        self.heard = Heard()
        self._address = address
        self._name = name
        self._password = password
        self._clock = clock
        self._stop = threading.Event()
        self._newest: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="demo-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except (httpx.HTTPError, OSError, WebSocketException) as error:
                _log.debug("the feed is not there yet: %s", error)
            self._stop.wait(RETRY_S)

    def _listen(self) -> None:
        with httpx.Client(base_url=self._address, timeout=5.0) as client:
            client.post("/api/login", json={"name": self._name, "password": self._password}).raise_for_status()
            cookies = "; ".join(f"{k}={v}" for k, v in client.cookies.items())
        address = self._address.replace("http", "ws", 1) + "/feed"
        with connect(address, origin=Origin(self._address), additional_headers={"Cookie": cookies}, max_size=None) as feed:
            while not self._stop.is_set():
                try:
                    text = feed.recv(timeout=0.5)
                except TimeoutError:
                    continue
                self._take(text, self._clock.utc_ns())

    def _take(self, text: str | bytes, now_ns: int) -> None:
        try:
            news = _decoder.decode(text)
        except msgspec.DecodeError:
            return      # the server also tells how it is itself; that is not news of the ground
        for contact in news.contacts:
            before = self._newest.get(contact.id)
            self._newest[contact.id] = contact.last_seen_ns
            self.heard.contacts.add(contact.id)
            is_new = before is None or contact.last_seen_ns > before
            if isinstance(news, Delta) and is_new and now_ns - contact.last_seen_ns < STALE_NS:
                self.heard.latencies_ms.append((now_ns - contact.last_seen_ns) / 1e6)
        self.heard.alarms.update(alarm.id for alarm in news.alarms)
        self.heard.deltas += isinstance(news, Delta)
