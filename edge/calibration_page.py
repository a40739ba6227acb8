"""A page for this machine alone on which a person clicks a camera's points: it writes the points file, and solves."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import msgspec

from edge.calibration import PointsFile, Request, read_picture, run, write_points
from wire.settings import SettingsError, load_settings

PAGE = Path(__file__).with_name("calibration.html")
BODY_LIMIT_BYTES = 200_000
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the page works on. secret: in its address, so that no other page in the browser can reach it."""

    request: Request
    picture_png: bytes
    size_px: tuple[int, int]
    secret: str

    def points(self) -> PointsFile:
        if not self.request.points.exists():
            return PointsFile(picture_px=self.size_px)
        return load_settings(self.request.points, PointsFile)

    def take(self, body: bytes) -> None:
        """Raises msgspec.ValidationError or DecodeError."""
        sent = msgspec.json.decode(body, type=PointsFile)
        write_points(self.request.points, msgspec.structs.replace(sent, picture_px=self.size_px))


class Page:
    """Serves until `close`. address: for a browser of this machine. Raises SettingsError where there is no picture."""

    def __init__(self, request: Request, port: int = 0) -> None:
        picture = read_picture(request)
        height, width = picture.shape[:2]
        _, png = cv2.imencode(".png", picture)
        self._desk = _Desk(request, png.tobytes(), (width, height), secrets.token_urlsafe(16))
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._desk))
        self.address = f"http://127.0.0.1:{self._server.server_port}/{self._desk.secret}/"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(desk: _Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self._asked():
                case "":
                    self._answer(PAGE.read_bytes(), "text/html; charset=utf-8")
                case "picture":
                    self._answer(desk.picture_png, "image/png")
                case "points":
                    self._answer(*self._words(lambda: msgspec.json.encode(desk.points()), "application/json"))
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
                self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            body = self.rfile.read(int(length))
            match self._asked():
                case "points":
                    try:
                        desk.take(body)
                    except (msgspec.ValidationError, msgspec.DecodeError) as error:
                        self._answer(str(error).encode(), "text/plain; charset=utf-8", HTTPStatus.BAD_REQUEST)
                    else:
                        self._answer(b"", "text/plain; charset=utf-8")
                case "solve":
                    self._answer(*self._words(lambda: run(desk.request).encode(), "text/plain; charset=utf-8"))
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)

        def _asked(self) -> str | None:
            """What is asked for below the secret; None for those who do not know it."""
            _, secret, *rest = [*self.path.split("/"), ""]
            return "/".join(rest).strip("/") if secrets.compare_digest(secret, desk.secret) else None

        def _words(self, work: Callable[[], bytes], kind: str) -> tuple[bytes, str, HTTPStatus]:
            try:
                return work(), kind, HTTPStatus.OK
            except SettingsError as error:
                return str(error).encode(), "text/plain; charset=utf-8", HTTPStatus.CONFLICT

        def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
            self.send_response(status)
            for name, value in (
                ("Content-Type", kind), ("Content-Length", str(len(body))), ("Content-Security-Policy", POLICY),
                ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:      # the secret stays out of every log
            """Silent."""

    return Handler
