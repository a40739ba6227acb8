"""Backups of a station that runs under load, killed in the middle, and put back; nothing that is there is overwritten."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from station.access import Role, add_person, open_people
from station.backup import FILES, MANIFEST, back_up
from station.own_key import ensure_station_key
from station.picture import GetPicture
from station.restore import restore
from station.settings import load_station_settings
from station.store import INBOX, MIND, Schema, StoreError, open_store
from tests.station.conftest import ROOT, frame_of, point_detection, write_station
from tests.station.stored import a_contact, an_alarm, fill_mind
from wire.clock import SteppedClock, WallClock
from wire.messages import Box, Snapshot
from wire.units import GroundPosition

PLACE = GroundPosition(16.62, 106.59)
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 40


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "ground_station.py"), *map(str, words)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture
def filled(settings):
    """A station that stands still, with a person, an alarm with its contact, and a picture."""
    add_person(settings, "lan", Role.SUPERVISOR, "mot cau de nho")
    walker = a_contact(1, [(16.62, 106.59), (16.63, 106.60)], plate="74C-123.45")
    fill_mind(settings, [walker], [an_alarm(1, walker)])
    with contextlib.closing(open_store(settings.inbox_db, INBOX, settings.realm, SteppedClock())) as inbox:
        inbox.execute("INSERT INTO arrivals VALUES (7, 'cam-1', 1, 0, 'snapshot', 100, NULL, x'00')")
        inbox.execute("INSERT INTO snapshots VALUES (7, 'cam-1', 'gate-1', 1, 0, '[]', ?)", [JPEG])
    return settings


def elsewhere(tmp: Path, settings):
    """Settings of another machine, that has nothing yet."""
    folder = tmp / "other"
    folder.mkdir()
    return load_station_settings(write_station(folder, settings.realm.value))


def rows(path: Path, question: str):
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return conn.execute(question).fetchall()


def test_a_station_comes_back_on_another_machine_with_pictures_people_and_record(filled, station_folder) -> None:
    keys = station_folder / "keys"
    made = back_up(filled, "lan", station_folder / "backups", WallClock(), keys)
    assert not [p for p in made.folder.iterdir() if p.suffix == ".key"], "no secret in the backup"
    assert {oct(p.stat().st_mode)[-3:] for p in [*made.folder.iterdir(), *keys.iterdir()]} == {"600"}
    other = elsewhere(station_folder, filled)
    with pytest.raises(StoreError, match="--keys-from"):
        restore(other, "lan", made.folder, WallClock())
    assert not other.data_dir.exists()
    said = restore(other, "lan", made.folder, WallClock(), keys)
    assert said.before is None and "log in again" in str(said)
    assert rows(other.inbox_db, "SELECT jpeg FROM snapshots") == [(JPEG,)]
    assert rows(other.mind_db, "SELECT id, plate FROM contacts") == [("C-000001", "74C-123.45")]
    assert rows(other.mind_db, "SELECT count(*) FROM contact_place") == [(1,)], "the R-tree came along"
    people = open_people(other)
    assert people.log_in("lan", "mot cau de nho", "here").person.role is Role.SUPERVISOR
    people.close()
    verified = command("record", "--config", other.file, "verify")
    assert verified.returncode == 0, verified.stdout
    assert [a for (a,) in rows(other.record_db, "SELECT action FROM entries")] == ["store.backed_up", "store.restored"]
    ensure_station_key(other)
    assert other.station_key.read_bytes() == filled.station_key.read_bytes(), "the nodes know it again"


def test_base_map_and_own_layers_come_back_and_what_was_only_looked_at_does_not(filled, station_folder) -> None:
    maps = filled.data_dir / "basemap"
    for name in ("vector.pmtiles", "own/L-0123abcd/layer.json", "own/.staged/77/checked.json"):
        (maps / name).parent.mkdir(parents=True, exist_ok=True)
        (maps / name).write_bytes(name.encode())
    keys = station_folder / "keys"
    made = back_up(filled, "lan", station_folder / "backups", WallClock(), keys)
    other = elsewhere(station_folder, filled)
    restore(other, "lan", made.folder, WallClock(), keys)
    there = [p for p in other.basemap_dir.rglob("*") if p.is_file()]
    found = {p.relative_to(other.basemap_dir).as_posix(): p.read_bytes() for p in there}
    assert found == {n: n.encode() for n in ("vector.pmtiles", "own/L-0123abcd/layer.json")}


@pytest.mark.parametrize("name", ["../mind.db", "/etc/passwd", "basemap/../../x", "other/x", "basemap/.staged/x", ""])
def test_a_manifest_that_points_out_of_its_folder_is_refused(filled, station_folder, name) -> None:
    made = back_up(filled, "lan", station_folder / "backups", WallClock())
    manifest = msgspec.json.decode((made.folder / MANIFEST).read_bytes())
    manifest["files"].append({"name": name, "bytes": 0, "sha256": "0"})
    (made.folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    other = elsewhere(station_folder, filled)
    with pytest.raises(StoreError, match="missing from the backup"):
        restore(other, "lan", made.folder, WallClock(), filled.data_dir)
    assert not other.data_dir.exists()


def test_a_session_of_before_is_none_after_a_restore(filled, station_folder) -> None:
    people = open_people(filled)
    session = people.log_in("lan", "mot cau de nho", "here")
    people.close()
    made = back_up(filled, "lan", station_folder / "backups", WallClock(), station_folder / "keys")
    other = elsewhere(station_folder, filled)
    restore(other, "lan", made.folder, WallClock(), station_folder / "keys")
    people = open_people(other)
    assert people.session(session.token) is None
    people.close()


def test_a_store_that_is_there_is_not_overwritten_and_stays_when_it_is_moved_aside(filled, station_folder) -> None:
    made = back_up(filled, "lan", station_folder / "backups", WallClock())
    with contextlib.closing(open_store(filled.mind_db, MIND, filled.realm, SteppedClock())) as mind:
        mind.execute("UPDATE place SET arrival = 41")
    with pytest.raises(StoreError, match="Nothing is overwritten: with --aside"):
        restore(filled, "lan", made.folder, WallClock())
    assert rows(filled.mind_db, "SELECT arrival FROM place") == [(41,)]
    said = restore(filled, "lan", made.folder, WallClock(), aside=True)
    assert rows(filled.mind_db, "SELECT arrival FROM place") == [(0,)]
    assert said.before is not None and rows(said.before / "mind.db", "SELECT arrival FROM place") == [(41,)]


def test_a_file_that_somebody_has_open_is_left_alone_also_with_aside(filled, station_folder) -> None:
    made = back_up(filled, "lan", station_folder / "backups", WallClock())
    with contextlib.closing(open_store(filled.mind_db, MIND, filled.realm, SteppedClock())) as mind:
        mind.execute("SELECT count(*) FROM contacts").fetchone()
        with pytest.raises(StoreError, match="a process has it open"):
            restore(filled, "lan", made.folder, WallClock(), aside=True)
    assert restore(filled, "lan", made.folder, WallClock(), aside=True).before is not None


@pytest.mark.parametrize("file", ["mind.db", "inbox.db", "record.db", "nodes.toml"])
def test_one_byte_that_is_another_is_noticed_before_anything_is_touched(filled, station_folder, file) -> None:
    filled.nodes_file.write_text("# none yet\n")
    made = back_up(filled, "lan", station_folder / "backups", WallClock(), station_folder / "keys")
    content = bytearray((made.folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (made.folder / file).write_bytes(content)
    other = elsewhere(station_folder, filled)
    with pytest.raises(StoreError, match="its SHA-256 is another"):
        restore(other, "lan", made.folder, WallClock(), station_folder / "keys")
    assert not other.data_dir.exists()


def test_a_damaged_file_is_not_backed_up_as_if_it_were_whole(filled, station_folder) -> None:
    with contextlib.closing(open_store(filled.mind_db, MIND, filled.realm, SteppedClock())) as mind:
        for i in range(400):
            mind.execute("INSERT INTO contacts(id, state, ended) VALUES (?, zeroblob(900), 0)", (f"X-{i}",))
        mind.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        mind.execute("PRAGMA journal_mode = DELETE")
    with filled.mind_db.open("r+b") as file:
        file.seek(4096 * 40)
        file.write(b"\xa5" * 4096 * 20)
    with pytest.raises(StoreError, match=r"mind\.db"):
        back_up(filled, "lan", station_folder / "backups", WallClock())
    assert list((station_folder / "backups").iterdir()) == [], "there is no new backup, and no half of one"


def test_a_backup_of_a_newer_program_or_the_other_realm_is_refused_in_words(filled, station_folder) -> None:
    newer = Schema("mind", (*MIND.migrations, lambda db: db["news"].create({"id": int}, pk="id")))
    made = back_up(filled, "lan", station_folder / "backups", WallClock(), station_folder / "keys")
    live = station_folder / "live"
    live.mkdir()
    with pytest.raises(StoreError, match=r"of the training realm, and .* says live"):
        restore(load_station_settings(write_station(live, "live")), "lan", made.folder, WallClock(), station_folder / "keys")
    open_store(filled.mind_db, newer, filled.realm, SteppedClock()).close()
    with pytest.raises(StoreError, match="newer than this program"):
        back_up(filled, "lan", station_folder / "later", WallClock())


def test_keys_of_another_station_are_not_overwritten(filled, station_folder) -> None:
    keys = station_folder / "keys"
    keys.mkdir()
    (keys / "station.key").write_text("another")
    with pytest.raises(StoreError, match="key of another station"):
        back_up(filled, "lan", station_folder / "backups", WallClock(), keys)
    assert (keys / "station.key").read_text() == "another"


def test_a_backup_that_was_killed_is_none(filled, station_folder) -> None:
    with contextlib.closing(open_store(filled.inbox_db, INBOX, filled.realm, SteppedClock())) as inbox:
        inbox.execute("BEGIN")
        for i in range(8, 700):
            inbox.execute("INSERT INTO arrivals VALUES (?, 'cam-1', 1, ?, 'snapshot', 100, NULL, zeroblob(100000))", (i, i))
        inbox.execute("COMMIT")
    to = station_folder / "backups"
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "backup", "--config", str(filled.file), "--to", str(to)], cwd=ROOT,
    )
    until = time.monotonic() + 60
    while not list(to.glob("*.partial/inbox.db")):
        assert child.poll() is None and time.monotonic() < until
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (left,) = to.iterdir()
    assert left.suffix == ".partial" and not (left / MANIFEST).exists()
    with pytest.raises(StoreError, match="no backup, or one that was cut off"):
        restore(filled, "lan", left, WallClock(), aside=True)
    assert back_up(filled, "lan", to, WallClock()).manifest.files


def test_a_station_under_load_is_backed_up_killed_and_restored_and_nothing_acknowledged_before_is_lost(
    settings, process, sender, station_folder, ask
) -> None:
    """Two backups while messages come; kill -9 of all; from the second the station goes on, and counts each message once."""
    running = [process("inbox"), process("mind")]
    camera = sender("cam-1")
    camera.send(frame_of("gate-1", time.time_ns(), point_detection(PLACE)))
    camera.finish(60)
    assert not camera.waiting
    stop, sent = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            for _ in range(20):
                camera.send(frame_of("gate-1", time.time_ns(), point_detection(PLACE, track=3)))
            camera.send(Snapshot("gate-1", 3, time.time_ns(), JPEG, Box(0, 0, 1, 1)))
            camera.listen(0.1)
            sent.append(len(camera.acknowledged))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        keys = station_folder / "k"
        first = command("backup", "--config", settings.file, "--to", station_folder / "b1", "--keys-to", keys)
        assert first.returncode == 0, first.stderr
        before = set(camera.acknowledged)
        second = command("backup", "--config", settings.file, "--to", station_folder / "b2")
        assert second.returncode == 0, second.stderr
    finally:
        stop.set()
        thread.join()
    for p in running:
        p.kill()
    refused = command("restore", "--config", settings.file, "--from", next((station_folder / "b2").iterdir()))
    assert refused.returncode == 2 and "Nothing is overwritten" in refused.stderr
    (backup,) = (station_folder / "b2").iterdir()
    done = command("restore", "--config", settings.file, "--from", backup, "--aside")
    assert done.returncode == 0, done.stderr
    kept = set(rows(settings.inbox_db, "SELECT boot, sequence FROM arrivals"))
    assert before <= kept, "all that was acknowledged before the backup began is in it"
    assert len(before) > 50, "there was a load"
    place = rows(settings.mind_db, "SELECT arrival FROM place")[0][0]
    assert place <= rows(settings.inbox_db, "SELECT seq FROM sqlite_sequence")[0][0]
    # It goes on: the node sends what is new and what it still has, and each is there once.
    process("inbox")
    process("mind")
    camera.again()
    camera.send(frame_of("gate-1", time.time_ns(), point_detection(PLACE, track=3)))
    camera.finish(60)
    assert not camera.waiting
    everything = rows(settings.inbox_db, "SELECT count(*), count(DISTINCT boot || '.' || sequence) FROM arrivals")[0]
    assert everything[0] == everything[1] > len(kept)
    until = time.monotonic() + 60
    while not (picture := ask(GetPicture())).alarms:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert len({a.id for a in picture.alarms}) == len(picture.alarms)


def test_every_file_of_a_station_is_in_the_list_of_what_is_backed_up(settings) -> None:
    """A new database of a station must not be forgotten here."""
    kind = type(settings)
    databases = {getattr(settings, name).name for name in dir(kind) if name.endswith("_db")}
    assert databases == {name for name, _ in FILES}
    assert msgspec.json.decode(msgspec.json.encode(settings.realm)) == settings.realm.value
