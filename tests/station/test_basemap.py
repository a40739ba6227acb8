"""Base maps: what is written is what is read, lies where it should, and a damaged or foreign file stops nothing."""

from __future__ import annotations

import math
import os

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from cv2 import IMREAD_UNCHANGED, imdecode
from hypothesis import given
from hypothesis import strategies as st

from geofences.geodesy import LocalFrame
from geofences.terrain import FlatTerrain, GridTerrain
from station.basemap import BaseMapError, BaseMapKind, BaseMaps, Source, open_sheet
from station.basemap_write import EXTENT, MOST_ZOOM, MapFeature, contours, write_hillshade, write_vector

FRAME = LocalFrame(16.62, 106.6)
HERE = Source("here", "drawn by a test", as_of="2026")


def tile_of(lat, lon, zoom):
    """Column, row and the place in the tile (0 to 1, from its west and north), as OpenStreetMap's wiki has it."""
    n = 2**zoom
    x = (lon + 180) / 360 * n
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n
    return int(x), int(y), x % 1, y % 1


def vector(folder):
    return folder / BaseMapKind.VECTOR.file


def read(maps, kind, lat, lon, zoom=MOST_ZOOM):
    x, y, *_ = tile_of(lat, lon, zoom)
    version = getattr(maps.sheets(), kind.value).version
    return maps.tile(kind, version, zoom, x, y)


@given(lat=st.floats(-84, 84), lon=st.floats(-179.9, 179.9))
def test_a_place_is_drawn_where_it_is(tmp_path_factory, lat, lon):
    folder = tmp_path_factory.mktemp("map")
    write_vector(vector(folder), [MapFeature("place", shapely.Point(lon, lat), {"name": "Khe Đá"})], HERE)
    data, media = read(BaseMaps(folder), BaseMapKind.VECTOR, lat, lon)
    assert media == "application/vnd.mapbox-vector-tile"
    (feature,) = mapbox_vector_tile.decode(data)["place"]["features"]
    assert feature["properties"] == {"name": "Khe Đá"}
    _, _, across, down = tile_of(lat, lon, MOST_ZOOM)
    x, y = feature["geometry"]["coordinates"]
    assert x / EXTENT == pytest.approx(across, abs=1 / EXTENT)
    assert 1 - y / EXTENT == pytest.approx(down, abs=1 / EXTENT)


def test_a_line_over_several_tiles_is_in_each_of_them(tmp_path):
    line = shapely.LineString([(106.55, 16.6), (106.65, 16.6)])
    write_vector(vector(tmp_path), [MapFeature("road", line, {"kind": "main"})], HERE)
    maps = BaseMaps(tmp_path)
    for lon in np.linspace(106.551, 106.649, 9):
        data, _ = read(maps, BaseMapKind.VECTOR, 16.6, float(lon))
        (feature,) = mapbox_vector_tile.decode(data)["road"]["features"]
        assert feature["properties"] == {"kind": "main"}
    assert read(maps, BaseMapKind.VECTOR, 16.7, 106.6) is None


def test_slopes_that_face_the_light_are_lit_and_the_others_in_shadow(tmp_path):
    heights = np.array([[0.0, 200.0, 0.0]] * 3)            # a ridge from south to north; light comes from the west
    terrain = GridTerrain(heights, (-1000.0, -1000.0), 1000.0, 0.0, synthetic=True)
    west, east = FRAME.position(-500.0, 0.0), FRAME.position(500.0, 0.0)
    write_hillshade(tmp_path / "hillshade.pmtiles", terrain, FRAME, (-900.0, -900.0, 900.0, 900.0), HERE)
    maps = BaseMaps(tmp_path)

    def at(position):
        data, media = read(maps, BaseMapKind.HILLSHADE, position.lat_deg, position.lon_deg)
        assert media == "image/webp"
        *_, across, down = tile_of(position.lat_deg, position.lon_deg, MOST_ZOOM)
        picture = imdecode(np.frombuffer(data, np.uint8), IMREAD_UNCHANGED)
        return picture[int(down * 256), int(across * 256)]

    lit, dark = at(west), at(east)
    assert lit[:3].min() > 200 and lit[3] > 10
    assert dark[:3].max() < 55 and dark[3] > 10


def test_level_ground_has_no_relief(tmp_path):
    with pytest.raises(BaseMapError, match="nothing to draw"):
        level = FlatTerrain(100.0, 1.0, synthetic=True)
        write_hillshade(tmp_path / "hillshade.pmtiles", level, FRAME, (-900.0, -900.0, 900.0, 900.0), HERE)
    assert list(tmp_path.iterdir()) == []


