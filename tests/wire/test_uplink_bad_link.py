"""The uplink on links that cut, crawl and lie: everything arrives, nothing leaves the outbox that did not."""

import itertools
import random
import sqlite3
import time

import pytest

from wire.clock import SteppedClock, WallClock
from wire.codec import MAGIC, encode_down
from wire.messages import (
    Acknowledgement,
    Box,
    Detection,
    DetectionBatch,
    NodeHealth,
    PlacementPoint,
    Refusal,
    Snapshot,
)
from wire.outbox import Outbox
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality
from wire.uplink import RENEW_LONGEST_S, RENEW_S, Uplink

CLOCK = WallClock()


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, CLOCK)
    yield outbox
    outbox.close()


def batch(n=3, corridors=("khe-da",)):
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1, 0, 1))
    one = Detection(1, ObjectClass.PERSON, 0.9, Box(1, 2, 3, 4), place, True, corridors)
    return DetectionBatch("cam", 1, TimeQuality.NTP, "v", (one,) * n)


def health():
    return NodeHealth(1, 1.0, 1, 0, 5.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True)


def snapshot(size):
    return Snapshot("cam", 1, 1, b"x" * size, Box(0, 0, 1, 1))


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def identities(envelopes):
    return [(e.boot, e.sequence) for e in envelopes]


def test_a_link_that_breaks_in_the_middle_of_messages_loses_nothing(station, node_key, outbox, bad_link):
    """Some connections do not even get through their handshake (a few hundred bytes)."""
    draw = random.Random(8)
    cuts = [draw.choice((draw.randint(10, 900), draw.randint(5_000, 60_000))) for _ in range(12)]
    link = bad_link(station.endpoint, cuts, piece=1448)
    put = outbox.put(*[batch() for _ in range(400)], *[snapshot(20_000) for _ in range(5)])
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.acknowledged == len(put)
    assert set(identities(station.received)) == set(put)
    assert station.odd == 0, "half a message never counts as one"
    assert link.cut >= 5 and link.connections > link.cut


def test_on_a_thin_slow_link_nothing_is_sent_twice_and_the_urgent_does_not_stand_behind_the_rest(
    station, node_key, outbox, bad_link
):
    link = bad_link(station.endpoint, kbit_per_s=200, delay_s=0.02, piece=4096)
    outbox.put(*[batch(corridors=()) for _ in range(300)])
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: len(station.received) > 60)
        before = len(station.received)
        (urgent,) = outbox.put(batch())
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent == 0
    order = identities(station.received)
    assert len(set(order)) == len(order) == 301
    assert order.index(urgent) < before + 150, "it waited for more than what was on its way"


@pytest.mark.parametrize("body", [batch(), health()], ids=["sighting", "state"])
def test_what_is_seen_now_does_not_wait_behind_what_was_seen_before_the_link_came_back(
    station, node_key, tmp_path, bad_link, body
):
    link = bad_link(station.endpoint, kbit_per_s=200, piece=4096)
    before = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, CLOCK)
    backlog = before.put(*[body] * 600)
    before.close()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, CLOCK)
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: len(station.received) > 60)
        had = len(station.received)
        live = outbox.put(body, body)
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent == 0
    order = identities(station.received)
    assert set(order) == {*backlog, *live} and len(order) == 602
    assert order.index(live[0]) < order.index(live[1]) < had + 200, "they waited for more than what was on its way"
    assert [i for i in order if i in set(backlog)] == list(backlog)
    outbox.close()


def test_a_line_on_which_each_answer_takes_more_than_a_second_comes_up(station, node_key, outbox, bad_link):
    link = bad_link(station.endpoint, delay_s=1.6)
    outbox.put(batch())
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK):
        wait_for(lambda: outbox.depth == 0)
    assert len(station.received) == 1


def test_a_picture_that_takes_longer_than_any_heartbeat_gets_through_at_the_first_attempt(
    station, node_key, outbox, bad_link
):
    """Eleven seconds. Taken for dead in the middle, the node would begin again, and never be done."""
    link = bad_link(station.endpoint, kbit_per_s=30)
    outbox.put(snapshot(40_000))
    with Uplink(link.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: uplink.counts.sent == 1)
        put = outbox.put(batch(), batch())
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent == 0
    assert link.connections == 1
    assert len(station.received) == 1 + len(put)


