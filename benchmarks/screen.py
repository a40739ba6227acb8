"""The operator's map in a browser: 2,000 contacts with 20,000 points of history, each told once a second.

The web server is the real one, in a process of its own; a mind with nothing to think tells it what the real one tells, at
the real one's pace: a delta each 100 ms, in it a tenth of the contacts. The browser is headless Chromium that draws in
software (SwiftShader, no compositing by GPU calls), at 1600 by 900, on the processor that all the rest runs on. Below the
contacts lie a base map with relief, 200 corridors, ten cameras and twenty open alarms.

It takes under five minutes on a quiet machine, and seven and a half with twenty programs beside it: who waits for
something waits for so long and no longer. Times on the wall are worth as much as the machine is quiet (load_1_min); beside
them stands the processor's time, which depends on it less.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.form import Figure, figure
from benchmarks.ingest_stage import clock, running, write_station
from benchmarks.screen_mind import TRAIL, Say, telling
from benchmarks.screen_night import NIGHT_PER_S, NIGHT_S, night
from benchmarks.screen_page import (
    ARGUMENTS,
    CHROMIUM,
    PAN_S,
    PRESSES,
    Sight,
    drag,
    middle,
    opened,
    press,
    quantile,
    until_up,
    watch,
)
from benchmarks.screen_probe import MARKERS, RENDERER
from geofences.sector import load_sector
from sim.demo_world import SCENARIO, SECTOR
from sim.landscape_cache import cached_landscape
from sim.landscape_map import cached_basemap
from sim.world_scenario import load_scenario
from station.access import Role, add_person
from station.settings import StationSettings

CONTACTS, MANY = 2_000, 5_000
RUNS, OPENED = 3, 3
WATCH_S = 6.0
ALARMS, ALARMS_LAST_S = 100, 45.0
PASSWORD = "mot cau de do"


def measure() -> dict[str, Figure]:
    loads = [os.getloadavg()[0]]
    figures: dict[str, Figure] = {}
    with staged() as (browser, settings, mind):
        for part in (_open, _busy, _peer, _many, _night):
            figures |= part(browser, settings, mind)
            loads.append(os.getloadavg()[0])
    figures["load_1_min"] = figure(loads, "programs", "that wanted to run, before and after each part")
    return figures


@contextlib.contextmanager
def staged() -> Iterator[tuple[Browser, StationSettings, Connection]]:
    """A browser, a station's web server with the demo's map and one operator, and a mind that tells of CONTACTS."""
    with tempfile.TemporaryDirectory(prefix="tw-bench-") as name:
        settings, _ = write_station(Path(name) / "screen", 0)
        scenario = load_scenario(SCENARIO, load_sector(SECTOR))
        cached_basemap(settings.basemap_dir, scenario, cached_landscape(scenario))
        add_person(settings, "lan", Role.OPERATOR, PASSWORD)
        with telling(settings, CONTACTS) as mind, running(settings, "web"), sync_playwright() as driver:
            until_up(settings)
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            try:
                yield browser, settings, mind
            finally:
                browser.close()


# -------------------------------------------------------------------------------------------------------- what is measured


def _open(browser: Browser, settings: StationSettings, _mind: Connection) -> dict[str, Figure]:
    """A browser that has never been here, logged in."""
    first, arrived, alarms, whole, megabytes, fed = [], [], [], [], [], []
    for _ in range(OPENED):
        with opened(browser, settings, throttled=True) as sight:
            sight.ready()
            seen = sight.page.evaluate("window.probe.opened()")
            first.append(seen["first"])
            arrived.append(seen["picture"])
            alarms.append(seen["alarms"])
            whole.append(seen["map"])
            sight.page.wait_for_timeout(2000)         # tiles that are still on their way
            megabytes.append(sight.traffic["http"] / 1e6)
            fed.append(sight.traffic["picture"] / 1e6)
    how = f"empty cache, 100 Mbit/s with 2 ms, {CONTACTS:,} contacts"
    return {
        "first_paint_ms": figure(first, "ms", f"first contentful paint; {how}", "< 1500"),
        "first_picture_ms": figure(arrived, "ms", f"until the feed has brought what the mind knows; {how}"),
        "first_alarms_ms": figure(alarms, "ms", f"until the first alarm's card is there; {how}"),
        "first_map_ms": figure(whole, "ms", f"until the map has drawn the contacts; {how}"),
        "transfer_mb": figure(megabytes, "MB", "all answers as they travel, with the base map's tiles", "< 1.5"),
        "picture_mb": figure(fed, "MB", "the first picture over the feed, which is not compressed, beside it"),
    }


def _busy(browser: Browser, settings: StationSettings, mind: Connection) -> dict[str, Figure]:
    with opened(browser, settings) as sight:
        sight.ready()
        drawn_by: str = sight.page.evaluate(RENDERER)
        sight.page.wait_for_timeout(3000)
        sight.page.evaluate("window.probe.reset()")
        paints, told, shares, drags, presses = [], [], [], [], []
        for _ in range(RUNS):
            drawn, share = watch(sight, WATCH_S)
            paints.append(quantile(drawn["page"], 0.95))
            told.append(quantile(drawn["told"], 0.95))
            shares.append(share)
            drags.append(drag(sight))
            presses.append(press(sight))
        tasks = sight.page.evaluate("window.probe.tasks()")
        late = _alarms(sight, mind)
    how = f"{CONTACTS:,} contacts, {CONTACTS * TRAIL:,} points of history, each contact told once a second; {drawn_by}"
    return {
        "update_to_paint_p95_ms": figure(paints, "ms", f"from a delta's arrival to a frame that shows it; {how}", "< 200"),
        "told_to_paint_p95_ms": figure(told, "ms", "from the mind's telling; the server gathers for up to 100 ms of it"),
        "watch_cores": figure(shares, "cores", "the processor's time for all of the browser, while nobody touches it"),
        "longest_task_ms": figure(
            [max(tasks, default=0.0)], "ms",
            f"watching, panning and at the keys; {len(tasks)} over 50 ms, the middle one {middle(tasks):.0f}",
            "<= 250",
        ),
        "pan_frames_s": figure(
            [d.frames for d in drags], "1/s", f"frames in which the map moved, dragged for {PAN_S:g} s; {how}", ">= 10"
        ),
        "pan_worst_second_frames": figure([d.worst for d in drags], "frames", "in the slowest second of these"),
        "pan_frame_cpu_ms": figure([d.cpu_ms for d in drags], "ms", "processor's time, all of the browser, by frames"),
        "key_press_p50_ms": figure([quantile(p, 0.5) for p in presses], "ms", f"{PRESSES} presses of J and K"),
        "key_press_p95_ms": figure([quantile(p, 0.95) for p in presses], "ms", "to the next paint (Event Timing)", "< 100"),
        "alarm_to_glass_p50_ms": figure([quantile(late, 0.5)], "ms", f"{len(late)} alarms; the same"),
        "alarm_to_glass_p99_ms": figure(
            [quantile(late, 0.99)], "ms", f"{len(late)} alarms, from the commit to a frame with the card; {how}", "< 300"
        ),
    }


def _peer(browser: Browser, settings: StationSettings, _mind: Connection) -> dict[str, Figure]:
    """The same contacts the obvious way: an element of the page for each, moved when it is told."""
    with opened(browser, settings) as sight:
        sight.ready()
        sight.page.evaluate(MARKERS)
        sight.page.wait_for_timeout(2000)
        dragged = drag(sight)
    how = f"the page with a maplibregl.Marker a contact in place of its marks: {CONTACTS:,} elements, no trails, no ellipses"
    return {"peer_pan_frames_s": figure([dragged.frames], "1/s", how)}


def _many(browser: Browser, settings: StationSettings, mind: Connection) -> dict[str, Figure]:
    mind.send(Say(contacts=MANY))
    with opened(browser, settings) as sight:
        sight.ready()
        sight.page.wait_for_timeout(3000)
        sight.page.evaluate("window.probe.reset()")
        (drawn, share), dragged, waits = watch(sight, WATCH_S), drag(sight), press(sight)
        tasks = sight.page.evaluate("window.probe.tasks()")
    how = f"{MANY:,} contacts, {MANY * TRAIL:,} points"
    return {
        "many_update_to_paint_p95_ms": figure([quantile(drawn["page"], 0.95)], "ms", how),
        "many_watch_cores": figure([share], "cores", how),
        "many_pan_frames_s": figure([dragged.frames], "1/s", f"{how}; slowest second {dragged.worst:g}"),
        "many_key_press_p95_ms": figure([quantile(waits, 0.95)], "ms", how),
        "many_longest_task_ms": figure([max(tasks, default=0.0)], "ms", how),
    }


def _night(browser: Browser, settings: StationSettings, mind: Connection) -> dict[str, Figure]:
    mind.send(Say(contacts=40))
    with opened(browser, settings) as sight:
        sight.ready()
        seen = night(sight, mind)
    how = (
        f"heap after forced collections; 8 h of one delta a second, played {NIGHT_S / seen.took_s:.0f} times as fast "
        f"({NIGHT_PER_S} were asked for): 40 contacts at a time, {NIGHT_S // 5:,} in all, {NIGHT_S // 100} alarms raised, "
        f"taken and closed, and a person at the keys; {seen.heap_mb:.1f} MB in the end"
    )
    return {
        "soak_leak_mb": figure([seen.leak_mb], "MB", how, "< 20"),
        "soak_elements": figure([seen.nodes], "nodes", "more nodes of the page after it"),
    }


def _alarms(sight: Sight, mind: Connection) -> list[float]:
    """From commit to glass, milliseconds each; fewer than ALARMS where they take too long."""
    late: list[float] = []
    began_ns = clock.monotonic_ns()
    while len(late) < ALARMS and (clock.monotonic_ns() - began_ns) / 1e9 < ALARMS_LAST_S:
        clock.sleep(0.25 + (len(late) * 0.037) % 0.1)
        mind.send(Say(alarm=True))
        alarm, committed_ns = mind.recv()
        shown_ms: float = sight.page.evaluate("id => window.probe.card(id)", alarm)
        late.append(shown_ms - committed_ns / 1e6)
    return late

