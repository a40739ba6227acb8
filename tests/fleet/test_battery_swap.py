"""A new battery on the ground: by order for a simulated drone, by hand for a real one, and both fly again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.battery_swap import swap_refusal
from fleet.drone import Drone
from fleet.preflight import PreflightNeeds, preflight
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from sim.autopilot import BatterySettings
from sim.autopilot_stage import Stage, drone_settings
from tests.fleet.test_drone import heard
from wire.clock import SteppedClock
from wire.flying import Plan, PreflightState
from wire.tasking import FleetOrder, FlightKind, FlightWish
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62225, 106.60230)
POINT = FlightWish(FlightKind.POINT, places=(GroundPosition(16.6223, 106.6018),), height_m=20.0, hold_s=3.0)


def test_an_empty_drone_gets_a_new_battery_by_order_and_flies_again(sector: Sector, tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        drone = s.pilots["drone-1"].drone
        await s.ordered(FleetOrder("plan-1", "plan", "Lan", "drone-1", POINT))
        offer = s.offer("plan-1")
        assert offer is not None
        empty = await s.ordered(FleetOrder("go-1", "launch", "Lan", plan_id=offer.plan_id))
        assert not empty.done, "44 % is too little to take off with"

        swapped = await s.ordered(FleetOrder("swap", "swap_battery", "Lan", "drone-1"))
        assert (swapped.done, swapped.key) == (True, "dispatch.swapped"), swapped
        assert drone.battery_percent is not None and drone.battery_percent.value >= 95.0

        await s.ordered(FleetOrder("plan-2", "plan", "Lan", "drone-1", POINT))
        offer = s.offer("plan-2")
        assert offer is not None
        flown = await s.ordered(FleetOrder("go-2", "launch", "Lan", plan_id=offer.plan_id))
        assert flown.done, flown
        refused = await s.ordered(FleetOrder("swap-2", "swap_battery", "Lan", "drone-1"))
        assert (refused.done, refused.key) == (False, "dispatch.swap_flying")

    Stage(sector, tmp_path, {"drone-1": drone_settings(battery=BatterySettings(charge_percent=44.0))}).run(play)


def grounded(percent: int, *, simulated: bool, armed: bool = False) -> tuple[SteppedClock, Drone]:
    clock = SteppedClock()
    drone = Drone("drone-1", clock)
    drone.identity = Identity(1, "a1", "4.7.0", simulated=simulated)
    mode = mavlink.MAV_MODE_FLAG_SAFETY_ARMED if armed else 0
    drone.take(heard(mavlink.MAVLink_heartbeat_message(2, 3, mode, 0, 3, 3)))
    tell_charge(drone, percent)
    return clock, drone


def tell_charge(drone: Drone, percent: int) -> None:
    drone.take(heard(mavlink.MAVLink_sys_status_message(0, 0, 0, 0, 15_200, 0, percent, 0, 0, 0, 0, 0, 0)))


@pytest.mark.parametrize(
    ("simulated", "armed", "silence_s", "key"),
    [
        (True, False, 0.0, None), (True, True, 0.0, "dispatch.swap_flying"), (True, False, 60.0, "dispatch.link"),
        (False, False, 0.0, "dispatch.swap_real"),
    ],
)
def test_whose_battery_the_simulation_swaps(simulated: bool, armed: bool, silence_s: float, key: str | None) -> None:
    clock, drone = grounded(44, simulated=simulated, armed=armed)
    clock.advance(silence_s)
    why = swap_refusal(drone)
    assert (why.key if why is not None else None) == key
    assert swap_refusal(Drone("drone-2", clock)).key == "dispatch.unknown_aircraft"    # type: ignore[union-attr]


def test_the_new_battery_of_a_real_drone_counts_as_soon_as_it_is_reported(sector: Sector) -> None:
    clock, drone = grounded(44, simulated=False)
    plan = Plan("p", "drone-1", 1, "a1", "khe-da", HOME, (), 0)
    needs = PreflightNeeds(Realm.LIVE, 50.0, read_back=True, station_failsafe=1.0)

    def battery() -> PreflightState:
        items = preflight(drone, plan, needs, sector.frame, clock.utc_ns()).items
        return next(i.state for i in items if i.name == "battery")

    assert battery() is PreflightState.FAILURE
    clock.advance(120.0)
    tell_charge(drone, 99)
    assert battery() is PreflightState.PASS
