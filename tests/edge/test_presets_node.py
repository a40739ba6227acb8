"""A real node with a camera that turns: a head behind ONVIF's SOAP (tests/ptz_camera.py), and what it would see.

No real PTZ camera was at hand. The pictures are drawn from a panorama by the head's own pan and tilt at each moment, so that
the node sees what it would see, also on the way.
"""

import math
import socket
import threading
import time

import cv2
import numpy as np
import pytest
import zmq

from cameras.pose import Pose
from cameras.project import project, rays
from edge.settings import load_setup
from tests.ptz_camera import PASSWORD, USER, PtzCamera, turning
from wire.clock import WallClock
from wire.frame_feed import RenderedFrame, encode_frame
from wire.messages import (
    DetectionBatch,
    NodeHealth,
    Order,
    OrderAction,
    OrderResult,
    PlacementPoint,
    SensorReport,
    SensorState,
)
from wire.units import GroundPosition

PRESETS = """
[[presets]]
name = "gate"
token = "1"
yaw_deg = 184.0
pitch_deg = -21.0

[[presets]]
name = "bend"
token = "2"
yaw_deg = 120.0
pitch_deg = -17.0
"""
AWAY_M = {"gate": 22.0, "bend": 27.0}
CLOCK = WallClock()


class View:
    """Publishes what the head sees: a panorama of noise, and a bright walker on the ground before each preset."""

    def __init__(self, camera, setup, port):
        self.camera, self.setup = camera, setup
        draw = np.random.default_rng(3)
        layers = [cv2.resize(draw.normal(0, 1, (1024 // k, 2048 // k)), (2048, 1024)) * k**0.5 for k in (1, 4, 16)]
        self.panorama = np.clip(90 + 18 * sum(layers), 5, 180).astype(np.uint8)
        lens = setup.camera.lens
        grid = np.stack(np.meshgrid(np.arange(lens.width_px), np.arange(lens.height_px)), -1).reshape(-1, 2).astype(float)
        self.grid, self.drawn = grid, None
        self.socket = zmq.Context.instance().socket(zmq.PUB)
        self.socket.linger = 0
        self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def walker(self, preset, at_s):
        """(3,) east, north, height of its feet: it paces across the line of sight."""
        pose = next(p for p in self.setup.presets if p.name == preset).survey.pose
        yaw = math.radians(pose.yaw_deg)
        side = 1.0 * math.sin(at_s)
        east = pose.east_m + AWAY_M[preset] * math.sin(yaw) + side * math.cos(yaw)
        north = pose.north_m + AWAY_M[preset] * math.cos(yaw) - side * math.sin(yaw)
        return np.array([east, north, float(self.setup.sector.terrain.height_msl_m([[east, north]])[0])])

    def ground(self, pose, lens):
        """What lies before the head; drawn once for as long as it stands still."""
        looks = pose.yaw_deg, pose.pitch_deg
        if self.drawn is None or self.drawn[0] != looks:
            east, north, up = rays(self.grid, pose, lens).T
            x = (np.arctan2(east, north) / (2 * np.pi) % 1.0 * 2047).astype(np.float32).reshape(lens.height_px, -1)
            y = ((0.5 - np.arcsin(np.clip(up, -1, 1)) / np.pi) * 1023).astype(np.float32).reshape(lens.height_px, -1)
            self.drawn = looks, cv2.cvtColor(cv2.remap(self.panorama, x, y, cv2.INTER_LINEAR), cv2.COLOR_GRAY2BGR)
        return self.drawn[1].copy()

    def picture(self, at_s):
        stands = self.setup.survey.pose
        pose, lens = Pose(stands.east_m, stands.north_m, stands.height_msl_m, *self.camera.looks()), self.setup.camera.lens
        image = self.ground(pose, lens)
        for preset in AWAY_M:
            feet = self.walker(preset, at_s)
            foot, head = project([feet, feet + np.array([0, 0, 1.7])], pose, lens)
            if np.isfinite([foot, head]).all():
                half = 0.25 * (foot[1] - head[1])
                corners = [round(float(v)) for v in (foot[0] - half, head[1], foot[0] + half, foot[1])]
                cv2.rectangle(image, corners[:2], corners[2:], (255, 255, 255), -1)
        return image

    def _serve(self):
        k = 0
        while not self.stop.wait(0.1):
            now_ns = CLOCK.utc_ns()
            image = self.picture(now_ns / 1e9 % 1000)
            jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            self.socket.send(encode_frame(RenderedFrame("gate-1", k, now_ns, image.shape[1], image.shape[0], True, jpeg)))
            k += 1

    def close(self):
        self.stop.set()
        self.thread.join()
        self.socket.close()


@pytest.fixture
def camera():
    camera = PtzCamera({"1": (184.0, -21.0), "2": (120.0, -17.0)}, speed=15.0, at=(40.0, -5.0))
    yield camera
    camera.close()


@pytest.fixture
def post(settings, camera):
    """A node's settings whose camera is the stand-in, and what it sees."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    ptz = f'host = "127.0.0.1"\nport = {camera.port}\nuser = "{USER}"\npassword = "{PASSWORD}"'
    source = ('kind = "file"\npath = "walk.avi"\nloop = true', f'kind = "simulator"\nendpoint = "tcp://127.0.0.1:{port}"')
    file = settings([*turning(PRESETS, "onvif", ptz), source])
    view = View(camera, load_setup(file), port)
    yield file, view
    view.close()


def wait_for(true, seconds=90.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def last(station, kind):
    return (station.bodies(kind) or [None])[-1]


def placed(station, view, since=0):
    """(n,) metres from each place that was told to the nearest walker at that moment."""
    off = []
    for batch in station.bodies(DetectionBatch)[since:]:
        for d in batch.detections:
            assert isinstance(d.placement, PlacementPoint)
            at = view.setup.sector.frame.point(GroundPosition(d.placement.position.lat_deg, d.placement.position.lon_deg))
            walkers = [view.walker(p, batch.captured_ns / 1e9 % 1000)[:2] for p in AWAY_M]
            off.append(min(float(np.hypot(*(np.array(at) - w))) for w in walkers))
    return off


@pytest.mark.slow
def test_a_camera_is_turned_to_its_presets_and_what_it_sees_is_placed_by_the_right_one(post, camera, station, start):
    file, view = post
    node = start(file)
    preset = lambda: getattr(last(station, NodeHealth), "preset", None)     # noqa: E731
    wait_for(lambda: preset() == "gate")
    assert camera.asked == ["1"]
    health = last(station, NodeHealth)
    assert health.presets == ("gate", "bend") and health.profiles == ("day", "night", "rain") and health.profile == "day"
    turning_reports = [r for r in station.bodies(SensorReport) if r.state is SensorState.CALIBRATING]
    assert turning_reports and not turning_reports[-1].footprint and 'to the preset "gate"' in turning_reports[-1].detail
    wait_for(lambda: len(placed(station, view)) >= 10)
    at_gate = last(station, SensorReport)
    assert at_gate.state is SensorState.SEEING and at_gate.footprint

    station.tell(Order("o-1", "gate-1", OrderAction.PTZ_PRESET, "bend"))
    wait_for(lambda: getattr(last(station, NodeHealth), "turning_to", "") == "bend")
    on_the_way = len(station.bodies(DetectionBatch))
    wait_for(lambda: station.bodies(OrderResult))
    assert last(station, OrderResult) == OrderResult(
        "o-1", True, 'the camera looks at the preset "bend"', "node_says.order_preset", {"preset": "bend"}
    )
    assert camera.looks() == (120.0, -17.0)
    wait_for(lambda: len(station.bodies(DetectionBatch)) >= on_the_way + 10)
    wait_for(lambda: last(station, SensorReport).footprint not in ((), at_gate.footprint))
    assert np.max(placed(station, view)) < 3.0, "by a pose of before, or of the way, it would be 20 m off and more"
    assert not [r for r in station.bodies(SensorReport) if r.state is SensorState.MOVED]

    node.kill()
    node.wait()
    camera.go("1")              # somebody else turns it, while no node is there to see that
    killed = station.received[-1].boot
    batches = len(station.bodies(DetectionBatch))
    node = start(file)
    # What the killed one had not got rid of comes first, and says "bend" too.
    wait_for(lambda: any(
        isinstance(e.body, NodeHealth) and e.body.preset == "bend" for e in station.received if e.boot != killed
    ))
    assert camera.asked[-1] == "2" and camera.looks() == (120.0, -17.0)
    wait_for(lambda: len(station.bodies(DetectionBatch)) >= batches + 5)
    assert np.max(placed(station, view, batches)) < 3.0


@pytest.mark.slow
def test_a_camera_that_is_gone_is_not_placed_by_and_comes_back_by_itself(post, camera, station, start, monkeypatch):
    file, view = post
    camera.fault = "dies"
    start(file)
    wait_for(lambda: getattr(last(station, SensorReport), "state", None) is SensorState.MOVED)
    assert "nobody knows where the camera looks" in last(station, SensorReport).detail
    assert station.bodies(DetectionBatch) == [] and not last(station, SensorReport).footprint
    station.tell(Order("o-1", "gate-1", OrderAction.PTZ_PRESET, "bend"))
    wait_for(lambda: station.bodies(OrderResult))
    assert not last(station, OrderResult).done
    camera.fault = ""
    wait_for(lambda: last(station, NodeHealth).preset == "gate")
    wait_for(lambda: len(placed(station, view)) >= 5)
    assert np.max(placed(station, view)) < 3.0


