"""Colours have the names that people give them, by day; at night and in infra-red none is claimed."""

import cv2
import numpy as np
import pytest

from edge.vehicle_colour import colour_of, light_of, name_of
from sim.gate import Gate
from sim.world_state import Kind, Looks
from wire.units import Colour, VehicleKind

NOBODY = np.zeros((0, 4))
# Paints as red, green, blue and what a person calls them.
PAINTS = {
    (214, 214, 212): Colour.WHITE, (160, 164, 168): Colour.GREY, (24, 25, 27): Colour.BLACK, (130, 24, 24): Colour.RED,
    (40, 66, 120): Colour.BLUE, (50, 105, 70): Colour.GREEN, (200, 160, 50): Colour.YELLOW, (200, 100, 30): Colour.ORANGE,
    (96, 70, 44): Colour.BROWN,
}


def lab_of(image):
    return cv2.cvtColor(np.asarray(image, np.float32) / np.float32(255), cv2.COLOR_BGR2LAB)


def lab(rgb):
    return lab_of([[rgb[::-1]]])[0, 0]


@pytest.fixture(scope="module")
def gate():
    made = Gate()
    yield made
    made.close()


@pytest.mark.parametrize("paint", PAINTS)
def test_a_paint_has_the_name_that_people_give_it(paint):
    assert name_of(lab(paint)) is PAINTS[paint]


@pytest.mark.parametrize("light", [0.6, 0.8, 1.0])
@pytest.mark.parametrize("paint", [p for p, c in PAINTS.items() if c in (Colour.RED, Colour.BLUE, Colour.GREEN)])
def test_shadow_does_not_change_a_hue(paint, light):
    assert name_of(lab(tuple(v * light for v in paint))) is PAINTS[paint]


@pytest.mark.parametrize("sky", ["day", "overcast"])
def test_drawn_cars_are_told_by_their_paint(gate, sky):
    told = []
    for k, (paint, name) in enumerate(PAINTS.items()):
        shot = gate.shot(Kind.CAR, Looks(k, plate="74C-123.45", colour=paint[::-1]), 12.0, 25.0, sky)
        colour = colour_of(shot.image, shot.box, VehicleKind.CAR, NOBODY, light_of(shot.image))
        told.append((name.value, getattr(colour, "value", None)))
    assert sum(a == b for a, b in told) >= 7, told


def test_in_infra_red_and_in_the_dark_no_colour_is_claimed(gate):
    looks = Looks(3, plate="74C-123.45", colour=(120, 66, 40))
    night = gate.shot(Kind.CAR, looks, 12.0, 25.0, "infra-red")
    day = gate.shot(Kind.CAR, looks, 12.0, 25.0, "day")
    assert light_of(day.image).has_colours
    assert colour_of(day.image, day.box, VehicleKind.CAR, NOBODY, light_of(day.image)) is Colour.BLUE
    assert not light_of(night.image).has_colours
    assert colour_of(night.image, night.box, VehicleKind.CAR, NOBODY, light_of(night.image)) is None
    dark = (day.image * 0.2).astype(np.uint8)
    assert colour_of(dark, day.box, VehicleKind.CAR, NOBODY, light_of(dark)) is None
    grey = cv2.cvtColor(cv2.cvtColor(day.image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert colour_of(grey, day.box, VehicleKind.CAR, NOBODY, light_of(grey)) is None


@pytest.mark.parametrize("sky", ["day", "overcast", "dusk", "infra-red"])
def test_the_light_of_few_pixels_is_that_of_all(gate, sky):
    image = gate.shot(Kind.CAR, Looks(3, colour=(120, 66, 40)), 12.0, 25.0, sky).image
    whole = lab_of(cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA))
    assert light_of(image).bright_l == pytest.approx(np.percentile(whole[..., 0], 95), abs=1.5)
    assert light_of(image).has_colours == (np.hypot(whole[..., 1], whole[..., 2]).mean() >= 2.5)


@pytest.mark.parametrize("kind", [None, VehicleKind.TRUCK, VehicleKind.MOTORCYCLE])
def test_lorries_motorcycles_and_what_is_not_known_have_no_colour(gate, kind):
    shot = gate.shot(Kind.PICKUP, Looks(3, colour=(120, 66, 40)), 12.0, 25.0, "day")
    assert colour_of(shot.image, shot.box, VehicleKind.PICKUP, NOBODY, light_of(shot.image)) is Colour.BLUE
    assert colour_of(shot.image, shot.box, kind, NOBODY, light_of(shot.image)) is None


def test_a_small_box_one_outside_and_one_hidden_by_people_have_none(gate):
    shot = gate.shot(Kind.CAR, Looks(3, colour=(120, 66, 40)), 12.0, 25.0, "day")
    for box in ([600, 300, 630, 325], [2000, 300, 2300, 500], [-500, -300, -100, -50]):
        assert colour_of(shot.image, np.array(box, float), VehicleKind.CAR, NOBODY, light_of(shot.image)) is None
    assert colour_of(shot.image, shot.box, VehicleKind.CAR, shot.box[None], light_of(shot.image)) is None
