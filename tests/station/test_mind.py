"""The mind with its real inbox: nothing lost, no alarm twice, persons answered after the disk has it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from geofences.sector import Sector, load_sector
from station.mind import Mind
from station.picture import (
    AlarmState,
    AlarmView,
    ChangeAlarm,
    ContactState,
    Delta,
    Done,
    GetPicture,
    Picture,
    Refused,
)
from station.record import public_key_file, verify
from station.settings import StationSettings
from wire.clock import NS_PER_S, WallClock
from wire.flying import DroneTelemetry, LinkState
from wire.keys import NodeKind
from wire.messages import Box, NodeHealth, SensorReport, SensorState, Snapshot
from wire.node_words import NO_TEXT, node_text
from wire.units import GroundPosition, HeightMsl, Position, TimeQuality


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def on_trail(sector: Sector, along_m: float, corridor: str = "khe-da", aside_m: float = 0.0) -> GroundPosition:
    p = sector.corridors.ground(corridor).centre_line.interpolate(along_m)
    return sector.frame.position(p.x, p.y + aside_m)


def picture_when(ask: Callable[[Any], Any], true: Callable[[Picture], bool], seconds: float = 60.0) -> Picture:
    deadline = time.monotonic() + seconds
    while True:
        picture: Picture = ask(GetPicture())
        if true(picture):
            return picture
        assert time.monotonic() < deadline, f"it did not come about: {picture}"
        time.sleep(0.1)


def test_a_walker_seen_by_two_cameras_is_one_contact_and_one_alarm_with_its_picture(
    settings, process, sender, frame, detection, sector, ask
) -> None:
    process("inbox")
    process("mind")
    a, b = sender("cam-1"), sender("cam-2")
    for i in range(20):
        at_ns = time.time_ns()
        a.send(frame("gate-1", at_ns, detection(on_trail(sector, 30 + 0.14 * i), track=3)))
        b.send(frame("gate-2", at_ns, detection(on_trail(sector, 30 + 0.14 * i, aside_m=1.0), track=8)))
        a.listen(0.1)
        b.listen(0.1)
    a.send(Snapshot("gate-1", 3, time.time_ns(), b"\xff\xd8\xff", Box(0, 0, 1, 1)))
    picture = picture_when(
        ask, lambda p: bool(p.alarms) and p.alarms[0].snapshot is not None and p.contacts[0].detections == 40
    )
    (contact,) = picture.contacts
    # Live until three seconds after the last frame, which is when a busy machine has drawn the picture that is asked for.
    assert contact.state in (ContactState.LIVE, ContactState.COASTING)
    assert contact.sensors == ("gate-1", "gate-2")
    assert contact.corridors == ("khe-da",)
    assert contact.simulated, "a training station's contacts are simulated whatever the node says"
    assert contact.why_merged[0].key == "contact.why.joined"
    (alarm,) = picture.alarms
    assert (alarm.rule, alarm.priority, alarm.corridor, alarm.contact) == ("corridor_entry", 1, "khe-da", contact.id)
    assert alarm.state is AlarmState.ACTIVE
    assert {n.node for n in picture.nodes} == {"cam-1", "cam-2"}


def test_a_person_is_answered_after_the_disk_has_it_and_the_second_one_hears_who_was_first(
    settings, process, sender, frame, detection, sector, ask
) -> None:
    process("inbox")
    mind = process("mind")
    node = sender()
    for i in range(5):
        node.send(frame("gate-1", time.time_ns(), detection(on_trail(sector, 30 + 0.14 * i))))
        node.listen(1)
    alarm = picture_when(ask, lambda p: bool(p.alarms)).alarms[0]
    assert ask(ChangeAlarm(alarm.id, AlarmState.ACKNOWLEDGED, "lan", "going")) == Done()
    mind.kill()
    events = sqlite3.connect(settings.mind_db).execute(
        "SELECT state, person, reason FROM alarm_events ORDER BY number"
    ).fetchall()
    assert events == [("active", "system", ""), ("acknowledged", "lan", "going")]
    mind.start()
    refused = ask(ChangeAlarm(alarm.id, AlarmState.ACKNOWLEDGED, "minh"))
    assert isinstance(refused, Refused)
    assert refused.says.key == "alarm.refused.already"
    assert refused.says.params["person"] == "lan"
    assert isinstance(ask(ChangeAlarm("A-999999", AlarmState.CLOSED, "minh", "x")), Refused)
    verdict = verify(settings.record_db, public_key_file(settings))
    assert verdict.broken is None
    actions = sqlite3.connect(settings.record_db).execute("SELECT person, action FROM entries").fetchall()
    assert actions == [("lan", "alarm.acknowledged")]


def test_a_killed_mind_loses_no_alarm_and_raises_none_twice(
    settings, process, sender, frame, detection, sector, ask
) -> None:
    """Walkers come one after the other, far apart; the mind is killed again and again in the middle of them."""
    process("inbox")
    mind = process("mind")
    node = sender()
    walkers = 9
    start_ns = time.time_ns() - 3 * 3600 * NS_PER_S
    for w in range(walkers):
        for i in range(30):
            # Each walker comes 11 minutes after the one before, so that neither flood nor finding-again groups them.
            at_ns = start_ns + w * 660 * NS_PER_S + i * 100_000_000
            node.send(frame("gate-1", at_ns, detection(on_trail(sector, 30 + 120 * w + 0.14 * i), track=w)))
            node.listen(0.01)
        if w % 2:
            ask(GetPicture())       # it runs, and has some of them and not all
            mind.kill()
            mind.start()
    node.listen(5)
    assert not node.waiting
    wait_until_read(settings)
    mind.kill()
    conn = sqlite3.connect(settings.mind_db)
    alarms = conn.execute("SELECT contact, corridor, count(*) FROM alarms GROUP BY contact, corridor").fetchall()
    assert [n for _, _, n in alarms] == [1] * walkers
    assert conn.execute("SELECT count(*) FROM alarm_events WHERE number = 0").fetchone() == (walkers,)
    assert conn.execute("SELECT count(*), sum(detections) FROM contacts").fetchone() == (walkers, walkers * 30)
    conn.close()


def wait_until_read(settings: StationSettings, seconds: float = 60.0) -> None:
    """Until the mind's committed place is the inbox's newest arrival."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.closing(sqlite3.connect(settings.inbox_db)) as conn:
            newest = conn.execute("SELECT max(id) FROM arrivals").fetchone()[0]
        place = 0
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(settings.mind_db)) as conn:
            place = conn.execute("SELECT arrival FROM place").fetchone()[0]     # until the mind has made the table: 0
        if newest == place:
            return
        assert time.monotonic() < deadline, f"the mind is at {place} of {newest}"
        time.sleep(0.1)


