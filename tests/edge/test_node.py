"""A node as a process: it sends what it sees, survives kill -9 without loss, and says in one line what is wrong."""

import contextlib
import signal
import sqlite3
import threading
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from cameras.pose import FixedPose
from edge.node import Node
from edge.settings import load_setup
from edge.sources import Frame
from geofences.corridors import make_corridor_set
from tests.edge.conftest import BlockDetector
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.codec import decode_envelope
from wire.keys import NodeKind, make_node_key
from wire.messages import (
    Corridor,
    DetectionBatch,
    NodeHealth,
    Order,
    OrderAction,
    OrderResult,
    PlacementPoint,
    SensorReport,
    SensorState,
    Snapshot,
    TrackState,
    TrackUpdate,
)
from wire.outbox import Outbox
from wire.units import GroundPosition, Realm
from wire.uplink import Uplink

pytestmark = pytest.mark.together(80)

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
WEIGHTS = SHARED / "models/yolo11n.pt"
VTEST = SHARED / "media/vtest.avi"

def wait_for(condition, seconds=40.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def ledger(config):
    with sqlite3.connect(f"file:{config.parent / 'node/outbox.db'}?mode=ro", uri=True) as db:
        put, detections = db.execute("select messages_put, detections_put from ledger").fetchone()
        waiting = [decode_envelope(data) for (data,) in db.execute("select data from queue")]
    return put, detections, waiting


def test_a_node_tells_what_it_sees_and_ends_cleanly(settings, station, start):
    corridors = make_corridor_set("laobao", (Corridor("new", "New", (
        GroundPosition(16.6205, 106.5930), GroundPosition(16.6205, 106.5950)), 100.0, 1),))
    station.greeting = [corridors, Order("o-1", "gate-1", OrderAction.PTZ_PRESET)]
    config = settings()
    node = start(config)
    wait_for(lambda: any(b.corridors_version == corridors.version for b in station.bodies(DetectionBatch)))
    wait_for(lambda: len(station.bodies(Snapshot)) >= 2 and len(station.bodies(NodeHealth)) >= 3)
    node.send_signal(signal.SIGTERM)
    assert node.wait(15) == 0
    _, stderr = node.communicate()
    assert "Traceback" not in stderr

    batches = station.bodies(DetectionBatch)
    assert all(isinstance(d.placement, PlacementPoint) for b in batches for d in b.detections)
    # The file's corridors hold until the station's have come, which may be before the first track.
    assert {d.corridors for b in batches for d in b.detections} <= {("khe-da",), ("new",)}
    assert {d.corridors for d in batches[-1].detections} == {("new",)}
    assert any(d.confirmed for d in batches[-1].detections)
    updates = station.bodies(TrackUpdate)
    confirmed = {u.track for u in updates if u.state is TrackState.CONFIRMED}
    assert confirmed == {u.track for u in updates if u.state is TrackState.ENDED}
    assert {s.track for s in station.bodies(Snapshot)} <= confirmed
    reports = station.bodies(SensorReport)
    assert all(r.optics is not None and r.optics.fx > 0 for r in reports)
    assert all(r.simulated for r in reports)
    assert reports[0].state is SensorState.SEEING and len(reports[0].footprint) >= 4
    health = station.bodies(NodeHealth)[-1]
    assert health.problems == () and health.frames_in > 10
    assert {"gate", "detect", "track", "place", "outbox"} <= set(station.bodies(NodeHealth)[1].stage_ms)
    looks = [h.looks for h in station.bodies(NodeHealth)]
    assert sum(sum(seen.values()) for seen in looks) == health.frames_in and set(looks[1]) <= {"full", "crops", "none"}
    assert [(r.order_id, r.done) for r in station.bodies(OrderResult)] == [("o-1", False)]
    assert ledger(config)[2] == []


def test_a_node_killed_in_the_middle_loses_and_doubles_nothing(settings, station, start):
    config = settings()
    for _ in range(3):
        before = len(station.received)
        node = start(config)
        wait_for(lambda before=before: len(station.received) > before + 25)
        node.kill()
        node.wait()
    last = start(config)
    wait_for(lambda: len(ledger(config)[2]) < 10 and len({e.boot for e in station.received}) == 4)
    last.send_signal(signal.SIGTERM)
    assert last.wait(15) == 0
    put, detections, waiting = ledger(config)
    assert waiting == []
    stored = {(e.node, e.boot, e.sequence): e for e in station.received}
    assert len(stored) == put
    assert sum(len(e.body.detections) for e in stored.values() if isinstance(e.body, DetectionBatch)) == detections
    assert len({e.boot for e in stored.values()}) == 4


def test_a_recording_that_ends_ends_the_node_with_everything_sent(settings, station, start):
    config = settings([("loop = true", "loop = false")])
    folder = config.parent / "node"
    folder.mkdir()
    (folder / "old.npz").touch(0o644)
    node = start(config)
    assert node.wait(40) == 0
    assert not [path for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & 0o077], "for its owner alone"
    put, detections, waiting = ledger(config)
    assert waiting == [] and len(station.received) == put
    assert detections >= 50


def test_a_video_that_vanishes_makes_the_sensor_blind_within_two_seconds(settings, station, start, video):
    node = start(settings())
    wait_for(lambda: station.bodies(DetectionBatch))
    video.write_bytes(b"")
    gone = time.monotonic()
    wait_for(lambda: station.bodies(SensorReport)[-1].state is SensorState.BLIND)
    assert time.monotonic() - gone < 6.0            # three seconds of recording were still to play
    report = station.bodies(SensorReport)[-1]
    assert "empty (0 bytes)" in report.detail
    assert node.poll() is None


def test_without_a_station_a_node_goes_on_seeing_and_keeps_all(settings, station, start):
    config = settings([(station.endpoint, "tcp://127.0.0.1:9")])
    node = start(config)
    wait_for(lambda: "boot " in node.stderr.readline())        # its outbox is open
    wait_for(lambda: len(ledger(config)[2]) > 30)
    node.send_signal(signal.SIGTERM)
    assert node.wait(15) == 0
    _, detections, waiting = ledger(config)
    assert sum(len(e.body.detections) for e in waiting if isinstance(e.body, DetectionBatch)) == detections > 0
    health = [e.body for e in waiting if isinstance(e.body, NodeHealth)]
    assert "is not reached" in health[-1].problems[0]


class Walk:
    """Two blocks walk, ten pictures a second on a clock of its own; notes what was on the disk before each of them.

    alone_from: the picture from which on the second block is not there any more.
    """

    simulated, dropped, ended = True, 0, False

    def __init__(self, clock, outbox, pictures, alone_from=1000):
        self._clock, self._outbox, self._left, self._alone_from, self.put = clock, outbox, pictures, alone_from, []

    def grab(self, timeout_s):
        self.put.append(self._outbox.ledger)
        self.ended = len(self.put) > self._left
        self._clock.advance(0.1)
        image = np.full((240, 320, 3), 60, np.uint8)
        for k in range(1 if len(self.put) >= self._alone_from else 2):
            x = 20 + 120 * k + len(self.put)
            cv2.rectangle(image, (x, 100 + 20 * k), (x + 20, 150 + 20 * k), (255, 255, 255), -1)
        return None if self.ended else Frame(image, self._clock.utc_ns())

    def close(self):
        pass


def walked(settings, station, node_key, film_of=Walk, **film):
    """The film of a node that reaches no station, how many commits there were, and what was put, in order."""
    whole = ("[camera]", "[gate]\nlook = \"whole\"\n[camera]")
    setup = load_setup(settings([(station.endpoint, "tcp://127.0.0.1:9"), whole]))
    clock = SteppedClock(1_800_000_000 * NS_PER_S)
    with contextlib.closing(Outbox(setup.outbox, node_key.node, Realm.TRAINING, clock)) as outbox:
        walk = film_of(clock, outbox, **film)
        node = Node(setup, walk, BlockDetector(), FixedPose(setup.survey), outbox, clock)
        with Uplink("tcp://127.0.0.1:9", setup.settings.station.public_key, setup.key, outbox, WallClock()) as uplink:
            node.run(uplink, threading.Event())
        waiting = sorted((decode_envelope(p.data) for p in outbox.pending(1000)), key=lambda e: e.sequence)
        return walk, outbox.wear.commits, [e.body for e in waiting]


def test_sightings_of_known_tracks_share_a_commit_and_news_does_not_wait(settings, station, node_key):
    walk, commits, waiting = walked(settings, station, node_key, pictures=40)
    seen_ns = [b.captured_ns for b in waiting if isinstance(b, DetectionBatch)]
    assert len(seen_ns) == 39                                   # the first picture's boxes belong to no track yet
    assert commits < 30                                         # one a picture would be 40 and more
    put = [ledger.detections_put for ledger in walk.put]
    assert all(later - at >= 2 for at, later in zip(put[4:], put[7:], strict=False))        # nothing waits any longer
    (confirmed, *_) = [b for b in waiting if isinstance(b, TrackUpdate) and b.state is TrackState.CONFIRMED]
    told_before = [b.captured_ns for b in waiting[: waiting.index(confirmed)] if isinstance(b, DetectionBatch)]
    assert seen_ns == sorted(seen_ns) and told_before[-1] == confirmed.last_ns, "news after what it is of, and in order"
    after = round((confirmed.last_ns - seen_ns[0]) / 1e8) + 2
    assert put[after] == 2 * after - 2                          # that frame is on the disk before the next one is taken


def test_that_a_track_has_ended_or_a_node_is_well_is_no_news_and_waits_for_the_next_commit(settings, station, node_key):
    walk, _, said = walked(settings, station, node_key, pictures=70, alone_from=20)
    put = [ledger.messages_put for ledger in walk.put]
    commits = [(at, said[a:b]) for at, (a, b) in enumerate(pairwise(put)) if b > a]
    hurried = [part for (before, _), (at, part) in pairwise(commits) if at - before < 3]
    assert hurried
    told = [[getattr(m, "state", None) for m in part if isinstance(m, TrackUpdate | SensorReport)] for part in hurried]
    assert all(set(states) & {TrackState.CONFIRMED, SensorState.SEEING} for states in told)
    ((at, with_end),) = [c for c in commits if any(isinstance(m, TrackUpdate) and m.state is TrackState.ENDED for m in c[1])]
    assert at > 45, "it was looked for, for three seconds"
    assert any(isinstance(m, DetectionBatch) for m in with_end)


class Gap(Walk):
    """The walk, and in its middle no picture for gap_s; before and after it, the blocks stand where they are. every_s: a
    picture.
    """

    def __init__(self, clock, outbox, gap_s, every_s=0.1):
        super().__init__(clock, outbox, 60)
        self._gap_s, self._every_s = gap_s, every_s

    def grab(self, timeout_s):
        at = len(self.put)
        self.put.append(self._outbox.ledger)
        self.ended = at >= 60
        if at == 30 and self._gap_s > 0:
            self._clock.advance(timeout_s)
            self._gap_s -= timeout_s
            self.put.pop()
            return None
        self._clock.advance(self._every_s)
        image = np.full((240, 320, 3), 60, np.uint8)
        cv2.rectangle(image, (100, 100), (120, 150), (255, 255, 255), -1)
        return None if self.ended else Frame(image, self._clock.utc_ns())


def tracks_over_a_gap(settings, station, node_key, **film):
    waiting = walked(settings, station, node_key, film_of=Gap, **film)[2]
    return [(u.track, u.state) for u in waiting if isinstance(u, TrackUpdate)], waiting


def test_who_stands_there_after_a_camera_was_gone_is_somebody_else_and_the_end_is_told_while_it_is(
    settings, station, node_key,
):
    confirmed, ended = TrackState.CONFIRMED, TrackState.ENDED
    told, waiting = tracks_over_a_gap(settings, station, node_key, gap_s=15.0)
    assert told == [(1, confirmed), (1, ended), (2, confirmed), (2, ended)]
    end = next(k for k, u in enumerate(waiting) if isinstance(u, TrackUpdate) and u.state is ended)
    blind = [k for k, r in enumerate(waiting) if isinstance(r, SensorReport) and r.state is SensorState.BLIND]
    assert end < blind[-1], "not only when pictures come again"


def test_a_short_gap_ends_no_track(settings, station, node_key):
    told, _ = tracks_over_a_gap(settings, station, node_key, gap_s=2.0)
    assert {track for track, _ in told} == {1}


def test_a_camera_of_a_picture_each_five_seconds_keeps_who_stands(settings, station, node_key):
    told, _ = tracks_over_a_gap(settings, station, node_key, gap_s=0.0, every_s=5.0)
    assert {track for track, _ in told} == {1}


def last_line(process):
    _, stderr = process.communicate(timeout=240)
    assert "Traceback" not in stderr
    return stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda video: video.unlink(), "no such video file"),
        (lambda video: video.write_bytes(b""), "empty (0 bytes)"),
        (lambda video: video.write_bytes(b"no video" * 1000), "not a video that can be read"),
    ],
)
def test_a_video_that_cannot_be_read_is_one_line_and_an_exit(settings, start, video, spoil, says):
    config = settings()
    spoil(video)
    node = start(config)
    line = last_line(node)
    assert node.returncode == 2
    assert line.startswith(f"{config}:") and "source.path" in line and says in line


