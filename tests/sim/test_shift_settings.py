"""The shift's file: what it says is there, and what cannot be is refused with line and key."""

import shutil
from pathlib import Path

import pytest

from geofences.sector import load_sector
from sim.shift_settings import SECTOR, SHIFT, load_shift
from wire.settings import SettingsError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def sector():
    return load_sector(SECTOR)


@pytest.fixture
def copy(tmp_path):
    """The file, to be changed: with everything beside it that it names."""
    shutil.copytree(CONFIGS / "demo", tmp_path / "demo")
    shutil.copytree(CONFIGS / "worlds", tmp_path / "worlds")
    return tmp_path / "demo/shift/shift.toml"


def changed(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_three_drones_have_an_eye_each_in_a_gimbal_and_the_mast_stands(sector):
    shift = load_shift(sector)
    assert shift.file == SHIFT and [e.id for e in shift.eyes] == ["drone-1-eye", "drone-2-eye", "drone-3-eye"]
    assert all(e.is_flying and e.node.drone.mount_deg is None for e in shift.eyes)
    assert shift.mast.id == "mast-1" and not shift.mast.is_flying and shift.mast.settings.height_agl_m == 9.0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('[gps_loss]\ndrone = "drone-2"', '[gps_loss]\ndrone = "drone-9"', 'gps_loss.drone: no drone is called "drone-9"'),
        ('id = "drone-3"', 'id = "drone-1"', "drones: give three drones or more, each with a name of its own"),
        ('corridor = "ben-song"', 'corridor = "nowhere"', 'drones.1.corridor: the sector has no corridor "nowhere"'),
        ("world/drone-1-eye.toml", "world/camera-1.toml", "like_drone: camera-1.toml: has no [drone]; it is a mast's"),
    ],
)
def test_what_cannot_be_is_refused(sector, copy, old, new, says):
    with pytest.raises(SettingsError, match=r"shift\.toml:\d+: ") as refused:
        load_shift(sector, changed(copy, old, new))
    assert says in str(refused.value)
