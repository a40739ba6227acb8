"""Kind, colour and plate go with vehicles, when they are known, and never with people."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose
from edge import vehicle_looks
from edge.detector import CLASSES, Found
from edge.geolocate import GroundEstimate
from edge.plate_votes import ALPHABET, Reading
from edge.tracker import Tracked
from edge.vehicle_colour import colour_of, light_of
from edge.vehicle_looks import BLANK, TELL_AGAIN_S, VehicleLooks, plate_crop
from wire.messages import Box, Detection, DetectionBatch, PlacementBearing, PlacementPoint, TrackState, TrackUpdate
from wire.units import Colour, Covariance2, GroundPosition, ObjectClass, TimeQuality, VehicleKind, is_vehicle

CAMERA = Camera(Lens(1280, 720, 1000.0, 1000.0, 639.5, 359.5), 1.0, 20.0, 200.0)
POSE = Pose(0.0, 0.0, 104.0, 0.0, -8.0)
NOBODY = np.zeros((0, 4))
HERE = PlacementPoint(GroundPosition(16.62, 106.59), Covariance2(0.1, 0.0, 0.1))
ONLY_A_BEARING = PlacementBearing(GroundPosition(16.62, 106.59), 10.0, 1.0, "too far")


class Desk:
    """In the place of the reader's process: keeps what is handed over, and answers what it is told to."""

    problem = ""

    def __init__(self):
        self.offered, self.read = [], []

    def offer(self, crop):
        self.offered.append(crop)

    def take(self):
        read, self.read = self.read, []
        return read

    def close(self):
        pass


def reading(text="74C12345", sure=0.99):
    chances = np.full((len(text), len(ALPHABET)), (1 - sure) / 35)
    chances[range(len(text)), [ALPHABET.index(c) for c in text]] = sure
    return Reading(chances, 3000.0, 0.6)


def picture(paint=(110, 60, 30), people=()):
    """A street by day with a vehicle of that paint (blue, green, red) in it, and people in one bright colour."""
    image = np.full((720, 1280, 3), (90, 130, 120), np.uint8)
    image[:200] = (235, 215, 200)
    image[::7, ::5] = (60, 110, 80)
    image[300:500, 440:740] = paint
    image[310:370, 480:700] = (24, 21, 17)          # windows
    for x1, y1, x2, y2 in people:
        image[y1:y2, x1:x2] = (255, 0, 255)
    return image


CAR_BOX = np.array([440.0, 300.0, 740.0, 500.0])
DISTANCE_M = {ObjectClass.CAR: 7.3, ObjectClass.TRUCK: 8.5}


def see(looks, at_s, *seen, image=None, placement=HERE, confirmed=True, ended=()):
    """One frame. seen: (track, class, box). Returns its detections as they leave."""
    boxes = np.array([b for _, _, b in seen], float).reshape(-1, 4)
    classes = np.array([CLASSES.index(c) for _, c, _ in seen], np.int64)
    n = len(seen)
    news = tuple(TrackUpdate("g", t, TrackState.ENDED, ObjectClass.CAR, 0, 1, 3, 0.9) for t in ended)
    ids = np.array([t for t, _, _ in seen], np.int64)
    tracked = Tracked(ids, boxes, np.full(n, 0.9), classes, np.full(n, confirmed), news)
    away = np.array([[0.0, DISTANCE_M.get(c, 8.0)] for _, c, _ in seen]).reshape(-1, 2)
    placed = GroundEstimate(
        away, np.tile(np.eye(2) * 0.01, (n, 1, 1)), np.full(n, placement is not HERE), ("",) * n, np.zeros(n), np.ones(n)
    )
    batch = DetectionBatch("g", round(at_s * 1e9), TimeQuality.NTP, "v", tuple(
        Detection(t, c, 0.9, Box(*b), placement, confirmed) for t, c, b in seen
    ))
    shown = picture() if image is None else image
    if looks.follow(tracked, batch.captured_ns):
        found = Found(boxes, np.full(n, 0.9), classes)
        looks.look(shown, found, tracked, placed, CAMERA, POSE, batch.captured_ns)
    return looks.tell(batch).detections


def test_a_vehicles_kind_and_colour_are_told_once_several_looks_agree_and_again_after_a_while():
    looks = VehicleLooks(None)
    told = [see(looks, 100 + 0.5 * k, (1, ObjectClass.CAR, CAR_BOX))[0] for k in range(30)]
    assert told[0].kind is None
    whole = [k for k, d in enumerate(told) if d.kind is VehicleKind.CAR and d.colour is Colour.BLUE]
    assert whole[0] <= 6
    # said again, and not in every frame
    assert 2 <= len(whole) <= 3
    assert whole[1] - whole[0] == TELL_AGAIN_S / 0.5
    assert all(d.plate is None for d in told)


