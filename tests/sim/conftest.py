"""A small sector with a border, a river, one trail and a road, and worlds on it; made once: ground takes a second."""

import json
from pathlib import Path

import pytest

from geofences.sector import load_sector
from sim.world import World
from sim.world_scenario import load_scenario

ROOT = Path(__file__).parents[2]
SECTOR = """
id = "small"
name = "Small"
origin = [16.6200, 106.6000]
box = [16.6150, 106.5930, 16.6250, 106.6070]
utc_offset_min = 420
geoid_undulation_m = -30.0
[border]
file = "border.geojson"
own_side = [16.6200, 106.6040]
buffer_m = 50.0
advisory = true
source = "a test"
as_of = "2026-01"
[terrain]
height_msl_m = 160.0
sigma_m = 0.5
synthetic = true
[[corridors]]
id = "trail"
name = "Trail"
centre_line = [[16.6200, 106.5962], [16.6204, 106.5985], [16.6198, 106.6010], [16.6203, 106.6030]]
width_m = 50.0
priority = 1
[[keep_outs]]
id = "market"
name = "Market"
outline = [[16.6170, 106.6000], [16.6170, 106.6010], [16.6176, 106.6010], [16.6176, 106.6000]]
"""
LANDSCAPE = "seed = 3\n"
BORDER = [[106.5960, 16.6100], [106.5960, 16.6180], [106.5957, 16.6210], [106.5961, 16.6300]]


@pytest.fixture(scope="session")
def small_sector_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    line = {"type": "Feature", "properties": {"kind": "border"}, "geometry": {"type": "LineString", "coordinates": BORDER}}
    (folder / "border.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [line]}))
    (folder / "sector.toml").write_text(SECTOR)
    return folder / "sector.toml"


@pytest.fixture(scope="session")
def small_sector(small_sector_file):
    return load_sector(small_sector_file)


@pytest.fixture(scope="session")
def scenario_of(small_sector, tmp_path_factory):
    """A function from the text of [[actors]] (and whatever else) to a scenario on the small sector."""
    folder = tmp_path_factory.mktemp("scenarios")
    (folder / "ground.toml").write_text(LANDSCAPE)
    count = iter(range(10_000_000))

    def make(actors="", seed=1, starts="2026-11-24T16:50:00+07:00", lasts_s=3600.0):
        head = f'name = "test"\nseed = {seed}\nlandscape = "ground.toml"\nstarts = {starts}\nlasts_s = {lasts_s}\n'
        file = folder / f"{next(count)}.toml"
        file.write_text(head + ("" if "[[actors]]" in actors else "actors = []\n") + actors)
        return load_scenario(file, small_sector)

    return make


@pytest.fixture(scope="session")
def small_landscape(scenario_of):
    return scenario_of().make_landscape()


@pytest.fixture(scope="session")
def world_of(scenario_of, small_landscape):
    """A function from the text of a scenario to a world at its start."""

    def make(actors, **settings):
        return World(scenario_of(actors, **settings), small_landscape, utc_ns=1_700_000_000_000_000_000)

    return make
