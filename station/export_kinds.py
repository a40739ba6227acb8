"""What can be taken out of a station, and as what kind of file."""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    GEOJSON = "geojson"
    CSV = "csv"
    KML = "kml"
    GPX = "gpx"


class ExportKind(StrEnum):
    CONTACTS = "contacts"
    DETECTIONS = "detections"
    ALARMS = "alarms"
