"""Figures in their form: the median with its spread, goals judged by nobody's hand, names that are known."""

import json

import msgspec
import pytest

from benchmarks import form
from benchmarks.form import Peer, Result, as_table, figure
from wire.settings import SettingsError


def test_a_figure_is_the_median_of_its_runs_with_their_spread():
    f = figure([5.0, 1.0, 3.0], "s", "thrice")
    assert (f.value, f.spread, f.met) == (3.0, (1.0, 5.0), None)
    assert figure([0.123456], "s", "once").value == 0.1235


@pytest.mark.parametrize(
    ("goal", "met"), [(">= 3", True), (">= 3.01", False), ("> 3", False), ("<= 3", True), ("< 3", False), ("< 3.5", True)]
)
def test_a_goal_is_met_or_not_by_the_median(goal, met):
    assert figure([3.0, 2.0, 9.0], "s", "thrice", goal).met is met


@pytest.mark.parametrize("goal", ["100", "about 3", ">= x", ""])
def test_a_goal_that_is_none_is_refused(goal):
    with pytest.raises(ValueError, match="is no goal"):
        figure([1.0], "s", "once", goal)


def test_the_json_has_the_form_of_the_design():
    result = Result("x", form.machine(), {"k": figure([4.0, 4.6], "ratio", "two runs", ">= 4.0", Peer("other", 1.0))})
    found = json.loads(msgspec.json.encode(result))
    assert found["bench"] == "x"
    assert {"processor", "cores", "python"} <= found["machine"].keys()
    assert found["figures"]["k"] == {
        "value": 4.3, "unit": "ratio", "spread": [4.0, 4.6], "how": "two runs", "goal": ">= 4.0", "met": True,
        "peer": {"name": "other", "value": 1.0},
    }
    assert "goal >= 4.0: met" in as_table(result)
    assert "other: 1" in as_table(result)


def test_an_unknown_benchmark_is_refused_with_those_that_there_are():
    with pytest.raises(SettingsError, match=r'bench: there is no "wrold"; there are .*world'):
        form.run("wrold")
    assert "form" not in form.names()


@pytest.mark.slow
def test_the_world_is_measured(monkeypatch):
    from benchmarks import world

    for name, value in {"BEGIN_S": 3.0, "SECONDS": 2.0, "RUNS": 1}.items():
        monkeypatch.setattr(world, name, value)
    figures = form.run("world").figures
    assert figures["times_real_time"].goal == ">= 100"
    assert figures["times_real_time"].value > 1.0
    assert figures["landscape_read_s"].value < figures["landscape_made_s"].value
