"""The store: born into one realm, never opened by the wrong program, and readable while it is written."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlite_utils import Database

from station.store import INBOX, MIND, Schema, StoreError, Synchronous, open_reader, open_store, transaction
from wire.clock import SteppedClock
from wire.units import Realm

T, L = Realm.TRAINING, Realm.LIVE


def _one(db: Database) -> None:
    db["things"].create({"id": int, "name": str}, pk="id")


def _two(db: Database) -> None:
    db["things"].add_column("size_m", float)


ONE, TWO = Schema("things", (_one,)), Schema("things", (_one, _two))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.db"


def test_a_store_of_the_other_realm_is_refused_in_words(path: Path) -> None:
    open_store(path, ONE, T, SteppedClock()).close()
    for opening in (lambda: open_store(path, ONE, L, SteppedClock()), lambda: open_reader(path, ONE, L)):
        with pytest.raises(StoreError) as refused:
            opening()
        assert "was born in the training realm, and these settings say live" in str(refused.value)
        assert "data_dir of its own" in str(refused.value)


def test_an_older_file_is_brought_up_to_date_with_its_content(path: Path) -> None:
    conn = open_store(path, ONE, T, SteppedClock())
    conn.execute("INSERT INTO things(id, name) VALUES (1, 'a')")
    born = conn.execute("SELECT value FROM meta WHERE key = 'born_ns'").fetchone()
    conn.close()
    conn = open_store(path, TWO, T, SteppedClock(utc_ns=1))
    assert conn.execute("SELECT id, name, size_m FROM things").fetchall() == [(1, "a", None)]
    assert conn.execute("SELECT value FROM meta WHERE key = 'born_ns'").fetchone() == born
    conn.close()


def test_a_newer_file_is_refused_in_words(path: Path) -> None:
    open_store(path, TWO, T, SteppedClock()).close()
    with pytest.raises(StoreError, match="schema 2 is newer than this program, which knows 1"):
        open_store(path, ONE, T, SteppedClock())


def test_a_reader_waits_for_the_owner_to_bring_the_file_up_to_date(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_reader(path, ONE, T)
    open_store(path, ONE, T, SteppedClock()).close()
    with pytest.raises(StoreError, match="start the process that owns the file first"):
        open_reader(path, TWO, T)


def test_a_file_of_another_purpose_or_of_another_program_is_refused(path: Path) -> None:
    open_store(path, INBOX, T, SteppedClock()).close()
    with pytest.raises(StoreError, match="holds inbox, not mind"):
        open_store(path, MIND, T, SteppedClock())
    path.unlink()
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE x (y)")
    with pytest.raises(StoreError, match="not a Trailwatch station's"):
        open_store(path, MIND, T, SteppedClock())
    path.write_bytes(b"no database at all, but long enough to look like something" * 50)
    with pytest.raises(StoreError, match=r"file is not a database"):
        open_store(path, MIND, T, SteppedClock())


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    def broken(db: Database) -> None:
        db["half"].create({"id": int})
        raise RuntimeError("stop")

    open_store(path, ONE, T, SteppedClock()).close()
    with pytest.raises(RuntimeError, match="stop"):
        open_store(path, Schema("things", (_one, broken)), T, SteppedClock())
    conn = open_store(path, ONE, T, SteppedClock())
    assert conn.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    assert conn.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == ("1",)
    conn.close()


def test_several_that_open_a_new_file_at_once_make_it_once(path: Path) -> None:
    errors: list[BaseException] = []

    def opening() -> None:
        try:
            open_store(path, TWO, T, SteppedClock(), busy_timeout_s=10.0).close()
        except (StoreError, sqlite3.Error) as error:
            errors.append(error)

    threads = [threading.Thread(target=opening) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []


def test_a_reader_cannot_write_and_does_not_block_the_writer(path: Path) -> None:
    conn = open_store(path, ONE, T, SteppedClock(), Synchronous.NORMAL)
    reader = open_reader(path, ONE, T)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM things").fetchone() == (0,)
    with transaction(conn):
        conn.execute("INSERT INTO things(name) VALUES ('a')")
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM things").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO things(name) VALUES ('b')")
    reader.close()
    conn.close()
    assert open_reader(path, ONE, T).execute("SELECT count(*) FROM things").fetchone() == (1,), "its owner is gone"


def test_the_append_only_tables_of_the_mind_refuse_changes(path: Path) -> None:
    conn = open_store(path, MIND, T, SteppedClock())
    conn.execute("INSERT INTO alarm_events VALUES ('A-1', 0, 'active', 1, 'system', '')")
    for sql in ("UPDATE alarm_events SET person = 'x'", "DELETE FROM alarm_events"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            conn.execute(sql)
    conn.close()
