"""What became of an order to a drone, from answer, task and what the fleet has in hand: one truth, at every moment."""

from __future__ import annotations

import msgspec
import pytest

from station.fleet_order_state import IN_HAND_NS, SAID_NS, what_became
from station.fleet_picture import FleetAnswer, FleetView
from station.orders import Answered, OrderState
from station.picture import DroneView
from tests.fleet_scene import drones
from wire.clock import NS_PER_S
from wire.flying import TaskPhase, TaskState
from wire.tasking import Dispatch, FleetOrder

GIVEN = 1_795_000_000 * NS_PER_S
LAUNCH = FleetOrder("o-1", "launch", "Lan", "drone-1", plan_id="P-1", expires_ns=GIVEN + 15 * NS_PER_S)
BACK = FleetOrder("o-2", "return", "Lan", "drone-1", expires_ns=GIVEN + 120 * NS_PER_S)
NOTHING = Answered(OrderState.WAITING, "", None)


def fleet(*, in_hand: tuple[str, ...] = (), answers: tuple[FleetAnswer, ...] = ()) -> FleetView:
    return FleetView("fleet", ("drone-1",), dispatch=Dispatch(GIVEN, in_hand=in_hand), answers=answers)


def flying(phase: TaskPhase, plan_id: str = "P-1") -> DroneView:
    task = TaskState("T-1", "drone-1", plan_id, phase, GIVEN, "5 items read back", key="task.read_back", params={"n": 5})
    return msgspec.structs.replace(drones(GIVEN)[0], task=task)


def after(order: FleetOrder, seconds: float, *, fleets=(), of=(), stored: Answered = NOTHING) -> OrderState:
    return what_became(order, GIVEN, stored, fleets, of, GIVEN + round(seconds * NS_PER_S)).state


@pytest.mark.parametrize("phase", [TaskPhase.CREATED, TaskPhase.RECEIVED, TaskPhase.ACCEPTED, TaskPhase.EXECUTING])
def test_a_launch_whose_pre_flight_takes_a_minute_is_under_way_and_not_over(phase: TaskPhase) -> None:
    for seconds in (1.0, 16.0, 60.0, 300.0):
        assert after(LAUNCH, seconds, of=[flying(phase)]) is OrderState.UNDER_WAY
    assert after(LAUNCH, 16.0, of=[flying(phase, "P-2")]) is OrderState.WAITING, "another plan's task says nothing of it"
    assert after(LAUNCH, 60.0, of=[flying(phase, "P-2")]) is OrderState.EXPIRED
    said = what_became(LAUNCH, GIVEN, NOTHING, [], [flying(phase)], GIVEN + 60 * NS_PER_S)
    assert (said.detail, said.key, said.params) == ("5 items read back", "task.read_back", {"n": 5})


def test_what_the_fleet_has_in_hand_is_under_way_whatever_it_is_and_for_no_longer_than_anything_takes() -> None:
    assert after(BACK, 5.0, fleets=[fleet()]) is OrderState.WAITING
    for seconds in (5.0, 121.0, IN_HAND_NS / NS_PER_S - 1):
        assert after(BACK, seconds, fleets=[fleet(in_hand=("o-2",))]) is OrderState.UNDER_WAY
    assert after(BACK, IN_HAND_NS / NS_PER_S + 1, fleets=[fleet(in_hand=("o-2",))]) is OrderState.EXPIRED
    assert after(LAUNCH, IN_HAND_NS / NS_PER_S + 1, of=[flying(TaskPhase.ACCEPTED)]) is OrderState.EXPIRED
    assert after(BACK, 120.0 + SAID_NS / NS_PER_S + 0.1, fleets=[fleet()]) is OrderState.EXPIRED


def test_an_answer_is_the_last_word_wherever_it_is_known_from() -> None:
    no = FleetAnswer("o-1", False, "too windy", GIVEN + NS_PER_S, "dispatch.check", {"why": "wind"})
    said = what_became(LAUNCH, GIVEN, NOTHING, [fleet(answers=(no,))], [flying(TaskPhase.ACCEPTED)], GIVEN + 20 * NS_PER_S)
    assert (said.state, said.key, said.at_ns) == (OrderState.FAILED, "dispatch.check", GIVEN + NS_PER_S)
    stored = Answered(OrderState.DONE, "it has taken off", GIVEN + 40 * NS_PER_S, "sortie.off", {"metres": 40})
    said = what_became(LAUNCH, GIVEN, stored, [fleet(in_hand=("o-1",))], [], GIVEN + 1000 * NS_PER_S)
    assert (said.state, said.detail, said.at_ns) == (OrderState.DONE, "it has taken off", stored.at_ns)
    assert (said.key, said.params) == ("sortie.off", {"metres": 40}), "or a page that asks before the feed shows English"


@pytest.mark.parametrize(("phase", "state"), [
    (TaskPhase.FAILED, OrderState.FAILED), (TaskPhase.CANCELLED, OrderState.FAILED), (TaskPhase.DONE, OrderState.DONE),
])
def test_a_task_that_is_over_says_it_where_the_answer_is_gone(phase: TaskPhase, state: OrderState) -> None:
    assert after(LAUNCH, 5.0, of=[flying(phase)]) is state
    assert after(BACK, 5.0, of=[flying(phase)]) is OrderState.WAITING, "of a launch alone"
