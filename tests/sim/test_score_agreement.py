"""Two scores of one exercise agree, or it is said in what they do not."""

import msgspec
import pytest

from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.landscape_cache import cached_landscape
from sim.score import score_run
from sim.score_agreement import further_apart_than_they_may
from sim.truth_sight import Sight
from tests.sim.test_exercise_run import for_so_long


@pytest.fixture(scope="module")
def score(tmp_path_factory):
    exercise = for_so_long(load_exercise(LIBRARY / "single-walker.toml"), 70.0)
    landscape = cached_landscape(exercise.scenario)
    sight = Sight(landscape)
    files = LockstepRun(exercise, tmp_path_factory.mktemp("run") / "run", landscape=landscape, sight=sight).run()
    return score_run(files.folder, exercise, landscape, sight)


@pytest.mark.parametrize(("change", "says"), [
    ({}, ""),
    ({"crossings_alarmed": 0}, "crossings_alarmed: 0 with processes, 1 in lockstep"),
    ({"false_alarms": 1}, "false_alarms: 1 with processes, 0 in lockstep"),
    ({"time_to_alarm_p50_s": 9.0}, "time_to_alarm_p50_s: 9.0"),
    ({"time_to_alarm_p50_s": None}, "time_to_alarm_p50_s: None"),
    ({"position_error_p50_m": 3.0}, "position_error_p50_m: 3.0"),
])
def test_what_two_ways_of_running_an_exercise_do_not_agree_in_is_said(score, change, says):
    assert score.truth.crossings_alarmed == 1
    other = msgspec.structs.replace(score, truth=msgspec.structs.replace(score.truth, **change))
    found = further_apart_than_they_may(other, score)
    assert [f.startswith(says) for f in found] == ([True] if says else [])
