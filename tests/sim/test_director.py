"""An exercise with its processes: led over its socket, and ended by the death of any of them, with what was recorded."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from models.registry import resolve_weights
from sim.director_orders import OrderSocket, tell
from sim.director_view import DirectorView, Phase, TruthNow
from sim.exercise_debrief import debrief
from sim.exercise_desk_runs import Runs
from sim.exercise_log import NO_END, read_log
from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.score_agreement import further_apart_than_they_may
from tests.sim.test_exercise_run import for_so_long
from wire.clock import WallClock
from wire.settings import SettingsError

ROOT = Path(__file__).parents[2]


def test_an_order_is_answered_and_a_wrong_one_is_refused_with_its_reason(tmp_path):
    socket, stop = OrderSocket(tmp_path), threading.Event()

    def do(order):
        if order != "state":
            raise SettingsError(f"{order}: cannot be")
        return "it goes on"

    def serve():
        while not stop.is_set():
            socket.turn(50, do)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert tell(tmp_path, "state") == "it goes on"
        with pytest.raises(SettingsError, match="exercise say dance: dance: cannot be"):
            tell(tmp_path, "dance")
        assert (tmp_path / "director.sock").stat().st_mode & 0o077 == 0
    finally:
        stop.set()
        thread.join()
        socket.close()
    with pytest.raises(SettingsError, match="no exercise is running there"):
        tell(tmp_path, "state")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_exercise_is_led_and_the_death_of_a_process_ends_it_with_what_was_recorded(tmp_path):
    run = tmp_path / "run"
    process = started(tmp_path, run)
    try:
        wait_for(lambda: process.poll() is not None or "say start" in heard(run), 600)
        assert process.poll() is None, process.stdout.read()
        # Everybody sees, and nobody walks before the trainer's word.
        with pytest.raises(SettingsError, match="has not begun"):
            tell(run, "pause")
        view = msgspec.json.decode(tell(run, "look"), type=DirectorView)
        assert view.phase is Phase.READY and view.at_s == 0.0 and not began(run)
        assert {p.name for p in view.processes} >= {"station", "world", "camera-1"} and all(p.alive for p in view.processes)
        assert set(view.accounts) == {"admin", "operator", "supervisor", "trainer"}
        first = msgspec.json.decode(tell(run, "truth"), type=TruthNow)
        time.sleep(2.0)
        assert msgspec.json.decode(tell(run, "truth"), type=TruthNow).actors == first.actors and first.actors
        tell(run, "start")
        assert began(run)
        assert "goes on at 1 times" in tell(run, "state")
        paused = tell(run, "pause")
        assert "stands still" in paused
        time.sleep(2.5)
        assert tell(run, "state").split(" of ")[0] == paused.split(" of ")[0]       # its time stands as well
        assert "goes on at 2 times" in tell(run, "faster") or "stands still" in tell(run, "state")
        assert "goes on at 2 times" in tell(run, "resume")
        with pytest.raises(SettingsError, match='there is no inject "flood"'):
            tell(run, "inject flood")
        assert "injects to come: none" in tell(run, "inject bag")
        assert (run / "camera-1.fault").read_text(encoding="utf-8") == "covered"
        world = next(p for p in children(process.pid) if "world.toml" in p[1])
        os.kill(world[0], signal.SIGKILL)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, output
    assert "ENDED EARLY: the process world ended" in output
    what = [e["what"] for e in read_log(run / "exercise.jsonl")]
    assert what[0] == "began" and {"paused", "pace", "resumed", "inject"} <= set(what) and what[-1] == "crashed"
    found = debrief(run)
    assert "crash" in {m.kind for m in found.moments} and found.score.mode == "processes"
    # Nobody is left behind.
    assert not [p for p in processes() if str(run) in command_of(p)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_why_an_exercise_did_not_begin_stands_in_the_list_of_runs(tmp_path):
    run = tmp_path / "d" / "r"          # local sockets have short names
    run.parent.mkdir()
    process = started(tmp_path, run)
    try:
        wait_for(lambda: process.poll() is not None or station_of(process.pid), 300)
        assert process.poll() is None, process.stdout.read()
        os.kill(station_of(process.pid), signal.SIGKILL)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0, output
    (view,) = Runs(run.parent, LIBRARY, WallClock()).all()
    assert (view.state, "station" in view.detail) == ("not_begun", True), view
    assert view.detail in output
    assert not [p for p in processes() if str(run) in command_of(p)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_direction_leaves_what_was_recorded_and_nobody_behind_and_its_score_is_that_of_lockstep(tmp_path):
    run = tmp_path / "d" / "r"          # local sockets have short names
    run.parent.mkdir()
    process = started(tmp_path, run, soon=True)
    try:
        wait_for(lambda: process.poll() is not None or "say start" in heard(run), 600)
        assert process.poll() is None, process.stdout.read()
        tell(run, "start")
        wait_for(lambda: process.poll() is not None or (time_of(run) > 30.0 and " 1 alarms" in heard(run)), 120)
        assert " 1 alarms" in heard(run)
        (view,) = Runs(run.parent, LIBRARY, WallClock()).all()
        assert view.state == "running"
        going = Runs(run.parent, LIBRARY, WallClock()).so_far()
        assert going is not None and going.score.crashed == "" and "crash" not in {m.kind for m in going.moments}
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        wait_for(lambda: not [p for p in processes() if str(run) in command_of(p)], 30)
    finally:
        process.kill()
        process.wait()
    assert not [command_of(p) for p in processes() if str(run) in command_of(p)]
    (view,) = Runs(run.parent, LIBRARY, WallClock()).all()
    assert (view.state, view.detail) == ("crashed", NO_END)
    found = debrief(run)
    assert found.score.crashed == NO_END and "crash" in {m.kind for m in found.moments}
    exercise = for_so_long(load_exercise(tmp_path / "one.toml"), found.score.seconds)
    alone = debrief(LockstepRun(exercise, tmp_path / "lockstep").run().folder).score
    assert further_apart_than_they_may(found.score, alone) == []


def started(tmp_path, run, soon=False):
    """An exercise of one camera and no goals, which waits for the trainer's word. soon: its walker comes at once."""
    text = (LIBRARY / "single-walker.toml").read_text(encoding="utf-8").replace('"../', f'"{LIBRARY.parent}/')
    text = text[:text.rindex("[[cameras]]")]        # one camera is enough, and draws sooner
    if soon:
        text = text.replace("enters_s = 40.0", "enters_s = 3.0").replace("at_m = 280.0", "at_m = 300.0")
    text += '[[injects]]\nid = "bag"\ndo = "camera"\ncamera = "camera-1"\nfault = "covered"\n'
    file = tmp_path / "one.toml"
    file.write_text(text, encoding="utf-8")
    weights = resolve_weights("yolo11n", None, training=True)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "exercise", "run", str(file), "--keep", str(run),
         "--weights", str(weights), "--headless", "--wait"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"YOLO_AUTOINSTALL": "false"},
    )


def station_of(pid):
    return next((p for p, command in children(pid) if " serve " in command), None)


def heard(run):
    try:
        return tell(run, "state", 2_000)
    except SettingsError:
        return ""


def time_of(run):
    """Seconds of the exercise, as its state says."""
    return float(heard(run).partition(": ")[2].partition(" of ")[0] or 0.0)


def began(run):
    try:
        return any(e["what"] == "began" for e in read_log(run / "exercise.jsonl"))
    except SettingsError:
        return False


def wait_for(true, within_s):
    until = time.monotonic() + within_s
    while time.monotonic() < until and not true():
        time.sleep(0.3)


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def processes():
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]


def children(pid):
    """(pid, command line) of the processes that this one started."""
    found = []
    for other in processes():
        try:
            parent = int(Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found.append((other, command_of(other)))
    return found
