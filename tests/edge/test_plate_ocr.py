"""Drawn plates are read, one row and two; small, cut off and other writing is not."""

import numpy as np
import pytest

from edge.plate_ocr import PLATE_LEAST_PX2, PlateOcr, sharpness
from edge.plate_votes import vote
from edge.vehicle_looks import plate_crop
from sim.gate import Gate
from sim.world_state import Kind, Looks
from wire.units import ObjectClass

pytestmark = pytest.mark.together(30)

NOBODY = np.zeros((0, 4))


@pytest.fixture(scope="module")
def ocr():
    return PlateOcr()


@pytest.fixture(scope="module")
def gate():
    made = Gate()
    yield made
    made.close()


def crop_of(gate, kind, plate, distance_m, heading_deg, sky="day"):
    shot = gate.shot(kind, Looks(5, plate=plate, colour=(90, 60, 50)), distance_m, heading_deg, sky)
    vehicle = {Kind.CAR: ObjectClass.CAR, Kind.MOTORCYCLE: ObjectClass.MOTORCYCLE}.get(kind, ObjectClass.TRUCK)
    return plate_crop(shot.image, shot.box, vehicle, NOBODY)


@pytest.mark.parametrize(("kind", "plate", "distance_m", "heading_deg", "sky"), [
    (Kind.PICKUP, "74C-123.45", 9.0, 10.0, "day"),          # two rows, from behind
    (Kind.CAR, "51F-904.18", 9.0, 205.0, "day"),            # one row, in front
    (Kind.MOTORCYCLE, "74-C1 678.90", 5.0, 15.0, "day"),
    (Kind.CAR, "29H-678.90", 9.0, -30.0, "dusk"),
    (Kind.PICKUP, "36K-381.21", 9.0, 0.0, "infra-red"),
])
def test_plates_are_read_as_they_are_written(ocr, gate, kind, plate, distance_m, heading_deg, sky):
    reading = ocr.read(crop_of(gate, kind, plate, distance_m, heading_deg, sky))
    assert reading is not None
    assert reading.area_px >= PLATE_LEAST_PX2
    told = vote([reading])
    assert told is not None
    assert "".join(c for c in told.text if c.isalnum()) == "".join(c for c in plate if c.isalnum())


def test_a_plate_below_a_thousand_pixels_is_not_read(ocr, gate):
    near, far = (crop_of(gate, Kind.CAR, "74C-123.45", d, 0.0) for d in (9.0, 24.0))
    assert ocr.read(near) is not None
    assert ocr.read(far) is None


def test_a_plate_that_the_crop_cuts_off_is_not_read_as_a_shorter_one(ocr, gate):
    whole = crop_of(gate, Kind.CAR, "74C-123.45", 7.0, 180.0)
    assert vote([ocr.read(whole)]).text == "74C-123.45"
    for right in range(whole.shape[1] // 2 - 60, whole.shape[1] // 2 + 80, 20):
        reading = ocr.read(np.ascontiguousarray(whole[:, :right]))
        assert reading is None or vote([reading]).text == "74C-123.45"


def test_where_there_is_no_plate_nothing_is_read(ocr, gate):
    assert ocr.read(crop_of(gate, Kind.CAR, "", 9.0, 0.0)) is None
    assert ocr.read(np.zeros((2, 2, 3), np.uint8)) is None
    assert ocr.read(np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)) is None


def test_a_blurred_line_is_less_sharp():
    import cv2

    line = np.full((40, 200, 3), 230, np.uint8)
    cv2.putText(line, "74C12345", (6, 30), cv2.FONT_HERSHEY_DUPLEX, 1.1, (10, 10, 10), 2)
    assert sharpness(line) > 1.5 * sharpness(cv2.GaussianBlur(line, (0, 0), 3.0))
