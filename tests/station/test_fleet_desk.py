"""What is offered, what flies, and whom the fleet is told of: the mind's side, without sockets."""

from __future__ import annotations

import time

import msgspec
import pytest

from geofences.sector import Sector, load_sector
from station.contacts import Contact
from station.fleet_desk import ANSWERS_NS, ASKED_NS, LAST_WORDS, STATE, FleetDesk, drone_of_node
from station.fleet_requests import DropOffer, FollowContact
from station.picture import Done, Refused
from station.views import contact_view
from tests.station.conftest import SECTOR
from tests.station.stored import a_contact
from wire.clock import NS_PER_S
from wire.flying import CheckResult, Plan, TaskPhase, TaskState, Waypoint, WaypointKind
from wire.messages import OrderResult
from wire.tasking import Dispatch, FlightKind, FlightWish, Offer
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62225, 106.60230)
WAY = [(16.62115, 106.59110), (16.62090, 106.59260)]
NOW = time.time_ns()


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(SECTOR)


def a_plan(plan_id: str) -> Plan:
    return Plan(plan_id, "drone-1", 1, "a1", "", HOME, (Waypoint(WaypointKind.WAYPOINT, HOME, 40.0, 8.0),), NOW)


def an_offer(plan_id: str = "P-1", order_id: str = "o-1", contact: str = "", for_s: float = 60.0) -> Offer:
    kind = FlightKind.INVESTIGATE if contact else FlightKind.POINT
    check = CheckResult(plan_id, True, (), 100.0, 60.0, 300.0)
    wish = FlightWish(kind, contact=contact)
    return Offer(order_id, plan_id, "drone-1", wish, NOW, NOW + round(for_s * NS_PER_S), a_plan(plan_id), check)


def task(plan_id: str, phase: TaskPhase = TaskPhase.CREATED) -> TaskState:
    return TaskState("T-1", "drone-1", plan_id, phase, NOW, "")


def targets(desk: FleetDesk, contacts: list[Contact], sector: Sector, now_ns: int):
    def find(name):
        return next((c for c in contacts if name in c.ids), None)

    return list(desk.targets(find, lambda c: contact_view(c, sector, now_ns), {"eye": "drone-2"}.get, now_ns))


def test_a_proposed_plan_is_not_the_one_that_is_flown_until_its_task_speaks() -> None:
    desk = FleetDesk(Realm.TRAINING)
    flying = a_plan("P-0")
    assert desk.flown("fleet", flying) == [flying], "nobody has offered it: it is what flies"
    desk.offer("fleet", an_offer("P-1"))
    check = CheckResult("P-1", True, (), 1.0, 1.0, 1.0)
    assert desk.flown("fleet", a_plan("P-1")) == [] and desk.flown("fleet", check) == []
    other = task("P-0", TaskPhase.EXECUTING)
    assert desk.flown("fleet", other) == [other], "the task of another plan lets nothing through"
    (view,) = desk.views()
    assert [o.plan_id for o in view.offers] == ["P-1"]
    assert desk.flown("fleet", task("P-1")) == [a_plan("P-1"), check, task("P-1")]
    (view,) = desk.views()
    assert view.offers == (), "what is taken is offered no longer"
    assert view.wishes["P-1"].kind is FlightKind.POINT, "and what it was wished for stays known"


def test_offers_end_by_time_by_withdrawal_and_by_a_newer_one_of_the_same_order() -> None:
    desk = FleetDesk(Realm.TRAINING)
    desk.offer("fleet", an_offer("P-1", "o-1", for_s=5))
    desk.offer("fleet", an_offer("P-2", "o-2", for_s=50))
    desk.offer("fleet", msgspec.structs.replace(an_offer("P-3", "o-3"), expires_ns=0))
    desk.pass_time(NOW + 6 * NS_PER_S)
    assert [o.plan_id for o in desk.views()[0].offers] == ["P-2", "P-3"]
    assert isinstance(desk.answer(DropOffer("fleet", "P-2"), lambda _: None, NOW), Done)
    desk.offer("fleet", an_offer("P-4", "o-3"))
    assert [o.plan_id for o in desk.views()[0].offers] == ["P-4"]
    desk.pass_time(NOW + 61 * NS_PER_S)
    assert desk.views()[0].offers == ()


def test_a_restart_knows_offers_dispatch_answers_and_wishes_and_tells_only_what_is_new() -> None:
    desk = FleetDesk(Realm.TRAINING)
    desk.heard_of("fleet", "drone-1")
    desk.offer("fleet", an_offer(contact="C-000001"))
    desk.dispatch("fleet", Dispatch(NOW, looking={"drone-1": "C-000002"}))
    desk.dispatch("fleet", Dispatch(NOW - 5, looking={}))
    desk.answered("fleet", OrderResult("o-1", True, "offered", "fleet.offered"), NOW)
    desk.answered("fleet", OrderResult("o-1", False, "again"), NOW)
    assert len(desk.take_news()) == 1 and desk.take_news() == ()
    state = desk.states()[STATE]
    assert desk.states() == {}, "written once"
    again = FleetDesk(Realm.TRAINING, state)
    assert again.views() == desk.views()
    (view,) = again.views()
    assert view.dispatch is not None and view.dispatch.looking == {"drone-1": "C-000002"}, "the older word changes nothing"
    assert [(a.done, a.key) for a in view.answers] == [(True, "fleet.offered")], "the first answer stands"
    again.pass_time(NOW + ANSWERS_NS + 1)
    assert again.views()[0].answers == ()


