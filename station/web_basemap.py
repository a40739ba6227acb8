"""The base map's files as a page asks for them: what there is, and tile by tile."""

from __future__ import annotations

import gzip

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.basemap import BaseMap, BaseMapKind, BaseMaps
from station.guard import RefusedRequest, accepts_gzip, answer_json
from station.picture import Sentence
from station.web_api import ApiRoute
from station.web_door import Door

# A tile's address has the version of its file in it, so that a browser may keep it and never asks again.
KEEP = {"Cache-Control": "private, max-age=604800, immutable"}

PACKED_AS = 4                       # of 9: a vector tile is packed once for each browser that has not been here


class BaseMapRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._maps = BaseMaps(door.settings.basemap_dir)

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/basemap", self.sheets, "Which base map there is: its files, their versions, where they are from.",
                     answer=BaseMap),
            ApiRoute("/api/basemap/{kind}/{version}/{zoom:int}/{x:int}/{y:int}", self.tile,
                     "A tile of a base map (Web Mercator, row 0 in the north); 204 where it is empty.",
                     media="application/vnd.mapbox-vector-tile"),
        ]

    async def sheets(self, request: Request) -> Response:
        await self._door.known(request)
        return answer_json(await anyio.to_thread.run_sync(self._maps.sheets))

    async def tile(self, request: Request) -> Response:
        # Not counted against the rate of a person: moving the map asks for dozens at once.
        session = await self._door.session(request)
        if session is None:
            raise RefusedRequest(401, Sentence("refused.not_logged_in"))
        at = request.path_params
        try:
            kind = BaseMapKind(at["kind"])
        except ValueError:
            raise RefusedRequest(404, Sentence("refused.http", {"status": 404})) from None
        found = await anyio.to_thread.run_sync(self._maps.tile, kind, at["version"], at["zoom"], at["x"], at["y"])
        if found is None:
            return Response(status_code=204, headers=KEEP)
        data, media = found
        if not media.startswith("image/") and accepts_gzip(request):
            packed = await anyio.to_thread.run_sync(gzip.compress, data, PACKED_AS)
            headers = {**KEEP, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(packed, media_type=media, headers=headers)
        return Response(data, media_type=media, headers=KEEP)
