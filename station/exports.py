"""What leaves the station as a file: contacts with their trails, detections, alarms; as GeoJSON, CSV, KML or GPX.

Simulated things say so in every format, in a way that survives being opened by another program: SIM stands in the name of
each, and in a column or property of its own. Times are UTC, ISO 8601. A cell of a CSV that a spreadsheet would take for a
formula begins with an apostrophe (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from station.alarms import state_entry
from station.export_kinds import ExportFormat
from station.picture import AlarmView, TrailPoint
from station.queries import ContactHistory, DetectionRow

SIM = "SIM"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")      # full-width ones too
KML = "http://www.opengis.net/kml/2.2"
GPX = "http://www.topografix.com/GPX/1/1"
OURS = "https://trailwatch.invalid/gpx/1"        # of our own elements in GPX; a name, not an address


MEDIA = {
    ExportFormat.GEOJSON: "application/geo+json", ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.KML: "application/vnd.google-earth.kml+xml", ExportFormat.GPX: "application/gpx+xml",
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One line, placemark or track. line: its trail, in order of time; else the one place, or none. at_ns: its time."""

    name: str
    at_ns: int
    simulated: bool
    properties: dict[str, str | int | float | None] = field(default_factory=dict)
    place: tuple[float, float] | None = None        # latitude, longitude
    line: tuple[TrailPoint, ...] = ()

    @property
    def marked_name(self) -> str:
        return f"{SIM} {self.name}" if self.simulated else self.name


def contact_things(histories: Iterable[ContactHistory]) -> Iterator[Thing]:
    for h in histories:
        c = h.contact
        yield Thing(
            c.id, c.last_seen_ns, c.simulated,
            {
                "class": c.object_class.value, "first_seen": iso(c.first_seen_ns), "last_seen": iso(c.last_seen_ns),
                "detections": c.detections, "plate": c.plate, "corridors": " ".join(c.corridors),
                "alarms": " ".join(c.alarms), "merged_into": c.merged_into,
            },
            (c.position.lat_deg, c.position.lon_deg) if c.position else None, h.trail,
        )


def detection_things(rows: Iterable[DetectionRow]) -> Iterator[Thing]:
    for d in rows:
        c = d.covariance
        yield Thing(
            f"{d.sensor}/{d.track}", d.captured_ns, d.simulated,
            {
                "class": d.object_class.value, "captured": iso(d.captured_ns), "node": d.node, "sensor": d.sensor,
                "track": d.track, "score": d.score, "confirmed": int(d.confirmed),
                "sigma_ee_m2": c.ee_m2 if c else None, "sigma_en_m2": c.en_m2 if c else None,
                "sigma_nn_m2": c.nn_m2 if c else None, "bearing_deg": d.bearing_deg, "bearing_sigma_deg": d.sigma_deg,
                "corridors": " ".join(d.corridors), "plate": d.plate, "suspect": d.suspect,
            },
            (d.position.lat_deg, d.position.lon_deg) if d.position else None,
        )


def alarm_things(alarms: Iterable[AlarmView]) -> Iterator[Thing]:
    for a in alarms:
        last = state_entry(a.events) if a.events else None
        yield Thing(
            a.id, a.raised_ns, a.simulated,
            {
                "rule": a.rule, "priority": a.priority, "state": a.state.value, "raised": iso(a.raised_ns),
                "corridor": a.corridor, "contacts": " ".join(a.contacts), "sensor": a.sensor, "node": a.node,
                "last_change": iso(last.at_ns) if last else None, "last_person": last.person if last else None,
                "last_reason": last.reason if last else None,
            },
            (a.position.lat_deg, a.position.lon_deg) if a.position else None,
        )


def write_export(things: Iterable[Thing], form: ExportFormat, title: str, made_ns: int) -> bytes:
    """The whole file. title: what stands in its head; made_ns: when it was made."""
    match form:
        case ExportFormat.GEOJSON:
            return _geojson(things, title, made_ns)
        case ExportFormat.CSV:
            return _csv(things)
        case ExportFormat.KML:
            return _kml(things, title, made_ns)
        case ExportFormat.GPX:
            return _gpx(things, title, made_ns)


