"""After an outage a node's newest words come first: what they have overtaken on the line takes nothing of them back."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from station.coverage import Coverage
from station.settings import StationSettings
from station.situation import Situation
from tests.station.coverage_stage import NOON, SECTOR, S, optics_of, report_of
from tests.station.test_mind import Bench, bench, sector  # noqa: F401 -- fixtures
from wire.clock import SteppedClock
from wire.messages import NodeHealth, SensorReport, SensorState
from wire.units import HeightMsl, Position, TimeQuality


def flown_over(along_m: float, at_ns: int) -> SensorReport:
    """By a drone that sees less of the trail than it flies in a second."""
    line = SECTOR.corridors.ground("khe-da").centre_line
    here, ahead = (np.array(line.interpolate(d).coords[0]) for d in (along_m, along_m + 30.0))
    yaw = float(np.degrees(np.arctan2(*(ahead - here))) % 360.0)
    return report_of("eye", here, 165.0 + 30.0, optics_of(yaw, -45.0, 4000.0), at_ns)


def test_what_a_drone_saw_before_neither_moves_it_back_nor_has_it_see_what_lies_between(settings: StationSettings) -> None:
    heard = {}
    for name, (first, last) in {"in order": (0, 600), "overtaken": (600, 0)}.items():
        clock = SteppedClock(NOON + 3600 * S)
        coverage = Coverage(settings, SECTOR, clock)
        words = {0: [flown_over(300.0 + 14 * k, NOON + k * S) for k in range(3)], 600: [flown_over(600.0, clock.utc_ns())]}
        for when in (first, last):
            for word in words[when]:
                coverage.report("eye", "node", word, clock.utc_ns())
        clock.advance(1.0)
        coverage.report("eye", "node", flown_over(601.0, clock.utc_ns()), clock.utc_ns())
        heard[name] = coverage.seen_at_s("khe-da")
        coverage.close()
        settings.coverage_db.unlink()
    assert np.count_nonzero(heard["in order"]) > 30
    assert heard["overtaken"].tolist() == heard["in order"].tolist()


def report(at_ns: int, state: SensorState, since_ns: int, lat_deg: float) -> SensorReport:
    return SensorReport("eye", at_ns, Position(lat_deg, 106.59, HeightMsl(170.0)), (), state, since_ns, False)


def test_where_a_sensor_was_before_does_not_stand_for_where_it_is() -> None:
    situation = Situation()
    situation.report("drone-1-eye", report(3600 * S, SensorState.SEEING, S, 16.64), 3600 * S)
    situation.report("drone-1-eye", report(10 * S, SensorState.SEEING, S, 16.61), 3601 * S)
    assert situation.sensors["eye"].position.lat_deg == 16.64
    situation.report("drone-1-eye", report(3603 * S, SensorState.SEEING, S, 16.65), 3603 * S)
    assert situation.sensors["eye"].position.lat_deg == 16.65


def test_a_sensor_that_goes_blind_after_its_clock_was_set_back_is_blind() -> None:
    situation = Situation()
    situation.report("cam-1", report(3600 * S, SensorState.SEEING, S, 16.62), 3600 * S)
    situation.report("cam-1", report(3000 * S, SensorState.BLIND, 2999 * S, 16.62), 3603 * S)
    assert situation.sensors["eye"].state is SensorState.BLIND


@pytest.mark.parametrize("turning_to", ["river", ""])
def test_a_camera_turns_by_its_newest_word_alone(bench: Bench, sender: Any, turning_to: str) -> None:  # noqa: F811
    node = sender()
    now_ns = bench.clock.utc_ns()
    health = NodeHealth(now_ns, 1, 1, 0, 5, {}, 0, 0, 0, 100, 100, TimeQuality.NTP, True, turning_to=turning_to)
    earlier = msgspec.structs.replace(health, at_ns=now_ns - 3600 * S, turning_to="" if turning_to else "river")
    for word in (health, earlier):
        node.send(word)
        bench.deliver(node)
        bench.think()
    assert ("cam-1" in bench.mind._coverage._turning) is bool(turning_to)
