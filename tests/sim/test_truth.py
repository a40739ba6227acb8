"""Scores whose answers are known: what was put into truth and station by hand comes out as figures."""

import dataclasses

import msgspec
import numpy as np
import pytest
import shapely

from geofences.terrain import GridTerrain
from sim.truth import CHI2_90_2DOF, GATE_M, assign, find_crossings, score
from sim.truth_log import TruthLog, read_courses
from sim.truth_sight import REPORT_GOOD_FOR_NS, Report, Sensors, Sight
from sim.world_state import Actor, ActorState, Kind, Looks, Moment, Plants, Posture, Role, Sky, Species
from station.alarms import Alarm
from station.inbox_rows import detection_rows
from station.picture import Sentence
from station.store import INBOX, MIND, open_store
from wire.clock import NS_PER_S, SteppedClock
from wire.codec import encode_envelope
from wire.messages import (
    Box,
    Detection,
    DetectionBatch,
    Envelope,
    PlacementPoint,
    SensorReport,
    SensorState,
)
from wire.units import Covariance2, GroundPosition, HeightMsl, ObjectClass, Position, Realm, TimeQuality

START_NS = 1_700_000_000 * NS_PER_S
GROUND_M = 160.0
LENS_M = GROUND_M + 8.0
HERE = (0.0, 0.0)       # well inside the small sector's corridor


class Stage:
    """Truth, inbox and mind, filled by hand. Seconds count from START_NS."""

    def __init__(self, folder, sector, scenario, landscape):
        self.sector, self.landscape, self.folder = sector, landscape, folder
        clock = SteppedClock(START_NS)
        self.truth = TruthLog(folder / "truth.db", scenario, clock)
        self.inbox = open_store(folder / "inbox.db", INBOX, Realm.TRAINING, clock)
        self.mind = open_store(folder / "mind.db", MIND, Realm.TRAINING, clock)
        for db in (self.inbox, self.mind):
            db.execute("BEGIN")         # one commit at the end: hundreds would wait for the disk
        self._arrival = 0
        self._alarm = 0

    def live(self, seconds, *who, from_s=0.0):
        """Write who was where, twice a second: (actor, function of seconds to east, north, posture)."""
        for k in range(int(seconds * 2) + 1):
            t = from_s + k / 2
            states = []
            for actor, where in who:
                east, north, *posture = where(t)
                states.append(ActorState(actor, east, north, GROUND_M, 0.0, (0.0, 0.0), (posture or [Posture.WALK])[0], 0.0))
            self.truth.note(Moment(t, START_NS + round(t * NS_PER_S), Sky(0, 45), tuple(states)))

    def place(self, east, north):
        lat, lon = self.sector.frame.from_enu([[east, north]])[0]
        return GroundPosition(float(lat), float(lon))

    def _arrive(self, body):
        self._arrival += 1
        self.inbox.execute(
            "INSERT INTO arrivals(node, boot, sequence, kind, received_ns, payload) VALUES ('n', 1, ?, ?, 0, ?)",
            (self._arrival, body.__struct_config__.tag, encode_envelope(Envelope("n", 1, self._arrival, body))),
        )
        return self._arrival

    def report(self, at_s, outline=None, lens=(0.0, 60.0), state=SensorState.SEEING):
        """A sensor says that it sees a square round HERE, from 60 m north of it."""
        corners = outline or [(-25.0, -20.0), (25.0, -20.0), (25.0, 45.0), (-25.0, 45.0)]
        lat, lon = self.sector.frame.from_enu([lens])[0]
        self._arrive(SensorReport(
            "camera-1", START_NS + round(at_s * NS_PER_S), Position(float(lat), float(lon), HeightMsl(LENS_M)),
            tuple(self.place(*c) for c in corners), state, 0, True,
        ))

    def detect(self, at_s, *placed, object_class=ObjectClass.PERSON, covariance=(1.0, 0.0, 1.0), confirmed=True):
        batch = DetectionBatch(
            "camera-1", START_NS + round(at_s * NS_PER_S), TimeQuality.SIMULATED, "v",
            tuple(
                Detection(i, object_class, 0.9, Box(0, 0, 1, 1), PlacementPoint(self.place(*p), Covariance2(*covariance)),
                          confirmed)
                for i, p in enumerate(placed)
            ),
        )
        self.inbox.executemany(
            f"INSERT INTO detections VALUES ({', '.join('?' * 17)})", detection_rows(self._arrive(batch), batch)
        )

    def contact(self, number, at_s, *places, object_class=ObjectClass.PERSON):
        """A contact seen at these places, a second apart."""
        name = f"C-{number:06d}"
        self.mind.execute(
            "INSERT INTO contacts(id, state, ended, object_class, first_seen_ns, last_seen_ns) VALUES (?, x'', 0, ?, 0, 0)",
            (name, object_class.value),
        )
        for i, p in enumerate(places):
            g = self.place(*p)
            self.mind.execute("INSERT INTO trail VALUES (?, ?, ?, ?)",
                              (name, START_NS + round((at_s + i) * NS_PER_S), g.lat_deg, g.lon_deg))
        return name

    def alarm(self, at_s, *contacts, corridor="trail", rule="corridor_entry", joined=()):
        self._alarm += 1
        ids = [*contacts, *(c for c, _ in joined)]
        alarm = Alarm(self._alarm, rule, 1, START_NS, Sentence("s", {}), True, contact_ids=ids, corridor=corridor)
        self.mind.execute(
            "INSERT INTO alarms(id, state, rule, priority, raised_ns, corridor, open) VALUES (?, ?, ?, 1, ?, ?, 1)",
            (alarm.id, msgspec.msgpack.encode(alarm), rule, START_NS, corridor),
        )
        events = [(at_s, "active", ""), *((t, "active", f"joined {c}") for c, t in joined)]
        for n, (t, state, reason) in enumerate(events):
            self.mind.execute("INSERT INTO alarm_events VALUES (?, ?, ?, ?, 'system', ?)",
                              (alarm.id, n, state, START_NS + round(t * NS_PER_S), reason))

    def score(self):
        self.truth.close()
        for db in (self.inbox, self.mind):
            db.execute("COMMIT")
        files = (self.folder / f"{name}.db" for name in ("truth", "inbox", "mind"))
        return score(*files, self.sector, self.landscape)


