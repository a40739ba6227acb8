"""The base map under everything: rivers, roads, places, trails and relief, from two PMTiles files of the station's own.

No tile comes from anywhere else: a border post has no internet, and a map server would learn where somebody looks. The files
are exchanged as a whole while the station runs; a page asks for tiles of a version, so that it never shows half of each.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
from pmtiles.reader import MmapSource, Reader
from pmtiles.tile import Compression, TileType

LAYERS = ("cover", "water", "contour", "road", "trail", "place")
MARK = "trailwatch"                 # where a file of ours keeps what PMTiles has no field for
TILES_KEPT = 512
ZOOM_LIMIT = 22
TEXT_LIMIT = 400                    # characters of a file's own words that are shown

log = logging.getLogger("trailwatch.web")


class BaseMapError(ValueError):
    """A file that is no base map, or nothing to make one of."""


class BaseMapKind(StrEnum):
    VECTOR = "vector"
    HILLSHADE = "hillshade"

    @property
    def file(self) -> str:
        return f"{self.value}.pmtiles"


TYPES = {BaseMapKind.VECTOR: {TileType.MVT: "application/vnd.mapbox-vector-tile"},
         BaseMapKind.HILLSHADE: {TileType.WEBP: "image/webp", TileType.PNG: "image/png", TileType.JPEG: "image/jpeg"}}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a base map is from. as_of: a date, in words. synthetic: made up; the screen says so."""

    name: str
    attribution: str
    as_of: str = ""
    synthetic: bool = False


class BaseMapSheet(msgspec.Struct, frozen=True):
    """One file. version: changes with it; part of a tile's address. box: west, south, east, north in degrees."""

    version: str
    name: str
    attribution: str
    as_of: str
    synthetic: bool
    least_zoom: int
    most_zoom: int
    box: tuple[float, float, float, float]


class BaseMap(msgspec.Struct, frozen=True):
    """What there is to draw below; null where there is no file, or none that can be read."""

    vector: BaseMapSheet | None
    hillshade: BaseMapSheet | None


@dataclass(frozen=True, slots=True)
class _Open:
    stamp: tuple[int, int, int]
    sheet: BaseMapSheet
    reader: Reader
    media: str
    compressed: bool


class BaseMaps:
    """The files in one folder, opened when somebody asks, and again when they have changed. Safe from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[BaseMapKind, _Open] = {}
        self._said: dict[BaseMapKind, str] = {}
        self._tiles: OrderedDict[tuple[str, int, int, int], bytes | None] = OrderedDict()
        self._lock = Lock()

    def sheets(self) -> BaseMap:
        vector, hillshade = self._current(BaseMapKind.VECTOR), self._current(BaseMapKind.HILLSHADE)
        return BaseMap(vector.sheet if vector else None, hillshade.sheet if hillshade else None)

    def tile(self, kind: BaseMapKind, version: str, zoom: int, x: int, y: int) -> tuple[bytes, str] | None:
        """Data (unpacked) and media type of a tile of that version; None where there is none."""
        sheet = self._current(kind)
        if sheet is None or sheet.sheet.version != version or not 0 <= zoom <= ZOOM_LIMIT:
            return None
        if not (0 <= x < 2**zoom and 0 <= y < 2**zoom):
            return None
        key = (version, zoom, x, y)
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                data = self._tiles[key]
            else:
                data = self._read(sheet, zoom, x, y)
                self._tiles[key] = data
                if len(self._tiles) > TILES_KEPT:
                    self._tiles.popitem(last=False)
        return (data, sheet.media) if data is not None else None

    def _read(self, sheet: _Open, zoom: int, x: int, y: int) -> bytes | None:
        try:
            data = sheet.reader.get(zoom, x, y)
            return gzip.decompress(data) if data is not None and sheet.compressed else data
        except Exception as error:  # noqa: BLE001 - a damaged file: whatever the reader stumbles over, the map goes on without
            log.warning("tile %d/%d/%d of the base map %s cannot be read: %s", zoom, x, y, sheet.sheet.name, error)
            return None

    def _current(self, kind: BaseMapKind) -> _Open | None:
        path = self._folder / kind.file
        with self._lock:
            try:
                status = path.stat()
            except OSError:
                self._open.pop(kind, None)
                return None
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._open.get(kind)
            if known is not None and known.stamp == stamp:
                return known
            self._open.pop(kind, None)
            try:
                opened = self._open[kind] = open_sheet(path, kind, stamp)
            except (BaseMapError, OSError) as error:
                if self._said.get(kind) != str(error):
                    self._said[kind] = str(error)
                    log.warning("%s", error)
                return None
            return opened


def open_sheet(path: Path, kind: BaseMapKind, stamp: tuple[int, int, int] = (0, 0, 0)) -> _Open:
    """Open a file for reading. Raises BaseMapError that says what is wrong with it, and OSError."""
    try:
        with path.open("rb") as file:
            source = MmapSource(file)
        reader = Reader(source)
        if source(0, 7) != b"PMTiles":
            raise BaseMapError(f"{path}: not a PMTiles file")
        header = reader.header()
        metadata = reader.metadata() if header["metadata_length"] else {}
        # The parts that the header promises must be there: a copy that was cut off is noticed now, and not at night.
        parts = ("root", "metadata", "leaf_directory", "tile_data")
        ends = max(header[f"{part}_offset"] + header[f"{part}_length"] for part in parts)
        if ends > path.stat().st_size:
            raise BaseMapError(f"{path}: {ends - path.stat().st_size} bytes are missing at its end. Copy it again.")
    except (BaseMapError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - the reader checks nothing; a hostile header may end in any error
        raise BaseMapError(f"{path}: not a PMTiles file that can be read ({error})") from None
    media = TYPES[kind].get(header["tile_type"])
    if media is None:
        names = " or ".join(t.name for t in TYPES[kind])
        raise BaseMapError(f"{path}: holds tiles of type {header['tile_type']}; the {kind.value} map needs {names}")
    if header["tile_compression"] not in (Compression.NONE, Compression.GZIP):
        raise BaseMapError(f"{path}: its tiles are packed in a way that is not read here; gzip or none")
    return _Open(stamp, _sheet(header, metadata, stamp), reader, media, header["tile_compression"] is Compression.GZIP)


def _sheet(header: dict[str, Any], metadata: Any, stamp: tuple[int, int, int]) -> BaseMapSheet:
    said = metadata if isinstance(metadata, dict) else {}
    mark = said.get(MARK)
    own = mark if isinstance(mark, dict) else {}
    version = hashlib.sha256(json.dumps([sorted((k, str(v)) for k, v in header.items()), *stamp]).encode()).hexdigest()[:16]

    def words(value: object) -> str:
        return str(value)[:TEXT_LIMIT] if isinstance(value, str) else ""

    return BaseMapSheet(
        version, words(said.get("name")), words(said.get("attribution")), words(own.get("as_of")),
        own.get("synthetic") is True, int(header["min_zoom"]), int(header["max_zoom"]),
        (header["min_lon_e7"] / 1e7, header["min_lat_e7"] / 1e7, header["max_lon_e7"] / 1e7, header["max_lat_e7"] / 1e7),
    )
