"""A plan goes into a drone whole and proven, or is reported: over lines that lose, delay and reorder, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.mission import FENCE, MISSION, RALLY, MissionItem, differences, fence_items, plan_items, rally_items
from fleet.plan_transfer import ATTEMPTS, Aircraft, PlanTransfer
from fleet.transfer import Download, Target
from mavlink.autopilots import PX4
from sim.autopilot_mission import Item, MissionStore
from wire.flying import Plan, RallyPoint, Waypoint, WaypointKind
from wire.units import GroundPosition

STEP_S = 0.05
MINE = Aircraft(1, "a1b2c3")
HOME = GroundPosition(16.62225, 106.60230)


def through_the_wire(message: Any, system: int) -> Any:
    parsed = mavlink.MAVLink(None).parse_buffer(message.pack(mavlink.MAVLink(None, system, 1)))
    assert len(parsed) == 1
    return parsed[0]


@dataclass
class Vehicle:
    """The autopilot model's store, which also says which aircraft it is."""

    hardware: str = "a1b2c3"
    out: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        home = Item(0, 0, 16, x=166_222_501, y=1_066_023_001, z=165.0)
        self.store = MissionStore(lambda _c, m: self.out.append(m), lambda: home, lambda _k: None, lambda: True)

    def take(self, m: Any, now_s: float) -> None:
        if m.get_type() == "COMMAND_LONG":
            uid2 = list(bytes.fromhex(self.hardware).ljust(18, b"\0"))
            self.out.append(
                mavlink.MAVLink_autopilot_version_message(0, 0x04070000, 0, 0, 0, [0] * 8, [0] * 8, [0] * 8, 0, 0, 0, uid2)
            )
        else:
            self.store.take(m, 0, now_s)


@dataclass
class Line:
    """loss: share of messages. delay_s: each way; wander_s: more, at random, which changes their order."""

    chance: random.Random
    loss: float = 0.0
    delay_s: float = 0.0
    wander_s: float = 0.0
    cut: tuple[float, float] = (1e9, 1e9)
    meddle: Callable[[bool, Any], Any | None] = lambda _to_vehicle, m: m


def converse(machine: Any, vehicle: Vehicle, line: Line, start_s: float = 2.0, reboot_at_s: float | None = None) -> float:
    """Until the machine has ended; the seconds it took."""
    now_s = start_s
    under_way: list[tuple[float, int, bool, Any]] = []
    count = 0

    def put(to_vehicle: bool, message: Any) -> None:
        nonlocal count
        count += 1
        if line.chance.random() < line.loss or line.cut[0] <= now_s < line.cut[1]:
            return
        at = now_s + line.delay_s + line.chance.random() * line.wander_s
        heapq.heappush(under_way, (at, count, to_vehicle, message))

    while machine.end is None:
        assert now_s < 3000.0, "the machine outlived any budget"
        if reboot_at_s is not None and now_s >= reboot_at_s:
            kept, reboot_at_s = vehicle.store.items, None
            vehicle.__post_init__()
            vehicle.store.items = kept
        for message in machine.poll(now_s):
            put(True, message)
        vehicle.store.tick(now_s)
        while under_way and under_way[0][0] <= now_s:
            _, _, to_vehicle, message = heapq.heappop(under_way)
            meddled = line.meddle(to_vehicle, through_the_wire(message, 255 if to_vehicle else 1))
            if meddled is None:
                continue
            if to_vehicle:
                vehicle.take(meddled, now_s)
            else:
                for answer in machine.take(meddled, now_s):
                    put(True, answer)
        for answer in vehicle.out:
            put(False, answer)
        vehicle.out.clear()
        now_s += STEP_S
    return now_s - start_s


def a_plan(chance: random.Random, *, waypoints: int, corners: int, rally: int) -> Plan:
    def place() -> GroundPosition:
        return GroundPosition(16.60 + chance.random() * 0.04, 106.58 + chance.random() * 0.04)

    points = [Waypoint(WaypointKind.TAKEOFF, HOME, 30.0, 0.0)]
    for _ in range(waypoints):
        kind = chance.choice([WaypointKind.WAYPOINT, WaypointKind.LOITER_TIME, WaypointKind.ORBIT])
        circle = kind is WaypointKind.ORBIT
        points.append(
            Waypoint(
                kind, place(), chance.uniform(10.0, 120.0), chance.choice([5.0, 9.5]), chance.uniform(0.0, 30.0),
                chance.uniform(5.0, 400.0) if circle else 0.0, chance.choice([0.5, 1.0, 3.0]) if circle else 0.0,
            )
        )
    points.append(Waypoint(WaypointKind.RETURN, HOME, 30.0, 5.0))
    fence = tuple(place() for _ in range(corners))
    rallies = tuple(RallyPoint(place(), chance.uniform(20.0, 90.0)) for _ in range(rally))
    return Plan("p", "drone-1", 1, "a1b2c3", "khe-da", HOME, tuple(points), 0, fence=fence, rally=rallies)


