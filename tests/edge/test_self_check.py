"""A node that is carried off, or told so, or covered, says it to its station, and its places say how unsure they are."""

import time

import cv2
import numpy as np
import pytest

from cameras.pose import Pose, PoseEstimate, PoseSigma
from edge.position import PositionVerdict
from edge.self_check import REFERENCE_FILE, SelfCheck
from edge.settings import load_setup
from edge.sources import Image
from tests.gpsd_stage import Gpsd, Receiver, require
from tests.ptz_camera import turning
from wire.clock import SteppedClock
from wire.messages import DetectionBatch, NodeHealth, PlacementBearing, PlacementPoint, SensorReport, SensorState
from wire.node_words import NO_TEXT, NodeText
from wire.settings import SettingsError
from wire.units import TimeQuality

HERE = (16.620915, 106.593924)
SURVEY = PoseEstimate(Pose(0, 0, 170, 184, -20), PoseSigma(0.2, 0.1, 0.3, 0.15, 0.15))


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def position(port, **limits):
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    return ("[source]", f'[position]\ngpsd = "127.0.0.1:{port}"\n{lines}\n[source]')


@pytest.fixture
def receiver():
    require()
    receiver = Receiver(HERE)
    yield receiver
    receiver.stop()


def test_a_signal_that_contradicts_the_survey_is_told_and_widens_the_places(settings, station, start, receiver):
    gpsd = Gpsd(receiver).begin()
    try:
        node = start(settings([position(gpsd.port, moved_m=100.0)]))
        wait_for(lambda: any(isinstance(d.placement, PlacementPoint) for b in station.bodies(DetectionBatch)
                             for d in b.detections))
        assert all(h.position_trusted for h in station.bodies(NodeHealth))
        receiver.place = (HERE[0] + 0.004, HERE[1])
        wait_for(lambda: not station.bodies(NodeHealth)[-1].position_trusted)
        wait_for(lambda: "north of its survey" in station.bodies(NodeHealth)[-1].position_problem)
        told = station.bodies(NodeHealth)[-1]
        assert told.position_problem in told.problems
        wait_for(lambda: {type(d.placement) for d in station.bodies(DetectionBatch)[-1].detections} == {PlacementBearing})
        assert node.poll() is None
    finally:
        gpsd.kill()


def test_a_silent_gpsd_costs_a_node_no_frame(settings, station, start):
    from tests.gpsd_stage import FalseDaemon

    daemon = FalseDaemon(lambda connection: None)
    try:
        start(settings([position(daemon.port, lost_after_s=3.0)]))
        wait_for(lambda: any("says nothing" in h.position_problem for h in station.bodies(NodeHealth)))
        assert station.bodies(NodeHealth)[-1].frames_per_s > 2.0
    finally:
        daemon.stop()


def test_without_a_receiver_nobody_doubts_the_survey(settings):
    checks = SelfCheck(load_setup(settings()), SteppedClock())
    assert checks.position == PositionVerdict(True, 0.0, "")
    assert checks.widened(SURVEY) is SURVEY
    assert checks.problems == []
    assert checks.time_quality is TimeQuality.FREE          # nobody was asked yet


class Verdicts:
    """A watch whose verdict a test sets."""

    clock_offset_s = None

    def __init__(self, verdict):
        self.verdict = verdict


