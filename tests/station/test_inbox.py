"""The inbox over its real socket: what it takes, what it refuses, and what it still has after kill -9."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.inbox import Inbox
from station.settings import StationSettings
from station.store import INBOX, open_reader, read_snapshot
from wire.clock import NS_PER_S, WallClock
from wire.codec import MAGIC, SNAPSHOT_LIMIT_BYTES, TRANSPORT_LIMIT_BYTES, encode_envelope
from wire.flying import TaskPhase, TaskState
from wire.keys import NodeKind, make_node_key
from wire.messages import Box, Detection, DetectionBatch, Envelope, NodeHealth, Snapshot
from wire.settings import SettingsError
from wire.units import GroundPosition, ObjectClass, Realm, TimeQuality

PLACE = GroundPosition(16.6211, 106.5915)
Frame = Callable[..., DetectionBatch]
Make = Callable[..., Detection]


class Running:
    """An inbox whose loop runs in a thread; the thread's death is what the fuzz test looks for."""

    def __init__(self, settings: StationSettings) -> None:
        self.inbox = Inbox(settings, load_sector(settings.sector).corridor_set, WallClock())
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._loop)
        self.thread.start()

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                self.inbox.turn()
            self.inbox.commit()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            self.error = error

    def stop(self) -> None:
        self._stop.set()
        self.thread.join()
        self.inbox.close()


@pytest.fixture
def inbox(settings: StationSettings) -> Iterator[Running]:
    running = Running(settings)
    yield running
    running.stop()
    assert running.error is None


def rows(settings: StationSettings, question: str) -> list[tuple[object, ...]]:
    conn = open_reader(settings.inbox_db, INBOX, settings.realm)
    try:
        return conn.execute(question).fetchall()
    finally:
        conn.close()


def refusals(settings: StationSettings) -> dict[str, int]:
    return {str(r[0]): int(str(r[1])) for r in rows(settings, "SELECT reason, sum(count) FROM refusals GROUP BY reason")}


def test_what_is_acknowledged_is_on_the_disk(inbox, settings, sender, frame: Frame, detection: Make) -> None:
    node = sender()
    for i in range(20):
        car = detection(PLACE, track=i, object_class=ObjectClass.CAR, plate="74C-123.45")
        node.send(frame("gate-1", time.time_ns(), car, detection(PLACE, track=99)))
    node.listen(5)
    assert len(node.acknowledged) == 20
    assert rows(settings, "SELECT count(*) FROM arrivals") == [(20,)]
    stored = rows(settings, "SELECT sensor, track, plate, lat_deg, corridors FROM detections ORDER BY arrival, idx LIMIT 1")
    assert stored == [("gate-1", 0, "74C-123.45", PLACE.lat_deg, '["khe-da"]')]
    assert rows(settings, "SELECT value FROM totals WHERE name = 'detections'") == [(40,)]


def test_a_repeated_message_is_acknowledged_again_and_stored_once(inbox, settings, sender, frame, detection) -> None:
    node = sender()
    node.send(frame("gate-1", time.time_ns(), detection(PLACE)))
    kept = dict(node.waiting)
    node.listen(5)
    node.waiting = dict(kept)
    node.again()
    node.listen(5)
    assert node.acknowledged == [(1, 0), (1, 0)]
    assert rows(settings, "SELECT count(*) FROM arrivals") == [(1,)]
    assert rows(settings, "SELECT count(*) FROM detections") == [(1,)]


def test_the_first_message_of_a_connection_brings_the_corridors_once(inbox, settings, sender, frame) -> None:
    node = sender()
    for _ in range(3):
        node.send(frame("gate-1", time.time_ns()))
        node.listen(5)
    assert [c.version for c in node.corridors] == [load_sector(settings.sector).corridor_set.version]


def test_an_unknown_key_is_refused_counted_and_let_in_once_it_is_listed(inbox, settings, sender, frame) -> None:
    from wire.keys import AllowedNode, append_allowed

    sender("cam-1")      # so that the list is there
    stranger = make_node_key("cam-9", NodeKind.CAMERA, Realm.TRAINING)
    node = sender(key=stranger)
    node.send(frame("gate-9", time.time_ns()))
    node.listen(0.5)
    assert node.waiting and not node.acknowledged
    wait_for(lambda: refusals(settings).get("unknown_key", 0) >= 1)
    append_allowed(settings.nodes_file, AllowedNode(stranger.node, stranger.kind, stranger.realm, stranger.public))
    node.close()
    again = sender(key=stranger)
    again.send(frame("gate-9", time.time_ns()))
    again.listen(5)
    assert again.acknowledged == [(1, 0)]


def test_a_key_taken_off_the_list_is_no_longer_heard_on_its_open_connection(inbox, settings, sender, frame) -> None:
    node = sender()
    node.send(frame("gate-1", time.time_ns()))
    node.listen(5)
    settings.nodes_file.write_text("nodes = []\n")
    time.sleep(1.3)
    node.send(frame("gate-1", time.time_ns()))
    node.listen(0.5)
    assert node.acknowledged == [(1, 0)]
    assert node.refused[0][2] == "this key is no longer on the station's list"


