"""What is put now goes ahead of what has waited long, within its priority; what was put close together stays in order."""

import sqlite3

import pytest

from tests.wire.test_outbox import batch, health, opened, snapshot, track
from wire.clock import SteppedClock
from wire.outbox import Outbox
from wire.outbox_bounds import OUTSIDE
from wire.outbox_order import next_keys
from wire.units import Realm


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def outbox(tmp_path, clock):
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    yield outbox
    outbox.close()


def waiting(outbox, limit=99, **options):
    return [p.identity for p in outbox.pending(limit, **options)]


def test_after_a_time_without_a_link_who_crosses_now_goes_first_and_then_what_waits_oldest_first(outbox, clock):
    old = outbox.put(batch(), health(), batch(corridors=()), snapshot(), track(), health())
    clock.advance(61.0)
    new = outbox.put(health(), batch(), snapshot(), batch(corridors=()), batch())
    urgent, states = [*new[1::3], old[0], old[4]], [new[0], old[1], old[5]]
    assert waiting(outbox, least=OUTSIDE) == [*urgent, *states, old[2], new[3]]
    assert waiting(outbox) == [*urgent, *states, old[2], new[3], old[3], new[2]]
    assert waiting(outbox, 3) == urgent[:3]
    assert waiting(outbox, 2, skip={new[1], old[0]}) == [new[4], old[4]]


def test_what_was_put_within_a_minute_goes_in_the_order_in_which_it_was_seen(outbox, clock):
    """The station judges it as it comes, and a trail is whole only in that order."""
    old, put = outbox.put(batch()), []
    clock.advance(30.0)
    for _ in range(59):
        put += outbox.put(batch(), batch())
        clock.advance(1.0)
    assert waiting(outbox, 999) == [*put, *old]
    clock.advance(50.0)
    assert waiting(outbox, 999) == [*put[-18:], *old, *put[:-18]]
    clock.advance(10.0)
    assert waiting(outbox, 999) == [*old, *put]


def test_what_an_earlier_start_left_goes_after_what_this_one_sees(tmp_path):
    first = opened(tmp_path / "outbox.db")
    old = first.put(batch(), batch(), health())
    first.close()
    second = opened(tmp_path / "outbox.db")
    assert waiting(second) == list(old)
    new = second.put(batch(), health())
    assert waiting(second) == [new[0], *old[:2], new[1], old[2]]


def test_while_the_disk_refuses_memory_and_disk_give_one_order(outbox, clock):
    old = outbox.put(batch(), health())
    outbox._db.execute("pragma query_only = 1")
    held = outbox.put(batch(), health())
    clock.advance(61.0)
    new = outbox.put(batch(), health())
    assert "readonly" in outbox.problem
    assert waiting(outbox) == [new[0], old[0], held[0], new[1], old[1], held[1]]
    outbox._db.execute("pragma query_only = 0")


def test_a_node_whose_words_build_on_each_other_keeps_their_order(tmp_path, clock):
    outbox = opened(tmp_path / "outbox.db", fresh_s=0.0)
    put = outbox.put(batch(), batch()) + outbox.put(batch())
    assert waiting(outbox) == list(put)
    outbox.close()
    again = opened(tmp_path / "outbox.db", fresh_s=0.0)
    put += again.put(batch())
    assert waiting(again) == list(put)


def test_to_find_what_is_next_never_reads_the_whole_queue(outbox, clock):
    outbox.put(*[batch() for _ in range(50)])
    with sqlite3.connect(outbox._path) as db:
        asked = []
        db.set_trace_callback(asked.append)
        assert len(next_keys(db, (outbox.boot, 20), OUTSIDE, 40)) == 40
        db.set_trace_callback(None)
        plans = [row[3] for question in asked for row in db.execute(f"explain query plan {question}")]
    assert plans and all("SEARCH" in p and "COVERING INDEX queue_order" in p for p in plans)
