"""A sensor is blind from the first second; a node's figures are those since its last report."""

import pytest

from edge.blindness import Verdict
from edge.health import Meter, Sight, temperature_c
from edge.position import PositionVerdict
from wire.clock import SteppedClock
from wire.messages import SensorState
from wire.node_words import NodeText
from wire.outbox import Outbox
from wire.units import Realm, TimeQuality


def test_blind_from_the_first_second_without_a_frame_and_seeing_with_the_next():
    clock = SteppedClock()
    sight = Sight(clock)
    assert (sight.state, sight.detail) == (SensorState.BLIND, "no picture yet")
    sight.frame()
    clock.advance(1.0)
    sight.nothing("")
    assert sight.state is SensorState.SEEING
    clock.advance(0.01)
    sight.nothing("the plug is out")
    assert (sight.state, sight.detail, sight.since_ns) == (SensorState.BLIND, "the plug is out", clock.utc_ns())
    began = sight.since_ns
    clock.advance(5)
    sight.nothing("the plug is out")
    assert sight.since_ns == began
    sight.frame()
    assert (sight.state, sight.detail, sight.since_ns) == (SensorState.SEEING, "", clock.utc_ns())


def test_a_report_has_means_since_the_last_one(tmp_path):
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    meter = Meter(clock, tmp_path)
    for _ in range(10):
        meter.frames_in += 1
        with meter.stage("detect"):
            clock.advance(0.03)
        clock.advance(0.17)
    first = meter.report(outbox, 4, [NodeText("the disk is slow")])
    assert (first.frames_in, first.frames_dropped, first.frames_per_s) == (10, 4, 5.0)
    assert first.stage_ms == {"detect": pytest.approx(30.0)}
    assert first.problems == ("the disk is slow",)
    assert 10 < first.memory_mb < 5000
    clock.advance(1.0)
    second = meter.report(outbox, 4, [])
    assert (second.frames_per_s, second.stage_ms, second.uptime_s) == (0.0, {}, 3.0)


def test_a_report_tells_how_often_each_stage_ran_and_what_the_checks_found(tmp_path):
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    meter = Meter(clock, tmp_path)
    for k in range(10):
        meter.frames_in += 1
        for stage in ("gate", *(["detect"] if k % 5 == 0 else [])):
            with meter.stage(stage):
                clock.advance(0.1 if stage == "gate" else 0.5)
    wrong = PositionVerdict(False, 64.0, NodeText("moved by 64 m"))
    report = meter.report(outbox, 0, [], TimeQuality.GPS, wrong)
    assert report.stage_per_s == {"gate": 5.0, "detect": 1.0}
    assert (report.time_quality, report.position_trusted) == (TimeQuality.GPS, False)
    assert report.position_problem == "moved by 64 m"
    clock.advance(1.0)
    again = meter.report(outbox, 0, [])
    assert (again.stage_per_s, again.position_trusted, again.position_problem) == ({}, True, "")


def test_a_verdict_on_the_picture_is_the_state_of_the_sensor():
    clock = SteppedClock()
    sight = Sight(clock)
    sight.frame()
    clock.advance(1.0)
    sight.frame(Verdict(SensorState.COVERED, "a cloth"))
    assert (sight.state, sight.detail, sight.since_ns) == (SensorState.COVERED, "a cloth", clock.utc_ns())
    clock.advance(2.0)
    sight.nothing("the plug is out")
    assert sight.state is SensorState.BLIND, "no picture is worse than a covered one"
    sight.unusable("another shape")
    assert (sight.state, sight.detail) == (SensorState.BLIND, "another shape")
    sight.frame()
    assert sight.state is SensorState.SEEING


class Reading:
    def __init__(self, current):
        self.current = current


@pytest.mark.parametrize(("sensors", "expected"), [
    ({}, None), ({"cpu": [Reading(51.5), Reading(48.0)], "nvme": [Reading(39.0)]}, 51.5),
    ({"odd": [Reading(None), Reading(0.0), Reading(6553.5), Reading(-273.0)]}, None),
    ({"odd": [Reading(255.0)], "cpu": [Reading(40.0)]}, 40.0),
])
def test_the_temperature_is_that_of_the_hottest_sensor_that_can_be_believed(monkeypatch, sensors, expected):
    monkeypatch.setattr("psutil.sensors_temperatures", lambda: sensors, raising=False)
    assert temperature_c() == expected


@pytest.mark.parametrize("error", [OSError("gone"), AttributeError("another system")])
def test_a_machine_that_cannot_tell_its_temperature_has_none(monkeypatch, error):
    def fails():
        raise error

    monkeypatch.setattr("psutil.sensors_temperatures", fails, raising=False)
    assert temperature_c() is None


def test_heat_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("psutil.sensors_temperatures", lambda: {"cpu": [Reading(97.0)]}, raising=False)
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    report = Meter(clock, tmp_path).report(outbox, 0, [])
    assert report.temperature_c == 97.0 and "97 degrees Celsius" in report.problems[0]


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.health.DISK_LOW_MB", 1e12)
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    assert "MB free" in Meter(clock, tmp_path).report(outbox, 0, []).problems[0]


def test_a_disk_that_has_gone_is_a_problem_and_no_end(tmp_path):
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    report = Meter(clock, tmp_path / "gone").report(outbox, 0, [])
    assert report.disk_free_mb == 0.0 and "cannot be asked: No such file" in report.problems[0]
