"""Who was looked at is not flown over afterwards: round him in GUIDED, and into the mission beyond him, or home."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest
from shapely.geometry import LineString, Point

from fleet.dispatch_words import said
from fleet.settings import PatrolSettings
from fleet.stand_off import LEAST_M
from sim.autopilot_stage import Stage
from tests.fleet.test_dispatcher import Walker, flown_offer, place_of
from wire.flying import TaskState
from wire.tasking import FleetOrder, FlightKind, FlightWish

pytestmark = pytest.mark.slow

SPEEDUP = 4.0


def test_a_patrol_goes_round_somebody_and_on_beyond_him(fly: Callable[..., None]) -> None:
    async def play(s: Stage) -> None:
        walker = Walker(s, 900.0, 0.2)
        telling = asyncio.create_task(walker.tell())
        pilot = s.pilots["drone-1"]
        await s.until(lambda: pilot.drone.mode() == "AUTO" and pilot.drone.highest_item >= 3, 120.0)
        patrol = pilot.sortie
        assert patrol is not None
        await flown_offer(s, "1", FlightWish(FlightKind.INVESTIGATE, contact="c1"), "drone-1")
        await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.on_station, 120.0)
        s.dispatcher.looks()["drone-1"].end(said("look.relieved", second="drone-2", contact="c1"))

        def keys() -> list[str]:
            return [t.key for t in s.heard.of(TaskState) if t.plan_id == patrol.plan.plan_id]

        nearest, until_s = math.inf, asyncio.get_running_loop().time() + 180.0
        while not patrol.over and pilot.drone.mode() != "RTL" and asyncio.get_running_loop().time() < until_s:
            nearest = min(nearest, float(np.linalg.norm(place_of(s, "drone-1") - walker.at())))
            if keys().count("passing.rejoined") and pilot.drone.mode() == "AUTO" and patrol.errand is None:
                break
            await asyncio.sleep(0.1)
        assert "passing.rejoined" in keys(), keys()
        item = pilot.drone.mission_item.value
        await s.until(lambda: pilot.drone.ground_speed_m_s.value > 4.0, 30.0, "until it flies its mission")
        assert pilot.drone.mode() == "AUTO" and pilot.drone.mission_item.value >= item
        assert nearest > LEAST_M, (round(nearest, 1), keys())
        telling.cancel()

    fly(play, patrols=(PatrolSettings("drone-1", "khe-da", 30.0, 8.0, 500.0, launch="auto"),))


@pytest.mark.slow(70)
def test_a_return_goes_round_somebody_and_then_home(fly: Callable[..., None]) -> None:
    async def play(s: Stage) -> None:
        walker = Walker(s, 900.0, 0.0)
        telling = asyncio.create_task(walker.tell())
        drone = s.pilots["drone-1"].drone
        await flown_offer(s, "1", FlightWish(FlightKind.INVESTIGATE, contact="c1"), "drone-1")
        home = place_of(s, "drone-1")
        await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.on_station, 120.0)

        def passes_m() -> float:
            return float(LineString([place_of(s, "drone-1"), home]).distance(Point(walker.at())))

        await s.until(lambda: passes_m() < LEAST_M - 10.0, 200.0, "until he stands between it and home")
        answer = await s.ordered(FleetOrder("home", "return", "Lan", "drone-1"))
        assert (answer.done, answer.key) == (True, "task.returns_round"), answer
        nearest, until_s = math.inf, asyncio.get_running_loop().time() + 240.0
        while drone.armed() and asyncio.get_running_loop().time() < until_s:
            nearest = min(nearest, float(np.linalg.norm(place_of(s, "drone-1") - walker.at())))
            await asyncio.sleep(0.1)
        assert nearest > LEAST_M, round(nearest, 1)
        assert not drone.armed() and np.linalg.norm(place_of(s, "drone-1") - home) < 10.0
        telling.cancel()

    fly(play)