def iso(utc_ns: int) -> str:
    """UTC with milliseconds."""
    return datetime.fromtimestamp(utc_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def guarded(value: str | int | float | None) -> str | int | float | None:
    """A cell that no spreadsheet takes for a formula. Numbers stay numbers: a longitude may be negative."""
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def _geojson(things: Iterable[Thing], title: str, made_ns: int) -> bytes:
    """RFC 7946: longitude first. Each point's time stands in `times`, because GeoJSON has no place for it."""
    features = []
    for thing in things:
        geometry: dict[str, object] | None = None
        if len(thing.line) > 1:
            geometry = {"type": "LineString", "coordinates": [[p.lon_deg, p.lat_deg] for p in thing.line]}
        elif thing.place is not None:
            geometry = {"type": "Point", "coordinates": [thing.place[1], thing.place[0]]}
        properties: dict[str, object] = {
            "name": thing.marked_name, "simulated": thing.simulated, "mark": SIM if thing.simulated else "",
            **thing.properties,
        }
        if len(thing.line) > 1:
            properties["times"] = [iso(p.at_ns) for p in thing.line]
        features.append({"type": "Feature", "id": thing.name, "geometry": geometry, "properties": properties})
    return msgspec.json.encode({"type": "FeatureCollection", "title": title, "made": iso(made_ns), "features": features})


def _csv(things: Iterable[Thing]) -> bytes:
    """One line a place: of a trail, one for each of its points. Without its first mark spreadsheets garble Vietnamese."""
    text = io.StringIO()
    text.write("\ufeff")
    writer: csv.DictWriter[str] | None = None
    for thing in things:
        if writer is None:
            columns = ["mark", "name", "at", "lat_deg", "lon_deg", *thing.properties]
            writer = csv.DictWriter(text, columns)
            writer.writeheader()
        rows: list[tuple[int, float | None, float | None]] = [(p.at_ns, p.lat_deg, p.lon_deg) for p in thing.line]
        if not rows:
            lat, lon = thing.place or (None, None)
            rows = [(thing.at_ns, lat, lon)]
        for at_ns, lat, lon in rows:
            row = {
                "mark": SIM if thing.simulated else "", "name": thing.marked_name, "at": iso(at_ns), "lat_deg": lat,
                "lon_deg": lon, **thing.properties,
            }
            writer.writerow({name: guarded(value) for name, value in row.items()})
    return text.getvalue().encode("utf-8")


def _kml(things: Iterable[Thing], title: str, made_ns: int) -> bytes:
    """OGC KML 2.2."""
    root = ET.Element("kml", xmlns=KML)
    document = ET.SubElement(root, "Document")
    _text(document, "name", title)
    _text(document, "description", f"Trailwatch, made {iso(made_ns)}")
    for thing in things:
        mark = ET.SubElement(document, "Placemark")
        _text(mark, "name", thing.marked_name)
        _text(ET.SubElement(mark, "TimeStamp"), "when", iso(thing.at_ns))
        data = ET.SubElement(mark, "ExtendedData")
        for name, value in {"mark": SIM if thing.simulated else "", **thing.properties}.items():
            if value is not None:
                _text(ET.SubElement(data, "Data", name=name), "value", str(value))
        if len(thing.line) > 1:
            line = ET.SubElement(mark, "LineString")
            _text(line, "tessellate", "1")
            _text(line, "coordinates", " ".join(f"{p.lon_deg},{p.lat_deg}" for p in thing.line))
        elif thing.place is not None:
            _text(ET.SubElement(mark, "Point"), "coordinates", f"{thing.place[1]},{thing.place[0]}")
    return _xml(root)


def _gpx(things: Iterable[Thing], title: str, made_ns: int) -> bytes:
    """GPX 1.1: its schema wants metadata, then waypoints, then tracks. What has no place cannot be in it."""
    root = ET.Element("gpx", {"xmlns": GPX, "xmlns:tw": OURS, "version": "1.1", "creator": "Trailwatch"})
    metadata = ET.SubElement(root, "metadata")
    _text(metadata, "name", title)
    _text(metadata, "time", iso(made_ns))
    tracks = []
    for thing in things:
        if len(thing.line) > 1:
            track = ET.Element("trk")
            _about(track, thing)
            segment = ET.SubElement(track, "trkseg")
            for p in thing.line:
                _text(_point(segment, "trkpt", p.lat_deg, p.lon_deg), "time", iso(p.at_ns))
            tracks.append(track)
        elif thing.place is not None:
            point = _point(root, "wpt", *thing.place)
            _text(point, "time", iso(thing.at_ns))
            _about(point, thing)
    root.extend(tracks)
    return _xml(root)


def _about(element: ET.Element, thing: Thing) -> None:
    """Name, description and our own values, in the order that GPX's schema wants."""
    _text(element, "name", thing.marked_name)
    _text(element, "desc", "; ".join(f"{k}: {v}" for k, v in thing.properties.items() if v not in (None, "")))
    if thing.simulated:
        _text(element, "type", SIM)
    extensions = ET.SubElement(element, "extensions")
    _text(extensions, "tw:mark", SIM if thing.simulated else "")


def _point(parent: ET.Element, tag: str, lat_deg: float, lon_deg: float) -> ET.Element:
    return ET.SubElement(parent, tag, lat=f"{lat_deg:.7f}", lon=f"{lon_deg:.7f}")


def _text(parent: ET.Element, tag: str, text: str) -> None:
    # XML 1.0 has no place for control characters, escaped or not.
    ET.SubElement(parent, tag).text = "".join(c for c in text if c >= " " or c in "\t\n\r")


def _xml(root: ET.Element) -> bytes:
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
