"""A flight is written down as the drone told it, and other people's programs open its log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.drone import Drone
from fleet.flight_book import FlightBook, FlightRecorder, drop_oldest
from fleet.flight_export import GPX, GX, KML, as_gpx, as_kml, track
from fleet.tlog import read_tlog
from mavlink.ardupilot import Identity
from wire.clock import SteppedClock

LAT_E7, LON_E7 = 166_222_500, 1_066_023_000


class Stage:
    """A drone that speaks to a recorder, in stepped time."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock()
        self.drone = Drone("drone-1", self.clock)
        self.drone.identity = Identity(1, "a1b2c3", "4.7.0", True)
        self.book = FlightBook(folder)
        self.recorder = FlightRecorder(self.book, self.drone, self.clock)
        self.recorder.system_id = 1
        self.mav = mavlink.MAVLink(None, 1, 1)
        self.boot_ms = 60_000

    def hear(self, message: Any, system_id: int = 1) -> None:
        frame = message.pack(mavlink.MAVLink(None, system_id, 1))
        parsed = mavlink.MAVLink(None).parse_buffer(frame)[0]
        if system_id == 1:
            self.drone.take(parsed)
        self.recorder.tap(parsed, bytes(parsed.get_msgbuf()), False)

    def second(self, *, armed: bool, mode: int, landed: int, north_m: float = 0.0, height_m: float = 0.0) -> None:
        base = 81 | (128 if armed else 0)
        self.hear(mavlink.MAVLink_extended_sys_state_message(0, landed))
        lat = LAT_E7 + round(north_m / 111_195.0 * 1e7)
        self.hear(
            mavlink.MAVLink_global_position_int_message(
                self.boot_ms, lat, LON_E7, round((165 + height_m) * 1000), round(height_m * 1000), 0, 0, 0, 0
            )
        )
        self.hear(mavlink.MAVLink_heartbeat_message(2, 3, base, mode, 4, 3))
        self.clock.advance(1.0)
        self.boot_ms += 1000

    def fly(self) -> None:
        for _ in range(5):
            self.second(armed=False, mode=0, landed=1)
        self.second(armed=True, mode=4, landed=1)
        for i in range(20):
            self.second(armed=True, mode=3, landed=2, north_m=10.0 * i, height_m=30.0)
        self.hear(mavlink.MAVLink_statustext_message(4, b"GCS Failsafe"))
        self.second(armed=True, mode=6, landed=2, north_m=190.0, height_m=28.0)
        for _ in range(8):
            self.second(armed=False, mode=6, landed=1, north_m=190.0)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "flights")


def test_a_flight_is_a_row_with_what_it_was(stage: Stage) -> None:
    stage.recorder.task_id, stage.recorder.plan_id = "t-1", "p-1"
    stage.fly()
    (row,) = stage.book.flights()
    assert (row.drone, row.hardware_id, row.simulated, row.task_id, row.plan_id) == ("drone-1", "a1b2c3", 1, "t-1", "p-1")
    assert row.distance_m == pytest.approx(190.0, abs=2.0) and row.highest_m == 30.0
    assert row.airborne_s == pytest.approx(21.0, abs=1.1)
    assert row.modes == "GUIDED AUTO RTL" and row.warnings == "GCS Failsafe"
    assert row.ending == "disarmed in RTL" and row.disarmed_ns is not None and row.disarmed_ns > row.armed_ns


def test_a_service_that_dies_leaves_a_flight_without_an_end_and_not_no_flight(stage: Stage, tmp_path: Path) -> None:
    stage.second(armed=True, mode=4, landed=2, height_m=5.0)
    again = FlightBook(tmp_path / "flights")
    (row,) = again.flights()
    assert row.disarmed_ns is None and row.ending == "not known: the fleet service ended before it"


