"""Recordings, a detector that needs no weights, a small real station, and settings for a node of its own."""

import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import zmq
from zmq.utils import z85

from edge.detector import Detector, Found
from wire.codec import MAGIC, decode_envelope, encode_down, split_transport
from wire.keys import NodeKind, make_node_key, make_station_key, write_private
from wire.messages import Acknowledgement
from wire.units import Realm

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SIZE = (320, 240)


def write_video(path, frames=30, fps=10.0, size=SIZE):
    """White blocks walk over grey ground; the block's lower edge is the foot."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size)
    for i in range(frames):
        image = np.full((size[1], size[0], 3), 60, np.uint8)
        for k in range(2):
            x = 20 + 120 * k + 3 * i
            cv2.rectangle(image, (x, 100 + 20 * k), (x + 20, 150 + 20 * k), (255, 255, 255), -1)
        writer.write(image)
    writer.release()
    return path


class BlockDetector(Detector):
    """Finds the white blocks of write_video, as persons."""

    shape = SIZE[::-1]

    def __init__(self, *_, **__):
        pass

    def find(self, image):
        mask = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) > 200).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:count] if area > 200]
        return Found(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9), np.zeros(len(boxes), np.int64))


class Station:
    """A ROUTER with CURVE that acknowledges everything, and keeps it. `greeting` is sent to every peer once."""

    def __init__(self, allowed):
        self.key = make_station_key(Realm.TRAINING)
        self.allowed = set(allowed)
        self.received = []
        self.greeting = []
        self._down = []
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._zap, self._socket = self._context.socket(zmq.REP), self._context.socket(zmq.ROUTER)
        self._zap.bind("inproc://zeromq.zap.01")
        self._zap.linger = self._socket.linger = 0
        self._socket.curve_server = True
        self._socket.curve_secretkey = self.key.secret.encode()
        self._socket.zap_domain = b"trailwatch"
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        told = set()
        poller = zmq.Poller()
        poller.register(self._zap, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(20))
            if self._zap in ready:
                version, request, *_, key = self._zap.recv_multipart()
                code = b"200" if z85.encode(key).decode() in self.allowed else b"400"
                self._zap.send_multipart([version, request, code, b"", b"", b""])
            if self._socket in ready:
                peer, *frames = self._socket.recv_multipart()
                if peer not in told:
                    told.add(peer)
                    for body in self.greeting:
                        self._socket.send_multipart([peer, MAGIC, encode_down(body)])
                envelopes = [decode_envelope(f) for f in split_transport(frames)]
                self.received += envelopes
                while self._down:
                    self._socket.send_multipart([peer, MAGIC, encode_down(self._down.pop(0))])
                answer = Acknowledgement(tuple((e.boot, e.sequence) for e in envelopes))
                self._socket.send_multipart([peer, MAGIC, encode_down(answer)])
        self._socket.close()
        self._zap.close()
        self._context.term()

    def tell(self, body):
        """To whoever speaks next."""
        self._down.append(body)

    def bodies(self, kind):
        return [e.body for e in self.received if isinstance(e.body, kind)]

    def stop(self):
        self._stop.set()
        self._thread.join(5)


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "walk.avi")


@pytest.fixture
def station(node_key):
    station = Station([node_key.public])
    yield station
    station.stop()


@pytest.fixture
def node_key():
    return make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)


@pytest.fixture
def settings(tmp_path, video, station, node_key):
    """Writes a node's settings file. Replacements: "key = value" lines by their key, in order of the file."""

    def write(replaced=(), key=node_key):
        key_file = tmp_path / "gate-1.key"
        key_file.unlink(missing_ok=True)
        write_private(key_file, key)
        text = SETTINGS.format(
            sector=ROOT / "configs/sectors/laobao/sector.toml", endpoint=station.endpoint, public=station.key.public
        )
        for old, new in replaced:
            assert text.count(old) >= 1, old
            text = text.replace(old, new, 1)
        path = tmp_path / "gate-1.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


SETTINGS = """
key = "gate-1.key"
sector = "{sector}"
data_dir = "node"

[station]
endpoint = "{endpoint}"
public_key = "{public}"

[camera]
id = "gate-1"
position = [16.620915, 106.593924]
height_agl_m = 8.0
yaw_deg = 184.0
pitch_deg = -21.0
error_limit_m = 15.0
reach_m = 110.0

[camera.lens]
width_px = 320
height_px = 240
fx_px = 420.0
fy_px = 420.0
cx_px = 159.5
cy_px = 119.5

[camera.sigma]
position_m = 0.2
height_m = 0.1
yaw_deg = 0.3
pitch_deg = 0.15
roll_deg = 0.15
pixel_px = 2.0

[source]
kind = "file"
path = "walk.avi"
loop = true
max_fps = 10.0

[detector]
weights = ""
score_threshold = 0.4
"""


@pytest.fixture
def tools():
    """The parts above, for tests that start processes of their own."""
    return sys.modules[__name__]


# ------------------------------------------------------------------------------------------- a real RTSP server, and nodes

SYSTEM_PYTHON = "/usr/bin/python3"
BINDINGS = 'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer'


class RtspCameras:
    """Calling it with pictures starts a camera that shows them and gives its URL; stop() ends it, begin() begins anew."""

    def __init__(self, folder):
        self.running = []
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.folder = folder
        self.folder.mkdir()
        self.url = f"rtsp://127.0.0.1:{self.port}/gate"

    def __call__(self, pictures, fps=10):
        for k, picture in enumerate(pictures):
            cv2.imwrite(str(self.folder / f"{k:05d}.jpg"), picture)
        self.fps = fps
        self.begin()
        return self.url

    def begin(self):
        script = ROOT / "tests/rtsp_camera.py"
        process = subprocess.Popen(
            [SYSTEM_PYTHON, str(script), str(self.port), str(self.folder), str(self.fps)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        self.running.append(process)
        assert process.stdout.readline() == "ready\n"

    def stop(self):
        process = self.running.pop()
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def system_python():
    if subprocess.run([SYSTEM_PYTHON, "-c", BINDINGS], capture_output=True).returncode != 0:
        pytest.skip("the system's Python has no GStreamer RTSP server; ./trailwatch test installs it")


@pytest.fixture
def rtsp(system_python, tmp_path):
    cameras = RtspCameras(tmp_path / "pictures")
    yield cameras
    while cameras.running:
        cameras.stop()


# The real command line, with a detector that needs no weights.
BLOCK_NODE = """
    import importlib.util, sys
    sys.path.insert(0, {root!r})
    spec = importlib.util.spec_from_file_location("node_parts", {conftest!r})
    parts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parts)
    import edge.node
    edge.node.open_detector = lambda *_: (parts.BlockDetector(), "")
    edge.node.resolve_weights = lambda name, given, training: edge.node.Path(given or name)
    import ground_station
    sys.exit(ground_station.main(["edge", "--config", sys.argv[1]]))
"""


@pytest.fixture
def start():
    """Starts nodes; none outlives its test."""
    started = []

    def begin(config, blocks=True):
        if blocks:
            code = textwrap.dedent(BLOCK_NODE).format(root=str(ROOT), conftest=str(Path(__file__)))
            command = [sys.executable, "-c", code, str(config)]
        else:
            command = [sys.executable, str(ROOT / "ground_station.py"), "edge", "--config", str(config)]
        process = subprocess.Popen(command, cwd=config.parent, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()
