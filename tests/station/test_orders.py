"""An order reaches its node over the inbox's socket, is answered once, and its pictures are there to be looked at."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from geofences.sector import load_sector
from station.access import Role
from station.inbox import Inbox
from station.orders import AGAIN_NS, VALID_S, WAITING_LIMIT, OrderBook, OrderState, TooManyOrdersError
from station.record import public_key_file, verify
from tests.scene import scene
from tests.web_stage import PASSWORD, Stage
from wire.clock import NS_PER_S, WallClock
from wire.codec import decode_down
from wire.messages import Footage, FootageFrame, NodeHealth, Order, OrderAction, OrderResult
from wire.units import TimeQuality

JPEG = b"\xff\xd8 a picture \xff\xd9"


class ShiftedClock(WallClock):
    """The wall's, and so much later."""

    later_ns = 0

    def utc_ns(self) -> int:
        return super().utc_ns() + self.later_ns


@pytest.fixture
def book(settings):
    return OrderBook(settings, WallClock())


@pytest.fixture
def inbox(settings):
    stop, running = threading.Event(), Inbox(settings, load_sector(settings.sector).corridor_set, WallClock())

    def loop():
        while not stop.is_set():
            running.turn()
        running.commit()

    thread = threading.Thread(target=loop)
    thread.start()
    yield running
    stop.set()
    thread.join()
    running.close()


def health():
    return NodeHealth(time.time_ns(), 1.0, 0, 0, 0.0, {}, 0, 0, 0, 1000.0, 100.0, TimeQuality.NTP, True)


def hear_orders(node, seconds, enough=1):
    """What orders come within so long; returns early with enough of them."""
    heard, until = [], time.monotonic() + seconds
    while time.monotonic() < until and len(heard) < enough:
        if node.socket.poll(50):
            body = decode_down(node.socket.recv_multipart()[1])
            if isinstance(body, Order):
                heard.append(body)
    return heard


def part(order_id, k, of, *times, jpeg=JPEG):
    return Footage(order_id, "gate-1", k, of, tuple(FootageFrame(t, jpeg + bytes([t % 256])) for t in times))


