"""The launcher sets a machine up by itself, or says the exact line to type."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAUNCHER = ROOT / "trailwatch"
TOOLS = ["sh", "dirname", "id", "grep", "sed", "cksum", "tr", "cat", "mktemp", "tail", "cut"]


@pytest.fixture
def bare_path(tmp_path):
    """A PATH with a shell's usual tools and nothing of ours: no Python, no Chromium, no ldconfig."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def start(path, tmp_path, *command):
    env = {"PATH": str(path), "TRAILWATCH_NO_APT": "1", "TRAILWATCH_VENV": str(tmp_path / "venv"), "TRAILWATCH_PYTHON": ""}
    return subprocess.run([str(LAUNCHER), *command], env=env, capture_output=True, text=True, timeout=60)


def test_it_is_plain_posix_shell():
    assert LAUNCHER.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["dash" if shutil.which("dash") else "sh", "-n", LAUNCHER], check=True)


def test_it_can_be_run():
    assert os.access(LAUNCHER, os.X_OK)


def test_without_root_or_apt_it_prints_the_exact_line_and_touches_nothing(bare_path, tmp_path):
    out = start(bare_path, tmp_path, "test")
    assert out.returncode == 1
    assert re.search(r"Run: sudo apt-get update && sudo apt-get install -y .*\bchromium-headless-shell\b", out.stderr)
    assert re.search(r"-y .*\bchromium\b(?!-)", start(bare_path, tmp_path, "bench", "screen").stderr)
    assert "chromium" not in start(bare_path, tmp_path, "bench", "edge").stderr
    assert not (tmp_path / "venv").exists()


def test_the_reader_of_plates_is_installed_without_the_second_opencv_that_it_asks_for():
    """Two packages that write one folder: removing or renewing either would take cv2 from everybody."""
    text = LAUNCHER.read_text()
    assert 'pip_install --no-deps "$alone"' in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (alone,) = project["dependency-groups"]["alone"]
    said = subprocess.run(
        ["sed", "-n", re.search(r"alone=\$\(sed -n '(.*)' ", text).group(1), ROOT / "pyproject.toml"],
        capture_output=True, text=True, check=True,
    )
    assert said.stdout.strip() == alone
    assert not [d for d in project["project"]["dependencies"] if d.startswith(("rapidocr", "opencv-python-headless"))]
    installed = {d.metadata["Name"].lower() for d in metadata.distributions()}
    assert not {"opencv-python", "opencv-python-headless"} <= installed
    # Whatever else rapidocr asks for is really here.
    for wish in metadata.requires("rapidocr"):
        name = re.match(r"[\w.-]+", wish).group()
        if "extra ==" not in wish and name != "opencv-python-headless":
            assert metadata.version(name)
