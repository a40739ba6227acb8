"""Chromium from Debian, a real web server in its own process, and a mind with a script."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from station.access import Role, add_person
from station.settings import load_station_settings
from tests.scripted_mind import ScriptedMind

CHROMIUM = Path("/usr/bin/chromium")
ROOT = Path(__file__).resolve().parents[2]
SECTOR = ROOT / "configs" / "sectors" / "laobao" / "sector.toml"
PASSWORD = "mot cau de nho"
WEB_ALONE = """
import sys
from pathlib import Path
from station.settings import load_station_settings
from station.web import run_web
sys.exit(run_web(load_station_settings(Path(sys.argv[1]))))
"""
ARGUMENTS = [
    "--no-sandbox",                     # the test may run as root, where Chromium's sandbox refuses to start
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync",
    "--disable-dev-shm-usage",
]


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM.exists():
                item.add_marker(pytest.mark.skip(reason="no /usr/bin/chromium: apt-get install chromium fonts-noto-core"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {**browser_type_launch_args, "executable_path": str(CHROMIUM), "args": ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1600, "height": 900}, "locale": "vi-VN"}


@dataclass
class Stage:
    """One station's web server in a process of its own, on a free port."""

    folder: Path
    realm: str = "training"
    port: int = 0
    process: subprocess.Popen | None = None
    minds: list = field(default_factory=list)

    def __post_init__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
            s.close()
        file = self.folder / "station.toml"
        file.write_text(
            f'sector = "{SECTOR}"\nrealm = "{self.realm}"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:1"\n'
            f'[web]\nhost = "127.0.0.1"\nport = {self.port}\n'
        )
        self.settings = load_station_settings(file)
        self.settings.make_folders()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def mind(self, picture=None):
        self.minds.append(ScriptedMind(self.settings, picture))
        return self.minds[-1]

    def person(self, name="lan", role=Role.OPERATOR):
        add_person(self.settings, name, role, PASSWORD)
        return name

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WEB_ALONE, str(self.settings.file)], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(self.process.stderr.read())
            with socket.socket() as s:
                s.settimeout(0.2)
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the web server did not come up in 20 s")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def close(self):
        self.stop()
        for mind in self.minds:
            mind.close()


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
    page.set_default_timeout(15_000)
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
    page.wait_for_selector("body[data-map=ready]")
