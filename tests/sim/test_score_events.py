"""Intervals against published values, and events as i-LIDS counts them."""

import pytest
from scipy.stats import binom

from sim.score_events import none_in, proportion, score_events


@pytest.mark.parametrize(("hits", "of", "low", "high"), [
    (49, 50, 0.8935, 0.9995),       # R: binom.test(49, 50)$conf.int
    (98, 100, 0.9296, 0.9976),      # R: binom.test(98, 100)$conf.int
    (0, 10, 0.0, 0.3085),           # the same for 0 of 10
    (10, 10, 0.6915, 1.0),
])
def test_intervals_are_clopper_and_pearsons(hits, of, low, high):
    p = proportion(hits, of)
    assert p.low == pytest.approx(low, abs=5e-5) and p.high == pytest.approx(high, abs=5e-5)
    assert p.share == hits / of


def test_an_interval_holds_the_true_share_at_least_as_often_as_it_says():
    for true in (0.5, 0.9, 0.97):
        held = sum(binom.pmf(k, 60, true) for k in range(61) if proportion(k, 60).low <= true <= proportion(k, 60).high)
        assert held >= 0.95


def test_nothing_was_tried_and_nothing_is_claimed():
    p = proportion(0, 0)
    assert (p.share, p.low, p.high) == (None, None, None)
    with pytest.raises(ValueError, match="3 of 2"):
        proportion(3, 2)


def test_an_alarm_within_ten_seconds_counts_a_later_one_is_false_and_a_second_one_is_left_out():
    score = score_events([100.0, 200.0, 300.0], [104.0, 106.0, 215.0, 301.0, 500.0])
    assert (score.true, score.missed, score.false) == (2, 1, 2)
    assert score.recall == pytest.approx(2 / 3) and score.precision == pytest.approx(0.5)
    assert score.f1(1.0) == pytest.approx(2 * 2 / 3 * 0.5 / (2 / 3 + 0.5))


def test_recall_bias_moves_f1_towards_precision_below_one():
    score = score_events([0.0, 100.0], [1.0])         # precision 1, recall a half
    assert score.f1(0.65) == pytest.approx(1.65 * 0.5 / (0.5 + 0.65))
    assert score.f1(60.0) == pytest.approx(61 * 0.5 / (0.5 + 60.0))


def test_two_events_close_together_need_two_alarms():
    assert score_events([0.0, 4.0], [5.0]).missed == 1
    assert score_events([0.0, 4.0], [3.0, 5.0]).true == 2


def test_nothing_and_nothing_is_no_score():
    assert score_events([], []).f1() is None
    assert score_events([0.0], []).f1() == 0.0


def test_what_did_not_happen_in_a_day_may_happen_three_times_a_day():
    assert none_in(24.0) == pytest.approx(3.0, abs=0.005)       # the rule of three
