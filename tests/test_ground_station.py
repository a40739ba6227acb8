"""The command line: what it offers, and how it fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = [
    "demo", "test", "serve", "edge", "fleet", "autopilot", "world", "watchlist", "keys", "people", "models", "record",
    "bench", "calibrate",
]


def trailwatch(*arguments):
    return subprocess.run(
        [sys.executable, "ground_station.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_help_names_every_command():
    out = trailwatch("--help")
    assert out.returncode == 0
    assert [c for c in COMMANDS if c not in out.stdout] == []


@pytest.mark.parametrize("command", ["edge", "serve", "fleet", "autopilot", "world"])
def test_a_missing_settings_file_is_one_clear_line(command):
    out = trailwatch(command, "--config", "nowhere.toml")
    assert out.returncode == 2
    assert len(out.stderr.strip().splitlines()) == 1
    says = "nowhere.toml: there is no such file. Give the path of a settings file with --config."
    assert out.stderr.strip().endswith(says)


def test_what_follows_test_is_handed_to_pytest_and_to_no_other_command():
    out = trailwatch("test", "--collect-only", "-q", "tests/wire/test_units.py")
    assert out.returncode == 0 and "tests collected" in out.stdout
    out = trailwatch("models", "list", "--frobnicate")
    assert out.returncode == 2 and "unrecognized arguments: --frobnicate" in out.stderr


def test_with_several_workers_a_file_goes_to_one_of_them(monkeypatch):
    """Or each makes anew what a file makes once: so it was, unseen, with a pytest that its workers' plugin did not know."""
    for name in [n for n in os.environ if n.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    files = ("tests/wire/test_codec.py", "tests/wire/test_clock.py", "tests/wire/test_units.py")
    out = trailwatch("test", "-n", "3", "--dist", "loadgroup", "--no-loadscope-reorder", "-v", *files)
    at = re.findall(r"^\[(gw\d)\].* (tests/wire/\w+\.py)::", out.stdout, re.MULTILINE)
    assert {file for _, file in at} == set(files), out.stdout
    assert len(set(at)) == len(files), "each file with one worker"


@pytest.mark.parametrize("action", [("people", "list"), ("record", "verify"), ("watchlist", "list"), ("basemap", "show")])
def test_a_stations_settings_may_be_named_before_the_action_and_behind_it_and_are_asked_for(action):
    command, what = action
    for arguments in ((command, "--config", "nowhere.toml", what), (command, what, "--config", "nowhere.toml")):
        out = trailwatch(*arguments)
        assert out.returncode == 2 and "nowhere.toml: there is no such file" in out.stderr, (arguments, out.stderr)
    out = trailwatch(*action)
    assert out.returncode == 2 and f"{command}: --config FILE is needed" in out.stderr


def test_the_words_of_all_commands_load_no_library_that_one_of_them_needs():
    code = "import sys, ground_station; ground_station.parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    heavy = {"numpy", "scipy", "shapely", "cv2", "torch", "starlette", "zmq", "sqlite_utils", "fpdf"}
    assert heavy & {*done.stdout.split()} == set()
