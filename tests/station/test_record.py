"""The record: whatever is done to the file, the first entry that suffered is named."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from station.record import Record, public_key_file, verify, write_once
from station.settings import StationSettings, load_station_settings
from wire.clock import SteppedClock, WallClock
from wire.settings import SettingsError


@pytest.fixture
def filled(settings: StationSettings) -> StationSettings:
    record = Record(settings, SteppedClock())
    for i in range(10):
        record.append("lan", "watchlist.looked", {"subject": f"S-{i:06d}"})
    record.close()
    return settings


def tampered(settings: StationSettings, change: Callable[[sqlite3.Connection], object]) -> str:
    """What verify says of a copy that somebody with the file, and without the key, has changed."""
    copy = settings.record_db.with_name("copy.db")
    shutil.copy(settings.record_db, copy)
    conn = sqlite3.connect(copy, isolation_level=None)
    for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        conn.execute(f"DROP TRIGGER {name}")
    change(conn)
    conn.close()
    return str(verify(copy, public_key_file(settings)))


def test_an_untouched_record_is_whole(filled: StationSettings) -> None:
    verdict = verify(filled.record_db, public_key_file(filled))
    assert (verdict.entries, verdict.broken) == (10, None)
    assert str(verdict).startswith("10 entries, unbroken; head ")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE entries SET person = 'minh' WHERE number = 4", "Broken after 3 good entries: entry 4 was changed"),
        ("UPDATE entries SET details = '{}' WHERE number = 1", "Broken after 0 good entries: entry 1 was changed"),
        ("UPDATE entries SET at_ns = at_ns + 1 WHERE number = 10", "Broken after 9 good entries: entry 10 was changed"),
        ("DELETE FROM entries WHERE number = 6", "Broken after 5 good entries: entry 6 is missing"),
        ("UPDATE entries SET signature = x'00' WHERE number = 3", "entry 3 was not signed by this station's key"),
        ("UPDATE entries SET previous = hash WHERE number = 8", "entry 8 does not follow on the one before it"),
    ],
)
def test_the_first_entry_that_suffered_is_named(filled: StationSettings, sql: str, said: str) -> None:
    assert said in tampered(filled, lambda conn: conn.execute(sql))


def test_an_entry_with_a_fresh_hash_and_no_key_is_found(filled: StationSettings) -> None:
    from station.record import _digest

    def forge(conn: sqlite3.Connection) -> None:
        number, at_ns, action, details, previous = conn.execute(
            "SELECT number, at_ns, action, details, previous FROM entries WHERE number = 10"
        ).fetchone()
        digest = _digest(number, at_ns, "nobody", action, details, previous)
        conn.execute("UPDATE entries SET person = 'nobody', hash = ? WHERE number = 10", (digest.hex(),))

    assert "entry 10 was not signed by this station's key" in tampered(filled, forge)


@pytest.mark.parametrize("sql", ["UPDATE entries SET person = 'x'", "DELETE FROM entries"])
def test_the_file_itself_refuses_changes(filled: StationSettings, sql: str) -> None:
    conn = sqlite3.connect(filled.record_db)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        conn.execute(sql)
    conn.close()


def _append_many(config: str, person: str) -> None:
    record = Record(load_station_settings(Path(config)), WallClock())
    for i in range(40):
        record.append(person, "test", {"i": i})
    record.close()


def test_several_processes_append_to_one_unbroken_chain_from_its_very_first_start(settings: StationSettings) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(str(settings.file), f"p{i}")) for i in range(3)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(60)
    assert [p.exitcode for p in processes] == [0, 0, 0]
    verdict = verify(settings.record_db, public_key_file(settings))
    assert (verdict.entries, verdict.broken) == (120, None)
    assert settings.record_key.stat().st_mode & 0o777 == 0o600


def test_a_lost_key_is_not_replaced(filled: StationSettings) -> None:
    filled.record_key.unlink()
    with pytest.raises(SettingsError, match="Put the key back from the backup"):
        Record(filled, SteppedClock())


def test_a_missing_file_is_said(settings: StationSettings, filled: StationSettings) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        verify(settings.data_dir / "no.db", public_key_file(settings))
    with pytest.raises(SettingsError, match="not a readable public key"):
        verify(settings.record_db, settings.data_dir / "no.pub")


def test_threads_that_write_a_key_at_once_all_find_the_one_that_won(tmp_path) -> None:
    """As when a page asks for both lanes of a watchlist that nobody has opened yet."""
    path = tmp_path / "watchlist.key"
    for _ in range(20):
        start = threading.Barrier(8)

        def write(content: bytes, start: threading.Barrier = start) -> bool:
            start.wait()
            return write_once(path, content)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(write, [bytes([i]) * 4000 for i in range(8)]))
        assert sum(won) == 1
        assert path.read_bytes() == bytes([won.index(True)]) * 4000
        assert [p.name for p in tmp_path.iterdir()] == [path.name]
        path.unlink()
