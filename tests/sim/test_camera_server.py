"""A camera of the simulated world, as its node sees it: pictures of now, or none and why."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq

from cameras.pose import NoPose, Pose
from cameras.project import project
from cameras.sim_mark import LIKENESS_LIMIT, simulated_likeness
from edge.settings import NodeSettings
from edge.streams import SimulatorSource
from geofences.geodesy import LocalFrame
from sim.autopilot import AutopilotProcess, AutopilotSettings
from sim.camera_drone import TrueDronePose
from sim.camera_server import CameraServer
from sim.camera_settings import load_camera_plan, standing_pose
from sim.moments import encode_moment
from sim.world_feed import TOPIC
from sim.world_state import Sky
from tests.small_world import DAY, moment, person, small_landscape
from wire.clock import NS_PER_S, WallClock
from wire.settings import SettingsError, load_settings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def plan(tmp_path):
    """Settings of a camera at the middle of the sector's frame, where the small landscape is; replacements by text."""

    def write(*replaced, node=()):
        sector = CONFIGS / "sectors/laobao/sector.toml"
        text = NODE.format(sector=sector, port=free_port())
        for old, new in node:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "gate.toml").write_text(text)
        camera = CAMERA.format(sector=sector, scenario=CONFIGS / "worlds/dusk.toml", world=f"tcp://127.0.0.1:{free_port()}")
        for old, new in replaced:
            assert old in camera
            camera = camera.replace(old, new)
        (tmp_path / "camera.toml").write_text(camera)
        return load_camera_plan(tmp_path / "camera.toml")

    return write


def free_port():
    with zmq.Context() as context, context.socket(zmq.REP) as probe:
        return probe.bind_to_random_port("tcp://127.0.0.1")


class World:
    """Publishes moments of now, ten a second, as the world's process does."""

    def __init__(self, endpoint, make):
        self._make, self._stop = make, threading.Event()
        self._context = zmq.Context()
        self._pub = self._context.socket(zmq.PUB)
        self._pub.bind(endpoint)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _run(self):
        while not self._stop.wait(0.1):
            at_ns = time.time_ns() + round(0.3 * NS_PER_S)
            self._pub.send_multipart([TOPIC, encode_moment(self._make(at_ns))])


@pytest.fixture(scope="module")
def land():
    return small_landscape()


def walking(land, at_ns, sky=DAY):
    return replace(moment(person(land, 1, 0.0, 25.0), sky=sky, t_s=at_ns / NS_PER_S % 1000), utc_ns=at_ns)


def test_a_node_gets_marked_pictures_of_now_with_whom_there_is_in_them(plan, land):
    p = plan()
    pose = Pose(0.0, 0.0, 107.0, 0.0, -14.0)
    server = CameraServer(p, land, lambda _: pose, WallClock())
    source = SimulatorSource(p.serve, "gate-1")
    try:
        with World(p.settings.world, lambda at: walking(land, at)):
            frames, end = [], time.monotonic() + 120
            while len(frames) < 3:
                server.turn()
                frame = source.grab(0.1)
                frames += [frame] if frame else []
                assert time.monotonic() < end
        assert all(f.image.shape == (360, 640, 3) for f in frames)
        assert all(simulated_likeness(f.image) > LIKENESS_LIMIT for f in frames)
        assert np.all(np.diff([f.captured_ns for f in frames]) > 0)
        foot = project([[0.0, 25.0, float(land.terrain.height_msl_m([[0.0, 25.0]])[0]) + 0.9]], pose, p.lens)[0]
        x, y = (round(v) for v in foot)
        body = frames[-1].image[y - 5:y + 6, x - 3:x + 4].astype(float).mean(axis=(0, 1))
        beside = frames[-1].image[y - 5:y + 6, x + 40:x + 60].astype(float).mean(axis=(0, 1))
        assert np.abs(body - beside).max() > 10
        assert server.problem == ""
    finally:
        source.close()
        server.close()


def test_without_a_world_or_a_pose_there_is_no_picture_and_the_camera_says_why(plan, land):
    p = plan()
    server = CameraServer(p, land, lambda _: NoPose("the drone is silent"), WallClock())
    try:
        assert server.turn() is False
        assert "says nothing" in server.problem
        with World(p.settings.world, lambda at: walking(land, at)):
            end = time.monotonic() + 30
            while "silent" not in server.problem:
                assert server.turn() is False
                assert time.monotonic() < end
                time.sleep(0.05)
    finally:
        server.close()


def test_a_port_that_is_taken_is_said(plan, land):
    p = plan()
    context = zmq.Context()
    taken = context.socket(zmq.PUB)
    taken.bind(p.serve)
    with pytest.raises(SettingsError, match="cannot be had"):
        CameraServer(p, land, lambda _: NoPose(""), WallClock())
    context.destroy(linger=0)


