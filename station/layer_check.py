"""A file of an agency's own, looked at before it becomes a layer of the map: GeoJSON, GeoPackage, or a GeoTIFF of heights.

Runs in a process of its own with limits on memory and time: a stranger's file may be large, broken or hostile. What
it finds is one JSON object. A file that passes is written as tiles beside its report: taking it is a move of a folder.
"""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import shapely

from geofences.sector import Sector, load_sector
from station.basemap import BaseMapError, BaseMapKind, Source
from station.basemap_write import MapFeature, to_degrees, write_hillshade, write_vector
from station.sentences import Sentence

FEATURES_MOST, CORNERS_MOST = 50_000, 2_000_000
PIXELS_MOST = 40_000_000
MEMORY_BYTES, CPU_S = 3_000_000_000, 120
NAME_MOST = 80
AROUND = 0.5                        # of the sector's width on each side is kept; what lies beyond is left out
SAMPLE_SHAPES, SAMPLE_CORNERS = 300, 40
POSTS_M = 10.0                      # of the relief that is drawn of a GeoTIFF
LOWEST_M, HIGHEST_M = -500.0, 9000.0
LAYER_OF = {"Point": "place", "LineString": "road", "Polygon": "cover"}       # how the page tells them apart
WGS84 = ("4326", "CRS84")

Box = tuple[float, float, float, float]


class Checked(msgspec.Struct, frozen=True):
    """refused: why it cannot be taken; None where it can. notes: what was done to it. box: west, south, east, north.

    sample: some of its shapes, longitude and latitude, for a small picture; sector: the box of the sector.
    """

    form: str = ""
    datum: str = ""
    features: int = 0
    points: int = 0
    lines: int = 0
    areas: int = 0
    corners: int = 0
    refused: Sentence | None = None
    notes: tuple[Sentence, ...] = ()
    box: Box | None = None
    sector: Box | None = None
    sample: tuple[tuple[tuple[float, float], ...], ...] = ()


class RefusedLayerError(Exception):
    def __init__(self, key: str, **params: str | int | float) -> None:
        super().__init__(key)
        self.says = Sentence(key, params)


class _Feature(msgspec.Struct):
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: dict[str, Any] | None = None


class _Collection(msgspec.Struct):
    features: list[_Feature]
    type: Annotated[str, msgspec.Meta(pattern="^FeatureCollection$")]
    crs: Any = None


def check(file: Path, out: Path, sector: Sector, source: Source) -> Checked:
    """Look at a file and write its tiles into the folder `out`. Never raises for what is in the file."""
    form = form_of(file)
    box = _box_of(sector)
    try:
        if form == "geotiff":
            return _relief(file, out, sector, source, box)
        if form not in ("geojson", "geopackage"):
            raise RefusedLayerError("layer.refused.form")
        shapes, names = _geojson(file) if form == "geojson" else _geopackage(file)
        return _vector(form, shapes, names, out, source, box)
    except RefusedLayerError as error:
        return Checked(form, refused=error.says, sector=box)
    except MemoryError:
        return Checked(form, refused=Sentence("layer.refused.too_heavy"), sector=box)
    except BaseMapError as error:
        return Checked(form, refused=Sentence("layer.refused.broken", {"detail": str(error)[:200]}), sector=box)


