"""A sensor is blind from the first second; a node's figures are those since its last report."""

import pytest

from edge.health import Meter, Sight
from wire.clock import SteppedClock
from wire.messages import SensorState
from wire.outbox import Outbox
from wire.units import Realm


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
    first = meter.report(outbox, 4, ["the disk is slow"])
    assert (first.frames_in, first.frames_dropped, first.frames_per_s) == (10, 4, 5.0)
    assert first.stage_ms == {"detect": pytest.approx(30.0)}
    assert first.problems == ("the disk is slow",)
    assert 10 < first.memory_mb < 5000
    clock.advance(1.0)
    second = meter.report(outbox, 4, [])
    assert (second.frames_per_s, second.stage_ms, second.uptime_s) == (0.0, {}, 3.0)


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.health.DISK_LOW_MB", 1e12)
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    assert "MB free" in Meter(clock, tmp_path).report(outbox, 0, []).problems[0]
