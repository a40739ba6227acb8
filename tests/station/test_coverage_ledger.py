"""Last seen, kept: runs on the disk, corridors that are drawn anew, and files that hold what a station did not write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geofences.corridors import CorridorMap, make_corridor_set
from geofences.sector import Sector
from station.coverage_ledger import COVERAGE, Kept, Ledger
from station.coverage_trail import Trail
from station.store import open_store
from tests.station.coverage_stage import straight_sector
from wire.clock import SteppedClock
from wire.messages import Corridor
from wire.units import GroundPosition, Realm

NOW_S = 1_800_000_000


@pytest.fixture
def db(tmp_path):
    conn = open_store(tmp_path / "coverage.db", COVERAGE, Realm.TRAINING, SteppedClock())
    yield conn
    conn.close()


def with_line(sector: Sector, *points: GroundPosition, id: str = "east") -> Sector:
    corridors = make_corridor_set("test", (Corridor(id, "East", points, 20.0, 1),))
    return replace(sector, corridor_set=corridors, corridors=CorridorMap(corridors, sector.frame))


def ledger_of(sector: Sector, now_s: int = NOW_S) -> Ledger:
    return Ledger(Trail(sector.corridors, sector.terrain), now_s)


def seen(ledger: Ledger, from_m: int, to_m: int, at_s: int, sensor: str = "a") -> None:
    metres = np.arange(from_m, to_m)
    ledger.saw(sensor, metres, np.full(len(metres), 2, np.uint8), at_s)


def test_what_was_seen_later_stays_whatever_comes_late() -> None:
    ledger = ledger_of(straight_sector())
    seen(ledger, 10, 20, NOW_S, "late")
    seen(ledger, 0, 30, NOW_S - 100, "early")
    assert ledger.seen_s[15] == NOW_S and ledger.names[ledger.by[15]] == "late"
    assert ledger.seen_s[5] == NOW_S - 100 and ledger.names[ledger.by[5]] == "early"


def test_a_day_of_flights_over_100_km_is_a_small_file(db, tmp_path) -> None:
    sector = straight_sector(length_m=1800.0)
    ledger = ledger_of(sector)
    for i in range(200):            # metres were seen at 200 different seconds
        seen(ledger, 9 * i, 9 * i + 9, NOW_S + i, f"drone-{i % 3}")
    ledger.save(db, Kept(7, NOW_S + 300))
    runs = db.execute("SELECT length(runs) FROM corridors").fetchone()[0]
    assert runs < 1800 * 1.5, "less than the numbers of one metre each"
    again = ledger_of(sector, NOW_S + 400)
    kept = again.load(db, sector.frame, NOW_S + 400)
    assert (kept.place, kept.saved_s) == (7, NOW_S + 300)
    assert (again.seen_s == ledger.seen_s).all() and (again.grade == ledger.grade).all()
    assert [again.names[b] for b in again.by] == [ledger.names[b] for b in ledger.by]
    assert again.changed == set() and again.since_s[0] == NOW_S


def test_a_corridor_that_is_drawn_anew_keeps_what_it_shares_with_the_old_one(db) -> None:
    sector = straight_sector(length_m=400.0)
    frame = sector.frame
    ledger = ledger_of(sector)
    seen(ledger, 0, 400, NOW_S)
    ledger.save(db, Kept(0, NOW_S))
    longer = with_line(sector, frame.position(-300.0, 4.0), frame.position(0.0, 4.0), frame.position(0.0, 300.0))
    again = ledger_of(longer, NOW_S + 50)
    again.load(db, frame, NOW_S + 50)
    assert again.since_s[0] == NOW_S and again.changed == {0}
    assert (again.seen_s[:90] == 0).all(), "100 m that were no trail before"
    assert (again.seen_s[110:295] == NOW_S).all(), "beside the old line, 4 m away"
    assert (again.seen_s[330:] == 0).all(), "and the new branch to the north"


def test_a_corridor_that_is_new_begins_now_and_one_that_is_gone_is_kept_in_the_file(db) -> None:
    sector = straight_sector()
    old = ledger_of(sector)
    seen(old, 0, 100, NOW_S)
    old.save(db, Kept(0, NOW_S))
    other = with_line(sector, sector.frame.position(0, 0), sector.frame.position(50, 0), id="other")
    ledger = ledger_of(other, NOW_S + 500)
    ledger.load(db, sector.frame, NOW_S + 500)
    assert (ledger.seen_s == 0).all() and ledger.since_s[0] == NOW_S + 500
    ledger.save(db, Kept(0, NOW_S + 500))
    back = ledger_of(sector, NOW_S + 600)
    back.load(db, sector.frame, NOW_S + 600)
    assert (back.seen_s[:100] == NOW_S).all()


def test_waiting_is_never_negative_and_counts_from_the_beginning() -> None:
    ledger = ledger_of(straight_sector())
    seen(ledger, 0, 10, NOW_S + 50)
    waiting = ledger.waiting_s(NOW_S + 20)
    assert (waiting[:10] == 0).all() and (waiting[10:] == 20).all()
