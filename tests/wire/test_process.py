"""A process that belongs to another does not outlive it."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wire.process import StopEvent

ROOT = Path(__file__).parents[2]
CHILD = "import time; from wire.process import die_with_parent; die_with_parent(); print('up', flush=True); time.sleep(60)"
PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=os.environ | {{"TRAILWATCH_PARENT": str(os.getpid())}},
                         stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_leaves_when_its_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(child, 0)
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child outlived its parent")


def test_without_a_parent_to_follow_nothing_happens():
    out = subprocess.run(
        [sys.executable, "-c", "from wire.process import die_with_parent; die_with_parent(); print('here')"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )
    assert out.stdout == "here\n"


def test_a_parent_that_is_already_gone_is_noticed():
    out = subprocess.run(
        [sys.executable, "-c", "from wire.process import die_with_parent; die_with_parent(); print('here')"],
        cwd=ROOT, env=os.environ | {"TRAILWATCH_PARENT": "1"}, capture_output=True, text=True, timeout=30,
    )
    assert out.returncode == 0
    assert out.stdout == ""


def test_a_signal_that_comes_at_any_line_of_a_wait_stops_the_process():
    # Line after line of what stop.wait does in Python: a lock that it holds there would never be given back.
    code = (
        "import os, signal, sys; from wire.process import stop_on_signals\n"
        "def wait_told_at(line):\n"
        "    stop, seen = stop_on_signals(), 0\n"
        "    def trace(frame, event, argument):\n"
        "        nonlocal seen\n"
        "        if event == 'line':\n"
        "            seen += 1\n"
        "            if seen == line: os.kill(os.getpid(), signal.SIGTERM)\n"
        "        return trace\n"
        "    sys.settrace(trace)\n"
        "    while not stop.wait(0.001) and seen < 1000: pass\n"
        "    sys.settrace(None)\n"
        "    assert stop.is_set(), line\n"
        "for line in range(1, 100): wait_told_at(line)\n"
        "print('left', flush=True)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60)
    assert (out.returncode, out.stdout) == (0, "left\n")


def test_a_stop_reaches_every_thread_that_waits_and_wakes_it_at_once():
    stop, woken = StopEvent(), []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait())) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert not stop.wait(0.01) and not stop.is_set()
    stop.set()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert woken == [True] * 3 and stop.wait(0.0)
    with pytest.raises(RuntimeError, match="not taken back"):
        stop.clear()


def test_a_process_says_when_who_and_how_bad_in_utc_and_leaves_on_sigterm():
    code = (
        "import logging; from wire.process import log_to_stderr, stop_on_signals\n"
        "log_to_stderr(); log_to_stderr(); stop = stop_on_signals()\n"
        "logging.getLogger('trailwatch.inbox').warning('disk is nearly full'); logging.getLogger('chatty').warning('no')\n"
        "print('up', flush=True); stop.wait(60); print('left', flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TZ": "Asia/Ho_Chi_Minh"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, "left\n")
    ours = [line for line in err.splitlines() if "trailwatch" in line]
    assert len(ours) == 1, err
    when, rest = ours[0].split(" ", 1)
    assert rest == "trailwatch.inbox WARNING disk is nearly full"
    at = datetime.strptime(when, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 600, "UTC, wherever the post stands"
