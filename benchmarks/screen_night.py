"""The soak of the screen: eight hours of a shift played fast into one page, and what is left of them in its heap."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection

from playwright.sync_api import CDPSession

from benchmarks.ingest_stage import clock
from benchmarks.screen_mind import Say
from benchmarks.screen_page import Sight

NIGHT_S, NIGHT_PER_S = 8 * 3600, 320
FIRST_S = 1200                      # played before the first look: what is built once is built
AT_KEYS = ("j", "j", "k", "Enter", "Escape", "v", "v", "f")
SETTLE_MS = 3000


@dataclass(frozen=True, slots=True)
class Night:
    """What a night left behind. took_s: on the clock on the wall."""

    leak_mb: float
    nodes: int
    heap_mb: float
    took_s: float


def night(sight: Sight, mind: Connection, seconds: int = NIGHT_S, per_s: int = NIGHT_PER_S) -> Night:
    """So many seconds of a shift, `per_s` of them in one of the clock's, with a person at the keys."""
    _play(sight, mind, FIRST_S, per_s)
    before_mb, nodes_before = heap(sight.line)
    began_ns = clock.monotonic_ns()
    _play(sight, mind, seconds, per_s)
    took_s = (clock.monotonic_ns() - began_ns) / 1e9
    after_mb, nodes = heap(sight.line)
    return Night(after_mb - before_mb, nodes - nodes_before, after_mb, took_s)


def _play(sight: Sight, mind: Connection, seconds: int, per_s: int) -> None:
    mind.send(Say(night_s=seconds, per_s=per_s))
    while not mind.poll(0.0):
        for key in AT_KEYS:
            sight.page.keyboard.press(key)
            sight.page.wait_for_timeout(300)
            if mind.poll(0.0):
                break
    mind.recv()
    sight.page.keyboard.press("Escape")
    sight.page.wait_for_timeout(SETTLE_MS)


def heap(line: CDPSession) -> tuple[float, int]:
    """What is used after forced collections, megabytes; and how many nodes of pages there are."""
    for _ in range(3):
        line.send("HeapProfiler.collectGarbage")
        clock.sleep(0.5)
    nodes: int = line.send("Memory.getDOMCounters")["nodes"]
    return float(line.send("Runtime.getHeapUsage")["usedSize"]) / 1e6, nodes