def test_in_the_dark_an_automatic_camera_turns_its_lamp_on_and_leaves_it_on_at_the_edge(plan, land):
    server = CameraServer(plan(), land, lambda _: NoPose(""), WallClock())
    try:
        chosen = [server._palette(Sky(250.0, e)).value for e in (20.0, -3.0, -9.0, -4.6, -3.0, 20.0)]
        assert chosen == ["day", "day", "low_light", "low_light", "day", "day"]
    finally:
        server.close()


def test_the_survey_is_a_little_wrong_as_its_sigmas_say_and_always_in_the_same_way(plan, land):
    p = plan()
    told = standing_pose(plan(("mistaken = true", "mistaken = false")), land.terrain)
    poses = [standing_pose(plan(("seed = 1", f"seed = {s}")), land.terrain) for s in range(40)]
    assert told.yaw_deg == 10.0 and told.pitch_deg == -14.0
    yaws = np.array([pose.yaw_deg for pose in poses]) - told.yaw_deg
    assert 0.15 < yaws.std() < 0.45 and np.abs(yaws).max() <= 0.6 + 1e-9
    assert standing_pose(p, land.terrain) == standing_pose(p, land.terrain)


@pytest.mark.parametrize(("camera", "node", "says"), [
    ([('palette = "auto"', 'palette = "sepia"')], [], 'camera.toml:.*palette.*"sepia"'),
    ([("fps = 5.0", "fps = 0.0")], [], "fps"),
    ([('world = "tcp://127.0.0.1', 'world = "tcp://10.0.0.1')], [], "stays on its machine"),
    ([], [('kind = "simulator"', 'kind = "rtsp"')], "its camera is simulated"),
    ([], [('endpoint = "tcp://127.0.0.1', 'endpoint = "tcp://10.0.0.1')], "stays on its machine"),
    ([("fps = 5.0", 'fps = 5.0\nautopilot = "tcp:127.0.0.1:5763"')], [], "for a drone's camera, and for no other"),
])
def test_what_cannot_be_is_refused_in_words(plan, camera, node, says):
    with pytest.raises(SettingsError, match=says):
        plan(*camera, node=node)


def test_a_drones_camera_is_where_the_simulation_says_and_not_where_the_autopilot_believes():
    """Against the autopilot's process over TCP, with a position that it believes wrongly by metres."""
    settings = AutopilotSettings(
        system_id=1, hardware_id="5452", home=(16.6222, 106.6023), home_msl_m=165.0, ports=[0], heading_deg=270.0,
        settle_s=0.5, position_noise_m=4.0,
    )
    autopilot = AutopilotProcess(settings, WallClock())
    thread = threading.Thread(target=autopilot.serve, daemon=True)
    thread.start()
    frame = LocalFrame(16.62, 106.60)
    clock = WallClock()
    try:
        with TrueDronePose(f"tcp:127.0.0.1:{autopilot.ports[0]}", 1, frame, None, clock) as drone:
            end, pose = time.monotonic() + 60, None
            while not isinstance(pose, Pose):
                pose = drone.pose_at(clock.utc_ns() - NS_PER_S // 10)
                assert time.monotonic() < end, pose
                time.sleep(0.05)
        east, north = frame.to_enu(16.6222, 106.6023)[0]
        assert (pose.east_m, pose.north_m, pose.height_msl_m) == pytest.approx((east, north, 165.0), abs=0.05)
        assert pose.yaw_deg == pytest.approx(270.0, abs=0.5) and pose.pitch_deg == pytest.approx(0.0, abs=0.5)
    finally:
        autopilot.stop()
        thread.join(10)
        autopilot.close()


def test_the_node_and_its_camera_read_the_same_file(plan):
    p = plan()
    node = load_settings(p.file.parent / p.settings.node, NodeSettings)
    assert (node.camera, node.source.endpoint) == (p.camera, p.serve)


NODE = """
key = "gate.key"
sector = "{sector}"
data_dir = "node"

[station]
endpoint = "tcp://127.0.0.1:9"
public_key = ""

[camera]
id = "gate-1"
position = [16.62, 106.60]
height_agl_m = 7.0
yaw_deg = 10.0
pitch_deg = -14.0
error_limit_m = 15.0
reach_m = 110.0

[camera.lens]
width_px = 640
height_px = 360
fx_px = 500.0
fy_px = 500.0
cx_px = 319.5
cy_px = 179.5

[camera.sigma]
position_m = 0.2
height_m = 0.1
yaw_deg = 0.3
pitch_deg = 0.15
roll_deg = 0.15
pixel_px = 2.0

[source]
kind = "simulator"
endpoint = "tcp://127.0.0.1:{port}"
"""

CAMERA = """
node = "gate.toml"
sector = "{sector}"
scenario = "{scenario}"
world = "{world}"
palette = "auto"
fps = 5.0
seed = 1
mistaken = true
"""
