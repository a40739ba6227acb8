"""A node that says it is somewhere else, and what was seen too long ago: kept, marked, told, and not believed."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.admission import REASON_OF, REASONS
from station.doubts import ELSEWHERE, STALE, WITHIN_M, Doubts
from station.picture import GetPicture
from station.store import INBOX, open_reader, open_store
from tests.station.conftest import SECTOR, frame_of, point_detection
from wire.clock import NS_PER_S, SteppedClock
from wire.keys import AllowedNode, NodeKind
from wire.messages import Box, SensorReport, SensorState, Snapshot
from wire.units import GroundPosition, HeightMsl, Position

NOW_NS = 1_800_000_000 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S
MAST = (16.6210, 106.5920)
METRE = 1 / 111_195.0               # degrees of latitude
CAMERA = AllowedNode("cam-1", NodeKind.CAMERA, None, "")
DRONE = AllowedNode("hawk", NodeKind.DRONE, None, "")


def report(lat: float, lon: float, sensor: str = "gate-1", at_ns: int = NOW_NS) -> SensorReport:
    return SensorReport(sensor, at_ns, Position(lat, lon, HeightMsl(170.0)), (), SensorState.SEEING, at_ns, False, "")


@pytest.fixture
def doubts_of(settings):
    """Makes a Doubts over the station's real inbox.db, as a starting inbox does."""
    opened = []

    def make(clock=None) -> Doubts:
        db = open_store(settings.inbox_db, INBOX, settings.realm, SteppedClock())
        opened.append(db)
        return Doubts(db, load_sector(SECTOR), settings.places_file, 7.0, clock or SteppedClock(NOW_NS))

    yield make
    for db in opened:
        db.close()


def test_a_camera_is_where_it_first_was_and_not_half_a_kilometre_on(doubts_of) -> None:
    d = doubts_of()
    assert d.judge(CAMERA, report(*MAST), NOW_NS) is None
    assert d.fresh == [("cam-1", "gate-1", *MAST, NOW_NS)]
    assert d.judge(CAMERA, report(MAST[0] + (WITHIN_M - 1) * METRE, MAST[1]), NOW_NS) is None, "a GPS strays"
    mark = d.judge(CAMERA, report(MAST[0] + 500 * METRE, MAST[1]), NOW_NS)
    assert mark is not None and mark.startswith(f"{ELSEWHERE}: gate-1 stands at") and "500 m from where it was first" in mark
    assert d.judge(CAMERA, frame_of("gate-1", NOW_NS, point_detection(GroundPosition(*MAST))), NOW_NS) == mark, (
        "what it sees from there is not believed either"
    )
    assert d.judge(CAMERA, frame_of("gate-2", NOW_NS, point_detection(GroundPosition(*MAST))), NOW_NS) is None
    assert d.judge(CAMERA, report(*MAST), NOW_NS) is None, "back at its mast"
    assert d.judge(CAMERA, frame_of("gate-1", NOW_NS, point_detection(GroundPosition(*MAST))), NOW_NS) is None


def test_a_drone_may_be_anywhere_in_the_sector_and_nowhere_else(doubts_of) -> None:
    d = doubts_of()
    assert d.judge(DRONE, report(*MAST), NOW_NS) is None
    assert d.judge(DRONE, report(MAST[0] + 900 * METRE, MAST[1]), NOW_NS) is None
    mark = d.judge(DRONE, report(21.03, 105.85), NOW_NS)
    assert mark is not None and "21.03000, 105.85000, outside of the sector" in mark
    assert d.fresh == [], "no place of a drone is written down"


def test_nobody_sees_something_in_another_province(doubts_of) -> None:
    d = doubts_of()
    far = frame_of("gate-1", NOW_NS, point_detection(GroundPosition(*MAST)), point_detection(GroundPosition(17.5, 106.6)))
    mark = d.judge(CAMERA, far, NOW_NS)
    assert mark is not None and "gate-1 sees something at 17.50000, 106.60000" in mark


def test_the_survey_rules_over_what_a_node_first_said_and_is_read_again_when_it_changes(doubts_of, settings) -> None:
    clock = SteppedClock(NOW_NS)
    d = doubts_of(clock)
    assert d.judge(CAMERA, report(*MAST), NOW_NS) is None
    settings.places_file.write_text(
        f'[[places]]\nnode = "cam-1"\nsensor = "gate-1"\nposition = [{MAST[0] + 400 * METRE}, {MAST[1]}]\nwithin_m = 20.0\n'
    )
    clock.advance(2)
    mark = d.judge(CAMERA, report(*MAST), NOW_NS)
    assert mark is not None and "400 m from its survey" in mark
    settings.places_file.write_text("[[places]]\nnode = 3\n")
    clock.advance(2)
    assert d.judge(CAMERA, report(*MAST), NOW_NS) is not None, "a slip of the pen changes nothing"
    settings.places_file.unlink()
    clock.advance(2)
    assert d.judge(CAMERA, report(*MAST), NOW_NS) is None


