"""A party is one alarm: what a person is asked once, and what nobody may be swallowed by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.alarm_settings import AlarmSettings, RuleKind, RuleSettings
from station.alarms import Decision, decide
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from station.parties import companions
from station.picture import AlarmState
from station.rules import AlarmDesk
from wire.clock import NS_PER_S
from wire.units import ObjectClass

SECTOR = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")
LINE = SECTOR.corridors.ground("khe-da").centre_line
T0 = 1_780_000_000 * NS_PER_S
ENTRY = AlarmSettings(rules=(RuleSettings("entry", RuleKind.CORRIDOR_ENTRY, 3),))


class Trail:
    """One sensor, people on the trail by metres from its beginning, and a desk that asks about each who enters."""

    def __init__(self) -> None:
        self.fusion = Fusion(SECTOR.corridors)
        self.desk = AlarmDesk(
            SECTOR, settings=ENTRY, companions_of=lambda contact: companions(contact, self.fusion.contacts.values())
        )

    def look(self, t: float, along_m: dict[int, float]) -> None:
        at_ns = T0 + round(t * NS_PER_S)
        seen = tuple(
            Seen(f"n/1/a/{who}", ObjectClass.PERSON, 0.8, np.array(LINE.interpolate(m).coords[0]), np.eye(2) * 0.2, None)
            for who, m in along_m.items()
        )
        for contact in self.fusion.observe(SensorFrame("a", at_ns, at_ns, True, seen))[0]:
            self.desk.judge(contact, at_ns)

    def alarms_of(self, who: int) -> list[int]:
        contact = self.fusion.of_track(f"n/1/a/{who}")
        return [a.number for a in self.desk.open.values() if contact is not None and contact.number in a.contacts]


@pytest.mark.parametrize("apart_s", [0.0, 2.0, 6.0])
def test_a_file_of_walkers_is_one_alarm_that_names_each(apart_s) -> None:
    """They come into sight one after the other, each while the one before is still in sight."""
    trail = Trail()
    for k in range(150):
        t = k * 0.2
        trail.look(t, {i: 100.0 + 1.2 * t - 3.0 * i for i in range(4) if t >= i * apart_s})
    assert [trail.alarms_of(i) for i in range(4)] == [[1]] * 4
    (alarm,) = trail.desk.open.values()
    assert alarm.says.params["contacts"] == 4


def test_who_comes_the_other_way_or_well_behind_is_asked_about_by_himself() -> None:
    trail = Trail()
    for k in range(100):
        t = k * 0.2
        trail.look(t, {0: 100.0 + 1.2 * t, 1: 70.0 + 1.2 * t, 2: 131.0 - 1.2 * t})
    assert sorted(trail.alarms_of(i) for i in range(3)) == [[1], [2], [3]]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 40), st.floats(1, 12), st.sampled_from([-1.2, 0.0, 1.2])), min_size=1, max_size=6),
    st.sampled_from([AlarmState.ACKNOWLEDGED, AlarmState.SHELVED, AlarmState.CLOSED]), st.integers(0, 60),
)
def test_each_walker_is_in_an_alarm_and_an_answered_one_swallows_nobody(walkers, answer, answered_at) -> None:
    """Whoever comes whenever, from where, and whichever way: nobody goes without an alarm, nor into one that is answered."""
    trail = Trail()
    answered: dict[int, int] = {}
    for k in range(75):
        t = k * 0.4
        trail.look(t, {i: 80.0 + 10.0 * apart + way * t for i, (from_s, apart, way) in enumerate(walkers) if t >= from_s})
        if k == answered_at:
            for alarm in trail.desk.open.values():
                reason = "60 x" if answer is AlarmState.SHELVED else "lawful"
                assert decide(alarm, Decision(answer, "lan", reason), T0 + k) is None
                answered[alarm.number] = len(alarm.contacts)
    for contact in trail.fusion.contacts.values():
        if contact.detections >= 3:
            assert any(contact.number in a.contacts for a in trail.desk.open.values())
    assert {n: len(trail.desk.open[n].contacts) for n in answered} == answered
