"""A page for this machine alone on which a person clicks a camera's points: it writes the points file, and solves."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import msgspec

from edge.calibration import PointsFile, Request, in_picture, load_points, read_picture, solve, write_points
from edge.calibration_words import LANGUAGES, PAGE, Language
from edge.settings import NodeSettings
from wire.settings import SettingsError, load_settings

SHEET = Path(__file__).with_name("calibration.html")
BODY_LIMIT_BYTES = 200_000
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to `solve`. write: a good fit goes into the settings file."""

    language: Language = "en"
    write: bool = False


class Answer(msgspec.Struct, frozen=True):
    """Of `solve`. seen: for each point the pixel of the picture at which the camera has it now; None for behind it."""

    text: str
    solved: bool
    seen: tuple[tuple[float, float] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the page works on. secret: in its address, so that no other page in the browser can reach it."""

    request: Request
    picture_png: bytes
    size_px: tuple[int, int]
    lens_px: tuple[int, int]
    secret: str

    def points(self) -> PointsFile:
        """In pixels of the picture that is shown, whichever they were clicked on. Raises SettingsError."""
        if not self.request.points.exists():
            return PointsFile(picture_px=self.size_px)
        return load_points(self.request.points, self.lens_px, self.size_px)

    def take(self, body: bytes) -> None:
        """Raises msgspec.ValidationError or DecodeError."""
        sent = msgspec.json.decode(body, type=PointsFile)
        write_points(self.request.points, msgspec.structs.replace(sent, picture_px=self.size_px))

    def solve(self, body: bytes) -> Answer:
        """Raises msgspec.ValidationError or DecodeError, and SettingsError for what the files say."""
        wish = msgspec.json.decode(body, type=Wish)
        outcome = solve(replace(self.request, write=self.request.write or wish.write), wish.language)
        return Answer(outcome.text, not outcome.refused, in_picture(outcome.seen, self.lens_px, self.size_px))


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that was closed in the middle of an answer is nobody's fault."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Page:
    """Serves until `close`. address: for a browser of this machine. Raises SettingsError where there is no picture."""

    def __init__(self, request: Request, port: int = 0) -> None:
        picture = read_picture(request)
        height, width = picture.shape[:2]
        _, png = cv2.imencode(".png", picture)
        lens = load_settings(request.node, NodeSettings).camera.lens
        lens_px = (lens.width_px, lens.height_px)
        self._desk = _Desk(request, png.tobytes(), (width, height), lens_px, secrets.token_urlsafe(16))
        self._server = _Server(("127.0.0.1", port), _handler(self._desk))
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
                    self._answer(SHEET.read_bytes(), "text/html; charset=utf-8")
                case "picture":
                    self._answer(desk.picture_png, "image/png")
                case "words":
                    self._answer(msgspec.json.encode({"languages": LANGUAGES, "words": PAGE}), "application/json")
                case "points":
                    try:
                        self._answer(msgspec.json.encode(desk.points()), "application/json")
                    except SettingsError as error:
                        self._answer(str(error).encode(), "text/plain; charset=utf-8", HTTPStatus.CONFLICT)
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
                self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            body = self.rfile.read(int(length))
            try:
                match self._asked():
                    case "points":
                        desk.take(body)
                        self._answer(b"", "text/plain; charset=utf-8")
                    case "solve":
                        self._solve(body)
                    case _:
                        self.send_error(HTTPStatus.NOT_FOUND)
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                self._answer(str(error).encode(), "text/plain; charset=utf-8", HTTPStatus.BAD_REQUEST)
            except OSError as error:        # a full or read-only disk: what was kept before is still there
                self._answer(str(error).encode(), "text/plain; charset=utf-8", HTTPStatus.CONFLICT)

        def _solve(self, body: bytes) -> None:
            try:
                answer = desk.solve(body)
            except (SettingsError, OSError) as error:
                answer = Answer(str(error), solved=False)
            status = HTTPStatus.OK if answer.solved else HTTPStatus.CONFLICT
            self._answer(msgspec.json.encode(answer), "application/json", status)

        def _asked(self) -> str | None:
            """What is asked for below the secret; None for those who do not know it."""
            _, secret, *rest = [*self.path.split("/"), ""]
            return "/".join(rest).strip("/") if secrets.compare_digest(secret, desk.secret) else None

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
