"""One part of `bench screen` alone, and long: how soon a press of J or K is answered while 2,000 contacts are told at 1 Hz.

A press in twenty decides whether the goal is met, so two hundred are counted, at moments that have nothing to do with the
pace of the updates. Beside the whole wait stand its parts. To compare two states of the
tree, run each in a checkout of its own, in turns.
"""

from __future__ import annotations

import os

from benchmarks.form import Figure, figure
from benchmarks.screen import CONTACTS, staged
from benchmarks.screen_page import Sight, opened, quantile

PRESSES, LEAST_PAUSE_MS, DIFFERENT_MS = 200, 160, 97
PARTS = ("wait", "work", "frame")         # until the page took the key; what it did with it; until its frame was there
SHORT_MS = 16.0             # an event that was answered sooner has no entry: the browser tells of none that are shorter


def measure() -> dict[str, Figure]:
    loads = [os.getloadavg()[0]]
    with staged() as (browser, settings, _), opened(browser, settings) as sight:
        sight.ready()
        sight.page.wait_for_timeout(3000)
        seen = _press(sight)
        tasks = sight.page.evaluate("window.probe.tasks()")
    loads.append(os.getloadavg()[0])
    waits = [one["whole"] for one in seen] + [SHORT_MS] * (PRESSES - len(seen))
    how = f"{PRESSES} presses of J and K, {CONTACTS:,} contacts told once a second"
    figures = {
        "key_press_p50_ms": figure([quantile(waits, 0.5)], "ms", how),
        "key_press_p95_ms": figure([quantile(waits, 0.95)], "ms", f"to the next paint (Event Timing); {how}", "< 100"),
        "key_press_p99_ms": figure([quantile(waits, 0.99)], "ms", how),
        "key_press_over": figure([100 * sum(w >= 100 for w in waits) / len(waits)], "%", "of these took 100 ms or more"),
        "longest_task_ms": figure([max(tasks, default=0.0)], "ms", f"meanwhile; {len(tasks)} over 50 ms"),
        "load_1_min": figure(loads, "programs", "that wanted to run, before and after"),
    }
    for part in PARTS:
        values = [one[part] for one in seen]
        told = f"of that the {part}; in the middle {quantile(values, 0.5):.0f}"
        figures[f"{part}_p95_ms"] = figure([quantile(values, 0.95)], "ms", told)
    return figures


def _press(sight: Sight) -> list[dict[str, float]]:
    page = sight.page
    page.evaluate("window.probe.reset()")
    for n in range(PRESSES):
        page.keyboard.press("j" if n % 12 < 6 else "k")
        page.wait_for_timeout(LEAST_PAUSE_MS + 37 * n % DIFFERENT_MS)
    page.wait_for_timeout(500)
    seen: list[dict[str, float]] = page.evaluate("window.probe.presses()")
    return seen
