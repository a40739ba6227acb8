"""Files that leave the station: read back by other parsers, marked where simulated, harmless in a spreadsheet, recorded."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.alarms import Decision, decide, join_contact
from station.archive import Archive
from station.export_kinds import ExportFormat, ExportKind
from station.exports import GPX, KML, Thing, guarded, write_export
from station.picture import AlarmState, TrailPoint
from station.queries import AlarmQuery, ContactQuery, DetectionQuery
from tests.station.conftest import SECTOR, frame_of, point_detection
from tests.station.stored import NOW_NS, a_contact, an_alarm, fill_inbox, fill_mind, look
from wire.clock import NS_PER_S, SteppedClock
from wire.units import GroundPosition

TRAIL = [(16.62115, 106.59110), (16.62090, 106.59260), (16.62060, 106.59390)]
K, G = f"{{{KML}}}", f"{{{GPX}}}"


@pytest.fixture
def archive(settings):
    walker = a_contact(1, TRAIL)
    fill_mind(settings, [walker, a_contact(2, TRAIL[:1], simulated=False)], [an_alarm(1, walker)])
    fill_inbox(settings, (NOW_NS, frame_of("gate", NOW_NS, point_detection(GroundPosition(*TRAIL[0]), track=4))))
    return Archive(settings, load_sector(SECTOR), SteppedClock(utc_ns=NOW_NS + 3600 * NS_PER_S))


def made(archive, form, kind=ExportKind.CONTACTS, query=None):
    return archive.export("hoa", kind, form, query or ContactQuery()).content


def test_geojson_holds_trails_longitude_first_and_the_mark(archive) -> None:
    out = json.loads(made(archive, ExportFormat.GEOJSON))
    features = {f["id"]: f for f in out["features"]}
    walker, single = features["C-000001"], features["C-000002"]
    assert walker["geometry"] == {"type": "LineString", "coordinates": [[lon, lat] for lat, lon in TRAIL]}
    assert (walker["properties"]["mark"], walker["properties"]["simulated"]) == ("SIM", True)
    assert walker["properties"]["name"].startswith("SIM ") and len(walker["properties"]["times"]) == 3
    assert single["geometry"]["type"] == "Point"
    assert (single["properties"]["mark"], single["properties"]["name"]) == ("", "C-000002")


def test_csv_has_a_line_a_point_and_the_mark(archive) -> None:
    text = made(archive, ExportFormat.CSV).decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    walker = [r for r in lines if r["name"] == "SIM C-000001"]
    assert [(float(r["lat_deg"]), float(r["lon_deg"])) for r in walker] == TRAIL
    assert {r["mark"] for r in walker} == {"SIM"}
    assert [r["mark"] for r in lines if r["name"] == "C-000002"] == [""]
    assert walker[0]["at"] == "2027-01-15T08:00:00.000Z" and walker[0]["alarms"] == "A-000001"


def test_kml_has_a_placemark_each_with_the_mark(archive) -> None:
    root = ET.fromstring(made(archive, ExportFormat.KML))
    marks = {m.findtext(f"{K}name"): m for m in root.iter(f"{K}Placemark")}
    assert set(marks) == {"SIM C-000001", "C-000002"}
    assert marks["SIM C-000001"].findtext(f"{K}LineString/{K}coordinates").split()[0] == "106.5911,16.62115"
    data = {d.get("name"): d.findtext(f"{K}value") for d in marks["SIM C-000001"].iter(f"{K}Data")}
    assert data["mark"] == "SIM" and data["class"] == "person"


def test_gpx_has_tracks_and_waypoints_in_the_schemas_order_with_the_mark(archive) -> None:
    root = ET.fromstring(made(archive, ExportFormat.GPX))
    assert root.get("version") == "1.1"
    assert [child.tag.removeprefix(G) for child in root] == ["metadata", "wpt", "trk"]
    track = root.find(f"{G}trk")
    assert (track.findtext(f"{G}name"), track.findtext(f"{G}type")) == ("SIM C-000001", "SIM")
    points = [(float(p.get("lat")), float(p.get("lon")), p.findtext(f"{G}time")) for p in track.iter(f"{G}trkpt")]
    assert [(lat, lon) for lat, lon, _ in points] == TRAIL and points[1][2] == "2027-01-15T08:00:01.000Z"
    assert root.find(f"{G}wpt").findtext(f"{G}name") == "C-000002"
    assert [child.tag.removeprefix(G) for child in track] == ["name", "desc", "type", "extensions", "trkseg"]


@pytest.mark.parametrize("form", list(ExportFormat))
def test_detections_and_alarms_go_out_in_every_format_marked(archive, form) -> None:
    detections = made(archive, form, ExportKind.DETECTIONS, DetectionQuery())
    assert b"SIM" in detections and b"gate" in detections
    alarms = made(archive, form, ExportKind.ALARMS, AlarmQuery())
    # An alarm without a place has no room in GPX, and the file says nothing of it.
    assert (b"A-000001" in alarms and b"SIM" in alarms) or form is ExportFormat.GPX


def test_an_alarms_line_names_who_decided_and_not_what_joined_later(settings) -> None:
    alarm = an_alarm(1, a_contact(1, TRAIL))
    assert decide(alarm, Decision(AlarmState.ACKNOWLEDGED, "lan", "seen"), NOW_NS + NS_PER_S) is None
    join_contact(alarm, 2, "C-000002", NOW_NS + 9 * NS_PER_S)
    fill_mind(settings, alarms=[alarm])
    archive = Archive(settings, load_sector(SECTOR), SteppedClock(utc_ns=NOW_NS + 3600 * NS_PER_S))
    text = made(archive, ExportFormat.CSV, ExportKind.ALARMS, AlarmQuery()).decode("utf-8-sig")
    line, = csv.DictReader(io.StringIO(text))
    assert (line["state"], line["last_person"], line["last_reason"]) == ("acknowledged", "lan", "seen")
    assert line["last_change"] == "2027-01-15T08:00:01.000Z" and line["contacts"] == "C-000001 C-000002"


def test_every_export_is_on_the_record_with_its_filter(archive, settings) -> None:
    archive.export("hoa", ExportKind.CONTACTS, ExportFormat.CSV, ContactQuery(corridor="khe-da"))
    (person, action, details), = look(settings.record_db, "SELECT person, action, details FROM entries")
    told = json.loads(details)
    assert (person, action, told["what"], told["format"], told["rows"]) == ("hoa", "export.made", "contacts", "csv", 2)
    assert json.loads(told["query"]) == {"corridor": "khe-da"}


def test_nothing_leaves_when_the_record_cannot_be_written(archive, settings) -> None:
    archive.export("hoa", ExportKind.CONTACTS, ExportFormat.CSV, ContactQuery())
    settings.record_db.write_bytes(b"broken" * 1000)
    with pytest.raises(Exception, match="readonly database"):
        archive.export("hoa", ExportKind.CONTACTS, ExportFormat.CSV, ContactQuery())


@given(st.text(max_size=30))
def test_no_cell_begins_as_a_formula_and_none_loses_its_text(text) -> None:
    cell = guarded(text)
    assert cell in (text, f"'{text}")
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


def test_a_plate_that_is_a_formula_is_text_in_a_spreadsheet_and_numbers_stay_numbers() -> None:
    thing = Thing("C-1", NOW_NS, False, {"plate": '=HYPERLINK("http://x")', "score": -0.5}, (-16.5, -106.5))
    rows = list(csv.DictReader(io.StringIO(write_export([thing], ExportFormat.CSV, "t", NOW_NS).decode("utf-8-sig"))))
    assert rows[0]["plate"].startswith("'=") and rows[0]["lat_deg"] == "-16.5" and rows[0]["score"] == "-0.5"


@given(st.text(max_size=20), st.booleans())
def test_whatever_a_name_holds_each_format_stays_readable(name, simulated) -> None:
    point = TrailPoint(16.0, 106.0, NOW_NS)
    things = [
        Thing(name, NOW_NS, simulated, {"plate": name}, None, (point, point)), Thing(name, NOW_NS, simulated, {}, (1, 2)),
    ]
    json.loads(write_export(things, ExportFormat.GEOJSON, name, NOW_NS))
    for form in (ExportFormat.KML, ExportFormat.GPX):
        ET.fromstring(write_export(things, form, name, NOW_NS))
    assert list(csv.reader(io.StringIO(write_export(things, ExportFormat.CSV, name, NOW_NS).decode("utf-8-sig"))))
