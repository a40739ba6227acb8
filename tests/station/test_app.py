"""`serve`: three processes, started, watched, started again, and stopped; and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from station.settings import StationSettings, load_station_settings
from wire.settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]
SECTOR = ROOT / "configs" / "sectors" / "laobao" / "sector.toml"


def pids(settings: StationSettings, seconds: float = 20.0, without: dict[str, int] | None = None) -> dict[str, int]:
    """The three process ids, once all run (and none is one of `without`)."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found: dict[str, int] = json.loads((settings.run_dir / "processes.json").read_text())
        except FileNotFoundError:
            found = {}
        if len(found) == 3 and not set(found.values()) & set((without or {}).values()):
            return found
        assert time.monotonic() < deadline, f"not all processes run: {found}"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def wait_gone(numbers: list[int], seconds: float = 12.0) -> None:
    deadline = time.monotonic() + seconds
    while any(is_running(p) for p in numbers):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.05)


@pytest.mark.parametrize(("module", "strangers"), [
    ("station.app", {"numpy", "scipy", "shapely", "starlette", "fpdf"}),
    ("station.inbox", {"scipy", "starlette", "fpdf"}),
    ("station.mind_process", {"scipy.stats", "starlette", "fpdf"}),
    ("station.web", {"scipy", "fpdf", "PIL"}),
])
def test_a_process_loads_no_library_that_only_another_one_needs(module: str, strangers: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = done.stdout.split()
    assert module in loaded
    assert strangers & {*loaded} == set()


def test_killed_processes_come_back_counted_and_sigterm_ends_all(settings, process) -> None:
    station = process(None)
    first = pids(settings)
    time.sleep(1.0)
    for pid in first.values():
        os.kill(pid, signal.SIGKILL)
    second = pids(settings, without=first)
    assert json.loads(settings.restarts_file.read_text()) == {"inbox": 1, "mind": 1, "web": 1}
    time.sleep(2.0)
    status, output = station.stop()
    assert status == 0, output
    assert "Traceback" not in output
    assert output.count("one-time password") == 1
    wait_gone(list(second.values()))


def test_the_processes_die_with_a_killed_parent(settings, process) -> None:
    station = process(None)
    running = pids(settings)
    time.sleep(2.0)
    station.kill()
    wait_gone(list(running.values()))


def test_a_second_station_in_the_same_folder_is_refused_in_words(settings, process) -> None:
    first = process(None)
    pids(settings)
    second = process(None)
    assert second.child is not None
    output, _ = second.child.communicate(timeout=20)
    assert second.child.returncode == 2
    assert f"a station runs there already (process {first.child.pid})" in output
    assert "Traceback" not in output
    first.stop()


def test_a_port_in_use_stops_the_station_with_its_line(settings, process) -> None:
    import socket

    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", int(settings.inbox.bind.rsplit(":", 1)[1])))
        squatter.listen()
        station = process(None)
        assert station.child is not None
        output, _ = station.child.communicate(timeout=90)      # it imports all that a station is
    assert station.child.returncode == 2
    assert "inbox.bind: " + settings.inbox.bind in output
    assert "Traceback" not in output


# ----------------------------------------------------------------------------------------------------------- settings


def refused(folder: Path, text: str) -> str:
    file = folder / "station.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_station_settings(file)
    return str(error.value)


GOOD = f"""sector = "{SECTOR}"
realm = "training"
data_dir = "data"
[inbox]
bind = "tcp://127.0.0.1:5570"
[web]
host = "127.0.0.1"
port = 8080
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tcp://127.0.0.1:5570", "127.0.0.1:5570", 'station.toml:5: inbox.bind: "127.0.0.1:5570": give tcp://ADDRESS:PORT'),
        ("8080", "80800", "station.toml:8: web.port: 80800: a port is 1 to 65535"),
        ('"training"', '"rehearsal"', "station.toml:2: realm: Invalid enum value"),
        ("port = 8080", "prot = 8080", "station.toml:8: web.prot:"),
        ('"data"', '"' + "deep/" * 30 + '"', "station.toml:3: data_dir:"),
        ("[web]", "[matching]\nthreshold_bits = 0.0\n[web]", "station.toml:7: matching.threshold_bits: 0.0"),
    ],
)
def test_settings_that_cannot_be_name_file_line_and_key(station_folder, old, new, said) -> None:
    assert said in refused(station_folder, GOOD.replace(old, new))


def test_a_path_too_deep_for_local_sockets_says_so(station_folder) -> None:
    said = refused(station_folder, GOOD.replace('"data"', '"' + "deep/" * 30 + '"'))
    assert "the system allows 107" in said and "Choose a shorter folder" in said


def test_the_demo_settings_load() -> None:
    settings = load_station_settings(SECTOR.parents[2] / "demo" / "station.toml")
    assert settings.sector == SECTOR
    assert settings.mind_ask.endswith("/run/mind.ask")
