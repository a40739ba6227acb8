"""What the direction of an exercise may tell a running world: its pace, its weather, and that a party splits."""

from __future__ import annotations

import msgspec
import zmq

from sim.sky import Weather
from sim.world_feed import loopback
from sim.world_settings import AnyAct


class Pace(msgspec.Struct, frozen=True, tag="pace"):
    """Simulated seconds a second; 0: everybody stands as he stands."""

    speed: float


class TurnWeather(msgspec.Struct, frozen=True, tag="weather"):
    """From now on. What is None stays as it is."""

    over_s: float
    cloud: float | None = None
    rain_mm_h: float | None = None
    visibility_m: float | None = None
    wind_mps: float | None = None


class Split(msgspec.Struct, frozen=True, tag="split"):
    actor: str
    count: int
    script: list[AnyAct]


WorldOrder = Pace | TurnWeather | Split
_decoder: msgspec.msgpack.Decoder[WorldOrder] = msgspec.msgpack.Decoder(WorldOrder)


def decode_order(data: bytes) -> WorldOrder:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(data)


def weather_of(order: TurnWeather, now: Weather) -> Weather:
    """The weather that an order asks for."""
    given = {k: v for k in ("cloud", "rain_mm_h", "visibility_m", "wind_mps") if (v := getattr(order, k)) is not None}
    return msgspec.structs.replace(now, **given)


class WorldOrders:
    """The sending end."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._push = self._context.socket(zmq.PUSH)
        self._push.setsockopt(zmq.LINGER, 500)
        self._push.connect(loopback(endpoint))

    def send(self, order: WorldOrder) -> None:
        self._push.send(msgspec.msgpack.encode(order))

    def close(self) -> None:
        self._context.destroy(linger=500)
