"""A whole plan over lines that lose, delay and disorder, into the model and into a real ArduCopter alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fleet.commands import identify
from fleet.mission import FENCE, MISSION, RALLY, differences, plan_items
from fleet.plan_transfer import HEARD_OF_A_PLAN, Aircraft, PlanTransfer
from fleet.transfer import Target, download, run_machine
from wire.flying import Plan, RallyPoint, Waypoint, WaypointKind
from wire.units import GroundPosition

pytestmark = pytest.mark.slow

HOME = GroundPosition(16.62225, 106.60230)


def a_plan(hardware_id: str, system_id: int = 1, shift: float = 0.0) -> Plan:
    def place(north: float, east: float) -> GroundPosition:
        return GroundPosition(HOME.lat_deg + (north + shift) / 111_195.0, HOME.lon_deg + east / 106_600.0)

    points = (
        Waypoint(WaypointKind.TAKEOFF, HOME, 25.0, 0.0),
        *(Waypoint(WaypointKind.WAYPOINT, place(20.0 * i, -30.0 * i), 25.0 + 1.11 * i, 8.0) for i in range(1, 9)),
        Waypoint(WaypointKind.LOITER_TIME, place(160.0, -240.0), 33.3, 5.0, 7.4),
        Waypoint(WaypointKind.ORBIT, place(160.0, -240.0), 33.3, 5.0, radius_m=24.6, turns=1.0),
        Waypoint(WaypointKind.RETURN, HOME, 25.0, 5.0),
    )
    ring = (place(-100, -400), place(-100, 100), place(400, 100), place(400, -400))
    rally = (RallyPoint(place(10.0, 10.0), 30.5),)
    return Plan("p", "drone-1", system_id, hardware_id, "khe-da", HOME, points, 0, fence=ring, rally=rally)


@pytest.mark.parametrize(
    ("loss", "delay_s", "wander_s"), [(0.0, 0.0, 0.0), (0.1, 0.15, 0.0), (0.2, 0.05, 0.2)],
    ids=["clean", "a tenth lost and 150 ms each way", "a fifth lost and out of order"],
)
def test_a_plan_goes_in_whole(
    vehicle: Any, listening: Callable[..., Any], lossy_proxy: Any, loss: float, delay_s: float, wander_s: float
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
            identity = await identify(both.link, both.drone, mine)
            assert identity is not None
        parts = plan_items(a_plan(identity.hardware_id, mine), 165.0)
        aircraft = Aircraft(mine, identity.hardware_id)
        async with (
            lossy_proxy(vehicle.port, loss, 7, delay_s, wander_s) as proxy,
            listening(f"tcp:127.0.0.1:{proxy.port}") as both,
        ):
            machine = PlanTransfer(parts, aircraft, asyncio.get_running_loop().time())
            end = await run_machine(both.link, machine, mine, HEARD_OF_A_PLAN)
            assert end.done, end
            assert loss == 0.0 or proxy.lost > 5
        await asyncio.sleep(0.5)
        async with listening(vehicle.connection) as both:
            for kind in (MISSION, FENCE, RALLY):
                back = await download(both.link, Target(mine, 1, kind))
                assert back.done and differences(parts[kind], back.items, kind) == ()

    asyncio.run(scenario())


def test_another_hardware_id_gets_nothing(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
            machine = PlanTransfer(
                plan_items(a_plan("00ff00"), 165.0), Aircraft(mine, "00ff00"), asyncio.get_running_loop().time()
            )
            end = await run_machine(both.link, machine, mine, HEARD_OF_A_PLAN)
            assert not end.done and end.sentence.startswith("the plan is for hardware 00ff00, and ")
            assert len((await download(both.link, Target(mine))).items) <= 1

    asyncio.run(scenario())