def textured(k) -> Image:
    chance = np.random.default_rng(5)
    ground = np.zeros((480, 640, 3), np.float32)
    for cell in (80, 20, 4):
        ground += cv2.resize(chance.uniform(0, 70, (480 // cell, 640 // cell, 3)).astype(np.float32), (640, 480))
    return np.clip(ground + np.random.default_rng(k).normal(0, 2, ground.shape), 0, 255).astype(np.uint8)


def test_a_camera_that_still_shows_its_view_was_not_carried_off_whatever_a_signal_says(settings):
    """False signals would else turn every place into a bearing, and blind the border."""
    setup = load_setup(settings([position(9)]))
    setup.outbox.parent.mkdir(exist_ok=True)
    clock = SteppedClock()
    checks = SelfCheck(setup, clock)
    checks._position = Verdicts(PositionVerdict(False, 900.0, NodeText("spoofed")))
    assert checks.widened(SURVEY).sigma.position_m == 900.0
    for k in range(40):
        checks.look(textured(k))
        clock.advance(1.0)
    assert (setup.outbox.parent / REFERENCE_FILE).exists()
    assert checks.widened(SURVEY).sigma.position_m == 5.0
    for k in range(3):
        checks.look(np.roll(textured(k), 60, 1))
        clock.advance(1.0)
    assert checks.widened(SURVEY).sigma.position_m == 900.0
    checks._position = Verdicts(PositionVerdict(True, 0.0, NO_TEXT))
    assert checks.widened(SURVEY) is SURVEY


def test_a_clock_that_the_settings_mask_does_not_hide_that_a_picture_stands_still(settings):
    masked = '{ name = "clock", polygon = [[80, 80], [240, 80], [240, 160], [80, 160]] }'
    said = []
    for changes in ([("[detector]", f"[gate]\nmasks = [{masked}]\n[detector]")], []):
        setup = load_setup(settings(changes))
        setup.outbox.parent.mkdir(exist_ok=True)
        clock = SteppedClock()
        checks, still = SelfCheck(setup, clock), textured(1)
        height, width = still.shape[:2]
        for k in range(40):
            picture = still.copy()
            picture[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5] = 20 * (k % 10)
            verdict = checks.look(picture)
            clock.advance(1.0)
        said.append(verdict.state)
    assert said == [SensorState.FROZEN, SensorState.SEEING]


def test_a_camera_that_turns_has_a_view_at_each_preset_and_only_a_foreign_one_is_moved(settings):
    setup = load_setup(settings(turning(TWO_PRESETS)))
    setup.outbox.parent.mkdir(exist_ok=True)
    clock = SteppedClock()
    checks = SelfCheck(setup, clock)
    gate, bend = (setup.at(p) for p in setup.presets)

    def looks(view, picture, seconds):
        checks.begin_at(view)
        states = []
        for k in range(seconds):
            states.append(checks.look(picture(k)).state)
            clock.advance(1.0)
        return set(states), states[-1]

    def elsewhere(k):
        return np.rot90(np.rot90(textured(k))).copy()

    for _ in range(2):          # learnt, and read again
        assert looks(gate, textured, 70) == ({SensorState.SEEING}, SensorState.SEEING)
        assert looks(bend, elsewhere, 70) == ({SensorState.SEEING}, SensorState.SEEING)
    assert len(list(setup.outbox.parent.glob("reference-view*.npz"))) == 2
    assert looks(gate, elsewhere, 70)[1] is SensorState.MOVED, "somebody turned it, and the node does not know"
    assert looks(bend, elsewhere, 10)[1] is SensorState.SEEING


TWO_PRESETS = """
[[presets]]
name = "gate"
token = "1"
yaw_deg = 184.0
pitch_deg = -21.0

[[presets]]
name = "bend"
token = "2"
yaw_deg = 4.0
pitch_deg = -21.0
"""


def test_a_node_whose_camera_is_covered_tells_its_station(settings, station, start, tools, video):
    grey = np.full((240, 320, 3), 60, np.uint8)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (320, 240))
    for k in range(30):
        writer.write(np.clip(grey + np.random.default_rng(k).normal(0, 2, grey.shape), 0, 255).astype(np.uint8))
    writer.release()
    start(settings())
    wait_for(lambda: station.bodies(SensorReport) and station.bodies(SensorReport)[-1].state is SensorState.COVERED)
    report = station.bodies(SensorReport)[-1]
    assert "nothing shows" in report.detail
    wait_for(lambda: report.detail in station.bodies(NodeHealth)[-1].problems)


@pytest.mark.parametrize(("replaced", "says"), [
    (("[source]", '[position]\ngpsd = "somewhere"\n[source]'), 'position.gpsd: "somewhere": give HOST:PORT'),
    (("[source]", '[position]\ngpsd = "host:port"\n[source]'), "give HOST:PORT"),
    (("[source]", "[position]\nmoved_m = 0.0\n[source]"), "position.moved_m: 0.0: give a number above 0"),
    (("[source]", "[position]\nlost_after_s = nan\n[source]"), "position.lost_after_s"),
    (('kind = "file"', 'kind = "usb"'), "needs device beside it"),
    (('kind = "file"\npath = "walk.avi"', 'kind = "usb"\ndevice = "video0"'), "give /dev/video0, or the number"),
])
def test_settings_that_cannot_be_say_what_to_do(settings, replaced, says):
    with pytest.raises(SettingsError) as refused:
        load_setup(settings([replaced]))
    assert says in str(refused.value)


@pytest.mark.parametrize(("text", "endpoint"), [("127.0.0.1:2947", ("127.0.0.1", 2947)), ("[::1]:29", ("::1", 29))])
def test_gpsd_is_named_by_host_and_port(settings, text, endpoint):
    setup = load_setup(settings([("[source]", f'[position]\ngpsd = "{text}"\n[source]')]))
    assert setup.settings.position.endpoint == endpoint
