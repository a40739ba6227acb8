"""Outlines that several threads ask at once, as when a plan is drawn while a drone is watched in the air."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import shapely

from geofences.prepared import KEPT, prepared

ROOT = Path(__file__).parents[2]

# In a process of its own, for what it asks after ended it. Four threads, each with rules of its own for one sector.
ASKING = """
import sys, threading, time
from pathlib import Path
import numpy as np, shapely
from fleet.checker_ground import GroundRules, Parts
from geofences.sector import load_sector
sector = load_sector(Path("configs/sectors/laobao/sector.toml"))
chance, bounds = np.random.default_rng(1), sector.box.bounds
def some():
    begin = chance.uniform(bounds[:2], bounds[2:], (60, 2))
    legs = shapely.buffer(shapely.linestrings(np.stack([begin, begin + chance.normal(0, 300, (60, 2))], 1)), 30.0)
    return Parts("leg", range(60), legs, np.full(60, 100.0))
work = [some() for _ in range(4)]
alone = [GroundRules(sector).bad(w) for w in work]
assert any(bad.any() and not bad.all() for bad in alone)
until, wrong, asked = time.monotonic() + 3.0, 0, 0
def ask(k):
    global wrong, asked
    while time.monotonic() < until:
        wrong, asked = wrong + (GroundRules(sector).bad(work[k]) != alone[k]).sum(), asked + 1
threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert asked > 20
print(f"{wrong} wrong")
"""


def test_threads_that_ask_the_same_sector_at_once_end_no_process_and_are_told_the_truth():
    done = subprocess.run([sys.executable, "-c", ASKING], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0 wrong\n"), done.stderr


def test_each_thread_has_a_geometry_of_its_own_made_once_and_the_shared_one_stays_unprepared():
    shape, row = shapely.Point(1.0, 2.0).buffer(3.0), np.array([shapely.Point(0.0, 0.0).buffer(1.0)] * 3, dtype=object)
    here, there = [prepared(shape), prepared(shape)], []
    thread = threading.Thread(target=lambda: there.append(prepared(shape)))
    thread.start()
    thread.join()
    assert here[0] is here[1] is not there[0]
    assert here[0].equals_exact(shape) and there[0].equals_exact(shape)
    assert shapely.is_prepared(here[0]) and shapely.is_prepared(there[0]) and not shapely.is_prepared(shape)
    assert shapely.is_prepared(prepared(row)).all() and not shapely.is_prepared(row).any()


def test_what_a_thread_keeps_has_a_bound_and_nothing_is_taken_for_another_that_is_gone():
    for k in range(3 * KEPT):
        shape = shapely.box(0.0, 0.0, k + 1.0, 1.0)
        assert prepared(shape).equals_exact(shape)
