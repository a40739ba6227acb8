"""What was counted a few times may be far off: the ends of a share, as the exact binomial test has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from station.proportion import clopper_pearson


@given(st.integers(1, 400), st.data(), st.sampled_from([0.005, 0.025, 0.05]))
def test_the_ends_are_those_of_the_exact_test(of, data, tail):
    hits = data.draw(st.integers(0, of))
    said = binomtest(hits, of).proportion_ci(1 - 2 * tail, "exact")
    assert clopper_pearson(hits, of, tail) == pytest.approx((said.low, said.high), abs=1e-9)
