"""An autopilot's clock as UTC: by the shortest round trip, within what it claims, right again after a clock was set."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.autopilot_clock import GRAIN_S, HEARD_SIGMA_S, BootClock, Exchange

BEGIN_NS = 1_800_000_000_000_000_000


def at(seconds):
    """UTC of a moment, by the autopilot's seconds since boot."""
    return BEGIN_NS + round(seconds * 1e9)


def exchange(t, there_s, back_s, ahead_s=0.0):
    """A question that arrives at the autopilot t seconds after its boot. ahead_s: of our clock."""
    return Exchange(at(t - there_s + ahead_s), round(t * 1e9), at(t + back_s + ahead_s))


def error_s(clock, boot_s, late_s=0.03, ahead_s=0.0):
    """How wrong the clock takes a message that was made boot_s after the boot and came late_s later."""
    return (clock.utc_ns(round(boot_s * 1000), at(boot_s + late_s + ahead_s)) - at(boot_s + ahead_s)) / 1e9


@given(
    st.lists(st.tuples(st.floats(0.002, 0.4), st.floats(0.002, 0.4)), min_size=1, max_size=40), st.floats(0.0, 0.5),
)
@settings(deadline=None)
def test_the_error_is_never_larger_than_half_the_shortest_round_trip(ways, late_s):
    clock = BootClock()
    for i, (there_s, back_s) in enumerate(ways):
        clock.exchanged(exchange(10.0 + i, there_s, back_s))
    least = min(there + back for there, back in ways)
    now = 10.0 + len(ways)
    assert abs(error_s(clock, now, late_s)) <= least / 2 + 1e-4 * len(ways) + 1e-3
    assert clock.sigma_s <= (least / 2 + GRAIN_S + 1e-4 * len(ways) + 1e-3) / math.sqrt(3)


def test_jitter_is_filtered_and_the_claimed_sigma_holds():
    rng = np.random.default_rng(2)
    deviations = []
    for _ in range(200):
        clock = BootClock()
        for i in range(30):
            clock.exchanged(exchange(5.0 + i, 0.01 + rng.exponential(0.06), 0.01 + rng.exponential(0.06)))
        deviations.append(error_s(clock, 36.0, 0.01 + rng.exponential(0.06)) / clock.sigma_s)
    assert np.sqrt(np.mean(np.square(deviations))) < 1.0
    assert max(map(abs, deviations)) < math.sqrt(3) + 1e-6


def test_a_message_held_up_on_the_radio_keeps_its_own_time_without_any_exchange():
    clock = BootClock()
    rng = np.random.default_rng(5)
    delays = rng.exponential(0.05, 1200)
    found = [clock.utc_ns(50 * i, at(0.05 * i + d)) - at(0.05 * i) for i, d in enumerate(delays)]
    assert max(found[200:]) < 15e6                 # 50 ms of jitter, and less than 15 ms of it left
    assert clock.sigma_s == HEARD_SIGMA_S


def test_an_autopilot_that_starts_again_starts_a_new_count():
    clock = BootClock()
    clock.exchanged(exchange(500.0, 0.01, 0.01))
    clock.utc_ns(500_000, at(500))
    assert clock.utc_ns(3_000, at(510)) == at(510)
    assert clock.sigma_s == HEARD_SIGMA_S           # what was exchanged before was about another count


def test_an_autopilot_that_started_again_and_ran_for_longer_than_before_is_noticed_all_the_same():
    """It ran for 5 s, was away for a minute, and speaks again 8 s after its second start: its count never went back."""
    clock = BootClock()
    for i in range(50):
        clock.utc_ns(100 * i, at(0.1 * i + 0.02))
    again_s = 65.0                                  # the first boot's seconds at which it booted again
    errors = [
        clock.utc_ns(8000 + 100 * i, at(again_s + 8 + 0.1 * i + 0.02)) - at(again_s + 8 + 0.1 * i) for i in range(60)
    ]
    assert abs(errors[-1]) < 0.1e9
    clock.exchanged(exchange(14.0, 0.01, 0.01, ahead_s=again_s))
    assert abs(error_s(clock, 14.5, ahead_s=again_s)) < 0.002


@pytest.mark.parametrize("step_s", [-40.0, -2.0, 2.0, 40.0])
def test_when_our_own_clock_is_set_the_next_exchange_puts_it_right(step_s):
    clock = BootClock()
    for i in range(20):
        clock.exchanged(exchange(5.0 + i, 0.01, 0.02))
    clock.exchanged(exchange(26.0, 0.03, 0.01, ahead_s=step_s))
    assert abs(error_s(clock, 26.5, ahead_s=step_s)) < 0.015


