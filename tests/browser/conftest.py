"""Chromium from Debian, a real web server in its own process, and a mind with a script."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from station.settings import load_station_settings
from tests.station.conftest import ROOT, write_station
from tests.web_stage import PASSWORD, Stage

# The shell is what Playwright itself drives without a screen: the same engine without the windows around it.
CHROMIUM = next((p for p in (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium")) if p.exists()), None)
ARGUMENTS = [
    "--no-sandbox",                     # the test may run as root, where Chromium's sandbox refuses to start
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing",
    "--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync",
    "--disable-dev-shm-usage",
]


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="apt-get install chromium-headless-shell fonts-noto-core"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {**browser_type_launch_args, "executable_path": str(CHROMIUM), "args": ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1200, "height": 700}, "locale": "vi-VN"}


@pytest.fixture
def stages():
    """Makes stages in short folders: local sockets have short names, and pytest's own folders are deep."""
    made = []

    def make(realm="training"):
        made.append(Stage(Path(tempfile.mkdtemp(prefix="tw-")), realm))
        return made[-1]

    yield make
    for stage in made:
        stage.close()
        shutil.rmtree(stage.folder, ignore_errors=True)


@pytest.fixture
def stage(stages):
    """A training station with one operator, "lan", its web server running."""
    it = stages()
    it.person()
    it.start()
    return it


@pytest.fixture
def watched(page):
    """The page, with everything it asked for and complained about written down."""
    page.seen = {"hosts": set(), "console": [], "errors": [], "failed": []}
    page.on("request", lambda r: page.seen["hosts"].add(r.url.split("/")[2] if "//" in r.url else r.url[:5]))
    page.on("console", lambda m: page.seen["console"].append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda e: page.seen["errors"].append(str(e)))
    page.set_default_timeout(60_000)
    expect.set_options(timeout=30_000)
    return page


@pytest.fixture
def logged_in(stage, watched):
    """A page with the operator logged in and the map drawn."""

    def go(picture=None):
        mind = stage.mind(picture)
        enter(watched, stage)
        return mind

    return go


def enter(page, stage, name="lan", password=PASSWORD):
    page.goto(stage.address)
    page.fill("#name", name)
    page.fill("#password", password)
    page.press("#password", "Enter")
    page.wait_for_selector("body[data-map=ready]", timeout=60_000)


@pytest.fixture
def serving(station_folder):
    """`serve` with its three processes; gives its settings and the one-time password that it printed."""
    settings = load_station_settings(write_station(station_folder))
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "serve", "--config", str(settings.file)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    line = child.stdout.readline()
    found = re.search(r"one-time password (\S+)", line)
    assert found, f"serve printed {line!r} first"
    yield settings, found[1]
    child.terminate()
    child.wait(60)


@pytest.fixture
def station_folder():
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
