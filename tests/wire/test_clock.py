"""Time moves as told, and a jump of the date is not the passing of time."""

import threading
import time

import pytest

from wire.clock import NS_PER_S, SteppedClock, WallClock


def test_a_step_of_the_date_does_not_move_what_is_waited_for():
    clock = SteppedClock()
    before_utc, before = clock.utc_ns(), clock.monotonic_ns()
    clock.step_utc(-3600)
    assert clock.utc_ns() == before_utc - 3600 * NS_PER_S
    assert clock.monotonic_ns() == before


def test_a_clock_cannot_be_advanced_backwards():
    with pytest.raises(ValueError, match="time goes forward"):
        SteppedClock().advance(-1)


def test_a_sleeper_in_lockstep_wakes_when_the_time_has_come_and_not_before():
    clock = SteppedClock(sleep_advances=False)
    woke = threading.Event()
    threading.Thread(target=lambda: (clock.sleep(2.0), woke.set()), daemon=True).start()
    time.sleep(0.05)
    clock.advance(1.0)
    assert not woke.wait(0.1)
    clock.advance(1.0)
    assert woke.wait(2.0)


def test_the_wall_clock_is_the_machine_s():
    clock = WallClock()
    assert abs(clock.utc_ns() - time.time_ns()) < NS_PER_S
    before = clock.monotonic_ns()
    clock.sleep(0.01)
    assert clock.monotonic_ns() - before >= 9_000_000
