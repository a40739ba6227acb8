"""A pickup drives past a gate: a real node with the real network finds it, reads its plate, and a real inbox has it.

Nothing stands in for a part: file source, motion gate, YOLO11n through OpenVINO (or ultralytics), tracker, the process that
reads plates, outbox, uplink, CURVE, inbox. Only the pictures are drawn (sim.gate says what drawn letters are worth).
"""

import contextlib
import json
import math
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import pytest

from sim.demo_settings import free_port
from sim.gate import LENS, UP_M, Gate
from sim.world_state import Kind, Looks
from station.own_key import ensure_station_key
from station.settings import load_station_settings
from wire.keys import AllowedNode, NodeKind, append_allowed, load_station_key, make_node_key, write_private
from wire.units import Realm

ROOT = Path(__file__).resolve().parents[1]
PLATE = "74C-123.45"
PAINT = (108, 64, 40)           # blue, green, red
HEADING_DEG = 15.0              # straight from behind the network takes a drawn pickup for a bus or a bench
NEAREST_M, STEP_M, STEPS = 9.8, 0.2, 18     # within one tilt of sim.gate's camera, which is TILT_DEG then
TILT_DEG = -9.0
STANDS = 12                     # pictures after it, before the film begins again
FPS = 4.0

NODE = """
key = "gate-1.key"
sector = "{sector}"
data_dir = "node"

[station]
endpoint = "tcp://127.0.0.1:{port}"
public_key = "{public}"

[camera]
id = "gate-1"
position = [16.620915, 106.593924]
height_agl_m = {height}
yaw_deg = 184.0
pitch_deg = {tilt}
error_limit_m = 15.0
reach_m = 110.0

[camera.lens]
width_px = {lens.width_px}
height_px = {lens.height_px}
fx_px = {lens.fx}
fy_px = {lens.fy}
cx_px = {lens.cx}
cy_px = {lens.cy}

[camera.sigma]
position_m = 0.2
height_m = 0.1
yaw_deg = 0.3
pitch_deg = 0.15
roll_deg = 0.15
pixel_px = 2.0

[source]
kind = "file"
path = "pickup.avi"
loop = true

[detector]
weights = "{weights}"
"""


def film(path):
    """Away from the camera, slowly, along its heading."""
    gate = Gate()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (LENS.width_px, LENS.height_px))
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    looks = Looks(seed=3, plate=PLATE, colour=PAINT)
    way = (math.sin(math.radians(HEADING_DEG)), math.cos(math.radians(HEADING_DEG)))
    for step in [*range(STEPS), *[STEPS - 1] * STANDS]:
        gone_m = step * STEP_M
        shot = gate.shot(Kind.PICKUP, looks, NEAREST_M + gone_m * way[1], HEADING_DEG, "day", gone_m * way[0] - 0.5)
        assert shot.pose.pitch_deg == TILT_DEG, "the film's camera must not move"
        writer.write(shot.image)
    writer.release()
    gate.close()


@pytest.fixture
def folder():
    folder = Path(tempfile.mkdtemp(prefix="tw-"))       # local sockets have short names, and pytest's folders are deep
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def started(folder):
    """Processes of the real command line, stopped at the end."""
    running = []

    def start(*arguments):
        running.append(subprocess.Popen([sys.executable, str(ROOT / "ground_station.py"), *arguments], cwd=folder))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def told(inbox_db):
    """Plates, kinds and colours as they lie in the inbox, with the object's class."""
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(
        sqlite3.connect(f"file:{inbox_db}?mode=ro", uri=True, timeout=10)
    ) as db:
        return db.execute("SELECT plate, object_class FROM detections WHERE plate IS NOT NULL").fetchall()
    return []


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.timeout(420)
def test_a_plate_that_drives_past_a_real_node_lies_in_a_real_inbox(folder, started, real_weights):
    film(folder / "pickup.avi")
    port = free_port()
    sector = ROOT / "configs/sectors/laobao/sector.toml"
    file = folder / "station.toml"
    file.write_text(
        f'sector = "{sector}"\nrealm = "training"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:{port}"\n'
        '[web]\nhost = "127.0.0.1"\nport = 0\n'
    )
    station = load_station_settings(file)
    ensure_station_key(station)
    key = make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)
    append_allowed(station.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    write_private(folder / "gate-1.key", key)
    node_file = folder / "gate-1.toml"
    node_file.write_text(NODE.format(
        sector=sector, port=port, public=load_station_key(station.station_key).public, height=UP_M, tilt=TILT_DEG, lens=LENS,
        weights=real_weights,
    ))
    started("serve", "--only", "inbox", "--config", str(file))
    node = started("edge", "--config", str(node_file))
    end = time.monotonic() + 300
    while not (plates := told(station.inbox_db)):
        assert node.poll() is None, "the node has died"
        assert time.monotonic() < end, "no plate came"
        time.sleep(0.2)
    assert {object_class for _, object_class in plates} <= {"car", "truck", "bus"}
    assert PLATE in [plate for plate, _ in plates], json.dumps(plates)
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
