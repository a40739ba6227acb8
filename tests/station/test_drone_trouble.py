"""A drone in the air that is not heard, or does not know where it is, is an alarm until it is well again or down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from geofences.sector import load_sector
from station.picture import AlarmView
from station.settings import StationSettings
from tests.station.test_mind import Bench
from wire.flying import DroneTelemetry, LinkState
from wire.keys import NodeKind
from wire.units import HeightMsl, Position


@pytest.fixture
def bench(settings: StationSettings) -> Iterator[Bench]:
    made = Bench(settings, load_sector(settings.sector))
    yield made
    made.close()


class Fleet:
    def __init__(self, bench: Bench, node) -> None:
        self.bench, self.node = bench, node

    def tell(self, *, link: LinkState = LinkState.CONNECTED, armed: bool = True, fix: int = 3, for_s: float = 3.0) -> None:
        """The same word each half second, for so long."""
        for _ in range(round(for_s / 0.5)):
            self.node.send(DroneTelemetry(
                "drone-1", self.bench.clock.utc_ns(), link, 0.1, 1, "ab", True, armed, "AUTO",
                Position(16.62, 106.6, HeightMsl(200.0)), 40.0, 8.0, 90.0, 80.0, 16.0, fix, 3, 9,
            ))
            self.bench.deliver(self.node)
            self.bench.later(0.5)

    def alarms(self) -> list[AlarmView]:
        return [a for a in self.bench.mind.picture().alarms if a.rule == "drone_trouble"]


@pytest.fixture
def fleet(bench, sender) -> Fleet:
    return Fleet(bench, sender("fleet-1", NodeKind.FLEET))


@pytest.mark.parametrize(("trouble", "key"), [
    ({"link": LinkState.LOST}, "alarm.drone_lost"), ({"fix": 1}, "alarm.drone_no_position"),
])
def test_trouble_in_the_air_is_one_alarm_that_notes_when_it_is_over(fleet, trouble, key) -> None:
    fleet.tell()
    assert fleet.alarms() == []
    fleet.tell(**trouble, for_s=5.0)
    (alarm,) = fleet.alarms()
    assert (alarm.says.key, alarm.says.params["drone"], alarm.priority, alarm.simulated) == (key, "drone-1", 2, True)
    fleet.tell()
    (alarm,) = fleet.alarms()
    assert alarm.events[-1].reason == "recovered"


def test_without_a_position_and_then_not_heard_is_the_same_alarm_that_says_what_is_wrong_now(fleet) -> None:
    fleet.tell(fix=1, for_s=5.0)
    fleet.tell(link=LinkState.LATE, fix=1, for_s=3.0)
    fleet.tell(link=LinkState.LOST, fix=1, for_s=5.0)
    (alarm,) = fleet.alarms()
    assert alarm.says.key == "alarm.drone_lost"
    assert [e.reason for e in alarm.events] == [""], "it was never over"


def test_on_the_ground_and_for_a_moment_it_is_no_trouble(fleet) -> None:
    fleet.tell(link=LinkState.LOST, armed=False, for_s=5.0)
    fleet.tell(fix=0, armed=False, for_s=5.0)
    fleet.tell(fix=2, for_s=1.0)
    fleet.tell()
    assert fleet.alarms() == []
