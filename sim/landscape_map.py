"""A landscape as its base map: what a surveyor would have drawn of it, labelled as invented."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from itertools import pairwise
from pathlib import Path

import contourpy
import cv2
import numpy as np
import shapely

from geofences.sector import Sector
from sim.landscape_cache import cache_folder, digest
from sim.landscape_lines import MAIN_ROAD
from sim.world_scenario import Scenario
from sim.world_state import COVER_CODES, Cover, Landscape
from station.basemap import BaseMapKind, Source
from station.basemap_write import MapFeature, contours, to_degrees, write_hillshade, write_vector

COVERS = {Cover.FIELD: "field", Cover.GRASS: "grass", Cover.FOREST_FLOOR: "forest"}
POSTS = 4                           # posts of the cover's grid in one of the map's: 10 m
LEAST_AREA_M2 = 900.0
SOURCE = Source("Exercise landscape", "Invented for an exercise; no such ground exists.", synthetic=True)
KEPT = 4                            # maps in the cache; the oldest goes


def cached_basemap(folder: Path, scenario: Scenario, landscape: Landscape, cache: Path | None = None) -> None:
    """As write_basemap, from the cache where it was drawn before. A cache that cannot be written is done without."""
    code = [Path(__file__), *(Path(__file__).parents[1] / f"station/{name}.py" for name in ("basemap", "basemap_write"))]
    drawn_by = hashlib.sha256(b"".join(source.read_bytes() for source in code)).hexdigest()[:12]
    kept = (cache or cache_folder()) / f"{digest(scenario)}-{drawn_by}-map"
    folder.mkdir(parents=True, exist_ok=True)
    names = [kind.file for kind in BaseMapKind]
    if not all((kept / name).exists() for name in names):
        write_basemap(folder, landscape, scenario.sector)
        with contextlib.suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            for name in names:
                shutil.copyfile(folder / name, kept / f"{name}.part")
                (kept / f"{name}.part").replace(kept / name)
            for old in sorted(kept.parent.glob("*-map"), key=lambda p: p.stat().st_mtime, reverse=True)[KEPT:]:
                shutil.rmtree(old, ignore_errors=True)
        return
    for name in names:
        shutil.copyfile(kept / name, folder / name)


def write_basemap(folder: Path, landscape: Landscape, sector: Sector) -> None:
    """Both files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_vector(folder / BaseMapKind.VECTOR.file, features_of(landscape, sector), SOURCE)
    write_hillshade(folder / BaseMapKind.HILLSHADE.file, landscape.terrain, sector.frame, sector.box.bounds, SOURCE)


def features_of(landscape: Landscape, sector: Sector) -> list[MapFeature]:
    """Cover, water, contours, roads and trails inside of the sector's box. No places: nobody lives in it."""
    found = _covers(landscape, sector)
    river = shapely.LineString(landscape.river).buffer(landscape.river_width_m / 2, cap_style="flat")
    found.append(MapFeature("water", to_degrees(shapely.intersection(river, sector.box), sector.frame)))
    found += contours(landscape.terrain, sector.frame, sector.box.bounds)
    for layer, ways in (("road", landscape.roads), ("trail", landscape.trails)):
        for name, line in ways.items():
            inside = shapely.intersection(shapely.LineString(line), sector.box)
            if not inside.is_empty:
                properties = {"kind": "main" if name == MAIN_ROAD else "track"} if layer == "road" else {}
                found.append(MapFeature(layer, to_degrees(inside, sector.frame), properties))
    return found


def _covers(landscape: Landscape, sector: Sector) -> list[MapFeature]:
    found = []
    rows, columns = (n // POSTS for n in landscape.cover.shape)
    step = landscape.cover_step_m * POSTS
    middle = (POSTS - 1) / 2 * landscape.cover_step_m
    e = landscape.cover_south_west_m[0] + middle + np.arange(columns) * step
    n = landscape.cover_south_west_m[1] + middle + np.arange(rows) * step
    for cover, kind in COVERS.items():
        mask = (landscape.cover == COVER_CODES.index(cover)).astype(np.float32)
        share = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA)
        share = cv2.GaussianBlur(share, (0, 0), 1.0)
        share[[0, -1]] = share[:, [0, -1]] = 0.0            # so that every outline closes
        shapes = contourpy.contour_generator(e, n, share, fill_type="OuterOffset").filled(0.5, 2.0)
        areas = []
        for points, offsets in zip(*shapes, strict=True):
            rings = [points[a:b] for a, b in pairwise(offsets)]
            areas.append(shapely.make_valid(shapely.Polygon(rings[0], rings[1:])))
        whole = shapely.intersection(shapely.simplify(shapely.union_all(areas), 2.0), sector.box)
        found += [
            MapFeature("cover", to_degrees(part, sector.frame), {"kind": kind})
            for part in shapely.get_parts(whole) if part.geom_type == "Polygon" and part.area >= LEAST_AREA_M2
        ]
    return found
