"""`trailwatch basemap`: what lies under the map, made from an agency's own files, or looked at."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from station.command_line import Commands, Said, actions_with_config, command, station_of
from wire.settings import SettingsError

FILE_LIMIT_BYTES = 400_000_000
KINDS = ("kind", "name")            # of a feature's properties: what the screen draws by, and what it writes


def _show(a: argparse.Namespace) -> Said:
    from station.basemap import BaseMapError, BaseMapKind, open_sheet

    lines, broken = [], 0
    for kind in BaseMapKind:
        path = station_of(a).basemap_dir / kind.file
        try:
            s = open_sheet(path, kind).sheet
        except FileNotFoundError:
            lines.append(f"{kind.value:10} none ({path})")
            continue
        except (BaseMapError, OSError) as error:
            lines.append(f"{kind.value:10} cannot be used: {error}")
            broken = 1
            continue
        west, south, east, north = s.box
        since, invented = f" ({s.as_of})" if s.as_of else "", ", INVENTED" if s.synthetic else ""
        lines.append(
            f"{kind.value:10} {s.name}, {s.attribution}{since}{invented}; "
            f"zoom {s.least_zoom} to {s.most_zoom}, {south:.4f} to {north:.4f} N, {west:.4f} to {east:.4f} E"
        )
    return "\n".join(lines), broken


def _make(a: argparse.Namespace) -> Said:
    from geofences.sector import load_sector
    from station.basemap import BaseMapError, BaseMapKind, Source
    from station.basemap_write import MapFeature, contours, write_hillshade, write_vector

    settings = station_of(a)
    sector = load_sector(settings.sector)
    source = Source(a.name, a.attribution, a.as_of, a.invented or (a.relief and sector.terrain.synthetic))
    features: list[MapFeature] = []
    for given in a.layer:
        layer, _, name = given.partition("=")
        if not name:
            raise SettingsError(f"--layer {given}: write LAYER=FILE, for example road=roads.geojson")
        features += read_geojson(layer, Path(name))
    folder, said = settings.basemap_dir, []
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if a.relief:
            relief = folder / BaseMapKind.HILLSHADE.file
            count = write_hillshade(relief, sector.terrain, sector.frame, sector.box.bounds, source)
            said.append(f"{relief}: {count} tiles of relief")
            features += contours(sector.terrain, sector.frame, sector.box.bounds)
        if features:
            count = write_vector(folder / BaseMapKind.VECTOR.file, features, source)
            said.append(f"{folder / BaseMapKind.VECTOR.file}: {len(features)} features in {count} tiles")
    except BaseMapError as error:
        raise SettingsError(f"basemap make: {error}") from None
    except OSError as error:
        raise SettingsError(f"{error.filename or folder}: {error.strerror}") from None
    if not said:
        raise SettingsError("basemap make: nothing was named; give --layer LAYER=FILE, or --relief")
    return "\n".join([*said, "Open pages draw it within a minute."]), 0


def read_geojson(layer: str, path: Path) -> list[Any]:
    """The features of a file as features of a layer. Raises SettingsError with the file and the feature's number."""
    import shapely
    from shapely.geometry import shape

    from station.basemap import LAYERS
    from station.basemap_write import MapFeature

    if layer not in LAYERS:
        raise SettingsError(f'--layer {layer}={path}: "{layer}" is no layer; there are {", ".join(LAYERS)}')
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise SettingsError(f"{path}: larger than {FILE_LIMIT_BYTES // 1_000_000} MB; cut it to your sector first")
        read = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not GeoJSON that can be read: {error}") from None
    if not isinstance(read, dict) or not isinstance(read.get("features"), list):
        raise SettingsError(f'{path}: not a GeoJSON FeatureCollection (an object with a list "features")')
    if "crs" in read and "CRS84" not in str(read["crs"]) and "4326" not in str(read["crs"]):
        raise SettingsError(f"{path}: is in {read['crs']}; a base map is made of degrees of WGS 84. Transform it first.")
    found = []
    for number, feature in enumerate(read["features"], start=1):
        try:
            geometry = shapely.force_2d(shape(feature["geometry"]))
            properties = feature.get("properties") or {}
            kept = {k: str(properties[k]) for k in KINDS if properties.get(k) not in (None, "")}
        except Exception as error:  # noqa: BLE001 - a stranger's file: whatever is wrong with it is told with its number
            raise SettingsError(f"{path}: feature {number}: {type(error).__name__}: {error}") from None
        if geometry.is_empty:
            continue
        found.append(MapFeature(layer, geometry if geometry.is_valid else shapely.make_valid(geometry), kept))
    return found


def add_basemap(commands: Commands) -> None:
    actions = actions_with_config(commands.add_parser("basemap", help="rivers, roads, places and relief under the map"))
    command(actions, "show", "what there is, where it is from, and whether it can be read", _show)
    make = command(actions, "make", "make it anew of GeoJSON files and the sector's terrain", _make)
    make.add_argument("--layer", action="append", default=[], metavar="LAYER=FILE",
                      help="cover, water, road, trail or place; features with kind and name; may be given more than once")
    make.add_argument("--relief", action="store_true", help="light and shadow, and contour lines, of the sector's terrain")
    make.add_argument("--name", required=True, help="how this map is called")
    make.add_argument("--attribution", required=True, help="whose data it is, as the map has to say")
    make.add_argument("--as-of", default="", metavar="DATE", help="of which time the data is")
    make.add_argument("--invented", action="store_true", help="made up, for exercises; the screen says so")
