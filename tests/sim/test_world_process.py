"""The world as a process at its sockets: late subscribers, a killed and restarted world, drones, the truth on the disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sim.demo_settings import free_port
from sim.truth_log import TruthLog, read_courses
from sim.world_feed import HOLD_NS, WorldFeed, loopback
from sim.world_process import LEAD_S, WorldProcessSettings, WorldServer, load
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.process import DIE_WITH_PARENT
from wire.settings import SettingsError

ROOT = Path(__file__).parents[2]
WALKERS = """
[[actors]]
name = "party"
kind = "person"
role = "crosser"
count = 2
at = { on = "trail", at_m = 50.0 }
script = [
    { do = "avoid_drone", within_m = 60.0, script = [{ do = "follow_trail", trail = "trail", to_m = 650.0 }] },
]
[[actors]]
name = "cow"
kind = "buffalo"
role = "animal"
at = { on = "trail", at_m = 200.0, aside_m = 20.0 }
script = [{ do = "graze", seconds = 3600.0 }]
"""


def endpoints():
    return f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def served(scenario_of, small_landscape, tmp_path):
    """A world in lockstep: nothing moves but by turn(); and a feed that is subscribed."""
    clock = SteppedClock()
    endpoint, drones = endpoints()
    scenario = scenario_of(WALKERS)
    settings = WorldProcessSettings("", "", endpoint, drones)
    server = WorldServer(scenario, small_landscape, settings, TruthLog(tmp_path / "truth.db", scenario, clock), clock)
    feed = WorldFeed(endpoint, drones)
    wall = WallClock()
    for _ in range(200):            # until the subscription has arrived
        server.turn()
        clock.advance(0.1)
        if feed.wait(wall, 0.05):
            break
    yield server, feed, clock, tmp_path / "truth.db"
    feed.close()
    server.close()


def arrived(feed, utc_ns, within_s=5.0):
    """The moment at a time, once the Moments up to it have come through the socket."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        moment = feed.moment_at(utc_ns)
        if moment is not None and moment.utc_ns == utc_ns:
            return moment
        time.sleep(0.01)
    return None


def test_a_picture_taken_now_lies_between_two_moments(served):
    server, feed, clock, _ = served
    for _ in range(10):
        server.turn()
        clock.advance(0.1)
    now = clock.utc_ns()
    moment = arrived(feed, now)
    assert moment.utc_ns == now
    expected = server.world
    body = expected.bodies[0]
    state = next(s for s in moment.actors if s.actor.id == body.actor.id)
    # The world itself is ahead by LEAD_S, less the step of the clock since.
    assert 0.0 <= np.hypot(body.east_m - state.east_m, body.north_m - state.north_m) < 2.0 * LEAD_S


def test_the_feed_says_none_when_the_world_has_gone_and_for_long_ago(served):
    server, feed, _clock, _ = served
    last = server.turn()
    assert arrived(feed, last.utc_ns) is not None
    assert feed.moment_at(last.utc_ns + HOLD_NS + 1) is None
    assert feed.moment_at(last.utc_ns + HOLD_NS - 1).actors
    assert feed.moment_at(last.utc_ns - 3600 * NS_PER_S) is None


def test_a_feed_that_is_never_served_says_none():
    feed = WorldFeed(endpoints()[0])
    try:
        assert not feed.wait(WallClock(), 0.2)
        assert feed.moment_at(0) is None
    finally:
        feed.close()


def test_a_clock_that_is_set_back_is_followed(served):
    server, feed, clock, _ = served
    clock.step_utc(-600.0)
    for _ in range(4):
        last = server.turn()
        clock.advance(0.1)
    moment = arrived(feed, last.utc_ns)
    assert moment is not None
    assert moment.utc_ns == last.utc_ns


def test_what_is_no_moment_is_refused_and_counted(served):
    import zmq

    server, feed, _clock, _ = served
    from sim.world_feed import TOPIC

    for junk in ([TOPIC, b"\x81\xa1x\x01"], [TOPIC], [TOPIC, b""]):
        server._pub.send_multipart(junk)
    last = server.turn()
    assert arrived(feed, last.utc_ns) is not None
    assert feed.refused == 3
    push = zmq.Context.instance().socket(zmq.PUSH)
    push.connect(server._pull.getsockopt(zmq.LAST_ENDPOINT).decode())
    push.send(b"not a drone")
    for _ in range(100):
        server.turn()
        if server.refused:
            break
        time.sleep(0.01)
    push.close(0)
    assert server.refused == 1


