"""Orders to drones on a whole station: from a person's press over web server, disk and the inbox's socket to the fleet."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from geofences.sector import load_sector
from station.access import Role, add_person
from station.fleet_order_state import SAID_NS
from station.fleet_orders import AGAIN_NS, VALID_S, FleetOrderBook, FleetOrderSender
from station.fleet_roles import may_order
from station.journal_schema import JOURNAL
from station.orders import ORDERS, OrderBook, OrderState
from station.own_key import ensure_station_key
from station.record import public_key_file, verify
from station.retention_journal import JournalRetention
from station.retention_show import read_retention
from station.settings import load_station_settings
from station.store import INBOX, Schema, open_store
from tests.station.conftest import SECTOR, Process, Sender, allow, frame_of, point_detection, write_station
from tests.station.stored import believe_date
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.codec import decode_down
from wire.flying import (
    CheckFinding,
    CheckResult,
    DroneTelemetry,
    LinkState,
    Plan,
    TaskPhase,
    TaskState,
    Waypoint,
    WaypointKind,
)
from wire.keys import NodeKind
from wire.messages import OrderResult, SensorReport, SensorState
from wire.tasking import Dispatch, FleetAction, FleetOrder, FlightKind, FlightWish, Offer, Target
from wire.units import GroundPosition, HeightMsl, Position, Realm

pytestmark = pytest.mark.together(70)

PASSWORD = "mot cau de nho"
HOME = GroundPosition(16.62225, 106.60230)
PEOPLE = {"phi": Role.PILOT, "lan": Role.OPERATOR, "chi": Role.SUPERVISOR, "kiem": Role.AUDITOR, "thay": Role.TRAINER}
POINT = {"kind": "point", "places": [[16.6220, 106.6010]]}


class Whole:
    """A station in its processes, a camera that sees somebody walk, and the node of a fleet that a test speaks for."""

    def __init__(self, realm: Realm) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tw-"))
        self.settings = load_station_settings(write_station(self.folder, realm.value))
        self.settings.make_folders()
        ensure_station_key(self.settings)
        for name, role in PEOPLE.items():
            add_person(self.settings, name, role, PASSWORD)
        self.processes = {name: Process(self.settings, name) for name in ("inbox", "mind", "web")}
        for process in self.processes.values():
            process.start()
        until = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", self.settings.web.port)):
            assert time.monotonic() < until
            time.sleep(0.05)
        self.camera = Sender(self.settings, allow(self.settings, "cam-1"))
        self.fleet = Sender(self.settings, allow(self.settings, "fleet", NodeKind.FLEET))
        self.sector = load_sector(SECTOR)
        self.at_m = 60.0
        self.telemetry()
        until = time.monotonic() + 60
        with self.client("lan") as client:
            while not client.get("/api/picture").json()["contacts"]:
                self.walk()
                assert time.monotonic() < until
            self.contact = client.get("/api/picture").json()["contacts"][0]["id"]

    @contextlib.contextmanager
    def client(self, name: str):
        with httpx.Client(base_url=f"http://127.0.0.1:{self.settings.web.port}", timeout=15) as client:
            answer = client.post("/api/login", json={"name": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf"]
            yield client

    def telemetry(self) -> None:
        self.fleet.send(DroneTelemetry(
            "drone-1", time.time_ns(), LinkState.CONNECTED, 0.1, 1, "a1", True, False, "GUIDED",
            Position(HOME.lat_deg, HOME.lon_deg, HeightMsl(165.0)), 0.0, 0.0, 0.0,
            91.0, 16.1, 3, None, None,
        ))

    def walk(self) -> None:
        """One step, by a camera whose pixels are rendered."""
        line = self.sector.corridors.ground("khe-da").centre_line
        now_ns = time.time_ns()
        at = line.interpolate(self.at_m)
        stand = self.sector.frame.position(at.x, at.y + 30)
        self.camera.send(
            SensorReport("gate-1", now_ns, Position(stand.lat_deg, stand.lon_deg, HeightMsl(170.0)), (),
                         SensorState.SEEING, now_ns, True),
            frame_of("gate-1", now_ns, point_detection(self.sector.frame.position(at.x, at.y), track=4)),
        )
        self.camera.listen(0.2)
        self.at_m += 0.3

    def hear(self, kind: type, seconds: float, enough: int = 1) -> list:
        """What the fleet hears of a kind; while the walker walks on."""
        heard, until = [], time.monotonic() + seconds
        while time.monotonic() < until and len(heard) < enough:
            if self.fleet.socket.poll(50):
                body = decode_down(self.fleet.socket.recv_multipart()[1])
                heard += [body] if isinstance(body, kind) else []
            else:
                self.walk()
        return heard

    def picture_when(self, client: httpx.Client, true, seconds: float = 30.0) -> dict:
        until = time.monotonic() + seconds
        while not true(picture := client.get("/api/picture").json()):
            assert time.monotonic() < until, picture["fleets"]
            time.sleep(0.05)
        return picture

    def close(self) -> None:
        self.camera.close()
        self.fleet.close()
        for process in self.processes.values():
            if process.child is not None and process.child.poll() is None:
                process.child.kill()
                process.child.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def whole():
    it = Whole(Realm.TRAINING)
    yield it
    it.close()


@pytest.fixture(autouse=True)
def heard(request) -> None:
    """However long the test before took: the station hears this fleet, and says so."""
    if "whole" not in request.fixturenames:
        return
    station = request.getfixturevalue("whole")
    with station.client("lan") as client:
        station.telemetry()
        station.picture_when(client, lambda p: all(not n["silent"] for n in p["nodes"] if n["kind"] == "fleet"))


def order(client, **wanted):
    return client.post("/api/fleet/orders", json=wanted)


def refusal(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["says"]["key"]


def an_offer(order_id: str, plan_id: str, wish: FlightWish, *, passed: bool = True) -> Offer:
    now_ns = time.time_ns()
    way = (Waypoint(WaypointKind.TAKEOFF, HOME, 40.0, 8.0), Waypoint(WaypointKind.RETURN, HOME, 40.0, 8.0))
    findings = () if passed else (CheckFinding("border", 1, HOME, "near", "check.border.crosses", {"leg": 1}),)
    return Offer(
        order_id, plan_id, "drone-1", wish, now_ns, now_ns + 60 * NS_PER_S,
        Plan(plan_id, "drone-1", 1, "a1", "", HOME, way, now_ns),
        CheckResult(plan_id, passed, findings, 900.0, 120.0, 300.0), 41.0, 12.0, 79.0,
    )


def test_a_pilot_plans_launches_and_calls_back_and_every_step_is_durable_and_on_the_record(whole) -> None:
    with whole.client("phi") as pilot:
        pressed = time.monotonic()
        given = order(pilot, action="plan", drone="drone-1", wish=POINT)
        assert given.status_code == 200, given.text
        (asked,) = whole.hear(FleetOrder, 10)
        assert time.monotonic() - pressed < 1.0, "the inbox is told of an order, and does not wait until it looks"
        assert (asked.action, asked.drone, asked.person) == ("plan", "drone-1", "phi")
        assert asked.wish is not None and asked.wish.places == (GroundPosition(16.6220, 106.6010),)
        assert 0 < asked.expires_ns - time.time_ns() <= VALID_S[FleetAction.PLAN] * NS_PER_S
        again = whole.hear(FleetOrder, 4)
        assert [o.order_id for o in again] == [asked.order_id], "until it is answered it is sent again"

        whole.fleet.send(an_offer(asked.order_id, "P-1", asked.wish), OrderResult(asked.order_id, True, "offered"))
        whole.fleet.listen(5)
        assert whole.fleet.refused == []
        picture = whole.picture_when(pilot, lambda p: p["fleets"] and p["fleets"][0]["offers"] and p["fleets"][0]["answers"])
        assert picture["drones"][0]["plan"] is None, "what is offered is not what flies"

        assert refusal(order(pilot, action="launch", drone="drone-2", plan_id="P-1")) == (409, "fleet.refused.other_drone")
        assert refusal(order(pilot, action="launch", drone="drone-1", plan_id="P-9")) == (409, "fleet.refused.offer_over")
        assert order(pilot, action="launch", drone="drone-1", plan_id="P-1").status_code == 200
        (launch,) = whole.hear(FleetOrder, 10)
        assert (launch.action, launch.plan_id, launch.drone) == ("launch", "P-1", "drone-1")

        whole.processes["mind"].kill()          # what it knew of the fleet it knows again
        whole.processes["mind"].start()
        whole.fleet.send(TaskState("T-1", "drone-1", "P-1", TaskPhase.EXECUTING, time.time_ns(), "on its way"),
                         an_offer(asked.order_id, "P-1", asked.wish).plan, OrderResult(launch.order_id, True, "launched"))
        whole.fleet.listen(5)
        picture = whole.picture_when(pilot, lambda p: p["drones"] and p["drones"][0]["plan"])
        assert picture["fleets"][0]["offers"] == [] and picture["fleets"][0]["wishes"]["P-1"]["kind"] == "point"

        assert order(pilot, action="return", drone="drone-1").status_code == 200
        (back,) = whole.hear(FleetOrder, 10)
        assert (back.action, back.drone) == ("return", "drone-1")
        state = pilot.get(f"/api/fleet/orders/{launch.order_id}").json()
        assert (state["state"], state["detail"], state["person"]) == ("done", "launched", "phi")
        assert [o["action"] for o in pilot.get("/api/fleet/orders").json()][:3] == ["return", "launch", "plan"]
        whole.fleet.send(OrderResult(back.order_id, True, "it returns"))
        whole.fleet.listen(5)
    entries = sqlite3.connect(whole.settings.record_db).execute(
        "SELECT person, details FROM entries WHERE action = 'fleet.ordered' ORDER BY number"
    ).fetchall()
    told = [json.loads(details) for _, details in entries]
    assert [t["action"] for t in told][-3:] == ["plan", "launch", "return"] and {p for p, _ in entries} == {"phi"}
    assert told[-2]["plan"] == "P-1" and told[-2]["drone"] == "drone-1"
    assert verify(whole.settings.record_db, public_key_file(whole.settings)).broken is None


def test_an_operator_has_a_contact_looked_at_and_the_fleet_hears_each_second_where_it_is(whole) -> None:
    wish = {"kind": "investigate", "contact": whole.contact}
    with whole.client("lan") as operator:
        assert refusal(order(operator, action="plan", drone="drone-1", wish=POINT)) == (403, "refused.role")
        assert refusal(order(operator, action="return", drone="drone-1")) == (403, "refused.role")
        assert order(operator, action="plan", wish=wish).status_code == 200
        first = whole.hear(Target | FleetOrder, 10)
        assert isinstance(first[0], Target), "where it is comes before the order to look at it"
        assert (first[0].contact, first[0].simulated, first[0].gone) == (whole.contact, True, False)
        (asked,) = whole.hear(FleetOrder, 10)
        offer = an_offer(asked.order_id, "P-7", asked.wish)
        whole.fleet.send(offer, OrderResult(asked.order_id, True, ""))
        whole.picture_when(operator, lambda p: any(o["plan_id"] == "P-7" for f in p["fleets"] for o in f["offers"]))
        assert order(operator, action="launch", drone="drone-1", plan_id="P-7").status_code == 200
        (launch,) = whole.hear(FleetOrder, 10)
        whole.fleet.send(
            OrderResult(launch.order_id, True, ""), Dispatch(time.time_ns(), looking={"drone-1": whole.contact}),
            TaskState("T-7", "drone-1", "P-7", TaskPhase.EXECUTING, time.time_ns(), ""),
        )
        began = time.monotonic()
        told = whole.hear(Target, 15, enough=5)
        took_s = time.monotonic() - began
        assert 3.0 <= took_s <= 8.0 and len({t.at_ns for t in told}) >= 4, "once a second, each time a newer place"
        whole.picture_when(operator, lambda p: p["fleets"][0]["dispatch"] is not None)
        assert order(operator, action="return", drone="drone-1").status_code == 200, "who sent it may call it back"
        assert refusal(order(operator, action="land", drone="drone-1")) == (403, "refused.role")
        (back,) = whole.hear(FleetOrder, 10)
        whole.fleet.send(OrderResult(back.order_id, True, ""), Dispatch(time.time_ns()))
        whole.fleet.listen(5)


def test_what_did_not_pass_its_check_is_not_launched_and_an_offer_is_withdrawn(whole) -> None:
    with whole.client("chi") as supervisor:
        whole.fleet.send(an_offer("o-x", "P-8", FlightWish(FlightKind.POINT, places=(HOME,)), passed=False))
        whole.fleet.listen(5)
        whole.picture_when(supervisor, lambda p: any(o["plan_id"] == "P-8" for f in p["fleets"] for o in f["offers"]))
        launched = order(supervisor, action="launch", drone="drone-1", plan_id="P-8")
        assert refusal(launched) == (409, "fleet.refused.not_passed")
        assert order(supervisor, action="withdraw", drone="drone-1", plan_id="P-8").status_code == 200
        whole.picture_when(supervisor, lambda p: not any(o["plan_id"] == "P-8" for f in p["fleets"] for o in f["offers"]))
        (withdraw,) = whole.hear(FleetOrder, 10)
        whole.fleet.send(OrderResult(withdraw.order_id, True, ""))
        whole.fleet.listen(5)


@pytest.mark.parametrize(("wanted", "status", "key"), [
    ({"action": "plan", "drone": "drone-9", "wish": POINT}, 404, "fleet.refused.no_such_drone"),
    ({"action": "plan", "drone": "drone-1"}, 400, "fleet.refused.wish"),
    ({"action": "plan", "drone": "drone-1", "wish": {"kind": "corridor"}}, 400, "fleet.refused.wish"),
    ({"action": "plan", "drone": "drone-1", "wish": {"kind": "area", "places": [[16.6, 106.6]] * 2}}, 400,
     "fleet.refused.wish"),
    ({"action": "plan", "drone": "drone-1", "wish": POINT | {"height_m": 5000}}, 400, "fleet.refused.wish"),
    ({"action": "plan", "drone": "drone-1", "wish": POINT | {"places": [[96.6, 106.6]]}}, 400, "fleet.refused.wish"),
    ({"action": "plan", "wish": {"kind": "investigate", "contact": "C-999999"}}, 404, "contact.refused.not_live"),
    ({"action": "explode", "drone": "drone-1"}, 400, "refused.http"),
    ({"action": "pause", "drone": ""}, 404, "fleet.refused.no_such_drone"),
    ({"action": "return", "drone": "drone-1", "more": 1}, 400, "refused.http"),
])
def test_an_order_that_cannot_be_is_refused_with_its_reason(whole, wanted, status, key) -> None:
    with whole.client("phi") as pilot:
        assert refusal(order(pilot, **wanted)) == (status, key)


def test_strangers_auditors_and_other_pages_order_nothing(whole) -> None:
    with whole.client("kiem") as auditor:
        for action in FleetAction:
            assert order(auditor, action=action.value, drone="drone-1", wish=POINT, plan_id="P").status_code in (403, 409)
        assert auditor.get("/api/fleet/orders").status_code == 200
        del auditor.headers["X-CSRF-Token"]
        assert refusal(order(auditor, action="return", drone="drone-1")) == (403, "refused.csrf")
    with httpx.Client(base_url=f"http://127.0.0.1:{whole.settings.web.port}") as stranger:
        assert order(stranger, action="return", drone="drone-1").status_code == 401
        paths = ("/api/fleet", "/api/fleet/orders", "/api/fleet/orders/x")
        assert {stranger.get(path).status_code for path in paths} == {401}


def test_a_live_station_sends_nothing_to_a_simulated_contact_and_obeys_no_trainer() -> None:
    live = Whole(Realm.LIVE)
    try:
        with live.client("phi") as pilot:
            contact = pilot.get("/api/picture").json()["contacts"][0]
            assert contact["simulated"], "its camera's pixels are rendered"
            wish = {"kind": "investigate", "contact": contact["id"]}
            assert refusal(order(pilot, action="plan", wish=wish)) == (409, "fleet.refused.simulated")
            assert live.hear(Target | FleetOrder, 2.5) == []
            assert order(pilot, action="plan", drone="drone-1", wish=POINT).status_code == 200, "to a place it may"
            assert len(live.hear(FleetOrder, 10)) == 1
        with live.client("thay") as trainer:
            assert refusal(order(trainer, action="return", drone="drone-1")) == (403, "refused.role")
    finally:
        live.close()


@pytest.mark.parametrize("realm", Realm)
def test_who_may_order_what(realm) -> None:
    def allowed(role: Role, kind: FlightKind | None = None) -> set[str]:
        return {a.value for a in FleetAction if may_order(role, realm, a, kind)}

    everything = {a.value for a in FleetAction}
    training = realm is Realm.TRAINING
    for role in (Role.PILOT, Role.SUPERVISOR):
        assert allowed(role) == everything
    for role in (Role.TRAINER, Role.ADMINISTRATOR):
        assert allowed(role) == (everything if training else set())
    assert allowed(Role.AUDITOR, FlightKind.INVESTIGATE) == set()
    assert allowed(Role.OPERATOR) == set() and allowed(Role.OPERATOR, FlightKind.RELIEF) == set()
    assert allowed(Role.OPERATOR, FlightKind.INVESTIGATE) == {"plan", "launch", "withdraw", "return"}


# ------------------------------------------------------------------------------------------------------------- the book


def test_a_launch_of_a_while_ago_is_not_sent_and_a_return_still_is(settings) -> None:
    clock = SteppedClock(utc_ns=time.time_ns())
    book = FleetOrderBook(settings, clock)
    inbox = open_store(settings.inbox_db, INBOX, settings.realm, clock)
    sender = FleetOrderSender(settings, inbox, clock)
    launch = book.give("phi", "fleet", FleetOrder("", "launch", "", "drone-1", plan_id="P-1"))
    back = book.give("phi", "fleet", FleetOrder("", "return", "", "drone-1"))
    assert [o.order_id for _, o in sender.due()] == [launch, back], "in the order in which they were given"
    sender.sent(launch)
    assert [o.order_id for _, o in sender.due()] == [back]
    clock.advance(AGAIN_NS / NS_PER_S)
    assert [o.order_id for _, o in sender.due()] == [launch, back]
    clock.advance(VALID_S[FleetAction.LAUNCH])
    assert [o.order_id for _, o in sender.due()] == [back]
    clock.advance(SAID_NS / NS_PER_S)
    states = [(v.action.value, v.state) for v in book.newest()]
    assert states == [("return", OrderState.WAITING), ("launch", OrderState.EXPIRED)]
    clock.advance(VALID_S[FleetAction.RETURN])
    assert sender.due() == []
    sender.close()
    inbox.close()


def test_an_orders_file_of_before_gets_a_place_for_them_at_the_start_of_the_web_server(settings) -> None:
    old = Schema(ORDERS.purpose, ORDERS.migrations[:1])
    open_store(settings.orders_db, old, settings.realm, WallClock()).close()
    FleetOrderBook(settings, WallClock()).make_ready()
    assert FleetOrderBook(settings, WallClock()).newest() == () and OrderBook(settings, WallClock()).newest() == ()


def test_orders_to_drones_are_erased_when_those_to_cameras_are_and_their_age_is_shown(settings) -> None:
    clock = SteppedClock(utc_ns=time.time_ns())
    book = FleetOrderBook(settings, clock)
    book.give("phi", "fleet", FleetOrder("", "return", "", "drone-1"))
    first_ns = clock.utc_ns()
    clock.advance(settings.retention.orders_days * 86_400 - 1800)
    kept = book.give("phi", "fleet", FleetOrder("", "return", "", "drone-1"))
    (shown,) = [v for v in read_retention(settings) if v.kind == "orders"]
    assert shown.oldest_ns == first_ns
    journal = open_store(settings.journal_db, JOURNAL, settings.realm, clock)
    retention = JournalRetention(journal, settings, clock)
    believe_date(settings, clock.utc_ns())
    clock.advance(3600)
    retention.step()
    journal.close()
    assert [o.id for o in book.newest()] == [kept]
