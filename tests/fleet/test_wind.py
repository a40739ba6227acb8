"""The buffer that wind asks for: from the wind's own arithmetic, and against a drone that is simply blown away."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.wind import (
    POSITION_MARGIN_M,
    REACTION_S,
    Wind,
    demanded_buffer,
    descent_s,
    drift_m,
    ground_speed_m_s,
    needed_now_m,
    too_strong,
)
from sim import multirotor

winds = st.builds(Wind, st.floats(0.0, 12.0), st.floats(0.0, 3.0), st.none(), st.just(False))
heights, speeds = st.floats(1.0, 150.0), st.floats(0.5, 15.0)


def test_the_buffer_is_wind_times_detection_and_descent_and_says_so() -> None:
    steady = Wind(5.0, 0.0, None, assumed=False)
    b = demanded_buffer(steady, 30.0, 9.0, 100.0)
    assert b.detection_s == 8.0 and b.descent_s == pytest.approx(2.0 + 20.0 / 1.5 + 10.0 / 0.5)
    assert b.drift_m == pytest.approx(5.0 * (b.detection_s + b.descent_s))
    assert b.total_m == pytest.approx(b.drift_m + b.reaction_m + b.margin_m)
    assert demanded_buffer(steady, 30.0, 9.0, 1000.0).total_m == 1000.0, "never less than the sector's file asks for"


@given(wind=winds, height=heights, speed=speeds, more=st.floats(0.0, 5.0))
def test_more_wind_more_height_or_more_speed_never_need_less(wind: Wind, height: float, speed: float, more: float) -> None:
    least = demanded_buffer(wind, height, speed, 0.0).total_m
    windier = Wind(wind.speed_m_s + more, wind.gust_m_s, None, assumed=False)
    gustier = Wind(wind.speed_m_s, wind.gust_m_s + more, None, assumed=False)
    for b in (
        demanded_buffer(windier, height, speed, 0.0), demanded_buffer(gustier, height, speed, 0.0),
        demanded_buffer(wind, height + more, speed, 0.0), demanded_buffer(wind, height, speed + more, 0.0),
    ):
        assert b.total_m >= least - 1e-9


@given(wind=winds, height=heights, speed=speeds, share=st.floats(0.0, 1.0))
def test_a_plan_that_keeps_its_buffer_is_not_called_back_by_the_watch(
    wind: Wind, height: float, speed: float, share: float
) -> None:
    """On its way to a turning point at the edge of the buffer, braking as it does, at whatever place before it."""
    total = demanded_buffer(wind, height, speed, 0.0).total_m
    before_end_m = share * speed**2 / 2.6
    now = min(speed, math.sqrt(1.0 + 2.6 * before_end_m))
    ahead = total + before_end_m - now * REACTION_S
    # A fortieth of the braking way is as fine as the buffer looks for the worst place.
    assert ahead >= needed_now_m(wind, height, now) - speed**2 / 2.6 / 40.0


def test_a_drone_without_a_position_is_down_before_it_has_drifted_so_far() -> None:
    """The physics of the simulated copter, blown along freely while it sinks: worse than any autopilot lets it be."""
    for seed in range(40):
        chance = random.Random(seed)
        speed, gust, height = chance.uniform(0.0, 12.0), chance.uniform(0.0, 2.0), chance.uniform(10.0, 100.0)
        wind = multirotor.Wind(speed, 180.0, gust)
        wind.gust_north_m_s = chance.gauss(0.0, gust)
        north, seconds = 0.0, 8.0 + descent_s(height)
        for _ in range(round(seconds / 0.1)):
            wind.step(0.1, chance)
            north += wind.velocity()[1] * 0.1
        assert north <= drift_m(Wind(speed, gust, None, assumed=False), height, 0.0) + POSITION_MARGIN_M


@given(wind=winds, wish=speeds, direction=st.floats(0.0, 2.0 * math.pi), from_deg=st.floats(0.0, 360.0))
def test_a_ground_speed_asks_for_no_more_air_than_the_drone_has(
    wind: Wind, wish: float, direction: float, from_deg: float
) -> None:
    known = Wind(wind.speed_m_s, wind.gust_m_s, from_deg, assumed=False)
    track = (math.sin(direction), math.cos(direction))
    v = ground_speed_m_s(wish, track, known, 10.0)
    assert 0.0 <= v <= wish
    if v > 0.0:
        east, north = known.velocity() or (0.0, 0.0)
        assert math.hypot(track[0] * v - east, track[1] * v - north) <= 10.0 + 1e-6 or v == pytest.approx(wish)
    assert ground_speed_m_s(wish, track, wind, 10.0) <= v + 1e-9, "where its direction is unknown the wind is against it"


def test_a_wind_against_which_nothing_comes_home_is_too_strong() -> None:
    assert too_strong(Wind(9.0, 1.0, None, assumed=False), 10.0)
    assert not too_strong(Wind(6.0, 1.0, None, assumed=False), 10.0)
    assert ground_speed_m_s(9.0, (0.0, 1.0), Wind(12.0, 0.0, 0.0, assumed=False), 10.0) == 0.0