def test_people_hide_from_a_drone_of_which_the_world_is_told(served):
    server, feed, clock, _ = served
    for _ in range(60):
        body = server.world.bodies[0]
        feed.tell_drone("drone-1", body.east_m, body.north_m, 200.0)
        time.sleep(0.005)
        server.turn()
        clock.advance(0.1)
    assert any(s.posture.value in ("run", "crouch") for s in server.turn().actors if s.actor.kind.value == "person")


def test_the_truth_on_the_disk_is_what_was_published(served):
    server, _feed, clock, truth = served
    moments = []
    for _ in range(60):
        moments.append(server.turn())
        clock.advance(0.1)
    server.close()
    courses = read_courses(truth)
    assert {(c.actor, c.kind.value, c.role.value) for c in courses} == {
        (1, "person", "crosser"), (2, "person", "crosser"), (3, "buffalo", "animal"),
    }
    walker = next(c for c in courses if c.actor == 1)
    for moment in moments[5:55]:
        state = next(s for s in moment.actors if s.actor.id == 1)
        at = walker.at(moment.utc_ns)
        # Half a second between entries: a walker bends by centimetres, and starts or stops within them once.
        assert np.hypot(at[0] - state.east_m, at[1] - state.north_m) < 0.15
    assert walker.at(walker.at_ns[0] - 1) is None
    assert walker.at(walker.at_ns[-1] + 1) is None
    assert walker.party == courses[1].party != 0


def test_a_second_start_is_a_run_of_its_own(scenario_of, small_landscape, tmp_path):
    clock = SteppedClock()
    scenario = scenario_of(WALKERS)
    for _ in range(2):
        settings = WorldProcessSettings("", "", *endpoints())
        server = WorldServer(scenario, small_landscape, settings, TruthLog(tmp_path / "t.db", scenario, clock), clock)
        for _ in range(12):
            server.turn()
            clock.advance(0.1)
        server.close()
    courses = read_courses(tmp_path / "t.db")
    assert sorted({c.run for c in courses}) == [1, 2]
    assert len({(c.run, c.actor) for c in courses}) == len(courses) == 6


@pytest.mark.parametrize("endpoint", ["tcp://*:5580", "tcp://0.0.0.0:5580", "tcp://192.168.1.4:5580", "udp://127.0.0.1:1"])
def test_a_world_never_leaves_its_machine(endpoint):
    with pytest.raises(SettingsError, match="a simulated world stays on its machine"):
        loopback(endpoint)


@pytest.fixture
def config(small_sector_file, scenario_of, tmp_path):
    endpoint, drones = endpoints()
    file = tmp_path / "world.toml"
    file.write_text(
        f'sector = "{small_sector_file}"\nscenario = "{scenario_of(WALKERS).file}"\nendpoint = "{endpoint}"\n'
        f'drones = "{drones}"\ntruth = "truth.db"\nspeed = 1.0\n'
    )
    return file


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("speed = 1.0", "speed = 900.0", "world.toml:6: speed: 900.0: simulated seconds a second"),
        ("endpoint = \"tcp://127.0.0.1", "endpoint = \"tcp://10.0.0.1", "world.toml:3: endpoint: "),
        ("scenario = \"", "scenario = \"/nowhere", "there is no such file"),
    ],
)
def test_broken_settings_say_where(config, old, new, says):
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(SettingsError) as error:
        load(config)
    assert says in str(error.value)


def start(config, folder):
    environment = os.environ | {DIE_WITH_PARENT: str(os.getpid()), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "world", "--config", str(config)], env=environment, cwd=ROOT,
        stderr=subprocess.PIPE, text=True,
    )


def test_a_killed_world_comes_back_and_its_subscriber_follows(config, tmp_path):
    settings, _ = load(config)
    feed, wall = WorldFeed(settings.endpoint), WallClock()
    world = start(config, tmp_path)
    try:
        assert feed.wait(wall, 90.0), "the first world never published"
        until = time.monotonic() + 60
        while time.monotonic() < until:         # until something is on the disk: the first entry is written at once
            moment = feed.moment_at(wall.utc_ns())
            if moment is not None and moment.t_s > 2.0:
                break
            time.sleep(0.05)
        world.send_signal(signal.SIGKILL)
        world.wait()
        until = time.monotonic() + 30
        while feed.moment_at(wall.utc_ns()) is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert feed.moment_at(wall.utc_ns()) is None
        world = start(config, tmp_path)
        again = None
        until = time.monotonic() + 90
        while again is None and time.monotonic() < until:
            again = feed.moment_at(wall.utc_ns())
            time.sleep(0.05)
        assert again is not None
        assert len(again.actors) == 3
        world.terminate()
        assert world.wait(timeout=30) == 0
    finally:
        world.kill()
        world.wait()
        feed.close()
    assert sorted({c.run for c in read_courses(tmp_path / "truth.db")}) == [1, 2]
