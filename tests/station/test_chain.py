"""The real outbox and uplink of a node, the real inbox and the real mind, all killed in turn; counted on both sides."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time

from geofences.sector import load_sector
from wire.clock import NS_PER_S, WallClock
from wire.keys import load_station_key
from wire.outbox import Outbox
from wire.uplink import Uplink


def test_stored_equals_sent_and_each_alarm_is_raised_once_whatever_is_killed(
    settings, process, allow_node, frame, detection, station_folder
) -> None:
    sector = load_sector(settings.sector)
    line = sector.corridors.ground("khe-da").centre_line
    key = allow_node("cam-1")
    inbox, mind = process("inbox"), process("mind")
    outbox = Outbox(station_folder / "outbox.db", "cam-1", settings.realm, WallClock())
    rng = random.Random(4)
    start_ns = time.time_ns() - 10 * 3600 * NS_PER_S
    walkers = 8
    with Uplink(settings.inbox.bind, load_station_key(settings.station_key).public, key, outbox, WallClock()):
        for w in range(walkers):
            for i in range(40):
                p = line.interpolate(40 + 130 * w + 0.13 * i)
                place = sector.frame.position(p.x + rng.gauss(0, 0.4), p.y + rng.gauss(0, 0.4))
                other = sector.frame.position(p.x + 4.0, p.y + 400.0 + w)    # outside of every corridor
                outbox.put(
                    frame(
                        "gate-1", start_ns + w * 660 * NS_PER_S + i * 100_000_000,
                        detection(place, track=w), detection(other, track=100 + w, corridors=()),
                    )
                )
                time.sleep(0.005)
            if w in (1, 3, 5):
                inbox.kill()
            if w in (2, 3, 6):
                mind.kill()
            for p_ in (inbox, mind):
                if p_.child.poll() is not None:
                    p_.start()
        deadline = time.monotonic() + 40
        while waiting(station_folder) and time.monotonic() < deadline:
            time.sleep(0.2)
    ledger = rows(station_folder / "outbox.db", "SELECT messages_put, detections_put, messages_acknowledged, "
                                               "detections_acknowledged, messages_refused FROM ledger")[0]
    assert ledger == (320, 640, 320, 640, 0)
    assert rows(settings.inbox_db, "SELECT count(*), count(DISTINCT boot || '/' || sequence) FROM arrivals") == [(320, 320)]
    assert rows(settings.inbox_db, "SELECT count(*) FROM detections") == [(640,)]
    deadline = time.monotonic() + 20
    while taken(settings.mind_db) != rows(settings.inbox_db, "SELECT max(id) FROM arrivals"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert mind.stop()[0] == 0
    assert rows(settings.mind_db, "SELECT count(*), count(DISTINCT contact) FROM alarms") == [(walkers, walkers)]
    assert rows(settings.mind_db, "SELECT count(*) FROM alarm_events WHERE number = 0") == [(walkers,)]
    assert rows(settings.mind_db, "SELECT sum(detections) FROM contacts") == [(640,)]


def taken(mind_db) -> list[tuple[object, ...]]:
    """The mind's place in the inbox; nothing while a mind that was started a moment ago has no tables yet."""
    try:
        return rows(mind_db, "SELECT arrival FROM place")
    except sqlite3.OperationalError:
        return []


def waiting(folder) -> bool:
    return rows(folder / "outbox.db", "SELECT count(*) FROM queue") != [(0,)]


def rows(file, question: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(file)) as conn:
        return conn.execute(question).fetchall()
