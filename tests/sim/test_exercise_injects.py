"""Injects: due by time, on a condition, after another, by hand; and what the world and a camera make of them."""

from types import SimpleNamespace

import cv2
import msgspec
import numpy as np
import pytest

from cameras.pose import Pose
from edge.rendered import RenderedWatch
from sim.camera_faults import CameraFaults, encoded
from sim.exercise_injects import Injects
from sim.exercise_settings import CameraInject, MessageInject, When
from sim.sky import Weather
from sim.world_orders import Pace, Split, TurnWeather, decode_order, weather_of
from sim.world_settings import FollowTrail
from wire.clock import SteppedClock
from wire.settings import SettingsError

PARTY = """
[[actors]]
name = "party"
kind = "person"
role = "crosser"
count = 4
spacing_m = 2.0
at = { on = "trail", at_m = 40.0 }
script = [{ do = "follow_trail", trail = "trail", to_m = 600.0 }]
"""


def injects(*which, lines=None):
    return Injects(SimpleNamespace(injects=which), lines or {})


def ids(done):
    return [d.inject.id for d in done]


def test_an_inject_is_done_once_when_its_time_has_come():
    run = injects(MessageInject(id="a", says="x", at_s=10.0))
    assert ids(run.due(9.9, 0, (), {})) == []
    assert ids(run.due(10.2, 0, (), {})) == ["a"]
    assert ids(run.due(11.0, 0, (), {})) == []
    assert run.done["a"].by == "time"


def test_an_inject_waits_for_alarms_and_another_for_it():
    run = injects(
        MessageInject(id="a", says="x", when=When(alarms=2)),
        MessageInject(id="b", says="y", when=When(after="a", wait_s=30.0)),
    )
    assert ids(run.due(5.0, 1, (), {})) == []
    assert ids(run.due(6.0, 2, (), {})) == ["a"]
    assert ids(run.due(35.9, 2, (), {})) == []
    assert ids(run.due(36.0, 2, (), {})) == ["b"]


def test_an_inject_waits_until_a_party_is_so_far_along_a_trail(world_of):
    world = world_of(PARTY)
    run = injects(
        MessageInject(id="far", says="x", when=When(actor="party", on="trail", beyond_m=100.0)),
        lines={"trail": world.path("trail")},
    )
    when = None
    for t in range(0, 120):
        names = {"party": [b.actor.id for b in world.named("party")]}
        if run.due(float(t), 0, world.moment_at(float(t)).actors, names):
            when = t
            break
    assert when is not None
    first = max(b.s_m for b in world.named("party"))
    assert 100.0 <= first < 106.0


def test_by_hand_needs_no_condition_and_may_be_done_again():
    run = injects(MessageInject(id="a", says="x"))
    assert ids(run.due(1000.0, 99, (), {})) == []
    assert run.by_hand("a", 3.0, "trainer").by == "trainer"
    assert run.by_hand("a", 9.0, "trainer").at_s == 9.0
    with pytest.raises(SettingsError, match='there is no inject "b"; there are a'):
        run.by_hand("b", 3.0, "trainer")


def test_a_fault_is_over_after_its_time_and_one_without_stays():
    run = injects(
        CameraInject(id="a", camera="c", fault="covered", at_s=1.0, for_s=5.0),
        CameraInject(id="b", camera="c", fault="blind", at_s=1.0),
    )
    assert len(run.due(1.0, 0, (), {})) == 2
    assert run.over(5.9) == []
    assert [o.inject.id for o in run.over(6.0)] == ["a"]
    assert run.over(1e6) == []


def test_a_party_splits_and_both_halves_go_their_own_way(world_of):
    world = world_of(PARTY)
    world.advance_to(20.0)
    gone = world.split("party", 2, [FollowTrail(trail="trail", to_m=0.0)])
    assert len(gone) == 2
    world.advance_to(35.0)
    halves = {b.actor.id in gone: b for b in world.named("party")}
    assert len(world.named("party")) == 4
    assert halves[True].direction == -1 and halves[False].direction == 1
    assert halves[True].s_m < halves[False].s_m - 15.0
    assert len(halves[True].party) == len(halves[False].party) == 2


def test_weather_turns_evenly_from_now_and_what_was_planned_later_is_off(world_of):
    world = world_of(PARTY + "\n[[weather]]\nvisibility_m = 20000.0\n[[weather]]\nat_s = 500.0\nrain_mm_h = 30.0\n")
    world.advance_to(10.0)
    before = world.moment_at(10.0).sky.visibility_m
    world.change_weather(Weather(visibility_m=200.0), 20.0)
    middle, end = world.moment_at(20.0).sky.visibility_m, world.moment_at(40.0).sky
    assert before > 10_000.0 and 200.0 < middle < 1_000.0 and end.visibility_m == pytest.approx(200.0)
    assert world.moment_at(550.0).sky.rain_mm_h == 0.0


ORDERS = [Pace(2.0), TurnWeather(30.0, rain_mm_h=5.0), Split("party", 1, [FollowTrail(trail="t", to_m=1.0)])]


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_to_the_world_comes_out_as_it_went_in(order):
    assert decode_order(msgspec.msgpack.encode(order)) == order
    with pytest.raises(msgspec.DecodeError):
        decode_order(b"\x81\xa4type\xa4stop")


def test_weather_that_an_order_leaves_out_stays():
    now = Weather(0.0, 0.4, 1.0, 5000.0, 3.0, 90.0)
    assert weather_of(TurnWeather(10.0, visibility_m=300.0), now) == msgspec.structs.replace(now, visibility_m=300.0)


@pytest.fixture
def picture():
    noise = np.random.default_rng(2).integers(40, 200, (540, 960, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_every_fault_is_in_the_picture_and_every_picture_keeps_its_mark(tmp_path, picture):
    clock, file = SteppedClock(), tmp_path / "camera-1.fault"
    faults = CameraFaults(file, clock)
    whole = encoded(picture)

    def after(fault):
        file.write_text(fault, encoding="utf-8")
        clock.advance(1.0)
        return faults.jpeg(picture, whole)

    assert faults.jpeg(picture, whole) == whole
    assert after("blind") is None
    for fault in ("covered", "dark", "defocused"):
        spoiled = decoded(after(fault))
        watch = RenderedWatch()
        assert any(watch.look(spoiled) for _ in range(30)), fault
    assert decoded(after("covered")).mean() < 60 and decoded(after("dark")).mean() < 60
    frozen = after("frozen")
    assert faults.jpeg(picture // 2, encoded(picture // 2)) == frozen
    pose = Pose(0.0, 0.0, 8.0, 90.0, -10.0)
    after("moved")
    assert faults.pose(pose).yaw_deg != pose.yaw_deg
    file.unlink()
    clock.advance(1.0)
    assert faults.pose(pose) == pose and faults.jpeg(picture, whole) == whole
