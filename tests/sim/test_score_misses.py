"""Why a crossing raised no alarm: each stage of the way, given by hand, is the reason that comes out."""

import dataclasses

import numpy as np
import pytest

from geofences.terrain import GridTerrain
from sim.score_misses import Missed, Traces, read_told, why_missed
from sim.truth import contact_owners, find_crossings, read_alarms
from sim.truth_log import read_courses
from sim.truth_sight import Sight, read_sensors
from sim.world_state import Plants, Role
from tests.sim.test_truth import GROUND_M, START_NS, Stage, someone, standing, walking
from wire.clock import NS_PER_S
from wire.messages import SensorState

AT_S = range(16, 40)


@pytest.fixture
def stage(tmp_path, small_sector, scenario_of, small_landscape):
    none = np.empty(0)
    flat = GridTerrain(np.full((2, 2), GROUND_M), (-2000.0, -2000.0), 4000.0, 0.0, synthetic=True)
    bare = dataclasses.replace(
        small_landscape, terrain=flat, plants=Plants(np.empty(0, np.uint8), none, none, none, none, np.empty(0, np.uint32))
    )
    return Stage(tmp_path, small_sector, scenario_of(), bare)


def looked_at(stage, state=SensorState.SEEING, outline=None):
    """One walks along the trail, in the footprint from 15 s on."""
    stage.live(60, (someone(), walking(-40.0, 0.0)))
    for t in range(0, 60, 5):
        stage.report(t, state=state, outline=outline)


def why(stage):
    stage.score()
    courses = read_courses(stage.folder / "truth.db")
    sensors = read_sensors(stage.inbox, stage.sector)
    (crossing,) = find_crossings(courses, stage.sector, sensors, Sight(stage.landscape))
    trails = {}
    for contact, at_ns, lat, lon in stage.mind.execute("SELECT contact, at_ns, lat_deg, lon_deg FROM trail"):
        trails.setdefault(contact, []).append((at_ns, *stage.sector.frame.to_enu(lat, lon)[0].tolist()))
    owners = contact_owners(stage.mind, courses, stage.sector)
    traces = Traces(read_told(stage.inbox, stage.sector), trails, read_alarms(stage.mind), owners)
    return why_missed(crossing, courses, sensors, traces)


def seen(stage, aside=0.0, along=0.0, confirmed=True, corridors=("trail",)):
    for t in AT_S:
        stage.detect(t, (-40.0 + t + along, aside), confirmed=confirmed)
    stage.inbox.execute("UPDATE detections SET corridors = ?", (str(list(corridors)).replace("'", '"'),))


def test_where_no_camera_looks_nobody_could_have_seen_it(stage):
    looked_at(stage, outline=[(900.0, 900.0), (950.0, 900.0), (950.0, 950.0)])
    assert why(stage).because is Missed.UNCOVERED


def test_a_camera_that_says_that_it_is_covered_is_the_reason(stage):
    looked_at(stage, SensorState.COVERED)
    assert why(stage).because is Missed.BLIND


def test_a_glimpse_is_no_sight(stage):
    looked_at(stage, outline=[(-10.0, -5.0), (-9.0, -5.0), (-9.0, 5.0), (-10.0, 5.0)])
    miss = why(stage)
    assert miss.because is Missed.GLIMPSE and 0 < miss.in_sight_s < 2.0


def test_who_is_in_sight_for_four_seconds_is_seen_too_shortly(stage):
    looked_at(stage, outline=[(-10.0, -5.0), (-6.5, -5.0), (-6.5, 5.0), (-10.0, 5.0)])
    miss = why(stage)
    assert miss.because is Missed.SHORT_VIEW and 2.0 <= miss.in_sight_s < 5.0


def test_nobody_was_found(stage):
    looked_at(stage)
    miss = why(stage)
    assert miss.because is Missed.NOT_FOUND and miss.found == 0 and miss.in_sight_s > 20.0


def test_found_and_never_believed(stage):
    looked_at(stage)
    seen(stage, confirmed=False)
    miss = why(stage)
    assert (miss.because, miss.found, miss.confirmed) == (Missed.NOT_CONFIRMED, len(AT_S), 0)


def test_believed_and_known_by_its_bearing_alone(stage):
    looked_at(stage)
    seen(stage)
    # As the camera, 60 m north of the middle, has him: no place, and the direction in which he truly is.
    for t in AT_S:
        bearing = float(np.degrees(np.arctan2(-40.0 + t, -60.0))) % 360.0
        stage.inbox.execute("UPDATE detections SET lat_deg = NULL, lon_deg = NULL, bearing_deg = ?, sigma_deg = 0.3 "
                            "WHERE captured_ns = ?", (bearing, START_NS + t * NS_PER_S))
    miss = why(stage)
    assert (miss.because, miss.confirmed, miss.placed) == (Missed.BEARING_ONLY, len(AT_S), 0)


def test_a_place_far_along_the_line_of_sight_is_misplaced(stage):
    looked_at(stage)
    for t in range(36, 44):         # he walks past the middle, straight below the camera's line: placed 30 m too far
        stage.detect(t, ((-40.0 + t) * 1.5, -30.0))
    assert why(stage).because is Missed.MISPLACED


def test_a_right_place_that_was_judged_to_be_outside(stage):
    looked_at(stage)
    seen(stage, corridors=())
    miss = why(stage)
    assert (miss.because, miss.placed, miss.inside) == (Missed.OUTSIDE, len(AT_S), 0)


def test_what_the_station_was_told_and_made_no_contact_of(stage):
    looked_at(stage)
    seen(stage)
    assert why(stage).because is Missed.NO_CONTACT


def test_a_contact_that_no_rule_asked_about(stage):
    looked_at(stage)
    seen(stage)
    stage.contact(1, 18.0, *[(-22.0 + i, 0.5) for i in range(20)])
    assert why(stage).because is Missed.NO_RULE


def test_an_alarm_of_another_corridor(stage):
    looked_at(stage)
    seen(stage)
    contact = stage.contact(1, 18.0, *[(-22.0 + i, 0.5) for i in range(20)])
    stage.alarm(20.0, contact, corridor="elsewhere")
    assert why(stage).because is Missed.ELSEWHERE


def test_an_alarm_that_came_when_it_was_over(stage):
    looked_at(stage)
    seen(stage)
    stage.alarm(900.0, stage.contact(1, 18.0, *[(-22.0 + i, 0.5) for i in range(20)]))
    assert why(stage).because is Missed.LATE


def test_who_is_overtaken_and_not_found_does_not_get_the_detections_of_the_other(stage):
    stage.live(60, (someone(), walking(-40.0, 0.0)), (someone(2, role=Role.FARMER), walking(-40.0, 1.5)))
    for t in range(0, 60, 5):
        stage.report(t)
    seen(stage, aside=1.5)
    miss = why(stage)
    assert (miss.because, miss.found) == (Missed.NOT_FOUND, 0)


def test_an_alarm_about_a_contact_that_was_somebody_else_most_of_its_time(stage):
    farmer = someone(2, role=Role.FARMER)
    stage.live(60, (someone(), walking(-40.0, 0.0)), (farmer, standing(0.0, 30.0)))
    for t in range(0, 60, 5):
        stage.report(t)
    seen(stage)
    beside, elsewhere = [(-22.0 + i, 0.5) for i in range(3)], [(0.0, 30.0)] * 9
    stage.alarm(20.0, stage.contact(1, 18.0, *beside, *elsewhere))
    assert why(stage).because is Missed.SHARED
