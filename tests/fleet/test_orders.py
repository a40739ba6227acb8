"""An order is carried out once and answered once, however often it comes and whatever happens to the service."""

from __future__ import annotations

import asyncio
import math
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleet.commands import Outcome
from fleet.dispatch_queue import Queue, Waiting
from fleet.order_journal import OrderJournal
from fleet.orders import FleetOrders, why_not
from wire.clock import NS_PER_S, SteppedClock
from wire.messages import OrderResult, UpBody
from wire.tasking import FleetOrder, FlightKind, FlightWish, Offer, Target
from wire.units import Covariance2, GroundPosition, ObjectClass

PLAN = FleetOrder("o1", "plan", "Lan", "drone-1", FlightWish(FlightKind.CORRIDOR, corridor="khe-da"))
TARGET = Target(
    "c1", 5 * NS_PER_S, ObjectClass.PERSON, GroundPosition(16.62, 106.6), Covariance2(4, 0, 4), (1.0, 0.0), 5 * NS_PER_S,
    simulated=True,
)


class Heard:
    def __init__(self, path: Path) -> None:
        self.said: list[UpBody] = []
        self.clock = SteppedClock()
        self.journal = OrderJournal(path)
        self.orders = FleetOrders(self.journal, self.clock, self.said.append)

    def answers(self, order_id: str) -> list[OrderResult]:
        return [r for r in self.said if isinstance(r, OrderResult) and r.order_id == order_id]


def in_a_loop(path: Path, play: object) -> Heard:
    heard = Heard(path)

    async def run() -> None:
        heard.orders.listen()
        await play(heard)      # type: ignore[operator]

    asyncio.run(run())
    return heard


def test_an_order_that_comes_again_is_carried_out_once_and_answered_once(tmp_path: Path) -> None:
    async def play(heard: Heard) -> None:
        # From another thread, as the uplink hands it over.
        thread = threading.Thread(target=lambda: [heard.orders.hear(PLAN) for _ in range(3)])
        thread.start()
        thread.join()
        order = await asyncio.wait_for(heard.orders.next(), 2.0)
        assert order == PLAN
        heard.orders.answer(order, Outcome(True, "offered"))
        heard.orders.hear(PLAN)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.orders.next(), 0.05)

    heard = in_a_loop(tmp_path / "orders.db", play)
    assert [a.done for a in heard.answers("o1")] == [True]


def test_an_order_that_was_in_hand_when_the_service_died_is_answered_and_not_flown_late(tmp_path: Path) -> None:
    async def dies(heard: Heard) -> None:
        heard.orders.take(PLAN)
        assert (await heard.orders.next()) == PLAN     # and here it is killed

    async def lives(heard: Heard) -> None:
        heard.orders.take(PLAN)     # the station has no answer yet, and sends it again
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.orders.next(), 0.05)

    in_a_loop(tmp_path / "orders.db", dies).journal.close()
    again = in_a_loop(tmp_path / "orders.db", lives)
    (answer,) = again.answers("o1")
    assert not answer.done and "started anew" in answer.detail and answer.key == "dispatch.restarted"
    again.journal.close()
    assert in_a_loop(tmp_path / "orders.db", lives).answers("o1") == []


def test_orders_that_cannot_be_are_refused_with_a_reason() -> None:
    def refused(**changes: object) -> str:
        why = why_not(msgspec.structs.replace(PLAN, **changes), 100 * NS_PER_S)
        return why.key if why is not None else ""

    assert refused() == ""
    assert refused(expires_ns=99 * NS_PER_S) == "dispatch.late"
    assert refused(action="somersault") == "dispatch.unknown_action"
    assert refused(wish=None) == "dispatch.no_wish"
    assert refused(wish=FlightWish(FlightKind.INVESTIGATE)) == "dispatch.no_contact"
    assert refused(wish=FlightWish(FlightKind.INVESTIGATE, contact="c1"), drone="") == "", "the fleet chooses"
    assert refused(drone="") == "dispatch.no_drone"
    assert refused(action="launch") == refused(action="withdraw") == "dispatch.no_plan"
    assert refused(action="return", drone="") == "dispatch.no_drone"