def test_one_answer_of_an_autopilot_that_was_held_up_changes_nothing_and_three_of_a_clock_that_was_set_do():
    clock = BootClock()
    for i in range(10):
        clock.exchanged(exchange(5.0 + i, 0.01, 0.01))
    held_up = Exchange(at(15.99), round((16.0 - 0.35) * 1e9), at(16.01))
    clock.exchanged(held_up)
    assert abs(error_s(clock, 16.5)) < 0.002 and clock.begun_anew == 0
    for i in range(3):
        assert clock.begun_anew == 0
        clock.exchanged(exchange(17.0 + i, 0.01, 0.01, ahead_s=0.2))
    assert abs(error_s(clock, 20.5, ahead_s=0.2)) < 0.002 and clock.begun_anew == 1


@pytest.mark.parametrize("base_s", [1.7e9, -100.0, 1000.0])
def test_exchanges_on_another_clock_than_the_messages_are_not_used(base_s):
    clock = BootClock()
    for i in range(5):
        clock.exchanged(Exchange(at(5 + i - 0.01), round((5 + i + base_s) * 1e9), at(5 + i + 0.01)))
    assert abs(error_s(clock, 11.0)) < 0.05
    assert clock.sigma_s == HEARD_SIGMA_S


def test_answers_that_come_before_they_were_asked_for_or_much_too_late_say_nothing():
    clock = BootClock()
    clock.exchanged(exchange(5.0, -0.3, 0.1))
    clock.exchanged(exchange(6.0, 0.1, 3.0))
    error_s(clock, 7.0)
    assert clock.sigma_s == HEARD_SIGMA_S


def test_drift_is_followed():
    clock = BootClock()
    fast = 1.0 + 5e-5
    for i in range(600):
        t = 5.0 + i
        clock.exchanged(Exchange(at(t - 0.01), round(t * fast * 1e9), at(t + 0.01)))
    assert abs((clock.utc_ns(round(606.0 * fast * 1000), at(606.02)) - at(606.0)) / 1e9) < 0.005


def test_a_clock_that_was_set_is_counted_and_jitter_is_not():
    clock = BootClock()
    rng = np.random.default_rng(6)
    for i in range(200):
        if i % 10 == 0:
            clock.exchanged(exchange(5.0 + 0.1 * i, rng.exponential(0.05), rng.exponential(0.05)))
        error_s(clock, 5.0 + 0.1 * i, rng.exponential(0.1))
    assert clock.begun_anew == 0
    error_s(clock, 26.0, ahead_s=-3.0)              # ours was put back: a message seems to come before it was made
    assert clock.begun_anew == 1
    assert error_s(clock, 26.1, 0.02, ahead_s=-3.0) < 0.05


@pytest.mark.parametrize("held_s", [0.4, 0.9, 1.5, 3.0])
def test_messages_that_were_held_up_keep_their_own_time_while_the_clock_is_known(held_s):
    """Fifty a second, all at once after the hold; the answers to TIMESYNC, one a second, are held up with them."""
    clock, off_s = BootClock(), []
    for i in range(1000):
        t = 0.02 * i
        is_held = 10.0 <= t < 10.0 + held_s
        if i % 50 == 0 and not is_held:
            clock.exchanged(exchange(t, 0.005, 0.005))
        off_s.append(error_s(clock, t, 10.0 + held_s + 0.005 - t if is_held else 0.005))
        assert clock.sigma_s < HEARD_SIGMA_S
    assert max(map(abs, off_s)) < 0.002 and clock.begun_anew == 0


def test_a_downlink_that_is_slow_for_seconds_makes_no_other_clock():
    """1.2 s late for 6 s, answers to TIMESYNC too, which then say little, and nothing against what was known."""
    clock, off_s = BootClock(), []
    for i in range(1200):
        t = 0.02 * i
        late_s = 1.2 if 10.0 <= t < 16.0 else 0.005
        if i % 50 == 0:
            clock.exchanged(exchange(t, 0.005, late_s))
        off_s.append(error_s(clock, t, late_s))
    assert max(map(abs, off_s)) < 0.002 and clock.begun_anew == 0


@pytest.mark.parametrize("answered", ["never", "long ago", "about another clock"])
def test_where_no_answer_speaks_for_them_messages_that_stay_late_are_of_a_clock_that_was_set(answered):
    clock = BootClock()
    for i in range(500):
        t = 0.02 * i
        if i % 50 == 0 and (answered == "about another clock" or (answered == "long ago" and t < 4.0)):
            aside_ns = round(1.7e18) if answered == "about another clock" else 0
            clock.exchanged(Exchange(at(t - 0.005), round(t * 1e9) + aside_ns, at(t + 0.005)))
        error_s(clock, t, 0.005)
    off_s = [error_s(clock, 10.0 + 0.02 * i, 0.005, ahead_s=2.0) for i in range(40)]
    assert clock.begun_anew == 1 and abs(off_s[-1]) < 0.05
