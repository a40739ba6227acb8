"""Orders to nodes: look here, a snapshot, a clip; and what came of them."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.guard import RefusedRequest, answer_json, read_body
from station.orders import OrderBook, OrderView, TooManyOrdersError
from station.picture import Sentence
from station.web_api import ApiRoute, Who
from station.web_door import Door
from wire.codec import NAME_LIMIT
from wire.messages import Order, OrderAction


class OrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sensor: its id on the map. before_s, after_s: of a clip; the node bounds them further."""

    sensor: str
    action: OrderAction
    argument: Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)] = ""
    before_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 10.0
    after_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0


class GivenOrder(msgspec.Struct, frozen=True):
    id: str


class OrderRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._orders = OrderBook(door.settings, door.clock)

    def routes(self) -> list[BaseRoute]:
        return [
            ApiRoute("/api/orders", self.list_orders, "The newest orders to nodes.", answer=tuple[OrderView, ...]),
            ApiRoute("/api/orders", self.give_order, "Order something of a sensor's node.", method="POST",
                     who=Who.DECIDERS, body=OrderRequest, answer=GivenOrder),
            ApiRoute("/api/orders/{id}", self.read_order, "What became of an order.", answer=OrderView),
            ApiRoute("/api/orders/{id}/pictures/{number:int}", self.order_picture, "A picture that came of an order.",
                     media="image/jpeg"),
        ]

    async def give_order(self, request: Request) -> Response:
        session = await self._door.changing(request, decides=True)
        wanted = await read_body(request, OrderRequest)
        sensor = next((s for s in self._door.feed.picture().sensors if s.id == wanted.sensor), None)
        if sensor is None:
            raise RefusedRequest(404, Sentence("refused.no_such_sensor"))
        # Where two nodes call a sensor the same, the map puts the node's name before it; the node knows its own alone.
        name = sensor.id.removeprefix(f"{sensor.node}/")
        order = Order("", name, wanted.action, wanted.argument, wanted.before_s, wanted.after_s)
        try:
            given = await anyio.to_thread.run_sync(self._orders.give, session.person.name, sensor.node, order)
        except TooManyOrdersError:
            raise RefusedRequest(429, Sentence("refused.too_many_orders")) from None
        return answer_json(GivenOrder(given))

    async def list_orders(self, request: Request) -> Response:
        await self._door.known(request)
        return answer_json(await anyio.to_thread.run_sync(self._orders.newest))

    async def read_order(self, request: Request) -> Response:
        await self._door.known(request)
        order = await anyio.to_thread.run_sync(self._orders.find, request.path_params["id"])
        if order is None:
            raise RefusedRequest(404, Sentence("refused.no_such_order"))
        return answer_json(order)

    async def order_picture(self, request: Request) -> Response:
        await self._door.known(request)
        jpeg = await anyio.to_thread.run_sync(
            self._orders.picture, request.path_params["id"], request.path_params["number"]
        )
        if jpeg is None:
            raise RefusedRequest(404, Sentence("refused.no_such_snapshot"))
        # Numbers shift while parts are still coming in.
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})