def test_a_colour_that_is_known_is_looked_at_less_often_and_a_new_one_is_noticed(monkeypatch):
    at, when = [], [0.0]

    def counted(*args):
        at.append(when[0])
        return colour_of(*args)

    monkeypatch.setattr(vehicle_looks, "colour_of", counted)
    looks = VehicleLooks(None)
    for when[0] in 100 + 0.1 * np.arange(300):
        see(looks, when[0], (1, ObjectClass.CAR, CAR_BOX), (2, ObjectClass.BUS, np.add(CAR_BOX, 50.0)))
    assert sum(t < 104.0 for t in at) >= 16             # both of them, often enough to tell soon
    assert 20 <= sum(t >= 110.0 for t in at) <= 22      # of each every two seconds
    told = [
        see(looks, 130 + 0.5 * k, (1, ObjectClass.CAR, CAR_BOX), image=picture(paint=(30, 30, 150)))[0].colour
        for k in range(120)
    ]
    assert Colour.RED in told


def test_the_light_of_a_picture_holds_for_a_second_for_all_vehicles_and_also_where_the_clock_is_set_back(monkeypatch):
    lights, colours = [], []
    monkeypatch.setattr(vehicle_looks, "light_of", lambda image: lights.append(1) or light_of(image))
    monkeypatch.setattr(vehicle_looks, "colour_of", lambda *a: colours.append(a[-1].has_colours) or colour_of(*a))
    looks = VehicleLooks(None)
    three = [(k, ObjectClass.CAR, CAR_BOX) for k in range(3)]
    for k in range(40):
        see(looks, 100 + 0.1 * k, *three)
    assert len(colours) > 20 and 3 <= len(lights) <= 4 and all(colours)
    infrared = np.repeat(picture().mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    colours.clear()
    for at_s in 104 + 0.5 * np.arange(20):
        see(looks, at_s, *three, image=infrared)
    assert not any(colours[6:]) and len(colours) > 12
    lights.clear()
    for k in range(60):
        see(looks, 50 + 0.1 * k, (9, ObjectClass.CAR, CAR_BOX), image=infrared)
    assert 1 <= len(lights) <= 6


def test_a_plate_is_on_the_next_detection_that_has_a_place_with_its_confidences():
    desk = Desk()
    looks = VehicleLooks(desk)
    see(looks, 100.0, (1, ObjectClass.CAR, CAR_BOX))
    desk.read = [(1, reading())]
    (bearing,) = see(looks, 100.5, (1, ObjectClass.CAR, CAR_BOX), placement=ONLY_A_BEARING)
    assert bearing.plate is None
    (seen,) = see(looks, 101.0, (1, ObjectClass.CAR, CAR_BOX))
    assert seen.plate == "74C-123.45"
    assert len(seen.plate_confidence) == 8
    assert see(looks, 101.1, (1, ObjectClass.CAR, CAR_BOX))[0].plate is None, "told twice for one reading"
    desk.read = [(1, reading()), (1, reading())]
    assert see(looks, 101.6, (1, ObjectClass.CAR, CAR_BOX))[0].plate == "74C-123.45"


def test_readings_of_a_track_that_has_ended_or_was_never_there_do_no_harm():
    desk = Desk()
    looks = VehicleLooks(desk)
    see(looks, 100.0, (1, ObjectClass.CAR, CAR_BOX))
    see(looks, 100.5, ended=(1,))
    desk.read = [(1, reading()), (99, reading())]
    assert see(looks, 101.0, (2, ObjectClass.CAR, CAR_BOX))[0].plate is None


def test_crops_are_handed_over_now_and_then_and_not_for_ever():
    desk = Desk()
    looks = VehicleLooks(desk)
    for k in range(600):
        see(looks, 100 + 0.1 * k, (1, ObjectClass.CAR, CAR_BOX))
    assert 10 < len(desk.offered) <= 24
    assert all(c.vehicle is ObjectClass.CAR and c.track == 1 for c in desk.offered)


def test_tracks_that_end_without_a_word_are_forgotten():
    looks = VehicleLooks(None)
    for k in range(200):
        see(looks, 100 + 5 * k, (k, ObjectClass.PERSON, CAR_BOX), confirmed=False)
    assert len(looks._known) <= 14


def test_a_far_vehicle_and_one_not_yet_confirmed_are_not_handed_over():
    desk = Desk()
    looks = VehicleLooks(desk)
    for k in range(20):
        see(looks, 100 + k, (1, ObjectClass.CAR, np.array([440.0, 300.0, 500.0, 340.0])))
        see(looks, 100.5 + k, (2, ObjectClass.CAR, CAR_BOX), confirmed=False)
    assert desk.offered == []


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(ObjectClass), min_size=1, max_size=8), st.integers(0, 3))
def test_whatever_a_track_is_taken_for_no_person_is_handed_over_or_has_attributes(classes, people):
    """One track that changes its class, beside others; every reading comes back for every track."""
    desk = Desk()
    looks = VehicleLooks(desk)
    was_person = False
    for k, object_class in enumerate(classes * 4):
        beside = [(10 + p, ObjectClass.PERSON, np.array([100.0 * p, 100, 100.0 * p + 60, 300])) for p in range(people)]
        was_person = was_person or object_class is ObjectClass.PERSON
        before = len(desk.offered)
        told = see(looks, 100 + k, (1, object_class, CAR_BOX), *beside)
        desk.read = [(d.track, reading()) for d in told]
        for d in told:
            if not is_vehicle(d.object_class) or (d.track == 1 and was_person):
                assert (d.plate, d.kind, d.colour, d.plate_confidence) == (None, None, None, ())
        for crop in desk.offered[before:]:
            assert crop.track == 1
            assert not was_person
            assert is_vehicle(crop.vehicle)


