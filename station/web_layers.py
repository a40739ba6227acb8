"""Layers of the agency's own through the page: a file is looked at, and only that very file is taken; and their tiles."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.access import Role
from station.basemap import BaseMapKind
from station.guard import RefusedRequest, answer_json, read_body
from station.layer_check import Checked
from station.layers_kept import FILE_LIMIT_BYTES, LAYERS_MOST, LayerStore, OwnLayer
from station.picture import Sentence
from station.record import Record
from station.store import StoreError
from station.web_api import ApiRoute, Who, read_query
from station.web_basemap import KEEP
from station.web_door import Door

T = TypeVar("T")
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class FileQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Words = "?"


class LookedAt(msgspec.Struct, frozen=True):
    """sha256: what is confirmed when the file is taken."""

    sha256: str
    found: Checked


class AddRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """attribution: whose data it is, as the map says it. as_of: of which time, in words."""

    sha256: str
    name: Words
    attribution: Words
    as_of: Annotated[str, msgspec.Meta(max_length=60)] = ""


class RemoveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str


class LayerRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._store = LayerStore(door.settings)
        self._one = anyio.Lock()

    def routes(self) -> list[BaseRoute]:
        admin = Who.ADMINISTRATORS
        return [
            ApiRoute("/api/layers", self.layers, "The agency's own layers of the map.", answer=tuple[OwnLayer, ...]),
            ApiRoute("/api/layers/preview", self.preview, "Look at a file (the body, as it is); takes nothing.",
                     method="POST", who=admin, query=FileQuery, answer=LookedAt),
            ApiRoute("/api/layers/add", self.add, "Make a layer of the file that was looked at.", method="POST", who=admin,
                     body=AddRequest, answer=OwnLayer),
            ApiRoute("/api/layers/remove", self.remove, "Take a layer off the map.", method="POST", who=admin,
                     body=RemoveRequest, answer=None),
            ApiRoute("/api/layers/{id}/{kind}/{version}/{zoom:int}/{x:int}/{y:int}", self.tile,
                     "A tile of a layer; 204 where it is empty.", media="application/vnd.mapbox-vector-tile"),
        ]

    async def layers(self, request: Request) -> Response:
        await self._door.known(request)
        return answer_json(await anyio.to_thread.run_sync(self._store.layers))

    async def tile(self, request: Request) -> Response:
        if await self._door.session(request) is None:      # not counted against a person's rate, as those of the base map
            raise RefusedRequest(401, Sentence("refused.not_logged_in"))
        at = request.path_params
        try:
            kind = BaseMapKind(at["kind"])
        except ValueError:
            raise RefusedRequest(404, Sentence("refused.http", {"status": 404})) from None
        found = await anyio.to_thread.run_sync(
            self._store.tile, at["id"], kind, at["version"], at["zoom"], at["x"], at["y"]
        )
        if found is None:
            return Response(status_code=204, headers=KEEP)
        return Response(found[0], media_type=found[1], headers=KEEP)

    async def preview(self, request: Request) -> Response:
        await self._door.changing(request, roles=ADMINISTRATORS)
        name = read_query(request, FileQuery).name
        if self._one.locked():
            raise RefusedRequest(409, Sentence("layer.refused.busy"))
        async with self._one:
            folder = await self._do(self._store.stage)
            file = folder / "file"
            digest = await self._to_disk(request, file)
            found = await anyio.to_thread.run_sync(self._store.check, file, digest, name)
        return answer_json(LookedAt(digest, found))

    async def add(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, AddRequest)
        person = session.person.name

        def take() -> OwnLayer | None:
            if len(self._store.layers()) >= LAYERS_MOST:
                raise RefusedRequest(409, Sentence("layer.refused.many", {"most": LAYERS_MOST}))
            with contextlib.closing(self._record()) as record:
                layer = self._store.take(
                    wanted.sha256, wanted.name, wanted.attribution, wanted.as_of, person, self._door.clock.utc_ns()
                )
                if layer is not None:
                    told: dict[str, str | int | float] = {"layer": layer.id, "name": layer.name, "sha256": layer.sha256}
                    record.append(person, "layer.added", told | {"features": layer.features})
                return layer

        layer = await self._do(take)
        if layer is None:
            raise RefusedRequest(409, Sentence("layer.refused.another"))
        return answer_json(layer)

    async def remove(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, RemoveRequest)

        def remove() -> OwnLayer | None:
            with contextlib.closing(self._record()) as record:
                layer = self._store.remove(wanted.id)
                if layer is not None:
                    record.append(session.person.name, "layer.removed", {"layer": layer.id, "name": layer.name})
                return layer

        if await self._do(remove) is None:
            raise RefusedRequest(404, Sentence("layer.refused.gone"))
        return answer_json(None)

    # ----------------------------------------------------------------------------------------------------------- common

    def _record(self) -> Record:
        """A record that takes nothing is found out before anything is done."""
        record = Record(self._door.settings, self._door.clock)
        if record.trouble:
            record.close()
            raise StoreError(record.trouble)
        return record

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work)
        except OSError as error:
            raise RefusedRequest(503, Sentence("refused.store", {"error": str(error)})) from None

    async def _to_disk(self, request: Request, file: Path) -> str:
        """The body into a file, piece by piece; its SHA-256. Nothing of it is held in memory."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/octet-stream":
            raise RefusedRequest(415, Sentence("refused.http", {"status": 415}))
        digest, count = hashlib.sha256(), 0
        too_large = RefusedRequest(413, Sentence("layer.refused.large", {"most_mb": FILE_LIMIT_BYTES // 1_000_000}))
        try:
            async with await anyio.open_file(file, "wb") as out:
                async for chunk in request.stream():
                    count += len(chunk)
                    if count > FILE_LIMIT_BYTES:
                        raise too_large
                    digest.update(chunk)
                    await out.write(chunk)
        except OSError as error:
            raise RefusedRequest(503, Sentence("refused.store", {"error": str(error)})) from None
        return digest.hexdigest()
