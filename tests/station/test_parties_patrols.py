"""Who travels together, which contact is a patrol of ours, and what its radio says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.sector import Sector, load_sector
from station.contact_requests import PatrolPosition
from station.contacts import Contact
from station.cot import CotError, read_cot
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from station.kalman import Estimate
from station.parties import Parties
from station.patrols import Patrols, position_refusal
from wire.clock import NS_PER_S
from wire.units import ObjectClass

T0 = 1_780_000_000 * NS_PER_S


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def look(fusion: Fusion, t: float, places) -> None:
    at_ns = T0 + round(t * NS_PER_S)
    seen = tuple(
        Seen(f"n/1/a/{i}", ObjectClass.PERSON, 0.8, np.array(p, float), np.eye(2), None) for i, p in enumerate(places)
    )
    fusion.observe(SensorFrame("a", at_ns, at_ns, True, seen))


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 5), st.floats(1.5, 5.0))
def test_who_walks_together_is_a_party_and_who_comes_the_other_way_is_not(sector, count, spacing) -> None:
    fusion = Fusion(sector.corridors)
    for k in range(100):
        t = k * 0.2
        look(fusion, t, [*((1.2 * t - i * spacing, 0.0) for i in range(count)), (24.0 - 1.2 * t, 2.0)])
    sizes = [fusion.of_track(f"n/1/a/{i}").party_size for i in range(count + 1)]
    assert sizes == [count] * count + [1]


def test_a_party_that_parts_is_two_parties(sector) -> None:
    fusion = Fusion(sector.corridors)
    for k in range(200):
        t = k * 0.2
        away = max(0.0, t - 15.0) * 1.2
        look(fusion, t, [(1.2 * t, 0.0), (1.2 * t - 2, 0.0), (1.2 * t - 4, away), (1.2 * t - 6, away)])
        if k == 70:
            assert [fusion.of_track(f"n/1/a/{i}").party_size for i in range(4)] == [4] * 4
    parties = [fusion.of_track(f"n/1/a/{i}").party for i in range(4)]
    numbers = [fusion.of_track(f"n/1/a/{i}").number for i in range(4)]
    assert parties == [(numbers[1],), (numbers[0],), (numbers[3],), (numbers[2],)]


@pytest.mark.parametrize("back", [False, True])
def test_who_is_lost_and_found_as_another_contact_is_counted_once_and_who_is_lost_is_counted_on(back) -> None:
    """The last of three is lost at 12 s; from 15 s on somebody walks beside the others who was not there before."""
    contacts: dict[int, Contact] = {}
    parties = Parties(())
    for t in range(30):
        at_ns = T0 + t * NS_PER_S
        there = {1: 0.0, 2: -2.5} | ({3: -5.0} if t < 12 else {4: 3.0} if back and t >= 15 else {})
        for number, behind in there.items():
            first_ns = contacts[number].first_seen_ns if number in contacts else at_ns
            place = Estimate(np.array([1.2 * t + behind, 0.0, 1.2, 0.0]), np.eye(4), at_ns)
            contacts[number] = Contact(number, "person", place, first_ns, at_ns, at_ns, True, detections=9)
        parties.look(contacts, at_ns)
    assert contacts[1].party == ((2, 4) if back else (2, 3))
    assert contacts[3].party == (1, 2)
    assert contacts[2].party_size == 3


def say(sector: Sector, t: float, place, **more) -> PatrolPosition:
    at = sector.frame.position(*place)
    return PatrolPosition("Tổ 3", at.lat_deg, at.lon_deg, T0 + round(t * NS_PER_S), **more)


def test_a_patrol_labels_its_contact_with_a_reason_and_takes_the_label_back(sector) -> None:
    fusion, patrols = Fusion(sector.corridors), Patrols(sector.frame)
    for k in range(100):
        t = k * 0.2
        look(fusion, t, [(1.2 * t, 0.0), (1.2 * t, 60.0)])
        if k in (20, 30):
            patrols.note(say(sector, t, (1.2 * t + 1.0, 0.5), sigma_m=4.0), fusion.contacts.values())
    mine, other = (fusion.of_track(f"n/1/a/{i}") for i in range(2))
    assert (mine.own_patrol, other.own_patrol) == ("Tổ 3", None)
    assert [w.key for w in mine.why] == ["contact.why.own_patrol"]
    for t in (20.0, 21.0):
        patrols.note(say(sector, t, (300.0, 300.0)), fusion.contacts.values())
    assert mine.own_patrol is None
    assert [w.key for w in mine.why][-1] == "contact.why.no_patrol"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-80, 80), st.floats(-80, 80), st.integers(1, 5)), min_size=1, max_size=12))
def test_a_patrol_never_labels_more_than_it_has_people_and_never_ends_a_contact(sector, words) -> None:
    fusion, patrols = Fusion(sector.corridors), Patrols(sector.frame)
    places = [(3.0 * i, 0.0) for i in range(6)]
    for k in range(15):
        look(fusion, k * 0.2, places)
    for i, (east, north, people) in enumerate(words):
        before = {c.number for c in fusion.contacts.values() if c.own_patrol}
        patrols.note(say(sector, 3.0 + i * 0.1, (east, north), people=people), fusion.contacts.values())
        fresh = {c.number for c in fusion.contacts.values() if c.own_patrol} - before
        assert len(fresh) <= people
    assert len(fusion.contacts) == 6


@given(st.builds(PatrolPosition, st.text(max_size=80), st.floats(), st.floats(), st.integers(), st.floats(), st.integers()))
def test_a_position_is_refused_with_words_or_can_be_taken(sector, position) -> None:
    if position_refusal(position, T0) is None:
        assert Patrols(sector.frame).note(position, []) == []


EVENT = (
    '<event version="2.0" uid="ANDROID-1" type="{type}" how="m-g" time="2026-06-01T02:03:04.500Z" '
    'start="2026-06-01T02:03:04Z" stale="2026-06-01T02:04:04Z"><point lat="16.62" lon="106.59" hae="310" ce="{ce}" '
    'le="9999999.0"/><detail><contact callsign="Tổ 3"/></detail></event>'
)


def test_a_friendly_event_is_read() -> None:
    p = read_cot(EVENT.format(type="a-f-G-U-C", ce="21.46").encode())
    assert (p.patrol, p.lat_deg, p.lon_deg) == ("Tổ 3", 16.62, 106.59)
    assert p.sigma_m == pytest.approx(10.0)
    assert p.at_ns == 1_780_279_384_500_000_000
    assert read_cot(EVENT.format(type="a-f-G", ce="9999999").encode()).sigma_m == 10.0


@pytest.mark.parametrize("kind", ["a-h-G-U-C", "b-m-p-s-m", ""])
def test_who_is_not_ours_is_no_patrol(kind) -> None:
    with pytest.raises(CotError, match="friendly"):
        read_cot(EVENT.format(type=kind, ce="5").encode())


def test_entities_never_reach_the_parser() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + EVENT.format(type="a-f-G", ce="5").encode()
    with pytest.raises(CotError, match="entity"):
        read_cot(bomb)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda s: s.encode("utf-8", "surrogatepass"))))
def test_whatever_comes_is_a_position_or_a_refusal(data) -> None:
    try:
        read_cot(data)
    except CotError as error:
        assert str(error)
