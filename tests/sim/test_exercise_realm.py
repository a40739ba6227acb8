"""No simulated message reaches a live station: its key, the mark of its pictures, and where it is sent each refuse alone.

Each test gives the simulation everything but one of the three, and a real inbox of a live station to speak to. That a live
node takes no rendered picture, with real processes, is in tests/edge/test_realm.py.
"""

import re
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.rendered import OnlyRealPictures
from edge.settings import load_setup
from edge.sources import Frame, SourceError
from geofences.sector import load_sector
from sim.camera_faults import encoded
from sim.demo_settings import free_port
from sim.director_stage import set_the_exercise
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.landscape_cache import cached_landscape
from sim.world_feed import loopback
from station.admission import AllowList
from station.inbox import Inbox
from station.own_key import ensure_station_key
from station.settings import load_station_settings
from tests.station.conftest import write_station
from wire.clock import WallClock
from wire.keys import AllowedNode, NodeKind, append_allowed, load_node_key, load_station_key, make_node_key, write_private
from wire.messages import SensorReport, SensorState
from wire.outbox import Outbox
from wire.settings import SettingsError
from wire.units import HeightMsl, Position, Realm
from wire.uplink import Uplink


@pytest.fixture(scope="module")
def stage():
    """An exercise with a drone, ready to be started."""
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    exercise = load_exercise(LIBRARY / "drone-loss.toml")
    weights = folder / "none.pt"
    try:
        yield set_the_exercise(folder / "run", exercise, cached_landscape(exercise.scenario), weights, WallClock())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def live():
    """A live station's inbox, and its settings."""
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    settings = load_station_settings(write_station(folder, "live", free_port()))
    settings.make_folders()
    ensure_station_key(settings)
    inbox = Inbox(settings, load_sector(settings.sector).corridor_set, WallClock())
    yield settings, inbox
    inbox.close()
    shutil.rmtree(folder, ignore_errors=True)


def said(tmp_path, key, settings, public, inbox, seconds=3.0):
    """What a node with this key gets into the station at this address, which it takes for the one with this public key."""
    outbox = Outbox(tmp_path / "outbox.db", key.node, key.realm, WallClock())
    uplink = Uplink(settings.inbox.bind, public, key, outbox, WallClock())
    report = SensorReport("camera-1", WallClock().utc_ns(), Position(16.62, 106.6, HeightMsl(170.0)), (), SensorState.SEEING,
                          0, True)
    try:
        outbox.put(report)
        uplink.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            inbox.turn()
        inbox.commit()
    finally:
        uplink.stop()
        outbox.close()
    with sqlite3.connect(f"file:{settings.inbox_db}?mode=ro", uri=True) as db:
        stored = db.execute("select count(*) from arrivals").fetchone()[0]
        refused = dict(db.execute("select reason, sum(count) from refusals group by reason"))
    return stored, refused


def test_the_key_alone_refuses(stage, live, tmp_path):
    settings, inbox = live
    key = load_node_key(stage.folder / "camera-1.key")
    assert key.realm is Realm.TRAINING
    # Address and the station's own key are right: only the node's key is of the other realm.
    stored, refused = said(tmp_path, key, settings, load_station_key(settings.station_key).public, inbox)
    assert stored == 0 and refused.get("unknown_key", 0) > 0


def test_a_training_key_in_a_live_stations_list_makes_the_list_unusable_and_lets_nobody_in(stage, live):
    settings, _ = live
    key = load_node_key(stage.folder / "camera-1.key")
    append_allowed(settings.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    assert AllowList(settings.nodes_file, Realm.LIVE).by_key(key.public) is None


def test_the_address_alone_refuses(stage, live, tmp_path):
    settings, inbox = live
    # A live key that the station knows, sent to the station by whoever believes it to be the exercise's.
    key = make_node_key("camera-1", NodeKind.CAMERA, Realm.LIVE)
    append_allowed(settings.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    exercises_public = load_station_key(stage.settings.station_key).public
    assert exercises_public != load_station_key(settings.station_key).public
    stored, _ = said(tmp_path, key, settings, exercises_public, inbox)
    assert stored == 0
    # And the very same key and message are taken with the right one, so the test can fail.
    (tmp_path / "again").mkdir()
    stored, _ = said(tmp_path / "again", key, settings, load_station_key(settings.station_key).public, inbox, 6.0)
    assert stored == 1


def test_nothing_of_an_exercise_leaves_its_machine(stage):
    found = 0
    for file in stage.folder.glob("*.toml"):
        if file.name == "exercise.toml":
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            for address in re.findall(r"(?:tcp|udp)[a-z]*:/{0,2}([^\s\"]+)", line.partition(" #")[0]):
                assert address.startswith("127.0.0.1:"), (file.name, line)
                found += 1
    assert found > 8
    for elsewhere in ("tcp://0.0.0.0:5580", "tcp://192.168.1.7:5580", "tcp://station.example:5570"):
        with pytest.raises(SettingsError, match="stays on its machine"):
            loopback(elsewhere)


def test_the_mark_alone_refuses(stage, tmp_path):
    # A live key in the exercise's own settings: the node does not start before rendered pictures.
    folder = tmp_path / "run"
    shutil.copytree(stage.folder, folder, ignore=shutil.ignore_patterns("*.sock", "station", "logs"))
    key = folder / "camera-1.key"
    key.unlink()
    write_private(key, make_node_key("camera-1", NodeKind.CAMERA, Realm.LIVE))
    with pytest.raises(SettingsError, match="shows rendered pictures"):
        load_setup(folder / "camera-1.toml")


class Stream:
    """A stream that does not say that it is rendered."""

    simulated = False
    dropped = 0
    ended = False

    def __init__(self, image):
        self._image, self._at = image, 0

    def grab(self, _timeout_s):
        self._at += 10**8
        return Frame(self._image, self._at)

    def close(self):
        pass


def test_the_mark_in_the_pixels_refuses_where_the_source_says_nothing():
    noise = cv2.GaussianBlur(np.random.default_rng(1).integers(60, 160, (540, 960, 3), dtype=np.uint8), (0, 0), 3)
    # As a camera of an exercise sends it, and even one that fails in it.
    marked = cv2.imdecode(np.frombuffer(encoded(noise), np.uint8), cv2.IMREAD_COLOR)
    real, rendered = OnlyRealPictures(Stream(noise), "real"), OnlyRealPictures(Stream(marked), "rendered")
    assert any(real.grab(0.1) is not None for _ in range(60))
    with pytest.raises(SourceError, match="carry the mark SIM"):
        assert all(rendered.grab(0.1) is None for _ in range(60))