def test_what_was_seen_longer_ago_than_all_is_kept_is_not_fused(doubts_of) -> None:
    d = doubts_of()
    frame = frame_of("gate-1", NOW_NS - 8 * DAY_NS, point_detection(GroundPosition(*MAST)))
    assert d.judge(CAMERA, frame, NOW_NS) == STALE
    assert d.judge(CAMERA, Snapshot("gate-1", 1, NOW_NS - 8 * DAY_NS, b"\xff\xd8", Box(0, 0, 1, 1)), NOW_NS) == STALE
    late = frame_of("gate-1", NOW_NS - 6 * DAY_NS, point_detection(GroundPosition(*MAST)))
    assert d.judge(CAMERA, late, NOW_NS) is None, "three days without a line, and then all of it: that is what outboxes do"


def test_a_first_place_that_was_not_written_down_counts_as_never_told(doubts_of) -> None:
    d = doubts_of()
    d.judge(CAMERA, report(*MAST), NOW_NS)
    d.forget_fresh()
    assert d.fresh == []
    assert d.judge(CAMERA, report(MAST[0] + 300 * METRE, MAST[1]), NOW_NS) is None, "the next one is the first"


def test_each_mark_is_counted_under_a_reason_that_is_known() -> None:
    assert set(REASON_OF.values()) <= set(REASONS) and {ELSEWHERE, STALE} <= set(REASON_OF)


@given(st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_whether_a_camera_is_believed_depends_on_its_distance_alone(north_m: float, east_m: float) -> None:
    import math
    import sqlite3
    from pathlib import Path

    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE places (node, sensor, lat_deg, lon_deg)")
    db.execute("INSERT INTO places VALUES ('cam-1', 'gate-1', ?, ?)", MAST)
    d = Doubts(db, load_sector(SECTOR), Path("/nonexistent/places.toml"), 7.0, SteppedClock(NOW_NS))
    lon = MAST[1] + east_m * METRE / math.cos(math.radians(MAST[0]))
    believed = d.judge(CAMERA, report(MAST[0] + north_m * METRE, lon), NOW_NS) is None
    away_m = math.hypot(north_m, east_m)
    assert believed == (away_m <= WITHIN_M) or abs(away_m - WITHIN_M) < 0.01
    db.close()


def test_over_the_real_sockets_it_is_acknowledged_marked_counted_alarmed_and_makes_no_contact(
    settings, process, sender, ask
) -> None:
    process("inbox")
    process("mind")
    sector = load_sector(SECTOR)
    camera = sender("cam-1")
    camera.send(report(*MAST, at_ns=time.time_ns()))
    camera.finish(60)
    camera.send(report(MAST[0] + 700 * METRE, MAST[1], at_ns=time.time_ns()))
    line = sector.corridors.ground("khe-da").centre_line
    for i in range(15):
        p = line.interpolate(60.0 + 0.3 * i)
        camera.send(frame_of("gate-1", time.time_ns(), point_detection(sector.frame.position(p.x, p.y), track=5)))
        camera.listen(0.1)
    camera.finish(60)
    assert not camera.waiting and not camera.refused, "an honest node must not keep it for ever"
    with contextlib.closing(open_reader(settings.inbox_db, INBOX, settings.realm)) as inbox:
        marks = [s for (s,) in inbox.execute("SELECT suspect FROM arrivals ORDER BY id")]
        counted = dict(inbox.execute("SELECT reason, sum(count) FROM refusals GROUP BY reason"))
        places = inbox.execute("SELECT node, sensor, lat_deg FROM places").fetchall()
    assert marks[0] is None and all(m.startswith(ELSEWHERE) for m in marks[1:]) and len(marks) == 17
    assert counted == {"elsewhere": 16}
    assert places == [("cam-1", "gate-1", MAST[0])]
    until = time.monotonic() + 60
    while "node_elsewhere" not in {a.rule for a in ask(GetPicture()).alarms}:
        assert time.monotonic() < until, "nobody is told"
        time.sleep(0.2)
    picture = ask(GetPicture())
    assert picture.contacts == (), "what an unbelieved node sees is no contact"
    (alarm,) = [a for a in picture.alarms if a.rule == "node_elsewhere"]
    assert alarm.node == "cam-1" and "700 m from where it was first" in str(alarm.says.params["detail"])
    assert "corridor_entry" not in {a.rule for a in picture.alarms}
