"""Walk tests at the station: kept pass by pass and never taken back, counted for half a year, refused with a reason."""

from __future__ import annotations

import sqlite3
import time

import msgspec
import pytest

from station.coverage import Coverage
from station.coverage_picture import TellWalk, WalkedPass
from station.coverage_walks import COUNTS_FOR_NS, PASSES_LIMIT
from tests.station.coverage_stage import SECTOR
from wire.clock import SteppedClock

S = 10**9


def passes(clock, count, hits, corridor="khe-da", ago_s=7200):
    begin = clock.utc_ns() - ago_s * S
    return tuple(
        WalkedPass(corridor, begin + i * 60 * S, 40.0, f"A-{i:06d}", 3.0, 1.5) if i < hits else
        WalkedPass(corridor, begin + i * 60 * S, 40.0)
        for i in range(count)
    )


def walked(coverage, clock, corridor="khe-da"):
    clock.advance(3)
    coverage.pass_time(0)
    return next(v.walked for v in coverage.picture()[0] if v.corridor == corridor)


@pytest.fixture
def clock():
    return SteppedClock(time.time_ns())


@pytest.fixture
def coverage(settings, clock):
    it = Coverage(settings, SECTOR, clock)
    yield it
    it.close()


def test_nobody_has_walked_at_first(coverage, clock):
    assert walked(coverage, clock) is None


def test_the_share_has_its_interval_and_says_who_told_it(coverage, clock):
    assert coverage.tell_walk(TellWalk("huong", passes(clock, 50, 49))) is None
    found = walked(coverage, clock)
    assert (found.hits, found.of, found.wait_p50_s, found.by) == (49, 50, 3.0, "huong")
    assert found.low == pytest.approx(0.8935, abs=5e-4) and found.high == pytest.approx(0.9995, abs=5e-4)
    assert walked(coverage, clock, "ben-song") is None


def test_it_is_news_for_the_map_at_once(coverage, clock):
    walked(coverage, clock)
    coverage.take_news()
    coverage.tell_walk(TellWalk("huong", passes(clock, 3, 2)))
    coverage.pass_time(0)
    (view,) = coverage.take_news()[0]
    assert view.corridor == "khe-da" and view.walked.of == 3


def test_a_pass_that_is_told_twice_counts_once_and_stays_as_it_was_told_first(settings, coverage, clock):
    first = passes(clock, 4, 1)
    coverage.tell_walk(TellWalk("huong", first))
    better = tuple(msgspec.structs.replace(p, alarm="A-000009", wait_s=1.0) for p in first)
    coverage.tell_walk(TellWalk("lan", (*better, *passes(clock, 1, 1, ago_s=100))))
    found = walked(coverage, clock)
    assert (found.hits, found.of, found.by) == (2, 5, "lan")
    rows = coverage._db.execute("SELECT person, count(*) FROM walks GROUP BY person ORDER BY person").fetchall()
    assert [tuple(r) for r in rows] == [("huong", 4), ("lan", 1)]


def test_nothing_is_changed_or_taken_out(coverage, clock):
    coverage.tell_walk(TellWalk("huong", passes(clock, 2, 1)))
    for statement in ("DELETE FROM walks", "UPDATE walks SET alarm = 'A-000001'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            coverage._db.execute(statement)
    row = coverage._db.execute("SELECT * FROM walks WHERE alarm = ''").fetchone()
    coverage._db.execute(f"INSERT OR REPLACE INTO walks VALUES ({', '.join('?' * 8)})", (*row[:3], "A-000001", *row[4:]))
    assert coverage._db.execute("SELECT count(*) FROM walks WHERE alarm = ''").fetchone()[0] == 1


def test_a_new_start_knows_them_and_after_half_a_year_they_no_longer_count(settings, coverage, clock):
    coverage.tell_walk(TellWalk("huong", passes(clock, 5, 5)))
    coverage.close()
    again = Coverage(settings, SECTOR, clock)
    assert walked(again, clock).of == 5
    clock.advance(COUNTS_FOR_NS / S)
    assert walked(again, clock) is None
    again.close()


@pytest.mark.parametrize(("change", "says"), [
    ({"corridor": "nowhere"}, "walk_corridor"), ({"seconds": -1.0}, "walk_pass"), ({"wait_s": None}, "walk_pass"),
    ({"error_m": float("nan")}, "walk_pass"), ({"entered_ns": 2**62}, "walk_pass"), ({"alarm": "A" * 30}, "walk_pass"),
])
def test_a_pass_that_cannot_be_is_refused_and_nothing_of_the_walk_is_kept(coverage, clock, change, says):
    good = passes(clock, 2, 2)
    refused = coverage.tell_walk(TellWalk("huong", (good[0], msgspec.structs.replace(good[1], **change))))
    assert refused.key == f"coverage.refused.{says}"
    assert walked(coverage, clock) is None


def test_none_and_too_many_are_refused(coverage, clock):
    for told in ((), passes(clock, 1, 1) * (PASSES_LIMIT + 1)):
        assert coverage.tell_walk(TellWalk("huong", told)).key == "coverage.refused.walk_count"
