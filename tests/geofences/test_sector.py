"""The demo sector is sound, and a broken one says where."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from geofences.sector import load_sector
from geofences.terrain import GridTerrain
from geofences.terrain_file import write_terrain
from wire.settings import SettingsError

SECTOR = Path(__file__).parents[2] / "configs/sectors/laobao/sector.toml"


@pytest.fixture
def broken(tmp_path):
    folder = shutil.copytree(SECTOR.parent, tmp_path / "s")

    def change(old, new):
        path = folder / "sector.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return change


def test_the_demo_s_corridors_lie_on_our_own_side():
    sector = load_sector(SECTOR)
    assert {g.corridor.id for g in sector.corridors.grounds} == {"khe-da", "ben-song"}
    for ground in sector.corridors.grounds:
        assert (sector.border.signed_distance_m(np.array(ground.centre_line.coords)) > 0).all()


def test_the_demo_s_border_is_marked_advisory_and_its_terrain_synthetic():
    sector = load_sector(SECTOR)
    assert sector.border.advisory
    assert "OpenStreetMap" in sector.border.source
    assert sector.terrain.synthetic


def test_known_places_lie_on_their_side_of_the_line():
    sector = load_sector(SECTOR)
    places = {"Dansavan, Laos": (16.6210, 106.5700, -1), "Lao Bao market": (16.6180, 106.6020, 1)}
    for name, (lat, lon, side) in places.items():
        assert np.sign(sector.border.signed_distance_m(sector.frame.to_enu(lat, lon)))[0] == side, name


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("width_m = 60.0", "width_m = -1.0", "width_m = -1.0", "corridors.0.width_m: -1.0: a corridor is wider than 0 m"),
        ("width_m = 60.0", 'width_m = "wide"', 'width_m = "wide"', "corridors.0.width_m: Expected `float`, got `str`"),
        ("priority = 2", "priority = 7", "priority = 7", "corridors.1.priority: 7: give 1 (first), 2 or 3"),
        ('"24:00"', '"25:00"', '"25:00"', 'corridors.0.alarm_hours: "25:00": give local time as "HH:MM"'),
        (
            'id = "ben-song"',
            'id = "khe-da"  #',
            '#\nname = "Lối',
            'corridors.1.id: "khe-da" is taken by an earlier corridor',
        ),
        ("own_side = [16.6225", "own_side = [10.0", "[border]", "border: the point said to be on our own side lies outside"),
        ("box = [16.5700", "box = [17.5700", "box = [17.57", "give south, west, north, east in degrees"),
        ('"border.geojson"', '"nowhere.geojson"', '"nowhere', "border.file: "),
        ("sigma_m = 0.5 ", "sigma = 0.5 ", "sigma = 0.5", "terrain.sigma: Object contains unknown field `sigma`"),
    ],
)
def test_a_broken_sector_file_names_line_key_and_remedy(broken, old, new, at, says):
    path = broken(old, new)
    text = path.read_text(encoding="utf-8")
    line = text[: text.index(at)].count("\n") + 1
    with pytest.raises(SettingsError) as error:
        load_sector(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert says in str(error.value)


def test_a_border_file_without_a_border_is_refused(broken):
    path = broken('"border.geojson"', '"empty.geojson"')
    (path.parent / "empty.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(SettingsError, match='holds no feature with "kind": "border"'):
        load_sector(path)


@pytest.fixture
def with_grid(broken):
    """The demo sector over a sloping grid; returns a function that changes its file."""

    def change(old="", new="", sigma_m=0.4, synthetic=True):
        path = broken('file = "" ', 'file = "grid.npz" ')
        frame = load_sector(SECTOR).frame
        heights = np.linspace(100.0, 300.0, 50)[:, None].repeat(60, axis=1)
        grid = GridTerrain(heights, (-6000.0, -6000.0), 250.0, sigma_m, synthetic=synthetic)
        write_terrain(path.parent / "grid.npz", grid, frame, "a test")
        return broken(old, new) if old else path

    return change


def test_a_sector_takes_its_heights_from_a_grid(with_grid):
    terrain = load_sector(with_grid()).terrain
    south, north = terrain.height_msl_m([[0.0, -2000.0], [0.0, 2000.0]])
    assert north - south == pytest.approx(4000.0 * 200.0 / (49 * 250.0), abs=0.1)
    assert (terrain.sigma_m, terrain.synthetic) == (0.5, True)


@pytest.mark.parametrize(
    ("grid", "change", "says"),
    [
        ({}, ("synthetic = true", "synthetic = false"), "terrain.synthetic: false, and grid.npz says that its heights"),
        ({"sigma_m": 0.8}, (), "terrain.sigma_m: 0.5, and grid.npz says 0.80. Give that, or more."),
        ({}, ('file = "grid.npz"', 'file = "other.npz"'), "terrain.file: "),
        ({}, ("sigma_m = 0.5 ", "sigma_m = -0.5 "), "terrain.sigma_m: -0.5: an error is 0 m or more"),
    ],
)
def test_a_sector_may_not_claim_more_than_its_grid_does(with_grid, grid, change, says):
    path = with_grid(*change, **grid)
    with pytest.raises(SettingsError) as error:
        load_sector(path)
    assert says in str(error.value)
