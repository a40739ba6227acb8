"""What an offer promises, beside what is flown: when it is there, how long it is away, what it takes of the battery.

By the vehicle's own time, so that a machine that is busy elsewhere does not make a drone late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import numpy as np
import pytest

from fleet.promise import PREPARED_S
from fleet.settings import PatrolSettings
from sim.autopilot_stage import Stage
from tests.fleet.conformance.asking import boot_s
from tests.fleet.test_dispatcher import Walker, place_of
from wire.flying import TaskPhase
from wire.tasking import FleetOrder, FlightKind, FlightWish, Offer
from wire.units import GroundPosition

pytestmark = pytest.mark.slow

SPEEDUP = 4.0                   # of the vehicle, and of the fleet: slow enough that its half seconds are still half seconds
HONEST = 0.10                   # of what was flown, a promise may be off
WIND_M_S = 3.0                  # at 60 m up; weaker below, with the square root of the height
PLACE = FlightWish(FlightKind.POINT, places=(GroundPosition(16.6223, 106.5996),), height_m=40.0, hold_s=10.0)
LOOK = FlightWish(FlightKind.INVESTIGATE, contact="c1")

_log = logging.getLogger(__name__)


async def launched(s: Stage, number: str, wish: FlightWish, drone: str = "drone-1") -> Offer:
    await s.ordered(FleetOrder(f"{number}-plan", "plan", "Lan", drone, wish))
    offer = s.offer(f"{number}-plan")
    assert offer is not None and offer.plan is not None and offer.check is not None and offer.check.passed, offer
    s.order(FleetOrder(f"{number}-go", "launch", "Lan", plan_id=offer.plan_id))
    return offer


async def armed_at_s(s: Stage) -> float:
    drone = s.pilots["drone-1"].drone
    await s.until(drone.armed, 60.0, "until it is armed")
    return boot_s(drone)


def holds(promised: float, spread: float, flown: float, what: str) -> None:
    said = f"{what}: {promised:.1f} ± {spread:.1f} promised, {flown:.1f} flown"
    _log.info(said)
    assert abs(promised - flown) <= HONEST * flown, said
    assert abs(promised - flown) <= spread, said


def test_a_place_is_reached_and_the_flight_over_when_it_was_promised(fly: Callable[..., None]) -> None:
    """Against the wind out, and with it home."""
    async def play(s: Stage) -> None:
        drone = s.pilots["drone-1"].drone
        offer = await launched(s, "1", PLACE)
        assert offer.plan is not None and offer.arrives_s is not None and offer.arrives_spread_s is not None
        begun_s = await armed_at_s(s)
        place = s.sector.frame.point(PLACE.places[0])
        await s.until(lambda: float(np.linalg.norm(place_of(s, "drone-1") - place)) < 2.0, 150.0, "until it is there")
        holds(offer.arrives_s, offer.arrives_spread_s, PREPARED_S + boot_s(drone) - begun_s, "there")
        await s.until(lambda: not drone.armed(), 240.0, "until it has landed")
        assert offer.duration_s is not None and offer.duration_spread_s is not None
        holds(offer.duration_s, offer.duration_spread_s, boot_s(drone) - begun_s, "away")

    fly(play, WIND_M_S)


def test_a_contact_is_looked_at_when_it_was_promised(fly: Callable[..., None]) -> None:
    async def play(s: Stage) -> None:
        telling = asyncio.create_task(Walker(s, 800.0, 0.3).tell())
        await s.until(lambda: "c1" in s.orders.targets, 10.0)
        offer = await launched(s, "1", LOOK)
        begun_s = await armed_at_s(s)
        await there(s, offer, begun_s - PREPARED_S)
        telling.cancel()

    fly(play)


def test_a_patrol_is_at_a_contact_when_it_was_promised(fly: Callable[..., None]) -> None:
    async def play(s: Stage) -> None:
        pilot = s.pilots["drone-1"]
        telling = asyncio.create_task(Walker(s, 700.0, 0.3).tell())
        await s.until(lambda: pilot.drone.mode() == "AUTO" and pilot.drone.highest_item >= 3, 120.0)
        await s.until(lambda: pilot.drone.ground_speed_m_s.value > 7.0, 30.0, "until it flies at its speed")
        asked_ns = s.clock.utc_ns()
        offer = await launched(s, "1", LOOK, "")
        assert offer.airborne
        await there(s, offer, boot_s(pilot.drone), s.clock.utc_ns() - asked_ns)
        telling.cancel()

    fly(play, patrols=(PatrolSettings("drone-1", "khe-da", 30.0, 8.0, 500.0, launch="auto"),))


async def there(s: Stage, offer: Offer, pressed_s: float, late_ns: int = 0) -> None:
    """late_ns: pressed so long after the offer was asked for, while it flew on."""
    drone = s.pilots["drone-1"].drone
    await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.on_station, 150.0)
    assert offer.arrives_s is not None and offer.arrives_spread_s is not None
    holds(offer.arrives_s, offer.arrives_spread_s + late_ns / 1e9, boot_s(drone) - pressed_s + late_ns / 1e9, "looks")


@pytest.mark.slow(70)
def test_what_a_flight_takes_of_the_battery_is_promised_once_one_flight_has_taught_it(fly: Callable[..., None]) -> None:
    async def play(s: Stage) -> None:
        drone = s.pilots["drone-1"].drone
        wish = FlightWish(FlightKind.CORRIDOR, corridor="khe-da", height_m=30.0, reach_m=150.0)
        for number in ("1", "2"):
            offer = await launched(s, number, wish)
            full = drone.battery_percent.value
            await s.until(lambda offer=offer: s.heard.phases(offer.plan_id)[-1:] == [TaskPhase.DONE], 240.0)
        assert offer.energy_percent is not None and offer.energy_spread_percent is not None
        used = full - drone.battery_percent.value
        _log.info("battery: %s ± %s promised, %s used", offer.energy_percent, offer.energy_spread_percent, used)
        # The gauge shows whole percents, at both ends.
        assert abs(offer.energy_percent - used) <= max(HONEST * used, 1.0) and offer.energy_spread_percent < 0.25 * used
        assert abs(offer.energy_percent - used) <= offer.energy_spread_percent + 1.0

    fly(play)
