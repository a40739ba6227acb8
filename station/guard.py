"""What every request passes on its way in and out: where it comes from, how large it is, and the headers of the answer."""

from __future__ import annotations

import logging
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from station.picture import Sentence

BODY_LIMIT_BYTES = 16 * 1024
REASON_LIMIT = 500
SECURITY_HEADERS = {
    # Nothing but our own files, no inline script, no eval; MapLibre's worker is a file of ours. blob: and data: are
    # pictures that scripts draw (map symbols) and that MapLibre's own style sheet holds.
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=()",
}

log = logging.getLogger("trailwatch.web")
T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused, in a sentence of the language files."""

    says: Sentence


class RefusedRequest(HTTPException):
    def __init__(self, status: int, says: Sentence, retry_after_s: int = 0) -> None:
        super().__init__(status, headers={"Retry-After": str(retry_after_s)} if retry_after_s else None)
        self.says = says


class SecurityHeaders:
    """Adds the security headers to every answer, and no-store to what is not a file of the page's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                headers.extend((name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items())
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def accepts_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def answer_json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def show_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    says = error.says if isinstance(error, RefusedRequest) else Sentence("refused.http", {"status": error.status_code})
    return Response(
        msgspec.json.encode(Problem(says)),
        status_code=error.status_code,
        headers=dict(error.headers or {}),
        media_type="application/json",
    )


async def show_fault(_request: Request, error: Exception) -> Response:
    log.error("a request failed: %r", error)
    return Response(msgspec.json.encode(Problem(Sentence("refused.fault"))), status_code=500, media_type="application/json")


async def show_store_trouble(_request: Request, error: Exception) -> Response:
    """A database that is locked, full or damaged: nothing was done, and the page says why."""
    log.error("the store refuses: %s", error)
    problem = Problem(Sentence("refused.store", {"error": str(error)}))
    return Response(msgspec.json.encode(problem), status_code=503, media_type="application/json")


async def read_body(request: Request, kind: type[T], most_bytes: int = BODY_LIMIT_BYTES) -> T:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedRequest(415, Sentence("refused.http", {"status": 415}))
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > most_bytes:
            raise RefusedRequest(413, Sentence("refused.http", {"status": 413}))
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedRequest(400, Sentence("refused.http", {"status": 400})) from None


async def read_file(request: Request, most_bytes: int) -> bytes:
    """A file as the body, of no kind that a form of another page could send."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/octet-stream":
        raise RefusedRequest(415, Sentence("refused.http", {"status": 415}))
    too_large = RefusedRequest(413, Sentence("refused.file_too_large", {"most_mb": most_bytes // 1_000_000}))
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most_bytes:
        raise too_large
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most_bytes:
            raise too_large
    return bytes(data)


def check_reason(reason: str) -> None:
    if len(reason) > REASON_LIMIT:
        raise RefusedRequest(400, Sentence("refused.reason_length", {"most": REASON_LIMIT}))


def is_own_origin(connection: HTTPConnection) -> bool:
    """Whether the page that asks is ours: browsers name it in Origin for every POST and every WebSocket."""
    origin = urlsplit(connection.headers.get("origin", ""))
    return origin.netloc != "" and origin.netloc == connection.headers.get("host")


def check_origin(request: Request) -> None:
    if "origin" in request.headers and not is_own_origin(request):
        raise RefusedRequest(403, Sentence("refused.origin"))