def wait_for(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


SNAPSHOT = Order("", "gate-1", OrderAction.SNAPSHOT)


def test_an_order_goes_to_its_node_alone_and_comes_back_answered_with_its_pictures(inbox, settings, sender, book):
    node, other = sender("cam-1"), sender("cam-2")
    for one in (node, other):
        one.send(health())
        one.listen(5)
    order_id = book.give("lan", "cam-1", msgspec.structs.replace(SNAPSHOT, action=OrderAction.CLIP, before_s=3.0))
    (order,) = hear_orders(node, 20)
    assert (order.order_id, order.sensor, order.action, order.before_s) == (order_id, "gate-1", "clip", 3.0)
    assert 0 < order.expires_ns - time.time_ns() <= VALID_S * NS_PER_S
    assert hear_orders(other, 1) == []
    assert book.find(order_id).state is OrderState.WAITING

    now = time.time_ns()
    words = {"n": 3, "seconds": 1.5}
    answer = OrderResult(order_id, True, "a clip of 3 pictures", "node_says.order_clip", words)
    node.send(part(order_id, 1, 2, now + 3), answer)
    node.listen(5)
    node.send(part(order_id, 0, 2, now + 1, now + 2))
    node.listen(5)
    assert node.refused == []
    view = book.find(order_id)
    assert (view.state, view.detail, view.person) == (OrderState.DONE, "a clip of 3 pictures", "lan")
    assert (view.key, view.params) == ("node_says.order_clip", words)
    assert (view.parts, view.parts_here, view.pictures_ns) == (2, 2, (now + 1, now + 2, now + 3))
    assert [book.picture(order_id, k) for k in range(3)] == [JPEG + bytes([(now + k) % 256]) for k in (1, 2, 3)]
    assert book.picture(order_id, 3) is None and book.picture(order_id, -1) is None
    assert hear_orders(node, AGAIN_NS / NS_PER_S + 1) == []         # answered, so it is not sent again


def test_an_order_waits_for_a_node_that_is_away_and_is_sent_again_until_it_is_answered(inbox, sender, book):
    key = sender("cam-1").key
    order_id = book.give("lan", "cam-1", SNAPSHOT)
    time.sleep(1.0)
    node = sender(key=key)
    node.send(health())
    assert [o.order_id for o in hear_orders(node, 3 * AGAIN_NS / NS_PER_S, enough=2)] == [order_id, order_id]


def test_the_first_answer_stands_and_nobody_answers_for_another(inbox, sender, book):
    node, other = sender("cam-1"), sender("cam-2")
    order_id = book.give("lan", "cam-1", SNAPSHOT)
    other.send(OrderResult(order_id, True, "I am cam-1, honestly"), part(order_id, 0, 1, time.time_ns()))
    other.listen(5)
    assert book.find(order_id).state is OrderState.WAITING and book.find(order_id).pictures_ns == ()
    for done, detail in ((False, "first"), (True, "second")):
        node.send(OrderResult(order_id, done, detail))
        node.listen(5)
    assert (book.find(order_id).state, book.find(order_id).detail) == (OrderState.FAILED, "first")


@pytest.mark.parametrize(
    "body",
    [
        OrderResult("", True, ""), OrderResult("o" * 65, True, ""), part("o", 1, 1, 5), part("o", -1, 1, 5), part("o", 0, 1),
        part("o", 0, 10**6, 5), part("o", 0, 1, 2**63), part("o", 0, 1, 5, jpeg=b"<html>"), part("", 0, 1, 5),
    ],
)
def test_answers_and_pictures_that_cannot_be_are_refused(inbox, sender, body):
    node = sender("cam-1")
    node.send(body)
    node.listen(5)
    assert len(node.refused) == 1 and node.acknowledged == []


def test_an_order_whose_time_is_over_is_not_sent_and_says_so(inbox, settings, sender):
    clock = ShiftedClock()
    book = OrderBook(settings, clock)
    clock.later_ns = -2 * VALID_S * NS_PER_S
    order_id = book.give("lan", "cam-1", SNAPSHOT)
    clock.later_ns = 0
    node = sender("cam-1")
    node.send(health())
    assert hear_orders(node, 2) == []
    assert book.find(order_id).state is OrderState.EXPIRED


def test_orders_have_a_bound_and_the_newest_are_listed_first(book):
    ids = [book.give("lan", "cam-1", SNAPSHOT) for _ in range(3)]
    assert [v.id for v in book.newest()] == ids[::-1]
    for _ in range(WAITING_LIMIT - 3):
        book.give("lan", "cam-1", SNAPSHOT)
    with pytest.raises(TooManyOrdersError):
        book.give("lan", "cam-1", SNAPSHOT)


def test_an_orders_file_that_cannot_be_read_holds_nothing_else_up(inbox, settings, sender, frame, detection):
    settings.orders_db.write_bytes(b"no database" * 1000)
    node = sender("cam-1")
    node.send(health())
    node.listen(5)
    assert node.acknowledged == [(1, 0)]


# ------------------------------------------------------------------------------------------------------- from the page


@pytest.fixture(scope="module")
def stage():
    stage = Stage(Path(tempfile.mkdtemp(prefix="tw-")))
    try:
        stage.person()
        stage.person("kiem", Role.AUDITOR)
        stage.start()
        stage.mind(scene())
        yield stage
    finally:
        stage.close()
        shutil.rmtree(stage.folder, ignore_errors=True)


@pytest.fixture
def client(stage):
    with httpx.Client(base_url=stage.address, timeout=15) as c:
        yield c


def log_in(client, name="lan"):
    answer = client.post("/api/login", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]


def first_sensor(client):
    wait_for(lambda: client.get("/api/picture").json()["sensors"])
    return client.get("/api/picture").json()["sensors"][0]


def test_an_operator_orders_and_the_record_tells_who(stage, client):
    log_in(client)
    sensor = first_sensor(client)
    answer = client.post("/api/orders", json={"sensor": sensor["id"], "action": "snapshot"})
    assert answer.status_code == 200, answer.text
    order_id = answer.json()["id"]
    order = client.get(f"/api/orders/{order_id}").json()
    assert (order["node"], order["person"], order["state"]) == (sensor["node"], "lan", "waiting")
    assert client.get("/api/orders").json()[0]["id"] == order_id
    assert client.get(f"/api/orders/{order_id}/pictures/0").status_code == 404
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as record:
        (person, action, details), *_ = record.execute(
            "SELECT person, action, details FROM entries ORDER BY number DESC"
        ).fetchall()
    assert (person, action) == ("lan", "order.given")
    assert json.loads(details)["order"] == order_id
    assert verify(stage.settings.record_db, public_key_file(stage.settings)).broken is None


def test_who_may_only_look_orders_nothing(client):
    log_in(client, "kiem")
    sensor = first_sensor(client)
    answer = client.post("/api/orders", json={"sensor": sensor["id"], "action": "snapshot"})
    assert answer.status_code == 403 and answer.json()["says"]["key"] == "refused.role"
    assert client.get("/api/orders").status_code == 200


def test_a_stranger_sees_and_orders_nothing(client):
    assert client.post("/api/orders", json={"sensor": "gate-1", "action": "snapshot"}).status_code == 401
    for path in ("/api/orders", "/api/orders/x", "/api/orders/x/pictures/0"):
        assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sensor": "nowhere"}, 404), ({"action": "reboot"}, 400), ({"argument": "x" * 65}, 400), ({"before_s": -1}, 400),
        ({"after_s": 1e9}, 400), ({"more": 1}, 400),
    ],
)
def test_an_order_that_cannot_be_is_refused(client, change, status):
    log_in(client)
    wanted = {"sensor": first_sensor(client)["id"], "action": "clip"} | change
    assert client.post("/api/orders", json=wanted).status_code == status


def test_another_page_orders_nothing_in_ones_name(client):
    log_in(client)
    del client.headers["X-CSRF-Token"]
    answer = client.post("/api/orders", json={"sensor": first_sensor(client)["id"], "action": "snapshot"})
    assert answer.status_code == 403
