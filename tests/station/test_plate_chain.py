"""A drawn pickup drives by; its plate is read from the pixels, and becomes a question about a subject of the watchlist.

Every stage of the node after the detector is the real one, and so are the process that reads plates, inbox and mind. Only
the boxes come from the truth: no weights that find a drawn pickup for certain are at hand everywhere.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from cameras.camera import Camera
from cameras.pose import Pose, PoseEstimate, PoseSigma
from edge.detector import CLASSES, Found
from edge.plate_reader import PlateReader
from edge.sightings import Sighting, place
from edge.tracker import Tracker
from edge.vehicle_looks import VehicleLooks
from geofences.sector import Sector, load_sector
from geofences.terrain import GridTerrain
from sim.gate import LENS, UP_M, Gate, Shot
from sim.world_state import Kind, Looks
from station.inbox import Inbox
from station.mind import Mind
from station.nomination import make_draft
from station.settings import StationSettings
from station.watchlist import add_subject, approve_subject
from wire.clock import NS_PER_S, WallClock
from wire.messages import DetectionBatch
from wire.units import Colour, ObjectClass, TimeQuality, VehicleKind

PLATE = "74C-123.45"
BLUE = (108, 64, 40)        # blue, green, red
FIELDS = {
    "category": "courier", "label": "Blue pickup", "reason": "r", "lawful_basis": "l", "what_to_do": "w",
    "expires": "2090-01-31", "vehicles": f"{PLATE}/truck/blue",
}


@pytest.fixture
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


class Watcher:
    """The node's stages after its detector, on a mast beside the trail."""

    def __init__(self, sector: Sector, reader: PlateReader) -> None:
        self.sector, self.tracker, self.looks = sector, Tracker("gate-1", 0.4), VehicleLooks(reader)
        self.camera = Camera(LENS, 1.5, 15.0, 110.0)
        at = sector.corridors.ground("khe-da").centre_line.interpolate(60.0)
        self.east, self.north = at.x, at.y
        self.ground = float(sector.terrain.height_msl_m([[at.x, at.y]])[0])
        # Level and well surveyed, as the drawn place is: on unsure ground a pickup's height, and so its kind, is not told.
        south_west = (self.east - 40.0, self.north - 40.0)
        self.terrain = GridTerrain(np.full((17, 17), self.ground), south_west, 5.0, 0.03, synthetic=True)

    def see(self, shot: Shot, captured_ns: int) -> DetectionBatch:
        found = Found(shot.box[None], np.array([0.9]), np.array([CLASSES.index(ObjectClass.TRUCK)]))
        tracked = self.tracker.update(found, captured_ns)
        pose = Pose(self.east, self.north, self.ground + UP_M, shot.pose.yaw_deg, shot.pose.pitch_deg)
        estimate = PoseEstimate(pose, PoseSigma(0.1, 0.05, 0.1, 0.05, 0.05))
        sighting = Sighting(captured_ns, TimeQuality.NTP, tracked, self.camera, estimate)
        (placed,) = place("gate-1", [sighting], self.terrain, self.sector.corridors)
        if self.looks.follow(tracked, captured_ns):
            self.looks.look(shot.image, found, tracked, placed.ground, self.camera, pose, captured_ns)
        return self.looks.tell(placed.batch)


def test_a_plate_read_from_pixels_becomes_a_question_with_its_bits(
    settings: StationSettings, sector: Sector, sender
) -> None:
    clock = WallClock()
    draft, problems = make_draft(FIELDS, sector, clock.utc_ns())
    assert draft is not None, problems
    subject = add_subject(settings, "lan", draft)
    approve_subject(settings, "minh", subject.id)
    inbox, mind = Inbox(settings, sector.corridor_set, clock), Mind(settings, sector, clock)
    node, gate = sender(), Gate()
    sent: list[DetectionBatch] = []
    with PlateReader(clock) as reader:
        watcher = Watcher(sector, reader)
        looks = Looks(3, plate=PLATE, colour=BLUE)
        shots = [gate.shot(Kind.PICKUP, looks, distance_m, 8.0, "day") for distance_m in np.linspace(13.0, 14.5, 4)]
        start_ns, until = clock.utc_ns(), time.monotonic() + 200
        # The pickup stands at the bend, as long as the reader takes to come up, and until it has told its plate.
        for k in range(400):
            sent.append(watcher.see(shots[min(k, 3)], start_ns + k * NS_PER_S // 2))
            if any(d.plate for b in sent for d in b.detections) and k >= 12:
                break
            assert time.monotonic() < until
            time.sleep(0.5 if k > 12 else 0.05)
    gate.close()
    told = [d for b in sent for d in b.detections]
    assert {d.plate for d in told if d.plate} == {PLATE}
    assert {d.kind for d in told if d.kind} == {VehicleKind.PICKUP}
    assert {d.colour for d in told if d.colour} == {Colour.BLUE}

    node.send(*(b for b in sent if b.detections))
    while node.waiting:
        inbox.turn()
        node.listen(0.001)
    while mind.read():
        pass
    mind.pass_time()
    mind.commit()
    (match,) = mind.picture().matches
    assert match.subject == subject.id
    by_signal = {e.signal: e for e in match.evidence}
    assert by_signal["known_vehicle"].bits > 14.0
    assert by_signal["known_vehicle"].says.params["read"] == PLATE
    assert by_signal["colour"].says.key == "match.evidence.colour_agrees"
    (contact,) = [c for c in mind.picture().contacts if c.id == match.contact]
    assert (contact.plate, contact.kind, contact.colour) == (PLATE, VehicleKind.PICKUP, Colour.BLUE)
    # What the mind knows it knows after a restart, too.
    mind.close()
    mind = Mind(settings, sector, clock)
    (again,) = [c for c in mind.picture().contacts if c.id == match.contact]
    assert (again.plate, again.kind, again.colour) == (contact.plate, contact.kind, contact.colour)
    inbox.close()
    mind.close()
