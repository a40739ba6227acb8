"""Who is taken for somebody found again once an alarm is answered: who goes on as he went, and nobody who follows him."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.alarm_settings import AlarmSettings, RuleKind, RuleSettings
from station.alarms import Alarm, Decision, decide
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
FRAME_S = 1 / 3


class Trail:
    """Cameras that see stretches of one trail, people on it, and a desk that asks about each who enters."""

    def __init__(self, *stretches_m: tuple[float, float], sigma_m: float = 0.3, seed: int = 1) -> None:
        self.fusion = Fusion(SECTOR.corridors)
        self.desk = self._desk()
        self.now_s = 0.0
        self._stretches, self._sigma_m = stretches_m, sigma_m
        self._chance = np.random.default_rng(seed)

    def _desk(self, *known) -> AlarmDesk:
        return AlarmDesk(
            SECTOR, *known, settings=ENTRY,
            companions_of=lambda contact: companions(contact, self.fusion.contacts.values()),
        )

    def go(self, until_s: float, hidden=lambda t, along_m: False, **walkers) -> None:
        """Until then; walkers: by name, where along the trail each is at a time, or None."""
        while self.now_s < until_s:
            self.now_s += FRAME_S
            at_ns = T0 + round(self.now_s * NS_PER_S)
            for camera, (begin_m, end_m) in enumerate(self._stretches):
                seen = tuple(
                    Seen(f"n/{camera}/{name}", ObjectClass.PERSON, 0.8, self._place(along_m), self._covariance, None)
                    for name, where in walkers.items()
                    if (along_m := where(self.now_s)) is not None and begin_m <= along_m <= end_m
                    and not hidden(self.now_s, along_m)
                )
                for contact in self.fusion.observe(SensorFrame(f"n-{camera}", at_ns, at_ns, True, seen))[0]:
                    self.desk.judge(contact, at_ns)
            self.desk.pass_time(at_ns)

    @property
    def _covariance(self) -> np.ndarray:
        return np.eye(2) * self._sigma_m**2

    def _place(self, along_m: float) -> np.ndarray:
        return np.array(LINE.interpolate(along_m).coords[0]) + self._chance.normal(0.0, self._sigma_m, 2)

    def take_all(self) -> None:
        for alarm in self.alarms:
            if alarm.is_unanswered:
                assert decide(alarm, Decision(AlarmState.ACKNOWLEDGED, "lan", ""), T0 + round(self.now_s * NS_PER_S)) is None

    def restart(self) -> None:
        """As a mind that was killed: alarms and contacts come back from the disk."""
        kept = [msgspec.msgpack.decode(msgspec.msgpack.encode(a), type=Alarm) for a in self.alarms]
        self.desk = self._desk(kept, self.desk.next_number)
        self.desk.recall(self.fusion.contacts.values())

    @property
    def alarms(self) -> list[Alarm]:
        return [a for _, a in sorted(self.desk.open.items())]


def from_(begin_m: float, starts_s: float = 0.0, pace: float = 1.2):
    return lambda t: begin_m + pace * (t - starts_s) if t >= starts_s else None


@pytest.mark.parametrize("after_s", [40.0, 60.0, 90.0, 140.0])
@pytest.mark.parametrize("restarted", [False, True])
def test_who_crosses_after_an_alarm_was_taken_is_asked_about(after_s, restarted) -> None:
    """The first is out of sight after 25 s. The next one comes in where he came in, and goes the same way."""
    trail = Trail((300.0, 330.0))
    first, second = from_(300.0), from_(300.0, after_s)
    trail.go(10.0, first=first)
    trail.take_all()
    trail.go(35.0, first=first)
    if restarted:
        trail.restart()
    trail.go(after_s + 10.0, first=first, second=second)
    assert [a.state for a in trail.alarms] == [AlarmState.ACKNOWLEDGED, AlarmState.ACTIVE]
    assert [len(a.contacts) for a in trail.alarms] == [1, 1]


@pytest.mark.parametrize("after_s", [57.0, 70.0, 100.0])
def test_who_comes_the_other_way_where_the_first_was_lost_is_asked_about(after_s) -> None:
    """After the half minute in which a contact that is out of sight lives on, and might have turned back."""
    trail = Trail((300.0, 330.0))
    trail.go(10.0, first=from_(300.0))
    trail.take_all()
    trail.go(after_s + 10.0, first=from_(300.0), second=from_(330.0, after_s, pace=-1.2))
    assert len(trail.alarms) == 2


@pytest.mark.parametrize("after_s", [65.0, 90.0])
def test_who_comes_up_where_another_was_lost_a_minute_ago_is_asked_about(after_s) -> None:
    """A detector loses people in the middle of a picture, and finds the next one there for the first time."""
    trail = Trail((300.0, 360.0))
    trail.go(10.0, first=from_(300.0))
    trail.take_all()

    def not_found(t: float, along_m: float) -> bool:
        return along_m > 318.0 if t < after_s else along_m < 319.0

    trail.go(after_s + 30.0, hidden=not_found, first=from_(300.0), second=from_(300.0, after_s))
    assert [len(a.contacts) for a in trail.alarms] == [1, 1]


@pytest.mark.parametrize("gap_s", [35.0, 60.0])
@pytest.mark.parametrize("restarted", [False, True])
def test_who_was_hidden_and_goes_on_is_not_asked_about_again(gap_s, restarted) -> None:
    """Trees hide him for longer than a contact lives; what comes out of them ahead, at his pace, is he."""
    trail = Trail((300.0, 450.0))
    walker = from_(300.0)

    def behind_trees(t: float, _: float) -> bool:
        return 20.0 < t < 20.0 + gap_s

    trail.go(10.0, first=walker)
    trail.take_all()
    trail.go(20.0 + gap_s / 2, hidden=behind_trees, first=walker)
    if restarted:
        trail.restart()
    trail.go(20.0 + gap_s + 15.0, hidden=behind_trees, first=walker)
    (alarm,) = trail.alarms
    assert (alarm.state, len(alarm.contacts)) == (AlarmState.ACKNOWLEDGED, 2)


@pytest.mark.parametrize("pace", [0.6, 1.2, 1.9])
def test_who_reaches_the_next_camera_is_not_asked_about_again_and_who_follows_him_is(pace) -> None:
    """Two cameras 60 m apart; the second one comes 40 m behind the first, and each goes past both."""
    trail = Trail((300.0, 330.0), (390.0, 420.0))
    behind_s = 40.0 / pace
    walkers = {"first": from_(300.0, pace=pace), "second": from_(300.0, behind_s, pace)}
    while trail.now_s < behind_s + 115.0 / pace:
        trail.go(trail.now_s + 5.0, **walkers)
        trail.take_all()
    assert [a.contacts for a in trail.alarms] == [[1, 3], [2, 4]]


def test_who_stands_and_is_lost_and_found_there_is_not_asked_about_again() -> None:
    trail = Trail((300.0, 360.0))

    def stands(_: float) -> float:
        return 320.0

    def often_hidden(t: float, _: float) -> bool:
        return t % 50.0 > 12.0          # seen for twelve seconds, hidden for longer than a contact lives

    trail.go(11.0, hidden=often_hidden, him=stands)
    trail.take_all()
    trail.go(300.0, hidden=often_hidden, him=stands)
    (alarm,) = trail.alarms
    assert len(alarm.contacts) >= 4


def test_while_nobody_has_answered_who_comes_after_joins_the_open_question_and_is_counted_there() -> None:
    trail = Trail((300.0, 330.0))
    trail.go(55.0, first=from_(300.0), second=from_(300.0, 40.0))
    (alarm,) = trail.alarms
    assert alarm.is_unanswered and alarm.says.params["contacts"] == 2


@given(
    st.lists(st.floats(33.0, 200.0), min_size=1, max_size=5), st.sampled_from([0.7, 1.2, 1.9]), st.sampled_from([1.0, -1.0]),
    st.floats(0.3, 1.7), st.integers(0, 9999),
)
@settings(max_examples=30, deadline=None)
def test_however_many_cross_one_after_the_other_each_is_somebodys_question(gaps_s, pace, way, sigma_m, seed) -> None:
    """Every alarm is taken two seconds after it came up: whoever comes later can only be asked about anew."""
    trail = Trail((300.0, 325.0), sigma_m=sigma_m, seed=seed)
    begin_m, starts, walkers, walked_s = 300.0 if way > 0 else 325.0, 0.0, {}, 25.0 / pace
    for k, gap_s in enumerate([0.0, *gaps_s]):
        starts += gap_s + (walked_s if k else 0.0)
        walkers[f"w{k}"] = from_(begin_m, starts, way * pace)
    while trail.now_s < starts + walked_s:
        trail.go(trail.now_s + 2.0, **walkers)
        trail.take_all()
    assert len(trail.alarms) == len(walkers)