def test_deltas_follow_each_other_without_a_gap_as_it_happens(
    settings, process, sender, frame, detection, sector, ask
) -> None:
    process("inbox")
    process("mind")
    ask(GetPicture())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    feed = context.socket(zmq.SUB)
    feed.subscribe(b"")
    feed.connect(settings.mind_feed)
    node = sender()
    time.sleep(0.5)
    delays_ms, turns = [], []
    for i in range(30):
        node.send(frame("gate-1", time.time_ns(), detection(on_trail(sector, 30 + 0.14 * i))))
        until = time.monotonic() + 0.1
        while (left := until - time.monotonic()) > 0:
            if feed.poll(int(left * 1000)):
                delta = msgspec.msgpack.decode(feed.recv(), type=Delta)
                turns.append(delta.turn)
                delays_ms += [(time.time_ns() - c.last_seen_ns) / 1e6 for c in delta.contacts]
    context.destroy(linger=0)
    assert turns == list(range(turns[0], turns[0] + len(turns)))
    delays_ms.sort()
    assert len(delays_ms) >= 10
    assert delays_ms[len(delays_ms) // 2] < 5000, "it comes as it happens; how quickly is a benchmark's to say"


# ------------------------------------------------------------------- the mind without its sockets, on a time of our own


class Bench:
    """Inbox in a thread-free loop and mind, both in this process; time is the wall's."""

    def __init__(self, settings: StationSettings, sector: Sector) -> None:
        from station.inbox import Inbox

        self.clock = ShiftedClock()
        self.inbox = Inbox(settings, sector.corridor_set, self.clock)
        self.mind = Mind(settings, sector, self.clock)

    def deliver(self, node: Any) -> None:
        deadline = time.monotonic() + 5
        while node.waiting and time.monotonic() < deadline:
            self.inbox.turn()
            node.listen(0.001)
        assert not node.waiting

    def think(self) -> None:
        while self.mind.read():
            pass
        self.mind.pass_time()
        self.mind.commit()

    def later(self, seconds: float) -> None:
        self.clock.shift_ns += round(seconds * NS_PER_S)
        self.think()

    def close(self) -> None:
        self.inbox.close()
        self.mind.close()


class ShiftedClock(WallClock):
    shift_ns = 0

    def utc_ns(self) -> int:
        return super().utc_ns() + self.shift_ns


@pytest.fixture
def bench(settings: StationSettings, sector: Sector) -> Iterator[Bench]:
    made = Bench(settings, sector)
    yield made
    made.close()


def report(bench: Bench, state: SensorState) -> SensorReport:
    now_ns = bench.clock.utc_ns()
    return SensorReport("gate-1", now_ns, Position(16.62, 106.59, HeightMsl(170.0)), (), state, now_ns, False, "no frames")


def test_a_blind_camera_is_an_alarm_after_ten_seconds_that_closes_once_seen_and_acknowledged(bench, sender) -> None:
    node = sender()
    node.send(report(bench, SensorState.SEEING))
    bench.deliver(node)
    bench.think()
    node.send(report(bench, SensorState.BLIND))
    bench.deliver(node)
    bench.think()
    picture = bench.mind.picture()
    assert picture.sensors[0].state is SensorState.BLIND, "shown at once"
    assert picture.alarms == ()
    bench.later(9.5)
    assert not bench.mind.picture().alarms
    bench.clock.shift_ns += NS_PER_S * 2
    node.send(report(bench, SensorState.BLIND))
    bench.deliver(node)
    bench.later(0)
    (alarm,) = [a for a in bench.mind.picture().alarms if a.rule == "sensor_blind"]
    assert (alarm.priority, alarm.sensor) == (3, "gate-1")
    node.send(report(bench, SensorState.SEEING))
    bench.deliver(node)
    bench.later(1.1)
    recovered = next(a for a in bench.mind.picture().alarms if a.id == alarm.id)
    assert recovered.state is AlarmState.ACTIVE, "stays listed until somebody has seen it"
    assert (recovered.events[-1].person, recovered.events[-1].reason) == ("system", "recovered")
    assert bench.mind.answer(ChangeAlarm(alarm.id, AlarmState.ACKNOWLEDGED, "lan")) == Done()
    assert next(a for a in bench.mind.picture().alarms if a.id == alarm.id).state is AlarmState.CLOSED


@pytest.mark.parametrize("state", [s for s in SensorState if s.is_blind])
def test_a_camera_that_sends_pictures_and_does_not_see_is_an_alarm_that_says_what_is_wrong(bench, sender, state) -> None:
    node = sender()
    node.send(report(bench, SensorState.SEEING))
    node.send(report(bench, state))
    bench.deliver(node)
    bench.think()
    assert bench.mind.picture().sensors[0].state is state
    bench.clock.shift_ns += NS_PER_S * 12
    other = SensorState.DARK if state is not SensorState.DARK else SensorState.COVERED
    for now, expected in ((state, state), (other, other)):
        node.send(report(bench, now))
        bench.deliver(node)
        bench.later(1.1)
        (alarm,) = [a for a in bench.mind.picture().alarms if a.rule == "sensor_blind"]
        assert alarm.says.key == f"alarm.sensor_{expected.value}" and alarm.says.params["detail"] == "no frames"


def blind_alarms(bench: Bench) -> list[AlarmView]:
    return [a for a in bench.mind.picture().alarms if a.rule == "sensor_blind"]


def test_a_camera_that_is_new_here_has_a_minute_for_its_first_picture(bench, sender) -> None:
    node = sender()
    for _ in range(12):
        node.send(report(bench, SensorState.BLIND))
        bench.deliver(node)
        assert blind_alarms(bench) == []
        bench.later(4.9)
    bench.later(2)
    assert len(blind_alarms(bench)) == 1


@pytest.mark.parametrize(("armed", "away_m", "expected"), [(False, 3.0, 0), (True, 3.0, 1), (False, 400.0, 1)])
def test_a_drones_camera_that_sees_nothing_on_the_ground_is_no_fault_and_in_the_air_it_is(
    bench, sender, armed, away_m, expected
) -> None:
    eye, fleet = sender("drone-1-eye", NodeKind.DRONE), sender("fleet", NodeKind.FLEET)
    eye.send(report(bench, SensorState.SEEING))
    now_ns = bench.clock.utc_ns()
    place = Position(16.62 + away_m / 111_000.0, 106.59, HeightMsl(170.0))
    fleet.send(DroneTelemetry(
        "drone-1", now_ns, LinkState.CONNECTED, 0.1, 1, "hw", True, armed, "LOITER", place, 0.0, 0.0, 0.0, 90.0, 16.0, 3, 1,
        5,
    ))
    eye.send(report(bench, SensorState.COVERED))
    for node in (eye, fleet):
        bench.deliver(node)
    bench.think()
    bench.clock.shift_ns += 9 * NS_PER_S
    eye.send(report(bench, SensorState.COVERED))
    bench.deliver(eye)
    bench.later(3)
    assert bench.mind.picture().sensors[0].state is SensorState.COVERED, "the map says it in any case"
    assert len(blind_alarms(bench)) == expected


def test_a_drones_camera_that_stood_on_the_ground_has_the_time_to_take_off_before_it_counts_as_blind(bench, sender) -> None:
    eye, fleet = sender("drone-1-eye", NodeKind.DRONE), sender("fleet", NodeKind.FLEET)
    place = Position(16.62, 106.59, HeightMsl(170.0))

    def for_s(seconds: int, armed: bool) -> None:
        for _ in range(seconds):
            fleet.send(DroneTelemetry(
                "drone-1", bench.clock.utc_ns(), LinkState.CONNECTED, 0.1, 1, "hw", True, armed, "AUTO", place, 0.0, 0.0,
                0.0, 90.0, 16.0, 3, 1, 5,
            ))
            eye.send(report(bench, SensorState.COVERED))
            for node in (eye, fleet):
                bench.deliver(node)
            bench.later(1)

    eye.send(report(bench, SensorState.SEEING))
    bench.deliver(eye)
    for_s(20, armed=False)
    for_s(25, armed=True)
    assert blind_alarms(bench) == []
    for_s(20, armed=True)
    assert len(blind_alarms(bench)) == 1


def test_a_position_that_is_not_trusted_is_an_alarm_until_it_is_again(bench, sender) -> None:
    node = sender()

    def health(trusted: bool) -> NodeHealth:
        problem = NO_TEXT if trusted else node_text("gnss_moved", metres=64, side=node_text("compass_north"))
        return NodeHealth(
            bench.clock.utc_ns(), 1.0, 1, 0, 5.0, {}, 0, 0, 0, 9e3, 90.0, TimeQuality.NTP, trusted,
            position_problem=str(problem), position_words=problem.worded,
        )

    for trusted in (True, False):
        node.send(health(trusted))
        bench.deliver(node)
        bench.later(1.1)
        assert len(bench.mind.picture().alarms) == (not trusted)
    (alarm,) = bench.mind.picture().alarms
    assert (alarm.rule, alarm.node, alarm.priority) == ("position_untrusted", "cam-1", 3)
    assert alarm.says.params["detail"].startswith("GNSS puts this camera 64 m north")
    assert alarm.says.params["detail|key"] == "node_says.gnss_moved" and alarm.says.params["detail|metres"] == 64
    node.send(health(True))
    bench.deliver(node)
    bench.later(1.1)
    (alarm,) = bench.mind.picture().alarms
    assert (alarm.state, alarm.events[-1].reason) == (AlarmState.ACTIVE, "recovered")


def test_a_silent_node_is_one_alarm_and_its_camera_is_shown_blind(bench, sender) -> None:
    node = sender()
    node.send(report(bench, SensorState.SEEING))
    bench.deliver(node)
    bench.think()
    bench.later(11)
    picture = bench.mind.picture()
    assert picture.nodes[0].silent
    assert [(a.rule, a.node) for a in picture.alarms] == [("node_silent", "cam-1")]
    assert picture.sensors[0].state is SensorState.BLIND
    bench.later(30)
    assert len(bench.mind.picture().alarms) == 1


def test_a_restart_after_a_long_stop_does_not_call_its_nodes_silent_at_once(bench, sender, settings, sector) -> None:
    node = sender()
    node.send(report(bench, SensorState.SEEING))
    bench.deliver(node)
    bench.think()
    bench.mind.commit(force=True)
    bench.mind.close()
    bench.clock.shift_ns += 3600 * NS_PER_S
    bench.mind = Mind(settings, sector, bench.clock)
    bench.later(5)
    assert bench.mind.picture().alarms == ()
    bench.later(6)
    assert [a.rule for a in bench.mind.picture().alarms] == ["node_silent"]


def test_a_wrong_clock_is_an_alarm_and_never_moves_a_contact(bench, sender, frame, detection, sector) -> None:
    node = sender()
    node.send(frame("gate-1", time.time_ns() + 7200 * NS_PER_S, detection(on_trail(sector, 30))))
    bench.deliver(node)
    bench.think()
    picture = bench.mind.picture()
    assert picture.contacts == ()
    (alarm,) = picture.alarms
    assert (alarm.rule, alarm.node) == ("clock_wrong", "cam-1")
    assert alarm.says.params["offset_s"] == pytest.approx(7200, abs=5)


def test_what_an_offline_node_sends_late_still_raises_its_alarm(bench, sender, frame, detection, sector) -> None:
    live, late = sender("cam-1"), sender("cam-2")
    now_ns = time.time_ns()
    for i in range(10):
        live.send(frame("gate-1", now_ns + i * 100_000_000, detection(on_trail(sector, 30 + i * 0.1), track=1)))
    bench.deliver(live)
    bench.think()
    for i in range(10):
        at_ns = now_ns - 3600 * NS_PER_S + i * 100_000_000
        place = on_trail(sector, 300 + i * 0.1, "ben-song")
        late.send(frame("gate-2", at_ns, detection(place, track=1, corridors=("ben-song",))))
    bench.deliver(late)
    bench.think()
    picture = bench.mind.picture()
    assert sorted((a.corridor, a.contact) for a in picture.alarms) == [("ben-song", "C-000002"), ("khe-da", "C-000001")]
    assert [c.detections for c in picture.contacts] == [10, 10]


def test_a_contact_ends_unseen_and_leaves_the_picture(bench, sender, frame, detection, sector) -> None:
    node = sender()
    for i in range(5):
        node.send(frame("gate-1", time.time_ns() + i, detection(on_trail(sector, 30))))
    bench.deliver(node)
    bench.think()
    bench.mind.delta()
    bench.later(5)
    assert bench.mind.picture().contacts[0].state is ContactState.COASTING
    bench.later(26)
    assert bench.mind.picture().contacts[0].state is ContactState.ENDED
    bench.later(121)
    delta = bench.mind.delta()
    assert delta is not None and delta.contacts_gone == ("C-000001",)
    assert bench.mind.picture().contacts == ()


def test_a_drone_is_shown_with_a_bounded_trail(bench, sender) -> None:
    fleet = sender("fleet", NodeKind.FLEET)
    now_ns = time.time_ns()
    for i in range(400):
        fleet.send(
            DroneTelemetry(
                "drone-1", now_ns + i * NS_PER_S // 50, LinkState.CONNECTED, 0.1, 1, "hw", True, True, "AUTO",
                Position(16.62 + i * 1e-4, 106.59, HeightMsl(250.0)), 80.0, 8.0, 0.0, 90.0, 24.0, 3, 1, 5,
            )
        )
        if i % 50 == 0:
            now_ns += 60 * NS_PER_S // 60
    bench.deliver(fleet)
    bench.think()
    (drone,) = bench.mind.picture().drones
    assert drone.telemetry.mode == "AUTO"
    assert 5 <= len(drone.trail) <= 300
    assert [p.at_ns for p in drone.trail] == sorted(p.at_ns for p in drone.trail)


def test_refusals_are_in_the_picture(bench, sender, frame) -> None:
    node = sender("cam-1")
    node.waiting[(-1, -1)] = b""
    node.raw(b"nonsense", b"x")
    bench.deliver(node)
    node.send(frame("gate-1", time.time_ns()))
    bench.deliver(node)
    bench.later(1.1)
    counts = bench.mind.picture().counts
    assert (counts.messages_stored, counts.refused) == (1, {"other_protocol": 1})


def test_a_restart_continues_the_same_contact(bench, sender, frame, detection, sector, settings) -> None:
    node = sender()
    now_ns = time.time_ns()
    for i in range(10):
        node.send(frame("gate-1", now_ns + i * 100_000_000, detection(on_trail(sector, 30 + i * 0.14))))
    bench.deliver(node)
    bench.think()
    before = bench.mind.picture()
    bench.mind.commit(force=True)
    bench.mind.close()
    bench.mind = Mind(settings, sector, bench.clock)
    after = bench.mind.picture()
    assert after.contacts[0].position == before.contacts[0].position
    assert after.contacts[0].covariance == before.contacts[0].covariance
    assert after.alarms == before.alarms
    assert after.turn > before.turn
    for i in range(10, 15):
        node.send(frame("gate-1", now_ns + i * 100_000_000, detection(on_trail(sector, 30 + i * 0.14))))
    bench.deliver(node)
    bench.think()
    picture = bench.mind.picture()
    assert [(c.id, c.detections) for c in picture.contacts] == [("C-000001", 15)]
    assert len(picture.alarms) == 1