@pytest.fixture
def bare(small_landscape):
    """Level ground with nothing on it."""
    none = np.empty(0)
    flat = GridTerrain(np.full((2, 2), GROUND_M), (-2000.0, -2000.0), 4000.0, 0.0, synthetic=True)
    return dataclasses.replace(
        small_landscape, terrain=flat, plants=Plants(np.empty(0, np.uint8), none, none, none, none, np.empty(0, np.uint32))
    )


@pytest.fixture
def stage(tmp_path, small_sector, scenario_of, bare):
    return Stage(tmp_path, small_sector, scenario_of(), bare)


def someone(number=1, role=Role.CROSSER, kind=Kind.PERSON, party=0):
    return Actor(number, kind, role, Looks(number), party)


def standing(east, north):
    return lambda t: (east, north)


def walking(east, north, speed=1.0):
    return lambda t: (east + speed * t, north)


def test_the_place_of_these_tests_lies_in_the_corridor(small_sector):
    assert small_sector.corridors.containing(HERE) == ("trail",)
    assert small_sector.corridors.containing((0.0, -200.0)) == ()


# ------------------------------------------------------------------------------------------------- crossings and alarms


def test_a_crossing_that_was_alarmed_and_how_long_that_took(stage):
    stage.live(60, (someone(), walking(-40.0, 0.0)))    # in the footprint from 15 s on
    for t in range(0, 60, 5):
        stage.report(t)
    contact = stage.contact(1, 18.0, *[(-22.0 + i, 0.5) for i in range(20)])
    stage.alarm(19.5, contact)
    found = stage.score()
    assert (found.crossings, found.crossings_alarmed, found.crossings_never_in_sight) == (1, 1, 0)
    assert found.time_to_alarm_p50_s == pytest.approx(4.5, abs=0.51)
    assert (found.false_alarms, found.nuisance_alarms) == (0, 0)


def test_a_crossing_without_an_alarm_counts_and_is_not_alarmed(stage):
    stage.live(60, (someone(), walking(-40.0, 0.0)))
    for t in range(0, 60, 5):
        stage.report(t)
    found = stage.score()
    assert (found.crossings, found.crossings_alarmed) == (1, 0)
    assert found.time_to_alarm_p50_s is None


