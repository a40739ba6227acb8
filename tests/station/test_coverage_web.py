"""Coverage as a planner, an operator and an administrator get it: over HTTP, and on the command line."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from station.access import Role
from station.coverage import Coverage
from station.coverage_command import read_table
from station.coverage_picture import SetWeather, TellWalk, WalkedPass
from station.web_coverage import CoverageAnswer
from tests.scene import scene
from tests.station.coverage_stage import SECTOR, beside
from tests.web_stage import PASSWORD, ROOT, Stage
from wire.clock import SteppedClock, WallClock
from wire.coverage import CoverageDebt


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """"lan" is an operator, "kiem" an auditor; the mind tells of one camera that watches Khe Đá."""
    it = Stage(Path(tempfile.mkdtemp(prefix="tw-")))
    it.person()
    it.person("kiem", Role.AUDITOR)
    it.start()
    clock = SteppedClock(time.time_ns() - 3600 * 10**9)
    coverage = Coverage(it.settings, SECTOR, clock)
    clock.advance(3600)
    report = beside("khe-da", 300.0, at_ns=clock.utc_ns(), kind="thermal")
    coverage.report("gate-1", "cam-1", report, clock.utc_ns())
    coverage.pass_time(0)
    views, whole = coverage.picture()
    coverage.close()
    it.mind(msgspec.structs.replace(scene(), coverage=views, coverage_whole=whole))
    yield it
    it.close()
    shutil.rmtree(it.folder, ignore_errors=True)


def logged_in(stage: Stage, name: str) -> httpx.Client:
    client = httpx.Client(base_url=stage.address, headers={"Origin": stage.address}, timeout=15)
    client.headers["X-CSRF-Token"] = client.post("/api/login", json={"name": name, "password": PASSWORD}).json()["csrf"]
    return client


def until(question, is_there):
    end = time.monotonic() + 20
    while not is_there(answer := question()):
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer


def test_coverage_is_told_to_whoever_is_logged_in(stage: Stage) -> None:
    assert httpx.get(f"{stage.address}/api/coverage").status_code == 401
    with contextlib.closing(logged_in(stage, "kiem")) as client:
        data = until(lambda: client.get("/api/coverage").content, lambda c: b"khe-da" in c)
        answer = msgspec.json.decode(data, type=CoverageAnswer)
    khe_da = next(v for v in answer.corridors if v.corridor == "khe-da")
    assert khe_da.watched_m > 20 and khe_da.length_m == 1240
    assert answer.whole is not None and answer.whole.watched_m == khe_da.watched_m
    assert answer.whole.sensors[0].sensor == "gate-1"


def test_the_debt_is_what_the_message_says(stage: Stage) -> None:
    with contextlib.closing(logged_in(stage, "kiem")) as client:
        until(lambda: client.get("/api/coverage").content, lambda c: b"khe-da" in c)
        debt = msgspec.json.decode(client.get("/api/coverage/debt").content, type=CoverageDebt)
    assert debt.corridors_version == SECTOR.corridors.version
    first = debt.segments[0]
    line = SECTOR.corridors.ground(first.corridor).centre_line
    assert SECTOR.frame.point(first.start) == pytest.approx(line.interpolate(first.from_m).coords[0], abs=0.01)
    assert sum(s.to_m - s.from_m for s in debt.segments if s.corridor == "ben-song") == 908


def test_the_weather_is_said_by_who_decides_and_by_nobody_else(stage: Stage) -> None:
    fog = {"visibility_m": 200, "rain_mm_h": 2, "cloud": 1, "hours": 3}
    with contextlib.closing(logged_in(stage, "kiem")) as auditor:
        assert auditor.post("/api/coverage/weather", json=fog).status_code == 403
    asked = stage.minds[-1].asked
    with contextlib.closing(logged_in(stage, "lan")) as operator:
        assert operator.post("/api/coverage/weather", json=fog | {"visibility": 3}).status_code == 400
        assert operator.post("/api/coverage/weather", json=fog).status_code == 200
    assert asked == [SetWeather("lan", 200.0, 2.0, 1.0, 3.0)]


def test_a_walk_is_told_by_who_decides_and_by_nobody_else(stage: Stage) -> None:
    entered_ns = time.time_ns() - 600 * 10**9
    one = {"corridor": "khe-da", "entered_ns": entered_ns, "seconds": 40.0, "alarm": "A-000001", "wait_s": 2.5}
    walk = {"passes": [one]}
    with contextlib.closing(logged_in(stage, "kiem")) as auditor:
        assert auditor.post("/api/coverage/walks", json=walk).status_code == 403
    mind = stage.minds[-1]
    before = len(mind.asked)
    with contextlib.closing(logged_in(stage, "lan")) as operator:
        assert operator.post("/api/coverage/walks", json={"passes": [{"corridor": "khe-da"}]}).status_code == 400
        assert operator.post("/api/coverage/walks", json=walk).status_code == 200
    assert mind.asked[before:] == [TellWalk("lan", (WalkedPass("khe-da", entered_ns, 40.0, "A-000001", 2.5),))]


def test_the_command_prints_nows_table_and_what_is_owed(stage: Stage) -> None:
    def printed(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "ground_station.py"), "coverage", "--config", str(stage.settings.file)]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout

    table = msgspec.json.decode(printed("--json"))
    assert table["running"] is True and {v["corridor"] for v in table["corridors"]} == {"khe-da", "ben-song"}
    text = printed()
    assert "gate-1" in text and "thermal" in text and "khe-da" in text
    assert "never seen" in printed("--debt")
    assert msgspec.json.decode(printed("--debt", "--json"), type=CoverageDebt).segments


def test_without_a_mind_the_command_reads_the_disk_and_says_so(settings) -> None:
    clock = SteppedClock(time.time_ns())
    coverage = Coverage(settings, SECTOR, clock)
    coverage.report("gate-1", "cam-1", beside("khe-da", 300.0, at_ns=clock.utc_ns(), kind="thermal"), clock.utc_ns())
    coverage.close()
    table = read_table(settings, WallClock())
    assert not table.running and table.whole is None
    khe_da = next(v for v in table.corridors if v.corridor == "khe-da")
    assert khe_da.watched_m == 0 and 0 < khe_da.never_m < khe_da.length_m


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('counts_from = "see"', "detect"), ("visibility_m = 3.0", "fog is below"), ("cloud = 7.0", "0 to 1"),
        ("weights = [4, 0, 1]", "above 0"), ("growth = { khe-da = { sight_m = 0.0 } }", "above 0"),
        ("rain_mm_h = -1.0", "0 to 300"), ("fog = true", "unknown field"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_key(station_folder, text: str, says: str) -> None:
    from station.settings import load_station_settings
    from tests.station.conftest import write_station
    from wire.settings import SettingsError

    file = write_station(station_folder)
    file.write_text(f"{file.read_text()}[coverage]\n{text}\n")
    with pytest.raises(SettingsError, match=says) as refused:
        load_station_settings(file)
    assert "coverage" in str(refused.value)
