"""A landscape's base map: what is in it, that it is labelled as invented, and that it is drawn once."""

from __future__ import annotations

import os

import shapely

from sim.landscape_map import cached_basemap, features_of
from station.basemap import BaseMapKind, BaseMaps


def test_it_has_ways_water_cover_and_relief_and_nothing_outside_of_the_sector(small_sector, small_landscape):
    found = features_of(small_landscape, small_sector)
    layers = {f.layer for f in found}
    assert {"cover", "water", "road", "trail"} <= layers and "place" not in layers
    lat, lon = small_sector.frame.from_enu(list(small_sector.box.exterior.coords)).T
    inside = shapely.box(lon.min(), lat.min(), lon.max(), lat.max()).buffer(1e-6)
    assert all(inside.covers(f.geometry) for f in found)


def test_it_is_labelled_and_taken_from_the_cache_the_second_time(tmp_path, scenario_of, small_landscape):
    scenario = scenario_of()
    first, second, cache = tmp_path / "1", tmp_path / "2", tmp_path / "cache"
    cached_basemap(first, scenario, small_landscape, cache)
    sheets = BaseMaps(first).sheets()
    assert sheets.vector.synthetic and sheets.hillshade.synthetic
    (kept,) = cache.glob("*-map")
    os.truncate(kept / BaseMapKind.VECTOR.file, 10)          # so that one sees where the second is from
    cached_basemap(second, scenario, small_landscape, cache)
    assert (second / BaseMapKind.VECTOR.file).stat().st_size == 10
    assert (second / BaseMapKind.HILLSHADE.file).read_bytes() == (first / BaseMapKind.HILLSHADE.file).read_bytes()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, scenario_of, small_landscape):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cached_basemap(tmp_path / "map", scenario_of(), small_landscape, tmp_path / "cache")
    assert BaseMaps(tmp_path / "map").sheets().vector is not None
