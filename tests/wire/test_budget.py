"""Pictures use no more of a line than they may, whatever the pattern, and whatever happens to the date."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.budget import SAVED_S, Budget
from wire.clock import SteppedClock


@given(
    rate=st.floats(100, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 60), st.integers(1, 500_000), st.floats(-1e9, 1e9)), max_size=60),
)
def test_never_more_than_the_rate_a_saved_up_spell_and_one_picture(rate, steps):
    clock = SteppedClock()
    budget = Budget(rate, clock)
    passed_s, spent, last = 0.0, 0, 0
    for seconds, size, date_s in steps:
        clock.advance(seconds)
        clock.step_utc(date_s)
        passed_s += seconds
        if budget.open:
            budget.spend(size)
            spent, last = spent + size, size
    assert spent <= (rate * (passed_s + SAVED_S) + last) * (1 + 1e-6) + 1


def test_a_picture_larger_than_the_bucket_goes_and_its_debt_is_waited_off():
    clock = SteppedClock()
    budget = Budget(1000, clock)
    assert budget.open
    budget.spend(25_000)
    clock.advance(19.9)
    assert not budget.open
    clock.advance(0.2)
    assert budget.open


def test_no_limit_is_always_open():
    budget = Budget(0, SteppedClock())
    budget.spend(10**9)
    assert budget.open


def test_a_negative_budget_is_refused():
    with pytest.raises(ValueError, match="0 for no limit"):
        Budget(-1, SteppedClock())
