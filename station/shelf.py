"""The pages and their files: made and compressed once at the start, served from memory, and nothing else from the disk."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from wire.units import Realm

STATIC = Path(__file__).resolve().parent / "static"
PAGES = Path(__file__).resolve().parent / "pages"
HTML = "text/html; charset=utf-8"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class ShelvedFile:
    content: bytes
    compressed: bytes
    etag: str
    media_type: str


def page(name: str, realm: Realm, is_replay: bool = False) -> bytes:
    """One of the files in `pages/` in its frame: realm, watermark and frame are in it before any script runs."""
    it = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    return it.get_template(name).render(realm=realm.value, is_replay=is_replay).encode()


class Shelf:
    """The pages, and every file of `static/` by its relative name; what is not there does not exist: no path climbs out."""

    def __init__(self, realm: Realm) -> None:
        self._files: dict[str, ShelvedFile] = {}
        for path in sorted(STATIC.rglob("*")):
            if path.suffix in TYPES and path.is_file():
                self._put(path.relative_to(STATIC).as_posix(), path.read_bytes(), TYPES[path.suffix])
        for path in sorted(PAGES.glob("*.html")):
            self._put(path.name, page(path.name, realm), HTML)

    def _put(self, name: str, content: bytes, media_type: str) -> None:
        etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        self._files[name] = ShelvedFile(content, gzip.compress(content, 6), etag, media_type)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def response(self, request: Request, name: str) -> Response:
        """The file, or "not modified" when the browser holds it: it asks each time, so that an update is never missed."""
        file = self._files.get(name)
        if file is None:
            return Response("not found", status_code=404, media_type="text/plain")
        headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
        return Response(file.content, headers=headers, media_type=file.media_type)