def held(vehicle: Vehicle, kind: int) -> tuple[MissionItem, ...]:
    """What is in the drone, asked on a clean line."""
    reading = Download(Target(1, 1, kind), 0.0)
    converse(reading, vehicle, Line(random.Random(1)), start_s=100_000.0 if vehicle.store._uploads else 2.0)
    assert reading.end is not None and reading.end.done, reading.end
    return reading.end.items


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**9), loss=st.floats(0.0, 0.25), delay_s=st.floats(0.0, 0.3), wander_s=st.floats(0.0, 0.4),
    corners=st.sampled_from([0, 3, 7]), rally=st.integers(0, 2), waypoints=st.integers(1, 8),
)
def test_what_is_said_to_be_in_the_drone_is_in_the_drone(
    seed: int, loss: float, delay_s: float, wander_s: float, corners: int, rally: int, waypoints: int
) -> None:
    chance = random.Random(seed)
    vehicle = Vehicle()
    for _ in range(2):      # the second over the first's remains
        parts = plan_items(a_plan(chance, waypoints=waypoints, corners=corners, rally=rally), 165.0)
        machine = PlanTransfer(parts, MINE, 0.0)
        converse(machine, vehicle, Line(chance, loss, delay_s, wander_s))
        assert machine.end is not None
        if machine.end.done:
            for kind, items in parts.items():
                assert differences(items, held(vehicle, kind), kind) == ()
        waypoints, corners, rally = max(1, waypoints - 1), 0, 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_fifth_lost_with_delay_and_reordering_gets_all_three_through(seed: int) -> None:
    chance = random.Random(seed)
    vehicle = Vehicle()
    parts = plan_items(a_plan(chance, waypoints=6, corners=5, rally=2), 165.0)
    machine = PlanTransfer(parts, MINE, 0.0)
    converse(machine, vehicle, Line(chance, 0.2, 0.15, 0.1))
    assert machine.end is not None and machine.end.done, machine.end
    assert "5 fence" in machine.end.sentence and "2 rally points" in machine.end.sentence


def test_a_plan_without_fence_and_rally_empties_those_of_the_plan_before() -> None:
    chance, vehicle = random.Random(3), Vehicle()
    for corners, rally in ((6, 2), (0, 0)):
        machine = PlanTransfer(plan_items(a_plan(chance, waypoints=2, corners=corners, rally=rally), 165.0), MINE, 0.0)
        converse(machine, vehicle, Line(chance))
        assert machine.end is not None and machine.end.done, machine.end
        assert len(vehicle.store.items[FENCE]) == corners and len(vehicle.store.items[RALLY]) == rally


def test_another_aircraft_with_the_same_system_id_gets_nothing() -> None:
    vehicle = Vehicle(hardware="ffee")
    before = dict(vehicle.store.items)
    machine = PlanTransfer(plan_items(a_plan(random.Random(1), waypoints=2, corners=3, rally=0), 165.0), MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1)))
    assert machine.end is not None and not machine.end.done
    assert machine.end.sentence == "the plan is for hardware a1b2c3, and ffee answers"
    assert vehicle.store.items == before


def test_an_aircraft_that_changes_under_way_is_not_said_to_hold_the_plan() -> None:
    """Somebody else's drone of the same number on the same channel, for the last of the conversation."""
    vehicle = Vehicle()
    answers = 0

    def swap(to_vehicle: bool, m: Any) -> Any:
        nonlocal answers
        answers += m.get_type() == "AUTOPILOT_VERSION"
        vehicle.hardware = "ffee" if answers else "a1b2c3"
        return m

    machine = PlanTransfer(plan_items(a_plan(random.Random(1), waypoints=2, corners=0, rally=0), 165.0), MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1), meddle=swap))
    assert machine.end is not None and not machine.end.done
    assert machine.end.sentence == "the plan is for hardware a1b2c3, and ffee answers: do not fly it"


def test_a_drone_that_keeps_another_item_than_it_was_sent_is_found_out_and_its_mission_emptied() -> None:
    vehicle = Vehicle()

    def corrupt(to_vehicle: bool, m: Any) -> Any:
        if to_vehicle and m.get_type() == "MISSION_ITEM_INT" and m.seq == 3 and m.mission_type == MISSION:
            m.x += 5000
        return m

    machine = PlanTransfer(plan_items(a_plan(random.Random(2), waypoints=3, corners=0, rally=0), 165.0), MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1), meddle=corrupt))
    assert machine.end is not None and not machine.end.done
    assert machine.attempts[MISSION] == ATTEMPTS
    assert machine.end.sentence.startswith("the drone holds another mission than the plan: item 3: place")
    assert machine.end.sentence.endswith("its mission was cleared")
    assert vehicle.store.items[MISSION] == []


