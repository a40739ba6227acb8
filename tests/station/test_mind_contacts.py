"""What persons decide about contacts in the mind: done and kept over a restart; patrols, bearings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geofences.sector import Sector, load_sector
from station.contact_requests import MergeContacts, NotePatrol, PatrolPosition, SplitContact
from station.mind import Mind
from station.picture import ContactView, Done, Refused
from wire.clock import NS_PER_S, WallClock
from wire.messages import Box, Detection, DetectionBatch, PlacementBearing, PlacementPoint
from wire.units import Covariance2, ObjectClass, TimeQuality


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def batch(sensor: str, at_ns: int, *placements: Any) -> DetectionBatch:
    return DetectionBatch(
        sensor, at_ns, TimeQuality.NTP, "v",
        tuple(Detection(i + 1, ObjectClass.PERSON, 0.8, Box(0, 0, 10, 20), p, True) for i, p in enumerate(placements)),
    )


def point(sector: Sector, east: float, north: float) -> PlacementPoint:
    return PlacementPoint(sector.frame.position(east, north), Covariance2(2.0, 0.0, 2.0))


def live(mind: Mind) -> list[ContactView]:
    return [c for c in mind.picture().contacts if c.state != "ended"]


def see(mind: Mind, sector: Sector, node: str, t: float, began_ns: int, *places: tuple[float, float]) -> None:
    at_ns = began_ns + round(t * NS_PER_S)
    mind._situation.heard(node, "camera", at_ns)
    mind._take_detections(node, 1, batch(f"{node}-eye", at_ns, *(point(sector, *p) for p in places)), at_ns)


def test_a_split_is_done_recorded_shown_and_outlives_a_restart(settings, sector) -> None:
    clock = WallClock()
    began_ns = clock.utc_ns() - 10 * NS_PER_S
    mind = Mind(settings, sector, clock)
    for k in range(20):
        for node in ("a", "b"):
            see(mind, sector, node, k * 0.2, began_ns, (1.0 * k * 0.2, 0.0))
    (contact,) = live(mind)
    assert mind.answer(SplitContact(contact.id, "b-eye", "hoa")) == Done()
    one, other = live(mind)
    assert {one.sensors, other.sensors} == {("a-eye",), ("b-eye",)}
    assert one.why_apart[-1].key == other.why_apart[-1].key == "contact.why.split"
    assert "hoa" in one.why_apart[-1].params.values()
    mind.close()
    again = Mind(settings, sector, clock)
    for k in range(20, 45):
        for node in ("a", "b"):
            see(again, sector, node, k * 0.2, began_ns, (1.0 * k * 0.2, 0.0))
    assert {c.sensors for c in live(again)} == {("a-eye",), ("b-eye",)}
    assert again.answer(MergeContacts(one.id, other.id, "hoa")) == Done()
    (joined,) = live(again)
    assert joined.id == one.id and joined.why_merged[-1].key == "contact.why.merged_by"
    again.close()


def test_what_makes_no_sense_is_refused_in_words(settings, sector) -> None:
    clock = WallClock()
    began_ns = clock.utc_ns() - 5 * NS_PER_S
    mind = Mind(settings, sector, clock)
    for k in range(5):
        see(mind, sector, "a", k * 0.2, began_ns, (0.0, 0.0))
    (contact,) = live(mind)
    for request, key in (
        (SplitContact(contact.id, "a-eye", "hoa"), "contact.refused.one_sensor"),
        (SplitContact(contact.id, "z", "hoa"), "contact.refused.not_seen_by"),
        (SplitContact("C-999999", "a-eye", "hoa"), "contact.refused.not_live"),
        (MergeContacts(contact.id, contact.id, "hoa"), "contact.refused.itself"),
        (MergeContacts(contact.id, "nonsense", "hoa"), "contact.refused.not_live"),
        (NotePatrol(PatrolPosition("", 16.6, 106.6, clock.utc_ns()), "hoa"), "patrol.refused.values"),
        (NotePatrol(PatrolPosition("Tổ 3", 16.6, 106.6, 0), "hoa"), "patrol.refused.time"),
    ):
        answer = mind.answer(request)
        assert isinstance(answer, Refused) and answer.says.key == key
    mind.close()


def test_a_patrols_contact_is_labelled_and_raises_its_alarm_all_the_same(settings, sector) -> None:
    clock = WallClock()
    began_ns = clock.utc_ns() - 6 * NS_PER_S
    at = sector.corridors.ground("khe-da").centre_line.interpolate(300.0)
    mind = Mind(settings, sector, clock)
    for k in range(25):
        see(mind, sector, "a", k * 0.2, began_ns, (at.x, at.y))
        if k in (3, 4):
            place = sector.frame.position(at.x + 1.0, at.y)
            said = PatrolPosition("Tổ 3", place.lat_deg, place.lon_deg, began_ns + round(k * 0.2 * NS_PER_S), 4.0)
            assert mind.answer(NotePatrol(said, "radio")) == Done()
    (contact,) = live(mind)
    assert contact.own_patrol == "Tổ 3"
    assert "contact.why.own_patrol" in [w.key for w in contact.why_merged]
    assert [a.contact for a in mind.picture().alarms if a.contact] == [contact.id]
    mind.close()


def test_two_bearings_make_a_contact(settings, sector) -> None:
    clock = WallClock()
    began_ns = clock.utc_ns() - 6 * NS_PER_S
    mind = Mind(settings, sector, clock)
    for k in range(10):
        for node, stands, bearing in (("a", (-200.0, 0.0), 90.0), ("b", (0.0, -200.0), 0.0)):
            at_ns = began_ns + round(k * 0.2 * NS_PER_S)
            mind._situation.heard(node, "camera", at_ns)
            placed = PlacementBearing(sector.frame.position(*stands), bearing, 0.5, "far")
            mind._take_detections(node, 1, batch(f"{node}-eye", at_ns, placed), at_ns)
    contact = next(c for c in live(mind) if c.sensors == ("a-eye × b-eye",))
    place = sector.frame.point(contact.position)
    assert abs(place[0]) < 3.0 and abs(place[1]) < 3.0
    mind.close()
