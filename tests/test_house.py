"""The house is in order: types, style, floors, names. What a reviewer would say, said by a test."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["wire", "geofences", "cameras", "mavlink", "models", "edge", "fleet", "station", "sim"]


def run(*command):
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=280)


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in out.splitlines()]


def test_ruff_finds_nothing():
    out = run("-m", "ruff", "check", ".", "--output-format", "concise")
    assert out.returncode == 0, out.stdout


@pytest.mark.slow
def test_the_types_hold():
    out = run("-m", "mypy")
    assert out.returncode == 0, out.stdout


def test_imports_run_one_way():
    out = run("-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.argv=['lint-imports']; c()")
    assert out.returncode == 0, out.stdout
    assert "1 kept, 0 broken" in out.stdout


def test_nobody_imports_the_simulation_but_the_command_line():
    for path in tracked(*[f"{room}/*.py" for room in ROOMS if room != "sim"]):
        assert not re.search(r"^\s*(from|import) sim\b", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_every_room_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(ROOMS) <= set(settings["tool"]["setuptools"]["packages"])
    assert settings["project"]["name"] == "trailwatch"


def test_no_file_is_too_long_to_read():
    long = {p.name: n for p in tracked("*.py", "*.js") if "vendor" not in p.parts
            and (n := len(p.read_text(encoding="utf-8").splitlines())) > 520}
    assert long == {}


def test_no_room_is_called_utils():
    banned = re.compile(r"(utils?|helpers?|manager|misc|common)\.(py|js)$")
    assert [p for p in tracked("*.py", "*.js") if banned.search(p.name) and "vendor" not in p.parts] == []


def test_no_weights_are_committed_but_our_own():
    assert [p.name for p in tracked("*.pt", "*.onnx", "*.engine")] == ["trailwatch7n.pt"]


def test_the_settings_we_ship_are_toml():
    shipped = tracked("configs/*.toml", "configs/**/*.toml")
    assert shipped
    for path in shipped:
        tomllib.loads(path.read_text(encoding="utf-8"))
