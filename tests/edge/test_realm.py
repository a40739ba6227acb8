"""Rendered pictures and a live station: every road by which one could come to the other, tried with real processes."""

import signal
import time

import cv2
import numpy as np
import pytest

from sim.renderer import Renderer
from sim.renderer_light import Palette
from tests.small_world import DAY, LENS, MAST, moment, person, small_landscape
from wire.keys import NodeKind, make_node_key
from wire.messages import DetectionBatch, SensorReport, SensorState, Snapshot, TrackUpdate
from wire.units import Realm

SHAPE = [("width_px = 320\nheight_px = 240", "width_px = 640\nheight_px = 360")]
SMALL = LENS.scaled(640, 360)
LIVE = make_node_key("gate-1", NodeKind.CAMERA, Realm.LIVE)


def stream(url):
    return [*SHAPE, ('kind = "file"\npath = "walk.avi"\nloop = true', f'kind = "rtsp"\nurl = "{url}"')]


@pytest.fixture(scope="module")
def rendered():
    """Eight rendered pictures of a walker, 640 x 360, by day and in the infra-red."""
    land = small_landscape()
    renderer = Renderer(land, 1)
    pictures = [
        renderer.render(moment(person(land, 1, 0.0, 16.0 + k), sky=DAY, t_s=k / 5), MAST, SMALL, palette).image
        for palette in (Palette.DAY, Palette.LOW_LIGHT) for k in range(4)
    ]
    renderer.close()
    return pictures


def with_blocks(picture):
    """White blocks in it, which the tests' detector takes for people."""
    out = picture.copy()
    cv2.rectangle(out, (300, 200), (330, 270), (255, 255, 255), -1)
    return out


def taken(k):
    """What a camera might have taken: textured, with a block that the detector finds."""
    rng = np.random.default_rng(k // 2)
    coarse = rng.integers(40, 150, (24, 40, 3), dtype=np.uint8)
    return with_blocks(cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC))


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def live_station(station):
    station.allowed.add(LIVE.public)
    return station


@pytest.mark.parametrize(("source", "says"), [
    ('kind = "simulator"\nendpoint = "tcp://127.0.0.1:9"', "shows rendered pictures"),
    ('kind = "file"\npath = "walk.avi"', "shows a recording"),
    ('kind = "folder"\npath = "."', "shows a recording"),
])
def test_a_live_key_and_a_source_that_is_never_a_camera_do_not_start(settings, start, source, says):
    node = start(settings([('kind = "file"\npath = "walk.avi"', source)], key=LIVE))
    assert node.wait(60) == 2
    assert says in node.stderr.read().splitlines()[-1]


def test_a_live_node_before_a_rendered_stream_is_blind_and_says_why(settings, station, start, rtsp, rendered):
    url = rtsp([with_blocks(p) for p in rendered])
    live_station(station)
    node = start(settings(stream(url), key=LIVE))
    wait_for(lambda: node.poll() is not None or any("SIM" in r.detail for r in station.bodies(SensorReport)))
    assert node.poll() is None, node.stderr.read()
    time.sleep(6.0)         # and it stays so, over restarts of the stream
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0
    reports = station.bodies(SensorReport)
    assert {r.state for r in reports} == {SensorState.BLIND}
    assert "they are rendered, and this node's key is live" in reports[-1].detail
    for kind in (DetectionBatch, TrackUpdate, Snapshot):
        assert station.bodies(kind) == []


def test_a_live_node_before_a_real_cameras_stream_sees(settings, station, start, rtsp):
    live_station(station)
    node = start(settings(stream(rtsp([taken(k) for k in range(6)])), key=LIVE))
    wait_for(lambda: node.poll() is not None or station.bodies(DetectionBatch))
    assert node.poll() is None, node.stderr.read()
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0
    seeing = [r for r in station.bodies(SensorReport) if r.state is SensorState.SEEING]
    assert seeing and not any(r.simulated for r in seeing)


def test_a_training_node_before_a_rendered_stream_says_that_it_is_simulated(settings, station, start, rtsp, rendered):
    node = start(settings(stream(rtsp([with_blocks(p) for p in rendered]))))
    wait_for(lambda: node.poll() is not None or (
        station.bodies(DetectionBatch) and station.bodies(SensorReport)[-1].simulated))
    assert node.poll() is None, node.stderr.read()
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0