@pytest.mark.parametrize("order_id", ["", "x" * 65, "with\nlines"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, order_id: str) -> None:
    async def play(heard: Heard) -> None:
        heard.orders.take(msgspec.structs.replace(PLAN, order_id=order_id))

    heard = in_a_loop(tmp_path / "orders.db", play)
    assert [r.done for r in heard.said if isinstance(r, OrderResult)] == [False]


def test_a_disk_that_takes_no_orders_lets_none_be_flown(tmp_path: Path) -> None:
    async def play(heard: Heard) -> None:
        heard.journal.close()
        heard.orders.take(PLAN)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.orders.next(), 0.05)

    (answer,) = in_a_loop(tmp_path / "orders.db", play).answers("o1")
    assert not answer.done and "takes no orders" in answer.detail


def test_of_a_target_the_newest_word_counts_and_its_last_one_leaves_its_place(tmp_path: Path) -> None:
    async def play(heard: Heard) -> None:
        orders, later = heard.orders, msgspec.structs.replace
        orders.take(TARGET)
        orders.take(later(TARGET, at_ns=3 * NS_PER_S, velocity_m_s=(9.0, 9.0)))
        assert orders.targets["c1"] == TARGET, "overtaken on its way"
        orders.take(later(TARGET, at_ns=6 * NS_PER_S, position=GroundPosition(math.nan, 106.6)))
        assert orders.targets["c1"] == TARGET, "no place"
        orders.take(later(TARGET, at_ns=7 * NS_PER_S, position=GroundPosition(0.0, 0.0), last_seen_ns=0, gone=True))
        assert orders.targets["c1"] == later(TARGET, gone=True)
        orders.take(later(TARGET, contact="never heard of", gone=True))
        assert set(orders.targets) == {"c1"}

    in_a_loop(tmp_path / "orders.db", play)


class QueueMachine(RuleBasedStateMachine):
    """The queue against a list that is sorted anew each time."""

    @initialize()
    def begin(self) -> None:
        self.queue = Queue()
        self.model: list[tuple[int, int, str, str]] = []        # priority, number, drone, plan
        self.number = 0

    @rule(priority=st.integers(1, 3), drone=st.sampled_from(["a", "b"]))
    def put(self, priority: int, drone: str) -> None:
        self.number += 1
        plan = f"plan-{self.number}"
        order = FleetOrder(f"o{self.number}", "launch", "Lan", plan_id=plan, priority=priority, wait=True)
        offer = Offer(order.order_id, plan, drone, FlightWish(FlightKind.POINT), 0, 1)
        ahead = self.queue.put(Waiting(offer, order, self.number))
        self.model.append((priority, self.number, drone, plan))
        self.model.sort()
        before = self.model[: self.model.index((priority, self.number, drone, plan))]
        assert ahead == sum(m[2] == drone for m in before)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        plan = data.draw(st.sampled_from([m[3] for m in self.model] + ["plan-0"]))
        found = self.queue.withdraw(plan)
        assert (found is not None) == any(m[3] == plan for m in self.model)
        self.model = [m for m in self.model if m[3] != plan]

    @rule(drone=st.sampled_from(["a", "b"]))
    def call_home(self, drone: str) -> None:
        gone = self.queue.withdraw_all(drone)
        assert [w.offer.plan_id for w in gone] == [m[3] for m in self.model if m[2] == drone]
        self.model = [m for m in self.model if m[2] != drone]

    @rule(free=st.sets(st.sampled_from(["a", "b"])))
    def a_drone_is_free(self, free: set[str]) -> None:
        due = self.queue.due(lambda offer, _: offer.drone in free)
        first = {d: next((m for m in self.model if m[2] == d), None) for d in free}
        assert sorted(w.offer.plan_id for w in due) == sorted(m[3] for m in first.values() if m is not None)
        self.model = [m for m in self.model if m not in first.values()]

    @invariant()
    def they_stand_in_their_order(self) -> None:
        told = self.queue.told()
        assert [(t.priority, t.since_ns, t.drone, t.plan_id) for t in told] == self.model
        assert len(self.queue) == len(self.model)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