def form_of(file: Path) -> str:
    """By its first bytes, whatever it is called."""
    with file.open("rb") as f:
        begin = f.read(64)
    if begin.startswith(b"SQLite format 3\0"):
        return "geopackage"
    if begin[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "geotiff"
    return "geojson" if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else ""


# --------------------------------------------------------------------------------------------------------- what is in it


def _geojson(file: Path) -> tuple[list[Any], list[str]]:
    try:
        read = msgspec.json.decode(file.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=_Collection)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedLayerError("layer.refused.broken", detail=str(error)[:200]) from None
    if read.crs is not None and not any(word in str(read.crs) for word in WGS84):
        raise RefusedLayerError("layer.refused.datum", datum=str(read.crs)[:120])
    if len(read.features) > FEATURES_MOST:
        raise RefusedLayerError("layer.refused.features", n=len(read.features), most=FEATURES_MOST)
    given = [f for f in read.features if bytes(f.geometry) != b"null"]
    shapes = shapely.from_geojson([bytes(f.geometry) for f in given], on_invalid="ignore")
    return list(shapes), [_name(f.properties or {}) for f in given]


def _geopackage(file: Path) -> tuple[list[Any], list[str]]:
    shapes: list[Any] = []
    names: list[str] = []
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        try:
            db.execute("PRAGMA trusted_schema = OFF")
            tables = db.execute(
                "SELECT c.table_name, g.column_name, s.organization, s.organization_coordsys_id, s.srs_name"
                " FROM gpkg_contents c JOIN gpkg_geometry_columns g ON g.table_name = c.table_name"
                " JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id"
                " JOIN sqlite_master m ON m.name = c.table_name AND m.type = 'table' WHERE c.data_type = 'features'"
            ).fetchall()
            if not tables:
                raise RefusedLayerError("layer.refused.empty")
            for table, column, organisation, number, srs in tables:
                if str(organisation).upper() != "EPSG" or int(number) != 4326:
                    raise RefusedLayerError("layer.refused.datum", datum=f"{organisation}:{number} {srs}"[:120])
                columns = [str(row[1]) for row in db.execute(f"PRAGMA table_info({_quoted(table)})")]
                named = next((c for c in columns if c.lower() in ("name", "ten", "title")), None)
                wanted = f"{_quoted(column)}, {_quoted(named) if named else 'NULL'}"
                for blob, name in db.execute(f"SELECT {wanted} FROM {_quoted(table)}"):
                    if len(shapes) >= FEATURES_MOST:
                        raise RefusedLayerError("layer.refused.features", n=len(shapes) + 1, most=FEATURES_MOST)
                    if blob is not None:
                        shapes.append(shapely.from_wkb(_wkb(blob), on_invalid="ignore"))
                        names.append(str(name)[:NAME_MOST] if name else "")
        except (sqlite3.Error, ValueError) as error:
            raise RefusedLayerError("layer.refused.broken", detail=str(error)[:200]) from None
    return shapes, names


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _wkb(blob: bytes) -> bytes:
    """The geometry of a GeoPackage's blob: OGC 12-128r18, 2.1.3."""
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:2] != b"GP":
        raise ValueError("a geometry that is none")
    envelope = (0, 32, 48, 48, 64)
    kind = (blob[3] >> 1) & 7
    if kind >= len(envelope):
        raise ValueError("a geometry with an unknown envelope")
    return blob[8 + envelope[kind] :]


def _name(properties: dict[str, Any]) -> str:
    found = next((v for k, v in properties.items() if k.lower() in ("name", "ten", "title") and isinstance(v, str)), "")
    return found[:NAME_MOST]


# ---------------------------------------------------------------------------------------------------------------- vector