@pytest.mark.parametrize(
    ("replaced", "says"),
    [
        ([('weights = ""', 'weights = "nowhere.pt"')], "there is no such file"),
        ([('weights = ""', 'weights = "broken.pt"')], "not YOLO weights that can be loaded"),
        ([("height_agl_m = 8.0", "height_agl_m = -3.0")], "stands above the ground"),
        ([('key = "gate-1.key"', 'key = "walk.avi"')], "cannot be read"),
        ([('public_key = "', 'public_key = "long')], "station.public_key: 44 characters; the station's has 40"),
        ([("[camera]", "[camera")], "not valid TOML"),
    ],
)
def test_what_is_wrong_with_the_settings_is_one_line_and_an_exit(settings, start, replaced, says):
    config = settings(replaced)
    (config.parent / "broken.pt").write_bytes(b"PK\x03\x04" + b"x" * 200_000)
    node = start(config, blocks=False)
    line = last_line(node)
    assert node.returncode == 2
    assert says in line and len(line) < 700


def test_a_live_key_on_a_recording_is_refused(settings, start):
    node = start(settings(key=make_node_key("gate-1", NodeKind.CAMERA, Realm.LIVE)), blocks=False)
    assert "Recordings and simulations are training" in last_line(node)
    assert node.returncode == 2


