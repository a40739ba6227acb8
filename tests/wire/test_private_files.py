"""What a node keeps is readable by its owner alone, also what an earlier version left open to all."""

import logging
import os
import stat
from pathlib import Path

import pytest

from edge.order_journal import OrderJournal as EdgeOrderJournal
from fleet.flight_book import FlightBook
from fleet.order_journal import OrderJournal as FleetOrderJournal
from wire.clock import SteppedClock
from wire.outbox import Outbox
from wire.outbox_space import RESERVE_BYTES
from wire.private_files import make_folder_private
from wire.units import Realm

OPENERS = {
    "outbox.db": lambda folder: Outbox(folder / "outbox.db", "gate-1", Realm.TRAINING, SteppedClock()),
    "edge-orders.db": lambda folder: EdgeOrderJournal(folder / "edge-orders.db"),
    "fleet-orders.db": lambda folder: FleetOrderJournal(folder / "fleet-orders.db"),
    "flight-book.db": lambda folder: FlightBook(folder),
}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("is_old", [False, True])
def test_a_database_is_for_its_owner_alone(tmp_path, name, is_old):
    before = os.umask(0o022)
    try:
        if is_old:
            OPENERS[name](tmp_path)
            (tmp_path / name).chmod(0o644)
        opened = OPENERS[name](tmp_path)
    finally:
        os.umask(before)
    files = [tmp_path / f"{name}{suffix}" for suffix in ("", "-wal", "-shm")]
    modes = {p.name: oct(stat.S_IMODE(p.stat().st_mode)) for p in files if p.exists()}
    assert name in modes and set(modes.values()) == {"0o600"}, modes
    del opened


def mode(path):
    return oct(stat.S_IMODE(path.lstat().st_mode))


@pytest.mark.parametrize("is_old", [False, True])
def test_the_lock_and_the_reserve_of_an_outbox_are_for_its_owner_alone(tmp_path, is_old):
    names = [tmp_path / "outbox.db.lock", tmp_path / "outbox.db.reserve"]
    before = os.umask(0o022)
    try:
        if is_old:
            names[0].touch()
            names[1].write_bytes(b"half made")
            assert {mode(name) for name in names} == {"0o644"}
        outbox = OPENERS["outbox.db"](tmp_path)
        assert names[1].stat().st_size == RESERVE_BYTES
    finally:
        os.umask(before)
    assert {mode(name) for name in names} == {"0o600"}
    outbox.close()


def test_a_data_folder_is_made_for_its_owner_alone_and_an_old_one_is_closed_with_all_that_is_in_it(tmp_path, caplog):
    before = os.umask(0o022)
    try:
        outside = tmp_path / "outside.txt"
        outside.write_text("not ours")
        old = tmp_path / "old"
        (old / "flights").mkdir(parents=True)
        (old / "flights/1.tlog").write_bytes(b"")
        (old / "run.sh").write_text("")
        (old / "run.sh").chmod(0o755)
        (old / "link").symlink_to(outside)
        (old / "gone").symlink_to(tmp_path / "nowhere")
        make_folder_private(old)
        make_folder_private(tmp_path / "above/new")
    finally:
        os.umask(before)
    assert {mode(old), mode(old / "flights"), mode(old / "run.sh"), mode(tmp_path / "above/new")} == {"0o700"}
    assert mode(old / "flights/1.tlog") == "0o600"
    assert mode(outside) == "0o644"
    assert not caplog.records


def test_a_folder_that_accounts_share_is_left_as_it_is_and_named(tmp_path, caplog):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with caplog.at_level(logging.WARNING):
        make_folder_private(shared)
    assert mode(shared) == "0o1777"
    assert [record.getMessage() for record in caplog.records] == [
        f"{shared}: others may read this folder, because accounts share it: give data_dir one of its own"
    ]


def test_a_folder_whose_mode_cannot_be_changed_is_a_warning_with_what_to_do(caplog):
    fixed = Path("/proc/self/task")         # the kernel refuses another mode to everybody
    with caplog.at_level(logging.WARNING):
        make_folder_private(fixed)
    (record,) = caplog.records
    assert record.getMessage().startswith("/proc/self/task: others may read this folder, because of its mode: ")
    assert record.getMessage().endswith('. Run "chmod -R go-rwx /proc/self/task" as its owner')
