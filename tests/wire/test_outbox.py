"""What is put is on the disk, with one identity, until it is acknowledged; what is lost is counted."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wire.clock import SteppedClock
from wire.codec import SNAPSHOT_LIMIT_BYTES, decode_envelope
from wire.messages import (
    Box,
    Detection,
    DetectionBatch,
    Footage,
    FootageFrame,
    NodeHealth,
    PlacementPoint,
    Refusal,
    Snapshot,
    TrackState,
    TrackUpdate,
)
from wire.outbox import OUTSIDE, Outbox
from wire.outbox_file import ROW_OVERHEAD_BYTES
from wire.outbox_order import rank
from wire.settings import SettingsError
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality

ROOT = Path(__file__).resolve().parents[2]


def batch(n=1, corridors=("khe-da",)):
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1, 0, 1))
    one = Detection(1, ObjectClass.PERSON, 0.9, Box(1, 2, 3, 4), place, True, corridors)
    return DetectionBatch("cam", 1, TimeQuality.NTP, "v", (one,) * n)


def health():
    return NodeHealth(1, 1.0, 1, 0, 5.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True)


def snapshot(size=1000):
    return Snapshot("cam", 1, 1, b"x" * size, Box(0, 0, 1, 1))


def track():
    return TrackUpdate("cam", 1, TrackState.CONFIRMED, ObjectClass.PERSON, 1, 2, 3, 0.8)


def opened(path, realm=Realm.TRAINING, node="gate-1", **options):
    return Outbox(path, node, realm, SteppedClock(), **options)


def test_what_waits_survives_a_restart_with_its_identity_and_the_boot_goes_up(tmp_path):
    first = opened(tmp_path / "outbox.db")
    identities = first.put(batch(2), track())
    first.close()
    second = opened(tmp_path / "outbox.db")
    assert second.boot > first.boot
    assert [p.identity for p in second.pending(10)] == list(identities)
    envelope = decode_envelope(second.pending(1)[0].data)
    assert (envelope.node, envelope.boot, envelope.sequence) == ("gate-1", *identities[0])
    later = second.put(batch())
    assert later[0] not in identities
    assert second.ledger.detections_put == 3


def test_sightings_go_first_then_states_then_what_is_outside_then_pictures(tmp_path):
    outbox = opened(tmp_path / "outbox.db")
    footage = Footage("o-1", "cam", 0, 1, (FootageFrame(1, b"jpeg"),))
    outbox.put(footage, snapshot(), batch(corridors=()), health(), batch(), track(), batch())
    kinds = [type(decode_envelope(p.data).body).__name__ for p in outbox.pending(10)]
    assert kinds[:3] == ["DetectionBatch", "TrackUpdate", "DetectionBatch"]
    assert kinds[3:] == ["NodeHealth", "DetectionBatch", "Footage", "Snapshot"]
    assert decode_envelope(outbox.pending(10)[4].data).body.detections[0].corridors == ()


def test_pictures_are_not_even_read_unless_they_are_asked_for(tmp_path):
    outbox = opened(tmp_path / "outbox.db")
    put = outbox.put(snapshot(), batch(corridors=()), batch())
    assert [p.identity for p in outbox.pending(9, least=OUTSIDE)] == [put[2], put[1]]


def test_what_is_on_its_way_is_skipped_and_the_next_ones_come(tmp_path):
    outbox = opened(tmp_path / "outbox.db")
    identities = outbox.put(*[batch() for _ in range(10)])
    found = outbox.pending(3, skip=set(identities[:5]))
    assert [p.identity for p in found] == list(identities[5:8])


def test_an_acknowledged_message_leaves_and_a_second_acknowledgement_changes_nothing(tmp_path):
    outbox = opened(tmp_path / "outbox.db")
    identities = outbox.put(batch(3), batch(2))
    assert outbox.acknowledge(identities[:1]) == 1
    assert outbox.acknowledge(identities[:1]) == 0
    assert outbox.acknowledge([(999, 999)]) == 0
    assert [p.identity for p in outbox.pending(10)] == list(identities[1:])
    ledger = outbox.ledger
    assert (ledger.messages_acknowledged, ledger.detections_acknowledged) == (1, 3)


def test_a_refused_message_leaves_and_its_reason_is_counted(tmp_path):
    outbox = opened(tmp_path / "outbox.db")
    identities = outbox.put(batch(3), batch(2))
    outbox.refuse([Refusal(*identities[0], "does not parse"), Refusal(-1, -1, "does not parse")])
    assert outbox.depth == 1
    assert outbox.refusals() == {"does not parse": 2}
    assert (outbox.ledger.messages_refused, outbox.ledger.detections_refused) == (1, 3)


def test_when_full_the_oldest_of_the_least_priority_is_dropped_and_counted(tmp_path):
    size = 1000 + 200 + ROW_OVERHEAD_BYTES
    outbox = opened(tmp_path / "outbox.db", limit_bytes=3 * size)
    pictures = [outbox.put(snapshot())[0] for _ in range(3)]
    sighting = outbox.put(*[batch(2) for _ in range(3)])
    left = [p.identity for p in outbox.pending(100)]
    assert set(sighting) <= set(left)
    assert pictures[0] not in left and pictures[2] in left
    assert outbox.ledger.messages_dropped == 6 - len(left) >= 1
    outbox.close()
    assert opened(tmp_path / "outbox.db", limit_bytes=3 * size).ledger.messages_dropped == 6 - len(left)


def test_a_body_too_large_for_the_wire_is_not_taken_and_the_others_are(tmp_path, caplog):
    outbox = opened(tmp_path / "outbox.db")
    assert len(outbox.put(snapshot(SNAPSHOT_LIMIT_BYTES + 1), batch())) == 1
    assert "the limit for this kind is" in caplog.text
    assert outbox.depth == 1


@pytest.mark.parametrize(
    ("realm", "node", "says"),
    [(Realm.LIVE, "gate-1", "belongs to the training realm"), (Realm.TRAINING, "gate-2", 'belongs to node "gate-1"')],
)
def test_an_outbox_of_another_realm_or_node_is_refused_in_words(tmp_path, realm, node, says):
    opened(tmp_path / "outbox.db").close()
    with pytest.raises(SettingsError, match=says):
        opened(tmp_path / "outbox.db", realm, node)


def test_a_second_process_on_the_same_outbox_is_refused(tmp_path):
    first = opened(tmp_path / "outbox.db")
    with pytest.raises(SettingsError, match="running already"):
        opened(tmp_path / "outbox.db")
    first.close()
    opened(tmp_path / "outbox.db").close()


def test_a_full_disk_is_a_problem_and_not_an_end_and_nothing_is_lost_when_it_clears(tmp_path, caplog):
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    pages = outbox._db.execute("pragma page_count").fetchone()[0]
    outbox._db.execute(f"pragma max_page_count = {pages}")      # SQLite's own "database or disk is full"
    identities = [outbox.put(batch(20), snapshot(20_000)) for _ in range(20)]
    assert "full" in outbox.problem
    assert caplog.text.count("takes no messages") == 1
    assert outbox.depth == 40
    outbox.pending(5)
    outbox._db.execute("pragma max_page_count = 100000")
    clock.advance(2.0)
    identities.append(outbox.put(batch(20)))
    assert outbox.problem == ""
    flat = {i for group in identities for i in group}
    assert {p.identity for p in outbox.pending(100)} == flat
    assert outbox.ledger.messages_put == len(flat) == 41
    assert outbox.ledger.detections_put == 21 * 20


def test_on_a_full_disk_memory_is_bounded_and_what_falls_out_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("wire.outbox.HELD_LIMIT_BYTES", 100_000)
    clock = SteppedClock()
    outbox = Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, clock)
    outbox._db.execute("pragma query_only = 1")                 # "attempt to write a readonly database"
    for _ in range(50):
        outbox.put(batch(), snapshot(10_000))
    assert "readonly" in outbox.problem
    outbox._db.execute("pragma query_only = 0")
    clock.advance(2.0)
    outbox.put(batch())
    ledger = outbox.ledger
    assert ledger.messages_put == 101
    assert ledger.messages_dropped > 30
    assert ledger.detections_dropped == 0
    assert ledger.messages_put == ledger.messages_dropped + outbox.depth


WRITER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    sys.path.insert(0, {here!r})
    from test_outbox import batch
    from wire.clock import WallClock
    from wire.outbox import OUTSIDE, Outbox
    from wire.units import Realm
    outbox = Outbox(Path(sys.argv[1]), "gate-1", Realm.TRAINING, WallClock())
    while True:
        for boot, sequence in outbox.put(batch(2), batch(3)):
            sys.stdout.write(f"{{boot}} {{sequence}}\\n")
        sys.stdout.flush()
        outbox.acknowledge([p.identity for p in outbox.pending(1)])
"""