def test_people_beside_and_before_a_vehicle_are_blanked_before_its_crop_leaves_the_node():
    people = [(470, 350, 530, 498), (700, 320, 800, 500), (20, 20, 60, 200)]
    image = picture(people=people)
    crop = plate_crop(image, CAR_BOX, ObjectClass.CAR, np.array(people, float))
    assert (image == (255, 0, 255)).all(axis=2).any()
    assert not (crop == (255, 0, 255)).all(axis=2).any()
    assert (crop == BLANK).all(axis=2).sum() > 5_000
    assert (plate_crop(image, CAR_BOX, ObjectClass.CAR, NOBODY) == (255, 0, 255)).all(axis=2).any(), "the test sees nothing"


def test_of_a_motorcycle_only_what_is_below_its_rider_is_handed_over():
    rider, passer_by = (460, 180, 560, 470), (300, 250, 470, 490)
    image = picture(people=[])
    image[180:340, 460:560] = (255, 0, 255)         # head, back and arms
    image[250:490, 300:445] = (0, 255, 255)
    box = np.array([440.0, 260.0, 580.0, 500.0])
    crop = plate_crop(image, box, ObjectClass.MOTORCYCLE, np.array([rider, passer_by], float))
    assert not (crop == (255, 0, 255)).all(axis=2).any()
    assert not (crop == (0, 255, 255)).all(axis=2).any()
    assert (crop == picture()[0, 0]).all(axis=2).mean() < 0.5


@settings(deadline=None)
@given(st.lists(st.floats(-50, 1400), min_size=4, max_size=4), st.sampled_from([c for c in ObjectClass if is_vehicle(c)]))
def test_any_box_gives_a_crop_with_something_in_it(corners, vehicle):
    x, y = sorted(corners[:2]), sorted(corners[2:])
    crop = plate_crop(picture(), np.array([x[0], y[0], x[1] + 1, y[1] + 1]), vehicle, NOBODY)
    assert min(crop.shape[:2]) >= 1


def test_nobodys_clothes_are_a_vehicles_colour():
    """A car that people stand before: their bright colour is not looked at."""
    people = [(440, 330, 560, 500), (600, 330, 700, 500)]
    looks = VehicleLooks(None)
    image = picture(people=people)
    boxes = [(10 + i, ObjectClass.PERSON, np.array(p, float)) for i, p in enumerate(people)]
    told = [see(looks, 100 + k, (1, ObjectClass.CAR, CAR_BOX), *boxes, image=image)[0] for k in range(6)]
    assert {d.colour for d in told} <= {Colour.BLUE, None}


@pytest.mark.parametrize("vehicle", [ObjectClass.MOTORCYCLE])
def test_no_colour_is_told_of_a_motorcycle_which_is_mostly_its_rider(vehicle):
    looks = VehicleLooks(None)
    told = [see(looks, 100 + k, (1, vehicle, CAR_BOX))[0] for k in range(6)]
    assert told[-1].colour is None
    assert VehicleKind.MOTORCYCLE in {d.kind for d in told}
