"""The browser of the screen's benchmark: a page of somebody who has never been here, and what a person does at it."""

from __future__ import annotations

import contextlib
import math
import socket
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, ViewportSize

from benchmarks.ingest_load import session_headers
from benchmarks.ingest_stage import clock
from benchmarks.screen_line import line_to
from benchmarks.screen_probe import PROBE
from station.settings import StationSettings

SIZE: ViewportSize = {"width": 1600, "height": 900}
LAN_BYTES_S, LAN_DELAY_S = 12.5e6, 0.001        # 100 Mbit/s, 2 ms there and back
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
             "--disable-gpu-compositing", "--disable-background-networking", "--no-first-run", "--disable-dev-shm-usage",
             "--js-flags=--expose-gc"]
PAN_S, PAN_EVERY_S = 6.0, 1 / 30
PRESSES, PRESSES_LAST_S = 24, 15.0
READY_MS = 60_000


@dataclass(frozen=True, slots=True)
class Sight:
    """One page. line: to the browser's own tools. traffic: bytes by kind. whole: all of the browser's processes."""

    page: Page
    line: CDPSession
    traffic: dict[str, float]
    whole: list[psutil.Process]

    def ready(self) -> None:
        self.page.wait_for_function("() => window.probe?.isReady()", timeout=READY_MS)

    def cpu_s(self) -> float:
        """Of the processor's time, by pages, compositor and software GL together; what else runs does not change it much."""
        total = 0.0
        for process in self.whole:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total


@dataclass(frozen=True, slots=True)
class Dragged:
    """frames: a second. worst: in the slowest second. cpu_ms: of the browser, for one frame."""

    frames: float
    worst: float
    cpu_ms: float


@contextlib.contextmanager
def opened(browser: Browser, settings: StationSettings, throttled: bool = False) -> Iterator[Sight]:
    """A page of a browser without a past, logged in. throttled: over a local network's line."""
    with contextlib.ExitStack() as line:
        port = settings.web.port
        if throttled:
            port = line.enter_context(line_to(settings.web.host, port, LAN_BYTES_S, LAN_DELAY_S))
        with _opened(browser, settings, f"http://127.0.0.1:{port}") as sight:
            yield sight


@contextlib.contextmanager
def _opened(browser: Browser, settings: StationSettings, where: str) -> Iterator[Sight]:
    context: BrowserContext = browser.new_context(viewport=SIZE, locale="vi-VN")
    name, _, value = session_headers(settings, "lan")["Cookie"].partition("=")
    context.add_cookies([{"name": name, "value": value, "url": where}])
    page = context.new_page()
    page.add_init_script(PROBE)
    traffic = {"http": 0.0, "picture": 0.0}
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.on("Network.loadingFinished", lambda e: _add(traffic, "http", e["encodedDataLength"]))
    line.on("Network.webSocketFrameReceived", lambda e: _note_picture(traffic, e))
    page.goto(where, wait_until="commit")
    whole = [p for p in psutil.Process().children(recursive=True) if "chromium" in p.name()]
    try:
        yield Sight(page, line, traffic, whole)
    finally:
        context.close()


def until_up(settings: StationSettings) -> None:
    """Returns when the web server answers. Raises RuntimeError after a minute."""
    until_ns = clock.monotonic_ns() + 60_000_000_000
    while True:
        with socket.socket() as line:
            if not line.connect_ex((settings.web.host, settings.web.port)):
                return
        if clock.monotonic_ns() > until_ns:
            raise RuntimeError("the web server did not come up in a minute")
        clock.sleep(0.1)


def _add(traffic: dict[str, float], kind: str, count: float) -> None:
    traffic[kind] += count


def _note_picture(traffic: dict[str, float], event: dict[str, Any]) -> None:
    data: str = event["response"]["payloadData"]
    if not traffic["picture"] and '"type":"picture"' in data[:100]:
        traffic["picture"] = float(len(data.encode()))


# ------------------------------------------------------------------------------------------------------- what a person does


def watch(sight: Sight, seconds: float) -> tuple[dict[str, list[float]], float]:
    """When what was told was painted, and how much of a core the browser took meanwhile."""
    sight.page.evaluate("window.probe.clear()")
    before_s, began_ns = sight.cpu_s(), clock.monotonic_ns()
    sight.page.wait_for_timeout(seconds * 1000)
    share = (sight.cpu_s() - before_s) / ((clock.monotonic_ns() - began_ns) / 1e9)
    drawn: dict[str, list[float]] = sight.page.evaluate("window.probe.drawn()")
    return drawn, share


def drag(sight: Sight) -> Dragged:
    """The map in a circle, by a hand."""
    x, y, page = 600.0, 500.0, sight.page
    page.mouse.move(x, y)
    page.mouse.down()
    before_s, began_ns = sight.cpu_s(), clock.monotonic_ns()
    page.evaluate("window.probe.clear()")
    step = 0
    while (clock.monotonic_ns() - began_ns) / 1e9 < PAN_S:
        step += 1
        page.mouse.move(x + 220 * math.sin(step / 25), y + 160 * math.sin(step / 17))
        clock.sleep(PAN_EVERY_S)
    seen: dict[str, float] = page.evaluate("window.probe.frames()")
    cpu_ms = (sight.cpu_s() - before_s) * 1000
    page.mouse.up()
    return Dragged(seen["rate"], seen["worst"], cpu_ms / max(1.0, seen["count"]))


def press(sight: Sight) -> list[float]:
    """How long presses of J and K waited for their paint, milliseconds."""
    page = sight.page
    page.evaluate("window.probe.clear()")
    began_ns, done = clock.monotonic_ns(), 0
    while done < PRESSES and (clock.monotonic_ns() - began_ns) / 1e9 < PRESSES_LAST_S:
        page.keyboard.press("j" if done % 12 < 6 else "k")
        page.wait_for_timeout(180)
        done += 1
    page.wait_for_timeout(500)
    waits: list[float] = page.evaluate("window.probe.keys()")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.wait_for_timeout(1000)
    # An event that was answered within 16 ms has no entry: the browser tells of none that are shorter.
    return waits + [16.0] * (done - len(waits))


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)] if ordered else math.inf


def middle(values: list[float]) -> float:
    return statistics.median(values) if values else math.inf
