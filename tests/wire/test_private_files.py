"""Every database of a node is readable by its owner alone, also one that an earlier version left open to all."""

import os
import stat

import pytest

from edge.order_journal import OrderJournal as EdgeOrderJournal
from fleet.flight_book import FlightBook
from fleet.order_journal import OrderJournal as FleetOrderJournal
from wire.clock import SteppedClock
from wire.outbox import Outbox
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