def test_a_party_is_one_crossing_and_strangers_are_others(stage):
    stage.live(
        30, (someone(1, party=5), standing(0.0, 0.0)), (someone(2, party=5), standing(3.0, 0.0)),
        (someone(3), standing(-15.0, 5.0)), (someone(4, role=Role.FARMER), standing(10.0, 10.0)),
        (someone(5, kind=Kind.BUFFALO, role=Role.ANIMAL), standing(12.0, 10.0)),
    )
    for t in range(0, 30, 5):
        stage.report(t)
    stage.alarm(9.0, stage.contact(1, 5.0, (2.9, 0.2), (3.1, 0.0)))
    found = stage.score()
    assert (found.crossings, found.crossings_alarmed) == (2, 1)


def test_who_no_sensor_could_see_is_counted_apart(stage):
    stage.live(30, (someone(1), standing(0.0, 0.0)), (someone(2), standing(60.0, 0.0)))
    for t in range(0, 30, 5):
        stage.report(t, state=SensorState.BLIND)
    found = stage.score()
    assert (found.crossings, found.crossings_never_in_sight) == (0, 2)


def test_outside_the_corridor_nobody_crosses(stage):
    stage.live(30, (someone(1), standing(0.0, -200.0)))
    stage.report(0.0, outline=[(-20, -220), (20, -220), (20, -180), (-20, -180)])
    found = stage.score()
    assert (found.crossings, found.crossings_never_in_sight) == (0, 0)


def test_a_contact_that_joined_an_older_alarm_counts_from_its_joining(stage):
    stage.live(60, (someone(1), standing(0.0, 0.0)), (someone(2), walking(-60.0, 5.0)))
    for t in range(0, 60, 5):
        stage.report(t)
    first = stage.contact(1, 3.0, (0.3, 0.0))
    second = stage.contact(2, 42.0, (-18.0, 5.0), (-17.0, 5.0))
    stage.alarm(4.0, first, joined=[(second, 45.0)])
    found = stage.score()
    assert (found.crossings, found.crossings_alarmed) == (2, 2)
    assert found.time_to_alarm_p50_s == pytest.approx((4.0 + 10.0) / 2, abs=0.5)    # in sight from 0 s, and from 35 s


def test_an_alarm_about_nobody_is_false_and_one_about_a_farmer_a_nuisance(stage):
    stage.live(
        30, (someone(1, role=Role.FARMER), standing(0.0, 0.0)),
        (someone(2, kind=Kind.BUFFALO, role=Role.ANIMAL), standing(-20.0, 30.0)),
        (someone(3, kind=Kind.PICKUP, role=Role.SUBJECT), standing(22.0, 0.0)),
    )
    stage.alarm(9.0, stage.contact(1, 5.0, (0.9, 0.2), (1.1, 0.0)))
    stage.alarm(9.0, stage.contact(2, 5.0, (-20.0, 30.0)))                      # the buffalo was taken for somebody
    stage.alarm(9.0, stage.contact(3, 5.0, (22.0, 1.0), object_class=ObjectClass.CAR))
    stage.alarm(9.0, stage.contact(4, 5.0, (0.0, 0.0), object_class=ObjectClass.CAR), rule="sensor_blind")
    found = stage.score()
    assert (found.crossings, found.false_alarms, found.nuisance_alarms) == (0, 1, 1)


def test_an_alarm_of_another_corridor_or_hours_later_does_not_count(stage):
    stage.live(30, (someone(1), standing(0.0, 0.0)))
    for t in range(0, 30, 5):
        stage.report(t)
    contact = stage.contact(1, 5.0, (0.3, 0.0))
    stage.alarm(6.0, contact, corridor="another")
    stage.alarm(3600.0, contact)
    assert stage.score().crossings_alarmed == 0


def test_who_comes_back_after_ten_minutes_crosses_again(stage):
    stage.live(20, (someone(1), standing(0.0, 0.0)))
    stage.live(20, (someone(1), standing(0.0, 0.0)), from_s=900.0)
    for t in (0, 5, 10, 15, 900, 905, 910, 915):
        stage.report(float(t))
    assert stage.score().crossings == 2


# ----------------------------------------------------------------------------------------------------------- positions


