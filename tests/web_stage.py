"""A station's web server in a process of its own, on a free port, with a mind that has a script."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from station.access import Role, add_person
from station.settings import load_station_settings
from tests.scripted_mind import ScriptedMind

ROOT = Path(__file__).resolve().parents[1]
SECTOR = ROOT / "configs" / "sectors" / "laobao" / "sector.toml"
PASSWORD = "mot cau de nho"
WEB_ALONE = """
import sys
from pathlib import Path
from station.settings import load_station_settings
from station.web import run_web
sys.exit(run_web(load_station_settings(Path(sys.argv[1]))))
"""


@dataclass
class Stage:
    """One station's web server in a process of its own, on a free port."""

    folder: Path
    realm: str = "training"
    web: str = ""
    port: int = 0
    process: subprocess.Popen | None = None
    minds: list = field(default_factory=list)

    def __post_init__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        file = self.folder / "station.toml"
        file.write_text(
            f'sector = "{SECTOR}"\nrealm = "{self.realm}"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:1"\n'
            f'[web]\nhost = "127.0.0.1"\nport = {self.port}\n{self.web}'
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
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(self.process.stderr.read())
            with socket.socket() as s:
                s.settimeout(0.2)
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the web server did not come up in 60 s")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def close(self):
        self.stop()
        for mind in self.minds:
            mind.close()
