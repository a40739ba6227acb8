"""Files of older programs open with all their rows: each is made here by the migrations of that day."""

from __future__ import annotations

import gzip
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from station.access import open_people
from station.backup import FILES
from station.memory import load
from station.picture import AlarmState, GetPicture
from station.store import INBOX, MIND, Schema, StoreError, open_or_read, open_reader, open_store, transaction
from wire.clock import SteppedClock
from wire.units import Realm

T = Realm.TRAINING


def at_version(schema: Schema, version: int) -> Schema:
    return Schema(schema.purpose, schema.migrations[:version])


def a_contact_of_schema_1(number: int) -> bytes:
    """As the first program wrote it: without the fields that came later."""
    return msgspec.msgpack.encode({
        "number": number, "group": "vehicle", "mean": [1.0, 2.0, 0.0, 0.0], "covariance": [1.0] * 16, "at_ns": 50,
        "first_seen_ns": 10, "last_seen_ns": 50, "last_received_ns": 60, "detections": 7, "score_sum": 5.0,
        "simulated": True, "votes": {"car": 5.0}, "plates": {"74C-123.45": 3, "74C-123.4S": 3}, "sights": {},
        "tracks": {"cam-1/1/gate/4": 50}, "apart": [], "why": [], "visits": {"khe-da": {"last_inside_ns": 50, "alarm": 1}},
        "corridors": ["ben-song"], "snapshot": None, "ended_ns": None, "merged_into": None,
    })


def an_old_mind(path: Path) -> None:
    conn = open_store(path, at_version(MIND, 1), T, SteppedClock())
    with transaction(conn):
        conn.execute(
            "INSERT INTO contacts VALUES ('C-000007', ?, 0, 'car', 10, 50, 16.62, 106.59, 7, NULL)",
            (a_contact_of_schema_1(7),),
        )
        conn.executemany("INSERT INTO trail VALUES ('C-000007', ?, ?, ?)", [(10, 16.62, 106.59), (50, 16.63, 106.60)])
        conn.execute("INSERT INTO alarm_events VALUES ('A-000001', 0, 'active', 11, 'system', '')")
        conn.execute("INSERT INTO match_decisions VALUES ('M-000001', 0, 'rejected', 12, 'lan', 'not her')")
        conn.execute("UPDATE place SET arrival = 41")
    conn.close()


def test_a_mind_of_schema_1_opens_with_its_rows_and_they_are_found_by_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "mind.db"
    an_old_mind(path)
    with pytest.raises(StoreError, match="start the process that owns the file first"):
        open_reader(path, MIND, T)
    conn = open_store(path, MIND, T, SteppedClock())
    assert conn.execute("SELECT plate, simulated FROM contacts WHERE id = 'C-000007'").fetchone() == ("74C-123.4S", 1)
    assert {r[0] for r in conn.execute("SELECT corridor FROM contact_corridors")} == {"khe-da", "ben-song"}
    assert conn.execute("SELECT track FROM contact_tracks").fetchone() == ("cam-1/1/gate/4",)
    south, north, west, east = conn.execute(
        "SELECT min_lat, max_lat, min_lon, max_lon FROM contact_place WHERE id = 7"
    ).fetchone()
    assert south <= 16.62 and north >= 16.63 and west <= 106.59 and east >= 106.60
    assert (north - south, east - west) == pytest.approx((0.01, 0.01), abs=1e-4)
    remembered = load(conn, 0, 0)
    assert remembered.place == 41
    assert [(c.id, c.plate, len(c.trail)) for c in remembered.contacts] == [("C-000007", "74C-123.4S", 2)]
    conn.close()


def test_what_is_append_only_stays_so_but_for_what_retention_names(tmp_path: Path) -> None:
    path = tmp_path / "mind.db"
    an_old_mind(path)
    conn = open_store(path, MIND, T, SteppedClock())
    for table, owner in (("alarm_events", "alarm"), ("match_decisions", "match")):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            conn.execute(f"DELETE FROM {table}")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            conn.execute(f"UPDATE {table} SET person = 'x'")
        with transaction(conn):
            conn.execute(f"INSERT INTO erasing SELECT {owner} FROM {table}")
            conn.execute(f"DELETE FROM {table}")
            conn.execute("DELETE FROM erasing")
    conn.close()


def test_an_inbox_of_every_older_schema_opens_with_its_rows(tmp_path: Path) -> None:
    for version in range(1, len(INBOX.migrations)):
        path = tmp_path / f"inbox-{version}.db"
        conn = open_store(path, at_version(INBOX, version), T, SteppedClock())
        with transaction(conn):
            conn.execute("INSERT INTO arrivals VALUES (1, 'cam-1', 1, 0, 'detections', 100, NULL, x'00')")
            conn.execute(
                "INSERT INTO detections VALUES (1, 0, 'gate', 90, 4, 'car', 0.9, 1, 16.6, 106.5, 1, 0, 1, NULL, NULL, "
                "'[\"khe-da\"]', '74C-123.45')"
            )
            conn.execute("INSERT INTO snapshots VALUES (1, 'cam-1', 'gate', 4, 90, '[]', x'ffd8')")
        conn.close()
        conn = open_store(path, INBOX, T, SteppedClock())
        assert conn.execute("SELECT plate FROM detections WHERE captured_ns = 90").fetchone() == ("74C-123.45",)
        assert conn.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        conn.close()


