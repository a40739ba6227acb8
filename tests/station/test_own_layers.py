"""Layers of the agency's own: what is taken, what is refused and in which words, and that a large file hangs nobody."""

from __future__ import annotations

import json
import sqlite3
import struct
import threading
import time

import httpx
import numpy as np
import pytest
import shapely
from PIL import Image, TiffImagePlugin

from geofences.sector import load_sector
from station.access import Role
from station.basemap import BaseMapKind, Source, open_sheet
from station.layer_check import check
from station.layers_kept import FILE_LIMIT_BYTES
from tests.station.test_web import a_stage, log_in
from tests.station.test_web_admin import traces
from tests.web_stage import SECTOR

IT = load_sector(SECTOR)
LAT, LON = 16.62, 106.60
PATH = {"type": "LineString", "coordinates": [[LON, LAT], [LON + 0.004, LAT + 0.002]]}


def geojson(*geometries, **more) -> bytes:
    features = [{"type": "Feature", "properties": {"name": f"đường {i}"}, "geometry": g} for i, g in enumerate(geometries)]
    return json.dumps({"type": "FeatureCollection", "features": features, **more}).encode()


def looked_at(folder, content: bytes):
    file = folder / "file"
    file.write_bytes(content)
    return check(file, folder, IT, Source("x", "y"))


def geopackage(path, epsg=4326) -> bytes:
    db = sqlite3.connect(path)
    db.executescript(f"""
        CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT);
        CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INT);
        CREATE TABLE gpkg_spatial_ref_sys (srs_id INT, organization TEXT, organization_coordsys_id INT, srs_name TEXT);
        CREATE TABLE "mốc ""g" (fid INTEGER PRIMARY KEY, geom BLOB, ten TEXT);
        INSERT INTO gpkg_contents VALUES ('mốc "g', 'features');
        INSERT INTO gpkg_geometry_columns VALUES ('mốc "g', 'geom', 1);
        INSERT INTO gpkg_spatial_ref_sys VALUES (1, 'EPSG', {epsg}, 'a system');
    """)
    header = b"GP\0\x03" + struct.pack("<i4d", 1, LON, LON, LAT, LAT)        # with an envelope, little-endian
    db.execute('INSERT INTO "mốc ""g" VALUES (1, ?, ?)', (header + shapely.to_wkb(shapely.Point(LON, LAT)), "Mốc 605"))
    db.commit()
    db.close()
    return path.read_bytes()


def geotiff(path, epsg=4326, lon=106.54) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, kind, value in ((33550, 12, (0.0005, 0.0005, 0.0)), (33922, 12, (0.0, 0.0, 0.0, lon, 16.68, 0.0)),
                             (34735, 3, (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, epsg))):
        tags[tag] = value
        tags.tagtype[tag] = kind
    rows, columns = np.mgrid[0:260, 0:260]
    heights = (200 + 80 * np.sin(columns / 17) * np.cos(rows / 23)).astype(np.float32)
    Image.fromarray(heights).save(path, tiffinfo=tags)
    return path.read_bytes()


def test_lines_points_and_areas_become_tiles_and_a_broken_shape_is_mended(tmp_path) -> None:
    bow = {"type": "Polygon", "coordinates": [[[LON, LAT], [LON + 0.01, LAT + 0.01], [LON + 0.01, LAT], [LON, LAT + 0.01],
                                               [LON, LAT]]]}
    far = {"type": "Point", "coordinates": [2.0, 48.0]}
    found = looked_at(tmp_path, geojson(PATH, bow, {"type": "Point", "coordinates": [LON, LAT]}, far))
    assert found.refused is None
    assert (found.features, found.points, found.lines, found.areas) == (4, 1, 1, 2)
    assert {n.key for n in found.notes} == {"layer.note.repaired", "layer.note.outside"}
    sheet = open_sheet(tmp_path / "vector.pmtiles", BaseMapKind.VECTOR).sheet
    assert sheet.box[0] == pytest.approx(LON, abs=1e-4)


def test_a_geopackage_and_a_geotiff_are_read(tmp_path) -> None:
    found = looked_at(tmp_path, geopackage(tmp_path / "a.gpkg"))
    assert (found.refused, found.form, found.points) == (None, "geopackage", 1)
    found = looked_at(tmp_path, geotiff(tmp_path / "a.tif"))
    assert (found.refused, found.form) == (None, "geotiff")
    assert found.notes[0].params["low"] >= 119 and found.notes[0].params["high"] <= 281
    assert open_sheet(tmp_path / "hillshade.pmtiles", BaseMapKind.HILLSHADE).sheet.most_zoom == 14


