"""A database that is damaged, locked or full: nothing ends, nothing is acknowledged that was not written, and it is said."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
import zmq

from station.mind import Mind
from station.mind_process import MindServer
from station.picture import AlarmState, ChangeAlarm, GetPicture, Picture, Refused
from station.store import MIND, NOTICE_TROUBLE, StoreError, open_or_read, open_store, quick_check
from tests.station.conftest import SECTOR, frame_of, point_detection
from tests.station.stored import NOW_NS, a_contact, an_alarm, fill_mind
from tests.station.test_inbox import Running
from wire.clock import SteppedClock, WallClock
from wire.units import GroundPosition, Realm

T = Realm.TRAINING
PLACE = GroundPosition(16.6211, 106.5915)


def many_contacts(settings) -> None:
    fill_mind(settings, [a_contact(k, [(16.6, 106.6)] * 40, at_ns=NOW_NS + k) for k in range(1, 200)], [an_alarm(1)])


def damage(path: Path) -> None:
    """Overwrite pages in the middle; the first pages, with the schema, stay."""
    with sqlite3.connect(path) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8 * 4096] = b"\xa5" * (8 * 4096)
    path.write_bytes(data)


def test_a_damaged_file_opens_for_reading_says_so_and_takes_nothing(settings) -> None:
    many_contacts(settings)
    damage(settings.mind_db)
    conn = open_or_read(settings.mind_db, MIND, T, SteppedClock())
    assert "mind.db: damaged: " in conn.trouble and "trailwatch restore" in conn.trouble
    assert not conn.stand_in
    assert conn.execute("SELECT arrival FROM place").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("UPDATE place SET arrival = 1")
    conn.close()


def test_a_whole_file_has_no_trouble_and_a_check_that_finds_no_time_says_nothing(settings) -> None:
    many_contacts(settings)
    conn = open_or_read(settings.mind_db, MIND, T, SteppedClock())
    assert (conn.trouble, conn.stand_in) == ("", False)
    assert quick_check(conn, WallClock(), within_s=-1.0) == ""
    conn.execute("UPDATE place SET arrival = 1")
    conn.close()


def test_where_nothing_can_be_read_an_empty_one_in_memory_stands_in_and_takes_nothing(tmp_path) -> None:
    path = tmp_path / "mind.db"
    path.write_bytes(b"no database at all " * 1000)
    conn = open_or_read(path, MIND, T, SteppedClock())
    assert conn.stand_in and "file is not a database" in conn.trouble
    assert conn.execute("SELECT count(*) FROM contacts").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("UPDATE place SET arrival = 1")
    conn.close()
    assert path.read_bytes() == b"no database at all " * 1000, "what may still be saved is left alone"


def test_a_locked_file_opens_and_writes_once_the_lock_is_gone(settings) -> None:
    fill_mind(settings)
    other = sqlite3.connect(settings.mind_db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    conn = open_or_read(settings.mind_db, MIND, T, SteppedClock(), busy_timeout_s=0.1)
    assert "locked" in conn.trouble and not conn.stand_in
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        conn.execute("UPDATE place SET arrival = 1")
    other.execute("ROLLBACK")
    conn.execute("UPDATE place SET arrival = 1")
    conn.close()
    other.close()


def test_a_file_of_the_other_realm_is_refused_however_it_is_opened(settings) -> None:
    fill_mind(settings)
    with pytest.raises(StoreError, match="born in the training realm"):
        open_or_read(settings.mind_db, MIND, Realm.LIVE, SteppedClock())


def test_a_full_disk_acknowledges_nothing_tells_the_mind_and_loses_nothing(settings, sender) -> None:
    running = Running(settings)
    notices = zmq.Context.instance().socket(zmq.SUB)
    notices.subscribe(b"")
    notices.connect(settings.inbox_notice)
    try:
        node = sender()
        pages = running.inbox._db.execute("PRAGMA page_count").fetchone()[0]
        running.inbox._db.execute(f"PRAGMA max_page_count = {pages}")       # SQLite's own "database or disk is full"
        for _ in range(200):
            node.send(frame_of("gate-1", time.time_ns(), *(point_detection(PLACE, track=t) for t in range(10))))
        node.listen(1.5)
        refused_at = len(node.acknowledged)
        assert node.waiting, "acknowledged, and there was no room"
        told = b""
        until = time.monotonic() + 5
        while not told.startswith(NOTICE_TROUBLE) and time.monotonic() < until:
            if notices.poll(100):
                told = notices.recv()
        assert told == NOTICE_TROUBLE + b"database or disk is full"
        running.inbox._db.execute("PRAGMA max_page_count = 1000000")
        node.again()
        node.listen(5)
        assert len(node.acknowledged) >= 200 > refused_at and not node.waiting
    finally:
        notices.close(0)
        running.stop()
    assert running.error is None
    with sqlite3.connect(settings.inbox_db) as conn:
        assert conn.execute("SELECT count(*) FROM arrivals").fetchone() == (200,)


def run_mind(settings) -> MindServer:
    from geofences.sector import load_sector

    clock = WallClock()
    return MindServer(settings, Mind(settings, load_sector(SECTOR), clock), clock)


def picture_of(server: MindServer) -> Picture:
    for _ in range(5):
        server.turn()
    answer = server._mind.answer(GetPicture())
    assert isinstance(answer, Picture)
    return answer


@pytest.mark.parametrize("how", [damage, lambda path: path.write_bytes(b"nothing " * 5000)])
def test_a_mind_whose_file_is_broken_goes_on_says_so_and_takes_no_decision(settings, how) -> None:
    many_contacts(settings)
    how(settings.mind_db)
    server = run_mind(settings)
    try:
        alarms = {a.rule: a for a in picture_of(server).alarms}
        assert alarms["store_trouble"].says.params["file"] == "mind.db"
        assert alarms["store_trouble"].priority == 2
        refused = server._reply(_encoded(ChangeAlarm(alarms["store_trouble"].id, AlarmState.ACKNOWLEDGED, "lan")))
        assert isinstance(refused, Refused) and refused.says.key == "ask.refused.not_stored"
        assert {a.id: a.state for a in picture_of(server).alarms}[alarms["store_trouble"].id] is AlarmState.ACTIVE
    finally:
        server.close()
        server._mind.close()


def _encoded(request) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(request)


def test_a_mind_that_can_read_nothing_of_before_judges_what_comes_and_nothing_twice(settings) -> None:
    from tests.station.stored import fill_inbox

    fill_mind(settings)
    fill_inbox(settings, *((NOW_NS, frame_of("gate", NOW_NS, point_detection(PLACE))) for _ in range(3)))
    settings.mind_db.write_bytes(b"nothing " * 5000)
    server = run_mind(settings)
    try:
        assert server._mind.place == 3
    finally:
        server.close()
        server._mind.close()


def test_trouble_of_the_disk_becomes_an_alarm_in_the_mind_and_is_over_when_it_is_over(settings) -> None:
    fill_mind(settings)
    server = run_mind(settings)
    try:
        locker = sqlite3.connect(settings.mind_db, isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        server._mind._db.execute("PRAGMA busy_timeout = 50")
        server._mind.store_trouble("inbox.db", "database or disk is full")      # as the inbox's notice says it
        picture = picture_of(server)
        assert {a.says.params["file"] for a in picture.alarms if a.rule == "store_trouble"} == {"inbox.db", "mind.db"}
        locker.execute("ROLLBACK")
        locker.close()
        server._mind.store_trouble("inbox.db", "")
        picture = picture_of(server)
        assert all(a.events[-1].reason == "recovered" for a in picture.alarms if a.rule == "store_trouble")
        server._mind.commit(force=True)
        with sqlite3.connect(settings.mind_db) as conn:
            assert conn.execute("SELECT count(*) FROM alarms WHERE rule = 'store_trouble'").fetchone() == (2,)
    finally:
        server.close()
        server._mind.close()


def test_open_store_itself_stays_strict(settings) -> None:
    settings.mind_db.write_bytes(b"nothing " * 5000)
    with pytest.raises(StoreError, match="a damaged file must be restored"):
        open_store(settings.mind_db, MIND, T, SteppedClock())
