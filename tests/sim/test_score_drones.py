"""The score of drones: in the air in time, home with a reserve, off people, and faults heard of, from what they told."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from sim.exercise_scenario import LIBRARY, load_exercise
from sim.score_drones import Beat, judge_drones
from sim.truth import StationAlarm
from sim.truth_log import Course
from sim.truth_sight import Sensors
from sim.world_state import Kind, Role
from station.alarms import SYSTEM
from station.picture import AlarmEventView, AlarmState
from wire.clock import NS_PER_S

SECONDS = 200


def flight(height_of, percent_of, place_of):
    """A beat a second: on the ground without a height, and armed in the air."""
    return [Beat(s * NS_PER_S, height_of(s) > 0, height_of(s), percent_of(s), place_of(s)) for s in range(SECONDS)]


def person(east, north):
    n = SECONDS
    return Course(1, 1, Kind.PERSON, Role.CROSSER, 0, "", np.arange(n, dtype=np.int64) * NS_PER_S,
                  np.tile([east, north, 100.0], (n, 1)), np.zeros(n, np.int64), np.zeros(n, np.int64))


def evidence(beats, **more):
    given = {
        "flights": {"drone-1": beats}, "courses": [person(500.0, 0.0)], "sensors": Sensors([]), "crossings": [],
        "alarms": [StationAlarm("A-1", "khe-da", (("C-1", 30 * NS_PER_S),))], "all_alarms": [], "began_ns": 0, "log": [],
    }
    return SimpleNamespace(**given | more)


@pytest.fixture(scope="module")
def exercise():
    return load_exercise(LIBRARY / "drone-loss.toml")


def test_a_drone_that_was_sent_after_the_alarm_and_came_home_with_a_reserve(exercise):
    beats = flight(lambda s: 40.0 if 50 <= s < 150 else 0.0, lambda s: 95.0 - s / 4,
                   lambda s: (float(s if s < 100 else 200 - s), 0.0)
                   if 50 <= s < 150 else (50.0, 0.0))
    (d,) = judge_drones(evidence(beats), exercise)
    assert (d.launched_s, d.waited_s, d.landed, d.at_home) == (50.0, 20.0, 1, 1)
    assert d.battery_least_percent == 57.5 and d.reserve_kept is True
    assert d.too_near_s == 0.0 and d.nearest_m > 400.0 and d.faults == ()


def test_one_that_hung_over_somebody_and_landed_elsewhere_on_its_last_charge(exercise):
    beats = flight(lambda s: 15.0 if 20 <= s < 120 else 0.0, lambda s: 30.0 - s / 8,
                   lambda s: (0.0, 0.0) if s < 20 else (480.0, 0.0) if s >= 60 else (s * 8.0, 0.0))
    (d,) = judge_drones(evidence(beats), exercise)
    assert d.waited_s == 0.0            # it flew when the alarm came
    assert (d.landed, d.at_home, d.reserve_kept) == (1, 0, False)
    assert d.nearest_m == pytest.approx(25.0, abs=0.2)
    assert 55.0 <= d.too_near_s <= 66.0 and 58.0 <= d.too_near_first_s <= 61.0


def test_a_fault_is_followed_from_the_inject_to_the_ground_and_to_the_answer(exercise):
    beats = flight(lambda s: 40.0 if s < 90 else 0.0, lambda s: 80.0, lambda s: (0.0, 0.0))
    events = [AlarmEventView(AlarmState.ACTIVE, 72 * NS_PER_S, SYSTEM, ""),
              AlarmEventView(AlarmState.ACKNOWLEDGED, 80 * NS_PER_S, "pilot", "")]
    alarm = SimpleNamespace(rule="node_silent", events=events)
    log = [{"what": "inject", "at_s": 60.0, "id": "gps-goes"}]
    (d,) = judge_drones(evidence(beats, all_alarms=[alarm], log=log), exercise)
    (fault,) = d.faults         # the other one of the exercise was never done
    assert msgspec.structs.astuple(fault) == ("gps-goes", "gps", 60.0, 90.0, 72.0, 80.0)


def test_nothing_is_scored_where_no_drone_told_anything(exercise):
    assert judge_drones(evidence([]), exercise) == ()