def swapped(line):
    return {**line, "coordinates": [[y, x] for x, y in line["coordinates"]]}


@pytest.mark.parametrize(("content", "why"), [
    (b"\x89PNG and more", "form"), (b"", "form"), (b'{"type": "FeatureColl', "broken"), (geojson(), "empty"),
    (geojson(PATH, crs={"properties": {"name": "urn:ogc:def:crs:EPSG::32648"}}), "datum"),
    (geojson({"type": "Point", "coordinates": [2.0, 48.0]}), "elsewhere"), (geojson(swapped(PATH)), "swapped"),
    (geojson({"type": "Point", "coordinates": [678_000.0, 1_838_000.0]}), "degrees"),
    (geojson({"type": "Point", "coordinates": ["x"]}), "empty"), (b"SQLite format 3\0" + b"\xff" * 500, "broken"),
    (b"II*\0" + b"\xff" * 300, "broken"),
])
def test_what_cannot_be_taken_is_refused_in_words(tmp_path, content, why) -> None:
    found = looked_at(tmp_path, content)
    assert found.refused is not None and found.refused.key == f"layer.refused.{why}"


def test_other_systems_are_refused_by_their_names(tmp_path) -> None:
    assert "32648" in looked_at(tmp_path, geopackage(tmp_path / "a.gpkg", 32648)).refused.params["datum"]
    assert looked_at(tmp_path, geotiff(tmp_path / "a.tif", 4756)).refused.params["datum"] == "EPSG:4756"
    assert looked_at(tmp_path, geotiff(tmp_path / "b.tif", lon=20.0)).refused.key == "layer.refused.elsewhere"


def test_a_layer_is_looked_at_taken_listed_removed_and_on_the_record() -> None:
    with a_stage() as stage:
        stage.person("root", Role.ADMINISTRATOR)
        stage.person("lan")
        stage.start()
        file = {"Content-Type": "application/octet-stream"}
        client = httpx.Client
        with client(base_url=stage.address, timeout=300) as root, client(base_url=stage.address, timeout=60) as lan:
            log_in(root, "root")
            log_in(lan, "lan")
            assert lan.post("/api/layers/preview?name=x", content=geojson(PATH), headers=file).status_code == 403
            told = root.post("/api/layers/preview?name=paths.geojson", content=geojson(PATH), headers=file).json()
            assert told["found"]["refused"] is None
            wanted = {"sha256": told["sha256"], "name": "Đường tuần tra", "attribution": "Đồn X"}
            assert root.post("/api/layers/add", json=wanted | {"sha256": "0" * 64}).status_code == 409
            layer = root.post("/api/layers/add", json=wanted).json()
            seen = lan.get("/api/layers").json()
            assert [it["name"] for it in seen] == ["Đường tuần tra"]
            sheet = seen[0]["sheet"]
            tile = f"/api/layers/{layer['id']}/vector/{sheet['version']}/9/407/232"
            assert lan.get(tile).status_code == 200
            assert lan.get(tile.replace(layer["id"], "..%2f..")).status_code in (204, 404)

            # A hundred megabytes that are no map: streamed, refused in words, and the station answers meanwhile.
            def large():
                yield b'{"type": "FeatureCollection", "features": ['
                for _ in range(100):
                    yield b" " * 1_000_000
                yield b"x"

            slowest, over = 0.0, False

            def look():
                nonlocal slowest
                while not over:
                    began = time.monotonic()
                    assert lan.get("/api/layers").status_code == 200
                    slowest = max(slowest, time.monotonic() - began)
                    time.sleep(0.2)

            watcher = threading.Thread(target=look)
            watcher.start()
            told = root.post("/api/layers/preview?name=large.json", content=large(), headers=file).json()
            over = True
            watcher.join()
            assert told["found"]["refused"]["key"] in ("layer.refused.broken", "layer.refused.too_heavy")
            assert slowest < 5, "the station answers while a large file is looked at"
            more = root.post("/api/layers/preview", content=(b" " * 1_000_000 for _ in range(112)), headers=file)
            most = {"most_mb": FILE_LIMIT_BYTES // 1_000_000}
            assert more.json()["says"] == {"key": "layer.refused.large", "params": most}

            assert root.post("/api/layers/remove", json={"id": layer["id"]}).status_code == 200
            assert lan.get("/api/layers").json() == []
        assert [p for p, _ in traces(stage, "layer.added")] == ["root"]
        assert traces(stage, "layer.removed")[0][1]["name"] == "Đường tuần tra"
