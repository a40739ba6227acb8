"""A base map from an agency's own files, on the command line."""

from __future__ import annotations

import json

import mapbox_vector_tile
import pytest

from ground_station import main
from station.basemap import BaseMapKind, BaseMaps
from tests.station.test_basemap import tile_of
from tests.web_stage import SECTOR


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "station.toml"
    file.write_text(
        f'sector = "{SECTOR}"\nrealm = "live"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:1"\n'
        '[web]\nhost = "127.0.0.1"\nport = 1\n'
    )
    return file


def geojson(path, *features, **more):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **more}), encoding="utf-8-sig")
    return path


def line(name="Đường 9", **properties):
    way = {"type": "LineString", "coordinates": [[106.59, 16.62, 160.0], [106.61, 16.62, 161.0]]}
    return {"type": "Feature", "geometry": way, "properties": {"name": name, "kind": "main", "lanes": 2, **properties}}


def call(config, *arguments):
    return main(["basemap", "--config", str(config), *arguments])


def make(config, *arguments):
    return call(config, "make", "--name", "district", "--attribution", "Sở Tài nguyên", *arguments)


def test_roads_of_a_file_are_on_the_map_with_their_names_and_nothing_else_of_them(config, tmp_path, capsys):
    assert call(config, "show") == 0
    assert capsys.readouterr().out.count("none") == 2
    assert make(config, "--layer", f"road={geojson(tmp_path / 'roads.geojson', line(), line('x', secret='y'))}") == 0
    maps = BaseMaps(tmp_path / "data" / "basemap")
    sheet = maps.sheets().vector
    assert (sheet.name, sheet.attribution, sheet.synthetic) == ("district", "Sở Tài nguyên", False)
    x, y, *_ = tile_of(16.62, 106.6, 14)
    data, _ = maps.tile(BaseMapKind.VECTOR, sheet.version, 14, x, y)
    told = [f["properties"] for f in mapbox_vector_tile.decode(data)["road"]["features"]]
    assert told == [{"name": "Đường 9", "kind": "main"}, {"name": "x", "kind": "main"}]
    assert call(config, "show") == 0
    assert "district, Sở Tài nguyên" in capsys.readouterr().out


def test_a_broken_map_is_told_with_a_status(config, tmp_path, capsys):
    folder = tmp_path / "data" / "basemap"
    folder.mkdir(parents=True)
    (folder / "vector.pmtiles").write_text("<html>")
    assert call(config, "show") == 1
    assert "not a PMTiles file" in capsys.readouterr().out


@pytest.mark.parametrize(
    "layer, text, words",
    [
        ("rail", None, '"rail" is no layer'),
        ("road", "{", "not GeoJSON that can be read"),
        ("road", "[]", "not a GeoJSON FeatureCollection"),
        ("road", '{"features": [{"geometry": {"type": "LineString", "coordinates": [[1]]}}]}', "feature 1"),
        ("road", '{"features": [{"geometry": null}]}', "feature 1"),
        ("road", '{"features": [], "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::32648"}}}', "Transform it first"),
        ("road", '{"features": [{"geometry": {"type": "Point", "coordinates": [700000, 1800000]}}]}', "not degrees"),
        ("road", '{"features": []}', "nothing was named"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name_and_reason(config, tmp_path, capsys, layer, text, words):
    file = tmp_path / "f.geojson"
    file.write_text(text or "{}")
    assert make(config, "--layer", f"{layer}={file}") == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "data" / "basemap").glob("*"))


def test_a_file_that_is_not_there_and_an_argument_without_one(config, tmp_path, capsys):
    assert make(config, "--layer", f"road={tmp_path / 'nowhere.geojson'}") == 2
    assert "nowhere.geojson: No such file" in capsys.readouterr().err
    assert make(config, "--layer", "road") == 2
    assert "LAYER=FILE" in capsys.readouterr().err