def test_answers_to_what_was_never_sent_take_nothing_from_the_outbox(station, node_key, outbox):
    """The first message is answered with a flood of lies; the thousand that wait behind it all arrive in spite of it."""
    put = outbox.put(*[batch() for _ in range(1000)])
    boot = outbox.boot
    lies = [(boot, k) for k in range(500, 5000)] + [(boot + 1, k) for k in range(1000)] + [(-5, -5), (2**64 - 1, 2**64 - 1)]
    station.greeting = [
        [MAGIC, encode_down(Acknowledgement(tuple(lies[k:k + 1000])))] for k in range(0, len(lies), 1000)
    ] + [
        [MAGIC, encode_down(Acknowledgement((), tuple(Refusal(boot, k, "no") for k in range(500, 1000))))],
        [MAGIC, encode_down(Acknowledgement(((boot + 1, 0), (0, 0)), (Refusal(boot + 7, 3, "no"),)))],
    ]
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.stray > 5000
        assert uplink.counts.refused == 0
    assert set(identities(station.received)) == set(put)
    assert outbox.ledger.messages_acknowledged == 1000


def test_a_message_that_the_disk_spoilt_does_not_stand_in_front_for_ever(station, node_key, tmp_path, monkeypatch):
    monkeypatch.setattr("wire.flights.RESEND_S", 0.3)
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, CLOCK)
    put = outbox.put(*[batch() for _ in range(100)])
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("update queue set data = zeroblob(300) where sequence = 7")
    with Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK) as uplink:
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.refused == 1
        assert "the station at" in uplink.problem and "does not parse" in uplink.problem
    assert set(identities(station.received)) == set(put) - {put[7]}
    assert outbox.refusals() == {"damaged on the node's disk": 1}
    outbox.close()


class Jumpy(WallClock):
    """A machine's clock whose date is set back and forth, each time that somebody looks."""

    def __init__(self):
        self._jumps = itertools.cycle((0, 3600, -7200, 30 * 31_536_000, -40 * 31_536_000))

    def utc_ns(self):
        return max(0, super().utc_ns() + next(self._jumps) * 1_000_000_000)


def test_steps_of_the_date_neither_reorder_nor_delay_nor_lose(station, node_key, tmp_path):
    clock = Jumpy()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    put = list(outbox.put(*[batch() for _ in range(50)]))
    outbox.close()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    with Uplink(station.endpoint, station.key.public, node_key, outbox, clock) as uplink:
        for _ in range(50):
            put += outbox.put(batch())
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent == 0
    received = identities(station.received)
    assert set(received) == set(put) and len(received) == len(put)
    assert [i for i in received if i in put[:50]] == put[:50] and [i for i in received if i in put[50:]] == put[50:]
    outbox.close()


def test_pictures_keep_to_their_budget_and_what_waits_goes_ahead(station, node_key, tmp_path):
    """1 kB/s, of which five seconds are saved up: the first picture makes a debt of 15 s."""
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    outbox.put(*[snapshot(20_000) for _ in range(3)])
    with Uplink(station.endpoint, station.key.public, node_key, outbox, clock, picture_kbit_per_s=8) as uplink:
        wait_for(lambda: len(station.received) == 1)
        outbox.put(*[batch() for _ in range(40)])
        wait_for(lambda: len(station.received) == 41)
        wait_for(lambda: outbox.depth == 2)
        clock.advance(14.0)
        clock.step_utc(1e9)
        outbox.put(batch())
        wait_for(lambda: len(station.received) == 42)
        time.sleep(0.3)
        assert uplink.counts.sent == 42
        clock.advance(2.0)
        wait_for(lambda: outbox.depth == 1)
        clock.advance(21.0)
        wait_for(lambda: outbox.depth == 0)
    kinds = [isinstance(e.body, Snapshot) for e in station.received]
    assert kinds == [True] + [False] * 41 + [True, True]
    outbox.close()


def test_a_refused_node_asks_less_and_less_often_and_never_in_step_with_others(node_key, outbox, station):
    """The waits that it draws, without waiting for them."""
    uplinks = [Uplink(station.endpoint, station.key.public, node_key, outbox, CLOCK) for _ in range(2)]
    waits = []
    for uplink in uplinks:
        drawn = []
        for _ in range(8):
            uplink._renew_at_ns = None
            before_ns = CLOCK.monotonic_ns()
            uplink._fail(uplink.state, "refused")
            drawn.append((uplink._renew_at_ns - before_ns) / 1e9)
        waits.append(drawn)
        uplink._close()
        uplink._context.destroy(linger=0)
    for k, (one, other) in enumerate(zip(*waits, strict=True)):
        longest = min(RENEW_LONGEST_S, RENEW_S * 2**k)
        assert 0.5 * longest <= min(one, other) and max(one, other) < longest + 0.5
    assert waits[0] != waits[1]
