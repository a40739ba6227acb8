"""A landscape is the same for the same seed, lies where the sector says, and leaves the trails to be seen."""

import numpy as np
import pytest
import shapely

from sim.landscape import Clearing, LandscapePlan, make_landscape
from sim.landscape_cache import cached_landscape, digest
from sim.landscape_lines import near
from sim.landscape_plants import CLEAR_M, FAR_M, LOW_M
from sim.landscape_survey import survey, write_survey
from sim.world_state import COVER_CODES, Cover, Species


def cover_at(landscape, points):
    at = np.round((np.atleast_2d(points) - landscape.cover_south_west_m) / landscape.cover_step_m).astype(int)
    return [COVER_CODES[landscape.cover[r, c]] for c, r in at]


def test_the_same_seed_makes_the_same_landscape_and_another_seed_another(small_sector, small_landscape):
    again = make_landscape(small_sector, small_landscape.seed)
    np.testing.assert_array_equal(again.terrain.heights_msl_m, small_landscape.terrain.heights_msl_m)
    np.testing.assert_array_equal(again.cover, small_landscape.cover)
    for name in ("species", "east_m", "north_m", "height_m", "crown_m", "seed"):
        np.testing.assert_array_equal(getattr(again.plants, name), getattr(small_landscape.plants, name))
    other = make_landscape(small_sector, small_landscape.seed + 1)
    assert not np.array_equal(other.terrain.heights_msl_m, small_landscape.terrain.heights_msl_m)


def test_it_says_that_it_is_made_up_and_covers_the_sector_without_a_hole(small_sector, small_landscape):
    terrain = small_landscape.terrain
    assert terrain.synthetic
    corners = np.array(small_sector.box.exterior.coords)
    assert np.isfinite(terrain.height_msl_m(corners)).all()
    assert np.isfinite(terrain.heights_msl_m).all()


def test_the_corridor_s_centre_line_lies_on_its_trail(small_sector, small_landscape):
    for ground in small_sector.corridors.grounds:
        line = np.array(ground.centre_line.segmentize(5.0).coords)
        distance, _ = near(line, small_landscape.trails[ground.corridor.id])
        assert distance.max() < 4.0         # corners are cut


def test_the_trail_begins_at_the_river_and_goes_on_at_the_other_bank(small_landscape):
    river, half = shapely.LineString(small_landscape.river), small_landscape.river_width_m / 2
    here, there = small_landscape.trails["trail"][0], small_landscape.trails["trail-beyond"][-1]
    for bank in (here, there):
        assert half < river.distance(shapely.Point(bank)) < half + 2.0
    assert np.hypot(*(here - there)) < 2 * half + 4.0
    assert river.crosses(shapely.LineString([here, there]))


def test_the_river_is_water_below_its_surface_and_trails_are_dry(small_landscape):
    inside = small_landscape.river[10:-10]
    assert set(cover_at(small_landscape, inside)) == {Cover.WATER}
    surface = small_landscape.water_msl_m.mean()
    assert (small_landscape.terrain.height_msl_m(inside) < surface).all()
    for name in ("trail", "trail-inland"):
        line = small_landscape.trails[name][4:]
        assert (small_landscape.terrain.height_msl_m(line) > surface).all()
        assert Cover.WATER not in cover_at(small_landscape, line)


def test_trails_are_gentle_enough_to_be_walked_and_seen(small_landscape):
    heights = small_landscape.terrain.height_msl_m(small_landscape.trails["trail"][8:])
    assert np.abs(np.diff(heights)).max() / 2.0 < 0.3


def test_nothing_grows_on_a_trail_or_in_the_water_or_far_away(small_sector, small_landscape):
    p = small_landscape.plants
    at = np.column_stack([p.east_m, p.north_m])
    assert near(at, [*small_landscape.trails.values(), *small_landscape.roads.values()], 0.25)[0].min() > CLEAR_M
    assert Cover.WATER not in set(cover_at(small_landscape, at))
    corridors = [np.array(g.centre_line.coords) for g in small_sector.corridors.grounds]
    assert near(at, corridors)[0].max() <= FAR_M + 3.0


def test_the_forest_is_denser_away_from_the_trail_and_the_trail_has_things_that_look_like_somebody(small_landscape):
    p = small_landscape.plants
    d, _ = near(np.column_stack([p.east_m, p.north_m]), small_landscape.trails["trail"])
    trees = p.height_m > 5.0
    by_trail, in_forest = (d < 30).sum(where=trees) / 30.0, ((d > 50) & (d < 80)).sum(where=trees) / 30.0
    assert in_forest > 8 * by_trail
    beside = {tuple(Species)[s] for s in p.species[d < 8.0]}
    assert {Species.BUSH, Species.POST, Species.BOULDER} <= beside


