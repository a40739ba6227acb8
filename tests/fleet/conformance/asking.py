"""What the conformance tests ask of a vehicle in common."""

from __future__ import annotations

import time
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import ask_for_messages, command, identify, set_mode, until
from fleet.drone import Drone
from fleet.mission import MissionItem
from mavlink.link import Link

READY_WITHIN_S = 60.0
ARM, TAKE_OFF, SET_MODE, REBOOT = 400, 22, 176, 246

HOME_ITEM = MissionItem(0, 0, 16, lat_e7=166_222_500, lon_e7=1_066_023_000, height_m=165.0)


async def ready(link: Link, drone: Drone) -> int:
    """Identified, reports asked for, estimate settled; its system id."""
    assert drone.heartbeat is not None
    system_id = int(drone.heartbeat.value.get_srcSystem())
    drone.identity = await identify(link, drone, system_id)
    assert (await ask_for_messages(link, drone, system_id)).done
    assert await until(lambda: drone.ready() and drone.prearm_ok(), READY_WITHIN_S), "its estimate never settled"
    return system_id


async def in_the_air(link: Link, drone: Drone, height_m: float = 20.0) -> int:
    system_id = await ready(link, drone)
    deadline = time.monotonic() + READY_WITHIN_S
    while not (outcome := await set_mode(link, drone, system_id, "GUIDED")).done:
        assert time.monotonic() < deadline, outcome
    while not (outcome := await command(link, drone, system_id, ARM, (1.0,), "arm")).done:
        assert time.monotonic() < deadline, outcome
    outcome = await command(link, drone, system_id, TAKE_OFF, (0, 0, 0, 0, 0, 0, height_m), "take off")
    assert outcome.done, outcome
    assert await until(lambda: height_of(drone) > height_m * 0.9, 40.0)
    return system_id


def height_of(drone: Drone) -> float:
    return drone.height_m.value if drone.height_m else 0.0


async def one_answer(link: Link, message: Any, types: tuple[str, ...], seconds: float = 3.0) -> Any:
    with link.subscribe(types) as heard:
        link.send(message)
        return await heard.get(seconds)


def long(system_id: int, number: int, *parameters: float) -> Any:
    return mavlink.MAVLink_command_long_message(system_id, 1, number, 0, *(*parameters, *[0.0] * 7)[:7])


def waypoint(seq: int, **changes: Any) -> MissionItem:
    fields: dict[str, Any] = {
        "frame": 3, "command": 16, "height_m": 25.0,
        "lat_e7": 166_222_500 - 1000 * seq, "lon_e7": 1_066_023_000 - 2000 * seq,
    }
    return MissionItem(seq, **{**fields, **changes})


def boot_s(drone: Drone) -> float:
    """The vehicle's own time, which is what its failsafes count in."""
    assert drone.boot_ms is not None
    return drone.boot_ms.value / 1000.0
