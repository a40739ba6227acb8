"""The suite: what counts as worse, its JSON, and a short run whose recorded results must not get worse."""

import msgspec
import pytest

from sim.exercise_scenario import load_exercise
from sim.exercise_suite import SOURCE, as_miss_table, as_table, conditions, read_short, run_suite, worse_than
from sim.score_misses import Missed
from wire.settings import SettingsError

KEYS = {
    "crossings", "detected", "pd", "pd_low", "pd_high", "false_alarms_per_camera_day", "time_to_alarm_p50_s",
    "position_error_p50_m", "ellipse90_share", "source",
}


@pytest.mark.parametrize("path", conditions(), ids=lambda p: p.stem)
def test_every_condition_is_a_sound_exercise(path):
    exercise = load_exercise(path)
    assert exercise.name == path.stem
    assert exercise.settings.exercise.nothing_to_find == path.stem.startswith("quiet")


def test_the_recorded_result_has_every_condition_and_says_where_each_row_is_from():
    recorded = read_short()
    assert set(recorded.conditions) == {p.stem for p in conditions()}
    table = msgspec.to_builtins(recorded)
    for name, row in table["conditions"].items():
        assert set(row) >= KEYS
        assert row["source"] == SOURCE
        assert (row["pd"] is None) == name.startswith("quiet")
        if row["pd"] is not None:
            assert row["pd_low"] <= row["pd"] <= row["pd_high"]
            assert row["pd"] == pytest.approx(row["detected"] / row["crossings"], abs=1e-4)
    assert as_table(recorded).count("\n") == 1 + len(recorded.conditions)


def test_every_crossing_without_an_alarm_has_its_reason_and_everybody_is_counted_by_name():
    unseen = {Missed.UNCOVERED.value, Missed.BLIND.value, Missed.GLIMPSE.value}
    for name, row in read_short().conditions.items():
        assert sum(n for reason, n in row.missed.items() if reason not in unseen) == row.crossings - row.detected, name
        assert [sum(n) for n in zip((0, 0), *row.actors.values(), strict=True)] == [row.detected, row.crossings], name
    table = as_miss_table(read_short())
    assert "the detector did not find them" in table and "lower-crouching: 0 of 5" in table
    assert table.count("\n") == 1 + sum(not p.stem.startswith("quiet") for p in conditions())


@pytest.mark.parametrize(("change", "says"), [
    ({"pd": 0.5}, "pd is 0.5"),
    ({"pd": None}, "pd is None"),
    ({"false_alarms": 3}, "3 false alarms"),
    ({"time_to_alarm_p50_s": 9.0}, "time_to_alarm_p50_s is 9.0"),
    ({"position_error_p50_m": 4.0}, "position_error_p50_m is 4.0"),
    ({"unasked": 7}, "about 7 nobody was asked"),
])
def test_what_is_worse_is_said(change, says):
    recorded = read_short()
    day = msgspec.structs.replace(recorded.conditions["day"], **change)
    now = msgspec.structs.replace(recorded, conditions=recorded.conditions | {"day": day})
    (worse,) = worse_than(recorded, now)
    assert worse.startswith("day: ") and says in worse
    assert worse_than(recorded, recorded) == []


def test_a_condition_that_is_gone_is_worse():
    recorded = read_short()
    rest = {n: c for n, c in recorded.conditions.items() if n != "day"}
    assert worse_than(recorded, msgspec.structs.replace(recorded, conditions=rest)) == ["day: is not measured any more"]


def test_a_condition_that_there_is_not_is_refused():
    with pytest.raises(SettingsError, match="quiet-night"):
        run_suite(only=("snow",))


@pytest.mark.slow
@pytest.mark.parametrize("name", [p.stem for p in conditions()])
def test_the_short_suite_is_not_worse_than_it_was_recorded(name):
    recorded = read_short()
    alone = msgspec.structs.replace(recorded, conditions={name: recorded.conditions[name]})
    assert worse_than(alone, run_suite(short=True, only=(name,))) == []
