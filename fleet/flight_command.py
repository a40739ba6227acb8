"""The flight book on the command line: the list of flights, and one flight's way as KML or GPX."""

from __future__ import annotations

import argparse
import datetime

from fleet.flight_book import FlightBook, FlightRow
from fleet.flight_export import as_gpx, as_kml, track
from fleet.settings import load
from wire.clock import NS_PER_S
from wire.settings import SettingsError


def run(a: argparse.Namespace) -> tuple[str, int]:
    """List the flights, or write one. Returns what is to be printed and the exit status."""
    folder = load(a.config).data_dir / "flights"
    if not (folder / "flight-book.db").exists():
        raise SettingsError(f"{folder}: there is no flight book yet; the fleet service begins it")
    book = FlightBook(folder, keep=False)
    flights = book.flights()
    book.close()
    if a.flight is None:
        return "\n".join(_line(each) for each in flights), 0
    row = next((r for r in flights if r.id == a.flight), None)
    if row is None:
        raise SettingsError(f"there is no flight {a.flight} in {folder}")
    if a.out is None or a.out.suffix not in (".kml", ".gpx"):
        raise SettingsError("give --out FILE.kml or --out FILE.gpx")
    if not (folder / row.tlog).exists():
        raise SettingsError(f"the log of flight {a.flight} is not there any more: {folder / row.tlog}")
    points = track(folder / row.tlog)
    name = f"{row.drone} {_when(row.armed_ns)}"
    a.out.write_bytes(as_kml(points, name) if a.out.suffix == ".kml" else as_gpx(points, name))
    return f"{a.out}: {len(points)} places of flight {row.id}", 0


def _when(utc_ns: int) -> str:
    return datetime.datetime.fromtimestamp(utc_ns / NS_PER_S, tz=datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _line(r: FlightRow) -> str:
    kind = "simulated" if r.simulated else "real"
    ending = r.ending or "in the air"
    return (
        f"{r.id:5}  {_when(r.armed_ns)}  {r.drone:12} {kind:9} {r.airborne_s / 60:6.1f} min {r.distance_m / 1000:7.2f} km "
        f"{r.highest_m:5.0f} m  {ending}  {r.tlog}"
    )
