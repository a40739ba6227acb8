"""What is known of a fleet besides its drones: what it offers, what waits, whom it looks at, and what it answered."""

from __future__ import annotations

import msgspec

from wire.tasking import Dispatch, FlightWish, Offer


class FleetAnswer(msgspec.Struct, frozen=True):
    """What the fleet said to an order. key, params: `detail` as a sentence of the language files, where it has one."""

    order_id: str
    done: bool
    detail: str
    at_ns: int
    key: str = ""
    params: dict[str, str | float | int] = {}


class FleetView(msgspec.Struct, frozen=True):
    """One fleet service, by the name of its node. drones: that it has told of.

    offers: that may still be taken; nothing of them flies. wishes: by plan, what was wanted with those that fly or have
    flown last. answers: of the last minutes.
    """

    node: str
    drones: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    dispatch: Dispatch | None = None
    answers: tuple[FleetAnswer, ...] = ()
    wishes: dict[str, FlightWish] = {}