def test_one_wrong_item_once_is_repeated_and_then_right() -> None:
    vehicle, done = Vehicle(), []

    def corrupt_once(to_vehicle: bool, m: Any) -> Any:
        if to_vehicle and m.get_type() == "MISSION_ITEM_INT" and m.seq == 3 and m.mission_type == MISSION and not done:
            done.append(1)
            m.x += 7000
        return m

    machine = PlanTransfer(plan_items(a_plan(random.Random(2), waypoints=3, corners=0, rally=0), 165.0), MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1), meddle=corrupt_once))
    assert machine.end is not None and machine.end.done and machine.attempts[MISSION] == 2


@pytest.mark.parametrize("at_s", [2.3, 2.6, 3.0, 3.5])
def test_a_link_cut_in_the_middle_is_taken_up_again(at_s: float) -> None:
    vehicle = Vehicle()
    parts = plan_items(a_plan(random.Random(4), waypoints=10, corners=4, rally=1), 165.0)
    machine = PlanTransfer(parts, MINE, 0.0)
    took_s = converse(machine, vehicle, Line(random.Random(1), delay_s=0.05, cut=(at_s, at_s + 15.0)))
    assert machine.end is not None and machine.end.done and took_s > 10.0
    assert all(differences(items, held(vehicle, kind), kind) == () for kind, items in parts.items())


def test_a_link_that_stays_cut_is_reported_with_what_the_drone_may_hold() -> None:
    vehicle = Vehicle()
    machine = PlanTransfer(plan_items(a_plan(random.Random(4), waypoints=10, corners=4, rally=1), 165.0), MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1), delay_s=0.05, cut=(2.8, 1e9)))
    assert machine.end is not None and not machine.end.done
    assert machine.end.sentence.endswith("its mission could NOT be cleared: do not fly it")


def test_a_reboot_in_the_middle_is_gone_through_again() -> None:
    vehicle = Vehicle()
    parts = plan_items(a_plan(random.Random(4), waypoints=10, corners=4, rally=1), 165.0)
    machine = PlanTransfer(parts, MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1), delay_s=0.1), reboot_at_s=4.0)
    assert machine.end is not None and machine.end.done, machine.end
    assert all(differences(items, held(vehicle, kind), kind) == () for kind, items in parts.items())


def test_a_fence_that_is_none_is_refused_in_words() -> None:
    parts = {FENCE: fence_items([HOME, HOME]), RALLY: (), MISSION: ()}
    vehicle = Vehicle()
    machine = PlanTransfer(parts, MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1)))
    assert machine.end is not None and not machine.end.done
    assert machine.end.sentence.startswith("the drone refused the fence at item 1: MAV_MISSION_ERROR")


def test_holds_circles_and_rally_heights_are_what_an_ardupilot_can_keep() -> None:
    """It cuts seconds, radii and a rally point's height off: what is sent is rounded up to what stays."""
    plan = a_plan(random.Random(5), waypoints=12, corners=0, rally=2)
    parts, vehicle = plan_items(plan, 165.0), Vehicle()
    machine = PlanTransfer(parts, MINE, 0.0)
    converse(machine, vehicle, Line(random.Random(1)))
    assert machine.end is not None and machine.end.done, machine.end
    for sent, wished in zip(rally_items(plan.rally), plan.rally, strict=True):
        assert 0.0 <= sent.height_m - wished.height_above_home_m < 1.0


def test_a_px4_s_item_0_is_a_waypoint_and_is_asked_one_by_one() -> None:
    """As far as PX4's way can be tried without one: nothing is said unasked, and no second question is under way."""
    asked: list[int] = []
    vehicle = Vehicle()

    def watch(to_vehicle: bool, m: Any) -> Any:
        if m.get_type() == "MISSION_REQUEST_INT" and to_vehicle:
            asked.append(1)
            assert sum(asked) <= 1, "two questions at once"
        if m.get_type() == "MISSION_ITEM_INT" and not to_vehicle and asked:
            asked.pop()
        return m

    items = (
        MissionItem(0, 0, 16, lat_e7=166_222_501, lon_e7=1_066_023_001, height_m=165.0),
        MissionItem(1, 3, 16, lat_e7=166_220_000, lon_e7=1_066_020_000, height_m=20.0),
    )
    machine = PlanTransfer({MISSION: items}, MINE, 0.0, PX4)
    converse(machine, vehicle, Line(random.Random(1), delay_s=0.1, meddle=watch))
    assert machine.end is not None and machine.end.done, machine.end
    moved = (replace(items[0], lat_e7=166_232_501), items[1])
    assert differences(items, moved, MISSION, item_0_is_home=False) and not differences(items, moved[:2])[1:]