def test_pymavlink_s_own_reader_and_mavlogdump_open_the_log(stage: Stage, tmp_path: Path) -> None:
    stage.fly()
    path = tmp_path / "flights" / stage.book.flights()[0].tlog
    log = mavutil.mavlink_connection(str(path), dialect="ardupilotmega")
    kinds = []
    while (m := log.recv_match()) is not None:
        kinds.append(m.get_type())
        assert abs(m._timestamp - 1_700_000_000) < 100
    assert kinds.count("HEARTBEAT") >= 29 and "STATUSTEXT" in kinds and "BAD_DATA" not in kinds
    assert [m.get_type() for _, m in read_tlog(path)] == kinds
    dump = subprocess.run(
        [sys.executable, "-m", "pymavlink.tools.mavlogdump", "--types", "STATUSTEXT", str(path)],
        capture_output=True, text=True, check=False,
    )
    if "No module named" in dump.stderr:
        tool = Path(sys.executable).with_name("mavlogdump.py")
        dump = subprocess.run(
            [sys.executable, str(tool), "--types", "STATUSTEXT", str(path)], capture_output=True, text=True, check=False
        )
    assert "GCS Failsafe" in dump.stdout, dump.stderr


def test_what_was_said_just_before_arming_is_in_the_log_and_other_drones_are_not(stage: Stage, tmp_path: Path) -> None:
    stage.hear(mavlink.MAVLink_statustext_message(6, b"EKF3 is using GPS"))
    stage.hear(mavlink.MAVLink_statustext_message(6, b"not mine"), system_id=2)
    stage.fly()
    path = tmp_path / "flights" / stage.book.flights()[0].tlog
    texts = [m.text for _, m in read_tlog(path) if m.get_type() == "STATUSTEXT"]
    assert texts == ["EKF3 is using GPS", "GCS Failsafe"]


def test_a_log_that_was_torn_by_a_power_cut_is_read_to_its_last_whole_record(stage: Stage, tmp_path: Path) -> None:
    stage.fly()
    path = tmp_path / "flights" / stage.book.flights()[0].tlog
    whole = list(read_tlog(path))
    for cut in (1, 9, 20):
        path.write_bytes(path.read_bytes()[:-cut])
        assert len(whole) - 3 <= len(list(read_tlog(path))) < len(whole)


def test_the_way_as_kml_and_as_gpx(stage: Stage, tmp_path: Path) -> None:
    stage.fly()
    points = track(tmp_path / "flights" / stage.book.flights()[0].tlog)
    assert len(points) >= 25 and points[-1].lat_deg - points[0].lat_deg == pytest.approx(190.0 / 111_195.0, rel=0.01)
    gpx = ElementTree.fromstring(as_gpx(points, "drone-1 <1>"))
    found = gpx.findall(f".//{{{GPX}}}trkpt")
    assert len(found) == len(points) and float(found[0].attrib["lon"]) == pytest.approx(106.6023)
    assert gpx.findtext(f".//{{{GPX}}}name") == "drone-1 <1>"
    kml = ElementTree.fromstring(as_kml(points, "drone-1"))
    assert len(kml.findall(f".//{{{GX}}}coord")) == len(kml.findall(f".//{{{KML}}}when")) == len(points)


def test_a_log_on_a_full_disk_costs_the_log_and_not_the_flight(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.second(armed=True, mode=4, landed=2, height_m=5.0)
    assert stage.recorder._log is not None
    monkeypatch.setattr(stage.recorder._log, "_file", Path("/dev/full").open("wb"))  # noqa: SIM115
    for _ in range(40):
        stage.second(armed=True, mode=3, landed=2, height_m=30.0)
    for _ in range(8):
        stage.second(armed=False, mode=3, landed=1)
    (row,) = stage.book.flights()
    assert "the log could not be" in row.warnings and row.ending == "disarmed in AUTO"


def test_the_oldest_logs_go_first_and_the_newest_stays(tmp_path: Path) -> None:
    import os

    for i in range(5):
        (tmp_path / f"{i}.tlog").write_bytes(b"x" * 1000)
        os.utime(tmp_path / f"{i}.tlog", (i, i))
    drop_oldest(tmp_path, 2500)
    assert sorted(p.name for p in tmp_path.glob("*.tlog")) == ["3.tlog", "4.tlog"]
    drop_oldest(tmp_path, 10)
    assert [p.name for p in tmp_path.glob("*.tlog")] == ["4.tlog"]


def test_a_book_that_cannot_be_written_does_not_end_the_link(stage: Stage, tmp_path: Path) -> None:
    stage.book.close()
    stage.fly()         # every write raises sqlite3.ProgrammingError; the link's owner hears nothing of it
    assert stage.recorder._complaint
