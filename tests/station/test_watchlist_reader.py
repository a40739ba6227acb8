"""The list as matching holds it: what is approved now, whatever becomes of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.settings import StationSettings
from station.subjects import Category, Subject
from station.watchlist import approve_subject, delete_expired, expire_subject, report_subject
from station.watchlist_file import WATCHLIST, Draft, Watchlist, subject_id
from station.watchlist_index import SORT_AFTER, WatchlistIndex
from station.watchlist_reader import ListReader
from wire.clock import NS_PER_S, SteppedClock
from wire.units import GroundPosition

NOW = 1_780_000_000 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S


def draft(plate: str, days: float = 30.0) -> Draft:
    return Draft(Category.COURIER, f"owner of {plate}", "r", "l", "w", NOW + round(days * DAY_NS), (plate,))


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture
def writer(settings: StationSettings, clock) -> Iterator[Watchlist]:
    opened = Watchlist(settings, clock)
    yield opened
    opened.close()


@pytest.fixture
def reader(settings: StationSettings, clock, writer) -> Iterator[ListReader]:
    made = ListReader(settings, clock, load_sector(settings.sector).frame)
    yield made
    made.close()


def add(writer: Watchlist, *plates: str, days: float = 30.0) -> list[Subject]:
    return writer.approve(writer.add([draft(p, days) for p in plates], "lan"), "minh", lambda _: None)


def look(reader: ListReader, clock: SteppedClock) -> bool:
    clock.advance(11.0)
    return reader.look(clock.utc_ns())


def found(reader: ListReader, plate: str, now_ns: int) -> list[str]:
    subjects = [reader.find(n) for n in sorted(reader.numbers_of([plate]))]
    return [s.id for s in subjects if s is not None and s.matches_at(now_ns)]


def test_a_record_is_found_by_its_plate_its_look_alikes_and_with_one_character_lost(reader, writer, clock) -> None:
    add(writer, "74C-123.45", "75A-111.11")
    assert look(reader, clock)
    for read in ("74C12345", "74C-I23.45", "74CIZ345", "74C1234", "74C123945"):
        assert subject_id(1) in [subject_id(n) for n in reader.numbers_of([read])], read
    assert reader.numbers_of(["99X99999", ""]) == set()
    assert not reader.look(clock.utc_ns() + 2 * NS_PER_S), "nothing has changed"


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["approve", "expire", "wait", "add", "restart"]), min_size=1, max_size=12))
def test_approval_and_expiry_are_honoured_at_every_instant(settings, doings) -> None:
    """Whatever persons do, in whatever order: what the reader gives is what the list says at that moment."""
    settings.watchlist_db.unlink(missing_ok=True)
    for rest in ("-wal", "-shm"):
        settings.watchlist_db.with_name(settings.watchlist_db.name + rest).unlink(missing_ok=True)
    clock = SteppedClock(NOW)
    writer = Watchlist(settings, clock)
    frame = load_sector(settings.sector).frame
    reader = ListReader(settings, clock, frame)
    number = 0
    for doing in doings:
        subjects = writer.subjects()
        waiting = next((s for s in subjects if s.approved_by is None and s.expires_ns > clock.utc_ns()), None)
        approved = next((s for s in subjects if s.matches_at(clock.utc_ns())), None)
        if doing == "add":
            number += 1
            writer.add([draft(f"74C{number:05d}", days=0.001 * number)], "lan")
        elif doing == "approve" and waiting is not None:
            approve_subject(settings, "minh", waiting.id, clock)
        elif doing == "expire" and approved is not None:
            expire_subject(settings, "minh", approved.id, clock=clock)
        elif doing == "restart":
            reader.close()
            reader = ListReader(settings, clock, frame)
        reader.look_again()
        reader.look(clock.utc_ns())
        clock.advance(40.0)
        for subject in writer.subjects():
            expected = [subject.id] if subject.matches_at(clock.utc_ns()) else []
            assert found(reader, subject.plates[0], clock.utc_ns()) == expected
        assert reader.index.listed == sum(s.approved_by is not None for s in writer.subjects())
    reader.close()
    writer.close()


def test_a_change_is_picked_up_alone_and_not_with_the_whole_list(reader, writer, clock, monkeypatch) -> None:
    add(writer, *(f"74C{n:05d}" for n in range(500)))
    look(reader, clock)
    taken: list[int] = []
    take = WatchlistIndex.take
    monkeypatch.setattr(WatchlistIndex, "take", lambda self, rows: (taken.append(len(rows)), take(self, rows))[1])
    add(writer, "99Z-999.99")
    look(reader, clock)
    assert taken == [1]
    assert found(reader, "99Z99999", NOW) == ["S-000501"]


def test_what_was_deleted_for_good_is_found_no_more(settings, reader, writer, clock) -> None:
    add(writer, "74C-123.45", days=1)
    add(writer, "75A-111.11", days=300)
    report_subject(settings, "lan", "S-000001", NOW, NOW + 3600 * NS_PER_S, "Binh", "khe-da", clock=clock)
    look(reader, clock)
    clock.advance(40 * 86_400)
    assert delete_expired(settings, 30 * DAY_NS, clock) == (1, 1)
    assert delete_expired(settings, 30 * DAY_NS, clock) == (0, 0)
    look(reader, clock)
    assert reader.numbers_of(["74C12345"]) == set() and reader.find(1) is None
    assert found(reader, "75A11111", clock.utc_ns()) == ["S-000002"]
    action = sqlite3.connect(settings.record_db).execute("SELECT action, person FROM entries ORDER BY number").fetchall()
    assert action[-1] == ("watchlist.deleted", "system")


def test_reports_are_found_by_corridor_and_by_place(settings, reader, writer, clock) -> None:
    add(writer, "74C-123.45")
    where = GroundPosition(16.6214, 106.5915)
    report_subject(settings, "lan", "S-000001", NOW, NOW + 3600 * NS_PER_S, "Binh", "khe-da", clock=clock)
    report_subject(settings, "lan", "S-000001", NOW, NOW + 3600 * NS_PER_S, "Mai", None, where, 300.0, clock=clock)
    look(reader, clock)
    here = load_sector(settings.sector).frame.point(where)
    assert [r.reported_by for r in reader.reports_near(("khe-da",), here)] == ["Binh", "Mai"]
    assert [r.reported_by for r in reader.reports_near((), here + np.array([290.0, 0.0]))] == ["Mai"]
    assert reader.reports_near(("ben-song",), here + np.array([5000.0, 0.0])) == []
    (report,) = reader.reports_near((), here)
    assert reader.distance_m(report, here + np.array([30.0, 40.0])) == pytest.approx(50.0, abs=0.1)
    clock.advance(80 * 3600)
    reader.look(clock.utc_ns())
    assert reader.reports_near(("khe-da",), here) == [], "nothing that still arrives can be about them"


# ------------------------------------------------------------------------------------------------- when the file is ill


def test_a_record_that_somebody_tampered_with_is_kept_as_it_was_and_said(settings, reader, writer, clock) -> None:
    add(writer, "74C-123.45", "75A-111.11")
    look(reader, clock)
    conn = sqlite3.connect(settings.watchlist_db)
    good = conn.execute("SELECT sealed FROM subjects WHERE number = 1").fetchone()[0]
    conn.execute("UPDATE subjects SET sealed = (SELECT sealed FROM subjects WHERE number = 2) WHERE number = 1")
    conn.commit()
    look(reader, clock)
    assert found(reader, "74C12345", NOW) == ["S-000001"], "the list of before goes on"
    assert "record S-000001 does not open" in reader.trouble
    assert found(reader, "75A11111", NOW) == ["S-000002"]
    conn.execute("UPDATE subjects SET sealed = ? WHERE number = 1", (good,))
    conn.commit()
    conn.close()
    look(reader, clock)
    assert reader.trouble == ""


def test_a_file_that_is_damaged_while_it_is_open_leaves_the_list_of_before(settings, reader, writer, clock) -> None:
    add(writer, *(f"74C{n:05d}" for n in range(200)))
    look(reader, clock)
    writer._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = settings.watchlist_db.stat().st_size
    with settings.watchlist_db.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (size - 4096))
    # Another process's commit makes the reader look at the disk again.
    reader._list._db.execute("PRAGMA shrink_memory")
    clock.advance(11.0)
    reader._version = -1
    reader.look(clock.utc_ns())
    assert reader.trouble
    assert found(reader, "74C00007", NOW) == ["S-000008"]


def test_a_file_that_is_broken_at_the_start_is_said_and_a_restored_one_is_taken_up(settings, clock) -> None:
    writer = Watchlist(settings, clock)
    add(writer, "74C-123.45")
    writer._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.close()
    good = settings.watchlist_db.read_bytes()
    settings.watchlist_db.write_bytes(b"not a database at all" * 500)
    reader = ListReader(settings, clock, load_sector(settings.sector).frame)
    look(reader, clock)
    assert reader.trouble and reader.numbers_of(["74C12345"]) == set()
    settings.watchlist_db.write_bytes(good)
    look(reader, clock)
    assert reader.trouble == ""
    assert found(reader, "74C12345", NOW) == ["S-000001"]
    reader.close()


def test_a_locked_file_is_read_all_the_same(settings, reader, writer, clock) -> None:
    add(writer, "74C-123.45")
    lock = sqlite3.connect(settings.watchlist_db, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    look(reader, clock)
    assert found(reader, "74C12345", NOW) == ["S-000001"]
    lock.execute("ROLLBACK")
    lock.close()


def test_a_list_without_its_key_is_said_and_does_not_stop_the_reader(settings, clock) -> None:
    writer = Watchlist(settings, clock)
    add(writer, "74C-123.45")
    writer.close()
    settings.watchlist_key.unlink()
    reader = ListReader(settings, clock, load_sector(settings.sector).frame)
    look(reader, clock)
    assert "Put the key back from the backup" in reader.trouble
    reader.close()


def test_a_file_of_the_first_schema_is_brought_up_to_date_and_its_plates_are_found(settings, clock) -> None:
    writer = Watchlist(settings, clock)
    add(writer, "74C-123.45")
    writer.close()
    conn = sqlite3.connect(settings.watchlist_db)
    old = conn.execute("SELECT id, sealed, changed_ns FROM subjects").fetchall()
    conn.executescript(
        "DROP TABLE subjects; DROP TABLE reports; DROP TABLE weights; DROP TABLE weights_events;"
        "DELETE FROM meta WHERE key = 'deletions'; UPDATE meta SET value = '1' WHERE key = 'schema';"
        "CREATE TABLE subjects (id TEXT PRIMARY KEY, sealed BLOB, changed_ns INTEGER);"
        "CREATE TABLE reports (id TEXT PRIMARY KEY, subject TEXT, sealed BLOB, made_ns INTEGER);"
    )
    conn.executemany("INSERT INTO subjects VALUES (?, ?, ?)", old)
    conn.commit()
    conn.close()
    assert len(WATCHLIST.migrations) >= 2
    reader = ListReader(settings, clock, load_sector(settings.sector).frame)
    look(reader, clock)
    assert (reader.trouble, reader.index.listed) == ("", 1)
    assert found(reader, "74CI2345", NOW) == ["S-000001"]
    reader.close()


# ------------------------------------------------------------------------------------------------------------- the index

@given(st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.lists(st.integers(0, 20), max_size=3)), max_size=40),
       st.integers(1, 5))
def test_an_index_finds_every_record_by_every_key_however_it_came(changes, parts) -> None:
    """A key of before may still lead to its record, which then decides; what is there now is always found."""
    rows = [
        (number, i + 1, int(approved), b"".join(k.to_bytes(8, "little") for k in keys))
        for i, (number, approved, keys) in enumerate(changes)
    ]
    index = WatchlistIndex()
    for k in range(parts):
        index.take(rows[k * len(rows) // parts : (k + 1) * len(rows) // parts])
    now = {number: (approved, keys) for number, approved, keys in changes}
    for number, (_, keys) in now.items():
        for key in keys:
            assert number in index.find([key])
    ever = {(number, key) for number, _, keys in changes for key in keys}
    assert all((n, key) in ever for key in range(21) for n in index.find([key]))
    assert index.listed == sum(approved for approved, _ in now.values()) and index.records == len(now)


def test_an_index_sorted_and_one_in_parts_say_the_same() -> None:
    chance = np.random.default_rng(2)
    keys = chance.integers(0, 2**63, SORT_AFTER + 10, dtype=np.uint64)
    rows = [(i + 1, 1, 1, int(k).to_bytes(8, "little")) for i, k in enumerate(keys.tolist())]
    whole, parts = WatchlistIndex(), WatchlistIndex()
    whole.take(rows)
    for begin in range(0, len(rows), 7000):
        parts.take(rows[begin : begin + 7000])
    wanted = [int(k) for k in keys[:200]]
    assert whole.find(wanted) == parts.find(wanted) == list(range(1, 201))
