"""A node killed at any moment, again and again, beside a real inbox that is killed too; counted in both databases."""

import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from station.own_key import ensure_station_key
from station.settings import load_station_settings
from wire.clock import WallClock
from wire.keys import AllowedNode, NodeKind, append_allowed, load_station_key, make_node_key, write_private
from wire.outbox import Outbox
from wire.units import Realm
from wire.uplink import Uplink

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
LIMIT_BYTES = 60_000            # so small that some is dropped whenever the inbox is away

# It says what has an identity once put has returned, and what it was: detections, or a plan, which a camera may not send.
NODE = """
    import random, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    sys.path.insert(0, {here!r})
    from test_outbox import batch, health, snapshot
    from wire.clock import WallClock
    from wire.keys import load_node_key, load_station_key
    from wire.flying import CheckResult
    from wire.outbox import Outbox
    from wire.uplink import Uplink

    folder, endpoint, public, limit = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    key, clock, draw = load_node_key(folder / "gate-1.key"), WallClock(), random.Random()
    outbox = Outbox(folder / "outbox.db", "gate-1", key.realm, clock, limit)
    with Uplink(endpoint, public, key, outbox, clock):
        while True:
            bodies = [draw.choice((batch(2), batch(3), health(), snapshot(2000), CheckResult("p", True, (), 1.0, 1.0, 1.0)))
                      for _ in range(draw.randint(1, 4))]
            for boot, sequence in outbox.put(*bodies):
                sys.stdout.write(f"{{boot}} {{sequence}}\\n")
            sys.stdout.flush()
            clock.sleep(draw.choice((0.0, 0.0, 0.002, 0.01)))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def station():
    folder = Path(tempfile.mkdtemp(prefix="tw-"))       # short, for the names of local sockets
    file = folder / "station.toml"
    file.write_text(
        f'sector = "{ROOT / "configs/sectors/laobao/sector.toml"}"\nrealm = "training"\ndata_dir = "data"\n'
        f'[inbox]\nbind = "tcp://127.0.0.1:{free_port()}"\n[web]\nhost = "127.0.0.1"\nport = {free_port()}\n'
    )
    settings = load_station_settings(file)
    ensure_station_key(settings)
    return settings


def start_inbox(settings):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "serve", "--only", "inbox", "--config", str(settings.file)],
        stderr=subprocess.DEVNULL,
    )


def one(file, question):
    with contextlib.closing(sqlite3.connect(file)) as db:
        return db.execute(question).fetchone()


@pytest.mark.slow
def test_twenty_kills_of_the_node_and_four_of_the_inbox_and_every_message_is_accounted_for(station, tmp_path):
    key = make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)
    write_private(tmp_path / "gate-1.key", key)
    append_allowed(station.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
    public = load_station_key(station.station_key).public
    code = textwrap.dedent(NODE).format(root=str(ROOT), here=str(Path(__file__).parent))
    draw = random.Random()
    told = []
    inbox = start_inbox(station)
    try:
        for k in range(KILLS):
            node = subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path), station.inbox.bind, public, str(LIMIT_BYTES)],
                stdout=subprocess.PIPE, text=True,
            )
            first = node.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.7))
            if k % 5 == 2:
                inbox.kill()
                inbox.wait()
                time.sleep(draw.uniform(0.0, 0.3))
                inbox = start_inbox(station)
            os.kill(node.pid, signal.SIGKILL)
            rest = node.communicate()[0]
            told += [tuple(map(int, line.split())) for line in (first + rest).splitlines(keepends=True)
                     if line.endswith("\n") and line.count(" ") == 1]
        with contextlib.closing(Outbox(tmp_path / "outbox.db", "gate-1", Realm.TRAINING, WallClock())) as outbox, Uplink(
            station.inbox.bind, public, key, outbox, WallClock()
        ):
            end = time.monotonic() + 60
            while outbox.depth:
                assert time.monotonic() < end, "the rest does not drain"
                time.sleep(0.05)
    finally:
        inbox.terminate()
        inbox.wait(20)

    put, acknowledged, refused, dropped, waiting, detections_put, detections_gone = one(tmp_path / "outbox.db", """
        select messages_put, messages_acknowledged, messages_refused, messages_dropped, (select count(*) from queue),
        detections_put, detections_acknowledged + detections_refused + detections_dropped from ledger""")
    stored, distinct = one(station.inbox_db, "select count(*), count(distinct boot || '/' || sequence) from arrivals")
    turned_away = one(station.inbox_db, "select sum(count) from refusals")[0]
    with contextlib.closing(sqlite3.connect(station.inbox_db)) as db:
        arrived = set(db.execute("select boot, sequence from arrivals"))

    assert len(set(told)) == len(told) > 100, "an identity was given twice, or hardly anything was put"
    assert waiting == 0 and put == acknowledged + refused + dropped and detections_put == detections_gone
    assert refused > 0 and dropped > 0, "the test has to see all three ways out"
    assert turned_away >= refused
    assert stored == distinct
    # What was dropped may have arrived all the same, when its answer was lost; nothing else may differ.
    assert acknowledged <= stored <= acknowledged + dropped
    assert len(told) <= put
    assert len(set(told) - arrived) <= refused + dropped
    assert one(station.inbox_db, "select count(*) from refusals where reason in ('identity_reused', 'two_sessions')") == (0,)
