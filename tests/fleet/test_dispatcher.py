"""What people order, carried out by a whole fleet on simulated drones over real sockets, ten times as fast as the clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink
from shapely.geometry import LineString, Point

from cameras.lens import Lens
from fleet.commands import command, set_mode
from fleet.look import OVERLAP_S
from fleet.routes_camera import CameraView
from fleet.settings import PatrolSettings
from fleet.stand_off import LEAST_M
from geofences.sector import Sector
from sim.autopilot import BatterySettings
from sim.autopilot_stage import Stage, drone_settings
from wire.coverage import CoverageDebt, DebtSegment
from wire.flying import CheckResult, DroneTelemetry, Plan, TaskPhase, TaskState
from wire.messages import OrderResult
from wire.tasking import Dispatch, FleetOrder, FlightKind, FlightWish, Offer, Target
from wire.units import Covariance2, GroundPosition, ObjectClass

RATE = 10.0
CORRIDOR = FlightWish(FlightKind.CORRIDOR, corridor="khe-da", height_m=30.0, reach_m=250.0)
POINT = FlightWish(FlightKind.POINT, places=(GroundPosition(16.6223, 106.6003),), height_m=30.0, hold_s=5.0)
LOOK = FlightWish(FlightKind.INVESTIGATE, contact="c1")
FLOWN = [TaskPhase.CREATED, TaskPhase.SENT, TaskPhase.RECEIVED, TaskPhase.ACCEPTED, TaskPhase.EXECUTING]


class Walker:
    """Somebody on the trail, and what the station would tell of him; drones that have him in view see him."""

    def __init__(self, stage: Stage, along_m: float, speed_m_s: float = 1.2) -> None:
        self.stage, self.along_m, self.speed_m_s = stage, along_m, speed_m_s
        self.line = stage.sector.corridors.ground("khe-da").centre_line
        self.begun_ns = stage.clock.utc_ns()
        self.seen = True
        self.last_ns = self.begun_ns
        self.chance = np.random.default_rng(5)

    def at(self, ahead_m: float = 0.0) -> Any:
        along = self.along_m + self.speed_m_s * (self.stage.clock.utc_ns() - self.begun_ns) / 1e9 + ahead_m
        return np.asarray(self.line.interpolate(along).coords[0])

    async def tell(self) -> None:
        while True:
            now_ns = self.stage.clock.utc_ns()
            self.last_ns = now_ns if self.seen else self.last_ns
            here, velocity = self.at() + self.chance.normal(0.0, 1.5, 2), (self.at(1.0) - self.at()) * self.speed_m_s
            looks = self.stage.dispatcher.looks()
            self.stage.target(Target(
                "c1", now_ns, ObjectClass.PERSON, self.stage.sector.frame.position(*(float(v) for v in here)),
                Covariance2(4.0, 0.0, 4.0), (float(velocity[0]), float(velocity[1])), self.last_ns, simulated=True,
                held_by=tuple(n for n, look in looks.items() if look.in_view and self.seen),
            ))
            await asyncio.sleep(0.5)


def place_of(stage: Stage, name: str) -> Any:
    drone = stage.pilots[name].drone
    assert drone.position is not None
    return stage.sector.frame.point(GroundPosition(drone.position.value.lat_deg, drone.position.value.lon_deg))


async def flown_offer(stage: Stage, number: str, wish: FlightWish, drone: str = "", **launch: Any) -> Offer:
    """Plan, and launch what is offered."""
    answer = await stage.ordered(FleetOrder(f"{number}-plan", "plan", "Lan", drone, wish, **launch))
    offer = stage.offer(f"{number}-plan")
    assert answer.done and offer is not None and offer.plan is not None, answer
    answer = await stage.ordered(FleetOrder(f"{number}-go", "launch", "Lan", plan_id=offer.plan_id, **launch))
    assert answer.done, answer
    return offer


@pytest.fixture
def stage(sector: Sector, tmp_path: Path) -> Callable[..., Stage]:
    def make(drones: int = 1, **settings: Any) -> Stage:
        low = settings.pop("charge_percent", 100.0)
        autopilots = {
            f"drone-{i}": drone_settings(
                i, home=(16.62225 + 0.00015 * (i - 1), 106.60230),
                battery=BatterySettings(charge_percent=low if i == 1 else 100.0),
            )
            for i in range(1, drones + 1)
        }
        return Stage(sector, tmp_path, autopilots, rate=RATE, **settings)

    return make


def test_a_plan_is_offered_launched_paused_resumed_replaced_and_called_home(stage: Callable[..., Stage]) -> None:
    """Everything that a person orders of one drone, on its own word."""
    async def play(s: Stage) -> None:
        drone = s.pilots["drone-1"].drone
        offer = await flown_offer(s, "1", CORRIDOR, "drone-1")
        assert offer.check is not None and offer.check.passed and offer.arrives_s and offer.left_percent
        assert not offer.airborne and offer.energy_percent == pytest.approx(100.0 - offer.left_percent, abs=0.2)
        assert s.heard.phases(offer.plan_id)[:5] == FLOWN
        assert next(p for p in s.heard.of(Plan) if p.plan_id == offer.plan_id) == offer.plan, "exactly what was offered"

        again = await s.ordered(FleetOrder("again", "launch", "Lan", plan_id=offer.plan_id))
        assert not again.done and again.key == "dispatch.no_offer", "an offer is flown once"
        s.order(FleetOrder("1-go", "launch", "Lan", plan_id=offer.plan_id))
        await s.until(lambda: drone.mode() == "AUTO", 30.0)
        assert len([r for r in s.heard.of(OrderResult) if r.order_id == "1-go"]) == 1
        assert any("1-go" in d.in_hand for d in s.heard.of(Dispatch)), "while it was carried out the station was told so"
        await s.until(lambda: s.heard.of(Dispatch)[-1].in_hand == (), 5.0)

        await asyncio.sleep(8.0)
        assert (await s.ordered(FleetOrder("p", "pause", "Lan", "drone-1"))).done and drone.mode() == "BRAKE"
        await s.until(lambda: drone.ground_speed_m_s.value < 0.5, 10.0)
        here = place_of(s, "drone-1")
        await asyncio.sleep(5.0)
        assert np.linalg.norm(place_of(s, "drone-1") - here) < 4.0
        busy = await s.ordered(FleetOrder("b", "launch", "Lan", plan_id=await offered(s, "x", POINT)))
        assert not busy.done and busy.key == "dispatch.paused"
        assert (await s.ordered(FleetOrder("r", "resume", "Lan", "drone-1"))).done and drone.mode() == "AUTO"
        await s.until(lambda: drone.ground_speed_m_s.value > 5.0, 15.0)
        assert drone.ground_speed_m_s.value < 9.5, "at the speed of its plan"

        point = await flown_offer(s, "2", POINT, "drone-1")
        assert point.airborne and s.heard.phases(offer.plan_id)[-1] is TaskPhase.CANCELLED
        assert "in its place" in [t for t in s.heard.of(TaskState) if t.plan_id == offer.plan_id][-1].sentence
        assert (await s.ordered(FleetOrder("h", "return", "Lan", "drone-1"))).done and drone.mode() == "RTL"
        assert (await s.ordered(FleetOrder("p2", "pause", "Lan", "drone-1"))).done and drone.mode() == "BRAKE"
        assert (await s.ordered(FleetOrder("r2", "resume", "Lan", "drone-1"))).done
        assert drone.mode() == "RTL", "who was called home goes on home, and not with the plan"
        await s.until(lambda: s.heard.phases(point.plan_id)[-1] is TaskPhase.CANCELLED, 90.0)
        last = [t for t in s.heard.of(TaskState) if t.plan_id == point.plan_id][-1]
        assert (last.key, last.params["person"]) == ("task.returns", "Lan") and not drone.armed()

    async def offered(s: Stage, number: str, wish: FlightWish) -> str:
        await s.ordered(FleetOrder(f"{number}-plan", "plan", "Lan", "drone-1", wish))
        offer = s.offer(f"{number}-plan")
        assert offer is not None
        return offer.plan_id

    stage().run(play)


def test_every_kind_is_offered_or_refused_with_its_reason(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        corners = ((0.0, 0.0), (0.0008, 0.0), (0.0008, 0.001), (0.0, 0.001))
        area = tuple(GroundPosition(16.6219 + north, 106.5998 + east) for north, east in corners)
        share = msgspec.structs.replace(CORRIDOR, kind=FlightKind.SHARE, drones=("drone-1", "drone-2"), reach_m=0.0)
        wishes = {
            "corridor": (CORRIDOR, ""), "share": (share, ""),
            "orbit": (FlightWish(FlightKind.ORBIT, places=area[:1], height_m=30.0, radius_m=40.0), ""), "point": (POINT, ""),
            "area": (FlightWish(FlightKind.AREA, places=area, height_m=30.0), "plan_refused.camera"),
            "debt": (FlightWish(FlightKind.DEBT), "dispatch.no_debt"),
            "nowhere": (FlightWish(FlightKind.POINT), "dispatch.no_place"),
            "no trail": (FlightWish(FlightKind.CORRIDOR, corridor="nowhere"), "dispatch.no_corridor"),
            "beyond": (FlightWish(FlightKind.POINT, places=(GroundPosition(16.60, 106.575),)), "plan_refused.place"),
            "unknown": (LOOK, "dispatch.unknown_contact"),
            "not held": (FlightWish(FlightKind.RELIEF, contact="c1"), "dispatch.unknown_contact"),
        }
        for name, (wish, key) in wishes.items():
            answer = await s.ordered(FleetOrder(name, "plan", "Lan", "drone-1", wish))
            offer = s.offer(name)
            assert offer is not None, "even nothing is offered, with its reason"
            assert answer.done is (key == ""), (name, answer)
            assert not key or (answer.key, offer.key, offer.plan) == (key, key, None), (name, answer)
        assert s.offer("share").check.passed      # type: ignore[union-attr]
        seen = await s.ordered(FleetOrder("area-2", "plan", "Lan", "drone-2", wishes["area"][0]))
        assert seen.done and len(s.offer("area-2").plan.waypoints) > 6, "passes that fit its camera"   # type: ignore[union-attr]
        line = s.sector.corridors.ground("khe-da").centre_line
        ends = [s.sector.frame.position(*line.interpolate(m).coords[0]) for m in (900.0, 1000.0)]
        debt = CoverageDebt("laobao", s.sector.corridor_set.version, 0, (
            DebtSegment("khe-da", 900, 1000, ends[0], ends[1], 0, 3600.0, 100.0, 1.0),
        ))
        paid = await s.ordered(FleetOrder("debt-2", "plan", "Lan", "drone-2", wishes["debt"][0], debt=debt))
        assert paid.done, paid
        late = await s.ordered(FleetOrder("late", "launch", "Lan", plan_id="plan-x", expires_ns=1))
        assert (late.done, late.key) == (False, "dispatch.late")
        stranger = await s.ordered(FleetOrder("s", "plan", "Lan", "drone-9", CORRIDOR))
        assert stranger.key == "dispatch.unknown_drone"
        idle = await s.ordered(FleetOrder("i", "return", "Lan", "drone-1"))
        assert (idle.done, idle.key) == (False, "dispatch.not_flying")
        gone = await s.ordered(FleetOrder("w", "withdraw", "Lan", plan_id=s.offer("point").plan_id))   # type: ignore[union-attr]
        assert gone.done
        launch = await s.ordered(FleetOrder("l", "launch", "Lan", plan_id=s.offer("point").plan_id))   # type: ignore[union-attr]
        assert launch.key == "dispatch.no_offer"
        assert not any(t.armed for t in s.heard.of(DroneTelemetry)), "and nothing has flown"

    view = CameraView(Lens(960, 540, 1600.0, 1600.0, 479.5, 269.5), -35.0, 150.0, 20.0)
    stage(2, views={"drone-2": view}).run(play)


def test_a_patrol_is_left_for_a_contact_that_walks_and_goes_on_where_it_was(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        walker = Walker(s, 900.0)
        telling = asyncio.create_task(walker.tell())
        pilot = s.pilots["drone-1"]
        await s.until(lambda: pilot.drone.mode() == "AUTO" and pilot.drone.highest_item >= 3, 60.0)
        patrol = pilot.sortie
        assert patrol is not None and pilot.drone.gimbal_deg.value[0] == pytest.approx(-35.0, abs=1.0)
        offer = await flown_offer(s, "1", LOOK)
        assert (offer.drone, offer.airborne, offer.resumes) == ("drone-1", True, patrol.plan.plan_id)
        item = pilot.drone.mission_item.value
        await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.held, 60.0)
        nearest, views = math.inf, []
        for _ in range(40):
            await asyncio.sleep(1.0)
            nearest = min(nearest, float(np.linalg.norm(place_of(s, "drone-1") - walker.at())))
            views.append(s.dispatcher.looks()["drone-1"].in_view)
        assert nearest > LEAST_M, "the stand-off is kept"
        assert sum(views) / len(views) > 0.95 and s.heard.of(Dispatch)[-1].looking == {"drone-1": "c1"}
        assert pilot.drone.mode() == "GUIDED"

        walker.seen = False         # into the trees
        await s.until(lambda: any("looks wider" in t.sentence for t in s.heard.of(TaskState)), 20.0)
        await s.until(lambda: s.heard.phases(offer.plan_id)[-1] is TaskPhase.DONE, 90.0)
        assert "has not been seen for" in [t for t in s.heard.of(TaskState) if t.plan_id == offer.plan_id][-1].sentence
        await s.until(lambda: pilot.drone.mode() == "AUTO", 10.0)
        assert pilot.sortie is patrol and pilot.drone.mission_item.value == item, "where it was"
        await s.until(lambda: abs(pilot.drone.gimbal_deg.value[0] + 35.0) < 1.0, 5.0)
        await s.until(lambda: pilot.drone.mission_item.value > item, 60.0)
        assert not patrol.over
        telling.cancel()

    patrol = PatrolSettings("drone-1", "khe-da", 30.0, 8.0, 400.0, launch="auto")
    stage(patrols=(patrol,)).run(play)


def test_relief_leaves_only_after_the_second_drone_holds_the_contact(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        telling = asyncio.create_task(Walker(s, 1000.0, 0.8).tell())
        first = await flown_offer(s, "1", LOOK, "drone-1")
        await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.held, 90.0)
        self_relief = await s.ordered(FleetOrder("x", "plan", "Lan", "drone-1", FlightWish(FlightKind.RELIEF, contact="c1")))
        assert not self_relief.done
        second = await flown_offer(s, "2", FlightWish(FlightKind.RELIEF, contact="c1"))
        assert second.drone == "drone-2"
        await s.until(lambda: s.heard.of(Dispatch)[-1].reliefs == (("c1", "drone-1", "drone-2"),), 5.0)
        loop = asyncio.get_running_loop()
        since_s, looked_s, gap_s = math.inf, loop.time(), 0.0
        while "drone-1" in s.dispatcher.looks():
            # Never a moment in which nobody has it.
            assert any(look.held for look in s.dispatcher.looks().values())
            assert s.pilots["drone-1"].drone.mode() == "GUIDED"
            relieving = s.dispatcher.looks().get("drone-2")
            since_s = min(since_s, loop.time()) if relieving is not None and relieving.held else math.inf
            await asyncio.sleep(0.2)
            gap_s, looked_s = max(gap_s, loop.time() - looked_s), loop.time()
        assert s.dispatcher.looks()["drone-2"].held
        both_s = loop.time() - since_s      # seen late by as much as lies between two looks
        assert both_s >= OVERLAP_S - gap_s, f"both held it for {both_s:.1f} s only"
        def says(words: str) -> bool:
            return any(t.sentence.startswith(words) for t in s.heard.of(TaskState) if t.plan_id == first.plan_id)

        await s.until(lambda: says("drone-2 holds contact c1; drone-1 "), 10.0)
        apart = np.linalg.norm(place_of(s, "drone-1") - place_of(s, "drone-2"))
        higher = s.pilots["drone-2"].drone.height_m.value - s.pilots["drone-1"].drone.height_m.value
        assert apart > 20.0 or higher > 5.0
        await s.until(lambda: s.heard.phases(first.plan_id)[-1] is TaskPhase.DONE, 120.0)
        telling.cancel()

    stage(2).run(play)


def test_who_was_looked_at_is_not_flown_over_when_the_patrol_goes_on_neither_out_nor_back(
    stage: Callable[..., Stage]
) -> None:
    """Relieved, drone-1 goes on with its patrol, on which he walks: it goes round him, and says so."""
    async def play(s: Stage) -> None:
        walker = Walker(s, 1000.0, 0.3)
        telling = asyncio.create_task(walker.tell())
        pilot = s.pilots["drone-1"]
        await s.until(lambda: pilot.drone.mode() == "AUTO" and pilot.drone.highest_item >= 3, 60.0)
        patrol = pilot.sortie
        assert patrol is not None
        await flown_offer(s, "1", LOOK, "drone-1")
        await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.held, 90.0)
        await flown_offer(s, "2", FlightWish(FlightKind.RELIEF, contact="c1"), "drone-2")
        await s.until(lambda: "drone-1" not in s.dispatcher.looks(), 200.0, "until it is relieved")
        assert s.heard.of(Dispatch)[-1].avoiding in ({}, {"drone-1": "c1"})
        nearest = math.inf
        while not patrol.over:
            assert patrol.passing is None or patrol.passing.contact == "c1"
            nearest = min(nearest, float(np.linalg.norm(place_of(s, "drone-1") - walker.at())))
            await asyncio.sleep(0.2)
        said = [t.key for t in s.heard.of(TaskState) if t.plan_id == patrol.plan.plan_id]
        assert nearest > LEAST_M, (round(nearest), said)
        assert said.count("passing.rejoined") >= 1 and said[-1] == "sortie.flown", said
        assert all(t.key for t in s.heard.of(TaskState)), "every sentence has words in the station's languages"
        assert any(d.avoiding == {"drone-1": "c1"} for d in s.heard.of(Dispatch)), "the station goes on telling where he is"
        telling.cancel()

    patrol = PatrolSettings("drone-1", "khe-da", 30.0, 8.0, 500.0, launch="auto")
    stage(2, patrols=(patrol,)).run(play)


async def beyond_a_walker(s: Stage, walker: Walker) -> Offer:
    """drone-1 looks at him, and on its circle has come to where he stands between it and home."""
    home = s.sector.frame.point(GroundPosition(16.62225, 106.60230))

    def home_passes_m() -> float:
        return float(LineString([place_of(s, "drone-1"), home]).distance(Point(walker.at())))

    offer = await flown_offer(s, "1", LOOK, "drone-1")
    await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.held, 90.0)
    await s.until(lambda: home_passes_m() < 30.0, 200.0)
    return offer


def test_a_return_goes_round_who_was_looked_at(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        walker = Walker(s, 900.0, 0.0)
        telling = asyncio.create_task(walker.tell())
        pilot, home = s.pilots["drone-1"], s.sector.frame.point(GroundPosition(16.62225, 106.60230))
        offer = await beyond_a_walker(s, walker)
        answer = await s.ordered(FleetOrder("home", "return", "Lan", "drone-1"))
        assert (answer.done, answer.key, pilot.drone.mode()) == (True, "task.returns_round", "GUIDED")
        assert s.dispatcher.looks() == {}
        refused = await s.ordered(FleetOrder("no", "plan", "Lan", "drone-1", LOOK))
        assert not refused.done, "who was called home is not sent anywhere else"
        nearest = math.inf
        while pilot.drone.armed():
            nearest = min(nearest, float(np.linalg.norm(place_of(s, "drone-1") - walker.at())))
            await asyncio.sleep(0.2)
        assert nearest > LEAST_M, round(nearest)
        await s.until(lambda: s.heard.phases(offer.plan_id)[-1] is TaskPhase.CANCELLED, 30.0)
        assert np.linalg.norm(place_of(s, "drone-1") - home) < 5.0
        telling.cancel()

    stage().run(play)


def test_a_return_that_is_ordered_again_comes_straight(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        walker = Walker(s, 900.0, 0.0)
        telling = asyncio.create_task(walker.tell())
        pilot = s.pilots["drone-1"]
        await beyond_a_walker(s, walker)
        assert (await s.ordered(FleetOrder("home-2", "return", "Lan", "drone-1"))).key == "task.returns_round"
        again = await s.ordered(FleetOrder("home-3", "return", "Lan", "drone-1"))
        assert again.done and pilot.drone.mode() == "RTL" and pilot.sortie is not None and pilot.sortie.errand is None
        telling.cancel()

    stage().run(play)


def test_a_drone_that_comes_home_by_itself_says_so_and_not_that_it_flies_its_patrol(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        pilot = s.pilots["drone-1"]
        offer = await flown_offer(s, "1", CORRIDOR, "drone-1")
        await s.until(lambda: pilot.drone.mode() == "AUTO", 30.0)
        assert (await set_mode(pilot.link, pilot.drone, 1, "RTL")).done     # as a failsafe or a remote control would
        await s.until(lambda: s.heard.of(TaskState)[-1].key.startswith("sortie.taken_over"), 10.0)
        told = s.heard.of(TaskState)[-1]
        assert (told.plan_id, told.phase, told.params["mode"]) == (offer.plan_id, TaskPhase.EXECUTING, "RTL")

    stage().run(play)


def test_a_battery_that_ends_a_look_brings_the_next_drone_before_it_does(stage: Callable[..., Stage]) -> None:
    """By itself, for these are simulated drones; and it is offered first, as everything that flies."""
    async def play(s: Stage) -> None:
        telling = asyncio.create_task(Walker(s, 1100.0, 0.3).tell())
        await flown_offer(s, "1", msgspec.structs.replace(LOOK, hold_s=40.0), "drone-1")
        await s.until(lambda: bool(s.heard.of(Dispatch)[-1].reliefs), 200.0, "for a relief")
        relief = next(o for o in s.heard.of(Offer) if o.wish.kind is FlightKind.RELIEF)
        assert (relief.drone, relief.check.passed) == ("drone-2", True)      # type: ignore[union-attr]
        await s.until(lambda: "drone-1" not in s.dispatcher.looks(), 200.0)
        assert s.dispatcher.looks()["drone-2"].held, "make before break"
        telling.cancel()

    stage(2, charge_percent=62.0, settings={"endurance_s": 700.0}).run(play)


def test_what_waits_is_flown_when_its_drone_is_free_and_in_its_turn(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        first = await flown_offer(s, "1", POINT, "drone-1", priority=1)
        plans = {}
        for name, priority in (("b", 3), ("a", 2)):
            await s.ordered(FleetOrder(f"{name}-plan", "plan", "Lan", "drone-1", POINT))
            plans[name] = s.offer(f"{name}-plan").plan_id      # type: ignore[union-attr]
            refused = await s.ordered(FleetOrder(f"{name}-now", "launch", "Lan", plan_id=plans[name], priority=priority))
            assert not refused.done and refused.key in ("dispatch.busy", "dispatch.starting"), refused
            waits = await s.ordered(
                FleetOrder(f"{name}-go", "launch", "Lan", plan_id=plans[name], priority=priority, wait=True)
            )
            assert waits.done and waits.key == "dispatch.waits"
        assert [w.plan_id for w in s.heard.of(Dispatch)[-1].waiting] == [plans["a"], plans["b"]], "by priority"
        withdrawn = await s.ordered(FleetOrder("w", "withdraw", "Lan", plan_id=plans["b"]))
        assert withdrawn.done
        await s.until(lambda: TaskPhase.EXECUTING in s.heard.phases(plans["a"]), 150.0)
        assert s.heard.phases(first.plan_id)[-1] is TaskPhase.DONE
        assert s.heard.of(Dispatch)[-1].waiting == () and s.heard.phases(plans["b"]) == []

    stage().run(play)


def test_an_offer_is_checked_again_when_it_is_launched(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        await s.ordered(FleetOrder("p", "plan", "Lan", "drone-1", CORRIDOR))
        offer = s.offer("p")
        assert offer is not None and offer.check is not None and offer.check.passed
        pilot = s.pilots["drone-1"]
        pilot.settings = msgspec.structs.replace(pilot.settings, airspeed_m_s=3.0)      # to which this wind is a gale
        answer = await s.ordered(FleetOrder("l", "launch", "Lan", plan_id=offer.plan_id))
        assert not answer.done and "wind" in answer.detail
        assert not s.heard.of(CheckResult)[-1].passed and s.heard.phases(offer.plan_id)[-1] is TaskPhase.FAILED

    stage().run(play)


def test_a_land_order_lands_it_where_it_is(stage: Callable[..., Stage]) -> None:
    async def play(s: Stage) -> None:
        drone = s.pilots["drone-1"].drone
        offer = await flown_offer(s, "1", POINT, "drone-1")
        home = s.sector.frame.point(GroundPosition(16.62225, 106.60230))
        await s.until(lambda: float(np.linalg.norm(place_of(s, "drone-1") - home)) > 40.0, 60.0)
        assert (await s.ordered(FleetOrder("l", "land", "Lan", "drone-1"))).done and drone.mode() == "LAND"
        await s.until(lambda: not drone.armed(), 90.0)
        await s.until(lambda: s.heard.phases(offer.plan_id)[-1] is TaskPhase.CANCELLED, 20.0)
        assert np.linalg.norm(place_of(s, "drone-1") - home) > 40.0

    stage().run(play)


def test_a_take_off_is_commanded_within_two_seconds_of_the_order(sector: Sector, tmp_path: Path) -> None:
    """In real time, with the plan read back: what the whole benchmark measures, once."""
    async def play(s: Stage) -> None:
        sent: list[float] = []
        loop = asyncio.get_running_loop()

        def tap(message: Any, _frame: bytes, sending: bool) -> None:
            if sending and getattr(message, "command", 0) == mavlink.MAV_CMD_NAV_TAKEOFF:
                sent.append(loop.time())

        s.pilots["drone-1"].link.links[0].taps.append(tap)      # type: ignore[attr-defined]
        telling = asyncio.create_task(Walker(s, 900.0).tell())
        await asyncio.sleep(0.1)
        await s.ordered(FleetOrder("p", "plan", "Lan", wish=LOOK))
        begun = loop.time()
        answer = await s.ordered(FleetOrder("l", "launch", "Lan", plan_id=s.offer("p").plan_id))      # type: ignore[union-attr]
        assert answer.done and sent and sent[0] - begun < 2.0, (answer, sent, begun)
        accepted = next(t for t in s.heard.of(TaskState) if t.phase is TaskPhase.ACCEPTED)
        assert "read back" in accepted.sentence
        telling.cancel()

    Stage(sector, tmp_path, {"drone-1": drone_settings(1)}, rate=1.0).run(play)


def test_a_drone_that_hovers_in_nobodys_plan_is_called_home_and_a_fault_of_ours_leaves_none_hovering(
    stage: Callable[..., Stage]
) -> None:
    async def play(s: Stage) -> None:
        telling = asyncio.create_task(Walker(s, 1150.0, 0.2).tell())
        offer = await flown_offer(s, "1", LOOK, "drone-1")
        pilot = s.pilots["drone-1"]
        await s.until(lambda: (look := s.dispatcher.looks().get("drone-1")) is not None and look.on_station, 90.0)

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        s.dispatcher.looks()["drone-1"]._go = broken       # type: ignore[method-assign]
        await s.until(lambda: pilot.drone.mode() == "RTL", 5.0)
        await s.until(lambda: s.heard.phases(offer.plan_id)[-1] is TaskPhase.DONE, 120.0)
        assert "failed at what it was sent for" in s.heard.of(TaskState)[-1].sentence

        # As a service finds it that was started anew while a drone hovered.
        for mode, number, parameters in (("GUIDED", 400, (1.0,)), ("GUIDED", 22, (0, 0, 0, 0, 0, 0, 20.0))):
            assert (await set_mode(pilot.link, pilot.drone, 1, mode)).done
            assert (await command(pilot.link, pilot.drone, 1, number, parameters, "by hand")).done
        await s.until(lambda: pilot.drone.airborne() and pilot.drone.height_m.value > 5.0, 30.0)
        assert pilot.drone.mode() == "GUIDED"
        await s.until(lambda: pilot.drone.mode() == "RTL", 20.0)
        telling.cancel()

    stage().run(play)
