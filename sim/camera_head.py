"""The head of a simulated camera that turns: it is told by a GET on this machine, as a camera with a CGI address is.

Presets, address and tokens are those of the node that looks through it, so that the two cannot disagree. It takes its time,
goes the short way round, and comes back to a preset as well as the node's settings say, and no better.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from wire.clock import NS_PER_S, Clock
from wire.settings import SettingsError

SPEED_DEG_S = 30.0              # of usual dome cameras, between presets 5 to 400
LOOPBACK = ("127.0.0.1", "localhost")
MISTAKE_LIMIT = 3.0             # sigmas: a survey or a head that is farther off than this would have been noticed


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera really looks at a preset, and through which lens."""

    pose: Pose
    lens: Lens


class CameraHead:
    """Looks at the first preset until it is told otherwise. url: of the node's [ptz], with {token} in it.

    repeat_deg: one sigma of coming back. Raises SettingsError for an address that is not on this machine, or taken.
    """

    def __init__(self, views: Mapping[str, View], url: str, repeat_deg: float, seed: int, clock: Clock) -> None:
        self._views = dict(views)
        self._url = url
        self._repeat_deg = repeat_deg
        self._chance = np.random.default_rng([seed, 77])
        self._clock = clock
        first = next(iter(self._views.values()))
        self._from = self._to = first.pose
        self._lens = first.lens
        self._began_ns = 0
        self._lock = threading.Lock()
        place = urlsplit(url)
        if place.hostname not in LOOPBACK or place.scheme != "http" or not place.port:
            raise SettingsError(f'"{url}": a simulated camera is turned on this machine; give http://127.0.0.1:PORT/PATH')
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", place.port), _handler(self))
        except OSError as error:
            raise SettingsError(f'"{url}" cannot be had: {error.strerror}. Stop what uses it.') from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def at(self, utc_ns: int) -> View:
        """Where it looks at that moment."""
        with self._lock:
            return View(self._pose(utc_ns), self._lens)

    def turn(self, token: str) -> bool:
        """Begin to turn. Returns whether there is such a preset."""
        view = self._views.get(token)
        if view is None:
            return False
        off = np.clip(self._chance.standard_normal(2), -MISTAKE_LIMIT, MISTAKE_LIMIT) * self._repeat_deg
        with self._lock:
            now_ns = self._clock.utc_ns()
            self._from, self._began_ns = self._pose(now_ns), now_ns
            pitch_deg = float(np.clip(view.pose.pitch_deg + off[1], -90.0, 90.0))
            self._to = replace(view.pose, yaw_deg=view.pose.yaw_deg + float(off[0]), pitch_deg=pitch_deg)
            self._lens = view.lens
        return True

    def token_of(self, path: str) -> str | None:
        """The preset that a request asks for."""
        for token in self._views:
            wanted = urlsplit(self._url.replace("{token}", quote(token, safe="")))
            if path == wanted.path + (f"?{wanted.query}" if wanted.query else ""):
                return token
        return None

    def _pose(self, utc_ns: int) -> Pose:
        yaw_deg = (self._to.yaw_deg - self._from.yaw_deg + 180.0) % 360.0 - 180.0
        pitch_deg, roll_deg = self._to.pitch_deg - self._from.pitch_deg, self._to.roll_deg - self._from.roll_deg
        gone_deg = max(0.0, (utc_ns - self._began_ns) / NS_PER_S * SPEED_DEG_S)
        way_deg = max(abs(yaw_deg), abs(pitch_deg))
        if gone_deg >= way_deg:
            return self._to
        share = gone_deg / way_deg
        return replace(
            self._to, yaw_deg=self._from.yaw_deg + share * yaw_deg, pitch_deg=self._from.pitch_deg + share * pitch_deg,
            roll_deg=self._from.roll_deg + share * roll_deg,
        )


def _handler(head: CameraHead) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = head.token_of(self.path)
            self.send_response(200 if token is not None and head.turn(token) else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Silent: the node's log says it."""

    return Handler
