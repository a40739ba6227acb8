"""A flight's way as KML (OGC 2.2, with the gx:Track of Google Earth) and as GPX 1.1, read from its .tlog."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from fleet.tlog import read_tlog

KML = "http://www.opengis.net/kml/2.2"
GX = "http://www.google.com/kml/ext/2.2"
GPX = "http://www.topografix.com/GPX/1/1"


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """utc_us: when it was received. msl_m: above mean sea level."""

    utc_us: int
    lat_deg: float
    lon_deg: float
    msl_m: float

    def when(self) -> str:
        at = datetime.datetime.fromtimestamp(self.utc_us / 1e6, tz=datetime.UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def track(tlog: Path) -> tuple[TrackPoint, ...]:
    """Where it said it was; what came twice, over two links, once."""
    return tuple(_points(tlog))


def _points(tlog: Path) -> Iterator[TrackPoint]:
    last_boot_ms = -1
    for utc_us, m in read_tlog(tlog):
        if m.get_type() != "GLOBAL_POSITION_INT" or (m.lat == 0 and m.lon == 0) or m.time_boot_ms == last_boot_ms:
            continue
        last_boot_ms = m.time_boot_ms
        yield TrackPoint(utc_us, m.lat / 1e7, m.lon / 1e7, m.alt / 1000.0)


def as_gpx(points: Sequence[TrackPoint], name: str) -> bytes:
    ElementTree.register_namespace("", GPX)
    root = ElementTree.Element(f"{{{GPX}}}gpx", {"version": "1.1", "creator": "Trailwatch"})
    trk = ElementTree.SubElement(root, f"{{{GPX}}}trk")
    ElementTree.SubElement(trk, f"{{{GPX}}}name").text = name
    segment = ElementTree.SubElement(trk, f"{{{GPX}}}trkseg")
    for p in points:
        point = ElementTree.SubElement(segment, f"{{{GPX}}}trkpt", {"lat": f"{p.lat_deg:.7f}", "lon": f"{p.lon_deg:.7f}"})
        ElementTree.SubElement(point, f"{{{GPX}}}ele").text = f"{p.msl_m:.2f}"
        ElementTree.SubElement(point, f"{{{GPX}}}time").text = p.when()
    return _written(root)


def as_kml(points: Sequence[TrackPoint], name: str) -> bytes:
    ElementTree.register_namespace("", KML)
    ElementTree.register_namespace("gx", GX)
    root = ElementTree.Element(f"{{{KML}}}kml")
    document = ElementTree.SubElement(root, f"{{{KML}}}Document")
    ElementTree.SubElement(document, f"{{{KML}}}name").text = name
    mark = ElementTree.SubElement(document, f"{{{KML}}}Placemark")
    ElementTree.SubElement(mark, f"{{{KML}}}name").text = name
    line = ElementTree.SubElement(mark, f"{{{GX}}}Track")
    ElementTree.SubElement(line, f"{{{KML}}}altitudeMode").text = "absolute"
    for p in points:
        ElementTree.SubElement(line, f"{{{KML}}}when").text = p.when()
    for p in points:
        ElementTree.SubElement(line, f"{{{GX}}}coord").text = f"{p.lon_deg:.7f} {p.lat_deg:.7f} {p.msl_m:.2f}"
    return _written(root)


def _written(root: ElementTree.Element) -> bytes:
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
