"""The page's own files: read and compressed once at the start, served from memory, and nothing else from the disk."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from wire.units import Realm

STATIC = Path(__file__).resolve().parent / "static"
REALM_MARK = b"{{realm}}"       # in the HTML files: the watermark must not wait for a script
TYPES = {
    ".html": "text/html; charset=utf-8",
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


class Shelf:
    """Every file under `folder` by its relative name; names that are not in it do not exist, so no path can climb out."""

    def __init__(self, folder: Path, realm: Realm) -> None:
        self._files: dict[str, ShelvedFile] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix in TYPES and path.is_file():
                content = path.read_bytes()
                if path.suffix == ".html":
                    content = content.replace(REALM_MARK, realm.value.encode())
                etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
                name = path.relative_to(folder).as_posix()
                self._files[name] = ShelvedFile(content, gzip.compress(content, 6), etag, TYPES[path.suffix])

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