def test_errors_of_known_positions(stage):
    stage.live(30, (someone(1), standing(0.0, 0.0)), (someone(2), standing(40.0, 0.0)))
    for t in range(10):
        stage.detect(t + 0.25, (3.0, 4.0), (40.0, 1.0))
    found = stage.score()
    assert found.positions == 20
    assert found.position_error_p50_m == pytest.approx(3.0, abs=0.01)           # half are 5 m off, half 1 m
    assert found.position_error_p90_m == pytest.approx(5.0, abs=0.01)
    assert found.position_error_alone_p50_m == found.position_error_p50_m
    assert found.ellipse90_share == 0.5                                         # 25 and 1 against 4.6
    assert found.positions_of_nobody == 0


def test_honest_ellipses_hold_the_truth_nine_times_in_ten(stage):
    rng = np.random.default_rng(6)
    covariance = np.array([[9.0, 3.0], [3.0, 4.0]])
    stage.live(500, (someone(1), walking(-100.0, 0.0, 0.2)))
    offsets = rng.multivariate_normal([0, 0], covariance, 2000)
    for i, (de, dn) in enumerate(offsets):
        t = i / 4.0
        stage.detect(t, (-100.0 + 0.2 * t + de, dn), covariance=(9.0, 3.0, 4.0))
    found = stage.score()
    assert found.ellipse90_share == pytest.approx(0.9, abs=0.02)
    assert found.position_error_p50_m == pytest.approx(float(np.median(np.hypot(*offsets.T))), abs=0.05)


def test_an_ellipse_that_promises_too_much_is_found_out(stage):
    rng = np.random.default_rng(7)
    stage.live(250, (someone(1), standing(0.0, 0.0)))
    for i in range(400):
        stage.detect(i / 2.0, tuple(rng.normal(0, 2.0, 2)), covariance=(1.0, 0.0, 1.0))
    assert stage.score().ellipse90_share == pytest.approx(1 - np.exp(-CHI2_90_2DOF / 8), abs=0.06)      # 0.44


def test_a_position_where_nobody_is_counts_as_of_nobody(stage):
    stage.live(30, (someone(1), standing(0.0, 0.0)))
    stage.detect(5.0, (0.0, GATE_M + 1.0), (1.0, 0.0))
    stage.detect(6.0, (1.0, 0.0), object_class=ObjectClass.CAR)         # there is a person, and no car
    stage.detect(7.0, (0.0, 1.0), confirmed=False)
    found = stage.score()
    assert (found.positions, found.positions_of_nobody, found.positions_doubled) == (3, 2, 0)


def test_a_second_box_on_the_same_body_is_a_double_and_not_a_ghost(stage):
    stage.live(30, (someone(1), standing(0.0, 0.0)))
    stage.detect(5.0, (0.0, 1.0), (0.5, -0.5), (0.0, 60.0))
    found = stage.score()
    assert (found.positions, found.positions_doubled, found.positions_of_nobody) == (3, 1, 1)


def test_people_and_vehicles_are_scored_apart_as_well(stage):
    stage.live(30, (someone(1), standing(0.0, 0.0)), (someone(2, kind=Kind.PICKUP), standing(0.0, 2.0)))
    for t in range(4):
        stage.detect(5.0 + t, (0.0, 1.0))
        stage.detect(5.5 + t, (0.0, 5.0), object_class=ObjectClass.TRUCK)
    groups = stage.score().groups
    assert groups.keys() == {"person", "vehicle"}
    assert (groups["person"].position_error_p50_m, groups["vehicle"].position_error_p50_m) == (1.0, 3.0)
    assert (groups["person"].ellipse90_share, groups["vehicle"].ellipse90_share) == (1.0, 0.0)


def test_a_position_is_compared_with_the_truth_of_its_own_instant(stage):
    stage.live(60, (someone(1), walking(-40.0, 0.0, 1.3)))
    for t in (10.0, 20.25, 33.4):
        stage.detect(t, (-40.0 + 1.3 * t, 0.0))
    assert stage.score().position_error_p90_m == pytest.approx(0.0, abs=0.01)


def test_nothing_to_measure_is_none_and_not_zero(stage):
    stage.live(5, (someone(1), standing(0.0, -200.0)))
    found = stage.score()
    assert found.position_error_p50_m is None
    assert found.ellipse90_share is None
    assert found.crossings == 0


def test_two_detections_never_share_an_actor():
    pairs = assign([np.array([0.0, 0.0]), np.array([0.5, 0.0])], [np.array([0.2, 0.0]), np.array([5.0, 0.0])])
    assert sorted(pairs) == [(0, 0), (1, 1)]
    assert assign([np.array([0.0, 0.0])], []) == []
    assert assign([np.array([0.0, 0.0])], [np.array([GATE_M + 0.1, 0.0])]) == []


