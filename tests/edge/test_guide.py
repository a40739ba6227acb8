"""The guide's own settings are settings: what it tells an administrator to write makes a node's camera."""

import configparser
import re
import shlex
import shutil
from pathlib import Path

import pytest
import tomlkit

from edge.camera_settings import PtzSettings
from edge.settings import load_setup
from ground_station import parser
from wire.keys import NodeKind, make_node_key, make_station_key, write_private
from wire.units import Realm

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/edge.md").read_text(encoding="utf-8")


def block(after, kind):
    """The first code block of that kind behind a sentence."""
    return re.search(rf"```{kind}\n(.*?)```", GUIDE[GUIDE.index(after):], re.DOTALL).group(1)


def merge(into, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and key in into:
            merge(into[key], value)
        else:
            into[key] = value


@pytest.fixture
def by_the_guide(tmp_path):
    """The demo's file, with what the guide says in it."""
    settings = tomlkit.parse((ROOT / "configs/demo/camera-1.toml").read_text(encoding="utf-8"))
    merge(settings, tomlkit.parse(block("In `gate-2.toml`, these", "toml")))
    del settings["source"]["path"]
    write_private(tmp_path / "gate-2.key", make_node_key("gate-2", NodeKind.CAMERA, Realm.TRAINING))
    settings["station"]["public_key"] = make_station_key(Realm.TRAINING).public
    shutil.copytree(ROOT / "configs/sectors/laobao", tmp_path / "configs/sectors/laobao")
    return tmp_path / "gate-2.toml", settings


def written(path, settings):
    path.write_text(tomlkit.dumps(settings), encoding="utf-8")
    path.chmod(0o600)
    return load_setup(path)


def test_the_settings_of_the_guide_are_whole(by_the_guide):
    setup = written(*by_the_guide)
    assert (setup.camera.lens.width_px, setup.camera.lens.height_px) == (1920, 1080), "no lens of the demo is left"
    assert setup.survey is not None and setup.survey.sigma.position_m == 3.0
    assert setup.settings.source.url.startswith("rtsp://")


@pytest.mark.parametrize("after", ["A camera that stands still looks where", "A GNSS receiver beside the camera",
                                   "What the station has acknowledged is gone"])
def test_other_settings_of_the_guide_are_taken_too(by_the_guide, after):
    path, settings = by_the_guide
    merge(settings, tomlkit.parse(block(after, "toml")))
    written(path, settings)


def test_the_presets_of_the_guide_are_taken(by_the_guide):
    path, settings = by_the_guide
    merge(settings, tomlkit.parse(block("A place needs to know where the camera looks", "toml")))
    for angle in ("yaw_deg", "pitch_deg"):
        del settings["camera"][angle]
    setup = written(path, settings)
    assert isinstance(setup.settings.ptz, PtzSettings) and [p.name for p in setup.settings.presets] == ["gate"]


def test_what_systemd_is_told_to_start_is_a_command(by_the_guide):
    unit = configparser.ConfigParser()
    unit.optionxform = str
    unit.read_string(block("So that it comes back after a power cut", "ini"))
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "trailwatch" and unit["Service"]["WorkingDirectory"] == str(Path(program).parent)
    assert parser().parse_args(words).config == Path("gate-2.toml")
    assert unit["Service"]["Restart"] == "always"
