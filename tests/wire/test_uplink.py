"""The uplink against a real ROUTER with CURVE: everything arrives, once is enough, and nothing from outside stops it."""

import os
import time

import pytest
import zmq

from wire.clock import WallClock
from wire.codec import MAGIC, encode_down
from wire.keys import NodeKind, make_node_key, make_station_key
from wire.messages import (
    Box,
    CorridorSet,
    Detection,
    DetectionBatch,
    Order,
    OrderAction,
    PlacementPoint,
    Snapshot,
)
from wire.outbox import Outbox
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality
from wire.uplink import Uplink, UplinkState

CLOCK = WallClock()


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, CLOCK)
    yield outbox
    outbox.close()


def batch(n=1):
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1, 0, 1))
    one = Detection(1, ObjectClass.PERSON, 0.9, Box(1, 2, 3, 4), place, True, ("khe-da",))
    return DetectionBatch("cam", 1, TimeQuality.NTP, "v", (one,) * n)


def snapshot(size):
    return Snapshot("cam", 1, 1, b"x" * size, Box(0, 0, 1, 1))


def wait_for(condition, seconds=8.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def identities(envelopes):
    return [(e.boot, e.sequence) for e in envelopes]


def test_everything_put_arrives_once_and_leaves_the_outbox(station, node_key, outbox):
    before = outbox.put(*[batch(2) for _ in range(100)])
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: outbox.depth == 0)
        after = outbox.put(batch())
        wait_for(lambda: outbox.depth == 0)
        assert uplink.state is UplinkState.UP
        assert uplink.counts.resent == 0
    assert identities(station.received) == [*before, *after]
    assert max(len(t) for t in station.transports) <= 32


def test_a_put_is_sent_at_once(station, node_key, outbox):
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: uplink.state is UplinkState.UP)
        took = []
        for _ in range(10):
            begin = time.monotonic()
            outbox.put(batch())
            n = len(took) + 1
            wait_for(lambda n=n: len(station.received) == n)
            took.append(time.monotonic() - begin)
    assert sorted(took)[5] < 0.06


def test_what_is_not_acknowledged_is_sent_again_with_the_same_identity(station, node_key, outbox, monkeypatch):
    monkeypatch.setattr("wire.flights.RESEND_S", 0.2)
    station.deaf = True
    sent = outbox.put(batch(), batch())
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: uplink.counts.sent >= 4)
        assert outbox.depth == 2
        station.deaf = False
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent >= 2
    assert set(identities(station.received)) == set(sent)


def test_a_station_that_comes_late_and_one_that_restarts_get_everything(small_station, node_key, outbox):
    key = make_station_key(Realm.TRAINING)
    first = small_station([node_key.public], key)
    endpoint = first.endpoint
    first.stop()
    put = list(outbox.put(*[batch() for _ in range(40)]))
    with Uplink(endpoint, key.public, node_key, outbox, CLOCK) as uplink:
        time.sleep(0.3)
        assert uplink.state is UplinkState.CONNECTING
        assert "is not reached" in uplink.problem
        second = small_station([node_key.public], key, endpoint)
        wait_for(lambda: outbox.depth == 0)
        second.deaf = True
        put += outbox.put(*[batch() for _ in range(40)])
        wait_for(lambda: uplink.counts.sent >= 80)
        second.stop()
        third = small_station([node_key.public], key, endpoint)
        wait_for(lambda: outbox.depth == 0)
    assert sorted(identities(second.received + third.received)) == sorted(put)


def test_pictures_wait_until_nothing_else_is_to_be_sent(station, node_key, outbox):
    outbox.put(*[snapshot(50_000) for _ in range(5)])
    outbox.put(*[batch() for _ in range(200)])
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK):
        wait_for(lambda: outbox.depth == 0)
    kinds = [isinstance(e.body, Snapshot) for e in station.received]
    assert kinds == [False] * 200 + [True] * 5
    assert all(len(t) == 1 for t in station.transports if isinstance(t[0].body, Snapshot))