def test_a_killed_writer_loses_nothing_that_put_returned_and_its_ledger_adds_up(tmp_path):
    path = tmp_path / "outbox.db"
    code = textwrap.dedent(WRITER).format(root=str(ROOT), here=str(Path(__file__).parent))
    told = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)
        lines = (first + process.communicate()[0]).splitlines(keepends=True)
        told += [tuple(map(int, line.split())) for line in lines if line.endswith("\n") and line.count(" ") == 1]
    assert len(told) > 20
    assert len(set(told)) == len(told), "an identity was given twice"
    reader = sqlite3.connect(path)
    waiting = set(reader.execute("select boot, sequence from queue"))
    put, detections, acknowledged, gone = reader.execute(
        "select messages_put, detections_put, messages_acknowledged, detections_acknowledged from ledger"
    ).fetchone()
    waiting_detections = reader.execute("select sum(detections) from queue").fetchone()[0]
    assert put == acknowledged + len(waiting)
    assert detections == gone + waiting_detections
    assert len(told) <= put
    assert len(set(told) - waiting) <= acknowledged


class OutboxModel(RuleBasedStateMachine):
    """Whatever the order of events, the ledger adds up and nothing but the acknowledged, refused or dropped is gone."""

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.limit = 6000
        self.model = {}
        self.answered = set()
        self.clock = SteppedClock()
        self.open()

    def open(self):
        self.outbox = Outbox(Path(self.folder.name) / "o.db", "gate-1", Realm.TRAINING, self.clock, self.limit)

    @rule(refuses=st.booleans())
    def disk_refuses(self, refuses):
        self.outbox._db.execute(f"pragma query_only = {refuses:d}")

    @rule(seconds=st.sampled_from((0.3, 1.5)))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        self.outbox.tend()

    @rule(n=st.integers(1, 4))
    def put_sightings(self, n):
        self.model |= dict.fromkeys(self.outbox.put(*[batch(n)] * n), n)

    @rule(size=st.integers(10, 2000))
    def put_picture(self, size):
        self.model |= dict.fromkeys(self.outbox.put(snapshot(size)), 0)

    @rule(data=st.data())
    def acknowledge(self, data):
        waiting = [p.identity for p in self.outbox.pending(5)]
        if waiting:
            chosen = data.draw(st.sampled_from(waiting))
            assert self.outbox.acknowledge([chosen, (10**6, 1), chosen]) == 1
            self.answered.add(chosen)

    @rule()
    def refuse(self):
        chosen = [p.identity for p in self.outbox.pending(1)]
        assert self.outbox.refuse([Refusal(*i, "no") for i in chosen]) == len(chosen)
        self.answered.update(chosen)

    @rule()
    def restart(self):
        self.outbox._db.execute("pragma query_only = 0")
        self.outbox.close()
        self.open()

    @invariant()
    def adds_up(self):
        ledger, waiting = self.outbox.ledger, self.outbox.pending(1000)
        assert self.outbox.depth == len(waiting)
        assert ledger.messages_put == len(self.model)
        assert ledger.detections_put == sum(self.model.values())
        assert ledger.messages_put == (
            ledger.messages_acknowledged + ledger.messages_refused + ledger.messages_dropped + len(waiting)
        )
        assert ledger.detections_put == (
            ledger.detections_acknowledged + ledger.detections_refused + ledger.detections_dropped
            + sum(self.model[p.identity] for p in waiting)
        )
        assert ledger.messages_acknowledged + ledger.messages_refused == len(self.answered)
        assert not self.answered & {p.identity for p in waiting}
        if not self.outbox.problem:
            assert sum(len(p.data) + ROW_OVERHEAD_BYTES for p in waiting) <= self.limit
        assert waiting == sorted(waiting, key=lambda p: rank(p.priority, p.identity, (self.outbox.boot, 0)))

    def teardown(self):
        self.outbox._db.execute("pragma query_only = 0")
        self.outbox.close()
        self.folder.cleanup()


TestOutboxModel = OutboxModel.TestCase
TestOutboxModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