def test_a_node_speaks_for_itself_alone_and_within_its_kind(inbox, settings, sender, frame) -> None:
    node = sender("cam-1")
    node.raw(MAGIC, encode_envelope(Envelope("cam-2", 1, 7, frame("gate-1", time.time_ns()))))
    node.waiting[(1, 7)] = b""
    node.listen(5)
    assert node.refused == [(1, 7, 'says it is from "cam-2", and its key belongs to "cam-1"')]
    task = TaskState("t", "drone-1", "p", TaskPhase.DONE, time.time_ns(), "")
    node.send(task)
    node.listen(5)
    assert node.refused[1][2] == 'a node of kind camera does not send "task"'
    fleet = sender("fleet", NodeKind.FLEET)
    fleet.send(task)
    fleet.listen(5)
    assert fleet.acknowledged == [(1, 0)]
    fleet.send(frame("gate-1", time.time_ns()))
    fleet.listen(5)
    assert len(fleet.refused) == 1
    assert refusals(settings) == {"other_node": 1, "kind_not_allowed": 2}


def test_another_protocol_version_is_refused_in_words(inbox, settings, sender) -> None:
    node = sender()
    node.waiting[(-1, -1)] = b""
    node.raw(b"TW\x63", b"whatever")
    node.listen(5)
    assert node.refused[0][2] == "protocol version 99, this station speaks 1: update the older of the two"
    assert refusals(settings) == {"other_version": 1}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lat": float("nan")}, "not on the Earth"),
        ({"lat": 1e300}, "not on the Earth"),
        ({"ee": -1.0}, "a covariance that no position error can have"),
        ({"ee": float("inf")}, "not a number that can be measured"),
        ({"track": 2**63}, "beyond 64 bits"),
    ],
)
def test_numbers_that_cannot_be_are_refused_with_their_reason(inbox, settings, sender, frame, detection, change, sentence):
    node = sender()
    good = detection(PLACE)
    place, covariance = good.placement.position, good.placement.covariance
    placement = msgspec.structs.replace(
        good.placement,
        position=GroundPosition(change.get("lat", place.lat_deg), place.lon_deg),
        covariance=msgspec.structs.replace(covariance, ee_m2=change.get("ee", covariance.ee_m2)),
    )
    bad = msgspec.structs.replace(good, placement=placement, track=change.get("track", 1))
    node.send(frame("gate-1", time.time_ns(), bad))
    node.listen(5)
    assert sentence in node.refused[0][2]
    assert refusals(settings) == {"impossible_content": 1}


def test_an_impossible_time_is_stored_marked_and_counted(inbox, settings, sender, frame, detection) -> None:
    node = sender()
    node.send(frame("gate-1", time.time_ns() + 3600 * NS_PER_S, detection(PLACE)), frame("gate-1", 5, detection(PLACE)))
    node.send(frame("gate-1", time.time_ns() + 5 * NS_PER_S, detection(PLACE)))
    node.listen(5)
    assert len(node.acknowledged) == 3
    assert rows(settings, "SELECT suspect FROM arrivals ORDER BY id") == [("future",), ("past",), (None,)]
    assert refusals(settings) == {"impossible_time": 2}


def test_a_snapshot_comes_back_by_its_id(inbox, settings, sender) -> None:
    node = sender()
    jpeg = b"\xff\xd8" + bytes(100_000) + b"\xff\xd9"
    node.send(Snapshot("gate-1", 4, time.time_ns(), jpeg, Box(1, 2, 3, 4)))
    node.listen(5)
    conn = open_reader(settings.inbox_db, INBOX, settings.realm)
    try:
        assert read_snapshot(conn, "1") == jpeg
        assert read_snapshot(conn, "2") is None
        assert read_snapshot(conn, "1 OR 1") is None
    finally:
        conn.close()


def test_a_message_above_the_size_limit_is_refused_and_the_node_goes_on(inbox, settings, sender, frame) -> None:
    node = sender()
    node.waiting[(-1, -1)] = b""
    node.raw(MAGIC, bytes(SNAPSHOT_LIMIT_BYTES + 5000))
    node.listen(5)
    assert "the limit is" in node.refused[0][2]
    node.raw(MAGIC, bytes(TRANSPORT_LIMIT_BYTES + 1))     # ZeroMQ drops the connection; it comes back by itself
    time.sleep(0.3)
    node.send(frame("gate-1", time.time_ns()))
    deadline = time.monotonic() + 5
    while node.waiting and time.monotonic() < deadline:
        node.listen(0.5)
        node.again()
    assert (1, 0) in node.acknowledged