def test_orders_and_corridors_reach_the_node(station, node_key, outbox):
    order = Order("o-1", "cam", OrderAction.SNAPSHOT)
    corridors = CorridorSet("laobao", "v1", ())
    station.greeting = [[MAGIC, encode_down(corridors)], [MAGIC, encode_down(order)]]
    heard = []
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK, heard.append):
        outbox.put(batch())
        wait_for(lambda: len(heard) == 2)
    assert heard == [corridors, order]


def test_odd_messages_are_counted_and_the_loop_goes_on(station, node_key, outbox, caplog):
    station.greeting = [
        [b""], [MAGIC], [b"TW\x63", b"x"], [MAGIC, os.urandom(300)], [MAGIC, b"\x81"], [MAGIC, encode_down(
            CorridorSet("x", "y", ())) + b"rest"], [os.urandom(20)] * 200, [MAGIC, b"\x91" * 5000],
    ]

    def stumbling(_):
        raise ZeroDivisionError("a callback with a fault")

    station.greeting.append([MAGIC, encode_down(CorridorSet("x", "y", ()))])
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK, stumbling) as uplink:
        outbox.put(batch())
        wait_for(lambda: outbox.depth == 0)
        outbox.put(batch())
        wait_for(lambda: outbox.depth == 0)
        wait_for(lambda: uplink.counts.odd >= 8)
    assert "is not taken" in caplog.text


def test_a_key_that_is_not_on_the_list_is_said_in_words_and_adding_it_is_enough(station, outbox, caplog, monkeypatch):
    monkeypatch.setattr("wire.uplink.RENEW_S", 0.2)
    stranger = make_node_key("gate-9", NodeKind.CAMERA, Realm.TRAINING)
    outbox.put(batch())
    with Uplink(station.endpoint, station.key.public, stranger, outbox, CLOCK) as uplink:
        wait_for(lambda: uplink.state is UplinkState.REFUSED)
        assert "refused our key" in uplink.problem and "nodes.toml" in uplink.problem and stranger.public in uplink.problem
        time.sleep(0.7)
        assert caplog.text.count("refused our key") == 1
        assert outbox.depth == 1
        station.allowed.add(stranger.public)
        wait_for(lambda: outbox.depth == 0)
        assert uplink.problem == ""


def test_a_wrong_station_key_is_said_in_words(station, node_key, outbox, monkeypatch):
    wrong = make_station_key(Realm.TRAINING).public
    with Uplink(station.endpoint, wrong, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: uplink.state is UplinkState.UNANSWERED)
        assert "station_public" in uplink.problem
    assert station.received == []


@pytest.mark.parametrize(("endpoint", "key"), [("tcp://127.0.0.1:1", "short"), ("nonsense", None)])
def test_an_impossible_address_or_key_is_the_callers_error(node_key, outbox, endpoint, key):
    with pytest.raises(ValueError, match="station key"):
        Uplink(endpoint, key or make_station_key(Realm.TRAINING).public, node_key, outbox, CLOCK)


def test_stopping_is_quick_with_nobody_there_and_leaves_all_in_the_outbox(node_key, outbox):
    outbox.put(batch())
    uplink = Uplink("tcp://127.0.0.1:9", make_station_key(Realm.TRAINING).public, node_key, outbox, CLOCK).start()
    begin = time.monotonic()
    uplink.stop()
    assert time.monotonic() - begin < 1.0
    assert uplink.state is UplinkState.STOPPED
    assert outbox.depth == 1


def test_the_socket_keeps_no_queue_for_a_station_that_is_gone(node_key, outbox):
    outbox.put(*[batch() for _ in range(300)])
    free = zmq.Context()
    s = free.socket(zmq.ROUTER)
    port = s.bind_to_random_port("tcp://127.0.0.1")
    s.close(linger=0)
    free.term()
    key = make_station_key(Realm.TRAINING).public
    with Uplink(f"tcp://127.0.0.1:{port}", key, node_key, outbox, CLOCK) as uplink:
        time.sleep(0.3)
        assert uplink.counts.sent == 0