def test_contours_lie_at_their_height():
    e = np.arange(-500.0, 501.0, 10.0)
    cone = 150.0 - np.hypot(*np.meshgrid(e, e)) * 0.3
    terrain = GridTerrain(cone, (-500.0, -500.0), 10.0, 0.0, synthetic=True)
    found = contours(terrain, FRAME, (-400.0, -400.0, 400.0, 400.0))
    assert len({f.properties["height_m"] for f in found}) >= 8
    assert any(f.properties["main"] for f in found) and not all(f.properties["main"] for f in found)
    for feature in found:
        lon, lat = shapely.get_coordinates(feature.geometry).T
        at = FRAME.to_enu(lat, lon)
        at = at[np.abs(at).max(axis=1) < 370.0]         # at the very edge a line is smoothed against nothing
        assert terrain.height_msl_m(at) == pytest.approx(feature.properties["height_m"], abs=1.5)


@pytest.mark.parametrize(
    "feature, words",
    [
        (MapFeature("weather", shapely.Point(106.6, 16.6)), "no layer"),
        (MapFeature("road", shapely.LineString([(700_000, 1_800_000), (700_100, 1_800_000)])), "not degrees of WGS 84"),
        (MapFeature("road", shapely.LineString()), "no place"),
        (MapFeature("place", shapely.Point(float("nan"), 16.0)), "no place"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_words_and_leaves_the_old_map(tmp_path, feature, words):
    write_vector(vector(tmp_path), [MapFeature("place", shapely.Point(106.6, 16.6))], HERE)
    before = vector(tmp_path).read_bytes()
    with pytest.raises(BaseMapError, match=words):
        write_vector(vector(tmp_path), [feature], HERE)
    assert vector(tmp_path).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["vector.pmtiles"]


def test_a_map_is_exchanged_while_it_is_served(tmp_path):
    maps = BaseMaps(tmp_path)
    assert maps.sheets().vector is None
    write_vector(vector(tmp_path), [MapFeature("place", shapely.Point(106.6, 16.6), {"name": "old"})], HERE)
    first = maps.sheets().vector
    assert (first.name, first.attribution, first.as_of, first.synthetic) == ("here", "drawn by a test", "2026", False)
    write_vector(vector(tmp_path), [MapFeature("place", shapely.Point(106.6, 16.6), {"name": "new"})], HERE)
    second = maps.sheets().vector
    assert second.version != first.version
    x, y, *_ = tile_of(16.6, 106.6, 12)
    assert maps.tile(BaseMapKind.VECTOR, first.version, 12, x, y) is None       # never half of each
    data, _ = maps.tile(BaseMapKind.VECTOR, second.version, 12, x, y)
    assert mapbox_vector_tile.decode(data)["place"]["features"][0]["properties"] == {"name": "new"}
    vector(tmp_path).unlink()
    assert maps.sheets().vector is None


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "kind", "header"])
def test_a_file_that_is_no_base_map_stops_nothing(tmp_path, damage):
    write_vector(vector(tmp_path), [MapFeature("place", shapely.Point(106.6, 16.6))], HERE)
    whole = vector(tmp_path).read_bytes()
    file = vector(tmp_path)
    if damage == "kind":
        file = file.rename(tmp_path / "hillshade.pmtiles")
    else:
        file.write_bytes({"empty": b"", "text": b"<html>not found</html>" * 20, "cut": whole[:-40],
                          "header": whole[:8] + os.urandom(119) + whole[127:]}[damage])
    kind = BaseMapKind.HILLSHADE if damage == "kind" else BaseMapKind.VECTOR
    with pytest.raises((BaseMapError, OSError, ValueError)):
        open_sheet(file, kind)
    assert getattr(BaseMaps(tmp_path).sheets(), kind.value) is None


@given(st.binary(min_size=0, max_size=400), st.integers(0, 500))
def test_no_bytes_raise_out_of_a_base_map(tmp_path_factory, noise, at):
    folder = tmp_path_factory.mktemp("map")
    write_vector(vector(folder), [MapFeature("place", shapely.Point(106.6, 16.6))], HERE)
    whole = bytearray(vector(folder).read_bytes())
    whole[at : at + len(noise)] = noise
    vector(folder).write_bytes(bytes(whole))
    maps = BaseMaps(folder)
    sheet = maps.sheets().vector
    x, y, *_ = tile_of(16.6, 106.6, 12)
    assert maps.tile(BaseMapKind.VECTOR, sheet.version if sheet else "", 12, x, y) is None or sheet is not None


@pytest.mark.parametrize("zoom, x, y", [(-1, 0, 0), (40, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0)])
def test_a_tile_outside_of_the_world_is_none(tmp_path, zoom, x, y):
    write_vector(vector(tmp_path), [MapFeature("place", shapely.Point(106.6, 16.6))], HERE)
    maps = BaseMaps(tmp_path)
    assert maps.tile(BaseMapKind.VECTOR, maps.sheets().vector.version, zoom, x, y) is None