def _vector(form: str, shapes: list[Any], names: list[str], out: Path, source: Source, sector: Box) -> Checked:
    kept = [(shapely.force_2d(s), n) for s, n in zip(shapes, names, strict=True) if s is not None and not s.is_empty]
    notes = [] if len(kept) == len(shapes) else [Sentence("layer.note.unreadable", {"n": len(shapes) - len(kept)})]
    if not kept:
        raise RefusedLayerError("layer.refused.empty")
    corners = int(shapely.get_num_coordinates(np.array([s for s, _ in kept])).sum())
    if corners > CORNERS_MOST:
        raise RefusedLayerError("layer.refused.corners", n=corners, most=CORNERS_MOST)
    west, south, east, north = (float(v) for v in shapely.total_bounds(np.array([s for s, _ in kept])))
    box: Box = (west, south, east, north)
    near = _grown(sector)
    if not np.isfinite(box).all():
        raise RefusedLayerError("layer.refused.degrees", east=0, north=0)
    where = {"lat": round((box[1] + box[3]) / 2, 3), "lon": round((box[0] + box[2]) / 2, 3)}
    if not shapely.box(*box).intersects(shapely.box(*near)):
        if shapely.box(box[1], box[0], box[3], box[2]).intersects(shapely.box(*near)):
            raise RefusedLayerError("layer.refused.swapped", **where)
        if box[0] < -180 or box[2] > 180 or box[1] < -90 or box[3] > 90:
            raise RefusedLayerError("layer.refused.degrees", east=round(box[2]), north=round(box[3]))
        raise RefusedLayerError("layer.refused.elsewhere", **where)
    repaired = 0
    features, found = [], {"place": 0, "road": 0, "cover": 0}
    for shape, name in kept:
        if not shape.is_valid:
            repaired += 1
            shape = shapely.make_valid(shape)
        for part in _parts(shapely.clip_by_rect(shape, *near)):
            layer = LAYER_OF[part.geom_type]
            found[layer] += 1
            features.append(MapFeature(layer, part, {"name": name} if name else {}))
    if not features:
        raise RefusedLayerError("layer.refused.elsewhere", **where)
    outside = sum(1 for shape, _ in kept if not shape.intersects(shapely.box(*near)))
    if repaired:
        notes.append(Sentence("layer.note.repaired", {"n": repaired}))
    if outside:
        notes.append(Sentence("layer.note.outside", {"n": outside}))
    write_vector(out / BaseMapKind.VECTOR.file, features, source)
    return Checked(
        form, "WGS 84", len(kept), found["place"], found["road"], found["cover"], corners, None, tuple(notes), box, sector,
        _sample([f.geometry for f in features]),
    )


def _parts(shape: Any) -> Iterator[Any]:
    for part in shapely.get_parts(shape) if shape.geom_type.startswith(("Multi", "Geometry")) else [shape]:
        if part.geom_type == "LinearRing":
            yield shapely.LineString(part)
        elif part.geom_type in LAYER_OF and not part.is_empty:
            yield part
        elif part.geom_type.startswith(("Multi", "Geometry")) and not part.is_empty:
            yield from _parts(part)


