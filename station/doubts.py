"""What is stored and not believed: a node that says it is somewhere else, and what was seen longer ago than all is kept.

The message is acknowledged, kept and marked; the mind leaves it out of fusion and raises an alarm about the node. A fixed
camera's place is the one that `places.toml` in data_dir surveys; where that says nothing, the first one it ever told. A
drone may be anywhere in the sector. That a node moves with its key in somebody else's hands is what this is for.
"""

from __future__ import annotations

import logging
import math
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from geofences.sector import Sector
from station.doubt_words import DOUBTS
from station.retention import DAY_NS
from wire.clock import Clock
from wire.keys import AllowedNode, NodeKind
from wire.messages import DetectionBatch, PlacementPoint, SensorReport, Snapshot, UpBody
from wire.settings import SettingsError, load_settings
from wire.units import GroundPosition

ELSEWHERE = "elsewhere"             # begins the mark of an arrival; ": " and why follow
STALE = "stale"
WITHIN_M = 50.0                     # of a survey's place: what a consumer GPS strays under trees, and some more
MARGIN_M = {NodeKind.CAMERA: 2_000.0, NodeKind.DRONE: 10_000.0, NodeKind.FLEET: 10_000.0}     # beyond the sector's box
SEEN_MARGIN_M = 5_000.0             # of what a sensor may see beyond it
LOOK_EVERY_NS = 1_000_000_000
METRES_A_DEGREE = 111_195.0

log = logging.getLogger("trailwatch.inbox")


class SurveyedPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """position: latitude, longitude, WGS 84 degrees. within_m: how far from it the sensor may say it is."""

    node: str
    sensor: str
    position: tuple[Annotated[float, msgspec.Meta(ge=-90, le=90)], Annotated[float, msgspec.Meta(ge=-180, le=180)]]
    within_m: Annotated[float, msgspec.Meta(gt=0)] = WITHIN_M


class PlacesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    places: tuple[SurveyedPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    lat_deg: float
    lon_deg: float
    within_m: float
    surveyed: bool


class Doubts:
    """Judges what was admitted. `fresh`: first places that the next commit writes down; whoever commits empties it."""

    def __init__(self, db: sqlite3.Connection, sector: Sector, file: Path, unmatched_days: float, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._kept_ns = round(unmatched_days * DAY_NS)
        west_m, south_m, east_m, north_m = sector.box.bounds
        corners = sector.frame.from_enu([[west_m, south_m], [east_m, north_m]])
        (self._south, self._west), (self._north, self._east) = corners.tolist()
        self._cos = math.cos(math.radians((self._south + self._north) / 2))
        self._told: dict[tuple[str, str], _Place] = {
            (node, sensor): _Place(lat, lon, WITHIN_M, False)
            for node, sensor, lat, lon in db.execute("SELECT node, sensor, lat_deg, lon_deg FROM places")
        }
        self._surveyed: dict[tuple[str, str], _Place] = {}
        self._elsewhere: dict[tuple[str, str], str] = {}        # sensors whose last word about their place was not believed
        self._stamp: tuple[int, int] | None = None
        self._looked_ns = 0
        self.fresh: list[tuple[str, str, float, float, int]] = []
        self._refresh()

    def judge(self, sender: AllowedNode, body: UpBody, received_ns: int) -> str | None:
        """The mark of a message that is not believed; None when there is no doubt."""
        match body:
            case DetectionBatch():
                if body.captured_ns < received_ns - self._kept_ns:
                    return STALE
                return self._elsewhere.get((sender.node, body.sensor)) or self._seen(body)
            case Snapshot():
                return STALE if body.captured_ns < received_ns - self._kept_ns else None
            case SensorReport():
                return self._report(sender, body, received_ns)
            case _:
                return None

    def _seen(self, batch: DetectionBatch) -> str | None:
        margin = SEEN_MARGIN_M / METRES_A_DEGREE
        south, north = self._south - margin, self._north + margin
        west, east = self._west - margin / self._cos, self._east + margin / self._cos
        for d in batch.detections:
            p = d.placement
            if type(p) is PlacementPoint:
                at = p.position
                if not (south <= at.lat_deg <= north and west <= at.lon_deg <= east):
                    return f"{ELSEWHERE}: {DOUBTS.text('doubt.sees', sensor=batch.sensor, place=_words(at))}"
        return None

    def _report(self, sender: AllowedNode, r: SensorReport, received_ns: int) -> str | None:
        if self._clock.monotonic_ns() - self._looked_ns >= LOOK_EVERY_NS:
            self._refresh()
        key, at = (sender.node, r.sensor), GroundPosition(r.position.lat_deg, r.position.lon_deg)
        why = self._of_place(sender, key, at)
        if why is None:
            self._elsewhere.pop(key, None)
            if sender.kind is NodeKind.CAMERA and key not in self._told:
                self._told[key] = _Place(at.lat_deg, at.lon_deg, WITHIN_M, False)
                self.fresh.append((*key, at.lat_deg, at.lon_deg, received_ns))
            return None
        self._elsewhere[key] = f"{ELSEWHERE}: {why}"
        return self._elsewhere[key]

    def _of_place(self, sender: AllowedNode, key: tuple[str, str], at: GroundPosition) -> str | None:
        margin = MARGIN_M[sender.kind] / METRES_A_DEGREE
        inside = (
            self._south - margin <= at.lat_deg <= self._north + margin
            and self._west - margin / self._cos <= at.lon_deg <= self._east + margin / self._cos
        )
        if not inside:
            return DOUBTS.text("doubt.outside", sensor=key[1], place=_words(at))
        if sender.kind is not NodeKind.CAMERA:
            return None
        place = self._surveyed.get(key) or self._told.get(key)
        if place is None:
            return None
        away_m = math.hypot(
            (at.lat_deg - place.lat_deg) * METRES_A_DEGREE,
            (at.lon_deg - place.lon_deg) * METRES_A_DEGREE * math.cos(math.radians(place.lat_deg)),
        )
        if away_m <= place.within_m:
            return None
        known = "doubt.from_survey" if place.surveyed else "doubt.from_first"
        return DOUBTS.text(known, sensor=key[1], place=_words(at), metres=round(away_m))

    def forget_fresh(self) -> None:
        """The commit failed: first places were not written down, and count as never told."""
        for node, sensor, *_ in self.fresh:
            self._told.pop((node, sensor), None)
        self.fresh.clear()

    def _refresh(self) -> None:
        """Read the survey again when it has changed. A file that cannot be used is said, and the last good one stays."""
        self._looked_ns = self._clock.monotonic_ns()
        try:
            stat = self._file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = (0, 0)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp == (0, 0):
            self._surveyed = {}
            return
        try:
            places = load_settings(self._file, PlacesFile).places
        except SettingsError as error:
            log.error("%s; going on with the %d places of before", error, len(self._surveyed))
            return
        self._surveyed = {(p.node, p.sensor): _Place(*p.position, p.within_m, True) for p in places}


def _words(at: GroundPosition) -> str:
    return f"{at.lat_deg:.5f}, {at.lon_deg:.5f}"