def test_pictures_of_another_size_are_placed_and_of_another_shape_blind_the_camera_until_they_end(settings, station, start):
    config = settings([('kind = "file"', 'kind = "folder"'), ('path = "walk.avi"', 'path = "pictures"')])
    folder = config.parent / "pictures"
    folder.mkdir()
    for k, (width, height) in enumerate([(320, 240)] * 4 + [(640, 480)] * 4 + [(320, 180)] * 6):
        picture = np.full((height, width, 3), 60, np.uint8)
        cv2.rectangle(picture, (width // 2, height // 2), (width * 5 // 8, height * 3 // 4), (255, 255, 255), -1)
        cv2.imwrite(str(folder / f"{k:02d}.png"), picture)
    node = start(config)
    def states():
        return [r.state for r in station.bodies(SensorReport)]

    wait_for(lambda: SensorState.BLIND in states() and states()[-1] is SensorState.SEEING and len(states()) >= 3)
    blind = next(r for r in station.bodies(SensorReport) if r.state is SensorState.BLIND)
    assert "calibrated for 320 x 240" in blind.detail and "320 x 180" in blind.detail
    assert node.poll() is None
    places = {
        (round(d.placement.position.lat_deg, 5), round(d.placement.position.lon_deg, 5))
        for b in station.bodies(DetectionBatch) for d in b.detections
    }
    assert len(places) == 1, "the same foot point in both sizes"


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.skipif(not (WEIGHTS.exists() and VTEST.exists()), reason="needs ../shared: the real weights and vtest.avi")
@pytest.mark.parametrize(("camera", "corridor"), [("camera-1", "khe-da"), ("camera-2", "ben-song")])
def test_the_demos_cameras_see_real_people_inside_their_corridors(tmp_path, station, node_key, start, camera, corridor):
    from geofences.sector import load_sector
    from wire.keys import write_private

    text = (ROOT / f"configs/demo/{camera}.toml").read_text(encoding="utf-8")
    sector_file = ROOT / "configs/sectors/laobao/sector.toml"
    for key, value in {
        "key": "gate-1.key", "sector": str(sector_file), "data_dir": "node", "endpoint": station.endpoint,
        "public_key": station.key.public, "path": str(VTEST), "weights": str(WEIGHTS),
    }.items():
        lines = [f"{key} = '{value}'" if line.startswith(f"{key} = ") else line for line in text.splitlines()]
        text = "\n".join(lines)
    config = tmp_path / "gate-1.toml"
    config.write_text(text, encoding="utf-8")
    write_private(tmp_path / "gate-1.key", node_key)
    node = start(config, blocks=False)
    wait_for(lambda: len(station.bodies(DetectionBatch)) >= 25, 90)
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0
    detections = [d for b in station.bodies(DetectionBatch) for d in b.detections]
    assert len(detections) > 100
    assert sum(d.corridors == (corridor,) for d in detections) > 0.9 * len(detections)
    sector = load_sector(sector_file)
    places = [d.placement.position for d in detections if isinstance(d.placement, PlacementPoint)]
    assert sector.border.signed_distance_m([sector.frame.point(p) for p in places]).min() > sector.border_buffer_m
    assert sum(d.confirmed for d in detections) > 50
