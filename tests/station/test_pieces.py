"""Pictures that come in pieces, at the real inbox: stored as if they had come whole, and acknowledged after the commit."""

import threading
import time

import pytest

from geofences.sector import load_sector
from station.inbox import Inbox
from station.store import INBOX, open_reader
from wire.clock import WallClock
from wire.codec import MAGIC
from wire.keys import load_station_key
from wire.messages import Box, Footage, FootageFrame, OrderResult, Snapshot
from wire.outbox import Outbox
from wire.pieces import Piece, encode_piece
from wire.uplink import Uplink

CLOCK = WallClock()
JPEG = b"\xff\xd8" + bytes(k * 7 % 251 for k in range(200_000))


@pytest.fixture
def running(settings):
    """Starts inboxes; each loop in a thread of its own."""
    stops = []

    def start():
        inbox = Inbox(settings, load_sector(settings.sector).corridor_set, CLOCK)
        stop, errors = threading.Event(), []

        def loop():
            try:
                while not stop.is_set():
                    inbox.turn()
                inbox.commit()
            except BaseException as error:  # noqa: BLE001 -- whatever it is, the test must hear of it
                errors.append(error)

        thread = threading.Thread(target=loop)
        thread.start()

        def end():
            stop.set()
            thread.join()
            inbox.close()
            assert errors == []

        stops.append(end)
        return inbox

    yield start
    for end in stops:
        end()


def rows(settings, question):
    conn = open_reader(settings.inbox_db, INBOX, settings.realm)
    try:
        return conn.execute(question).fetchall()
    finally:
        conn.close()


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_snapshots_and_an_orders_pictures_are_stored_as_if_they_had_come_whole(running, settings, allow_node, tmp_path):
    inbox = running()
    key = allow_node("gate-1")
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", settings.realm, CLOCK)
    now_ns = CLOCK.utc_ns()
    with Uplink(inbox.endpoint, load_station_key(settings.station_key).public, key, outbox, CLOCK) as uplink:
        outbox.put(OrderResult("o-0", True, "the greeting comes with the first message"))
        wait_for(lambda: outbox.depth == 0)
        wait_for(lambda: uplink._takes_pieces)
        outbox.put(
            Snapshot("gate-1", 3, now_ns, JPEG, Box(0, 0, 1, 1)),
            Footage("o-1", "gate-1", 0, 1, (FootageFrame(now_ns, JPEG), FootageFrame(now_ns + 1, JPEG[:90_000]))),
        )
        wait_for(lambda: outbox.depth == 0)
        assert uplink.counts.resent == 0 and uplink.counts.stray == 0 and uplink.counts.refused == 0
    outbox.close()
    assert rows(settings, "SELECT jpeg FROM snapshots") == [(JPEG,)]
    assert rows(settings, "SELECT order_id, part, parts FROM footage") == [("o-1", 0, 1)]
    assert [r[0] for r in rows(settings, "SELECT kind FROM arrivals ORDER BY id")] == ["order_result", "snapshot", "footage"]


def test_pieces_that_are_nonsense_are_refused_counted_and_hurt_nobody(running, settings, sender):
    running()
    node = sender("gate-1")
    odd = [Piece(1, 1, 10**9, 0, b"x"), Piece(1, 1, 4, 0, b"rubb")]
    for frame in (b"\xc1", b"\xc1\xff\xff", *map(encode_piece, odd)):
        node.raw(MAGIC, frame)
    wait_for(lambda: dict(rows(settings, "SELECT reason, count FROM refusals")) == {"does_not_parse": 3, "too_large": 1})
