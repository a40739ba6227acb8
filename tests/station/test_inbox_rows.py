"""Batches of rows: nothing is stored twice, in whatever order it comes, and a flood's detections get their rows later."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from station.admission import admit
from station.inbox_rows import CATCH_UP_AT_ONCE, Identities, Index, Rows, waiting
from station.orders import Answered, OrderState, answer_of
from station.store import INBOX, Schema, open_store, transaction
from wire.clock import NS_PER_S, SteppedClock
from wire.codec import encode_envelope
from wire.keys import AllowedNode, NodeKind
from wire.messages import Box, Detection, DetectionBatch, Envelope, OrderResult, PlacementPoint
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality

NODE = AllowedNode("cam-1", NodeKind.CAMERA, Realm.TRAINING, "k" * 40)
NOW_NS = 1_800_000_000 * NS_PER_S


def message(boot: int, sequence: int, objects: int = 2):
    placement = PlacementPoint(GroundPosition(16.62, 106.59), Covariance2(1.0, 0.0, 1.0))
    detections = tuple(
        Detection(t, ObjectClass.PERSON, 0.9, Box(1.0, 2.0, 3.0, 4.0), placement, True, ("khe-da",)) for t in range(objects)
    )
    batch = DetectionBatch("gate", NOW_NS + sequence, TimeQuality.NTP, "v", detections)
    data = encode_envelope(Envelope("cam-1", boot, sequence, batch))
    return waiting(b"peer", NODE, admit(data, NODE, NOW_NS), None, data, NOW_NS)


@pytest.fixture
def db(tmp_path: Path):
    conn = open_store(tmp_path / "inbox.db", INBOX, Realm.TRAINING, SteppedClock())
    yield conn
    conn.close()


def test_what_waits_holds_no_decoded_detections() -> None:
    m = message(1, 0)
    assert (m.body, m.seen, m.kind) == (None, 2, "detections")


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 12)), max_size=12), max_size=6))
def test_a_sequence_is_new_exactly_when_the_disk_does_not_hold_it(tmp_path_factory, batches) -> None:
    conn = open_store(tmp_path_factory.mktemp("i") / "inbox.db", INBOX, Realm.TRAINING, SteppedClock())
    ids, stored = Identities(conn), set()
    for batch in batches:
        rows = Rows(ids.next)
        with transaction(conn):
            for boot, sequence in batch:
                m = message(boot, sequence)
                if ids.is_new(m):
                    assert (boot, sequence) not in stored, "taken for new, and the disk or this batch holds it"
                elif rows.arrivals and ids.is_waiting(m):
                    rows.write(conn)
                known = conn.execute("SELECT 1 FROM arrivals WHERE boot = ? AND sequence = ?", (boot, sequence)).fetchone()
                if known is None and (boot, sequence) not in stored:
                    rows.add(m)
                    stored.add((boot, sequence))
            rows.write(conn)
            ids.next = rows.next_id
        ids.settle()
    assert set(conn.execute("SELECT boot, sequence FROM arrivals")) == stored
    conn.close()


def store(db, index: Index, ids: Identities, count: int, first: int, flood: bool) -> None:
    with transaction(db):
        if flood:
            index.fall_behind(ids.next - 1)
        rows = Rows(ids.next, with_detections=not index.behind)
        for k in range(first, first + count):
            rows.add(message(1, k))
        rows.write(db)
        ids.next = rows.next_id


def test_a_flood_is_stored_without_rows_and_gets_them_later_in_order(db) -> None:
    ids, index = Identities(db), Index(db)
    store(db, index, ids, 5, 0, flood=False)
    store(db, index, ids, CATCH_UP_AT_ONCE + 50, 5, flood=True)
    store(db, index, ids, 5, 1000, flood=False)
    assert index.behind
    assert db.execute("SELECT count(*), max(arrival) FROM detections").fetchone() == (10, 5)
    turns = 0
    while index.behind:
        with transaction(db):
            index.catch_up(ids.next - 1)
        turns += 1
    assert turns == 2
    arrivals = CATCH_UP_AT_ONCE + 60
    assert db.execute("SELECT count(*), count(DISTINCT arrival) FROM detections").fetchone() == (2 * arrivals, arrivals)
    store(db, index, ids, 1, 2000, flood=False)
    assert db.execute("SELECT count(*) FROM detections").fetchone() == (2 * arrivals + 2,), "all is as before the flood"


def test_how_far_the_rows_have_got_survives_a_kill_and_a_failed_commit(db) -> None:
    ids, index = Identities(db), Index(db)
    with pytest.raises(RuntimeError), transaction(db):
        index.fall_behind(0)
        raise RuntimeError("the disk is full")
    index.recall()
    assert not index.behind
    store(db, index, ids, 7, 0, flood=True)
    again = Index(db)
    assert (again.behind, again.until) == (True, 0)
    with transaction(db):
        assert again.catch_up(7) == 7
    assert not Index(db).behind
    assert db.execute("SELECT count(*) FROM detections").fetchone() == (14,)


def test_an_answer_keeps_its_words_for_every_language_and_one_of_before_is_read_without(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    old = open_store(path, Schema(INBOX.purpose, INBOX.migrations[:4]), Realm.TRAINING, SteppedClock())
    with transaction(old):
        old.execute("INSERT INTO order_results VALUES ('o-1', 'cam-1', 0, 'too near', ?)", (NOW_NS,))
    old.close()
    db = open_store(path, INBOX, Realm.TRAINING, SteppedClock())
    answer = OrderResult("o-2", False, "less than 30 m", "plan_refused.short", {"m": 30})
    data = encode_envelope(Envelope("cam-1", 1, 0, answer))
    rows = Rows(Identities(db).next)
    rows.add(waiting(b"peer", NODE, admit(data, NODE, NOW_NS), None, data, NOW_NS))
    with transaction(db):
        rows.write(db)
    assert answer_of(db, "o-1", "cam-1", 0, NOW_NS) == Answered(OrderState.FAILED, "too near", NOW_NS)
    said = Answered(OrderState.FAILED, "less than 30 m", NOW_NS, "plan_refused.short", {"m": 30})
    assert answer_of(db, "o-2", "cam-1", 0, NOW_NS) == said
    db.close()
