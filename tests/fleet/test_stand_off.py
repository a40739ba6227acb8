"""From which side a drone looks at somebody: inside its room, not too near, and never so that the way out is a cliff."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Point

from fleet.checker import CheckLimits
from fleet.stand_off import (
    BEARINGS,
    FAN_DEG,
    FAR_M,
    HEIGHT_LEAST_M,
    HEIGHT_M,
    LEAST_M,
    RADIUS_M,
    Room,
    bad_ways,
    bearing_to,
    next_place,
    point_at,
    room_of,
    sides_of,
    turn_deg,
)
from fleet.wind import Wind
from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import GridTerrain
from wire.units import GroundPosition

HOME = GroundPosition(16.62225, 106.60230)
CALM = CheckLimits(1200.0, wind=Wind(1.0, 0.3, None, assumed=False))
STEP_M = 5.0
ON_TRAIL = np.array([-250.0, 240.0])        # a place beside the trail Khe Đá, some 500 m from home


def with_cliff(sector: Sector, beside: Array, way_deg: float, distance_m: float = 30.0) -> Sector:
    """The sector with a wall of 60 m, so far from a place in one direction, and even ground everywhere else."""
    side = 401
    south_west = (float(beside[0]) - side * STEP_M / 2.0, float(beside[1]) - side * STEP_M / 2.0)
    axis = np.arange(side) * STEP_M
    east, north = np.meshgrid(south_west[0] + axis - beside[0], south_west[1] + axis - beside[1])
    angle = math.radians(way_deg)
    along = east * math.sin(angle) + north * math.cos(angle)
    heights = np.where(along > distance_m, 105.0, 165.0)
    return replace(sector, terrain=GridTerrain(heights, south_west, STEP_M, 0.3, synthetic=True))


@pytest.fixture(scope="module")
def room(sector: Sector) -> Room:
    return room_of(sector, sector.frame.point(HOME), CALM, 8.0)


def test_on_even_ground_every_side_is_free_and_the_drone_goes_round(room: Room) -> None:
    sides = sides_of(ON_TRAIL, RADIUS_M, HEIGHT_M, room)
    assert sides.free and not sides.pressed.any() and not sides.hidden.any()
    here = point_at(ON_TRAIL, 90.0, RADIUS_M)
    turned = 0.0
    for _ in range(40):
        place, _ = next_place(ON_TRAIL, here, 10.0, RADIUS_M, HEIGHT_M, room)
        assert place is not None
        turned += turn_deg(bearing_to(ON_TRAIL, here), place.bearing_deg)
        assert np.linalg.norm(place.at - ON_TRAIL) == pytest.approx(RADIUS_M, abs=0.5)
        here = place.at
    assert turned == pytest.approx(400.0, abs=1.0)


@pytest.mark.parametrize("way_deg", [0.0, 90.0, 200.0, 315.0])
def test_it_never_stands_where_the_way_away_from_it_is_a_cliff(sector: Sector, way_deg: float) -> None:
    cliff = with_cliff(sector, ON_TRAIL, way_deg)
    room = room_of(cliff, cliff.frame.point(HOME), CALM, 8.0)
    bad = BEARINGS[bad_ways(ON_TRAIL, cliff)]
    assert bad.size and all(abs(turn_deg(way_deg, b)) < 80.0 for b in bad), "only ahead of the cliff"
    sides = sides_of(ON_TRAIL, RADIUS_M, HEIGHT_M, room)
    for bearing, may in zip(BEARINGS, sides.may, strict=True):
        drives_towards = (bearing + 180.0) % 360.0
        if may:
            assert all(abs(turn_deg(drives_towards, b)) >= FAN_DEG for b in bad), f"{bearing} drives him over"
    assert sides.may.any(), "and there is a side left to look from"


def test_where_every_side_presses_somebody_it_keeps_far_off(sector: Sector) -> None:
    """A ledge: steep ground on all sides."""
    side = 401
    south_west = (float(ON_TRAIL[0]) - side * STEP_M / 2.0, float(ON_TRAIL[1]) - side * STEP_M / 2.0)
    axis = np.arange(side) * STEP_M
    east, north = np.meshgrid(south_west[0] + axis - ON_TRAIL[0], south_west[1] + axis - ON_TRAIL[1])
    heights = np.where(np.hypot(east, north) < 25.0, 185.0, 165.0)
    ledge = replace(sector, terrain=GridTerrain(heights, south_west, STEP_M, 0.3, synthetic=True))
    room = room_of(ledge, ledge.frame.point(HOME), CALM, 8.0)
    sides = sides_of(ON_TRAIL, RADIUS_M, HEIGHT_M, room)
    assert sides.pressed.all() and not sides.may.any()
    place, _ = next_place(ON_TRAIL, ON_TRAIL + np.array([300.0, 30.0]), 0.0, RADIUS_M, HEIGHT_M, room)
    assert place is not None and place.radius_m == FAR_M


def test_the_border_line_is_where_nobody_is_driven_either(sector: Sector, room: Room) -> None:
    line = np.asarray(shapely.shortest_line(Point(sector.frame.point(HOME)), sector.border.line).coords)
    inland = (line[0] - line[1]) / np.linalg.norm(line[0] - line[1])
    contact = line[1] + inland * 40.0           # somebody 40 m from the line
    towards = bearing_to(contact, line[1])
    assert bad_ways(contact, sector)[round(towards / 10.0) % 36]
    assert not sides_of(contact, RADIUS_M, HEIGHT_M, room).may.any(), "and the drone itself would be within the buffer"


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Array, Array, float, float]:
    contact = ON_TRAIL + np.array([draw(st.floats(-400, 600)), draw(st.floats(-250, 250))])
    here = contact + np.array([draw(st.floats(-500, 500)), draw(st.floats(-500, 500))])
    return contact, here, draw(st.floats(-15, 15)), draw(st.floats(LEAST_M, 80.0))


@settings(max_examples=150)
@given(scenes())
def test_whatever_place_is_chosen_keeps_every_distance(room: Room, scene: tuple[Array, Array, float, float]) -> None:
    contact, here, ahead_deg, radius_m = scene
    if not room.polygon.contains(Point(here)):
        return
    place, sides = next_place(contact, here, ahead_deg, radius_m, HEIGHT_M, room)
    if place is None:
        return
    assert room.polygon.covers(LineString([here, place.at])), "the way there is part of the room"
    assert np.linalg.norm(place.at - contact) >= radius_m - 1e-6
    passes_m = LineString([here, place.at]).distance(Point(contact))
    assert passes_m >= min(0.97 * radius_m, float(np.linalg.norm(here - contact)) - 0.11), "it does not fly over him"
    ground = float(room.sector.terrain.height_msl_m(place.at)[0])
    assert place.height_m + room.home_msl_m - ground >= HEIGHT_LEAST_M
    if place.radius_m < FAR_M:
        i = math.floor(place.bearing_deg / 10.0)
        assert sides.may[i % 36] or sides.may[(i + 1) % 36]


@settings(max_examples=40)
@given(scenes(), st.floats(0, 360), st.floats(35, 60))
def test_beside_a_cliff_no_walk_round_ends_on_a_side_that_presses(
    sector: Sector, scene: tuple[Array, Array, float, float], way_deg: float, start_deg: float
) -> None:
    contact = scene[0]
    cliff = with_cliff(sector, contact, way_deg)
    room = room_of(cliff, cliff.frame.point(HOME), CALM, 8.0)
    here = point_at(contact, way_deg + start_deg - 42.0, 90.0)      # between him and the cliff, where all is well
    for _ in range(12):
        place, sides = next_place(contact, here, 12.0, RADIUS_M, HEIGHT_M, room)
        if place is None:
            break
        if place.radius_m < FAR_M:
            i = math.floor(place.bearing_deg / 10.0)
            assert not (sides.pressed[i % 36] and sides.pressed[(i + 1) % 36])
        here = place.at


def test_another_drone_is_kept_away_from(room: Room) -> None:
    other = point_at(ON_TRAIL, 100.0, RADIUS_M)
    here = point_at(ON_TRAIL, 60.0, RADIUS_M)
    for _ in range(10):
        place, _ = next_place(ON_TRAIL, here, 10.0, RADIUS_M, HEIGHT_M, room, (other,))
        assert place is not None and np.linalg.norm(place.at - other) >= 28.0
        here = place.at
