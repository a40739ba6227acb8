"""A corridor that nobody sees for longer than its rule allows is an alarm: a real mind, fed through a real inbox file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from geofences.corridors import CorridorMap, make_corridor_set
from station.alarm_settings import load_alarm_settings
from station.mind import Mind
from station.picture import AlarmState, AlarmView, ChangeAlarm, Done
from station.sentences import SENTENCES
from station.settings import StationSettings
from station.store import INBOX, open_store
from tests.station.coverage_stage import NOON, SECTOR, beside
from wire.clock import SteppedClock
from wire.codec import encode_envelope
from wire.messages import Envelope, SensorReport, SensorState
from wire.settings import SettingsError
from wire.units import Realm

SECTOR_FILE = Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml"
AFTER_S = 1800          # of [technical.no_coverage] in configs/sectors/laobao/alarms.toml


class Night:
    """A mind whose time stands in the test's hand, and an inbox file into which arrivals are put as the inbox puts them."""

    def __init__(self, settings: StationSettings, hours: tuple[int, int] = (0, 1440)) -> None:
        told = (msgspec.structs.replace(c, alarm_minutes=hours) for c in SECTOR.corridor_set.corridors)
        laid = make_corridor_set(SECTOR.id, tuple(told))
        self.sector = replace(SECTOR, corridor_set=laid, corridors=CorridorMap(laid, SECTOR.frame))
        self.settings, self.clock, self.sent = settings, SteppedClock(NOON), 0
        self.inbox = open_store(settings.inbox_db, INBOX, Realm.TRAINING, self.clock)
        self.mind = Mind(settings, self.sector, self.clock)

    def hear(self, report: SensorReport, **changes: object) -> None:
        self.sent += 1
        at_ns = self.clock.utc_ns()
        body = msgspec.structs.replace(report, at_ns=at_ns, **changes)
        self.inbox.execute(
            "INSERT INTO arrivals(id, node, boot, sequence, kind, received_ns, payload) "
            "VALUES (?, 'cam', 1, ?, 'sensor', ?, ?)",
            (self.sent, self.sent, at_ns, encode_envelope(Envelope("cam", 1, self.sent, body))),
        )

    def pass_time(self, seconds: float, report: SensorReport | None = None, **changes: object) -> None:
        """Three seconds at a time; report: what a node says in each of them."""
        for _ in range(round(seconds / 3)):
            if report is not None:
                self.hear(report, **changes)
            while self.mind.read():
                pass
            self.clock.advance(3.0)
            self.mind.pass_time()
        self.mind.commit()

    def start_again(self) -> None:
        self.mind.close()
        self.mind = Mind(self.settings, self.sector, self.clock)

    @property
    def alarms(self) -> list[AlarmView]:
        return [a for a in self.mind.picture().alarms if a.rule == "no_coverage"]

    def close(self) -> None:
        self.mind.close()
        self.inbox.close()


@pytest.fixture
def night(settings: StationSettings) -> Iterator[Night]:
    made = Night(settings)
    yield made
    made.close()


SEEING = beside("khe-da", 300.0)


def test_a_corridor_that_nobody_sees_any_more_is_an_alarm_with_its_reason(night: Night) -> None:
    night.pass_time(300, SEEING)
    night.pass_time(AFTER_S - 30)
    assert night.alarms == []
    night.pass_time(60)
    (alarm,) = night.alarms
    assert (alarm.state, alarm.priority, alarm.says.key) == (AlarmState.ACTIVE, 3, "alarm.no_coverage")
    assert (alarm.says.params["corridor_id"], alarm.says.params["minutes"]) == ("khe-da", 30)
    assert "Khe Đá" in SENTENCES[alarm.says.key].format(**alarm.says.params)


def test_it_is_over_when_a_camera_sees_it_again_and_back_when_that_goes(night: Night) -> None:
    night.pass_time(AFTER_S + 60)
    (alarm,) = night.alarms
    night.pass_time(30, SEEING)
    (alarm,) = night.alarms
    assert (alarm.state, alarm.events[-1].reason) == (AlarmState.ACTIVE, "recovered"), "it stays until somebody has seen it"
    night.pass_time(AFTER_S + 60)
    (alarm,) = night.alarms
    assert alarm.events[-1].reason == "again"
    assert night.mind.answer(ChangeAlarm(alarm.id, AlarmState.ACKNOWLEDGED, "lan")) == Done()
    night.pass_time(30, SEEING)
    (alarm,) = night.alarms
    assert (alarm.state, alarm.events[-1].reason) == (AlarmState.CLOSED, "recovered")


def test_a_camera_that_looks_and_sees_nothing_covers_nothing(night: Night) -> None:
    night.pass_time(300, SEEING)
    night.pass_time(AFTER_S + 60, SEEING, state=SensorState.BLIND)
    assert len(night.alarms) == 1


@pytest.mark.parametrize("off_s", [60, 1200])
def test_a_mind_that_starts_again_raises_it_once_and_counts_from_the_last_sight(night: Night, off_s: int) -> None:
    night.pass_time(300, SEEING)
    night.pass_time(AFTER_S - 300)
    night.start_again()
    night.clock.advance(off_s)
    night.pass_time(360)
    assert len(night.alarms) == 1
    night.start_again()
    night.pass_time(360)
    assert len(night.alarms) == 1


def test_a_clock_that_is_set_back_an_hour_does_not_stop_the_count(night: Night) -> None:
    night.pass_time(300, SEEING)
    night.clock.step_utc(-3600.0)
    night.pass_time(AFTER_S + 60)
    assert len(night.alarms) == 1


def test_outside_its_hours_it_is_no_fault_and_ends_when_it_is_seen(settings: StationSettings) -> None:
    night = Night(settings, hours=(12 * 60, 12 * 60 + 35))      # 12:00 to 12:35 at Lao Bao
    try:
        night.pass_time(AFTER_S + 60)
        assert len(night.alarms) == 1
        night.pass_time(600)                                    # 12:41 by now
        night.pass_time(30, SEEING)
        assert night.alarms[0].events[-1].reason == "recovered"
    finally:
        night.close()


def test_a_corridor_may_have_a_time_of_its_own(settings: StationSettings, tmp_path: Path) -> None:
    """Ben Song is of priority 2, of which the others ask for nothing."""
    for file in SECTOR_FILE.parent.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "alarms.toml").write_text("[technical.no_coverage.corridors]\nben-song = 600.0\n")
    night = Night(replace(settings, sector=tmp_path / "sector.toml"))
    try:
        night.pass_time(660)
        assert [a.says.params["corridor_id"] for a in night.alarms] == ["ben-song"]
        night.pass_time(AFTER_S - 600)
        assert [a.says.params["corridor_id"] for a in night.alarms] == ["ben-song", "khe-da"]
    finally:
        night.close()


@pytest.mark.parametrize(
    ("line", "says"),
    [("ben-sung = 600.0", "technical.no_coverage.corridors.ben-sung: it is no corridor of this sector"),
     ("ben-song = -1.0", "technical.no_coverage.corridors.ben-song: -1.0: give 0 or more seconds")],
)
def test_a_time_for_no_corridor_is_refused(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "alarms.toml").write_text(f"[technical.no_coverage.corridors]\n{line}\n")
    with pytest.raises(SettingsError) as refused:
        load_alarm_settings(tmp_path / "sector.toml", SECTOR)
    assert f"alarms.toml:2: {says}" in str(refused.value)