def test_a_locked_database_delays_the_acknowledgement_and_loses_nothing(inbox, settings, sender, frame, detection) -> None:
    node = sender()
    node.send(frame("gate-1", time.time_ns(), detection(PLACE)))
    node.listen(5)
    other = sqlite3.connect(settings.inbox_db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    node.send(frame("gate-1", time.time_ns(), detection(PLACE)))
    node.listen(3.0)
    assert node.acknowledged == [(1, 0)]
    other.execute("ROLLBACK")
    other.close()
    deadline = time.monotonic() + 8
    while node.waiting and time.monotonic() < deadline:
        node.again()
        node.listen(1)
    assert (1, 1) in node.acknowledged
    assert rows(settings, "SELECT count(*) FROM arrivals") == [(2,)]


def test_a_port_in_use_is_said_in_one_line(inbox, settings) -> None:
    with pytest.raises(SettingsError) as refused:
        Inbox(settings, load_sector(settings.sector).corridor_set, WallClock())
    assert f"inbox.bind: {settings.inbox.bind}" in str(refused.value)
    assert "another program has it" in str(refused.value)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_arrives_ends_the_receive_loop(fuzzed, data: st.DataObject) -> None:
    running, node, good = fuzzed
    frames = data.draw(
        st.one_of(
            st.lists(st.binary(max_size=200), min_size=1, max_size=6),
            st.lists(mutated(good), min_size=1, max_size=4).map(lambda f: [MAGIC, *f]),
            st.lists(hostile_envelopes(), min_size=1, max_size=3).map(lambda f: [MAGIC, *f]),
        )
    )
    node.raw(*frames)
    assert running.error is None


@pytest.fixture
def fuzzed(settings, sender, frame, detection):
    running = Running(settings)
    node = sender()
    good = [
        encode_envelope(Envelope("cam-1", 1, 1, frame("gate-1", time.time_ns(), detection(PLACE)))),
        encode_envelope(Envelope("cam-1", 1, 2, Snapshot("g", 1, time.time_ns(), b"\xff\xd8abc", Box(0, 0, 1, 1)))),
        encode_envelope(
            Envelope("cam-1", 1, 3, NodeHealth(1, 1.0, 1, 0, 1.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True))
        ),
    ]
    yield running, node, good
    # After all of it, the loop still serves an honest message.
    node.sequence, node.boot = 1, 77
    node.waiting.clear()
    node.send(frame("gate-1", time.time_ns(), detection(PLACE)))
    deadline = time.monotonic() + 10
    while (77, 1) not in node.acknowledged and time.monotonic() < deadline:
        node.listen(1)
    running.stop()
    assert running.error is None
    assert (77, 1) in node.acknowledged


@st.composite
def mutated(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """A good envelope with some bytes exchanged, cut off, or doubled."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@st.composite
def hostile_envelopes(draw: st.DrawFn) -> bytes:
    """Parses as msgpack, with the shape of an envelope and values that nobody expects."""
    odd = st.one_of(
        st.none(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5),
        st.lists(st.integers(0, 3), max_size=3),
    )
    body = draw(
        st.dictionaries(st.sampled_from(["type", "sensor", "captured_ns", "detections", "jpeg", "at_ns"]), odd)
    )
    body["type"] = draw(st.sampled_from(["detections", "snapshot", "health", "sensor", "plan", "nothing"]))
    return msgspec.msgpack.encode({"node": draw(st.sampled_from(["cam-1", "", "x" * 99])), "boot": draw(odd),
                                   "sequence": draw(odd), "body": body})


def test_a_killed_inbox_acknowledges_nothing_it_did_not_commit(settings, process, sender, frame, detection) -> None:
    node = sender()
    inbox = process("inbox")
    sent = 0
    for round_ in range(3):
        deadline = time.monotonic() + 15
        goal = len(node.acknowledged) + 150
        while len(node.acknowledged) < goal and time.monotonic() < deadline:
            node.send(frame("gate-1", time.time_ns(), detection(PLACE, track=sent), detection(PLACE, track=sent + 1)))
            sent += 1
            node.listen(0.002)
        inbox.kill()
        conn = sqlite3.connect(settings.inbox_db)
        stored = set(conn.execute("SELECT boot, sequence FROM arrivals"))
        conn.close()
        assert set(node.acknowledged) <= stored, f"round {round_}: acknowledged and lost"
        inbox.start()
    deadline = time.monotonic() + 20
    while node.waiting and time.monotonic() < deadline:
        node.again()
        node.listen(7.0)        # thousands sent again and again would only keep a busy machine from answering
    # Where a busy machine made one commit of hundreds, the rows of their detections are written in quieter moments.
    conn = sqlite3.connect(settings.inbox_db)
    while conn.execute("SELECT count(*) FROM detections").fetchone()[0] < 2 * sent and time.monotonic() < deadline + 20:
        time.sleep(0.1)
    assert inbox.stop()[0] == 0
    counted = conn.execute("SELECT count(*), count(DISTINCT boot || '/' || sequence) FROM arrivals").fetchone()
    detections = conn.execute("SELECT count(*) FROM detections").fetchone()[0]
    conn.close()
    assert counted == (sent, sent)
    assert detections == 2 * sent


def test_an_inbox_without_its_port_ends_with_one_line(settings, process) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    squatter = context.socket(zmq.ROUTER)
    squatter.bind(settings.inbox.bind)
    inbox = process("inbox")
    assert inbox.child is not None
    output, _ = inbox.child.communicate(timeout=20)
    context.destroy(linger=0)
    assert inbox.child.returncode == 2
    assert "Traceback" not in output
    assert "another program has it" in output.splitlines()[-1]


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
