"""Writing a base map: lines, areas and names as vector tiles, relief as pictures, each into one PMTiles file.

What is drawn is what one is given, in degrees; nothing is fetched. Tiles are those of web maps (Web Mercator, EPSG:3857, row
0 in the north). Relief is a picture of light and shadow alone, so that it lies over any background.
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import contourpy
import cv2
import mapbox_vector_tile
import numpy as np
import numpy.typing as npt
import shapely
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from shapely.geometry.base import BaseGeometry

from geofences.geodesy import Array, LocalFrame
from geofences.terrain import Terrain
from station.basemap import LAYERS, MARK, BaseMapError, Source

LEAST_ZOOM, MOST_ZOOM = 9, 14       # closer ones are drawn from the last: vectors are good to 0.6 m there, relief to 9 m
FIRST_ZOOM: Mapping[str, int] = {"contour": 12, "trail": 11, "cover": 11}      # of a layer; LEAST_ZOOM for the others
EXTENT = 4096                       # steps along a vector tile's side
BUFFER = 64                         # steps that a tile holds of its neighbours, so that wide lines have no seams
TILES_LIMIT = 400_000               # of one file: a box in the wrong unit would write for days
PICTURE_PX = 256
HALF_M = math.pi * 6_378_137.0      # of the square that the tiles divide, EPSG:3857
SUN_DEG = 45.0                      # height of the four suns
AZIMUTHS_DEG = (225.0, 270.0, 315.0, 360.0)
STEEPER = 1.6                       # hills are drawn so much steeper than they are: a forest trail's relief is gentle
LIT, SHADOWED = 0.55, 0.9           # opacity of full light and full shadow
CONTOURS = 24                       # at most about so many between the lowest and the highest ground
CONTOUR_STEPS_M = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
CONTOUR_POSTS_M = 10.0

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MapFeature:
    """One thing on the base map. geometry: longitude, latitude in degrees (WGS 84). layer: one of LAYERS."""

    layer: str
    geometry: BaseGeometry
    properties: Mapping[str, str | int | float | bool] = field(default_factory=dict)


def write_vector(path: Path, features: Iterable[MapFeature], source: Source) -> int:
    """Write features as vector tiles; returns how many tiles. Raises BaseMapError for what cannot be drawn."""
    kept = [_Projected(f) for f in features]
    if not kept:
        raise BaseMapError("nothing to draw: there is no feature in it")
    with _Pyramid(path, TileType.MVT, Compression.GZIP, source, _bounds_deg(kept)) as pyramid:
        for zoom in range(LEAST_ZOOM, MOST_ZOOM + 1):
            shown = [f for f in kept if zoom >= FIRST_ZOOM.get(f.layer, LEAST_ZOOM)]
            for x, y, layers in _vector_tiles(shown, zoom):
                data = mapbox_vector_tile.encode(
                    [{"name": name, "features": found} for name, found in layers.items()],
                    default_options={"extents": EXTENT, "quantize_bounds": _tile_box(zoom, x, y)},
                )
                pyramid.add(zoom, x, y, gzip.compress(data, mtime=0))
    return pyramid.count


def write_hillshade(path: Path, terrain: Terrain, frame: LocalFrame, box_m: Box, source: Source) -> int:
    """Write relief as WebP pictures; returns how many tiles. box_m: west, south, east, north in the frame."""
    west, south, east, north = box_m
    corners = frame.from_enu([[west, south], [east, north], [west, north], [east, south]])
    (low_lat, low_lon), (high_lat, high_lon) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    box_deg = (low_lon, low_lat, high_lon, high_lat)
    with _Pyramid(path, TileType.WEBP, Compression.NONE, source, box_deg) as pyramid:
        for zoom in range(LEAST_ZOOM, MOST_ZOOM + 1):
            for x, y in _tiles_of(_mercator_box(box_deg), zoom):
                picture = _relief(terrain, frame, zoom, x, y)
                if picture[..., 3].any():
                    done, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 82])
                    if not done:
                        raise BaseMapError("OpenCV cannot write WebP here")
                    pyramid.add(zoom, x, y, data.tobytes())
    return pyramid.count


def contours(terrain: Terrain, frame: LocalFrame, box_m: Box) -> list[MapFeature]:
    """Lines of equal height, as far apart as the relief asks; each fifth is a main one.

    box_m: west, south, east, north in the frame. Properties: height_m above mean sea level, main.
    """
    west, south, east, north = box_m
    e = np.arange(west, east + CONTOUR_POSTS_M, CONTOUR_POSTS_M)
    n = np.arange(south, north + CONTOUR_POSTS_M, CONTOUR_POSTS_M)
    grid = np.stack(np.meshgrid(e, n), axis=-1)
    heights = terrain.height_msl_m(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    if not np.isfinite(heights).any() or float(np.nanmax(heights) - np.nanmin(heights)) < CONTOUR_STEPS_M[0]:
        return []
    low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
    step_m = next((s for s in CONTOUR_STEPS_M if (high - low) / s <= CONTOURS), CONTOUR_STEPS_M[-1])
    smooth = cv2.GaussianBlur(np.where(np.isfinite(heights), heights, low).astype(np.float32), (0, 0), 1.2)
    lines = contourpy.contour_generator(e, n, np.ma.array(smooth, mask=~np.isfinite(heights)))
    found = []
    for number in range(math.ceil(low / step_m), math.floor(high / step_m) + 1):
        for line in lines.lines(number * step_m):
            way = shapely.clip_by_rect(shapely.LineString(np.asarray(line)), *box_m)
            if way.length >= 4 * CONTOUR_POSTS_M:
                drawn = shapely.simplify(way, 1.0)
                found.append(
                    MapFeature("contour", to_degrees(drawn, frame), {"height_m": number * step_m, "main": number % 5 == 0})
                )
    return found


def to_degrees(shape: BaseGeometry, frame: LocalFrame) -> BaseGeometry:
    """From metres in a frame to longitude, latitude."""
    return shapely.transform(shape, lambda c: frame.from_enu(c)[:, ::-1])


# ---------------------------------------------------------------------------------------------------------- vector tiles


class _Projected:
    """A feature in metres of EPSG:3857."""

    def __init__(self, feature: MapFeature) -> None:
        if feature.layer not in LAYERS:
            raise BaseMapError(f'"{feature.layer}" is no layer; there are {", ".join(LAYERS)}')
        coordinates = shapely.get_coordinates(feature.geometry)
        if not len(coordinates) or not np.isfinite(coordinates).all():
            raise BaseMapError(f"a feature of {feature.layer} has no place, or one that is no number")
        if (np.abs(coordinates) > [180.0, 85.0]).any():
            lon, lat = coordinates[np.abs(coordinates / [180.0, 85.0]).max(axis=1).argmax()]
            raise BaseMapError(
                f"a feature of {feature.layer} is at {lat:.0f}, {lon:.0f}: not degrees of WGS 84. Transform it first."
            )
        self.layer = feature.layer
        self.geometry = shapely.transform(feature.geometry, lambda c: _mercator(c[:, 0], c[:, 1]))
        self.properties = dict(feature.properties)


def _vector_tiles(features: list[_Projected], zoom: int) -> Iterator[tuple[int, int, dict[str, list[dict[str, Any]]]]]:
    if not features:
        return
    step_m = 2 * HALF_M / 2**zoom / EXTENT
    shapes = np.array(shapely.simplify([f.geometry for f in features], step_m * 2))
    tree = shapely.STRtree(shapes)
    west, south, east, north = shapely.total_bounds(shapes)
    for x, y in _tiles_of((west, south, east, north), zoom):
        box = _tile_box(zoom, x, y)
        wide = (box[0] - BUFFER * step_m, box[1] - BUFFER * step_m, box[2] + BUFFER * step_m, box[3] + BUFFER * step_m)
        layers: dict[str, list[dict[str, Any]]] = {}
        for k in sorted(tree.query(shapely.box(*wide)).tolist()):
            cut = shapely.clip_by_rect(shapes[k], *wide)
            if not cut.is_empty:
                layers.setdefault(features[k].layer, []).append({"geometry": cut, "properties": features[k].properties})
        if layers:
            yield x, y, layers


def _bounds_deg(features: list[_Projected]) -> Box:
    west, south, east, north = shapely.total_bounds([f.geometry for f in features])
    return (*_degrees(west, south), *_degrees(east, north))


# --------------------------------------------------------------------------------------------------------------- relief


def _relief(terrain: Terrain, frame: LocalFrame, zoom: int, x: int, y: int) -> npt.NDArray[np.uint8]:
    """(256, 256, 4) uint8 blue, green, red, opacity: white where more light falls than on level ground, black where less.

    Light from four sides, each weighed by how much a slope faces across it, so that no slope hides another: R. K. Mark,
    Multidirectional, oblique-weighted, shaded-relief image of the Island of Hawaii (USGS Open-File Report 92-422, 1992).
    """
    west, _, east, north = _tile_box(zoom, x, y)
    step = (east - west) / PICTURE_PX
    across = west + (np.arange(-1, PICTURE_PX + 1) + 0.5) * step
    down = north - (np.arange(-1, PICTURE_PX + 1) + 0.5) * step
    lon, lat = _degrees(*(v.ravel() for v in np.meshgrid(across, down)))
    heights = terrain.height_msl_m(frame.to_enu(lat, lon)).reshape(PICTURE_PX + 2, PICTURE_PX + 2)
    metres = step * math.cos(math.radians(float(np.mean(lat))))         # of ground a pixel; the projection stretches
    down_rise, east_rise = np.gradient(heights * STEEPER, metres)
    dn: Array = -np.asarray(down_rise)[1:-1, 1:-1]
    de: Array = np.asarray(east_rise)[1:-1, 1:-1]
    slope, faces = np.arctan(np.hypot(de, dn)), np.arctan2(-de, -dn)    # where it falls to, clockwise from north
    high = math.radians(SUN_DEG)
    light: Array = np.zeros(slope.shape)
    weights: Array = np.full(slope.shape, 1e-9)
    for azimuth in np.radians(AZIMUTHS_DEG):
        weight = np.sin(faces - azimuth) ** 2
        light += weight * (math.sin(high) * np.cos(slope) + math.cos(high) * np.sin(slope) * np.cos(azimuth - faces))
        weights += weight
    more: Array = np.where(slope < 1e-6, 0.0, light / weights - math.sin(high))
    picture = np.zeros((PICTURE_PX, PICTURE_PX, 4), np.uint8)
    picture[..., :3] = np.where(more[..., None] > 0, 255, 0)
    opacity = np.where(more > 0, more / (1 - math.sin(high)) * LIT, -more / math.sin(high) * SHADOWED)
    picture[..., 3] = np.nan_to_num(np.clip(opacity, 0.0, 1.0) * 255)
    return picture


# ---------------------------------------------------------------------------------------------------------------- tiles


class _Pyramid:
    """One PMTiles file while it is written: it appears whole, or not at all."""

    def __init__(self, path: Path, kind: TileType, compression: Compression, source: Source, box_deg: Box) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._kind, self._compression, self._source, self._box = kind, compression, source, box_deg
        self._tiles: dict[int, bytes] = {}
        self.count = 0

    def add(self, zoom: int, x: int, y: int, data: bytes) -> None:
        if len(self._tiles) >= TILES_LIMIT:
            raise BaseMapError(f"more than {TILES_LIMIT:,} tiles: choose a smaller area")
        self._tiles[zxy_to_tileid(zoom, x, y)] = data

    def __enter__(self) -> _Pyramid:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        if not self._tiles:
            raise BaseMapError("nothing to draw: the area holds nothing of it")
        self.count = len(self._tiles)
        west, south, east, north = self._box
        header = {
            "tile_type": self._kind, "tile_compression": self._compression,
            "min_lon_e7": round(west * 1e7), "min_lat_e7": round(south * 1e7),
            "max_lon_e7": round(east * 1e7), "max_lat_e7": round(north * 1e7),
            "center_zoom": MOST_ZOOM - 1, "center_lon_e7": round((west + east) / 2 * 1e7),
            "center_lat_e7": round((south + north) / 2 * 1e7),
        }
        metadata = {
            "name": self._source.name, "attribution": self._source.attribution,
            "vector_layers": [{"id": name, "fields": {}} for name in LAYERS],
            MARK: {"synthetic": self._source.synthetic, "as_of": self._source.as_of},
        }
        with self._part.open("wb") as file:
            writer = Writer(file)
            for number in sorted(self._tiles):
                writer.write_tile(number, self._tiles[number])
            writer.finalize(header, metadata)
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(self._path)


def _mercator(lon_deg: Array, lat_deg: Array) -> Array:
    """(n, 2) metres of EPSG:3857."""
    y = np.log(np.tan(math.pi / 4 + np.radians(lat_deg) / 2))
    return np.column_stack([np.asarray(lon_deg) / 180.0 * HALF_M, y / math.pi * HALF_M])


def _degrees(x: Any, y: Any) -> tuple[Any, Any]:
    """Longitude, latitude of metres of EPSG:3857."""
    lat = np.degrees(2 * np.arctan(np.exp(np.asarray(y) / HALF_M * math.pi)) - math.pi / 2)
    return np.asarray(x) / HALF_M * 180.0, lat


def _mercator_box(box_deg: Box) -> Box:
    west, south, east, north = box_deg
    (w, s), (e, n) = _mercator(np.array([west, east]), np.array([south, north])).tolist()
    return w, s, e, n


def _tile_box(zoom: int, x: int, y: int) -> Box:
    side = 2 * HALF_M / 2**zoom
    return x * side - HALF_M, HALF_M - (y + 1) * side, (x + 1) * side - HALF_M, HALF_M - y * side


def _tiles_of(box: Box, zoom: int) -> Iterator[tuple[int, int]]:
    """Columns and rows of the tiles that a box in metres touches."""
    side, last = 2 * HALF_M / 2**zoom, 2**zoom - 1
    west, east = (min(max(int((v + HALF_M) // side), 0), last) for v in (box[0], box[2]))
    north, south = (min(max(int((HALF_M - v) // side), 0), last) for v in (box[3], box[1]))
    if (east - west + 1) * (south - north + 1) > TILES_LIMIT:
        raise BaseMapError(f"more than {TILES_LIMIT:,} tiles at zoom {zoom}: choose a smaller area")
    for x in range(west, east + 1):
        for y in range(north, south + 1):
            yield x, y
