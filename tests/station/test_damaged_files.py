"""A station started on files that are cut in half or overwritten: said in words, with the way back, and no traceback."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from station.access import ensure_administrator, list_people
from station.backup import FILES, back_up
from station.coverage_ledger import COVERAGE
from station.notifier import NOTICES
from station.record import Record
from station.settings import StationSettings
from station.store import INBOX, MIND, open_store
from wire.clock import WallClock

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "./trailwatch restore --config FILE --from BACKUP --aside"


def make_files(settings: StationSettings) -> None:
    """Every database of the station, by the program's own hands, with nothing left in a journal."""
    ensure_administrator(settings)
    Record(settings, WallClock()).close()
    schemas = dict(FILES)
    for name, schema in schemas.items():
        open_store(settings.data_dir / name, schema, settings.realm, WallClock()).close()
    assert {COVERAGE, NOTICES, INBOX, MIND} <= set(schemas.values())


def damage(path: Path, how: str) -> None:
    with sqlite3.connect(path) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "half" else b"\xa5" * 100 + data[100:])


@pytest.mark.parametrize("how", ["half", "header"])
def test_damaged_accounts_end_the_start_in_words_and_the_command_brings_them_back(settings, process, how) -> None:
    make_files(settings)
    backup = settings.data_dir.parent / "backups"
    back_up(settings, "test", backup, WallClock(), None)
    damage(settings.people_db, how)
    station = process(None)
    output, _ = station.child.communicate(timeout=60)
    assert station.child.returncode == 2, output
    assert "Traceback" not in output
    assert f"{settings.people_db}: " in output.splitlines()[-1]
    assert COMMAND in output.splitlines()[-1]
    made = next(p for p in backup.iterdir() if p.is_dir())
    done = subprocess.run(
        [sys.executable, str(ROOT / "ground_station.py"), "restore", "--config", str(settings.file), "--from", str(made),
         "--aside"], capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [p.name for p in list_people(settings)] == ["admin"]


@pytest.mark.parametrize("how", ["half", "header"])
@pytest.mark.parametrize(("only", "names"), [
    ("inbox", ["inbox.db"]), ("mind", ["mind.db"]), ("mind", ["coverage.db"]), ("mind", ["inbox.db", "mind.db"]),
    ("web", ["journal.db"]),
])
def test_another_damaged_file_is_named_with_the_command(settings, process, only, names, how) -> None:
    make_files(settings)
    for name in names:
        damage(settings.data_dir / name, how)
    station = process(only)
    watchdog = threading.Timer(60.0, station.child.kill)
    watchdog.start()
    output = ""
    for line in station.child.stdout:
        output += line
        if f"{settings.data_dir / names[0]}: " in line and COMMAND in line:
            break
    else:
        pytest.fail(f"{names} not named: {output}")
    watchdog.cancel()
    assert "Traceback" not in output + station.stop()[1]


@pytest.mark.parametrize("how", ["half", "header"])
def test_damaged_notices_end_the_notifiers_in_words(settings, process, how) -> None:
    make_files(settings)
    damage(settings.notices_db, how)
    notifiers = process("notify")
    output, _ = notifiers.child.communicate(timeout=60)
    assert notifiers.child.returncode == 2, output
    assert "Traceback" not in output
    assert f"{settings.notices_db}: " in output and COMMAND in output