def test_nothing_tall_grows_in_a_clearing(small_sector, small_landscape):
    spot = small_landscape.trails["trail"][len(small_landscape.trails["trail"]) // 2] + [0.0, 60.0]
    plan = LandscapePlan(clearings=(Clearing(*spot, 25.0),))

    def tall(landscape):
        p = landscape.plants
        return (np.hypot(p.east_m - spot[0], p.north_m - spot[1]) < 25.0) & (p.height_m > LOW_M)

    assert tall(small_landscape).sum() > 5
    assert tall(make_landscape(small_sector, small_landscape.seed, plan)).sum() == 0


def test_a_field_and_a_track_of_the_plan_are_there(small_sector, small_landscape):
    field = shapely.box(150.0, 120.0, 210.0, 180.0)
    road = np.array([[100.0, 240.0], [300.0, 250.0]])
    made = make_landscape(small_sector, 3, LandscapePlan(roads={"side": road}, fields={"field": field}))
    assert set(cover_at(made, [[180.0, 150.0], [160.0, 130.0]])) == {Cover.FIELD}
    assert set(cover_at(made, made.roads["side"][3:-3])) == {Cover.DIRT}
    assert set(cover_at(made, made.roads["main"][6:-6])) == {Cover.ROAD}


def test_the_nodes_map_is_coarser_than_the_ground_and_knows_its_error(small_sector, small_landscape):
    copy = survey(small_landscape, small_sector)
    assert copy.synthetic
    assert copy.step_m > small_landscape.terrain.step_m
    rng = np.random.default_rng(5)
    along = small_landscape.trails["trail"]
    points = along[rng.integers(0, len(along), 4000)] + rng.uniform(-40, 40, (4000, 2))
    error = copy.height_msl_m(points) - small_landscape.terrain.height_msl_m(points)
    assert 0.1 < np.sqrt(np.mean(error**2)) < 2.0 * copy.sigma_m
    assert 0.2 < copy.sigma_m < 1.0


def test_a_sector_reads_the_nodes_map(small_sector, small_sector_file, small_landscape, tmp_path):
    import shutil

    from geofences.sector import load_sector

    folder = shutil.copytree(small_sector_file.parent, tmp_path / "sector")
    sigma_m = write_survey(folder / "terrain.npz", small_landscape, small_sector)
    file = folder / "sector.toml"
    file.write_text(file.read_text().replace("sigma_m = 0.5", f'sigma_m = {sigma_m}\nfile = "terrain.npz"'))
    terrain = load_sector(file).terrain
    assert terrain.synthetic
    assert terrain.sigma_m == sigma_m
    at = small_landscape.trails["trail"][20:]
    assert np.abs(terrain.height_msl_m(at) - small_landscape.terrain.height_msl_m(at)).max() < 5 * sigma_m


def test_a_cached_landscape_is_the_one_that_would_have_been_made(scenario_of, small_landscape, tmp_path):
    scenario = scenario_of()
    made, read = cached_landscape(scenario, tmp_path), cached_landscape(scenario, tmp_path)
    for landscape in (made, read):
        np.testing.assert_array_equal(landscape.terrain.heights_msl_m, small_landscape.terrain.heights_msl_m)
        np.testing.assert_array_equal(landscape.plants.crown_m, small_landscape.plants.crown_m)
        assert landscape.trails.keys() == small_landscape.trails.keys()
        assert landscape.river_width_m == small_landscape.river_width_m
    assert read.terrain.synthetic


def test_a_damaged_cache_is_made_anew(scenario_of, small_landscape, tmp_path):
    scenario = scenario_of()
    (tmp_path / f"{digest(scenario)}.npz").write_bytes(b"PK\x03\x04 half a file")
    again = cached_landscape(scenario, tmp_path)
    np.testing.assert_array_equal(again.cover, small_landscape.cover)


def test_a_cache_that_cannot_be_written_is_done_without(scenario_of, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert len(cached_landscape(scenario_of(), tmp_path / "file").plants)


@pytest.mark.parametrize("change", ["seed", "clearing"])
def test_another_plan_has_another_digest(scenario_of, change):
    import dataclasses

    import msgspec

    from sim.world_settings import ClearingSettings

    scenario = scenario_of()
    ground = {
        "seed": msgspec.structs.replace(scenario.landscape, seed=4),
        "clearing": msgspec.structs.replace(scenario.landscape, clearings=[ClearingSettings((16.62, 106.6), 10.0)]),
    }[change]
    assert digest(dataclasses.replace(scenario, landscape=ground)) != digest(scenario)
