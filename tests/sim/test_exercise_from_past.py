"""A past incident becomes an exercise: the same ways at the same times, and nobody's name, plate or picture."""

import dataclasses
import json

import numpy as np
import pytest

from geofences.sector import load_sector
from sim.exercise_build import check_text, save
from sim.exercise_from_past import Wanted, from_past, read_past, write_exercise
from sim.landscape_cache import cached_landscape
from sim.world import World
from station.picture import AlarmEventView, AlarmState
from station.settings import load_station_settings
from station.shift_log import Entry, IncidentOpened, write_entries
from station.store import MIND, open_store, transaction
from tests.station.conftest import SECTOR, station_folder, write_station
from tests.station.stored import NOW_NS, a_contact, an_alarm, fill_mind
from wire.clock import NS_PER_S, SteppedClock
from wire.settings import SettingsError

PLATE = "74C-123.45"
assert station_folder              # a fixture
TITLE = "Nguyễn Văn Thật was seen with two strangers"


@pytest.fixture
def settings(station_folder):
    found = load_station_settings(write_station(station_folder))
    found.make_folders()
    return found


@pytest.fixture
def sector():
    return load_sector(SECTOR)


def along(sector, corridor, from_m, step_m, count, aside_m=0.0):
    line = sector.corridors.ground(corridor).centre_line
    places = [line.interpolate(from_m + step_m * i) for i in range(count)]
    return [tuple(p) for p in sector.frame.from_enu([(p.x, p.y + aside_m) for p in places])]


def fill(settings, sector):
    """Two who walk together on Khe Đá and raised an alarm; a farmer; a car on the road; a bush."""
    one = a_contact(1, along(sector, "khe-da", 200.0, 1.4, 60), snapshot="snap-1")
    two = a_contact(2, along(sector, "khe-da", 197.0, 1.4, 60), at_ns=NOW_NS + 2 * NS_PER_S)
    one.party, two.party = (2,), (1,)
    farmer = a_contact(3, along(sector, "khe-da", 300.0, 0.2, 40, aside_m=30.0))
    bush = a_contact(4, along(sector, "ben-song", 300.0, 0.5, 30))
    car = a_contact(5, along(sector, "ben-song", 100.0, 6.0, 30), group="vehicle", plate=PLATE)
    alarm, lawful, false = an_alarm(1, one), an_alarm(2, farmer), an_alarm(3, bush)
    for it, reason in ((lawful, "lawful spoke to him"), (false, "false_detection")):
        it.events.append(close(reason))
    fill_mind(settings, [one, two, farmer, bush, car], [alarm, lawful, false])
    conn = open_store(settings.mind_db, MIND, settings.realm, SteppedClock())
    with transaction(conn):
        write_entries(conn, [Entry(1, NOW_NS, "constable lan", IncidentOpened(1, TITLE, (alarm.id,)))])
    conn.close()


def close(reason):
    return AlarmEventView(AlarmState.CLOSED, NOW_NS + 90 * NS_PER_S, "constable lan", reason)


def test_an_incident_is_its_contacts_and_who_went_with_them_and_says_nothing_about_anybody(tmp_path, settings, sector):
    fill(settings, sector)
    past = read_past(settings)
    assert [(i.id, i.alarms, i.contacts) for i in past.incidents] == [("I-000001", 1, 1)] and TITLE not in repr(past)
    made = from_past(settings, Wanted("I-000001"), "past")
    (party,) = made.data["actors"]
    assert (party["kind"], party["role"], party["count"]) == ("person", "crosser", 2)
    text = write_exercise(made, tmp_path / "past.toml")
    for said in (PLATE, TITLE, "Nguyễn", "snap-1", "constable lan", "C-0000", "A-0000"):
        assert said not in text
    checked, exercise = check_text(tmp_path, "past", text)
    save(tmp_path, checked, "past", "")
    # They go the same way at the same time, to what a pace differs and a party is apart.
    world = World(exercise.scenario, cached_landscape(exercise.scenario), 0)
    began_s = party["enters_s"]
    line = sector.corridors.ground("khe-da").centre_line
    for since_s in (30, 50):
        world.advance_to(20.0 + since_s)
        people = np.array([(b.east_m, b.north_m) for b in world.named(party["name"])])
        seen = line.interpolate(200.0 + 1.4 * since_s)
        assert len(people) == 2 and np.hypot(*(people - (seen.x, seen.y)).T).min() < 15.0
    assert began_s < 20.0       # they came along the trail, and not out of nothing


def test_a_time_takes_everybody_but_what_was_nobody(settings, sector):
    fill(settings, sector)
    made = from_past(settings, Wanted(from_ns=NOW_NS - NS_PER_S, to_ns=NOW_NS + 600 * NS_PER_S), "past")
    roles = sorted((a["kind"], a["role"]) for a in made.data["actors"])
    assert roles == [("car", "traffic"), ("person", "crosser"), ("person", "farmer")]
    assert [w for w in made.left_out if "false_detection" in w]
    assert "plate" not in json.dumps(made.data)
    invented = from_past(
        settings, dataclasses.replace(Wanted(from_ns=NOW_NS, to_ns=NOW_NS + 600 * NS_PER_S), invent_plates=True), "past")
    plates = [a["looks"]["plate"] for a in invented.data["actors"] if "looks" in a]
    assert len(plates) == 1 and plates[0] != PLATE


def test_a_vehicle_is_what_the_screen_showed(settings, sector):
    pickup = a_contact(1, along(sector, "ben-song", 100.0, 6.0, 30), group="vehicle")
    pickup.votes, pickup.kinds = {"truck": 9.0}, {"car": 2, "pickup": 1}        # of its first looks, and of a later one
    fill_mind(settings, [pickup], [])
    made = from_past(settings, Wanted(from_ns=NOW_NS - NS_PER_S, to_ns=NOW_NS + 600 * NS_PER_S), "past")
    assert [a["kind"] for a in made.data["actors"]] == [str(pickup.kind)] == ["pickup"]


def test_what_is_not_there_is_refused_in_words(settings, sector):
    with pytest.raises(SettingsError, match="no store of a station"):
        read_past(settings)
    fill(settings, sector)
    for wanted, says in ((Wanted("I-000009"), "no incident I-000009"), (Wanted(), "begins after it ends"),
                         (Wanted(from_ns=1, to_ns=2), "nobody went any way")):
        with pytest.raises(SettingsError, match=says):
            from_past(settings, wanted, "past")
