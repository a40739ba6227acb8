"""Plates are read by a process of their own, which comes on demand, goes when idle, and may die without harm to the node."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from edge.plate_process import ReadThis, WasRead
from edge.plate_reader import AGAIN_S, IDLE_S, PENDING_LIMIT, PlateReader, VehicleCrop
from edge.plate_votes import ALPHABET, vote
from wire.clock import SteppedClock, WallClock
from wire.units import ObjectClass, is_vehicle

ROOT = Path(__file__).resolve().parents[2]
# Answers as the real process does, without networks: each crop's first pixel says which digit its "plate" is.
QUICK = """
import socket, sys, msgspec, numpy as np
from edge.plate_process import ReadThis, WasRead, receive, send
link = socket.socket(fileno=int(sys.argv[1]))
send(link, WasRead(ready=True))
while True:
    try:
        asked = msgspec.msgpack.decode(receive(link), type=ReadThis)
    except OSError:
        break
    rows = np.zeros((1, 36), np.float32)
    rows[0, asked.pixels[0]] = 1.0
    send(link, WasRead(rows.tobytes(), 2000.0, 0.5))
"""
QUICK_STARTER = (sys.executable, "-c", QUICK)


def crop(track=1, worth=1.0, digit=0, vehicle=ObjectClass.CAR):
    return VehicleCrop(track, vehicle, np.full((40, 60, 3), digit, np.uint8), worth)


def car(text="74C-123.45"):
    """A grey car's rear with a plate of one row, 160 px wide."""
    picture = np.full((240, 400, 3), 110, np.uint8)
    cv2.rectangle(picture, (105, 120), (275, 158), (235, 235, 235), -1)
    cv2.putText(picture, text, (112, 149), cv2.FONT_HERSHEY_DUPLEX, 0.85, (15, 15, 15), 2, cv2.LINE_AA)
    return picture


def wait_for(condition, seconds=240):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
    return found


def test_the_real_process_reads_is_killed_and_reads_again():
    node = psutil.Process()
    before = set(sys.modules)                   # other tests of this run may have read plates by themselves
    with PlateReader(WallClock()) as reader:
        assert reader.pid is None, "started without a crop"
        reader.offer(VehicleCrop(7, ObjectClass.TRUCK, car(), 1.0))
        ((track, reading),) = wait_for(reader.take)
        assert track == 7
        assert vote([reading]).text == "74C-123.45"
        child = psutil.Process(reader.pid)
        assert child.nice() > node.nice()
        assert child.ppid() == os.getpid()
        assert not any("rapidocr" in name for name in set(sys.modules) - before), "the networks are in the node as well"
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: reader.pid is None)

        def offered():
            reader.offer(VehicleCrop(8, ObjectClass.TRUCK, car("29H-678.90"), 1.0))
            return reader.take()

        ((track, reading),) = wait_for(offered)[:1]
        assert (track, vote([reading]).text) == (8, "29H-678.90")
        assert reader.starts == 2
        pid = reader.pid
    assert not psutil.pid_exists(pid)


def test_the_process_leaves_when_its_node_is_killed():
    script = (
        "import sys, time; sys.path.insert(0, '.'); from tests.edge import test_plate_reader as t\n"
        "reader = t.PlateReader(t.WallClock(), t.QUICK_STARTER); reader.offer(t.crop()); t.wait_for(reader.take)\n"
        "print(reader.pid, flush=True); time.sleep(600)"
    )
    node = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid = int(node.stdout.readline())
    assert psutil.pid_exists(pid)
    node.kill()
    node.communicate()
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_process_that_hangs_makes_nobody_wait_and_few_crops_pile_up():
    with PlateReader(WallClock(), QUICK_STARTER) as reader:
        reader.offer(crop())
        wait_for(reader.take)
        os.kill(reader.pid, signal.SIGSTOP)
        for i in range(200):
            reader.offer(crop(track=i, worth=float(i)))
        assert len(reader._pending) <= PENDING_LIMIT
        assert min(reader._pending) >= 200 - PENDING_LIMIT - 1, "the best are kept"


def test_of_one_track_the_best_crop_waits_and_of_two_as_good_the_newer():
    reader = PlateReader(SteppedClock(), QUICK_STARTER)
    reader._not_before_ns = 1 << 60          # nothing is read yet
    for worth, digit in ((2.0, 1), (5.0, 2), (3.0, 3), (5.0, 4), (1.0, 5)):
        reader.offer(crop(worth=worth, digit=digit))
    (waiting,) = reader._pending.values()
    assert int(waiting.image[0, 0, 0]) == 4
    reader.close()


def test_the_best_crop_of_all_is_read_first():
    clock = SteppedClock(sleep_advances=False)
    reader = PlateReader(clock, QUICK_STARTER)
    reader._not_before_ns = clock.monotonic_ns() + 1
    for track, worth in ((1, 2.0), (2, 9.0), (3, 4.0)):
        reader.offer(crop(track, worth, digit=track))
    clock.advance(1.0)
    read = []
    wait_for(lambda: read.extend(reader.take()) or len(read) == 3)
    assert [track for track, _ in read] == [2, 3, 1]
    assert [ALPHABET[int(r.chances[0].argmax())] for _, r in read] == ["2", "3", "1"]
    reader.close()


