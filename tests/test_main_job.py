"""The main job, start to end: real video, real weights, real processes, real sockets, and kill -9 in the middle."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.crew import Crew
from sim.demo_stage import CAMERAS, set_the_stage
from wire.clock import WallClock

ROOT = Path(__file__).parents[1]


def demo(*arguments, timeout=240, **environment):
    return subprocess.run(
        [sys.executable, "ground_station.py", "demo", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=os.environ | environment,
    )


def number(path, query):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
        return db.execute(query).fetchone()[0]


def rows(path, query):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
        return db.execute(query).fetchall()


def is_made(inbox_db):
    try:
        return number(inbox_db, "select count(*) from sqlite_master where name = 'detections'") == 1
    except sqlite3.OperationalError:
        return False


def until(true, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(f"within {seconds} s: {what}")


@pytest.mark.slow
@pytest.mark.weights
def test_a_video_of_people_goes_in_and_an_alarm_with_a_place_comes_out(real_video, real_weights):
    out = demo("--video", real_video, "--weights", real_weights, "--headless", "--seconds", 60, "--json")
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout.splitlines()[-1])
    assert report["detections_stored"] == report["detections_sent"] > 500
    assert report["detections_duplicated"] == 0
    assert report["detections_waiting"] == 0
    assert report["messages_refused"] == 0
    assert report["contacts"] >= 1
    assert report["alarms"] >= 1
    assert report["matches"] >= 1
    assert report["sorties"] >= 1
    assert report["restarts"] == 0
    # A promise, and no benchmark: news older than this would be of no use to an operator.
    assert report["latency_p99_ms"] < 1500


def child_of(stage, name):
    """The pid of one process of this stage's station."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if str(stage.settings.file) in words and "--only" in words and words[words.index("--only") + 1] == name:
            return int(proc.name)
    return None


@pytest.mark.slow
@pytest.mark.weights
def test_killed_in_the_middle_nothing_is_lost_and_nothing_comes_twice(real_video, real_weights, tmp_path):
    clock = WallClock()
    stage = set_the_stage(tmp_path / "d", real_video, real_weights, clock)
    inbox_db, mind_db = stage.settings.inbox_db, stage.settings.mind_db
    crew = Crew(tmp_path / "logs", clock)

    def stored():
        return number(inbox_db, "select count(*) from detections")

    def stored_of(node):
        return number(
            inbox_db, f"select count(*) from detections d join arrivals a on a.id = d.arrival where a.node = '{node}'"
        )

    def grows_again(what):
        """Of a camera that was killed its own detections, or it might not be back before the next blow."""
        many = (lambda: stored_of(what)) if what in CAMERAS else stored
        before = many()

        def grown():
            crew.watch()
            return many() > before + 20

        until(grown, 90, f"{what} was killed, and detections flow again")

    try:
        crew.start("station", "serve", "--config", str(stage.settings.file))
        until(lambda: is_made(inbox_db) and mind_db.exists() and child_of(stage, "mind"), 60, "the station is up")
        for camera in CAMERAS:
            crew.start(camera, "edge", "--config", str(stage.folder / f"{camera}.toml"))
        until(lambda: stored() > 30, 90, "detections arrive")
        for victim in ("inbox", "mind", "camera-1", "inbox", "camera-2", "mind"):
            pid = crew.pid(victim) if victim in CAMERAS else child_of(stage, victim)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            if victim in CAMERAS:       # what it had sent before still comes in
                until(lambda v=victim, was=pid: crew.watch() or crew.pid(v) not in (None, was), 30, f"{victim} is back")
            grows_again(victim)
        assert crew.restarts == 2
        crew.stop(*CAMERAS)
        newest = number(inbox_db, "select max(id) from arrivals")
        until(lambda: number(mind_db, "select arrival from place") >= newest, 30, "the mind catches up")
    finally:
        crew.stop()
    sent = sum(number(stage.outbox(c), "select detections_put from ledger") for c in CAMERAS)
    waiting = sum(number(stage.outbox(c), "select coalesce(sum(detections), 0) from queue") for c in CAMERAS)
    assert stored() + waiting == sent
    assert waiting == 0
    # One picture of one sensor at one time, by whatever message: a second copy would show here.
    assert rows(
        inbox_db,
        "select sensor, captured_ns, track, count(*) n from detections group by sensor, captured_ns, track having n > 1",
    ) == []
    entries = rows(
        mind_db,
        "select contact, corridor, count(*) from alarms where rule = 'corridor_entry' group by contact, corridor",
    )
    assert entries
    assert [e for e in entries if e[2] != 1] == []


@pytest.mark.slow
@pytest.mark.weights
def test_the_world_is_watched_by_two_cameras_and_a_drone_and_scored_against_its_truth(real_weights, tmp_path):
    kept = tmp_path / "kept"
    out = demo("--weights", real_weights, "--headless", "--seconds", 75, "--json", "--keep", kept, timeout=280)
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout.splitlines()[-1])
    assert report["detections_stored"] == report["detections_sent"] > 0
    assert report["detections_duplicated"] == report["messages_refused"] == report["restarts"] == 0
    assert set(report["frames_per_s"]) == {"camera-1", "camera-2", "drone-1-eye"}
    assert all(rate > 0 for rate in report["frames_per_s"].values()), report["frames_per_s"]
    truth = report["truth"]
    assert truth["crossings"] >= 1
    assert truth["positions"] > 0
    # A track is believed after three hits and a median: on a machine that manages one picture a second, hardly anybody is.
    if report["frames_per_s"]["camera-1"] >= 1.5:
        assert truth["crossings_alarmed"] >= 1
    # Not a benchmark: metres, where a mistake in lens, terrain, pose or time would make it tens of them.
    assert truth["position_error_p50_m"] < 3.0
    for snapshot in rows(kept / "station/inbox.db", "select count(*) from arrivals where kind = 'snapshot'"):
        assert snapshot[0] > 0


@pytest.mark.slow
def test_a_machine_that_has_nothing_watches_the_world_with_weights_of_our_own(tmp_path):
    (tmp_path / "models").mkdir()
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TRAILWATCH_MODELS": str(tmp_path / "models")}
    out = demo("--weights", ROOT / "models/trailwatch7n.pt", "--headless", "--seconds", 20, "--json", timeout=290, **home)
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout.splitlines()[-1])
    assert set(report["frames_per_s"]) == {"camera-1", "camera-2", "drone-1-eye"}
    assert report["frames"] > 10
    assert report["detections_stored"] == report["detections_sent"]
    assert report["restarts"] == report["messages_refused"] == 0
    assert report["truth"]["crossings"] + report["truth"]["crossings_never_in_sight"] >= 1


def test_a_video_that_is_none_is_refused_in_one_line(tmp_path):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"RIFF not really")
    out = demo("--video", broken, "--headless", "--seconds", 5)
    assert out.returncode == 2
    assert [line for line in out.stderr.splitlines() if "no picture can be read from it" in line]
    assert "Traceback" not in out.stderr


@pytest.mark.weights
def test_missing_weights_are_named_in_one_line(real_video, tmp_path):
    out = demo("--video", real_video, "--weights", tmp_path / "none.pt", "--headless", "--seconds", 5)
    assert out.returncode == 2
    assert "there is no such file" in out.stderr
    assert "Traceback" not in out.stderr
