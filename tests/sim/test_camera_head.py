"""A simulated camera turns as a real one does: when it is told, in its time, and not quite to the same place twice."""

import socket
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from cameras.lens import Lens
from cameras.pose import Pose
from edge.preset_mover import turn
from edge.preset_turn import Outcome, Turn, Turned, TurnedBy
from edge.streams import SimulatorSource
from edge.view_match import View as Seen
from edge.view_match import edge_field
from sim.camera_head import MISTAKE_LIMIT, SPEED_DEG_S, CameraHead, View
from sim.camera_server import CameraServer
from sim.camera_settings import load_camera_plan, preset_views
from tests.sim.test_camera_server import CAMERA, CONFIGS, NODE, World, walking
from tests.small_world import small_landscape
from wire.clock import SteppedClock, WallClock
from wire.settings import SettingsError

LENS = Lens(640, 360, 500.0, 500.0, 319.5, 179.5)
VIEWS = {
    "1": View(Pose(0.0, 0.0, 107.0, 350.0, -14.0), LENS),
    "2": View(Pose(0.0, 0.0, 107.0, 80.0, -20.0, 1.0), Lens(640, 360, 900.0, 900.0, 319.5, 179.5)),
    "the 3rd": View(Pose(0.0, 0.0, 107.0, 200.0, -10.0), LENS),
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def heads():
    made = []

    def make(clock, repeat_deg=0.0, url=None):
        url = url or f"http://127.0.0.1:{free_port()}/cgi?goto={{token}}"
        made.append((CameraHead(VIEWS, url, repeat_deg, 1, clock), url))
        return made[-1]

    yield make
    for head, _ in made:
        head.close()


def test_it_takes_its_time_and_goes_the_short_way_round(heads):
    clock = SteppedClock()
    head, _ = heads(clock)
    assert head.at(clock.utc_ns()) == VIEWS["1"]
    assert head.turn("2")
    clock.advance(30.0 / SPEED_DEG_S)
    half = head.at(clock.utc_ns()).pose
    assert half.yaw_deg % 360 == pytest.approx(20.0) and half.pitch_deg == pytest.approx(-16.0)
    assert head.turn("1"), "it turns round on the way"
    clock.advance(10.0 / SPEED_DEG_S)
    assert head.at(clock.utc_ns()).pose.yaw_deg % 360 == pytest.approx(10.0)
    clock.advance(60.0)
    assert head.at(clock.utc_ns()).pose == VIEWS["1"].pose
    assert not head.turn("4")


def test_it_comes_back_as_well_as_its_settings_say_and_no_better(heads):
    clock = SteppedClock()
    head, _ = heads(clock, repeat_deg=0.2)
    yaws = []
    for _ in range(60):
        for token in ("2", "1"):
            head.turn(token)
            clock.advance(60.0)
        yaws.append(head.at(clock.utc_ns()).pose.yaw_deg - VIEWS["1"].pose.yaw_deg)
    assert 0.1 < np.std(yaws) < 0.3 and np.abs(yaws).max() <= MISTAKE_LIMIT * 0.2


def test_it_is_told_by_its_address_and_by_no_other(heads):
    head, url = heads(WallClock())
    assert urllib.request.urlopen(url.replace("{token}", "the%203rd")).status == 200
    for wrong in (url.replace("{token}", "9"), url.replace("cgi?goto", "other?goto").replace("{token}", "2")):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(wrong)
    asked = Turn(TurnedBy.HTTP, "2", "", 80, "", url, "", "", 0.1)
    assert turn(asked) == Turned(Outcome.ARRIVED)
    assert head.at(WallClock().utc_ns() + 60 * 10**9) == VIEWS["2"]


def test_an_address_that_is_taken_or_elsewhere_is_refused_in_words(heads):
    _, url = heads(WallClock())
    with pytest.raises(SettingsError, match="cannot be had"):
        CameraHead(VIEWS, url, 0.0, 1, WallClock())
    with pytest.raises(SettingsError, match="on this machine"):
        CameraHead(VIEWS, "http://10.0.0.1:80/{token}", 0.0, 1, WallClock())


PRESETS = """
[ptz]
by = "{by}"
{more}

[[presets]]
name = "north"
token = "1"
yaw_deg = 10.0
pitch_deg = -14.0

[[presets]]
name = "east"
token = "2"
yaw_deg = 70.0
pitch_deg = -16.0
fx_px = 700.0
fy_px = 700.0
"""


def write_plan(folder, world, by="http", more=""):
    sector = CONFIGS / "sectors/laobao/sector.toml"
    node = NODE.format(sector=sector, port=free_port()).replace("yaw_deg = 10.0\npitch_deg = -14.0\n", "")
    (folder / "gate.toml").write_text(node + PRESETS.format(by=by, more=more))
    camera = CAMERA.format(sector=sector, scenario=CONFIGS / "worlds/dusk.toml", world=world)
    (folder / "camera.toml").write_text(camera.replace("mistaken = true", "mistaken = false"))
    return load_camera_plan(folder / "camera.toml")


def test_what_is_drawn_after_a_turn_is_what_a_camera_that_always_looked_there_shows(tmp_path):
    """Through the node's own eyes: the match by which it knows its view."""
    land, clock = small_landscape(), WallClock()
    url = f"http://127.0.0.1:{free_port()}/preset/{{token}}"
    plan = write_plan(tmp_path, f"tcp://127.0.0.1:{free_port()}", more=f'url = "{url}"')
    views = preset_views(plan, land.terrain)
    assert (views["1"].lens.fx, views["2"].lens.fx) == (500.0, 700.0)
    head = CameraHead(views, url, 0.0, 1, clock)
    server = CameraServer(plan, land, lambda at: head.at(at).pose, clock, lambda at: head.at(at).lens)
    source = SimulatorSource(plan.serve, "gate-1")

    def picture():
        end = time.monotonic() + 120
        since_ns = clock.utc_ns()
        while True:
            server.turn()
            frame = source.grab(0.1)
            if frame is not None and frame.captured_ns > since_ns:
                return frame.image
            assert time.monotonic() < end

    try:
        with World(plan.settings.world, lambda at: walking(land, at)):
            north = Seen(edge_field(picture()))
            assert turn(Turn(TurnedBy.HTTP, "2", "", 80, "", url, "", "", 4.0)) == Turned(Outcome.ARRIVED)
            east = picture()
            fixed = View(views["2"].pose, views["2"].lens)
            server._pose_at, server._lens_at = (lambda _: fixed.pose), (lambda _: fixed.lens)
            always = Seen(edge_field(picture()))
    finally:
        source.close()
        server.close()
        head.close()
    there, away = always.match(edge_field(east)), north.match(edge_field(east))
    assert there.score > 2 * away.score and there.shift == (0.0, 0.0), (there, away)


def test_a_simulated_camera_is_turned_by_http_alone(tmp_path):
    with pytest.raises(SettingsError, match='turned by "http"'):
        write_plan(tmp_path, f"tcp://127.0.0.1:{free_port()}", "onvif", 'host = "127.0.0.1"')


