"""Who sees each metre now, what is owed, and what no clock, restart or lie can change about it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import Sector
from station.coverage import HOLD_NS, SAVE_EVERY_NS, Coverage
from station.coverage_picture import CoverageView, Grade, SeesNothing, SetWeather
from station.coverage_runs import NEVER, debt_of
from station.coverage_settings import CoverageSettings, Growth
from station.settings import StationSettings, load_station_settings
from tests.station.conftest import write_station
from tests.station.coverage_stage import (
    MIDNIGHT,
    NOON,
    SECTOR,
    S,
    beside,
    optics_of,
    report_of,
    straight_sector,
    with_outline,
)
from wire.clock import SteppedClock
from wire.messages import NodeHealth, SensorState
from wire.optics import SensorKind
from wire.units import GroundPosition, Realm, TimeQuality


class Station:
    """Coverage with a clock, fed as the mind feeds it."""

    def __init__(self, settings: StationSettings, sector: Sector = SECTOR, utc_ns: int = NOON, **changes: object) -> None:
        self.clock = SteppedClock(utc_ns)
        self.settings = replace(settings, coverage=CoverageSettings(**changes)) if changes else settings
        self.sector = sector
        self.coverage = Coverage(self.settings, sector, self.clock)

    def again(self) -> None:
        """As after a restart."""
        self.coverage.close()
        self.coverage = Coverage(self.settings, self.sector, self.clock)

    def hear(self, report: object, **changes: object) -> None:
        at_ns = changes.pop("at_ns", self.clock.utc_ns())
        report = msgspec.structs.replace(report, at_ns=at_ns, **changes)
        self.coverage.report(report.sensor, f"node of {report.sensor}", report, self.clock.utc_ns())

    def view(self, corridor: str) -> CoverageView:
        self.clock.advance(3.0)
        self.coverage.pass_time(0)
        return next(v for v in self.coverage.picture()[0] if v.corridor == corridor)

    def watch(self, report: object, seconds: float) -> None:
        for _ in range(round(seconds / 3)):
            self.hear(report)
            self.clock.advance(3.0)
            self.coverage.pass_time(0)

    def sensor(self, name: str) -> object:
        return next(s for s in self.coverage.picture()[1].sensors if s.sensor == name)


@pytest.fixture
def station(settings: StationSettings) -> Station:
    return Station(settings)


def watched(view: CoverageView) -> np.ndarray:
    seen = np.zeros(view.length_m, bool)
    for run in view.runs:
        seen[run.from_m : run.to_m] = run.age == 0
    return seen


def health(turning_to: str = "") -> NodeHealth:
    return NodeHealth(0, 1, 1, 0, 5, {}, 0, 0, 0, 100, 100, TimeQuality.NTP, True, turning_to=turning_to)


def test_a_camera_watches_the_metre_that_it_looks_at_and_not_the_rest_of_the_trail(station: Station) -> None:
    station.hear(beside("khe-da", 300.0))
    view = station.view("khe-da")
    seen = watched(view)
    assert seen[300]
    assert not seen[0] and not seen[-1]
    assert view.watched_m == seen.sum() and sum(view.grades_m) == view.length_m
    assert 30 < view.watched_m < 90       # 65 degrees at 40 m are 51 m across, and a bend lies there
    run = next(r for r in view.runs if r.from_m <= 300 < r.to_m)
    assert (run.sensor, Grade(run.grade)) == ("gate-1", Grade.DETECT)      # 1500 px / 41 m is 37 px a metre


def test_the_better_of_two_cameras_counts(station: Station) -> None:
    station.hear(beside("khe-da", 300.0))
    station.hear(beside("khe-da", 300.0, away_m=30.0, focal=8000.0, name="long"))
    view = station.view("khe-da")
    best = next(r for r in view.runs if r.from_m <= 300 < r.to_m)
    assert (best.sensor, Grade(best.grade)) == ("long", Grade.IDENTIFY)
    assert {r.sensor for r in view.runs} == {"", "gate-1", "long"}


def test_what_is_seen_owes_nothing_and_what_is_not_owes_each_metre_its_hours(station: Station) -> None:
    report = beside("khe-da", 300.0)
    station.watch(report, 3600)
    view = station.view("khe-da")
    assert view.debt_mh == pytest.approx(view.length_m - view.watched_m, rel=0.01)
    other = next(v for v in station.coverage.picture()[0] if v.corridor == "ben-song")
    assert other.debt_mh == pytest.approx(other.length_m, rel=0.01)
    whole = station.coverage.picture()[1]
    assert whole.weighted_mh == pytest.approx(4 * view.debt_mh + 2 * other.debt_mh)


def test_a_drone_that_flies_along_a_corridor_pays_what_it_sees(station: Station) -> None:
    station.clock.advance(7200)
    line = SECTOR.corridors.ground("khe-da").centre_line
    before = station.view("khe-da")
    assert before.debt_mh == pytest.approx(2 * before.length_m, rel=0.01)
    for along in np.arange(0.0, line.length - 60.0, 9.0):
        here, ahead = (np.array(line.interpolate(d).coords[0]) for d in (along, along + 40.0))
        yaw = float(np.degrees(np.arctan2(*(ahead - here))) % 360.0)
        station.hear(report_of("eye", here, 165.0 + 30.0, optics_of(yaw, -35.0), NOON))
        station.clock.advance(1.0)
        station.coverage.pass_time(0)
    after = station.view("khe-da")
    assert after.never_m < 0.15 * after.length_m
    assert after.debt_mh < 0.15 * before.debt_mh
    assert any(run.age == 1 for run in after.runs), "what it flew over is young, and no longer watched"
    station.clock.advance(3600)
    assert station.view("khe-da").debt_mh > 0.95 * after.length_m, "and the debt grows again"


def test_a_silent_a_blind_and_a_turning_camera_see_nothing(station: Station) -> None:
    report = beside("khe-da", 300.0)
    station.hear(report)
    assert station.view("khe-da").watched_m > 0
    station.clock.advance(HOLD_NS / S)
    assert station.view("khe-da").watched_m == 0
    assert station.sensor("gate-1").why is SeesNothing.SILENT
    for state in SensorState:
        station.hear(report, state=state)
        assert bool(station.view("khe-da").watched_m) is (state is SensorState.SEEING), state
    station.hear(report)
    station.coverage.health("node of gate-1", health("river"))
    assert station.view("khe-da").watched_m == 0
    assert station.sensor("gate-1").why is SeesNothing.TURNING
    station.coverage.health("node of gate-1", health())
    station.hear(report)
    assert station.view("khe-da").watched_m > 0


def test_what_turns_fast_smears_its_pictures_at_dusk_and_not_in_sunshine(settings: StationSettings) -> None:
    fast, slow = (beside("khe-da", 300.0, turning_deg_s=t) for t in (40.0, 0.5))
    assert watched_by(settings, fast, NOON) > 0
    assert watched_by(settings, slow, NOON + 19_500 * S) > 0
    assert watched_by(settings, fast, NOON + 19_500 * S) == 0


def watched_by(settings: StationSettings, report: object, utc_ns: int, **changes: object) -> int:
    """Metres of Khe Đá that a station of its own counts after this report alone."""
    station = Station(settings, utc_ns=utc_ns, **changes)
    station.hear(report)
    return station.view("khe-da").watched_m


def test_noise_of_telemetry_that_looks_like_turning_is_not_believed(settings: StationSettings) -> None:
    station = Station(settings, utc_ns=NOON + 19_500 * S)
    shaking = beside("khe-da", 300.0, turning_deg_s=40.0)
    for turned in (0.0, 0.2, 0.1):
        o = shaking.optics
        station.hear(shaking, optics=msgspec.structs.replace(o, yaw_deg=o.yaw_deg + turned))
        station.clock.advance(1.0)
    assert station.view("khe-da").watched_m > 0


def test_a_fast_drone_leaves_no_gaps_between_its_reports(station: Station) -> None:
    line = SECTOR.corridors.ground("khe-da").centre_line
    # Looking steeply down with a long lens, it sees less of the trail at a time than it flies in a second.
    for along in np.arange(500.0, 640.0, 14.0):
        here, ahead = (np.array(line.interpolate(d).coords[0]) for d in (along, along + 30.0))
        yaw = float(np.degrees(np.arctan2(*(ahead - here))) % 360.0)
        station.hear(report_of("eye", here, 165.0 + 30.0, optics_of(yaw, -45.0, 4000.0), NOON))
        alone = station.coverage.seen_at_s("khe-da")
        station.clock.advance(1.0)
    seen = np.flatnonzero(alone)
    assert np.diff(seen).max() <= 2, "every metre of the way"
    assert 8 < station.view("khe-da").watched_m < 18


def test_a_day_camera_sees_nothing_on_a_night_without_moon_and_a_lamp_or_heat_does(settings: StationSettings) -> None:
    station = Station(settings, utc_ns=MIDNIGHT)
    for name, kind, lamp_reach_m in (
        ("day", SensorKind.DAY, 0.0), ("grey", SensorKind.LOW_LIGHT, 0.0), ("lamp", SensorKind.LOW_LIGHT, 60.0),
        ("heat", SensorKind.THERMAL, 0.0),
    ):
        station.hear(beside("khe-da", 300.0, name=name, kind=kind, lamp_reach_m=lamp_reach_m))
    assert station.view("khe-da").watched_m > 0
    assert [station.sensor(n).why for n in ("day", "grey", "lamp", "heat")] == [
        SeesNothing.CONDITIONS, SeesNothing.CONDITIONS, SeesNothing.NONE, SeesNothing.NONE,
    ]


def test_dusk_comes_without_anything_else_happening(settings: StationSettings) -> None:
    station = Station(settings, utc_ns=NOON + 5 * 3600 * S)
    report = beside("khe-da", 300.0)
    seen = []
    for _ in range(20):
        station.watch(report, 6)
        seen.append(station.view("khe-da").watched_m)
        station.clock.advance(600)
    assert seen[0] > 30 and seen[-1] == 0
    assert seen == sorted(seen, reverse=True)


def test_fog_that_a_person_reports_takes_the_far_trail_and_holds_for_its_hours(station: Station) -> None:
    far = beside("khe-da", 300.0, away_m=100.0, focal=6000.0)
    station.hear(far)
    assert station.view("khe-da").watched_m > 0
    station.coverage.set_weather(SetWeather("lan", 80.0, 0.0, 1.0, 2.0))
    station.hear(far)
    assert station.view("khe-da").watched_m == 0
    whole = station.coverage.picture()[1]
    assert (whole.weather_by, whole.visibility_m) == ("lan", 80.0)
    station.again()
    station.hear(far)
    assert station.view("khe-da").watched_m == 0, "the word outlives a restart"
    station.clock.advance(2 * 3600)
    station.hear(far)
    assert station.view("khe-da").watched_m > 0
    assert station.coverage.picture()[1].weather_by == ""


def test_a_ridge_hides_the_trail_behind_it(settings: StationSettings) -> None:
    mast, o = np.array([0.0, -100.0]), optics_of(0.0, -5.0, 3000.0)
    free, hidden = (Station(settings, straight_sector(ridge_m=m)) for m in (0.0, 20.0))
    for station in (free, hidden):
        station.hear(report_of("gate", mast, 173.0, o, NOON, station.sector))
    assert free.view("east").watched_m > 50
    assert hidden.view("east").watched_m == 0
    hidden.hear(report_of("gate", mast, 165.0 + 60.0, optics_of(0.0, -31.0, 4000.0), NOON, hidden.sector))
    assert hidden.view("east").watched_m > 40, "from above the ridge"


def test_growth_hides_a_trail_where_its_depth_was_measured(settings: StationSettings) -> None:
    low = beside("khe-da", 300.0, height_m=5.0)
    assert watched_by(settings, low, NOON, growth={}) > 0
    assert watched_by(settings, low, NOON, growth={"khe-da": Growth(15.0, 6.0)}) == 0
    assert watched_by(settings, low, NOON, growth={"ben-song": Growth(15.0, 6.0)}) > 0
    high = beside("khe-da", 300.0, height_m=40.0, focal=3000.0)
    assert watched_by(settings, high, NOON, growth={"khe-da": Growth(15.0, 6.0)}) > 0, "from above through little of it"


def test_a_restart_forgets_nothing_and_claims_nothing_for_the_time_it_was_off(station: Station) -> None:
    station.watch(beside("khe-da", 300.0), 60)
    before = station.coverage.seen_at_s("khe-da")
    station.coverage.close()
    station.clock.advance(1800)
    station.coverage = Coverage(station.settings, SECTOR, station.clock)
    assert (station.coverage.seen_at_s("khe-da") == before).all()
    view = station.view("khe-da")
    assert view.watched_m == 0
    assert station.coverage.unseen_s("khe-da") == pytest.approx(1806, abs=4)


def test_what_was_seen_after_the_last_writing_is_read_again(station: Station, settings: StationSettings) -> None:
    from station.store import INBOX, open_store
    from wire.codec import encode_envelope
    from wire.messages import Envelope

    inbox = open_store(settings.inbox_db, INBOX, Realm.TRAINING, station.clock)
    report = beside("khe-da", 300.0)
    for i in (1, 2):
        payload = encode_envelope(Envelope("cam", 1, i, msgspec.structs.replace(report, at_ns=station.clock.utc_ns())))
        inbox.execute(
            "INSERT INTO arrivals(id, node, boot, sequence, kind, received_ns, payload) "
            "VALUES (?, 'cam', 1, ?, 'sensor', ?, ?)",
            (i, i, station.clock.utc_ns(), payload),
        )
        station.clock.advance(600)
        if i == 1:
            station.clock.advance(SAVE_EVERY_NS / S)
            station.coverage.pass_time(1)
    # Killed here: the second report was heard, and nothing written.
    killed = Coverage(settings, SECTOR, station.clock)
    killed.catch_up(inbox, 2, lambda node, sensor: sensor)
    assert killed.seen_at_s("khe-da")[300] == station.clock.utc_ns() // S - 600
    killed.close()


@pytest.mark.parametrize("jump_s", [-86_400.0, -30.0, 3600.0])
def test_a_clock_that_is_set_changes_no_age(station: Station, jump_s: float) -> None:
    station.watch(beside("khe-da", 300.0), 30)
    station.clock.advance(600)
    before = station.view("khe-da")
    waited_s = station.coverage.unseen_s("khe-da")
    station.clock.step_utc(jump_s)
    after = station.view("khe-da")
    assert station.coverage.unseen_s("khe-da") == pytest.approx(waited_s + 3, abs=3)
    assert after.debt_mh == pytest.approx(before.debt_mh, rel=0.02)
    assert [r.age for r in after.runs] == [r.age for r in before.runs]
    station.hear(beside("khe-da", 300.0))
    assert station.view("khe-da").watched_m > 0


def test_a_file_from_a_clock_that_ran_ahead_does_not_claim_the_future(station: Station) -> None:
    station.watch(beside("khe-da", 300.0), 30)
    station.clock.advance(600)
    assert station.view("khe-da").watched_m == 0
    waited_s = station.coverage.unseen_s("khe-da")
    station.coverage.close()
    station.clock.step_utc(-5 * 86_400)
    station.coverage = Coverage(station.settings, SECTOR, station.clock)
    assert station.coverage.unseen_s("khe-da") == pytest.approx(waited_s, abs=2)


def test_late_news_pay_for_the_past_and_watch_nothing_now(station: Station) -> None:
    station.clock.advance(3600)
    station.hear(beside("khe-da", 300.0), at_ns=NOON + 600 * S)
    view = station.view("khe-da")
    assert view.watched_m == 0
    assert station.coverage.unseen_s("khe-da") == pytest.approx(3000, abs=5)


def test_news_from_the_future_pay_until_now_at_most(station: Station) -> None:
    station.hear(beside("khe-da", 300.0), at_ns=NOON + 9 * S)
    assert station.coverage.seen_at_s("khe-da").max() == NOON // S


def test_an_outline_that_a_sensor_draws_too_large_gains_it_nothing_and_is_told(station: Station) -> None:
    honest = with_outline(beside("khe-da", 300.0))
    station.hear(honest)
    truth = station.view("khe-da").watched_m
    assert not station.sensor("gate-1").doubtful
    liar = msgspec.structs.replace(honest, footprint=tuple(
        GroundPosition(SECTOR.frame.lat_deg + a, SECTOR.frame.lon_deg + b) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))
    ), sensor="liar")
    station.hear(liar)
    assert station.view("khe-da").watched_m == truth
    assert station.sensor("liar").doubtful and not station.sensor("gate-1").doubtful


def test_lenses_that_cannot_be_and_sensors_that_tell_nothing_count_for_nothing(station: Station) -> None:
    report = beside("khe-da", 300.0)
    station.hear(msgspec.structs.replace(report, sensor="mute", optics=None))
    station.hear(msgspec.structs.replace(
        report, sensor="liar", optics=msgspec.structs.replace(report.optics, fx=1e9, fy=1e9, reach_m=1e9)
    ))
    assert station.view("khe-da").watched_m == 0
    assert station.sensor("mute").why is SeesNothing.NO_OPTICS
    assert station.sensor("liar").why is SeesNothing.IMPLAUSIBLE


def test_a_simulated_sensor_pays_nothing_at_a_live_station(settings: StationSettings, station_folder) -> None:
    (station_folder / "live").mkdir()
    station = Station(replace(settings, realm=Realm.LIVE, data_dir=station_folder / "live"))
    station.hear(beside("khe-da", 300.0), simulated=True)
    assert station.view("khe-da").watched_m == 0
    assert station.sensor("gate-1").why is SeesNothing.NOT_HERE


def test_a_corridor_is_unseen_only_when_nobody_sees_any_of_it(station: Station) -> None:
    assert station.coverage.unseen_s("khe-da") == pytest.approx(0, abs=1)
    station.clock.advance(900)
    assert station.coverage.unseen_s("khe-da") == pytest.approx(900, abs=1)
    station.hear(beside("khe-da", 300.0))
    station.view("khe-da")
    assert station.coverage.unseen_s("khe-da") == 0.0
    station.clock.advance(60)
    station.view("khe-da")
    assert station.coverage.unseen_s("khe-da") == pytest.approx(66, abs=4)
    assert station.coverage.unseen_s("ben-song") > 960


def test_the_planner_is_told_what_nobody_sees_the_heaviest_first(station: Station) -> None:
    station.watch(beside("khe-da", 300.0), 3600)
    station.view("khe-da")
    views, whole = station.coverage.picture()
    debt = debt_of(views, SECTOR, station.clock.utc_ns())
    weights = [s.debt_mh * s.weight for s in debt.segments]
    assert weights == sorted(weights, reverse=True)
    assert sum(s.debt_mh for s in debt.segments) == pytest.approx(whole.debt_mh, rel=0.01)
    assert {s.corridor for s in debt.segments} == {"khe-da", "ben-song"}
    assert all(s.last_seen_ns == 0 for s in debt.segments)
    assert msgspec.json.decode(msgspec.json.encode(debt), type=type(debt)) == debt


def test_news_are_told_once_and_only_where_something_changed(station: Station) -> None:
    station.view("khe-da")
    assert {v.corridor for v in station.coverage.take_news()[0]} == {"khe-da", "ben-song"}
    station.hear(beside("khe-da", 300.0))
    station.view("khe-da")
    views, whole = station.coverage.take_news()
    assert [v.corridor for v in views] == ["khe-da"] and whole is not None
    assert station.coverage.take_news() == ((), None)


def test_never_seen_is_told_from_long_ago(station: Station) -> None:
    station.watch(beside("khe-da", 300.0), 6)
    station.clock.advance(3 * 86_400)
    assert {r.age for r in station.view("khe-da").runs} == {NEVER - 1, NEVER}


@hypothesis_settings(max_examples=25, deadline=None)
@given(looks=st.lists(
    st.tuples(st.integers(0, 1100), st.integers(1, 900), st.sampled_from(["a", "b"])), min_size=1, max_size=12
))
def test_whatever_is_seen_and_when_the_file_gives_it_back(looks: list[tuple[int, int, str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="tw-") as folder:
        settings = load_station_settings(write_station(Path(folder)))
        settings.make_folders()
        station = Station(settings)
        for at_m, wait_s, name in looks:
            station.hear(beside("khe-da", float(at_m), name=name))
            station.clock.advance(wait_s)
        station.clock.advance(HOLD_NS / S)
        before = station.view("khe-da").runs
        seen = station.coverage.seen_at_s("khe-da")
        assert (seen > 0).any()
        station.again()
        assert (station.coverage.seen_at_s("khe-da") == seen).all()
        station.coverage.pass_time(0)
        assert station.coverage.picture()[0][0].runs == before
        station.coverage.close()
