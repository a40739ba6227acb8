"""A receiver contradicts a survey or it does not; a node learns it without ever waiting."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseSigma
from edge.geolocate import geolocate
from edge.gpsd_link import Fix, NoFix
from edge.position import PositionCheck, PositionLimits, PositionVerdict, PositionWatch
from geofences.geodesy import LocalFrame
from geofences.terrain import FlatTerrain
from tests.gpsd_stage import FalseDaemon, Gpsd, GpsFake, Receiver, burst, require, wait_until
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.node_words import NO_TEXT
from wire.units import GroundPosition

HERE = GroundPosition(16.620915, 106.593924)
FRAME = LocalFrame(16.62, 106.59)
LIMITS = PositionLimits()
QUICK = PositionLimits(moved_m=100.0, stale_after_s=1.0, lost_after_s=2.0)    # gpsd states 17 m for the sky of the stage


class Stage:
    """A check on a stepped clock, with fixes some metres from the survey."""

    def __init__(self, limits=LIMITS):
        self.clock = SteppedClock()
        self.check = PositionCheck(HERE, FRAME, limits, self.clock)

    def fix(self, east_m=0.0, north_m=0.0, error_m=5.0, old_s=0.3):
        self.clock.advance(1.0)
        place = FRAME.position(*np.add(FRAME.point(HERE), (east_m, north_m)))
        measured_ns = self.clock.utc_ns() - round(old_s * NS_PER_S)
        self.check.hear(Fix(place.lat_deg, place.lon_deg, error_m, measured_ns))
        return self.check.verdict

    def fixes(self, count, *args, **kwargs):
        for _ in range(count):
            self.fix(*args, **kwargs)
        return self.check.verdict

    def nothing(self, seconds, reason="no fix"):
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.check.hear(NoFix(reason))
        return self.check.verdict


def test_a_receiver_that_agrees_makes_no_words():
    assert Stage().fixes(30) == PositionVerdict(True, 0.0, "")


def test_one_wild_fix_is_no_move_and_five_in_a_row_are():
    stage = Stage()
    stage.fixes(5)
    assert stage.fixes(1, 45.0).trusted
    assert stage.fixes(5).trusted
    verdict = stage.fixes(5, 45.0, 45.0)
    assert not verdict.trusted and verdict.sigma_m == pytest.approx(63.6, abs=0.5)
    assert "64 m north-east of its survey" in verdict.problem
    assert stage.fixes(1).trusted is False, "the way back is a jump"
    assert stage.fixes(61).trusted


def test_a_receiver_that_is_unsure_contradicts_nothing():
    assert Stage().fixes(20, 45.0, error_m=40.0).trusted


def test_a_jump_is_held_for_a_minute():
    stage = Stage()
    stage.fixes(5)
    verdict = stage.fix(300.0)
    assert not verdict.trusted and "jumped by 300 m" in verdict.problem and verdict.sigma_m == pytest.approx(300, abs=1)
    assert not stage.fixes(30).trusted
    assert stage.fixes(61).trusted


def test_a_loss_is_said_at_once_and_believed_after_a_minute():
    stage = Stage()
    stage.fixes(5)
    assert stage.nothing(1) == PositionVerdict(True, 0.0, "")
    assert stage.nothing(5, "jammed") == PositionVerdict(True, 0.0, "position not checked: jammed")
    verdict = stage.nothing(60, "jammed")
    assert (verdict.trusted, verdict.sigma_m) == (False, LIMITS.untrusted_sigma_m)
    assert verdict.problem == "position unchecked for 66 s: jammed"
    assert stage.fixes(2) == PositionVerdict(True, 0.0, "")


def test_a_camera_that_was_moved_stays_so_when_the_receiver_is_lost():
    stage = Stage()
    stage.fixes(10, 200.0)
    assert "of its survey" in stage.nothing(100).problem


def test_a_fix_that_gpsd_repeats_is_none():
    """gpsd gives the last one for ever; it may be of years ago, and the first one asked for is no better than that."""
    stage = Stage()
    old = Fix(HERE.lat_deg, HERE.lon_deg, 5.0, stage.clock.utc_ns() - 1_000_000)
    for _ in range(12):
        stage.clock.advance(1.0)
        stage.check.hear(old)
    assert "repeats the fix of 2023-11-14" in stage.check.verdict.problem
    for _ in range(50):
        stage.clock.advance(1.0)
        stage.check.hear(old)
    assert not stage.check.verdict.trusted


def test_a_fix_of_another_year_is_none_even_when_its_seconds_run():
    verdict = Stage().fixes(70, old_s=19.6 * 365 * 86_400)
    assert not verdict.trusted and "the receiver or the clock is wrong" in verdict.problem


def test_a_daemon_that_is_gone_is_lost_like_a_receiver():
    stage = Stage()
    stage.fixes(5)
    stage.check.unheard("gpsd has gone")
    stage.clock.advance(5.0)
    assert stage.check.verdict == PositionVerdict(True, 0.0, "position not checked: gpsd has gone")
    stage.clock.advance(60.0)
    assert not stage.check.verdict.trusted


def test_a_thread_that_tells_nothing_more_is_noticed():
    stage = Stage()
    stage.fixes(5)
    stage.clock.advance(11.0)
    assert "no new fix for 11 s" in stage.check.verdict.problem
    stage.clock.advance(60.0)
    assert not stage.check.verdict.trusted


@given(st.lists(st.floats(0.05, 0.9), min_size=10, max_size=30), st.floats(-40.0, 40.0))
def test_the_clocks_offset_is_known_to_the_receivers_delay(delays_s, offset_s):
    stage = Stage()
    for delay_s in delays_s:
        stage.fix(old_s=delay_s + offset_s)
    assert abs(stage.check.clock_offset_s - offset_s) <= 0.95


def test_without_a_fresh_fix_nobody_knows_the_clocks_offset():
    stage = Stage()
    assert stage.check.clock_offset_s is None
    stage.fixes(3)
    assert stage.check.clock_offset_s == pytest.approx(0.3)
    stage.nothing(1)
    assert stage.check.clock_offset_s is None


FIXES = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.1, 1e3), st.floats(-1e9, 1e9))


@given(st.lists(st.one_of(FIXES, st.none()), max_size=40))
def test_an_untrusted_position_is_always_wider_and_says_why(told):
    stage = Stage()
    survey = PoseEstimate(Pose(0, 0, 170, 184, -20), PoseSigma(0.2, 0.1, 0.3, 0.15, 0.15))
    for one in told:
        verdict = stage.nothing(3) if one is None else stage.fix(*one)
        assert np.isfinite(verdict.sigma_m)
        assert verdict.trusted or (verdict.problem and verdict.sigma_m >= LIMITS.untrusted_sigma_m)
        widened = verdict.widened(survey)
        assert widened.sigma.position_m == max(survey.sigma.position_m, verdict.sigma_m)
        assert widened.pose == survey.pose


def test_a_camera_that_was_moved_on_a_slope_may_stand_as_much_higher_as_the_slope_says():
    mast = PoseSigma(0.2, 0.1, 0.3, 0.15, 0.15)
    level, sloping = (PoseEstimate(Pose(0, 0, 173, 0, -20), mast, slope=slope) for slope in ((0.0, 0.0), (0.0, 0.3)))
    lens = Lens(768, 576, 1000, 1000, 384, 288)
    ground = FlatTerrain(165.0, 0.3, synthetic=True)
    north_m = []
    for estimate in (level, sloping):
        wide = PositionVerdict(False, 10.0, NO_TEXT).widened(estimate)
        found = geolocate([[384.0, 288.0]], Camera(lens, 1.0, 1e9, 300.0), wide, ground)
        north_m.append(float(np.sqrt(found.covariance_m2[0, 1, 1])))
    assert north_m[0] == pytest.approx(10.0, abs=0.3)
    # Each metre to the north lifts it by 0.3 m, and that moves what it sees at 20 degrees down by 0.3 / tan 20 more.
    assert north_m[1] == pytest.approx(10.0 * (1.0 + 0.3 / np.tan(np.radians(20.0))), abs=0.3)


# -------------------------------------------------------------------------------------------------------- the real gpsd


@pytest.fixture
def receiver():
    require()
    receiver = Receiver((HERE.lat_deg, HERE.lon_deg))
    yield receiver
    receiver.stop()


@pytest.fixture
def gpsd(receiver):
    gpsd = Gpsd(receiver).begin()
    yield gpsd
    gpsd.kill()


def watch(port, limits=QUICK):
    clock = WallClock()
    return PositionWatch("127.0.0.1", port, PositionCheck(HERE, FRAME, limits, clock), clock, poll_s=0.1)


def says(it, words):
    wait_until(lambda: words in it.verdict.problem, f"nobody said: {words}")


def agrees(it):
    wait_until(lambda: it.verdict == PositionVerdict(True, 0.0, "") and it.clock_offset_s is not None, "no fix that agrees")


def test_fix_loss_jump_and_silence_of_a_real_receiver(gpsd, receiver):
    with watch(gpsd.port) as it:
        agrees(it)
        assert abs(it.clock_offset_s) < 1.5
        receiver.place = None
        says(it, "the GNSS receiver has no fix")
        assert it.clock_offset_s is None
        wait_until(lambda: not it.verdict.trusted, "the loss is not believed")
        receiver.place = (HERE.lat_deg, HERE.lon_deg)
        agrees(it)
        receiver.place = (HERE.lat_deg + 0.01, HERE.lon_deg)
        says(it, "jumped by 11")
        says(it, "m north of its survey")
        assert it.verdict.sigma_m == pytest.approx(1106, abs=10)
        receiver.shift = None                   # the plug is out, and gpsd repeats what it has
        says(it, "m north of its survey")
    with watch(gpsd.port) as fresh:             # a node that starts now
        wait_until(lambda: not fresh.verdict.trusted, "an old fix is taken for current")
        assert "repeats the fix" in fresh.verdict.problem


def test_a_real_receiver_of_another_date_is_not_believed(receiver):
    receiver.shift = -timedelta(days=400)
    gpsd = Gpsd(receiver).begin()
    try:
        with watch(gpsd.port) as it:
            says(it, "the receiver or the clock is wrong")
            wait_until(lambda: not it.verdict.trusted, "a fix of last year is taken for current")
    finally:
        gpsd.kill()


def test_a_daemon_that_dies_is_said_and_its_next_life_is_found(gpsd, receiver):
    with watch(gpsd.port) as it:
        agrees(it)
        gpsd.kill()
        wait_until(lambda: "gpsd at" in it.verdict.problem, "its death is not said")
        wait_until(lambda: not it.verdict.trusted, "its death is not believed")
        gpsd.begin()
        agrees(it)


def test_a_silent_daemon_is_said_and_nobody_waits_for_it(monkeypatch):
    monkeypatch.setattr("edge.gpsd_link.ANSWER_S", 0.5)
    daemon = FalseDaemon(lambda connection: None)
    try:
        with watch(daemon.port) as it:
            assert it.verdict.trusted
            says(it, "accepts and then says nothing")
            wait_until(lambda: not it.verdict.trusted, "a silent daemon is believed")
            wait_until(lambda: daemon.served >= 2, "it is not asked again")
    finally:
        daemon.stop()


def test_gpsfake_plays_a_camera_that_stands_and_one_that_was_carried_off(tmp_path):
    require()
    began = datetime.now(UTC)
    for metres, expected in ((0.0, ""), (400.0, "m east of its survey")):
        place = FRAME.position(*np.add(FRAME.point(HERE), (metres, 0.0)))
        log = tmp_path / f"{metres:.0f}.nmea"
        seconds = [burst(began + timedelta(seconds=k), place.lat_deg, place.lon_deg) for k in range(90)]
        log.write_text("".join(seconds))
        fake = GpsFake(log, seconds[0].count("$"))
        try:
            with watch(fake.port, PositionLimits(moved_m=100.0)) as it:
                wait_until(lambda it=it: it.clock_offset_s is not None, "gpsfake gives no fix")
                says(it, expected)
                assert it.verdict.trusted == (not expected)
        finally:
            fake.kill()