def _sample(shapes: list[Any]) -> tuple[tuple[tuple[float, float], ...], ...]:
    lines = []
    for shape in shapes[:: max(1, len(shapes) // SAMPLE_SHAPES)][:SAMPLE_SHAPES]:
        at = shapely.get_coordinates(shape)
        at = at[:: max(1, len(at) // SAMPLE_CORNERS)]
        lines.append(tuple((round(float(x), 5), round(float(y), 5)) for x, y in at))
    return tuple(lines)


# ---------------------------------------------------------------------------------------------------------------- relief


def _relief(file: Path, out: Path, sector: Sector, source: Source, box: Box) -> Checked:
    from geofences.terrain import GridTerrain

    heights, west, north, step_lon, step_lat = _geotiff(file)
    rows, columns = heights.shape
    its: Box = (west, north - rows * step_lat, west + columns * step_lon, north)
    if not shapely.box(*its).intersects(shapely.box(*box)):
        middle = shapely.box(*its).centroid
        raise RefusedLayerError("layer.refused.elsewhere", lat=round(middle.y, 3), lon=round(middle.x, 3))
    w, s, e, n = sector.box.bounds
    grid = np.stack(np.meshgrid(np.arange(w, e + POSTS_M, POSTS_M), np.arange(s, n + POSTS_M, POSTS_M)), axis=-1)
    lat, lon = sector.frame.from_enu(grid.reshape(-1, 2)).T
    x, y = (lon - west) / step_lon - 0.5, (north - lat) / step_lat - 0.5        # pixels: a height is that of its middle
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (left >= 0) & (top >= 0) & (left < columns - 1) & (top < rows - 1)
    left, top = np.clip(left, 0, columns - 2), np.clip(top, 0, rows - 2)
    u, v = x - left, y - top
    found = (heights[top, left] * (1 - u) + heights[top, left + 1] * u) * (1 - v) + (
        heights[top + 1, left] * (1 - u) + heights[top + 1, left + 1] * u
    ) * v
    found[~inside] = np.nan
    known = float(np.isfinite(found).mean())
    if known < 0.01:
        raise RefusedLayerError("layer.refused.empty")
    low, high = float(np.nanmin(found)), float(np.nanmax(found))
    if low < LOWEST_M or high > HIGHEST_M:
        raise RefusedLayerError("layer.refused.heights", low=round(low), high=round(high))
    terrain = GridTerrain(found.reshape(grid.shape[:2]), (w, s), POSTS_M, 5.0, synthetic=source.synthetic)
    write_hillshade(out / BaseMapKind.HILLSHADE.file, terrain, sector.frame, sector.box.bounds, source)
    notes = [Sentence("layer.note.heights", {"low": round(low), "high": round(high)})]
    if known < 0.99:
        notes.append(Sentence("layer.note.covers", {"percent": round(100 * known)}))
    return Checked("geotiff", "WGS 84", 1, corners=rows * columns, notes=tuple(notes), box=its, sector=box,
                   sample=_sample([shapely.box(*its)]))


def _geotiff(file: Path) -> tuple[Any, float, float, float, float]:
    """Heights (rows from the north), the western and northern edge, and a pixel's size, degrees. OGC 19-008r4."""
    from PIL.TiffImagePlugin import TiffImageFile  # and no other format may be tried on what was sent

    try:
        with TiffImageFile(file) as picture:
            if picture.width * picture.height > PIXELS_MOST:
                raise RefusedLayerError("layer.refused.pixels", n=picture.width * picture.height, most=PIXELS_MOST)
            tags = dict(picture.tag_v2)
            if picture.mode not in ("F", "I", "I;16", "I;16B", "I;16L", "L"):
                raise RefusedLayerError("layer.refused.no_heights")
            heights = np.asarray(picture, dtype=np.float32).copy()
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise RefusedLayerError("layer.refused.broken", detail=str(error)[:200]) from None
    keys = tags.get(34735)
    scale, tie = tags.get(33550), tags.get(33922)
    if keys is None or scale is None or tie is None or len(scale) < 2 or len(tie) < 6:
        raise RefusedLayerError("layer.refused.no_place")
    geo = {keys[i]: keys[i + 3] for i in range(4, len(keys) - 3, 4) if keys[i + 1] == 0}
    if geo.get(1024) != 2 or geo.get(2048) != 4326:
        raise RefusedLayerError("layer.refused.datum", datum=f"EPSG:{geo.get(3072) or geo.get(2048) or '?'}")
    half = 0.5 if geo.get(1025) == 2 else 0.0       # of points, and not of areas: the tie is a pixel's middle
    empty = str(tags.get(42113, "")).strip("\0 ")
    with contextlib.suppress(ValueError):
        heights[heights == np.float32(float(empty))] = np.nan
    heights[~np.isfinite(heights) | (heights < -20_000)] = np.nan
    west = float(tie[3]) - (float(tie[0]) + half) * float(scale[0])
    north = float(tie[4]) + (float(tie[1]) + half) * float(scale[1])
    if min(heights.shape) < 2 or not 0 < scale[0] < 1 or not 0 < scale[1] < 1:
        raise RefusedLayerError("layer.refused.no_place")
    return heights, west, north, float(scale[0]), float(scale[1])


# --------------------------------------------------------------------------------------------------------------- process


def _box_of(sector: Sector) -> Box:
    box = to_degrees(sector.box, sector.frame).bounds
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _grown(box: Box) -> Box:
    wide, high = (box[2] - box[0]) * AROUND, (box[3] - box[1]) * AROUND
    return box[0] - wide, box[1] - high, box[2] + wide, box[3] + high


def main(arguments: list[str]) -> int:
    """FILE OUT SECTOR NAME ATTRIBUTION AS_OF: prints what was found."""
    file, out, sector, name, attribution, as_of = arguments
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    found = check(Path(file), Path(out), load_sector(Path(sector)), Source(name, attribution, as_of))
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
