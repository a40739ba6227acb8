"""The quality of a node's time is what is true, and a clock that is set is noticed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import timekeeping
from edge.timekeeping import TimeKeeper, ask_system, read_tracking
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.units import TimeQuality

# As chronyd 4.6.1 said it: a client of a server, a client in its first second, a server of its own clock, and one on a
# receiver's samples (refclock SOCK).
TRACKING = {
    "7F000001,127.0.0.1,9,1795570552.078930747,-0.000001493,0.000000055,0.000000379,-0.009,0.001,0.066,0.000006524,"
    "0.000000895,2.0,Normal": TimeQuality.NTP,
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,"
    "Not synchronised": TimeQuality.FREE,
    "7F7F0101,,8,1795570535.774777278,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,0.0,"
    "Normal": TimeQuality.FREE,
    "47505300,GPS,1,1795570551.629917153,0.000100000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000001,0.000001183,1.0,"
    "Normal": TimeQuality.GPS,
}
AT_NS = 1_795_570_560 * NS_PER_S


@pytest.mark.parametrize(("line", "quality"), TRACKING.items())
def test_what_chronyd_follows_is_the_quality(line, quality):
    assert read_tracking(line + "\n", AT_NS) is quality


@pytest.mark.parametrize("line", TRACKING)
def test_a_chronyd_that_has_lost_its_sources_for_hours_keeps_nothing(line):
    assert read_tracking(line, AT_NS + 7200 * NS_PER_S) is TimeQuality.FREE


@given(st.text() | st.lists(st.text(max_size=9), min_size=13, max_size=15).map(",".join))
def test_no_line_raises(line):
    assert read_tracking(line, AT_NS) in TimeQuality


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine on which nobody keeps the time; programs can be put into it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(timekeeping, "TIMESYNCD_STAMP", tmp_path / "synchronized")

    def put(program, script):
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)

    put.folder = tmp_path
    return put


def test_where_nobody_keeps_the_time_it_runs_free(machine):
    assert ask_system(WallClock()) is TimeQuality.FREE


def test_systemds_own_client_counts_while_its_stamp_is_fresh(machine):
    clock = WallClock()
    (machine.folder / "synchronized").touch()
    assert ask_system(clock) is TimeQuality.NTP
    long_ago_s = clock.utc_ns() / NS_PER_S - 86_400
    os.utime(machine.folder / "synchronized", (long_ago_s, long_ago_s))
    assert ask_system(clock) is TimeQuality.FREE


@pytest.mark.parametrize(("script", "quality"), [
    ("echo yes", TimeQuality.NTP), ("echo no", TimeQuality.FREE), ("echo yes; exit 1", TimeQuality.FREE),
])
def test_another_client_is_known_by_the_kernels_flag(machine, script, quality):
    machine("timedatectl", script)
    assert ask_system(WallClock()) is quality


def test_a_program_that_hangs_is_given_up(machine, monkeypatch):
    monkeypatch.setattr(timekeeping, "ASK_TIMEOUT_S", 0.2)
    machine("chronyc", "exec /bin/sleep 60")
    assert ask_system(WallClock()) is TimeQuality.FREE


def test_a_clock_that_is_set_is_said_for_a_minute():
    clock = SteppedClock()
    keeper = TimeKeeper(clock)
    for _ in range(100):
        clock.advance(1.0)
        assert keeper.problems == []
    clock.step_utc(3.25)
    clock.advance(1.0)
    (problem,) = keeper.problems
    assert problem.startswith("this machine's clock was set by +3.2 s at ")
    clock.advance(59.0)
    assert keeper.problems == [problem]
    clock.advance(2.0)
    assert keeper.problems == []
    clock.step_utc(-7200.0)
    assert "set by -7200.0 s" in keeper.problems[0]


@given(st.lists(st.floats(-0.083, 0.083), max_size=100))
def test_a_clock_that_is_slewed_is_not_called_set(slews_s):
    clock = SteppedClock()
    keeper = TimeKeeper(clock)
    for slew_s in slews_s:
        clock.step_utc(slew_s)
        clock.advance(1.0)
        assert keeper.problems == []


@pytest.mark.parametrize(("offset_s", "quality"), [
    (None, TimeQuality.NTP), (0.4, TimeQuality.NTP), (-0.4, TimeQuality.NTP), (4.0, TimeQuality.FREE),
    (-90.0, TimeQuality.FREE),
])
def test_a_clock_that_gnss_contradicts_runs_free_whoever_keeps_it(offset_s, quality):
    with TimeKeeper(SteppedClock(), gnss_offset_s=lambda: offset_s, ask=lambda clock: TimeQuality.NTP) as keeper:
        assert keeper.quality is quality
        said = keeper.problems
    if quality is TimeQuality.FREE:
        assert ("ahead of" if offset_s > 0 else "behind") in said[0] and "GNSS" in said[0]
    else:
        assert said == []


def test_agreeing_with_gnss_makes_nobody_gps_disciplined():
    with TimeKeeper(SteppedClock(), gnss_offset_s=lambda: 0.2, ask=lambda clock: TimeQuality.FREE) as keeper:
        assert keeper.quality is TimeQuality.FREE


def test_the_time_of_a_simulated_world_is_that_whatever_the_machine_has():
    with TimeKeeper(SteppedClock(), simulated=True, ask=lambda clock: TimeQuality.GPS) as keeper:
        assert keeper.quality is TimeQuality.SIMULATED
