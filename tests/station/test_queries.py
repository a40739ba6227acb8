"""Questions to the store: what is found by place, time, plate and contact, and pages that tell everything once."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.archive import Archive
from station.queries import AlarmQuery, ContactQuery, DetectionQuery, MatchQuery, all_pages
from station.queries_area import QueryError
from station.store import MIND, open_reader
from tests.station.conftest import SECTOR, frame_of, point_detection
from tests.station.stored import NOW_NS, a_contact, an_alarm, fill_inbox, fill_mind
from wire.clock import NS_PER_S, SteppedClock
from wire.units import GroundPosition, ObjectClass

KHE_DA = [(16.62115, 106.59110), (16.62090, 106.59260)]
FAR = [(16.60, 106.62), (16.601, 106.62)]


@pytest.fixture
def archive(settings):
    return Archive(settings, load_sector(SECTOR), SteppedClock(utc_ns=NOW_NS))


def ids(page):
    return [c.id for c in page.rows]


def test_before_anything_is_stored_every_question_has_an_empty_answer(archive) -> None:
    for page in (archive.contacts(ContactQuery()), archive.detections(DetectionQuery()), archive.alarms(AlarmQuery()),
                 archive.matches(MatchQuery())):
        assert (page.rows, page.next) == ((), None)


def test_contacts_are_found_by_place_time_class_plate_corridor_and_name(archive, settings) -> None:
    walker, lorry = a_contact(1, KHE_DA), a_contact(
        2, FAR, group="vehicle", plate="74C-123.45", at_ns=NOW_NS + 100 * NS_PER_S, corridors=("ben-song",))
    fill_mind(settings, [walker, lorry], [an_alarm(1, walker)])
    find = archive.contacts
    assert ids(find(ContactQuery())) == ["C-000002", "C-000001"], "newest first"
    assert ids(find(ContactQuery(corridor="khe-da"))) == ["C-000001"]
    assert ids(find(ContactQuery(box="16.599,106.619,16.602,106.621"))) == ["C-000002"]
    assert ids(find(ContactQuery(circle="16.6005,106.62,30"))) == ["C-000002"]
    assert ids(find(ContactQuery(object_class=ObjectClass.CAR))) == ["C-000002"]
    assert ids(find(ContactQuery(plate="74c 12345"))) == ["C-000002"], "signs and case of a plate do not matter"
    assert ids(find(ContactQuery(until_ns=NOW_NS + 50 * NS_PER_S))) == ["C-000001"]
    assert ids(find(ContactQuery(since_ns=NOW_NS + 50 * NS_PER_S))) == ["C-000002"]
    row = find(ContactQuery(contact="C-000001")).rows[0]
    assert row.alarms == ("A-000001",) and row.simulated and row.position == GroundPosition(*KHE_DA[-1])


def test_who_only_passed_through_between_two_points_of_the_trail_is_found(archive, settings) -> None:
    fill_mind(settings, [a_contact(1, [(16.60, 106.600), (16.60, 106.610)])])
    assert ids(archive.contacts(ContactQuery(circle="16.60,106.605,20"))) == ["C-000001"]
    assert ids(archive.contacts(ContactQuery(circle="16.601,106.605,20"))) == []


def test_a_box_of_which_only_a_corner_is_passed_is_judged_by_the_trail_and_not_by_its_box(archive, settings) -> None:
    fill_mind(settings, [a_contact(1, [(16.60, 106.60), (16.61, 106.61)])])
    assert ids(archive.contacts(ContactQuery(box="16.6005,106.609,16.6009,106.6095"))) == []


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_r_tree_finds_what_looking_at_every_trail_finds(archive, settings, data) -> None:
    settings.mind_db.unlink(missing_ok=True)
    place = st.tuples(st.floats(16.58, 16.65), st.floats(106.56, 106.64))
    trails = data.draw(st.lists(st.lists(place, min_size=1, max_size=4), min_size=1, max_size=8))
    fill_mind(settings, [a_contact(k + 1, t) for k, t in enumerate(trails)])
    lat, lon = data.draw(place)
    radius = data.draw(st.floats(1, 5000))
    found = set(ids(archive.contacts(ContactQuery(circle=f"{lat},{lon},{radius}"))))
    from station.queries_area import read_area

    area = read_area(load_sector(SECTOR), "", f"{lat},{lon},{radius}", "")
    assert area is not None
    assert found == {
        f"C-{k + 1:06d}" for k, t in enumerate(trails) if area.holds([p[0] for p in t], [p[1] for p in t])
    }


@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.integers(0, 6), min_size=0, max_size=25), limit=st.integers(1, 9))
def test_pages_tell_every_contact_once_whatever_their_size_and_however_many_are_of_one_moment(
    archive, settings, times, limit
) -> None:
    settings.mind_db.unlink(missing_ok=True)
    fill_mind(settings, [a_contact(k + 1, KHE_DA, at_ns=NOW_NS + t * NS_PER_S) for k, t in enumerate(times)])
    told, after = [], ""
    for _ in range(len(times) + 2):
        page = archive.contacts(ContactQuery(after=after, limit=limit))
        assert len(page.rows) <= limit
        told += ids(page)
        if page.next is None:
            break
        after = page.next
    expected = sorted(((t, f"C-{k + 1:06d}") for k, t in enumerate(times)), reverse=True)
    assert told == [name for _, name in expected]


def test_a_page_that_came_before_new_contacts_goes_on_where_it_was(archive, settings) -> None:
    fill_mind(settings, [a_contact(k, KHE_DA, at_ns=NOW_NS + k * NS_PER_S) for k in range(1, 5)])
    first = archive.contacts(ContactQuery(limit=2))
    fill_mind(settings, [a_contact(9, KHE_DA, at_ns=NOW_NS + 99 * NS_PER_S)])
    assert ids(archive.contacts(ContactQuery(limit=2, after=first.next))) == ["C-000002", "C-000001"]


def test_detections_are_found_by_contact_sensor_place_and_plate(archive, settings) -> None:
    here, there = GroundPosition(*KHE_DA[0]), GroundPosition(*FAR[0])
    fill_inbox(
        settings, (NOW_NS, frame_of("gate", NOW_NS, point_detection(here, track=4), point_detection(there, track=5))),
        (NOW_NS, frame_of("mast", NOW_NS + 5, point_detection(there, track=4, object_class=ObjectClass.CAR, plate="74C-1"))),
    )
    fill_mind(settings, [a_contact(1, KHE_DA, tracks=["cam-1/1/gate/4"])])
    find = archive.detections

    def told(q):
        return [(d.sensor, d.track) for d in find(q).rows]

    assert told(DetectionQuery()) == [("mast", 4), ("gate", 5), ("gate", 4)]
    assert told(DetectionQuery(contact="C-000001")) == [("gate", 4)]
    assert told(DetectionQuery(contact="C-000009")) == []
    assert told(DetectionQuery(plate="74c1")) == [("mast", 4)]
    assert told(DetectionQuery(corridor="khe-da")) == [("gate", 4)]
    assert told(DetectionQuery(sensor="gate", box="16.599,106.619,16.602,106.621")) == [("gate", 5)]
    assert [told(DetectionQuery(limit=1)), told(DetectionQuery(limit=1, after=find(DetectionQuery(limit=1)).next))] == [
        [("mast", 4)], [("gate", 5)]]
    assert all(d.simulated for d in find(DetectionQuery()).rows), "whatever a training station has is simulated"


def test_a_contact_is_read_with_its_trail_in_order_and_an_unknown_one_is_none(archive, settings) -> None:
    fill_mind(settings, [a_contact(1, KHE_DA)])
    history = archive.contact("C-000001", 0)
    assert [(p.lat_deg, p.lon_deg) for p in history.trail] == KHE_DA
    assert history.trail_next_ns is None
    assert archive.contact("C-000009", 0) is None


def test_alarms_are_found_with_their_events(archive, settings) -> None:
    walker = a_contact(1, KHE_DA)
    fill_mind(settings, [walker], [an_alarm(1, walker), an_alarm(2, at_ns=NOW_NS + 9, rule="node_silent")])
    assert [a.id for a in archive.alarms(AlarmQuery()).rows] == ["A-000002", "A-000001"]
    assert [a.id for a in archive.alarms(AlarmQuery(contact="C-000001")).rows] == ["A-000001"]
    assert [a.id for a in archive.alarms(AlarmQuery(rule="node_silent", is_open=True)).rows] == ["A-000002"]
    assert archive.alarms(AlarmQuery(is_open=False)).rows == ()
    assert len(archive.alarms(AlarmQuery()).rows[0].events) == 1


@pytest.mark.parametrize(("query", "said"), [
    (ContactQuery(box="1,2,3"), 'box "1,2,3": give 4 numbers'),
    (ContactQuery(box="17,106,16,107"), "south below north"),
    (ContactQuery(box="nan,106,16,107"), "give 4 numbers"),
    (ContactQuery(circle="16,106,0"), "a radius is more than 0 m"),
    (ContactQuery(circle="106,16,5"), "latitude comes first"),
    (ContactQuery(corridor="nowhere"), "there are khe-da, ben-song"),
    (ContactQuery(corridor="khe-da", circle="16,106,5"), "give one of them"),
    (ContactQuery(after="x"), "give what the page before it said as next"),
    (ContactQuery(after="1:2:3"), "give what the page before it said as next"),
])
def test_a_question_that_cannot_be_is_refused_in_words(archive, settings, query, said) -> None:
    fill_mind(settings)
    with pytest.raises(QueryError) as refused:
        archive.contacts(query)
    assert said in str(refused.value)
    assert refused.value.says.key == "refused.query"


def test_all_pages_stops_at_its_bound(archive, settings) -> None:
    fill_mind(settings, [a_contact(k, KHE_DA, at_ns=NOW_NS + k) for k in range(1, 8)])
    assert len(list(all_pages(lambda after: archive.contacts(ContactQuery(after=after, limit=2)), 5))) == 5


def test_by_place_and_by_time_the_store_is_asked_through_an_index(settings) -> None:
    fill_mind(settings, [a_contact(1, KHE_DA)])
    mind = open_reader(settings.mind_db, MIND, settings.realm)
    plan = " ".join(str(r[-1]) for r in mind.execute(
        "EXPLAIN QUERY PLAN SELECT c.id FROM contacts c WHERE c.last_seen_ns >= 5 AND (c.last_seen_ns, c.id) < (9, 'x') AND "
        "c.id IN (SELECT printf('C-%06d', id) FROM contact_place WHERE max_lat >= 1 AND min_lat <= 2) "
        "ORDER BY c.last_seen_ns DESC, c.id DESC LIMIT 5"
    ))
    mind.close()
    assert "contacts" in plan and "USING" in plan and "INDEX" in plan and "VIRTUAL TABLE INDEX" in plan
