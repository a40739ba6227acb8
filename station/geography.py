"""The sector as a page draws it: GeoJSON in degrees, and what must be said about where it is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from geofences.sector import Sector, SectorSettings
from wire.settings import load_settings

JsonObject = dict[str, Any]


class Geography(msgspec.Struct, frozen=True):
    """box: west, south, east, north. *_label: where the name of a side is written; longitude, latitude.

    border_advisory: the line is not the agency's own. terrain_synthetic: heights are invented.
    """

    sector: str
    name: str
    utc_offset_min: int
    box: tuple[float, float, float, float]
    own_label: tuple[float, float]
    other_label: tuple[float, float]
    border: JsonObject
    border_advisory: bool
    border_source: str
    border_as_of: str
    border_buffer_m: float
    terrain_synthetic: bool
    own_side: JsonObject
    other_side: JsonObject
    strips: JsonObject
    centre_lines: JsonObject
    keep_outs: JsonObject
    names: dict[str, str]


def draw_geography(sector: Sector, file: Path) -> Geography:
    """What /api/geography answers; `file` is the sector's own settings file."""
    south, west, north, east = load_settings(file, SectorSettings).box
    own, other = sector.border.own_side, sector.box.difference(sector.border.own_side)

    def degrees(shape: BaseGeometry) -> JsonObject:
        turned = shapely.transform(shape, lambda c: sector.frame.from_enu(c)[:, ::-1])
        geometry: JsonObject = mapping(shapely.set_precision(turned, 1e-7))
        return geometry

    def feature(shape: BaseGeometry, **properties: object) -> JsonObject:
        return {"type": "Feature", "properties": properties, "geometry": degrees(shape)}

    def collection(features: list[JsonObject]) -> JsonObject:
        return {"type": "FeatureCollection", "features": features}

    def label(side: BaseGeometry) -> tuple[float, float]:
        largest = max(shapely.get_parts(side), key=shapely.area)
        middle = shapely.maximum_inscribed_circle(largest, tolerance=50.0).coords[0]
        lat, lon = sector.frame.from_enu([middle])[0]
        return float(lon), float(lat)

    grounds = sector.corridors.grounds
    return Geography(
        sector=sector.id,
        name=sector.name,
        utc_offset_min=sector.utc_offset_min,
        box=(west, south, east, north),
        own_label=label(own),
        other_label=label(other),
        border=sector.border_geojson,
        border_advisory=sector.border.advisory,
        border_source=sector.border.source,
        border_as_of=sector.border.as_of,
        border_buffer_m=sector.border_buffer_m,
        terrain_synthetic=sector.terrain.synthetic,
        own_side=feature(own),
        other_side=feature(other),
        strips=collection(
            [
                feature(g.strip, id=g.corridor.id, name=g.corridor.name, priority=g.corridor.priority,
                        width_m=g.corridor.width_m, alarm_minutes=g.corridor.alarm_minutes)
                for g in grounds
            ]
        ),
        centre_lines=collection([feature(g.centre_line, id=g.corridor.id, name=g.corridor.name) for g in grounds]),
        keep_outs=collection([feature(k.outline, id=k.id, name=k.name) for k in sector.keep_outs]),
        names={g.corridor.id: g.corridor.name for g in grounds} | {k.id: k.name for k in sector.keep_outs},
    )