def test_a_file_of_a_newer_program_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mind.db"
    newer = Schema("mind", (*MIND.migrations, lambda db: db["news"].create({"id": int}, pk="id")))
    open_store(path, newer, T, SteppedClock()).close()
    before = path.read_bytes()
    for opening in (lambda: open_store(path, MIND, T, SteppedClock()), lambda: open_reader(path, MIND, T)):
        with pytest.raises(StoreError) as refused:
            opening()
        text = str(refused.value)
        assert f"schema {len(newer.migrations)} is newer than this program, which knows {len(MIND.migrations)}" in text
        assert "Start the newer Trailwatch that wrote it" in text
    assert path.read_bytes() == before


@hypothesis_settings(deadline=None)     # it makes files, and the disk takes its time
@given(st.integers(0, len(MIND.migrations)), st.integers(0, len(MIND.migrations)))
def test_the_road_to_the_newest_schema_may_be_gone_in_steps(tmp_path_factory, first: int, second: int) -> None:
    """Whatever versions a file stops at, its schema comes out the same as that of a new file."""
    folder = tmp_path_factory.mktemp("steps")

    def schema_of(*versions: int) -> list[tuple[str, str]]:
        path = folder / f"{'-'.join(map(str, versions))}.db"
        for version in versions:
            open_store(path, at_version(MIND, version), T, SteppedClock()).close()
        with sqlite3.connect(path) as conn:
            return sorted(conn.execute("SELECT name, coalesce(sql, '') FROM sqlite_master"))

    newest = len(MIND.migrations)
    assert schema_of(*sorted((first, second)), newest) == schema_of(newest)


# ------------------------------------------------------------------------------- files that the first program wrote itself

OLD = Path(__file__).parent / "old_files"


def an_old_file(name: str, to: Path) -> Path:
    """A file of commit 1188028 (25 November 2026): its own inbox and mind, running, saw a walker and a car with a plate."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(gzip.decompress((OLD / f"{name}-1.db.gz").read_bytes()))
    return to


def test_a_whole_station_of_the_first_program_goes_on_under_this_one(settings, process, ask) -> None:
    """Nothing is asked again, nobody is alarmed twice, and what was new since then finds what is old."""
    an_old_file("inbox", settings.inbox_db)
    an_old_file("mind", settings.mind_db)
    process("inbox")
    process("mind")
    until = time.monotonic() + 30
    while True:
        picture = ask(GetPicture())
        if any(a.state is AlarmState.ESCALATED for a in picture.alarms):
            break
        assert time.monotonic() < until, "an alarm that was unanswered goes to the supervisor"
        time.sleep(0.2)
    entries = {a.id: a for a in picture.alarms if a.rule == "corridor_entry"}
    assert set(entries) == {"A-000001", "A-000002"}
    assert entries["A-000001"].state is AlarmState.ACKNOWLEDGED
    assert entries["A-000002"].state is AlarmState.ESCALATED, "it was unanswered for all that time"
    with sqlite3.connect(settings.mind_db) as mind:
        assert mind.execute("SELECT id, plate FROM contacts ORDER BY id").fetchall() == [
            ("C-000001", None), ("C-000002", "74C-123.45")
        ]
        assert mind.execute("SELECT count(*) FROM contact_place").fetchone() == (2,)
        assert {c for (c,) in mind.execute("SELECT contact FROM alarm_contacts")} == {"C-000001", "C-000002"}
        events = mind.execute("SELECT alarm, state, person FROM alarm_events").fetchall()
        assert ("A-000001", "acknowledged", "lan") in events
    with sqlite3.connect(settings.inbox_db) as inbox:
        assert inbox.execute("SELECT count(*) FROM detections WHERE plate = '74C-123.45'").fetchone() == (20,)
        (jpeg,) = inbox.execute("SELECT jpeg FROM snapshots").fetchone()
        assert jpeg.startswith(b"\xff\xd8\xffold")


def test_people_of_the_first_program_log_in_and_may_have_tokens(settings) -> None:
    an_old_file("people", settings.people_db)
    people = open_people(settings)
    assert people.log_in("lan", "mot cau de nho", "here").person.name == "lan"
    token = people.make_token("lan", "wall", 1.0)
    session = people.token_session(token)
    assert session is not None and session.csrf == ""
    people.close()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f[0])
def test_every_file_opens_at_every_older_version_and_refuses_a_newer_one(tmp_path: Path, file) -> None:
    name, schema = file
    for version in range(len(schema.migrations)):
        path = tmp_path / f"{version}-{name}"
        open_store(path, at_version(schema, version), T, SteppedClock()).close()
        conn = open_store(path, schema, T, SteppedClock())
        assert conn.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (str(len(schema.migrations)),)
        conn.close()
    newer = Schema(schema.purpose, (*schema.migrations, lambda db: db["news"].create({"id": int}, pk="id")))
    path = tmp_path / name
    open_store(path, newer, T, SteppedClock()).close()
    before = path.read_bytes()
    for opening in (open_store, open_or_read):
        with pytest.raises(StoreError, match="is newer than this program, which knows"):
            opening(path, schema, T, SteppedClock())
    assert path.read_bytes() == before