def test_a_pair_within_the_gate_is_not_given_up_for_one_without():
    placed = [np.array([0.0, 0.0]), np.array([10.0, 0.0])]
    there = [np.array([12.0, 0.0]), np.array([-30.0, 0.0])]
    assert assign(placed, there) == [(1, 0)]
    # The nearest pair of all would leave the other detection without anybody.
    crossed = assign([np.array([0.0, 0.0]), np.array([-14.0, 0.0])], [np.array([-1.0, 0.0]), np.array([12.0, 0.0])])
    assert sorted(crossed) == [(0, 1), (1, 0)]


# --------------------------------------------------------------------------------------------------------------- sight


def with_plant(bare, species, east, north, height, crown):
    plants = Plants(
        np.array([tuple(Species).index(species)], np.uint8), np.array([east]), np.array([north]), np.array([height]),
        np.array([crown]), np.array([1], np.uint32),
    )
    return dataclasses.replace(bare, plants=plants)


LENS = np.array([0.0, 60.0, LENS_M])
BODY = np.array([0.0, 0.0, GROUND_M + 0.9])


@pytest.mark.parametrize(
    ("plant", "clear"),
    [
        ((Species.BUSH, 0.0, 4.0, 2.0, 1.2), False),            # right before the body
        ((Species.BUSH, 0.0, 40.0, 2.0, 1.2), True),            # the line passes well above it
        ((Species.BUSH, 3.0, 4.0, 2.0, 1.2), True),             # beside the line
        ((Species.BUSH, 0.0, -4.0, 2.0, 1.2), True),            # behind the body
        ((Species.BROADLEAF, 0.0, 30.0, 12.0, 3.0), False),     # the trunk, or its crown
        ((Species.BROADLEAF, 1.0, 10.0, 14.0, 3.0), True),      # under the crown, past the trunk
        ((Species.BROADLEAF, 1.0, 50.0, 12.0, 3.0), False),     # through the crown
        ((Species.GRASS_TUFT, 0.0, 0.6, 0.4, 0.3), True),
    ],
)
def test_plants_hide_what_is_behind_them(bare, plant, clear):
    assert Sight(with_plant(bare, *plant)).is_clear(LENS, BODY) is clear


def test_a_rise_of_the_ground_hides_what_is_behind_it(bare):
    assert Sight(bare).is_clear(LENS, BODY)
    heights = np.full((401, 401), GROUND_M)
    heights[215:225, :] = GROUND_M + 6.0                        # 15 to 25 m north of HERE
    ridge = GridTerrain(heights, (-200.0, -200.0), 1.0, 0.0, synthetic=True)
    assert not Sight(dataclasses.replace(bare, terrain=ridge)).is_clear(LENS, BODY)


def test_an_old_report_says_nothing_about_now():
    def report(at_s, sees=True):
        return Report("c", at_s * NS_PER_S, LENS, shapely.box(-1, -1, 1, 1), sees)

    sensors = Sensors([report(100), report(110, sees=False), report(120)])
    assert [r.at_ns for r in sensors.at(105 * NS_PER_S)] == [100 * NS_PER_S]
    assert sensors.at(112 * NS_PER_S) == []
    assert sensors.at(99 * NS_PER_S) == []
    assert sensors.at(120 * NS_PER_S + REPORT_GOOD_FOR_NS)
    assert sensors.at(121 * NS_PER_S + REPORT_GOOD_FOR_NS) == []


def test_a_hidden_crosser_is_not_in_sight(stage, bare):
    stage.live(30, (someone(1), standing(0.0, 0.0)))
    stage.truth.close()
    courses = read_courses(stage.folder / "truth.db")
    reports = Sensors([
        Report("c", START_NS + t * NS_PER_S, LENS, shapely.box(-20, -20, 20, 20), True) for t in range(0, 30, 5)
    ])
    seen = find_crossings(courses, stage.sector, reports, Sight(bare))
    hidden = find_crossings(courses, stage.sector, reports, Sight(with_plant(bare, Species.BUSH, 0.0, 4.0, 2.0, 1.2)))
    assert seen[0].in_sight_ns == START_NS
    assert hidden[0].in_sight_ns is None