def test_it_ends_after_minutes_without_a_crop_and_comes_back_for_the_next():
    clock = SteppedClock(sleep_advances=False)
    with PlateReader(clock, QUICK_STARTER) as reader:
        reader.offer(crop())
        wait_for(reader.take)
        first = reader.pid
        clock.advance(IDLE_S - 5.0)
        time.sleep(0.5)
        assert reader.pid == first
        clock.advance(10.0)
        wait_for(lambda: reader.pid is None)
        reader.offer(crop())
        wait_for(reader.take)
        assert reader.starts == 2
        assert reader.problem == ""


def test_a_process_that_always_dies_is_started_ever_more_rarely_and_the_node_says_so():
    clock = SteppedClock(sleep_advances=False)
    with PlateReader(clock, (sys.executable, "-c", "import sys; sys.exit(3)")) as reader:
        pause_s = AGAIN_S[0]
        for starts in range(1, 6):
            reader.offer(crop())
            wait_for(lambda: reader.starts == starts and reader._not_before_ns > clock.monotonic_ns())  # noqa: B023
            assert reader.pid is None
            assert "has failed" in reader.problem
            assert "exit status 3" in reader.problem
            reader.offer(crop())
            clock.advance(pause_s * 0.7)
            time.sleep(0.5)
            assert reader.starts == starts, "started before its pause was over"
            clock.advance(pause_s * 0.6)
            pause_s = min(pause_s * 2, AGAIN_S[1])


def test_what_it_answers_when_it_is_nonsense_does_not_reach_the_node():
    babble = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).sendall(b'\\xff' * 64); import time; time.sleep(60)"
    with PlateReader(WallClock(), (sys.executable, "-c", babble)) as reader:
        reader.offer(crop())
        wait_for(lambda: reader.problem)
        assert "limit is" in reader.problem
        assert reader.take() == []


@pytest.mark.parametrize(
    "answer",
    [
        "WasRead(b'x' * 7, 2000.0, 0.5)",                                               # no whole number of floats
        "WasRead(np.zeros(35, np.float32).tobytes(), 2000.0, 0.5)",                     # no whole number of places
        "WasRead(np.full((1, 36), np.nan, np.float32).tobytes(), 2000.0, 0.5)",
        "WasRead(np.full((1, 36), 0.9, np.float32).tobytes(), 2000.0, 0.5)",            # surer than sure
        "WasRead(np.zeros((65, 36), np.float32).tobytes(), 2000.0, 0.5)",
        "WasRead(rows.tobytes(), float('nan'), 0.5)",
    ],
)
def test_a_reading_that_is_none_is_a_failure_and_the_next_process_reads_again(answer, tmp_path):
    """The answers of the first process are well formed and wrong, those of the second are right."""
    marker = tmp_path / "was-here"
    wrong = QUICK.replace("WasRead(rows.tobytes(), 2000.0, 0.5)", f"answer(rows, {str(marker)!r})")
    wrong = wrong.replace(
        "link = socket", "import pathlib\ndef answer(rows, marker):\n    if pathlib.Path(marker).exists():\n"
        f"        return WasRead(rows.tobytes(), 2000.0, 0.5)\n    pathlib.Path(marker).touch()\n    return {answer}\n"
        "link = socket", 1,
    )
    with PlateReader(WallClock(), (sys.executable, "-c", wrong)) as reader:
        reader.offer(crop())
        wait_for(lambda: reader.problem)
        assert "has failed" in reader.problem
        assert reader.take() == []
        reader.offer(crop(digit=3))
        (track, reading), = wait_for(reader.take)
        assert (track, reading.text, reader.starts) == (1, "3", 2)


@pytest.mark.parametrize("other", [c for c in ObjectClass if not is_vehicle(c)])
def test_crops_of_people_cannot_even_be_made(other):
    with pytest.raises(ValueError, match="vehicles alone"):
        crop(vehicle=other)


def test_the_process_too_refuses_what_is_no_vehicle():
    """Whoever reaches past the node: the real process ends at it, and reads nothing."""
    import socket

    from edge.plate_process import receive, send

    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-m", "edge.plate_process", str(theirs.fileno())], cwd=ROOT, pass_fds=(theirs.fileno(),),
        stderr=subprocess.PIPE, text=True,
    )
    theirs.close()
    receive(ours)
    send(ours, ReadThis(ObjectClass.PERSON, 1, 1, b"\0\0\0"))
    with pytest.raises(OSError, match="closed"):
        receive(ours)
    _, said = child.communicate()
    assert child.returncode != 0
    assert "vehicles alone" in said
    assert WasRead().reading is None
    ours.close()