def test_the_fleet_hears_each_second_where_those_are_whom_it_looks_at_and_three_times_that_one_is_gone(sector) -> None:
    contacts = [a_contact(n, WAY) for n in (1, 2, 3, 4, 5)]
    for contact in contacts:
        contact.ended_ns, contact.last_seen_ns = None, NOW - NS_PER_S
    desk = FleetDesk(Realm.TRAINING)
    desk.offer("fleet", an_offer(contact="C-000001"))
    reliefs = (("C-000003", "drone-1", "drone-2"),)
    desk.dispatch("fleet", Dispatch(
        NOW, looking={"drone-1": "C-000002"}, reliefs=reliefs, avoiding={"drone-2": "C-000005"},
    ))
    assert isinstance(desk.answer(FollowContact("other", "C-000004"), lambda _: contacts[3], NOW), Done)
    told = targets(desk, contacts, sector, NOW)
    assert [(node, t.contact) for node, t in told] == [
        ("fleet", "C-000001"), ("fleet", "C-000002"), ("fleet", "C-000003"), ("fleet", "C-000005"),
        ("other", "C-000004"),
    ], "and of whom a drone does not fly over"
    first = told[0][1]
    view = contact_view(contacts[0], sector, NOW)
    assert (first.position, first.covariance, first.last_seen_ns) == (view.position, view.covariance, view.last_seen_ns)
    assert first.at_ns == contacts[0].estimate.at_ns and first.held_by == ()
    assert targets(desk, contacts, sector, NOW + NS_PER_S // 2) == [], "once a second"
    gone = []
    for k in range(1, 6):
        gone += targets(desk, contacts[1:4], sector, NOW + k * NS_PER_S)
    last_words = [t for _, t in gone if t.contact == "C-000001"]
    assert [t.gone for t in last_words] == [True] * LAST_WORDS and last_words[0].position == first.position
    assert sum(t.contact == "C-000002" and not t.gone for _, t in gone) == 5
    desk.pass_time(NOW + ASKED_NS + 1)
    assert {t.contact for _, t in targets(desk, contacts, sector, NOW + ASKED_NS + 2)} == {
        "C-000001", "C-000002", "C-000003", "C-000005"}, "nobody has offered anything for the fourth"


def test_one_that_was_found_to_be_another_is_told_of_under_the_name_that_the_fleet_knows(sector) -> None:
    (contact,) = [a_contact(7, WAY)]
    contact.ended_ns, contact.last_seen_ns, contact.absorbed = None, NOW, [9]
    desk = FleetDesk(Realm.TRAINING)
    desk.dispatch("fleet", Dispatch(NOW, looking={"drone-1": "C-000009"}))
    ((_, told),) = targets(desk, [contact], sector, NOW)
    assert told.contact == "C-000009" and not told.gone


@pytest.mark.parametrize(("realm", "simulated", "flies"), [
    (Realm.LIVE, True, False), (Realm.LIVE, False, True), (Realm.TRAINING, True, True), (Realm.TRAINING, False, True),
])
def test_no_drone_of_a_live_station_is_told_of_a_simulated_contact(sector, realm, simulated, flies) -> None:
    contact = a_contact(1, WAY)
    contact.ended_ns, contact.last_seen_ns, contact.simulated = None, NOW, simulated
    desk = FleetDesk(realm)
    answer = desk.answer(FollowContact("fleet", "C-000001"), lambda _: contact, NOW)
    assert isinstance(answer, Done) if flies else isinstance(answer, Refused)
    if isinstance(answer, Refused):
        assert answer.says.key == "fleet.refused.simulated"
    desk.offer("fleet", an_offer(contact="C-000001"))       # whatever the fleet says
    assert [t.gone for _, t in targets(desk, [contact], sector, NOW)] == [not flies]


def test_a_contact_that_is_no_more_is_not_followed() -> None:
    answer = FleetDesk(Realm.TRAINING).answer(FollowContact("fleet", "C-000001"), lambda _: None, NOW)
    assert isinstance(answer, Refused) and answer.says.key == "contact.refused.not_live"


@pytest.mark.parametrize(("node", "drone"), [
    ("drone-1", "drone-1"), ("drone-1-eye", "drone-1"), ("drone-12-eye", "drone-12"), ("drone-3", None), ("cam-1", None),
])
def test_a_drone_holds_what_the_node_sees_that_is_called_after_it(node, drone) -> None:
    assert drone_of_node(node, ("drone-1", "drone-12")) == drone
